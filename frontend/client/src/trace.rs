//! `GVIRTUS_TRACE=file`: one line per API call as it ends: seconds since the trace began, thread, library and function, result, duration. Calls that another API
//! function made (`libcudart` calling the driver) are indented.

use std::ffi::{CStr, c_char};
use std::fs::File;
use std::io::Write;
use std::sync::OnceLock;
use std::time::Instant;

struct Trace {
    file: File,
    began: Instant,
}

static TRACE: OnceLock<Trace> = OnceLock::new();

/// Opens (and truncates) the file. False, with a message, if that fails.
pub(crate) fn open(path: &str) -> bool {
    match File::options()
        .create(true)
        .write(true)
        .truncate(true)
        .open(path)
    {
        Ok(file) => {
            let _ = TRACE.set(Trace {
                file,
                began: Instant::now(),
            });
            true
        }
        Err(why) => {
            log!(Error, "GVIRTUS_TRACE: cannot open {path}: {why}");
            false
        }
    }
}

fn write(text: &str, at: Instant, indented: bool) {
    let Some(trace) = TRACE.get() else { return };
    // SAFETY: gettid has no preconditions.
    let thread = unsafe { libc::gettid() };
    let seconds = at.saturating_duration_since(trace.began).as_secs_f64();
    let indent = if indented { "  " } else { "" };
    let line = format!("{seconds:.6} {thread} {indent}{text}\n");
    // One write per line, so that lines of threads do not mix and nothing is lost if the program crashes. A full disk must not break the program.
    let _ = (&trace.file).write_all(line.as_bytes());
}

/// A call of a driver function that began at `began` and ends now.
pub(crate) fn call(library: &str, function: &str, result: i32, began: Instant, indented: bool) {
    let microseconds = began.elapsed().as_secs_f64() * 1e6;
    write(
        &format!("{library} {function} = {result} ({microseconds:.1} us)"),
        began,
        indented,
    );
}

/// See [`FrontendTable::trace`](gvirtus_wire::api::frontend_table::FrontendTable::trace).
///
/// # Safety
/// `text` is null or a NUL-terminated string.
pub(crate) unsafe extern "C" fn line(text: *const c_char) {
    if text.is_null() {
        return;
    }
    // SAFETY: not null, and a C string by this function's contract.
    let text = unsafe { CStr::from_ptr(text) };
    write(&text.to_string_lossy(), Instant::now(), false);
}
