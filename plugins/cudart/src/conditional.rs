//! Conditional nodes of graphs. The graph that the node goes into is being captured, as all graphs of clients are; the graphs of the node are captured when that has ended.

use gvirtus_wire::api::core::{
    CaptureConditional, ConditionalBodyBegin, ConditionalBodyEnd, ConditionalHandle,
};
use gvirtus_wire::api::types::CUDA_CONDITIONAL_NODE_PARAMS;
use gvirtus_wire::command::{Answer, Handle as Handler};
use gvirtus_wire::frame::Header;

use crate::capture_info::Dependencies;
use crate::driver::{Handle, cu};
use crate::errors::{ERROR_INVALID_VALUE, Result};
use crate::graph::RELAXED;
use crate::session::Session;

/// `CU_GRAPH_NODE_TYPE_CONDITIONAL`.
const CONDITIONAL: u32 = 13;
/// A switch with more cases than this is not believed.
const MOST_BODIES: usize = 1 << 16;

/// `CUgraphNodeParams` of a conditional node: 256 bytes, whatever the type is.
#[repr(C)]
struct NodeParams {
    kind: u32,
    reserved: [u32; 3],
    conditional: CUDA_CONDITIONAL_NODE_PARAMS,
    rest: [u64; 26],
}
const _: () = assert!(size_of::<NodeParams>() == 256);

impl Handler<ConditionalHandle> for Session {
    fn handle(&self, header: &Header, command: ConditionalHandle) -> Result<Answer<u64>> {
        let stream = self.stream(header, command.stream)?;
        let context = stream.context();
        context.make_current()?;
        let graph = self.capture_info(&stream)?.graph;
        let mut made = 0;
        cu!(
            self.driver,
            cuGraphConditionalHandleCreate(
                &raw mut made,
                graph.ptr(),
                context.raw.ptr(),
                command.value,
                command.flags,
            )
        )?;
        Ok(Answer::Now(made))
    }
}

impl Handler<CaptureConditional> for Session {
    fn handle(&self, header: &Header, command: CaptureConditional) -> Result<Answer<()>> {
        let stream = self.stream(header, command.stream)?;
        let context = stream.context();
        context.make_current()?;
        let capture = self.capture_of(&stream).ok_or(ERROR_INVALID_VALUE)?;
        if command.bodies.is_empty() || command.bodies.len() > MOST_BODIES {
            return Err(ERROR_INVALID_VALUE);
        }
        let info = self.capture_info(&stream)?;
        let size = u32::try_from(command.bodies.len()).map_err(|_| ERROR_INVALID_VALUE)?;
        let mut params = NodeParams {
            kind: CONDITIONAL,
            reserved: [0; 3],
            conditional: CUDA_CONDITIONAL_NODE_PARAMS {
                handle: command.handle,
                type_: command.kind,
                size,
                phGraph_out: std::ptr::null_mut(),
                ctx: context.raw.ptr(),
            },
            rest: [0; 26],
        };
        let mut node = std::ptr::null_mut();
        cu!(
            self.driver,
            cuGraphAddNode_v2(
                &raw mut node,
                info.graph.ptr(),
                info.dependencies.nodes(),
                info.dependencies.edges(),
                info.dependencies.len(),
                (&raw mut params).cast(),
            )
        )?;
        let made = params.conditional.phGraph_out;
        if made.is_null() {
            return Err(ERROR_INVALID_VALUE);
        }
        let mut bodies = capture.bodies.lock();
        for (at, number) in command.bodies.iter().enumerate() {
            // SAFETY: the driver's array of so many graphs.
            let body = unsafe { made.add(at).read() };
            if body.is_null() || bodies.insert(*number, Handle::of(body)).is_some() {
                return Err(ERROR_INVALID_VALUE);
            }
        }
        drop(bodies);
        self.set_dependencies(&stream, &Dependencies::on(node))?;
        Ok(Answer::Now(()))
    }
}

impl Handler<ConditionalBodyBegin> for Session {
    fn handle(&self, header: &Header, command: ConditionalBodyBegin) -> Result<Answer<()>> {
        let stream = self.stream(header, command.stream)?;
        let graph = self.graphs.get(command.graph)?;
        let body = graph.bodies.lock().get(&command.body).copied();
        let body = body.ok_or(ERROR_INVALID_VALUE)?;
        self.before_capture(&stream)?;
        cu!(
            self.driver,
            cuStreamBeginCaptureToGraph(
                stream.raw.ptr(),
                body.ptr(),
                std::ptr::null(),
                std::ptr::null(),
                0,
                RELAXED,
            )
        )?;
        self.capture_into(&stream, None);
        Ok(Answer::Now(()))
    }
}

impl Handler<ConditionalBodyEnd> for Session {
    fn handle(&self, header: &Header, command: ConditionalBodyEnd) -> Result<Answer<()>> {
        let stream = self.stream(header, command.stream)?;
        stream.context().make_current()?;
        let (ended, capture) = self.capture_end(&stream);
        // The graph is the node's: nobody destroys it but with the node.
        ended?;
        let graph = self.graphs.get(command.graph)?;
        let (keep, inside) = capture.ok_or(ERROR_INVALID_VALUE)?.take();
        let mut bodies = graph.bodies.lock();
        for (number, body) in inside {
            if bodies.insert(number, body).is_some() {
                return Err(ERROR_INVALID_VALUE);
            }
        }
        drop(bodies);
        graph.keep().take_inside(keep)?;
        Ok(Answer::Now(()))
    }
}
