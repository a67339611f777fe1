//! Floating-point instructions and conversions against the host's arithmetic, with directed rounding done by the CPU itself.

#![allow(
    missing_docs,
    clippy::precedence,
    clippy::nonminimal_bool,
    clippy::neg_cmp_op_on_partial_ord,
    clippy::double_comparisons,
    clippy::manual_checked_ops,
    reason = "expected values are written as PTX defines them"
)]
#![cfg(target_arch = "x86_64")]

mod ptx_common;
use std::arch::asm;

use ptx_common::{apply, samples};

/// Bits that matter for single precision: subnormals, infinities, NaN, edges; then random exponents near one another.
fn floats(count: usize) -> Vec<u32> {
    let mut out: Vec<u32> = [
        0.0f32,
        -0.0,
        1.0,
        -1.0,
        0.5,
        1.5,
        2.5,
        -2.5,
        3.999_999,
        f32::MAX,
        f32::MIN,
        f32::MIN_POSITIVE,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
        1e-45,
        -1e-45,
        1e-40,
        16_777_217.0,
        2_147_483_648.0,
        4_294_967_296.0,
        -2_147_483_648.0,
        1e-20,
        -3e-30,
        65504.0,
        65520.0,
        6e-8,
        0.333_333_34,
    ]
    .map(f32::to_bits)
    .to_vec();
    for (k, v) in samples(5, count).into_iter().enumerate() {
        let v = v as u32;
        out.push(if k % 3 == 0 {
            v
        } else {
            v & 0x807f_ffff | (120 + (v >> 24) % 16) << 23
        });
    }
    out.truncate(count);
    out
}

fn doubles(count: usize) -> Vec<u64> {
    let mut out: Vec<u64> = [
        0.0f64,
        -0.0,
        1.0,
        -1.0,
        0.5,
        2.5,
        f64::MAX,
        f64::MIN,
        f64::MIN_POSITIVE,
        5e-324,
        -5e-324,
        1e-310,
        f64::INFINITY,
        f64::NEG_INFINITY,
        1e200,
        -1e-200,
        9.3e18,
        1.9e19,
        1e-160,
        3e-170,
    ]
    .map(f64::to_bits)
    .to_vec();
    for (k, v) in samples(9, count).into_iter().enumerate() {
        out.push(if k % 4 == 0 && f64::from_bits(v).is_finite() {
            v
        } else {
            v & 0x800f_ffff_ffff_ffff | (1015 + (v >> 52) % 16) << 52
        });
    }
    out.truncate(count);
    out
}

fn rows32(count: usize) -> Vec<[u64; 3]> {
    let v = floats(count);
    (0..count)
        .map(|k| {
            [
                u64::from(v[k]),
                u64::from(v[(k * 7 + 3) % count]),
                u64::from(v[(k * 13 + 5) % count]),
            ]
        })
        .collect()
}

fn rows64(count: usize) -> Vec<[u64; 3]> {
    let v = doubles(count);
    (0..count)
        .map(|k| [v[k], v[(k * 7 + 3) % count], v[(k * 13 + 5) % count]])
        .collect()
}

/// Rounding bits of the control word of SSE, by mode.
fn control(mode: &str) -> u32 {
    0x1f80
        | match mode {
            "rn" => 0,
            "rm" => 0x2000,
            "rp" => 0x4000,
            _ => 0x6000,
        }
}

macro_rules! rounded {
    ($name:ident, $t:ty, $($ins:literal),+) => {
        /// One operation of the CPU in a rounding mode.
        fn $name(mode: &str, mut a: $t, b: $t, c: $t) -> $t {
            let (word, normal) = (control(mode), 0x1f80u32);
            // SAFETY: the control word is restored within the block.
            unsafe {
                asm!("ldmxcsr [{w}]", $($ins,)+ "ldmxcsr [{n}]", w = in(reg) &word, n = in(reg) &normal, a = inout(xmm_reg) a, b = in(xmm_reg) b, c = in(xmm_reg) c);
            }
            a
        }
    };
}
rounded!(add32, f32, "addss {a}, {b}", "/* {c} */");
rounded!(mul32, f32, "mulss {a}, {b}", "/* {c} */");
rounded!(div32, f32, "divss {a}, {b}", "/* {c} */");
rounded!(sqrt32, f32, "sqrtss {a}, {a}", "/* {b} {c} */");
rounded!(fma32, f32, "vfmadd213ss {a}, {b}, {c}");
rounded!(add64, f64, "addsd {a}, {b}", "/* {c} */");
rounded!(mul64, f64, "mulsd {a}, {b}", "/* {c} */");
rounded!(div64, f64, "divsd {a}, {b}", "/* {c} */");
rounded!(sqrt64, f64, "sqrtsd {a}, {a}", "/* {b} {c} */");
rounded!(fma64, f64, "vfmadd213sd {a}, {b}, {c}");
rounded!(narrow, f64, "cvtsd2ss {a}, {a}", "/* {b} {c} */");

