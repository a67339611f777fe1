//! Work that the worker asks the client for: host functions, and the bytes of pinned memory as they are now.
//!
//! Host functions run on a thread of their own, so that one may wait for a thread that waits for a reply. Pulls run on another, so that a host function that takes long
//! holds up no copy.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{OnceLock, mpsc};

use gvirtus_wire::api::core::{HostCallDone, PullData, PullRequest};
use gvirtus_wire::api::types::CUresult;
use parking_lot::Mutex;

use super::Session;
use super::inbox::gather;

/// A host function of the program, ready to be called with the stream's status.
pub(crate) type HostFunction = Box<dyn FnMut(CUresult) + Send>;

#[derive(Default)]
pub(crate) struct Callbacks {
    next: AtomicU64,
    outstanding: AtomicUsize,
    registered: Mutex<HashMap<u64, Registered>>,
    calls: OnceLock<mpsc::Sender<(u64, CUresult)>>,
    pulls: OnceLock<mpsc::Sender<PullRequest>>,
}

struct Registered {
    function: HostFunction,
    /// Called on every replay of a graph, so it stays.
    repeats: bool,
}

impl Callbacks {
    /// Keeps a host function and returns the id that the worker will call it by.
    pub(crate) fn register(&self, function: HostFunction, repeats: bool) -> u64 {
        let id = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        self.registered
            .lock()
            .insert(id, Registered { function, repeats });
        if !repeats {
            self.outstanding.fetch_add(1, Ordering::AcqRel);
        }
        id
    }

    /// A graph is launched that calls so many functions.
    pub(crate) fn launched(&self, calls: usize) {
        self.outstanding.fetch_add(calls, Ordering::AcqRel);
    }

    /// A host function that could not be enqueued after all.
    pub(crate) fn forget(&self, id: u64) {
        let gone = self.registered.lock().remove(&id);
        if gone.is_some_and(|entry| !entry.repeats) {
            self.called();
        }
    }

    /// Whether a host function is still to run: until then pinned memory may change before the GPU reads it.
    pub(crate) fn outstanding(&self) -> bool {
        self.outstanding.load(Ordering::Acquire) > 0
    }

    /// Starts the threads.
    pub(crate) fn start(&self, session: &'static Session) -> std::io::Result<()> {
        let (sender, calls) = mpsc::channel::<(u64, CUresult)>();
        let _ = self.calls.set(sender);
        super::thread("gvirtus-callback", move || {
            while let Ok((id, status)) = calls.recv() {
                crate::memory::managed::before_host_function();
                session.callbacks.run(id, status);
                crate::memory::managed::after_host_function(session);
                crate::memory::mapped::refresh_all(|touch, bulk| session.answer(touch, bulk));
                session.answer(&HostCallDone { id }, &[]);
            }
        })?;
        let (sender, pulls) = mpsc::channel::<PullRequest>();
        let _ = self.pulls.set(sender);
        super::thread("gvirtus-pull", move || {
            while let Ok(pull) = pulls.recv() {
                // SAFETY: the receiver has checked that the box lies in pinned memory, which stays mapped while a copy from it is in flight.
                let bulk = unsafe { gather(&pull.plane, &pull.extent) };
                crate::memory::mapped::exchanged(&pull.plane, &pull.extent);
                session.answer(&PullData { id: pull.id }, &bulk);
            }
        })
    }

    pub(super) fn call(&self, id: u64, status: CUresult) {
        if let Some(calls) = self.calls.get() {
            let _ = calls.send((id, status));
        }
    }

    pub(super) fn pull(&self, request: PullRequest) {
        if let Some(pulls) = self.pulls.get() {
            let _ = pulls.send(request);
        }
    }

    fn run(&self, id: u64, status: CUresult) {
        let Some(mut entry) = self.registered.lock().remove(&id) else {
            return;
        };
        (entry.function)(status);
        if entry.repeats {
            self.registered.lock().insert(id, entry);
        }
        self.called();
    }

    /// A function that was outstanding is not any more. A graph may call more often than was counted.
    fn called(&self) {
        let less = |n: usize| n.checked_sub(1);
        let _ = self
            .outstanding
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, less);
    }
}
