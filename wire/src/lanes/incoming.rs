//! The receiving direction: chunks find their payload, and their place in it.
//!
//! A place is a slice of memory that was given for a part of a payload. A lane that fills a part of it takes that part out and gives nothing back: bytes that come twice
//! find no place, which ends the session. Nothing is filled that was not given.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::{ChunkHeader, HEADER_LEN, wake_all};
use crate::communicator::Receiver;

/// Parts shorter than this are read several at a time and copied to their places.
const SHORT: usize = 16 << 10;
const BOUNCE: usize = 64 << 10;

/// Payloads on their way in.
#[derive(Debug, Default)]
pub struct Incoming {
    table: Mutex<Table>,
    /// A payload was announced, or the end has come.
    announced: Condvar,
    bytes: AtomicU64,
}

#[derive(Debug, Default)]
struct Table {
    /// Of the next payload to be announced.
    next: u64,
    /// Those that are not complete.
    payloads: HashMap<u64, Arc<Payload>>,
    broken: bool,
}

/// One payload.
pub struct Payload {
    total: u64,
    state: Mutex<State>,
    changed: Condvar,
}

impl std::fmt::Debug for Payload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Payload")
            .field("total", &self.total)
            .finish_non_exhaustive()
    }
}

type Done = Box<dyn FnOnce(bool) + Send>;

#[derive(Default)]
struct State {
    /// Places were given up to here.
    placed: u64,
    /// What was given and no lane has taken, by where it begins.
    free: BTreeMap<u64, &'static mut [u8]>,
    /// The places in order: where each ends, and how many of its bytes have not come.
    pieces: Vec<(u64, u64)>,
    /// The first of them that is not complete.
    complete: usize,
    /// Bytes that have come.
    came: u64,
    /// Lanes that write to a place right now.
    busy: usize,
    /// Bytes without a place are thrown away.
    unwanted: bool,
    broken: bool,
    done: Option<Done>,
}

