//! Integer arithmetic.

use super::{alu, get, map1, map2, map3, map4, put, put_pred};
use crate::ptx::code::{Bases, CLUSTER_SHIFT, Ins};

/// Carry arithmetic: `d = a ± b (± carry)`, carry out if asked. `flags`: 1 subtract, 2 carry in, 4 carry out; `e` is the carry predicate.
///
/// # Safety
/// As [`get`].
#[inline(always)]
unsafe fn carry<T: Copy + Default>(
    b: &Bases,
    i: &Ins,
    m: u32,
    add: impl Fn(T, T, bool) -> (T, bool),
    invert: impl Fn(T) -> T,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let (x, y): ([T; 32], [T; 32]) = (get(b, i.a), get(b, i.b));
        let subtract = i.flags & 1 != 0;
        // A subtraction adds the complement and one; the flag is the carry of that sum: set where nothing is borrowed.
        let incoming = if i.flags & 2 != 0 {
            *b.at::<u32>(i.e)
        } else if subtract {
            u32::MAX
        } else {
            0
        };
        let mut r = [T::default(); 32];
        let mut out = 0;
        for lane in 0..32 {
            let bit = incoming >> lane & 1 != 0;
            let (value, carried) = if subtract {
                add(x[lane], invert(y[lane]), bit)
            } else {
                add(x[lane], y[lane], bit)
            };
            r[lane] = value;
            out |= u32::from(carried) << lane;
        }
        put(b, i.d, &r, m);
        if i.flags & 4 != 0 {
            put_pred(b, i.e, out, m);
        }
    }
}

/// Multiply-add with carry: `d = lo/hi(a * b) + c (+ carry)`. `flags`: 2 carry in, 4 carry out, 8 high half, 16 signed.
///
/// # Safety
/// As [`get`].
unsafe fn mad_carry(b: &Bases, i: &Ins, m: u32, wide: bool) {
    // SAFETY: the caller's promise.
    unsafe {
        let incoming = if i.flags & 2 != 0 {
            *b.at::<u32>(i.e)
        } else {
            0
        };
        let mut out = 0;
        let product = |x: u64, y: u64| -> u64 {
            let signed = i.flags & 16 != 0;
            match (i.flags & 8 != 0, wide, signed) {
                (false, ..) => x.wrapping_mul(y),
                (true, true, false) => ((u128::from(x) * u128::from(y)) >> 64) as u64,
                (true, true, true) => ((i128::from(x as i64) * i128::from(y as i64)) >> 64) as u64,
                (true, false, false) => (x * y) >> 32,
                (true, false, true) => ((i64::from(x as i32) * i64::from(y as i32)) >> 32) as u64,
            }
        };
        if wide {
            let (x, y, z): ([u64; 32], [u64; 32], [u64; 32]) =
                (get(b, i.a), get(b, i.b), get(b, i.c));
            let mut r = [0u64; 32];
            for lane in 0..32 {
                let sum = u128::from(product(x[lane], y[lane]))
                    + u128::from(z[lane])
                    + u128::from(incoming >> lane & 1);
                r[lane] = sum as u64;
                out |= u32::from(sum >> 64 != 0) << lane;
            }
            put(b, i.d, &r, m);
        } else {
            let (x, y, z): ([u32; 32], [u32; 32], [u32; 32]) =
                (get(b, i.a), get(b, i.b), get(b, i.c));
            let mut r = [0u32; 32];
            for lane in 0..32 {
                let low = product(u64::from(x[lane]), u64::from(y[lane])) as u32;
                let sum = u64::from(low) + u64::from(z[lane]) + u64::from(incoming >> lane & 1);
                r[lane] = sum as u32;
                out |= u32::from(sum >> 32 != 0) << lane;
            }
            put(b, i.d, &r, m);
        }
        if i.flags & 4 != 0 {
            put_pred(b, i.e, out, m);
        }
    }
}

#[inline(always)]
fn s24(x: u32) -> i64 {
    i64::from((x << 8) as i32 >> 8)
}

