//! Pinned memory that the GPU writes results to which the client waits for on the host: so no thread of the worker waits inside the library.

use std::ffi::c_void;

use parking_lot::Mutex;

use crate::host::Host;

/// Bytes of one block: as many as all results of one call take.
pub(crate) const BLOCK: usize = 256;

/// `CU_MEMHOSTALLOC_PORTABLE`.
const PORTABLE: u32 = 1;

/// Free blocks.
#[derive(Debug, Default)]
pub(crate) struct Results(Mutex<Vec<usize>>);

impl Results {
    /// A block. A context is current.
    ///
    /// # Errors
    /// A CUDA status.
    pub(crate) fn take(&self, host: &Host) -> Result<usize, i32> {
        if let Some(block) = self.0.lock().pop() {
            return Ok(block);
        }
        let address = host.driver_symbol(c"cuMemHostAlloc");
        if address.is_null() {
            return Err(801);
        }
        let mut block = std::ptr::null_mut();
        // SAFETY: the driver's function has this signature; the address is that of a local.
        let status = unsafe {
            let allocate: unsafe extern "C" fn(*mut *mut c_void, usize, u32) -> i32 =
                std::mem::transmute(address);
            allocate(&raw mut block, BLOCK, PORTABLE)
        };
        if status == 0 {
            Ok(block as usize)
        } else {
            Err(status)
        }
    }

    /// Gives a block back that no work writes to any more.
    pub(crate) fn give(&self, block: usize) {
        self.0.lock().push(block);
    }
}
