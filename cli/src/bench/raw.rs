//! The raw transport: what a round trip and a stream of bytes cost without anything of ours on top, over the connection that a session would have.
//!
//! One end asks, the other ([`serve`]) does as asked. A request is an operation and a number, nine bytes.

use std::io;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use gvirtus_wire::communicator::emulate::Emulation;
use gvirtus_wire::communicator::{self, Closer, Connection, shm};
use gvirtus_wire::config::{self, Endpoint};

/// What the asking end may want.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Operation {
    /// Send back what follows: `PING` bytes, that many times.
    Ping = 1,
    /// As `Ping`, waiting in a loop instead of in the system.
    SpinPing,
    /// Read that many bytes, then answer with one.
    Sink,
    /// Write that many bytes.
    Source,
}

const OPERATIONS: [Operation; 4] = [
    Operation::Ping,
    Operation::SpinPing,
    Operation::Sink,
    Operation::Source,
];
/// About a command and its reply.
const PING: usize = 64;
const PIECE: usize = 1 << 20;
/// What a stream of bytes goes through at either end, in pieces: copies of a program's memory do not stay in the processor's cache either. Written to at first, or it would be one page of zeros.
const PIECES: usize = 32;
const TIMEOUT: Duration = Duration::from_secs(10);

/// What the raw transport does.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rates {
    /// A round trip whose ends wait as a session's do.
    pub(super) ping: Duration,
    /// A round trip whose ends never stop looking.
    pub(super) spinning_ping: Duration,
    /// Bytes per second to the backend, one connection.
    pub(super) up: f64,
    /// Bytes per second from the backend.
    pub(super) down: f64,
    /// The same over as many connections as a session has lanes, if it has some.
    pub(super) lanes: Option<Lanes>,
}

/// What several connections do at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lanes {
    pub(super) count: u8,
    pub(super) up: f64,
    pub(super) down: f64,
}

/// Serves all who ask, for ever. Prints where it listens.
pub(super) fn serve(endpoint: &Endpoint) -> io::Result<()> {
    let listener = communicator::listen(endpoint)?;
    println!(
        "gvirtus bench: the raw transport's other end listens on {}",
        listener.address()
    );
    loop {
        let connection = listener.accept()?;
        let protocol = endpoint.protocol.clone();
        std::thread::Builder::new().spawn(move || {
            // Whatever becomes of one, the others go on.
            if let Err(e) = answer_one(connection, &protocol) {
                eprintln!("gvirtus: raw transport: {e}");
            }
        })?;
    }
}

/// Serves one asking end on a listener of this process.
fn answer_one(connection: Connection, protocol: &str) -> io::Result<()> {
    let connection = if protocol == "shm" {
        shm::offer(connection)?
    } else {
        connection
    };
    answer(attended(connection)?)
}

/// A connection over shared memory wants a thread that watches the socket.
fn attended(mut connection: Connection) -> io::Result<Connection> {
    if let Some(attendant) = connection.attendant() {
        std::thread::Builder::new()
            .name("connection".into())
            .spawn(attendant)?;
    }
    Ok(connection)
}

/// Ends a connection when dropped.
struct Closing(Closer);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.shutdown();
    }
}

fn answer(connection: Connection) -> io::Result<()> {
    let _closing = Closing(connection.closer.clone());
    let (mut receiver, mut sender) = connection.split();
    let mut memory = vec![1u8; PIECES * PIECE];
    loop {
        let mut request = [0u8; 9];
        if receiver.read(&mut request[..1])? == 0 {
            return Ok(());
        }
        receiver.read_exact(&mut request[1..])?;
        let operation = OPERATIONS
            .into_iter()
            .find(|operation| *operation as u8 == request[0])
            .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
        let [_, number @ ..] = request;
        let mut left = u64::from_le_bytes(number);
        match operation {
            Operation::Ping | Operation::SpinPing => {
                for _ in 0..left {
                    while operation == Operation::SpinPing && !receiver.available()? {
                        std::hint::spin_loop();
                    }
                    receiver.read_exact(&mut memory[..PING])?;
                    sender.send(&memory[..PING])?;
                }
            }
            Operation::Sink => {
                while left > 0 {
                    let piece = nth_piece(&mut memory, left);
                    let n = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
                    let n = receiver.read(&mut piece[..n])?;
                    if n == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    left -= n as u64;
                }
                sender.send(&[0])?;
            }
            Operation::Source => {
                while left > 0 {
                    let piece = nth_piece(&mut memory, left);
                    let n = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
                    sender.send(&piece[..n])?;
                    left -= n as u64;
                }
            }
        }
    }
}

