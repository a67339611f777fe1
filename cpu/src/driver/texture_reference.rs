//! Texture and surface references: variables of modules. A launch reads by what is bound to them when it is made.
//!
//! Kernels name a reference by the address of its variable, which they look up like an object's handle.
//!
//! See <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__TEXREF__DEPRECATED.html>.

use std::collections::HashMap;
use std::ffi::{c_char, c_void};
use std::sync::Arc;

use gvirtus_wire::api::types::{
    CUDA_ARRAY_DESCRIPTOR, CUDA_RESOURCE_DESC, CUDA_TEXTURE_DESC, CUarray, CUdeviceptr,
    CUmipmappedArray, CUmodule, CUsurfref, CUtexref,
};
use parking_lot::Mutex;

use super::error::{ERROR_INVALID_VALUE, ERROR_NOT_FOUND, Result};
use super::handles::{self, Table};
use super::module::Module;
use super::texture::{ALIGNMENT, ARRAY, LINEAR, MIPMAPPED_ARRAY, PITCH_2D};
use super::{array, context, ffi, module, texture};
use crate::engine::Reference as Kind;
use crate::image::{Surface, Texture};

/// `CU_AD_FORMAT_FLOAT`.
const FORMAT_FLOAT: u32 = 0x20;
/// `CU_TRSA_OVERRIDE_FORMAT`: the only flag.
const OVERRIDE_FORMAT: u32 = 1;

/// What is bound, and how it is read.
struct State {
    /// `None`: nothing is bound.
    resource: Option<CUDA_RESOURCE_DESC>,
    format: (u32, u32),
    settings: CUDA_TEXTURE_DESC,
}

/// A reference that was asked for; of the others nobody can have bound anything.
struct Reference {
    handle: usize,
    module: usize,
    name: String,
    kind: Kind,
    /// Of its variable.
    address: u64,
    state: Mutex<State>,
}

static REFERENCES: Table<Reference> = Table::new();

/// What the references of a module read at a launch, by the addresses of their variables.
#[derive(Default)]
pub(super) struct Bound {
    pub(super) textures: HashMap<u64, Arc<Texture>>,
    pub(super) surfaces: HashMap<u64, Arc<Surface>>,
}

/// What a launch of a kernel of this module reads by references; `None` if the module has none.
///
/// # Errors
/// What making an object of the same would return.
pub(super) fn bound(module: usize, device: usize) -> Result<Option<Arc<Bound>>> {
    let Some(of) = module::MODULES.get(handles::pointer(module)) else {
        return Ok(None);
    };
    if of.references.is_empty() {
        return Ok(None);
    }
    let mut bound = Bound::default();
    REFERENCES.try_each(|reference| {
        let state = reference.state.lock();
        let Some(mut resource) = state.resource.filter(|_| reference.module == module) else {
            return Ok(());
        };
        if reference.kind == Kind::Surface {
            let surface = Arc::new(texture::surface(&resource)?);
            bound.surfaces.insert(reference.address, surface);
            return Ok(());
        }
        if resource.resType == LINEAR {
            resource.res[1] = u64::from(state.format.0) | u64::from(state.format.1) << 32;
        }
        let texture = Arc::new(texture::read_as(&resource, &state.settings, device)?);
        bound.textures.insert(reference.address, texture);
        Ok(())
    })?;
    Ok(Some(Arc::new(bound)))
}

/// A module is gone, and its references with it.
pub(super) fn forget_module(module: usize) {
    REFERENCES.remove_where(|reference| reference.module == module);
}

fn find(module: &Arc<Module>, name: &str, kind: Kind) -> Result<usize> {
    let is = |of: &Reference| of.module == module.handle && of.name == name;
    if let Some(known) = REFERENCES.find(|of| is(of) && of.kind == kind) {
        return Ok(known.handle);
    }
    let (address, declared) = *module.references.get(name).ok_or(ERROR_NOT_FOUND)?;
    if declared != kind {
        return Err(ERROR_NOT_FOUND);
    }
    let handle = handles::mint();
    REFERENCES.insert(
        handle,
        Arc::new(Reference {
            handle,
            module: module.handle,
            name: name.to_owned(),
            kind,
            address,
            state: Mutex::new(State {
                resource: None,
                format: (FORMAT_FLOAT, 1),
                settings: CUDA_TEXTURE_DESC::default(),
            }),
        }),
    );
    Ok(handle)
}

fn with<R>(
    reference: *mut c_void,
    kind: Kind,
    f: impl FnOnce(&mut State) -> Result<R>,
) -> Result<R> {
    context::current()?;
    let reference = REFERENCES.get(reference).filter(|of| of.kind == kind);
    f(&mut reference.ok_or(ERROR_INVALID_VALUE)?.state.lock())
}

fn set(reference: CUtexref, change: impl FnOnce(&mut State) -> Result) -> Result {
    with(reference, Kind::Texture, change)
}

