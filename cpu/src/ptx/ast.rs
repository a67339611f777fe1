//! What the parser makes of PTX text: names of registers are resolved, opcodes are still text.

use super::types::{Space, Ty};
use crate::engine::Reference;

/// A whole module.
#[derive(Debug, Default)]
pub(crate) struct Module<'a> {
    /// `.version` times ten.
    pub(crate) version: u32,
    /// The number in `.target sm_NN`.
    pub(crate) target: u32,
    pub(crate) variables: Vec<Variable<'a>>,
    pub(crate) functions: Vec<Function<'a>>,
}

/// A variable of any space, at module or function scope.
#[derive(Debug, Clone)]
pub(crate) struct Variable<'a> {
    pub(crate) name: &'a str,
    pub(crate) space: Space,
    pub(crate) ty: Ty,
    pub(crate) align: u32,
    /// Bytes; 0 for `extern` arrays without a size.
    pub(crate) size: u64,
    pub(crate) external: bool,
    /// Whether an array without a size was declared.
    pub(crate) unsized_array: bool,
    /// `.attribute(.managed)`.
    pub(crate) managed: bool,
    /// `.texref` and the like.
    pub(crate) reference: Option<Reference>,
    pub(crate) init: Vec<Init<'a>>,
    pub(crate) line: u32,
}

/// One element of an initialiser.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Init<'a> {
    /// Plain bits, to be cut to the size of an element.
    Bits(u64),
    /// A single-precision literal.
    F32(u32),
    /// A double-precision literal.
    F64(u64),
    /// The address of a symbol plus an offset, shifted right by `shift` bits and cut (`mask(symbol)`).
    Address {
        symbol: &'a str,
        offset: i64,
        shift: u32,
    },
}

/// A formal parameter or return value.
#[derive(Debug, Clone)]
pub(crate) struct Param<'a> {
    pub(crate) name: &'a str,
    pub(crate) size: u32,
    pub(crate) align: u32,
}

/// A function or kernel.
#[derive(Debug)]
pub(crate) struct Function<'a> {
    pub(crate) name: &'a str,
    pub(crate) entry: bool,
    pub(crate) params: Vec<Param<'a>>,
    pub(crate) returns: Vec<Param<'a>>,
    pub(crate) max_threads: Option<u32>,
    pub(crate) required: Option<[u32; 3]>,
    /// `.reqnctapercluster`.
    pub(crate) cluster: Option<[u32; 3]>,
    pub(crate) body: Option<Body<'a>>,
    pub(crate) line: u32,
}

/// A function's body, flattened: scopes are resolved.
#[derive(Debug, Default)]
pub(crate) struct Body<'a> {
    /// Type of each register that is used.
    pub(crate) registers: Vec<Ty>,
    /// Variables declared in the body (`.local`, `.shared`, `.param`).
    pub(crate) variables: Vec<Variable<'a>>,
    pub(crate) statements: Vec<Statement<'a>>,
    /// Names of labels, by index.
    pub(crate) labels: u32,
    /// Tables of `brx.idx`, by index.
    pub(crate) tables: Vec<Vec<u32>>,
}

/// One statement.
#[derive(Debug)]
pub(crate) enum Statement<'a> {
    Label(u32),
    Instruction(Instruction<'a>),
}

/// One instruction.
#[derive(Debug)]
pub(crate) struct Instruction<'a> {
    pub(crate) line: u32,
    /// Guard predicate: register and whether it is negated.
    pub(crate) guard: Option<(u32, bool)>,
    /// Opcode with all its qualifiers.
    pub(crate) op: &'a str,
    pub(crate) operands: Vec<Operand<'a>>,
}

/// One operand.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Operand<'a> {
    /// A register of the function.
    Reg(u32),
    /// A byte (0 to 3) or half (4, 5) of a register: `%r1.b0`, `%r1.h1`.
    Piece(u32, u8),
    /// A variable declared in the function, plus an offset.
    Local(u32, i64),
    /// A symbol of the module, a parameter, or a special register, plus an offset.
    Name(&'a str, i64),
    Int(u64),
    F32(u32),
    F64(u64),
    /// `[base + offset]`.
    Address(Box<Operand<'a>>, i64),
    /// `[image, {x, y, …}]`.
    Image(Box<Operand<'a>>, Vec<Operand<'a>>),
    /// `{a, b, …}` or `(a, b, …)`.
    Vector(Vec<Operand<'a>>),
    /// `d|p`.
    Pair(Box<Operand<'a>>, Box<Operand<'a>>),
    /// `!p`.
    Not(Box<Operand<'a>>),
    /// `-r` (video instructions and others).
    Label(u32),
    /// A table of `brx.idx`.
    Table(u32),
    /// `_`.
    Sink,
}
