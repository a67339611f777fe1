//! Attributes of kernels, and occupancy.

use crate::context::{DefaultStream, cu, current, fill, major, put};
use crate::error::{INVALID_DEVICE_FUNCTION, INVALID_RESOURCE_HANDLE, INVALID_VALUE, Result};
use crate::launch::{driver_config, function};
use crate::registry::kernel;
use gvirtus_wire::api::cudart_types::{
    cudaFuncAttributes, cudaFunction_t, cudaKernel_t, cudaLaunchConfig_t,
};
use std::ffi::{c_char, c_void};

/// Fills in what is known about a kernel.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__EXECUTION.html>
pub unsafe fn cudaFuncGetAttributes(attr: *mut cudaFuncAttributes, func: *const c_void) -> Result {
    if attr.is_null() {
        return Err(INVALID_VALUE);
    }
    let function = function(func)?;
    let get = |attribute: u32| {
        fill::<i32>(|driver, value| {
            // SAFETY: `value` is a live variable of `fill`, the function is the driver's own.
            unsafe { (driver.cuFuncGetAttribute)(value, attribute, function) }
        })
    };
    let size = |attribute: u32| get(attribute).map(|value| usize::try_from(value).unwrap_or(0));
    // The numbers are CUfunction_attribute's.
    let attributes = cudaFuncAttributes {
        sharedSizeBytes: size(1)?,
        constSizeBytes: size(2)?,
        localSizeBytes: size(3)?,
        maxThreadsPerBlock: get(0)?,
        numRegs: get(4)?,
        ptxVersion: get(5)?,
        binaryVersion: get(6)?,
        cacheModeCA: get(7)?,
        maxDynamicSharedSizeBytes: get(8)?,
        preferredShmemCarveout: get(9)?,
        clusterDimMustBeSet: get(10)?,
        requiredClusterWidth: get(11)?,
        requiredClusterHeight: get(12)?,
        requiredClusterDepth: get(13)?,
        clusterSchedulingPolicyPreference: get(15)?,
        nonPortableClusterSizeAllowed: get(14)?,
    };
    // The structure's last bytes here are reserved words there.
    const WRITTEN: usize =
        std::mem::offset_of!(cudaFuncAttributes, nonPortableClusterSizeAllowed) + size_of::<i32>();
    // SAFETY: not null, and the program's structure is larger.
    unsafe {
        attr.cast::<u8>()
            .copy_from_nonoverlapping((&raw const attributes).cast(), WRITTEN)
    };
    Ok(())
}

/// Sets an attribute of a kernel.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__EXECUTION.html>
pub unsafe fn cudaFuncSetAttribute(func: *const c_void, attr: u32, value: i32) -> Result {
    let function = function(func)?;
    // cudaFuncAttributeMaxDynamicSharedMemorySize is 8; those below only the compiler sets.
    if attr < 8 {
        return Err(INVALID_VALUE);
    }
    cu!(cuFuncSetAttribute(function, attr, value))?;
    kernel(func)?.remember(attr, value);
    Ok(())
}

/// Prefers more cache or more shared memory for a kernel.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__EXECUTION.html>
pub unsafe fn cudaFuncSetCacheConfig(func: *const c_void, cacheConfig: u32) -> Result {
    let function = function(func).map_err(|error| {
        if error == INVALID_RESOURCE_HANDLE && major() < 13 {
            INVALID_DEVICE_FUNCTION
        } else {
            error
        }
    })?;
    cu!(cuFuncSetCacheConfig(function, cacheConfig))
}

/// Sets the width of shared memory banks for a kernel, on devices that let one choose.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__EXECUTION__DEPRECATED.html>
pub unsafe fn cudaFuncSetSharedMemConfig(func: *const c_void, config: u32) -> Result {
    let function = function(func)?;
    cu!(cuFuncSetSharedMemConfig(function, config))
}

/// The mangled name of a kernel.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__EXECUTION.html>
pub unsafe fn cudaFuncGetName(name: *mut *const c_char, func: *const c_void) -> Result {
    let function = function(func)?;
    cu!(cuFuncGetName(name, function))
}

/// Offset and size, in bytes, of a parameter of a kernel.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__EXECUTION.html>
pub unsafe fn cudaFuncGetParamInfo(
    func: *const c_void,
    paramIndex: usize,
    paramOffset: *mut usize,
    paramSize: *mut usize,
) -> Result {
    let function = function(func)?;
    cu!(cuFuncGetParamInfo(
        function,
        paramIndex,
        paramOffset,
        paramSize
    ))
}

