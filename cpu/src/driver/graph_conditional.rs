//! Conditional nodes: graphs in a graph that run if, while, or as a value says that kernels set.
//!
//! See <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__GRAPH.html>.

use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use gvirtus_wire::api::types::{
    CUDA_CONDITIONAL_NODE_PARAMS, CUcontext, CUgraph, CUgraphConditionalHandle, CUgraphNode,
};

use super::context::Context;
use super::error::{ERROR_INVALID_VALUE, ERROR_NOT_SUPPORTED, Result};
use super::graph::{self, GRAPHS, Graph, Shape};
use super::graph_nodes;
use super::handles::{self, Table};
use super::work::Work;
use super::{context, ffi};

/// `CU_GRAPH_COND_ASSIGN_DEFAULT`.
const ASSIGN_DEFAULT: u32 = 1;
/// `CU_GRAPH_NODE_TYPE_CONDITIONAL`.
const NODE_TYPE: u32 = 13;
/// A switch with more cases than this is not believed.
const MOST_BODIES: u32 = 1 << 16;

/// A value that kernels set by its handle.
pub(super) struct Condition {
    handle: usize,
    value: AtomicU32,
    default: u32,
    /// Whether each launch of the graph begins with the default.
    assign: bool,
}

static CONDITIONS: Table<Condition> = Table::new();

impl Condition {
    fn reset(&self) {
        if self.assign {
            self.value.store(self.default, Ordering::Release);
        }
    }
}

/// Gives all conditions of a graph their defaults: what a launch of it does first.
#[derive(Clone)]
pub(super) struct Reset(pub(super) Arc<[Arc<Condition>]>);

impl Reset {
    pub(super) fn run(&self) {
        self.0.iter().for_each(|condition| condition.reset());
    }
}

/// `cudaGraphSetConditional` of a kernel; false if there is no such condition.
pub(super) fn set(handle: u64, value: u32) -> bool {
    let found = usize::try_from(handle)
        .ok()
        .and_then(|handle| CONDITIONS.get(handles::pointer(handle)));
    found.is_some_and(|condition| {
        condition.value.store(value, Ordering::Release);
        true
    })
}

/// Forgets the condition with the last graph that has its node.
impl Drop for Conditional {
    fn drop(&mut self) {
        // The table holds one, this node the other.
        if Arc::strong_count(&self.condition) == 2 {
            CONDITIONS.remove(handles::pointer(self.condition.handle));
        }
    }
}

/// `CUgraphConditionalNodeType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    If,
    While,
    Switch,
}

/// A conditional node.
pub(super) struct Conditional {
    pub(super) condition: Arc<Condition>,
    kind: Kind,
    /// The graphs that the program fills.
    pub(super) bodies: Vec<Arc<Graph>>,
    /// Their handles, as the program was told them.
    list: Vec<usize>,
    /// What they were when the graph was made executable.
    fixed: Vec<Shape>,
}

impl Conditional {
    /// The node with its graphs as they are now.
    pub(super) fn fix(&self, fixed: Vec<Shape>) -> Conditional {
        Conditional {
            condition: Arc::clone(&self.condition),
            kind: self.kind,
            bodies: self.bodies.clone(),
            list: Vec::new(),
            fixed,
        }
    }

    /// What its graphs were when the graph was made executable.
    pub(super) fn fixed(&self) -> &[Shape] {
        &self.fixed
    }

    /// Runs what the condition says, node by node: each comes after those that it depends on.
    ///
    /// # Errors
    /// The first fault.
    pub(super) fn run(&self, context: &Arc<Context>) -> Result {
        let value = || self.condition.value.load(Ordering::Acquire);
        let body = |index: usize| -> Result {
            let Some(shape) = self.fixed.get(index) else {
                return Ok(());
            };
            for work in shape.works() {
                if context.is_dead() {
                    return Ok(());
                }
                work.clone().run(context)?;
            }
            Ok(())
        };
        match self.kind {
            Kind::If => body(usize::from(value() == 0)),
            Kind::While => {
                while value() != 0 && !context.is_dead() {
                    body(0)?;
                }
                Ok(())
            }
            Kind::Switch => body(value() as usize),
        }
    }
}

