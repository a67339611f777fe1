//! Writes `STATUS.md` and `STATUS.json`: every function of the declaration tables, what a call of it costs, and where it was seen to work.
//!
//! What is seen comes from records that runs leave, and from nowhere else: [`seen`].

mod render;
mod seen;

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};

use crate::import_headers::find;
use crate::sh;
use crate::symbols::{Exports, bare};

/// A function as the tables declare it.
#[derive(Debug, Clone)]
struct Declared {
    /// NVIDIA's name of the documentation page.
    group: &'static str,
    name: &'static str,
    /// Its variant for per-thread default streams, if it has one.
    per_thread: Option<&'static str>,
    class: &'static str,
    /// CUDA majors of the runtime that export it; empty for driver functions.
    majors: &'static [u32],
}

macro_rules! driver_rows {
    ($(group $group:literal { $($class:ident $since:literal fn $name:ident($($p:ident: $t:ty),*);)* })*) => {
        const DRIVER: &[Declared] = &[$($(Declared {
            group: $group,
            name: stringify!($name),
            per_thread: None,
            class: stringify!($class),
            majors: &[],
        },)*)*];
    };
}
gvirtus_wire::cuda_api!(driver_rows);

macro_rules! per_thread {
    () => {
        None
    };
    ($name:ident) => {
        Some(stringify!($name))
    };
}
macro_rules! runtime_rows {
    ($(group $group:literal { $($class:ident [$($major:literal)*] fn $name:ident $(| $pt:ident)? ($($p:ident: $t:ty),*) $(-> $r:ty)?;)* })*) => {
        const RUNTIME: &[Declared] = &[$($(Declared {
            group: $group,
            name: stringify!($name),
            per_thread: per_thread!($($pt)?),
            class: stringify!($class),
            majors: &[$($major),*],
        },)*)*];
    };
}
gvirtus_wire::cudart_api!(runtime_rows);

macro_rules! nvml_rows {
    ($(group $group:literal { $($class:ident fn $name:ident($($p:ident: $mode:ident $(($($argument:literal)+))?),*);)* })*) => {
        const NVML: &[Declared] = &[$($(Declared {
            group: $group,
            name: stringify!($name),
            per_thread: None,
            class: stringify!($class),
            majors: &[],
        },)*)*];
    };
}
gvirtus_wire::nvml_api!(nvml_rows);

macro_rules! library_rows {
    ($(group $group:literal { $($class:ident [$($major:literal)*] fn $name:ident($($p:ident: $mode:ident $(($($argument:tt)+))?),*);)* })*) => {
        const ROWS: &[Declared] = &[$($(Declared {
            group: $group,
            name: stringify!($name),
            per_thread: None,
            class: match stringify!($class).as_bytes() {
                // Kept on the client, and sent behind.
                b"state" | b"make" | b"drop" | b"hand_local" => "local",
                // `plan` and `void` tell what cuFFTW's functions return.
                b"local_plan" | b"local_void" => "local",
                b"value" | b"hand_sync" | b"made_sync" | b"plan" | b"void" => "sync",
                b"hand_async" | b"made_async" => "async",
                b"made_implicit_sync" => "implicit_sync",
                // Made of calls of others.
                b"on_host" | b"legacy_host" | b"legacy_i32" | b"legacy_f32" | b"legacy_f64"
                | b"legacy_c32" | b"legacy_c64" => "sync",
                b"legacy" => "async",
                _ => stringify!($class),
            },
            majors: &[$($major),*],
        },)*)*];
    };
}
macro_rules! libraries { ($($module:ident $api:ident $rows:ident;)*) => { $(
    mod $module {
        use super::Declared;
        gvirtus_wire::$api!(library_rows);
        pub(super) const $rows: &[Declared] = ROWS;
    }
    use $module::$rows;
)* } }
libraries! {
    cublas cublas_api CUBLAS;
    cublaslt cublaslt_api CUBLASLT;
    cudnn cudnn_api CUDNN;
    cufft cufft_api CUFFT;
    cufftw cufftw_api CUFFTW;
    curand curand_api CURAND;
}

