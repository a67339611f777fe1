//! Texture and surface references: <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__TEXREF__DEPRECATED.html>,
//! <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__SURFREF__DEPRECATED.html>.
//!
//! A reference of a module is a variable that its kernels read by; what is bound to it is told to the box at once, and launches from there on read that. nvcc has made none since CUDA 12, but PTX
//! and binaries have them. A reference that `cuTexRefCreate` makes is no kernel's: it keeps what it is given and gives it back.
#![allow(non_snake_case, reason = "CUDA's names")]

use std::ffi::{c_char, c_void};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use gvirtus_wire::api::core::{
    REFERENCE_ADDRESS_MODES, REFERENCE_ANISOTROPY, REFERENCE_BIAS, REFERENCE_BORDER,
    REFERENCE_CLAMP, REFERENCE_FILTER, REFERENCE_FLAGS, REFERENCE_FORMAT, REFERENCE_MIPMAP_FILTER,
    ReferenceState, SurfaceReferenceBind, SurfaceReferenceFind, TextureReferenceBind,
    TextureReferenceFind, TextureReferenceSet,
};
use gvirtus_wire::api::types::{
    CUDA_ARRAY_DESCRIPTOR, CUDA_RESOURCE_DESC, CUDA_TEXTURE_DESC, CUarray, CUdeviceptr, CUfunction,
    CUmipmappedArray, CUmodule, CUsurfref, CUtexref, error,
};
use parking_lot::Mutex;

use crate::driver::module::{self, Module};
use crate::driver::texture::{self, ARRAY, LINEAR, MIPMAPPED_ARRAY, PITCH_2D};
use crate::driver::{Result, array, context, function, put, put_if, session};
use crate::handles::{Kind, Table};
use crate::memory::ledger;

/// Addresses are bound at multiples of so many bytes; the rest is the offset.
const ALIGNMENT: u64 = 512;
/// `CU_AD_FORMAT_FLOAT`.
const FORMAT_FLOAT: u32 = 0x20;
/// `CU_TRSA_OVERRIDE_FORMAT`: the only flag.
const OVERRIDE_FORMAT: u32 = 1;
/// `CU_TRSF_*`.
const ALL_FLAGS: u32 = 0x73;
/// The last `CUaddress_mode` and the last `CUfilter_mode`.
const LAST_ADDRESS_MODE: u32 = 3;
const LAST_FILTER_MODE: u32 = 1;

/// What a reference reads.
#[derive(Clone, Copy, Default, PartialEq)]
enum Bound {
    #[default]
    Nothing,
    Array(usize),
    Mipmap(usize),
    Address(CUdeviceptr),
}

#[derive(Clone, Copy, PartialEq)]
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

impl State {
    const fn new() -> Self {
        Self {
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
        }
    }

    /// What the box says of a reference to which nothing is bound.
    fn received(state: &ReferenceState) -> Self {
        let settings = CUDA_TEXTURE_DESC::from(&state.settings);
        Self {
            bound: Bound::Nothing,
            format: (state.format, state.channels.cast_signed()),
            address_modes: settings.addressMode,
            filter: settings.filterMode,
            mipmap_filter: settings.mipmapFilterMode,
            bias: settings.mipmapLevelBias,
            clamp: (settings.minMipmapLevelClamp, settings.maxMipmapLevelClamp),
            anisotropy: settings.maxAnisotropy,
            border: settings.borderColor,
            flags: settings.flags,
        }
    }

    fn sent(&self) -> ReferenceState {
        let settings = CUDA_TEXTURE_DESC {
            addressMode: self.address_modes,
            filterMode: self.filter,
            flags: self.flags,
            maxAnisotropy: self.anisotropy,
            mipmapFilterMode: self.mipmap_filter,
            mipmapLevelBias: self.bias,
            minMipmapLevelClamp: self.clamp.0,
            maxMipmapLevelClamp: self.clamp.1,
            borderColor: self.border,
            ..CUDA_TEXTURE_DESC::default()
        };
        ReferenceState {
            format: self.format.0,
            channels: self.format.1.cast_unsigned(),
            settings: (&settings).into(),
        }
    }
}

