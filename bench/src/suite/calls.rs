//! What single calls cost.

use std::time::{Duration, Instant};

use super::Bench;
use crate::gpu::Result;
use crate::measure::{Unit, figure, median, microseconds, time};

/// Kernels between two synchronizations where issuing is measured: below what any stream holds without blocking.
const BURST: u32 = 500;
const MALLOC: usize = 4 << 20;
const GRAPH_NODES: u32 = 100;
const REPLAYS: u32 = 50;
/// Time between launches that are measured one by one, microseconds, and how many a round has.
const GAPS: [(&str, u64); 3] = [
    ("launch_each_20us", 20),
    ("launch_each_60us", 60),
    ("launch_each_300us", 300),
];
const CALLS_APART: u32 = 200;

pub(super) fn run(bench: &Bench<'_>) -> Result<()> {
    launches(bench)?;
    copies(bench)?;
    memory(bench)?;
    events(bench)?;
    graph(bench)
}

/// A call's cost: the median of rounds of `operations` calls.
fn cost(
    bench: &Bench<'_>,
    id: &str,
    what: &str,
    (rounds, operations): (u32, u32),
    mut f: impl FnMut() -> Result<()>,
) -> Result<()> {
    let took = median(
        bench.options.times(rounds),
        || bench.context.synchronize(),
        || (0..operations).try_for_each(|_| f()),
    )?;
    figure(
        id,
        what,
        Unit::Microseconds,
        None,
        microseconds(took, operations),
    )
}

/// What a call costs the thread that makes it where it comes once in a while, as it does in programs that compute between launches: the median of rounds, in microseconds.
fn apart(bench: &Bench<'_>, gap: Duration, mut f: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut rounds = Vec::new();
    for _ in 0..bench.options.times(7) {
        bench.context.synchronize()?;
        let mut inside = Duration::ZERO;
        let mut due = Instant::now();
        for _ in 0..CALLS_APART {
            due += gap;
            while Instant::now() < due {
                std::hint::spin_loop();
            }
            inside += time(&mut f)?;
        }
        rounds.push(inside);
    }
    rounds.sort_unstable();
    Ok(microseconds(rounds[rounds.len() / 2], CALLS_APART))
}

fn launches(bench: &Bench<'_>) -> Result<()> {
    let Bench {
        context,
        module,
        stream,
        ..
    } = bench;
    cost(
        bench,
        "launch_issue",
        "launch, issued in bursts of 500, drained between",
        (200, BURST),
        || module.launch_nothing(stream),
    )?;
    for (id, gap) in GAPS {
        let each = apart(bench, Duration::from_micros(gap), || {
            module.launch_nothing(stream)
        })?;
        figure(
            id,
            &format!("launch, issued, each {gap} us"),
            Unit::Microseconds,
            None,
            each,
        )?;
    }
    let many = bench.options.times(100_000);
    context.synchronize()?;
    let took = time(|| {
        (0..many).try_for_each(|_| module.launch_nothing(stream))?;
        stream.synchronize()
    })?;
    figure(
        "launch_drained",
        "launch, thousands issued, then drained, each",
        Unit::Microseconds,
        None,
        microseconds(took, many),
    )?;
    cost(
        bench,
        "launch_sync",
        "launch + stream synchronize",
        (2000, 1),
        || {
            module.launch_nothing(stream)?;
            stream.synchronize()
        },
    )?;
    cost(
        bench,
        "sync_idle",
        "synchronize, nothing to wait for",
        (1000, 1),
        || context.synchronize(),
    )
}

fn copies(bench: &Bench<'_>) -> Result<()> {
    let Bench {
        context, stream, ..
    } = bench;
    let device = context.device_memory(4096)?;
    let pinned = context.pinned(4096)?;
    let mut host = [1u8; 16];
    cost(bench, "d2h_16", "D2H of 16 bytes", (2000, 1), || {
        context.copy_out(&mut host, &device)
    })?;
    cost(bench, "h2d_16", "H2D of 16 bytes", (2000, 1), || {
        context.copy_in(&device, &[2u8; 16])
    })?;
    cost(
        bench,
        "h2d_async_4k",
        "async H2D of 4 KiB pinned, issue",
        (50, 100),
        || stream.copy_in(&device, &pinned, 4096),
    )?;
    cost(
        bench,
        "memset_async",
        "async memset of 4 KiB, issue",
        (50, 100),
        || stream.fill(&device, 4096),
    )
}

fn memory(bench: &Bench<'_>) -> Result<()> {
    let context = bench.context;
    cost(
        bench,
        "malloc_free",
        "malloc + free of 4 MiB, idle",
        (200, 1),
        || context.device_memory(MALLOC)?.free(),
    )?;
    let pairs = bench.options.times(10_000);
    context.synchronize()?;
    let took = time(|| {
        (0..pairs).try_for_each(|_| context.device_memory(MALLOC)?.free())?;
        context.synchronize()
    })?;
    figure(
        "malloc_free_drained",
        "malloc + free of 4 MiB, thousands, then drained, each",
        Unit::Microseconds,
        None,
        microseconds(took, pairs),
    )
}

fn events(bench: &Bench<'_>) -> Result<()> {
    let Bench {
        context, stream, ..
    } = bench;
    let (start, end) = (context.event()?, context.event()?);
    cost(bench, "event_record", "event record", (50, 100), || {
        start.record(stream)
    })?;
    cost(
        bench,
        "event_timing",
        "record, launch, record, synchronize, elapsed time",
        (500, 1),
        || {
            start.record(stream)?;
            bench.module.launch_nothing(stream)?;
            end.record(stream)?;
            end.synchronize()?;
            start.milliseconds_until(&end).map(drop)
        },
    )?;
    // What a program is told that an empty kernel takes: distance must not show in it.
    let mut told = Vec::new();
    for _ in 0..bench.options.times(100) {
        start.record(stream)?;
        bench.module.launch_nothing(stream)?;
        end.record(stream)?;
        end.synchronize()?;
        told.push(f64::from(start.milliseconds_until(&end)?) * 1e3);
    }
    told.sort_by(f64::total_cmp);
    figure(
        "event_elapsed",
        "the time that events tell of an empty kernel",
        Unit::Microseconds,
        None,
        told[told.len() / 2],
    )
}

fn graph(bench: &Bench<'_>) -> Result<()> {
    let Bench { module, stream, .. } = bench;
    let graph =
        stream.graph(|| (0..GRAPH_NODES).try_for_each(|_| module.launch_nothing(stream)))?;
    cost(
        bench,
        "graph_replay",
        "graph of 100 kernels, launch + synchronize",
        (200, 1),
        || {
            graph.launch(stream)?;
            stream.synchronize()
        },
    )?;
    let took = median(
        bench.options.times(20),
        || bench.context.synchronize(),
        || {
            (0..REPLAYS).try_for_each(|_| graph.launch(stream))?;
            stream.synchronize()
        },
    )?;
    figure(
        "graph_replays",
        "graph of 100 kernels, 50 launches, then drained, each",
        Unit::Microseconds,
        None,
        microseconds(took, REPLAYS),
    )
}
