//! Devices, contexts, names, entry points.
#![allow(
    missing_docs,
    clippy::macro_metavars_in_unsafe,
    reason = "a test, whose calls go to C functions"
)]

mod driver_common;

use std::collections::BTreeSet;
use std::ffi::{CStr, CString};
use std::ptr::{null, null_mut};

use driver_common::*;
use gvirtus_wire::api::Class;

#[test]
fn every_row_that_the_table_supports_is_implemented() {
    let implemented: BTreeSet<&str> = IMPLEMENTED.iter().copied().collect();
    // What the client builds on top of the device's memory and captures, and never asks a device for.
    let of_the_client = |name: &str| {
        [
            "MemPool",
            "MemPrefetch",
            "MemAdvise",
            "MemDiscard",
            "MemRange",
            "TexRef",
            // Graphs beyond what captures make of them.
            "cuGraph",
            "GraphMem",
            "cuUserObject",
            "cuLogs",
            "CaptureToGraph",
        ]
        .iter()
        .any(|group| name.contains(group))
            || matches!(
                name,
                "cuMemAllocAsync"
                    | "cuMemFreeAsync"
                    | "cuMemAllocFromPoolAsync"
                    | "cuMemAllocManaged"
                    | "cuStreamAttachMemAsync"
                    | "cuIpcGetMemHandle"
                    | "cuIpcOpenMemHandle_v2"
                    | "cuIpcCloseMemHandle"
                    // What the client makes of other functions.
                    | "cuCtxRecordEvent"
                    | "cuCtxWaitEvent"
                    | "cuMemcpyBatchAsync"
                    | "cuMemcpyBatchAsync_v2"
                    | "cuMemcpy3DBatchAsync"
                    | "cuMemcpy3DBatchAsync_v2"
                    | "cuLaunchCooperativeKernelMultiDevice"
                    | "cuFuncSetBlockShape"
                    | "cuFuncSetSharedSize"
                    | "cuParamSetSize"
                    | "cuParamSeti"
                    | "cuParamSetf"
                    | "cuParamSetv"
                    | "cuLaunch"
                    | "cuLaunchGrid"
                    | "cuLaunchGridAsync"
                    | "cuStreamGetGreenCtx"
                    | "cuGreenCtxRecordEvent"
                    | "cuGreenCtxWaitEvent"
                    | "cuGreenCtxStreamCreate"
                    | "cuGreenCtxGetId"
                    // The client keeps what is known of its addresses.
                    | "cuPointerSetAttribute"
                    // What the client answers itself.
                    | "cuDeviceGetHostAtomicCapabilities"
                    | "cuDeviceGetP2PAtomicCapabilities"
                    | "cuDeviceGetExecAffinitySupport"
                    | "cuCtxGetExecAffinity"
                    | "cuDeviceRegisterAsyncNotification"
                    | "cuDeviceUnregisterAsyncNotification"
                    | "cuSurfRefGetArray"
                    | "cuLibraryGetUnifiedFunction"
            )
    };
    let missing: Vec<&str> = EXPORTS
        .iter()
        .filter(|row| row.class != Class::Unsupported && !implemented.contains(row.name))
        .filter(|row| !of_the_client(row.name))
        .map(|row| row.name)
        .collect();
    // What CUDA itself refuses for such a device: it has no identity for Windows, nothing writes to it remotely, and it has neither a cache to set aside
    // nor sparse arrays, a switch to other devices or a tensor memory accelerator.
    let refused = [
        "cuDeviceGetLuid",
        "cuFlushGPUDirectRDMAWrites",
        "cuCtxResetPersistingL2Cache",
        "cuMemMapArrayAsync",
        "cuMulticastCreate",
        "cuMulticastAddDevice",
        "cuMulticastBindMem",
        "cuMulticastBindAddr",
        "cuMulticastUnbind",
        "cuMulticastGetGranularity",
        "cuTensorMapEncodeTiled",
        "cuTensorMapEncodeIm2col",
        "cuTensorMapEncodeIm2colWide",
        "cuTensorMapReplaceAddress",
    ];
    assert_eq!(missing, refused);
}

