//! Comparison, selection, predicates and moves.

use super::{alu, get, map1, map2, map3, map4, put, put_pred};
use crate::ptx::code::{Bases, Ins};

/// `flags` of comparisons: invert the result; then combine with predicate `c`.
pub(crate) const INVERT: u8 = 1;
/// Negate the predicate that is combined.
pub(crate) const NEGATE_C: u8 = 2;
/// Combine by and, or, exclusive or.
pub(crate) const AND: u8 = 4;
pub(crate) const OR: u8 = 8;
pub(crate) const XOR: u8 = 16;

/// Compares all lanes, combines, writes `d` and, if there is one, `e` (the complement before combining).
///
/// # Safety
/// As [`get`].
#[inline(always)]
unsafe fn compare<T: Copy>(b: &Bases, i: &Ins, m: u32, f: impl Fn(T, T) -> bool) {
    // SAFETY: the caller's promise.
    unsafe {
        let (x, y) = (&*b.at::<[T; 32]>(i.a), &*b.at::<[T; 32]>(i.b));
        let mut bits = 0u32;
        for lane in 0..32 {
            bits |= u32::from(f(x[lane], y[lane])) << lane;
        }
        finish(b, i, m, bits);
    }
}

/// The common end of comparisons.
///
/// # Safety
/// As [`get`].
pub(crate) unsafe fn finish(b: &Bases, i: &Ins, m: u32, mut bits: u32) {
    // SAFETY: the caller's promise.
    unsafe {
        if i.flags & INVERT != 0 {
            bits = !bits;
        }
        let mut other = !bits;
        if i.flags & (AND | OR | XOR) != 0 {
            let c = *b.at::<u32>(i.c) ^ if i.flags & NEGATE_C != 0 { u32::MAX } else { 0 };
            let combine = |v: u32| match i.flags & (AND | OR | XOR) {
                AND => v & c,
                OR => v | c,
                _ => v ^ c,
            };
            (bits, other) = (combine(bits), combine(other));
        }
        if i.d != crate::ptx::code::NONE {
            put_pred(b, i.d, bits, m);
        }
        if i.e != crate::ptx::code::NONE {
            put_pred(b, i.e, other, m);
        }
    }
}

/// Selects by a predicate in `c`.
///
/// # Safety
/// As [`get`].
#[inline(always)]
unsafe fn select<T: Copy + Default>(b: &Bases, i: &Ins, m: u32) {
    // SAFETY: the caller's promise.
    unsafe {
        let p = *b.at::<u32>(i.c) ^ if i.flags != 0 { u32::MAX } else { 0 };
        let (x, y) = (&*b.at::<[T; 32]>(i.a), &*b.at::<[T; 32]>(i.b));
        let mut r = [T::default(); 32];
        for lane in 0..32 {
            r[lane] = if p >> lane & 1 != 0 { x[lane] } else { y[lane] };
        }
        put(b, i.d, &r, m);
    }
}

/// `d = f(a, b)` on predicates; `flags`: 1 negates a, 2 negates b.
///
/// # Safety
/// As [`get`].
#[inline(always)]
unsafe fn logic(b: &Bases, i: &Ins, m: u32, f: impl Fn(u32, u32) -> u32) {
    // SAFETY: the caller's promise.
    unsafe {
        let x = *b.at::<u32>(i.a) ^ if i.flags & 1 != 0 { u32::MAX } else { 0 };
        let y = *b.at::<u32>(i.b) ^ if i.flags & 2 != 0 { u32::MAX } else { 0 };
        put_pred(b, i.d, f(x, y), m);
    }
}

/// Packs two registers into one of twice the size (`a` low).
///
/// # Safety
/// As [`get`].
unsafe fn pack4(b: &Bases, i: &Ins, m: u32) {
    // SAFETY: the caller's promise.
    unsafe {
        let (x, y, z, w): ([u16; 32], [u16; 32], [u16; 32], [u16; 32]) =
            (get(b, i.a), get(b, i.b), get(b, i.c), get(b, i.e));
        let r = std::array::from_fn(|l| {
            u64::from(x[l]) | u64::from(y[l]) << 16 | u64::from(z[l]) << 32 | u64::from(w[l]) << 48
        });
        put::<u64>(b, i.d, &r, m);
    }
}