#[inline(always)]
fn u24(x: u32) -> u64 {
    u64::from(x & 0xff_ffff)
}

/// Position and length of a bit field: of 32-bit values only their lowest bytes count.
#[inline(always)]
fn field(pos: u32, len: u32, bits: u32) -> (u32, u32) {
    if bits == 64 {
        (pos, len)
    } else {
        (pos & 0xff, len & 0xff)
    }
}

#[inline(always)]
fn ones(len: u32) -> u64 {
    if len >= 64 { u64::MAX } else { (1 << len) - 1 }
}

#[inline(always)]
pub(crate) fn bfe_u64(a: u64, pos: u32, len: u32, bits: u32) -> u64 {
    let (pos, len) = field(pos, len, bits);
    let field = if pos >= bits { 0 } else { a >> pos };
    field & ones(len)
}

/// Signed extraction: the field is continued with its sign, or with that of `a` where it reaches past the end.
#[inline(always)]
pub(crate) fn bfe_s64(a: u64, pos: u32, len: u32, bits: u32) -> u64 {
    let (pos, len) = field(pos, len, bits);
    let msb = bits - 1;
    if len == 0 {
        return 0;
    }
    let sign = a >> pos.saturating_add(len - 1).min(msb) & 1 != 0;
    let mut r = 0;
    for k in 0..bits {
        let bit = if k < len && pos <= msb && pos + k <= msb {
            a >> (pos + k) & 1 != 0
        } else {
            sign
        };
        r |= u64::from(bit) << k;
    }
    r
}

#[inline(always)]
pub(crate) fn bfi_u64(a: u64, f: u64, pos: u32, len: u32, bits: u32) -> u64 {
    let (pos, len) = field(pos, len, bits);
    if pos >= bits || len == 0 {
        return f;
    }
    let mask = ones(len) << pos;
    (f & !mask) | ((a << pos) & mask)
}

#[inline(always)]
fn lop3(a: u32, b: u32, c: u32, table: u32) -> u32 {
    let mut r = 0;
    for k in 0..8u32 {
        let x = if k & 4 != 0 { a } else { !a };
        let y = if k & 2 != 0 { b } else { !b };
        let z = if k & 1 != 0 { c } else { !c };
        r |= x & y & z & 0u32.wrapping_sub(table >> k & 1);
    }
    r
}

#[inline(always)]
fn prmt(a: u32, b: u32, selector: u32) -> u32 {
    let bytes = u64::from(b) << 32 | u64::from(a);
    let mut r = 0;
    for k in 0..4 {
        let s = selector >> (4 * k) & 0xf;
        let byte = (bytes >> (8 * (s & 7))) as u32 & 0xff;
        let byte = if s & 8 != 0 {
            if byte & 0x80 != 0 { 0xff } else { 0 }
        } else {
            byte
        };
        r |= byte << (8 * k);
    }
    r
}

/// `prmt` with a mode other than the default.
fn prmt_mode(a: u32, b: u32, c: u32, mode: u32) -> u32 {
    let s = c & 3;
    let selector = match (mode, s) {
        (1, s) => [0x3210, 0x4321, 0x5432, 0x6543][s as usize],
        (2, s) => [0x5670, 0x6701, 0x7012, 0x0123][s as usize],
        (3, s) => s * 0x1111,
        (4, s) => [0x3210, 0x3211, 0x3222, 0x3333][s as usize],
        (5, s) => [0x0000, 0x1110, 0x2210, 0x3210][s as usize],
        (_, s) => [0x1010, 0x3232, 0x1010, 0x3232][s as usize],
    };
    prmt(a, b, selector)
}

