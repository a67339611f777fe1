//! The driver's functions, as the loader finds `libcuda.so.1`: NVIDIA's natively, ours through GVirtuS.
#![allow(
    unsafe_code,
    reason = "the edge to libcuda: functions are looked up by name"
)]

use std::ffi::{c_char, c_void};

use gvirtus_wire::api::types::*;
use libloading::Library;

macro_rules! driver_table { ($(group $group:literal { $($class:ident $since:literal fn $name:ident($($p:ident: $t:ty),* $(,)?);)* })*) => {
    /// One optional function pointer per driver API function.
    #[allow(non_snake_case, dead_code, reason = "named as CUDA names them; generated for the whole API")]
    pub(crate) struct Driver {
        $($(pub(crate) $name: Option<unsafe extern "C" fn($($t),*) -> CUresult>,)*)*
        /// Keeps the functions mapped.
        _library: Library,
    }

    impl Driver {
        /// Loads `libcuda.so.1` and looks every function up.
        pub(crate) fn load() -> Result<Self, libloading::Error> {
            // SAFETY: the name is the driver's; whoever runs this program decides which one the loader finds, as for every CUDA program.
            let library = unsafe { Library::new("libcuda.so.1")? };
            Ok(Self {
                $($(
                    // SAFETY: the symbol has the signature that NVIDIA documents, which the table holds.
                    $name: unsafe { library.get::<unsafe extern "C" fn($($t),*) -> CUresult>(concat!(stringify!($name), "\0").as_bytes()) }.ok().map(|f| *f),
                )*)*
                _library: library,
            })
        }
    }
} }
gvirtus_wire::cuda_api!(driver_table);
