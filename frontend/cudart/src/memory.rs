//! Memory: device allocations, pinned and registered host memory, pools, what a pointer is, addresses of variables, sharing between processes.

use crate::context::{DefaultStream, cu, current, put};
use crate::error::{INVALID_VALUE, Result};
use crate::forward::forward;
use crate::registry::variable;
use gvirtus_wire::api::cudart_types::{
    cudaEvent_t, cudaExtent, cudaIpcEventHandle_t, cudaIpcMemHandle_t, cudaMemLocation,
    cudaMemPool_t, cudaPitchedPtr, cudaPointerAttributes, cudaStream_t,
};
use gvirtus_wire::api::types::{CUdeviceptr, CUmemAccessDesc};
use std::ffi::c_void;
use std::ptr::null_mut;

/// Allocates device memory; a size of 0 gives a null pointer.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__MEMORY.html>
pub unsafe fn cudaMalloc(devPtr: *mut *mut c_void, size: usize) -> Result {
    current()?;
    if devPtr.is_null() {
        return Err(INVALID_VALUE);
    }
    let mut address: CUdeviceptr = 0;
    let result = if size == 0 {
        Ok(())
    } else {
        cu!(cuMemAlloc_v2(&mut address, size))
    };
    put!(
        devPtr,
        if result.is_ok() {
            address as *mut c_void
        } else {
            null_mut()
        }
    )?;
    result
}

/// Frees device memory.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__MEMORY.html>
pub unsafe fn cudaFree(devPtr: *mut c_void) -> Result {
    current()?;
    let result = cu!(cuMemFree_v2(devPtr as CUdeviceptr));
    // Nothing to free is no failure; that an earlier one is reported here is.
    if devPtr.is_null() && result == Err(INVALID_VALUE) {
        Ok(())
    } else {
        result
    }
}

/// How the driver aligns rows: its smallest element.
const PITCH_ELEMENT: u32 = 4;

fn pitched(width: usize, rows: usize) -> Result<(*mut c_void, usize)> {
    if width == 0 || rows == 0 {
        return Ok((null_mut(), 0));
    }
    let (mut address, mut pitch) = (0, 0);
    cu!(cuMemAllocPitch_v2(
        &mut address,
        &mut pitch,
        width,
        rows,
        PITCH_ELEMENT
    ))?;
    Ok((address as *mut c_void, pitch))
}

/// Allocates rows of device memory, each aligned; widths and the pitch are in bytes.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__MEMORY.html>
pub unsafe fn cudaMallocPitch(
    devPtr: *mut *mut c_void,
    pitch: *mut usize,
    width: usize,
    height: usize,
) -> Result {
    current()?;
    if devPtr.is_null() || pitch.is_null() {
        return Err(INVALID_VALUE);
    }
    let (address, bytes) = pitched(width, height)?;
    put!(devPtr, address)?;
    put!(pitch, bytes)
}

/// Allocates slices of rows of device memory; the width is in bytes.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__MEMORY.html>
pub unsafe fn cudaMalloc3D(pitchedDevPtr: *mut cudaPitchedPtr, extent: cudaExtent) -> Result {
    current()?;
    if pitchedDevPtr.is_null() {
        return Err(INVALID_VALUE);
    }
    let rows = extent
        .height
        .checked_mul(extent.depth)
        .ok_or(INVALID_VALUE)?;
    let (ptr, pitch) = pitched(extent.width, rows)?;
    put!(
        pitchedDevPtr,
        cudaPitchedPtr {
            ptr,
            pitch,
            xsize: extent.width,
            ysize: extent.height
        }
    )
}

/// Allocates pinned host memory; a size of 0 gives a null pointer.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__MEMORY.html>
pub unsafe fn cudaMallocHost(ptr: *mut *mut c_void, size: usize) -> Result {
    // SAFETY: passed on unchanged.
    unsafe { cudaHostAlloc(ptr, size, 0) }
}

/// Allocates pinned host memory; a size of 0 gives a null pointer.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__MEMORY.html>
pub unsafe fn cudaHostAlloc(pHost: *mut *mut c_void, size: usize, flags: u32) -> Result {
    current()?;
    if pHost.is_null() {
        return Err(INVALID_VALUE);
    }
    let mut address = null_mut();
    let result = if size == 0 {
        Ok(())
    } else {
        cu!(cuMemHostAlloc(&mut address, size, flags))
    };
    put!(pHost, if result.is_ok() { address } else { null_mut() })?;
    result
}

/// Frees pinned host memory.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__MEMORY.html>
pub unsafe fn cudaFreeHost(ptr: *mut c_void) -> Result {
    current()?;
    if ptr.is_null() {
        Ok(())
    } else {
        cu!(cuMemFreeHost(ptr))
    }
}

/// The device's address of pinned host memory.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__MEMORY.html>
pub unsafe fn cudaHostGetDevicePointer(
    pDevice: *mut *mut c_void,
    pHost: *mut c_void,
    flags: u32,
) -> Result {
    current()?;
    if pDevice.is_null() {
        return Err(INVALID_VALUE);
    }
    let mut address: CUdeviceptr = 0;
    let result = cu!(cuMemHostGetDevicePointer_v2(&mut address, pHost, flags));
    put!(
        pDevice,
        if result.is_ok() {
            address as *mut c_void
        } else {
            null_mut()
        }
    )?;
    result
}

