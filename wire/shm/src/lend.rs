//! Memory given to a socket by its pages instead of by a copy.
//!
//! The pages go into a pipe (`vmsplice`) and from there into the socket (`splice`). The receiver of a connection within one host copies straight from them; a network card sends them. What is written to the memory before
//! the other end has read it may be what arrives, so only bytes that stay as they are until then may be lent.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::pipe::{
    IoSliceRaw, PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice, vmsplice,
};

/// What the pipe holds, in bytes: the most that a process without privileges may ask for.
const PIPE: usize = 1 << 20;

/// What lends memory to one socket at a time.
#[derive(Debug)]
pub struct Lender {
    from: OwnedFd,
    to: OwnedFd,
}

impl Lender {
    /// Opens the pipe that memory goes through.
    ///
    /// # Errors
    /// The operating system's, if there are no more descriptors or this user has too much in pipes.
    pub fn new() -> io::Result<Self> {
        let (from, to) = pipe_with(PipeFlags::CLOEXEC)?;
        fcntl_setpipe_size(&to, PIPE)?;
        Ok(Self { from, to })
    }

    /// Sends `bytes` over a blocking stream socket; `more` says that others follow at once. Returns how many went out: fewer if the rest cannot be sent in this way, for whatever reason. The lender is not to be used any more
    /// then.
    ///
    /// What went out must stay as it is until the other end has read it. The calling thread must not mind `SIGPIPE`.
    #[must_use]
    pub fn lend(&self, socket: impl AsFd, bytes: &[u8], more: bool) -> usize {
        let socket = socket.as_fd();
        let mut sent = 0;
        while sent < bytes.len() {
            let part = [IoSliceRaw::from_slice(&bytes[sent..])];
            // SAFETY: the pipe's writing end, so the memory is only read; pages stay in place while the pipe or the socket has them.
            let mut held = match unsafe { vmsplice(&self.to, &part, SpliceFlags::empty()) } {
                Ok(n) if n > 0 => n,
                Err(Errno::INTR) => continue,
                _ => return sent,
            };
            let last = sent + held == bytes.len();
            let flags = if more || !last {
                SpliceFlags::MORE
            } else {
                SpliceFlags::empty()
            };
            while held > 0 {
                match splice(&self.from, None, socket, None, held, flags) {
                    Ok(n) if n > 0 => {
                        held -= n;
                        sent += n;
                    }
                    Err(Errno::INTR) => {}
                    _ => return sent,
                }
            }
        }
        sent
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::UnixStream;
    use std::thread;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("it listens");
        let near = TcpStream::connect(listener.local_addr().expect("an address"));
        let (far, _) = listener.accept().expect("somebody comes");
        (near.expect("it connects"), far)
    }

    #[test]
    fn bytes_arrive_whatever_their_place_and_length() {
        let memory: Vec<u8> = (0..3_000_000_u32).map(|i| (i * 7 / 5) as u8).collect();
        let (near, mut far) = pair();
        let lender = Lender::new().expect("a pipe");
        for (start, len) in [
            (0, 1),
            (4095, 2),
            (1, 4096),
            (100, 70_000),
            (8192, 1 << 20),
            (3, 2_999_990),
            (0, 0),
        ] {
            let part = &memory[start..start + len];
            let got = thread::scope(|scope| {
                let reader = scope.spawn(|| {
                    let mut got = vec![0; len];
                    far.read_exact(&mut got).map(|()| got)
                });
                assert_eq!(lender.lend(&near, part, false), len);
                reader.join().expect("no panic").expect("all of it comes")
            });
            assert!(got == part, "{start} {len}");
        }
    }

    #[test]
    fn what_cannot_be_lent_is_left_to_the_caller() {
        let lender = Lender::new().expect("a pipe");
        let file = tempfile();
        // Not a socket of any kind: a file that is open for reading only.
        assert_eq!(lender.lend(&file, &[1; 100], false), 0);
        let (near, far) = UnixStream::pair().expect("a pair");
        drop(far);
        // The other end is gone. Rust's programs ignore SIGPIPE.
        let lender = Lender::new().expect("a pipe");
        assert_eq!(lender.lend(&near, &[1; 100], false), 0);
    }

    fn tempfile() -> std::fs::File {
        std::fs::File::open("/proc/self/exe").expect("this program")
    }
}
