//! What providers of NVIDIA's libraries on the CPU device ask of it: functions beyond CUDA's, which also tell them that the driver is the CPU device.

use std::ffi::c_void;

use super::error::{ERROR_LAUNCH_FAILED, SUCCESS};
use super::memory::memory;
use super::work::{Provided, UserData, Work};
use super::{handles, stream};

/// Whether device memory `[address, address + size)` is there for a device. Device addresses are addresses in this process.
#[unsafe(no_mangle)]
pub(super) extern "C" fn gvirtus_cpu_accessible(device: i32, address: u64, size: u64) -> bool {
    let Ok(device) = usize::try_from(device) else {
        return false;
    };
    std::panic::catch_unwind(|| memory().accessible(device, address, size)).unwrap_or(false)
}

/// Has a stream run a provider's work, which answers a `CUresult`: anything but success is a fault of the context, as a kernel's would be.
///
/// # Safety
/// `function` may be called with `data` from another thread, once, or in a stream that captures any number of times.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn gvirtus_cpu_launch(
    stream: usize,
    function: unsafe extern "C" fn(*mut c_void) -> i32,
    data: *mut c_void,
) -> i32 {
    let launched = std::panic::catch_unwind(|| {
        stream::resolve(handles::pointer(stream))?.enqueue(Work::Provided(Provided {
            function,
            data: UserData(data),
        }))
    });
    match launched {
        Ok(Ok(())) => SUCCESS,
        Ok(Err(code)) => code,
        Err(_) => ERROR_LAUNCH_FAILED,
    }
}
