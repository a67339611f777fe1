//! Stream capture as the client enforces it: the worker captures relaxed, and the modes that a program asked for are checked here, per thread, as the driver would.
//! See <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__STREAM.html> (`cuStreamBeginCapture`, `cuThreadExchangeStreamCaptureMode`).

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use gvirtus_wire::api::types::{CUresult, error};
use parking_lot::Mutex;

use crate::graph::work::{Kernel, Work};
use crate::graph::{Edge, EdgeData, Graph, updatable};
use crate::session::{Session, thread_number};
use crate::streams::Stream;

/// `CU_STREAM_CAPTURE_MODE_GLOBAL`.
pub(crate) const MODE_GLOBAL: u32 = 0;
/// `CU_STREAM_CAPTURE_MODE_RELAXED`.
pub(crate) const MODE_RELAXED: u32 = 2;

/// `CUstreamCaptureStatus`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum CaptureStatus {
    None = 0,
    Active = 1,
    Invalidated = 2,
}

/// One capture sequence: the stream that began it and those that joined.
#[derive(Debug)]
pub(crate) struct Capture {
    pub(crate) id: u64,
    pub(crate) mode: u32,
    pub(crate) thread: u32,
    /// Id of the stream that began it.
    pub(crate) origin: u32,
    invalidated: AtomicBool,
    ended: AtomicBool,
    streams: Mutex<Vec<Arc<Stream>>>,
    /// Streams that the program has destroyed: they go when the capture ends.
    pub(crate) leaving: Mutex<Vec<Arc<Stream>>>,
    /// What is captured, as the client records it.
    pub(crate) graph: Arc<Graph>,
    /// The graph is one that the program had before.
    pub(crate) into_graph: bool,
    /// The worker's capture is like the record: the program has not changed what depends on what.
    pub(crate) mirrored: AtomicBool,
    /// By number of the stream: what its next node depends on.
    fronts: Mutex<HashMap<u64, Vec<Edge>>>,
    /// The same as a program was given it; it stays until the program asks again.
    listed: Mutex<HashMap<u64, Listed>>,
}

/// Nodes, and the data of the edges from them.
#[derive(Debug, Default)]
struct Listed {
    nodes: Box<[usize]>,
    data: Box<[EdgeData]>,
}

static IDS: AtomicU64 = AtomicU64::new(1);
/// Captures in progress: while there are none, every check costs one load.
static COUNT: AtomicUsize = AtomicUsize::new(0);
static ACTIVE: Mutex<Vec<Arc<Capture>>> = Mutex::new(Vec::new());

thread_local! {
    static MODE: Cell<u32> = const { Cell::new(MODE_GLOBAL) };
}

/// Exchanges the calling thread's mode.
pub(crate) fn exchange_mode(mode: u32) -> u32 {
    MODE.replace(mode)
}

impl Capture {
    /// Begins a capture on a stream.
    pub(crate) fn begin(
        stream: &Arc<Stream>,
        mode: u32,
        graph: Arc<Graph>,
        after: Option<Vec<Edge>>,
    ) -> Arc<Self> {
        let capture = Self::new(stream, mode, graph, after.is_some());
        capture.set_front(stream, after.unwrap_or_default());
        capture.join(stream);
        ACTIVE.lock().push(Arc::clone(&capture));
        COUNT.fetch_add(1, Ordering::AcqRel);
        capture
    }

    /// A capture of ours, on a stream of ours: no program sees it, and it forbids nothing.
    pub(crate) fn private(stream: &Arc<Stream>) -> Arc<Self> {
        let capture = Self::new(stream, MODE_RELAXED, Graph::nobodys(), false);
        capture.join(stream);
        capture
    }

    fn new(stream: &Arc<Stream>, mode: u32, graph: Arc<Graph>, into_graph: bool) -> Arc<Self> {
        Arc::new(Self {
            id: IDS.fetch_add(1, Ordering::Relaxed),
            mode,
            thread: thread_number(),
            origin: stream.id,
            invalidated: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            streams: Mutex::new(Vec::new()),
            leaving: Mutex::default(),
            graph,
            into_graph,
            mirrored: AtomicBool::new(!into_graph),
            fronts: Mutex::default(),
            listed: Mutex::default(),
        })
    }