/// What a lane does with the next bytes of a chunk.
enum Next {
    Fill(&'static mut [u8]),
    Discard(usize),
}

fn violation(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

fn over() -> io::Error {
    io::ErrorKind::NotConnected.into()
}

impl Incoming {
    /// A frame has come whose bulk of `total` bytes is on the lanes: in the order of the frames.
    pub fn announce(&self, total: u64) -> Arc<Payload> {
        let payload = Arc::new(Payload {
            total,
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let mut table = self.table.lock();
        let number = table.next;
        table.next += 1;
        if table.broken {
            payload.state.lock().broken = true;
        } else if total > 0 {
            table.payloads.insert(number, Arc::clone(&payload));
            drop(table);
            wake_all(&self.announced);
        }
        payload
    }

    /// Receives chunks from one lane until that fails, and says why: [`io::ErrorKind::InvalidData`] if the other end breaks the rules.
    pub fn run(&self, lane: &mut dyn Receiver) -> io::Error {
        let mut bounce = vec![0; BOUNCE];
        loop {
            if let Err(error) = self.step(lane, &mut bounce) {
                self.fail();
                return error;
            }
        }
    }

    fn step(&self, lane: &mut dyn Receiver, bounce: &mut [u8]) -> io::Result<()> {
        let mut header = [0; HEADER_LEN];
        lane.read_exact(&mut header)?;
        let header =
            ChunkHeader::from_bytes(&header).map_err(|e| violation(&format!("a lane: {e}")))?;
        let payload = self.find(header.payload)?;
        if header.end() > payload.total {
            return Err(violation("a chunk ends behind its payload"));
        }
        if let Err(error) = payload.receive(&header, lane, bounce) {
            payload.state.lock().broken = true;
            payload.changed.notify_all();
            payload.finish();
            return Err(error);
        }
        self.bytes
            .fetch_add(u64::from(header.len) + HEADER_LEN as u64, Ordering::Relaxed);
        if payload.came(u64::from(header.len)) {
            self.table.lock().payloads.remove(&header.payload);
            payload.finish();
        }
        Ok(())
    }

    /// The payload of that number, when it has been announced.
    fn find(&self, number: u64) -> io::Result<Arc<Payload>> {
        let mut table = self.table.lock();
        loop {
            if table.broken {
                return Err(over());
            }
            if let Some(payload) = table.payloads.get(&number) {
                return Ok(Arc::clone(payload));
            }
            if number < table.next {
                return Err(violation("a chunk of a payload that is complete"));
            }
            self.announced.wait(&mut table);
        }
    }

    /// Nothing more comes: whoever waits is told.
    pub fn fail(&self) {
        let mut table = self.table.lock();
        table.broken = true;
        let payloads: Vec<_> = table.payloads.drain().map(|(_, payload)| payload).collect();
        drop(table);
        self.announced.notify_all();
        for payload in payloads {
            payload.state.lock().broken = true;
            payload.changed.notify_all();
            payload.finish();
        }
    }

    /// Bytes received so far, headers included.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl Payload {
    /// Its bytes.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Gives memory for the next bytes; false if the payload has not so many, or its rest was given up. The memory is borrowed until [`wait`](Self::wait) has said that it
    /// is filled, or [`abandon`](Self::abandon) has returned, or what [`when_done`](Self::when_done) was given is called.
    #[must_use]
    pub fn place(&self, memory: &'static mut [u8]) -> bool {
        if memory.is_empty() {
            return true;
        }
        let mut state = self.state.lock();
        let (start, len) = (state.placed, memory.len() as u64);
        if state.unwanted || state.broken || self.total - start < len {
            return false;
        }
        state.placed += len;
        state.free.insert(start, memory);
        state.pieces.push((start + len, len));
        drop(state);
        wake_all(&self.changed);
        true
    }

    /// How far memory was given.
    #[must_use]
    pub fn placed(&self) -> u64 {
        self.state.lock().placed
    }

    /// Waits until the places of the first `upto` bytes are filled; false if they will not be, and then no lane uses any of them.
    #[must_use]
    pub fn wait(&self, upto: u64) -> bool {
        let mut state = self.state.lock();
        loop {
            if state.filled() >= upto.min(state.placed) {
                return state.placed >= upto;
            }
            if state.broken {
                self.idle(&mut state);
                return false;
            }
            self.changed.wait(&mut state);
        }
    }

    /// Gives up what has not come: it is thrown away when it does. No lane uses the memory when this returns.
    pub fn abandon(&self) {
        let mut state = self.state.lock();
        if state.came >= self.total {
            return;
        }
        state.unwanted = true;
        self.changed.notify_all();
        self.idle(&mut state);
    }

    /// Has `done` called, once: with true when the whole payload is in its places, with false when it will not be. No lane uses the memory then.
    pub fn when_done(&self, done: impl FnOnce(bool) + Send + 'static) {
        let mut state = self.state.lock();
        if self.is_over(&state) {
            let whole = state.whole(self.total);
            drop(state);
            done(whole);
        } else {
            state.done = Some(Box::new(done));
        }
    }

    fn is_over(&self, state: &State) -> bool {
        state.came >= self.total || (state.broken && state.busy == 0)
    }

    fn finish(&self) {
        let mut state = self.state.lock();
        if !self.is_over(&state) {
            return;
        }
        let whole = state.whole(self.total);
        let done = state.done.take();
        drop(state);
        if let Some(done) = done {
            done(whole);
        }
    }

    /// Waits until no lane writes, and takes the places back.
    fn idle(&self, state: &mut MutexGuard<'_, State>) {
        while state.busy > 0 {
            self.changed.wait(state);
        }
        state.free.clear();
    }

    /// Counts bytes of a chunk that is in its place; whether those were the last.
    fn came(&self, bytes: u64) -> bool {
        let mut state = self.state.lock();
        state.came += bytes;
        state.came >= self.total
    }

    fn receive(
        &self,
        header: &ChunkHeader,
        lane: &mut dyn Receiver,
        bounce: &mut [u8],
    ) -> io::Result<()> {
        let (mut at, end) = (header.offset, header.end());
        while at < end {
            match self.take(at, end)? {
                Next::Fill(place) if place.len() >= SHORT || place.len() as u64 == end - at => {
                    let read = lane.read_exact(place);
                    let n = place.len() as u64;
                    self.filled(at, read.is_ok().then_some(n));
                    read?;
                    at += n;
                }
                // Rows of a box: read as many as the chunk has, and put each where it belongs.
                Next::Fill(place) => {
                    self.give_back(at, place);
                    let n = ((end - at) as usize).min(bounce.len());
                    lane.read_exact(&mut bounce[..n])?;
                    at = self.spread(at, &bounce[..n])?;
                }
                Next::Discard(n) => {
                    let n = n.min(bounce.len());
                    lane.read_exact(&mut bounce[..n])?;
                    at += n as u64;
                }
            }
        }
        Ok(())
    }

    /// Copies bytes to their places; where they end.
    fn spread(&self, mut at: u64, mut bytes: &[u8]) -> io::Result<u64> {
        while !bytes.is_empty() {
            let n = match self.take(at, at + bytes.len() as u64)? {
                Next::Fill(place) => {
                    place.copy_from_slice(&bytes[..place.len()]);
                    self.filled(at, Some(place.len() as u64));
                    place.len()
                }
                Next::Discard(n) => n,
            };
            bytes = &bytes[n..];
            at += n as u64;
        }
        Ok(at)
    }

    /// Takes the place of the bytes from `at` on, up to `end`; waits until there is one.
    fn take(&self, at: u64, end: u64) -> io::Result<Next> {
        let mut state = self.state.lock();
        loop {
            if state.broken {
                return Err(over());
            }
            if state.unwanted {
                return Ok(Next::Discard((end - at) as usize));
            }
            if at < state.placed {
                return state.cut(at, end);
            }
            self.changed.wait(&mut state);
        }
    }

    /// A place that was taken and not used.
    fn give_back(&self, at: u64, place: &'static mut [u8]) {
        let mut state = self.state.lock();
        state.free.insert(at, place);
        state.busy -= 1;
        drop(state);
        self.changed.notify_all();
    }

    /// A lane lets go of a place at `at`: so many bytes of it are filled, or none will be.
    fn filled(&self, at: u64, bytes: Option<u64>) {
        let mut state = self.state.lock();
        state.busy -= 1;
        match bytes {
            Some(n) => {
                let piece = state.pieces.partition_point(|(end, _)| *end <= at);
                if let Some((_, missing)) = state.pieces.get_mut(piece) {
                    *missing -= n;
                }
            }
            None => state.broken = true,
        }
        let tell = state.advance() || state.broken || state.unwanted;
        drop(state);
        if tell {
            self.changed.notify_all();
        }
    }
}

impl State {
    /// Where the first place ends that is not filled, and all before it are.
    fn filled(&self) -> u64 {
        match self.complete.checked_sub(1) {
            Some(last) => self.pieces[last].0,
            None => 0,
        }
    }

    fn advance(&mut self) -> bool {
        let before = self.complete;
        while self.pieces.get(self.complete).is_some_and(|p| p.1 == 0) {
            self.complete += 1;
        }
        self.complete != before
    }

    fn whole(&self, total: u64) -> bool {
        self.filled() == total
    }

    fn cut(&mut self, at: u64, end: u64) -> io::Result<Next> {
        let twice = || violation("bytes of a payload came twice");
        let start = *self.free.range(..=at).next_back().ok_or_else(twice)?.0;
        let mut place = self.free.remove(&start).ok_or_else(twice)?;
        let before = (at - start) as usize;
        if before >= place.len() {
            self.free.insert(start, place);
            return Err(twice());
        }
        if before > 0 {
            let (front, back) = place.split_at_mut(before);
            self.free.insert(start, front);
            place = back;
        }
        let n = place.len().min((end - at) as usize);
        let (now, later) = place.split_at_mut(n);
        if !later.is_empty() {
            self.free.insert(at + n as u64, later);
        }
        self.busy += 1;
        Ok(Next::Fill(now))
    }
}
