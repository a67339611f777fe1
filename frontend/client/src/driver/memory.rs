//! Device memory: <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__MEM.html>.
#![allow(non_snake_case, reason = "CUDA's names")]

use gvirtus_wire::api::types::{CUdeviceptr, error};

use crate::driver::{Result, context, put, put_if, session};
use crate::memory::ledger::{self, Entry, Kind};
use crate::session::Session;
use crate::{capture, graph, memory, streams};

/// Rows of pitched memory begin at multiples of this, as natively.
const PITCH: usize = 512;

/// Allocates `size` bytes on the current device. `CUDA_ERROR_OUT_OF_MEMORY` exactly when the box says so.
pub(crate) unsafe fn cuMemAlloc_v2(pointer: *mut CUdeviceptr, size: usize) -> Result<()> {
    let session = session()?;
    let context = context::current()?;
    if pointer.is_null() || size == 0 {
        return Err(error::ERROR_INVALID_VALUE);
    }
    session.check(context.id)?;
    capture::forbid()?;
    let address = memory::device::allocate(session, context.device, context.id, size as u64)?;
    // SAFETY: the caller's pointer.
    unsafe { put(pointer, address) }
}

/// Allocates rows of `width` bytes; element sizes are 4, 8 and 16.
pub(crate) unsafe fn cuMemAllocPitch_v2(
    pointer: *mut CUdeviceptr,
    pitch: *mut usize,
    width: usize,
    height: usize,
    element: u32,
) -> Result<()> {
    if pointer.is_null()
        || pitch.is_null()
        || width == 0
        || height == 0
        || !matches!(element, 4 | 8 | 16)
    {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let row = width
        .checked_next_multiple_of(PITCH)
        .ok_or(error::ERROR_INVALID_VALUE)?;
    let size = row.checked_mul(height).ok_or(error::ERROR_OUT_OF_MEMORY)?;
    // SAFETY: the caller's pointers.
    unsafe {
        cuMemAlloc_v2(pointer, size)?;
        put(pitch, row)
    }
}

/// Frees device memory after the work that may use it: natively `cuMemFree` waits for running kernels, and programs rely on it.
pub(crate) fn cuMemFree_v2(address: CUdeviceptr) -> Result<()> {
    let session = session()?;
    session.check(context::current()?.id)?;
    if address == 0 {
        return Ok(());
    }
    let entry = ledger::at(address)
        .filter(|e| {
            matches!(
                e.kind,
                Kind::Device | Kind::Pooled { .. } | Kind::Imported { .. } | Kind::Managed
            )
        })
        .ok_or(error::ERROR_INVALID_VALUE)?;
    session.check(entry.context)?;
    capture::forbid()?;
    if let Kind::Imported { pool } = entry.kind {
        return if pool == 0 {
            Err(error::ERROR_INVALID_VALUE)
        } else {
            crate::driver::ipc::close(session, &entry)
        };
    }
    quiesce(session, &entry)?;
    if let Some(freed) = graph::memory::free(address) {
        // The graph keeps the place.
        return freed;
    }
    // Of two threads that free the same memory one finds it gone.
    let entry = ledger::remove(address).ok_or(error::ERROR_INVALID_VALUE)?;
    match entry.kind {
        Kind::Pooled { pool } => memory::pool::free(session, pool, &entry, None),
        Kind::Managed => memory::managed::free(session, &entry),
        _ => memory::device::free(session, &entry),
    }
    Ok(())
}

/// Waits until no work that may use a piece of memory is outstanding: a round trip only if some is.
pub(crate) fn quiesce(session: &Session, entry: &Entry) -> Result<()> {
    for context in context::on_device(entry.device) {
        if streams::outstanding(context) {
            context::synchronize(session, context)?;
        }
    }
    Ok(())
}

/// Bytes free and in all on the current device.
pub(crate) unsafe fn cuMemGetInfo_v2(free: *mut usize, total: *mut usize) -> Result<()> {
    let session = session()?;
    let context = context::current()?;
    let (bytes_free, bytes) = memory::device::info(session, context.device, context.id)?;
    // SAFETY: the caller's pointers.
    unsafe {
        put_if(free, bytes_free as usize);
        put_if(total, bytes as usize);
    }
    Ok(())
}

/// Start and size of the allocation that an address lies in.
pub(crate) unsafe fn cuMemGetAddressRange_v2(
    base: *mut CUdeviceptr,
    size: *mut usize,
    address: CUdeviceptr,
) -> Result<()> {
    session()?;
    context::current()?;
    let entry = ledger::find(address).ok_or(error::ERROR_NOT_FOUND)?;
    // SAFETY: the caller's pointers.
    unsafe {
        put_if(base, entry.address);
        put_if(size, entry.size as usize);
    }
    Ok(())
}
