//! Arithmetic over the 32 lanes of a warp. Each operation is compiled twice: for the baseline of the architecture and, on x86-64, with AVX2 and FMA; which one
//! runs is decided when PTX is compiled.

pub(crate) mod convert;
pub(crate) mod float;
pub(crate) mod float_modes;
pub(crate) mod half;
pub(crate) mod int;
pub(crate) mod logic;
pub(crate) mod rounding;
pub(crate) mod shuffle;
pub(crate) mod video;

use super::code::{Bases, Ins, Loc};

/// All 32 lanes.
pub(crate) const FULL: u32 = u32::MAX;

/// Whether the wide variants can run here.
pub(crate) fn wide() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        std::arch::is_x86_feature_detected!("avx2")
            && std::arch::is_x86_feature_detected!("fma")
            && std::arch::is_x86_feature_detected!("bmi2")
            && std::arch::is_x86_feature_detected!("lzcnt")
            && std::arch::is_x86_feature_detected!("popcnt")
            && std::arch::is_x86_feature_detected!("f16c")
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        false
    }
}

/// Declares operations: `name = |bases, ins, mask| body;` gives a function `name() -> Alu`.
macro_rules! alu {
    ($($name:ident = |$b:ident, $i:ident, $m:ident| $body:expr;)*) => {
        mod base {
            #[allow(unused_imports, reason = "not every table of operations needs all")]
            use super::*;
            $(
                /// # Safety
                /// The instruction must belong to the function whose frame `bases` holds.
                pub(super) unsafe fn $name($b: &$crate::ptx::code::Bases, $i: &$crate::ptx::code::Ins, $m: u32) {
                    // SAFETY: as above.
                    unsafe { $body }
                }
            )*
        }
        #[cfg(target_arch = "x86_64")]
        mod wide {
            #[allow(unused_imports, reason = "not every table of operations needs all")]
            use super::*;
            $(
                /// # Safety
                /// The instruction must belong to the function whose frame `bases` holds; the CPU must have the features.
                #[target_feature(enable = "avx2,fma,bmi1,bmi2,lzcnt,popcnt,f16c")]
                pub(super) unsafe fn $name($b: &$crate::ptx::code::Bases, $i: &$crate::ptx::code::Ins, $m: u32) {
                    // SAFETY: as above.
                    unsafe { $body }
                }
            )*
        }
        $(
            #[doc = concat!("The operation `", stringify!($name), "` in the variant for this CPU.")]
            pub(crate) fn $name() -> $crate::ptx::code::Alu {
                #[cfg(target_arch = "x86_64")]
                if $crate::ptx::alu::wide() {
                    return wide::$name;
                }
                base::$name
            }
        )*
        /// The operations by name.
        pub(crate) const TABLE: &[(&str, fn() -> $crate::ptx::code::Alu)] = &[$((stringify!($name), $name)),*];
    };
}
pub(crate) use alu;

/// Whether there are few lanes, one or a group of eight: what machine code asks for. They are done one after the other.
#[inline(always)]
pub(crate) fn few(mask: u32) -> bool {
    mask >> (mask.trailing_zeros() & 24) <= 0xff
}

/// Does something for each lane of a mask.
#[inline(always)]
pub(crate) fn each_lane(mut mask: u32, mut f: impl FnMut(usize)) {
    while mask != 0 {
        f(mask.trailing_zeros() as usize);
        mask &= mask - 1;
    }
}

/// Reads a whole register.
///
/// # Safety
/// `loc` must be a register of `32 * size_of::<T>()` bytes of the function whose frame is set.
#[inline(always)]
pub(crate) unsafe fn get<T: Copy>(b: &Bases, loc: Loc) -> [T; 32] {
    // SAFETY: the caller's promise; registers are aligned to 16 bytes at least.
    unsafe { *b.at::<[T; 32]>(loc) }
}

/// Writes the lanes of `mask`.
///
/// # Safety
/// As [`get`]; `loc` must be in the frame.
#[inline(always)]
pub(crate) unsafe fn put<T: Copy>(b: &Bases, loc: Loc, value: &[T; 32], mask: u32) {
    // SAFETY: the caller's promise.
    let out = unsafe { &mut *b.at::<[T; 32]>(loc) };
    if mask == FULL {
        *out = *value;
    } else {
        blend(out, value, mask);
    }
}

/// The bit of each lane.
const BITS: [u32; 32] = {
    let mut bits = [0; 32];
    let mut lane = 0;
    while lane < 32 {
        bits[lane] = 1 << lane;
        lane += 1;
    }
    bits
};