/// Private, and known to `frontend/nvml` itself.
const EXPORT_TABLE_OF_NVML: &str = "nvmlInternalGetExportTable";

/// No public header declares the function.
const UNDECLARED: &str = "undeclared";

/// A library of ours: its title, its symbol list, its declarations and how their names' documentation is reached.
struct Library {
    soname: &'static str,
    list: &'static str,
    declared: Vec<Declared>,
    documentation: &'static str,
}

fn libraries() -> Vec<Library> {
    let runtime = |major: u32| -> Vec<Declared> {
        RUNTIME
            .iter()
            .filter(|row| row.majors.contains(&major))
            .cloned()
            .collect()
    };
    let of_major = |rows: &[Declared], major: u32| -> Vec<Declared> {
        rows.iter()
            .filter(|row| row.majors.contains(&major))
            .cloned()
            .collect()
    };
    vec![
        Library {
            soname: "libcudart.so.13",
            list: "frontend/cudart/symbols/libcudart.so.13.txt",
            declared: runtime(13),
            documentation: "cuda/cuda-runtime-api",
        },
        Library {
            soname: "libcudart.so.12",
            list: "frontend/cudart/symbols/libcudart.so.12.txt",
            declared: runtime(12),
            documentation: "cuda/cuda-runtime-api",
        },
        Library {
            soname: "libcublas.so.13",
            list: "frontend/cublas/symbols/libcublas.so.13.txt",
            declared: of_major(CUBLAS, 13),
            documentation: "cuda/cublas",
        },
        Library {
            soname: "libcublas.so.12",
            list: "frontend/cublas/symbols/libcublas.so.12.txt",
            declared: of_major(CUBLAS, 12),
            documentation: "cuda/cublas",
        },
        Library {
            soname: "libcudnn.so.9",
            list: "frontend/cudnn/symbols/libcudnn.so.9.txt",
            declared: of_major(CUDNN, 9),
            documentation: "deeplearning/cudnn",
        },
        Library {
            soname: "libcublasLt.so.13",
            list: "frontend/cublaslt/symbols/libcublasLt.so.13.txt",
            declared: of_major(CUBLASLT, 13),
            documentation: "cuda/cublas",
        },
        Library {
            soname: "libcublasLt.so.12",
            list: "frontend/cublaslt/symbols/libcublasLt.so.12.txt",
            declared: of_major(CUBLASLT, 12),
            documentation: "cuda/cublas",
        },
        Library {
            soname: "libcufft.so.12",
            list: "frontend/cufft/symbols/libcufft.so.12.txt",
            declared: of_major(CUFFT, 12),
            documentation: "cuda/cufft",
        },
        Library {
            soname: "libcufft.so.11",
            list: "frontend/cufft/symbols/libcufft.so.11.txt",
            declared: of_major(CUFFT, 11),
            documentation: "cuda/cufft",
        },
        Library {
            soname: "libcufftw.so.12",
            list: "frontend/cufftw/symbols/libcufftw.so.12.txt",
            declared: of_major(CUFFTW, 12),
            documentation: "cuda/cufft",
        },
        Library {
            soname: "libcufftw.so.11",
            list: "frontend/cufftw/symbols/libcufftw.so.11.txt",
            declared: of_major(CUFFTW, 11),
            documentation: "cuda/cufft",
        },
        Library {
            soname: "libcurand.so.10",
            list: "frontend/curand/symbols/libcurand.so.10.txt",
            declared: of_major(CURAND, 10),
            documentation: "cuda/curand",
        },
        Library {
            soname: "libcuda.so.1",
            list: "frontend/cuda/symbols/libcuda.so.1.txt",
            declared: DRIVER.to_vec(),
            documentation: "cuda/cuda-driver-api",
        },
        Library {
            soname: "libnvidia-ml.so.1",
            list: "frontend/nvml/symbols/libnvidia-ml.so.1.txt",
            declared: NVML.to_vec(),
            documentation: "deploy/nvml-api",
        },
    ]
}

