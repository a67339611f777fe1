//! Why a handshake failed, what CUDA says to the program then, and what to do about it.

use std::io;

/// `CUDA_ERROR_NOT_PERMITTED`.
const NOT_PERMITTED: i32 = 800;
/// `CUDA_ERROR_SYSTEM_NOT_READY`.
const SYSTEM_NOT_READY: i32 = 802;
/// `CUDA_ERROR_SYSTEM_DRIVER_MISMATCH`.
const SYSTEM_DRIVER_MISMATCH: i32 = 803;

/// Why a backend refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// No protocol version in common.
    Version,
    /// Unknown tenant, wrong token, or none.
    Auth,
    /// As many sessions as it may have.
    Busy,
    /// Its device or its workers do not work.
    Unavailable,
    /// The session to be resumed is not there.
    NoSuchSession,
    /// A message broke the protocol.
    Malformed,
    /// It is about to stop.
    Stopping,
    /// A reason of a newer backend.
    Other(u16),
}

impl Reason {
    /// Number on the wire.
    #[must_use]
    pub fn code(self) -> u16 {
        match self {
            Self::Version => 1,
            Self::Auth => 2,
            Self::Busy => 3,
            Self::Unavailable => 4,
            Self::NoSuchSession => 5,
            Self::Malformed => 6,
            Self::Stopping => 7,
            Self::Other(code) => code,
        }
    }

    /// Reason of a number.
    #[must_use]
    pub fn of(code: u16) -> Self {
        match code {
            1 => Self::Version,
            2 => Self::Auth,
            3 => Self::Busy,
            4 => Self::Unavailable,
            5 => Self::NoSuchSession,
            6 => Self::Malformed,
            7 => Self::Stopping,
            other => Self::Other(other),
        }
    }
}

/// Why a client has no session. The text names the endpoint and what to do.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// No connection.
    #[error(
        "no backend at {endpoint}: {source}; start gvirtus-backend there, or correct the endpoint (properties.json, GVIRTUS_ENDPOINT)"
    )]
    Connect {
        /// Where.
        endpoint: String,
        /// Why.
        source: io::Error,
    },
    /// The connection broke, or the backend took too long.
    #[error(
        "the backend at {endpoint} broke off the handshake: {source}; its log says why (gvirtus doctor checks the path)"
    )]
    Io {
        /// Where.
        endpoint: String,
        /// Why.
        source: io::Error,
    },
    /// Something listens there and says nothing.
    #[error(
        "what listens at {endpoint} has said nothing for {} s; check that it is gvirtus-backend, and that it is not stopped",
        patience.as_secs_f32()
    )]
    Silent {
        /// Where.
        endpoint: String,
        /// How long we waited.
        patience: std::time::Duration,
    },
    /// Something else answers there.
    #[error(
        "what answers at {endpoint} is no GVirtuS backend of this kind; check the port, and that both ends are of the same generation"
    )]
    NotABackend {
        /// Where.
        endpoint: String,
    },
    /// No protocol version in common.
    #[error(
        "the backend at {endpoint} speaks protocol version {backend}, this client {client}; install the same release on both ends"
    )]
    Version {
        /// Where.
        endpoint: String,
        /// The backend's newest.
        backend: u16,
        /// Our newest.
        client: u16,
    },
    /// The backend wants a token and there is none.
    #[error(
        "the backend at {endpoint} wants credentials; set tenant and token_file in properties.json, or GVIRTUS_TENANT and GVIRTUS_TOKEN_FILE"
    )]
    NoToken {
        /// Where.
        endpoint: String,
    },
    /// The backend does not know our token: it may not be ours.
    #[error(
        "the backend at {endpoint} could not prove that it knows the token of tenant {tenant:?}; it is not the one you mean, or it has no tenants configured (then remove the token here)"
    )]
    BackendNotProven {
        /// Where.
        endpoint: String,
        /// Who we are.
        tenant: String,
    },
    /// The backend said no.
    #[error("the backend at {endpoint} refuses: {message}")]
    Refused {
        /// Where.
        endpoint: String,
        /// Why.
        reason: Reason,
        /// In its words.
        message: String,
    },
}

impl HandshakeError {
    /// What CUDA calls return to the program.
    #[must_use]
    pub fn cuda_status(&self) -> i32 {
        match self {
            Self::Connect { .. } | Self::Io { .. } | Self::Silent { .. } => SYSTEM_NOT_READY,
            Self::NotABackend { .. } | Self::Version { .. } => SYSTEM_DRIVER_MISMATCH,
            Self::NoToken { .. } | Self::BackendNotProven { .. } => NOT_PERMITTED,
            Self::Refused { reason, .. } => match reason {
                Reason::Version | Reason::Malformed => SYSTEM_DRIVER_MISMATCH,
                Reason::Auth => NOT_PERMITTED,
                Reason::Busy
                | Reason::Unavailable
                | Reason::NoSuchSession
                | Reason::Stopping
                | Reason::Other(_) => SYSTEM_NOT_READY,
            },
        }
    }
}

/// Why a backend did not admit a connection.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The connection broke or the time was up.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// What came does not begin like a client.
    #[error("it does not speak our protocol")]
    NotAClient,
    /// No protocol version in common.
    #[error("it speaks protocol versions {oldest} to {newest}")]
    Version {
        /// The client's oldest.
        oldest: u16,
        /// The client's newest.
        newest: u16,
    },
    /// A message that is none.
    #[error("malformed message: {0}")]
    Malformed(String),
    /// It does not know the token.
    #[error("wrong credentials for tenant {0:?}")]
    Auth(String),
}
