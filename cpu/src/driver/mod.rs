//! A CUDA driver in software: the functions of `libcuda.so.1` with CUDA's semantics, over host memory and host threads.
//!
//! # Layout
//! * [`exports`]: the C symbols, derived from `gvirtus_wire::cuda_api!`; `implemented`: the list of those that do something.
//! * [`state`] (`cuInit`), [`config`] (environment), [`device`], [`context`], [`primary`], [`green`], [`limits`].
//! * [`memory`]: device memory, pinned host memory, virtual memory management, copies and fills.
//! * [`stream`], [`stream_api`], [`event`], [`scheduler`] (when work runs), [`work`] (what runs), [`capture`], [`graph`], [`graph_nodes`], [`graph_updatable`].
//! * [`array`](mod@array), [`texture`]: arrays, texture and surface objects.
//! * [`module`], [`library`], [`function`], [`fatbin`], [`jit`], [`link`], [`launch`], [`occupancy`], [`print`](mod@print).
//! * [`provide`]: what providers of libraries (cuBLAS) on the CPU device ask.
//! * [`entry_point`] (`cuGetProcAddress`), [`error`], [`ffi`], [`handles`].
//!
//! # Conventions
//! A function of the API is a safe Rust function of the same name that answers `Result<(), CUresult>`; the export around it catches panics. Handles are looked up
//! in tables, device addresses in the ledger; neither is trusted.

#![allow(non_snake_case, reason = "CUDA's names")]

#[macro_use]
mod implemented;

mod archive;
mod array;
mod capture;
mod config;
mod context;
mod device;
mod entry_point;
mod error;
mod event;
pub mod exports;
mod fatbin;
mod ffi;
mod function;
mod graph;
mod graph_conditional;
mod graph_device;
mod graph_nodes;
mod graph_updatable;
mod green;
mod handles;
mod jit;
mod launch;
mod library;
mod limits;
mod link;
mod memory;
mod module;
mod occupancy;
mod primary;
mod print;
mod provide;
mod scheduler;
mod shared_event;
mod state;
mod stream;
mod stream_api;
mod stream_attributes;
mod texture;
mod texture_reference;
mod work;
