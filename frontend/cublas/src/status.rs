//! `cublasStatus_t`. See <https://docs.nvidia.com/cuda/cublas/#cublasstatus-t>.

use std::ffi::CStr;

use gvirtus_wire::api::types::{CUresult, error};

use crate::Status;

macro_rules! statuses { ($($name:ident = $value:literal, $text:literal;)*) => {
    $(#[doc = concat!("`CUBLAS_STATUS_", stringify!($name), "`.")]
    pub const $name: Status = $value;)*

    /// Name and text of a status.
    fn describe(status: Status) -> Option<(&'static CStr, &'static CStr)> {
        const fn c(text: &'static str) -> &'static CStr {
            match CStr::from_bytes_with_nul(text.as_bytes()) {
                Ok(text) => text,
                Err(_) => panic!("a text ends in its only NUL"),
            }
        }
        match status {
            $($value => Some((
                const { c(concat!("CUBLAS_STATUS_", stringify!($name), "\0")) },
                const { c(concat!($text, "\0")) },
            )),)*
            _ => None,
        }
    }
} }
statuses! {
    SUCCESS = 0, "success";
    NOT_INITIALIZED = 1, "the library was not initialized";
    ALLOC_FAILED = 3, "the resource allocation failed";
    INVALID_VALUE = 7, "an unsupported value or parameter was passed to the function";
    ARCH_MISMATCH = 8, "the function requires an architectural feature absent from the device";
    MAPPING_ERROR = 11, "an access to GPU memory space failed";
    EXECUTION_FAILED = 13, "the function failed to launch on the GPU";
    INTERNAL_ERROR = 14, "an internal operation failed";
    NOT_SUPPORTED = 15, "the requested functionality is not supported";
    LICENSE_ERROR = 16, "the license check failed";
}

/// `cublasGetStatusName`.
#[must_use]
pub fn name(status: Status) -> &'static CStr {
    describe(status).map_or(c"unrecognized status", |(name, _)| name)
}

/// `cublasGetStatusString`.
#[must_use]
pub fn text(status: Status) -> &'static CStr {
    describe(status).map_or(c"unrecognized status", |(_, text)| text)
}

/// What cuBLAS says when the driver fails it.
#[must_use]
pub fn of_driver(code: CUresult) -> Status {
    match code {
        error::SUCCESS => SUCCESS,
        error::ERROR_OUT_OF_MEMORY => ALLOC_FAILED,
        error::ERROR_NOT_INITIALIZED
        | error::ERROR_DEVICE_UNAVAILABLE
        | error::ERROR_NO_DEVICE
        | error::ERROR_NOT_SUPPORTED => NOT_INITIALIZED,
        error::ERROR_INVALID_VALUE => INVALID_VALUE,
        _ => EXECUTION_FAILED,
    }
}
