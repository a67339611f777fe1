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
/// What `sockaddr_un` holds, less the NUL behind it.
const LONGEST_PATH: usize = 107;

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
        let stream = UnixStream::connect(path).map_err(|e| explained(path, e))?;
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
        }
        .map_err(|e| explained(path, e))?;
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

/// What is wrong with a path, where the system's words for it are those for ports.
fn explained(path: &Path, error: io::Error) -> io::Error {
    let kind = error.kind();
    let socket = || std::fs::symlink_metadata(path).map(|meta| meta.file_type().is_socket());
    let directory = path.parent().unwrap_or(Path::new("/"));
    let message = match kind {
        io::ErrorKind::InvalidInput => format!(
            "a socket's path has at most {LONGEST_PATH} bytes, this one {}",
            path.as_os_str().len()
        ),
        io::ErrorKind::NotFound if !directory.is_dir() => {
            format!("there is no directory {}", directory.display())
        }
        io::ErrorKind::AddrInUse | io::ErrorKind::ConnectionRefused
            if socket().is_ok_and(|is| !is) =>
        {
            "there is a file of that name, which is no socket".to_owned()
        }
        _ => return error,
    };
    io::Error::new(kind, message)
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
