//! Getters that tell what a setter was given: answered from what was set, if that setter was the last.

use std::ffi::c_void;

use gvirtus_wire::api::library::{Function, Mode};

use crate::Status;
use crate::descriptor;
use crate::local::put;
use crate::status::SUCCESS;

/// Getters, and the setters whose parameters they have.
const PAIRS: &[(&str, &str)] = &[
    ("cudnnGetTensor4dDescriptor", "cudnnSetTensor4dDescriptorEx"),
    ("cudnnGetFilter4dDescriptor", "cudnnSetFilter4dDescriptor"),
    (
        "cudnnGetConvolution2dDescriptor",
        "cudnnSetConvolution2dDescriptor",
    ),
    (
        "cudnnGetConvolutionGroupCount",
        "cudnnSetConvolutionGroupCount",
    ),
    ("cudnnGetConvolutionMathType", "cudnnSetConvolutionMathType"),
    (
        "cudnnGetConvolutionReorderType",
        "cudnnSetConvolutionReorderType",
    ),
    (
        "cudnnGetActivationDescriptor",
        "cudnnSetActivationDescriptor",
    ),
    ("cudnnGetPooling2dDescriptor", "cudnnSetPooling2dDescriptor"),
    ("cudnnGetLRNDescriptor", "cudnnSetLRNDescriptor"),
    ("cudnnGetOpTensorDescriptor", "cudnnSetOpTensorDescriptor"),
    (
        "cudnnGetReduceTensorDescriptor",
        "cudnnSetReduceTensorDescriptor",
    ),
    ("cudnnGetRNNDescriptor_v8", "cudnnSetRNNDescriptor_v8"),
    ("cudnnGetAttnDescriptor", "cudnnSetAttnDescriptor"),
    (
        "cudnnGetCTCLossDescriptor_v8",
        "cudnnSetCTCLossDescriptor_v8",
    ),
    (
        "cudnnGetCTCLossDescriptor_v9",
        "cudnnSetCTCLossDescriptor_v9",
    ),
    ("cudnnGetCTCLossDescriptorEx", "cudnnSetCTCLossDescriptorEx"),
    ("cudnnGetCTCLossDescriptor", "cudnnSetCTCLossDescriptor"),
    ("cudnnRNNGetClip_v8", "cudnnRNNSetClip_v8"),
    ("cudnnRNNGetClip_v9", "cudnnRNNSetClip_v9"),
];

/// Answers a getter; `None` if the box's library has to.
///
/// # Safety
/// The arguments are those of the function's declaration; its pointers are null or writable.
#[must_use]
pub unsafe fn answer(function: &Function, arguments: &[u64]) -> Option<Status> {
    let (_, setter) = PAIRS.iter().find(|(getter, _)| *getter == function.name)?;
    let Mode::Object(kind) = function.parameters.first()?.mode else {
        return None;
    };
    let descriptor = descriptor::find(*arguments.first()?, kind).ok()?;
    let state = descriptor.state();
    let set = state
        .settings
        .iter()
        .find(|step| step.function.name == *setter)?;
    // What is taken for sure is kept as it is; other tensors may be kept in another form. A null pointer is the box's library's to refuse.
    let kept = set.surely || !matches!(kind, "Tensor" | "Filter" | "Convolution" | "Pooling");
    if !kept || arguments.contains(&0) {
        return None;
    }
    let pairs = function.parameters.iter().zip(arguments).zip(&set.program);
    for ((parameter, &out), &value) in pairs.skip(1) {
        let out = out as *mut c_void;
        let written = match parameter.mode {
            // SAFETY: by this function's contract.
            Mode::HostOut(4) => unsafe { put(out, value as u32) },
            // SAFETY: as above.
            Mode::HostOut(8) => unsafe { put(out, value) },
            _ => return None,
        };
        written.ok()?;
    }
    Some(SUCCESS)
}
