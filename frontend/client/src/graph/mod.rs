//! Graphs as the client knows them: nodes with what they do, and edges. Whatever is asked about a graph is answered here.
//!
//! The worker learns of a graph when it is made executable: the nodes are then *replayed* as a capture on a stream of ours ([`replay`]), so a node is executed by what
//! executes the same command on a stream. What a program captures is recorded here as well ([`record`]), beside the worker's capture; the worker's graph is used as long as
//! the program does not change it.

pub(crate) mod conditional;
pub(crate) mod memory;
pub(crate) mod record;
pub(crate) mod replay;
pub(crate) mod updatable;
pub(crate) mod work;

use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use gvirtus_wire::api::core::GraphDestroy;
use gvirtus_wire::api::types::{CUgraph, CUgraphNode, error};
use parking_lot::Mutex;

use crate::driver::Result;
use crate::handles::{Kind, Table};
use crate::session::Session;
use updatable::Kept;
use work::Work;

/// `CUgraphEdgeData`.
pub(crate) type EdgeData = [u8; 8];

/// What a node must wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Edge {
    /// Handle of the node that comes before.
    pub(crate) from: usize,
    pub(crate) data: EdgeData,
}

/// Of `CUgraphEdgeData`, the ports that an edge may come from: the first is the node's end, the others are those of kernels.
const PROGRAMMATIC_PORT: u8 = 1;
const LAUNCH_ORDER_PORT: u8 = 2;
/// `CU_GRAPH_DEPENDENCY_TYPE_PROGRAMMATIC`.
const PROGRAMMATIC: u8 = 1;

/// What an event tells of that a kernel records while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KernelEvent {
    /// All blocks have said that it may.
    Programmatic,
    /// The same, which they say by beginning.
    AtBlockStart,
    /// All blocks have begun.
    Launched,
}

impl Edge {
    /// One that waits for a node's end.
    pub(crate) fn plain(from: usize) -> Self {
        Self {
            from,
            data: EdgeData::default(),
        }
    }

    /// One from where a kernel lets those begin that wait for it in their own code.
    pub(crate) fn programmatic(from: usize) -> Self {
        Self::from_port(from, PROGRAMMATIC_PORT, PROGRAMMATIC)
    }

    /// One from the moment when all blocks of a kernel have begun, by the event that a kernel records then.
    pub(crate) fn by_event(from: usize, event: KernelEvent) -> Self {
        match event {
            KernelEvent::Programmatic => Self::programmatic(from),
            KernelEvent::AtBlockStart => Self::from_port(from, LAUNCH_ORDER_PORT, PROGRAMMATIC),
            KernelEvent::Launched => Self::from_port(from, LAUNCH_ORDER_PORT, 0),
        }
    }

    fn from_port(from: usize, port: u8, kind: u8) -> Self {
        let mut data = EdgeData::default();
        (data[0], data[2]) = (port, kind);
        Self { from, data }
    }

    pub(crate) fn is_plain(&self) -> bool {
        self.data == EdgeData::default()
    }

    /// Whether there may be such an edge from its node, which is one of these.
    pub(crate) fn may_leave(&self, nodes: &Nodes) -> bool {
        let [from_port, to_port, kind, ref reserved @ ..] = self.data;
        let Some(node) = nodes.get(self.from) else {
            return false;
        };
        let known = match (from_port, kind) {
            (0, 0) => true,
            (LAUNCH_ORDER_PORT, 0) | (PROGRAMMATIC_PORT | LAUNCH_ORDER_PORT, PROGRAMMATIC) => {
                matches!(node.work, Work::Kernel(_))
            }
            _ => false,
        };
        known && to_port == 0 && reserved.iter().all(|byte| *byte == 0)
    }

    /// Whether there may be such an edge to a node that does `work`.
    pub(crate) fn fits(&self, nodes: &Nodes, work: &Work) -> bool {
        self.may_leave(nodes) && (self.data[2] != PROGRAMMATIC || matches!(work, Work::Kernel(_)))
    }
}

/// A node of a graph.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) handle: usize,
    /// The node that it was copied from, else itself.
    pub(crate) origin: usize,
    pub(crate) work: Work,
    pub(crate) after: Vec<Edge>,
    /// Whether it runs; only nodes of executable graphs may be switched off.
    pub(crate) enabled: bool,
}

impl Node {
    /// Itself, and every node of graphs inside.
    pub(crate) fn for_each(&self, f: &mut dyn FnMut(&Node)) {
        f(self);
        match &self.work {
            Work::Child(child) => child.nodes.lock().for_each(f),
            Work::Conditional(conditional) => {
                for body in &conditional.bodies {
                    body.nodes.lock().for_each(f);
                }
            }
            _ => {}
        }
    }
}

