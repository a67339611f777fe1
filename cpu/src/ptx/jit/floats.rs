//! Floating-point arithmetic in machine code.

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::types::{F32, F64, F64X2, I32, I64};
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Type, Value};

use super::build::Build;
use super::registers::Mode;
use crate::ptx::code::Ins;

impl Build<'_, '_> {
    /// Subnormal numbers become zeros of their sign.
    fn flush(&mut self, value: Value) -> Value {
        let bits = self.as_type(value, I32);
        let number = |s: &mut Self, n: i64| {
            let ty = s.shaped(I32);
            s.number(ty, n)
        };
        let mask = number(self, 0x7f80_0000);
        let exponent = self.b.ins().band(bits, mask);
        let sign = number(self, 0x8000_0000);
        let zero = self.b.ins().band(bits, sign);
        let none = number(self, 0);
        let keeps = self.b.ins().icmp(IntCC::NotEqual, exponent, none);
        let bits = self.choose(keeps, bits, zero);
        self.as_type(bits, F32)
    }

    pub(super) fn single(&mut self, name: &str, ins: &Ins, pc: u32) -> bool {
        let Some(what) = name.strip_suffix("_f32") else {
            return false;
        };
        let (what, ftz) = match what.strip_suffix("_ftz") {
            Some(what) => (what, true),
            None => (what, false),
        };
        let count = match what {
            "add" | "sub" | "mul" | "div" | "min" | "max" => 2,
            "fma" if self.fused => 3,
            "sqrt" | "rcp" | "rsqrt" | "neg" | "abs" if !ftz => 1,
            _ => return false,
        };
        let mut v = [ins.a, ins.b, ins.c];
        let mut values = Vec::with_capacity(3);
        for loc in &mut v[..count] {
            let mut x = self.f32(*loc);
            if ftz {
                x = self.flush(x);
            }
            values.push(x);
        }
        let r = match (what, &values[..]) {
            ("add", &[x, y]) => self.b.ins().fadd(x, y),
            ("sub", &[x, y]) => self.b.ins().fsub(x, y),
            ("mul", &[x, y]) => self.b.ins().fmul(x, y),
            ("div", &[x, y]) if !ftz => self.b.ins().fdiv(x, y),
            ("fma", &[x, y, z]) => self.b.ins().fma(x, y, z),
            ("min" | "max", &[x, y]) => self.extreme(x, y, what == "min", F32),
            ("sqrt", &[x]) => self.b.ins().sqrt(x),
            ("rcp", &[x]) => {
                let mut one = self.b.ins().f32const(1.0);
                let ty = self.b.func.dfg.value_type(x);
                if ty.is_vector() {
                    one = self.b.ins().splat(ty, one);
                }
                self.b.ins().fdiv(one, x)
            }
            ("rsqrt", &[x]) => {
                let x = self.b.ins().fpromote(F64, x);
                let root = self.b.ins().sqrt(x);
                let one = self.b.ins().f64const(1.0);
                let v = self.b.ins().fdiv(one, root);
                self.b.ins().fdemote(F32, v)
            }
            ("neg", &[x]) => self.b.ins().fneg(x),
            ("abs", &[x]) => self.b.ins().fabs(x),
            _ => return false,
        };
        if !ftz || matches!(what, "min" | "max") {
            self.set_f32(ins.d, r);
            return true;
        }
        if matches!(what, "mul" | "fma") {
            // A result that may have been rounded up to the smallest normal number needs a second look, which the interpreter's function takes.
            let bits = self.as_type(r, I32);
            let ty = self.b.func.dfg.value_type(bits);
            let mask = self.number(ty, 0x7fff_ffff);
            let size = self.b.ins().band(bits, mask);
            let smallest = self.number(ty, 0x0080_0000);
            let edge = self.b.ins().icmp(IntCC::Equal, size, smallest);
            let flushed = self.flush(r);
            let v = self.unless(edge, flushed, ins, pc);
            self.set_f32(ins.d, v);
        } else {
            let v = self.flush(r);
            self.set_f32(ins.d, v);
        }
        true
    }

