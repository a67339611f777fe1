//! Generators: numbered here, known to the worker by the command that goes before the first call.

use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError, RwLock};

use gvirtus_frontend_link::library::command as send;
use gvirtus_frontend_link::start::{Started, ensure_context};
use gvirtus_wire::api::library::{CURAND, CURAND_OPCODES, LibraryCreate, LibraryDestroy, command};

use crate::Status;
use crate::status::{
    INTERNAL_ERROR, NOT_INITIALIZED, NOT_SUPPORTED, OUT_OF_RANGE, SUCCESS, TYPE_ERROR, of_driver,
    of_start,
};

/// `curandRngType_t`.
pub(crate) mod kind {
    /// `CURAND_RNG_TEST`.
    pub(crate) const TEST: i32 = 0;
    /// `CURAND_RNG_PSEUDO_XORWOW`.
    pub(crate) const XORWOW: i32 = 101;
    /// `CURAND_RNG_PSEUDO_MRG32K3A`.
    pub(crate) const MRG32K3A: i32 = 121;
    /// `CURAND_RNG_PSEUDO_MTGP32`.
    pub(crate) const MTGP32: i32 = 141;
    /// `CURAND_RNG_PSEUDO_MT19937`.
    pub(crate) const MT19937: i32 = 142;
    /// `CURAND_RNG_PSEUDO_PHILOX4_32_10`.
    pub(crate) const PHILOX: i32 = 161;
    /// `CURAND_RNG_QUASI_SOBOL32`.
    pub(crate) const SOBOL32: i32 = 201;
    /// `CURAND_RNG_QUASI_SCRAMBLED_SOBOL32`.
    pub(crate) const SCRAMBLED_SOBOL32: i32 = 202;
    /// `CURAND_RNG_QUASI_SOBOL64`.
    pub(crate) const SOBOL64: i32 = 203;
    /// `CURAND_RNG_QUASI_SCRAMBLED_SOBOL64`.
    pub(crate) const SCRAMBLED_SOBOL64: i32 = 204;
}

/// A generator.
#[derive(Debug, Clone)]
pub(crate) struct Generator {
    /// What the worker calls it.
    pub(crate) number: u32,
    /// `curandRngType_t`; the defaults are what they stand for.
    pub(crate) kind: i32,
    /// Made by `curandCreateGeneratorHost`.
    pub(crate) on_host: bool,
    /// The program's stream.
    pub(crate) stream: u64,
    /// Of a quasirandom generator.
    pub(crate) dimensions: u32,
}

impl Generator {
    /// Of low discrepancy.
    pub(crate) fn is_quasi(&self) -> bool {
        self.kind >= kind::SOBOL32
    }

    /// Of 64-bit numbers.
    pub(crate) fn is_wide(&self) -> bool {
        matches!(self.kind, kind::SOBOL64 | kind::SCRAMBLED_SOBOL64)
    }
}

/// cuRAND on the box.
pub(crate) static CURAND_OF_BOX: Started = Started::new(CURAND_OPCODES.0);
static GENERATORS: LazyLock<RwLock<HashMap<u64, Generator>>> = LazyLock::new(RwLock::default);
/// Which types the box has been seen to make, on the host or not, and which not.
static TOLD: LazyLock<Mutex<HashMap<(bool, i32), bool>>> = LazyLock::new(Mutex::default);
static NUMBERS: AtomicU32 = AtomicU32::new(1);
/// Generators look like no address of a program.
const TAG: u64 = 0x4352_0000_0000_0000;

/// Says which major version the exports are of.
pub(crate) fn set_major(major: u32) {
    CURAND_OF_BOX.set_major(major);
}

/// The generator that a program means.
///
/// # Errors
/// `CURAND_STATUS_NOT_INITIALIZED`.
pub(crate) fn find(word: u64) -> Result<Generator, Status> {
    let generators = GENERATORS.read().unwrap_or_else(PoisonError::into_inner);
    generators.get(&word).cloned().ok_or(NOT_INITIALIZED)
}

/// Changes what is kept of a generator.
pub(crate) fn change(word: u64, how: impl FnOnce(&mut Generator)) {
    let mut generators = GENERATORS.write().unwrap_or_else(PoisonError::into_inner);
    if let Some(generator) = generators.get_mut(&word) {
        how(generator);
    }
}

/// Writes an answer.
///
/// # Safety
/// `out` has room for a `T`.
unsafe fn put<T>(out: *mut c_void, value: T) -> Status {
    // SAFETY: by this function's contract.
    unsafe { out.cast::<T>().write_unaligned(value) };
    SUCCESS
}

