//! Lanes of a session: who may join, what they carry, and what becomes of a session when one ends.

use std::sync::Arc;
use std::thread;

use gvirtus_wire::api::core;
use gvirtus_wire::codec::Wire;
use gvirtus_wire::command::Command as WireCommand;
use gvirtus_wire::communicator::Connection;
use gvirtus_wire::config::{Tenant, Token};
use gvirtus_wire::frame::{FLAG_LANES, FLAG_WANTS_REPLY, HEADER_LEN, Header};
use gvirtus_wire::handshake::{self, Admitted, HandshakeError, Reason};
use gvirtus_wire::lanes::{ChunkHeader, Incoming, Outgoing};

#[allow(dead_code, reason = "part of it serves other tests")]
mod harness;

use harness::{Daemon, PATIENCE, Session, TCP, alive, eventually, params};

const LARGE: usize = 3_000_001;

fn join(daemon: &Daemon, admitted: &Admitted, number: u8, of: u8) -> Connection {
    handshake::lane(&daemon.client(), admitted, number, of).unwrap()
}

fn turned_away(daemon: &Daemon, admitted: &Admitted, number: u8, of: u8) {
    let error = handshake::lane(&daemon.client(), admitted, number, of).unwrap_err();
    assert!(
        matches!(
            error,
            HandshakeError::Refused {
                reason: Reason::NoSuchSession,
                ..
            }
        ),
        "{error}"
    );
}

struct Ends {
    outgoing: Arc<Outgoing>,
    incoming: Arc<Incoming>,
}

fn run(lanes: Vec<Connection>) -> Ends {
    let ends = Ends {
        outgoing: Arc::default(),
        incoming: Arc::default(),
    };
    for lane in lanes {
        let (mut receiver, mut sender) = lane.split();
        let (outgoing, incoming) = (Arc::clone(&ends.outgoing), Arc::clone(&ends.incoming));
        thread::spawn(move || outgoing.run(sender.as_mut()));
        thread::spawn(move || incoming.run(receiver.as_mut()));
    }
    ends
}

/// A copy command whose bulk of `bulk` bytes is on the lanes; the plugin reads and echoes `width` of them.
fn announce(session: &mut Session, width: usize, bulk: u64) {
    let mut payload = Vec::new();
    Session::copy(width as u64).encode(&mut payload);
    session.sequence += 1;
    let header = Header {
        len: payload.len() as u32,
        opcode: core::Copy::OPCODE,
        flags: FLAG_WANTS_REPLY | FLAG_LANES,
        sequence: session.sequence,
        thread: 7,
        bulk,
        ..Header::default()
    };
    let frame = [&header.to_bytes()[..], &payload].concat();
    session.connection.sender.send(&frame).unwrap();
}

/// A frame's header; its bulk, if there is some, is on the lanes.
fn header(session: &mut Session) -> Header {
    let receiver = &mut session.connection.receiver;
    receiver.set_timeout(Some(PATIENCE)).unwrap();
    let mut bytes = [0; HEADER_LEN];
    receiver.read_exact(&mut bytes).unwrap();
    let header = Header::from_bytes(&bytes).unwrap();
    assert_eq!(header.len, 0);
    header
}

fn source(len: usize) -> &'static [u8] {
    (0..len)
        .map(|i| (i * 31 % 251) as u8)
        .collect::<Vec<_>>()
        .leak()
}

