//! The plugin that answers cuRAND.
//!
//! # Layout
//! * this file: what the plugin is about; the rest is in `gvirtus_plugin_library`.
//! * `cpu`: cuRAND on the CPU device. `fill`: arrays of numbers, in cuRAND's order. `xorwow`, `mrg`, `philox`, `sobol_numbers`: the generators. `distribution`: from bits to
//!   distributions.

mod cpu;
mod distribution;
mod fill;
mod mrg;
mod philox;
mod sobol_numbers;
mod xorwow;

use gvirtus_plugin_library::{Description, library_plugin};
use gvirtus_wire::api::library::{CURAND, CURAND_OPCODES};

static DESCRIPTION: Description = Description {
    name: "curand",
    functions: CURAND,
    first_opcode: CURAND_OPCODES.0,
    file: "libcurand.so.",
    needs: &["libcudart.so.13", "libcudart.so.12"],
    majors: &[10],
    create: c"curandCreateGenerator",
    creators: &[c"curandCreateGenerator", c"curandCreateGeneratorHost"],
    destroy: c"curandDestroyGenerator",
    set_stream: Some(c"curandSetStream"),
    set_pointer_mode: None,
    get_property: c"curandGetProperty",
    not_initialized: 203,
    not_supported: 204,
    cuda_status,
    provider: cpu::address,
};

/// What a later CUDA call reports for a cuRAND status.
fn cuda_status(status: i32) -> i32 {
    match status {
        // ALLOCATION_FAILED; TYPE_ERROR, OUT_OF_RANGE, LENGTH_NOT_MULTIPLE; LAUNCH_FAILURE, PREEXISTING_FAILURE; NOT_INITIALIZED, INITIALIZATION_FAILED; ARCH_MISMATCH.
        102 => 2,
        103..=105 => 1,
        201 | 202 => 719,
        101 | 203 => 3,
        204 => 801,
        _ => 999,
    }
}

static DESCRIPTIONS: &[&Description] = &[&DESCRIPTION];

library_plugin!(c"curand", CURAND_OPCODES);
