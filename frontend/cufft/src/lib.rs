//! cuFFT for programs. See <https://docs.nvidia.com/cuda/cufft/>.
//!
//! Every function of [`cufft_api!`](gvirtus_wire::cufft_api) is exported by `libcufft.so.11` or `.12`. Executions are sent on the plan's stream and nobody waits; making a plan is
//! a round trip, because its work size is an answer that only the library has. Plans of several GPUs are not supported.
//!
//! # Layout
//! * [`exports`]: what the rows lead to. [`compute`]: calls of a plan. [`plan`]: plans, made and ended. [`status`]: `cufftResult`.
//!   [`extensions`]: what is answered here of several GPUs and callbacks.
#![allow(non_snake_case, reason = "cuFFT's names")]

pub mod compute;
pub mod extensions;
pub mod plan;
pub mod status;

/// `cufftResult`.
pub type Status = i32;

/// What the exports lead to.
pub mod exports {
    use std::ffi::CStr;

    pub use crate::compute::{compute, set};
    pub use crate::extensions::*;
    pub use crate::plan::*;
    pub use crate::status::{INTERNAL_ERROR, NOT_SUPPORTED};

    /// The library's name in statistics.
    pub const LIBRARY: &CStr = c"libcufft";
}
