//! The plugin that answers cuBLAS and cuBLASLt.
//!
//! # Layout
//! * this file: what the plugin is about; the rest is in `gvirtus_plugin_library`.
//! * `cpu`: both on the CPU device.

mod cpu;

use gvirtus_plugin_library::{Description, library_plugin};
use gvirtus_wire::api::library::{CUBLAS, CUBLAS_OPCODES, CUBLASLT, CUBLASLT_OPCODES};

static DESCRIPTION: Description = Description {
    name: "cublas",
    functions: CUBLAS,
    first_opcode: CUBLAS_OPCODES.0,
    file: "libcublas.so.",
    needs: &["libcublasLt.so."],
    majors: &[13, 12],
    create: c"cublasCreate_v2",
    creators: &[],
    destroy: c"cublasDestroy_v2",
    set_stream: Some(c"cublasSetStream_v2"),
    set_pointer_mode: Some(c"cublasSetPointerMode_v2"),
    get_property: c"cublasGetProperty",
    not_initialized: 1,
    not_supported: 15,
    cuda_status,
    provider: cpu::address,
};

static LT: Description = Description {
    name: "cublasLt",
    functions: CUBLASLT,
    first_opcode: CUBLASLT_OPCODES.0,
    file: "libcublasLt.so.",
    needs: &[],
    majors: &[13, 12],
    create: c"cublasLtCreate",
    creators: &[],
    destroy: c"cublasLtDestroy",
    set_stream: None,
    set_pointer_mode: None,
    get_property: c"cublasLtGetProperty",
    not_initialized: 1,
    not_supported: 15,
    cuda_status,
    provider: cpu::address,
};

/// What a later CUDA call reports for a cuBLAS status.
fn cuda_status(status: i32) -> i32 {
    match status {
        // NOT_INITIALIZED, ALLOC_FAILED, INVALID_VALUE, NOT_SUPPORTED; EXECUTION_FAILED.
        1 => 3,
        3 => 2,
        7 => 1,
        8 | 15 => 801,
        13 => 719,
        _ => 999,
    }
}

static DESCRIPTIONS: &[&Description] = &[&DESCRIPTION, &LT];

library_plugin!(c"cublas", (CUBLAS_OPCODES.0, CUBLASLT_OPCODES.1));
