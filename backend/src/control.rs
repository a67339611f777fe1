//! What daemon and worker say to each other, over a socket pair that is the worker's standard input.
//!
//! Each message is a `u32` length (little-endian) and JSON. The daemon sends [`ToWorker::Setup`], and once there is a client [`ToWorker::Session`] with the
//! connection's descriptors attached to its first byte. When either end closes, the other is gone: a worker without a daemon exits.
#![forbid(unsafe_code)]

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The longest message, bytes.
pub(crate) const MAX_MESSAGE: usize = 1 << 20;

/// From the daemon.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToWorker {
    /// Load these plugins and make the device ready.
    Setup {
        /// Name and library of each plugin.
        plugins: Vec<(String, PathBuf)>,
        /// Passed to their `create`.
        config: Value,
    },
    /// Are you there? Asked before a client is told that it is admitted.
    Ping,
    /// Serve this session.
    Session {
        /// The daemon's number, for logs.
        session: u64,
        /// The communicator that the descriptors belong to.
        protocol: String,
        /// Who the client is, for logs.
        client: String,
        /// Opcodes that both ends know.
        opcodes: Vec<u16>,
        /// Go on over shared memory, and say so to the client first.
        shared_memory: bool,
        /// Whose session it is, where there are tenants.
        tenant: Option<String>,
        /// Whether lanes may join it.
        lanes: bool,
    },
    /// A lane joins the session; its descriptors are attached.
    Lane {
        /// The communicator that the descriptors belong to.
        protocol: String,
        /// How many there will be.
        of: u8,
    },
    /// Answer to [`FromWorker::AskSessions`]: those of the same tenant.
    Sessions(Vec<SessionInfo>),
}

/// A session, as other sessions of its tenant may know it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SessionInfo {
    /// Process id of its worker.
    pub(crate) worker: u32,
    /// Process id of its client, on the client's host.
    pub(crate) pid: u32,
    /// The client's host, by its own word.
    pub(crate) host: String,
    /// The client's program, by its own word.
    pub(crate) program: String,
}

/// From the worker.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum FromWorker {
    /// Plugins are loaded, the device is ready.
    Ready(Ready),
    /// They are not, and will not be.
    Failed(String),
    /// Answer to [`ToWorker::Ping`].
    Pong,
    /// Which sessions are there? Asked once there is a client.
    AskSessions,
    /// What the session has done so far.
    Counters(Counters),
}

/// What a worker has.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Ready {
    /// Names of its devices, in order.
    pub(crate) devices: Vec<String>,
    /// Whether it is the CPU device.
    pub(crate) cpu: bool,
    /// `cuDriverGetVersion`.
    pub(crate) driver_version: i32,
    /// Plugins that work.
    pub(crate) plugins: Vec<String>,
    /// Plugins that do not, and why.
    pub(crate) failed_plugins: Vec<(String, String)>,
}

/// What a session has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counters {
    /// Frames from the client.
    pub(crate) frames: u64,
    /// Bytes from the client, frames and bulk.
    pub(crate) bytes_in: u64,
    /// Bytes to the client.
    pub(crate) bytes_out: u64,
}

/// A message as it travels.
pub(crate) fn encode(message: &impl Serialize) -> std::io::Result<Vec<u8>> {
    let body = serde_json::to_vec(message)?;
    let mut out = u32::try_from(body.len())
        .map_err(std::io::Error::other)?
        .to_le_bytes()
        .to_vec();
    out.extend_from_slice(&body);
    Ok(out)
}

/// Exit codes of a worker.
pub(crate) mod exit {
    /// The client ended the session.
    pub(crate) const CLIENT_GONE: i32 = 0;
    /// The client broke the protocol.
    pub(crate) const VIOLATION: i32 = 20;
    /// A plugin or the device is not usable.
    pub(crate) const NOT_READY: i32 = 21;
    /// The daemon is gone.
    pub(crate) const DAEMON_GONE: i32 = 22;
    /// A plugin gave up.
    pub(crate) const PLUGIN: i32 = 23;
    /// The worker itself panicked.
    pub(crate) const PANIC: i32 = 24;

    /// What a code means.
    pub(crate) fn meaning(code: i32) -> &'static str {
        match code {
            CLIENT_GONE => "the client ended it",
            VIOLATION => "the client broke the protocol",
            NOT_READY => "the device or a plugin is not usable",
            DAEMON_GONE => "the daemon is gone",
            PLUGIN => "a plugin gave up",
            PANIC => "the worker panicked",
            _ => "of its own accord",
        }
    }
}
