//! `cvt`: fast paths between integers, and one general conversion for everything else.

use super::float::{canon, flush};
use super::half::{bf16_to_f64, f16_to_f64, round_to_bf16, round_to_f16};
use super::rounding::{Round, to_f32};
use super::{alu, each_lane, few, get, map1, map2, map3, put};
use crate::ptx::code::{Bases, Ins};
use crate::ptx::matrix::{narrowed, widened};
use crate::ptx::types::{Ty, Width};

/// Details of a general conversion, packed into [`Ins::imm`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Conversion {
    pub(crate) to: Ty,
    pub(crate) from: Ty,
    pub(crate) to_width: Width,
    pub(crate) from_width: Width,
    pub(crate) round: Round,
    /// Whether the result is an integral value (`rni`, …).
    pub(crate) integral: bool,
    pub(crate) ftz: bool,
    pub(crate) saturate: bool,
    pub(crate) relu: bool,
    /// Results that would be infinite are the largest finite numbers.
    pub(crate) satfinite: bool,
}

const TYPES: [Ty; 21] = [
    Ty::U8,
    Ty::U16,
    Ty::U32,
    Ty::U64,
    Ty::S8,
    Ty::S16,
    Ty::S32,
    Ty::S64,
    Ty::B8,
    Ty::B16,
    Ty::B32,
    Ty::B64,
    Ty::B128,
    Ty::F16,
    Ty::F16x2,
    Ty::Bf16,
    Ty::Bf16x2,
    Ty::F32,
    Ty::F64,
    Ty::Tf32,
    Ty::Pred,
];
const WIDTHS: [Width; 5] = [Width::Pred, Width::W16, Width::W32, Width::W64, Width::W128];

impl Conversion {
    pub(crate) fn pack(self) -> u64 {
        let ty = |t| TYPES.iter().position(|&x| x == t).unwrap_or(0) as u64;
        let width = |w| WIDTHS.iter().position(|&x| x == w).unwrap_or(0) as u64;
        ty(self.to)
            | ty(self.from) << 8
            | width(self.to_width) << 16
            | width(self.from_width) << 24
            | (self.round as u64) << 32
            | u64::from(self.integral) << 40
            | u64::from(self.ftz) << 41
            | u64::from(self.saturate) << 42
            | u64::from(self.relu) << 43
            | u64::from(self.satfinite) << 44
    }

    fn unpack(bits: u64) -> Conversion {
        let byte = |at: u32| (bits >> at) as u8;
        Conversion {
            to: TYPES[usize::from(byte(0)).min(20)],
            from: TYPES[usize::from(byte(8)).min(20)],
            to_width: WIDTHS[usize::from(byte(16)).min(4)],
            from_width: WIDTHS[usize::from(byte(24)).min(4)],
            round: Round::from_bits(byte(32)),
            integral: bits >> 40 & 1 != 0,
            ftz: bits >> 41 & 1 != 0,
            saturate: bits >> 42 & 1 != 0,
            relu: bits >> 43 & 1 != 0,
            satfinite: bits >> 44 & 1 != 0,
        }
    }
}

/// Value of a source lane.
#[derive(Clone, Copy)]
enum Value {
    Int(i128),
    Float(f64),
}

fn load(bits: u64, ty: Ty) -> Value {
    match ty {
        Ty::U8 | Ty::B8 => Value::Int(i128::from(bits as u8)),
        Ty::U16 | Ty::B16 => Value::Int(i128::from(bits as u16)),
        Ty::U32 | Ty::B32 => Value::Int(i128::from(bits as u32)),
        Ty::S8 => Value::Int(i128::from(bits as i8)),
        Ty::S16 => Value::Int(i128::from(bits as i16)),
        Ty::S32 => Value::Int(i128::from(bits as i32)),
        Ty::S64 => Value::Int(i128::from(bits as i64)),
        Ty::F32 | Ty::Tf32 => Value::Float(f64::from(f32::from_bits(bits as u32))),
        Ty::F64 => Value::Float(f64::from_bits(bits)),
        Ty::F16 => Value::Float(f16_to_f64(bits as u16)),
        Ty::Bf16 => Value::Float(bf16_to_f64(bits as u16)),
        _ => Value::Int(i128::from(bits)),
    }
}

fn round_integral(x: f64, mode: Round) -> f64 {
    match mode {
        Round::Nearest => x.round_ties_even(),
        Round::Zero => x.trunc(),
        Round::Down => x.floor(),
        Round::Up => x.ceil(),
    }
}

