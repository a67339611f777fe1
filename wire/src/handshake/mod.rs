//! How a session begins.
//!
//! ```text
//! client                                        backend
//!   magic, newest and oldest version, Hello  →
//!                                            ←  magic, chosen version, newest version, Challenge
//!   Auth                                     →
//!                                            ←  Verdict: admitted, status, or refused and why
//! ```
//!
//! Every message is a `u32` length (little-endian, at most [`MAX_MESSAGE`]) and a `bincode` body. The preamble has the same form for ever, so that two ends of any age
//! can say why they do not fit. After "admitted" the connection belongs to a worker, whose first frame is a [`SNAPSHOT`](crate::api::core::SNAPSHOT).
//!
//! # Layout
//! * `message`: the messages and their bounded encoding.
//! * `client`: [`open`], [`status`], [`lane`], [`client()`]. `server`: [`server()`], [`Request`].
//! * `error`: [`HandshakeError`], [`Reason`].

mod client;
mod error;
mod message;
mod server;

pub use client::{Admitted, ClientParams, client, lane, open, status};
pub use error::{HandshakeError, Reason, ServerError};
pub use message::{Hello, Identity, Kind, MAX_MESSAGE, decode_any};
pub use server::{LaneDoor, Request, ServerParams, server};

/// Protocol version of this build. Raise it when a handshake message, the frame format or what the ends of a ring expect of each other changes.
pub const VERSION: u16 = 4;
/// Oldest version that this build still speaks. Ends of version 3 wake one sleeper of a ring where there may be two since.
pub const OLDEST_VERSION: u16 = 4;

/// Environment variables that the driver or the libraries read and that a client may therefore set for its worker. Nothing that names files belongs here.
pub const ENVIRONMENT: &[&str] = &[
    "CUBLASLT_DISABLE_ONEDNN",
    "CUBLAS_WORKSPACE_CONFIG",
    "CUDA_AUTO_BOOST",
    // Not its path: files of the box are none of a client's business.
    "CUDA_CACHE_DISABLE",
    "CUDA_CACHE_MAXSIZE",
    "CUDA_DEVICE_MAX_CONNECTIONS",
    "CUDA_DEVICE_MAX_COPY_CONNECTIONS",
    "CUDA_DEVICE_ORDER",
    "CUDA_DISABLE_PTX_JIT",
    "CUDA_FORCE_JIT",
    "CUDA_FORCE_PTX_JIT",
    "CUDA_MODULE_DATA_LOADING",
    "CUDA_MODULE_LOADING",
    "CUDA_SCALE_LAUNCH_QUEUES",
    "CUDA_VISIBLE_DEVICES",
    "NVIDIA_TF32_OVERRIDE",
];

/// Opcode and schema revision of every command that this build knows.
#[must_use]
pub fn commands() -> Vec<(u16, u16)> {
    [
        crate::api::core::COMMANDS,
        crate::api::nvml_call::COMMANDS,
        &crate::api::library::CUBLAS_COMMANDS,
        &crate::api::library::CUDNN_COMMANDS,
        &crate::api::library::CUFFT_COMMANDS,
        &crate::api::library::CUBLASLT_COMMANDS,
        &crate::api::library::CURAND_COMMANDS,
    ]
    .iter()
    .flat_map(|table| table.iter())
    .map(|command| (command.opcode, command.revision))
    .collect()
}

/// The version that two ends speak, each given as (oldest, newest); `None` if they have none in common.
#[must_use]
pub fn negotiate(ours: (u16, u16), theirs: (u16, u16)) -> Option<u16> {
    let version = ours.1.min(theirs.1);
    (version >= ours.0.max(theirs.0)).then_some(version)
}

#[cfg(test)]
mod tests {
    use super::negotiate;

    #[test]
    fn neighbouring_versions_work_together() {
        assert_eq!(negotiate((1, 2), (2, 3)), Some(2));
        assert_eq!(negotiate((2, 3), (1, 2)), Some(2));
        assert_eq!(negotiate((1, 1), (1, 2)), Some(1));
        assert_eq!(negotiate((1, 2), (3, 4)), None);
        assert_eq!(negotiate((3, 4), (1, 2)), None);
        // Nonsense from the other end.
        assert_eq!(negotiate((1, 1), (9, 1)), None);
    }
}
