//! Writes `STATUS.md`: every function of the declaration tables, what a call of it costs, and on which GPU it was last seen to give native results.
//!
//! "Verified" comes from recorded runs of the GPU suite (`tests/gpu/results/*.json`) and from nowhere else.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use anyhow::{Context, Result, bail};
use serde_json::Value;

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
                b"state" => "local",
                _ => stringify!($class),
            },
            majors: &[$($major),*],
        },)*)*];
    };
}
mod cublas {
    use super::Declared;
    gvirtus_wire::cublas_api!(library_rows);
    pub(super) const CUBLAS: &[Declared] = ROWS;
}
mod cufft {
    use super::Declared;
    gvirtus_wire::cufft_api!(library_rows);
    pub(super) const CUFFT: &[Declared] = ROWS;
}
use cublas::CUBLAS;
use cufft::CUFFT;

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

/// Where and when a function was part of a run that equalled the native one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Verified {
    date: String,
    gpu: String,
    driver: String,
}

/// Writes `STATUS.md`; with `check`, fails instead if it would change.
pub fn status(check: bool) -> Result<()> {
    let path = sh::root().join("STATUS.md");
    let text = text()?;
    if check {
        if std::fs::read_to_string(&path).unwrap_or_default() != text {
            bail!("STATUS.md is out of date: run `cargo xtask status` and commit it");
        }
        return Ok(());
    }
    std::fs::write(&path, text)?;
    Ok(())
}

fn text() -> Result<String> {
    let verified = verified()?;
    let mut top = String::from(
        "# Status\n\n\
         Generated by `cargo xtask status` from the declaration tables, the symbol lists and the recorded runs of the GPU suite; do not edit.\n\n\
         *Class* says what a call costs: `local` is answered on the client, `async` is sent and nobody waits, `sync` waits for one round trip,\n\
         `implicit_sync` does if work that matters is outstanding, `unsupported` returns CUDA's \"not supported\" and logs the symbol's name once;\n\
         `refused` would change the GPU of the box for others, and returns the library's \"no permission\".\n\
         *Verified* names the GPU, driver and date of the latest recorded run in which a program that calls the function gave native results.\n\n\
         | library | symbols | supported | verified |\n|---|--:|--:|--:|\n",
    );
    let mut tables = String::new();
    let refused: BTreeSet<&str> = DRIVER
        .iter()
        .filter(|row| row.class == "unsupported")
        .map(|row| row.name)
        .collect();
    for library in libraries() {
        let symbols = Exports::of_list(&sh::root().join(library.list))?;
        let mut names: BTreeSet<&str> = symbols.iter().map(|symbol| bare(symbol)).collect();
        let total = names.len();
        let (mut supported, mut proven) = (0, 0);
        let mut group = "";
        writeln!(tables, "\n## {}", library.soname)?;
        for row in &library.declared {
            if row.group != group {
                group = row.group;
                let page = format!(
                    "https://docs.nvidia.com/{}/group__{group}.html",
                    library.documentation
                );
                match group.starts_with("CUDA") || group.starts_with("nvml") {
                    true => writeln!(tables, "\n### [{group}]({page})\n")?,
                    false => writeln!(tables, "\n### {group}\n")?,
                }
                tables.push_str("| function | class | notes | verified |\n|---|---|---|---|\n");
            }
            let mine = [Some(row.name), row.per_thread];
            let exported = mine
                .iter()
                .flatten()
                .filter(|name| names.remove(*name))
                .count();
            let needs = needed_driver_function(row, &refused);
            let works = !matches!(row.class, "unsupported" | "refused") && needs.is_none();
            let seen = mine
                .iter()
                .flatten()
                .filter_map(|name| verified.get(*name))
                .max();
            if works {
                supported += exported;
                proven += if seen.is_some() { exported } else { 0 };
            }
            let mut notes = Vec::new();
            if let Some(per_thread) = row.per_thread {
                notes.push(format!("and `{per_thread}`"));
            }
            if let Some(function) = needs {
                notes.push(format!("not yet: needs `{function}`"));
            }
            let seen = seen.map(|seen| format!("{}, {}, {}", seen.gpu, seen.driver, seen.date));
            writeln!(
                tables,
                "| `{}` | {} | {} | {} |",
                row.name,
                row.class,
                notes.join("; "),
                seen.unwrap_or_default()
            )?;
        }
        writeln!(
            top,
            "| {} | {total} | {supported} | {proven} |",
            library.soname
        )?;
        if !names.is_empty() {
            writeln!(
                tables,
                "\n{} further symbols of the vendor's library exist as variants of the above or return \"not supported\".",
                names.len()
            )?;
        }
    }
    Ok(top + &tables)
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

/// Functions of recorded runs, each with the latest of them.
fn verified() -> Result<BTreeMap<String, Verified>> {
    let mut all: BTreeMap<String, Verified> = BTreeMap::new();
    let directory = sh::root().join("tests/gpu/results");
    for entry in std::fs::read_dir(directory).into_iter().flatten() {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let record: Value = serde_json::from_str(&std::fs::read_to_string(&path)?)
            .with_context(|| format!("{} is not JSON", path.display()))?;
        for (name, seen) in record["functions"].as_object().into_iter().flatten() {
            // A function has a date and a driver of its own where results accumulate.
            let field = |name: &str| {
                let value = seen[name].as_str().or(record[name].as_str());
                value.unwrap_or("?").to_owned()
            };
            let run = Verified {
                date: field("date"),
                gpu: field("gpu"),
                driver: field("driver"),
            };
            let latest = all.entry(name.clone()).or_insert_with(|| run.clone());
            if run > *latest {
                *latest = run.clone();
            }
        }
    }
    Ok(all)
}