fn int_limits(ty: Ty) -> (i128, i128) {
    let bits = ty.size() * 8;
    if ty.signed() {
        (-(1 << (bits - 1)), (1 << (bits - 1)) - 1)
    } else {
        (0, (1 << bits) - 1)
    }
}

fn int_to_float(mut v: i128, c: &Conversion) -> u64 {
    if c.saturate {
        v = v.clamp(0, 1);
    }
    // Integers of up to 64 bits do not fit a double: the part that is cut off is kept as a tail.
    let head = v as f64;
    let tail = (v - head as i128) as f64;
    float_result(head, tail, c)
}

fn float_result(head: f64, tail: f64, c: &Conversion) -> u64 {
    match c.to {
        Ty::F32 => {
            let mut r = to_f32(head, tail, c.round);
            if c.ftz {
                r = flush(r);
            }
            u64::from(canon(r).to_bits())
        }
        Ty::F64 => {
            if tail == 0.0 {
                return head.to_bits();
            }
            super::rounding::add64(head, tail, c.round).to_bits()
        }
        Ty::Bf16 => u64::from(round_to_bf16(head, tail, c.round)),
        Ty::Tf32 => {
            if head.is_nan() {
                return 0x7fff_e000;
            }
            // 10 bits of mantissa; `rna` (ties away) is what exists besides rn and rz.
            let bits = (head as f32).to_bits();
            u64::from(match c.round {
                Round::Zero => bits & !0x1fff,
                Round::Nearest => bits.wrapping_add(0xfff + (bits >> 13 & 1)) & !0x1fff,
                _ => bits.wrapping_add(0x1000) & !0x1fff,
            })
        }
        _ => u64::from(round_to_f16(head, tail, c.round)),
    }
}

/// The largest number in place of infinity.
fn finite(bits: u64, ty: Ty) -> u64 {
    let (infinity, sign) = match ty {
        Ty::F16 => (0x7c00, 0x8000),
        Ty::Bf16 => (0x7f80, 0x8000),
        _ => (0x7f80_0000, 0x8000_0000),
    };
    if bits & !sign != infinity {
        return bits;
    }
    // One less is the largest number; of `.tf32` the lower bits are none.
    let largest = if ty == Ty::Tf32 {
        infinity - 0x2000
    } else {
        infinity - 1
    };
    largest | bits & sign
}

/// Rounds to 8 bits: `e5m2` or `e4m3`. What is too large becomes the largest number, as `.satfinite` has it.
fn to_f8(value: f64, e5m2: bool) -> u8 {
    if value.is_nan() {
        return 0x7f;
    }
    let (mantissa, min_exponent, largest, limit) = if e5m2 {
        (2, -14, 0x7b, 57344.0)
    } else {
        (3, -6, 0x7e, 448.0)
    };
    let sign = if value.is_sign_negative() { 0x80 } else { 0 };
    let x = value.abs();
    if x == 0.0 {
        return sign;
    }
    let exponent = ((x.to_bits() >> 52) as i32 - 1023).max(min_exponent);
    let unit = f64::from_bits(((exponent - mantissa + 1023) as u64) << 52);
    let rounded = (x / unit).round_ties_even();
    if rounded * unit > limit {
        return sign | largest;
    }
    // Adding the hidden bit to the field of the exponent carries as it should.
    sign | (rounded as u64 + (((exponent - min_exponent) as u64) << mantissa)) as u8
}

/// What a conversion between 8-bit floats and others reads.
pub(crate) mod f8 {
    /// Two single-precision numbers.
    pub(crate) const FROM_F32: u8 = 1;
    /// A pair of half-precision numbers.
    pub(crate) const FROM_F16X2: u8 = 2;
    /// A pair of 8-bit numbers, to half precision.
    pub(crate) const TO_F16X2: u8 = 3;
    /// Flags: `e5m2`, and negative numbers become zero.
    pub(crate) const E5M2: u8 = 4;
    pub(crate) const RELU: u8 = 8;
}

