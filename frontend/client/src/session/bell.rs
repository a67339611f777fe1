//! How issuing threads wake the flusher: a flag that says "there is something", and a wake-up only for a flusher that sleeps.

#[cfg(loom)]
use loom::sync::atomic::{AtomicBool, Ordering, fence};
#[cfg(loom)]
use loom::sync::{Condvar, Mutex};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicBool, Ordering, fence};
#[cfg(not(loom))]
use std::sync::{Condvar, Mutex};

use std::sync::PoisonError;

/// Rung by many, waited for by one.
#[derive(Debug)]
pub(crate) struct Bell {
    rung: AtomicBool,
    asleep: AtomicBool,
    lock: Mutex<()>,
    woken: Condvar,
}

impl Bell {
    pub(crate) fn new() -> Self {
        Self {
            rung: AtomicBool::new(false),
            asleep: AtomicBool::new(false),
            lock: Mutex::new(()),
            woken: Condvar::new(),
        }
    }

    /// Says that there is something. A load while it rings already, else a store, a fence and a load if the other side is awake.
    ///
    /// Both sides write their own flag and then read the other's; without a fence between, each could miss the other. Whoever finds that it rings needs neither: had it been answered, and what it rang for been
    /// taken, before the caller put his there, he would see that it does not ring, since both do so under one lock.
    #[inline]
    pub(crate) fn ring(&self) {
        if self.has_rung() {
            return;
        }
        self.rung.store(true, Ordering::Release);
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Relaxed) {
            self.wake();
        }
    }

    #[cold]
    fn wake(&self) {
        // With the lock held, the sleeper is either before its look at `rung` or inside `wait`.
        let _held = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        self.asleep.store(false, Ordering::Relaxed);
        self.woken.notify_one();
    }

    /// Whether it has rung since it was last answered.
    #[inline]
    pub(crate) fn has_rung(&self) -> bool {
        self.rung.load(Ordering::Relaxed)
    }

    /// Whether ringing would have to wake somebody, as it looks from here.
    #[inline]
    pub(crate) fn is_asleep(&self) -> bool {
        self.asleep.load(Ordering::Relaxed)
    }

    /// Whether it has rung since it was last answered; answers it. Anybody may who sees to what it rang for.
    #[inline]
    pub(crate) fn answer(&self) -> bool {
        self.rung.load(Ordering::Relaxed) && self.rung.swap(false, Ordering::AcqRel)
    }

    /// Sleeps until it rings; may return early.
    pub(crate) fn wait(&self) {
        let held = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        self.asleep.store(true, Ordering::Release);
        fence(Ordering::SeqCst);
        if !self.rung.load(Ordering::Relaxed) {
            drop(
                self.woken
                    .wait(held)
                    .unwrap_or_else(PoisonError::into_inner),
            );
        }
        self.asleep.store(false, Ordering::Release);
    }
}

/// Run with `RUSTFLAGS="--cfg loom" cargo test --release -p gvirtus-client --lib bell`.
#[cfg(all(test, loom))]
mod tests {
    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicUsize, Ordering};
    use loom::thread;

    use super::*;

    #[test]
    fn no_ring_is_ever_slept_through() {
        let mut model = loom::model::Builder::new();
        // All interleavings with so many preemptions; without a bound there are too many.
        model.preemption_bound = Some(3);
        model.check(|| {
            let bell = Arc::new(Bell::new());
            let queue = Arc::new(AtomicUsize::new(0));
            let issuers: Vec<_> = (0..2)
                .map(|_| {
                    let (bell, queue) = (Arc::clone(&bell), Arc::clone(&queue));
                    thread::spawn(move || {
                        queue.fetch_add(1, Ordering::AcqRel);
                        bell.ring();
                    })
                })
                .collect();
            let mut taken = 0;
            while taken < 2 {
                if bell.answer() {
                    taken += queue.swap(0, Ordering::AcqRel);
                } else {
                    // A lost wake-up is a deadlock here, and loom reports it.
                    bell.wait();
                }
            }
            for issuer in issuers {
                issuer.join().unwrap();
            }
        });
    }
}
