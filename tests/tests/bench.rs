//! `gvirtus bench`, as a user without a GPU runs it: on the CPU device, over every transport of this host.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use gvirtus_tests::backend::descendants;
use gvirtus_tests::{compiled, installation};
use serde_json::Value;

/// A directory with a driver that is not ours, as far as programs can tell: the CPU device, without a session.
fn native(directory: &Path) -> PathBuf {
    let libraries = directory.join("native");
    std::fs::create_dir(&libraries).expect("a directory");
    let driver = installation().join("lib/libgvirtus_cpu.so");
    std::os::unix::fs::symlink(driver, libraries.join("libcuda.so.1")).expect("a link");
    libraries
}

fn bench(arguments: &[&str], directory: &Path, program: Option<&Path>) -> (Output, Value) {
    let json = directory.join("bench.json");
    let mut command = Command::new(installation().join("bin/gvirtus"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("GVIRTUS_") {
            command.env_remove(name);
        }
    }
    command
        .args(["bench", "--quick", "--device", "cpu"])
        .args(arguments)
        .arg("--json")
        .arg(&json)
        .env("GVIRTUS_HOME", installation())
        .env("LD_LIBRARY_PATH", native(directory));
    if let Some(program) = program {
        command.arg("--").arg(program);
    }
    let output = command.output().expect("gvirtus starts");
    assert!(output.status.success(), "{output:?}");
    let text = std::fs::read_to_string(&json).expect("it wrote its figures");
    (output, serde_json::from_str(&text).expect("they are JSON"))
}

/// Every figure exists natively and for every transport, in the table, in the JSON and in the plots, and is a time or a rate that can be.
#[test]
fn all_figures_over_all_transports() {
    let directory = tempfile::tempdir().expect("a directory");
    let plots = directory.path().join("plots");
    let plots_text = plots.to_str().expect("a path");
    let (output, json) = bench(
        &[
            "--transports",
            "tcp,unix,shm",
            "--largest",
            "1MiB",
            "--plots",
            plots_text,
        ],
        directory.path(),
        None,
    );
    assert_eq!(
        json["subjects"],
        serde_json::json!(["native", "tcp", "unix", "shm"])
    );
    let figures = json["figures"].as_array().expect("a list");
    for figure in figures {
        let raw = figure["id"]
            .as_str()
            .is_some_and(|id| id.starts_with("raw"));
        for subject in ["native", "tcp", "unix", "shm"] {
            let sockets_only = figure["id"]
                .as_str()
                .is_some_and(|id| id.starts_with("raw_lanes"));
            if raw && subject == "native" || sockets_only && subject == "shm" {
                assert!(figure["median"][subject].is_null(), "{figure}");
                continue;
            }
            let median = figure["median"][subject].as_f64();
            assert!(median.is_some_and(|m| m > 0.0 && m.is_finite()), "{figure}");
        }
    }
    let has = |id: &str| figures.iter().filter(|figure| figure["id"] == id).count();
    for id in [
        "first_call",
        "launch_issue",
        "launch_each_60us",
        "launch_drained",
        "launch_sync",
        "d2h_16",
        "malloc_free",
        "malloc_free_drained",
        "event_timing",
        "graph_replay",
        "graph_replays",
        "overlap_both_ways",
        "overlap_kernel",
        "threads_8",
        "processes_8",
        "raw_ping",
        "raw_ping_spinning",
        "raw_up",
        "raw_down",
        "raw_lanes_up",
        "raw_lanes_down",
        "raw_lanes_up_cached",
        "raw_lanes_down_cached",
    ] {
        assert_eq!(has(id), 1, "{id}");
    }
    // 4 KiB to 1 MiB, each four times as large as the one before.
    for id in ["h2d_pageable", "h2d_pinned", "d2h_pageable", "d2h_pinned"] {
        assert_eq!(has(id), 5, "{id}");
    }
    let table = String::from_utf8_lossy(&output.stdout);
    assert!(
        table.contains("launch + stream synchronize") && table.contains("shm/native"),
        "{table}"
    );
    for plot in ["bandwidth.svg", "time.svg"] {
        let svg = std::fs::read_to_string(plots.join(plot)).expect("a plot");
        assert!(svg.contains("H2D from pinned memory"));
    }
}

/// A program's report counts its round trips right and names the function that waits.
#[test]
fn a_program() {
    let directory = tempfile::tempdir().expect("a directory");
    let program = compiled("launch_burst", 13).expect("the fixture compiles");
    let (output, json) = bench(
        &[
            "--no-native",
            "--transports",
            "tcp",
            "--rounds",
            "3",
            "--rtt",
            "0us,1ms,61ms",
        ],
        directory.path(),
        Some(&program),
    );
    let runs = json["runs"].as_array().expect("a list");
    assert_eq!(runs.len(), 3, "{json}");
    let far = &runs[2];
    let functions = far["stats"]["functions"].as_array().expect("a list");
    let sync = functions
        .iter()
        .find(|row| row["name"] == "cudaDeviceSynchronize")
        .expect("the program synchronizes");
    assert_eq!(sync["round_trips"], 1, "{sync}");
    assert!(
        sync["blocked_ns"].as_f64().expect("a number") > 60e6,
        "{sync}"
    );
    // The handshake's round trips are the clock's alone.
    let counted = far["stats"]["totals"]["round_trips"]
        .as_f64()
        .expect("a number");
    let clock = far["round_trips_by_clock"].as_f64().expect("a number");
    assert!(
        (counted - 2.0..counted + 8.0).contains(&clock),
        "the clock saw {clock}, {counted} were counted"
    );
    let table = String::from_utf8_lossy(&output.stdout);
    assert!(
        table.contains("tcp + 61ms") && table.contains("cudaDeviceSynchronize"),
        "{table}"
    );
}

/// What is asked for and cannot be had is said, with the exit code that the help names.
#[test]
fn refusals() {
    let run = |arguments: &[&str]| {
        let output = Command::new(installation().join("bin/gvirtus"))
            .arg("bench")
            .args(arguments)
            .env("GVIRTUS_HOME", installation())
            .output()
            .expect("gvirtus starts");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), text)
    };
    let (code, text) = run(&["--no-native", "--transports", "pigeon"]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("pigeon") && text.contains("tcp"), "{text}");
    let common = [
        "--no-native",
        "--quick",
        "--transports",
        "unix",
        "--device",
        "cpu",
        "--",
    ];
    let (code, text) = run(&[&common[..], &["false"]].concat());
    assert_eq!(code, Some(1), "{text}");
    let (code, text) = run(&[&common[..], &["true"]].concat());
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("no statistics"), "{text}");
}

/// A bench that is killed leaves no backend behind.
#[test]
fn nothing_is_left() {
    let mut bench = Command::new(installation().join("bin/gvirtus"))
        .args([
            "bench",
            "--no-native",
            "--transports",
            "unix",
            "--device",
            "cpu",
        ])
        .env("GVIRTUS_HOME", installation())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("gvirtus starts");
    let pid = i32::try_from(bench.id()).expect("a process id fits");
    let soon = |condition: &mut dyn FnMut() -> bool| {
        let began = Instant::now();
        while !condition() {
            assert!(began.elapsed() < Duration::from_secs(60), "waited too long");
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    // The backend and a worker of it.
    let mut started = Vec::new();
    soon(&mut || {
        started = descendants(pid);
        started.len() >= 2
    });
    bench.kill().expect("it can be killed");
    bench.wait().expect("it has ended");
    let alive = |pid: &i32| {
        std::fs::read_to_string(format!("/proc/{pid}/stat"))
            .is_ok_and(|stat| !stat.contains(") Z "))
    };
    soon(&mut || !started.iter().any(alive));
}
