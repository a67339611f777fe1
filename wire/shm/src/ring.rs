//! The two ends of a ring.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence};
use std::time::{Duration, Instant};

use rustix::event::Timespec;
use rustix::io::Errno;
use rustix::thread::futex;

use crate::Rings;
use crate::memory::{Header, Memory};
use crate::spin::Spin;

/// Bytes that are written before the other end is told of them: it works on the first while the next come.
const PIECE: usize = 64 << 10;

/// Both directions of an end: it writes to ring `out` and reads from ring `into`.
pub(crate) fn ends(memory: &Arc<Memory>, out: usize, into: usize) -> Rings {
    let ended = Arc::new(AtomicBool::new(false));
    let half = |ring| Half {
        memory: Arc::clone(memory),
        ring,
        ended: Arc::clone(&ended),
        spin: Spin::default(),
    };
    Rings {
        producer: Producer {
            half: half(out),
            written: 0,
            told: 0,
            read: 0,
        },
        consumer: Consumer {
            half: half(into),
            read: 0,
            written: 0,
            duty: Arc::default(),
        },
        ender: Ender {
            memory: Arc::clone(memory),
            rings: (out, into),
            ended,
        },
    }
}

/// What producer and consumer have in common.
struct Half {
    memory: Arc<Memory>,
    ring: usize,
    ended: Arc<AtomicBool>,
    spin: Spin,
}

impl Half {
    fn header(&self) -> &Header {
        self.memory.header(self.ring)
    }

    fn capacity(&self) -> u64 {
        self.memory.capacity() as u64
    }

    /// Waits until `ready`, the end, or the deadline; whether it is one of the first two.
    fn wait(
        &mut self,
        asleep: impl Fn(&Header) -> &AtomicU32,
        deadline: Option<Instant>,
        ready: impl Fn(&Header) -> bool,
    ) -> bool {
        let header = self.memory.header(self.ring);
        let ended = &self.ended;
        if self
            .spin
            .look(|| ready(header) || ended.load(Ordering::Relaxed))
        {
            return true;
        }
        let asleep = asleep(header);
        loop {
            let said = say_asleep(asleep);
            // Both sides write their own word and then read the other's; without a fence between, each could miss the other.
            fence(Ordering::SeqCst);
            if ready(header) || ended.load(Ordering::SeqCst) {
                say_awake(asleep);
                return true;
            }
            let left = deadline.map(|d| d.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                say_awake(asleep);
                return false;
            }
            let left = left.and_then(|left| Timespec::try_from(left).ok());
            match futex::wait(asleep, futex::Flags::empty(), said, left.as_ref()) {
                Ok(()) | Err(Errno::AGAIN | Errno::INTR | Errno::TIMEDOUT) => {}
                // No futex: look again and again rather than hang.
                Err(_) => std::thread::sleep(Duration::from_millis(1)),
            }
        }
    }
}

/// Says on `asleep` that somebody sleeps; what he expects there when he does.
///
/// Odd is asleep, even is awake, and no value comes twice: two threads may sleep on one word, and none of them may take what the other has changed twice meanwhile for what it was.
fn say_asleep(asleep: &AtomicU32) -> u32 {
    asleep.fetch_or(1, Ordering::SeqCst) | 1
}

fn say_awake(asleep: &AtomicU32) {
    let awake = |said: u32| (said % 2 == 1).then(|| said.wrapping_add(1));
    // It fails if nobody was asleep.
    let _ = asleep.fetch_update(Ordering::SeqCst, Ordering::SeqCst, awake);
}

/// Wakes who sleeps on `asleep`, if anybody does. What he waits for must have been stored before.
#[inline]
fn wake(asleep: &AtomicU32) {
    fence(Ordering::SeqCst);
    if asleep.load(Ordering::Relaxed) % 2 == 1 {
        wake_now(asleep);
    }
}

#[cold]
fn wake_now(asleep: &AtomicU32) {
    say_awake(asleep);
    // All of them: who has no duty sleeps there, too.
    let _ = futex::wake(asleep, futex::Flags::empty(), i32::MAX.cast_unsigned());
}

fn garbled() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "the other end has garbled the shared ring",
    )
}

/// The end that writes.
pub struct Producer {
    half: Half,
    /// Bytes ever written.
    written: u64,
    /// Of these, what the other end knows of.
    told: u64,
    /// Bytes that the other end is known to have read.
    read: u64,
}

