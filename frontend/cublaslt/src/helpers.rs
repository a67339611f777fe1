//! Versions, names of statuses, and the logger, which is accepted and never called.

use std::ffi::{c_char, c_void};

use gvirtus_cublas_core::status::{self, INVALID_VALUE, SUCCESS};

use crate::Status;
use crate::handle::{LT_OF_BOX, of_start};

/// <https://docs.nvidia.com/cuda/cublas/#cublasltgetstatusname>
#[must_use]
pub fn cublasLtGetStatusName(code: Status) -> *const c_char {
    status::name(code).as_ptr()
}

/// <https://docs.nvidia.com/cuda/cublas/#cublasltgetstatusstring>
#[must_use]
pub fn cublasLtGetStatusString(code: Status) -> *const c_char {
    status::text(code).as_ptr()
}

/// <https://docs.nvidia.com/cuda/cublas/#cublasltgetversion>: 0 if the box does not have it.
#[must_use]
pub fn cublasLtGetVersion() -> usize {
    LT_OF_BOX
        .info()
        .map_or(0, |info| usize::try_from(info.version).unwrap_or(0))
}

/// <https://docs.nvidia.com/cuda/cublas/#cublasltgetcudartversion>: of the release whose functions are declared.
#[must_use]
pub fn cublasLtGetCudartVersion() -> usize {
    if LT_OF_BOX.major() == 12 {
        12_080
    } else {
        13_000
    }
}

/// <https://docs.nvidia.com/cuda/cublas/#cublasltgetproperty>
///
/// # Safety
/// `out` is null or writable.
pub unsafe fn cublasLtGetProperty(which: i32, out: *mut c_void) -> Status {
    let version = match LT_OF_BOX.info() {
        Ok(info) => info.version,
        Err(failed) => return of_start(failed),
    };
    let value = match which {
        0 => version / 10_000,
        1 => version / 100 % 100,
        2 => version % 100,
        _ => return INVALID_VALUE,
    };
    if out.is_null() {
        return INVALID_VALUE;
    }
    // SAFETY: not null; by this function's contract.
    unsafe { out.cast::<i32>().write_unaligned(value) };
    SUCCESS
}

/// <https://docs.nvidia.com/cuda/cublas/#cublasltloggersetcallback>
#[must_use]
pub fn cublasLtLoggerSetCallback(_callback: *mut c_void) -> Status {
    SUCCESS
}

/// <https://docs.nvidia.com/cuda/cublas/#cublasltloggersetfile>
#[must_use]
pub fn cublasLtLoggerSetFile(_file: *mut c_void) -> Status {
    SUCCESS
}

/// <https://docs.nvidia.com/cuda/cublas/#cublasltloggeropenfile>
#[must_use]
pub fn cublasLtLoggerOpenFile(_path: *mut c_void) -> Status {
    SUCCESS
}

/// <https://docs.nvidia.com/cuda/cublas/#cublasltloggersetlevel>
#[must_use]
pub fn cublasLtLoggerSetLevel(level: i32) -> Status {
    if level < 0 { INVALID_VALUE } else { SUCCESS }
}

/// <https://docs.nvidia.com/cuda/cublas/#cublasltloggersetmask>
#[must_use]
pub fn cublasLtLoggerSetMask(_mask: i32) -> Status {
    SUCCESS
}

/// <https://docs.nvidia.com/cuda/cublas/#cublasltloggerforcedisable>
#[must_use]
pub fn cublasLtLoggerForceDisable() -> Status {
    SUCCESS
}
