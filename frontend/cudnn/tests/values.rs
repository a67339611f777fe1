//! Descriptors without a box: what is known for sure is set and told here, and nobody is asked. What cuDNN refuses or may refuse is not known for sure: there is no session here, so
//! such a setting comes back with the status of a session that is not there, and leaves the descriptor as it was.

#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "the test plays the program: its pointers are those of the call"
)]

use std::ffi::c_void;

use gvirtus_cudnn_core::attributes::{self, Attribute, by_value, tensor_is_whole};
use gvirtus_cudnn_core::compute::ask;
use gvirtus_cudnn_core::descriptor::{create, destroy, find, set};
use gvirtus_cudnn_core::status::{BAD_PARAM, SUCCESS};
use gvirtus_cudnn_core::{declared, fused, lengths};
use gvirtus_wire::api::library::{CUDNN, Function, Mode};

fn call(how: unsafe fn(&Function, &[u64]) -> i32, name: &str, arguments: &[i64]) -> i32 {
    let words: Vec<u64> = arguments.iter().map(|n| n.cast_unsigned()).collect();
    unsafe { how(declared(name), &words) }
}

fn make(kind: &str) -> i64 {
    let mut made = 0i64;
    let name = format!("cudnnCreate{kind}Descriptor");
    assert_eq!(call(create, &name, &[(&raw mut made) as i64]), SUCCESS);
    made
}

/// What a getter tells: so many `int`s.
fn told(name: &str, descriptor: i64, count: usize) -> Option<Vec<i32>> {
    let mut values = vec![0i32; count];
    let mut arguments = vec![descriptor];
    arguments.extend(values.iter_mut().map(|v| std::ptr::from_mut(v) as i64));
    (call(ask, name, &arguments) == SUCCESS).then_some(values)
}

#[test]
fn what_is_sure_is_set_and_told_here() {
    let tensor = make("Tensor");
    let given = [0, 2, 3, 4, 5, 100, 20, 5, 1];
    let arguments: Vec<i64> = std::iter::once(tensor)
        .chain(given.map(i64::from))
        .collect();
    assert_eq!(
        call(set, "cudnnSetTensor4dDescriptorEx", &arguments),
        SUCCESS
    );
    assert_eq!(
        told("cudnnGetTensor4dDescriptor", tensor, 9).as_deref(),
        Some(&given[..])
    );

    let convolution = make("Convolution");
    let given = [1, 2, 1, 1, 1, 1, 1, 0];
    let arguments: Vec<i64> = std::iter::once(convolution)
        .chain(given.map(i64::from))
        .collect();
    assert_eq!(
        call(set, "cudnnSetConvolution2dDescriptor", &arguments),
        SUCCESS
    );
    assert_eq!(
        call(set, "cudnnSetConvolutionGroupCount", &[convolution, 4]),
        SUCCESS
    );
    assert_eq!(
        told("cudnnGetConvolutionGroupCount", convolution, 1),
        Some(vec![4])
    );
    assert_eq!(
        told("cudnnGetConvolution2dDescriptor", convolution, 8).as_deref(),
        Some(&given[..])
    );
}

#[test]
fn what_is_not_sure_is_asked_and_changes_nothing() {
    let tensor = make("Tensor");
    let sure = [tensor, 0, 2, 3, 4, 5, 60, 20, 5, 1];
    assert_eq!(call(set, "cudnnSetTensor4dDescriptorEx", &sure), SUCCESS);
    // By cuDNN 9.28: a dimension of 0, a stride of 0, a type that there is not, overlaps beyond what can be addressed.
    for (at, value) in [(2, 0), (6, 0), (1, 99), (2, i64::from(i32::MAX))] {
        let mut other = sure;
        other[at] = value;
        assert_ne!(
            call(set, "cudnnSetTensor4dDescriptorEx", &other),
            SUCCESS,
            "{other:?}"
        );
    }
    let expected = [0, 2, 3, 4, 5, 60, 20, 5, 1];
    assert_eq!(
        told("cudnnGetTensor4dDescriptor", tensor, 9).as_deref(),
        Some(&expected[..])
    );
    // Filters of integers, a layout in vectors, no groups, an activation that there is not.
    let filter = make("Filter");
    for given in [[filter, 4, 0, 8, 4, 3, 3], [filter, 0, 2, 8, 4, 3, 3]] {
        assert_ne!(
            call(set, "cudnnSetFilter4dDescriptor", &given),
            SUCCESS,
            "{given:?}"
        );
    }
    assert_ne!(
        call(
            set,
            "cudnnSetConvolutionGroupCount",
            &[make("Convolution"), 0]
        ),
        SUCCESS
    );
    assert_ne!(
        call(
            set,
            "cudnnSetActivationDescriptor",
            &[make("Activation"), 99, 0, 0]
        ),
        SUCCESS
    );
}

