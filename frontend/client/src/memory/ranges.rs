//! Address ranges that client and worker reserve alike, so that what the client hands out means the same on both sides.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// A reserved range of this process's address space: nothing else will be placed there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) base: u64,
    pub(crate) size: u64,
}

/// Slots for ranges in each of the places that are tried: one per device, the last for pinned host memory.
pub(crate) const SLOTS: u64 = 16;
const SLOT_SIZE: u64 = 1 << 40;

/// What the processors of our machines map at once. Large parts of a range begin at a multiple of it.
pub(crate) const LARGE_PAGE: u64 = 2 << 20;

/// Places and sizes to try: a part of the address space that programs, allocators and drivers leave alone.
pub(crate) fn candidates(slot: u64) -> impl Iterator<Item = Range> {
    [SLOT_SIZE, SLOT_SIZE / 4]
        .into_iter()
        .flat_map(move |size| {
            [0x2000, 0x4000, 0x1000, 0x3000]
                .into_iter()
                .map(move |top: u64| Range {
                    base: (top << 32) + slot % SLOTS * SLOT_SIZE,
                    size,
                })
        })
}

/// Reserves a range without memory behind it; never over something that is there.
pub(crate) fn reserve(range: Range) -> io::Result<()> {
    // SAFETY: with MAP_FIXED_NOREPLACE the call changes no existing mapping.
    let got = unsafe {
        libc::mmap(
            range.base as *mut libc::c_void,
            range.size as usize,
            libc::PROT_NONE,
            libc::MAP_PRIVATE
                | libc::MAP_ANONYMOUS
                | libc::MAP_NORESERVE
                | libc::MAP_FIXED_NOREPLACE,
            -1,
            0,
        )
    };
    if got == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    if got as u64 != range.base {
        // A kernel without MAP_FIXED_NOREPLACE takes the address as a hint.
        // SAFETY: the mapping was made just now and nobody knows of it.
        unsafe { libc::munmap(got, range.size as usize) };
        return Err(io::ErrorKind::AddrInUse.into());
    }
    Ok(())
}

/// Gives a reserved range back.
pub(crate) fn release(range: Range) {
    // SAFETY: the range was reserved by `reserve`, and nothing was handed out from it.
    unsafe { libc::munmap(range.base as *mut libc::c_void, range.size as usize) };
}

/// Puts memory behind part of a reserved range.
pub(crate) fn commit(address: u64, size: u64) -> io::Result<()> {
    // SAFETY: the caller owns this part of a reserved range: replacing the reservation there replaces nothing else.
    let got = unsafe {
        libc::mmap(
            address as *mut libc::c_void,
            size as usize,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED,
            -1,
            0,
        )
    };
    if got == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    if size >= LARGE_PAGE {
        // SAFETY: mapped just now. Only advice: copies through a socket find fewer pages in the tables.
        unsafe { libc::madvise(got, size as usize, libc::MADV_HUGEPAGE) };
    }
    Ok(())
}

/// Puts memory behind part of a reserved range that another process can map, too: the descriptor is what it needs.
pub(crate) fn commit_shared(address: u64, size: u64) -> io::Result<OwnedFd> {
    let checked = |result: i32| {
        if result < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(result)
        }
    };
    // SAFETY: plain system calls on a descriptor that is owned as soon as there is one; the mapping as in `commit`.
    unsafe {
        let fd = checked(libc::memfd_create(
            c"gvirtus-pinned".as_ptr(),
            libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING,
        ))?;
        let fd = OwnedFd::from_raw_fd(fd);
        let length = libc::off_t::try_from(size).map_err(|_| io::ErrorKind::InvalidInput)?;
        checked(libc::ftruncate(fd.as_raw_fd(), length))?;
        let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
        checked(libc::fcntl(fd.as_raw_fd(), libc::F_ADD_SEALS, seals))?;
        let got = libc::mmap(
            address as *mut libc::c_void,
            size as usize,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | libc::MAP_FIXED,
            fd.as_raw_fd(),
            0,
        );
        if got == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(fd)
    }
}

/// Takes the memory away again; the range stays reserved.
pub(crate) fn decommit(address: u64, size: u64) {
    // SAFETY: as in `commit`; whoever had the memory has freed it.
    unsafe {
        libc::mmap(
            address as *mut libc::c_void,
            size as usize,
            libc::PROT_NONE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED,
            -1,
            0,
        );
    }
}
