//! Lanes that go together, and lanes that do not: what machine code does for several lanes at once is what each lane would do.

#![allow(missing_docs, reason = "a test")]

mod ptx_common;
use gvirtus_cpu::engine::FaultKind;
use ptx_common::{Device, Params};

/// Enough warps that kernels become machine code, and that a later launch runs it.
const LAUNCHES: usize = 10;
const BLOCKS: u32 = 32;

/// `%r0`: thread in the block; `%r1`: thread in the grid; `%d1`: its word of the result; `%d3`: its word of the input, which holds `input(thread)`.
fn device(body: &str) -> Device {
    Device::new(&format!(
        ".version 8.5\n.target sm_80\n.address_size 64\n.visible .entry k(.param .u64 out, .param .u64 in)\n{{\n.reg .pred %p<8>;\n.reg .b16 %h<16>;\n.reg .b32 %r<40>;\n.reg .b64 %d<40>;\n\
         .reg .f32 %f<16>;\n.reg .f64 %g<16>;\n.shared .align 8 .b8 tile[4096];\n.local .align 8 .b8 own[64];\n\
         ld.param.u64 %d0, [out];\nld.param.u64 %d2, [in];\nmov.u32 %r0, %tid.x;\nmov.u32 %r2, %ctaid.x;\nmov.u32 %r3, %ntid.x;\nmad.lo.u32 %r1, %r2, %r3, %r0;\n\
         mul.wide.u32 %d4, %r1, 4;\nadd.u64 %d1, %d0, %d4;\nadd.u64 %d3, %d2, %d4;\n{body}\nst.global.u32 [%d1], %r10;\nret;\n}}\n"
    ))
}

fn input(thread: u32) -> u32 {
    thread.wrapping_mul(0x9e37_79b9) ^ thread >> 3
}

/// Runs a body that leaves its result in `%r10`, and compares it for every thread.
fn check(threads: u32, body: &str, expected: impl Fn(u32, u32) -> u32) {
    let d = device(body);
    let count = BLOCKS * threads;
    let data: Vec<u32> = (0..count + 64).map(input).collect();
    let (out, data) = (d.upload(&vec![0u32; count as usize]), d.upload(&data));
    for launch in 0..LAUNCHES {
        d.launch("k", BLOCKS, threads, &Params::new().u64(out).u64(data));
        let found = d.download::<u32>(out, count as usize);
        for thread in 0..count {
            assert_eq!(
                found[thread as usize],
                expected(thread, thread % threads),
                "launch {launch}, thread {thread}: {body}"
            );
        }
    }
}

#[test]
fn numbers_that_wrap_within_a_group() {
    for (start, signed) in [
        (0xffff_fffcu32, false),
        (0x7fff_fffc, true),
        (0x8000_0000, true),
    ] {
        let ty = if signed { "s" } else { "u" };
        let wide = move |thread: u32| {
            let number = thread.wrapping_add(start);
            if signed {
                i64::from(number as i32) as u64
            } else {
                u64::from(number)
            }
        };
        check(
            256,
            &format!(
                "add.u32 %r4, %r1, {start};\ncvt.{ty}64.{ty}32 %d5, %r4;\nshr.u64 %d5, %d5, 7;\ncvt.u32.u64 %r10, %d5;"
            ),
            |thread, _| (wide(thread) >> 7) as u32,
        );
        check(
            256,
            &format!(
                "add.u32 %r4, %r1, {start};\nmul.wide.{ty}32 %d5, %r4, 12;\nshr.u64 %d5, %d5, 5;\ncvt.u32.u64 %r10, %d5;"
            ),
            |thread, _| (wide(thread).wrapping_mul(12) >> 5) as u32,
        );
        check(
            256,
            &format!(
                "add.u32 %r4, %r1, {start};\nsetp.lt.{ty}32 %p1, %r4, 100;\nselp.u32 %r10, %r4, 7, %p1;"
            ),
            |thread, _| {
                let number = thread.wrapping_add(start);
                let less = if signed {
                    (number as i32) < 100
                } else {
                    number < 100
                };
                if less { number } else { 7 }
            },
        );
    }
}

