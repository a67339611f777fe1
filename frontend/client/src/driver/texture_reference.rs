//! Texture references that programs make themselves: <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__TEXREF__DEPRECATED.html>.
//!
//! Kernels read textures by references of their modules, which nvcc has not made since CUDA 12 and which are not supported here. A reference that `cuTexRefCreate` makes is no kernel's: it keeps what
//! it is given and gives it back.
#![allow(non_snake_case, reason = "CUDA's names")]

use std::ffi::c_void;
use std::sync::Arc;

use gvirtus_wire::api::types::{
    CUDA_ARRAY_DESCRIPTOR, CUarray, CUdeviceptr, CUmipmappedArray, CUtexref, error,
};
use parking_lot::Mutex;

use crate::driver::{Result, array, context, put, put_if, session};
use crate::handles::{Kind, Table};
use crate::memory::ledger;

/// Addresses are bound at multiples of so many bytes; the rest is the offset.
const ALIGNMENT: u64 = 512;
/// `CU_AD_FORMAT_FLOAT`.
const FORMAT_FLOAT: u32 = 0x20;
/// `CU_TRSA_OVERRIDE_FORMAT`: the only flag, and required.
const OVERRIDE_FORMAT: u32 = 1;
/// `CU_TRSF_*`.
const ALL_FLAGS: u32 = 0x73;
/// The last `CUaddress_mode` and the last `CUfilter_mode`.
const LAST_ADDRESS_MODE: u32 = 3;
const LAST_FILTER_MODE: u32 = 1;

/// What a reference reads.
#[derive(Clone, Copy, Default)]
enum Bound {
    #[default]
    Nothing,
    Array(usize),
    Mipmap(usize),
    Address(CUdeviceptr),
}

#[derive(Clone, Copy)]
struct State {
    bound: Bound,
    format: (u32, i32),
    address_modes: [u32; 3],
    filter: u32,
    mipmap_filter: u32,
    bias: f32,
    clamp: (f32, f32),
    anisotropy: u32,
    border: [f32; 4],
    flags: u32,
}

/// A reference of the program.
struct Reference {
    handle: usize,
    state: Mutex<State>,
}

static REFERENCES: Table<Reference> = Table::new(Kind::TextureReference);

fn resolve(reference: CUtexref) -> Result<Arc<Reference>> {
    session()?;
    context::current()?;
    REFERENCES.get(reference).ok_or(error::ERROR_INVALID_VALUE)
}

fn change(reference: CUtexref, change: impl FnOnce(&mut State)) -> Result<()> {
    change_checked(reference, |state| {
        change(state);
        Ok(())
    })
}

fn change_checked(
    reference: CUtexref,
    change: impl FnOnce(&mut State) -> Result<()>,
) -> Result<()> {
    change(&mut resolve(reference)?.state.lock())
}

/// # Safety
/// `to` is null or the caller's.
unsafe fn get<T>(to: *mut T, reference: CUtexref, what: impl FnOnce(&State) -> T) -> Result<()> {
    let value = what(&resolve(reference)?.state.lock());
    // SAFETY: this function's contract.
    unsafe { put(to, value) }
}

/// Makes a reference that reads nothing.
pub(crate) unsafe fn cuTexRefCreate(pTexRef: *mut CUtexref) -> Result<()> {
    session()?;
    context::current()?;
    if pTexRef.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let made = REFERENCES.insert(|handle| Reference {
        handle: handle.addr(),
        state: Mutex::new(State {
            bound: Bound::Nothing,
            format: (FORMAT_FLOAT, 1),
            address_modes: [0; 3],
            filter: 0,
            mipmap_filter: 0,
            bias: 0.0,
            clamp: (0.0, 0.0),
            anisotropy: 0,
            border: [0.0; 4],
            flags: 0,
        }),
    });
    let handle = made.ok_or(error::ERROR_OUT_OF_MEMORY)?.handle;
    // SAFETY: not null, and the caller's.
    unsafe { put(pTexRef, std::ptr::without_provenance_mut(handle)) }
}

