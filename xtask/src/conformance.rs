//! Runs NVIDIA's samples natively and through GVirtuS and keeps the record: `cargo xtask conformance`.
//!
//! The work is done by `tests/gpu/run.py`, which also runs where there is no cargo; this finds it a compiler and an installation, and has it merge what came of it into
//! `tests/gpu/results`.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use crate::home::{self, Profile};
use crate::{fixtures, sh, toolchain};

/// What to run, and where.
#[derive(clap::Args)]
pub struct Options {
    /// A checkout of NVIDIA/cuda-samples
    #[arg(long)]
    samples: PathBuf,
    /// driver (static runtime, our driver), library (our runtime and libraries), or both
    #[arg(long, default_value = "both")]
    level: String,
    /// cuda, or cpu: then nothing runs natively, and programs are held to recorded exit codes, expected outputs and their own verdict
    #[arg(long, default_value = "cuda")]
    device: String,
    /// Names of samples, separated by commas
    #[arg(long)]
    only: Option<String>,
    /// 2: the programs that are about two GPUs
    #[arg(long, default_value_t = 1)]
    devices: u32,
    /// What sessions go over, separated by commas
    #[arg(long, default_value = "tcp")]
    transports: String,
    /// Seconds per program
    #[arg(long, default_value_t = 120)]
    timeout: u32,
    /// Seconds for all; what is not done by then is not run
    #[arg(long)]
    limit: Option<u32>,
    /// The fixtures too
    #[arg(long)]
    fixtures: bool,
    /// A directory whose lib and include hold NVIDIA's compute libraries, if they are neither in the toolkit nor among Python's packages
    #[arg(long)]
    vendor: Option<PathBuf>,
    /// An installation of GVirtuS; built if not given
    #[arg(long)]
    home: Option<PathBuf>,
}

/// Runs the samples and merges the results into the machine's record; fails if anything is not as it should be.
pub fn conformance(options: &Options) -> Result<()> {
    if !options.samples.join("Common/helper_cuda.h").is_file() {
        bail!(
            "{} is no checkout of NVIDIA/cuda-samples",
            options.samples.display()
        );
    }
    let home = match &options.home {
        Some(home) => home.clone(),
        None => home::install_home(Profile::Release)?,
    };
    let toolkit = toolchain::Toolkit::find(13)?;
    let out = sh::target_dir().join("conformance").join(&options.device);
    let mut script = Command::new("python3");
    script
        .arg("-B")
        .arg(sh::root().join("tests/gpu/run.py"))
        .arg("--home")
        .arg(home)
        .arg("--samples")
        .arg(&options.samples)
        .arg("--out")
        .arg(&out)
        .args(["--level", &options.level, "--device", &options.device])
        .args(["--transports", &options.transports])
        .args(["--devices", &options.devices.to_string()])
        .args(["--timeout", &options.timeout.to_string()])
        .args(["--commit", sh::commit()?.trim()])
        .arg("--records")
        .arg(sh::root().join("tests/gpu/results"))
        .args([
            "--kinds",
            if options.fixtures {
                "sample,fixture"
            } else {
                "sample"
            },
        ])
        .args(["--nvcc", &fixtures::nvcc_line(&toolkit.nvcc_static()?)?]);
    if let Some(only) = &options.only {
        script.args(["--only", only]);
    }
    if let Some(limit) = options.limit {
        script.args(["--limit", &limit.to_string()]);
    }
    if let Some(vendor) = &options.vendor {
        script.arg("--vendor").arg(vendor);
    }
    let done = sh::run(&mut script);
    println!(
        "what failed, in full: {}",
        out.join("failures.txt").display()
    );
    done
}
