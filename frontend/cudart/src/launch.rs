//! Kernel launches.

use crate::context::{DefaultStream, cu, current, driver, fill, major, narrow, put};
use crate::error::{
    Error, INVALID_CONFIGURATION, INVALID_DEVICE_FUNCTION, INVALID_VALUE, MISSING_CONFIGURATION,
    NOT_READY, NOT_SUPPORTED, Result, check,
};
use crate::registry::kernel;
use gvirtus_wire::api::cudart_types::{cudaKernel_t, cudaLaunchConfig_t, cudaStream_t, dim3};
use gvirtus_wire::api::types::{CUfunction, CUlaunchConfig};
use std::cell::RefCell;
use std::ffi::c_void;

/// The driver's function for what a program names, in the current context.
#[inline]
pub(crate) fn function(name: *const c_void) -> Result<CUfunction> {
    let context = current()?;
    kernel(name)?.function(context)
}

/// Where a launch failed, CUDA 12 tells dimensions that no kernel could be launched with from other errors, and does so first; CUDA 13 leaves it to the driver.
#[cold]
fn explain(error: Error, grid: dim3, block: dim3) -> Error {
    if major() >= 13 || error == NOT_READY {
        return error;
    }
    let limit = |attribute| {
        let mut device = 0;
        cu!(cuCtxGetDevice(&mut device))
            .and_then(|()| {
                fill::<i32>(|driver, value| {
                    // SAFETY: `value` is a live variable of `fill`.
                    unsafe { (driver.cuDeviceGetAttribute)(value, attribute, device) }
                })
            })
            .map_or(u64::MAX, |value| u64::try_from(value).unwrap_or(0))
    };
    let dims = [block.x, block.y, block.z, grid.x, grid.y, grid.z].map(u64::from);
    // CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK is 1, MAX_BLOCK_DIM_X to MAX_GRID_DIM_Z are 2 to 7.
    let impossible = dims.contains(&0)
        || dims[0].saturating_mul(dims[1]).saturating_mul(dims[2]) > limit(1)
        || dims
            .iter()
            .zip(2..)
            .any(|(&dim, attribute)| dim > limit(attribute));
    if impossible {
        INVALID_CONFIGURATION
    } else {
        error
    }
}

/// Launches a kernel.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__EXECUTION.html>
pub unsafe fn cudaLaunchKernel(
    default: DefaultStream,
    func: *const c_void,
    gridDim: dim3,
    blockDim: dim3,
    args: *mut *mut c_void,
    sharedMem: usize,
    stream: cudaStream_t,
) -> Result {
    let function = function(func)?;
    let shared = narrow(sharedMem)?;
    // SAFETY: `args` is the program's, one pointer for each parameter of the kernel.
    let result = unsafe {
        (driver()?.cuLaunchKernel)(
            function,
            gridDim.x,
            gridDim.y,
            gridDim.z,
            blockDim.x,
            blockDim.y,
            blockDim.z,
            shared,
            default.resolve(stream),
            args,
            std::ptr::null_mut(),
        )
    };
    check(result).map_err(|error| explain(error, gridDim, blockDim))
}

/// Launches a kernel whose blocks may synchronize with one another.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__EXECUTION.html>
pub unsafe fn cudaLaunchCooperativeKernel(
    default: DefaultStream,
    func: *const c_void,
    gridDim: dim3,
    blockDim: dim3,
    args: *mut *mut c_void,
    sharedMem: usize,
    stream: cudaStream_t,
) -> Result {
    let function = function(func)?;
    let shared = narrow(sharedMem)?;
    // SAFETY: as in `cudaLaunchKernel`.
    let result = unsafe {
        (driver()?.cuLaunchCooperativeKernel)(
            function,
            gridDim.x,
            gridDim.y,
            gridDim.z,
            blockDim.x,
            blockDim.y,
            blockDim.z,
            shared,
            default.resolve(stream),
            args,
        )
    };
    check(result).map_err(|error| explain(error, gridDim, blockDim))
}

/// The driver's form of a launch configuration.
pub(crate) fn driver_config(
    default: DefaultStream,
    config: &cudaLaunchConfig_t,
) -> Result<CUlaunchConfig> {
    Ok(CUlaunchConfig {
        gridDimX: config.gridDim.x,
        gridDimY: config.gridDim.y,
        gridDimZ: config.gridDim.z,
        blockDimX: config.blockDim.x,
        blockDimY: config.blockDim.y,
        blockDimZ: config.blockDim.z,
        sharedMemBytes: narrow(config.dynamicSmemBytes)?,
        hStream: default.resolve(config.stream),
        attrs: config.attrs,
        numAttrs: config.numAttrs,
    })
}