pub(super) fn cuGraphConditionalHandleCreate(
    pHandle_out: *mut CUgraphConditionalHandle,
    hGraph: CUgraph,
    ctx: CUcontext,
    defaultLaunchValue: u32,
    flags: u32,
) -> Result {
    graph::resolve(hGraph)?;
    if pHandle_out.is_null() || flags & !ASSIGN_DEFAULT != 0 {
        return Err(ERROR_INVALID_VALUE);
    }
    if !ctx.is_null() {
        context::resolve(ctx)?.check()?;
    }
    let handle = handles::mint();
    let condition = Condition {
        handle,
        value: AtomicU32::new(defaultLaunchValue),
        default: defaultLaunchValue,
        assign: flags & ASSIGN_DEFAULT != 0,
    };
    CONDITIONS.insert(handle, Arc::new(condition));
    ffi::put(pHandle_out, handle as u64)
}

/// `CUgraphNodeParams` of a conditional node, the beginning of 256 bytes.
#[repr(C)]
#[derive(Clone, Copy)]
struct NodeParams {
    kind: u32,
    reserved: [u32; 3],
    conditional: CUDA_CONDITIONAL_NODE_PARAMS,
}

pub(super) fn cuGraphAddNode_v2(
    phGraphNode: *mut CUgraphNode,
    hGraph: CUgraph,
    dependencies: *const CUgraphNode,
    dependencyData: *const c_void,
    numDependencies: usize,
    nodeParams: *mut c_void,
) -> Result {
    let graph = graph::resolve(hGraph)?;
    let params = ffi::get(nodeParams.cast::<NodeParams>())?;
    // Other nodes have functions of their own, and all edges are plain ones.
    if params.kind != NODE_TYPE || !dependencyData.is_null() {
        return Err(ERROR_NOT_SUPPORTED);
    }
    let CUDA_CONDITIONAL_NODE_PARAMS {
        handle,
        type_,
        size,
        ..
    } = params.conditional;
    let kind = match (type_, size) {
        (0, 1..=2) => Kind::If,
        (1, 1) => Kind::While,
        (2, 1..=MOST_BODIES) => Kind::Switch,
        _ => return Err(ERROR_INVALID_VALUE),
    };
    let condition = usize::try_from(handle)
        .ok()
        .and_then(|handle| CONDITIONS.get(handles::pointer(handle)))
        .ok_or(ERROR_INVALID_VALUE)?;
    let bodies: Vec<Arc<Graph>> = (0..size).map(|_| Graph::new()).collect();
    let list: Vec<usize> = bodies.iter().map(|body| body.handle).collect();
    for body in &bodies {
        GRAPHS.insert(body.handle, Arc::clone(body));
    }
    let node = Conditional {
        condition,
        kind,
        bodies,
        list,
        fixed: Vec::new(),
    };
    let told = node.list.as_ptr();
    graph_nodes::add(
        phGraphNode,
        &graph,
        dependencies,
        numDependencies,
        Work::Conditional(Arc::new(node)),
    )?;
    // The array is the node's and lives as long.
    ffi::put(
        nodeParams.cast(),
        NodeParams {
            conditional: CUDA_CONDITIONAL_NODE_PARAMS {
                phGraph_out: told.cast_mut().cast(),
                ..params.conditional
            },
            ..params
        },
    )
}

pub(super) fn cuGraphAddNode(
    phGraphNode: *mut CUgraphNode,
    hGraph: CUgraph,
    dependencies: *const CUgraphNode,
    numDependencies: usize,
    nodeParams: *mut c_void,
) -> Result {
    let plain = std::ptr::null();
    cuGraphAddNode_v2(
        phGraphNode,
        hGraph,
        dependencies,
        plain,
        numDependencies,
        nodeParams,
    )
}
