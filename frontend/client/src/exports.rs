//! What `libgvirtus.so` exports: the driver functions by name, and the hooks for frontend libraries.
//!
//! Each declaration of `gvirtus_wire::cuda_api!` becomes a C function that keeps panics out of the program, counts and traces if asked to, and calls the function of the
//! same name in `crate::driver`. What the table calls unsupported becomes a function that says so.

use std::ffi::{CStr, c_char, c_void};
use std::sync::OnceLock;

use gvirtus_wire::api::frontend_table::{FRONTEND_TABLE_VERSION, FrontendTable};

use crate::{stats, trace};

/// One driver function, as `cuGetProcAddress` and `gvirtus_driver_proc` see it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Export {
    /// Exported name, with `_v2` and the like.
    pub(crate) name: &'static str,
    /// CUDA version from which the base name means this ABI.
    pub(crate) since: i32,
    /// The C function.
    pub(crate) address: *const c_void,
}

// SAFETY: the address is that of a function, which every thread may call.
unsafe impl Sync for Export {}
// SAFETY: as above.
unsafe impl Send for Export {}

/// Every name of the API in one scope, wherever in `crate::driver` it is written.
mod functions {
    #[rustfmt::skip]
    pub(super) use crate::driver::{
        array::*, capability::*, context::*, context_event::*, green_context::*, device::*, error::*, error_log::*, event::*, export_table::*, function::*, graph::*, graph_edges::*, graph_exec::*, graph_memory::*, graph_nodes::*,
        host_function::*, host_memory::*, init::*, ipc::*, kernel::*, launch::*, launch_legacy::*, library::*, link::*, managed::*, memcpy::*, memcpy_batch::*, memcpy_box::*, memory::*, memory_pool::*,
        memset::*, module::*, multicast::*, occupancy::*, pointer::*, proc_address::*, profiler::*, sparse_array::*, stream::*, stream_capture::*, stream_memory::*, tensor_map::*, texture::*, texture_reference::*,
        user_object::*, vmm::*,
    };
}

/// The C functions.
#[allow(
    non_snake_case,
    clippy::too_many_arguments,
    clippy::missing_safety_doc,
    reason = "names and parameters are CUDA's"
)]
pub(crate) mod wrappers {
    use super::functions;
    use crate::stats::guarded;
    use gvirtus_wire::api::Class;
    use gvirtus_wire::api::frontend_table::Counter;
    use gvirtus_wire::api::types::*;
    use std::ffi::{c_char, c_void};

    macro_rules! wrapper {
        (unsupported $name:ident($($p:ident: $t:ty),*)) => {
            pub(crate) unsafe extern "C" fn $name($(_: $t),*) -> CUresult {
                crate::log::unsupported(stringify!($name));
                error::ERROR_NOT_SUPPORTED
            }
        };
        ($class:ident $name:ident($($p:ident: $t:ty),*)) => {
            pub(crate) unsafe extern "C" fn $name($($p: $t),*) -> CUresult {
                static COUNTER: Counter = Counter::new(
                    c"libcuda",
                    super::c_name(concat!(stringify!($name), "\0")),
                    Class::of(stringify!($class)),
                );
                // SAFETY: the caller keeps CUDA's contract for the function's pointers.
                guarded(&COUNTER, #[allow(unused_unsafe, reason = "functions without pointers are safe")] || unsafe { functions::$name($($p),*) })
            }
        };
    }

    macro_rules! wrap { ($(group $group:literal { $($class:ident $since:literal fn $name:ident($($p:ident: $t:ty),*);)* })*) => {
        $($(wrapper!($class $name($($p: $t),*));)*)*

        /// The table, in the order of the declarations.
        pub(crate) static EXPORTS: &[super::Export] = &[$($(super::Export {
            name: stringify!($name),
            since: $since,
            address: $name as *const c_void,
        },)*)*];
    } }
    gvirtus_wire::cuda_api!(wrap);
}

const fn c_name(text: &'static str) -> &'static CStr {
    match CStr::from_bytes_with_nul(text.as_bytes()) {
        Ok(name) => name,
        Err(_) => panic!("a function name ends in its only NUL"),
    }
}

/// Every driver function, sorted by name.
pub(crate) fn all() -> &'static [Export] {
    static SORTED: OnceLock<Vec<Export>> = OnceLock::new();
    SORTED.get_or_init(|| {
        let mut exports = wrappers::EXPORTS.to_vec();
        exports.sort_unstable_by_key(|e| e.name);
        exports
    })
}

/// The function of that exact exported name.
pub(crate) fn find(name: &str) -> Option<&'static Export> {
    let all = all();
    let at = all.binary_search_by_key(&name, |e| e.name).ok()?;
    all.get(at)
}

/// The address of a driver API function by its exported name (`cuMemAlloc_v2`), null if there is none. Connects to nothing.
///
/// # Safety
/// `name` is null or a NUL-terminated string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gvirtus_driver_proc(name: *const c_char) -> *mut c_void {
    std::panic::catch_unwind(|| {
        stats::start();
        if name.is_null() {
            return std::ptr::null_mut();
        }
        // SAFETY: not null, and a C string by this function's contract.
        let name = unsafe { CStr::from_ptr(name) };
        name.to_str()
            .ok()
            .and_then(find)
            .map_or(std::ptr::null_mut(), |e| e.address.cast_mut())
    })
    .unwrap_or(std::ptr::null_mut())
}

/// The hooks of that version for a frontend library, null if there are none of it. Connects to nothing.
#[unsafe(no_mangle)]
pub extern "C" fn gvirtus_frontend_table(version: u32) -> *const FrontendTable {
    struct Table(FrontendTable);
    // SAFETY: the table is never written, and what it points to is atomic.
    unsafe impl Sync for Table {}
    static TABLE: Table = Table(FrontendTable {
        version: FRONTEND_TABLE_VERSION,
        size: size_of::<FrontendTable>() as u32,
        enabled: stats::enabled_flags(),
        enter: stats::enter,
        leave: stats::leave,
        trace: trace::line,
        call: crate::library_call::library_call,
        submit: crate::library_call::submit,
    });

    if version != FRONTEND_TABLE_VERSION {
        return std::ptr::null();
    }
    if std::panic::catch_unwind(stats::start).is_err() {
        return std::ptr::null();
    }
    &TABLE.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found() {
        for export in wrappers::EXPORTS {
            let name = std::ffi::CString::new(export.name).unwrap();
            // SAFETY: a C string.
            let found = unsafe { gvirtus_driver_proc(name.as_ptr()) };
            assert_eq!(found.cast_const(), export.address, "{}", export.name);
        }
        // SAFETY: C strings and null.
        unsafe {
            assert!(gvirtus_driver_proc(c"cuNothing".as_ptr()).is_null());
            assert!(gvirtus_driver_proc(c"\xff".as_ptr()).is_null());
            assert!(gvirtus_driver_proc(std::ptr::null()).is_null());
        }
    }

    #[test]
    fn no_name_stands_twice() {
        assert!(all().windows(2).all(|pair| pair[0].name < pair[1].name));
    }

    #[test]
    fn tables_of_other_versions_do_not_exist() {
        assert!(gvirtus_frontend_table(FRONTEND_TABLE_VERSION + 1).is_null());
        assert!(!gvirtus_frontend_table(FRONTEND_TABLE_VERSION).is_null());
    }
}
