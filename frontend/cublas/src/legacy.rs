//! The interface before handles, of `cublas.h`: one handle for the process, scalars by value, results returned, and a status that is asked for afterwards. See
//! <https://docs.nvidia.com/cuda/cublas/#using-the-cublas-legacy-api>.
//!
//! Each function is made of the one of its second version, and what it is given follows from the two declarations.

use std::ffi::{CStr, CString, c_char, c_void};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, PoisonError};

use gvirtus_frontend_link::driver;
use gvirtus_wire::api::library::{CUBLAS, Function, Mode};
use gvirtus_wire::api::types::error;

use crate::argument::operation;
use crate::compute::{SET_STREAM, compute};
use crate::status::{
    ALLOC_FAILED, INTERNAL_ERROR, INVALID_VALUE, NOT_INITIALIZED, NOT_SUPPORTED, SUCCESS,
};
use crate::{Status, argument, handle, setters};

/// The process's handle, if there is one.
static HANDLE: Mutex<Option<u64>> = Mutex::new(None);
/// What the last function returned.
static LAST: AtomicI32 = AtomicI32::new(SUCCESS);

/// The process's handle; the first call makes it, whether or not that is `cublasInit`.
fn current() -> Result<u64, Status> {
    let mut current = HANDLE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = *current {
        return Ok(handle);
    }
    let mut made = 0u64;
    // SAFETY: the address is that of a local.
    unsafe { handle::create((&raw mut made).cast()) }.map_err(|_| NOT_INITIALIZED)?;
    *current = Some(made);
    Ok(made)
}

/// Makes the process's handle, unless it is there.
#[must_use]
pub fn cublasInit() -> Status {
    current().err().unwrap_or(SUCCESS)
}

/// Ends the process's handle.
#[must_use]
pub fn cublasShutdown() -> Status {
    let gone = HANDLE.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(handle) = gone {
        LAST.store(SUCCESS, Ordering::Relaxed);
        // It was made here, so that it is there.
        let _ = handle::destroy(handle as *mut c_void);
    }
    SUCCESS
}

/// What the last function returned; then, `CUBLAS_STATUS_SUCCESS`.
#[must_use]
pub fn cublasGetError() -> Status {
    match current() {
        Ok(_) => LAST.swap(SUCCESS, Ordering::Relaxed),
        Err(status) => status,
    }
}

/// The stream of the process's handle.
#[must_use]
pub fn cublasSetKernelStream(stream: *mut c_void) -> Status {
    match (current(), *SET_STREAM) {
        // SAFETY: the arguments are the function's.
        (Ok(handle), Some(set)) => unsafe { setters::set(set, &[handle, stream as u64]) },
        (Err(status), _) => status,
        (_, None) => INTERNAL_ERROR,
    }
}

/// Memory on the device for so many elements; its address is null if there is none.
///
/// # Safety
/// `out` is null or writable.
pub unsafe fn cublasAlloc(n: i32, element: i32, out: *mut c_void) -> Status {
    if out.is_null() {
        return INVALID_VALUE;
    }
    let bytes = match (usize::try_from(n), usize::try_from(element)) {
        (Ok(n @ 1..), Ok(element @ 1..)) => Some(n * element),
        _ => None,
    };
    let mut address = 0;
    let status = match (bytes, driver()) {
        (None, _) => INVALID_VALUE,
        (_, None) => INTERNAL_ERROR,
        (Some(_), _) if handle::ensure_context().is_err() => INTERNAL_ERROR,
        (Some(bytes), Some(driver)) => {
            // SAFETY: the address is that of a local.
            match unsafe { (driver.cuMemAlloc_v2)(&raw mut address, bytes) } {
                error::SUCCESS => SUCCESS,
                error::ERROR_OUT_OF_MEMORY => ALLOC_FAILED,
                _ => INTERNAL_ERROR,
            }
        }
    };
    // SAFETY: by this function's contract.
    unsafe { out.cast::<u64>().write_unaligned(address) };
    status
}

/// Frees what [`cublasAlloc`] gave.
#[must_use]
pub fn cublasFree(address: *mut c_void) -> Status {
    if address.is_null() {
        return SUCCESS;
    }
    let Some(driver) = driver() else {
        return INTERNAL_ERROR;
    };
    if handle::ensure_context().is_err() {
        return INTERNAL_ERROR;
    }
    // SAFETY: the driver knows its addresses.
    match unsafe { (driver.cuMemFree_v2)(address as u64) } {
        error::SUCCESS => SUCCESS,
        _ => INTERNAL_ERROR,
    }
}

