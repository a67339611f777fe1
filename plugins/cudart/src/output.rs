//! What the device prints: `printf` and `assert` in kernels write to the worker's standard streams, and belong on the client's.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};

use gvirtus_wire::api::core::{self, Output as OutputMessage};
use parking_lot::Mutex;
use rustix::fs::{FallocateFlags, MemfdFlags, OFlags, fallocate, fcntl_setfl, memfd_create};
use rustix::io::fcntl_dupfd_cloexec;

use crate::host::{self, Host};

/// The most bytes of one message.
const PIECE: usize = 256 << 10;
/// Memory of what was forwarded is given back in steps of this.
const PUNCH: u64 = 1 << 20;

struct Captured {
    /// 1 or 2.
    stream: u8,
    file: File,
    /// Forwarded up to here.
    read: u64,
    /// Given back up to here.
    punched: u64,
    /// Where the stream went before; kept so that it is not closed.
    _original: OwnedFd,
}

/// Standard output and error, caught in memory.
pub(crate) struct Output {
    captured: Mutex<Vec<Captured>>,
    /// Something may be printed.
    expected: AtomicBool,
}

impl Output {
    /// Nothing is caught.
    pub(crate) fn none() -> Self {
        Self {
            captured: Mutex::new(Vec::new()),
            expected: AtomicBool::new(false),
        }
    }

    /// Puts memory files in the place of standard output and error.
    ///
    /// # Errors
    /// The system's, when it has no descriptors or memory left.
    pub(crate) fn take_over() -> std::io::Result<Self> {
        let mut captured = Vec::new();
        for stream in [1u8, 2] {
            let original = if stream == 1 {
                fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3)?
            } else {
                fcntl_dupfd_cloexec(rustix::stdio::stderr(), 3)?
            };
            let file = memfd_create(c"gvirtus-output", MemfdFlags::CLOEXEC)?;
            // Whoever else holds the descriptor writes at the end, wherever we read.
            fcntl_setfl(&file, OFlags::APPEND)?;
            if stream == 1 {
                rustix::stdio::dup2_stdout(&file)?;
            } else {
                rustix::stdio::dup2_stderr(&file)?;
            }
            captured.push(Captured {
                stream,
                file: File::from(file),
                read: 0,
                punched: 0,
                _original: original,
            });
        }
        Ok(Self {
            captured: Mutex::new(captured),
            expected: AtomicBool::new(false),
        })
    }

    /// A module that prints or asserts is loaded: until then there is nothing to look for.
    pub(crate) fn expect(&self) {
        self.expected.store(true, Ordering::Release);
    }

    /// Whether anything may be printed. The driver brings it out when it synchronises, and not when it is asked for progress.
    pub(crate) fn expected(&self) -> bool {
        self.expected.load(Ordering::Acquire)
    }

    /// After a fault: the CPU device says on standard error where it was, whatever the module may print.
    pub(crate) fn forward_fault(&self, host: &Host) {
        self.expect();
        self.forward(host);
    }

    /// Sends what was printed since the last time.
    pub(crate) fn forward(&self, host: &Host) {
        if !self.expected() {
            return;
        }
        let mut captured = self.captured.lock();
        if captured.is_empty() {
            return;
        }
        // SAFETY: flushes the C library's streams, which the driver prints to.
        unsafe { libc::fflush(std::ptr::null_mut()) };
        for one in captured.iter_mut() {
            one.forward(host);
        }
    }
}

impl Captured {
    fn forward(&mut self, host: &Host) {
        let Ok(size) = self.file.metadata().map(|m| m.len()) else {
            return;
        };
        while self.read < size {
            let want = usize::try_from(size - self.read)
                .unwrap_or(PIECE)
                .min(PIECE);
            let mut bytes = vec![0; want];
            match self.file.read_at(&mut bytes, self.read) {
                Ok(0) => return,
                Ok(n) => {
                    let message = OutputMessage {
                        stream: self.stream,
                    };
                    host.push(core::OUTPUT, 0, &message, &bytes[..n]);
                    self.read += n as u64;
                }
                Err(error) => {
                    host.log(
                        host::WARN,
                        &format!("device output cannot be read: {error}"),
                    );
                    return;
                }
            }
        }
        if self.read - self.punched >= PUNCH {
            let _ = fallocate(
                self.file.as_fd(),
                FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE,
                self.punched,
                self.read - self.punched,
            );
            self.punched = self.read;
        }
    }
}
