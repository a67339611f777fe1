//! Turns the rows of a compute library's table (`cublas_api!`, …) into exported functions: one macro for all of them.
//!
//! A library's crate has a module `exports` with what its rows lead to: `LIBRARY` (its name for the statistics), `compute` (calls), `set` (setters), `set_major`, a function
//! for each row that is `local`, `made_…` or `hand_…`, and the statuses `NOT_SUPPORTED` and `INTERNAL_ERROR`; where there are descriptors, also `create`, `destroy` and `value`.

use std::ffi::{CStr, c_char};

pub use crate::guard::{guard, unsupported};
pub use crate::library::ToWord;
pub use gvirtus_wire as wire;
use gvirtus_wire::api::Class;
use gvirtus_wire::api::frontend_table::Counter;
use gvirtus_wire::api::types::{cuComplex, cuDoubleComplex};

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
pub const fn counter(library: &'static CStr, name: &'static str, class: Class) -> Counter {
    Counter::new(library, c_name(name), class)
}

/// What a function returns if its body panics, by the library's "internal error".
pub trait Returned: Copy + std::fmt::Debug {
    /// The value.
    fn panicked(internal_error: i32) -> Self;
}

impl Returned for i32 {
    fn panicked(internal_error: i32) -> Self {
        internal_error
    }
}

impl Returned for usize {
    fn panicked(_: i32) -> Self {
        0
    }
}

impl Returned for () {
    fn panicked(_: i32) -> Self {}
}

impl Returned for f64 {
    fn panicked(_: i32) -> Self {
        0.0
    }
}

impl Returned for f32 {
    fn panicked(_: i32) -> Self {
        0.0
    }
}

impl Returned for cuComplex {
    fn panicked(_: i32) -> Self {
        Self::default()
    }
}

impl Returned for cuDoubleComplex {
    fn panicked(_: i32) -> Self {
        Self::default()
    }
}

impl Returned for *mut std::ffi::c_void {
    fn panicked(_: i32) -> Self {
        std::ptr::null_mut()
    }
}

impl Returned for *const c_char {
    fn panicked(_: i32) -> Self {
        c"unknown".as_ptr()
    }
}

/// Runs the body of an exported function.
pub fn run<R: Returned>(
    counter: &'static Counter,
    internal_error: i32,
    trace: impl FnOnce() -> String,
    body: impl FnOnce() -> R,
) -> R {
    guard(true, counter, R::panicked(internal_error), trace, body)
}

/// Exports the rows of one major version: `export_library! { (crate) 13 rows }`, where the first is the path of the crate that has `exports`.
#[macro_export]
macro_rules! export_library { ($core:tt $wanted:tt $(group $group:literal { $($class:ident [$($major:tt)*] fn $name:ident($($p:ident: $mode:ident $(($($argument:tt)+))?),*);)* })*) => {
    extern "C" fn set_major() {
        $core::exports::set_major($wanted);
    }
    #[used]
    #[unsafe(link_section = ".init_array")]
    static SET_MAJOR: extern "C" fn() = set_major;
    $($($crate::export_in! { $wanted [$($major)*] $core $class $name($($p: $mode $(($($argument)+))?),*) })*)*
} }

/// A row, if it is of the version.
#[doc(hidden)]
#[macro_export]
macro_rules! export_in {
    (9 [9] $($row:tt)*) => { $crate::export_function! { $($row)* } };
    (10 [10] $($row:tt)*) => { $crate::export_function! { $($row)* } };
    (11 [11 $($rest:tt)*] $($row:tt)*) => { $crate::export_function! { $($row)* } };
    (12 [12 $($rest:tt)*] $($row:tt)*) => { $crate::export_function! { $($row)* } };
    (12 [11 12] $($row:tt)*) => { $crate::export_function! { $($row)* } };
    (13 [12 13] $($row:tt)*) => { $crate::export_function! { $($row)* } };
    (13 [13] $($row:tt)*) => { $crate::export_function! { $($row)* } };
    ($wanted:tt [$($other:tt)*] $($row:tt)*) => {};
}

