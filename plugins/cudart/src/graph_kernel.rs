//! Kernel nodes that are made one by one, in graphs whose nodes kernels change (`CU_LAUNCH_ATTRIBUTE_DEVICE_UPDATABLE_KERNEL_NODE`).
//!
//! A kernel names such a node by the driver's own handle, which the client gives to kernels before the graph is complete: a number that means nothing in a command. So the nodes are there first, and
//! the rest of the graph is captured around them. The driver makes one executable graph of such a graph, and nothing takes its place.

use std::collections::HashSet;
use std::ffi::c_void;

use gvirtus_wire::api::core::{
    CaptureNode, GraphCaptureBegin, GraphExecEnable, GraphExecKernel, GraphKernel, KernelNode,
};
use gvirtus_wire::api::types::CUstreamAttrValue;
use gvirtus_wire::command::{Answer, Handle as Handler};
use gvirtus_wire::frame::Header;

use crate::capture_info::Dependencies;
use crate::driver::{Driver, Handle, cu};
use crate::errors::{ERROR_INVALID_HANDLE, ERROR_INVALID_VALUE, Result};
use crate::graph::{Exec, Graph, RELAXED};
use crate::launch::{Pointers, with_params};
use crate::modules::Function;
use crate::session::Session;

/// `CU_LAUNCH_ATTRIBUTE_DEVICE_UPDATABLE_KERNEL_NODE`.
const DEVICE_UPDATABLE: u32 = 13;

/// `CUDA_KERNEL_NODE_PARAMS_v2`.
#[repr(C)]
pub(crate) struct NodeParams {
    pub(crate) function: *mut c_void,
    pub(crate) grid: [u32; 3],
    pub(crate) block: [u32; 3],
    pub(crate) shared: u32,
    pub(crate) params: Pointers,
    pub(crate) extra: Pointers,
    pub(crate) kernel: *mut c_void,
    pub(crate) context: *mut c_void,
}

/// A node that was made by itself.
#[derive(Clone, Copy, Default)]
pub(crate) struct Made {
    node: Handle,
    /// The graph of a conditional node that it is in, 0 for the client's graph.
    within: u32,
    /// Kernels may change it, or graphs of its own are known by numbers.
    stays: bool,
}

impl Made {
    /// A conditional node.
    pub(crate) fn conditional(node: Handle, within: u32) -> Self {
        Self {
            node,
            within,
            stays: true,
        }
    }
}

impl Graph {
    /// The driver's graph of a conditional node, by the client's number, or its own for 0.
    pub(crate) fn within(&self, body: u32) -> Result<Handle> {
        match body {
            0 => Ok(self.raw()),
            _ => {
                let known = self.bodies.lock().get(&body).copied();
                known.ok_or(ERROR_INVALID_HANDLE)
            }
        }
    }
}

/// Calls `issue` with a kernel as the driver takes it for nodes.
fn with_node_params(
    kernel: &KernelNode,
    function: &Function,
    issue: impl FnOnce(*const c_void) -> Result<()>,
) -> Result<()> {
    with_params(&kernel.params, function, |params, extra| {
        let params = NodeParams {
            function: function.raw.ptr(),
            grid: kernel.grid,
            block: kernel.block,
            shared: kernel.shared,
            params,
            extra,
            kernel: std::ptr::null_mut(),
            context: std::ptr::null_mut(),
        };
        issue((&raw const params).cast())
    })
}

/// Makes a node one that kernels may change; their handle of it.
fn make_updatable(driver: &Driver, node: Handle) -> Result<u64> {
    let mut value = CUstreamAttrValue { words: [0; 8] };
    value.words[0] = 1;
    cu!(
        driver,
        cuGraphKernelNodeSetAttribute(node.ptr(), DEVICE_UPDATABLE, &raw const value)
    )?;
    cu!(
        driver,
        cuGraphKernelNodeGetAttribute(node.ptr(), DEVICE_UPDATABLE, &raw mut value)
    )?;
    Ok(value.words[1])
}

impl Session {
    fn graph_kernel(&self, graph: &Graph, command: &GraphKernel) -> Result<u64> {
        let kernel = &command.kernel;
        let function = self.functions.get(kernel.function)?;
        let attributes = self.launch_attributes(&kernel.attributes)?;
        let within = graph.within(command.within)?;
        let known = graph.made.lock().get(&command.node).copied();
        let mut made = known.unwrap_or_default();
        made.within = command.within;
        with_node_params(kernel, &function, |params| match known {
            Some(made) => cu!(
                self.driver,
                cuGraphKernelNodeSetParams_v2(made.node.ptr(), params)
            ),
            None => {
                let mut node = std::ptr::null_mut();
                cu!(
                    self.driver,
                    cuGraphAddKernelNode_v2(
                        &raw mut node,
                        within.ptr(),
                        std::ptr::null(),
                        0,
                        params
                    )
                )?;
                made.node = Handle::of(node);
                graph.made.lock().insert(command.node, made);
                Ok(())
            }
        })?;
        for attribute in &attributes {
            cu!(
                self.driver,
                cuGraphKernelNodeSetAttribute(
                    made.node.ptr(),
                    attribute.id,
                    &raw const attribute.value
                )
            )?;
        }
        if !command.updatable {
            return Ok(0);
        }
        let handle = make_updatable(self.driver, made.node)?;
        made.stays = true;
        graph.made.lock().insert(command.node, made);
        Ok(handle)
    }

