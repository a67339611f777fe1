//! What a graph consists of: nodes, their kinds, and what depends on what. <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__GRAPH.html>
#![allow(non_snake_case, reason = "CUDA's names")]

use std::ffi::c_void;

use gvirtus_wire::api::types::{CUgraph, CUgraphNode, error};

use crate::driver::{Result, put, session};
use crate::graph::{self, Edge, EdgeData, Nodes, updatable};

/// Reads nodes and the data of the edges to them.
///
/// # Errors
/// `CUDA_ERROR_INVALID_VALUE` for a null array.
///
/// # Safety
/// The arrays have so many elements, or are null.
pub(crate) unsafe fn read(
    nodes: *const CUgraphNode,
    data: *const c_void,
    count: usize,
) -> Result<Vec<Edge>> {
    if count > 0 && nodes.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    (0..count)
        .map(|at| {
            // SAFETY: inside the array.
            let from = unsafe { nodes.add(at).read_unaligned() } as usize;
            let data = if data.is_null() {
                EdgeData::default()
            } else {
                // SAFETY: inside the array.
                unsafe { data.cast::<EdgeData>().add(at).read_unaligned() }
            };
            Ok(Edge { from, data })
        })
        .collect()
}

/// CUDA's way to return a list: without an array the count; else as many as fit, the rest null. Whoever has no room for the edges' data is not told of edges that are not plain ones.
///
/// # Safety
/// The caller's pointers.
unsafe fn list(
    found: &[Edge],
    out: *mut CUgraphNode,
    data: *mut c_void,
    count: *mut usize,
) -> Result<()> {
    if count.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    if out.is_null() {
        if !data.is_null() {
            return Err(error::ERROR_INVALID_VALUE);
        }
        // SAFETY: not null.
        return unsafe { put(count, found.len()) };
    }
    if data.is_null() && found.iter().any(|edge| !edge.is_plain()) {
        return Err(error::ERROR_LOSSY_QUERY);
    }
    // SAFETY: the caller's arrays have so many elements.
    unsafe {
        let room = count.read_unaligned();
        for at in 0..room {
            let edge = found.get(at).copied().unwrap_or(Edge::plain(0));
            out.add(at).write_unaligned(edge.from as *mut c_void);
            if !data.is_null() {
                let to = data.cast::<EdgeData>().add(at);
                to.write_unaligned(edge.data);
            }
        }
        put(count, found.len().min(room))
    }
}

/// The nodes of a graph, in the order in which they were added.
pub(crate) unsafe fn cuGraphGetNodes(
    handle: CUgraph,
    nodes: *mut CUgraphNode,
    count: *mut usize,
) -> Result<()> {
    session()?;
    let graph = graph::resolve(handle)?;
    let found: Vec<Edge> = {
        let nodes = graph.nodes.lock();
        nodes.list.iter().map(|n| Edge::plain(n.handle)).collect()
    };
    // SAFETY: the caller's pointers.
    unsafe { list(&found, nodes, std::ptr::null_mut(), count) }
}

/// The nodes that depend on none.
pub(crate) unsafe fn cuGraphGetRootNodes(
    handle: CUgraph,
    nodes: *mut CUgraphNode,
    count: *mut usize,
) -> Result<()> {
    session()?;
    let graph = graph::resolve(handle)?;
    let found: Vec<Edge> = {
        let nodes = graph.nodes.lock();
        let roots = nodes.list.iter().filter(|n| n.after.is_empty());
        roots.map(|n| Edge::plain(n.handle)).collect()
    };
    // SAFETY: the caller's pointers.
    unsafe { list(&found, nodes, std::ptr::null_mut(), count) }
}

/// Every edge of a graph.
pub(crate) unsafe fn cuGraphGetEdges_v2(
    handle: CUgraph,
    from: *mut CUgraphNode,
    to: *mut CUgraphNode,
    data: *mut c_void,
    count: *mut usize,
) -> Result<()> {
    session()?;
    let graph = graph::resolve(handle)?;
    if from.is_null() != to.is_null() || count.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let mut begins = Vec::new();
    let mut ends = Vec::new();
    for node in &graph.nodes.lock().list {
        for edge in &node.after {
            begins.push(*edge);
            ends.push(Edge::plain(node.handle));
        }
    }
    // SAFETY: the caller's pointers; both arrays have as many elements as the count says before.
    unsafe {
        let mut room = count.read_unaligned();
        list(&begins, from, data, &raw mut room)?;
        list(&ends, to, std::ptr::null_mut(), count)
    }
}

