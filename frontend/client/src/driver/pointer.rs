//! What a pointer is: <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__UNIFIED.html>. Answered from the client's ledger.
#![allow(non_snake_case, reason = "CUDA's names")]

use std::ffi::c_void;

use gvirtus_wire::api::types::{CUdeviceptr, CUresult, error};

use crate::driver::{Result, context, put, session};
use crate::memory::ledger::{self, Entry, Kind};

/// `CUpointer_attribute`.
mod attribute {
    pub(super) const CONTEXT: u32 = 1;
    pub(super) const MEMORY_TYPE: u32 = 2;
    pub(super) const DEVICE_POINTER: u32 = 3;
    pub(super) const HOST_POINTER: u32 = 4;
    pub(super) const SYNC_MEMOPS: u32 = 6;
    pub(super) const BUFFER_ID: u32 = 7;
    pub(super) const IS_MANAGED: u32 = 8;
    pub(super) const DEVICE_ORDINAL: u32 = 9;
    pub(super) const IS_LEGACY_IPC_CAPABLE: u32 = 10;
    pub(super) const RANGE_START: u32 = 11;
    pub(super) const RANGE_SIZE: u32 = 12;
    pub(super) const MAPPED: u32 = 13;
    pub(super) const ALLOWED_HANDLE_TYPES: u32 = 14;
    pub(super) const IS_GPU_DIRECT_RDMA_CAPABLE: u32 = 15;
    pub(super) const ACCESS_FLAGS: u32 = 16;
    pub(super) const MEMPOOL_HANDLE: u32 = 17;
    pub(super) const MAPPING_SIZE: u32 = 18;
    pub(super) const MAPPING_BASE_ADDR: u32 = 19;
    pub(super) const MEMORY_BLOCK_ID: u32 = 20;
}

const MEMORYTYPE_HOST: u32 = 1;
const MEMORYTYPE_DEVICE: u32 = 2;
/// `CU_POINTER_ATTRIBUTE_ACCESS_FLAG_READWRITE`.
const READWRITE: u32 = 3;

/// An attribute's value with the size that CUDA writes it in.
enum Value {
    U32(u32),
    U64(u64),
    Bool(bool),
}

impl Value {
    /// # Safety
    /// `data` must be valid for a write of the attribute's type.
    unsafe fn write(self, data: *mut c_void) -> Result<()> {
        // SAFETY: this function's contract.
        unsafe {
            match self {
                Self::U32(v) => put(data.cast(), v),
                Self::U64(v) => put(data.cast(), v),
                Self::Bool(v) => put(data.cast::<u8>(), u8::from(v)),
            }
        }
    }
}

fn value(entry: &Entry, address: u64, attribute: u32) -> std::result::Result<Value, CUresult> {
    let offset = address - entry.address;
    let device_pointer = match entry.kind {
        Kind::Registered { device_pointer } => device_pointer + offset,
        _ => address,
    };
    Ok(match attribute {
        attribute::CONTEXT => Value::U64(context::handle_of(entry.context) as u64),
        attribute::MEMORY_TYPE => Value::U32(if entry.is_device() {
            MEMORYTYPE_DEVICE
        } else {
            MEMORYTYPE_HOST
        }),
        attribute::DEVICE_POINTER => Value::U64(device_pointer),
        attribute::HOST_POINTER if entry.is_device() && !entry.is_managed() => {
            return Err(error::ERROR_INVALID_VALUE);
        }
        attribute::HOST_POINTER => Value::U64(address),
        // The driver writes a whole word for "is managed": static cudart reads one that it has not initialised.
        attribute::IS_MANAGED => Value::U32(u32::from(entry.is_managed())),
        attribute::SYNC_MEMOPS => Value::U32(u32::from(ledger::is_synchronous(address))),
        attribute::IS_LEGACY_IPC_CAPABLE => Value::U32(u32::from(entry.kind == Kind::Device)),
        attribute::BUFFER_ID | attribute::MEMORY_BLOCK_ID => Value::U64(entry.address),
        attribute::IS_GPU_DIRECT_RDMA_CAPABLE => Value::Bool(false),
        attribute::DEVICE_ORDINAL => Value::U32(entry.device),
        attribute::RANGE_START | attribute::MAPPING_BASE_ADDR => Value::U64(entry.address),
        attribute::RANGE_SIZE | attribute::MAPPING_SIZE => Value::U64(entry.size),
        attribute::MAPPED => Value::Bool(true),
        attribute::MEMPOOL_HANDLE => Value::U64(match entry.kind {
            Kind::Pooled { pool } | Kind::Imported { pool } => pool,
            _ => 0,
        }),
        attribute::ALLOWED_HANDLE_TYPES => Value::U64(0),
        attribute::ACCESS_FLAGS => Value::U32(READWRITE),
        _ => return Err(error::ERROR_INVALID_VALUE),
    })
}

/// One attribute of the memory that an address lies in.
pub(crate) unsafe fn cuPointerGetAttribute(
    data: *mut c_void,
    attribute: u32,
    address: CUdeviceptr,
) -> Result<()> {
    session()?;
    context::current()?;
    if data.is_null() || address == 0 {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let entry = ledger::find(address).ok_or(error::ERROR_INVALID_VALUE)?;
    // SAFETY: the caller's pointer, to an object of the attribute's type.
    unsafe { value(&entry, address, attribute)?.write(data) }
}

/// Sets the one attribute that can be set: whether copies and sets of this memory always wait.
pub(crate) unsafe fn cuPointerSetAttribute(
    value: *const c_void,
    attribute: u32,
    ptr: CUdeviceptr,
) -> Result<()> {
    session()?;
    context::current()?;
    if value.is_null() || attribute != attribute::SYNC_MEMOPS {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let entry = ledger::find(ptr).ok_or(error::ERROR_INVALID_VALUE)?;
    // SAFETY: not null; the caller gives an object of the attribute's type.
    let on = unsafe { value.cast::<u32>().read_unaligned() } != 0;
    ledger::set_synchronous(entry.address, on);
    Ok(())
}

/// Several attributes. Unknown memory is no error: its values are zero (and the ordinal -2, as natively).
pub(crate) unsafe fn cuPointerGetAttributes(
    count: u32,
    attributes: *mut u32,
    data: *mut *mut c_void,
    address: CUdeviceptr,
) -> Result<()> {
    // No context need be current: the runtime asks on threads that have not used CUDA yet.
    session()?;
    if attributes.is_null() || data.is_null() || count == 0 {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let entry = ledger::find(address);
    for i in 0..count as usize {
        // SAFETY: the caller gives arrays of `count` elements.
        let (attribute, to) = unsafe { (*attributes.add(i), *data.add(i)) };
        let found = match &entry {
            Some(entry) => value(entry, address, attribute).unwrap_or(Value::U64(0)),
            None => match attribute {
                attribute::MEMORY_TYPE
                | attribute::SYNC_MEMOPS
                | attribute::IS_LEGACY_IPC_CAPABLE
                | attribute::ACCESS_FLAGS
                | attribute::IS_MANAGED => Value::U32(0),
                // Memory of the program's own, of which CUDA knows nothing.
                attribute::HOST_POINTER => Value::U64(address),
                attribute::DEVICE_ORDINAL => Value::U32(-2_i32 as u32),
                attribute::MAPPED | attribute::IS_GPU_DIRECT_RDMA_CAPABLE => Value::Bool(false),
                1..=20 => Value::U64(0),
                _ => return Err(error::ERROR_INVALID_VALUE),
            },
        };
        // SAFETY: the caller's pointer, to an object of the attribute's type.
        unsafe { found.write(to)? };
    }
    Ok(())
}
