//! The worker's end of the line to the daemon.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use gvirtus_wire::communicator::fds::recv_with_fds;
use rustix::io::fcntl_dupfd_cloexec;

use crate::control::{FromWorker, MAX_MESSAGE, ToWorker, encode};

pub(super) struct Channel {
    socket: UnixStream,
    watched: Option<OwnedFd>,
}

impl Channel {
    /// Takes the line over from standard input, which then is empty: neither plugins nor their children may read from it.
    pub(super) fn from_stdin() -> io::Result<Self> {
        let socket = UnixStream::from(fcntl_dupfd_cloexec(io::stdin(), 3)?);
        // Fails for anything but a socket of this kind, such as a terminal.
        socket.peer_addr()?;
        rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
        Ok(Self {
            watched: Some(socket.try_clone()?.into()),
            socket,
        })
    }

    /// A descriptor to watch for the daemon's end.
    pub(super) fn socket(&mut self) -> OwnedFd {
        self.watched
            .take()
            .expect("asked for once, when the worker starts")
    }

    pub(super) fn try_clone(&self) -> io::Result<Self> {
        Ok(Self {
            socket: self.socket.try_clone()?,
            watched: None,
        })
    }

    pub(super) fn send(&mut self, message: &FromWorker) -> io::Result<()> {
        self.socket.write_all(&encode(message)?)
    }

    /// The next message, and the descriptors that came with it.
    pub(super) fn receive(&mut self) -> io::Result<(ToWorker, Vec<OwnedFd>)> {
        let mut fds = Vec::new();
        let mut len = [0; 4];
        self.fill(&mut len, &mut fds)?;
        let len = u32::from_le_bytes(len) as usize;
        if len > MAX_MESSAGE {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut body = vec![0; len];
        self.fill(&mut body, &mut fds)?;
        Ok((serde_json::from_slice(&body)?, fds))
    }

    fn fill(&mut self, mut into: &mut [u8], fds: &mut Vec<OwnedFd>) -> io::Result<()> {
        while !into.is_empty() {
            let (n, more) = recv_with_fds(&self.socket, into)?;
            if n == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            fds.extend(more);
            into = &mut into[n..];
        }
        Ok(())
    }
}
