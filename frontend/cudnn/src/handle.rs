//! Handles: made here, known to the worker by the command that goes before the first call. A handle's stream travels with every call.

use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use gvirtus_frontend_link::library::command as send;
use gvirtus_frontend_link::start::{Failed, Started, device, ensure_context};
use gvirtus_wire::api::library::{
    CUDNN_OPCODES, LibraryCreate, LibraryDestroy, LibraryInfo, command,
};

use crate::Status;
use crate::status::{BAD_PARAM, NOT_INITIALIZED, of_driver};

/// A handle.
#[derive(Debug)]
pub struct Handle {
    /// What the worker calls it.
    pub number: u32,
    /// The device that it belongs to.
    pub device: i32,
    stream: AtomicU64,
}

impl Handle {
    /// The program's stream.
    pub fn stream(&self) -> *mut c_void {
        self.stream.load(Ordering::Relaxed) as *mut c_void
    }
}

static HANDLES: LazyLock<RwLock<HashMap<u64, Arc<Handle>>>> = LazyLock::new(RwLock::default);
static NUMBERS: AtomicU32 = AtomicU32::new(1);
/// Handles look like no address of a program.
const TAG: u64 = 0x434e_4e00_0000_0000;

/// The opcode of a command.
#[must_use]
pub fn opcode(command: u16) -> u16 {
    STARTED.opcode(command)
}

/// The handle that a program means.
///
/// # Errors
/// `CUDNN_STATUS_BAD_PARAM` for one that there is not.
pub fn find(handle: u64) -> Result<Arc<Handle>, Status> {
    let handles = HANDLES.read().unwrap_or_else(PoisonError::into_inner);
    handles.get(&handle).cloned().ok_or(BAD_PARAM)
}

static STARTED: Started = Started::new(CUDNN_OPCODES.0);

/// Says which major version the exports are of.
pub fn set_major(major: u32) {
    STARTED.set_major(major);
}

/// What the box's library says of itself: asked once.
///
/// # Errors
/// `CUDNN_STATUS_NOT_INITIALIZED` without a session, or where the box has no cuDNN.
pub fn info() -> Result<Arc<LibraryInfo>, Status> {
    let info = STARTED.info().map_err(|failed| match failed {
        Failed::Cuda(code) => of_driver(code),
        Failed::Library(status) => status,
    })?;
    // The CPU device has no cuDNN, and so no version.
    match info.version {
        0 => Err(NOT_INITIALIZED),
        _ => Ok(info),
    }
}

/// `cudnnCreate`: <https://docs.nvidia.com/deeplearning/cudnn/backend/latest/api/cudnn-graph-library.html#cudnncreate>
///
/// # Errors
/// cuDNN's.
pub fn create() -> Result<u64, Status> {
    info()?;
    ensure_context().map_err(of_driver)?;
    let device = device().ok_or(NOT_INITIALIZED)?;
    let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
    let create = LibraryCreate {
        stream: 0,
        handle: number,
        function: 0,
        argument: 0,
    };
    send(opcode(command::CREATE), &create, false).map_err(of_driver)?;
    let handle = TAG | u64::from(number);
    let made = Handle {
        number,
        device,
        stream: AtomicU64::new(0),
    };
    let mut handles = HANDLES.write().unwrap_or_else(PoisonError::into_inner);
    handles.insert(handle, Arc::new(made));
    Ok(handle)
}

/// `cudnnDestroy`: <https://docs.nvidia.com/deeplearning/cudnn/backend/latest/api/cudnn-graph-library.html#cudnndestroy>
///
/// # Errors
/// cuDNN's.
pub fn destroy(handle: u64) -> Result<(), Status> {
    if handle == 0 {
        return Ok(());
    }
    let mut handles = HANDLES.write().unwrap_or_else(PoisonError::into_inner);
    let gone = handles.remove(&handle).ok_or(BAD_PARAM)?;
    drop(handles);
    let destroy = LibraryDestroy {
        stream: 0,
        handle: gone.number,
    };
    let sent = send(opcode(command::DESTROY), &destroy, false);
    sent.map(drop).map_err(of_driver)
}

/// Keeps a handle's stream.
///
/// # Errors
/// `CUDNN_STATUS_BAD_PARAM` for a handle that there is not.
pub fn set_stream(handle: u64, stream: u64) -> Result<(), Status> {
    find(handle)?.stream.store(stream, Ordering::Relaxed);
    Ok(())
}
