//! Stream capture: <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__STREAM.html>.
//!
//! The worker captures, and the client records the same as nodes ([`crate::graph::record`]): what a program asks about a capture is answered from the record.
#![allow(non_snake_case, reason = "CUDA's names")]

use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use gvirtus_wire::api::core::{StreamBeginCapture, StreamEndCapture};
use gvirtus_wire::api::types::{CUgraph, CUgraphNode, CUstream, error};

use crate::capture::{self, Capture, CaptureStatus, MODE_RELAXED};
use crate::driver::{Result, context, graph_edges, put, put_if, session, stream};
use crate::graph::work::Work;
use crate::graph::{self, Edge, Graph};
use crate::session;
use crate::streams;

/// Begins a capture with the mode of CUDA 10.0, global.
pub(crate) fn cuStreamBeginCapture(stream: CUstream) -> Result<()> {
    cuStreamBeginCapture_v2(stream, capture::MODE_GLOBAL)
}

/// Begins a capture. The legacy default stream cannot capture.
pub(crate) fn cuStreamBeginCapture_v2(stream: CUstream, mode: u32) -> Result<()> {
    begin(stream, mode, None)
}

/// Begins a capture whose nodes go into a graph that is there, behind some of its nodes.
pub(crate) unsafe fn cuStreamBeginCaptureToGraph(
    stream: CUstream,
    graph: CUgraph,
    dependencies: *const CUgraphNode,
    edges: *const c_void,
    count: usize,
    mode: u32,
) -> Result<()> {
    session()?;
    let graph = graph::resolve(graph)?;
    // SAFETY: the caller's arrays.
    let after = unsafe { graph_edges::read(dependencies, edges, count)? };
    if !after.iter().all(|edge| edge.may_leave(&graph.nodes.lock())) {
        return Err(error::ERROR_INVALID_VALUE);
    }
    begin(stream, mode, Some((graph, after)))
}

fn begin(stream: CUstream, mode: u32, into: Option<(Arc<Graph>, Vec<Edge>)>) -> Result<()> {
    let session = session()?;
    let context = context::current()?;
    let stream = streams::resolve(session, &context, stream)?;
    if mode > MODE_RELAXED {
        return Err(error::ERROR_INVALID_VALUE);
    }
    session.check(stream.context)?;
    if stream.id == 0 {
        return Err(error::ERROR_STREAM_CAPTURE_UNSUPPORTED);
    }
    if capture::of(&stream).is_some() {
        return Err(error::ERROR_ILLEGAL_STATE);
    }
    session.call(stream.context, &StreamBeginCapture { stream: stream.id })?;
    let (graph, after) = match into {
        Some((graph, after)) => (graph, Some(after)),
        None => (Graph::create(context::home(stream.context))?, None),
    };
    Capture::begin(&stream, mode, graph, after);
    Ok(())
}

