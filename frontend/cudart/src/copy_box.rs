//! Copies of boxes, and to and from arrays.
//!
//! Positions and sizes count elements where an array takes part, and bytes otherwise; a position in memory always counts bytes.

use crate::array::{descriptor, element_bytes};
use crate::context::{DefaultStream, cu, current, device_at};
use crate::copy::{Kind, When};
use crate::error::{INVALID_MEMCPY_DIRECTION, INVALID_PITCH_VALUE, INVALID_VALUE, Result};
use gvirtus_wire::api::cudart_types::{
    cudaArray_const_t, cudaArray_t, cudaExtent, cudaMemcpy3DParms, cudaMemcpy3DPeerParms,
    cudaPitchedPtr, cudaPos, cudaStream_t,
};
use gvirtus_wire::api::types::{
    CUDA_MEMCPY2D, CUDA_MEMCPY3D, CUDA_MEMCPY3D_PEER, CUarray, CUdeviceptr,
};
use std::ffi::c_void;
use std::ptr::null_mut;

use When::{Now, On};

/// `CU_MEMORYTYPE_DEVICE`, `CU_MEMORYTYPE_ARRAY`.
const DEVICE: u32 = 2;
const ARRAY: u32 = 3;

/// One side of a copy, in bytes.
#[derive(Debug, Clone, Copy)]
struct Side {
    memory_type: u32,
    pointer: *mut c_void,
    array: CUarray,
    x: usize,
    y: usize,
    z: usize,
    pitch: usize,
    rows: usize,
}

impl Side {
    fn memory(memory_type: u32, at: &cudaPitchedPtr, position: &cudaPos) -> Self {
        Self {
            memory_type,
            pointer: at.ptr,
            array: null_mut(),
            x: position.x,
            y: position.y,
            z: position.z,
            pitch: at.pitch,
            rows: at.ysize,
        }
    }

    fn array(array: CUarray, x: usize, y: usize, z: usize) -> Self {
        Self {
            memory_type: ARRAY,
            pointer: null_mut(),
            array,
            x,
            y,
            z,
            pitch: 0,
            rows: 0,
        }
    }

    fn is_array(&self) -> bool {
        self.memory_type == ARRAY
    }
}

/// Whether a kind of copy may read an array, and write one.
fn check_direction(kind: Kind, from_array: bool, to_array: bool) -> Result {
    let wrong = match kind {
        Kind::HostToHost => from_array || to_array,
        Kind::HostToDevice => from_array,
        Kind::DeviceToHost => to_array,
        Kind::DeviceToDevice | Kind::Default => false,
    };
    if wrong {
        return Err(INVALID_MEMCPY_DIRECTION);
    }
    Ok(())
}

/// Bytes of an element where arrays take part, 1 otherwise.
fn element(source: cudaArray_t, target: cudaArray_t) -> Result<usize> {
    match (source.is_null(), target.is_null()) {
        (true, true) => Ok(1),
        (false, true) => element_bytes(&descriptor(source)?),
        (true, false) => element_bytes(&descriptor(target)?),
        (false, false) => {
            let bytes = element_bytes(&descriptor(source)?)?;
            if bytes != element_bytes(&descriptor(target)?)? {
                return Err(INVALID_VALUE);
            }
            Ok(bytes)
        }
    }
}

/// What a program names as a side: an array or memory, and not both.
fn named(
    (array, pointer, position): (cudaArray_t, &cudaPitchedPtr, &cudaPos),
    memory_type: u32,
    element: usize,
) -> Result<Side> {
    if array.is_null() {
        return Ok(Side::memory(memory_type, pointer, position));
    }
    if !pointer.ptr.is_null() {
        return Err(INVALID_VALUE);
    }
    let x = position.x.checked_mul(element).ok_or(INVALID_VALUE)?;
    Ok(Side::array(array, x, position.y, position.z))
}

/// Bytes instead of elements.
fn in_bytes(extent: &cudaExtent, element: usize) -> Result<cudaExtent> {
    Ok(cudaExtent {
        width: extent.width.checked_mul(element).ok_or(INVALID_VALUE)?,
        ..*extent
    })
}

fn check_pitch(side: &Side, extent: &cudaExtent) -> Result {
    let rows = extent.height > 1 || extent.depth > 1;
    if rows && !side.is_array() && extent.width > side.pitch {
        return Err(INVALID_PITCH_VALUE);
    }
    Ok(())
}

