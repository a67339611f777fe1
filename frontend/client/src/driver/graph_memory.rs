//! Memory nodes, and what graphs use of a device's memory. <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__GRAPH.html>
#![allow(non_snake_case, reason = "CUDA's names")]

use std::ffi::c_void;
use std::sync::Arc;

use gvirtus_wire::api::types::{CUdevice, CUdeviceptr, CUgraph, CUgraphNode, error};

use crate::capture::Capture;
use crate::driver::graph_node_params::AllocateParams;
use crate::driver::graph_nodes::add;
use crate::driver::{Result, context, device, graph_edges, put, session};
use crate::graph::memory::{self, Memory};
use crate::graph::work::Work;
use crate::graph::{self, Edge, Graph};
use crate::session::Session;
use crate::streams::Stream;

/// `CU_MEM_ALLOCATION_TYPE_PINNED` and no handle types, as the first word of `CUmemPoolProps`.
const PINNED: u64 = 1;
/// `CU_MEM_LOCATION_TYPE_DEVICE`.
const ON_DEVICE: u32 = 1;
/// The most devices that an allocation is made accessible from.
const MOST_ACCESS: usize = 64;

/// Memory for a captured allocation.
pub(crate) fn captured(
    session: &Session,
    capture: &Capture,
    stream: &Stream,
    device: u32,
    size: u64,
) -> Result<Arc<Memory>> {
    let context = context::current()?;
    let after = capture.after(stream);
    if let Some(known) = memory::reusable(&capture.graph.nodes.lock(), &after, device, size) {
        return Ok(known);
    }
    let location = u64::from(ON_DEVICE) | u64::from(device) << 32;
    let mut properties = [0; 11];
    properties[0] = PINNED;
    properties[1] = location;
    Memory::new(session, &context, device, size, properties, Vec::new())
}

/// Memory as a program describes it, which learns the address.
///
/// # Safety
/// The caller's structure.
pub(crate) unsafe fn new(
    given: *mut AllocateParams,
    graph: &Graph,
    after: &[Edge],
) -> Result<Arc<Memory>> {
    let session = session()?;
    let context = context::current()?;
    if given.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    // SAFETY: not null, and the caller's structure.
    let mut p = unsafe { given.read_unaligned() };
    let (kind, ordinal) = (p.properties[1] as u32, (p.properties[1] >> 32) as u32);
    if p.properties[0] & 0xffff_ffff != PINNED || kind != ON_DEVICE || p.size == 0 {
        return Err(error::ERROR_INVALID_VALUE);
    }
    if p.properties[0] != PINNED {
        // Memory of graphs cannot be shared with other processes, natively either.
        return Err(error::ERROR_NOT_SUPPORTED);
    }
    if p.access_count > MOST_ACCESS || (p.access_count > 0 && p.access.is_null()) {
        return Err(error::ERROR_INVALID_VALUE);
    }
    device::by_handle(ordinal.cast_signed())?;
    // SAFETY: the caller's array has so many elements.
    let access = (0..p.access_count).map(|at| unsafe { p.access.add(at).read_unaligned() });
    let access = access.collect();
    let size = p.size as u64;
    let known = memory::reusable(&graph.nodes.lock(), after, ordinal, size);
    let memory = match known {
        Some(known) => known,
        None => Memory::new(session, &context, ordinal, size, p.properties, access)?,
    };
    p.address = memory.address;
    // SAFETY: as above.
    unsafe { given.write_unaligned(p) };
    Ok(memory)
}

/// What a free node does.
///
/// # Errors
/// `CUDA_ERROR_INVALID_VALUE` for memory that no graph allocates.
pub(crate) fn free(address: CUdeviceptr) -> Result<Work> {
    if memory::is(address) {
        Ok(Work::Free(address))
    } else {
        Err(error::ERROR_INVALID_VALUE)
    }
}

