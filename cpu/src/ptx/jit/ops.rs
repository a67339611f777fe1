//! Arithmetic in machine code. What is not here is done by the interpreter's own functions, one lane at a time.

use cranelift_codegen::ir::condcodes::{CondCode, FloatCC, IntCC};
use cranelift_codegen::ir::types::{F32, F32X4, F64, F64X2, I16, I32, I32X4, I64};
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Type, Value};

use super::build::{Build, int_type};
use super::registers::Mode;
use crate::ptx::alu::logic::{AND, INVERT, NEGATE_C, OR, XOR};
use crate::ptx::code::{Ins, Loc, NONE};
use crate::ptx::types::Width;

/// Size of the numbers that the end of an operation's name tells.
fn width_of(name: &str) -> Width {
    match name.rsplit('_').next().unwrap_or("") {
        "16" | "u16" | "s16" => Width::W16,
        "64" | "u64" | "s64" | "f64" => Width::W64,
        _ => Width::W32,
    }
}

impl Build<'_, '_> {
    /// An instruction that only computes.
    pub(super) fn alu(&mut self, ins: &Ins, pc: u32) {
        if self.is_group() {
            self.alu_of_group(ins, pc);
        } else if !self.known(ins, pc) {
            self.guarded(ins, |s| s.by_interpreter(ins, pc));
        }
    }

    /// Makes an instruction into machine code in the mode at hand, if that is known for it.
    pub(super) fn known(&mut self, ins: &Ins, pc: u32) -> bool {
        let name = self.names.of(ins);
        self.guard = (ins.guard != NONE).then(|| self.guard_of(ins));
        let done = self.moves(name, ins)
            || self.integers(name, ins)
            || self.multiplications(name, ins)
            || self.conversions(name, ins)
            || self.comparisons(name, ins)
            || self.single(name, ins, pc)
            || self.double(name, ins, pc);
        self.guard = None;
        done
    }

    /// Has the interpreter's own function do an instruction for the lane at hand.
    pub(super) fn by_interpreter(&mut self, ins: &Ins, pc: u32) {
        self.one_lane(ins, pc, false);
        for loc in [ins.d, ins.e] {
            if self.plan.numbers.contains_key(&loc) {
                let value = self.result(loc);
                self.set(loc, value);
            }
        }
    }

    fn moves(&mut self, name: &str, ins: &Ins) -> bool {
        let width = width_of(name);
        match name {
            "mov_16" | "mov_32" | "mov_64" => {
                let v = self.like(ins.a, width, ins.d);
                self.set(ins.d, v);
            }
            "select_16" | "select_32" | "select_64" => {
                let p = self.int(ins.c, Width::Pred);
                let (x, y) = (
                    self.like(ins.a, width, ins.d),
                    self.like(ins.b, width, ins.d),
                );
                let v = if ins.flags != 0 {
                    self.choose(p, y, x)
                } else {
                    self.choose(p, x, y)
                };
                self.set(ins.d, v);
            }
            "pred_mov" => {
                let v = self.predicate(ins.a, ins.flags & 1 != 0);
                self.set(ins.d, v);
            }
            "pred_and" | "pred_or" | "pred_xor" => {
                let x = self.predicate(ins.a, ins.flags & 1 != 0);
                let y = self.predicate(ins.b, ins.flags & 2 != 0);
                let v = match name {
                    "pred_and" => self.b.ins().band(x, y),
                    "pred_or" => self.b.ins().bor(x, y),
                    _ => self.b.ins().bxor(x, y),
                };
                self.set(ins.d, v);
            }
            "pack_16_32" => self.pack(ins, Width::W16, I32),
            "pack_32_64" => self.pack(ins, Width::W32, I64),
            "part_32_16" => self.part(ins, Width::W32, 16, I16),
            "part_64_16" => self.part(ins, Width::W64, 16, I16),
            "part_64_32" => self.part(ins, Width::W64, 32, I32),
            _ => return false,
        }
        true
    }

    fn predicate(&mut self, loc: Loc, negated: bool) -> Value {
        let v = self.int(loc, Width::Pred);
        if negated { self.not(v) } else { v }
    }

    fn pack(&mut self, ins: &Ins, width: Width, to: Type) {
        let (x, y) = (self.int(ins.a, width), self.int(ins.b, width));
        let (x, y) = (self.b.ins().uextend(to, x), self.b.ins().uextend(to, y));
        let y = self.b.ins().ishl_imm_u(y, i64::from(to.bits() / 2));
        let v = self.b.ins().bor(x, y);
        self.set(ins.d, v);
    }