#[test]
fn large_payloads_both_ways() {
    let daemon = Daemon::start(TCP, r#", "lanes": 3"#);
    let mut session = daemon.open();
    assert_eq!(session.admitted.lanes, 3);
    let lanes = (0..3)
        .map(|number| join(&daemon, &session.admitted, number, 3))
        .collect();
    let ends = run(lanes);
    for (round, read) in [LARGE, 10, 0, LARGE - 7, LARGE].into_iter().enumerate() {
        let ticket = ends
            .outgoing
            .queue(ends.outgoing.announce(), 0, &[source(LARGE)]);
        announce(&mut session, read, LARGE as u64);
        let reply = header(&mut session);
        assert_eq!((reply.context, reply.bulk), (0, read as u64));
        if reply.over_lanes() {
            let memory = vec![0; read].leak();
            let at = memory.as_ptr() as usize;
            let payload = ends.incoming.announce(reply.bulk);
            assert!(payload.place(memory));
            assert!(payload.wait(reply.bulk));
            // SAFETY: leaked, and complete.
            let got = unsafe { std::slice::from_raw_parts(at as *const u8, read) };
            assert!(got == &source(LARGE)[..read]);
        } else {
            assert!(read < 1000 || round == 0, "a large reply beside the lanes");
            let mut bulk = vec![0; read];
            session.connection.receiver.read_exact(&mut bulk).unwrap();
            assert_eq!(bulk, source(LARGE)[..read]);
        }
        assert!(ticket.wait());
        session.ping();
    }
    // More than there is: refused, and the lanes stay in step.
    let _ticket = ends
        .outgoing
        .queue(ends.outgoing.announce(), 0, &[source(LARGE)]);
    announce(&mut session, LARGE + 1, LARGE as u64);
    assert_eq!(header(&mut session).context, 1);
    session.ping();
    let status = daemon.status();
    assert_eq!(status["sessions"].as_array().unwrap().len(), 1);
}

#[test]
fn nobody_joins_who_may_not() {
    let tenants = r#", "lanes": 2, "tenants": [{"name": "alice", "token": "wonderland"}, {"name": "bob", "token": "builder"}]"#;
    let daemon = Daemon::start(TCP, tenants);
    let as_tenant = |name: &str, token: &str| {
        Some(Tenant {
            name: name.into(),
            token: Token::new(token),
        })
    };
    let alice = handshake::ClientParams {
        identity: as_tenant("alice", "wonderland"),
        ..params()
    };
    let mut session = daemon.try_open(&alice).unwrap();
    let lane = |identity, admitted: &Admitted, number, of| {
        let client = gvirtus_wire::config::Client {
            identity,
            ..daemon.client()
        };
        handshake::lane(&client, admitted, number, of)
    };
    let away = |result: Result<Connection, HandshakeError>, reason| match result {
        Err(HandshakeError::Refused { reason: why, .. }) => assert_eq!(why, reason),
        other => panic!("{other:?}"),
    };
    let ours = session.admitted.clone();
    let alice = || as_tenant("alice", "wonderland");
    // Another tenant who knows everything, and one who does not have the tenant's token.
    away(
        lane(as_tenant("bob", "builder"), &ours, 0, 2),
        Reason::NoSuchSession,
    );
    away(lane(as_tenant("alice", "wrong"), &ours, 0, 2), Reason::Auth);
    // A wrong token, session, number.
    let mut other = ours.clone();
    other.lane_token[31] ^= 1;
    away(lane(alice(), &other, 0, 2), Reason::NoSuchSession);
    let mut other = ours.clone();
    other.session += 1;
    away(lane(alice(), &other, 0, 2), Reason::NoSuchSession);
    away(lane(alice(), &ours, 2, 2), Reason::NoSuchSession);
    away(lane(alice(), &ours, 0, 3), Reason::NoSuchSession);
    away(lane(alice(), &ours, 0, 255), Reason::NoSuchSession);
    // The right one, but each once.
    let first = lane(alice(), &ours, 0, 2).unwrap();
    away(lane(alice(), &ours, 0, 2), Reason::NoSuchSession);
    session.ping();
    // Not all of them came: the session goes on without.
    first.closer.shutdown();
    drop(first);
    session.ping();
}

#[test]
fn a_session_ends_with_its_lane_and_no_other_does() {
    let daemon = Daemon::start(TCP, r#", "lanes": 2"#);
    let mut neighbour = daemon.open();
    let mut session = daemon.open();
    let worker = session.snapshot.worker;
    let lanes: Vec<_> = (0..2)
        .map(|number| join(&daemon, &session.admitted, number, 2))
        .collect();
    // The worker is waiting for the payload then.
    announce(&mut session, LARGE, LARGE as u64);
    lanes[1].closer.shutdown();
    assert!(session.ended());
    eventually("the worker exits", || !alive(worker));
    neighbour.ping();
}

#[test]
fn chunks_against_the_rules_end_the_session() {
    let daemon = Daemon::start(TCP, r#", "lanes": 1"#);
    let chunk = |payload, offset, len| {
        let header = ChunkHeader {
            payload,
            offset,
            len,
        };
        [&header.to_bytes()[..], &vec![7; len as usize]].concat()
    };
    for (round, bad) in [
        chunk(0, LARGE as u64 - 5, 6),
        [chunk(0, 0, 100), chunk(0, 50, 1)].concat(),
        vec![0xff; 5000],
    ]
    .into_iter()
    .enumerate()
    {
        let mut session = daemon.open();
        let worker = session.snapshot.worker;
        let mut lane = join(&daemon, &session.admitted, 0, 1);
        announce(&mut session, LARGE, LARGE as u64);
        lane.sender.send(&bad).unwrap();
        assert!(session.ended(), "round {round}");
        eventually("the worker exits", || !alive(worker));
    }
    daemon.wait_for_log("the client broke the protocol");
    daemon.open().ping();
}

/// A daemon that is killed takes its workers along, even if whoever read their log is gone as well.
#[test]
fn workers_without_daemon_and_log_end() {
    use std::process::Stdio;
    let dir = harness::directory(TCP, "");
    let mut process = harness::command(dir.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let tasks = format!("/proc/{}/task", process.id());
    let all = || {
        let tasks = std::fs::read_dir(&tasks).into_iter().flatten().flatten();
        let lists = tasks
            .map(|task| std::fs::read_to_string(task.path().join("children")).unwrap_or_default());
        let text = lists.collect::<Vec<_>>().join(" ");
        text.split_whitespace()
            .filter_map(|pid| pid.parse::<u32>().ok())
            .collect::<Vec<_>>()
    };
    eventually("a worker warms up", || !all().is_empty());
    // It has said so, and waits.
    thread::sleep(std::time::Duration::from_millis(500));
    let workers = all();
    drop(process.stderr.take());
    process.kill().unwrap();
    process.wait().unwrap();
    eventually("its workers end", || !workers.iter().any(|pid| alive(*pid)));
}

#[test]
fn bulk_over_lanes_that_there_are_not_is_a_violation() {
    let daemon = Daemon::start(TCP, r#", "lanes": 0"#);
    let mut session = daemon.open();
    assert_eq!(session.admitted.lanes, 0);
    turned_away(&daemon, &session.admitted, 0, 1);
    let worker = session.snapshot.worker;
    announce(&mut session, 10, 1 << 20);
    assert!(session.ended());
    eventually("the worker exits", || !alive(worker));
    daemon.wait_for_log("the client broke the protocol");
}
