//! Private export tables.
//!
//! `cuGetExportTable` hands NVIDIA's own libraries tables of functions, by UUID. Nothing documents them; what is known of each (its size, which slots are called and what
//! they do) is data in [`tables`]. They are answered in the client: the runtime checks at its start that the tables it sees are those that the driver knows of ([`integrity`]).
//!
//! A slot of which nothing is known is a function that says so in the log, with UUID, slot and caller, and returns `CUDA_ERROR_NOT_SUPPORTED` ([`unknown`]).
//!
//! # Layout
//! * [`tables`] – the tables as data
//! * [`unknown`] – what fills the slots that are not known
//! * [`cudart_interface`], [`context_storage`], [`integrity`], [`tools`], [`topology`] – the functions behind known slots
#![allow(non_snake_case, reason = "CUDA's names")]

use std::ffi::c_void;

use gvirtus_wire::api::types::{CUresult, CUuuid, error};

use crate::driver::Result;

pub(crate) mod context_storage;
mod cudart_interface;
mod integrity;
mod tables;
mod tools;
mod topology;
mod unknown;

/// A table by UUID. `CUDA_ERROR_INVALID_VALUE`, which is what the driver says of a table that it does not have, and the UUID in the log, for any that is not known.
pub(crate) unsafe fn cuGetExportTable(table: *mut *const c_void, id: *const CUuuid) -> Result<()> {
    if table.is_null() || id.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    // SAFETY: not null, and the caller's by CUDA's contract.
    let id = unsafe { id.read_unaligned() };
    let known = tables::find(&id.bytes);
    let address = known.map_or(std::ptr::null(), |known| known.address());
    // SAFETY: not null.
    unsafe { table.write_unaligned(address) };
    match known {
        Some(known) => {
            log!(Debug, "cuGetExportTable: {}", known.name);
            Ok(())
        }
        None => {
            let hex = hex(&id.bytes);
            if crate::log::first_time(&hex) {
                log!(
                    Error,
                    "cuGetExportTable: the private table {hex} does not exist here; the library that asks for it may fail"
                );
            }
            Err(error::ERROR_INVALID_VALUE)
        }
    }
}

/// A UUID's bytes in their order.
fn hex(bytes: &[u8; 16]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Runs the body of a slot: no panic leaves it.
fn slot(name: &str, body: impl FnOnce() -> Result<()>) -> CUresult {
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
    let status = match result {
        Ok(Ok(())) => error::SUCCESS,
        Ok(Err(status)) => status,
        Err(_) => {
            log!(Error, "a bug in the private function {name}: it panicked");
            error::ERROR_UNKNOWN
        }
    };
    log!(Debug, "private function {name}: {status}");
    status
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(bytes: [u8; 16]) -> (Result<()>, *const c_void) {
        let mut table = std::ptr::without_provenance(1);
        // SAFETY: both point to something.
        let result = unsafe { cuGetExportTable(&raw mut table, &CUuuid { bytes }) };
        (result, table)
    }

    #[test]
    fn unknown_tables_are_refused() {
        let (result, table) = get([7; 16]);
        assert_eq!(result, Err(error::ERROR_INVALID_VALUE));
        assert!(table.is_null());
        // SAFETY: null is refused.
        let nowhere = unsafe { cuGetExportTable(std::ptr::null_mut(), &CUuuid { bytes: [7; 16] }) };
        assert_eq!(nowhere, Err(error::ERROR_INVALID_VALUE));
    }

    #[test]
    fn tables_are_where_they_say() {
        for known in tables::ALL {
            let (result, table) = get(*known.uuid);
            assert_eq!(result, Ok(()), "{}", known.name);
            // SAFETY: a table has at least one word.
            let first = unsafe { table.cast::<usize>().read() };
            if known.counted {
                assert_eq!(
                    first,
                    known.slots.len() * size_of::<usize>(),
                    "{}",
                    known.name
                );
            }
        }
    }

    #[test]
    fn unknown_slots_can_be_called() {
        let known = tables::ALL.iter().find(|t| t.name == "CUDART_INTERFACE");
        let slot = known.expect("the table is known").slots[3];
        // SAFETY: an unknown slot takes anything.
        let called = unsafe {
            std::mem::transmute::<*const c_void, unsafe extern "C" fn(usize) -> CUresult>(slot.0)(5)
        };
        assert_eq!(called, error::ERROR_NOT_SUPPORTED);
    }
}
