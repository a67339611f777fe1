//! Arrays and mipmapped arrays: boxes of elements in device memory, row after row.
//!
//! See <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__MEM.html>.

use std::sync::Arc;

use gvirtus_wire::api::types::{
    CUDA_ARRAY_DESCRIPTOR, CUDA_ARRAY_MEMORY_REQUIREMENTS, CUDA_ARRAY_SPARSE_PROPERTIES,
    CUDA_ARRAY3D_DESCRIPTOR, CUarray, CUdevice, CUmipmappedArray,
};

use super::context::{self, Context};
use super::device::figures::images;
use super::error::{
    ERROR_INVALID_HANDLE, ERROR_INVALID_VALUE, ERROR_NOT_SUPPORTED, ERROR_OUT_OF_MEMORY, Result,
};
use super::handles::{self, Table};
use super::memory::{Kind, memory};
use super::{capture, device, ffi};
use crate::image::{Channel, Element, Level};

/// `CUDA_ARRAY3D_*`.
pub(super) mod flag {
    pub(crate) const LAYERED: u32 = 0x01;
    pub(crate) const CUBEMAP: u32 = 0x04;
    pub(crate) const TEXTURE_GATHER: u32 = 0x08;
    pub(crate) const DEPTH_TEXTURE: u32 = 0x10;
    pub(crate) const SPARSE: u32 = 0x40;
    pub(crate) const DEFERRED_MAPPING: u32 = 0x80;
    /// Those that only change how it is allocated, and graphics.
    pub(crate) const OTHERS: u32 = DEPTH_TEXTURE | SPARSE | DEFERRED_MAPPING;
    pub(crate) const ALL: u32 = 0xff;
}

/// Rows of arrays begin at multiples of so many bytes.
const ROW_ALIGNMENT: u64 = 32;

/// Memory that goes back when nobody names it any more.
struct Block {
    start: u64,
    context: u64,
}

impl Drop for Block {
    fn drop(&mut self) {
        // The context may have taken it already.
        let _ = memory().free(self.start, |a| {
            a.kind == Kind::Internal && a.context == self.context
        });
    }
}

/// An array.
pub(super) struct Array {
    handle: usize,
    pub(super) context: u64,
    descriptor: CUDA_ARRAY3D_DESCRIPTOR,
    pub(super) element: Element,
    pub(super) level: Level,
    /// Whether it is a level of a mipmapped array.
    part: bool,
    _memory: Arc<Block>,
}

/// A mipmapped array.
pub(super) struct Mipmap {
    pub(super) context: u64,
    pub(super) levels: Vec<Arc<Array>>,
}

static ARRAYS: Table<Array> = Table::new();
static MIPMAPS: Table<Mipmap> = Table::new();

/// # Errors
/// `CUDA_ERROR_INVALID_HANDLE`.
pub(super) fn resolve(array: CUarray) -> Result<Arc<Array>> {
    ARRAYS.get(array).ok_or(ERROR_INVALID_HANDLE)
}

/// # Errors
/// `CUDA_ERROR_INVALID_HANDLE`.
pub(super) fn resolve_mipmap(mipmap: CUmipmappedArray) -> Result<Arc<Mipmap>> {
    MIPMAPS.get(mipmap).ok_or(ERROR_INVALID_HANDLE)
}

/// A context is gone, and its arrays with it.
pub(super) fn forget_context(context: u64) {
    MIPMAPS.remove_where(|mipmap| mipmap.context == context);
    ARRAYS.remove_where(|array| array.context == context);
}

impl Array {
    pub(super) fn flags(&self) -> u32 {
        self.descriptor.Flags
    }

    /// `CUarray_format` and channels.
    pub(super) fn format(&self) -> (u32, u32) {
        (self.descriptor.Format, self.descriptor.NumChannels)
    }