    /// What the next node of a stream depends on.
    pub(crate) fn front(&self, stream: &Stream) -> Vec<Edge> {
        let fronts = self.fronts.lock();
        fronts.get(&stream.number).cloned().unwrap_or_default()
    }

    pub(crate) fn set_front(&self, stream: &Stream, edges: Vec<Edge>) {
        self.fronts.lock().insert(stream.number, edges);
    }

    /// What comes next on a stream depends on this, too.
    pub(crate) fn extend_front(&self, stream: &Stream, edges: &[Edge]) {
        let mut fronts = self.fronts.lock();
        let front = fronts.entry(stream.number).or_default();
        for edge in edges {
            match front.iter_mut().find(|known| known.from == edge.from) {
                // The one that holds more: a plain one, if either is.
                Some(known) => known.data = known.data.min(edge.data),
                None => front.push(*edge),
            }
        }
    }

    /// As [`front`](Self::front), in memory that stays as it is until the next question about the stream: count, and addresses of nodes and data.
    pub(crate) fn list_front(&self, stream: &Stream) -> (usize, *const usize, *const EdgeData) {
        let front = self.front(stream);
        let mut listed = self.listed.lock();
        let list = listed.entry(stream.number).or_default();
        list.nodes = front.iter().map(|edge| edge.from).collect();
        list.data = front.iter().map(|edge| edge.data).collect();
        if front.is_empty() {
            return (0, std::ptr::null(), std::ptr::null());
        }
        (front.len(), list.nodes.as_ptr(), list.data.as_ptr())
    }

    /// The edges of a stream's next node.
    pub(crate) fn after(&self, stream: &Stream) -> Vec<Edge> {
        let live = |edge: &Edge| self.graph.nodes.lock().position(edge.from).is_some();
        self.front(stream).into_iter().filter(live).collect()
    }

    /// Work of a stream becomes a node.
    pub(crate) fn record(&self, stream: &Stream, work: Work) {
        self.record_behind(stream, work, self.after(stream));
    }

    /// A kernel becomes a node; if it is `serialized` by itself alone, it may begin before the kernels ahead of it are done. The node, if there is one.
    pub(crate) fn record_kernel(
        &self,
        stream: &Stream,
        kernel: Arc<Kernel>,
        serialized: bool,
    ) -> Option<usize> {
        let work = Work::Kernel(kernel);
        let mut after = self.after(stream);
        if serialized {
            let nodes = self.graph.nodes.lock();
            for edge in &mut after {
                let early = Edge::programmatic(edge.from);
                if early.fits(&nodes, &work) {
                    *edge = early;
                }
            }
        }
        self.record_behind(stream, work, after)
    }

    /// The kernel that a stream has just captured becomes one that kernels change; the handle by which they do.
    ///
    /// # Errors
    /// As [`updatable::make`]; then the capture is lost.
    pub(crate) fn make_updatable(
        &self,
        session: &Session,
        stream: &Stream,
    ) -> Result<u64, CUresult> {
        // The worker captures nothing for it: what is captured is made from the record.
        self.mirrored.store(false, Ordering::Release);
        let node = self.front(stream).first().map_or(0, |edge| edge.from);
        updatable::make(session, &self.graph, node).inspect_err(|_| self.invalidate())
    }

    fn record_behind(&self, stream: &Stream, work: Work, after: Vec<Edge>) -> Option<usize> {
        match self.graph.add_captured(work, after) {
            Ok(node) => {
                self.set_front(stream, vec![Edge::plain(node)]);
                Some(node)
            }
            Err(_) => {
                // A graph that lacks a node is none.
                self.invalidate();
                None
            }
        }
    }

