//! cuBLASLt for programs. See <https://docs.nvidia.com/cuda/cublas/#using-the-cublaslt-api>.
//!
//! Every function of [`cublaslt_api!`](gvirtus_wire::cublaslt_api) is exported by `libcublasLt.so.12` or `.13`. Layouts, descriptors and preferences are the client's, in the
//! program's structures, and travel with the calls that read them. What only the box's library knows (heuristics, algorithms) is asked once for each distinct question.
//! Products are sent; the first of each kind waits for the library's word on whether it can.
//!
//! # Layout
//! * [`exports`]: what the rows lead to. [`compute`]: products and transforms. [`query`]: heuristics and algorithms. [`descriptor`]: descriptors and their attributes.
//!   [`handle`]: handles.
#![allow(non_snake_case, reason = "cuBLASLt's names")]

pub mod compute;
pub mod descriptor;
pub mod handle;
pub mod helpers;
pub mod query;

/// `cublasStatus_t`.
pub type Status = i32;

/// What the exports lead to.
pub mod exports {
    use std::ffi::CStr;

    pub use gvirtus_cublas_core::status::{INTERNAL_ERROR, NOT_SUPPORTED};

    pub use crate::compute::{compute, set};
    pub use crate::descriptor::functions::*;
    pub use crate::descriptor::{
        cublasLtGroupedMatrixLayoutCreate, cublasLtGroupedMatrixLayoutInit_internal,
    };
    pub use crate::handle::{cublasLtCreate, cublasLtDestroy, set_major};
    pub use crate::helpers::*;

    /// The library's name in statistics.
    pub const LIBRARY: &CStr = c"libcublasLt";
}
