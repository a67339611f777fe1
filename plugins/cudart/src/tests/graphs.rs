//! Captured work becomes graphs that can be launched again and again.

use super::kernels::{PTX, add, function, u32s};
use super::*;
use crate::errors::*;

/// In a context of its own: another test that waits for the whole context would break the capture.
fn begin(client: &mut Client) -> FunctionInfo {
    client
        .call(ContextCreate {
            context: 300,
            device: 0,
            flags: 0,
        })
        .unwrap();
    client.context = 300;
    let info = client.load(1, PTX).unwrap();
    for stream in [1, 2] {
        client.cast(StreamCreate {
            stream,
            flags: 1,
            priority: 0,
        });
    }
    client
        .call(HostAlloc {
            address: client.pinned,
            size: 1 << 16,
            flags: 0,
        })
        .unwrap();
    function(&info, "add")
}

#[test]
fn a_graph_with_copies_kernels_and_host_functions() {
    let mut client = Client::new();
    let kernel = begin(&mut client).function;
    for event in [1, 2] {
        client.cast(EventCreate { event, flags: 2 });
    }
    client.call(StreamBeginCapture { stream: 1 }).unwrap();
    let zeros = vec![0u8; 400];
    client.cast_bulk(
        linear(COPY_FROM_BULK, 1, client.device, 0, 400),
        zeros.clone(),
    );
    client.cast(add(kernel, 1, client.device, 5, 100));
    // Another stream joins and comes back; work elsewhere goes on meanwhile.
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
    client.cast(add(kernel, 2, client.device, 2, 100));
    client.idle();
    client.write(client.device + (1 << 20), b"elsewhere");
    assert_eq!(
        client.call(linear(COPY_TO_REPLY, 1, 0, client.device, 4)),
        Err(ERROR_STREAM_CAPTURE_UNSUPPORTED)
    );
    client.cast(EventRecord {
        event: 2,
        stream: 2,
        flags: 0,
    });
    client.cast(StreamWaitEvent {
        stream: 1,
        event: 2,
        flags: 0,
    });
    client.cast(linear(
        COPY_FROM_PULL,
        1,
        client.device + 400,
        client.pinned + 4096,
        400,
    ));
    client.cast(add(kernel, 1, client.device + 400, 1, 100));
    client.cast(linear(COPY_TO_SHADOW, 1, client.pinned, client.device, 800));
    client.cast(HostFunction { stream: 1, id: 8 });
    let nodes = client
        .call(StreamEndCapture {
            stream: 1,
            graph: 1,
        })
        .unwrap();
    assert!(nodes >= 7, "{nodes}");
    assert!(
        !client
            .frames()
            .iter()
            .any(|f| [HOST_CALL, HOST_DATA, PULL_REQUEST].contains(&f.header.opcode))
    );
    client
        .call(GraphInstantiate {
            graph: 1,
            exec: 1,
            flags: 0,
        })
        .unwrap();
    client.cast(GraphDestroy { graph: 1 });
    for round in 1..=3u32 {
        let sequence = client.cast(GraphLaunch { exec: 1, stream: 1 });
        let nth = |opcode: u16| {
            let seen = client
                .frames()
                .iter()
                .filter(|f| f.header.opcode == opcode)
                .count();
            seen >= round as usize
        };
        let request = loop {
            if nth(PULL_REQUEST) {
                break client
                    .frames()
                    .iter()
                    .rev()
                    .find(|f| f.header.opcode == PULL_REQUEST)
                    .unwrap()
                    .decode::<PullRequest>();
            }
            std::thread::yield_now();
        };
        client.cast_bulk(
            PullData { id: request.id },
            (round * 10).to_le_bytes().repeat(100),
        );
        while !nth(HOST_CALL) {
            std::thread::yield_now();
        }
        // The host function finds what the graph has written before it.
        let written = client
            .frames()
            .iter()
            .rev()
            .find(|f| f.header.opcode == HOST_DATA)
            .unwrap()
            .clone();
        let mut expected = vec![7u32; 100];
        expected.extend([round * 10 + 1; 100]);
        assert_eq!(u32s(&written.bulk), expected);
        client.cast(HostCallDone { id: 8 });
        client.idle();
        client.progress(1, sequence);
    }
    client.cast(GraphExecDestroy { exec: 1 });
    client.call(StreamSynchronize { stream: 1 }).unwrap();
    assert_eq!(
        client.call(GraphLaunch { exec: 1, stream: 1 }),
        Err(ERROR_INVALID_HANDLE)
    );
}

#[test]
fn markers_wait_until_the_capture_is_over() {
    let mut client = Client::new();
    let kernel = begin(&mut client).function;
    let before = client.cast(add(kernel, 1, client.device, 1, 10));
    client.call(StreamBeginCapture { stream: 1 }).unwrap();
    let mut last = 0;
    for _ in 0..150 {
        last = client.cast(add(kernel, 1, client.device, 1, 10));
    }
    client.idle();
    client.progress(1, before);
    let nodes = client
        .call(StreamEndCapture {
            stream: 1,
            graph: 5,
        })
        .unwrap();
    assert_eq!(nodes, 150, "no marker became part of the graph");
    client.idle();
    client.progress(1, last);
}

