//! Memory of the worker itself that the GPU may read and write: progress words, staging.
//!
//! It is mapped by us and registered with the driver, never allocated by the driver: when a context dies its registrations go with it, and whoever still looks at the
//! memory finds it mapped.

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};

use crate::driver::{Driver, cu};
use crate::errors::{ERROR_OUT_OF_MEMORY, Result};

/// `CU_MEMHOSTREGISTER_PORTABLE | CU_MEMHOSTREGISTER_DEVICEMAP`.
pub(crate) const PORTABLE_MAPPED: u32 = 3;

/// What the processors of our machines map at once.
const LARGE_PAGE: usize = 2 << 20;

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

/// Maps memory that is there. What is large begins at a large page and is made of such where the system has them: the kernel copies through it to and from sockets, and
/// finds a page in its tables for every 4 KiB otherwise.
fn map(len: usize) -> Result<*mut std::ffi::c_void> {
    let slack = if len < LARGE_PAGE { 0 } else { LARGE_PAGE };
    let whole = len.checked_add(slack).ok_or(ERROR_OUT_OF_MEMORY)?;
    // SAFETY: a new mapping at an address of the kernel's choosing.
    let mapped = unsafe {
        mmap_anonymous(
            std::ptr::null_mut(),
            whole,
            ProtFlags::READ | ProtFlags::WRITE,
            MapFlags::PRIVATE,
        )
    }
    .map_err(|_| ERROR_OUT_OF_MEMORY)?;
    let before = (mapped as usize).next_multiple_of(slack.max(1)) - mapped as usize;
    let start = mapped.wrapping_byte_add(before);
    for (part, bytes) in [
        (mapped, before),
        (start.wrapping_byte_add(len), slack - before),
    ] {
        if bytes > 0 {
            // SAFETY: an end of the mapping that nobody knows of; its pages are whole, since `len` counts pages.
            let _ = unsafe { munmap(part, bytes) };
        }
    }
    // SAFETY: mapped just now. Both are advice: without them pages are small, and come when they are registered.
    unsafe {
        if slack > 0 {
            let _ = madvise(start, len, Advice::LinuxHugepage);
        }
        let _ = madvise(start, len, Advice::LinuxPopulateWrite);
    }
    Ok(start)
}

impl Block {
    /// Maps and registers memory in the current context.
    pub(crate) fn new(driver: &Driver, len: usize) -> Result<Self> {
        let start = map(len)?;
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
