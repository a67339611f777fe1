//! Holds our libraries against NVIDIA's: exported names, version nodes, SONAME.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::symbols::Exports;
use crate::{sh, toolchain};

/// A library of ours, and the checked-in list of what it must export.
struct Library {
    /// Its file name and SONAME.
    soname: &'static str,
    /// The list, relative to the repository's root.
    list: &'static str,
    /// CUDA's major version whose package has NVIDIA's own library, if a package has it.
    vendor: Option<u32>,
}

const LIBRARIES: &[Library] = &[
    Library {
        soname: "libcudart.so.12",
        list: "frontend/cudart/symbols/libcudart.so.12.txt",
        vendor: Some(12),
    },
    Library {
        soname: "libcudart.so.13",
        list: "frontend/cudart/symbols/libcudart.so.13.txt",
        vendor: Some(13),
    },
    Library {
        soname: "libcuda.so.1",
        list: "frontend/cuda/symbols/libcuda.so.1.txt",
        vendor: None,
    },
    Library {
        soname: "libnvidia-ml.so.1",
        list: "frontend/nvml/symbols/libnvidia-ml.so.1.txt",
        vendor: None,
    },
];

/// Checks the libraries that lie in `lib`; with `vendor`, also the checked-in lists against NVIDIA's libraries.
pub fn check(lib: &Path, vendor: bool) -> Result<()> {
    let mut wrong = 0;
    for library in LIBRARIES {
        let expected = Exports::of_list(&sh::root().join(library.list))?;
        if vendor && let Some(major) = library.vendor {
            let theirs = Exports::of(&toolchain::vendor_cudart(major)?)?;
            if theirs.soname.as_deref() != Some(library.soname) {
                bail!("NVIDIA's library calls itself {:?}", theirs.soname);
            }
            wrong += differences(
                &format!("{} (against NVIDIA's library)", library.list),
                &theirs.symbols,
                &expected,
                true,
            );
        }
        let path: PathBuf = lib.join(library.soname);
        let ours = Exports::of(&path)?;
        if ours.soname.as_deref() != Some(library.soname) {
            eprintln!(
                "abi-check: {}: SONAME is {:?}, must be {}",
                path.display(),
                ours.soname,
                library.soname
            );
            wrong += 1;
        }
        wrong += differences(library.soname, &expected, &ours.symbols, false);
        println!(
            "abi-check: {}: {} of {} symbols",
            library.soname,
            expected.intersection(&ours.symbols).count(),
            expected.len()
        );
    }
    if wrong > 0 {
        bail!("abi-check: {wrong} differences");
    }
    Ok(())
}

/// Prints what is missing (and, if `exact`, what is too much); returns how many.
fn differences(
    what: &str,
    expected: &BTreeSet<String>,
    found: &BTreeSet<String>,
    exact: bool,
) -> usize {
    let missing: Vec<_> = expected.difference(found).collect();
    let extra: Vec<_> = found.difference(expected).collect();
    for (kind, names) in [("lacks", &missing), ("has in addition", &extra)] {
        if !names.is_empty() && (exact || kind == "lacks") {
            let shown: Vec<_> = names.iter().take(12).map(|name| name.as_str()).collect();
            let more = if names.len() > shown.len() {
                ", …"
            } else {
                ""
            };
            eprintln!(
                "abi-check: {what} {kind} {}: {}{more}",
                names.len(),
                shown.join(", ")
            );
        }
    }
    missing.len() + if exact { extra.len() } else { 0 }
}