/// Launches a kernel with attributes.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__EXECUTION.html>
pub unsafe fn cudaLaunchKernelExC(
    default: DefaultStream,
    config: *const cudaLaunchConfig_t,
    func: *const c_void,
    args: *mut *mut c_void,
) -> Result {
    // SAFETY: null or the program's configuration.
    let config = unsafe { config.as_ref() }.ok_or(INVALID_VALUE)?;
    let function = function(func)?;
    let for_driver = driver_config(default, config)?;
    cu!(cuLaunchKernelEx(
        &for_driver,
        function,
        args,
        std::ptr::null_mut()
    ))
    .map_err(|error| explain(error, config.gridDim, config.blockDim))
}

/// What code generated by CUDA 13's nvcc calls for `<<<>>>`.
pub unsafe fn __cudaLaunchKernel(
    default: DefaultStream,
    kernel: cudaKernel_t,
    gridDim: dim3,
    blockDim: dim3,
    args: *mut *mut c_void,
    sharedMem: usize,
    stream: cudaStream_t,
) -> Result {
    // SAFETY: passed on unchanged.
    unsafe { cudaLaunchKernel(default, kernel, gridDim, blockDim, args, sharedMem, stream) }
}

/// The kernel that a host function stands for.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__DRIVER.html>
pub unsafe fn cudaGetKernel(kernelPtr: *mut cudaKernel_t, entryFuncAddr: *const c_void) -> Result {
    let found = kernel(entryFuncAddr).map_err(|_| INVALID_DEVICE_FUNCTION)?;
    put!(kernelPtr, std::ptr::from_ref(found).cast_mut().cast())
}

/// What code generated by CUDA 13's nvcc calls before its first launch of a kernel.
pub unsafe fn __cudaGetKernel(
    kernelPtr: *mut cudaKernel_t,
    entryFuncAddr: *const c_void,
) -> Result {
    // SAFETY: passed on unchanged.
    unsafe { cudaGetKernel(kernelPtr, entryFuncAddr) }
}

/// What stands between `<<<` and `>>>`.
#[derive(Debug, Clone, Copy)]
struct Configuration {
    grid: dim3,
    block: dim3,
    shared: usize,
    stream: cudaStream_t,
}

thread_local! {
    static CONFIGURATIONS: RefCell<Vec<Configuration>> = const { RefCell::new(Vec::new()) };
}

/// Notes the configuration of the launch that follows on this thread. 0 is success.
pub unsafe fn __cudaPushCallConfiguration(
    gridDim: dim3,
    blockDim: dim3,
    sharedMem: usize,
    stream: cudaStream_t,
) -> u32 {
    let pushed = CONFIGURATIONS.try_with(|stack| {
        stack.borrow_mut().push(Configuration {
            grid: gridDim,
            block: blockDim,
            shared: sharedMem,
            stream,
        })
    });
    u32::from(pushed.is_err())
}

/// Takes back what `__cudaPushCallConfiguration` noted.
pub unsafe fn __cudaPopCallConfiguration(
    gridDim: *mut dim3,
    blockDim: *mut dim3,
    sharedMem: *mut usize,
    stream: *mut c_void,
) -> Result {
    let top = CONFIGURATIONS
        .try_with(|stack| stack.borrow_mut().pop())
        .ok()
        .flatten()
        .ok_or(MISSING_CONFIGURATION)?;
    put!(gridDim, top.grid)?;
    put!(blockDim, top.block)?;
    put!(sharedMem, top.shared)?;
    put!(stream.cast::<cudaStream_t>(), top.stream)
}

/// `cudaLaunchParams` of CUDA 12.
#[repr(C)]
#[derive(Clone, Copy)]
struct LaunchParams {
    func: *mut c_void,
    grid: dim3,
    block: dim3,
    args: *mut *mut c_void,
    shared: usize,
    stream: cudaStream_t,
}

/// Launches a cooperative kernel on one device; on several it is "not supported".
/// <https://docs.nvidia.com/cuda/archive/12.9.0/cuda-runtime-api/group__CUDART__EXECUTION.html>
pub unsafe fn cudaLaunchCooperativeKernelMultiDevice(
    launchParamsList: *mut c_void,
    numDevices: u32,
    flags: u32,
) -> Result {
    if launchParamsList.is_null() || numDevices == 0 || flags & !3 != 0 {
        return Err(INVALID_VALUE);
    }
    if numDevices > 1 {
        return Err(NOT_SUPPORTED);
    }
    // SAFETY: not null, and the caller's.
    let launch = unsafe { launchParamsList.cast::<LaunchParams>().read_unaligned() };
    if launch.stream.is_null() {
        return Err(INVALID_VALUE);
    }
    // SAFETY: the caller's parameters.
    unsafe {
        cudaLaunchCooperativeKernel(
            DefaultStream::Legacy,
            launch.func,
            launch.grid,
            launch.block,
            launch.args,
            launch.shared,
            launch.stream,
        )
    }
}
