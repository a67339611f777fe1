//! Capture of streams into graphs, and their launches.
//!
//! What captured copies need (staging memory, host functions) lives as long as the graph; what they write to pinned memory is sent to the client after every launch.

use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gvirtus_wire::api::core::{
    CaptureAt, GraphCreate, GraphDestroy, GraphExecDestroy, GraphExecUpdate, GraphInstantiate,
    GraphLaunch, StreamBeginCapture, StreamEndCapture,
};
use gvirtus_wire::command::{Answer, Handle as Handler};
use gvirtus_wire::frame::Header;
use parking_lot::Mutex;

use crate::capture_info::{Dependencies, EdgeData};
use crate::contexts::Context;
use crate::device_graph::DEVICE_LAUNCH;
use crate::driver::{Handle, cu};
use crate::errors::{
    ERROR_INVALID_HANDLE, ERROR_INVALID_VALUE, ERROR_NOT_SUPPORTED,
    ERROR_STREAM_CAPTURE_INVALIDATED, Result,
};
use crate::graph_kernel::Made;
use crate::host_function::NodeKey;
use crate::host_memory::HostWrite;
use crate::progress::Item;
use crate::session::Session;
use crate::staging::Lease;
use crate::streams::Stream;

/// `CU_STREAM_CAPTURE_MODE_RELAXED`.
pub(crate) const RELAXED: u32 = 2;
/// The `CUDA_GRAPH_INSTANTIATE_FLAG_*` that need no more parameters: auto free, device launch, node priority.
pub(crate) const FLAGS: u64 = 1 | DEVICE_LAUNCH | 8;

/// What a graph's nodes use.
#[derive(Default)]
pub(crate) struct Keep {
    leases: Vec<Lease>,
    nodes: Vec<NodeKey>,
    writes: Vec<HostWrite>,
    /// Pinned memory that its copies use: client address, bytes, and where the shadow was.
    shadows: Vec<(u64, u64, u64)>,
    /// Staging memory of what its conditional nodes do.
    inside: Mutex<Vec<Lease>>,
}

impl Keep {
    /// Takes over what the graph of a conditional node uses. No such graph can call the host.
    ///
    /// # Errors
    /// `CUDA_ERROR_NOT_SUPPORTED` if it does, or if it writes to pinned memory, whose bytes would have to travel whenever the node runs.
    pub(crate) fn take_inside(&self, body: Self) -> Result<()> {
        if !(body.nodes.is_empty() && body.writes.is_empty() && body.shadows.is_empty()) {
            return Err(ERROR_NOT_SUPPORTED);
        }
        self.inside.lock().extend(body.leases);
        Ok(())
    }
}

/// The most places of one capture that may be named.
const MOST_PLACES: usize = 1 << 20;

/// A capture in progress.
pub(crate) struct Capture {
    id: u64,
    keep: Mutex<Keep>,
    /// By the client's numbers: the driver's nodes that a stream depended on there.
    places: Mutex<HashMap<u32, Dependencies>>,
    /// By the client's numbers: the driver's graphs of conditional nodes.
    pub(crate) bodies: Mutex<HashMap<u32, Handle>>,
    /// The graph of the client that it goes into, if that was there before.
    pub(crate) into: Option<Arc<Graph>>,
}

impl Capture {
    fn new(id: u64, into: Option<Arc<Graph>>) -> Arc<Self> {
        Arc::new(Self {
            id,
            into,
            keep: Mutex::default(),
            places: Mutex::default(),
            bodies: Mutex::default(),
        })
    }

    /// What the capture's nodes use, and the graphs of its conditional nodes.
    pub(crate) fn take(&self) -> (Keep, HashMap<u32, Handle>) {
        let keep = std::mem::take(&mut *self.keep.lock());
        (keep, std::mem::take(&mut *self.bodies.lock()))
    }

    /// Staging memory of a captured copy.
    pub(crate) fn hold(&self, lease: Lease) {
        self.keep.lock().leases.push(lease);
    }

    /// A host function that became a node.
    pub(crate) fn hold_node(&self, node: NodeKey) {
        self.keep.lock().nodes.push(node);
    }

    /// A captured copy to pinned memory.
    pub(crate) fn writes_host(&self, write: HostWrite) {
        self.keep.lock().writes.push(write);
    }

    /// A captured copy from or to pinned memory.
    pub(crate) fn uses_shadow(&self, address: u64, size: u64, shadow: u64) {
        self.keep.lock().shadows.push((address, size, shadow));
    }

