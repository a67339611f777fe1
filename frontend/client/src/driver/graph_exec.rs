//! Executable graphs: launched, changed, destroyed. <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__GRAPH.html>
//!
//! An executable graph keeps a copy of the nodes that it was made from. What a program changes in it is changed in the copy; before the next launch the worker gets the
//! copy as a graph and brings its own executable graph up to it, in one step for any number of changes.
#![allow(non_snake_case, reason = "CUDA's names")]

use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gvirtus_wire::api::core::{GraphExecDestroy, GraphExecUpdate, GraphLaunch};
use gvirtus_wire::api::types::{
    CUDA_MEMCPY3D, CUcontext, CUevent, CUgraph, CUgraphExec, CUgraphNode, CUstream, error,
};
use parking_lot::Mutex;

use crate::driver::graph::context_of;
use crate::driver::graph_device::{self, DEVICE_LAUNCH};
use crate::driver::{
    Result, context, graph_node_params as params, put, put_if, session, user_object,
};
use crate::events::{self, Recorded};
use crate::graph::memory::Effects;
use crate::graph::updatable::Kept;
use crate::graph::work::{Host, Kernel, Work};
use crate::graph::{self, Graph, Node, Nodes, replay};
use crate::handles::{Kind, Table};
use crate::memory::managed::{self, Uses};
use crate::memory::{ledger, mapped};
use crate::session::Session;
use crate::{capture, streams};

/// `CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH`.
pub(super) const AUTO_FREE: u64 = 1;

/// An executable graph.
pub(crate) struct Exec {
    id: u32,
    context: u32,
    /// What the program holds.
    pub(crate) handle: usize,
    flags: u64,
    nodes: Mutex<Nodes>,
    derived: Mutex<Derived>,
    /// The worker's is not up to the nodes.
    dirty: AtomicBool,
    /// Its kernels are of more than one context; that stays.
    several_contexts: bool,
    /// User objects: handle and references.
    objects: Vec<(usize, u32)>,
    /// What it was made from, if kernels change nodes of it: then changes are told one by one.
    kept: Option<Arc<Kept>>,
}

/// What follows from the nodes.
#[derive(Default)]
struct Derived {
    effects: Effects,
    /// Events that are recorded.
    records: Vec<usize>,
    /// Functions that are called on the client.
    calls: usize,
    /// Its kernels are of more than one context.
    several_contexts: bool,
}

impl Derived {
    fn of(nodes: &Nodes) -> Self {
        let mut derived = Self {
            effects: Effects::of(nodes),
            ..Self::default()
        };
        let mut context = None;
        let host = |address: u64| ledger::find(address).is_none_or(|e| !e.is_device());
        nodes.for_each(&mut |node| match &node.work {
            _ if !node.enabled => {}
            Work::Kernel(kernel) => {
                let first = *context.get_or_insert(kernel.function.context);
                derived.several_contexts |= first != kernel.function.context;
            }
            Work::Record(event) => derived.records.push(*event),
            Work::Host(_) => derived.calls += 1,
            Work::Copy(copy, _) => {
                use crate::driver::memcpy::Is;
                use crate::driver::memcpy_box::plan;
                derived.calls += usize::from(plan(&copy.params).is_ok_and(|plan| {
                    plan.to == Is::Pageable
                        || plan.from == Is::Pageable
                        || (plan.to != Is::Device && plan.from != Is::Device)
                }));
            }
            Work::Fill(fill, _) => derived.calls += usize::from(host(fill.address)),
            _ => {}
        });
        derived
    }
}

static EXECS: Table<Exec> = Table::new(Kind::GraphExec);

impl Exec {
    /// What was instantiated from a graph.
    pub(crate) fn new(
        id: u32,
        handle: usize,
        flags: u64,
        graph: &Graph,
        kept: Option<Arc<Kept>>,
    ) -> Self {
        let nodes = graph.nodes.lock().frozen();
        let objects = graph.objects.lock().clone();
        for &(object, count) in &objects {
            let _ = user_object::retain(object, count);
        }
        let derived = Derived::of(&nodes);
        Self {
            id,
            context: graph.context,
            handle,
            flags,
            several_contexts: derived.several_contexts,
            derived: Mutex::new(derived),
            nodes: Mutex::new(nodes),
            dirty: AtomicBool::new(false),
            objects,
            kept,
        }
    }

