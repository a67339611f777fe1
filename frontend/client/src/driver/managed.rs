//! Managed memory: <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__MEM.html>,
//! <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__UNIFIED.html>. How it is kept equal here and on the box: `crate::memory::managed`.
//!
//! Prefetches and advice change no result. They are checked as natively, remembered for those who ask, and taken as hints.
#![allow(non_snake_case, reason = "CUDA's names")]
#![allow(clippy::too_many_arguments, reason = "parameters are CUDA's")]

use std::ffi::c_void;

use gvirtus_wire::api::types::{CUdevice, CUdeviceptr, CUmemLocation, CUstream, error};

use crate::driver::device::by_handle as device_by_handle;
use crate::driver::{Result, context, put, session};
use crate::memory::ledger::{self, Entry, Kind};
use crate::memory::managed::advice::{Advised, Place};
use crate::memory::managed::{self, Attached};
use crate::{capture, streams};

/// `CU_MEM_ATTACH_*`.
const ATTACH_GLOBAL: u32 = 1;
const ATTACH_HOST: u32 = 2;
const ATTACH_SINGLE: u32 = 4;
/// `CU_DEVICE_CPU` and `CU_DEVICE_INVALID`.
const CPU: i32 = -1;
const INVALID: i32 = -2;
/// `CUmemLocationType`.
const LOCATION_INVALID: u32 = 0;
const LOCATION_DEVICE: u32 = 1;
const LOCATION_HOST: u32 = 2;
const LOCATION_HOST_NUMA: u32 = 3;
const LOCATION_HOST_NUMA_CURRENT: u32 = 4;

/// `CUmem_advise`.
mod advise {
    pub(super) const SET_READ_MOSTLY: u32 = 1;
    pub(super) const UNSET_READ_MOSTLY: u32 = 2;
    pub(super) const SET_PREFERRED_LOCATION: u32 = 3;
    pub(super) const UNSET_PREFERRED_LOCATION: u32 = 4;
    pub(super) const SET_ACCESSED_BY: u32 = 5;
    pub(super) const UNSET_ACCESSED_BY: u32 = 6;
}

/// `CUmem_range_attribute`.
mod range {
    pub(super) const READ_MOSTLY: u32 = 1;
    pub(super) const PREFERRED_LOCATION: u32 = 2;
    pub(super) const ACCESSED_BY: u32 = 3;
    pub(super) const LAST_PREFETCH_LOCATION: u32 = 4;
    pub(super) const PREFERRED_LOCATION_TYPE: u32 = 5;
    pub(super) const PREFERRED_LOCATION_ID: u32 = 6;
    pub(super) const LAST_PREFETCH_LOCATION_TYPE: u32 = 7;
    pub(super) const LAST_PREFETCH_LOCATION_ID: u32 = 8;
}

/// Allocates memory that processor and GPUs reach at the same address. `CUDA_ERROR_OUT_OF_MEMORY` when the GPU has no room for all of it: it is never larger than that.
pub(crate) unsafe fn cuMemAllocManaged(
    dptr: *mut CUdeviceptr,
    bytesize: usize,
    flags: u32,
) -> Result<()> {
    let session = session()?;
    let context = context::current()?;
    if dptr.is_null() || bytesize == 0 || !matches!(flags, ATTACH_GLOBAL | ATTACH_HOST) {
        return Err(error::ERROR_INVALID_VALUE);
    }
    session.check(context.id)?;
    capture::forbid()?;
    let address = managed::allocate(session, &context, bytesize as u64, flags)?;
    // SAFETY: not null, and the caller's.
    unsafe { put(dptr, address) }
}

/// Says which work uses a piece of managed memory: that of all streams, none, or that of one stream.
pub(crate) fn cuStreamAttachMemAsync(
    hStream: CUstream,
    dptr: CUdeviceptr,
    length: usize,
    flags: u32,
) -> Result<()> {
    let session = session()?;
    let context = context::current()?;
    let stream = streams::resolve(session, &context, hStream)?;
    session.check(stream.context)?;
    let attached = match flags {
        ATTACH_GLOBAL => Attached::Global,
        ATTACH_HOST => Attached::Host,
        // The default stream is no one stream.
        ATTACH_SINGLE if stream.id != 0 => Attached::Single(stream.number),
        _ => return Err(error::ERROR_INVALID_VALUE),
    };
    let entry = ledger::at(dptr)
        .filter(Entry::is_managed)
        .ok_or(error::ERROR_INVALID_VALUE)?;
    if length != 0 && length as u64 != entry.size {
        return Err(error::ERROR_INVALID_VALUE);
    }
    capture::enqueue_allowed(&stream)?;
    // Variables share pages with others: they stay everybody's.
    if entry.kind == Kind::Managed {
        managed::attach(session, dptr, attached);
    }
    Ok(())
}

