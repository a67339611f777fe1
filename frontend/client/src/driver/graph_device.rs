//! Executable graphs that kernels may launch (`CUDA_GRAPH_INSTANTIATE_FLAG_DEVICE_LAUNCH`).
//! <https://docs.nvidia.com/cuda/cuda-c-programming-guide/index.html#device-graph-launch>
//!
//! A program gives the handle of such a graph to a kernel, so it gets the one that the box's driver made. Here that is a number that leads to a handle of ours, and nothing else.

use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::Arc;

use gvirtus_wire::api::core::{
    GraphExecDestroy, GraphInstantiateForDevice, GraphNodeEnable, GraphUpload,
};
use gvirtus_wire::api::types::{CUgraphExec, CUresult, error};
use parking_lot::RwLock;

use crate::driver::Result;
use crate::driver::memcpy::Is;
use crate::driver::memcpy_box::{Plan, plan};
use crate::graph::work::Work;
use crate::graph::{Graph, Nodes};
use crate::handles;
use crate::session::Session;
use crate::streams::Stream;

/// `CUDA_GRAPH_INSTANTIATE_FLAG_DEVICE_LAUNCH`.
pub(super) const DEVICE_LAUNCH: u64 = 4;

/// `CUgraphInstantiateResult`.
pub(super) mod result {
    pub(in crate::driver) const SUCCESS: u32 = 0;
    pub(in crate::driver) const ERROR: u32 = 1;
    pub(super) const NODE_OPERATION_NOT_SUPPORTED: u32 = 3;
    pub(in crate::driver) const CONDITIONAL_HANDLE_UNUSED: u32 = 5;
    pub(super) const MULTIPLE_DEVICES_NOT_SUPPORTED: u32 = 4;
}

/// Why there is no executable graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: CUresult,
    /// `CUgraphInstantiateResult`.
    pub(super) result: u32,
    /// The node that stands in the way, 0 if none is named.
    pub(super) node: usize,
}

impl From<CUresult> for Refusal {
    fn from(status: CUresult) -> Self {
        Self {
            status,
            result: result::ERROR,
            node: 0,
        }
    }
}

/// Handles of ours by the box's.
static NAMES: RwLock<Option<HashMap<usize, usize>>> = RwLock::new(None);

/// The handle of ours that a program means: the same, unless it is one of the box's.
pub(super) fn own(handle: CUgraphExec) -> CUgraphExec {
    let names = NAMES.read();
    let own = names
        .as_ref()
        .and_then(|names| names.get(&(handle as usize)));
    own.map_or(handle, |own| std::ptr::without_provenance_mut(*own))
}

/// From here on the box's handle leads to one of ours.
fn name(boxs: u64, own: usize) -> Result<()> {
    let handle = boxs as usize;
    let pointer = std::ptr::without_provenance_mut::<c_void>(handle);
    let mut names = NAMES.write();
    let names = names.get_or_insert_default();
    if handle == 0 || handles::is_ours(pointer) || names.contains_key(&handle) {
        log!(
            Error,
            "the box gave {boxs:#x} for a graph that kernels may launch, which cannot be its handle"
        );
        return Err(error::ERROR_UNKNOWN);
    }
    names.insert(handle, own);
    Ok(())
}

/// The box's handle leads nowhere any more.
pub(super) fn forget(handle: usize) {
    if let Some(names) = &mut *NAMES.write() {
        names.remove(&handle);
    }
}

/// What a graph may consist of that kernels launch: kernels, copies that need no processor, fills, and graphs of those.
pub(super) fn check(nodes: &Nodes) -> std::result::Result<(), Refusal> {
    let mut found = None;
    let mut context = None;
    let mut works = false;
    nodes.for_each(&mut |node| {
        let fits = match &node.work {
            Work::Kernel(_) | Work::Library(_) | Work::Fill(..) => true,
            Work::Copy(copy, _) => plan(&copy.params).is_ok_and(|plan| on_device(&plan)),
            Work::Child(_) => return,
            _ => false,
        };
        works = true;
        let elsewhere = matches!(&node.work, Work::Kernel(kernel)
            if *context.get_or_insert(kernel.function.context) != kernel.function.context);
        let result = match (fits, elsewhere) {
            (false, _) => result::NODE_OPERATION_NOT_SUPPORTED,
            (true, true) => result::MULTIPLE_DEVICES_NOT_SUPPORTED,
            (true, false) => return,
        };
        found.get_or_insert(Refusal {
            status: error::ERROR_INVALID_VALUE,
            result,
            node: node.handle,
        });
    });
    match found {
        Some(refusal) => Err(refusal),
        None if works => Ok(()),
        None => Err(error::ERROR_INVALID_VALUE.into()),
    }
}