    /// Brings the worker's up to the nodes.
    fn refresh(&self, session: &'static Session) -> Result<()> {
        if !self.dirty.load(Ordering::Acquire) {
            return Ok(());
        }
        let nodes = self.nodes.lock().clone();
        let context = context_of(&nodes, self.context)?;
        let scratch = Graph::create(self.context)?;
        let for_device = self.flags & DEVICE_LAUNCH != 0;
        let replayed = replay::replay(session, &context, &nodes, &scratch, None, for_device);
        let updated = replayed.and_then(|()| self.update(session, &scratch));
        graph::destroy(session, &scratch)?;
        updated
    }

    fn update(&self, session: &Session, graph: &Graph) -> Result<()> {
        let command = GraphExecUpdate {
            exec: self.id,
            graph: graph.id,
            flags: self.flags,
        };
        session.post(self.context, &command)?;
        self.dirty.store(false, Ordering::Release);
        Ok(())
    }

    fn changed(&self, nodes: &Nodes) {
        *self.derived.lock() = Derived::of(nodes);
        self.dirty.store(true, Ordering::Release);
    }

    /// Changes the node that was made from a node of the original graph, or of a graph inside.
    fn change(&self, node: CUgraphNode, mut f: impl FnMut(&mut Node) -> Result<()>) -> Result<()> {
        if self.kept.is_some() {
            crate::log::unsupported(
                "changes of what is no kernel, in an executable graph whose nodes kernels change",
            );
            return Err(error::ERROR_NOT_SUPPORTED);
        }
        let mut nodes = self.nodes.lock();
        nodes
            .deep_mut(node as usize, &mut f)
            .ok_or(error::ERROR_INVALID_VALUE)??;
        self.changed(&nodes);
        Ok(())
    }

    /// As [`change`](Self::change), of what the worker has been told already.
    fn told(&self, node: CUgraphNode, mut f: impl FnMut(&mut Node) -> Result<()>) -> Result<()> {
        let mut nodes = self.nodes.lock();
        nodes
            .deep_mut(node as usize, &mut f)
            .ok_or(error::ERROR_INVALID_VALUE)??;
        *self.derived.lock() = Derived::of(&nodes);
        Ok(())
    }
}

/// A new executable graph, unless `make` fails; `make` is told its handle and number.
pub(crate) fn insert(make: impl FnOnce(*mut c_void, u32) -> Result<Exec>) -> Result<Arc<Exec>> {
    EXECS.try_insert(make)
}

fn find(handle: CUgraphExec) -> Option<Arc<Exec>> {
    let known = EXECS.get(handle);
    known.or_else(|| EXECS.get(graph_device::own(handle)))
}

/// The executable graph behind a handle.
pub(crate) fn resolve(handle: CUgraphExec) -> Result<Arc<Exec>> {
    session()?;
    find(handle).ok_or(error::ERROR_INVALID_VALUE)
}

/// Changes a node of an executable graph.
///
/// # Errors
/// `CUDA_ERROR_INVALID_VALUE` if it has no such node, or one that does something else.
pub(crate) fn set_work(exec: CUgraphExec, node: CUgraphNode, work: Work) -> Result<()> {
    resolve(exec)?.change(node, |node| {
        if node.work.kind() != work.kind() {
            return Err(error::ERROR_INVALID_VALUE);
        }
        node.work = work.clone();
        Ok(())
    })
}

/// Launches an executable graph on a stream.
pub(crate) fn cuGraphLaunch(handle: CUgraphExec, stream_handle: CUstream) -> Result<()> {
    let session = session()?;
    let exec = resolve(handle)?;
    let context = context::current()?;
    let stream = streams::resolve(session, &context, stream_handle)?;
    if exec.several_contexts {
        streams::span(&stream);
    } else {
        streams::check_home(&stream, context.id)?;
    }
    ready(session, &exec, &stream)?;
    {
        let derived = exec.derived.lock();
        derived.effects.launch(exec.flags & AUTO_FREE != 0)?;
        session.callbacks.launched(derived.calls);
    }
    let sequence = {
        let _underway = managed::before(session, &stream, Uses::Graph)?;
        let used = mapped::before(session, &stream, &[], true)?;
        let command = GraphLaunch {
            exec: exec.id,
            stream: stream.id,
        };
        let sequence = stream.post(session, &command, &[])?;
        mapped::after(&used, &stream, sequence);
        sequence
    };
    for &event in &exec.derived.lock().records {
        if let Ok(event) = events::resolve(event as *mut c_void) {
            *event.recorded.lock() = Recorded::On(Arc::clone(&stream), sequence);
        }
    }
    Ok(())
}