/// As `_v2`, without the edges' data.
pub(crate) unsafe fn cuGraphGetEdges(
    handle: CUgraph,
    from: *mut CUgraphNode,
    to: *mut CUgraphNode,
    count: *mut usize,
) -> Result<()> {
    // SAFETY: the caller's pointers.
    unsafe { cuGraphGetEdges_v2(handle, from, to, std::ptr::null_mut(), count) }
}

/// The nodes that a node depends on.
pub(crate) unsafe fn cuGraphNodeGetDependencies_v2(
    node: CUgraphNode,
    nodes: *mut CUgraphNode,
    data: *mut c_void,
    count: *mut usize,
) -> Result<()> {
    session()?;
    let found: Vec<Edge> = graph::with_node(node, |node| Ok(node.after.clone()))?;
    // SAFETY: the caller's pointers.
    unsafe { list(&found, nodes, data, count) }
}

/// As `_v2`, without the edges' data.
pub(crate) unsafe fn cuGraphNodeGetDependencies(
    node: CUgraphNode,
    nodes: *mut CUgraphNode,
    count: *mut usize,
) -> Result<()> {
    // SAFETY: the caller's pointers.
    unsafe { cuGraphNodeGetDependencies_v2(node, nodes, std::ptr::null_mut(), count) }
}

/// The nodes that depend on a node.
pub(crate) unsafe fn cuGraphNodeGetDependentNodes_v2(
    node: CUgraphNode,
    nodes: *mut CUgraphNode,
    data: *mut c_void,
    count: *mut usize,
) -> Result<()> {
    session()?;
    let graph = graph::of_node(node)?;
    let found: Vec<Edge> = {
        let all = graph.nodes.lock();
        let depends = |n: &graph::Node| {
            let edge = n.after.iter().find(|edge| edge.from == node as usize)?;
            Some(Edge {
                from: n.handle,
                data: edge.data,
            })
        };
        all.list.iter().filter_map(depends).collect()
    };
    // SAFETY: the caller's pointers.
    unsafe { list(&found, nodes, data, count) }
}

/// As `_v2`, without the edges' data.
pub(crate) unsafe fn cuGraphNodeGetDependentNodes(
    node: CUgraphNode,
    nodes: *mut CUgraphNode,
    count: *mut usize,
) -> Result<()> {
    // SAFETY: the caller's pointers.
    unsafe { cuGraphNodeGetDependentNodes_v2(node, nodes, std::ptr::null_mut(), count) }
}

/// Adds or takes out edges, all of them or none.
///
/// # Safety
/// The caller's arrays.
unsafe fn change(
    handle: CUgraph,
    from: *const CUgraphNode,
    to: *const CUgraphNode,
    data: *const c_void,
    count: usize,
    step: impl Fn(&mut Nodes, Edge, usize) -> Result<()>,
) -> Result<()> {
    session()?;
    let graph = graph::resolve(handle)?;
    // SAFETY: the caller's arrays.
    let (from, to) = unsafe { (read(from, data, count)?, read(to, std::ptr::null(), count)?) };
    let mut nodes = graph.nodes.lock();
    let mut changed = nodes.clone();
    for (edge, to) in from.into_iter().zip(to) {
        if edge.from == to.from || changed.position(edge.from).is_none() {
            return Err(error::ERROR_INVALID_VALUE);
        }
        step(&mut changed, edge, to.from)?;
    }
    *nodes = changed;
    drop(nodes);
    graph.changed();
    Ok(())
}

