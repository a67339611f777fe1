//! Texture and surface objects: the driver's, described in the runtime's terms.

use crate::array::{channel_bits, described, descriptor, format, format_of};
use crate::context::{cu, current, device_at, major, put};
use crate::error::{
    INVALID_FILTER_SETTING, INVALID_NORM_SETTING, INVALID_RESOURCE_HANDLE, INVALID_VALUE, Result,
};
use crate::forward::forward;
use gvirtus_wire::api::cudart_types::{
    cudaChannelFormatDesc, cudaResourceDesc, cudaResourceViewDesc, cudaSurfaceObject_t,
    cudaTextureDesc, cudaTextureObject_t,
};
use gvirtus_wire::api::types::{CUDA_RESOURCE_DESC, CUDA_RESOURCE_VIEW_DESC, CUDA_TEXTURE_DESC};

/// `cudaResourceType`.
const ARRAY: u32 = 0;
const MIPMAPPED_ARRAY: u32 = 1;
const LINEAR: u32 = 2;
const PITCH_2D: u32 = 3;

/// `CU_TRSF_*`.
const READ_AS_INTEGER: u32 = 1;
const NORMALIZED_COORDINATES: u32 = 2;
const SRGB: u32 = 0x10;
const DISABLE_TRILINEAR_OPTIMIZATION: u32 = 0x20;
const SEAMLESS_CUBEMAP: u32 = 0x40;

/// `cudaFilterModeLinear`, `cudaReadModeNormalizedFloat`.
const FILTER_LINEAR: u32 = 1;
const READ_NORMALIZED: u32 = 1;

/// What all versions have of `cudaResourceDesc`. In pitched and linear memory the second to fourth words are the channels' description.
#[repr(C)]
#[derive(Clone, Copy)]
struct Described {
    kind: u32,
    words: [u64; 7],
}

/// What CUDA 13 has behind them: the rest of the union, and flags.
#[repr(C)]
#[derive(Clone, Copy)]
struct Described13 {
    common: Described,
    rest: [u64; 9],
    flags: u32,
}

fn channels_in(words: &[u64; 7]) -> cudaChannelFormatDesc {
    let low = |word: u64| (word as u32).cast_signed();
    let high = |word: u64| ((word >> 32) as u32).cast_signed();
    cudaChannelFormatDesc {
        x: low(words[1]),
        y: high(words[1]),
        z: low(words[2]),
        w: high(words[2]),
        f: words[3] as u32,
    }
}

fn pair(low: i32, high: i32) -> u64 {
    u64::from(low.cast_unsigned()) | u64::from(high.cast_unsigned()) << 32
}

/// # Safety
/// `given` is null or the program's description.
unsafe fn resource(given: *const cudaResourceDesc) -> Result<CUDA_RESOURCE_DESC> {
    if given.is_null() {
        return Err(INVALID_VALUE);
    }
    // SAFETY: not null; all versions have this much.
    let Described { kind, words } = unsafe { given.cast::<Described>().read_unaligned() };
    let mut res = [0; 16];
    res[0] = words[0];
    match kind {
        ARRAY | MIPMAPPED_ARRAY => {}
        LINEAR | PITCH_2D => {
            let (format, channels) = format_of(&channels_in(&words))?;
            res[1] = u64::from(format) | u64::from(channels) << 32;
            res[2] = words[4];
            if kind == PITCH_2D {
                (res[3], res[4]) = (words[5], words[6]);
            }
        }
        _ => return Err(INVALID_VALUE),
    }
    let flags = if major() < 13 {
        0
    } else {
        // SAFETY: the program was built for this version, whose description has them.
        unsafe { given.cast::<Described13>().read_unaligned().flags }
    };
    Ok(CUDA_RESOURCE_DESC {
        resType: kind,
        res,
        flags,
    })
}

/// # Safety
/// `to` is null or the program's.
unsafe fn put_resource(to: *mut cudaResourceDesc, is: &CUDA_RESOURCE_DESC) -> Result {
    let mut words = [0; 7];
    words[0] = is.res[0];
    if matches!(is.resType, LINEAR | PITCH_2D) {
        let desc = described(is.res[1] as u32, (is.res[1] >> 32) as u32);
        words[1] = pair(desc.x, desc.y);
        words[2] = pair(desc.z, desc.w);
        words[3] = u64::from(desc.f);
        words[4..].copy_from_slice(&is.res[2..5]);
    }
    let common = Described {
        kind: is.resType,
        words,
    };
    if major() < 13 {
        return put!(to.cast::<Described>(), common);
    }
    let all = Described13 {
        common,
        rest: [0; 9],
        flags: is.flags,
    };
    put!(to.cast::<Described13>(), all)
}

