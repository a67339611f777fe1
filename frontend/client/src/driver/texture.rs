//! Texture and surface objects: <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__TEXOBJECT.html>.
//!
//! An object's handle is a value that kernels receive, so it is the box's own, and making one asks the box. What it was made of is remembered here.
#![allow(non_snake_case, reason = "CUDA's names")]

use std::collections::HashMap;

use gvirtus_wire::api::core::{
    Resource, ResourceView, SurfaceCreate, SurfaceDestroy, TextureCreate, TextureDestroy,
    TextureLinearWidth,
};
use gvirtus_wire::api::types::{
    CUDA_RESOURCE_DESC, CUDA_RESOURCE_VIEW_DESC, CUDA_TEXTURE_DESC, CUdevice, CUsurfObject,
    CUtexObject, error,
};
use parking_lot::Mutex;

use crate::driver::{Result, array, context, device, put, session};
use crate::memory::ledger;

/// `CUresourcetype`.
pub(crate) const ARRAY: u32 = 0;
pub(crate) const MIPMAPPED_ARRAY: u32 = 1;
pub(crate) const LINEAR: u32 = 2;
pub(crate) const PITCH_2D: u32 = 3;

/// What a texture object was made of.
#[derive(Clone, Copy)]
struct Texture {
    resource: CUDA_RESOURCE_DESC,
    texture: CUDA_TEXTURE_DESC,
    view: Option<CUDA_RESOURCE_VIEW_DESC>,
}

/// Objects by context and handle: different contexts may use the same values.
type Objects<T> = Mutex<Option<HashMap<(u32, u64), T>>>;

static TEXTURES: Objects<Texture> = Mutex::new(None);
static SURFACES: Objects<CUDA_RESOURCE_DESC> = Mutex::new(None);

/// A context is gone, and its objects with it.
pub(crate) fn forget_context(context: u32) {
    if let Some(textures) = &mut *TEXTURES.lock() {
        textures.retain(|(of, _), _| *of != context);
    }
    if let Some(surfaces) = &mut *SURFACES.lock() {
        surfaces.retain(|(of, _), _| *of != context);
    }
}

/// What was kept of an object of the current context.
fn find<T: Copy>(objects: &Objects<T>, object: u64) -> Result<T> {
    let key = (context::current()?.id, object);
    let objects = objects.lock();
    let found = objects.as_ref().and_then(|objects| objects.get(&key));
    found.copied().ok_or(error::ERROR_INVALID_VALUE)
}

fn handle(word: u64) -> *mut std::ffi::c_void {
    std::ptr::without_provenance_mut(word as usize)
}

/// A resource as it travels.
///
/// # Errors
/// `CUDA_ERROR_INVALID_VALUE` for an unknown kind, `CUDA_ERROR_INVALID_HANDLE` for what is no array.
pub(crate) fn resource(given: &CUDA_RESOURCE_DESC) -> Result<Resource> {
    let mut resource = Resource {
        kind: given.resType,
        flags: given.flags,
        ..Resource::default()
    };
    match given.resType {
        ARRAY => resource.array = array::resolve(handle(given.res[0]))?.id,
        MIPMAPPED_ARRAY => resource.array = array::resolve_mipmap(handle(given.res[0]))?.id,
        LINEAR | PITCH_2D => {
            resource.address = given.res[0];
            // Pinned memory may lie elsewhere in the worker, and an address inside an object is not seen at launches.
            if ledger::find(resource.address).is_some_and(|entry| !entry.is_device()) {
                crate::log::unsupported("a texture of pinned host memory");
                return Err(error::ERROR_NOT_SUPPORTED);
            }
            resource.format = given.res[1] as u32;
            resource.channels = (given.res[1] >> 32) as u32;
            resource.width = given.res[2];
            if given.resType == PITCH_2D {
                resource.height = given.res[3];
                resource.pitch = given.res[4];
            }
        }
        _ => return Err(error::ERROR_INVALID_VALUE),
    }
    Ok(resource)
}

fn view(given: &CUDA_RESOURCE_VIEW_DESC) -> ResourceView {
    ResourceView {
        format: given.format,
        width: given.width as u64,
        height: given.height as u64,
        depth: given.depth as u64,
        levels: (given.firstMipmapLevel, given.lastMipmapLevel),
        layers: (given.firstLayer, given.lastLayer),
    }
}