/// Adds a node that allocates memory. The address is known at once.
pub(crate) unsafe fn cuGraphAddMemAllocNode(
    out: *mut CUgraphNode,
    handle: CUgraph,
    dependencies: *const CUgraphNode,
    count: usize,
    given: *mut c_void,
) -> Result<()> {
    session()?;
    let graph = graph::resolve(handle)?;
    // SAFETY: the caller's structure and pointers.
    unsafe {
        let after = graph_edges::read(dependencies, std::ptr::null(), count)?;
        let memory = new(given.cast(), &graph, &after)?;
        add(out, handle, dependencies, count, Work::Allocate(memory))
    }
}

/// What an allocation node was made with, and its address.
pub(crate) unsafe fn cuGraphMemAllocNodeGetParams(
    node: CUgraphNode,
    out: *mut c_void,
) -> Result<()> {
    session()?;
    let params = graph::with_node(node, |node| match &node.work {
        Work::Allocate(memory) => Ok(AllocateParams {
            properties: memory.properties,
            access: if memory.access.is_empty() {
                std::ptr::null()
            } else {
                memory.access.as_ptr()
            },
            access_count: memory.access.len(),
            size: memory.size as usize,
            address: memory.address,
        }),
        _ => Err(error::ERROR_INVALID_VALUE),
    })?;
    // SAFETY: the caller's pointer.
    unsafe { put(out.cast(), params) }
}

/// Adds a node that frees memory of a graph.
pub(crate) unsafe fn cuGraphAddMemFreeNode(
    out: *mut CUgraphNode,
    handle: CUgraph,
    dependencies: *const CUgraphNode,
    count: usize,
    address: CUdeviceptr,
) -> Result<()> {
    session()?;
    // SAFETY: the caller's pointers.
    unsafe { add(out, handle, dependencies, count, free(address)?) }
}

/// What a free node frees.
pub(crate) unsafe fn cuGraphMemFreeNodeGetParams(
    node: CUgraphNode,
    out: *mut CUdeviceptr,
) -> Result<()> {
    session()?;
    let address = graph::with_node(node, |node| match node.work {
        Work::Free(address) => Ok(address),
        _ => Err(error::ERROR_INVALID_VALUE),
    })?;
    // SAFETY: the caller's pointer.
    unsafe { put(out, address) }
}

/// Gives back what no graph uses any more.
pub(crate) fn cuDeviceGraphMemTrim(dev: CUdevice) -> Result<()> {
    let session = session()?;
    let (ordinal, _) = device::by_handle(dev)?;
    memory::trim(session, ordinal);
    Ok(())
}

/// `CUgraphMem_attribute`.
const USED_CURRENT: u32 = 0;
const USED_HIGH: u32 = 1;
const RESERVED_CURRENT: u32 = 2;
const RESERVED_HIGH: u32 = 3;

/// What graphs use of a device's memory, bytes.
pub(crate) unsafe fn cuDeviceGetGraphMemAttribute(
    dev: CUdevice,
    attribute: u32,
    value: *mut c_void,
) -> Result<()> {
    session()?;
    let (ordinal, _) = device::by_handle(dev)?;
    let usage = memory::usage(ordinal);
    let answer = match attribute {
        USED_CURRENT => usage.used,
        USED_HIGH => usage.high[0],
        RESERVED_CURRENT => usage.reserved,
        RESERVED_HIGH => usage.high[1],
        _ => return Err(error::ERROR_INVALID_VALUE),
    };
    // SAFETY: the caller's pointer.
    unsafe { put(value.cast(), answer) }
}

/// Sets a high-water mark back; 0 is the only value.
pub(crate) unsafe fn cuDeviceSetGraphMemAttribute(
    dev: CUdevice,
    attribute: u32,
    value: *mut c_void,
) -> Result<()> {
    session()?;
    let (ordinal, _) = device::by_handle(dev)?;
    if value.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    // SAFETY: not null, and the caller's.
    if unsafe { value.cast::<u64>().read_unaligned() } != 0 {
        return Err(error::ERROR_INVALID_VALUE);
    }
    match attribute {
        USED_HIGH => memory::reset_high(ordinal, 0),
        RESERVED_HIGH => memory::reset_high(ordinal, 1),
        _ => return Err(error::ERROR_INVALID_VALUE),
    }
    Ok(())
}
