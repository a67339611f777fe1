//! Which device and context a call works on: lazy initialisation, primary contexts, the calling thread's device.
//!
//! A thread's device is what it chose with `cudaSetDevice`, else the first. Its context is the one that is current in the driver, whoever made it so; when none is, the
//! device's primary context becomes current at the first call that needs one.

use crate::error::{
    DEVICES_UNAVAILABLE, INSUFFICIENT_DRIVER, INVALID_DEVICE, INVALID_VALUE, NO_DEVICE, Result,
    check,
};
use gvirtus_frontend_link::{Driver, driver as loaded};
use gvirtus_wire::api::types::error::is_sticky;
use gvirtus_wire::api::types::{CUcontext, CUdevice};
use parking_lot::Mutex;
use std::cell::Cell;
use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering};

/// Calls a driver function: `cu!(cuMemFree_v2(pointer))` is a [`Result`].
macro_rules! cu { ($name:ident($($argument:expr),* $(,)?)) => {
    // SAFETY: the arguments are the program's own, passed on as the driver's documentation asks, or live values of ours.
    $crate::context::driver().and_then(|driver| $crate::error::check(unsafe { (driver.$name)($($argument),*) }))
} }
pub(crate) use cu;

/// Writes through a pointer that the program gave: `put!(pointer, value)` fails with `cudaErrorInvalidValue` where it is null.
macro_rules! put { ($pointer:expr, $value:expr) => {{
    let pointer = $pointer;
    if pointer.is_null() {
        Err($crate::error::INVALID_VALUE)
    } else {
        // SAFETY: not null; that it points to what the function writes is the program's part of the contract, as with NVIDIA's library.
        unsafe { pointer.write($value) };
        Ok(())
    }
}} }
pub(crate) use put;

/// `CUDART_VERSION` of the library that this code is part of.
static VERSION: AtomicU32 = AtomicU32::new(13000);

/// Says which library this code is part of (12090 for `libcudart.so.12`). Called once, while the library is being loaded.
pub fn set_version(version: u32) {
    VERSION.store(version, Ordering::Relaxed);
}

/// `CUDART_VERSION`.
pub(crate) fn version() -> u32 {
    VERSION.load(Ordering::Relaxed)
}

/// 12 or 13.
pub(crate) fn major() -> u32 {
    version() / 1000
}

/// The driver's functions. Natively a program without a driver is told that its driver is too old, and so it is here when there is no session.
#[inline]
pub(crate) fn driver() -> Result<&'static Driver> {
    loaded().ok_or(INSUFFICIENT_DRIVER)
}

/// A device and its primary context.
#[derive(Debug)]
pub(crate) struct Device {
    pub(crate) handle: CUdevice,
    /// Null until the context is first needed.
    primary: AtomicPtr<c_void>,
    /// The context was reset: it must be retained anew before it is used again.
    reset: AtomicBool,
    retaining: Mutex<()>,
}

/// How many primary contexts were reset so far: none, nearly always.
static RESETS: AtomicU32 = AtomicU32::new(0);

thread_local! {
    /// What the thread chose with `cudaSetDevice`; -1 if nothing.
    static CHOSEN: Cell<i32> = const { Cell::new(-1) };
}

/// All devices; initialises the driver at the first call. A failure is not remembered: the next call tries again.
#[inline]
pub(crate) fn devices() -> Result<&'static [Device]> {
    static DEVICES: OnceLock<Vec<Device>> = OnceLock::new();
    if let Some(devices) = DEVICES.get() {
        return Ok(devices);
    }
    let found = find_devices()?;
    Ok(DEVICES.get_or_init(|| found))
}

#[cold]
fn find_devices() -> Result<Vec<Device>> {
    cu!(cuInit(0))?;
    let mut driver_version = 0;
    cu!(cuDriverGetVersion(&mut driver_version))?;
    if u32::try_from(driver_version).unwrap_or(0) / 1000 < major() {
        return Err(INSUFFICIENT_DRIVER);
    }
    let mut count = 0;
    cu!(cuDeviceGetCount(&mut count))?;
    if count <= 0 {
        return Err(NO_DEVICE);
    }
    (0..count)
        .map(|ordinal| {
            let mut handle = 0;
            cu!(cuDeviceGet(&mut handle, ordinal))?;
            Ok(Device {
                handle,
                primary: AtomicPtr::new(null_mut()),
                reset: AtomicBool::new(false),
                retaining: Mutex::new(()),
            })
        })
        .collect()
}

/// The device with a number.
pub(crate) fn device_at(ordinal: i32) -> Result<&'static Device> {
    let devices = devices()?;
    usize::try_from(ordinal)
        .ok()
        .and_then(|at| devices.get(at))
        .ok_or(INVALID_DEVICE)
}

impl Device {
    /// The primary context, retained.
    pub(crate) fn primary(&self) -> Result<CUcontext> {
        let context = self.primary.load(Ordering::Acquire);
        if !context.is_null() && !self.reset.load(Ordering::Acquire) {
            return Ok(context);
        }
        let _one_at_a_time = self.retaining.lock();
        let context = self.primary.load(Ordering::Acquire);
        if !context.is_null() && !self.reset.load(Ordering::Acquire) {
            return Ok(context);
        }
        let again = !context.is_null();
        let mut context = null_mut();
        // A device that a fault has made unusable for the process stays so when its context is reset.
        cu!(cuDevicePrimaryCtxRetain(&mut context, self.handle)).map_err(|error| {
            if again && is_sticky(error.0) {
                DEVICES_UNAVAILABLE
            } else {
                error
            }
        })?;
        if again {
            self.renew_managed(context)?;
        }
        self.primary.store(context, Ordering::Release);
        self.reset.store(false, Ordering::Release);
        Ok(context)
    }