    /// Bytes per row, rows and slices.
    pub(super) fn extent(&self) -> [u64; 3] {
        let Level {
            width,
            height,
            depth,
            ..
        } = self.level;
        [
            u64::from(width) * u64::from(self.element.bytes()),
            u64::from(height),
            u64::from(depth),
        ]
    }
}

/// Dimensions without layers and faces: 1, 2 or 3.
fn dimensions(of: &CUDA_ARRAY3D_DESCRIPTOR) -> u32 {
    if of.Height == 0 {
        1
    } else if of.Depth == 0 || of.Flags & (flag::LAYERED | flag::CUBEMAP) != 0 {
        2
    } else {
        3
    }
}

/// Checks what CUDA documents for `cuArray3DCreate`.
fn check(of: &CUDA_ARRAY3D_DESCRIPTOR, mipmapped: bool) -> Result<Element> {
    if of.Flags & !flag::ALL != 0 || of.Width == 0 {
        return Err(ERROR_INVALID_VALUE);
    }
    let Some((channel, fixed)) = Channel::of_format(of.Format) else {
        // Planar and compressed formats.
        return Err(ERROR_NOT_SUPPORTED);
    };
    if !matches!(of.NumChannels, 1 | 2 | 4) || (fixed != 0 && fixed != of.NumChannels) {
        return Err(ERROR_INVALID_VALUE);
    }
    if of.Flags & flag::OTHERS != 0 {
        return Err(ERROR_NOT_SUPPORTED);
    }
    let layered = of.Flags & flag::LAYERED != 0;
    let cube = of.Flags & flag::CUBEMAP != 0;
    if (of.Height == 0 && of.Depth != 0 && !layered)
        || (layered && of.Depth == 0)
        || (cube && (of.Width != of.Height || !of.Depth.is_multiple_of(6)))
        || (cube && (of.Depth == 0 || (!layered && of.Depth != 6)))
    {
        return Err(ERROR_INVALID_VALUE);
    }
    if of.Flags & flag::TEXTURE_GATHER != 0 && (dimensions(of) != 2 || layered || cube) {
        return Err(ERROR_INVALID_VALUE);
    }
    let most = match (dimensions(of), layered, cube) {
        (_, false, true) => images::CUBE,
        (_, true, true) => images::CUBE_LAYERED,
        (1, false, _) if mipmapped => images::ONE_MIPMAPPED,
        (1, false, _) => images::ONE,
        (1, true, _) => images::ONE_LAYERED,
        (2, false, _) if mipmapped => images::TWO_MIPMAPPED,
        (2, false, _) => images::TWO,
        (2, true, _) => images::TWO_LAYERED,
        _ => images::THREE,
    };
    let sizes = [of.Width, of.Height, of.Depth];
    if sizes.iter().zip(most).any(|(size, most)| *size > most) {
        return Err(ERROR_INVALID_VALUE);
    }
    Ok(Element {
        channel,
        channels: of.NumChannels,
    })
}

/// Places a box at an address; how many bytes it takes.
fn place(of: &CUDA_ARRAY3D_DESCRIPTOR, element: Element, address: u64) -> (Level, u64) {
    // The sizes are bounded by `check`.
    let (height, depth) = (of.Height.max(1), of.Depth.max(1));
    let row = (of.Width as u64 * u64::from(element.bytes())).next_multiple_of(ROW_ALIGNMENT);
    let slice = row * height as u64;
    let level = Level {
        address,
        width: of.Width as u32,
        height: height as u32,
        depth: depth as u32,
        row,
        slice,
    };
    (level, slice * depth as u64)
}

fn allocate(context: &Context, bytes: u64) -> Result<Arc<Block>> {
    let start = memory().allocate(context.device, context.id, bytes, Kind::Internal)?;
    Ok(Arc::new(Block {
        start,
        context: context.id,
    }))
}

