//! cuBLAS on the CPU device: levels 1 to 3 in all four types, `GemmEx`, batched and strided products, LU factorisation, so that programs run where there is no GPU.
//!
//! A call checks that its operands are device memory, and goes to the stream as a host function: the CPU device runs it in stream order. Every integer arrives as a
//! 64-bit word, so one function serves both widths.
//!
//! # Layout
//! * this file: the functions by name. `device`: handles, operands, the way to the stream. `scalar`: the four types.
//! * `vector` (level 1), `storage` and `matrix_vector` (level 2), `product` (level 3), `batched`, `mixed` (`GemmEx`), `solve` (LU), `lt` (cuBLASLt).

mod batched;
mod device;
mod lt;
mod matrix_vector;
mod mixed;
mod product;
mod scalar;
mod solve;
mod storage;
mod vector;

use std::collections::HashMap;
use std::ffi::{CStr, c_void};
use std::sync::OnceLock;

use gvirtus_plugin_library::host::Host;

pub(super) const SUCCESS: i32 = 0;
pub(super) const INVALID_VALUE: i32 = 7;
pub(super) const EXECUTION_FAILED: i32 = 13;
pub(super) const NOT_SUPPORTED: i32 = 15;

/// Functions by name.
#[derive(Default)]
pub(super) struct Table(HashMap<String, usize>);

impl Table {
    /// A function under `name` and `name_64`.
    pub(super) fn add(&mut self, name: &str, function: *const c_void) {
        self.0.insert(format!("{name}_64"), function as usize);
        self.0.insert(name.to_owned(), function as usize);
    }

    /// A function under one name.
    pub(super) fn add_only(&mut self, name: &str, function: *const c_void) {
        self.0.insert(name.to_owned(), function as usize);
    }
}

/// The address of a function, if it is provided.
pub(super) fn address(host: &'static Host, name: &CStr) -> Option<*const c_void> {
    static TABLE: OnceLock<Table> = OnceLock::new();
    let table = TABLE.get_or_init(|| {
        gvirtus_plugin_library::cpu::start(host);
        let mut table = Table::default();
        device::register(&mut table);
        vector::register(&mut table);
        matrix_vector::register(&mut table);
        product::register(&mut table);
        batched::register(&mut table);
        mixed::register(&mut table);
        solve::register(&mut table);
        lt::register(&mut table);
        table
    });
    let address = *table.0.get(name.to_str().ok()?)?;
    Some(address as *const c_void)
}
