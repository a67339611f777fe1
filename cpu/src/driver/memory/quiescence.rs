//! Puts off unmapping until whatever may still touch the memory has ended.
//!
//! A kernel checks an address and then touches it; in between another thread may unmap it. On a GPU such a kernel dies with "illegal address"; here it would take
//! the process with it. So running kernels and copies register themselves, the ledger forgets an unmapped range at once (the next check fails), and the
//! address space and physical memory follow when all operations that ran at the time of the call have ended.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::physical::Extent;

/// Work to do once nothing can touch the memory any more.
pub(super) enum Deferred {
    /// Make a still reserved range inaccessible.
    Unmap { start: u64, end: u64 },
    /// Give the addresses back to the host.
    Release { start: u64, end: u64 },
    /// Give physical memory back.
    GiveBack { device: usize, extents: Vec<Extent> },
}

impl Deferred {
    fn run(self) {
        match self {
            Self::Unmap { start, end } => super::hide(start, end - start),
            Self::Release { start, end } => super::release_addresses(start, end - start),
            Self::GiveBack { device, extents } => {
                super::memory().physical(device).give_back(&extents)
            }
        }
    }
}

#[derive(Default)]
struct State {
    next: u64,
    active: BTreeSet<u64>,
    deferred: Vec<(u64, Deferred)>,
}

impl State {
    fn releases(&self, start: u64, end: u64) -> bool {
        self.deferred.iter().any(|(_, work)| {
            matches!(work, Deferred::Release { start: from, end: to } if *from < end && start < *to)
        })
    }
}

/// Running operations and what waits for them.
#[derive(Default)]
pub(in crate::driver) struct Quiescence {
    state: Mutex<State>,
    /// Something that was put off has been done.
    done: Condvar,
}

/// A running operation; ends when dropped.
pub(in crate::driver) struct Running<'a> {
    quiescence: &'a Quiescence,
    number: u64,
}

impl Quiescence {
    /// Announces an operation that is about to check and touch device memory.
    pub(in crate::driver) fn enter(&self) -> Running<'_> {
        let mut state = self.state.lock();
        let number = state.next;
        state.next += 1;
        state.active.insert(number);
        Running {
            quiescence: self,
            number,
        }
    }

    /// Does the work now if no operation runs, else when those that run have ended.
    pub(super) fn run_or_defer(&self, work: Deferred) {
        let mut state = self.state.lock();
        if state.active.is_empty() {
            drop(state);
            work.run();
        } else {
            let number = state.next;
            state.deferred.push((number, work));
        }
    }

    /// Waits until addresses that are being given back are free, if any of this range are. Not for ever: what still runs there may itself wait for the host.
    pub(super) fn wait_for_release(&self, start: u64, end: u64) {
        const LIMIT: Duration = Duration::from_secs(1);
        let until = Instant::now() + LIMIT;
        let mut state = self.state.lock();
        while state.releases(start, end) {
            if self.done.wait_until(&mut state, until).timed_out() {
                return;
            }
        }
    }

    /// A new mapping replaces whatever is there: takes its range out of the unmappings that wait.
    pub(super) fn keep(&self, start: u64, end: u64) {
        let mut state = self.state.lock();
        let mut rest = Vec::new();
        for (number, work) in std::mem::take(&mut state.deferred) {
            match work {
                Deferred::Unmap {
                    start: from,
                    end: to,
                } if from < end && start < to => {
                    if from < start {
                        rest.push((
                            number,
                            Deferred::Unmap {
                                start: from,
                                end: start,
                            },
                        ));
                    }
                    if end < to {
                        rest.push((
                            number,
                            Deferred::Unmap {
                                start: end,
                                end: to,
                            },
                        ));
                    }
                }
                other => rest.push((number, other)),
            }
        }
        state.deferred = rest;
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut ready = Vec::new();
        {
            let mut state = self.quiescence.state.lock();
            state.active.remove(&self.number);
            if state.deferred.is_empty() {
                return;
            }
            let oldest = state.active.first().copied().unwrap_or(u64::MAX);
            let mut index = 0;
            while index < state.deferred.len() {
                // Deferred at `number`: operations with smaller numbers may still use the memory.
                if state.deferred[index].0 <= oldest {
                    ready.push(state.deferred.remove(index).1);
                } else {
                    index += 1;
                }
            }
            // Run under the lock: a mapping made meanwhile asks `keep` first.
            let (physical, addresses): (Vec<_>, Vec<_>) = ready
                .into_iter()
                .partition(|work| matches!(work, Deferred::GiveBack { .. }));
            addresses.into_iter().for_each(Deferred::run);
            self.quiescence.done.notify_all();
            ready = physical;
        }
        ready.into_iter().for_each(Deferred::run);
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::super::{GRANULE, reserve_addresses, reserve_exactly};
    use super::{Deferred, Quiescence};

    /// A device reset gives its addresses back and takes them again, while a copy elsewhere may still run.
    #[test]
    fn addresses_given_back_are_free_for_who_waits() {
        let quiescence = Quiescence::default();
        let start = reserve_addresses(GRANULE, GRANULE, 0).unwrap();
        let end = start + GRANULE;
        let running = quiescence.enter();
        quiescence.run_or_defer(Deferred::Release { start, end });
        assert!(!reserve_exactly(start, GRANULE), "put off");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(20));
                drop(running);
            });
            quiescence.wait_for_release(start, end);
            assert!(reserve_exactly(start, GRANULE));
        });
        // Nothing is given back any more, so nothing is waited for.
        let before = Instant::now();
        quiescence.wait_for_release(start, end);
        assert!(before.elapsed() < Duration::from_millis(500));
        super::super::release_addresses(start, GRANULE);
    }
}
