//! Clusters: blocks that use one another's shared memory, and what crosses from one to another.

#![allow(missing_docs, reason = "a test")]

mod ptx_common;
use gvirtus_cpu::engine::FaultKind;
use ptx_common::{Device, Params};

const BLOCKS: u32 = 12;
const THREADS: u32 = 64;

/// A kernel of one parameter, the address `%out` of a word for each thread of the grid, at which `%own` points; `%rank` and `%size` are those of the cluster, `%thread` and
/// `%block` as named, `%p0` holds in the first thread of a block. `room` is shared memory: a word for each thread, then 64 bytes for barriers and counters from 1024 on, 1024 bytes from 2048 on.
fn kernel(body: &str) -> Device {
    kernel_of(body, 4)
}

fn kernel_of(body: &str, cluster: u32) -> Device {
    let mut device = Device::new(&format!(
        ".version 8.5\n.target sm_90\n.address_size 64\n
.visible .entry k(.param .u64 out) {{
 .reg .pred %p<4>; .reg .b16 %h<4>; .reg .b32 %r<24>; .reg .b64 %d<16>; .reg .b64 %out, %own; .reg .b32 %rank, %size, %thread, %block, %room;
 .shared .align 128 .b8 room[3072];
 ld.param.u64 %out, [out];
 mov.u32 %rank, %cluster_ctarank; mov.u32 %size, %cluster_nctarank; mov.u32 %thread, %tid.x; mov.u32 %block, %ctaid.x;
 mov.u32 %room, room;
 mad.lo.u32 %r0, %block, {THREADS}, %thread;
 mad.wide.u32 %own, %r0, 4, %out;
 setp.eq.u32 %p0, %thread, 0;
 {body}
 ret;
}}"
    ));
    device.cluster = [cluster, 1, 1];
    device
}

fn try_run(device: &Device) -> Result<Vec<u32>, gvirtus_cpu::engine::Fault> {
    let out = device.upload(&vec![0u32; (BLOCKS * THREADS) as usize]);
    let params = Params::new().u64(out);
    device
        .try_launch("k", [BLOCKS, 1, 1], [THREADS, 1, 1], 0, &params, false)
        .map(|()| device.download(out, (BLOCKS * THREADS) as usize))
}

/// What each thread of the grid wrote, against a function of its block and number.
fn check(device: &Device, expected: impl Fn(u32, u32) -> u32) {
    let found = try_run(device).unwrap();
    for (number, found) in (0..).zip(found) {
        let (block, thread) = (number / THREADS, number % THREADS);
        assert_eq!(found, expected(block, thread), "{block}, {thread}");
    }
}

const SYNC: &str = "barrier.cluster.arrive.release.aligned; barrier.cluster.wait.acquire.aligned;";

/// `%r1`: the rank of the next block in the ring.
const NEXT: &str = "add.u32 %r1, %rank, 1; rem.u32 %r1, %r1, %size;";

#[test]
fn a_ring_passes_words_on_by_addresses_in_the_window() {
    // Each thread writes its number to the next block's memory, and reads there what that block keeps for the one after it.
    let device = kernel(&format!(
        "{NEXT}
 mad.lo.u32 %r2, %thread, 4, %room;
 mapa.shared::cluster.u32 %r3, %r2, %r1;
 mad.lo.u32 %r4, %block, 1000, %thread;
 st.shared::cluster.u32 [%r3], %r4;
 {SYNC}
 ld.shared.u32 %r5, [%r2];
 ld.shared::cluster.u32 %r6, [%r3];
 mul.lo.u32 %r6, %r6, 100000;
 add.u32 %r5, %r5, %r6;
 st.global.u32 [%own], %r5;
 {SYNC}"
    ));
    check(&device, |block, thread| {
        let (first, rank) = (block / 4 * 4, block % 4);
        let before = first + (rank + 3) % 4;
        let (kept, there) = (before * 1000 + thread, block * 1000 + thread);
        kept.wrapping_add(there.wrapping_mul(100_000))
    });
}

