//! Integer instructions against the host's arithmetic.

#![allow(
    missing_docs,
    clippy::precedence,
    clippy::nonminimal_bool,
    clippy::neg_cmp_op_on_partial_ord,
    clippy::double_comparisons,
    clippy::manual_checked_ops,
    reason = "expected values are written as PTX defines them"
)]

mod ptx_common;
use ptx_common::{apply, rows};

fn check(text: &str, types: [&str; 4], f: impl Fn(u64, u64, u64) -> u64) {
    let rows = rows(400);
    let bits = types[0][1..].parse::<u32>().unwrap();
    let mask = if bits == 64 {
        u64::MAX
    } else {
        (1 << bits) - 1
    };
    for (row, found) in rows.iter().zip(apply(text, types, &rows)) {
        let expected = f(row[0], row[1], row[2]) & mask;
        assert_eq!(
            found & mask,
            expected,
            "{text} {row:x?}: {found:x} {expected:x}"
        );
    }
}

fn s32(v: u64) -> i64 {
    i64::from(v as i32)
}

#[test]
fn add_sub_neg_abs() {
    check("add.s32 %d, %a, %b;", ["b32"; 4], |a, b, _| {
        a.wrapping_add(b)
    });
    check("sub.s64 %d, %a, %b;", ["b64"; 4], |a, b, _| {
        a.wrapping_sub(b)
    });
    check("add.u16 %d, %a, %b;", ["b16"; 4], |a, b, _| {
        a.wrapping_add(b)
    });
    check("add.sat.s32 %d, %a, %b;", ["b32"; 4], |a, b, _| {
        (a as i32).saturating_add(b as i32) as u64
    });
    check("sub.sat.s32 %d, %a, %b;", ["b32"; 4], |a, b, _| {
        (a as i32).saturating_sub(b as i32) as u64
    });
    check("neg.s32 %d, %a;", ["b32"; 4], |a, _, _| {
        (a as i32).wrapping_neg() as u64
    });
    check("abs.s64 %d, %a;", ["b64"; 4], |a, _, _| {
        (a as i64).wrapping_abs() as u64
    });
    check("sad.u32 %d, %a, %b, %c;", ["b32"; 4], |a, b, c| {
        u64::from((a as u32).abs_diff(b as u32)).wrapping_add(c)
    });
    check("sad.s32 %d, %a, %b, %c;", ["b32"; 4], |a, b, c| {
        u64::from((a as i32).abs_diff(b as i32)).wrapping_add(c)
    });
    check("add.s32 %d, %a, -5;", ["b32"; 4], |a, _, _| {
        a.wrapping_sub(5)
    });
}

#[test]
fn multiply() {
    check("mul.lo.s32 %d, %a, %b;", ["b32"; 4], |a, b, _| {
        a.wrapping_mul(b)
    });
    check("mul.hi.s32 %d, %a, %b;", ["b32"; 4], |a, b, _| {
        ((s32(a) * s32(b)) >> 32) as u64
    });
    check("mul.hi.u32 %d, %a, %b;", ["b32"; 4], |a, b, _| {
        (a & 0xffff_ffff) * (b & 0xffff_ffff) >> 32
    });
    check("mul.hi.u64 %d, %a, %b;", ["b64"; 4], |a, b, _| {
        ((u128::from(a) * u128::from(b)) >> 64) as u64
    });
    check("mul.hi.s64 %d, %a, %b;", ["b64"; 4], |a, b, _| {
        ((i128::from(a as i64) * i128::from(b as i64)) >> 64) as u64
    });
    check(
        "mul.wide.s16 %d, %a, %b;",
        ["b32", "b16", "b16", "b16"],
        |a, b, _| (i32::from(a as i16) * i32::from(b as i16)) as u64,
    );
    check(
        "mul.wide.u16 %d, %a, %b;",
        ["b32", "b16", "b16", "b16"],
        |a, b, _| u64::from(a as u16) * u64::from(b as u16),
    );
    check(
        "mul.wide.s32 %d, %a, %b;",
        ["b64", "b32", "b32", "b32"],
        |a, b, _| (s32(a) * s32(b)) as u64,
    );
    check("mad.lo.s64 %d, %a, %b, %c;", ["b64"; 4], |a, b, c| {
        a.wrapping_mul(b).wrapping_add(c)
    });
    check(
        "mad.wide.u32 %d, %a, %b, %c;",
        ["b64", "b32", "b32", "b64"],
        |a, b, c| ((a & 0xffff_ffff) * (b & 0xffff_ffff)).wrapping_add(c),
    );
    check("mad.hi.sat.s32 %d, %a, %b, %c;", ["b32"; 4], |a, b, c| {
        (((s32(a) * s32(b)) >> 32) + s32(c)).clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as u64
    });
    check("mul24.lo.u32 %d, %a, %b;", ["b32"; 4], |a, b, _| {
        (a & 0xff_ffff).wrapping_mul(b & 0xff_ffff)
    });
    let s24 = |v: u64| i64::from((v as i32) << 8 >> 8);
    check("mul24.hi.s32 %d, %a, %b;", ["b32"; 4], move |a, b, _| {
        ((s24(a) * s24(b)) >> 16) as u64
    });
    check(
        "mad24.lo.s32 %d, %a, %b, %c;",
        ["b32"; 4],
        move |a, b, c| (s24(a) * s24(b)) as u64 + c & 0xffff_ffff,
    );
}

