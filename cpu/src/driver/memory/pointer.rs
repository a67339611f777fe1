//! What is behind a pointer.
//!
//! See <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__UNIFIED.html>.

use std::ffi::c_void;

use super::{Allocation, Kind, memory};
use crate::driver::error::{ERROR_INVALID_VALUE, ERROR_NOT_SUPPORTED, Result};
use crate::driver::{context, ffi, state};

/// `CUpointer_attribute`.
mod attribute {
    pub(super) const CONTEXT: u32 = 1;
    pub(super) const MEMORY_TYPE: u32 = 2;
    pub(super) const DEVICE_POINTER: u32 = 3;
    pub(super) const HOST_POINTER: u32 = 4;
    pub(super) const P2P_TOKENS: u32 = 5;
    pub(super) const SYNC_MEMOPS: u32 = 6;
    pub(super) const BUFFER_ID: u32 = 7;
    pub(super) const IS_MANAGED: u32 = 8;
    pub(super) const DEVICE_ORDINAL: u32 = 9;
    pub(super) const IS_LEGACY_IPC_CAPABLE: u32 = 10;
    pub(super) const RANGE_START: u32 = 11;
    pub(super) const RANGE_SIZE: u32 = 12;
    pub(super) const MAPPED: u32 = 13;
    pub(super) const ALLOWED_HANDLE_TYPES: u32 = 14;
    pub(super) const IS_RDMA_CAPABLE: u32 = 15;
    pub(super) const ACCESS_FLAGS: u32 = 16;
    pub(super) const MEMPOOL_HANDLE: u32 = 17;
    pub(super) const MAPPING_SIZE: u32 = 18;
    pub(super) const MAPPING_BASE: u32 = 19;
    pub(super) const MEMORY_BLOCK_ID: u32 = 20;
    pub(super) const IS_DECOMPRESS_CAPABLE: u32 = 21;
}

/// `CU_MEMORYTYPE_HOST`, `CU_MEMORYTYPE_DEVICE`.
const HOST: u32 = 1;
const DEVICE: u32 = 2;

/// Writes one attribute of a known pointer.
fn write(data: *mut c_void, which: u32, pointer: u64, allocation: &Allocation) -> Result {
    let is_host = allocation.kind.is_host();
    match which {
        attribute::CONTEXT => {
            let owner = context::by_id(allocation.context).map_or(0, |context| context.handle);
            ffi::put(data.cast(), owner)
        }
        attribute::MEMORY_TYPE => ffi::put(data.cast(), if is_host { HOST } else { DEVICE }),
        attribute::DEVICE_POINTER => ffi::put(data.cast(), pointer),
        attribute::HOST_POINTER if is_host => ffi::put(data.cast(), pointer),
        // Device memory is not to be touched by the program, even though it happens to be host memory.
        attribute::HOST_POINTER => Err(ERROR_INVALID_VALUE),
        attribute::P2P_TOKENS => Err(ERROR_NOT_SUPPORTED),
        attribute::SYNC_MEMOPS => ffi::put(data.cast::<u32>(), 0),
        attribute::IS_MANAGED => ffi::put(
            data.cast::<u32>(),
            u32::from(allocation.kind == Kind::Managed),
        ),
        attribute::BUFFER_ID | attribute::MEMORY_BLOCK_ID => {
            ffi::put(data.cast(), allocation.buffer)
        }
        attribute::DEVICE_ORDINAL => ffi::put(data.cast(), allocation.device as i32),
        attribute::IS_LEGACY_IPC_CAPABLE
        | attribute::IS_RDMA_CAPABLE
        | attribute::IS_DECOMPRESS_CAPABLE => ffi::put(data.cast::<u8>(), 0),
        attribute::RANGE_START | attribute::MAPPING_BASE => ffi::put(data.cast(), allocation.start),
        attribute::RANGE_SIZE | attribute::MAPPING_SIZE => {
            ffi::put(data.cast(), allocation.size as usize)
        }
        attribute::MAPPED => ffi::put(data.cast::<u8>(), 1),
        attribute::ALLOWED_HANDLE_TYPES | attribute::MEMPOOL_HANDLE => {
            ffi::put(data.cast::<u64>(), 0)
        }
        attribute::ACCESS_FLAGS => {
            let readable = allocation.kind != Kind::Mapped
                || memory().accessible(allocation.device, pointer, 1);
            ffi::put(data.cast::<u32>(), if readable { 3 } else { 0 })
        }
        _ => Err(ERROR_INVALID_VALUE),
    }
}

/// Writes what `cuPointerGetAttributes` says of a pointer that CUDA does not know.
fn write_unknown(data: *mut c_void, which: u32) -> Result {
    match which {
        attribute::DEVICE_ORDINAL => ffi::put(data.cast::<i32>(), -2),
        attribute::MEMORY_TYPE
        | attribute::SYNC_MEMOPS
        | attribute::IS_MANAGED
        | attribute::ACCESS_FLAGS => ffi::put(data.cast::<u32>(), 0),
        attribute::IS_LEGACY_IPC_CAPABLE
        | attribute::IS_RDMA_CAPABLE
        | attribute::IS_DECOMPRESS_CAPABLE
        | attribute::MAPPED => ffi::put(data.cast::<u8>(), 0),
        attribute::P2P_TOKENS => Err(ERROR_NOT_SUPPORTED),
        attribute::CONTEXT..=attribute::IS_DECOMPRESS_CAPABLE => ffi::put(data.cast::<u64>(), 0),
        _ => Err(ERROR_INVALID_VALUE),
    }
}

pub(in crate::driver) fn cuPointerGetAttribute(
    data: *mut c_void,
    attribute: u32,
    ptr: u64,
) -> Result {
    state::require()?;
    let allocation = memory().allocation(ptr).ok_or(ERROR_INVALID_VALUE)?;
    write(data, attribute, ptr, &allocation)
}

pub(in crate::driver) fn cuPointerGetAttributes(
    numAttributes: u32,
    attributes: *mut u32,
    data: *mut *mut c_void,
    ptr: u64,
) -> Result {
    state::require()?;
    let wanted = ffi::get_slice(attributes, numAttributes as usize)?;
    let outputs = ffi::get_slice(data, numAttributes as usize)?;
    let allocation = memory().allocation(ptr);
    for (&which, &out) in wanted.iter().zip(&outputs) {
        match &allocation {
            Some(allocation) => match write(out, which, ptr, allocation) {
                // Attributes that do not apply to this sort of memory read as zero here.
                Err(ERROR_INVALID_VALUE) if which == attribute::HOST_POINTER => {
                    ffi::put(out.cast::<u64>(), 0)?
                }
                other => other?,
            },
            None => write_unknown(out, which)?,
        }
    }
    Ok(())
}
