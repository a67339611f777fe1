//! Communicators: byte streams between client and backend behind one trait, chosen by an endpoint's `protocol`.
//!
//! # Layout
//! * [`Communicator`], [`Listener`], [`Connection`], [`Receiver`], [`Sender`]: what a transport offers.
//! * `tcp`, `unix`, [`shm`]: the transports, one file each; `socket` is what the first two share.
//! * [`emulate`]: emulated distance (`GVIRTUS_EMULATE`) around any client connection.
//! * [`fds`]: file descriptors across a process boundary, for handing a connection to a worker.
//!
//! To add a transport, write its file and name it in [`COMMUNICATORS`].

use std::io::{self, IoSlice};
use std::os::fd::{OwnedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use crate::config::Endpoint;

pub use gvirtus_shm::Lookout;
pub use gvirtus_shm::spin::{few_processors, watch};

pub mod emulate;
pub mod fds;
pub mod shm;
mod socket;
mod tcp;
mod unix;

/// Every transport of this build, in the order in which messages list them.
pub static COMMUNICATORS: &[&dyn Communicator] = &[&tcp::Tcp, &unix::Unix, &shm::Shm];

/// One transport.
pub trait Communicator: Send + Sync {
    /// Its name in `properties.json` (`endpoint.protocol`) and before `://` in `GVIRTUS_ENDPOINT`.
    fn protocol(&self) -> &'static str;

    /// Other names that mean the same.
    fn aliases(&self) -> &'static [&'static str] {
        &[]
    }

    /// Whether its endpoints are paths, not addresses and ports.
    fn by_path(&self) -> bool {
        false
    }

    /// Whether a session gains from further connections of this kind, for large payloads.
    fn has_lanes(&self) -> bool {
        false
    }

    /// Whether only processes of the same host can reach a listener on `endpoint`.
    ///
    /// # Errors
    /// An address that cannot be resolved.
    fn is_local(&self, endpoint: &Endpoint) -> io::Result<bool>;

    /// Connects, waiting at most `timeout`.
    ///
    /// # Errors
    /// As the operating system reports them.
    fn connect(&self, endpoint: &Endpoint, timeout: Duration) -> io::Result<Connection>;

    /// Listens.
    ///
    /// # Errors
    /// As the operating system reports them; [`io::ErrorKind::AddrInUse`] when somebody else listens there.
    fn listen(&self, endpoint: &Endpoint) -> io::Result<Box<dyn Listener>>;

    /// Makes a connection from the descriptors that [`Connection::into_fds`] gave in another process.
    ///
    /// # Errors
    /// Descriptors that are not such a connection.
    fn adopt(&self, fds: Vec<OwnedFd>) -> io::Result<Connection>;
}

/// What accepts connections.
pub trait Listener: Send + Sync {
    /// Waits for the next connection.
    ///
    /// # Errors
    /// As the operating system reports them. Errors of one connection are not the listener's; the caller goes on after a pause.
    fn accept(&self) -> io::Result<Connection>;

    /// Protocol and address as the ready line prints them: `tcp 127.0.0.1:9999`.
    fn address(&self) -> String;

    /// Wakes a thread in [`accept`](Self::accept) for good: that call and later ones return an error.
    fn close(&self);
}

/// The incoming half of a connection. Blocking, used by one thread at a time.
pub trait Receiver: Send {
    /// Waits for at least one byte and reads what is there, at most `into.len()` bytes; 0 at the end of the stream.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] after the time set with [`set_timeout`](Self::set_timeout), otherwise the connection's error.
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize>;

    /// Fills `into`.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] at the end of the stream, else as [`read`](Self::read).
    fn read_exact(&mut self, mut into: &mut [u8]) -> io::Result<()> {
        while !into.is_empty() {
            match self.read(into)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => into = &mut into[n..],
            }
        }
        Ok(())
    }

    /// Whether [`read`](Self::read) would return at once (with bytes, the end, or an error).
    ///
    /// # Errors
    /// The connection's.
    fn available(&mut self) -> io::Result<bool>;

    /// [`read`](Self::read) that does not wait: `None` where it would have to.
    ///
    /// # Errors
    /// As for reading.
    fn try_read(&mut self, into: &mut [u8]) -> io::Result<Option<usize>> {
        if self.available()? {
            self.read(into).map(Some)
        } else {
            Ok(None)
        }
    }

    /// Where looking for bytes costs no system call, so that other threads may read than the one that waits for them: what that one waits by.
    fn lookout(&self) -> Option<Lookout> {
        None
    }

    /// Bounds how long one [`read`](Self::read) waits; `None` for ever.
    ///
    /// # Errors
    /// The operating system's.
    fn set_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()>;

    /// Announces memory that will receive bulk bytes often, for transports that place bytes there directly (registered buffers). Others ignore it.
    ///
    /// # Errors
    /// The transport's; the memory can then be used all the same.
    fn register(&mut self, memory: Range) -> io::Result<()> {
        let _ = memory;
        Ok(())
    }
}

/// The outgoing half of a connection. Blocking, used by one thread at a time.
pub trait Sender: Send {
    /// Sends all bytes of all parts, in order.
    ///
    /// # Errors
    /// The connection's; some bytes may have gone out.
    fn send_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<()>;

    /// As [`send_vectored`](Self::send_vectored), for bytes that stay as they are until the other end has read them, not only until this returns: a transport may pass their memory on instead of a copy. On a thread that does
    /// not mind `SIGPIPE`.
    ///
    /// # Errors
    /// As [`send_vectored`](Self::send_vectored).
    fn send_lent(&mut self, parts: &[IoSlice<'_>]) -> io::Result<()> {
        self.send_vectored(parts)
    }

    /// Sends all of `bytes`.
    ///
    /// # Errors
    /// As [`send_vectored`](Self::send_vectored).
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.send_vectored(&[IoSlice::new(bytes)])
    }

