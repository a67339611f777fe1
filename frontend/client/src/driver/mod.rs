//! The CUDA driver API, one file per page of NVIDIA's documentation.
//!
//! Every function that `gvirtus_wire::cuda_api!` declares and does not call `unsupported` is a `pub(crate)` function of that name in one of these files; it returns
//! [`Result<()>`](Result) (or a `CUresult`), and `crate::exports` wraps it for C.

use gvirtus_wire::api::types::{CUresult, error as status};

use crate::session::Session;

pub(crate) mod array;
pub(crate) mod capability;
pub(crate) mod context;
pub(crate) mod context_event;
pub(crate) mod device;
pub(crate) mod error;
pub(crate) mod error_log;
pub(crate) mod event;
pub(crate) mod export_table;
pub(crate) mod function;
pub(crate) mod graph;
mod graph_device;
pub(crate) mod graph_edges;
pub(crate) mod graph_exec;
pub(crate) mod graph_memory;
pub(crate) mod graph_node_params;
pub(crate) mod graph_nodes;
pub(crate) mod green_context;
pub(crate) mod host_function;
pub(crate) mod host_memory;
pub(crate) mod init;
pub(crate) mod ipc;
pub(crate) mod jit;
pub(crate) mod kernel;
pub(crate) mod launch;
pub(crate) mod launch_legacy;
pub(crate) mod library;
pub(crate) mod link;
pub(crate) mod managed;
pub(crate) mod memcpy;
pub(crate) mod memcpy_batch;
pub(crate) mod memcpy_box;
pub(crate) mod memory;
pub(crate) mod memory_pool;
pub(crate) mod memset;
pub(crate) mod module;
pub(crate) mod multicast;
pub(crate) mod occupancy;
pub(crate) mod pointer;
pub(crate) mod proc_address;
pub(crate) mod profiler;
pub(crate) mod sparse_array;
pub(crate) mod stream;
pub(crate) mod stream_capture;
pub(crate) mod stream_memory;
pub(crate) mod tensor_map;
pub(crate) mod texture;
pub(crate) mod texture_reference;
pub(crate) mod user_object;
pub(crate) mod vmm;

/// What a driver function comes to: the error is the status that the program gets.
pub(crate) type Result<T> = std::result::Result<T, CUresult>;

/// The session, for functions that CUDA allows only after `cuInit`.
///
/// # Errors
/// `CUDA_ERROR_NOT_INITIALIZED` before `cuInit` and in a forked child; a lost session's error.
#[inline]
pub(crate) fn session() -> Result<&'static Session> {
    if !init::initialized() {
        return Err(status::ERROR_NOT_INITIALIZED);
    }
    Session::get()
}

/// Writes a result through a pointer that the program gave.
///
/// # Errors
/// `CUDA_ERROR_INVALID_VALUE` if it is null.
///
/// # Safety
/// `to` is null or valid for a write, as CUDA asks of the caller.
#[inline]
pub(crate) unsafe fn put<T>(to: *mut T, value: T) -> Result<()> {
    if to.is_null() {
        return Err(status::ERROR_INVALID_VALUE);
    }
    // SAFETY: not null, and valid by this function's contract; a program's pointer need not be aligned for T.
    unsafe { to.write_unaligned(value) };
    Ok(())
}

/// As [`put`], but null means that the caller does not want it.
///
/// # Safety
/// As [`put`].
#[inline]
pub(crate) unsafe fn put_if<T>(to: *mut T, value: T) {
    if !to.is_null() {
        // SAFETY: as in `put`.
        unsafe { to.write_unaligned(value) };
    }
}