    /// The copies to pinned memory captured so far.
    pub(crate) fn writes(&self) -> Vec<HostWrite> {
        self.keep.lock().writes.clone()
    }
}

/// A graph of the client.
pub(crate) struct Graph {
    raw: Handle,
    pub(crate) context: Arc<Context>,
    keep: Mutex<Arc<Keep>>,
    /// By the client's numbers: the driver's graphs of its conditional nodes, which go with it.
    pub(crate) bodies: Mutex<HashMap<u32, Handle>>,
    /// By the client's numbers: kernel nodes that were made one by one.
    pub(crate) made: Mutex<HashMap<u32, Made>>,
    /// A capture has begun to go into it.
    captured: AtomicBool,
}

impl Graph {
    fn new(raw: *mut c_void, context: Arc<Context>) -> Arc<Self> {
        Arc::new(Self {
            raw: Handle::of(raw),
            context,
            keep: Mutex::default(),
            bodies: Mutex::default(),
            made: Mutex::default(),
            captured: AtomicBool::new(false),
        })
    }

    /// It has what a capture consisted of.
    fn take(&self, capture: &Capture) {
        let (keep, bodies) = capture.take();
        *self.keep.lock() = Arc::new(keep);
        self.bodies.lock().extend(bodies);
    }

    /// A capture is about to go into it; whether one has before.
    pub(crate) fn was_captured(&self) -> bool {
        self.captured.swap(true, Ordering::AcqRel)
    }

    /// What its nodes use.
    pub(crate) fn keep(&self) -> Arc<Keep> {
        Arc::clone(&self.keep.lock())
    }

    /// The driver's graph.
    pub(crate) fn raw(&self) -> Handle {
        self.raw
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        let _ = cu!(self.context.driver, cuGraphDestroy(self.raw.ptr()));
    }
}

/// An executable graph of the client.
pub(crate) struct Exec {
    pub(crate) context: Arc<Context>,
    /// What it was made from, if kernels may launch it or change its nodes.
    pub(crate) graph: Option<Arc<Graph>>,
    what: Mutex<What>,
}

/// What an executable graph does at present.
struct What {
    raw: Handle,
    keep: Arc<Keep>,
}

impl Exec {
    /// What the driver made of a graph.
    pub(crate) fn new(context: Arc<Context>, raw: Handle, graph: &Graph) -> Self {
        let keep = graph.keep();
        Self {
            context,
            graph: None,
            what: Mutex::new(What { raw, keep }),
        }
    }

    /// Runs `f` on the driver's, which stays what it is meanwhile.
    pub(crate) fn with_raw<R>(&self, f: impl FnOnce(Handle) -> R) -> R {
        f(self.what.lock().raw)
    }
}

impl Drop for Exec {
    fn drop(&mut self) {
        if self.context.alive.load(Ordering::Acquire) {
            let raw = self.what.get_mut().raw;
            let _ = cu!(self.context.driver, cuGraphExecDestroy(raw.ptr()));
        }
    }
}

impl Session {
    /// The capture that a stream takes part in, also one that it joined by waiting for an event.
    pub(crate) fn capture_of(&self, stream: &Stream) -> Option<Arc<Capture>> {
        if self.progress.captures.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let captures = self.captures.lock();
        match self.capture_info(stream).map(|info| info.id) {
            Ok(id) => captures.iter().find(|c| c.id == id).cloned(),
            // A driver without capture info: there is no doubt while there is but one capture.
            Err(_) if captures.len() == 1 && self.progress.capturing(&stream.lane) => {
                captures.first().cloned()
            }
            Err(_) => None,
        }
    }
}

impl Handler<StreamBeginCapture> for Session {
    fn handle(&self, header: &Header, command: StreamBeginCapture) -> Result<Answer<()>> {
        let stream = self.stream(header, command.stream)?;
        self.before_capture(&stream)?;
        cu!(
            self.driver,
            cuStreamBeginCapture_v2(stream.raw.ptr(), RELAXED)
        )?;
        self.capture_into(&stream, None);
        Ok(Answer::Now(()))
    }
}

impl Session {
    /// A stream has begun to capture, maybe into a graph of the client that was there before.
    pub(crate) fn capture_into(&self, stream: &Stream, into: Option<Arc<Graph>>) {
        let id = self.capture_info(stream).map_or(0, |info| info.id);
        self.captures.lock().push(Capture::new(id, into));
        self.progress.captures.fetch_add(1, Ordering::AcqRel);
    }

