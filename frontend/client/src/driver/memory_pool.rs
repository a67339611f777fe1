//! Stream-ordered allocation: <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__MALLOC__ASYNC.html>. All of it is answered here: see `crate::memory::pool`.
#![allow(non_snake_case, reason = "CUDA's names")]

use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use gvirtus_wire::api::types::{
    CUdevice, CUdeviceptr, CUmemAccessDesc, CUmemLocation, CUmemoryPool, CUstream, error,
};

use crate::driver::{Result, context, device, graph_memory, ipc, put, session};
use crate::graph;
use crate::graph::work::Work;
use crate::memory::ledger::{self, Kind};
use crate::memory::pool::{self, Pool};
use crate::streams::{self, Stream};
use crate::{capture, log};

/// `CUmemPool_attribute`.
mod attribute {
    pub(super) const REUSE_FIRST: u32 = 1;
    pub(super) const REUSE_LAST: u32 = 3;
    pub(super) const RELEASE_THRESHOLD: u32 = 4;
    pub(super) const RESERVED_CURRENT: u32 = 5;
    pub(super) const RESERVED_HIGH: u32 = 6;
    pub(super) const USED_CURRENT: u32 = 7;
    pub(super) const USED_HIGH: u32 = 8;
}

/// `CU_MEM_ALLOCATION_TYPE_PINNED`.
const TYPE_PINNED: u32 = 1;
/// `CU_MEM_LOCATION_TYPE_DEVICE`.
const ON_DEVICE: u32 = 1;
/// `CU_MEM_ACCESS_FLAGS_PROT_READ` and `_READWRITE`.
const READ: u32 = 1;
const READ_WRITE: u32 = 3;

/// `CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR`.
const POSIX_FD: u32 = 1;

/// `CUmemPoolProps`.
#[repr(C)]
#[derive(Clone, Copy)]
struct PoolProps {
    type_: u32,
    handle_types: u32,
    location: CUmemLocation,
    security: *mut c_void,
    most: usize,
    usage: u16,
    reserved: [u8; 54],
}

fn resolve(pool: CUmemoryPool) -> Result<Arc<Pool>> {
    pool::by_handle(pool as u64)
}

fn handle(pool: &Pool) -> CUmemoryPool {
    pool.handle as *mut c_void
}

/// The stream that a program orders allocations on.
fn stream(handle: CUstream) -> Result<Arc<Stream>> {
    let session = session()?;
    let context = context::current()?;
    let stream = streams::resolve(session, &context, handle)?;
    session.check(stream.context)?;
    capture::enqueue_allowed(&stream)?;
    Ok(stream)
}

