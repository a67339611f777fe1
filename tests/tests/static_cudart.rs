//! Every fixture once more as nvcc links it by default: NVIDIA's own runtime is in the program, and all of it meets us at `libcuda.so.1`.
//!
//! That is where the private tables, `cuGetProcAddress` and the runtime's check of the driver are used by the one program that knows what they must do.

use gvirtus_tests::backend::{Backend, Transport, tail};
use gvirtus_tests::{compiled_static, fixture, program};

/// Runs a fixture once and holds it to the output and round trips of the one that is linked to our runtime.
fn check(backend: &Backend, name: &str, cuda_major: u32) {
    let path = compiled_static(name, cuda_major).expect("the fixture compiles");
    let fixture = fixture(name);
    let outcome = program::run(&path, backend).expect("the program can be started");
    let what = format!(
        "{name} (static, CUDA {cuda_major}, {}) after {:.1?}",
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
    let unknown = "of which nothing is known";
    assert!(
        !outcome.stderr.contains(unknown),
        "{what}: a private function is missing{told}"
    );
    let Some(stats) = outcome.stats else {
        // What is about the other version of CUDA has nothing to call.
        assert_eq!(
            outcome.stdout, "done\n",
            "{what}: wrote no statistics{told}"
        );
        return;
    };
    if let Some(most) = fixture.round_trips {
        assert!(
            stats.round_trips() <= most,
            "{what}: {} round trips after setup, at most {most} allowed ({})",
            stats.round_trips(),
            stats.summary()
        );
    }
}

macro_rules! fixtures {
    ($($name:ident),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                for transport in [Transport::Tcp, Transport::Shm] {
                    let backend = Backend::start(transport).expect("a backend starts");
                    check(&backend, stringify!($name), 13);
                    check(&backend, stringify!($name), 12);
                }
            }
        )*

        /// A new fixture is not forgotten here.
        #[test]
        fn all_fixtures_are_tested() {
            let tested = [$(stringify!($name)),*];
            for (name, fixture) in xtask::fixtures::all().expect("the fixtures can be read") {
                assert!(
                    fixture.interactive || fixture.opens_libraries || tested.contains(&name.as_str()),
                    "{name} is missing in the list"
                );
            }
        }
    };
}

fixtures![
    array_copies,
    atomics,
    attributes_occupancy,
    capabilities,
    capabilities_refusals,
    capture_and_allocate,
    context_events,
    context_events_refusals,
    cooperative_grid,
    copy_batches,
    copy_batches_refusals,
    device_assert,
    device_math,
    device_printf,
    driver_api,
    driver_arrays,
    driver_arrays_refusals,
    driver_clusters,
    driver_clusters_refusals,
    driver_contexts,
    driver_contexts_refusals,
    driver_devices,
    driver_devices_refusals,
    driver_entry_point,
    driver_graph_nodes,
    driver_graph_nodes_refusals,
    driver_launch_old,
    driver_launch_old_refusals,
    driver_luid,
    driver_managed,
    driver_managed_batches,
    driver_managed_batches_refusals,
    driver_managed_refusals,
    driver_memory,
    driver_memory_refusals,
    driver_modules,
    driver_modules_refusals,
    driver_pools,
    driver_pools_refusals,
    driver_streams,
    driver_streams_refusals,
    error_log,
    error_log_refusals,
    error_semantics,
    event_polling,
    fork_after_init,
    free_while_running,
    full_stream,
    graph_captured,
    graph_conditional,
    graph_conditional_refusals,
    graph_explicit,
    graph_memory,
    graph_params,
    host_function_copy,
    ipc,
    ipc_import,
    ipc_import_refusals,
    jit_link,
    launch_burst,
    large_copies,
    large_pinned,
    launch_ex,
    launch_many,
    local_calls,
    managed_advice,
    managed_memory,
    managed_signals,
    managed_streams,
    managed_variables,
    matrix_product,
    memcpy_shapes,
    nvml,
    pinned_reuse,
    private_streams,
    registered_memory,
    runtime_arrays,
    runtime_arrays_refusals,
    runtime_devices,
    runtime_devices_refusals,
    runtime_graph_nodes,
    runtime_graph_nodes_refusals,
    runtime_libraries,
    runtime_libraries_refusals,
    runtime_memory,
    runtime_memory13,
    runtime_memory13_refusals,
    runtime_memory_refusals,
    runtime_old,
    runtime_old_refusals,
    runtime_streams,
    runtime_streams_refusals,
    several_devices,
    sticky_fault,
    stream_attributes,
    stream_kinds,
    stream_memory,
    stream_ordered_alloc,
    stream_overlap,
    surface_objects,
    symbols,
    tensor_map,
    texture_destroyed_early,
    tensor_map_im2col,
    texture_objects,
    texture_references,
    texture_shapes,
    thread_handover,
    threads_streams,
    vector_add,
    virtual_memory,
    warp_intrinsics,
    zero_copy,
];
