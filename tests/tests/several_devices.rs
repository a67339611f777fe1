//! Programs on a backend with two devices: what they share between devices and between one another.

use gvirtus_tests::backend::{Backend, Transport, tail};
use gvirtus_tests::{compiled, fixture, program};
use serde_json::json;

fn on_two_devices(name: &str) {
    let backend = Backend::start_with(Transport::Unix, &json!({ "cpu": { "devices": 2 } }))
        .expect("a backend starts");
    let path = compiled(name, 13).expect("the fixture compiles");
    let outcome = program::run_with(&path, &backend, |command| {
        command.envs(fixture(name).environment.iter().cloned());
    });
    let outcome = outcome.expect("the program can be started");
    let told = format!(
        "\n-- its output\n{}\n-- its errors\n{}\n-- the backend's log\n{}",
        tail(&outcome.stdout),
        tail(&outcome.stderr),
        tail(&backend.log())
    );
    let status = outcome.status.unwrap_or_else(|| panic!("hung{told}"));
    assert!(status.success(), "{status}{told}");
    assert_eq!(Some(outcome.stdout), fixture(name).expected(13), "{told}");
    assert!(
        backend.log().contains("2 device(s)"),
        "it had two devices{told}"
    );
}

#[test]
fn managed_memory_peers_and_pools() {
    on_two_devices("several_devices");
}

#[test]
fn graphs() {
    on_two_devices("graph_contexts");
}

#[test]
fn programs_share() {
    on_two_devices("ipc");
}

#[test]
fn managed_memory() {
    on_two_devices("managed_streams");
}

#[test]
fn managed_memory_beside_kernels() {
    on_two_devices("managed_concurrent");
}
