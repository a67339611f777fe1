//! Blocks that machine code runs as a whole: every thread does what it does alone, also in blocks and groups of lanes that do not end there, and faults are those of the right thread.

#![allow(missing_docs, reason = "a test")]

mod ptx_common;
use std::time::{Duration, Instant};

use gvirtus_cpu::engine::FaultKind;
use ptx_common::{Device, Params};

/// Enough blocks that the first launch already finds machine code, and that threads take several at once.
const BLOCKS: u32 = 2600;
/// What results hold that nobody wrote.
const UNTOUCHED: u32 = 0xdead_beef;

/// `%r0`: thread in the block (x); `%r1`: thread in the grid, for one dimension; `%r2`: block (x); `%d1`: its word of the result; `%d3`: its word of the input. `%r10` becomes the result at `L9`.
fn device(body: &str) -> Device {
    Device::new(&format!(
        ".version 8.5\n.target sm_80\n.address_size 64\n.visible .entry k(.param .u64 out, .param .u64 in, .param .u32 count)\n{{\n.reg .pred %p<8>;\n.reg .b32 %r<40>;\n.reg .b64 %d<40>;\n\
         .local .align 8 .b8 own[64];\n\
         ld.param.u64 %d0, [out];\nld.param.u64 %d2, [in];\nld.param.u32 %r20, [count];\nmov.u32 %r0, %tid.x;\nmov.u32 %r2, %ctaid.x;\nmov.u32 %r3, %ntid.x;\nmad.lo.u32 %r1, %r2, %r3, %r0;\n\
         mul.wide.u32 %d4, %r1, 4;\nadd.u64 %d1, %d0, %d4;\nadd.u64 %d3, %d2, %d4;\n{body}\nL9:\nst.global.u32 [%d1], %r10;\nL10:\nret;\n}}\n"
    ))
}

fn input(thread: u32) -> u32 {
    thread.wrapping_mul(0x9e37_79b9) ^ thread >> 3
}

/// Runs a body in blocks of one dimension, and compares the result of every thread: thread in the grid, in the block, and block.
fn check(threads: u32, body: &str, expected: impl Fn(u32, u32, u32) -> u32) {
    let d = device(body);
    let count = BLOCKS * threads;
    let data: Vec<u32> = (0..count).map(input).collect();
    let data = d.upload(&data);
    for launch in 0..2 {
        let out = d.upload(&vec![UNTOUCHED; count as usize]);
        let params = Params::new().u64(out).u64(data).u32(count);
        d.launch("k", BLOCKS, threads, &params);
        let found = d.download::<u32>(out, count as usize);
        for thread in 0..count {
            assert_eq!(
                found[thread as usize],
                expected(thread, thread % threads, thread / threads),
                "launch {launch}, block {}, thread {} of {threads}: {body}",
                thread / threads,
                thread % threads
            );
        }
    }
}

#[test]
fn blocks_of_any_size() {
    for threads in [1, 5, 8, 31, 33, 64, 100, 250, 256] {
        check(
            threads,
            "ld.global.u32 %r4, [%d3];\nadd.u32 %r10, %r4, %r0;",
            |thread, tid, _| input(thread).wrapping_add(tid),
        );
    }
}

/// The threads that are too many end before they store, in the middle of a group, a warp or a block.
#[test]
fn the_last_block_is_not_full() {
    for missing in [1, 8, 77, 200, 256, 300] {
        let d = device("setp.ge.u32 %p1, %r1, %r20;\n@%p1 bra L10;\nld.global.u32 %r10, [%d3];");
        let all = BLOCKS * 256;
        let count = all - missing;
        // Reading or writing behind the end is a fault, besides.
        let data = d.upload(&(0..count).map(input).collect::<Vec<u32>>());
        let out = d.upload(&vec![UNTOUCHED; count as usize + 1]);
        let params = Params::new().u64(out).u64(data).u32(count);
        d.launch("k", BLOCKS, 256, &params);
        let found = d.download::<u32>(out, count as usize + 1);
        for thread in 0..count {
            assert_eq!(found[thread as usize], input(thread), "{missing}: {thread}");
        }
        assert_eq!(found[count as usize], UNTOUCHED);
    }
}

