//! The CPU device: a CUDA driver in software that runs kernels from their PTX.
//!
//! # Layout
//! * [`driver`]: the driver API, exported as C symbols.
//! * [`engine`]: the traits between the two.
//! * [`image`]: textures and surfaces, which both know.
//! * `ptx`: the engine that compiles and runs PTX.

pub mod driver;
pub mod engine;
pub mod image;
mod ptx;