#[test]
fn lowest_bits_of_thread_numbers() {
    check(
        96,
        "and.b32 %r4, %r0, 15;\nshr.u32 %r5, %r0, 5;\nmad.lo.u32 %r10, %r5, 1000, %r4;",
        |_, tid| tid / 32 * 1000 + tid % 16,
    );
    check(
        96,
        "add.u32 %r4, %r0, 3;\nand.b32 %r5, %r4, 15;\nshr.u32 %r6, %r4, 4;\nsub.u32 %r7, 0, %r5;\nmad.lo.u32 %r10, %r6, 1000, %r7;",
        |_, tid| ((tid + 3) / 16 * 1000).wrapping_sub((tid + 3) % 16),
    );
}

#[test]
fn lanes_that_part_and_end() {
    // In the middle of a group, with stores and loads before.
    check(
        64,
        "st.global.u32 [%d1], %r1;\nld.global.u32 %r4, [%d1];\nadd.u32 %r4, %r4, 1;\nst.global.u32 [%d1], %r4;\nld.global.u32 %r10, [%d1];\n\
         setp.lt.u32 %p1, %r0, 21;\n@%p1 bra L1;\nmul.lo.u32 %r10, %r10, 3;\nbra L2;\nL1:\nadd.u32 %r10, %r10, 100;\nL2:",
        |thread, tid| {
            if tid < 21 {
                thread + 101
            } else {
                (thread + 1) * 3
            }
        },
    );
    check(
        64,
        "mov.u32 %r10, 5;\nst.global.u32 [%d1], %r0;\nsetp.eq.u32 %p1, %r0, 13;\n@%p1 exit;",
        |_, tid| if tid == 13 { 13 } else { 5 },
    );
    // A loop that lanes leave one after the other, a barrier, and what they counted.
    check(
        64,
        "mov.u32 %r4, 0;\nand.b32 %r6, %r0, 3;\nL1:\nadd.u32 %r4, %r4, 1;\nsetp.le.u32 %p1, %r4, %r6;\n@%p1 bra L1;\nbar.sync 0;\n\
         mul.lo.u32 %r5, %r4, 2;\nadd.u32 %r5, %r5, %r4;\nsub.u32 %r5, %r5, 1;\nxor.b32 %r5, %r5, 64;\nadd.u32 %r10, %r5, %r0;",
        |_, tid| (((tid % 4 + 1) * 3 - 1) ^ 64) + tid,
    );
    // Guards of loads and stores.
    check(
        64,
        "mov.u32 %r10, 1;\nsetp.gt.u32 %p1, %r0, 44;\n@%p1 ld.global.u32 %r10, [%d3];\nsetp.lt.u32 %p2, %r0, 3;\n@!%p2 add.u32 %r10, %r10, 1;",
        |thread, tid| {
            let read = if tid > 44 { input(thread) } else { 1 };
            read.wrapping_add(u32::from(tid >= 3))
        },
    );
}

#[test]
fn what_was_stored_before_lanes_part_is_stored_once() {
    for space in ["global", "shared"] {
        let at = if space == "global" { "%d1" } else { "%r7" };
        check(
            256,
            &format!(
                "mov.u32 %r7, tile;\nshl.b32 %r8, %r0, 2;\nadd.u32 %r7, %r7, %r8;\nmov.u32 %r4, %r0;\nmov.u32 %r5, 0;\nst.{space}.u32 [{at}], %r5;\n\
                 again:\nld.{space}.u32 %r6, [{at}];\nadd.u32 %r6, %r6, 1;\nst.{space}.u32 [{at}], %r6;\nadd.u32 %r4, %r4, 16;\nsetp.lt.u32 %p1, %r4, 100;\n@%p1 bra again;\n\
                 ld.{space}.u32 %r10, [{at}];"
            ),
            |_, thread| (thread..100).step_by(16).len().max(1) as u32,
        );
    }
}

