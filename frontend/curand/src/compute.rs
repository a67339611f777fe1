//! Calls of a generator: settings and numbers. What cuRAND refuses at once is refused here, so that what is sent needs no answer.

use std::ffi::c_void;

use gvirtus_frontend_link::guard::unsupported;
use gvirtus_frontend_link::library::{Outcome, Target, call};
use gvirtus_frontend_link::start::ensure_context;
use gvirtus_wire::api::library::{Function, Mode, command};

use crate::generator::{self, CURAND_OF_BOX, Generator, kind};
use crate::status::{
    ALLOCATION_FAILED, INTERNAL_ERROR, LENGTH_NOT_MULTIPLE, NOT_INITIALIZED, NOT_SUPPORTED,
    OUT_OF_RANGE, SUCCESS, TYPE_ERROR, of_driver, of_start,
};
use crate::{Status, tables};

/// The most dimensions of a quasirandom generator.
const MOST_DIMENSIONS: u64 = 20_000;
/// The largest mean of a Poisson distribution.
const MOST_LAMBDA: f64 = 400_000.0;

/// What is to be done about a call.
#[derive(Debug, PartialEq)]
enum Verdict {
    /// Send it.
    Send,
    /// Send it, and wait for the library's word: only it knows whether it can.
    Ask,
    /// cuRAND's status at once.
    Told(Status),
}

/// Whether a mean is one that cuRAND takes.
fn is_mean(lambda: u64) -> bool {
    let lambda = f64::from_bits(lambda);
    lambda > 0.0 && lambda <= MOST_LAMBDA
}

/// Looks at a call for numbers.
fn look(function: &Function, generator: &Generator, arguments: &[u64]) -> Verdict {
    let argument = |name: &str| {
        let at = function.parameters.iter().position(|p| p.name == name)?;
        arguments.get(at).copied()
    };
    let Some(count) = argument("num").or_else(|| argument("n")) else {
        return Verdict::Send;
    };
    if generator.kind == kind::TEST {
        return Verdict::Ask;
    }
    if argument("lambda").is_some_and(|lambda| !is_mean(lambda)) {
        return Verdict::Told(OUT_OF_RANGE);
    }
    if count == 0 {
        return Verdict::Told(SUCCESS);
    }
    let wrong_type = match function.name {
        "curandGenerate" => generator.is_wide(),
        "curandGenerateLongLong" => !generator.is_wide(),
        _ => false,
    };
    if wrong_type {
        return Verdict::Told(TYPE_ERROR);
    }
    if generator.is_quasi() && !count.is_multiple_of(u64::from(generator.dimensions)) {
        return Verdict::Told(LENGTH_NOT_MULTIPLE);
    }
    // Numbers by Box and Muller come in pairs.
    if function.name.contains("Normal") && !count.is_multiple_of(2) {
        match generator.kind {
            kind::XORWOW | kind::MRG32K3A => return Verdict::Told(LENGTH_NOT_MULTIPLE),
            kind::MT19937 => return Verdict::Ask,
            _ => {}
        }
    }
    if function.class == "Sync" {
        return Verdict::Ask;
    }
    Verdict::Send
}

/// Executes a function.
///
/// # Safety
/// The arguments are those of the function's declaration, and its pointers to host memory are null or lead to what cuRAND documents.
pub(crate) unsafe fn compute(function: &Function, arguments: &[u64]) -> Status {
    let told = match CURAND_OF_BOX.info() {
        Ok(told) => told,
        Err(failed) => return of_start(failed),
    };
    if told.missing.contains(&function.id()) {
        unsupported(function.name);
        return NOT_SUPPORTED;
    }
    if let Some(bytes) = function.parameters.iter().find_map(|p| match p.mode {
        Mode::Table(bytes) => Some(bytes),
        _ => None,
    }) {
        // SAFETY: by this function's contract.
        return unsafe { tables::get(function, arguments, bytes) };
    }
    if !function.parameters.iter().any(|p| p.mode == Mode::Handle) {
        // SAFETY: by this function's contract.
        return unsafe { distribution(function, arguments) };
    }
    let generator = match generator::find(arguments.first().copied().unwrap_or(0)) {
        Ok(generator) => generator,
        Err(status) => return status,
    };
    let ask = match look(function, &generator, arguments) {
        Verdict::Send => false,
        Verdict::Ask => true,
        Verdict::Told(status) => return status,
    };
    // SAFETY: by this function's contract.
    unsafe { send(function, Some(&generator), arguments, ask) }
}

