//! Registers as values of machine code.
//!
//! Code for one lane has one number for each register. Code for a group of lanes ([`super::group`]) has one for what all lanes have in common ([`Shape::Steps`]: that of the first lane),
//! and *pieces* for the rest: vectors of four lanes, or of two where the register has 64 bits. What an instruction's emission sees and gives as a value is said by the [`Mode`].

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::types::{
    F32, F32X4, F64, F64X2, I8, I16, I16X8, I32, I32X4, I64, I64X2,
};
use cranelift_codegen::ir::{Endianness, InstBuilder, MemFlagsData, Type, Value};

use super::build::{Build, fixed, int_type, own};
use super::entry::place;
use super::shapes::{GROUP, Shape};
use crate::ptx::alu::float::NAN_F32;
use crate::ptx::code::{CONST, Loc, NONE, OFFSET, SPECIAL, special};
use crate::ptx::types::Width;

/// What values are, at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Numbers of one lane.
    One,
    /// What a group has in common: the numbers of its first lane, and the result's step.
    Together(i64),
    /// Vectors of the lanes from four times this on. Predicates are 32 bits, all or none.
    Quad(usize),
    /// Vectors of the lanes from twice this on. Predicates are 64 bits, all or none.
    Pair(usize),
    /// Numbers of this lane of a group.
    Lane(usize),
}

/// A predicate in each of two halves of a group.
const PREDICATE: usize = GROUP / 4;

/// Vectors of a register that differs from lane to lane: their type, and how many lanes each has.
fn piece(ty: Type) -> (Type, usize) {
    match ty {
        I8 => (I32X4, 4),
        I16 => (I16X8, 8),
        F32 => (F32X4, 4),
        F64 => (F64X2, 2),
        I32 => (I32X4, 4),
        _ => (I64X2, 2),
    }
}

/// The mode in which values are a piece of so many lanes.
fn piece_mode(lanes: usize, p: usize) -> Mode {
    if lanes == 2 {
        Mode::Pair(p)
    } else {
        Mode::Quad(p)
    }
}

/// Bits of vectors whose lanes have other sizes.
pub(super) fn bits() -> MemFlagsData {
    MemFlagsData::new().with_endianness(Endianness::Little)
}

impl Build<'_, '_> {
    /// The type of a register in one lane.
    pub(super) fn kept(&self, k: usize) -> Type {
        match (self.plan.registers[k].1, self.float[k]) {
            (Width::W32, true) => F32,
            (Width::W64, true) => F64,
            (width, _) => int_type(width),
        }
    }

    /// The types of the variables of a register.
    pub(super) fn variable_types(&self, k: usize) -> Vec<Type> {
        let ty = self.kept(k);
        match &self.shapes {
            Some(shapes) if shapes.register(k) == Shape::Varying => {
                let (vector, lanes) = piece(ty);
                vec![vector; GROUP / lanes]
            }
            _ => vec![ty],
        }
    }

    /// What the lanes have in common in a register.
    pub(super) fn shape(&self, k: usize) -> Shape {
        match &self.shapes {
            Some(shapes) => shapes.register(k),
            None => Shape::Steps(0),
        }
    }

    /// Does something in another mode.
    pub(super) fn in_mode<T>(&mut self, mode: Mode, f: impl FnOnce(&mut Self) -> T) -> T {
        let before = std::mem::replace(&mut self.mode, mode);
        let result = f(self);
        self.mode = before;
        result
    }

    /// The type of values whose lanes have this one.
    pub(super) fn shaped(&self, ty: Type) -> Type {
        match self.mode {
            Mode::Quad(_) | Mode::Pair(_) => piece(ty).0,
            _ => ty,
        }
    }

    /// A constant in a type, in all lanes of it.
    pub(super) fn number(&mut self, ty: Type, n: i64) -> Value {
        let lane = self.b.ins().iconst(ty.lane_type(), n);
        if ty.is_vector() {
            self.b.ins().splat(ty, lane)
        } else {
            lane
        }
    }

    /// Steps of the lanes of a vector from lane `first` on.
    fn ramp(&mut self, ty: Type, first: usize, step: i64) -> Value {
        let lane = ty.lane_bits() / 8;
        let bytes: Vec<u8> = (first..first + ty.lane_count() as usize)
            .flat_map(|l| {
                let number = step.wrapping_mul(l as i64).to_le_bytes();
                number[..lane as usize].to_vec()
            })
            .collect();
        let data = self.b.func.dfg.constants.insert(bytes.into());
        self.b.ins().vconst(ty, data)
    }