#[test]
fn divide() {
    check("div.s32 %d, %a, %b;", ["b32"; 4], |a, b, _| {
        if b as u32 == 0 {
            u64::MAX
        } else {
            (a as i32).wrapping_div(b as i32) as u64
        }
    });
    check("div.u32 %d, %a, %b;", ["b32"; 4], |a, b, _| {
        if b as u32 == 0 {
            u64::MAX
        } else {
            u64::from(a as u32 / b as u32)
        }
    });
    check("rem.s32 %d, %a, %b;", ["b32"; 4], |a, b, _| {
        if b as u32 == 0 {
            u64::MAX
        } else {
            (a as i32).wrapping_rem(b as i32) as u64
        }
    });
    check("div.s64 %d, %a, %b;", ["b64"; 4], |a, b, _| {
        if b == 0 {
            u64::MAX
        } else {
            (a as i64).wrapping_div(b as i64) as u64
        }
    });
    check("rem.u64 %d, %a, %b;", ["b64"; 4], |a, b, _| {
        a.checked_rem(b).unwrap_or(u64::MAX)
    });
    check("rem.u16 %d, %a, %b;", ["b16"; 4], |a, b, _| {
        if b as u16 == 0 {
            u64::MAX
        } else {
            u64::from(a as u16 % b as u16)
        }
    });
}

#[test]
fn carry_chains() {
    let two = ".reg .b32 %al, %ah, %bl, %bh, %dl, %dh;\nmov.b64 {%al, %ah}, %a;\nmov.b64 {%bl, %bh}, %b;\n";
    let join = "mov.b64 %d, {%dl, %dh};";
    check(
        &format!("{two}add.cc.u32 %dl, %al, %bl;\naddc.u32 %dh, %ah, %bh;\n{join}"),
        ["b64"; 4],
        |a, b, _| a.wrapping_add(b),
    );
    check(
        &format!("{two}sub.cc.u32 %dl, %al, %bl;\nsubc.u32 %dh, %ah, %bh;\n{join}"),
        ["b64"; 4],
        |a, b, _| a.wrapping_sub(b),
    );
    // 64 by 64 bits, low half, from 32-bit pieces.
    let product = format!(
        "{two}mul.lo.u32 %dl, %al, %bl;\nmul.hi.u32 %dh, %al, %bl;\nmad.lo.u32 %dh, %al, %bh, %dh;\nmad.lo.u32 %dh, %ah, %bl, %dh;\n{join}"
    );
    check(&product, ["b64"; 4], |a, b, _| a.wrapping_mul(b));
    let madc =
        format!("{two}mad.lo.cc.u32 %dl, %al, %bl, %bh;\nmadc.hi.u32 %dh, %al, %bl, 0;\n{join}");
    check(&madc, ["b64"; 4], |a, b, _| {
        (a & 0xffff_ffff)
            .wrapping_mul(b & 0xffff_ffff)
            .wrapping_add(b >> 32)
    });
    check(
        "add.cc.u64 %t, %a, %b;\naddc.u64 %d, 0, 0;",
        ["b64"; 4],
        |a, b, _| u64::from(a.checked_add(b).is_none()),
    );
    check(
        "sub.cc.u64 %t, %a, %b;\nsubc.u64 %d, 0, 0;",
        ["b64"; 4],
        |a, b, _| if a < b { u64::MAX } else { 0 },
    );
}