    /// `value`, or what the interpreter's function says where `odd` holds (groups leave that to the code for single lanes).
    fn unless(&mut self, odd: Value, value: Value, ins: &Ins, pc: u32) -> Value {
        let ty = self.b.func.dfg.value_type(value);
        if ty.is_vector() {
            self.give_up_if_any(odd);
            return value;
        }
        let (slow, join) = (self.b.create_block(), self.b.create_block());
        self.b.append_block_param(join, ty);
        self.b.ins().brif(odd, slow, [], join, [&value.into()]);
        self.b.set_cold_block(slow);
        self.b.switch_to_block(slow);
        self.one_lane(ins, pc, true);
        let found = self.result(ins.d);
        let found = if self.b.func.dfg.value_type(found) == ty {
            found
        } else {
            self.b.ins().bitcast(ty, MemFlagsData::new(), found)
        };
        self.b.ins().jump(join, [&found.into()]);
        self.b.switch_to_block(join);
        self.b.block_params(join)[0]
    }

    /// Minimum or maximum: a number wins against a NaN, and -0 is smaller than +0.
    fn extreme(&mut self, x: Value, y: Value, min: bool, ty: Type) -> Value {
        let int = if ty == F32 { I32 } else { I64 };
        let (condition, sign) = if min {
            (FloatCC::LessThan, IntCC::SignedLessThan)
        } else {
            (FloatCC::GreaterThan, IntCC::SignedGreaterThanOrEqual)
        };
        let better = self.b.ins().fcmp(condition, x, y);
        let equal = self.b.ins().fcmp(FloatCC::Equal, x, y);
        let bits = self.as_type(x, int);
        let zero = self.zero_of(bits);
        let signed = self.b.ins().icmp(sign, bits, zero);
        let tie = self.b.ins().band(equal, signed);
        let alone = self.b.ins().fcmp(FloatCC::Unordered, y, y);
        let better = self.b.ins().bor(better, tie);
        let better = self.b.ins().bor(better, alone);
        self.choose(better, x, y)
    }

    /// Double precision: NaN operands are handed on by rules of their own, which the interpreter's function knows.
    pub(super) fn double(&mut self, name: &str, ins: &Ins, pc: u32) -> bool {
        let Some(what) = name.strip_suffix("_f64") else {
            return false;
        };
        let count = match what {
            "add" | "sub" | "mul" | "min" | "max" | "div" => 2,
            "fma" if self.fused => 3,
            "neg" | "abs" | "sqrt" | "rcp" | "rsqrt" => 1,
            _ => return false,
        };
        let locs = [ins.a, ins.b, ins.c];
        let values: Vec<Value> = locs[..count].iter().map(|&loc| self.f64(loc)).collect();
        let one = |s: &mut Self| {
            let one = s.b.ins().f64const(1.0);
            match s.mode {
                Mode::Pair(_) => s.b.ins().splat(F64X2, one),
                _ => one,
            }
        };
        let r = match (what, &values[..]) {
            ("add", &[x, y]) => self.b.ins().fadd(x, y),
            ("sub", &[x, y]) => self.b.ins().fsub(x, y),
            ("mul", &[x, y]) => self.b.ins().fmul(x, y),
            ("div", &[x, y]) => self.b.ins().fdiv(x, y),
            ("min" | "max", &[x, y]) => self.extreme(x, y, what == "min", F64),
            ("fma", &[x, y, z]) => self.b.ins().fma(x, y, z),
            ("neg", &[x]) => self.b.ins().fneg(x),
            ("abs", &[x]) => self.b.ins().fabs(x),
            ("sqrt", &[x]) => self.b.ins().sqrt(x),
            ("rcp", &[x]) => {
                let one = one(self);
                self.b.ins().fdiv(one, x)
            }
            ("rsqrt", &[x]) => {
                let one = one(self);
                let root = self.b.ins().sqrt(x);
                self.b.ins().fdiv(one, root)
            }
            _ => return false,
        };
        let mut odd = self.b.ins().fcmp(
            FloatCC::Unordered,
            values[0],
            values.get(1).copied().unwrap_or(values[0]),
        );
        if let &[_, _, z] = &values[..] {
            let third = self.b.ins().fcmp(FloatCC::Unordered, z, z);
            odd = self.b.ins().bor(odd, third);
        }
        let v = self.unless(odd, r, ins, pc);
        self.set(ins.d, v);
        true
    }
}