    /// The number of a group's first lane as a value in the mode: each lane has `step` more than the one before.
    fn spread(&mut self, value: Value, step: i64) -> Value {
        let ty = self.b.func.dfg.value_type(value);
        let first = match self.mode {
            Mode::One | Mode::Together(_) => return value,
            Mode::Lane(lane) => {
                return if step == 0 {
                    value
                } else {
                    let far = step.wrapping_mul(lane as i64);
                    self.b.ins().iadd_imm_s(value, far)
                };
            }
            Mode::Quad(q) => 4 * q,
            Mode::Pair(p) => 2 * p,
        };
        let vector = match (ty, self.mode) {
            (I8, Mode::Pair(_)) => I64X2,
            _ => piece(ty).0,
        };
        if ty == I8 {
            let all = self.b.ins().bmask(vector.lane_type(), value);
            return self.b.ins().splat(vector, all);
        }
        let all = self.b.ins().splat(vector, value);
        if step == 0 {
            return all;
        }
        let ramp = self.ramp(vector, first, step);
        self.b.ins().iadd(all, ramp)
    }

    /// A register's value.
    pub(super) fn read(&mut self, k: usize) -> Value {
        let first = self.variables[k][0];
        if let Shape::Steps(step) = self.shape(k) {
            let value = self.b.use_var(first);
            return self.spread(value, step);
        }
        let ty = self.kept(k);
        let lanes = piece(ty).1;
        match self.mode {
            Mode::Lane(lane) => {
                let vector = self.b.use_var(self.variables[k][lane / lanes]);
                let value = self.b.ins().extractlane(vector, (lane % lanes) as u8);
                if ty == I8 {
                    let value = self.b.ins().ireduce(I8, value);
                    self.b.ins().band_imm_u(value, 1)
                } else {
                    value
                }
            }
            Mode::Quad(q) if lanes == 4 => self.b.use_var(self.variables[k][q]),
            Mode::Pair(p) if lanes == 2 => self.b.use_var(self.variables[k][p]),
            Mode::Pair(p) if ty == I8 => {
                let quad = self.b.use_var(self.variables[k][p / 2]);
                if p % 2 == 0 {
                    self.b.ins().swiden_low(quad)
                } else {
                    self.b.ins().swiden_high(quad)
                }
            }
            _ => unreachable!("the mode is chosen for the registers"),
        }
    }

    /// Gives a register its value.
    pub(super) fn write(&mut self, k: usize, value: Value) {
        if self.shape(k) != Shape::Varying {
            if matches!(self.mode, Mode::One | Mode::Together(_)) {
                self.b.def_var(self.variables[k][0], value);
            }
            // Otherwise it is an operand of an instruction that has its results elsewhere.
            return;
        }
        let ty = self.kept(k);
        let lanes = piece(ty).1;
        match self.mode {
            Mode::Together(step) => {
                let value = if step == 0 {
                    value
                } else {
                    self.as_type(value, int_type(self.plan.registers[k].1))
                };
                for (p, variable) in self.variables[k].clone().into_iter().enumerate() {
                    let mode = piece_mode(lanes, p);
                    let piece = self.in_mode(mode, |s| {
                        let piece = s.spread(value, step);
                        s.as_type(piece, ty)
                    });
                    self.b.def_var(variable, piece);
                }
            }
            Mode::Quad(q) => self.b.def_var(self.variables[k][q], value),
            Mode::Pair(p) if lanes == 2 => self.b.def_var(self.variables[k][p], value),
            _ => self.pending.push((k, value)),
        }
    }

    /// Puts together what [`Build::write`] got lane by lane, or two by two.
    pub(super) fn put_together(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        let mut registers: Vec<usize> = Vec::new();
        for &(k, _) in &pending {
            if !registers.contains(&k) {
                registers.push(k);
            }
        }
        for k in registers {
            let values: Vec<Value> = pending.iter().filter(|p| p.0 == k).map(|p| p.1).collect();
            let (vector, lanes) = piece(self.kept(k));
            for (p, &variable) in self.variables[k].clone().iter().enumerate() {
                let whole = if values.len() == GROUP {
                    self.vector(vector, &values[p * lanes..(p + 1) * lanes])
                } else {
                    // A predicate in vectors of two.
                    self.even(values[2 * p], values[2 * p + 1], I32X4)
                };
                self.b.def_var(variable, whole);
            }
        }
    }

    /// A vector of numbers.
    pub(super) fn vector(&mut self, ty: Type, values: &[Value]) -> Value {
        let mut whole = None;
        for (lane, &value) in values.iter().enumerate() {
            let value = if self.b.func.dfg.value_type(value) == I8 {
                self.b.ins().bmask(I32, value)
            } else {
                value
            };
            whole = Some(match whole {
                None => self.b.ins().splat(ty, value),
                Some(whole) => self.b.ins().insertlane(whole, value, lane as u8),
            });
        }
        whole.expect("vectors have lanes")
    }

