//! Which library answers: the box's `libnvidia-ml.so.1`, or the model of the CPU device.

use std::ffi::c_void;
use std::path::{Path, PathBuf};

use gvirtus_plugin::search::{self, DRIVER_DIRECTORIES};
use gvirtus_wire::api::nvml_call::{
    ERROR_FUNCTION_NOT_FOUND, ERROR_LIBRARY_NOT_FOUND, ERROR_NOT_SUPPORTED, SUCCESS,
};
use parking_lot::Mutex;
use serde::Deserialize;

use crate::cpu_model;

/// The plugin's configuration, as the worker passes it to every plugin.
#[derive(Debug, Deserialize)]
#[serde(default)]
pub(crate) struct Config {
    /// `auto`, `cuda`, `cpu`, or the path of a driver library.
    pub(crate) device: String,
    /// The CPU device's library.
    pub(crate) cpu_library: Option<PathBuf>,
    /// NVML's library, instead of searching for it.
    pub(crate) nvml_library: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            device: "auto".to_owned(),
            cpu_library: None,
            nvml_library: None,
        }
    }
}

/// What answers.
#[derive(Debug)]
pub(crate) struct Library {
    vendor: Option<libloading::Library>,
    /// The CPU device's library, where it may serve.
    cpu: Option<PathBuf>,
    /// `nvmlInit` is done once: its result, and whether the model answers.
    started: Mutex<Option<(i32, bool)>>,
}

impl Library {
    /// Loads what the configuration asks for. NVML itself is started by the first program that asks.
    ///
    /// # Errors
    /// A sentence for the log.
    pub(crate) fn find(config: &Config) -> Result<Self, String> {
        let cpu = match config.device.as_str() {
            "cuda" => None,
            "auto" | "cpu" => config.cpu_library.clone(),
            path if is_cpu_device(Path::new(path)) => Some(PathBuf::from(path)),
            _ => None,
        };
        let only_cpu = config.device == "cpu" || is_cpu_device(Path::new(&config.device));
        let vendor = if only_cpu {
            Err(String::new())
        } else {
            vendor(config)
        };
        match (vendor, cpu) {
            (Ok(vendor), cpu) => Ok(Self::of(Some(vendor), cpu)),
            (Err(_), Some(cpu)) => Ok(Self::of(None, Some(cpu))),
            (Err(reason), None) => Err(reason),
        }
    }

    fn of(vendor: Option<libloading::Library>, cpu: Option<PathBuf>) -> Self {
        Self {
            vendor,
            cpu,
            started: Mutex::new(None),
        }
    }

    /// `nvmlInit`, once. Tells `log` who answers.
    pub(crate) fn start(&self, log: impl Fn(&str)) -> i32 {
        let mut started = self.started.lock();
        if let Some((result, _)) = *started {
            return result;
        }
        let mut result = self.start_vendor();
        let mut model = false;
        if result != SUCCESS
            && let Some(cpu) = &self.cpu
        {
            match cpu_model::start(cpu) {
                Ok(()) => {
                    log("NVML is answered for the CPU device");
                    (result, model) = (SUCCESS, true);
                }
                Err(reason) => log(&format!(
                    "NVML cannot be answered for the CPU device: {reason}"
                )),
            }
        }
        *started = Some((result, model));
        result
    }

    fn start_vendor(&self) -> i32 {
        let Some(vendor) = &self.vendor else {
            return ERROR_LIBRARY_NOT_FOUND;
        };
        // SAFETY: NVML documents this signature.
        match unsafe { vendor.get::<unsafe extern "C" fn() -> i32>(b"nvmlInit_v2\0") } {
            // SAFETY: the function takes nothing.
            Ok(init) => unsafe { init() },
            Err(_) => ERROR_FUNCTION_NOT_FOUND,
        }
    }

    /// The address of a function.
    ///
    /// # Errors
    /// The NVML error of a function that there is not.
    pub(crate) fn address(&self, name: &str) -> Result<*const c_void, i32> {
        if matches!(*self.started.lock(), Some((_, true))) {
            return cpu_model::address(name).ok_or(ERROR_NOT_SUPPORTED);
        }
        let vendor = self.vendor.as_ref().ok_or(ERROR_LIBRARY_NOT_FOUND)?;
        // SAFETY: the address is only handed on; `invoke` calls it with the declaration's parameters.
        match unsafe { vendor.get::<*const c_void>(name.as_bytes()) } {
            Ok(symbol) => Ok((*symbol).cast()),
            Err(_) => Err(ERROR_FUNCTION_NOT_FOUND),
        }
    }
}

fn is_cpu_device(path: &Path) -> bool {
    path.file_name()
        .and_then(|name| name.to_str())
        .is_some_and(|name| name.starts_with("libgvirtus_cpu"))
}

fn vendor(config: &Config) -> Result<libloading::Library, String> {
    if let Some(path) = &config.nvml_library {
        return load(path);
    }
    let mut reasons = Vec::new();
    // A driver library that was named has its NVML beside it.
    let beside = Path::new(&config.device).parent().map(Path::to_owned);
    let beside = beside
        .into_iter()
        .filter(|directory| directory.is_absolute());
    for directory in beside.chain(search::directories(DRIVER_DIRECTORIES)) {
        let path = directory.join("libnvidia-ml.so.1");
        if path.exists() {
            match load(&path) {
                Ok(library) => return Ok(library),
                Err(reason) => reasons.push(reason),
            }
        }
    }
    if reasons.is_empty() {
        reasons.push(
            "libnvidia-ml.so.1 is in none of the directories where drivers are installed".into(),
        );
    }
    Err(reasons.join("; "))
}

/// Loads one library, but not our own frontend.
fn load(path: &Path) -> Result<libloading::Library, String> {
    let shown = path.display();
    let real = path.canonicalize().map_err(|e| format!("{shown}: {e}"))?;
    for at in [path, &real] {
        if at
            .parent()
            .is_some_and(|directory| directory.join("libgvirtus.so").exists())
        {
            return Err(format!(
                "{shown} lies beside libgvirtus.so: it is the frontend, not NVML"
            ));
        }
    }
    // SAFETY: the operator's configuration or the system's directories name the library; its initialisers are trusted as those of the driver that it belongs to.
    unsafe { libloading::Library::new(&real) }.map_err(|e| format!("{shown}: {e}"))
}
