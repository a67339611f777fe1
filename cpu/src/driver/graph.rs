//! Graphs: work with its dependencies, launched as a whole.
//!
//! See <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__GRAPH.html>.

use std::collections::BTreeSet;
use std::ffi::{c_char, c_void};
use std::sync::Arc;

use gvirtus_wire::api::types::{CUgraph, CUgraphExec, CUgraphNode, CUstream};
use parking_lot::Mutex;

use super::error::{
    ERROR_GRAPH_EXEC_UPDATE_FAILURE, ERROR_INVALID_HANDLE, ERROR_INVALID_VALUE,
    ERROR_NOT_SUPPORTED, Result,
};
use super::graph_conditional::{Condition, Reset};
use super::graph_device::{self, ForDevice, GraphRun};
use super::graph_updatable::Updatable;
use super::handles::{self, Table};
use super::scheduler::Task;
use super::stream;
use super::work::Work;
use super::{capture, ffi, state};

/// `CUDA_GRAPH_INSTANTIATE_FLAG_*`: auto free on launch, upload, device launch, node priority.
const INSTANTIATE_FLAGS: u64 = AUTO_FREE | UPLOAD | DEVICE_LAUNCH | 8;
const AUTO_FREE: u64 = 1;
const UPLOAD: u64 = 2;
const DEVICE_LAUNCH: u64 = 4;

/// One node of a graph that is being built.
pub(super) struct Node {
    handle: usize,
    work: Work,
    /// Indices of the nodes that it depends on.
    dependencies: Vec<usize>,
}

/// A graph that is being built.
pub(super) struct Graph {
    pub(super) handle: usize,
    nodes: Mutex<Vec<Node>>,
}

/// A graph's work, fixed: nodes after those that they depend on, no graphs inside.
#[derive(Clone, Default)]
pub(super) struct Shape {
    nodes: Vec<(Work, Vec<usize>)>,
    /// The handle of the node that each is, 0 for what was put in between.
    origins: Vec<usize>,
}

impl Shape {
    /// Whether kernels may launch it: it has kernels, copies and fills, and nothing else.
    fn fits_device(&self) -> bool {
        let fits = |work: &Work| {
            matches!(
                work,
                Work::Kernel(_) | Work::Updatable(_) | Work::Copy(_) | Work::Fill(_)
            )
        };
        self.works().any(fits)
            && self
                .works()
                .all(|work| fits(work) || matches!(work, Work::Nothing))
    }

    /// The same, but that some of the work is not done.
    fn without(self: &Arc<Self>, disabled: &BTreeSet<usize>) -> Arc<Self> {
        if disabled.is_empty() {
            return Arc::clone(self);
        }
        let all = self.nodes.iter().enumerate();
        let nodes = all.map(|(index, (work, after))| {
            let runs = !disabled.contains(&index);
            let work = if runs { work.clone() } else { Work::Nothing };
            (work, after.clone())
        });
        Arc::new(Self {
            nodes: nodes.collect(),
            origins: self.origins.clone(),
        })
    }

    fn push(&mut self, work: Work, after: Vec<usize>, origin: usize) {
        self.nodes.push((work, after));
        self.origins.push(origin);
    }

    /// Where the work of a node is.
    fn place_of(&self, node: usize) -> Option<usize> {
        self.origins.iter().position(|origin| *origin == node)
    }

    /// Its nodes that kernels change.
    fn updatable(&self) -> Vec<Arc<Updatable>> {
        let mut found = Vec::new();
        for work in self.works() {
            match work {
                Work::Updatable(node) => found.push(Arc::clone(node)),
                Work::Conditional(node) => node.fixed().iter().for_each(|body| {
                    found.extend(body.updatable());
                }),
                _ => {}
            }
        }
        found
    }

    /// A launch in one piece. What it waits for comes before.
    fn whole(executable: &Arc<Executable>, shape: Arc<Self>) -> Self {
        let waits = |work: &&Work| matches!(work, Work::WaitEvent(_));
        let first = shape.works().filter(waits);
        let mut nodes: Vec<_> = first.map(|work| (work.clone(), Vec::new())).collect();
        let after = (0..nodes.len()).collect();
        nodes.push((Work::Graph(GraphRun::new(executable, shape)), after));
        Self {
            origins: vec![0; nodes.len()],
            nodes,
        }
    }

