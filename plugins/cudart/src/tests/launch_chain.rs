//! Launches that are issued together: nothing but time may change.

use super::launch_program::{BLOCKING, NON_BLOCKING, Program};
use super::*;
use gvirtus_wire::codec::Params;

const STREAM: u32 = 1;
/// More than enough for chains.
const MANY: u32 = 1000;

fn program() -> Program {
    let program = Program::new(&serde_json::json!({}));
    program.stream(STREAM, NON_BLOCKING);
    program
}

impl Program {
    fn chained(&self, stream: u32) -> bool {
        let stream = self.client.session().streams.get(stream).unwrap();
        let chains = stream.chains.lock();
        chains.in_use()
    }

    fn many(&mut self, stream: u32, word: usize) {
        (0..MANY).for_each(|n| self.step(1, stream, word, n));
    }
}

#[test]
fn many_launches_in_a_row_keep_their_order_and_arguments() {
    let mut program = program();
    program.many(STREAM, 3);
    assert!(program.chained(STREAM), "no chain was launched");
    program.check();
    // Of any length.
    for length in 1..100 {
        (0..length).for_each(|n| program.step(1, STREAM, 4, n));
        program.check();
    }
}

#[test]
fn not_where_the_configuration_says_so() {
    let mut program = Program::new(&serde_json::json!({"launch_chains": false}));
    program.stream(STREAM, NON_BLOCKING);
    program.many(STREAM, 3);
    assert!(!program.chained(STREAM));
    program.check();
}

#[test]
fn what_is_held_goes_when_the_input_is_drained() {
    let mut program = program();
    program.many(STREAM, 3);
    let mut params = Params::new();
    params.extend_from_slice(&program.client.device.to_le_bytes());
    params.extend_from_slice(&0u32.to_le_bytes());
    let last = program.launch(1, STREAM, params);
    program.client.idle();
    program
        .client
        .wait_for(|f| f.header.opcode == PROGRESS && f.decode::<Progress>().sequence == last);
}

#[test]
fn other_streams_and_commands_come_behind() {
    let mut program = program();
    program.stream(2, BLOCKING);
    program.many(STREAM, 3);
    program.many(2, 4);
    assert!(program.chained(2));
    for n in 0..300u32 {
        // One word, by turns from the blocking and the legacy stream: CUDA orders them.
        (0..40).for_each(|m| program.step(1, 2, 5, n + m));
        (0..n % 50).for_each(|m| program.step(1, 0, 5, n ^ m));
    }
    program.check();
}

#[test]
fn a_launch_that_fails_fails_alone_and_is_told_of() {
    let mut program = program();
    program.many(STREAM, 3);
    (0..10).for_each(|n| program.step(1, STREAM, 3, n));
    let failed = program.launch(7, STREAM, Params::new());
    (0..100).for_each(|n| program.step(1, STREAM, 3, n));
    program.client.call(ContextSynchronize {}).unwrap();
    program.check_failed(7, failed);
}

#[test]
fn functions_that_nodes_were_told_may_go() {
    let mut program = program();
    for module in 2..6 {
        program.many(STREAM, 3);
        assert!(program.chained(STREAM));
        program.client.cast(ModuleUnload { module: module - 1 });
        program.load(module);
        assert!(
            !program.chained(STREAM),
            "a chain names an unloaded function"
        );
    }
    program.many(STREAM, 3);
    program.check();
}

#[test]
fn streams_with_attributes_have_no_chains() {
    let mut program = program();
    program.many(STREAM, 3);
    assert!(program.chained(STREAM));
    program.client.cast(StreamSetAttribute {
        stream: STREAM,
        attribute: 3,
        value: ([0; 32], [0; 32]),
    });
    program.many(STREAM, 3);
    assert!(!program.chained(STREAM));
    program.check();
}
