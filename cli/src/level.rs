//! At which level a program meets us: at NVIDIA's libraries (`libcudart` and the like, ours in their place) or at the driver, its own CUDA libraries staying its own.
//!
//! A program whose CUDA libraries are all there, or linked into it, is served at the driver level: that is what it was built against, to the bit. One that misses a library is
//! served at the library level. Where nothing can be read off the program (scripts, programs that open libraries by name), the library level has everything.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::ValueEnum;

use crate::loader;

/// `gvirtus run --level`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Wish {
    /// As the program needs it
    Auto,
    /// libcuda and libnvidia-ml alone: the program's CUDA libraries stay its own
    Driver,
    /// All of our libraries
    Library,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    Driver,
    Library,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Driver => "driver",
            Self::Library => "library",
        })
    }
}

/// A level, and what spoke for it.
#[derive(Debug)]
pub(crate) struct Choice {
    pub(crate) level: Level,
    pub(crate) reasons: Vec<String>,
    /// What will go wrong.
    pub(crate) warnings: Vec<String>,
}

impl Choice {
    fn new(level: Level, reason: impl Into<String>) -> Self {
        Self {
            level,
            reasons: vec![reason.into()],
            warnings: Vec::new(),
        }
    }
}

/// How many interpreters of interpreters are followed.
const MAX_INTERPRETERS: usize = 4;

/// Chooses for a program as `execvp` would find it. `ours` has our libraries, `library_path` is `LD_LIBRARY_PATH` without us.
///
/// # Errors
/// A program that this machine cannot run: of another architecture, or whose interpreter is not there.
pub(crate) fn choose(program: &OsStr, ours: &Path, library_path: &OsStr) -> Result<Choice, String> {
    let Some(mut path) = find(program) else {
        // `exec` has its own words for it.
        return Ok(Choice::new(Level::Library, "the program was not found"));
    };
    for _ in 0..MAX_INTERPRETERS {
        // Before its first line is followed: a version manager's python is a script.
        if let Some(choice) = python(&path) {
            return Ok(choice);
        }
        let Some(interpreter) = interpreter(&path)? else {
            break;
        };
        path = interpreter;
    }
    if !loader::is_elf(&path) {
        return Ok(Choice::new(
            Level::Library,
            format!("{} tells nothing about what it will load", path.display()),
        ));
    }
    compiled(&path, ours, library_path)
}

/// A program of machine code, by what it and its libraries need.
fn compiled(path: &Path, ours: &Path, library_path: &OsStr) -> Result<Choice, String> {
    let report = loader::inspect(path, library_path)?;
    let mut choice = Choice {
        level: Level::Driver,
        reasons: Vec::new(),
        warnings: Vec::new(),
    };
    for object in &report.static_runtime {
        choice.reasons.push(format!(
            "{} has the CUDA runtime linked into it",
            object.display()
        ));
    }
    for library in &report.libraries {
        let by = library.by.display();
        let driver =
            library.name.starts_with("libcuda.so") || library.name.starts_with("libnvidia-ml.so");
        match &library.path {
            _ if driver => choice
                .reasons
                .push(format!("{} (for {by}) is the driver's", library.name)),
            Some(found) => {
                let how = if library.by_rpath {
                    ", by its RPATH"
                } else {
                    ""
                };
                choice.reasons.push(format!(
                    "{} (for {by}) is {}{how}",
                    library.name,
                    found.display()
                ));
            }
            None => {
                choice.level = Level::Library;
                choice.reasons.push(format!(
                    "{} (for {by}) is nowhere on this host",
                    library.name
                ));
                if !ours.join(&library.name).is_file() {
                    choice.warnings.push(format!(
                        "{} needs {}, which neither this host nor GVirtuS has: the loader will refuse; install NVIDIA's package of it",
                        by, library.name
                    ));
                }
            }
        }
    }
    if choice.reasons.is_empty() {
        choice.level = Level::Library;
        choice.reasons.push(format!(
            "{} links no CUDA library; it may open one by name",
            path.display()
        ));
    }
    Ok(choice)
}

