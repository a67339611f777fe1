//! Programs beside one another, and what happens to the others when a program, a worker or the daemon ends badly.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use gvirtus_tests::backend::{Backend, Transport, signal};
use gvirtus_tests::{compiled, program};

/// `long_lived`, ready to be asked.
struct LongLived {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl LongLived {
    fn start(backend: &Backend) -> LongLived {
        let path = compiled("long_lived", 13).expect("the fixture compiles");
        let mut child = program::command(&path, backend.client_config())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Sessions are lost here on purpose, and say so.
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let mut program = LongLived {
            input: child.stdin.take().expect("piped"),
            output: BufReader::new(child.stdout.take().expect("piped")),
            child,
        };
        assert_eq!(program.line(), "ready");
        program
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output
            .read_line(&mut line)
            .expect("the program's output can be read");
        line.trim_end().to_owned()
    }

    /// Has it launch a kernel; returns its answer.
    fn ask(&mut self) -> String {
        let _ = self.input.write_all(b"\n");
        self.line()
    }

    fn wait(mut self) -> std::process::ExitStatus {
        drop(self.input);
        self.child.wait().expect("the program ends")
    }
}

fn eventually(what: &str, within: Duration, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + within;
    while !holds() {
        assert!(Instant::now() < deadline, "not within {within:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn two_programs_at_once() {
    let backend = Backend::start(Transport::Tcp).expect("a backend starts");
    let mut one = LongLived::start(&backend);
    let mut two = LongLived::start(&backend);
    for round in 1..=20 {
        assert_eq!(one.ask(), round.to_string());
        if round % 2 == 0 {
            assert_eq!(two.ask(), (round / 2).to_string());
        }
    }
    assert!(one.wait().success());
    assert_eq!(two.ask(), "11");
    assert!(two.wait().success());
}

#[test]
fn a_fault_ends_only_its_own_session() {
    let backend = Backend::start(Transport::Unix).expect("a backend starts");
    let mut beside = LongLived::start(&backend);
    let fault = compiled("sticky_fault", 13).expect("the fixture compiles");
    for round in 1..=3 {
        let outcome = program::run(&fault, &backend).expect("the program can be started");
        assert!(
            outcome.stdout.contains("cudaErrorIllegalAddress"),
            "{outcome:?}"
        );
        assert_eq!(beside.ask(), round.to_string());
    }
    let add = compiled("vector_add", 13).expect("the fixture compiles");
    let outcome = program::run(&add, &backend).expect("the program can be started");
    assert!(outcome.succeeded(), "{outcome:?}");
    assert!(beside.wait().success());
}

#[test]
fn a_killed_client_frees_its_worker() {
    for transport in [Transport::Tcp, Transport::Shm] {
        let backend = Backend::start(transport).expect("a backend starts");
        for _ in 0..5 {
            let before = backend.workers();
            let program = LongLived::start(&backend);
            let mut during = Vec::new();
            eventually("the session has a worker", Duration::from_secs(10), || {
                during = backend.workers();
                !during.is_empty()
            });
            signal(
                i32::try_from(program.child.id()).expect("fits"),
                libc::SIGKILL,
            );
            let _ = program.wait();
            // One of the workers that were there, warm or new, served the program and must go.
            eventually(
                "the worker of a killed client ends",
                Duration::from_secs(1),
                || {
                    let now = backend.workers();
                    before.iter().chain(&during).any(|pid| !now.contains(pid))
                },
            );
        }
        let mut next = LongLived::start(&backend);
        assert_eq!(next.ask(), "1");
    }
}

#[test]
fn a_killed_worker_gives_its_client_an_error() {
    for transport in [Transport::Unix, Transport::Shm] {
        let mut backend = Backend::start(transport).expect("a backend starts");
        for _ in 0..5 {
            let mut program = LongLived::start(&backend);
            assert_eq!(program.ask(), "1");
            for worker in backend.workers() {
                signal(worker, libc::SIGKILL);
            }
            let answer = program.ask();
            assert!(
                answer.starts_with("cudaError"),
                "the program got {answer:?}"
            );
            assert_eq!(program.wait().code(), Some(7));
            assert!(backend.is_running(), "{}", backend.log());
        }
        let mut next = LongLived::start(&backend);
        assert_eq!(next.ask(), "1");
        assert!(next.wait().success());
    }
}

/// Kills by turns a client and a worker, a hundred times in all; the daemon goes on and leaks neither processes nor descriptors.
#[test]
fn the_daemon_survives_a_hundred_deaths() {
    let mut backend = Backend::start(Transport::Tcp).expect("a backend starts");
    let descriptors = |pid: i32| {
        std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, |entries| entries.count())
    };
    let mut at_first = 0;
    for round in 0..100 {
        let mut program = LongLived::start(&backend);
        if round % 2 == 0 {
            signal(
                i32::try_from(program.child.id()).expect("fits"),
                libc::SIGKILL,
            );
        } else {
            for worker in backend.workers() {
                signal(worker, libc::SIGKILL);
            }
            let answer = program.ask();
            assert!(answer.starts_with("cudaError"), "round {round}: {answer:?}");
        }
        let _ = program.wait();
        assert!(backend.is_running(), "round {round}: {}", backend.log());
        if round == 20 {
            at_first = descriptors(backend.pid());
        }
    }
    eventually(
        "the sessions' descriptors are closed",
        Duration::from_secs(5),
        || descriptors(backend.pid()) <= at_first + 8,
    );
    eventually(
        "the sessions' workers have ended",
        Duration::from_secs(5),
        || backend.workers().len() <= 4,
    );
}

#[test]
fn the_backend_stops_when_asked() {
    let mut backend = Backend::start(Transport::Unix).expect("a backend starts");
    let add = compiled("vector_add", 13).expect("the fixture compiles");
    assert!(
        program::run(&add, &backend)
            .expect("it can be started")
            .succeeded()
    );
    let workers = backend.workers();
    let status = backend.stop().expect("the backend stops");
    assert!(status.success(), "{status}: {}", backend.log());
    // A worker learns of its daemon's end from their connection: it goes a moment later.
    let patience = std::time::Instant::now();
    for worker in workers {
        while std::path::Path::new(&format!("/proc/{worker}/exe")).exists() {
            assert!(
                patience.elapsed() < std::time::Duration::from_secs(5),
                "worker {worker} outlives its daemon"
            );
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}