/// Whether a copy is between device memory and memory that the device reaches, and no arrays.
fn on_device(plan: &Plan) -> bool {
    let pageable = plan.to == Is::Pageable || plan.from == Is::Pageable;
    !pageable && plan.dst_array == 0 && plan.src_array == 0
}

/// Nodes in the order in which the box has them.
fn in_order(nodes: &Nodes, list: &mut Vec<usize>) {
    for at in nodes.in_order().unwrap_or_default() {
        match &nodes.list[at].work {
            Work::Child(child) => in_order(&child.nodes.lock(), list),
            _ => list.push(nodes.list[at].handle),
        }
    }
}

/// Has the box make an executable graph of one that it has (`boxs`), under the number `id`; `own` is our handle of it, the result the box's.
pub(super) fn instantiate(
    session: &Session,
    graph: &Graph,
    boxs: u32,
    flags: u64,
    id: u32,
    own: usize,
) -> std::result::Result<usize, Refusal> {
    let command = GraphInstantiateForDevice {
        graph: boxs,
        exec: id,
        flags,
    };
    let made = session.call(graph.context, &command)?;
    if made.status != 0 {
        let mut nodes = Vec::new();
        if boxs == graph.id {
            in_order(&graph.nodes.lock(), &mut nodes);
        }
        let node = nodes.get(made.node as usize).copied();
        return Err(Refusal {
            status: made.status as CUresult,
            result: made.result,
            node: node.unwrap_or(0),
        });
    }
    name(made.handle, own).inspect_err(|_| {
        let _ = session.post(graph.context, &GraphExecDestroy { exec: id });
    })?;
    Ok(made.handle as usize)
}

/// Lets a node of an executable graph run or not, in the box as well.
///
/// # Errors
/// `CUDA_ERROR_INVALID_VALUE` if there is no such node; those of sending.
pub(super) fn enable(
    session: &Session,
    context: u32,
    exec: u32,
    nodes: &Nodes,
    node: usize,
    enabled: bool,
) -> Result<()> {
    let mut all = Vec::new();
    in_order(nodes, &mut all);
    let place = all.iter().position(|other| *other == node);
    let command = GraphNodeEnable {
        exec,
        place: place.ok_or(error::ERROR_INVALID_VALUE)? as u32,
        of: all.len() as u32,
        enabled,
    };
    session.post(context, &command)
}

/// From here on kernels that run behind it launch the graph as it is now.
pub(super) fn upload(session: &Session, exec: u32, stream: &Arc<Stream>) -> Result<()> {
    let command = GraphUpload {
        exec,
        stream: stream.id,
    };
    stream.post(session, &command, &[]).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_of_the_box_is_believed_once_and_never_if_it_could_be_ours() {
        let ours = 0x4800_0000_0010_usize;
        let boxs = 0x5566_7788_9900_usize;
        for odd in [0, ours as u64, 0x4100_0000_0010] {
            assert_eq!(name(odd, ours), Err(error::ERROR_UNKNOWN));
        }
        assert_eq!(name(boxs as u64, ours), Ok(()));
        assert_eq!(name(boxs as u64, ours + 16), Err(error::ERROR_UNKNOWN));
        assert_eq!(own(boxs as *mut c_void) as usize, ours);
        assert_eq!(own(ours as *mut c_void) as usize, ours);
        forget(boxs);
        assert_eq!(own(boxs as *mut c_void) as usize, boxs);
    }
}
