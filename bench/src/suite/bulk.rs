//! Copies of all sizes, to and from pageable and pinned memory.

use std::time::Duration;

use super::Bench;
use crate::gpu::Result;
use crate::measure::{Unit, figure, gigabytes_per_second, median};

/// The smallest copy; each further one is four times as large.
const SMALLEST: usize = 4 << 10;
/// About how many bytes are moved per figure, so that small copies are repeated often.
const BUDGET: usize = 256 << 20;

pub(super) fn run(bench: &Bench<'_>) -> Result<()> {
    let Bench {
        context,
        stream,
        options,
        ..
    } = bench;
    let largest = options.largest.max(SMALLEST);
    let device = context.device_memory(largest)?;
    let pinned = context.pinned(largest)?;
    // Touched, so that no page fault is timed.
    let mut pageable = vec![1u8; largest];
    let mut size = SMALLEST;
    while size <= largest {
        copy(
            bench,
            "h2d_pageable",
            "H2D from pageable memory",
            size,
            || context.copy_in(&device, &pageable[..size]),
        )?;
        copy(
            bench,
            "d2h_pageable",
            "D2H to pageable memory",
            size,
            || context.copy_out(&mut pageable[..size], &device),
        )?;
        copy(bench, "h2d_pinned", "H2D from pinned memory", size, || {
            stream.copy_in(&device, &pinned, size)?;
            stream.synchronize()
        })?;
        copy(bench, "d2h_pinned", "D2H to pinned memory", size, || {
            stream.copy_out(&pinned, &device, size)?;
            stream.synchronize()
        })?;
        size *= 4;
    }
    Ok(())
}

fn copy(
    bench: &Bench<'_>,
    id: &str,
    what: &str,
    size: usize,
    mut f: impl FnMut() -> Result<()>,
) -> Result<()> {
    let rounds = u32::try_from((BUDGET / size).clamp(4, 400)).unwrap_or(4);
    // Once to warm up.
    f()?;
    let took: Duration = median(
        bench.options.times(rounds).max(3),
        || bench.context.synchronize(),
        f,
    )?;
    figure(
        id,
        what,
        Unit::GigabytesPerSecond,
        Some(size),
        gigabytes_per_second(size, took),
    )
}
