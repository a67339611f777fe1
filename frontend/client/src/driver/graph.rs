//! Stream capture and graphs: <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__STREAM.html>,
//! <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__GRAPH.html>.
#![allow(non_snake_case, reason = "CUDA's names")]

use std::ffi::c_void;
use std::sync::Arc;

use gvirtus_wire::api::core::{
    GraphCreate, GraphDestroy, GraphExecDestroy, GraphInstantiate, GraphLaunch, StreamBeginCapture,
    StreamEndCapture,
};
use gvirtus_wire::api::types::{CUgraph, CUgraphExec, CUgraphNode, CUresult, CUstream, error};

use crate::capture::{self, Capture, CaptureStatus, MODE_RELAXED};
use crate::driver::{Result, context, put, put_if, session};
use crate::handles::{Kind, Table};
use crate::memory::managed::Uses;
use crate::session::{self, Session};
use crate::streams;

struct Graph {
    id: u32,
    context: u32,
    handle: usize,
    nodes: u32,
}

struct Exec {
    id: u32,
    context: u32,
    handle: usize,
}

static GRAPHS: Table<Graph> = Table::new(Kind::Graph);
static EXECS: Table<Exec> = Table::new(Kind::GraphExec);

fn graph(handle: CUgraph) -> std::result::Result<Arc<Graph>, CUresult> {
    GRAPHS.get(handle).ok_or(error::ERROR_INVALID_VALUE)
}

/// Begins a capture with the mode of CUDA 10.0, global.
pub(crate) fn cuStreamBeginCapture(stream: CUstream) -> Result<()> {
    cuStreamBeginCapture_v2(stream, capture::MODE_GLOBAL)
}

