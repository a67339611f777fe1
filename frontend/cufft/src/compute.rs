//! Calls of a plan: executions on its stream, and what makes it ready or tells of it.

use std::ffi::c_void;

use gvirtus_frontend_link::guard::unsupported;
use gvirtus_frontend_link::library::{Outcome, Target, call};
use gvirtus_wire::api::library::{CUFFT_OPCODES, Function, Mode, command};

use crate::Status;
use crate::plan::{self, Plan, info};
use crate::status::{INVALID_PLAN, INVALID_VALUE, NOT_SUPPORTED, SUCCESS, of_driver};

/// `CUFFT_FORWARD`, `CUFFT_INVERSE`.
const DIRECTIONS: [i32; 2] = [-1, 1];

/// Executes a function.
///
/// # Safety
/// The arguments are those of the function's declaration, and its pointers to host memory are null or lead to what cuFFT documents.
pub unsafe fn compute(function: &Function, arguments: &[u64]) -> Status {
    let told = match info() {
        Ok(told) => told,
        Err(status) => return status,
    };
    if told.missing.contains(&function.id()) {
        unsupported(function.name);
        return NOT_SUPPORTED;
    }
    let has_plan = function.parameters.iter().any(|p| p.mode == Mode::Handle);
    let plan = if has_plan {
        match plan::find(arguments.first().copied().unwrap_or(0)) {
            Ok(plan) => Some(plan),
            Err(status) => return status,
        }
    } else {
        None
    };
    let executes = function.name.contains("Exec");
    // What is not made yet is refused for that, whatever it is given.
    let unmade = executes && plan.as_ref().is_some_and(|plan| plan.kind.is_none());
    for (parameter, &argument) in function.parameters.iter().zip(arguments) {
        let refused = match parameter.name {
            "direction" => !DIRECTIONS.contains(&(argument as i32)),
            "idata" | "odata" | "input" | "output" | "n" | "workSize" => {
                argument == 0 && parameter.mode != Mode::I32
            }
            _ => false,
        };
        if refused && !unmade {
            return INVALID_VALUE;
        }
    }
    let callback = callback(function, arguments);
    if let (Some(plan), "cufftXtSetCallbackSharedSize") = (&plan, function.name)
        && (plan.callbacks == 0 || !plan.tried)
    {
        // Natively so if there is no callback; if there is one and the plan is not made yet, cuFFT does not come back from it.
        return INVALID_PLAN;
    }
    if let (Some(plan), true) = (&plan, function.name.contains("MakePlan")) {
        plan::set_tried(plan.number);
    }
    // A plan that is not made, or for something else: the error is the library's.
    let ask = function.class == "Sync"
        || executes
            && match plan.as_ref().and_then(|plan| plan.kind) {
                Some(kind) => {
                    kind != 0 && of_name(function.name).is_some_and(|named| named != kind)
                }
                None => true,
            };
    // SAFETY: by this function's contract.
    let status = unsafe { send(function, plan.as_ref(), arguments, ask) };
    if let (SUCCESS, Some(plan), "cufftXtSetWorkAreaPolicy") = (status, &plan, function.name) {
        plan::set_policy(plan.number);
    }
    if let (SUCCESS, Some(plan), Some(bit)) = (status, &plan, callback) {
        plan::set_callback(plan.number, bit);
    }
    if let (SUCCESS, Some(plan), true) = (status, &plan, function.name.contains("MakePlan")) {
        let at = function.parameters.iter().position(|p| p.name == "type_");
        let kind = at
            .and_then(|at| arguments.get(at))
            .map_or(0, |kind| *kind as i32);
        plan::set_made(plan.number, kind);
    }
    status
}

/// The bit of the callback's type that a function sets or is about; 0 for a type that there is not.
fn callback(function: &Function, arguments: &[u64]) -> Option<u32> {
    if !function.name.contains("Callback") {
        return None;
    }
    let mut parameters = function.parameters.iter();
    let at = parameters.position(|p| matches!(p.name, "cbType" | "type_"))?;
    let kind = u32::try_from(*arguments.get(at)? as i32).unwrap_or(u32::MAX);
    Some(1u32.checked_shl(kind).unwrap_or(0))
}

/// The `cufftType` that a function executes.
fn of_name(name: &str) -> Option<i32> {
    Some(match name {
        "cufftExecR2C" => 0x2a,
        "cufftExecC2R" => 0x2c,
        "cufftExecC2C" => 0x29,
        "cufftExecD2Z" => 0x6a,
        "cufftExecZ2D" => 0x6c,
        "cufftExecZ2Z" => 0x69,
        _ => return None,
    })
}

/// Sends a call, and with `ask` waits for the library's status.
///
/// # Safety
/// As [`compute`].
unsafe fn send(function: &Function, plan: Option<&Plan>, arguments: &[u64], ask: bool) -> Status {
    let target = Target {
        opcode: CUFFT_OPCODES.0 + command::CALL,
        handle: plan.map_or(0, |plan| plan.number),
        stream: plan.map_or(std::ptr::null_mut(), |plan| plan.stream as *mut c_void),
        host_scalars: true,
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

/// Sends a setting of a plan; its stream is kept.
///
/// # Safety
/// The arguments are those of the function's declaration.
pub unsafe fn set(function: &Function, arguments: &[u64]) -> Status {
    let (Some(&number), Some(&value)) = (arguments.first(), arguments.get(1)) else {
        return INVALID_VALUE;
    };
    let plan = if function.name == "cufftSetStream" {
        plan::set_stream(number, value)
    } else {
        plan::find(number)
    };
    match plan {
        Ok(plan) => {
            let ask = plan.policy && function.name == "cufftSetWorkArea";
            // SAFETY: settings have no pointers to host memory.
            unsafe { send(function, Some(&plan), arguments, ask) }
        }
        Err(status) => status,
    }
}
