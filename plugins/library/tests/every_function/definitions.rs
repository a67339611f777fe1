//! Values that the client defines and the box keeps: descriptors, graphs and plans.

use super::*;

/// Descriptors and plans: what a definition makes, what refers to it, what becomes of it.
#[test]
fn definitions() {
    let _alone = ALONE.lock();
    let table = table();
    let state = started(&DNN, &CUDNN_DESCRIPTION, &table);
    let define = |object: u32, steps: Vec<LibraryCall>, ask: bool| {
        let define = LibraryDefine {
            stream: NO_STREAM,
            object,
            steps,
        };
        frame(state, command::DEFINE, &define, ask)
    };
    let status = |sent: &[(Header, Vec<u8>)]| {
        let [(header, payload)] = sent else {
            panic!("one answer");
        };
        match header.context {
            0 => decode_all::<LibraryReply>(payload).unwrap().result,
            cuda => -(cuda as i32),
        }
    };
    let node = |kind: u64| packed("cudnnBackendCreateDescriptor", &[kind, 0]);
    let set = |own: u64, name: u64, kind: u64, elements: &[u64]| {
        let at = elements.as_ptr() as u64;
        packed(
            "cudnnBackendSetAttribute",
            &[own, name, kind, elements.len() as u64, at],
        )
    };
    // A tensor that is a value; an operation that refers to it; both are the stand-in's pointers there.
    SEEN.with_borrow_mut(|seen| seen.clear());
    let (uid, yes) = (77u64, 1u64);
    let tensor = vec![node(17), set(500, 906, 3, &[uid]), set(500, 908, 2, &[yes])];
    assert_eq!(status(&define(500, tensor, true)), 0);
    let operation = vec![
        node(13),
        set(501, 756, attribute::DESCRIPTOR as u64, &[500]),
    ];
    assert_eq!(status(&define(501, operation, true)), 0);
    let graph = vec![
        node(15),
        set(502, 801, attribute::DESCRIPTOR as u64, &[501]),
        set(502, 800, attribute::HANDLE as u64, &[1]),
    ];
    assert_eq!(status(&define(502, graph, true)), 0);
    let seen = SEEN.with_borrow(Vec::clone);
    let of = |name: u64| seen.iter().find(|(_, of, _)| *of == name).unwrap();
    assert_eq!((of(906).2, of(908).2 & 0xff), (uid, yes));
    assert_eq!(of(756).2, of(906).0, "the tensor");
    assert_eq!(of(801).2, of(756).0, "the operation");
    assert_eq!(of(800).2, HANDLE);

    // The value of the tensor, below the graph, has to come as a value; an address of a client's is refused.
    let execute = |by_value: bool, word: u64, wants: bool| {
        let execute = LibraryExecute {
            stream: 5,
            handle: 1,
            plan: 502,
            words: [0x9000u64, 0x8000, word]
                .iter()
                .flat_map(|w| w.to_le_bytes())
                .collect(),
            uids: vec![5, uid as i64],
            by_value: vec![false, by_value],
            values: vec![7; 16],
        };
        frame(state, command::EXECUTE, &execute, wants)
    };
    SEEN.with_borrow_mut(|seen| seen.clear());
    assert!(execute(true, 0, false).is_empty(), "asynchronous");
    let seen = SEEN.with_borrow(Vec::clone);
    let pointers = seen.iter().filter(|(_, name, _)| *name == 1001).count();
    assert_eq!(pointers, 1);
    let of = |name: u64| seen.iter().find(|(_, of, _)| *of == name).unwrap().2;
    assert_eq!((of(1000), of(1001), of(1003)), (5, 0x8000, 0x9000));
    let (handle, plan, pack) = *EXECUTED.lock().unwrap().last().unwrap();
    assert_eq!(handle, HANDLE);
    assert!(
        made(plan) && !made(pack),
        "the pack lives as long as the call"
    );
    assert_eq!(status(&execute(true, 0, true)), 0);
    for (by_value, word) in [(false, 0x7000), (true, 1)] {
        let sent = execute(by_value, word, true);
        assert_eq!(sent[0].0.opcode, 0, "the session ends");
    }

    // What cannot be made, and what refers to it.
    FAILS.with(|fails| fails.set(2002));
    let bad = vec![
        packed("cudnnCreateTensorDescriptor", &[0]),
        packed("cudnnSetTensor4dDescriptor", &[600, 0, 0, 1, 1, 1, 1]),
    ];
    assert!(define(600, bad, false).is_empty());
    FAILS.with(|fails| fails.set(0));
    let sized = |tensor: u64, out: &mut u64| {
        packed(
            "cudnnGetTensorSizeInBytes",
            &[tensor, std::ptr::from_mut(out) as u64],
        )
    };
    let mut out = 0u64;
    let ask = |mut call: LibraryCall| {
        call.stream = NO_STREAM;
        status(&frame(state, command::CALL, &call, true))
    };
    assert_eq!(ask(sized(600, &mut out)), 2002);
    // Of another type, unknown, and forgotten.
    assert_eq!(ask(sized(501, &mut out)), -400);
    assert_eq!(ask(sized(9999, &mut out)), -400);
    let good = vec![packed("cudnnCreateTensorDescriptor", &[0])];
    assert!(define(601, good.clone(), false).is_empty());
    assert_eq!(ask(sized(601, &mut out)), 0);

    // Questions that come together are answered together, each as if it were alone.
    let together = |stream: u32, count: usize, out: &mut u64| {
        let calls = (0..count).map(|i| {
            let mut call = sized(if i % 2 == 0 { 601 } else { 600 }, out);
            call.stream = stream;
            call
        });
        let ask = LibraryAsk {
            stream: NO_STREAM,
            calls: calls.collect(),
        };
        frame(state, command::ASK, &ask, true)
    };
    let sent = together(NO_STREAM, 5, &mut out);
    assert_eq!((sent.len(), sent[0].0.opcode), (1, REPLY));
    let told: LibraryReplies = decode_all(&sent[0].1).unwrap();
    let told: Vec<_> = told
        .replies
        .iter()
        .map(|reply| (reply.result, reply.data.len()))
        .collect();
    assert_eq!(told, [(0, 8), (2002, 0), (0, 8), (2002, 0), (0, 8)]);
    for (stream, count) in [(5, 1), (NO_STREAM, MOST_ASKED + 1)] {
        let sent = together(stream, count, &mut out);
        assert_eq!(sent[0].0.opcode, 0, "the session ends");
    }

    assert_eq!(
        status(&define(601, good, true)),
        -400,
        "numbers are used once"
    );
    let forget = |object: u32| {
        let forget = LibraryForget {
            stream: NO_STREAM,
            object,
        };
        assert!(frame(state, command::FORGET, &forget, false).is_empty());
    };
    forget(601);
    assert_eq!(ask(sized(601, &mut out)), -400);

    // What something refers to outlives being forgotten.
    let tensor = seen_tensor(state);
    forget(500);
    assert!(made(tensor));
    forget(501);
    assert!(made(tensor));
    forget(502);
    assert!(!made(tensor), "nobody refers to it any more");
}

/// The stand-in's address of a node, found by a further one that refers to it.
fn seen_tensor(state: Started) -> u64 {
    SEEN.with_borrow_mut(|seen| seen.clear());
    let elements = [500u64];
    let define = LibraryDefine {
        stream: NO_STREAM,
        object: 700,
        steps: vec![
            packed("cudnnBackendCreateDescriptor", &[13, 0]),
            packed(
                "cudnnBackendSetAttribute",
                &[
                    700,
                    756,
                    attribute::DESCRIPTOR as u64,
                    1,
                    elements.as_ptr() as u64,
                ],
            ),
        ],
    };
    assert_eq!(frame(state, command::DEFINE, &define, true).len(), 1);
    let forget = LibraryForget {
        stream: NO_STREAM,
        object: 700,
    };
    frame(state, command::FORGET, &forget, false);
    SEEN.with_borrow(|seen| seen[0].2)
}
