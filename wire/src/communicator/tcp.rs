//! `tcp`: IPv4 and IPv6, without Nagle's delay, with keep-alive so that a vanished peer is noticed.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::net::Shutdown;
use rustix::net::sockopt;

use super::{Communicator, Connection, Listener, socket};
use crate::config::Endpoint;

const PROTOCOL: &str = "tcp";
/// Idle time after which the kernel asks whether the peer's host is still there, and how often and how many times it asks. There is no limit on how long a peer may
/// leave bytes unread: a program in a debugger does.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(15);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_COUNT: u32 = 3;

/// The transport.
#[derive(Debug)]
pub(super) struct Tcp;

impl Communicator for Tcp {
    fn protocol(&self) -> &'static str {
        PROTOCOL
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["oldtcp"]
    }

    fn has_lanes(&self) -> bool {
        true
    }

    fn is_local(&self, endpoint: &Endpoint) -> io::Result<bool> {
        Ok(resolve(endpoint)?.iter().all(|a| a.ip().is_loopback()))
    }

    fn connect(&self, endpoint: &Endpoint, timeout: Duration) -> io::Result<Connection> {
        let deadline = Instant::now() + timeout;
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in resolve(endpoint)? {
            let left = deadline
                .saturating_duration_since(Instant::now())
                .max(Duration::from_millis(1));
            match TcpStream::connect_timeout(&address, left) {
                Ok(stream) => return connection(stream, address),
                Err(e) => last = e,
            }
        }
        Err(last)
    }

    fn listen(&self, endpoint: &Endpoint) -> io::Result<Box<dyn Listener>> {
        // The standard library sets SO_REUSEADDR: a restart does not wait for old connections to time out.
        let listener = TcpListener::bind(resolve(endpoint)?.as_slice())?;
        Ok(Box::new(TcpAccept {
            address: listener.local_addr()?,
            listener,
            closed: AtomicBool::new(false),
        }))
    }

    fn adopt(&self, mut fds: Vec<OwnedFd>) -> io::Result<Connection> {
        let (Some(fd), true) = (fds.pop(), fds.is_empty()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let stream = TcpStream::from(fd);
        let peer = stream.peer_addr()?;
        connection(stream, peer)
    }
}

fn resolve(endpoint: &Endpoint) -> io::Result<Vec<SocketAddr>> {
    let addresses: Vec<_> = (endpoint.server_address.as_str(), endpoint.port)
        .to_socket_addrs()?
        .collect();
    if addresses.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::AddrNotAvailable,
            format!("{:?} has no address", endpoint.server_address),
        ));
    }
    Ok(addresses)
}

fn connection(stream: TcpStream, peer: SocketAddr) -> io::Result<Connection> {
    stream.set_nodelay(true)?;
    let fd = stream.as_fd();
    sockopt::set_socket_keepalive(fd, true)?;
    sockopt::set_tcp_keepidle(fd, KEEPALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(fd, KEEPALIVE_INTERVAL)?;
    sockopt::set_tcp_keepcnt(fd, KEEPALIVE_COUNT)?;
    socket::connection(stream.into(), PROTOCOL, peer.to_string())
}

struct TcpAccept {
    listener: TcpListener,
    address: SocketAddr,
    closed: AtomicBool,
}

impl Listener for TcpAccept {
    fn accept(&self) -> io::Result<Connection> {
        let accepted = self.listener.accept();
        if self.closed.load(Ordering::Acquire) {
            return Err(io::ErrorKind::NotConnected.into());
        }
        let (stream, peer) = accepted?;
        connection(stream, peer)
    }

    fn address(&self) -> String {
        format!("{PROTOCOL} {}", self.address)
    }

    fn close(&self) {
        self.closed.store(true, Ordering::Release);
        // Linux wakes accept(2) when the listening socket is shut down.
        let _ = rustix::net::shutdown(&self.listener, Shutdown::Both);
    }
}
