//! The sending side: one numbering over all threads, one buffer that issuing threads append to, one connection that is written in that order.
//!
//! An issuing thread holds the queue's lock only while it encodes a command. The flusher thread writes what has gathered; a thread that waits for a reply writes
//! itself, and so does one that issues the first commands after that where writing is cheap, or where the flusher would have to be woken. Whoever writes locks the link first and then takes the queue, so
//! bytes leave in the order of their numbers.

use std::io::IoSlice;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use gvirtus_wire::command::Outgoing;
use gvirtus_wire::communicator::Sender;
use gvirtus_wire::frame::{FLAG_LANES, HEADER_LEN, Header};
use parking_lot::{Mutex, MutexGuard};

use super::bell::Bell;
use super::lanes::Lanes;

/// Bulk up to this size is copied behind its command; larger bulk is written straight from the program's memory.
const INLINE_BULK: usize = 32 << 10;
/// A queue of this size is written by whoever made it so large: memory stays bounded and the network's pace is felt.
const QUEUE_LIMIT: usize = 256 << 10;
/// What a buffer of the queue begins with, so that it need not grow (memory that is not touched costs nothing), and how many are kept.
const INITIAL: usize = QUEUE_LIMIT + 2 * INLINE_BULK;
const SPARES: usize = 3;
/// The flusher lets so much time pass before it writes: writing takes the locks and the memory that issuing threads use, and a call that waits often comes next and takes everything along.
const FLUSHER_PACE: Duration = Duration::from_micros(4);
/// How long the flusher looks for more before it leaves its processor: a burst of launches then pays for no wake-up.
const FLUSHER_SPIN: Duration = Duration::from_micros(10);
/// Then it naps: a program that computes for tens of microseconds between launches would pay for each by a wake-up or by writing itself, and a flusher that looked all the time would take most of a
/// processor from its neighbours, of which the program is one. What is queued leaves so much later, unless somebody waits.
const FLUSHER_NAP: Duration = Duration::from_micros(30);
/// And so long it naps on before it sleeps until it is woken.
const FLUSHER_NAPS: Duration = Duration::from_millis(1);
/// So many commands issuing threads write themselves before the flusher has to: a wake-up costs them as much as writing to a socket, and more than writing to a ring.
const ALONE: u32 = 4;

pub(crate) struct Outbox {
    link: Mutex<Box<dyn Sender>>,
    /// Writing to the link costs no system call.
    cheap: bool,
    queue: Mutex<Queue>,
    /// How often issuing threads have written themselves since the flusher went to sleep, or to a ring since a call waited: over sockets where calls wait often, the flusher is better awake, so that what is
    /// queued leaves with them.
    alone: AtomicU32,
    /// Rung when something is in the queue.
    bell: Bell,
}

struct Queue {
    bytes: Vec<u8>,
    /// Buffers that were sent, to be filled again: one is being sent by the flusher, one by who waits for a reply, and one is being filled.
    spare: Vec<Vec<u8>>,
    sequence: u64,
}

/// What a command is sent with besides its fields.
pub(crate) struct Envelope<'a> {
    pub(crate) context: u32,
    pub(crate) thread: u32,
    pub(crate) flags: u16,
    pub(crate) bulk: &'a [IoSlice<'a>],
    /// What sends the bulk, if it does not go behind its command.
    pub(crate) lanes: Option<&'a Lanes>,
    /// The bulk stays as it is until the command is complete: sending need not wait for it to leave.
    pub(crate) stays: bool,
    /// The bulk stays as it is until the backend has read it, or nobody cares what it reads: its memory may be lent to a connection.
    pub(crate) lent: bool,
    /// Only queue, whatever has gathered: for callers who hold a lock that the receiving side needs. Were they to wait for the network, and the backend to wait for us
    /// to receive, nobody would move.
    pub(crate) queue_only: bool,
}

impl Outbox {
    pub(crate) fn new(link: Box<dyn Sender>) -> Self {
        Self {
            cheap: link.is_cheap(),
            link: Mutex::new(link),
            alone: AtomicU32::new(0),
            queue: Mutex::new(Queue {
                bytes: Vec::with_capacity(INITIAL),
                spare: Vec::new(),
                sequence: 0,
            }),
            bell: Bell::new(),
        }
    }

