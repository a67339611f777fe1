//! Video instructions.

use super::quals::{Quals, arity};
use super::{Emit, Step};
use crate::ptx::alu::video::{self, Scalar, WHOLE};
use crate::ptx::ast::Operand;
use crate::ptx::types::{Ty, Width};

const SCALARS: [&str; 9] = [
    "vadd", "vsub", "vabsdiff", "vmin", "vmax", "vshl", "vshr", "vset", "vmad",
];
const SIMD: [&str; 7] = ["vadd", "vsub", "vavrg", "vabsdiff", "vmin", "vmax", "vset"];
const RELATIONS: [&str; 6] = ["eq", "ne", "lt", "le", "gt", "ge"];

fn word(q: &mut Quals<'_>) -> Step<bool> {
    match q.ty()? {
        Ty::U32 => Ok(false),
        Ty::S32 => Ok(true),
        _ => Err("this type is not supported here".into()),
    }
}

impl<'a> Emit<'_, 'a> {
    /// Lowers a video instruction; false if it is none.
    pub(super) fn videos(&mut self, q: &mut Quals<'a>, operands: &[Operand<'a>]) -> Step<bool> {
        let base = q.base;
        if let Some(op) = SCALARS.iter().position(|name| *name == base) {
            self.scalar_video(op as u8, q, operands)?;
            return Ok(true);
        }
        let simd = base
            .strip_suffix(['2', '4'])
            .and_then(|name| SIMD.iter().position(|n| *n == name));
        let Some(op) = simd else {
            return Ok(false);
        };
        self.simd_video(op as u16, q, operands)?;
        Ok(true)
    }

    fn relation(q: &mut Quals<'a>) -> Step<u8> {
        q.one_of(&RELATIONS)
            .map(|k| k as u8)
            .ok_or_else(|| "expected a comparison".to_owned())
    }

    /// A register or a part of one.
    fn piece(&mut self, operand: &Operand<'a>) -> Step<(Operand<'a>, u8)> {
        match operand {
            Operand::Piece(register, piece) => Ok((Operand::Reg(*register), *piece)),
            Operand::Reg(_) | Operand::Int(_) | Operand::Sink => Ok((operand.clone(), WHOLE)),
            _ => Err("this form of operand is not supported here".into()),
        }
    }

    fn scalar_video(&mut self, op: u8, q: &mut Quals<'a>, operands: &[Operand<'a>]) -> Step<()> {
        let (compare, multiply) = (op == 7, op == 8);
        let d_signed = if compare { false } else { word(q)? };
        let (a_signed, b_signed) = (word(q)?, word(q)?);
        // A comparison has no type of its own; a second operation takes that of the first operand.
        let d_signed = if compare { a_signed } else { d_signed };
        let relation = if compare { Self::relation(q)? } else { 0 };
        let saturate = !compare && q.take("sat");
        let wrap = if op == 5 || op == 6 {
            q.one_of(&["clamp", "wrap"])
                .ok_or("expected `.clamp` or `.wrap`")?
                == 1
        } else {
            false
        };
        let scale = if multiply {
            [0, 7, 15][q.one_of(&["shr7", "shr15"]).map_or(0, |k| k + 1)]
        } else {
            0
        };
        let plus_one = multiply && q.take("po");
        let second = if multiply {
            0
        } else {
            q.one_of(&["add", "min", "max"]).map_or(0, |k| k as u8 + 1)
        };
        let (d, d_piece) = self.piece(operands.first().ok_or("operands are missing")?)?;
        let three = multiply || second != 0 || d_piece != WHOLE;
        arity(operands, if three { 4..=4 } else { 3..=4 })?;
        let ((a, a_piece), (b, b_piece)) = (self.piece(&operands[1])?, self.piece(&operands[2])?);
        let out = self.dest(&d, Width::W32)?;
        let (a, b) = (self.source(&a, Ty::B32)?, self.source(&b, Ty::B32)?);
        let c = match operands.get(3) {
            Some(c) => self.source(c, Ty::B32)?,
            None => self.module.constant(0, Width::W32),
        };
        let what = Scalar {
            op,
            a: a_piece,
            b: b_piece,
            d: d_piece,
            a_signed,
            b_signed,
            d_signed,
            saturate,
            second,
            relation,
            wrap,
            scale,
            plus_one,
        };
        self.alu(video::one(), out, &[a, b, c]).imm = what.pack();
        Ok(())
    }

    fn simd_video(&mut self, op: u16, q: &mut Quals<'a>, operands: &[Operand<'a>]) -> Step<()> {
        let halves = q.base.ends_with('2');
        let compare = op == 6;
        let d_signed = if compare { false } else { word(q)? };
        let (a_signed, b_signed) = (word(q)?, word(q)?);
        let sub = if compare {
            op + u16::from(Self::relation(q)?)
        } else {
            op
        };
        let (saturate, accumulate) = (!compare && q.take("sat"), q.take("add"));
        arity(operands, 4..=4)?;
        let d = self.dest(&operands[0], Width::W32)?;
        let sources = self.sources(&operands[1..], &[Ty::U32; 3])?;
        let ins = self.alu(video::simd(), d, &sources);
        ins.sub = sub;
        ins.flags = u8::from(a_signed)
            | u8::from(b_signed) << 1
            | u8::from(saturate) << 2
            | u8::from(accumulate) << 3
            | u8::from(d_signed) << 4
            | u8::from(halves) << 5;
        Ok(())
    }
}
