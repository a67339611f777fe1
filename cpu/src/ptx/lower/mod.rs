//! Turns parsed PTX into executable form. What is not understood is an error here, never a wrong result later.

mod arith;
mod control;
mod floats;
mod matrix;
mod mbarrier;
mod memory;
mod quals;
mod select;
mod setup;
mod texture;
mod video;
mod warp;

use std::collections::HashMap;

use super::alu::logic;
use super::ast::{Body, Function, Instruction, Operand, Statement};
use super::cfg;
use super::code::{
    Alu, CONST, FUNCTION_STRIDE, FUNCTION_WINDOW, Ins, Loc, NONE, Op, Program, Relocation, special,
};
use super::lexer::error_at;
use super::types::{Ty, Width};
use crate::engine::{CompileError, Reference};
use quals::Quals;
pub(crate) use setup::{Lowered, Target, lower_module};

/// Bits of [`Ins::flags`] of barriers and votes.
pub(crate) mod flags {
    pub(crate) use super::warp::{ARRIVE, NEGATED, RED_AND, RED_OR, RED_POPC};
}

/// Result of a step; the line is added by the caller.
pub(crate) type Step<T> = Result<T, String>;

/// What a name of the module stands for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Symbol {
    /// A variable in memory: index into `CompiledModule::variables`.
    Variable(u32),
    /// Offset in static shared memory and end.
    Shared(u32, u32),
    /// Starts where static shared memory ends.
    DynamicShared,
    Function(u32),
}

/// State for one module.
pub(crate) struct Lowering<'a> {
    pub(crate) program: Program,
    pub(crate) symbols: HashMap<&'a str, Symbol>,
    /// Bytes used in the constant pool.
    constant_bytes: u32,
    constants: HashMap<(u64, Width), Loc>,
    addresses: HashMap<(u32, i64, Width), Loc>,
    /// Variables that are texture or surface references.
    references: HashMap<&'a str, Reference>,
}

/// State for one function.
pub(crate) struct Emit<'m, 'a> {
    pub(crate) module: &'m mut Lowering<'a>,
    pub(crate) function: &'m Function<'a>,
    pub(crate) body: &'m Body<'a>,
    /// Index of the function.
    pub(crate) index: u32,
    pub(crate) code: Vec<Ins>,
    registers: Vec<Loc>,
    /// Whether a register is written by one instruction only, without a guard.
    single: Vec<bool>,
    /// Whether an instruction so far uses the register.
    touched: Vec<bool>,
    /// Offset of each variable of the body in its space.
    pub(crate) places: Vec<u32>,
    frame_bytes: u32,
    pub(crate) local_bytes: u32,
    /// Position of each label (an index into `code`), the last one being the epilogue.
    pub(crate) labels: Vec<u32>,
    /// The carry flag, if used.
    carry: Option<Loc>,
    guard: u32,
    line: u32,
    temporaries: HashMap<(Width, u32), Loc>,
    /// Number of temporaries that hold addresses in the current instruction.
    addresses: u32,
}

/// Does nothing: for instructions that are not arithmetic.
pub(crate) fn nothing() -> Alu {
    logic::mov_16()
}

impl<'a> Lowering<'a> {
    fn pool(&mut self, width: Width) -> u32 {
        let bytes = width.register_bytes();
        let align = if width == Width::Pred { 4 } else { 64 };
        let at = self.constant_bytes.next_multiple_of(align);
        self.constant_bytes = at + bytes;
        self.program
            .constants
            .resize((self.constant_bytes as usize).div_ceil(16), 0);
        at
    }

    /// A constant, spread over all lanes.
    pub(crate) fn constant(&mut self, bits: u64, width: Width) -> Loc {
        if let Some(&loc) = self.constants.get(&(bits, width)) {
            return loc;
        }
        let at = self.pool(width);
        write_constant(&mut self.program.constants, at, width, bits);
        self.constants.insert((bits, width), CONST | at);
        CONST | at
    }

    /// The address of a variable, known when the module is instantiated.
    fn address(&mut self, variable: u32, addend: i64, width: Width) -> Loc {
        if let Some(&loc) = self.addresses.get(&(variable, addend, width)) {
            return loc;
        }
        let at = self.pool(width);
        self.program.relocations.push(Relocation {
            at,
            width,
            variable,
            addend,
        });
        self.addresses.insert((variable, addend, width), CONST | at);
        CONST | at
    }
}