    fn part(&mut self, ins: &Ins, width: Width, bits: i64, to: Type) {
        let x = self.int(ins.a, width);
        let x = self.b.ins().ushr_imm_u(x, bits * i64::from(ins.flags));
        let v = self.b.ins().ireduce(to, x);
        self.set(ins.d, v);
    }

    fn integers(&mut self, name: &str, ins: &Ins) -> bool {
        let Some((what, _)) = name.rsplit_once('_') else {
            return false;
        };
        let width = match name {
            _ if name.ends_with("_16")
                || name.ends_with("_32")
                || name.ends_with("_64")
                || name.ends_with("16")
                || name.ends_with("u32")
                || name.ends_with("s32")
                || name.ends_with("u64")
                || name.ends_with("s64") =>
            {
                width_of(name)
            }
            _ => return false,
        };
        let signed = name.contains("_s");
        let v = match what {
            "add" | "sub" | "and" | "or" | "xor" | "min" | "max" if !name.ends_with("x2") => {
                let (x, y) = (self.int(ins.a, width), self.int(ins.b, width));
                match what {
                    "add" => self.b.ins().iadd(x, y),
                    "sub" => self.b.ins().isub(x, y),
                    "and" => self.b.ins().band(x, y),
                    "or" => self.b.ins().bor(x, y),
                    "xor" => self.b.ins().bxor(x, y),
                    "min" if signed => self.b.ins().smin(x, y),
                    "min" => self.b.ins().umin(x, y),
                    _ if signed => self.b.ins().smax(x, y),
                    _ => self.b.ins().umax(x, y),
                }
            }
            "not" | "neg" | "abs" | "cnot" => {
                let x = self.int(ins.a, width);
                match what {
                    "not" => self.b.ins().bnot(x),
                    "neg" => self.b.ins().ineg(x),
                    "abs" => {
                        let zero = self.zero_of(x);
                        let negative = self.b.ins().icmp(IntCC::SignedLessThan, x, zero);
                        let other = self.b.ins().ineg(x);
                        self.choose(negative, other, x)
                    }
                    _ => {
                        let zero = self.b.ins().icmp_imm_s(IntCC::Equal, x, 0);
                        self.b.ins().uextend(int_type(width), zero)
                    }
                }
            }
            "clz" | "popc" | "brev" if width != Width::W16 => {
                let x = self.int(ins.a, width);
                let v = match what {
                    "clz" => self.b.ins().clz(x),
                    "popc" => self.b.ins().popcnt(x),
                    _ => self.b.ins().bitrev(x),
                };
                if what != "brev" && width == Width::W64 {
                    self.b.ins().ireduce(I32, v)
                } else {
                    v
                }
            }
            "shl" | "shr" if width != Width::W16 => self.shift(ins, width, what == "shl", signed),
            "lop3" => {
                let table = ins.imm as u8;
                let (x, y, z) = (
                    self.int(ins.a, width),
                    self.int(ins.b, width),
                    self.int(ins.c, width),
                );
                self.lop3(x, y, z, table)
            }
            "div" | "rem" => self.division(ins, width, what == "div", signed),
            _ => return false,
        };
        self.set(ins.d, v);
        true
    }

    /// Shifts; the amount has 32 bits, and what is too far leaves nothing (or the sign).
    fn shift(&mut self, ins: &Ins, width: Width, left: bool, signed: bool) -> Value {
        let bits = i64::from(int_type(width).bits());
        let x = self.int(ins.a, width);
        if ins.b >> 30 == 1 {
            let n = self.constant(ins.b, Width::W32);
            return match (left, signed) {
                (true, _) | (false, false) if n >= bits => self.zero_of(x),
                (true, _) => self.b.ins().ishl_imm_u(x, n),
                (false, true) => self.b.ins().sshr_imm_u(x, n.min(bits - 1)),
                (false, false) => self.b.ins().ushr_imm_u(x, n),
            };
        }
        // Vectors are shifted by one amount.
        let n = if self.b.func.dfg.value_type(x).is_vector() {
            self.in_mode(Mode::Together(0), |s| s.int(ins.b, Width::W32))
        } else {
            self.int(ins.b, Width::W32)
        };
        let far = self
            .b
            .ins()
            .icmp_imm_s(IntCC::UnsignedGreaterThanOrEqual, n, bits);
        if signed && !left {
            let most = self.b.ins().iconst(I32, bits - 1);
            let n = self.b.ins().select(far, most, n);
            return self.b.ins().sshr(x, n);
        }
        let v = if left {
            self.b.ins().ishl(x, n)
        } else {
            self.b.ins().ushr(x, n)
        };
        let ty = self.b.func.dfg.value_type(x);
        if ty.is_vector() {
            let near = self.b.ins().bxor_imm_u(far, 1);
            let near = self.b.ins().bmask(ty.lane_type(), near);
            let near = self.b.ins().splat(ty, near);
            return self.b.ins().band(v, near);
        }
        let zero = self.zero_of(x);
        self.b.ins().select(far, zero, v)
    }

