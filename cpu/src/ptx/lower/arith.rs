//! Integer arithmetic, logic, comparison, selection and moves.

use super::quals::{Quals, arity};
use super::{Emit, Step};
use crate::ptx::alu::{int, logic};
use crate::ptx::ast::Operand;
use crate::ptx::code::{Alu, Loc, NONE};
use crate::ptx::types::{Ty, Width};

/// Chooses by type: 16-bit unsigned, signed, 32-bit …, 64-bit ….
macro_rules! by_int {
    ($ty:expr, $u16:ident $s16:ident $u32:ident $s32:ident $u64:ident $s64:ident) => {
        match ($ty.size(), $ty.signed()) {
            (2, false) => int::$u16(),
            (2, true) => int::$s16(),
            (4, false) => int::$u32(),
            (4, true) => int::$s32(),
            (8, false) => int::$u64(),
            (8, true) => int::$s64(),
            _ => return Err("this type is not supported here".into()),
        }
    };
}

/// Chooses by size.
macro_rules! by_size {
    ($ty:expr, $of:ident: $w16:ident $w32:ident $w64:ident) => {
        match $ty.width() {
            Width::W16 => $of::$w16(),
            Width::W32 => $of::$w32(),
            Width::W64 => $of::$w64(),
            _ => return Err("this type is not supported here".into()),
        }
    };
}

pub(super) use by_size;

