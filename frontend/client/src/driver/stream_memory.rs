//! Stream memory operations: <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__MEMOP.html>.
//!
//! The GPU writes and waits. A stream that waits blocks nobody here: its later commands queue behind it, up to its credit.
#![allow(non_snake_case, reason = "CUDA's names")]

use std::ffi::c_void;

use gvirtus_wire::api::core::{MemoryOperation, StreamMemoryOperations};
use gvirtus_wire::api::types::{CUdeviceptr, CUstream, error};
use smallvec::SmallVec;

use crate::driver::{Result, context, device, session};
use crate::graph::record;
use crate::graph::work::{Operations, Work};
use crate::memory::ledger::{self, Entry};
use crate::memory::managed::Uses;
use crate::{capture, log, streams};

/// The most operations of one call.
pub(crate) const MOST: u32 = 256;
/// `CUstreamBatchMemOpType`.
const WAIT_32: u32 = 1;
const WRITE_32: u32 = 2;
pub(crate) const FLUSH: u32 = 3;
const WAIT_64: u32 = 4;
const WRITE_64: u32 = 5;
pub(crate) const BARRIER: u32 = 6;
/// `CU_STREAM_WAIT_VALUE_NOR`, the last comparison; and `…_FLUSH`.
const WAIT_LAST: u32 = 3;
const WAIT_FLUSH: u32 = 1 << 30;

/// Checks an operation; returns the host memory that it writes.
pub(crate) fn check(operation: &MemoryOperation) -> Result<Option<Entry>> {
    let (size, most_flags) = match operation.operation {
        WAIT_32 => (4, WAIT_LAST),
        WAIT_64 => (8, WAIT_LAST),
        WRITE_32 => (4, 1),
        WRITE_64 => (8, 1),
        FLUSH if operation.flags == 0 => return Ok(None),
        BARRIER if operation.flags <= 1 => return Ok(None),
        FLUSH | BARRIER => return Err(error::ERROR_INVALID_VALUE),
        _ => return Err(error::ERROR_NOT_SUPPORTED),
    };
    let waits = matches!(operation.operation, WAIT_32 | WAIT_64);
    let flags = if waits {
        operation.flags & !WAIT_FLUSH
    } else {
        operation.flags
    };
    if flags > most_flags || operation.address == 0 || !operation.address.is_multiple_of(size) {
        return Err(error::ERROR_INVALID_VALUE);
    }
    if let Some(entry) = ledger::host(operation.address) {
        if waits {
            // The program may write the word at any time, and nothing would tell the GPU.
            log::unsupported("a stream that waits for a value in host memory");
            return Err(error::ERROR_NOT_SUPPORTED);
        }
        return Ok(Some(entry));
    }
    match ledger::holds(operation.address, size) {
        Some(entry) if entry.is_managed() && waits => {
            log::unsupported("a stream that waits for a value in managed memory");
            Err(error::ERROR_NOT_SUPPORTED)
        }
        Some(entry) if !entry.has_shadow() => Ok(None),
        _ => Err(error::ERROR_INVALID_VALUE),
    }
}

fn submit(stream: CUstream, operations: Vec<MemoryOperation>) -> Result<()> {
    let session = session()?;
    let context = context::current()?;
    let mut in_place = SmallVec::<[Entry; 2]>::new();
    for operation in &operations {
        in_place.extend(check(operation)?);
    }
    session.check(context.id)?;
    let words: Vec<u8> = operations
        .iter()
        .flat_map(|operation| operation.address.to_ne_bytes())
        .collect();
    let uses = Uses::Kernel(&words);
    let recorded = capture::any().then(|| operations.clone());
    streams::submit(session, &context, stream, &in_place, uses, |stream| {
        StreamMemoryOperations { stream, operations }
    })?;
    if let Some(operations) = recorded {
        record::on_handle(session, &context, stream, || {
            Work::Operations(Operations::new(
                operations,
                context::handle(&context) as usize,
            ))
        });
    }
    Ok(())
}

/// # Errors
/// `CUDA_ERROR_NOT_SUPPORTED` where the device does not allow stream memory operations by their first interface.
fn first_interface() -> Result<()> {
    /// `CU_DEVICE_ATTRIBUTE_CAN_USE_STREAM_MEM_OPS_V1`.
    const ALLOWED: u32 = 92;
    session()?;
    match device::attribute(context::current()?.device, ALLOWED) {
        Some(1) => Ok(()),
        _ => Err(error::ERROR_NOT_SUPPORTED),
    }
}

macro_rules! single { ($($name:ident $name_v2:ident $operation:ident $value:ty;)*) => { $(
    /// One operation on a stream, by the interface of CUDA 8, which devices mostly do not allow any more.
    pub(crate) fn $name(stream: CUstream, address: CUdeviceptr, value: $value, flags: u32) -> Result<()> {
        first_interface()?;
        $name_v2(stream, address, value, flags)
    }
    /// One operation on a stream.
    pub(crate) fn $name_v2(stream: CUstream, address: CUdeviceptr, value: $value, flags: u32) -> Result<()> {
        let value = u64::from(value);
        submit(stream, vec![MemoryOperation { operation: $operation, address, value, flags }])
    }
)* } }
single! {
    cuStreamWaitValue32 cuStreamWaitValue32_v2 WAIT_32 u32;
    cuStreamWaitValue64 cuStreamWaitValue64_v2 WAIT_64 u64;
    cuStreamWriteValue32 cuStreamWriteValue32_v2 WRITE_32 u32;
    cuStreamWriteValue64 cuStreamWriteValue64_v2 WRITE_64 u64;
}

/// Several operations, in order.
pub(crate) unsafe fn cuStreamBatchMemOp_v2(
    stream: CUstream,
    count: u32,
    parameters: *mut c_void,
    flags: u32,
) -> Result<()> {
    session()?;
    if parameters.is_null() || count > MOST || flags != 0 {
        return Err(error::ERROR_INVALID_VALUE);
    }
    if count == 0 {
        return streams::resolve(session()?, &*context::current()?, stream).map(drop);
    }
    // SAFETY: the caller gives an array of `count` unions.
    let operations = unsafe { read_operations(parameters, count) };
    submit(stream, operations)
}

/// The operations that a program describes.
///
/// # Safety
/// An array of `count` unions of six words.
pub(crate) unsafe fn read_operations(
    parameters: *const c_void,
    count: u32,
) -> Vec<MemoryOperation> {
    let read = |at: usize| {
        // SAFETY: this function's contract.
        let words: [u64; 6] = unsafe { parameters.cast::<[u64; 6]>().add(at).read_unaligned() };
        let operation = words[0] as u32;
        match operation {
            // Flags follow the operation.
            FLUSH | BARRIER => MemoryOperation {
                operation,
                flags: (words[0] >> 32) as u32,
                ..MemoryOperation::default()
            },
            WAIT_32 | WRITE_32 => MemoryOperation {
                operation,
                address: words[1],
                value: words[2] & 0xffff_ffff,
                flags: words[3] as u32,
            },
            _ => MemoryOperation {
                operation,
                address: words[1],
                value: words[2],
                flags: words[3] as u32,
            },
        }
    };
    (0..count as usize).map(read).collect()
}

/// As [`cuStreamBatchMemOp_v2`].
pub(crate) unsafe fn cuStreamBatchMemOp(
    stream: CUstream,
    count: u32,
    parameters: *mut c_void,
    flags: u32,
) -> Result<()> {
    first_interface()?;
    // SAFETY: the caller's pointers.
    unsafe { cuStreamBatchMemOp_v2(stream, count, parameters, flags) }
}
