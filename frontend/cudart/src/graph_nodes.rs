//! Nodes that a program adds to graphs by hand, and their parameters in graphs and executable graphs.
//!
//! The runtime's structures are the driver's but for kernels, which it names by their host functions, and copies, which it describes in its own way.

use crate::context::{cu, current, put};
use crate::copy::{symbol_source, symbol_target};
use crate::copy_box::{driver_box, driver_row, runtime_box};
use crate::error::{INVALID_DEVICE_FUNCTION, INVALID_VALUE, Result};
use crate::forward::{forward, given};
use crate::launch::function;
use crate::registry::name_of;
use gvirtus_wire::api::cudart_types::{
    cudaEvent_t, cudaGraph_t, cudaGraphConditionalHandle, cudaGraphExec_t, cudaGraphNode_t,
    cudaHostFn_t, cudaLaunchAttributeValue, cudaMemcpy3DParms, cudaUserObject_t,
};
use gvirtus_wire::api::types::{CUDA_MEMCPY3D, CUcontext};
use std::ffi::c_void;
use std::ptr::null_mut;

/// `cudaKernelNodeParams`; the driver's structure is the same with a driver function, and goes on with a kernel and a context.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
struct KernelParams {
    function: *const c_void,
    /// Grid, block, bytes of shared memory.
    geometry: [u32; 7],
    params: *mut *mut c_void,
    extra: *mut *mut c_void,
}

/// `CUDA_KERNEL_NODE_PARAMS_v2`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
struct DriverKernelParams {
    first: KernelParams,
    kernel: *mut c_void,
    context: CUcontext,
}

/// The driver's form of a kernel node.
fn driver_kernel(given: *const c_void) -> Result<DriverKernelParams> {
    if given.is_null() {
        return Err(INVALID_VALUE);
    }
    // SAFETY: not null, and the program's structure.
    let mut first = unsafe { given.cast::<KernelParams>().read_unaligned() };
    first.function = function(first.function)?;
    Ok(DriverKernelParams {
        first,
        kernel: null_mut(),
        context: null_mut(),
    })
}

/// Adds a kernel.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__GRAPH.html>
pub unsafe fn cudaGraphAddKernelNode(
    pGraphNode: *mut cudaGraphNode_t,
    graph: cudaGraph_t,
    pDependencies: *const cudaGraphNode_t,
    numDependencies: usize,
    pNodeParams: *const c_void,
) -> Result {
    let params = driver_kernel(pNodeParams)?;
    cu!(cuGraphAddKernelNode_v2(
        pGraphNode,
        graph,
        pDependencies,
        numDependencies,
        (&raw const params).cast()
    ))
}

/// What a kernel node does.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__GRAPH.html>
pub unsafe fn cudaGraphKernelNodeGetParams(
    node: cudaGraphNode_t,
    pNodeParams: *mut c_void,
) -> Result {
    current()?;
    let mut params = DriverKernelParams {
        first: KernelParams {
            function: std::ptr::null(),
            geometry: [0; 7],
            params: null_mut(),
            extra: null_mut(),
        },
        kernel: null_mut(),
        context: null_mut(),
    };
    cu!(cuGraphKernelNodeGetParams_v2(
        node,
        (&raw mut params).cast()
    ))?;
    // One that no host function stands for was added by the driver's function.
    let named = name_of(params.first.function.cast_mut());
    params.first.function = named.ok_or(INVALID_DEVICE_FUNCTION)?;
    put!(pNodeParams.cast::<KernelParams>(), params.first)
}

/// Changes a kernel node.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__GRAPH.html>
pub unsafe fn cudaGraphKernelNodeSetParams(
    node: cudaGraphNode_t,
    pNodeParams: *const c_void,
) -> Result {
    let params = driver_kernel(pNodeParams)?;
    cu!(cuGraphKernelNodeSetParams_v2(
        node,
        (&raw const params).cast()
    ))
}

/// Changes a kernel node of an executable graph.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__GRAPH.html>
pub unsafe fn cudaGraphExecKernelNodeSetParams(
    hGraphExec: cudaGraphExec_t,
    node: cudaGraphNode_t,
    pNodeParams: *const c_void,
) -> Result {
    let params = driver_kernel(pNodeParams)?;
    cu!(cuGraphExecKernelNodeSetParams_v2(
        hGraphExec,
        node,
        (&raw const params).cast()
    ))
}