/// Where a stream goes on when so many bytes are left of it.
fn nth_piece(memory: &mut [u8], left: u64) -> &mut [u8] {
    let nth = (left / PIECE as u64 % PIECES as u64) as usize;
    &mut memory[nth * PIECE..][..PIECE]
}

/// Measures to an end that serves, at an emulated distance if there is one. `bytes` go each way, `pings` are made.
pub(super) fn measure(
    endpoint: &Endpoint,
    emulation: Option<&Emulation>,
    pings: u32,
    bytes: u64,
) -> io::Result<Rates> {
    let rates = measure_one(endpoint, emulation, pings, bytes)?;
    let has_lanes = communicator::by_protocol(&endpoint.protocol).is_some_and(|c| c.has_lanes());
    let count = config::lanes().unwrap_or_default();
    // An emulated wire of a given rate has none.
    if !has_lanes || count == 0 || emulation.is_some_and(|e| e.rate.is_some()) {
        return Ok(rates);
    }
    let together = |operation| together(endpoint, emulation, count, operation, bytes);
    Ok(Rates {
        lanes: Some(Lanes {
            count,
            up: together(Operation::Sink)?,
            down: together(Operation::Source)?,
        }),
        ..rates
    })
}

/// Bytes per second over several connections at once, each with a thread at either end.
fn together(
    endpoint: &Endpoint,
    emulation: Option<&Emulation>,
    count: u8,
    operation: Operation,
    bytes: u64,
) -> io::Result<f64> {
    let pieces = bytes / u64::from(count) / PIECE as u64;
    let connections = (0..count)
        .map(|_| communicator::connect(endpoint, TIMEOUT, emulation))
        .collect::<io::Result<Vec<_>>>()?;
    let start = Barrier::new(connections.len() + 1);
    let one = |connection: Connection| {
        let _closing = Closing(connection.closer.clone());
        let (mut receiver, mut sender) = connection.split();
        let mut memory = vec![1u8; PIECES * PIECE];
        let mut run = |pieces: u64| {
            let mut request = [0u8; 9];
            request[0] = operation as u8;
            request[1..].copy_from_slice(&(pieces * PIECE as u64).to_le_bytes());
            sender.send(&request)?;
            for left in (0..pieces).rev() {
                let piece = nth_piece(&mut memory, left * PIECE as u64);
                match operation {
                    Operation::Sink => sender.send(piece)?,
                    _ => receiver.read_exact(piece)?,
                }
            }
            match operation {
                Operation::Sink => receiver.read_exact(&mut [0]),
                _ => Ok(()),
            }
        };
        let warm = run(PIECES as u64);
        start.wait();
        warm.and_then(|()| run(pieces))
    };
    thread::scope(|scope| {
        let threads: Vec<_> = connections
            .into_iter()
            .map(|connection| scope.spawn(|| one(connection)))
            .collect();
        start.wait();
        let began = Instant::now();
        for thread in threads {
            let ended = thread.join();
            ended.unwrap_or_else(|_| Err(io::Error::other("a thread panicked")))?;
        }
        let moved = pieces * PIECE as u64 * u64::from(count);
        Ok(moved as f64 / began.elapsed().as_secs_f64().max(1e-9))
    })
}

