//! The daemon on the GPU box and its worker processes.
//!
//! # Layout
//! * `daemon`: listens, admits, keeps warm workers, hands each session to one. Never touches CUDA.
//! * `worker`: one process per session: frames in, plugins, frames out.
//! * `control`: what the two say to each other. `plugins`: where plugins lie. `logging`: who writes where.
#![deny(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use gvirtus_wire::config::{self, Properties};

mod control;
mod daemon;
mod logging;
mod plugins;
mod worker;

/// Exit codes, as `--help` documents them.
mod exit {
    pub(crate) const INTERNAL: u8 = 1;
    pub(crate) const CONFIG: u8 = 2;
    pub(crate) const LISTEN: u8 = 3;
    pub(crate) const PLUGIN: u8 = 4;
    pub(crate) const INSECURE: u8 = 5;
}

/// Serves the GPUs of this host to CUDA programs elsewhere.
#[derive(Parser)]
#[command(
    name = "gvirtus-backend",
    version,
    after_help = "\
When it is ready it prints to standard output, for each endpoint:
  gvirtus-backend listening on tcp 127.0.0.1:9999
  gvirtus-backend listening on unix /path

Signals:
  TERM, INT   accept no more, wait for the sessions (drain_timeout), stop; a second one stops at once

Environment:
  GVIRTUS_LOGLEVEL    trace, debug, info, warn, error, off; or GVirtuS's numbers: 0, 10000 … 60000
  GVIRTUS_LOGFORMAT   json for one JSON object per line, text (as without it)
  GVIRTUS_HOME        where lib/plugins and etc/properties.json are looked for

Exit codes:
  0 stopped as asked, or the configuration is valid (--check)
  1 something unforeseen; the log says what
  2 the configuration is not understood, or there is none
  3 an endpoint cannot be listened on (port in use, no such address)
  4 the plugin cudart is missing
  5 it would listen beyond this host without tenants (see allow_unauthenticated_remote)"
)]
struct Arguments {
    /// The configuration [default: $GVIRTUS_CONFIG, $GVIRTUS_HOME/etc/properties.json, ../etc/properties.json beside the program, /etc/gvirtus/properties.json]
    config: Option<PathBuf>,
    /// Check the configuration and exit
    #[arg(long)]
    check: bool,
    /// Serve one session; only the daemon starts workers
    #[arg(long, hide = true)]
    worker: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.worker {
        worker::main();
    }
    logging::init(logging::standard_error());
    let properties = match read(arguments.config) {
        Ok(properties) => properties,
        Err(e) => {
            eprintln!("gvirtus-backend: {e}");
            return ExitCode::from(exit::CONFIG);
        }
    };
    for warning in properties
        .warnings
        .iter()
        .chain(&daemon::doubts(&properties))
    {
        tracing::warn!("{warning}");
    }
    let verdict = if arguments.check {
        daemon::check(&properties).map(|()| println!("{}: valid", properties.file.display()))
    } else {
        daemon::run(properties)
    };
    match verdict {
        Ok(()) => ExitCode::SUCCESS,
        Err(stop) => {
            eprintln!("gvirtus-backend: {}", stop.message);
            ExitCode::from(stop.code)
        }
    }
}

fn read(file: Option<PathBuf>) -> Result<Properties, config::ConfigError> {
    let file = match file {
        Some(file) => file,
        None => {
            if let Some(warning) = config::overlooked_home() {
                tracing::warn!("{warning}");
            }
            config::find(std::env::current_exe().ok().as_deref())?
        }
    };
    Properties::read(&file)
}
