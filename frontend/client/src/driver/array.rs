//! Arrays and mipmapped arrays: <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__MEM.html>.
//!
//! What an array may be, the box's driver says when it is made. What it is, the client remembers: questions cost no round trip.
#![allow(non_snake_case, reason = "CUDA's names")]

use std::sync::Arc;

use gvirtus_wire::api::core::{
    ArrayCreate, ArrayDestroy, ArrayPlane, ArrayRequirements, ArrayShape, ArraySparse,
    MipmapCreate, MipmapDestroy, MipmapLevel,
};
use gvirtus_wire::api::types::{
    CUDA_ARRAY_DESCRIPTOR, CUDA_ARRAY_MEMORY_REQUIREMENTS, CUDA_ARRAY_SPARSE_PROPERTIES,
    CUDA_ARRAY3D_DESCRIPTOR, CUarray, CUdevice, CUmipmappedArray, error,
};

use crate::capture;
use crate::driver::{Result, context, device, put, session};
use crate::handles::{Kind, Table};
use crate::session::Session;
use crate::streams;

/// `CUDA_ARRAY3D_LAYERED`.
const LAYERED: u32 = 1;
/// `CUDA_ARRAY3D_CUBEMAP`.
const CUBEMAP: u32 = 4;

/// Whose memory an array is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    Itself,
    /// A level of the mipmapped array with this handle.
    Mipmap(usize, u32),
    /// A plane of the array with this handle.
    Array(usize, u32),
}

/// An array of the program.
pub(crate) struct Array {
    handle: usize,
    /// Its number on the wire.
    pub(crate) id: u32,
    context: u32,
    device: u32,
    pub(crate) shape: ArrayShape,
    of: Of,
}

/// A mipmapped array of the program.
pub(crate) struct Mipmap {
    handle: usize,
    pub(crate) id: u32,
    context: u32,
    device: u32,
    shape: ArrayShape,
    levels: u32,
}

static ARRAYS: Table<Array> = Table::new(Kind::Array);
static MIPMAPS: Table<Mipmap> = Table::new(Kind::Mipmap);

impl Array {
    /// Bytes per row, rows and slices; layers and faces count as slices.
    pub(crate) fn extent(&self) -> [u64; 3] {
        let ArrayShape {
            width,
            height,
            depth,
            format,
            channels,
            ..
        } = self.shape;
        let row = width.saturating_mul(element_bytes(format, channels));
        [row, height.max(1), depth.max(1)]
    }

    /// What the program holds.
    pub(crate) fn pointer(&self) -> CUarray {
        std::ptr::without_provenance_mut(self.handle)
    }
}

/// Bytes of an element. What has no elements of whole bytes (planar and compressed formats) counts by its blocks or its first plane.
pub(crate) fn element_bytes(format: u32, channels: u32) -> u64 {
    let channel = match format {
        0x01 | 0x08 => 1,
        0x02 | 0x09 | 0x10 => 2,
        0x03 | 0x0a | 0x20 => 4,
        // UNORM_INT8X1 …: the name says how many channels there are.
        0xc0 | 0xc6 => return 1,
        0xc1 | 0xc3 | 0xc7 | 0xc9 => return 2,
        0xc2 | 0xc4 | 0xc8 | 0xca | 0x50 => return 4,
        0xc5 | 0xcb => return 8,
        // BC1 and BC4: 8 bytes per block; the other compressed formats: 16.
        0x91 | 0x92 | 0x97 | 0x98 => return 8,
        0x93..=0x96 | 0x99..=0x9e => return 16,
        _ => 1,
    };
    channel * u64::from(channels.max(1))
}

/// The array behind a handle.
///
/// # Errors
/// `CUDA_ERROR_INVALID_HANDLE` for anything that is not one.
pub(crate) fn resolve(array: CUarray) -> Result<Arc<Array>> {
    ARRAYS.get(array).ok_or(error::ERROR_INVALID_HANDLE)
}

/// The mipmapped array behind a handle.
///
/// # Errors
/// `CUDA_ERROR_INVALID_HANDLE` for anything that is not one.
pub(crate) fn resolve_mipmap(mipmap: CUmipmappedArray) -> Result<Arc<Mipmap>> {
    MIPMAPS.get(mipmap).ok_or(error::ERROR_INVALID_HANDLE)
}

