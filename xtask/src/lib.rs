//! Builds, demonstrates, tests and packs the project.
//!
//! # Layout
//! * [`toolchain`] – finds or fetches a CUDA compiler
//! * [`symbols`], [`abi_check`] – what libraries export, ours against NVIDIA's

pub mod abi_check;
pub mod sh;
pub mod symbols;
pub mod toolchain;
