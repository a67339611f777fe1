//! Events that several processes use: two numbers in memory that they share.
//!
//! How often the event was recorded, and which record has completed last: streams write the second, and wait for it as for any word in memory. The handle says where the
//! memory is to be found: a descriptor of the process that created the event.

use std::fs::{File, OpenOptions};
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicU64, Ordering};

use gvirtus_wire::api::types::{CUevent, CUipcEventHandle};

use super::error::{
    ERROR_INVALID_HANDLE, ERROR_INVALID_VALUE, ERROR_NOT_SUPPORTED, ERROR_OPERATING_SYSTEM, Result,
};
use super::work::{Comparison, WaitValue, Work, WriteValue};
use super::{context, event, ffi, state};

const PAGE: usize = 4096;
const MAGIC: &[u8; 8] = b"GVcpuEvt";

/// The numbers.
#[repr(C)]
struct Words {
    recorded: AtomicU64,
    complete: AtomicU64,
}

/// An event's shared part.
pub(super) struct Shared {
    file: File,
    /// Mapped for the life of the process: streams may wait for it longer than the event lives.
    words: &'static Words,
}

impl Shared {
    pub(super) fn new() -> Result<Self> {
        // SAFETY: a C string; the descriptor that comes back is ours.
        let file = unsafe {
            let raw = libc::memfd_create(c"gvirtus-cpu-event".as_ptr(), libc::MFD_CLOEXEC);
            if raw < 0 {
                return Err(ERROR_OPERATING_SYSTEM);
            }
            File::from_raw_fd(raw)
        };
        file.set_len(PAGE as u64)
            .map_err(|_| ERROR_OPERATING_SYSTEM)?;
        Self::map(file)
    }

    fn map(file: File) -> Result<Self> {
        // SAFETY: a fresh mapping of a file that is a page long.
        let at = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                PAGE,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        if at == libc::MAP_FAILED {
            return Err(ERROR_OPERATING_SYSTEM);
        }
        // SAFETY: mapped for ever, and all bits are valid for atomic numbers.
        let words = unsafe { &*at.cast::<Words>() };
        Ok(Self { file, words })
    }

    /// What a stream does to record the event.
    pub(super) fn record(&self) -> Work {
        let number = self.words.recorded.fetch_add(1, Ordering::SeqCst) + 1;
        Work::WriteValue(WriteValue {
            address: self.words.complete.as_ptr() as u64,
            value: number,
            wide: true,
        })
    }

    /// What a stream does to wait for the last record, if it is not complete.
    pub(super) fn wait(&self) -> Option<Work> {
        if self.is_complete() {
            return None;
        }
        Some(Work::WaitValue(WaitValue {
            address: self.words.complete.as_ptr() as u64,
            value: self.words.recorded.load(Ordering::SeqCst),
            wide: true,
            comparison: Comparison::GreaterOrEqual,
        }))
    }

    pub(super) fn is_complete(&self) -> bool {
        self.words.complete.load(Ordering::SeqCst) >= self.words.recorded.load(Ordering::SeqCst)
    }

    fn handle(&self) -> Result<CUipcEventHandle> {
        let inode = self
            .file
            .metadata()
            .map_err(|_| ERROR_OPERATING_SYSTEM)?
            .ino();
        let mut reserved = [0; 64];
        reserved[..8].copy_from_slice(MAGIC);
        reserved[8..12].copy_from_slice(&std::process::id().to_le_bytes());
        reserved[12..16].copy_from_slice(&self.file.as_raw_fd().to_le_bytes());
        reserved[16..24].copy_from_slice(&inode.to_le_bytes());
        Ok(CUipcEventHandle { reserved })
    }

    fn open(handle: &CUipcEventHandle) -> Result<Self> {
        let word = |at: usize| {
            let mut bytes = [0; 4];
            bytes.copy_from_slice(&handle.reserved[at..at + 4]);
            u32::from_le_bytes(bytes)
        };
        let inode = u64::from(word(16)) | u64::from(word(20)) << 32;
        if &handle.reserved[..8] != MAGIC {
            return Err(ERROR_INVALID_HANDLE);
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(format!("/proc/{}/fd/{}", word(8), word(12)))
            .map_err(|_| ERROR_INVALID_HANDLE)?;
        let about = file.metadata().map_err(|_| ERROR_INVALID_HANDLE)?;
        if about.ino() != inode || about.len() != PAGE as u64 {
            return Err(ERROR_INVALID_HANDLE);
        }
        Self::map(file)
    }
}

pub(super) fn cuIpcGetEventHandle(pHandle: *mut CUipcEventHandle, event: CUevent) -> Result {
    let event = event::resolve(event)?;
    let shared = event.shared.as_ref().ok_or(ERROR_INVALID_VALUE)?;
    ffi::put(pHandle, shared.handle()?)
}

pub(super) fn cuIpcOpenEventHandle(phEvent: *mut CUevent, handle: CUipcEventHandle) -> Result {
    state::require()?;
    let context = context::current()?;
    if phEvent.is_null() {
        return Err(ERROR_INVALID_VALUE);
    }
    let word = &handle.reserved[8..12];
    if word == std::process::id().to_le_bytes() {
        // Natively, too, a handle is for other processes.
        return Err(ERROR_NOT_SUPPORTED);
    }
    let shared = Shared::open(&handle)?;
    event::insert_shared(phEvent, context.id, shared)
}
