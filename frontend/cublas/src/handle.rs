//! Handles: made here, known to the worker by the command that goes before the first call.

use std::collections::{HashMap, HashSet};
use std::ffi::c_void;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use gvirtus_frontend_link::library::command as send;
use gvirtus_frontend_link::start::{self, Failed, Started};
use gvirtus_wire::api::library::{
    CUBLAS_OPCODES, LibraryCreate, LibraryDestroy, LibraryInfo, command,
};

use crate::Status;
use crate::status::{INVALID_VALUE, NOT_INITIALIZED, of_driver};

/// What a program has set on a handle. The worker's library is told of every change, in order with the calls.
#[derive(Debug, Clone)]
pub struct State {
    /// `cublasSetStream`.
    pub stream: *mut c_void,
    /// `cublasPointerMode_t`: 0 host, 1 device.
    pub pointer_mode: i32,
    /// The workspace that the box's library was told of: address and bytes; none if it has its own.
    workspace: Option<(u64, u64)>,
    /// The stream was set again since, which gives the library its own workspace back; it has not been told, since programs that set both before each call mostly set what there was.
    own_workspace_due: bool,
    /// Other settings by the setter's name without `cublasSet`.
    pub settings: HashMap<&'static str, i64>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            stream: std::ptr::null_mut(),
            pointer_mode: 0,
            workspace: None,
            own_workspace_due: false,
            settings: HashMap::new(),
        }
    }
}

impl State {
    /// `cublasSetStream`; whether the box's library has to be told.
    pub(crate) fn set_stream(&mut self, stream: u64) -> bool {
        // The per-thread stream is another one for each thread.
        if self.stream as u64 == stream && stream != PER_THREAD {
            self.own_workspace_due = self.workspace.is_some();
            return false;
        }
        self.stream = stream as *mut c_void;
        self.workspace = None;
        self.own_workspace_due = false;
        true
    }

    /// `cublasSetWorkspace`; whether the box's library has to be told.
    pub(crate) fn set_workspace(&mut self, address: u64, bytes: u64) -> bool {
        self.own_workspace_due = false;
        self.workspace.replace((address, bytes)) != Some((address, bytes))
    }

    /// Before work: whether the box's library has to be told of the stream once more, to take its own workspace.
    pub(crate) fn take_own_workspace_due(&mut self) -> bool {
        let due = std::mem::take(&mut self.own_workspace_due);
        if due {
            self.workspace = None;
        }
        due
    }
}

// SAFETY: the stream is a number to this library.
unsafe impl Send for State {}

/// A handle.
#[derive(Debug)]
pub struct Handle {
    /// What the worker calls it.
    pub number: u32,
    state: Mutex<State>,
    /// Variants of functions that the box's library has been seen to support.
    pub(crate) supported: Mutex<HashSet<(u32, u64)>>,
}