#[test]
fn what_is_no_capture_cannot_end() {
    let mut client = Client::new();
    begin(&mut client);
    let status = client.call(StreamEndCapture {
        stream: 1,
        graph: 1,
    });
    assert_eq!(status.unwrap_err(), ERROR_ILLEGAL_STATE);
    assert!(
        client
            .call(GraphInstantiate {
                graph: 1,
                exec: 1,
                flags: 0
            })
            .is_err()
    );
    client.cast(GraphCreate { graph: 2 });
    client
        .call(GraphInstantiate {
            graph: 2,
            exec: 2,
            flags: 0,
        })
        .unwrap();
    client.call(GraphLaunch { exec: 2, stream: 1 }).unwrap();
}

#[test]
fn a_graph_does_not_outlive_the_pinned_memory_it_uses() {
    let mut client = Client::new();
    begin(&mut client);
    client.call(StreamBeginCapture { stream: 1 }).unwrap();
    client.cast(linear(COPY_TO_SHADOW, 1, client.pinned, client.device, 64));
    client
        .call(StreamEndCapture {
            stream: 1,
            graph: 1,
        })
        .unwrap();
    client
        .call(GraphInstantiate {
            graph: 1,
            exec: 1,
            flags: 0,
        })
        .unwrap();
    client.call(GraphLaunch { exec: 1, stream: 1 }).unwrap();
    client
        .call(HostFree {
            address: client.pinned,
        })
        .unwrap();
    assert_eq!(
        client.call(GraphLaunch { exec: 1, stream: 1 }),
        Err(ERROR_INVALID_VALUE)
    );
}

#[test]
fn a_graph_is_replayed_by_places_and_changed() {
    let mut client = Client::new();
    let kernel = begin(&mut client).function;
    client.write(client.device, &[0; 256]);
    let at = |save, after: &[u32]| CaptureAt {
        stream: 1,
        save,
        after: after.iter().map(|place| (*place, [0; 8])).collect(),
    };
    let capture = |client: &Client, graph, amount| {
        client.cast(StreamBeginCapture { stream: 1 });
        client.cast(at(0, &[]));
        client.cast(add(kernel, 1, client.device, amount, 10));
        // Beside the first, not behind it.
        client.cast(at(1, &[]));
        client.cast(add(kernel, 1, client.device + 64, amount, 10));
        client.cast(at(2, &[1, 2]));
        client.cast(add(kernel, 1, client.device, amount, 10));
        // The last place does not lead to the third node, which is part of the graph all the same.
        client.cast(at(3, &[2]));
        let nodes = client.call(StreamEndCapture { stream: 1, graph });
        assert_eq!(nodes, Ok(3));
    };
    capture(&client, 1, 5);
    client
        .call(GraphInstantiate {
            graph: 1,
            exec: 1,
            flags: 0,
        })
        .unwrap();
    client.cast(GraphLaunch { exec: 1, stream: 1 });
    client.call(StreamSynchronize { stream: 1 }).unwrap();
    let expect = |first: u32, second: u32| {
        assert_eq!(u32s(&client.read(client.device, 40)), vec![first; 10]);
        assert_eq!(u32s(&client.read(client.device + 64, 40)), vec![second; 10]);
    };
    expect(10, 5);
    // The same shape with other parameters, and then another shape.
    capture(&client, 2, 100);
    let update = |graph| GraphExecUpdate {
        exec: 1,
        graph,
        flags: 0,
    };
    client.call(update(2)).unwrap();
    client.cast(GraphDestroy { graph: 2 });
    client.cast(GraphLaunch { exec: 1, stream: 1 });
    client.call(StreamSynchronize { stream: 1 }).unwrap();
    expect(210, 105);
    client.cast(GraphCreate { graph: 3 });
    client.call(update(3)).unwrap();
    client.cast(GraphLaunch { exec: 1, stream: 1 });
    client.call(StreamSynchronize { stream: 1 }).unwrap();
    expect(210, 105);
    // A place that is none, and a stream that does not capture.
    assert_eq!(client.call(at(0, &[])), Err(ERROR_INVALID_VALUE));
    client.cast(StreamBeginCapture { stream: 1 });
    assert_eq!(client.call(at(0, &[9])), Err(ERROR_INVALID_VALUE));
    client
        .call(StreamEndCapture {
            stream: 1,
            graph: 4,
        })
        .unwrap();
}

