//! Managed memory: allocation, advice, prefetches, which stream uses it.

use crate::context::{DefaultStream, cu, current, put};
use crate::error::{INVALID_VALUE, Result};
use crate::forward::forward;
use gvirtus_wire::api::cudart_types::{cudaMemLocation, cudaStream_t};
use gvirtus_wire::api::types::CUdeviceptr;
use std::ffi::c_void;

/// Allocates memory that processor and devices reach at the same address; a size of 0 gives a null pointer.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__MEMORY.html>
pub unsafe fn cudaMallocManaged(devPtr: *mut *mut c_void, size: usize, flags: u32) -> Result {
    current()?;
    if devPtr.is_null() {
        return Err(INVALID_VALUE);
    }
    let mut address: CUdeviceptr = 0;
    if size != 0 {
        cu!(cuMemAllocManaged(&mut address, size, flags))?;
    }
    put!(devPtr, address as *mut c_void)
}

/// CUDA 12's `cudaMemAdvise`, with a device's number.
pub(crate) fn advise_12(devPtr: *const c_void, count: usize, advice: u32, device: i32) -> Result {
    current()?;
    cu!(cuMemAdvise(devPtr as CUdeviceptr, count, advice, device))
}

/// CUDA 12's `cudaMemPrefetchAsync`, with a device's number.
pub(crate) fn prefetch_12(
    default: DefaultStream,
    devPtr: *const c_void,
    count: usize,
    dstDevice: i32,
    stream: cudaStream_t,
) -> Result {
    current()?;
    cu!(cuMemPrefetchAsync(
        devPtr as CUdeviceptr,
        count,
        dstDevice,
        default.resolve(stream)
    ))
}

forward! {
    /// Advises on how managed memory is used.
    fn cudaMemAdvise_v2(devPtr: *const c_void, count: usize, advice: u32, location: cudaMemLocation)
        => cuMemAdvise_v2(devPtr as CUdeviceptr, count, advice, location);
    /// Says where managed memory is used next.
    fn cudaMemPrefetchAsync_v2[default](devPtr: *const c_void, count: usize, location: cudaMemLocation, flags: u32, stream: cudaStream_t)
        => cuMemPrefetchAsync_v2(devPtr as CUdeviceptr, count, location, flags, default.resolve(stream));
    /// Says where several ranges are used next.
    fn cudaMemPrefetchBatchAsync[default](
        dptrs: *mut *mut c_void, sizes: *mut usize, count: usize, prefetchLocs: *mut cudaMemLocation, prefetchLocIdxs: *mut usize, numPrefetchLocs: usize,
        flags: u64, stream: cudaStream_t,
    ) => cuMemPrefetchBatchAsync(dptrs.cast(), sizes, count, prefetchLocs, prefetchLocIdxs, numPrefetchLocs, flags, default.resolve(stream));
    /// Gives up what ranges hold.
    fn cudaMemDiscardBatchAsync[default](dptrs: *mut *mut c_void, sizes: *mut usize, count: usize, flags: u64, stream: cudaStream_t)
        => cuMemDiscardBatchAsync(dptrs.cast(), sizes, count, flags, default.resolve(stream));
    /// Gives up what ranges hold, and says where they are used next.
    fn cudaMemDiscardAndPrefetchBatchAsync[default](
        dptrs: *mut *mut c_void, sizes: *mut usize, count: usize, prefetchLocs: *mut cudaMemLocation, prefetchLocIdxs: *mut usize, numPrefetchLocs: usize,
        flags: u64, stream: cudaStream_t,
    ) => cuMemDiscardAndPrefetchBatchAsync(dptrs.cast(), sizes, count, prefetchLocs, prefetchLocIdxs, numPrefetchLocs, flags, default.resolve(stream));
    /// What was advised for a range.
    fn cudaMemRangeGetAttribute(data: *mut c_void, dataSize: usize, attribute: u32, devPtr: *const c_void, count: usize)
        => cuMemRangeGetAttribute(data, dataSize, attribute, devPtr as CUdeviceptr, count);
    /// What was advised for a range, several at once.
    fn cudaMemRangeGetAttributes(
        data: *mut *mut c_void, dataSizes: *mut usize, attributes: *mut u32, numAttributes: usize, devPtr: *const c_void, count: usize,
    ) => cuMemRangeGetAttributes(data, dataSizes, attributes, numAttributes, devPtr as CUdeviceptr, count);
    /// Says which work uses managed memory.
    fn cudaStreamAttachMemAsync[default](stream: cudaStream_t, devPtr: *mut c_void, length: usize, flags: u32)
        => cuStreamAttachMemAsync(default.resolve(stream), devPtr as CUdeviceptr, length, flags);
}
