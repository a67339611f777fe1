//! `cudnnStatus_t`. See <https://docs.nvidia.com/deeplearning/cudnn/backend/latest/api/cudnn-graph-library.html#cudnnstatus-t>.

use std::ffi::CStr;

use gvirtus_wire::api::types::{CUresult, error};

use crate::Status;

macro_rules! statuses { ($($name:ident = $value:literal;)*) => {
    $(#[doc = concat!("`CUDNN_STATUS_", stringify!($name), "`.")]
    pub const $name: Status = $value;)*

    /// `cudnnGetErrorString`.
    #[must_use]
    pub fn name(status: Status) -> &'static CStr {
        const fn c(text: &'static str) -> &'static CStr {
            match CStr::from_bytes_with_nul(text.as_bytes()) {
                Ok(text) => text,
                Err(_) => panic!("a text ends in its only NUL"),
            }
        }
        match status {
            $($value => const { c(concat!("CUDNN_STATUS_", stringify!($name), "\0")) },)*
            _ => c"CUDNN_UNKNOWN_STATUS",
        }
    }
} }
statuses! {
    SUCCESS = 0;
    NOT_INITIALIZED = 1001;
    SUBLIBRARY_VERSION_MISMATCH = 1002;
    SERIALIZATION_VERSION_MISMATCH = 1003;
    DEPRECATED = 1004;
    LICENSE_ERROR = 1005;
    RUNTIME_IN_PROGRESS = 1006;
    RUNTIME_FP_OVERFLOW = 1007;
    SUBLIBRARY_LOADING_FAILED = 1008;
    BAD_PARAM = 2000;
    INVALID_VALUE = 2001;
    BAD_PARAM_NULL_POINTER = 2002;
    BAD_PARAM_MISALIGNED_POINTER = 2003;
    BAD_PARAM_NOT_FINALIZED = 2004;
    BAD_PARAM_OUT_OF_BOUND = 2005;
    BAD_PARAM_SIZE_INSUFFICIENT = 2006;
    BAD_PARAM_STREAM_MISMATCH = 2007;
    BAD_PARAM_SHAPE_MISMATCH = 2008;
    BAD_PARAM_DUPLICATED_ENTRIES = 2009;
    BAD_PARAM_ATTRIBUTE_TYPE = 2010;
    BAD_PARAM_CUDA_GRAPH_MISMATCH = 2011;
    BAD_PARAM_DESCRIPTOR_TYPE = 2012;
    NOT_SUPPORTED = 3000;
    NOT_SUPPORTED_GRAPH_PATTERN = 3001;
    NOT_SUPPORTED_SHAPE = 3002;
    NOT_SUPPORTED_DATA_TYPE = 3003;
    NOT_SUPPORTED_LAYOUT = 3004;
    NOT_SUPPORTED_INCOMPATIBLE_CUDA_DRIVER = 3005;
    NOT_SUPPORTED_INCOMPATIBLE_CUDART = 3006;
    NOT_SUPPORTED_ARCH_MISMATCH = 3007;
    NOT_SUPPORTED_RUNTIME_PREREQUISITE_MISSING = 3008;
    NOT_SUPPORTED_SUBLIBRARY_UNAVAILABLE = 3009;
    NOT_SUPPORTED_SHARED_MEMORY_INSUFFICIENT = 3010;
    NOT_SUPPORTED_PADDING = 3011;
    NOT_SUPPORTED_BAD_LAUNCH_PARAM = 3012;
    NOT_SUPPORTED_CUDA_GRAPH_NATIVE_API = 3013;
    NOT_SUPPORTED_INVALID_DYNAMIC_SHAPE = 3014;
    INTERNAL_ERROR = 4000;
    INTERNAL_ERROR_COMPILATION_FAILED = 4001;
    INTERNAL_ERROR_UNEXPECTED_VALUE = 4002;
    INTERNAL_ERROR_HOST_ALLOCATION_FAILED = 4003;
    INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED = 4004;
    INTERNAL_ERROR_BAD_LAUNCH_PARAM = 4005;
    INTERNAL_ERROR_TEXTURE_CREATION_FAILED = 4006;
    EXECUTION_FAILED = 5000;
    EXECUTION_FAILED_CUDA_DRIVER = 5001;
    EXECUTION_FAILED_CUBLAS = 5002;
    EXECUTION_FAILED_CUDART = 5003;
    EXECUTION_FAILED_CURAND = 5004;
}

/// What cuDNN says when the driver fails it.
#[must_use]
pub fn of_driver(code: CUresult) -> Status {
    match code {
        error::SUCCESS => SUCCESS,
        error::ERROR_OUT_OF_MEMORY => INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED,
        error::ERROR_NOT_INITIALIZED
        | error::ERROR_DEVICE_UNAVAILABLE
        | error::ERROR_NO_DEVICE
        | error::ERROR_NOT_SUPPORTED => NOT_INITIALIZED,
        error::ERROR_INVALID_VALUE => BAD_PARAM,
        _ => EXECUTION_FAILED_CUDA_DRIVER,
    }
}
