//! Kernel nodes that kernels change, and what else is changed in a graph while it is being built.
//!
//! Such a node is part of one executable graph at a time, so it keeps itself what it does there.
//!
//! See <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__TYPES.html>.

use std::ffi::c_void;
use std::sync::Arc;

use gvirtus_wire::api::types::{CUgraph, CUgraphNode, CUstreamAttrValue};
use parking_lot::Mutex;

use super::error::{ERROR_INVALID_VALUE, ERROR_NOT_SUPPORTED, Result};
use super::graph::{self, Graph, resolve_node};
use super::handles::{self, Table};
use super::launch::Launch;
use super::work::Work;
use super::{ffi, graph_nodes};
use crate::engine::NodeUpdate;

/// `CU_LAUNCH_ATTRIBUTE_*`.
const COOPERATIVE: u32 = 2;
const CLUSTER_DIMENSION: u32 = 4;
const DEVICE_UPDATABLE: u32 = 13;
/// The last that is known.
const LAST: u32 = 16;
/// `cudaErrorInvalidValue`.
const INVALID_VALUE: i32 = 1;

/// A kernel node that kernels change, by a handle of their own.
pub(super) struct Updatable {
    handle: usize,
    /// What an executable graph begins with.
    first: Mutex<Arc<Launch>>,
    /// What the executable graph does, while there is one.
    now: Mutex<Option<Now>>,
}

/// What a node of an executable graph does.
struct Now {
    /// As the host has it: whatever the host changes, what kernels changed goes with it.
    host: Arc<Launch>,
    launch: Arc<Launch>,
    enabled: bool,
}

static NODES: Table<Updatable> = Table::new();

impl Updatable {
    fn new(launch: &Arc<Launch>) -> Arc<Self> {
        let node = Arc::new(Self {
            handle: handles::mint(),
            first: Mutex::new(Arc::clone(launch)),
            now: Mutex::default(),
        });
        NODES.insert(node.handle, Arc::clone(&node));
        node
    }

    /// What it does at this moment.
    pub(super) fn launch(&self) -> Option<Arc<Launch>> {
        let now = self.now.lock();
        let running = now.as_ref().filter(|now| now.enabled);
        running.map(|now| Arc::clone(&now.launch))
    }

    pub(super) fn is_live(&self) -> bool {
        self.now.lock().is_some()
    }

    /// It is part of an executable graph from now on.
    pub(super) fn begin(&self) {
        let first = self.first.lock();
        *self.now.lock() = Some(Now {
            host: Arc::clone(&first),
            launch: Arc::clone(&first),
            enabled: true,
        });
    }

    /// The executable graph is gone.
    pub(super) fn end(&self) {
        *self.now.lock() = None;
    }

    /// The graph is gone.
    pub(super) fn forget(&self) {
        NODES.remove(handles::pointer(self.handle));
    }

    /// Changes what the executable graph does.
    ///
    /// # Errors
    /// `CUDA_ERROR_INVALID_VALUE` if there is none.
    pub(super) fn set(&self, launch: Option<&Arc<Launch>>, enabled: Option<bool>) -> Result {
        let mut now = self.now.lock();
        let now = now.as_mut().ok_or(ERROR_INVALID_VALUE)?;
        if let Some(launch) = launch {
            now.host = Arc::new(launch.with_attributes_of(&now.host));
        }
        now.launch = Arc::clone(&now.host);
        now.enabled = enabled.unwrap_or(now.enabled);
        Ok(())
    }
}

/// A kernel changes a node: the status, as the runtime has it.
pub(super) fn update(node: u64, update: NodeUpdate) -> i32 {
    let named = usize::try_from(node).map(handles::pointer);
    let Some(node) = named.ok().and_then(|handle| NODES.get(handle)) else {
        return INVALID_VALUE;
    };
    let mut now = node.now.lock();
    let Some(now) = now.as_mut() else {
        return INVALID_VALUE;
    };
    let changed = match update {
        NodeUpdate::Enabled(on) => {
            now.enabled = on;
            return 0;
        }
        NodeUpdate::Grid(grid) => now.launch.with_grid(grid),
        NodeUpdate::Parameter(offset, value) => now.launch.with_parameter(offset, &value),
    };
    match changed {
        Ok(changed) => {
            now.launch = Arc::new(changed);
            0
        }
        Err(_) => INVALID_VALUE,
    }
}

