//! The shared mapping: two headers, then two areas of bytes.

use std::io;
use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// Room for one ring's header, bytes.
const HEADER: usize = 4096;

/// A value on cache lines of its own: two, because processors fetch neighbours.
#[repr(C, align(128))]
#[derive(Debug)]
pub(crate) struct Line<T>(pub(crate) T);

/// What both ends of a ring look at. All zero at first.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Header {
    /// Bytes ever written; the producer's.
    pub(crate) tail: Line<AtomicU64>,
    /// Bytes ever read; the consumer's.
    pub(crate) head: Line<AtomicU64>,
    /// Odd while somebody sleeps until there is something to read, or is about to; a futex.
    pub(crate) consumer_asleep: Line<AtomicU32>,
    /// Odd while the producer sleeps or is about to; a futex.
    pub(crate) producer_asleep: Line<AtomicU32>,
}

const _: () = assert!(size_of::<Header>() <= HEADER);

/// Length of the memory for rings of `capacity` bytes.
pub(crate) const fn length(capacity: usize) -> usize {
    2 * (HEADER + capacity)
}

/// Capacity of the rings in memory of `length` bytes.
pub(crate) fn capacity(length: usize) -> Option<usize> {
    length
        .is_multiple_of(2)
        .then(|| (length / 2).checked_sub(HEADER))
        .flatten()
}

/// The mapping.
#[derive(Debug)]
pub(crate) struct Memory {
    base: NonNull<u8>,
    capacity: usize,
}

// SAFETY: shared memory has no thread; headers are atomics, and bytes are only copied in and out.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    /// Maps memory whose length the caller has made or checked to be [`length`] of `capacity`, sealed against shrinking.
    pub(crate) fn map(fd: impl AsFd, capacity: usize) -> io::Result<Self> {
        // SAFETY: a new mapping at an address of the kernel's choice.
        let base = unsafe {
            mmap(
                std::ptr::null_mut(),
                length(capacity),
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED,
                fd,
                0,
            )?
        };
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { base, capacity })
    }

    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// The header of ring 0 or 1.
    pub(crate) fn header(&self, ring: usize) -> &Header {
        assert!(ring < 2);
        // SAFETY: both headers lie in the mapping, at a page's start, and any bytes are a valid header.
        unsafe { self.base.add(ring * HEADER).cast().as_ref() }
    }

    /// Address of byte `position` of a ring, and how many bytes follow until the ring's end.
    fn at(&self, ring: usize, position: u64) -> (*mut u8, usize) {
        assert!(ring < 2);
        let offset = position as usize & (self.capacity - 1);
        // SAFETY: the offset is smaller than the capacity, which is a power of two; both areas lie in the mapping.
        let address = unsafe { self.base.add(2 * HEADER + ring * self.capacity + offset) };
        (address.as_ptr(), self.capacity - offset)
    }

    /// Copies into a ring from `position` on; at most its capacity.
    pub(crate) fn write(&self, ring: usize, position: u64, bytes: &[u8]) {
        assert!(bytes.len() <= self.capacity);
        let (to, room) = self.at(ring, position);
        let (first, second) = bytes.split_at(bytes.len().min(room));
        // SAFETY: `room` bytes follow `to`; the rest begins at the ring's start and is shorter than its capacity. The other process reads these bytes only behind the
        // tail that is published later, and whatever it does there is its own stream.
        unsafe {
            std::ptr::copy_nonoverlapping(first.as_ptr(), to, first.len());
            if !second.is_empty() {
                std::ptr::copy_nonoverlapping(second.as_ptr(), self.at(ring, 0).0, second.len());
            }
        }
    }

    /// Copies out of a ring from `position` on; at most its capacity.
    pub(crate) fn read(&self, ring: usize, position: u64, into: &mut [u8]) {
        assert!(into.len() <= self.capacity);
        let (from, room) = self.at(ring, position);
        let split = into.len().min(room);
        let (first, second) = into.split_at_mut(split);
        // SAFETY: as for writing. Bytes that the other process changes meanwhile arrive as either value; nothing is concluded from them before they are here.
        unsafe {
            std::ptr::copy_nonoverlapping(from, first.as_mut_ptr(), first.len());
            if !second.is_empty() {
                std::ptr::copy_nonoverlapping(
                    self.at(ring, 0).0,
                    second.as_mut_ptr(),
                    second.len(),
                );
            }
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's own, and nobody borrows from it any more.
        let _ = unsafe { munmap(self.base.as_ptr().cast(), length(self.capacity)) };
    }
}