    /// Zero in the type of a value.
    pub(super) fn zero_of(&mut self, value: Value) -> Value {
        let ty = self.b.func.dfg.value_type(value);
        self.number(ty, 0)
    }

    /// Any function of three bits: a sum of products of few terms.
    fn lop3(&mut self, x: Value, y: Value, z: Value, table: u8) -> Value {
        // By the value of x: what is left is a function of y and z for x = 0 and for x = 1.
        let (low, high) = (self.lop2(y, z, table & 15), self.lop2(y, z, table >> 4));
        if table & 15 == table >> 4 {
            return low;
        }
        let a = self.b.ins().band(x, high);
        let b = self.b.ins().band_not(low, x);
        self.b.ins().bor(a, b)
    }

    fn lop2(&mut self, y: Value, z: Value, table: u8) -> Value {
        let n = |s: &mut Self, v| s.b.ins().bnot(v);
        match table {
            0 => self.zero_of(y),
            1 => {
                let v = self.b.ins().bor(y, z);
                n(self, v)
            }
            2 => self.b.ins().band_not(z, y),
            3 => n(self, y),
            4 => self.b.ins().band_not(y, z),
            5 => n(self, z),
            6 => self.b.ins().bxor(y, z),
            7 => {
                let v = self.b.ins().band(y, z);
                n(self, v)
            }
            8 => self.b.ins().band(y, z),
            9 => {
                let v = self.b.ins().bxor(y, z);
                n(self, v)
            }
            10 => z,
            11 => {
                let v = n(self, y);
                self.b.ins().bor(v, z)
            }
            12 => y,
            13 => {
                let v = n(self, z);
                self.b.ins().bor(v, y)
            }
            14 => self.b.ins().bor(y, z),
            _ => {
                let v = self.zero_of(y);
                n(self, v)
            }
        }
    }

    /// Quotient and remainder; by zero they are all ones.
    fn division(&mut self, ins: &Ins, width: Width, quotient: bool, signed: bool) -> Value {
        let ty = int_type(width);
        let (x, y) = (self.int(ins.a, width), self.int(ins.b, width));
        let zero = self.b.ins().icmp_imm_s(IntCC::Equal, y, 0);
        let one = self.b.ins().iconst(ty, 1);
        // The smallest number by -1 does not fit, either: it is its negation, and leaves nothing.
        let minus = signed.then(|| self.b.ins().icmp_imm_s(IntCC::Equal, y, -1));
        let odd = match minus {
            Some(minus) => self.b.ins().bor(zero, minus),
            None => zero,
        };
        let safe = self.b.ins().select(odd, one, y);
        let mut v = match (quotient, signed) {
            (true, true) => self.b.ins().sdiv(x, safe),
            (true, false) => self.b.ins().udiv(x, safe),
            (false, true) => self.b.ins().srem(x, safe),
            (false, false) => self.b.ins().urem(x, safe),
        };
        if let Some(minus) = minus.filter(|_| quotient) {
            let negated = self.b.ins().ineg(x);
            v = self.b.ins().select(minus, negated, v);
        }
        let zero_bits = self.b.ins().iconst(ty, 0);
        let ones = self.b.ins().bnot(zero_bits);
        self.b.ins().select(zero, ones, v)
    }