fn settings(given: &cudaTextureDesc) -> CUDA_TEXTURE_DESC {
    let mut flags = 0;
    for (set, flag) in [
        (given.readMode != READ_NORMALIZED, READ_AS_INTEGER),
        (given.normalizedCoords != 0, NORMALIZED_COORDINATES),
        (given.sRGB != 0, SRGB),
        (
            given.disableTrilinearOptimization != 0,
            DISABLE_TRILINEAR_OPTIMIZATION,
        ),
        (given.seamlessCubemap != 0, SEAMLESS_CUBEMAP),
    ] {
        if set {
            flags |= flag;
        }
    }
    CUDA_TEXTURE_DESC {
        addressMode: given.addressMode,
        filterMode: given.filterMode,
        flags,
        maxAnisotropy: given.maxAnisotropy,
        mipmapFilterMode: given.mipmapFilterMode,
        mipmapLevelBias: given.mipmapLevelBias,
        minMipmapLevelClamp: given.minMipmapLevelClamp,
        maxMipmapLevelClamp: given.maxMipmapLevelClamp,
        borderColor: given.borderColor,
        reserved: [0; 12],
    }
}

/// Whether elements of a format are integers that can be read as fractions, and not only so.
fn is_integer(of: u32) -> bool {
    matches!(
        of,
        format::UNSIGNED_INT8
            | format::UNSIGNED_INT16
            | format::UNSIGNED_INT32
            | format::SIGNED_INT8
            | format::SIGNED_INT16
            | format::SIGNED_INT32
    )
}

/// The format of what is read; `None` for what only the box knows.
fn format_read(resource: &CUDA_RESOURCE_DESC) -> Result<Option<u32>> {
    Ok(match resource.resType {
        ARRAY => {
            let array = std::ptr::without_provenance_mut(resource.res[0] as usize);
            Some(descriptor(array)?.Format)
        }
        LINEAR | PITCH_2D => Some(resource.res[1] as u32),
        _ => None,
    })
}

/// Makes a texture object.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__TEXTURE__OBJECT.html>
pub unsafe fn cudaCreateTextureObject(
    pTexObject: *mut cudaTextureObject_t,
    pResDesc: *const cudaResourceDesc,
    pTexDesc: *const cudaTextureDesc,
    pResViewDesc: *const cudaResourceViewDesc,
) -> Result {
    current()?;
    // SAFETY: the caller's descriptions.
    let (resource, texture, view) = unsafe {
        (
            resource(pResDesc)?,
            pTexDesc.as_ref().ok_or(INVALID_RESOURCE_HANDLE)?,
            pResViewDesc.as_ref(),
        )
    };
    if let Some(format) = format_read(&resource)?
        && view.is_none_or(|view| view.format == 0)
        && is_integer(format)
    {
        if texture.readMode == READ_NORMALIZED && channel_bits(format) == 32 {
            return Err(INVALID_NORM_SETTING);
        }
        if texture.readMode != READ_NORMALIZED && texture.filterMode == FILTER_LINEAR {
            return Err(INVALID_FILTER_SETTING);
        }
    }
    let texture = settings(texture);
    let view = view.map(|view| CUDA_RESOURCE_VIEW_DESC {
        format: view.format,
        width: view.width,
        height: view.height,
        depth: view.depth,
        firstMipmapLevel: view.firstMipmapLevel,
        lastMipmapLevel: view.lastMipmapLevel,
        firstLayer: view.firstLayer,
        lastLayer: view.lastLayer,
        reserved: [0; 16],
    });
    let view = view.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    cu!(cuTexObjectCreate(pTexObject, &resource, &texture, view))
}

/// What a texture object reads.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__TEXTURE__OBJECT.html>
pub unsafe fn cudaGetTextureObjectResourceDesc(
    pResDesc: *mut cudaResourceDesc,
    texObject: cudaTextureObject_t,
) -> Result {
    current()?;
    let mut is = CUDA_RESOURCE_DESC::default();
    cu!(cuTexObjectGetResourceDesc(&mut is, texObject))?;
    // SAFETY: the caller's pointer.
    unsafe { put_resource(pResDesc, &is) }
}

