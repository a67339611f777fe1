//! State spaces, atomics and operations across lanes, from PTX text.

#![allow(missing_docs, reason = "a test")]

mod ptx_common;
use gvirtus_cpu::engine::{FaultKind, compile};
use ptx_common::{Device, Params, apply, rows};

fn kernel(declarations: &str, body: &str) -> Device {
    Device::new(&format!(
        ".version 8.5\n.target sm_90\n.address_size 64\n{declarations}\n.visible .entry k(.param .u64 out)\n{{\n.reg .pred %p<8>;\n.reg .b16 %h<16>;\n.reg .b32 %r<40>;\n.reg .b64 %d<20>;\n.reg .f32 %f<8>;\n\
         ld.param.u64 %d0, [out];\nmov.u32 %r0, %tid.x;\nmov.u32 %r39, %ctaid.x;\nmov.u32 %r38, %ntid.x;\nmad.lo.u32 %r39, %r39, %r38, %r0;\nmad.wide.u32 %d1, %r39, 4, %d0;\n{body}\nret;\n}}\n"
    ))
}

fn run(declarations: &str, body: &str, threads: u32) -> Vec<u32> {
    let d = kernel(declarations, body);
    let out = d.upload(&vec![0u32; threads as usize]);
    d.launch("k", 1, threads, &Params::new().u64(out));
    d.download(out, threads as usize)
}

#[test]
fn spaces_and_generic_addresses() {
    // The same value goes through shared, local, generic and constant memory.
    let found = run(
        ".shared .align 4 .b8 s[512];\n.const .align 4 .u32 c[4] = {10, 20, 30, 40};\n.global .u32 g = 5;\n.global .u64 where = generic(g);",
        ".local .align 8 .b8 l[64];
         mov.u32 %r1, s; mad.lo.u32 %r2, %r0, 4, %r1; st.shared.u32 [%r2], %r0; bar.sync 0;
         xor.b32 %r3, %r0, 1; mad.lo.u32 %r3, %r3, 4, %r1; ld.shared.u32 %r4, [%r3];
         cvt.u64.u32 %d2, %r3; cvta.shared.u64 %d3, %d2; ld.u32 %r5, [%d3];
         isspacep.shared %p1, %d3; isspacep.global %p2, %d1; isspacep.local %p3, %d3;
         mov.u64 %d4, l; cvta.local.u64 %d5, %d4; st.u32 [%d5+8], %r5; ld.local.u32 %r6, [l+8];
         cvta.to.local.u64 %d6, %d5; ld.local.u32 %r7, [%d6+8];
         and.b32 %r8, %r0, 3; mov.u64 %d7, c; mad.wide.u32 %d7, %r8, 4, %d7; ld.const.u32 %r9, [%d7];
         ld.global.u64 %d8, [where]; ld.u32 %r10, [%d8];
         add.u32 %r11, %r4, %r6; add.u32 %r11, %r11, %r7; add.u32 %r11, %r11, %r9; add.u32 %r11, %r11, %r10;
         selp.u32 %r12, 1000, 0, %p1; selp.u32 %r13, 2000, 0, %p2; selp.u32 %r14, 4000, 0, %p3;
         add.u32 %r11, %r11, %r12; add.u32 %r11, %r11, %r13; add.u32 %r11, %r11, %r14;
         st.global.u32 [%d1], %r11;",
        96,
    );
    assert_eq!(
        found,
        (0..96)
            .map(|i| 3 * (i ^ 1) + 10 * (i % 4 + 1) + 5 + 3000)
            .collect::<Vec<u32>>()
    );
}

#[test]
fn vectors_and_narrow_elements() {
    let found = run(
        ".global .align 16 .b8 g[16] = {1, 255, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};",
        "mov.u64 %d2, g; ld.global.nc.v4.u32 {%r1, %r2, %r3, %r4}, [%d2]; ld.global.v2.u8 {%h1, %h2}, [%d2];
         ld.global.s8 %r5, [%d2+1]; ld.global.u16 %r6, [%d2+2]; ld.volatile.global.s16 %d3, [%d2];
         cvt.u32.u16 %r7, %h2; add.u32 %r8, %r4, %r5; add.u32 %r8, %r8, %r6; add.u32 %r8, %r8, %r7; cvt.u32.u64 %r9, %d3; add.u32 %r8, %r8, %r9;
         st.global.u32 [%d1], %r8;",
        32,
    );
    let expected = 0x100f_0e0du32
        .wrapping_add(u32::MAX)
        .wrapping_add(0x0403)
        .wrapping_add(255)
        .wrapping_add(0xff01u16 as i16 as u32);
    assert_eq!(found, vec![expected; 32]);
}