#[inline(never)]
fn blend<T: Copy>(out: &mut [T; 32], value: &[T; 32], mask: u32) {
    // Comparing with a table of bits and always writing is what the optimiser makes vectors of.
    for lane in 0..32 {
        out[lane] = if mask & BITS[lane] != 0 {
            value[lane]
        } else {
            out[lane]
        };
    }
}

/// Writes the bits of `mask` of a predicate.
///
/// # Safety
/// `loc` must be a predicate in the frame.
#[inline(always)]
pub(crate) unsafe fn put_pred(b: &Bases, loc: Loc, value: u32, mask: u32) {
    // SAFETY: the caller's promise.
    unsafe {
        let out = b.at::<u32>(loc);
        *out = (*out & !mask) | (value & mask);
    }
}

/// `d = f(a)`.
///
/// # Safety
/// As [`get`] for `d` and `a`.
#[inline(always)]
pub(crate) unsafe fn map1<A: Copy, R: Copy + Default>(
    b: &Bases,
    i: &Ins,
    m: u32,
    f: impl Fn(A) -> R,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let x = &*b.at::<[A; 32]>(i.a);
        if few(m) {
            let out = b.at::<R>(i.d);
            each_lane(m, |lane| *out.add(lane) = f(*b.at::<A>(i.a).add(lane)));
            return;
        }
        let mut r = [R::default(); 32];
        for lane in 0..32 {
            r[lane] = f(x[lane]);
        }
        put(b, i.d, &r, m);
    }
}

/// `d = f(a, b)`.
///
/// # Safety
/// As [`get`] for `d`, `a` and `b`.
#[inline(always)]
pub(crate) unsafe fn map2<A: Copy, B: Copy, R: Copy + Default>(
    b: &Bases,
    i: &Ins,
    m: u32,
    f: impl Fn(A, B) -> R,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let (x, y) = (&*b.at::<[A; 32]>(i.a), &*b.at::<[B; 32]>(i.b));
        if few(m) {
            let out = b.at::<R>(i.d);
            each_lane(m, |lane| {
                *out.add(lane) = f(*b.at::<A>(i.a).add(lane), *b.at::<B>(i.b).add(lane))
            });
            return;
        }
        let mut r = [R::default(); 32];
        for lane in 0..32 {
            r[lane] = f(x[lane], y[lane]);
        }
        put(b, i.d, &r, m);
    }
}

/// `d = f(a, b, c)`.
///
/// # Safety
/// As [`get`] for `d`, `a`, `b` and `c`.
#[inline(always)]
pub(crate) unsafe fn map3<A: Copy, B: Copy, C: Copy, R: Copy + Default>(
    b: &Bases,
    i: &Ins,
    m: u32,
    f: impl Fn(A, B, C) -> R,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let (x, y, z) = (
            &*b.at::<[A; 32]>(i.a),
            &*b.at::<[B; 32]>(i.b),
            &*b.at::<[C; 32]>(i.c),
        );
        if few(m) {
            let out = b.at::<R>(i.d);
            each_lane(m, |lane| {
                *out.add(lane) = f(
                    *b.at::<A>(i.a).add(lane),
                    *b.at::<B>(i.b).add(lane),
                    *b.at::<C>(i.c).add(lane),
                )
            });
            return;
        }
        let mut r = [R::default(); 32];
        for lane in 0..32 {
            r[lane] = f(x[lane], y[lane], z[lane]);
        }
        put(b, i.d, &r, m);
    }
}

/// `d = f(a, b, c, e)`.
///
/// # Safety
/// As [`get`] for `d`, `a`, `b`, `c` and `e`.
#[inline(always)]
pub(crate) unsafe fn map4<A: Copy, B: Copy, C: Copy, E: Copy, R: Copy + Default>(
    b: &Bases,
    i: &Ins,
    m: u32,
    f: impl Fn(A, B, C, E) -> R,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let (x, y, z, w) = (
            &*b.at::<[A; 32]>(i.a),
            &*b.at::<[B; 32]>(i.b),
            &*b.at::<[C; 32]>(i.c),
            &*b.at::<[E; 32]>(i.e),
        );
        if few(m) {
            let out = b.at::<R>(i.d);
            each_lane(m, |lane| {
                *out.add(lane) = f(
                    *b.at::<A>(i.a).add(lane),
                    *b.at::<B>(i.b).add(lane),
                    *b.at::<C>(i.c).add(lane),
                    *b.at::<E>(i.e).add(lane),
                )
            });
            return;
        }
        let mut r = [R::default(); 32];
        for lane in 0..32 {
            r[lane] = f(x[lane], y[lane], z[lane], w[lane]);
        }
        put(b, i.d, &r, m);
    }
}
