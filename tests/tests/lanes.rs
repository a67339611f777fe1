//! Programs whose network fails in the middle of large copies: a CUDA error, soon, and nothing that hangs.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use gvirtus_tests::backend::{Backend, Transport};
use gvirtus_tests::demand::OnDemand;
use gvirtus_tests::{compiled, fixture, program};

const SOON: Duration = Duration::from_secs(20);

/// Stands between programs and a backend, and can cut connections.
struct Proxy {
    endpoint: String,
    connections: Arc<Mutex<Vec<TcpStream>>>,
}

impl Proxy {
    fn start(backend: &Backend) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let to = backend.endpoint().to_owned();
        let connections: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
        let all = Arc::clone(&connections);
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let far = TcpStream::connect(to.trim_start_matches("tcp://")).expect("a backend");
                let copy = |stream: &TcpStream| stream.try_clone().expect("a descriptor");
                pump(copy(&near), copy(&far));
                pump(far, copy(&near));
                all.lock().expect("no panic").push(near);
            }
        });
        Self {
            endpoint: format!("tcp://127.0.0.1:{port}"),
            connections,
        }
    }

    fn count(&self) -> usize {
        self.connections.lock().expect("no panic").len()
    }

    fn cut(&self, which: usize) {
        let connections = self.connections.lock().expect("no panic");
        let _ = connections[which].shutdown(Shutdown::Both);
    }
}

/// Passes bytes on until one end is gone; then so is the other.
fn pump(mut from: TcpStream, mut to: TcpStream) {
    thread::spawn(move || {
        let mut bytes = vec![0; 1 << 18];
        while let Ok(n @ 1..) = from.read(&mut bytes) {
            if to.write_all(&bytes[..n]).is_err() {
                break;
            }
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    });
}

#[test]
fn a_connection_that_ends_gives_the_program_an_error() {
    let backend = Backend::start(Transport::Tcp).expect("a backend starts");
    // The first connection carries the commands, the others are lanes.
    for (cut, what) in [
        (1, "up"),
        (4, "down"),
        (2, "up-pageable"),
        (3, "down-pageable"),
        (0, "up"),
        (0, "down"),
    ] {
        let proxy = Proxy::start(&backend);
        let mut program = OnDemand::start(&backend, |command| {
            command.env("GVIRTUS_ENDPOINT", &proxy.endpoint);
            command.env("GVIRTUS_LANES", "4");
            command.env("GVIRTUS_LEND", if cut % 2 == 0 { "0" } else { "1" });
        });
        assert_eq!(proxy.count(), 1, "lanes before there is anything to carry");
        assert_eq!(program.ask(&format!("{what} 32"), SOON), "ok");
        assert_eq!(proxy.count(), 5);
        // Many copies, of which one is under way.
        for _ in 0..50 {
            program.tell(&format!("{what} 64"));
        }
        assert_eq!(program.answer(SOON), "ok");
        proxy.cut(cut);
        let began = Instant::now();
        let answer = loop {
            match program.answer(SOON).as_str() {
                "ok" => {}
                other => break other.to_owned(),
            }
        };
        assert!(answer.starts_with("cudaError"), "{what}: {answer}");
        assert!(began.elapsed() < SOON);
        assert_eq!(program.finish().code(), Some(7));
    }
}

/// A lane that ends while nothing is copied ends the session, too: nobody finds out in the middle of the next copy.
#[test]
fn an_idle_lane_that_ends_is_noticed() {
    let backend = Backend::start(Transport::Tcp).expect("a backend starts");
    let proxy = Proxy::start(&backend);
    let mut program = OnDemand::start(&backend, |command| {
        command.env("GVIRTUS_ENDPOINT", &proxy.endpoint);
        command.env("GVIRTUS_LANES", "2");
    });
    assert_eq!(program.ask("up 32", SOON), "ok");
    proxy.cut(2);
    thread::sleep(Duration::from_millis(300));
    let answer = program.ask("launch 1", SOON);
    assert!(answer.starts_with("cudaError"), "{answer}");
    assert_eq!(program.finish().code(), Some(7));
}

/// Memory that is lent to the connections, and overwritten as soon as CUDA allows it.
#[test]
fn lent_memory_is_read_before_a_copy_is_complete() {
    let path = compiled("pinned_overwritten", 13).expect("the fixture compiles");
    let expected = fixture("pinned_overwritten").expected(13).expect("a file");
    for transport in [Transport::Tcp, Transport::Unix] {
        let backend = Backend::start(transport).expect("a backend starts");
        let outcome = program::run_with(&path, &backend, |command| {
            command.env("GVIRTUS_LANES", "3");
            command.env("GVIRTUS_LEND", "1");
        })
        .expect("it runs");
        assert!(outcome.succeeded(), "{}", outcome.stderr);
        assert_eq!(outcome.stdout, expected);
    }
}

/// Without lanes, or where they cannot be opened, copies go with the commands.
#[test]
fn no_lanes_are_no_trouble() {
    let none = serde_json::json!({"lanes": 0});
    let backend = Backend::start_with(Transport::Tcp, &none).expect("a backend starts");
    let proxy = Proxy::start(&backend);
    let mut program = OnDemand::start(&backend, |command| {
        command.env("GVIRTUS_ENDPOINT", &proxy.endpoint);
        command.env("GVIRTUS_LANES", "4");
    });
    for what in ["up 33", "down 33", "up-pageable 33", "down-pageable 33"] {
        assert_eq!(program.ask(what, SOON), "ok");
    }
    assert_eq!(proxy.count(), 1);
    assert!(program.finish().success());
}
