//! Arrays and mipmapped arrays, and what their elements are.

use crate::context::{cu, current, device_at, put};
use crate::error::{INVALID_CHANNEL_DESCRIPTOR, INVALID_VALUE, Result};
use crate::forward::forward;
use gvirtus_wire::api::cudart_types::{
    cudaArray_const_t, cudaArray_t, cudaArrayMemoryRequirements, cudaArraySparseProperties,
    cudaChannelFormatDesc, cudaExtent, cudaMipmappedArray_const_t, cudaMipmappedArray_t,
};
use gvirtus_wire::api::types::CUDA_ARRAY3D_DESCRIPTOR;

/// `cudaChannelFormatKind`.
mod kind {
    pub(super) const SIGNED: u32 = 0;
    pub(super) const UNSIGNED: u32 = 1;
    pub(super) const FLOAT: u32 = 2;
    pub(super) const NV12: u32 = 4;
    /// The first of twelve: unsigned 8, unsigned 16, signed 8, signed 16 bits, each of one, two and four channels.
    pub(super) const NORMALIZED: u32 = 5;
    /// The first of fourteen compressed formats.
    pub(super) const COMPRESSED: u32 = 17;
    pub(super) const NORMALIZED_1010102: u32 = 31;
}

/// `CUarray_format`.
pub(crate) mod format {
    pub(crate) const UNSIGNED_INT8: u32 = 0x01;
    pub(crate) const UNSIGNED_INT16: u32 = 0x02;
    pub(crate) const UNSIGNED_INT32: u32 = 0x03;
    pub(crate) const SIGNED_INT8: u32 = 0x08;
    pub(crate) const SIGNED_INT16: u32 = 0x09;
    pub(crate) const SIGNED_INT32: u32 = 0x0a;
    pub(crate) const HALF: u32 = 0x10;
    pub(crate) const FLOAT: u32 = 0x20;
    pub(crate) const UNORM_101010_2: u32 = 0x50;
    /// The first of fourteen, in the order of the runtime's kinds.
    pub(crate) const COMPRESSED: u32 = 0x91;
    pub(crate) const NV12: u32 = 0xb0;
    /// The first of twelve, in the order of the runtime's kinds.
    pub(crate) const NORMALIZED: u32 = 0xc0;
}

/// Channels of the compressed formats, in order.
const COMPRESSED_CHANNELS: [u32; 14] = [4, 4, 4, 4, 4, 4, 1, 1, 2, 2, 3, 3, 4, 4];

/// `CUarray_format` and number of channels of what the program describes.
///
/// # Errors
/// `cudaErrorInvalidChannelDescriptor` for what no array has.
pub(crate) fn format_of(desc: &cudaChannelFormatDesc) -> Result<(u32, u32)> {
    let known = |first: u32, count: u32| (first..first + count).contains(&desc.f);
    match desc.f {
        kind::SIGNED | kind::UNSIGNED | kind::FLOAT => {}
        kind::NV12 => return Ok((format::NV12, 3)),
        n if known(kind::NORMALIZED, 12) => {
            let n = n - kind::NORMALIZED;
            return Ok((format::NORMALIZED + n, 1 << (n % 3)));
        }
        n if known(kind::COMPRESSED, 14) => {
            let n = n - kind::COMPRESSED;
            return Ok((format::COMPRESSED + n, COMPRESSED_CHANNELS[n as usize]));
        }
        kind::NORMALIZED_1010102 => return Ok((format::UNORM_101010_2, 4)),
        _ => return Err(INVALID_CHANNEL_DESCRIPTOR),
    }
    let bits = [desc.x, desc.y, desc.z, desc.w];
    let channels = bits.iter().take_while(|bits| **bits != 0).count();
    let alike = bits[..channels].iter().all(|bits| *bits == desc.x);
    if !matches!(channels, 1 | 2 | 4) || !alike || bits[channels..].iter().any(|bits| *bits != 0) {
        return Err(INVALID_CHANNEL_DESCRIPTOR);
    }
    let format = match (desc.f, desc.x) {
        (kind::UNSIGNED, 8) => format::UNSIGNED_INT8,
        (kind::UNSIGNED, 16) => format::UNSIGNED_INT16,
        (kind::UNSIGNED, 32) => format::UNSIGNED_INT32,
        (kind::SIGNED, 8) => format::SIGNED_INT8,
        (kind::SIGNED, 16) => format::SIGNED_INT16,
        (kind::SIGNED, 32) => format::SIGNED_INT32,
        (kind::FLOAT, 16) => format::HALF,
        (kind::FLOAT, 32) => format::FLOAT,
        _ => return Err(INVALID_CHANNEL_DESCRIPTOR),
    };
    Ok((format, channels as u32))
}