/// Every setter finds its descriptor, wherever that stands among the parameters.
#[test]
fn every_setter_finds_its_descriptor() {
    let mut seen = 0;
    let state = |f: &&Function| f.class == "state" && !f.majors.is_empty();
    for function in CUDNN.iter().filter(state) {
        let (own, kind) = function.own_object().expect(function.name);
        let modes = || function.parameters.iter().map(|p| p.mode);
        // Arrays would have to be there, and a handle cannot be.
        if modes().any(|mode| matches!(mode, Mode::HostIn(..) | Mode::Handle)) {
            continue;
        }
        let mut arguments: Vec<i64> = modes().map(|mode| i64::from(mode == Mode::I32)).collect();
        arguments[own] = make(kind);
        assert_ne!(
            call(set, function.name, &arguments),
            BAD_PARAM,
            "{}",
            function.name
        );
        arguments[own] = make(if kind == "Tensor" { "Filter" } else { "Tensor" });
        assert_eq!(
            call(set, function.name, &arguments),
            BAD_PARAM,
            "{}",
            function.name
        );
        seen += 1;
    }
    assert!(seen > 20, "{seen}");
    assert_eq!(
        declared("cudnnBuildRNNDynamic").own_object(),
        Some((1, "RNN"))
    );
}

/// Packs of parameters keep what their labels take, and tell it.
#[test]
fn packs() {
    let pack = |of: &str, operation: i64| {
        let mut made = 0i64;
        let out = (&raw mut made) as i64;
        let name = format!("cudnnCreateFusedOps{of}ParamPack");
        (call(create, &name, &[out, operation]), made as *mut c_void)
    };
    for operation in [-1, 7] {
        assert_eq!(pack("Const", operation).0, BAD_PARAM);
    }
    let (_, constants) = pack("Const", 0);
    let (mut value, mut nothing, given) = (-7i32, -7i32, 2i32);
    let given = (&raw const given).cast_mut().cast();
    let (told, empty) = ((&raw mut value).cast(), (&raw mut nothing).cast());
    let null = std::ptr::null_mut();
    unsafe {
        let set = fused::cudnnSetFusedOpsConstParamPackAttribute;
        let get = fused::cudnnGetFusedOpsConstParamPackAttribute;
        // CUDNN_PARAM_XDATA_PLACEHOLDER, not set, set, and null; a label of other operations.
        assert_eq!((get(constants, 1, told, empty), value, nothing), (0, 0, 0));
        assert_eq!(set(constants, 1, given), 0);
        assert_eq!((get(constants, 1, told, empty), value), (0, 2));
        assert_eq!(set(constants, 1, null), 0);
        assert_eq!((get(constants, 1, told, empty), value), (0, 0));
        assert_eq!(set(constants, 10, given), BAD_PARAM);
        // CUDNN_PARAM_XDESC: no descriptor.
        assert_eq!((get(constants, 0, told, empty), nothing), (0, 1));
        assert_eq!(set(constants, 0, given), BAD_PARAM);

        let (_, variants) = pack("Variant", 2);
        let set = fused::cudnnSetFusedOpsVariantParamPackAttribute;
        let get = fused::cudnnGetFusedOpsVariantParamPackAttribute;
        let mut word = 7u64;
        let told = (&raw mut word).cast();
        let factor = 0.5f64;
        let half = (&raw const factor).cast_mut().cast();
        assert_eq!((get(variants, 1, told), word), (0, 0));
        assert_eq!(set(variants, 1, 0x7000 as *mut c_void), 0);
        assert_eq!(set(variants, 102, half), 0);
        assert_eq!((get(variants, 1, told), word), (0, 0x7000));
        assert_eq!((get(variants, 102, told), word), (0, factor.to_bits()));
        assert_eq!(set(variants, 0, null), BAD_PARAM);
        assert_eq!(set(constants, 1, null), BAD_PARAM);
    }
}

#[test]
fn descriptors_are_of_a_type_and_end() {
    let tensor = make("Tensor");
    assert!(find(tensor.cast_unsigned(), "Tensor").is_ok());
    assert_eq!(
        find(tensor.cast_unsigned(), "Filter").err(),
        Some(BAD_PARAM)
    );
    assert_eq!(
        call(destroy, "cudnnDestroyFilterDescriptor", &[tensor]),
        BAD_PARAM
    );
    assert_eq!(
        call(destroy, "cudnnDestroyTensorDescriptor", &[tensor]),
        SUCCESS
    );
    assert_eq!(
        call(destroy, "cudnnDestroyTensorDescriptor", &[tensor]),
        BAD_PARAM
    );
    assert_eq!(call(destroy, "cudnnDestroyTensorDescriptor", &[0]), SUCCESS);
    assert_eq!(call(create, "cudnnCreateTensorDescriptor", &[0]), BAD_PARAM);
    assert_eq!(
        call(set, "cudnnSetTensor4dDescriptor", &[0, 0, 0, 1, 1, 1, 1]),
        BAD_PARAM
    );
}

