//! Devices: which there are, which one a thread works on, limits and configuration, peers, versions.

use crate::context::{
    choose, cu, current, current_device, device_at, devices, major, put, version,
};
use crate::error::{INVALID_DEVICE, INVALID_VALUE, Result};
use crate::forward::forward;
use crate::registry::forget_context;
use gvirtus_wire::api::cudart_types::cudaMemPool_t;
use std::ffi::{c_char, c_void};
use std::ptr::null_mut;

/// How many devices there are.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__DEVICE.html>
pub unsafe fn cudaGetDeviceCount(count: *mut i32) -> Result {
    if count.is_null() {
        return Err(INVALID_VALUE);
    }
    match devices() {
        Ok(devices) => put!(count, i32::try_from(devices.len()).unwrap_or(i32::MAX)),
        Err(error) => {
            put!(count, 0)?;
            Err(error)
        }
    }
}

/// The thread's device.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__DEVICE.html>
pub unsafe fn cudaGetDevice(device: *mut i32) -> Result {
    if device.is_null() {
        return Err(INVALID_VALUE);
    }
    put!(device, current_device()?)
}

/// Chooses the thread's device and makes its primary context current.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__DEVICE.html>
pub unsafe fn cudaSetDevice(device: i32) -> Result {
    choose(device)
}

/// Makes a device's primary context without making it current.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__DEVICE.html>
pub unsafe fn cudaInitDevice(device: i32, deviceFlags: u32, flags: u32) -> Result {
    const FLAGS_ARE_VALID: u32 = 1;
    let device = device_at(device)?;
    if flags & FLAGS_ARE_VALID != 0 {
        cu!(cuDevicePrimaryCtxSetFlags_v2(
            device.handle,
            driver_flags(deviceFlags)?
        ))?;
    }
    device.primary().map(drop)
}

/// `cudaDeviceMapHost`: always on, and no flag of the driver's primary contexts.
const MAP_HOST: u32 = 8;

fn driver_flags(flags: u32) -> Result<u32> {
    if flags & !0xff != 0 {
        Err(INVALID_VALUE)
    } else {
        Ok(flags & !MAP_HOST)
    }
}

/// Sets how the thread's device waits, and makes its context.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__DEVICE.html>
pub unsafe fn cudaSetDeviceFlags(flags: u32) -> Result {
    let device = device_at(current_device()?)?;
    cu!(cuDevicePrimaryCtxSetFlags_v2(
        device.handle,
        driver_flags(flags)?
    ))?;
    current().map(drop)
}

/// How the thread's device waits.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__DEVICE.html>
pub unsafe fn cudaGetDeviceFlags(flags: *mut u32) -> Result {
    let device = device_at(current_device()?)?;
    let (mut set, mut active) = (0, 0);
    cu!(cuDevicePrimaryCtxGetState(
        device.handle,
        &mut set,
        &mut active
    ))?;
    put!(flags, set | MAP_HOST)
}

/// Restricts which devices the program uses. Checked; the thread's default device does not change by it.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__DEVICE.html>
pub unsafe fn cudaSetValidDevices(device_arr: *mut i32, len: i32) -> Result {
    let count = devices()?.len();
    if len < 0 || (len > 0 && device_arr.is_null()) {
        return Err(INVALID_VALUE);
    }
    for at in 0..usize::try_from(len).unwrap_or(0) {
        // SAFETY: not null, and the program says that there are `len`.
        let device = unsafe { device_arr.add(at).read() };
        if usize::try_from(device).is_ok_and(|device| device < count) {
            continue;
        }
        return Err(INVALID_DEVICE);
    }
    Ok(())
}

/// Destroys the primary context of the thread's device with all that it holds.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__DEVICE.html>
pub unsafe fn cudaDeviceReset() -> Result {
    let device = device_at(current_device()?)?;
    cu!(cuDevicePrimaryCtxReset_v2(device.handle))?;
    if let Some(context) = device.made() {
        device.was_reset();
        forget_context(context, major() >= 13);
    }
    Ok(())
}

/// What CUDA called `cudaDeviceReset` when contexts belonged to threads.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__THREAD__DEPRECATED.html>
pub unsafe fn cudaThreadExit() -> Result {
    // SAFETY: takes nothing.
    unsafe { cudaDeviceReset() }
}

/// A property of a device by number.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__DEVICE.html>
pub unsafe fn cudaDeviceGetAttribute(value: *mut i32, attr: u32, device: i32) -> Result {
    if value.is_null() {
        return Err(INVALID_VALUE);
    }
    let device = device_at(device)?;
    cu!(cuDeviceGetAttribute(value, attr, device.handle))
}

/// A device's place on the PCI bus, as text.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__DEVICE.html>
pub unsafe fn cudaDeviceGetPCIBusId(pciBusId: *mut c_char, len: i32, device: i32) -> Result {
    let device = device_at(device)?;
    cu!(cuDeviceGetPCIBusId(pciBusId, len, device.handle))
}

