//! A call of the program becomes inputs by its declaration; the outputs go where its pointers say.

use std::ffi::{c_char, c_void};

use gvirtus_frontend_link::guard::unsupported;
use gvirtus_wire::api::nvml_call::*;

use crate::{Return, local, session};

/// Executes a function on the backend.
///
/// # Safety
/// The arguments are those of the function's declaration, and its pointers are null or point to what the declaration says.
pub(crate) unsafe fn forward(name: &'static str, arguments: &[u64]) -> Return {
    if !local::initialized() {
        return ERROR_UNINITIALIZED;
    }
    let Some(function) = Function::find(name) else {
        return ERROR_FUNCTION_NOT_FOUND;
    };
    // SAFETY: by this function's contract.
    let inputs = match unsafe { read(function, arguments) } {
        Ok(inputs) => inputs,
        Err(result) => return result,
    };
    let command = NvmlCall {
        function: name.to_owned(),
        shape: function.shape(),
        inputs: encode_inputs(&inputs),
    };
    let reply = match session::call(&command) {
        Ok(reply) => reply,
        Err(result) => return result,
    };
    match decode_outputs(function, &inputs, reply.result, &reply.outputs) {
        Ok(outputs) => {
            // SAFETY: by this function's contract; the outputs are not longer than what the inputs said.
            unsafe { write(function, arguments, &outputs) };
            if reply.result == ERROR_FUNCTION_NOT_FOUND {
                // The box's library is older than the declaration.
                unsupported(name);
            }
            reply.result
        }
        Err(_) => ERROR_UNKNOWN,
    }
}

/// The program's arguments as inputs.
///
/// # Errors
/// What NVML returns for a null pointer, or a structure of a version that it does not know.
///
/// # Safety
/// As [`forward`].
unsafe fn read(function: &Function, arguments: &[u64]) -> Result<Vec<Input>, Return> {
    let most = function.most();
    let mut inputs = Vec::with_capacity(arguments.len());
    for (parameter, &argument) in function.parameters.iter().zip(arguments) {
        let pointer = argument as *const u8;
        let nullable = matches!(
            parameter.mode,
            Mode::U32
                | Mode::U64
                | Mode::Size
                | Mode::Optional(_)
                | Mode::Array(_)
                | Mode::Processes(_)
                | Mode::Handles(_)
        );
        if pointer.is_null() && !nullable {
            return Err(ERROR_INVALID_ARGUMENT);
        }
        // SAFETY: not null where it is read; what the declaration says is there, by the contract. Programs' pointers need not be aligned.
        inputs.push(unsafe {
            match parameter.mode {
                Mode::Handle(_) => {
                    Input::Handle(u32::try_from(argument).map_err(|_| ERROR_INVALID_ARGUMENT)?)
                }
                Mode::OutHandle(_) | Mode::Out(_) | Mode::Text => Input::None,
                Mode::U32 | Mode::U64 => Input::Number(argument),
                // What is beyond the limit is not filled.
                Mode::Size => Input::Number(argument.min(u64::from(most))),
                Mode::Count => {
                    Input::Number(u64::from(pointer.cast::<u32>().read_unaligned().min(most)))
                }
                Mode::Optional(_) | Mode::Array(_) | Mode::Processes(_) | Mode::Handles(_) => {
                    Input::Wanted(!pointer.is_null())
                }
                Mode::InOut(n) => Input::Bytes(bytes(pointer, n)),
                Mode::Versioned(words) => {
                    let word = pointer.cast::<u32>().read_unaligned();
                    if !words.contains(&word) {
                        return Err(match function.name {
                            // The first that had versions knows nothing of mismatches.
                            "nvmlDeviceGetMemoryInfo_v2" => ERROR_FUNCTION_NOT_FOUND,
                            _ => ERROR_ARGUMENT_VERSION_MISMATCH,
                        });
                    }
                    Input::Bytes(bytes(pointer, structure_size(word)))
                }
                Mode::Values(n) => {
                    if arguments
                        .iter()
                        .zip(function.parameters)
                        .any(|(a, p)| p.mode == Mode::Size && *a > u64::from(most))
                    {
                        return Err(ERROR_INVALID_ARGUMENT);
                    }
                    let count = inputs.iter().find_map(|input| match input {
                        Input::Number(count) => usize::try_from(*count).ok(),
                        _ => None,
                    });
                    Input::Bytes(bytes(pointer, n * count.unwrap_or(0)))
                }
                Mode::Name => {
                    let length = (0..TEXT_LIMIT)
                        .find(|i| *pointer.add(*i) == 0)
                        .ok_or(ERROR_INVALID_ARGUMENT)?;
                    Input::Bytes(bytes(pointer, length))
                }
            }
        });
    }
    Ok(inputs)
}

/// # Safety
/// `n` bytes are readable.
unsafe fn bytes(pointer: *const u8, n: usize) -> Vec<u8> {
    // SAFETY: by the function's contract.
    unsafe { std::slice::from_raw_parts(pointer, n) }.to_vec()
}

/// Writes what came back.
///
/// # Safety
/// As [`forward`]; the outputs have been checked against the inputs that were read from these arguments.
unsafe fn write(function: &Function, arguments: &[u64], outputs: &[Output]) {
    for ((parameter, &argument), output) in function.parameters.iter().zip(arguments).zip(outputs) {
        let pointer = argument as *mut c_void;
        // SAFETY: a pointer with an output is not null, and has room for what the inputs said.
        unsafe {
            match output {
                Output::None => {}
                Output::Handle(number) => pointer.cast::<u64>().write_unaligned(u64::from(*number)),
                Output::Count(count) => pointer.cast::<u32>().write_unaligned(*count),
                Output::Handles(numbers) => {
                    // Where the library wrote none, what was there stays.
                    for (i, number) in numbers.iter().enumerate().filter(|(_, n)| **n != 0) {
                        pointer
                            .cast::<u64>()
                            .add(i)
                            .write_unaligned(u64::from(*number));
                    }
                }
                Output::Bytes(bytes) => {
                    std::ptr::copy_nonoverlapping(bytes.as_ptr(), pointer.cast(), bytes.len());
                    if parameter.mode == Mode::Text {
                        pointer.cast::<c_char>().add(bytes.len()).write(0);
                    }
                }
            }
        }
    }
}