    /// Numbers and queues a command with little bulk, which [`send`](Self::send) would do the same way, if `admit` says so, which is told the number and must be quick. `None` if not.
    #[inline]
    pub(crate) fn send_if<C: Outgoing>(
        &self,
        command: &C,
        envelope: &Envelope<'_>,
        admit: impl FnOnce(u64) -> bool,
    ) -> std::io::Result<Option<u64>> {
        let bulk_len: usize = envelope.bulk.iter().map(|b| b.len()).sum();
        if bulk_len > INLINE_BULK {
            return Ok(None);
        }
        let mut queue = self.queue.lock();
        if !admit(queue.sequence + 1) {
            return Ok(None);
        }
        let sequence = queue.append(command, envelope, bulk_len);
        envelope
            .bulk
            .iter()
            .for_each(|b| queue.bytes.extend_from_slice(b));
        let full = queue.bytes.len() > QUEUE_LIMIT && !envelope.queue_only;
        drop(queue);
        if full {
            self.flush()?;
        }
        Ok(Some(sequence))
    }

    /// Numbers and queues a command; `numbered` learns the number before the command can be sent. Large bulk is on its way when this returns,
    /// so the program may use its memory again in every case.
    pub(crate) fn send<C: Outgoing>(
        &self,
        command: &C,
        envelope: &Envelope<'_>,
        numbered: impl FnOnce(u64),
    ) -> std::io::Result<u64> {
        let mut numbered = Some(numbered);
        let mut tell = |sequence| {
            if let Some(numbered) = numbered.take() {
                numbered(sequence);
            }
            true
        };
        if let Some(sequence) = self.send_if(command, envelope, &mut tell)? {
            return Ok(sequence);
        }
        let bulk_len: usize = envelope.bulk.iter().map(|b| b.len()).sum();
        if let Some(lanes) = envelope.lanes {
            return self.send_over_lanes(lanes, command, envelope, bulk_len, tell);
        }
        let mut link = self.link.lock();
        let (sequence, bytes) = {
            let mut queue = self.queue.lock();
            let sequence = queue.append(command, envelope, bulk_len);
            tell(sequence);
            (sequence, queue.take())
        };
        link.send_vectored(&[IoSlice::new(&bytes)])?;
        link.send_vectored(envelope.bulk)?;
        self.queue.lock().give_back(bytes);
        Ok(sequence)
    }

