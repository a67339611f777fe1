//! The two ends of a ring.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering, fence};
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
            asleep.store(1, Ordering::Relaxed);
            // Both sides write their own word and then read the other's; without a fence between, each could miss the other.
            fence(Ordering::SeqCst);
            if ready(header) || ended.load(Ordering::SeqCst) {
                asleep.store(0, Ordering::Relaxed);
                return true;
            }
            let left = deadline.map(|d| d.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                asleep.store(0, Ordering::Relaxed);
                return false;
            }
            let left = left.and_then(|left| Timespec::try_from(left).ok());
            match futex::wait(asleep, futex::Flags::empty(), 1, left.as_ref()) {
                Ok(()) | Err(Errno::AGAIN | Errno::INTR | Errno::TIMEDOUT) => {}
                // No futex: look again and again rather than hang.
                Err(_) => std::thread::sleep(Duration::from_millis(1)),
            }
        }
    }
}

/// Wakes who sleeps on `asleep`, if anybody does. What he waits for must have been stored before.
#[inline]
fn wake(asleep: &AtomicU32) {
    fence(Ordering::SeqCst);
    if asleep.load(Ordering::Relaxed) != 0 {
        wake_now(asleep);
    }
}

#[cold]
fn wake_now(asleep: &AtomicU32) {
    asleep.store(0, Ordering::SeqCst);
    let _ = futex::wake(asleep, futex::Flags::empty(), 1);
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
        let header = self.half.header();
        header.head.0.store(self.read, Ordering::Release);
        // A producer that waits for room is woken when there is some to speak of, and at the latest when all is read.
        if self.written - self.read <= self.half.capacity() / 2 {
            wake(&header.producer_asleep.0);
        }
        Ok(n)
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
