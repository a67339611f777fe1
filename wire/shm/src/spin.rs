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
