//! Executable graphs that kernels may launch. A kernel names such a graph by the driver's own handle, so that is what the client gets: a number, which it gives to kernels and which
//! means nothing in a command.

use std::ffi::c_void;
use std::sync::Arc;

use gvirtus_wire::api::core::{DeviceGraph, GraphInstantiateForDevice, GraphUpload};
use gvirtus_wire::command::{Answer, Handle as Handler};
use gvirtus_wire::frame::Header;

use crate::driver::{Handle, cu};
use crate::errors::{ERROR_INVALID_VALUE, Result, SUCCESS};
use crate::graph::{Exec, FLAGS, Graph};
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
    /// The place of a node among those of a graph.
    fn place_of(&self, graph: &Graph, node: *mut c_void) -> Result<Option<u32>> {
        let mut count = 0;
        let none = std::ptr::null_mut();
        let raw = graph.raw().ptr();
        cu!(self.driver, cuGraphGetNodes(raw, none, &raw mut count))?;
        let mut nodes = vec![std::ptr::null_mut(); count];
        let list = nodes.as_mut_ptr();
        cu!(self.driver, cuGraphGetNodes(raw, list, &raw mut count))?;
        let place = nodes.iter().position(|other| *other == node);
        Ok(place.and_then(|place| u32::try_from(place).ok()))
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
                let exec = Exec::new(context, Handle::of(raw), &graph);
                self.execs.store(command.exec, Ok(Arc::new(exec)))?;
                answer.handle = raw as u64;
            }
            Err(status) => {
                answer.status = status as u32;
                if !params.error_node.is_null() {
                    answer.node = self
                        .place_of(&graph, params.error_node)?
                        .unwrap_or(u32::MAX);
                }
            }
        }
        Ok(Answer::Now(answer))
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
