//! `gvirtus-bench`: a CUDA program that measures what CUDA calls cost.
//!
//! It knows nothing of GVirtuS: it loads `libcuda.so.1` as any program would and prints one JSON object per line for each figure. `gvirtus bench` runs it natively and through
//! each transport by turns. Being a program of the driver API with its kernels as PTX, it needs neither nvcc nor a CUDA runtime where it runs.
//!
//! # Layout
//! * `driver`: the driver's functions. `gpu`: safe wrappers of those that are measured; the only files with `unsafe`.
//! * `measure`: timing, medians, output. `suite`: the figures.
//! * `fleet`: one of several processes that launch at the same time.
#![deny(unsafe_code)]

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use serde_json::json;

mod driver;
mod fleet;
mod gpu;
mod measure;
mod suite;

use gpu::{Context, Result};

/// Measures what CUDA calls cost, on whatever libcuda.so.1 the loader finds.
#[derive(Parser)]
#[command(name = "gvirtus-bench", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Say which devices there are
    Probe,
    /// Measure, and print a JSON object per figure and line
    Suite(suite::Options),
    /// Make ready, say so, wait for a line, and launch that many times: one of several processes
    Fleet {
        /// Kernels
        launches: u32,
    },
    /// Make the calls of a step, over and over, and nothing else: for counting instructions
    Steps {
        /// Steps: a hundred of each call, then a synchronization
        steps: u32,
    },
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Probe => probe(),
        Command::Suite(options) => suite::run(&options),
        Command::Fleet { launches } => fleet::run(launches),
        Command::Steps { steps } => do_steps(steps),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gvirtus-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn probe() -> Result<()> {
    let context = Context::first()?;
    println!(
        "{}",
        json!({"device": context.name()?, "devices": context.devices()?, "driver": context.driver_version()?, "gvirtus": is_gvirtus()})
    );
    Ok(())
}

/// Whether the libcuda.so.1 that answers is GVirtuS's: it brings the library that has the session.
fn is_gvirtus() -> bool {
    std::fs::read_to_string("/proc/self/maps").is_ok_and(|maps| maps.contains("/libgvirtus.so"))
}

fn do_steps(steps: u32) -> Result<()> {
    const SIZE: usize = 4096;
    let context = Context::first()?;
    let module = context.module()?;
    let stream = context.stream()?;
    let event = context.event()?;
    let device = context.device_memory(SIZE)?;
    let pinned = context.pinned(SIZE)?;
    for _ in 0..steps {
        for _ in 0..100 {
            module.launch_nothing(&stream)?;
            event.record(&stream)?;
            stream.fill(&device, SIZE)?;
            stream.copy_in(&device, &pinned, SIZE)?;
        }
        stream.synchronize()?;
        for _ in 0..100 {
            context.device_memory(SIZE)?.free()?;
        }
    }
    Ok(())
}
