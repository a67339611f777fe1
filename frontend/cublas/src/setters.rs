//! Setters: kept here for the getters, and sent behind, in order with the calls. Their errors are those that cuBLAS documents.

use std::ffi::c_void;

use gvirtus_wire::api::library::Function;

use crate::compute::send;
use crate::status::{INVALID_VALUE, NOT_SUPPORTED, SUCCESS};
use crate::{Status, handle};

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
    let valid = match name {
        "PointerMode" | "AtomicsMode" | "EnvironmentMode" => (0..=1).contains(&number),
        "SmCountTarget" => number >= 0,
        // CUBLAS_DEFAULT_MATH … and the bits that forbid reduced precision and allow emulation.
        "MathMode" => number >= 0,
        // Aligned as cuBLAS asks.
        "Workspace" => value % 256 == 0,
        _ => true,
    };
    if !valid {
        return if name == "MathMode" {
            NOT_SUPPORTED
        } else {
            INVALID_VALUE
        };
    }
    if handle::lacks(function.id()) {
        return NOT_SUPPORTED;
    }
    {
        let mut state = handle.state();
        match name {
            "Stream" => state.stream = value as *mut c_void,
            "PointerMode" => {
                state.pointer_mode = number as i32;
                // Travels with every call.
                return SUCCESS;
            }
            "Workspace" => {}
            _ if state.settings.get(name) == Some(&number) => return SUCCESS,
            _ => {
                state.settings.insert(name, number);
            }
        }
    }
    // SAFETY: setters have no pointers to host memory.
    unsafe { send(&handle, function, arguments, false) }
}
