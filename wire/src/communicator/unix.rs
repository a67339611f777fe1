//! `unix`: stream sockets on one host, named by a path. Who may connect is a matter of the path's permissions.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::fs::Mode;
use rustix::net::Shutdown;
use rustix::net::sockopt::socket_peercred;
use rustix::process::umask;

use super::{Communicator, Connection, Listener, socket};
use crate::config::Endpoint;

const PROTOCOL: &str = "unix";

/// The transport.
#[derive(Debug)]
pub(super) struct Unix;

impl Communicator for Unix {
    fn protocol(&self) -> &'static str {
        PROTOCOL
    }

    fn by_path(&self) -> bool {
        true
    }

    fn has_lanes(&self) -> bool {
        true
    }

    fn is_local(&self, _: &Endpoint) -> io::Result<bool> {
        Ok(true)
    }

    fn connect(&self, endpoint: &Endpoint, _: Duration) -> io::Result<Connection> {
        let path = path(endpoint)?;
        let stream = UnixStream::connect(path)?;
        socket::connection(stream.into(), PROTOCOL, path.display().to_string())
    }

    fn listen(&self, endpoint: &Endpoint) -> io::Result<Box<dyn Listener>> {
        let path = path(endpoint)?;
        let listener = match bind(path) {
            Err(e) if e.kind() == io::ErrorKind::AddrInUse && is_stale(path) => {
                std::fs::remove_file(path)?;
                bind(path)
            }
            other => other,
        }?;
        Ok(Box::new(UnixAccept {
            listener,
            path: path.to_owned(),
            closed: AtomicBool::new(false),
        }))
    }

    fn adopt(&self, mut fds: Vec<OwnedFd>) -> io::Result<Connection> {
        let (Some(fd), true) = (fds.pop(), fds.is_empty()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        accepted(fd)
    }
}

fn path(endpoint: &Endpoint) -> io::Result<&Path> {
    endpoint.path.as_deref().ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("protocol {:?} needs endpoint.path", endpoint.protocol),
        )
    })
}

/// Binds for the owner alone, from the first moment: sessions of other users need a decision of the administrator (chmod, or a directory with an ACL).
fn bind(path: &Path) -> io::Result<UnixListener> {
    let before = umask(Mode::from_raw_mode(0o177));
    let listener = UnixListener::bind(path);
    umask(before);
    listener
}

/// A socket that a dead daemon left behind: it is a socket, and nobody answers.
fn is_stale(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_socket())
        && UnixStream::connect(path).is_err_and(|e| e.kind() == io::ErrorKind::ConnectionRefused)
}

fn accepted(fd: OwnedFd) -> io::Result<Connection> {
    let peer = match socket_peercred(&fd) {
        Ok(cred) => format!(
            "pid {} uid {}",
            cred.pid.as_raw_nonzero(),
            cred.uid.as_raw()
        ),
        Err(_) => "local process".to_owned(),
    };
    socket::connection(fd, PROTOCOL, peer)
}

struct UnixAccept {
    listener: UnixListener,
    path: PathBuf,
    closed: AtomicBool,
}

impl Listener for UnixAccept {
    fn accept(&self) -> io::Result<Connection> {
        let next = self.listener.accept();
        if self.closed.load(Ordering::Acquire) {
            return Err(io::ErrorKind::NotConnected.into());
        }
        let (stream, _) = next?;
        accepted(stream.into())
    }

    fn address(&self) -> String {
        format!("{PROTOCOL} {}", self.path.display())
    }

    fn close(&self) {
        if !self.closed.swap(true, Ordering::AcqRel) {
            let _ = std::fs::remove_file(&self.path);
        }
        let _ = rustix::net::shutdown(&self.listener, Shutdown::Both);
    }
}