    /// The work in an order in which it may run.
    pub(super) fn works(&self) -> impl Iterator<Item = &Work> {
        self.nodes.iter().map(|(work, _)| work)
    }
}

/// An executable graph.
pub(super) struct Executable {
    shape: Mutex<Arc<Shape>>,
    flags: u64,
    /// The end of its last launch: launches of one executable graph do not overlap.
    last: Mutex<Option<Arc<Task>>>,
    /// All its work, and what of it does not run.
    full: Mutex<(Arc<Shape>, BTreeSet<usize>)>,
    /// What kernels launch, if they may.
    pub(super) device: Option<ForDevice>,
    /// Its nodes that kernels change.
    updatable: Vec<Arc<Updatable>>,
}

impl Executable {
    /// The node that kernels change, if it is one of those, also in graphs inside.
    fn updatable_of(&self, node: CUgraphNode) -> Result<Option<Arc<Updatable>>> {
        change_node(node, |work| {
            Ok(match work {
                Work::Updatable(node) => {
                    let mut mine = self.updatable.iter();
                    mine.find(|mine| Arc::ptr_eq(mine, node)).cloned()
                }
                _ => None,
            })
        })
    }
}

impl Drop for Executable {
    fn drop(&mut self) {
        self.updatable.iter().for_each(|node| node.end());
    }
}

pub(super) static GRAPHS: Table<Graph> = Table::new();
pub(super) static EXECUTABLES: Table<Executable> = Table::new();

