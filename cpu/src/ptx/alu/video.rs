//! Video instructions: arithmetic on parts of registers, with saturation and a second operation.

use super::{alu, map3};
use crate::ptx::code::Ins;

/// Comparisons in the order `eq`, `ne`, `lt`, `le`, `gt`, `ge`.
fn compare(relation: u64, x: i64, y: i64) -> bool {
    match relation {
        0 => x == y,
        1 => x != y,
        2 => x < y,
        3 => x <= y,
        4 => x > y,
        _ => x >= y,
    }
}

/// `vabsdiff4`, `vadd4`, … on packed bytes. `sub`: 0 add, 1 sub, 2 avrg, 3 absdiff, 4 min, 5 max; `flags`: 1 a signed, 2 b signed, 4 saturate, 8 accumulate,
/// 16 signed result, 32 halves instead of bytes. From 6 on comparisons: eq, ne, lt, le, gt, ge.
fn video_simd(a: u32, b: u32, c: u32, i: &Ins) -> u32 {
    let halves = i.flags & 32 != 0;
    let (count, bits) = if halves { (2, 16) } else { (4, 8) };
    let lane = |v: u32, k: u32, signed: bool| {
        let raw = i64::from(v >> (bits * k) & ((1 << bits) - 1));
        if signed && raw >> (bits - 1) != 0 {
            raw - (1 << bits)
        } else {
            raw
        }
    };
    let signed = i.flags & 16 != 0;
    let (mut packed, mut sum) = (0u32, c);
    for k in 0..count {
        let (x, y) = (lane(a, k, i.flags & 1 != 0), lane(b, k, i.flags & 2 != 0));
        let mut v = match i.sub {
            0 => x + y,
            1 => x - y,
            2 => (x + y + i64::from(x + y >= 0)) >> 1,
            3 => (x - y).abs(),
            4 => x.min(y),
            5 => x.max(y),
            relation => i64::from(compare(u64::from(relation - 6), x, y)),
        };
        if i.flags & 4 != 0 {
            v = if signed {
                v.clamp(-(1 << (bits - 1)), (1 << (bits - 1)) - 1)
            } else {
                v.clamp(0, (1 << bits) - 1)
            };
        }
        sum = sum.wrapping_add(v as u32);
        packed |= (v as u32 & ((1 << bits) - 1)) << (bits * k);
    }
    if i.flags & 8 != 0 { sum } else { packed }
}

/// What a scalar video instruction does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scalar {
    /// 0 add, 1 sub, 2 absolute difference, 3 min, 4 max, 5 shift left, 6 shift right, 7 compare, 8 multiply and add.
    pub(crate) op: u8,
    /// Parts of the operands and of the result: bytes 0 to 3, halves 4 and 5, [`WHOLE`].
    pub(crate) a: u8,
    pub(crate) b: u8,
    pub(crate) d: u8,
    pub(crate) a_signed: bool,
    pub(crate) b_signed: bool,
    pub(crate) d_signed: bool,
    pub(crate) saturate: bool,
    /// 0 none, 1 add, 2 min, 3 max.
    pub(crate) second: u8,
    /// Comparison.
    pub(crate) relation: u8,
    /// Shifts wrap instead of stopping at 32.
    pub(crate) wrap: bool,
    /// Bits by which a product is shifted.
    pub(crate) scale: u8,
    /// One is added to a product.
    pub(crate) plus_one: bool,
}

/// All of a register.
pub(crate) const WHOLE: u8 = 7;

impl Scalar {
    pub(crate) fn pack(self) -> u64 {
        let flag = |f: bool, at: u32| u64::from(f) << at;
        u64::from(self.op)
            | u64::from(self.a) << 4
            | u64::from(self.b) << 7
            | u64::from(self.d) << 10
            | flag(self.a_signed, 13)
            | flag(self.b_signed, 14)
            | flag(self.d_signed, 15)
            | flag(self.saturate, 16)
            | u64::from(self.second) << 17
            | u64::from(self.relation) << 19
            | flag(self.wrap, 22)
            | u64::from(self.scale) << 23
            | flag(self.plus_one, 28)
    }

    fn unpack(bits: u64) -> Scalar {
        let field = |at: u32, width: u32| (bits >> at & ((1 << width) - 1)) as u8;
        Scalar {
            op: field(0, 4),
            a: field(4, 3),
            b: field(7, 3),
            d: field(10, 3),
            a_signed: field(13, 1) != 0,
            b_signed: field(14, 1) != 0,
            d_signed: field(15, 1) != 0,
            saturate: field(16, 1) != 0,
            second: field(17, 2),
            relation: field(19, 3),
            wrap: field(22, 1) != 0,
            scale: field(23, 5),
            plus_one: field(28, 1) != 0,
        }
    }
}