/// A library's functions with all that is known of them.
struct LibraryStatus {
    soname: &'static str,
    documentation: &'static str,
    /// Names that the vendor's library exports.
    symbols: usize,
    /// Of them: what a program can call, what is supported, has been seen to equal native, on the CPU device, and by a property test.
    totals: Totals,
    functions: Vec<Function>,
    /// Exported names without a declaration of their own.
    further: usize,
}

#[derive(Default)]
struct Totals {
    public: usize,
    supported: usize,
    comparable: usize,
    verified: usize,
    cpu: usize,
    property: usize,
}

struct Function {
    group: &'static str,
    name: &'static str,
    class: &'static str,
    notes: Vec<String>,
    property: bool,
    cpu: Option<seen::Seen>,
    verified: Option<seen::Seen>,
}

/// Writes `STATUS.md` and `STATUS.json`; with `check`, fails instead if they would change.
pub fn status(check: bool) -> Result<()> {
    let records = seen::Records::read()?;
    let libraries = gather(&records)?;
    for (file, text) in [
        ("STATUS.md", render::markdown(&libraries, &records)?),
        ("STATUS.json", render::json(&libraries, &records)?),
    ] {
        let path = sh::root().join(file);
        if !check {
            std::fs::write(&path, text)?;
        } else if std::fs::read_to_string(&path).unwrap_or_default() != text {
            bail!("{file} is out of date: run `cargo xtask status` and commit it");
        }
    }
    Ok(())
}

fn gather(records: &seen::Records) -> Result<Vec<LibraryStatus>> {
    let reasons = read_reasons()?;
    let library_reasons = read_library_reasons()?;
    let refused: BTreeSet<&str> = DRIVER
        .iter()
        .filter(|row| row.class == "unsupported")
        .map(|row| row.name)
        .collect();
    libraries()
        .into_iter()
        .map(|library| {
            let symbols = Exports::of_list(&sh::root().join(library.list))?;
            let mut names: BTreeSet<&str> = symbols.iter().map(|symbol| bare(symbol)).collect();
            let symbols = names.len();
            let mut totals = Totals::default();
            let mut functions = Vec::new();
            for row in &library.declared {
                let mine: Vec<&str> = [Some(row.name), row.per_thread]
                    .into_iter()
                    .flatten()
                    .collect();
                let exported = mine.iter().filter(|name| names.remove(*name)).count();
                let needs = needed_driver_function(row, &refused);
                let mut notes = Vec::new();
                if let Some(per_thread) = row.per_thread {
                    notes.push(format!("and `{per_thread}`"));
                }
                if let Some(function) = needs {
                    notes.push(format!("not yet: needs `{function}`"));
                }
                if row.class == "unsupported" && library.soname.starts_with("libcuda") {
                    notes.push(reason(&reasons, row.name)?.to_owned());
                } else if matches!(row.class, "unsupported" | UNDECLARED)
                    && !library.soname.starts_with("libnvidia")
                {
                    notes.push(library_reason(&library_reasons, row)?);
                }
                if let Some(reason) = records.unverified(&mine) {
                    notes.push(format!("not verified: {reason}"));
                }
                let function = Function {
                    group: row.group,
                    name: row.name,
                    class: match row.class {
                        UNDECLARED => "unsupported",
                        class => class,
                    },
                    notes,
                    property: records.property_tested(&mine),
                    cpu: records.cpu(&mine),
                    verified: records.verified(&mine),
                };
                if row.class != UNDECLARED {
                    totals.public += exported;
                }
                if !matches!(row.class, "unsupported" | "refused" | UNDECLARED) && needs.is_none() {
                    let counted = |is: bool| if is { exported } else { 0 };
                    totals.supported += exported;
                    totals.comparable += counted(!records.incomparable(&mine));
                    totals.verified += counted(function.verified.is_some());
                    totals.cpu += counted(function.cpu.is_some());
                    totals.property += counted(function.property);
                }
                functions.push(function);
            }
            if ["libcuda", "libnvidia"]
                .iter()
                .any(|of| library.soname.starts_with(of))
            {
                totals.public += names.len();
            }
            // The runtime and the driver have symbols that are other forms of declared ones.
            if !library.soname.starts_with("libcuda")
                && let Some(name) = names.iter().find(|name| **name != EXPORT_TABLE_OF_NVML)
            {
                bail!(
                    "{} exports {name}, which is not declared: see `cargo xtask import-headers`",
                    library.soname
                );
            }
            Ok(LibraryStatus {
                soname: library.soname,
                documentation: library.documentation,
                symbols,
                totals,
                functions,
                further: names.len(),
            })
        })
        .collect()
}

