//! `cufftResult`. See <https://docs.nvidia.com/cuda/cufft/#return-values>.

use gvirtus_wire::api::types::{CUresult, error};

use crate::Status;

/// `CUFFT_SUCCESS`.
pub const SUCCESS: Status = 0;
/// `CUFFT_INVALID_PLAN`.
pub const INVALID_PLAN: Status = 1;
/// `CUFFT_ALLOC_FAILED`.
pub const ALLOC_FAILED: Status = 2;
/// `CUFFT_INVALID_TYPE`.
pub const INVALID_TYPE: Status = 3;
/// `CUFFT_INVALID_VALUE`.
pub const INVALID_VALUE: Status = 4;
/// `CUFFT_INTERNAL_ERROR`.
pub const INTERNAL_ERROR: Status = 5;
/// `CUFFT_EXEC_FAILED`.
pub const EXEC_FAILED: Status = 6;
/// `CUFFT_SETUP_FAILED`.
pub const SETUP_FAILED: Status = 7;
/// `CUFFT_INVALID_DEVICE`.
pub const INVALID_DEVICE: Status = 11;
/// `CUFFT_NOT_IMPLEMENTED`.
pub const NOT_IMPLEMENTED: Status = 14;
/// `CUFFT_NOT_SUPPORTED`.
pub const NOT_SUPPORTED: Status = 16;

/// What cuFFT says when the driver fails it.
#[must_use]
pub fn of_driver(code: CUresult) -> Status {
    match code {
        error::SUCCESS => SUCCESS,
        error::ERROR_OUT_OF_MEMORY => ALLOC_FAILED,
        error::ERROR_NOT_INITIALIZED
        | error::ERROR_DEVICE_UNAVAILABLE
        | error::ERROR_NO_DEVICE
        | error::ERROR_NOT_SUPPORTED => SETUP_FAILED,
        error::ERROR_INVALID_VALUE => INVALID_VALUE,
        _ => EXEC_FAILED,
    }
}
