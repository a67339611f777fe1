//! Comparison, selection by comparison, moves and packing.

use super::arith::by_size;
use super::floats::compare_half;
use super::quals::{Quals, arity};
use super::{Emit, Step};
use crate::ptx::alu::{float, logic};
use crate::ptx::ast::Operand;
use crate::ptx::code::{Loc, NONE, Op};
use crate::ptx::types::{Ty, Width};

impl<'a> Emit<'_, 'a> {
    /// Emits a comparison with destinations `d` and `e`.
    fn compare(
        &mut self,
        q: &mut Quals<'a>,
        ty: Ty,
        relation: &str,
        d: Loc,
        e: Loc,
        sources: &[Operand<'a>],
        combine: Option<usize>,
    ) -> Step<()> {
        let ftz = q.take("ftz");
        let (kind, swap, invert) = match (relation, ty.is_float()) {
            ("eq", _) => ("eq", false, false),
            ("ne", false) => ("eq", false, true),
            ("ne", true) => ("lg", false, false),
            ("lt", _) => ("lt", false, false),
            ("gt", _) => ("lt", true, false),
            ("le", true) => ("le", false, false),
            ("ge", true) => ("le", true, false),
            ("le", false) => ("lt", true, true),
            ("ge", false) => ("lt", false, true),
            // Unordered forms are the complements of ordered ones.
            ("equ", true) => ("lg", false, true),
            ("neu", true) => ("eq", false, true),
            ("ltu", true) => ("le", true, true),
            ("leu", true) => ("lt", true, true),
            ("gtu", true) => ("le", false, true),
            ("geu", true) => ("lt", false, true),
            ("num", true) => ("num", false, false),
            ("nan", true) => ("num", false, true),
            ("lo", false) => ("lt", false, false),
            ("ls", false) => ("lt", true, true),
            ("hi", false) => ("lt", true, false),
            ("hs", false) => ("lt", false, true),
            _ => {
                return Err(format!(
                    "the comparison `.{relation}` is not supported for this type"
                ));
            }
        };
        let signed = ty.signed() && !matches!(relation, "lo" | "ls" | "hi" | "hs");
        let (mut a, mut b) = (self.source(&sources[0], ty)?, self.source(&sources[1], ty)?);
        if ftz && ty == Ty::F32 {
            let (fa, fb) = (self.temporary(Width::W32, 0), self.temporary(Width::W32, 1));
            self.alu(float::flush_f32(), fa, &[a]);
            self.alu(float::flush_f32(), fb, &[b]);
            (a, b) = (fa, fb);
        }
        if swap {
            std::mem::swap(&mut a, &mut b);
        }
        let (c, negated) = match combine {
            Some(_) => self.predicate(sources.get(2).ok_or("a predicate is missing")?)?,
            None => (NONE, false),
        };
        let mut flags = 0;
        if let Some(k) = combine {
            flags |= [logic::AND, logic::OR, logic::XOR][k.min(2)]
                | if negated { logic::NEGATE_C } else { 0 };
        }
        if matches!(ty, Ty::F16 | Ty::Bf16 | Ty::F16x2 | Ty::Bf16x2) {
            let c = if c != NONE && matches!(ty, Ty::F16x2 | Ty::Bf16x2) {
                // The first of the two results may be the predicate that the second is combined with.
                let copy = self.temporary(Width::Pred, 12);
                self.alu(logic::pred_mov(), copy, &[c]);
                copy
            } else {
                c
            };
            let sub = ["eq", "lt", "le", "lg", "num"]
                .iter()
                .position(|k| *k == kind)
                .unwrap_or(0);
            if invert {
                flags |= logic::INVERT;
            }
            let ins = self.alu(compare_half(), d, &[a, b, c, e]);
            ins.flags = flags;
            ins.sub = sub as u16;
            ins.imm = u64::from(matches!(ty, Ty::Bf16 | Ty::Bf16x2))
                | u64::from(matches!(ty, Ty::F16x2 | Ty::Bf16x2)) << 1
                | u64::from(ftz) << 2;
            return Ok(());
        }
        let alu = match (kind, ty.size(), signed, ty) {
            ("eq", _, _, Ty::F32) => logic::eq_f32(),
            ("lt", _, _, Ty::F32) => logic::lt_f32(),
            ("le", _, _, Ty::F32) => logic::le_f32(),
            ("lg", _, _, Ty::F32) => logic::lg_f32(),
            ("num", _, _, Ty::F32) => logic::num_f32(),
            ("eq", _, _, Ty::F64) => logic::eq_f64(),
            ("lt", _, _, Ty::F64) => logic::lt_f64(),
            ("le", _, _, Ty::F64) => logic::le_f64(),
            ("lg", _, _, Ty::F64) => logic::lg_f64(),
            ("num", _, _, Ty::F64) => logic::num_f64(),
            ("eq", 2, ..) => logic::eq_16(),
            ("eq", 4, ..) => logic::eq_32(),
            ("eq", 8, ..) => logic::eq_64(),
            ("lt", 2, false, _) => logic::lt_u16(),
            ("lt", 4, false, _) => logic::lt_u32(),
            ("lt", 8, false, _) => logic::lt_u64(),
            ("lt", 2, true, _) => logic::lt_s16(),
            ("lt", 4, true, _) => logic::lt_s32(),
            ("lt", 8, true, _) => logic::lt_s64(),
            _ => return Err("this type is not supported here".into()),
        };
        // Floating-point kinds were chosen so that inversion is right for NaN, too.
        if invert {
            flags |= logic::INVERT;
        }
        self.alu(alu, d, &[a, b, c, e]).flags = flags;
        Ok(())
    }

    fn comparison(q: &mut Quals<'a>) -> Step<&'a str> {
        const RELATIONS: [&str; 18] = [
            "eq", "ne", "lt", "le", "gt", "ge", "lo", "ls", "hi", "hs", "equ", "neu", "ltu", "leu",
            "gtu", "geu", "num", "nan",
        ];
        q.find(|w| RELATIONS.contains(&w).then_some(w))
            .ok_or_else(|| "expected a comparison".to_owned())
    }

    /// Lowers `setp`.
    pub(super) fn setp(&mut self, q: &mut Quals<'a>, operands: &[Operand<'a>]) -> Step<()> {
        let relation = Self::comparison(q)?;
        let combine = q.one_of(&["and", "or", "xor"]);
        let ty = q.ty()?;
        let count = if combine.is_some() { 4 } else { 3 };
        arity(operands, count..=count)?;
        let mut pred = |operand: &Operand<'a>| {
            if matches!(operand, Operand::Sink) {
                Ok(NONE)
            } else {
                self.dest(operand, Width::Pred)
            }
        };
        let (d, e) = match &operands[0] {
            Operand::Pair(d, e) => (pred(d)?, pred(e)?),
            d => (pred(d)?, NONE),
        };
        let packed = matches!(ty, Ty::F16x2 | Ty::Bf16x2);
        if packed && (e == NONE || d == NONE) {
            return Err("the packed comparison needs two predicates".into());
        }
        self.compare(q, ty, relation, d, e, &operands[1..], combine)
    }

    /// Lowers `set`.
    pub(super) fn set(&mut self, q: &mut Quals<'a>, operands: &[Operand<'a>]) -> Step<()> {
        let relation = Self::comparison(q)?;
        let combine = q.one_of(&["and", "or", "xor"]);
        let (to, ty) = (q.ty()?, q.ty()?);
        let count = if combine.is_some() { 4 } else { 3 };
        arity(operands, count..=count)?;
        if matches!(ty, Ty::F16x2 | Ty::Bf16x2) {
            let (p, r) = (
                self.temporary(Width::Pred, 10),
                self.temporary(Width::Pred, 11),
            );
            if combine.is_some() {
                return Err("the packed form with a predicate is not supported".into());
            }
            self.compare(q, ty, relation, p, r, &operands[1..], combine)?;
            let d = self.dest(&operands[0], Width::W32)?;
            let one = match to {
                Ty::F16x2 => 0x3c00,
                Ty::Bf16x2 => 0x3f80,
                _ => 0xffff,
            };
            let (one, zero) = (
                self.module.constant(one, Width::W16),
                self.module.constant(0, Width::W16),
            );
            let (low, high) = (
                self.temporary(Width::W16, 10),
                self.temporary(Width::W16, 11),
            );
            self.alu(logic::select_16(), low, &[one, zero, p]);
            self.alu(logic::select_16(), high, &[one, zero, r]);
            self.alu(logic::pack_16_32(), d, &[low, high]);
            return Ok(());
        }
        let p = self.temporary(Width::Pred, 10);
        self.compare(q, ty, relation, p, NONE, &operands[1..], combine)?;
        let d = self.dest(&operands[0], to.width())?;
        let (one, select) = match to {
            Ty::U32 | Ty::S32 | Ty::B32 => (0xffff_ffff, logic::select_32()),
            Ty::F32 => (0x3f80_0000, logic::select_32()),
            Ty::U16 | Ty::S16 | Ty::B16 => (0xffff, logic::select_16()),
            Ty::F16 => (0x3c00, logic::select_16()),
            Ty::Bf16 => (0x3f80, logic::select_16()),
            _ => return Err("this type of result is not supported".into()),
        };
        let (one, zero) = (
            self.module.constant(one, to.width()),
            self.module.constant(0, to.width()),
        );
        self.alu(select, d, &[one, zero, p]);
        Ok(())
    }

    /// Lowers `mov`.
    pub(super) fn mov(&mut self, q: &mut Quals<'a>, operands: &[Operand<'a>]) -> Step<()> {
        let ty = q.ty()?;
        arity(operands, 2..=2)?;
        if let Operand::Name(
            name @ ("%clock" | "%clock64" | "%clock_hi" | "%globaltimer" | "%globaltimer_lo"
            | "%globaltimer_hi"),
            0,
        ) = &operands[1]
        {
            let mut ins = self.blank(Op::Clock);
            let width = if matches!(*name, "%clock64" | "%globaltimer") {
                Width::W64
            } else {
                Width::W32
            };
            if width != ty.width() {
                return Err("the register does not have this size".into());
            }
            ins.d = self.dest(&operands[0], width)?;
            ins.b = u32::from(width == Width::W32);
            ins.sub = u16::from(name.starts_with("%globaltimer"));
            ins.imm = if name.ends_with("_hi") { 32 } else { 0 };
            self.push(ins);
            return Ok(());
        }
        match (&operands[0], &operands[1]) {
            (Operand::Vector(parts), source) => self.unpack(parts, source, ty),
            (dest, Operand::Vector(parts)) => self.pack(dest, parts, ty),
            (dest, source) if ty == Ty::Pred => {
                let d = self.dest(dest, Width::Pred)?;
                let (a, negated) = self.predicate(source)?;
                self.alu(logic::pred_mov(), d, &[a]).flags = u8::from(negated);
                Ok(())
            }
            (dest, source) => {
                // What never changes need not be copied.
                let fixed = match source {
                    Operand::Reg(_) | Operand::Int(_) => true,
                    Operand::Name(name, 0) => name.starts_with('%'),
                    _ => false,
                };
                if fixed && self.may_alias(dest, ty.width()) {
                    let (a, width) = self.source_any(source, ty)?;
                    if width == ty.width() && self.alias(dest, a, width) {
                        return Ok(());
                    }
                }
                let d = self.dest(dest, ty.width())?;
                let (a, width) = self.source_any(source, ty)?;
                let alu = match (ty.width(), width) {
                    (Width::W128, Width::W128) => logic::mov_128(),
                    // Special registers may be read as halves.
                    (Width::W16, Width::W32) => crate::ptx::alu::convert::cvt_32_16(),
                    (Width::W64, Width::W32) if matches!(source, Operand::Name(..)) => {
                        crate::ptx::alu::convert::cvt_u32_u64()
                    }
                    (Width::W32, Width::W64) if matches!(source, Operand::Name(..)) => {
                        crate::ptx::alu::convert::cvt_64_32()
                    }
                    (to, from) if to == from => by_size!(ty, logic: mov_16 mov_32 mov_64),
                    _ => return Err("an operand has not the size of the type".into()),
                };
                self.alu(alu, d, &[a]);
                Ok(())
            }
        }
    }

    /// Type of the parts of a packed value.
    fn part(ty: Ty, count: usize) -> Step<(Ty, Ty)> {
        Ok(match (ty.size(), count) {
            (4, 2) => (Ty::B32, Ty::B16),
            (8, 2) => (Ty::B64, Ty::B32),
            (8, 4) => (Ty::B64, Ty::B16),
            (16, 2) => (Ty::B128, Ty::B64),
            (4, 4) => (Ty::B32, Ty::B8),
            (2, 2) => (Ty::B16, Ty::B8),
            _ => return Err("this form of packing is not supported".into()),
        })
    }

    fn pack(&mut self, dest: &Operand<'a>, parts: &[Operand<'a>], ty: Ty) -> Step<()> {
        let (whole, part) = Self::part(ty, parts.len())?;
        let d = self.dest(dest, whole.width())?;
        let sources = self.sources(parts, &[part; 4])?;
        let alu = match (whole, part) {
            (Ty::B32, Ty::B16) => logic::pack_16_32(),
            (Ty::B64, Ty::B32) => logic::pack_32_64(),
            (Ty::B64, _) => logic::pack_16_64(),
            (Ty::B128, _) => logic::pack_64_128(),
            (Ty::B32, _) => logic::pack_8_32(),
            _ => logic::pack_8_16(),
        };
        self.alu(alu, d, &sources);
        Ok(())
    }

    fn unpack(&mut self, parts: &[Operand<'a>], source: &Operand<'a>, ty: Ty) -> Step<()> {
        let (whole, part) = Self::part(ty, parts.len())?;
        let mut a = self.source(source, whole)?;
        let alu = match (whole, part) {
            (Ty::B32, Ty::B16) => logic::part_32_16(),
            (Ty::B64, Ty::B32) => logic::part_64_32(),
            (Ty::B64, _) => logic::part_64_16(),
            (Ty::B128, _) => logic::part_128_64(),
            (Ty::B32, _) => logic::part_32_8(),
            _ => logic::part_16_8(),
        };
        // With parts of the same size as the whole a destination could be the source: copy first.
        if whole.width() == part.width() {
            let copy = self.temporary(whole.width(), 12);
            self.alu(by_size!(whole, logic: mov_16 mov_32 mov_64), copy, &[a]);
            a = copy;
        }
        for (number, dest) in parts.iter().enumerate() {
            if *dest == Operand::Sink {
                continue;
            }
            let d = self.dest(dest, part.width())?;
            self.alu(alu, d, &[a]).flags = number as u8;
        }
        Ok(())
    }
}
