//! Holds our libraries against NVIDIA's: exported names, version nodes, SONAME.

use std::collections::{BTreeMap, BTreeSet};
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
        soname: "libcublas.so.12",
        list: "frontend/cublas/symbols/libcublas.so.12.txt",
        vendor: None,
    },
    Library {
        soname: "libcublas.so.13",
        list: "frontend/cublas/symbols/libcublas.so.13.txt",
        vendor: None,
    },
    Library {
        soname: "libcudnn.so.9",
        list: "frontend/cudnn/symbols/libcudnn.so.9.txt",
        vendor: None,
    },
    Library {
        soname: "libcublasLt.so.12",
        list: "frontend/cublaslt/symbols/libcublasLt.so.12.txt",
        vendor: None,
    },
    Library {
        soname: "libcublasLt.so.13",
        list: "frontend/cublaslt/symbols/libcublasLt.so.13.txt",
        vendor: None,
    },
    Library {
        soname: "libcudnn_graph.so.9",
        list: "frontend/cudnn/symbols/libcudnn_graph.so.9.txt",
        vendor: None,
    },
    Library {
        soname: "libcudnn_ops.so.9",
        list: "frontend/cudnn/symbols/libcudnn_ops.so.9.txt",
        vendor: None,
    },
    Library {
        soname: "libcudnn_cnn.so.9",
        list: "frontend/cudnn/symbols/libcudnn_cnn.so.9.txt",
        vendor: None,
    },
    Library {
        soname: "libcudnn_adv.so.9",
        list: "frontend/cudnn/symbols/libcudnn_adv.so.9.txt",
        vendor: None,
    },
    Library {
        soname: "libcudnn_ext.so.9",
        list: "frontend/cudnn/symbols/libcudnn_ext.so.9.txt",
        vendor: None,
    },
    Library {
        soname: "libcufft.so.11",
        list: "frontend/cufft/symbols/libcufft.so.11.txt",
        vendor: None,
    },
    Library {
        soname: "libcufft.so.12",
        list: "frontend/cufft/symbols/libcufft.so.12.txt",
        vendor: None,
    },
    Library {
        soname: "libcufftw.so.11",
        list: "frontend/cufftw/symbols/libcufftw.so.11.txt",
        vendor: None,
    },
    Library {
        soname: "libcufftw.so.12",
        list: "frontend/cufftw/symbols/libcufftw.so.12.txt",
        vendor: None,
    },
    Library {
        soname: "libcurand.so.10",
        list: "frontend/curand/symbols/libcurand.so.10.txt",
        vendor: None,
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
    for (importer, list) in IMPORTERS {
        wrong += imports(lib, importer, list)?;
    }
    if wrong > 0 {
        bail!("abi-check: {wrong} differences");
    }
    Ok(())
}

/// Who imports from libraries of ours, and the checked-in list of what.
const IMPORTERS: &[(&str, &str)] = &[
    ("PyTorch", "xtask/data/pytorch-2.11-cu130.txt"),
    (
        "libraries beside PyTorch",
        "xtask/data/beside-pytorch-2.11-cu130.txt",
    ),
];

/// What others import from libraries of ours must resolve, each symbol under the version node that it was linked with: the library's SONAME. Libraries that we do not have stay
/// NVIDIA's.
fn imports(lib: &Path, importer: &str, list: &str) -> Result<usize> {
    let mut wanted: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let text = std::fs::read_to_string(sh::root().join(list))?;
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((library, symbol)) = line.split_once(' ') else {
            bail!("{list}: {line:?} is not a library and a symbol");
        };
        // The driver's libraries have no version nodes.
        let symbol = match library {
            "libcuda.so.1" | "libnvidia-ml.so.1" => symbol.to_owned(),
            _ => format!("{symbol}@{library}"),
        };
        wanted.entry(library).or_default().insert(symbol);
    }
    let mut wrong = 0;
    for (library, symbols) in wanted {
        let path = lib.join(library);
        if !path.exists() {
            continue;
        }
        let ours = Exports::of(&path)?;
        wrong += differences(
            &format!("{library} (for {importer})"),
            &symbols,
            &ours.symbols,
            false,
        );
        println!(
            "abi-check: {library}: {} symbols for {importer}",
            symbols.len()
        );
    }
    Ok(wrong)
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