pub(super) fn cuGraphKernelNodeSetAttribute(
    hNode: CUgraphNode,
    attr: u32,
    value: *const CUstreamAttrValue,
) -> Result {
    let words = ffi::get(value)?.words;
    let low = words[0] as u32;
    let told = graph::change_node(hNode, |work| {
        let launch = match work {
            Work::Kernel(launch) => launch,
            Work::Updatable(node) => &mut *node.first.lock(),
            _ => return Err(ERROR_INVALID_VALUE),
        };
        match attr {
            0 => return Err(ERROR_INVALID_VALUE),
            COOPERATIVE => *launch = Arc::new(launch.with_cooperative(low != 0)),
            CLUSTER_DIMENSION => {
                let size = [low, (words[0] >> 32) as u32, words[1] as u32];
                *launch = Arc::new(launch.with_cluster(size));
            }
            DEVICE_UPDATABLE => return Ok(Some(Arc::clone(launch))),
            // Hints.
            1..=LAST => {}
            _ => return Err(ERROR_INVALID_VALUE),
        }
        Ok(None)
    })?;
    let Some(launch) = told else { return Ok(()) };
    let handle = graph::change_node(hNode, |work| match (low, &*work, words[1]) {
        (0, Work::Kernel(_), _) => Ok(0),
        (0, ..) => Err(ERROR_NOT_SUPPORTED),
        (1, Work::Updatable(node), 0) => Ok(node.handle),
        (1, _, 0) => {
            let node = Updatable::new(&launch);
            let handle = node.handle;
            *work = Work::Updatable(node);
            Ok(handle)
        }
        _ => Err(ERROR_INVALID_VALUE),
    })?;
    if handle == 0 {
        return Ok(());
    }
    // As natively: the value behind the pointer is told the handle, whatever the declaration says.
    ffi::put(
        value.cast_mut().cast::<u64>().wrapping_add(1),
        handle as u64,
    )
}

/// Of the attributes, whether kernels change the node.
pub(super) fn cuGraphKernelNodeGetAttribute(
    hNode: CUgraphNode,
    attr: u32,
    value_out: *mut CUstreamAttrValue,
) -> Result {
    if attr != DEVICE_UPDATABLE {
        return Err(ERROR_NOT_SUPPORTED);
    }
    let handle = graph::change_node(hNode, |work| match work {
        Work::Kernel(_) => Ok(0),
        Work::Updatable(node) => Ok(node.handle),
        _ => Err(ERROR_INVALID_VALUE),
    })?;
    ffi::put(value_out.cast::<u32>(), u32::from(handle != 0))?;
    ffi::put(value_out.cast::<u64>().wrapping_add(1), handle as u64)
}

pub(super) fn cuGraphKernelNodeSetParams_v2(
    hNode: CUgraphNode,
    nodeParams: *const c_void,
) -> Result {
    let Work::Kernel(new) = graph_nodes::kernel2(nodeParams)? else {
        return Err(ERROR_INVALID_VALUE);
    };
    graph::change_node(hNode, |work| {
        match work {
            Work::Kernel(old) => *old = Arc::new(new.with_attributes_of(old)),
            Work::Updatable(node) => {
                let mut old = node.first.lock();
                *old = Arc::new(new.with_attributes_of(&old));
            }
            _ => return Err(ERROR_INVALID_VALUE),
        }
        Ok(())
    })
}

/// Does something with each pair of nodes of a graph, by their indices.
fn each_pair(
    hGraph: CUgraph,
    from: *const CUgraphNode,
    to: *const CUgraphNode,
    count: usize,
    f: impl Fn(&Graph, usize, usize) -> Result,
) -> Result {
    let graph = graph::resolve(hGraph)?;
    let (from, to) = (ffi::get_slice(from, count)?, ffi::get_slice(to, count)?);
    let index = |node: &CUgraphNode| graph.index_of(node.addr()).ok_or(ERROR_INVALID_VALUE);
    let mut pairs = from.iter().zip(&to);
    pairs.try_for_each(|(from, to)| f(&graph, index(from)?, index(to)?))
}

pub(super) fn cuGraphAddDependencies_v2(
    hGraph: CUgraph,
    from: *const CUgraphNode,
    to: *const CUgraphNode,
    edgeData: *const c_void,
    numDependencies: usize,
) -> Result {
    // All edges are plain ones.
    if !edgeData.is_null() {
        return Err(ERROR_NOT_SUPPORTED);
    }
    each_pair(hGraph, from, to, numDependencies, Graph::connect)
}

pub(super) fn cuGraphRemoveDependencies_v2(
    hGraph: CUgraph,
    from: *const CUgraphNode,
    to: *const CUgraphNode,
    _edgeData: *const c_void,
    numDependencies: usize,
) -> Result {
    each_pair(hGraph, from, to, numDependencies, Graph::disconnect)
}

pub(super) fn cuGraphGetEdges_v2(
    hGraph: CUgraph,
    from: *mut CUgraphNode,
    to: *mut CUgraphNode,
    edgeData: *mut c_void,
    numEdges: *mut usize,
) -> Result {
    let graph = graph::resolve(hGraph)?;
    let edges = graph.edges();
    if from.is_null() || to.is_null() {
        return ffi::put(numEdges, edges.len());
    }
    let count = ffi::get(numEdges)?.min(edges.len());
    let handle = |index| handles::pointer(graph.node_handle(index));
    let (before, behind): (Vec<_>, Vec<_>) = edges[..count]
        .iter()
        .map(|&(from, to)| (handle(from), handle(to)))
        .unzip();
    ffi::put_slice(from, &before)?;
    ffi::put_slice(to, &behind)?;
    if !edgeData.is_null() {
        ffi::put_slice(edgeData.cast(), &vec![0u64; count])?;
    }
    ffi::put(numEdges, count)
}

pub(super) fn cuGraphDestroyNode(hNode: CUgraphNode) -> Result {
    let (graph, index) = resolve_node(hNode)?;
    graph.remove(index)
}
