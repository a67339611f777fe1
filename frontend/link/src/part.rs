//! Libraries that are parts of another one (`libcudnn_ops.so.9` of `libcudnn.so.9`): each of their functions is a jump to the function of that name in the whole, which has the state.

use std::ffi::{CStr, CString, c_void};
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicPtr, Ordering};

use crate::session::beside_us;

/// Where a function's jump leads to.
pub type Slot = AtomicPtr<c_void>;

/// Points the slots to the functions of a library that lies beside this one; those that are not there to `missing`.
pub fn resolve(whole: &str, names: &[&CStr], slots: &[Slot], missing: *mut c_void) {
    let handle = beside_us(whole)
        .iter()
        .filter_map(|file| CString::new(file.as_os_str().as_bytes()).ok())
        // SAFETY: the path is NUL-terminated; the library is ours.
        .map(|file| unsafe { libc::dlopen(file.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) })
        .find(|handle| !handle.is_null());
    if handle.is_none() {
        eprintln!("GVirtuS: {whole} does not lie beside its parts: nothing works");
    }
    for (name, slot) in names.iter().zip(slots) {
        let found = handle.map_or(std::ptr::null_mut(), |handle| {
            // SAFETY: the handle is that of an open library, the name NUL-terminated.
            unsafe { libc::dlsym(handle, name.as_ptr()) }
        });
        let to = if found.is_null() { missing } else { found };
        slot.store(to, Ordering::Release);
    }
}

/// Exports functions that jump to those of a whole: `part! { "libcudnn.so.9" 4 1008; 0 cudnnCreate c"cudnnCreate" … }`: how many, what they return if the whole is not
/// there, and each with its place.
#[macro_export]
macro_rules! part {
    ($whole:literal $count:literal $missing:literal; $($at:literal $name:ident $text:literal)*) => {
        static NAMES: [&::std::ffi::CStr; $count] = [$($text),*];
        static SLOTS: [$crate::part::Slot; $count] =
            [const { $crate::part::Slot::new(::std::ptr::null_mut()) }; $count];

        extern "C" fn missing() -> i32 {
            $missing
        }

        extern "C" fn resolve() {
            $crate::part::resolve($whole, &NAMES, &SLOTS, missing as *mut ::std::ffi::c_void);
        }
        #[used]
        #[unsafe(link_section = ".init_array")]
        static RESOLVE: extern "C" fn() = resolve;

        $($crate::part_jump! { $at $name })*
    };
}

/// One jump: no register that a parameter or the caller may be in is touched.
#[doc(hidden)]
#[macro_export]
macro_rules! part_jump {
    ($at:literal $name:ident) => {
        #[cfg(target_arch = "x86_64")]
        #[unsafe(no_mangle)]
        #[unsafe(naked)]
        extern "C" fn $name() {
            ::std::arch::naked_asm!(
                "jmp qword ptr [rip + {slots} + {at}]",
                slots = sym SLOTS,
                at = const 8 * $at,
            )
        }

        #[cfg(target_arch = "aarch64")]
        #[unsafe(no_mangle)]
        #[unsafe(naked)]
        extern "C" fn $name() {
            ::std::arch::naked_asm!(
                "adrp x16, {slots}",
                "add x16, x16, :lo12:{slots}",
                "ldr x16, [x16, #{at}]",
                "br x16",
                slots = sym SLOTS,
                at = const 8 * $at,
            )
        }
    };
}
