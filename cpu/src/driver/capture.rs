//! Stream capture: work goes into a graph instead of a queue.
//!
//! A call that may not be made during a capture fails and invalidates the capture, as with NVIDIA's driver; which calls those are depends on the capture's mode and on
//! the calling thread's (see `cuThreadExchangeStreamCaptureMode`).

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::thread::{self, ThreadId};

use gvirtus_wire::api::types::{CUgraph, CUgraphNode, CUstream};
use parking_lot::Mutex;

use super::context::Context;
use super::error::{
    ERROR_ILLEGAL_STATE, ERROR_INVALID_VALUE, ERROR_NOT_SUPPORTED, ERROR_STREAM_CAPTURE_IMPLICIT,
    ERROR_STREAM_CAPTURE_INVALIDATED, ERROR_STREAM_CAPTURE_ISOLATION, ERROR_STREAM_CAPTURE_MERGE,
    ERROR_STREAM_CAPTURE_UNJOINED, ERROR_STREAM_CAPTURE_UNMATCHED,
    ERROR_STREAM_CAPTURE_UNSUPPORTED, ERROR_STREAM_CAPTURE_WRONG_THREAD, Result,
};
use super::event::Event;
use super::graph::{self, GRAPHS, Graph};
use super::stream::{self, Sort, Stream};
use super::work::Work;
use super::{ffi, handles, state};

/// `CUstreamCaptureMode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Global = 0,
    ThreadLocal = 1,
    Relaxed = 2,
}

impl Mode {
    fn from_raw(raw: u32) -> Result<Self> {
        match raw {
            0 => Ok(Self::Global),
            1 => Ok(Self::ThreadLocal),
            2 => Ok(Self::Relaxed),
            _ => Err(ERROR_INVALID_VALUE),
        }
    }
}

/// `CUstreamCaptureStatus`.
const STATUS_NONE: u32 = 0;
const STATUS_ACTIVE: u32 = 1;
const STATUS_INVALIDATED: u32 = 2;

/// One capture: from `cuStreamBeginCapture` to `cuStreamEndCapture`.
pub(super) struct Capture {
    id: u64,
    mode: Mode,
    thread: ThreadId,
    context: u64,
    /// [`Stream::id`] of the stream in which it began.
    origin: u64,
    graph: Arc<Graph>,
    invalid: AtomicBool,
    ended: AtomicBool,
    /// Nodes that the graph had before, when it is one of the program's.
    before: Option<usize>,
    /// The streams that take part, the origin among them.
    streams: Mutex<Vec<Weak<Stream>>>,
    /// Nodes on which a stream depended until the program said otherwise: they need not be joined.
    released: Mutex<Vec<usize>>,
}

/// A stream's part in a capture.
pub(super) struct Part {
    capture: Arc<Capture>,
    /// The nodes that the stream's next one depends on.
    dependencies: Vec<usize>,
    /// Their handles, for `cuStreamGetCaptureInfo`, whose result lives until the next call on the stream.
    listed: Vec<usize>,
}

/// A point in a capture, as an event holds it.
#[derive(Clone)]
pub(super) struct Point {
    capture: Arc<Capture>,
    nodes: Vec<usize>,
}

impl Point {
    /// Makes the capture fail at its end.
    pub(super) fn invalidate(&self) {
        self.capture.invalidate();
    }
}

impl Capture {
    fn invalidate(&self) {
        self.invalid.store(true, Ordering::Release);
    }

    fn check(&self) -> Result {
        if self.invalid.load(Ordering::Acquire) {
            Err(ERROR_STREAM_CAPTURE_INVALIDATED)
        } else {
            Ok(())
        }
    }

    fn is_own(&self) -> bool {
        self.thread == thread::current().id()
    }

    /// Ends it: its streams capture no more.
    fn finish(self: &Arc<Self>) {
        self.ended.store(true, Ordering::Release);
        let streams = std::mem::take(&mut *self.streams.lock());
        for stream in streams.iter().filter_map(Weak::upgrade) {
            let mut part = stream.capture.lock();
            if part
                .as_ref()
                .is_some_and(|part| Arc::ptr_eq(&part.capture, self))
            {
                *part = None;
            }
        }
        let mut active = ACTIVE.lock();
        active.retain(|other| !Arc::ptr_eq(other, self));
        COUNT.store(active.len(), Ordering::Release);
    }
}

