//! Occupancy: <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__OCCUPANCY.html>.
//!
//! Answers come from the box's driver and are kept per function: programs ask the same question before every launch.
#![allow(non_snake_case, reason = "CUDA's names")]

use gvirtus_wire::api::core::Occupancy;
use gvirtus_wire::api::types::{CUfunction, CUlaunchConfig, CUoccupancyB2DSize, error};

use crate::driver::device::{attr as device_attr, attribute as device_attribute};
use crate::driver::function::{Function, attr};
use crate::driver::launch::{Attributes, read_config};
use crate::driver::{Result, context, kernel, put, session};

/// `CU_OCCUPANCY_DISABLE_CACHING_OVERRIDE` and no other.
const FLAGS: u32 = 1;
/// Beyond this many different questions about one function nothing more is kept.
const MOST_KEPT: usize = 1024;

const ACTIVE_BLOCKS: u32 = 0;
const AVAILABLE_SHARED: u32 = 1;
const ACTIVE_CLUSTERS: u32 = 2;
const CLUSTER_SIZE: u32 = 3;

/// What an answer is kept under.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Question {
    query: u32,
    grid: [u32; 3],
    block: [u32; 3],
    shared: u64,
    blocks: u32,
    flags: u32,
    attributes: Vec<(u32, [u8; 64])>,
}

impl Question {
    fn new(query: u32, threads: u32) -> Self {
        Self {
            query,
            grid: [0; 3],
            block: [threads, 1, 1],
            shared: 0,
            blocks: 0,
            flags: 0,
            attributes: Vec::new(),
        }
    }

    /// The answer, from what is kept or from the box.
    fn ask(self, function: &Function) -> Result<u64> {
        if let Some(known) = function.occupancy.lock().get(&self) {
            return Ok(*known);
        }
        let command = Occupancy {
            query: self.query,
            function: function.id,
            grid: self.grid,
            block: self.block,
            shared: self.shared,
            blocks: self.blocks,
            flags: self.flags,
            attributes: self.attributes.clone(),
        };
        let answer = session()?.call_setup(function.context, &command, &[])?;
        let mut kept = function.occupancy.lock();
        if kept.len() < MOST_KEPT {
            kept.insert(self, answer);
        }
        Ok(answer)
    }
}

/// Blocks of a size that a multiprocessor runs at once. Launch bounds and opted-in shared memory do not enter here, natively too: what is no block at all is 0 without asking.
pub(crate) fn active_blocks(
    function: &Function,
    threads: u32,
    shared: u64,
    flags: u32,
) -> Result<u32> {
    if threads > function.limits.threads {
        return Ok(0);
    }
    let question = Question {
        shared,
        flags,
        ..Question::new(ACTIVE_BLOCKS, threads)
    };
    Ok(u32::try_from(question.ask(function)?).unwrap_or(u32::MAX))
}

fn multiprocessors(device: u32) -> u32 {
    let count = device_attribute(device, device_attr::MULTIPROCESSOR_COUNT);
    count.and_then(|n| u32::try_from(n).ok()).unwrap_or(1)
}

/// Blocks that the whole device runs at once: what a cooperative launch may have.
pub(crate) fn resident_blocks(function: &Function, threads: u32, shared: u64) -> Result<u64> {
    let blocks = active_blocks(function, threads, shared, 0)?;
    Ok(u64::from(blocks) * u64::from(multiprocessors(function.device)))
}

fn positive(value: i32) -> Result<u32> {
    match u32::try_from(value) {
        Ok(value) if value > 0 => Ok(value),
        _ => Err(error::ERROR_INVALID_VALUE),
    }
}

/// Blocks per multiprocessor.
pub(crate) unsafe fn cuOccupancyMaxActiveBlocksPerMultiprocessor(
    numBlocks: *mut i32,
    func: CUfunction,
    blockSize: i32,
    dynamicSMemSize: usize,
) -> Result<()> {
    // SAFETY: the caller's pointer.
    unsafe {
        cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
            numBlocks,
            func,
            blockSize,
            dynamicSMemSize,
            0,
        )
    }
}

