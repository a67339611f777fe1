//! Copies of boxes, and to and from arrays: <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__MEM.html>.
#![allow(non_snake_case, reason = "CUDA's names")]

use std::ffi::c_void;
use std::sync::Arc;

use gvirtus_wire::api::core::{ARRAY_ROW, ARRAY_SLICE, Extent, Plane};
use gvirtus_wire::api::types::{
    CUDA_MEMCPY2D, CUDA_MEMCPY3D, CUDA_MEMCPY3D_PEER, CUarray, CUdeviceptr, CUstream, error,
};

use crate::driver::array::{self, Array};
use crate::driver::memcpy::{Is, Said, Side, Wait, copy, line};
use crate::driver::{Result, session};

const MEMORYTYPE_HOST: u32 = 1;
const MEMORYTYPE_DEVICE: u32 = 2;
const MEMORYTYPE_ARRAY: u32 = 3;
const MEMORYTYPE_UNIFIED: u32 = 4;

/// One side of a 2D or 3D copy as the program describes it.
struct Described {
    array: CUarray,
    kind: u32,
    host: u64,
    device: u64,
    x: usize,
    y: usize,
    z: usize,
    pitch: usize,
    rows: usize,
}

impl Described {
    fn side(&self, extent: &Extent) -> Result<Side> {
        let (said, base) = match self.kind {
            MEMORYTYPE_HOST => (Said::Host, self.host),
            MEMORYTYPE_DEVICE => (Said::Device, self.device),
            MEMORYTYPE_UNIFIED => (Said::Unified, self.device),
            MEMORYTYPE_ARRAY => {
                let array = array::resolve(self.array)?;
                return part(array, [self.x, self.y, self.z], extent);
            }
            _ => return Err(error::ERROR_INVALID_VALUE),
        };
        let pitch = if self.pitch == 0 {
            extent.width
        } else {
            self.pitch as u64
        };
        let rows = if self.rows == 0 {
            extent.height
        } else {
            self.rows as u64
        };
        let place = || {
            let slice = pitch.checked_mul(rows)?;
            let offset = slice
                .checked_mul(self.z as u64)?
                .checked_add(pitch.checked_mul(self.y as u64)?)?
                .checked_add(self.x as u64)?;
            Some(Plane {
                address: base.checked_add(offset)?,
                pitch,
                slice,
            })
        };
        let plane = place().ok_or(error::ERROR_INVALID_VALUE)?;
        let wide = (self.x as u64)
            .checked_add(extent.width)
            .is_none_or(|end| end > pitch)
            && self.pitch != 0;
        let tall = (self.y as u64)
            .checked_add(extent.height)
            .is_none_or(|end| end > rows);
        if wide || (tall && extent.depth > 1) {
            return Err(error::ERROR_INVALID_VALUE);
        }
        Ok(Side {
            said,
            plane,
            array: None,
        })
    }
}

/// A box in an array that begins `x` bytes, `y` rows and `z` slices inside.
fn part(array: Arc<Array>, begin: [usize; 3], extent: &Extent) -> Result<Side> {
    let sizes = [extent.width, extent.height, extent.depth];
    for ((begin, size), limit) in begin.iter().zip(sizes).zip(array.extent()) {
        let end = (*begin as u64).checked_add(size);
        if end.is_none_or(|end| end > limit) {
            return Err(error::ERROR_INVALID_VALUE);
        }
    }
    let [x, y, z] = begin.map(|n| n as u64);
    Ok(Side {
        said: Said::Device,
        plane: Plane {
            address: z << ARRAY_SLICE | y << ARRAY_ROW | x,
            pitch: 1 << ARRAY_ROW,
            slice: 1 << ARRAY_SLICE,
        },
        array: Some(array),
    })
}

/// Bytes of a one-dimensional array.
fn row(array: CUarray, offset: usize, bytes: usize) -> Result<Side> {
    let array = array::resolve(array)?;
    if array.shape.height > 1 || array.shape.depth > 1 {
        return Err(error::ERROR_INVALID_VALUE);
    }
    part(array, [offset, 0, 0], &line(bytes))
}

/// # Safety
/// As [`copy`].
unsafe fn copy_described(
    stream: CUstream,
    wait: Wait,
    dst: &Described,
    src: &Described,
    extent: Extent,
) -> Result<()> {
    let (to, from) = (dst.side(&extent)?, src.side(&extent)?);
    // Between devices nobody waits, as natively.
    // SAFETY: this function's contract.
    unsafe { copy(stream, wait, &to, &from, extent) }
}