fn make(function: &str, rng_type: i32, on_host: bool) -> Result<u64, Status> {
    let kind = match rng_type {
        kind::TEST => kind::TEST,
        100 => kind::XORWOW,
        200 => kind::SOBOL32,
        kind::XORWOW | kind::MRG32K3A | kind::MTGP32 | kind::MT19937 | kind::PHILOX => rng_type,
        kind::SOBOL32 | kind::SCRAMBLED_SOBOL32 | kind::SOBOL64 | kind::SCRAMBLED_SOBOL64 => {
            rng_type
        }
        _ => return Err(TYPE_ERROR),
    };
    CURAND_OF_BOX.info().map_err(of_start)?;
    ensure_context().map_err(of_driver)?;
    let function = CURAND.iter().find(|declared| declared.name == function);
    let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
    let create = LibraryCreate {
        stream: 0,
        handle: number,
        function: function.ok_or(INTERNAL_ERROR)?.id(),
        argument: rng_type,
    };
    // Generators that need tables of NVIDIA's: not every box has them. It is asked once.
    let uncertain = matches!(
        kind,
        kind::TEST
            | kind::MTGP32
            | kind::MT19937
            | kind::SCRAMBLED_SOBOL32
            | kind::SCRAMBLED_SOBOL64
    );
    let known = || TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    let told = known().get(&(on_host, kind)).copied();
    if told == Some(false) {
        return Err(NOT_SUPPORTED);
    }
    let ask = uncertain && told.is_none();
    let made = send(CURAND_OF_BOX.opcode(command::CREATE), &create, ask).map_err(of_driver);
    if ask && matches!(made, Ok(_) | Err(NOT_SUPPORTED)) {
        known().insert((on_host, kind), made.is_ok());
    }
    made?;
    let word = TAG | u64::from(number);
    let generator = Generator {
        number,
        kind,
        on_host,
        stream: 0,
        dimensions: 1,
    };
    GENERATORS
        .write()
        .unwrap_or_else(PoisonError::into_inner)
        .insert(word, generator);
    Ok(word)
}

/// <https://docs.nvidia.com/cuda/curand/group__HOST.html>
///
/// # Safety
/// `out` is null or writable.
pub(crate) unsafe fn curandCreateGenerator(out: *mut c_void, rng_type: i32) -> Status {
    if out.is_null() {
        return NOT_INITIALIZED;
    }
    match make("curandCreateGenerator", rng_type, false) {
        // SAFETY: not null, and the program's.
        Ok(word) => unsafe { put(out, word) },
        Err(status) => status,
    }
}

/// <https://docs.nvidia.com/cuda/curand/group__HOST.html>
///
/// # Safety
/// `out` is null or writable.
pub(crate) unsafe fn curandCreateGeneratorHost(out: *mut c_void, rng_type: i32) -> Status {
    if out.is_null() {
        return NOT_INITIALIZED;
    }
    match make("curandCreateGeneratorHost", rng_type, true) {
        // SAFETY: not null, and the program's.
        Ok(word) => unsafe { put(out, word) },
        Err(status) => status,
    }
}

/// <https://docs.nvidia.com/cuda/curand/group__HOST.html>
pub(crate) fn curandDestroyGenerator(generator: *mut c_void) -> Status {
    let mut generators = GENERATORS.write().unwrap_or_else(PoisonError::into_inner);
    let Some(gone) = generators.remove(&(generator as u64)) else {
        return NOT_INITIALIZED;
    };
    drop(generators);
    let destroy = LibraryDestroy {
        stream: 0,
        handle: gone.number,
    };
    match send(CURAND_OF_BOX.opcode(command::DESTROY), &destroy, false) {
        Ok(_) => SUCCESS,
        Err(code) => of_driver(code),
    }
}

/// <https://docs.nvidia.com/cuda/curand/group__HOST.html>: `CURAND_VERSION`, that is 1000 for the major version and 100 for the minor one.
///
/// # Safety
/// `out` is writable.
pub(crate) unsafe fn curandGetVersion(out: *mut c_void) -> Status {
    match CURAND_OF_BOX.info() {
        Ok(info) => {
            let (major, rest) = (info.version / 10_000, info.version % 10_000);
            // SAFETY: by this function's contract.
            unsafe { put(out, major * 1000 + rest) }
        }
        Err(failed) => of_start(failed),
    }
}

/// <https://docs.nvidia.com/cuda/curand/group__HOST.html>
///
/// # Safety
/// `out` is writable.
pub(crate) unsafe fn curandGetProperty(which: i32, out: *mut c_void) -> Status {
    let version = match CURAND_OF_BOX.info() {
        Ok(info) => info.version,
        Err(failed) => return of_start(failed),
    };
    let value = match which {
        0 => version / 10_000,
        1 => version / 100 % 100,
        2 => version % 100,
        _ => return OUT_OF_RANGE,
    };
    // SAFETY: by this function's contract.
    unsafe { put(out, value) }
}
