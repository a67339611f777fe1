//! Virtual memory management: <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__VA.html>.
//!
//! Addresses come from the range that both ends have reserved for the device, so that reserving costs nothing; physical memory and its mappings are the box's.
#![allow(non_snake_case, reason = "CUDA's names")]

use std::collections::{BTreeMap, HashMap};
use std::ffi::c_void;
use std::sync::atomic::{AtomicU32, Ordering};

use gvirtus_wire::api::core::{
    PhysicalAccess, PhysicalCreate, PhysicalMap, PhysicalRelease, PhysicalUnmap,
};
use gvirtus_wire::api::types::{
    CUdeviceptr, CUmemAccessDesc, CUmemAllocationProp, CUmemGenericAllocationHandle, CUmemLocation,
    error,
};
use parking_lot::Mutex;

use crate::driver::device::by_handle as device_by_handle;
use crate::driver::{Result, context, put, session};
use crate::log;
use crate::memory::device;
use crate::memory::ledger::{self, Entry, Kind};

/// `CU_MEM_ALLOCATION_TYPE_PINNED`.
const PINNED: u32 = 1;
/// `CU_MEM_LOCATION_TYPE_DEVICE`.
const ON_DEVICE: u32 = 1;
/// `CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR`, for memory that other programs may import.
const POSIX_FD: u32 = 1;
/// `CU_MEM_CREATE_USAGE_TILE_POOL`: for sparse arrays.
const TILE_POOL: u16 = 1;
/// `CU_MEM_ACCESS_FLAGS_PROT_READ` and `_READWRITE`.
const READ: u32 = 1;
const READ_WRITE: u32 = 3;

/// Physical memory that the program holds.
struct Piece {
    /// Its number on the wire.
    id: u32,
    size: u64,
    device: u32,
    prop: Prop,
    /// `cuMemCreate` and `cuMemRetainAllocationHandle`, less `cuMemRelease`.
    handles: u32,
    mappings: u32,
}

/// Properties as the program gave them.
struct Prop(CUmemAllocationProp);

// SAFETY: the pointer in it is the program's and never followed.
unsafe impl Send for Prop {}

struct Mapping {
    size: u64,
    piece: u64,
    /// Flags by device ordinal.
    access: BTreeMap<u32, u32>,
}

#[derive(Default)]
struct State {
    /// Reserved ranges: size, and the device whose range they lie in.
    reservations: BTreeMap<u64, (u64, u32)>,
    /// By the handle that the program holds.
    pieces: HashMap<u64, Piece>,
    mappings: BTreeMap<u64, Mapping>,
    next: u64,
}

impl State {
    /// The reservation that holds a range.
    fn reservation(&self, address: u64, size: u64) -> Option<(u64, u64)> {
        let (start, (length, _)) = self.reservations.range(..=address).next_back()?;
        (address.checked_add(size)? <= start + length).then_some((*start, *length))
    }

    /// Whether nothing is mapped in any part of a range.
    fn untouched(&self, address: u64, size: u64) -> bool {
        let before = self.mappings.range(..address + size).next_back();
        before.is_none_or(|(at, mapping)| at + mapping.size <= address)
    }

    /// The mappings that make up exactly a range.
    fn mappings_of(&self, address: u64, size: u64) -> Option<Vec<u64>> {
        let end = address.checked_add(size)?;
        let mut all = Vec::new();
        let mut at = address;
        while at < end {
            at += self.mappings.get(&at)?.size;
            all.push(at);
        }
        if at != end {
            return None;
        }
        Some(
            self.mappings
                .range(address..end)
                .map(|(start, _)| *start)
                .collect(),
        )
    }
}

static STATE: Mutex<Option<State>> = Mutex::new(None);

fn state<R>(f: impl FnOnce(&mut State) -> R) -> R {
    f(STATE.lock().get_or_insert_default())
}

pub(crate) fn granularity(ordinal: u32) -> Result<u64> {
    let device = session()?.snapshot.devices.get(ordinal as usize);
    device
        .map(|device| device.granularity)
        .ok_or(error::ERROR_INVALID_DEVICE)
}

/// The device of properties that are supported.
///
/// # Safety
/// `prop` is null or valid.
unsafe fn check(prop: *const CUmemAllocationProp) -> Result<(CUmemAllocationProp, u32)> {
    session()?;
    if prop.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    // SAFETY: not null, and the caller's.
    let prop = unsafe { prop.read_unaligned() };
    if prop.type_ != PINNED {
        return Err(error::ERROR_INVALID_VALUE);
    }
    if prop.location.type_ != ON_DEVICE
        || prop.requestedHandleTypes & !POSIX_FD != 0
        || prop.usage & !TILE_POOL != 0
    {
        log::unsupported("physical memory of this kind (cuMemCreate)");
        return Err(error::ERROR_NOT_SUPPORTED);
    }
    let (ordinal, _) = device_by_handle(prop.location.id)?;
    Ok((prop, ordinal))
}

