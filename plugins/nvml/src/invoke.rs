//! A typed call for every function that is forwarded.

use std::ffi::c_void;

use gvirtus_wire::api::nvml_call::Function;

/// Calls the function at an address with these arguments, each a value or an address.
///
/// # Safety
/// The address is that of the function, and the arguments are what it takes.
type Invoke = unsafe fn(*const c_void, &[u64]) -> i32;

macro_rules! invoker {
    (sync ($($t:ty),*)) => {{
        unsafe fn invoke(address: *const c_void, arguments: &[u64]) -> i32 {
            let mut arguments = arguments.iter().copied();
            // SAFETY: the address is that of a function with the declaration's parameters, by the contract of `Invoke`.
            unsafe {
                let function: unsafe extern "C" fn($($t),*) -> i32 = std::mem::transmute(address);
                function($(arguments.next().unwrap_or_default() as $t),*)
            }
        }
        Some(invoke as Invoke)
    }};
    ($other:ident ($($t:ty),*)) => { None };
}

macro_rules! invokers {
    ($(group $group:literal { $($class:ident fn $name:ident($($p:ident: $mode:ident $(($($argument:literal)+))?),*);)* })*) => {
        /// In the order of the declarations.
        static INVOKERS: &[(&str, Option<Invoke>)] = &[$($((
            stringify!($name),
            invoker!($class ($(gvirtus_wire::nvml_type!($mode)),*)),
        ),)*)*];
    };
}
gvirtus_wire::nvml_api!(invokers);

/// Calls a function. `None` if its class is not to be forwarded.
///
/// # Safety
/// `address` is that of the function in the vendor's library (or has its parameters), and the arguments are what it takes: values, and addresses of live buffers at
/// least as long as the declaration says.
pub(crate) unsafe fn invoke(
    function: &Function,
    address: *const c_void,
    arguments: &[u64],
) -> Option<i32> {
    let (_, invoke) = INVOKERS.iter().find(|(name, _)| *name == function.name)?;
    // SAFETY: by this function's contract.
    invoke.map(|invoke| unsafe { invoke(address, arguments) })
}