impl Producer {
    /// Writes all bytes. The other end sees the last of them after [`tell`](Self::tell) at the latest.
    ///
    /// # Errors
    /// [`io::ErrorKind::BrokenPipe`] after the end, [`io::ErrorKind::InvalidData`] if the other end has garbled the ring.
    pub fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let free = match self.free()? {
                0 => {
                    self.tell();
                    self.wait_for_room()?;
                    continue;
                }
                free => free as usize,
            };
            let (now, later) = bytes.split_at(bytes.len().min(free).min(PIECE));
            self.half.memory.write(self.half.ring, self.written, now);
            self.written += now.len() as u64;
            bytes = later;
            if self.written - self.told >= PIECE as u64 {
                self.tell();
            }
        }
        Ok(())
    }

    /// Tells the other end of everything written.
    ///
    pub fn tell(&mut self) {
        if self.told == self.written {
            return;
        }
        self.told = self.written;
        let header = self.half.header();
        header.tail.0.store(self.written, Ordering::Release);
        wake(&header.consumer_asleep.0);
    }

    /// Free bytes, looked up only when the ring was full by what is known.
    fn free(&mut self) -> io::Result<u64> {
        if self.half.ended.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let capacity = self.half.capacity();
        if self.written - self.read == capacity {
            let read = self.half.header().head.0.load(Ordering::Acquire);
            if read < self.read || read > self.told {
                return Err(garbled());
            }
            self.read = read;
        }
        Ok(capacity - (self.written - self.read))
    }

    fn wait_for_room(&mut self) -> io::Result<()> {
        let full = self.read;
        self.half.wait(
            |header| &header.producer_asleep.0,
            None,
            |header| header.head.0.load(Ordering::Acquire) != full,
        );
        Ok(())
    }
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer")
            .field("written", &self.written)
            .finish_non_exhaustive()
    }
}

/// The end that reads.
pub struct Consumer {
    half: Half,
    /// Bytes ever read.
    read: u64,
    /// Bytes that the other end is known to have written.
    written: u64,
    /// What its lookout knows.
    duty: Arc<Duty>,
}

impl Consumer {
    /// Waits for at least one byte and reads what is there, at most `into.len()` bytes; 0 at the end.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] at the deadline, [`io::ErrorKind::InvalidData`] if the other end has garbled the ring.
    pub fn read(&mut self, into: &mut [u8], timeout: Option<Duration>) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        while self.waiting()? == 0 {
            if self.half.ended.load(Ordering::SeqCst) {
                // What came before the end counts.
                if self.look()? == 0 {
                    return Ok(0);
                }
                break;
            }
            let deadline = timeout.map(|t| Instant::now() + t);
            let read = self.read;
            let there = self.half.wait(
                |header| &header.consumer_asleep.0,
                deadline,
                |header| header.tail.0.load(Ordering::Acquire) != read,
            );
            if !there {
                return Err(io::ErrorKind::WouldBlock.into());
            }
        }
        let n = (self.written - self.read).min(into.len() as u64) as usize;
        self.half
            .memory
            .read(self.half.ring, self.read, &mut into[..n]);
        self.read += n as u64;
        self.duty.read.store(self.read, Ordering::Relaxed);
        let header = self.half.header();
        header.head.0.store(self.read, Ordering::Release);
        // A producer that waits for room is woken when there is some to speak of, and at the latest when all is read.
        if self.written - self.read <= self.half.capacity() / 2 {
            wake(&header.producer_asleep.0);
        }
        Ok(n)
    }

    /// What a thread looks out by for this end while other threads may read from it.
    #[must_use]
    pub fn lookout(&self) -> Lookout {
        Lookout {
            memory: Arc::clone(&self.half.memory),
            ring: self.half.ring,
            ended: Arc::clone(&self.half.ended),
            duty: Arc::clone(&self.duty),
        }
    }

    /// Whether [`read`](Self::read) would return at once.
    ///
    /// # Errors
    /// As for reading.
    pub fn available(&mut self) -> io::Result<bool> {
        Ok(self.waiting()? > 0 || self.half.ended.load(Ordering::SeqCst))
    }

    /// Bytes to read, looked up only when there are none by what is known.
    fn waiting(&mut self) -> io::Result<u64> {
        if self.written == self.read {
            return self.look();
        }
        Ok(self.written - self.read)
    }

    fn look(&mut self) -> io::Result<u64> {
        let written = self.half.header().tail.0.load(Ordering::Acquire);
        if written < self.written || written - self.read > self.half.capacity() {
            return Err(garbled());
        }
        self.written = written;
        Ok(self.written - self.read)
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer")
            .field("read", &self.read)
            .finish_non_exhaustive()
    }
}

