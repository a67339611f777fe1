//! What the runtime asks of the driver beside the documented API: modules from fat binaries, and the primary context before it is active.

use std::ffi::c_void;

use gvirtus_wire::api::types::{CUcontext, CUdevice, CUmodule, CUresult, error};

use super::slot;
use crate::driver::{context, device, module, put};

/// A module out of a fat binary's wrapper, in the current context.
pub(super) unsafe extern "C" fn load_module(
    module: *mut CUmodule,
    wrapper: *const c_void,
) -> CUresult {
    // SAFETY: the caller's pointers; `cuModuleLoadData` takes wrappers, too.
    slot("load_module", || unsafe {
        module::cuModuleLoadData(module, wrapper)
    })
}

/// A device's primary context, which stays inactive until somebody retains it.
pub(super) unsafe extern "C" fn primary_context(pctx: *mut CUcontext, dev: CUdevice) -> CUresult {
    slot("primary_context", || {
        let (ordinal, _) = device::by_handle(dev)?;
        let handle = context::primary_handle(ordinal)?;
        // SAFETY: the caller's pointer.
        unsafe { put(pctx, handle) }
    })
}

/// As [`load_module`]; what the last three parameters mean is not known, and they are null wherever this was seen called.
pub(super) unsafe extern "C" fn load_module_for_runtime(
    module: *mut CUmodule,
    wrapper: *const c_void,
    third: *mut c_void,
    fourth: *mut c_void,
    fifth: u32,
) -> CUresult {
    slot("load_module_for_runtime", || {
        if !third.is_null() || !fourth.is_null() || fifth != 0 {
            return Err(error::ERROR_NOT_SUPPORTED);
        }
        // SAFETY: the caller's pointers.
        unsafe { module::cuModuleLoadData(module, wrapper) }
    })
}

/// Returns nothing, and nothing is seen to depend on it.
pub(super) unsafe extern "C" fn note(_: usize) {}

/// A module out of a container, the wrapper's content; for the further parameters see [`load_module_for_runtime`].
pub(super) unsafe extern "C" fn load_container(
    container: *const c_void,
    module: *mut CUmodule,
    third: *mut c_void,
    fourth: *mut c_void,
    fifth: u32,
) -> CUresult {
    slot("load_container", || {
        if !third.is_null() || !fourth.is_null() || fifth != 0 {
            return Err(error::ERROR_NOT_SUPPORTED);
        }
        // SAFETY: the caller's pointers.
        unsafe { module::cuModuleLoadData(module, container) }
    })
}

/// Natively loads the compilers into the process ahead of time. Ours are the box's, which has them loaded when they are needed.
pub(super) unsafe extern "C" fn load_compilers() -> CUresult {
    error::SUCCESS
}

/// `cuCtxCreate_v2` that no tool sees; no tool sees the other either.
pub(super) unsafe extern "C" fn create_context(
    pctx: *mut CUcontext,
    flags: u32,
    dev: CUdevice,
) -> CUresult {
    // SAFETY: the caller's pointer.
    slot("create_context", || unsafe {
        context::cuCtxCreate_v2(pctx, flags, dev)
    })
}