    /// After a reset: host code reaches the managed variables by the pointers that it has, without a call.
    #[cold]
    fn renew_managed(&self, context: CUcontext) -> Result {
        cu!(cuCtxPushCurrent_v2(context))?;
        crate::registry::renew_managed(context);
        let mut popped = null_mut();
        cu!(cuCtxPopCurrent_v2(&mut popped))
    }

    /// Makes the primary context current on the calling thread.
    pub(crate) fn make_current(&self) -> Result {
        let context = self.primary()?;
        cu!(cuCtxSetCurrent(context))
    }

    /// The primary context if it was ever made.
    pub(crate) fn made(&self) -> Option<CUcontext> {
        let context = self.primary.load(Ordering::Acquire);
        (!context.is_null()).then_some(context)
    }

    /// Notes that the primary context was reset.
    pub(crate) fn was_reset(&self) {
        self.reset.store(true, Ordering::Release);
        RESETS.fetch_add(1, Ordering::Release);
    }
}

/// The thread's context, made current if there is none.
#[inline]
pub(crate) fn current() -> Result<CUcontext> {
    let devices = devices()?;
    let mut context = null_mut();
    cu!(cuCtxGetCurrent(&mut context))?;
    if !context.is_null() && (RESETS.load(Ordering::Acquire) == 0 || !was_reset(devices, context)) {
        return Ok(context);
    }
    let device = device_at(CHOSEN.get().max(0))?;
    device.make_current()?;
    device.primary()
}

fn was_reset(devices: &[Device], context: CUcontext) -> bool {
    devices.iter().any(|device| {
        device.primary.load(Ordering::Acquire) == context && device.reset.load(Ordering::Acquire)
    })
}

/// Whether a context is a device's primary one.
pub(crate) fn is_primary(context: CUcontext) -> bool {
    devices().is_ok_and(|devices| {
        devices
            .iter()
            .any(|device| device.primary.load(Ordering::Acquire) == context)
    })
}

/// The number of the thread's device: that of its current context, else what it chose. Makes no context.
pub(crate) fn current_device() -> Result<i32> {
    let devices = devices()?;
    let mut context = null_mut();
    cu!(cuCtxGetCurrent(&mut context))?;
    if !context.is_null() {
        if let Some(at) = devices
            .iter()
            .position(|device| device.primary.load(Ordering::Acquire) == context)
        {
            return i32::try_from(at).map_err(|_| INVALID_DEVICE);
        }
        let mut handle = 0;
        if cu!(cuCtxGetDevice(&mut handle)).is_ok()
            && let Some(at) = devices.iter().position(|device| device.handle == handle)
        {
            return i32::try_from(at).map_err(|_| INVALID_DEVICE);
        }
    }
    Ok(CHOSEN.get().max(0))
}

/// Makes a device the thread's.
pub(crate) fn choose(ordinal: i32) -> Result {
    let device = device_at(ordinal)?;
    CHOSEN.set(ordinal);
    device.make_current()
}

/// The default stream that a function variant works on when the program names none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefaultStream {
    /// The legacy default stream, which waits for the others and they for it.
    Legacy,
    /// The calling thread's own (`_ptsz` and `_ptds` variants).
    PerThread,
}

/// `CU_STREAM_PER_THREAD`.
pub(crate) const PER_THREAD: *mut c_void = 2 as *mut c_void;

impl DefaultStream {
    /// The stream that a program's argument means.
    #[inline]
    pub(crate) fn resolve(self, stream: *mut c_void) -> *mut c_void {
        if stream.is_null() && self == Self::PerThread {
            PER_THREAD
        } else {
            stream
        }
    }
}

/// What a driver function says about something that it did not find, in the runtime's words.
pub(crate) fn unless_found(result: Result, otherwise: crate::error::Error) -> Result {
    match result {
        Err(crate::error::SYMBOL_NOT_FOUND) => Err(otherwise),
        other => other,
    }
}

/// A value as the driver takes it, where the runtime's type is wider.
pub(crate) fn narrow<T: TryInto<U>, U>(value: T) -> Result<U> {
    value.try_into().map_err(|_| INVALID_VALUE)
}

/// The result of a call that fills in a value.
pub(crate) fn fill<T: Default>(call: impl FnOnce(&Driver, *mut T) -> i32) -> Result<T> {
    let mut value = T::default();
    check(call(driver()?, &mut value))?;
    Ok(value)
}

/// Runs something that the program did not ask for while one of its streams may be recording: it must neither be recorded nor forbidden.
pub(crate) fn outside_captures<T>(body: impl FnOnce() -> Result<T>) -> Result<T> {
    /// Puts the thread's mode back, whatever happens.
    struct Restore(u32);
    impl Drop for Restore {
        fn drop(&mut self) {
            let _ = cu!(cuThreadExchangeStreamCaptureMode(&mut self.0));
        }
    }
    const RELAXED: u32 = 2;
    let mut mode = RELAXED;
    let _restore = cu!(cuThreadExchangeStreamCaptureMode(&mut mode))
        .ok()
        .map(|()| Restore(mode));
    body()
}
