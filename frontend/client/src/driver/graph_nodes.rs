//! Nodes that a program adds by hand, and their parameters. <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__GRAPH.html>
#![allow(non_snake_case, reason = "CUDA's names")]

use std::ffi::c_void;
use std::sync::Arc;

use gvirtus_wire::api::types::{
    CUDA_MEMCPY3D, CUcontext, CUevent, CUgraph, CUgraphConditionalHandle, CUgraphNode,
    CUstreamAttrValue, error,
};

use crate::driver::graph_node_params::{
    self as params, FillParams, HostParams, KernelParams, KernelParams2, OperationsParams,
};
use crate::driver::{self, Result, context, function, graph_edges, put, session};
use crate::events;
use crate::graph::work::{Host, Kernel, Work};
use crate::graph::{self, Node, conditional, updatable};

/// Adds a node behind others.
///
/// # Errors
/// `CUDA_ERROR_INVALID_VALUE` if one of those is no node of the graph.
///
/// # Safety
/// The caller's pointers.
pub(crate) unsafe fn add(
    out: *mut CUgraphNode,
    handle: CUgraph,
    dependencies: *const CUgraphNode,
    count: usize,
    work: Work,
) -> Result<()> {
    // SAFETY: this function's contract.
    unsafe { add_behind(out, handle, dependencies, std::ptr::null(), count, work) }
}

/// # Safety
/// The caller's pointers.
unsafe fn add_behind(
    out: *mut CUgraphNode,
    handle: CUgraph,
    dependencies: *const CUgraphNode,
    edges: *const c_void,
    count: usize,
    work: Work,
) -> Result<()> {
    let graph = graph::resolve(handle)?;
    if out.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    // SAFETY: the caller's arrays.
    let after = unsafe { graph_edges::read(dependencies, edges, count)? };
    let node = graph.add(work, after)?;
    graph.changed();
    // SAFETY: the caller's pointer.
    unsafe { put(out, node as *mut c_void) }
}

/// Changes what a node does into more of the same.
fn set(node: CUgraphNode, work: Work) -> Result<()> {
    graph::change_node(node, |node| {
        if node.work.kind() != work.kind() {
            return Err(error::ERROR_INVALID_VALUE);
        }
        node.work = work;
        Ok(())
    })
}

/// Adds a node that does nothing.
pub(crate) unsafe fn cuGraphAddEmptyNode(
    out: *mut CUgraphNode,
    handle: CUgraph,
    dependencies: *const CUgraphNode,
    count: usize,
) -> Result<()> {
    session()?;
    // SAFETY: the caller's pointers.
    unsafe { add(out, handle, dependencies, count, Work::Empty) }
}

/// Adds a kernel.
pub(crate) unsafe fn cuGraphAddKernelNode(
    out: *mut CUgraphNode,
    handle: CUgraph,
    dependencies: *const CUgraphNode,
    count: usize,
    given: *const c_void,
) -> Result<()> {
    session()?;
    // SAFETY: the caller's structure and pointers.
    unsafe {
        let kernel = params::kernel(given, false, &[])?;
        add(out, handle, dependencies, count, Work::Kernel(kernel))
    }
}

/// As `cuGraphAddKernelNode`; takes kernels of libraries, too.
pub(crate) unsafe fn cuGraphAddKernelNode_v2(
    out: *mut CUgraphNode,
    handle: CUgraph,
    dependencies: *const CUgraphNode,
    count: usize,
    given: *const c_void,
) -> Result<()> {
    session()?;
    // SAFETY: the caller's structure and pointers.
    unsafe {
        let kernel = params::kernel(given, true, &[])?;
        add(out, handle, dependencies, count, Work::Kernel(kernel))
    }
}

fn kernel_of(node: CUgraphNode) -> Result<Arc<Kernel>> {
    session()?;
    graph::with_node(node, |node| match &node.work {
        Work::Kernel(kernel) => Ok(Arc::clone(kernel)),
        _ => Err(error::ERROR_INVALID_VALUE),
    })
}

fn kernel_params(kernel: &Kernel) -> KernelParams {
    KernelParams {
        function: function::handle(&kernel.function),
        grid: kernel.geometry.grid,
        block: kernel.geometry.block,
        shared: kernel.geometry.shared,
        params: kernel.pointers(),
        extra: std::ptr::null_mut(),
    }
}

