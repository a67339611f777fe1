//! Fused operations of cuDNN 7: packs of parameters and plans. See <https://docs.nvidia.com/deeplearning/cudnn/backend/latest/api/cudnn-cnn-library.html>.
//!
//! Packs are descriptors like others: their contents are values. The same setter takes descriptors, numbers and addresses on the device, by the label; the table has it once for
//! each of these, beside the one that programs call.

use std::ffi::c_void;
use std::sync::Arc;

use gvirtus_frontend_link::library::ToWord;
use gvirtus_wire::api::fused::{constant, variable};
use gvirtus_wire::api::library::{CUDNN, Function, Mode};

use crate::compute::try_ask;
use crate::content::{self, Facts, Step};
use crate::descriptor::{self, Descriptor, steps};
use crate::local::put;
use crate::status::{BAD_PARAM, INTERNAL_ERROR, SUCCESS};
use crate::{Status, declared};

/// Labels that a pack of constant parameters has, by `cudnnFusedOps_t`.
const CONSTANT: [&[i32]; 7] = [
    &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 16, 17, 18],
    &[0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 14, 15],
    &[2, 3, 4, 5, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25],
    &[2, 3, 4, 5, 19, 20, 21, 24, 25],
    &[0, 1, 3, 4, 6, 7, 8, 9, 12, 13, 26, 27, 28, 29, 30],
    &[0, 1, 2, 3, 4, 5, 6, 12, 13, 26, 27, 28, 29, 30, 31, 32],
    &[
        0, 1, 2, 6, 14, 15, 19, 20, 21, 22, 23, 31, 32, 33, 34, 35, 36, 37, 38,
    ],
];

/// Labels that a pack of variable parameters has.
const VARIANT: [&[i32]; 7] = [
    &[0, 1, 2, 3, 5, 7, 8, 9, 100],
    &[0, 1, 2, 4, 6, 9, 100],
    &[1, 2, 7, 8, 9, 10, 11, 12, 13, 14, 15, 100, 101, 102, 103],
    &[1, 2, 9, 10, 11, 14, 15, 100, 103],
    &[0, 1, 3, 5, 9, 16, 17, 18, 100],
    &[0, 1, 2, 5, 9, 16, 17, 18, 19, 100],
    &[0, 6, 9, 10, 11, 12, 13, 19, 20, 21, 22, 23, 100, 103],
];

/// Both kinds of packs.
struct Kind {
    name: &'static str,
    setter: &'static str,
    labels: [&'static [i32]; 7],
    /// An operation of which cuDNN's getter knows no label.
    silent: i32,
    mode: fn(i32) -> Mode,
}

const CONSTANT_PACK: Kind = Kind {
    name: "FusedConst",
    setter: "cudnnSetFusedOpsConstParamPackAttribute",
    labels: CONSTANT,
    // CUDNN_FUSED_CONV_SCALE_BIAS_ADD_ACTIVATION.
    silent: 4,
    mode: constant,
};

const VARIANT_PACK: Kind = Kind {
    name: "FusedVariant",
    setter: "cudnnSetFusedOpsVariantParamPackAttribute",
    labels: VARIANT,
    // CUDNN_FUSED_BN_FINALIZE_STATISTICS_INFERENCE.
    silent: 3,
    mode: variable,
};

impl Kind {
    /// A pack that has the label.
    fn find(&self, pack: *mut c_void, label: i32) -> Result<Arc<Descriptor>, Status> {
        let pack = descriptor::find(pack as u64, self.name)?;
        let operation = pack
            .made_by
            .and_then(|made_by| usize::try_from(made_by).ok());
        let labels = operation.and_then(|operation| self.labels.get(operation));
        match labels.is_some_and(|labels| labels.contains(&label)) {
            true => Ok(pack),
            false => Err(BAD_PARAM),
        }
    }

    /// A pack that tells of the label.
    fn find_telling(&self, pack: *mut c_void, label: i32) -> Result<Arc<Descriptor>, Status> {
        let pack = self.find(pack, label)?;
        match pack.made_by == Some(self.silent) {
            true => Err(BAD_PARAM),
            false => Ok(pack),
        }
    }

    /// The setter that takes such a parameter.
    fn function(&self, label: i32) -> Result<&'static Function, Status> {
        let mode = (self.mode)(label);
        let mut functions = CUDNN.iter();
        let takes = |f: &&Function| {
            f.name == self.setter && f.majors.is_empty() && f.parameters[2].mode == mode
        };
        functions.find(takes).ok_or(INTERNAL_ERROR)
    }

    /// # Safety
    /// The parameter is what cuDNN documents for the label.
    unsafe fn set(
        &self,
        pack: *mut c_void,
        label: i32,
        parameter: *mut c_void,
    ) -> Result<(), Status> {
        let found = self.find(pack, label)?;
        let arguments = [pack.to_word(), label.to_word(), parameter.to_word()];
        // SAFETY: by this function's contract.
        let step = unsafe { descriptor::step(self.function(label)?, &arguments) }?;
        let mut state = found.state();
        state
            .settings
            .retain(|earlier| label_of(earlier) != Some(label));
        state.settings.push(step);
        state.content = None;
        Ok(())
    }
}

fn label_of(step: &Step) -> Option<i32> {
    step.value("paramLabel")
}

/// The setting of a label, if it is not null.
fn setting(pack: &Descriptor, label: i32) -> Option<Step> {
    let state = pack.state();
    let mut settings = state.settings.iter();
    let found = settings.find(|step| label_of(step) == Some(label))?;
    (found.program.get(2) != Some(&0)).then(|| found.clone())
}