unsafe fn copy_2d(stream: CUstream, wait: Wait, parameters: *const CUDA_MEMCPY2D) -> Result<()> {
    if parameters.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    // SAFETY: not null; the caller gives a CUDA_MEMCPY2D.
    let p = unsafe { parameters.read_unaligned() };
    let extent = Extent {
        width: p.WidthInBytes as u64,
        height: p.Height as u64,
        depth: 1,
    };
    let dst = Described {
        array: p.dstArray,
        kind: p.dstMemoryType,
        host: p.dstHost as u64,
        device: p.dstDevice,
        x: p.dstXInBytes,
        y: p.dstY,
        z: 0,
        pitch: p.dstPitch,
        rows: 0,
    };
    let src = Described {
        array: p.srcArray,
        kind: p.srcMemoryType,
        host: p.srcHost as u64,
        device: p.srcDevice,
        x: p.srcXInBytes,
        y: p.srcY,
        z: 0,
        pitch: p.srcPitch,
        rows: 0,
    };
    // SAFETY: the caller's pointers.
    unsafe { copy_described(stream, wait, &dst, &src, extent) }
}

/// A pitched copy; waits.
pub(crate) unsafe fn cuMemcpy2D_v2(parameters: *const CUDA_MEMCPY2D) -> Result<()> {
    // SAFETY: the caller's pointers.
    unsafe { copy_2d(std::ptr::null_mut(), Wait::Yes, parameters) }
}

/// As `cuMemcpy2D`: any pitch is allowed here anyway.
pub(crate) unsafe fn cuMemcpy2DUnaligned_v2(parameters: *const CUDA_MEMCPY2D) -> Result<()> {
    // SAFETY: the caller's pointers.
    unsafe { copy_2d(std::ptr::null_mut(), Wait::Yes, parameters) }
}

/// A pitched copy, on a stream.
pub(crate) unsafe fn cuMemcpy2DAsync_v2(
    parameters: *const CUDA_MEMCPY2D,
    stream: CUstream,
) -> Result<()> {
    // SAFETY: the caller's pointers.
    unsafe { copy_2d(stream, Wait::No, parameters) }
}

macro_rules! described_3d {
    ($p:ident) => {
        (
            Described {
                array: $p.dstArray,
                kind: $p.dstMemoryType,
                host: $p.dstHost as u64,
                device: $p.dstDevice,
                x: $p.dstXInBytes,
                y: $p.dstY,
                z: $p.dstZ,
                pitch: $p.dstPitch,
                rows: $p.dstHeight,
            },
            Described {
                array: $p.srcArray,
                kind: $p.srcMemoryType,
                host: $p.srcHost as u64,
                device: $p.srcDevice,
                x: $p.srcXInBytes,
                y: $p.srcY,
                z: $p.srcZ,
                pitch: $p.srcPitch,
                rows: $p.srcHeight,
            },
            Extent {
                width: $p.WidthInBytes as u64,
                height: $p.Height as u64,
                depth: $p.Depth as u64,
            },
        )
    };
}

/// A copy that is described, and what its sides are.
pub(crate) struct Plan {
    pub(crate) dst: Plane,
    pub(crate) src: Plane,
    /// The worker's numbers of arrays, 0 for memory.
    pub(crate) dst_array: u32,
    pub(crate) src_array: u32,
    pub(crate) extent: Extent,
    pub(crate) to: Is,
    pub(crate) from: Is,
}

