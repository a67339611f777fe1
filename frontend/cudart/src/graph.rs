//! Graphs, and libraries loaded by the program.

use crate::context::{DefaultStream, cu, current, put};
use crate::error::{INVALID_VALUE, Result};
use crate::forward::{forward, given};
use crate::registry::add_library_kernel;
use gvirtus_wire::api::cudart_types::{
    cudaChannelFormatDesc, cudaEvent_t, cudaGraph_t, cudaGraphExec_t, cudaGraphInstantiateParams,
    cudaGraphNode_t, cudaKernel_t, cudaLibrary_t, cudaStream_t,
};
use std::ffi::{c_char, c_void};
use std::ptr::null_mut;

/// Makes a graph executable; the parameters take up what went wrong.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__GRAPH.html>
pub unsafe fn cudaGraphInstantiateWithParams(
    default: DefaultStream,
    pGraphExec: *mut cudaGraphExec_t,
    graph: cudaGraph_t,
    instantiateParams: *mut cudaGraphInstantiateParams,
) -> Result {
    current()?;
    // SAFETY: null or the program's parameters.
    let params = unsafe { instantiateParams.as_mut() }.ok_or(INVALID_VALUE)?;
    // The driver's structure has the same fields; the stream alone may need another meaning.
    let mut for_driver = *params;
    for_driver.uploadStream = default.resolve(params.uploadStream);
    let result = cu!(cuGraphInstantiateWithParams(
        pGraphExec,
        graph,
        (&raw mut for_driver).cast()
    ));
    params.errNode_out = for_driver.errNode_out;
    params.result_out = for_driver.result_out;
    result
}

/// A kernel of a library.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__LIBRARY.html>
pub unsafe fn cudaLibraryGetKernel(
    pKernel: *mut cudaKernel_t,
    library: cudaLibrary_t,
    name: *const c_char,
) -> Result {
    current()?;
    let mut kernel = null_mut();
    cu!(cuLibraryGetKernel(&mut kernel, library, name))?;
    add_library_kernel(kernel);
    put!(pKernel, kernel)
}

/// The kernels of a library.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__LIBRARY.html>
pub unsafe fn cudaLibraryEnumerateKernels(
    kernels: *mut cudaKernel_t,
    numKernels: u32,
    lib: cudaLibrary_t,
) -> Result {
    current()?;
    let mut count = 0;
    cu!(cuLibraryGetKernelCount(&mut count, lib))?;
    cu!(cuLibraryEnumerateKernels(kernels, numKernels, lib))?;
    for at in 0..count.min(numKernels) as usize {
        // SAFETY: the driver has just filled so many.
        add_library_kernel(unsafe { kernels.add(at).read() });
    }
    Ok(())
}

/// The address and size of a library's variable.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__LIBRARY.html>
pub unsafe fn cudaLibraryGetGlobal(
    dptr: *mut *mut c_void,
    bytes: *mut usize,
    library: cudaLibrary_t,
    name: *const c_char,
) -> Result {
    current()?;
    cu!(cuLibraryGetGlobal(dptr.cast::<u64>(), bytes, library, name))
}

/// The address and size of a library's managed variable.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__LIBRARY.html>
pub unsafe fn cudaLibraryGetManaged(
    dptr: *mut *mut c_void,
    bytes: *mut usize,
    library: cudaLibrary_t,
    name: *const c_char,
) -> Result {
    current()?;
    cu!(cuLibraryGetManaged(
        dptr.cast::<u64>(),
        bytes,
        library,
        name
    ))
}

/// A function of a library that processor and GPU both call.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__LIBRARY.html>
pub unsafe fn cudaLibraryGetUnifiedFunction(
    fptr: *mut *mut c_void,
    library: cudaLibrary_t,
    symbol: *const c_char,
) -> Result {
    current()?;
    cu!(cuLibraryGetUnifiedFunction(fptr, library, symbol))
}

/// Describes the elements of an array.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__TEXTURE__OBJECT.html>
pub unsafe fn cudaCreateChannelDesc(
    x: i32,
    y: i32,
    z: i32,
    w: i32,
    f: u32,
) -> cudaChannelFormatDesc {
    cudaChannelFormatDesc { x, y, z, w, f }
}