    /// Ends a stream's capture: what the driver says, and the capture, if it is over.
    pub(crate) fn capture_end(
        &self,
        stream: &Stream,
    ) -> (Result<*mut c_void>, Option<Arc<Capture>>) {
        let id = self.capture_info(stream).map(|info| info.id);
        let mut raw = std::ptr::null_mut();
        let ended = cu!(
            self.driver,
            cuStreamEndCapture(stream.raw.ptr(), &raw mut raw)
        );
        let capture = {
            let mut captures = self.captures.lock();
            let at = match id {
                Ok(id) => captures.iter().position(|c| c.id == id),
                // Invalidated: the driver does not tell its id any more.
                Err(_) => (captures.len() == 1).then_some(0),
            };
            // A refusal (not the stream that began it, unjoined streams) may leave the capture as it was.
            let over = ended.is_ok() || !self.progress.capturing(&stream.lane);
            at.filter(|_| over).map(|at| captures.swap_remove(at))
        };
        if capture.is_some() {
            self.progress.captures.fetch_sub(1, Ordering::AcqRel);
        }
        (ended.map(|()| raw), capture)
    }
}

impl Handler<StreamEndCapture> for Session {
    fn handle(&self, header: &Header, command: StreamEndCapture) -> Result<Answer<u32>> {
        let stream = self.stream(header, command.stream)?;
        let context = Arc::clone(stream.context());
        context.make_current()?;
        let (ended, capture) = self.capture_end(&stream);
        let raw = match ended {
            Ok(raw) if raw.is_null() => Err(ERROR_STREAM_CAPTURE_INVALIDATED),
            ended => ended,
        };
        // One that went into a graph of the client ends as that graph.
        let graph = match (raw, capture.as_ref().and_then(|c| c.into.clone())) {
            (Ok(_), Some(into)) => {
                let named = self.graphs.get(command.graph)?;
                if !Arc::ptr_eq(&named, &into) {
                    return Err(ERROR_INVALID_VALUE);
                }
                into
            }
            (Ok(raw), None) => {
                let graph = Graph::new(raw, context);
                self.graphs.store(command.graph, Ok(Arc::clone(&graph)))?;
                graph
            }
            (Err(status), _) => {
                let _ = self.graphs.store(command.graph, Err(status));
                return Err(status);
            }
        };
        if let Some(capture) = capture {
            graph.take(&capture);
        }
        let mut nodes = 0;
        cu!(
            self.driver,
            cuGraphGetNodes(graph.raw.ptr(), std::ptr::null_mut(), &raw mut nodes)
        )?;
        Ok(Answer::Now(u32::try_from(nodes).unwrap_or(u32::MAX)))
    }
}

impl Handler<GraphCreate> for Session {
    fn handle(&self, header: &Header, command: GraphCreate) -> Result<Answer<()>> {
        self.graphs.vacant(command.graph)?;
        let made = self.enter(header).and_then(|context| {
            let mut raw = std::ptr::null_mut();
            cu!(self.driver, cuGraphCreate(&raw mut raw, 0))?;
            Ok(Graph::new(raw, context))
        });
        self.graphs.store(command.graph, made).map(Answer::Now)
    }
}

impl Session {
    fn instantiate(&self, graph: &Graph, flags: u64) -> Result<Handle> {
        if flags & !FLAGS != 0 {
            return Err(ERROR_INVALID_VALUE);
        }
        let mut raw = std::ptr::null_mut();
        if self.driver.cuGraphInstantiateWithFlags.is_some() || flags != 0 {
            cu!(
                self.driver,
                cuGraphInstantiateWithFlags(&raw mut raw, graph.raw.ptr(), flags)
            )?;
        } else {
            let none = std::ptr::null_mut();
            cu!(
                self.driver,
                cuGraphInstantiate_v2(&raw mut raw, graph.raw.ptr(), none, none.cast(), 0)
            )?;
        }
        Ok(Handle::of(raw))
    }

    fn capture_at(&self, stream: &Stream, command: &CaptureAt) -> Result<()> {
        let capture = self.capture_of(stream).ok_or(ERROR_INVALID_VALUE)?;
        let mut places = capture.places.lock();
        if command.save != 0 {
            if places.len() >= MOST_PLACES {
                return Err(ERROR_INVALID_VALUE);
            }
            let info = self.capture_info(stream)?;
            places.insert(command.save, info.dependencies);
        }
        let named = |(place, data): &(u32, EdgeData)| {
            let at = places.get(place).ok_or(ERROR_INVALID_VALUE)?;
            Ok(at.by(*data))
        };
        let after: Vec<_> = command.after.iter().map(named).collect::<Result<_>>()?;
        let after = Dependencies::merged(after.iter().map(AsRef::as_ref));
        self.set_dependencies(stream, &after)
    }
}

