//! Errors: how the driver's become the runtime's, the calling thread's last error, names and texts.
//!
//! What NVIDIA's runtime does, observed on CUDA 12.9 and 13.0: every failing call leaves its error behind for `cudaGetLastError`, a later success does not clear it, and
//! `cudaErrorNotReady` is not left behind. The error of a fault is no exception: it is returned again because every call fails again, not because the last error stays.

use crate::error_table::ERRORS;
use gvirtus_wire::api::cudart_types::cudaError_t;
use gvirtus_wire::api::types::CUresult;
use std::cell::Cell;
use std::ffi::{CStr, c_char};

/// An error of the runtime API (`cudaError_t` other than `cudaSuccess`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Error(pub(crate) cudaError_t);

/// What a function of the runtime returns.
pub type Result<T = ()> = std::result::Result<T, Error>;

macro_rules! errors { ($($name:ident = $value:literal)*) => { $(
    #[doc = concat!("`cudaError_t` ", stringify!($value))]
    pub(crate) const $name: Error = Error($value);
)* } }
errors! {
    INVALID_VALUE = 1
    INVALID_CONFIGURATION = 9
    INVALID_PITCH_VALUE = 12
    INVALID_SYMBOL = 13
    INVALID_CHANNEL_DESCRIPTOR = 20
    INVALID_MEMCPY_DIRECTION = 21
    INVALID_FILTER_SETTING = 26
    INVALID_NORM_SETTING = 27
    INSUFFICIENT_DRIVER = 35
    DEVICES_UNAVAILABLE = 46
    MISSING_CONFIGURATION = 52
    INVALID_DEVICE_FUNCTION = 98
    NO_DEVICE = 100
    INVALID_DEVICE = 101
    INVALID_KERNEL_IMAGE = 200
    NO_KERNEL_IMAGE_FOR_DEVICE = 209
    INVALID_RESOURCE_HANDLE = 400
    SYMBOL_NOT_FOUND = 500
    NOT_READY = 600
    NOT_SUPPORTED = 801
    UNKNOWN = 999
}

/// A driver result as the runtime's: the two share their numbers.
#[inline]
pub(crate) fn check(result: CUresult) -> Result {
    if result == 0 {
        Ok(())
    } else {
        Err(Error(result))
    }
}

thread_local! {
    static LAST: Cell<cudaError_t> = const { Cell::new(0) };
}

/// Turns a function's outcome into what it returns, and leaves an error behind for `cudaGetLastError`.
#[inline]
pub(crate) fn finish(outcome: Result) -> cudaError_t {
    match outcome {
        Ok(()) => 0,
        Err(NOT_READY) => NOT_READY.0,
        Err(error) => {
            // A thread that is ending has no last error any more, and nobody to ask for it.
            let _ = LAST.try_with(|last| last.set(error.0));
            error.0
        }
    }
}

/// Returns the calling thread's last error and resets it.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__ERROR.html>
pub unsafe fn cudaGetLastError() -> cudaError_t {
    LAST.try_with(|last| last.replace(0)).unwrap_or(0)
}

/// Returns the calling thread's last error.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__ERROR.html>
pub unsafe fn cudaPeekAtLastError() -> cudaError_t {
    LAST.try_with(Cell::get).unwrap_or(0)
}

const UNRECOGNIZED: &CStr = c"unrecognized error code";

/// The name of an error (`cudaErrorInvalidValue`).
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__ERROR.html>
pub unsafe fn cudaGetErrorName(error: cudaError_t) -> *const c_char {
    find(error)
        .map_or(UNRECOGNIZED, |(_, name, _)| name)
        .as_ptr()
}

/// What an error means, in NVIDIA's words.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__ERROR.html>
pub unsafe fn cudaGetErrorString(error: cudaError_t) -> *const c_char {
    find(error)
        .map_or(UNRECOGNIZED, |(_, _, text)| text)
        .as_ptr()
}

fn find(error: cudaError_t) -> Option<&'static (i32, &'static CStr, &'static CStr)> {
    ERRORS
        .binary_search_by_key(&error, |row| row.0)
        .ok()
        .map(|at| &ERRORS[at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_ordered_and_known_errors_are_found() {
        assert!(ERRORS.is_sorted_by_key(|row| row.0));
        assert_eq!(find(700).unwrap().1, c"cudaErrorIllegalAddress");
        assert!(find(12345).is_none() && find(-1).is_none());
    }

    #[test]
    fn a_failure_stays_until_it_is_asked_for_and_not_ready_leaves_nothing() {
        std::thread::spawn(|| {
            assert_eq!(finish(Err(INVALID_VALUE)), 1);
            assert_eq!(finish(Ok(())), 0);
            assert_eq!(finish(Err(NOT_READY)), 600);
            // SAFETY: the functions take no pointers.
            unsafe {
                assert_eq!(cudaPeekAtLastError(), 1);
                assert_eq!(cudaGetLastError(), 1);
                assert_eq!(cudaGetLastError(), 0);
            }
        })
        .join()
        .unwrap();
    }
}
