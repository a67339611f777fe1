//! Conditional nodes of graphs. The graph that the node goes into is being captured, as all graphs of clients are; the graphs of the node are captured when that has ended.

use std::collections::HashMap;

use gvirtus_wire::api::core::{
    CaptureConditional, ConditionalBodyBegin, ConditionalBodyEnd, ConditionalHandle,
    GraphConditional,
};
use gvirtus_wire::api::types::CUDA_CONDITIONAL_NODE_PARAMS;
use gvirtus_wire::command::{Answer, Handle as Handler};
use gvirtus_wire::frame::Header;

use crate::capture_info::Dependencies;
use crate::contexts::Context;
use crate::driver::{Handle, cu};
use crate::errors::{ERROR_INVALID_VALUE, Result};
use crate::graph::RELAXED;
use crate::graph_kernel::Made;
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

impl Session {
    /// A condition of a graph: the driver's handle.
    fn condition(&self, graph: Handle, context: &Context, value: u32, flags: u32) -> Result<u64> {
        let mut made = 0;
        cu!(
            self.driver,
            cuGraphConditionalHandleCreate(
                &raw mut made,
                graph.ptr(),
                context.raw.ptr(),
                value,
                flags,
            )
        )?;
        Ok(made)
    }

    /// Adds a conditional node behind others: the node. Its graphs go into `bodies`, by these numbers.
    fn add_conditional(
        &self,
        graph: Handle,
        context: &Context,
        behind: &Dependencies,
        (handle, kind): (u64, u32),
        numbers: &[u32],
        bodies: &mut HashMap<u32, Handle>,
    ) -> Result<Handle> {
        if numbers.is_empty() || numbers.len() > MOST_BODIES {
            return Err(ERROR_INVALID_VALUE);
        }
        let size = u32::try_from(numbers.len()).map_err(|_| ERROR_INVALID_VALUE)?;
        let mut params = NodeParams {
            kind: CONDITIONAL,
            reserved: [0; 3],
            conditional: CUDA_CONDITIONAL_NODE_PARAMS {
                handle,
                type_: kind,
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
                graph.ptr(),
                behind.nodes(),
                behind.edges(),
                behind.len(),
                (&raw mut params).cast(),
            )
        )?;
        let made = params.conditional.phGraph_out;
        if made.is_null() {
            return Err(ERROR_INVALID_VALUE);
        }
        for (at, number) in numbers.iter().enumerate() {
            // SAFETY: the driver's array of so many graphs.
            let body = unsafe { made.add(at).read() };
            if body.is_null() || bodies.insert(*number, Handle::of(body)).is_some() {
                return Err(ERROR_INVALID_VALUE);
            }
        }
        Ok(Handle::of(node))
    }
}

impl Handler<ConditionalHandle> for Session {
    fn handle(&self, header: &Header, command: ConditionalHandle) -> Result<Answer<u64>> {
        let stream = self.stream(header, command.stream)?;
        let context = stream.context();
        context.make_current()?;
        let graph = self.capture_info(&stream)?.graph;
        self.condition(graph, context, command.value, command.flags)
            .map(Answer::Now)
    }
}

impl Handler<CaptureConditional> for Session {
    fn handle(&self, header: &Header, command: CaptureConditional) -> Result<Answer<()>> {
        let stream = self.stream(header, command.stream)?;
        let context = stream.context();
        context.make_current()?;
        let capture = self.capture_of(&stream).ok_or(ERROR_INVALID_VALUE)?;
        let info = self.capture_info(&stream)?;
        let node = self.add_conditional(
            info.graph,
            context,
            &info.dependencies,
            (command.handle, command.kind),
            &command.bodies,
            &mut capture.bodies.lock(),
        )?;
        self.set_dependencies(&stream, &Dependencies::on(node.ptr()))?;
        Ok(Answer::Now(()))
    }
}

impl Handler<GraphConditional> for Session {
    fn handle(&self, header: &Header, command: GraphConditional) -> Result<Answer<u64>> {
        let graph = self.graphs.get(command.graph)?;
        let context = self.enter(header)?;
        let within = graph.within(command.within)?;
        if command.bodies.contains(&0) || graph.made.lock().contains_key(&command.node) {
            return Err(ERROR_INVALID_VALUE);
        }
        let handle = self.condition(within, &context, command.value, command.flags)?;
        let node = self.add_conditional(
            within,
            &context,
            &Dependencies::default(),
            (handle, command.kind),
            &command.bodies,
            &mut graph.bodies.lock(),
        )?;
        let made = Made::conditional(node, command.within);
        graph.made.lock().insert(command.node, made);
        Ok(Answer::Now(handle))
    }
}

impl Handler<ConditionalBodyBegin> for Session {
    fn handle(&self, header: &Header, command: ConditionalBodyBegin) -> Result<Answer<()>> {
        let stream = self.stream(header, command.stream)?;
        let graph = self.graphs.get(command.graph)?;
        let body = graph.bodies.lock().get(&command.body).copied();
        let body = body.ok_or(ERROR_INVALID_VALUE)?;
        let kept = !graph.made.lock().is_empty();
        if kept {
            self.enter(header)?;
            self.clear(&graph, command.body)?;
        }
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
        self.capture_into(&stream, kept.then_some(graph));
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