/// The number that a setting read on the host, 0 if there is none.
fn number<const N: usize>(setting: Option<&Step>) -> [u8; N] {
    let bytes = setting.and_then(|step| step.call.data.first_chunk().copied());
    bytes.unwrap_or([0; N])
}

fn done(result: Result<(), Status>) -> Status {
    result.err().unwrap_or(SUCCESS)
}

/// Keeps a parameter of a pack: descriptors as they are now.
///
/// # Safety
/// The parameter is what cuDNN documents for the label.
pub unsafe fn cudnnSetFusedOpsConstParamPackAttribute(
    pack: *mut c_void,
    label: i32,
    parameter: *mut c_void,
) -> Status {
    // SAFETY: by this function's contract.
    done(unsafe { CONSTANT_PACK.set(pack, label, parameter) })
}

/// Tells a parameter of a pack; a descriptor is filled.
///
/// # Safety
/// `out` is null or what cuDNN documents for the label, `is_null` null or writable.
pub unsafe fn cudnnGetFusedOpsConstParamPackAttribute(
    pack: *mut c_void,
    label: i32,
    out: *mut c_void,
    is_null: *mut c_void,
) -> Status {
    // SAFETY: by this function's contract.
    done(unsafe { get(pack, label, out, is_null) })
}

/// # Safety
/// As [`cudnnGetFusedOpsConstParamPackAttribute`].
unsafe fn get(
    pack: *mut c_void,
    label: i32,
    out: *mut c_void,
    is_null: *mut c_void,
) -> Result<(), Status> {
    let pack = CONSTANT_PACK.find_telling(pack, label)?;
    if out.is_null() || is_null.is_null() {
        return Err(BAD_PARAM);
    }
    let setting = setting(&pack, label);
    let mut nothing = 0;
    if let Mode::Object(kind) = constant(label) {
        match setting.as_ref().and_then(|step| step.uses.first()) {
            Some(content) => descriptor::find(out as u64, kind)?.fill(Arc::clone(content)),
            None => nothing = 1,
        }
    } else {
        let value = i32::from_le_bytes(number(setting.as_ref()));
        // SAFETY: by this function's contract.
        unsafe { put(out, value) }?;
    }
    // SAFETY: by this function's contract.
    unsafe { put(is_null, nothing) }
}

/// Keeps a parameter of a pack: an address, or a number.
///
/// # Safety
/// The parameter is what cuDNN documents for the label.
pub unsafe fn cudnnSetFusedOpsVariantParamPackAttribute(
    pack: *mut c_void,
    label: i32,
    parameter: *mut c_void,
) -> Status {
    // SAFETY: by this function's contract.
    done(unsafe { VARIANT_PACK.set(pack, label, parameter) })
}

/// Tells a parameter of a pack.
///
/// # Safety
/// `out` is null or writable.
pub unsafe fn cudnnGetFusedOpsVariantParamPackAttribute(
    pack: *mut c_void,
    label: i32,
    out: *mut c_void,
) -> Status {
    let told = VARIANT_PACK.find_telling(pack, label).and_then(|pack| {
        let setting = setting(&pack, label);
        let value = match variable(label) {
            Mode::Device => setting
                .and_then(|step| step.program.get(2).copied())
                .unwrap_or(0),
            _ => u64::from_le_bytes(number(setting.as_ref())),
        };
        // SAFETY: by this function's contract.
        unsafe { put(out, value) }
    });
    done(told)
}

/// Makes a plan of a pack's parameters, and tells its workspace.
///
/// # Safety
/// `workspace` is null or writable.
pub unsafe fn cudnnMakeFusedOpsPlan(
    handle: *mut c_void,
    plan: *mut c_void,
    pack: *mut c_void,
    workspace: *mut c_void,
) -> Status {
    // SAFETY: by this function's contract.
    done(unsafe { make(&[handle, plan, pack, workspace].map(ToWord::to_word)) })
}

/// # Safety
/// The arguments are those of `cudnnMakeFusedOpsPlan`.
unsafe fn make(arguments: &[u64; 4]) -> Result<(), Status> {
    let function = declared("cudnnMakeFusedOpsPlan");
    let plan = descriptor::find(arguments[1], "FusedPlan")?;
    if arguments[2..].contains(&0) {
        return Err(BAD_PARAM);
    }
    // SAFETY: by this function's contract.
    let step = unsafe { descriptor::step(function, arguments) }?;
    let content = content::of(
        &steps(&plan, std::slice::from_ref(&step)),
        Facts::default(),
        true,
    )?;
    {
        let mut state = plan.state();
        state.settings = vec![step];
        state.content = Some(content);
    }
    // The plan is the same if it is made again, and then its workspace is told.
    // SAFETY: by this function's contract.
    unsafe { try_ask(function, arguments) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every label has a setter that takes its parameter.
    #[test]
    fn labels() {
        for kind in [CONSTANT_PACK, VARIANT_PACK] {
            for label in kind.labels.iter().flat_map(|labels| labels.iter()) {
                let function = kind.function(*label).unwrap();
                assert!(matches!(
                    function.parameters[0].mode,
                    Mode::Object(own) if own == kind.name
                ));
            }
        }
        assert!(CONSTANT_PACK.function(0).unwrap().id() != CONSTANT_PACK.function(8).unwrap().id());
    }
}
