//! Graphs as a whole: made, copied, made executable, launched. <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__GRAPH.html>
//!
//! A graph is the client's ([`crate::graph`]); the worker gets it when it is made executable.
#![allow(non_snake_case, reason = "CUDA's names")]

use std::ffi::{CStr, c_char, c_void};
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use gvirtus_wire::api::core::GraphInstantiate;
use gvirtus_wire::api::types::{CUgraph, CUgraphExec, CUgraphNode, CUstream, error};

use crate::capture;
use crate::driver::context::{self, Context};
use crate::driver::graph_device::{self, DEVICE_LAUNCH, Refusal, result};
use crate::driver::graph_exec::{self, AUTO_FREE, Exec};
use crate::driver::{Result, put, session};
use crate::graph::updatable::{self, Kept};
use crate::graph::work::Work;
use crate::graph::{self, Graph, Nodes, replay};
use crate::session::Session;

/// An empty graph. Flags must be 0.
pub(crate) unsafe fn cuGraphCreate(out: *mut CUgraph, flags: u32) -> Result<()> {
    session()?;
    if out.is_null() || flags != 0 {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let created = Graph::create(context::current()?.id)?;
    // SAFETY: the caller's pointer.
    unsafe { put(out, created.handle as *mut c_void) }
}

/// Destroys a graph; what was instantiated from it stays.
pub(crate) fn cuGraphDestroy(handle: CUgraph) -> Result<()> {
    let session = session()?;
    graph::destroy(session, &*graph::resolve(handle)?)
}

/// Copies a graph, graphs inside it included. Graphs with memory nodes cannot be copied, nor those with nodes that kernels change.
pub(crate) unsafe fn cuGraphClone(out: *mut CUgraph, original: CUgraph) -> Result<()> {
    session()?;
    let original = graph::resolve(original)?;
    if out.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let mut memory = false;
    original.nodes.lock().for_each(&mut |node| {
        memory |= matches!(node.work, Work::Allocate(_) | Work::Free(_));
    });
    if memory || original.nodes.lock().list.iter().any(updatable::is) {
        return Err(error::ERROR_NOT_SUPPORTED);
    }
    let copy = original.copy(false)?;
    // SAFETY: the caller's pointer.
    unsafe { put(out, copy.handle as *mut c_void) }
}

/// `CUDA_GRAPH_INSTANTIATE_FLAG_*`: auto free on launch, upload, device launch, node priority.
const INSTANTIATE_FLAGS: u64 = AUTO_FREE | UPLOAD | DEVICE_LAUNCH | 8;
/// `CUDA_GRAPH_INSTANTIATE_FLAG_UPLOAD`, which is for `cuGraphInstantiateWithParams` alone.
const UPLOAD: u64 = 2;

/// Where a graph's work is: the context of its kernels, else the one in which it was made.
pub(crate) fn context_of(nodes: &Nodes, made_in: u32) -> Result<Arc<Context>> {
    let mut of_kernel = None;
    nodes.for_each(&mut |node| {
        if let Work::Kernel(kernel) = &node.work {
            of_kernel.get_or_insert(kernel.function.context);
        }
    });
    context::by_handle(context::handle_of(of_kernel.unwrap_or(made_in)))
}

/// Sees to it that the worker has the graph; `for_device` as kernels may launch it.
fn bring(
    session: &'static Session,
    graph: &Graph,
    kept: Option<&Kept>,
    for_device: bool,
) -> Result<()> {
    if for_device {
        graph.changed();
    }
    if let Some(kept) = kept {
        let nodes = graph.nodes.lock().clone();
        let context = context_of(&nodes, graph.context)?;
        return replay::replay(
            session,
            &context,
            &nodes,
            &kept.graph,
            Some(kept),
            for_device,
        );
    }
    if graph.mirrored.load(Ordering::Acquire) {
        return Ok(());
    }
    graph::tell_gone(session, graph)?;
    let nodes = graph.nodes.lock().clone();
    let context = context_of(&nodes, graph.context)?;
    replay::replay(session, &context, &nodes, graph, None, for_device)?;
    // A graph inside may be changed without this one being told.
    let whole = |node: &graph::Node| !matches!(node.work, Work::Child(_) | Work::Conditional(_));
    let mirrored = !for_device && nodes.list.iter().all(whole);
    graph.mirrored.store(mirrored, Ordering::Release);
    Ok(())
}

/// Makes an executable graph.
pub(crate) unsafe fn cuGraphInstantiateWithFlags(
    out: *mut CUgraphExec,
    handle: CUgraph,
    flags: u64,
) -> Result<()> {
    if flags & UPLOAD != 0 {
        return Err(error::ERROR_INVALID_VALUE);
    }
    // SAFETY: the caller's pointer.
    unsafe { instantiate(out, handle, flags).map_err(|refusal| refusal.status) }
}

/// # Safety
/// The caller's pointer.
unsafe fn instantiate(
    out: *mut CUgraphExec,
    handle: CUgraph,
    flags: u64,
) -> std::result::Result<(), Refusal> {
    let session = session()?;
    let graph = graph::resolve(handle)?;
    let for_device = flags & DEVICE_LAUNCH != 0;
    if out.is_null() || flags & !INSTANTIATE_FLAGS != 0 || for_device && flags & AUTO_FREE != 0 {
        return Err(error::ERROR_INVALID_VALUE.into());
    }
    if for_device {
        graph_device::check(&graph.nodes.lock())?;
    }
    capture::forbid()?;
    if graph::conditional::unused(&graph) {
        return Err(Refusal {
            status: error::ERROR_INVALID_VALUE,
            result: result::CONDITIONAL_HANDLE_UNUSED,
            node: 0,
        });
    }
    let kept = graph.kept.lock().clone();
    if kept.as_ref().is_some_and(|kept| kept.is_live()) {
        return Err(error::ERROR_NOT_SUPPORTED.into());
    }
    bring(session, &graph, kept.as_deref(), for_device)?;
    let boxs = kept.as_ref().map_or(graph.id, |kept| kept.graph.id);
    let mut refusal = None;
    let created = graph_exec::insert(|own, id| {
        let handle = if for_device {
            graph_device::instantiate(session, &graph, boxs, flags & !UPLOAD, id, own as usize)
                .map_err(|refused| refusal.insert(refused).status)?
        } else {
            session.call(
                graph.context,
                &GraphInstantiate {
                    graph: boxs,
                    exec: id,
                    // A launch uploads what is not yet: there is nothing to gain here.
                    flags: flags & !UPLOAD,
                },
            )?;
            own as usize
        };
        Ok(Exec::new(id, handle, flags & !UPLOAD, &graph, kept.clone()))
    });
    let created = created.map_err(|status| refusal.unwrap_or_else(|| status.into()))?;
    if let Some(kept) = kept {
        kept.instantiated(&created);
    }
    // SAFETY: the caller's pointer.
    unsafe { put(out, created.handle as *mut c_void)? };
    Ok(())
}

/// `CUDA_GRAPH_INSTANTIATE_PARAMS`.
#[repr(C)]
struct InstantiateParams {
    flags: u64,
    upload_stream: CUstream,
    error_node: CUgraphNode,
    result: u32,
}

/// As `cuGraphInstantiateWithFlags`, with the flags in a structure.
pub(crate) unsafe fn cuGraphInstantiateWithParams(
    out: *mut CUgraphExec,
    handle: CUgraph,
    parameters: *mut c_void,
) -> Result<()> {
    let parameters = parameters.cast::<InstantiateParams>();
    if parameters.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    // SAFETY: not null; the caller gives the structure.
    let given = unsafe { parameters.read_unaligned() };
    // SAFETY: the caller's pointers.
    let made = unsafe { instantiate(out, handle, given.flags) };
    let (result, node) = match &made {
        Ok(()) => (result::SUCCESS, 0),
        Err(refusal) => (refusal.result, refusal.node),
    };
    // SAFETY: as above.
    unsafe {
        (*parameters).error_node = node as *mut c_void;
        (*parameters).result = result;
    }
    made.map_err(|refusal| refusal.status)?;
    if given.flags & UPLOAD != 0 {
        // SAFETY: what was just made is there.
        return graph_exec::cuGraphUpload(unsafe { *out }, given.upload_stream);
    }
    Ok(())
}

/// CUDA 11's form: says nothing in the buffer, and names no node.
pub(crate) unsafe fn cuGraphInstantiate_v2(
    out: *mut CUgraphExec,
    handle: CUgraph,
    error_node: *mut CUgraphNode,
    log: *mut c_char,
    size: usize,
) -> Result<()> {
    // SAFETY: the caller's pointers.
    unsafe {
        crate::driver::put_if(error_node, std::ptr::null_mut());
        if size > 0 {
            crate::driver::put_if(log, 0);
        }
        cuGraphInstantiateWithFlags(out, handle, 0)
    }
}

/// CUDA 10's form.
pub(crate) unsafe fn cuGraphInstantiate(
    out: *mut CUgraphExec,
    handle: CUgraph,
    error_node: *mut CUgraphNode,
    log: *mut c_char,
    size: usize,
) -> Result<()> {
    // SAFETY: the caller's pointers.
    unsafe { cuGraphInstantiate_v2(out, handle, error_node, log, size) }
}

/// The name that NVIDIA's driver writes for a kind of node.
fn kind_name(work: &Work) -> &'static str {
    match work {
        Work::Kernel(_) | Work::Library(_) => "KERNEL",
        Work::Copy(..) => "MEMCPY",
        Work::Fill(..) => "MEMSET",
        Work::Host(_) => "HOST",
        Work::Child(_) => "GRAPH",
        Work::Empty => "EMPTY",
        Work::Wait(_) => "WAIT_EVENT",
        Work::Record(_) => "EVENT_RECORD",
        Work::Allocate(_) => "MEM_ALLOC",
        Work::Free(_) => "MEM_FREE",
        Work::Operations(_) => "BATCH_MEM_OP",
        Work::Conditional(_) => "CONDITIONAL",
    }
}