fn check32(text: &str, f: impl Fn(f32, f32, f32) -> f32) {
    let rows = rows32(600);
    for (row, found) in rows.iter().zip(apply(text, ["b32"; 4], &rows)) {
        let [a, b, c] = row.map(|v| f32::from_bits(v as u32));
        let r = f(a, b, c);
        let expected = if r.is_nan() { 0x7fff_ffff } else { r.to_bits() };
        assert_eq!(
            found as u32,
            expected,
            "{text} {a:e} {b:e} {c:e}: {:e} {r:e}",
            f32::from_bits(found as u32)
        );
    }
}

fn check64(text: &str, f: impl Fn(f64, f64, f64) -> f64) {
    let rows = rows64(600);
    for (row, found) in rows.iter().zip(apply(text, ["b64"; 4], &rows)) {
        let [a, b, c] = row.map(f64::from_bits);
        let (r, found) = (f(a, b, c), f64::from_bits(found));
        assert!(
            found.to_bits() == r.to_bits() || (found.is_nan() && r.is_nan()),
            "{text} {a:e} {b:e} {c:e}: {found:e} {r:e} {:x} {:x}",
            found.to_bits(),
            r.to_bits()
        );
    }
}

#[test]
fn single_precision_in_all_rounding_modes() {
    for mode in ["rn", "rz", "rm", "rp"] {
        check32(&format!("add.{mode}.f32 %d, %a, %b;"), |a, b, c| {
            add32(mode, a, b, c)
        });
        check32(&format!("sub.{mode}.f32 %d, %a, %b;"), |a, b, c| {
            add32(mode, a, -b, c)
        });
        check32(&format!("mul.{mode}.f32 %d, %a, %b;"), |a, b, c| {
            mul32(mode, a, b, c)
        });
        check32(&format!("fma.{mode}.f32 %d, %a, %b, %c;"), |a, b, c| {
            fma32(mode, a, b, c)
        });
        check32(&format!("div.{mode}.f32 %d, %a, %b;"), |a, b, c| {
            div32(mode, a, b, c)
        });
        check32(&format!("sqrt.{mode}.f32 %d, %a;"), |a, b, c| {
            sqrt32(mode, a, b, c)
        });
        check32(&format!("rcp.{mode}.f32 %d, %a;"), |a, _, c| {
            div32(mode, 1.0, a, c)
        });
    }
}

#[test]
fn double_precision_in_all_rounding_modes() {
    for mode in ["rn", "rz", "rm", "rp"] {
        check64(&format!("add.{mode}.f64 %d, %a, %b;"), |a, b, c| {
            add64(mode, a, b, c)
        });
        check64(&format!("mul.{mode}.f64 %d, %a, %b;"), |a, b, c| {
            mul64(mode, a, b, c)
        });
        check64(&format!("fma.{mode}.f64 %d, %a, %b, %c;"), |a, b, c| {
            fma64(mode, a, b, c)
        });
        check64(&format!("div.{mode}.f64 %d, %a, %b;"), |a, b, c| {
            div64(mode, a, b, c)
        });
        check64(&format!("sqrt.{mode}.f64 %d, %a;"), |a, b, c| {
            sqrt64(mode, a, b, c)
        });
    }
}

fn flush(x: f32) -> f32 {
    if x.is_subnormal() {
        0f32.copysign(x)
    } else {
        x
    }
}