    fn multiplications(&mut self, name: &str, ins: &Ins) -> bool {
        let Some((what, rest)) = name.split_once('_') else {
            return false;
        };
        if !matches!(what, "mul" | "mad") {
            return false;
        }
        let Some((part, ty)) = rest.split_once('_') else {
            return false;
        };
        let (signed, bits) = match ty {
            "16" | "u16" => (false, 16),
            "s16" => (true, 16),
            "32" | "u32" => (false, 32),
            "s32" => (true, 32),
            "64" | "u64" => (false, 64),
            "s64" => (true, 64),
            _ => return false,
        };
        let width = match bits {
            16 => Width::W16,
            32 => Width::W32,
            _ => Width::W64,
        };
        let pairs = part == "wide" && matches!(self.mode, Mode::Pair(_));
        let operand = |s: &mut Self, loc: Loc| {
            if pairs {
                s.half(|s| s.int(loc, width))
            } else {
                s.int(loc, width)
            }
        };
        let (x, y) = (operand(self, ins.a), operand(self, ins.b));
        let product = match part {
            "lo" => self.b.ins().imul(x, y),
            "hi" | "wide" if bits < 64 => {
                let double = if bits == 16 { I32 } else { I64 };
                let (x, y) = (
                    self.widened(x, double, signed),
                    self.widened(y, double, signed),
                );
                let product = self.b.ins().imul(x, y);
                if part == "wide" {
                    product
                } else {
                    let high = self.b.ins().ushr_imm_u(product, i64::from(bits));
                    self.b.ins().ireduce(int_type(width), high)
                }
            }
            "hi" if signed => self.b.ins().smulhi(x, y),
            "hi" => self.b.ins().umulhi(x, y),
            _ => return false,
        };
        let v = if what == "mad" {
            let wide = match (part, width) {
                ("wide", Width::W16) => Width::W32,
                ("wide", _) => Width::W64,
                _ => width,
            };
            let z = self.int(ins.c, wide);
            self.b.ins().iadd(product, z)
        } else {
            product
        };
        self.set(ins.d, v);
        true
    }

    /// A number in a type of twice its size or more; of a vector, its lower half.
    pub(super) fn widened(&mut self, x: Value, ty: Type, signed: bool) -> Value {
        match (self.b.func.dfg.value_type(x).is_vector(), signed) {
            (true, true) => self.b.ins().swiden_low(x),
            (true, false) => self.b.ins().uwiden_low(x),
            (false, true) => self.b.ins().sextend(ty, x),
            (false, false) => self.b.ins().uextend(ty, x),
        }
    }

    fn conversions(&mut self, name: &str, ins: &Ins) -> bool {
        let Some(rest) = name.strip_prefix("cvt_") else {
            return false;
        };
        let v = match rest {
            "u16_u32" | "u16_u64" | "u32_u64" | "s16_s32" | "s16_s64" | "s32_s64" => {
                let from = if rest[1..].starts_with("16") {
                    Width::W16
                } else {
                    Width::W32
                };
                let x = if matches!(self.mode, Mode::Pair(_)) {
                    self.half(|s| s.int(ins.a, from))
                } else {
                    self.int(ins.a, from)
                };
                let to = if rest.ends_with("32") { I32 } else { I64 };
                self.widened(x, to, rest.starts_with('s'))
            }
            "64_32" if matches!(self.mode, Mode::Quad(_)) => {
                let [x, y] = self.halves(|s| s.int(ins.a, Width::W64));
                self.even(x, y, I32X4)
            }
            "32_16" | "64_16" | "64_32" => {
                let from = if rest.starts_with("32") {
                    Width::W32
                } else {
                    Width::W64
                };
                let x = self.int(ins.a, from);
                let to = if rest.ends_with("16") { I16 } else { I32 };
                self.b.ins().ireduce(to, x)
            }
            "s32_f32" | "u32_f32" if matches!(self.mode, Mode::Quad(_)) => {
                let x = self.int(ins.a, Width::W32);
                let v = if rest.starts_with('s') {
                    self.b.ins().fcvt_from_sint(F32X4, x)
                } else {
                    self.b.ins().fcvt_from_uint(F32X4, x)
                };
                self.set_f32(ins.d, v);
                return true;
            }
            "s32_f64" if matches!(self.mode, Mode::Pair(_)) => {
                let x = self.half(|s| s.int(ins.a, Width::W32));
                let x = self.b.ins().swiden_low(x);
                self.b.ins().fcvt_from_sint(F64X2, x)
            }
            "s32_f32" | "s32_f64" | "u32_f32" | "u32_f64" => {
                let x = self.int(ins.a, Width::W32);
                let to = if rest.ends_with("f32") { F32 } else { F64 };
                // As 64-bit integers, unsigned numbers are signed ones.
                let v = if rest.starts_with('s') {
                    self.b.ins().fcvt_from_sint(to, x)
                } else {
                    let x = self.b.ins().uextend(I64, x);
                    self.b.ins().fcvt_from_sint(to, x)
                };
                if to == F32 {
                    self.set_f32(ins.d, v);
                    return true;
                }
                v
            }
            "f32_f64" if matches!(self.mode, Mode::Pair(_)) => {
                let x = self.half(|s| {
                    let x = s.int(ins.a, Width::W32);
                    s.as_type(x, F32)
                });
                self.b.ins().fvpromote_low(x)
            }
            "f64_f32" if matches!(self.mode, Mode::Quad(_)) => {
                let [x, y] = self.halves(|s| s.f64(ins.a));
                let (x, y) = (self.b.ins().fvdemote(x), self.b.ins().fvdemote(y));
                self.shuffle(x, y, [0, 1, 4, 5], F32X4)
            }
            "f32_f64" => {
                let x = self.int(ins.a, Width::W32);
                let x = self.b.ins().bitcast(F32, MemFlagsData::new(), x);
                self.b.ins().fpromote(F64, x)
            }
            "f64_f32" => {
                let x = self.f64(ins.a);
                self.b.ins().fdemote(F32, x)
            }
            "rzi_f32_s32" => {
                let x = self.f32(ins.a);
                let to = self.shaped(I32);
                self.b.ins().fcvt_to_sint_sat(to, x)
            }
            "rzi_f32_u32" => {
                let x = self.f32(ins.a);
                let to = self.shaped(I32);
                self.b.ins().fcvt_to_uint_sat(to, x)
            }
            _ => return false,
        };
        self.set(ins.d, v);
        true
    }

