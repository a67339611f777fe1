//! Words that streams write and wait for, and what a hostile client gets.

use super::*;
use crate::errors::*;

fn operation(operation: u32, address: u64, value: u64, flags: u32) -> MemoryOperation {
    MemoryOperation {
        operation,
        address,
        value,
        flags,
    }
}

#[test]
fn a_stream_waits_for_a_word_and_nobody_else_does() {
    let client = Client::new();
    client.two_streams();
    client.write(client.device, &[0; 64]);
    let on = |stream, operations: Vec<MemoryOperation>| {
        client.cast(StreamMemoryOperations { stream, operations })
    };
    on(
        1,
        vec![
            operation(1, client.device, 5, 0),
            operation(5, client.device + 8, 77, 0),
        ],
    );
    let waiting = client.begin(StreamSynchronize { stream: 1 }, Vec::new());
    client.idle();
    // Another stream works, and its synchronization comes back.
    on(2, vec![operation(2, client.device + 16, 3, 0)]);
    client.call(StreamSynchronize { stream: 2 }).unwrap();
    assert!(!waiting.answered());
    on(2, vec![operation(2, client.device, 5, 0)]);
    client.idle();
    waiting.wait().unwrap();
    assert_eq!(client.read(client.device + 8, 8), 77_u64.to_le_bytes());
}

#[test]
fn a_stream_that_lags_gets_few_markers_until_the_last_moment() {
    let client = Client::new();
    client.two_streams();
    client.write(client.device, &[0; 64]);
    let on = |stream, operation| {
        client.cast(StreamMemoryOperations {
            stream,
            operations: vec![operation],
        })
    };
    on(1, operation(1, client.device, 5, 0));
    let session = client.session();
    let lane = Arc::clone(&session.streams.get(1).unwrap().lane);
    let lulls: Vec<bool> = (0..8)
        .map(|n| {
            on(1, operation(5, client.device + 8, n, 0));
            client.lull()
        })
        .collect();
    // Two are on their way, and nobody misses a third before they arrive.
    assert_eq!(lulls, [false, false, true, true, true, true, true, true]);
    assert_eq!(lane.ahead(), 2);
    client.idle();
    assert_eq!(lane.ahead(), 3);
    on(1, operation(5, client.device + 8, 9, 0));
    assert!(client.lull());
    on(2, operation(2, client.device, 5, 0));
    client.wait_for(|_| lane.ahead() == 0);
    assert!(!client.lull());
    client.wait_for(|_| lane.is_idle());
}

#[test]
fn words_of_a_hostile_client_are_refused() {
    let client = Client::new();
    let try_one = |op: MemoryOperation| {
        client.call(StreamMemoryOperations {
            stream: 0,
            operations: vec![op],
        })
    };
    for address in [
        0,
        8,
        client.device - 8,
        client.device + GRANT,
        client.device + 2,
        u64::MAX - 7,
    ] {
        for kind in [1, 2, 4, 5] {
            assert_eq!(
                try_one(operation(kind, address, 1, 0)),
                Err(ERROR_INVALID_VALUE)
            );
        }
    }
    for kind in [0, 7, 8, u32::MAX] {
        assert!(try_one(operation(kind, client.device, 1, 0)).is_err());
    }
    for count in [0, 257] {
        assert_eq!(
            client.call(StreamMemoryOperations {
                stream: 0,
                operations: vec![operation(2, client.device, 1, 0); count],
            }),
            Err(ERROR_INVALID_VALUE)
        );
    }
    assert!(client.failure().is_none());
}