#[test]
fn flushing_saturation_and_simple_operations() {
    check32("add.ftz.f32 %d, %a, %b;", |a, b, _| {
        flush(flush(a) + flush(b))
    });
    check32("mul.rz.ftz.f32 %d, %a, %b;", |a, b, c| {
        flush(mul32("rz", flush(a), flush(b), c))
    });
    check32("fma.rn.ftz.f32 %d, %a, %b, %c;", |a, b, c| {
        flush(flush(a).mul_add(flush(b), flush(c)))
    });
    let sat = |x: f32| {
        if x.is_nan() {
            0.0
        } else {
            x.clamp(0.0, 1.0) + 0.0
        }
    };
    check32("add.sat.f32 %d, %a, %b;", |a, b, _| sat(a + b));
    check32("fma.rn.sat.f32 %d, %a, %b, %c;", |a, b, c| {
        sat(a.mul_add(b, c))
    });
    check32("cvt.sat.f32.f32 %d, %a;", |a, _, _| sat(a));
    check32("neg.f32 %d, %a;", |a, _, _| -a);
    check32("abs.ftz.f32 %d, %a;", |a, _, _| flush(a).abs());
    check32("min.f32 %d, %a, %b;", |a, b, _| {
        if a.is_nan() {
            b
        } else if b.is_nan() || a < b || (a == b && a.is_sign_negative()) {
            a
        } else {
            b
        }
    });
    check32("max.NaN.f32 %d, %a, %b;", |a, b, _| {
        if a.is_nan() || b.is_nan() {
            f32::NAN
        } else if a > b || (a == b && a.is_sign_positive()) {
            a
        } else {
            b
        }
    });
    check32(
        "copysign.f32 %d, %a, %b;\nadd.f32 %d, %d, 0fBF800000;",
        |a, b, _| b.copysign(a) - 1.0,
    );
    check64("max.f64 %d, %a, %b;", |a, b, _| {
        if a.is_nan() {
            b
        } else if b.is_nan() || a > b || (a == b && a.is_sign_positive()) {
            a
        } else {
            b
        }
    });
    check32("rcp.approx.ftz.f32 %d, %a;", |a, _, _| {
        flush(1.0 / flush(a))
    });
    check32("ex2.approx.f32 %d, %a;", |a, _, _| {
        f64::from(a).exp2() as f32
    });
    check32("lg2.approx.f32 %d, %a;", |a, _, _| {
        f64::from(a).log2() as f32
    });
    // A GPU reduces the angle to turns, in single precision.
    check32("sin.approx.f32 %d, %a;", |a, _, _| {
        let turns = f64::from(a * (std::f32::consts::FRAC_1_PI * 0.5));
        let rest = turns - turns.round_ties_even();
        let rest = if rest == 0.0 {
            0f64.copysign(turns)
        } else {
            rest
        };
        (rest * std::f64::consts::TAU).sin() as f32
    });
    check32(
        "setp.ltu.f32 %p, %a, %b;\nselp.f32 %d, 1.0, 0f00000000, %p;",
        |a, b, _| f32::from(u8::from(a.is_nan() || b.is_nan() || a < b)),
    );
    for (name, f) in [
        ("lt", (|a, b| a < b) as fn(f32, f32) -> bool),
        ("le", |a, b| a <= b),
        ("gt", |a, b| a > b),
        ("ge", |a, b| a >= b),
        ("eq", |a, b| a == b),
        ("ne", |a, b| a < b || a > b),
        ("equ", |a, b| !(a < b || a > b)),
        ("neu", |a, b| a != b),
        ("leu", |a, b| !(a > b)),
        ("gtu", |a, b| !(a <= b)),
        ("geu", |a, b| !(a < b)),
        ("num", |a, b| !a.is_nan() && !b.is_nan()),
        ("nan", |a, b| a.is_nan() || b.is_nan()),
    ] {
        check32(&format!("set.{name}.f32.f32 %d, %a, %b;"), |a, b, _| {
            f32::from(u8::from(f(a, b)))
        });
    }
    check32(
        "testp.subnormal.f32 %p, %a;\nselp.f32 %d, 1.0, 0f00000000, %p;",
        |a, _, _| f32::from(u8::from(a.is_subnormal())),
    );
}

fn convert(text: &str, to: &str, from: &str, inputs: &[u64], f: impl Fn(u64) -> u64) {
    let rows: Vec<[u64; 3]> = inputs.iter().map(|&v| [v, 0, 0]).collect();
    let bits = to[1..].parse::<u32>().unwrap();
    let mask = if bits == 64 {
        u64::MAX
    } else {
        (1 << bits) - 1
    };
    for (row, found) in rows.iter().zip(apply(text, [to, from, from, from], &rows)) {
        assert_eq!(
            found & mask,
            f(row[0]) & mask,
            "{text} {:x} ({:e} {:e})",
            row[0],
            f32::from_bits(row[0] as u32),
            f64::from_bits(row[0])
        );
    }
}

