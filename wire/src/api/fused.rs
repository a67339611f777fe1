//! Parameters of cuDNN 7's fused operations: by the label that it is given, one setter takes descriptors, addresses and numbers.

use crate::api::library::{Function, Mode};

/// How the parameter with a label of a constant pack (`cudnnFusedOpsConstParamLabel_t`) travels: descriptors, and enumerations.
#[must_use]
pub fn constant(label: i32) -> Mode {
    match label {
        0 | 3 | 12 | 14 | 16 | 19 | 26 | 28 | 31 | 33 | 35 => Mode::Object("Tensor"),
        6 => Mode::Object("Activation"),
        7 => Mode::Object("Convolution"),
        8 | 10 => Mode::Object("Filter"),
        _ => Mode::HostConst(4),
    }
}

/// The first label of a number on the host in a pack of variable parameters (`cudnnFusedOpsVariantParamLabel_t`): those before are addresses on the device.
const NUMBERS: i32 = 100;

/// The same of a pack of variable parameters.
#[must_use]
pub fn variable(label: i32) -> Mode {
    match label {
        NUMBERS.. => Mode::HostConst(8),
        _ => Mode::Device,
    }
}

/// Whether a setter is given a label whose parameter is what the setter takes; so are all other functions.
#[must_use]
pub fn fits(function: &Function, words: &[u64]) -> bool {
    // Forms that no program calls.
    if !function.majors.is_empty() {
        return true;
    }
    let label = words.get(1).copied().unwrap_or(0) as i32;
    let takes = function.parameters.get(2).map(|parameter| parameter.mode);
    match function.name {
        "cudnnSetFusedOpsConstParamPackAttribute" => takes == Some(constant(label)),
        "cudnnSetFusedOpsVariantParamPackAttribute" => takes == Some(variable(label)),
        _ => true,
    }
}