/// `dp4a`/`dp2a`. `flags`: 1 a signed, 2 b signed, 4 dp2a, 8 dp2a.hi.
fn dot(a: u32, b: u32, c: u32, flags: u8) -> u32 {
    let byte = |v: u32, k: u32, signed: bool| {
        if signed {
            i64::from((v >> (8 * k)) as u8 as i8)
        } else {
            i64::from((v >> (8 * k)) as u8)
        }
    };
    let half = |v: u32, k: u32, signed: bool| {
        if signed {
            i64::from((v >> (16 * k)) as u16 as i16)
        } else {
            i64::from((v >> (16 * k)) as u16)
        }
    };
    let (sa, sb) = (flags & 1 != 0, flags & 2 != 0);
    let mut sum = i64::from(c);
    if flags & 4 == 0 {
        for k in 0..4 {
            sum += byte(a, k, sa) * byte(b, k, sb);
        }
    } else {
        let from = if flags & 8 != 0 { 2 } else { 0 };
        for k in 0..2 {
            sum += half(a, k, sa) * byte(b, k + from, sb);
        }
    }
    sum as u32
}

/// `fns`: the n-th set bit from `base`, upward for positive n, downward for negative.
fn fns(mask: u32, base: u32, offset: i32) -> u32 {
    let base = (base & 31) as i32;
    if offset == 0 {
        return if mask >> base & 1 != 0 {
            base as u32
        } else {
            u32::MAX
        };
    }
    let step = offset.signum();
    let mut left = offset.unsigned_abs();
    let mut at = base;
    while (0..32).contains(&at) {
        if mask >> at & 1 != 0 {
            left -= 1;
            if left == 0 {
                return at as u32;
            }
        }
        at += step;
    }
    u32::MAX
}

#[inline(always)]
fn bfind64(v: u64, bits: u32, shift: bool) -> u32 {
    if v == 0 {
        return u32::MAX;
    }
    let at = 63 - v.leading_zeros();
    if shift { bits - 1 - at } else { at }
}