    fn comparisons(&mut self, name: &str, ins: &Ins) -> bool {
        let Some((what, ty)) = name.split_once('_') else {
            return false;
        };
        let invert = ins.flags & INVERT != 0;
        let v = match ty {
            "f32" | "f64" => {
                let condition = match what {
                    "eq" => FloatCC::Equal,
                    "lt" => FloatCC::LessThan,
                    "le" => FloatCC::LessThanOrEqual,
                    "lg" => FloatCC::OrderedNotEqual,
                    "num" => FloatCC::Ordered,
                    _ => return false,
                };
                let (x, y) = if ty == "f32" {
                    (self.f32(ins.a), self.f32(ins.b))
                } else {
                    (self.f64(ins.a), self.f64(ins.b))
                };
                let condition = if invert {
                    condition.complement()
                } else {
                    condition
                };
                self.b.ins().fcmp(condition, x, y)
            }
            _ => {
                let signed = ty.starts_with('s');
                let condition = match what {
                    "eq" => IntCC::Equal,
                    "lt" if signed => IntCC::SignedLessThan,
                    "lt" => IntCC::UnsignedLessThan,
                    _ => return false,
                };
                let width = match ty.trim_start_matches(['u', 's']) {
                    "16" => Width::W16,
                    "32" => Width::W32,
                    "64" => Width::W64,
                    _ => return false,
                };
                let (x, y) = (self.int(ins.a, width), self.int(ins.b, width));
                let condition = if invert {
                    condition.complement()
                } else {
                    condition
                };
                self.b.ins().icmp(condition, x, y)
            }
        };
        self.finish_comparison(ins, v);
        true
    }

    /// Combines, and writes both results.
    fn finish_comparison(&mut self, ins: &Ins, mut v: Value) {
        let mut other = (ins.e != NONE).then(|| self.not(v));
        let combination = ins.flags & (AND | OR | XOR);
        if combination != 0 {
            let c = self.predicate(ins.c, ins.flags & NEGATE_C != 0);
            let combine = |s: &mut Self, v| match combination {
                AND => s.b.ins().band(v, c),
                OR => s.b.ins().bor(v, c),
                _ => s.b.ins().bxor(v, c),
            };
            v = combine(self, v);
            other = other.map(|o| combine(self, o));
        }
        if ins.d != NONE {
            self.set(ins.d, v);
        }
        if let Some(other) = other {
            self.set(ins.e, other);
        }
    }
}