fn create(to: *mut CUarray, wanted: CUDA_ARRAY3D_DESCRIPTOR) -> Result {
    let context = context::current()?;
    if to.is_null() {
        return Err(ERROR_INVALID_VALUE);
    }
    capture::forbid_unsafe_call()?;
    let element = check(&wanted, false)?;
    let (_, bytes) = place(&wanted, element, 0);
    let block = allocate(&context, bytes)?;
    let (level, _) = place(&wanted, element, block.start);
    let handle = handles::mint();
    ARRAYS.insert(
        handle,
        Arc::new(Array {
            handle,
            context: context.id,
            descriptor: wanted,
            element,
            level,
            part: false,
            _memory: block,
        }),
    );
    ffi::put(to, handles::pointer(handle))
}

pub(super) fn cuArrayCreate_v2(
    pHandle: *mut CUarray,
    pAllocateArray: *const CUDA_ARRAY_DESCRIPTOR,
) -> Result {
    context::current()?;
    let wanted = ffi::get(pAllocateArray)?;
    let wanted = CUDA_ARRAY3D_DESCRIPTOR {
        Width: wanted.Width,
        Height: wanted.Height,
        Depth: 0,
        Format: wanted.Format,
        NumChannels: wanted.NumChannels,
        Flags: 0,
    };
    create(pHandle, wanted)
}

pub(super) fn cuArray3DCreate_v2(
    pHandle: *mut CUarray,
    pAllocateArray: *const CUDA_ARRAY3D_DESCRIPTOR,
) -> Result {
    context::current()?;
    create(pHandle, ffi::get(pAllocateArray)?)
}

pub(super) fn cuArrayGetDescriptor_v2(
    pArrayDescriptor: *mut CUDA_ARRAY_DESCRIPTOR,
    hArray: CUarray,
) -> Result {
    let of = resolve(hArray)?.descriptor;
    ffi::put(
        pArrayDescriptor,
        CUDA_ARRAY_DESCRIPTOR {
            Width: of.Width,
            Height: of.Height,
            Format: of.Format,
            NumChannels: of.NumChannels,
        },
    )
}

pub(super) fn cuArray3DGetDescriptor_v2(
    pArrayDescriptor: *mut CUDA_ARRAY3D_DESCRIPTOR,
    hArray: CUarray,
) -> Result {
    ffi::put(pArrayDescriptor, resolve(hArray)?.descriptor)
}

pub(super) fn cuArrayDestroy(hArray: CUarray) -> Result {
    let array = resolve(hArray)?;
    if array.part {
        return Err(ERROR_INVALID_HANDLE);
    }
    capture::forbid_unsafe_call()?;
    // Work that uses it is let finish, as for other memory.
    if let Some(context) = context::by_id(array.context) {
        context.synchronize()?;
    }
    ARRAYS.remove(hArray).map(drop).ok_or(ERROR_INVALID_HANDLE)
}

/// Requirements are asked of arrays without memory, of which there are none here.
pub(super) fn cuArrayGetMemoryRequirements(
    _: *mut CUDA_ARRAY_MEMORY_REQUIREMENTS,
    array: CUarray,
    device: CUdevice,
) -> Result {
    device::resolve(device)?;
    resolve(array).and(Err(ERROR_INVALID_VALUE))
}

/// As [`cuArrayGetMemoryRequirements`].
pub(super) fn cuMipmappedArrayGetMemoryRequirements(
    _: *mut CUDA_ARRAY_MEMORY_REQUIREMENTS,
    mipmap: CUmipmappedArray,
    device: CUdevice,
) -> Result {
    device::resolve(device)?;
    resolve_mipmap(mipmap).and(Err(ERROR_INVALID_VALUE))
}

/// No array here is sparse.
pub(super) fn cuArrayGetSparseProperties(
    _: *mut CUDA_ARRAY_SPARSE_PROPERTIES,
    array: CUarray,
) -> Result {
    resolve(array).and(Err(ERROR_INVALID_VALUE))
}

