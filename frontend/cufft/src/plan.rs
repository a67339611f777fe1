//! Plans: numbered here, known to the worker by the command that goes before the first call.

use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use gvirtus_frontend_link::library::{ToWord, command as send};
use gvirtus_frontend_link::start::{Failed, Started, ensure_context};
use gvirtus_wire::api::library::{
    CUFFT, CUFFT_OPCODES, LibraryCreate, LibraryDestroy, LibraryInfo, command,
};

use crate::Status;
use crate::compute::compute;
use crate::status::{
    INTERNAL_ERROR, INVALID_PLAN, INVALID_TYPE, INVALID_VALUE, SUCCESS, of_driver,
};

/// A plan.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What program and worker call it.
    pub number: u32,
    /// The program's stream.
    pub stream: u64,
    /// Its `cufftType`, once it is made; 0 for one that is made by data types.
    pub kind: Option<i32>,
    /// A bit for each type of callback that it has.
    pub callbacks: u32,
    /// Somebody has tried to make it.
    pub tried: bool,
    /// It has a policy for its work area, by which it refuses areas.
    pub policy: bool,
}

static PLANS: LazyLock<RwLock<HashMap<u32, Plan>>> = LazyLock::new(RwLock::default);
static NUMBERS: AtomicU32 = AtomicU32::new(1);
/// cuFFT on the box.
static CUFFT_OF_BOX: Started = Started::new(CUFFT_OPCODES.0);

/// Says which major version the exports are of.
pub fn set_major(major: u32) {
    CUFFT_OF_BOX.set_major(major);
}

/// Numbers plans from here on, for a library that is in one process with another that does.
pub fn number_from(first: u32) {
    NUMBERS.fetch_max(first, Ordering::Relaxed);
}

/// A `cufftHandle` is an `int`: the upper half of its register is anything.
fn number(word: u64) -> u32 {
    word as u32
}

/// The plan that a program means.
///
/// # Errors
/// `CUFFT_INVALID_PLAN`.
pub fn find(word: u64) -> Result<Plan, Status> {
    let plans = PLANS.read().unwrap_or_else(PoisonError::into_inner);
    plans.get(&number(word)).cloned().ok_or(INVALID_PLAN)
}

/// Keeps a plan's stream.
pub(crate) fn set_stream(word: u64, stream: u64) -> Result<Plan, Status> {
    let mut plans = PLANS.write().unwrap_or_else(PoisonError::into_inner);
    let plan = plans.get_mut(&number(word)).ok_or(INVALID_PLAN)?;
    plan.stream = stream;
    Ok(plan.clone())
}

/// Keeps what a plan was made for.
pub(crate) fn set_made(number: u32, kind: i32) {
    let mut plans = PLANS.write().unwrap_or_else(PoisonError::into_inner);
    if let Some(plan) = plans.get_mut(&number) {
        plan.kind = Some(kind);
    }
}

/// Keeps that somebody tries to make a plan.
pub(crate) fn set_tried(number: u32) {
    let mut plans = PLANS.write().unwrap_or_else(PoisonError::into_inner);
    if let Some(plan) = plans.get_mut(&number) {
        plan.tried = true;
    }
}

/// Keeps that a plan has a policy for its work area.
pub(crate) fn set_policy(number: u32) {
    let mut plans = PLANS.write().unwrap_or_else(PoisonError::into_inner);
    if let Some(plan) = plans.get_mut(&number) {
        plan.policy = true;
    }
}

/// Keeps that a plan has a callback.
pub(crate) fn set_callback(number: u32, bit: u32) {
    let mut plans = PLANS.write().unwrap_or_else(PoisonError::into_inner);
    if let Some(plan) = plans.get_mut(&number) {
        plan.callbacks |= bit;
    }
}

/// What the box's library says of itself.
pub(crate) fn info() -> Result<Arc<LibraryInfo>, Status> {
    CUFFT_OF_BOX.info().map_err(|failed| match failed {
        Failed::Cuda(code) => of_driver(code),
        Failed::Library(status) => status,
    })
}

fn make() -> Result<u32, Status> {
    info()?;
    ensure_context().map_err(of_driver)?;
    let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
    let create = LibraryCreate {
        stream: 0,
        handle: number,
        function: 0,
        argument: 0,
    };
    send(CUFFT_OPCODES.0 + command::CREATE, &create, false).map_err(of_driver)?;
    let plan = Plan {
        number,
        stream: 0,
        kind: None,
        callbacks: 0,
        tried: false,
        policy: false,
    };
    let mut plans = PLANS.write().unwrap_or_else(PoisonError::into_inner);
    plans.insert(number, plan);
    Ok(number)
}

/// # Safety
/// `out` is null or has room for a `T`.
unsafe fn put<T>(out: *mut c_void, value: T) -> Status {
    if out.is_null() {
        return INVALID_VALUE;
    }
    // SAFETY: not null; by this function's contract.
    unsafe { out.cast::<T>().write_unaligned(value) };
    SUCCESS
}

/// <https://docs.nvidia.com/cuda/cufft/#cufftcreate>
///
/// # Safety
/// `out` is null or writable.
pub unsafe fn cufftCreate(out: *mut c_void) -> Status {
    if out.is_null() {
        return INVALID_VALUE;
    }
    match make() {
        // SAFETY: by this function's contract.
        Ok(number) => unsafe { put(out, number) },
        Err(status) => status,
    }
}

