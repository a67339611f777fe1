//! Arithmetic with any rounding mode, flushing and saturation: one lane at a time, for the forms that are rare.

use super::float::{canon, flush, max32, min32};
use super::rounding::{self, Round};
use super::{alu, map3};

/// Operations that have rounding modes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum Moded {
    Add,
    Sub,
    Mul,
    Fma,
    Div,
    Sqrt,
    Rcp,
    /// Minimum and maximum with their modifiers.
    Min,
    Max,
}

impl Moded {
    fn from_sub(sub: u16) -> Moded {
        [
            Moded::Add,
            Moded::Sub,
            Moded::Mul,
            Moded::Fma,
            Moded::Div,
            Moded::Sqrt,
            Moded::Rcp,
            Moded::Min,
            Moded::Max,
        ][usize::from(sub.min(8))]
    }
}

/// Bits of `flags` (the two lowest are the rounding mode).
pub(crate) const FTZ: u8 = 4;
pub(crate) const SAT: u8 = 8;
pub(crate) const NAN: u8 = 16;
pub(crate) const XORSIGN_ABS: u8 = 32;
/// Negative results become zero.
pub(crate) const RELU: u8 = 64;

/// One operation in single precision.
pub(crate) fn apply32(op: Moded, mut a: f32, mut b: f32, mut c: f32, flags: u8) -> f32 {
    let mode = Round::from_bits(flags);
    if flags & FTZ != 0 {
        (a, b, c) = (flush(a), flush(b), flush(c));
    }
    let mut r = match op {
        Moded::Add => rounding::add32(a, b, mode),
        Moded::Sub => rounding::add32(a, -b, mode),
        Moded::Mul => rounding::mul32(a, b, mode),
        Moded::Fma => rounding::fma32(a, b, c, mode),
        Moded::Div => rounding::div32(a, b, mode),
        Moded::Sqrt => rounding::sqrt32(a, mode),
        Moded::Rcp => rounding::div32(1.0, a, mode),
        Moded::Min | Moded::Max => {
            let sign = (a.to_bits() ^ b.to_bits()) & 0x8000_0000;
            if flags & NAN != 0 && (a.is_nan() || b.is_nan()) {
                return f32::from_bits(super::float::NAN_F32);
            }
            let (x, y) = if flags & XORSIGN_ABS != 0 {
                (a.abs(), b.abs())
            } else {
                (a, b)
            };
            let r = if op == Moded::Min {
                min32(x, y)
            } else {
                max32(x, y)
            };
            if flags & XORSIGN_ABS != 0 {
                f32::from_bits(r.to_bits() | sign)
            } else {
                r
            }
        }
    };
    if flags & FTZ != 0 {
        // A GPU looks before it rounds whether a result is subnormal.
        if r.abs() == f32::MIN_POSITIVE && mode != Round::Zero {
            let cut = match op {
                Moded::Mul => rounding::mul32(a, b, Round::Zero),
                Moded::Fma => rounding::fma32(a, b, c, Round::Zero),
                Moded::Div => rounding::div32(a, b, Round::Zero),
                _ => r,
            };
            if cut.abs() < f32::MIN_POSITIVE {
                r = cut;
            }
        }
        r = flush(r);
    }
    if flags & SAT != 0 {
        return if r.is_nan() {
            0.0
        } else {
            r.clamp(0.0, 1.0) + 0.0
        };
    }
    if flags & RELU != 0 && !r.is_nan() && r.is_sign_negative() {
        return 0.0;
    }
    canon(r)
}

/// One operation in double precision.
pub(crate) fn apply64(op: Moded, a: f64, b: f64, c: f64, flags: u8) -> f64 {
    let mode = Round::from_bits(flags);
    let nan = match op {
        Moded::Add | Moded::Sub | Moded::Mul => [b, a, a],
        Moded::Fma => [b, c, a],
        _ => [0.0; 3],
    };
    if let Some(nan) = nan.into_iter().find(|v| v.is_nan()) {
        return super::float::quiet(nan);
    }
    match op {
        Moded::Add => rounding::add64(a, b, mode),
        Moded::Sub => rounding::add64(a, -b, mode),
        Moded::Mul => rounding::mul64(a, b, mode),
        Moded::Fma => rounding::fma64(a, b, c, mode),
        Moded::Div => rounding::div64(a, b, mode),
        Moded::Sqrt => rounding::sqrt64(a, mode),
        Moded::Rcp => rounding::div64(1.0, a, mode),
        Moded::Min => super::float::min64(a, b),
        Moded::Max => super::float::max64(a, b),
    }
}

alu! {
    moded_f32 = |b, i, m| { let op = Moded::from_sub(i.sub); map3(b, i, m, |x: f32, y: f32, z: f32| apply32(op, x, y, z, i.flags)) };
    moded_f64 = |b, i, m| { let op = Moded::from_sub(i.sub); map3(b, i, m, |x: f64, y: f64, z: f64| apply64(op, x, y, z, i.flags)) };
}
