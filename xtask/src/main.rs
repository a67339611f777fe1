//! `cargo xtask …`: see [`Task`] for the tasks.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use xtask::home::Profile;
use xtask::{abi_check, dist, home, symbols, toolchain};

/// Builds, demonstrates, tests and packs GVirtuS.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Finds an installed CUDA toolkit or fetches a compiler into target/toolchain
    Toolchain {
        /// CUDA's major version
        #[arg(long, default_value_t = 13)]
        cuda: u32,
    },
    /// Lists what a shared library exports, in the form of the checked-in lists
    Symbols {
        /// The library
        #[arg(long)]
        from: PathBuf,
    },
    /// Holds the exports of our libraries against NVIDIA's
    AbiCheck {
        /// The directory that holds our libraries; built if not given
        #[arg(long)]
        lib: Option<PathBuf>,
    },
    /// Builds everything and lays it out under target/gvirtus-home; prints where
    Install {
        /// Optimised, as shipped
        #[arg(long)]
        release: bool,
    },
    /// Packs stripped libraries and programs and the GPU suite into dist/
    Dist {
        /// A checkout of NVIDIA's cuda-samples to take the suite's programs from
        #[arg(long)]
        samples: Option<PathBuf>,
        /// Carry the suite's programs built with nvcc 12 too
        #[arg(long)]
        cuda12: bool,
    },
}

fn main() -> ExitCode {
    match perform(Arguments::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The causes on one line; a backtrace through clap and std helps nobody.
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn perform(task: Task) -> Result<()> {
    match task {
        Task::Toolchain { cuda } => {
            let toolkit = toolchain::Toolkit::find(cuda)?;
            println!("{}", toolkit.nvcc.display());
        }
        Task::Symbols { from } => {
            for symbol in symbols::Exports::of(&from)?.symbols {
                println!("{symbol}");
            }
        }
        Task::AbiCheck { lib } => {
            let lib = match lib {
                Some(lib) => lib,
                None => home::install_home(Profile::Dev)?.join("lib"),
            };
            abi_check::check(&lib, true)?;
        }
        Task::Install { release } => {
            let profile = if release {
                Profile::Release
            } else {
                Profile::Dev
            };
            println!("{}", home::install_home(profile)?.display());
        }
        Task::Dist { samples, cuda12 } => {
            dist::dist(&dist::Options { samples, cuda12 })?;
        }
    }
    Ok(())
}
