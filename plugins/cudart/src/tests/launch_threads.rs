//! Launches that are handed out to other threads: nothing but time may change.

use super::kernels::function;
use super::*;
use crate::errors::*;
use gvirtus_wire::codec::Params;

/// `*p = *p * 3 + amount`: whoever changes the order changes the result.
const PTX: &str = r"
.version 7.0
.target sm_70
.address_size 64
.visible .entry step(.param .u64 pointer, .param .u32 amount)
{
    .reg .b32 %r<4>;
    .reg .b64 %d<2>;
    ld.param.u64 %d0, [pointer];
    ld.param.u32 %r0, [amount];
    ld.global.u32 %r1, [%d0];
    mad.lo.u32 %r2, %r1, 3, %r0;
    st.global.u32 [%d0], %r2;
    ret;
}
";

const BLOCKING: u32 = 0;
const NON_BLOCKING: u32 = 1;

struct Program {
    client: Client,
    function: u32,
    /// What the words in device memory must be.
    words: Vec<u32>,
}

impl Program {
    fn new() -> Self {
        let client = Client::with(&serde_json::json!({"launch_threads": 3}));
        let function = function(&client.load(1, PTX).unwrap(), "step").function;
        client.write(client.device, &[0; 256]);
        Self {
            client,
            function,
            words: vec![0; 64],
        }
    }

    fn stream(&self, stream: u32, flags: u32) {
        self.client.cast(StreamCreate {
            stream,
            flags,
            priority: 0,
        });
    }

    /// A launch by a thread of the program; the number of its frame.
    fn launch(&self, thread: u32, stream: u32, params: Params) -> u64 {
        let launch = Launch {
            function: self.function,
            stream,
            grid: [1; 3],
            block: [1; 3],
            shared: 0,
            params,
            attributes: Vec::new(),
        };
        let mut payload = Vec::new();
        launch.encode(&mut payload);
        let client = &self.client;
        let _order = client.order.lock();
        let sequence = client.sequence.fetch_add(1, Ordering::Relaxed);
        let header = Header {
            len: payload.len() as u32,
            opcode: Launch::OPCODE,
            sequence,
            thread,
            context: client.context,
            ..Header::default()
        };
        client.inline(&header, &payload, Arc::default());
        sequence
    }

    fn step(&mut self, thread: u32, stream: u32, word: usize, amount: u32) {
        let mut params = Params::new();
        params.extend_from_slice(&(self.client.device + 4 * word as u64).to_le_bytes());
        params.extend_from_slice(&amount.to_le_bytes());
        self.launch(thread, stream, params);
        self.words[word] = self.words[word].wrapping_mul(3).wrapping_add(amount);
    }

    fn check(&self) {
        self.client.call(ContextSynchronize {}).unwrap();
        let bytes = self.client.read(self.client.device, 256);
        assert_eq!(super::kernels::u32s(&bytes), self.words);
        assert_eq!(self.client.failure(), None);
    }

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
    let mut program = Program::new();
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
    let mut program = Program::new();
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
    let mut program = Program::new();
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
    let mut program = Program::new();
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
    let mut program = Program::new();
    program.stream(1, NON_BLOCKING);
    program.stream(2, NON_BLOCKING);
    program.by_turns();
    let failed = program.launch(10, 1, Params::new());
    program.step(11, 2, 3, 4);
    program
        .client
        .call(StreamSynchronize { stream: 2 })
        .unwrap();
    let told = program
        .client
        .wait_for(|f| f.header.opcode == ASYNC_ERROR)
        .decode::<AsyncError>();
    assert_eq!(
        (told.sequence, told.thread, told.status, told.sticky),
        (failed, 10, ERROR_INVALID_VALUE, false)
    );
    program.check();
}

#[test]
fn one_thread_launches_for_itself() {
    let mut program = Program::new();
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