/// The C type that a function returns.
#[doc(hidden)]
#[macro_export]
macro_rules! export_returns {
    (cublasGetStatusName) => { *const ::std::ffi::c_char };
    (cublasGetStatusString) => { *const ::std::ffi::c_char };
    (cublasLtGetStatusName) => { *const ::std::ffi::c_char };
    (cublasLtGetStatusString) => { *const ::std::ffi::c_char };
    (cublasXerbla) => { () };
    (fftw_cost) => { f64 };
    (fftwf_cost) => { f64 };
    (cublasLtGetVersion) => { usize };
    (cublasLtGetCudartVersion) => { usize };
    (cudnnGetErrorString) => { *const ::std::ffi::c_char };
    (cudnnGetLastErrorString) => { () };
    (cudnnGetVersion) => { usize };
    (cudnnGetCudartVersion) => { usize };
    (cudnnGetMaxDeviceVersion) => { usize };
    ($other:ident) => { i32 };
}

/// One exported function, by its class.
#[doc(hidden)]
#[macro_export]
macro_rules! export_function {
    ($core:tt async $($row:tt)*) => { $crate::export_call! { $core Async compute $($row)* } };
    ($core:tt sync $($row:tt)*) => { $crate::export_call! { $core Sync compute $($row)* } };
    ($core:tt state $($row:tt)*) => { $crate::export_call! { $core Local set $($row)* } };
    ($core:tt value $($row:tt)*) => { $crate::export_call! { $core Sync value $($row)* } };
    ($core:tt make $($row:tt)*) => { $crate::export_call! { $core Local create $($row)* } };
    ($core:tt drop $($row:tt)*) => { $crate::export_call! { $core Local destroy $($row)* } };
    ($core:tt on_host $($row:tt)*) => { $crate::export_call! { $core Sync on_host $($row)* } };
    ($core:tt local $($row:tt)*) => { $crate::export_by_hand! { $core Local $($row)* } };
    ($core:tt plan $($row:tt)*) => { $crate::export_by_hand! { @ (*mut ::std::ffi::c_void) $core Sync $($row)* } };
    ($core:tt void $($row:tt)*) => { $crate::export_by_hand! { @ (()) $core Sync $($row)* } };
    ($core:tt local_plan $($row:tt)*) => { $crate::export_by_hand! { @ (*mut ::std::ffi::c_void) $core Local $($row)* } };
    ($core:tt local_void $($row:tt)*) => { $crate::export_by_hand! { @ (()) $core Local $($row)* } };
    ($core:tt made_sync $($row:tt)*) => { $crate::export_by_hand! { $core Sync $($row)* } };
    ($core:tt made_async $($row:tt)*) => { $crate::export_by_hand! { $core Async $($row)* } };
    ($core:tt made_implicit_sync $($row:tt)*) => { $crate::export_by_hand! { $core ImplicitSync $($row)* } };
    ($core:tt hand_local $($row:tt)*) => { $crate::export_by_hand! { $core Local $($row)* } };
    ($core:tt hand_sync $($row:tt)*) => { $crate::export_by_hand! { $core Sync $($row)* } };
    ($core:tt hand_async $($row:tt)*) => { $crate::export_by_hand! { $core Async $($row)* } };
    ($core:tt legacy $($row:tt)*) => { $crate::export_legacy! { (()) $core Async $($row)* } };
    ($core:tt legacy_host $($row:tt)*) => { $crate::export_legacy! { (()) $core Sync $($row)* } };
    ($core:tt legacy_i32 $($row:tt)*) => { $crate::export_legacy! { (i32) $core Sync $($row)* } };
    ($core:tt legacy_f32 $($row:tt)*) => { $crate::export_legacy! { (f32) $core Sync $($row)* } };
    ($core:tt legacy_f64 $($row:tt)*) => { $crate::export_legacy! { (f64) $core Sync $($row)* } };
    ($core:tt legacy_c32 $($row:tt)*) => { $crate::export_legacy! { ($crate::wire::api::types::cuComplex) $core Sync $($row)* } };
    ($core:tt legacy_c64 $($row:tt)*) => { $crate::export_legacy! { ($crate::wire::api::types::cuDoubleComplex) $core Sync $($row)* } };
    ($core:tt undeclared $name:ident()) => { $crate::export_function! { $core unsupported $name() } };
    ($core:tt unsupported $name:ident()) => {
        // What it is given does not matter: the caller cleans up.
        #[unsafe(no_mangle)]
        extern "C" fn $name() -> i32 {
            static COUNTER: $crate::wire::api::frontend_table::Counter = $crate::export::counter(
                $core::exports::LIBRARY,
                concat!(stringify!($name), "\0"),
                $crate::wire::api::Class::Unsupported,
            );
            $crate::export::run(
                &COUNTER,
                $core::exports::INTERNAL_ERROR,
                || concat!(stringify!($name), "()").to_owned(),
                || {
                    $crate::export::unsupported(stringify!($name));
                    $core::exports::NOT_SUPPORTED
                },
            )
        }
    };
}

