//! Nodes that a program adds to a graph by hand.
//!
//! See <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__GRAPH.html>.

use std::ffi::c_void;
use std::sync::Arc;

use gvirtus_wire::api::types::{
    CUDA_MEMCPY3D, CUcontext, CUevent, CUfunction, CUgraph, CUgraphExec, CUgraphNode, CUhostFn,
    CUkernel,
};

use super::error::{ERROR_INVALID_VALUE, Result};
use super::graph::{self, Graph};
use super::memory::transfer::Fill;
use super::memory::{copy, fill};
use super::work::{HostFunction, UserData, Work};
use super::{context, event, ffi, handles, launch};
use crate::engine::LaunchConfig;

/// `CUDA_KERNEL_NODE_PARAMS_v1`, the beginning of `…_v2`.
#[repr(C)]
#[derive(Clone, Copy)]
struct KernelParams {
    function: CUfunction,
    grid: [u32; 3],
    block: [u32; 3],
    shared_bytes: u32,
    params: *mut *mut c_void,
    extra: *mut *mut c_void,
}

/// `CUDA_KERNEL_NODE_PARAMS_v2`.
#[repr(C)]
#[derive(Clone, Copy)]
struct KernelParams2 {
    first: KernelParams,
    kernel: CUkernel,
    context: CUcontext,
}

/// `CUDA_MEMSET_NODE_PARAMS`.
#[repr(C)]
#[derive(Clone, Copy)]
struct FillParams {
    address: u64,
    pitch: usize,
    value: u32,
    element: u32,
    width: usize,
    height: usize,
}

/// `CUDA_HOST_NODE_PARAMS`.
#[repr(C)]
#[derive(Clone, Copy)]
struct HostParams {
    function: CUhostFn,
    data: *mut c_void,
}

/// Adds a node behind those that it depends on.
pub(super) fn add(
    out: *mut CUgraphNode,
    graph: &Arc<Graph>,
    dependencies: *const CUgraphNode,
    count: usize,
    work: Work,
) -> Result {
    if out.is_null() {
        return Err(ERROR_INVALID_VALUE);
    }
    let handles = ffi::get_slice(dependencies, count)?;
    let before = handles
        .iter()
        .map(|node| graph.index_of(node.addr()).ok_or(ERROR_INVALID_VALUE))
        .collect::<Result<Vec<_>>>()?;
    let node = graph.add(work, before);
    ffi::put(out, handles::pointer(graph.node_handle(node)))
}

pub(super) fn cuGraphAddEmptyNode(
    out: *mut CUgraphNode,
    hGraph: CUgraph,
    dependencies: *const CUgraphNode,
    count: usize,
) -> Result {
    add(
        out,
        &graph::resolve(hGraph)?,
        dependencies,
        count,
        Work::Nothing,
    )
}

fn kernel(params: KernelParams) -> Result<Work> {
    let config = LaunchConfig {
        grid: params.grid,
        block: params.block,
        shared_bytes: params.shared_bytes,
        cooperative: false,
        cluster: [0; 3],
    };
    launch::prepare(
        params.function,
        config,
        &*context::current()?,
        params.params,
        params.extra,
    )
}

pub(super) fn cuGraphAddKernelNode(
    out: *mut CUgraphNode,
    hGraph: CUgraph,
    dependencies: *const CUgraphNode,
    count: usize,
    nodeParams: *const c_void,
) -> Result {
    let graph = graph::resolve(hGraph)?;
    add(
        out,
        &graph,
        dependencies,
        count,
        kernel(ffi::get(nodeParams.cast::<KernelParams>())?)?,
    )
}

pub(super) fn cuGraphAddKernelNode_v2(
    out: *mut CUgraphNode,
    hGraph: CUgraph,
    dependencies: *const CUgraphNode,
    count: usize,
    nodeParams: *const c_void,
) -> Result {
    let graph = graph::resolve(hGraph)?;
    add(out, &graph, dependencies, count, kernel2(nodeParams)?)
}

