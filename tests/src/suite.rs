//! The fixtures as tests: one for each program in `tests/fixtures`, so that no list of them is kept.

use libtest_mimic::Trial;
use xtask::fixtures::{self, Fixture};

use crate::backend::{Backend, tail};
use crate::{classes, compiled, compiled_static, program};

/// Which runtime a fixture's program has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runtime {
    /// Ours, as `libcudart.so`.
    Shared,
    /// NVIDIA's, linked into the program as nvcc does by default: all of it meets us at `libcuda.so.1`.
    Static,
}

/// A test, under its name, for each fixture that needs nobody at its standard input and that `of_interest` selects.
pub fn trials(
    of_interest: fn(&Fixture) -> bool,
    test: impl Fn(&Fixture) + Clone + Send + 'static,
) -> Vec<Trial> {
    let mut all = fixtures::all().expect("the fixtures can be read");
    all.retain(|_, fixture| !fixture.interactive && of_interest(fixture));
    assert!(!all.is_empty(), "there are no fixtures");
    let trial = |(name, fixture)| {
        let test = test.clone();
        Trial::test(name, move || {
            test(&fixture);
            Ok(())
        })
    };
    // What takes long must not be what everything waits for in the end.
    let (slow, rest): (Vec<_>, Vec<_>) = all.into_iter().partition(|(_, fixture)| fixture.slow);
    slow.into_iter().chain(rest).map(trial).collect()
}

/// Compiles a fixture, runs it once and holds it to its expected output, exit code and round trips.
pub fn check(backend: &Backend, fixture: &Fixture, runtime: Runtime, cuda_major: u32) {
    let path = match runtime {
        Runtime::Shared => compiled(&fixture.name, cuda_major),
        Runtime::Static => compiled_static(&fixture.name, cuda_major),
    };
    let path = path.expect("the fixture compiles");
    check_program(backend, fixture, runtime, cuda_major, &path);
}

/// As [`check`], for the program at `path` that was compiled from the fixture.
pub fn check_program(
    backend: &Backend,
    fixture: &Fixture,
    runtime: Runtime,
    cuda_major: u32,
    path: &std::path::Path,
) {
    let outcome = program::run_with(path, backend, |command| {
        command.envs(fixture.environment.iter().cloned());
    });
    let outcome = outcome.expect("the program can be started");
    let what = format!(
        "{} ({runtime:?} runtime, CUDA {cuda_major}, {}) after {:.1?}",
        fixture.name,
        backend.endpoint(),
        outcome.elapsed
    );
    let told = format!(
        "\n-- its output\n{}\n-- its errors\n{}\n-- the backend's log\n{}",
        tail(&outcome.stdout),
        tail(&outcome.stderr),
        tail(&backend.log())
    );
    let Some(status) = outcome.status else {
        panic!("{what}: hung{told}");
    };
    assert!(status.success(), "{what}: ended with {status}{told}");
    if let Some(expected) = fixture.expected(cuda_major) {
        assert_eq!(outcome.stdout, expected, "{what}: wrong output{told}");
    }
    assert!(
        !outcome.stderr.contains("of which nothing is known"),
        "{what}: a private function is missing{told}"
    );
    let Some(stats) = outcome.stats else {
        let nothing_to_count = match runtime {
            Runtime::Shared => fixture.round_trips.is_none(),
            // With no library of ours but the driver's, a program about the other version of CUDA calls nothing.
            Runtime::Static => outcome.stdout == "done\n",
        };
        assert!(nothing_to_count, "{what}: wrote no statistics{told}");
        return;
    };
    let broken = classes::broken(&stats, fixture);
    assert!(
        broken.is_empty(),
        "{what}: waited, which its class does not: {}",
        broken.join(", ")
    );
    if let Some(most) = fixture.round_trips {
        assert!(
            stats.round_trips() <= most,
            "{what}: {} round trips after setup, at most {most} allowed ({})",
            stats.round_trips(),
            stats.summary()
        );
    }
}
