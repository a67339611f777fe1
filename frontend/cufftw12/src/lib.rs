//! `libcufftw.so.12`: exports the cuFFTW of `gvirtus-cufftw-core` under NVIDIA's names.
#![allow(non_snake_case, reason = "FFTW's names")]

macro_rules! export { ($($rows:tt)*) => { gvirtus_frontend_link::export_library! { gvirtus_cufftw_core 12 $($rows)* } } }
gvirtus_wire::cufftw_api!(export);
