//! How many bytes there are where pointers lead to of which the declarations do not say it: factors and blobs.

use std::sync::Arc;

use gvirtus_wire::api::library::{Function, Mode};

use crate::compute;
use crate::descriptor::Descriptor;

/// `CUDNN_DATA_DOUBLE`.
const DOUBLE: i32 = 1;
/// `CUDNN_SEQDATA_TIME_DIM`.
const TIME: i32 = 0;

/// Bytes of an element of a `cudnnDataType_t`.
#[must_use]
pub fn element(data_type: i32) -> Option<usize> {
    Some(match data_type {
        // FLOAT, INT32, INT8x4, UINT8x4, UINT32.
        0 | 4 | 5 | 7 | 19 => 4,
        // DOUBLE, INT64, COMPLEX_FP32.
        1 | 10 | 20 => 8,
        // HALF, BFLOAT16.
        2 | 9 => 2,
        // INT8, UINT8, BOOLEAN, FP8 of every kind, FP4, INT4, UINT4.
        3 | 6 | 11 | 12 | 13 | 15..=18 | 22 | 23 => 1,
        8 => 32,
        21 => 16,
        _ => return None,
    })
}

/// A parameter's descriptor by its name.
fn named<'a>(
    function: &Function,
    descriptors: &'a [Option<Arc<Descriptor>>],
    name: &str,
) -> Option<&'a Descriptor> {
    let at = function.parameters.iter().position(|p| p.name == name)?;
    descriptors.get(at)?.as_deref()
}

/// The data type of a tensor or filter.
#[must_use]
pub fn data_type(descriptor: &Descriptor) -> Option<i32> {
    let (whole, filled) = {
        let state = descriptor.state();
        (state.whole().cloned(), state.filled)
    };
    match whole {
        Some(step) => step.value("dataType"),
        None if filled => compute::told(descriptor)?.first().copied(),
        None => None,
    }
}

/// The dimensions of a tensor.
fn dimensions(descriptor: &Descriptor) -> Option<Vec<i32>> {
    let (whole, filled) = {
        let state = descriptor.state();
        (state.whole().cloned(), state.filled)
    };
    match whole {
        Some(step) => step.array("dimA").or_else(|| {
            ["n", "c", "h", "w"]
                .iter()
                .map(|name| step.value(name))
                .collect()
        }),
        None if filled => Some(compute::told(descriptor)?.get(2..)?.to_vec()),
        None => None,
    }
}

/// # Safety
/// `address` is null or leads to so many `int`s.
unsafe fn sum(address: u64, count: usize) -> Option<usize> {
    if address == 0 {
        return Some(0);
    }
    // SAFETY: by this function's contract.
    let numbers = unsafe { std::slice::from_raw_parts(address as *const i32, count) };
    numbers
        .iter()
        .try_fold(0usize, |sum, n| sum.checked_add(usize::try_from(*n).ok()?))
}

/// How many bytes the parameter at a place leads to.
pub fn of(
    function: &Function,
    arguments: &[u64],
    descriptors: &[Option<Arc<Descriptor>>],
    at: usize,
) -> Option<usize> {
    let parameter = function.parameters.get(at)?;
    let named = |name| named(function, descriptors, name);
    let ints = |n: i32| Some(4 * usize::try_from(n).ok()?);
    match (parameter.mode, parameter.name) {
        (Mode::Scale, "paddingFill") => {
            let at = function
                .parameters
                .iter()
                .position(|p| p.name == "dataType")?;
            element(*arguments.get(at)? as i32).filter(|bytes| *bytes <= 8)
        }
        // Factors are `double` where the data are.
        (Mode::Scale, _) => {
            let double = descriptors.iter().flatten().any(|descriptor| {
                matches!(descriptor.kind, "Tensor" | "Filter")
                    && data_type(descriptor) == Some(DOUBLE)
            });
            Some(if double { 8 } else { 4 })
        }
        (Mode::Blob, "valuePtr") => element(data_type(named("yDesc")?)?),
        (Mode::Blob, "loWinIdx" | "hiWinIdx") => {
            let queries = named("qDesc").or_else(|| named("doDesc"))?;
            let step = queries.state().whole()?.clone();
            let (axes, lengths) = (step.array("axes")?, step.array("dimA")?);
            // `dimA` is indexed by the axis, not by its place.
            axes.contains(&TIME).then_some(())?;
            ints(*lengths.get(TIME as usize)?)
        }
        (Mode::Blob, "hostLabels" | "labels") => {
            let batch = *dimensions(named("probsDesc")?)?.get(1)?;
            let lengths = function
                .parameters
                .iter()
                .position(|p| matches!(p.name, "hostLabelLengths" | "labelLengths"))?;
            // SAFETY: the program passes as many lengths as the batch has sequences.
            unsafe { sum(*arguments.get(lengths)?, usize::try_from(batch).ok()?) }?.checked_mul(4)
        }
        (Mode::Blob, _) => ints(*dimensions(named("probsDesc")?)?.get(1)?),
        _ => None,
    }
}
