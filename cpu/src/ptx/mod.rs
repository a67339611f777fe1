//! The engine of the CPU device: compiles PTX to a compact form and runs it warp by warp.
//!
//! The way of a kernel: [`lexer`] → [`parser`] ([`ast`]) → [`lower`] ([`code`], [`mod@cfg`]) → [`module`] → [`exec`] with the arithmetic of [`alu`]; what runs often becomes machine code ([`jit`]).

// Loops over lanes index several registers at once, and instructions have many operands.
#![allow(
    clippy::needless_range_loop,
    clippy::too_many_arguments,
    reason = "loops are over lanes, of which several arrays have one each"
)]

mod alu;
mod ast;
mod cfg;
mod code;
mod exec;
mod jit;
mod lexer;
pub(crate) mod link;
mod lower;
mod matrix;
mod module;
mod parse_body;
mod parser;
mod source_lines;
mod types;

pub(crate) use module::compile;

/// Whether the parser understands a text.
pub(crate) fn parses(source: &str) -> bool {
    parser::parse(source).is_ok()
}
