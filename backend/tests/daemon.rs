//! The daemon and its workers as processes, with a plugin that has no device.

use std::process::Command;
use std::time::Duration;

use gvirtus_wire::api::core::{self, REPLY};
use gvirtus_wire::codec::decode_all;
use gvirtus_wire::command::Command as WireCommand;
use gvirtus_wire::communicator::{self, Connection};
use gvirtus_wire::config::{Tenant, Token};
use gvirtus_wire::frame::{FLAG_WANTS_REPLY, HEADER_LEN, Header};
use gvirtus_wire::handshake::{ClientParams, HandshakeError, Reason};

#[allow(dead_code, reason = "part of it serves other tests")]
mod harness;

use harness::{
    Daemon, PATIENCE, Session, TCP, alive, command, directory, eventually, params, refused,
    run_to_end, signal,
};

#[test]
fn a_session_over_each_transport() {
    let socket = tempfile::tempdir().unwrap();
    let unix = format!(
        r#"{{"protocol": "unix", "path": "{}/s"}}"#,
        socket.path().display()
    );
    for endpoint in [TCP, &unix] {
        let daemon = Daemon::start(endpoint, "");
        let mut session = daemon.open();
        assert_eq!(session.snapshot.devices[0].name, "Fake ");
        session.ping();
        let status = daemon.status();
        assert_eq!(status["sessions"][0]["worker"], session.snapshot.worker);
        assert_eq!(status["sessions"][0]["pid"], std::process::id());
        assert_eq!(status["device"]["kind"], "cpu");
        assert_eq!(status["plugins"][0]["state"], "loaded");
        let worker = session.snapshot.worker;
        drop(session);
        eventually("the worker exits", || !alive(worker));
        eventually("the session is gone", || {
            daemon.status()["sessions"].as_array().unwrap().is_empty()
        });
    }
}

#[test]
fn bulk_is_read_in_part_in_whole_or_skipped() {
    let daemon = Daemon::start(TCP, "");
    let mut session = daemon.open();
    for (read, len) in [
        (10, 10),
        (0, 5),
        (100, 100_000),
        (300_000, 1_000_000),
        (2 << 20, 2 << 20),
    ] {
        let bulk: Vec<u8> = (0..len).map(|i| (i * 7 % 251) as u8).collect();
        session.send(&Session::copy(read as u64), FLAG_WANTS_REPLY, &bulk);
        let (header, _, echoed) = session.receive();
        assert_eq!(header.context, 0);
        assert_eq!(echoed, bulk[..read]);
    }
    // More than there is: refused, and the stream stays in step.
    session.send(&Session::copy(11), FLAG_WANTS_REPLY, &[1; 10]);
    assert_eq!(session.receive().0.context, 1);
    // Nobody reads the bulk of an unknown command.
    session.send_raw(0x01fe, 0, b"whatever", &[3; 5000]);
    let (header, payload, _) = session.receive();
    assert_eq!(header.opcode, core::ASYNC_ERROR);
    let error: core::AsyncError = decode_all(&payload).unwrap();
    assert_eq!((error.status, error.opcode), (801, 0x01fe));
    session.send_raw(0x01fe, FLAG_WANTS_REPLY, &[], &[]);
    let (header, ..) = session.receive();
    assert_eq!((header.opcode, header.context), (REPLY, 801));
    session.ping();
}

#[test]
fn what_blocks_is_overtaken() {
    let daemon = Daemon::start(TCP, "");
    let mut session = daemon.open();
    let waits: Vec<u64> = (1..=40)
        .map(|stream| {
            session.send(
                &core::StreamSynchronize { stream },
                FLAG_WANTS_REPLY,
                &[1; 300],
            )
        })
        .collect();
    session.ping();
    for stream in (1..=40).rev() {
        session.send(&core::StreamDestroy { stream }, 0, &[]);
        let (header, ..) = session.receive();
        assert_eq!(header.sequence, waits[stream as usize - 1]);
    }
    session.ping();
    // The plugin hears of pauses, but not before every read. On a busy machine there may have been none yet: the next command was always there.
    let mut idles = 0;
    eventually("the plugin hears of a pause", || {
        session.send(&core::MemInfo { device: 0 }, FLAG_WANTS_REPLY, &[]);
        let told: core::MemInfoReply = decode_all(&session.receive().1).unwrap();
        idles = told.free;
        idles > 0
    });
    assert!(idles <= 200, "{idles}");
}