/// Which node a copy is for.
enum For {
    /// A new one: where its handle goes, the graph, and what it depends on.
    New(
        *mut cudaGraphNode_t,
        cudaGraph_t,
        *const cudaGraphNode_t,
        usize,
    ),
    /// One of a graph.
    Node(cudaGraphNode_t),
    /// One of an executable graph.
    Exec(cudaGraphExec_t, cudaGraphNode_t),
}

fn apply(to: For, copy: Result<CUDA_MEMCPY3D>) -> Result {
    let context = current()?;
    let copy = copy?;
    match to {
        For::New(node, graph, dependencies, count) => cu!(cuGraphAddMemcpyNode(
            node,
            graph,
            dependencies,
            count,
            &copy,
            context
        )),
        For::Node(node) => cu!(cuGraphMemcpyNodeSetParams(node, &copy)),
        For::Exec(exec, node) => {
            cu!(cuGraphExecMemcpyNodeSetParams(exec, node, &copy, context))
        }
    }
}

fn boxed(p: *const cudaMemcpy3DParms) -> Result<CUDA_MEMCPY3D> {
    // SAFETY: null or the program's parameters.
    driver_box(unsafe { p.as_ref() }.ok_or(INVALID_VALUE)?)
}

fn to_symbol(
    symbol: *const c_void,
    src: *const c_void,
    count: usize,
    offset: usize,
    kind: u32,
) -> Result<CUDA_MEMCPY3D> {
    let target = symbol_target(symbol, count, offset, kind)?;
    driver_row(target, src, count, kind)
}

fn from_symbol(
    dst: *mut c_void,
    symbol: *const c_void,
    count: usize,
    offset: usize,
    kind: u32,
) -> Result<CUDA_MEMCPY3D> {
    let source = symbol_source(symbol, count, offset, kind)?;
    driver_row(dst, source, count, kind)
}

/// Declares the three functions of each way to describe a copy: for a new node, a node, and a node of an executable graph.
macro_rules! copies { ($($what:literal $add:ident $set:ident $exec:ident ($($p:ident: $t:ty),*) => $copy:expr;)*) => { $(
    #[doc = concat!("Adds a copy", $what, ".")]
    /// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__GRAPH.html>
    pub unsafe fn $add(
        pGraphNode: *mut cudaGraphNode_t,
        graph: cudaGraph_t,
        pDependencies: *const cudaGraphNode_t,
        numDependencies: usize,
        $($p: $t),*
    ) -> Result {
        current()?;
        apply(For::New(pGraphNode, graph, pDependencies, numDependencies), $copy)
    }
    #[doc = concat!("Changes a copy node to a copy", $what, ".")]
    /// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__GRAPH.html>
    pub unsafe fn $set(node: cudaGraphNode_t, $($p: $t),*) -> Result {
        current()?;
        apply(For::Node(node), $copy)
    }
    #[doc = concat!("Changes a copy node of an executable graph to a copy", $what, ".")]
    /// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__GRAPH.html>
    pub unsafe fn $exec(hGraphExec: cudaGraphExec_t, node: cudaGraphNode_t, $($p: $t),*) -> Result {
        current()?;
        apply(For::Exec(hGraphExec, node), $copy)
    }
)* } }
copies! {
    " of a box of bytes" cudaGraphAddMemcpyNode cudaGraphMemcpyNodeSetParams cudaGraphExecMemcpyNodeSetParams
        (pNodeParams: *const cudaMemcpy3DParms) => boxed(pNodeParams);
    " of bytes" cudaGraphAddMemcpyNode1D cudaGraphMemcpyNodeSetParams1D cudaGraphExecMemcpyNodeSetParams1D
        (dst: *mut c_void, src: *const c_void, count: usize, kind: u32) => driver_row(dst, src, count, kind);
    " into a device variable" cudaGraphAddMemcpyNodeToSymbol cudaGraphMemcpyNodeSetParamsToSymbol cudaGraphExecMemcpyNodeSetParamsToSymbol
        (symbol: *const c_void, src: *const c_void, count: usize, offset: usize, kind: u32) => to_symbol(symbol, src, count, offset, kind);
    " out of a device variable" cudaGraphAddMemcpyNodeFromSymbol cudaGraphMemcpyNodeSetParamsFromSymbol cudaGraphExecMemcpyNodeSetParamsFromSymbol
        (dst: *mut c_void, symbol: *const c_void, count: usize, offset: usize, kind: u32) => from_symbol(dst, symbol, count, offset, kind);
}