fn single(x: f32) -> u64 {
    if x.is_nan() {
        0x7fff_ffff
    } else {
        u64::from(x.to_bits())
    }
}

#[test]
fn conversions() {
    let (singles, wide, ints): (Vec<u64>, Vec<u64>, Vec<u64>) = (
        floats(500).into_iter().map(u64::from).collect(),
        doubles(500),
        samples(3, 500),
    );
    let f = |v: u64| f32::from_bits(v as u32);
    let d = f64::from_bits;
    let round = |mode: &str, x: f64| match mode {
        "rni" => x.round_ties_even(),
        "rzi" => x.trunc(),
        "rmi" => x.floor(),
        _ => x.ceil(),
    };
    for mode in ["rni", "rzi", "rmi", "rpi"] {
        convert(
            &format!("cvt.{mode}.s32.f32 %d, %a;"),
            "b32",
            "b32",
            &singles,
            |v| round(mode, f64::from(f(v))) as i32 as u64,
        );
        convert(
            &format!("cvt.{mode}.u32.f32 %d, %a;"),
            "b32",
            "b32",
            &singles,
            |v| u64::from(round(mode, f64::from(f(v))) as u32),
        );
        convert(
            &format!("cvt.{mode}.u8.f32 %d, %a;"),
            "b16",
            "b32",
            &singles,
            |v| u64::from(round(mode, f64::from(f(v))) as u8),
        );
        convert(
            &format!("cvt.{mode}.s64.f64 %d, %a;"),
            "b64",
            "b64",
            &wide,
            |v| {
                if d(v).is_nan() {
                    1 << 63
                } else {
                    round(mode, d(v)) as i64 as u64
                }
            },
        );
        convert(
            &format!("cvt.{mode}.f32.f32 %d, %a;"),
            "b32",
            "b32",
            &singles,
            |v| single(round(mode, f64::from(f(v))) as f32),
        );
        convert(
            &format!("cvt.{mode}.f64.f64 %d, %a;"),
            "b64",
            "b64",
            &wide,
            |v| round(mode, d(v)).to_bits(),
        );
    }
    for mode in ["rn", "rz", "rm", "rp"] {
        convert(
            &format!("cvt.{mode}.f32.f64 %d, %a;"),
            "b32",
            "b64",
            &wide,
            |v| single(f32::from_bits(narrow(mode, d(v), 0.0, 0.0).to_bits() as u32)),
        );
        convert(
            &format!("cvt.{mode}.f32.s32 %d, %a;"),
            "b32",
            "b32",
            &ints,
            |v| {
                single(f32::from_bits(
                    narrow(mode, f64::from(v as i32), 0.0, 0.0).to_bits() as u32,
                ))
            },
        );
        // The upper and lower 32 bits are exact in double precision; their sum is rounded once.
        convert(
            &format!("cvt.{mode}.f64.u64 %d, %a;"),
            "b64",
            "b64",
            &ints,
            |v| {
                add64(
                    mode,
                    (v >> 32) as f64 * 4_294_967_296.0,
                    (v & 0xffff_ffff) as f64,
                    0.0,
                )
                .to_bits()
            },
        );
    }
    convert("cvt.rn.f32.s64 %d, %a;", "b32", "b64", &ints, |v| {
        single(v as i64 as f32)
    });
    convert("cvt.rn.f32.u64 %d, %a;", "b32", "b64", &ints, |v| {
        single(v as f32)
    });
    convert(
        "cvt.f64.f32 %d, %a;",
        "b64",
        "b32",
        &singles
            .iter()
            .copied()
            .filter(|&v| !f(v).is_nan())
            .collect::<Vec<_>>(),
        |v| f64::from(f(v)).to_bits(),
    );
    convert("cvt.s64.s16 %d, %a;", "b64", "b16", &ints, |v| {
        v as i16 as u64
    });
    convert("cvt.u32.u8 %d, %a;", "b32", "b32", &ints, |v| v & 255);
    convert("cvt.s32.s8 %d, %a;", "b32", "b16", &ints, |v| {
        v as i8 as u64
    });
    convert("cvt.s16.s8 %d, %a;", "b16", "b32", &ints, |v| {
        v as i8 as u64
    });
    convert("cvt.sat.u8.s32 %d, %a;", "b16", "b32", &ints, |v| {
        (v as i32).clamp(0, 255) as u64
    });
    convert("cvt.sat.s16.s64 %d, %a;", "b16", "b64", &ints, |v| {
        (v as i64).clamp(-32768, 32767) as u64
    });
    convert("cvt.sat.s32.u32 %d, %a;", "b32", "b32", &ints, |v| {
        u64::from((v as u32).min(i32::MAX as u32))
    });
    convert("cvt.u16.u64 %d, %a;", "b16", "b64", &ints, |v| v);
}