/// The variable that a reference is.
struct Variable {
    /// The reference's number on the wire.
    id: u32,
    context: u32,
    /// The module's handle.
    module: usize,
    name: String,
}

impl Variable {
    fn is(&self, module: CUmodule, name: &str) -> bool {
        self.module == module.addr() && self.name == name
    }

    /// Numbers on the wire, of textures and surfaces alike; never used twice.
    fn new(module: &Module, name: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            context: module.context.id,
            module: module::handle(module).addr(),
            name: name.to_owned(),
        }
    }
}

/// A texture reference.
struct Reference {
    handle: usize,
    /// `None` for one that the program made.
    variable: Option<Variable>,
    state: Mutex<State>,
}

/// A surface reference, and the array that is bound to it.
struct Surface {
    handle: usize,
    variable: Variable,
    bound: Mutex<Option<usize>>,
}

static REFERENCES: Table<Reference> = Table::new(Kind::TextureReference);
static SURFACES: Table<Surface> = Table::new(Kind::SurfaceReference);
/// Held while a module's reference is looked for, so that each has one handle.
static LOOKING: Mutex<()> = Mutex::new(());

/// A context is gone, and the references of its modules with it.
pub(crate) fn forget_context(context: u32) {
    REFERENCES.remove_if(|reference| {
        let of = reference.variable.as_ref();
        of.is_some_and(|variable| variable.context == context)
    });
    SURFACES.remove_if(|surface| surface.variable.context == context);
}

/// A module is gone, and its references with it.
pub(crate) fn forget_module(module: CUmodule) {
    REFERENCES.remove_if(|reference| {
        let of = reference.variable.as_ref();
        of.is_some_and(|variable| variable.module == module.addr())
    });
    SURFACES.remove_if(|surface| surface.variable.module == module.addr());
}

fn resolve(reference: CUtexref) -> Result<Arc<Reference>> {
    session()?;
    context::current()?;
    REFERENCES.get(reference).ok_or(error::ERROR_INVALID_VALUE)
}

/// Sets `what` (`REFERENCE_*`) of a reference.
fn change(
    reference: CUtexref,
    what: u32,
    change: impl FnOnce(&mut State) -> Result<()>,
) -> Result<()> {
    let reference = resolve(reference)?;
    let mut state = reference.state.lock();
    let mut new = *state;
    change(&mut new)?;
    if let Some(variable) = &reference.variable
        && new != *state
    {
        let command = TextureReferenceSet {
            reference: variable.id,
            what,
            state: new.sent(),
        };
        session()?.post(variable.context, &command)?;
    }
    *state = new;
    Ok(())
}

/// Binds what `change` says.
fn bind(
    reference: CUtexref,
    change: impl FnOnce(&mut State) -> Result<CUDA_RESOURCE_DESC>,
) -> Result<()> {
    let reference = resolve(reference)?;
    let mut state = reference.state.lock();
    let mut new = *state;
    let resource = change(&mut new)?;
    if let Some(variable) = &reference.variable {
        let command = TextureReferenceBind {
            reference: variable.id,
            resource: texture::resource(&resource)?,
        };
        session()?.post(variable.context, &command)?;
    }
    *state = new;
    Ok(())
}

/// # Safety
/// `to` is null or the caller's.
unsafe fn get<T>(to: *mut T, reference: CUtexref, what: impl FnOnce(&State) -> T) -> Result<()> {
    let value = what(&resolve(reference)?.state.lock());
    // SAFETY: this function's contract.
    unsafe { put(to, value) }
}

