//! Where device `printf` and `assert` text goes: the program's own C streams, in order with what the program prints.

use std::ffi::c_void;

unsafe extern "C" {
    static stdout: *mut libc::FILE;
    static stderr: *mut libc::FILE;
}

/// Writes text to the program's standard output (1) or standard error.
pub(crate) fn write(stream: u8, text: &[u8]) {
    // SAFETY: the C library initialises both streams before any code runs; `fwrite` locks the stream itself.
    unsafe {
        let file = if stream == 1 { stdout } else { stderr };
        libc::fwrite(text.as_ptr().cast::<c_void>(), 1, text.len(), file);
    }
}
