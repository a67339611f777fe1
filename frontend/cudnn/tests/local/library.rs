//! Handles, and what cuDNN tells of itself.

use std::ffi::CStr;

use gvirtus_cudnn_core::declared;
use gvirtus_cudnn_core::status::EXECUTION_FAILED_CUDA_DRIVER;
use gvirtus_wire::api::library::LibraryCall;

use super::*;

pub(super) const CALLED: &[&str] = &[
    "cudnnAdvVersionCheck",
    "cudnnCnnVersionCheck",
    "cudnnCreate",
    "cudnnDestroy",
    "cudnnGetCallback",
    "cudnnGetCudartVersion",
    "cudnnGetErrorString",
    "cudnnGetLastErrorString",
    "cudnnGetMaxDeviceVersion",
    "cudnnGetProperty",
    "cudnnGetStream",
    "cudnnGetVersion",
    "cudnnGraphVersionCheck",
    "cudnnOpsVersionCheck",
    "cudnnSetCallback",
    "cudnnSetStream",
    "cudnnSubquadraticOpsVersionCheck",
];

proptest! {
    #[test]
    fn handles_keep_their_streams(
        steps in vec((0..6, any::<prop::sample::Index>(), any::<u64>()), 1..40),
    ) {
        begun();
        // Handle, number, stream, and whether it is there.
        let mut all: Vec<(u64, u32, u64, bool)> = Vec::new();
        for (what, which, stream) in steps {
            if what == 0 || all.is_empty() {
                let mut made = 7u64;
                prop_assert_eq!(alone("nowhere", || unsafe { cudnnCreate(NULL) }), BAD_PARAM);
                // What the session says to it; nothing is made then.
                FAILURE.set(999);
                prop_assert_eq!(unsafe { cudnnCreate(address(&mut made)) }, EXECUTION_FAILED_CUDA_DRIVER);
                FAILURE.set(0);
                sent();
                prop_assert_eq!(made, 7);
                prop_assert_eq!(unsafe { cudnnCreate(address(&mut made)) }, SUCCESS);
                let number = created(&sent());
                prop_assert!(number != 0 && all.iter().all(|(other, n, ..)| *other != made && *n != number));
                all.push((made, number, 0, true));
                continue;
            }
            let one = which.index(all.len());
            let (handle, number, _, there) = all[one];
            let expected = if there { SUCCESS } else { BAD_PARAM };
            if what == 1 {
                prop_assert_eq!(cudnnDestroy(pointer(handle)), expected);
                prop_assert_eq!(destroyed(&sent()), there.then_some(number));
                all[one].3 = false;
            } else {
                let status = alone("cudnnSetStream", || cudnnSetStream(pointer(handle), pointer(stream)));
                prop_assert_eq!(status, expected);
                all[one].2 = stream;
            }
            alone("cudnnGetStream", || -> Result<(), TestCaseError> {
                for (handle, _, stream, there) in &all {
                    let mut told = 77u64;
                    let status = unsafe { cudnnGetStream(pointer(*handle), address(&mut told)) };
                    let expected = if *there { (SUCCESS, *stream) } else { (BAD_PARAM, 77) };
                    prop_assert_eq!((status, told), expected);
                    prop_assert_eq!(unsafe { cudnnGetStream(pointer(*handle), NULL) }, BAD_PARAM);
                }
                Ok(())
            })?;
        }
        // Nothing is no handle, though it can be ended; nor is a number of the program's.
        prop_assert_eq!(alone("nothing", || cudnnDestroy(NULL)), SUCCESS);
        let foreign = address(&mut all);
        for no_handle in [NULL, foreign] {
            prop_assert_eq!(cudnnSetStream(no_handle, NULL), BAD_PARAM);
            prop_assert_eq!(unsafe { cudnnGetStream(no_handle, address(&mut 0u64)) }, BAD_PARAM);
        }
        prop_assert_eq!(alone("no handle", || cudnnDestroy(foreign)), BAD_PARAM);
    }

    /// Errors are always told of, and the lowest bit is none of the mask's.
    #[test]
    fn the_callback_is_told_as_it_was_set(mask: i32, data: usize, function: usize) {
        begun();
        alone("the callback", || -> Result<(), TestCaseError> {
            prop_assert_eq!(cudnnSetCallback(mask, data as *mut c_void, function as *mut c_void), SUCCESS);
            let mut told = (0i32, 0usize, 0usize);
            let outs = [address(&mut told.0), address(&mut told.1), address(&mut told.2)];
            prop_assert_eq!(unsafe { cudnnGetCallback(outs[0], outs[1], outs[2]) }, SUCCESS);
            prop_assert_eq!(told, (mask & !3 | 2, data, function));
            for missing in 0..3 {
                let mut outs = outs;
                outs[missing] = NULL;
                prop_assert_eq!(unsafe { cudnnGetCallback(outs[0], outs[1], outs[2]) }, BAD_PARAM);
            }
            Ok(())
        })?;
    }

    #[test]
    fn the_version_is_that_of_the_box(which in prop_oneof![0..3, any::<i32>()]) {
        begun();
        alone("the version", || -> Result<(), TestCaseError> {
            let mut told = 77i32;
            let status = unsafe { cudnnGetProperty(which, address(&mut told)) };
            let part = usize::try_from(which).ok().and_then(|which| VERSION.get(which));
            prop_assert_eq!((status, told), part.map_or((BAD_PARAM, 77), |part| (SUCCESS, *part)));
            prop_assert_eq!(unsafe { cudnnGetProperty(which, NULL) }, BAD_PARAM);
            prop_assert_eq!(cudnnGetVersion(), 92_813);
            Ok(())
        })?;
    }

    /// There is no text of the last error, however much room there is for it.
    #[test]
    fn the_last_error_is_an_empty_text(room in vec(any::<u8>(), 1..200), size in any::<prop::sample::Index>()) {
        begun();
        let mut message = room.clone();
        let size = size.index(room.len() + 1);
        alone("the last error", || unsafe {
            cudnnGetLastErrorString(NULL, size as i64);
            cudnnGetLastErrorString(message.as_mut_ptr().cast(), -1);
            cudnnGetLastErrorString(message.as_mut_ptr().cast(), size as i64);
        });
        let mut expected = room;
        if size > 0 {
            expected[0] = 0;
        }
        prop_assert_eq!(message, expected);
    }
}