/// Writes `bits` into all lanes of the constant at byte `at`.
pub(crate) fn write_constant(pool: &mut [u128], at: u32, width: Width, bits: u64) {
    let lane = width.lane_bytes().max(1) as usize;
    let count = if width == Width::Pred { 1 } else { 32 };
    let size = if width == Width::Pred { 4 } else { lane };
    let bits = if width == Width::Pred {
        if bits != 0 { u64::from(u32::MAX) } else { 0 }
    } else {
        bits
    };
    let bytes = u128::from(bits).to_le_bytes();
    for index in 0..count {
        for (k, &value) in bytes[..size].iter().enumerate() {
            let byte = at as usize + index * size + k;
            let (word, shift) = (byte / 16, byte % 16 * 8);
            pool[word] = (pool[word] & !(0xff << shift)) | u128::from(value) << shift;
        }
    }
}

impl<'a> Emit<'_, 'a> {
    /// Room for a register.
    fn new_register(&mut self, width: Width) -> Loc {
        let align = if width == Width::Pred { 4 } else { 64 };
        let at = self.frame_bytes.next_multiple_of(align);
        self.frame_bytes = at + width.register_bytes();
        let function = &mut self.module.program.functions[self.index as usize];
        function.registers.push((at, width));
        at
    }

    /// A register for intermediate results, reused by all instructions; `number` keeps apart those of one instruction.
    pub(crate) fn temporary(&mut self, width: Width, number: u32) -> Loc {
        if let Some(&loc) = self.temporaries.get(&(width, number)) {
            return loc;
        }
        let loc = self.new_register(width);
        self.temporaries.insert((width, number), loc);
        loc
    }

    pub(crate) fn carry_flag(&mut self) -> Loc {
        match self.carry {
            Some(loc) => loc,
            None => {
                let loc = self.new_register(Width::Pred);
                self.carry = Some(loc);
                loc
            }
        }
    }

    /// An instruction under the current guard.
    pub(crate) fn blank(&self, op: Op) -> Ins {
        Ins {
            op,
            flags: 0,
            sub: 0,
            guard: self.guard,
            d: NONE,
            a: NONE,
            b: NONE,
            c: NONE,
            e: NONE,
            line: self.line,
            imm: 0,
            alu: nothing(),
        }
    }

    pub(crate) fn push(&mut self, ins: Ins) {
        self.code.push(ins);
    }

    /// `d = alu(a, b, c)`.
    pub(crate) fn alu(&mut self, alu: Alu, d: Loc, sources: &[Loc]) -> &mut Ins {
        let mut ins = self.blank(Op::Alu);
        ins.alu = alu;
        ins.d = d;
        for (slot, &loc) in [&mut ins.a, &mut ins.b, &mut ins.c, &mut ins.e]
            .into_iter()
            .zip(sources)
        {
            *slot = loc;
        }
        self.code.push(ins);
        self.code.last_mut().expect("just pushed")
    }

    /// Type of a register operand.
    pub(crate) fn register_type(&self, operand: &Operand<'a>) -> Option<Ty> {
        match operand {
            Operand::Reg(id) => Some(self.body.registers[*id as usize]),
            _ => None,
        }
    }

    /// Lets a register stand for a place that never changes, instead of copying: whether that was possible. The place must have the register's size.
    pub(crate) fn alias(&mut self, operand: &Operand<'a>, place: Loc, width: Width) -> bool {
        if !self.may_alias(operand, width) || place == NONE || place >> 30 == 0 {
            return false;
        }
        if let Operand::Reg(id) = operand {
            self.registers[*id as usize] = place;
        }
        true
    }

    /// Whether a register is written here only, and not used before.
    pub(crate) fn may_alias(&self, operand: &Operand<'a>, width: Width) -> bool {
        matches!(operand, Operand::Reg(id) if {
            let id = *id as usize;
            self.guard == NONE
                && self.single[id]
                && !self.touched[id]
                && width != Width::Pred
                && self.body.registers[id].width() == width
        })
    }

    /// A register that is written, and how it is kept.
    pub(crate) fn dest_any(&mut self, operand: &Operand<'a>) -> Step<(Loc, Width)> {
        if let Operand::Reg(id) = operand {
            self.touched[*id as usize] = true;
        }
        match operand {
            Operand::Reg(id) => Ok((
                self.registers[*id as usize],
                self.body.registers[*id as usize].width(),
            )),
            _ => Err("the destination is not a register".into()),
        }
    }

    /// A register of `width` that is written; `_` is allowed.
    pub(crate) fn dest(&mut self, operand: &Operand<'a>, width: Width) -> Step<Loc> {
        if matches!(operand, Operand::Sink) {
            return Ok(self.temporary(width, 90));
        }
        let (loc, found) = self.dest_any(operand)?;
        if found == width {
            Ok(loc)
        } else {
            Err(format!(
                "the destination has not the size of the type ({found:?} instead of {width:?})"
            ))
        }
    }

    /// A source operand of type `ty`.
    pub(crate) fn source(&mut self, operand: &Operand<'a>, ty: Ty) -> Step<Loc> {
        let (loc, width) = self.source_any(operand, ty)?;
        if width == ty.width() {
            Ok(loc)
        } else {
            Err(format!(
                "an operand has not the size of the type ({width:?} instead of {:?})",
                ty.width()
            ))
        }
    }

    /// A source operand: registers in their own size, all else in that of `ty`.
    pub(crate) fn source_any(&mut self, operand: &Operand<'a>, ty: Ty) -> Step<(Loc, Width)> {
        let width = ty.width();
        if let Operand::Reg(id) = operand {
            self.touched[*id as usize] = true;
        }
        match operand {
            Operand::Reg(id) => Ok((
                self.registers[*id as usize],
                self.body.registers[*id as usize].width(),
            )),
            Operand::Int(value) => {
                let bits = match ty {
                    Ty::F32 => u64::from((*value as i64 as f32).to_bits()),
                    Ty::F64 => (*value as i64 as f64).to_bits(),
                    _ => *value,
                };
                Ok((self.module.constant(cut(bits, width), width), width))
            }
            Operand::F32(bits) => match ty {
                Ty::F32 | Ty::B32 | Ty::U32 | Ty::Tf32 => {
                    Ok((self.module.constant(u64::from(*bits), width), width))
                }
                Ty::F64 => Ok((
                    self.module
                        .constant(f64::from(f32::from_bits(*bits)).to_bits(), width),
                    width,
                )),
                _ => Err("a single-precision constant does not fit the type".into()),
            },
            Operand::F64(bits) => match ty {
                Ty::F64 | Ty::B64 | Ty::U64 => Ok((self.module.constant(*bits, width), width)),
                Ty::F32 => Ok((
                    self.module
                        .constant(u64::from((f64::from_bits(*bits) as f32).to_bits()), width),
                    width,
                )),
                _ => Err("a double-precision constant does not fit the type".into()),
            },
            Operand::Local(..) | Operand::Name(..) => self.address_operand(operand, width),
            Operand::Not(_) => Err("a negated predicate cannot stand here".into()),
            _ => Err("this form of operand is not supported here".into()),
        }
    }

    /// The address that a name stands for, or the value of a special register.
    fn address_operand(&mut self, operand: &Operand<'a>, width: Width) -> Step<(Loc, Width)> {
        use super::types::Space;
        let (name, offset) = match operand {
            Operand::Local(id, offset) => {
                let variable = &self.body.variables[*id as usize];
                let at = i64::from(self.places[*id as usize]) + offset;
                return match variable.space {
                    Space::Shared => {
                        Ok((self.module.constant(cut(at as u64, width), width), width))
                    }
                    _ => self.local_address(at, width),
                };
            }
            Operand::Name(name, offset) => (*name, *offset),
            _ => return Err("not an address".into()),
        };
        if let Some(loc) = special_register(name) {
            self.module.program.clusters |= name.contains("cluster");
            self.module.program.reserved_shared |= name.starts_with("%reserved_smem");
            return Ok(loc);
        }
        if let Some((at, entry)) = self.parameter(name) {
            return if entry {
                Ok((
                    self.module
                        .constant(cut((i64::from(at) + offset) as u64, width), width),
                    width,
                ))
            } else {
                self.local_address(i64::from(at) + offset, width)
            };
        }
        if name.starts_with('%') {
            return Err(format!(
                "the register `{name}` is not known or not supported"
            ));
        }
        match self.module.symbols.get(name).copied() {
            Some(Symbol::Variable(variable)) => {
                Ok((self.module.address(variable, offset, width), width))
            }
            Some(Symbol::Shared(at, end)) => {
                let code = &mut self.module.program.functions[self.index as usize];
                code.shared_end = code.shared_end.max(end);
                Ok((
                    self.module
                        .constant(cut((i64::from(at) + offset) as u64, width), width),
                    width,
                ))
            }
            Some(Symbol::DynamicShared) => {
                self.module.program.functions[self.index as usize].uses_dynamic_shared = true;
                let (base, wide) = if width == Width::W64 {
                    (special::DYNAMIC_BASE_64, true)
                } else {
                    (special::DYNAMIC_BASE, false)
                };
                if offset == 0 {
                    return Ok((base, width));
                }
                let constant = self.module.constant(cut(offset as u64, width), width);
                let d = self.temporary(width, 91);
                self.alu(
                    if wide {
                        super::alu::int::add_64()
                    } else {
                        super::alu::int::add_32()
                    },
                    d,
                    &[base, constant],
                );
                Ok((d, width))
            }
            Some(Symbol::Function(index)) => Ok((
                self.module.constant(
                    cut(FUNCTION_WINDOW + u64::from(index) * FUNCTION_STRIDE, width),
                    width,
                ),
                width,
            )),
            None => Err(format!("`{name}` is not defined")),
        }
    }

    /// An address in the frame's local memory, in a temporary register.
    fn local_address(&mut self, at: i64, width: Width) -> Step<(Loc, Width)> {
        if !matches!(width, Width::W32 | Width::W64) {
            return Err("an address needs 32 or 64 bits".into());
        }
        self.addresses += 1;
        let d = self.temporary(width, 100 + self.addresses);
        let mut ins = self.blank(Op::LocalAddress);
        ins.d = d;
        ins.imm = at as u64;
        ins.b = u32::from(width == Width::W32);
        self.push(ins);
        Ok((d, width))
    }

    /// Place of a formal parameter or return value, and whether it belongs to a kernel.
    pub(crate) fn parameter(&self, name: &str) -> Option<(u32, bool)> {
        let code = &self.module.program.functions[self.index as usize];
        if let Some(k) = self.function.params.iter().position(|p| p.name == name) {
            return Some((code.params[k].0, self.function.entry));
        }
        let k = self.function.returns.iter().position(|p| p.name == name)?;
        Some((code.returns[k].0, false))
    }

    /// A predicate, and whether it is negated.
    pub(crate) fn predicate(&mut self, operand: &Operand<'a>) -> Step<(Loc, bool)> {
        match operand {
            Operand::Not(inner) => {
                let (loc, negated) = self.predicate(inner)?;
                Ok((loc, !negated))
            }
            _ => Ok((self.source(operand, Ty::Pred)?, false)),
        }
    }

    /// Lowers one statement after the other, then links the labels.
    fn statements(&mut self, source: &str) -> Result<(), CompileError> {
        let body = self.body;
        for statement in &body.statements {
            match statement {
                Statement::Label(id) => {
                    self.guard = NONE;
                    self.labels[*id as usize] = self.code.len() as u32;
                    let meet = self.blank(Op::Meet);
                    self.push(meet);
                }
                Statement::Instruction(instruction) => {
                    self.line = instruction.line;
                    self.guard = NONE;
                    self.instruction(instruction)
                        .map_err(|message| error_at(source, instruction.line, message))?;
                }
            }
        }
        self.guard = NONE;
        // The end of a body is a return.
        let epilogue = self.body.labels as usize;
        self.labels[epilogue] = self.code.len() as u32;
        let meet = self.blank(Op::Meet);
        self.push(meet);
        let end = self.blank(if self.function.entry {
            Op::Exit
        } else {
            Op::Ret
        });
        self.push(end);
        let labels = std::mem::take(&mut self.labels);
        cfg::link(
            &mut self.code,
            &labels,
            &mut self.module.program.tables,
            &self.body.tables,
        )
        .map_err(|message| error_at(source, self.function.line, message))
    }

    fn instruction(&mut self, ins: &Instruction<'a>) -> Step<()> {
        self.addresses = 0;
        if let Some((register, negated)) = ins.guard {
            if self.body.registers[register as usize] != Ty::Pred {
                return Err("the guard is not a predicate".into());
            }
            self.guard = self.registers[register as usize] << 1 | u32::from(negated);
        }
        let mut q = Quals::new(ins.op);
        let operands = &ins.operands[..];
        let known = self.control(&mut q, operands)?
            || self.mbarriers(&mut q, operands)?
            || self.memory(&mut q, operands)?
            || self.images(&mut q, operands)?
            || self.matrices(&mut q, operands)?
            || self.warp(&mut q, operands)?
            || self.videos(&mut q, operands)?
            || self.integers(&mut q, operands)?
            || self.floats(&mut q, operands)?;
        if !known {
            return Err(format!("the instruction `{}` is not supported", ins.op));
        }
        q.finish()
    }
}

