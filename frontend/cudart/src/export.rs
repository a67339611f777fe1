//! Turns the rows of [`cudart_api!`](gvirtus_wire::cudart_api) into exported functions.

use crate::error::{NOT_SUPPORTED, Result, UNKNOWN, finish};
use gvirtus_wire::api::cudart_types::{cudaChannelFormatDesc, cudaError_t};
use std::ffi::{c_char, c_void};

pub use gvirtus_frontend_link::guard::guard;
pub use gvirtus_wire as wire;

/// What a runtime function's body yields, and what its caller is given for it.
pub trait Outcome {
    /// What the exported function returns.
    type Returned: Copy + std::fmt::Debug;
    /// What it returns if the body panics.
    const PANICKED: Self::Returned;
    /// Whether the session's library may be loaded for it. What runs while the program is still being loaded must not.
    const ASKS: bool;
    /// Turns the one into the other.
    fn finish(self) -> Self::Returned;
}

impl Outcome for Result {
    type Returned = cudaError_t;
    const PANICKED: cudaError_t = UNKNOWN.0;
    const ASKS: bool = true;
    #[inline]
    fn finish(self) -> cudaError_t {
        finish(self)
    }
}

macro_rules! plain { ($($t:ty = $panicked:expr, $asks:literal;)*) => { $(
    impl Outcome for $t {
        type Returned = Self;
        const PANICKED: Self = $panicked;
        const ASKS: bool = $asks;
        #[inline]
        fn finish(self) -> Self {
            self
        }
    }
)* } }
plain! {
    () = (), false;
    c_char = 0, false;
    u32 = UNKNOWN.0.cast_unsigned(), false;
    *mut *mut c_void = std::ptr::null_mut(), false;
    *const c_char = c"unrecognized error code".as_ptr(), true;
    // cudaGetLastError and cudaPeekAtLastError, which themselves leave nothing behind.
    cudaError_t = UNKNOWN.0, true;
    cudaChannelFormatDesc = cudaChannelFormatDesc { x: 0, y: 0, z: 0, w: 0, f: 0 }, true;
}

/// The end of a function that is not supported.
#[cold]
pub fn unsupported(name: &'static str) -> Result {
    gvirtus_frontend_link::guard::unsupported(name);
    Err(NOT_SUPPORTED)
}

/// Exports what `libcudart.so.12` exports. Use: `gvirtus_wire::cudart_api!(gvirtus_cudart_core::export_12);`
#[macro_export]
macro_rules! export_12 { ($(group $group:literal { $($class:ident [$($major:tt)*] fn $name:ident $(| $pt:ident)? ($($p:ident: $t:ty),*) $(-> $r:ty)?;)* })*) => {
    $crate::export_version!(12090);
    $($($crate::export_in_12! { [$($major)*] $class $name [$($pt)?] ($($p: $t),*) $(-> $r)? })*)*
} }

/// Exports what `libcudart.so.13` exports. Use: `gvirtus_wire::cudart_api!(gvirtus_cudart_core::export_13);`
#[macro_export]
macro_rules! export_13 { ($(group $group:literal { $($class:ident [$($major:tt)*] fn $name:ident $(| $pt:ident)? ($($p:ident: $t:ty),*) $(-> $r:ty)?;)* })*) => {
    $crate::export_version!(13000);
    $($($crate::export_in_13! { [$($major)*] $class $name [$($pt)?] ($($p: $t),*) $(-> $r)? })*)*
} }

/// Says at load time which version the library is.
#[doc(hidden)]
#[macro_export]
macro_rules! export_version {
    ($version:literal) => {
        extern "C" fn set_version() {
            $crate::set_version($version);
        }
        // SAFETY: functions in this section are called once when the library is loaded; this one stores a number.
        #[used]
        #[unsafe(link_section = ".init_array")]
        static SET_VERSION: extern "C" fn() = set_version;
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! export_in_12 {
    ([13] $($row:tt)*) => {};
    ([12 $($more:tt)*] $($row:tt)*) => { $crate::export_row! { v12 c"libcudart.so.12" $($row)* } };
}

#[doc(hidden)]
#[macro_export]
macro_rules! export_in_13 {
    ([12] $($row:tt)*) => {};
    ([$($majors:tt)*] $($row:tt)*) => { $crate::export_row! { v13 c"libcudart.so.13" $($row)* } };
}

#[doc(hidden)]
#[macro_export]
macro_rules! export_row {
    ($v:ident $library:literal unsupported $name:ident [] ($($p:ident: $t:ty),*)) => {
        $crate::export_function! { $library unsupported $name ($($p: $t),*) { $crate::export::unsupported(stringify!($name)) } }
    };
    ($v:ident $library:literal unsupported $name:ident [$pt:ident] ($($p:ident: $t:ty),*)) => {
        $crate::export_function! { $library unsupported $name ($($p: $t),*) { $crate::export::unsupported(stringify!($name)) } }
        $crate::export_function! { $library unsupported $pt ($($p: $t),*) { $crate::export::unsupported(stringify!($pt)) } }
    };
    ($v:ident $library:literal $class:ident $name:ident [] ($($p:ident: $t:ty),*) $(-> $r:ty)?) => {
        $crate::export_function! { $library $class $name ($($p: $t),*) { $crate::$v::$name($($p),*) } $(-> $r)? }
    };
    ($v:ident $library:literal $class:ident $name:ident [$pt:ident] ($($p:ident: $t:ty),*)) => {
        $crate::export_function! { $library $class $name ($($p: $t),*) { $crate::$v::$name($crate::DefaultStream::Legacy, $($p),*) } }
        $crate::export_function! { $library $class $pt ($($p: $t),*) { $crate::$v::$name($crate::DefaultStream::PerThread, $($p),*) } }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! export_function {
    ($library:literal $class:ident $name:ident ($($p:ident: $t:ty),*) { $body:expr }) => {
        $crate::export_function! { $library $class $name ($($p: $t),*) { $body } -> $crate::export::wire::api::cudart_types::cudaError_t }
    };
    ($library:literal $class:ident $name:ident ($($p:ident: $t:ty),*) { $body:expr } -> $r:ty) => {
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name($($p: $t),*) -> $r {
            static COUNTER: $crate::export::wire::api::frontend_table::Counter =
                $crate::export::wire::api::frontend_table::Counter::new($library, $crate::export::c_name(concat!(stringify!($name), "\0")), $crate::export::wire::api::Class::of(stringify!($class)));
            $crate::export::call(
                &COUNTER,
                || format!(concat!(stringify!($name), "(" $(, stringify!($p), " {:?} ")*, ")") $(, $p)*),
                // SAFETY: the program passes what CUDA documents for this function.
                #[allow(unused_unsafe, reason = "some bodies are safe")] || unsafe { $body },
            )
        }
    };
}

/// A name that ends in a NUL as a C string.
#[doc(hidden)]
pub const fn c_name(name: &'static str) -> &'static std::ffi::CStr {
    match std::ffi::CStr::from_bytes_with_nul(name.as_bytes()) {
        Ok(name) => name,
        Err(_) => panic!("names end in one NUL"),
    }
}

/// Runs the body of an exported function.
#[doc(hidden)]
#[inline]
pub fn call<O: Outcome>(
    counter: &'static wire::api::frontend_table::Counter,
    trace: impl FnOnce() -> String,
    body: impl FnOnce() -> O,
) -> O::Returned {
    guard(O::ASKS, counter, O::PANICKED, trace, || body().finish())
}
