//! libcuda.so.1: the CUDA driver API for programs, forwarded to the session