    fn send_over_lanes<C: Outgoing>(
        &self,
        lanes: &Lanes,
        command: &C,
        envelope: &Envelope<'_>,
        bulk_len: usize,
        mut tell: impl FnMut(u64) -> bool,
    ) -> std::io::Result<u64> {
        let part = |part: &IoSlice<'_>| {
            // SAFETY: borrowed until this function returns, which waits until no lane uses it; what stays is waited for before it goes.
            unsafe { std::slice::from_raw_parts(part.as_ptr(), part.len()) }
        };
        let parts: Vec<&'static [u8]> = envelope.bulk.iter().map(part).collect();
        let (sequence, ticket) = {
            let mut queue = self.queue.lock();
            let sequence = queue.append(command, envelope, bulk_len);
            tell(sequence);
            // Numbered and queued under the lock that numbers commands: the order is theirs.
            (sequence, lanes.queue(&parts, envelope.lent))
        };
        if envelope.stays {
            lanes.leave(&parts, &ticket);
            return self.flush().map(|()| sequence);
        }
        let flushed = self.flush();
        let sent = ticket.wait();
        flushed?;
        match sent {
            true => Ok(sequence),
            false => Err(std::io::ErrorKind::NotConnected.into()),
        }
    }

    /// Writes all that is queued.
    pub(crate) fn flush(&self) -> std::io::Result<()> {
        self.write_queue(self.link.lock()).map(drop)
    }

    /// [`flush`](Self::flush) for a thread that waits for a reply: nothing is left for the flusher.
    pub(crate) fn flush_and_wait(&self) -> std::io::Result<()> {
        if self.cheap {
            self.alone.store(0, Ordering::Relaxed);
        }
        // What was queued before is written here, and what comes later rings again.
        self.bell.answer();
        self.flush()
    }

    /// Whether there was something to write.
    fn write_queue(&self, mut link: MutexGuard<'_, Box<dyn Sender>>) -> std::io::Result<bool> {
        let bytes = {
            let mut queue = self.queue.lock();
            if queue.bytes.is_empty() {
                return Ok(false);
            }
            queue.take()
        };
        link.send_vectored(&[IoSlice::new(&bytes)])?;
        drop(link);
        self.queue.lock().give_back(bytes);
        Ok(true)
    }

    /// Sees to it that what is queued leaves soon. Cheap while the flusher is awake. The caller holds no lock that the receiving side needs.
    ///
    /// # Errors
    /// The connection's.
    #[inline]
    pub(crate) fn kick(&self) -> std::io::Result<()> {
        if self.alone.load(Ordering::Relaxed) < ALONE && (self.cheap || self.bell.is_asleep()) {
            return self.write_alone();
        }
        self.bell.ring();
        Ok(())
    }

    /// [`kick`](Self::kick) that never writes itself.
    pub(crate) fn ring(&self) {
        self.bell.ring();
    }

    #[cold]
    fn write_alone(&self) -> std::io::Result<()> {
        match self.link.try_lock() {
            Some(link) => {
                if self.write_queue(link)? {
                    self.alone.fetch_add(1, Ordering::Relaxed);
                }
            }
            // Whoever writes may have taken the queue before this thread's command was in it.
            None => self.bell.ring(),
        }
        Ok(())
    }

    /// The flusher thread's life; returns the error that ended it.
    pub(crate) fn run_flusher(&self) -> std::io::Error {
        // Naps are meant in microseconds; a kernel that cannot makes them longer, and that is all.
        let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
        let mut busy = Instant::now();
        // Much comes at once. What comes at distances is taken from nap to nap.
        let mut burst = true;
        loop {
            if self.bell.has_rung() {
                busy = Instant::now();
                while burst && busy.elapsed() < FLUSHER_PACE {
                    std::hint::spin_loop();
                }
                if self.bell.answer()
                    && let Err(error) = self.flush()
                {
                    return error;
                }
                busy = Instant::now();
                burst = self.bell.has_rung();
            } else if burst && busy.elapsed() < FLUSHER_SPIN {
                std::hint::spin_loop();
            } else if busy.elapsed() < FLUSHER_NAPS {
                std::thread::sleep(FLUSHER_NAP);
                burst = false;
            } else {
                self.alone.store(0, Ordering::Relaxed);
                self.bell.wait();
                busy = Instant::now();
                burst = true;
            }
        }
    }
}

impl Queue {
    #[inline]
    fn append<C: Outgoing>(
        &mut self,
        command: &C,
        envelope: &Envelope<'_>,
        bulk_len: usize,
    ) -> u64 {
        self.sequence += 1;
        let start = self.bytes.len();
        let mut header = Header {
            len: 0,
            opcode: command.opcode(),
            flags: match envelope.lanes {
                Some(_) => envelope.flags | FLAG_LANES,
                None => envelope.flags,
            },
            sequence: self.sequence,
            thread: envelope.thread,
            context: envelope.context,
            bulk: bulk_len as u64,
            trace: 0,
        };
        self.bytes.extend_from_slice(&[0; HEADER_LEN]);
        command.encode(&mut self.bytes);
        header.len = (self.bytes.len() - start - HEADER_LEN) as u32;
        self.bytes[start..start + HEADER_LEN].copy_from_slice(&header.to_bytes());
        self.sequence
    }

    fn take(&mut self) -> Vec<u8> {
        let next = self
            .spare
            .pop()
            .unwrap_or_else(|| Vec::with_capacity(INITIAL));
        std::mem::replace(&mut self.bytes, next)
    }

    fn give_back(&mut self, mut bytes: Vec<u8>) {
        bytes.clear();
        if bytes.capacity() <= 2 * QUEUE_LIMIT && self.spare.len() < SPARES {
            self.spare.push(bytes);
        }
    }
}