/// An exported function of the row's name and parameters, counted and traced, whose body is the closure at the end.
#[doc(hidden)]
#[macro_export]
macro_rules! export_counted {
    (($returns:ty) $core:tt $class:ident $name:ident($($p:ident: $mode:ident $(($($argument:tt)+))?),*) $body:expr) => {
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name($($p: $crate::wire::library_type!($mode)),*) -> $returns {
            static COUNTER: $crate::wire::api::frontend_table::Counter = $crate::export::counter(
                $core::exports::LIBRARY,
                concat!(stringify!($name), "\0"),
                $crate::wire::api::Class::$class,
            );
            $crate::export::run(
                &COUNTER,
                $core::exports::INTERNAL_ERROR,
                || format!(concat!(stringify!($name), "(" $(, stringify!($p), " {:?} ")*, ")") $(, $p)*),
                $body,
            )
        }
    };
}

/// A function that the library's crate has under its own name.
#[doc(hidden)]
#[macro_export]
macro_rules! export_by_hand {
    ($core:tt $class:ident $name:ident $($row:tt)*) => {
        $crate::export_by_hand! { @ ($crate::export_returns!($name)) $core $class $name $($row)* }
    };
    (@ ($returns:ty) $core:tt $class:ident $name:ident($($p:ident: $mode:ident $(($($argument:tt)+))?),*)) => {
        $crate::export_counted! { ($returns) $core $class $name($($p: $mode $(($($argument)+))?),*)
            // SAFETY: the program passes what the vendor documents for this function.
            #[allow(unused_unsafe, reason = "functions without pointers are safe")]
            || unsafe { $core::exports::$name($($p),*) }
        }
    };
}

/// A function of an interface before handles: its scalars come by value, and it returns its result. The library's `legacy` gets one word for each argument: numbers, letters and
/// pointers as they are, of floating-point and complex values where they lie; and where the result goes.
#[doc(hidden)]
#[macro_export]
macro_rules! export_legacy {
    (($returns:ty) $core:tt $class:ident $name:ident($($p:ident: $mode:ident $(($($argument:tt)+))?),*)) => {
        $crate::export_counted! { ($returns) $core $class $name($($p: $mode $(($($argument)+))?),*) || {
            static FUNCTION: $crate::wire::api::library::Function =
                $crate::wire::library_function!($class [] $name($($p: $mode $(($($argument)+))?),*));
            let mut result = <$returns>::default();
            // SAFETY: the program passes what the vendor documents for this function; result and values live as long as the call.
            unsafe {
                $core::exports::legacy(
                    &FUNCTION,
                    &[$($crate::export::LegacyWord::word(&$p)),*],
                    (&raw mut result).cast(),
                );
            }
            result
        } }
    };
}

/// An argument of a function before handles as a word.
pub trait LegacyWord {
    /// The word: numbers, letters and pointers as they are, of other values where they lie.
    fn word(&self) -> u64;
}

impl LegacyWord for i32 {
    fn word(&self) -> u64 {
        self.to_word()
    }
}

impl LegacyWord for c_char {
    fn word(&self) -> u64 {
        u64::from(self.cast_unsigned())
    }
}

impl LegacyWord for *mut std::ffi::c_void {
    fn word(&self) -> u64 {
        self.to_word()
    }
}

macro_rules! by_place { ($($t:ty)*) => { $(
    impl LegacyWord for $t {
        fn word(&self) -> u64 {
            std::ptr::from_ref(self) as u64
        }
    }
)* } }
by_place! { f32 f64 cuComplex cuDoubleComplex }

/// A function whose call is given as words, with its declaration.
#[doc(hidden)]
#[macro_export]
macro_rules! export_call {
    ($core:tt $class:ident $how:ident $name:ident($($p:ident: $mode:ident $(($($argument:tt)+))?),*)) => {
        $crate::export_counted! { ($crate::export_returns!($name)) $core $class $name($($p: $mode $(($($argument)+))?),*) || {
            static FUNCTION: $crate::wire::api::library::Function =
                $crate::wire::library_function!($class [] $name($($p: $mode $(($($argument)+))?),*));
            // SAFETY: the program passes what the vendor documents for this function, whose declaration says what each parameter leads to.
            unsafe { $core::exports::$how(&FUNCTION, &[$($crate::export::ToWord::to_word($p)),*]) }
        } }
    };
}
