//! Builds the libraries and programs and lays them out as an installed GVirtuS: `bin/`, `lib/`, `lib/plugins/`, `etc/`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::sh;

/// How the parts are compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Quick to build; the CPU device is optimised even so.
    Dev,
    /// As shipped.
    Release,
}

impl Profile {
    /// The profile's directory below cargo's target directory.
    pub fn directory(self) -> &'static str {
        match self {
            Profile::Dev => "debug",
            Profile::Release => "release",
        }
    }
}

/// What an installation consists of: the cargo package, the file that cargo builds, and its place.
pub const PARTS: &[(&str, &str, &str)] = &[
    ("gvirtus-cli", "gvirtus", "bin/gvirtus"),
    ("gvirtus-backend", "gvirtus-backend", "bin/gvirtus-backend"),
    ("gvirtus-bench", "gvirtus-bench", "bin/gvirtus-bench"),
    ("gvirtus-client", "libgvirtus.so", "lib/libgvirtus.so"),
    (
        "gvirtus-frontend-audit",
        "libgvirtus_audit.so",
        "lib/libgvirtus_audit.so",
    ),
    ("gvirtus-cpu", "libgvirtus_cpu.so", "lib/libgvirtus_cpu.so"),
    (
        "gvirtus-frontend-cudart12",
        "libcudart12.so",
        "lib/libcudart.so.12",
    ),
    (
        "gvirtus-frontend-cudart13",
        "libcudart13.so",
        "lib/libcudart.so.13",
    ),
    (
        "gvirtus-frontend-cublas12",
        "libcublas12.so",
        "lib/libcublas.so.12",
    ),
    (
        "gvirtus-frontend-cublas13",
        "libcublas13.so",
        "lib/libcublas.so.13",
    ),
    (
        "gvirtus-frontend-cudnn9",
        "libcudnn9.so",
        "lib/libcudnn.so.9",
    ),
    (
        "gvirtus-frontend-cublaslt12",
        "libcublaslt12.so",
        "lib/libcublasLt.so.12",
    ),
    (
        "gvirtus-frontend-cublaslt13",
        "libcublaslt13.so",
        "lib/libcublasLt.so.13",
    ),
    (
        "gvirtus-frontend-cudnn-graph9",
        "libcudnn_graph9.so",
        "lib/libcudnn_graph.so.9",
    ),
    (
        "gvirtus-frontend-cudnn-ops9",
        "libcudnn_ops9.so",
        "lib/libcudnn_ops.so.9",
    ),
    (
        "gvirtus-frontend-cudnn-cnn9",
        "libcudnn_cnn9.so",
        "lib/libcudnn_cnn.so.9",
    ),
    (
        "gvirtus-frontend-cudnn-adv9",
        "libcudnn_adv9.so",
        "lib/libcudnn_adv.so.9",
    ),
    (
        "gvirtus-frontend-cudnn-ext9",
        "libcudnn_ext9.so",
        "lib/libcudnn_ext.so.9",
    ),
    (
        "gvirtus-frontend-cufft11",
        "libcufft11.so",
        "lib/libcufft.so.11",
    ),
    (
        "gvirtus-frontend-cufft12",
        "libcufft12.so",
        "lib/libcufft.so.12",
    ),
    (
        "gvirtus-frontend-cufftw11",
        "libcufftw11.so",
        "lib/libcufftw.so.11",
    ),
    (
        "gvirtus-frontend-cufftw12",
        "libcufftw12.so",
        "lib/libcufftw.so.12",
    ),
    (
        "gvirtus-frontend-curand",
        "libcurand.so",
        "lib/libcurand.so.10",
    ),
    ("gvirtus-frontend-cuda", "libcuda.so", "lib/libcuda.so.1"),
    (
        "gvirtus-frontend-nvml",
        "libnvidia_ml.so",
        "lib/libnvidia-ml.so.1",
    ),
    (
        "gvirtus-plugin-cudart",
        "libgvirtus_plugin_cudart.so",
        "lib/plugins/libgvirtus_plugin_cudart.so",
    ),
    (
        "gvirtus-plugin-cublas",
        "libgvirtus_plugin_cublas.so",
        "lib/plugins/libgvirtus_plugin_cublas.so",
    ),
    (
        "gvirtus-plugin-cudnn",
        "libgvirtus_plugin_cudnn.so",
        "lib/plugins/libgvirtus_plugin_cudnn.so",
    ),
    (
        "gvirtus-plugin-cufft",
        "libgvirtus_plugin_cufft.so",
        "lib/plugins/libgvirtus_plugin_cufft.so",
    ),
    (
        "gvirtus-plugin-curand",
        "libgvirtus_plugin_curand.so",
        "lib/plugins/libgvirtus_plugin_curand.so",
    ),
    (
        "gvirtus-plugin-nvml",
        "libgvirtus_plugin_nvml.so",
        "lib/plugins/libgvirtus_plugin_nvml.so",
    ),
];

