//! `libcudart.so.13` over the CPU device, held to what NVIDIA's did on an H100.

const MAJOR: u32 = 13;

#[path = "../../cudart/tests/shared/cpu_device.rs"]
mod shared;