/// The managed memory that holds a range.
fn managed_range(address: u64, size: u64) -> Result<Entry> {
    if size == 0 {
        return Err(error::ERROR_INVALID_VALUE);
    }
    ledger::holds(address, size)
        .filter(Entry::is_managed)
        .ok_or(error::ERROR_INVALID_VALUE)
}

fn of_device(device: CUdevice) -> CUmemLocation {
    if device == CPU {
        CUmemLocation {
            type_: LOCATION_HOST,
            id: 0,
        }
    } else {
        CUmemLocation {
            type_: LOCATION_DEVICE,
            id: device,
        }
    }
}

/// A place that exists.
fn place(location: &CUmemLocation) -> Result<Place> {
    match location.type_ {
        LOCATION_DEVICE => {
            device_by_handle(location.id)?;
            Ok((LOCATION_DEVICE, location.id))
        }
        LOCATION_HOST | LOCATION_HOST_NUMA_CURRENT => Ok((LOCATION_HOST, CPU)),
        LOCATION_HOST_NUMA => Ok((LOCATION_HOST_NUMA, location.id)),
        _ => Err(error::ERROR_INVALID_VALUE),
    }
}

fn change(address: u64, size: u64, change: impl Fn(&mut Advised)) {
    let end = address + size;
    let mut at = address;
    // Managed variables may share pages with others: piece by piece.
    while at < end {
        let next = managed::with_advice(at, |start, len, advice| {
            advice.change(at - start, (end - start).min(len), &change);
            start + len
        });
        let Some(next) = next else { break };
        at = next;
    }
}

/// As `cuMemPrefetchAsync_v2`, with a device's number or `CU_DEVICE_CPU`.
pub(crate) fn cuMemPrefetchAsync(
    devPtr: CUdeviceptr,
    count: usize,
    dstDevice: CUdevice,
    hStream: CUstream,
) -> Result<()> {
    cuMemPrefetchAsync_v2(devPtr, count, of_device(dstDevice), 0, hStream)
}

/// Says where a range is used next. Towards a device, what the program has changed travels now; towards the host, the first touch brings more.
pub(crate) fn cuMemPrefetchAsync_v2(
    devPtr: CUdeviceptr,
    count: usize,
    location: CUmemLocation,
    flags: u32,
    hStream: CUstream,
) -> Result<()> {
    let session = session()?;
    let context = context::current()?;
    let stream = streams::resolve(session, &context, hStream)?;
    session.check(stream.context)?;
    let size = count as u64;
    if flags != 0 {
        return Err(error::ERROR_INVALID_VALUE);
    }
    managed_range(devPtr, size)?;
    let place = place(&location)?;
    capture::enqueue_allowed(&stream)?;
    managed::prefetch(session, &stream, devPtr, size, place.0 != LOCATION_DEVICE)?;
    change(devPtr, size, |advised| advised.prefetched = Some(place));
    Ok(())
}

/// The ranges of a batch, and the index of each one's location.
///
/// # Safety
/// The arrays have as many elements as is said.
unsafe fn batch(
    dptrs: *mut CUdeviceptr,
    sizes: *mut usize,
    count: usize,
    flags: u64,
) -> Result<Vec<(CUdeviceptr, usize)>> {
    session()?;
    if dptrs.is_null() || sizes.is_null() || count == 0 || flags != 0 {
        return Err(error::ERROR_INVALID_VALUE);
    }
    // SAFETY: this function's contract.
    let at = |i: usize| unsafe { (dptrs.add(i).read_unaligned(), sizes.add(i).read_unaligned()) };
    let all: Vec<_> = (0..count).map(at).collect();
    for &(address, size) in &all {
        managed_range(address, size as u64)?;
    }
    Ok(all)
}

