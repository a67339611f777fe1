//! Executable graphs that kernels may launch. A kernel names such a graph by the driver's own handle, so that is what the client gets: a number, which it gives to kernels and which
//! means nothing in a command.

use std::ffi::c_void;
use std::sync::Arc;

use gvirtus_wire::api::core::{
    DeviceGraph, GraphInstantiateForDevice, GraphNodeEnable, GraphUpload,
};
use gvirtus_wire::command::{Answer, Handle as Handler};
use gvirtus_wire::frame::Header;

use crate::driver::{Handle, cu};
use crate::errors::{ERROR_INVALID_VALUE, ERROR_NOT_SUPPORTED, Result, SUCCESS};
use crate::graph::{Exec, FLAGS};
use crate::session::Session;

/// `CUDA_GRAPH_INSTANTIATE_FLAG_DEVICE_LAUNCH`.
pub(crate) const DEVICE_LAUNCH: u64 = 4;

/// `CUDA_GRAPH_INSTANTIATE_PARAMS`.
#[repr(C)]
struct Params {
    flags: u64,
    upload_stream: *mut c_void,
    error_node: *mut c_void,
    result: u32,
}

impl Session {
    /// The nodes of a graph.
    pub(crate) fn nodes_of(&self, graph: Handle) -> Result<Vec<*mut c_void>> {
        let mut count = 0;
        let none = std::ptr::null_mut();
        let raw = graph.ptr();
        cu!(self.driver, cuGraphGetNodes(raw, none, &raw mut count))?;
        let mut nodes = vec![std::ptr::null_mut(); count];
        let list = nodes.as_mut_ptr();
        cu!(self.driver, cuGraphGetNodes(raw, list, &raw mut count))?;
        Ok(nodes)
    }
}

impl Handler<GraphInstantiateForDevice> for Session {
    fn handle(
        &self,
        header: &Header,
        command: GraphInstantiateForDevice,
    ) -> Result<Answer<DeviceGraph>> {
        self.execs.vacant(command.exec)?;
        let graph = self.graphs.get(command.graph)?;
        let context = self.enter(header)?;
        if command.flags & !FLAGS != 0 || command.flags & DEVICE_LAUNCH == 0 {
            return Err(ERROR_INVALID_VALUE);
        }
        self.host.may_block();
        let mut params = Params {
            flags: command.flags,
            upload_stream: std::ptr::null_mut(),
            error_node: std::ptr::null_mut(),
            result: 0,
        };
        let mut raw = std::ptr::null_mut();
        let made = cu!(
            self.driver,
            cuGraphInstantiateWithParams(&raw mut raw, graph.raw().ptr(), (&raw mut params).cast())
        );
        let mut answer = DeviceGraph {
            handle: 0,
            status: SUCCESS as u32,
            result: params.result,
            node: u32::MAX,
        };
        match made {
            Ok(()) => {
                let mut exec = Exec::new(context, Handle::of(raw), &graph);
                exec.graph = Some(graph);
                self.execs.store(command.exec, Ok(Arc::new(exec)))?;
                answer.handle = raw as u64;
            }
            Err(status) => {
                answer.status = status as u32;
                if !params.error_node.is_null() {
                    let nodes = self.nodes_of(graph.raw())?;
                    let place = nodes.iter().position(|node| *node == params.error_node);
                    answer.node = place.map_or(u32::MAX, |place| place as u32);
                }
            }
        }
        Ok(Answer::Now(answer))
    }
}

impl Handler<GraphNodeEnable> for Session {
    fn handle(&self, header: &Header, command: GraphNodeEnable) -> Result<Answer<()>> {
        let exec = self.execs.get(command.exec)?;
        let graph = exec.graph.as_ref().ok_or(ERROR_INVALID_VALUE)?;
        self.enter(header)?;
        let nodes = self.nodes_of(graph.raw())?;
        let node = nodes.get(command.place as usize).copied();
        let node = node.filter(|_| nodes.len() == command.of as usize);
        let node = node.ok_or(ERROR_NOT_SUPPORTED)?;
        let enabled = u32::from(command.enabled);
        exec.with_raw(|raw| cu!(self.driver, cuGraphNodeSetEnabled(raw.ptr(), node, enabled)))
            .map(Answer::Now)
    }
}

impl Handler<GraphUpload> for Session {
    fn handle(&self, header: &Header, command: GraphUpload) -> Result<Answer<()>> {
        let exec = self.execs.get(command.exec)?;
        self.on_stream_then_reply(header, command.stream, |stream| {
            exec.with_raw(|raw| cu!(self.driver, cuGraphUpload(raw.ptr(), stream.raw.ptr())))
        })
    }
}