/// Bits per channel; 0 for what has no elements of whole bytes.
pub(crate) fn channel_bits(format: u32) -> u32 {
    match format {
        format::UNSIGNED_INT8 | format::SIGNED_INT8 | 0xc0..=0xc2 | 0xc6..=0xc8 => 8,
        format::UNSIGNED_INT16
        | format::SIGNED_INT16
        | format::HALF
        | 0xc3..=0xc5
        | 0xc9..=0xcb => 16,
        format::UNSIGNED_INT32 | format::SIGNED_INT32 | format::FLOAT => 32,
        _ => 0,
    }
}

/// The counterpart of [`format_of`].
pub(crate) fn described(format: u32, channels: u32) -> cudaChannelFormatDesc {
    let (kind, bits) = match format {
        format::UNSIGNED_INT8 | format::UNSIGNED_INT16 | format::UNSIGNED_INT32 => {
            (kind::UNSIGNED, channel_bits(format))
        }
        format::SIGNED_INT8 | format::SIGNED_INT16 | format::SIGNED_INT32 => {
            (kind::SIGNED, channel_bits(format))
        }
        format::HALF | format::FLOAT => (kind::FLOAT, channel_bits(format)),
        format::NV12 => (kind::NV12, 8),
        format::UNORM_101010_2 => {
            return cudaChannelFormatDesc {
                x: 10,
                y: 10,
                z: 10,
                w: 2,
                f: kind::NORMALIZED_1010102,
            };
        }
        0xc0..=0xcb => (
            kind::NORMALIZED + format - format::NORMALIZED,
            channel_bits(format),
        ),
        0x9b | 0x9c => (kind::COMPRESSED + format - format::COMPRESSED, 16),
        0x91..=0x9e => (kind::COMPRESSED + format - format::COMPRESSED, 8),
        _ => (3, 0),
    };
    let of = |channel: u32| {
        if channel < channels {
            bits.cast_signed()
        } else {
            0
        }
    };
    cudaChannelFormatDesc {
        x: of(0),
        y: of(1),
        z: of(2),
        w: of(3),
        f: kind,
    }
}

/// What an array is.
pub(crate) fn descriptor(array: cudaArray_const_t) -> Result<CUDA_ARRAY3D_DESCRIPTOR> {
    let mut is = nothing();
    cu!(cuArray3DGetDescriptor_v2(&mut is, array))?;
    Ok(is)
}

fn nothing() -> CUDA_ARRAY3D_DESCRIPTOR {
    CUDA_ARRAY3D_DESCRIPTOR {
        Width: 0,
        Height: 0,
        Depth: 0,
        Format: 0,
        NumChannels: 0,
        Flags: 0,
    }
}

/// Bytes of an array's element.
///
/// # Errors
/// `cudaErrorInvalidValue` where elements are not whole bytes.
pub(crate) fn element_bytes(of: &CUDA_ARRAY3D_DESCRIPTOR) -> Result<usize> {
    match channel_bits(of.Format) {
        0 if of.Format == format::UNORM_101010_2 => Ok(4),
        0 => Err(INVALID_VALUE),
        bits => Ok((bits / 8 * of.NumChannels) as usize),
    }
}

fn wanted(
    desc: *const cudaChannelFormatDesc,
    extent: cudaExtent,
    flags: u32,
) -> Result<CUDA_ARRAY3D_DESCRIPTOR> {
    // SAFETY: null or the program's description.
    let (format, channels) = format_of(unsafe { desc.as_ref() }.ok_or(INVALID_VALUE)?)?;
    Ok(CUDA_ARRAY3D_DESCRIPTOR {
        Width: extent.width,
        Height: extent.height,
        Depth: extent.depth,
        Format: format,
        NumChannels: channels,
        Flags: flags,
    })
}

/// Makes an array of one or two dimensions.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__MEMORY.html>
pub unsafe fn cudaMallocArray(
    array: *mut cudaArray_t,
    desc: *const cudaChannelFormatDesc,
    width: usize,
    height: usize,
    flags: u32,
) -> Result {
    let extent = cudaExtent {
        width,
        height,
        depth: 0,
    };
    // SAFETY: the caller's pointers.
    unsafe { cudaMalloc3DArray(array, desc, extent, flags) }
}

/// Makes an array of up to three dimensions, of layers or of cube faces.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__MEMORY.html>
pub unsafe fn cudaMalloc3DArray(
    array: *mut cudaArray_t,
    desc: *const cudaChannelFormatDesc,
    extent: cudaExtent,
    flags: u32,
) -> Result {
    current()?;
    let wanted = wanted(desc, extent, flags)?;
    cu!(cuArray3DCreate_v2(array, &wanted))
}

/// Makes a mipmapped array.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__MEMORY.html>
pub unsafe fn cudaMallocMipmappedArray(
    mipmappedArray: *mut cudaMipmappedArray_t,
    desc: *const cudaChannelFormatDesc,
    extent: cudaExtent,
    numLevels: u32,
    flags: u32,
) -> Result {
    current()?;
    let wanted = wanted(desc, extent, flags)?;
    cu!(cuMipmappedArrayCreate(mipmappedArray, &wanted, numLevels))
}

