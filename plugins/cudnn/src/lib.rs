//! The plugin that answers cuDNN.
//!
//! What the plugin is about; the rest is in `gvirtus_plugin_library`. On the CPU device there is no cuDNN: programs are told `CUDNN_STATUS_NOT_INITIALIZED`.

use std::ffi::{CStr, c_void};
use std::sync::Once;

use gvirtus_plugin_library::host::{Host, WARN};
use gvirtus_plugin_library::{Description, library_plugin};
use gvirtus_wire::api::library::{CUDNN, CUDNN_OPCODES};

static DESCRIPTION: Description = Description {
    name: "cudnn",
    functions: CUDNN,
    first_opcode: CUDNN_OPCODES.0,
    file: "libcudnn.so.",
    // It asks the loader for them by name, when a call needs them: its own parts, of which a search path may lead to ours, and those of the CUDA that it was built for.
    needs: &[
        "libcublasLt.so.13",
        "libnvrtc.so.13",
        // NVRTC asks for it by its whole name and has no RUNPATH: where only packages of Python are, nothing else leads to it.
        "libnvrtc-builtins.so.13.*",
        "libcublasLt.so.12",
        "libnvrtc.so.12",
        "libnvrtc-builtins.so.12.*",
        "libcudnn_graph.so.9",
        "libcudnn_ops.so.9",
        "libcudnn_cnn.so.9",
        "libcudnn_adv.so.9",
        "libcudnn_ext.so.9",
    ],
    majors: &[9],
    create: c"cudnnCreate",
    creators: &[],
    destroy: c"cudnnDestroy",
    set_stream: Some(c"cudnnSetStream"),
    set_pointer_mode: None,
    get_property: c"cudnnGetProperty",
    not_initialized: 1001,
    not_supported: 3000,
    cuda_status,
    provider,
};

/// What a later CUDA call reports for a cuDNN status, by its category.
fn cuda_status(status: i32) -> i32 {
    match status / 1000 {
        1 => 3,
        2 => 1,
        3 => 801,
        5 => 719,
        _ => 999,
    }
}

/// The CPU device has none of cuDNN's functions.
fn provider(host: &'static Host, _: &CStr) -> Option<*const c_void> {
    static TOLD: Once = Once::new();
    TOLD.call_once(|| host.log(WARN, "cudnn: there is no cuDNN on the CPU device"));
    None
}

static DESCRIPTIONS: &[&Description] = &[&DESCRIPTION];

library_plugin!(c"cudnn", CUDNN_OPCODES);