/// The device at a place on the PCI bus.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__DEVICE.html>
pub unsafe fn cudaDeviceGetByPCIBusId(device: *mut i32, pciBusId: *const c_char) -> Result {
    if device.is_null() || pciBusId.is_null() {
        return Err(INVALID_VALUE);
    }
    let mut handle = 0;
    let devices = devices()?;
    cu!(cuDeviceGetByPCIBusId(&mut handle, pciBusId))?;
    let at = devices
        .iter()
        .position(|known| known.handle == handle)
        .ok_or(INVALID_DEVICE)?;
    put!(device, i32::try_from(at).map_err(|_| INVALID_DEVICE)?)
}

/// Whether one device can reach another's memory.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__PEER.html>
pub unsafe fn cudaDeviceCanAccessPeer(
    canAccessPeer: *mut i32,
    device: i32,
    peerDevice: i32,
) -> Result {
    let (device, peer) = (device_at(device)?, device_at(peerDevice)?);
    cu!(cuDeviceCanAccessPeer(
        canAccessPeer,
        device.handle,
        peer.handle
    ))
}

/// Lets the thread's device reach another's memory.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__PEER.html>
pub unsafe fn cudaDeviceEnablePeerAccess(peerDevice: i32, flags: u32) -> Result {
    if flags != 0 {
        return Err(INVALID_VALUE);
    }
    let peer = device_at(peerDevice)?.primary()?;
    current()?;
    cu!(cuCtxEnablePeerAccess(peer, flags))
}

/// Ends what [`cudaDeviceEnablePeerAccess`] began.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__PEER.html>
pub unsafe fn cudaDeviceDisablePeerAccess(peerDevice: i32) -> Result {
    let peer = device_at(peerDevice)?.primary()?;
    current()?;
    cu!(cuCtxDisablePeerAccess(peer))
}

/// A property of the link between two devices.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__DEVICE.html>
pub unsafe fn cudaDeviceGetP2PAttribute(
    value: *mut i32,
    attr: u32,
    srcDevice: i32,
    dstDevice: i32,
) -> Result {
    let (source, destination) = (device_at(srcDevice)?, device_at(dstDevice)?);
    cu!(cuDeviceGetP2PAttribute(
        value,
        attr,
        source.handle,
        destination.handle
    ))
}

/// The newest CUDA version that the driver supports; 0 where there is no driver.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__VERSION.html>
pub unsafe fn cudaDriverGetVersion(driverVersion: *mut i32) -> Result {
    if driverVersion.is_null() {
        return Err(INVALID_VALUE);
    }
    put!(driverVersion, 0)?;
    if crate::context::driver().is_err() {
        return Ok(());
    }
    cu!(cuDriverGetVersion(driverVersion))
}

/// The CUDA version of this library.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__VERSION.html>
pub unsafe fn cudaRuntimeGetVersion(runtimeVersion: *mut i32) -> Result {
    put!(runtimeVersion, version().cast_signed())
}

/// The range of stream priorities.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__DEVICE.html>
pub unsafe fn cudaDeviceGetStreamPriorityRange(
    leastPriority: *mut i32,
    greatestPriority: *mut i32,
) -> Result {
    current()?;
    cu!(cuCtxGetStreamPriorityRange(leastPriority, greatestPriority))
}

/// The device's default pool for `cudaMallocAsync`.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__DEVICE.html>
pub unsafe fn cudaDeviceGetDefaultMemPool(memPool: *mut cudaMemPool_t, device: i32) -> Result {
    let device = device_at(device)?;
    cu!(cuDeviceGetDefaultMemPool(memPool, device.handle))
}

/// The device's current pool for `cudaMallocAsync`.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__DEVICE.html>
pub unsafe fn cudaDeviceGetMemPool(memPool: *mut cudaMemPool_t, device: i32) -> Result {
    let device = device_at(device)?;
    cu!(cuDeviceGetMemPool(memPool, device.handle))
}

/// Sets the device's current pool for `cudaMallocAsync`.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__DEVICE.html>
pub unsafe fn cudaDeviceSetMemPool(device: i32, memPool: cudaMemPool_t) -> Result {
    let device = device_at(device)?;
    cu!(cuDeviceSetMemPool(device.handle, memPool))
}

/// Gives back what graphs hold of a device's memory without using it.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__GRAPH.html>
pub unsafe fn cudaDeviceGraphMemTrim(device: i32) -> Result {
    let device = device_at(device)?;
    cu!(cuDeviceGraphMemTrim(device.handle))
}

/// How much memory graphs use on a device.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__GRAPH.html>
pub unsafe fn cudaDeviceGetGraphMemAttribute(device: i32, attr: u32, value: *mut c_void) -> Result {
    let device = device_at(device)?;
    cu!(cuDeviceGetGraphMemAttribute(device.handle, attr, value))
}

