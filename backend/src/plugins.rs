//! Where plugins and the CPU device lie.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

use gvirtus_wire::config::Properties;

/// Directories that may hold plugins, best first.
pub(crate) fn directories(properties: &Properties) -> Vec<PathBuf> {
    let home = std::env::var_os("GVIRTUS_HOME")
        .filter(|home| !home.is_empty())
        .map(|home| Path::new(&home).join("lib/plugins"));
    let installed = program_directory().map(|dir| dir.join("../lib/plugins"));
    // Beside the program: where cargo leaves them.
    properties
        .plugins_dir
        .clone()
        .into_iter()
        .chain(home)
        .chain(installed)
        .chain(program_directory())
        .collect()
}

/// The library of a plugin.
pub(crate) fn find(directories: &[PathBuf], name: &str) -> Option<PathBuf> {
    let file = format!("libgvirtus_plugin_{name}.so");
    directories
        .iter()
        .find_map(|dir| dir.join(&file).canonicalize().ok())
}

/// The CPU device's library.
pub(crate) fn cpu_library() -> Option<PathBuf> {
    let home = std::env::var_os("GVIRTUS_HOME")
        .filter(|home| !home.is_empty())
        .map(|home| Path::new(&home).join("lib"));
    let installed = program_directory().map(|dir| dir.join("../lib"));
    home.into_iter()
        .chain(installed)
        .chain(program_directory())
        .find_map(|dir| dir.join("libgvirtus_cpu.so").canonicalize().ok())
}

fn program_directory() -> Option<PathBuf> {
    Some(std::env::current_exe().ok()?.parent()?.to_owned())
}