impl Handler<CaptureAt> for Session {
    fn handle(&self, header: &Header, command: CaptureAt) -> Result<Answer<()>> {
        let stream = self.stream(header, command.stream)?;
        stream.context().make_current()?;
        self.capture_at(&stream, &command).map(Answer::Now)
    }
}

impl Handler<GraphInstantiate> for Session {
    fn handle(&self, header: &Header, command: GraphInstantiate) -> Result<Answer<()>> {
        self.execs.vacant(command.exec)?;
        let graph = self.graphs.get(command.graph)?;
        let context = self.enter(header)?;
        self.host.may_block();
        let raw = self.instantiate(&graph, command.flags)?;
        let mut exec = Exec::new(context, raw, &graph);
        if !graph.made.lock().is_empty() {
            exec.graph = Some(graph);
        }
        self.execs
            .store(command.exec, Ok(Arc::new(exec)))
            .map(Answer::Now)
    }
}

impl Handler<GraphExecUpdate> for Session {
    fn handle(&self, header: &Header, command: GraphExecUpdate) -> Result<Answer<()>> {
        /// `CUgraphExecUpdateResultInfo`: the outcome, and two nodes.
        #[repr(C)]
        struct Outcome {
            result: u32,
            nodes: [*mut c_void; 2],
        }
        let exec = self.execs.get(command.exec)?;
        let graph = self.graphs.get(command.graph)?;
        self.enter(header)?;
        let mut what = exec.what.lock();
        let mut outcome = Outcome {
            result: 0,
            nodes: [std::ptr::null_mut(); 2],
        };
        let updated = match self.driver.cuGraphExecUpdate_v2 {
            Some(_) => cu!(
                self.driver,
                cuGraphExecUpdate_v2(what.raw.ptr(), graph.raw.ptr(), (&raw mut outcome).cast())
            ),
            None => Err(ERROR_NOT_SUPPORTED),
        };
        if let Err(status) = updated {
            // Kernels know it by its handle: there cannot be another in its place.
            if command.flags & DEVICE_LAUNCH != 0 {
                return Err(status);
            }
            let raw = self.instantiate(&graph, command.flags)?;
            let old = std::mem::replace(&mut what.raw, raw);
            let _ = cu!(self.driver, cuGraphExecDestroy(old.ptr()));
        }
        what.keep = graph.keep();
        Ok(Answer::Now(()))
    }
}

impl Handler<GraphLaunch> for Session {
    fn handle(&self, header: &Header, command: GraphLaunch) -> Result<Answer<()>> {
        let exec = self.execs.get(command.exec)?;
        self.on_stream_then_reply(header, command.stream, |stream| {
            let what = exec.what.lock();
            // Memory that was freed since the capture is not mapped any more.
            for (address, size, shadow) in &what.keep.shadows {
                if self.host_memory.shadow(*address, *size) != Some(*shadow) {
                    return Err(ERROR_INVALID_VALUE);
                }
            }
            cu!(self.driver, cuGraphLaunch(what.raw.ptr(), stream.raw.ptr()))?;
            let Keep {
                leases,
                nodes,
                writes,
                ..
            } = &*what.keep;
            if !(leases.is_empty() && nodes.is_empty() && writes.is_empty()) {
                self.progress
                    .attach(&stream.lane, Item::Keep(Arc::clone(&what.keep)));
                for write in writes {
                    self.progress
                        .attach(&stream.lane, Item::Write(write.clone()));
                }
            }
            Ok(())
        })
    }
}

impl Handler<GraphExecDestroy> for Session {
    fn handle(&self, _: &Header, command: GraphExecDestroy) -> Result<Answer<()>> {
        drop(self.execs.remove(command.exec)?);
        Ok(Answer::Now(()))
    }
}

impl Handler<GraphDestroy> for Session {
    fn handle(&self, _: &Header, command: GraphDestroy) -> Result<Answer<()>> {
        match self.graphs.remove(command.graph) {
            Err(ERROR_INVALID_HANDLE) => Err(ERROR_INVALID_HANDLE),
            // One that could not be made has been told of.
            Ok(_) | Err(_) => Ok(Answer::Now(())),
        }
    }
}
