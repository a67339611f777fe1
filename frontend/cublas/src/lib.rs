//! cuBLAS for programs. See <https://docs.nvidia.com/cuda/cublas/>.
//!
//! Every function of [`cublas_api!`](gvirtus_wire::cublas_api) is exported by `libcublas.so.12` or `.13`. What it does follows from its declaration's class: sent on the
//! handle's stream (`async`; who wants a result on the host waits for it), kept here and sent behind (`state`), answered here (`local`), or not supported.
//!
//! # Layout
//! * [`exports`]: what the rows lead to. [`compute`]: calls that do work.
//! * [`handle`]: handles and their state. [`setters`], [`getters`]: what programs do with it.
//! * [`copy`]: `cublasSetMatrix` and the like, over the driver's copies.  [`status`]: names and texts.
//! * [`argument`]: what cuBLAS refuses at once. [`xt`]: matrices on the host. [`legacy`]: the interface without handles.
#![allow(non_snake_case, reason = "cuBLAS's names")]

pub mod argument;
pub mod compute;
pub mod copy;
pub mod getters;
pub mod handle;
pub mod legacy;
pub mod setters;
pub mod status;
pub mod xt;

/// `cublasStatus_t`.
pub type Status = i32;

/// What the exports lead to.
pub mod exports {
    use std::ffi::CStr;

    pub use crate::compute::compute;
    pub use crate::copy::*;
    pub use crate::getters::*;
    pub use crate::handle::set_major;
    pub use crate::legacy::*;
    pub use crate::setters::set;
    pub use crate::status::{INTERNAL_ERROR, NOT_SUPPORTED};
    pub use crate::xt::*;

    /// The library's name in statistics.
    pub const LIBRARY: &CStr = c"libcublas";
}