fn copy_box(p: *const cudaMemcpy3DParms, when: When) -> Result {
    current()?;
    // SAFETY: null or the program's parameters.
    let p = unsafe { p.as_ref() }.ok_or(INVALID_VALUE)?;
    if p.extent.width == 0 || p.extent.height == 0 || p.extent.depth == 0 {
        return Ok(());
    }
    let copy = driver_box(p)?;
    match when.stream() {
        None => cu!(cuMemcpy3D_v2(&copy)),
        Some(stream) => cu!(cuMemcpy3DAsync_v2(&copy, stream)),
    }?;
    when.wait()
}

/// A copy in one row, as the driver describes it.
pub(crate) fn driver_row(
    dst: *mut c_void,
    src: *const c_void,
    count: usize,
    kind: u32,
) -> Result<CUDA_MEMCPY3D> {
    let pointer = |ptr| cudaPitchedPtr {
        ptr,
        pitch: count,
        xsize: count,
        ysize: 1,
    };
    let none = cudaPos { x: 0, y: 0, z: 0 };
    driver_box(&cudaMemcpy3DParms {
        srcArray: null_mut(),
        srcPos: none,
        srcPtr: pointer(src.cast_mut()),
        dstArray: null_mut(),
        dstPos: none,
        dstPtr: pointer(dst),
        extent: cudaExtent {
            width: count,
            height: 1,
            depth: 1,
        },
        kind,
    })
}

/// The runtime's form of a copy that the driver describes.
pub(crate) fn runtime_box(p: &CUDA_MEMCPY3D) -> cudaMemcpy3DParms {
    const HOST: u32 = 1;
    let kind = match (p.srcMemoryType, p.dstMemoryType) {
        (HOST, HOST) => Kind::HostToHost,
        (HOST, DEVICE) => Kind::HostToDevice,
        (DEVICE, HOST) => Kind::DeviceToHost,
        (DEVICE, DEVICE) => Kind::DeviceToDevice,
        _ => Kind::Default,
    };
    let pointer = |kind, host: *const c_void, device: CUdeviceptr, pitch, ysize| cudaPitchedPtr {
        ptr: if kind == HOST {
            host.cast_mut()
        } else {
            device as *mut c_void
        },
        pitch,
        xsize: p.WidthInBytes,
        ysize,
    };
    cudaMemcpy3DParms {
        srcArray: p.srcArray,
        srcPos: cudaPos {
            x: p.srcXInBytes,
            y: p.srcY,
            z: p.srcZ,
        },
        srcPtr: pointer(
            p.srcMemoryType,
            p.srcHost,
            p.srcDevice,
            p.srcPitch,
            p.srcHeight,
        ),
        dstArray: p.dstArray,
        dstPos: cudaPos {
            x: p.dstXInBytes,
            y: p.dstY,
            z: p.dstZ,
        },
        dstPtr: pointer(
            p.dstMemoryType,
            p.dstHost,
            p.dstDevice,
            p.dstPitch,
            p.dstHeight,
        ),
        extent: cudaExtent {
            width: p.WidthInBytes,
            height: p.Height,
            depth: p.Depth,
        },
        kind: kind as u32,
    }
}

/// The driver's form of a copy of a box.
pub(crate) fn driver_box(p: &cudaMemcpy3DParms) -> Result<CUDA_MEMCPY3D> {
    let kind = Kind::of(p.kind)?;
    check_direction(kind, !p.srcArray.is_null(), !p.dstArray.is_null())?;
    let (source_type, target_type) = kind.memory_types();
    let element = element(p.srcArray, p.dstArray)?;
    let from = named((p.srcArray, &p.srcPtr, &p.srcPos), source_type, element)?;
    let to = named((p.dstArray, &p.dstPtr, &p.dstPos), target_type, element)?;
    let extent = in_bytes(&p.extent, element)?;
    check_pitch(&from, &extent)?;
    check_pitch(&to, &extent)?;
    Ok(CUDA_MEMCPY3D {
        srcXInBytes: from.x,
        srcY: from.y,
        srcZ: from.z,
        srcLOD: 0,
        srcMemoryType: from.memory_type,
        srcHost: from.pointer,
        srcDevice: from.pointer as CUdeviceptr,
        srcArray: from.array,
        reserved0: null_mut(),
        srcPitch: from.pitch,
        srcHeight: from.rows,
        dstXInBytes: to.x,
        dstY: to.y,
        dstZ: to.z,
        dstLOD: 0,
        dstMemoryType: to.memory_type,
        dstHost: to.pointer,
        dstDevice: to.pointer as CUdeviceptr,
        dstArray: to.array,
        reserved1: null_mut(),
        dstPitch: to.pitch,
        dstHeight: to.rows,
        WidthInBytes: extent.width,
        Height: extent.height,
        Depth: extent.depth,
    })
}

