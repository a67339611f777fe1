//! The sending direction: a queue of payloads that any number of lanes take chunks from.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::{Condvar, Mutex};
use smallvec::SmallVec;

use super::{CHUNK, ChunkHeader, HEADER_LEN, wake};
use crate::communicator::Sender;

/// Chunks are not cut smaller than this: each costs a system call at both ends.
const SMALLEST_CHUNK: usize = 128 << 10;

/// Payloads on their way out.
#[derive(Debug, Default)]
pub struct Outgoing {
    state: Mutex<State>,
    /// There is something to send, or the end has come.
    work: Condvar,
    /// Lanes that take chunks.
    lanes: AtomicUsize,
    /// Bytes that have been sent.
    bytes: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    /// Of the next payload.
    next: u64,
    queue: VecDeque<Job>,
    broken: bool,
}

/// Bytes of a payload that are still to be cut.
#[derive(Debug)]
struct Job {
    payload: u64,
    offset: u64,
    parts: VecDeque<&'static [u8]>,
    chunk: usize,
    lent: bool,
    ticket: Arc<Sent>,
}

/// A chunk that a lane has taken.
struct Chunk {
    header: ChunkHeader,
    parts: SmallVec<[&'static [u8]; 4]>,
    lent: bool,
    ticket: Arc<Sent>,
}

/// How much of a job is still out.
#[derive(Debug, Default)]
struct Sent {
    state: Mutex<SentState>,
    done: Condvar,
}

#[derive(Debug, Default)]
struct SentState {
    /// Bytes that are queued or in the hands of a lane.
    left: u64,
    failed: bool,
}

impl Sent {
    fn less(&self, bytes: u64, sent: bool) {
        let mut state = self.state.lock();
        state.left -= bytes;
        state.failed |= !sent;
        if state.left == 0 {
            drop(state);
            self.done.notify_all();
        }
    }
}

/// What tells when bytes have been sent. Whoever gave them must keep it and [`wait`](Self::wait) before they go away.
#[derive(Debug, Clone)]
pub struct Ticket(Arc<Sent>);

impl Ticket {
    /// Waits until no lane uses the bytes any more; false if not all of them were sent.
    #[must_use]
    pub fn wait(&self) -> bool {
        let mut state = self.0.state.lock();
        while state.left > 0 {
            self.0.done.wait(&mut state);
        }
        !state.failed
    }

    /// Whether no lane uses the bytes any more.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.0.state.lock().left == 0
    }
}

impl Outgoing {
    /// Numbers a payload. Frames must leave in the order of their payloads' numbers: the caller holds the lock that sees to it.
    pub fn announce(&self) -> u64 {
        let mut state = self.state.lock();
        state.next += 1;
        state.next - 1
    }

    /// Queues bytes of a payload from `offset` on. They are borrowed until the ticket is done, whatever happens.
    pub fn queue(&self, payload: u64, offset: u64, parts: &[&'static [u8]]) -> Ticket {
        self.add(payload, offset, parts, false)
    }

    /// [`queue`](Self::queue) for bytes that stay as they are until the other end has read them. The ticket is done when they have been given to the system, which may look at them later.
    pub fn queue_lent(&self, payload: u64, offset: u64, parts: &[&'static [u8]]) -> Ticket {
        self.add(payload, offset, parts, true)
    }

    fn add(&self, payload: u64, offset: u64, parts: &[&'static [u8]], lent: bool) -> Ticket {
        let total: usize = parts.iter().map(|p| p.len()).sum();
        let lanes = self.lanes.load(Ordering::Relaxed).max(1);
        let ticket = Arc::new(Sent::default());
        ticket.state.lock().left = total as u64;
        let mut state = self.state.lock();
        if state.broken {
            ticket.less(total as u64, false);
        } else if total > 0 {
            let chunk = (total / (2 * lanes))
                .next_multiple_of(4096)
                .clamp(SMALLEST_CHUNK, CHUNK);
            state.queue.push_back(Job {
                payload,
                offset,
                parts: parts.iter().copied().filter(|p| !p.is_empty()).collect(),
                chunk,
                lent,
                ticket: Arc::clone(&ticket),
            });
            drop(state);
            // Each takes chunks until there are none.
            wake(&self.work, total.div_ceil(chunk));
        }
        Ticket(ticket)
    }

    /// Sends chunks over one lane until that fails, and says why.
    pub fn run(&self, lane: &mut dyn Sender) -> io::Error {
        self.lanes.fetch_add(1, Ordering::Relaxed);
        loop {
            let Some(chunk) = self.next() else {
                return io::ErrorKind::NotConnected.into();
            };
            let header = chunk.header.to_bytes();
            let mut parts: SmallVec<[IoSlice<'_>; 5]> = SmallVec::new();
            parts.push(IoSlice::new(&header));
            parts.extend(chunk.parts.iter().map(|p| IoSlice::new(p)));
            let sent = if chunk.lent {
                lane.send_lent(&parts)
            } else {
                lane.send_vectored(&parts)
            };
            let len = u64::from(chunk.header.len);
            self.bytes
                .fetch_add(len + HEADER_LEN as u64, Ordering::Relaxed);
            chunk.ticket.less(len, sent.is_ok());
            if let Err(error) = sent {
                self.fail();
                return error;
            }
        }
    }

    fn next(&self) -> Option<Chunk> {
        let mut state = self.state.lock();
        loop {
            if state.broken {
                return None;
            }
            if let Some(job) = state.queue.front_mut() {
                let chunk = job.cut();
                if job.parts.is_empty() {
                    state.queue.pop_front();
                }
                return Some(chunk);
            }
            self.work.wait(&mut state);
        }
    }

    /// Nothing more is sent: whoever waits is told.
    pub fn fail(&self) {
        let mut state = self.state.lock();
        state.broken = true;
        for job in std::mem::take(&mut state.queue) {
            let left: usize = job.parts.iter().map(|p| p.len()).sum();
            job.ticket.less(left as u64, false);
        }
        drop(state);
        self.work.notify_all();
    }

    /// Bytes sent so far, headers included.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl Job {
    /// The next chunk. There are bytes left.
    fn cut(&mut self) -> Chunk {
        let mut parts: SmallVec<[&'static [u8]; 4]> = SmallVec::new();
        let mut len = 0;
        while len < self.chunk
            && let Some(part) = self.parts.front_mut()
        {
            let (now, later) = part.split_at(part.len().min(self.chunk - len));
            len += now.len();
            parts.push(now);
            if later.is_empty() {
                self.parts.pop_front();
            } else {
                *part = later;
            }
        }
        let header = ChunkHeader {
            payload: self.payload,
            offset: self.offset,
            len: len as u32,
        };
        self.offset += len as u64;
        Chunk {
            header,
            parts,
            lent: self.lent,
            ticket: Arc::clone(&self.ticket),
        }
    }
}
