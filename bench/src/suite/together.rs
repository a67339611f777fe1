//! Things at the same time: copies in both directions, copies beside a kernel, threads, devices.

use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use super::Bench;
use crate::gpu::{Failed, Result};
use crate::measure::{Unit, figure, gigabytes_per_second, median, microseconds, time};

/// Bytes of a copy that overlaps, unless the largest copy is smaller.
const COPY: usize = 64 << 20;
const THREADS: u32 = 8;

pub(super) fn run(bench: &Bench<'_>) -> Result<()> {
    overlap(bench)?;
    threads(bench)?;
    devices(bench)
}

fn overlap(bench: &Bench<'_>) -> Result<()> {
    let Bench {
        context,
        module,
        stream,
        options,
    } = bench;
    let size = COPY.min(options.largest);
    let other = context.stream()?;
    let (up, down) = (context.device_memory(size)?, context.device_memory(size)?);
    let (from, to) = (context.pinned(size)?, context.pinned(size)?);
    let rounds = options.times(9).max(3);
    let alone = |f: &dyn Fn() -> Result<()>| -> Result<Duration> {
        f()?;
        median(
            rounds,
            || context.synchronize(),
            || {
                f()?;
                context.synchronize()
            },
        )
    };
    let copy_in = || stream.copy_in(&up, &from, size);
    let copy_out = || other.copy_out(&to, &down, size);
    let (inward, outward) = (alone(&copy_in)?, alone(&copy_out)?);
    let both = alone(&|| {
        copy_in()?;
        copy_out()
    })?;
    let gain = |one: Duration, another: Duration, both: Duration| {
        (one + another).as_secs_f64() / both.as_secs_f64().max(1e-9)
    };
    figure(
        "overlap_both_ways",
        "H2D and D2H at the same time, against one after the other",
        Unit::Times,
        None,
        gain(inward, outward, both),
    )?;
    let cycles = (inward.as_secs_f64() * context.clock_rate()?) as u64;
    let spin = || module.launch_spin(cycles, &other);
    let busy = alone(&spin)?;
    let both = alone(&|| {
        spin()?;
        copy_in()
    })?;
    figure(
        "overlap_kernel",
        "a kernel and an H2D as long, against one after the other",
        Unit::Times,
        None,
        gain(inward, busy, both),
    )
}

/// Launches of several threads, each with a stream of its own.
fn threads(bench: &Bench<'_>) -> Result<()> {
    let Bench {
        context,
        module,
        options,
        ..
    } = bench;
    let each = options.times(50_000);
    let start = Barrier::new(THREADS as usize);
    let slowest = thread::scope(|scope| {
        let running: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| -> Result<Duration> {
                    // Whatever fails, everybody must arrive.
                    let stream = context.enter().and_then(|()| context.stream());
                    start.wait();
                    let stream = stream?;
                    time(|| {
                        (0..each).try_for_each(|_| module.launch_nothing(&stream))?;
                        stream.synchronize()
                    })
                })
            })
            .collect();
        let mut slowest = Duration::ZERO;
        for thread in running {
            let took = thread
                .join()
                .map_err(|_| Failed::new("a launching thread panicked"))??;
            slowest = slowest.max(took);
        }
        Ok(slowest)
    })?;
    figure(
        "threads_8",
        "eight threads, launches drained, all together",
        Unit::PerSecond,
        None,
        f64::from(THREADS) * f64::from(each) / slowest.as_secs_f64().max(1e-9),
    )
}

/// A second device, if there is one.
fn devices(bench: &Bench<'_>) -> Result<()> {
    let Bench {
        context: first,
        stream,
        options,
        ..
    } = bench;
    if first.devices()? < 2 {
        return Ok(());
    }
    let second = first.other(1)?;
    let size = (256 << 20).min(options.largest);
    let there = second.device_memory(size)?;
    let other_stream = second.stream()?;
    let other_module = second.module()?;
    first.enter()?;
    let here = first.device_memory(size)?;
    let direct = first.reach(second)?;
    first.enter()?;
    let what = if direct {
        "copy between two devices, peer access"
    } else {
        "copy between two devices, no peer access"
    };
    let copy = || {
        first.copy_from_peer(&here, &there, second, size, stream)?;
        stream.synchronize()
    };
    copy()?;
    let took = median(options.times(9).max(3), || Ok(()), copy)?;
    figure(
        "two_devices_copy",
        what,
        Unit::GigabytesPerSecond,
        Some(size),
        gigabytes_per_second(size, took),
    )?;
    let rounds = options.times(20_000);
    let took = time(|| {
        for _ in 0..rounds {
            first.enter()?;
            bench.module.launch_nothing(stream)?;
            second.enter()?;
            other_module.launch_nothing(&other_stream)?;
        }
        other_stream.synchronize()?;
        first.enter()?;
        stream.synchronize()
    })?;
    figure(
        "two_devices_launch",
        "launches on two devices by turns, drained, each",
        Unit::Microseconds,
        None,
        microseconds(took, rounds * 2),
    )
}
