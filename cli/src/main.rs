//! `gvirtus`: run a program against a backend, find out why it does not work, see what a backend does, measure what it costs.
//!
//! # Layout
//! * One file per command: `run`, `doctor`, `status`; a folder for `bench`.
//! * `level`: at which level a program is served.
//! * `home`: where GVirtuS is installed. `loader`: which libraries a program would load.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use gvirtus_wire::config::{self, ConfigError};
use gvirtus_wire::handshake::HandshakeError;

mod bench;
mod doctor;
mod home;
mod level;
mod loader;
mod run;
mod status;

/// Exit codes of `doctor`, `status` and `bench`.
mod exit {
    /// `bench`: something that was measured failed.
    pub(crate) const FAILED: u8 = 1;
    pub(crate) const CONFIG: u8 = 2;
    pub(crate) const UNREACHABLE: u8 = 3;
    pub(crate) const REFUSED: u8 = 4;
    pub(crate) const VERSION: u8 = 5;
    pub(crate) const LOADER: u8 = 6;
}

/// CUDA programs on a host without a GPU.
#[derive(Parser)]
#[command(name = "gvirtus", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a program with our CUDA libraries in front of all others
    #[command(after_help = "\
Sets LD_LIBRARY_PATH, GVIRTUS_CONFIG and, at library level, LD_AUDIT, and becomes the program.

Exit codes: the program's; 125 no usable configuration or installation, 126 it cannot be executed, 127 there is no such program")]
    Run(run::Arguments),
    /// Look at everything between a program and its GPU, and say what is wrong
    #[command(after_help = "\
Exit codes: 0 all is well; 2 configuration, 3 no backend reached, 4 the backend refuses (credentials, busy, no device), \
5 versions do not fit, 6 the program would load other libraries than ours")]
    Doctor(doctor::Arguments),
    /// Show what a backend does: device, plugins, sessions
    #[command(after_help = "\
Exit codes: 0 shown; 2 configuration, 3 no backend reached, 4 the backend refuses, 5 versions do not fit")]
    Status(status::Arguments),
    /// Measure what CUDA calls, or a program, cost natively and through each transport
    #[command(after_help = "\
Without a program: single calls, copies of all sizes, threads and processes, and the raw transport beside them. With one: its run time with and without us, \
at emulated distances, and where the time goes. All by turns; medians.

Exit codes: 0 measured; 1 something measured failed, 2 configuration or installation, 3 no backend reached")]
    Bench(Box<bench::Arguments>),
}

fn main() -> ExitCode {
    ExitCode::from(match Arguments::parse().command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Doctor(arguments) => doctor::doctor(&arguments),
        Command::Status(arguments) => status::status(&arguments),
        Command::Bench(arguments) => bench::bench(&arguments),
    })
}

/// The settings that a program run by us would have.
fn settings(file: Option<&Path>) -> Result<config::Client, ConfigError> {
    config::client_from(file, program().as_deref())
}

fn program() -> Option<PathBuf> {
    std::env::current_exe().ok()
}

/// The exit code for a session that did not begin.
fn exit_code(error: &HandshakeError) -> u8 {
    match error.cuda_status() {
        803 => exit::VERSION,
        800 => exit::REFUSED,
        _ if matches!(error, HandshakeError::Refused { .. }) => exit::REFUSED,
        _ => exit::UNREACHABLE,
    }
}
