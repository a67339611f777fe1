//! Stream capture and graphs. One at a time: a capture in global mode concerns other threads.
#![allow(
    missing_docs,
    clippy::macro_metavars_in_unsafe,
    reason = "a test, whose calls go to C functions"
)]

mod driver_common;

use std::ptr::null_mut;
use std::sync::{Mutex, MutexGuard};

use driver_common::*;

const GLOBAL: u32 = 0;
const THREAD_LOCAL: u32 = 1;
const RELAXED: u32 = 2;

fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn end(stream: CUstream) -> (i32, CUgraph) {
    let mut graph = null_mut();
    let code = cu!(cuStreamEndCapture(stream, &mut graph));
    (code, graph)
}

fn instantiate(graph: CUgraph) -> CUgraphExec {
    let mut executable = null_mut();
    ok!(cuGraphInstantiateWithFlags(&mut executable, graph, 0));
    executable
}

#[test]
fn a_captured_graph_runs_each_time_it_is_launched() {
    let _one = alone();
    let _context = OwnContext::new();
    let stream = stream(1);
    let (a, b) = (alloc(64), alloc(64));
    ok!(cuMemsetD8_v2(b, 0, 64));
    ok!(cuCtxSynchronize());
    ok!(cuStreamBeginCapture_v2(stream, GLOBAL));
    let mut status = 9;
    ok!(cuStreamIsCapturing(stream, &mut status));
    assert_eq!(status, 1);
    ok!(cuMemsetD32Async(a, 7, 16, stream));
    ok!(cuMemcpyDtoDAsync_v2(b, a, 64, stream));
    let (mut id, mut graph, mut nodes, mut count) = (0, null_mut(), std::ptr::null(), 0);
    ok!(cuStreamGetCaptureInfo_v2(
        stream,
        &mut status,
        &mut id,
        &mut graph,
        &mut nodes,
        &mut count
    ));
    assert_eq!((status, count), (1, 1));
    let (code, ended) = end(stream);
    assert_eq!((code, ended), (0, graph));
    assert_eq!(download::<u32>(b, 1), [0], "capturing runs nothing");
    let mut count = 0;
    ok!(cuGraphGetNodes(graph, null_mut(), &mut count));
    assert_eq!(count, 2);
    let executable = instantiate(graph);
    ok!(cuGraphDestroy(graph));
    for _ in 0..3 {
        ok!(cuMemsetD8_v2(b, 0, 64));
        ok!(cuCtxSynchronize());
        ok!(cuGraphLaunch(executable, stream));
        ok!(cuStreamSynchronize(stream));
        assert_eq!(download::<u32>(b, 1), [7]);
    }
    ok!(cuGraphExecDestroy(executable));
    assert_eq!(cu!(cuGraphExecDestroy(executable)), ERROR_INVALID_VALUE);
}

#[test]
fn fork_and_join() {
    let _one = alone();
    let _context = OwnContext::new();
    let (first, second) = (stream(1), stream(1));
    let (fork, join) = (event(2), event(2));
    let (a, b) = (alloc(64), alloc(64));
    ok!(cuStreamBeginCapture_v2(first, THREAD_LOCAL));
    ok!(cuMemsetD32Async(a, 1, 16, first));
    ok!(cuEventRecord(fork, first));
    ok!(cuStreamWaitEvent(second, fork, 0));
    ok!(cuMemcpyDtoDAsync_v2(b, a, 64, second));
    ok!(cuEventRecord(join, second));
    assert_eq!(
        cu!(cuStreamEndCapture(second, &mut null_mut())),
        ERROR_STREAM_CAPTURE_UNMATCHED
    );
    let (code, _) = end(first);
    assert_eq!(code, ERROR_STREAM_CAPTURE_INVALIDATED);

    ok!(cuStreamBeginCapture_v2(first, THREAD_LOCAL));
    ok!(cuMemsetD32Async(a, 1, 16, first));
    ok!(cuEventRecord(fork, first));
    ok!(cuStreamWaitEvent(second, fork, 0));
    ok!(cuMemcpyDtoDAsync_v2(b, a, 64, second));
    ok!(cuEventRecord(join, second));
    ok!(cuStreamWaitEvent(first, join, 0));
    ok!(cuMemsetD32Async(a, 2, 16, first));
    let (code, graph) = end(first);
    assert_eq!(code, 0);
    let mut status = 9;
    ok!(cuStreamIsCapturing(second, &mut status));
    assert_eq!(status, 0);
    let executable = instantiate(graph);
    ok!(cuGraphLaunch(executable, first));
    ok!(cuStreamSynchronize(first));
    assert_eq!((download::<u32>(a, 1)[0], download::<u32>(b, 1)[0]), (2, 1));

    // Without the join.
    ok!(cuStreamBeginCapture_v2(first, RELAXED));
    ok!(cuEventRecord(fork, first));
    ok!(cuStreamWaitEvent(second, fork, 0));
    ok!(cuMemsetD32Async(a, 1, 16, second));
    assert_eq!(end(first), (ERROR_STREAM_CAPTURE_UNJOINED, null_mut()));
}