#[test]
fn stubs_say_not_supported() {
    let _context = OwnContext::new();
    assert_eq!(cu!(cuTexRefCreate(null_mut())), ERROR_NOT_SUPPORTED);
    assert_eq!(
        cu!(cuMemAllocManaged(null_mut(), 16, 1)),
        ERROR_NOT_SUPPORTED
    );
}

#[test]
fn device_figures() {
    let _context = OwnContext::new();
    let (mut count, mut version, mut value) = (0, 0, 0);
    ok!(cuDeviceGetCount(&mut count));
    ok!(cuDriverGetVersion(&mut version));
    assert!(count >= 1);
    assert_eq!(version, 13000);
    let mut name = [0; 64];
    ok!(cuDeviceGetName(name.as_mut_ptr(), 64, 0));
    // SAFETY: terminated by the driver.
    let name = unsafe { CStr::from_ptr(name.as_ptr()) };
    assert_eq!(name.to_str().unwrap(), "GVirtuS CPU device");
    ok!(cuDeviceGetAttribute(&mut value, 10, 0));
    assert_eq!(value, 32);
    assert_eq!(
        cu!(cuDeviceGetAttribute(&mut value, 9999, 0)),
        ERROR_INVALID_VALUE
    );
    assert_eq!(
        cu!(cuDeviceGetAttribute(&mut value, 10, count)),
        ERROR_INVALID_DEVICE
    );
    for attribute in (1..=138).chain(140..=147) {
        assert_eq!(
            cu!(cuDeviceGetAttribute(&mut value, attribute, 0)),
            0,
            "attribute {attribute}"
        );
    }
    let mut id = [0; 16];
    ok!(cuDeviceGetPCIBusId(id.as_mut_ptr(), 16, 0));
    let mut device = -1;
    ok!(cuDeviceGetByPCIBusId(&mut device, id.as_ptr()));
    assert_eq!(device, 0);
}

#[test]
fn the_context_stack() {
    let own = OwnContext::new();
    let (mut current, mut other) = (null_mut(), null_mut());
    ok!(cuCtxGetCurrent(&mut current));
    assert_eq!(current, own.0);
    ok!(cuCtxCreate_v2(&mut other, 0, 0));
    ok!(cuCtxGetCurrent(&mut current));
    assert_eq!(current, other);
    ok!(cuCtxPopCurrent_v2(&mut current));
    assert_eq!(current, other);
    ok!(cuCtxGetCurrent(&mut current));
    assert_eq!(current, own.0);
    ok!(cuCtxPushCurrent_v2(other));
    ok!(cuCtxSetCurrent(own.0));
    ok!(cuCtxDestroy_v2(other));
    assert_eq!(cu!(cuCtxSetCurrent(other)), ERROR_INVALID_CONTEXT);
    assert_eq!(cu!(cuCtxPushCurrent_v2(0x1234 as _)), ERROR_INVALID_CONTEXT);
    std::thread::spawn(move || {
        let mut device = 0;
        assert_eq!(cu!(cuCtxGetDevice(&mut device)), ERROR_INVALID_CONTEXT);
    })
    .join()
    .unwrap();
}

#[test]
fn a_destroyed_context_is_noticed() {
    let _own = OwnContext::new();
    let mut other = null_mut();
    ok!(cuCtxCreate_v2(&mut other, 0, 0));
    let address = other.expose_provenance();
    let (to_thread, from_test) = std::sync::mpsc::channel::<()>();
    let (to_test, from_thread) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        ok!(cuCtxSetCurrent(std::ptr::with_exposed_provenance_mut(
            address
        )));
        to_test.send(()).unwrap();
        from_test.recv().unwrap();
        assert_eq!(cu!(cuCtxSynchronize()), ERROR_CONTEXT_IS_DESTROYED);
    });
    from_thread.recv().unwrap();
    ok!(cuCtxDestroy_v2(other));
    to_thread.send(()).unwrap();
    thread.join().unwrap();
}

