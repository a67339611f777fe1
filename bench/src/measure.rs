//! Timing, medians, and the lines that are printed.

use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::gpu::{Failed, Result};

/// What a figure is measured in; says which way is better.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Unit {
    Microseconds,
    Milliseconds,
    GigabytesPerSecond,
    PerSecond,
    /// How many times as fast together as one after the other.
    Times,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Self::Microseconds => "us",
            Self::Milliseconds => "ms",
            Self::GigabytesPerSecond => "GB/s",
            Self::PerSecond => "/s",
            Self::Times => "x",
        }
    }

    fn more_is_better(self) -> bool {
        matches!(
            self,
            Self::GigabytesPerSecond | Self::PerSecond | Self::Times
        )
    }
}

/// Prints one figure; `size` is the bytes moved, for figures that depend on it.
pub(crate) fn figure(
    id: &str,
    what: &str,
    unit: Unit,
    size: Option<usize>,
    value: f64,
) -> Result<()> {
    let mut line = json!({"id": id, "what": what, "unit": unit.name(), "more_is_better": unit.more_is_better(), "value": value});
    if let Some(size) = size {
        line["size"] = size.into();
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")
        .and_then(|()| out.flush())
        .map_err(|e| Failed::new(format!("standard output: {e}")))
}

/// How long that takes.
pub(crate) fn time(f: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let began = Instant::now();
    f()?;
    Ok(began.elapsed())
}

/// The middle of several measurements, each after `before`, which is not timed.
pub(crate) fn median(
    rounds: u32,
    mut before: impl FnMut() -> Result<()>,
    mut f: impl FnMut() -> Result<()>,
) -> Result<Duration> {
    let mut times = Vec::with_capacity(rounds as usize);
    for _ in 0..rounds.max(1) {
        before()?;
        times.push(time(&mut f)?);
    }
    times.sort_unstable();
    Ok(times[times.len() / 2])
}

/// In microseconds, per operation.
pub(crate) fn microseconds(time: Duration, operations: u32) -> f64 {
    time.as_secs_f64() * 1e6 / f64::from(operations.max(1))
}

/// In 10^9 bytes per second.
pub(crate) fn gigabytes_per_second(bytes: usize, time: Duration) -> f64 {
    bytes as f64 / time.as_secs_f64().max(1e-9) / 1e9
}
