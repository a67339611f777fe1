//! The per-instruction corpus of PTX: what a GPU answers for each form of each instruction, and whether the CPU device answers the same.
//!
//! * [`table`] reads `forms/*.forms`: which instructions, with which types and kinds of operands.
//! * [`operands`] makes the operands of a form: edge values of its types first, then pseudorandom ones.
//! * [`kernel`] puts the forms into PTX modules.
//! * [`device`] runs them through the driver API.
//! * [`record`] is the file of results: hashes of all, and enough values to see where a difference lies.

pub mod device;
pub mod kernel;
pub mod operands;
pub mod record;
pub mod table;

/// Operand tuples, and so threads, per form.
pub const TUPLES: usize = 1024;

/// The tables that are compiled in: name and text.
pub const TABLES: &[(&str, &str)] = &[
    ("integers", include_str!("../forms/integers.forms")),
    ("floats", include_str!("../forms/floats.forms")),
    ("halves", include_str!("../forms/halves.forms")),
    ("convert", include_str!("../forms/convert.forms")),
    ("select", include_str!("../forms/select.forms")),
    ("video", include_str!("../forms/video.forms")),
    ("memory", include_str!("../forms/memory.forms")),
    ("warp", include_str!("../forms/warp.forms")),
    ("matrix", include_str!("../forms/matrix.forms")),
];

/// All forms of all tables, in order.
///
/// # Errors
/// The table and line that could not be read.
pub fn forms() -> Result<Vec<table::Form>, String> {
    let mut all = Vec::new();
    for (name, text) in TABLES {
        all.extend(table::parse(text).map_err(|e| format!("{name}: {e}"))?);
    }
    Ok(all)
}