impl Graph {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            handle: handles::mint(),
            nodes: Mutex::default(),
        })
    }

    /// Adds a node; returns its index.
    pub(super) fn add(&self, work: Work, dependencies: Vec<usize>) -> usize {
        let mut nodes = self.nodes.lock();
        nodes.push(Node {
            handle: handles::mint(),
            work,
            dependencies,
        });
        nodes.len() - 1
    }

    /// Lets a node come after another, which must not come after it.
    pub(super) fn connect(&self, from: usize, to: usize) -> Result {
        let mut nodes = self.nodes.lock();
        let mut open = vec![from];
        let mut seen = BTreeSet::new();
        while let Some(node) = open.pop() {
            if node == to {
                return Err(ERROR_INVALID_VALUE);
            }
            if seen.insert(node) {
                open.extend(&nodes[node].dependencies);
            }
        }
        let after = &mut nodes[to].dependencies;
        if after.contains(&from) {
            return Err(ERROR_INVALID_VALUE);
        }
        after.push(from);
        Ok(())
    }

    /// Takes an edge away.
    pub(super) fn disconnect(&self, from: usize, to: usize) -> Result {
        let mut nodes = self.nodes.lock();
        let after = &mut nodes[to].dependencies;
        let at = after.iter().position(|before| *before == from);
        after.swap_remove(at.ok_or(ERROR_INVALID_VALUE)?);
        Ok(())
    }

    /// The edges, by the indices of their nodes.
    pub(super) fn edges(&self) -> Vec<(usize, usize)> {
        let nodes = self.nodes.lock();
        let of = |(to, node): (usize, &Node)| {
            let all = node.dependencies.iter();
            all.map(|from| (*from, to)).collect::<Vec<_>>()
        };
        nodes.iter().enumerate().flat_map(of).collect()
    }

    /// Takes a node away, with its edges.
    pub(super) fn remove(&self, index: usize) -> Result {
        let mut nodes = self.nodes.lock();
        match &nodes.get(index).ok_or(ERROR_INVALID_VALUE)?.work {
            Work::Updatable(_) => return Err(ERROR_NOT_SUPPORTED),
            Work::Conditional(conditional) => {
                conditional.bodies.iter().for_each(|body| forget(body));
            }
            _ => {}
        }
        nodes.remove(index);
        for node in &mut *nodes {
            node.dependencies.retain(|before| *before != index);
            let later = node.dependencies.iter_mut().filter(|b| **b > index);
            later.for_each(|before| *before -= 1);
        }
        Ok(())
    }

    /// Indices in an order in which the work may run.
    fn order(nodes: &[Node]) -> Vec<usize> {
        let mut order: Vec<usize> = Vec::with_capacity(nodes.len());
        let mut done = vec![false; nodes.len()];
        // Nodes are mostly there before those that come after them.
        while order.len() < nodes.len() {
            for (index, node) in nodes.iter().enumerate() {
                if !done[index] && node.dependencies.iter().all(|before| done[*before]) {
                    done[index] = true;
                    order.push(index);
                }
            }
        }
        order
    }

    /// The index of a node of this graph.
    pub(super) fn index_of(&self, handle: usize) -> Option<usize> {
        self.nodes
            .lock()
            .iter()
            .position(|node| node.handle == handle)
    }

    pub(super) fn node_handle(&self, index: usize) -> usize {
        self.nodes.lock()[index].handle
    }

    /// Number of nodes.
    pub(super) fn len(&self) -> usize {
        self.nodes.lock().len()
    }

    /// Whether every node from number `first` on is one of `leaves` or comes before one of them.
    pub(super) fn is_joined(&self, first: usize, leaves: &[usize]) -> bool {
        let nodes = self.nodes.lock();
        let mut reached = vec![false; nodes.len()];
        let mut open: Vec<usize> = leaves.to_vec();
        while let Some(node) = open.pop() {
            if !std::mem::replace(&mut reached[node], true) {
                open.extend(&nodes[node].dependencies);
            }
        }
        reached.into_iter().skip(first).all(|reached| reached)
    }

    /// Fixes the work, with graphs inside laid out in place.
    pub(super) fn shape(&self) -> Shape {
        let mut conditions = Vec::new();
        let mut shape = self.lay_out(&mut conditions);
        if !conditions.is_empty() {
            // All comes behind the reset.
            for (_, after) in &mut shape.nodes {
                after.iter_mut().for_each(|index| *index += 1);
                after.push(0);
            }
            let reset = Work::ResetConditions(Reset(conditions.into()));
            shape.nodes.insert(0, (reset, Vec::new()));
            shape.origins.insert(0, 0);
        }
        shape
    }

    /// The work, and the conditions in it.
    fn lay_out(&self, conditions: &mut Vec<Arc<Condition>>) -> Shape {
        let mut shape = Shape::default();
        let nodes = self.nodes.lock();
        // Where each node's end is in the shape.
        let mut ends: Vec<usize> = vec![0; nodes.len()];
        for index in Self::order(&nodes) {
            let node = &nodes[index];
            let after: Vec<usize> = node.dependencies.iter().map(|&index| ends[index]).collect();
            if let Work::Child(child) = &node.work {
                shape.push(Work::Nothing, after, 0);
                let start = shape.nodes.len() - 1;
                for ((work, inner), origin) in child.nodes.iter().zip(&child.origins) {
                    let mut after: Vec<usize> =
                        inner.iter().map(|index| start + 1 + index).collect();
                    after.push(start);
                    shape.push(work.clone(), after, *origin);
                }
                let all = (start..shape.nodes.len()).collect();
                shape.push(Work::Nothing, all, node.handle);
            } else if let Work::Conditional(conditional) = &node.work {
                conditions.push(Arc::clone(&conditional.condition));
                let bodies = conditional.bodies.iter();
                let fixed = bodies.map(|body| body.lay_out(conditions)).collect();
                let fixed_node = Work::Conditional(Arc::new(conditional.fix(fixed)));
                shape.push(fixed_node, after, node.handle);
            } else {
                shape.push(node.work.clone(), after, node.handle);
            }
            ends[index] = shape.nodes.len() - 1;
        }
        shape
    }
}

/// # Errors
/// `CUDA_ERROR_INVALID_VALUE` for anything but a live graph.
pub(super) fn resolve(handle: CUgraph) -> Result<Arc<Graph>> {
    state::require()?;
    GRAPHS.get(handle).ok_or(ERROR_INVALID_VALUE)
}

pub(super) fn cuGraphCreate(phGraph: *mut CUgraph, flags: u32) -> Result {
    state::require()?;
    if phGraph.is_null() || flags != 0 {
        return Err(ERROR_INVALID_VALUE);
    }
    let graph = Graph::new();
    let handle = graph.handle;
    GRAPHS.insert(handle, graph);
    ffi::put(phGraph, handles::pointer(handle))
}

pub(super) fn cuGraphDestroy(hGraph: CUgraph) -> Result {
    forget(&*resolve(hGraph)?);
    Ok(())
}