/// Adds edges; one that is there already is an error.
pub(crate) unsafe fn cuGraphAddDependencies_v2(
    handle: CUgraph,
    from: *const CUgraphNode,
    to: *const CUgraphNode,
    data: *const c_void,
    count: usize,
) -> Result<()> {
    let add = |nodes: &mut Nodes, edge: Edge, to: usize| {
        let node = nodes.get(to).ok_or(error::ERROR_INVALID_VALUE)?;
        if !edge.fits(nodes, &node.work) {
            return Err(error::ERROR_INVALID_VALUE);
        }
        let node = nodes.get_mut(to).ok_or(error::ERROR_INVALID_VALUE)?;
        if node.after.iter().any(|known| known.from == edge.from) {
            return Err(error::ERROR_INVALID_VALUE);
        }
        node.after.push(edge);
        Ok(())
    };
    // SAFETY: the caller's arrays.
    unsafe { change(handle, from, to, data, count, add) }
}

/// As `_v2`, without data.
pub(crate) unsafe fn cuGraphAddDependencies(
    handle: CUgraph,
    from: *const CUgraphNode,
    to: *const CUgraphNode,
    count: usize,
) -> Result<()> {
    // SAFETY: the caller's arrays.
    unsafe { cuGraphAddDependencies_v2(handle, from, to, std::ptr::null(), count) }
}

/// Takes out edges; one that is not there is an error. Plain data stands for an edge of whatever kind.
pub(crate) unsafe fn cuGraphRemoveDependencies_v2(
    handle: CUgraph,
    from: *const CUgraphNode,
    to: *const CUgraphNode,
    data: *const c_void,
    count: usize,
) -> Result<()> {
    let remove = |nodes: &mut Nodes, edge: Edge, to: usize| {
        let node = nodes.get_mut(to).ok_or(error::ERROR_INVALID_VALUE)?;
        let fits = |known: &Edge| known.from == edge.from && (edge.is_plain() || *known == edge);
        let at = node.after.iter().position(fits);
        node.after.remove(at.ok_or(error::ERROR_INVALID_VALUE)?);
        Ok(())
    };
    // SAFETY: the caller's arrays.
    unsafe { change(handle, from, to, data, count, remove) }
}

/// As `_v2`, without data.
pub(crate) unsafe fn cuGraphRemoveDependencies(
    handle: CUgraph,
    from: *const CUgraphNode,
    to: *const CUgraphNode,
    count: usize,
) -> Result<()> {
    // SAFETY: the caller's arrays.
    unsafe { cuGraphRemoveDependencies_v2(handle, from, to, std::ptr::null(), count) }
}

/// What kind of work a node does: `CUgraphNodeType`.
pub(crate) unsafe fn cuGraphNodeGetType(node: CUgraphNode, kind: *mut u32) -> Result<()> {
    session()?;
    let found = graph::with_node(node, |node| Ok(node.work.kind()))?;
    // SAFETY: the caller's pointer.
    unsafe { put(kind, found) }
}

/// The node of a copied graph that was made from a node of the original.
pub(crate) unsafe fn cuGraphNodeFindInClone(
    out: *mut CUgraphNode,
    original: CUgraphNode,
    clone: CUgraph,
) -> Result<()> {
    session()?;
    let clone = graph::resolve(clone)?;
    let nodes = clone.nodes.lock();
    let is = |n: &&graph::Node| n.origin == original as usize && n.handle != n.origin;
    let found = nodes.list.iter().find(is).map(|n| n.handle);
    drop(nodes);
    let found = found.ok_or(error::ERROR_INVALID_VALUE)?;
    // SAFETY: the caller's pointer.
    unsafe { put(out, found as *mut c_void) }
}

/// Takes a node and its edges out of its graph. Memory nodes stay.
pub(crate) fn cuGraphDestroyNode(node: CUgraphNode) -> Result<()> {
    session()?;
    let graph = graph::of_node(node)?;
    let kind = graph::with_node(node, |node| Ok(node.work.kind()))?;
    if matches!(kind, 10 | 11) {
        return Err(error::ERROR_NOT_SUPPORTED);
    }
    // The box's cannot be removed; natively one goes with the graph that it is in, which is here part of another.
    let mut updatable = false;
    graph::with_node(node, |node| {
        node.for_each(&mut |node| updatable |= updatable::is(node));
        Ok(())
    })?;
    if updatable {
        return Err(error::ERROR_NOT_SUPPORTED);
    }
    graph.remove_node(node as usize);
    Ok(())
}
