//! libgvirtus.so: the one session of a process, and the CUDA driver API over it
