//! Every fixture once more as nvcc links it by default: NVIDIA's own runtime is in the program, and all of it meets us at `libcuda.so.1`.
//!
//! That is where the private tables, `cuGetProcAddress` and the runtime's check of the driver are used by the one program that knows what they must do.

use gvirtus_tests::backend::{Backend, Transport};
use gvirtus_tests::suite::{self, Runtime};
use libtest_mimic::Arguments;

fn main() {
    // Libraries that are opened by name bring our runtime in any case.
    let trials = suite::trials(
        |fixture| !fixture.opens_libraries && !fixture.library_level,
        |fixture| {
            for transport in [Transport::Tcp, Transport::Shm] {
                let backend = Backend::start(transport).expect("a backend starts");
                suite::check(&backend, fixture, Runtime::Static, 13);
                suite::check(&backend, fixture, Runtime::Static, 12);
            }
        },
    );
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}