/// What a copy node copies.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__GRAPH.html>
pub unsafe fn cudaGraphMemcpyNodeGetParams(
    node: cudaGraphNode_t,
    pNodeParams: *mut cudaMemcpy3DParms,
) -> Result {
    current()?;
    let mut copy = driver_row(null_mut(), std::ptr::null(), 0, 4)?;
    cu!(cuGraphMemcpyNodeGetParams(node, &mut copy))?;
    put!(pNodeParams, runtime_box(&copy))
}

/// Adds a fill.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__GRAPH.html>
pub unsafe fn cudaGraphAddMemsetNode(
    pGraphNode: *mut cudaGraphNode_t,
    graph: cudaGraph_t,
    pDependencies: *const cudaGraphNode_t,
    numDependencies: usize,
    pMemsetParams: *const c_void,
) -> Result {
    let context = current()?;
    cu!(cuGraphAddMemsetNode(
        pGraphNode,
        graph,
        pDependencies,
        numDependencies,
        pMemsetParams,
        context
    ))
}

/// Changes a fill node of an executable graph.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__GRAPH.html>
pub unsafe fn cudaGraphExecMemsetNodeSetParams(
    hGraphExec: cudaGraphExec_t,
    node: cudaGraphNode_t,
    pNodeParams: *const c_void,
) -> Result {
    let context = current()?;
    cu!(cuGraphExecMemsetNodeSetParams(
        hGraphExec,
        node,
        pNodeParams,
        context
    ))
}

/// `cudaGraphNodeParams` and `CUgraphNodeParams`: a type, and from the third word on what depends on it.
type NodeParams = [u64; 32];
const BODY: usize = 2;
/// `cudaGraphNodeType`.
const KERNEL: u32 = 0;
const MEMCPY: u32 = 1;
const MEMSET: u32 = 2;
const CONDITIONAL: u32 = 13;
/// Words of the runtime's kernel and fill parameters: the driver's go on.
const KERNEL_WORDS: usize = size_of::<KernelParams>() / 8;
const MEMSET_WORDS: usize = 6;
/// Words before the copy in the parameters of a copy node.
const MEMCPY_WORDS: usize = 2;

/// The driver's form of a node's parameters.
fn driver_node(given: *const c_void) -> Result<NodeParams> {
    let context = current()?;
    if given.is_null() {
        return Err(INVALID_VALUE);
    }
    // SAFETY: not null, and the program's structure.
    let mut params = unsafe { given.cast::<NodeParams>().read_unaligned() };
    match params[0] as u32 {
        KERNEL => {
            params[BODY] = function(params[BODY] as *const c_void)? as u64;
            params[BODY + KERNEL_WORDS] = 0;
            params[BODY + KERNEL_WORDS + 1] = 0;
        }
        MEMCPY => {
            let at = BODY + MEMCPY_WORDS;
            let body = (&raw const params[at]).cast::<cudaMemcpy3DParms>();
            // SAFETY: the rest of the structure has room for the runtime's description, and more.
            let copy = driver_box(&unsafe { body.read_unaligned() })?;
            params[BODY + 1] = context as u64;
            // SAFETY: the driver's description has 25 words, and 28 are left.
            unsafe {
                (&raw mut params[at])
                    .cast::<CUDA_MEMCPY3D>()
                    .write_unaligned(copy)
            };
        }
        MEMSET => params[BODY + MEMSET_WORDS] = context as u64,
        CONDITIONAL => params[BODY + 3] = context as u64,
        _ => {}
    }
    Ok(params)
}