/// Resets the high marks of [`cudaDeviceGetGraphMemAttribute`].
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__GRAPH.html>
pub unsafe fn cudaDeviceSetGraphMemAttribute(device: i32, attr: u32, value: *mut c_void) -> Result {
    let device = device_at(device)?;
    cu!(cuDeviceSetGraphMemAttribute(device.handle, attr, value))
}

/// The driver's function for a name, at the ABI of this library's CUDA version.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__DRIVER__ENTRY__POINT.html>
pub unsafe fn cudaGetDriverEntryPoint(
    default: crate::context::DefaultStream,
    symbol: *const c_char,
    funcPtr: *mut *mut c_void,
    flags: u64,
    driverStatus: *mut u32,
) -> Result {
    // SAFETY: passed on unchanged.
    unsafe {
        cudaGetDriverEntryPointByVersion(default, symbol, funcPtr, version(), flags, driverStatus)
    }
}

/// The driver's function for a name, at the ABI of a CUDA version.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__DRIVER__ENTRY__POINT.html>
pub unsafe fn cudaGetDriverEntryPointByVersion(
    default: crate::context::DefaultStream,
    symbol: *const c_char,
    funcPtr: *mut *mut c_void,
    cudaVersion: u32,
    flags: u64,
    driverStatus: *mut u32,
) -> Result {
    const PER_THREAD_DEFAULT_STREAM: u64 = 2;
    devices()?;
    if flags > PER_THREAD_DEFAULT_STREAM || symbol.is_null() || funcPtr.is_null() {
        return Err(INVALID_VALUE);
    }
    let flags = if flags == 0 && default == crate::context::DefaultStream::PerThread {
        PER_THREAD_DEFAULT_STREAM
    } else {
        flags
    };
    let mut function = null_mut();
    let mut status = 0;
    let found = cu!(cuGetProcAddress_v2(
        symbol,
        &mut function,
        cudaVersion.cast_signed(),
        flags,
        &mut status
    ));
    if !driverStatus.is_null() {
        put!(driverStatus, status)?;
    }
    // A function that is not there is no failure: the status says so, and the pointer is null.
    crate::context::unless_found(found, crate::error::SYMBOL_NOT_FOUND).or_else(|error| {
        if error == crate::error::SYMBOL_NOT_FOUND {
            Ok(())
        } else {
            Err(error)
        }
    })?;
    put!(funcPtr, function)
}

forward! {
    /// Waits until the thread's device has done all that was asked of it.
    fn cudaDeviceSynchronize() => cuCtxSynchronize();
    /// What CUDA called `cudaDeviceSynchronize` when contexts belonged to threads.
    fn cudaThreadSynchronize() => cuCtxSynchronize();
    /// Sets a limit of the context.
    fn cudaDeviceSetLimit(limit: u32, value: usize) => cuCtxSetLimit(limit, value);
    /// What CUDA called `cudaDeviceSetLimit` when contexts belonged to threads.
    fn cudaThreadSetLimit(limit: u32, value: usize) => cuCtxSetLimit(limit, value);
    /// A limit of the context.
    fn cudaDeviceGetLimit(pValue: *mut usize, limit: u32) => cuCtxGetLimit(pValue, limit);
    /// What CUDA called `cudaDeviceGetLimit` when contexts belonged to threads.
    fn cudaThreadGetLimit(pValue: *mut usize, limit: u32) => cuCtxGetLimit(pValue, limit);
    /// Whether the context prefers cache or shared memory.
    fn cudaDeviceGetCacheConfig(pCacheConfig: *mut u32) => cuCtxGetCacheConfig(pCacheConfig);
    /// What CUDA called `cudaDeviceGetCacheConfig` when contexts belonged to threads.
    fn cudaThreadGetCacheConfig(pCacheConfig: *mut u32) => cuCtxGetCacheConfig(pCacheConfig);
    /// Prefers cache or shared memory for the context.
    fn cudaDeviceSetCacheConfig(cacheConfig: u32) => cuCtxSetCacheConfig(cacheConfig);
    /// What CUDA called `cudaDeviceSetCacheConfig` when contexts belonged to threads.
    fn cudaThreadSetCacheConfig(cacheConfig: u32) => cuCtxSetCacheConfig(cacheConfig);
    /// The width of shared memory banks.
    fn cudaDeviceGetSharedMemConfig(pConfig: *mut u32) => cuCtxGetSharedMemConfig(pConfig);
    /// Sets the width of shared memory banks, on devices that let one choose.
    fn cudaDeviceSetSharedMemConfig(config: u32) => cuCtxSetSharedMemConfig(config);
    /// Ends what access properties keep in the cache.
    fn cudaCtxResetPersistingL2Cache() => cuCtxResetPersistingL2Cache();
    /// Makes writes from other devices visible.
    fn cudaDeviceFlushGPUDirectRDMAWrites(target: u32, scope: u32) => cuFlushGPUDirectRDMAWrites(target, scope);
    /// Starts the profiler, if one is attached.
    fn cudaProfilerStart() => cuProfilerStart();
    /// Stops the profiler.
    fn cudaProfilerStop() => cuProfilerStop();
}
