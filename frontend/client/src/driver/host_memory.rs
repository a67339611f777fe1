//! Pinned and registered host memory: <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__MEM.html>.
#![allow(non_snake_case, reason = "CUDA's names")]

use std::ffi::c_void;

use gvirtus_wire::api::types::{CUdeviceptr, error};

use crate::driver::memory::quiesce;
use crate::driver::{Result, context, put, session};
use crate::memory::ledger::{self, Kind};
use crate::memory::{mapped, pinned};

/// `CU_MEMHOSTALLOC_PORTABLE | DEVICEMAP | WRITECOMBINED`.
const ALLOC_FLAGS: u32 = 7;
/// `CU_MEMHOSTREGISTER_PORTABLE | DEVICEMAP | IOMEMORY | READ_ONLY`.
const REGISTER_FLAGS: u32 = 15;
const DEVICEMAP: u32 = 2;
const IOMEMORY: u32 = 4;

/// Allocates pinned memory; no bytes are a null pointer.
pub(crate) unsafe fn cuMemHostAlloc(
    pointer: *mut *mut c_void,
    size: usize,
    flags: u32,
) -> Result<()> {
    let session = session()?;
    let context = context::current()?;
    if pointer.is_null() || flags & !ALLOC_FLAGS != 0 {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let address = match size as u64 {
        0 => 0,
        size => pinned::allocate(session, &context, size, flags)?,
    };
    // SAFETY: the caller's pointer.
    unsafe { put(pointer, address as *mut c_void) }
}

/// As `cuMemHostAlloc` with the flags that unified addressing implies.
pub(crate) unsafe fn cuMemAllocHost_v2(pointer: *mut *mut c_void, size: usize) -> Result<()> {
    // SAFETY: the caller's pointer.
    unsafe { cuMemHostAlloc(pointer, size, 0) }
}

/// Frees pinned memory, once the work that may use it is complete. A null pointer is none.
pub(crate) fn cuMemFreeHost(pointer: *mut c_void) -> Result<()> {
    let session = session()?;
    if pointer.is_null() {
        return Ok(());
    }
    let entry = ledger::at(pointer as u64)
        .filter(|e| matches!(e.kind, Kind::Pinned | Kind::Shared))
        .ok_or(error::ERROR_INVALID_VALUE)?;
    quiesce(session, &entry)?;
    pinned::free(session, &entry)
}

/// Registers memory of the program.
pub(crate) fn cuMemHostRegister_v2(pointer: *mut c_void, size: usize, flags: u32) -> Result<()> {
    let session = session()?;
    let context = context::current()?;
    if pointer.is_null() || size == 0 || flags & !REGISTER_FLAGS != 0 {
        return Err(error::ERROR_INVALID_VALUE);
    }
    if flags & IOMEMORY != 0 {
        return Err(error::ERROR_NOT_SUPPORTED);
    }
    pinned::register(session, &context, pointer as u64, size as u64, flags)
}

/// Undoes `cuMemHostRegister`, once the work that may use the memory is complete.
pub(crate) fn cuMemHostUnregister(pointer: *mut c_void) -> Result<()> {
    let session = session()?;
    if pointer.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let entry = ledger::find(pointer as u64)
        .filter(|e| matches!(e.kind, Kind::Registered { .. }))
        .ok_or(error::ERROR_HOST_MEMORY_NOT_REGISTERED)?;
    if entry.address != pointer as u64 {
        return Err(error::ERROR_INVALID_VALUE);
    }
    quiesce(session, &entry)?;
    pinned::unregister(session, &entry)
}

/// The device address of pinned memory: with unified addressing, its own address.
pub(crate) unsafe fn cuMemHostGetDevicePointer_v2(
    device: *mut CUdeviceptr,
    pointer: *mut c_void,
    flags: u32,
) -> Result<()> {
    let session = session()?;
    context::current()?;
    if device.is_null() || pointer.is_null() || flags != 0 {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let entry = ledger::find(pointer as u64)
        .filter(|e| !e.is_device())
        .ok_or(error::ERROR_INVALID_VALUE)?;
    if entry.has_shadow() {
        // Kernels may find the address anywhere from now on.
        mapped::map(session, &entry, true)?;
    }
    let offset = pointer as u64 - entry.address;
    let address = match entry.kind {
        Kind::Registered { device_pointer } => device_pointer + offset,
        _ => pointer as u64,
    };
    // SAFETY: the caller's pointer.
    unsafe { put(device, address) }
}

/// The flags that pinned memory was allocated with.
pub(crate) unsafe fn cuMemHostGetFlags(flags: *mut u32, pointer: *mut c_void) -> Result<()> {
    session()?;
    let entry = ledger::find(pointer as u64)
        .filter(|e| !e.is_device())
        .ok_or(error::ERROR_INVALID_VALUE)?;
    // Under unified addressing all pinned memory is mapped.
    // SAFETY: the caller's pointer.
    unsafe { put(flags, entry.flags | DEVICEMAP) }
}
