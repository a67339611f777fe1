//! The outgoing side of a session: whole frames, one after the other, from any thread.
#![forbid(unsafe_code)]

use std::io::IoSlice;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, ThreadId};
use std::time::Instant;

use gvirtus_wire::communicator::Sender;
use gvirtus_wire::frame::Header;
use parking_lot::{Condvar, Mutex, MutexGuard};

/// The outgoing half; shared by all threads.
pub(super) struct Output {
    state: Mutex<State>,
    /// A frame sent in pieces is complete.
    free: Condvar,
    /// Bytes sent.
    pub(super) bytes: AtomicU64,
}

struct State {
    sender: Box<dyn Sender>,
    /// The thread in the middle of a frame, and how many bytes it still owes.
    owed: Option<(ThreadId, u64)>,
    broken: bool,
}

impl Output {
    pub(super) fn new(sender: Box<dyn Sender>) -> Self {
        Self {
            state: Mutex::new(State {
                sender,
                owed: None,
                broken: false,
            }),
            free: Condvar::new(),
            bytes: AtomicU64::new(0),
        }
    }

    /// Waits until no other thread is in the middle of a frame. `None` if this one is: frames do not nest.
    fn turn(&self) -> Option<MutexGuard<'_, State>> {
        let me = thread::current().id();
        let mut state = self.state.lock();
        loop {
            match state.owed {
                None => return Some(state),
                Some((owner, _)) if owner == me => return None,
                Some(_) => self.free.wait(&mut state),
            }
        }
    }

    fn write(&self, state: &mut State, parts: &[IoSlice<'_>]) -> bool {
        if state.broken {
            return false;
        }
        if let Err(e) = state.sender.send_vectored(parts) {
            tracing::debug!("sending failed: {e}");
            state.broken = true;
            return false;
        }
        let n: usize = parts.iter().map(|p| p.len()).sum();
        self.bytes.fetch_add(n as u64, Ordering::Relaxed);
        true
    }

    /// Sends a whole frame. False when the session is over, or the calling thread has not finished its last frame.
    pub(super) fn send(&self, header: &Header, payload: &[u8], bulk: &[u8]) -> bool {
        let Some(mut state) = self.turn() else {
            return false;
        };
        self.write(
            &mut state,
            &[
                IoSlice::new(&stamped(header).to_bytes()),
                IoSlice::new(payload),
                IoSlice::new(bulk),
            ],
        )
    }

    /// Sends header and payload of a frame whose bulk follows from this thread.
    pub(super) fn send_start(&self, header: &Header, payload: &[u8]) -> bool {
        let Some(mut state) = self.turn() else {
            return false;
        };
        let sent = self.write(
            &mut state,
            &[
                IoSlice::new(&stamped(header).to_bytes()),
                IoSlice::new(payload),
            ],
        );
        if sent && header.bulk > 0 {
            state.owed = Some((thread::current().id(), header.bulk));
        }
        sent
    }

    /// The next bytes of the frame that this thread has begun. False for more than it owes.
    pub(super) fn send_bulk(&self, bytes: &[u8]) -> bool {
        let me = thread::current().id();
        // Others hold the lock for an instant only while this thread is in the middle of a frame.
        let mut state = self.state.lock();
        let Some(rest) = state
            .owed
            .filter(|(owner, _)| *owner == me)
            .and_then(|(_, owed)| owed.checked_sub(bytes.len() as u64))
        else {
            return false;
        };
        let sent = self.write(&mut state, &[IoSlice::new(bytes)]);
        state.owed = (rest > 0 && sent).then_some((me, rest));
        if state.owed.is_none() {
            drop(state);
            self.free.notify_all();
        }
        sent
    }
}

/// A header with the worker's clock, unless the plugin has put its own there.
fn stamped(header: &Header) -> Header {
    static START: OnceLock<Instant> = OnceLock::new();
    let mut header = *header;
    if header.trace == 0 {
        let elapsed = START.get_or_init(Instant::now).elapsed();
        header.trace = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX).max(1);
    }
    header
}
