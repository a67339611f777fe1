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
    GraphCreate, GraphExecEnable, GraphExecKernel, GraphKernel, KernelNode,
};
use gvirtus_wire::api::types::error;
use gvirtus_wire::codec::Params;
use parking_lot::Mutex;

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
    /// What was instantiated from it.
    live: Mutex<Weak<Exec>>,
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
        for pinned in ledger::host_among(&kernel.params()) {
            mapped::map(session, &pinned, false)?;
        }
        let command = GraphExecKernel {
            exec,
            node,
            kernel: described(kernel, kernel.params()),
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

/// The graph of the program that another one is part of, by graphs inside alone.
fn root_of(graph: &Arc<Graph>) -> Result<Arc<Graph>> {
    let mut root = Arc::clone(graph);
    while root.inside {
        let holds = |other: &Graph| {
            let nodes = other.nodes.lock();
            let inside =
                |node: &Node| matches!(&node.work, Work::Child(child) if Arc::ptr_eq(child, &root));
            nodes.list.iter().any(inside)
        };
        root = GRAPHS.find(holds).ok_or_else(|| {
            crate::log::unsupported("nodes that kernels change in a graph of a conditional node");
            error::ERROR_NOT_SUPPORTED
        })?;
    }
    Ok(root)
}

/// Makes a kernel node one that kernels change. The result is the handle by which they do.
///
/// # Errors
/// The box's; `CUDA_ERROR_NOT_SUPPORTED` in a graph of a conditional node.
pub(crate) fn make(session: &Session, graph: &Arc<Graph>, node: usize) -> Result<u64> {
    let kernel = match graph.nodes.lock().get(node).map(|node| node.work.clone()) {
        Some(Work::Kernel(kernel)) => kernel,
        _ => return Err(error::ERROR_INVALID_VALUE),
    };
    let root = root_of(graph)?;
    let kept = {
        let mut kept = root.kept.lock();
        match &*kept {
            Some(kept) => Arc::clone(kept),
            None => Arc::clone(kept.insert(Kept::new(session, &root)?)),
        }
    };
    let command = GraphKernel {
        graph: kept.graph.id,
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