/// What a kernel node does. The parameters stay where they are until the node is changed.
pub(crate) unsafe fn cuGraphKernelNodeGetParams_v2(
    node: CUgraphNode,
    out: *mut c_void,
) -> Result<()> {
    let kernel = kernel_of(node)?;
    let all = KernelParams2 {
        first: kernel_params(&kernel),
        // NVIDIA's runtime knows kernels by this one.
        kernel: driver::kernel::of_function(&kernel.function),
        context: crate::driver::context::handle_of(kernel.function.context),
    };
    // SAFETY: the caller's pointer.
    unsafe { put(out.cast(), all) }
}

/// As `_v2`, without the context.
pub(crate) unsafe fn cuGraphKernelNodeGetParams(node: CUgraphNode, out: *mut c_void) -> Result<()> {
    let kernel = kernel_of(node)?;
    // SAFETY: the caller's pointer.
    unsafe { put(out.cast(), kernel_params(&kernel)) }
}

fn set_kernel(node: CUgraphNode, new: &Kernel) -> Result<()> {
    let attributes = kernel_of(node)?.attributes.clone();
    set(node, Work::Kernel(new.with_attributes(attributes)))
}

/// Changes a kernel node.
pub(crate) unsafe fn cuGraphKernelNodeSetParams_v2(
    node: CUgraphNode,
    given: *const c_void,
) -> Result<()> {
    session()?;
    // SAFETY: the caller's structure.
    set_kernel(node, &*unsafe { params::kernel(given, true, &[])? })
}

/// As `_v2`, with functions only.
pub(crate) unsafe fn cuGraphKernelNodeSetParams(
    node: CUgraphNode,
    given: *const c_void,
) -> Result<()> {
    session()?;
    // SAFETY: the caller's structure.
    set_kernel(node, &*unsafe { params::kernel(given, false, &[])? })
}

/// `CUlaunchAttributeID`: the last that is known, and those that are no nodes'.
const LAST_ATTRIBUTE: u32 = 16;
const WITH_HANDLES: [u32; 2] = [7, 12];

/// A launch attribute of a kernel node; zeros if it was not set.
pub(crate) unsafe fn cuGraphKernelNodeGetAttribute(
    node: CUgraphNode,
    attribute: u32,
    out: *mut CUstreamAttrValue,
) -> Result<()> {
    let kernel = kernel_of(node)?;
    if attribute == 0 || attribute > LAST_ATTRIBUTE {
        return Err(error::ERROR_INVALID_VALUE);
    }
    if attribute == updatable::ATTRIBUTE {
        let handle = kernel.device_node();
        // SAFETY: the caller's pointer, to a flag and a handle behind it.
        return unsafe {
            put(out.cast(), u32::from(handle != 0))?;
            put(out.cast::<u64>().wrapping_add(1), handle)
        };
    }
    let mut words = [0; 8];
    if let Some((_, bytes)) = kernel.attributes.iter().find(|(id, _)| *id == attribute) {
        for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *word = u64::from_le_bytes(*bytes);
        }
    }
    // SAFETY: the caller's pointer.
    unsafe { put(out, CUstreamAttrValue { words }) }
}

/// Lets kernels change a node, which cannot be undone. The result is the handle by which they do, 0 if they do not.
fn set_updatable(node: CUgraphNode, kernel: &Kernel, wanted: u32, given: u64) -> Result<u64> {
    match (wanted, kernel.device_node()) {
        (0, 0) => Ok(0),
        (0, _) => Err(error::ERROR_NOT_SUPPORTED),
        (1, _) if given != 0 => Err(error::ERROR_INVALID_VALUE),
        (1, 0) => updatable::make(session()?, &graph::of_node(node)?, node as usize),
        (1, known) => Ok(known),
        _ => Err(error::ERROR_INVALID_VALUE),
    }
}

