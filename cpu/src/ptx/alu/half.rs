//! Half precision and bfloat16: each operation is done in double precision with its exact error and rounded once.

use super::float_modes::{FTZ, Moded, NAN, RELU, SAT, XORSIGN_ABS};
use super::rounding::{Round, odd, two_sum};
use super::{alu, get, map3, put};
use crate::ptx::code::{Bases, Ins};

/// Canonical NaN of both formats.
pub(crate) const NAN_HALF: u16 = 0x7fff;

/// Value of a half-precision number.
#[inline(always)]
pub(crate) fn f16_to_f64(h: u16) -> f64 {
    let sign = if h & 0x8000 != 0 { -1.0 } else { 1.0 };
    let (exponent, mantissa) = (u32::from(h >> 10 & 0x1f), f64::from(h & 0x3ff));
    match exponent {
        0 => sign * mantissa * f64::from_bits((1023 - 24) << 52),
        31 if h & 0x3ff != 0 => f64::NAN,
        31 => sign * f64::INFINITY,
        e => sign * (1024.0 + mantissa) * f64::from_bits(u64::from(e + 1023 - 25) << 52),
    }
}

/// Value of a bfloat16 number.
#[inline(always)]
pub(crate) fn bf16_to_f64(h: u16) -> f64 {
    f64::from(f32::from_bits(u32::from(h) << 16))
}

/// Rounds `value + tail` to a format with `mantissa` explicit bits and smallest normal exponent `min_exponent`; the result's bits without NaN handling.
fn round_narrow(
    value: f64,
    tail: f64,
    mode: Round,
    mantissa: u32,
    min_exponent: i32,
    max_exponent: i32,
) -> u16 {
    let sign = if value.is_sign_negative() {
        0x8000u16
    } else {
        0
    };
    let infinity = ((max_exponent - min_exponent + 2) as u16) << mantissa;
    if value.is_infinite() {
        return sign | infinity;
    }
    let x = odd(value, tail).abs();
    if x == 0.0 {
        return sign;
    }
    let exponent = ((x.to_bits() >> 52) as i32 - 1023).max(min_exponent);
    // In units of the last place.
    let scaled = scale(x, mantissa as i32 - exponent);
    let up = match mode {
        Round::Nearest => scaled.round_ties_even(),
        Round::Zero => scaled.floor(),
        Round::Down if sign != 0 => scaled.ceil(),
        Round::Up if sign == 0 => scaled.ceil(),
        _ => scaled.floor(),
    };
    // Adding the hidden bit to the exponent field carries as it should.
    let bits = up as u64 + ((exponent - min_exponent) as u64) * (1 << mantissa);
    if bits >= u64::from(infinity) {
        let away = mode == Round::Nearest
            || (mode == Round::Up && sign == 0)
            || (mode == Round::Down && sign != 0);
        return sign | if away { infinity } else { infinity - 1 };
    }
    sign | bits as u16
}

fn scale(x: f64, by: i32) -> f64 {
    let half = by / 2;
    let power = |n: i32| f64::from_bits(((n + 1023) as u64) << 52);
    x * power(half) * power(by - half)
}

/// Rounds to half precision.
pub(crate) fn round_to_f16(value: f64, tail: f64, mode: Round) -> u16 {
    if value.is_nan() {
        NAN_HALF
    } else {
        round_narrow(value, tail, mode, 10, -14, 15)
    }
}

/// Rounds to bfloat16.
pub(crate) fn round_to_bf16(value: f64, tail: f64, mode: Round) -> u16 {
    if value.is_nan() {
        NAN_HALF
    } else {
        round_narrow(value, tail, mode, 7, -126, 127)
    }
}

/// `sub` of half operations: a [`Moded`] or one of these.
pub(crate) const NEG: u16 = 32;
pub(crate) const ABS: u16 = 33;
pub(crate) const EX2: u16 = 34;
pub(crate) const TANH: u16 = 35;
/// In [`Ins::imm`]: bfloat16 instead of half precision.
pub(crate) const BF16: u64 = 1;
/// In [`Ins::imm`]: zero if a factor is [`OOB_NAN`].
pub(crate) const OOB: u64 = 2;
/// What stands for a place outside of a tensor, in both formats: the bulk copies of tensors put it there if their descriptor says so.
const OOB_NAN: u16 = 0x7ff7;