    /// Whether sending a little costs no system call where the other end is awake.
    fn is_cheap(&self) -> bool {
        false
    }

    /// Announces memory from which bulk bytes will often be sent. Transports without registered buffers ignore it.
    ///
    /// # Errors
    /// The transport's; the memory can then be used all the same.
    fn register(&mut self, memory: Range) -> io::Result<()> {
        let _ = memory;
        Ok(())
    }
}

/// An address range that a transport may register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// First address.
    pub start: usize,
    /// Bytes.
    pub len: usize,
}

/// Ends a connection from any thread, while others wait in its halves.
#[derive(Clone)]
pub struct Closer {
    shutdown: Arc<dyn Fn() + Send + Sync>,
    fds: Arc<[RawFd]>,
}

impl std::fmt::Debug for Closer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Closer").field("fds", &self.fds).finish()
    }
}

impl Closer {
    fn new(shutdown: impl Fn() + Send + Sync + 'static, fds: Vec<RawFd>) -> Self {
        Self {
            shutdown: Arc::new(shutdown),
            fds: fds.into(),
        }
    }

    /// Ends both directions: waiting reads return the end of the stream, sends fail. For every process that shares the connection.
    pub fn shutdown(&self) {
        (self.shutdown)();
    }

    /// The descriptors behind the connection. A forked child closes these (and forgets the halves) in order to leave its parent's session alone; the
    /// worker's watchdog polls the first for the peer's end.
    #[must_use]
    pub fn fds(&self) -> &[RawFd] {
        &self.fds
    }
}

/// A connection: both halves, and how to end it.
pub struct Connection {
    /// Incoming half.
    pub receiver: Box<dyn Receiver>,
    /// Outgoing half.
    pub sender: Box<dyn Sender>,
    /// Ends it from any thread.
    pub closer: Closer,
    /// The transport's name.
    pub protocol: &'static str,
    /// Who is at the other end, for logs.
    pub peer: String,
    fds: Vec<Arc<OwnedFd>>,
    attendant: Option<Attendant>,
}

/// What a connection needs a thread of its own for, until it ends.
pub type Attendant = Box<dyn FnOnce() + Send>;

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("protocol", &self.protocol)
            .field("peer", &self.peer)
            .field("closer", &self.closer)
            .finish_non_exhaustive()
    }
}

impl Connection {
    /// The two halves, for two threads.
    #[must_use]
    pub fn split(self) -> (Box<dyn Receiver>, Box<dyn Sender>) {
        (self.receiver, self.sender)
    }

    /// What must run on a thread of its own from now on, if there is something: it tells the halves when the peer is gone.
    #[must_use]
    pub fn attendant(&mut self) -> Option<Attendant> {
        self.attendant.take()
    }

    /// A descriptor of its own to poll for the peer's end, whoever has the halves.
    ///
    /// # Errors
    /// No more descriptors, or a transport without any.
    pub fn watchable(&self) -> io::Result<OwnedFd> {
        match self.fds.first() {
            Some(fd) => fd.try_clone(),
            None => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Gives up the halves for the descriptors behind them, which another process can [`adopt`](Communicator::adopt). Nothing is shut down. Bytes that the
    /// halves have already taken from the stream would be lost: sockets read no further than asked. Empty where the transport cannot do it.
    ///
    /// # Errors
    /// No more descriptors.
    pub fn into_fds(self) -> io::Result<Vec<OwnedFd>> {
        self.fds.iter().map(|fd| fd.try_clone()).collect()
    }
}

/// The transport of that name.
#[must_use]
pub fn by_protocol(protocol: &str) -> Option<&'static dyn Communicator> {
    COMMUNICATORS
        .iter()
        .copied()
        .find(|c| c.protocol() == protocol || c.aliases().contains(&protocol))
}

/// Names of all transports, for messages.
#[must_use]
pub fn protocols() -> Vec<&'static str> {
    COMMUNICATORS.iter().map(|c| c.protocol()).collect()
}

fn communicator_of(endpoint: &Endpoint) -> io::Result<&'static dyn Communicator> {
    by_protocol(&endpoint.protocol).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::Unsupported,
            format!(
                "protocol {:?} is unknown; this build has {}",
                endpoint.protocol,
                protocols().join(", ")
            ),
        )
    })
}

/// Connects to an endpoint, with emulated distance if asked.
///
/// # Errors
/// The transport's, or an unknown protocol.
pub fn connect(
    endpoint: &Endpoint,
    timeout: Duration,
    emulation: Option<&emulate::Emulation>,
) -> io::Result<Connection> {
    let connection = communicator_of(endpoint)?.connect(endpoint, timeout)?;
    match emulation {
        Some(emulation) => emulate::wrap(connection, emulation),
        None => Ok(connection),
    }
}

/// Listens on an endpoint.
///
/// # Errors
/// The transport's, or an unknown protocol.
pub fn listen(endpoint: &Endpoint) -> io::Result<Box<dyn Listener>> {
    communicator_of(endpoint)?.listen(endpoint)
}

/// Whether only the same host can reach a listener on `endpoint`.
///
/// # Errors
/// The transport's, or an unknown protocol.
pub fn is_local(endpoint: &Endpoint) -> io::Result<bool> {
    communicator_of(endpoint)?.is_local(endpoint)
}
