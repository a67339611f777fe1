//! Launches as CUDA 3 had them, a kernel's block and parameters set beforehand: <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__EXEC__DEPRECATED.html>.
#![allow(non_snake_case, reason = "CUDA's names")]

use std::collections::HashMap;
use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::LazyLock;

use gvirtus_wire::api::types::{CUfunction, CUstream, error};
use parking_lot::Mutex;

use crate::driver::launch::{cuLaunchCooperativeKernel, cuLaunchKernel};
use crate::driver::{Result, function};

/// `CU_LAUNCH_PARAM_*`.
const PARAM_END: usize = 0;
const PARAM_BUFFER_POINTER: usize = 1;
const PARAM_BUFFER_SIZE: usize = 2;

/// Bytes of parameters that these functions know of.
const MOST: usize = 4096;

/// What was set for a kernel.
struct Settings {
    block: [u32; 3],
    shared: u32,
    parameters: Vec<u8>,
    size: usize,
}

/// By the kernel's handle.
static SETTINGS: LazyLock<Mutex<HashMap<usize, Settings>>> = LazyLock::new(Mutex::default);

fn set(kernel: CUfunction, change: impl FnOnce(&mut Settings)) -> Result<()> {
    let handle = function::handle(&*function::by_handle(kernel)?).addr();
    change(SETTINGS.lock().entry(handle).or_insert(Settings {
        block: [1; 3],
        shared: 0,
        parameters: vec![0; MOST],
        size: 0,
    }));
    Ok(())
}

/// Sets a kernel's block.
pub(crate) fn cuFuncSetBlockShape(kernel: CUfunction, x: i32, y: i32, z: i32) -> Result<()> {
    let limits = &function::by_handle(kernel)?.limits;
    let mut block = [0; 3];
    for (i, (said, most)) in [x, y, z].into_iter().zip(limits.block).enumerate() {
        block[i] = u32::try_from(said)
            .ok()
            .filter(|said| (1..=most).contains(said))
            .ok_or(error::ERROR_INVALID_VALUE)?;
    }
    if block.iter().map(|n| u64::from(*n)).product::<u64>() > u64::from(limits.threads) {
        return Err(error::ERROR_INVALID_VALUE);
    }
    set(kernel, |settings| settings.block = block)
}

/// Sets the bytes of dynamic shared memory of each block.
pub(crate) fn cuFuncSetSharedSize(kernel: CUfunction, bytes: u32) -> Result<()> {
    set(kernel, |settings| settings.shared = bytes)
}

/// Sets how many bytes of parameters a kernel gets.
pub(crate) fn cuParamSetSize(kernel: CUfunction, bytes: u32) -> Result<()> {
    let size = bytes as usize;
    if size > MOST {
        return Err(error::ERROR_INVALID_VALUE);
    }
    set(kernel, |settings| settings.size = size)
}

fn set_parameter(kernel: CUfunction, offset: i32, bytes: &[u8]) -> Result<()> {
    let start = usize::try_from(offset).map_err(|_| error::ERROR_INVALID_VALUE)?;
    if start > MOST || bytes.len() > MOST - start {
        return Err(error::ERROR_INVALID_VALUE);
    }
    set(kernel, |settings| {
        settings.parameters[start..start + bytes.len()].copy_from_slice(bytes);
    })
}

/// Sets a parameter of four bytes.
pub(crate) fn cuParamSeti(kernel: CUfunction, offset: i32, value: u32) -> Result<()> {
    set_parameter(kernel, offset, &value.to_ne_bytes())
}

/// Sets a parameter of four bytes.
pub(crate) fn cuParamSetf(kernel: CUfunction, offset: i32, value: f32) -> Result<()> {
    set_parameter(kernel, offset, &value.to_ne_bytes())
}

