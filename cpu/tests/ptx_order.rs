//! What threads of different blocks see of one another's memory accesses.

#![allow(missing_docs, reason = "a test")]

mod ptx_common;
use ptx_common::{Device, Params};

/// Block 0 writes vectors of equal elements over and over; the others read them and note in `out` who saw unequal ones.
fn torn(vector: &str, bits: u32, strength: &str) -> Vec<u32> {
    let (count, register) = (
        if vector == "v4" { 4 } else { 2 },
        if bits == 64 { "%d" } else { "%r" },
    );
    let list = |from: u32, step: u32| {
        let names: Vec<String> = (0..count)
            .map(|k| format!("{register}{}", from + k * step))
            .collect();
        format!("{{{}}}", names.join(", "))
    };
    let size = count * bits / 8;
    let differ: String = (1..count)
        .map(|k| {
            format!(
                "setp.ne.u{bits} %p2, {register}20, {register}{}; @%p2 mov.u32 %r5, 1;\n",
                20 + k
            )
        })
        .collect();
    let source = format!(
        ".version 8.5\n.target sm_90\n.address_size 64\n.visible .entry k(.param .u64 out, .param .u64 place)\n{{\n\
         .reg .pred %p<4>;\n.reg .b32 %r<30>;\n.reg .b64 %d<30>;\n\
         ld.param.u64 %d0, [out];\nld.param.u64 %d1, [place];\nmov.u32 %r0, %tid.x;\nmov.u32 %r1, %ctaid.x;\n\
         mad.wide.u32 %d1, %r0, {size}, %d1;\nmov.u32 %r4, %ntid.x;\nmad.lo.u32 %r2, %r1, %r4, %r0;\nmad.wide.u32 %d2, %r2, 4, %d0;\n\
         mov.u32 %r5, 0;\nmov.u32 %r10, 0;\nsetp.ne.u32 %p1, %r1, 0;\n@%p1 bra READ;\n\
         WRITE:\nadd.u32 %r10, %r10, 1;\ncvt.u64.u32 %d10, %r10;\n\
         st.{strength}.global.{vector}.u{bits} [%d1], {};\nsetp.lt.u32 %p3, %r10, 60000;\n@%p3 bra WRITE;\nbra END;\n\
         READ:\nadd.u32 %r10, %r10, 1;\nld.{strength}.global.{vector}.u{bits} {}, [%d1];\n{differ}\
         setp.lt.u32 %p3, %r10, 60000;\n@%p3 bra READ;\n\
         END:\nst.global.u32 [%d2], %r5;\nret;\n}}\n",
        list(10, 0),
        list(20, 1),
    );
    let d = Device::new(&source);
    let out = d.upload(&[7u32; 4 * 32]);
    let place = d.upload(&[0u64; 2 * 32]);
    d.launch("k", 4, 32, &Params::new().u64(out).u64(place));
    d.download(out, 4 * 32)
}

// CUB's scans pass a flag and a value from block to block in one vector. They came apart, and sums were wrong.
#[test]
fn a_flag_and_its_value_in_one_vector_are_seen_together() {
    for (vector, bits) in [("v2", 32), ("v4", 32), ("v2", 64)] {
        for strength in ["relaxed.gpu", "volatile"] {
            assert_eq!(
                torn(vector, bits, strength),
                vec![0; 128],
                "{vector}.u{bits} {strength}"
            );
        }
    }
}

fn endless() -> Device {
    Device::new(
        ".version 8.5\n.target sm_90\n.address_size 64\n.visible .entry k(.param .u64 out)\n{\n.loc 1 42 5\nL:\nbra L;\n}\n\
         .visible .entry half(.param .u64 out)\n{\n.reg .pred %p<2>;\n.reg .b32 %r<2>;\nmov.u32 %r0, %tid.x;\nsetp.lt.u32 %p1, %r0, 32;\n\
         .loc 1 77 5\n@%p1 bar.sync 3, 64;\nret;\n}\n.file 1 \"/src/program.cu\"\n",
    )
}

#[test]
fn an_endless_kernel_ends_at_its_deadline_and_says_where_it_was() {
    let mut d = endless();
    d.deadline = Some(std::time::Instant::now() + std::time::Duration::from_millis(200));
    let fault = d
        .try_launch("k", [2, 1, 1], [64, 1, 1], 0, &Params::new().u64(0), false)
        .unwrap_err();
    assert_eq!(fault.kind, gvirtus_cpu::engine::FaultKind::Timeout);
    assert_eq!(fault.source, [("/src/program.cu".to_owned(), 42)]);
}

#[test]
fn a_barrier_that_can_never_complete_is_reported_with_its_number_and_line() {
    let fault = endless()
        .try_launch(
            "half",
            [1, 1, 1],
            [64, 1, 1],
            0,
            &Params::new().u64(0),
            false,
        )
        .unwrap_err();
    assert_eq!(fault.kind, gvirtus_cpu::engine::FaultKind::LaunchFailed);
    assert_eq!(fault.source, [("/src/program.cu".to_owned(), 77)]);
    assert!(
        fault
            .note
            .contains("32 threads of the block wait at barrier 3"),
        "{}",
        fault.note
    );
}