fn apply(sub: u16, a: u16, b: u16, c: u16, flags: u8, imm: u64) -> u16 {
    if imm & OOB != 0 && (a == OOB_NAN || b == OOB_NAN) {
        return 0;
    }
    let bf = imm & BF16 != 0;
    let max_subnormal: u16 = if bf { 0x7f } else { 0x3ff };
    let flush = |h: u16| {
        if flags & FTZ != 0 && h & 0x7fff <= max_subnormal {
            h & 0x8000
        } else {
            h
        }
    };
    let (a, b, c) = (flush(a), flush(b), flush(c));
    let value = |h: u16| if bf { bf16_to_f64(h) } else { f16_to_f64(h) };
    let (x, y, z) = (value(a), value(b), value(c));
    let round = |v: f64, tail: f64| {
        let mode = Round::from_bits(flags);
        if bf {
            return flush(round_to_bf16(v, tail, mode));
        }
        let r = round_to_f16(v, tail, mode);
        // A GPU looks before it rounds whether a result is subnormal.
        if flags & FTZ != 0 && r & 0x7fff == max_subnormal + 1 {
            return flush(round_to_f16(v, tail, Round::Zero));
        }
        flush(r)
    };
    let r = match sub {
        NEG => return if x.is_nan() { NAN_HALF } else { a ^ 0x8000 },
        ABS => return if x.is_nan() { NAN_HALF } else { a & 0x7fff },
        EX2 => round(x.exp2(), 0.0),
        TANH => round(x.tanh(), 0.0),
        s if s == Moded::Add as u16 => {
            let (s, e) = two_sum(x, y);
            round(s, e)
        }
        s if s == Moded::Sub as u16 => {
            let (s, e) = two_sum(x, -y);
            round(s, e)
        }
        s if s == Moded::Mul as u16 => round(x * y, 0.0),
        s if s == Moded::Fma as u16 => {
            let (s, e) = two_sum(x * y, z);
            round(s, e)
        }
        s => {
            if flags & NAN != 0 && (x.is_nan() || y.is_nan()) {
                return NAN_HALF;
            }
            let sign = (a ^ b) & 0x8000;
            let (p, q) = if flags & XORSIGN_ABS != 0 {
                (a & 0x7fff, b & 0x7fff)
            } else {
                (a, b)
            };
            let (x, y) = (value(p), value(q));
            let first = if s == Moded::Min as u16 {
                y.is_nan() || x < y || (x == y && x.is_sign_negative())
            } else {
                y.is_nan() || x > y || (x == y && x.is_sign_positive())
            };
            let r = if x.is_nan() && y.is_nan() {
                NAN_HALF
            } else if !x.is_nan() && first {
                p
            } else {
                q
            };
            if flags & XORSIGN_ABS != 0 && r != NAN_HALF {
                r | sign
            } else {
                r
            }
        }
    };
    let v = value(r);
    if flags & SAT != 0 {
        return if v.is_nan() || v <= 0.0 {
            0
        } else if v >= 1.0 {
            if bf { 0x3f80 } else { 0x3c00 }
        } else {
            r
        };
    }
    if flags & RELU != 0 && r & 0x8000 != 0 && !v.is_nan() {
        0
    } else {
        r
    }
}

/// Comparison of halves: `sub` 0 eq, 1 lt, 2 le, 3 lg, 4 num.
fn relation(x: f64, y: f64, kind: u16) -> bool {
    match kind {
        0 => x == y,
        1 => x < y,
        2 => x <= y,
        3 => !x.is_nan() && !y.is_nan() && x != y,
        _ => !x.is_nan() && !y.is_nan(),
    }
}

/// Compares halves (`imm` bit 0: bfloat16, bit 1: packed, second result in `e`; bit 2: flush subnormals).
///
/// # Safety
/// As [`get`].
unsafe fn compare_half(b: &Bases, i: &Ins, m: u32) {
    let max_subnormal: u16 = if i.imm & BF16 != 0 { 0x7f } else { 0x3ff };
    let flush = |h: u16| {
        if i.imm & 4 != 0 && h & 0x7fff <= max_subnormal {
            h & 0x8000
        } else {
            h
        }
    };
    let value = |h: u16| {
        if i.imm & BF16 != 0 {
            bf16_to_f64(flush(h))
        } else {
            f16_to_f64(flush(h))
        }
    };
    // SAFETY: the caller's promise.
    unsafe {
        if i.imm & 2 == 0 {
            let (x, y): ([u16; 32], [u16; 32]) = (get(b, i.a), get(b, i.b));
            let bits = (0..32).fold(0, |bits, l| {
                bits | u32::from(relation(value(x[l]), value(y[l]), i.sub)) << l
            });
            super::logic::finish(b, i, m, bits);
        } else {
            let (x, y): ([u32; 32], [u32; 32]) = (get(b, i.a), get(b, i.b));
            for (half, out) in [(0, i.d), (1, i.e)] {
                let part = |v: u32| value((v >> (16 * half)) as u16);
                let bits = (0..32).fold(0, |bits, l| {
                    bits | u32::from(relation(part(x[l]), part(y[l]), i.sub)) << l
                });
                let one = Ins {
                    d: out,
                    e: crate::ptx::code::NONE,
                    ..*i
                };
                super::logic::finish(b, &one, m, bits);
            }
        }
    }
}

/// Packed operation: both halves.
///
/// # Safety
/// As [`get`].
unsafe fn packed(b: &Bases, i: &Ins, m: u32) {
    // SAFETY: the caller's promise.
    unsafe {
        let (x, y, z): ([u32; 32], [u32; 32], [u32; 32]) = (get(b, i.a), get(b, i.b), get(b, i.c));
        let r: [u32; 32] = std::array::from_fn(|l| {
            let low = apply(i.sub, x[l] as u16, y[l] as u16, z[l] as u16, i.flags, i.imm);
            let high = apply(
                i.sub,
                (x[l] >> 16) as u16,
                (y[l] >> 16) as u16,
                (z[l] >> 16) as u16,
                i.flags,
                i.imm,
            );
            u32::from(low) | u32::from(high) << 16
        });
        put(b, i.d, &r, m);
    }
}

alu! {
    half_op = |b, i, m| map3(b, i, m, |x: u16, y: u16, z: u16| apply(i.sub, x, y, z, i.flags, i.imm));
    half_packed = |b, i, m| packed(b, i, m);
    half_compare = |b, i, m| compare_half(b, i, m);
}

/// `old + value` in half precision or bfloat16, for atomics.
pub(crate) fn add_half(old: u16, value: u16, bf: bool) -> u16 {
    apply(Moded::Add as u16, old, value, 0, 0, u64::from(bf) * BF16)
}

/// Minimum or maximum for atomics.
pub(crate) fn minmax_half(old: u16, value: u16, bf: bool, max: bool) -> u16 {
    apply(
        if max { Moded::Max } else { Moded::Min } as u16,
        old,
        value,
        0,
        0,
        u64::from(bf) * BF16,
    )
}
