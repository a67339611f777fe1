//! The handshake over real sockets: who is admitted, who is not, and what each is told.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use gvirtus_wire::communicator::{self, Connection, Listener};
use gvirtus_wire::config::{Endpoint, Tenant, Token};
use gvirtus_wire::handshake::{
    self, Admitted, ClientParams, HandshakeError, Kind, LaneDoor, Reason, ServerError, ServerParams,
};

const SECOND: Duration = Duration::from_secs(1);

fn tenant(name: &str, token: &str) -> Tenant {
    Tenant {
        name: name.into(),
        token: Token::new(token),
    }
}

fn listen() -> (Box<dyn Listener>, Endpoint) {
    let any: Endpoint = "tcp://127.0.0.1:0".parse().unwrap();
    let listener = communicator::listen(&any).unwrap();
    let address = listener.address();
    let endpoint = format!("tcp://{}", address.strip_prefix("tcp ").unwrap());
    (listener, endpoint.parse().unwrap())
}

fn params(identity: Option<Tenant>) -> ClientParams {
    ClientParams {
        endpoint: "test".into(),
        identity,
        commands: vec![(1, 1), (2, 1), (3, 7)],
        environment: vec![("CUDA_MODULE_LOADING".into(), "LAZY".into())],
        shared_memory: false,
        greeting_timeout: 5 * SECOND,
        timeout: 5 * SECOND,
    }
}

/// Runs both sides; the server admits whom it may.
fn meet(
    tenants: Vec<Tenant>,
    client: &ClientParams,
) -> (Result<Admitted, HandshakeError>, Result<(), ServerError>) {
    let (listener, endpoint) = listen();
    let server = thread::spawn(move || {
        let mut connection = listener.accept().unwrap();
        let request = handshake::server(
            &mut connection,
            &ServerParams {
                tenants: &tenants,
                commands: &[(1, 1), (2, 2), (3, 7)],
                timeout: SECOND,
            },
        )?;
        assert_eq!(request.kind(), Kind::Session);
        request.admit(&mut connection, 17, [9; 32], &LaneDoor::new(2))
    });
    let mut connection = connect(&endpoint);
    let result = handshake::client(&mut connection, client);
    drop(connection);
    (result, server.join().unwrap())
}

fn connect(endpoint: &Endpoint) -> Connection {
    communicator::connect(endpoint, SECOND, None).unwrap()
}

#[test]
fn without_tenants_everybody_is_admitted() {
    let (client, server) = meet(vec![], &params(None));
    server.unwrap();
    let admitted = client.unwrap();
    assert_eq!(admitted.session, 17);
    // A command of another revision is not supported.
    assert_eq!(admitted.commands, [(1, 1), (3, 7)]);
}

#[test]
fn the_right_token_is_admitted_and_the_backend_proves_itself() {
    let tenants = vec![tenant("a", "secret"), tenant("b", "other")];
    let (client, server) = meet(tenants, &params(Some(tenant("b", "other"))));
    server.unwrap();
    client.unwrap();
}

#[test]
fn wrong_token_and_unknown_tenant_get_the_same_answer() {
    for wrong in [tenant("a", "other"), tenant("nobody", "secret")] {
        let (client, server) = meet(vec![tenant("a", "secret")], &params(Some(wrong)));
        assert!(matches!(server, Err(ServerError::Auth(_))));
        let error = client.unwrap_err();
        assert!(matches!(
            error,
            HandshakeError::Refused {
                reason: Reason::Auth,
                ..
            }
        ));
        assert_eq!(error.cuda_status(), 800);
        assert!(error.to_string().contains("unknown tenant or wrong token"));
    }
}

#[test]
fn no_token_where_one_is_wanted() {
    let (client, server) = meet(vec![tenant("a", "secret")], &params(None));
    assert!(server.is_err());
    let error = client.unwrap_err();
    assert!(matches!(error, HandshakeError::NoToken { .. }));
    assert_eq!(error.cuda_status(), 800);
}

