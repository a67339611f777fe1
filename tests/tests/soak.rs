//! Cost grows with work alone: nothing that works for long grows, and nothing that is idle works. `cargo nextest run -p gvirtus-tests --run-ignored all soak`.
//!
//! `GVIRTUS_SOAK` multiplies the amounts (0.01 for a glance; 1, the default, is what the project promises).

use std::time::Duration;

use gvirtus_tests::backend::{Backend, Transport};
use gvirtus_tests::demand::OnDemand;
use gvirtus_tests::{compiled, program};

const LONG: Duration = Duration::from_secs(1800);
/// What counts as growth: an allocator's and a thread pool's moods are below.
const NOTHING: i64 = 6 << 20;

fn amount(n: u32) -> u32 {
    let factor = std::env::var("GVIRTUS_SOAK").map_or(1.0, |text| text.parse().expect("a number"));
    ((f64::from(n) * factor) as u32).max(10)
}

/// Resident bytes of a process.
fn resident(pid: i32) -> i64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: i64 = line
        .and_then(|line| line.trim().strip_suffix("kB"))
        .and_then(|number| number.trim().parse().ok())
        .expect("a number of kB");
    kib << 10
}

/// Processor time of a process so far, in ticks of 10 ms.
fn ticks(pid: i32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let after_name = stat.rsplit(')').next().expect("a name");
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    fields[11].parse::<u64>().expect("utime") + fields[12].parse::<u64>().expect("stime")
}

fn descriptors(pid: i32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, |entries| entries.count())
}

/// Everybody who has a part in a session: program, daemon, workers.
fn everybody(program: &OnDemand, backend: &Backend) -> Vec<i32> {
    let mut all = vec![program.pid(), backend.pid()];
    all.extend(backend.workers());
    all
}

/// Does a tenth of the work, then all of it, and compares.
fn does_not_grow(transport: Transport, what: &str, n: u32) {
    let backend = Backend::start(transport).expect("a backend starts");
    let mut program = OnDemand::start(&backend, |_| ());
    assert_eq!(
        program.ask(&format!("{what} {}", n.div_ceil(10)), LONG),
        "ok"
    );
    // The next worker has warmed up.
    std::thread::sleep(Duration::from_secs(2));
    let all = everybody(&program, &backend);
    let before: Vec<i64> = all.iter().map(|pid| resident(*pid)).collect();
    assert_eq!(program.ask(&format!("{what} {n}"), LONG), "ok");
    let after: Vec<i64> = all.iter().map(|pid| resident(*pid)).collect();
    println!("{transport:?}, {what} {n}: program, daemon, workers {before:?}, then {after:?}");
    for (before, after) in before.iter().zip(&after) {
        assert!(after - before < NOTHING, "{before} bytes grew to {after}");
    }
    assert!(program.finish().success());
}

#[test]
#[ignore = "takes minutes"]
fn soak_a_million_launches() {
    for transport in [Transport::Shm, Transport::Tcp] {
        does_not_grow(transport, "launch", amount(1_000_000));
    }
}

#[test]
#[ignore = "takes minutes"]
fn soak_a_hundred_thousand_allocations() {
    for transport in [Transport::Shm, Transport::Tcp] {
        does_not_grow(transport, "allocate", amount(100_000));
    }
}

#[test]
#[ignore = "takes minutes"]
fn soak_large_copies() {
    let backend = Backend::start(Transport::Tcp).expect("a backend starts");
    let mut program = OnDemand::start(&backend, |_| ());
    let mut round = || {
        for what in ["up", "down", "up-pageable", "down-pageable"] {
            assert_eq!(program.ask(&format!("{what} 40"), LONG), "ok");
        }
        everybody(&program, &backend)
    };
    for _ in 0..10 {
        round();
    }
    std::thread::sleep(Duration::from_secs(2));
    let all = round();
    let before: Vec<i64> = all.iter().map(|pid| resident(*pid)).collect();
    for _ in 0..amount(200) {
        round();
    }
    let after: Vec<i64> = all.iter().map(|pid| resident(*pid)).collect();
    println!("copies: {before:?}, then {after:?}");
    for (before, after) in before.iter().zip(&after) {
        // A staging block more or less.
        assert!(after - before < 16 << 20, "{before} bytes grew to {after}");
    }
}

#[test]
#[ignore = "takes minutes"]
fn soak_ten_thousand_sessions() {
    let mut backend = Backend::start(Transport::Unix).expect("a backend starts");
    let add = compiled("vector_add", 13).expect("the fixture compiles");
    let mut at_first = (0, 0);
    let sessions = amount(10_000);
    for round in 0..sessions {
        let outcome = program::run(&add, &backend).expect("the program can be started");
        assert!(outcome.succeeded(), "session {round}: {outcome:?}");
        if round == sessions / 10 {
            at_first = (resident(backend.pid()), descriptors(backend.pid()));
        }
    }
    let at_last = (resident(backend.pid()), descriptors(backend.pid()));
    println!(
        "{sessions} sessions: the daemon's memory and descriptors {at_first:?}, then {at_last:?}"
    );
    assert!(backend.is_running(), "{}", backend.log());
    assert!(at_last.0 - at_first.0 < NOTHING && at_last.1 <= at_first.1 + 8);
    std::thread::sleep(Duration::from_secs(2));
    assert!(backend.workers().len() <= 4, "workers stay behind");
}

/// Over five seconds, a session that does nothing takes less than a hundredth of a processor: the program, its worker, the daemon, and the warm worker together.
#[test]
#[ignore = "wants a quiet machine"]
fn soak_idle_sessions_use_no_processor() {
    for transport in [Transport::Shm, Transport::Unix, Transport::Tcp] {
        let backend = Backend::start(transport).expect("a backend starts");
        let mut program = OnDemand::start(&backend, |_| ());
        assert_eq!(program.ask("up 32", LONG), "ok");
        assert_eq!(program.ask("launch 1000", LONG), "ok");
        std::thread::sleep(Duration::from_secs(3));
        let all = everybody(&program, &backend);
        let now = || -> u64 { all.iter().map(|pid| ticks(*pid)).sum() };
        let before = now();
        std::thread::sleep(Duration::from_secs(5));
        let took = now() - before;
        println!("{transport:?}: {took} ticks of 10 ms in five seconds");
        assert!(took <= 5, "{transport:?}: {took} ticks");
        assert!(program.finish().success());
    }
}
