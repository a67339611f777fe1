//! The private table that `nvidia-smi` asks for by a UUID, and takes for a sign of another version if it is not there. What its functions do is not documented; those that
//! `nvidia-smi` calls for what it shows by default have documented counterparts, so each of them says "not supported" and the field reads `N/A`.

use std::ffi::c_void;

use gvirtus_frontend_link::guard::unsupported;
use gvirtus_wire::api::nvml_call::{ERROR_INVALID_ARGUMENT, ERROR_NOT_SUPPORTED, SUCCESS};

use crate::Return;

/// The table's UUID.
const NVIDIA_SMI: [u8; 16] = [
    0xc4, 0xfe, 0x3e, 0x6c, 0xc9, 0x8f, 0x6c, 0x4e, 0xa3, 0x27, 0xee, 0x69, 0x6e, 0x12, 0xf7, 0xc4,
];
/// At least as many entries as any release has.
const ENTRIES: usize = 512;

static TABLE: [extern "C" fn() -> Return; ENTRIES] = [absent; ENTRIES];

extern "C" fn absent() -> Return {
    unsupported("a private function of NVML");
    ERROR_NOT_SUPPORTED
}

/// Hands out the table; `NVML_ERROR_INVALID_ARGUMENT` for any other.
#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlInternalGetExportTable(
    table: *mut *const c_void,
    uuid: *const [u8; 16],
) -> Return {
    if table.is_null() || uuid.is_null() {
        return ERROR_INVALID_ARGUMENT;
    }
    // SAFETY: not null, 16 bytes by the function's contract.
    let known = unsafe { uuid.read_unaligned() } == NVIDIA_SMI;
    let address = if known {
        (&raw const TABLE).cast()
    } else {
        std::ptr::null()
    };
    // SAFETY: not null, a pointer to a pointer by the function's contract.
    unsafe { table.write_unaligned(address) };
    if known {
        SUCCESS
    } else {
        ERROR_INVALID_ARGUMENT
    }
}
