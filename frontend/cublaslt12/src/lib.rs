//! `libcublasLt.so.12`: exports the cuBLASLt of `gvirtus-cublaslt-core` under NVIDIA's names.
#![allow(non_snake_case, reason = "cuBLASLt's names")]

macro_rules! export { ($($rows:tt)*) => { gvirtus_frontend_link::export_library! { gvirtus_cublaslt_core 12 $($rows)* } } }
gvirtus_wire::cublaslt_api!(export);