/// A context is gone, and its arrays with it.
pub(crate) fn forget_context(context: u32) {
    ARRAYS.remove_if(|array| array.context == context);
    MIPMAPS.remove_if(|mipmap| mipmap.context == context);
}

fn shape(from: &CUDA_ARRAY3D_DESCRIPTOR) -> ArrayShape {
    ArrayShape {
        width: from.Width as u64,
        height: from.Height as u64,
        depth: from.Depth as u64,
        format: from.Format,
        channels: from.NumChannels,
        flags: from.Flags,
    }
}

fn descriptor(of: &ArrayShape) -> CUDA_ARRAY3D_DESCRIPTOR {
    CUDA_ARRAY3D_DESCRIPTOR {
        Width: of.width as usize,
        Height: of.height as usize,
        Depth: of.depth as usize,
        Format: of.format,
        NumChannels: of.channels,
        Flags: of.flags,
    }
}

/// # Safety
/// As `cuArray3DCreate` asks.
unsafe fn create(to: *mut CUarray, shape: ArrayShape) -> Result<()> {
    let session = session()?;
    let context = context::current()?;
    if to.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    session.check(context.id)?;
    capture::forbid()?;
    let array = ARRAYS.try_insert(|handle, id| {
        session.call(
            context.id,
            &ArrayCreate {
                array: id,
                shape: shape.clone(),
            },
        )?;
        Ok(Array {
            handle: handle.addr(),
            id,
            context: context.id,
            device: context.device,
            shape,
            of: Of::Itself,
        })
    })?;
    // SAFETY: not null, and the caller's.
    unsafe { put(to, array.pointer()) }
}

/// Makes an array of one or two dimensions.
pub(crate) unsafe fn cuArrayCreate_v2(
    array: *mut CUarray,
    wanted: *const CUDA_ARRAY_DESCRIPTOR,
) -> Result<()> {
    session()?;
    if wanted.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    // SAFETY: not null; the caller's descriptor.
    let wanted = unsafe { wanted.read_unaligned() };
    let shape = ArrayShape {
        width: wanted.Width as u64,
        height: wanted.Height as u64,
        depth: 0,
        format: wanted.Format,
        channels: wanted.NumChannels,
        flags: 0,
    };
    // SAFETY: the caller's pointer.
    unsafe { create(array, shape) }
}

/// Makes an array of up to three dimensions, of layers or of cube faces.
pub(crate) unsafe fn cuArray3DCreate_v2(
    array: *mut CUarray,
    wanted: *const CUDA_ARRAY3D_DESCRIPTOR,
) -> Result<()> {
    session()?;
    if wanted.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    // SAFETY: not null; the caller's descriptor. The other pointer is the caller's, too.
    unsafe { create(array, shape(&wanted.read_unaligned())) }
}

/// What an array of one or two dimensions is.
pub(crate) unsafe fn cuArrayGetDescriptor_v2(
    to: *mut CUDA_ARRAY_DESCRIPTOR,
    array: CUarray,
) -> Result<()> {
    session()?;
    let shape = &resolve(array)?.shape;
    let is = CUDA_ARRAY_DESCRIPTOR {
        Width: shape.width as usize,
        Height: shape.height as usize,
        Format: shape.format,
        NumChannels: shape.channels,
    };
    // SAFETY: the caller's pointer.
    unsafe { put(to, is) }
}

/// What an array is.
pub(crate) unsafe fn cuArray3DGetDescriptor_v2(
    to: *mut CUDA_ARRAY3D_DESCRIPTOR,
    array: CUarray,
) -> Result<()> {
    session()?;
    // SAFETY: the caller's pointer.
    unsafe { put(to, descriptor(&resolve(array)?.shape)) }
}

/// Waits until no work is outstanding that may use the device's arrays.
fn quiesce(session: &Session, device: u32, of: u32) -> Result<()> {
    session.check(of)?;
    capture::forbid()?;
    for context in context::on_device(device) {
        if streams::outstanding(context) {
            context::synchronize(session, context)?;
        }
    }
    Ok(())
}