/// A range of addresses of the current device, or of the first. `addr` is a hint, which is not followed.
pub(crate) unsafe fn cuMemAddressReserve(
    ptr: *mut CUdeviceptr,
    size: usize,
    alignment: usize,
    _addr: CUdeviceptr,
    flags: u64,
) -> Result<()> {
    let session = session()?;
    let ordinal = context::current().map_or(0, |context| context.device);
    let step = granularity(ordinal)?;
    let align = if alignment == 0 {
        step
    } else {
        alignment as u64
    };
    if ptr.is_null()
        || size == 0
        || flags != 0
        || !(size as u64).is_multiple_of(step)
        || !align.is_power_of_two()
    {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let address = device::reserve(session, ordinal, size as u64, align.max(step))?;
    state(|state| state.reservations.insert(address, (size as u64, ordinal)));
    // SAFETY: the caller's pointer.
    unsafe { put(ptr, address) }
}

/// Gives a whole range back; nothing may be mapped in it.
pub(crate) fn cuMemAddressFree(ptr: CUdeviceptr, size: usize) -> Result<()> {
    session()?;
    let ordinal = state(|state| {
        let (_, ordinal) = *state
            .reservations
            .get(&ptr)
            .filter(|(length, _)| *length == size as u64)
            .ok_or(error::ERROR_INVALID_VALUE)?;
        if state
            .mappings
            .range(ptr..ptr + size as u64)
            .next()
            .is_some()
        {
            return Err(error::ERROR_INVALID_VALUE);
        }
        state.reservations.remove(&ptr);
        Ok(ordinal)
    })?;
    device::unreserve(ordinal, ptr, size as u64);
    Ok(())
}

/// Numbers for pieces of physical memory: the first of as many as are asked for.
pub(crate) fn mint(count: usize) -> Result<u32> {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let count = u32::try_from(count).map_err(|_| error::ERROR_INVALID_VALUE)?;
    Ok(NEXT.fetch_add(count, Ordering::Relaxed))
}

/// Keeps a piece that the box has under that number; what the program holds for it.
pub(crate) fn insert(
    id: u32,
    size: u64,
    device: u32,
    prop: CUmemAllocationProp,
) -> CUmemGenericAllocationHandle {
    state(|state| {
        state.next += 1;
        let made = state.next;
        let piece = Piece {
            id,
            size,
            device,
            prop: Prop(prop),
            handles: 1,
            mappings: 0,
        };
        state.pieces.insert(made, piece);
        made
    })
}

/// Number of a piece that the program holds.
pub(crate) fn piece(handle: CUmemGenericAllocationHandle) -> Result<u32> {
    state(|state| {
        let piece = state.pieces.get(&handle).filter(|p| p.handles > 0);
        piece.map(|p| p.id).ok_or(error::ERROR_INVALID_VALUE)
    })
}

/// Number and device of a piece that was created to be exported.
pub(crate) fn exportable(handle: CUmemGenericAllocationHandle) -> Result<(u32, u32)> {
    state(|state| {
        let piece = state
            .pieces
            .get(&handle)
            .filter(|p| p.handles > 0 && p.prop.0.requestedHandleTypes & POSIX_FD != 0);
        piece
            .map(|p| (p.id, p.device))
            .ok_or(error::ERROR_INVALID_VALUE)
    })
}

/// Creates physical memory: this is where `CUDA_ERROR_OUT_OF_MEMORY` comes from.
pub(crate) unsafe fn cuMemCreate(
    handle: *mut CUmemGenericAllocationHandle,
    size: usize,
    prop: *const CUmemAllocationProp,
    flags: u64,
) -> Result<()> {
    let session = session()?;
    // SAFETY: the caller's pointer.
    let (prop, ordinal) = unsafe { check(prop)? };
    if handle.is_null()
        || size == 0
        || flags != 0
        || !(size as u64).is_multiple_of(granularity(ordinal)?)
    {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let id = mint(1)?;
    let command = PhysicalCreate {
        piece: id,
        device: ordinal,
        size: size as u64,
        usage: u32::from(prop.usage),
    };
    session.call(ordinal, &command)?;
    let made = insert(id, size as u64, ordinal, prop);
    // SAFETY: the caller's pointer.
    unsafe { put(handle, made) }
}

/// Forgets a piece that nobody holds and that is mapped nowhere: its number and device, to be released.
fn sweep(state: &mut State, handle: u64) -> Option<(u32, u32)> {
    let piece = state.pieces.get(&handle)?;
    if piece.handles > 0 || piece.mappings > 0 {
        return None;
    }
    let piece = state.pieces.remove(&handle)?;
    Some((piece.id, piece.device))
}

/// The program's handle is gone; the memory is freed once it is mapped nowhere.
pub(crate) fn cuMemRelease(handle: CUmemGenericAllocationHandle) -> Result<()> {
    let session = session()?;
    let gone = state(|state| {
        let piece = state
            .pieces
            .get_mut(&handle)
            .filter(|piece| piece.handles > 0);
        piece.ok_or(error::ERROR_INVALID_VALUE)?.handles -= 1;
        Ok::<_, i32>(sweep(state, handle))
    })?;
    match gone {
        Some((piece, device)) => session.post(device, &PhysicalRelease { piece }),
        None => Ok(()),
    }
}

/// Maps all of a piece of physical memory at reserved addresses. Nobody has access yet.
pub(crate) fn cuMemMap(
    ptr: CUdeviceptr,
    size: usize,
    offset: usize,
    handle: CUmemGenericAllocationHandle,
    flags: u64,
) -> Result<()> {
    let session = session()?;
    let size = size as u64;
    let (piece, device, start, length) = state(|state| {
        let piece = state
            .pieces
            .get(&handle)
            .filter(|piece| piece.handles > 0)
            .ok_or(error::ERROR_INVALID_VALUE)?;
        let (start, length) = state
            .reservation(ptr, size)
            .ok_or(error::ERROR_INVALID_VALUE)?;
        if size != piece.size {
            // Parts of a piece cannot be mapped, natively neither.
            return Err(error::ERROR_NOT_SUPPORTED);
        }
        if offset != 0 || flags != 0 || !state.untouched(ptr, size) {
            return Err(error::ERROR_INVALID_VALUE);
        }
        Ok((piece.id, piece.device, start, length))
    })?;
    session.call(
        device,
        &PhysicalMap {
            piece,
            address: ptr,
        },
    )?;
    state(|state| {
        if let Some(piece) = state.pieces.get_mut(&handle) {
            piece.mappings += 1;
        }
        let mapping = Mapping {
            size,
            piece: handle,
            access: BTreeMap::new(),
        };
        state.mappings.insert(ptr, mapping);
    });
    // Copies may span mappings, so the reservation is what they see; the box knows what of it is mapped.
    if ledger::at(start).is_none() {
        ledger::insert(Entry {
            address: start,
            size: length,
            kind: Kind::Mapped,
            device,
            context: device,
            flags: 0,
        });
    }
    Ok(())
}

/// Unmaps a range that whole mappings make up. Work that uses it must be complete, as natively.
pub(crate) fn cuMemUnmap(ptr: CUdeviceptr, size: usize) -> Result<()> {
    let session = session()?;
    let gone = state(|state| {
        // Natively, too, unmapping reserved addresses where nothing is mapped succeeds.
        let nothing =
            state.reservation(ptr, size as u64).is_some() && state.untouched(ptr, size as u64);
        let starts = match state.mappings_of(ptr, size as u64) {
            Some(all) => all,
            None if nothing => Vec::new(),
            None => return Err(error::ERROR_INVALID_VALUE),
        };
        let mut gone = Vec::new();
        for start in starts {
            if let Some(mapping) = state.mappings.remove(&start) {
                let device = state.pieces.get_mut(&mapping.piece).map_or(0, |piece| {
                    piece.mappings -= 1;
                    piece.device
                });
                gone.push((start, mapping.size, device, sweep(state, mapping.piece)));
            }
        }
        if let Some((start, length)) = state.reservation(ptr, size as u64)
            && state.mappings.range(start..start + length).next().is_none()
        {
            ledger::remove(start);
        }
        Ok::<_, i32>(gone)
    })?;
    for (address, size, device, released) in gone {
        session.post(device, &PhysicalUnmap { address, size })?;
        if let Some((piece, device)) = released {
            session.post(device, &PhysicalRelease { piece })?;
        }
    }
    Ok(())
}

/// Sets which devices may use a range that whole mappings make up.
pub(crate) unsafe fn cuMemSetAccess(
    ptr: CUdeviceptr,
    size: usize,
    desc: *const CUmemAccessDesc,
    count: usize,
) -> Result<()> {
    let session = session()?;
    if desc.is_null() || count == 0 {
        return Err(error::ERROR_INVALID_VALUE);
    }
    for i in 0..count {
        // SAFETY: the caller's array has `count` elements.
        let wanted = unsafe { desc.add(i).read_unaligned() };
        if wanted.location.type_ != ON_DEVICE || !matches!(wanted.flags, 0 | READ | READ_WRITE) {
            return Err(error::ERROR_INVALID_VALUE);
        }
        let (ordinal, _) = device_by_handle(wanted.location.id)?;
        let parts: Vec<(u64, u64)> = state(|state| {
            let starts = state
                .mappings_of(ptr, size as u64)
                .filter(|all| !all.is_empty())
                .ok_or(error::ERROR_INVALID_VALUE)?;
            Ok::<_, i32>(
                starts
                    .into_iter()
                    .map(|start| (start, state.mappings[&start].size))
                    .collect(),
            )
        })?;
        for (address, size) in parts {
            let command = PhysicalAccess {
                address,
                size,
                device: ordinal,
                flags: wanted.flags,
            };
            session.call(ordinal, &command)?;
            state(|state| {
                state
                    .mappings
                    .get_mut(&address)
                    .map(|mapping| mapping.access.insert(ordinal, wanted.flags))
            });
        }
    }
    Ok(())
}

/// A device's access to an address.
pub(crate) unsafe fn cuMemGetAccess(
    flags: *mut u64,
    location: *const CUmemLocation,
    ptr: CUdeviceptr,
) -> Result<()> {
    session()?;
    if location.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    // SAFETY: not null, and the caller's.
    let location = unsafe { location.read_unaligned() };
    if location.type_ != ON_DEVICE {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let (ordinal, _) = device_by_handle(location.id)?;
    let access = state(|state| {
        let (start, mapping) = state.mappings.range(..=ptr).next_back()?;
        (ptr - start < mapping.size).then(|| mapping.access.get(&ordinal).copied().unwrap_or(0))
    });
    // SAFETY: the caller's pointer.
    unsafe { put(flags, u64::from(access.ok_or(error::ERROR_INVALID_VALUE)?)) }
}

/// What sizes and addresses must be multiples of; minimum and recommendation are the same.
pub(crate) unsafe fn cuMemGetAllocationGranularity(
    out: *mut usize,
    prop: *const CUmemAllocationProp,
    option: u32,
) -> Result<()> {
    // SAFETY: the caller's pointer.
    let (_, ordinal) = unsafe { check(prop)? };
    if option > 1 {
        return Err(error::ERROR_INVALID_VALUE);
    }
    // SAFETY: the caller's pointer.
    unsafe { put(out, granularity(ordinal)? as usize) }
}

/// The properties that a piece was created with.
pub(crate) unsafe fn cuMemGetAllocationPropertiesFromHandle(
    prop: *mut CUmemAllocationProp,
    handle: CUmemGenericAllocationHandle,
) -> Result<()> {
    session()?;
    let found = state(|state| {
        state
            .pieces
            .get(&handle)
            .filter(|piece| piece.handles > 0)
            .map(|piece| Prop(piece.prop.0))
    });
    // SAFETY: the caller's pointer.
    unsafe { put(prop, found.ok_or(error::ERROR_INVALID_VALUE)?.0) }
}

/// Another handle of the memory that is mapped at an address.
pub(crate) unsafe fn cuMemRetainAllocationHandle(
    handle: *mut CUmemGenericAllocationHandle,
    addr: *mut c_void,
) -> Result<()> {
    session()?;
    if handle.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let address = addr as u64;
    let found = state(|state| {
        let (start, mapping) = state.mappings.range(..=address).next_back()?;
        let held = mapping.piece;
        let piece = state
            .pieces
            .get_mut(&held)
            .filter(|_| address - start < mapping.size)?;
        piece.handles += 1;
        Some(held)
    });
    // SAFETY: the caller's pointer.
    unsafe { put(handle, found.ok_or(error::ERROR_INVALID_VALUE)?) }
}

/// A device was reset: everything in its range is gone.
pub(crate) fn reset_device(ordinal: u32) {
    state(|state| {
        state.pieces.retain(|_, piece| piece.device != ordinal);
        let State {
            pieces,
            mappings,
            reservations,
            ..
        } = state;
        mappings.retain(|_, mapping| pieces.contains_key(&mapping.piece));
        reservations.retain(|_, (_, device)| *device != ordinal);
    });
}