/// Sets a parameter of any size.
pub(crate) unsafe fn cuParamSetv(
    kernel: CUfunction,
    offset: i32,
    value: *mut c_void,
    bytes: u32,
) -> Result<()> {
    if value.is_null() || bytes as usize > MOST {
        return Err(error::ERROR_INVALID_VALUE);
    }
    // SAFETY: not null, and the caller's so many bytes.
    let bytes = unsafe { std::slice::from_raw_parts(value.cast::<u8>(), bytes as usize) };
    set_parameter(kernel, offset, bytes)
}

fn launch(kernel: CUfunction, width: i32, height: i32, stream: CUstream) -> Result<()> {
    let handle = function::handle(&*function::by_handle(kernel)?).addr();
    let (Ok(width), Ok(height)) = (u32::try_from(width), u32::try_from(height)) else {
        return Err(error::ERROR_INVALID_VALUE);
    };
    let (block, shared, mut parameters) = {
        let all = SETTINGS.lock();
        let settings = all.get(&handle).ok_or(error::ERROR_INVALID_VALUE)?;
        let parameters = settings.parameters[..settings.size].to_vec();
        (settings.block, settings.shared, parameters)
    };
    let mut size = parameters.len();
    let mut extra: [*mut c_void; 5] = [
        std::ptr::without_provenance_mut(PARAM_BUFFER_POINTER),
        parameters.as_mut_ptr().cast(),
        std::ptr::without_provenance_mut(PARAM_BUFFER_SIZE),
        (&raw mut size).cast(),
        std::ptr::without_provenance_mut(PARAM_END),
    ];
    // SAFETY: the list ends as CUDA's lists do, and its buffer lives until the call returns.
    unsafe {
        cuLaunchKernel(
            kernel,
            width,
            height,
            1,
            block[0],
            block[1],
            block[2],
            shared,
            stream,
            null_mut(),
            extra.as_mut_ptr(),
        )
    }
}

/// Launches one block.
pub(crate) fn cuLaunch(kernel: CUfunction) -> Result<()> {
    launch(kernel, 1, 1, null_mut())
}

/// Launches a grid.
pub(crate) fn cuLaunchGrid(kernel: CUfunction, width: i32, height: i32) -> Result<()> {
    launch(kernel, width, height, null_mut())
}

/// Launches a grid on a stream.
pub(crate) fn cuLaunchGridAsync(
    kernel: CUfunction,
    width: i32,
    height: i32,
    stream: CUstream,
) -> Result<()> {
    launch(kernel, width, height, stream)
}

/// `CUDA_LAUNCH_PARAMS`.
#[repr(C)]
#[derive(Clone, Copy)]
struct LaunchParams {
    function: CUfunction,
    grid: [u32; 3],
    block: [u32; 3],
    shared: u32,
    stream: CUstream,
    parameters: *mut *mut c_void,
}

/// `CUDA_COOPERATIVE_LAUNCH_MULTI_DEVICE_NO_*_SYNC`: what it leaves out is done for several devices alone.
const MULTI_DEVICE_FLAGS: u32 = 1 | 2;

/// Launches a cooperative kernel on one device; blocks of several devices cannot wait for one another here.
pub(crate) unsafe fn cuLaunchCooperativeKernelMultiDevice(
    list: *mut c_void,
    devices: u32,
    flags: u32,
) -> Result<()> {
    let list = list.cast::<LaunchParams>();
    if list.is_null() || devices == 0 || flags & !MULTI_DEVICE_FLAGS != 0 {
        return Err(error::ERROR_INVALID_VALUE);
    }
    if devices > 1 {
        crate::log::unsupported("cuLaunchCooperativeKernelMultiDevice on several devices");
        return Err(error::ERROR_NOT_SUPPORTED);
    }
    // SAFETY: not null, and the caller's.
    let launch = unsafe { list.read_unaligned() };
    if launch.stream.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    // SAFETY: the caller's parameters.
    unsafe {
        cuLaunchCooperativeKernel(
            launch.function,
            launch.grid[0],
            launch.grid[1],
            launch.grid[2],
            launch.block[0],
            launch.block[1],
            launch.block[2],
            launch.shared,
            launch.stream,
            launch.parameters,
        )
    }
}
