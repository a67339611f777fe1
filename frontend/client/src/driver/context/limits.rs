//! Limits of contexts, and preferences that are kept for them.

use std::sync::atomic::Ordering;

use gvirtus_wire::api::core::{ContextSetLimit, ResetPersistingL2};
use gvirtus_wire::api::types::error;

use super::current;
use crate::driver::{Result, put, session};

/// One past the last `CUlimit` that CUDA 13 knows.
const LIMITS: u32 = 10;

/// The worker may round the value, as the driver does; `cuCtxGetLimit` tells what it became.
pub(crate) fn cuCtxSetLimit(limit: u32, value: usize) -> Result<()> {
    let context = current()?;
    if limit >= LIMITS {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let value = value as u64;
    let became = session()?.call(context.id, &ContextSetLimit { limit, value })?;
    context.limits.lock().insert(limit, became);
    Ok(())
}

/// Lines that an access policy keeps in the L2 cache become ordinary ones.
pub(crate) fn cuCtxResetPersistingL2Cache() -> Result<()> {
    let context = current()?;
    session()?.call(context.id, &ResetPersistingL2 {})
}

/// What was set, or what a fresh context has.
pub(crate) unsafe fn cuCtxGetLimit(pvalue: *mut usize, limit: u32) -> Result<()> {
    let context = current()?;
    if pvalue.is_null() || limit >= LIMITS {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let set = context.limits.lock().get(&limit).copied();
    let value = match set {
        Some(value) => value,
        None => {
            let devices = &session()?.snapshot.devices;
            let device = devices.get(context.device as usize);
            let limits = device.map_or(&[][..], |d| &d.limits);
            let fresh = limits.iter().find(|(known, _)| *known == limit);
            fresh.ok_or(error::ERROR_UNSUPPORTED_LIMIT)?.1
        }
    };
    // SAFETY: not null, and the caller's.
    unsafe { put(pvalue, usize::try_from(value).unwrap_or(usize::MAX)) }
}

/// As it was set: 0 no preference, 1 shared memory, 2 L1, 3 equal.
pub(crate) unsafe fn cuCtxGetCacheConfig(pconfig: *mut u32) -> Result<()> {
    let context = current()?;
    // SAFETY: the caller's pointer.
    unsafe { put(pconfig, context.cache_config.load(Ordering::Relaxed)) }
}

/// A preference that changes no result; it is kept and reported, and not sent.
pub(crate) fn cuCtxSetCacheConfig(config: u32) -> Result<()> {
    let context = current()?;
    if config > 3 {
        return Err(error::ERROR_INVALID_VALUE);
    }
    context.cache_config.store(config, Ordering::Relaxed);
    Ok(())
}

/// Always four bytes, whatever was asked for: devices that CUDA 12 supports have one bank size.
pub(crate) unsafe fn cuCtxGetSharedMemConfig(pConfig: *mut u32) -> Result<()> {
    const FOUR_BYTE_BANKS: u32 = 1;
    current()?;
    // SAFETY: the caller's pointer.
    unsafe { put(pConfig, FOUR_BYTE_BANKS) }
}

/// Checked and without effect, as natively.
pub(crate) fn cuCtxSetSharedMemConfig(config: u32) -> Result<()> {
    current()?;
    if config > 2 {
        return Err(error::ERROR_INVALID_VALUE);
    }
    Ok(())
}
