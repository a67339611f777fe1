//! The log of calls that failed: <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__LOGS.html>.
//!
//! It begins with a program's first question about it: until then no call does anything for it. NVIDIA's driver keeps one from the start, and mostly says more about what was wrong.
#![allow(non_snake_case, reason = "CUDA's names")]

use std::collections::VecDeque;
use std::ffi::{CStr, CString, c_char, c_void};
use std::fmt::Write as _;
use std::io::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use gvirtus_wire::api::types::{CUlogsCallbackHandle, CUresult, error};
use parking_lot::Mutex;

use crate::driver::{Result, error::cuGetErrorName, put};
use crate::stats;

/// `void (*)(void *data, CUlogLevel level, char *message, size_t length)`.
type Callback = unsafe extern "C" fn(*mut c_void, u32, *mut c_char, usize);

/// `CU_LOG_LEVEL_ERROR`.
const LEVEL_ERROR: u32 = 0;
/// As many entries are kept.
const MOST: usize = 100;

#[derive(Clone, Copy)]
struct Listener {
    handle: usize,
    function: Callback,
    data: usize,
}

struct Log {
    /// The number of the first entry that is kept.
    first: u32,
    entries: VecDeque<String>,
    listeners: Vec<Listener>,
    handles: usize,
}

static LOG: Mutex<Log> = Mutex::new(Log {
    first: 0,
    entries: VecDeque::new(),
    listeners: Vec::new(),
    handles: 0,
});

/// A call failed.
pub(crate) fn failed(function: &str, status: CUresult) {
    let mut name = std::ptr::null();
    // SAFETY: a variable of ours.
    let known = unsafe { cuGetErrorName(status, &raw mut name) }.is_ok();
    let name = if known && !name.is_null() {
        // SAFETY: a name that lives as long as the process.
        unsafe { CStr::from_ptr(name) }.to_string_lossy()
    } else {
        "an unknown error".into()
    };
    let message = format!("Returning {status} ({name}) from {function}");
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let (seconds, thousandths) = (now.as_secs(), now.subsec_millis());
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    // SAFETY: only asks for a number.
    let thread = unsafe { libc::pthread_self() };
    let mut line = String::new();
    let _ = writeln!(
        line,
        "[{hour:02}:{minute:02}:{second:02}.{thousandths:03}][{thread}][CUDA][E] {message}"
    );
    let listeners = {
        let mut log = LOG.lock();
        if log.entries.len() == MOST {
            log.entries.pop_front();
            log.first += 1;
        }
        log.entries.push_back(line);
        log.listeners.clone()
    };
    let Ok(message) = CString::new(message) else {
        return;
    };
    let length = message.as_bytes().len();
    for listener in listeners {
        // SAFETY: the program registered the function to be called so; it may call us, as no lock is held.
        unsafe {
            (listener.function)(
                listener.data as *mut c_void,
                LEVEL_ERROR,
                message.as_ptr().cast_mut(),
                length,
            );
        }
    }
}

/// Has a function called with every error.
pub(crate) unsafe fn cuLogsRegisterCallback(
    callbackFunc: *mut c_void,
    userData: *mut c_void,
    callback_out: *mut CUlogsCallbackHandle,
) -> Result<()> {
    stats::log_errors();
    if callbackFunc.is_null() || callback_out.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    // SAFETY: not null, and by CUDA's declaration a function of this type.
    let function = unsafe { std::mem::transmute::<*mut c_void, Callback>(callbackFunc) };
    let mut log = LOG.lock();
    log.handles += 1;
    let handle = log.handles;
    log.listeners.push(Listener {
        handle,
        function,
        data: userData as usize,
    });
    // SAFETY: the caller's pointer.
    unsafe { put(callback_out, std::ptr::without_provenance_mut(handle)) }
}

/// Ends that.
pub(crate) fn cuLogsUnregisterCallback(callback: CUlogsCallbackHandle) -> Result<()> {
    stats::log_errors();
    let mut log = LOG.lock();
    let before = log.listeners.len();
    log.listeners
        .retain(|listener| listener.handle != callback.addr());
    if log.listeners.len() == before {
        return Err(error::ERROR_INVALID_VALUE);
    }
    Ok(())
}

/// The end of the log.
pub(crate) unsafe fn cuLogsCurrent(iterator_out: *mut u32, _flags: u32) -> Result<()> {
    stats::log_errors();
    let log = LOG.lock();
    let end = log.first + log.entries.len() as u32;
    // SAFETY: the caller's pointer.
    unsafe { put(iterator_out, end) }
}

/// What has been logged since an iterator, which moves on; without one, all that there is.
///
/// # Safety
/// The caller's pointer, or null.
unsafe fn since(iterator: *mut u32) -> (String, u32) {
    let log = LOG.lock();
    // SAFETY: as this function's contract says.
    let from = unsafe { iterator.as_ref() }.map_or(0, |at| at.saturating_sub(log.first));
    let text = log.entries.iter().skip(from as usize).cloned().collect();
    (text, log.first + log.entries.len() as u32)
}

/// Writes the log to a file.
pub(crate) unsafe fn cuLogsDumpToFile(
    iterator: *mut u32,
    pathToFile: *const c_char,
    flags: u32,
) -> Result<()> {
    stats::log_errors();
    if pathToFile.is_null() || flags != 0 {
        return Err(error::ERROR_INVALID_VALUE);
    }
    // SAFETY: not null, and the caller's string; the caller's iterator.
    let (path, (text, end)) = unsafe { (CStr::from_ptr(pathToFile), since(iterator)) };
    let path = path.to_str().map_err(|_| error::ERROR_INVALID_VALUE)?;
    std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|_| error::ERROR_INVALID_VALUE)?;
    if !iterator.is_null() {
        // SAFETY: not null, and the caller's.
        unsafe { iterator.write(end) };
    }
    Ok(())
}

/// Writes the log to memory: what fits of its end, whole lines, and a NUL.
pub(crate) unsafe fn cuLogsDumpToMemory(
    iterator: *mut u32,
    buffer: *mut c_char,
    size: *mut usize,
    flags: u32,
) -> Result<()> {
    /// The least that CUDA takes.
    const LEAST: usize = 128;
    stats::log_errors();
    if buffer.is_null() || size.is_null() || flags != 0 {
        return Err(error::ERROR_INVALID_VALUE);
    }
    // SAFETY: not null, and the caller's.
    let room = unsafe { size.read() };
    if room < LEAST {
        return Err(error::ERROR_INVALID_VALUE);
    }
    // SAFETY: the caller's iterator.
    let (text, end) = unsafe { since(iterator) };
    let mut rest = text.as_str();
    while rest.len() >= room {
        rest = rest.split_once('\n').map_or("", |(_, rest)| rest);
    }
    // SAFETY: the caller's buffer of `room` bytes, of which the NUL is one; the caller's pointers.
    unsafe {
        if !rest.is_empty() {
            std::ptr::copy_nonoverlapping(rest.as_ptr(), buffer.cast(), rest.len());
            buffer.add(rest.len()).write(0);
        }
        size.write(rest.len());
        if !iterator.is_null() {
            iterator.write(end);
        }
    }
    Ok(())
}
