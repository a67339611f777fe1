//! libcudart.so.13