/// Takes a graph, and those of its conditional nodes, out of the table.
fn forget(graph: &Graph) {
    GRAPHS.remove(handles::pointer(graph.handle));
    for node in &*graph.nodes.lock() {
        match &node.work {
            Work::Conditional(conditional) => {
                conditional.bodies.iter().for_each(|body| forget(body));
            }
            Work::Updatable(node) => node.forget(),
            _ => {}
        }
    }
}

pub(super) fn cuGraphGetNodes(
    hGraph: CUgraph,
    nodes: *mut CUgraphNode,
    numNodes: *mut usize,
) -> Result {
    let graph = resolve(hGraph)?;
    let all: Vec<CUgraphNode> = graph
        .nodes
        .lock()
        .iter()
        .map(|node| handles::pointer(node.handle))
        .collect();
    list(&all, nodes, numNodes)
}

pub(super) fn cuGraphGetRootNodes(
    hGraph: CUgraph,
    rootNodes: *mut CUgraphNode,
    numRootNodes: *mut usize,
) -> Result {
    let graph = resolve(hGraph)?;
    let roots: Vec<CUgraphNode> = graph
        .nodes
        .lock()
        .iter()
        .filter(|node| node.dependencies.is_empty())
        .map(|node| handles::pointer(node.handle))
        .collect();
    list(&roots, rootNodes, numRootNodes)
}

/// CUDA's way to return a list: without an array the count; else as many as fit, the rest null.
fn list(found: &[CUgraphNode], out: *mut CUgraphNode, count: *mut usize) -> Result {
    let capacity = ffi::get(count)?;
    if out.is_null() {
        return ffi::put(count, found.len());
    }
    let mut values = found.to_vec();
    values.resize(capacity, std::ptr::null_mut());
    ffi::put_slice(out, &values)?;
    ffi::put(count, found.len().min(capacity))
}

fn instantiate(out: *mut CUgraphExec, hGraph: CUgraph, flags: u64) -> Result {
    let graph = resolve(hGraph)?;
    let for_device = flags & DEVICE_LAUNCH != 0;
    if out.is_null() || flags & !INSTANTIATE_FLAGS != 0 || for_device && flags & AUTO_FREE != 0 {
        return Err(ERROR_INVALID_VALUE);
    }
    let shape = Arc::new(graph.shape());
    if for_device && !shape.fits_device() {
        return Err(ERROR_INVALID_VALUE);
    }
    let updatable = shape.updatable();
    if updatable.iter().any(|node| node.is_live()) {
        return Err(ERROR_NOT_SUPPORTED);
    }
    updatable.iter().for_each(|node| node.begin());
    let handle = handles::mint();
    EXECUTABLES.insert(
        handle,
        Arc::new(Executable {
            device: for_device.then(|| ForDevice::new(handle)),
            full: Mutex::new((Arc::clone(&shape), BTreeSet::new())),
            shape: Mutex::new(shape),
            flags,
            last: Mutex::new(None),
            updatable,
        }),
    );
    ffi::put(out, handles::pointer(handle))
}

pub(super) fn cuGraphInstantiateWithFlags(
    phGraphExec: *mut CUgraphExec,
    hGraph: CUgraph,
    flags: u64,
) -> Result {
    instantiate(phGraphExec, hGraph, flags)
}

pub(super) fn cuGraphInstantiateWithParams(
    phGraphExec: *mut CUgraphExec,
    hGraph: CUgraph,
    instantiateParams: *mut c_void,
) -> Result {
    /// `CUDA_GRAPH_INSTANTIATE_PARAMS`.
    #[repr(C)]
    #[derive(Clone, Copy)]
    struct Params {
        flags: u64,
        upload_stream: CUstream,
        error_node: CUgraphNode,
        result: u32,
    }
    const RESULT_SUCCESS: u32 = 0;
    const RESULT_ERROR: u32 = 1;
    let mut params = ffi::get(instantiateParams.cast::<Params>())?;
    let outcome = instantiate(phGraphExec, hGraph, params.flags);
    params.error_node = std::ptr::null_mut();
    params.result = if outcome.is_ok() {
        RESULT_SUCCESS
    } else {
        RESULT_ERROR
    };
    ffi::put(instantiateParams.cast(), params)?;
    outcome
}