/// Which registers one instruction without a guard writes, and no other. Where the destination of an instruction stands is the same for all: first.
pub(crate) fn written_once(body: &Body<'_>) -> Vec<bool> {
    fn count(operand: &Operand<'_>, by: u8, writes: &mut [u8]) {
        match operand {
            Operand::Reg(id) | Operand::Piece(id, _) => {
                let n = &mut writes[*id as usize];
                *n = n.saturating_add(by);
            }
            Operand::Vector(items) => items.iter().for_each(|item| count(item, by, writes)),
            Operand::Pair(a, b) => {
                count(a, by, writes);
                count(b, by, writes);
            }
            _ => {}
        }
    }
    let mut writes = vec![0u8; body.registers.len()];
    for statement in &body.statements {
        if let Statement::Instruction(ins) = statement
            && let Some(first) = ins.operands.first()
        {
            count(first, if ins.guard.is_some() { 2 } else { 1 }, &mut writes);
        }
    }
    writes.into_iter().map(|n| n == 1).collect()
}

/// The bits that a register of `width` keeps.
pub(crate) fn cut(bits: u64, width: Width) -> u64 {
    match width {
        Width::Pred => bits,
        Width::W16 => bits & 0xffff,
        Width::W32 => bits & 0xffff_ffff,
        _ => bits,
    }
}

