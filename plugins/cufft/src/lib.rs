//! The plugin that answers cuFFT.
//!
//! # Layout
//! * this file: what the plugin is about; the rest is in `gvirtus_plugin_library`.
//! * `cpu`: cuFFT on the CPU device. `transform`: the transforms themselves.

mod cpu;
mod transform;

use gvirtus_plugin_library::{Description, library_plugin};
use gvirtus_wire::api::library::{CUFFT, CUFFT_OPCODES};

static DESCRIPTION: Description = Description {
    name: "cufft",
    functions: CUFFT,
    first_opcode: CUFFT_OPCODES.0,
    file: "libcufft.so.",
    needs: &[],
    majors: &[12, 11],
    create: c"cufftCreate",
    creators: &[],
    destroy: c"cufftDestroy",
    set_stream: Some(c"cufftSetStream"),
    set_pointer_mode: None,
    get_property: c"cufftGetProperty",
    not_initialized: 7,
    not_supported: 16,
    cuda_status,
    provider: cpu::address,
};

/// What a later CUDA call reports for a cuFFT status.
fn cuda_status(status: i32) -> i32 {
    match status {
        // ALLOC_FAILED; INVALID_PLAN, INVALID_TYPE, INVALID_VALUE, INVALID_SIZE; EXEC_FAILED; SETUP_FAILED; NOT_IMPLEMENTED, NOT_SUPPORTED.
        2 => 2,
        1 | 3 | 4 | 8 => 1,
        6 => 719,
        7 => 3,
        14 | 16 => 801,
        _ => 999,
    }
}

static DESCRIPTIONS: &[&Description] = &[&DESCRIPTION];

library_plugin!(c"cufft", CUFFT_OPCODES);
