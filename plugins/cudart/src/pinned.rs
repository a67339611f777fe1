//! Memory of the worker itself that the GPU may read and write: progress words, staging.
//!
//! It is mapped by us and registered with the driver, never allocated by the driver: when a context dies its registrations go with it, and whoever still looks at the
//! memory finds it mapped.

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

use crate::driver::{Driver, cu};
use crate::errors::{ERROR_OUT_OF_MEMORY, Result};

/// `CU_MEMHOSTREGISTER_PORTABLE | CU_MEMHOSTREGISTER_DEVICEMAP`.
pub(crate) const PORTABLE_MAPPED: u32 = 3;

/// A registered mapping. Not released on drop: [`Block::release`] does that, on a thread that may wait for the driver.
#[derive(Debug)]
pub(crate) struct Block {
    /// Where it lies in the worker.
    pub(crate) start: usize,
    /// Where it lies for the device.
    pub(crate) device: u64,
    /// Bytes.
    pub(crate) len: usize,
}

impl Block {
    /// Maps and registers memory in the current context.
    pub(crate) fn new(driver: &Driver, len: usize) -> Result<Self> {
        // SAFETY: a new mapping at an address of the kernel's choosing.
        let start = unsafe {
            mmap_anonymous(
                std::ptr::null_mut(),
                len,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::PRIVATE | MapFlags::POPULATE,
            )
        }
        .map_err(|_| ERROR_OUT_OF_MEMORY)?;
        let mut device = 0;
        let registered =
            cu!(driver, cuMemHostRegister_v2(start, len, PORTABLE_MAPPED)).and_then(|()| {
                cu!(
                    driver,
                    cuMemHostGetDevicePointer_v2(&raw mut device, start, 0)
                )
            });
        if let Err(status) = registered {
            // SAFETY: mapped above, and nobody else knows of it.
            let _ = unsafe { munmap(start, len) };
            return Err(status);
        }
        Ok(Self {
            start: start as usize,
            device,
            len,
        })
    }

    /// Unregisters (if the context still lives) and unmaps. May wait for the GPU.
    pub(crate) fn release(self, driver: &Driver, context_alive: bool) {
        let start = self.start as *mut std::ffi::c_void;
        if context_alive && cu!(driver, cuMemHostUnregister(start)).is_err() {
            // Still registered, so the GPU may still write there: leaking is the safe way.
            return;
        }
        // SAFETY: mapped by `new`, unregistered, and owned by this value alone.
        let _ = unsafe { munmap(start, self.len) };
    }
}
