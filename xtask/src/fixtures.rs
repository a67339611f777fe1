//! Compiles the CUDA programs of `tests/fixtures`.
//!
//! A fixture is one `.cu` file. Comment lines at its top direct whoever builds and runs it:
//!
//! * `// link: libcuda` – calls the driver API, so it is linked with `libcuda.so.1`
//! * `// compile: --default-stream=per-thread` – what else the compiler is told
//! * `// environment: NAME=VALUE …` – what it is run with
//! * `// round-trips: 4` – the most round trips that it may cost after setup
//! * `// waits: PATTERN …` – functions that wait in this program, though their class says that they do not; `*` stands for anything
//! * `// interactive` – reads its standard input; only particular tests run it
//! * `// opens libraries` – opens libraries of ours beyond the driver's by name, so it never has NVIDIA's runtime alone
//! * `// library level` – is about our runtime, so it never has NVIDIA's
//! * `// slow` – takes minutes to compile on a slow machine, so tests begin with it
//!
//! Beside it, `<name>.expected` (and `<name>.expected12` where CUDA 12 differs) holds what it prints.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::sh;
use crate::toolchain::Toolkit;

/// A fixture and what its comments direct.
#[derive(Debug, Clone)]
pub struct Fixture {
    /// The file's name without `.cu`.
    pub name: String,
    /// The source.
    pub source: PathBuf,
    /// Whether it calls the driver API.
    pub links_libcuda: bool,
    /// What else the compiler is told.
    pub flags: Vec<String>,
    /// Variables that it is run with.
    pub environment: Vec<(String, String)>,
    /// The most round trips that it may cost after setup.
    pub round_trips: Option<u64>,
    /// Functions that wait in this program, though their class says that they do not.
    pub waits: Vec<String>,
    /// Whether it needs someone at its standard input.
    pub interactive: bool,
    /// Whether it opens libraries of ours beyond the driver's by name.
    pub opens_libraries: bool,
    /// Whether it is about our runtime and never has NVIDIA's.
    pub library_level: bool,
    /// Whether tests had better begin with it.
    pub slow: bool,
}

impl Fixture {
    /// What it must print when built with that CUDA, if that is known.
    pub fn expected(&self, cuda_major: u32) -> Option<String> {
        let general = self.source.with_extension("expected");
        let special = self.source.with_extension(format!("expected{cuda_major}"));
        std::fs::read_to_string(special)
            .or_else(|_| std::fs::read_to_string(general))
            .ok()
    }
}

/// Where the fixtures are.
pub fn directory() -> PathBuf {
    sh::root().join("tests/fixtures")
}

/// All fixtures by name.
pub fn all() -> Result<BTreeMap<String, Fixture>> {
    let mut fixtures = BTreeMap::new();
    for entry in std::fs::read_dir(directory())? {
        let source = entry?.path();
        if source.extension().is_none_or(|extension| extension != "cu") {
            continue;
        }
        let text = std::fs::read_to_string(&source)?;
        let directive = |key: &str| {
            text.lines()
                .take_while(|line| line.starts_with("//"))
                .find_map(|line| line.strip_prefix("// ")?.strip_prefix(key))
        };
        let words = |key: &str| {
            let words = directive(key).unwrap_or_default().split_whitespace();
            words.map(str::to_owned).collect()
        };
        let name = source
            .file_stem()
            .expect("a .cu file has a stem")
            .to_string_lossy()
            .into_owned();
        let round_trips = directive("round-trips: ")
            .map(|number| number.trim().parse())
            .transpose()
            .with_context(|| format!("{}: round-trips", source.display()))?;
        let environment = directive("environment: ").unwrap_or_default();
        let environment = environment.split_whitespace().map(|setting| {
            let (name, value) = setting
                .split_once('=')
                .with_context(|| format!("{}: environment", source.display()))?;
            Ok((name.to_owned(), value.to_owned()))
        });
        let environment = environment.collect::<Result<_>>()?;
        fixtures.insert(
            name.clone(),
            Fixture {
                name,
                links_libcuda: directive("link: libcuda").is_some(),
                flags: words("compile: "),
                waits: words("waits: "),
                environment,
                round_trips,
                interactive: directive("interactive").is_some(),
                opens_libraries: directive("opens libraries").is_some(),
                library_level: directive("library level").is_some(),
                slow: directive("slow").is_some(),
                source,
            },
        );
    }
    Ok(fixtures)
}

