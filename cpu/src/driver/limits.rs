//! Limits, flags and cache settings of a context.
//!
//! See <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__CTX.html>.

use std::sync::atomic::Ordering;

use super::error::{ERROR_INVALID_VALUE, ERROR_UNSUPPORTED_LIMIT, Result};
use super::scheduler::GREATEST_PRIORITY;
use super::{context, ffi};

/// `CU_CTX_FLAGS_MASK`: scheduling, mapped host memory, local memory, core dumps, synchronous memory operations.
pub(super) const CONTEXT_FLAGS: u32 = 0xff;

/// What `cuCtxSetLimit` sets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    stack: usize,
    /// Bytes of printed text that are kept until the next flush.
    pub(super) printf_fifo: usize,
    /// Bytes of the heap of kernels' `malloc`.
    pub(super) malloc_heap: usize,
    sync_depth: usize,
    pending_launches: usize,
    l2_fetch: usize,
    cache_config: u32,
    shared_config: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            stack: 1024,
            printf_fifo: 1 << 20,
            malloc_heap: 8 << 20,
            sync_depth: 2,
            pending_launches: 2048,
            l2_fetch: 64,
            cache_config: 0,
            shared_config: 1,
        }
    }
}

/// `CUlimit`.
mod limit {
    pub(super) const STACK_SIZE: u32 = 0;
    pub(super) const PRINTF_FIFO_SIZE: u32 = 1;
    pub(super) const MALLOC_HEAP_SIZE: u32 = 2;
    pub(super) const SYNC_DEPTH: u32 = 3;
    pub(super) const PENDING_LAUNCHES: u32 = 4;
    pub(super) const L2_FETCH: u32 = 5;
    pub(super) const PERSISTING_L2: u32 = 6;
    pub(super) const LAST: u32 = 9;
}

pub(super) fn cuCtxSetLimit(limit: u32, value: usize) -> Result {
    let context = context::current()?;
    if limit == limit::MALLOC_HEAP_SIZE && context.heap.lock().is_some() {
        // The heap is in use already; CUDA refuses this too.
        return Err(ERROR_INVALID_VALUE);
    }
    let mut limits = context.limits.lock();
    match limit {
        limit::STACK_SIZE => limits.stack = value.min(512 << 10).next_multiple_of(16),
        limit::PRINTF_FIFO_SIZE => limits.printf_fifo = value.clamp(4096, 1 << 30),
        limit::MALLOC_HEAP_SIZE => limits.malloc_heap = value.clamp(1 << 16, 1 << 40),
        limit::SYNC_DEPTH => limits.sync_depth = value,
        limit::PENDING_LAUNCHES => limits.pending_launches = value,
        limit::L2_FETCH => limits.l2_fetch = value.min(128),
        limit::PERSISTING_L2..=limit::LAST => return Err(ERROR_UNSUPPORTED_LIMIT),
        _ => return Err(ERROR_INVALID_VALUE),
    }
    context.output.set_capacity(limits.printf_fifo);
    Ok(())
}

pub(super) fn cuCtxGetLimit(pvalue: *mut usize, limit: u32) -> Result {
    let context = context::current()?;
    let limits = *context.limits.lock();
    let value = match limit {
        limit::STACK_SIZE => limits.stack,
        limit::PRINTF_FIFO_SIZE => limits.printf_fifo,
        limit::MALLOC_HEAP_SIZE => limits.malloc_heap,
        limit::SYNC_DEPTH => limits.sync_depth,
        limit::PENDING_LAUNCHES => limits.pending_launches,
        limit::L2_FETCH => limits.l2_fetch,
        limit::PERSISTING_L2 => 0,
        7..=limit::LAST => return Err(ERROR_UNSUPPORTED_LIMIT),
        _ => return Err(ERROR_INVALID_VALUE),
    };
    ffi::put(pvalue, value)
}

pub(super) fn cuCtxGetFlags(flags: *mut u32) -> Result {
    let context = context::current()?;
    ffi::put(flags, context.flags.load(Ordering::Acquire))
}

pub(super) fn cuCtxSetFlags(flags: u32) -> Result {
    let context = context::current()?;
    if flags & !CONTEXT_FLAGS != 0 {
        return Err(ERROR_INVALID_VALUE);
    }
    context.flags.store(flags, Ordering::Release);
    Ok(())
}

pub(super) fn cuCtxGetCacheConfig(pconfig: *mut u32) -> Result {
    let context = context::current()?;
    let config = context.limits.lock().cache_config;
    ffi::put(pconfig, config)
}

pub(super) fn cuCtxSetCacheConfig(config: u32) -> Result {
    let context = context::current()?;
    if config > 3 {
        return Err(ERROR_INVALID_VALUE);
    }
    context.limits.lock().cache_config = config;
    Ok(())
}

pub(super) fn cuCtxGetSharedMemConfig(pConfig: *mut u32) -> Result {
    let context = context::current()?;
    let config = context.limits.lock().shared_config;
    ffi::put(pConfig, config)
}

pub(super) fn cuCtxSetSharedMemConfig(config: u32) -> Result {
    // Banks are 4 bytes wide on this compute capability whatever is asked for; CUDA accepts the call too.
    context::current()?;
    if config > 2 {
        Err(ERROR_INVALID_VALUE)
    } else {
        Ok(())
    }
}

pub(super) fn cuCtxGetStreamPriorityRange(
    leastPriority: *mut i32,
    greatestPriority: *mut i32,
) -> Result {
    context::current()?;
    ffi::put_optional(leastPriority, 0);
    ffi::put_optional(greatestPriority, GREATEST_PRIORITY);
    Ok(())
}
