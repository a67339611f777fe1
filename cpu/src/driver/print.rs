//! What kernels print: kept until a synchronizing call, as a GPU keeps it in its buffer, then written to C's `stdout`.

use std::collections::VecDeque;
use std::ffi::c_void;

use parking_lot::Mutex;

unsafe extern "C" {
    /// C's standard output: the program's own buffer, so that host and device output keep their order.
    static stdout: *mut libc::FILE;
}

struct Buffer {
    pieces: VecDeque<Vec<u8>>,
    bytes: usize,
    capacity: usize,
}

/// The text that kernels of a context have printed.
pub(super) struct Output {
    buffer: Mutex<Buffer>,
}

impl Default for Output {
    fn default() -> Self {
        Self {
            buffer: Mutex::new(Buffer {
                pieces: VecDeque::new(),
                bytes: 0,
                capacity: 1 << 20,
            }),
        }
    }
}

impl Output {
    /// Adds a piece; when the buffer is full the oldest pieces are lost, as on a GPU.
    pub(super) fn print(&self, piece: &[u8]) {
        let mut buffer = self.buffer.lock();
        buffer.bytes += piece.len();
        buffer.pieces.push_back(piece.to_vec());
        while buffer.bytes > buffer.capacity && buffer.pieces.len() > 1 {
            let lost = buffer.pieces.pop_front().map_or(0, |piece| piece.len());
            buffer.bytes -= lost;
        }
    }

    /// The limit `CU_LIMIT_PRINTF_FIFO_SIZE`.
    pub(super) fn set_capacity(&self, bytes: usize) {
        self.buffer.lock().capacity = bytes;
    }

    /// Writes everything to `stdout`.
    pub(super) fn flush(&self) {
        let mut buffer = self.buffer.lock();
        if buffer.pieces.is_empty() {
            return;
        }
        buffer.bytes = 0;
        let pieces = std::mem::take(&mut buffer.pieces);
        // The lock is kept: two threads' flushes must not swap pieces.
        for piece in pieces {
            write(&piece);
        }
        drop(buffer);
        // SAFETY: the C library's stream, valid as long as the process.
        unsafe { libc::fflush(stdout) };
    }
}

fn write(bytes: &[u8]) {
    // SAFETY: `bytes` is readable; `stdout` is the C library's stream, locked by it.
    unsafe { libc::fwrite(bytes.as_ptr().cast::<c_void>(), 1, bytes.len(), stdout) };
}

/// Writes text of a failed device `assert` to standard error at once.
pub(super) fn print_error(text: &[u8]) {
    use std::io::Write;
    let _ = std::io::stderr().write_all(text);
}