alu! {
    add_16 = |b, i, m| map2(b, i, m, |x: u16, y: u16| x.wrapping_add(y));
    add_32 = |b, i, m| map2(b, i, m, |x: u32, y: u32| x.wrapping_add(y));
    add_64 = |b, i, m| map2(b, i, m, |x: u64, y: u64| x.wrapping_add(y));
    add_sat_s32 = |b, i, m| map2(b, i, m, |x: i32, y: i32| x.saturating_add(y));
    add_16x2 = |b, i, m| map2(b, i, m, |x: u32, y: u32| (x & 0xffff_0000).wrapping_add(y & 0xffff_0000) | (x.wrapping_add(y) & 0xffff));
    sub_16 = |b, i, m| map2(b, i, m, |x: u16, y: u16| x.wrapping_sub(y));
    sub_32 = |b, i, m| map2(b, i, m, |x: u32, y: u32| x.wrapping_sub(y));
    sub_64 = |b, i, m| map2(b, i, m, |x: u64, y: u64| x.wrapping_sub(y));
    sub_sat_s32 = |b, i, m| map2(b, i, m, |x: i32, y: i32| x.saturating_sub(y));
    mul_lo_16 = |b, i, m| map2(b, i, m, |x: u16, y: u16| x.wrapping_mul(y));
    mul_lo_32 = |b, i, m| map2(b, i, m, |x: u32, y: u32| x.wrapping_mul(y));
    mul_lo_64 = |b, i, m| map2(b, i, m, |x: u64, y: u64| x.wrapping_mul(y));
    mul_hi_u16 = |b, i, m| map2(b, i, m, |x: u16, y: u16| ((u32::from(x) * u32::from(y)) >> 16) as u16);
    mul_hi_s16 = |b, i, m| map2(b, i, m, |x: i16, y: i16| ((i32::from(x) * i32::from(y)) >> 16) as u16);
    mul_hi_u32 = |b, i, m| map2(b, i, m, |x: u32, y: u32| ((u64::from(x) * u64::from(y)) >> 32) as u32);
    mul_hi_s32 = |b, i, m| map2(b, i, m, |x: i32, y: i32| ((i64::from(x) * i64::from(y)) >> 32) as u32);
    mul_hi_u64 = |b, i, m| map2(b, i, m, |x: u64, y: u64| ((u128::from(x) * u128::from(y)) >> 64) as u64);
    mul_hi_s64 = |b, i, m| map2(b, i, m, |x: i64, y: i64| ((i128::from(x) * i128::from(y)) >> 64) as u64);
    mul_wide_u16 = |b, i, m| map2(b, i, m, |x: u16, y: u16| u32::from(x) * u32::from(y));
    mul_wide_s16 = |b, i, m| map2(b, i, m, |x: i16, y: i16| i32::from(x) * i32::from(y));
    mul_wide_u32 = |b, i, m| map2(b, i, m, |x: u32, y: u32| u64::from(x) * u64::from(y));
    mul_wide_s32 = |b, i, m| map2(b, i, m, |x: i32, y: i32| i64::from(x) * i64::from(y));
    mad_lo_16 = |b, i, m| map3(b, i, m, |x: u16, y: u16, z: u16| x.wrapping_mul(y).wrapping_add(z));
    mad_lo_32 = |b, i, m| map3(b, i, m, |x: u32, y: u32, z: u32| x.wrapping_mul(y).wrapping_add(z));
    mad_lo_64 = |b, i, m| map3(b, i, m, |x: u64, y: u64, z: u64| x.wrapping_mul(y).wrapping_add(z));
    mad_hi_u16 = |b, i, m| map3(b, i, m, |x: u16, y: u16, z: u16| (((u32::from(x) * u32::from(y)) >> 16) as u16).wrapping_add(z));
    mad_hi_s16 = |b, i, m| map3(b, i, m, |x: i16, y: i16, z: u16| (((i32::from(x) * i32::from(y)) >> 16) as u16).wrapping_add(z));
    mad_hi_u32 = |b, i, m| map3(b, i, m, |x: u32, y: u32, z: u32| (((u64::from(x) * u64::from(y)) >> 32) as u32).wrapping_add(z));
    mad_hi_s32 = |b, i, m| map3(b, i, m, |x: i32, y: i32, z: u32| (((i64::from(x) * i64::from(y)) >> 32) as u32).wrapping_add(z));
    mad_hi_sat_s32 = |b, i, m| map3(b, i, m, |x: i32, y: i32, z: i32| (((i64::from(x) * i64::from(y)) >> 32) as i32).saturating_add(z));
    mad_hi_u64 = |b, i, m| map3(b, i, m, |x: u64, y: u64, z: u64| (((u128::from(x) * u128::from(y)) >> 64) as u64).wrapping_add(z));
    mad_hi_s64 = |b, i, m| map3(b, i, m, |x: i64, y: i64, z: u64| (((i128::from(x) * i128::from(y)) >> 64) as u64).wrapping_add(z));
    mad_wide_u16 = |b, i, m| map3(b, i, m, |x: u16, y: u16, z: u32| (u32::from(x) * u32::from(y)).wrapping_add(z));
    mad_wide_s16 = |b, i, m| map3(b, i, m, |x: i16, y: i16, z: i32| (i32::from(x) * i32::from(y)).wrapping_add(z));
    mad_wide_u32 = |b, i, m| map3(b, i, m, |x: u32, y: u32, z: u64| (u64::from(x) * u64::from(y)).wrapping_add(z));
    mad_wide_s32 = |b, i, m| map3(b, i, m, |x: i32, y: i32, z: i64| (i64::from(x) * i64::from(y)).wrapping_add(z));
    mul24_lo_u32 = |b, i, m| map2(b, i, m, |x: u32, y: u32| (u24(x) * u24(y)) as u32);
    mul24_lo_s32 = |b, i, m| map2(b, i, m, |x: u32, y: u32| (s24(x) * s24(y)) as u32);
    mul24_hi_u32 = |b, i, m| map2(b, i, m, |x: u32, y: u32| ((u24(x) * u24(y)) >> 16) as u32);
    mul24_hi_s32 = |b, i, m| map2(b, i, m, |x: u32, y: u32| ((s24(x) * s24(y)) >> 16) as u32);
    mad24_lo_u32 = |b, i, m| map3(b, i, m, |x: u32, y: u32, z: u32| ((u24(x) * u24(y)) as u32).wrapping_add(z));
    mad24_lo_s32 = |b, i, m| map3(b, i, m, |x: u32, y: u32, z: u32| ((s24(x) * s24(y)) as u32).wrapping_add(z));
    mad24_hi_u32 = |b, i, m| map3(b, i, m, |x: u32, y: u32, z: u32| (((u24(x) * u24(y)) >> 16) as u32).wrapping_add(z));
    mad24_hi_s32 = |b, i, m| map3(b, i, m, |x: u32, y: u32, z: u32| (((s24(x) * s24(y)) >> 16) as u32).wrapping_add(z));
    mad24_hi_sat_s32 = |b, i, m| map3(b, i, m, |x: u32, y: u32, z: i32| ((s24(x) * s24(y)) >> 16).wrapping_add(i64::from(z)).clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as u32);
    // Quotient and remainder of a division by zero are all ones on a GPU.
    div_u16 = |b, i, m| map2(b, i, m, |x: u16, y: u16| x.checked_div(y).unwrap_or(u16::MAX));
    div_s16 = |b, i, m| map2(b, i, m, |x: i16, y: i16| if y == 0 { -1 } else { x.wrapping_div(y) });
    div_u32 = |b, i, m| map2(b, i, m, |x: u32, y: u32| x.checked_div(y).unwrap_or(u32::MAX));
    div_s32 = |b, i, m| map2(b, i, m, |x: i32, y: i32| if y == 0 { -1 } else { x.wrapping_div(y) });
    div_u64 = |b, i, m| map2(b, i, m, |x: u64, y: u64| x.checked_div(y).unwrap_or(u64::MAX));
    div_s64 = |b, i, m| map2(b, i, m, |x: i64, y: i64| if y == 0 { -1 } else { x.wrapping_div(y) });
    rem_u16 = |b, i, m| map2(b, i, m, |x: u16, y: u16| x.checked_rem(y).unwrap_or(u16::MAX));
    rem_s16 = |b, i, m| map2(b, i, m, |x: i16, y: i16| if y == 0 { -1 } else { x.wrapping_rem(y) });
    rem_u32 = |b, i, m| map2(b, i, m, |x: u32, y: u32| x.checked_rem(y).unwrap_or(u32::MAX));
    rem_s32 = |b, i, m| map2(b, i, m, |x: i32, y: i32| if y == 0 { -1 } else { x.wrapping_rem(y) });
    rem_u64 = |b, i, m| map2(b, i, m, |x: u64, y: u64| x.checked_rem(y).unwrap_or(u64::MAX));
    rem_s64 = |b, i, m| map2(b, i, m, |x: i64, y: i64| if y == 0 { -1 } else { x.wrapping_rem(y) });
    abs_16 = |b, i, m| map1(b, i, m, |x: i16| x.wrapping_abs());
    abs_32 = |b, i, m| map1(b, i, m, |x: i32| x.wrapping_abs());
    abs_64 = |b, i, m| map1(b, i, m, |x: i64| x.wrapping_abs());
    neg_16 = |b, i, m| map1(b, i, m, |x: i16| x.wrapping_neg());
    neg_32 = |b, i, m| map1(b, i, m, |x: i32| x.wrapping_neg());
    neg_64 = |b, i, m| map1(b, i, m, |x: i64| x.wrapping_neg());
    min_u16 = |b, i, m| map2(b, i, m, |x: u16, y: u16| x.min(y));
    min_s16 = |b, i, m| map2(b, i, m, |x: i16, y: i16| x.min(y));
    min_u32 = |b, i, m| map2(b, i, m, |x: u32, y: u32| x.min(y));
    min_s32 = |b, i, m| map2(b, i, m, |x: i32, y: i32| x.min(y));
    min_u64 = |b, i, m| map2(b, i, m, |x: u64, y: u64| x.min(y));
    min_s64 = |b, i, m| map2(b, i, m, |x: i64, y: i64| x.min(y));
    max_u16 = |b, i, m| map2(b, i, m, |x: u16, y: u16| x.max(y));
    max_s16 = |b, i, m| map2(b, i, m, |x: i16, y: i16| x.max(y));
    max_u32 = |b, i, m| map2(b, i, m, |x: u32, y: u32| x.max(y));
    max_s32 = |b, i, m| map2(b, i, m, |x: i32, y: i32| x.max(y));
    max_relu_s32 = |b, i, m| map2(b, i, m, |x: i32, y: i32| x.max(y).max(0));
    min_relu_s32 = |b, i, m| map2(b, i, m, |x: i32, y: i32| x.min(y).max(0));
    max_u64 = |b, i, m| map2(b, i, m, |x: u64, y: u64| x.max(y));
    max_s64 = |b, i, m| map2(b, i, m, |x: i64, y: i64| x.max(y));
    min_u16x2 = |b, i, m| map2(b, i, m, |x: u32, y: u32| (x & 0xffff).min(y & 0xffff) | (x >> 16).min(y >> 16) << 16);
    max_u16x2 = |b, i, m| map2(b, i, m, |x: u32, y: u32| (x & 0xffff).max(y & 0xffff) | (x >> 16).max(y >> 16) << 16);
    min_relu_s16x2 = |b, i, m| map2(b, i, m, |x: u32, y: u32| u32::from((x as i16).min(y as i16).max(0) as u16) | u32::from(((x >> 16) as i16).min((y >> 16) as i16).max(0) as u16) << 16);
    max_relu_s16x2 = |b, i, m| map2(b, i, m, |x: u32, y: u32| u32::from((x as i16).max(y as i16).max(0) as u16) | u32::from(((x >> 16) as i16).max((y >> 16) as i16).max(0) as u16) << 16);
    min_s16x2 = |b, i, m| map2(b, i, m, |x: u32, y: u32| u32::from((x as i16).min(y as i16) as u16) | u32::from(((x >> 16) as i16).min((y >> 16) as i16) as u16) << 16);
    max_s16x2 = |b, i, m| map2(b, i, m, |x: u32, y: u32| u32::from((x as i16).max(y as i16) as u16) | u32::from(((x >> 16) as i16).max((y >> 16) as i16) as u16) << 16);
    sad_u16 = |b, i, m| map3(b, i, m, |x: u16, y: u16, z: u16| z.wrapping_add(x.abs_diff(y)));
    sad_s16 = |b, i, m| map3(b, i, m, |x: i16, y: i16, z: u16| z.wrapping_add(x.abs_diff(y)));
    sad_u32 = |b, i, m| map3(b, i, m, |x: u32, y: u32, z: u32| z.wrapping_add(x.abs_diff(y)));
    sad_s32 = |b, i, m| map3(b, i, m, |x: i32, y: i32, z: u32| z.wrapping_add(x.abs_diff(y)));
    sad_u64 = |b, i, m| map3(b, i, m, |x: u64, y: u64, z: u64| z.wrapping_add(x.abs_diff(y)));
    sad_s64 = |b, i, m| map3(b, i, m, |x: i64, y: i64, z: u64| z.wrapping_add(x.abs_diff(y)));
    carry_32 = |b, i, m| carry(b, i, m, |x: u32, y: u32, c| { let (s, o) = x.overflowing_add(y); let (s, p) = s.overflowing_add(u32::from(c)); (s, o | p) }, |y| !y);
    carry_64 = |b, i, m| carry(b, i, m, |x: u64, y: u64, c| { let (s, o) = x.overflowing_add(y); let (s, p) = s.overflowing_add(u64::from(c)); (s, o | p) }, |y| !y);
    mad_carry_32 = |b, i, m| mad_carry(b, i, m, false);
    mad_carry_64 = |b, i, m| mad_carry(b, i, m, true);
    and_16 = |b, i, m| map2(b, i, m, |x: u16, y: u16| x & y);
    and_32 = |b, i, m| map2(b, i, m, |x: u32, y: u32| x & y);
    and_64 = |b, i, m| map2(b, i, m, |x: u64, y: u64| x & y);
    or_16 = |b, i, m| map2(b, i, m, |x: u16, y: u16| x | y);
    or_32 = |b, i, m| map2(b, i, m, |x: u32, y: u32| x | y);
    or_64 = |b, i, m| map2(b, i, m, |x: u64, y: u64| x | y);
    xor_16 = |b, i, m| map2(b, i, m, |x: u16, y: u16| x ^ y);
    xor_32 = |b, i, m| map2(b, i, m, |x: u32, y: u32| x ^ y);
    xor_64 = |b, i, m| map2(b, i, m, |x: u64, y: u64| x ^ y);
    not_16 = |b, i, m| map1(b, i, m, |x: u16| !x);
    not_32 = |b, i, m| map1(b, i, m, |x: u32| !x);
    not_64 = |b, i, m| map1(b, i, m, |x: u64| !x);
    cnot_16 = |b, i, m| map1(b, i, m, |x: u16| u16::from(x == 0));
    cnot_32 = |b, i, m| map1(b, i, m, |x: u32| u32::from(x == 0));
    cnot_64 = |b, i, m| map1(b, i, m, |x: u64| u64::from(x == 0));
    shl_16 = |b, i, m| map2(b, i, m, |x: u16, n: u32| if n > 15 { 0 } else { x << n });
    shl_32 = |b, i, m| map2(b, i, m, |x: u32, n: u32| if n > 31 { 0 } else { x << (n & 31) });
    shl_64 = |b, i, m| map2(b, i, m, |x: u64, n: u32| if n > 63 { 0 } else { x << (n & 63) });
    shr_u16 = |b, i, m| map2(b, i, m, |x: u16, n: u32| if n > 15 { 0 } else { x >> n });
    shr_u32 = |b, i, m| map2(b, i, m, |x: u32, n: u32| if n > 31 { 0 } else { x >> (n & 31) });
    shr_u64 = |b, i, m| map2(b, i, m, |x: u64, n: u32| if n > 63 { 0 } else { x >> (n & 63) });
    shr_s16 = |b, i, m| map2(b, i, m, |x: i16, n: u32| x >> n.min(15));
    shr_s32 = |b, i, m| map2(b, i, m, |x: i32, n: u32| x >> n.min(31));
    shr_s64 = |b, i, m| map2(b, i, m, |x: i64, n: u32| x >> n.min(63));
    shf_l_wrap = |b, i, m| map3(b, i, m, |lo: u32, hi: u32, n: u32| ((u64::from(hi) << 32 | u64::from(lo)) << (n & 31) >> 32) as u32);
    shf_r_wrap = |b, i, m| map3(b, i, m, |lo: u32, hi: u32, n: u32| ((u64::from(hi) << 32 | u64::from(lo)) >> (n & 31)) as u32);
    shf_l_clamp = |b, i, m| map3(b, i, m, |lo: u32, hi: u32, n: u32| ((u64::from(hi) << 32 | u64::from(lo)) << n.min(32) >> 32) as u32);
    shf_r_clamp = |b, i, m| map3(b, i, m, |lo: u32, hi: u32, n: u32| ((u64::from(hi) << 32 | u64::from(lo)) >> n.min(32)) as u32);
    bfe_u32 = |b, i, m| map3(b, i, m, |x: u32, p: u32, n: u32| bfe_u64(u64::from(x), p, n, 32) as u32);
    bfe_s32 = |b, i, m| map3(b, i, m, |x: u32, p: u32, n: u32| bfe_s64(u64::from(x), p, n, 32) as u32);
    bfe_wide_u64 = |b, i, m| map3(b, i, m, |x: u64, p: u32, n: u32| bfe_u64(x, p, n, 64));
    bfe_wide_s64 = |b, i, m| map3(b, i, m, |x: u64, p: u32, n: u32| bfe_s64(x, p, n, 64));
    bfi_32 = |b, i, m| map4(b, i, m, |x: u32, f: u32, p: u32, n: u32| bfi_u64(u64::from(x), u64::from(f), p, n, 32) as u32);
    bfi_64 = |b, i, m| map4(b, i, m, |x: u64, f: u64, p: u32, n: u32| bfi_u64(x, f, p, n, 64));
    bfind_u32 = |b, i, m| map1(b, i, m, |x: u32| bfind64(u64::from(x), 32, i.flags != 0));
    bfind_s32 = |b, i, m| map1(b, i, m, |x: i32| bfind64(u64::from((x ^ (x >> 31)) as u32), 32, i.flags != 0));
    bfind_u64 = |b, i, m| map1(b, i, m, |x: u64| bfind64(x, 64, i.flags != 0));
    bfind_s64 = |b, i, m| map1(b, i, m, |x: i64| bfind64((x ^ (x >> 63)) as u64, 64, i.flags != 0));
    bmsk_clamp = |b, i, m| map2(b, i, m, |p: u32, n: u32| { let end = u64::from(p) + u64::from(n); if p > 31 { 0 } else { ((1u64 << end.min(32)) - 1) as u32 & (u32::MAX << p) } });
    bmsk_wrap = |b, i, m| map2(b, i, m, |p: u32, n: u32| { let (p, n) = (p & 31, n & 31); (((1u64 << n) - 1) << p) as u32 });
    szext_clamp_u32 = |b, i, m| map2(b, i, m, |x: u32, n: u32| if n > 31 { x } else { x & ((1 << n) - 1) });
    szext_clamp_s32 = |b, i, m| map2(b, i, m, |x: u32, n: u32| if n == 0 { 0 } else if n > 31 { x } else { ((x << (32 - n)) as i32 >> (32 - n)) as u32 });
    szext_wrap_u32 = |b, i, m| map2(b, i, m, |x: u32, n: u32| x & ((1 << (n & 31)) - 1));
    szext_wrap_s32 = |b, i, m| map2(b, i, m, |x: u32, n: u32| { let n = n & 31; if n == 0 { 0 } else { ((x << (32 - n)) as i32 >> (32 - n)) as u32 } });
    brev_32 = |b, i, m| map1(b, i, m, |x: u32| x.reverse_bits());
    brev_64 = |b, i, m| map1(b, i, m, |x: u64| x.reverse_bits());
    clz_32 = |b, i, m| map1(b, i, m, |x: u32| x.leading_zeros());
    clz_64 = |b, i, m| map1(b, i, m, |x: u64| x.leading_zeros());
    popc_32 = |b, i, m| map1(b, i, m, |x: u32| x.count_ones());
    popc_64 = |b, i, m| map1(b, i, m, |x: u64| x.count_ones());
    mapa_32 = |b, i, m| map2(b, i, m, |x: u32, rank: u32| x & ((1 << CLUSTER_SHIFT) - 1) | (rank & 0x7f).wrapping_add(1) << CLUSTER_SHIFT);
    mapa_64 = |b, i, m| map2(b, i, m, |x: u64, rank: u32| x & !(0xff << CLUSTER_SHIFT) | (u64::from(rank & 0x7f) + 1) << CLUSTER_SHIFT);
    rank_32 = |b, i, m| map2(b, i, m, |x: u32, own: u32| (x >> CLUSTER_SHIFT & 0xff).checked_sub(1).unwrap_or(own));
    rank_64 = |b, i, m| map2(b, i, m, |x: u64, own: u32| ((x >> CLUSTER_SHIFT) as u32 & 0xff).checked_sub(1).unwrap_or(own));
    prmt_default = |b, i, m| map3(b, i, m, |x: u32, y: u32, s: u32| prmt(x, y, s));
    prmt_other = |b, i, m| map3(b, i, m, |x: u32, y: u32, s: u32| prmt_mode(x, y, s, u32::from(i.flags)));
    lop3_32 = |b, i, m| { let table = i.imm as u32; map3(b, i, m, |x: u32, y: u32, z: u32| lop3(x, y, z, table)) };
    dot_product = |b, i, m| map3(b, i, m, |x: u32, y: u32, z: u32| dot(x, y, z, i.flags));
    find_nth_set = |b, i, m| map3(b, i, m, |x: u32, y: u32, z: i32| fns(x, y, z));
}