    /// The lower halves of the 64-bit lanes of two vectors.
    pub(super) fn even(&mut self, x: Value, y: Value, ty: Type) -> Value {
        self.shuffle(x, y, [0, 2, 4, 6], ty)
    }

    /// Four of the eight lanes of 32 bits that two vectors have.
    pub(super) fn shuffle(&mut self, x: Value, y: Value, which: [u8; 4], ty: Type) -> Value {
        use cranelift_codegen::ir::types::I8X16;
        let x = self.b.ins().bitcast(I8X16, bits(), x);
        let y = self.b.ins().bitcast(I8X16, bits(), y);
        let mask: Vec<u8> = which
            .into_iter()
            .flat_map(|lane| (4 * lane)..(4 * lane + 4))
            .collect();
        let mask = self.b.func.dfg.immediates.push(mask.into());
        let v = self.b.ins().shuffle(x, y, mask);
        self.b.ins().bitcast(ty, bits(), v)
    }

    /// What the variables of a register hold.
    pub(super) fn values(&mut self, k: usize) -> Vec<Value> {
        let variables = self.variables[k].clone();
        variables.into_iter().map(|v| self.b.use_var(v)).collect()
    }

    /// The pieces of a register, of what its variables held.
    pub(super) fn pieces(&mut self, k: usize, values: &[Value]) -> Vec<Value> {
        let Shape::Steps(step) = self.shape(k) else {
            return values.to_vec();
        };
        let lanes = piece(self.kept(k)).1;
        (0..GROUP / lanes)
            .map(|p| {
                let mode = piece_mode(lanes, p);
                self.in_mode(mode, |s| s.spread(values[0], step))
            })
            .collect()
    }

    /// Where a register of the frame lies for the lane at hand (for a group: its first).
    fn in_frame(&self, k: usize) -> (Value, i32) {
        let (loc, width) = self.plan.registers[k];
        let lane = if let Mode::Lane(lane) = self.mode {
            lane as i32 * width.lane_bytes() as i32
        } else {
            0
        };
        let base = match width {
            Width::W16 => self.lanes[0],
            Width::W32 => self.lanes[1],
            _ => self.lanes[2],
        };
        (base, loc as i32 + lane)
    }

    /// The number of the lane at hand.
    pub(super) fn own_lane(&mut self) -> Value {
        match self.mode {
            Mode::Lane(lane) => self.b.ins().iadd_imm_s(self.lane, lane as i64),
            _ => self.lane,
        }
    }

    /// A register from the frame, for one lane.
    pub(super) fn load_register(&mut self, k: usize) -> Value {
        let (loc, width) = self.plan.registers[k];
        if width == Width::Pred {
            let word = self.b.ins().load(I32, own(), self.frame, loc as i32);
            let lane = self.own_lane();
            let bit = self.b.ins().ushr(word, lane);
            let bit = self.b.ins().band_imm_u(bit, 1);
            return self.b.ins().ireduce(I8, bit);
        }
        let (base, at) = self.in_frame(k);
        let ty = self.kept(k);
        self.b.ins().load(ty, own(), base, at)
    }

    /// A register into the frame, for one lane.
    pub(super) fn store_register(&mut self, k: usize) {
        let (loc, width) = self.plan.registers[k];
        let mut value = self.read(k);
        if self.lazy[k] {
            value = self.canon(value);
        }
        if width == Width::Pred {
            let word = self.b.ins().load(I32, own(), self.frame, loc as i32);
            let one = self.b.ins().iconst(I32, 1);
            let lane = self.own_lane();
            let bit = self.b.ins().ishl(one, lane);
            let cleared = self.b.ins().band_not(word, bit);
            let wide = self.b.ins().uextend(I32, value);
            let set = self.b.ins().ishl(wide, lane);
            let word = self.b.ins().bor(cleared, set);
            self.b.ins().store(own(), word, self.frame, loc as i32);
        } else {
            let (base, at) = self.in_frame(k);
            self.b.ins().store(own(), value, base, at);
        }
    }

    /// Where the predicate's bits of a group lie.
    fn predicate_byte(&self, k: usize) -> (Value, i32) {
        (self.frame_byte, self.plan.registers[k].0 as i32)
    }

