//! Physical memory of a device: one sparse memory file, handed out in granules of 2 MiB.
//!
//! A file rather than anonymous memory, so that the same memory can be mapped at several addresses, as CUDA's virtual memory management allows; one file per
//! device rather than one per allocation, so that the number of allocations is not bounded by the limit of open files. Memory that other processes may import has a file
//! of its own: they get that alone, and it lives as long as anybody uses it.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use parking_lot::Mutex;

use super::GRANULE;
use super::quiescence::Deferred;
use crate::driver::error::{
    ERROR_INVALID_VALUE, ERROR_OPERATING_SYSTEM, ERROR_OUT_OF_MEMORY, Result,
};

/// What files of memory that can be shared are called, before the number of their device.
const SHARED: &str = "gvirtus-cpu-shared-";

/// A run of granules.
#[derive(Debug, Clone, Copy)]
pub(in crate::driver) struct Extent {
    first: u64,
    count: u64,
}

/// The memory of one device.
pub(in crate::driver) struct Physical {
    file: OwnedFd,
    granules: u64,
    /// Free runs: first granule to count, never adjacent.
    free: Mutex<BTreeMap<u64, u64>>,
}

impl Physical {
    /// # Errors
    /// `CUDA_ERROR_OPERATING_SYSTEM` when the host gives no memory file.
    pub(in crate::driver) fn new(bytes: u64) -> Result<Self> {
        // SAFETY: the name is a C string literal; the result is checked.
        let raw = unsafe { libc::memfd_create(c"gvirtus-cpu-device".as_ptr(), libc::MFD_CLOEXEC) };
        if raw < 0 {
            return Err(ERROR_OPERATING_SYSTEM);
        }
        // SAFETY: a fresh descriptor that nobody else owns.
        let file = unsafe { OwnedFd::from_raw_fd(raw) };
        let length = libc::off_t::try_from(bytes).map_err(|_| ERROR_OPERATING_SYSTEM)?;
        // SAFETY: a valid descriptor.
        if unsafe { libc::ftruncate(file.as_raw_fd(), length) } != 0 {
            return Err(ERROR_OPERATING_SYSTEM);
        }
        let granules = bytes / GRANULE;
        Ok(Self {
            file,
            granules,
            free: Mutex::new(BTreeMap::from([(0, granules)])),
        })
    }

    pub(in crate::driver) fn total(&self) -> u64 {
        self.granules * GRANULE
    }

    pub(in crate::driver) fn available(&self) -> u64 {
        self.free.lock().values().sum::<u64>() * GRANULE
    }

    /// Takes `bytes` (a multiple of [`GRANULE`]): the first run that holds all of it, else runs from the front.
    fn take(&self, bytes: u64) -> Result<Vec<Extent>> {
        let mut wanted = bytes / GRANULE;
        let mut free = self.free.lock();
        if let Some((&first, &count)) = free.iter().find(|(_, count)| **count >= wanted) {
            free.remove(&first);
            if count > wanted {
                free.insert(first + wanted, count - wanted);
            }
            return Ok(vec![Extent {
                first,
                count: wanted,
            }]);
        }
        if free.values().sum::<u64>() < wanted {
            return Err(ERROR_OUT_OF_MEMORY);
        }
        let mut extents = Vec::new();
        while wanted > 0 {
            let Some((first, count)) = free.pop_first() else {
                break;
            };
            let used = count.min(wanted);
            if count > used {
                free.insert(first + used, count - used);
            }
            extents.push(Extent { first, count: used });
            wanted -= used;
        }
        Ok(extents)
    }

    /// Gives granules back to the host and to the free list.
    pub(super) fn give_back(&self, extents: &[Extent]) {
        for extent in extents {
            let (offset, length) = (
                (extent.first * GRANULE) as libc::off_t,
                (extent.count * GRANULE) as libc::off_t,
            );
            // SAFETY: a valid descriptor; the range lies in the file. A failure only leaves the pages in use.
            unsafe {
                libc::fallocate(
                    self.file.as_raw_fd(),
                    libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE,
                    offset,
                    length,
                )
            };
        }
        let mut free = self.free.lock();
        for &Extent {
            mut first,
            mut count,
        } in extents
        {
            if let Some((&before, &length)) = free.range(..first).next_back()
                && before + length == first
            {
                free.remove(&before);
                (first, count) = (before, length + count);
            }
            if let Some(after) = free.remove(&(first + count)) {
                count += after;
            }
            free.insert(first, count);
        }
    }
}