/// The module behind a handle, and the name of one of its variables.
///
/// # Safety
/// `name` is null or a C string.
unsafe fn wanted<'a>(of: CUmodule, name: *const c_char) -> Result<(Arc<Module>, &'a str)> {
    let module = module::by_handle(of)?;
    // SAFETY: this function's contract.
    Ok((module, unsafe { module::name_of(name)? }))
}

/// The texture reference of a module: the same handle whenever it is asked for. `CUDA_ERROR_NOT_FOUND` if there is none of that name.
pub(crate) unsafe fn cuModuleGetTexRef(
    pTexRef: *mut CUtexref,
    hmod: CUmodule,
    name: *const c_char,
) -> Result<()> {
    let session = session()?;
    if pTexRef.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    // SAFETY: the caller's string.
    let (module, name) = unsafe { wanted(hmod, name)? };
    let _looking = LOOKING.lock();
    let known = REFERENCES.find(|reference| {
        let of = reference.variable.as_ref();
        of.is_some_and(|variable| variable.is(hmod, name))
    });
    let reference = match known {
        Some(reference) => reference,
        None => {
            let variable = Variable::new(&module, name);
            let command = TextureReferenceFind {
                module: module.id,
                name: name.to_owned(),
                reference: variable.id,
            };
            let state = session.call_setup(variable.context, &command, &[])?;
            let made = REFERENCES.insert(|handle| Reference {
                handle: handle.addr(),
                variable: Some(variable),
                state: Mutex::new(State::received(&state)),
            });
            made.ok_or(error::ERROR_OUT_OF_MEMORY)?
        }
    };
    // SAFETY: not null, and the caller's.
    unsafe { put(pTexRef, std::ptr::without_provenance_mut(reference.handle)) }
}

/// The surface reference of a module, as [`cuModuleGetTexRef`].
pub(crate) unsafe fn cuModuleGetSurfRef(
    pSurfRef: *mut CUsurfref,
    hmod: CUmodule,
    name: *const c_char,
) -> Result<()> {
    let session = session()?;
    if pSurfRef.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    // SAFETY: the caller's string.
    let (module, name) = unsafe { wanted(hmod, name)? };
    let _looking = LOOKING.lock();
    let known = SURFACES.find(|surface| surface.variable.is(hmod, name));
    let surface = match known {
        Some(surface) => surface,
        None => {
            let variable = Variable::new(&module, name);
            let command = SurfaceReferenceFind {
                module: module.id,
                name: name.to_owned(),
                reference: variable.id,
            };
            session.call_setup(variable.context, &command, &[])?;
            let made = SURFACES.insert(|handle| Surface {
                handle: handle.addr(),
                variable,
                bound: Mutex::new(None),
            });
            made.ok_or(error::ERROR_OUT_OF_MEMORY)?
        }
    };
    // SAFETY: not null, and the caller's.
    unsafe { put(pSurfRef, std::ptr::without_provenance_mut(surface.handle)) }
}

fn resolve_surface(surface: CUsurfref) -> Result<Arc<Surface>> {
    session()?;
    context::current()?;
    SURFACES.get(surface).ok_or(error::ERROR_INVALID_VALUE)
}

