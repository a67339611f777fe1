//! FFTW's interface over cuFFT. See <https://docs.nvidia.com/cuda/cufft/#fftw-interface-to-cufft>.
//!
//! A plan is one of cuFFT, and device memory for both of its sides; executing it copies the data there and back, wherever they lie.
//!
//! # Layout
//! * [`exports`]: what the rows of [`cufftw_api!`](gvirtus_wire::cufftw_api) lead to. [`plan`]: plans and their execution. [`layout`]: how data are spread.
#![allow(non_snake_case, reason = "FFTW's names")]

pub mod functions;
pub mod layout;
pub mod plan;

/// What the exports lead to.
pub mod exports {
    use std::ffi::CStr;

    pub use gvirtus_cufft_core::exports::{INTERNAL_ERROR, NOT_SUPPORTED};

    pub use crate::functions::double::*;
    pub use crate::functions::single::*;
    pub use crate::plan::set_major;

    /// The library's name in statistics.
    pub const LIBRARY: &CStr = c"libcufftw";

    /// No row is a call of cuFFT's.
    pub use gvirtus_cufft_core::exports::{compute, set};
}
