//! Conditional nodes of graphs. The graph that the node goes into is being captured, as all graphs of clients are; the graphs of the node are captured when that has ended.

use std::ffi::c_void;

use gvirtus_wire::api::core::{
    CaptureConditional, ConditionalBodyBegin, ConditionalBodyEnd, ConditionalHandle,
};
use gvirtus_wire::command::{Answer, Handle as Handler};
use gvirtus_wire::frame::Header;

use crate::driver::{Handle, cu};
use crate::errors::{ERROR_INVALID_VALUE, ERROR_STREAM_CAPTURE_INVALIDATED, Result};
use crate::graph::{Dependency, EdgeData, RELAXED};
use crate::session::Session;
use crate::streams::Stream;

/// `CU_GRAPH_NODE_TYPE_CONDITIONAL`.
const CONDITIONAL: u32 = 13;
/// `CU_STREAM_SET_CAPTURE_DEPENDENCIES`.
const SET: u32 = 1;
/// A switch with more cases than this is not believed.
const MOST_BODIES: usize = 1 << 16;

/// `CUgraphNodeParams` of a conditional node: 256 bytes, whatever the type is.
#[repr(C)]
struct NodeParams {
    kind: u32,
    reserved: [u32; 3],
    handle: u64,
    condition: u32,
    size: u32,
    bodies: *mut *mut c_void,
    context: *mut c_void,
    rest: [u64; 26],
}
const _: () = assert!(size_of::<NodeParams>() == 256);

impl Session {
    /// The driver's graph into which a stream captures.
    fn captured_graph(&self, stream: &Stream) -> Result<*mut c_void> {
        let none: *mut c_void = std::ptr::null_mut();
        let (mut status, mut graph) = (0, std::ptr::null_mut());
        if self.driver.cuStreamGetCaptureInfo_v3.is_some() {
            cu!(
                self.driver,
                cuStreamGetCaptureInfo_v3(
                    stream.raw.ptr(),
                    &raw mut status,
                    none.cast(),
                    &raw mut graph,
                    none.cast(),
                    none.cast(),
                    none.cast(),
                )
            )?;
        } else {
            cu!(
                self.driver,
                cuStreamGetCaptureInfo_v2(
                    stream.raw.ptr(),
                    &raw mut status,
                    none.cast(),
                    &raw mut graph,
                    none.cast(),
                    none.cast(),
                )
            )?;
        }
        if graph.is_null() {
            return Err(ERROR_STREAM_CAPTURE_INVALIDATED);
        }
        Ok(graph)
    }
}

impl Handler<ConditionalHandle> for Session {
    fn handle(&self, header: &Header, command: ConditionalHandle) -> Result<Answer<u64>> {
        let stream = self.stream(header, command.stream)?;
        let context = stream.context();
        context.make_current()?;
        let graph = self.captured_graph(&stream)?;
        let mut made = 0;
        cu!(
            self.driver,
            cuGraphConditionalHandleCreate(
                &raw mut made,
                graph,
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
        let graph = self.captured_graph(&stream)?;
        let depends: Vec<Dependency> = self.capture_dependencies(&stream)?;
        let nodes: Vec<*mut c_void> = depends
            .iter()
            .map(|(node, _)| *node as *mut c_void)
            .collect();
        let data: Vec<EdgeData> = depends.iter().map(|(_, data)| *data).collect();
        let plain = data.iter().all(|data| *data == EdgeData::default());
        let size = u32::try_from(command.bodies.len()).map_err(|_| ERROR_INVALID_VALUE)?;
        let mut params = NodeParams {
            kind: CONDITIONAL,
            reserved: [0; 3],
            handle: command.handle,
            condition: command.kind,
            size,
            bodies: std::ptr::null_mut(),
            context: context.raw.ptr(),
            rest: [0; 26],
        };
        let mut node = std::ptr::null_mut();
        let list = match nodes.is_empty() {
            true => std::ptr::null(),
            false => nodes.as_ptr(),
        };
        let edges = match plain {
            true => std::ptr::null(),
            false => data.as_ptr().cast(),
        };
        cu!(
            self.driver,
            cuGraphAddNode_v2(
                &raw mut node,
                graph,
                list,
                edges,
                nodes.len(),
                (&raw mut params).cast(),
            )
        )?;
        if params.bodies.is_null() {
            return Err(ERROR_INVALID_VALUE);
        }
        let mut bodies = capture.bodies.lock();
        for (at, number) in command.bodies.iter().enumerate() {
            // SAFETY: the driver's array of so many graphs.
            let body = unsafe { params.bodies.add(at).read() };
            if body.is_null() || bodies.insert(*number, Handle::of(body)).is_some() {
                return Err(ERROR_INVALID_VALUE);
            }
        }
        drop(bodies);
        cu!(
            self.driver,
            cuStreamUpdateCaptureDependencies_v2(
                stream.raw.ptr(),
                &raw mut node,
                std::ptr::null(),
                1,
                SET,
            )
        )?;
        Ok(Answer::Now(()))
    }
}

impl Handler<ConditionalBodyBegin> for Session {
    fn handle(&self, header: &Header, command: ConditionalBodyBegin) -> Result<Answer<()>> {
        let stream = self.stream(header, command.stream)?;
        let graph = self.graphs.get(command.graph)?;
        let body = graph.bodies.lock().get(&command.body).copied();
        let body = body.ok_or(ERROR_INVALID_VALUE)?;
        self.progress.mark(self, &stream.lane);
        self.progress.mark_dirty(self, |_| true);
        stream.context().make_current()?;
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
        self.capture_began(&stream);
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
        graph.keep.take_inside(keep)?;
        Ok(Answer::Now(()))
    }
}
