//! Which libraries a program would load, by the dynamic loader's rules.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use object::elf::{self, FileHeader64};
use object::read::elf::{Dyn, ElfFile64, FileHeader};
use object::{Endianness, StringTable};

/// Where the loader looks last, on the systems that we know.
const SYSTEM: &[&str] = &[
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib/aarch64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/lib64",
    "/usr/lib64",
    "/lib",
    "/usr/lib",
    "/usr/local/cuda/lib64",
];
/// Names that concern us.
const CUDA: &[&str] = &[
    "libcudart.so",
    "libcuda.so",
    "libcublas.so",
    "libcublasLt.so",
    "libcudnn.so",
    "libcufft.so",
    "libcurand.so",
    "libnvidia-ml.so",
];
/// Libraries of libraries looked at; enough for any program, and an end for circles.
const MAX_OBJECTS: usize = 512;

/// This host's kind of processor.
const MACHINE: u16 = if cfg!(target_arch = "aarch64") {
    elf::EM_AARCH64
} else {
    elf::EM_X86_64
};

/// What an object file asks of the loader.
#[derive(Debug, Default)]
struct Wants {
    needed: Vec<String>,
    rpath: Vec<PathBuf>,
    runpath: Vec<PathBuf>,
    /// Whether the CUDA runtime is linked into it.
    static_runtime: bool,
}

/// A CUDA library that a program would load.
#[derive(Debug)]
pub(crate) struct Found {
    /// As the program names it.
    pub(crate) name: String,
    /// Who needs it: the program, or a library of it.
    pub(crate) by: PathBuf,
    /// What the loader would take; `None` if it finds none.
    pub(crate) path: Option<PathBuf>,
    /// Whether the needing object's RPATH leads there, before `LD_LIBRARY_PATH`.
    pub(crate) by_rpath: bool,
}

/// What is to be said about a program.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) libraries: Vec<Found>,
    /// Objects with a runtime of their own, which will ask for `libcuda.so.1`.
    pub(crate) static_runtime: Vec<PathBuf>,
}

/// Follows a program's needs as the loader would with this `LD_LIBRARY_PATH`.
pub(crate) fn inspect(program: &Path, library_path: &OsStr) -> Result<Report, String> {
    let library_path: Vec<PathBuf> = split(library_path.as_bytes(), program);
    let mut report = Report::default();
    let mut seen = HashSet::new();
    let mut queue = vec![program.to_owned()];
    while let Some(object) = queue.pop() {
        if !seen.insert(object.clone()) || seen.len() > MAX_OBJECTS {
            continue;
        }
        let wants = match read(&object) {
            Ok(wants) => wants,
            Err(e) if object == program => return Err(format!("{}: {e}", object.display())),
            // The loader will have its own words for it.
            Err(_) => continue,
        };
        if wants.static_runtime {
            report.static_runtime.push(object.clone());
        }
        for name in wants.needed {
            let (path, by_rpath) = resolve(&name, &wants.rpath, &library_path, &wants.runpath);
            if CUDA.iter().any(|cuda| name.starts_with(cuda))
                && !report.libraries.iter().any(|f| f.name == name)
            {
                report.libraries.push(Found {
                    name,
                    by: object.clone(),
                    path: path.clone(),
                    by_rpath,
                });
            }
            queue.extend(path);
        }
    }
    Ok(report)
}

/// The first library of that name, and whether RPATH led to it.
fn resolve(
    name: &str,
    rpath: &[PathBuf],
    library_path: &[PathBuf],
    runpath: &[PathBuf],
) -> (Option<PathBuf>, bool) {
    let there = |dir: &PathBuf| Some(dir.join(name)).filter(|p| p.is_file());
    // RPATH counts only where there is no RUNPATH.
    if runpath.is_empty()
        && let Some(path) = rpath.iter().find_map(there)
    {
        return (Some(path), true);
    }
    let system: Vec<PathBuf> = SYSTEM.iter().map(PathBuf::from).collect();
    let path = library_path
        .iter()
        .chain(runpath)
        .chain(&system)
        .find_map(there);
    (path, false)
}

