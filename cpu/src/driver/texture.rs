//! Texture and surface objects: descriptors are checked and turned into what the engine samples by.
//!
//! See <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__TEXOBJECT.html>.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gvirtus_wire::api::types::{
    CUDA_RESOURCE_DESC, CUDA_RESOURCE_VIEW_DESC, CUDA_TEXTURE_DESC, CUdevice, CUsurfObject,
    CUtexObject,
};
use parking_lot::RwLock;

use super::array::{self, flag};
use super::device::figures::images;
use super::error::{ERROR_INVALID_VALUE, ERROR_NOT_SUPPORTED, Result};
use super::memory::memory;
use super::texture_reference::Bound;
use super::{context, device, ffi, handles};
use crate::image::{AddressMode, Channel, Element, Images, Level, Surface, Texture};

/// `CUresourcetype`.
pub(super) const ARRAY: u32 = 0;
pub(super) const MIPMAPPED_ARRAY: u32 = 1;
pub(super) const LINEAR: u32 = 2;
pub(super) const PITCH_2D: u32 = 3;

/// `CU_TRSF_*`.
const READ_AS_INTEGER: u32 = 0x01;
const NORMALIZED_COORDINATES: u32 = 0x02;
const SRGB: u32 = 0x10;
const DISABLE_TRILINEAR_OPTIMIZATION: u32 = 0x20;
const SEAMLESS_CUBEMAP: u32 = 0x40;
pub(super) const ALL_FLAGS: u32 = READ_AS_INTEGER
    | NORMALIZED_COORDINATES
    | SRGB
    | DISABLE_TRILINEAR_OPTIMIZATION
    | SEAMLESS_CUBEMAP;

/// Alignment of linear memory, and of the pitch of pitched memory.
pub(super) const ALIGNMENT: u64 = 512;
const PITCH_ALIGNMENT: u64 = 32;

/// What a texture object was made of.
#[derive(Clone, Copy)]
struct Descriptors {
    resource: CUDA_RESOURCE_DESC,
    texture: CUDA_TEXTURE_DESC,
    view: Option<CUDA_RESOURCE_VIEW_DESC>,
}

struct Object<D, T> {
    context: u64,
    descriptors: D,
    image: Arc<T>,
    /// Gone for the program; kernels that were launched before may still look at it.
    destroyed: bool,
}

type Objects<D, T> = RwLock<Option<HashMap<u64, Object<D, T>>>>;

static TEXTURES: Objects<Descriptors, Texture> = RwLock::new(None);
static SURFACES: Objects<CUDA_RESOURCE_DESC, Surface> = RwLock::new(None);

/// Handles of objects: small numbers, never 0, never used twice.
fn mint() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// What the kernels of one launch find.
pub(super) struct LaunchImages<'a> {
    /// Whose objects.
    pub(super) context: u64,
    /// What the module's references read.
    pub(super) bound: Option<&'a Bound>,
}

fn image<D, T>(objects: &Objects<D, T>, context: u64, handle: u64) -> Option<Arc<T>> {
    let objects = objects.read();
    let object = objects.as_ref()?.get(&handle)?;
    (object.context == context).then(|| Arc::clone(&object.image))
}

impl Images for LaunchImages<'_> {
    fn texture(&self, handle: u64) -> Option<Arc<Texture>> {
        let bound = self.bound.and_then(|bound| bound.textures.get(&handle));
        bound
            .cloned()
            .or_else(|| image(&TEXTURES, self.context, handle))
    }

    fn surface(&self, handle: u64) -> Option<Arc<Surface>> {
        let bound = self.bound.and_then(|bound| bound.surfaces.get(&handle));
        bound
            .cloned()
            .or_else(|| image(&SURFACES, self.context, handle))
    }
}

/// A context is gone, and its objects with it.
pub(super) fn forget_context(context: u64) {
    if let Some(objects) = &mut *TEXTURES.write() {
        objects.retain(|_, object| object.context != context);
    }
    if let Some(objects) = &mut *SURFACES.write() {
        objects.retain(|_, object| object.context != context);
    }
}

fn descriptors<D: Copy, T>(objects: &Objects<D, T>, handle: u64) -> Result<D> {
    let context = context::current()?.id;
    let objects = objects.read();
    let object = objects.as_ref().and_then(|objects| objects.get(&handle));
    object
        .filter(|object| object.context == context && !object.destroyed)
        .map(|object| object.descriptors)
        .ok_or(ERROR_INVALID_VALUE)
}