/// Frees an array; null is none.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__MEMORY.html>
pub unsafe fn cudaFreeArray(array: cudaArray_t) -> Result {
    current()?;
    if array.is_null() {
        return Ok(());
    }
    cu!(cuArrayDestroy(array))
}

/// Frees a mipmapped array; null is none.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__MEMORY.html>
pub unsafe fn cudaFreeMipmappedArray(mipmappedArray: cudaMipmappedArray_t) -> Result {
    current()?;
    if mipmappedArray.is_null() {
        return Ok(());
    }
    cu!(cuMipmappedArrayDestroy(mipmappedArray))
}

/// The array of a level.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__MEMORY.html>
pub unsafe fn cudaGetMipmappedArrayLevel(
    levelArray: *mut cudaArray_t,
    mipmappedArray: cudaMipmappedArray_const_t,
    level: u32,
) -> Result {
    current()?;
    cu!(cuMipmappedArrayGetLevel(levelArray, mipmappedArray, level))
}

/// What an array is; what the caller does not want is null.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__MEMORY.html>
pub unsafe fn cudaArrayGetInfo(
    desc: *mut cudaChannelFormatDesc,
    extent: *mut cudaExtent,
    flags: *mut u32,
    array: cudaArray_t,
) -> Result {
    current()?;
    let is = descriptor(array)?;
    if !desc.is_null() {
        put!(desc, described(is.Format, is.NumChannels))?;
    }
    if !extent.is_null() {
        put!(
            extent,
            cudaExtent {
                width: is.Width,
                height: is.Height,
                depth: is.Depth,
            }
        )?;
    }
    if !flags.is_null() {
        put!(flags, is.Flags)?;
    }
    Ok(())
}

/// What the elements of an array are.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__TEXTURE__OBJECT.html>
pub unsafe fn cudaGetChannelDesc(
    desc: *mut cudaChannelFormatDesc,
    array: cudaArray_const_t,
) -> Result {
    current()?;
    let is = descriptor(array)?;
    put!(desc, described(is.Format, is.NumChannels))
}

/// What memory an array that was made without any needs.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__MEMORY.html>
pub unsafe fn cudaArrayGetMemoryRequirements(
    memoryRequirements: *mut cudaArrayMemoryRequirements,
    array: cudaArray_t,
    device: i32,
) -> Result {
    current()?;
    cu!(cuArrayGetMemoryRequirements(
        memoryRequirements,
        array,
        device_at(device)?.handle
    ))
}

/// What memory a mipmapped array that was made without any needs.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__MEMORY.html>
pub unsafe fn cudaMipmappedArrayGetMemoryRequirements(
    memoryRequirements: *mut cudaArrayMemoryRequirements,
    mipmap: cudaMipmappedArray_t,
    device: i32,
) -> Result {
    current()?;
    cu!(cuMipmappedArrayGetMemoryRequirements(
        memoryRequirements,
        mipmap,
        device_at(device)?.handle
    ))
}

forward! {
    /// An array for one plane of an array of a planar format.
    fn cudaArrayGetPlane(pPlaneArray: *mut cudaArray_t, hArray: cudaArray_t, planeIdx: u32) => cuArrayGetPlane(pPlaneArray, hArray, planeIdx);
    /// How a sparse array is tiled.
    fn cudaArrayGetSparseProperties(sparseProperties: *mut cudaArraySparseProperties, array: cudaArray_t) => cuArrayGetSparseProperties(sparseProperties, array);
    /// How a sparse mipmapped array is tiled.
    fn cudaMipmappedArrayGetSparseProperties(sparseProperties: *mut cudaArraySparseProperties, mipmap: cudaMipmappedArray_t) => cuMipmappedArrayGetSparseProperties(sparseProperties, mipmap);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_go_there_and_back() {
        for f in (0..=2).chain(4..=31) {
            for bits in [8, 16, 32] {
                for n in [1, 2, 4] {
                    let of = |channel| if channel < n { bits } else { 0 };
                    let desc = cudaChannelFormatDesc {
                        x: of(0),
                        y: of(1),
                        z: of(2),
                        w: of(3),
                        f,
                    };
                    let Ok((format, channels)) = format_of(&desc) else {
                        assert_eq!((f, bits), (kind::FLOAT, 8));
                        continue;
                    };
                    let back = described(format, channels);
                    assert_eq!(back.f, f);
                    assert_eq!(format_of(&back), Ok((format, channels)));
                }
            }
        }
    }

    #[test]
    fn what_no_array_has_is_refused() {
        for [x, y, z, w] in [
            [8, 8, 8, 0],
            [8, 16, 0, 0],
            [0, 8, 0, 0],
            [12, 0, 0, 0],
            [8, 0, 8, 0],
            [0, 0, 0, 0],
        ] {
            let desc = cudaChannelFormatDesc { x, y, z, w, f: 1 };
            assert_eq!(format_of(&desc), Err(INVALID_CHANNEL_DESCRIPTOR));
        }
    }
}
