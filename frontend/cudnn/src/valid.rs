//! Settings that cuDNN surely takes, so that nobody has to be asked. What is not found to be so here may be taken as well: the box's library says.

use gvirtus_wire::api::library::{Function, Mode};

/// Data types that every version takes: float, double, half, int8, int32, uint8, bfloat16.
const TYPES: [i32; 7] = [0, 1, 2, 3, 4, 6, 9];

/// The same of filters.
const FILTER_TYPES: [i32; 4] = [0, 1, 2, 9];

/// Whether cuDNN surely takes a setting.
///
/// # Safety
/// The arguments are those of the function's declaration, and its pointers are null or lead to what cuDNN documents.
#[must_use]
pub unsafe fn surely(function: &Function, arguments: &[u64]) -> bool {
    let number = |name: &str| {
        let at = function.parameters.iter().position(|p| p.name == name);
        at.and_then(|at| arguments.get(at)).map(|word| *word as i32)
    };
    let array = |name: &str| -> Option<Vec<i32>> {
        let at = function.parameters.iter().position(|p| p.name == name)?;
        let Mode::HostIn(count, _) = function.parameters[at].mode else {
            return None;
        };
        let (count, address) = (usize::try_from(number(count)?).ok()?, arguments[at]);
        if address == 0 || count > 8 {
            return None;
        }
        // SAFETY: by this function's contract.
        Some(unsafe { std::slice::from_raw_parts(address as *const i32, count) }.to_vec())
    };
    let within =
        |name: &str, from: i32, to: i32| number(name).is_some_and(|n| n >= from && n <= to);
    let all_within = |names: &[&str], from, to| names.iter().all(|name| within(name, from, to));
    let typed = |name: &str| number(name).is_some_and(|kind| TYPES.contains(&kind));
    let filtered = |name: &str| number(name).is_some_and(|kind| FILTER_TYPES.contains(&kind));
    // Small enough that no offset overflows.
    let small = |dimensions: &[i32]| {
        let product = dimensions
            .iter()
            .try_fold(1i64, |all, n| (*n > 0).then(|| all * i64::from(*n)));
        product.is_some_and(|all| all < 1 << 30)
    };
    let spanned = |dimensions: &[i32], strides: &[i32]| {
        let span: i64 = dimensions
            .iter()
            .zip(strides)
            .map(|(n, stride)| i64::from(n - 1) * i64::from(*stride))
            .sum();
        strides.iter().all(|stride| *stride > 0) && span < 1 << 30
    };
    let listed = |names: [&str; 4]| {
        names
            .iter()
            .map(|name| number(name))
            .collect::<Option<Vec<_>>>()
    };
    let positive = |name: &str, from: i32| {
        array(name).is_some_and(|all| all.iter().all(|n| *n >= from && *n < 1 << 20))
    };
    match function.name {
        "cudnnSetTensor4dDescriptor" => {
            within("format", 0, 1)
                && typed("dataType")
                && listed(["n", "c", "h", "w"]).is_some_and(|d| small(&d))
        }
        "cudnnSetTensor4dDescriptorEx" => {
            let dimensions = listed(["n", "c", "h", "w"]);
            let strides = listed(["nStride", "cStride", "hStride", "wStride"]);
            typed("dataType")
                && dimensions
                    .zip(strides)
                    .is_some_and(|(d, s)| small(&d) && spanned(&d, &s))
        }
        "cudnnSetTensorNdDescriptor" => {
            within("nbDims", 3, 8)
                && typed("dataType")
                && array("dimA")
                    .zip(array("strideA"))
                    .is_some_and(|(d, s)| small(&d) && spanned(&d, &s))
        }
        "cudnnSetTensorNdDescriptorEx" => {
            within("nbDims", 4, 8)
                && within("format", 0, 1)
                && typed("dataType")
                && array("dimA").is_some_and(|d| small(&d))
        }
        "cudnnSetFilter4dDescriptor" => {
            within("format", 0, 1)
                && filtered("dataType")
                && listed(["k", "c", "h", "w"]).is_some_and(|d| small(&d))
        }
        "cudnnSetFilterNdDescriptor" => {
            within("nbDims", 4, 8)
                && within("format", 0, 1)
                && filtered("dataType")
                && array("filterDimA").is_some_and(|d| small(&d))
        }
        "cudnnSetConvolution2dDescriptor" => {
            all_within(&["pad_h", "pad_w"], 0, 1 << 20)
                && all_within(&["u", "v", "dilation_h", "dilation_w"], 1, 1 << 20)
                && within("mode", 0, 1)
                && within("computeType", 0, 2)
        }
        "cudnnSetConvolutionNdDescriptor" => {
            within("arrayLength", 2, 5)
                && positive("padA", 0)
                && positive("filterStrideA", 1)
                && positive("dilationA", 1)
                && within("mode", 0, 1)
                && within("computeType", 0, 2)
        }
        "cudnnSetConvolutionGroupCount" => within("groupCount", 1, 1 << 20),
        "cudnnSetConvolutionMathType" => within("mathType", 0, 3),
        "cudnnSetPooling2dDescriptor" => {
            all_within(&["mode"], 0, 3)
                && within("maxpoolingNanOpt", 0, 1)
                && all_within(
                    &[
                        "windowHeight",
                        "windowWidth",
                        "verticalStride",
                        "horizontalStride",
                    ],
                    1,
                    1 << 10,
                )
                && all_within(&["verticalPadding", "horizontalPadding"], 0, 1 << 10)
        }
        "cudnnSetPoolingNdDescriptor" => {
            within("mode", 0, 3)
                && within("maxpoolingNanOpt", 0, 1)
                && within("nbDims", 2, 3)
                && positive("windowDimA", 1)
                && positive("paddingA", 0)
                && positive("strideA", 1)
        }
        "cudnnSetActivationDescriptor" => within("mode", 0, 6) && within("reluNanOpt", 0, 1),
        "cudnnSetOpTensorDescriptor" => {
            within("opTensorOp", 0, 5)
                && within("opTensorCompType", 0, 1)
                && within("opTensorNanOpt", 0, 1)
        }
        "cudnnSetReduceTensorDescriptor" => {
            within("reduceTensorOp", 0, 8)
                && within("reduceTensorCompType", 0, 1)
                && within("reduceTensorNanOpt", 0, 1)
                && within("reduceTensorIndices", 0, 0)
                && within("reduceTensorIndicesType", 0, 0)
        }
        _ => false,
    }
}
