//! `cargo xtask …`: see [`Task`] for the tasks.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use xtask::home::Profile;
use xtask::{
    abi_check, check, conformance, demo, dist, home, import_headers, instructions, sh, status,
    symbols, toolchain,
};

/// Builds, demonstrates, tests and packs GVirtuS.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Builds, starts a backend on the best device there is, and runs a real CUDA program through it
    Demo {
        /// A program of tests/fixtures [default: one that multiplies matrices]
        program: Option<String>,
        /// Optimised, as shipped
        #[arg(long)]
        release: bool,
    },
    /// Checks everything that can be checked without a GPU: format, lints, documentation, exports, costs, and all tests
    Test,
    /// Writes STATUS.md: which functions there are, how each is tested, and on which GPU it was verified
    Status {
        /// Fail if it is out of date instead
        #[arg(long)]
        check: bool,
    },
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
    /// Makes a compute library's declaration table (wire/src/api/<library>.rs) from NVIDIA's headers, the symbol lists and xtask/data/<library>.rules
    ImportHeaders {
        /// cublas, cublaslt, cudnn, cufft, cufftw or curand
        library: String,
        /// NVIDIA's headers
        #[arg(required = true)]
        headers: Vec<PathBuf>,
        /// Symbol list of a major version: `13=frontend/cublas/symbols/libcublas.so.13.txt`
        #[arg(long, value_parser = import_headers::list)]
        exports: Vec<(u32, PathBuf)>,
    },
    /// Holds the exports of our libraries against NVIDIA's
    AbiCheck {
        /// The directory that holds our libraries; built if not given
        #[arg(long)]
        lib: Option<PathBuf>,
    },
    /// Counts the instructions of the calls of a step (with valgrind) and holds them against tests/instructions.json
    Instructions {
        /// Write the record anew instead
        #[arg(long)]
        record: bool,
    },
    /// Builds everything and lays it out under target/gvirtus-home; prints where
    Install {
        /// Optimised, as shipped
        #[arg(long)]
        release: bool,
    },
    /// Runs NVIDIA's samples natively and through GVirtuS, compares, and adds to the record in tests/gpu/results
    Conformance(conformance::Options),
    /// Packs stripped libraries and programs and the GPU suite into dist/
    Dist {
        /// A checkout of NVIDIA's cuda-samples to take the suite's programs from
        #[arg(long)]
        samples: Option<PathBuf>,
        /// Compile the suite's programs too, with nvcc of these major versions: 12, 13, or both with a comma between
        #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u32).range(12..=13))]
        programs: Vec<u32>,
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
        Task::Demo { program, release } => demo::demo(program.as_deref(), profile(release))?,
        Task::Test => check::test()?,
        Task::Status { check } => status::status(check)?,
        Task::Toolchain { cuda } => {
            let toolkit = toolchain::Toolkit::find(cuda)?;
            println!("{}", toolkit.nvcc.display());
        }
        Task::Symbols { from } => {
            for symbol in symbols::Exports::of(&from)?.symbols {
                println!("{symbol}");
            }
        }
        Task::ImportHeaders {
            library,
            headers,
            exports,
        } => {
            let rules = sh::root().join(format!("xtask/data/{library}.rules"));
            let out = sh::root().join(format!("wire/src/api/{library}.rs"));
            import_headers::import(&library, &headers, &exports, &rules, &out)?;
        }
        Task::AbiCheck { lib } => {
            let lib = match lib {
                Some(lib) => lib,
                None => home::install_home(Profile::Dev)?.join("lib"),
            };
            abi_check::check(&lib, true)?;
        }
        Task::Instructions { record } => {
            instructions::check(&home::install_home(Profile::Dev)?, record)?;
        }
        Task::Install { release } => {
            println!("{}", home::install_home(profile(release))?.display());
        }
        Task::Conformance(options) => conformance::conformance(&options)?,
        Task::Dist { samples, programs } => {
            dist::dist(&dist::Options { samples, programs })?;
        }
    }
    Ok(())
}

fn profile(release: bool) -> Profile {
    if release {
        Profile::Release
    } else {
        Profile::Dev
    }
}