fn special_register(name: &str) -> Option<(Loc, Width)> {
    let w = |loc| Some((loc, Width::W32));
    let axis = |base: u32, axis: &str| match axis {
        "x" => w(base),
        "y" => w(base + 128),
        "z" => w(base + 256),
        _ => None,
    };
    let name = name.strip_prefix('%')?;
    if let Some((base, of)) = name.split_once('.') {
        return match base {
            "tid" => axis(special::TID_X, of),
            "ntid" => axis(special::NTID, of),
            "ctaid" => axis(special::CTAID, of),
            "nctaid" => axis(special::NCTAID, of),
            "cluster_ctaid" => axis(special::CLUSTER_CTAID, of),
            "cluster_nctaid" => axis(special::CLUSTER_NCTAID, of),
            "clusterid" => axis(special::CLUSTERID, of),
            "nclusterid" => axis(special::NCLUSTERID, of),
            _ => None,
        };
    }
    match name {
        "cluster_ctarank" => w(special::CLUSTER_RANK),
        "cluster_nctarank" => w(special::CLUSTER_SIZE),
        "is_explicit_cluster" => Some((special::EXPLICIT_CLUSTER, Width::Pred)),
        "laneid" => w(special::LANEID),
        "warpid" => w(special::WARPID),
        "nwarpid" => w(special::NWARPID),
        "smid" => w(special::SMID),
        "nsmid" => w(special::NSMID),
        "gridid" => Some((special::GRIDID, Width::W64)),
        "lanemask_eq" => w(special::LANEMASK_EQ),
        "lanemask_le" => w(special::LANEMASK_LE),
        "lanemask_lt" => w(special::LANEMASK_LT),
        "lanemask_ge" => w(special::LANEMASK_GE),
        "lanemask_gt" => w(special::LANEMASK_GT),
        "dynamic_smem_size" => w(special::DYNAMIC_SMEM_SIZE),
        "total_smem_size" | "aggr_smem_size" => w(special::TOTAL_SMEM_SIZE),
        "reserved_smem_offset_begin" | "reserved_smem_offset_0" => w(special::RESERVED_0),
        "reserved_smem_offset_1" => w(special::RESERVED_1),
        "reserved_smem_offset_end" => w(special::RESERVED_END),
        "reserved_smem_offset_cap" => w(special::RESERVED_CAP),
        "current_graph_exec" => Some((special::CURRENT_GRAPH, Width::W64)),
        "envreg1" => w(special::ENVREG1),
        "envreg2" => w(special::ENVREG2),
        _ if name
            .strip_prefix("envreg")
            .and_then(|n| n.parse::<u32>().ok())
            .is_some_and(|n| n < 32) =>
        {
            w(special::ZERO)
        }
        _ => None,
    }
}
