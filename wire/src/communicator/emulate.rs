//! Emulated distance: any client connection as if the backend were further away (`GVIRTUS_EMULATE=rtt=100us,rate=25gbit`).
//!
//! Each direction is a delay line: bytes enter with the time at which they may leave — half the round-trip time after they went in, later if the rate does not
//! allow that — and a thread moves them on. Latency is added, not serialised: any number of messages are under way at once, as on a real wire.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, IoSlice};
use std::num::NonZeroU64;
use std::str::FromStr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::{Closer, Connection, Receiver, Sender};

/// Name of the environment variable.
pub const VARIABLE: &str = "GVIRTUS_EMULATE";
/// Bytes that travel as one piece: small enough that a long message streams instead of being stored and forwarded.
const PIECE: usize = 64 << 10;
/// What a direction holds beyond bandwidth × delay before the sender has to wait, as a socket's buffer would.
const SLACK: u64 = 8 << 20;
/// The last stretch of a wait is spun: the scheduler is not that exact.
const SPIN: Duration = Duration::from_micros(25);

/// What to emulate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Emulation {
    /// Added round-trip time.
    pub rtt: Duration,
    /// Bits per second in each direction; `None` for no limit.
    pub rate: Option<NonZeroU64>,
}

/// A text that is no [`Emulation`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{part:?} is not understood; accepted: rtt=<number>ns|us|ms|s and rate=<number>kbit|mbit|gbit, joined by a comma"
)]
pub struct EmulationError {
    part: String,
}

impl FromStr for Emulation {
    type Err = EmulationError;

    fn from_str(value: &str) -> Result<Self, EmulationError> {
        let mut emulation = Self::default();
        for part in value.split(',').map(str::trim).filter(|p| !p.is_empty()) {
            let error = || EmulationError {
                part: part.to_owned(),
            };
            let number = |text: &str, units: &[(&str, f64)]| {
                let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
                let (_, factor) = units
                    .iter()
                    .find(|(unit, _)| *unit == &text[digits.len()..])?;
                let number: f64 = digits.trim().parse().ok()?;
                (number.is_finite() && number >= 0.0 && number * factor < 1e18)
                    .then_some(number * factor)
            };
            match part.split_once('=') {
                Some(("rtt", text)) => {
                    let ns = number(text, &[("ns", 1.0), ("us", 1e3), ("ms", 1e6), ("s", 1e9)])
                        .ok_or_else(error)?;
                    emulation.rtt = Duration::from_nanos(ns as u64);
                }
                Some(("rate", text)) => {
                    let bits = number(text, &[("kbit", 1e3), ("mbit", 1e6), ("gbit", 1e9)])
                        .ok_or_else(error)?;
                    emulation.rate = Some(NonZeroU64::new(bits as u64).ok_or_else(error)?);
                }
                _ => return Err(error()),
            }
        }
        Ok(emulation)
    }
}

impl fmt::Display for Emulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rtt={}ns", self.rtt.as_nanos())?;
        match self.rate {
            Some(rate) => write!(f, ",rate={}kbit", rate.get() / 1000),
            None => Ok(()),
        }
    }
}

impl Emulation {
    fn transmission(&self, bytes: usize) -> Duration {
        self.rate.map_or(Duration::ZERO, |rate| {
            Duration::from_nanos((bytes as u64 * 8).saturating_mul(1_000_000_000) / rate)
        })
    }

    fn capacity(&self) -> u64 {
        let in_flight = self.rate.map_or(SLACK * 8, |rate| {
            (rate.get() / 8).saturating_mul(self.rtt.as_micros() as u64) / 1_000_000
        });
        in_flight.saturating_add(SLACK)
    }
}

/// Puts a connection at the emulated distance.
///
/// # Errors
/// When no thread can be started.
pub fn wrap(connection: Connection, emulation: &Emulation) -> io::Result<Connection> {
    let outgoing = Arc::new(Line::new(*emulation));
    let incoming = Arc::new(Line::new(*emulation));
    let Connection {
        mut receiver,
        mut sender,
        closer,
        protocol,
        peer,
        fds,
        attendant,
    } = connection;

    let (line, at_the_end) = (Arc::clone(&outgoing), closer.clone());
    thread::Builder::new()
        .name("gvirtus-far-out".into())
        .spawn(move || {
            exact_timers();
            let mut piece = Vec::new();
            while line.take(&mut piece) {
                if let Err(e) = sender.send(&piece) {
                    line.end(Some(e.kind()));
                    break;
                }
            }
            // Everything has arrived; the thread below still waits in the other half.
            at_the_end.shutdown();
        })?;

    let line = Arc::clone(&incoming);
    thread::Builder::new()
        .name("gvirtus-far-in".into())
        .spawn(move || {
            let mut buffer = vec![0; PIECE];
            loop {
                match receiver.read(&mut buffer) {
                    Ok(0) => break line.end(None),
                    Ok(n) => {
                        if line.put(&buffer[..n]).is_err() {
                            break;
                        }
                    }
                    Err(e) => break line.end(Some(e.kind())),
                }
            }
        })?;

    let inner = closer.clone();
    let lines = [Arc::clone(&outgoing), Arc::clone(&incoming)];
    let fds_behind = closer.fds().to_vec();
    let halves = Arc::new(Halves(Arc::clone(&outgoing)));
    Ok(Connection {
        receiver: Box::new(FarReceiver {
            line: incoming,
            current: Vec::new(),
            at: 0,
            timeout: None,
            _halves: Arc::clone(&halves),
        }),
        sender: Box::new(FarSender {
            line: outgoing,
            _halves: halves,
        }),
        closer: Closer::new(
            move || {
                // Before the end shows on the other side, nothing more can be sent.
                lines.iter().for_each(|line| line.end(None));
                inner.shutdown();
            },
            fds_behind,
        ),
        protocol,
        peer,
        fds,
        attendant,
    })
}

