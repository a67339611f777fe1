//! Turns the rows of [`cudnn_api!`](gvirtus_wire::cudnn_api) into exported functions.

use std::ffi::{CStr, c_char};

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
    Counter::new(c"libcudnn", c_name(name), class)
}

/// What a function returns.
pub trait Returned: Copy + std::fmt::Debug {
    /// What it returns if its body panics.
    const PANICKED: Self;
}

impl Returned for Status {
    const PANICKED: Self = INTERNAL_ERROR;
}

impl Returned for usize {
    const PANICKED: Self = 0;
}

impl Returned for () {
    const PANICKED: Self = ();
}

impl Returned for *const c_char {
    const PANICKED: Self = c"CUDNN_UNKNOWN_STATUS".as_ptr();
}

/// Runs the body of an exported function.
pub fn run<R: Returned>(
    counter: &'static Counter,
    trace: impl FnOnce() -> String,
    body: impl FnOnce() -> R,
) -> R {
    guard(true, counter, R::PANICKED, trace, body)
}

/// The C type that a function returns.
#[doc(hidden)]
#[macro_export]
macro_rules! returns {
    (cudnnGetErrorString) => { *const ::std::ffi::c_char };
    (cudnnGetLastErrorString) => { () };
    (cudnnGetVersion) => { usize };
    ($other:ident) => { i32 };
}

/// Exports what `libcudnn.so.9` exports. Use: `gvirtus_wire::cudnn_api!(gvirtus_cudnn_core::export_9);`
#[macro_export]
macro_rules! export_9 { ($(group $group:literal { $($class:ident [$($major:tt)*] fn $name:ident($($p:ident: $mode:ident $(($($argument:tt)+))?),*);)* })*) => {
    $($($crate::export_function! { $class $name($($p: $mode $(($($argument)+))?),*) })*)*
} }

/// One exported function, by its class.
#[doc(hidden)]
#[macro_export]
macro_rules! export_function {
    (async $($row:tt)*) => { $crate::export_call! { Async i32, $crate::compute::compute, $($row)* } };
    (sync $($row:tt)*) => { $crate::export_call! { Sync i32, $crate::compute::ask, $($row)* } };
    (value $($row:tt)*) => { $crate::export_call! { Sync usize, $crate::compute::value, $($row)* } };
    (state $($row:tt)*) => { $crate::export_call! { Local i32, $crate::descriptor::set, $($row)* } };
    (make $($row:tt)*) => { $crate::export_call! { Local i32, $crate::descriptor::create, $($row)* } };
    (drop $($row:tt)*) => { $crate::export_call! { Local i32, $crate::descriptor::destroy, $($row)* } };
    (local $($row:tt)*) => { $crate::export_by_hand! { Local $($row)* } };
    (hand_local $($row:tt)*) => { $crate::export_by_hand! { Local $($row)* } };
    (hand_sync $($row:tt)*) => { $crate::export_by_hand! { Sync $($row)* } };
    (hand_async $($row:tt)*) => { $crate::export_by_hand! { Async $($row)* } };
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
macro_rules! export_by_hand {
    ($class:ident $name:ident($($p:ident: $mode:ident $(($($argument:tt)+))?),*)) => {
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name($($p: $crate::wire::library_type!($mode)),*) -> $crate::returns!($name) {
            static COUNTER: $crate::wire::api::frontend_table::Counter =
                $crate::export::counter(concat!(stringify!($name), "\0"), $crate::wire::api::Class::$class);
            #[allow(unused_imports, reason = "one of them has it")]
            use $crate::{by_hand::*, graph::*, local::*};
            $crate::export::run(
                &COUNTER,
                || format!(concat!(stringify!($name), "(" $(, stringify!($p), " {:?} ")*, ")") $(, $p)*),
                // SAFETY: the program passes what cuDNN documents for this function.
                #[allow(unused_unsafe, reason = "functions without pointers are safe")]
                || unsafe { $name($($p),*) },
            )
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! export_call {
    ($class:ident $returned:ty, $how:path, $name:ident($($p:ident: $mode:ident $(($($argument:tt)+))?),*)) => {
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name($($p: $crate::wire::library_type!($mode)),*) -> $returned {
            static COUNTER: $crate::wire::api::frontend_table::Counter =
                $crate::export::counter(concat!(stringify!($name), "\0"), $crate::wire::api::Class::$class);
            static FUNCTION: $crate::wire::api::library::Function =
                $crate::wire::library_function!($class [] $name($($p: $mode $(($($argument)+))?),*));
            $crate::export::run(
                &COUNTER,
                || format!(concat!(stringify!($name), "(" $(, stringify!($p), " {:?} ")*, ")") $(, $p)*),
                // SAFETY: the program passes what cuDNN documents for this function, whose declaration says what each parameter leads to.
                || unsafe { $how(&FUNCTION, &[$($crate::export::ToWord::to_word($p)),*]) },
            )
        }
    };
}