pub(super) fn cuGraphInstantiate(
    out: *mut CUgraphExec,
    hGraph: CUgraph,
    phErrorNode: *mut CUgraphNode,
    logBuffer: *mut c_char,
    bufferSize: usize,
) -> Result {
    ffi::put_optional(phErrorNode, std::ptr::null_mut());
    if !logBuffer.is_null() && bufferSize > 0 {
        ffi::put_string(logBuffer, bufferSize, "")?;
    }
    instantiate(out, hGraph, 0)
}

pub(super) fn cuGraphInstantiate_v2(
    out: *mut CUgraphExec,
    hGraph: CUgraph,
    phErrorNode: *mut CUgraphNode,
    logBuffer: *mut c_char,
    bufferSize: usize,
) -> Result {
    cuGraphInstantiate(out, hGraph, phErrorNode, logBuffer, bufferSize)
}

fn resolve_executable(handle: CUgraphExec) -> Result<Arc<Executable>> {
    state::require()?;
    EXECUTABLES.get(handle).ok_or(ERROR_INVALID_VALUE)
}

pub(super) fn cuGraphExecGetFlags(hGraphExec: CUgraphExec, flags: *mut u64) -> Result {
    ffi::put(flags, resolve_executable(hGraphExec)?.flags)
}

pub(super) fn cuGraphUpload(hGraphExec: CUgraphExec, hStream: CUstream) -> Result {
    let executable = resolve_executable(hGraphExec)?;
    stream::resolve(hStream)?;
    // What the host launches need not be brought to this device.
    if let Some(device) = &executable.device {
        device.upload(&executable.shape.lock());
    }
    Ok(())
}

pub(super) fn cuGraphLaunch(hGraphExec: CUgraphExec, hStream: CUstream) -> Result {
    let executable = resolve_executable(hGraphExec)?;
    let stream = stream::resolve(hStream)?;
    let shape = Arc::clone(&executable.shape.lock());
    if capture::add(&stream, &Work::Child(Arc::clone(&shape)))? {
        return Ok(());
    }
    if let Some(device) = &executable.device {
        device.upload(&shape);
    }
    let shape = match graph_device::any() {
        // One after the other, in one piece, with what its kernels launch.
        true => Arc::new(Shape::whole(&executable, shape)),
        false => shape,
    };
    let mut last = executable.last.lock();
    let end = stream.append_graph(
        shape.nodes.clone(),
        last.take(),
        |index, task| {
            let events: &mut dyn FnMut(&Work) = &mut |work| {
                if let Work::RecordEvent(event) = work {
                    event.set_task(task);
                }
            };
            match &shape.nodes[index].0 {
                Work::Graph(run) => run.works().for_each(events),
                work => events(work),
            }
        },
        |index| match &shape.nodes[index].0 {
            Work::WaitEvent(event) => event.task(),
            _ => None,
        },
    )?;
    *last = Some(end);
    Ok(())
}

pub(super) fn cuGraphExecUpdate_v2(
    hGraphExec: CUgraphExec,
    hGraph: CUgraph,
    resultInfo: *mut c_void,
) -> Result {
    /// `CUgraphExecUpdateResultInfo`.
    #[repr(C)]
    #[derive(Clone, Copy)]
    struct Info {
        result: u32,
        nodes: [CUgraphNode; 2],
    }
    const SUCCESS: u32 = 0;
    const TOPOLOGY_CHANGED: u32 = 2;
    let executable = resolve_executable(hGraphExec)?;
    let mut new = resolve(hGraph)?.shape();
    let mut shape = executable.shape.lock();
    let same = shape.nodes.len() == new.nodes.len()
        && shape.nodes.iter().zip(&new.nodes).all(|(old, new)| {
            old.1 == new.1 && std::mem::discriminant(&old.0) == std::mem::discriminant(&new.0)
        });
    let info = Info {
        result: if same { SUCCESS } else { TOPOLOGY_CHANGED },
        nodes: [std::ptr::null_mut(); 2],
    };
    ffi::put(resultInfo.cast(), info)?;
    if !same {
        return Err(ERROR_GRAPH_EXEC_UPDATE_FAILURE);
    }
    // Launches that are under way keep what they began with; what does not run still does not.
    let mut full = executable.full.lock();
    new.origins.clone_from(&full.0.origins);
    full.0 = Arc::new(new);
    *shape = full.0.without(&full.1);
    Ok(())
}

