//! `cuMemAlloc` and relatives.
//!
//! See <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__MEM.html>.

use super::{Kind, memory};
use crate::driver::error::{ERROR_INVALID_VALUE, ERROR_NOT_FOUND, Result};
use crate::driver::{capture, context, ffi, state};

/// Rows of pitched allocations start at multiples of this.
const PITCH: usize = 512;

pub(in crate::driver) fn cuMemGetInfo_v2(free: *mut usize, total: *mut usize) -> Result {
    let context = context::current()?;
    let physical = memory().physical(context.device);
    ffi::put_optional(free, physical.available() as usize);
    ffi::put_optional(total, physical.total() as usize);
    if free.is_null() && total.is_null() {
        Err(ERROR_INVALID_VALUE)
    } else {
        Ok(())
    }
}

pub(in crate::driver) fn cuMemAlloc_v2(dptr: *mut u64, bytesize: usize) -> Result {
    let context = context::current()?;
    if dptr.is_null() || bytesize == 0 {
        return Err(ERROR_INVALID_VALUE);
    }
    capture::forbid_unsafe_call()?;
    ffi::put(
        dptr,
        memory().allocate(context.device, context.id, bytesize as u64, Kind::Device)?,
    )
}

pub(in crate::driver) fn cuMemAllocPitch_v2(
    dptr: *mut u64,
    pPitch: *mut usize,
    WidthInBytes: usize,
    Height: usize,
    ElementSizeBytes: u32,
) -> Result {
    let context = context::current()?;
    if dptr.is_null()
        || pPitch.is_null()
        || WidthInBytes == 0
        || Height == 0
        || !matches!(ElementSizeBytes, 4 | 8 | 16)
    {
        return Err(ERROR_INVALID_VALUE);
    }
    capture::forbid_unsafe_call()?;
    let pitch = WidthInBytes
        .checked_next_multiple_of(PITCH)
        .ok_or(ERROR_INVALID_VALUE)?;
    let size = pitch.checked_mul(Height).ok_or(ERROR_INVALID_VALUE)?;
    let start = memory().allocate(context.device, context.id, size as u64, Kind::Device)?;
    ffi::put(pPitch, pitch)?;
    ffi::put(dptr, start)
}

pub(in crate::driver) fn cuMemFree_v2(dptr: u64) -> Result {
    // Native code frees null without complaint.
    let context = context::current()?;
    if dptr == 0 {
        return Ok(());
    }
    capture::forbid_unsafe_call()?;
    let allocation = memory()
        .allocation(dptr)
        .filter(|a| a.start == dptr && a.kind == Kind::Device)
        .ok_or(ERROR_INVALID_VALUE)?;
    // Freeing waits for running work, as it does on a GPU.
    if allocation.context == context.id {
        context.synchronize()?;
    } else if let Some(owner) = context::by_id(allocation.context) {
        let _ = owner.synchronize();
    }
    memory().free(dptr, |a| a.kind == Kind::Device)
}

pub(in crate::driver) fn cuMemGetAddressRange_v2(
    pbase: *mut u64,
    psize: *mut usize,
    dptr: u64,
) -> Result {
    state::require()?;
    let allocation = memory().allocation(dptr).ok_or(ERROR_NOT_FOUND)?;
    ffi::put_optional(pbase, allocation.start);
    ffi::put_optional(psize, allocation.size as usize);
    Ok(())
}