/// Makes a texture object.
pub(crate) unsafe fn cuTexObjectCreate(
    object: *mut CUtexObject,
    pResDesc: *const CUDA_RESOURCE_DESC,
    pTexDesc: *const CUDA_TEXTURE_DESC,
    pResViewDesc: *const CUDA_RESOURCE_VIEW_DESC,
) -> Result<()> {
    let session = session()?;
    let context = context::current()?;
    if object.is_null() || pResDesc.is_null() || pTexDesc.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    // SAFETY: not null; the caller's descriptors.
    let texture = unsafe {
        Texture {
            resource: pResDesc.read_unaligned(),
            texture: pTexDesc.read_unaligned(),
            view: (!pResViewDesc.is_null()).then(|| pResViewDesc.read_unaligned()),
        }
    };
    let command = TextureCreate {
        resource: resource(&texture.resource)?,
        texture: (&texture.texture).into(),
        view: texture.view.as_ref().map(view),
    };
    let made = session.call(context.id, &command)?;
    TEXTURES
        .lock()
        .get_or_insert_default()
        .insert((context.id, made), texture);
    // SAFETY: not null, and the caller's.
    unsafe { put(object, made) }
}

/// Destroys a texture object.
pub(crate) fn cuTexObjectDestroy(object: CUtexObject) -> Result<()> {
    let session = session()?;
    let context = context::current()?;
    let mut textures = TEXTURES.lock();
    let known = textures
        .as_mut()
        .and_then(|textures| textures.remove(&(context.id, object)));
    known.ok_or(error::ERROR_INVALID_VALUE)?;
    // Under the lock: the box may give the same value out again once it has the command.
    session.post(context.id, &TextureDestroy { texture: object })
}

/// What a texture object reads.
pub(crate) unsafe fn cuTexObjectGetResourceDesc(
    to: *mut CUDA_RESOURCE_DESC,
    object: CUtexObject,
) -> Result<()> {
    session()?;
    // SAFETY: the caller's pointer.
    unsafe { put(to, find(&TEXTURES, object)?.resource) }
}

/// How a texture object reads.
pub(crate) unsafe fn cuTexObjectGetTextureDesc(
    to: *mut CUDA_TEXTURE_DESC,
    object: CUtexObject,
) -> Result<()> {
    session()?;
    // SAFETY: the caller's pointer.
    unsafe { put(to, find(&TEXTURES, object)?.texture) }
}

/// The view that a texture object was made with; `CUDA_ERROR_INVALID_VALUE` if there was none.
pub(crate) unsafe fn cuTexObjectGetResourceViewDesc(
    to: *mut CUDA_RESOURCE_VIEW_DESC,
    object: CUtexObject,
) -> Result<()> {
    session()?;
    let view = find(&TEXTURES, object)?.view;
    // SAFETY: the caller's pointer.
    unsafe { put(to, view.ok_or(error::ERROR_INVALID_VALUE)?) }
}

/// Makes a surface object.
pub(crate) unsafe fn cuSurfObjectCreate(
    object: *mut CUsurfObject,
    pResDesc: *const CUDA_RESOURCE_DESC,
) -> Result<()> {
    let session = session()?;
    let context = context::current()?;
    if object.is_null() || pResDesc.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    // SAFETY: not null; the caller's descriptor.
    let given = unsafe { pResDesc.read_unaligned() };
    if given.resType != ARRAY {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let array = resource(&given)?.array;
    let made = session.call(context.id, &SurfaceCreate { array })?;
    SURFACES
        .lock()
        .get_or_insert_default()
        .insert((context.id, made), given);
    // SAFETY: not null, and the caller's.
    unsafe { put(object, made) }
}

/// Destroys a surface object.
pub(crate) fn cuSurfObjectDestroy(object: CUsurfObject) -> Result<()> {
    let session = session()?;
    let context = context::current()?;
    let mut surfaces = SURFACES.lock();
    let known = surfaces
        .as_mut()
        .and_then(|surfaces| surfaces.remove(&(context.id, object)));
    known.ok_or(error::ERROR_INVALID_VALUE)?;
    // Under the lock, as for textures.
    session.post(context.id, &SurfaceDestroy { surface: object })
}

/// What a surface object reads and writes.
pub(crate) unsafe fn cuSurfObjectGetResourceDesc(
    to: *mut CUDA_RESOURCE_DESC,
    object: CUsurfObject,
) -> Result<()> {
    session()?;
    // SAFETY: the caller's pointer.
    unsafe { put(to, find(&SURFACES, object)?) }
}

/// How many elements a texture of linear memory may have.
pub(crate) unsafe fn cuDeviceGetTexture1DLinearMaxWidth(
    to: *mut usize,
    format: u32,
    channels: u32,
    dev: CUdevice,
) -> Result<()> {
    let (device, _) = device::by_handle(dev)?;
    if to.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let width = session()?.call_unchecked(&TextureLinearWidth {
        device,
        format,
        channels,
    })?;
    // SAFETY: not null, and the caller's.
    unsafe { put(to, width as usize) }
}
