//! The exported symbols, derived from the one table of driver functions.
//!
//! `implemented.rs` lists what the device implements; every other row of the table becomes a stub that logs its name once and returns
//! `CUDA_ERROR_NOT_SUPPORTED`.

// CUDA's names and CUDA's parameter lists.
#![allow(
    non_snake_case,
    clippy::too_many_arguments,
    reason = "CUDA's names and parameters"
)]

use std::collections::BTreeSet;
use std::ffi::{c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};

use gvirtus_wire::api::Class;
use gvirtus_wire::api::types::*;
use parking_lot::Mutex;

use super::error::{ERROR_NOT_SUPPORTED, ERROR_UNKNOWN, Result, SUCCESS};

/// One row of the table.
pub struct Export {
    /// Symbol.
    pub name: &'static str,
    /// CUDA version from which `cuGetProcAddress` hands it out under its base name.
    pub since: i32,
    /// What the table says a call costs; `Unsupported` rows may nevertheless be implemented by this device.
    pub class: Class,
    /// The function.
    pub address: *const c_void,
}

// SAFETY: the pointer is a function's address and is never read through.
unsafe impl Sync for Export {}

/// Answers for a function that this device does not implement.
fn unsupported(name: &'static str) -> Result {
    static NAMED: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    if NAMED.lock().insert(name) {
        eprintln!("gvirtus-cpu: {name} is not supported by the CPU device");
    }
    Err(ERROR_NOT_SUPPORTED)
}

/// Keeps a panic from crossing into C.
fn guard(name: &'static str, call: impl FnOnce() -> Result) -> CUresult {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(())) => SUCCESS,
        Ok(Err(code)) => code,
        Err(_) => {
            eprintln!("gvirtus-cpu: internal error in {name}");
            ERROR_UNKNOWN
        }
    }
}

macro_rules! import { ($($($module:ident)::+ { $($name:ident)* })*) => {
    $(pub(super) use crate::driver::$($module)::+::{$($name),*};)*
} }

macro_rules! list { ($($($module:ident)::+ { $($name:ident)* })*) => {
    /// The names of the functions that are implemented; the others are stubs.
    pub const IMPLEMENTED: &[&str] = &[$($(stringify!($name)),*),*];
} }
implemented!(list);

macro_rules! exports { ($(group $group:literal { $($class:ident $since:literal fn $name:ident($($p:ident: $t:ty),*);)* })*) => {
    mod stubs {
        #![allow(unused_imports, dead_code, reason = "stubs of implemented functions are hidden by these")]
        use super::*;
        $($(pub(super) fn $name($(_: $t),*) -> Result { unsupported(stringify!($name)) })*)*
    }

    mod dispatch {
        // A name imported one by one hides the same name from a glob: the implemented functions replace their stubs.
        #[allow(unused_imports, reason = "all stubs may be hidden")]
        pub(super) use super::stubs::*;
        implemented!(import);
    }

    $($(
        #[doc = concat!("See <https://docs.nvidia.com/cuda/cuda-driver-api/group__", $group, ".html>.")]
        ///
        /// # Safety
        /// Pointers must be null or as NVIDIA's documentation asks; handles and device addresses are checked.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($($p: $t),*) -> CUresult {
            guard(stringify!($name), || dispatch::$name($($p),*))
        }
    )*)*

    /// Every exported function.
    pub static EXPORTS: &[Export] = &[$($(
        Export { name: stringify!($name), since: $since, class: Class::of(stringify!($class)), address: $name as *const c_void },
    )*)*];
} }

gvirtus_wire::cuda_api!(exports);
