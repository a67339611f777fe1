//! The incoming side of a session: frames and bulk, checked, through one buffer.
#![forbid(unsafe_code)]

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gvirtus_wire::codec::DecodeError;
use gvirtus_wire::communicator::{Receiver, watch};
use gvirtus_wire::frame::{HEADER_LEN, Header};
use gvirtus_wire::lanes::{Incoming, Payload};

/// Bytes read ahead. Bulk of at least [`DIRECT`] bytes goes past the buffer, straight to where it belongs.
const BUFFER: usize = 256 << 10;
const DIRECT: u64 = 16 << 10;

/// How long the next frame is looked for while no thread waits for the GPU: it often comes at once.
pub(super) const BETWEEN_FRAMES: Duration = Duration::from_micros(100);

/// Why no more frames come.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    /// The client has closed, or its connection broke.
    #[error("the connection ended: {0}")]
    Connection(#[from] io::Error),
    /// A header or payload that cannot be.
    #[error("malformed frame: {0}")]
    Malformed(#[from] DecodeError),
    /// A number left out or used twice.
    #[error("frame {got} came where {expected} was due")]
    Sequence {
        /// Due.
        expected: u64,
        /// Came.
        got: u64,
    },
}

/// Frames and bytes that came in; read by the one who reports.
#[derive(Debug, Default)]
pub(super) struct Received {
    pub(super) frames: AtomicU64,
    pub(super) bytes: AtomicU64,
}

/// The incoming half; whoever has it may read.
pub(super) struct Input {
    receiver: Box<dyn Receiver>,
    buffer: Box<[u8]>,
    /// The part of `buffer` that is filled and not consumed.
    at: usize,
    end: usize,
    /// Bulk of the current frame that nobody has read yet.
    bulk: u64,
    /// Where bulk comes that does not follow its frame.
    lanes: Option<&'static Incoming>,
    /// The current frame's, if it is such.
    pub(super) over_lanes: Option<Arc<Payload>>,
    /// `None` before the first frame.
    last_sequence: Option<u64>,
    received: Arc<Received>,
    /// Whether a frame came since the plugins were last told that the input is idle.
    pub(super) busy: bool,
}

impl Input {
    pub(super) fn new(
        receiver: Box<dyn Receiver>,
        received: Arc<Received>,
        lanes: Option<&'static Incoming>,
    ) -> Self {
        Self {
            receiver,
            buffer: vec![0; BUFFER].into_boxed_slice(),
            at: 0,
            end: 0,
            bulk: 0,
            lanes,
            over_lanes: None,
            last_sequence: None,
            received,
            busy: false,
        }
    }

    /// Whether the next frame has begun to arrive: reads what is there. An error counts, and so does the end: the next read meets it, too.
    pub(super) fn ready(&mut self) -> bool {
        if self.at < self.end {
            return true;
        }
        match self.receiver.try_read(&mut self.buffer) {
            Ok(None) => false,
            Ok(Some(n)) => {
                self.count(n);
                (self.at, self.end) = (0, n);
                true
            }
            Err(_) => true,
        }
    }

    fn count(&self, bytes: usize) {
        let received = &self.received.bytes;
        received.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Looks for the next frame without sleeping while `waits` says that another thread executes, and for a little after.
    pub(super) fn look(&mut self, waits: impl Fn() -> bool) {
        watch(BETWEEN_FRAMES, || self.ready(), waits);
    }

    /// Waits for the next frame and reads its header and payload. What was left of the previous frame's bulk is skipped.
    pub(super) fn next(&mut self, payload: &mut Vec<u8>) -> Result<Header, End> {
        self.skip_bulk()?;
        let mut bytes = [0; HEADER_LEN];
        self.copy(&mut bytes)?;
        let header = Header::from_bytes(&bytes)?;
        if let Some(last) = self.last_sequence {
            let expected = last.wrapping_add(1);
            if header.sequence != expected {
                return Err(End::Sequence {
                    expected,
                    got: header.sequence,
                });
            }
        }
        payload.clear();
        let len = header.len as usize;
        let there = &self.buffer[self.at..self.end];
        payload.extend_from_slice(&there[..len.min(there.len())]);
        self.at += payload.len();
        // Grows with what arrives: a length alone costs nothing.
        while payload.len() < len {
            let start = payload.len();
            payload.resize(len.min(start + BUFFER), 0);
            self.copy(&mut payload[start..])?;
        }
        if header.over_lanes() {
            let lanes = self.lanes.ok_or(DecodeError::Invalid("flag"))?;
            self.over_lanes = Some(lanes.announce(header.bulk));
        } else {
            self.bulk = header.bulk;
        }
        self.took(&header);
        Ok(header)
    }

    /// Offers the next frame if it has come as a whole and is like the current one, whose header this is: of the same opcode, thread and context, without bulk, and nobody waits for a reply to either.
    /// One that is taken counts as read. Whatever is wrong with it is for [`next`](Self::next) to say.
    pub(super) fn following(
        &mut self,
        current: &Header,
        take: impl FnOnce(&Header, &[u8]) -> bool,
    ) -> bool {
        if !self.ready() {
            return false;
        }
        let there = self.buffer.get(self.at..self.end).unwrap_or_default();
        let Some((bytes, rest)) = there.split_first_chunk() else {
            return false;
        };
        let Ok(header) = Header::from_bytes(bytes) else {
            return false;
        };
        let Some(payload) = rest.get(..header.len as usize) else {
            return false;
        };
        let kind = |header: &Header| (header.opcode, header.thread, header.context);
        let plain = |header: &Header| header.flags == 0 && header.bulk == 0;
        let due = self.last_sequence.map(|last| last.wrapping_add(1));
        if kind(&header) != kind(current)
            || !plain(&header)
            || !plain(current)
            || due != Some(header.sequence)
            || !take(&header, payload)
        {
            return false;
        }
        self.at += HEADER_LEN + payload.len();
        self.took(&header);
        true
    }

    /// A frame's header and payload have been read.
    fn took(&mut self, header: &Header) {
        self.last_sequence = Some(header.sequence);
        self.busy = true;
        // One thread at a time counts.
        let frames = &self.received.frames;
        frames.store(frames.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// The next bytes of the current frame's bulk; false if it has fewer, or the connection ended (the next frame will say so).
    pub(super) fn read_bulk(&mut self, into: &mut [u8]) -> bool {
        let Some(rest) = self.bulk.checked_sub(into.len() as u64) else {
            return false;
        };
        if self.copy(into).is_err() {
            return false;
        }
        self.bulk = rest;
        true
    }

    /// Skips what is left of the current frame's bulk.
    pub(super) fn skip_bulk(&mut self) -> io::Result<()> {
        while self.bulk > 0 {
            if self.at == self.end {
                self.fill()?;
            }
            let n = self.bulk.min((self.end - self.at) as u64);
            self.at += n as usize;
            self.bulk -= n;
        }
        Ok(())
    }

    fn copy(&mut self, mut into: &mut [u8]) -> io::Result<()> {
        loop {
            let n = into.len().min(self.end - self.at);
            into[..n].copy_from_slice(&self.buffer[self.at..self.at + n]);
            self.at += n;
            into = &mut into[n..];
            if into.is_empty() {
                return Ok(());
            }
            if into.len() as u64 >= DIRECT {
                self.receiver.read_exact(into)?;
                self.count(into.len());
                return Ok(());
            }
            self.fill()?;
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        let n = self.receiver.read(&mut self.buffer)?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.count(n);
        (self.at, self.end) = (0, n);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gvirtus_wire::frame::FLAG_WANTS_REPLY;

    /// Gives what is put into it, and nothing behind it yet.
    struct Bytes(Vec<u8>);

    impl Receiver for Bytes {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let n = into.len().min(self.0.len());
            into[..n].copy_from_slice(&self.0[..n]);
            self.0.drain(..n);
            Ok(n)
        }

        fn available(&mut self) -> io::Result<bool> {
            Ok(!self.0.is_empty())
        }

        fn set_timeout(&mut self, _: Option<Duration>) -> io::Result<()> {
            Ok(())
        }
    }

    const LIKE: Header = Header {
        len: 3,
        opcode: 0x301,
        flags: 0,
        sequence: 8,
        thread: 5,
        context: 6,
        bulk: 0,
        trace: 0,
    };

    /// An input that has read a frame, behind which another has come.
    fn with(first: Header, second: Header, bytes: usize) -> (Input, Header) {
        let mut all = Vec::new();
        for (header, payload) in [(first, *b"one"), (second, *b"two")] {
            all.extend_from_slice(&header.to_bytes());
            all.extend_from_slice(&payload);
        }
        all.truncate(all.len() - bytes);
        let mut input = Input::new(Box::new(Bytes(all)), Arc::default(), None);
        let header = input.next(&mut Vec::new()).unwrap();
        (input, header)
    }

    #[test]
    fn a_frame_like_the_current_one_is_taken_with_it() {
        let first = Header {
            sequence: 7,
            ..LIKE
        };
        let (mut input, header) = with(first, LIKE, 0);
        let mut payload = Vec::new();
        assert!(!input.following(&header, |_, _| false));
        let taken = input.following(&header, |next, bytes| {
            assert_eq!((*next, bytes), (LIKE, &b"two"[..]));
            true
        });
        assert!(taken && !input.following(&header, |_, _| true));
        assert_eq!(input.received.frames.load(Ordering::Relaxed), 2);
        assert!(matches!(input.next(&mut payload), Err(End::Connection(_))));

        // Others are read later, as they would have been.
        let unlike = [
            (
                first,
                Header {
                    opcode: 0x302,
                    ..LIKE
                },
                0,
            ),
            (
                first,
                Header {
                    flags: FLAG_WANTS_REPLY,
                    ..LIKE
                },
                0,
            ),
            (
                first,
                Header {
                    sequence: 9,
                    ..LIKE
                },
                0,
            ),
            (first, Header { thread: 4, ..LIKE }, 0),
            (first, Header { context: 4, ..LIKE }, 0),
            (first, Header { bulk: 1, ..LIKE }, 0),
            (
                first,
                Header {
                    len: u32::MAX,
                    ..LIKE
                },
                0,
            ),
            (
                Header {
                    flags: FLAG_WANTS_REPLY,
                    ..first
                },
                LIKE,
                0,
            ),
            // Not the whole frame, not the whole header, nothing.
            (first, LIKE, 1),
            (first, LIKE, 4),
            (first, LIKE, 3 + HEADER_LEN),
        ];
        for (first, second, bytes) in unlike {
            let (mut input, header) = with(first, second, bytes);
            let taken = input.following(&header, |_, _| true);
            assert!(!taken, "{second:?} behind {first:?}, {bytes} bytes short");
            let next = input.next(&mut payload);
            match (bytes, second.sequence, second.len) {
                (0, 8, 3) => assert_eq!(next.unwrap(), second),
                (0, 9, _) => assert!(matches!(next, Err(End::Sequence { got: 9, .. }))),
                (0, ..) => assert!(matches!(next, Err(End::Malformed(_)))),
                _ => assert!(matches!(next, Err(End::Connection(_)))),
            }
        }
    }
}
