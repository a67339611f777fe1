//! cuFFT for programs. See <https://docs.nvidia.com/cuda/cufft/>.
//!
//! Every function of [`cufft_api!`](gvirtus_wire::cufft_api) is exported by `libcufft.so.11` or `.12`. Executions are sent on the plan's stream and nobody waits; making a plan is
//! a round trip, because its work size is an answer that only the library has. Several GPUs and callbacks are not supported.
//!
//! # Layout
//! * [`export`]: what an export does. [`compute`]: calls of a plan. [`plan`]: plans, made and ended. [`status`]: `cufftResult`.
#![allow(non_snake_case, reason = "cuFFT's names")]

pub mod compute;
#[macro_use]
pub mod export;
pub mod plan;
pub mod status;

pub use gvirtus_wire as wire;

/// `cufftResult`.
pub type Status = i32;

/// What the exports call the module of plans.
pub use plan as handle;