static ACTIVE: Mutex<Vec<Arc<Capture>>> = Mutex::new(Vec::new());
/// `ACTIVE.len()`, so that calls outside any capture cost one load.
static COUNT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static THREAD_MODE: Cell<Mode> = const { Cell::new(Mode::Global) };
}

/// To be called by functions that are unsafe during captures.
///
/// # Errors
/// `CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED`, and the captures in question are invalidated.
pub(super) fn forbid_unsafe_call() -> Result {
    let mode = THREAD_MODE.get();
    if COUNT.load(Ordering::Acquire) == 0 || mode == Mode::Relaxed {
        return Ok(());
    }
    let mut forbidden = false;
    for capture in &*ACTIVE.lock() {
        let concerned = if capture.is_own() {
            capture.mode != Mode::Relaxed
        } else {
            mode == Mode::Global && capture.mode == Mode::Global
        };
        if concerned {
            capture.invalidate();
            forbidden = true;
        }
    }
    if forbidden {
        Err(ERROR_STREAM_CAPTURE_UNSUPPORTED)
    } else {
        Ok(())
    }
}

/// To be called by functions that wait for a whole context.
///
/// # Errors
/// `CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED` while one of its streams captures.
pub(super) fn forbid_synchronization(context: &Context) -> Result {
    forbid_unsafe_call()?;
    if COUNT.load(Ordering::Acquire) == 0 {
        return Ok(());
    }
    let mut forbidden = false;
    for capture in ACTIVE
        .lock()
        .iter()
        .filter(|capture| capture.context == context.id)
    {
        capture.invalidate();
        forbidden = true;
    }
    if forbidden {
        Err(ERROR_STREAM_CAPTURE_UNSUPPORTED)
    } else {
        Ok(())
    }
}

/// To be called by functions that wait for a stream or ask how far it is.
///
/// # Errors
/// `CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED` when it captures, and the capture is invalidated; `…_IMPLICIT` as [`add`].
pub(super) fn forbid_on(stream: &Stream) -> Result {
    if COUNT.load(Ordering::Acquire) == 0 {
        return Ok(());
    }
    if let Some(part) = &*stream.capture.lock() {
        part.capture.invalidate();
        return Err(ERROR_STREAM_CAPTURE_UNSUPPORTED);
    }
    forbid_unsafe_call()?;
    forbid_implicit(stream)
}

/// To be called by functions that run on a stream while they wait for it.
///
/// # Errors
/// As [`forbid_on`], but for calls that are allowed while other streams capture.
pub(super) fn forbid_wait_on(stream: &Stream) -> Result {
    if let Some(part) = &*stream.capture.lock() {
        part.capture.invalidate();
        return Err(ERROR_STREAM_CAPTURE_UNSUPPORTED);
    }
    forbid_implicit(stream)
}

/// Invalidates the capture of a stream that goes away.
pub(super) fn abandon_part(stream: &Stream) {
    if let Some(part) = &*stream.capture.lock() {
        part.capture.invalidate();
    }
}

/// The legacy stream may not be used while a blocking stream of its context captures: it would depend on captured work.
fn forbid_implicit(stream: &Stream) -> Result {
    if stream.sort != Sort::Legacy || COUNT.load(Ordering::Acquire) == 0 {
        return Ok(());
    }
    let mut forbidden = false;
    for capture in &*ACTIVE.lock() {
        let blocking = |other: &Weak<Stream>| {
            other.upgrade().is_some_and(|other| {
                other.is_blocking() && other.context_handle == stream.context_handle
            })
        };
        if capture.streams.lock().iter().any(blocking) {
            capture.invalidate();
            forbidden = true;
        }
    }
    if forbidden {
        Err(ERROR_STREAM_CAPTURE_IMPLICIT)
    } else {
        Ok(())
    }
}