impl<'a> Emit<'_, 'a> {
    /// Sources of one type each.
    pub(super) fn sources(&mut self, operands: &[Operand<'a>], types: &[Ty]) -> Step<Vec<Loc>> {
        operands
            .iter()
            .zip(types)
            .map(|(operand, &ty)| self.source(operand, ty))
            .collect()
    }

    /// `d = alu(sources)` with sources of type `ty`.
    fn same(&mut self, alu: Alu, operands: &[Operand<'a>], count: usize, ty: Ty) -> Step<()> {
        arity(operands, count + 1..=count + 1)?;
        let d = self.dest(&operands[0], ty.width())?;
        let sources = self.sources(&operands[1..], &[ty; 4])?;
        self.alu(alu, d, &sources);
        Ok(())
    }

    /// Lowers integer and logic instructions (and hands those on floating-point types over); false if it is none of them.
    pub(super) fn integers(&mut self, q: &mut Quals<'a>, operands: &[Operand<'a>]) -> Step<bool> {
        match q.base {
            "add" | "sub" | "mul" | "mad" | "div" | "min" | "max" | "neg" | "abs" | "fma" => {
                let rounding_or_mode = q.base;
                // The last type rules in mixed forms; those are not supported and leave a qualifier over.
                let ty = q.ty()?;
                if ty.is_float() {
                    self.float_arithmetic(rounding_or_mode, ty, q, operands)?;
                } else {
                    self.int_arithmetic(rounding_or_mode, ty, q, operands)?;
                }
            }
            "rem" => {
                let ty = q.ty()?;
                let alu = by_int!(ty, rem_u16 rem_s16 rem_u32 rem_s32 rem_u64 rem_s64);
                self.same(alu, operands, 2, ty)?;
            }
            "sad" => {
                let ty = q.ty()?;
                let alu = by_int!(ty, sad_u16 sad_s16 sad_u32 sad_s32 sad_u64 sad_s64);
                self.same(alu, operands, 3, ty)?;
            }
            "mul24" | "mad24" => self.mul24(q, operands)?,
            "addc" | "subc" | "madc" => {
                let ty = q.ty()?;
                self.carry(q.base, ty, q, operands)?;
            }
            "and" | "or" | "xor" | "not" | "cnot" => self.bitwise(q, operands)?,
            "shl" | "shr" => {
                let ty = q.ty()?;
                let alu = if q.base == "shl" {
                    by_size!(ty, int: shl_16 shl_32 shl_64)
                } else {
                    by_int!(ty, shr_u16 shr_s16 shr_u32 shr_s32 shr_u64 shr_s64)
                };
                arity(operands, 3..=3)?;
                let d = self.dest(&operands[0], ty.width())?;
                let sources = self.sources(&operands[1..], &[ty, Ty::U32])?;
                self.alu(alu, d, &sources);
            }
            "shf" => {
                let left = q.take("l");
                if !left && !q.take("r") {
                    return Err("expected `.l` or `.r`".into());
                }
                let wrap = q.take("wrap");
                if !wrap && !q.take("clamp") {
                    return Err("expected `.wrap` or `.clamp`".into());
                }
                let ty = q.ty()?;
                if ty != Ty::B32 {
                    return Err("only `.b32` is supported".into());
                }
                let alu = match (left, wrap) {
                    (true, true) => int::shf_l_wrap(),
                    (true, false) => int::shf_l_clamp(),
                    (false, true) => int::shf_r_wrap(),
                    (false, false) => int::shf_r_clamp(),
                };
                self.same(alu, operands, 3, ty)?;
            }
            "bfe" | "bfi" | "bfind" | "bmsk" | "szext" | "brev" | "clz" | "popc" | "fns"
            | "prmt" | "lop3" | "dp4a" | "dp2a" => self.bits(q, operands)?,
            "setp" => self.setp(q, operands)?,
            "set" => self.set(q, operands)?,
            "selp" => {
                let ty = q.ty()?;
                arity(operands, 4..=4)?;
                let alu = by_size!(ty, logic: select_16 select_32 select_64);
                let d = self.dest(&operands[0], ty.width())?;
                let (a, b) = (
                    self.source(&operands[1], ty)?,
                    self.source(&operands[2], ty)?,
                );
                let (p, negated) = self.predicate(&operands[3])?;
                self.alu(alu, d, &[a, b, p]).flags = u8::from(negated);
            }
            "slct" => {
                let ty = q.ty()?;
                let by = q.ty()?;
                let ftz = q.take("ftz");
                arity(operands, 4..=4)?;
                let alu = match by {
                    Ty::S32 => by_size!(ty, logic: slct_16 slct_32 slct_64),
                    Ty::F32 => by_size!(ty, logic: slct_f_16 slct_f_32 slct_f_64),
                    _ => return Err("the selecting operand must be `.s32` or `.f32`".into()),
                };
                let d = self.dest(&operands[0], ty.width())?;
                let mut sources = self.sources(&operands[1..], &[ty, ty, by])?;
                if ftz {
                    let flushed = self.temporary(Width::W32, 0);
                    self.alu(crate::ptx::alu::float::flush_f32(), flushed, &[sources[2]]);
                    sources[2] = flushed;
                }
                self.alu(alu, d, &sources);
            }
            "mov" => self.mov(q, operands)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn int_arithmetic(
        &mut self,
        base: &str,
        ty: Ty,
        q: &mut Quals<'a>,
        operands: &[Operand<'a>],
    ) -> Step<()> {
        if q.has("cc") {
            return self.carry(base, ty, q, operands);
        }
        if matches!(ty, Ty::U16x2 | Ty::S16x2) {
            let relu = q.take("relu");
            let alu = match (base, ty) {
                ("min", Ty::S16x2) if relu => int::min_relu_s16x2(),
                ("max", Ty::S16x2) if relu => int::max_relu_s16x2(),
                _ if relu => return Err("`.relu` is not for this type".into()),
                ("add", _) => int::add_16x2(),
                ("min", Ty::U16x2) => int::min_u16x2(),
                ("max", Ty::U16x2) => int::max_u16x2(),
                ("min", _) => int::min_s16x2(),
                ("max", _) => int::max_s16x2(),
                _ => return Err("this type is not supported here".into()),
            };
            return self.same(alu, operands, 2, ty);
        }
        let alu = match base {
            "add" if q.take("sat") => {
                if ty == Ty::S32 {
                    int::add_sat_s32()
                } else {
                    return Err("`.sat` needs `.s32`".into());
                }
            }
            "sub" if q.take("sat") => {
                if ty == Ty::S32 {
                    int::sub_sat_s32()
                } else {
                    return Err("`.sat` needs `.s32`".into());
                }
            }
            "add" => by_size!(ty, int: add_16 add_32 add_64),
            "sub" => by_size!(ty, int: sub_16 sub_32 sub_64),
            "mul" | "mad" => return self.multiply(base, ty, q, operands),
            "div" => by_int!(ty, div_u16 div_s16 div_u32 div_s32 div_u64 div_s64),
            "min" if q.take("relu") => {
                if ty == Ty::S32 {
                    int::min_relu_s32()
                } else {
                    return Err("`.relu` needs `.s32`".into());
                }
            }
            "max" if q.take("relu") => {
                if ty == Ty::S32 {
                    int::max_relu_s32()
                } else {
                    return Err("`.relu` needs `.s32`".into());
                }
            }
            "min" => by_int!(ty, min_u16 min_s16 min_u32 min_s32 min_u64 min_s64),
            "max" => by_int!(ty, max_u16 max_s16 max_u32 max_s32 max_u64 max_s64),
            "neg" => return self.same(by_size!(ty, int: neg_16 neg_32 neg_64), operands, 1, ty),
            "abs" => return self.same(by_size!(ty, int: abs_16 abs_32 abs_64), operands, 1, ty),
            _ => return Err("this type is not supported here".into()),
        };
        self.same(alu, operands, 2, ty)
    }

    fn multiply(
        &mut self,
        base: &str,
        ty: Ty,
        q: &mut Quals<'a>,
        operands: &[Operand<'a>],
    ) -> Step<()> {
        let mad = base == "mad";
        let part = q
            .one_of(&["lo", "hi", "wide"])
            .ok_or("expected `.lo`, `.hi` or `.wide`")?;
        let saturate = q.take("sat");
        let alu = match (part, mad) {
            (0, false) => by_size!(ty, int: mul_lo_16 mul_lo_32 mul_lo_64),
            (0, true) => by_size!(ty, int: mad_lo_16 mad_lo_32 mad_lo_64),
            (1, false) => {
                by_int!(ty, mul_hi_u16 mul_hi_s16 mul_hi_u32 mul_hi_s32 mul_hi_u64 mul_hi_s64)
            }
            (1, true) if saturate && ty == Ty::S32 => int::mad_hi_sat_s32(),
            (1, true) => {
                by_int!(ty, mad_hi_u16 mad_hi_s16 mad_hi_u32 mad_hi_s32 mad_hi_u64 mad_hi_s64)
            }
            (_, false) => match ty {
                Ty::U16 => int::mul_wide_u16(),
                Ty::S16 => int::mul_wide_s16(),
                Ty::U32 => int::mul_wide_u32(),
                Ty::S32 => int::mul_wide_s32(),
                _ => return Err("this type is not supported for `.wide`".into()),
            },
            (_, true) => match ty {
                Ty::U16 => int::mad_wide_u16(),
                Ty::S16 => int::mad_wide_s16(),
                Ty::U32 => int::mad_wide_u32(),
                Ty::S32 => int::mad_wide_s32(),
                _ => return Err("this type is not supported for `.wide`".into()),
            },
        };
        if saturate && !(mad && part == 1 && ty == Ty::S32) {
            return Err("`.sat` is for `mad.hi.sat.s32` only".into());
        }
        let wide = if part == 2 {
            if ty.size() == 2 { Ty::U32 } else { Ty::U64 }
        } else {
            ty
        };
        let count = if mad { 4 } else { 3 };
        arity(operands, count..=count)?;
        let d = self.dest(&operands[0], wide.width())?;
        let sources = self.sources(&operands[1..], &[ty, ty, wide])?;
        self.alu(alu, d, &sources);
        Ok(())
    }

    fn mul24(&mut self, q: &mut Quals<'a>, operands: &[Operand<'a>]) -> Step<()> {
        let high = match q.one_of(&["lo", "hi"]) {
            Some(part) => part == 1,
            None => return Err("expected `.lo` or `.hi`".into()),
        };
        let saturate = q.take("sat");
        let ty = q.ty()?;
        let signed = match ty {
            Ty::U32 => false,
            Ty::S32 => true,
            _ => return Err("this type is not supported here".into()),
        };
        let mad = q.base == "mad24";
        let alu = match (mad, high, signed) {
            (false, false, false) => int::mul24_lo_u32(),
            (false, false, true) => int::mul24_lo_s32(),
            (false, true, false) => int::mul24_hi_u32(),
            (false, true, true) => int::mul24_hi_s32(),
            (true, false, false) => int::mad24_lo_u32(),
            (true, false, true) => int::mad24_lo_s32(),
            (true, true, false) => int::mad24_hi_u32(),
            (true, true, true) if saturate => int::mad24_hi_sat_s32(),
            (true, true, true) => int::mad24_hi_s32(),
        };
        if saturate && !(mad && high && signed) {
            return Err("`.sat` is for `mad24.hi.sat.s32` only".into());
        }
        self.same(alu, operands, if mad { 3 } else { 2 }, ty)
    }

    fn carry(
        &mut self,
        base: &str,
        ty: Ty,
        q: &mut Quals<'a>,
        operands: &[Operand<'a>],
    ) -> Step<()> {
        let mut flags = if base.starts_with("sub") { 1 } else { 0 };
        if base.ends_with('c') {
            flags |= 2;
        }
        if q.take("cc") {
            flags |= 4;
        }
        let mad = base.starts_with("mad");
        if mad {
            match q.one_of(&["lo", "hi"]) {
                Some(0) => {}
                Some(_) => flags |= 8,
                None => return Err("expected `.lo` or `.hi`".into()),
            }
            if ty.signed() {
                flags |= 16;
            }
        } else if base != "add" && base != "sub" && base != "addc" && base != "subc" {
            return Err("`.cc` is not supported here".into());
        }
        let alu = match (ty.size(), mad) {
            (4, false) => int::carry_32(),
            (8, false) => int::carry_64(),
            (4, true) => int::mad_carry_32(),
            (8, true) => int::mad_carry_64(),
            _ => return Err("this type is not supported here".into()),
        };
        let count = if mad { 4 } else { 3 };
        arity(operands, count..=count)?;
        let d = self.dest(&operands[0], ty.width())?;
        let sources = self.sources(&operands[1..], &[ty; 3])?;
        let flag = self.carry_flag();
        let ins = self.alu(alu, d, &sources);
        ins.e = flag;
        ins.flags = flags;
        Ok(())
    }

    fn bitwise(&mut self, q: &mut Quals<'a>, operands: &[Operand<'a>]) -> Step<()> {
        let ty = q.ty()?;
        if ty == Ty::Pred {
            let unary = q.base == "not";
            arity(operands, if unary { 2..=2 } else { 3..=3 })?;
            let alu = match q.base {
                "and" => logic::pred_and(),
                "or" => logic::pred_or(),
                "xor" => logic::pred_xor(),
                "not" => logic::pred_mov(),
                _ => return Err("not for predicates".into()),
            };
            let d = self.dest(&operands[0], Width::Pred)?;
            let (a, na) = self.predicate(&operands[1])?;
            let (b, nb) = if unary {
                (NONE, false)
            } else {
                self.predicate(&operands[2])?
            };
            self.alu(alu, d, &[a, b]).flags = u8::from(na ^ unary) | u8::from(nb) << 1;
            return Ok(());
        }
        let alu = match q.base {
            "and" => by_size!(ty, int: and_16 and_32 and_64),
            "or" => by_size!(ty, int: or_16 or_32 or_64),
            "xor" => by_size!(ty, int: xor_16 xor_32 xor_64),
            "not" => return self.same(by_size!(ty, int: not_16 not_32 not_64), operands, 1, ty),
            _ => return self.same(by_size!(ty, int: cnot_16 cnot_32 cnot_64), operands, 1, ty),
        };
        self.same(alu, operands, 2, ty)
    }

    /// `lop3.or d|p, a, b, c, table, q`: `p` is whether `d` is not zero, combined with `q`.
    fn lop3_with_predicate(
        &mut self,
        and: bool,
        q: &mut Quals<'a>,
        operands: &[Operand<'a>],
    ) -> Step<()> {
        q.ty()?;
        arity(operands, 6..=6)?;
        let (Operand::Pair(d, p), Operand::Int(table)) = (&operands[0], &operands[4]) else {
            return Err("expected `d|p` and a constant table".into());
        };
        let sources = self.sources(&operands[1..4], &[Ty::B32; 3])?;
        let (c, negated) = self.predicate(&operands[5])?;
        let d = self.dest(d, Width::W32)?;
        let p = self.dest(p, Width::Pred)?;
        self.alu(int::lop3_32(), d, &sources).imm = *table;
        let zero = self.module.constant(0, Width::W32);
        self.alu(logic::eq_32(), p, &[d, zero, c]).flags = logic::INVERT
            | if and { logic::AND } else { logic::OR }
            | if negated { logic::NEGATE_C } else { 0 };
        Ok(())
    }

    fn bits(&mut self, q: &mut Quals<'a>, operands: &[Operand<'a>]) -> Step<()> {
        let base = q.base;
        let variant = if base == "bmsk" || base == "szext" {
            q.one_of(&["clamp", "wrap"])
        } else {
            None
        };
        let prmt_mode = if base == "prmt" {
            q.one_of(&["f4e", "b4e", "rc8", "ecl", "ecr", "rc16"])
        } else {
            None
        };
        let shift = base == "bfind" && q.take("shiftamt");
        let high = base == "dp2a"
            && match q.one_of(&["lo", "hi"]) {
                Some(part) => part == 1,
                None => return Err("expected `.lo` or `.hi`".into()),
            };
        if base == "lop3"
            && let Some(how) = q.one_of(&["or", "and"])
        {
            return self.lop3_with_predicate(how == 1, q, operands);
        }
        let ty = q.ty()?;
        let wide = ty.size() == 8;
        if ty.size() < 4 {
            return Err("this type is not supported here".into());
        }
        let (alu, types, dest): (Alu, &[Ty], Width) = match base {
            "bfe" => {
                let alu = match (wide, ty.signed()) {
                    (false, false) => int::bfe_u32(),
                    (false, true) => int::bfe_s32(),
                    (true, false) => int::bfe_wide_u64(),
                    (true, true) => int::bfe_wide_s64(),
                };
                (alu, &[ty, Ty::U32, Ty::U32], ty.width())
            }
            "bfi" => (
                if wide { int::bfi_64() } else { int::bfi_32() },
                &[ty, ty, Ty::U32, Ty::U32],
                ty.width(),
            ),
            "bfind" => {
                let alu = match (wide, ty.signed()) {
                    (false, false) => int::bfind_u32(),
                    (false, true) => int::bfind_s32(),
                    (true, false) => int::bfind_u64(),
                    (true, true) => int::bfind_s64(),
                };
                (alu, &[ty], Width::W32)
            }
            "bmsk" => match variant {
                Some(0) => (int::bmsk_clamp(), &[Ty::U32, Ty::U32], Width::W32),
                Some(_) => (int::bmsk_wrap(), &[Ty::U32, Ty::U32], Width::W32),
                None => return Err("expected `.clamp` or `.wrap`".into()),
            },
            "szext" => match (variant, ty) {
                (Some(0), Ty::U32) => (int::szext_clamp_u32(), &[Ty::U32, Ty::U32], Width::W32),
                (Some(0), Ty::S32) => (int::szext_clamp_s32(), &[Ty::U32, Ty::U32], Width::W32),
                (Some(_), Ty::U32) => (int::szext_wrap_u32(), &[Ty::U32, Ty::U32], Width::W32),
                (Some(_), Ty::S32) => (int::szext_wrap_s32(), &[Ty::U32, Ty::U32], Width::W32),
                _ => return Err("this form is not supported".into()),
            },
            "brev" => (
                if wide { int::brev_64() } else { int::brev_32() },
                &[ty],
                ty.width(),
            ),
            "clz" => (
                if wide { int::clz_64() } else { int::clz_32() },
                &[ty],
                Width::W32,
            ),
            "popc" => (
                if wide { int::popc_64() } else { int::popc_32() },
                &[ty],
                Width::W32,
            ),
            "fns" => (
                int::find_nth_set(),
                &[Ty::U32, Ty::U32, Ty::S32],
                Width::W32,
            ),
            "prmt" => (
                if prmt_mode.is_some() {
                    int::prmt_other()
                } else {
                    int::prmt_default()
                },
                &[Ty::U32, Ty::U32, Ty::U32],
                Width::W32,
            ),
            "lop3" => {
                arity(operands, 5..=5)?;
                (int::lop3_32(), &[Ty::U32, Ty::U32, Ty::U32], Width::W32)
            }
            _ => (int::dot_product(), &[Ty::U32, Ty::U32, Ty::U32], Width::W32),
        };
        let extra = usize::from(base == "lop3");
        arity(operands, types.len() + 1 + extra..=types.len() + 1 + extra)?;
        let d = self.dest(&operands[0], dest)?;
        let sources = self.sources(&operands[1..], types)?;
        let mut flags = u8::from(shift);
        if let Some(mode) = prmt_mode {
            flags = mode as u8 + 1;
        }
        if base == "dp4a" || base == "dp2a" {
            let second = q.ty()?;
            flags = u8::from(ty.signed())
                | u8::from(second.signed()) << 1
                | u8::from(base == "dp2a") << 2
                | u8::from(high) << 3;
        }
        let table = match operands.last() {
            Some(Operand::Int(table)) if base == "lop3" => *table,
            _ if base == "lop3" => return Err("the table of `lop3` must be a constant".into()),
            _ => 0,
        };
        let ins = self.alu(alu, d, &sources);
        ins.flags = flags;
        ins.imm = table;
        Ok(())
    }
}
