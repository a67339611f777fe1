//! Primary contexts: <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__PRIMARY__CTX.html>.

use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use gvirtus_wire::api::core::ContextReset;
use gvirtus_wire::api::types::{CUcontext, CUdevice, error};
use parking_lot::Mutex;

use super::*;
use crate::driver::library;

/// A device's primary context. The object lives as long as the process, so that its handle stays the same over release and retain, as natively.
struct Primary {
    context: Arc<Context>,
    state: Mutex<PrimaryState>,
}

#[derive(Default)]
struct PrimaryState {
    retained: u32,
    flags: u32,
}

fn primaries() -> Result<&'static [Primary]> {
    static PRIMARIES: OnceLock<Vec<Primary>> = OnceLock::new();
    if let Some(primaries) = PRIMARIES.get() {
        return Ok(primaries);
    }
    let session = session()?;
    let make = |(ordinal, _)| {
        let context = CONTEXTS.insert(|handle| Context::new(ordinal, ordinal, 0, false, handle))?;
        Some(Primary {
            context,
            state: Mutex::default(),
        })
    };
    Ok(PRIMARIES.get_or_init(|| {
        (0..)
            .zip(&session.snapshot.devices)
            .map_while(make)
            .collect()
    }))
}

fn primary(device: u32) -> Result<&'static Primary> {
    primaries()?
        .get(device as usize)
        .ok_or(error::ERROR_INVALID_DEVICE)
}

/// A device's primary context if it is retained, for functions that name a device and work on what its primary context has.
pub(crate) fn primary_of(device: u32) -> Result<Arc<Context>> {
    let primary = primary(device)?;
    if primary.context.alive() {
        Ok(Arc::clone(&primary.context))
    } else {
        Err(error::ERROR_INVALID_CONTEXT)
    }
}

/// A device's primary context, retained or not: the worker always has it.
pub(crate) fn primary_anyhow(device: u32) -> Result<Arc<Context>> {
    primary(device).map(|primary| Arc::clone(&primary.context))
}

/// The handle of a device's primary context, retained or not.
pub(crate) fn primary_handle(device: u32) -> Result<CUcontext> {
    Ok(handle(&primary(device)?.context))
}

/// Retains the device's primary context and returns it. It does not become current.
pub(crate) unsafe fn cuDevicePrimaryCtxRetain(pctx: *mut CUcontext, dev: CUdevice) -> Result<()> {
    let (ordinal, _) = device_by_handle(dev)?;
    if pctx.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let primary = primary(ordinal)?;
    let mut state = primary.state.lock();
    state.retained = state
        .retained
        .checked_add(1)
        .ok_or(error::ERROR_OUT_OF_MEMORY)?;
    let first = state.retained == 1;
    if first {
        primary.context.flags.store(state.flags, Ordering::Relaxed);
        primary.context.alive.store(true, Ordering::Release);
    }
    drop(state);
    if first {
        library::renew_managed(session()?, &primary.context);
    }
    // SAFETY: not null, and the caller's.
    unsafe { put(pctx, handle(&primary.context)) }
}

/// As [`cuDevicePrimaryCtxRelease_v2`].
pub(crate) fn cuDevicePrimaryCtxRelease(dev: CUdevice) -> Result<()> {
    cuDevicePrimaryCtxRelease_v2(dev)
}

/// The last release destroys what is in the context, as natively; the worker keeps the context itself.
pub(crate) fn cuDevicePrimaryCtxRelease_v2(dev: CUdevice) -> Result<()> {
    let (ordinal, _) = device_by_handle(dev)?;
    let primary = primary(ordinal)?;
    {
        let mut state = primary.state.lock();
        state.retained = state
            .retained
            .checked_sub(1)
            .ok_or(error::ERROR_INVALID_CONTEXT)?;
        if state.retained > 0 {
            return Ok(());
        }
        primary.context.alive.store(false, Ordering::Release);
    }
    empty_primary(ordinal)
}

/// As [`cuDevicePrimaryCtxReset_v2`].
pub(crate) fn cuDevicePrimaryCtxReset(dev: CUdevice) -> Result<()> {
    cuDevicePrimaryCtxReset_v2(dev)
}

/// Destroys the primary context, whoever retains it: calls in it return `CUDA_ERROR_CONTEXT_IS_DESTROYED` until somebody retains it again. Success if nobody does.
pub(crate) fn cuDevicePrimaryCtxReset_v2(dev: CUdevice) -> Result<()> {
    let (ordinal, _) = device_by_handle(dev)?;
    let primary = primary(ordinal)?;
    {
        let mut state = primary.state.lock();
        if state.retained == 0 {
            return Ok(());
        }
        state.retained = 0;
        primary.context.alive.store(false, Ordering::Release);
    }
    empty_primary(ordinal)
}

fn empty_primary(ordinal: u32) -> Result<()> {
    let primary = primary(ordinal)?;
    let session = session()?;
    context_storage::forget_context(handle(&primary.context));
    library::keep_managed(session, &primary.context);
    // A poisoned context can be reset: that is what makes it usable again.
    session.heal(ordinal);
    let result = session.call(ordinal, &ContextReset { device: ordinal });
    forget(ordinal);
    crate::memory::reset_device(ordinal);
    let context = &primary.context;
    context.limits.lock().clear();
    context.peers.lock().clear();
    context.cache_config.store(0, Ordering::Relaxed);
    context.unique.store(next_unique(), Ordering::Relaxed);
    result
}

/// As [`cuDevicePrimaryCtxSetFlags_v2`].
pub(crate) fn cuDevicePrimaryCtxSetFlags(dev: CUdevice, flags: u32) -> Result<()> {
    cuDevicePrimaryCtxSetFlags_v2(dev, flags)
}

/// How threads wait is the client's own affair: the flags are kept and reported.
pub(crate) fn cuDevicePrimaryCtxSetFlags_v2(dev: CUdevice, flags: u32) -> Result<()> {
    let (ordinal, _) = device_by_handle(dev)?;
    check_flags(flags)?;
    let primary = primary(ordinal)?;
    let mut state = primary.state.lock();
    state.flags = flags;
    if state.retained > 0 {
        primary.context.flags.store(flags, Ordering::Relaxed);
    }
    Ok(())
}

/// Flags, and whether anybody retains the primary context.
pub(crate) unsafe fn cuDevicePrimaryCtxGetState(
    dev: CUdevice,
    flags: *mut u32,
    active: *mut i32,
) -> Result<()> {
    let (ordinal, _) = device_by_handle(dev)?;
    if flags.is_null() || active.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let state = primary(ordinal)?.state.lock();
    // SAFETY: not null, and the caller's.
    unsafe {
        put_if(flags, state.flags);
        put_if(active, i32::from(state.retained > 0));
    }
    Ok(())
}
