//! Functions that are answered here, over any arguments and for every release that has other attributes: what was set is told, what is wrong is refused as cuBLASLt refuses it,
//! and nobody is asked.

#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "the test plays program and client core: its pointers are those of the call"
)]

#[path = "local/descriptors.rs"]
mod descriptors;
#[path = "local/helpers.rs"]
mod helpers;
#[path = "../../../tests/property/record.rs"]
mod property;
#[allow(dead_code, reason = "other libraries' tests need more of it")]
#[path = "../../../tests/property/session.rs"]
mod session;

use std::ffi::c_void;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use gvirtus_cublas_core::status::{INVALID_VALUE, NOT_INITIALIZED, NOT_SUPPORTED, SUCCESS};
use gvirtus_cublaslt_core::exports::*;
use gvirtus_wire::api::library::CUBLASLT_OPCODES;
use proptest::collection::vec;
use proptest::prelude::*;
use session::{FAILURE, alone, created, destroyed, sent};

/// The exports' major version and the box's, of which a process has one: each that brought attributes, the last first.
const RELEASES: [(u32, i32); 7] = [
    (13, 130_801),
    (13, 130_200),
    (13, 130_102),
    (13, 130_003),
    (12, 120_800),
    (12, 120_201),
    (12, 120_000),
];

/// Names this process's release by its place.
const RELEASE: &str = "GVIRTUS_TEST_RELEASE";

static OURS: LazyLock<(u32, i32)> = LazyLock::new(|| {
    let place = std::env::var(RELEASE).map_or(0, |place| place.parse().expect("a place"));
    RELEASES[place]
});

#[test]
fn every_release() {
    if std::env::var_os(RELEASE).is_some() {
        return;
    }
    let tests = std::env::current_exe().expect("the test's program");
    let start = |place: usize| {
        let mut command = Command::new(&tests);
        command.env(RELEASE, place.to_string());
        command.stdout(Stdio::piped()).spawn()
    };
    let others: Vec<_> = (1..RELEASES.len()).map(start).collect();
    for (release, other) in RELEASES[1..].iter().zip(others) {
        let other = other.expect("the test's program can be started");
        let output = other.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{release:?}: {said}");
        assert!(said.contains("test result: ok"), "{said}");
    }
}

fn begun() {
    let (major, version) = *OURS;
    set_major(major);
    session::begin(
        CUBLASLT_OPCODES.0,
        version,
        major,
        || {
            let mut out = 7u64;
            assert_eq!(cublasLtGetVersion(), 0);
            let asked = unsafe { cublasLtGetProperty(0, address(&mut out)) };
            assert_eq!((asked, out), (NOT_INITIALIZED, 7));
            let made = unsafe { cublasLtCreate(address(&mut out)) };
            assert_eq!((made, out), (NOT_INITIALIZED, 7));
        },
        || assert_eq!(cublasLtGetVersion(), version as usize),
    );
}

#[test]
fn record() {
    let names = descriptors::called().into_iter();
    property::record(
        "cublasLt_local",
        names.chain(helpers::CALLED.iter().copied()),
    );
}

fn address<T>(value: &mut T) -> *mut c_void {
    std::ptr::from_mut(value).cast()
}

const NULL: *mut c_void = std::ptr::null_mut();
