//! `libcublas.so.12`: exports the cuBLAS of `gvirtus-cublas-core` under NVIDIA's names.
#![allow(non_snake_case, reason = "cuBLAS's names")]

macro_rules! export { ($($rows:tt)*) => { gvirtus_frontend_link::export_library! { gvirtus_cublas_core 12 $($rows)* } } }
gvirtus_wire::cublas_api!(export);
