//! The driver API as a table of functions, filled from the session's library.

use crate::session::session;
use gvirtus_wire::api::types::*;
use std::ffi::{CStr, c_char, c_void};
use std::sync::OnceLock;

/// The driver's functions; null if the session's library cannot be loaded.
#[inline]
pub fn driver() -> Option<&'static Driver> {
    static DRIVER: OnceLock<Option<Driver>> = OnceLock::new();
    DRIVER
        .get_or_init(|| session().map(|session| Driver::fill(&|name| session.driver_proc(name))))
        .as_ref()
}

macro_rules! table {
    ($(group $group:literal { $($class:ident $since:literal fn $name:ident($($p:ident: $t:ty),*);)* })*) => {
        /// Every function of [`cuda_api!`](gvirtus_wire::cuda_api) by its exported name. A function that the library lacks returns `CUDA_ERROR_NOT_SUPPORTED`.
        #[derive(Debug)]
        #[allow(non_snake_case, reason = "CUDA's names")]
        pub struct Driver { $($(
            #[doc = concat!("<https://docs.nvidia.com/cuda/cuda-driver-api/group__", $group, ".html>")]
            pub $name: unsafe extern "C" fn($($p: $t),*) -> CUresult,
        )*)* }

        impl Driver {
            fn fill(proc: &dyn Fn(&CStr) -> *mut c_void) -> Self {
                Self { $($($name: {
                    unsafe extern "C" fn missing($(_: $t),*) -> CUresult {
                        crate::guard::unsupported(concat!(stringify!($name), "\0"));
                        error::ERROR_NOT_SUPPORTED
                    }
                    // SAFETY: the declaration gives the function's parameters.
                    unsafe { from_address(proc(c_name(concat!(stringify!($name), "\0"))), missing as unsafe extern "C" fn($($t),*) -> CUresult) }
                },)*)* }
            }
        }
    };
}
gvirtus_wire::cuda_api!(table);

/// The function at an address, or the other one where there is none.
///
/// # Safety
/// `F` is a function pointer type, and the function at `address` has that type.
unsafe fn from_address<F: Copy>(address: *mut c_void, otherwise: F) -> F {
    const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
    if address.is_null() {
        return otherwise;
    }
    // SAFETY: the caller's promise; the sizes are equal.
    unsafe { std::mem::transmute_copy(&address) }
}

fn c_name(name: &'static str) -> &'static CStr {
    CStr::from_bytes_with_nul(name.as_bytes()).expect("names end in one NUL")
}
