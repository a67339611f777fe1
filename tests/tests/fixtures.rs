//! Every fixture runs through the frontends, over each transport and built with each CUDA, and prints what it must.

use gvirtus_tests::backend::{Backend, Transport};
use gvirtus_tests::suite::{self, Runtime};
use gvirtus_tests::{compiled_with, fixture};
use libtest_mimic::{Arguments, Trial};

fn main() {
    let mut trials = suite::trials(
        |_| true,
        |fixture| {
            for (transport, cuda_major) in [
                (Transport::Tcp, 13),
                (Transport::Unix, 13),
                (Transport::Shm, 13),
                (Transport::Unix, 12),
            ] {
                let backend = Backend::start(transport).expect("a backend starts");
                suite::check(&backend, fixture, Runtime::Shared, cuda_major);
            }
        },
    );
    trials.push(Trial::test("compressed_fat_binaries", || {
        compressed_fat_binaries();
        Ok(())
    }));
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

/// Compressed fat binaries: nvcc's modes for size and for speed pack differently.
fn compressed_fat_binaries() {
    let backend = Backend::start(Transport::Unix).expect("a backend starts");
    for (variant, flags) in [
        ("-all", ["-Xfatbin=-compress-all"].as_slice()),
        ("-size", &["-Xfatbin=-compress-all", "--compress-mode=size"]),
        (
            "-speed",
            &["-Xfatbin=-compress-all", "--compress-mode=speed"],
        ),
        ("-none", &["-no-compress"]),
        (
            "-several",
            &[
                "-gencode=arch=compute_80,code=compute_80",
                "-gencode=arch=compute_90,code=sm_90",
            ],
        ),
    ] {
        let path = compiled_with("symbols", 13, variant, flags).expect("the fixture compiles");
        suite::check_program(&backend, fixture("symbols"), Runtime::Shared, 13, &path);
    }
}
