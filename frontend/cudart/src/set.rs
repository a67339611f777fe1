//! Filling device memory with a byte.

use crate::context::{DefaultStream, PER_THREAD, cu, current};
use crate::error::{INVALID_VALUE, Result};
use gvirtus_wire::api::cudart_types::{cudaExtent, cudaPitchedPtr, cudaStream_t};
use gvirtus_wire::api::types::CUdeviceptr;
use std::ffi::c_void;

/// The stream to fill on, if it is not the driver's synchronous function that is meant.
fn on(default: DefaultStream) -> Option<cudaStream_t> {
    (default == DefaultStream::PerThread).then_some(PER_THREAD)
}

/// CUDA uses the lowest byte of the value.
fn byte(value: i32) -> u8 {
    value.to_le_bytes()[0]
}

fn fill(address: *mut c_void, value: i32, count: usize, stream: Option<cudaStream_t>) -> Result {
    current()?;
    if count == 0 {
        return Ok(());
    }
    match stream {
        None => cu!(cuMemsetD8_v2(address as CUdeviceptr, byte(value), count)),
        Some(stream) => cu!(cuMemsetD8Async(
            address as CUdeviceptr,
            byte(value),
            count,
            stream
        )),
    }
}

fn fill_rows(
    address: CUdeviceptr,
    pitch: usize,
    value: i32,
    width: usize,
    height: usize,
    stream: Option<cudaStream_t>,
) -> Result {
    current()?;
    if width == 0 || height == 0 {
        return Ok(());
    }
    match stream {
        None => cu!(cuMemsetD2D8_v2(address, pitch, byte(value), width, height)),
        Some(stream) => cu!(cuMemsetD2D8Async(
            address,
            pitch,
            byte(value),
            width,
            height,
            stream
        )),
    }
}

fn fill_box(
    target: cudaPitchedPtr,
    value: i32,
    extent: cudaExtent,
    stream: Option<cudaStream_t>,
) -> Result {
    current()?;
    if extent.width == 0 || extent.height == 0 || extent.depth == 0 {
        return Ok(());
    }
    if extent.width > target.pitch || extent.height > target.ysize {
        return Err(INVALID_VALUE);
    }
    let address = target.ptr as CUdeviceptr;
    if extent.height == target.ysize {
        let rows = extent
            .height
            .checked_mul(extent.depth)
            .ok_or(INVALID_VALUE)?;
        return fill_rows(address, target.pitch, value, extent.width, rows, stream);
    }
    let slice = target
        .pitch
        .checked_mul(target.ysize)
        .ok_or(INVALID_VALUE)? as u64;
    let mut at = address;
    for _ in 0..extent.depth {
        fill_rows(at, target.pitch, value, extent.width, extent.height, stream)?;
        at = at.checked_add(slice).ok_or(INVALID_VALUE)?;
    }
    Ok(())
}

/// Fills bytes.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__MEMORY.html>
pub unsafe fn cudaMemset(
    default: DefaultStream,
    devPtr: *mut c_void,
    value: i32,
    count: usize,
) -> Result {
    fill(devPtr, value, count, on(default))
}

/// Fills bytes in stream order.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__MEMORY.html>
pub unsafe fn cudaMemsetAsync(
    default: DefaultStream,
    devPtr: *mut c_void,
    value: i32,
    count: usize,
    stream: cudaStream_t,
) -> Result {
    fill(devPtr, value, count, Some(default.resolve(stream)))
}

/// Fills rows of bytes.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__MEMORY.html>
pub unsafe fn cudaMemset2D(
    default: DefaultStream,
    devPtr: *mut c_void,
    pitch: usize,
    value: i32,
    width: usize,
    height: usize,
) -> Result {
    fill_rows(
        devPtr as CUdeviceptr,
        pitch,
        value,
        width,
        height,
        on(default),
    )
}

/// Fills rows of bytes in stream order.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__MEMORY.html>
pub unsafe fn cudaMemset2DAsync(
    default: DefaultStream,
    devPtr: *mut c_void,
    pitch: usize,
    value: i32,
    width: usize,
    height: usize,
    stream: cudaStream_t,
) -> Result {
    fill_rows(
        devPtr as CUdeviceptr,
        pitch,
        value,
        width,
        height,
        Some(default.resolve(stream)),
    )
}

/// Fills a box of bytes.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__MEMORY.html>
pub unsafe fn cudaMemset3D(
    default: DefaultStream,
    pitchedDevPtr: cudaPitchedPtr,
    value: i32,
    extent: cudaExtent,
) -> Result {
    fill_box(pitchedDevPtr, value, extent, on(default))
}

/// Fills a box of bytes in stream order.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__MEMORY.html>
pub unsafe fn cudaMemset3DAsync(
    default: DefaultStream,
    pitchedDevPtr: cudaPitchedPtr,
    value: i32,
    extent: cudaExtent,
    stream: cudaStream_t,
) -> Result {
    fill_box(pitchedDevPtr, value, extent, Some(default.resolve(stream)))
}