/// Free and total device memory, in bytes.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__MEMORY.html>
pub unsafe fn cudaMemGetInfo(free: *mut usize, total: *mut usize) -> Result {
    current()?;
    let (mut free_bytes, mut total_bytes) = (0, 0);
    cu!(cuMemGetInfo_v2(&mut free_bytes, &mut total_bytes))?;
    if !free.is_null() {
        put!(free, free_bytes)?;
    }
    if total.is_null() {
        Ok(())
    } else {
        put!(total, total_bytes)
    }
}

/// What a pointer points to.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__UNIFIED.html>
pub unsafe fn cudaPointerGetAttributes(
    attributes: *mut cudaPointerAttributes,
    ptr: *const c_void,
) -> Result {
    current()?;
    if attributes.is_null() {
        return Err(INVALID_VALUE);
    }
    // CU_POINTER_ATTRIBUTE_MEMORY_TYPE, _DEVICE_POINTER, _HOST_POINTER, _IS_MANAGED, _DEVICE_ORDINAL.
    let mut wanted = [2u32, 3, 4, 8, 9];
    let (mut memory_type, mut device_pointer, mut host_pointer, mut managed, mut device) =
        (0u32, 0u64, null_mut::<c_void>(), 0u32, UNREGISTERED_DEVICE);
    let mut data: [*mut c_void; 5] = [
        (&raw mut memory_type).cast(),
        (&raw mut device_pointer).cast(),
        (&raw mut host_pointer).cast(),
        (&raw mut managed).cast(),
        (&raw mut device).cast(),
    ];
    cu!(cuPointerGetAttributes(
        5,
        wanted.as_mut_ptr(),
        data.as_mut_ptr(),
        ptr as CUdeviceptr
    ))?;
    const UNREGISTERED_DEVICE: i32 = -2;
    const TYPE_MANAGED: u32 = 3;
    let found = if memory_type == 0 {
        cudaPointerAttributes {
            type_: 0,
            device: UNREGISTERED_DEVICE,
            devicePointer: null_mut(),
            hostPointer: ptr.cast_mut(),
        }
    } else {
        // CU_MEMORYTYPE_HOST and _DEVICE have the numbers of cudaMemoryTypeHost and -Device.
        let type_ = if managed & 0xff != 0 {
            TYPE_MANAGED
        } else {
            memory_type
        };
        cudaPointerAttributes {
            type_,
            device,
            devicePointer: device_pointer as *mut c_void,
            hostPointer: host_pointer,
        }
    };
    put!(attributes, found)
}

/// The address of a device variable.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__MEMORY.html>
pub unsafe fn cudaGetSymbolAddress(devPtr: *mut *mut c_void, symbol: *const c_void) -> Result {
    let (address, _) = variable(symbol).and_then(|found| found.address(current()?))?;
    put!(devPtr, address as *mut c_void)
}

/// The size of a device variable in bytes.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__MEMORY.html>
pub unsafe fn cudaGetSymbolSize(size: *mut usize, symbol: *const c_void) -> Result {
    let (_, bytes) = variable(symbol).and_then(|found| found.address(current()?))?;
    put!(size, bytes)
}

/// Allocates device memory in stream order.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__MEMORY__POOLS.html>
pub unsafe fn cudaMallocAsync(
    default: DefaultStream,
    devPtr: *mut *mut c_void,
    size: usize,
    hStream: cudaStream_t,
) -> Result {
    current()?;
    if devPtr.is_null() {
        return Err(INVALID_VALUE);
    }
    let mut address: CUdeviceptr = 0;
    if size != 0 {
        cu!(cuMemAllocAsync(
            &mut address,
            size,
            default.resolve(hStream)
        ))?;
    }
    put!(devPtr, address as *mut c_void)
}

/// Allocates device memory from a pool in stream order.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__MEMORY__POOLS.html>
pub unsafe fn cudaMallocFromPoolAsync(
    default: DefaultStream,
    ptr: *mut *mut c_void,
    size: usize,
    memPool: cudaMemPool_t,
    stream: cudaStream_t,
) -> Result {
    current()?;
    if ptr.is_null() {
        return Err(INVALID_VALUE);
    }
    let mut address: CUdeviceptr = 0;
    if size != 0 {
        cu!(cuMemAllocFromPoolAsync(
            &mut address,
            size,
            memPool,
            default.resolve(stream)
        ))?;
    }
    put!(ptr, address as *mut c_void)
}

/// Opens device memory that another process shares.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__DEVICE.html>
pub unsafe fn cudaIpcOpenMemHandle(
    devPtr: *mut *mut c_void,
    handle: cudaIpcMemHandle_t,
    flags: u32,
) -> Result {
    current()?;
    let mut address: CUdeviceptr = 0;
    cu!(cuIpcOpenMemHandle_v2(&mut address, handle, flags))?;
    put!(devPtr, address as *mut c_void)
}