    /// Leaves of a graph, or of one of its conditional nodes, what kernels may change and conditional nodes, without edges.
    pub(crate) fn clear(&self, graph: &Graph, body: u32) -> Result<()> {
        let within = graph.within(body)?;
        let mut made = graph.made.lock();
        made.retain(|_, made| made.stays || made.within != body);
        let stay: HashSet<Handle> = made.values().map(|made| made.node).collect();
        let stays = |node: *mut c_void| stay.contains(&Handle::of(node));
        for node in self.nodes_of(within)? {
            if !stays(node) {
                cu!(self.driver, cuGraphDestroyNode(node))?;
            }
        }
        let raw = within.ptr();
        let mut count = 0;
        let (none, no_data) = (std::ptr::null_mut(), std::ptr::null_mut());
        cu!(
            self.driver,
            cuGraphGetEdges_v2(raw, none, none, no_data, &raw mut count)
        )?;
        let mut from = vec![std::ptr::null_mut(); count];
        let mut to = from.clone();
        let mut data = vec![0u64; count];
        let (from, to, data) = (from.as_mut_ptr(), to.as_mut_ptr(), data.as_mut_ptr().cast());
        if count > 0 {
            cu!(
                self.driver,
                cuGraphGetEdges_v2(raw, from, to, data, &raw mut count)
            )?;
            cu!(
                self.driver,
                cuGraphRemoveDependencies_v2(raw, from, to, data, count)
            )?;
        }
        Ok(())
    }

    /// The node of a number in the graph that an executable graph was made from.
    fn made_of(exec: &Exec, node: u32) -> Result<Handle> {
        let graph = exec.graph.as_ref().ok_or(ERROR_INVALID_VALUE)?;
        let made = graph.made.lock().get(&node).copied();
        made.map(|made| made.node).ok_or(ERROR_INVALID_HANDLE)
    }
}

impl Handler<GraphKernel> for Session {
    fn handle(&self, header: &Header, command: GraphKernel) -> Result<Answer<u64>> {
        let graph = self.graphs.get(command.graph)?;
        self.enter(header)?;
        self.graph_kernel(&graph, &command).map(Answer::Now)
    }
}

impl Handler<GraphCaptureBegin> for Session {
    fn handle(&self, header: &Header, command: GraphCaptureBegin) -> Result<Answer<()>> {
        let stream = self.stream(header, command.stream)?;
        let graph = self.graphs.get(command.graph)?;
        if graph.was_captured() {
            self.enter(header)?;
            self.clear(&graph, 0)?;
        }
        self.before_capture(&stream)?;
        cu!(
            self.driver,
            cuStreamBeginCaptureToGraph(
                stream.raw.ptr(),
                graph.raw().ptr(),
                std::ptr::null(),
                std::ptr::null(),
                0,
                RELAXED,
            )
        )?;
        self.capture_into(&stream, Some(graph));
        Ok(Answer::Now(()))
    }
}

impl Handler<CaptureNode> for Session {
    fn handle(&self, header: &Header, command: CaptureNode) -> Result<Answer<()>> {
        let stream = self.stream(header, command.stream)?;
        stream.context().make_current()?;
        let capture = self.capture_of(&stream).ok_or(ERROR_INVALID_VALUE)?;
        let graph = capture.into.as_ref().ok_or(ERROR_INVALID_VALUE)?;
        let made = graph.made.lock().get(&command.node).copied();
        let node = made.ok_or(ERROR_INVALID_HANDLE)?.node;
        let info = self.capture_info(&stream)?;
        let before = info.dependencies;
        if before.len() > 0 {
            let to = vec![node.ptr(); before.len()];
            cu!(
                self.driver,
                cuGraphAddDependencies_v2(
                    info.graph.ptr(),
                    before.nodes(),
                    to.as_ptr(),
                    before.edges(),
                    before.len()
                )
            )?;
        }
        self.set_dependencies(&stream, &Dependencies::on(node.ptr()))?;
        Ok(Answer::Now(()))
    }
}

impl Handler<GraphExecKernel> for Session {
    fn handle(&self, header: &Header, command: GraphExecKernel) -> Result<Answer<()>> {
        let exec = self.execs.get(command.exec)?;
        let node = Self::made_of(&exec, command.node)?;
        self.enter(header)?;
        let function = self.functions.get(command.kernel.function)?;
        with_node_params(&command.kernel, &function, |params| {
            exec.with_raw(|raw| {
                cu!(
                    self.driver,
                    cuGraphExecKernelNodeSetParams_v2(raw.ptr(), node.ptr(), params)
                )
            })
        })?;
        Ok(Answer::Now(()))
    }
}

impl Handler<GraphExecEnable> for Session {
    fn handle(&self, header: &Header, command: GraphExecEnable) -> Result<Answer<()>> {
        let exec = self.execs.get(command.exec)?;
        let node = Self::made_of(&exec, command.node)?;
        self.enter(header)?;
        let enabled = u32::from(command.enabled);
        exec.with_raw(|raw| {
            cu!(
                self.driver,
                cuGraphNodeSetEnabled(raw.ptr(), node.ptr(), enabled)
            )
        })
        .map(Answer::Now)
    }
}
