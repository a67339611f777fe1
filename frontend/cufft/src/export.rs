//! Turns the rows of [`cufft_api!`](gvirtus_wire::cufft_api) into exported functions.

use std::ffi::CStr;

pub use gvirtus_frontend_link::guard::{guard, unsupported};
pub use gvirtus_frontend_link::library::ToWord;
use gvirtus_wire::api::Class;
use gvirtus_wire::api::frontend_table::Counter;

use crate::Status;
use crate::status::INTERNAL_ERROR;

/// A name for C.
///
/// # Panics
/// On a text that does not end in its only NUL; evaluated at compile time.
#[must_use]
pub const fn c_name(name: &'static str) -> &'static CStr {
    match CStr::from_bytes_with_nul(name.as_bytes()) {
        Ok(name) => name,
        Err(_) => panic!("names end in one NUL"),
    }
}

/// A counter for a function.
#[must_use]
pub const fn counter(name: &'static str, class: Class) -> Counter {
    Counter::new(c"libcufft", c_name(name), class)
}

/// What a function returns.
pub trait Returned: Copy + std::fmt::Debug {
    /// What it returns if its body panics.
    const PANICKED: Self;
}

impl Returned for Status {
    const PANICKED: Self = INTERNAL_ERROR;
}

/// Runs the body of an exported function.
pub fn run<R: Returned>(
    counter: &'static Counter,
    trace: impl FnOnce() -> String,
    body: impl FnOnce() -> R,
) -> R {
    guard(true, counter, R::PANICKED, trace, body)
}

/// Exports what `libcufft.so.11` exports. Use: `gvirtus_wire::cufft_api!(gvirtus_cufft_core::export_11);`
#[macro_export]
macro_rules! export_11 { ($(group $group:literal { $($class:ident [$($major:tt)*] fn $name:ident($($p:ident: $mode:ident $(($($argument:tt)+))?),*);)* })*) => {
    $crate::export_major!(11);
    $($($crate::export_in_11! { [$($major)*] $class $name($($p: $mode $(($($argument)+))?),*) })*)*
} }

/// Exports what `libcufft.so.12` exports. Use: `gvirtus_wire::cufft_api!(gvirtus_cufft_core::export_12);`
#[macro_export]
macro_rules! export_12 { ($(group $group:literal { $($class:ident [$($major:tt)*] fn $name:ident($($p:ident: $mode:ident $(($($argument:tt)+))?),*);)* })*) => {
    $crate::export_major!(12);
    $($($crate::export_in_12! { [$($major)*] $class $name($($p: $mode $(($($argument)+))?),*) })*)*
} }

/// Says at load time which version the library is.
#[doc(hidden)]
#[macro_export]
macro_rules! export_major {
    ($major:literal) => {
        extern "C" fn set_major() {
            $crate::handle::set_major($major);
        }
        #[used]
        #[unsafe(link_section = ".init_array")]
        static SET_MAJOR: extern "C" fn() = set_major;
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! export_in_11 {
    ([11 $($rest:tt)*] $($row:tt)*) => { $crate::export_function! { $($row)* } };
    ([$($other:tt)*] $($row:tt)*) => {};
}

#[doc(hidden)]
#[macro_export]
macro_rules! export_in_12 {
    ([11 12] $($row:tt)*) => { $crate::export_function! { $($row)* } };
    ([12] $($row:tt)*) => { $crate::export_function! { $($row)* } };
    ([$($other:tt)*] $($row:tt)*) => {};
}

/// One exported function, by its class.
#[doc(hidden)]
#[macro_export]
macro_rules! export_function {
    (async $name:ident($($p:ident: $mode:ident $(($($argument:tt)+))?),*)) => {
        $crate::export_call! { Async $crate::compute::compute, $name($($p: $mode $(($($argument)+))?),*) }
    };
    (sync $name:ident($($p:ident: $mode:ident $(($($argument:tt)+))?),*)) => {
        $crate::export_call! { Sync $crate::compute::compute, $name($($p: $mode $(($($argument)+))?),*) }
    };
    (state $name:ident($($p:ident: $mode:ident $(($($argument:tt)+))?),*)) => {
        $crate::export_call! { Local $crate::compute::set, $name($($p: $mode $(($($argument)+))?),*) }
    };
    (local $name:ident($($p:ident: $mode:ident $(($($argument:tt)+))?),*)) => {
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name($($p: $crate::wire::library_type!($mode)),*) -> i32 {
            static COUNTER: $crate::wire::api::frontend_table::Counter =
                $crate::export::counter(concat!(stringify!($name), "\0"), $crate::wire::api::Class::Local);
            #[allow(unused_imports, reason = "one of them has it")]
            use $crate::plan::*;
            $crate::export::run(
                &COUNTER,
                || format!(concat!(stringify!($name), "(" $(, stringify!($p), " {:?} ")*, ")") $(, $p)*),
                // SAFETY: the program passes what cuFFT documents for this function.
                #[allow(unused_unsafe, reason = "functions without pointers are safe")]
                || unsafe { $name($($p),*) },
            )
        }
    };
    (unsupported $name:ident()) => {
        // What it is given does not matter: the caller cleans up.
        #[unsafe(no_mangle)]
        extern "C" fn $name() -> i32 {
            static COUNTER: $crate::wire::api::frontend_table::Counter =
                $crate::export::counter(concat!(stringify!($name), "\0"), $crate::wire::api::Class::Unsupported);
            $crate::export::run(&COUNTER, || concat!(stringify!($name), "()").to_owned(), || {
                $crate::export::unsupported(stringify!($name));
                $crate::status::NOT_SUPPORTED
            })
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! export_call {
    ($class:ident $how:path, $name:ident($($p:ident: $mode:ident $(($($argument:tt)+))?),*)) => {
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name($($p: $crate::wire::library_type!($mode)),*) -> i32 {
            static COUNTER: $crate::wire::api::frontend_table::Counter =
                $crate::export::counter(concat!(stringify!($name), "\0"), $crate::wire::api::Class::$class);
            static FUNCTION: $crate::wire::api::library::Function =
                $crate::wire::library_function!($class [] $name($($p: $mode $(($($argument)+))?),*));
            $crate::export::run(
                &COUNTER,
                || format!(concat!(stringify!($name), "(" $(, stringify!($p), " {:?} ")*, ")") $(, $p)*),
                // SAFETY: the program passes what cuFFT documents for this function, whose declaration says what each parameter leads to.
                || unsafe { $how(&FUNCTION, &[$($crate::export::ToWord::to_word($p)),*]) },
            )
        }
    };
}
