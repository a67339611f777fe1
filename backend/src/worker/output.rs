//! The outgoing side of a session: whole frames, one after the other, from any thread.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::io::IoSlice;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, ThreadId};
use std::time::Instant;

use gvirtus_wire::communicator::Sender;
use gvirtus_wire::frame::{FLAG_LANES, Header};
use gvirtus_wire::lanes::{self, Outgoing};
use parking_lot::{Condvar, Mutex, MutexGuard};

use super::ffi::Sending;

/// The outgoing half; shared by all threads.
pub(super) struct Output {
    state: Mutex<State>,
    /// A frame sent in pieces is complete.
    free: Condvar,
    /// Bytes sent.
    pub(super) bytes: AtomicU64,
    /// Once they are there.
    lanes: OnceLock<&'static Outgoing>,
    /// Payloads for the lanes that threads are in the middle of.
    begun: Mutex<HashMap<ThreadId, Begun>>,
}

/// A payload for the lanes whose bytes come in pieces.
struct Begun {
    payload: u64,
    at: u64,
    end: u64,
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
            lanes: OnceLock::new(),
            begun: Mutex::default(),
        }
    }

    /// Waits until no other thread is in the middle of a frame. `None` if this one is: frames do not nest.
    fn turn(&self) -> Option<MutexGuard<'_, State>> {
        let mut state = self.state.lock();
        while let Some((owner, _)) = state.owed {
            if owner == thread::current().id() {
                return None;
            }
            self.free.wait(&mut state);
        }
        Some(state)
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

    /// From now on large payloads go over these.
    pub(super) fn use_lanes(&self, lanes: &'static Outgoing) {
        let _ = self.lanes.set(lanes);
    }

    /// The lanes, for bulk that is worth it.
    fn lanes_for(&self, header: &Header) -> Option<&'static Outgoing> {
        self.lanes
            .get()
            .copied()
            .filter(|_| header.bulk >= lanes::SMALLEST)
    }

    /// Sends header and payload of a frame whose bulk goes over the lanes; the bulk's number.
    fn announce(
        &self,
        lanes: &Outgoing,
        header: &Header,
        payload: &[u8],
        then: impl FnOnce(u64),
    ) -> bool {
        let Some(mut state) = self.turn() else {
            return false;
        };
        let header = Header {
            flags: header.flags | FLAG_LANES,
            ..stamped(header)
        };
        // Numbered and queued while this thread has the connection: in the order of the frames.
        then(lanes.announce());
        self.write(
            &mut state,
            &[IoSlice::new(&header.to_bytes()), IoSlice::new(payload)],
        )
    }

    /// Sends a whole frame. False when the session is over, or the calling thread has not finished its last frame.
    pub(super) fn send(&self, header: &Header, payload: &[u8], bulk: &'static [u8]) -> bool {
        if let Some(lanes) = self.lanes_for(header) {
            let mut ticket = None;
            let announced = self.announce(lanes, header, payload, |number| {
                ticket = Some(lanes.queue(number, 0, &[bulk]));
            });
            // The bytes are the caller's again when this returns, even if the announcement failed.
            return ticket.is_some_and(|ticket| ticket.wait()) && announced;
        }
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
        if let Some(lanes) = self.lanes_for(header) {
            let me = thread::current().id();
            return self.announce(lanes, header, payload, |payload| {
                let begun = Begun {
                    payload,
                    at: 0,
                    end: header.bulk,
                };
                self.begun.lock().insert(me, begun);
            });
        }
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

    /// The next bytes of the frame that this thread has begun. `None` for more than it owes, or when the session is over.
    pub(super) fn send_bulk(&self, bytes: &'static [u8]) -> Option<Sending> {
        if let Some(lanes) = self.lanes.get()
            && let Some(at) = self.advance(bytes.len() as u64)
        {
            let (payload, offset) = at?;
            return Some(Sending::Later(lanes.queue(payload, offset, &[bytes])));
        }
        self.send_bulk_inline(bytes).then_some(Sending::Sent)
    }

    /// Where in which payload the calling thread's next bytes belong, if it has begun one for the lanes; nowhere if that has not so many.
    fn advance(&self, bytes: u64) -> Option<Option<(u64, u64)>> {
        let me = thread::current().id();
        let mut begun = self.begun.lock();
        let mine = begun.get_mut(&me)?;
        let (payload, at) = (mine.payload, mine.at);
        if bytes > mine.end - at {
            return Some(None);
        }
        mine.at += bytes;
        if mine.at == mine.end {
            begun.remove(&me);
        }
        Some(Some((payload, at)))
    }

    fn send_bulk_inline(&self, bytes: &[u8]) -> bool {
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