/// Destroys a reference.
pub(crate) fn cuTexRefDestroy(hTexRef: CUtexref) -> Result<()> {
    resolve(hTexRef)?;
    let gone = REFERENCES.remove(hTexRef);
    gone.map(drop).ok_or(error::ERROR_INVALID_VALUE)
}

/// Binds an array; its format becomes the reference's.
pub(crate) fn cuTexRefSetArray(hTexRef: CUtexref, hArray: CUarray, Flags: u32) -> Result<()> {
    change_checked(hTexRef, |state| {
        if Flags != OVERRIDE_FORMAT {
            return Err(error::ERROR_INVALID_VALUE);
        }
        let shape = &array::resolve(hArray)?.shape;
        state.format = (shape.format, shape.channels.cast_signed());
        state.bound = Bound::Array(hArray.addr());
        Ok(())
    })
}

/// Binds a mipmapped array.
pub(crate) fn cuTexRefSetMipmappedArray(
    hTexRef: CUtexref,
    hMipmappedArray: CUmipmappedArray,
    Flags: u32,
) -> Result<()> {
    change_checked(hTexRef, |state| {
        if Flags != OVERRIDE_FORMAT {
            return Err(error::ERROR_INVALID_VALUE);
        }
        array::resolve_mipmap(hMipmappedArray)?;
        state.bound = Bound::Mipmap(hMipmappedArray.addr());
        Ok(())
    })
}

fn bind(state: &mut State, address: CUdeviceptr, bytes: usize) -> Result<u64> {
    let end = address.checked_add(bytes as u64);
    let known = ledger::find(address).filter(|entry| end.is_some_and(|end| end <= entry.end()));
    known.ok_or(error::ERROR_INVALID_VALUE)?;
    let offset = address % ALIGNMENT;
    state.bound = Bound::Address(address - offset);
    Ok(offset)
}

/// Binds linear memory; how far the address lies behind where it can be bound is told.
pub(crate) unsafe fn cuTexRefSetAddress_v2(
    ByteOffset: *mut usize,
    hTexRef: CUtexref,
    dptr: CUdeviceptr,
    bytes: usize,
) -> Result<()> {
    change_checked(hTexRef, |state| {
        let offset = bind(state, dptr, bytes)?;
        if ByteOffset.is_null() && offset != 0 {
            state.bound = Bound::Nothing;
            return Err(error::ERROR_INVALID_VALUE);
        }
        // SAFETY: the caller's pointer.
        unsafe { put_if(ByteOffset, offset as usize) };
        Ok(())
    })
}

/// Binds pitched memory.
pub(crate) unsafe fn cuTexRefSetAddress2D_v3(
    hTexRef: CUtexref,
    desc: *const c_void,
    dptr: CUdeviceptr,
    Pitch: usize,
) -> Result<()> {
    change_checked(hTexRef, |state| {
        if desc.is_null() || !dptr.is_multiple_of(ALIGNMENT) {
            return Err(error::ERROR_INVALID_VALUE);
        }
        // SAFETY: not null; the caller's descriptor.
        let desc = unsafe { desc.cast::<CUDA_ARRAY_DESCRIPTOR>().read_unaligned() };
        let bytes = Pitch
            .checked_mul(desc.Height)
            .ok_or(error::ERROR_INVALID_VALUE)?;
        bind(state, dptr, bytes)?;
        state.format = (desc.Format, desc.NumChannels.cast_signed());
        Ok(())
    })
}

/// Says what elements are.
pub(crate) fn cuTexRefSetFormat(
    hTexRef: CUtexref,
    fmt: u32,
    NumPackedComponents: i32,
) -> Result<()> {
    change_checked(hTexRef, |state| {
        if !matches!(NumPackedComponents, 1 | 2 | 4) {
            return Err(error::ERROR_INVALID_VALUE);
        }
        state.format = (fmt, NumPackedComponents);
        Ok(())
    })
}