/// Adds work to the stream's capture; false if it does not capture.
///
/// # Errors
/// The capture is invalidated; the legacy stream was used while a blocking stream captures.
pub(super) fn add(stream: &Stream, work: &Work) -> Result<bool> {
    if COUNT.load(Ordering::Acquire) == 0 {
        return Ok(false);
    }
    let mut guard = stream.capture.lock();
    let Some(part) = guard.as_mut() else {
        drop(guard);
        forbid_implicit(stream)?;
        return Ok(false);
    };
    part.capture.check()?;
    let node = part
        .capture
        .graph
        .add(work.clone(), part.dependencies.clone());
    part.dependencies = vec![node];
    Ok(true)
}

/// Records an event in the stream's capture; false if it does not capture.
///
/// # Errors
/// As [`add`].
pub(super) fn record(stream: &Stream, event: &Arc<Event>, external: bool) -> Result<bool> {
    if external {
        return add(stream, &Work::RecordEvent(Arc::clone(event)));
    }
    if COUNT.load(Ordering::Acquire) == 0 {
        return Ok(false);
    }
    let guard = stream.capture.lock();
    let Some(part) = guard.as_ref() else {
        drop(guard);
        forbid_implicit(stream)?;
        return Ok(false);
    };
    part.capture.check()?;
    event.set_captured(Point {
        capture: Arc::clone(&part.capture),
        nodes: part.dependencies.clone(),
    });
    Ok(true)
}

/// Makes a stream wait for an event as far as captures are concerned; false if neither takes part in one.
///
/// # Errors
/// The combinations that CUDA forbids.
pub(super) fn wait_event(stream: &Arc<Stream>, event: &Arc<Event>, external: bool) -> Result<bool> {
    let mut part = stream.capture.lock();
    let Some(point) = event.captured().filter(|_| !external) else {
        let Some(part) = part.as_mut() else {
            drop(part);
            forbid_implicit(stream)?;
            return Ok(false);
        };
        part.capture.check()?;
        if external {
            let node = part.capture.graph.add(
                Work::WaitEvent(Arc::clone(event)),
                part.dependencies.clone(),
            );
            part.dependencies = vec![node];
        } else if event.is_recorded() {
            part.capture.invalidate();
            return Err(ERROR_STREAM_CAPTURE_ISOLATION);
        }
        return Ok(true);
    };
    if point.capture.ended.load(Ordering::Acquire) {
        return Err(ERROR_STREAM_CAPTURE_ISOLATION);
    }
    point.capture.check()?;
    if stream.sort == Sort::Legacy {
        point.capture.invalidate();
        return Err(ERROR_STREAM_CAPTURE_IMPLICIT);
    }
    match part.as_mut() {
        None => {
            point.capture.streams.lock().push(Arc::downgrade(stream));
            *part = Some(Part {
                capture: point.capture,
                dependencies: point.nodes,
                listed: Vec::new(),
            });
        }
        Some(part) if Arc::ptr_eq(&part.capture, &point.capture) => {
            for node in point.nodes {
                if !part.dependencies.contains(&node) {
                    part.dependencies.push(node);
                }
            }
        }
        Some(part) => {
            part.capture.invalidate();
            point.capture.invalidate();
            return Err(ERROR_STREAM_CAPTURE_MERGE);
        }
    }
    Ok(true)
}

/// Ends the captures of a context that is destroyed.
pub(super) fn abandon_context(context: u64) {
    let own: Vec<Arc<Capture>> = ACTIVE
        .lock()
        .iter()
        .filter(|capture| capture.context == context)
        .cloned()
        .collect();
    for capture in own {
        capture.invalidate();
        capture.finish();
    }
}

pub(super) fn cuStreamBeginCapture(hStream: CUstream) -> Result {
    cuStreamBeginCapture_v2(hStream, Mode::Global as u32)
}

pub(super) fn cuStreamBeginCapture_v2(hStream: CUstream, mode: u32) -> Result {
    begin(hStream, mode, None)
}

