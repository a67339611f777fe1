//! Streams, events, progress, host functions: what may overtake what.

use super::*;
use crate::errors::*;

fn stream(client: &Client, stream: u32) {
    client.cast(StreamCreate {
        stream,
        flags: 1,
        priority: 0,
    });
}

/// A stream that stands still until the client answers the host call.
fn stall(client: &Client, stream: u32, id: u64) -> u64 {
    let sequence = client.cast(HostFunction { stream, id });
    client.wait_for(|f| f.header.opcode == HOST_CALL && f.decode::<HostCall>().id == id);
    sequence
}

#[test]
fn a_host_function_holds_its_stream_alone() {
    let client = Client::new();
    stream(&client, 1);
    stream(&client, 2);
    client.write(client.device, &[1; 64]);
    let stalled = stall(&client, 1, 99);
    let behind = client.begin(StreamSynchronize { stream: 1 }, Vec::new());
    client.cast(linear(
        COPY_ON_DEVICE,
        2,
        client.device + 64,
        client.device,
        64,
    ));
    client.call(StreamSynchronize { stream: 2 }).unwrap();
    assert!(!behind.answered());
    assert!(!client.frames().iter().any(|f| f.header.opcode == PROGRESS
        && f.decode::<Progress>().stream == 1
        && f.decode::<Progress>().sequence >= stalled));
    client.cast(HostCallDone { id: 99 });
    behind.wait().unwrap();
    // An answer that nobody waits for.
    assert_eq!(
        client.call(HostCallDone { id: 99 }),
        Err(ERROR_INVALID_VALUE)
    );
}

#[test]
fn copies_behind_a_stalled_stream_do_not_stop_the_reader() {
    let client = Client::new();
    stream(&client, 1);
    stall(&client, 1, 5);
    let bytes = pattern(20 << 20, 4);
    // More than is kept pinned.
    for n in 0..10 {
        client.cast_bulk(
            linear(COPY_FROM_BULK, 1, client.device + n, 0, 20 << 20),
            bytes.clone(),
        );
    }
    client.cast(HostCallDone { id: 5 });
    client.call(StreamSynchronize { stream: 1 }).unwrap();
    assert!(client.read(client.device + 9, 20 << 20) == bytes);
}

#[test]
fn events_order_streams_and_bytes_come_before_the_answer() {
    let client = Client::new();
    stream(&client, 1);
    stream(&client, 2);
    for event in [1, 2] {
        client.cast(EventCreate { event, flags: 2 });
    }
    client
        .call(HostAlloc {
            address: client.pinned,
            size: 1 << 16,
            flags: 0,
        })
        .unwrap();
    for round in 0..20u64 {
        let bytes = pattern(3000, round);
        client.write(client.device, &bytes);
        client.cast(linear(
            COPY_TO_SHADOW,
            1,
            client.pinned,
            client.device,
            3000,
        ));
        client.cast(EventRecord {
            event: 1,
            stream: 1,
            flags: 0,
        });
        client.cast(StreamWaitEvent {
            stream: 2,
            event: 1,
            flags: 0,
        });
        client.cast(EventRecord {
            event: 2,
            stream: 2,
            flags: 0,
        });
        let waiting = client.begin(EventSynchronize { event: 2 }, Vec::new());
        let sequence = waiting.sequence;
        waiting.wait().unwrap();
        let frames = client.frames();
        let reply = frames
            .iter()
            .position(|f| f.header.opcode == REPLY && f.header.sequence == sequence)
            .unwrap();
        let data = frames[..reply]
            .iter()
            .rev()
            .find(|f| f.header.opcode == HOST_DATA)
            .expect("the bytes of another stream came before the answer");
        assert_eq!(data.bulk, bytes);
    }
}

#[test]
fn progress_comes_without_being_asked_for() {
    let client = Client::new();
    stream(&client, 3);
    client.write(client.device, &[0; 256]);
    let mut last = 0;
    for _ in 0..300 {
        last = client.cast(linear(
            COPY_ON_DEVICE,
            3,
            client.device + 128,
            client.device,
            64,
        ));
    }
    // Long before the input is drained.
    client.progress(3, last - 200);
    client.idle();
    client.progress(3, last);
    let told: Vec<u64> = client
        .frames()
        .iter()
        .filter(|f| f.header.opcode == PROGRESS)
        .map(|f| f.decode::<Progress>())
        .filter(|p| p.stream == 3)
        .map(|p| p.sequence)
        .collect();
    assert!(told.is_sorted());
    // A destroyed stream still tells how far it came.
    last = client.cast(linear(
        COPY_ON_DEVICE,
        3,
        client.device + 128,
        client.device,
        64,
    ));
    client.cast(StreamDestroy { stream: 3 });
    client.progress(3, last);
    assert_eq!(
        client.call(StreamSynchronize { stream: 3 }),
        Err(ERROR_INVALID_HANDLE)
    );
    // And its number is free again.
    stream(&client, 3);
    client.call(StreamSynchronize { stream: 3 }).unwrap();
}

#[test]
fn the_legacy_stream_and_blocking_streams_wait_for_each_other() {
    let client = Client::new();
    client.cast(StreamCreate {
        stream: 1,
        flags: 0,
        priority: 0,
    });
    let bytes = pattern(64, 1);
    client.write(client.device, &bytes);
    for n in 0..50u64 {
        client.cast(linear(
            COPY_ON_DEVICE,
            (n % 2) as u32,
            client.device + 64 * (n + 1),
            client.device + 64 * n,
            64,
        ));
    }
    assert_eq!(client.read(client.device + 64 * 50, 64), bytes);
}