#[test]
fn a_ring_passes_words_on_by_generic_addresses() {
    let device = kernel(
        &format!(
            "{NEXT}
 mul.wide.u32 %d0, %thread, 4;
 cvt.u64.u32 %d1, %room;
 cvta.shared.u64 %d1, %d1;
 add.u64 %d1, %d1, %d0;
 mapa.u64 %d2, %d1, %r1;
 st.u32 [%d1], %r0;
 {SYNC}
 ld.v2.u32 {{%r2, %r3}}, [%d2];
 getctarank.u64 %r4, %d2;
 setp.ne.u32 %p1, %r4, %r1;
 @%p1 trap;
 isspacep.shared::cluster %p1, %d2;
 @!%p1 trap;
 st.global.u32 [%own], %r2;
 {SYNC}"
        )
        .replace("ld.v2.u32 {%r2, %r3}", "ld.u32 %r2"),
    );
    check(&device, |block, thread| {
        let next = block / 4 * 4 + (block + 1) % 4;
        next * THREADS + thread
    });
}

#[test]
fn all_count_in_the_first_blocks_memory() {
    let device = kernel(&format!(
        "@%p0 st.shared.u32 [%room+1024], 7;
 @%p0 st.shared.u64 [%room+1032], 0;
 {SYNC}
 mov.u32 %r1, 0;
 mapa.shared::cluster.u32 %r2, %room, %r1;
 add.u32 %r3, %thread, 1;
 atom.shared::cluster.add.u32 %r4, [%r2+1024], %r3;
 mov.u64 %d0, 1;
 red.relaxed.cluster.shared::cluster.add.u64 [%r2+1032], %d0;
 {SYNC}
 ld.shared::cluster.u32 %r5, [%r2+1024];
 ld.shared::cluster.u32 %r6, [%r2+1032];
 mad.lo.u32 %r5, %r6, 100000, %r5;
 st.global.u32 [%own], %r5;
 {SYNC}"
    ));
    let sum = 7 + 4 * THREADS * (THREADS + 1) / 2;
    check(&device, |_, _| 4 * THREADS * 100_000 + sum);
}

/// Makes the barrier at 1024 of every block one of `count` arrivals, and waits until all have.
fn barriers(count: &str) -> String {
    format!(
        "@%p0 mbarrier.init.shared.b64 [%room+1024], {count};
 fence.mbarrier_init.release.cluster;
 {SYNC}"
    )
}

/// Waits for the first phase of the block's own barrier.
const WAIT: &str = "
WAIT:
 mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 %p1, [%room+1024], 0;
 @!%p1 bra WAIT;";

#[test]
fn blocks_arrive_at_a_barrier_of_another() {
    // Every thread of the cluster puts its word at the first block, and arrives there; that block adds up.
    let init = barriers(&format!("{}", 4 * THREADS));
    let device = kernel(&format!(
        "{init}
 mov.u32 %r1, 0;
 mapa.shared::cluster.u32 %r2, %room, %r1;
 mad.lo.u32 %r3, %rank, {THREADS}, %thread;
 mad.lo.u32 %r4, %r3, 4, %r2;
 add.u32 %r3, %r3, 1;
 st.shared::cluster.u32 [%r4], %r3;
 mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%r2+1024];
 setp.ne.u32 %p2, %rank, 0;
 @%p2 bra DONE;
{WAIT}
 mov.u32 %r5, 0; mov.u32 %r6, 0;
SUM:
 mad.lo.u32 %r7, %r6, 4, %room;
 ld.shared.u32 %r8, [%r7];
 add.u32 %r5, %r5, %r8;
 add.u32 %r6, %r6, 1;
 setp.lt.u32 %p3, %r6, {};
 @%p3 bra SUM;
 st.global.u32 [%own], %r5;
DONE:
 {SYNC}",
        4 * THREADS
    ));
    let all = 4 * THREADS;
    check(&device, |block, _| {
        if block % 4 == 0 {
            all * (all + 1) / 2
        } else {
            0
        }
    });
}