/// Lets the calling thread's sleeps end when they should, instead of up to 50 µs later.
fn exact_timers() {
    // A failure costs accuracy alone.
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
}

/// One direction of the emulated wire.
struct Line {
    emulation: Emulation,
    capacity: u64,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    pieces: VecDeque<(Instant, Vec<u8>)>,
    bytes: u64,
    /// When the wire has sent everything that was put in so far.
    free_at: Instant,
    /// No more will come; with an error or without.
    ended: Option<Option<io::ErrorKind>>,
}

impl Line {
    fn new(emulation: Emulation) -> Self {
        Self {
            emulation,
            capacity: emulation.capacity(),
            state: Mutex::new(State {
                pieces: VecDeque::new(),
                bytes: 0,
                free_at: Instant::now(),
                ended: None,
            }),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here can be left half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts bytes in; waits while the line is full.
    fn put(&self, bytes: &[u8]) -> io::Result<()> {
        for piece in bytes.chunks(PIECE) {
            let mut state = self.lock();
            while state.ended.is_none() && state.bytes > self.capacity {
                state = self.wait(state);
            }
            if let Some(reason) = state.ended {
                return Err(reason.unwrap_or(io::ErrorKind::BrokenPipe).into());
            }
            let sent = state.free_at.max(Instant::now()) + self.emulation.transmission(piece.len());
            state.free_at = sent;
            state.bytes += piece.len() as u64;
            state
                .pieces
                .push_back((sent + self.emulation.rtt / 2, piece.to_vec()));
            drop(state);
            self.changed.notify_all();
        }
        Ok(())
    }

    /// No more will be put in; what is under way still arrives.
    fn end(&self, reason: Option<io::ErrorKind>) {
        let mut state = self.lock();
        if state.ended.is_none() {
            state.ended = Some(reason);
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Takes the next piece when its time has come; false when none will come any more.
    fn take(&self, piece: &mut Vec<u8>) -> bool {
        let mut state = self.lock();
        loop {
            if let Some((due, _)) = state.pieces.front() {
                let due = *due;
                drop(state);
                wait_until(due);
                state = self.lock();
                // Only this thread takes.
                if let Some((_, bytes)) = state.pieces.pop_front() {
                    state.bytes -= bytes.len() as u64;
                    *piece = bytes;
                    drop(state);
                    self.changed.notify_all();
                    return true;
                }
            } else if state.ended.is_some() {
                return false;
            } else {
                state = self.wait(state);
            }
        }
    }
}

fn wait_until(due: Instant) {
    loop {
        let left = due.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        if left > SPIN {
            thread::sleep(left - SPIN);
        } else {
            std::hint::spin_loop();
        }
    }
}

/// Shared by both halves: when both are gone, the connection closes once everything sent has arrived.
struct Halves(Arc<Line>);

impl Drop for Halves {
    fn drop(&mut self) {
        self.0.end(None);
    }
}

struct FarSender {
    line: Arc<Line>,
    _halves: Arc<Halves>,
}

impl Sender for FarSender {
    fn send_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<()> {
        // One message is one piece where it is small: fewer wake-ups.
        if parts.iter().map(|p| p.len()).sum::<usize>() <= PIECE {
            let mut message = Vec::with_capacity(PIECE);
            parts
                .iter()
                .for_each(|part| message.extend_from_slice(part));
            return self.line.put(&message);
        }
        parts.iter().try_for_each(|part| self.line.put(part))
    }
}

struct FarReceiver {
    line: Arc<Line>,
    current: Vec<u8>,
    at: usize,
    timeout: Option<Duration>,
    _halves: Arc<Halves>,
}

impl Drop for FarReceiver {
    fn drop(&mut self) {
        self.line.end(None);
    }
}

impl Receiver for FarReceiver {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        if self.at == self.current.len() {
            self.at = 0;
            self.current.clear();
            let give_up = self.timeout.map(|t| Instant::now() + t);
            let mut state = self.line.lock();
            while state.pieces.is_empty() {
                if let Some(reason) = state.ended {
                    return reason.map_or(Ok(0), |kind| Err(kind.into()));
                }
                state = match give_up {
                    None => self.line.wait(state),
                    Some(at) => {
                        let left = at.saturating_duration_since(Instant::now());
                        if left.is_zero() {
                            return Err(io::ErrorKind::WouldBlock.into());
                        }
                        self.line
                            .changed
                            .wait_timeout(state, left)
                            .unwrap_or_else(PoisonError::into_inner)
                            .0
                    }
                };
            }
            drop(state);
            exact_timers();
            if !self.line.take(&mut self.current) {
                return Ok(0);
            }
        }
        let rest = &self.current[self.at..];
        let n = rest.len().min(into.len());
        into[..n].copy_from_slice(&rest[..n]);
        self.at += n;
        Ok(n)
    }

    fn available(&mut self) -> io::Result<bool> {
        if self.at < self.current.len() {
            return Ok(true);
        }
        let state = self.line.lock();
        Ok(match state.pieces.front() {
            Some((due, _)) => *due <= Instant::now(),
            None => state.ended.is_some(),
        })
    }

    fn set_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.timeout = timeout;
        Ok(())
    }
}
