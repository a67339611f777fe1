//! Where GVirtuS is installed.

use std::path::{Path, PathBuf};

/// The directory with our libraries: `$GVIRTUS_HOME/lib`, or `../lib` beside this program.
pub(crate) fn libraries() -> Result<PathBuf, String> {
    let home = std::env::var_os("GVIRTUS_HOME").filter(|home| !home.is_empty());
    let candidates: Vec<PathBuf> = match home {
        Some(home) => vec![Path::new(&home).join("lib")],
        None => crate::program()
            .and_then(|exe| Some(exe.canonicalize().ok()?.parent()?.join("../lib")))
            .into_iter()
            .collect(),
    };
    candidates
        .iter()
        .find(|dir| dir.join("libgvirtus.so").is_file())
        .and_then(|dir| dir.canonicalize().ok())
        .ok_or_else(|| {
            let looked: Vec<_> = candidates.iter().map(|p| p.display().to_string()).collect();
            format!(
                "libgvirtus.so is not in {}; set GVIRTUS_HOME to where GVirtuS is installed",
                looked.join(", ")
            )
        })
}