forward! {
    /// Makes an empty graph.
    fn cudaGraphCreate(pGraph: *mut cudaGraph_t, flags: u32) => cuGraphCreate(pGraph, flags);
    /// Destroys a graph.
    fn cudaGraphDestroy(graph: cudaGraph_t) => cuGraphDestroy(graph);
    /// Copies a graph.
    fn cudaGraphClone(pGraphClone: *mut cudaGraph_t, originalGraph: cudaGraph_t) => cuGraphClone(pGraphClone, originalGraph);
    /// Makes a graph executable.
    fn cudaGraphInstantiate(pGraphExec: *mut cudaGraphExec_t, graph: cudaGraph_t, flags: u64) => cuGraphInstantiateWithFlags(pGraphExec, graph, flags);
    /// Makes a graph executable.
    fn cudaGraphInstantiateWithFlags(pGraphExec: *mut cudaGraphExec_t, graph: cudaGraph_t, flags: u64) => cuGraphInstantiateWithFlags(pGraphExec, graph, flags);
    /// Changes an executable graph to another of the same shape.
    fn cudaGraphExecUpdate(hGraphExec: cudaGraphExec_t, hGraph: cudaGraph_t, resultInfo: *mut c_void) => cuGraphExecUpdate_v2(hGraphExec, hGraph, resultInfo);
    /// Destroys an executable graph.
    fn cudaGraphExecDestroy(graphExec: cudaGraphExec_t) => cuGraphExecDestroy(graphExec);
    /// The flags of an executable graph.
    fn cudaGraphExecGetFlags(graphExec: cudaGraphExec_t, flags: *mut u64) => cuGraphExecGetFlags(graphExec, flags);
    /// Runs an executable graph in a stream's order.
    fn cudaGraphLaunch[default](graphExec: cudaGraphExec_t, stream: cudaStream_t) => cuGraphLaunch(graphExec, default.resolve(stream));
    /// Prepares an executable graph for its first run.
    fn cudaGraphUpload[default](graphExec: cudaGraphExec_t, stream: cudaStream_t) => cuGraphUpload(graphExec, default.resolve(stream));
    /// The nodes of a graph.
    fn cudaGraphGetNodes(graph: cudaGraph_t, nodes: *mut cudaGraphNode_t, numNodes: *mut usize) => cuGraphGetNodes(graph, nodes, numNodes);
    /// The nodes of a graph that depend on none.
    fn cudaGraphGetRootNodes(graph: cudaGraph_t, pRootNodes: *mut cudaGraphNode_t, pNumRootNodes: *mut usize) => cuGraphGetRootNodes(graph, pRootNodes, pNumRootNodes);
    /// What a node does.
    fn cudaGraphNodeGetType(node: cudaGraphNode_t, pType: *mut u32) => cuGraphNodeGetType(node, pType);
    /// A node's copy in a copied graph.
    fn cudaGraphNodeFindInClone(pNode: *mut cudaGraphNode_t, originalNode: cudaGraphNode_t, clonedGraph: cudaGraph_t) => cuGraphNodeFindInClone(pNode, originalNode, clonedGraph);
    /// Takes a node out of its graph.
    fn cudaGraphDestroyNode(node: cudaGraphNode_t) => cuGraphDestroyNode(node);
    /// Adds a node that does nothing.
    fn cudaGraphAddEmptyNode(pGraphNode: *mut cudaGraphNode_t, graph: cudaGraph_t, pDependencies: *const cudaGraphNode_t, numDependencies: usize)
        => cuGraphAddEmptyNode(pGraphNode, graph, pDependencies, numDependencies);
    /// Adds a node that runs a graph.
    fn cudaGraphAddChildGraphNode(pGraphNode: *mut cudaGraphNode_t, graph: cudaGraph_t, pDependencies: *const cudaGraphNode_t, numDependencies: usize, childGraph: cudaGraph_t)
        => cuGraphAddChildGraphNode(pGraphNode, graph, pDependencies, numDependencies, childGraph);
    /// The graph that a node runs.
    fn cudaGraphChildGraphNodeGetGraph(node: cudaGraphNode_t, pGraph: *mut cudaGraph_t) => cuGraphChildGraphNodeGetGraph(node, pGraph);
    /// Adds a node that records an event.
    fn cudaGraphAddEventRecordNode(pGraphNode: *mut cudaGraphNode_t, graph: cudaGraph_t, pDependencies: *const cudaGraphNode_t, numDependencies: usize, event: cudaEvent_t)
        => cuGraphAddEventRecordNode(pGraphNode, graph, pDependencies, numDependencies, given(event)?);
    /// Adds a node that waits for an event.
    fn cudaGraphAddEventWaitNode(pGraphNode: *mut cudaGraphNode_t, graph: cudaGraph_t, pDependencies: *const cudaGraphNode_t, numDependencies: usize, event: cudaEvent_t)
        => cuGraphAddEventWaitNode(pGraphNode, graph, pDependencies, numDependencies, given(event)?);
    /// Lets a node of an executable graph run or not.
    fn cudaGraphNodeSetEnabled(hGraphExec: cudaGraphExec_t, hNode: cudaGraphNode_t, isEnabled: u32) => cuGraphNodeSetEnabled(hGraphExec, hNode, isEnabled);
    /// Whether a node of an executable graph runs.
    fn cudaGraphNodeGetEnabled(hGraphExec: cudaGraphExec_t, hNode: cudaGraphNode_t, isEnabled: *mut u32) => cuGraphNodeGetEnabled(hGraphExec, hNode, isEnabled);
    /// Writes a graph as text for Graphviz.
    fn cudaGraphDebugDotPrint(graph: cudaGraph_t, path: *const c_char, flags: u32) => cuGraphDebugDotPrint(graph, path, flags);

    /// Loads a library from memory.
    fn cudaLibraryLoadData(
        library: *mut cudaLibrary_t, code: *const c_void, jitOptions: *mut u32, jitOptionsValues: *mut *mut c_void, numJitOptions: u32, libraryOptions: *mut u32,
        libraryOptionValues: *mut *mut c_void, numLibraryOptions: u32,
    ) => cuLibraryLoadData(library, code, jitOptions, jitOptionsValues, numJitOptions, libraryOptions, libraryOptionValues, numLibraryOptions);
    /// Loads a library from a file.
    fn cudaLibraryLoadFromFile(
        library: *mut cudaLibrary_t, fileName: *const c_char, jitOptions: *mut u32, jitOptionsValues: *mut *mut c_void, numJitOptions: u32, libraryOptions: *mut u32,
        libraryOptionValues: *mut *mut c_void, numLibraryOptions: u32,
    ) => cuLibraryLoadFromFile(library, fileName, jitOptions, jitOptionsValues, numJitOptions, libraryOptions, libraryOptionValues, numLibraryOptions);
    /// Unloads a library.
    fn cudaLibraryUnload(library: cudaLibrary_t) => cuLibraryUnload(library);
    /// How many kernels a library has.
    fn cudaLibraryGetKernelCount(count: *mut u32, lib: cudaLibrary_t) => cuLibraryGetKernelCount(count, lib);
}