/// A program may destroy an object as soon as the kernels that use it are launched: it goes when nothing runs any more.
fn destroy<D, T>(objects: &Objects<D, T>, handle: u64) -> Result {
    let context = context::current()?;
    {
        let mut objects = objects.write();
        objects
            .as_mut()
            .and_then(|objects| objects.get_mut(&handle))
            .filter(|object| object.context == context.id && !object.destroyed)
            .ok_or(ERROR_INVALID_VALUE)?
            .destroyed = true;
    }
    if context.is_idle()
        && let Some(objects) = &mut *objects.write()
    {
        objects.retain(|_, object| object.context != context.id || !object.destroyed);
    }
    Ok(())
}

pub(super) fn element(format: u32, channels: u32) -> Result<Element> {
    let (channel, fixed) = Channel::of_format(format).ok_or(ERROR_INVALID_VALUE)?;
    if !matches!(channels, 1 | 2 | 4) || (fixed != 0 && fixed != channels) {
        return Err(ERROR_INVALID_VALUE);
    }
    Ok(Element { channel, channels })
}

/// What is read: levels, elements, whether it is memory, and whether it has faces.
struct Source {
    levels: Vec<Level>,
    element: Element,
    kind: u32,
    cube: bool,
}

fn source(of: &CUDA_RESOURCE_DESC, device: usize) -> Result<Source> {
    let handle = handles::pointer(of.res[0] as usize);
    let (levels, element, cube) = match of.resType {
        ARRAY => {
            let array = array::resolve(handle)?;
            let cube = array.flags() & flag::CUBEMAP != 0;
            (vec![array.level], array.element, cube)
        }
        MIPMAPPED_ARRAY => {
            let mipmap = array::resolve_mipmap(handle)?;
            let first = mipmap.levels.first().ok_or(ERROR_INVALID_VALUE)?;
            let levels = mipmap.levels.iter().map(|array| array.level).collect();
            let cube = first.flags() & flag::CUBEMAP != 0;
            (levels, first.element, cube)
        }
        LINEAR | PITCH_2D => {
            let element = element(of.res[1] as u32, (of.res[1] >> 32) as u32)?;
            let level = memory_level(of, element)?;
            let last = u64::from(level.width) * u64::from(element.bytes());
            let bytes = u64::from(level.height - 1) * level.row + last;
            if !level.address.is_multiple_of(ALIGNMENT)
                || !memory().accessible(device, level.address, bytes)
            {
                return Err(ERROR_INVALID_VALUE);
            }
            (vec![level], element, false)
        }
        _ => return Err(ERROR_INVALID_VALUE),
    };
    Ok(Source {
        levels,
        element,
        kind: of.resType,
        cube,
    })
}

/// Linear or pitched memory as a box.
fn memory_level(of: &CUDA_RESOURCE_DESC, element: Element) -> Result<Level> {
    let address = of.res[0];
    let size = u64::from(element.bytes());
    if of.resType == LINEAR {
        let width = of.res[2] / size;
        if width == 0 || width > images::ONE_LINEAR as u64 {
            return Err(ERROR_INVALID_VALUE);
        }
        return Ok(Level {
            address,
            width: width as u32,
            height: 1,
            depth: 1,
            row: width * size,
            slice: width * size,
        });
    }
    let [width, height, pitch] = [of.res[2], of.res[3], of.res[4]];
    let [most_width, most_height, most_pitch] = images::TWO_LINEAR.map(|n| n as u64);
    if width == 0
        || height == 0
        || width > most_width
        || height > most_height
        || pitch > most_pitch
        || width * size > pitch
        || !pitch.is_multiple_of(PITCH_ALIGNMENT)
    {
        return Err(ERROR_INVALID_VALUE);
    }
    Ok(Level {
        address,
        width: width as u32,
        height: height as u32,
        depth: 1,
        row: pitch,
        slice: pitch * height,
    })
}

