//! Where the vendor's libraries are looked for.

use std::path::PathBuf;

/// Where Linux distributions and container runtimes put the driver's libraries.
pub const DRIVER_DIRECTORIES: &[&str] = &[
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
    "/lib64",
    "/usr/lib/wsl/lib",
    "/usr/local/nvidia/lib64",
    "/usr/local/nvidia/lib",
    "/run/opengl-driver/lib",
];

/// The directories of `LD_LIBRARY_PATH` that are absolute, and those behind them.
pub fn directories(usual: &'static [&'static str]) -> impl Iterator<Item = PathBuf> {
    let from_environment = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let named: Vec<PathBuf> = std::env::split_paths(&from_environment)
        .filter(|directory| directory.is_absolute())
        .collect();
    named.into_iter().chain(usual.iter().map(PathBuf::from))
}