impl Handle {
    /// Its state.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

static HANDLES: LazyLock<RwLock<HashMap<u64, Arc<Handle>>>> = LazyLock::new(RwLock::default);
static NUMBERS: AtomicU32 = AtomicU32::new(1);
/// Handles look like no address of a program.
const TAG: u64 = 0x4342_0000_0000_0000;

/// `CU_STREAM_PER_THREAD`.
const PER_THREAD: u64 = 2;

/// cuBLAS on the box.
static CUBLAS_OF_BOX: Started = Started::new(CUBLAS_OPCODES.0);

/// The opcode of a command.
#[must_use]
pub fn opcode(command: u16) -> u16 {
    CUBLAS_OF_BOX.opcode(command)
}

/// The handle that a program means.
///
/// # Errors
/// `CUBLAS_STATUS_NOT_INITIALIZED` for one that there is not.
pub fn find(handle: *mut c_void) -> Result<Arc<Handle>, Status> {
    HANDLES
        .read()
        .unwrap_or_else(PoisonError::into_inner)
        .get(&(handle as u64))
        .cloned()
        .ok_or(NOT_INITIALIZED)
}

/// Says which major version the exports are of.
pub fn set_major(major: u32) {
    CUBLAS_OF_BOX.set_major(major);
}

/// Sees to it that a context is current on this thread.
pub(crate) fn ensure_context() -> Result<(), Status> {
    start::ensure_context().map_err(of_driver)
}

/// Functions that the box's library lacks.
static MISSING: OnceLock<HashSet<u32>> = OnceLock::new();

/// Whether the box's library lacks a function.
pub(crate) fn lacks(function: u32) -> bool {
    MISSING
        .get()
        .is_some_and(|missing| missing.contains(&function))
}

/// What the box's library says of itself: asked once.
///
/// # Errors
/// `CUBLAS_STATUS_NOT_INITIALIZED` without a session, or where the box has no cuBLAS.
pub fn info() -> Result<Arc<LibraryInfo>, Status> {
    let told = CUBLAS_OF_BOX.info().map_err(|failed| match failed {
        Failed::Cuda(code) => of_driver(code),
        Failed::Library(status) => status,
    })?;
    let _ = MISSING.set(told.missing.iter().copied().collect());
    Ok(told)
}

/// `cublasCreate`: <https://docs.nvidia.com/cuda/cublas/#cublascreate>. The box makes its handle behind our back; what goes wrong there is told by the first call.
///
/// # Errors
/// cuBLAS's.
///
/// # Safety
/// `out` is null or writable.
pub unsafe fn create(out: *mut c_void) -> Result<(), Status> {
    if out.is_null() {
        return Err(INVALID_VALUE);
    }
    info()?;
    ensure_context()?;
    let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
    let create = LibraryCreate {
        stream: 0,
        handle: number,
        function: 0,
        argument: 0,
    };
    send(opcode(command::CREATE), &create, false).map_err(of_driver)?;
    let handle = TAG | u64::from(number);
    HANDLES
        .write()
        .unwrap_or_else(PoisonError::into_inner)
        .insert(
            handle,
            Arc::new(Handle {
                number,
                state: Mutex::default(),
                supported: Mutex::default(),
            }),
        );
    // SAFETY: not null, and the program's.
    unsafe { out.cast::<u64>().write_unaligned(handle) };
    Ok(())
}

/// `cublasDestroy`: <https://docs.nvidia.com/cuda/cublas/#cublasdestroy>.
///
/// # Errors
/// cuBLAS's.
pub fn destroy(handle: *mut c_void) -> Result<(), Status> {
    let gone = HANDLES
        .write()
        .unwrap_or_else(PoisonError::into_inner)
        .remove(&(handle as u64))
        .ok_or(NOT_INITIALIZED)?;
    let destroy = LibraryDestroy {
        stream: 0,
        handle: gone.number,
    };
    send(opcode(command::DESTROY), &destroy, false)
        .map(drop)
        .map_err(of_driver)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is set again is not sent again, and a stream that is set again takes the workspace away, as cuBLAS says.
    #[test]
    fn streams_and_workspaces() {
        let mut state = State::default();
        assert!(!state.set_stream(0), "the stream that there is");
        assert!(state.set_stream(7));
        assert!(state.set_workspace(0x1000, 64));
        for _ in 0..3 {
            assert!(!state.set_stream(7) && !state.set_workspace(0x1000, 64));
            assert!(!state.take_own_workspace_due(), "it is the program's");
        }
        assert!(!state.set_stream(7) && state.set_workspace(0x1000, 128));
        assert!(!state.set_stream(7) && state.take_own_workspace_due());
        assert!(!state.take_own_workspace_due(), "told once");
        assert!(
            state.set_workspace(0x1000, 128),
            "the library had its own since"
        );
        assert!(state.set_stream(8) && !state.take_own_workspace_due());
        assert!(
            state.set_workspace(0x1000, 128),
            "another stream took it away"
        );
        assert!(state.set_stream(PER_THREAD) && state.set_stream(PER_THREAD));
    }
}