/// Physical memory that belongs together: what `cuMemCreate` makes, or what backs a `cuMemAlloc`. Dropping the last reference frees it.
pub(in crate::driver) struct Block {
    pub(super) device: usize,
    pub(super) size: u64,
    extents: Vec<Extent>,
    /// A file of its own, for memory that other processes may import. It counts as the extents' granules, which stay empty; imported memory counts where it was made.
    file: Option<OwnedFd>,
}

impl Block {
    /// Takes `size` bytes (a multiple of [`GRANULE`]) of a device's memory.
    ///
    /// # Errors
    /// `CUDA_ERROR_OUT_OF_MEMORY` exactly when fewer bytes are free.
    pub(super) fn new(device: usize, size: u64) -> Result<Self> {
        Ok(Self {
            device,
            size,
            extents: super::memory().physical(device).take(size)?,
            file: None,
        })
    }

    /// [`new`](Self::new) for memory that other processes may import.
    ///
    /// # Errors
    /// As for `new`; `CUDA_ERROR_OUT_OF_MEMORY` also when the host gives no memory file.
    pub(super) fn exportable(device: usize, size: u64) -> Result<Self> {
        let mut block = Self::new(device, size)?;
        // The name says whose memory it is to a process that imports it.
        let name = CString::new(format!("{SHARED}{device}")).map_err(|_| ERROR_OUT_OF_MEMORY)?;
        // SAFETY: the name is a C string; the result is checked.
        let raw = unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC) };
        if raw < 0 {
            return Err(ERROR_OUT_OF_MEMORY);
        }
        // SAFETY: a fresh descriptor that nobody else owns.
        let file = unsafe { OwnedFd::from_raw_fd(raw) };
        // SAFETY: a valid descriptor.
        if unsafe { libc::ftruncate(file.as_raw_fd(), size as libc::off_t) } != 0 {
            return Err(ERROR_OUT_OF_MEMORY);
        }
        block.file = Some(file);
        Ok(block)
    }

    /// Memory of another process.
    ///
    /// # Errors
    /// `CUDA_ERROR_INVALID_VALUE` for a file that cannot be such memory.
    pub(super) fn imported(file: OwnedFd) -> Result<Self> {
        let name = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))
            .map_err(|_| ERROR_OPERATING_SYSTEM)?;
        let device = name
            .to_str()
            .and_then(|name| name.split_once(SHARED))
            .and_then(|(_, rest)| rest.split_whitespace().next()?.parse::<usize>().ok())
            .filter(|device| *device < super::memory().devices.len())
            .ok_or(ERROR_INVALID_VALUE)?;
        let size = File::from(file.try_clone().map_err(|_| ERROR_OPERATING_SYSTEM)?)
            .metadata()
            .map_err(|_| ERROR_INVALID_VALUE)?
            .len();
        if size == 0 || !size.is_multiple_of(GRANULE) {
            return Err(ERROR_INVALID_VALUE);
        }
        Ok(Self {
            device,
            size,
            extents: Vec::new(),
            file: Some(file),
        })
    }

    /// A descriptor by which another process can import the memory.
    pub(super) fn descriptor(&self) -> Option<OwnedFd> {
        self.file.as_ref()?.try_clone().ok()
    }

    /// Maps the first `size` bytes at `address`, replacing what is mapped there.
    ///
    /// # Errors
    /// `CUDA_ERROR_OUT_OF_MEMORY` when the host refuses the mapping; the range may then be mapped in part.
    pub(super) fn map(&self, address: u64, size: u64) -> Result {
        let parts: Vec<(i32, u64, u64)> = match &self.file {
            Some(own) => vec![(own.as_raw_fd(), 0, self.size)],
            None => {
                let file = super::memory().physical(self.device).file.as_raw_fd();
                let of = |extent: &Extent| (file, extent.first * GRANULE, extent.count * GRANULE);
                self.extents.iter().map(of).collect()
            }
        };
        let mut done = 0;
        for (file, offset, length) in parts {
            if done == size {
                break;
            }
            let length = length.min(size - done);
            // SAFETY: the caller owns the address range (reserved for the device), so replacing its mapping harms nobody.
            let at = unsafe {
                libc::mmap(
                    std::ptr::with_exposed_provenance_mut((address + done) as usize),
                    length as usize,
                    libc::PROT_READ | libc::PROT_WRITE,
                    libc::MAP_SHARED | libc::MAP_FIXED,
                    file,
                    offset as libc::off_t,
                )
            };
            if at == libc::MAP_FAILED {
                return Err(ERROR_OUT_OF_MEMORY);
            }
            done += length;
        }
        Ok(())
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let extents = std::mem::take(&mut self.extents);
        super::memory().quiescence.run_or_defer(Deferred::GiveBack {
            device: self.device,
            extents,
        });
    }
}
