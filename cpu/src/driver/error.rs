//! Error codes, their names and descriptions.

use std::ffi::{CString, c_char};
use std::sync::OnceLock;

pub(super) use gvirtus_wire::api::types::error::*;

use super::ffi;

/// What a driver function answers: `Err` holds the `CUresult`.
pub(super) type Result<T = ()> = std::result::Result<T, i32>;

/// Descriptions for `cuGetErrorString`, in our words.
fn description(code: i32) -> &'static str {
    match code {
        SUCCESS => "no error",
        ERROR_INVALID_VALUE => "invalid argument",
        ERROR_OUT_OF_MEMORY => "out of memory",
        ERROR_NOT_INITIALIZED => "initialization error",
        ERROR_DEINITIALIZED => "driver shutting down",
        ERROR_NO_DEVICE => "no CUDA-capable device is detected",
        ERROR_INVALID_DEVICE => "invalid device ordinal",
        ERROR_INVALID_IMAGE => "device kernel image is invalid",
        ERROR_INVALID_CONTEXT => "invalid device context",
        ERROR_MAP_FAILED => "mapping of buffer object failed",
        ERROR_UNMAP_FAILED => "unmapping of buffer object failed",
        ERROR_ALREADY_MAPPED => "resource already mapped",
        ERROR_NOT_MAPPED => "resource not mapped",
        ERROR_NO_BINARY_FOR_GPU => "no kernel image is available for execution on the device",
        ERROR_UNSUPPORTED_LIMIT => "limit is not supported on this architecture",
        ERROR_PEER_ACCESS_UNSUPPORTED => "peer access is not supported between these two devices",
        ERROR_INVALID_PTX => "a PTX JIT compilation failed",
        ERROR_UNSUPPORTED_PTX_VERSION => {
            "the provided PTX was compiled with an unsupported toolchain."
        }
        ERROR_INVALID_SOURCE => "device kernel source is invalid",
        ERROR_FILE_NOT_FOUND => "file not found",
        ERROR_OPERATING_SYSTEM => "OS call failed or operation not supported on this OS",
        ERROR_INVALID_HANDLE => "invalid resource handle",
        ERROR_ILLEGAL_STATE => "the operation cannot be performed in the present state",
        ERROR_NOT_FOUND => "named symbol not found",
        ERROR_NOT_READY => "device not ready",
        ERROR_ILLEGAL_ADDRESS => "an illegal memory access was encountered",
        ERROR_LAUNCH_OUT_OF_RESOURCES => "too many resources requested for launch",
        ERROR_LAUNCH_TIMEOUT => "the launch timed out and was terminated",
        ERROR_PEER_ACCESS_ALREADY_ENABLED => "peer access is already enabled",
        ERROR_PEER_ACCESS_NOT_ENABLED => "peer access has not been enabled",
        ERROR_PRIMARY_CONTEXT_ACTIVE => "cannot set while device is active in this process",
        ERROR_CONTEXT_IS_DESTROYED => "context is destroyed",
        ERROR_ASSERT => "device-side assert triggered",
        ERROR_HOST_MEMORY_ALREADY_REGISTERED => {
            "part or all of the requested memory range is already mapped"
        }
        ERROR_HOST_MEMORY_NOT_REGISTERED => {
            "pointer does not correspond to a registered memory region"
        }
        ERROR_ILLEGAL_INSTRUCTION => "an illegal instruction was encountered",
        ERROR_MISALIGNED_ADDRESS => "misaligned address",
        ERROR_INVALID_ADDRESS_SPACE => "operation not supported on global/shared address space",
        ERROR_INVALID_PC => "invalid program counter",
        ERROR_LAUNCH_FAILED => "unspecified launch failure",
        ERROR_COOPERATIVE_LAUNCH_TOO_LARGE => "too many blocks in cooperative launch",
        ERROR_NOT_PERMITTED => "operation not permitted",
        ERROR_NOT_SUPPORTED => "operation not supported",
        ERROR_STREAM_CAPTURE_UNSUPPORTED => "operation not permitted when stream is capturing",
        ERROR_STREAM_CAPTURE_INVALIDATED => {
            "operation failed due to a previous error during capture"
        }
        ERROR_STREAM_CAPTURE_MERGE => {
            "operation would result in a merge of separate capture sequences"
        }
        ERROR_STREAM_CAPTURE_UNMATCHED => "capture was not ended in the same stream as it began",
        ERROR_STREAM_CAPTURE_UNJOINED => "capturing stream has unjoined work",
        ERROR_STREAM_CAPTURE_ISOLATION => "dependency created on uncaptured work in another stream",
        ERROR_STREAM_CAPTURE_IMPLICIT => {
            "operation would make the legacy stream depend on a capturing blocking stream"
        }
        ERROR_CAPTURED_EVENT => {
            "operation not permitted on an event last recorded in a capturing stream"
        }
        ERROR_STREAM_CAPTURE_WRONG_THREAD => {
            "attempt to terminate a thread-local capture sequence from another thread"
        }
        ERROR_GRAPH_EXEC_UPDATE_FAILURE => {
            "the graph update was not performed because it included changes which violated constraints"
        }
        ERROR_UNKNOWN => "unknown error",
        _ => "",
    }
}

struct Text {
    code: i32,
    name: CString,
    description: CString,
}

fn texts() -> &'static [Text] {
    static TEXTS: OnceLock<Vec<Text>> = OnceLock::new();
    TEXTS.get_or_init(|| {
        let text = |&(code, name): &(i32, &str)| {
            let words = match description(code) {
                // Codes that this device never returns are described by their name.
                "" => name
                    .trim_start_matches("CUDA_ERROR_")
                    .to_lowercase()
                    .replace('_', " "),
                words => words.to_owned(),
            };
            Text {
                code,
                name: CString::new(name).unwrap_or_default(),
                description: CString::new(words).unwrap_or_default(),
            }
        };
        NAMES.iter().map(text).collect()
    })
}

fn look_up(
    code: i32,
    out: *mut *const c_char,
    pick: impl Fn(&'static Text) -> &'static CString,
) -> Result {
    match texts().iter().find(|text| text.code == code) {
        Some(text) => ffi::put(out, pick(text).as_ptr()),
        None => {
            ffi::put_optional(out, std::ptr::null());
            Err(ERROR_INVALID_VALUE)
        }
    }
}

pub(super) fn cuGetErrorString(error: i32, pStr: *mut *const c_char) -> Result {
    look_up(error, pStr, |text| &text.description)
}

pub(super) fn cuGetErrorName(error: i32, pStr: *mut *const c_char) -> Result {
    look_up(error, pStr, |text| &text.name)
}
