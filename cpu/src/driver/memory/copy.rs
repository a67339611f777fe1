//! `cuMemcpy` and relatives.
//!
//! When a call returns follows NVIDIA's "API synchronization behavior": copies between host and device wait unless they are `Async` and the host memory is pinned;
//! pageable memory that is only read is read before the call returns; copies within the device never wait.

use std::ffi::c_void;
use std::sync::Arc;

use gvirtus_wire::api::types::{
    CUDA_MEMCPY2D, CUDA_MEMCPY3D, CUDA_MEMCPY3D_PEER, CUarray, CUcontext, CUstream,
};

use super::transfer::{Copy, End, Pitch, span};
use super::{Place, host, memory};
use crate::driver::array;
use crate::driver::error::{ERROR_INVALID_VALUE, Result};
use crate::driver::stream::{self, Stream};
use crate::driver::work::Work;
use crate::driver::{context, ffi};
use crate::image::Level;

/// `CU_MEMORYTYPE_ARRAY`.
const ARRAY: u32 = 3;
/// Pageable sources up to this size are staged; larger ones are copied while the call waits.
const STAGED_LIMIT: u64 = 1 << 20;

/// What the caller says about an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Claim {
    Host,
    Device,
    /// "Find out."
    Unified,
}

/// One side as the caller describes it.
#[derive(Debug, Clone, Copy)]
struct Side {
    claim: Claim,
    address: u64,
    pitch: Pitch,
}

impl Side {
    fn linear(claim: Claim, address: u64) -> Self {
        Self {
            claim,
            address,
            pitch: Pitch { row: 0, slice: 0 },
        }
    }

    /// Finds out what the memory is.
    fn place(&self, bytes: u64) -> Result<Place> {
        if self.address == 0 {
            return Err(ERROR_INVALID_VALUE);
        }
        let place = memory().classify(self.address, bytes)?;
        match (self.claim, place) {
            // A device pointer must be one, or host memory that the device reaches.
            (Claim::Device, Place::Pageable) => Err(ERROR_INVALID_VALUE),
            // Nobody vouches for the address: look before it is touched.
            (Claim::Unified, Place::Pageable) if !host::is_mapped(self.address, bytes) => {
                Err(ERROR_INVALID_VALUE)
            }
            _ => Ok(place),
        }
    }
}

/// A copy as the caller describes it.
#[derive(Debug, Clone, Copy)]
struct Request {
    source: Side,
    destination: Side,
    width: u64,
    height: u64,
    depth: u64,
}

impl Request {
    fn linear(destination: Side, source: Side, bytes: usize) -> Self {
        Self {
            source,
            destination,
            width: bytes as u64,
            height: 1,
            depth: 1,
        }
    }

    fn bytes(&self, side: &Side) -> Result<u64> {
        span(self.width, self.height, self.depth, side.pitch).ok_or(ERROR_INVALID_VALUE)
    }

    /// Finds out what both sides are.
    fn resolve(&self) -> Result<(Copy, Place, Place)> {
        let source = self.source.place(self.bytes(&self.source)?)?;
        let destination = self.destination.place(self.bytes(&self.destination)?)?;
        let end = |place: Place, address: u64| {
            if place == Place::Pageable {
                End::Pageable(address)
            } else {
                End::Known(address)
            }
        };
        let copy = Copy {
            source: end(source, self.source.address),
            destination: end(destination, self.destination.address),
            width: self.width,
            height: self.height,
            depth: self.depth,
            source_pitch: self.source.pitch,
            destination_pitch: self.destination.pitch,
        };
        Ok((copy, source, destination))
    }