#[test]
fn a_copy_to_several_blocks_arrives_at_the_barrier_of_each() {
    // The first block of each cluster copies 256 bytes of `data` to all but the block of rank 2, which gets other bytes by a copy of its own.
    let mut device = Device::new(&format!(
        ".version 8.5\n.target sm_90\n.address_size 64\n
.visible .global .align 128 .b8 data[512];
.visible .entry k(.param .u64 out) {{
 .reg .pred %p<4>; .reg .b16 %h<4>; .reg .b32 %r<8>; .reg .b64 %d<8>; .reg .b32 %rank, %thread, %room;
 .shared .align 128 .b8 room[3072];
 ld.param.u64 %d0, [out]; mov.u32 %r0, %ctaid.x; mov.u32 %rank, %cluster_ctarank; mov.u32 %thread, %tid.x; mov.u32 %room, room;
 mad.lo.u32 %r0, %r0, {THREADS}, %thread; mad.wide.u32 %d0, %r0, 4, %d0;
 setp.eq.u32 %p0, %thread, 0;
 {}
 @!%p0 bra READY;
 mbarrier.arrive.expect_tx.shared.b64 %d1, [%room+1024], 256;
 mov.u64 %d2, data; cvta.global.u64 %d2, %d2; mov.u16 %h0, 11; add.u32 %r2, %room, 2048;
 setp.eq.u32 %p2, %rank, 0;
 @%p2 cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster [%r2], [%d2], 256, [%room+1024], %h0;
 setp.eq.u32 %p2, %rank, 2;
 @%p2 cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%r2], [%d2+256], 256, [%room+1024];
READY:
 {WAIT}
 mad.lo.u32 %r3, %thread, 4, %room; ld.shared.u32 %r4, [%r3+2048]; st.global.u32 [%d0], %r4;
 {SYNC}
 ret;
}}",
        barriers("1")
    ));
    device.cluster = [4, 1, 1];
    for (k, value) in (0..128u32).enumerate() {
        // SAFETY: the variable has room for 128 words.
        unsafe {
            (device.addresses[0] as *mut u32)
                .add(k)
                .write(value * 3 + 1)
        };
    }
    check(&device, |block, thread| {
        let word = if block % 4 == 2 { thread + 64 } else { thread };
        word * 3 + 1
    });
}

#[test]
fn a_copy_to_a_block_that_is_not_there_is_a_fault() {
    let text = format!(
        "{}
 @!%p0 bra READY;
 mov.u16 %h0, 16; add.u32 %r2, %room, 2048;
 cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster [%r2], [%out], 256, [%room+1024], %h0;
READY:",
        barriers("1")
    );
    let fault = try_run(&kernel(&text)).unwrap_err();
    assert_eq!(fault.kind, FaultKind::IllegalAddress);
}

#[test]
fn stores_and_sums_that_tell_a_barrier() {
    // Each block's first thread sends 8 bytes to the next block, and adds to a word there.
    let device = kernel(&format!(
        "{NEXT}
 @%p0 st.shared.u32 [%room+1040], 5;
 {}
 @!%p0 bra READY;
 mbarrier.arrive.expect_tx.shared.b64 %d1, [%room+1024], 12;
 mapa.shared::cluster.u32 %r2, %room, %r1;
 add.u32 %r3, %r2, 1024;
 mov.u32 %r4, 1000; mul.lo.u32 %r5, %block, 10;
 st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.v2.u32 [%r2+1048], {{%r4, %r5}}, [%r3];
 red.async.relaxed.cluster.shared::cluster.mbarrier::complete_tx::bytes.add.u32 [%r2+1040], %rank, [%r3];
READY:
 {WAIT}
 ld.shared.v2.u32 {{%r6, %r7}}, [%room+1048];
 ld.shared.u32 %r8, [%room+1040];
 add.u32 %r6, %r6, %r7; mad.lo.u32 %r6, %r8, 100000, %r6;
 st.global.u32 [%own], %r6;
 {SYNC}",
        barriers("1")
    ));
    check(&device, |block, _| {
        let before = block / 4 * 4 + (block + 3) % 4;
        (5 + before % 4) * 100_000 + 1000 + 10 * before
    });
}

