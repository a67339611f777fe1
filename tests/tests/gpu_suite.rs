//! The GPU suite's own tests: its normalisers hide timings and nothing else, and it tells programs that are right from programs that are not.

use std::path::Path;
use std::process::Command;

use gvirtus_tests::{installation, toolkit};
use serde_json::Value;
use xtask::{fixtures, sh};

#[test]
fn normalisers_let_no_wrong_result_through() {
    let directory = sh::root().join("tests/gpu");
    let status = Command::new("python3")
        .args(["-B", "-m", "unittest", "--quiet", "test_suite"])
        .current_dir(directory)
        .status()
        .expect("python3 starts");
    assert!(status.success());
}

/// On the CPU device, at both levels: a program that is right, and one of which something else is expected than what it prints.
#[test]
fn the_suite_runs_and_judges_programs() {
    let work = Path::new(env!("CARGO_TARGET_TMPDIR")).join("gpu_suite");
    let given = work.join("fixtures");
    sh::remove(&work).expect("an empty directory");
    for (from, to) in [
        ("check.h", "check.h"),
        ("vector_add.cu", "vector_add.cu"),
        ("vector_add.expected", "vector_add.expected"),
        ("vector_add.cu", "spoiled.cu"),
    ] {
        sh::install(&fixtures::directory().join(from), &given.join(to)).expect("a file is copied");
    }
    std::fs::write(given.join("spoiled.expected"), "something else\n").expect("a file is written");
    let nvcc = toolkit(13).nvcc_static().expect("the static runtime");
    let status = Command::new("python3")
        .arg("-B")
        .arg(sh::root().join("tests/gpu/run.py"))
        .args(["--device", "cpu", "--level", "both", "--transports", "unix"])
        .args(["--kinds", "fixture", "--limit", "100"])
        .arg("--nvcc")
        .arg(fixtures::nvcc_line(&nvcc).expect("paths without blanks"))
        .arg("--home")
        .arg(installation())
        .arg("--fixtures")
        .arg(&given)
        .arg("--samples")
        .arg(&work)
        .arg("--out")
        .arg(&work)
        .status()
        .expect("python3 starts");
    assert_eq!(status.code(), Some(1), "what differs fails the run");
    let text = std::fs::read_to_string(work.join("results.json")).expect("results");
    let results: Value = serde_json::from_str(&text).expect("JSON");
    let mut outcomes: Vec<_> = results["cases"]
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| ["case", "level", "outcome"].map(|field| row[field].as_str().unwrap_or("?")))
        .collect();
    outcomes.sort_unstable();
    assert_eq!(
        outcomes,
        [
            ["spoiled", "driver", "DIFFERS"],
            ["spoiled", "library", "DIFFERS"],
            ["vector_add", "driver", "equal"],
            ["vector_add", "library", "equal"],
        ],
        "{text}"
    );
    assert!(
        results["functions"]["cuLaunchKernel"].is_object(),
        "functions that a right program calls are on record"
    );
}
