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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::library::{CUDNN, CUFFT, LibraryCall, arguments};
    use crate::codec::Params;

    fn call(function: &Function, words: &[u64], data: &[u8]) -> LibraryCall {
        LibraryCall {
            stream: 0,
            function: function.id(),
            handle: 1,
            host_scalars: true,
            words: words.iter().flat_map(|word| word.to_le_bytes()).collect(),
            data: Params::from_slice(data),
        }
    }

    /// A label with another's parameter is no call: cuDNN would take a number for a descriptor.
    #[test]
    fn labels_and_parameters() {
        let mut forms = 0;
        for function in CUDNN.iter().filter(|f| f.majors.is_empty()) {
            for label in 0..120 {
                let at = |mode: Mode| u64::from(function.parameters[2].mode == mode);
                let right = match function.name.contains("Const") {
                    true => at(constant(label)),
                    false => at(variable(label)),
                };
                let words = [1, u64::from(label.cast_unsigned()), 0];
                let decoded = arguments(function, call(function, &words, &[]).view());
                assert_eq!(
                    u64::from(decoded.is_ok()),
                    right,
                    "{} {label}",
                    function.name
                );
            }
            forms += 1;
        }
        assert_eq!(forms, 7);
    }

    /// A text ends in a NUL, and an image is as long as is said.
    #[test]
    fn texts_and_images() {
        let function = CUFFT.iter().find(|f| f.name.starts_with("cufftXtSetJIT"));
        let function = function.unwrap();
        let decoded = |length: u64, data: &[u8]| {
            arguments(
                function,
                call(function, &[0, 1, 1, length, 0, 0], data).view(),
            )
            .is_ok()
        };
        assert!(decoded(3, b"\x02\0\0\0f\0abc"));
        assert!(!decoded(3, b"\x02\0\0\0ffabc"));
        assert!(!decoded(4, b"\x02\0\0\0f\0abc"));
        assert!(!decoded(3, b"\x00\0\0\0abc"));
        assert!(!decoded(3, b"\x20\0\0\0f\0abc"));
        assert!(!decoded(1 << 40, b"\x02\0\0\0f\0abc"));
    }
}