/// Before an executable graph goes to a stream: neither is in the way of it, and the worker's is up to the nodes.
fn ready(session: &'static Session, exec: &Exec, stream: &streams::Stream) -> Result<()> {
    session.check(stream.context)?;
    capture::enqueue_allowed(stream)?;
    // An executable graph cannot become part of another one, natively (driver 580).
    if let Some(capture) = capture::of(stream) {
        capture.invalidate();
        return Err(error::ERROR_STREAM_CAPTURE_UNSUPPORTED);
    }
    exec.refresh(session)
}

/// Uploads an executable graph ahead of its launch. For launches from here the worker's driver does that at the first one, so nothing is due; kernels can launch only what was uploaded.
pub(crate) fn cuGraphUpload(handle: CUgraphExec, stream: CUstream) -> Result<()> {
    let session = session()?;
    let exec = resolve(handle)?;
    let context = context::current()?;
    let stream = streams::resolve(session, &context, stream)?;
    if exec.flags & DEVICE_LAUNCH == 0 && exec.kept.is_none() {
        return Ok(());
    }
    streams::check_home(&stream, context.id)?;
    ready(session, &exec, &stream)?;
    graph_device::upload(session, exec.id, &stream)
}

/// Destroys an executable graph; launches of it go on.
pub(crate) fn cuGraphExecDestroy(handle: CUgraphExec) -> Result<()> {
    let session = session()?;
    let exec = resolve(handle)?;
    let own = graph_device::own(handle);
    if own != handle {
        // The box may give the handle to another graph as soon as it knows.
        graph_device::forget(exec.handle);
    }
    EXECS.remove_with(own, || {
        session.post(exec.context, &GraphExecDestroy { exec: exec.id })
    })?;
    for &(object, count) in &exec.objects {
        user_object::release(object, count);
    }
    Ok(())
}

/// The flags that it was made with.
pub(crate) unsafe fn cuGraphExecGetFlags(handle: CUgraphExec, flags: *mut u64) -> Result<()> {
    let exec = resolve(handle)?;
    // SAFETY: the caller's pointer.
    unsafe { put(flags, exec.flags) }
}

/// `CUgraphExecUpdateResult`.
mod outcome {
    pub(super) const SUCCESS: u32 = 0;
    pub(super) const TOPOLOGY_CHANGED: u32 = 2;
    pub(super) const TYPE_CHANGED: u32 = 3;
    pub(super) const UNSUPPORTED_FUNCTION_CHANGE: u32 = 7;
    pub(super) const NOT_SUPPORTED: u32 = 6;
}

/// Why nodes cannot take the place of others: the outcome, the node, and where an edge is concerned, the node that it comes from.
type Mismatch = (u32, usize, usize);

/// Gives nodes what those at the same places of another graph do.
fn adopt(mine: &mut Nodes, theirs: &Nodes) -> std::result::Result<(), Mismatch> {
    if mine.list.len() != theirs.list.len() {
        return Err((outcome::TOPOLOGY_CHANGED, 0, 0));
    }
    for at in 0..mine.list.len() {
        let (own, other) = (&mine.list[at], &theirs.list[at]);
        if own.work.kind() != other.work.kind() {
            return Err((outcome::TYPE_CHANGED, other.handle, 0));
        }
        let places = |nodes: &Nodes, node: &Node| {
            let mut places: Vec<_> = node
                .after
                .iter()
                .map(|edge| (nodes.position(edge.from), edge.data))
                .collect();
            places.sort_unstable();
            places
        };
        if places(mine, own) != places(theirs, other) {
            let from = other.after.first().map_or(0, |edge| edge.from);
            return Err((outcome::TOPOLOGY_CHANGED, other.handle, from));
        }
        let work = match (&own.work, &other.work) {
            (Work::Child(own), Work::Child(other)) => {
                adopt(&mut own.nodes.lock(), &other.nodes.lock())?;
                continue;
            }
            (Work::Kernel(own), Work::Kernel(new))
                if own.function.context != new.function.context =>
            {
                return Err((outcome::UNSUPPORTED_FUNCTION_CHANGE, other.handle, 0));
            }
            (Work::Allocate(own), Work::Allocate(new)) if !Arc::ptr_eq(own, new) => {
                return Err((outcome::NOT_SUPPORTED, other.handle, 0));
            }
            (_, new) => new.clone(),
        };
        mine.list[at].work = work;
    }
    Ok(())
}

/// `CUgraphExecUpdateResultInfo`.
#[repr(C)]
struct ResultInfo {
    result: u32,
    node: CUgraphNode,
    from: CUgraphNode,
}