/// Compiles one fixture (for the CPU device: as PTX alone) unless the program is newer than its source; returns the program.
///
/// `variant` names a different set of `flags`, so that its programs lie apart.
pub fn build(
    fixture: &Fixture,
    toolkit: &Toolkit,
    home: &Path,
    variant: &str,
    flags: &[&str],
) -> Result<PathBuf> {
    make(fixture, toolkit, home, variant, flags, "", toolkit.nvcc())
}

/// As [`build`], with NVIDIA's runtime linked into the program, which is nvcc's default.
pub fn build_static(fixture: &Fixture, toolkit: &Toolkit, home: &Path) -> Result<PathBuf> {
    let linker = toolkit.nvcc_static()?;
    make(fixture, toolkit, home, "", &[], "-static", linker)
}

/// Compiles and links what is out of date. Which runtime the `linker` takes makes no difference to the compiler, so `linkage` names programs of one object file.
fn make(
    fixture: &Fixture,
    toolkit: &Toolkit,
    home: &Path,
    variant: &str,
    flags: &[&str],
    linkage: &str,
    mut linker: Command,
) -> Result<PathBuf> {
    let out = |kind: &str| -> Result<PathBuf> {
        let out = sh::target_dir()
            .join("fixtures")
            .join(format!("cuda{}{variant}{kind}", toolkit.major));
        sh::mkdir(&out)?;
        Ok(out)
    };
    let program = out(linkage)?.join(&fixture.name);
    let object = out("-objects")?.join(format!("{}.o", fixture.name));
    let lock = std::fs::File::create(object.with_extension("lock"))?;
    lock.lock()?;
    let mut read = BTreeSet::from([toolkit.nvcc.clone()]);
    collect_sources(&fixture.source, &mut read);
    if is_older(&object, &read) {
        sh::output(
            toolkit
                .nvcc()
                .args(FLAGS)
                .args(&fixture.flags)
                .args(flags)
                .arg("-c")
                .arg(&fixture.source)
                .arg("-o")
                .arg(&object),
        )?;
    }
    if is_older(&program, &BTreeSet::from([object.clone()])) {
        linker.args(FLAGS).args(&fixture.flags).args(flags);
        linker.arg(&object).arg("-o").arg(&program);
        if fixture.links_libcuda {
            linker
                .arg("-L")
                .arg(home.join("lib"))
                .arg("-l:libcuda.so.1");
            // Our libcuda.so.1 needs libgvirtus.so, which its own directory has; the linker would look for it.
            linker.arg("-Xlinker=--allow-shlib-undefined");
        }
        sh::output(&mut linker)?;
    }
    Ok(program)
}

/// What every fixture is compiled with.
const FLAGS: [&str; 3] = [
    "-std=c++17",
    "-arch=compute_75",
    "-Wno-deprecated-gpu-targets",
];

/// A source and what it includes of the fixtures' directory.
fn collect_sources(source: &Path, found: &mut BTreeSet<PathBuf>) {
    if !found.insert(source.to_path_buf()) {
        return;
    }
    let text = std::fs::read_to_string(source).unwrap_or_default();
    let included = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("#include \"")?.split('"').next());
    for name in included {
        collect_sources(&source.with_file_name(name), found);
    }
}

/// Whether a file is not there, or not newer than all of these.
fn is_older(file: &Path, than: &BTreeSet<PathBuf>) -> bool {
    let modified = |path: &Path| path.metadata().and_then(|meta| meta.modified()).ok();
    let newest = than.iter().filter_map(|path| modified(path)).max();
    modified(file).is_none_or(|made| Some(made) <= newest)
}

/// The compiler with its fixed arguments, as one line for scripts.
pub fn nvcc_line(command: &Command) -> Result<String> {
    let mut line = command.get_program().to_string_lossy().into_owned();
    for arg in command.get_args() {
        let arg = arg.to_string_lossy();
        if arg.contains(char::is_whitespace) {
            bail!("a path of the CUDA toolkit contains a blank: {arg}");
        }
        line.push(' ');
        line.push_str(&arg);
    }
    Ok(line)
}
