//! `libcudnn.so.9`: exports the cuDNN of `gvirtus-cudnn-core` under NVIDIA's names.
#![allow(non_snake_case, reason = "cuDNN's names")]

gvirtus_wire::cudnn_api!(gvirtus_cudnn_core::export_9);
