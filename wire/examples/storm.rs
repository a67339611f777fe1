//! Valid, spoiled and senseless commands against a running backend: `GVIRTUS_ENDPOINT=… cargo run --release -p gvirtus-wire --example storm -- 1000000 [seed]`.
//!
//! A session ends at the first frame that breaks the protocol; then the next begins. The backend's log says how its workers ended: never by a signal.

use std::thread;
use std::time::Duration;

use gvirtus_wire::frame::Header;
use gvirtus_wire::{config, handshake};

#[path = "../tests/support/mod.rs"]
#[allow(dead_code, reason = "part of it serves the tests")]
mod support;

use support::{Corpus, Random};

/// Commands of one session; fewer if one of them ends it.
const PER_SESSION: u64 = 400;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default| {
        arguments
            .next()
            .map_or(default, |a| a.parse().expect("a number"))
    };
    let count: u64 = number(100_000);
    let mut random = Random(number(1));
    let settings = config::client(None).expect("GVIRTUS_ENDPOINT or a configuration");
    let corpus = Corpus::new(vec![]);
    let (mut sent, mut sessions) = (0, 0u64);
    while sent < count {
        sent += session(&settings, &corpus, &mut random);
        sessions += 1;
    }
    println!("{sent} commands in {sessions} sessions; the backend still admits us");
    handshake::open(&settings).expect("the backend is there");
}

/// One session; returns how many commands it took.
fn session(settings: &config::Client, corpus: &Corpus, random: &mut Random) -> u64 {
    let (connection, _) = handshake::open(settings).expect("admitted");
    let closer = connection.closer.clone();
    let (mut receiver, mut sender) = connection.split();
    let drain = thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        while matches!(receiver.read(&mut buffer), Ok(1..)) {}
    });
    let mut sent = 0;
    for sequence in 1..=PER_SESSION {
        let (opcode, payload) = corpus.command(random);
        let bulk = if random.below(4) == 0 {
            random.below(5000)
        } else {
            0
        };
        let header = Header {
            len: payload.len() as u32,
            opcode,
            flags: random.below(2) as u16,
            sequence,
            thread: random.below(3) as u32,
            context: random.below(2) as u32,
            bulk: bulk as u64,
            ..Header::default()
        };
        let mut frame = header.to_bytes().to_vec();
        frame.extend_from_slice(&payload);
        frame.extend((0..bulk).map(|_| random.next() as u8));
        if sender.send(&frame).is_err() {
            break;
        }
        sent += 1;
    }
    // The last ones get a moment to be executed.
    thread::sleep(Duration::from_millis(5));
    closer.shutdown();
    drain
        .join()
        .expect("the draining thread ends with the connection");
    sent.max(1)
}
