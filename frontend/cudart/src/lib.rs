//! The CUDA runtime over the driver API, shared by `libcudart.so.12` and `libcudart.so.13`.
//!
//! Each runtime function becomes driver functions of the session (`libgvirtus.so`), in the way in which NVIDIA's runtime does it: that is what makes results and errors the
//! same. The two libraries are thin: [`export_12!`] and [`export_13!`] turn the rows of [`cudart_api!`](gvirtus_wire::cudart_api) into exported functions, each of which counts,
//! stops panics, leaves its error behind, and calls the function of its name in [`v12`] or [`v13`].
//!
//! # Layout
//! * `context`: lazy initialisation, devices, primary contexts, the calling thread's device.
//! * `registry`: fat binaries, kernels and variables, and the modules that they become.
//! * `launch`: kernel launches. `function`: kernels' attributes and occupancy.
//! * `device`, `properties`: devices, limits, peers, versions, entry points; `cudaDeviceProp`.
//! * `managed`: managed memory. `memory`, `copy`, `set`: other allocations and pointers, copies, fills.
//! * `array`, `copy_box`: arrays, and copies of boxes and of arrays. `copy_batch`: several copies at once. `texture`: texture and surface objects.
//! * `stream`: streams, events, capture. `graph`: graphs and libraries; `graph_nodes`, `graph_edges`: what they consist of.
//! * `error`, `error_table`: the last error, names and texts.
//! * `export`: what stands around each exported function.
//!
//! # What differs from NVIDIA's runtime
//! * Fat binaries become modules of a context, not context-independent libraries: a `cudaKernel_t` of a registered kernel is known to the runtime only.
//! * A module is not unloaded when its shared object is closed.
//! * A context that the program resets through the driver (`cuDevicePrimaryCtxReset`) rather than `cudaDeviceReset` keeps its cached functions.
//! * What NVIDIA's runtime crashes on (a null pointer to write to) returns `cudaErrorInvalidValue`.
#![allow(non_snake_case, reason = "CUDA's names")]
#![allow(clippy::too_many_arguments, reason = "CUDA's signatures")]
#![allow(
    clippy::missing_safety_doc,
    reason = "what a C program must pass is what CUDA documents; each function links there"
)]

mod array;
mod capability;
mod context;
mod copy;
mod copy_batch;
mod copy_box;
mod device;
mod error;
mod error_table;
pub mod export;
mod forward;
mod function;
mod graph;
mod graph_edges;
mod graph_nodes;
mod launch;
mod managed;
mod memory;
mod properties;
mod registry;
mod set;
mod stream;
mod texture;

pub use context::{DefaultStream, set_version};
pub use error::{Error, Result};

/// The functions that both libraries have, with the same parameters.
mod common {
    pub use crate::{
        array::*, capability::*, copy::*, copy_box::*, device::*, error::*, function::*, graph::*,
        graph_edges::*, graph_nodes::*, launch::*, managed::*, memory::*, properties::*,
        registry::*, set::*, stream::*, texture::*,
    };
}

/// What `libcudart.so.12` exports.
pub mod v12 {
    use crate::DefaultStream;
    pub use crate::common::*;
    pub use crate::copy_batch::cuda12::*;
    pub use crate::graph_edges::cuda12::*;
    use gvirtus_wire::api::cudart_types::cudaStream_t;
    use std::ffi::c_void;

    /// Whether and what a stream is recording.
    /// <https://docs.nvidia.com/cuda/archive/12.9.0/cuda-runtime-api/group__CUDART__STREAM.html>
    pub unsafe fn cudaStreamGetCaptureInfo(
        default: DefaultStream,
        stream: cudaStream_t,
        captureStatus_out: *mut u32,
        id_out: *mut u64,
    ) -> crate::Result {
        crate::stream::capture_info_12(default, stream, captureStatus_out, id_out)
    }

    /// Advises on how managed memory is used.
    /// <https://docs.nvidia.com/cuda/archive/12.9.0/cuda-runtime-api/group__CUDART__MEMORY.html>
    pub unsafe fn cudaMemAdvise(
        devPtr: *const c_void,
        count: usize,
        advice: u32,
        device: i32,
    ) -> crate::error::Result {
        crate::managed::advise_12(devPtr, count, advice, device)
    }

    /// Says where managed memory is used next.
    /// <https://docs.nvidia.com/cuda/archive/12.9.0/cuda-runtime-api/group__CUDART__MEMORY.html>
    pub unsafe fn cudaMemPrefetchAsync(
        default: DefaultStream,
        devPtr: *const c_void,
        count: usize,
        dstDevice: i32,
        stream: cudaStream_t,
    ) -> crate::error::Result {
        crate::managed::prefetch_12(default, devPtr, count, dstDevice, stream)
    }
}

/// What `libcudart.so.13` exports.
pub mod v13 {
    pub use crate::common::*;
    pub use crate::copy_batch::{cudaMemcpy3DBatchAsync, cudaMemcpyBatchAsync};
    pub use crate::graph_edges::cuda13::*;
    pub use crate::managed::{
        cudaMemAdvise_v2 as cudaMemAdvise, cudaMemPrefetchAsync_v2 as cudaMemPrefetchAsync,
    };
    pub use crate::stream::cudaStreamGetCaptureInfo_v3 as cudaStreamGetCaptureInfo;
}