/// The place of a dimension.
fn dimension(dim: i32) -> Result<usize> {
    usize::try_from(dim)
        .ok()
        .filter(|dim| *dim < 3)
        .ok_or(error::ERROR_INVALID_VALUE)
}

/// Says what lies beyond the ends of a dimension.
pub(crate) fn cuTexRefSetAddressMode(hTexRef: CUtexref, dim: i32, am: u32) -> Result<()> {
    change_checked(hTexRef, |state| {
        let dim = dimension(dim)?;
        if am > LAST_ADDRESS_MODE {
            return Err(error::ERROR_INVALID_VALUE);
        }
        state.address_modes[dim] = am;
        Ok(())
    })
}

fn filter(mode: u32) -> Result<u32> {
    if mode > LAST_FILTER_MODE {
        return Err(error::ERROR_INVALID_VALUE);
    }
    Ok(mode)
}

/// Says how texels are blended.
pub(crate) fn cuTexRefSetFilterMode(hTexRef: CUtexref, fm: u32) -> Result<()> {
    change_checked(hTexRef, |state| {
        state.filter = filter(fm)?;
        Ok(())
    })
}

/// Says how mip levels are blended.
pub(crate) fn cuTexRefSetMipmapFilterMode(hTexRef: CUtexref, fm: u32) -> Result<()> {
    change_checked(hTexRef, |state| {
        state.mipmap_filter = filter(fm)?;
        Ok(())
    })
}

/// Sets what is added to mip levels.
pub(crate) fn cuTexRefSetMipmapLevelBias(hTexRef: CUtexref, bias: f32) -> Result<()> {
    change(hTexRef, |state| state.bias = bias)
}

/// Sets lowest and highest mip level.
pub(crate) fn cuTexRefSetMipmapLevelClamp(
    hTexRef: CUtexref,
    minMipmapLevelClamp: f32,
    maxMipmapLevelClamp: f32,
) -> Result<()> {
    change(hTexRef, |state| {
        state.clamp = (minMipmapLevelClamp, maxMipmapLevelClamp)
    })
}

/// Sets the limit of anisotropy.
pub(crate) fn cuTexRefSetMaxAnisotropy(hTexRef: CUtexref, maxAniso: u32) -> Result<()> {
    change(hTexRef, |state| state.anisotropy = maxAniso)
}

/// Sets what lies beyond the border.
pub(crate) unsafe fn cuTexRefSetBorderColor(
    hTexRef: CUtexref,
    pBorderColor: *mut f32,
) -> Result<()> {
    change_checked(hTexRef, |state| {
        if pBorderColor.is_null() {
            return Err(error::ERROR_INVALID_VALUE);
        }
        // SAFETY: not null; the caller gives four numbers.
        state.border = unsafe { pBorderColor.cast::<[f32; 4]>().read_unaligned() };
        Ok(())
    })
}

/// Says how it is read.
pub(crate) fn cuTexRefSetFlags(hTexRef: CUtexref, Flags: u32) -> Result<()> {
    change_checked(hTexRef, |state| {
        if Flags & !ALL_FLAGS != 0 {
            return Err(error::ERROR_INVALID_VALUE);
        }
        state.flags = Flags;
        Ok(())
    })
}

/// The memory that is bound.
pub(crate) unsafe fn cuTexRefGetAddress_v2(
    pdptr: *mut CUdeviceptr,
    hTexRef: CUtexref,
) -> Result<()> {
    match resolve(hTexRef)?.state.lock().bound {
        // SAFETY: the caller's pointer.
        Bound::Address(address) => unsafe { put(pdptr, address) },
        _ => Err(error::ERROR_INVALID_VALUE),
    }
}

/// The array that is bound.
pub(crate) unsafe fn cuTexRefGetArray(phArray: *mut CUarray, hTexRef: CUtexref) -> Result<()> {
    match resolve(hTexRef)?.state.lock().bound {
        // SAFETY: the caller's pointer.
        Bound::Array(array) => unsafe { put(phArray, std::ptr::without_provenance_mut(array)) },
        _ => Err(error::ERROR_INVALID_VALUE),
    }
}

