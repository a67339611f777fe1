//! Leader and followers: one thread reads a frame and executes it; when its execution may block, another goes on reading.
//!
//! The right to read is the [`Input`] itself: whoever has it leads. A thread that executes keeps it in a thread-local place, from which
//! [`Threads::may_block`] passes it on to a parked thread, or to a new one. Frames are thus begun in their order, and what may wait waits aside.
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use gvirtus_wire::communicator::few_processors;
use gvirtus_wire::frame::Header;
use gvirtus_wire::lanes::Payload;
use parking_lot::{Condvar, Mutex};

use super::input::{BETWEEN_FRAMES, End, Input};

/// The most threads of a session. Beyond, frames wait until one is free.
const MAX_THREADS: usize = 256;
/// Parked threads kept for the next time.
const MAX_PARKED: usize = 16;
/// Stack of a thread, bytes: the driver's compiler runs on it, and expects what a program's first thread has.
const STACK: usize = 16 << 20;
/// How long the next frame may take before the plugins are told that there is none: what they do then is work for the GPU, and a client that has launched is often about to
/// ask for more.
const LULL: Duration = Duration::from_micros(8);
/// Looks between two glances at the clock, which takes as long as one of them.
const LOOKS: u32 = 8;

/// What executes frames.
pub(super) trait Handler: Sync + 'static {
    /// Executes one frame, on the thread that read it.
    fn frame(&self, header: &Header, payload: &[u8]);
    /// No frame is waiting. Whether something can wait longer, for which this is called again while no frame comes; with `last` nothing may.
    fn idle(&self, last: bool) -> bool;
}

thread_local! {
    /// The input, while this thread executes the frame that it read and has not said that it may block.
    static LEAD: RefCell<Option<Box<Input>>> = const { RefCell::new(None) };
    /// The bulk of the frame that this thread executes, if it comes over the lanes. It stays when others read on.
    static BULK: RefCell<Option<Arc<Payload>>> = const { RefCell::new(None) };
}

/// The bulk of the frame that the calling thread executes, if it comes over the lanes.
pub(super) fn bulk() -> Option<Arc<Payload>> {
    BULK.with_borrow(Clone::clone)
}

/// Runs `f` on the input if the calling thread leads.
pub(super) fn with_input<R>(f: impl FnOnce(&mut Input) -> R) -> Option<R> {
    LEAD.with_borrow_mut(|lead| lead.as_deref_mut().map(f))
}

/// The threads of a session.
pub(super) struct Threads {
    state: Mutex<State>,
    /// There is an input to take, or the end.
    wake: Condvar,
    /// The end has come.
    over: Condvar,
    /// Threads in the middle of a frame that let another read on.
    executing: AtomicUsize,
}

#[derive(Default)]
struct State {
    input: Option<Box<Input>>,
    parked: usize,
    threads: usize,
    end: Option<End>,
    ended: bool,
}

fn ready_soon(input: &mut Input) -> bool {
    let start = Instant::now();
    loop {
        for _ in 0..LOOKS {
            std::hint::spin_loop();
            if input.ready() {
                return true;
            }
        }
        if start.elapsed() >= LULL {
            return false;
        }
    }
}

/// Tells the plugins that there is no frame, again while they have something that can wait and none comes, and for the last time before the thread may sleep.
fn rest(handler: &impl Handler, input: &mut Input) {
    let start = Instant::now();
    loop {
        let last = few_processors() || start.elapsed() >= BETWEEN_FRAMES;
        if !handler.idle(last) || last || ready_soon(input) {
            return;
        }
    }
}

impl Threads {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::new(State::default()),
            wake: Condvar::new(),
            over: Condvar::new(),
            executing: AtomicUsize::new(0),
        }
    }

    /// Serves frames until there are no more, and says why. Threads that are still executing are left behind.
    pub(super) fn run(&'static self, handler: &'static impl Handler, input: Input) -> End {
        self.pass_on(handler, Box::new(input));
        let mut state = self.state.lock();
        loop {
            if let Some(end) = state.end.take() {
                return end;
            }
            self.over.wait(&mut state);
        }
    }

    /// Lets another thread read on while the calling one blocks. Does nothing if the calling thread does not lead.
    pub(super) fn may_block(&'static self, handler: &'static impl Handler) {
        let Some(mut input) = LEAD.with_borrow_mut(Option::take) else {
            return;
        };
        self.executing.fetch_add(1, Ordering::Relaxed);
        match input.skip_bulk() {
            Ok(()) => self.pass_on(handler, input),
            Err(e) => self.finish(e.into()),
        }
    }

    fn pass_on(&'static self, handler: &'static impl Handler, input: Box<Input>) {
        let mut state = self.state.lock();
        state.input = Some(input);
        if state.parked > 0 {
            self.wake.notify_one();
        } else if state.threads < MAX_THREADS {
            state.threads += 1;
            let number = state.threads;
            drop(state);
            let started = thread::Builder::new()
                .name(format!("frames-{number}"))
                .stack_size(STACK)
                .spawn(move || self.serve(handler));
            if let Err(e) = started {
                // Somebody who is executing will take the input when he is done.
                tracing::warn!("no further thread: {e}");
                let mut state = self.state.lock();
                state.threads -= 1;
                if state.threads == 0 {
                    drop(state);
                    self.finish(e.into());
                }
            }
        } else {
            tracing::debug!("all {MAX_THREADS} threads are waiting; further frames wait too");
        }
    }

    /// Waits for the input. `None` when the thread is not needed any more.
    fn take(&self) -> Option<Box<Input>> {
        let mut state = self.state.lock();
        loop {
            if let Some(input) = state.input.take() {
                return Some(input);
            }
            if state.ended || state.parked >= MAX_PARKED {
                state.threads -= 1;
                return None;
            }
            state.parked += 1;
            self.wake.wait(&mut state);
            state.parked -= 1;
        }
    }

    fn finish(&self, end: End) {
        let mut state = self.state.lock();
        state.ended = true;
        state.end.get_or_insert(end);
        drop(state);
        self.over.notify_all();
        self.wake.notify_all();
    }

    fn serve(&'static self, handler: &'static impl Handler) {
        let mut payload = Vec::new();
        while let Some(mut input) = self.take() {
            loop {
                if !input.ready() {
                    if input.busy && !ready_soon(&mut input) {
                        input.busy = false;
                        rest(handler, &mut input);
                    }
                    // A client that waits for an answer goes on as soon as it has it.
                    input.look(|| self.executing.load(Ordering::Relaxed) > 0);
                }
                let header = match input.next(&mut payload) {
                    Ok(header) => header,
                    Err(end) => return self.finish(end),
                };
                BULK.set(input.over_lanes.take());
                LEAD.set(Some(input));
                handler.frame(&header, &payload);
                if let Some(bulk) = BULK.take() {
                    bulk.abandon();
                }
                match LEAD.take() {
                    Some(mine) => input = mine,
                    // The frame might block, and another thread leads by now.
                    None => {
                        self.executing.fetch_sub(1, Ordering::Relaxed);
                        break;
                    }
                }
            }
        }
    }
}