/// Adds a node of any type. Those that allocate tell the address in their parameters.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__GRAPH.html>
pub unsafe fn cudaGraphAddNode_v2(
    pGraphNode: *mut cudaGraphNode_t,
    graph: cudaGraph_t,
    pDependencies: *const cudaGraphNode_t,
    dependencyData: *const c_void,
    numDependencies: usize,
    nodeParams: *mut c_void,
) -> Result {
    /// `cudaGraphNodeTypeMemAlloc`, and where the address is.
    const ALLOCATE: u32 = 10;
    const ADDRESS: usize = BODY + 14;
    /// Where a conditional node's graphs are told.
    const BODIES: usize = BODY + 2;
    let mut params = driver_node(nodeParams)?;
    cu!(cuGraphAddNode_v2(
        pGraphNode,
        graph,
        pDependencies,
        dependencyData,
        numDependencies,
        params.as_mut_ptr().cast()
    ))?;
    if params[0] as u32 == CONDITIONAL {
        // SAFETY: the program's structure, of which this is a word.
        unsafe {
            nodeParams
                .cast::<u64>()
                .add(BODIES)
                .write_unaligned(params[BODIES])
        };
    }
    if params[0] as u32 == ALLOCATE {
        // SAFETY: the program's structure, of which this is a word.
        unsafe {
            nodeParams
                .cast::<u64>()
                .add(ADDRESS)
                .write_unaligned(params[ADDRESS])
        };
    }
    Ok(())
}

/// Changes a node of any type.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__GRAPH.html>
pub unsafe fn cudaGraphNodeSetParams(node: cudaGraphNode_t, nodeParams: *mut c_void) -> Result {
    let mut params = driver_node(nodeParams)?;
    cu!(cuGraphNodeSetParams(node, params.as_mut_ptr().cast()))
}

/// Changes a node of any type in an executable graph.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__GRAPH.html>
pub unsafe fn cudaGraphExecNodeSetParams(
    graphExec: cudaGraphExec_t,
    node: cudaGraphNode_t,
    nodeParams: *mut c_void,
) -> Result {
    let mut params = driver_node(nodeParams)?;
    cu!(cuGraphExecNodeSetParams(
        graphExec,
        node,
        params.as_mut_ptr().cast()
    ))
}