/// Nodes in the order in which they were added.
#[derive(Clone, Default)]
pub(crate) struct Nodes {
    pub(crate) list: Vec<Node>,
    at: HashMap<usize, usize>,
}

impl Nodes {
    pub(crate) fn position(&self, handle: usize) -> Option<usize> {
        self.at.get(&handle).copied()
    }

    pub(crate) fn get(&self, handle: usize) -> Option<&Node> {
        self.position(handle).map(|at| &self.list[at])
    }

    pub(crate) fn get_mut(&mut self, handle: usize) -> Option<&mut Node> {
        self.position(handle).map(|at| &mut self.list[at])
    }

    fn push(&mut self, node: Node) {
        self.at.insert(node.handle, self.list.len());
        self.list.push(node);
    }

    fn remove(&mut self, handle: usize) {
        self.list.retain(|node| node.handle != handle);
        for node in &mut self.list {
            node.after.retain(|edge| edge.from != handle);
        }
        self.at = self
            .list
            .iter()
            .enumerate()
            .map(|(at, node)| (node.handle, at))
            .collect();
    }

    /// Positions such that every node comes after those that it depends on, in the order of addition where that leaves a choice.
    ///
    /// # Errors
    /// `CUDA_ERROR_INVALID_VALUE` if there is a cycle.
    pub(crate) fn in_order(&self) -> Result<Vec<usize>> {
        let mut missing: Vec<usize> = self.list.iter().map(|node| node.after.len()).collect();
        let mut next: Vec<Vec<usize>> = vec![Vec::new(); self.list.len()];
        for (at, node) in self.list.iter().enumerate() {
            for edge in &node.after {
                let from = self.position(edge.from).ok_or(error::ERROR_INVALID_VALUE)?;
                next[from].push(at);
            }
        }
        let mut ready: std::collections::BTreeSet<usize> = (0..self.list.len())
            .filter(|&at| missing[at] == 0)
            .collect();
        let mut order = Vec::with_capacity(self.list.len());
        while let Some(at) = ready.pop_first() {
            order.push(at);
            for &after in &next[at] {
                missing[after] -= 1;
                if missing[after] == 0 {
                    ready.insert(after);
                }
            }
        }
        if order.len() == self.list.len() {
            Ok(order)
        } else {
            Err(error::ERROR_INVALID_VALUE)
        }
    }

    /// The nodes that no other depends on.
    pub(crate) fn leaves(&self) -> Vec<usize> {
        let mut leaf = vec![true; self.list.len()];
        for edge in self.list.iter().flat_map(|node| &node.after) {
            if let Some(from) = self.position(edge.from) {
                leaf[from] = false;
            }
        }
        (0..self.list.len()).filter(|&at| leaf[at]).collect()
    }

    /// Looks a node up, also in graphs inside; gives what `f` makes of it.
    pub(crate) fn deep_mut<R>(
        &mut self,
        handle: usize,
        f: &mut dyn FnMut(&mut Node) -> R,
    ) -> Option<R> {
        if let Some(node) = self.get_mut(handle) {
            return Some(f(node));
        }
        let mut inside = |graph: &Graph| graph.nodes.lock().deep_mut(handle, f);
        self.list.iter().find_map(|node| match &node.work {
            Work::Child(child) => inside(child),
            Work::Conditional(conditional) => {
                conditional.bodies.iter().find_map(|body| inside(body))
            }
            _ => None,
        })
    }

    /// Every node, those of graphs inside among them.
    pub(crate) fn for_each(&self, f: &mut dyn FnMut(&Node)) {
        self.list.iter().for_each(|node| node.for_each(f));
    }

    /// A copy with graphs inside copied, too, under the same handles: what an executable graph keeps.
    pub(crate) fn frozen(&self) -> Self {
        let mut copy = self.clone();
        for node in &mut copy.list {
            let frozen = match &node.work {
                Work::Child(child) => Work::Child(Graph::unlisted(child.nodes.lock().frozen())),
                Work::Conditional(conditional) => Work::Conditional(conditional.frozen()),
                _ => continue,
            };
            node.work = frozen;
        }
        copy
    }
}

