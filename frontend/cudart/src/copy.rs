//! Copies in one and two dimensions, between devices, and to and from device variables. Boxes and arrays are in `copy_box`.
//!
//! Each kind of copy becomes the driver function that NVIDIA's runtime uses for it, so that a pointer on the wrong side fails as it does natively.

use crate::context::{DefaultStream, PER_THREAD, cu, current, device_at};
use crate::error::{INVALID_MEMCPY_DIRECTION, INVALID_PITCH_VALUE, INVALID_VALUE, Result};
use crate::registry::variable;
use gvirtus_wire::api::cudart_types::cudaStream_t;
use gvirtus_wire::api::types::{CUDA_MEMCPY2D, CUdeviceptr};
use std::ffi::c_void;
use std::ptr::null_mut;

/// `cudaMemcpyKind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    HostToHost,
    HostToDevice,
    DeviceToHost,
    DeviceToDevice,
    Default,
}
use Kind::{Default, DeviceToDevice, DeviceToHost, HostToDevice, HostToHost};

impl Kind {
    pub(crate) fn of(kind: u32) -> Result<Self> {
        [
            HostToHost,
            HostToDevice,
            DeviceToHost,
            DeviceToDevice,
            Default,
        ]
        .get(kind as usize)
        .copied()
        .ok_or(INVALID_MEMCPY_DIRECTION)
    }

    /// `CUmemorytype` of source and destination. Between host addresses the driver is left to see what they are.
    pub(crate) fn memory_types(self) -> (u32, u32) {
        const HOST: u32 = 1;
        const DEVICE: u32 = 2;
        const UNIFIED: u32 = 4;
        match self {
            HostToHost | Default => (UNIFIED, UNIFIED),
            HostToDevice => (HOST, DEVICE),
            DeviceToHost => (DEVICE, HOST),
            DeviceToDevice => (DEVICE, DEVICE),
        }
    }
}

/// When a copy is done.
#[derive(Debug, Clone, Copy)]
pub(crate) enum When {
    /// Before the call returns.
    Now(DefaultStream),
    /// In the order of a stream.
    On(cudaStream_t),
}
use When::{Now, On};

impl When {
    /// Whether to use the driver's asynchronous function: a copy that is to be done now in the order of the thread's own stream is one of those and a wait.
    pub(crate) fn stream(self) -> Option<cudaStream_t> {
        match self {
            Now(DefaultStream::Legacy) => None,
            Now(DefaultStream::PerThread) => Some(PER_THREAD),
            On(stream) => Some(stream),
        }
    }

    pub(crate) fn wait(self) -> Result {
        match self {
            Now(DefaultStream::PerThread) => cu!(cuStreamSynchronize(PER_THREAD)),
            _ => Ok(()),
        }
    }
}

#[inline]
fn copy(dst: *mut c_void, src: *const c_void, count: usize, kind: u32, when: When) -> Result {
    current()?;
    if count == 0 {
        return Ok(());
    }
    let kind = Kind::of(kind)?;
    let (to, from) = (dst as CUdeviceptr, src as CUdeviceptr);
    match (when.stream(), kind) {
        (None, HostToDevice) => cu!(cuMemcpyHtoD_v2(to, src, count)),
        (None, DeviceToHost) => cu!(cuMemcpyDtoH_v2(dst, from, count)),
        (None, DeviceToDevice) => cu!(cuMemcpyDtoD_v2(to, from, count)),
        (None, HostToHost | Default) => cu!(cuMemcpy(to, from, count)),
        (Some(stream), HostToDevice) => cu!(cuMemcpyHtoDAsync_v2(to, src, count, stream)),
        (Some(stream), DeviceToHost) => cu!(cuMemcpyDtoHAsync_v2(dst, from, count, stream)),
        (Some(stream), DeviceToDevice) => cu!(cuMemcpyDtoDAsync_v2(to, from, count, stream)),
        (Some(stream), HostToHost | Default) => cu!(cuMemcpyAsync(to, from, count, stream)),
    }?;
    when.wait()
}