#[test]
fn predicated_and_misaligned_accesses() {
    let found = run(
        "",
        "setp.lt.u32 %p1, %r0, 10;\n@%p1 st.global.u32 [%d1], 7;\n@!%p1 st.global.u32 [%d1], %r0;",
        40,
    );
    assert_eq!(
        found,
        (0..40)
            .map(|i| if i < 10 { 7 } else { i })
            .collect::<Vec<u32>>()
    );
    for (body, kind) in [
        ("ld.shared.u32 %r1, [%r0];", FaultKind::IllegalAddress),
        ("ld.global.u32 %r1, [%d1+2];", FaultKind::MisalignedAddress),
        (
            "mov.u64 %d2, 0; ld.u8 %r1, [%d2];",
            FaultKind::IllegalAddress,
        ),
        (
            "mov.u64 %d2, 140737488355328; ld.u8 %r1, [%d2];",
            FaultKind::IllegalAddress,
        ),
        (
            "mov.u32 %r1, 0x7fffffff; ld.local.u8 %r1, [%r1];",
            FaultKind::IllegalAddress,
        ),
        (
            "mov.u64 %d2, -4; atom.add.u32 %r1, [%d2], 1;",
            FaultKind::IllegalAddress,
        ),
        ("trap;", FaultKind::Trap),
        ("bar.sync 3, 64;", FaultKind::LaunchFailed),
        (
            "mov.u32 %r1, 99; bar.sync %r1;",
            FaultKind::IllegalInstruction,
        ),
    ] {
        let d = kernel("", body);
        let out = d.upload(&[0u32; 32]);
        let fault = d
            .try_launch(
                "k",
                [1, 1, 1],
                [32, 1, 1],
                0,
                &Params::new().u64(out),
                false,
            )
            .unwrap_err();
        assert_eq!(fault.kind, kind, "{body}");
    }
}

#[test]
fn atomics() {
    let check = |text: &str, start: u64, wide: bool, expected: u64| {
        let d = kernel("", text);
        let out = d.upload(&[start]);
        d.launch("k", 4, 64, &Params::new().u64(out));
        let found = d.download::<u64>(out, 1)[0];
        assert_eq!(
            if wide { found } else { found & 0xffff_ffff },
            expected,
            "{text}"
        );
    };
    let n = 256u64;
    check("atom.global.add.u32 %r1, [%d0], 3;", 5, false, 5 + 3 * n);
    check(
        "red.relaxed.gpu.global.add.u64 [%d0], 4294967297;",
        1,
        true,
        1 + 0x1_0000_0001 * n,
    );
    check("atom.max.s32 %r1, [%d0], %r39;", 0xffff_fff0, false, n - 1);
    check("atom.min.u32 %r1, [%d0], %r39;", 77, false, 0);
    check("atom.global.inc.u32 %r1, [%d0], 9;", 0, false, n % 10);
    check("atom.global.dec.u32 %r1, [%d0], 9;", 0, false, 10 - n % 10);
    check(
        "shl.b32 %r1, 1, %r0; red.global.or.b32 [%d0], %r1;",
        0,
        false,
        0xffff_ffff,
    );
    check(
        "red.global.xor.b32 [%d0], %r39;",
        0,
        false,
        (0..n).fold(0, |a, b| a ^ b),
    );
    check(
        "atom.global.add.f64 %d2, [%d0], 0d3FE0000000000000;",
        0,
        true,
        (n as f64 / 2.0).to_bits(),
    );
    check(
        "cvt.rn.f32.u32 %f1, %r39; red.global.add.f32 [%d0], %f1;",
        0,
        false,
        u64::from(((n * (n - 1) / 2) as f32).to_bits()),
    );
    check(
        "mov.b32 %r1, 0x3c003c00; red.global.add.noftz.f16x2 [%d0], %r1;",
        0,
        false,
        0x5c00_5c00,
    );
    check(
        "mov.b16 %h1, 0x3f80; atom.global.add.noftz.bf16 %h2, [%d0], %h1;",
        0,
        false,
        0x4380,
    );
    check(
        "L: ld.relaxed.sys.global.u32 %r2, [%d0]; add.u32 %r3, %r2, 1; atom.acq_rel.gpu.global.cas.b32 %r4, [%d0], %r2, %r3; setp.ne.u32 %p1, %r4, %r2; @%p1 bra L;",
        0,
        false,
        n,
    );
    // What is returned is a permutation of the values in between.
    let found = run(
        ".shared .u32 s;",
        "setp.eq.u32 %p1, %r0, 0; @%p1 st.shared.u32 [s], 0; bar.sync 0; atom.shared.add.u32 %r1, [s], 1; st.global.u32 [%d1], %r1;",
        128,
    );
    let mut sorted = found;
    sorted.sort_unstable();
    assert_eq!(sorted, (0..128).collect::<Vec<u32>>());
    // Exchange through a generic address in shared memory.
    let found = run(
        ".shared .u64 s;",
        "mov.u64 %d2, s; cvta.shared.u64 %d2, %d2; setp.eq.u32 %p1, %r0, 0; @%p1 st.u64 [%d2], 77; bar.sync 0; @%p1 atom.exch.b64 %d3, [%d2], 5; bar.sync 0; ld.shared.u64 %d4, [s]; cvt.u32.u64 %r1, %d4; st.global.u32 [%d1], %r1;",
        64,
    );
    assert_eq!(found, vec![5; 64]);
}