/// Sets a launch attribute of a kernel node.
pub(crate) unsafe fn cuGraphKernelNodeSetAttribute(
    node: CUgraphNode,
    attribute: u32,
    value: *const CUstreamAttrValue,
) -> Result<()> {
    let kernel = kernel_of(node)?;
    if value.is_null() || attribute == 0 || attribute > LAST_ATTRIBUTE {
        return Err(error::ERROR_INVALID_VALUE);
    }
    if WITH_HANDLES.contains(&attribute) {
        crate::log::unsupported("cuGraphKernelNodeSetAttribute (attributes with handles)");
        return Err(error::ERROR_NOT_SUPPORTED);
    }
    // SAFETY: not null, and the caller's.
    let words = unsafe { value.read_unaligned() }.words;
    if attribute == updatable::ATTRIBUTE {
        let handle = set_updatable(node, &kernel, words[0] as u32, words[1])?;
        if handle != 0 {
            // SAFETY: the driver tells the handle there, whatever the declaration says.
            unsafe { put(value.cast_mut().cast::<u64>().wrapping_add(1), handle)? };
        }
        return Ok(());
    }
    let mut bytes = [0; 64];
    for (to, word) in bytes.chunks_exact_mut(8).zip(words) {
        to.copy_from_slice(&word.to_le_bytes());
    }
    let mut attributes = kernel.attributes.clone();
    attributes.retain(|(id, _)| *id != attribute);
    attributes.push((attribute, bytes));
    set(node, Work::Kernel(kernel.with_attributes(attributes)))
}

/// Gives a kernel node the launch attributes of another.
pub(crate) fn cuGraphKernelNodeCopyAttributes(dst: CUgraphNode, src: CUgraphNode) -> Result<()> {
    let (from, kernel) = (kernel_of(src)?, kernel_of(dst)?);
    if from.device_node() != 0 || kernel.device_node() != 0 {
        return Err(error::ERROR_NOT_SUPPORTED);
    }
    let attributes = from.attributes.clone();
    set(dst, Work::Kernel(kernel.with_attributes(attributes)))
}

/// Adds a copy.
pub(crate) unsafe fn cuGraphAddMemcpyNode(
    out: *mut CUgraphNode,
    handle: CUgraph,
    dependencies: *const CUgraphNode,
    count: usize,
    given: *const CUDA_MEMCPY3D,
    context: CUcontext,
) -> Result<()> {
    session()?;
    // SAFETY: the caller's structure and pointers.
    unsafe {
        let work = params::copy(given, context)?;
        add(out, handle, dependencies, count, work)
    }
}

/// What a copy node copies.
pub(crate) unsafe fn cuGraphMemcpyNodeGetParams(
    node: CUgraphNode,
    out: *mut CUDA_MEMCPY3D,
) -> Result<()> {
    session()?;
    let found = graph::with_node(node, |node| match &node.work {
        Work::Copy(copy, _) => Ok(copy.params),
        _ => Err(error::ERROR_INVALID_VALUE),
    })?;
    // SAFETY: the caller's pointer.
    unsafe { put(out, found) }
}

/// Changes a copy node.
pub(crate) unsafe fn cuGraphMemcpyNodeSetParams(
    node: CUgraphNode,
    given: *const CUDA_MEMCPY3D,
) -> Result<()> {
    session()?;
    let context = graph::with_node(node, |node| match &node.work {
        Work::Copy(copy, _) => Ok(copy.context),
        _ => Err(error::ERROR_INVALID_VALUE),
    })?;
    // SAFETY: the caller's structure.
    set(node, unsafe {
        params::copy(given, context as *mut c_void)?
    })
}

/// Adds a fill.
pub(crate) unsafe fn cuGraphAddMemsetNode(
    out: *mut CUgraphNode,
    handle: CUgraph,
    dependencies: *const CUgraphNode,
    count: usize,
    given: *const c_void,
    context: CUcontext,
) -> Result<()> {
    session()?;
    // SAFETY: the caller's structure and pointers.
    unsafe {
        let work = params::fill(given, context)?;
        add(out, handle, dependencies, count, work)
    }
}

fn fill_of(node: &Node) -> Result<(FillParams, usize)> {
    match &node.work {
        Work::Fill(fill, _) => Ok((
            FillParams {
                address: fill.address,
                pitch: fill.pitch,
                value: fill.value,
                element: fill.element,
                width: fill.width,
                height: fill.height,
            },
            fill.context,
        )),
        _ => Err(error::ERROR_INVALID_VALUE),
    }
}

/// What a fill node fills.
pub(crate) unsafe fn cuGraphMemsetNodeGetParams(node: CUgraphNode, out: *mut c_void) -> Result<()> {
    session()?;
    let (found, _) = graph::with_node(node, fill_of)?;
    // SAFETY: the caller's pointer.
    unsafe { put(out.cast(), found) }
}

/// Changes a fill node.
pub(crate) unsafe fn cuGraphMemsetNodeSetParams(
    node: CUgraphNode,
    given: *const c_void,
) -> Result<()> {
    session()?;
    let (_, context) = graph::with_node(node, fill_of)?;
    // SAFETY: the caller's structure.
    set(node, unsafe {
        params::fill(given, context as *mut c_void)?
    })
}