/// Half precision by the CPU's own conversion.
fn to_half(x: f32) -> u64 {
    let mut r = x.to_bits();
    // SAFETY: the instruction has no side effects; all CPUs that these tests run on have it.
    unsafe {
        asm!("vmovd {t}, {r:e}", "vcvtps2ph {t}, {t}, 0", "vmovd {r:e}, {t}", r = inout(reg) r, t = out(xmm_reg) _)
    }
    if x.is_nan() {
        0x7fff
    } else {
        u64::from(r & 0xffff)
    }
}

fn from_half(h: u64) -> f32 {
    let mut r = h as u32 & 0xffff;
    // SAFETY: as above.
    unsafe {
        asm!("vmovd {t}, {r:e}", "vcvtph2ps {t}, {t}", "vmovd {r:e}, {t}", r = inout(reg) r, t = out(xmm_reg) _)
    }
    f32::from_bits(r)
}

fn to_bf16(x: f32) -> u64 {
    if x.is_nan() {
        0x7fff
    } else {
        u64::from((x.to_bits() + 0x7fff + (x.to_bits() >> 16 & 1)) >> 16)
    }
}

#[test]
fn half_precision() {
    let all: Vec<u64> = (0..0x1_0000).collect();
    convert("cvt.f32.f16 %d, %a;", "b32", "b16", &all, |h| {
        single(from_half(h))
    });
    // Nothing changes, not even a NaN.
    convert("cvt.f32.bf16 %d, %a;", "b32", "b16", &all, |h| {
        (h & 0xffff) << 16
    });
    let singles: Vec<u64> = floats(3000)
        .into_iter()
        .map(|v| {
            u64::from(if v % 2 == 0 {
                v & 0x8fff_ffff | 0x3000_0000
            } else {
                v
            })
        })
        .collect();
    convert("cvt.rn.f16.f32 %d, %a;", "b16", "b32", &singles, |v| {
        to_half(f32::from_bits(v as u32))
    });
    convert("cvt.rn.bf16.f32 %d, %a;", "b16", "b32", &singles, |v| {
        to_bf16(f32::from_bits(v as u32))
    });
    convert(
        "cvt.rn.f16x2.f32 %d, %a, 0f3F800000;",
        "b32",
        "b32",
        &singles,
        |v| to_half(f32::from_bits(v as u32)) << 16 | 0x3c00,
    );
    let rows: Vec<[u64; 3]> = (0..4000u64)
        .map(|k| {
            [
                k.wrapping_mul(0x9e37_79b9) & 0xffff,
                k.wrapping_mul(0x85eb_ca6b) >> 7 & 0xffff,
                k.wrapping_mul(0xc2b2_ae35) >> 5 & 0xffff,
            ]
        })
        .collect();
    let check = |text: &str, f: &dyn Fn(f64, f64, f64) -> u64| {
        for (row, found) in rows.iter().zip(apply(text, ["b16"; 4], &rows)) {
            let [a, b, c] = row.map(|h| f64::from(from_half(h)));
            assert_eq!(found & 0xffff, f(a, b, c), "{text} {a:e} {b:e} {c:e}");
        }
    };
    // Sums and products of halves are exact in double precision, and rounding to single first does no harm for these operations.
    check("add.f16 %d, %a, %b;", &|a, b, _| to_half((a + b) as f32));
    check("sub.f16 %d, %a, %b;", &|a, b, _| to_half((a - b) as f32));
    check("mul.f16 %d, %a, %b;", &|a, b, _| to_half((a * b) as f32));
    check("neg.f16 %d, %a;", &|a, _, _| to_half(-a as f32));
    // Two rounding steps are safe when the first rounds to odd.
    let odd = |x: f64| {
        let r = x as f32;
        if f64::from(r) == x || !r.is_finite() || r.to_bits() & 1 == 1 {
            r
        } else if f64::from(r) < x {
            r.next_up()
        } else {
            r.next_down()
        }
    };
    check("fma.rn.f16 %d, %a, %b, %c;", &|a, b, c| {
        let sum = a.mul_add(b, c);
        if sum == 0.0 {
            to_half(sum as f32)
        } else {
            to_half(odd(sum))
        }
    });
}