#[test]
fn shuffles() {
    let shuffle = |text: &str, f: &dyn Fn(u32) -> (u32, bool)| {
        let found = run(
            "",
            &format!(
                "mul.lo.u32 %r1, %r0, 10; {text} selp.u32 %r3, 1000, 0, %p1; add.u32 %r2, %r2, %r3; st.global.u32 [%d1], %r2;"
            ),
            32,
        );
        let expected: Vec<u32> = (0..32)
            .map(|l| {
                let (source, p) = f(l);
                source * 10 + 1000 * u32::from(p)
            })
            .collect();
        assert_eq!(found, expected, "{text}");
    };
    shuffle("shfl.sync.up.b32 %r2|%p1, %r1, 3, 0, -1;", &|l| {
        if l >= 3 { (l - 3, true) } else { (l, false) }
    });
    shuffle("shfl.sync.down.b32 %r2|%p1, %r1, 5, 31, -1;", &|l| {
        if l + 5 < 32 {
            (l + 5, true)
        } else {
            (l, false)
        }
    });
    shuffle("shfl.sync.bfly.b32 %r2|%p1, %r1, 9, 31, -1;", &|l| {
        (l ^ 9, true)
    });
    shuffle("shfl.sync.idx.b32 %r2|%p1, %r1, 4, 31, -1;", &|_| (4, true));
    // Segments of eight lanes.
    shuffle("shfl.sync.down.b32 %r2|%p1, %r1, 2, 0x181f, -1;", &|l| {
        if l % 8 + 2 < 8 {
            (l + 2, true)
        } else {
            (l, false)
        }
    });
    shuffle("shfl.sync.up.b32 %r2|%p1, %r1, 2, 0x1800, -1;", &|l| {
        if l % 8 >= 2 {
            (l - 2, true)
        } else {
            (l, false)
        }
    });
    shuffle("shfl.sync.idx.b32 %r2|%p1, %r1, 11, 0x181f, -1;", &|l| {
        (l / 8 * 8 + 3, true)
    });
}

#[test]
fn diverged_lanes_meet_at_sync_operations() {
    // Both sides of a branch take part in one vote, at different instructions.
    let found = run(
        "",
        "and.b32 %r1, %r0, 1; setp.eq.u32 %p1, %r1, 0; setp.lt.u32 %p2, %r0, 20;
         @%p1 bra EVEN;
         vote.sync.ballot.b32 %r2, %p2, -1; add.u32 %r2, %r2, 1; bra.uni END;
         EVEN: vote.sync.ballot.b32 %r2, %p2, -1;
         END: activemask.b32 %r3; popc.b32 %r3, %r3; mad.lo.u32 %r2, %r3, 0x1000000, %r2; st.global.u32 [%d1], %r2;",
        32,
    );
    assert_eq!(
        found,
        (0..32)
            .map(|i| 0x2000_0000 + 0xf_ffff + i % 2)
            .collect::<Vec<u32>>()
    );
    // Lanes that ended are not waited for.
    let found = run(
        "",
        "setp.gt.u32 %p1, %r0, 24; @%p1 exit; setp.eq.u32 %p3, %r0, %r0; vote.sync.ballot.b32 %r2, %p3, -1; st.global.u32 [%d1], %r2;",
        32,
    );
    assert_eq!(
        found,
        (0..32)
            .map(|i| if i > 24 { 0 } else { 0x1ff_ffff })
            .collect::<Vec<u32>>()
    );
}