    /// A register of all lanes of a group from the frame, as pieces.
    pub(super) fn load_pieces(&mut self, k: usize) -> Vec<Value> {
        let ty = self.kept(k);
        let (vector, lanes) = piece(ty);
        if ty == I8 {
            let (base, at) = self.predicate_byte(k);
            let byte = self.b.ins().uload8(I32, own(), base, at);
            let all = self.b.ins().splat(I32X4, byte);
            return (0..PREDICATE as u32)
                .map(|half| {
                    let bits: Vec<u8> = (0..4u32)
                        .flat_map(|l| (1u32 << (4 * half + l)).to_le_bytes())
                        .collect();
                    let data = self.b.func.dfg.constants.insert(bits.into());
                    let own = self.b.ins().vconst(I32X4, data);
                    let found = self.b.ins().band(all, own);
                    self.b.ins().icmp(IntCC::Equal, found, own)
                })
                .collect();
        }
        let (base, at) = self.in_frame(k);
        (0..GROUP / lanes)
            .map(|p| {
                self.b
                    .ins()
                    .load(vector, unaligned(), base, at + 16 * p as i32)
            })
            .collect()
    }

    /// Stores pieces (of [`Build::pieces`]) as a register of all lanes of a group.
    pub(super) fn store_pieces(&mut self, k: usize, pieces: &[Value]) {
        if self.plan.registers[k].1 == Width::Pred {
            let byte = self.predicate_bits(pieces);
            let (base, at) = self.predicate_byte(k);
            self.b.ins().istore8(own(), byte, base, at);
            return;
        }
        for (p, &piece) in pieces.iter().enumerate() {
            let piece = if self.lazy[k] {
                self.canon(piece)
            } else {
                piece
            };
            let (base, at) = self.in_frame(k);
            self.b
                .ins()
                .store(unaligned(), piece, base, at + 16 * p as i32);
        }
    }

    /// A predicate's bits, a lane each.
    pub(super) fn predicate_bits(&mut self, pieces: &[Value]) -> Value {
        let low = self.b.ins().vhigh_bits(I32, pieces[0]);
        let high = self.b.ins().vhigh_bits(I32, pieces[1]);
        let high = self.b.ins().ishl_imm_u(high, 4);
        self.b.ins().bor(low, high)
    }

    /// The canonical NaN in place of any other.
    pub(super) fn canon(&mut self, value: Value) -> Value {
        let ty = self.b.func.dfg.value_type(value);
        let nan = self.b.ins().iconst(I32, i64::from(NAN_F32));
        let mut nan = self.b.ins().bitcast(F32, MemFlagsData::new(), nan);
        if ty.is_vector() {
            nan = self.b.ins().splat(ty, nan);
        }
        let odd = self.b.ins().fcmp(FloatCC::Unordered, value, value);
        self.choose(odd, nan, value)
    }

    /// One of two values by a predicate, lane by lane where they are vectors.
    pub(super) fn choose(&mut self, p: Value, x: Value, y: Value) -> Value {
        let ty = self.b.func.dfg.value_type(x);
        if !ty.is_vector() {
            return self.b.ins().select(p, x, y);
        }
        let p = if self.b.func.dfg.value_type(p) == ty {
            p
        } else {
            self.b.ins().bitcast(ty, bits(), p)
        };
        self.b.ins().bitselect(p, x, y)
    }

    /// The contrary of a predicate.
    pub(super) fn not(&mut self, p: Value) -> Value {
        if self.b.func.dfg.value_type(p).is_vector() {
            self.b.ins().bnot(p)
        } else {
            self.b.ins().bxor_imm_u(p, 1)
        }
    }

    /// An operand as a number of `ty`, whose NaN may be any if it is only used for arithmetic (`exact` is false).
    fn operand(&mut self, loc: Loc, width: Width, ty: Type, exact: bool) -> Value {
        let value = match loc >> 30 {
            0 => {
                let k = self.plan.numbers[&loc];
                let value = self.read(k);
                if self.lazy[k] && (exact || ty != F32) {
                    self.canon(value)
                } else {
                    value
                }
            }
            1 => {
                let number = self.constant(loc, width);
                let value = self.b.ins().iconst(int_type(width), number);
                let value = if self.shaped(ty).is_vector() && ty.is_float() {
                    self.b.ins().bitcast(ty, MemFlagsData::new(), value)
                } else {
                    value
                };
                self.spread(value, 0)
            }
            2 => self.special_register(loc, width),
            _ => {
                let params = self.b.ins().load(I64, fixed(), self.context, place::PARAMS);
                let value =
                    self.b
                        .ins()
                        .load(int_type(width), fixed(), params, (loc & OFFSET) as i32);
                self.spread(value, 0)
            }
        };
        self.as_type(value, ty)
    }

