//! Direction vectors and scramble constants: tables of the box's library, asked for once and kept as long as the process.

use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::{LazyLock, Mutex, PoisonError};

use gvirtus_wire::api::library::Function;

use crate::Status;
use crate::compute::send;
use crate::status::{OUT_OF_RANGE, SUCCESS};

/// Tables by function and set; aligned for 64-bit numbers.
type Tables = HashMap<(u32, u64), &'static [u64]>;

static TABLES: LazyLock<Mutex<Tables>> = LazyLock::new(Mutex::default);

/// The sets of direction vectors that a function has.
fn sets(name: &str) -> Option<[u64; 2]> {
    match name {
        "curandGetDirectionVectors32" => Some([101, 102]),
        "curandGetDirectionVectors64" => Some([103, 104]),
        _ => None,
    }
}

/// Tells where a table of so many bytes lies.
///
/// # Safety
/// The first argument has room for an address.
pub(crate) unsafe fn get(function: &Function, arguments: &[u64], bytes: usize) -> Status {
    let out = arguments.first().copied().unwrap_or(0) as *mut c_void;
    let set = arguments.get(1).copied().unwrap_or(0);
    if out.is_null() || sets(function.name).is_some_and(|sets| !sets.contains(&set)) {
        return OUT_OF_RANGE;
    }
    let mut tables = TABLES.lock().unwrap_or_else(PoisonError::into_inner);
    let key = (function.id(), set);
    let table = match tables.get(&key) {
        Some(table) => table,
        None => {
            let mut table = vec![0u64; bytes.div_ceil(8)];
            let mut arguments = arguments.to_vec();
            if let Some(first) = arguments.first_mut() {
                *first = table.as_mut_ptr() as u64;
            }
            // SAFETY: the table has room for as many bytes as the declaration says.
            match unsafe { send(function, None, &arguments, true) } {
                SUCCESS => {}
                status => return status,
            }
            let table: &'static [u64] = table.leak();
            tables.insert(key, table);
            table
        }
    };
    // SAFETY: by this function's contract.
    unsafe { out.cast::<*const u64>().write_unaligned(table.as_ptr()) };
    SUCCESS
}
