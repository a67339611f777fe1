//! Kernel nodes that kernels change (`CU_LAUNCH_ATTRIBUTE_DEVICE_UPDATABLE_KERNEL_NODE`).
//! <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__TYPES.html>
//!
//! A program gives the handle of such a node to a kernel, maybe in an array and before the graph is complete, so it gets the one that the box's driver made. Therefore the worker has a graph from the
//! first such node on, and the replay goes into that graph, around the nodes that are there. As natively there is one executable graph of it at a time, which nothing takes the place of: changes of it
//! are told to the box one by one.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use gvirtus_wire::api::core::{
    GraphConditional, GraphCreate, GraphExecEnable, GraphExecKernel, GraphKernel, KernelNode,
};
use gvirtus_wire::api::types::error;
use gvirtus_wire::codec::Params;
use parking_lot::Mutex;

use super::conditional::{self, Conditional};
use super::work::{Kernel, Work};
use super::{GRAPHS, Graph, Node};
use crate::driver::Result;
use crate::driver::graph_exec::Exec;
use crate::memory::{ledger, mapped};
use crate::session::Session;

/// `CU_LAUNCH_ATTRIBUTE_DEVICE_UPDATABLE_KERNEL_NODE`.
pub(crate) const ATTRIBUTE: u32 = 13;

/// What the worker has of a graph with such nodes.
pub(crate) struct Kept {
    /// The worker's graph, under a number of its own.
    pub(crate) graph: Arc<Graph>,
    /// Kernel nodes of the program by handle, and the worker's numbers of them.
    numbers: Mutex<HashMap<usize, u32>>,
    /// Conditional nodes that the worker has made, by the program's handles of their conditions.
    conditions: Mutex<HashMap<u64, Condition>>,
    /// What was instantiated from it.
    live: Mutex<Weak<Exec>>,
}

/// A conditional node, as the worker has it.
#[derive(Clone, Copy)]
pub(crate) struct Condition {
    /// The worker's number of the node.
    pub(crate) node: u32,
    /// The box's handle of the condition.
    pub(crate) handle: u64,
    /// The worker's number of its first graph; the others follow.
    pub(crate) bodies: u32,
    count: u32,
}

/// A kernel as it travels, with parameters that may be others than the program's.
pub(crate) fn described(kernel: &Kernel, params: Params) -> KernelNode {
    let others = kernel.attributes.iter().filter(|(id, _)| *id != ATTRIBUTE);
    KernelNode {
        function: kernel.function.id,
        grid: kernel.geometry.grid,
        block: kernel.geometry.block,
        shared: kernel.geometry.shared,
        params,
        attributes: others.copied().collect(),
    }
}

impl Kernel {
    /// The handle by which kernels change the node that does this, 0 if they cannot.
    pub(crate) fn device_node(&self) -> u64 {
        let mut found = self.attributes.iter().filter(|(id, _)| *id == ATTRIBUTE);
        found.next().map_or(0, |(_, value)| {
            u64::from_le_bytes(value[8..16].try_into().expect("eight bytes"))
        })
    }

    fn updatable_by(&self, handle: u64) -> Arc<Self> {
        let mut value = [0; 64];
        value[0] = 1;
        value[8..16].copy_from_slice(&handle.to_le_bytes());
        let mut attributes = self.attributes.clone();
        attributes.push((ATTRIBUTE, value));
        self.with_attributes(attributes)
    }

    /// The same as a node that kernels do not change.
    pub(super) fn not_updatable(&self) -> Arc<Self> {
        let others = self.attributes.iter().filter(|(id, _)| *id != ATTRIBUTE);
        self.with_attributes(others.copied().collect())
    }
}

/// Whether kernels change what a node does.
pub(crate) fn is(node: &Node) -> bool {
    matches!(&node.work, Work::Kernel(kernel) if kernel.device_node() != 0)
}

impl Kept {
    fn new(session: &Session, of: &Graph) -> Result<Arc<Self>> {
        let graph = Graph::create(of.context)?;
        session.post(graph.context, &GraphCreate { graph: graph.id })?;
        graph.known.store(true, Ordering::Release);
        Ok(Arc::new(Self {
            graph,
            numbers: Mutex::default(),
            conditions: Mutex::default(),
            live: Mutex::default(),
        }))
    }

    /// The worker's number of a kernel node.
    pub(crate) fn number(&self, node: usize) -> u32 {
        let mut numbers = self.numbers.lock();
        let next = numbers.len() as u32;
        *numbers.entry(node).or_insert(next)
    }

    fn known(&self, node: usize) -> Result<u32> {
        let known = self.numbers.lock().get(&node).copied();
        known.ok_or_else(|| {
            crate::log::unsupported(
                "changes of what is no kernel, in an executable graph whose nodes kernels change",
            );
            error::ERROR_NOT_SUPPORTED
        })
    }