    /// Places the copy in a stream's order; `asynchronous` for the functions whose name says so.
    fn issue(&self, stream: &Arc<Stream>, asynchronous: bool) -> Result {
        if self.width == 0 || self.height == 0 || self.depth == 0 {
            return Ok(());
        }
        let (mut copy, source, destination) = self.resolve()?;
        let source_bytes = self.bytes(&self.source)?;
        let captured = stream.capture.lock().is_some();
        let pageable = source == Place::Pageable || destination == Place::Pageable;
        let within_device = source == Place::Device && destination == Place::Device;
        let waits = if asynchronous {
            pageable && !captured
        } else {
            !within_device
        };
        if !waits {
            return stream.enqueue(Work::Copy(copy));
        }
        if asynchronous && destination != Place::Pageable && source_bytes <= STAGED_LIMIT {
            copy.source = End::Staged(Arc::new(ffi::get_bytes(
                std::ptr::with_exposed_provenance(self.source.address as usize),
                source_bytes as usize,
            )?));
            return stream.enqueue(Work::Copy(copy));
        }
        stream.run(Work::Copy(copy))?;
        if !asynchronous {
            stream.context()?.output.flush();
        }
        Ok(())
    }

    /// A synchronous call: on the default stream of the current context.
    fn issue_now(&self) -> Result {
        let context = context::current()?;
        self.issue(&context.legacy, false)
    }

    fn issue_on(&self, stream: CUstream) -> Result {
        self.issue(&stream::resolve(stream)?, true)
    }
}

pub(in crate::driver) fn cuMemcpy(dst: u64, src: u64, ByteCount: usize) -> Result {
    Request::linear(
        Side::linear(Claim::Unified, dst),
        Side::linear(Claim::Unified, src),
        ByteCount,
    )
    .issue_now()
}

pub(in crate::driver) fn cuMemcpyAsync(
    dst: u64,
    src: u64,
    ByteCount: usize,
    hStream: CUstream,
) -> Result {
    Request::linear(
        Side::linear(Claim::Unified, dst),
        Side::linear(Claim::Unified, src),
        ByteCount,
    )
    .issue_on(hStream)
}

pub(in crate::driver) fn cuMemcpyHtoD_v2(
    dstDevice: u64,
    srcHost: *const c_void,
    ByteCount: usize,
) -> Result {
    host_to_device(dstDevice, srcHost, ByteCount).issue_now()
}

pub(in crate::driver) fn cuMemcpyHtoDAsync_v2(
    dstDevice: u64,
    srcHost: *const c_void,
    ByteCount: usize,
    hStream: CUstream,
) -> Result {
    host_to_device(dstDevice, srcHost, ByteCount).issue_on(hStream)
}

fn host_to_device(to: u64, from: *const c_void, bytes: usize) -> Request {
    Request::linear(
        Side::linear(Claim::Device, to),
        Side::linear(Claim::Host, from.expose_provenance() as u64),
        bytes,
    )
}

pub(in crate::driver) fn cuMemcpyDtoH_v2(
    dstHost: *mut c_void,
    srcDevice: u64,
    ByteCount: usize,
) -> Result {
    device_to_host(dstHost, srcDevice, ByteCount).issue_now()
}

pub(in crate::driver) fn cuMemcpyDtoHAsync_v2(
    dstHost: *mut c_void,
    srcDevice: u64,
    ByteCount: usize,
    hStream: CUstream,
) -> Result {
    device_to_host(dstHost, srcDevice, ByteCount).issue_on(hStream)
}

fn device_to_host(to: *mut c_void, from: u64, bytes: usize) -> Request {
    Request::linear(
        Side::linear(Claim::Host, to.expose_provenance() as u64),
        Side::linear(Claim::Device, from),
        bytes,
    )
}

fn device_to_device(to: u64, from: u64, bytes: usize) -> Request {
    Request::linear(
        Side::linear(Claim::Device, to),
        Side::linear(Claim::Device, from),
        bytes,
    )
}

pub(in crate::driver) fn cuMemcpyDtoD_v2(
    dstDevice: u64,
    srcDevice: u64,
    ByteCount: usize,
) -> Result {
    device_to_device(dstDevice, srcDevice, ByteCount).issue_now()
}

