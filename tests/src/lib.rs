//! End-to-end tests: what a user does.
//!
//! Real CUDA programs, compiled by nvcc from `tests/fixtures`, run through the frontends against a backend that this crate starts. Nothing here looks inside:
//! what counts is what a program prints, how it ends, and what `GVIRTUS_STATS` says that it cost.
//!
//! # Layout
//! * [`installation`], [`fixture`] – what is tested and what it runs, built on first use
//! * [`backend`] – a daemon of one's own, on a free port or socket
//! * [`classes`] – what a function's class promises
//! * [`demand`] – a program that does what a test tells it
//! * [`program`] – running a program through the frontends, and what came of it
//! * [`suite`] – a test for each fixture

pub mod backend;
pub mod classes;
pub mod demand;
pub mod program;
pub mod suite;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Context, Result};
use xtask::fixtures::{self, Fixture};
use xtask::home::{self, Profile};
use xtask::toolchain::Toolkit;

/// The installation under test: `GVIRTUS_TEST_HOME`, or what this source builds.
pub fn installation() -> &'static Path {
    static HOME: OnceLock<PathBuf> = OnceLock::new();
    HOME.get_or_init(|| match std::env::var_os("GVIRTUS_TEST_HOME") {
        Some(home) => home.into(),
        None => home::install_home(Profile::Dev).expect("the project can be built and installed"),
    })
}

/// The CUDA compiler of that major version.
pub fn toolkit(major: u32) -> &'static Toolkit {
    static TOOLKITS: [OnceLock<Toolkit>; 2] = [OnceLock::new(), OnceLock::new()];
    TOOLKITS[usize::from(major == 13)].get_or_init(|| {
        Toolkit::find(major).expect("a CUDA toolkit is installed or can be fetched")
    })
}

/// The fixture of that name.
pub fn fixture(name: &str) -> &'static Fixture {
    static FIXTURES: OnceLock<BTreeMap<String, Fixture>> = OnceLock::new();
    FIXTURES
        .get_or_init(|| fixtures::all().expect("the fixtures can be read"))
        .get(name)
        .unwrap_or_else(|| panic!("there is no fixture {name}"))
}

/// The fixture's program, compiled with that CUDA.
pub fn compiled(name: &str, cuda_major: u32) -> Result<PathBuf> {
    compiled_with(name, cuda_major, "", &[])
}

/// The fixture's program, compiled with that CUDA and further flags; `variant` names the set of flags.
pub fn compiled_with(
    name: &str,
    cuda_major: u32,
    variant: &str,
    flags: &[&str],
) -> Result<PathBuf> {
    fixtures::build(
        fixture(name),
        toolkit(cuda_major),
        installation(),
        variant,
        flags,
    )
    .with_context(|| format!("cannot compile {name} with CUDA {cuda_major}"))
}

/// The fixture's program as nvcc links it by default, with NVIDIA's runtime in it.
pub fn compiled_static(name: &str, cuda_major: u32) -> Result<PathBuf> {
    fixtures::build_static(fixture(name), toolkit(cuda_major), installation())
        .with_context(|| format!("cannot compile {name} with CUDA {cuda_major}"))
}