/// The driver's function of a kernel in the current context.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__DRIVER.html>
pub unsafe fn cudaGetFuncBySymbol(
    functionPtr: *mut cudaFunction_t,
    symbolPtr: *const c_void,
) -> Result {
    let found = function(symbolPtr).map_err(|error| {
        if error == INVALID_RESOURCE_HANDLE {
            INVALID_DEVICE_FUNCTION
        } else {
            error
        }
    })?;
    if functionPtr.is_null() {
        // As NVIDIA's runtime has it: the function is loaded, and nobody is told.
        return Ok(());
    }
    put!(functionPtr, found)
}

/// Sets an attribute of a kernel for one device.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__LIBRARY.html>
pub unsafe fn cudaKernelSetAttributeForDevice(
    kernel: cudaKernel_t,
    attr: u32,
    value: i32,
    device: i32,
) -> Result {
    let of = crate::context::device_at(device)?;
    let function = crate::registry::kernel(kernel)?.function(of.primary()?)?;
    cu!(cuFuncSetAttribute(function, attr, value))
}

/// How many blocks of a kernel fit one multiprocessor.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__OCCUPANCY.html>
pub unsafe fn cudaOccupancyMaxActiveBlocksPerMultiprocessor(
    numBlocks: *mut i32,
    func: *const c_void,
    blockSize: i32,
    dynamicSMemSize: usize,
) -> Result {
    let function = function(func)?;
    cu!(cuOccupancyMaxActiveBlocksPerMultiprocessor(
        numBlocks,
        function,
        blockSize,
        dynamicSMemSize
    ))
}

/// How many blocks of a kernel fit one multiprocessor, with flags.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__OCCUPANCY.html>
pub unsafe fn cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
    numBlocks: *mut i32,
    func: *const c_void,
    blockSize: i32,
    dynamicSMemSize: usize,
    flags: u32,
) -> Result {
    let function = function(func)?;
    cu!(cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
        numBlocks,
        function,
        blockSize,
        dynamicSMemSize,
        flags
    ))
}

/// How much dynamic shared memory, in bytes, is left for each of so many blocks on one multiprocessor.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__OCCUPANCY.html>
pub unsafe fn cudaOccupancyAvailableDynamicSMemPerBlock(
    dynamicSmemSize: *mut usize,
    func: *const c_void,
    numBlocks: i32,
    blockSize: i32,
) -> Result {
    let function = function(func)?;
    cu!(cuOccupancyAvailableDynamicSMemPerBlock(
        dynamicSmemSize,
        function,
        numBlocks,
        blockSize
    ))
}

/// How many clusters of a launch can be resident.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__OCCUPANCY.html>
pub unsafe fn cudaOccupancyMaxActiveClusters(
    numClusters: *mut i32,
    func: *const c_void,
    launchConfig: *const cudaLaunchConfig_t,
) -> Result {
    let function = function(func)?;
    // SAFETY: null or the program's configuration.
    let config = driver_config(
        DefaultStream::Legacy,
        unsafe { launchConfig.as_ref() }.ok_or(INVALID_VALUE)?,
    )?;
    cu!(cuOccupancyMaxActiveClusters(numClusters, function, &config))
}

/// How large clusters of a launch can be.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__OCCUPANCY.html>
pub unsafe fn cudaOccupancyMaxPotentialClusterSize(
    clusterSize: *mut i32,
    func: *const c_void,
    launchConfig: *const cudaLaunchConfig_t,
) -> Result {
    let function = function(func)?;
    // SAFETY: null or the program's configuration.
    let config = driver_config(
        DefaultStream::Legacy,
        unsafe { launchConfig.as_ref() }.ok_or(INVALID_VALUE)?,
    )?;
    cu!(cuOccupancyMaxPotentialClusterSize(
        clusterSize,
        function,
        &config
    ))
}

/// Sets nothing: no device has needed double precision to be converted since CUDA 1.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__EXECUTION__DEPRECATED.html>
pub unsafe fn cudaSetDoubleForDevice(_d: *mut f64) -> Result {
    current().map(drop)
}

/// See [`cudaSetDoubleForDevice`].
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__EXECUTION__DEPRECATED.html>
pub unsafe fn cudaSetDoubleForHost(_d: *mut f64) -> Result {
    current().map(drop)
}
