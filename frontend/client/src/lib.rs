//! `libgvirtus.so`: the one session of a process, and the CUDA driver API over it.
//!
//! # Layout
//! * [`exports`]: the function table that frontend libraries ask for, made from the declarations in `gvirtus_wire`.
//! * `driver`: the CUDA driver API, one file per page of NVIDIA's documentation.
//! * `session`: connect, send, receive, pending calls, callbacks, sticky errors.
//! * `streams`, `events`, `capture`, `taken`: what the client knows of them: outstanding work, credit, progress.
//! * `memory`: device addresses, grants, pinned memory.
//! * `fatbin`: picks the image for a device out of what a compiler embedded in the program.
//! * `per_thread`: the same functions for programs that are compiled for per-thread default streams.
//! * `library_call`: commands of other libraries' tables, for their frontends.
//! * `handles`: tables behind the opaque handles that programs hold.
//! * `stats`, `trace`, `log`: what `GVIRTUS_STATS`, `GVIRTUS_TRACE` and `GVIRTUS_LOGLEVEL` turn on.

#[macro_use]
mod log;

mod capture;
mod driver;
mod events;
mod exports;
pub mod fatbin;
mod graph;
mod handles;
mod library_call;
mod memory;
mod per_thread;
mod session;
mod stats;
mod streams;
mod taken;
mod trace;

pub use exports::{gvirtus_driver_proc, gvirtus_frontend_table};
