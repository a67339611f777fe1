//! How many blocks fit on a multiprocessor, from the device's figures.
//!
//! See <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__OCCUPANCY.html>.

use gvirtus_wire::api::types::{CUfunction, CUlaunchConfig, CUoccupancyB2DSize};

use super::device::figures;
use super::error::{ERROR_INVALID_VALUE, ERROR_NOT_SUPPORTED, Result};
use super::{context, ffi, function, state};
use crate::engine::KernelInfo;

/// Registers are given to warps in units of this.
const REGISTER_UNIT: u32 = 256;
/// Shared memory is given to blocks in units of this.
const SHARED_UNIT: u32 = 128;

/// Blocks of `threads` threads with `dynamic` bytes of shared memory that one multiprocessor holds.
pub(super) fn blocks_per_multiprocessor(info: &KernelInfo, threads: u32, dynamic: u32) -> u32 {
    let warps = threads.div_ceil(figures::WARP).max(1);
    let by_threads = figures::THREADS_PER_MULTIPROCESSOR / (warps * figures::WARP);
    let registers = (info.registers.max(1) * figures::WARP).next_multiple_of(REGISTER_UNIT) * warps;
    let by_registers = figures::REGISTERS / registers.max(1);
    let shared = (info.shared_bytes.saturating_add(dynamic))
        .saturating_add(figures::SHARED_RESERVED)
        .div_ceil(SHARED_UNIT)
        .saturating_mul(SHARED_UNIT);
    let by_shared = figures::SHARED_PER_MULTIPROCESSOR / shared;
    // The engine's estimate of registers may not make a block that CUDA would run impossible.
    by_threads
        .min(by_registers.max(1))
        .min(by_shared)
        .min(figures::BLOCKS_PER_MULTIPROCESSOR)
}

fn max_blocks(info: &KernelInfo, threads: i32, dynamic: usize) -> Result<i32> {
    let threads = u32::try_from(threads).map_err(|_| ERROR_INVALID_VALUE)?;
    if threads == 0 {
        return Err(ERROR_INVALID_VALUE);
    }
    if threads > info.max_threads_per_block || dynamic > figures::SHARED_PER_MULTIPROCESSOR as usize
    {
        return Ok(0);
    }
    Ok(blocks_per_multiprocessor(info, threads, dynamic as u32) as i32)
}

pub(super) fn cuOccupancyMaxActiveBlocksPerMultiprocessor(
    numBlocks: *mut i32,
    func: CUfunction,
    blockSize: i32,
    dynamicSMemSize: usize,
) -> Result {
    cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
        numBlocks,
        func,
        blockSize,
        dynamicSMemSize,
        0,
    )
}

pub(super) fn cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
    numBlocks: *mut i32,
    func: CUfunction,
    blockSize: i32,
    dynamicSMemSize: usize,
    flags: u32,
) -> Result {
    let function = function::resolve(func)?;
    if flags > 1 {
        return Err(ERROR_INVALID_VALUE);
    }
    ffi::put(
        numBlocks,
        max_blocks(&function.info, blockSize, dynamicSMemSize)?,
    )
}

pub(super) fn cuOccupancyMaxPotentialBlockSize(
    minGridSize: *mut i32,
    blockSize: *mut i32,
    func: CUfunction,
    blockSizeToDynamicSMemSize: CUoccupancyB2DSize,
    dynamicSMemSize: usize,
    blockSizeLimit: i32,
) -> Result {
    cuOccupancyMaxPotentialBlockSizeWithFlags(
        minGridSize,
        blockSize,
        func,
        blockSizeToDynamicSMemSize,
        dynamicSMemSize,
        blockSizeLimit,
        0,
    )
}

pub(super) fn cuOccupancyMaxPotentialBlockSizeWithFlags(
    minGridSize: *mut i32,
    blockSize: *mut i32,
    func: CUfunction,
    blockSizeToDynamicSMemSize: CUoccupancyB2DSize,
    dynamicSMemSize: usize,
    blockSizeLimit: i32,
    flags: u32,
) -> Result {
    let function = function::resolve(func)?;
    let context = context::current()?;
    if flags > 1 || minGridSize.is_null() || blockSize.is_null() {
        return Err(ERROR_INVALID_VALUE);
    }
    let warp = figures::WARP as i32;
    let most = function.info.max_threads_per_block as i32;
    let most = if blockSizeLimit > 0 {
        most.min(blockSizeLimit)
    } else {
        most
    };
    let mut best = (0, 0);
    // From the largest block down, in whole warps; the first block size may be a part of one.
    let mut size = most;
    while size > 0 {
        let dynamic = match blockSizeToDynamicSMemSize {
            // SAFETY: the program's function, called as its type says.
            Some(of) => unsafe { of(size) },
            None => dynamicSMemSize,
        };
        let blocks = max_blocks(&function.info, size, dynamic)?;
        if blocks * size > best.0 {
            best = (blocks * size, size);
        }
        size = (size - 1) / warp * warp;
    }
    let (threads, size) = best;
    let multiprocessors = state::require()?.devices[context.device].multiprocessors as i32;
    let blocks = if size == 0 { 0 } else { threads / size };
    ffi::put(blockSize, size)?;
    ffi::put(minGridSize, blocks * multiprocessors)
}

pub(super) fn cuOccupancyAvailableDynamicSMemPerBlock(
    dynamicSmemSize: *mut usize,
    func: CUfunction,
    numBlocks: i32,
    blockSize: i32,
) -> Result {
    let function = function::resolve(func)?;
    if numBlocks <= 0 || blockSize <= 0 || numBlocks > max_blocks(&function.info, blockSize, 0)? {
        return Err(ERROR_INVALID_VALUE);
    }
    let each = figures::SHARED_PER_MULTIPROCESSOR / numBlocks as u32 / SHARED_UNIT * SHARED_UNIT;
    let available = each.saturating_sub(figures::SHARED_RESERVED + function.info.shared_bytes);
    ffi::put(
        dynamicSmemSize,
        available.min(figures::SHARED_PER_BLOCK_OPTIN - function.info.shared_bytes) as usize,
    )
}

pub(super) fn cuOccupancyMaxPotentialClusterSize(
    _clusterSize: *mut i32,
    func: CUfunction,
    _config: *const CUlaunchConfig,
) -> Result {
    // Clusters came after this compute capability.
    function::resolve(func)?;
    Err(ERROR_NOT_SUPPORTED)
}

pub(super) fn cuOccupancyMaxActiveClusters(
    _numClusters: *mut i32,
    func: CUfunction,
    _config: *const CUlaunchConfig,
) -> Result {
    function::resolve(func)?;
    Err(ERROR_NOT_SUPPORTED)
}