    /// The bits of a constant, which are the same for all lanes.
    pub(super) fn constant(&self, loc: Loc, width: Width) -> i64 {
        let at = (loc & OFFSET) as usize;
        debug_assert_eq!(loc & !OFFSET, CONST);
        let byte = |k: usize| i64::from(self.constants[(at + k) / 64].0[(at + k) % 64]) << (8 * k);
        match width {
            Width::Pred => byte(0) & 1,
            _ => (0..width.lane_bytes() as usize).fold(0, |v, k| v | byte(k)),
        }
    }

    fn special_register(&mut self, loc: Loc, width: Width) -> Value {
        let at = (loc & OFFSET) as i32;
        // Thread indices and what belongs to the lane differ, the rest is the same for all lanes.
        if loc < special::WARPID {
            debug_assert!(loc >= SPECIAL);
            let shape = self.shapes.as_ref().map(|shapes| shapes.of(loc));
            return match (shape, self.mode) {
                (Some(Shape::Varying), Mode::Quad(q)) => {
                    let at = at + 16 * q as i32;
                    self.b.ins().load(I32X4, unaligned(), self.special4, at)
                }
                (Some(Shape::Varying), Mode::Lane(lane)) => {
                    let at = at + 4 * lane as i32;
                    self.b.ins().load(I32, fixed(), self.special4, at)
                }
                (Some(Shape::Steps(step)), _) => {
                    let value = self.b.ins().load(I32, fixed(), self.special4, at);
                    self.spread(value, step)
                }
                _ => self.b.ins().load(I32, fixed(), self.special4, at),
            };
        }
        let base = if loc == special::WARPID {
            self.special
        } else {
            self.uniform
        };
        let value = match width {
            Width::Pred => {
                let word = self.b.ins().load(I32, fixed(), base, at);
                let bit = self.b.ins().band_imm_u(word, 1);
                self.b.ins().ireduce(I8, bit)
            }
            _ => self.b.ins().load(int_type(width), fixed(), base, at),
        };
        self.spread(value, 0)
    }

    /// The bits of a value as lanes of another type of that size.
    pub(super) fn as_type(&mut self, value: Value, ty: Type) -> Value {
        let found = self.b.func.dfg.value_type(value);
        if found.lane_type() == ty {
            return value;
        }
        if found.is_vector() {
            // Predicates have lanes of their own.
            if ty == I8 {
                return value;
            }
            debug_assert_eq!(found.lane_bits(), ty.bits());
            return self.b.ins().bitcast(piece(ty).0, bits(), value);
        }
        if found.bits() == ty.bits() {
            self.b.ins().bitcast(ty, MemFlagsData::new(), value)
        } else {
            unreachable!("operands have the size that the instruction says")
        }
    }

    /// An operand as an integer; predicates are 0 or 1 in a byte, or all or no bits in vectors.
    pub(super) fn int(&mut self, loc: Loc, width: Width) -> Value {
        self.operand(loc, width, int_type(width), true)
    }

    /// An operand for arithmetic in single precision.
    pub(super) fn f32(&mut self, loc: Loc) -> Value {
        self.operand(loc, Width::W32, F32, false)
    }

    /// An operand in double precision.
    pub(super) fn f64(&mut self, loc: Loc) -> Value {
        self.operand(loc, Width::W64, F64, true)
    }

    /// An operand in the form in which the register `like` is kept, with its bits.
    pub(super) fn like(&mut self, loc: Loc, width: Width, like: Loc) -> Value {
        let ty = match self.plan.numbers.get(&like) {
            Some(&k) if self.float[k] => self.kept(k),
            _ => int_type(width),
        };
        self.operand(loc, width, ty, true)
    }

    /// Gives a register its value, under the guard.
    pub(super) fn set(&mut self, loc: Loc, value: Value) {
        debug_assert_ne!(loc, NONE);
        let Some(&k) = self.plan.numbers.get(&loc) else {
            unreachable!("destinations are registers of the frame")
        };
        let mut value = self.as_type(value, self.kept(k));
        if let Some(guard) = self.guard {
            let old = self.read(k);
            value = self.choose(guard, value, old);
        }
        self.write(k, value);
    }

    /// Gives a register the result of single-precision arithmetic, which has one NaN only.
    pub(super) fn set_f32(&mut self, loc: Loc, value: Value) {
        let lazy = self.plan.numbers.get(&loc).is_some_and(|&k| self.lazy[k]);
        let value = if lazy { value } else { self.canon(value) };
        self.set(loc, value);
    }
}

/// Vectors lie at any place.
pub(super) fn unaligned() -> MemFlagsData {
    MemFlagsData::new().with_notrap()
}