/// Conversions of pairs of 8-bit floats; the first operand goes to the upper half.
///
/// # Safety
/// As [`get`].
unsafe fn pairs_of_f8(b: &Bases, i: &Ins, m: u32) {
    let (e5m2, relu) = (i.flags & f8::E5M2 != 0, i.flags & f8::RELU != 0);
    let narrow = |x: f64| to_f8(if relu && x <= 0.0 { 0.0 } else { x }, e5m2);
    let pair = |high: f64, low: f64| u16::from(narrow(high)) << 8 | u16::from(narrow(low));
    // SAFETY: the caller's promise.
    unsafe {
        match i.flags & 3 {
            f8::FROM_F32 => {
                let (x, y): ([f32; 32], [f32; 32]) = (get(b, i.a), get(b, i.b));
                let r: [u16; 32] = std::array::from_fn(|l| pair(f64::from(x[l]), f64::from(y[l])));
                put(b, i.d, &r, m);
            }
            f8::FROM_F16X2 => {
                let x: [u32; 32] = get(b, i.a);
                let r = x.map(|v| pair(f16_to_f64((v >> 16) as u16), f16_to_f64(v as u16)));
                put(b, i.d, &r, m);
            }
            _ => {
                let x: [u16; 32] = get(b, i.a);
                let widen = |v: u8| {
                    let half = if e5m2 {
                        u16::from(v) << 8
                    } else {
                        crate::ptx::matrix::e4m3_to_f16(v)
                    };
                    let value = f16_to_f64(half);
                    if value.is_nan() {
                        super::half::NAN_HALF
                    } else if relu && value <= 0.0 {
                        0
                    } else {
                        half
                    }
                };
                let r =
                    x.map(|v| u32::from(widen((v >> 8) as u8)) << 16 | u32::from(widen(v as u8)));
                put(b, i.d, &r, m);
            }
        }
    }
}

/// `cvt.pack`: two integers become narrow ones side by side, in front of the upper part of a third. `flags` bit 7: signed; the rest: bits of a result.
fn pack(x: i32, y: i32, z: u32, flags: u8) -> u32 {
    let bits = u32::from(flags & 0x7f);
    let (low, high) = if flags & 0x80 != 0 {
        (-(1 << (bits - 1)), (1 << (bits - 1)) - 1)
    } else {
        (0, (1 << bits) - 1)
    };
    let mask = (1u32 << bits) - 1;
    let (x, y) = (
        x.clamp(low, high) as u32 & mask,
        y.clamp(low, high) as u32 & mask,
    );
    let rest = if bits == 16 { 0 } else { z << (2 * bits) };
    rest | x << bits | y
}

/// What becomes of a NaN where it is not the canonical one: sign and payload are kept between some types. None for numbers, and where there is no such rule.
fn payload(bits: u64, c: &Conversion) -> Option<u64> {
    if c.saturate || c.relu {
        return None;
    }
    match (c.from, c.to) {
        (Ty::F64, Ty::F64 | Ty::F32 | Ty::F16 | Ty::Bf16) if f64::from_bits(bits).is_nan() => {
            let (size, mantissa) = match c.to {
                Ty::F64 if c.integral => return Some(bits | 1 << 51),
                Ty::F64 => return Some(bits),
                Ty::F32 => (32, 23),
                Ty::F16 => (16, 10),
                _ => (16, 7),
            };
            let exponent = ((1u64 << (size - 1 - mantissa)) - 1) << mantissa;
            let kept = bits >> (52 - mantissa) & ((1 << mantissa) - 1);
            Some(bits >> 63 << (size - 1) | exponent | 1 << (mantissa - 1) | kept)
        }
        (Ty::F16, Ty::F64) if bits & 0x7fff > 0x7c00 => {
            Some((bits & 0x8000) << 48 | 0x7ff8 << 48 | (bits & 0x3ff) << 42)
        }
        (Ty::Bf16, Ty::F32) if bits & 0x7fff > 0x7f80 => Some((bits & 0xffff) << 16),
        (Ty::F32, Ty::F32) if !c.ftz && !c.integral && bits & 0x7fff_ffff > 0x7f80_0000 => {
            Some(bits & 0xffff_ffff)
        }
        (Ty::F32, Ty::F64) if c.ftz && bits & 0x7fff_ffff > 0x7f80_0000 => {
            Some(0x7fff_ffff_e000_0000)
        }
        // To `.tf32`, to nearest with ties away, the bits are added to whatever they are.
        (Ty::F32, Ty::Tf32) if c.round == Round::Up && bits & 0x7fff_ffff > 0x7f80_0000 => {
            let rounded = ((bits as u32 & 0x7fff_ffff) + 0x1000).min(0x7fff_ffff) & !0x1fff
                | bits as u32 & 0x8000_0000;
            Some(u64::from(if c.satfinite {
                rounded.wrapping_sub(0x2000)
            } else {
                rounded
            }))
        }
        _ => None,
    }
}

