//! Private export tables: <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__COREDUMP.html> has the entry, nothing has the tables.
#![allow(non_snake_case, reason = "CUDA's names")]

use std::ffi::c_void;

use gvirtus_wire::api::types::{CUuuid, error};

use crate::driver::Result;

/// `CUDA_ERROR_INVALID_VALUE` for every table, which is what the driver says of one that it does not have, and the table's UUID in the log: a library that needs one must not fail silently.
pub(crate) unsafe fn cuGetExportTable(table: *mut *const c_void, id: *const CUuuid) -> Result<()> {
    if table.is_null() || id.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    // SAFETY: not null, and the caller's by CUDA's contract.
    let id = unsafe { id.read_unaligned() };
    // SAFETY: not null.
    unsafe { table.write_unaligned(std::ptr::null()) };
    let hex: String = id.bytes.iter().map(|b| format!("{b:02x}")).collect();
    if crate::log::first_time(&hex) {
        log!(
            Error,
            "cuGetExportTable: the private table {hex} does not exist here; the library that asks for it may fail"
        );
    }
    Err(error::ERROR_INVALID_VALUE)
}