pub(in crate::driver) fn cuMemcpyDtoDAsync_v2(
    dstDevice: u64,
    srcDevice: u64,
    ByteCount: usize,
    hStream: CUstream,
) -> Result {
    device_to_device(dstDevice, srcDevice, ByteCount).issue_on(hStream)
}

pub(in crate::driver) fn cuMemcpyPeer(
    dst: u64,
    dstContext: CUcontext,
    src: u64,
    srcContext: CUcontext,
    ByteCount: usize,
) -> Result {
    check_contexts(dstContext, srcContext)?;
    device_to_device(dst, src, ByteCount).issue_now()
}

pub(in crate::driver) fn cuMemcpyPeerAsync(
    dst: u64,
    dstContext: CUcontext,
    src: u64,
    srcContext: CUcontext,
    ByteCount: usize,
    hStream: CUstream,
) -> Result {
    check_contexts(dstContext, srcContext)?;
    device_to_device(dst, src, ByteCount).issue_on(hStream)
}

/// Peer copies name contexts; the addresses alone say where the memory is.
fn check_contexts(a: CUcontext, b: CUcontext) -> Result {
    context::resolve(a)?;
    context::resolve(b).map(|_| ())
}

/// The part of an array that begins at an offset in bytes, rows and slices: a box of device memory.
///
/// # Errors
/// `CUDA_ERROR_INVALID_VALUE` if the box of so many bytes, rows and slices sticks out.
fn part(array: CUarray, offset: [usize; 3], size: [usize; 3]) -> Result<Side> {
    let array = array::resolve(array)?;
    for ((offset, size), limit) in offset.iter().zip(size).zip(array.extent()) {
        let end = (*offset as u64).checked_add(size as u64);
        if end.is_none_or(|end| end > limit) {
            return Err(ERROR_INVALID_VALUE);
        }
    }
    let [x, y, z] = offset.map(|offset| offset as u64);
    let Level {
        address,
        row,
        slice,
        ..
    } = array.level;
    Ok(Side {
        claim: Claim::Device,
        address: address + z * slice + y * row + x,
        pitch: Pitch { row, slice },
    })
}

/// `CUmemorytype` and the address that goes with it.
fn claim(memory_type: u32, host: u64, device: u64) -> Result<(Claim, u64)> {
    match memory_type {
        1 => Ok((Claim::Host, host)),
        2 => Ok((Claim::Device, device)),
        4 => Ok((Claim::Unified, device)),
        _ => Err(ERROR_INVALID_VALUE),
    }
}

/// The first byte of a side: base, plus the offset in bytes, rows and slices.
fn side(claim: (Claim, u64), pitch: Pitch, offset: [usize; 3]) -> Result<Side> {
    let (claim, base) = claim;
    let [x, y, z] = offset.map(|offset| offset as u64);
    let place = || -> Option<u64> {
        base.checked_add(z.checked_mul(pitch.slice)?)?
            .checked_add(y.checked_mul(pitch.row)?)?
            .checked_add(x)
    };
    if base == 0 {
        return Err(ERROR_INVALID_VALUE);
    }
    Ok(Side {
        claim,
        address: place().ok_or(ERROR_INVALID_VALUE)?,
        pitch,
    })
}

/// Row pitch and slice pitch; 0 means "as wide as the copy".
fn pitch(
    row: usize,
    rows: usize,
    x: usize,
    width: usize,
    y: usize,
    height: usize,
) -> Result<Pitch> {
    let wide = x.checked_add(width).ok_or(ERROR_INVALID_VALUE)?;
    let high = y.checked_add(height).ok_or(ERROR_INVALID_VALUE)?;
    let row = if row == 0 { wide } else { row };
    let rows = if rows == 0 { high } else { rows };
    if row < wide || rows < high {
        return Err(ERROR_INVALID_VALUE);
    }
    let slice = (row as u64)
        .checked_mul(rows as u64)
        .ok_or(ERROR_INVALID_VALUE)?;
    Ok(Pitch {
        row: row as u64,
        slice,
    })
}

