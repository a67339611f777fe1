//! `gvirtus run` chooses by itself which of our libraries a program gets, and says why.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use gvirtus_tests::backend::{Backend, Transport};
use gvirtus_tests::program::{self, Outcome};
use gvirtus_tests::{compiled, compiled_static, compiled_with, fixture, installation};

/// `gvirtus run -v … -- words`.
fn run(
    backend: &Backend,
    options: &[&str],
    words: &[&str],
    adapt: impl FnOnce(&mut Command),
) -> Outcome {
    let mut command =
        program::command(&installation().join("bin/gvirtus"), backend.client_config());
    command
        .env_remove("LD_LIBRARY_PATH")
        .arg("run")
        .arg("-v")
        .args(options)
        .arg("--")
        .args(words);
    adapt(&mut command);
    program::wait(&mut command).expect("the program can be started")
}

fn level(outcome: &Outcome) -> &str {
    let line = outcome
        .stderr
        .lines()
        .find_map(|line| line.strip_prefix("gvirtus: level "));
    line.unwrap_or_else(|| panic!("no level is said:\n{}", outcome.stderr))
}

fn text(path: &Path) -> &str {
    path.to_str().expect("the tests' paths are text")
}

fn script(directory: &Path, name: &str, content: &str) -> PathBuf {
    let path = directory.join(name);
    std::fs::write(&path, content).expect("a script can be written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))
        .expect("it can be made executable");
    path
}

#[test]
fn by_what_a_program_links() {
    let backend = Backend::start(Transport::Unix).expect("a backend starts");
    let expected = fixture("vector_add").expected(13).expect("it is recorded");

    let shared = compiled("vector_add", 13).expect("the fixture compiles");
    let outcome = run(&backend, &[], &[text(&shared)], |_| {});
    assert_eq!(
        (level(&outcome), outcome.stdout.as_str()),
        ("library", expected.as_str()),
        "{}",
        outcome.stderr
    );
    assert!(
        outcome.stderr.contains("libcudart.so.13 (for"),
        "{}",
        outcome.stderr
    );

    let linked_in = compiled_static("vector_add", 13).expect("the fixture compiles");
    let outcome = run(&backend, &[], &[text(&linked_in)], |_| {});
    assert_eq!(
        (level(&outcome), outcome.stdout.as_str()),
        ("driver", expected.as_str()),
        "{}",
        outcome.stderr
    );
    assert!(
        outcome
            .stderr
            .contains("has the CUDA runtime linked into it"),
        "{}",
        outcome.stderr
    );
    assert!(
        outcome.stderr.contains("lib/driver\n"),
        "{}",
        outcome.stderr
    );

    // What is asked for counts.
    let outcome = run(
        &backend,
        &["--level", "library"],
        &[text(&linked_in)],
        |_| {},
    );
    assert_eq!(
        (level(&outcome), outcome.stdout.as_str()),
        ("library", expected.as_str()),
        "{}",
        outcome.stderr
    );
    // At the driver level a program finds no runtime of ours: the loader says so.
    let outcome = run(&backend, &["--level", "driver"], &[text(&shared)], |_| {});
    assert_eq!(level(&outcome), "driver");
    assert!(
        !outcome.succeeded() && outcome.stderr.contains("libcudart.so.13"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn scripts_and_what_they_start() {
    let backend = Backend::start(Transport::Unix).expect("a backend starts");
    let expected = fixture("vector_add").expected(13).expect("it is recorded");
    let directory = tempfile::tempdir().expect("a directory can be made");
    let shared = compiled("vector_add", 13).expect("the fixture compiles");
    let linked_in = compiled_static("vector_add", 13).expect("the fixture compiles");
    // Programs that are started by a program are served like it.
    let both = format!(
        "#!/bin/sh\n{} && exec {}\n",
        shared.display(),
        linked_in.display()
    );
    let outcome = run(
        &backend,
        &[],
        &[text(&script(directory.path(), "both", &both))],
        |_| {},
    );
    assert_eq!(level(&outcome), "library");
    assert_eq!(
        outcome.stdout,
        format!("{expected}{expected}"),
        "{}",
        outcome.stderr
    );
    // One that forks.
    let forks = compiled_static("fork_after_init", 13).expect("the fixture compiles");
    let outcome = run(&backend, &[], &[text(&forks)], |_| {});
    assert_eq!(level(&outcome), "driver");
    assert_eq!(
        outcome.stdout,
        fixture("fork_after_init")
            .expected(13)
            .expect("it is recorded"),
        "{}",
        outcome.stderr
    );
    // One whose interpreter is missing cannot be helped.
    let outcome = run(
        &backend,
        &[],
        &[text(&script(
            directory.path(),
            "lost",
            "#!/no/such/python\n",
        ))],
        |_| {},
    );
    assert!(
        !outcome.succeeded() && outcome.stderr.contains("/no/such/python"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn python_by_what_its_packages_bring() {
    const PROGRAM: &str = "import ctypes\nn = ctypes.c_int()\ncuda = ctypes.CDLL('libcuda.so.1')\nprint(cuda.cuInit(0), cuda.cuDeviceGetCount(ctypes.byref(n)), n.value)\n";
    let found = Command::new("sh")
        .args(["-c", "command -v python3"])
        .output()
        .expect("sh runs");
    let python = String::from_utf8_lossy(&found.stdout).trim().to_owned();
    assert!(
        !python.is_empty(),
        "python3 is part of the toolchain: the CUDA compilers are fetched by it"
    );
    let backend = Backend::start(Transport::Unix).expect("a backend starts");
    let directory = tempfile::tempdir().expect("a directory can be made");
    let packages = directory.path().join("packages");
    std::fs::create_dir_all(packages.join("nvidia/cu13/lib")).expect("a directory can be made");
    let path = script(
        directory.path(),
        "program",
        &format!("#!/usr/bin/env python3\n{PROGRAM}"),
    );
    let outcome = run(&backend, &[], &[text(&path)], |command| {
        command.env("PYTHONPATH", &packages);
    });
    assert_eq!(
        (level(&outcome), outcome.stdout.as_str()),
        ("driver", "0 0 1\n"),
        "{}",
        outcome.stderr
    );
    assert!(
        outcome.stderr.contains("packages/nvidia"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn what_this_host_cannot_run() {
    let backend = Backend::start(Transport::Unix).expect("a backend starts");
    let directory = tempfile::tempdir().expect("a directory can be made");
    // A program like any other, but for another processor.
    let program = std::fs::read("/bin/sh").expect("there is a shell");
    let mut foreign = program.clone();
    foreign[18..20].copy_from_slice(&243_u16.to_le_bytes());
    let path = directory.path().join("foreign");
    std::fs::write(&path, foreign).expect("a file can be written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))
        .expect("it can be made executable");
    let outcome = run(&backend, &[], &[text(&path)], |_| {});
    assert!(
        !outcome.succeeded() && outcome.stderr.contains("another kind of processor"),
        "{}",
        outcome.stderr
    );
}

/// At the library level ours are taken wherever another of the name would be found: by an RPATH, which comes before `LD_LIBRARY_PATH`, or by a full path.
#[test]
fn libraries_by_rpath_and_by_path_are_ours() {
    let backend = Backend::start(Transport::Unix).expect("a backend starts");
    let expected = fixture("vector_add").expected(13).expect("it is recorded");
    // What stands there can be told from ours: the loader refuses it.
    let decoys = installation().with_extension("decoys");
    std::fs::create_dir_all(&decoys).expect("a directory can be made");
    for name in ["libcudart.so.13", "libcublas.so.13.1.0.3"] {
        std::fs::write(decoys.join(name), "").expect("a file can be written");
    }
    let rpath = format!("-Xlinker=-rpath={}", decoys.display());
    let program = compiled_with(
        "vector_add",
        13,
        "-rpath",
        &["-Xlinker=--disable-new-dtags", &rpath],
    )
    .expect("the fixture compiles");
    let outcome = run(&backend, &["--level", "driver"], &[text(&program)], |_| {});
    assert!(
        !outcome.succeeded() && outcome.stderr.contains("file too short"),
        "the RPATH leads nowhere: {}",
        outcome.stderr
    );
    let outcome = run(
        &backend,
        &["--level", "library"],
        &[text(&program)],
        |command| {
            command.env("LD_AUDIT", "");
        },
    );
    assert_eq!(outcome.stdout, expected, "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("LD_AUDIT=/") && !outcome.stderr.contains("audit.so:"),
        "{}",
        outcome.stderr
    );

    let opens = format!(
        "import ctypes\nblas = ctypes.CDLL('{}')\nversion = ctypes.c_int()\nprint(blas.cublasGetVersion_v2(None, ctypes.byref(version)))\nprint('{}' in open('/proc/self/maps').read())\n",
        decoys.join("libcublas.so.13.1.0.3").display(),
        installation().join("lib/libcublas.so.13").display(),
    );
    let outcome = run(
        &backend,
        &["--level", "library"],
        &["python3", "-c", &opens],
        |_| {},
    );
    assert!(
        outcome.stdout.ends_with("\nTrue\n"),
        "{}\n{}",
        outcome.stdout,
        outcome.stderr
    );
}