/// Binds an array to a surface reference.
pub(crate) fn cuSurfRefSetArray(hSurfRef: CUsurfref, hArray: CUarray, Flags: u32) -> Result<()> {
    let surface = resolve_surface(hSurfRef)?;
    if Flags != 0 {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let mut bound = surface.bound.lock();
    let command = SurfaceReferenceBind {
        reference: surface.variable.id,
        array: array::resolve(hArray)?.id,
    };
    session()?.post(surface.variable.context, &command)?;
    *bound = Some(hArray.addr());
    Ok(())
}

/// The array that is bound to a surface reference.
pub(crate) unsafe fn cuSurfRefGetArray(phArray: *mut CUarray, hSurfRef: CUsurfref) -> Result<()> {
    let bound = *resolve_surface(hSurfRef)?.bound.lock();
    let array = bound.ok_or(error::ERROR_INVALID_VALUE)?;
    // SAFETY: the caller's pointer.
    unsafe { put(phArray, std::ptr::without_provenance_mut(array)) }
}

/// Makes a texture reference a kernel's: those of its module are, all of them, and nothing is to be done. The texture unit is not looked at, as natively.
pub(crate) fn cuParamSetTexRef(hfunc: CUfunction, _texunit: i32, hTexRef: CUtexref) -> Result<()> {
    session()?;
    function::by_handle(hfunc)?;
    resolve(hTexRef).map(drop)
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
        variable: None,
        state: Mutex::new(State::new()),
    });
    let handle = made.ok_or(error::ERROR_OUT_OF_MEMORY)?.handle;
    // SAFETY: not null, and the caller's.
    unsafe { put(pTexRef, std::ptr::without_provenance_mut(handle)) }
}

/// Destroys a reference that the program made.
pub(crate) fn cuTexRefDestroy(hTexRef: CUtexref) -> Result<()> {
    if resolve(hTexRef)?.variable.is_some() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let gone = REFERENCES.remove(hTexRef);
    gone.map(drop).ok_or(error::ERROR_INVALID_VALUE)
}

fn overrides_format(flags: u32) -> Result<bool> {
    if flags & !OVERRIDE_FORMAT != 0 {
        return Err(error::ERROR_INVALID_VALUE);
    }
    Ok(flags != 0)
}

/// Binds an array; its format becomes the reference's if it is told so.
pub(crate) fn cuTexRefSetArray(hTexRef: CUtexref, hArray: CUarray, Flags: u32) -> Result<()> {
    bind(hTexRef, |state| {
        let overrides = overrides_format(Flags)?;
        let shape = &array::resolve(hArray)?.shape;
        if overrides {
            state.format = (shape.format, shape.channels.cast_signed());
        }
        state.bound = Bound::Array(hArray.addr());
        Ok(CUDA_RESOURCE_DESC::new(ARRAY, &[hArray.addr() as u64]))
    })
}

/// Binds a mipmapped array.
pub(crate) fn cuTexRefSetMipmappedArray(
    hTexRef: CUtexref,
    hMipmappedArray: CUmipmappedArray,
    Flags: u32,
) -> Result<()> {
    bind(hTexRef, |state| {
        overrides_format(Flags)?;
        array::resolve_mipmap(hMipmappedArray)?;
        state.bound = Bound::Mipmap(hMipmappedArray.addr());
        Ok(CUDA_RESOURCE_DESC::new(
            MIPMAPPED_ARRAY,
            &[hMipmappedArray.addr() as u64],
        ))
    })
}

/// Binds so many bytes of memory that is known; how far the address lies behind where it can be bound is told.
fn bind_memory(state: &mut State, address: CUdeviceptr, bytes: usize) -> Result<u64> {
    let end = address.checked_add(bytes as u64);
    let known = ledger::find(address).filter(|entry| end.is_some_and(|end| end <= entry.end()));
    known.ok_or(error::ERROR_INVALID_VALUE)?;
    let offset = address % ALIGNMENT;
    state.bound = Bound::Address(address - offset);
    Ok(offset)
}

/// Binds linear memory; how far the address lies behind where it can be bound is told. No memory at no address unbinds: so CUDA 11's runtime does it.
pub(crate) unsafe fn cuTexRefSetAddress_v2(
    ByteOffset: *mut usize,
    hTexRef: CUtexref,
    dptr: CUdeviceptr,
    bytes: usize,
) -> Result<()> {
    if dptr == 0 && bytes == 0 {
        resolve(hTexRef)?.state.lock().bound = Bound::Nothing;
        // SAFETY: the caller's pointer.
        unsafe { put_if(ByteOffset, 0) };
        return Ok(());
    }
    bind(hTexRef, |state| {
        let offset = bind_memory(state, dptr, bytes)?;
        if ByteOffset.is_null() && offset != 0 {
            return Err(error::ERROR_INVALID_VALUE);
        }
        // SAFETY: the caller's pointer.
        unsafe { put_if(ByteOffset, offset as usize) };
        Ok(CUDA_RESOURCE_DESC::new(LINEAR, &[dptr, 0, bytes as u64]))
    })
}