fn measure_one(
    endpoint: &Endpoint,
    emulation: Option<&Emulation>,
    pings: u32,
    bytes: u64,
) -> io::Result<Rates> {
    let connection = communicator::connect(endpoint, TIMEOUT, emulation)?;
    let connection = if endpoint.protocol == "shm" {
        shm::take(connection, TIMEOUT)?
    } else {
        connection
    };
    let connection = attended(connection)?;
    // Whatever comes: the thread that watches a connection keeps it open.
    let _closing = Closing(connection.closer.clone());
    let (mut receiver, mut sender) = connection.split();
    let mut memory = vec![1u8; PIECES * PIECE];
    let mut ask = |operation: Operation, number: u64| -> io::Result<Duration> {
        let mut request = [0u8; 9];
        request[0] = operation as u8;
        request[1..].copy_from_slice(&number.to_le_bytes());
        sender.send(&request)?;
        let began = Instant::now();
        match operation {
            Operation::Ping | Operation::SpinPing => {
                let mut times = Vec::with_capacity(usize::try_from(number).unwrap_or(0));
                for _ in 0..number {
                    let began = Instant::now();
                    sender.send(&memory[..PING])?;
                    while operation == Operation::SpinPing && !receiver.available()? {
                        std::hint::spin_loop();
                    }
                    receiver.read_exact(&mut memory[..PING])?;
                    times.push(began.elapsed());
                }
                times.sort_unstable();
                return Ok(times.get(times.len() / 2).copied().unwrap_or_default());
            }
            Operation::Sink => {
                for left in (0..number / PIECE as u64).rev() {
                    sender.send(nth_piece(&mut memory, left * PIECE as u64))?;
                }
                receiver.read_exact(&mut [0])?;
            }
            Operation::Source => {
                for left in (0..number / PIECE as u64).rev() {
                    receiver.read_exact(nth_piece(&mut memory, left * PIECE as u64))?;
                }
            }
        }
        Ok(began.elapsed())
    };
    let bytes = (bytes / PIECE as u64).max(1) * PIECE as u64;
    let rate = |time: Duration| bytes as f64 / time.as_secs_f64().max(1e-9);
    // Once to warm up: buffers grow, pages are touched.
    ask(Operation::Ping, u64::from(pings / 10 + 1))?;
    ask(Operation::Sink, (PIECES * PIECE) as u64)?;
    Ok(Rates {
        ping: ask(Operation::Ping, u64::from(pings.max(1)))?,
        spinning_ping: ask(Operation::SpinPing, u64::from(pings.max(1)))?,
        up: rate(ask(Operation::Sink, bytes)?),
        down: rate(ask(Operation::Source, bytes)?),
        lanes: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::backend;

    #[test]
    fn every_transport() {
        for protocol in communicator::protocols() {
            let directory = tempfile::tempdir().expect("a directory");
            let mut endpoint = backend::local(protocol, directory.path()).expect("an endpoint");
            let listener = communicator::listen(&endpoint).expect("it listens");
            if let Some((_, port)) = listener.address().rsplit_once(':') {
                endpoint.port = port.parse().expect("a port");
            }
            thread::spawn(move || {
                while let Ok(connection) = listener.accept() {
                    thread::spawn(move || answer_one(connection, protocol));
                }
            });
            let rates = measure(&endpoint, None, 20, 32 << 20).expect("it is measured");
            assert_eq!(rates.lanes.is_some(), protocol != "shm");
            assert!(rates.ping > Duration::ZERO && rates.spinning_ping > Duration::ZERO);
            assert!(rates.up > 1e6 && rates.down > 1e6, "{protocol}: {rates:?}");
            if let Some(lanes) = rates.lanes {
                assert!(lanes.count > 1 && lanes.up > 1e6 && lanes.down > 1e6);
            }
        }
    }

    #[test]
    fn nonsense_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let endpoint = backend::local("unix", directory.path()).expect("an endpoint");
        let listener = communicator::listen(&endpoint).expect("it listens");
        let server = std::thread::spawn(move || {
            answer_one(listener.accept().expect("somebody comes"), "unix")
        });
        let mut connection = communicator::connect(&endpoint, TIMEOUT, None).expect("it connects");
        connection.sender.send(&[9; 9]).expect("it goes out");
        let end = server.join().expect("no panic").expect_err("refused");
        assert_eq!(end.kind(), io::ErrorKind::InvalidData);
    }
}
