//! `curandStatus_t`. See <https://docs.nvidia.com/cuda/curand/>.

use gvirtus_frontend_link::start::Failed;
use gvirtus_wire::api::types::{CUresult, error};

use crate::Status;

/// `CURAND_STATUS_SUCCESS`.
pub(crate) const SUCCESS: Status = 0;
/// `CURAND_STATUS_NOT_INITIALIZED`.
pub(crate) const NOT_INITIALIZED: Status = 101;
/// `CURAND_STATUS_ALLOCATION_FAILED`.
pub(crate) const ALLOCATION_FAILED: Status = 102;
/// `CURAND_STATUS_TYPE_ERROR`.
pub(crate) const TYPE_ERROR: Status = 103;
/// `CURAND_STATUS_OUT_OF_RANGE`.
pub(crate) const OUT_OF_RANGE: Status = 104;
/// `CURAND_STATUS_LENGTH_NOT_MULTIPLE`.
pub(crate) const LENGTH_NOT_MULTIPLE: Status = 105;
/// `CURAND_STATUS_LAUNCH_FAILURE`.
pub(crate) const LAUNCH_FAILURE: Status = 201;
/// `CURAND_STATUS_PREEXISTING_FAILURE`.
pub(crate) const PREEXISTING_FAILURE: Status = 202;
/// `CURAND_STATUS_INITIALIZATION_FAILED`.
pub(crate) const INITIALIZATION_FAILED: Status = 203;
/// `CURAND_STATUS_ARCH_MISMATCH`, "GPU does not support requested feature": cuRAND has no other way of saying "not supported".
pub(crate) const NOT_SUPPORTED: Status = 204;
/// `CURAND_STATUS_INTERNAL_ERROR`.
pub(crate) const INTERNAL_ERROR: Status = 999;

/// What cuRAND says when the driver fails it.
pub(crate) fn of_driver(code: CUresult) -> Status {
    match code {
        error::SUCCESS => SUCCESS,
        error::ERROR_OUT_OF_MEMORY => ALLOCATION_FAILED,
        error::ERROR_NOT_SUPPORTED => NOT_SUPPORTED,
        error::ERROR_NOT_INITIALIZED | error::ERROR_DEVICE_UNAVAILABLE | error::ERROR_NO_DEVICE => {
            INITIALIZATION_FAILED
        }
        error::ERROR_INVALID_VALUE => LAUNCH_FAILURE,
        // What a kernel of the program ran into before.
        _ => PREEXISTING_FAILURE,
    }
}

/// What cuRAND says if the box does not have it.
pub(crate) fn of_start(failed: Failed) -> Status {
    match failed {
        Failed::Cuda(code) => of_driver(code),
        Failed::Library(status) => status,
    }
}