/// In some blocks, one thread in the middle goes its own way behind a store that it must not repeat.
#[test]
fn lanes_part_in_the_middle_of_a_block() {
    let store = "mov.u32 %r10, 5;\nst.global.u32 [%d1], %r0;\nld.global.u32 %r5, [%d1];\nadd.u32 %r5, %r5, 1;\nst.global.u32 [%d1], %r5;\n";
    let some =
        "and.b32 %r6, %r2, 15;\nsetp.eq.u32 %p1, %r6, 9;\nsetp.eq.and.u32 %p2, %r0, 77, %p1;\n";
    check(
        256,
        &format!(
            "{store}{some}@%p2 bra L1;\nld.global.u32 %r10, [%d1];\nbra L9;\nL1:\nld.global.u32 %r7, [%d1];\nmul.lo.u32 %r10, %r7, 1000;"
        ),
        |_, tid, block| {
            if tid == 77 && block % 16 == 9 {
                78_000
            } else {
                tid + 1
            }
        },
    );
    // It ends there.
    check(
        256,
        &format!("{store}{some}@%p2 exit;\nadd.u32 %r10, %r5, 1;"),
        |_, tid, block| {
            if tid == 77 && block % 16 == 9 {
                78
            } else {
                tid + 2
            }
        },
    );
    // In all blocks and most groups: the other forms of the code take over.
    check(
        96,
        &format!(
            "{store}and.b32 %r7, %r0, 3;\nsetp.eq.u32 %p1, %r7, 1;\n@%p1 bra L9;\nadd.u32 %r10, %r5, 1;"
        ),
        |_, tid, _| if tid % 4 == 1 { 5 } else { tid + 2 },
    );
}

/// Some warps come to what concerns several lanes, others end without it.
#[test]
fn some_warps_come_to_a_boundary() {
    let some = "and.b32 %r6, %r2, 7;\nsetp.ne.u32 %p1, %r6, 3;\nshr.u32 %r7, %r0, 5;\nsetp.ne.or.u32 %p2, %r7, 2, %p1;\nmov.u32 %r10, %r1;\n";
    check(
        256,
        &format!("{some}@%p2 bra L9;\nshfl.sync.idx.b32 %r10, %r1, 7, 31, -1;"),
        |thread, tid, block| {
            if block % 8 == 3 && tid / 32 == 2 {
                thread / 32 * 32 + 7
            } else {
                thread
            }
        },
    );
    // One lane alone, in a warp of which the others have ended.
    check(
        72,
        "setp.ne.u32 %p1, %r0, 70;\nmov.u32 %r10, %r1;\n@%p1 bra L9;\nactivemask.b32 %r4;\nadd.u32 %r10, %r4, %r1;",
        |thread, tid, _| {
            if tid == 70 { thread + (1 << 6) } else { thread }
        },
    );
}

/// Loops that take longer than a lane may stay in machine code; what was stored in local memory before is there afterwards.
#[test]
fn loops_longer_than_a_turn() {
    let d = device(
        "mov.u32 %r14, own;\nst.local.u32 [%r14+8], %r1;\nmov.u32 %r4, 0;\nshr.u32 %r5, %r0, 4;\nsetp.eq.u32 %p2, %r5, 2;\nld.global.u32 %r6, [%d2];\nselp.u32 %r6, %r6, 3, %p2;\nL1:\nadd.u32 %r4, %r4, 1;\nsetp.lt.u32 %p1, %r4, %r6;\n@%p1 bra L1;\nld.local.u32 %r15, [%r14+8];\nadd.u32 %r10, %r4, %r15;",
    );
    let blocks = 400;
    let count = blocks * 64;
    for turns in [7, 40_000] {
        let out = d.upload(&vec![UNTOUCHED; count as usize]);
        let data = d.upload(&[turns]);
        let params = Params::new().u64(out).u64(data).u32(count);
        for _ in 0..3 {
            d.launch("k", blocks, 64, &params);
        }
        for (thread, &v) in d.download::<u32>(out, count as usize).iter().enumerate() {
            let tid = thread as u32 % 64;
            let counted = if tid / 16 == 2 { turns } else { 3 };
            assert_eq!(v, thread as u32 + counted, "{thread}");
        }
    }
}

