//! What the first call of a compute library does: a context, the session, and what the box's library says of itself.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use gvirtus_wire::api::library::{LibraryInfo, LibraryStart, command};
use gvirtus_wire::api::types::{CUresult, error};
use gvirtus_wire::codec::decode_all;

use crate::library::command as send;
use crate::{driver, session::session};

/// Why a library is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failed {
    /// The session's error.
    Cuda(CUresult),
    /// The box's library's own status.
    Library(i32),
}

/// Sees to it that a context is current on this thread: the primary one of the first device if there is none, as the runtime does.
///
/// # Errors
/// The driver's.
pub fn ensure_context() -> Result<(), CUresult> {
    let driver = driver().ok_or(error::ERROR_NOT_INITIALIZED)?;
    let mut context = std::ptr::null_mut();
    // SAFETY: the addresses are those of locals.
    let status = unsafe {
        match (driver.cuCtxGetCurrent)(&raw mut context) {
            error::SUCCESS if !context.is_null() => error::SUCCESS,
            _ => match (driver.cuInit)(0) {
                error::SUCCESS => match (driver.cuDevicePrimaryCtxRetain)(&raw mut context, 0) {
                    error::SUCCESS => (driver.cuCtxSetCurrent)(context),
                    failed => failed,
                },
                failed => failed,
            },
        }
    };
    match status {
        error::SUCCESS => Ok(()),
        failed => Err(failed),
    }
}

/// The current context's device.
#[must_use]
pub fn device() -> Option<i32> {
    let mut device = 0;
    // SAFETY: the address is that of a local.
    let status = unsafe { (driver()?.cuCtxGetDevice)(&raw mut device) };
    (status == error::SUCCESS).then_some(device)
}

/// Whether a stream is being captured, so that nobody can wait for an answer on it.
///
/// Takes any number: an unknown stream is not captured.
#[must_use]
pub fn capturing(stream: u64) -> bool {
    let Some(driver) = driver() else {
        return false;
    };
    let mut state = 0;
    // SAFETY: the address is that of a local; the stream is the program's.
    let status =
        unsafe { (driver.cuStreamIsCapturing)(stream as *mut std::ffi::c_void, &raw mut state) };
    // The legacy stream is refused while another one is captured.
    state != 0 || status == error::ERROR_STREAM_CAPTURE_IMPLICIT
}

/// A library of the box, as the program's process knows it.
#[derive(Debug)]
pub struct Started {
    first_opcode: u16,
    major: OnceLock<u32>,
    info: Mutex<Option<Arc<LibraryInfo>>>,
}

impl Started {
    /// One whose commands begin with an opcode.
    #[must_use]
    pub const fn new(first_opcode: u16) -> Self {
        Self {
            first_opcode,
            major: OnceLock::new(),
            info: Mutex::new(None),
        }
    }

    /// Says which major version the exports are of.
    pub fn set_major(&self, major: u32) {
        let _ = self.major.set(major);
    }

    /// The exports' major version; 0 before it is said.
    #[must_use]
    pub fn major(&self) -> u32 {
        self.major.get().copied().unwrap_or(0)
    }

    /// The opcode of a command.
    #[must_use]
    pub const fn opcode(&self, command: u16) -> u16 {
        self.first_opcode + command
    }

    /// What the box's library says of itself: asked once.
    ///
    /// # Errors
    /// No session, or a box without the library.
    pub fn info(&self) -> Result<Arc<LibraryInfo>, Failed> {
        let mut info = self.info.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(info) = &*info {
            return Ok(Arc::clone(info));
        }
        session().ok_or(Failed::Cuda(error::ERROR_NOT_INITIALIZED))?;
        ensure_context().map_err(Failed::Cuda)?;
        let start = LibraryStart {
            stream: 0,
            major: self.major(),
        };
        let reply = send(self.opcode(command::START), &start, true).map_err(Failed::Cuda)?;
        let told: LibraryInfo =
            decode_all(&reply).map_err(|_| Failed::Cuda(error::ERROR_UNKNOWN))?;
        if told.status != 0 {
            return Err(Failed::Library(told.status));
        }
        let told = Arc::new(told);
        *info = Some(Arc::clone(&told));
        Ok(told)
    }
}
