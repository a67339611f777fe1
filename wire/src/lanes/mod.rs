//! Lanes: further connections of a session, beside the stream of commands, that carry large payloads in chunks.
//!
//! A frame with [`FLAG_LANES`](crate::frame::FLAG_LANES) has its bulk on the lanes. Payloads are not named in the frame: both ends count such frames, each direction for
//! itself. Each lane carries chunks, whichever payload they belong to:
//!
//! ```text
//!  0                8                16       20       24
//!  +----------------+----------------+--------+--------+
//!  | payload        |   offset       | length | "lane" |  bytes (length)
//!  +----------------+----------------+--------+--------+
//! ```
//!
//! A lane takes the next chunk when it is free, so a slow one holds nobody up. Chunks leave in the order in which their payloads were announced; whoever receives may
//! therefore wait with a chunk in hand until its payload is announced and has a place, without a deadlock.
//!
//! # Layout
//! * here: the chunk's header. `outgoing`, `incoming`: the two directions, for any number of connections each.

mod incoming;
mod outgoing;

pub use incoming::{Incoming, Payload};
pub use outgoing::{Outgoing, Ticket};

use parking_lot::Condvar;

use crate::codec::DecodeError;
use crate::frame::MAX_BULK;

/// Bulk of at least so many bytes goes over the lanes, where there are some.
pub const SMALLEST: u64 = 512 << 10;
/// The most bytes of a chunk.
pub const CHUNK: usize = 512 << 10;
/// The most lanes of a session.
pub const MOST: usize = 16;
/// Bytes of a [`ChunkHeader`].
pub const HEADER_LEN: usize = 24;

/// Stands at the end of every header: a reader that has lost its place notices.
const MARK: [u8; 4] = *b"lane";

/// Wakes at most so many who wait, all at once: the lock must be free. `notify_all` would wake one and hand the others to the lock, so that each wakes the next, which takes tens of microseconds each time where processors
/// are virtual.
fn wake(waiting: &Condvar, most: usize) {
    for _ in 0..most {
        if !waiting.notify_one() {
            return;
        }
    }
}

/// [`wake`] for all.
fn wake_all(waiting: &Condvar) {
    // Lanes, and who executes the command.
    wake(waiting, MOST + 1);
    waiting.notify_all();
}

/// What stands before a chunk's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkHeader {
    /// The how-manieth payload of its direction, from 0.
    pub payload: u64,
    /// Where in it the bytes belong.
    pub offset: u64,
    /// Bytes, at most [`CHUNK`] and at least one.
    pub len: u32,
}

impl ChunkHeader {
    /// The header's bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; HEADER_LEN] {
        let mut b = [0; HEADER_LEN];
        b[0..8].copy_from_slice(&self.payload.to_le_bytes());
        b[8..16].copy_from_slice(&self.offset.to_le_bytes());
        b[16..20].copy_from_slice(&self.len.to_le_bytes());
        b[20..24].copy_from_slice(&MARK);
        b
    }

    /// Reads a header and checks its numbers against the limits.
    ///
    /// # Errors
    /// [`DecodeError::Invalid`] without the mark, [`DecodeError::TooLong`] for numbers beyond the limits.
    pub fn from_bytes(b: &[u8; HEADER_LEN]) -> Result<Self, DecodeError> {
        let u32_at = |i: usize| u32::from_le_bytes([b[i], b[i + 1], b[i + 2], b[i + 3]]);
        let u64_at = |i: usize| u64::from(u32_at(i)) | u64::from(u32_at(i + 4)) << 32;
        if b[20..24] != MARK {
            return Err(DecodeError::Invalid("chunk"));
        }
        let header = Self {
            payload: u64_at(0),
            offset: u64_at(8),
            len: u32_at(16),
        };
        if header.len == 0 || header.len as usize > CHUNK {
            return Err(DecodeError::TooLong(u64::from(header.len)));
        }
        if header.offset > MAX_BULK {
            return Err(DecodeError::TooLong(header.offset));
        }
        Ok(header)
    }

    /// Where its bytes end in the payload.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.offset + u64::from(self.len)
    }
}