/// Reads a part of the levels and layers, perhaps as another format of the same size.
fn look(source: &mut Source, view: &CUDA_RESOURCE_VIEW_DESC) -> Result {
    if source.kind == LINEAR || source.kind == PITCH_2D {
        return Err(ERROR_INVALID_VALUE);
    }
    if view.format != 0 {
        let seen = view_element(view.format)?;
        if seen.bytes() != source.element.bytes() {
            return Err(ERROR_INVALID_VALUE);
        }
        source.element = seen;
    }
    // Other sizes are for views of compressed formats, or as such.
    let whole = source.levels[0];
    let sizes = [view.width, view.height.max(1), view.depth.max(1)];
    if sizes != [whole.width, whole.height, whole.depth].map(|n| n as usize) {
        return Err(ERROR_INVALID_VALUE);
    }
    let (first, last) = (
        view.firstMipmapLevel as usize,
        view.lastMipmapLevel as usize,
    );
    if last < first || last >= source.levels.len() {
        return Err(ERROR_INVALID_VALUE);
    }
    source.levels = source.levels[first..=last].to_vec();
    if view.lastLayer != 0 || view.firstLayer != 0 {
        let (first, last) = (view.firstLayer, view.lastLayer);
        if last < first || source.levels.iter().any(|level| last >= level.depth) {
            return Err(ERROR_INVALID_VALUE);
        }
        for level in &mut source.levels {
            level.address += u64::from(first) * level.slice;
            level.depth = last - first + 1;
        }
    }
    Ok(())
}

/// `CUresourceViewFormat`: eight kinds of channels, each with 1, 2 and 4 of them; then compressed formats.
fn view_element(format: u32) -> Result<Element> {
    const CHANNELS: [Channel; 8] = [
        Channel::U8,
        Channel::S8,
        Channel::U16,
        Channel::S16,
        Channel::U32,
        Channel::S32,
        Channel::F16,
        Channel::F32,
    ];
    let index = format.checked_sub(1).ok_or(ERROR_INVALID_VALUE)?;
    let channel = CHANNELS
        .get(index as usize / 3)
        .ok_or(ERROR_NOT_SUPPORTED)?;
    Ok(Element {
        channel: *channel,
        channels: 1 << (index % 3),
    })
}

pub(super) fn address_mode(mode: u32) -> Result<AddressMode> {
    Ok(match mode {
        0 => AddressMode::Wrap,
        1 => AddressMode::Clamp,
        2 => AddressMode::Mirror,
        3 => AddressMode::Border,
        _ => return Err(ERROR_INVALID_VALUE),
    })
}

pub(super) fn filter(mode: u32) -> Result<bool> {
    match mode {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(ERROR_INVALID_VALUE),
    }
}

fn texture(source: Source, of: &CUDA_TEXTURE_DESC) -> Result<Texture> {
    if of.flags & !ALL_FLAGS != 0 {
        return Err(ERROR_INVALID_VALUE);
    }
    let normalized = of.flags & NORMALIZED_COORDINATES != 0;
    let as_integer = of.flags & READ_AS_INTEGER != 0;
    let linear = filter(of.filterMode)?;
    let channel = source.element.channel;
    let integers = channel.is_integer() && (as_integer || channel.bytes() == 4);
    if linear && integers || (source.kind == MIPMAPPED_ARRAY && !normalized) {
        return Err(ERROR_INVALID_VALUE);
    }
    let mut modes = [AddressMode::Clamp; 3];
    for (mode, given) in modes.iter_mut().zip(of.addressMode) {
        *mode = address_mode(given)?;
        // Back and forth, and round and round, need to know where the end is.
        if !normalized && matches!(*mode, AddressMode::Wrap | AddressMode::Mirror) {
            *mode = AddressMode::Clamp;
        }
    }
    if source.cube {
        modes = [AddressMode::Clamp; 3];
    }
    let mip = source.kind == MIPMAPPED_ARRAY;
    Ok(Texture {
        levels: source.levels,
        element: source.element,
        memory: source.kind == LINEAR,
        address_modes: modes,
        linear,
        normalized,
        as_integer,
        srgb: of.flags & SRGB != 0,
        mip_linear: mip && filter(of.mipmapFilterMode)?,
        bias: if mip { of.mipmapLevelBias } else { 0.0 },
        lowest: if mip { of.minMipmapLevelClamp } else { 0.0 },
        highest: if mip { of.maxMipmapLevelClamp } else { 0.0 },
        border: of.borderColor,
    })
}

/// What a texture reference reads.
///
/// # Errors
/// What making an object of the same would return.
pub(super) fn read_as(
    resource: &CUDA_RESOURCE_DESC,
    settings: &CUDA_TEXTURE_DESC,
    device: usize,
) -> Result<Texture> {
    texture(source(resource, device)?, settings)
}

