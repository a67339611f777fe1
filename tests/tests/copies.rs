//! What a GPU does so quickly that programs rely on it, and no GPU need be asked.

use gvirtus_tests::backend::{Backend, Transport, tail};
use gvirtus_tests::{compiled, program};

#[test]
fn what_a_synchronous_copy_has_taken_is_there_for_every_stream() {
    let path = compiled("copies_taken", 13).expect("the fixture compiles");
    for transport in [Transport::Tcp, Transport::Shm] {
        let backend = Backend::start(transport).expect("a backend starts");
        let outcome = program::run(&path, &backend).expect("the program can be started");
        assert!(
            outcome.succeeded() && outcome.stdout == "wrong: 0\n",
            "{}: {}{}",
            backend.endpoint(),
            outcome.stdout,
            tail(&outcome.stderr)
        );
    }
}
