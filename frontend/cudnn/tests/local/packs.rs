//! Packs of parameters of fused operations: getters.

use gvirtus_cudnn_core::declared;
use gvirtus_cudnn_core::descriptor::find;
use gvirtus_wire::api::fused::{constant, variable};

use super::*;

pub(super) const CALLED: &[&str] = &[
    "cudnnGetFusedOpsConstParamPackAttribute",
    "cudnnGetFusedOpsVariantParamPackAttribute",
];

/// What a pack is given under a label: a number that its kind is made of, or null.
type Given = (i32, Option<u64>);

/// A descriptor with a content of its own.
fn descriptor_of(kind: &str, number: u64) -> u64 {
    let made = make(kind, 0);
    let n = 1 + number % 50;
    let (setter, words) = match kind {
        "Tensor" => ("cudnnSetTensor4dDescriptor", vec![made, 0, 0, n, 2, 3, 4]),
        "Filter" => ("cudnnSetFilter4dDescriptor", vec![made, 0, 0, n, 2, 3, 4]),
        "Convolution" => ("cudnnSetConvolutionGroupCount", vec![made, n]),
        "Activation" => (
            "cudnnSetActivationDescriptor",
            vec![made, 1, 0, (n as f64).to_bits()],
        ),
        _ => panic!("{kind}"),
    };
    assert_eq!(unsafe { set(declared(setter), &words) }, SUCCESS, "{kind}");
    made
}

fn content(descriptor: u64, kind: &str) -> u32 {
    find(descriptor, kind).unwrap().content().unwrap().number
}

proptest! {
    /// A constant pack tells of each label what it was given last, with descriptors as they were then.
    #[test]
    fn constant_packs_tell_what_they_were_given(
        operation in 0..7,
        given in vec((-1..45, prop::option::weighted(0.8, any::<u64>())), 0..30),
    ) {
        begun();
        let pack = pointer(make("FusedConst", operation));
        let mut model: BTreeMap<i32, Option<u32>> = BTreeMap::new();
        for (label, value) in given as Vec<Given> {
            let mut enumeration = value.unwrap_or(0) as i32;
            let (parameter, kept) = match (constant(label), value) {
                (_, None) => (NULL, None),
                (Mode::Object(kind), Some(number)) => {
                    let descriptor = descriptor_of(kind, number);
                    (pointer(descriptor), Some(content(descriptor, kind)))
                }
                (..) => (address(&mut enumeration), Some(enumeration.cast_unsigned())),
            };
            let status = unsafe { cudnnSetFusedOpsConstParamPackAttribute(pack, label, parameter) };
            if status == SUCCESS {
                model.insert(label, kept);
            } else {
                prop_assert_eq!(status, BAD_PARAM);
                prop_assert!(!model.contains_key(&label));
            }
        }
        sent();
        let get = cudnnGetFusedOpsConstParamPackAttribute;
        // CUDNN_FUSED_CONV_SCALE_BIAS_ADD_ACTIVATION: cuDNN tells nothing of it.
        let silent = operation == 4;
        for label in -1..45 {
            let mode = constant(label);
            let (mut value, mut nothing) = (77i32, 77i32);
            let filled = match mode {
                Mode::Object(kind) => make(kind, 0),
                _ => address(&mut value) as u64,
            };
            let told = alone("telling", || {
                let status = unsafe { get(pack, label, pointer(filled), address(&mut nothing)) };
                for (out, is_null) in [(NULL, address(&mut 0)), (pointer(filled), NULL)] {
                    assert_eq!(unsafe { get(pack, label, out, is_null) }, BAD_PARAM);
                }
                status
            });
            let set = model.get(&label);
            prop_assert!(told == SUCCESS || silent || set.is_none(), "{}", label);
            if told != SUCCESS {
                prop_assert_eq!((told, value, nothing), (BAD_PARAM, 77, 77));
                continue;
            }
            prop_assert!(!silent);
            let set = set.copied().flatten();
            match mode {
                Mode::Object(kind) => {
                    prop_assert_eq!(nothing, i32::from(set.is_none()));
                    if let Some(number) = set {
                        prop_assert_eq!(content(filled, kind), number);
                    }
                }
                _ => prop_assert_eq!((value.cast_unsigned(), nothing), (set.unwrap_or(0), 0)),
            }
        }
        let variant = pointer(make("FusedVariant", operation));
        for wrong in [NULL, variant] {
            prop_assert_eq!(unsafe { get(wrong, 0, address(&mut 0), address(&mut 0)) }, BAD_PARAM);
        }
    }

    /// A pack of variables tells of each label the address, or the number, that it was given last.
    #[test]
    fn variable_packs_tell_what_they_were_given(
        operation in 0..7,
        given in vec((prop_oneof![-1..25, 98..106], prop::option::weighted(0.8, any::<u64>())), 0..30),
    ) {
        begun();
        let pack = pointer(make("FusedVariant", operation));
        let get = cudnnGetFusedOpsVariantParamPackAttribute;
        let mut model: BTreeMap<i32, u64> = BTreeMap::new();
        alone("a pack of variables", || -> Result<(), TestCaseError> {
            for (label, value) in given as Vec<Given> {
                let mut number = value.unwrap_or(0);
                let parameter = match (variable(label), value) {
                    (_, None) => NULL,
                    (Mode::Device, Some(value)) => pointer(value),
                    (..) => address(&mut number),
                };
                let status = unsafe { cudnnSetFusedOpsVariantParamPackAttribute(pack, label, parameter) };
                if status == SUCCESS {
                    model.insert(label, value.unwrap_or(0));
                } else {
                    prop_assert_eq!(status, BAD_PARAM);
                    prop_assert!(!model.contains_key(&label));
                }
            }
            // CUDNN_FUSED_BN_FINALIZE_STATISTICS_INFERENCE: cuDNN tells nothing of it.
            let silent = operation == 3;
            for label in (-1..25).chain(98..106) {
                let mut told = 77u64;
                let status = unsafe { get(pack, label, address(&mut told)) };
                prop_assert_eq!(unsafe { get(pack, label, NULL) }, BAD_PARAM);
                let set = model.get(&label);
                prop_assert!(status == SUCCESS || silent || set.is_none(), "{}", label);
                match status {
                    SUCCESS => prop_assert_eq!((silent, told), (false, set.copied().unwrap_or(0))),
                    refused => prop_assert_eq!((refused, told), (BAD_PARAM, 77)),
                }
            }
            let constants = pointer(make("FusedConst", operation));
            for wrong in [NULL, constants] {
                prop_assert_eq!(unsafe { get(wrong, 0, address(&mut 0u64)) }, BAD_PARAM);
            }
            Ok(())
        })?;
    }
}
