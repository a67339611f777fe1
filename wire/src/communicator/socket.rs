//! What the socket transports share: halves over one stream socket.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use gvirtus_shm::lend::Lender;
use gvirtus_shm::spin::Spin;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown, recv, sendmsg, shutdown};

use super::{Closer, Connection, Receiver, Sender};

/// The most parts that one system call takes (`IOV_MAX`).
const MAX_PARTS: usize = 1024;

/// Parts shorter than this are copied: lending costs several system calls and a reference to each page.
const WORTH_LENDING: usize = 64 << 10;

/// A connection over a connected stream socket.
pub(super) fn connection(
    socket: OwnedFd,
    protocol: &'static str,
    peer: String,
) -> io::Result<Connection> {
    // Wherever the descriptor came from: the halves block, and wait for ever until told otherwise.
    rustix::io::ioctl_fionbio(&socket, false)?;
    let raw = socket.as_raw_fd();
    let socket = Arc::new(socket);
    let for_shutdown = Arc::clone(&socket);
    let for_transfer = Arc::clone(&socket);
    Ok(Connection {
        receiver: Box::new(SocketReceiver {
            socket: Arc::clone(&socket),
            spin: Spin::default(),
        }),
        sender: Box::new(SocketSender {
            socket,
            lending: Lending::Untried,
        }),
        closer: Closer::new(
            move || {
                // A socket that the peer has already reset cannot be shut down, and need not be.
                let _ = shutdown(&for_shutdown, Shutdown::Both);
            },
            vec![raw],
        ),
        protocol,
        peer,
        fds: vec![for_transfer],
        attendant: None,
    })
}

struct SocketReceiver {
    socket: Arc<OwnedFd>,
    spin: Spin,
}

impl SocketReceiver {
    fn recv(&self, into: &mut [u8], flags: RecvFlags) -> io::Result<usize> {
        loop {
            match recv(&self.socket, &mut *into, flags) {
                Ok((n, _)) => return Ok(n),
                Err(Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }
}

impl Receiver for SocketReceiver {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        // An answer is often near: looking for it costs less than a wake-up.
        let mut got = None;
        let mut spin = std::mem::take(&mut self.spin);
        spin.look_dearly(|| match self.recv(into, RecvFlags::DONTWAIT) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => false,
            other => {
                got = Some(other);
                true
            }
        });
        self.spin = spin;
        match got {
            Some(got) => got,
            None => self.recv(into, RecvFlags::empty()),
        }
    }

    fn try_read(&mut self, into: &mut [u8]) -> io::Result<Option<usize>> {
        match self.recv(into, RecvFlags::DONTWAIT) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(None),
            other => other.map(Some),
        }
    }

    fn read_exact(&mut self, mut into: &mut [u8]) -> io::Result<()> {
        while !into.is_empty() {
            match self.recv(into, RecvFlags::WAITALL)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => into = &mut into[n..],
            }
        }
        Ok(())
    }

    fn available(&mut self) -> io::Result<bool> {
        let mut fds = [PollFd::from_borrowed_fd(
            self.socket.as_fd(),
            PollFlags::IN | PollFlags::RDHUP,
        )];
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        loop {
            match poll(&mut fds, Some(&now)) {
                Ok(n) => return Ok(n > 0),
                Err(Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }

    fn set_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        // Zero would mean "for ever" to the kernel.
        let timeout = timeout.map(|t| t.max(Duration::from_micros(1)));
        set_socket_timeout(&self.socket, Timeout::Recv, timeout)?;
        Ok(())
    }
}

struct SocketSender {
    socket: Arc<OwnedFd>,
    lending: Lending,
}

/// Whether memory can be lent to the socket.
enum Lending {
    Untried,
    By(Lender),
    Impossible,
}

impl SocketSender {
    fn sendmsg(&self, parts: &[IoSlice<'_>], flags: SendFlags) -> io::Result<usize> {
        loop {
            // NOSIGNAL: this runs in programs of others, whose SIGPIPE kills.
            match sendmsg(
                &self.socket,
                parts,
                &mut SendAncillaryBuffer::default(),
                SendFlags::NOSIGNAL | flags,
            ) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => return Ok(n),
                Err(Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }
}

impl SocketSender {
    /// Sends copies of all parts.
    fn copy(&self, parts: &[IoSlice<'_>], flags: SendFlags) -> io::Result<()> {
        let total: usize = parts.iter().map(|p| p.len()).sum();
        if total == 0 {
            return Ok(());
        }
        // The usual case: everything goes in one call and nothing needs to be copied.
        let mut sent = 0;
        if parts.len() <= MAX_PARTS {
            sent = self.sendmsg(parts, flags)?;
            if sent == total {
                return Ok(());
            }
        }
        let mut rest: Vec<IoSlice<'_>> = parts.iter().map(|p| IoSlice::new(p)).collect();
        let mut rest = rest.as_mut_slice();
        IoSlice::advance_slices(&mut rest, sent);
        while !rest.is_empty() {
            if rest[0].is_empty() {
                IoSlice::advance_slices(&mut rest, 0);
                continue;
            }
            let n = self.sendmsg(&rest[..rest.len().min(MAX_PARTS)], flags)?;
            IoSlice::advance_slices(&mut rest, n);
        }
        Ok(())
    }
}

impl Sender for SocketSender {
    fn send_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<()> {
        self.copy(parts, SendFlags::empty())
    }

    fn send_lent(&mut self, mut parts: &[IoSlice<'_>]) -> io::Result<()> {
        if matches!(self.lending, Lending::Untried) {
            self.lending = Lender::new().map_or(Lending::Impossible, Lending::By);
        }
        while let Lending::By(lender) = &self.lending
            && let Some(long) = parts.iter().position(|part| part.len() >= WORTH_LENDING)
        {
            self.copy(&parts[..long], SendFlags::MORE)?;
            let (part, rest) = (&parts[long], &parts[long + 1..]);
            let sent = lender.lend(&self.socket, part, !rest.is_empty());
            if sent < part.len() {
                // Memory that cannot be lent, a system that does not let us, or a connection that has ended: sending says which.
                self.lending = Lending::Impossible;
                self.copy(&[IoSlice::new(&part[sent..])], SendFlags::empty())?;
            }
            parts = rest;
        }
        self.copy(parts, SendFlags::empty())
    }
}