/// Copies a box of bytes.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__MEMORY.html>
pub unsafe fn cudaMemcpy3D(default: DefaultStream, p: *const cudaMemcpy3DParms) -> Result {
    copy_box(p, Now(default))
}

/// Copies a box of bytes in stream order.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__MEMORY.html>
pub unsafe fn cudaMemcpy3DAsync(
    default: DefaultStream,
    p: *const cudaMemcpy3DParms,
    stream: cudaStream_t,
) -> Result {
    copy_box(p, On(default.resolve(stream)))
}

fn copy_box_between_devices(p: *const cudaMemcpy3DPeerParms, when: When) -> Result {
    current()?;
    // SAFETY: null or the program's parameters.
    let p = unsafe { p.as_ref() }.ok_or(INVALID_VALUE)?;
    if p.extent.width == 0 || p.extent.height == 0 || p.extent.depth == 0 {
        return Ok(());
    }
    let element = element(p.srcArray, p.dstArray)?;
    let from = named((p.srcArray, &p.srcPtr, &p.srcPos), DEVICE, element)?;
    let to = named((p.dstArray, &p.dstPtr, &p.dstPos), DEVICE, element)?;
    let extent = in_bytes(&p.extent, element)?;
    let copy = CUDA_MEMCPY3D_PEER {
        srcXInBytes: from.x,
        srcY: from.y,
        srcZ: from.z,
        srcLOD: 0,
        srcMemoryType: from.memory_type,
        srcHost: from.pointer,
        srcDevice: from.pointer as CUdeviceptr,
        srcArray: from.array,
        srcContext: device_at(p.srcDevice)?.primary()?,
        srcPitch: from.pitch,
        srcHeight: from.rows,
        dstXInBytes: to.x,
        dstY: to.y,
        dstZ: to.z,
        dstLOD: 0,
        dstMemoryType: to.memory_type,
        dstHost: to.pointer,
        dstDevice: to.pointer as CUdeviceptr,
        dstArray: to.array,
        dstContext: device_at(p.dstDevice)?.primary()?,
        dstPitch: to.pitch,
        dstHeight: to.rows,
        WidthInBytes: extent.width,
        Height: extent.height,
        Depth: extent.depth,
    };
    match when.stream() {
        None => cu!(cuMemcpy3DPeer(&copy)),
        Some(stream) => cu!(cuMemcpy3DPeerAsync(&copy, stream)),
    }?;
    when.wait()
}

/// Copies a box of bytes between devices.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__MEMORY.html>
pub unsafe fn cudaMemcpy3DPeer(default: DefaultStream, p: *const cudaMemcpy3DPeerParms) -> Result {
    copy_box_between_devices(p, Now(default))
}

/// Copies a box of bytes between devices in stream order.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__MEMORY.html>
pub unsafe fn cudaMemcpy3DPeerAsync(
    default: DefaultStream,
    p: *const cudaMemcpy3DPeerParms,
    stream: cudaStream_t,
) -> Result {
    copy_box_between_devices(p, On(default.resolve(stream)))
}

/// Rows of bytes with an array on a side or on both.
fn copy_rows(to: Side, from: Side, width: usize, height: usize, when: When) -> Result {
    if width == 0 || height == 0 {
        return Ok(());
    }
    let extent = cudaExtent {
        width,
        height,
        depth: 1,
    };
    check_pitch(&from, &extent)?;
    check_pitch(&to, &extent)?;
    let copy = CUDA_MEMCPY2D {
        srcXInBytes: from.x,
        srcY: from.y,
        srcMemoryType: from.memory_type,
        srcHost: from.pointer,
        srcDevice: from.pointer as CUdeviceptr,
        srcArray: from.array,
        srcPitch: from.pitch,
        dstXInBytes: to.x,
        dstY: to.y,
        dstMemoryType: to.memory_type,
        dstHost: to.pointer,
        dstDevice: to.pointer as CUdeviceptr,
        dstArray: to.array,
        dstPitch: to.pitch,
        WidthInBytes: width,
        Height: height,
    };
    match when.stream() {
        None => cu!(cuMemcpy2DUnaligned_v2(&copy)),
        Some(stream) => cu!(cuMemcpy2DAsync_v2(&copy, stream)),
    }?;
    when.wait()
}