/// Directories of a path list; `$ORIGIN` is the object's own.
fn split(list: &[u8], object: &Path) -> Vec<PathBuf> {
    let origin = object.parent().unwrap_or(Path::new("."));
    let origin = origin.to_string_lossy();
    String::from_utf8_lossy(list)
        .split(':')
        .filter(|dir| !dir.is_empty())
        .map(|dir| {
            dir.replace("${ORIGIN}", &origin)
                .replace("$ORIGIN", &origin)
                .into()
        })
        .collect()
}

/// Whether a file is a program or library of machine code.
pub(crate) fn is_elf(path: &Path) -> bool {
    start(path).starts_with(b"\x7fELF")
}

/// What follows `#!` in a script's first line.
pub(crate) fn first_line(path: &Path) -> Option<String> {
    let start = start(path);
    let rest = start.strip_prefix(b"#!")?;
    let line = rest.split(|byte| *byte == b'\n').next()?;
    Some(String::from_utf8_lossy(line).trim().to_owned())
}

/// A file's first bytes; none if it cannot be read.
fn start(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Ok(file) = std::fs::File::open(path) {
        let _ = file.take(512).read_to_end(&mut bytes);
    }
    bytes
}

fn read(path: &Path) -> Result<Wants, String> {
    let data = std::fs::read(path).map_err(|e| e.to_string())?;
    let data = data.as_slice();
    if data.starts_with(b"#!") {
        return Err(
            "it is a script; name the program that interprets it, or a library that it loads"
                .into(),
        );
    }
    let file = ElfFile64::<Endianness>::parse(data)
        .map_err(|_| "it is no 64-bit ELF program or library".to_owned())?;
    let header: &FileHeader64<Endianness> = file.elf_header();
    let machine = header
        .endian()
        .map(|endian| header.e_machine(endian))
        .map_err(|e| format!("damaged ELF file: {e}"))?;
    if machine != MACHINE {
        return Err(format!(
            "it is for another kind of processor (ELF machine {}, this host is {MACHINE})",
            machine
        ));
    }
    let parse = || -> object::read::Result<Wants> {
        let endian = header.endian()?;
        let sections = header.sections(endian, data)?;
        let mut wants = Wants::default();
        if let Some((dynamic, link)) = sections.dynamic(endian, data)? {
            let strings: StringTable<'_> = sections.strings(endian, data, link)?;
            for entry in dynamic {
                let Some(tag) = entry.tag32(endian) else {
                    continue;
                };
                match tag {
                    elf::DT_NEEDED => {
                        let name = entry.string(endian, strings)?;
                        wants
                            .needed
                            .push(String::from_utf8_lossy(name).into_owned());
                    }
                    elf::DT_RPATH => wants.rpath = split(entry.string(endian, strings)?, path),
                    elf::DT_RUNPATH => wants.runpath = split(entry.string(endian, strings)?, path),
                    _ => {}
                }
            }
        }
        Ok(wants)
    };
    let mut wants = parse().map_err(|e| format!("damaged ELF file: {e}"))?;
    // Only the runtime opens the driver by name; a program that has that name and needs no libcudart carries the runtime inside.
    let shared = wants.needed.iter().any(|n| n.starts_with("libcudart.so"));
    let own = path.file_name().is_some_and(|n| {
        CUDA.iter()
            .any(|cuda| n.to_string_lossy().starts_with(cuda))
    });
    wants.static_runtime = !shared
        && !own
        && contains(data, b"libcuda.so.1\0")
        && contains(data, b"cudaErrorInitializationError");
    Ok(wants)
}

fn contains(data: &[u8], text: &[u8]) -> bool {
    data.windows(text.len()).any(|window| window == text)
}
