//! Emulated distance. Upper bounds are loose: the machine may be busy.

use std::io::{ErrorKind, IoSlice};
use std::thread;
use std::time::{Duration, Instant};

use gvirtus_wire::communicator::emulate::Emulation;
use gvirtus_wire::communicator::{self, Connection};
use gvirtus_wire::config::Endpoint;

const MS: Duration = Duration::from_millis(1);

/// A connection at that distance from a server that does `serve`.
fn far(emulation: &str, serve: impl FnOnce(Connection) + Send + 'static) -> Connection {
    let any: Endpoint = "tcp://127.0.0.1:0".parse().unwrap();
    let listener = communicator::listen(&any).unwrap();
    let address = listener.address().replacen(' ', "://", 1);
    thread::spawn(move || serve(listener.accept().unwrap()));
    let emulation: Emulation = emulation.parse().unwrap();
    communicator::connect(&address.parse().unwrap(), 1000 * MS, Some(&emulation)).unwrap()
}

fn echo(mut connection: Connection) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(n @ 1..) = connection.receiver.read(&mut buffer) {
        if connection.sender.send(&buffer[..n]).is_err() {
            return;
        }
    }
}

#[test]
fn a_round_trip_takes_its_time() {
    let mut connection = far("rtt=10ms", echo);
    let mut least = Duration::MAX;
    for _ in 0..20 {
        let start = Instant::now();
        connection.sender.send(b"ping").unwrap();
        connection.receiver.read_exact(&mut [0; 4]).unwrap();
        least = least.min(start.elapsed());
    }
    assert!((10 * MS..30 * MS).contains(&least), "{least:?}");
    assert!(!connection.receiver.available().unwrap());
}

#[test]
fn messages_travel_at_the_same_time() {
    let mut connection = far("rtt=50ms", echo);
    let start = Instant::now();
    for _ in 0..100 {
        let parts = [IoSlice::new(b"a"), IoSlice::new(b""), IoSlice::new(b"bc")];
        connection.sender.send_vectored(&parts).unwrap();
    }
    let mut all = [0; 300];
    connection.receiver.read_exact(&mut all).unwrap();
    assert_eq!(all.as_slice(), b"abc".repeat(100));
    let took = start.elapsed();
    // One after the other they would take five seconds.
    assert!((50 * MS..2500 * MS).contains(&took), "{took:?}");
}

#[test]
fn the_rate_holds_in_both_directions() {
    // 4 MiB at 1 Gbit/s are 34 ms. They stream: back and forth takes little longer than one way.
    let mut connection = far("rate=1gbit", echo);
    let bytes: Vec<u8> = (0..4 << 20).map(|i: u32| ((i * 31) >> 8) as u8).collect();
    let start = Instant::now();
    let expected = bytes.clone();
    let (mut receiver, mut sender) = connection.split();
    let sending = thread::spawn(move || sender.send(&bytes).map(|()| sender));
    let mut back = vec![0; expected.len()];
    receiver.read_exact(&mut back).unwrap();
    let took = start.elapsed();
    assert!(back == expected);
    assert!((33 * MS..1000 * MS).contains(&took), "{took:?}");
    connection = far("rate=1gbit", echo);
    drop((connection, sending.join().unwrap().unwrap()));
}

#[test]
fn ends_and_timeouts_are_those_of_a_connection() {
    let mut connection = far("rtt=2ms", |mut c| c.sender.send(b"last words").unwrap());
    let mut words = [0; 10];
    connection.receiver.read_exact(&mut words).unwrap();
    assert_eq!(&words, b"last words");
    assert_eq!(connection.receiver.read(&mut words).unwrap(), 0);

    let mut connection = far("rtt=2ms", |c| {
        thread::sleep(300 * MS);
        drop(c);
    });
    connection.receiver.set_timeout(Some(20 * MS)).unwrap();
    let error = connection.receiver.read(&mut words).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);

    // Another thread ends it while this one waits.
    let mut connection = far("rtt=2ms", echo);
    let closer = connection.closer.clone();
    thread::spawn(move || {
        thread::sleep(20 * MS);
        closer.shutdown();
    });
    assert_eq!(connection.receiver.read(&mut words).unwrap(), 0);
    assert!(connection.sender.send(b"x").is_err());
}

#[test]
fn what_is_sent_before_the_end_arrives() {
    let (tell, told) = std::sync::mpsc::channel();
    let mut connection = far("rtt=20ms", move |mut c| {
        let mut all = Vec::new();
        let mut buffer = [0; 100];
        while let Ok(n @ 1..) = c.receiver.read(&mut buffer) {
            all.extend_from_slice(&buffer[..n]);
        }
        tell.send(all).unwrap();
    });
    connection.sender.send(b"goodbye").unwrap();
    drop(connection);
    assert_eq!(told.recv().unwrap(), b"goodbye");
}

#[test]
fn what_may_be_written() {
    for (text, rtt, rate) in [
        (
            "rtt=100us,rate=25gbit",
            Duration::from_micros(100),
            Some(25_000_000_000),
        ),
        ("rtt=1.5ms", Duration::from_micros(1500), None),
        (
            "rate=800kbit, rtt=50ns",
            Duration::from_nanos(50),
            Some(800_000),
        ),
        ("", Duration::ZERO, None),
    ] {
        let emulation: Emulation = text.parse().unwrap();
        assert_eq!(
            (emulation.rtt, emulation.rate.map(std::num::NonZero::get)),
            (rtt, rate)
        );
        assert_eq!(
            emulation.to_string().parse::<Emulation>().unwrap(),
            emulation
        );
    }
    for bad in [
        "rtt=5",
        "rtt=ms",
        "speed=3gbit",
        "rate=0gbit",
        "rate=-1gbit",
        "rtt=nanms",
        "rtt",
        "rtt=9999999999999s",
    ] {
        let error = bad.parse::<Emulation>().unwrap_err().to_string();
        assert!(error.contains("accepted: rtt=<number>"), "{error}");
    }
}
