//! `properties.json`: GVirtuS's own, old and new, with our additions.
//!
//! # Layout
//! * [`Endpoint`]: where a backend is reached.
//! * [`Properties`] (`properties`): everything the file says, checked.
//! * [`Client`], [`client()`]: what a program's session needs, from environment and file.
//! * `json`: the reader that knows where each value stands.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

mod client;
mod json;
mod properties;

pub use client::{Client, client, client_from, find, lanes, lends, overlooked_home};
pub use properties::{Cpu, DeviceChoice, Properties, Tenant};

/// Where a backend listens, or is reached.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Name of the communicator, never an alias.
    pub protocol: String,
    /// Host name or address; empty for protocols that use a path.
    pub server_address: String,
    /// Port; 0 lets a listener choose.
    pub port: u16,
    /// Path, for `unix` and `shm`.
    pub path: Option<PathBuf>,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) => write!(f, "{}://{}", self.protocol, path.display()),
            None if self.server_address.contains(':') => {
                write!(
                    f,
                    "{}://[{}]:{}",
                    self.protocol, self.server_address, self.port
                )
            }
            None => write!(
                f,
                "{}://{}:{}",
                self.protocol, self.server_address, self.port
            ),
        }
    }
}

impl FromStr for Endpoint {
    type Err = String;

    /// Reads `tcp://host:port`, `tcp://[v6]:port`, `unix:///path`, `shm:///path`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            "this is no endpoint; accepted: tcp://host:port, unix:///path, shm:///path".to_owned()
        };
        let (protocol, rest) = text.split_once("://").ok_or_else(wrong)?;
        let communicator =
            crate::communicator::by_protocol(protocol).ok_or_else(|| unknown_protocol(protocol))?;
        let protocol = communicator.protocol().to_owned();
        if rest.starts_with('/') {
            return Ok(Self {
                protocol,
                server_address: String::new(),
                port: 0,
                path: Some(rest.into()),
            });
        }
        let (host, port) = rest
            .trim_end_matches('/')
            .rsplit_once(':')
            .ok_or_else(wrong)?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() || communicator.by_path() {
            return Err(wrong());
        }
        Ok(Self {
            protocol,
            server_address: host.to_owned(),
            port: port.parse().map_err(|_| wrong())?,
            path: None,
        })
    }
}

fn unknown_protocol(protocol: &str) -> String {
    format!(
        "protocol {protocol:?} is unknown; accepted: {}",
        crate::communicator::protocols().join(", ")
    )
}

/// A shared secret of a tenant. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Vec<u8>);

impl Token {
    /// A token of these bytes.
    #[must_use]
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// Reads a file that holds a token, less the white space around it.
    ///
    /// # Errors
    /// An unreadable or empty file.
    pub fn read(path: &Path) -> io::Result<Self> {
        let bytes = std::fs::read(path)?;
        let token = bytes.trim_ascii();
        if token.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the file is empty",
            ));
        }
        Ok(Self(token.to_vec()))
    }

    /// The secret.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Why there is no usable configuration. Its text says where, what stands there, and what is accepted.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}: {source}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something in the file is not understood.
    #[error("{}:{line}:{column}: {message}", file.display())]
    Invalid {
        /// The file.
        file: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What, and what is accepted.
        message: String,
    },
    /// An environment variable is not understood.
    #[error("{variable}={value:?}: {message}")]
    Environment {
        /// Its name.
        variable: &'static str,
        /// What it says.
        value: String,
        /// What, and what is accepted.
        message: String,
    },
    /// No file where we looked.
    #[error(
        "no configuration found (looked at {}); set GVIRTUS_ENDPOINT=tcp://host:port or GVIRTUS_CONFIG=/path/of/properties.json",
        looked.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ")
    )]
    NotFound {
        /// Where.
        looked: Vec<PathBuf>,
    },
}

impl ConfigError {
    fn at(file: &Path, place: json::Place, message: impl Into<String>) -> Self {
        Self::Invalid {
            file: file.to_owned(),
            line: place.line,
            column: place.column,
            message: message.into(),
        }
    }
}