/// Looks at a copy that a graph's node is to do.
///
/// # Errors
/// Those that the copy itself would have.
pub(crate) fn plan(p: &CUDA_MEMCPY3D) -> Result<Plan> {
    let (dst, src, extent) = described_3d!(p);
    if p.srcLOD != 0 || p.dstLOD != 0 {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let (dst, src) = (dst.side(&extent)?, src.side(&extent)?);
    let nothing = extent.width == 0 || extent.height == 0 || extent.depth == 0;
    let (to, from) = if nothing {
        (Is::Device, Is::Device)
    } else {
        (dst.is(&extent)?, src.is(&extent)?)
    };
    Ok(Plan {
        dst_array: dst.array_id(),
        src_array: src.array_id(),
        dst: dst.plane,
        src: src.plane,
        extent,
        to,
        from,
    })
}

/// The driver's description of a copy; each side with whether it is host memory.
pub(super) fn described(
    (dst, to_host): (&Side, bool),
    (src, from_host): (&Side, bool),
    extent: &Extent,
) -> CUDA_MEMCPY3D {
    let kind = |side: &Side, host| match (&side.array, host) {
        (Some(_), _) => MEMORYTYPE_ARRAY,
        (None, true) => MEMORYTYPE_HOST,
        (None, false) => MEMORYTYPE_DEVICE,
    };
    let address = |side: &Side, wanted| {
        if wanted && side.array.is_none() {
            side.plane.address
        } else {
            0
        }
    };
    let array = |side: &Side| {
        let array = side.array.as_ref();
        array.map_or(std::ptr::null_mut(), |array| array.pointer())
    };
    let place = |side: &Side| match side.array {
        Some(_) => [
            side.plane.address & ((1 << ARRAY_ROW) - 1),
            (side.plane.address >> ARRAY_ROW) & ((1 << (ARRAY_SLICE - ARRAY_ROW)) - 1),
            side.plane.address >> ARRAY_SLICE,
        ]
        .map(|n| n as usize),
        None => [0; 3],
    };
    let rows = |side: &Side| match side.array {
        Some(_) => [0; 2],
        None => {
            let given = side.plane.slice.checked_div(side.plane.pitch);
            let height = given.unwrap_or(0).max(extent.height);
            [side.plane.pitch as usize, height as usize]
        }
    };
    let ([src_x, src_y, src_z], [dst_x, dst_y, dst_z]) = (place(src), place(dst));
    let ([src_pitch, src_height], [dst_pitch, dst_height]) = (rows(src), rows(dst));
    CUDA_MEMCPY3D {
        srcXInBytes: src_x,
        srcY: src_y,
        srcZ: src_z,
        srcLOD: 0,
        srcMemoryType: kind(src, from_host),
        srcHost: address(src, from_host) as *const _,
        srcDevice: address(src, !from_host),
        srcArray: array(src),
        reserved0: std::ptr::null_mut(),
        srcPitch: src_pitch,
        srcHeight: src_height,
        dstXInBytes: dst_x,
        dstY: dst_y,
        dstZ: dst_z,
        dstLOD: 0,
        dstMemoryType: kind(dst, to_host),
        dstHost: address(dst, to_host) as *mut _,
        dstDevice: address(dst, !to_host),
        dstArray: array(dst),
        reserved1: std::ptr::null_mut(),
        dstPitch: dst_pitch,
        dstHeight: dst_height,
        WidthInBytes: extent.width as usize,
        Height: extent.height as usize,
        Depth: extent.depth as usize,
    }
}

unsafe fn copy_3d(stream: CUstream, wait: Wait, parameters: *const CUDA_MEMCPY3D) -> Result<()> {
    if parameters.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    // SAFETY: not null; the caller gives a CUDA_MEMCPY3D.
    let p = unsafe { parameters.read_unaligned() };
    let (dst, src, extent) = described_3d!(p);
    if p.srcLOD != 0 || p.dstLOD != 0 {
        return Err(error::ERROR_INVALID_VALUE);
    }
    // SAFETY: the caller's pointers.
    unsafe { copy_described(stream, wait, &dst, &src, extent) }
}

/// A box; waits.
pub(crate) unsafe fn cuMemcpy3D_v2(parameters: *const CUDA_MEMCPY3D) -> Result<()> {
    // SAFETY: the caller's pointers.
    unsafe { copy_3d(std::ptr::null_mut(), Wait::Yes, parameters) }
}

/// A box, on a stream.
pub(crate) unsafe fn cuMemcpy3DAsync_v2(
    parameters: *const CUDA_MEMCPY3D,
    stream: CUstream,
) -> Result<()> {
    // SAFETY: the caller's pointers.
    unsafe { copy_3d(stream, Wait::No, parameters) }
}

unsafe fn copy_3d_peer(
    stream: CUstream,
    wait: Wait,
    parameters: *const CUDA_MEMCPY3D_PEER,
) -> Result<()> {
    if parameters.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    // SAFETY: not null; the caller gives a CUDA_MEMCPY3D_PEER.
    let p = unsafe { parameters.read_unaligned() };
    let (dst, src, extent) = described_3d!(p);
    // SAFETY: the caller's pointers.
    unsafe { copy_described(stream, wait, &dst, &src, extent) }
}

/// A box between devices; waits.
pub(crate) unsafe fn cuMemcpy3DPeer(parameters: *const CUDA_MEMCPY3D_PEER) -> Result<()> {
    // SAFETY: the caller's pointers.
    unsafe { copy_3d_peer(std::ptr::null_mut(), Wait::Yes, parameters) }
}

/// A box between devices, on a stream.
pub(crate) unsafe fn cuMemcpy3DPeerAsync(
    parameters: *const CUDA_MEMCPY3D_PEER,
    stream: CUstream,
) -> Result<()> {
    // SAFETY: the caller's pointers.
    unsafe { copy_3d_peer(stream, Wait::No, parameters) }
}

/// Device memory to a one-dimensional array; does not wait.
pub(crate) unsafe fn cuMemcpyDtoA_v2(
    dstArray: CUarray,
    dstOffset: usize,
    srcDevice: CUdeviceptr,
    ByteCount: usize,
) -> Result<()> {
    session()?;
    let (to, from) = (
        row(dstArray, dstOffset, ByteCount)?,
        Side::linear(Said::Device, srcDevice),
    );
    // SAFETY: the caller's pointers.
    unsafe { copy(std::ptr::null_mut(), Wait::No, &to, &from, line(ByteCount)) }
}

/// One-dimensional array to device memory; does not wait.
pub(crate) unsafe fn cuMemcpyAtoD_v2(
    dstDevice: CUdeviceptr,
    srcArray: CUarray,
    srcOffset: usize,
    ByteCount: usize,
) -> Result<()> {
    session()?;
    let (to, from) = (
        Side::linear(Said::Device, dstDevice),
        row(srcArray, srcOffset, ByteCount)?,
    );
    // SAFETY: the caller's pointers.
    unsafe { copy(std::ptr::null_mut(), Wait::No, &to, &from, line(ByteCount)) }
}

/// Host to a one-dimensional array; waits.
pub(crate) unsafe fn cuMemcpyHtoA_v2(
    dstArray: CUarray,
    dstOffset: usize,
    srcHost: *const c_void,
    ByteCount: usize,
) -> Result<()> {
    session()?;
    let (to, from) = (
        row(dstArray, dstOffset, ByteCount)?,
        Side::linear(Said::Host, srcHost as u64),
    );
    // SAFETY: the caller's pointers.
    unsafe { copy(std::ptr::null_mut(), Wait::Yes, &to, &from, line(ByteCount)) }
}

/// One-dimensional array to host; waits.
pub(crate) unsafe fn cuMemcpyAtoH_v2(
    dstHost: *mut c_void,
    srcArray: CUarray,
    srcOffset: usize,
    ByteCount: usize,
) -> Result<()> {
    session()?;
    let (to, from) = (
        Side::linear(Said::Host, dstHost as u64),
        row(srcArray, srcOffset, ByteCount)?,
    );
    // SAFETY: the caller's pointers.
    unsafe { copy(std::ptr::null_mut(), Wait::Yes, &to, &from, line(ByteCount)) }
}

/// Between one-dimensional arrays; does not wait.
pub(crate) unsafe fn cuMemcpyAtoA_v2(
    dstArray: CUarray,
    dstOffset: usize,
    srcArray: CUarray,
    srcOffset: usize,
    ByteCount: usize,
) -> Result<()> {
    session()?;
    let (to, from) = (
        row(dstArray, dstOffset, ByteCount)?,
        row(srcArray, srcOffset, ByteCount)?,
    );
    // SAFETY: the caller's pointers.
    unsafe { copy(std::ptr::null_mut(), Wait::No, &to, &from, line(ByteCount)) }
}

/// Host to a one-dimensional array, on a stream.
pub(crate) unsafe fn cuMemcpyHtoAAsync_v2(
    dstArray: CUarray,
    dstOffset: usize,
    srcHost: *const c_void,
    ByteCount: usize,
    hStream: CUstream,
) -> Result<()> {
    session()?;
    let (to, from) = (
        row(dstArray, dstOffset, ByteCount)?,
        Side::linear(Said::Host, srcHost as u64),
    );
    // SAFETY: the caller's pointers.
    unsafe { copy(hStream, Wait::No, &to, &from, line(ByteCount)) }
}

/// One-dimensional array to host, on a stream; waits if the destination is pageable.
pub(crate) unsafe fn cuMemcpyAtoHAsync_v2(
    dstHost: *mut c_void,
    srcArray: CUarray,
    srcOffset: usize,
    ByteCount: usize,
    hStream: CUstream,
) -> Result<()> {
    session()?;
    let (to, from) = (
        Side::linear(Said::Host, dstHost as u64),
        row(srcArray, srcOffset, ByteCount)?,
    );
    // SAFETY: the caller's pointers.
    unsafe { copy(hStream, Wait::No, &to, &from, line(ByteCount)) }
}