#[test]
fn more_waiting_commands_than_threads() {
    let daemon = Daemon::start(TCP, "");
    let mut session = daemon.open();
    for stream in 1..=300 {
        session.send(
            &core::StreamSynchronize {
                stream: stream.min(255),
            },
            0,
            &[],
        );
    }
    // 256 threads; the last waits share a stream, whose end frees many.
    for stream in 1..=255 {
        session.send(&core::StreamDestroy { stream }, 0, &[]);
    }
    // All threads are taken by now and the destroys are not read: the session hangs, as it must, but goes when its client does.
    let worker = session.snapshot.worker;
    drop(session);
    eventually("the worker exits", || !alive(worker));
}

#[test]
fn a_killed_clients_worker_is_gone_within_a_second_even_if_busy() {
    let daemon = Daemon::start(TCP, "");
    let mut session = daemon.open();
    let worker = session.snapshot.worker;
    session.send(&core::ContextSynchronize {}, FLAG_WANTS_REPLY, &[]);
    daemon.wait_for_log("busy for an hour");
    session.connection.closer.shutdown();
    let took = eventually("the worker exits", || !alive(worker));
    assert!(took < Duration::from_secs(1), "{took:?}");
    daemon.open().ping();
}

#[test]
fn a_crash_ends_its_own_session_alone() {
    let daemon = Daemon::start(TCP, r#", "warm_workers": 2"#);
    let mut other = daemon.open();
    for round in 0..5 {
        let mut session = daemon.open();
        session.send(&core::ContextReset { device: 0 }, FLAG_WANTS_REPLY, &[]);
        assert!(session.ended(), "round {round}");
        other.ping();
    }
    daemon.wait_for_log("was killed by signal 6");
    // And one that is killed from outside.
    let mut session = daemon.open();
    signal(session.snapshot.worker, "KILL");
    assert!(session.ended());
    other.ping();
}

#[test]
fn a_hundred_murders_of_workers_and_of_clients() {
    let mut daemon = Daemon::start(TCP, r#", "warm_workers": 3"#);
    for round in 0..100 {
        let mut session = daemon.open();
        let worker = session.snapshot.worker;
        if round % 2 == 0 {
            signal(worker, "KILL");
            assert!(session.ended());
        } else {
            // A kernel runs, and the client vanishes in the middle of a frame.
            session.send(
                &core::StreamSynchronize { stream: 1 },
                FLAG_WANTS_REPLY,
                &[],
            );
            session.connection.sender.send(&[1; 20]).unwrap();
            session.connection.closer.shutdown();
        }
        eventually("the worker exits", || !alive(worker));
    }
    daemon.open().ping();
    assert!(daemon.process.try_wait().unwrap().is_none());
    eventually("no session is left", || {
        daemon.status()["sessions"].as_array().unwrap().is_empty()
    });
}

#[test]
fn random_frames_hurt_nobody_else() {
    let daemon = Daemon::start(TCP, r#", "warm_workers": 3"#);
    let mut other = daemon.open();
    let mut state = 1u64;
    let mut random = move |n: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % n
    };
    for _ in 0..60 {
        let mut session = daemon.open();
        for sequence in 1..200 {
            let mut header = Header {
                len: random(64) as u32,
                opcode: [0x0100 + random(256) as u16, random(65536) as u16][random(2) as usize],
                flags: random(4) as u16,
                sequence,
                bulk: random(3) * random(1000),
                ..Header::default()
            };
            // These would wait, or abort as asked.
            if [
                core::StreamSynchronize::OPCODE,
                core::ContextSynchronize::OPCODE,
                core::ContextReset::OPCODE,
            ]
            .contains(&header.opcode)
            {
                header.opcode = 0;
            }
            let mut frame = header.to_bytes().to_vec();
            frame.resize(
                HEADER_LEN + header.len as usize + header.bulk as usize,
                random(256) as u8,
            );
            if random(200) == 0 {
                let at = random(frame.len() as u64) as usize;
                frame[at] ^= 0x55;
            }
            if session.connection.sender.send(&frame).is_err() {
                break;
            }
        }
    }
    other.ping();
    daemon.open().ping();
    assert!(!daemon.log().contains("panicked"), "{}", daemon.log());
    assert!(
        !daemon.log().contains("was killed by signal"),
        "{}",
        daemon.log()
    );
}

#[test]
fn violations_end_the_session() {
    let daemon = Daemon::start(TCP, "");
    let garbage: &[&dyn Fn(&mut Session)] = &[
        // A number left out.
        &|s| {
            s.ping();
            s.sequence += 1;
            s.send(&core::Ping {}, 0, &[]);
        },
        // A payload beyond the limit.
        &|s| drop(s.connection.sender.send(&[0xff; HEADER_LEN])),
        // A payload that the plugin cannot decode.
        &|s| {
            s.send_raw(core::Copy::OPCODE, 0, &[1, 2, 3], &[]);
        },
    ];
    for break_it in garbage {
        let mut session = daemon.open();
        let worker = session.snapshot.worker;
        break_it(&mut session);
        assert!(session.ended());
        eventually("the worker exits", || !alive(worker));
    }
    daemon.wait_for_log("frame 3 came where 2 was due");
    daemon.wait_for_log("malformed frame");
    daemon.wait_for_log("a malformed copy");
    daemon.open().ping();
}

#[test]
fn the_clients_variables_reach_its_worker() {
    let daemon = Daemon::start(TCP, "");
    let mut params = params();
    params.environment = vec![("CUDA_MODULE_LOADING".into(), "EAGER".into())];
    let session = daemon.try_open(&params).unwrap();
    assert_eq!(session.snapshot.devices[0].name, "Fake EAGER");
    assert_eq!(daemon.open().snapshot.devices[0].name, "Fake ");
}

#[test]
fn a_device_that_does_not_start_is_refused_with_its_reason() {
    let daemon = Daemon::start(TCP, "");
    let mut params = params();
    params.environment = vec![("CUDA_VISIBLE_DEVICES".into(), "-1".into())];
    let Err(error) = daemon.try_open(&params) else {
        panic!("admitted");
    };
    assert_eq!(error.cuda_status(), 802);
    assert!(
        error.to_string().contains("its device is not usable"),
        "{error}"
    );
    daemon.open().ping();
}

#[test]
fn a_busy_backend_refuses() {
    let daemon = Daemon::start(TCP, r#", "max_sessions": 1"#);
    let mut session = daemon.open();
    let Err(error) = daemon.try_open(&params()) else {
        panic!("admitted");
    };
    assert!(
        matches!(
            &error,
            HandshakeError::Refused {
                reason: Reason::Busy,
                ..
            }
        ),
        "{error}"
    );
    session.ping();
    drop(session);
    eventually("a place", || daemon.try_open(&params()).is_ok());
}

#[test]
fn tenants() {
    let daemon = Daemon::start(TCP, r#", "tenants": [{"name": "a", "token": "one"}]"#);
    let with = |token: &str| ClientParams {
        identity: Some(Tenant {
            name: "a".into(),
            token: Token::new(token),
        }),
        ..params()
    };
    daemon.try_open(&with("one")).unwrap().ping();
    for wrong in [with("two"), params()] {
        let Err(error) = daemon.try_open(&wrong) else {
            panic!("admitted");
        };
        assert_eq!(error.cuda_status(), 800);
    }
    assert!(!daemon.log().contains("one\""), "the token is in the log");
}

#[test]
fn garbage_and_silence_at_the_door() {
    let daemon = Daemon::start(TCP, r#", "handshake_timeout": 0.5"#);
    let silent: Vec<Connection> = (0..50).map(|_| daemon.connect()).collect();
    for garbage in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"GVirtuS\n\x01\0\x01\0\xff\xff\xff\xff",
        b"GVirtuS\n\x01\0\x01\0\x04\0\0\0abcdefgh",
    ] {
        let mut connection = daemon.connect();
        connection.sender.send(garbage).unwrap();
        connection.receiver.set_timeout(Some(PATIENCE)).unwrap();
        let mut answer = [0; 256];
        while matches!(connection.receiver.read(&mut answer), Ok(1..)) {}
    }
    daemon.open().ping();
    for mut connection in silent {
        connection.receiver.set_timeout(Some(PATIENCE)).unwrap();
        assert!(
            matches!(connection.receiver.read(&mut [0; 16]), Ok(0)),
            "cut off"
        );
    }
}

#[test]
fn it_drains_and_stops() {
    let mut daemon = Daemon::start(TCP, "");
    let mut session = daemon.open();
    daemon.signal("TERM");
    daemon.wait_for_log("stopping; 1 session(s)");
    session.ping();
    assert!(communicator::connect(&daemon.endpoint, PATIENCE, None).is_err());
    assert!(daemon.process.try_wait().unwrap().is_none());
    drop(session);
    assert_eq!(daemon.wait().code(), Some(0));

    // A second signal does not wait.
    let mut daemon = Daemon::start(TCP, "");
    let mut session = daemon.open();
    daemon.signal("INT");
    daemon.wait_for_log("stopping; 1 session(s)");
    daemon.signal("INT");
    assert_eq!(daemon.wait().code(), Some(0));
    assert!(session.ended());
}

#[test]
fn workers_do_not_outlive_the_daemon() {
    let mut daemon = Daemon::start(TCP, r#", "warm_workers": 2"#);
    let mut session = daemon.open();
    eventually("two warm workers", || {
        daemon.status()["warm_workers"].as_array().unwrap().len() == 2
    });
    let mut workers = vec![session.snapshot.worker];
    for worker in daemon.status()["warm_workers"].as_array().unwrap() {
        workers.push(worker["pid"].as_u64().unwrap() as u32);
    }
    daemon.process.kill().unwrap();
    daemon.wait();
    eventually("all workers exit", || {
        !workers.iter().any(|pid| alive(*pid))
    });
    assert!(session.ended());
}

#[test]
fn a_dead_warm_worker_is_replaced() {
    let daemon = Daemon::start(TCP, "");
    let first = || daemon.status()["warm_workers"][0].clone();
    eventually("a warm worker", || first()["ready"] == true);
    let pid = first()["pid"].as_u64().unwrap() as u32;
    signal(pid, "KILL");
    daemon.open().ping();
    eventually("another", || {
        first()["ready"] == true && first()["pid"] != pid
    });
}

#[test]
fn exit_codes_and_messages() {
    let (code, text) = refused(TCP, ", nonsense");
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("properties.json:1:"), "{text}");

    let daemon = Daemon::start(TCP, "");
    let taken = format!(
        r#"{{"protocol": "tcp", "server_address": "127.0.0.1", "port": {}}}"#,
        daemon.endpoint.port
    );
    let (code, text) = refused(&taken, "");
    assert_eq!(code, 3, "{text}");
    assert!(text.contains("another backend runs there"), "{text}");

    let (code, text) = refused(TCP, r#", "device": "/nonexistent/libcuda.so.1""#);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("there is no such file"), "{text}");

    // The system's words for a path are those for ports.
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), "").unwrap();
    let long = "x".repeat(110);
    for (path, expected) in [
        ("file", "no socket"),
        ("none/socket", "there is no directory"),
        (long.as_str(), "at most 107 bytes"),
    ] {
        let path = dir.path().join(path);
        let endpoint = format!(r#"{{"protocol": "unix", "path": "{}"}}"#, path.display());
        let (code, text) = refused(&endpoint, "");
        assert_eq!(code, 3, "{text}");
        assert!(text.contains(expected), "{text}");
    }

    let absent = Daemon::start(TCP, r#", "library_dirs": ["/nonexistent"]"#);
    absent.wait_for_log("library_dirs: /nonexistent is no directory");

    let dir = directory(TCP, "");
    std::fs::remove_file(dir.path().join("plugins/libgvirtus_plugin_cudart.so")).unwrap();
    // Away from where cargo may have left the real one.
    let program = dir.path().join("gvirtus-backend");
    std::fs::copy(env!("CARGO_BIN_EXE_gvirtus-backend"), &program).unwrap();
    let mut moved = Command::new(program);
    moved
        .arg(dir.path().join("properties.json"))
        .env_remove("GVIRTUS_HOME");
    let (code, text) = run_to_end(moved);
    assert_eq!(code, 4, "{text}");
    assert!(text.contains("libgvirtus_plugin_cudart.so"), "{text}");

    let open = r#"{"protocol": "tcp", "server_address": "0.0.0.0", "port": 0}"#;
    let (code, text) = refused(open, "");
    assert_eq!(code, 5, "{text}");
    assert!(text.contains("allow_unauthenticated_remote"), "{text}");
    let daemon = Daemon::start(open, r#", "allow_unauthenticated_remote": true"#);
    daemon.wait_for_log("anybody who reaches it may use the GPU");

    let mut check = command(daemon.dir.path());
    check.arg("--check");
    assert_eq!(run_to_end(check).0, 0);

    let mut elsewhere = Command::new(env!("CARGO_BIN_EXE_gvirtus-backend"));
    elsewhere
        .arg("--check")
        .env_remove("GVIRTUS_CONFIG")
        .env_remove("GVIRTUS_ENDPOINT")
        .env("GVIRTUS_HOME", "/nonexistent")
        .env("GVIRTUS_LOGFORMAT", "xml");
    let (_, text) = run_to_end(elsewhere);
    let home = "GVIRTUS_HOME=\"/nonexistent\" has no etc/properties.json";
    assert!(text.contains(home), "{text}");
    assert!(
        text.contains("GVIRTUS_LOGFORMAT=\"xml\" is not understood"),
        "{text}"
    );
}
