//! Builds, demonstrates, tests and packs the project.
//!
//! # Layout
//! * [`toolchain`] – finds or fetches a CUDA compiler
//! * [`symbols`], [`abi_check`] – what libraries export, ours against NVIDIA's
//! * [`import_headers`] – declaration tables out of the vendor's headers
//! * [`home`] – builds everything and lays it out as an installation
//! * [`fixtures`] – compiles the CUDA programs of `tests/fixtures`
//! * [`dist`] – packs the installation and the GPU suite
//! * [`instructions`] – what calls cost in instructions, held against the record
//! * [`demo`] – shows the whole path at work
//! * [`status`] – writes `STATUS.md`
//! * [`check`] – everything that must hold: `cargo xtask test`
//! * [`sh`] – running other programs, files

pub mod abi_check;
pub mod check;
pub mod conformance;
pub mod demo;
pub mod dist;
pub mod fixtures;
pub mod home;
pub mod import_headers;
pub mod instructions;
pub mod sh;
pub mod status;
pub mod symbols;
pub mod toolchain;