#[test]
fn barriers() {
    // Producers arrive, consumers wait; then numbers are combined over the block.
    let found = run(
        ".shared .align 4 .b8 s[256];",
        "mov.u32 %r1, s; setp.lt.u32 %p1, %r0, 32; @!%p1 bra CONSUMER;
         mad.lo.u32 %r2, %r0, 4, %r1; mul.lo.u32 %r3, %r0, %r0; st.shared.u32 [%r2], %r3; membar.cta; bar.arrive 1, 64; bra.uni END;
         CONSUMER: bar.sync 1, 64; sub.u32 %r4, 63, %r0; mad.lo.u32 %r2, %r4, 4, %r1; ld.shared.u32 %r3, [%r2];
         END: setp.gt.u32 %p2, %r3, 100; barrier.red.popc.u32 %r5, 0, %p2; mad.lo.u32 %r3, %r5, 10000, %r3; st.global.u32 [%d1], %r3;",
        64,
    );
    assert_eq!(
        found,
        (0..64u32)
            .map(|i| {
                let k = if i < 32 { i } else { 63 - i };
                k * k + 42 * 10000
            })
            .collect::<Vec<u32>>()
    );
}

#[test]
fn copies_to_shared_memory() {
    let found = run(
        ".shared .align 16 .b8 s[1024];\n.global .align 16 .b8 g[64] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};",
        "mov.u32 %r1, s; mad.lo.u32 %r1, %r0, 16, %r1; mov.u64 %d2, g; mov.u32 %r2, 6;
         cp.async.cg.shared.global [%r1], [%d2], 16, %r2; cp.async.commit_group; cp.async.wait_group 0; ld.shared.u32 %r3, [%r1+4]; st.global.u32 [%d1], %r3;",
        32,
    );
    assert_eq!(found, vec![0x0605; 32]);
}

#[test]
fn branch_tables_and_stack() {
    let found = run(
        "",
        "and.b32 %r1, %r0, 3; T: .branchtargets A, B, C, A; brx.idx %r1, T;
         A: mov.u32 %r2, 100; bra END; B: mov.u32 %r2, 200; bra END; C: mov.u32 %r2, 300;
         END: cvt.u64.u32 %d2, 16; stacksave.u64 %d3; alloca.u64 %d4, %d2, 16; cvta.local.u64 %d5, %d4; st.u32 [%d5+4], %r2; ld.u32 %r3, [%d5+4]; stackrestore.u64 %d3;
         st.global.u32 [%d1], %r3;",
        32,
    );
    assert_eq!(
        found,
        (0..32)
            .map(|i| [100, 200, 300, 100][i % 4])
            .collect::<Vec<u32>>()
    );
}

#[test]
fn what_is_not_there_is_refused_with_its_line() {
    let refuse = |body: &str| {
        compile(&format!(".version 8.5\n.target sm_90\n.address_size 64\n.entry k()\n{{\n.reg .b32 %r<9>;\n.reg .b64 %d<9>;\n.reg .f32 %f<9>;\n{body}\nret;\n}}\n")).err().unwrap_or_else(|| panic!("{body} compiles"))
    };
    for body in [
        "frobnicate.u32 %r1, %r2;",
        "add.u32 %r1, %d2, %r3;",
        "add.sat.u32 %r1, %r2, %r3;",
        "mov.u32 %r1, %nothing;",
        "mov.u64 %d1, nowhere;",
        "bra NOWHERE;",
        "add.u32 %r1, %r2;",
        "add.u32 %r1, %r2, %r3, %r4;",
        "tex.2d.v4.f32.f32 {%f1, %f2, %f3, %f4}, [reference, {%f1, %f2}];",
        "tex.2d.v4.f32.f32 {%f1, %f2, %f3, %f4}, [%d1, {%f1}];",
        "tex.2d.v4.f64.f32 {%f1, %f2, %f3, %f4}, [%d1, {%f1, %f2}];",
        "suld.b.2d.b64.trap %r1, [%d1, {%r1, %r2}];",
        "ld.global.u64 %r1, [%d1];",
        "st.param.u32 [%r1], %r1;",
        "call nobody;",
        "add.rn.s32 %r1, %r2, %r3;",
        "cvt.rn.satfinite.e4m3x2.f32 %r1, %f1, %f2;",
    ] {
        let error = refuse(body);
        assert_eq!(
            (error.line, error.text.as_str()),
            (9, body),
            "{}",
            error.message
        );
    }
}

#[test]
fn general_registers() {
    // Registers keep their values beside others of all sizes.
    let text = ".reg .b128 %w;\n.reg .b64 %x<3>;\nmov.b128 %w, {%a, %b};\nmov.b128 {%x1, %x2}, %w;\nxor.b64 %d, %x1, %x2;";
    let rows = rows(64);
    for (row, found) in rows.iter().zip(apply(text, ["b64"; 4], &rows)) {
        assert_eq!(found, row[0] ^ row[1]);
    }
}
