//! How long to look for something before sleeping.
//!
//! A wake-up costs both sides several microseconds, so looking for about as long is worth it where an answer is likely; on a machine with few processors the one who
//! looks may keep the one who answers from running.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// Looks without giving the processor away.
const EAGER: u32 = 256;
/// Looks between glances at the clock.
const STRIDE: u32 = 16;

/// Shortest and longest time to look, by the machine.
static LIMITS: LazyLock<(Duration, Duration)> = LazyLock::new(|| {
    let micros = Duration::from_micros;
    match std::thread::available_parallelism().map_or(1, std::num::NonZero::get) {
        1 => (micros(0), micros(0)),
        2..=3 => (micros(2), micros(20)),
        _ => (micros(20), micros(150)),
    }
});

/// A time to look that adapts: longer while looking pays, shorter while it does not.
#[derive(Debug)]
pub struct Spin(Duration);

impl Default for Spin {
    fn default() -> Self {
        Self(LIMITS.1)
    }
}

impl Spin {
    /// Looks until `ready` or the time is up; whether it is ready.
    pub fn look(&mut self, mut ready: impl FnMut() -> bool) -> bool {
        for _ in 0..EAGER {
            if ready() {
                return true;
            }
            std::hint::spin_loop();
        }
        if self.0.is_zero() {
            return ready();
        }
        self.watch(|| {
            (0..STRIDE).any(|_| {
                std::hint::spin_loop();
                ready()
            })
        })
    }

    /// [`look`](Self::look) where each look costs a system call.
    pub fn look_dearly(&mut self, mut ready: impl FnMut() -> bool) -> bool {
        ready() || (!self.0.is_zero() && self.watch(ready))
    }

    fn watch(&mut self, mut ready: impl FnMut() -> bool) -> bool {
        let start = Instant::now();
        loop {
            if ready() {
                self.0 = (self.0 * 2).min(LIMITS.1);
                return true;
            }
            if start.elapsed() >= self.0 {
                self.0 = (self.0 / 2).max(LIMITS.0);
                return false;
            }
            // Whoever else wants this processor may have it.
            std::thread::yield_now();
        }
    }
}

/// How long [`watch`] looks at most while somebody waits. Two wake-ups cost tens of microseconds where processors are virtual, and natively a program that waits for the
/// GPU looks all the time.
const PATIENCE: Duration = Duration::from_millis(10);
/// A processor that comes back so late after it was given away has others to serve.
const CROWDED: Duration = Duration::from_micros(20);
/// With fewer processors others need them.
const ENOUGH_PROCESSORS: usize = 8;

static PROCESSORS: LazyLock<usize> =
    LazyLock::new(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get));

/// Whether a thread that looks without giving the processor away may keep from running whom it looks for.
#[must_use]
pub fn few_processors() -> bool {
    *PROCESSORS < ENOUGH_PROCESSORS
}

/// Looks until `ready`, for `least` and as long as somebody waits, but not for ever; whether it is ready. On a machine with few processors, or with others who want them, it
/// returns early: then sleeping is right.
pub fn watch(least: Duration, mut ready: impl FnMut() -> bool, waits: impl Fn() -> bool) -> bool {
    if ready() {
        return true;
    }
    if few_processors() {
        return false;
    }
    let start = Instant::now();
    loop {
        for _ in 0..2 * STRIDE {
            if ready() {
                return true;
            }
            std::hint::spin_loop();
        }
        let looked = start.elapsed();
        if looked > PATIENCE || (looked > least && !waits()) {
            return false;
        }
        std::thread::yield_now();
        if start.elapsed() - looked > CROWDED {
            return ready();
        }
    }
}
