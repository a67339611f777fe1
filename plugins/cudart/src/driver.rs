//! The driver's functions, loaded from a library that [`choose`](crate::choose) names.
//!
//! The table is generated from [`gvirtus_wire::cuda_api!`]. Every function is optional: a command that needs one that the library lacks is answered with
//! `CUDA_ERROR_NOT_SUPPORTED`, and the symbol's name is logged once.

use std::collections::HashSet;
use std::ffi::{CStr, c_char, c_void};
use std::path::Path;

use gvirtus_wire::api::types::*;
use libloading::Library;
use parking_lot::Mutex;

use crate::errors::{ERROR_NOT_SUPPORTED, Result};
use crate::host::{self, Host};

/// A driver handle as a number, so that it may be kept in shared tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Handle(pub(crate) usize);

impl Handle {
    /// What the driver is given.
    #[inline]
    pub(crate) fn ptr(self) -> *mut c_void {
        self.0 as *mut c_void
    }

    /// What the driver gave.
    #[inline]
    pub(crate) fn of(ptr: *mut c_void) -> Self {
        Self(ptr as usize)
    }
}

macro_rules! driver_table { ($(group $group:literal { $($class:ident $since:literal fn $name:ident($($p:ident: $t:ty),* $(,)?);)* })*) => {
    /// One optional function pointer per driver API function.
    #[allow(non_snake_case, dead_code, reason = "named as CUDA names them; generated for the whole API")]
    pub(crate) struct Driver {
        $($(pub(crate) $name: Option<unsafe extern "C" fn($($t),*) -> CUresult>,)*)*
        missing: Mutex<HashSet<&'static str>>,
        host: &'static Host,
        library: Library,
    }

    impl Driver {
        /// Loads a library and looks every function up.
        ///
        /// # Errors
        /// The loader's own message.
        pub(crate) fn load(path: &Path, host: &'static Host) -> std::result::Result<Self, libloading::Error> {
            // SAFETY: the operator's configuration or the system's directories name the library; its initialisers are trusted as those of any driver.
            let library = unsafe { Library::new(path)? };
            Ok(Self {
                $($(
                    // SAFETY: the symbol has the signature that NVIDIA documents, which the table holds.
                    $name: unsafe { library.get::<unsafe extern "C" fn($($t),*) -> CUresult>(concat!(stringify!($name), "\0").as_bytes()) }.ok().map(|f| *f),
                )*)*
                missing: Mutex::new(HashSet::new()),
                host,
                library,
            })
        }
    }
} }
gvirtus_wire::cuda_api!(driver_table);

impl Driver {
    /// The address of a symbol of the library, or null.
    pub(crate) fn address(&self, symbol: &CStr) -> *const c_void {
        // SAFETY: the address is only handed on.
        unsafe {
            self.library
                .get::<*const c_void>(symbol.to_bytes_with_nul())
        }
        .map_or(std::ptr::null(), |address| *address)
    }

    /// Whether the library exports a symbol.
    pub(crate) fn exports(&self, symbol: &str) -> bool {
        // SAFETY: the address is compared, never used.
        unsafe { self.library.get::<*const c_void>(symbol.as_bytes()) }.is_ok()
    }

    /// The answer for a function that the library lacks.
    #[cold]
    pub(crate) fn lacks(&self, name: &'static str) -> Result<()> {
        if self.missing.lock().insert(name) {
            self.host.log(
                host::WARN,
                &format!("the driver library has no {name}: what needs it is answered with CUDA_ERROR_NOT_SUPPORTED"),
            );
        }
        Err(ERROR_NOT_SUPPORTED)
    }
}

/// Calls a driver function of a [`Driver`]: `cu!(driver, cuMemFree_v2(address))` gives a [`Result`].
///
/// The pointers handed over must be to live objects of the types that the function takes; every use passes addresses of locals, of memory that the plugin mapped,
/// or numbers that were checked against the session's ledgers.
macro_rules! cu { ($driver:expr, $name:ident($($argument:expr),* $(,)?)) => {
    match $driver.$name {
        // SAFETY: see the macro's documentation.
        Some(function) => $crate::errors::check(unsafe { function($($argument),*) }),
        None => $driver.lacks(stringify!($name)),
    }
} }
pub(crate) use cu;