    /// A conditional node, which the worker makes if it has not yet, in a graph of another one or 0.
    ///
    /// # Errors
    /// The box's.
    pub(crate) fn condition(
        &self,
        session: &Session,
        context: u32,
        within: u32,
        node: usize,
        conditional: &Conditional,
    ) -> Result<Condition> {
        let mut conditions = self.conditions.lock();
        if let Some(known) = conditions.get(&conditional.handle) {
            return Ok(*known);
        }
        let described = conditional::described(conditional.handle);
        let (value, flags) = described.ok_or(error::ERROR_INVALID_VALUE)?;
        let bodies = 1 + conditions.values().map(|known| known.count).sum::<u32>();
        let count = conditional.bodies.len() as u32;
        let node = self.number(node);
        let command = GraphConditional {
            graph: self.graph.id,
            within,
            node,
            value,
            flags,
            kind: conditional.kind,
            bodies: (bodies..bodies + count).collect(),
        };
        let handle = session.call(context, &command)?;
        let made = Condition {
            node,
            handle,
            bodies,
            count,
        };
        conditions.insert(conditional.handle, made);
        Ok(made)
    }

    /// Whether there is an executable graph of it.
    pub(crate) fn is_live(&self) -> bool {
        self.live.lock().strong_count() > 0
    }

    pub(crate) fn instantiated(&self, exec: &Arc<Exec>) {
        *self.live.lock() = Arc::downgrade(exec);
    }

    /// Gives a kernel node of an executable graph other work.
    ///
    /// # Errors
    /// The box's; `CUDA_ERROR_NOT_SUPPORTED` for what is no kernel.
    pub(crate) fn change(
        &self,
        session: &Session,
        exec: u32,
        node: usize,
        kernel: &Kernel,
    ) -> Result<()> {
        let node = self.known(node)?;
        let params = conditional::with_handles(&kernel.block, |handle| {
            let conditions = self.conditions.lock();
            conditions.get(&handle).map(|condition| condition.handle)
        })?;
        for pinned in ledger::host_among(&params) {
            mapped::map(session, &pinned, false)?;
        }
        let command = GraphExecKernel {
            exec,
            node,
            kernel: described(kernel, params),
        };
        session.call(kernel.function.context, &command)
    }

    /// Lets a kernel node of an executable graph run or not.
    ///
    /// # Errors
    /// As [`change`](Self::change).
    pub(crate) fn enable(
        &self,
        session: &Session,
        exec: u32,
        node: usize,
        enabled: bool,
    ) -> Result<()> {
        let command = GraphExecEnable {
            exec,
            node: self.known(node)?,
            enabled,
        };
        session.call(self.graph.context, &command)
    }
}

/// The graph of the program that a graph is part of, and the conditional nodes between, outermost first: their handles, and which of their graphs.
type Path = (Arc<Graph>, Vec<(usize, Arc<Conditional>, usize)>);

fn path_to(graph: &Arc<Graph>) -> Result<Path> {
    let mut root = Arc::clone(graph);
    let mut path = Vec::new();
    while root.inside {
        let mut through = None;
        let holds = |other: &Graph| {
            let nodes = other.nodes.lock();
            nodes.list.iter().any(|node| match &node.work {
                Work::Child(child) => Arc::ptr_eq(child, &root),
                Work::Conditional(conditional) => conditional
                    .bodies
                    .iter()
                    .any(|body| Arc::ptr_eq(body, &root)),
                _ => false,
            })
        };
        let outer = GRAPHS.find(holds).ok_or(error::ERROR_INVALID_VALUE)?;
        for node in &outer.nodes.lock().list {
            if let Work::Conditional(conditional) = &node.work {
                let mut bodies = conditional.bodies.iter();
                if let Some(at) = bodies.position(|body| Arc::ptr_eq(body, &root)) {
                    through = Some((node.handle, Arc::clone(conditional), at));
                }
            }
        }
        path.extend(through);
        root = outer;
    }
    path.reverse();
    Ok((root, path))
}

/// Makes a kernel node one that kernels change. The result is the handle by which they do.
///
/// # Errors
/// The box's.
pub(crate) fn make(session: &Session, graph: &Arc<Graph>, node: usize) -> Result<u64> {
    let kernel = match graph.nodes.lock().get(node).map(|node| node.work.clone()) {
        Some(Work::Kernel(kernel)) => kernel,
        _ => return Err(error::ERROR_INVALID_VALUE),
    };
    let (root, path) = path_to(graph)?;
    let kept = {
        let mut kept = root.kept.lock();
        match &*kept {
            Some(kept) => Arc::clone(kept),
            None => Arc::clone(kept.insert(Kept::new(session, &root)?)),
        }
    };
    let mut within = 0;
    for (node, conditional, body) in path {
        let made = kept.condition(session, kernel.function.context, within, node, &conditional)?;
        within = made.bodies + body as u32;
    }
    let command = GraphKernel {
        graph: kept.graph.id,
        within,
        node: kept.number(node),
        kernel: described(&kernel, kernel.params()),
        updatable: true,
    };
    let handle = session.call(kernel.function.context, &command)?;
    if handle == 0 {
        return Err(error::ERROR_NOT_SUPPORTED);
    }
    if let Some(node) = graph.nodes.lock().get_mut(node) {
        node.work = Work::Kernel(kernel.updatable_by(handle));
    }
    root.changed();
    Ok(handle)
}
