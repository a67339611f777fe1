//! What devices and contexts can do beyond attributes: atomic operations across a bus, contexts on a part of a device, notifications.
//! <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__DEVICE.html>
#![allow(non_snake_case, reason = "CUDA's names")]

use std::ffi::c_void;

use gvirtus_wire::api::types::{CUasyncCallbackHandle, CUdevice, error};
use parking_lot::Mutex;

use crate::driver::{Result, context, device, put};

/// One past the last `CUatomicOperation`.
const ATOMIC_OPERATIONS: u32 = 13;
/// `CU_EXEC_AFFINITY_TYPE_SM_COUNT`.
const SM_COUNT: u32 = 0;
/// `CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT`.
const MULTIPROCESSORS: u32 = 16;

/// Says that none of the operations is atomic there.
///
/// # Safety
/// The caller's arrays.
unsafe fn none_of(capabilities: *mut u32, operations: *const u32, count: u32) -> Result<()> {
    if capabilities.is_null() || operations.is_null() || count == 0 {
        return Err(error::ERROR_INVALID_VALUE);
    }
    for at in 0..count as usize {
        // SAFETY: not null, and by this function's contract so long.
        unsafe {
            if operations.add(at).read_unaligned() >= ATOMIC_OPERATIONS {
                return Err(error::ERROR_INVALID_VALUE);
            }
            capabilities.add(at).write_unaligned(0);
        }
    }
    Ok(())
}

/// Which operations on the program's memory are atomic: the processor is elsewhere, and none is.
pub(crate) unsafe fn cuDeviceGetHostAtomicCapabilities(
    capabilities: *mut u32,
    operations: *const u32,
    count: u32,
    dev: CUdevice,
) -> Result<()> {
    device::by_handle(dev)?;
    // SAFETY: the caller's arrays.
    unsafe { none_of(capabilities, operations, count) }
}

/// Which operations on another device's memory are atomic: none is promised.
pub(crate) unsafe fn cuDeviceGetP2PAtomicCapabilities(
    capabilities: *mut u32,
    operations: *const u32,
    count: u32,
    srcDevice: CUdevice,
    dstDevice: CUdevice,
) -> Result<()> {
    device::by_handle(srcDevice)?;
    device::by_handle(dstDevice)?;
    if srcDevice == dstDevice {
        return Err(error::ERROR_INVALID_DEVICE);
    }
    // SAFETY: the caller's arrays.
    unsafe { none_of(capabilities, operations, count) }
}

/// Whether contexts can be made that have a part of the multiprocessors: that takes MPS, and we make none.
pub(crate) unsafe fn cuDeviceGetExecAffinitySupport(
    pi: *mut i32,
    _type: u32,
    dev: CUdevice,
) -> Result<()> {
    device::by_handle(dev)?;
    // SAFETY: the caller's pointer.
    unsafe { put(pi, 0) }
}

/// How many multiprocessors the current context has: all of them.
pub(crate) unsafe fn cuCtxGetExecAffinity(pExecAffinity: *mut c_void, type_: u32) -> Result<()> {
    let context = context::current()?;
    if type_ != SM_COUNT {
        return Err(error::ERROR_UNSUPPORTED_EXEC_AFFINITY);
    }
    let count = device::attribute(context.device, MULTIPROCESSORS).unwrap_or(0);
    // SAFETY: the caller's structure: the type, and the count.
    unsafe { put(pExecAffinity.cast::<[u32; 2]>(), [SM_COUNT, count as u32]) }
}

/// Handles of notifications that programs asked for.
static NOTIFICATIONS: Mutex<(usize, Vec<usize>)> = Mutex::new((0, Vec::new()));

/// Asks to be told when a device takes memory away from the program. That happens on Windows alone, here as natively.
pub(crate) unsafe fn cuDeviceRegisterAsyncNotification(
    dev: CUdevice,
    callbackFunc: *mut c_void,
    _userData: *mut c_void,
    callback: *mut CUasyncCallbackHandle,
) -> Result<()> {
    device::by_handle(dev)?;
    if callbackFunc.is_null() || callback.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let mut all = NOTIFICATIONS.lock();
    all.0 += 1;
    let handle = all.0;
    all.1.push(handle);
    // SAFETY: the caller's pointer.
    unsafe { put(callback, std::ptr::without_provenance_mut(handle)) }
}

/// Ends that.
pub(crate) fn cuDeviceUnregisterAsyncNotification(
    dev: CUdevice,
    callback: CUasyncCallbackHandle,
) -> Result<()> {
    device::by_handle(dev)?;
    let mut all = NOTIFICATIONS.lock();
    let at = all.1.iter().position(|known| *known == callback.addr());
    let at = at.ok_or(error::ERROR_INVALID_VALUE)?;
    all.1.swap_remove(at);
    Ok(())
}