/// Begins a capture. The legacy default stream cannot capture.
pub(crate) fn cuStreamBeginCapture_v2(stream: CUstream, mode: u32) -> Result<()> {
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
    Capture::begin(&stream, mode);
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
    if out.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let invalidated = capture.status() == CaptureStatus::Invalidated;
    let mut result = Err(error::ERROR_STREAM_CAPTURE_INVALIDATED);
    let created = GRAPHS.try_insert(|handle, id| {
        result = session.call(
            stream.context,
            &StreamEndCapture {
                stream: stream.id,
                graph: id,
            },
        );
        let nodes = *result.as_ref().map_err(|&code| code)?;
        Ok(Graph {
            id,
            context: stream.context,
            handle: handle as usize,
            nodes,
        })
    });
    capture.end();
    // SAFETY: the caller's pointer.
    unsafe { put(out, std::ptr::null_mut())? };
    let created = created?;
    if invalidated {
        destroy(session, &created)?;
        return Err(error::ERROR_STREAM_CAPTURE_INVALIDATED);
    }
    // SAFETY: the caller's pointer.
    unsafe { put(out, created.handle as *mut c_void) }
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

/// Status and id of a stream's capture. Graph and dependencies are the backend's and cannot be given while it captures.
pub(crate) unsafe fn cuStreamGetCaptureInfo_v2(
    stream: CUstream,
    status: *mut u32,
    id: *mut u64,
    graph: *mut CUgraph,
    dependencies: *mut *const CUgraphNode,
    count: *mut usize,
) -> Result<()> {
    let session = session()?;
    let context = context::current()?;
    let stream = streams::resolve(session, &context, stream)?;
    if stream.id == 0 {
        capture::legacy_may_ask(&stream)?;
    }
    let capture = capture::of(&stream);
    if capture.is_some() && !(graph.is_null() && dependencies.is_null() && count.is_null()) {
        crate::log::unsupported("cuStreamGetCaptureInfo (graph and dependencies)");
        return Err(error::ERROR_NOT_SUPPORTED);
    }
    // SAFETY: the caller's pointers.
    unsafe {
        put(
            status,
            capture.as_ref().map_or(CaptureStatus::None, |c| c.status()) as u32,
        )?;
        if let Some(capture) = capture {
            put_if(id, capture.id);
        }
    }
    Ok(())
}

/// As `_v2`, with edge data.
pub(crate) unsafe fn cuStreamGetCaptureInfo_v3(
    stream: CUstream,
    status: *mut u32,
    id: *mut u64,
    graph: *mut CUgraph,
    dependencies: *mut *const CUgraphNode,
    edges: *mut *const c_void,
    count: *mut usize,
) -> Result<()> {
    if !edges.is_null() {
        crate::log::unsupported("cuStreamGetCaptureInfo (edge data)");
        return Err(error::ERROR_NOT_SUPPORTED);
    }
    // SAFETY: the caller's pointers.
    unsafe { cuStreamGetCaptureInfo_v2(stream, status, id, graph, dependencies, count) }
}

/// Exchanges the calling thread's capture mode.
pub(crate) unsafe fn cuThreadExchangeStreamCaptureMode(mode: *mut u32) -> Result<()> {
    session()?;
    if mode.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    // SAFETY: not null; the caller's pointer.
    let new = unsafe { mode.read_unaligned() };
    if new > MODE_RELAXED {
        return Err(error::ERROR_INVALID_VALUE);
    }
    // SAFETY: as above.
    unsafe { put(mode, capture::exchange_mode(new)) }
}

/// An empty graph. Flags must be 0.
pub(crate) unsafe fn cuGraphCreate(out: *mut CUgraph, flags: u32) -> Result<()> {
    let session = session()?;
    if out.is_null() || flags != 0 {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let context = context::current()?.id;
    let created = GRAPHS.try_insert(|handle, id| {
        session.post(context, &GraphCreate { graph: id })?;
        Ok(Graph {
            id,
            context,
            handle: handle as usize,
            nodes: 0,
        })
    })?;
    // SAFETY: the caller's pointer.
    unsafe { put(out, created.handle as *mut c_void) }
}

fn destroy(session: &Session, graph: &Graph) -> Result<()> {
    GRAPHS.remove_with(graph.handle as *mut c_void, || {
        session.post(graph.context, &GraphDestroy { graph: graph.id })
    })
}

/// Destroys a graph; what was instantiated from it stays.
pub(crate) fn cuGraphDestroy(handle: CUgraph) -> Result<()> {
    let session = session()?;
    destroy(session, &*graph(handle)?)
}

/// Number of nodes. The nodes themselves have no handles here yet.
pub(crate) unsafe fn cuGraphGetNodes(
    handle: CUgraph,
    nodes: *mut CUgraphNode,
    count: *mut usize,
) -> Result<()> {
    session()?;
    let graph = graph(handle)?;
    if !nodes.is_null() {
        crate::log::unsupported("cuGraphGetNodes (node handles)");
        return Err(error::ERROR_NOT_SUPPORTED);
    }
    // SAFETY: the caller's pointer.
    unsafe { put(count, graph.nodes as usize) }
}

/// `CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH | UPLOAD | USE_NODE_PRIORITY`; device launch is not supported.
const INSTANTIATE_FLAGS: u64 = 1 | 2 | 8;

/// Makes an executable graph.
pub(crate) unsafe fn cuGraphInstantiateWithFlags(
    out: *mut CUgraphExec,
    handle: CUgraph,
    flags: u64,
) -> Result<()> {
    let session = session()?;
    let graph = graph(handle)?;
    if out.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    if flags & !INSTANTIATE_FLAGS != 0 {
        return Err(error::ERROR_NOT_SUPPORTED);
    }
    capture::forbid()?;
    let created = EXECS.try_insert(|handle, id| {
        session.call(
            graph.context,
            &GraphInstantiate {
                graph: graph.id,
                exec: id,
                flags,
            },
        )?;
        Ok(Exec {
            id,
            context: graph.context,
            handle: handle as usize,
        })
    })?;
    // SAFETY: the caller's pointer.
    unsafe { put(out, created.handle as *mut c_void) }
}

/// `CUDA_GRAPH_INSTANTIATE_PARAMS`.
#[repr(C)]
struct InstantiateParams {
    flags: u64,
    upload_stream: CUstream,
    error_node: CUgraphNode,
    result: u32,
}

/// As `cuGraphInstantiateWithFlags`, with the flags in a structure.
pub(crate) unsafe fn cuGraphInstantiateWithParams(
    out: *mut CUgraphExec,
    handle: CUgraph,
    parameters: *mut c_void,
) -> Result<()> {
    let parameters = parameters.cast::<InstantiateParams>();
    if parameters.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    // SAFETY: not null; the caller gives the structure. 0 is CUDA_GRAPH_INSTANTIATE_SUCCESS, 1 CUDA_GRAPH_INSTANTIATE_ERROR.
    unsafe {
        let result = cuGraphInstantiateWithFlags(out, handle, (*parameters).flags);
        (*parameters).error_node = std::ptr::null_mut();
        (*parameters).result = u32::from(result.is_err());
        result
    }
}

/// Launches an executable graph on a stream.
pub(crate) fn cuGraphLaunch(handle: CUgraphExec, stream: CUstream) -> Result<()> {
    let session = session()?;
    let exec = EXECS.get(handle).ok_or(error::ERROR_INVALID_VALUE)?;
    let context = context::current()?;
    streams::submit(session, &context, stream, &[], Uses::Graph, |stream| {
        GraphLaunch {
            exec: exec.id,
            stream,
        }
    })
}

/// Uploads an executable graph ahead of its launch: the worker's driver does that at the first launch, nothing is due here.
pub(crate) fn cuGraphUpload(handle: CUgraphExec, stream: CUstream) -> Result<()> {
    let session = session()?;
    EXECS.get(handle).ok_or(error::ERROR_INVALID_VALUE)?;
    streams::resolve(session, &*context::current()?, stream).map(drop)
}

/// Destroys an executable graph; launches of it go on.
pub(crate) fn cuGraphExecDestroy(handle: CUgraphExec) -> Result<()> {
    let session = session()?;
    let exec = EXECS.get(handle).ok_or(error::ERROR_INVALID_VALUE)?;
    EXECS.remove_with(handle, || {
        session.post(exec.context, &GraphExecDestroy { exec: exec.id })
    })
}
