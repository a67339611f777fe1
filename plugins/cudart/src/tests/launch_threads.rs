//! Launches that are handed out to other threads: nothing but time may change.

use super::launch_program::{BLOCKING, NON_BLOCKING, Program};
use super::*;
use gvirtus_wire::codec::Params;

fn program() -> Program {
    Program::new(&serde_json::json!({"launch_threads": 3}))
}

impl Program {
    /// Launches by turns, so that they are handed out from here on.
    fn by_turns(&mut self) {
        for n in 0..16 {
            self.step(n % 2, 1 + n % 2, 60 + n as usize % 2, n);
        }
        assert!(self.handed_out(), "nothing was handed out");
    }

    fn handed_out(&self) -> bool {
        self.client.session().launch_threads.in_use()
    }
}

#[test]
fn each_stream_keeps_its_order() {
    let mut program = program();
    for stream in 1..=6 {
        program.stream(stream, NON_BLOCKING);
    }
    program.by_turns();
    for n in 0..3000u32 {
        let stream = 1 + n.wrapping_mul(7) % 6;
        program.step(stream, stream, stream as usize, n);
        if n % 500 == 0 {
            program.check();
        }
    }
    program.check();
}

#[test]
fn the_legacy_stream_and_blocking_streams_wait_for_one_another() {
    let mut program = program();
    program.stream(1, BLOCKING);
    program.stream(2, NON_BLOCKING);
    program.by_turns();
    for n in 0..600u32 {
        // One word, two streams: CUDA orders them.
        program.step(10, 0, 5, n);
        program.step(12, 2, 6, n);
        program.step(11, 1, 5, n + 1);
        program.step(12, 2, 6, n);
    }
    program.check();
}

#[test]
fn what_comes_behind_sees_all_of_it() {
    let mut program = program();
    program.stream(1, NON_BLOCKING);
    program.stream(2, NON_BLOCKING);
    program.client.cast(EventCreate { event: 1, flags: 2 });
    program.by_turns();
    for n in 0..200u32 {
        for _ in 0..5 {
            program.step(10, 1, 7, n);
            program.step(11, 2, 8, n);
        }
        // From stream 1 to stream 2 and back, by events.
        for (from, to) in [(1, 2), (2, 1)] {
            program.client.cast(EventRecord {
                event: 1,
                stream: from,
                flags: 0,
            });
            program.client.cast(StreamWaitEvent {
                stream: to,
                event: 1,
                flags: 0,
            });
            program.step(10 + to, to, 9, n);
        }
    }
    program.check();
}

#[test]
fn progress_is_told_when_the_input_is_drained() {
    let mut program = program();
    program.stream(1, NON_BLOCKING);
    program.stream(2, NON_BLOCKING);
    program.by_turns();
    let mut params = Params::new();
    params.extend_from_slice(&program.client.device.to_le_bytes());
    params.extend_from_slice(&0u32.to_le_bytes());
    let last = program.launch(10, 2, params);
    program.client.idle();
    program.client.wait_for(|f| {
        f.header.opcode == PROGRESS
            && f.decode::<Progress>().stream == 2
            && f.decode::<Progress>().sequence == last
    });
}

#[test]
fn failures_are_told_of_the_launch_that_failed() {
    let mut program = program();
    program.stream(1, NON_BLOCKING);
    program.stream(2, NON_BLOCKING);
    program.by_turns();
    let failed = program.launch(10, 1, Params::new());
    program.step(11, 2, 3, 4);
    program
        .client
        .call(StreamSynchronize { stream: 2 })
        .unwrap();
    program.check_failed(10, failed);
}

#[test]
fn one_thread_launches_for_itself() {
    let mut program = program();
    program.stream(1, NON_BLOCKING);
    program.stream(2, NON_BLOCKING);
    for n in 0..100 {
        program.step(3, 1 + n % 2, 1 + n as usize % 2, n);
    }
    // And two threads on one stream.
    for n in 0..100 {
        program.step(3 + n % 2, 1, 1, n);
    }
    assert!(!program.handed_out());
    program.check();
}
