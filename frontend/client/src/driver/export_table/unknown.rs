//! Slots of which nothing is known: functions that tell their table, their place and who called.
//!
//! A function learns who called it from the address to which it will return, which no language construct gives; so each is two or three instructions that load the
//! numbers and the address as arguments and go on to `report`.

use std::arch::naked_asm;
use std::ffi::{CStr, c_void};

use gvirtus_wire::api::types::{CUresult, error};

use super::tables;

/// As many slots as the largest table has.
const MOST: usize = 104;

/// What is called in place of slot `SLOT` of table `TABLE`. Takes anything.
#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
unsafe extern "C" fn called<const TABLE: usize, const SLOT: usize>() -> CUresult {
    naked_asm!(
        "mov edi, {table}",
        "mov esi, {slot}",
        "mov rdx, [rsp]",
        "jmp {report}",
        table = const TABLE,
        slot = const SLOT,
        report = sym report,
    )
}

/// What is called in place of slot `SLOT` of table `TABLE`. Takes anything.
#[cfg(target_arch = "aarch64")]
#[unsafe(naked)]
unsafe extern "C" fn called<const TABLE: usize, const SLOT: usize>() -> CUresult {
    naked_asm!(
        "mov x0, #{table}",
        "mov x1, #{slot}",
        "mov x2, x30",
        "b {report}",
        table = const TABLE,
        slot = const SLOT,
        report = sym report,
    )
}

/// The file that the caller's code came from.
fn caller_file(caller: *const c_void) -> String {
    let mut info = std::mem::MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: `dladdr` takes any address and writes the structure.
    let found = unsafe { libc::dladdr(caller, info.as_mut_ptr()) };
    // SAFETY: zeroed, so initialized whatever `dladdr` did.
    let info = unsafe { info.assume_init() };
    if found == 0 || info.dli_fname.is_null() {
        return "unknown code".to_owned();
    }
    // SAFETY: a C string of the loader's.
    let name = unsafe { CStr::from_ptr(info.dli_fname) };
    name.to_string_lossy().into_owned()
}

unsafe extern "C" fn report(table: usize, slot: usize, caller: *const c_void) -> CUresult {
    let _ = std::panic::catch_unwind(|| {
        let Some(known) = tables::ALL.get(table) else {
            return;
        };
        let what = format!("{}[{slot}]", known.name);
        if crate::log::first_time(&what) {
            log!(
                Error,
                "{} calls slot {slot} of the private table {} ({}), of which nothing is known; it gets CUDA_ERROR_NOT_SUPPORTED",
                caller_file(caller),
                super::hex(known.uuid),
                known.name
            );
        }
    });
    error::ERROR_NOT_SUPPORTED
}

macro_rules! each {
    ($table:ident: $($slot:literal)*) => {
        [$(called::<$table, $slot> as *const c_void),*]
    };
}

/// A function for each slot of a table.
#[rustfmt::skip]
pub(super) const fn slots<const TABLE: usize>() -> [*const c_void; MOST] {
    each!(TABLE:
        0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51
        52 53 54 55 56 57 58 59 60 61 62 63 64 65 66 67 68 69 70 71 72 73 74 75 76 77 78 79 80 81 82 83 84 85 86 87 88 89 90 91 92 93 94 95 96 97 98 99
        100 101 102 103
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_have_files() {
        let here = callers_have_files as *const c_void;
        assert!(
            caller_file(here).contains("gvirtus"),
            "{}",
            caller_file(here)
        );
        assert_eq!(caller_file(std::ptr::null()), "unknown code");
    }
}
