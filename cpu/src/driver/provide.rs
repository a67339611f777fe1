//! What providers of NVIDIA's libraries on the CPU device ask of it: functions beyond CUDA's, which also tell them that the driver is the CPU device.

use super::memory::memory;

/// Whether device memory `[address, address + size)` is there for a device. Device addresses are addresses in this process.
#[unsafe(no_mangle)]
pub(super) extern "C" fn gvirtus_cpu_accessible(device: i32, address: u64, size: u64) -> bool {
    let Ok(device) = usize::try_from(device) else {
        return false;
    };
    std::panic::catch_unwind(|| memory().accessible(device, address, size)).unwrap_or(false)
}