#[test]
fn memory_of_all_shapes() {
    // One address, any addresses, and several elements at once.
    check(
        64,
        "ld.global.u32 %r4, [%d2+20];\nld.global.u32 %r5, [%d3];\nand.b32 %r5, %r5, 63;\nmul.wide.u32 %d5, %r5, 4;\nadd.u64 %d5, %d2, %d5;\nld.global.u32 %r6, [%d5];\nadd.u32 %r10, %r4, %r6;",
        |thread, _| input(5).wrapping_add(input(input(thread) & 63)),
    );
    check(
        64,
        "shr.u32 %r9, %r1, 2;\nmul.wide.u32 %d5, %r9, 16;\nadd.u64 %d5, %d2, %d5;\nld.global.v4.u32 {%r4, %r5, %r6, %r7}, [%d5];\nxor.b32 %r10, %r4, %r5;\nadd.u32 %r10, %r10, %r6;\nxor.b32 %r10, %r10, %r7;",
        |thread, _| {
            let word = |k| input(thread / 4 * 4 + k);
            (word(0) ^ word(1)).wrapping_add(word(2)) ^ word(3)
        },
    );
    check(
        64,
        "mul.wide.u32 %d5, %r0, 8;\nadd.u64 %d5, %d2, %d5;\nld.global.v2.u32 {%r4, %r5}, [%d5];\nsub.u32 %r10, %r4, %r5;",
        |_, tid| input(2 * tid).wrapping_sub(input(2 * tid + 1)),
    );
    for (ty, bytes) in [("u8", 1), ("s8", 1), ("u16", 2), ("s16", 2)] {
        check(
            64,
            &format!(
                "mul.wide.u32 %d5, %r1, {bytes};\nadd.u64 %d5, %d2, %d5;\nld.global.{ty} %r4, [%d5];\nadd.u32 %r10, %r4, 9;"
            ),
            |thread, _| {
                let at = thread * bytes;
                let part = input(at / 4) >> (8 * (at % 4));
                let wide = match ty {
                    "u8" => part & 255,
                    "s8" => part as i8 as u32,
                    "u16" => part & 0xffff,
                    _ => part as i16 as u32,
                };
                wide.wrapping_add(9)
            },
        );
    }
    // Shared memory, backwards; the last lane wins where all write to one place.
    check(
        64,
        "mov.u32 %r4, tile;\nshl.b32 %r5, %r0, 2;\nadd.u32 %r5, %r5, %r4;\nld.global.u32 %r6, [%d3];\nst.shared.u32 [%r5], %r6;\nshr.u32 %r8, %r0, 5;\nshl.b32 %r8, %r8, 2;\nadd.u32 %r8, %r8, %r4;\n\
         st.shared.u32 [%r8+1024], %r0;\nbar.sync 0;\nsub.u32 %r7, 63, %r0;\nshl.b32 %r7, %r7, 2;\nadd.u32 %r7, %r7, %r4;\nld.shared.u32 %r9, [%r7];\nld.shared.u32 %r11, [%r8+1024];\nadd.u32 %r10, %r9, %r11;",
        |thread, tid| input(thread - tid + 63 - tid).wrapping_add(tid | 31),
    );
    // Local memory, each lane at a place of its own.
    check(
        64,
        "mov.u32 %r4, own;\nand.b32 %r5, %r0, 7;\nshl.b32 %r5, %r5, 2;\nadd.u32 %r5, %r5, %r4;\nst.local.u32 [%r4+4], %r1;\nst.local.u32 [%r5], %r0;\nld.local.u32 %r6, [%r5];\nld.local.u32 %r7, [%r4+4];\nadd.u32 %r10, %r6, %r7;",
        |thread, tid| tid + if tid % 8 == 1 { tid } else { thread },
    );
}