#[test]
fn a_backend_that_does_not_know_the_token_is_not_trusted() {
    let (client, _) = meet(vec![], &params(Some(tenant("a", "secret"))));
    assert!(matches!(
        client,
        Err(HandshakeError::BackendNotProven { .. })
    ));
}

#[test]
fn the_token_never_travels() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint: Endpoint = format!("tcp://{}", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    let (proxied, target) = listen();
    let recorder = thread::spawn(move || {
        // Sits in between and keeps everything that passes.
        let (mut client, _) = listener.accept().unwrap();
        let mut server = TcpStream::connect((target.server_address.as_str(), target.port)).unwrap();
        let (mut back, mut front) = (server.try_clone().unwrap(), client.try_clone().unwrap());
        let other = thread::spawn(move || copy(&mut back, &mut front));
        let mut seen = copy(&mut client, &mut server);
        seen.extend(other.join().unwrap());
        seen
    });
    let server = thread::spawn(move || {
        let mut connection = proxied.accept().unwrap();
        let tenants = [tenant("a", "very secret indeed")];
        let params = ServerParams {
            tenants: &tenants,
            commands: &[],
            timeout: SECOND,
        };
        handshake::server(&mut connection, &params)
            .unwrap()
            .admit(&mut connection, 1, [0; 32], &LaneDoor::new(2))
            .unwrap();
    });
    let mut connection = connect(&endpoint);
    let params = params(Some(tenant("a", "very secret indeed")));
    handshake::client(&mut connection, &params).unwrap();
    drop(connection);
    server.join().unwrap();
    let seen = recorder.join().unwrap();
    assert!(seen.len() > 200);
    assert!(!seen.windows(11).any(|w| w == b"very secret"));
}

fn copy(from: &mut TcpStream, to: &mut TcpStream) -> Vec<u8> {
    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        seen.extend_from_slice(&buffer[..n]);
        if to.write_all(&buffer[..n]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Write);
    seen
}

#[test]
fn another_version_is_named_on_both_sides() {
    let (listener, endpoint) = listen();
    let server = thread::spawn(move || {
        let mut connection = listener.accept().unwrap();
        let params = ServerParams {
            tenants: &[],
            commands: &[],
            timeout: SECOND,
        };
        handshake::server(&mut connection, &params).map(|_| ())
    });
    let mut client = TcpStream::connect((endpoint.server_address.as_str(), endpoint.port)).unwrap();
    client.write_all(b"GVirtuS\n\x09\0\x08\0").unwrap();
    let mut answer = [0; 12];
    client.read_exact(&mut answer).unwrap();
    assert_eq!(&answer[..10], b"GVirtuS\n\0\0");
    assert!(matches!(
        server.join().unwrap(),
        Err(ServerError::Version {
            oldest: 8,
            newest: 9
        })
    ));

    // And a client that meets a backend of the future.
    let future = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint: Endpoint = format!("tcp://{}", future.local_addr().unwrap())
        .parse()
        .unwrap();
    let server = thread::spawn(move || {
        let (mut stream, _) = future.accept().unwrap();
        stream.write_all(b"GVirtuS\n\0\0\x09\0").unwrap();
        let _ = stream.read(&mut [0; 4096]);
    });
    let error = handshake::client(&mut connect(&endpoint), &params(None)).unwrap_err();
    assert_eq!(error.cuda_status(), 803);
    assert!(error.to_string().contains("protocol version 9"), "{error}");
    server.join().unwrap();
}

#[test]
fn something_else_at_the_port() {
    let web = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint: Endpoint = format!("tcp://{}", web.local_addr().unwrap())
        .parse()
        .unwrap();
    let server = thread::spawn(move || {
        let (mut stream, _) = web.accept().unwrap();
        stream
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .unwrap();
        let _ = stream.read(&mut [0; 4096]);
    });
    let error = handshake::client(&mut connect(&endpoint), &params(None)).unwrap_err();
    assert!(matches!(error, HandshakeError::NotABackend { .. }));
    server.join().unwrap();
}

