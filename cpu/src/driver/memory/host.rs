//! Pinned host memory: allocated here, or the program's own, registered. Its device address is its address.
//!
//! See <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__MEM.html>.

use std::ffi::c_void;

use super::{Kind, memory, page_bounds, release_addresses};
use crate::driver::error::{
    ERROR_HOST_MEMORY_ALREADY_REGISTERED, ERROR_HOST_MEMORY_NOT_REGISTERED, ERROR_INVALID_VALUE,
    ERROR_NOT_SUPPORTED, ERROR_OUT_OF_MEMORY, Result,
};
use crate::driver::{capture, context, ffi, state};

/// `CU_MEMHOSTALLOC_PORTABLE | DEVICEMAP | WRITECOMBINED`.
const ALLOC_FLAGS: u32 = 7;
/// `CU_MEMHOSTREGISTER_READ_ONLY`.
pub(super) const REGISTER_READ_ONLY: u32 = 8;
/// `CU_MEMHOSTREGISTER_IOMEMORY`: needs a device file, which this device has no use for.
const REGISTER_IO: u32 = 4;
/// `CU_MEMHOSTREGISTER_PORTABLE | DEVICEMAP | IOMEMORY | READ_ONLY`.
const REGISTER_FLAGS: u32 = 15;

fn allocate(pp: *mut *mut c_void, bytes: usize, flags: u32) -> Result {
    let context = context::current()?;
    if pp.is_null() || flags & !ALLOC_FLAGS != 0 {
        return Err(ERROR_INVALID_VALUE);
    }
    capture::forbid_unsafe_call()?;
    if bytes == 0 {
        // As natively: success, and no memory.
        return ffi::put(pp, std::ptr::null_mut());
    }
    let (_, length) = page_bounds(0, bytes as u64);
    // SAFETY: a fresh anonymous mapping; the result is checked.
    let at = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            length as usize,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if at == libc::MAP_FAILED {
        return Err(ERROR_OUT_OF_MEMORY);
    }
    let start = at.expose_provenance() as u64;
    let entered = memory().enter_host(
        start,
        bytes as u64,
        Kind::Host { flags },
        context.device,
        context.id,
        ERROR_OUT_OF_MEMORY,
    );
    if entered.is_err() {
        release_addresses(start, length);
        return entered;
    }
    ffi::put(pp, at)
}

pub(in crate::driver) fn cuMemAllocHost_v2(pp: *mut *mut c_void, bytesize: usize) -> Result {
    allocate(pp, bytesize, 0)
}

pub(in crate::driver) fn cuMemHostAlloc(
    pp: *mut *mut c_void,
    bytesize: usize,
    Flags: u32,
) -> Result {
    allocate(pp, bytesize, Flags)
}

pub(in crate::driver) fn cuMemFreeHost(p: *mut c_void) -> Result {
    let context = context::current()?;
    if p.is_null() {
        return Ok(());
    }
    capture::forbid_unsafe_call()?;
    let start = p.addr() as u64;
    memory()
        .allocation(start)
        .filter(|a| a.start == start && matches!(a.kind, Kind::Host { .. }))
        .ok_or(ERROR_INVALID_VALUE)?;
    context.synchronize()?;
    memory().free(start, |a| matches!(a.kind, Kind::Host { .. }))
}

pub(in crate::driver) fn cuMemHostRegister_v2(
    p: *mut c_void,
    bytesize: usize,
    Flags: u32,
) -> Result {
    let context = context::current()?;
    if p.is_null() || bytesize == 0 || Flags & !REGISTER_FLAGS != 0 {
        return Err(ERROR_INVALID_VALUE);
    }
    if Flags & REGISTER_IO != 0 {
        return Err(ERROR_NOT_SUPPORTED);
    }
    capture::forbid_unsafe_call()?;
    let start = p.addr() as u64;
    if start.checked_add(bytesize as u64).is_none() || !is_mapped(start, bytesize as u64) {
        return Err(ERROR_INVALID_VALUE);
    }
    let kind = Kind::Registered { flags: Flags };
    memory().enter_host(
        start,
        bytesize as u64,
        kind,
        context.device,
        context.id,
        ERROR_HOST_MEMORY_ALREADY_REGISTERED,
    )
}

pub(in crate::driver) fn cuMemHostUnregister(p: *mut c_void) -> Result {
    let context = context::current()?;
    if p.is_null() {
        return Err(ERROR_INVALID_VALUE);
    }
    capture::forbid_unsafe_call()?;
    let start = p.addr() as u64;
    let known = |a: &super::Allocation| matches!(a.kind, Kind::Registered { .. });
    memory()
        .allocation(start)
        .filter(|a| a.start == start && known(a))
        .ok_or(ERROR_HOST_MEMORY_NOT_REGISTERED)?;
    context.synchronize()?;
    memory().free(start, known)
}

pub(in crate::driver) fn cuMemHostGetDevicePointer_v2(
    pdptr: *mut u64,
    p: *mut c_void,
    Flags: u32,
) -> Result {
    context::current()?;
    if Flags != 0 || pdptr.is_null() {
        return Err(ERROR_INVALID_VALUE);
    }
    let address = p.addr() as u64;
    memory()
        .allocation(address)
        .filter(|a| a.kind.is_host())
        .ok_or(ERROR_INVALID_VALUE)?;
    ffi::put(pdptr, address)
}

pub(in crate::driver) fn cuMemHostGetFlags(pFlags: *mut u32, p: *mut c_void) -> Result {
    state::require()?;
    match memory().allocation(p.addr() as u64).map(|a| a.kind) {
        // With unified addressing every host allocation is mapped.
        Some(Kind::Host { flags }) => ffi::put(pFlags, flags | 2),
        Some(Kind::Registered { flags }) => ffi::put(pFlags, (flags & 1) | 2),
        _ => Err(ERROR_INVALID_VALUE),
    }
}

/// Whether the host has mapped every page of a range.
pub(super) fn is_mapped(start: u64, length: u64) -> bool {
    /// Pages asked about at a time.
    const BATCH: u64 = 1024;
    let (from, to) = page_bounds(start, length);
    let mut states = [0_u8; BATCH as usize];
    let mut at = from;
    while at < to {
        let bytes = (to - at).min(BATCH * 4096);
        // SAFETY: `mincore` touches nothing but the vector, which has a byte for each page asked about.
        if unsafe {
            libc::mincore(
                std::ptr::with_exposed_provenance_mut(at as usize),
                bytes as usize,
                states.as_mut_ptr(),
            )
        } != 0
        {
            return false;
        }
        at += bytes;
    }
    true
}
