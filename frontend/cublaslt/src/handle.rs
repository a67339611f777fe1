//! Handles: numbered here, known to the worker by the command that goes before the first call. A handle of cuBLAS serves as one of cuBLASLt, as NVIDIA documents.

use std::collections::{HashMap, HashSet};
use std::ffi::c_void;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError, RwLock};

use gvirtus_cublas_core::status::{INVALID_VALUE, NOT_INITIALIZED, SUCCESS, of_driver};
use gvirtus_frontend_link::driver;
use gvirtus_frontend_link::library::command as send;
use gvirtus_frontend_link::start::{Failed, Started, ensure_context};
use gvirtus_wire::api::library::{CUBLASLT_OPCODES, LibraryCreate, LibraryDestroy, command};

use crate::Status;

/// cuBLASLt on the box.
pub static LT_OF_BOX: Started = Started::new(CUBLASLT_OPCODES.0);

static HANDLES: LazyLock<RwLock<HashSet<u64>>> = LazyLock::new(RwLock::default);
/// The handle that stands for cuBLAS's handles of a context.
static OF_CUBLAS: LazyLock<Mutex<HashMap<usize, u32>>> = LazyLock::new(Mutex::default);
static NUMBERS: AtomicU32 = AtomicU32::new(1);
/// Handles look like no address of a program.
const TAG: u64 = 0x434c_0000_0000_0000;
/// Handles of our cuBLAS begin so.
const TAG_OF_CUBLAS: u64 = 0x4342;

/// Says which major version the exports are of.
pub fn set_major(major: u32) {
    LT_OF_BOX.set_major(major);
}

/// What cuBLASLt says if the box does not have it.
#[must_use]
pub fn of_start(failed: Failed) -> Status {
    match failed {
        Failed::Cuda(code) => of_driver(code),
        Failed::Library(status) => status,
    }
}

fn make() -> Result<u32, Status> {
    let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
    let create = LibraryCreate {
        stream: 0,
        handle: number,
        function: 0,
        argument: 0,
    };
    send(LT_OF_BOX.opcode(command::CREATE), &create, false).map_err(of_driver)?;
    Ok(number)
}

/// The number of the handle that a program means.
///
/// # Errors
/// `CUBLAS_STATUS_NOT_INITIALIZED` for one that there is not.
pub fn find(handle: u64) -> Result<u32, Status> {
    let handles = HANDLES.read().unwrap_or_else(PoisonError::into_inner);
    if handles.contains(&handle) {
        return Ok(handle as u32);
    }
    drop(handles);
    if handle >> 48 != TAG_OF_CUBLAS {
        return Err(NOT_INITIALIZED);
    }
    let driver = driver().ok_or(NOT_INITIALIZED)?;
    let mut context = std::ptr::null_mut();
    // SAFETY: the address is that of a local.
    match unsafe { (driver.cuCtxGetCurrent)(&raw mut context) } {
        0 => {}
        failed => return Err(of_driver(failed)),
    }
    let mut made = OF_CUBLAS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(number) = made.get(&(context as usize)) {
        return Ok(*number);
    }
    let number = make()?;
    made.insert(context as usize, number);
    Ok(number)
}

/// <https://docs.nvidia.com/cuda/cublas/#cublasltcreate>
///
/// # Safety
/// `out` is null or writable.
pub unsafe fn cublasLtCreate(out: *mut c_void) -> Status {
    if out.is_null() {
        return INVALID_VALUE;
    }
    if let Err(failed) = LT_OF_BOX.info() {
        return of_start(failed);
    }
    if let Err(code) = ensure_context() {
        return of_driver(code);
    }
    match make() {
        Ok(number) => {
            let handle = TAG | u64::from(number);
            HANDLES
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(handle);
            // SAFETY: not null, and the program's.
            unsafe { out.cast::<u64>().write_unaligned(handle) };
            SUCCESS
        }
        Err(status) => status,
    }
}

/// <https://docs.nvidia.com/cuda/cublas/#cublasltdestroy>
#[must_use]
pub fn cublasLtDestroy(handle: *mut c_void) -> Status {
    let gone = HANDLES
        .write()
        .unwrap_or_else(PoisonError::into_inner)
        .remove(&(handle as u64));
    if !gone {
        return NOT_INITIALIZED;
    }
    let destroy = LibraryDestroy {
        stream: 0,
        handle: handle as u64 as u32,
    };
    match send(LT_OF_BOX.opcode(command::DESTROY), &destroy, false) {
        Ok(_) => SUCCESS,
        Err(code) => of_driver(code),
    }
}
