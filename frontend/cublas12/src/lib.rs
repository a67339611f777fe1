//! `libcublas.so.12`: exports the cuBLAS of `gvirtus-cublas-core` under NVIDIA's names.
#![allow(non_snake_case, reason = "cuBLAS's names")]

gvirtus_wire::cublas_api!(gvirtus_cublas_core::export_12);
