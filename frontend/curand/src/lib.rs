//! `libcurand.so.10`: cuRAND for programs. See <https://docs.nvidia.com/cuda/curand/>.
//!
//! Every function of [`curand_api!`](gvirtus_wire::curand_api) is exported. Generators are numbered here; their settings are sent behind and checked here, and generation is sent on the
//! generator's stream without an answer. What a *host* generator makes is made on the box and comes back. Tables are asked for once.
//!
//! # Layout
//! * [`generator`]: generators, made, set and ended. [`compute`]: generation. [`tables`]: direction vectors and scramble constants. [`status`]: `curandStatus_t`.
#![allow(non_snake_case, reason = "cuRAND's names")]

mod compute;
mod generator;
mod status;
mod tables;

/// `curandStatus_t`.
type Status = i32;

/// What the exports lead to.
mod exports {
    use std::ffi::CStr;

    pub(crate) use crate::compute::{compute, set};
    pub(crate) use crate::generator::*;
    pub(crate) use crate::status::INTERNAL_ERROR;

    /// The library's name in statistics.
    pub(crate) const LIBRARY: &CStr = c"libcurand";
}

macro_rules! export_10 { ($($rows:tt)*) => { gvirtus_frontend_link::export_library! { crate 10 $($rows)* } } }
gvirtus_wire::curand_api!(export_10);