/// Memory as rows.
fn rows_at(memory_type: u32, pointer: *const c_void, pitch: usize) -> Side {
    Side {
        memory_type,
        pointer: pointer.cast_mut(),
        array: null_mut(),
        x: 0,
        y: 0,
        z: 0,
        pitch,
        rows: 0,
    }
}

/// Memory that an array is written from.
fn source(kind: u32, pointer: *const c_void, pitch: usize) -> Result<Side> {
    let kind = Kind::of(kind)?;
    check_direction(kind, false, true)?;
    Ok(rows_at(kind.memory_types().0, pointer, pitch))
}

/// Memory that an array is read to.
fn target(kind: u32, pointer: *const c_void, pitch: usize) -> Result<Side> {
    let kind = Kind::of(kind)?;
    check_direction(kind, true, false)?;
    Ok(rows_at(kind.memory_types().1, pointer, pitch))
}

/// Copies `count` bytes between sides of which each goes on with its next row where a row ends; memory is one long row.
fn copy_on(mut to: Side, mut from: Side, count: usize, when: When) -> Result {
    let row = |side: &Side| -> Result<Option<usize>> {
        if !side.is_array() {
            return Ok(None);
        }
        let is = descriptor(side.array)?;
        let bytes = is.Width.checked_mul(element_bytes(&is)?);
        bytes
            .filter(|bytes| *bytes > side.x)
            .map(Some)
            .ok_or(INVALID_VALUE)
    };
    let (to_row, from_row) = (row(&to)?, row(&from)?);
    let mut left = count;
    while left > 0 {
        let rest = |side: &Side, row: Option<usize>| row.map_or(left, |row| row - side.x);
        let width = left.min(rest(&to, to_row)).min(rest(&from, from_row));
        copy_rows(to, from, width, 1, when)?;
        for (side, row) in [(&mut to, to_row), (&mut from, from_row)] {
            side.x += width;
            if row == Some(side.x) {
                (side.x, side.y) = (0, side.y + 1);
            }
        }
        left -= width;
    }
    Ok(())
}

/// Copies rows of bytes to an array.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__MEMORY.html>
pub unsafe fn cudaMemcpy2DToArray(
    default: DefaultStream,
    dst: cudaArray_t,
    wOffset: usize,
    hOffset: usize,
    src: *const c_void,
    spitch: usize,
    width: usize,
    height: usize,
    kind: u32,
) -> Result {
    current()?;
    let from = source(kind, src, spitch)?;
    copy_rows(
        Side::array(dst, wOffset, hOffset, 0),
        from,
        width,
        height,
        Now(default),
    )
}

/// Copies rows of bytes from an array.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__MEMORY.html>
pub unsafe fn cudaMemcpy2DFromArray(
    default: DefaultStream,
    dst: *mut c_void,
    dpitch: usize,
    src: cudaArray_const_t,
    wOffset: usize,
    hOffset: usize,
    width: usize,
    height: usize,
    kind: u32,
) -> Result {
    current()?;
    let to = target(kind, dst, dpitch)?;
    copy_rows(
        to,
        Side::array(src, wOffset, hOffset, 0),
        width,
        height,
        Now(default),
    )
}

/// Copies bytes to an array, row after row.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__MEMORY__DEPRECATED.html>
pub unsafe fn cudaMemcpyToArray(
    default: DefaultStream,
    dst: cudaArray_t,
    wOffset: usize,
    hOffset: usize,
    src: *const c_void,
    count: usize,
    kind: u32,
) -> Result {
    current()?;
    let from = source(kind, src, count)?;
    copy_on(
        Side::array(dst, wOffset, hOffset, 0),
        from,
        count,
        Now(default),
    )
}

