//! The figures.
//!
//! * `calls`: what single calls cost. `bulk`: copies of all sizes. `together`: things at the same time.

use std::time::Instant;

use clap::Args;

use crate::gpu::{Context, Failed, Module, Result, Stream};
use crate::measure::{Unit, figure};

mod bulk;
mod calls;
mod together;

/// How much is measured.
#[derive(Args)]
pub(crate) struct Options {
    /// Bytes of the largest copy
    #[arg(long, default_value_t = 1 << 30)]
    largest: usize,
    /// Repetitions, divided by this: for a quick look
    #[arg(long, default_value_t = 1)]
    hurry: u32,
    /// Only parts of these names: calls, bulk, together
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
}

impl Options {
    /// That many repetitions, or fewer if there is a hurry.
    fn times(&self, repetitions: u32) -> u32 {
        (repetitions / self.hurry.max(1)).max(1)
    }
}

/// What the measurements share.
struct Bench<'a> {
    options: &'a Options,
    context: Context,
    module: Module,
    stream: Stream,
}

/// A part of the suite: its name for `--only`, and what it does.
type Part = (&'static str, fn(&Bench<'_>) -> Result<()>);

const PARTS: &[Part] = &[
    ("calls", calls::run),
    ("bulk", bulk::run),
    ("together", together::run),
];

pub(crate) fn run(options: &Options) -> Result<()> {
    if let Some(unknown) = options
        .only
        .iter()
        .find(|name| PARTS.iter().all(|(part, _)| part != *name))
    {
        return Err(Failed::new(format!("there is no part {unknown:?}")));
    }
    let began = Instant::now();
    let context = Context::first()?;
    let first = context.device_memory(1024)?;
    figure(
        "first_call",
        "program's start to its first memory",
        Unit::Milliseconds,
        None,
        began.elapsed().as_secs_f64() * 1e3,
    )?;
    let began = Instant::now();
    let module = context.module()?;
    let stream = context.stream()?;
    module.launch_nothing(&stream)?;
    stream.synchronize()?;
    figure(
        "first_launch",
        "module load, stream, first launch, synchronize",
        Unit::Milliseconds,
        None,
        began.elapsed().as_secs_f64() * 1e3,
    )?;
    drop(first);
    let bench = Bench {
        options,
        context,
        module,
        stream,
    };
    for (name, part) in PARTS {
        if options.only.is_empty() || options.only.iter().any(|only| only == name) {
            part(&bench)?;
        }
    }
    Ok(())
}
