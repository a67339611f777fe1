//! Virtual memory management: `cuMemAddressReserve`, `cuMemCreate`, `cuMemMap`, `cuMemSetAccess` and their counterparts.
//!
//! See <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__VA.html>.

use std::ffi::c_void;
use std::os::fd::{BorrowedFd, IntoRawFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use gvirtus_wire::api::types::{CUmemAccessDesc, CUmemAllocationProp, CUmemLocation};

use super::physical::Block;
use super::quiescence::Deferred;
use super::{Allocation, GRANULE, Kind, memory, reserve_addresses};
use crate::driver::error::{
    ERROR_INVALID_DEVICE, ERROR_INVALID_VALUE, ERROR_NOT_SUPPORTED, Result,
};
use crate::driver::{ffi, handles, state};

/// `CU_MEM_ALLOCATION_TYPE_PINNED`.
const TYPE_PINNED: u32 = 1;
/// `CU_MEM_LOCATION_TYPE_DEVICE`.
const LOCATION_DEVICE: u32 = 1;
/// `CU_MEM_ACCESS_FLAGS_PROT_READ` and `…_READWRITE`.
const ACCESS_READ: u32 = 1;
const ACCESS_READ_WRITE: u32 = 3;

/// `CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR`.
const HANDLE_POSIX_FD: u32 = 1;

/// What a `CUmemGenericAllocationHandle` stands for.
pub(in crate::driver) struct Handle {
    block: Arc<Block>,
    properties: CUmemAllocationProp,
    references: usize,
}

// SAFETY: the raw pointer in `properties` (Windows metadata) is only ever copied.
unsafe impl Send for Handle {}

fn is_granular(size: usize) -> bool {
    size != 0 && (size as u64).is_multiple_of(GRANULE)
}

/// Checks a device location and returns the device's index.
fn device_of(location: CUmemLocation) -> Result<usize> {
    if location.type_ != LOCATION_DEVICE {
        return Err(ERROR_NOT_SUPPORTED);
    }
    let device = usize::try_from(location.id).map_err(|_| ERROR_INVALID_DEVICE)?;
    if device < state::require()?.devices.len() {
        Ok(device)
    } else {
        Err(ERROR_INVALID_DEVICE)
    }
}

fn check_properties(properties: &CUmemAllocationProp) -> Result<usize> {
    if properties.type_ != TYPE_PINNED {
        return Err(ERROR_INVALID_VALUE);
    }
    if properties.requestedHandleTypes & !HANDLE_POSIX_FD != 0 {
        return Err(ERROR_NOT_SUPPORTED);
    }
    device_of(properties.location)
}

pub(in crate::driver) fn cuMemGetAllocationGranularity(
    granularity: *mut usize,
    prop: *const CUmemAllocationProp,
    option: u32,
) -> Result {
    state::require()?;
    let properties = ffi::get(prop)?;
    if option > 1 || properties.type_ != TYPE_PINNED {
        return Err(ERROR_INVALID_VALUE);
    }
    device_of(properties.location)?;
    ffi::put(granularity, GRANULE as usize)
}

pub(in crate::driver) fn cuMemAddressReserve(
    ptr: *mut u64,
    size: usize,
    alignment: usize,
    addr: u64,
    flags: u64,
) -> Result {
    state::require()?;
    if ptr.is_null()
        || !is_granular(size)
        || flags != 0
        || (alignment != 0 && !alignment.is_power_of_two())
    {
        return Err(ERROR_INVALID_VALUE);
    }
    let alignment = (alignment as u64).max(GRANULE);
    let wanted = if addr.is_multiple_of(alignment) {
        addr
    } else {
        0
    };
    // The range may have been freed just now, with work under way that has not let go of it.
    memory()
        .quiescence
        .wait_for_release(wanted, wanted.saturating_add(size as u64));
    let mut ledger = memory().ledger.write();
    let start = reserve_addresses(size as u64, alignment, wanted)?;
    ledger.reservations.insert(start, start + size as u64);
    ffi::put(ptr, start)
}

pub(in crate::driver) fn cuMemAddressFree(ptr: u64, size: usize) -> Result {
    state::require()?;
    let mut ledger = memory().ledger.write();
    let end = ptr.checked_add(size as u64).ok_or(ERROR_INVALID_VALUE)?;
    if ledger.reservations.get(&ptr) != Some(&end)
        || ledger.allocations.range(ptr..end).next().is_some()
    {
        return Err(ERROR_INVALID_VALUE);
    }
    ledger.reservations.remove(&ptr);
    memory()
        .quiescence
        .run_or_defer(Deferred::Release { start: ptr, end });
    Ok(())
}

pub(in crate::driver) fn cuMemCreate(
    handle: *mut u64,
    size: usize,
    prop: *const CUmemAllocationProp,
    flags: u64,
) -> Result {
    state::require()?;
    let properties = ffi::get(prop)?;
    if handle.is_null() || flags != 0 || !is_granular(size) {
        return Err(ERROR_INVALID_VALUE);
    }
    let device = check_properties(&properties)?;
    let block = if properties.requestedHandleTypes == HANDLE_POSIX_FD {
        Block::exportable(device, size as u64)?
    } else {
        Block::new(device, size as u64)?
    };
    ffi::put(handle, insert(block, properties))
}

fn insert(block: Block, properties: CUmemAllocationProp) -> u64 {
    let value = handles::mint() as u64;
    memory().handles.lock().insert(
        value,
        Handle {
            block: Arc::new(block),
            properties,
            references: 1,
        },
    );
    value
}

pub(in crate::driver) fn cuMemExportToShareableHandle(
    shareableHandle: *mut c_void,
    handle: u64,
    handleType: u32,
    flags: u64,
) -> Result {
    state::require()?;
    if shareableHandle.is_null() || handleType != HANDLE_POSIX_FD || flags != 0 {
        return Err(ERROR_INVALID_VALUE);
    }
    let fd = memory()
        .handles
        .lock()
        .get(&handle)
        .and_then(|entry| entry.block.descriptor())
        .ok_or(ERROR_INVALID_VALUE)?;
    ffi::put(shareableHandle.cast::<i32>(), fd.into_raw_fd())
}

pub(in crate::driver) fn cuMemImportFromShareableHandle(
    handle: *mut u64,
    osHandle: *mut c_void,
    shHandleType: u32,
) -> Result {
    state::require()?;
    if handle.is_null() || shHandleType != HANDLE_POSIX_FD {
        return Err(ERROR_INVALID_VALUE);
    }
    let raw = i32::try_from(osHandle.addr()).map_err(|_| ERROR_INVALID_VALUE)?;
    if raw < 0 {
        return Err(ERROR_INVALID_VALUE);
    }
    // SAFETY: the caller's descriptor, which stays the caller's.
    let file = unsafe { BorrowedFd::borrow_raw(raw) }
        .try_clone_to_owned()
        .map_err(|_| ERROR_INVALID_VALUE)?;
    let block = Block::imported(file)?;
    let properties = CUmemAllocationProp {
        type_: TYPE_PINNED,
        requestedHandleTypes: HANDLE_POSIX_FD,
        location: CUmemLocation {
            type_: LOCATION_DEVICE,
            id: block.device as i32,
        },
        win32HandleMetaData: std::ptr::null_mut(),
        compressionType: 0,
        gpuDirectRDMACapable: 0,
        usage: 0,
        reserved: [0; 4],
    };
    ffi::put(handle, insert(block, properties))
}

pub(in crate::driver) fn cuMemRelease(handle: u64) -> Result {
    state::require()?;
    let mut handles = memory().handles.lock();
    let entry = handles.get_mut(&handle).ok_or(ERROR_INVALID_VALUE)?;
    entry.references -= 1;
    if entry.references == 0 {
        // Mappings keep the memory until they go.
        let gone = handles.remove(&handle);
        drop(handles);
        drop(gone);
    }
    Ok(())
}

pub(in crate::driver) fn cuMemMap(
    ptr: u64,
    size: usize,
    offset: usize,
    handle: u64,
    flags: u64,
) -> Result {
    state::require()?;
    let length = size as u64;
    if !is_granular(size) || !ptr.is_multiple_of(GRANULE) || offset != 0 || flags != 0 {
        return Err(ERROR_INVALID_VALUE);
    }
    let block = memory()
        .handles
        .lock()
        .get(&handle)
        .map(|entry| Arc::clone(&entry.block))
        .ok_or(ERROR_INVALID_VALUE)?;
    let end = ptr.checked_add(length).ok_or(ERROR_INVALID_VALUE)?;
    let mut ledger = memory().ledger.write();
    let reserved = ledger
        .reservations
        .range(..=ptr)
        .next_back()
        .is_some_and(|(_, &until)| end <= until);
    let occupied = ledger
        .allocations
        .range(..end)
        .next_back()
        .is_some_and(|(_, other)| other.end() > ptr);
    if !reserved || occupied || length > block.size {
        return Err(ERROR_INVALID_VALUE);
    }
    memory().quiescence.keep(ptr, end);
    if let Err(code) = block.map(ptr, length) {
        super::hide(ptr, length);
        return Err(code);
    }
    let buffer = memory().next_buffer.fetch_add(1, Ordering::Relaxed);
    let device = block.device;
    ledger.allocations.insert(
        ptr,
        Allocation {
            start: ptr,
            size: length,
            kind: Kind::Mapped,
            device,
            context: 0,
            buffer,
            block: Some(block),
            handle,
        },
    );
    Ok(())
}

/// The mappings that make up exactly `[start, end)`.
fn mappings(ledger: &super::Ledger, start: u64, end: u64) -> Result<Vec<u64>> {
    let mut reached = start;
    let mut found = Vec::new();
    while reached < end {
        match ledger.allocations.get(&reached) {
            Some(mapping) if mapping.kind == Kind::Mapped && mapping.end() <= end => {
                found.push(reached);
                reached = mapping.end();
            }
            _ => return Err(ERROR_INVALID_VALUE),
        }
    }
    Ok(found)
}

pub(in crate::driver) fn cuMemUnmap(ptr: u64, size: usize) -> Result {
    state::require()?;
    let end = ptr.checked_add(size as u64).ok_or(ERROR_INVALID_VALUE)?;
    if size == 0 {
        return Err(ERROR_INVALID_VALUE);
    }
    let mut ledger = memory().ledger.write();
    for start in mappings(&ledger, ptr, end)? {
        if let Some(mapping) = ledger.allocations.remove(&start) {
            memory().dispose(&mut ledger, mapping);
        }
    }
    Ok(())
}

pub(in crate::driver) fn cuMemSetAccess(
    ptr: u64,
    size: usize,
    desc: *const CUmemAccessDesc,
    count: usize,
) -> Result {
    state::require()?;
    let end = ptr.checked_add(size as u64).ok_or(ERROR_INVALID_VALUE)?;
    let descriptors = ffi::get_slice(desc, count)?;
    if size == 0 || descriptors.is_empty() {
        return Err(ERROR_INVALID_VALUE);
    }
    let mut ledger = memory().ledger.write();
    for start in mappings(&ledger, ptr, end)? {
        let Some(mapping) = ledger.allocations.get(&start).cloned() else {
            continue;
        };
        for descriptor in &descriptors {
            let device = device_of(descriptor.location)?;
            let allowed = match descriptor.flags {
                0 => None,
                ACCESS_READ => Some(false),
                ACCESS_READ_WRITE => Some(true),
                _ => return Err(ERROR_INVALID_VALUE),
            };
            ledger.set_access(start, mapping.end(), device, allowed);
        }
    }
    Ok(())
}

pub(in crate::driver) fn cuMemGetAccess(
    flags: *mut u64,
    location: *const CUmemLocation,
    ptr: u64,
) -> Result {
    let device = device_of(ffi::get(location)?)?;
    let ledger = memory().ledger.read();
    let mapped = ledger
        .allocations
        .range(..=ptr)
        .next_back()
        .is_some_and(|(_, a)| a.kind == Kind::Mapped && ptr < a.end());
    if !mapped {
        return Err(ERROR_INVALID_VALUE);
    }
    let access = ledger.access.range(..=ptr).next_back();
    let writable = access
        .filter(|(_, access)| ptr < access.end)
        .and_then(|(_, access)| ledger.writable(access, device));
    let granted = match writable {
        Some(true) => ACCESS_READ_WRITE,
        Some(false) => ACCESS_READ,
        None => 0,
    };
    ffi::put(flags, u64::from(granted))
}

pub(in crate::driver) fn cuMemRetainAllocationHandle(
    handle: *mut u64,
    addr: *mut c_void,
) -> Result {
    state::require()?;
    let mapping = memory()
        .allocation(addr.addr() as u64)
        .filter(|a| a.kind == Kind::Mapped)
        .ok_or(ERROR_INVALID_VALUE)?;
    let mut handles = memory().handles.lock();
    if let Some(entry) = handles.get_mut(&mapping.handle) {
        entry.references += 1;
    } else {
        // Released while mapped: the handle comes back to life.
        let block = mapping.block.ok_or(ERROR_INVALID_VALUE)?;
        let properties = properties_of(&block);
        handles.insert(
            mapping.handle,
            Handle {
                block,
                properties,
                references: 1,
            },
        );
    }
    ffi::put(handle, mapping.handle)
}

fn properties_of(block: &Block) -> CUmemAllocationProp {
    CUmemAllocationProp {
        type_: TYPE_PINNED,
        requestedHandleTypes: 0,
        location: CUmemLocation {
            type_: LOCATION_DEVICE,
            id: block.device as i32,
        },
        win32HandleMetaData: std::ptr::null_mut(),
        compressionType: 0,
        gpuDirectRDMACapable: 0,
        usage: 0,
        reserved: [0; 4],
    }
}

pub(in crate::driver) fn cuMemGetAllocationPropertiesFromHandle(
    prop: *mut CUmemAllocationProp,
    handle: u64,
) -> Result {
    state::require()?;
    let properties = memory()
        .handles
        .lock()
        .get(&handle)
        .map(|entry| entry.properties)
        .ok_or(ERROR_INVALID_VALUE)?;
    ffi::put(prop, properties)
}
