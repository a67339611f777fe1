//! Single and double precision in the forms that compilers emit most: round to nearest, with and without flushing of subnormal numbers.

use super::{alu, map1, map2, map3};
use crate::ptx::code::{Bases, Ins};

/// The one NaN that single-precision operations return.
pub(crate) const NAN_F32: u32 = 0x7fff_ffff;

/// Makes every NaN the canonical one. Done on the bits: as numbers, one NaN is as good as another for the optimiser.
#[inline(always)]
pub(crate) fn canon(x: f32) -> f32 {
    let bits = x.to_bits();
    f32::from_bits(if bits & 0x7fff_ffff > 0x7f80_0000 {
        NAN_F32
    } else {
        bits
    })
}

/// Flushes subnormal numbers to zero of the same sign.
#[inline(always)]
pub(crate) fn flush(x: f32) -> f32 {
    let bits = x.to_bits();
    if bits & 0x7f80_0000 == 0 {
        f32::from_bits(bits & 0x8000_0000)
    } else {
        x
    }
}

/// PTX `min`: a NaN loses against a number, -0 is smaller than +0.
#[inline(always)]
pub(crate) fn min32(x: f32, y: f32) -> f32 {
    if x.is_nan() {
        return canon(y);
    }
    if y.is_nan() {
        return x;
    }
    if x < y || (x == y && x.is_sign_negative()) {
        x
    } else {
        y
    }
}

/// PTX `max`.
#[inline(always)]
pub(crate) fn max32(x: f32, y: f32) -> f32 {
    if x.is_nan() {
        return canon(y);
    }
    if y.is_nan() {
        return x;
    }
    if x > y || (x == y && x.is_sign_positive()) {
        x
    } else {
        y
    }
}

/// A NaN as an operation hands it on: quiet, its payload kept. Numbers stay as they are.
#[inline(always)]
pub(crate) fn quiet(x: f64) -> f64 {
    if x.is_nan() {
        f64::from_bits(x.to_bits() | 1 << 51)
    } else {
        x
    }
}

/// The result of an operation in double precision: of several NaN operands the last one is handed on.
#[inline(always)]
pub(crate) fn last_nan(y: f64, r: f64) -> f64 {
    if y.is_nan() { quiet(y) } else { r }
}

/// A fused sum; of several NaN operands the second factor is handed on, then what is added, then the first factor.
#[inline(always)]
pub(crate) fn fma64(x: f64, y: f64, z: f64) -> f64 {
    last_nan(y, last_nan(z, x.mul_add(y, z)))
}

/// PTX `min` in double precision.
#[inline(always)]
pub(crate) fn min64(x: f64, y: f64) -> f64 {
    if x.is_nan() {
        return quiet(y);
    }
    if y.is_nan() {
        return x;
    }
    if x < y || (x == y && x.is_sign_negative()) {
        x
    } else {
        y
    }
}

/// PTX `max` in double precision.
#[inline(always)]
pub(crate) fn max64(x: f64, y: f64) -> f64 {
    if x.is_nan() {
        return quiet(y);
    }
    if y.is_nan() {
        return x;
    }
    if x > y || (x == y && x.is_sign_positive()) {
        x
    } else {
        y
    }
}

/// Products and fused sums that flush: a result that was rounded up to the smallest normal number counts as subnormal, since a GPU looks before it rounds.
///
/// # Safety
/// As [`map3`].
#[inline(always)]
unsafe fn flushed(b: &Bases, i: &Ins, m: u32, c: u32, f: impl Fn(f32, f32, f32) -> f32) {
    const SMALLEST: u32 = 0x0080_0000;
    // SAFETY: the caller's promise.
    unsafe {
        let (x, y, z) = (
            &*b.at::<[f32; 32]>(i.a),
            &*b.at::<[f32; 32]>(i.b),
            &*b.at::<[f32; 32]>(c),
        );
        let mut r = [0f32; 32];
        let mut any = false;
        for lane in 0..32 {
            r[lane] = flush(canon(f(flush(x[lane]), flush(y[lane]), flush(z[lane]))));
        }
        for lane in 0..32 {
            any |= r[lane].to_bits() & 0x7fff_ffff == SMALLEST;
        }
        if any {
            for lane in 0..32 {
                if r[lane].to_bits() & 0x7fff_ffff == SMALLEST {
                    let z = if c == i.c { flush(z[lane]) } else { -0.0 };
                    let cut = super::rounding::fma32(
                        flush(x[lane]),
                        flush(y[lane]),
                        z,
                        super::rounding::Round::Zero,
                    );
                    if cut.to_bits() & 0x7fff_ffff < SMALLEST {
                        r[lane] = 0f32.copysign(r[lane]);
                    }
                }
            }
        }
        super::put(b, i.d, &r, m);
    }
}

/// The argument of `sin` and `cos` as a GPU reduces it: turns, in single precision.
#[inline(always)]
fn turns(x: f32) -> f64 {
    let turns = f64::from(x * (std::f32::consts::FRAC_1_PI * 0.5));
    let rest = turns - turns.round_ties_even();
    rest.copysign(if rest == 0.0 { turns } else { rest }) * std::f64::consts::TAU
}

