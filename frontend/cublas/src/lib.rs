//! cuBLAS for programs. See <https://docs.nvidia.com/cuda/cublas/>.
//!
//! Every function of [`cublas_api!`](gvirtus_wire::cublas_api) is exported by `libcublas.so.12` or `.13`. What it does follows from its declaration's class: sent on the
//! handle's stream (`async`; who wants a result on the host waits for it), kept here and sent behind (`state`), answered here (`local`), or not supported.
//!
//! # Layout
//! * [`export`]: what an export does. [`compute`]: calls that do work.
//! * [`handle`]: handles and their state. [`setters`], [`getters`]: what programs do with it.
//! * [`copy`]: `cublasSetMatrix` and the like, over the driver's copies. `context`: the device that a handle belongs to. [`status`]: names and texts.
//! * [`argument`]: what cuBLAS refuses at once.
#![allow(non_snake_case, reason = "cuBLAS's names")]

pub mod argument;
pub mod compute;
mod context;
pub mod copy;
#[macro_use]
pub mod export;
pub mod getters;
pub mod handle;
pub mod setters;
pub mod status;

pub use gvirtus_wire as wire;

/// `cublasStatus_t`.
pub type Status = i32;
