//! Kernels that launch kernels.

#![allow(missing_docs, reason = "a test")]

mod ptx_common;
use gvirtus_cpu::engine::FaultKind;
use ptx_common::{Device, Params};

/// `tree` counts its threads by depth in `out` and launches itself twice with one less to go, and to its tail `after`, which copies the counter of its depth behind the counters.
/// `wrong` asks for a block that is too large and for a function that is no kernel, and writes what it is told.
const SOURCE: &str = "
.version 8.5
.target sm_80
.address_size 64
.extern .func (.param .b64 r) __cudaCDP2GetParameterBufferV2 (.param .b64 a, .param .align 4 .b8 b[12], .param .align 4 .b8 c[12], .param .b32 d);
.extern .func (.param .b32 r) __cudaCDP2LaunchDeviceV2 (.param .b64 a, .param .b64 b);
.extern .func (.param .b32 r) __cudaCDP2GetLastError ();
.func (.param .b32 status) launch (.param .b64 kernel, .param .b64 out, .param .b32 depth, .param .b64 stream, .param .b32 threads)
{
 .reg .pred %p<2>; .reg .b32 %r<6>; .reg .b64 %d<6>;
 ld.param.u64 %d0, [kernel]; ld.param.u64 %d1, [out]; ld.param.u32 %r0, [depth]; ld.param.u64 %d2, [stream]; ld.param.u32 %r4, [threads];
 mov.u32 %r1, 1;
 {
 .param .b64 p0; .param .align 4 .b8 p1[12]; .param .align 4 .b8 p2[12]; .param .b32 p3; .param .b64 back;
 st.param.b64 [p0], %d0;
 st.param.b32 [p1], %r1; st.param.b32 [p1+4], %r1; st.param.b32 [p1+8], %r1;
 st.param.b32 [p2], %r4; st.param.b32 [p2+4], %r1; st.param.b32 [p2+8], %r1;
 mov.u32 %r2, 0; st.param.b32 [p3], %r2;
 call (back), __cudaCDP2GetParameterBufferV2, (p0, p1, p2, p3);
 ld.param.b64 %d3, [back];
 }
 setp.eq.u64 %p0, %d3, 0;
 mov.u32 %r3, 0;
 @%p0 bra NONE;
 st.u64 [%d3], %d1; st.u32 [%d3+8], %r0;
 {
 .param .b64 p0; .param .b64 p1; .param .b32 back;
 st.param.b64 [p0], %d3; st.param.b64 [p1], %d2;
 call (back), __cudaCDP2LaunchDeviceV2, (p0, p1);
 ld.param.b32 %r3, [back];
 }
 st.param.b32 [status], %r3;
 ret;
NONE:
 {
 .param .b32 back;
 call (back), __cudaCDP2GetLastError, ();
 ld.param.b32 %r3, [back];
 }
 st.param.b32 [status], %r3;
 ret;
}
.visible .entry after (.param .u64 out, .param .u32 depth)
{
 .reg .b32 %r<4>; .reg .b64 %d<4>;
 ld.param.u64 %d0, [out]; ld.param.u32 %r0, [depth]; mad.wide.u32 %d0, %r0, 4, %d0; ld.global.u32 %r1, [%d0]; st.global.u32 [%d0+64], %r1; ret;
}
.visible .entry tree (.param .u64 out, .param .u32 depth)
{
 .reg .pred %p<3>; .reg .b32 %r<8>; .reg .b64 %d<8>;
 ld.param.u64 %d0, [out]; ld.param.u32 %r0, [depth];
 mad.wide.u32 %d1, %r0, 4, %d0; atom.global.add.u32 %r1, [%d1], 1;
 mov.u32 %r2, %tid.x; setp.ne.u32 %p0, %r2, 0; @%p0 bra DONE;
 mov.u64 %d2, after; mov.u64 %d3, 3; mov.u32 %r4, 1;
 { .param .b64 a; .param .b64 b; .param .b32 c; .param .b64 d; .param .b32 e; .param .b32 back;
 st.param.b64 [a], %d2; st.param.b64 [b], %d0; st.param.b32 [c], %r0; st.param.b64 [d], %d3; st.param.b32 [e], %r4;
 call (back), launch, (a, b, c, d, e); }
 setp.eq.u32 %p1, %r0, 0; @%p1 bra DONE;
 sub.u32 %r3, %r0, 1; mov.u64 %d2, tree; mov.u64 %d3, 0; mov.u32 %r4, 32; mov.u32 %r5, 0;
AGAIN:
 { .param .b64 a; .param .b64 b; .param .b32 c; .param .b64 d; .param .b32 e; .param .b32 back;
 st.param.b64 [a], %d2; st.param.b64 [b], %d0; st.param.b32 [c], %r3; st.param.b64 [d], %d3; st.param.b32 [e], %r4;
 call (back), launch, (a, b, c, d, e); }
 add.u32 %r5, %r5, 1; setp.lt.u32 %p1, %r5, 2; @%p1 bra AGAIN;
DONE:
 ret;
}
.visible .entry wrong (.param .u64 out, .param .u32 threads)
{
 .reg .b32 %r<8>; .reg .b64 %d<8>;
 ld.param.u64 %d0, [out]; ld.param.u32 %r4, [threads]; mov.u32 %r3, 0; mov.u64 %d3, 0;
 mov.u64 %d2, tree;
 { .param .b64 a; .param .b64 b; .param .b32 c; .param .b64 d; .param .b32 e; .param .b32 back;
 st.param.b64 [a], %d2; st.param.b64 [b], %d0; st.param.b32 [c], %r3; st.param.b64 [d], %d3; st.param.b32 [e], %r4;
 call (back), launch, (a, b, c, d, e); ld.param.b32 %r5, [back]; }
 st.global.u32 [%d0+128], %r5;
 mov.u64 %d2, launch;
 { .param .b64 a; .param .b64 b; .param .b32 c; .param .b64 d; .param .b32 e; .param .b32 back;
 st.param.b64 [a], %d2; st.param.b64 [b], %d0; st.param.b32 [c], %r3; st.param.b64 [d], %d3; st.param.b32 [e], %r4;
 call (back), launch, (a, b, c, d, e); ld.param.b32 %r5, [back]; }
 st.global.u32 [%d0+132], %r5;
 ret;
}
";

