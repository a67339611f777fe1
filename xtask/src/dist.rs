//! Packs what runs on a machine without cargo: the stripped installation, and the GPU suite beside it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;

use crate::home::{self, PARTS, Profile};
use crate::{fixtures, sh, toolchain};

/// The most that a package may weigh: a tenth of it when compressed, so that it fits through narrow doors.
const LIMIT: u64 = 240 << 20;

/// What goes into a package besides the installation.
#[derive(Debug, Default)]
pub struct Options {
    /// A checkout of NVIDIA's cuda-samples, of which the suite's programs are copied.
    pub samples: Option<PathBuf>,
    /// With nvcc of which major versions the suite's programs are compiled: GPU machines seldom have two compilers, and their time is dear.
    pub programs: Vec<u32>,
}

/// Makes `dist/` anew.
pub fn dist(options: &Options) -> Result<PathBuf> {
    let out = sh::root().join("dist");
    home::build(Profile::Release)?;
    for part in ["bin", "lib", "etc", "gpu-suite"] {
        sh::remove(&out.join(part))?;
    }
    home::lay_out(Profile::Release, &out)?;
    for (_, _, place) in PARTS {
        sh::output(
            Command::new("strip")
                .arg("--strip-unneeded")
                .arg(out.join(place)),
        )
        .context("cannot strip")?;
    }

    let suite = out.join("gpu-suite");
    let root = sh::root();
    for entry in std::fs::read_dir(root.join("tests/gpu"))? {
        let path = entry?.path();
        if path.is_file() {
            sh::install(&path, &suite.join(path.file_name().expect("a file")))?;
        }
    }
    for part in ["compat", "functions", "torch"] {
        sh::copy_tree(&root.join("tests/gpu").join(part), &suite.join(part))?;
    }
    // What `library_functions.py` knows functions' parameters from.
    for table in ["cublas.rs", "cudnn.rs", "nvml.rs"] {
        sh::install(
            &root.join("wire/src/api").join(table),
            &suite.join("tables").join(table),
        )?;
    }
    sh::copy_tree(&root.join("tests/fixtures"), &suite.join("fixtures"))?;
    std::fs::write(suite.join("COMMIT"), sh::commit()?)?;
    if let Some(samples) = &options.samples {
        copy_samples(samples, &suite)?;
    }
    for &major in &options.programs {
        compile_programs(&suite, major)?;
    }

    let mut size = 0;
    for part in ["bin", "lib", "etc", "gpu-suite"] {
        let path = out.join(part);
        if path.exists() {
            size += weigh(&path)?;
        }
    }
    println!(
        "{}: {:.1} MiB",
        out.display(),
        size as f64 / f64::from(1 << 20)
    );
    if size > LIMIT {
        bail!("the package is larger than {} MiB", LIMIT >> 20);
    }
    Ok(out)
}

/// The suite's description of its programs.
fn cases() -> Result<Value> {
    let path = sh::root().join("tests/gpu/cases.json");
    serde_json::from_str(&std::fs::read_to_string(&path)?)
        .with_context(|| format!("{} is not JSON", path.display()))
}

/// Copies the sources of the suite's samples, and the headers that they share.
fn copy_samples(samples: &Path, suite: &Path) -> Result<()> {
    let cases = cases()?;
    let names = cases["samples"]
        .as_object()
        .ok_or_else(|| anyhow!("cases.json has no samples"))?;
    for (name, case) in names {
        let from = find_directory(&samples.join("Samples"), name, 3)
            .ok_or_else(|| anyhow!("{} has no sample {name}", samples.display()))?;
        let to = suite.join("samples").join(name);
        sh::mkdir(&to)?;
        for entry in std::fs::read_dir(&from)? {
            let path = entry?.path();
            if path.is_file() {
                sh::install(&path, &to.join(path.file_name().expect("a file")))?;
            }
        }
        for directory in case["directories"].as_array().into_iter().flatten() {
            let directory = directory
                .as_str()
                .ok_or_else(|| anyhow!("cases.json: the directories of {name} are not texts"))?;
            sh::copy_tree(&from.join(directory), &to.join(directory))?;
        }
        // Those beside the sources have been copied with them.
        for file in case["files"].as_array().into_iter().flatten() {
            let file = file
                .as_str()
                .ok_or_else(|| anyhow!("cases.json: the files of {name} are not texts"))?;
            sh::install(&from.join(file), &to.join(file))?;
        }
    }
    let common = samples.join("Common");
    for entry in std::fs::read_dir(&common)? {
        let path = entry?.path();
        if path.is_file() {
            let name = path.file_name().expect("a file");
            sh::install(&path, &suite.join("samples/Common").join(name))?;
        }
    }
    Ok(())
}

fn find_directory(below: &Path, name: &str, depth: usize) -> Option<PathBuf> {
    let candidate = below.join(name);
    if candidate.is_dir() {
        return Some(candidate);
    }
    if depth == 0 {
        return None;
    }
    std::fs::read_dir(below)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_dir())
        .find_map(|path| find_directory(&path, name, depth - 1))
}

/// Compiles the suite's programs into `cuda<major>`; what has not changed since the last time is kept in the target directory.
///
/// The suite's own script knows how each is compiled. The GPU machine links them: with its toolkit's runtime if that is of the same major version, which that of CUDA 12 is not.
fn compile_programs(suite: &Path, major: u32) -> Result<()> {
    let name = format!("cuda{major}");
    let made = sh::target_dir().join("gpu-suite").join(&name);
    let toolkit = toolchain::Toolkit::find(major)?;
    sh::run(
        Command::new("python3")
            .arg("-B")
            .arg(suite.join("run.py"))
            .arg("--build-only")
            .arg(&made)
            .args(["--cuda-major", &major.to_string(), "--nvcc"])
            .arg(fixtures::nvcc_line(&toolkit.nvcc())?)
            .arg("--samples")
            .arg(suite.join("samples")),
    )?;
    sh::copy_tree(&made, &suite.join(&name))?;
    if major == 12 {
        let runtime = toolchain::vendor_cudart(12)?;
        for file in ["libcudart.so.12", "libcudart_static.a"] {
            sh::install(
                &runtime.with_file_name(file),
                &suite.join(&name).join("lib").join(file),
            )?;
        }
    }
    Ok(())
}

fn weigh(dir: &Path) -> Result<u64> {
    let mut sum = 0;
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        sum += if path.is_dir() {
            weigh(&path)?
        } else {
            path.metadata()?.len()
        };
    }
    Ok(sum)
}