/// Ends a capture and gives the graph, null if the capture was invalidated.
pub(crate) unsafe fn cuStreamEndCapture(stream: CUstream, out: *mut CUgraph) -> Result<()> {
    let session = session()?;
    let context = context::current()?;
    let stream = streams::resolve(session, &context, stream)?;
    let capture = capture::of(&stream).ok_or(error::ERROR_ILLEGAL_STATE)?;
    if capture.origin != stream.id {
        capture.invalidate();
        return Err(error::ERROR_STREAM_CAPTURE_UNMATCHED);
    }
    if capture.mode != MODE_RELAXED && capture.thread != session::thread_number() {
        return Err(error::ERROR_STREAM_CAPTURE_WRONG_THREAD);
    }
    if out.is_null() && !capture.into_graph {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let invalidated = capture.status() == CaptureStatus::Invalidated;
    let graph = &capture.graph;
    graph::tell_gone(session, graph)?;
    let result = session.call(
        stream.context,
        &StreamEndCapture {
            stream: stream.id,
            graph: graph.id,
        },
    );
    capture.end();
    for stream in capture.leaving.lock().drain(..) {
        stream::destroy(session, &stream)?;
    }
    // SAFETY: the caller's pointer.
    unsafe { put_if(out, std::ptr::null_mut()) };
    // Where the program has changed the graph, the worker's may fail by what is not so in the program's.
    let conditional = |node: &graph::Node| matches!(node.work, Work::Conditional(_));
    let mirrored = capture.mirrored.load(Ordering::Acquire)
        && !graph.nodes.lock().list.iter().any(conditional);
    if result.is_ok() {
        graph.known.store(true, Ordering::Release);
        graph.mirrored.store(mirrored, Ordering::Release);
    }
    let status = match result {
        Err(code) if mirrored => Err(code),
        _ if invalidated => Err(error::ERROR_STREAM_CAPTURE_INVALIDATED),
        _ => Ok(()),
    };
    if let Err(code) = status {
        if !capture.into_graph {
            graph::destroy(session, graph)?;
        }
        return Err(code);
    }
    if graph.is_inside() {
        // Part of a node: the worker makes it when it makes the graph that the node is in.
        graph::tell_gone(session, graph)?;
    }
    // SAFETY: the caller's pointer; whoever captured into a graph has its handle already.
    unsafe { put_if(out, graph.handle as *mut c_void) };
    Ok(())
}

/// Whether a stream is capturing. The legacy stream's question is refused while a blocking stream captures.
pub(crate) unsafe fn cuStreamIsCapturing(stream: CUstream, status: *mut u32) -> Result<()> {
    let session = session()?;
    let context = context::current()?;
    let stream = streams::resolve(session, &context, stream)?;
    if stream.id == 0 {
        capture::legacy_may_ask(&stream)?;
    }
    let now = capture::of(&stream).map_or(CaptureStatus::None, |c| c.status());
    // SAFETY: the caller's pointer.
    unsafe { put(status, now as u32) }
}

/// What a stream's capture is: status, id, the graph so far, and what comes next depends on. Whoever has no room for the edges' data is not told of edges that are not plain ones.
pub(crate) unsafe fn cuStreamGetCaptureInfo_v3(
    stream: CUstream,
    status: *mut u32,
    id: *mut u64,
    graph: *mut CUgraph,
    dependencies: *mut *const CUgraphNode,
    edges: *mut *const c_void,
    count: *mut usize,
) -> Result<()> {
    let session = session()?;
    let context = context::current()?;
    let stream = streams::resolve(session, &context, stream)?;
    if stream.id == 0 {
        capture::legacy_may_ask(&stream)?;
    }
    let capture = capture::of(&stream);
    if let Some(capture) = &capture {
        let plain = capture.front(&stream).iter().all(Edge::is_plain);
        if !plain && !dependencies.is_null() && edges.is_null() {
            return Err(error::ERROR_LOSSY_QUERY);
        }
    }
    let now = capture.as_ref().map_or(CaptureStatus::None, |c| c.status());
    // SAFETY: the caller's pointers.
    unsafe {
        put(status, now as u32)?;
        if let Some(capture) = capture {
            put_if(id, capture.id);
            put_if(graph, capture.graph.handle as *mut c_void);
            let (nodes, list, data) = capture.list_front(&stream);
            put_if(dependencies, list.cast());
            put_if(edges, data.cast());
            put_if(count, nodes);
        }
    }
    Ok(())
}

/// As `_v3`, without edge data.
pub(crate) unsafe fn cuStreamGetCaptureInfo_v2(
    stream: CUstream,
    status: *mut u32,
    id: *mut u64,
    graph: *mut CUgraph,
    dependencies: *mut *const CUgraphNode,
    count: *mut usize,
) -> Result<()> {
    let none = std::ptr::null_mut();
    // SAFETY: the caller's pointers.
    unsafe { cuStreamGetCaptureInfo_v3(stream, status, id, graph, dependencies, none, count) }
}

/// Changes what the next captured work of a stream depends on: adds nodes (flags 0) or sets them (1).
pub(crate) unsafe fn cuStreamUpdateCaptureDependencies_v2(
    stream: CUstream,
    dependencies: *mut CUgraphNode,
    edges: *const c_void,
    count: usize,
    flags: u32,
) -> Result<()> {
    let session = session()?;
    let context = context::current()?;
    let stream = streams::resolve(session, &context, stream)?;
    let capture = capture::of(&stream).ok_or(error::ERROR_ILLEGAL_STATE)?;
    if capture.status() == CaptureStatus::Invalidated {
        return Err(error::ERROR_STREAM_CAPTURE_INVALIDATED);
    }
    // SAFETY: the caller's arrays.
    let edges = unsafe { graph_edges::read(dependencies, edges, count)? };
    let known = |edge: &Edge| edge.may_leave(&capture.graph.nodes.lock());
    if flags > 1 || !edges.iter().all(known) {
        return Err(error::ERROR_INVALID_VALUE);
    }
    capture.mirrored.store(false, Ordering::Release);
    if flags == 1 {
        capture.set_front(&stream, Vec::new());
    }
    capture.extend_front(&stream, &edges);
    Ok(())
}

/// As `_v2`, without edge data.
pub(crate) unsafe fn cuStreamUpdateCaptureDependencies(
    stream: CUstream,
    dependencies: *mut CUgraphNode,
    count: usize,
    flags: u32,
) -> Result<()> {
    let none = std::ptr::null();
    // SAFETY: the caller's array.
    unsafe { cuStreamUpdateCaptureDependencies_v2(stream, dependencies, none, count, flags) }
}

/// Exchanges the calling thread's capture mode. As natively, what is no mode is taken, and given back by the next call.
pub(crate) unsafe fn cuThreadExchangeStreamCaptureMode(mode: *mut u32) -> Result<()> {
    session()?;
    if mode.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    // SAFETY: not null; the caller's pointer.
    let new = unsafe { mode.read_unaligned() };
    // SAFETY: as above.
    unsafe { put(mode, capture::exchange_mode(new)) }
}
