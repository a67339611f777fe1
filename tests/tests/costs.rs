//! What calls cost: round trips as `GVIRTUS_STATS` counts them, and as the clock sees them over an emulated distance.

use std::path::Path;
use std::time::Duration;

use gvirtus_tests::backend::{Backend, Transport};
use gvirtus_tests::program::{Outcome, Stats};
use gvirtus_tests::{compiled, program};

fn run(path: &Path, backend: &Backend, emulate: Option<&str>) -> Outcome {
    let outcome = program::run_with(path, backend, |command| {
        if let Some(distance) = emulate {
            command.env("GVIRTUS_EMULATE", distance);
        }
    })
    .expect("the program can be started");
    assert!(outcome.succeeded(), "{outcome:?}");
    outcome
}

/// The slope of wall time against round-trip time is the number of round trips: it agrees with what the statistics say, setup included.
#[test]
fn the_clock_agrees_with_the_statistics() {
    let backend = Backend::start(Transport::Tcp).expect("a backend starts");
    for name in ["vector_add", "launch_burst", "local_calls"] {
        let path = compiled(name, 13).expect("the fixture compiles");
        let fastest = |emulate: &str| -> (Duration, u64) {
            let runs: Vec<Outcome> = (0..5)
                .map(|_| run(&path, &backend, Some(emulate)))
                .collect();
            let elapsed = runs.iter().map(|run| run.elapsed).min().expect("five runs");
            let stats = runs[0]
                .stats
                .as_ref()
                .expect("the program writes statistics");
            let all = stats.0["totals"]["round_trips"].as_u64().expect("a number");
            (elapsed, all)
        };
        let (near, counted) = fastest("rtt=1ms");
        let (far, _) = fastest("rtt=41ms");
        let slope = (far.as_secs_f64() - near.as_secs_f64()) / 0.040;
        // The handshake and the connection are round trips of their own that no function pays for.
        let handshake = 6.0;
        assert!(
            slope < counted as f64 + handshake,
            "{name}: the clock saw {slope:.1} round trips, the statistics {counted}"
        );
    }
}

/// Launches issued in a burst wait for nobody: five hundred of them over a distance of 20 ms take nowhere near 500 times that.
#[test]
fn launches_do_not_wait() {
    let backend = Backend::start(Transport::Unix).expect("a backend starts");
    let path = compiled("launch_burst", 13).expect("the fixture compiles");
    let outcome = run(&path, &backend, Some("rtt=20ms"));
    assert!(
        outcome.elapsed < Duration::from_secs(5),
        "{:?}",
        outcome.elapsed
    );
    let stats = outcome.stats.expect("the program writes statistics");
    assert_eq!(
        stats.calls("cudaLaunchKernel") + stats.calls("__cudaLaunchKernel"),
        500,
        "{:?}",
        stats.0
    );
    assert_eq!(stats.round_trips_of("cudaDeviceSynchronize"), 1);
}

/// A hundred products with fresh but equal descriptors: each library is asked once whether it is there, and once whether it can.
#[test]
fn equal_descriptors_are_asked_about_once() {
    let backend = Backend::start(Transport::Unix).expect("a backend starts");
    let path = compiled("cublaslt_fresh", 13).expect("the fixture compiles");
    let stats = run(&path, &backend, None).stats;
    let stats = stats.expect("the program writes statistics");
    assert_eq!(stats.calls("cublasLtMatmul"), 100);
    let asked: u64 = [
        "cublasCreate_v2",
        "cublasSetStream_v2",
        "cublasSetMathMode",
        "cublasLtMatmulDescCreate",
        "cublasLtMatmul",
    ]
    .into_iter()
    .map(|name| stats.round_trips_of(name))
    .sum();
    assert!(asked <= 3, "{asked}: {:?}", stats.0);
}

/// A repetition of a workload of `library_costs` takes one round trip, its synchronization: a thousand products, a hundred with descriptors made anew, transforms, random numbers. The libraries
/// are asked at first alone.
#[test]
fn libraries_compute_without_round_trips() {
    let backend = Backend::start(Transport::Unix).expect("a backend starts");
    let path = compiled("library_costs", 13).expect("the fixture compiles");
    for (workload, function, calls, first) in [
        ("sgemm", "cublasSgemm_v2", 1000, 1),
        ("cublaslt", "cublasLtMatmul", 100, 3),
        ("cufft", "cufftExecC2C", 20, 2),
        ("curand", "curandGenerateNormal", 1, 1),
    ] {
        let repeated = |times: u64| {
            let outcome = program::run_with(&path, &backend, |command| {
                command.args([workload, &times.to_string()]);
            })
            .expect("the program can be started");
            assert!(
                outcome.succeeded() && outcome.stdout.contains("result "),
                "{outcome:?}"
            );
            let stats = outcome.stats.expect("the program writes statistics");
            assert_eq!(stats.calls(function), calls * times, "{:?}", stats.0);
            stats
        };
        let (once, more) = (repeated(1), repeated(4));
        // A synchronization of what is known to be complete is none.
        let waits = "cudaStreamSynchronize";
        let others = |stats: &Stats| stats.round_trips() - stats.round_trips_of(waits);
        assert!(
            more.round_trips_of(waits) <= 4,
            "{workload}: {}",
            more.summary()
        );
        assert_eq!(
            others(&more),
            others(&once),
            "{workload}: {}",
            more.summary()
        );
        let of_cuda: u64 = [
            "cudaStreamCreate",
            "cudaMalloc",
            "cudaMemcpy",
            "cudaStreamSynchronize",
        ]
        .into_iter()
        .map(|name| once.round_trips_of(name))
        .sum();
        let all = once.0["totals"]["round_trips"].as_u64().expect("a number");
        assert!(all - of_cuda <= first, "{workload}: {}", once.summary());
    }
}