/// Takes an array out of the table, and out of the worker's.
fn remove(session: &Session, array: &Array) -> Result<()> {
    ARRAYS.remove_with(array.pointer(), || {
        session.post(array.context, &ArrayDestroy { array: array.id })
    })
}

/// Destroys an array after the work that may use it. Levels and planes belong to what they were taken from.
pub(crate) fn cuArrayDestroy(array: CUarray) -> Result<()> {
    let session = session()?;
    let array = resolve(array)?;
    if array.of != Of::Itself {
        return Err(error::ERROR_INVALID_HANDLE);
    }
    quiesce(session, array.device, array.context)?;
    let own = |part: &Array| matches!(part.of, Of::Array(of, _) if of == array.handle);
    while let Some(plane) = ARRAYS.find(own) {
        remove(session, &plane)?;
    }
    remove(session, &array)
}

/// An array for one plane of an array of a planar format.
pub(crate) unsafe fn cuArrayGetPlane(
    to: *mut CUarray,
    array: CUarray,
    planeIdx: u32,
) -> Result<()> {
    let session = session()?;
    let whole = resolve(array)?;
    if to.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let of = Of::Array(whole.handle, planeIdx);
    let plane = match ARRAYS.find(|part| part.of == of) {
        Some(plane) => plane,
        None => ARRAYS.try_insert(|handle, id| {
            let shape = session.call(
                whole.context,
                &ArrayPlane {
                    array: whole.id,
                    plane: planeIdx,
                    made: id,
                },
            )?;
            Ok(Array {
                handle: handle.addr(),
                id,
                context: whole.context,
                device: whole.device,
                shape,
                of,
            })
        })?,
    };
    // SAFETY: not null, and the caller's.
    unsafe { put(to, plane.pointer()) }
}

/// Makes a mipmapped array.
pub(crate) unsafe fn cuMipmappedArrayCreate(
    to: *mut CUmipmappedArray,
    wanted: *const CUDA_ARRAY3D_DESCRIPTOR,
    levels: u32,
) -> Result<()> {
    let session = session()?;
    let context = context::current()?;
    if to.is_null() || wanted.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    session.check(context.id)?;
    capture::forbid()?;
    // SAFETY: not null; the caller's descriptor.
    let shape = shape(&unsafe { wanted.read_unaligned() });
    // More levels than it takes to come down to one element are not made.
    let longest = if shape.flags & (LAYERED | CUBEMAP) == 0 {
        shape.width.max(shape.height).max(shape.depth)
    } else {
        shape.width.max(shape.height)
    };
    let levels = levels.min(longest.max(1).ilog2() + 1);
    let mipmap = MIPMAPS.try_insert(|handle, id| {
        session.call(
            context.id,
            &MipmapCreate {
                mipmap: id,
                shape: shape.clone(),
                levels,
            },
        )?;
        Ok(Mipmap {
            handle: handle.addr(),
            id,
            context: context.id,
            device: context.device,
            shape,
            levels,
        })
    })?;
    // SAFETY: not null, and the caller's.
    unsafe { put(to, std::ptr::without_provenance_mut(mipmap.handle)) }
}