/// The file that `execvp` would run.
fn find(program: &OsStr) -> Option<PathBuf> {
    let named = Path::new(program);
    if program.as_bytes().contains(&b'/') {
        return named.is_file().then(|| named.to_owned());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|dir| dir.join(named))
        .find(|file| file.is_file())
}

/// The interpreter that a script names in its first line; `None` if the file is no script.
///
/// # Errors
/// An interpreter that is not there.
fn interpreter(path: &Path) -> Result<Option<PathBuf>, String> {
    let Some(line) = loader::first_line(path) else {
        return Ok(None);
    };
    let mut words = line.split_whitespace().skip_while(|word| *word == "-S");
    let Some(first) = words.next() else {
        return Ok(None);
    };
    let env = Path::new(first).file_name() == Some(OsStr::new("env"));
    let named = if env {
        words
            .find(|word| !word.starts_with('-') && !word.contains('='))
            .unwrap_or(first)
    } else {
        first
    };
    match find(OsStr::new(named)) {
        Some(found) => Ok(Some(found)),
        None => Err(format!(
            "{} is a script for {named}, which is not there",
            path.display()
        )),
    }
}

/// Python with CUDA libraries in its environment: wheels bring NVIDIA's libraries, and their RPATHs lead to them.
fn python(path: &Path) -> Option<Choice> {
    let name = path.file_name()?.to_string_lossy().into_owned();
    if !name.starts_with("python") {
        return None;
    }
    for packages in site_packages(path) {
        for (what, brings) in [
            ("nvidia", "NVIDIA's libraries"),
            ("torch/lib", "PyTorch"),
            ("cupy", "CuPy"),
            ("jaxlib", "JAX"),
            ("numba_cuda", "Numba"),
        ] {
            let place = packages.join(what);
            if place.is_dir() {
                return Some(Choice::new(
                    Level::Driver,
                    format!(
                        "{}: this Python has {brings}, which bring their own CUDA",
                        place.display()
                    ),
                ));
            }
        }
    }
    Some(Choice::new(
        Level::Library,
        format!(
            "{} has no package that brings CUDA libraries",
            path.display()
        ),
    ))
}

/// Where a Python looks for packages, which only it can say: it may be a version manager's or a virtual environment's.
fn site_packages(python: &Path) -> Vec<PathBuf> {
    let asked = Command::new(python)
        .args(["-c", "import sys; print('\\n'.join(sys.path))"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    let paths = asked.map(|done| done.stdout).unwrap_or_default();
    String::from_utf8_lossy(&paths)
        .lines()
        .filter(|line| !line.is_empty())
        .map(PathBuf::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn scripts_lead_to_their_interpreters() {
        let home = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = home.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let found = |path: &Path| {
            interpreter(path)
                .unwrap()
                .map(|p| p.file_name().unwrap().to_owned())
        };
        assert_eq!(found(&write("a", "#!/bin/sh\necho")), Some("sh".into()));
        assert_eq!(
            found(&write("b", "#! /usr/bin/env -S A=1 sh -e\n")),
            Some("sh".into())
        );
        assert_eq!(found(&write("c", "no script")), None);
        let missing = interpreter(&write("d", "#!/no/such/interpreter\n")).unwrap_err();
        assert!(missing.contains("/no/such/interpreter"), "{missing}");
    }

    #[test]
    fn a_python_with_cuda_packages_is_served_at_the_driver_level() {
        let home = tempfile::tempdir().unwrap();
        let packages = home.path().join("packages");
        std::fs::create_dir_all(&packages).unwrap();
        let interpreter = home.path().join("python3.12");
        std::fs::write(
            &interpreter,
            format!("#!/bin/sh\necho; echo {}\n", packages.display()),
        )
        .unwrap();
        std::fs::set_permissions(&interpreter, std::fs::Permissions::from_mode(0o755)).unwrap();
        let choice = python(&interpreter).expect("its name says python");
        assert_eq!(choice.level, Level::Library, "{choice:?}");
        std::fs::create_dir_all(packages.join("torch/lib")).unwrap();
        let choice = python(&interpreter).expect("its name says python");
        assert_eq!(choice.level, Level::Driver);
        assert!(choice.reasons[0].contains("PyTorch"), "{choice:?}");
        assert!(python(Path::new("/bin/sh")).is_none());
    }
}
