//! Lanes over real sockets: every byte finds its place, whatever the cuts and the order; and nothing that a peer sends writes elsewhere, panics, or leaves anybody waiting.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use gvirtus_wire::communicator::{self, Connection};
use gvirtus_wire::config::Endpoint;
use gvirtus_wire::lanes::{CHUNK, ChunkHeader, HEADER_LEN, Incoming, Outgoing, Payload};

#[allow(dead_code, reason = "part of it serves other tests")]
mod support;

use support::Random;

const PATIENCE: Duration = Duration::from_secs(20);

/// Connected pairs.
fn pairs(n: usize) -> Vec<(Connection, Connection)> {
    let any: Endpoint = "tcp://127.0.0.1:0".parse().unwrap();
    let listener = communicator::listen(&any).unwrap();
    let address = listener.address();
    let endpoint: Endpoint = format!("tcp://{}", address.strip_prefix("tcp ").unwrap())
        .parse()
        .unwrap();
    (0..n)
        .map(|_| {
            let near = communicator::connect(&endpoint, PATIENCE, None).unwrap();
            (near, listener.accept().unwrap())
        })
        .collect()
}

/// Memory that lives for ever: the tests' slices are lent to lanes.
fn bytes(random: &mut Random, len: usize) -> &'static mut [u8] {
    (0..len)
        .map(|_| random.next() as u8)
        .collect::<Vec<_>>()
        .leak()
}

fn zeros(len: usize) -> &'static mut [u8] {
    vec![0; len].leak()
}

/// The same memory to look at, once nobody writes there.
struct Look(*const u8, usize);

impl Look {
    fn at(memory: &[u8]) -> Self {
        Self(memory.as_ptr(), memory.len())
    }

    fn get(&self) -> &'static [u8] {
        // SAFETY: leaked, and the test looks when the payload is complete.
        unsafe { std::slice::from_raw_parts(self.0, self.1) }
    }
}