#[test]
fn forbidden_calls_invalidate() {
    let _one = alone();
    let _context = OwnContext::new();
    let stream = stream(1);
    let recorded = event(0);
    let mut address = 0;
    ok!(cuEventRecord(recorded, stream));
    ok!(cuStreamSynchronize(stream));
    let calls: [&dyn Fn(&mut u64) -> i32; 5] = [
        &|address| cu!(cuMemAlloc_v2(address, 64)),
        &|_| cu!(cuEventQuery(recorded)),
        &|_| cu!(cuStreamSynchronize(stream)),
        &|_| cu!(cuCtxSynchronize()),
        &|_| cu!(cuStreamQuery(null_mut())),
    ];
    for call in calls {
        ok!(cuStreamBeginCapture_v2(stream, GLOBAL));
        assert_eq!(call(&mut address), ERROR_STREAM_CAPTURE_UNSUPPORTED);
        assert_eq!(
            cu!(cuEventRecord(recorded, stream)),
            ERROR_STREAM_CAPTURE_INVALIDATED
        );
        assert_eq!(end(stream), (ERROR_STREAM_CAPTURE_INVALIDATED, null_mut()));
    }
    // Uncaptured work is no dependency of captured work.
    ok!(cuEventRecord(recorded, stream));
    ok!(cuStreamBeginCapture_v2(stream, RELAXED));
    assert_eq!(
        cu!(cuStreamWaitEvent(stream, recorded, 0)),
        ERROR_STREAM_CAPTURE_ISOLATION
    );
    assert_eq!(end(stream).0, ERROR_STREAM_CAPTURE_INVALIDATED);
    // The legacy stream cannot capture, nor can a stream capture twice or end what has not begun.
    assert_eq!(
        cu!(cuStreamBeginCapture_v2(null_mut(), GLOBAL)),
        ERROR_STREAM_CAPTURE_UNSUPPORTED
    );
    assert_eq!(end(stream).0, ERROR_ILLEGAL_STATE);
    ok!(cuStreamBeginCapture_v2(stream, RELAXED));
    assert_eq!(
        cu!(cuStreamBeginCapture_v2(stream, RELAXED)),
        ERROR_ILLEGAL_STATE
    );
    let captured = event(0);
    ok!(cuEventRecord(captured, stream));
    ok!(cuMemAlloc_v2(&mut address, 64));
    assert_eq!(cu!(cuEventSynchronize(captured)), ERROR_CAPTURED_EVENT);
    end(stream);
}

#[test]
fn the_legacy_stream_and_a_blocking_stream_in_capture() {
    let _one = alone();
    let _context = OwnContext::new();
    let blocking = stream(0);
    let memory = alloc(64);
    ok!(cuStreamBeginCapture_v2(blocking, RELAXED));
    assert_eq!(
        cu!(cuMemsetD8Async(memory, 0, 64, null_mut())),
        ERROR_STREAM_CAPTURE_IMPLICIT
    );
    assert_eq!(end(blocking).0, ERROR_STREAM_CAPTURE_INVALIDATED);
    let free = stream(1);
    ok!(cuStreamBeginCapture_v2(free, RELAXED));
    ok!(cuMemsetD8Async(memory, 0, 64, null_mut()));
    assert_eq!(end(free).0, 0);
}