/// Adds a function of the program.
pub(crate) unsafe fn cuGraphAddHostNode(
    out: *mut CUgraphNode,
    handle: CUgraph,
    dependencies: *const CUgraphNode,
    count: usize,
    given: *const c_void,
) -> Result<()> {
    session()?;
    // SAFETY: the caller's structure and pointers.
    unsafe {
        let (function, data) = params::host(given)?;
        let work = Work::Host(Host::new(function, data));
        add(out, handle, dependencies, count, work)
    }
}

/// The function of a host node.
pub(crate) unsafe fn cuGraphHostNodeGetParams(node: CUgraphNode, out: *mut c_void) -> Result<()> {
    session()?;
    let found = graph::with_node(node, |node| match &node.work {
        Work::Host(host) => Ok(HostParams {
            function: host.function,
            data: host.data.0,
        }),
        _ => Err(error::ERROR_INVALID_VALUE),
    })?;
    // SAFETY: the caller's pointer.
    unsafe { put(out.cast(), found) }
}

/// Changes a host node.
pub(crate) unsafe fn cuGraphHostNodeSetParams(
    node: CUgraphNode,
    given: *const c_void,
) -> Result<()> {
    session()?;
    // SAFETY: the caller's structure.
    let (function, data) = unsafe { params::host(given)? };
    set(node, Work::Host(Host::new(function, data)))
}

/// Adds a copy of a graph as a node.
pub(crate) unsafe fn cuGraphAddChildGraphNode(
    out: *mut CUgraphNode,
    handle: CUgraph,
    dependencies: *const CUgraphNode,
    count: usize,
    child: CUgraph,
) -> Result<()> {
    session()?;
    // SAFETY: the caller's pointers.
    unsafe { add_child(out, handle, dependencies, std::ptr::null(), count, child) }
}

