//! What the CPU device says of a fault, as a user sees it: the error at the call, and on the program's standard error where it was. On a GPU, some of these programs would not end.

use gvirtus_tests::backend::{Backend, Transport};
use gvirtus_tests::{compiled_with, fixture, program};
use serde_json::json;

/// A fault of the fixture `faults`: the error that all calls return, how the fault is named, the kernel, and what else is said.
const FAULTS: &[(&str, &str, &str, &[&str])] = &[
    (
        "write_beyond",
        "cudaErrorIllegalAddress",
        "IllegalAddress",
        &["block [0, 0, 0], thread [5, 0, 0], address 0x"],
    ),
    (
        "read_beyond",
        "cudaErrorIllegalAddress",
        "IllegalAddress",
        &["block [0, 0, 0], thread [0, 0, 0], address 0x"],
    ),
    (
        "add_beyond",
        "cudaErrorIllegalAddress",
        "IllegalAddress",
        &[
            "device_atomic_functions.hpp:",
            " inlined at ",
            "thread [0, 0, 0], address 0x",
        ],
    ),
    (
        "misaligned",
        "cudaErrorMisalignedAddress",
        "MisalignedAddress",
        &["thread [1, 0, 0], address 0x"],
    ),
    (
        "trap",
        "cudaErrorLaunchFailure",
        "Trap",
        &["thread [0, 0, 0]"],
    ),
    (
        "failed_assert",
        "cudaErrorAssert",
        "Assert",
        &[
            "Assertion `data[threadIdx.x] != 0` failed.",
            "thread: [31,0,0]",
        ],
    ),
    (
        "endless",
        "cudaErrorLaunchTimeout",
        "Timeout",
        &["block [0, 0, 0]"],
    ),
    (
        "deadlock",
        "cudaErrorLaunchFailure",
        "LaunchFailed",
        &["32 threads of the block wait at barrier 1, 64 have not ended: it can never complete"],
    ),
    (
        "recursion",
        "cudaErrorLaunchFailure",
        "LaunchFailed",
        &["thread [0, 0, 0]: its stack of ", " bytes is full"],
    ),
];

/// The line of the source that is marked as a fault's.
fn line_of(name: &str) -> usize {
    let source = std::fs::read_to_string(&fixture("faults").source).unwrap();
    let mark = format!("// fault: {name}");
    let at = source.lines().position(|line| line.ends_with(&mark));
    at.expect("the fault's line is marked") + 1
}

#[test]
fn every_fault_is_told_at_the_call_and_with_its_place() {
    let program = compiled_with("faults", 13, "-lines", &["-lineinfo"]).unwrap();
    let environment = [("GVIRTUS_CPU_LIMIT", "2")];
    let backend = Backend::start_in(Transport::Unix, &json!({}), &environment).unwrap();
    for (name, error, kind, said) in FAULTS {
        let outcome = program::run_with(&program, &backend, |command| {
            command.arg(name);
        })
        .unwrap();
        let (stdout, stderr) = (&outcome.stdout, &outcome.stderr);
        assert!(
            outcome.status.is_some_and(|status| status.success()),
            "{name}: {:?}\n{stdout}\n{stderr}",
            outcome.status
        );
        // Every call that the program shows returns the same error.
        let wrong: Vec<&str> = stdout
            .lines()
            .filter(|line| !line.ends_with(&format!(": {error}")))
            .collect();
        assert!(
            wrong.is_empty() && stdout.lines().count() == 6,
            "{name}:\n{stdout}\n{stderr}"
        );
        let line = line_of(name);
        let place = format!("faults.cu:{line}), ");
        let told = stderr
            .lines()
            .find(|text| text.contains(&format!("{kind} in ")));
        assert!(
            told.is_some_and(|text| text.contains(name) && text.contains("(PTX line ")),
            "{name}: nothing is said:\n{stderr}"
        );
        // A kernel that does not end is somewhere in its loop.
        if *name != "endless" && *name != "recursion" {
            assert!(
                told.is_some_and(|text| text.contains(&place)),
                "{place}{told:?}"
            );
        }
        for text in *said {
            assert!(
                stderr.contains(text),
                "{name}: {text} is not said:\n{stderr}"
            );
        }
    }
}
