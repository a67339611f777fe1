//! Frames: what travels on a session's connection after the handshake.
//!
//! ```text
//!  0      4      6      8               16      20      24              32              40
//!  +------+------+------+----------------+-------+-------+---------------+---------------+
//!  | len  |opcode|flags |   sequence     |thread |context|   bulk        |    trace      |  payload (len)  |  bulk bytes
//!  +------+------+------+----------------+-------+-------+---------------+---------------+
//! ```
//!
//! All integers are little-endian. The payload is decoded by the bounded codec; the bulk bytes never pass through a serializer.

use crate::codec::DecodeError;

/// Bytes of a [`Header`] on the wire.
pub const HEADER_LEN: usize = 40;
/// The longest payload that either end accepts, bytes. Images and copies travel as bulk.
pub const MAX_PAYLOAD: u32 = 16 << 20;
/// The most bulk bytes of one frame.
pub const MAX_BULK: u64 = 1 << 46;

/// Flag: the sender waits for a [`crate::api::core::REPLY`] with this sequence number.
pub const FLAG_WANTS_REPLY: u16 = 1;
/// Flag: the bulk does not follow the payload but comes over the session's [`lanes`](crate::lanes).
pub const FLAG_LANES: u16 = 2;

/// What stands before every payload.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Header {
    /// Payload bytes after the header.
    pub len: u32,
    /// Which command or message it is.
    pub opcode: u16,
    /// `FLAG_*`.
    pub flags: u16,
    /// From the client: the command's number, rising by one over all threads. From the worker: the number of the command that it speaks of.
    pub sequence: u64,
    /// The client's number for the issuing thread.
    pub thread: u32,
    /// From the client: the context that the command is for. In a reply: the CUDA status.
    pub context: u32,
    /// Bulk bytes after the payload.
    pub bulk: u64,
    /// From the client: trace id, 0 for none. From the worker: nanoseconds of its monotonic clock when the frame was written.
    pub trace: u64,
}

impl Header {
    /// The header's bytes.
    #[must_use]
    #[inline]
    pub fn to_bytes(&self) -> [u8; HEADER_LEN] {
        let mut b = [0; HEADER_LEN];
        b[0..4].copy_from_slice(&self.len.to_le_bytes());
        b[4..6].copy_from_slice(&self.opcode.to_le_bytes());
        b[6..8].copy_from_slice(&self.flags.to_le_bytes());
        b[8..16].copy_from_slice(&self.sequence.to_le_bytes());
        b[16..20].copy_from_slice(&self.thread.to_le_bytes());
        b[20..24].copy_from_slice(&self.context.to_le_bytes());
        b[24..32].copy_from_slice(&self.bulk.to_le_bytes());
        b[32..40].copy_from_slice(&self.trace.to_le_bytes());
        b
    }

    /// Reads a header and checks its lengths against the protocol's limits.
    ///
    /// # Errors
    /// [`DecodeError::TooLong`] for a payload or bulk beyond [`MAX_PAYLOAD`], [`MAX_BULK`].
    #[inline]
    pub fn from_bytes(b: &[u8; HEADER_LEN]) -> Result<Self, DecodeError> {
        let u32_at = |i: usize| u32::from_le_bytes([b[i], b[i + 1], b[i + 2], b[i + 3]]);
        let u64_at = |i: usize| u64::from(u32_at(i)) | u64::from(u32_at(i + 4)) << 32;
        let header = Self {
            len: u32_at(0),
            opcode: u16::from_le_bytes([b[4], b[5]]),
            flags: u16::from_le_bytes([b[6], b[7]]),
            sequence: u64_at(8),
            thread: u32_at(16),
            context: u32_at(20),
            bulk: u64_at(24),
            trace: u64_at(32),
        };
        if header.len > MAX_PAYLOAD {
            return Err(DecodeError::TooLong(u64::from(header.len)));
        }
        if header.bulk > MAX_BULK {
            return Err(DecodeError::TooLong(header.bulk));
        }
        Ok(header)
    }

    /// Whether the bulk comes over the lanes.
    #[must_use]
    #[inline]
    pub fn over_lanes(&self) -> bool {
        self.flags & FLAG_LANES != 0
    }

    /// Whether the client waits for a reply.
    #[must_use]
    #[inline]
    pub fn wants_reply(&self) -> bool {
        self.flags & FLAG_WANTS_REPLY != 0
    }
}
