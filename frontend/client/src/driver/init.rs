//! Initialization and version: <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__INITIALIZE.html>,
//! <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__VERSION.html>.
#![allow(non_snake_case, reason = "CUDA's names")]

use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use gvirtus_wire::api::types::error;

use crate::driver::{Result, put};
use crate::session::Session;

static INITIALIZED: AtomicBool = AtomicBool::new(false);
/// The driver's version once it is known: it stays known when the session is lost, and in a forked child.
static VERSION: AtomicI32 = AtomicI32::new(0);

/// Whether `cuInit` has succeeded.
#[inline]
pub(crate) fn initialized() -> bool {
    INITIALIZED.load(Ordering::Acquire)
}

/// Connects. Flags must be 0. `CUDA_ERROR_NO_DEVICE` if the backend has none for us, and what [`Session::get`] says if there is no backend.
pub(crate) fn cuInit(flags: u32) -> Result<()> {
    if flags != 0 {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let session = Session::get()?;
    VERSION.store(session.snapshot.driver_version, Ordering::Relaxed);
    if session.snapshot.devices.is_empty() {
        return Err(error::ERROR_NO_DEVICE);
    }
    INITIALIZED.store(true, Ordering::Release);
    Ok(())
}

/// The version of the box's driver (13000 is 13.0), never ours: libraries choose entry points by it. Allowed before `cuInit`.
pub(crate) unsafe fn cuDriverGetVersion(version: *mut i32) -> Result<()> {
    if version.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let value = self::version()?;
    // SAFETY: the caller's pointer.
    unsafe { put(version, value) }
}

/// The version of the box's driver.
pub(crate) fn version() -> Result<i32> {
    match VERSION.load(Ordering::Relaxed) {
        0 => {
            let version = Session::get()?.snapshot.driver_version;
            VERSION.store(version, Ordering::Relaxed);
            Ok(version)
        }
        known => Ok(known),
    }
}
