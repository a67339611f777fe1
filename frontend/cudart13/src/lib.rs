//! `libcudart.so.13`: exports the CUDA runtime of `gvirtus-cudart-core` under NVIDIA's names.
#![allow(non_snake_case, reason = "CUDA's names")]

use gvirtus_wire::api::cudart_types::*;
use std::ffi::{c_char, c_void};

gvirtus_wire::cudart_api!(gvirtus_cudart_core::export_13);
