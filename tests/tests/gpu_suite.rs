//! The GPU suite's own tests: its normalisers hide timings and nothing else.

use std::process::Command;

#[test]
fn normalisers_let_no_wrong_result_through() {
    let directory = xtask::sh::root().join("tests/gpu");
    let status = Command::new("python3")
        .args(["-B", "-m", "unittest", "--quiet", "test_suite"])
        .current_dir(directory)
        .status()
        .expect("python3 starts");
    assert!(status.success());
}
