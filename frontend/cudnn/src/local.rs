//! Functions that are answered here.

use std::ffi::{c_char, c_void};
use std::sync::{Mutex, PoisonError};

use crate::Status;
use crate::handle::{self, info};
use crate::status::{self, BAD_PARAM, SUCCESS};

fn done(result: Result<(), Status>) -> Status {
    result.err().unwrap_or(SUCCESS)
}

/// # Safety
/// `out` is null or has room for a `T`.
pub(crate) unsafe fn put<T>(out: *mut c_void, value: T) -> Result<(), Status> {
    if out.is_null() {
        return Err(BAD_PARAM);
    }
    // SAFETY: not null; by this function's contract.
    unsafe { out.cast::<T>().write_unaligned(value) };
    Ok(())
}

/// <https://docs.nvidia.com/deeplearning/cudnn/backend/latest/api/cudnn-graph-library.html#cudnncreate>
///
/// # Safety
/// `out` is null or writable.
pub unsafe fn cudnnCreate(out: *mut c_void) -> Status {
    if out.is_null() {
        return BAD_PARAM;
    }
    // SAFETY: not null, and the program's.
    done(handle::create().and_then(|handle| unsafe { put(out, handle) }))
}

/// <https://docs.nvidia.com/deeplearning/cudnn/backend/latest/api/cudnn-graph-library.html#cudnndestroy>
#[must_use]
pub fn cudnnDestroy(handle: *mut c_void) -> Status {
    done(handle::destroy(handle as u64))
}

/// <https://docs.nvidia.com/deeplearning/cudnn/backend/latest/api/cudnn-graph-library.html#cudnnsetstream>
#[must_use]
pub fn cudnnSetStream(handle: *mut c_void, stream: *mut c_void) -> Status {
    done(handle::set_stream(handle as u64, stream as u64))
}

/// <https://docs.nvidia.com/deeplearning/cudnn/backend/latest/api/cudnn-graph-library.html#cudnngetstream>
///
/// # Safety
/// `out` is null or writable.
pub unsafe fn cudnnGetStream(handle: *mut c_void, out: *mut c_void) -> Status {
    let stream = handle::find(handle as u64).map(|handle| handle.stream());
    // SAFETY: by this function's contract.
    done(stream.and_then(|stream| unsafe { put(out, stream) }))
}

/// The version of the box's library; 0 where there is none. <https://docs.nvidia.com/deeplearning/cudnn/backend/latest/api/cudnn-graph-library.html#cudnngetversion>
#[must_use]
pub fn cudnnGetVersion() -> usize {
    info().map_or(0, |info| usize::try_from(info.version).unwrap_or(0))
}

/// Major, minor and patch of the version. <https://docs.nvidia.com/deeplearning/cudnn/backend/latest/api/cudnn-graph-library.html#cudnngetproperty>
///
/// # Safety
/// `out` is null or writable.
pub unsafe fn cudnnGetProperty(which: i32, out: *mut c_void) -> Status {
    let value = info().and_then(|info| match which {
        0 => Ok(info.version / 10_000),
        1 => Ok(info.version / 100 % 100),
        2 => Ok(info.version % 100),
        _ => Err(BAD_PARAM),
    });
    // SAFETY: by this function's contract.
    done(value.and_then(|value| unsafe { put(out, value) }))
}

/// <https://docs.nvidia.com/deeplearning/cudnn/backend/latest/api/cudnn-graph-library.html#cudnngeterrorstring>
#[must_use]
pub fn cudnnGetErrorString(status: Status) -> *const c_char {
    status::name(status).as_ptr()
}

/// The box's library has the message, of which only the status travels: an empty text.
/// <https://docs.nvidia.com/deeplearning/cudnn/backend/latest/api/cudnn-graph-library.html#cudnngetlasterrorstring>
///
/// # Safety
/// `message` is null or has room for `size` bytes.
pub unsafe fn cudnnGetLastErrorString(message: *mut c_void, size: i64) {
    if size > 0 && !message.is_null() {
        // SAFETY: by this function's contract.
        unsafe { message.cast::<u8>().write(0) };
    }
}

macro_rules! version_checks { ($($name:ident)*) => { $(
    /// All of cuDNN that is here is of one version.
    #[must_use]
    pub fn $name() -> Status {
        SUCCESS
    }
)* } }
version_checks! { cudnnAdvVersionCheck cudnnCnnVersionCheck cudnnGraphVersionCheck cudnnOpsVersionCheck cudnnSubquadraticOpsVersionCheck }

/// Mask, data and function of the program's callback.
static CALLBACK: Mutex<(i32, usize, usize)> = Mutex::new((0, 0, 0));

/// Kept, never called: the box's library writes no log for this program.
/// <https://docs.nvidia.com/deeplearning/cudnn/backend/latest/api/cudnn-graph-library.html#cudnnsetcallback>
#[must_use]
pub fn cudnnSetCallback(mask: i32, data: *mut c_void, function: *mut c_void) -> Status {
    /// `CUDNN_SEV_ERROR_EN`: errors are always told of, as cuDNN has it; the lowest bit is nothing.
    const ERRORS: i32 = 2;
    let mut callback = CALLBACK.lock().unwrap_or_else(PoisonError::into_inner);
    *callback = ((mask | ERRORS) & !1, data as usize, function as usize);
    SUCCESS
}

/// <https://docs.nvidia.com/deeplearning/cudnn/backend/latest/api/cudnn-graph-library.html#cudnngetcallback>
///
/// # Safety
/// The pointers are null or writable.
pub unsafe fn cudnnGetCallback(
    mask: *mut c_void,
    data: *mut c_void,
    function: *mut c_void,
) -> Status {
    let callback = *CALLBACK.lock().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: by this function's contract.
    done(unsafe {
        put(mask, callback.0)
            .and_then(|()| put(data, callback.1))
            .and_then(|()| put(function, callback.2))
    })
}