/// How a texture object reads.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__TEXTURE__OBJECT.html>
pub unsafe fn cudaGetTextureObjectTextureDesc(
    pTexDesc: *mut cudaTextureDesc,
    texObject: cudaTextureObject_t,
) -> Result {
    current()?;
    if pTexDesc.is_null() {
        return Err(INVALID_RESOURCE_HANDLE);
    }
    let mut is = CUDA_TEXTURE_DESC::default();
    cu!(cuTexObjectGetTextureDesc(&mut is, texObject))?;
    let flag = |flag| i32::from(is.flags & flag != 0);
    put!(
        pTexDesc,
        cudaTextureDesc {
            addressMode: is.addressMode,
            filterMode: is.filterMode,
            readMode: u32::from(is.flags & READ_AS_INTEGER == 0),
            sRGB: flag(SRGB),
            borderColor: is.borderColor,
            normalizedCoords: flag(NORMALIZED_COORDINATES),
            maxAnisotropy: is.maxAnisotropy,
            mipmapFilterMode: is.mipmapFilterMode,
            mipmapLevelBias: is.mipmapLevelBias,
            minMipmapLevelClamp: is.minMipmapLevelClamp,
            maxMipmapLevelClamp: is.maxMipmapLevelClamp,
            disableTrilinearOptimization: flag(DISABLE_TRILINEAR_OPTIMIZATION),
            seamlessCubemap: flag(SEAMLESS_CUBEMAP),
        }
    )
}

/// The view that a texture object was made with.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__TEXTURE__OBJECT.html>
pub unsafe fn cudaGetTextureObjectResourceViewDesc(
    pResViewDesc: *mut cudaResourceViewDesc,
    texObject: cudaTextureObject_t,
) -> Result {
    current()?;
    let mut is = CUDA_RESOURCE_VIEW_DESC {
        format: 0,
        width: 0,
        height: 0,
        depth: 0,
        firstMipmapLevel: 0,
        lastMipmapLevel: 0,
        firstLayer: 0,
        lastLayer: 0,
        reserved: [0; 16],
    };
    cu!(cuTexObjectGetResourceViewDesc(&mut is, texObject))?;
    put!(
        pResViewDesc,
        cudaResourceViewDesc {
            format: is.format,
            width: is.width,
            height: is.height,
            depth: is.depth,
            firstMipmapLevel: is.firstMipmapLevel,
            lastMipmapLevel: is.lastMipmapLevel,
            firstLayer: is.firstLayer,
            lastLayer: is.lastLayer,
        }
    )
}

/// Makes a surface object.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__SURFACE__OBJECT.html>
pub unsafe fn cudaCreateSurfaceObject(
    pSurfObject: *mut cudaSurfaceObject_t,
    pResDesc: *const cudaResourceDesc,
) -> Result {
    current()?;
    // SAFETY: the caller's description.
    let resource = unsafe { resource(pResDesc)? };
    cu!(cuSurfObjectCreate(pSurfObject, &resource))
}

/// What a surface object reads and writes.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__SURFACE__OBJECT.html>
pub unsafe fn cudaGetSurfaceObjectResourceDesc(
    pResDesc: *mut cudaResourceDesc,
    surfObject: cudaSurfaceObject_t,
) -> Result {
    current()?;
    let mut is = CUDA_RESOURCE_DESC::default();
    cu!(cuSurfObjectGetResourceDesc(&mut is, surfObject))?;
    // SAFETY: the caller's pointer.
    unsafe { put_resource(pResDesc, &is) }
}

/// How many elements a texture of linear memory may have.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__DEVICE.html>
pub unsafe fn cudaDeviceGetTexture1DLinearMaxWidth(
    maxWidthInElements: *mut usize,
    fmtDesc: *const cudaChannelFormatDesc,
    device: i32,
) -> Result {
    // SAFETY: null or the program's description.
    let (format, channels) = format_of(unsafe { fmtDesc.as_ref() }.ok_or(INVALID_VALUE)?)?;
    cu!(cuDeviceGetTexture1DLinearMaxWidth(
        maxWidthInElements,
        format,
        channels,
        device_at(device)?.handle
    ))
}

forward! {
    /// Destroys a texture object.
    fn cudaDestroyTextureObject(texObject: cudaTextureObject_t) => cuTexObjectDestroy(texObject);
    /// Destroys a surface object.
    fn cudaDestroySurfaceObject(surfObject: cudaSurfaceObject_t) => cuSurfObjectDestroy(surfObject);
}