#[test]
fn the_primary_context_is_counted_and_keeps_its_handle() {
    let _own = OwnContext::new();
    let (mut a, mut b, mut flags, mut active) = (null_mut(), null_mut(), 0, -1);
    ok!(cuDevicePrimaryCtxRetain(&mut a, 0));
    ok!(cuDevicePrimaryCtxRetain(&mut b, 0));
    assert_eq!(a, b);
    ok!(cuCtxPushCurrent_v2(a));
    let address = alloc(1 << 20);
    ok!(cuCtxPopCurrent_v2(null_mut()));
    ok!(cuDevicePrimaryCtxRelease_v2(0));
    ok!(cuDevicePrimaryCtxGetState(0, &mut flags, &mut active));
    assert_eq!(active, 1);
    ok!(cuDevicePrimaryCtxRelease_v2(0));
    ok!(cuDevicePrimaryCtxGetState(0, &mut flags, &mut active));
    assert_eq!(active, 0);
    assert_eq!(cu!(cuDevicePrimaryCtxRelease_v2(0)), ERROR_INVALID_CONTEXT);
    assert_eq!(
        cu!(cuPointerGetAttribute((&raw mut flags).cast(), 2, address)),
        ERROR_INVALID_VALUE
    );
    ok!(cuDevicePrimaryCtxRetain(&mut b, 0));
    assert_eq!(a, b);
    ok!(cuDevicePrimaryCtxReset_v2(0));
}

#[test]
fn limits_are_kept() {
    let _own = OwnContext::new();
    let mut value = 0;
    ok!(cuCtxSetLimit(2, 1 << 22));
    ok!(cuCtxGetLimit(&mut value, 2));
    assert_eq!(value, 1 << 22);
    assert_eq!(cu!(cuCtxSetLimit(99, 1)), ERROR_INVALID_VALUE);
    assert_eq!(cu!(cuCtxGetLimit(&mut value, 8)), ERROR_UNSUPPORTED_LIMIT);
    let (mut least, mut greatest) = (9, 9);
    ok!(cuCtxGetStreamPriorityRange(&mut least, &mut greatest));
    assert_eq!((least, greatest), (0, -5));
}

#[test]
fn entry_points_follow_the_version() {
    let _own = OwnContext::new();
    let (mut address, mut status) = (null_mut(), 9);
    let name = CString::new("cuMemAlloc").unwrap();
    ok!(cuGetProcAddress_v2(
        name.as_ptr(),
        &mut address,
        12000,
        0,
        &mut status
    ));
    assert_eq!(address, cuMemAlloc_v2 as *mut _);
    assert_eq!(status, 0);
    let unknown = CString::new("cuNoSuchFunction").unwrap();
    assert_eq!(
        cu!(cuGetProcAddress(unknown.as_ptr(), &mut address, 12000, 0)),
        ERROR_NOT_FOUND
    );
    assert!(address.is_null());
}

#[test]
fn error_texts() {
    let mut text = null();
    ok!(cuGetErrorName(700, &mut text));
    // SAFETY: a static C string.
    let name = unsafe { CStr::from_ptr(text) };
    assert_eq!(name.to_str().unwrap(), "CUDA_ERROR_ILLEGAL_ADDRESS");
    ok!(cuGetErrorString(2, &mut text));
    // SAFETY: a static C string.
    let description = unsafe { CStr::from_ptr(text) };
    assert_eq!(description.to_str().unwrap(), "out of memory");
    assert_eq!(cu!(cuGetErrorName(12345, &mut text)), ERROR_INVALID_VALUE);
}