/// Converts one lane.
pub(crate) fn convert(bits: u64, c: &Conversion) -> u64 {
    if let Some(nan) = payload(bits, c) {
        return nan;
    }
    let mut value = load(bits, c.from);
    if c.ftz
        && let (Value::Float(x), Ty::F32) = (value, c.from)
    {
        value = Value::Float(f64::from(flush(x as f32)));
    }
    if c.to.is_float() {
        let (head, tail_bits) = match value {
            Value::Int(v) => return int_to_float(v, c),
            Value::Float(x) => (x, 0.0),
        };
        let mut x = head;
        if c.integral {
            x = round_integral(x, c.round);
        }
        if c.saturate {
            x = if x.is_nan() {
                0.0
            } else {
                x.clamp(0.0, 1.0) + 0.0
            };
        }
        if c.relu && x <= 0.0 {
            x = 0.0;
        }
        let bits = float_result(x, tail_bits, c);
        return if c.satfinite {
            finite(bits, c.to)
        } else {
            bits
        };
    }
    let v = match value {
        Value::Float(x) => {
            // Conversion to integers clamps always. NaN becomes zero, or the highest bit alone where a 64-bit type takes part.
            let (low, high) = int_limits(c.to);
            if x.is_nan() {
                if c.to.size() == 8 || c.from == Ty::F64 {
                    1 << (c.to.size() * 8 - 1)
                } else {
                    0
                }
            } else {
                (round_integral(x, c.round) as i128).clamp(low, high)
            }
        }
        Value::Int(v) if c.saturate => {
            let (low, high) = int_limits(c.to);
            v.clamp(low, high)
        }
        Value::Int(v) => v,
    };
    // Narrow results are extended into wider registers.
    match c.to {
        Ty::U8 | Ty::B8 => u64::from(v as u8),
        Ty::U16 | Ty::B16 => u64::from(v as u16),
        Ty::U32 | Ty::B32 => u64::from(v as u32),
        Ty::S8 => v as i8 as u64,
        Ty::S16 => v as i16 as u64,
        Ty::S32 => v as i32 as u64,
        _ => v as u64,
    }
}

/// Reads a register of any width as 64-bit lanes.
///
/// # Safety
/// As [`get`].
pub(crate) unsafe fn get_any(b: &Bases, loc: u32, width: Width) -> [u64; 32] {
    // SAFETY: the caller's promise.
    unsafe {
        match width {
            Width::W16 => get::<u16>(b, loc).map(u64::from),
            Width::W32 => get::<u32>(b, loc).map(u64::from),
            _ => get::<u64>(b, loc),
        }
    }
}

/// Writes the low bits of 64-bit lanes into a register of any width.
///
/// # Safety
/// As [`put`].
pub(crate) unsafe fn put_any(b: &Bases, loc: u32, width: Width, value: &[u64; 32], mask: u32) {
    // SAFETY: the caller's promise.
    unsafe {
        match width {
            Width::W16 => put(b, loc, &value.map(|v| v as u16), mask),
            Width::W32 => put(b, loc, &value.map(|v| v as u32), mask),
            _ => put(b, loc, value, mask),
        }
    }
}

/// The nearest bfloat16 of a number in single precision.
#[inline(always)]
fn nearest_bf16(bits: u32) -> u32 {
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
    if bits & 0x7fff_ffff > 0x7f80_0000 {
        u32::from(super::half::NAN_HALF)
    } else {
        rounded
    }
}

/// The general conversion.
///
/// # Safety
/// As [`get`].
unsafe fn general(b: &Bases, i: &Ins, m: u32) {
    let c = Conversion::unpack(i.imm);
    // SAFETY: the caller's promise.
    unsafe {
        let x = get_any(b, i.a, c.from_width);
        if few(m) {
            let mut r = x;
            each_lane(m, |lane| r[lane] = convert(x[lane], &c));
            return put_any(b, i.d, c.to_width, &r, m);
        }
        put_any(b, i.d, c.to_width, &x.map(|v| convert(v, &c)), m);
    }
}