fn get<T>(to: *mut T, reference: CUtexref, what: impl FnOnce(&State) -> T) -> Result {
    ffi::put(to, with(reference, Kind::Texture, |state| Ok(what(state)))?)
}

pub(super) fn cuModuleGetTexRef(
    pTexRef: *mut CUtexref,
    hmod: CUmodule,
    name: *const c_char,
) -> Result {
    let module = module::resolve(hmod)?;
    let handle = find(&module, &ffi::get_string(name)?, Kind::Texture)?;
    ffi::put(pTexRef, handles::pointer(handle))
}

pub(super) fn cuModuleGetSurfRef(
    pSurfRef: *mut CUsurfref,
    hmod: CUmodule,
    name: *const c_char,
) -> Result {
    let module = module::resolve(hmod)?;
    let handle = find(&module, &ffi::get_string(name)?, Kind::Surface)?;
    ffi::put(pSurfRef, handles::pointer(handle))
}

fn overrides_format(flags: u32) -> Result<bool> {
    if flags & !OVERRIDE_FORMAT != 0 {
        return Err(ERROR_INVALID_VALUE);
    }
    Ok(flags != 0)
}

pub(super) fn cuTexRefSetArray(hTexRef: CUtexref, hArray: CUarray, Flags: u32) -> Result {
    set(hTexRef, |state| {
        if overrides_format(Flags)? {
            state.format = array::resolve(hArray)?.format();
        }
        state.resource = Some(CUDA_RESOURCE_DESC::new(ARRAY, &[hArray.addr() as u64]));
        Ok(())
    })
}

pub(super) fn cuTexRefSetMipmappedArray(
    hTexRef: CUtexref,
    hMipmappedArray: CUmipmappedArray,
    Flags: u32,
) -> Result {
    set(hTexRef, |state| {
        overrides_format(Flags)?;
        array::resolve_mipmap(hMipmappedArray)?;
        let words = [hMipmappedArray.addr() as u64];
        state.resource = Some(CUDA_RESOURCE_DESC::new(MIPMAPPED_ARRAY, &words));
        Ok(())
    })
}

pub(super) fn cuTexRefSetAddress_v2(
    ByteOffset: *mut usize,
    hTexRef: CUtexref,
    dptr: CUdeviceptr,
    bytes: usize,
) -> Result {
    set(hTexRef, |state| {
        let offset = dptr % ALIGNMENT;
        if ByteOffset.is_null() && offset != 0 {
            return Err(ERROR_INVALID_VALUE);
        }
        let words = [dptr - offset, 0, bytes as u64 + offset];
        state.resource = Some(CUDA_RESOURCE_DESC::new(LINEAR, &words));
        ffi::put_optional(ByteOffset, offset as usize);
        Ok(())
    })
}

pub(super) fn cuTexRefSetAddress2D_v3(
    hTexRef: CUtexref,
    desc: *const c_void,
    dptr: CUdeviceptr,
    Pitch: usize,
) -> Result {
    set(hTexRef, |state| {
        let desc = ffi::get(desc.cast::<CUDA_ARRAY_DESCRIPTOR>())?;
        let element = u64::from(desc.Format) | u64::from(desc.NumChannels) << 32;
        let [width, height, pitch] = [desc.Width, desc.Height, Pitch].map(|n| n as u64);
        let resource = CUDA_RESOURCE_DESC::new(PITCH_2D, &[dptr, element, width, height, pitch]);
        texture::check_memory(&resource, context::current()?.device)?;
        state.format = (desc.Format, desc.NumChannels);
        state.resource = Some(resource);
        Ok(())
    })
}

pub(super) fn cuTexRefSetFormat(hTexRef: CUtexref, fmt: u32, NumPackedComponents: i32) -> Result {
    set(hTexRef, |state| {
        let channels = u32::try_from(NumPackedComponents).map_err(|_| ERROR_INVALID_VALUE)?;
        texture::element(fmt, channels)?;
        state.format = (fmt, channels);
        Ok(())
    })
}

pub(super) fn cuTexRefSetAddressMode(hTexRef: CUtexref, dim: i32, am: u32) -> Result {
    set(hTexRef, |state| {
        texture::address_mode(am)?;
        let dim = usize::try_from(dim).map_err(|_| ERROR_INVALID_VALUE)?;
        let mode = state.settings.addressMode.get_mut(dim);
        *mode.ok_or(ERROR_INVALID_VALUE)? = am;
        Ok(())
    })
}

pub(super) fn cuTexRefSetFilterMode(hTexRef: CUtexref, fm: u32) -> Result {
    set(hTexRef, |state| {
        texture::filter(fm)?;
        state.settings.filterMode = fm;
        Ok(())
    })
}

pub(super) fn cuTexRefSetMipmapFilterMode(hTexRef: CUtexref, fm: u32) -> Result {
    set(hTexRef, |state| {
        texture::filter(fm)?;
        state.settings.mipmapFilterMode = fm;
        Ok(())
    })
}