#[test]
fn logic_and_shifts() {
    check("and.b32 %d, %a, %b;", ["b32"; 4], |a, b, _| a & b);
    check("xor.b64 %d, %a, %b;", ["b64"; 4], |a, b, _| a ^ b);
    check("not.b16 %d, %a;", ["b16"; 4], |a, _, _| !a);
    check("cnot.b32 %d, %a;", ["b32"; 4], |a, _, _| {
        u64::from(a as u32 == 0)
    });
    check("shl.b32 %d, %a, %b;", ["b32"; 4], |a, b, _| {
        if b as u32 > 31 { 0 } else { a << (b as u32) }
    });
    check("shr.s32 %d, %a, %b;", ["b32"; 4], |a, b, _| {
        (s32(a) >> (b as u32).min(31)) as u64
    });
    check(
        "shr.u64 %d, %a, %b;",
        ["b64", "b64", "b32", "b32"],
        |a, b, _| if b as u32 > 63 { 0 } else { a >> (b as u32) },
    );
    check(
        "shr.s16 %d, %a, %b;",
        ["b16", "b16", "b32", "b32"],
        |a, b, _| (i64::from(a as i16) >> (b as u32).min(15)) as u64,
    );
    check("shf.l.wrap.b32 %d, %a, %b, %c;", ["b32"; 4], |a, b, c| {
        ((b << 32 | a & 0xffff_ffff) << (c & 31)) >> 32
    });
    check("shf.r.wrap.b32 %d, %a, %b, %c;", ["b32"; 4], |a, b, c| {
        (b << 32 | a & 0xffff_ffff) >> (c & 31)
    });
    check("shf.r.clamp.b32 %d, %a, %b, %c;", ["b32"; 4], |a, b, c| {
        (b << 32 | a & 0xffff_ffff) >> (c as u32).min(32)
    });
    check("lop3.b32 %d, %a, %b, %c, 0x1b;", ["b32"; 4], |a, b, c| {
        (0..32).fold(0, |r, k| {
            r | (0x1b >> ((a >> k & 1) << 2 | (b >> k & 1) << 1 | (c >> k & 1)) & 1) << k
        })
    });
}

#[test]
fn bits() {
    check(
        "popc.b64 %d, %a;",
        ["b32", "b64", "b64", "b64"],
        |a, _, _| u64::from(a.count_ones()),
    );
    check("clz.b32 %d, %a;", ["b32"; 4], |a, _, _| {
        u64::from((a as u32).leading_zeros())
    });
    check("brev.b64 %d, %a;", ["b64"; 4], |a, _, _| a.reverse_bits());
    check("bfind.u32 %d, %a;", ["b32"; 4], |a, _, _| {
        if a as u32 == 0 {
            u64::MAX
        } else {
            u64::from(31 - (a as u32).leading_zeros())
        }
    });
    check("bfind.shiftamt.u32 %d, %a;", ["b32"; 4], |a, _, _| {
        if a as u32 == 0 {
            u64::MAX
        } else {
            u64::from((a as u32).leading_zeros())
        }
    });
    check("bfind.s32 %d, %a;", ["b32"; 4], |a, _, _| {
        let v = if (a as i32) < 0 {
            !(a as u32)
        } else {
            a as u32
        };
        if v == 0 {
            u64::MAX
        } else {
            u64::from(31 - v.leading_zeros())
        }
    });
    let small = "and.b32 %b, %b, 63;\nand.b32 %c, %c, 63;\n";
    check(
        &format!("{small}bfe.u32 %d, %a, %b, %c;"),
        ["b32"; 4],
        |a, b, c| {
            (0..32.min(c & 63)).fold(0, |r, k| {
                r | if (b & 63) + k < 32 {
                    (a >> ((b & 63) + k) & 1) << k
                } else {
                    0
                }
            })
        },
    );
    check(
        &format!("{small}bfe.s32 %d, %a, %b, %c;"),
        ["b32"; 4],
        |a, b, c| {
            let (b, c) = (b & 63, c & 63);
            if c == 0 {
                return 0;
            }
            let sign = a >> (b + c - 1).min(31) & 1;
            (0..32).fold(0, |r, k| {
                r | if k < c && b + k < 32 {
                    a >> (b + k) & 1
                } else {
                    sign
                } << k
            })
        },
    );
    check(
        &format!("{small}bfi.b32 %d, %a, %d, %b, %c;").replace("%d, %b", "0x12345678, %b"),
        ["b32"; 4],
        |a, b, c| {
            let (b, c) = (b & 63, c & 63);
            (0..32).fold(0, |r, k| {
                r | if k >= b && k < b + c {
                    a >> (k - b) & 1
                } else {
                    0x1234_5678 >> k & 1
                } << k
            })
        },
    );
    check("prmt.b32 %d, %a, %b, %c;", ["b32"; 4], |a, b, c| {
        let bytes = b << 32 | a & 0xffff_ffff;
        (0..4).fold(0, |r, k| {
            let s = c >> (4 * k) & 15;
            let byte = bytes >> (8 * (s & 7)) & 255;
            r | if s & 8 == 0 { byte } else { 255 * (byte >> 7) } << (8 * k)
        })
    });
    check("dp4a.s32.u32 %d, %a, %b, %c;", ["b32"; 4], |a, b, c| {
        (0..4).fold(s32(c), |r, k| {
            r + i64::from((a >> (8 * k)) as i8) * (b >> (8 * k) & 255) as i64
        }) as u64
    });
    check("dp2a.hi.u32.u32 %d, %a, %b, %c;", ["b32"; 4], |a, b, c| {
        c.wrapping_add((a & 0xffff) * (b >> 16 & 255) + (a >> 16 & 0xffff) * (b >> 24 & 255))
    });
    check("bmsk.clamp.b32 %d, %a, %b;\n", ["b32"; 4], |a, b, _| {
        (0..32).fold(0, |r, k| {
            r | u64::from(k >= a & 0xffff_ffff && k < (a & 0xffff_ffff) + (b & 0xffff_ffff)) << k
        })
    });
    check(
        "vabsdiff4.u32.u32.u32.add %d, %a, %b, %c;",
        ["b32"; 4],
        |a, b, c| {
            (0..4).fold(c, |r, k| {
                r.wrapping_add((a >> (8 * k) & 255).abs_diff(b >> (8 * k) & 255))
            })
        },
    );
}