/// Cuts a slice at random places.
fn cut(mut rest: &'static [u8], random: &mut Random, most: usize) -> Vec<&'static [u8]> {
    let mut out = Vec::new();
    while !rest.is_empty() {
        let (now, later) = rest.split_at((1 + random.below(most)).min(rest.len()));
        out.push(now);
        rest = later;
    }
    out
}

fn place_all(payload: &Payload, memory: &'static mut [u8], random: &mut Random, most: usize) {
    let mut rest = memory;
    while !rest.is_empty() {
        let n = (1 + random.below(most)).min(rest.len());
        let (now, later) = rest.split_at_mut(n);
        assert!(payload.place(now));
        rest = later;
    }
}

fn run(
    pairs: Vec<(Connection, Connection)>,
    outgoing: &Arc<Outgoing>,
    incoming: &Arc<Incoming>,
) -> mpsc::Receiver<io::Error> {
    let (tell, told) = mpsc::channel();
    for (near, far) in pairs {
        let (out, inn) = (Arc::clone(outgoing), Arc::clone(incoming));
        let mut sender = near.sender;
        thread::spawn(move || out.run(sender.as_mut()));
        let mut receiver = far.receiver;
        let tell = tell.clone();
        thread::spawn(move || tell.send(inn.run(receiver.as_mut())));
    }
    told
}

#[test]
fn every_byte_finds_its_place() {
    let mut random = Random(7);
    for lanes in [1, 2, 3, 5] {
        let (outgoing, incoming) = (Arc::new(Outgoing::default()), Arc::new(Incoming::default()));
        let _errors = run(pairs(lanes), &outgoing, &incoming);
        let mut under_way = VecDeque::new();
        for round in 0..30 {
            let len = [1, 4095, 70_000, 600_000, 3_000_000][round % 5] + random.below(1000);
            let source = &*bytes(&mut random, len);
            let memory = zeros(len);
            let look = Look::at(memory);
            let most = [200, 20_000, 5_000_000][random.below(3)];
            let parts = cut(source, &mut random, most);
            let announced_first = random.below(2) == 0;
            let number = outgoing.announce();
            // In two goes, as a copy that comes in pieces.
            let (front, back) = parts.split_at(random.below(parts.len()));
            let front_len: usize = front.iter().map(|p| p.len()).sum();
            let mut tickets = vec![];
            let lent = random.below(2) == 0;
            let queue = |tickets: &mut Vec<_>| {
                for (offset, parts) in [(0, front), (front_len as u64, back)] {
                    tickets.push(match lent {
                        true => outgoing.queue_lent(number, offset, parts),
                        false => outgoing.queue(number, offset, parts),
                    });
                }
            };
            if !announced_first {
                queue(&mut tickets);
            }
            let payload = incoming.announce(len as u64);
            if announced_first {
                queue(&mut tickets);
            }
            let most = [300, 30_000, 5_000_000][random.below(3)];
            place_all(&payload, memory, &mut random, most);
            under_way.push_back((payload, look, source, tickets));
            if under_way.len() > random.below(4) {
                let (payload, look, source, tickets) = under_way.pop_front().unwrap();
                assert!(payload.wait(source.len() as u64));
                assert!(look.get() == source);
                assert!(tickets.iter().all(|t| t.wait()));
            }
        }
        for (payload, look, source, tickets) in under_way {
            assert!(payload.wait(source.len() as u64));
            assert!(look.get() == source);
            assert!(tickets.iter().all(|t| t.wait()));
        }
    }
}

#[test]
fn what_nobody_wants_is_thrown_away_and_holds_nothing_up() {
    let (outgoing, incoming) = (Arc::new(Outgoing::default()), Arc::new(Incoming::default()));
    let _errors = run(pairs(3), &outgoing, &incoming);
    let mut random = Random(3);
    for round in 0..20 {
        let len = 2_000_000 + random.below(100_000);
        let source = &*bytes(&mut random, len);
        let ticket = outgoing.queue(outgoing.announce(), 0, &[source]);
        let payload = incoming.announce(len as u64);
        if round % 3 == 0 {
            // A part is read, the rest is not.
            let memory = zeros(len / 2);
            let look = Look::at(memory);
            assert!(payload.place(memory));
            assert!(payload.wait(len as u64 / 2));
            assert!(look.get() == &source[..len / 2]);
        }
        payload.abandon();
        assert!(!payload.place(zeros(10)));
        assert!(ticket.wait());
    }
    let source = &*bytes(&mut random, 1_000_000);
    let memory = zeros(source.len());
    let look = Look::at(memory);
    let _ticket = outgoing.queue(outgoing.announce(), 0, &[source]);
    let payload = incoming.announce(source.len() as u64);
    assert!(payload.place(memory));
    let (tell, told) = mpsc::channel();
    payload.when_done(move |whole| tell.send(whole).unwrap());
    assert_eq!(told.recv_timeout(PATIENCE), Ok(true));
    assert!(look.get() == source);
}

#[test]
fn when_a_lane_ends_nobody_goes_on_waiting() {
    let (outgoing, incoming) = (Arc::new(Outgoing::default()), Arc::new(Incoming::default()));
    let pairs = pairs(2);
    let closers: Vec<_> = pairs.iter().map(|(near, _)| near.closer.clone()).collect();
    let errors = run(pairs, &outgoing, &incoming);
    let payload = incoming.announce(1 << 30);
    assert!(payload.place(zeros(1 << 20)));
    let (tell, told) = mpsc::channel();
    payload.when_done(move |whole| tell.send(whole).unwrap());
    let announced_later = {
        let (tell, told) = mpsc::channel();
        let incoming = Arc::clone(&incoming);
        let payload = Arc::clone(&payload);
        thread::spawn(move || {
            let first = payload.wait(1 << 20);
            tell.send((first, incoming.announce(5).wait(5)))
        });
        told
    };
    thread::sleep(Duration::from_millis(50));
    closers[0].shutdown();
    errors.recv_timeout(PATIENCE).unwrap();
    closers[1].shutdown();
    assert_eq!(announced_later.recv_timeout(PATIENCE), Ok((false, false)));
    assert_eq!(told.recv_timeout(PATIENCE), Ok(false));
    outgoing.fail();
    assert!(!outgoing.queue(outgoing.announce(), 0, &[&[1; 100]]).wait());
    assert!(!payload.place(zeros(10)));
    payload.abandon();
}

/// Sends raw bytes over one lane to a receiver that has announced payloads of these sizes, and says how that ended.
fn send_raw(sizes: &[usize], raw: &[u8]) -> (io::Error, Vec<(Arc<Payload>, Look)>) {
    let incoming = Arc::new(Incoming::default());
    let (near, far) = pairs(1).pop().unwrap();
    let payloads: Vec<_> = sizes
        .iter()
        .map(|&len| {
            let payload = incoming.announce(len as u64);
            // Guarded on both sides.
            let memory = zeros(len + 128);
            let look = Look::at(memory);
            assert!(payload.place(&mut memory[64..64 + len]));
            (payload, look)
        })
        .collect();
    let mut sender = near.sender;
    let raw = raw.to_vec();
    let closer = near.closer;
    let writer = thread::spawn(move || {
        let _ = sender.send(&raw);
        closer.shutdown();
    });
    let mut receiver = far.receiver;
    let error = incoming.run(receiver.as_mut());
    far.closer.shutdown();
    writer.join().unwrap();
    for (payload, look) in &payloads {
        payload.abandon();
        let (front, rest) = look.get().split_at(64);
        let back = &rest[rest.len() - 64..];
        assert!(
            front.iter().chain(back).all(|b| *b == 0),
            "written beside a place"
        );
    }
    (error, payloads)
}

fn chunk(payload: u64, offset: u64, bytes: &[u8]) -> Vec<u8> {
    let header = ChunkHeader {
        payload,
        offset,
        len: bytes.len() as u32,
    };
    [&header.to_bytes()[..], bytes].concat()
}

#[test]
fn a_peer_that_breaks_the_rules_is_found_out() {
    let invalid = |raw: Vec<u8>| {
        let (error, _) = send_raw(&[100, 50], &raw);
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
    };
    invalid(vec![0; HEADER_LEN]);
    // Beyond the payload, by its place or its length.
    invalid(chunk(0, 60, &[1; 50]));
    invalid(chunk(1, 51, &[1; 1]));
    invalid(chunk(0, u64::MAX - 10, &[1; 20]));
    // Twice the same bytes, whole or in part.
    invalid([chunk(0, 0, &[1; 60]), chunk(0, 0, &[1; 60])].concat());
    invalid([chunk(0, 0, &[1; 60]), chunk(0, 59, &[1; 10])].concat());
    // A payload that is complete.
    invalid([chunk(1, 0, &[1; 50]), chunk(1, 0, &[1; 1])].concat());
    // Empty, or too long.
    invalid(chunk(0, 0, &[]));
    invalid(chunk(0, 0, &vec![1; CHUNK + 1]));
}

#[test]
fn an_honest_peer_is_not() {
    let raw = [
        chunk(1, 20, &[4; 30]),
        chunk(0, 99, &[1]),
        chunk(0, 0, &[2; 99]),
        chunk(1, 0, &[3; 20]),
    ]
    .concat();
    let (error, payloads) = send_raw(&[100, 50], &raw);
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    assert!(payloads[0].0.wait(100) && payloads[1].0.wait(50));
    assert_eq!(payloads[0].1.get()[64..][98..100], [2, 1]);
    assert_eq!(payloads[1].1.get()[64..][19..21], [3, 4]);
}

#[test]
fn spoiled_streams_neither_panic_nor_write_elsewhere() {
    let mut random = Random(99);
    let rounds = if cfg!(debug_assertions) { 300 } else { 3000 };
    for _ in 0..rounds {
        let sizes = [
            1 + random.below(200),
            1 + random.below(200),
            1 + random.below(100_000),
        ];
        let mut raw = Vec::new();
        for _ in 0..1 + random.below(8) {
            let payload = random.below(3);
            let offset = random.below(sizes[payload] + 1);
            let len = random.below(sizes[payload] - offset + 2);
            raw.extend(chunk(payload as u64, offset as u64, &vec![7; len]));
        }
        for _ in 0..random.below(4) {
            let at = random.below(raw.len());
            match random.below(3) {
                0 => raw[at] ^= 1 << random.below(8),
                1 => raw.truncate(at),
                _ => raw.insert(at, random.next() as u8),
            }
            if raw.is_empty() {
                break;
            }
        }
        // A number of a payload that is yet to be announced is waited for; that ends when the lane does, which one lane alone cannot notice: such rounds are left out.
        let mut at = 0;
        let mut unknown = false;
        while let Some(header) = raw.get(at..at + HEADER_LEN) {
            match ChunkHeader::from_bytes(header.try_into().unwrap()) {
                Ok(header) if header.payload < 3 => at += HEADER_LEN + header.len as usize,
                Ok(_) => {
                    unknown = true;
                    break;
                }
                Err(_) => break,
            }
        }
        if !unknown {
            send_raw(&sizes, &raw);
        }
    }
}