/// # Safety
/// The caller's pointers.
unsafe fn add_child(
    out: *mut CUgraphNode,
    handle: CUgraph,
    dependencies: *const CUgraphNode,
    edges: *const c_void,
    count: usize,
    child: CUgraph,
) -> Result<()> {
    let child = graph::resolve(child)?;
    if handle as usize == child.handle {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let work = Work::Child(child.copy(true)?);
    // SAFETY: the caller's pointers.
    unsafe { add_behind(out, handle, dependencies, edges, count, work) }
}

/// The graph inside a node.
pub(crate) unsafe fn cuGraphChildGraphNodeGetGraph(
    node: CUgraphNode,
    out: *mut CUgraph,
) -> Result<()> {
    session()?;
    let found = graph::with_node(node, |node| match &node.work {
        Work::Child(child) => Ok(Arc::clone(child)),
        _ => Err(error::ERROR_INVALID_VALUE),
    })?;
    // The program may change what is inside, and the outer graph is not told.
    graph::of_node(node)?.changed();
    // SAFETY: the caller's pointer.
    unsafe { put(out, found.handle as *mut c_void) }
}

macro_rules! event_nodes { ($($work:ident $what:literal $add:ident $get:ident $set:ident;)*) => { $(
    #[doc = concat!("Adds a node that ", $what, " an event.")]
    pub(crate) unsafe fn $add(
        out: *mut CUgraphNode,
        handle: CUgraph,
        dependencies: *const CUgraphNode,
        count: usize,
        event: CUevent,
    ) -> Result<()> {
        session()?;
        events::given(event)?;
        // SAFETY: the caller's pointers.
        unsafe { add(out, handle, dependencies, count, Work::$work(event as usize)) }
    }

    #[doc = concat!("The event that a node ", $what, ".")]
    pub(crate) unsafe fn $get(node: CUgraphNode, out: *mut CUevent) -> Result<()> {
        session()?;
        let event = graph::with_node(node, |node| match node.work {
            Work::$work(event) => Ok(event),
            _ => Err(error::ERROR_INVALID_VALUE),
        })?;
        // SAFETY: the caller's pointer.
        unsafe { put(out, event as *mut c_void) }
    }

    #[doc = concat!("Changes the event that a node ", $what, ".")]
    pub(crate) fn $set(node: CUgraphNode, event: CUevent) -> Result<()> {
        session()?;
        events::given(event)?;
        set(node, Work::$work(event as usize))
    }
)* } }
event_nodes! {
    Record "records" cuGraphAddEventRecordNode cuGraphEventRecordNodeGetEvent cuGraphEventRecordNodeSetEvent;
    Wait "waits for" cuGraphAddEventWaitNode cuGraphEventWaitNodeGetEvent cuGraphEventWaitNodeSetEvent;
}

/// Adds stream memory operations.
pub(crate) unsafe fn cuGraphAddBatchMemOpNode(
    out: *mut CUgraphNode,
    handle: CUgraph,
    dependencies: *const CUgraphNode,
    count: usize,
    given: *const c_void,
) -> Result<()> {
    session()?;
    // SAFETY: the caller's structure and pointers.
    unsafe {
        let work = params::operations(given)?;
        add(out, handle, dependencies, count, work)
    }
}

/// A node's stream memory operations; they stay where they are until the node is changed.
pub(crate) unsafe fn cuGraphBatchMemOpNodeGetParams(
    node: CUgraphNode,
    out: *mut c_void,
) -> Result<()> {
    session()?;
    let found = graph::with_node(node, |node| match &node.work {
        Work::Operations(operations) => Ok(OperationsParams {
            context: operations.context as *mut c_void,
            count: operations.list.len() as u32,
            list: operations.described(),
            flags: 0,
        }),
        _ => Err(error::ERROR_INVALID_VALUE),
    })?;
    // SAFETY: the caller's pointer.
    unsafe { put(out.cast(), found) }
}

/// Changes a node's stream memory operations.
pub(crate) unsafe fn cuGraphBatchMemOpNodeSetParams(
    node: CUgraphNode,
    given: *const c_void,
) -> Result<()> {
    session()?;
    // SAFETY: the caller's structure.
    set(node, unsafe { params::operations(given)? })
}

/// Adds a node of any type.
pub(crate) unsafe fn cuGraphAddNode_v2(
    out: *mut CUgraphNode,
    handle: CUgraph,
    dependencies: *const CUgraphNode,
    edges: *const c_void,
    count: usize,
    given: *mut c_void,
) -> Result<()> {
    session()?;
    let graph = graph::resolve(handle)?;
    // SAFETY: the caller's structure and pointers.
    unsafe {
        let after = graph_edges::read(dependencies, edges, count)?;
        match params::any(given, Some((&graph, &after)))? {
            Work::Child(child) => {
                let child = child.handle as *mut c_void;
                add_child(out, handle, dependencies, edges, count, child)
            }
            work => add_behind(out, handle, dependencies, edges, count, work),
        }
    }
}

/// As `_v2`, without edge data.
pub(crate) unsafe fn cuGraphAddNode(
    out: *mut CUgraphNode,
    handle: CUgraph,
    dependencies: *const CUgraphNode,
    count: usize,
    given: *mut c_void,
) -> Result<()> {
    let none = std::ptr::null();
    // SAFETY: the caller's structure and pointers.
    unsafe { cuGraphAddNode_v2(out, handle, dependencies, none, count, given) }
}

/// Changes a node of any type.
pub(crate) unsafe fn cuGraphNodeSetParams(node: CUgraphNode, given: *mut c_void) -> Result<()> {
    session()?;
    // SAFETY: the caller's structure.
    match unsafe { params::any(given, None)? } {
        Work::Kernel(kernel) => set_kernel(node, &kernel),
        // Natively neither can be changed.
        Work::Child(_) | Work::Allocate(_) | Work::Free(_) | Work::Conditional(_) => {
            Err(error::ERROR_NOT_SUPPORTED)
        }
        work => set(node, work),
    }
}

/// Makes the handle by which kernels say whether a conditional node's graphs run.
pub(crate) unsafe fn cuGraphConditionalHandleCreate(
    out: *mut CUgraphConditionalHandle,
    handle: CUgraph,
    ctx: CUcontext,
    value: u32,
    flags: u32,
) -> Result<()> {
    /// `CU_GRAPH_COND_ASSIGN_DEFAULT`.
    const ASSIGN_DEFAULT: u32 = 1;
    session()?;
    let graph = graph::resolve(handle)?;
    context::by_handle(ctx)?;
    if out.is_null() || flags & !ASSIGN_DEFAULT != 0 {
        return Err(error::ERROR_INVALID_VALUE);
    }
    // A worker's capture has kernels with our handle, which is not the box's.
    graph.changed();
    // SAFETY: the caller's pointer.
    unsafe { put(out, conditional::create(&graph, value, flags)) }
}