/// A graph.
pub(crate) struct Graph {
    /// The worker's number; 0 for what the worker never hears of.
    pub(crate) id: u32,
    pub(crate) context: u32,
    /// What the program holds; 0 if it does not know of it.
    pub(crate) handle: usize,
    /// Part of a node, with which it lives and dies.
    inside: bool,
    pub(crate) nodes: Mutex<Nodes>,
    /// The worker has a graph under the number.
    pub(crate) known: AtomicBool,
    /// And it is like this one.
    pub(crate) mirrored: AtomicBool,
    /// User objects: handle and references.
    pub(crate) objects: Mutex<Vec<(usize, u32)>>,
    /// What the worker has of it from the first node on that kernels change.
    pub(crate) kept: Mutex<Option<Arc<Kept>>>,
}

/// Which graph a node's handle belongs to.
struct NodeRef {
    graph: Weak<Graph>,
}

impl std::fmt::Debug for Graph {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Graph")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

static GRAPHS: Table<Graph> = Table::new(Kind::Graph);
static NODES: Table<NodeRef> = Table::new(Kind::GraphNode);

impl Graph {
    fn new(id: u32, context: u32, handle: usize, inside: bool) -> Self {
        Self {
            id,
            context,
            handle,
            inside,
            nodes: Mutex::default(),
            known: AtomicBool::new(false),
            mirrored: AtomicBool::new(false),
            objects: Mutex::default(),
            kept: Mutex::default(),
        }
    }

    /// A new empty graph of the program.
    ///
    /// # Errors
    /// `CUDA_ERROR_OUT_OF_MEMORY` if there are too many.
    pub(crate) fn create(context: u32) -> Result<Arc<Self>> {
        GRAPHS.try_insert(|handle, id| Ok(Self::new(id, context, handle as usize, false)))
    }

    /// Whether the graph is part of a node.
    pub(crate) fn is_inside(&self) -> bool {
        self.inside
    }

    /// An empty graph that no program sees.
    pub(crate) fn nobodys() -> Arc<Self> {
        Self::unlisted(Nodes::default())
    }

    /// Nodes that no program's handle leads to.
    fn unlisted(nodes: Nodes) -> Arc<Self> {
        let graph = Self::new(0, 0, 0, true);
        *graph.nodes.lock() = nodes;
        Arc::new(graph)
    }

    /// A copy of the nodes, under new handles that remember their originals.
    ///
    /// # Errors
    /// `CUDA_ERROR_OUT_OF_MEMORY` if there are too many.
    pub(crate) fn copy(&self, inside: bool) -> Result<Arc<Self>> {
        let copy = GRAPHS
            .try_insert(|handle, id| Ok(Self::new(id, self.context, handle as usize, inside)))?;
        copy.take_nodes_of(self)?;
        Ok(copy)
    }

    fn take_nodes_of(self: &Arc<Self>, from: &Self) -> Result<()> {
        let mut nodes = from.nodes.lock().clone();
        let mut new = HashMap::new();
        for node in &mut nodes.list {
            if let Work::Child(child) = &node.work {
                node.work = Work::Child(child.copy(true)?);
            }
            if let Work::Conditional(_) = &node.work {
                // Natively neither: a condition is of one graph.
                return Err(error::ERROR_NOT_SUPPORTED);
            }
            if let Work::Kernel(kernel) = &node.work
                && kernel.device_node() != 0
            {
                // Kernels know the other one.
                node.work = Work::Kernel(kernel.not_updatable());
            }
            node.origin = node.handle;
            node.handle = self.mint_node()?;
            new.insert(node.origin, node.handle);
        }
        let mut mine = Nodes::default();
        for mut node in nodes.list {
            for edge in &mut node.after {
                if let Some(&handle) = new.get(&edge.from) {
                    edge.from = handle;
                }
            }
            mine.push(node);
        }
        *self.nodes.lock() = mine;
        Ok(())
    }

    fn mint_node(self: &Arc<Self>) -> Result<usize> {
        let mut minted = 0;
        NODES
            .insert(|handle| {
                minted = handle as usize;
                NodeRef {
                    graph: Arc::downgrade(self),
                }
            })
            .map(|_| minted)
            .ok_or(error::ERROR_OUT_OF_MEMORY)
    }

    /// The program has changed the graph: the worker's is another one now.
    pub(crate) fn changed(&self) {
        self.mirrored.store(false, Ordering::Release);
    }

    /// Adds a node.
    ///
    /// # Errors
    /// `CUDA_ERROR_INVALID_VALUE` if it depends on a node of another graph, or twice on one.
    pub(crate) fn add(self: &Arc<Self>, work: Work, after: Vec<Edge>) -> Result<usize> {
        let nodes = self.nodes.lock();
        if !after.iter().all(|edge| edge.fits(&nodes, &work)) {
            return Err(error::ERROR_INVALID_VALUE);
        }
        drop(nodes);
        self.add_captured(work, after)
    }