/// Special registers of the block, the warp and the lane, as operands of machine code and of what the interpreter does for it.
#[test]
fn special_registers() {
    check(
        96,
        "mov.u32 %r4, %warpid;\nmov.u32 %r5, %laneid;\nmov.u32 %r6, %lanemask_le;\nmov.u32 %r7, %nctaid.x;\nmad.lo.u32 %r10, %r4, 1000, %r5;\nxor.b32 %r10, %r10, %r6;\nadd.u32 %r10, %r10, %r7;\nadd.u32 %r10, %r10, %r2;",
        |_, tid, block| {
            let lane = tid % 32;
            let below = if lane == 31 {
                u32::MAX
            } else {
                (1 << (lane + 1)) - 1
            };
            ((tid / 32 * 1000 + lane) ^ below)
                .wrapping_add(BLOCKS)
                .wrapping_add(block)
        },
    );
    check(
        96,
        "bfi.b32 %r4, %r2, %r0, 8, 12;\nrem.u32 %r5, %ctaid.x, 7;\nbrev.b32 %r6, %ctaid.x;\nfns.b32 %r7, %ctaid.x, 0, 1;\nadd.u32 %r10, %r4, %r5;\nadd.u32 %r10, %r10, %r6;\nadd.u32 %r10, %r10, %r7;",
        |_, tid, block| {
            let first = if block == 0 {
                u32::MAX
            } else {
                block.trailing_zeros()
            };
            (tid & !(0xfff << 8) | (block & 0xfff) << 8)
                .wrapping_add(block % 7)
                .wrapping_add(block.reverse_bits())
                .wrapping_add(first)
        },
    );
}

/// Local memory of all warps of a block.
#[test]
fn local_memory() {
    check(
        200,
        "mov.u32 %r4, own;\nand.b32 %r5, %r0, 7;\nshl.b32 %r5, %r5, 2;\nadd.u32 %r5, %r5, %r4;\nst.local.u32 [%r4+4], %r1;\nst.local.u32 [%r5], %r0;\nld.local.u32 %r6, [%r5];\nld.local.u32 %r7, [%r4+4];\nadd.u32 %r10, %r6, %r7;",
        |thread, tid, _| tid + if tid % 8 == 1 { tid } else { thread },
    );
    // What a thread stored is where the interpreter looks for it, behind a boundary that one warp comes to.
    check(
        256,
        "mov.u32 %r4, own;\nst.local.u32 [%r4+8], %r1;\nand.b32 %r6, %r2, 7;\nsetp.ne.u32 %p1, %r6, 3;\nshr.u32 %r7, %r0, 5;\nsetp.ne.or.u32 %p2, %r7, 2, %p1;\nmov.u32 %r10, 9;\n@%p2 bra L9;\n\
         shfl.sync.idx.b32 %r11, %r1, 7, 31, -1;\nld.local.u32 %r12, [%r4+8];\nadd.u32 %r10, %r11, %r12;",
        |thread, tid, block| {
            if block % 8 == 3 && tid / 32 == 2 {
                thread / 32 * 32 + 7 + thread
            } else {
                9
            }
        },
    );
}

/// Blocks and grids of two and three dimensions.
#[test]
fn dimensions() {
    let body = "mov.u32 %r4, %tid.y;\nmov.u32 %r5, %tid.z;\nmov.u32 %r6, %ctaid.y;\nmov.u32 %r7, %ctaid.z;\nmov.u32 %r11, %ntid.y;\nmov.u32 %r12, %ntid.z;\nmov.u32 %r13, %nctaid.x;\nmov.u32 %r14, %nctaid.y;\n\
         mad.lo.u32 %r15, %r7, %r14, %r6;\nmad.lo.u32 %r15, %r15, %r13, %r2;\nmad.lo.u32 %r15, %r15, %r12, %r5;\nmad.lo.u32 %r15, %r15, %r11, %r4;\nmad.lo.u32 %r15, %r15, %r3, %r0;\n\
         mul.wide.u32 %d4, %r15, 4;\nadd.u64 %d1, %d0, %d4;\n\
         mad.lo.u32 %r10, %r7, 100, %r6;\nmad.lo.u32 %r10, %r10, 100, %r2;\nmad.lo.u32 %r10, %r10, 10, %r5;\nmad.lo.u32 %r10, %r10, 20, %r4;\nmad.lo.u32 %r10, %r10, 40, %r0;";
    for block in [[16, 16, 1], [8, 3, 2], [32, 2, 1], [12, 8, 1], [40, 1, 3]] {
        let d = device(body);
        let grid = [50, 10, 3];
        let threads: u32 = block.iter().product();
        let count = grid.iter().product::<u32>() * threads;
        for _ in 0..2 {
            let out = d.upload(&vec![UNTOUCHED; count as usize]);
            let params = Params::new().u64(out).u64(out).u32(count);
            d.try_launch("k", grid, block, 0, &params, false).unwrap();
            for (at, &v) in d.download::<u32>(out, count as usize).iter().enumerate() {
                let at = at as u32;
                let (t, b) = (at % threads, at / threads);
                let [x, y] = [block[0], block[1]];
                let thread = [t % x, t / x % y, t / x / y];
                let index = [b % 50, b / 50 % 10, b / 500];
                let n = [100, 100, 10, 20, 40];
                let parts = [index[1], index[0], thread[2], thread[1], thread[0]];
                let expected = parts.iter().zip(n).fold(index[2], |v, (p, n)| v * n + p);
                assert_eq!(v, expected, "{block:?}: block {index:?}, thread {thread:?}");
            }
        }
    }
}

