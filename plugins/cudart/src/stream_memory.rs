//! Stream memory operations: words that streams write, and words that they wait for. The GPU does the waiting; no thread of the worker does.
//!
//! See <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__MEMOP.html>.

use gvirtus_wire::api::core::{MemoryOperation, StreamMemoryOperations};
use gvirtus_wire::command::{Answer, Handle as Handler};
use gvirtus_wire::frame::Header;

use crate::driver::cu;
use crate::errors::{ERROR_INVALID_VALUE, ERROR_NOT_SUPPORTED, Result};
use crate::session::Session;

/// The most operations of one command, as CUDA documents.
const MOST: usize = 256;
/// `CUstreamBatchMemOpType`.
const WAIT_32: u32 = 1;
const WRITE_32: u32 = 2;
const FLUSH: u32 = 3;
const WAIT_64: u32 = 4;
const WRITE_64: u32 = 5;
const BARRIER: u32 = 6;

/// `CUstreamBatchMemOpParams` as words: operation, address, value, flags.
type Raw = [u64; 6];

impl Session {
    /// What the driver is given for an operation, with its address checked.
    fn memory_operation(&self, operation: &MemoryOperation) -> Result<Raw> {
        let size = match operation.operation {
            WAIT_32 | WRITE_32 => 4,
            WAIT_64 | WRITE_64 => 8,
            // Flags follow the operation in the same word.
            FLUSH | BARRIER => {
                let word = u64::from(operation.operation) | u64::from(operation.flags) << 32;
                return Ok([word, 0, 0, 0, 0, 0]);
            }
            _ => return Err(ERROR_NOT_SUPPORTED),
        };
        let address = operation.address;
        if !address.is_multiple_of(size) {
            return Err(ERROR_INVALID_VALUE);
        }
        let writes = matches!(operation.operation, WRITE_32 | WRITE_64);
        let at = if self.memory.owner(address, size).is_some() {
            address
        } else if writes || self.host_memory.is_shared(address, size) {
            // What the program writes to its pinned memory does not reach a wait on the shadow: only writes make sense there.
            self.host_memory
                .shadow(address, size)
                .ok_or(ERROR_INVALID_VALUE)?
        } else {
            return Err(ERROR_INVALID_VALUE);
        };
        Ok([
            u64::from(operation.operation),
            at,
            operation.value,
            u64::from(operation.flags),
            0,
            0,
        ])
    }
}

impl Handler<StreamMemoryOperations> for Session {
    fn handle(&self, header: &Header, command: StreamMemoryOperations) -> Result<Answer<()>> {
        // No waiting for the stream, even if a reply is wanted: what it waits for may be in commands to come.
        self.on_stream(header, command.stream, |stream| {
            if command.operations.is_empty() || command.operations.len() > MOST {
                return Err(ERROR_INVALID_VALUE);
            }
            let mut raw = command
                .operations
                .iter()
                .map(|operation| self.memory_operation(operation))
                .collect::<Result<Vec<Raw>>>()?;
            let (count, at) = (raw.len() as u32, raw.as_mut_ptr().cast());
            if self.driver.cuStreamBatchMemOp_v2.is_some() {
                cu!(
                    self.driver,
                    cuStreamBatchMemOp_v2(stream.raw.ptr(), count, at, 0)
                )
            } else {
                cu!(
                    self.driver,
                    cuStreamBatchMemOp(stream.raw.ptr(), count, at, 0)
                )
            }
        })
        .map(Answer::Now)
    }
}