    /// Adds a node; one that is captured may come by any port of a kernel, whatever it does.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub(crate) fn add_captured(self: &Arc<Self>, work: Work, after: Vec<Edge>) -> Result<usize> {
        let mut nodes = self.nodes.lock();
        for (at, edge) in after.iter().enumerate() {
            let again = after[..at].iter().any(|other| other.from == edge.from);
            if again || nodes.position(edge.from).is_none() {
                return Err(error::ERROR_INVALID_VALUE);
            }
        }
        let handle = self.mint_node()?;
        nodes.push(Node {
            handle,
            origin: handle,
            work,
            after,
            enabled: true,
        });
        Ok(handle)
    }

    /// Takes a node out, and the edges from and to it.
    pub(crate) fn remove_node(&self, handle: usize) {
        let gone = {
            let mut nodes = self.nodes.lock();
            let gone = nodes.get(handle).cloned();
            nodes.remove(handle);
            gone
        };
        NODES.remove(handle as *mut c_void);
        self.changed();
        drop_inside(gone.as_slice());
    }
}

/// Graphs inside nodes that are gone: their handles die with them.
fn drop_inside(nodes: &[Node]) {
    for node in nodes {
        match &node.work {
            Work::Child(child) if child.handle != 0 => {
                GRAPHS.remove(child.handle as *mut c_void);
                forget_nodes(child);
            }
            Work::Conditional(conditional) => conditional.forget(),
            _ => {}
        }
    }
}

fn forget_nodes(graph: &Graph) {
    let nodes = std::mem::take(&mut *graph.nodes.lock());
    for node in &nodes.list {
        NODES.remove(node.handle as *mut c_void);
    }
    drop_inside(&nodes.list);
}

/// The graph behind a handle.
///
/// # Errors
/// `CUDA_ERROR_INVALID_VALUE` for anything else.
pub(crate) fn resolve(handle: CUgraph) -> Result<Arc<Graph>> {
    GRAPHS.get(handle).ok_or(error::ERROR_INVALID_VALUE)
}

/// The graph that a node is part of.
///
/// # Errors
/// `CUDA_ERROR_INVALID_VALUE` for anything but a live node.
pub(crate) fn of_node(node: CUgraphNode) -> Result<Arc<Graph>> {
    NODES
        .get(node)
        .and_then(|node| node.graph.upgrade())
        .ok_or(error::ERROR_INVALID_VALUE)
}

/// Runs `f` on a live node.
///
/// # Errors
/// What `f` returns; `CUDA_ERROR_INVALID_VALUE` for anything but a live node.
pub(crate) fn with_node<R>(node: CUgraphNode, f: impl FnOnce(&Node) -> Result<R>) -> Result<R> {
    let graph = of_node(node)?;
    let nodes = graph.nodes.lock();
    f(nodes.get(node as usize).ok_or(error::ERROR_INVALID_VALUE)?)
}

/// Changes a live node.
///
/// # Errors
/// As [`with_node`].
pub(crate) fn change_node(
    node: CUgraphNode,
    f: impl FnOnce(&mut Node) -> Result<()>,
) -> Result<()> {
    let graph = of_node(node)?;
    let mut nodes = graph.nodes.lock();
    f(nodes
        .get_mut(node as usize)
        .ok_or(error::ERROR_INVALID_VALUE)?)?;
    drop(nodes);
    graph.changed();
    Ok(())
}

/// Destroys a graph; what was instantiated from it stays.
///
/// # Errors
/// `CUDA_ERROR_INVALID_VALUE` for a graph that is part of a node; those of sending.
pub(crate) fn destroy(session: &Session, graph: &Graph) -> Result<()> {
    if graph.inside {
        return Err(error::ERROR_INVALID_VALUE);
    }
    GRAPHS.remove_with(graph.handle as *mut c_void, || tell_gone(session, graph))?;
    forget_nodes(graph);
    if let Some(kept) = graph.kept.lock().take() {
        destroy(session, &kept.graph)?;
    }
    let objects = std::mem::take(&mut *graph.objects.lock());
    for (object, count) in objects {
        crate::driver::user_object::release(object, count);
    }
    Ok(())
}

/// The worker's graph, if it has one, is not wanted any more.
///
/// # Errors
/// Those of sending.
pub(crate) fn tell_gone(session: &Session, graph: &Graph) -> Result<()> {
    graph.changed();
    if graph.known.swap(false, Ordering::AcqRel) {
        session.post(graph.context, &GraphDestroy { graph: graph.id })?;
    }
    Ok(())
}