#[test]
fn factors_are_as_long_as_the_data_say() {
    let function = declared("cudnnAddTensor");
    let at = |name: &str| {
        function
            .parameters
            .iter()
            .position(|p| p.name == name)
            .unwrap()
    };
    let length = |kind: i64| {
        let tensor = make("Tensor");
        assert_eq!(
            call(
                set,
                "cudnnSetTensor4dDescriptor",
                &[tensor, 0, kind, 1, 2, 3, 4]
            ),
            SUCCESS
        );
        let mut descriptors = vec![None; function.parameters.len()];
        descriptors[at("cDesc")] = find(tensor.cast_unsigned(), "Tensor").ok();
        let arguments = vec![0; function.parameters.len()];
        lengths::of(function, &arguments, &descriptors, at("alpha"))
    };
    // FLOAT, DOUBLE, HALF.
    assert_eq!([0, 1, 2].map(length), [Some(4), Some(8), Some(4)]);
}

#[test]
fn lengths_of_labels_follow_from_the_batch() {
    let function = declared("cudnnCTCLoss");
    let at = |name: &str| {
        function
            .parameters
            .iter()
            .position(|p| p.name == name)
            .unwrap()
    };
    let tensor = make("Tensor");
    let (dimensions, strides) = ([20, 3, 10], [30, 10, 1]);
    let arguments = [
        tensor,
        0,
        3,
        dimensions.as_ptr() as i64,
        strides.as_ptr() as i64,
    ];
    assert_eq!(call(set, "cudnnSetTensorNdDescriptor", &arguments), SUCCESS);
    let mut descriptors = vec![None; function.parameters.len()];
    descriptors[at("probsDesc")] = find(tensor.cast_unsigned(), "Tensor").ok();
    let label_lengths = [2i32, 0, 5];
    let mut arguments = vec![1; function.parameters.len()];
    arguments[at("hostLabelLengths")] = label_lengths.as_ptr() as u64;
    let length = |name: &str| lengths::of(function, &arguments, &descriptors, at(name));
    assert_eq!(length("hostLabelLengths"), Some(12));
    assert_eq!(length("hostInputLengths"), Some(12));
    assert_eq!(length("hostLabels"), Some(28));
}

fn attribute(name: i32, kind: i32, elements: &[u8], count: i64) -> Attribute {
    Attribute {
        name,
        kind,
        count,
        program: elements.to_vec(),
        elements: elements.to_vec(),
        handle: 0,
        uses: Vec::new(),
    }
}

fn words(values: &[i64]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

/// Of a graph's tensor: type, dimensions, strides, id, alignment.
fn tensor(data_type: i32, dimensions: &[i64]) -> Vec<Attribute> {
    let count = dimensions.len() as i64;
    vec![
        attribute(901, 1, &data_type.to_le_bytes(), 1),
        attribute(902, 3, &words(dimensions), count),
        attribute(903, 3, &words(&vec![1; dimensions.len()]), count),
        attribute(906, 3, &words(&[-7]), 1),
        attribute(900, 3, &words(&[16]), 1),
    ]
}

#[test]
fn tensors_of_graphs_are_whole_or_asked_about() {
    let whole = tensor(0, &[2, 8, 4, 4]);
    assert!(tensor_is_whole(&whole));
    for left_out in 0..whole.len() {
        let mut less = whole.clone();
        less.remove(left_out);
        assert!(!tensor_is_whole(&less), "{left_out}");
    }
    assert!(!tensor_is_whole(&tensor(77, &[2, 8, 4, 4])));
    assert!(!tensor_is_whole(&tensor(0, &[2, 0, 4, 4])));
    let mut uneven = whole.clone();
    uneven[2] = attribute(903, 3, &words(&[1, 1]), 2);
    assert!(!tensor_is_whole(&uneven));
    let mut odd = whole.clone();
    odd[4] = attribute(900, 3, &words(&[3]), 1);
    assert!(!tensor_is_whole(&odd));
    // An attribute of which nothing is known here.
    let mut more = whole;
    more.push(attribute(909, 20, &0i32.to_le_bytes(), 1));
    assert!(!tensor_is_whole(&more));
}

#[test]
fn values_on_the_host_are_found() {
    let mut value = tensor(2, &[1, 1, 1, 1]);
    assert_eq!(by_value(&value), None);
    value.push(attribute(908, 2, &[1], 1));
    assert_eq!(by_value(&value), Some((-7, 2)));
    value.last_mut().unwrap().elements = vec![0];
    assert_eq!(by_value(&value), None);
}

#[test]
fn attributes_belong_to_descriptors() {
    // Dimensions of a tensor; not of a pointwise operation, not of another type, not none, not more than there can be.
    assert!(attributes::surely(17, 902, 3, 4));
    for (descriptor, name, kind, count) in [
        (0, 902, 3, 4),
        (17, 902, 1, 4),
        (17, 902, 3, 0),
        (17, 902, 3, 9),
        (17, 901, 1, 2),
    ] {
        assert!(
            !attributes::surely(descriptor, name, kind, count),
            "{descriptor} {name} {kind} {count}"
        );
    }
}
