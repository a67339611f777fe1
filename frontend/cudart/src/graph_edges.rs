//! What a graph consists of, and what depends on what; captures into graphs. CUDA 13 has one form of each function, CUDA 12 an older one beside it.

use crate::forward::forward;
use gvirtus_wire::api::cudart_types::{cudaGraph_t, cudaGraphNode_t, cudaStream_t};
use std::ffi::c_void;

forward! {
    /// Gives a kernel node the launch attributes of another. CUDA 12 declares the parameters the other way round; what its runtime does with them is the same.
    fn cudaGraphKernelNodeCopyAttributes(hDst: cudaGraphNode_t, hSrc: cudaGraphNode_t) => cuGraphKernelNodeCopyAttributes(hDst, hSrc);
    /// The edges of a graph.
    fn cudaGraphGetEdges_v2(graph: cudaGraph_t, from: *mut cudaGraphNode_t, to: *mut cudaGraphNode_t, edgeData: *mut c_void, numEdges: *mut usize)
        => cuGraphGetEdges_v2(graph, from, to, edgeData, numEdges);
    /// The nodes that a node depends on.
    fn cudaGraphNodeGetDependencies_v2(node: cudaGraphNode_t, pDependencies: *mut cudaGraphNode_t, edgeData: *mut c_void, pNumDependencies: *mut usize)
        => cuGraphNodeGetDependencies_v2(node, pDependencies, edgeData, pNumDependencies);
    /// The nodes that depend on a node.
    fn cudaGraphNodeGetDependentNodes_v2(node: cudaGraphNode_t, pDependentNodes: *mut cudaGraphNode_t, edgeData: *mut c_void, pNumDependentNodes: *mut usize)
        => cuGraphNodeGetDependentNodes_v2(node, pDependentNodes, edgeData, pNumDependentNodes);
    /// Adds edges.
    fn cudaGraphAddDependencies_v2(graph: cudaGraph_t, from: *const cudaGraphNode_t, to: *const cudaGraphNode_t, edgeData: *const c_void, numDependencies: usize)
        => cuGraphAddDependencies_v2(graph, from, to, edgeData, numDependencies);
    /// Takes out edges.
    fn cudaGraphRemoveDependencies_v2(graph: cudaGraph_t, from: *const cudaGraphNode_t, to: *const cudaGraphNode_t, edgeData: *const c_void, numDependencies: usize)
        => cuGraphRemoveDependencies_v2(graph, from, to, edgeData, numDependencies);
    /// Changes what the next captured work of a stream depends on.
    fn cudaStreamUpdateCaptureDependencies_v2[default](
        stream: cudaStream_t, dependencies: *mut cudaGraphNode_t, dependencyData: *const c_void, numDependencies: usize, flags: u32,
    ) => cuStreamUpdateCaptureDependencies_v2(default.resolve(stream), dependencies, dependencyData, numDependencies, flags);
    /// Begins to record a stream's work into a graph that is there.
    fn cudaStreamBeginCaptureToGraph[default](
        stream: cudaStream_t, graph: cudaGraph_t, dependencies: *const cudaGraphNode_t, dependencyData: *const c_void, numDependencies: usize, mode: u32,
    ) => cuStreamBeginCaptureToGraph(default.resolve(stream), graph, dependencies, dependencyData, numDependencies, mode);
}

/// CUDA 12's older forms.
pub mod cuda12 {
    use super::{c_void, cudaGraph_t, cudaGraphNode_t, cudaStream_t, forward};

    forward! {
        /// The edges of a graph.
        fn cudaGraphGetEdges(graph: cudaGraph_t, from: *mut cudaGraphNode_t, to: *mut cudaGraphNode_t, numEdges: *mut usize) => cuGraphGetEdges(graph, from, to, numEdges);
        /// The nodes that a node depends on.
        fn cudaGraphNodeGetDependencies(node: cudaGraphNode_t, pDependencies: *mut cudaGraphNode_t, pNumDependencies: *mut usize)
            => cuGraphNodeGetDependencies(node, pDependencies, pNumDependencies);
        /// The nodes that depend on a node.
        fn cudaGraphNodeGetDependentNodes(node: cudaGraphNode_t, pDependentNodes: *mut cudaGraphNode_t, pNumDependentNodes: *mut usize)
            => cuGraphNodeGetDependentNodes(node, pDependentNodes, pNumDependentNodes);
        /// Adds edges.
        fn cudaGraphAddDependencies(graph: cudaGraph_t, from: *const cudaGraphNode_t, to: *const cudaGraphNode_t, numDependencies: usize)
            => cuGraphAddDependencies(graph, from, to, numDependencies);
        /// Takes out edges.
        fn cudaGraphRemoveDependencies(graph: cudaGraph_t, from: *const cudaGraphNode_t, to: *const cudaGraphNode_t, numDependencies: usize)
            => cuGraphRemoveDependencies(graph, from, to, numDependencies);
        /// Changes what the next captured work of a stream depends on.
        fn cudaStreamUpdateCaptureDependencies[default](stream: cudaStream_t, dependencies: *mut cudaGraphNode_t, numDependencies: usize, flags: u32)
            => cuStreamUpdateCaptureDependencies(default.resolve(stream), dependencies, numDependencies, flags);
    }

    /// Adds a node of any type.
    /// <https://docs.nvidia.com/cuda/archive/12.9.0/cuda-runtime-api/group__CUDART__GRAPH.html>
    pub unsafe fn cudaGraphAddNode(
        pGraphNode: *mut cudaGraphNode_t,
        graph: cudaGraph_t,
        pDependencies: *const cudaGraphNode_t,
        numDependencies: usize,
        nodeParams: *mut c_void,
    ) -> crate::Result {
        let none = std::ptr::null();
        // SAFETY: passed on unchanged.
        unsafe {
            crate::graph_nodes::cudaGraphAddNode_v2(
                pGraphNode,
                graph,
                pDependencies,
                none,
                numDependencies,
                nodeParams,
            )
        }
    }
}

/// CUDA 13's names.
pub mod cuda13 {
    pub use super::{
        cudaGraphAddDependencies_v2 as cudaGraphAddDependencies,
        cudaGraphGetEdges_v2 as cudaGraphGetEdges,
        cudaGraphNodeGetDependencies_v2 as cudaGraphNodeGetDependencies,
        cudaGraphNodeGetDependentNodes_v2 as cudaGraphNodeGetDependentNodes,
        cudaGraphRemoveDependencies_v2 as cudaGraphRemoveDependencies,
        cudaStreamUpdateCaptureDependencies_v2 as cudaStreamUpdateCaptureDependencies,
    };
    pub use crate::graph_nodes::cudaGraphAddNode_v2 as cudaGraphAddNode;
}
