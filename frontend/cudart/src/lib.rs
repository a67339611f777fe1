//! The CUDA runtime over the driver API, shared by libcudart.so.12 and libcudart.so.13