alu! {
    add_f32 = |b, i, m| map2(b, i, m, |x: f32, y: f32| canon(x + y));
    add_ftz_f32 = |b, i, m| map2(b, i, m, |x: f32, y: f32| flush(canon(flush(x) + flush(y))));
    add_f64 = |b, i, m| map2(b, i, m, |x: f64, y: f64| last_nan(y, x + y));
    sub_f32 = |b, i, m| map2(b, i, m, |x: f32, y: f32| canon(x - y));
    sub_ftz_f32 = |b, i, m| map2(b, i, m, |x: f32, y: f32| flush(canon(flush(x) - flush(y))));
    sub_f64 = |b, i, m| map2(b, i, m, |x: f64, y: f64| last_nan(y, x - y));
    mul_f32 = |b, i, m| map2(b, i, m, |x: f32, y: f32| canon(x * y));
    mul_ftz_f32 = |b, i, m| flushed(b, i, m, i.a, |x, y, _| x * y);
    mul_f64 = |b, i, m| map2(b, i, m, |x: f64, y: f64| last_nan(y, x * y));
    fma_f32 = |b, i, m| map3(b, i, m, |x: f32, y: f32, z: f32| canon(x.mul_add(y, z)));
    fma_ftz_f32 = |b, i, m| flushed(b, i, m, i.c, f32::mul_add);
    fma_f64 = |b, i, m| map3(b, i, m, |x: f64, y: f64, z: f64| fma64(x, y, z));
    div_f32 = |b, i, m| map2(b, i, m, |x: f32, y: f32| canon(x / y));
    div_f64 = |b, i, m| map2(b, i, m, |x: f64, y: f64| x / y);
    sqrt_f32 = |b, i, m| map1(b, i, m, |x: f32| canon(x.sqrt()));
    sqrt_f64 = |b, i, m| map1(b, i, m, |x: f64| x.sqrt());
    rcp_f32 = |b, i, m| map1(b, i, m, |x: f32| canon(1.0 / x));
    rcp_f64 = |b, i, m| map1(b, i, m, |x: f64| 1.0 / x);
    rsqrt_f32 = |b, i, m| map1(b, i, m, |x: f32| canon((1.0 / f64::from(x).sqrt()) as f32));
    rsqrt_f64 = |b, i, m| map1(b, i, m, |x: f64| 1.0 / x.sqrt());
    // The .ftz.f64 approximations have their low 32 bits zero.
    rcp_coarse_f64 = |b, i, m| map1(b, i, m, |x: f64| coarse(1.0 / upper(x)));
    rsqrt_coarse_f64 = |b, i, m| map1(b, i, m, |x: f64| coarse(1.0 / upper(x).sqrt()));
    neg_f32 = |b, i, m| map1(b, i, m, |x: f32| canon(-x));
    neg_ftz_f32 = |b, i, m| map1(b, i, m, |x: f32| canon(-flush(x)));
    neg_f64 = |b, i, m| map1(b, i, m, |x: f64| last_nan(x, -x));
    abs_f32 = |b, i, m| map1(b, i, m, |x: f32| canon(x.abs()));
    abs_ftz_f32 = |b, i, m| map1(b, i, m, |x: f32| canon(flush(x).abs()));
    abs_f64 = |b, i, m| map1(b, i, m, |x: f64| last_nan(x, x.abs()));
    min_f32 = |b, i, m| map2(b, i, m, min32);
    max_f32 = |b, i, m| map2(b, i, m, max32);
    min_ftz_f32 = |b, i, m| map2(b, i, m, |x: f32, y: f32| min32(flush(x), flush(y)));
    max_ftz_f32 = |b, i, m| map2(b, i, m, |x: f32, y: f32| max32(flush(x), flush(y)));
    min_f64 = |b, i, m| map2(b, i, m, min64);
    max_f64 = |b, i, m| map2(b, i, m, max64);
    copysign_f32 = |b, i, m| map2(b, i, m, |x: f32, y: f32| y.copysign(x));
    copysign_f64 = |b, i, m| map2(b, i, m, |x: f64, y: f64| y.copysign(x));
    flush_f32 = |b, i, m| map1(b, i, m, flush);
    sin_f32 = |b, i, m| map1(b, i, m, |x: f32| canon(turns(x).sin() as f32));
    cos_f32 = |b, i, m| map1(b, i, m, |x: f32| canon(turns(x).cos() as f32));
    lg2_f32 = |b, i, m| map1(b, i, m, |x: f32| canon(f64::from(x).log2() as f32));
    ex2_f32 = |b, i, m| map1(b, i, m, |x: f32| canon(f64::from(x).exp2() as f32));
    tanh_f32 = |b, i, m| map1(b, i, m, |x: f32| canon(f64::from(x).tanh() as f32));
}

#[inline(always)]
fn coarse(x: f64) -> f64 {
    if x.is_nan() {
        f64::from_bits(0x7fff_ffff_0000_0000)
    } else {
        flush64(f64::from_bits(x.to_bits() & 0xffff_ffff_0000_0000))
    }
}

/// What the coarse approximations look at: the upper half.
#[inline(always)]
fn upper(x: f64) -> f64 {
    flush64(f64::from_bits(x.to_bits() & 0xffff_ffff_0000_0000))
}

#[inline(always)]
fn flush64(x: f64) -> f64 {
    if x.abs() < f64::MIN_POSITIVE {
        0f64.copysign(x)
    } else {
        x
    }
}
