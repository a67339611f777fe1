//! `libcuda.so.1`: the CUDA driver API for programs.
//!
//! Every function of [`cuda_api!`](gvirtus_wire::cuda_api) is exported and forwards to the function of its name in the session's library; so do the variants for the per-thread
//! default stream and older names. What else NVIDIA's library exports is there too, returns `CUDA_ERROR_NOT_SUPPORTED` and says its name once.
//!
//! # Layout
//! * `names`: the lists of variants, older names and unsupported functions.
//! * this file: what an export does.
#![allow(non_snake_case, reason = "CUDA's names")]

#[macro_use]
mod names;

use gvirtus_frontend_link::guard::{guard, unsupported};
use gvirtus_frontend_link::{Driver, driver};
use gvirtus_wire::api::Class;
use gvirtus_wire::api::frontend_table::Counter;
use gvirtus_wire::api::types::*;
use std::ffi::{CStr, c_char, c_void};
use std::ptr::null_mut;

/// `CU_STREAM_PER_THREAD`.
const PER_THREAD: CUstream = 2 as CUstream;

/// Runs the body of an exported function.
#[inline]
fn call(
    counter: &'static Counter,
    trace: impl FnOnce() -> String,
    body: impl FnOnce(&Driver) -> CUresult,
) -> CUresult {
    guard(
        true,
        counter,
        error::ERROR_UNKNOWN,
        trace,
        || match driver() {
            Some(driver) => body(driver),
            // There is no way to any device.
            None => error::ERROR_NO_DEVICE,
        },
    )
}

const fn c_name(name: &'static str) -> &'static CStr {
    match CStr::from_bytes_with_nul(name.as_bytes()) {
        Ok(name) => name,
        Err(_) => panic!("names end in one NUL"),
    }
}

/// One exported function: `$body` has the driver's functions as `$driver`.
macro_rules! export {
    ($class:ident $name:ident ($($p:ident: $t:ty),*) |$driver:ident| $body:expr) => {
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name($($p: $t),*) -> CUresult {
            static COUNTER: Counter = Counter::new(c"libcuda.so.1", c_name(concat!(stringify!($name), "\0")), Class::of(stringify!($class)));
            call(
                &COUNTER,
                || format!(concat!(stringify!($name), "(" $(, stringify!($p), " {:?} ")*, ")") $(, $p)*),
                // SAFETY: the program passes what CUDA documents for this function, and it is passed on unchanged but for the stream.
                #[allow(unused_unsafe, reason = "a body may have nothing unsafe")]
                |$driver| unsafe { $body },
            )
        }
    };
}

/// The stream parameter of a row, by its name, for variants that take null for the thread's own.
macro_rules! on_per_thread {
    (hStream $p:ident) => {
        if $p.is_null() { PER_THREAD } else { $p }
    };
    (stream $p:ident) => {
        if $p.is_null() { PER_THREAD } else { $p }
    };
    ($other:ident $p:ident) => {
        $p
    };
}

macro_rules! export_per_thread {
    ($base:ident $name:ident $class:ident ($($p:ident: $t:ty),*)) => {
        export! { $class $name ($($p: $t),*) |driver| (driver.$base)($(on_per_thread!($p $p)),*) }
    };
}

macro_rules! export_done_on_per_thread {
    ($base:ident $name:ident $asynchronous:ident copy $class:ident ($($p:ident: $t:ty),*)) => {
        export! { $class $name ($($p: $t),*) |driver| match (driver.$asynchronous)($($p,)* PER_THREAD) {
            0 => (driver.cuStreamSynchronize)(PER_THREAD),
            failure => failure,
        } }
    };
    ($base:ident $name:ident $asynchronous:ident fill $class:ident ($($p:ident: $t:ty),*)) => {
        export! { $class $name ($($p: $t),*) |driver| (driver.$asynchronous)($($p,)* PER_THREAD) }
    };
}

macro_rules! export_as {
    ($base:ident $name:ident $class:ident ($($p:ident: $t:ty),*)) => {
        export! { $class $name ($($p: $t),*) |driver| (driver.$base)($($p),*) }
    };
}

macro_rules! export_all {
    ($(group $group:literal { $($class:ident $since:literal fn $name:ident($($p:ident: $t:ty),*);)* })*) => { $($(
        export! { $class $name ($($p: $t),*) |driver| (driver.$name)($($p),*) }
        with_per_thread_stream! { $name $class ($($p: $t),*) }
        done_on_per_thread_stream! { $name $class ($($p: $t),*) }
        with_older_name! { $name $class ($($p: $t),*) }
    )*)* };
}
gvirtus_wire::cuda_api!(export_all);

macro_rules! export_unsupported {
    ($($name:ident)*) => { $(
        export! { unsupported $name () |_driver| { unsupported(stringify!($name)); error::ERROR_NOT_SUPPORTED } }
    )* };
}
unsupported_names!(export_unsupported);

// Variants whose stream is not a parameter of that name.

export! { async cuStreamCopyAttributes_ptsz(dst: CUstream, src: CUstream) |driver| {
    let own = |stream: CUstream| if stream.is_null() { PER_THREAD } else { stream };
    (driver.cuStreamCopyAttributes)(own(dst), own(src))
} }

export! { async cuLaunchKernelEx_ptsz(config: *const CUlaunchConfig, f: CUfunction, kernelParams: *mut *mut c_void, extra: *mut *mut c_void) |driver| {
    match config.as_ref() {
        Some(config) if config.hStream.is_null() => (driver.cuLaunchKernelEx)(&CUlaunchConfig { hStream: PER_THREAD, ..*config }, f, kernelParams, extra),
        _ => (driver.cuLaunchKernelEx)(config, f, kernelParams, extra),
    }
} }

/// `CUDA_GRAPH_INSTANTIATE_PARAMS`.
#[repr(C)]
struct GraphInstantiateParams {
    flags: u64,
    upload_stream: CUstream,
    failed_node: CUgraphNode,
    result: u32,
}

export! { sync cuGraphInstantiateWithParams_ptsz(phGraphExec: *mut CUgraphExec, hGraph: CUgraph, instantiateParams: *mut c_void) |driver| {
    let Some(params) = instantiateParams.cast::<GraphInstantiateParams>().as_mut() else { return error::ERROR_INVALID_VALUE };
    let given = params.upload_stream;
    if given.is_null() {
        params.upload_stream = PER_THREAD;
    }
    let result = (driver.cuGraphInstantiateWithParams)(phGraphExec, hGraph, instantiateParams);
    params.upload_stream = given;
    result
} }

// CUDA 10's form of a function that grew parameters.

export! { local cuStreamGetCaptureInfo(hStream: CUstream, captureStatus_out: *mut u32, id_out: *mut u64) |driver| {
    (driver.cuStreamGetCaptureInfo_v2)(hStream, captureStatus_out, id_out, null_mut(), null_mut(), null_mut())
} }

export! { local cuStreamGetCaptureInfo_ptsz(hStream: CUstream, captureStatus_out: *mut u32, id_out: *mut u64) |driver| {
    (driver.cuStreamGetCaptureInfo_v2)(if hStream.is_null() { PER_THREAD } else { hStream }, captureStatus_out, id_out, null_mut(), null_mut(), null_mut())
} }