#[test]
fn modes_decide_about_other_threads() {
    let _one = alone();
    let own = OwnContext::new();
    let stream = stream(1);
    let handle = own.0.expose_provenance();
    let elsewhere = move |mode: Option<u32>| {
        std::thread::spawn(move || {
            ok!(cuCtxSetCurrent(std::ptr::with_exposed_provenance_mut(
                handle
            )));
            if let Some(mut mode) = mode {
                ok!(cuThreadExchangeStreamCaptureMode(&mut mode));
                assert_eq!(mode, GLOBAL);
            }
            let mut address = 0;
            cu!(cuMemAlloc_v2(&mut address, 64))
        })
        .join()
        .unwrap()
    };
    for (capture, thread, code) in [
        (GLOBAL, None, ERROR_STREAM_CAPTURE_UNSUPPORTED),
        (GLOBAL, Some(THREAD_LOCAL), 0),
        (GLOBAL, Some(RELAXED), 0),
        (THREAD_LOCAL, None, 0),
        (RELAXED, None, 0),
    ] {
        ok!(cuStreamBeginCapture_v2(stream, capture));
        assert_eq!(
            elsewhere(thread),
            code,
            "capture {capture}, thread {thread:?}"
        );
        assert_eq!(
            end(stream).0,
            if code == 0 {
                0
            } else {
                ERROR_STREAM_CAPTURE_INVALIDATED
            }
        );
    }
    ok!(cuStreamBeginCapture_v2(stream, THREAD_LOCAL));
    let raw = stream.expose_provenance();
    let code = std::thread::spawn(move || {
        ok!(cuCtxSetCurrent(std::ptr::with_exposed_provenance_mut(
            handle
        )));
        cu!(cuStreamEndCapture(
            std::ptr::with_exposed_provenance_mut(raw),
            &mut null_mut()
        ))
    });
    assert_eq!(code.join().unwrap(), ERROR_STREAM_CAPTURE_WRONG_THREAD);
    assert_eq!(end(stream).0, 0);
}

#[test]
fn a_graph_inside_a_graph_and_external_events() {
    let _one = alone();
    let _context = OwnContext::new();
    let (first, second) = (stream(1), stream(1));
    let done = event(0);
    let (a, b) = (alloc(64), alloc(64));
    ok!(cuStreamBeginCapture_v2(first, RELAXED));
    ok!(cuMemsetD32Async(a, 3, 16, first));
    let inner = instantiate(end(first).1);
    ok!(cuStreamBeginCapture_v2(first, RELAXED));
    ok!(cuGraphLaunch(inner, first));
    ok!(cuMemcpyDtoDAsync_v2(b, a, 64, first));
    ok!(cuEventRecordWithFlags(done, first, 1));
    let outer = instantiate(end(first).1);
    let gate = Gate::close(first);
    ok!(cuGraphLaunch(outer, first));
    ok!(cuGraphLaunch(outer, second));
    assert_eq!(
        cu!(cuStreamQuery(second)),
        ERROR_NOT_READY,
        "launches of one graph do not overlap"
    );
    gate.open();
    ok!(cuEventSynchronize(done));
    assert_eq!(download::<u32>(b, 1), [3]);
}

#[test]
fn nodes_added_by_hand() {
    #[repr(C)]
    struct Fill {
        address: u64,
        pitch: usize,
        value: u32,
        element: u32,
        width: usize,
        height: usize,
    }
    let _one = alone();
    let context = OwnContext::new();
    let stream = stream(1);
    let (a, b) = (alloc(64), alloc(64));
    let (mut graph, mut fill, mut copy, mut join) =
        (null_mut(), null_mut(), null_mut(), null_mut());
    ok!(cuGraphCreate(&mut graph, 0));
    let mut params = Fill {
        address: a,
        pitch: 0,
        value: 9,
        element: 4,
        width: 16,
        height: 1,
    };
    ok!(cuGraphAddMemsetNode(
        &mut fill,
        graph,
        std::ptr::null(),
        0,
        (&raw const params).cast(),
        context.0
    ));
    // SAFETY: plain numbers and pointers; null is right for what is not used.
    let mut shape: CUDA_MEMCPY3D = unsafe { std::mem::zeroed() };
    (shape.srcMemoryType, shape.srcDevice) = (2, a);
    (shape.dstMemoryType, shape.dstDevice) = (2, b);
    (shape.WidthInBytes, shape.Height, shape.Depth) = (64, 1, 1);
    ok!(cuGraphAddMemcpyNode(
        &mut copy, graph, &fill, 1, &shape, context.0
    ));
    ok!(cuGraphAddEmptyNode(
        &mut join,
        graph,
        [fill, copy].as_ptr(),
        2
    ));
    params.address = 0x1000;
    assert_eq!(
        cu!(cuGraphAddMemsetNode(
            &mut fill,
            graph,
            std::ptr::null(),
            0,
            (&raw const params).cast(),
            context.0
        )),
        ERROR_INVALID_VALUE
    );
    assert_eq!(
        cu!(cuGraphAddEmptyNode(&mut join, graph, &stream, 1)),
        ERROR_INVALID_VALUE,
        "no node of the graph"
    );
    let (mut sort, mut roots) = (99, 0);
    ok!(cuGraphNodeGetType(copy, &mut sort));
    ok!(cuGraphGetRootNodes(graph, null_mut(), &mut roots));
    assert_eq!((sort, roots), (1, 1));
    let executable = instantiate(graph);
    ok!(cuGraphLaunch(executable, stream));
    ok!(cuStreamSynchronize(stream));
    assert_eq!(download::<u32>(b, 1), [9]);
}