/// A fault in the middle of a block is the same before there is machine code and afterwards: kernel, line, block, thread, address.
#[test]
fn faults_are_those_of_the_right_thread() {
    // The input holds what is added to the thread's address.
    let d = device(
        "ld.global.u32 %r4, [%d3];\ncvt.u64.u32 %d5, %r4;\nadd.u64 %d6, %d1, %d5;\nst.global.u32 [%d6], %r1;\nmov.u32 %r10, 1;",
    );
    let blocks = 700;
    let count = blocks * 104;
    for (thread, far, kind) in [
        (333 * 104 + 45, 0x1000_0000, FaultKind::IllegalAddress),
        (4 * 104 + 103, 2, FaultKind::MisalignedAddress),
        (699 * 104, 1, FaultKind::MisalignedAddress),
    ] {
        let good = d.upload(&vec![0u32; count as usize]);
        let mut data = vec![0u32; count as usize];
        data[thread as usize] = far;
        let bad = d.upload(&data);
        let out = d.upload(&vec![0u32; count as usize]);
        let fresh = device(
            "ld.global.u32 %r4, [%d3];\ncvt.u64.u32 %d5, %r4;\nadd.u64 %d6, %d1, %d5;\nst.global.u32 [%d6], %r1;\nmov.u32 %r10, 1;",
        );
        let launch = |d: &Device, first: u32, blocks: u32, data: u64| {
            let (out, data) = (out + u64::from(first) * 4, data + u64::from(first) * 4);
            let params = Params::new().u64(out).u64(data).u32(count);
            d.try_launch("k", [blocks, 1, 1], [104, 1, 1], 0, &params, false)
        };
        for _ in 0..2 {
            launch(&d, 0, blocks, good).unwrap();
        }
        let fault = launch(&d, 0, blocks, bad).unwrap_err();
        let place = (kind, [thread / 104, 0, 0], [thread % 104, 0, 0]);
        assert_eq!((fault.kind, fault.block, fault.thread), place);
        assert_eq!(
            (fault.kernel.as_str(), fault.address),
            ("k", out + u64::from(thread) * 4 + u64::from(far))
        );
        // One block of a module that has run nothing yet is interpreted.
        let base = thread / 104 * 104;
        fresh.memory.adopt(&d.memory);
        let alone = launch(&fresh, base, 1, bad).unwrap_err();
        assert_eq!(
            (alone.kind, alone.line, alone.address, alone.thread),
            (fault.kind, fault.line, fault.address, fault.thread)
        );
    }
}

/// A kernel whose threads end at once, until one block does not: it is ended at its deadline, and when it is called off.
#[test]
fn endless_blocks_end() {
    let d = device(
        "ld.global.u32 %r10, [%d2];\nsetp.ne.u32 %p1, %r2, 77;\n@%p1 bra L9;\nL1:\nld.volatile.global.u32 %r10, [%d2];\nsetp.ne.u32 %p2, %r10, 0;\n@%p2 bra L1;",
    );
    let (blocks, threads) = (400, 64);
    let out = d.upload(&vec![0u32; blocks as usize * threads as usize]);
    let (zero, one) = (d.upload(&[0u32]), d.upload(&[1u32]));
    let params = |flag| Params::new().u64(out).u64(flag).u32(0);
    for _ in 0..3 {
        d.launch("k", blocks, threads, &params(zero));
    }
    let d = Device {
        deadline: Some(Instant::now() + Duration::from_millis(200)),
        ..d
    };
    let launch = |d: &Device| {
        d.try_launch("k", [blocks, 1, 1], [threads, 1, 1], 0, &params(one), false)
            .unwrap_err()
    };
    let fault = launch(&d);
    assert_eq!((fault.kind, fault.block), (FaultKind::Timeout, [77, 0, 0]));
    let d = Device {
        deadline: None,
        ..d
    };
    let start = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(100));
            d.cancelled
                .store(true, std::sync::atomic::Ordering::Relaxed);
        });
        assert_eq!(launch(&d).kind, FaultKind::Cancelled);
    });
    assert!(start.elapsed() < Duration::from_secs(10));
}