forward! {
    /// What a fill node fills.
    fn cudaGraphMemsetNodeGetParams(node: cudaGraphNode_t, pNodeParams: *mut c_void) => cuGraphMemsetNodeGetParams(node, pNodeParams);
    /// Changes a fill node.
    fn cudaGraphMemsetNodeSetParams(node: cudaGraphNode_t, pNodeParams: *const c_void) => cuGraphMemsetNodeSetParams(node, pNodeParams);
    /// Adds a function of the program.
    fn cudaGraphAddHostNode(pGraphNode: *mut cudaGraphNode_t, graph: cudaGraph_t, pDependencies: *const cudaGraphNode_t, numDependencies: usize, pNodeParams: *const c_void)
        => cuGraphAddHostNode(pGraphNode, graph, pDependencies, numDependencies, pNodeParams);
    /// The function of a host node.
    fn cudaGraphHostNodeGetParams(node: cudaGraphNode_t, pNodeParams: *mut c_void) => cuGraphHostNodeGetParams(node, pNodeParams);
    /// Changes a host node.
    fn cudaGraphHostNodeSetParams(node: cudaGraphNode_t, pNodeParams: *const c_void) => cuGraphHostNodeSetParams(node, pNodeParams);
    /// Changes a host node of an executable graph.
    fn cudaGraphExecHostNodeSetParams(hGraphExec: cudaGraphExec_t, node: cudaGraphNode_t, pNodeParams: *const c_void)
        => cuGraphExecHostNodeSetParams(hGraphExec, node, pNodeParams);
    /// Gives a graph inside an executable graph the parameters of another.
    fn cudaGraphExecChildGraphNodeSetParams(hGraphExec: cudaGraphExec_t, node: cudaGraphNode_t, childGraph: cudaGraph_t)
        => cuGraphExecChildGraphNodeSetParams(hGraphExec, node, childGraph);
    /// Makes the handle by which kernels say whether a conditional node's graphs run.
    fn cudaGraphConditionalHandleCreate(pHandle_out: *mut cudaGraphConditionalHandle, graph: cudaGraph_t, defaultLaunchValue: u32, flags: u32)
        => cuGraphConditionalHandleCreate(pHandle_out, graph, current()?, defaultLaunchValue, flags);
    /// The event that a node records.
    fn cudaGraphEventRecordNodeGetEvent(node: cudaGraphNode_t, event_out: *mut cudaEvent_t) => cuGraphEventRecordNodeGetEvent(node, event_out);
    /// Changes the event that a node records.
    fn cudaGraphEventRecordNodeSetEvent(node: cudaGraphNode_t, event: cudaEvent_t) => cuGraphEventRecordNodeSetEvent(node, given(event)?);
    /// The event that a node waits for.
    fn cudaGraphEventWaitNodeGetEvent(node: cudaGraphNode_t, event_out: *mut cudaEvent_t) => cuGraphEventWaitNodeGetEvent(node, event_out);
    /// Changes the event that a node waits for.
    fn cudaGraphEventWaitNodeSetEvent(node: cudaGraphNode_t, event: cudaEvent_t) => cuGraphEventWaitNodeSetEvent(node, given(event)?);
    /// Changes the event that a node of an executable graph records.
    fn cudaGraphExecEventRecordNodeSetEvent(hGraphExec: cudaGraphExec_t, hNode: cudaGraphNode_t, event: cudaEvent_t)
        => cuGraphExecEventRecordNodeSetEvent(hGraphExec, hNode, given(event)?);
    /// Changes the event that a node of an executable graph waits for.
    fn cudaGraphExecEventWaitNodeSetEvent(hGraphExec: cudaGraphExec_t, hNode: cudaGraphNode_t, event: cudaEvent_t)
        => cuGraphExecEventWaitNodeSetEvent(hGraphExec, hNode, given(event)?);
    /// Adds a node that allocates memory.
    fn cudaGraphAddMemAllocNode(pGraphNode: *mut cudaGraphNode_t, graph: cudaGraph_t, pDependencies: *const cudaGraphNode_t, numDependencies: usize, nodeParams: *mut c_void)
        => cuGraphAddMemAllocNode(pGraphNode, graph, pDependencies, numDependencies, nodeParams);
    /// What an allocation node was made with.
    fn cudaGraphMemAllocNodeGetParams(node: cudaGraphNode_t, params_out: *mut c_void) => cuGraphMemAllocNodeGetParams(node, params_out);
    /// Adds a node that frees memory.
    fn cudaGraphAddMemFreeNode(pGraphNode: *mut cudaGraphNode_t, graph: cudaGraph_t, pDependencies: *const cudaGraphNode_t, numDependencies: usize, dptr: *mut c_void)
        => cuGraphAddMemFreeNode(pGraphNode, graph, pDependencies, numDependencies, dptr as u64);
    /// What a free node frees.
    fn cudaGraphMemFreeNodeGetParams(node: cudaGraphNode_t, dptr_out: *mut c_void) => cuGraphMemFreeNodeGetParams(node, dptr_out.cast());
    /// A launch attribute of a kernel node.
    fn cudaGraphKernelNodeGetAttribute(hNode: cudaGraphNode_t, attr: u32, value_out: *mut cudaLaunchAttributeValue) => cuGraphKernelNodeGetAttribute(hNode, attr, value_out);
    /// Sets a launch attribute of a kernel node.
    fn cudaGraphKernelNodeSetAttribute(hNode: cudaGraphNode_t, attr: u32, value: *const cudaLaunchAttributeValue) => cuGraphKernelNodeSetAttribute(hNode, attr, value);
    /// Makes an object that lives as long as graphs refer to it.
    fn cudaUserObjectCreate(object_out: *mut cudaUserObject_t, ptr: *mut c_void, destroy: cudaHostFn_t, initialRefcount: u32, flags: u32)
        => cuUserObjectCreate(object_out, ptr, destroy, initialRefcount, flags);
    /// More references to an object.
    fn cudaUserObjectRetain(object: cudaUserObject_t, count: u32) => cuUserObjectRetain(object, count);
    /// Fewer references to an object.
    fn cudaUserObjectRelease(object: cudaUserObject_t, count: u32) => cuUserObjectRelease(object, count);
    /// A graph refers to an object from now on.
    fn cudaGraphRetainUserObject(graph: cudaGraph_t, object: cudaUserObject_t, count: u32, flags: u32) => cuGraphRetainUserObject(graph, object, count, flags);
    /// A graph does not refer to an object any more.
    fn cudaGraphReleaseUserObject(graph: cudaGraph_t, object: cudaUserObject_t, count: u32) => cuGraphReleaseUserObject(graph, object, count);
}