#[test]
fn a_grid_is_complete_when_its_children_are_and_the_tail_comes_last() {
    let d = Device::new(SOURCE);
    let out = d.upload(&[0u32; 64]);
    d.launch("tree", 1, 32, &Params::new().u64(out).u32(5));
    let found = d.download::<u32>(out, 64);
    // 32 threads in each of 1, 2, 4, … grids.
    assert_eq!(found[..6], [1024, 512, 256, 128, 64, 32]);
    // The tail of the last grid of each depth has seen all of them.
    assert_eq!(found[16..22], [1024, 512, 256, 128, 64, 32]);
}

#[test]
fn a_launch_that_cannot_be_is_the_threads_last_error() {
    let d = Device::new(SOURCE);
    let out = d.upload(&[0u32; 64]);
    d.launch("wrong", 1, 1, &Params::new().u64(out).u32(2048));
    let found = d.download::<u32>(out, 64);
    // Invalid configuration; invalid device function. Nothing ran.
    assert_eq!((found[32], found[33]), (9, 98));
    assert_eq!(found[0], 0);
}

#[test]
fn a_childs_fault_is_the_launchs() {
    let d = Device::new(SOURCE);
    let fault = d
        .try_launch(
            "tree",
            [1, 1, 1],
            [1, 1, 1],
            0,
            // All that the parent itself touches is there; what its child touches is not.
            &Params::new().u64(d.upload(&[0u32; 1]) - 4).u32(1),
            false,
        )
        .unwrap_err();
    assert_eq!(
        (fault.kind, fault.kernel.as_str()),
        (FaultKind::IllegalAddress, "tree")
    );
}
