//! The driver functions as `cuGetProcAddress` hands them out to programs compiled for per-thread default streams: a null stream is the calling thread's own, and copies that
//! wait do so on it. `libcuda.so.1` exports the same under names that end in `_ptsz` and `_ptds`.
#![allow(
    non_snake_case,
    clippy::too_many_arguments,
    reason = "names and parameters are CUDA's"
)]

use std::ffi::{c_char, c_void};

use gvirtus_wire::api::types::*;

use crate::exports::{Export, wrappers};

/// `CU_STREAM_PER_THREAD`.
const PER_THREAD: CUstream = std::ptr::without_provenance_mut(2);

/// Null is the thread's own stream.
fn own(stream: CUstream) -> CUstream {
    if stream.is_null() { PER_THREAD } else { stream }
}

/// A parameter as it is passed on.
macro_rules! passed {
    (hStream $p:ident) => {
        own($p)
    };
    ($other:ident $p:ident) => {
        $p
    };
}

macro_rules! variant {
    (cuMemcpy ($($p:ident: $t:ty),*)) => { copy! { cuMemcpy cuMemcpyAsync ($($p: $t),*) } };
    (cuMemcpyHtoD_v2 ($($p:ident: $t:ty),*)) => { copy! { cuMemcpyHtoD_v2 cuMemcpyHtoDAsync_v2 ($($p: $t),*) } };
    (cuMemcpyDtoH_v2 ($($p:ident: $t:ty),*)) => { copy! { cuMemcpyDtoH_v2 cuMemcpyDtoHAsync_v2 ($($p: $t),*) } };
    (cuMemcpyDtoD_v2 ($($p:ident: $t:ty),*)) => { copy! { cuMemcpyDtoD_v2 cuMemcpyDtoDAsync_v2 ($($p: $t),*) } };
    (cuMemcpyPeer ($($p:ident: $t:ty),*)) => { copy! { cuMemcpyPeer cuMemcpyPeerAsync ($($p: $t),*) } };
    (cuMemcpy2D_v2 ($($p:ident: $t:ty),*)) => { copy! { cuMemcpy2D_v2 cuMemcpy2DAsync_v2 ($($p: $t),*) } };
    (cuMemcpy2DUnaligned_v2 ($($p:ident: $t:ty),*)) => { copy! { cuMemcpy2DUnaligned_v2 cuMemcpy2DAsync_v2 ($($p: $t),*) } };
    (cuMemcpy3D_v2 ($($p:ident: $t:ty),*)) => { copy! { cuMemcpy3D_v2 cuMemcpy3DAsync_v2 ($($p: $t),*) } };
    (cuMemcpy3DPeer ($($p:ident: $t:ty),*)) => { copy! { cuMemcpy3DPeer cuMemcpy3DPeerAsync ($($p: $t),*) } };
    (cuMemsetD8_v2 ($($p:ident: $t:ty),*)) => { fill! { cuMemsetD8_v2 cuMemsetD8Async ($($p: $t),*) } };
    (cuMemsetD16_v2 ($($p:ident: $t:ty),*)) => { fill! { cuMemsetD16_v2 cuMemsetD16Async ($($p: $t),*) } };
    (cuMemsetD32_v2 ($($p:ident: $t:ty),*)) => { fill! { cuMemsetD32_v2 cuMemsetD32Async ($($p: $t),*) } };
    (cuMemsetD2D8_v2 ($($p:ident: $t:ty),*)) => { fill! { cuMemsetD2D8_v2 cuMemsetD2D8Async ($($p: $t),*) } };
    (cuMemsetD2D16_v2 ($($p:ident: $t:ty),*)) => { fill! { cuMemsetD2D16_v2 cuMemsetD2D16Async ($($p: $t),*) } };
    (cuMemsetD2D32_v2 ($($p:ident: $t:ty),*)) => { fill! { cuMemsetD2D32_v2 cuMemsetD2D32Async ($($p: $t),*) } };
    (cuLaunchKernelEx ($($p:ident: $t:ty),*)) => {
        unsafe extern "C" fn cuLaunchKernelEx($($p: $t),*) -> CUresult {
            // SAFETY: the caller's arguments, its configuration read and passed on with the stream replaced.
            unsafe { launch_ex($($p),*) }
        }
    };
    ($name:ident ($($p:ident: $t:ty),*)) => {
        unsafe extern "C" fn $name($($p: $t),*) -> CUresult {
            // SAFETY: the caller's arguments, passed on.
            unsafe { wrappers::$name($(passed!($p $p)),*) }
        }
    };
}

/// A copy that waits, on the thread's own stream.
macro_rules! copy { ($name:ident $asynchronous:ident ($($p:ident: $t:ty),*)) => {
    unsafe extern "C" fn $name($($p: $t),*) -> CUresult {
        // SAFETY: the caller's arguments, passed on.
        match unsafe { wrappers::$asynchronous($($p,)* PER_THREAD) } {
            // SAFETY: a stream.
            error::SUCCESS => unsafe { wrappers::cuStreamSynchronize(PER_THREAD) },
            failure => failure,
        }
    }
} }

/// A memset, on the thread's own stream.
macro_rules! fill { ($name:ident $asynchronous:ident ($($p:ident: $t:ty),*)) => {
    unsafe extern "C" fn $name($($p: $t),*) -> CUresult {
        // SAFETY: the caller's arguments, passed on.
        unsafe { wrappers::$asynchronous($($p,)* PER_THREAD) }
    }
} }

/// The stream of a launch with attributes stands in its configuration.
///
/// # Safety
/// As `cuLaunchKernelEx`.
unsafe fn launch_ex(
    config: *const CUlaunchConfig,
    f: CUfunction,
    params: *mut *mut c_void,
    extra: *mut *mut c_void,
) -> CUresult {
    if config.is_null() {
        return error::ERROR_INVALID_VALUE;
    }
    // SAFETY: not null, and the caller's.
    let given = unsafe { config.read_unaligned() };
    let config = CUlaunchConfig {
        hStream: own(given.hStream),
        ..given
    };
    // SAFETY: the caller's arguments.
    unsafe { wrappers::cuLaunchKernelEx(&raw const config, f, params, extra) }
}

macro_rules! variants { ($(group $group:literal { $($class:ident $since:literal fn $name:ident($($p:ident: $t:ty),*);)* })*) => {
    $($(variant! { $name ($($p: $t),*) })*)*

    /// As [`wrappers::EXPORTS`], in the same order.
    pub(crate) static VARIANTS: &[Export] = &[$($(Export {
        name: stringify!($name),
        since: $since,
        address: $name as *const c_void,
    },)*)*];
} }
gvirtus_wire::cuda_api!(variants);

/// The variant of the function of that exported name.
pub(crate) fn find(name: &str) -> Option<&'static Export> {
    VARIANTS.iter().find(|variant| variant.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_has_one() {
        assert_eq!(VARIANTS.len(), crate::exports::all().len());
        let launch = find("cuLaunchKernel").unwrap();
        assert_ne!(
            launch.address,
            crate::exports::find("cuLaunchKernel").unwrap().address
        );
        assert_eq!(own(std::ptr::null_mut()), PER_THREAD);
    }
}