/// Copies bytes from an array, row after row.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__MEMORY__DEPRECATED.html>
pub unsafe fn cudaMemcpyFromArray(
    default: DefaultStream,
    dst: *mut c_void,
    src: cudaArray_const_t,
    wOffset: usize,
    hOffset: usize,
    count: usize,
    kind: u32,
) -> Result {
    current()?;
    let to = target(kind, dst, count)?;
    copy_on(
        to,
        Side::array(src, wOffset, hOffset, 0),
        count,
        Now(default),
    )
}

/// Copies rows of bytes to an array in stream order.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__MEMORY.html>
pub unsafe fn cudaMemcpy2DToArrayAsync(
    default: DefaultStream,
    dst: cudaArray_t,
    wOffset: usize,
    hOffset: usize,
    src: *const c_void,
    spitch: usize,
    width: usize,
    height: usize,
    kind: u32,
    stream: cudaStream_t,
) -> Result {
    current()?;
    let from = source(kind, src, spitch)?;
    copy_rows(
        Side::array(dst, wOffset, hOffset, 0),
        from,
        width,
        height,
        On(default.resolve(stream)),
    )
}

/// Copies rows of bytes from an array in stream order.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__MEMORY.html>
pub unsafe fn cudaMemcpy2DFromArrayAsync(
    default: DefaultStream,
    dst: *mut c_void,
    dpitch: usize,
    src: cudaArray_const_t,
    wOffset: usize,
    hOffset: usize,
    width: usize,
    height: usize,
    kind: u32,
    stream: cudaStream_t,
) -> Result {
    current()?;
    let to = target(kind, dst, dpitch)?;
    copy_rows(
        to,
        Side::array(src, wOffset, hOffset, 0),
        width,
        height,
        On(default.resolve(stream)),
    )
}

/// Copies bytes to an array, row after row in stream order.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__MEMORY__DEPRECATED.html>
pub unsafe fn cudaMemcpyToArrayAsync(
    default: DefaultStream,
    dst: cudaArray_t,
    wOffset: usize,
    hOffset: usize,
    src: *const c_void,
    count: usize,
    kind: u32,
    stream: cudaStream_t,
) -> Result {
    current()?;
    let from = source(kind, src, count)?;
    copy_on(
        Side::array(dst, wOffset, hOffset, 0),
        from,
        count,
        On(default.resolve(stream)),
    )
}

/// Copies bytes from an array, row after row in stream order.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__MEMORY__DEPRECATED.html>
pub unsafe fn cudaMemcpyFromArrayAsync(
    default: DefaultStream,
    dst: *mut c_void,
    src: cudaArray_const_t,
    wOffset: usize,
    hOffset: usize,
    count: usize,
    kind: u32,
    stream: cudaStream_t,
) -> Result {
    current()?;
    let to = target(kind, dst, count)?;
    copy_on(
        to,
        Side::array(src, wOffset, hOffset, 0),
        count,
        On(default.resolve(stream)),
    )
}

/// Copies rows of bytes between arrays.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__MEMORY.html>
pub unsafe fn cudaMemcpy2DArrayToArray(
    default: DefaultStream,
    dst: cudaArray_t,
    wOffsetDst: usize,
    hOffsetDst: usize,
    src: cudaArray_const_t,
    wOffsetSrc: usize,
    hOffsetSrc: usize,
    width: usize,
    height: usize,
    kind: u32,
) -> Result {
    current()?;
    check_direction(Kind::of(kind)?, true, true)?;
    let to = Side::array(dst, wOffsetDst, hOffsetDst, 0);
    let from = Side::array(src, wOffsetSrc, hOffsetSrc, 0);
    copy_rows(to, from, width, height, Now(default))
}

/// Copies bytes between arrays, row after row.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__MEMORY__DEPRECATED.html>
pub unsafe fn cudaMemcpyArrayToArray(
    default: DefaultStream,
    dst: cudaArray_t,
    wOffsetDst: usize,
    hOffsetDst: usize,
    src: cudaArray_const_t,
    wOffsetSrc: usize,
    hOffsetSrc: usize,
    count: usize,
    kind: u32,
) -> Result {
    current()?;
    check_direction(Kind::of(kind)?, true, true)?;
    let to = Side::array(dst, wOffsetDst, hOffsetDst, 0);
    let from = Side::array(src, wOffsetSrc, hOffsetSrc, 0);
    copy_on(to, from, count, Now(default))
}