/// Says on standard output which parameter of a routine is wrong.
///
/// # Safety
/// `routine` is null or a text.
pub unsafe fn cublasXerbla(routine: *mut c_void, parameter: i32) {
    if !routine.is_null() {
        // SAFETY: by this function's contract.
        let routine = unsafe { CStr::from_ptr(routine.cast::<c_char>()) };
        report(&routine.to_string_lossy(), parameter);
    }
}

fn report(routine: &str, parameter: i32) {
    let line =
        format!(" ** On entry to {routine} parameter number {parameter} had an illegal value");
    // In order with what the program prints.
    if let Ok(line) = CString::new(line) {
        // SAFETY: a text.
        unsafe { libc::puts(line.as_ptr()) };
    }
}

fn declared(name: &str) -> Option<&'static Function> {
    CUBLAS.iter().find(|function| function.name == name)
}

/// The call of the second version that a call is.
#[derive(Debug, PartialEq, Eq)]
pub struct Translated {
    /// The function.
    pub function: &'static Function,
    /// Its arguments, of which the handle is missing: 0.
    pub arguments: Vec<u64>,
}

/// Translates the arguments of a function before handles: numbers, letters and pointers as they are, other values by their address. The result goes to `result`.
///
/// # Errors
/// The parameter, counted from 1, whose letter stands for nothing; 0 if the function has no second version.
pub fn translate(first: &Function, arguments: &[u64], result: u64) -> Result<Translated, i32> {
    let function = declared(&format!("{}_v2", first.name)).ok_or(0)?;
    let mut translated = vec![0];
    for (number, (parameter, &argument)) in (1..).zip(first.parameters.iter().zip(arguments)) {
        translated.push(match parameter.mode {
            Mode::Letter => meaning(parameter.name, argument as u8).ok_or(number)?,
            _ => argument,
        });
    }
    for parameter in &function.parameters[translated.len().min(function.parameters.len())..] {
        let of_same = |name: &str| {
            let at = function.parameters.iter().position(|p| p.name == name);
            at.and_then(|at| translated.get(at)).copied().ok_or(0)
        };
        translated.push(match (parameter.mode, parameter.name) {
            (Mode::Result(_), _) => result,
            // A product with a triangular matrix overwrites the other one.
            (_, "C") => of_same("B")?,
            (_, "ldc") => of_same("ldb")?,
            _ => return Err(0),
        });
    }
    Ok(Translated {
        function,
        arguments: translated,
    })
}

/// What a letter stands for as a parameter, in the enumeration of the second version.
fn meaning(parameter: &str, letter: u8) -> Option<u64> {
    let letters: &[u8] = match parameter {
        "uplo" => b"LU",
        "side" => b"LR",
        "diag" => b"NU",
        _ => b"NTC",
    };
    let found = letters
        .iter()
        .position(|known| *known == letter.to_ascii_uppercase())?;
    u64::try_from(found).ok()
}

/// Executes a function before handles, and keeps its status for [`cublasGetError`].
///
/// # Safety
/// The arguments are those of the function's declaration, as [`translate`] has them; there is room for the result.
pub unsafe fn legacy(function: &Function, arguments: &[u64], result: *mut c_void) {
    let wrong = |parameter: i32| {
        // Natively these say nothing.
        if matches!(operation(function), "gemv" | "symv" | "hemv") {
            return INVALID_VALUE;
        }
        // Routines have names of six letters, or so.
        let width = match operation(function) {
            "syr2" | "spr2" | "her2" | "hpr2" => 7,
            "trmm" => 5,
            _ => 6,
        };
        let name = function.name.strip_prefix("cublas").unwrap_or_default();
        report(&format!("{:<width$}", name.to_uppercase()), parameter);
        INVALID_VALUE
    };
    let status = match (current(), translate(function, arguments, result as u64)) {
        (Err(status), _) => status,
        (_, Err(0)) => NOT_SUPPORTED,
        (_, Err(parameter)) => wrong(parameter),
        (Ok(handle), Ok(mut call)) => {
            call.arguments[0] = handle;
            match argument::wrong(call.function, &call.arguments) {
                // In both versions they have the same numbers: that of a handle is 0.
                Some(parameter) => wrong(i32::try_from(parameter).unwrap_or(0)),
                // SAFETY: the arguments are those of the function; values lie where the caller has them.
                None => unsafe { compute(call.function, &call.arguments) },
            }
        }
    };
    LAST.store(status, Ordering::Relaxed);
}