    /// A stream becomes part of the capture by waiting for one of its events.
    pub(crate) fn join(self: &Arc<Self>, stream: &Arc<Stream>) {
        stream.state().capture = Some(Arc::clone(self));
        self.streams.lock().push(Arc::clone(stream));
    }

    /// Ends the capture: its streams execute again.
    pub(crate) fn end(self: &Arc<Self>) {
        self.ended.store(true, Ordering::Release);
        for stream in self.streams.lock().drain(..) {
            stream.state().capture = None;
        }
        let mut active = ACTIVE.lock();
        let before = active.len();
        active.retain(|c| !Arc::ptr_eq(c, self));
        COUNT.fetch_sub(before - active.len(), Ordering::AcqRel);
    }

    pub(crate) fn ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    pub(crate) fn invalidate(&self) {
        self.invalidated.store(true, Ordering::Release);
    }

    pub(crate) fn status(&self) -> CaptureStatus {
        if self.invalidated.load(Ordering::Acquire) {
            CaptureStatus::Invalidated
        } else {
            CaptureStatus::Active
        }
    }
}

/// The capture that a stream is part of.
pub(crate) fn of(stream: &Stream) -> Option<Arc<Capture>> {
    stream.state().capture.clone()
}

/// Whether any capture is in progress.
pub(crate) fn any() -> bool {
    COUNT.load(Ordering::Acquire) > 0
}

/// A call that CUDA calls unsafe during captures: refused if the calling thread's mode and a running capture forbid it, and that capture is lost.
#[inline]
pub(crate) fn forbid() -> Result<(), CUresult> {
    if COUNT.load(Ordering::Acquire) == 0 {
        Ok(())
    } else {
        forbid_slowly()
    }
}

#[cold]
fn forbid_slowly() -> Result<(), CUresult> {
    let mode = MODE.get();
    if mode == MODE_RELAXED {
        return Ok(());
    }
    let me = thread_number();
    let mut forbidden = false;
    for capture in ACTIVE.lock().iter() {
        let mine = capture.thread == me && capture.mode != MODE_RELAXED;
        let global = mode == MODE_GLOBAL && capture.mode == MODE_GLOBAL;
        if mine || global {
            capture.invalidate();
            forbidden = true;
        }
    }
    if forbidden {
        Err(error::ERROR_STREAM_CAPTURE_UNSUPPORTED)
    } else {
        Ok(())
    }
}

/// Whether a command may be put on a stream now. The legacy stream would have to wait for a capturing blocking stream, which it cannot.
#[inline]
pub(crate) fn enqueue_allowed(stream: &Stream) -> Result<(), CUresult> {
    if COUNT.load(Ordering::Acquire) == 0 {
        Ok(())
    } else {
        enqueue_allowed_slowly(stream)
    }
}

#[cold]
fn enqueue_allowed_slowly(stream: &Stream) -> Result<(), CUresult> {
    if stream.id == 0 {
        let mut implicit = false;
        for capture in ACTIVE.lock().iter() {
            if capture
                .streams
                .lock()
                .iter()
                .any(|s| s.context == stream.context && s.is_blocking())
            {
                capture.invalidate();
                implicit = true;
            }
        }
        return if implicit {
            Err(error::ERROR_STREAM_CAPTURE_IMPLICIT)
        } else {
            Ok(())
        };
    }
    match of(stream).map(|c| c.status()) {
        Some(CaptureStatus::Invalidated) => Err(error::ERROR_STREAM_CAPTURE_INVALIDATED),
        _ => Ok(()),
    }
}

/// Whether the legacy stream may be asked about captures: not while a blocking stream of its context captures.
pub(crate) fn legacy_may_ask(stream: &Stream) -> Result<(), CUresult> {
    let capturing = |c: &Arc<Capture>| {
        c.streams
            .lock()
            .iter()
            .any(|s| s.context == stream.context && s.is_blocking())
    };
    if COUNT.load(Ordering::Acquire) > 0 && ACTIVE.lock().iter().any(capturing) {
        return Err(error::ERROR_STREAM_CAPTURE_IMPLICIT);
    }
    Ok(())
}
