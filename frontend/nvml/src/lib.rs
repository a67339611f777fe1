//! `libnvidia-ml.so.1`: NVML for programs, answered by the backend.
//!
//! Every function of [`nvml_api!`](gvirtus_wire::nvml_api) is exported. What it does follows from its declaration's class: forwarded, answered here, refused, or not
//! supported.
//!
//! # Layout
//! * this file: what an export does.
//! * [`local`]: functions that are answered in the program's process.
//! * [`export_table`]: the private table that `nvidia-smi` asks for.
//! * [`forward`]: pointers of the program to inputs of a call, outputs to pointers.
//! * [`session`]: the way to the backend.
#![allow(non_snake_case, reason = "NVML's names")]

mod export_table;
mod forward;
mod local;
mod session;

use std::ffi::{CStr, c_char};

use gvirtus_frontend_link::guard::{guard, unsupported};
use gvirtus_wire::api::Class;
use gvirtus_wire::api::frontend_table::Counter;
use gvirtus_wire::api::nvml_call::{
    ERROR_NO_PERMISSION, ERROR_NOT_SUPPORTED, ERROR_UNINITIALIZED, ERROR_UNKNOWN,
};

/// `nvmlReturn_t`.
type Return = i32;

const fn c_name(name: &'static str) -> &'static CStr {
    match CStr::from_bytes_with_nul(name.as_bytes()) {
        Ok(name) => name,
        Err(_) => panic!("names end in one NUL"),
    }
}

/// Runs the body of an exported function.
fn call(
    counter: &'static Counter,
    trace: impl FnOnce() -> String,
    body: impl FnOnce() -> Return,
) -> Return {
    guard(true, counter, ERROR_UNKNOWN, trace, body)
}

macro_rules! counter {
    ($name:ident $class:ident) => {
        Counter::new(
            c"libnvidia-ml.so.1",
            c_name(concat!(stringify!($name), "\0")),
            Class::$class,
        )
    };
}

/// One exported function, by its class.
macro_rules! export {
    (sync $name:ident($($p:ident: $t:ty),*)) => {
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name($($p: $t),*) -> Return {
            static COUNTER: Counter = counter!($name Sync);
            call(
                &COUNTER,
                || format!(concat!(stringify!($name), "(" $(, stringify!($p), " {:?} ")*, ")") $(, $p)*),
                // SAFETY: the program passes what NVML documents for this function, whose declaration says what each parameter points to.
                || unsafe { forward::forward(stringify!($name), &[$($p as u64),*]) },
            )
        }
    };
    (local nvmlErrorString($($p:ident: $t:ty),*)) => {
        /// The text of a return value; a constant.
        #[unsafe(no_mangle)]
        extern "C" fn nvmlErrorString($($p: $t),*) -> *const c_char {
            local::error_string($($p.cast_signed()),*).as_ptr()
        }
    };
    (local $name:ident($($p:ident: $t:ty),*)) => {
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name($($p: $t),*) -> Return {
            static COUNTER: Counter = counter!($name Local);
            call(
                &COUNTER,
                || format!(concat!(stringify!($name), "(" $(, stringify!($p), " {:?} ")*, ")") $(, $p)*),
                // SAFETY: the program passes what NVML documents for this function.
                #[allow(unused_unsafe, reason = "functions without pointers are safe")]
                || unsafe { local::$name($($p),*) },
            )
        }
    };
    // What a refused or unsupported function is given does not matter: the caller cleans up.
    (refused $name:ident()) => {
        #[unsafe(no_mangle)]
        extern "C" fn $name() -> Return {
            static COUNTER: Counter = counter!($name Local);
            call(&COUNTER, || concat!(stringify!($name), "()").to_owned(), || {
                if local::initialized() { ERROR_NO_PERMISSION } else { ERROR_UNINITIALIZED }
            })
        }
    };
    (unsupported $name:ident()) => {
        #[unsafe(no_mangle)]
        extern "C" fn $name() -> Return {
            static COUNTER: Counter = counter!($name Unsupported);
            call(&COUNTER, || concat!(stringify!($name), "()").to_owned(), || {
                unsupported(stringify!($name));
                ERROR_NOT_SUPPORTED
            })
        }
    };
}

macro_rules! exports {
    ($(group $group:literal { $($class:ident fn $name:ident($($p:ident: $mode:ident $(($($argument:literal)+))?),*);)* })*) => {
        $($(export! { $class $name($($p: gvirtus_wire::nvml_type!($mode)),*) })*)*
    };
}
gvirtus_wire::nvml_api!(exports);
