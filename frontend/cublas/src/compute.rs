//! Calls that do work: on the handle's stream, scalars and results by its pointer mode.

use std::ffi::c_void;
use std::sync::{LazyLock, PoisonError};

use gvirtus_frontend_link::guard::unsupported;
use gvirtus_frontend_link::library::{Outcome, Target, call};
use gvirtus_frontend_link::start::capturing;
use gvirtus_wire::api::library::{CUBLAS, Function, command};

use crate::handle::{self, Handle, opcode};
use crate::status::{INVALID_VALUE, NOT_SUPPORTED, SUCCESS, of_driver};
use crate::{Status, argument};

/// What sets a handle's stream.
pub(crate) static SET_STREAM: LazyLock<Option<&Function>> =
    LazyLock::new(|| CUBLAS.iter().find(|f| f.name == "cublasSetStream_v2"));

/// Executes a function.
///
/// # Safety
/// The arguments are those of the function's declaration, and its pointers to host memory are null or lead to what cuBLAS documents.
pub unsafe fn compute(function: &Function, arguments: &[u64]) -> Status {
    let handle = match handle::find(arguments.first().copied().unwrap_or(0) as *mut c_void) {
        Ok(handle) => handle,
        Err(status) => return status,
    };
    if handle::lacks(function.id()) {
        unsupported(function.name);
        return NOT_SUPPORTED;
    }
    if argument::refused(function, arguments) {
        return INVALID_VALUE;
    }
    // Whether the library has a variant only the library knows: the first call of each asks.
    let (pointer_mode, stream, own_workspace_due) = {
        let mut state = handle.state();
        let due = state.take_own_workspace_due();
        (state.pointer_mode, state.stream, due)
    };
    if own_workspace_due && let Some(set) = *SET_STREAM {
        // SAFETY: the function has no pointers to host memory.
        let told = unsafe { send(&handle, set, &[arguments[0], stream as u64], false) };
        if told != SUCCESS {
            return told;
        }
    }
    let variant = variant(function, arguments, pointer_mode);
    let ask = variant.is_some_and(|variant| !known(&handle, function, variant))
        && !capturing(stream as u64);
    // SAFETY: by this function's contract.
    let status = unsafe { send(&handle, function, arguments, ask) };
    if let (Some(variant), true, SUCCESS) = (variant, ask, status) {
        handle
            .supported
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert((function.id(), variant));
    }
    status
}

/// Sends a call on the handle's stream.
///
/// # Safety
/// As [`compute`].
pub(crate) unsafe fn send(
    handle: &Handle,
    function: &Function,
    arguments: &[u64],
    ask: bool,
) -> Status {
    let (stream, pointer_mode) = {
        let state = handle.state();
        (state.stream, state.pointer_mode)
    };
    let target = Target {
        opcode: opcode(command::CALL),
        handle: handle.number,
        stream,
        host_scalars: pointer_mode == 0,
        ask,
    };
    // SAFETY: by this function's contract.
    match unsafe { call(function, arguments, &target) } {
        Outcome::Sent => SUCCESS,
        Outcome::Answered(status) => status,
        Outcome::Invalid => INVALID_VALUE,
        Outcome::Failed(code) => of_driver(code),
    }
}

fn known(handle: &Handle, function: &Function, variant: u64) -> bool {
    handle
        .supported
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .contains(&(function.id(), variant))
}

/// What tells apart the variants of a function that has any: its types and algorithms, with which transpositions, and where its scalars lie (FNV-1a).
fn variant(function: &Function, arguments: &[u64], pointer_mode: i32) -> Option<u64> {
    let nature = argument::nature(function).filter(|nature| nature.has_variants)?;
    let words = nature
        .variants
        .iter()
        .filter_map(|at| arguments.get(*at).copied());
    let hash = words
        .chain([u64::from(pointer_mode.cast_unsigned())])
        .flat_map(u64::to_le_bytes)
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
        });
    Some(hash)
}
