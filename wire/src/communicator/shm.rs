//! `shm`: byte rings in memory that client and worker share. For processes of one host, containers included: what they must share is the unix socket.
//!
//! A session begins on the socket. When the client is admitted, its worker makes the memory and passes it over the socket ([`offer`], [`take`]); from then on bytes go
//! through the rings, and the socket tells each end when the other is gone, and carries [`Descriptors`] of further memory to share.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use gvirtus_shm::{Consumer, Ender, Lookout, Producer, Rings};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::Shutdown;
use rustix::net::sockopt::{Timeout, set_socket_timeout};

use super::unix::Unix;
use super::{Closer, Communicator, Connection, Listener, Receiver, Sender, fds};
use crate::config::Endpoint;

/// Its name.
pub(crate) const PROTOCOL: &str = "shm";
/// What goes over the socket with the memory.
const OFFER: u8 = b'm';

/// The transport.
#[derive(Debug)]
pub(super) struct Shm;

impl Communicator for Shm {
    fn protocol(&self) -> &'static str {
        PROTOCOL
    }

    fn by_path(&self) -> bool {
        true
    }

    fn is_local(&self, endpoint: &Endpoint) -> io::Result<bool> {
        Unix.is_local(endpoint)
    }

    fn connect(&self, endpoint: &Endpoint, timeout: Duration) -> io::Result<Connection> {
        Unix.connect(endpoint, timeout)
    }

    fn listen(&self, endpoint: &Endpoint) -> io::Result<Box<dyn Listener>> {
        Unix.listen(endpoint)
    }

    fn adopt(&self, fds: Vec<OwnedFd>) -> io::Result<Connection> {
        Unix.adopt(fds)
    }
}

/// Whether a connection can become one over shared memory: it is a unix socket.
#[must_use]
pub fn possible(connection: &Connection) -> bool {
    connection.protocol == Unix.protocol()
}

/// The worker's part: makes the memory and passes it over the connection's socket.
///
/// # Errors
/// The operating system's.
pub fn offer(connection: Connection) -> io::Result<Connection> {
    let (fd, rings) = gvirtus_shm::create(gvirtus_shm::CAPACITY)?;
    fds::send_with_fds(socket(&connection)?, &[OFFER], &[fd.as_fd()])?;
    over(connection, rings)
}

/// The client's part: waits for the memory.
///
/// # Errors
/// The operating system's; [`io::ErrorKind::InvalidData`] for something else than such memory.
pub fn take(mut connection: Connection, timeout: Duration) -> io::Result<Connection> {
    connection.receiver.set_timeout(Some(timeout))?;
    let mut byte = [0];
    let (n, fds) = fds::recv_with_fds(socket(&connection)?, &mut byte)?;
    if n == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let (OFFER, [fd]) = (byte[0], fds.as_slice()) else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    connection.receiver.set_timeout(None)?;
    over(connection, gvirtus_shm::open(fd)?)
}

/// The socket of a connection over shared memory, for descriptors of further memory.
#[derive(Debug, Clone)]
pub struct Descriptors(Arc<OwnedFd>);

impl Descriptors {
    /// That of a connection; `None` if it is not over shared memory.
    #[must_use]
    pub fn of(connection: &Connection) -> Option<Self> {
        let socket = connection.fds.first()?;
        (connection.protocol == PROTOCOL).then(|| Self(Arc::clone(socket)))
    }

    /// Passes a descriptor; `tag` is what a command names it by.
    ///
    /// # Errors
    /// The operating system's.
    pub fn send(&self, tag: u64, fd: impl AsFd) -> io::Result<()> {
        // A few bytes: the socket takes all of them or none.
        match fds::send_with_fds(&self.0, &tag.to_le_bytes(), &[fd.as_fd()])? {
            8 => Ok(()),
            _ => Err(io::ErrorKind::WriteZero.into()),
        }
    }

    /// Waits for the next descriptor.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] after `timeout`, [`io::ErrorKind::InvalidData`] for anything else than a tag with one descriptor.
    pub fn receive(&self, timeout: Duration) -> io::Result<(u64, OwnedFd)> {
        set_socket_timeout(&self.0, Timeout::Recv, Some(timeout))?;
        let mut tag = [0; 8];
        let (n, fds) = fds::recv_with_fds(&self.0, &mut tag)?;
        match (n, <[OwnedFd; 1]>::try_from(fds)) {
            (0, _) => Err(io::ErrorKind::UnexpectedEof.into()),
            (8, Ok([fd])) => Ok((u64::from_le_bytes(tag), fd)),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

fn socket(connection: &Connection) -> io::Result<&Arc<OwnedFd>> {
    connection
        .fds
        .first()
        .ok_or_else(|| io::ErrorKind::Unsupported.into())
}

/// A connection whose bytes go through rings.
fn over(connection: Connection, rings: Rings) -> io::Result<Connection> {
    let Rings {
        producer,
        consumer,
        ender,
    } = rings;
    let socket = Arc::clone(socket(&connection)?);
    let (for_shutdown, for_watch) = (Arc::clone(&socket), Arc::clone(&socket));
    let at_shutdown = ender.clone();
    Ok(Connection {
        receiver: Box::new(RingReceiver {
            consumer,
            timeout: None,
        }),
        sender: Box::new(RingSender { producer }),
        closer: Closer::new(
            move || {
                let _ = rustix::net::shutdown(&for_shutdown, Shutdown::Both);
                at_shutdown.end();
            },
            vec![socket.as_raw_fd()],
        ),
        protocol: PROTOCOL,
        peer: connection.peer,
        fds: vec![socket],
        attendant: Some(Box::new(move || attend(&for_watch, &ender))),
    })
}

/// Waits for the peer's end and passes it on to the rings.
fn attend(socket: &OwnedFd, ender: &Ender) {
    loop {
        let mut fds = [PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::RDHUP)];
        match poll(&mut fds, None) {
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) | Err(_) => return ender.end(),
        }
    }
}

struct RingReceiver {
    consumer: Consumer,
    timeout: Option<Duration>,
}

impl Receiver for RingReceiver {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.consumer.read(into, self.timeout)
    }

    fn available(&mut self) -> io::Result<bool> {
        self.consumer.available()
    }

    fn lookout(&self) -> Option<Lookout> {
        Some(self.consumer.lookout())
    }

    fn set_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.timeout = timeout;
        Ok(())
    }
}

struct RingSender {
    producer: Producer,
}

impl Sender for RingSender {
    fn send_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<()> {
        for part in parts {
            self.producer.write(part)?;
        }
        self.producer.tell();
        Ok(())
    }

    fn is_cheap(&self) -> bool {
        true
    }
}
