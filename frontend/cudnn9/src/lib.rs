//! `libcudnn.so.9`: exports the cuDNN of `gvirtus-cudnn-core` under NVIDIA's names.
#![allow(non_snake_case, reason = "cuDNN's names")]

macro_rules! export { ($($rows:tt)*) => { gvirtus_frontend_link::export_library! { gvirtus_cudnn_core 9 $($rows)* } } }
gvirtus_wire::cudnn_api!(export);