/// The mipmapped array that is bound.
pub(crate) unsafe fn cuTexRefGetMipmappedArray(
    phMipmappedArray: *mut CUmipmappedArray,
    hTexRef: CUtexref,
) -> Result<()> {
    match resolve(hTexRef)?.state.lock().bound {
        // SAFETY: the caller's pointer.
        Bound::Mipmap(mipmap) => unsafe {
            put(phMipmappedArray, std::ptr::without_provenance_mut(mipmap))
        },
        _ => Err(error::ERROR_INVALID_VALUE),
    }
}

/// As set.
pub(crate) unsafe fn cuTexRefGetAddressMode(
    pam: *mut u32,
    hTexRef: CUtexref,
    dim: i32,
) -> Result<()> {
    let dim = dimension(dim)?;
    // SAFETY: the caller's pointer.
    unsafe { get(pam, hTexRef, |state| state.address_modes[dim]) }
}

/// As set.
pub(crate) unsafe fn cuTexRefGetFilterMode(pfm: *mut u32, hTexRef: CUtexref) -> Result<()> {
    // SAFETY: the caller's pointer.
    unsafe { get(pfm, hTexRef, |state| state.filter) }
}

/// As set, or the array's.
pub(crate) unsafe fn cuTexRefGetFormat(
    pFormat: *mut u32,
    pNumChannels: *mut i32,
    hTexRef: CUtexref,
) -> Result<()> {
    let (format, channels) = resolve(hTexRef)?.state.lock().format;
    // SAFETY: the caller's pointers.
    unsafe {
        put_if(pFormat, format);
        put_if(pNumChannels, channels);
    }
    Ok(())
}

/// As set.
pub(crate) unsafe fn cuTexRefGetMipmapFilterMode(pfm: *mut u32, hTexRef: CUtexref) -> Result<()> {
    // SAFETY: the caller's pointer.
    unsafe { get(pfm, hTexRef, |state| state.mipmap_filter) }
}

/// As set.
pub(crate) unsafe fn cuTexRefGetMipmapLevelBias(pbias: *mut f32, hTexRef: CUtexref) -> Result<()> {
    // SAFETY: the caller's pointer.
    unsafe { get(pbias, hTexRef, |state| state.bias) }
}

/// As set.
pub(crate) unsafe fn cuTexRefGetMipmapLevelClamp(
    pminMipmapLevelClamp: *mut f32,
    pmaxMipmapLevelClamp: *mut f32,
    hTexRef: CUtexref,
) -> Result<()> {
    // SAFETY: the caller's pointers.
    unsafe {
        get(pminMipmapLevelClamp, hTexRef, |state| state.clamp.0)?;
        get(pmaxMipmapLevelClamp, hTexRef, |state| state.clamp.1)
    }
}

/// As set.
pub(crate) unsafe fn cuTexRefGetMaxAnisotropy(
    pmaxAniso: *mut i32,
    hTexRef: CUtexref,
) -> Result<()> {
    // SAFETY: the caller's pointer.
    unsafe { get(pmaxAniso, hTexRef, |state| state.anisotropy.cast_signed()) }
}

/// As set.
pub(crate) unsafe fn cuTexRefGetBorderColor(
    pBorderColor: *mut f32,
    hTexRef: CUtexref,
) -> Result<()> {
    // SAFETY: the caller's pointer, to four numbers.
    unsafe {
        get(pBorderColor.cast::<[f32; 4]>(), hTexRef, |state| {
            state.border
        })
    }
}

/// As set.
pub(crate) unsafe fn cuTexRefGetFlags(pFlags: *mut u32, hTexRef: CUtexref) -> Result<()> {
    // SAFETY: the caller's pointer.
    unsafe { get(pFlags, hTexRef, |state| state.flags) }
}