#[test]
fn floating_point_numbers() {
    let float = |thread: u32| f32::from_bits(input(thread));
    let bits = |v: f32| if v.is_nan() { 0x7fff_ffff } else { v.to_bits() };
    check(
        64,
        "ld.global.f32 %f1, [%d3];\nld.global.f32 %f2, [%d3+128];\nmul.f32 %f3, %f1, %f2;\nfma.rn.f32 %f3, %f3, %f1, %f2;\nmin.f32 %f3, %f3, %f1;\nmov.b32 %r10, %f3;",
        |thread, _| {
            let (x, y) = (float(thread), float(thread + 32));
            let v = (x * y).mul_add(x, y);
            bits(match (v.is_nan(), x.is_nan()) {
                (true, _) => x,
                (_, true) => v,
                _ if v == x => {
                    if v.is_sign_negative() {
                        v
                    } else {
                        x
                    }
                }
                _ => v.min(x),
            })
        },
    );
    check(
        64,
        "ld.global.f32 %f1, [%d3];\nsetp.lt.f32 %p1, %f1, 0f00000000;\nsetp.num.and.f32 %p2|%p3, %f1, %f1, %p1;\nselp.u32 %r4, 1, 2, %p2;\nselp.u32 %r5, 10, 20, %p3;\nadd.u32 %r10, %r4, %r5;",
        |thread, _| {
            let x = float(thread);
            let (less, number) = (x < 0.0, !x.is_nan());
            (if number && less { 1 } else { 2 }) + if !number && less { 10 } else { 20 }
        },
    );
    check(
        64,
        "cvt.rn.f64.s32 %g1, %r0;\nadd.f64 %g2, %g1, 0d3FE0000000000000;\nmul.f64 %g2, %g2, %g1;\nsetp.gt.f64 %p1, %g2, 0d4059000000000000;\ncvt.rn.f32.f64 %f1, %g2;\ncvt.rzi.s32.f32 %r4, %f1;\nselp.u32 %r10, %r4, 3, %p1;",
        |_, tid| {
            let x = f64::from(tid);
            let v = (x + 0.5) * x;
            if v > 100.0 { v as f32 as u32 } else { 3 }
        },
    );
}

/// Blocks of several rows, which groups fit into or not.
#[test]
fn blocks_of_two_dimensions() {
    for width in [8, 12, 16] {
        let d = device(
            "mov.u32 %r5, %tid.y;\nmad.lo.u32 %r6, %r5, %r3, %r0;\nmov.u32 %r7, %ntid.y;\nmul.lo.u32 %r7, %r7, %r3;\nmad.lo.u32 %r6, %r2, %r7, %r6;\n\
             mul.wide.u32 %d4, %r6, 4;\nadd.u64 %d1, %d0, %d4;\nmad.lo.u32 %r10, %r5, 100, %r0;",
        );
        let count = BLOCKS * width * 8;
        let out = d.upload(&vec![0u32; count as usize]);
        for _ in 0..LAUNCHES {
            d.try_launch(
                "k",
                [BLOCKS, 1, 1],
                [width, 8, 1],
                0,
                &Params::new().u64(out).u64(out),
                false,
            )
            .unwrap();
            let found = d.download::<u32>(out, count as usize);
            for (at, &v) in found.iter().enumerate() {
                let at = at as u32 % (width * 8);
                assert_eq!(
                    v,
                    at / width * 100 + at % width,
                    "{width} wide, thread {at}"
                );
            }
        }
    }
}

/// The lane that faults is the one that did, whatever it was done with.
#[test]
fn faults_of_single_lanes() {
    for (body, thread, kind) in [
        (
            "setp.lt.u32 %p1, %r0, 13;\n@%p1 bra L1;\nmov.u64 %d3, 64;\nL1:\nld.global.u32 %r10, [%d3];",
            13,
            FaultKind::IllegalAddress,
        ),
        (
            "setp.lt.u32 %p1, %r0, 21;\nselp.u64 %d5, 0, 2, %p1;\nadd.u64 %d3, %d3, %d5;\nld.global.u32 %r10, [%d3];",
            21,
            FaultKind::MisalignedAddress,
        ),
        (
            "mov.u32 %r10, 1;\nshl.b32 %r4, %r0, 7;\nld.shared.u32 %r10, [%r4];",
            32,
            FaultKind::IllegalAddress,
        ),
    ] {
        let d = device(body);
        let data = d.upload(&vec![1u32; 64 * 64]);
        let out = d.upload(&vec![0u32; 64 * 64]);
        let fault = d
            .try_launch(
                "k",
                [1, 1, 1],
                [64, 1, 1],
                0,
                &Params::new().u64(out).u64(data),
                false,
            )
            .unwrap_err();
        assert_eq!((fault.kind, fault.thread), (kind, [thread, 0, 0]), "{body}");
    }
}
