//! The CPU device: a CUDA driver in software that runs kernels from their PTX
