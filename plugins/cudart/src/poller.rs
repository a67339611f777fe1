//! The thread that watches progress words while work is outstanding, and the janitor that frees what may wait for the GPU.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::session::Session;

/// How long words are watched without sleeping after something has happened.
const SPIN: Duration = Duration::from_micros(30);
/// How long the poller sleeps between looks after that, and after a while.
const NAP: Duration = Duration::from_micros(25);
const LONG_NAP: Duration = Duration::from_micros(50);
/// So long without progress, and the contexts are asked whether they are poisoned.
const PROBE: Duration = Duration::from_millis(1);
/// Blocks beyond what is kept are given back so often.
const TIDY: Duration = Duration::from_secs(1);

/// Where the poller waits while nothing is outstanding.
pub(crate) struct Sleeper {
    asleep: AtomicBool,
    lock: Mutex<bool>,
    woken: Condvar,
}

impl Sleeper {
    pub(crate) fn new() -> Self {
        Self {
            asleep: AtomicBool::new(false),
            lock: Mutex::new(false),
            woken: Condvar::new(),
        }
    }

    /// There is something to watch. Cheap while the poller is awake.
    #[inline]
    pub(crate) fn wake(&self) {
        if self.asleep.load(Ordering::SeqCst) {
            *self.lock.lock() = true;
            self.woken.notify_one();
        }
    }

    /// Sleeps until woken, unless `needed` says that there is something already.
    fn sleep(&self, needed: impl Fn() -> bool) {
        self.asleep.store(true, Ordering::SeqCst);
        if !needed() {
            let mut woken = self.lock.lock();
            while !*woken {
                if self
                    .woken
                    .wait_for(&mut woken, Duration::from_millis(500))
                    .timed_out()
                {
                    break;
                }
            }
            *woken = false;
        }
        self.asleep.store(false, Ordering::SeqCst);
    }
}

/// Starts both threads.
pub(crate) fn start(session: &'static Session) -> std::io::Result<()> {
    std::thread::Builder::new()
        .name("progress".into())
        .spawn(move || watch(session))?;
    std::thread::Builder::new()
        .name("janitor".into())
        .spawn(move || tidy(session))?;
    Ok(())
}

fn watch(session: &'static Session) {
    let progress = &session.progress;
    // A nap of 25 µs should not become one of 75: the default slack of timers is 50 µs.
    // SAFETY: PR_SET_TIMERSLACK takes a number of nanoseconds.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1_000) };
    let mut last = Instant::now();
    let mut probed = last;
    while !progress.closed.load(Ordering::Acquire) {
        if !progress.watching() {
            progress.rounded();
            progress
                .poller
                .sleep(|| progress.watching() || progress.closed.load(Ordering::Acquire));
            last = Instant::now();
            continue;
        }
        if progress.ready() && progress.settle(session.host, |_| 0) {
            last = Instant::now();
        }
        progress.rounded();
        let quiet = last.elapsed();
        if quiet < SPIN {
            std::hint::spin_loop();
        } else {
            std::thread::sleep(if quiet < PROBE { NAP } else { LONG_NAP });
        }
        if quiet > PROBE && probed.elapsed() > PROBE {
            probed = Instant::now();
            progress.probe(session);
        }
    }
}

fn tidy(session: &'static Session) {
    while !session.progress.closed.load(Ordering::Acquire) {
        std::thread::sleep(TIDY);
        let contexts: Vec<_> = session.contexts.read().values().cloned().collect();
        for context in contexts {
            if context.staging.has_surplus() && context.make_current().is_ok() {
                context
                    .staging
                    .release_surplus(context.alive.load(Ordering::Acquire));
            }
        }
    }
}