#[test]
fn a_graph_for_kernels_has_the_drivers_handle_and_keeps_it() {
    let mut client = Client::new();
    let kernel = begin(&mut client).function;
    client.write(client.device, &[0; 400]);
    let capture = |client: &mut Client, graph: u32, kernels: u32, host: bool| {
        client.call(StreamBeginCapture { stream: 1 }).unwrap();
        for _ in 0..kernels {
            client.cast(add(kernel, 1, client.device, 5, 100));
        }
        if host {
            client.cast(HostFunction { stream: 1, id: 8 });
        }
        client.call(StreamEndCapture { stream: 1, graph }).unwrap();
    };
    let ask = |graph: u32, exec: u32, flags: u64| GraphInstantiateForDevice { graph, exec, flags };
    capture(&mut client, 1, 1, false);
    capture(&mut client, 2, 1, true);
    capture(&mut client, 3, 2, false);
    let made = client.call(ask(1, 1, 4)).unwrap();
    assert_eq!((made.status, made.result), (0, 0));
    assert_ne!(made.handle, 0);
    // A number that is taken, flags that are not for it, a graph that is none, and one with a host function.
    for refused in [ask(1, 1, 4), ask(1, 2, 8), ask(1, 2, 4 | 16), ask(77, 2, 4)] {
        assert!(client.call(refused).is_err());
    }
    let refused = client.call(ask(2, 2, 4)).unwrap();
    assert_eq!(refused.handle, 0);
    assert_ne!((refused.status, refused.result), (0, 0));
    client.cast(GraphUpload { exec: 1, stream: 1 });
    client.cast(GraphLaunch { exec: 1, stream: 1 });
    // Another shape: told, and it stays what it was.
    let update = GraphExecUpdate {
        exec: 1,
        graph: 3,
        flags: 4,
    };
    assert!(client.call(update).is_err());
    client.call(GraphLaunch { exec: 1, stream: 1 }).unwrap();
    assert_eq!(
        client.call(GraphUpload { exec: 9, stream: 1 }),
        Err(ERROR_INVALID_HANDLE)
    );
    let told = client.read(client.device, 4);
    assert_eq!(u32s(&told), [10]);
}

/// A kernel of a graph, as the same launch would be.
fn node(launch: Launch) -> KernelNode {
    KernelNode {
        function: launch.function,
        grid: launch.grid,
        block: launch.block,
        shared: launch.shared,
        params: launch.params,
        attributes: launch.attributes,
    }
}

#[test]
fn a_graph_is_captured_around_nodes_that_are_there() {
    let mut client = Client::new();
    let kernel = begin(&mut client).function;
    client.write(client.device, &[0; 64]);
    let adds = |amount| node(add(kernel, 1, client.device, amount, 1));
    let make = |node, kernel, updatable| GraphKernel {
        graph: 1,
        within: 0,
        node,
        kernel,
        updatable,
    };
    assert!(client.call(make(1, adds(5), true)).is_err(), "no graph yet");
    client.cast(GraphCreate { graph: 1 });
    let handle = client.call(make(1, adds(5), true)).unwrap();
    assert_ne!(handle, 0);
    assert_eq!(client.call(make(1, adds(6), true)), Ok(handle));
    let place = |node| CaptureNode { stream: 1, node };
    assert_eq!(client.call(place(1)), Err(ERROR_INVALID_VALUE));
    let instantiate = |exec| GraphInstantiate {
        graph: 1,
        exec,
        flags: 0,
    };
    let sum = |client: &Client| {
        client.cast(GraphLaunch { exec: 1, stream: 1 });
        client.call(StreamSynchronize { stream: 1 }).unwrap();
        u32s(&client.read(client.device, 4))[0]
    };
    let ended = |graph| StreamEndCapture { stream: 1, graph };
    // Twice, since what it is captured around stays when the rest goes.
    for (round, expected) in [(1, 106), (2, 313)] {
        let begin = GraphCaptureBegin {
            stream: 1,
            graph: 1,
        };
        client.call(begin).unwrap();
        client.cast(add(kernel, 1, client.device, 100 * round, 1));
        assert_eq!(client.call(place(7)), Err(ERROR_INVALID_HANDLE));
        client.call(place(1)).unwrap();
        client.call(make(2, adds(round - 1), false)).unwrap();
        client.call(place(2)).unwrap();
        assert_eq!(client.call(ended(1)), Ok(3));
        client.call(instantiate(1)).unwrap();
        assert!(client.call(instantiate(2)).is_err(), "one at a time");
        assert_eq!(sum(&client), expected);
        client.cast(GraphExecDestroy { exec: 1 });
    }
    client.call(instantiate(1)).unwrap();
    let change = |exec, node, kernel| GraphExecKernel { exec, node, kernel };
    client.call(change(1, 1, adds(1))).unwrap();
    client.call(change(1, 2, adds(2))).unwrap();
    assert!(client.call(change(1, 3, adds(2))).is_err());
    assert!(client.call(change(9, 1, adds(2))).is_err());
    client
        .call(GraphExecEnable {
            exec: 1,
            node: 2,
            enabled: false,
        })
        .unwrap();
    assert_eq!(sum(&client), 313 + 201);
    // Its number is taken, and another capture is not it.
    client.cast(StreamBeginCapture { stream: 1 });
    assert_eq!(client.call(ended(1)), Err(ERROR_INVALID_VALUE));
}
