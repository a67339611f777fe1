//! The handshake's messages, and how they are read from an end that nobody has vouched for yet.

use std::io::{self, IoSlice};
use std::time::{Duration, Instant};

use bincode::error::DecodeError;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::auth::{Nonce, Proof};
use crate::communicator::{Receiver, Sender};

/// The longest message, bytes.
pub const MAX_MESSAGE: usize = 1 << 20;
/// The longest text in a message, bytes.
const MAX_TEXT: usize = 4096;
const MAX_COMMANDS: usize = 8192;

/// First bytes of both directions.
pub(super) const MAGIC: [u8; 8] = *b"GVirtuS\n";
/// Magic and two version numbers.
pub(super) const PREAMBLE: usize = 12;

/// What the client wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// A session.
    Session,
    /// The backend's state as JSON.
    Status,
    /// A further connection for a session that exists: a lane for large payloads.
    Lane {
        /// As admitted.
        session: u64,
        /// As admitted: who does not know it cannot join.
        token: Nonce,
        /// Which one, from 0; each can be had once.
        number: u8,
        /// How many there will be.
        of: u8,
    },
}

/// Which session the client means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Identity {
    /// A new one.
    New,
    /// One whose connection broke.
    Resume {
        /// As admitted.
        session: u64,
        /// As admitted.
        token: Nonce,
        /// Last reply or push that the client has.
        received: u64,
        /// Last command that the client knows to be executed.
        acknowledged: u64,
    },
}

/// The client's opening.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// What it wants.
    pub kind: Kind,
    /// Opcode and schema revision of every command that it knows.
    pub commands: Vec<(u16, u16)>,
    /// Which session.
    pub identity: Identity,
    /// Who it claims to be.
    pub tenant: Option<String>,
    /// Its contribution to the proofs.
    pub nonce: Nonce,
    /// Name of its host, for logs and status.
    pub host: String,
    /// Its process id, for logs and status.
    pub pid: u32,
    /// Its program, for logs and status.
    pub program: String,
    /// Variables for the worker; names that are not in [`ENVIRONMENT`](super::ENVIRONMENT) are refused.
    pub environment: Vec<(String, String)>,
    /// Whether it would go on over shared memory.
    pub shared_memory: bool,
}

impl Hello {
    /// Limits that the encoding does not enforce.
    pub(super) fn check(&self) -> Result<(), String> {
        let texts = [&self.host, &self.program]
            .into_iter()
            .chain(&self.tenant)
            .chain(self.environment.iter().map(|(_, value)| value));
        for text in texts {
            if text.len() > MAX_TEXT || text.contains('\0') {
                return Err("a text in it is too long or holds a NUL".into());
            }
        }
        if self.commands.len() > MAX_COMMANDS {
            return Err(format!("it lists {} commands", self.commands.len()));
        }
        for (i, (name, _)) in self.environment.iter().enumerate() {
            if !super::ENVIRONMENT.contains(&name.as_str())
                || self.environment[..i].iter().any(|(n, _)| n == name)
            {
                return Err("it sets a variable that is not allowed, or one twice".into());
            }
        }
        Ok(())
    }
}

/// The backend's question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Challenge {
    pub(super) nonce: Nonce,
    pub(super) auth_required: bool,
}

/// The client's answer; without a token it proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Auth {
    pub(super) proof: Option<Proof>,
}

/// The end of the handshake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Verdict {
    Admitted {
        session: u64,
        resume_token: Nonce,
        commands: Vec<(u16, u16)>,
        /// The worker's memory comes next, over the socket.
        shared_memory: bool,
        /// The most lanes that may join, 0 for none.
        lanes: u8,
        /// What joining takes.
        lane_token: Nonce,
    },
    /// The connection is a lane from here on.
    Joined,
    Status {
        json: String,
    },
    Refused {
        reason: u16,
        message: String,
    },
}

/// An encoded [`Verdict`] with the backend's proof over it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sealed {
    pub(super) verdict: Vec<u8>,
    pub(super) proof: Option<Proof>,
}

fn encoding() -> impl bincode::config::Config {
    bincode::config::standard().with_limit::<MAX_MESSAGE>()
}

/// Encodes a message.
pub(super) fn encode(message: &impl Serialize) -> io::Result<Vec<u8>> {
    bincode::serde::encode_to_vec(message, encoding())
        .ok()
        .filter(|bytes| bytes.len() <= MAX_MESSAGE)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the message is too long"))
}

/// Decodes a message. Bytes left over are the fields of a newer version and ignored.
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    Ok(bincode::serde::decode_from_slice(bytes, encoding())?.0)
}

/// Decodes `bytes` as each of the messages: for fuzzing. Returns how many it can be.
#[must_use]
pub fn decode_any(bytes: &[u8]) -> usize {
    let hello = decode::<Hello>(bytes).is_ok_and(|hello| hello.check().is_ok());
    let challenge = decode::<Challenge>(bytes).is_ok();
    let auth = decode::<Auth>(bytes).is_ok();
    let verdict = decode::<Verdict>(bytes).is_ok();
    let sealed = decode::<Sealed>(bytes).is_ok();
    [hello, challenge, auth, verdict, sealed]
        .into_iter()
        .filter(|ok| *ok)
        .count()
}

/// A moment by which the handshake must be over, however slowly the other end drips its bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline(Instant);

impl Deadline {
    pub(super) fn after(timeout: Duration) -> Self {
        Self(Instant::now() + timeout)
    }

    pub(super) fn read_exact(
        self,
        receiver: &mut dyn Receiver,
        mut into: &mut [u8],
    ) -> io::Result<()> {
        while !into.is_empty() {
            let left = self.0.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            receiver.set_timeout(Some(left))?;
            match receiver.read(into) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => into = &mut into[n..],
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Reads one message's body. Memory grows with the bytes that come, not with the length that was claimed.
    pub(super) fn read_message(self, receiver: &mut dyn Receiver) -> io::Result<Vec<u8>> {
        const STEP: usize = 16 << 10;
        let mut len = [0; 4];
        self.read_exact(receiver, &mut len)?;
        let len = u32::from_le_bytes(len) as usize;
        if len > MAX_MESSAGE {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("a handshake message of {len} bytes"),
            ));
        }
        let mut body = Vec::new();
        while body.len() < len {
            let start = body.len();
            body.resize(len.min(start + STEP), 0);
            self.read_exact(receiver, &mut body[start..])?;
        }
        Ok(body)
    }
}

/// Sends a preamble (or nothing) and one message.
pub(super) fn send(sender: &mut dyn Sender, preamble: &[u8], body: &[u8]) -> io::Result<()> {
    let len = u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes();
    sender.send_vectored(&[
        IoSlice::new(preamble),
        IoSlice::new(&len),
        IoSlice::new(body),
    ])
}

/// Magic and two version numbers.
pub(super) fn preamble(first: u16, second: u16) -> [u8; PREAMBLE] {
    let mut out = [0; PREAMBLE];
    out[..8].copy_from_slice(&MAGIC);
    out[8..10].copy_from_slice(&first.to_le_bytes());
    out[10..].copy_from_slice(&second.to_le_bytes());
    out
}

/// The two version numbers of a preamble; `None` if it does not begin with the magic.
pub(super) fn parse_preamble(bytes: &[u8; PREAMBLE]) -> Option<(u16, u16)> {
    let number = |i: usize| u16::from_le_bytes([bytes[i], bytes[i + 1]]);
    (bytes[..8] == MAGIC).then(|| (number(8), number(10)))
}

pub(super) fn invalid(what: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_string())
}