/// Statuses of `cudnn_graph.h`, by their category: the first number that has a name of its own, the category's name, and what follows it in the names of that number and the next.
const STATUSES: [(i32, &str, &str); 5] = [
    (
        1001,
        "",
        "NOT_INITIALIZED SUBLIBRARY_VERSION_MISMATCH SERIALIZATION_VERSION_MISMATCH DEPRECATED LICENSE_ERROR RUNTIME_IN_PROGRESS RUNTIME_FP_OVERFLOW SUBLIBRARY_LOADING_FAILED",
    ),
    (
        2002,
        "BAD_PARAM",
        "_NULL_POINTER _MISALIGNED_POINTER _NOT_FINALIZED _OUT_OF_BOUND _SIZE_INSUFFICIENT _STREAM_MISMATCH _SHAPE_MISMATCH _DUPLICATED_ENTRIES _ATTRIBUTE_TYPE \
         _CUDA_GRAPH_MISMATCH _DESCRIPTOR_TYPE",
    ),
    (
        3001,
        "NOT_SUPPORTED",
        "_GRAPH_PATTERN _SHAPE _DATA_TYPE _LAYOUT _INCOMPATIBLE_CUDA_DRIVER _INCOMPATIBLE_CUDART _ARCH_MISMATCH _RUNTIME_PREREQUISITE_MISSING _SUBLIBRARY_UNAVAILABLE \
         _SHARED_MEMORY_INSUFFICIENT _PADDING _BAD_LAUNCH_PARAM _CUDA_GRAPH_NATIVE_API _INVALID_DYNAMIC_SHAPE",
    ),
    (
        4001,
        "INTERNAL_ERROR",
        "_COMPILATION_FAILED _UNEXPECTED_VALUE _HOST_ALLOCATION_FAILED _DEVICE_ALLOCATION_FAILED _BAD_LAUNCH_PARAM _TEXTURE_CREATION_FAILED",
    ),
    (
        5001,
        "EXECUTION_FAILED",
        "_CUDA_DRIVER _CUBLAS _CUDART _CURAND",
    ),
];

fn name(status: i32) -> String {
    let names = STATUSES.iter().flat_map(|&(first, category, names)| {
        let own = (first / 1000 * 1000, category.to_owned());
        let rest = (first..).zip(names.split(' ').map(move |name| category.to_owned() + name));
        [own]
            .into_iter()
            .filter(|(_, name)| !name.is_empty())
            .chain(rest)
    });
    // Those that are not called after a category.
    let alone = [
        (0, "SUCCESS".to_owned()),
        (2001, "INVALID_VALUE".to_owned()),
    ];
    let mut all = names.chain(alone);
    let found = all.find(|(number, _)| *number == status);
    found.map_or("CUDNN_UNKNOWN_STATUS".into(), |(_, name)| {
        format!("CUDNN_STATUS_{name}")
    })
}

fn told(status: i32) -> String {
    let text = alone("a name", || cudnnGetErrorString(status));
    // For good, not for this call.
    assert_eq!(text, cudnnGetErrorString(status));
    unsafe { CStr::from_ptr(text) }.to_str().unwrap().to_owned()
}

#[test]
fn statuses_have_names() {
    begun();
    for status in -10..6000 {
        assert_eq!(told(status), name(status), "{status}");
    }
}

proptest! {
    #[test]
    fn other_numbers_have_none(status: i32) {
        begun();
        prop_assert_eq!(told(status), name(status), "{}", status);
    }
}

#[test]
fn all_of_it_is_of_one_version() {
    begun();
    for check in [
        cudnnAdvVersionCheck,
        cudnnCnnVersionCheck,
        cudnnGraphVersionCheck,
        cudnnOpsVersionCheck,
        cudnnSubquadraticOpsVersionCheck,
    ] {
        assert_eq!(alone("a version check", check), SUCCESS);
    }
}

/// Values that only the box knows are asked for once, and again only after the session failed.
#[test]
fn values_of_the_box_are_asked_for_once() {
    begun();
    for (name, number) in [
        ("cudnnGetCudartVersion", 13_020),
        ("cudnnGetMaxDeviceVersion", 121),
    ] {
        let ask = || unsafe { value(declared(name), &[]) };
        FAILURE.set(999);
        assert_eq!(ask(), 0, "{name}");
        FAILURE.set(0);
        sent();
        RESULT.set(number);
        assert_eq!(ask(), number as usize, "{name}");
        let asked = sent();
        let [call] = asked.as_slice() else {
            panic!("{name}: {asked:?}");
        };
        assert_eq!((call.command, call.wait), (command::CALL, true));
        assert_eq!(call.decoded::<LibraryCall>().function, declared(name).id());
        RESULT.set(0);
        assert_eq!(alone(name, ask), number as usize);
    }
}
