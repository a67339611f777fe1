//! Functions that are like no others: what they do to a descriptor is not all, or what they tell depends on an address.

use std::ffi::c_void;

use gvirtus_frontend_link::library::ToWord;

use crate::compute::{try_ask, work};
use crate::descriptor::try_set;
use crate::local::put;
use crate::status::SUCCESS;
use crate::{Status, declared};

/// Stands for the address of weights in what is asked of the box's library, so that one answer serves for all of them.
const WEIGHTS: u64 = 0x1000_0000_0000;

/// Sets the descriptor, and the generators' states on the device.
/// <https://docs.nvidia.com/deeplearning/cudnn/backend/latest/api/cudnn-ops-library.html#cudnnsetdropoutdescriptor>
///
/// # Safety
/// None is needed: nothing on the host is read.
pub unsafe fn cudnnSetDropoutDescriptor(
    descriptor: *mut c_void,
    handle: *mut c_void,
    dropout: f32,
    states: *mut c_void,
    size: i64,
    seed: i64,
) -> Status {
    let arguments = [
        descriptor.to_word(),
        handle.to_word(),
        dropout.to_word(),
        states.to_word(),
        size.to_word(),
        seed.to_word(),
    ];
    // Without states nothing happens on the device.
    let name = if states.is_null() {
        "cudnnSetDropoutDescriptor"
    } else {
        "cudnnRestoreDropoutDescriptor"
    };
    // SAFETY: the function reads nothing on the host.
    match unsafe { try_set(name, &arguments) } {
        Ok(()) if states.is_null() => SUCCESS,
        // SAFETY: as above.
        Ok(()) => unsafe { work(declared("cudnnSetDropoutDescriptor"), &arguments) },
        Err(status) => status,
    }
}

/// Asks with an address of ours, and moves what is told to the program's. Who does not want to be told one of the addresses passes null (PyTorch asks for matrix and bias by turns).
///
/// # Safety
/// Pointers are null or writable.
unsafe fn moved(name: &str, arguments: &mut [u64], weights: usize, outs: &[usize]) -> Status {
    let real = arguments[weights];
    let mut told = vec![0u64; outs.len()];
    let programs: Vec<u64> = outs.iter().map(|at| arguments[*at]).collect();
    if real != 0 {
        arguments[weights] = WEIGHTS;
    }
    for (at, told) in outs.iter().zip(&mut told) {
        if arguments[*at] != 0 {
            arguments[*at] = std::ptr::from_mut(told) as u64;
        }
    }
    // SAFETY: by this function's contract; the addresses are those of locals.
    if let Err(status) = unsafe { try_ask(declared(name), arguments) } {
        return status;
    }
    for (out, told) in programs.into_iter().zip(told) {
        if out == 0 {
            continue;
        }
        let value = match told {
            0 => 0,
            _ if real == 0 => told,
            address => address.wrapping_sub(WEIGHTS).wrapping_add(real),
        };
        // SAFETY: not null, and writable by this function's contract.
        if let Err(status) = unsafe { put(out as *mut c_void, value) } {
            return status;
        }
    }
    SUCCESS
}

/// <https://docs.nvidia.com/deeplearning/cudnn/backend/latest/api/cudnn-adv-library.html#cudnngetrnnweightparams>
///
/// # Safety
/// Pointers are null or writable.
#[allow(clippy::too_many_arguments, reason = "cuDNN's")]
pub unsafe fn cudnnGetRNNWeightParams(
    handle: *mut c_void,
    descriptor: *mut c_void,
    layer: i32,
    size: i64,
    weights: i64,
    linear: i32,
    matrix: *mut c_void,
    matrix_address: *mut c_void,
    bias: *mut c_void,
    bias_address: *mut c_void,
) -> Status {
    let mut arguments = [
        handle.to_word(),
        descriptor.to_word(),
        layer.to_word(),
        size.to_word(),
        weights.to_word(),
        linear.to_word(),
        matrix.to_word(),
        matrix_address.to_word(),
        bias.to_word(),
        bias_address.to_word(),
    ];
    // SAFETY: by this function's contract.
    unsafe { moved("cudnnGetRNNWeightParams", &mut arguments, 4, &[7, 9]) }
}

/// <https://docs.nvidia.com/deeplearning/cudnn/backend/latest/api/cudnn-adv-library.html#cudnngetmultiheadattnweights>
///
/// # Safety
/// Pointers are null or writable.
pub unsafe fn cudnnGetMultiHeadAttnWeights(
    handle: *mut c_void,
    descriptor: *mut c_void,
    kind: i32,
    size: i64,
    weights: i64,
    matrix: *mut c_void,
    address: *mut c_void,
) -> Status {
    let mut arguments = [
        handle.to_word(),
        descriptor.to_word(),
        kind.to_word(),
        size.to_word(),
        weights.to_word(),
        matrix.to_word(),
        address.to_word(),
    ];
    // SAFETY: by this function's contract.
    unsafe { moved("cudnnGetMultiHeadAttnWeights", &mut arguments, 4, &[6]) }
}
