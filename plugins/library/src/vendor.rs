//! Which library answers: the vendor's of the session's major version, another one, or the CPU device's provider.

use std::ffi::{CStr, c_void};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::Description;
use gvirtus_plugin::search;

use crate::host::{self, Host};

/// The plugin's configuration, as the worker passes it to every plugin.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Config {
    /// Where NVIDIA's libraries lie, before the usual places.
    pub(crate) library_dirs: Vec<PathBuf>,
}

/// Where installers put NVIDIA's libraries.
const DIRECTORIES: &[&str] = &[
    "/usr/local/cuda/lib64",
    "/usr/local/cuda-13/lib64",
    "/usr/local/cuda-12/lib64",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
];

/// What answers.
pub(crate) enum Library {
    Vendor(libloading::Library),
    Cpu(&'static Host),
}

impl Library {
    /// Finds the library for programs of a major version.
    ///
    /// # Errors
    /// A sentence for the log.
    pub(crate) fn find(
        description: &Description,
        host: &'static Host,
        config: &Config,
        major: u32,
    ) -> Result<Self, String> {
        if host.is_cpu_device() {
            return Ok(Self::Cpu(host));
        }
        let named = config.library_dirs.iter().cloned();
        let directories: Vec<PathBuf> = named
            .filter(|directory| directory.is_absolute())
            .chain(search::directories(DIRECTORIES))
            .collect();
        let others = description.majors.iter().filter(|other| **other != major);
        let mut reasons = Vec::new();
        for candidate in std::iter::once(&major).chain(others) {
            let file = format!("{}{candidate}", description.file);
            for directory in &directories {
                if !directory.join(&file).exists() {
                    continue;
                }
                match load(description, (directory, &directories), &file, *candidate) {
                    Ok(library) => {
                        let note = if *candidate == major {
                            ""
                        } else {
                            ", which is not the program's major version"
                        };
                        host.log(
                            host::INFO,
                            &format!(
                                "{} is {}{note}",
                                description.name,
                                directory.join(&file).display()
                            ),
                        );
                        return Ok(Self::Vendor(library));
                    }
                    Err(reason) => reasons.push(reason),
                }
            }
        }
        if reasons.is_empty() {
            reasons.push(format!(
                "{}{major} is neither in LD_LIBRARY_PATH nor where CUDA is usually installed",
                description.file
            ));
        }
        Err(reasons.join("; "))
    }

    /// The address of a function.
    pub(crate) fn address(&self, description: &Description, name: &CStr) -> Option<*const c_void> {
        match self {
            Self::Cpu(host) => (description.provider)(host, name),
            // SAFETY: the address is only handed on; `invoke` calls it with the declaration's parameters.
            Self::Vendor(library) => unsafe {
                library
                    .get::<*const c_void>(name.to_bytes_with_nul())
                    .ok()
                    .map(|symbol| *symbol)
            },
        }
    }
}

/// Loads one library, but not our own frontend, and what it needs from beside it.
fn load(
    description: &Description,
    (directory, directories): (&PathBuf, &[PathBuf]),
    file: &str,
    major: u32,
) -> Result<libloading::Library, String> {
    let path = directory.join(file);
    let shown = path.display();
    let real = path.canonicalize().map_err(|e| format!("{shown}: {e}"))?;
    if is_ours(&path) || is_ours(&real) {
        return Err(format!(
            "{shown} lies beside libgvirtus.so: it is the frontend, not NVIDIA's library"
        ));
    }
    for needed in description.needs {
        let file = match needed.strip_suffix('.') {
            Some(_) => format!("{needed}{major}"),
            None => (*needed).to_owned(),
        };
        // Beside it, or where other libraries of NVIDIA's are: packages of Python have a directory each.
        let mut places = std::iter::once(directory).chain(directories);
        let found = places.find_map(|place| called(place, &file));
        // SAFETY: as below. Once it is loaded the loader finds it by its name.
        if let Some(Ok(library)) = found.map(|path| unsafe { libloading::Library::new(path) }) {
            std::mem::forget(library);
        }
    }
    // SAFETY: the operator's configuration or the system's directories name the library; its initialisers are trusted as those of the driver.
    unsafe { libloading::Library::new(&real) }.map_err(|e| format!("{shown}: {e}"))
}

/// A library in a directory that is not one of ours; `*` at a name's end stands for whatever version there is.
fn called(directory: &Path, name: &str) -> Option<PathBuf> {
    let path = match name.strip_suffix('*') {
        None => directory.join(name),
        Some(start) => {
            let names = directory.read_dir().ok()?.flatten();
            let mut paths = names.filter_map(|entry| {
                let name = entry.file_name();
                name.to_str()?.starts_with(start).then(|| entry.path())
            });
            paths.next()?
        }
    };
    let real = path.canonicalize().ok()?;
    (!is_ours(&path) && !is_ours(&real)).then_some(path)
}

/// Whether a library lies beside `libgvirtus.so`.
fn is_ours(library: &Path) -> bool {
    library
        .parent()
        .is_some_and(|directory| directory.join("libgvirtus.so").exists())
}