pub(super) fn cuTexRefSetMipmapLevelBias(hTexRef: CUtexref, bias: f32) -> Result {
    set(hTexRef, |state| {
        state.settings.mipmapLevelBias = bias;
        Ok(())
    })
}

pub(super) fn cuTexRefSetMipmapLevelClamp(
    hTexRef: CUtexref,
    minMipmapLevelClamp: f32,
    maxMipmapLevelClamp: f32,
) -> Result {
    set(hTexRef, |state| {
        state.settings.minMipmapLevelClamp = minMipmapLevelClamp;
        state.settings.maxMipmapLevelClamp = maxMipmapLevelClamp;
        Ok(())
    })
}

pub(super) fn cuTexRefSetMaxAnisotropy(hTexRef: CUtexref, maxAniso: u32) -> Result {
    set(hTexRef, |state| {
        state.settings.maxAnisotropy = maxAniso;
        Ok(())
    })
}

pub(super) fn cuTexRefSetBorderColor(hTexRef: CUtexref, pBorderColor: *mut f32) -> Result {
    set(hTexRef, |state| {
        state.settings.borderColor = ffi::get(pBorderColor.cast_const().cast::<[f32; 4]>())?;
        Ok(())
    })
}

pub(super) fn cuTexRefSetFlags(hTexRef: CUtexref, Flags: u32) -> Result {
    set(hTexRef, |state| {
        if Flags & !texture::ALL_FLAGS != 0 {
            return Err(ERROR_INVALID_VALUE);
        }
        state.settings.flags = Flags;
        Ok(())
    })
}

pub(super) fn cuTexRefGetFormat(
    pFormat: *mut u32,
    pNumChannels: *mut i32,
    hTexRef: CUtexref,
) -> Result {
    let (format, channels) = with(hTexRef, Kind::Texture, |state| Ok(state.format))?;
    ffi::put_optional(pFormat, format);
    ffi::put_optional(pNumChannels, channels.cast_signed());
    Ok(())
}

pub(super) fn cuTexRefGetAddressMode(pam: *mut u32, hTexRef: CUtexref, dim: i32) -> Result {
    let dim = usize::try_from(dim).map_err(|_| ERROR_INVALID_VALUE)?;
    let mode = with(hTexRef, Kind::Texture, |state| {
        let mode = state.settings.addressMode.get(dim);
        mode.copied().ok_or(ERROR_INVALID_VALUE)
    });
    ffi::put(pam, mode?)
}

pub(super) fn cuTexRefGetFilterMode(pfm: *mut u32, hTexRef: CUtexref) -> Result {
    get(pfm, hTexRef, |state| state.settings.filterMode)
}

pub(super) fn cuTexRefGetMipmapFilterMode(pfm: *mut u32, hTexRef: CUtexref) -> Result {
    get(pfm, hTexRef, |state| state.settings.mipmapFilterMode)
}

pub(super) fn cuTexRefGetMipmapLevelBias(pbias: *mut f32, hTexRef: CUtexref) -> Result {
    get(pbias, hTexRef, |state| state.settings.mipmapLevelBias)
}

pub(super) fn cuTexRefGetMipmapLevelClamp(
    pminMipmapLevelClamp: *mut f32,
    pmaxMipmapLevelClamp: *mut f32,
    hTexRef: CUtexref,
) -> Result {
    get(pminMipmapLevelClamp, hTexRef, |state| {
        state.settings.minMipmapLevelClamp
    })?;
    get(pmaxMipmapLevelClamp, hTexRef, |state| {
        state.settings.maxMipmapLevelClamp
    })
}

pub(super) fn cuTexRefGetMaxAnisotropy(pmaxAniso: *mut i32, hTexRef: CUtexref) -> Result {
    get(pmaxAniso, hTexRef, |state| {
        state.settings.maxAnisotropy.cast_signed()
    })
}

pub(super) fn cuTexRefGetBorderColor(pBorderColor: *mut f32, hTexRef: CUtexref) -> Result {
    get(pBorderColor.cast::<[f32; 4]>(), hTexRef, |state| {
        state.settings.borderColor
    })
}

pub(super) fn cuTexRefGetFlags(pFlags: *mut u32, hTexRef: CUtexref) -> Result {
    get(pFlags, hTexRef, |state| state.settings.flags)
}

pub(super) fn cuSurfRefSetArray(hSurfRef: CUsurfref, hArray: CUarray, Flags: u32) -> Result {
    with(hSurfRef, Kind::Surface, |state| {
        if Flags != 0 {
            return Err(ERROR_INVALID_VALUE);
        }
        array::resolve(hArray)?;
        state.resource = Some(CUDA_RESOURCE_DESC::new(ARRAY, &[hArray.addr() as u64]));
        Ok(())
    })
}