/// One side of a described copy.
macro_rules! described {
    ($memory_type:expr, $host:expr, $device:expr, $array:expr, $pitch:expr, $rows:expr, $offset:expr, $size:expr) => {{
        let (offset, size): ([usize; 3], [usize; 3]) = ($offset, $size);
        if $memory_type == ARRAY {
            part($array, offset, size)?
        } else {
            let pitch = pitch($pitch, $rows, offset[0], size[0], offset[1], size[1])?;
            let host = $host.expose_provenance() as u64;
            side(claim($memory_type, host, $device)?, pitch, offset)?
        }
    }};
}

fn request_2d(copy: *const CUDA_MEMCPY2D) -> Result<Request> {
    let c = ffi::get(copy)?;
    let size = [c.WidthInBytes, c.Height, 1];
    Ok(Request {
        source: described!(
            c.srcMemoryType,
            c.srcHost,
            c.srcDevice,
            c.srcArray,
            c.srcPitch,
            0,
            [c.srcXInBytes, c.srcY, 0],
            size
        ),
        destination: described!(
            c.dstMemoryType,
            c.dstHost,
            c.dstDevice,
            c.dstArray,
            c.dstPitch,
            0,
            [c.dstXInBytes, c.dstY, 0],
            size
        ),
        width: c.WidthInBytes as u64,
        height: c.Height as u64,
        depth: 1,
    })
}

pub(in crate::driver) fn cuMemcpy2D_v2(pCopy: *const CUDA_MEMCPY2D) -> Result {
    context::current()?;
    request_2d(pCopy)?.issue_now()
}

pub(in crate::driver) fn cuMemcpy2DUnaligned_v2(pCopy: *const CUDA_MEMCPY2D) -> Result {
    cuMemcpy2D_v2(pCopy)
}

pub(in crate::driver) fn cuMemcpy2DAsync_v2(
    pCopy: *const CUDA_MEMCPY2D,
    hStream: CUstream,
) -> Result {
    context::current()?;
    request_2d(pCopy)?.issue_on(hStream)
}

/// The same for both structures: they differ in fields that matter only for arrays and peers.
macro_rules! request_3d {
    ($c:expr) => {{
        let c = $c;
        if c.srcLOD != 0 || c.dstLOD != 0 {
            return Err(ERROR_INVALID_VALUE);
        }
        let size = [c.WidthInBytes, c.Height, c.Depth];
        Request {
            source: described!(
                c.srcMemoryType,
                c.srcHost,
                c.srcDevice,
                c.srcArray,
                c.srcPitch,
                c.srcHeight,
                [c.srcXInBytes, c.srcY, c.srcZ],
                size
            ),
            destination: described!(
                c.dstMemoryType,
                c.dstHost,
                c.dstDevice,
                c.dstArray,
                c.dstPitch,
                c.dstHeight,
                [c.dstXInBytes, c.dstY, c.dstZ],
                size
            ),
            width: c.WidthInBytes as u64,
            height: c.Height as u64,
            depth: c.Depth as u64,
        }
    }};
}

pub(in crate::driver) fn cuMemcpy3D_v2(pCopy: *const CUDA_MEMCPY3D) -> Result {
    context::current()?;
    request_3d!(ffi::get(pCopy)?).issue_now()
}

pub(in crate::driver) fn cuMemcpy3DAsync_v2(
    pCopy: *const CUDA_MEMCPY3D,
    hStream: CUstream,
) -> Result {
    context::current()?;
    request_3d!(ffi::get(pCopy)?).issue_on(hStream)
}

pub(in crate::driver) fn cuMemcpy3DPeer(pCopy: *const CUDA_MEMCPY3D_PEER) -> Result {
    context::current()?;
    request_3d!(ffi::get(pCopy)?).issue_now()
}

pub(in crate::driver) fn cuMemcpy3DPeerAsync(
    pCopy: *const CUDA_MEMCPY3D_PEER,
    hStream: CUstream,
) -> Result {
    context::current()?;
    request_3d!(ffi::get(pCopy)?).issue_on(hStream)
}

