//! What `cufftXt.h` adds about several GPUs and callbacks, as far as it is answered here. See <https://docs.nvidia.com/cuda/cufft/#multiple-gpu-cufft-transforms>.
//!
//! cuFFT makes plans of two GPUs and more: with one, it refuses. Callbacks are functions of the device that a program links in: the shared library takes them as LTO-IR alone
//! (`cufftXtSetJITCallback`, which is sent), and says so of others.

use std::ffi::c_void;

use gvirtus_frontend_link::driver;
use gvirtus_frontend_link::guard::unsupported;
use gvirtus_wire::api::library::CUFFT;

use crate::Status;
use crate::compute::set;
use crate::plan::find;
use crate::status::{
    INTERNAL_ERROR, INVALID_DEVICE, INVALID_PLAN, INVALID_VALUE, NOT_IMPLEMENTED, NOT_SUPPORTED,
};

/// How many GPUs a plan may have that has several.
const SEVERAL: std::ops::RangeInclusive<i32> = 2..=16;

/// Refuses one GPU and those that there are not, as cuFFT does. <https://docs.nvidia.com/cuda/cufft/#cufftxtsetgpus>
///
/// # Safety
/// `devices` is null or has as many elements as are said.
pub unsafe fn cufftXtSetGPUs(plan: *mut c_void, count: i32, devices: *mut c_void) -> Status {
    if devices.is_null() {
        return INVALID_VALUE;
    }
    match find(plan as u64) {
        Err(status) => return status,
        Ok(plan) if plan.kind.is_some() => return INVALID_PLAN,
        Ok(_) => {}
    }
    let (true, Ok(length), Some(driver)) =
        (SEVERAL.contains(&count), usize::try_from(count), driver())
    else {
        return INVALID_VALUE;
    };
    let mut there = 0;
    // SAFETY: the address is that of a local; the array has this length by this function's contract.
    let devices = unsafe {
        (driver.cuDeviceGetCount)(&raw mut there);
        std::slice::from_raw_parts(devices.cast::<i32>(), length)
    };
    if devices.iter().any(|device| !(0..there).contains(device)) {
        return INVALID_DEVICE;
    }
    unsupported("cufftXtSetGPUs");
    NOT_SUPPORTED
}

/// No plan has the factors of one of several GPUs. <https://docs.nvidia.com/cuda/cufft/#cufftxtqueryplan>
#[must_use]
pub fn cufftXtQueryPlan(plan: *mut c_void, _out: *mut c_void, which: i32) -> Status {
    match (find(plan as u64), which) {
        (Err(status), _) => status,
        (Ok(_), 0) => INVALID_PLAN,
        (Ok(_), _) => INVALID_VALUE,
    }
}

/// The work area of the plan's one GPU. <https://docs.nvidia.com/cuda/cufft/#cufftxtsetworkarea>
///
/// # Safety
/// `areas` is null or leads to an address.
pub unsafe fn cufftXtSetWorkArea(plan: *mut c_void, areas: *mut c_void) -> Status {
    if areas.is_null() {
        return INVALID_VALUE;
    }
    if let Err(status) = find(plan as u64) {
        return status;
    }
    let Some(function) = CUFFT.iter().find(|f| f.name == "cufftSetWorkArea") else {
        return INTERNAL_ERROR;
    };
    // SAFETY: by this function's contract; the arguments are the other function's.
    unsafe {
        let area = areas.cast::<u64>().read_unaligned();
        set(function, &[plan as u64, area])
    }
}

/// For the static library. <https://docs.nvidia.com/cuda/cufft/#cufftxtsetcallback>
#[must_use]
pub fn cufftXtSetCallback(
    _plan: *mut c_void,
    _callbacks: *mut c_void,
    _kind: i32,
    _info: *mut c_void,
) -> Status {
    NOT_IMPLEMENTED
}

/// For the static library. <https://docs.nvidia.com/cuda/cufft/#cufftxtclearcallback>
#[must_use]
pub fn cufftXtClearCallback(_plan: *mut c_void, _kind: i32) -> Status {
    NOT_IMPLEMENTED
}
