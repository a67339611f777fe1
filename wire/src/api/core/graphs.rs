//! Graphs: what a stream captures, and what becomes of it.

use crate::codec::Params;

crate::records! {
    /// What came of an executable graph that kernels may launch.
    DeviceGraph {
        /// The box's own handle, which kernels receive as a parameter; 0 if there is none.
        handle: u64,
        /// What the driver returned.
        status: u32,
        /// `CUgraphInstantiateResult`.
        result: u32,
        /// Place, among the graph's nodes, of the one that stands in the way; `u32::MAX` if the driver names none.
        node: u32,
    }
    /// A kernel of a graph, as [`Launch`](super::Launch) has it.
    KernelNode {
        /// Function.
        function: u32,
        /// Blocks.
        grid: [u32; 3],
        /// Threads per block.
        block: [u32; 3],
        /// Dynamic shared memory per block, bytes.
        shared: u32,
        /// Parameters, packed by the function's layout.
        params: Params,
        /// Launch attributes.
        attributes: Vec<(u32, [u8; 64])>,
    }
}

crate::commands! {
    /// The commands.
    pub(super) table COMMANDS, dispatch dispatch, handler GraphsHandler;

    /// `cuStreamBeginCapture`. The worker always captures relaxed; the client enforces the program's mode.
    0x0170 r 1 sync StreamBeginCapture {
        /// Stream.
        stream: u32,
    } -> ();
    /// `cuStreamEndCapture`; the reply is the number of nodes.
    0x0171 r 1 sync StreamEndCapture {
        /// Stream.
        stream: u32,
        /// Minted by the client.
        graph: u32,
    } -> u32;
    /// `cuGraphInstantiate`.
    0x0172 r 1 sync GraphInstantiate {
        /// Graph.
        graph: u32,
        /// Minted by the client.
        exec: u32,
        /// `CUDA_GRAPH_INSTANTIATE_FLAG_*`.
        flags: u64,
    } -> ();
    /// `cuGraphLaunch`.
    0x0173 r 1 async GraphLaunch {
        /// Executable graph.
        exec: u32,
        /// Stream.
        stream: u32,
    } -> ();
    /// `cuGraphExecDestroy`.
    0x0174 r 1 async GraphExecDestroy {
        /// Executable graph.
        exec: u32,
    } -> ();
    /// `cuGraphDestroy`.
    0x0175 r 1 async GraphDestroy {
        /// Graph.
        graph: u32,
    } -> ();
    /// `cuGraphCreate`: an empty graph.
    0x0176 r 1 async GraphCreate {
        /// Minted by the client.
        graph: u32,
    } -> ();
    /// Between the commands of a capture: what comes next on the stream depends on the work of other places in the capture, not on what came before it.
    0x0177 r 1 async CaptureAt {
        /// Stream.
        stream: u32,
        /// Number by which the place where the stream is now may be named later; 0 for none.
        save: u32,
        /// Places that what comes next depends on, and how (`CUgraphEdgeData`); none for nothing.
        after: Vec<(u32, [u8; 8])>,
    } -> ();
    /// Makes an executable graph do what a graph describes: by `cuGraphExecUpdate`, or where the driver cannot, anew under the same number.
    0x0178 r 1 async GraphExecUpdate {
        /// Executable graph.
        exec: u32,
        /// Graph.
        graph: u32,
        /// As the executable graph was made with.
        flags: u64,
    } -> ();
    /// While a stream captures: `cuGraphConditionalHandleCreate` for the graph that comes of it. The reply is the box's own handle, which kernels receive as a parameter.
    0x0179 r 1 sync ConditionalHandle {
        /// Stream.
        stream: u32,
        /// The condition's value at each launch.
        value: u32,
        /// `CU_GRAPH_COND_ASSIGN_DEFAULT` or 0.
        flags: u32,
    } -> u64;
    /// While a stream captures: a conditional node becomes what comes next on the stream. What its graphs consist of follows when the capture has ended.
    0x017a r 1 sync CaptureConditional {
        /// Stream.
        stream: u32,
        /// As [`ConditionalHandle`] replied.
        handle: u64,
        /// `CUgraphConditionalNodeType`.
        kind: u32,
        /// Numbers, by which the node's graphs are named from now on: none twice in a graph.
        bodies: Vec<u32>,
    } -> ();
    /// A stream begins to capture into a graph of a conditional node: `cuStreamBeginCaptureToGraph`.
    0x017b r 1 sync ConditionalBodyBegin {
        /// Stream.
        stream: u32,
        /// The graph that the node is in.
        graph: u32,
        /// As [`CaptureConditional`] named it.
        body: u32,
    } -> ();
    /// It ends.
    0x017c r 1 sync ConditionalBodyEnd {
        /// Stream.
        stream: u32,
        /// The graph that the node is in.
        graph: u32,
    } -> ();
    /// `cuGraphInstantiateWithParams` with `CUDA_GRAPH_INSTANTIATE_FLAG_DEVICE_LAUNCH`.
    0x017d r 1 sync GraphInstantiateForDevice {
        /// Graph.
        graph: u32,
        /// Minted by the client.
        exec: u32,
        /// `CUDA_GRAPH_INSTANTIATE_FLAG_*`.
        flags: u64,
    } -> DeviceGraph;
    /// `cuGraphUpload`: from here on kernels may launch what the graph is now.
    0x017e r 1 async GraphUpload {
        /// Executable graph.
        exec: u32,
        /// Stream.
        stream: u32,
    } -> ();
    /// `cuGraphNodeSetEnabled` of an executable graph that kernels may launch.
    0x017f r 1 async GraphNodeEnable {
        /// Executable graph.
        exec: u32,
        /// Place of the node in the graph that it was made from.
        place: u32,
        /// How many nodes that has.
        of: u32,
        /// Whether it runs.
        enabled: bool,
    } -> ();
    /// Makes a kernel node in a graph that is not captured yet, or tells it what it does from now on. It has no edges until [`CaptureNode`]. The reply is the box's own handle by which
    /// kernels name the node (`CU_LAUNCH_ATTRIBUTE_DEVICE_UPDATABLE_KERNEL_NODE`), 0 if they cannot change it.
    0x0180 r 1 sync GraphKernel {
        /// Graph, as [`GraphCreate`] made it.
        graph: u32,
        /// The graph of a conditional node that it goes into, as [`GraphConditional`] named it; 0 for the graph itself.
        within: u32,
        /// Minted by the client, for the graph.
        node: u32,
        /// What it does.
        kernel: KernelNode,
        /// Kernels may change it, from now on.
        updatable: bool,
    } -> u64;
    /// A stream begins to capture into such a graph: `cuStreamBeginCaptureToGraph`. Nodes that kernels may change and conditional nodes stay, whatever else is in the graph goes.
    0x0181 r 1 sync GraphCaptureBegin {
        /// Stream.
        stream: u32,
        /// Graph.
        graph: u32,
    } -> ();
    /// In that capture: a node of [`GraphKernel`] or [`GraphConditional`] becomes what comes next on the stream.
    0x0182 r 1 async CaptureNode {
        /// Stream.
        stream: u32,
        /// The node's number.
        node: u32,
    } -> ();
    /// `cuGraphExecKernelNodeSetParams` of a node of [`GraphKernel`].
    0x0183 r 1 async GraphExecKernel {
        /// Executable graph.
        exec: u32,
        /// The node's number.
        node: u32,
        /// What it does from now on; its attributes stay.
        kernel: KernelNode,
    } -> ();
    /// `cuGraphNodeSetEnabled` of a node of [`GraphKernel`].
    0x0184 r 1 async GraphExecEnable {
        /// Executable graph.
        exec: u32,
        /// The node's number.
        node: u32,
        /// Whether it runs.
        enabled: bool,
    } -> ();
    /// Makes a conditional node in such a graph, and its condition. The reply is as with [`ConditionalHandle`].
    0x0185 r 1 sync GraphConditional {
        /// Graph.
        graph: u32,
        /// As with [`GraphKernel`].
        within: u32,
        /// Minted by the client, for the graph.
        node: u32,
        /// The condition's value at each launch.
        value: u32,
        /// `CU_GRAPH_COND_ASSIGN_DEFAULT` or 0.
        flags: u32,
        /// `CUgraphConditionalNodeType`.
        kind: u32,
        /// As with [`CaptureConditional`]; none is 0.
        bodies: Vec<u32>,
    } -> u64;
}