pub(super) fn cuStreamBeginCaptureToGraph(
    hStream: CUstream,
    hGraph: CUgraph,
    dependencies: *const CUgraphNode,
    dependencyData: *const std::ffi::c_void,
    numDependencies: usize,
    mode: u32,
) -> Result {
    let graph = graph::resolve(hGraph)?;
    // All edges are plain ones.
    if !dependencyData.is_null() {
        return Err(ERROR_NOT_SUPPORTED);
    }
    let nodes = ffi::get_slice(dependencies, numDependencies)?
        .iter()
        .map(|node| graph.index_of(node.addr()).ok_or(ERROR_INVALID_VALUE))
        .collect::<Result<Vec<usize>>>()?;
    begin(hStream, mode, Some((graph, nodes)))
}

/// Begins a capture, into a graph of the program's if one is given, behind nodes of it.
fn begin(hStream: CUstream, mode: u32, into: Option<(Arc<Graph>, Vec<usize>)>) -> Result {
    static NEXT_ID: AtomicU64 = AtomicU64::new(1);
    let stream = stream::resolve(hStream)?;
    let mode = Mode::from_raw(mode)?;
    if stream.sort == Sort::Legacy {
        return Err(ERROR_STREAM_CAPTURE_UNSUPPORTED);
    }
    let context = stream.context()?;
    let mut part = stream.capture.lock();
    if part.is_some() {
        return Err(ERROR_ILLEGAL_STATE);
    }
    let before = into.as_ref().map(|(graph, _)| graph.len());
    let (graph, dependencies) = into.unwrap_or_else(|| (Graph::new(), Vec::new()));
    let capture = Arc::new(Capture {
        id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
        mode,
        thread: thread::current().id(),
        context: context.id,
        origin: stream.id,
        graph,
        before,
        invalid: AtomicBool::new(false),
        ended: AtomicBool::new(false),
        streams: Mutex::new(vec![Arc::downgrade(&stream)]),
        released: Mutex::default(),
    });
    if before.is_none() {
        GRAPHS.insert(capture.graph.handle, Arc::clone(&capture.graph));
    }
    *part = Some(Part {
        capture: Arc::clone(&capture),
        dependencies,
        listed: Vec::new(),
    });
    drop(part);
    let mut active = ACTIVE.lock();
    active.push(capture);
    COUNT.store(active.len(), Ordering::Release);
    Ok(())
}

pub(super) fn cuStreamEndCapture(hStream: CUstream, phGraph: *mut CUgraph) -> Result {
    let stream = stream::resolve(hStream)?;
    let (capture, leaves) = match &*stream.capture.lock() {
        Some(part) => (Arc::clone(&part.capture), part.dependencies.clone()),
        None => return Err(ERROR_ILLEGAL_STATE),
    };
    // Who captures into a graph of his own knows it.
    if phGraph.is_null() && capture.before.is_none() {
        return Err(ERROR_INVALID_VALUE);
    }
    ffi::put_optional(phGraph, std::ptr::null_mut());
    if capture.origin != stream.id {
        capture.invalidate();
        return Err(ERROR_STREAM_CAPTURE_UNMATCHED);
    }
    if capture.mode != Mode::Relaxed && !capture.is_own() {
        return Err(ERROR_STREAM_CAPTURE_WRONG_THREAD);
    }
    capture.finish();
    let outcome = capture.check().and_then(|()| {
        let mut reached = leaves;
        reached.append(&mut capture.released.lock());
        if capture
            .graph
            .is_joined(capture.before.unwrap_or(0), &reached)
        {
            Ok(())
        } else {
            Err(ERROR_STREAM_CAPTURE_UNJOINED)
        }
    });
    match outcome {
        Ok(()) => {
            ffi::put_optional(phGraph, handles::pointer(capture.graph.handle));
            Ok(())
        }
        Err(code) => {
            if capture.before.is_none() {
                GRAPHS.remove(handles::pointer(capture.graph.handle));
            }
            Err(code)
        }
    }
}

pub(super) fn cuStreamIsCapturing(hStream: CUstream, captureStatus: *mut u32) -> Result {
    let stream = stream::resolve(hStream)?;
    if stream.sort == Sort::Legacy {
        forbid_implicit(&stream)?;
    }
    ffi::put(captureStatus, status(stream.capture.lock().as_ref()))
}