/// Prefetches several ranges: location `i` is for the ranges from index `prefetchLocIdxs[i]` to that of the next.
pub(crate) unsafe fn cuMemPrefetchBatchAsync(
    dptrs: *mut CUdeviceptr,
    sizes: *mut usize,
    count: usize,
    prefetchLocs: *mut CUmemLocation,
    prefetchLocIdxs: *mut usize,
    numPrefetchLocs: usize,
    flags: u64,
    hStream: CUstream,
) -> Result<()> {
    // SAFETY: the caller's arrays.
    let ranges = unsafe { batch(dptrs, sizes, count, flags)? };
    if prefetchLocs.is_null()
        || prefetchLocIdxs.is_null()
        || numPrefetchLocs == 0
        || numPrefetchLocs > count
    {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let mut locations = Vec::with_capacity(numPrefetchLocs);
    for i in 0..numPrefetchLocs {
        // SAFETY: the caller's arrays.
        locations.push(unsafe {
            (
                prefetchLocIdxs.add(i).read_unaligned(),
                prefetchLocs.add(i).read_unaligned(),
            )
        });
    }
    let rising = locations.windows(2).all(|pair| pair[0].0 < pair[1].0);
    if locations[0].0 != 0 || !rising || locations.iter().any(|(from, _)| *from >= count) {
        return Err(error::ERROR_INVALID_VALUE);
    }
    for (i, (address, size)) in ranges.into_iter().enumerate() {
        let of = locations.iter().rfind(|(from, _)| *from <= i);
        let (_, location) = of.ok_or(error::ERROR_INVALID_VALUE)?;
        cuMemPrefetchAsync_v2(address, size, *location, 0, hStream)?;
    }
    Ok(())
}

/// The program gives up what ranges hold. Nothing need be done: whatever they hold from now on is right.
pub(crate) unsafe fn cuMemDiscardBatchAsync(
    dptrs: *mut CUdeviceptr,
    sizes: *mut usize,
    count: usize,
    flags: u64,
    hStream: CUstream,
) -> Result<()> {
    // SAFETY: the caller's arrays.
    unsafe { batch(dptrs, sizes, count, flags)? };
    let stream = streams::resolve(session()?, &*context::current()?, hStream)?;
    capture::enqueue_allowed(&stream)
}

/// Discards ranges and prefetches them.
pub(crate) unsafe fn cuMemDiscardAndPrefetchBatchAsync(
    dptrs: *mut CUdeviceptr,
    sizes: *mut usize,
    count: usize,
    prefetchLocs: *mut CUmemLocation,
    prefetchLocIdxs: *mut usize,
    numPrefetchLocs: usize,
    flags: u64,
    hStream: CUstream,
) -> Result<()> {
    // SAFETY: the caller's arrays.
    unsafe {
        cuMemPrefetchBatchAsync(
            dptrs,
            sizes,
            count,
            prefetchLocs,
            prefetchLocIdxs,
            numPrefetchLocs,
            flags,
            hStream,
        )
    }
}

/// As `cuMemAdvise_v2`, with a device's number or `CU_DEVICE_CPU`.
pub(crate) fn cuMemAdvise(
    devPtr: CUdeviceptr,
    count: usize,
    advice: u32,
    device: CUdevice,
) -> Result<()> {
    cuMemAdvise_v2(devPtr, count, advice, of_device(device))
}

/// Advises on how a range is used.
pub(crate) fn cuMemAdvise_v2(
    devPtr: CUdeviceptr,
    count: usize,
    advice: u32,
    location: CUmemLocation,
) -> Result<()> {
    session()?;
    context::current()?;
    let size = count as u64;
    managed_range(devPtr, size)?;
    let set = |f: &dyn Fn(&mut Advised)| change(devPtr, size, f);
    match advice {
        advise::SET_READ_MOSTLY => set(&|a| a.read_mostly = true),
        advise::UNSET_READ_MOSTLY => set(&|a| a.read_mostly = false),
        advise::SET_PREFERRED_LOCATION => {
            let place = place(&location)?;
            set(&|a| a.preferred = Some(place));
        }
        advise::UNSET_PREFERRED_LOCATION => set(&|a| a.preferred = None),
        advise::SET_ACCESSED_BY | advise::UNSET_ACCESSED_BY => {
            let (kind, device) = place(&location)?;
            if kind == LOCATION_HOST_NUMA {
                return Err(error::ERROR_INVALID_VALUE);
            }
            set(&|a| {
                a.accessed_by.retain(|known| *known != device);
                if advice == advise::SET_ACCESSED_BY {
                    a.accessed_by.push(device);
                    a.accessed_by.sort_unstable();
                }
            });
        }
        _ => return Err(error::ERROR_INVALID_VALUE),
    }
    Ok(())
}

/// What all parts of a range have in common.
fn common<T: PartialEq + Clone>(all: &[Advised], of: impl Fn(&Advised) -> Option<T>) -> Option<T> {
    let first = of(all.first()?)?;
    all.iter()
        .all(|other| of(other).as_ref() == Some(&first))
        .then_some(first)
}

/// One attribute of a range of managed memory.
pub(crate) unsafe fn cuMemRangeGetAttribute(
    data: *mut c_void,
    dataSize: usize,
    attribute: u32,
    devPtr: CUdeviceptr,
    count: usize,
) -> Result<()> {
    session()?;
    context::current()?;
    let size = count as u64;
    managed_range(devPtr, size)?;
    if data.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let end = devPtr + size;
    let (mut all, mut at) = (Vec::new(), devPtr);
    while at < end {
        let next = managed::with_advice(at, |start, len, advice| {
            all.extend(advice.of(at - start, (end - start).min(len)));
            start + len
        });
        at = next.ok_or(error::ERROR_INVALID_VALUE)?;
    }
    let data = data.cast::<i32>();
    if attribute == range::ACCESSED_BY {
        if dataSize == 0 || !dataSize.is_multiple_of(size_of::<i32>()) {
            return Err(error::ERROR_INVALID_VALUE);
        }
        let mut devices = all[0].accessed_by.clone();
        devices.retain(|device| all.iter().all(|part| part.accessed_by.contains(device)));
        for i in 0..dataSize / size_of::<i32>() {
            let value = devices.get(i).copied().unwrap_or(INVALID);
            // SAFETY: the caller's array has `dataSize` bytes.
            unsafe { put(data.add(i), value)? };
        }
        return Ok(());
    }
    if dataSize != size_of::<i32>() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let preferred = || common(&all, |a| a.preferred);
    let prefetched = || common(&all, |a| a.prefetched);
    let device = |place: Option<Place>| match place {
        Some((LOCATION_DEVICE, id)) => id,
        Some((LOCATION_HOST, _)) => CPU,
        _ => INVALID,
    };
    let kind = |place: Option<Place>| place.map_or(LOCATION_INVALID, |p| p.0).cast_signed();
    let id = |place: Option<Place>| place.map_or(INVALID, |p| p.1);
    let value = match attribute {
        range::READ_MOSTLY => i32::from(all.iter().all(|a| a.read_mostly)),
        range::PREFERRED_LOCATION => device(preferred()),
        range::LAST_PREFETCH_LOCATION => device(prefetched()),
        range::PREFERRED_LOCATION_TYPE => kind(preferred()),
        range::PREFERRED_LOCATION_ID => id(preferred()),
        range::LAST_PREFETCH_LOCATION_TYPE => kind(prefetched()),
        range::LAST_PREFETCH_LOCATION_ID => id(prefetched()),
        _ => return Err(error::ERROR_INVALID_VALUE),
    };
    // SAFETY: not null, and the caller's.
    unsafe { put(data, value) }
}

/// Several attributes of a range of managed memory.
pub(crate) unsafe fn cuMemRangeGetAttributes(
    data: *mut *mut c_void,
    dataSizes: *mut usize,
    attributes: *mut u32,
    numAttributes: usize,
    devPtr: CUdeviceptr,
    count: usize,
) -> Result<()> {
    session()?;
    if data.is_null() || dataSizes.is_null() || attributes.is_null() || numAttributes == 0 {
        return Err(error::ERROR_INVALID_VALUE);
    }
    for i in 0..numAttributes {
        // SAFETY: the caller's arrays have `numAttributes` elements.
        unsafe {
            cuMemRangeGetAttribute(
                data.add(i).read_unaligned(),
                dataSizes.add(i).read_unaligned(),
                attributes.add(i).read_unaligned(),
                devPtr,
                count,
            )?;
        }
    }
    Ok(())
}
