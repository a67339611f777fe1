//! Whatever arrives, the decoders neither panic nor take more memory than the bytes warrant; and what is encoded comes back.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use gvirtus_wire::api::core::{COMMANDS, reencode};

#[allow(dead_code, reason = "part of it serves the examples")]
mod support;

use support::{Corpus, FROM_WORKER, Random, valid};

/// Counts what the current thread allocates.
struct Counting;

thread_local! {
    static ALLOCATED: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: everything is left to the system's allocator; counting does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.set(ALLOCATED.get() + layout.size());
        // SAFETY: the caller's contract is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocated_by(f: impl FnOnce()) -> usize {
    let before = ALLOCATED.get();
    f();
    ALLOCATED.get() - before
}

#[test]
fn every_command_and_message_comes_back_as_it_was() {
    let mut random = Random(42);
    for command in COMMANDS {
        for _ in 0..200 {
            let bytes = valid(|b| reencode(command.opcode, b), &mut random);
            assert_eq!(
                reencode(command.opcode, &bytes).unwrap(),
                bytes,
                "{}",
                command.name
            );
        }
    }
    for decode in FROM_WORKER {
        for _ in 0..200 {
            let bytes = valid(decode, &mut random);
            assert_eq!(decode(&bytes).unwrap(), bytes);
        }
    }
}

#[test]
fn opcodes_are_unique_and_in_their_range() {
    use gvirtus_wire::api::core::OPCODES;
    let mut opcodes: Vec<u16> = COMMANDS.iter().map(|c| c.opcode).collect();
    opcodes.dedup();
    assert!(opcodes.is_sorted());
    assert_eq!(opcodes.len(), COMMANDS.len());
    assert!(opcodes.iter().all(|o| (OPCODES.0..=OPCODES.1).contains(o)));
}

#[test]
fn spoiled_frames_and_messages_never_panic() {
    let corpus = Corpus::new(handshake_messages());
    let mut random = Random(7);
    for _ in 0..300_000 {
        corpus.try_one(&mut random);
    }
}

#[test]
fn a_claimed_length_allocates_nothing() {
    // Every four bytes of every payload claim to be huge in turn.
    let mut random = Random(3);
    for command in COMMANDS {
        let bytes = valid(|b| reencode(command.opcode, b), &mut random);
        for at in 0..bytes.len().saturating_sub(3) {
            for claim in [u32::MAX, 1 << 30, 1 << 20] {
                let mut spoiled = bytes.clone();
                spoiled[at..at + 4].copy_from_slice(&claim.to_le_bytes());
                let used = allocated_by(|| drop(reencode(command.opcode, &spoiled)));
                assert!(
                    used <= 4096 + 64 * spoiled.len(),
                    "{used} bytes for {}",
                    command.name
                );
            }
        }
    }
    for message in handshake_messages() {
        for at in 0..message.len() {
            // A varint of 2^60.
            let mut spoiled = message.clone();
            spoiled.splice(at..=at, [253, 0, 0, 0, 0, 0, 0, 0, 16]);
            let used = allocated_by(|| {
                let _ = gvirtus_wire::handshake::decode_any(&spoiled);
            });
            assert!(
                used <= 8 << 20,
                "{used} bytes for a message of {}",
                spoiled.len()
            );
        }
    }
}

/// What both ends say in a handshake, recorded.
fn handshake_messages() -> Vec<Vec<u8>> {
    use gvirtus_wire::handshake::{Hello, Identity, Kind};
    let hello = Hello {
        kind: Kind::Session,
        commands: gvirtus_wire::handshake::commands(),
        identity: Identity::Resume {
            session: 1,
            token: [2; 32],
            received: 3,
            acknowledged: 4,
        },
        tenant: Some("tenant".into()),
        nonce: [5; 32],
        host: "host".into(),
        pid: 6,
        program: "/usr/bin/program".into(),
        environment: vec![("CUDA_MODULE_LOADING".into(), "LAZY".into())],
        shared_memory: true,
    };
    let fresh = Hello {
        identity: Identity::New,
        tenant: None,
        environment: vec![],
        ..hello.clone()
    };
    let encode =
        |hello: &Hello| bincode::serde::encode_to_vec(hello, bincode::config::standard()).unwrap();
    let mut messages = vec![encode(&hello), encode(&fresh)];
    // Challenge, proof, admitted, status, refused, as bincode writes them.
    messages.push([&[7; 32][..], &[1]].concat());
    messages.push([&[1][..], &[9; 32]].concat());
    messages.push([&[0, 5][..], &[3; 32], &[2, 1, 1, 2, 1]].concat());
    messages.push(b"\x01\x02{}".to_vec());
    messages.push(b"\x02\x02\x05sorry".to_vec());
    assert!(
        messages
            .iter()
            .all(|m| gvirtus_wire::handshake::decode_any(m) > 0)
    );
    messages
}
