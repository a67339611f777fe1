//! `libcufft.so.12`: exports the cuFFT of `gvirtus-cufft-core` under NVIDIA's names.
#![allow(non_snake_case, reason = "cuFFT's names")]

macro_rules! export { ($($rows:tt)*) => { gvirtus_frontend_link::export_library! { gvirtus_cufft_core 12 $($rows)* } } }
gvirtus_wire::cufft_api!(export);
