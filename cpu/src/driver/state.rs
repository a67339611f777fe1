//! What the process has once `cuInit` was called.

use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::config::Config;
use super::device::Device;
use super::error::{ERROR_INVALID_VALUE, ERROR_NOT_INITIALIZED, ERROR_NOT_PERMITTED, Result};
use super::memory::Memory;

/// The initialised driver.
pub(super) struct State {
    pub(super) config: Config,
    pub(super) devices: Vec<Device>,
    pub(super) memory: Memory,
}

/// Set in a process that was forked from one that had called `cuInit`: its worker threads are gone, and CUDA does not work there either.
static FORKED: AtomicBool = AtomicBool::new(false);

extern "C" fn after_fork_in_child() {
    FORKED.store(true, Ordering::Release);
}

static STATE: OnceLock<State> = OnceLock::new();
static INITIALIZING: Mutex<()> = Mutex::new(());

thread_local! {
    /// True while this thread runs a host function, which may not call CUDA.
    static IN_HOST_FUNCTION: Cell<bool> = const { Cell::new(false) };
}

/// Runs a program's host function; CUDA calls made by it are refused.
pub(super) fn as_host_function(call: impl FnOnce()) {
    IN_HOST_FUNCTION.set(true);
    call();
    IN_HOST_FUNCTION.set(false);
}

/// The driver, for code that only runs after [`require`] has succeeded.
///
/// # Panics
/// Before `cuInit`.
pub(super) fn initialized() -> &'static State {
    STATE.get().expect("the driver is initialised")
}

/// The driver, for entry points.
///
/// # Errors
/// `CUDA_ERROR_NOT_INITIALIZED` before `cuInit`; `CUDA_ERROR_NOT_PERMITTED` inside a host function.
pub(super) fn require() -> Result<&'static State> {
    if IN_HOST_FUNCTION.get() {
        return Err(ERROR_NOT_PERMITTED);
    }
    STATE
        .get()
        .filter(|_| !FORKED.load(Ordering::Relaxed))
        .ok_or(ERROR_NOT_INITIALIZED)
}

pub(super) fn cuInit(Flags: u32) -> Result {
    if Flags != 0 {
        return Err(ERROR_INVALID_VALUE);
    }
    if FORKED.load(Ordering::Relaxed) {
        return Err(ERROR_NOT_INITIALIZED);
    }
    let _once = INITIALIZING.lock();
    if STATE.get().is_some() {
        return Ok(());
    }
    let config = Config::from_environment();
    let memory = Memory::new(config.devices, config.memory)?;
    let devices = (0..config.devices)
        .map(|ordinal| Device::new(ordinal, &config))
        .collect();
    // SAFETY: the handler only sets a flag.
    unsafe { libc::pthread_atfork(None, None, Some(after_fork_in_child)) };
    let _ = STATE.set(State {
        config,
        devices,
        memory,
    });
    Ok(())
}