/// <https://docs.nvidia.com/cuda/cufft/#cufftdestroy>
pub fn cufftDestroy(plan: *mut c_void) -> Status {
    let mut plans = PLANS.write().unwrap_or_else(PoisonError::into_inner);
    let Some(gone) = plans.remove(&number(plan as u64)) else {
        return INVALID_PLAN;
    };
    drop(plans);
    let destroy = LibraryDestroy {
        stream: 0,
        handle: gone.number,
    };
    match send(CUFFT_OPCODES.0 + command::DESTROY, &destroy, false) {
        Ok(_) => SUCCESS,
        Err(code) => of_driver(code),
    }
}

/// <https://docs.nvidia.com/cuda/cufft/#cufftgetversion>
///
/// # Safety
/// `out` is null or writable.
pub unsafe fn cufftGetVersion(out: *mut c_void) -> Status {
    match info() {
        Ok(info) => {
            let (major, rest) = (info.version / 10_000, info.version % 10_000);
            // SAFETY: by this function's contract.
            unsafe { put(out, major * 1000 + rest) }
        }
        Err(status) => status,
    }
}

/// <https://docs.nvidia.com/cuda/cufft/#cufftgetproperty>
///
/// # Safety
/// `out` is null or writable.
pub unsafe fn cufftGetProperty(which: i32, out: *mut c_void) -> Status {
    let version = match info() {
        Ok(info) => info.version,
        Err(status) => return status,
    };
    let value = match which {
        0 => version / 10_000,
        1 => version / 100 % 100,
        2 => version % 100,
        _ => return INVALID_TYPE,
    };
    // SAFETY: by this function's contract.
    unsafe { put(out, value) }
}

/// Creates a plan and makes it by another function of cuFFT, whose parameters are the plan, these, and the work size.
///
/// # Safety
/// `out` is null or writable; the arguments are what the function takes.
unsafe fn made_by(name: &str, out: *mut c_void, arguments: &[u64]) -> Status {
    let Some(function) = CUFFT.iter().find(|function| function.name == name) else {
        return INTERNAL_ERROR;
    };
    if out.is_null() {
        return INVALID_VALUE;
    }
    let number = match make() {
        Ok(number) => number,
        Err(status) => return status,
    };
    let mut size = 0u64;
    let mut all = vec![u64::from(number)];
    all.extend_from_slice(arguments);
    all.push((&raw mut size) as u64);
    // SAFETY: by this function's contract; the work size is a local.
    match unsafe { compute(function, &all) } {
        // SAFETY: not null, and the program's.
        SUCCESS => unsafe { put(out, number) },
        status => {
            cufftDestroy(number as usize as *mut c_void);
            status
        }
    }
}

/// <https://docs.nvidia.com/cuda/cufft/#cufftplan1d>
///
/// # Safety
/// `out` is null or writable.
pub unsafe fn cufftPlan1d(out: *mut c_void, nx: i32, kind: i32, batch: i32) -> Status {
    let arguments = [nx.to_word(), kind.to_word(), batch.to_word()];
    // SAFETY: by this function's contract.
    unsafe { made_by("cufftMakePlan1d", out, &arguments) }
}

/// <https://docs.nvidia.com/cuda/cufft/#cufftplan2d>
///
/// # Safety
/// `out` is null or writable.
pub unsafe fn cufftPlan2d(out: *mut c_void, nx: i32, ny: i32, kind: i32) -> Status {
    let arguments = [nx.to_word(), ny.to_word(), kind.to_word()];
    // SAFETY: by this function's contract.
    unsafe { made_by("cufftMakePlan2d", out, &arguments) }
}

/// <https://docs.nvidia.com/cuda/cufft/#cufftplan3d>
///
/// # Safety
/// `out` is null or writable.
pub unsafe fn cufftPlan3d(out: *mut c_void, nx: i32, ny: i32, nz: i32, kind: i32) -> Status {
    let arguments = [nx.to_word(), ny.to_word(), nz.to_word(), kind.to_word()];
    // SAFETY: by this function's contract.
    unsafe { made_by("cufftMakePlan3d", out, &arguments) }
}

/// <https://docs.nvidia.com/cuda/cufft/#cufftplanmany>
///
/// # Safety
/// `out` is null or writable; arrays are null or have `rank` elements.
#[allow(clippy::too_many_arguments, reason = "cuFFT's")]
pub unsafe fn cufftPlanMany(
    out: *mut c_void,
    rank: i32,
    n: *mut c_void,
    inembed: *mut c_void,
    istride: i32,
    idist: i32,
    onembed: *mut c_void,
    ostride: i32,
    odist: i32,
    kind: i32,
    batch: i32,
) -> Status {
    let arguments = [
        rank.to_word(),
        n.to_word(),
        inembed.to_word(),
        istride.to_word(),
        idist.to_word(),
        onembed.to_word(),
        ostride.to_word(),
        odist.to_word(),
        kind.to_word(),
        batch.to_word(),
    ];
    // SAFETY: by this function's contract.
    unsafe { made_by("cufftMakePlanMany", out, &arguments) }
}
