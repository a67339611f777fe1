//! Setters: kept here for the getters, and sent behind, in order with the calls. Values are checked as cuBLAS checks them.

use std::ffi::c_void;

use gvirtus_frontend_link::driver;
use gvirtus_frontend_link::start::device;
use gvirtus_wire::api::library::Function;

use crate::compute::send;
use crate::status::{INVALID_VALUE, NOT_SUPPORTED, SUCCESS};
use crate::{Status, handle};

/// `CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT`.
const MULTIPROCESSOR_COUNT: u32 = 16;

/// How many multiprocessors the device has; any number where nobody can say.
fn multiprocessors() -> i64 {
    let mut count = i32::MAX;
    if let (Some(driver), Some(device)) = (driver(), device()) {
        // SAFETY: the address is that of a local.
        unsafe { (driver.cuDeviceGetAttribute)(&raw mut count, MULTIPROCESSOR_COUNT, device) };
    }
    i64::from(count)
}

/// Keeps and sends what a setter was called with.
///
/// # Safety
/// The arguments are those of the function's declaration.
pub unsafe fn set(function: &Function, arguments: &[u64]) -> Status {
    let (Some(&handle), Some(&value)) = (arguments.first(), arguments.get(1)) else {
        return INVALID_VALUE;
    };
    let handle = match handle::find(handle as *mut c_void) {
        Ok(handle) => handle,
        Err(status) => return status,
    };
    let name = function.name.strip_prefix("cublasSet").unwrap_or_default();
    let name = name.strip_suffix("_v2").unwrap_or(name);
    let number = value.cast_signed();
    // By what cuBLAS 13.1 and 13.10 take.
    let valid = match name {
        "PointerMode"
        | "AtomicsMode"
        | "EnvironmentMode"
        | "FixedPointEmulationMantissaControl" => (0..=1).contains(&number),
        "EmulationStrategy" => (0..=2).contains(&number),
        "SmCountTarget" => number >= 0 && number <= multiprocessors(),
        "FixedPointEmulationMaxMantissaBitCount" => number >= 0,
        // CUBLAS_DEFAULT_MATH … and the bits that forbid reduced precision.
        "MathMode" => (0..=31).contains(&number),
        "EmulationSpecialValuesSupport" => (0..=0xffff).contains(&number),
        _ => true,
    };
    if !valid {
        return INVALID_VALUE;
    }
    if handle::lacks(function.id()) {
        return NOT_SUPPORTED;
    }
    {
        let mut state = handle.state();
        match name {
            "Stream" if !state.set_stream(value) => return SUCCESS,
            "Stream" => {}
            "PointerMode" => {
                state.pointer_mode = number as i32;
                // Travels with every call.
                return SUCCESS;
            }
            "Workspace" => {
                let bytes = arguments.get(2).copied().unwrap_or(0);
                if !state.set_workspace(value, bytes) {
                    return SUCCESS;
                }
            }
            _ if state.settings.get(name) == Some(&number) => return SUCCESS,
            _ => {
                state.settings.insert(name, number);
            }
        }
    }
    // SAFETY: setters have no pointers to host memory.
    unsafe { send(&handle, function, arguments, false) }
}
