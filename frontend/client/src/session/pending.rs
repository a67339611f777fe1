//! Calls that wait for their reply.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Thread;
use std::time::{Duration, Instant};

use gvirtus_wire::api::core::{Extent, Plane};
use gvirtus_wire::api::types::CUresult;
use gvirtus_wire::communicator::{few_processors, watch};
use parking_lot::Mutex;

use super::desk::Turn;

/// How long a caller looks for its reply without giving the processor away, unless there are few.
const SPIN: Duration = Duration::from_micros(30);

/// Where the bulk of a reply belongs: memory of the program, valid until the call returns.
#[derive(Debug, Clone)]
pub(crate) struct Destination {
    pub(crate) plane: Plane,
    pub(crate) extent: Extent,
}

/// One waiting call.
#[derive(Debug)]
pub(crate) struct Slot {
    done: AtomicBool,
    thread: Thread,
    destination: Option<Destination>,
    reply: Mutex<Result<Vec<u8>, CUresult>>,
}

impl Slot {
    pub(crate) fn new(destination: Option<Destination>) -> Arc<Self> {
        Arc::new(Self {
            done: AtomicBool::new(false),
            thread: std::thread::current(),
            destination,
            reply: Mutex::new(Ok(Vec::new())),
        })
    }

    pub(crate) fn destination(&self) -> Option<&Destination> {
        self.destination.as_ref()
    }

    /// Gives the reply to the waiting thread.
    pub(crate) fn complete(&self, reply: Result<Vec<u8>, CUresult>) {
        *self.reply.lock() = reply;
        self.done.store(true, Ordering::Release);
        self.thread.unpark();
    }

    /// Waits for the reply, at the desk if there is one. Only the thread that made the slot may call it.
    pub(super) fn wait(&self, mut turn: Option<Turn>) -> Result<Vec<u8>, CUresult> {
        let is_done = || self.done.load(Ordering::Acquire);
        let done = |turn: &mut Option<Turn>| {
            is_done()
                || turn.as_mut().is_some_and(|turn| {
                    turn.help();
                    is_done()
                })
        };
        let mut start = None;
        let mut turns = 0_u32;
        while !done(&mut turn) {
            turns += 1;
            if turns.is_multiple_of(64) && start.get_or_insert_with(Instant::now).elapsed() > SPIN {
                if !watch(Duration::ZERO, || done(&mut turn), || true)
                    && !turn.as_mut().is_some_and(Turn::rest)
                {
                    std::thread::park();
                }
            } else if turns.is_multiple_of(64) && few_processors() {
                // The receiver may be waiting for this very processor.
                std::thread::yield_now();
            } else {
                std::hint::spin_loop();
            }
        }
        drop(turn);
        std::mem::replace(&mut self.reply.lock(), Ok(Vec::new()))
    }
}

/// All waiting calls by sequence number: a handful at most, so a list.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    slots: Mutex<Vec<(u64, Arc<Slot>)>>,
}

impl Pending {
    pub(crate) fn insert(&self, sequence: u64, slot: Arc<Slot>) {
        self.slots.lock().push((sequence, slot));
    }

    /// Whether any call waits.
    pub(crate) fn any(&self) -> bool {
        !self.slots.lock().is_empty()
    }

    pub(crate) fn take(&self, sequence: u64) -> Option<Arc<Slot>> {
        let mut slots = self.slots.lock();
        let at = slots.iter().position(|(s, _)| *s == sequence)?;
        Some(slots.swap_remove(at).1)
    }

    /// Ends every waiting call with `status`.
    pub(crate) fn fail_all(&self, status: CUresult) {
        for (_, slot) in self.slots.lock().drain(..) {
            slot.complete(Err(status));
        }
    }
}