/// The work of a node as `…_v2` tells it.
pub(super) fn kernel2(params: *const c_void) -> Result<Work> {
    let KernelParams2 {
        mut first,
        kernel: given,
        ..
    } = ffi::get(params.cast::<KernelParams2>())?;
    if first.function.is_null() {
        first.function = given;
    }
    kernel(first)
}

pub(super) fn cuGraphExecKernelNodeSetParams(
    hGraphExec: CUgraphExec,
    hNode: CUgraphNode,
    nodeParams: *const c_void,
) -> Result {
    let params = ffi::get(nodeParams.cast::<KernelParams>())?;
    graph::set_kernel(hGraphExec, hNode, kernel(params)?)
}

pub(super) fn cuGraphExecKernelNodeSetParams_v2(
    hGraphExec: CUgraphExec,
    hNode: CUgraphNode,
    nodeParams: *const c_void,
) -> Result {
    graph::set_kernel(hGraphExec, hNode, kernel2(nodeParams)?)
}

pub(super) fn cuGraphAddMemcpyNode(
    out: *mut CUgraphNode,
    hGraph: CUgraph,
    dependencies: *const CUgraphNode,
    count: usize,
    copyParams: *const CUDA_MEMCPY3D,
    ctx: CUcontext,
) -> Result {
    let graph = graph::resolve(hGraph)?;
    context::resolve(ctx)?.check()?;
    add(out, &graph, dependencies, count, copy::work_of(copyParams)?)
}

pub(super) fn cuGraphAddMemsetNode(
    out: *mut CUgraphNode,
    hGraph: CUgraph,
    dependencies: *const CUgraphNode,
    count: usize,
    memsetParams: *const c_void,
    ctx: CUcontext,
) -> Result {
    let graph = graph::resolve(hGraph)?;
    context::resolve(ctx)?.check()?;
    let params = ffi::get(memsetParams.cast::<FillParams>())?;
    if !matches!(params.element, 1 | 2 | 4) {
        return Err(ERROR_INVALID_VALUE);
    }
    let work = Fill {
        address: params.address,
        value: params.value,
        element: u64::from(params.element),
        width: params.width as u64,
        height: params.height as u64,
        pitch: params.pitch as u64,
    };
    fill::check(&work)?;
    add(out, &graph, dependencies, count, Work::Fill(work))
}

pub(super) fn cuGraphAddHostNode(
    out: *mut CUgraphNode,
    hGraph: CUgraph,
    dependencies: *const CUgraphNode,
    count: usize,
    nodeParams: *const c_void,
) -> Result {
    let graph = graph::resolve(hGraph)?;
    let HostParams { function, data } = ffi::get(nodeParams.cast::<HostParams>())?;
    if function.is_none() {
        return Err(ERROR_INVALID_VALUE);
    }
    add(
        out,
        &graph,
        dependencies,
        count,
        Work::HostFunction(HostFunction {
            function,
            data: UserData(data),
        }),
    )
}

pub(super) fn cuGraphAddChildGraphNode(
    out: *mut CUgraphNode,
    hGraph: CUgraph,
    dependencies: *const CUgraphNode,
    count: usize,
    childGraph: CUgraph,
) -> Result {
    let graph = graph::resolve(hGraph)?;
    // The child is copied as it is now.
    let child = graph::resolve(childGraph)?.shape();
    add(
        out,
        &graph,
        dependencies,
        count,
        Work::Child(Arc::new(child)),
    )
}

pub(super) fn cuGraphAddEventRecordNode(
    out: *mut CUgraphNode,
    hGraph: CUgraph,
    dependencies: *const CUgraphNode,
    count: usize,
    event: CUevent,
) -> Result {
    let work = Work::RecordEvent(event::resolve(event)?);
    add(out, &graph::resolve(hGraph)?, dependencies, count, work)
}

pub(super) fn cuGraphAddEventWaitNode(
    out: *mut CUgraphNode,
    hGraph: CUgraph,
    dependencies: *const CUgraphNode,
    count: usize,
    event: CUevent,
) -> Result {
    let work = Work::WaitEvent(event::resolve(event)?);
    add(out, &graph::resolve(hGraph)?, dependencies, count, work)
}
