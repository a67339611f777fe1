//! `gvirtus bench`: what CUDA calls, or a program, cost natively and through each transport.
//!
//! # Layout
//! * this file: the command line. `subject`: who is measured (native, a transport), with a backend of our own where there must be one (`backend`).
//! * `suite`: the measurements without a program: `gvirtus-bench`, several of it at a time, and the raw transport (`raw`). `program`: those of a program.
//! * `report`: medians, table, JSON. `plot`: SVG. `child`: processes that must end.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;
use gvirtus_wire::config::Endpoint;

use crate::exit;
use crate::level::Wish;

mod backend;
mod child;
mod plot;
mod program;
mod raw;
mod report;
mod subject;
mod suite;

#[derive(Args)]
pub(crate) struct Arguments {
    /// Configuration instead of the one that would be found
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Start a backend on this host for each of these and measure through it, instead of through the configured one
    #[arg(
        long,
        value_name = "PROTOCOLS",
        value_delimiter = ',',
        conflicts_with = "config"
    )]
    transports: Vec<String>,
    /// The device of these backends: auto, cuda, cpu, or a driver library
    #[arg(long, default_value = "auto", requires = "transports")]
    device: String,
    /// Leave the native run out
    #[arg(long)]
    no_native: bool,
    /// How often everything is measured, by turns [default: 3]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: Option<u32>,
    /// A quick look: fewer repetitions, copies of at most 16 MiB, one round unless --rounds says more
    #[arg(long)]
    quick: bool,
    /// Bytes of the largest copy
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    largest: Option<usize>,
    /// Only parts of the suite: calls, bulk, together, processes, raw
    #[arg(long, value_name = "PARTS", value_delimiter = ',', value_parser = suite::PARTS.to_vec())]
    only: Vec<String>,
    /// Write all figures to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write plots of bandwidth and time against size into this directory
    #[arg(long, value_name = "DIR")]
    plots: Option<PathBuf>,
    /// Serve the other end of the raw transport there, for a bench that is told --raw; anybody who can connect may use it
    #[arg(long, value_name = "ENDPOINT", conflicts_with_all = ["program", "transports", "config", "raw"])]
    echo: Option<Endpoint>,
    /// Measure the raw transport to there (where `gvirtus bench --echo` runs) beside the configured backend
    #[arg(long, value_name = "ENDPOINT", conflicts_with = "transports")]
    raw: Option<Endpoint>,
    /// Distances at which a program is measured
    #[arg(long, value_name = "TIMES", value_delimiter = ',', default_value = "0us,100us,1ms", value_parser = program::parse_distance)]
    rtt: Vec<program::Distance>,
    /// Which of our libraries a program gets
    #[arg(long, value_enum, default_value = "auto")]
    level: Wish,
    /// Also take the number that stands behind this text in the program's output, as "step ms:" or "tokens/s"
    #[arg(long, value_name = "TEXT", requires = "program")]
    metric: Vec<String>,
    /// For processes that this command starts: end when the parent, which is this process, ends
    #[arg(long, value_name = "PID", hide = true)]
    leash: Option<u32>,
    /// How long one process may run, in seconds
    #[arg(long, default_value_t = 900)]
    limit: u64,
    /// A program and its arguments, to be measured instead of single calls
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    program: Vec<OsString>,
}

impl Arguments {
    fn rounds(&self) -> u32 {
        self.rounds.unwrap_or(if self.quick { 1 } else { 3 })
    }

    fn largest(&self) -> usize {
        self.largest
            .unwrap_or(if self.quick { 16 << 20 } else { 1 << 30 })
    }
}

/// Why nothing could be measured: the exit code, and what to say.
struct Refusal(u8, String);

impl Refusal {
    fn setup(why: impl Into<String>) -> Self {
        Self(exit::CONFIG, why.into())
    }
}

pub(crate) fn bench(arguments: &Arguments) -> u8 {
    if let Some(parent) = arguments.leash {
        if let Err(why) = child::end_with_parent(parent) {
            eprintln!("gvirtus: {why}");
            return exit::FAILED;
        }
        if !arguments.program.is_empty() {
            eprintln!("gvirtus: {}", child::become_program(&arguments.program));
            return exit::FAILED;
        }
    }
    let done = match &arguments.echo {
        Some(endpoint) => raw::serve(endpoint).map_err(|e| Refusal(exit::FAILED, e.to_string())),
        None if arguments.program.is_empty() => suite::run(arguments),
        None => program::run(arguments),
    };
    match done {
        Ok(()) => 0,
        Err(Refusal(code, why)) => {
            eprintln!("gvirtus: {why}");
            code
        }
    }
}

/// `16MiB` and the like, or bytes.
fn parse_size(text: &str) -> Result<usize, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match &text[digits.len()..] {
        "" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        _ => return Err("write bytes, or a number of KiB, MiB or GiB".to_owned()),
    };
    let number: usize = digits.trim().parse().map_err(|e| format!("{e}"))?;
    number
        .checked_mul(1 << shift)
        .filter(|bytes| (4096..=1 << 40).contains(bytes))
        .ok_or_else(|| "between 4KiB and 1024GiB".to_owned())
}

#[cfg(test)]
mod tests {
    use super::parse_size;

    #[test]
    fn sizes() {
        assert_eq!(parse_size("4096"), Ok(4096));
        assert_eq!(parse_size("16MiB"), Ok(16 << 20));
        assert!(parse_size("1MB").is_err());
        assert!(parse_size("1KiB").is_err());
        assert!(parse_size("99999999999999999999GiB").is_err());
    }
}