/// Copies bytes.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__MEMORY.html>
pub unsafe fn cudaMemcpy(
    default: DefaultStream,
    dst: *mut c_void,
    src: *const c_void,
    count: usize,
    kind: u32,
) -> Result {
    copy(dst, src, count, kind, Now(default))
}

/// Copies bytes in stream order.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__MEMORY.html>
pub unsafe fn cudaMemcpyAsync(
    default: DefaultStream,
    dst: *mut c_void,
    src: *const c_void,
    count: usize,
    kind: u32,
    stream: cudaStream_t,
) -> Result {
    copy(dst, src, count, kind, On(default.resolve(stream)))
}

/// Where part of a device variable lies.
fn part(symbol: *const c_void, count: usize, offset: usize) -> Result<*mut c_void> {
    let (address, size) = variable(symbol).and_then(|found| found.address(current()?))?;
    if offset.checked_add(count).is_none_or(|end| end > size) {
        return Err(INVALID_VALUE);
    }
    Ok((address + offset as u64) as *mut c_void)
}

fn to_symbol(
    symbol: *const c_void,
    src: *const c_void,
    count: usize,
    offset: usize,
    kind: u32,
    when: When,
) -> Result {
    let target = part(symbol, count, offset)?;
    match Kind::of(kind)? {
        HostToDevice | DeviceToDevice | Default => copy(target, src, count, kind, when),
        HostToHost | DeviceToHost => Err(INVALID_MEMCPY_DIRECTION),
    }
}

fn from_symbol(
    dst: *mut c_void,
    symbol: *const c_void,
    count: usize,
    offset: usize,
    kind: u32,
    when: When,
) -> Result {
    let source = part(symbol, count, offset)?;
    match Kind::of(kind)? {
        DeviceToHost | DeviceToDevice | Default => copy(dst, source, count, kind, when),
        HostToHost | HostToDevice => Err(INVALID_MEMCPY_DIRECTION),
    }
}

/// Copies bytes into a device variable.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__MEMORY.html>
pub unsafe fn cudaMemcpyToSymbol(
    default: DefaultStream,
    symbol: *const c_void,
    src: *const c_void,
    count: usize,
    offset: usize,
    kind: u32,
) -> Result {
    to_symbol(symbol, src, count, offset, kind, Now(default))
}

/// Copies bytes into a device variable in stream order.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__MEMORY.html>
pub unsafe fn cudaMemcpyToSymbolAsync(
    default: DefaultStream,
    symbol: *const c_void,
    src: *const c_void,
    count: usize,
    offset: usize,
    kind: u32,
    stream: cudaStream_t,
) -> Result {
    to_symbol(
        symbol,
        src,
        count,
        offset,
        kind,
        On(default.resolve(stream)),
    )
}

/// Copies bytes out of a device variable.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__MEMORY.html>
pub unsafe fn cudaMemcpyFromSymbol(
    default: DefaultStream,
    dst: *mut c_void,
    symbol: *const c_void,
    count: usize,
    offset: usize,
    kind: u32,
) -> Result {
    from_symbol(dst, symbol, count, offset, kind, Now(default))
}

/// Copies bytes out of a device variable in stream order.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__MEMORY.html>
pub unsafe fn cudaMemcpyFromSymbolAsync(
    default: DefaultStream,
    dst: *mut c_void,
    symbol: *const c_void,
    count: usize,
    offset: usize,
    kind: u32,
    stream: cudaStream_t,
) -> Result {
    from_symbol(
        dst,
        symbol,
        count,
        offset,
        kind,
        On(default.resolve(stream)),
    )
}

/// Rows of `width` bytes, `pitch` bytes apart.
#[derive(Debug, Clone, Copy)]
struct Rows {
    address: *const c_void,
    pitch: usize,
}

