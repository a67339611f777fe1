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
    /// From now on streams go through that many pieces of memory.
    Through,
}

const OPERATIONS: [Operation; 5] = [
    Operation::Ping,
    Operation::SpinPing,
    Operation::Sink,
    Operation::Source,
    Operation::Through,
];
/// About a command and its reply.
const PING: usize = 64;
const PIECE: usize = 1 << 20;
/// What all streams of a measurement together go through at either end, in pieces: as much as the copies that they are held against. Those cannot leave the memory out.
const PIECES: usize = 256;
/// Pieces that a stream warms up with: buffers of the system grow.
const WARM: u64 = 32;
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
    /// Bytes per second to the backend.
    pub(super) up: f64,
    /// Bytes per second from the backend.
    pub(super) down: f64,
    /// The same where each stream sends one piece over and over, and receives it to one place: no memory, only the processor's cache.
    pub(super) cached_up: f64,
    pub(super) cached_down: f64,
}

/// The memory that one stream goes through at one end, piece by piece and from the beginning again.
struct Memory(Vec<u8>);

impl Memory {
    /// Written to, or it would be one page of zeros.
    fn new(pieces: usize) -> Self {
        Self(vec![1; pieces * PIECE])
    }

    /// Where a stream goes on when so many bytes are left of it.
    fn piece(&mut self, left: u64) -> &mut [u8] {
        let pieces = self.0.len() / PIECE;
        let nth = (left / PIECE as u64 % pieces as u64) as usize;
        &mut self.0[nth * PIECE..][..PIECE]
    }
}

fn request(operation: Operation, number: u64) -> [u8; 9] {
    let mut request = [0; 9];
    request[0] = operation as u8;
    request[1..].copy_from_slice(&number.to_le_bytes());
    request
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
    let mut memory = Memory::new(1);
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
                    let ping = &mut memory.piece(0)[..PING];
                    receiver.read_exact(ping)?;
                    sender.send(ping)?;
                }
            }
            Operation::Sink => {
                while left > 0 {
                    let piece = memory.piece(left);
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
                    let piece = memory.piece(left);
                    let n = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
                    sender.send(&piece[..n])?;
                    left -= n as u64;
                }
            }
            Operation::Through => {
                let pieces = usize::try_from(left).unwrap_or(0);
                if !(1..=PIECES).contains(&pieces) {
                    return Err(io::ErrorKind::InvalidData.into());
                }
                memory = Memory::new(pieces);
                sender.send(&[0])?;
            }
        }
    }
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
    let through = (PIECES / usize::from(count)).max(1);
    let together =
        |operation, through| together(endpoint, emulation, count, operation, bytes, through);
    Ok(Rates {
        lanes: Some(Lanes {
            count,
            up: together(Operation::Sink, through)?,
            down: together(Operation::Source, through)?,
            cached_up: together(Operation::Sink, 1)?,
            cached_down: together(Operation::Source, 1)?,
        }),
        ..rates
    })
}

/// Bytes per second over several connections at once, each with a thread and `through` pieces of memory at either end.
fn together(
    endpoint: &Endpoint,
    emulation: Option<&Emulation>,
    count: u8,
    operation: Operation,
    bytes: u64,
    through: usize,
) -> io::Result<f64> {
    let pieces = bytes / u64::from(count) / PIECE as u64;
    let connections = (0..count)
        .map(|_| communicator::connect(endpoint, TIMEOUT, emulation))
        .collect::<io::Result<Vec<_>>>()?;
    let start = Barrier::new(connections.len() + 1);
    let one = |connection: Connection| {
        let _closing = Closing(connection.closer.clone());
        let (mut receiver, mut sender) = connection.split();
        let mut memory = Memory::new(through);
        let ready = sender
            .send(&request(Operation::Through, through as u64))
            .and_then(|()| receiver.read_exact(&mut [0]));
        let mut run = |pieces: u64| {
            sender.send(&request(operation, pieces * PIECE as u64))?;
            for left in (0..pieces).rev() {
                let piece = memory.piece(left * PIECE as u64);
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
        let warm = ready.and_then(|()| run(WARM));
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
    let mut memory = Memory::new(PIECES);
    let mut ask = |operation: Operation, number: u64| -> io::Result<Duration> {
        sender.send(&request(operation, number))?;
        let began = Instant::now();
        match operation {
            Operation::Ping | Operation::SpinPing => {
                let mut times = Vec::with_capacity(usize::try_from(number).unwrap_or(0));
                let ping = &mut memory.piece(0)[..PING];
                for _ in 0..number {
                    let began = Instant::now();
                    sender.send(ping)?;
                    while operation == Operation::SpinPing && !receiver.available()? {
                        std::hint::spin_loop();
                    }
                    receiver.read_exact(ping)?;
                    times.push(began.elapsed());
                }
                times.sort_unstable();
                return Ok(times.get(times.len() / 2).copied().unwrap_or_default());
            }
            Operation::Sink => {
                for left in (0..number / PIECE as u64).rev() {
                    sender.send(memory.piece(left * PIECE as u64))?;
                }
                receiver.read_exact(&mut [0])?;
            }
            Operation::Source => {
                for left in (0..number / PIECE as u64).rev() {
                    receiver.read_exact(memory.piece(left * PIECE as u64))?;
                }
            }
            Operation::Through => receiver.read_exact(&mut [0])?,
        }
        Ok(began.elapsed())
    };
    let bytes = (bytes / PIECE as u64).max(1) * PIECE as u64;
    let rate = |time: Duration| bytes as f64 / time.as_secs_f64().max(1e-9);
    // Once to warm up: buffers grow, pages are touched.
    ask(Operation::Ping, u64::from(pings / 10 + 1))?;
    ask(Operation::Through, PIECES as u64)?;
    ask(Operation::Sink, WARM * PIECE as u64)?;
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
                assert!(lanes.count > 1);
                for rate in [lanes.up, lanes.down, lanes.cached_up, lanes.cached_down] {
                    assert!(rate > 1e6, "{protocol}: {lanes:?}");
                }
            }
        }
    }

    #[test]
    fn streams_go_through_all_of_the_memory_and_from_the_beginning_again() {
        let mut memory = Memory::new(3);
        let starts: Vec<_> = (0..7)
            .map(|left| memory.piece(left * PIECE as u64).as_ptr() as usize)
            .collect();
        assert_eq!(starts[0] + PIECE, starts[1]);
        assert_eq!(starts[1] + PIECE, starts[2]);
        assert_eq!(starts[..3], starts[3..6]);
        assert_eq!(starts[6], starts[0]);
    }

    #[test]
    fn nonsense_is_refused() {
        let too_much = request(Operation::Through, PIECES as u64 + 1);
        for nonsense in [[9; 9], too_much, request(Operation::Through, 0)] {
            refused(&nonsense);
        }
    }

    fn refused(nonsense: &[u8]) {
        let directory = tempfile::tempdir().expect("a directory");
        let endpoint = backend::local("unix", directory.path()).expect("an endpoint");
        let listener = communicator::listen(&endpoint).expect("it listens");
        let server = std::thread::spawn(move || {
            answer_one(listener.accept().expect("somebody comes"), "unix")
        });
        let mut connection = communicator::connect(&endpoint, TIMEOUT, None).expect("it connects");
        connection.sender.send(nonsense).expect("it goes out");
        let end = server.join().expect("no panic").expect_err("refused");
        assert_eq!(end.kind(), io::ErrorKind::InvalidData);
    }
}