/// Binds pitched memory.
pub(crate) unsafe fn cuTexRefSetAddress2D_v3(
    hTexRef: CUtexref,
    desc: *const c_void,
    dptr: CUdeviceptr,
    Pitch: usize,
) -> Result<()> {
    bind(hTexRef, |state| {
        if desc.is_null() || !dptr.is_multiple_of(ALIGNMENT) {
            return Err(error::ERROR_INVALID_VALUE);
        }
        // SAFETY: not null; the caller's descriptor.
        let desc = unsafe { desc.cast::<CUDA_ARRAY_DESCRIPTOR>().read_unaligned() };
        let bytes = Pitch
            .checked_mul(desc.Height)
            .ok_or(error::ERROR_INVALID_VALUE)?;
        bind_memory(state, dptr, bytes)?;
        state.format = (desc.Format, desc.NumChannels.cast_signed());
        let element = u64::from(desc.Format) | u64::from(desc.NumChannels) << 32;
        let [width, height, pitch] = [desc.Width, desc.Height, Pitch].map(|n| n as u64);
        Ok(CUDA_RESOURCE_DESC::new(
            PITCH_2D,
            &[dptr, element, width, height, pitch],
        ))
    })
}

/// Says what elements are.
pub(crate) fn cuTexRefSetFormat(
    hTexRef: CUtexref,
    fmt: u32,
    NumPackedComponents: i32,
) -> Result<()> {
    change(hTexRef, REFERENCE_FORMAT, |state| {
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
    change(hTexRef, REFERENCE_ADDRESS_MODES, |state| {
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
    change(hTexRef, REFERENCE_FILTER, |state| {
        state.filter = filter(fm)?;
        Ok(())
    })
}

/// Says how mip levels are blended.
pub(crate) fn cuTexRefSetMipmapFilterMode(hTexRef: CUtexref, fm: u32) -> Result<()> {
    change(hTexRef, REFERENCE_MIPMAP_FILTER, |state| {
        state.mipmap_filter = filter(fm)?;
        Ok(())
    })
}

/// Sets what is added to mip levels.
pub(crate) fn cuTexRefSetMipmapLevelBias(hTexRef: CUtexref, bias: f32) -> Result<()> {
    change(hTexRef, REFERENCE_BIAS, |state| {
        state.bias = bias;
        Ok(())
    })
}

/// Sets lowest and highest mip level.
pub(crate) fn cuTexRefSetMipmapLevelClamp(
    hTexRef: CUtexref,
    minMipmapLevelClamp: f32,
    maxMipmapLevelClamp: f32,
) -> Result<()> {
    change(hTexRef, REFERENCE_CLAMP, |state| {
        state.clamp = (minMipmapLevelClamp, maxMipmapLevelClamp);
        Ok(())
    })
}

/// Sets the limit of anisotropy.
pub(crate) fn cuTexRefSetMaxAnisotropy(hTexRef: CUtexref, maxAniso: u32) -> Result<()> {
    change(hTexRef, REFERENCE_ANISOTROPY, |state| {
        state.anisotropy = maxAniso;
        Ok(())
    })
}

/// Sets what lies beyond the border.
pub(crate) unsafe fn cuTexRefSetBorderColor(
    hTexRef: CUtexref,
    pBorderColor: *mut f32,
) -> Result<()> {
    change(hTexRef, REFERENCE_BORDER, |state| {
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
    change(hTexRef, REFERENCE_FLAGS, |state| {
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