/// Gives an executable graph the parameters of a graph of the same shape.
pub(crate) unsafe fn cuGraphExecUpdate_v2(
    handle: CUgraphExec,
    graph: CUgraph,
    info: *mut c_void,
) -> Result<()> {
    let session = session()?;
    let exec = resolve(handle)?;
    let graph = graph::resolve(graph)?;
    if info.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    if exec.kept.is_some() || graph.kept.lock().is_some() {
        return Err(error::ERROR_NOT_SUPPORTED);
    }
    let theirs = graph.nodes.lock().frozen();
    let mut nodes = exec.nodes.lock();
    let mut adopted = nodes.frozen();
    let (result, node, from) = match adopt(&mut adopted, &theirs) {
        Ok(()) => (outcome::SUCCESS, 0, 0),
        Err(mismatch) => mismatch,
    };
    let told = ResultInfo {
        result,
        node: node as *mut c_void,
        from: from as *mut c_void,
    };
    // SAFETY: not null, and the caller's structure.
    unsafe { info.cast::<ResultInfo>().write_unaligned(told) };
    if result != outcome::SUCCESS {
        return Err(error::ERROR_GRAPH_EXEC_UPDATE_FAILURE);
    }
    let whole = adopted.list.iter().all(|node| node.enabled) && exec.flags & DEVICE_LAUNCH == 0;
    *nodes = adopted;
    exec.changed(&nodes);
    drop(nodes);
    if whole && graph.mirrored.load(Ordering::Acquire) {
        exec.update(session, &graph)?;
    }
    Ok(())
}

/// CUDA 10's form.
pub(crate) unsafe fn cuGraphExecUpdate(
    handle: CUgraphExec,
    graph: CUgraph,
    node: *mut CUgraphNode,
    result: *mut u32,
) -> Result<()> {
    let mut info = ResultInfo {
        result: 0,
        node: std::ptr::null_mut(),
        from: std::ptr::null_mut(),
    };
    // SAFETY: the caller's pointers.
    unsafe {
        let updated = cuGraphExecUpdate_v2(handle, graph, (&raw mut info).cast());
        put_if(node, info.node);
        put_if(result, info.result);
        updated
    }
}

/// Lets a node run or not: kernels, copies and fills only.
pub(crate) fn cuGraphNodeSetEnabled(
    handle: CUgraphExec,
    node: CUgraphNode,
    enabled: u32,
) -> Result<()> {
    let exec = resolve(handle)?;
    let set = |node: &mut Node| {
        if !matches!(node.work, Work::Kernel(_) | Work::Copy(..) | Work::Fill(..)) {
            return Err(error::ERROR_INVALID_VALUE);
        }
        node.enabled = enabled != 0;
        Ok(())
    };
    let on = enabled != 0;
    if let Some(kept) = &exec.kept {
        kept.enable(session()?, exec.id, node as usize, on)?;
        return exec.told(node, set);
    }
    if exec.flags & DEVICE_LAUNCH == 0 {
        return exec.change(node, set);
    }
    // Elsewhere a node is switched off by leaving it out, which makes another graph; but kernels know this one.
    exec.told(node, set)?;
    let nodes = exec.nodes.lock();
    graph_device::enable(session()?, exec.context, exec.id, &nodes, node as usize, on)
}

/// Whether a node runs.
pub(crate) unsafe fn cuGraphNodeGetEnabled(
    handle: CUgraphExec,
    node: CUgraphNode,
    enabled: *mut u32,
) -> Result<()> {
    let exec = resolve(handle)?;
    let found = exec
        .nodes
        .lock()
        .deep_mut(node as usize, &mut |node| node.enabled)
        .ok_or(error::ERROR_INVALID_VALUE)?;
    // SAFETY: the caller's pointer.
    unsafe { put(enabled, u32::from(found)) }
}

/// Changes a kernel node; `kernels`: its function may be a `CUkernel`.
///
/// # Safety
/// The caller's structure.
unsafe fn set_kernel(
    handle: CUgraphExec,
    node: CUgraphNode,
    given: *const c_void,
    kernels: bool,
) -> Result<()> {
    // SAFETY: this function's contract.
    let new = unsafe { params::kernel(given, kernels, &[])? };
    give_kernel(handle, node, &new)
}

