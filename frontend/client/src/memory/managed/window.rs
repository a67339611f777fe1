//! The memory behind a piece, seen twice: where the program sees it, protected by pages, and where only we do. System calls and copies of ours use the second, so that they
//! never meet the protection.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, FromRawFd};
use std::sync::OnceLock;

use parking_lot::Mutex;

use super::super::blocks::Blocks;
use super::pages::{Access, Memory, PAGE};

/// Bytes of the file that all pieces share: pages exist only where something was written.
const FILE_SIZE: u64 = 1 << 44;

struct Store {
    file: File,
    free: Mutex<Blocks>,
}

fn store() -> io::Result<&'static Store> {
    static STORE: OnceLock<Store> = OnceLock::new();
    if let Some(store) = STORE.get() {
        return Ok(store);
    }
    // SAFETY: a C string; the descriptor that comes back is ours.
    let file = unsafe {
        let fd = libc::memfd_create(c"gvirtus-managed".as_ptr(), libc::MFD_CLOEXEC);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        File::from_raw_fd(fd)
    };
    file.set_len(FILE_SIZE)?;
    let mut free = Blocks::default();
    free.give(0, FILE_SIZE);
    Ok(STORE.get_or_init(|| Store {
        file,
        free: Mutex::new(free),
    }))
}

/// The memory of one piece.
pub(super) struct Window {
    /// Where the program sees it.
    address: u64,
    len: usize,
    /// Where we do.
    view: *mut u8,
    /// The bytes as last exchanged.
    twin: *mut u8,
    /// Where it lies in the file.
    offset: u64,
    /// The addresses stay reserved afterwards.
    reserved: bool,
}

// SAFETY: the pointers are to mappings that belong to the window alone.
unsafe impl Send for Window {}

fn mmap(
    at: u64,
    len: usize,
    protection: i32,
    flags: i32,
    file: Option<&File>,
    offset: u64,
) -> io::Result<*mut u8> {
    // SAFETY: callers pass FIXED only for addresses that they own; other mappings replace nothing.
    let got = unsafe {
        libc::mmap(
            at as *mut libc::c_void,
            len,
            protection,
            flags,
            file.map_or(-1, AsRawFd::as_raw_fd),
            offset as libc::off_t,
        )
    };
    if got == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    if at != 0 && got as u64 != at {
        // A kernel without MAP_FIXED_NOREPLACE takes the address as a hint.
        // SAFETY: mapped just now.
        unsafe { libc::munmap(got, len) };
        return Err(io::ErrorKind::AddrInUse.into());
    }
    Ok(got.cast())
}

impl Window {
    /// Puts memory at an address, which the program may use as `access` says. `reserved`: the caller has reserved the addresses; otherwise nothing may be there.
    pub(super) fn new(
        address: u64,
        len: usize,
        reserved: bool,
        access: Access,
    ) -> io::Result<Self> {
        let store = store()?;
        let offset = store
            .free
            .lock()
            .take(len as u64, PAGE as u64)
            .ok_or(io::ErrorKind::OutOfMemory)?;
        let mut window = Self {
            address: 0,
            len,
            view: std::ptr::null_mut(),
            twin: std::ptr::null_mut(),
            offset,
            reserved,
        };
        let both = libc::PROT_READ | libc::PROT_WRITE;
        let shared = libc::MAP_SHARED | libc::MAP_NORESERVE;
        window.view = mmap(0, len, both, shared, Some(&store.file), offset)?;
        let private = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        window.twin = mmap(0, len, both, private, None, 0)?;
        let place = if reserved {
            libc::MAP_FIXED
        } else {
            libc::MAP_FIXED_NOREPLACE
        };
        mmap(
            address,
            len,
            protection(access),
            shared | place,
            Some(&store.file),
            offset,
        )?;
        window.address = address;
        // A forked child has no managed memory, natively too.
        for at in [window.view as u64, window.twin as u64, address] {
            // SAFETY: mapped above; the advice concerns children alone.
            unsafe { libc::madvise(at as *mut libc::c_void, len, libc::MADV_DONTFORK) };
        }
        Ok(window)
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        if self.address != 0 {
            if self.reserved {
                super::super::ranges::decommit(self.address, self.len as u64);
            } else {
                // SAFETY: mapped by `new`; the memory is freed.
                unsafe { libc::munmap(self.address as *mut libc::c_void, self.len) };
            }
        }
        for at in [self.view, self.twin] {
            if !at.is_null() {
                // SAFETY: mapped by `new`, and nothing refers to it any more.
                unsafe { libc::munmap(at.cast(), self.len) };
            }
        }
        if let Ok(store) = store() {
            // SAFETY: this part of the file belongs to the window.
            unsafe {
                libc::fallocate(
                    store.file.as_raw_fd(),
                    libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE,
                    self.offset as libc::off_t,
                    self.len as libc::off_t,
                )
            };
            store.free.lock().give(self.offset, self.len as u64);
        }
    }
}