/// As [`cuOccupancyMaxActiveBlocksPerMultiprocessor`].
pub(crate) unsafe fn cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
    numBlocks: *mut i32,
    func: CUfunction,
    blockSize: i32,
    dynamicSMemSize: usize,
    flags: u32,
) -> Result<()> {
    context::current()?;
    let function = kernel::resolve_anywhere(func)?;
    if numBlocks.is_null() || flags & !FLAGS != 0 {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let blocks = active_blocks(
        &function,
        positive(blockSize)?,
        dynamicSMemSize as u64,
        flags,
    )?;
    // SAFETY: not null.
    unsafe { put(numBlocks, i32::try_from(blocks).unwrap_or(i32::MAX)) }
}

/// As [`cuOccupancyMaxPotentialBlockSizeWithFlags`] without flags.
pub(crate) unsafe fn cuOccupancyMaxPotentialBlockSize(
    minGridSize: *mut i32,
    blockSize: *mut i32,
    func: CUfunction,
    blockSizeToDynamicSMemSize: CUoccupancyB2DSize,
    dynamicSMemSize: usize,
    blockSizeLimit: i32,
) -> Result<()> {
    // SAFETY: the caller's pointers and function.
    unsafe {
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
}

/// The block size, in steps of a warp downwards from the limit, that keeps most threads of a multiprocessor busy, and the grid that fills the device with it. The
/// program's function says how much shared memory a block size takes.
pub(crate) unsafe fn cuOccupancyMaxPotentialBlockSizeWithFlags(
    minGridSize: *mut i32,
    blockSize: *mut i32,
    func: CUfunction,
    blockSizeToDynamicSMemSize: CUoccupancyB2DSize,
    dynamicSMemSize: usize,
    blockSizeLimit: i32,
    flags: u32,
) -> Result<()> {
    context::current()?;
    let function = kernel::resolve_anywhere(func)?;
    if minGridSize.is_null() || blockSize.is_null() || flags & !FLAGS != 0 {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let limit = u32::try_from(blockSizeLimit).map_err(|_| error::ERROR_INVALID_VALUE)?;
    let shared = |threads: u32| match blockSizeToDynamicSMemSize {
        // SAFETY: the program's function, called as CUDA documents it.
        Some(size) => unsafe { size(threads.cast_signed()) as u64 },
        None => dynamicSMemSize as u64,
    };
    let value = |a, otherwise| {
        let value = device_attribute(function.device, a).and_then(|v| u32::try_from(v).ok());
        value.filter(|v| *v > 0).unwrap_or(otherwise)
    };
    let most = function.attribute(attr::MAX_THREADS_PER_BLOCK);
    let most = most.and_then(|v| u32::try_from(v).ok()).unwrap_or(1024);
    let most = most.min(value(device_attr::MAX_THREADS_PER_BLOCK, 1024));
    let limit = if limit == 0 { most } else { limit.min(most) };
    let best = best_block(
        limit,
        value(device_attr::WARP_SIZE, 32),
        value(device_attr::MAX_THREADS_PER_MULTIPROCESSOR, 2048),
        |threads| active_blocks(&function, threads, shared(threads), flags),
    )?;
    let grid = best.1.saturating_mul(multiprocessors(function.device));
    // SAFETY: not null.
    unsafe {
        put(minGridSize, i32::try_from(grid).unwrap_or(i32::MAX))?;
        put(blockSize, best.0.cast_signed())
    }
}

/// Threads per block and blocks per multiprocessor with the most threads at once; the first found of equals, and no search beyond a full multiprocessor.
fn best_block(
    limit: u32,
    warp: u32,
    full: u32,
    mut blocks_of: impl FnMut(u32) -> Result<u32>,
) -> Result<(u32, u32)> {
    let mut best = (0, 0);
    let mut busiest = 0;
    let mut aligned = limit.next_multiple_of(warp);
    while aligned > 0 && busiest < full {
        let threads = aligned.min(limit);
        let blocks = blocks_of(threads)?;
        let busy = threads.saturating_mul(blocks);
        if busy > busiest {
            busiest = busy;
            best = (threads, blocks);
        }
        aligned -= warp;
    }
    Ok(best)
}

/// Dynamic shared memory that each of so many blocks of a size can have.
pub(crate) unsafe fn cuOccupancyAvailableDynamicSMemPerBlock(
    dynamicSmemSize: *mut usize,
    func: CUfunction,
    numBlocks: i32,
    blockSize: i32,
) -> Result<()> {
    context::current()?;
    let function = kernel::resolve_anywhere(func)?;
    if dynamicSmemSize.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let question = Question {
        blocks: positive(numBlocks)?,
        ..Question::new(AVAILABLE_SHARED, positive(blockSize)?)
    };
    let bytes = question.ask(&function)?;
    // SAFETY: not null.
    unsafe {
        put(
            dynamicSmemSize,
            usize::try_from(bytes).unwrap_or(usize::MAX),
        )
    }
}

/// A question about clusters.
///
/// # Safety
/// The pointers are null or the caller's.
unsafe fn cluster(
    query: u32,
    to: *mut i32,
    func: CUfunction,
    config: *const CUlaunchConfig,
) -> Result<()> {
    context::current()?;
    let function = kernel::resolve_anywhere(func)?;
    if to.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    // SAFETY: by this function's contract.
    let config = unsafe { read_config(config)? };
    // SAFETY: the configuration's array.
    let attributes = unsafe { Attributes::read(&config)? };
    let question = Question {
        grid: [config.gridDimX, config.gridDimY, config.gridDimZ],
        block: [config.blockDimX, config.blockDimY, config.blockDimZ],
        shared: u64::from(config.sharedMemBytes),
        attributes: attributes.list,
        ..Question::new(query, 1)
    };
    let answer = question.ask(&function)?;
    // SAFETY: not null.
    unsafe { put(to, i32::try_from(answer).unwrap_or(i32::MAX)) }
}

/// The largest cluster that can be launched.
pub(crate) unsafe fn cuOccupancyMaxPotentialClusterSize(
    clusterSize: *mut i32,
    func: CUfunction,
    config: *const CUlaunchConfig,
) -> Result<()> {
    // SAFETY: the caller's pointers.
    unsafe { cluster(CLUSTER_SIZE, clusterSize, func, config) }
}

/// Clusters that run at once.
pub(crate) unsafe fn cuOccupancyMaxActiveClusters(
    numClusters: *mut i32,
    func: CUfunction,
    config: *const CUlaunchConfig,
) -> Result<()> {
    // SAFETY: the caller's pointers.
    unsafe { cluster(ACTIVE_CLUSTERS, numClusters, func, config) }
}

#[cfg(test)]
mod tests {
    use super::best_block;

    /// As an H100 answers for a kernel without shared memory: 64 warps, 32 blocks, registers per thread in steps of 256 per warp.
    fn h100(registers: u32) -> impl FnMut(u32) -> super::Result<u32> {
        move |threads| {
            let warps = threads.div_ceil(32);
            let per_partition = 16384 / (registers * 32).next_multiple_of(256);
            Ok((64 / warps).min(32).min(per_partition * 4 / warps))
        }
    }

    /// What the driver said on an H100 for these kernels.
    #[test]
    fn block_sizes_as_the_driver_chooses_them() {
        for (registers, limit, expected) in [
            (8, 1024, (1024, 2)),
            (8, 100, (64, 32)),
            (8, 33, (33, 32)),
            (8, 128, (128, 16)),
            (8, 256, (256, 8)),
            (160, 384, (384, 1)),
            (160, 100, (96, 4)),
            (160, 33, (32, 12)),
            (160, 128, (128, 3)),
            (160, 256, (192, 2)),
        ] {
            assert_eq!(
                best_block(limit, 32, 2048, h100(registers)),
                Ok(expected),
                "{registers} {limit}"
            );
        }
    }

    #[test]
    fn nothing_fits() {
        assert_eq!(best_block(1024, 32, 2048, |_| Ok(0)), Ok((0, 0)));
    }
}