/// # Safety
/// The caller's pointer.
unsafe fn allocate(
    pointer: *mut CUdeviceptr,
    size: usize,
    from: Option<&Pool>,
    on: CUstream,
) -> Result<()> {
    let session = session()?;
    if pointer.is_null() || size == 0 {
        context::current()?;
        return Err(error::ERROR_INVALID_VALUE);
    }
    let stream = stream(on)?;
    let own;
    let pool = match from {
        Some(pool) => pool,
        None => {
            own = pool::current_of(context::device_of(stream.context)?);
            &own
        }
    };
    if pool.imported {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let address = if let Some(capture) = capture::of(&stream) {
        let memory = graph_memory::captured(session, &capture, &stream, pool.device, size as u64)?;
        let address = memory.address;
        capture.record(&stream, Work::Allocate(memory));
        address
    } else {
        pool::allocate(session, pool, &stream, size as u64)?
    };
    // SAFETY: this function's contract.
    unsafe { put(pointer, address) }
}

/// Allocates from the current pool of the stream's device.
pub(crate) unsafe fn cuMemAllocAsync(
    pointer: *mut CUdeviceptr,
    size: usize,
    stream: CUstream,
) -> Result<()> {
    // SAFETY: the caller's pointer.
    unsafe { allocate(pointer, size, None, stream) }
}

/// Allocates from a given pool.
pub(crate) unsafe fn cuMemAllocFromPoolAsync(
    pointer: *mut CUdeviceptr,
    size: usize,
    pool: CUmemoryPool,
    stream: CUstream,
) -> Result<()> {
    session()?;
    let pool = resolve(pool)?;
    // SAFETY: the caller's pointer.
    unsafe { allocate(pointer, size, Some(&pool), stream) }
}

/// Frees behind what is on the stream; nobody waits.
pub(crate) fn cuMemFreeAsync(address: CUdeviceptr, on: CUstream) -> Result<()> {
    let session = session()?;
    let stream = stream(on)?;
    if address == 0 {
        return Ok(());
    }
    let entry = ledger::at(address)
        .filter(|e| {
            matches!(
                e.kind,
                Kind::Device | Kind::Pooled { .. } | Kind::Imported { .. }
            )
        })
        .ok_or(error::ERROR_INVALID_VALUE)?;
    if let Some(capture) = capture::of(&stream) {
        if !graph::memory::is(address) {
            capture.invalidate();
            return Err(error::ERROR_INVALID_VALUE);
        }
        capture.record(&stream, Work::Free(address));
        return Ok(());
    }
    if let Some(freed) = graph::memory::free(address) {
        return freed;
    }
    if let Kind::Imported { pool } = entry.kind {
        // Unmapping does not wait for the stream, so this waits.
        return if pool == 0 {
            Err(error::ERROR_INVALID_VALUE)
        } else {
            ipc::close(session, &entry)
        };
    }
    // Of two threads that free the same memory one finds it gone.
    let entry = ledger::remove(address).ok_or(error::ERROR_INVALID_VALUE)?;
    match entry.kind {
        Kind::Pooled { pool } => pool::free(session, pool, &entry, Some(&stream)),
        _ => pool::free_device(session, entry, &stream),
    }
    Ok(())
}

/// The device that a program describes as a place for pools. Pools of host memory are not offered.
fn location_device(location: &CUmemLocation) -> Result<u32> {
    if location.type_ != ON_DEVICE {
        return Err(if location.type_ == 0 {
            error::ERROR_INVALID_VALUE
        } else {
            error::ERROR_NOT_SUPPORTED
        });
    }
    device::by_handle(location.id).map(|(ordinal, _)| ordinal)
}

/// Makes a pool of a device's memory.
pub(crate) unsafe fn cuMemPoolCreate(
    pool: *mut CUmemoryPool,
    properties: *const c_void,
) -> Result<()> {
    session()?;
    if pool.is_null() || properties.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    // SAFETY: not null; the caller gives a CUmemPoolProps.
    let properties = unsafe { properties.cast::<PoolProps>().read_unaligned() };
    if properties.type_ != TYPE_PINNED || properties.reserved != [0; 54] {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let device = location_device(&properties.location)?;
    if properties.handle_types & !POSIX_FD != 0 || properties.usage != 0 {
        log::unsupported(
            "a memory pool that is shared by other means than file descriptors, or for hardware decompression",
        );
        return Err(error::ERROR_NOT_SUPPORTED);
    }
    let most = properties.most as u64;
    let made = if properties.handle_types == POSIX_FD {
        pool::create_exportable(device, most)
    } else {
        pool::create(device, false, most)
    };
    // SAFETY: the caller's pointer.
    unsafe { put(pool, handle(&made)) }
}

/// The pool is gone once all that was allocated from it is freed.
pub(crate) fn cuMemPoolDestroy(pool: CUmemoryPool) -> Result<()> {
    let session = session()?;
    resolve(pool)?.destroy(session)
}

/// Gives back what the pool does not use, as long as it holds that much.
pub(crate) fn cuMemPoolTrimTo(pool: CUmemoryPool, keep: usize) -> Result<()> {
    let session = session()?;
    resolve(pool)?.trim(session, Some(keep as u64));
    Ok(())
}

/// Sets an attribute. High-water marks can be set to 0, which makes them begin anew.
pub(crate) unsafe fn cuMemPoolSetAttribute(
    pool: CUmemoryPool,
    attribute: u32,
    value: *mut c_void,
) -> Result<()> {
    session()?;
    let pool = resolve(pool)?;
    if value.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    // SAFETY: not null; the caller gives a value of the attribute's type.
    let wide = || unsafe { value.cast::<u64>().read_unaligned() };
    match attribute {
        attribute::REUSE_FIRST..=attribute::REUSE_LAST => {
            // SAFETY: as above.
            let value = unsafe { value.cast::<i32>().read_unaligned() };
            pool.reuse[(attribute - attribute::REUSE_FIRST) as usize]
                .store(i32::from(value != 0), Ordering::Relaxed);
        }
        attribute::RELEASE_THRESHOLD => pool.set_threshold(wide()),
        attribute::RESERVED_HIGH if wide() == 0 => pool.reset_reserved_high(),
        attribute::USED_HIGH if wide() == 0 => pool.reset_used_high(),
        _ => return Err(error::ERROR_INVALID_VALUE),
    }
    Ok(())
}

/// An attribute.
pub(crate) unsafe fn cuMemPoolGetAttribute(
    pool: CUmemoryPool,
    attribute: u32,
    value: *mut c_void,
) -> Result<()> {
    session()?;
    let pool = resolve(pool)?;
    if value.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let figures = pool.figures();
    let bytes = match attribute {
        attribute::REUSE_FIRST..=attribute::REUSE_LAST => {
            let at = (attribute - attribute::REUSE_FIRST) as usize;
            // SAFETY: the caller's pointer.
            return unsafe { put(value.cast(), pool.reuse[at].load(Ordering::Relaxed)) };
        }
        attribute::RELEASE_THRESHOLD => figures.threshold,
        attribute::RESERVED_CURRENT => figures.reserved,
        attribute::RESERVED_HIGH => figures.reserved_high,
        attribute::USED_CURRENT => figures.used,
        attribute::USED_HIGH => figures.used_high,
        _ => return Err(error::ERROR_INVALID_VALUE),
    };
    // SAFETY: the caller's pointer.
    unsafe { put(value.cast(), bytes) }
}

/// Sets which devices may use the pool's memory: its own always may, others if they reach it. What was allowed once is not cut off again.
pub(crate) unsafe fn cuMemPoolSetAccess(
    pool: CUmemoryPool,
    map: *const CUmemAccessDesc,
    count: usize,
) -> Result<()> {
    let session = session()?;
    let pool = resolve(pool)?;
    if map.is_null() && count != 0 {
        return Err(error::ERROR_INVALID_VALUE);
    }
    for at in 0..count {
        // SAFETY: the caller gives an array of `count` elements.
        let access = unsafe { map.add(at).read_unaligned() };
        let device = location_device(&access.location)?;
        if device == pool.device {
            if access.flags != READ_WRITE {
                return Err(error::ERROR_INVALID_VALUE);
            }
        } else if !matches!(access.flags, 0 | READ | READ_WRITE) {
            return Err(error::ERROR_INVALID_VALUE);
        } else if access.flags == 0 {
            pool.access.lock().remove(&device);
        } else if device::can_access(device, pool.device) {
            pool.allow(session, device, access.flags)?;
        } else {
            return Err(error::ERROR_INVALID_DEVICE);
        }
    }
    Ok(())
}

/// Whether a device may use the pool's memory.
pub(crate) unsafe fn cuMemPoolGetAccess(
    flags: *mut u32,
    pool: CUmemoryPool,
    location: *mut CUmemLocation,
) -> Result<()> {
    session()?;
    let pool = resolve(pool)?;
    if location.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    // SAFETY: not null; the caller's location.
    let device = location_device(&unsafe { location.read_unaligned() })?;
    let access = if device == pool.device {
        READ_WRITE
    } else {
        pool.access.lock().get(&device).copied().unwrap_or(0)
    };
    // SAFETY: the caller's pointer.
    unsafe { put(flags, access) }
}

/// The device's own pool.
pub(crate) unsafe fn cuDeviceGetDefaultMemPool(
    pool: *mut CUmemoryPool,
    dev: CUdevice,
) -> Result<()> {
    let (ordinal, _) = device::by_handle(dev)?;
    // SAFETY: the caller's pointer.
    unsafe { put(pool, handle(&pool::default_of(ordinal))) }
}

/// The pool that `cuMemAllocAsync` uses.
pub(crate) unsafe fn cuDeviceGetMemPool(pool: *mut CUmemoryPool, dev: CUdevice) -> Result<()> {
    let (ordinal, _) = device::by_handle(dev)?;
    // SAFETY: the caller's pointer.
    unsafe { put(pool, handle(&pool::current_of(ordinal))) }
}

/// Sets the pool that `cuMemAllocAsync` uses; it must be one of the device's memory.
pub(crate) fn cuDeviceSetMemPool(dev: CUdevice, pool: CUmemoryPool) -> Result<()> {
    let (ordinal, _) = device::by_handle(dev)?;
    let pool = resolve(pool)?;
    if pool.device != ordinal {
        return Err(error::ERROR_INVALID_VALUE);
    }
    pool::set_current(&pool);
    Ok(())
}

/// The device of a location, for the functions that take both a location and a kind of memory.
///
/// # Safety
/// `location` is null or the caller's.
unsafe fn place(location: *mut CUmemLocation, kind: u32) -> Result<CUdevice> {
    session()?;
    if location.is_null() || kind == 0 {
        return Err(error::ERROR_INVALID_VALUE);
    }
    if kind != TYPE_PINNED {
        return Err(error::ERROR_NOT_SUPPORTED);
    }
    // SAFETY: not null; the caller's location.
    let location = unsafe { location.read_unaligned() };
    location_device(&location)?;
    Ok(location.id)
}

/// As `cuDeviceGetDefaultMemPool`, for a location.
pub(crate) unsafe fn cuMemGetDefaultMemPool(
    pool: *mut CUmemoryPool,
    location: *mut CUmemLocation,
    kind: u32,
) -> Result<()> {
    // SAFETY: the caller's pointers.
    unsafe {
        place(location, kind)
            .and_then(|device| cuDeviceGetDefaultMemPool(pool, device))
            .map_err(|code| match code {
                // A device that there is not is a wrong value here.
                error::ERROR_INVALID_DEVICE => error::ERROR_INVALID_VALUE,
                code => code,
            })
    }
}

/// As `cuDeviceGetMemPool`, for a location.
pub(crate) unsafe fn cuMemGetMemPool(
    pool: *mut CUmemoryPool,
    location: *mut CUmemLocation,
    kind: u32,
) -> Result<()> {
    // SAFETY: the caller's pointers.
    unsafe { cuDeviceGetMemPool(pool, place(location, kind)?) }
}

/// As `cuDeviceSetMemPool`, for a location.
pub(crate) unsafe fn cuMemSetMemPool(
    location: *mut CUmemLocation,
    kind: u32,
    pool: CUmemoryPool,
) -> Result<()> {
    // SAFETY: the caller's pointer.
    cuDeviceSetMemPool(unsafe { place(location, kind)? }, pool)
}