/// Gives a kernel node another kernel; its attributes stay.
fn give_kernel(handle: CUgraphExec, node: CUgraphNode, new: &Kernel) -> Result<()> {
    let exec = resolve(handle)?;
    let set = |of: &mut Node| {
        let Work::Kernel(old) = &of.work else {
            return Err(error::ERROR_INVALID_VALUE);
        };
        if old.function.context != new.function.context {
            return Err(error::ERROR_INVALID_VALUE);
        }
        if let Some(kept) = &exec.kept {
            kept.change(session()?, exec.id, node as usize, new)?;
        }
        of.work = Work::Kernel(new.with_attributes(old.attributes.clone()));
        Ok(())
    };
    match exec.kept {
        Some(_) => exec.told(node, set),
        None => exec.change(node, set),
    }
}

/// Changes a kernel node.
pub(crate) unsafe fn cuGraphExecKernelNodeSetParams_v2(
    handle: CUgraphExec,
    node: CUgraphNode,
    given: *const c_void,
) -> Result<()> {
    // SAFETY: the caller's structure.
    unsafe { set_kernel(handle, node, given, true) }
}

/// As `_v2`, with functions only.
pub(crate) unsafe fn cuGraphExecKernelNodeSetParams(
    handle: CUgraphExec,
    node: CUgraphNode,
    given: *const c_void,
) -> Result<()> {
    // SAFETY: the caller's structure.
    unsafe { set_kernel(handle, node, given, false) }
}

/// Changes a copy node.
pub(crate) unsafe fn cuGraphExecMemcpyNodeSetParams(
    handle: CUgraphExec,
    node: CUgraphNode,
    given: *const CUDA_MEMCPY3D,
    context: CUcontext,
) -> Result<()> {
    session()?;
    // SAFETY: the caller's structure.
    set_work(handle, node, unsafe { params::copy(given, context)? })
}

/// Changes a fill node.
pub(crate) unsafe fn cuGraphExecMemsetNodeSetParams(
    handle: CUgraphExec,
    node: CUgraphNode,
    given: *const c_void,
    context: CUcontext,
) -> Result<()> {
    session()?;
    // SAFETY: the caller's structure.
    set_work(handle, node, unsafe { params::fill(given, context)? })
}

/// Changes a host node.
pub(crate) unsafe fn cuGraphExecHostNodeSetParams(
    handle: CUgraphExec,
    node: CUgraphNode,
    given: *const c_void,
) -> Result<()> {
    session()?;
    // SAFETY: the caller's structure.
    let (function, data) = unsafe { params::host(given)? };
    set_work(handle, node, Work::Host(Host::new(function, data)))
}

/// Gives a graph inside the parameters of another of the same shape.
pub(crate) fn cuGraphExecChildGraphNodeSetParams(
    handle: CUgraphExec,
    node: CUgraphNode,
    child: CUgraph,
) -> Result<()> {
    let exec = resolve(handle)?;
    let theirs = graph::resolve(child)?.nodes.lock().frozen();
    exec.change(node, |node| {
        let Work::Child(own) = &node.work else {
            return Err(error::ERROR_INVALID_VALUE);
        };
        adopt(&mut own.nodes.lock(), &theirs).map_err(|_| error::ERROR_GRAPH_EXEC_UPDATE_FAILURE)
    })
}

/// Changes the event that a node records.
pub(crate) fn cuGraphExecEventRecordNodeSetEvent(
    handle: CUgraphExec,
    node: CUgraphNode,
    event: CUevent,
) -> Result<()> {
    session()?;
    events::given(event)?;
    set_work(handle, node, Work::Record(event as usize))
}

/// Changes the event that a node waits for.
pub(crate) fn cuGraphExecEventWaitNodeSetEvent(
    handle: CUgraphExec,
    node: CUgraphNode,
    event: CUevent,
) -> Result<()> {
    session()?;
    events::given(event)?;
    set_work(handle, node, Work::Wait(event as usize))
}

/// Changes a node of stream memory operations.
pub(crate) unsafe fn cuGraphExecBatchMemOpNodeSetParams(
    handle: CUgraphExec,
    node: CUgraphNode,
    given: *const c_void,
) -> Result<()> {
    session()?;
    // SAFETY: the caller's structure.
    set_work(handle, node, unsafe { params::operations(given)? })
}

/// Changes a node, whatever it does.
pub(crate) unsafe fn cuGraphExecNodeSetParams(
    handle: CUgraphExec,
    node: CUgraphNode,
    given: *mut c_void,
) -> Result<()> {
    session()?;
    // SAFETY: the caller's structure.
    let work = unsafe { params::any(given, None)? };
    match &work {
        Work::Child(child) => {
            cuGraphExecChildGraphNodeSetParams(handle, node, child.handle as *mut c_void)
        }
        Work::Kernel(kernel) => give_kernel(handle, node, kernel),
        _ => set_work(handle, node, work),
    }
}