/// Why functions of compute libraries are not supported: the lines `reason FUNCTIONS TEXT` of `xtask/data/*.rules`.
fn read_library_reasons() -> Result<Vec<(String, String)>> {
    let mut reasons = Vec::new();
    for library in ["cublas", "cublaslt", "cudnn", "cufft", "cufftw", "curand"] {
        let path = sh::root().join(format!("xtask/data/{library}.rules"));
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        for line in text.lines().filter_map(|line| line.strip_prefix("reason ")) {
            let (functions, reason) = line
                .trim()
                .split_once(' ')
                .with_context(|| format!("{}: no reason in `{line}`", path.display()))?;
            reasons.push((functions.to_owned(), reason.trim().to_owned()));
        }
    }
    Ok(reasons)
}

/// The reason of the first line that fits; what no header declares needs none.
fn library_reason(reasons: &[(String, String)], row: &Declared) -> Result<String> {
    match (find(reasons, row.name), row.class) {
        (Some(reason), UNDECLARED) => Ok(format!("no public header declares it; {reason}")),
        (None, UNDECLARED) => Ok("no public header declares it".to_owned()),
        (Some(reason), _) => Ok(reason.to_owned()),
        (None, _) => bail!(
            "no `reason` in xtask/data/*.rules says why {} is not supported",
            row.name
        ),
    }
}

/// Why functions of the runtime and the driver are not supported: `xtask/data/unsupported.txt`, a name or the beginning of names in each line, then the reason.
fn read_reasons() -> Result<Vec<(String, String)>> {
    let path = sh::root().join("xtask/data/unsupported.txt");
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    text.lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| {
            let (name, reason) = line
                .split_once(' ')
                .with_context(|| format!("{}: no reason in `{line}`", path.display()))?;
            Ok((name.to_owned(), reason.to_owned()))
        })
        .collect()
}

/// The reason of the first line that fits.
fn reason<'a>(reasons: &'a [(String, String)], function: &str) -> Result<&'a str> {
    find(reasons, function).with_context(|| {
        format!("xtask/data/unsupported.txt does not say why {function} is not supported")
    })
}

/// The driver function of the same name as a runtime function, if the driver level refuses it: then the runtime function cannot work either.
fn needed_driver_function<'a>(row: &Declared, refused: &BTreeSet<&'a str>) -> Option<&'a str> {
    if row.majors.is_empty() || row.class == "unsupported" || row.class == "local" {
        return None;
    }
    let rest = row.name.strip_prefix("cuda")?;
    ["", "_v2", "_v3", "_v4"]
        .iter()
        .find_map(|suffix| refused.get(format!("cu{rest}{suffix}").as_str()).copied())
        .filter(|function| {
            // Another version of it may well work.
            let base =
                function.trim_end_matches(|c: char| c == '_' || c == 'v' || c.is_ascii_digit());
            !DRIVER.iter().any(|other| {
                other.class != "unsupported"
                    && other.name.starts_with(base)
                    && other.name[base.len()..]
                        .chars()
                        .all(|c| c == '_' || c == 'v' || c.is_ascii_digit())
            })
        })
}