/// `curandCreatePoissonDistribution` and `curandDestroyDistribution`.
///
/// # Safety
/// As [`compute`].
unsafe fn distribution(function: &Function, arguments: &[u64]) -> Status {
    let wrong = match (function.name, arguments) {
        ("curandCreatePoissonDistribution", &[_, 0]) | ("curandDestroyDistribution", &[0]) => {
            Some(NOT_INITIALIZED)
        }
        ("curandCreatePoissonDistribution", &[lambda, _]) if !is_mean(lambda) => Some(OUT_OF_RANGE),
        _ => None,
    };
    if let Some(status) = wrong {
        return status;
    }
    if let Err(code) = ensure_context() {
        return of_driver(code);
    }
    // SAFETY: by this function's contract.
    unsafe { send(function, None, arguments, true) }
}

/// Sends a call, and with `ask` waits for the library's status.
///
/// # Safety
/// As [`compute`].
pub(crate) unsafe fn send(
    function: &Function,
    generator: Option<&Generator>,
    arguments: &[u64],
    ask: bool,
) -> Status {
    let target = Target {
        opcode: CURAND_OF_BOX.opcode(command::CALL),
        handle: generator.map_or(0, |generator| generator.number),
        stream: generator.map_or(std::ptr::null_mut(), |g| g.stream as *mut c_void),
        host_scalars: generator.is_none_or(|generator| generator.on_host),
        ask,
    };
    // SAFETY: by this function's contract.
    match unsafe { call(function, arguments, &target) } {
        Outcome::Sent => SUCCESS,
        Outcome::Answered(status) => status,
        // More numbers than are made at once.
        Outcome::Invalid => ALLOCATION_FAILED,
        Outcome::Failed(code) => of_driver(code),
    }
}

/// Keeps and sends a setting of a generator.
///
/// # Safety
/// The arguments are those of the function's declaration.
pub(crate) unsafe fn set(function: &Function, arguments: &[u64]) -> Status {
    let &[word, value] = arguments else {
        return INTERNAL_ERROR;
    };
    let generator = match generator::find(word) {
        Ok(generator) => generator,
        Err(status) => return status,
    };
    let verdict = if generator.kind == kind::TEST && function.name != "curandSetStream" {
        Verdict::Ask
    } else {
        look_at_setting(function.name, &generator, value)
    };
    if let Verdict::Told(status) = verdict {
        return status;
    }
    // SAFETY: settings have no pointers to host memory.
    let status = unsafe {
        send(
            function,
            Some(&generator),
            arguments,
            verdict == Verdict::Ask,
        )
    };
    if status == SUCCESS {
        generator::change(word, |generator| match function.name {
            "curandSetStream" => generator.stream = value,
            "curandSetQuasiRandomGeneratorDimensions" => generator.dimensions = value as u32,
            _ => {}
        });
    }
    status
}

/// Looks at a setting; what is not told at once is in order.
fn look_at_setting(name: &str, generator: &Generator, value: u64) -> Verdict {
    let quasi = generator.is_quasi();
    match name {
        "curandSetPseudoRandomGeneratorSeed" if quasi => Verdict::Told(TYPE_ERROR),
        "curandSetGeneratorOffset" => match generator.kind {
            kind::MTGP32 => Verdict::Told(TYPE_ERROR),
            kind::MT19937 => Verdict::Ask,
            _ => Verdict::Send,
        },
        "curandSetGeneratorOrdering" => match (quasi, value) {
            (true, 201) | (false, 100 | 101 | 103) => Verdict::Send,
            // Seeded, and one that depends on the device: not of all generators.
            (false, 102 | 104) => Verdict::Ask,
            _ => Verdict::Told(OUT_OF_RANGE),
        },
        "curandSetQuasiRandomGeneratorDimensions" if !quasi => Verdict::Told(TYPE_ERROR),
        "curandSetQuasiRandomGeneratorDimensions"
            if !(1..=MOST_DIMENSIONS).contains(&(value & 0xffff_ffff)) =>
        {
            Verdict::Told(OUT_OF_RANGE)
        }
        _ => Verdict::Send,
    }
}
