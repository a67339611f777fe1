//! Spoiled frames and handshake messages against all decoders, as many as asked: `cargo run --release -p gvirtus-wire --example mutations -- 10000000 [seed]`.
//!
//! Ends with a panic, and the bytes, if a decoder accepts what it would not have written itself.

use std::thread;
use std::time::Instant;

#[path = "../tests/support/mod.rs"]
#[allow(dead_code, reason = "part of it serves the tests")]
mod support;

use support::{Corpus, Random};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default| {
        arguments
            .next()
            .map_or(default, |a| a.parse().expect("a number"))
    };
    let count: u64 = number(10_000_000);
    let seed: u64 = number(1);
    let threads = thread::available_parallelism().map_or(1, usize::from) as u64;
    let start = Instant::now();
    thread::scope(|scope| {
        for worker in 0..threads {
            scope.spawn(move || {
                let corpus = Corpus::new(hello());
                let mut random = Random(seed.wrapping_mul(1000) + worker);
                for _ in 0..count.div_ceil(threads) {
                    corpus.try_one(&mut random);
                }
            });
        }
    });
    println!(
        "{count} spoiled frames and messages: no panic, {:.1?}",
        start.elapsed()
    );
}

/// A handshake message to start from.
fn hello() -> Vec<Vec<u8>> {
    use gvirtus_wire::handshake::{Hello, Identity, Kind, commands};
    let hello = Hello {
        kind: Kind::Session,
        commands: commands(),
        identity: Identity::New,
        tenant: Some("tenant".into()),
        nonce: [5; 32],
        host: "host".into(),
        pid: 6,
        program: "/usr/bin/program".into(),
        environment: vec![("CUDA_MODULE_LOADING".into(), "LAZY".into())],
        shared_memory: false,
    };
    let bytes = bincode::serde::encode_to_vec(&hello, bincode::config::standard());
    vec![
        bytes.expect("a hello is encodable"),
        b"\x01\x02{}".to_vec(),
        vec![7; 33],
    ]
}
