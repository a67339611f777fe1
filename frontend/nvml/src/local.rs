//! Functions that are answered in the program's process.

use std::ffi::{CStr, c_void};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use gvirtus_wire::api::nvml_call::{
    ERROR_INSUFFICIENT_SIZE, ERROR_INVALID_ARGUMENT, ERROR_NOT_FOUND, ERROR_NOT_SUPPORTED,
    ERROR_TIMEOUT, ERROR_UNINITIALIZED, SUCCESS,
};

use crate::{Return, session};

/// How many calls of `nvmlInit` have not been taken back.
static INITIALIZED: AtomicU32 = AtomicU32::new(0);

/// Whether `nvmlInit` has been called.
pub(crate) fn initialized() -> bool {
    INITIALIZED.load(Ordering::Acquire) > 0
}

/// <https://docs.nvidia.com/deploy/nvml-api/group__nvmlInitializationAndCleanup.html>
pub(crate) fn nvmlInit_v2() -> Return {
    let result = session::init();
    if result == SUCCESS {
        INITIALIZED.fetch_add(1, Ordering::AcqRel);
    }
    result
}

/// As [`nvmlInit_v2`].
pub(crate) fn nvmlInit() -> Return {
    nvmlInit_v2()
}

/// As [`nvmlInit_v2`]: the flags say what to do about GPUs that are missing or not attached, which is the backend's business.
pub(crate) fn nvmlInitWithFlags(_flags: u32) -> Return {
    nvmlInit_v2()
}

/// <https://docs.nvidia.com/deploy/nvml-api/group__nvmlInitializationAndCleanup.html>
pub(crate) fn nvmlShutdown() -> Return {
    let before =
        INITIALIZED.fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| n.checked_sub(1));
    if before.is_ok() {
        SUCCESS
    } else {
        ERROR_UNINITIALIZED
    }
}

/// The name of a process that is shown: of another host's by the box's word, with the host before it; of this host's by its own.
///
/// # Safety
/// `name` is null or has `length` writable bytes.
pub(crate) unsafe fn nvmlSystemGetProcessName(pid: u32, name: *mut c_void, length: u32) -> Return {
    if !initialized() {
        return ERROR_UNINITIALIZED;
    }
    if name.is_null() || length == 0 {
        return ERROR_INVALID_ARGUMENT;
    }
    let line = match session::process_name(pid) {
        Some(name) => name.into_bytes(),
        None => match std::fs::read(format!("/proc/{pid}/cmdline")) {
            Ok(line) => line,
            Err(_) => return ERROR_NOT_FOUND,
        },
    };
    let program = line.split(|byte| *byte == 0).next().unwrap_or_default();
    let n = program.len().min(length as usize - 1);
    // SAFETY: `n` bytes and a NUL are at most `length`.
    unsafe {
        std::ptr::copy_nonoverlapping(program.as_ptr(), name.cast(), n);
        name.cast::<u8>().add(n).write(0);
    }
    if n < program.len() {
        ERROR_INSUFFICIENT_SIZE
    } else {
        SUCCESS
    }
}

/// How many event sets there have been. A set is a number: no event of the box is passed on, so that there is nothing to keep in one.
static EVENT_SETS: AtomicU64 = AtomicU64::new(0);

/// An event set, in which nothing will ever happen. <https://docs.nvidia.com/deploy/nvml-api/group__nvmlEvents.html>
///
/// # Safety
/// `set` is null or points to a handle.
pub(crate) unsafe fn nvmlEventSetCreate(set: *mut c_void) -> Return {
    if !initialized() {
        return ERROR_UNINITIALIZED;
    }
    if set.is_null() {
        return ERROR_INVALID_ARGUMENT;
    }
    let number = EVENT_SETS.fetch_add(1, Ordering::AcqRel) + 1;
    // SAFETY: not null, a handle by the function's contract.
    unsafe { set.cast::<u64>().write_unaligned(number) };
    SUCCESS
}

/// Whether a set has been made.
fn check_set(set: u64) -> Return {
    if !initialized() {
        ERROR_UNINITIALIZED
    } else if (1..=EVENT_SETS.load(Ordering::Acquire)).contains(&set) {
        SUCCESS
    } else {
        ERROR_INVALID_ARGUMENT
    }
}

/// See [`nvmlEventSetCreate`].
pub(crate) fn nvmlEventSetFree(set: u64) -> Return {
    check_set(set)
}

/// No event is passed on from the box, and none is supported.
///
/// # Safety
/// `types` is null or points to a mask.
pub(crate) unsafe fn nvmlDeviceGetSupportedEventTypes(
    _device: *mut c_void,
    types: *mut c_void,
) -> Return {
    if !initialized() {
        return ERROR_UNINITIALIZED;
    }
    if types.is_null() {
        return ERROR_INVALID_ARGUMENT;
    }
    // SAFETY: not null, a mask by the function's contract.
    unsafe { types.cast::<u64>().write_unaligned(0) };
    SUCCESS
}

/// Events that a device does not support are refused, as natively; none is supported.
pub(crate) fn nvmlDeviceRegisterEvents(_device: *mut c_void, types: u64, set: u64) -> Return {
    match check_set(set) {
        SUCCESS if types != 0 => ERROR_NOT_SUPPORTED,
        result => result,
    }
}

/// Waits as long as the program says, and times out.
pub(crate) fn nvmlEventSetWait_v2(set: u64, data: *mut c_void, timeout: u32) -> Return {
    match check_set(set) {
        SUCCESS if data.is_null() => ERROR_INVALID_ARGUMENT,
        SUCCESS => {
            std::thread::sleep(Duration::from_millis(u64::from(timeout)));
            ERROR_TIMEOUT
        }
        result => result,
    }
}

/// As [`nvmlEventSetWait_v2`].
pub(crate) fn nvmlEventSetWait(set: u64, data: *mut c_void, timeout: u32) -> Return {
    nvmlEventSetWait_v2(set, data, timeout)
}

/// The text of a return value.
pub(crate) fn error_string(result: Return) -> &'static CStr {
    match result {
        0 => c"Success",
        1 => c"Uninitialized",
        2 => c"Invalid Argument",
        3 => c"Not Supported",
        4 => c"Insufficient Permissions",
        5 => c"Already Initialized",
        6 => c"Not Found",
        7 => c"Insufficient Size",
        8 => c"Insufficient External Power",
        9 => c"Driver Not Loaded",
        10 => c"Timeout",
        11 => c"Interrupt Request Issue",
        12 => c"NVML Shared Library Not Found",
        13 => c"Function Not Found",
        14 => c"Corrupted infoROM",
        15 => c"GPU is lost",
        16 => c"GPU requires reset",
        17 => c"GPU access blocked by the operating system",
        18 => c"Driver/library version mismatch",
        19 => c"In use by another client",
        20 => c"Insufficient Memory",
        21 => c"No data",
        22 => c"vGPU ECC not supported",
        23 => c"Insufficient Resources",
        24 => c"Invalid Frequency",
        25 => c"Argument version mismatch",
        26 => c"Requested functionality has been deprecated",
        27 => c"System is not in ready state",
        28 => c"No supported GPUs were found",
        29 => c"Resource not in correct state to perform requested operation",
        30 => c"Reset type is not supported for given device",
        _ => c"Unknown Error",
    }
}