/// The work of a copy node.
///
/// # Errors
/// What `cuMemcpy3D` answers at once.
pub(in crate::driver) fn work_of(copy: *const CUDA_MEMCPY3D) -> Result<Work> {
    let request = request_3d!(ffi::get(copy)?);
    if request.width == 0 || request.height == 0 || request.depth == 0 {
        return Ok(Work::Nothing);
    }
    Ok(Work::Copy(request.resolve()?.0))
}

pub(in crate::driver) fn cuMemcpyDtoA_v2(
    dstArray: CUarray,
    dstOffset: usize,
    srcDevice: u64,
    ByteCount: usize,
) -> Result {
    context::current()?;
    Request::linear(
        part(dstArray, [dstOffset, 0, 0], [ByteCount, 1, 1])?,
        Side::linear(Claim::Device, srcDevice),
        ByteCount,
    )
    .issue_now()
}

pub(in crate::driver) fn cuMemcpyAtoD_v2(
    dstDevice: u64,
    srcArray: CUarray,
    srcOffset: usize,
    ByteCount: usize,
) -> Result {
    context::current()?;
    Request::linear(
        Side::linear(Claim::Device, dstDevice),
        part(srcArray, [srcOffset, 0, 0], [ByteCount, 1, 1])?,
        ByteCount,
    )
    .issue_now()
}

pub(in crate::driver) fn cuMemcpyHtoA_v2(
    dstArray: CUarray,
    dstOffset: usize,
    srcHost: *const c_void,
    ByteCount: usize,
) -> Result {
    context::current()?;
    Request::linear(
        part(dstArray, [dstOffset, 0, 0], [ByteCount, 1, 1])?,
        Side::linear(Claim::Host, srcHost.expose_provenance() as u64),
        ByteCount,
    )
    .issue_now()
}

pub(in crate::driver) fn cuMemcpyAtoH_v2(
    dstHost: *mut c_void,
    srcArray: CUarray,
    srcOffset: usize,
    ByteCount: usize,
) -> Result {
    context::current()?;
    Request::linear(
        Side::linear(Claim::Host, dstHost.expose_provenance() as u64),
        part(srcArray, [srcOffset, 0, 0], [ByteCount, 1, 1])?,
        ByteCount,
    )
    .issue_now()
}

pub(in crate::driver) fn cuMemcpyAtoA_v2(
    dstArray: CUarray,
    dstOffset: usize,
    srcArray: CUarray,
    srcOffset: usize,
    ByteCount: usize,
) -> Result {
    context::current()?;
    Request::linear(
        part(dstArray, [dstOffset, 0, 0], [ByteCount, 1, 1])?,
        part(srcArray, [srcOffset, 0, 0], [ByteCount, 1, 1])?,
        ByteCount,
    )
    .issue_now()
}

pub(in crate::driver) fn cuMemcpyHtoAAsync_v2(
    dstArray: CUarray,
    dstOffset: usize,
    srcHost: *const c_void,
    ByteCount: usize,
    hStream: CUstream,
) -> Result {
    context::current()?;
    Request::linear(
        part(dstArray, [dstOffset, 0, 0], [ByteCount, 1, 1])?,
        Side::linear(Claim::Host, srcHost.expose_provenance() as u64),
        ByteCount,
    )
    .issue_on(hStream)
}

pub(in crate::driver) fn cuMemcpyAtoHAsync_v2(
    dstHost: *mut c_void,
    srcArray: CUarray,
    srcOffset: usize,
    ByteCount: usize,
    hStream: CUstream,
) -> Result {
    context::current()?;
    Request::linear(
        Side::linear(Claim::Host, dstHost.expose_provenance() as u64),
        part(srcArray, [srcOffset, 0, 0], [ByteCount, 1, 1])?,
        ByteCount,
    )
    .issue_on(hStream)
}
