//! Compiles the CUDA programs of `tests/fixtures`.
//!
//! A fixture is one `.cu` file. Comment lines at its top direct whoever builds and runs it:
//!
//! * `// link: libcuda` – calls the driver API, so it is linked with `libcuda.so.1`
//! * `// round-trips: 4` – the most round trips that it may cost after setup
//! * `// interactive` – reads its standard input; only particular tests run it
//!
//! Beside it, `<name>.expected` (and `<name>.expected12` where CUDA 12 differs) holds what it prints.

use std::collections::BTreeMap;
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
    /// The most round trips that it may cost after setup.
    pub round_trips: Option<u64>,
    /// Whether it needs someone at its standard input.
    pub interactive: bool,
    /// It opens libraries of ours beyond the driver's by name: `// opens libraries` among its first lines.
    pub opens_libraries: bool,
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
        let name = source
            .file_stem()
            .expect("a .cu file has a stem")
            .to_string_lossy()
            .into_owned();
        let round_trips = directive("round-trips: ")
            .map(|number| number.trim().parse())
            .transpose()
            .with_context(|| format!("{}: round-trips", source.display()))?;
        fixtures.insert(
            name.clone(),
            Fixture {
                name,
                links_libcuda: directive("link: libcuda").is_some(),
                round_trips,
                interactive: directive("interactive").is_some(),
                opens_libraries: directive("opens libraries").is_some(),
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
    let mut nvcc = toolkit.nvcc();
    nvcc.args(flags);
    compile(fixture, toolkit, home, variant, nvcc)
}

/// As [`build`], with NVIDIA's runtime linked into the program, which is nvcc's default.
pub fn build_static(fixture: &Fixture, toolkit: &Toolkit, home: &Path) -> Result<PathBuf> {
    compile(fixture, toolkit, home, "-static", toolkit.nvcc_static()?)
}

fn compile(
    fixture: &Fixture,
    toolkit: &Toolkit,
    home: &Path,
    variant: &str,
    mut nvcc: Command,
) -> Result<PathBuf> {
    let out = sh::target_dir()
        .join("fixtures")
        .join(format!("cuda{}{variant}", toolkit.major));
    sh::mkdir(&out)?;
    let program = out.join(&fixture.name);
    let lock = std::fs::File::create(out.join(format!("{}.lock", fixture.name)))?;
    lock.lock()?;
    // Fixtures include headers, and one another.
    let newest = std::fs::read_dir(directory())
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .chain([toolkit.nvcc.clone()])
        .filter(|path| path.extension().is_none_or(|e| e != "expected"))
        .filter_map(|path| path.metadata().ok()?.modified().ok())
        .max();
    let built = program.metadata().and_then(|meta| meta.modified()).ok();
    if built.is_some() && built > newest {
        return Ok(program);
    }
    nvcc.args([
        "-std=c++17",
        "-arch=compute_75",
        "-Wno-deprecated-gpu-targets",
    ])
    .arg(&fixture.source)
    .arg("-o")
    .arg(&program);
    if fixture.links_libcuda {
        nvcc.arg("-L").arg(home.join("lib")).arg("-l:libcuda.so.1");
        // Our libcuda.so.1 needs libgvirtus.so, which its own directory has; the linker would look for it.
        nvcc.arg("-Xlinker=--allow-shlib-undefined");
    }
    sh::output(&mut nvcc)?;
    Ok(program)
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
