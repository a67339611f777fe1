//! Primary contexts: one per device, shared by all its users in the process.
//!
//! See <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__PRIMARY__CTX.html>.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use gvirtus_wire::api::types::{CUcontext, CUdevice};

use super::context::Context;
use super::error::{ERROR_INVALID_CONTEXT, ERROR_INVALID_VALUE, Result};
use super::limits::CONTEXT_FLAGS;
use super::{device, ffi, handles};

/// A device's primary context; its handle is the same each time.
#[derive(Default)]
pub(super) struct Primary {
    handle: usize,
    flags: u32,
    users: usize,
    context: Option<Arc<Context>>,
}

pub(super) fn cuDevicePrimaryCtxRetain(pctx: *mut CUcontext, dev: CUdevice) -> Result {
    let device = device::resolve(dev)?;
    if pctx.is_null() {
        return Err(ERROR_INVALID_VALUE);
    }
    let mut primary = device.primary.lock();
    if primary.handle == 0 {
        primary.handle = handles::mint();
    }
    if primary.context.is_none() {
        primary.context = Some(Context::create(
            device.ordinal,
            primary.flags,
            Some(primary.handle),
        ));
    }
    primary.users += 1;
    ffi::put(pctx, handles::pointer(primary.handle))
}

pub(super) fn cuDevicePrimaryCtxRelease(dev: CUdevice) -> Result {
    cuDevicePrimaryCtxRelease_v2(dev)
}

pub(super) fn cuDevicePrimaryCtxRelease_v2(dev: CUdevice) -> Result {
    let device = device::resolve(dev)?;
    let gone = {
        let mut primary = device.primary.lock();
        if primary.users == 0 {
            return Err(ERROR_INVALID_CONTEXT);
        }
        primary.users -= 1;
        if primary.users == 0 {
            primary.context.take()
        } else {
            None
        }
    };
    if let Some(context) = gone {
        context.destroy();
    }
    Ok(())
}

pub(super) fn cuDevicePrimaryCtxReset(dev: CUdevice) -> Result {
    cuDevicePrimaryCtxReset_v2(dev)
}

pub(super) fn cuDevicePrimaryCtxReset_v2(dev: CUdevice) -> Result {
    let device = device::resolve(dev)?;
    let gone = {
        let mut primary = device.primary.lock();
        primary.users = 0;
        primary.flags = 0;
        primary.context.take()
    };
    if let Some(context) = gone {
        context.destroy();
    }
    Ok(())
}

pub(super) fn cuDevicePrimaryCtxSetFlags(dev: CUdevice, flags: u32) -> Result {
    cuDevicePrimaryCtxSetFlags_v2(dev, flags)
}

pub(super) fn cuDevicePrimaryCtxSetFlags_v2(dev: CUdevice, flags: u32) -> Result {
    let device = device::resolve(dev)?;
    if flags & !CONTEXT_FLAGS != 0 {
        return Err(ERROR_INVALID_VALUE);
    }
    let mut primary = device.primary.lock();
    primary.flags = flags;
    if let Some(context) = &primary.context {
        context.flags.store(flags, Ordering::Release);
    }
    Ok(())
}

pub(super) fn cuDevicePrimaryCtxGetState(
    dev: CUdevice,
    flags: *mut u32,
    active: *mut i32,
) -> Result {
    let device = device::resolve(dev)?;
    let primary = device.primary.lock();
    ffi::put_optional(flags, primary.flags);
    ffi::put_optional(active, i32::from(primary.context.is_some()));
    Ok(())
}