#[test]
fn work_between_arriving_and_waiting() {
    // Every thread passes three times; what it read in between belongs to the phase before.
    let device = kernel(&format!(
        "{NEXT}
 mad.lo.u32 %r2, %thread, 4, %room;
 mapa.shared::cluster.u32 %r3, %r2, %r1;
 mov.u32 %r6, 0; mov.u32 %r7, 0;
LOOP:
 mad.lo.u32 %r4, %rank, 10, %r7;
 st.shared.u32 [%r2], %r4;
 barrier.cluster.arrive.release;
 mul.lo.u32 %r6, %r6, 7;
 barrier.cluster.wait.acquire;
 ld.shared::cluster.u32 %r5, [%r3];
 add.u32 %r6, %r6, %r5;
 {SYNC}
 add.u32 %r7, %r7, 1;
 setp.lt.u32 %p1, %r7, 3;
 @%p1 bra LOOP;
 st.global.u32 [%own], %r6;"
    ));
    check(&device, |block, _| {
        let next = (block + 1) % 4 * 10;
        (0..3).fold(0, |sum, round| sum * 7 + next + round)
    });
}

#[test]
fn the_memory_of_a_block_that_is_not_there() {
    for access in [
        "ld.shared::cluster.u32 %r4, [%r2];",
        "st.shared::cluster.u32 [%r2], %r1;",
        "atom.shared::cluster.add.u32 %r4, [%r2], 1;",
    ] {
        let device = kernel(&format!(
            "mov.u32 %r1, 4; mapa.shared::cluster.u32 %r2, %room, %r1; {access}"
        ));
        let fault = try_run(&device).unwrap_err();
        assert_eq!(fault.kind, FaultKind::IllegalAddress, "{access}");
    }
    // Beyond the end of another block's memory.
    let device = kernel(
        "mov.u32 %r1, 1; mapa.shared::cluster.u32 %r2, %room, %r1; ld.shared::cluster.u32 %r4, [%r2+3072];",
    );
    assert_eq!(
        try_run(&device).unwrap_err().kind,
        FaultKind::IllegalAddress
    );
}

#[test]
fn a_block_that_never_arrives_is_a_deadlock() {
    // The first block waits for a barrier at which nobody arrives, the others for the first block.
    let device = kernel(&format!(
        "{} setp.ne.u32 %p2, %rank, 0; @%p2 bra READY; bar.sync 1, {}; READY: {SYNC}",
        barriers("1"),
        THREADS + 32
    ));
    assert_eq!(try_run(&device).unwrap_err().kind, FaultKind::LaunchFailed);
}

#[test]
fn clusters_of_every_size() {
    for size in [1, 2, 3, 4, 6] {
        let device = kernel_of(
            &format!(
                "@%p0 st.shared.u32 [%room], %block;
 {SYNC}
 mov.u32 %r1, 0; mov.u32 %r2, 0;
LOOP:
 mapa.shared::cluster.u32 %r3, %room, %r1;
 ld.shared::cluster.u32 %r4, [%r3];
 mad.lo.u32 %r2, %r2, 13, %r4;
 add.u32 %r1, %r1, 1;
 setp.lt.u32 %p1, %r1, %size;
 @%p1 bra LOOP;
 st.global.u32 [%own], %r2;
 {SYNC}"
            ),
            size,
        );
        check(&device, |block, _| {
            let first = block / size * size;
            (first..first + size).fold(0u32, |sum, block| sum.wrapping_mul(13).wrapping_add(block))
        });
    }
}