/// Where [`install_home`] puts the files of a profile.
pub fn home_dir(profile: Profile) -> PathBuf {
    sh::target_dir()
        .join("gvirtus-home")
        .join(profile.directory())
}

/// Compiles every part.
pub fn build(profile: Profile) -> Result<()> {
    let mut cargo = sh::cargo();
    cargo.args(["build", "--quiet"]);
    if profile == Profile::Release {
        cargo.arg("--release");
    }
    for (package, _, _) in PARTS {
        cargo.args(["--package", package]);
    }
    sh::run(&mut cargo)
}

/// Compiles every part and installs it under `target/gvirtus-home/<profile>`; returns that directory, which serves as `GVIRTUS_HOME`.
///
/// Processes that run it at the same time wait for one another.
pub fn install_home(profile: Profile) -> Result<PathBuf> {
    install_home_by(profile, || build(profile))
}

/// [`install_home`] where something else compiles the parts.
pub fn install_home_by(profile: Profile, build: impl FnOnce() -> Result<()>) -> Result<PathBuf> {
    let home = home_dir(profile);
    sh::mkdir(&home)?;
    let lock = std::fs::File::create(home.with_extension("lock"))?;
    lock.lock()
        .context("cannot lock the installation directory")?;
    build()?;
    lay_out(profile, &home)?;
    Ok(home)
}

/// Copies what [`build`] made into `home`.
pub fn lay_out(profile: Profile, home: &Path) -> Result<()> {
    let built = sh::target_dir().join(profile.directory());
    for (package, file, place) in PARTS {
        let from = built.join(file);
        if !from.exists() {
            bail!("{package} did not make {}", from.display());
        }
        let to = home.join(place);
        if !same(&from, &to) {
            sh::install(&from, &to)?;
        }
    }
    // The driver's libraries alone, for programs whose other CUDA libraries stay their own. They find the rest beside the files that the links lead to.
    let driver = home.join("lib/driver");
    sh::mkdir(&driver)?;
    for name in ["libcuda.so.1", "libnvidia-ml.so.1"] {
        let link = driver.join(name);
        if !link.is_symlink() {
            std::os::unix::fs::symlink(Path::new("..").join(name), &link)
                .with_context(|| format!("cannot link {}", link.display()))?;
        }
    }
    let properties = sh::root().join("etc/properties.json");
    if properties.exists() {
        sh::install(&properties, &home.join("etc/properties.json"))?;
    }
    Ok(())
}

/// Whether `to` is an up-to-date copy of `from`: as long, and not older.
fn same(from: &Path, to: &Path) -> bool {
    let (Ok(from), Ok(to)) = (from.metadata(), to.metadata()) else {
        return false;
    };
    match (from.modified(), to.modified()) {
        (Ok(source), Ok(copy)) => from.len() == to.len() && copy >= source,
        _ => false,
    }
}