/// A part of a register, extended.
fn part(value: u32, part: u8, signed: bool) -> i64 {
    let (shift, bits) = match part {
        0..4 => (8 * u32::from(part), 8),
        4 | 5 => (16 * u32::from(part - 4), 16),
        _ => (0, 32),
    };
    let raw = i64::from(value) >> shift & ((1 << bits) - 1);
    if signed && raw >> (bits - 1) != 0 {
        raw - (1 << bits)
    } else {
        raw
    }
}

fn limits(part: u8, signed: bool) -> (i64, i64) {
    let bits = match part {
        0..4 => 8,
        4 | 5 => 16,
        _ => 32,
    };
    if signed {
        (-(1 << (bits - 1)), (1 << (bits - 1)) - 1)
    } else {
        (0, (1 << bits) - 1)
    }
}

fn scalar(a: u32, b: u32, c: u32, s: &Scalar) -> u32 {
    let (x, y) = (part(a, s.a, s.a_signed), part(b, s.b, s.b_signed));
    let amount = |y: i64| if s.wrap { y & 31 } else { y.min(32) };
    let shifted = |x: i64, y: i64| i128::from(x) << amount(y);
    if s.op == 5 {
        let mut v = shifted(x, y);
        if s.saturate && s.d == WHOLE {
            // Of what is shifted out, two bits count.
            let (low, high) = limits(s.d, s.d_signed);
            v = (v << 94 >> 94).clamp(i128::from(low), i128::from(high));
        }
        return finish(v, c, s);
    }
    let mut v = match s.op {
        0 => x + y,
        1 => x - y,
        2 => (x - y).abs(),
        3 => x.min(y),
        4 => x.max(y),
        6 => x >> amount(y),
        7 => i64::from(compare(u64::from(s.relation), x, y)),
        _ => return multiply(x, y, c, s),
    };
    if s.saturate {
        let (low, high) = limits(s.d, s.d_signed);
        v = match (s.d, s.d_signed) {
            // What the hardware does, not what the documentation says: unsigned words saturate at the lower end only, parts of signed ones as if they were unsigned.
            (WHOLE, false) => v.max(0),
            (WHOLE, true) => v.clamp(low, high),
            _ => i64::from(v as u32).min(high),
        };
    }
    finish(i128::from(v), c, s)
}

/// The second operation, or the place of the result.
fn finish(v: i128, c: u32, s: &Scalar) -> u32 {
    let wide = if s.d_signed {
        i128::from(c as i32)
    } else {
        i128::from(c)
    };
    // What the hardware does: a saturated shift whose highest bit is set counts as more than any word.
    let shift = matches!(s.op, 5 | 6) && s.saturate && !s.d_signed && !s.a_signed;
    let more = shift && v > i128::from(i32::MAX);
    match s.second {
        1 => return (v as u32).wrapping_add(c),
        2 if more => return c,
        2 => return v.min(wide) as u32,
        3 if more => return v as u32,
        3 => return v.max(wide) as u32,
        _ => {}
    }
    let v = v as u32;
    let merge = |mask: u32, shift: u32| (v << shift) & mask | c & !mask;
    match s.d {
        0..4 => merge(0xff << (8 * s.d), 8 * u32::from(s.d)),
        4 => merge(0xffff, 0),
        // The upper half stays where it is.
        5 => merge(0xffff_0000, 0),
        _ => v,
    }
}

/// `vmad`.
fn multiply(x: i64, y: i64, c: u32, s: &Scalar) -> u32 {
    // Whole words are signed whatever their type says.
    let word = |v: i64, whole: bool| i128::from(if whole { i64::from(v as i32) } else { v });
    let (x, y) = (word(x, s.a == WHOLE), word(y, s.b == WHOLE));
    let sum = x * y + i128::from(c as i32) + i128::from(s.plus_one);
    let signed = s.a_signed || s.b_signed;
    let mut v = sum >> s.scale;
    if s.saturate {
        let (low, high) = limits(WHOLE, signed);
        v = match (signed, s.scale) {
            (false, 1..) if v < 0 => i128::from(high),
            _ => v.clamp(i128::from(low), i128::from(high)),
        };
    }
    v as u32
}

alu! {
    simd = |b, i, m| map3(b, i, m, |x: u32, y: u32, z: u32| video_simd(x, y, z, i));
    one = |b, i, m| { let s = Scalar::unpack(i.imm); map3(b, i, m, |x: u32, y: u32, z: u32| scalar(x, y, z, &s)) };
}