alu! {
    mov_16 = |b, i, m| map1(b, i, m, |x: u16| x);
    mov_32 = |b, i, m| map1(b, i, m, |x: u32| x);
    mov_64 = |b, i, m| map1(b, i, m, |x: u64| x);
    mov_128 = |b, i, m| map1(b, i, m, |x: u128| x);
    pack_16_32 = |b, i, m| map2(b, i, m, |x: u16, y: u16| u32::from(x) | u32::from(y) << 16);
    pack_32_64 = |b, i, m| map2(b, i, m, |x: u32, y: u32| u64::from(x) | u64::from(y) << 32);
    pack_64_128 = |b, i, m| map2(b, i, m, |x: u64, y: u64| u128::from(x) | u128::from(y) << 64);
    pack_16_64 = |b, i, m| pack4(b, i, m);
    pack_8_32 = |b, i, m| map4(b, i, m, |x: u16, y: u16, z: u16, w: u16| u32::from(x & 255) | u32::from(y & 255) << 8 | u32::from(z & 255) << 16 | u32::from(w & 255) << 24);
    pack_8_16 = |b, i, m| map2(b, i, m, |x: u16, y: u16| x & 255 | y << 8);
    // Unpacking: part number `flags`.
    part_32_16 = |b, i, m| map1(b, i, m, |x: u32| (x >> (16 * u32::from(i.flags))) as u16);
    part_64_16 = |b, i, m| map1(b, i, m, |x: u64| (x >> (16 * u32::from(i.flags))) as u16);
    part_64_32 = |b, i, m| map1(b, i, m, |x: u64| (x >> (32 * u32::from(i.flags))) as u32);
    part_128_64 = |b, i, m| map1(b, i, m, |x: u128| (x >> (64 * u32::from(i.flags))) as u64);
    part_32_8 = |b, i, m| map1(b, i, m, |x: u32| (x >> (8 * u32::from(i.flags))) as u16 & 255);
    part_16_8 = |b, i, m| map1(b, i, m, |x: u16| (x >> (8 * u32::from(i.flags))) & 255);
    select_16 = |b, i, m| select::<u16>(b, i, m);
    select_32 = |b, i, m| select::<u32>(b, i, m);
    select_64 = |b, i, m| select::<u64>(b, i, m);
    slct_16 = |b, i, m| map3(b, i, m, |x: u16, y: u16, c: i32| if c >= 0 { x } else { y });
    slct_32 = |b, i, m| map3(b, i, m, |x: u32, y: u32, c: i32| if c >= 0 { x } else { y });
    slct_64 = |b, i, m| map3(b, i, m, |x: u64, y: u64, c: i32| if c >= 0 { x } else { y });
    slct_f_16 = |b, i, m| map3(b, i, m, |x: u16, y: u16, c: f32| if c >= 0.0 { x } else { y });
    slct_f_32 = |b, i, m| map3(b, i, m, |x: u32, y: u32, c: f32| if c >= 0.0 { x } else { y });
    slct_f_64 = |b, i, m| map3(b, i, m, |x: u64, y: u64, c: f32| if c >= 0.0 { x } else { y });
    pred_and = |b, i, m| logic(b, i, m, |x, y| x & y);
    pred_or = |b, i, m| logic(b, i, m, |x, y| x | y);
    pred_xor = |b, i, m| logic(b, i, m, |x, y| x ^ y);
    pred_mov = |b, i, m| put_pred(b, i.d, *b.at::<u32>(i.a) ^ if i.flags & 1 != 0 { u32::MAX } else { 0 }, m);
    eq_16 = |b, i, m| compare(b, i, m, |x: u16, y: u16| x == y);
    eq_32 = |b, i, m| compare(b, i, m, |x: u32, y: u32| x == y);
    eq_64 = |b, i, m| compare(b, i, m, |x: u64, y: u64| x == y);
    lt_u16 = |b, i, m| compare(b, i, m, |x: u16, y: u16| x < y);
    lt_u32 = |b, i, m| compare(b, i, m, |x: u32, y: u32| x < y);
    lt_u64 = |b, i, m| compare(b, i, m, |x: u64, y: u64| x < y);
    lt_s16 = |b, i, m| compare(b, i, m, |x: i16, y: i16| x < y);
    lt_s32 = |b, i, m| compare(b, i, m, |x: i32, y: i32| x < y);
    lt_s64 = |b, i, m| compare(b, i, m, |x: i64, y: i64| x < y);
    eq_f32 = |b, i, m| compare(b, i, m, |x: f32, y: f32| x == y);
    lt_f32 = |b, i, m| compare(b, i, m, |x: f32, y: f32| x < y);
    le_f32 = |b, i, m| compare(b, i, m, |x: f32, y: f32| x <= y);
    lg_f32 = |b, i, m| compare(b, i, m, |x: f32, y: f32| (x < y) | (x > y));
    num_f32 = |b, i, m| compare(b, i, m, |x: f32, y: f32| !x.is_nan() & !y.is_nan());
    eq_f64 = |b, i, m| compare(b, i, m, |x: f64, y: f64| x == y);
    lt_f64 = |b, i, m| compare(b, i, m, |x: f64, y: f64| x < y);
    le_f64 = |b, i, m| compare(b, i, m, |x: f64, y: f64| x <= y);
    lg_f64 = |b, i, m| compare(b, i, m, |x: f64, y: f64| (x < y) | (x > y));
    num_f64 = |b, i, m| compare(b, i, m, |x: f64, y: f64| !x.is_nan() & !y.is_nan());
    testp_f32 = |b, i, m| {
        let x: [f32; 32] = get(b, i.a);
        let mut bits = 0;
        for lane in 0..32 {
            bits |= u32::from(testp(f64::from(x[lane]), x[lane].is_normal(), x[lane].is_subnormal(), i.sub)) << lane;
        }
        put_pred(b, i.d, bits, m)
    };
    testp_f64 = |b, i, m| {
        let x: [f64; 32] = get(b, i.a);
        let mut bits = 0;
        for lane in 0..32 {
            bits |= u32::from(testp(x[lane], x[lane].is_normal(), x[lane].is_subnormal(), i.sub)) << lane;
        }
        put_pred(b, i.d, bits, m)
    };
}

fn testp(x: f64, normal: bool, subnormal: bool, kind: u16) -> bool {
    match kind {
        0 => x.is_finite(),
        1 => x.is_infinite(),
        2 => !x.is_nan(),
        3 => x.is_nan(),
        // Zeros count as normal.
        4 => normal || x == 0.0,
        _ => subnormal,
    }
}