/// The array of one level: the same handle whenever it is asked for.
pub(crate) unsafe fn cuMipmappedArrayGetLevel(
    to: *mut CUarray,
    mipmap: CUmipmappedArray,
    level: u32,
) -> Result<()> {
    let session = session()?;
    let mipmap = resolve_mipmap(mipmap)?;
    if to.is_null() || level >= mipmap.levels {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let of = Of::Mipmap(mipmap.handle, level);
    let array = match ARRAYS.find(|part| part.of == of) {
        Some(array) => array,
        None => ARRAYS.try_insert(|handle, id| {
            session.post(
                mipmap.context,
                &MipmapLevel {
                    mipmap: mipmap.id,
                    level,
                    array: id,
                },
            )?;
            Ok(Array {
                handle: handle.addr(),
                id,
                context: mipmap.context,
                device: mipmap.device,
                shape: level_shape(&mipmap.shape, level),
                of,
            })
        })?,
    };
    // SAFETY: not null, and the caller's.
    unsafe { put(to, array.pointer()) }
}

/// Each level has half of the size before, at least one element. Layers and faces stay as many.
fn level_shape(of: &ArrayShape, level: u32) -> ArrayShape {
    let half = |n: u64| if n == 0 { 0 } else { (n >> level).max(1) };
    ArrayShape {
        width: half(of.width),
        height: half(of.height),
        depth: if of.flags & (LAYERED | CUBEMAP) == 0 {
            half(of.depth)
        } else {
            of.depth
        },
        ..of.clone()
    }
}

/// Destroys a mipmapped array and its levels after the work that may use them.
pub(crate) fn cuMipmappedArrayDestroy(mipmap: CUmipmappedArray) -> Result<()> {
    let session = session()?;
    let gone = resolve_mipmap(mipmap)?;
    quiesce(session, gone.device, gone.context)?;
    let own = |part: &Array| matches!(part.of, Of::Mipmap(of, _) if of == gone.handle);
    while let Some(level) = ARRAYS.find(own) {
        remove(session, &level)?;
    }
    MIPMAPS.remove_with(mipmap, || {
        session.post(gone.context, &MipmapDestroy { mipmap: gone.id })
    })
}

/// # Safety
/// `to` is null or the caller's.
unsafe fn requirements(
    to: *mut CUDA_ARRAY_MEMORY_REQUIREMENTS,
    context: u32,
    (array, mipmapped): (u32, bool),
    device: CUdevice,
) -> Result<()> {
    let (device, _) = device::by_handle(device)?;
    if to.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let (size, alignment) = session()?.call(
        context,
        &ArrayRequirements {
            array,
            mipmapped,
            device,
        },
    )?;
    let are = CUDA_ARRAY_MEMORY_REQUIREMENTS {
        size: size as usize,
        alignment: alignment as usize,
        reserved: [0; 4],
    };
    // SAFETY: not null, and the caller's.
    unsafe { put(to, are) }
}

/// What memory an array that was made without any needs.
pub(crate) unsafe fn cuArrayGetMemoryRequirements(
    to: *mut CUDA_ARRAY_MEMORY_REQUIREMENTS,
    array: CUarray,
    device: CUdevice,
) -> Result<()> {
    session()?;
    let array = resolve(array)?;
    // SAFETY: the caller's pointer.
    unsafe { requirements(to, array.context, (array.id, false), device) }
}

/// What memory a mipmapped array that was made without any needs.
pub(crate) unsafe fn cuMipmappedArrayGetMemoryRequirements(
    to: *mut CUDA_ARRAY_MEMORY_REQUIREMENTS,
    mipmap: CUmipmappedArray,
    device: CUdevice,
) -> Result<()> {
    session()?;
    let mipmap = resolve_mipmap(mipmap)?;
    // SAFETY: the caller's pointer.
    unsafe { requirements(to, mipmap.context, (mipmap.id, true), device) }
}

/// # Safety
/// `to` is null or the caller's.
unsafe fn sparse(
    to: *mut CUDA_ARRAY_SPARSE_PROPERTIES,
    context: u32,
    array: u32,
    mipmapped: bool,
) -> Result<()> {
    if to.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let has = session()?.call(context, &ArraySparse { array, mipmapped })?;
    let has = CUDA_ARRAY_SPARSE_PROPERTIES {
        tileExtent: has.tile,
        miptailFirstLevel: has.first_tail_level,
        miptailSize: has.tail_size,
        flags: has.flags,
        reserved: [0; 4],
    };
    // SAFETY: not null, and the caller's.
    unsafe { put(to, has) }
}

/// How a sparse array is tiled.
pub(crate) unsafe fn cuArrayGetSparseProperties(
    to: *mut CUDA_ARRAY_SPARSE_PROPERTIES,
    array: CUarray,
) -> Result<()> {
    session()?;
    let array = resolve(array)?;
    // SAFETY: the caller's pointer.
    unsafe { sparse(to, array.context, array.id, false) }
}

/// How a sparse mipmapped array is tiled.
pub(crate) unsafe fn cuMipmappedArrayGetSparseProperties(
    to: *mut CUDA_ARRAY_SPARSE_PROPERTIES,
    mipmap: CUmipmappedArray,
) -> Result<()> {
    session()?;
    let mipmap = resolve_mipmap(mipmap)?;
    // SAFETY: the caller's pointer.
    unsafe { sparse(to, mipmap.context, mipmap.id, true) }
}