fn status(part: Option<&Part>) -> u32 {
    match part {
        None => STATUS_NONE,
        Some(part) if part.capture.check().is_err() => STATUS_INVALIDATED,
        Some(_) => STATUS_ACTIVE,
    }
}

pub(super) fn cuStreamGetCaptureInfo_v2(
    hStream: CUstream,
    captureStatus_out: *mut u32,
    id_out: *mut u64,
    graph_out: *mut CUgraph,
    dependencies_out: *mut *const CUgraphNode,
    numDependencies_out: *mut usize,
) -> Result {
    let stream = stream::resolve(hStream)?;
    if captureStatus_out.is_null() {
        return Err(ERROR_INVALID_VALUE);
    }
    if stream.sort == Sort::Legacy {
        forbid_implicit(&stream)?;
    }
    let mut guard = stream.capture.lock();
    let status = status(guard.as_ref());
    ffi::put(captureStatus_out, status)?;
    let Some(part) = guard.as_mut().filter(|_| status == STATUS_ACTIVE) else {
        return Ok(());
    };
    part.listed = part
        .dependencies
        .iter()
        .map(|&node| part.capture.graph.node_handle(node))
        .collect();
    ffi::put_optional(id_out, part.capture.id);
    ffi::put_optional(graph_out, handles::pointer(part.capture.graph.handle));
    ffi::put_optional(dependencies_out, part.listed.as_ptr().cast());
    ffi::put_optional(numDependencies_out, part.listed.len());
    Ok(())
}

pub(super) fn cuStreamGetCaptureInfo_v3(
    hStream: CUstream,
    captureStatus_out: *mut u32,
    id_out: *mut u64,
    graph_out: *mut CUgraph,
    dependencies_out: *mut *const CUgraphNode,
    edgeData_out: *mut *const std::ffi::c_void,
    numDependencies_out: *mut usize,
) -> Result {
    // All edges are plain ones.
    ffi::put_optional(edgeData_out, std::ptr::null());
    cuStreamGetCaptureInfo_v2(
        hStream,
        captureStatus_out,
        id_out,
        graph_out,
        dependencies_out,
        numDependencies_out,
    )
}

pub(super) fn cuStreamUpdateCaptureDependencies_v2(
    hStream: CUstream,
    dependencies: *mut CUgraphNode,
    _dependencyData: *const std::ffi::c_void,
    numDependencies: usize,
    flags: u32,
) -> Result {
    const ADD: u32 = 0;
    const SET: u32 = 1;
    let stream = stream::resolve(hStream)?;
    let mut guard = stream.capture.lock();
    let part = guard.as_mut().ok_or(ERROR_ILLEGAL_STATE)?;
    part.capture.check()?;
    let nodes = ffi::get_slice(dependencies.cast_const(), numDependencies)?
        .iter()
        .map(|node| {
            let found = part.capture.graph.index_of(node.addr());
            found.ok_or(ERROR_INVALID_VALUE)
        })
        .collect::<Result<Vec<usize>>>()?;
    match flags {
        ADD => {}
        SET => {
            let old = std::mem::take(&mut part.dependencies);
            part.capture.released.lock().extend(old);
        }
        _ => return Err(ERROR_INVALID_VALUE),
    }
    for node in nodes {
        if !part.dependencies.contains(&node) {
            part.dependencies.push(node);
        }
    }
    Ok(())
}

pub(super) fn cuStreamUpdateCaptureDependencies(
    hStream: CUstream,
    dependencies: *mut CUgraphNode,
    numDependencies: usize,
    flags: u32,
) -> Result {
    let plain = std::ptr::null();
    cuStreamUpdateCaptureDependencies_v2(hStream, dependencies, plain, numDependencies, flags)
}

pub(super) fn cuThreadExchangeStreamCaptureMode(mode: *mut u32) -> Result {
    state::require()?;
    let wanted = Mode::from_raw(ffi::get(mode)?)?;
    ffi::put(mode, THREAD_MODE.replace(wanted) as u32)
}
