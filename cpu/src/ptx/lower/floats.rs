//! Floating-point arithmetic and conversions.

use super::quals::{Quals, arity};
use super::{Emit, Step};
use crate::ptx::alu::convert::{Conversion, f8};
use crate::ptx::alu::float_modes::{FTZ, Moded, NAN, RELU, SAT, XORSIGN_ABS};
use crate::ptx::alu::rounding::Round;
use crate::ptx::alu::{convert, float, float_modes, half, int, logic};
use crate::ptx::ast::Operand;
use crate::ptx::code::{Alu, Loc};
use crate::ptx::types::{Ty, Width};

/// The comparison of half-precision numbers.
pub(super) fn compare_half() -> Alu {
    half::half_compare()
}

impl<'a> Emit<'_, 'a> {
    /// `add`, `sub`, `mul`, `mad`, `fma`, `div`, `min`, `max`, `neg`, `abs` on floating-point types.
    pub(super) fn float_arithmetic(
        &mut self,
        base: &str,
        ty: Ty,
        q: &mut Quals<'a>,
        operands: &[Operand<'a>],
    ) -> Step<()> {
        let op = match base {
            "add" => Moded::Add,
            "sub" => Moded::Sub,
            "mul" => Moded::Mul,
            "mad" | "fma" => Moded::Fma,
            "div" => Moded::Div,
            "min" => Moded::Min,
            "max" => Moded::Max,
            _ => return self.negate(base == "abs", ty, q, operands),
        };
        let sources = if op == Moded::Fma { 3 } else { 2 };
        if matches!(op, Moded::Min | Moded::Max) && operands.len() == 4 {
            return Err("`min` and `max` of three numbers are not supported".into());
        }
        arity(operands, sources + 1..=sources + 1)?;
        if op == Moded::Div && matches!(ty, Ty::F32) {
            // The approximations are computed exactly.
            q.one_of(&["approx", "full"]);
        }
        let round = q.round();
        let mut flags = round as u8;
        for (word, bit) in [("ftz", FTZ), ("sat", SAT), ("NaN", NAN), ("relu", RELU)] {
            if q.take(word) {
                flags |= bit;
            }
        }
        if q.take("xorsign") {
            if !q.take("abs") {
                return Err("expected `.xorsign.abs`".into());
            }
            flags |= XORSIGN_ABS;
        }
        match ty {
            Ty::F32 | Ty::F64 => {}
            Ty::F16 | Ty::Bf16 | Ty::F16x2 | Ty::Bf16x2 => {
                let oob = op == Moded::Fma && q.take("oob");
                return self.half(op as u16, ty, flags, oob, operands, sources);
            }
            _ => return Err("this type is not supported here".into()),
        }
        let single = ty == Ty::F32;
        if !single && flags & !3 != 0 {
            return Err("this modifier is for single precision only".into());
        }
        let fast = match (op, single, flags) {
            (Moded::Add, true, 0) => float::add_f32(),
            (Moded::Sub, true, 0) => float::sub_f32(),
            (Moded::Mul, true, 0) => float::mul_f32(),
            (Moded::Fma, true, 0) => float::fma_f32(),
            (Moded::Div, true, 0) => float::div_f32(),
            (Moded::Min, true, 0) => float::min_f32(),
            (Moded::Max, true, 0) => float::max_f32(),
            (Moded::Add, true, FTZ) => float::add_ftz_f32(),
            (Moded::Sub, true, FTZ) => float::sub_ftz_f32(),
            (Moded::Mul, true, FTZ) => float::mul_ftz_f32(),
            (Moded::Fma, true, FTZ) => float::fma_ftz_f32(),
            (Moded::Min, true, FTZ) => float::min_ftz_f32(),
            (Moded::Max, true, FTZ) => float::max_ftz_f32(),
            (Moded::Add, false, 0) => float::add_f64(),
            (Moded::Sub, false, 0) => float::sub_f64(),
            (Moded::Mul, false, 0) => float::mul_f64(),
            (Moded::Fma, false, 0) => float::fma_f64(),
            (Moded::Div, false, 0) => float::div_f64(),
            (Moded::Min, false, 0) => float::min_f64(),
            (Moded::Max, false, 0) => float::max_f64(),
            _ => return self.moded(op, ty, flags, operands),
        };
        let d = self.dest(&operands[0], ty.width())?;
        let sources = self.sources(&operands[1..], &[ty; 3])?;
        self.alu(fast, d, &sources);
        Ok(())
    }

    /// The general form, with modes.
    fn moded(&mut self, op: Moded, ty: Ty, flags: u8, operands: &[Operand<'a>]) -> Step<()> {
        let d = self.dest(&operands[0], ty.width())?;
        let sources = self.sources(&operands[1..], &[ty; 3])?;
        let at = |k: usize| sources.get(k).copied().unwrap_or(sources[0]);
        let all = [at(0), at(1), at(2)];
        let ins = self.alu(
            if ty == Ty::F32 {
                float_modes::moded_f32()
            } else {
                float_modes::moded_f64()
            },
            d,
            &all,
        );
        ins.sub = op as u16;
        ins.flags = flags;
        Ok(())
    }

    fn half(
        &mut self,
        sub: u16,
        ty: Ty,
        flags: u8,
        oob: bool,
        operands: &[Operand<'a>],
        count: usize,
    ) -> Step<()> {
        arity(operands, count + 1..=count + 1)?;
        if sub == Moded::Div as u16 {
            return Err("this type is not supported here".into());
        }
        let d = self.dest(&operands[0], ty.width())?;
        let sources = self.sources(&operands[1..], &[ty; 3])?;
        let at = |k: usize| sources.get(k).copied().unwrap_or(sources[0]);
        let all = [at(0), at(1), at(2)];
        let packed = matches!(ty, Ty::F16x2 | Ty::Bf16x2);
        let ins = self.alu(
            if packed {
                half::half_packed()
            } else {
                half::half_op()
            },
            d,
            &all,
        );
        ins.sub = sub;
        ins.flags = flags;
        if matches!(ty, Ty::Bf16 | Ty::Bf16x2) {
            ins.imm |= half::BF16;
        }
        if oob {
            ins.imm |= half::OOB;
        }
        Ok(())
    }

    fn negate(
        &mut self,
        abs: bool,
        ty: Ty,
        q: &mut Quals<'a>,
        operands: &[Operand<'a>],
    ) -> Step<()> {
        let ftz = q.take("ftz");
        arity(operands, 2..=2)?;
        let alu = match (ty, abs, ftz) {
            (Ty::F32, false, false) => float::neg_f32(),
            (Ty::F32, false, true) => float::neg_ftz_f32(),
            (Ty::F32, true, false) => float::abs_f32(),
            (Ty::F32, true, true) => float::abs_ftz_f32(),
            (Ty::F64, false, false) => float::neg_f64(),
            (Ty::F64, true, false) => float::abs_f64(),
            (Ty::F16 | Ty::Bf16 | Ty::F16x2 | Ty::Bf16x2, ..) => {
                return self.half(
                    if abs { half::ABS } else { half::NEG },
                    ty,
                    if ftz { FTZ } else { 0 },
                    false,
                    operands,
                    1,
                );
            }
            _ => return Err("this type is not supported here".into()),
        };
        let d = self.dest(&operands[0], ty.width())?;
        let a = self.source(&operands[1], ty)?;
        self.alu(alu, d, &[a]);
        Ok(())
    }

    /// Lowers the remaining floating-point instructions and `cvt`; false if it is none of them.
    pub(super) fn floats(&mut self, q: &mut Quals<'a>, operands: &[Operand<'a>]) -> Step<bool> {
        match q.base {
            "rcp" | "sqrt" | "rsqrt" | "sin" | "cos" | "lg2" | "ex2" | "tanh" => {
                self.unary(q, operands)?
            }
            "copysign" => {
                let ty = q.ty()?;
                arity(operands, 3..=3)?;
                let alu = match ty {
                    Ty::F32 => float::copysign_f32(),
                    Ty::F64 => float::copysign_f64(),
                    _ => return Err("this type is not supported here".into()),
                };
                let d = self.dest(&operands[0], ty.width())?;
                let sources = self.sources(&operands[1..], &[ty; 2])?;
                self.alu(alu, d, &sources);
            }
            "testp" => {
                let kind = q
                    .one_of(&[
                        "finite",
                        "infinite",
                        "number",
                        "notanumber",
                        "normal",
                        "subnormal",
                    ])
                    .ok_or("expected a property")?;
                let ty = q.ty()?;
                arity(operands, 2..=2)?;
                let alu = match ty {
                    Ty::F32 => logic::testp_f32(),
                    Ty::F64 => logic::testp_f64(),
                    _ => return Err("this type is not supported here".into()),
                };
                let d = self.dest(&operands[0], Width::Pred)?;
                let a = self.source(&operands[1], ty)?;
                self.alu(alu, d, &[a]).sub = kind as u16;
            }
            "cvt" => self.convert(q, operands)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn unary(&mut self, q: &mut Quals<'a>, operands: &[Operand<'a>]) -> Step<()> {
        arity(operands, 2..=2)?;
        let approx = q.take("approx");
        let ftz = q.take("ftz");
        let ty = q.ty()?;
        let round = q.round();
        let base = q.base;
        if matches!(ty, Ty::F16 | Ty::F16x2 | Ty::Bf16 | Ty::Bf16x2) {
            let sub = match base {
                "ex2" => half::EX2,
                "tanh" => half::TANH,
                _ => return Err("this type is not supported here".into()),
            };
            return self.half(sub, ty, if ftz { FTZ } else { 0 }, false, operands, 1);
        }
        if !approx && !matches!(base, "rcp" | "sqrt") {
            return Err("expected `.approx`".into());
        }
        let coarse = approx && ftz;
        let alu = match (base, ty) {
            ("rcp" | "sqrt", Ty::F32 | Ty::F64)
                if round != Round::Nearest || (ftz && ty == Ty::F32 && !approx) =>
            {
                let op = if base == "rcp" {
                    Moded::Rcp
                } else {
                    Moded::Sqrt
                };
                return self.moded(op, ty, round as u8 | if ftz { FTZ } else { 0 }, operands);
            }
            ("rcp", Ty::F32) => float::rcp_f32(),
            ("rcp", Ty::F64) if coarse => float::rcp_coarse_f64(),
            ("rcp", Ty::F64) => float::rcp_f64(),
            ("sqrt", Ty::F32) => float::sqrt_f32(),
            ("sqrt", Ty::F64) => float::sqrt_f64(),
            ("rsqrt", Ty::F32) => float::rsqrt_f32(),
            ("rsqrt", Ty::F64) if coarse => float::rsqrt_coarse_f64(),
            ("rsqrt", Ty::F64) => float::rsqrt_f64(),
            ("sin", Ty::F32) => float::sin_f32(),
            ("cos", Ty::F32) => float::cos_f32(),
            ("lg2", Ty::F32) => float::lg2_f32(),
            ("ex2", Ty::F32) => float::ex2_f32(),
            ("tanh", Ty::F32) => float::tanh_f32(),
            _ => return Err("this type is not supported here".into()),
        };
        let d = self.dest(&operands[0], ty.width())?;
        let mut a = self.source(&operands[1], ty)?;
        if ftz && ty == Ty::F32 {
            let flushed = self.temporary(Width::W32, 0);
            self.alu(float::flush_f32(), flushed, &[a]);
            a = flushed;
        }
        self.alu(alu, d, &[a]);
        if ftz && ty == Ty::F32 {
            self.alu(float::flush_f32(), d, &[d]);
        }
        Ok(())
    }

    /// `cvt.pack`.
    fn convert_pack(&mut self, q: &mut Quals<'a>, operands: &[Operand<'a>]) -> Step<()> {
        q.take("sat");
        let types = [
            ("u16", 16),
            ("s16", 0x80 | 16),
            ("u8", 8),
            ("s8", 0x80 | 8),
            ("u4", 4),
            ("s4", 0x80 | 4),
            ("u2", 2),
            ("s2", 0x80 | 2),
        ];
        let (_, flags) = types
            .into_iter()
            .find(|(name, _)| q.take(name))
            .ok_or("this type is not supported here")?;
        if q.ty()? != Ty::S32 {
            return Err("only `.s32` is supported".into());
        }
        let wide = flags & 0x7f == 16;
        if !wide {
            q.take("b32");
        }
        let count = if wide { 3 } else { 4 };
        arity(operands, count..=count)?;
        let d = self.dest(&operands[0], Width::W32)?;
        let mut sources = self.sources(&operands[1..], &[Ty::S32, Ty::S32, Ty::B32])?;
        sources.resize(3, sources[0]);
        self.alu(convert::cvt_pack(), d, &sources).flags = flags;
        Ok(())
    }

    /// Conversions from and to pairs of 8-bit floats; false if it is none.
    fn convert_f8(&mut self, q: &mut Quals<'a>, operands: &[Operand<'a>]) -> Step<bool> {
        let Some(kind) = q.one_of(&["e4m3x2", "e5m2x2"]) else {
            return Ok(false);
        };
        let mut flags = if kind == 1 { f8::E5M2 } else { 0 };
        q.take("rn");
        let satfinite = q.take("satfinite");
        if q.take("relu") {
            flags |= f8::RELU;
        }
        let other = q.ty()?;
        // With the 8-bit type as the target, `.satfinite` must be there; it is what tells the directions apart.
        let (how, d, sources): (u8, Width, &[Ty]) = match (other, satfinite) {
            (Ty::F32, true) => (f8::FROM_F32, Width::W16, &[Ty::F32, Ty::F32]),
            (Ty::F16x2, true) => (f8::FROM_F16X2, Width::W16, &[Ty::F16x2]),
            (Ty::F16x2, false) => (f8::TO_F16X2, Width::W32, &[Ty::B16]),
            _ => return Err("this conversion is not supported".into()),
        };
        arity(operands, sources.len() + 1..=sources.len() + 1)?;
        let d = self.dest(&operands[0], d)?;
        let sources = self.sources(&operands[1..], sources)?;
        self.alu(convert::cvt_f8(), d, &sources).flags = flags | how;
        Ok(true)
    }

    /// Conversions of integers that fill only a part of their register, by shifts and masks; false if it is none of those. A register is told with its type and width.
    fn extend(
        &mut self,
        (d, to, to_width): (Loc, Ty, Width),
        (a, from, from_width): (Loc, Ty, Width),
    ) -> bool {
        // Of the program's own temporaries others have lower numbers.
        const NUMBER: u32 = 8;
        let (bits, signed) = (from.size() * 8, from.signed());
        let to_float = to == Ty::F32;
        let whole = to_width == to.width() && (to_float || !to.is_float());
        if from.is_float() || !whole || bits >= 64 {
            return false;
        }
        match (from_width, to_width) {
            // The lower half of a wide register.
            (Width::W64, Width::W32) if bits == 32 && !to_float => {
                self.alu(convert::cvt_64_32(), d, &[a]);
            }
            (Width::W64, Width::W64) if signed => {
                let by = self.module.constant(u64::from(64 - bits), Width::W32);
                let shifted = self.temporary(Width::W64, NUMBER);
                self.alu(int::shl_64(), shifted, &[a, by]);
                self.alu(int::shr_s64(), d, &[shifted, by]);
            }
            (Width::W64, Width::W64) => {
                let mask = self.module.constant((1 << bits) - 1, Width::W64);
                self.alu(int::and_64(), d, &[a, mask]);
            }
            (Width::W16 | Width::W32, Width::W32) if bits < 32 => {
                let last = if to_float {
                    self.temporary(Width::W32, NUMBER)
                } else {
                    d
                };
                let wide = match from_width {
                    Width::W32 => a,
                    _ if bits == 16 => last,
                    _ => self.temporary(Width::W32, NUMBER + 1),
                };
                if from_width == Width::W16 {
                    let widen = match (bits, signed) {
                        (16, true) => convert::cvt_s16_s32(),
                        _ => convert::cvt_u16_u32(),
                    };
                    self.alu(widen, wide, &[a]);
                }
                if wide != last && signed {
                    let by = self.module.constant(u64::from(32 - bits), Width::W32);
                    let shifted = self.temporary(Width::W32, NUMBER + 2);
                    self.alu(int::shl_32(), shifted, &[wide, by]);
                    self.alu(int::shr_s32(), last, &[shifted, by]);
                } else if wide != last {
                    let mask = self.module.constant((1 << bits) - 1, Width::W32);
                    self.alu(int::and_32(), last, &[wide, mask]);
                }
                if to_float {
                    // Such integers are exact in single precision.
                    self.alu(convert::cvt_s32_f32(), d, &[last]);
                }
            }
            _ => return false,
        }
        true
    }

    fn convert(&mut self, q: &mut Quals<'a>, operands: &[Operand<'a>]) -> Step<()> {
        if q.take("pack") {
            return self.convert_pack(q, operands);
        }
        if self.convert_f8(q, operands)? {
            return Ok(());
        }
        let integral = q.one_of(&["rni", "rzi", "rmi", "rpi"]);
        let ties_away = q.take("rna");
        let mut rounding = None;
        if integral.is_none() && !ties_away {
            rounding = q.one_of(&["rn", "rz", "rm", "rp"]);
        }
        let round = match integral.or(rounding) {
            Some(1) => Round::Zero,
            Some(2) => Round::Down,
            Some(3) => Round::Up,
            _ if ties_away => Round::Up,
            _ => Round::Nearest,
        };
        let (ftz, saturate, relu) = (q.take("ftz"), q.take("sat"), q.take("relu"));
        let satfinite = q.take("satfinite");
        let (to, from) = (q.ty()?, q.ty()?);
        if ties_away != (to == Ty::Tf32 && ties_away)
            || to == Ty::Pred
            || from == Ty::Pred
            || matches!(from, Ty::F16x2 | Ty::Bf16x2 | Ty::B128)
            || to == Ty::B128
            || (satfinite && !matches!(to, Ty::F16 | Ty::Bf16 | Ty::F16x2 | Ty::Bf16x2 | Ty::Tf32))
        {
            return Err("this conversion is not supported".into());
        }
        if matches!(to, Ty::F16x2 | Ty::Bf16x2) {
            arity(operands, 3..=3)?;
            if from != Ty::F32 {
                return Err("this conversion is not supported".into());
            }
            let part = if to == Ty::F16x2 { Ty::F16 } else { Ty::Bf16 };
            let d = self.dest(&operands[0], Width::W32)?;
            let sources = self.sources(&operands[1..], &[Ty::F32; 2])?;
            let c = Conversion {
                to: part,
                from,
                to_width: Width::W16,
                from_width: Width::W32,
                round,
                integral: false,
                ftz,
                saturate,
                relu,
                satfinite,
            };
            let simple = round == Round::Nearest && !ftz && !saturate && !relu && !satfinite;
            match part {
                Ty::F16 if simple => self.alu(convert::cvt_f32_f16x2(), d, &sources),
                Ty::Bf16 if simple => self.alu(convert::cvt_f32_bf16x2(), d, &sources),
                _ => self.alu(convert::cvt_pack_halves(), d, &sources),
            }
            .imm = c.pack();
            return Ok(());
        }
        arity(operands, 2..=2)?;
        let (d, to_width) = self.dest_any(&operands[0])?;
        let (a, from_width) = self.source_any(&operands[1], from)?;
        for (width, ty) in [(to_width, to), (from_width, from)] {
            if width == Width::Pred || width == Width::W128 || width.lane_bytes() < ty.size() {
                return Err("the register does not fit the type".into());
            }
        }
        // A narrowing conversion needs a rounding mode; without one the values pass unchanged between floats of one size.
        let integral = integral.is_some() && to.is_float();
        let plain = !ftz
            && !saturate
            && !relu
            && !satfinite
            && to_width == to.width()
            && from_width == from.width();
        let simple = plain && round == Round::Nearest && !integral;
        let fast: Option<fn() -> Alu> = match (from, to) {
            _ if !plain => None,
            (Ty::U16 | Ty::B16, Ty::U32 | Ty::S32 | Ty::B32) => Some(convert::cvt_u16_u32),
            (Ty::S16, Ty::U32 | Ty::S32 | Ty::B32) => Some(convert::cvt_s16_s32),
            (Ty::U16 | Ty::B16, Ty::U64 | Ty::S64 | Ty::B64) => Some(convert::cvt_u16_u64),
            (Ty::S16, Ty::U64 | Ty::S64 | Ty::B64) => Some(convert::cvt_s16_s64),
            (Ty::U32 | Ty::B32, Ty::U64 | Ty::S64 | Ty::B64) => Some(convert::cvt_u32_u64),
            (Ty::S32, Ty::U64 | Ty::S64 | Ty::B64) => Some(convert::cvt_s32_s64),
            (Ty::U32 | Ty::S32 | Ty::B32, Ty::U16 | Ty::S16 | Ty::B16) => Some(convert::cvt_32_16),
            (Ty::U64 | Ty::S64 | Ty::B64, Ty::U16 | Ty::S16 | Ty::B16) => Some(convert::cvt_64_16),
            (Ty::U64 | Ty::S64 | Ty::B64, Ty::U32 | Ty::S32 | Ty::B32) => Some(convert::cvt_64_32),
            (Ty::U32 | Ty::S32, Ty::U32 | Ty::S32) => Some(logic::mov_32),
            (Ty::U64 | Ty::S64, Ty::U64 | Ty::S64) => Some(logic::mov_64),
            (Ty::S32, Ty::F32) if simple => Some(convert::cvt_s32_f32),
            (Ty::U32, Ty::F32) if simple => Some(convert::cvt_u32_f32),
            (Ty::S32, Ty::F64) => Some(convert::cvt_s32_f64),
            (Ty::U32, Ty::F64) => Some(convert::cvt_u32_f64),
            (Ty::F32, Ty::F64) if !integral => Some(convert::cvt_f32_f64),
            (Ty::F64, Ty::F32) if simple => Some(convert::cvt_f64_f32),
            (Ty::F32, Ty::S32) if round == Round::Zero => Some(convert::cvt_rzi_f32_s32),
            (Ty::F32, Ty::U32) if round == Round::Zero => Some(convert::cvt_rzi_f32_u32),
            (Ty::F32, Ty::F32) if integral => Some(match round {
                Round::Nearest => convert::cvt_rni_f32,
                Round::Zero => convert::cvt_rzi_f32,
                Round::Down => convert::cvt_rmi_f32,
                Round::Up => convert::cvt_rpi_f32,
            }),
            (Ty::F16, Ty::F32) if !integral => Some(convert::cvt_f16_f32),
            (Ty::Bf16, Ty::F32) if !integral => Some(convert::cvt_bf16_f32),
            (Ty::F32, Ty::F16) if simple => Some(convert::cvt_f32_f16),
            (Ty::F32, Ty::Bf16) if simple => Some(convert::cvt_f32_bf16),
            _ => None,
        };
        let saturating = saturate && !ftz && !relu && !satfinite && !integral;
        let fast = match (from, to, from_width) {
            (Ty::F32, Ty::F32, Width::W32) if saturating && to_width == Width::W32 => {
                Some(convert::cvt_sat_f32 as fn() -> Alu)
            }
            _ => fast,
        };
        if fast.is_none()
            && !saturate
            && !relu
            && !satfinite
            && self.extend((d, to, to_width), (a, from, from_width))
        {
            return Ok(());
        }
        match fast {
            Some(alu) => {
                self.alu(alu(), d, &[a]);
            }
            None => {
                let c = Conversion {
                    to,
                    from,
                    to_width,
                    from_width,
                    round,
                    integral,
                    ftz,
                    saturate,
                    relu,
                    satfinite,
                };
                self.alu(convert::cvt_general(), d, &[a]).imm = c.pack();
            }
        }
        Ok(())
    }
}
