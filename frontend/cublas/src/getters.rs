//! Functions that are answered here.

use std::ffi::{c_char, c_void};

use crate::Status;
use crate::handle::{self, info};
use crate::status::{self, INVALID_VALUE, SUCCESS};

fn done(result: Result<(), Status>) -> Status {
    result.err().unwrap_or(SUCCESS)
}

/// # Safety
/// `out` is null or has room for a `T`.
unsafe fn put<T>(out: *mut c_void, value: T) -> Result<(), Status> {
    if out.is_null() {
        return Err(INVALID_VALUE);
    }
    // SAFETY: not null; by this function's contract.
    unsafe { out.cast::<T>().write_unaligned(value) };
    Ok(())
}

/// # Safety
/// `out` is null or has room for an `int`.
unsafe fn setting(handle: *mut c_void, name: &str, default: i32, out: *mut c_void) -> Status {
    let value = handle::find(handle).map(|handle| {
        let state = handle.state();
        state.settings.get(name).map_or(default, |v| *v as i32)
    });
    // SAFETY: by this function's contract.
    done(value.and_then(|value| unsafe { put(out, value) }))
}

macro_rules! settings { ($($(#[$doc:meta])* $function:ident, $name:literal, $default:literal;)*) => { $(
    $(#[$doc])*
    ///
    /// # Safety
    /// `out` is null or writable.
    pub unsafe fn $function(handle: *mut c_void, out: *mut c_void) -> Status {
        // SAFETY: by this function's contract.
        unsafe { setting(handle, $name, $default, out) }
    }
)* } }
settings! {
    /// <https://docs.nvidia.com/cuda/cublas/#cublasgetatomicsmode>
    cublasGetAtomicsMode, "AtomicsMode", 0;
    /// <https://docs.nvidia.com/cuda/cublas/#cublasgetmathmode>
    cublasGetMathMode, "MathMode", 0;
    /// <https://docs.nvidia.com/cuda/cublas/#cublasgetsmcounttarget>
    cublasGetSmCountTarget, "SmCountTarget", 0;
    /// Private: cuSOLVER's.
    cublasGetEnvironmentMode, "EnvironmentMode", 0;
    /// <https://docs.nvidia.com/cuda/cublas/#cublasgetemulationstrategy>
    cublasGetEmulationStrategy, "EmulationStrategy", 0;
    /// <https://docs.nvidia.com/cuda/cublas/#cublasgetemulationspecialvaluessupport>
    cublasGetEmulationSpecialValuesSupport, "EmulationSpecialValuesSupport", 0xffff;
    /// <https://docs.nvidia.com/cuda/cublas/#cublasgetfixedpointemulationmantissacontrol>
    cublasGetFixedPointEmulationMantissaControl, "FixedPointEmulationMantissaControl", 0;
    /// <https://docs.nvidia.com/cuda/cublas/#cublasgetfixedpointemulationmaxmantissabitcount>
    cublasGetFixedPointEmulationMaxMantissaBitCount, "FixedPointEmulationMaxMantissaBitCount", 0;
    /// <https://docs.nvidia.com/cuda/cublas/#cublasgetfixedpointemulationmantissabitoffset>
    cublasGetFixedPointEmulationMantissaBitOffset, "FixedPointEmulationMantissaBitOffset", 0;
}

/// The address that was set. <https://docs.nvidia.com/cuda/cublas/#cublasgetfixedpointemulationmantissabitcountpointer>
///
/// # Safety
/// `out` is null or writable.
pub unsafe fn cublasGetFixedPointEmulationMantissaBitCountPointer(
    handle: *mut c_void,
    out: *mut c_void,
) -> Status {
    let value = handle::find(handle).map(|handle| {
        let state = handle.state();
        let value = state
            .settings
            .get("FixedPointEmulationMantissaBitCountPointer");
        value.copied().unwrap_or(0)
    });
    // SAFETY: by this function's contract.
    done(value.and_then(|value| unsafe { put(out, value) }))
}

/// <https://docs.nvidia.com/cuda/cublas/#cublascreate>
///
/// # Safety
/// `out` is null or writable.
pub unsafe fn cublasCreate_v2(out: *mut c_void) -> Status {
    // SAFETY: by this function's contract.
    done(unsafe { handle::create(out) })
}

/// <https://docs.nvidia.com/cuda/cublas/#cublasdestroy>
pub fn cublasDestroy_v2(handle: *mut c_void) -> Status {
    done(handle::destroy(handle))
}

/// <https://docs.nvidia.com/cuda/cublas/#cublasgetstream>
///
/// # Safety
/// `out` is null or writable.
pub unsafe fn cublasGetStream_v2(handle: *mut c_void, out: *mut c_void) -> Status {
    let stream = handle::find(handle).map(|handle| handle.state().stream);
    // SAFETY: by this function's contract.
    done(stream.and_then(|stream| unsafe { put(out, stream) }))
}

/// <https://docs.nvidia.com/cuda/cublas/#cublasgetpointermode>
///
/// # Safety
/// `out` is null or writable.
pub unsafe fn cublasGetPointerMode_v2(handle: *mut c_void, out: *mut c_void) -> Status {
    let mode = handle::find(handle).map(|handle| handle.state().pointer_mode);
    // SAFETY: by this function's contract.
    done(mode.and_then(|mode| unsafe { put(out, mode) }))
}

/// The version of the box's library. <https://docs.nvidia.com/cuda/cublas/#cublasgetversion>
///
/// # Safety
/// `out` is null or writable.
pub unsafe fn cublasGetVersion_v2(_handle: *mut c_void, out: *mut c_void) -> Status {
    // SAFETY: by this function's contract.
    unsafe { cublasGetVersion(out) }
}

/// As [`cublasGetVersion_v2`].
///
/// # Safety
/// `out` is null or writable.
pub unsafe fn cublasGetVersion(out: *mut c_void) -> Status {
    // SAFETY: by this function's contract.
    done(info().and_then(|info| unsafe { put(out, info.version) }))
}

/// Major, minor and patch of the version. <https://docs.nvidia.com/cuda/cublas/#cublasgetproperty>
///
/// # Safety
/// `out` is null or writable.
pub unsafe fn cublasGetProperty(which: i32, out: *mut c_void) -> Status {
    let value = info().and_then(|info| match which {
        0 => Ok(info.version / 10_000),
        1 => Ok(info.version / 100 % 100),
        2 => Ok(info.version % 100),
        _ => Err(INVALID_VALUE),
    });
    // SAFETY: by this function's contract.
    done(value.and_then(|value| unsafe { put(out, value) }))
}

/// <https://docs.nvidia.com/cuda/cublas/#cublasgetcudartversion>
#[must_use]
pub fn cublasGetCudartVersion() -> Status {
    info().map_or(0, |info| info.version / 10_000 * 1000)
}

/// <https://docs.nvidia.com/cuda/cublas/#cublasgetstatusname>
#[must_use]
pub fn cublasGetStatusName(status: Status) -> *const c_char {
    status::name(status).as_ptr()
}

/// <https://docs.nvidia.com/cuda/cublas/#cublasgetstatusstring>
#[must_use]
pub fn cublasGetStatusString(status: Status) -> *const c_char {
    status::text(status).as_ptr()
}

/// Accepted: the box's library writes no log for this program. <https://docs.nvidia.com/cuda/cublas/#cublasloggerconfigure>
#[must_use]
pub fn cublasLoggerConfigure(_on: i32, _stdout: i32, _stderr: i32, _file: *mut c_void) -> Status {
    SUCCESS
}

static CALLBACK: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);

/// Kept, never called. <https://docs.nvidia.com/cuda/cublas/#cublassetloggercallback>
#[must_use]
pub fn cublasSetLoggerCallback(callback: *mut c_void) -> Status {
    CALLBACK.store(callback as usize, std::sync::atomic::Ordering::Relaxed);
    SUCCESS
}

/// <https://docs.nvidia.com/cuda/cublas/#cublasgetloggercallback>
///
/// # Safety
/// `out` is null or writable.
pub unsafe fn cublasGetLoggerCallback(out: *mut c_void) -> Status {
    let callback = CALLBACK.load(std::sync::atomic::Ordering::Relaxed);
    // SAFETY: by this function's contract.
    done(unsafe { put(out, callback) })
}

/// For the copies: a context to copy in.
pub(crate) fn ready() -> Result<(), Status> {
    handle::ensure_context()
}
