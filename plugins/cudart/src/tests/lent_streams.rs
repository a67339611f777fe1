//! Streams that other plugins issue work on.

use super::launch_program::{NON_BLOCKING, Program};
use super::*;
use gvirtus_wire::api::library::{CUBLAS_OPCODES, CUDNN_OPCODES, NO_STREAM, command, weight};

/// What the client lets be in flight on a stream.
const CREDIT: u32 = 900;

fn client() -> Client {
    let client = Client::new();
    client.two_streams();
    client
}

impl Client {
    /// The header of a library's call.
    fn library_call(&self, opcode: u16) -> Header {
        Header {
            opcode,
            sequence: self.sequence.fetch_add(1, Ordering::Relaxed),
            thread: 7,
            context: self.context,
            ..Header::default()
        }
    }

    /// Lends it a stream, as the worker does.
    fn lend(&self, header: &Header, stream: u32, issue: impl FnOnce()) {
        let lent = self.session().lend_stream(header, stream, false, 1, |_| {
            issue();
            0
        });
        assert_eq!(lent, Ok(()));
    }
}

/// A client that has spent its credit gets some back while the worker has more to read: nobody tells the plugin that there is nothing.
#[test]
fn markers_count_what_libraries_issue() {
    let client = client();
    for first in [CUBLAS_OPCODES.0, CUDNN_OPCODES.0] {
        let opcode = first + command::CALL;
        let in_flight = CREDIT / weight(opcode);
        let half = (0..in_flight / 2).map(|_| {
            let call = client.library_call(opcode);
            client.lend(&call, 1, || ());
            call.sequence
        });
        let half: Vec<u64> = half.collect();
        client.progress(1, half[half.len() / 3]);
    }
}

/// A plugin that is issuing may ask for a stream again, the same or another.
#[test]
fn streams_are_lent_within_each_other() {
    let client = client();
    let call = client.library_call(CUBLAS_OPCODES.0 + command::CALL);
    let mut issued = Vec::new();
    client.lend(&call, 1, || {
        client.lend(&call, 1, || issued.push(1));
        client.lend(&call, 2, || issued.push(2));
        client.lend(&call, NO_STREAM, || ());
    });
    assert_eq!(issued, [1, 2]);
    client.idle();
    for stream in issued {
        client.progress(stream, call.sequence);
    }
}

/// Launches that wait for others to be issued with go before a library's call.
#[test]
fn what_is_held_goes_before() {
    let mut program = Program::new(&serde_json::json!({}));
    for stream in 1..3 {
        program.stream(stream, NON_BLOCKING);
    }
    for stream in [1, 2, NO_STREAM] {
        (0..100).for_each(|n| program.step(1, 1, 3, n));
        let client = &program.client;
        let call = client.library_call(CUBLAS_OPCODES.0 + command::CALL);
        client.lend(&call, stream, || ());
        if stream == NO_STREAM {
            continue;
        }
        client.idle();
        // What is noted last is told: were a launch noted behind the call, it would be that one.
        client.progress(stream, call.sequence);
    }
    program.check();
}