fn protection(access: Access) -> i32 {
    match access {
        Access::None => libc::PROT_NONE,
        Access::Read => libc::PROT_READ,
        Access::All => libc::PROT_READ | libc::PROT_WRITE,
    }
}

impl Memory for Window {
    fn protect(&mut self, at: usize, len: usize, access: Access) -> io::Result<()> {
        debug_assert!(at + len <= self.len);
        let address = (self.address + at as u64) as *mut libc::c_void;
        // SAFETY: inside the window, whose protection is ours to set.
        if unsafe { libc::mprotect(address, len, protection(access)) } == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    }

    fn now(&self, at: usize, len: usize) -> &[u8] {
        debug_assert!(at + len <= self.len);
        // SAFETY: inside the view; the caller has protected the pages against the program's writes.
        unsafe { std::slice::from_raw_parts(self.view.add(at), len) }
    }

    fn fill(&mut self, at: usize, len: usize) -> &mut [u8] {
        debug_assert!(at + len <= self.len);
        // SAFETY: as above; pages that are filled are hidden from the program.
        unsafe { std::slice::from_raw_parts_mut(self.view.add(at), len) }
    }

    fn twin(&self, at: usize, len: usize) -> &[u8] {
        debug_assert!(at + len <= self.len);
        // SAFETY: inside the twin, which is ours alone.
        unsafe { std::slice::from_raw_parts(self.twin.add(at), len) }
    }

    fn remember(&mut self, at: usize, len: usize) {
        debug_assert!(at + len <= self.len);
        // SAFETY: inside both mappings.
        unsafe { std::ptr::copy_nonoverlapping(self.view.add(at), self.twin.add(at), len) };
    }

    fn forget(&mut self, at: usize, len: usize) {
        debug_assert!(at + len <= self.len);
        // SAFETY: inside the twin: private pages become zeros again.
        unsafe { libc::madvise(self.twin.add(at).cast(), len, libc::MADV_DONTNEED) };
    }

    fn written(&self, at: usize, len: usize) -> Vec<Range<usize>> {
        let all = || std::iter::once(at..at + len).collect();
        let Ok(store) = store() else { return all() };
        let file = store.file.as_raw_fd();
        let (base, end) = (self.offset as i64, self.offset as i64 + (at + len) as i64);
        let mut found = Vec::new();
        let mut from = base + at as i64;
        while from < end {
            // SAFETY: only the file's position changes, which nobody uses.
            let data = unsafe { libc::lseek(file, from, libc::SEEK_DATA) };
            if data < 0 {
                // Nothing follows.
                if io::Error::last_os_error().raw_os_error() == Some(libc::ENXIO) {
                    break;
                }
                return all();
            }
            if data >= end {
                break;
            }
            // SAFETY: as above.
            let hole = unsafe { libc::lseek(file, data, libc::SEEK_HOLE) };
            if hole <= data {
                return all();
            }
            let (start, stop) = (data.max(from), hole.min(end));
            found.push((start - base) as usize..(stop - base) as usize);
            from = stop;
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_program_writes_is_seen_and_found() {
        let address = 0x6100_0000_0000;
        let window = Window::new(address, 100 * PAGE, false, Access::All).unwrap();
        assert!(Window::new(address, PAGE, false, Access::All).is_err());
        // SAFETY: mapped just now, for reading and writing.
        unsafe { *((address + 50 * PAGE as u64 + 3) as *mut u8) = 7 };
        assert_eq!(window.now(50 * PAGE, 4), [0, 0, 0, 7]);
        let parts = window.written(0, 100 * PAGE);
        let found: usize = parts.iter().map(ExactSizeIterator::len).sum();
        assert!(parts.iter().any(|p| p.contains(&(50 * PAGE))));
        assert!(found < 100 * PAGE);
        drop(window);
        let again = Window::new(address, 100 * PAGE, false, Access::All).unwrap();
        assert_eq!(again.now(50 * PAGE, 4), [0; 4]);
    }

    #[test]
    fn a_forgotten_twin_is_zeros() {
        let mut window = Window::new(0x6200_0000_0000, 2 * PAGE, false, Access::All).unwrap();
        window.fill(0, PAGE).fill(5);
        window.remember(0, PAGE);
        assert_eq!(window.twin(0, PAGE), [5; PAGE]);
        window.forget(0, PAGE);
        assert_eq!(window.twin(0, PAGE), [0; PAGE]);
    }
}