#[test]
fn a_client_that_drips_its_bytes_is_cut_off_in_time() {
    let (listener, endpoint) = listen();
    let mut client = TcpStream::connect((endpoint.server_address.as_str(), endpoint.port)).unwrap();
    let version = handshake::VERSION.to_le_bytes();
    let preamble = [b"GVirtuS\n".as_slice(), &version, &version, b"\xff\xff\0\0"].concat();
    let dripper = thread::spawn(move || {
        for byte in preamble.into_iter().chain([0; 4096]) {
            if client.write_all(&[byte]).is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
    });
    let start = Instant::now();
    let mut connection = listener.accept().unwrap();
    let params = ServerParams {
        tenants: &[],
        commands: &[],
        timeout: Duration::from_millis(300),
    };
    let error = handshake::server(&mut connection, &params).unwrap_err();
    assert!(matches!(error, ServerError::Io(e) if e.kind() == std::io::ErrorKind::TimedOut));
    assert!(start.elapsed() < 2 * SECOND);
    drop(connection);
    dripper.join().unwrap();
}

#[test]
fn nothing_there() {
    let (listener, endpoint) = listen();
    drop(listener);
    let error = communicator::connect(&endpoint, SECOND, None).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
}

/// A port of another kind of service, or a daemon that was stopped: nobody waits for it as for a worker that is being started.
#[test]
fn something_that_says_nothing() {
    let (listener, endpoint) = listen();
    let mut connection = connect(&endpoint);
    let held = listener.accept().unwrap();
    let params = ClientParams {
        greeting_timeout: Duration::from_millis(100),
        timeout: 60 * SECOND,
        ..params(None)
    };
    let start = Instant::now();
    let error = handshake::client(&mut connection, &params).unwrap_err();
    assert!(matches!(error, HandshakeError::Silent { .. }), "{error}");
    assert_eq!(error.cuda_status(), 802);
    assert!(error.to_string().contains("nothing for 0.1 s"), "{error}");
    assert!(start.elapsed() < 5 * SECOND);
    drop(held);
}

#[test]
fn variables_outside_the_list_are_refused() {
    let mut params = params(None);
    params
        .environment
        .push(("LD_PRELOAD".into(), "/tmp/evil.so".into()));
    let (client, server) = meet(vec![], &params);
    assert!(matches!(server, Err(ServerError::Malformed(_))));
    assert_eq!(client.unwrap_err().cuda_status(), 803);
}

#[test]
fn unix_sockets_too() {
    let dir = tempfile::tempdir().unwrap();
    let endpoint: Endpoint = format!("unix://{}/s", dir.path().display())
        .parse()
        .unwrap();
    let listener = communicator::listen(&endpoint).unwrap();
    assert!(
        communicator::listen(&endpoint).is_err(),
        "the path is taken"
    );
    let mode = std::fs::metadata(dir.path().join("s"))
        .unwrap()
        .permissions();
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777,
        0o600,
        "for the owner alone"
    );
    let server = thread::spawn(move || {
        // The second `listen` above has tried whether anybody answers.
        drop(listener.accept().unwrap());
        let mut connection = listener.accept().unwrap();
        let params = ServerParams {
            tenants: &[],
            commands: &[],
            timeout: SECOND,
        };
        handshake::server(&mut connection, &params)
            .unwrap()
            .admit(&mut connection, 3, [0; 32], &LaneDoor::new(2))
            .unwrap();
        // As the daemon does: the connection goes on in other hands.
        let fds = connection.into_fds().unwrap();
        let mut connection = communicator::by_protocol("unix")
            .unwrap()
            .adopt(fds)
            .unwrap();
        connection.sender.send(b"hello").unwrap();
        listener.close();
    });
    let mut connection = connect(&endpoint);
    handshake::client(&mut connection, &params(None)).unwrap();
    let mut hello = [0; 5];
    connection.receiver.read_exact(&mut hello).unwrap();
    assert_eq!(&hello, b"hello");
    server.join().unwrap();
    // What a dead daemon left behind does not stand in the way.
    let _stale = std::os::unix::net::UnixListener::bind(dir.path().join("s")).unwrap();
    drop(_stale);
    communicator::listen(&endpoint).unwrap();
}
