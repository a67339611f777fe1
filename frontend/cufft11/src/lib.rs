//! `libcufft.so.11`: exports the cuFFT of `gvirtus-cufft-core` under NVIDIA's names.
#![allow(non_snake_case, reason = "cuFFT's names")]

gvirtus_wire::cufft_api!(gvirtus_cufft_core::export_11);
