//! Functions that are answered here, and the execution of plans, over any arguments: what was set is told, what is wrong is refused as cuDNN refuses it, and nobody is asked.

#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "the test plays program and client core: its pointers are those of the call"
)]

#[path = "local/descriptors.rs"]
mod descriptors;
#[path = "local/graphs.rs"]
mod graphs;
#[path = "local/library.rs"]
mod library;
#[path = "local/packs.rs"]
mod packs;
#[path = "../../../tests/property/record.rs"]
mod property;
#[path = "../../../tests/property/session.rs"]
mod session;

use std::collections::BTreeMap;
use std::ffi::c_void;

use gvirtus_cudnn_core::exports::*;
use gvirtus_cudnn_core::status::{BAD_PARAM, NOT_INITIALIZED, NOT_SUPPORTED, SUCCESS};
use gvirtus_wire::api::library::{CUDNN, CUDNN_OPCODES, Function, LibraryDefine, Mode, command};
use proptest::collection::vec;
use proptest::prelude::*;
use session::{FAILURE, RESULT, Sent, alone, created, destroyed, sent};

/// Major, minor and patch.
const VERSION: [i32; 3] = [9, 28, 13];

fn begun() {
    let [major, minor, patch] = VERSION;
    let version = major * 10_000 + minor * 100 + patch;
    set_major(9);
    session::begin(
        CUDNN_OPCODES.0,
        version,
        9,
        || {
            let mut out = 7u64;
            assert_eq!(cudnnGetVersion(), 0);
            assert_eq!(unsafe { cudnnCreate(address(&mut out)) }, NOT_INITIALIZED);
            let asked = unsafe { cudnnGetProperty(0, address(&mut out)) };
            assert_eq!((asked, out), (NOT_INITIALIZED, 7));
        },
        || assert_eq!(cudnnGetVersion(), 92_813),
    );
}

fn address<T>(value: &mut T) -> *mut c_void {
    std::ptr::from_mut(value).cast()
}

const NULL: *mut c_void = std::ptr::null_mut();

fn pointer(word: u64) -> *mut c_void {
    word as *mut c_void
}

/// Functions that make descriptors of a type, and those that end them, by the type.
fn makers() -> BTreeMap<&'static str, (&'static Function, &'static Function)> {
    let of = |class: &'static str| CUDNN.iter().filter(move |f| f.class == class);
    let made = |function: &Function| {
        let mut modes = function.parameters.iter().map(|p| p.mode);
        modes.find_map(|mode| match mode {
            Mode::New(kind) | Mode::Object(kind) => Some(kind),
            _ => None,
        })
    };
    let makers = of("make").map(|create| {
        let kind = made(create).expect(create.name);
        let ends = |f: &&Function| made(f) == Some(kind);
        let destroy = of("drop").find(ends).expect(create.name);
        (kind, (create, destroy))
    });
    makers.collect()
}

/// Whether a create function takes the kind of operation.
fn takes_operation(create: &Function) -> bool {
    create.parameters.iter().any(|p| p.mode == Mode::I32)
}

fn make(kind: &str, operation: i32) -> u64 {
    let mut made = 0u64;
    let out = address(&mut made) as u64;
    let (maker, _) = makers()[kind];
    let given = [out, i64::from(operation).cast_unsigned()];
    let given = &given[..maker.parameters.len()];
    assert_eq!(unsafe { create(maker, given) }, SUCCESS);
    made
}

#[test]
fn record() {
    let makers = makers();
    assert!(makers.len() > 15, "{makers:?}");
    let table = makers
        .values()
        .flat_map(|(make, end)| [make.name, end.name]);
    let by_name = [packs::CALLED, library::CALLED, graphs::CALLED].concat();
    property::record("cudnn_local", table.chain(by_name));
}