/// Describes a graph for Graphviz; graphs inside are clusters of their own.
fn describe(nodes: &Nodes, number: &mut u32, text: &mut String) {
    *number += 1;
    let own = *number;
    let _ = writeln!(
        text,
        "subgraph cluster_{own} {{\nlabel=\"graph_{own}\" graph[style=\"dashed\"];"
    );
    let mut inside = Vec::new();
    for (at, node) in nodes.list.iter().enumerate() {
        let more = match &node.work {
            Work::Kernel(kernel) => {
                let [gx, gy, gz] = kernel.geometry.grid;
                let [bx, by, bz] = kernel.geometry.block;
                format!(
                    "\\n{} <<<{gx},{gy},{gz},{bx},{by},{bz},{}>>>",
                    kernel.function.name.to_string_lossy(),
                    kernel.geometry.shared
                )
            }
            Work::Child(child) => {
                inside.push(Arc::clone(child));
                String::new()
            }
            _ => String::new(),
        };
        let kind = kind_name(&node.work);
        let _ = writeln!(
            text,
            "\"graph_{own}_node_{at}\"[style=\"solid\" shape=\"rectangle\" label=\"{at}\\n{kind}{more}\"];"
        );
        for edge in &node.after {
            if let Some(from) = nodes.position(edge.from) {
                let _ = writeln!(
                    text,
                    "\"graph_{own}_node_{from}\" -> \"graph_{own}_node_{at}\";"
                );
            }
        }
    }
    text.push_str("}\n");
    for child in inside {
        describe(&child.nodes.lock(), number, text);
    }
}

/// Writes a graph as text for Graphviz. The flags ask for more detail than there is here.
pub(crate) unsafe fn cuGraphDebugDotPrint(
    handle: CUgraph,
    path: *const c_char,
    flags: u32,
) -> Result<()> {
    const FLAGS: u32 = (1 << 16) - 1;
    session()?;
    let graph = graph::resolve(handle)?;
    if path.is_null() || flags & !FLAGS != 0 {
        return Err(error::ERROR_INVALID_VALUE);
    }
    // SAFETY: not null, and the caller's C string.
    let path = unsafe { CStr::from_ptr(path) };
    let path = path.to_str().map_err(|_| error::ERROR_INVALID_VALUE)?;
    let mut text = String::from("digraph dot {\n");
    describe(&graph.nodes.lock(), &mut 0, &mut text);
    text.push_str("}\n");
    std::fs::write(path, text).map_err(|_| error::ERROR_OPERATING_SYSTEM)
}
