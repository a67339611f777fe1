//! cuDNN for programs. See <https://docs.nvidia.com/deeplearning/cudnn/>.
//!
//! Every function of [`cudnn_api!`](gvirtus_wire::cudnn_api) is exported by `libcudnn.so.9`. *Descriptors are values*: what a program has set on one is kept here, and the first
//! call that needs it has the box make a descriptor of that content, under a number; equal contents have one number, and nothing changes it any more. So a graph that is built anew
//! out of inputs seen before is the one that the box has, with its plan. What only the box's library can answer is asked once for each distinct input.
//!
//! # Layout
//! * [`exports`]: what the exports call. [`compute`]: calls that do work or ask. [`lengths`]: how long what pointers to the host lead to is.
//! * [`descriptor`]: descriptors as programs have them. [`content`]: contents and their numbers. [`valid`]: settings that cuDNN surely takes. [`mirror`]: getters that tell what was set.
//! * [`fused`]: fused operations of version 7. [`graph`]: the graph API. `question`: what is asked about its descriptors. [`attributes`]: what it lets programs set. [`by_hand`]: functions that are like no others.
//! * [`handle`]: handles. [`local`]: what is answered here. [`status`]: names.
#![allow(non_snake_case, reason = "cuDNN's names")]

pub mod attributes;
pub mod by_hand;
pub mod compute;
pub mod content;
pub mod descriptor;
pub mod fused;
pub mod graph;
pub mod handle;
pub mod lengths;
pub mod local;
pub mod mirror;
mod question;
pub mod status;
pub mod valid;

use std::collections::HashMap;
use std::sync::LazyLock;

pub use gvirtus_wire as wire;
use gvirtus_wire::api::library::{CUDNN, Function};

/// What the exports lead to; see [`gvirtus_frontend_link::export`].
pub mod exports {
    use std::ffi::CStr;

    pub use crate::by_hand::*;
    pub use crate::compute::{compute, value};
    pub use crate::descriptor::{create, destroy, set};
    pub use crate::fused::*;
    pub use crate::graph::*;
    pub use crate::handle::set_major;
    pub use crate::local::*;
    pub use crate::status::{INTERNAL_ERROR, NOT_SUPPORTED};

    /// The library's name in statistics.
    pub const LIBRARY: &CStr = c"libcudnn";
}

/// `cudnnStatus_t`.
pub type Status = i32;

/// A function of the table by its name.
///
/// # Panics
/// If there is none: a mistake in this library, which its tests find.
#[must_use]
pub fn declared(name: &str) -> &'static Function {
    static BY_NAME: LazyLock<HashMap<&str, &Function>> =
        LazyLock::new(|| CUDNN.iter().map(|f| (f.name, f)).collect());
    BY_NAME.get(name).expect("the function is declared")
}