/// Whether linear or pitched memory may be read like this.
///
/// # Errors
/// `CUDA_ERROR_INVALID_VALUE` if not.
pub(super) fn check_memory(resource: &CUDA_RESOURCE_DESC, device: usize) -> Result {
    source(resource, device).map(drop)
}

/// What a surface reads and writes.
///
/// # Errors
/// `CUDA_ERROR_INVALID_HANDLE` if it is no array.
pub(super) fn surface(resource: &CUDA_RESOURCE_DESC) -> Result<Surface> {
    // Whether the array was made for surfaces is not asked: NVIDIA's driver (580) takes any.
    let array = array::resolve(handles::pointer(resource.res[0] as usize))?;
    Ok(Surface {
        level: array.level,
        element: array.element,
    })
}

pub(super) fn cuTexObjectCreate(
    pTexObject: *mut CUtexObject,
    pResDesc: *const CUDA_RESOURCE_DESC,
    pTexDesc: *const CUDA_TEXTURE_DESC,
    pResViewDesc: *const CUDA_RESOURCE_VIEW_DESC,
) -> Result {
    let context = context::current()?;
    let descriptors = Descriptors {
        resource: ffi::get(pResDesc)?,
        texture: ffi::get(pTexDesc)?,
        view: if pResViewDesc.is_null() {
            None
        } else {
            Some(ffi::get(pResViewDesc)?)
        },
    };
    if pTexObject.is_null() || descriptors.resource.flags != 0 {
        return Err(ERROR_INVALID_VALUE);
    }
    let mut source = source(&descriptors.resource, context.device)?;
    if let Some(view) = &descriptors.view {
        look(&mut source, view)?;
    }
    let image = Arc::new(texture(source, &descriptors.texture)?);
    let handle = mint();
    TEXTURES.write().get_or_insert_default().insert(
        handle,
        Object {
            context: context.id,
            descriptors,
            image,
            destroyed: false,
        },
    );
    ffi::put(pTexObject, handle)
}

pub(super) fn cuTexObjectDestroy(texObject: CUtexObject) -> Result {
    destroy(&TEXTURES, texObject)
}

pub(super) fn cuTexObjectGetResourceDesc(
    pResDesc: *mut CUDA_RESOURCE_DESC,
    texObject: CUtexObject,
) -> Result {
    ffi::put(pResDesc, descriptors(&TEXTURES, texObject)?.resource)
}

pub(super) fn cuTexObjectGetTextureDesc(
    pTexDesc: *mut CUDA_TEXTURE_DESC,
    texObject: CUtexObject,
) -> Result {
    ffi::put(pTexDesc, descriptors(&TEXTURES, texObject)?.texture)
}

pub(super) fn cuTexObjectGetResourceViewDesc(
    pResViewDesc: *mut CUDA_RESOURCE_VIEW_DESC,
    texObject: CUtexObject,
) -> Result {
    let view = descriptors(&TEXTURES, texObject)?.view;
    ffi::put(pResViewDesc, view.ok_or(ERROR_INVALID_VALUE)?)
}

pub(super) fn cuSurfObjectCreate(
    pSurfObject: *mut CUsurfObject,
    pResDesc: *const CUDA_RESOURCE_DESC,
) -> Result {
    let context = context::current()?;
    let given = ffi::get(pResDesc)?;
    if pSurfObject.is_null() || given.resType != ARRAY || given.flags != 0 {
        return Err(ERROR_INVALID_VALUE);
    }
    let image = Arc::new(surface(&given)?);
    let handle = mint();
    SURFACES.write().get_or_insert_default().insert(
        handle,
        Object {
            context: context.id,
            descriptors: given,
            image,
            destroyed: false,
        },
    );
    ffi::put(pSurfObject, handle)
}

pub(super) fn cuSurfObjectDestroy(surfObject: CUsurfObject) -> Result {
    destroy(&SURFACES, surfObject)
}

pub(super) fn cuSurfObjectGetResourceDesc(
    pResDesc: *mut CUDA_RESOURCE_DESC,
    surfObject: CUsurfObject,
) -> Result {
    ffi::put(pResDesc, descriptors(&SURFACES, surfObject)?)
}

pub(super) fn cuDeviceGetTexture1DLinearMaxWidth(
    maxWidthInElements: *mut usize,
    format: u32,
    numChannels: u32,
    dev: CUdevice,
) -> Result {
    device::resolve(dev)?;
    element(format, numChannels)?;
    ffi::put(maxWidthInElements, images::ONE_LINEAR)
}
