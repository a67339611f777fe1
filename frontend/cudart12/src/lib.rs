//! libcudart.so.12
