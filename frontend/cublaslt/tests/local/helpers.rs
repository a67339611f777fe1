//! Handles, names, versions and the logger.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::ffi::{CStr, CString, c_char};

use gvirtus_cublas_core::status::EXECUTION_FAILED;
use gvirtus_cublaslt_core::handle::find;

use super::*;

pub(super) const CALLED: &[&str] = &[
    "cublasLtCreate",
    "cublasLtDestroy",
    "cublasLtGetCudartVersion",
    "cublasLtGetProperty",
    "cublasLtGetStatusName",
    "cublasLtGetStatusString",
    "cublasLtGetVersion",
    "cublasLtLoggerForceDisable",
    "cublasLtLoggerOpenFile",
    "cublasLtLoggerSetCallback",
    "cublasLtLoggerSetFile",
    "cublasLtLoggerSetLevel",
    "cublasLtLoggerSetMask",
];

proptest! {
    #[test]
    fn handles_live_from_create_to_destroy(
        steps in vec((0..3, any::<prop::sample::Index>()), 1..40),
    ) {
        begun();
        // Handle, number, and whether it is there.
        let mut all: Vec<(u64, u32, bool)> = Vec::new();
        for (what, which) in steps {
            if what != 0 || all.is_empty() {
                let mut made = 7u64;
                let nowhere = alone("nowhere", || unsafe { cublasLtCreate(NULL) });
                prop_assert_eq!(nowhere, INVALID_VALUE);
                FAILURE.set(999);
                prop_assert_eq!(unsafe { cublasLtCreate(address(&mut made)) }, EXECUTION_FAILED);
                FAILURE.set(0);
                sent();
                prop_assert_eq!(made, 7);
                prop_assert_eq!(unsafe { cublasLtCreate(address(&mut made)) }, SUCCESS);
                let number = created(&sent());
                prop_assert!(number != 0 && all.iter().all(|(other, n, _)| *other != made && *n != number));
                all.push((made, number, true));
            } else {
                let one = which.index(all.len());
                let (handle, number, there) = all[one];
                let status = cublasLtDestroy(handle as *mut c_void);
                prop_assert_eq!(status, if there { SUCCESS } else { NOT_INITIALIZED });
                prop_assert_eq!(destroyed(&sent()), there.then_some(number));
                all[one].2 = false;
            }
            for (handle, number, there) in &all {
                let found = alone("a handle", || find(*handle));
                prop_assert_eq!(found, if *there { Ok(*number) } else { Err(NOT_INITIALIZED) });
            }
        }
        for no_handle in [NULL, address(&mut all)] {
            let status = alone("no handle", || cublasLtDestroy(no_handle));
            prop_assert_eq!(status, NOT_INITIALIZED);
        }
    }

    #[test]
    fn the_version_is_that_of_the_box(which in prop_oneof![0..3, any::<i32>()]) {
        begun();
        let (major, version) = *OURS;
        alone("the version", || -> Result<(), TestCaseError> {
            let parts = [version / 10_000, version / 100 % 100, version % 100];
            let part = usize::try_from(which).ok().and_then(|which| parts.get(which));
            let mut told = 77i32;
            let status = unsafe { cublasLtGetProperty(which, address(&mut told)) };
            prop_assert_eq!((status, told), part.map_or((INVALID_VALUE, 77), |part| (SUCCESS, *part)));
            prop_assert_eq!(unsafe { cublasLtGetProperty(which, NULL) }, INVALID_VALUE);
            prop_assert_eq!(cublasLtGetVersion(), version as usize);
            // The runtime is of the major version that the program was linked with.
            prop_assert_eq!(cublasLtGetCudartVersion() / 1000, major as usize);
            Ok(())
        })?;
    }

    #[test]
    fn other_numbers_are_no_statuses(status: i32) {
        begun();
        prop_assert_eq!(text(cublasLtGetStatusName, status), name(status));
    }

    /// Nothing is logged: whatever the logger is told to do, it writes nothing and calls nobody. A level below 0 is none.
    #[test]
    fn the_logger_takes_what_it_is_given(level in prop_oneof![-2..7, any::<i32>()], mask: i32, path in "[a-z]{1,20}") {
        extern "C" fn callback(_: i32, _: *const c_char, _: *const c_char) {
            LOGGED.set(true);
        }
        thread_local! {
            static LOGGED: Cell<bool> = const { Cell::new(false) };
        }
        begun();
        let expected = if level < 0 { INVALID_VALUE } else { SUCCESS };
        let path = std::env::temp_dir().join(format!("gvirtus-no-log-{}-{path}", std::process::id()));
        let named = CString::new(path.to_str().expect("a path")).expect("a path");
        alone("the logger", || -> Result<(), TestCaseError> {
            prop_assert_eq!(cublasLtLoggerSetLevel(level), expected);
            for callback in [callback as *mut c_void, NULL] {
                prop_assert_eq!(cublasLtLoggerSetCallback(callback), SUCCESS);
                prop_assert_eq!(cublasLtLoggerSetMask(mask), SUCCESS);
                prop_assert_eq!(cublasLtLoggerOpenFile(named.as_ptr().cast_mut().cast()), SUCCESS);
                // A file that is none: it is not touched.
                prop_assert_eq!(cublasLtLoggerSetFile(std::ptr::dangling_mut()), SUCCESS);
                prop_assert_eq!(cublasLtLoggerSetLevel(level), expected);
                // What a logger would have a word on.
                prop_assert_eq!(unsafe { cublasLtMatmulDescCreate(NULL, level, mask) }, INVALID_VALUE);
            }
            prop_assert_eq!(cublasLtLoggerForceDisable(), SUCCESS);
            prop_assert_eq!(cublasLtLoggerSetLevel(level), expected);
            Ok(())
        })?;
        prop_assert!(!LOGGED.get() && !path.exists());
    }
}

/// `cublasStatus_t`.
fn name(status: i32) -> &'static str {
    match status {
        0 => "CUBLAS_STATUS_SUCCESS",
        1 => "CUBLAS_STATUS_NOT_INITIALIZED",
        3 => "CUBLAS_STATUS_ALLOC_FAILED",
        7 => "CUBLAS_STATUS_INVALID_VALUE",
        8 => "CUBLAS_STATUS_ARCH_MISMATCH",
        11 => "CUBLAS_STATUS_MAPPING_ERROR",
        13 => "CUBLAS_STATUS_EXECUTION_FAILED",
        14 => "CUBLAS_STATUS_INTERNAL_ERROR",
        15 => "CUBLAS_STATUS_NOT_SUPPORTED",
        16 => "CUBLAS_STATUS_LICENSE_ERROR",
        _ => "unrecognized status",
    }
}

fn text(tell: fn(i32) -> *const c_char, status: i32) -> &'static str {
    let told = alone("a text", || tell(status));
    // For good, not for this call.
    assert_eq!(told, tell(status));
    unsafe { CStr::from_ptr(told) }.to_str().unwrap()
}

/// Each status has its name, and a text of its own.
#[test]
fn statuses_have_names() {
    begun();
    let mut texts = BTreeSet::new();
    for status in -10..1000 {
        let (told, name) = (text(cublasLtGetStatusName, status), name(status));
        assert_eq!(told, name, "{status}");
        let text = text(cublasLtGetStatusString, status);
        let known = name.starts_with("CUBLAS_STATUS_");
        assert!(!text.is_empty() && text != name || !known, "{status}");
        assert_eq!(texts.insert(text), known || status == -10, "{status}");
    }
}
