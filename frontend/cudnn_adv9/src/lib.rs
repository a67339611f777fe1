//! `libcudnn_adv.so.9`: a part of cuDNN for programs that are linked to it; its functions are those of `libcudnn.so.9`.
#![allow(non_snake_case, reason = "cuDNN's names")]

include!(concat!(env!("OUT_DIR"), "/exports.rs"));