/// Who sees to it that what comes is read.
#[derive(Debug, Default)]
struct Duty {
    /// Bytes that the consumer has read: in memory of this process, since what is shared may be garbled.
    read: AtomicU64,
    /// A thread reads in the lookout's place.
    relieved: AtomicBool,
    /// The lookout sleeps, or is about to.
    resting: AtomicBool,
}

/// A consumer's lookout: one thread that waits for bytes without having the consumer, which threads that expect some take over and give back ([`relieve`](Self::relieve), [`resume`](Self::resume)). That costs no system
/// call: while the lookout sleeps, who takes over says on its word that nobody does, so that the other end wakes nobody, and who gives back says again that somebody sleeps.
///
/// One thread waits, and one at a time relieves: who has the consumer.
#[derive(Clone)]
pub struct Lookout {
    memory: Arc<Memory>,
    ring: usize,
    ended: Arc<AtomicBool>,
    duty: Arc<Duty>,
}

impl Lookout {
    fn asleep(&self) -> &AtomicU32 {
        &self.memory.header(self.ring).consumer_asleep.0
    }

    /// Whether the consumer has something to read, or meets the end.
    #[must_use]
    pub fn is_needed(&self) -> bool {
        let written = self.memory.header(self.ring).tail.0.load(Ordering::Acquire);
        written != self.duty.read.load(Ordering::Relaxed) || self.ended.load(Ordering::Relaxed)
    }

    /// Whether another thread reads.
    #[must_use]
    pub fn is_relieved(&self) -> bool {
        self.duty.relieved.load(Ordering::Relaxed)
    }

    /// Sleeps until there is something to read and nobody else reads. May return early.
    pub fn rest(&self) {
        let asleep = self.asleep();
        self.duty.resting.store(true, Ordering::SeqCst);
        loop {
            let relieved = self.duty.relieved.load(Ordering::SeqCst);
            let expected = if relieved {
                // Whatever it is: who reads says that somebody sleeps before going.
                let now = asleep.load(Ordering::SeqCst);
                if !self.duty.relieved.load(Ordering::SeqCst) {
                    continue;
                }
                now
            } else {
                let said = say_asleep(asleep);
                // As in `Half::wait`.
                fence(Ordering::SeqCst);
                if self.is_needed() {
                    // The word stays as it is: who has begun to read may be the one who sleeps by now. The other end wakes once in vain.
                    break;
                }
                said
            };
            match futex::wait(asleep, futex::Flags::empty(), expected, None) {
                Ok(()) => break,
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(_) => {
                    std::thread::sleep(Duration::from_millis(1));
                    break;
                }
            }
        }
        self.duty.resting.store(false, Ordering::SeqCst);
    }

    /// Begins to read in the lookout's place. The caller has the consumer.
    pub fn relieve(&self) {
        self.duty.relieved.store(true, Ordering::SeqCst);
        say_awake(self.asleep());
    }

    /// From here on the lookout sees to what comes. The caller still has the consumer.
    pub fn resume(&self) {
        self.duty.relieved.store(false, Ordering::SeqCst);
        if !self.duty.resting.load(Ordering::SeqCst) {
            return;
        }
        let asleep = self.asleep();
        say_asleep(asleep);
        fence(Ordering::SeqCst);
        if self.is_needed() {
            wake_now(asleep);
        }
    }
}

impl fmt::Debug for Lookout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lookout")
            .field("duty", &self.duty)
            .finish_non_exhaustive()
    }
}

/// Ends both directions of this process's end, from any thread.
#[derive(Clone)]
pub struct Ender {
    memory: Arc<Memory>,
    rings: (usize, usize),
    ended: Arc<AtomicBool>,
}

impl Ender {
    /// Ends both directions here: reads return what has come and then the end, writes fail. The other process learns of it otherwise.
    pub fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
        let (out, into) = self.rings;
        wake_now(&self.memory.header(out).producer_asleep.0);
        wake_now(&self.memory.header(into).consumer_asleep.0);
    }
}

impl fmt::Debug for Ender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ender").finish_non_exhaustive()
    }
}