#[test]
fn elapsed_time_of_events() {
    let client = Client::new();
    for event in [1, 2] {
        client.cast(EventCreate { event, flags: 0 });
        client.cast(EventRecord {
            event,
            stream: 0,
            flags: 0,
        });
    }
    client.call(EventSynchronize { event: 2 }).unwrap();
    let time = client.call(EventElapsedTime { start: 1, end: 2 }).unwrap();
    assert!((0.0..1000.0).contains(&time));
    client.cast(EventDestroy { event: 1 });
    assert_eq!(
        client.call(EventElapsedTime { start: 1, end: 2 }),
        Err(ERROR_INVALID_HANDLE)
    );
}

#[test]
fn a_host_function_sees_what_the_gpu_wrote() {
    let client = Client::new();
    client
        .call(HostAlloc {
            address: client.pinned,
            size: 1 << 16,
            flags: 0,
        })
        .unwrap();
    stream(&client, 1);
    let bytes = pattern(2000, 6);
    client.write(client.device, &bytes);
    client.cast(linear(
        COPY_TO_SHADOW,
        1,
        client.pinned,
        client.device,
        2000,
    ));
    stall(&client, 1, 11);
    let frames = client.frames();
    let call = frames
        .iter()
        .position(|f| f.header.opcode == HOST_CALL)
        .unwrap();
    assert!(
        frames[..call]
            .iter()
            .any(|f| f.header.opcode == HOST_DATA && f.bulk == bytes)
    );
    client.cast(HostCallDone { id: 11 });
    client.call(StreamSynchronize { stream: 1 }).unwrap();
}

#[test]
fn a_closed_session_releases_its_streams() {
    let client = Client::new();
    stream(&client, 1);
    stall(&client, 1, 1);
    drop(client);
    // Another session on the same device goes on.
    let client = Client::new();
    client.call(ContextSynchronize {}).unwrap();
}

#[test]
fn many_threads_with_streams_of_their_own() {
    let client = Client::new();
    client
        .call(HostAlloc {
            address: client.pinned,
            size: 1 << 20,
            flags: 0,
        })
        .unwrap();
    std::thread::scope(|scope| {
        for number in 1..=4u32 {
            let client = &client;
            scope.spawn(move || {
                client.cast(StreamCreate {
                    stream: number,
                    flags: number % 2,
                    priority: 0,
                });
                let place = u64::from(number) << 16;
                let (device, pinned) = (client.device + place, client.pinned + place);
                for round in 0..30 {
                    let bytes = pattern(5000, round * 10 + u64::from(number));
                    client.cast_bulk(
                        linear(COPY_FROM_BULK, number, device, 0, 5000),
                        bytes.clone(),
                    );
                    client.cast(linear(COPY_TO_SHADOW, number, pinned, device, 5000));
                    client.cast(linear(
                        COPY_FROM_SHADOW,
                        number,
                        device + 8192,
                        pinned,
                        5000,
                    ));
                    let pending = client.begin(StreamSynchronize { stream: number }, Vec::new());
                    let sequence = pending.sequence;
                    pending.wait().unwrap();
                    let frames = client.frames();
                    let reply = frames
                        .iter()
                        .position(|f| f.header.opcode == REPLY && f.header.sequence == sequence)
                        .unwrap();
                    let data = frames[..reply]
                        .iter()
                        .rev()
                        .find(|f| {
                            f.header.opcode == HOST_DATA
                                && f.decode::<HostData>().plane.address == pinned
                        })
                        .unwrap();
                    assert!(data.bulk == bytes);
                    let copy = linear(COPY_TO_REPLY, number, 0, device + 8192, 5000);
                    let (_, got) = client.begin(copy, Vec::new()).wait_with_bulk().unwrap();
                    assert!(got == bytes);
                    if number == 4 {
                        client.idle();
                    }
                }
            });
        }
    });
}

/// What a reply does not tell of is told, though it completed together with what the reply is about.
#[test]
fn progress_behind_a_synchronization_is_not_lost() {
    let client = Client::new();
    stream(&client, 1);
    let session = client.session();
    // Nobody but this test collects.
    session.progress.closed.store(true, Ordering::Release);
    session.progress.poller.wake();
    std::thread::sleep(Duration::from_millis(100));
    let copy = || {
        client.cast(linear(
            COPY_ON_DEVICE,
            1,
            client.device + 64,
            client.device,
            64,
        ))
    };
    let complete = || {
        // One marker behind all of it.
        client.idle();
        let deadline = Instant::now() + PATIENCE;
        while !session.progress.ready() && Instant::now() < deadline {
            std::thread::yield_now();
        }
        assert!(session.progress.ready());
    };
    let told = || {
        let of = |f: &Frame| f.decode::<Progress>().sequence;
        let frames = client.frames();
        let progress = frames.iter().filter(|f| f.header.opcode == PROGRESS);
        progress.map(of).max().unwrap_or(0)
    };
    let (first, second) = (copy(), copy());
    complete();
    client.forget_frames();
    session.progress.settle(session.host, |_| first);
    assert_eq!(told(), second, "the reply told of the first alone");
    let third = copy();
    complete();
    session.progress.settle(session.host, |_| third);
    assert_eq!(told(), second, "the reply told of the third");
}