#[test]
fn min_max_select() {
    check("min.s32 %d, %a, %b;", ["b32"; 4], |a, b, _| {
        s32(a).min(s32(b)) as u64
    });
    check("max.u64 %d, %a, %b;", ["b64"; 4], |a, b, _| a.max(b));
    check("max.s16 %d, %a, %b;", ["b16"; 4], |a, b, _| {
        (a as i16).max(b as i16) as u64
    });
    for (name, f) in [
        ("lt", (|a, b| a < b) as fn(i64, i64) -> bool),
        ("le", |a, b| a <= b),
        ("gt", |a, b| a > b),
        ("ge", |a, b| a >= b),
        ("eq", |a, b| a == b),
        ("ne", |a, b| a != b),
    ] {
        check(
            &format!("setp.{name}.s32 %p, %a, %b;\nselp.b32 %d, 1, 0, %p;"),
            ["b32"; 4],
            |a, b, _| u64::from(f(s32(a), s32(b))),
        );
        check(
            &format!("set.{name}.u32.s64 %d, %a, %b;"),
            ["b32", "b64", "b64", "b64"],
            |a, b, _| if f(a as i64, b as i64) { u64::MAX } else { 0 },
        );
        check(
            &format!("setp.{name}.u16 %p, %a, %b;\nselp.b16 %d, %b, %a, %p;"),
            ["b16"; 4],
            |a, b, _| {
                if f(i64::from(a as u16), i64::from(b as u16)) {
                    b
                } else {
                    a
                }
            },
        );
    }
    check(
        "setp.lo.s32 %p, %a, %b;\nselp.b32 %d, 1, 0, %p;"
            .replace("lo.s32", "lo.u32")
            .as_str(),
        ["b32"; 4],
        |a, b, _| u64::from((a as u32) < b as u32),
    );
    check(
        "setp.gt.u32 %q, %c, 100;\nsetp.lt.and.s32 %p|%q, %a, %b, !%q;\nselp.b32 %d, 1, 0, %p;\n@%q add.u32 %d, %d, 2;",
        ["b32"; 4],
        |a, b, c| {
            let (r, q) = (s32(a) < s32(b), c as u32 <= 100);
            u64::from(r && q) + 2 * u64::from(!r && q)
        },
    );
    check("slct.u32.s32 %d, %a, %b, %c;", ["b32"; 4], |a, b, c| {
        if c as i32 >= 0 { a } else { b }
    });
    check(
        "setp.ne.s32 %p, %a, 0;\nsetp.ne.s32 %q, %b, 0;\nxor.pred %p, %p, %q;\nnot.pred %q, %p;\nselp.u32 %d, 5, 9, %q;",
        ["b32"; 4],
        |a, b, _| {
            if (a as u32 != 0) != (b as u32 != 0) {
                9
            } else {
                5
            }
        },
    );
}

#[test]
fn packing() {
    check(
        "mov.b64 %d, {%a, %b};",
        ["b64", "b32", "b32", "b32"],
        |a, b, _| a & 0xffff_ffff | b << 32,
    );
    check(
        "mov.b32 {%d, %b}, %a;",
        ["b16", "b32", "b16", "b16"],
        |a, _, _| a,
    );
    check(
        ".reg .b16 %w<4>;\nmov.b64 {%w0, %w1, %w2, %w3}, %a;\nmov.b64 %d, {%w3, %w0, %w1, %w2};",
        ["b64"; 4],
        |a, _, _| a.rotate_left(16),
    );
    check(
        "mov.b64 {_, %d}, %a;",
        ["b32", "b64", "b64", "b64"],
        |a, _, _| a >> 32,
    );
}
