//! Which driver library a session runs on: NVIDIA's or the CPU device, and why.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::driver::{Driver, cu};
use crate::errors;
use crate::host::{self, Host};
use crate::image_cache;
use gvirtus_plugin::search::{self, DRIVER_DIRECTORIES};

/// The plugin's configuration, as the worker passes it.
#[derive(Debug, Deserialize)]
#[serde(default)]
pub(crate) struct Config {
    /// `auto`, `cuda`, `cpu`, or the path of a driver library.
    pub(crate) device: String,
    /// The CPU device's library.
    pub(crate) cpu_library: Option<PathBuf>,
    /// Whether standard output and error are taken over for the device's `printf` and `assert`.
    pub(crate) capture_output: bool,
    /// Whether streams write their progress to words in memory where the driver can, or events serve everywhere.
    pub(crate) progress_words: bool,
    /// The most bytes of pinned host memory that a session may have; 0 for three quarters of the machine's memory.
    pub(crate) max_host_bytes: u64,
    /// The longest module image, bytes.
    pub(crate) max_image_bytes: u64,
    /// Where images of modules are kept for later sessions; nowhere if absent.
    pub(crate) module_cache: Option<image_cache::Settings>,
    /// How many threads issue launches where several threads of the program launch; as many as suit the machine if absent, none if fewer than two.
    pub(crate) launch_threads: Option<usize>,
    /// Whether launches may be issued together.
    pub(crate) launch_chains: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            device: "auto".to_owned(),
            cpu_library: None,
            capture_output: true,
            progress_words: true,
            max_host_bytes: 0,
            max_image_bytes: 4 << 30,
            module_cache: None,
            launch_threads: None,
            launch_chains: true,
        }
    }
}

/// A loaded and initialised driver.
pub(crate) struct Chosen {
    /// Its functions.
    pub(crate) driver: &'static Driver,
    /// Whether it is the CPU device.
    pub(crate) cpu: bool,
    /// `cuDeviceGetCount`.
    pub(crate) devices: u32,
}

/// Loads what the configuration asks for.
///
/// # Errors
/// A sentence for the log.
pub(crate) fn choose(config: &Config, host: &'static Host) -> Result<Chosen, String> {
    match config.device.as_str() {
        "auto" => match cuda(host) {
            Ok(chosen) => Ok(chosen),
            Err(reason) => {
                host.log(
                    host::INFO,
                    &format!("no CUDA device ({reason}): the CPU device serves this session"),
                );
                cpu(config, host)
            }
        },
        "cuda" => cuda(host),
        "cpu" => cpu(config, host),
        path if path.contains('/') => start(Path::new(path), host),
        other => Err(format!(
            "\"device\": \"{other}\" is none of auto, cuda, cpu, or the path of a driver library"
        )),
    }
}

fn cpu(config: &Config, host: &'static Host) -> Result<Chosen, String> {
    let path = config
        .cpu_library
        .as_deref()
        .ok_or("the CPU device is asked for, and no cpu_library is configured")?;
    start(path, host)
}

fn cuda(host: &'static Host) -> Result<Chosen, String> {
    let mut reasons = Vec::new();
    let mut seen = Vec::new();
    for directory in search::directories(DRIVER_DIRECTORIES) {
        let path = directory.join("libcuda.so.1");
        let Ok(real) = path.canonicalize() else {
            continue;
        };
        if seen.contains(&real) {
            continue;
        }
        seen.push(real);
        match start(&path, host) {
            Ok(chosen) => return Ok(chosen),
            Err(reason) => reasons.push(reason),
        }
    }
    if reasons.is_empty() {
        reasons
            .push("libcuda.so.1 is in none of the directories where drivers are installed".into());
    }
    Err(reasons.join("; "))
}

/// Loads one library, refuses our own frontend, and initialises it.
fn start(path: &Path, host: &'static Host) -> Result<Chosen, String> {
    let shown = path.display();
    let real = path.canonicalize().map_err(|e| format!("{shown}: {e}"))?;
    // The CPU device is installed in the frontends' folder; it is a driver all the same.
    let ours = real.file_name().is_some_and(|n| n == "libgvirtus_cpu.so");
    for at in [path, &real] {
        if !ours
            && at
                .parent()
                .is_some_and(|d| d.join("libgvirtus.so").exists())
        {
            return Err(format!(
                "{shown} lies beside libgvirtus.so: it is the frontend, not a driver"
            ));
        }
    }
    let driver = Driver::load(&real, host).map_err(|e| format!("{shown}: {e}"))?;
    if driver.exports("gvirtus_frontend_marker") {
        return Err(format!("{shown} is the frontend, not a driver"));
    }
    let cpu = real
        .file_name()
        .and_then(|n| n.to_str())
        .is_some_and(|n| n.starts_with("libgvirtus_cpu"));
    if !cpu {
        occupy_mmap_region(host);
    }
    let failed = |what: &str, status| format!("{shown}: {what} failed: {}", errors::name(status));
    cu!(driver, cuInit(0)).map_err(|s| failed("cuInit", s))?;
    let mut count = 0;
    cu!(driver, cuDeviceGetCount(&raw mut count)).map_err(|s| failed("cuDeviceGetCount", s))?;
    let devices = u32::try_from(count).unwrap_or(0);
    if devices == 0 {
        return Err(format!("{shown} finds no device"));
    }
    host.log(
        host::INFO,
        &format!(
            "driver {shown}: {devices} device(s){}",
            if cpu { ", the CPU device" } else { "" }
        ),
    );
    Ok(Chosen {
        driver: Box::leak(Box::new(driver)),
        cpu,
        devices,
    })
}

/// Takes 16 TiB of the region where the kernel places mappings, once per process and before the driver starts, so that addresses which only the driver can mint
/// (module globals, its pools) fall where clients have nothing of their own.
fn occupy_mmap_region(host: &Host) {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        for tib in [16usize, 8, 4] {
            // SAFETY: a new mapping at an address of the kernel's choosing touches nothing that exists.
            let reserved = unsafe {
                rustix::mm::mmap_anonymous(
                    std::ptr::null_mut(),
                    tib << 40,
                    rustix::mm::ProtFlags::empty(),
                    rustix::mm::MapFlags::PRIVATE | rustix::mm::MapFlags::NORESERVE,
                )
            };
            if reserved.is_ok() {
                return;
            }
        }
        host.log(
            host::WARN,
            "the usual mmap region could not be reserved: addresses of module globals may collide with the client's own",
        );
    });
}