/// `cvt.rn.f16x2.f32 d, a, b` and its like: `a` goes to the upper half.
///
/// # Safety
/// As [`get`].
unsafe fn pack_halves(b: &Bases, i: &Ins, m: u32) {
    let c = Conversion::unpack(i.imm);
    // SAFETY: the caller's promise.
    unsafe {
        let (x, y): ([u32; 32], [u32; 32]) = (get(b, i.a), get(b, i.b));
        let r: [u32; 32] = std::array::from_fn(|l| {
            (convert(u64::from(y[l]), &c) | convert(u64::from(x[l]), &c) << 16) as u32
        });
        put(b, i.d, &r, m);
    }
}

alu! {
    mbarrier_pending = |b, i, m| map1(b, i, m, |x: u64| crate::ptx::exec::mbarrier::pending_count(x));
    cvt_f8 = |b, i, m| pairs_of_f8(b, i, m);
    cvt_pack = |b, i, m| map3(b, i, m, |x: i32, y: i32, z: u32| pack(x, y, z, i.flags));
    cvt_general = |b, i, m| general(b, i, m);
    cvt_pack_halves = |b, i, m| pack_halves(b, i, m);
    cvt_u16_u32 = |b, i, m| map1(b, i, m, |x: u16| u32::from(x));
    cvt_s16_s32 = |b, i, m| map1(b, i, m, |x: i16| i32::from(x));
    cvt_u16_u64 = |b, i, m| map1(b, i, m, |x: u16| u64::from(x));
    cvt_s16_s64 = |b, i, m| map1(b, i, m, |x: i16| i64::from(x));
    cvt_u32_u64 = |b, i, m| map1(b, i, m, |x: u32| u64::from(x));
    cvt_s32_s64 = |b, i, m| map1(b, i, m, |x: i32| i64::from(x));
    cvt_32_16 = |b, i, m| map1(b, i, m, |x: u32| x as u16);
    cvt_64_16 = |b, i, m| map1(b, i, m, |x: u64| x as u16);
    cvt_64_32 = |b, i, m| map1(b, i, m, |x: u64| x as u32);
    cvt_s32_f32 = |b, i, m| map1(b, i, m, |x: i32| x as f32);
    cvt_u32_f32 = |b, i, m| map1(b, i, m, |x: u32| x as f32);
    cvt_s32_f64 = |b, i, m| map1(b, i, m, |x: i32| f64::from(x));
    cvt_u32_f64 = |b, i, m| map1(b, i, m, |x: u32| f64::from(x));
    cvt_f32_f64 = |b, i, m| map1(b, i, m, |x: f32| f64::from(x));
    cvt_f64_f32 = |b, i, m| map1(b, i, m, |x: f64| x as f32);
    cvt_rzi_f32_s32 = |b, i, m| map1(b, i, m, |x: f32| x as i32);
    cvt_rzi_f32_u32 = |b, i, m| map1(b, i, m, |x: f32| x as u32);
    cvt_rni_f32 = |b, i, m| map1(b, i, m, |x: f32| canon(x.round_ties_even()));
    cvt_rzi_f32 = |b, i, m| map1(b, i, m, |x: f32| canon(x.trunc()));
    cvt_rmi_f32 = |b, i, m| map1(b, i, m, |x: f32| canon(x.floor()));
    cvt_rpi_f32 = |b, i, m| map1(b, i, m, |x: f32| canon(x.ceil()));
    cvt_sat_f32 = |b, i, m| map1(b, i, m, |x: f32| if x.is_nan() { 0.0 } else { x.clamp(0.0, 1.0) + 0.0 });
    cvt_f16_f32 = |b, i, m| map1(b, i, m, |x: u16| canon(widened(u32::from(x)) as f32));
    cvt_bf16_f32 = |b, i, m| map1(b, i, m, |x: u16| u32::from(x) << 16);
    cvt_f32_f16 = |b, i, m| map1(b, i, m, |x: f32| narrowed(f64::from(x)) as u16);
    cvt_f32_bf16 = |b, i, m| map1(b, i, m, |x: u32| nearest_bf16(x) as u16);
    cvt_f32_f16x2 = |b, i, m| map2(b, i, m, |x: f32, y: f32| narrowed(f64::from(x)) << 16 | narrowed(f64::from(y)));
    cvt_f32_bf16x2 = |b, i, m| map2(b, i, m, |x: u32, y: u32| nearest_bf16(x) << 16 | nearest_bf16(y));
}