/// As [`cuArrayGetSparseProperties`].
pub(super) fn cuMipmappedArrayGetSparseProperties(
    _: *mut CUDA_ARRAY_SPARSE_PROPERTIES,
    mipmap: CUmipmappedArray,
) -> Result {
    resolve_mipmap(mipmap).and(Err(ERROR_INVALID_VALUE))
}

/// No array here has planes.
pub(super) fn cuArrayGetPlane(_: *mut CUarray, array: CUarray, _: u32) -> Result {
    resolve(array).and(Err(ERROR_INVALID_VALUE))
}

pub(super) fn cuMipmappedArrayCreate(
    pHandle: *mut CUmipmappedArray,
    pMipmappedArrayDesc: *const CUDA_ARRAY3D_DESCRIPTOR,
    numMipmapLevels: u32,
) -> Result {
    let context = context::current()?;
    let wanted = ffi::get(pMipmappedArrayDesc)?;
    if pHandle.is_null() || numMipmapLevels == 0 {
        return Err(ERROR_INVALID_VALUE);
    }
    capture::forbid_unsafe_call()?;
    let element = check(&wanted, true)?;
    let layers = wanted.Flags & (flag::LAYERED | flag::CUBEMAP) != 0;
    let longest = if layers {
        wanted.Width.max(wanted.Height)
    } else {
        wanted.Width.max(wanted.Height).max(wanted.Depth)
    };
    let count = numMipmapLevels.min(longest.ilog2() + 1);
    let half = |size: usize, level: u32| if size == 0 { 0 } else { (size >> level).max(1) };
    let shapes: Vec<CUDA_ARRAY3D_DESCRIPTOR> = (0..count)
        .map(|level| CUDA_ARRAY3D_DESCRIPTOR {
            Width: half(wanted.Width, level),
            Height: half(wanted.Height, level),
            Depth: if layers {
                wanted.Depth
            } else {
                half(wanted.Depth, level)
            },
            ..wanted
        })
        .collect();
    let bytes = shapes
        .iter()
        .try_fold(0u64, |sum, shape| {
            sum.checked_add(place(shape, element, 0).1)
        })
        .ok_or(ERROR_OUT_OF_MEMORY)?;
    let block = allocate(&context, bytes)?;
    let mut address = block.start;
    let levels = shapes
        .into_iter()
        .map(|descriptor| {
            let (level, bytes) = place(&descriptor, element, address);
            address += bytes;
            Arc::new(Array {
                handle: handles::mint(),
                context: context.id,
                descriptor,
                element,
                level,
                part: true,
                _memory: Arc::clone(&block),
            })
        })
        .collect::<Vec<_>>();
    for level in &levels {
        ARRAYS.insert(level.handle, Arc::clone(level));
    }
    let handle = handles::mint();
    MIPMAPS.insert(
        handle,
        Arc::new(Mipmap {
            context: context.id,
            levels,
        }),
    );
    ffi::put(pHandle, handles::pointer(handle))
}

pub(super) fn cuMipmappedArrayGetLevel(
    pLevelArray: *mut CUarray,
    hMipmappedArray: CUmipmappedArray,
    level: u32,
) -> Result {
    let mipmap = resolve_mipmap(hMipmappedArray)?;
    let array = mipmap.levels.get(level as usize);
    let handle = array.ok_or(ERROR_INVALID_VALUE)?.handle;
    ffi::put(pLevelArray, handles::pointer(handle))
}

pub(super) fn cuMipmappedArrayDestroy(hMipmappedArray: CUmipmappedArray) -> Result {
    let mipmap = resolve_mipmap(hMipmappedArray)?;
    capture::forbid_unsafe_call()?;
    if let Some(context) = context::by_id(mipmap.context) {
        context.synchronize()?;
    }
    for level in &mipmap.levels {
        ARRAYS.remove(handles::pointer(level.handle));
    }
    MIPMAPS
        .remove(hMipmappedArray)
        .map(drop)
        .ok_or(ERROR_INVALID_HANDLE)
}