/// Gives a kernel node of an executable graph other work; launches that are under way keep theirs.
pub(super) fn set_kernel(exec: CUgraphExec, node: CUgraphNode, work: Work) -> Result {
    let executable = resolve_executable(exec)?;
    let Work::Kernel(new) = work else {
        return Err(ERROR_INVALID_VALUE);
    };
    if let Some(node) = executable.updatable_of(node)? {
        return node.set(Some(&new), None);
    }
    let mut full = executable.full.lock();
    let place = full.0.place_of(node.addr()).ok_or(ERROR_INVALID_VALUE)?;
    let Work::Kernel(old) = &full.0.nodes[place].0 else {
        return Err(ERROR_INVALID_VALUE);
    };
    let new = Work::Kernel(Arc::new(new.with_attributes_of(old)));
    Arc::make_mut(&mut full.0).nodes[place].0 = new;
    *executable.shape.lock() = full.0.without(&full.1);
    Ok(())
}

pub(super) fn cuGraphExecDestroy(hGraphExec: CUgraphExec) -> Result {
    state::require()?;
    EXECUTABLES
        .remove(hGraphExec)
        .map(|_| ())
        .ok_or(ERROR_INVALID_VALUE)
}

/// Looks a node up in the graphs that exist.
pub(super) fn resolve_node(handle: CUgraphNode) -> Result<(Arc<Graph>, usize)> {
    state::require()?;
    let holds = |graph: &Graph| {
        graph
            .nodes
            .lock()
            .iter()
            .position(|node| node.handle == handle.addr())
    };
    let graph = GRAPHS
        .find(|graph| holds(graph).is_some())
        .ok_or(ERROR_INVALID_HANDLE)?;
    let index = holds(&graph).ok_or(ERROR_INVALID_HANDLE)?;
    Ok((graph, index))
}

/// Changes the work of a node of a graph that is being built.
pub(super) fn change_node<R>(
    handle: CUgraphNode,
    f: impl FnOnce(&mut Work) -> Result<R>,
) -> Result<R> {
    let (graph, index) = resolve_node(handle)?;
    let mut nodes = graph.nodes.lock();
    f(&mut nodes.get_mut(index).ok_or(ERROR_INVALID_HANDLE)?.work)
}

pub(super) fn cuGraphNodeSetEnabled(
    hGraphExec: CUgraphExec,
    hNode: CUgraphNode,
    isEnabled: u32,
) -> Result {
    let executable = resolve_executable(hGraphExec)?;
    if let Some(node) = executable.updatable_of(hNode)? {
        return node.set(None, Some(isEnabled != 0));
    }
    let mut full = executable.full.lock();
    let place = full.0.place_of(hNode.addr()).ok_or(ERROR_INVALID_VALUE)?;
    match &full.0.nodes[place].0 {
        Work::Kernel(_) | Work::Copy(_) | Work::Fill(_) => {}
        _ => return Err(ERROR_INVALID_VALUE),
    }
    match isEnabled {
        0 => full.1.insert(place),
        _ => full.1.remove(&place),
    };
    *executable.shape.lock() = full.0.without(&full.1);
    Ok(())
}

pub(super) fn cuGraphNodeGetType(hNode: CUgraphNode, type_: *mut u32) -> Result {
    let (graph, index) = resolve_node(hNode)?;
    // `CUgraphNodeType`.
    let sort = match graph.nodes.lock()[index].work {
        Work::Kernel(_) | Work::Updatable(_) => 0,
        Work::Copy(_) => 1,
        Work::Fill(_) => 2,
        Work::HostFunction(_) | Work::Callback(_) | Work::Provided(_) => 3,
        // A launch in one piece and a reset are part of no graph that is being built.
        Work::Child(_) | Work::Graph(_) => 4,
        Work::Nothing | Work::ResetConditions(_) => 5,
        Work::Conditional(_) => 13,
        Work::WaitEvent(_) => 6,
        Work::RecordEvent(_) => 7,
        Work::WriteValue(_) | Work::WaitValue(_) => 12,
    };
    ffi::put(type_, sort)
}
