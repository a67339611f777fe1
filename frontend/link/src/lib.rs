//! What every frontend library (`libcudart.so.13`, `libcuda.so.1`, …) needs: the way to the session in `libgvirtus.so`, call counters and the panic guard.
//!
//! # Layout
//! * [`session`]: finds and loads `libgvirtus.so`, lazily, and hands out its functions.
//! * [`mod@driver`]: the table of driver API functions.
//! * [`library`]: calls of compute libraries.
//! * [`start`]: their beginning. [`export`]: their exports. [`mod@part`]: libraries that are parts of another.
//! * [`guard`]: what stands around the body of every exported function.
//!
//! # Finding the session
//! `libgvirtus.so` lies next to the frontend library. `GVIRTUS_LIB` names another file; when that file is a CUDA driver itself (the CPU device's library, or NVIDIA's), the
//! driver functions are taken from it by name and there are no counters. That serves tests, which so run without any network; others see what is sent by being the client core themselves ([`session::stand_in`]).

pub mod driver;
pub mod export;
pub mod guard;
pub mod library;
pub mod part;
pub mod session;
pub mod start;

pub use driver::{Driver, driver};
pub use gvirtus_wire as wire;