forward! {
    /// Pins host memory of the program's own.
    fn cudaHostRegister(ptr: *mut c_void, size: usize, flags: u32) => cuMemHostRegister_v2(ptr, size, flags);
    /// Ends what `cudaHostRegister` began.
    fn cudaHostUnregister(ptr: *mut c_void) => cuMemHostUnregister(ptr);
    /// How pinned host memory was allocated.
    fn cudaHostGetFlags(pFlags: *mut u32, pHost: *mut c_void) => cuMemHostGetFlags(pFlags, pHost);
    /// Frees device memory in stream order.
    fn cudaFreeAsync[default](devPtr: *mut c_void, hStream: cudaStream_t) => cuMemFreeAsync(devPtr as CUdeviceptr, default.resolve(hStream));
    /// Makes a memory pool.
    fn cudaMemPoolCreate(memPool: *mut cudaMemPool_t, poolProps: *const c_void) => cuMemPoolCreate(memPool, poolProps);
    /// Destroys a memory pool.
    fn cudaMemPoolDestroy(memPool: cudaMemPool_t) => cuMemPoolDestroy(memPool);
    /// Gives back what a pool does not use.
    fn cudaMemPoolTrimTo(memPool: cudaMemPool_t, minBytesToKeep: usize) => cuMemPoolTrimTo(memPool, minBytesToKeep);
    /// Sets an attribute of a pool.
    fn cudaMemPoolSetAttribute(memPool: cudaMemPool_t, attr: u32, value: *mut c_void) => cuMemPoolSetAttribute(memPool, attr, value);
    /// An attribute of a pool.
    fn cudaMemPoolGetAttribute(memPool: cudaMemPool_t, attr: u32, value: *mut c_void) => cuMemPoolGetAttribute(memPool, attr, value);
    /// Sets which devices may use a pool's memory.
    fn cudaMemPoolSetAccess(memPool: cudaMemPool_t, descList: *const c_void, count: usize) => cuMemPoolSetAccess(memPool, descList.cast::<CUmemAccessDesc>(), count);
    /// Whether a device may use a pool's memory.
    fn cudaMemPoolGetAccess(flags: *mut u32, memPool: cudaMemPool_t, location: *mut cudaMemLocation) => cuMemPoolGetAccess(flags, memPool, location);
    /// The device's own pool, for a location.
    fn cudaMemGetDefaultMemPool(memPool: *mut cudaMemPool_t, location: *mut cudaMemLocation, type_: u32) => cuMemGetDefaultMemPool(memPool, location, type_);
    /// The pool that `cudaMallocAsync` uses, for a location.
    fn cudaMemGetMemPool(memPool: *mut cudaMemPool_t, location: *mut cudaMemLocation, type_: u32) => cuMemGetMemPool(memPool, location, type_);
    /// Sets the pool that `cudaMallocAsync` uses, for a location.
    fn cudaMemSetMemPool(location: *mut cudaMemLocation, type_: u32, memPool: cudaMemPool_t) => cuMemSetMemPool(location, type_, memPool);
    /// A file descriptor by which another process can import a pool.
    fn cudaMemPoolExportToShareableHandle(shareableHandle: *mut c_void, memPool: cudaMemPool_t, handleType: u32, flags: u32)
        => cuMemPoolExportToShareableHandle(shareableHandle, memPool, handleType, u64::from(flags));
    /// Imports a pool of another process.
    fn cudaMemPoolImportFromShareableHandle(memPool: *mut cudaMemPool_t, shareableHandle: *mut c_void, handleType: u32, flags: u32)
        => cuMemPoolImportFromShareableHandle(memPool, shareableHandle, handleType, u64::from(flags));
    /// What another process needs to use memory of a pool.
    fn cudaMemPoolExportPointer(exportData: *mut c_void, ptr: *mut c_void) => cuMemPoolExportPointer(exportData, ptr as CUdeviceptr);
    /// Maps memory of another process's pool.
    fn cudaMemPoolImportPointer(ptr: *mut *mut c_void, memPool: cudaMemPool_t, exportData: *mut c_void)
        => cuMemPoolImportPointer(ptr.cast(), memPool, exportData);
    /// A handle by which another process can use an event.
    fn cudaIpcGetEventHandle(handle: *mut cudaIpcEventHandle_t, event: cudaEvent_t) => cuIpcGetEventHandle(handle, event);
    /// Opens an event that another process shares.
    fn cudaIpcOpenEventHandle(event: *mut cudaEvent_t, handle: cudaIpcEventHandle_t) => cuIpcOpenEventHandle(event, handle);
    /// A handle by which another process can use device memory.
    fn cudaIpcGetMemHandle(handle: *mut cudaIpcMemHandle_t, devPtr: *mut c_void) => cuIpcGetMemHandle(handle, devPtr as CUdeviceptr);
    /// Closes what `cudaIpcOpenMemHandle` opened.
    fn cudaIpcCloseMemHandle(devPtr: *mut c_void) => cuIpcCloseMemHandle(devPtr as CUdeviceptr);
}