fn copy_rows(dst: Rows, src: Rows, width: usize, height: usize, kind: u32, when: When) -> Result {
    current()?;
    if width == 0 || height == 0 {
        return Ok(());
    }
    let (source_type, target_type) = Kind::of(kind)?.memory_types();
    // A single row's pitch is the driver's to judge.
    if height > 1 && (width > dst.pitch || width > src.pitch) {
        return Err(INVALID_PITCH_VALUE);
    }
    let copy = CUDA_MEMCPY2D {
        srcXInBytes: 0,
        srcY: 0,
        srcMemoryType: source_type,
        srcHost: src.address,
        srcDevice: src.address as CUdeviceptr,
        srcArray: null_mut(),
        srcPitch: src.pitch,
        dstXInBytes: 0,
        dstY: 0,
        dstMemoryType: target_type,
        dstHost: dst.address.cast_mut(),
        dstDevice: dst.address as CUdeviceptr,
        dstArray: null_mut(),
        dstPitch: dst.pitch,
        WidthInBytes: width,
        Height: height,
    };
    match when.stream() {
        None => cu!(cuMemcpy2DUnaligned_v2(&copy)),
        Some(stream) => cu!(cuMemcpy2DAsync_v2(&copy, stream)),
    }?;
    when.wait()
}

/// Copies rows of bytes.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__MEMORY.html>
pub unsafe fn cudaMemcpy2D(
    default: DefaultStream,
    dst: *mut c_void,
    dpitch: usize,
    src: *const c_void,
    spitch: usize,
    width: usize,
    height: usize,
    kind: u32,
) -> Result {
    copy_rows(
        Rows {
            address: dst,
            pitch: dpitch,
        },
        Rows {
            address: src,
            pitch: spitch,
        },
        width,
        height,
        kind,
        Now(default),
    )
}

/// Copies rows of bytes in stream order.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__MEMORY.html>
pub unsafe fn cudaMemcpy2DAsync(
    default: DefaultStream,
    dst: *mut c_void,
    dpitch: usize,
    src: *const c_void,
    spitch: usize,
    width: usize,
    height: usize,
    kind: u32,
    stream: cudaStream_t,
) -> Result {
    copy_rows(
        Rows {
            address: dst,
            pitch: dpitch,
        },
        Rows {
            address: src,
            pitch: spitch,
        },
        width,
        height,
        kind,
        On(default.resolve(stream)),
    )
}

/// Where part of a device variable lies, for a copy to it.
pub(crate) fn symbol_target(
    symbol: *const c_void,
    count: usize,
    offset: usize,
    kind: u32,
) -> Result<*mut c_void> {
    let target = part(symbol, count, offset)?;
    match Kind::of(kind)? {
        HostToDevice | DeviceToDevice | Default => Ok(target),
        HostToHost | DeviceToHost => Err(INVALID_MEMCPY_DIRECTION),
    }
}

/// Where part of a device variable lies, for a copy from it.
pub(crate) fn symbol_source(
    symbol: *const c_void,
    count: usize,
    offset: usize,
    kind: u32,
) -> Result<*mut c_void> {
    let source = part(symbol, count, offset)?;
    match Kind::of(kind)? {
        DeviceToHost | DeviceToDevice | Default => Ok(source),
        HostToHost | HostToDevice => Err(INVALID_MEMCPY_DIRECTION),
    }
}

/// Copies bytes between devices.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__MEMORY.html>
pub unsafe fn cudaMemcpyPeer(
    dst: *mut c_void,
    dstDevice: i32,
    src: *const c_void,
    srcDevice: i32,
    count: usize,
) -> Result {
    let (to, from) = (
        device_at(dstDevice)?.primary()?,
        device_at(srcDevice)?.primary()?,
    );
    current()?;
    if count == 0 {
        return Ok(());
    }
    cu!(cuMemcpyPeer(
        dst as CUdeviceptr,
        to,
        src as CUdeviceptr,
        from,
        count
    ))
}

/// Copies bytes between devices in stream order.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__MEMORY.html>
pub unsafe fn cudaMemcpyPeerAsync(
    dst: *mut c_void,
    dstDevice: i32,
    src: *const c_void,
    srcDevice: i32,
    count: usize,
    stream: cudaStream_t,
) -> Result {
    let (to, from) = (
        device_at(dstDevice)?.primary()?,
        device_at(srcDevice)?.primary()?,
    );
    current()?;
    if count == 0 {
        return Ok(());
    }
    cu!(cuMemcpyPeerAsync(
        dst as CUdeviceptr,
        to,
        src as CUdeviceptr,
        from,
        count,
        stream
    ))
}
