//! Makes a graph of the worker out of the client's: its nodes are issued one after another on a stream of ours that captures, each behind those that it depends on.
//!
//! Copy nodes from and to pageable memory go through pinned memory of ours; a host function on the client moves the bytes when the graph gets there, so they are read and
//! written when the graph runs, as natively.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use gvirtus_wire::api::core::{
    COPY_FROM_PULL, COPY_FROM_SHADOW, COPY_ON_DEVICE, COPY_TO_SHADOW, CaptureAt,
    CaptureConditional, CaptureNode, ConditionalBodyBegin, ConditionalBodyEnd, ConditionalHandle,
    Copy, CopyArray, EventRecord, Extent, GraphCaptureBegin, GraphKernel, HostFunction, Launch,
    Memset, Plane, StreamBeginCapture, StreamEndCapture, StreamMemoryOperations, StreamWaitEvent,
};
use gvirtus_wire::api::types::{CUevent, CUresult, error};
use parking_lot::Mutex;

use super::conditional::{self, Conditional};
use super::updatable::{self, Kept};
use super::work::{Bounce, Fill, Kernel, Work};
use super::{Edge, EdgeData, Graph, Node, Nodes};
use crate::capture::Capture;
use crate::driver::Result;
use crate::driver::context::{self, Context};
use crate::driver::event::cuEventDestroy_v2;
use crate::driver::memcpy::{Is, unmerged};
use crate::driver::memcpy_box::{Plan, plan};
use crate::events;
use crate::memory::{ledger, mapped, pinned};
use crate::session::Session;
use crate::streams::{self, NON_BLOCKING, Stream};

/// `CU_EVENT_RECORD_EXTERNAL`, `CU_EVENT_WAIT_EXTERNAL`.
const EXTERNAL: u32 = 1;
/// `CU_EVENT_DISABLE_TIMING`.
const DISABLE_TIMING: u32 = 2;

/// The streams on which graphs are replayed, one per context.
static BUILDERS: Mutex<Vec<Arc<Stream>>> = Mutex::new(Vec::new());
/// Pinned memory and functions of nodes that are gone, to be given back when nothing runs that may use them.
static RETIRED: Mutex<Vec<(u64, u64)>> = Mutex::new(Vec::new());

/// A node is gone: its pinned memory (0 for none) and the number of its function.
pub(crate) fn retire(address: u64, id: u64) {
    RETIRED.lock().push((address, id));
}

fn reclaim(session: &Session) {
    let retired = {
        let mut retired = RETIRED.lock();
        if retired.is_empty() || !streams::running().is_empty() {
            return;
        }
        std::mem::take(&mut *retired)
    };
    for (address, id) in retired {
        session.callbacks.forget(id);
        if let Some(entry) = ledger::at(address) {
            let _ = pinned::free(session, &entry);
        }
    }
}

/// Makes graph `graph` of the worker, which is `known` to it from then on; `kept` if it is that of nodes which kernels change. If it is `for_device`, kernels may launch it, so no host function has a part in it.
///
/// # Errors
/// `CUDA_ERROR_NOT_SUPPORTED` for what cannot be replayed, `CUDA_ERROR_INVALID_VALUE` for what no graph can hold; those of sending. What the worker refuses is told by the
/// command that uses the graph.
pub(crate) fn replay(
    session: &'static Session,
    context: &Arc<Context>,
    nodes: &Nodes,
    graph: &Graph,
    kept: Option<&Kept>,
    for_device: bool,
) -> Result<()> {
    reclaim(session);
    nodes.in_order()?;
    prepare(session, context, nodes, for_device)?;
    let mut builders = BUILDERS.lock();
    let stream = builder(session, context, &mut builders)?;
    let others = elsewhere(session, nodes, context.id, &mut builders)?;
    let capture = Capture::private(&stream);
    match kept {
        Some(_) => session.call(
            stream.context,
            &GraphCaptureBegin {
                stream: stream.id,
                graph: graph.id,
            },
        )?,
        None => session.post(stream.context, &StreamBeginCapture { stream: stream.id })?,
    }
    let mut replay = Replay {
        session,
        stream: &stream,
        home: context.id,
        others: &others,
        kept,
        within: 0,
        last: stream.id,
        for_device,
        places: 0,
        conditions: Vec::new(),
        bodies: Vec::new(),
    };
    let issued = replay
        .draw_in(&capture)
        .and_then(|()| replay.make_conditions(nodes))
        .and_then(|()| replay.nodes(nodes, &[]))
        .and_then(|_| replay.lead_back());
    graph.known.store(true, Ordering::Release);
    let ended = session.post(
        stream.context,
        &StreamEndCapture {
            stream: stream.id,
            graph: graph.id,
        },
    );
    capture.end();
    issued?;
    ended?;
    replay.fill_bodies(graph)
}

fn builder(
    session: &Session,
    context: &Context,
    builders: &mut Vec<Arc<Stream>>,
) -> Result<Arc<Stream>> {
    builders.retain(|stream| streams::by_handle(stream.handle).is_ok());
    if let Some(stream) = builders.iter().find(|s| s.context == context.id) {
        return Ok(Arc::clone(stream));
    }
    let stream = streams::create(session, context, NON_BLOCKING, 0)?;
    streams::keep_private(&stream);
    builders.push(Arc::clone(&stream));
    Ok(stream)
}

/// A stream of another context that takes part in a replay, and an event for each way between it and the first.
struct Elsewhere {
    stream: Arc<Stream>,
    context: Arc<Context>,
    events: [CUevent; 2],
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        for event in self.events {
            let _ = cuEventDestroy_v2(event);
        }
    }
}

/// Streams of the contexts of kernels, but for one.
fn elsewhere(
    session: &Session,
    nodes: &Nodes,
    home: u32,
    builders: &mut Vec<Arc<Stream>>,
) -> Result<Vec<Elsewhere>> {
    let mut contexts = Vec::new();
    nodes.for_each(&mut |node| {
        if let Work::Kernel(kernel) = &node.work {
            let context = kernel.function.context;
            if context != home && !contexts.contains(&context) {
                contexts.push(context);
            }
        }
    });
    let first = context::by_handle(context::handle_of(home))?;
    contexts
        .into_iter()
        .map(|context| {
            let context = context::by_handle(context::handle_of(context))?;
            let stream = builder(session, &context, builders)?;
            let events = [
                events::create(session, &first, DISABLE_TIMING)?,
                events::create(session, &context, DISABLE_TIMING)?,
            ];
            Ok(Elsewhere {
                stream,
                context,
                events,
            })
        })
        .collect()
}

/// What must be there before the capture begins.
fn prepare(
    session: &'static Session,
    context: &Arc<Context>,
    nodes: &Nodes,
    for_device: bool,
) -> Result<()> {
    let mut prepared = Ok(());
    nodes.for_each(&mut |node| {
        if prepared.is_ok() {
            prepared = match &node.work {
                Work::Copy(copy, _) if for_device => plan(&copy.params).and_then(|plan| {
                    // What the processor writes there is brought before each launch from here, as for kernels that use it in place.
                    let map = |entry| mapped::map(session, &entry, false).map(drop);
                    pinned_side(&plan).map_or(Ok(()), map)
                }),
                Work::Copy(copy, bounce) => {
                    plan(&copy.params).and_then(|plan| bounced(session, context, &plan, bounce))
                }
                _ => Ok(()),
            };
        }
    });
    prepared
}

/// Pinned memory that a copy uses, and the worker has not.
fn pinned_side(plan: &Plan) -> Option<ledger::Entry> {
    match (plan.to, plan.from) {
        (Is::Pinned, _) => ledger::find(plan.dst.address),
        (_, Is::Pinned) => ledger::find(plan.src.address),
        _ => None,
    }
}

/// Makes the pinned memory and the function that a copy node needs, if it does.
fn bounced(
    session: &'static Session,
    context: &Arc<Context>,
    plan: &Plan,
    bounce: &Bounce,
) -> Result<()> {
    let extent = plan.extent.clone();
    let bytes = extent.width * extent.height * extent.depth;
    if bytes == 0 {
        return Ok(());
    }
    let function = |to: Plane, from: Plane| {
        let extent = extent.clone();
        session.callbacks.register(
            Box::new(move |_: CUresult| {
                for ((to, len), (from, _)) in unmerged(&to, &extent).zip(unmerged(&from, &extent)) {
                    // SAFETY: one side is pinned memory of ours, the other the program's, which gave it to be copied when the graph gets here; rows may overlap.
                    unsafe { std::ptr::copy(from as *const u8, to as *mut u8, len) };
                }
            }),
            true,
        )
    };
    match (plan.to, plan.from) {
        (Is::Device, Is::Pageable) => bounce.get(|| {
            let address = pinned::allocate(session, context, bytes, 0)?;
            let id = function(packed(address, &extent), plan.src.clone());
            Ok((address, id))
        }),
        (Is::Pageable, Is::Device) => bounce.get(|| {
            let address = pinned::allocate(session, context, bytes, 0)?;
            let id = function(plan.dst.clone(), packed(address, &extent));
            Ok((address, id))
        }),
        (Is::Device, _) | (_, Is::Device) => return Ok(()),
        _ => bounce.get(|| Ok((0, function(plan.dst.clone(), plan.src.clone())))),
    }
    .map(drop)
}

/// Rows one behind the other.
fn packed(address: u64, extent: &Extent) -> Plane {
    Plane {
        address,
        pitch: extent.width,
        slice: extent.width * extent.height,
    }
}

/// A place in the capture, by its number, and how what comes next depends on it.
type Place = (u32, EdgeData);

/// Each place once; a plain dependency holds more than another.
fn unite(places: &mut Vec<Place>) {
    places.sort_unstable();
    places.dedup_by_key(|(place, _)| *place);
}

struct Replay<'a> {
    session: &'static Session,
    stream: &'a Arc<Stream>,
    /// The context of `stream`, but for what is green of it.
    home: u32,
    /// For kernels of other contexts.
    others: &'a [Elsewhere],
    /// It goes into a graph that has nodes which kernels change.
    kept: Option<&'a Kept>,
    /// The graph of a conditional node that is being captured there, by its number; 0 for none.
    within: u32,
    for_device: bool,
    /// The stream on which the node before was issued.
    last: u32,
    /// How many places have a number.
    places: u32,
    /// Handles of conditions: the program's and the box's.
    conditions: Vec<(u64, u64)>,
    /// Graphs of conditional nodes, by the numbers that the worker knows them by.
    bodies: Vec<(u32, Arc<Graph>)>,
}

impl<'a> Replay<'a> {
    /// Issues nodes; those that depend on none of them come after `before`. Returns the places of those on which none depends.
    fn nodes(&mut self, nodes: &Nodes, before: &[Place]) -> Result<Vec<Place>> {
        let mut ends: Vec<Vec<Place>> = vec![Vec::new(); nodes.list.len()];
        for at in nodes.in_order()? {
            let node = &nodes.list[at];
            let mut after: Vec<Place> = if node.after.is_empty() {
                before.to_vec()
            } else {
                let from = |edge: &Edge| Some((nodes.position(edge.from)?, edge.data));
                let by = |(from, data): (usize, EdgeData)| {
                    let plain = data == EdgeData::default();
                    let end = move |&(place, how): &Place| (place, if plain { how } else { data });
                    ends[from].iter().map(end)
                };
                node.after.iter().filter_map(from).flat_map(by).collect()
            };
            unite(&mut after);
            ends[at] = self.node(node, after)?;
        }
        let mut last: Vec<Place> = nodes
            .leaves()
            .into_iter()
            .flat_map(|at| ends[at].iter().copied())
            .collect();
        if nodes.list.is_empty() {
            last = before.to_vec();
        }
        unite(&mut last);
        Ok(last)
    }

    fn node(&mut self, node: &Node, after: Vec<Place>) -> Result<Vec<Place>> {
        match &node.work {
            // Only their place in the order matters.
            Work::Empty | Work::Allocate(_) | Work::Free(_) => return Ok(after),
            // What kernels launch has all nodes, and the worker is told which of them run.
            _ if !node.enabled && !self.for_device => return Ok(after),
            Work::Child(child) => {
                let nodes = child.nodes.lock().clone();
                return self.nodes(&nodes, &after);
            }
            _ => {}
        }
        let stream = self.stream_for(&node.work)?;
        self.go_to(stream, after)?;
        match &node.work {
            Work::Kernel(kernel) => self.kernel(stream, node.handle, kernel)?,
            Work::Copy(copy, bounce) => self.copy(&plan(&copy.params)?, bounce)?,
            Work::Fill(fill, id) => self.fill(fill, id)?,
            Work::Host(host) => self.call(host.id(self.session))?,
            Work::Record(event) => {
                let command = EventRecord {
                    event: streams::event_id(*event as *mut _)?,
                    stream: self.stream.id,
                    flags: EXTERNAL,
                };
                self.stream.post(self.session, &command, &[])?;
            }
            Work::Wait(event) => {
                let command = StreamWaitEvent {
                    stream: self.stream.id,
                    event: streams::event_id(*event as *mut _)?,
                    flags: EXTERNAL,
                };
                self.stream.post(self.session, &command, &[])?;
            }
            Work::Operations(operations) => {
                let command = StreamMemoryOperations {
                    stream: self.stream.id,
                    operations: operations.list.clone(),
                };
                self.stream.post(self.session, &command, &[])?;
            }
            Work::Library(work) => work.post(self.session, self.stream)?,
            Work::Conditional(conditional) => self.conditional(node.handle, conditional)?,
            Work::Empty | Work::Allocate(_) | Work::Free(_) | Work::Child(_) => {}
        }
        self.places += 1;
        Ok(vec![(self.places, EdgeData::default())])
    }

    /// The stream on which a node is issued.
    fn stream_for(&self, work: &Work) -> Result<&'a Arc<Stream>> {
        let Work::Kernel(kernel) = work else {
            return Ok(self.stream);
        };
        let context = kernel.function.context;
        if context == self.home {
            return Ok(self.stream);
        }
        let other = self.others.iter().find(|other| other.context.id == context);
        other.map(|other| &other.stream).ok_or_else(|| {
            crate::log::unsupported("kernels of several contexts in a graph of a conditional node");
            error::ERROR_NOT_SUPPORTED
        })
    }

    /// What comes next on a stream comes after these places.
    fn go_to(&mut self, stream: &Stream, after: Vec<Place>) -> Result<()> {
        // Where the node before ends.
        let mut save = self.places;
        if self.last != stream.id {
            let others = self.others.iter().map(|other| &other.stream);
            let last = others.chain([self.stream]).find(|s| s.id == self.last);
            if save != 0
                && let Some(last) = last
            {
                let command = CaptureAt {
                    stream: last.id,
                    save,
                    after: vec![(save, EdgeData::default())],
                };
                last.post(self.session, &command, &[])?;
            }
            save = 0;
            self.last = stream.id;
        }
        let command = CaptureAt {
            stream: stream.id,
            save,
            after,
        };
        stream.post(self.session, &command, &[]).map(drop)
    }

    /// Draws the streams of other contexts into the capture.
    fn draw_in(&self, capture: &Arc<Capture>) -> Result<()> {
        for other in self.others {
            self.lead(self.stream, &other.stream, other.events[0])?;
            capture.join(&other.stream);
        }
        Ok(())
    }

    /// Leads them back: a capture ends where it began.
    fn lead_back(&self) -> Result<()> {
        for other in self.others {
            self.lead(&other.stream, self.stream, other.events[1])?;
        }
        Ok(())
    }

    fn lead(&self, from: &Stream, to: &Stream, event: CUevent) -> Result<()> {
        let event = streams::event_id(event)?;
        let record = EventRecord {
            event,
            stream: from.id,
            flags: 0,
        };
        from.post(self.session, &record, &[])?;
        let wait = StreamWaitEvent {
            stream: to.id,
            event,
            flags: 0,
        };
        to.post(self.session, &wait, &[]).map(drop)
    }

    /// Makes the box's handles of the conditions of a graph that is being captured.
    fn make_conditions(&mut self, nodes: &Nodes) -> Result<()> {
        for node in &nodes.list {
            if let Work::Conditional(conditional) = &node.work {
                let handle = conditional.handle;
                if let Some(kept) = self.kept {
                    let made = kept.condition(
                        self.session,
                        self.stream.context,
                        self.within,
                        node.handle,
                        conditional,
                    )?;
                    self.conditions.push((handle, made.handle));
                    continue;
                }
                let (value, flags) =
                    conditional::described(handle).ok_or(error::ERROR_INVALID_VALUE)?;
                let made = self.session.call(
                    self.stream.context,
                    &ConditionalHandle {
                        stream: self.stream.id,
                        value,
                        flags,
                    },
                )?;
                self.conditions.push((handle, made));
            }
        }
        Ok(())
    }

    fn conditional(&mut self, node: usize, conditional: &Conditional) -> Result<()> {
        if let Some(kept) = self.kept {
            let made = kept.condition(
                self.session,
                self.stream.context,
                self.within,
                node,
                conditional,
            )?;
            let bodies = made.bodies..;
            self.bodies
                .extend(bodies.zip(conditional.bodies.iter().cloned()));
            return self.place(self.stream, made.node);
        }
        let known = |(handle, _): &&(u64, u64)| *handle == conditional.handle;
        let &(_, handle) = self
            .conditions
            .iter()
            .find(known)
            .ok_or(error::ERROR_INVALID_VALUE)?;
        let first = self.bodies.len() as u32;
        let bodies = (first..).zip(conditional.bodies.iter().cloned());
        self.bodies.extend(bodies);
        self.session.call(
            self.stream.context,
            &CaptureConditional {
                stream: self.stream.id,
                handle,
                kind: conditional.kind,
                bodies: (first..self.bodies.len() as u32).collect(),
            },
        )
    }

    /// Captures what the graphs of conditional nodes consist of, those inside them as well.
    fn fill_bodies(&mut self, graph: &Graph) -> Result<()> {
        let mut at = 0;
        while let Some((number, body)) = self.bodies.get(at).cloned() {
            let nodes = body.nodes.lock().clone();
            nodes.in_order()?;
            self.session.call(
                self.stream.context,
                &ConditionalBodyBegin {
                    stream: self.stream.id,
                    graph: graph.id,
                    body: number,
                },
            )?;
            let capture = Capture::private(self.stream);
            // No other stream takes part.
            self.others = &[];
            self.within = number;
            self.last = self.stream.id;
            self.places = 0;
            let issued = self
                .make_conditions(&nodes)
                .and_then(|()| self.nodes(&nodes, &[]));
            let ended = self.session.call(
                self.stream.context,
                &ConditionalBodyEnd {
                    stream: self.stream.id,
                    graph: graph.id,
                },
            );
            capture.end();
            issued?;
            ended?;
            at += 1;
        }
        Ok(())
    }

    fn kernel(&self, stream: &Arc<Stream>, node: usize, kernel: &Kernel) -> Result<()> {
        let params = conditional::with_handles(&kernel.block, |handle| {
            let mut known = self.conditions.iter();
            known.find(|known| known.0 == handle).map(|known| known.1)
        })?;
        let in_place = ledger::host_among(&params);
        mapped::before(self.session, stream, &in_place, false)?;
        if let Some(kept) = self.kept {
            let number = kept.number(node);
            let made = GraphKernel {
                graph: kept.graph.id,
                within: self.within,
                node: number,
                kernel: updatable::described(kernel, params),
                updatable: kernel.device_node() != 0,
            };
            self.session.post(stream.context, &made)?;
            return self.place(stream, number);
        }
        let command = Launch {
            function: kernel.function.id,
            stream: stream.id,
            grid: kernel.geometry.grid,
            block: kernel.geometry.block,
            shared: kernel.geometry.shared,
            params,
            attributes: kernel.attributes.clone(),
        };
        stream.post(self.session, &command, &[]).map(drop)
    }

    /// A node that was made before becomes what comes next.
    fn place(&self, stream: &Arc<Stream>, node: u32) -> Result<()> {
        let command = CaptureNode {
            stream: stream.id,
            node,
        };
        stream.post(self.session, &command, &[]).map(drop)
    }

    fn call(&self, id: u64) -> Result<()> {
        let command = HostFunction {
            stream: self.stream.id,
            id,
        };
        self.stream.post(self.session, &command, &[]).map(drop)
    }

    fn copy_kind(&self, kind: u8, dst: &Plane, src: &Plane, plan: &Plan) -> Result<()> {
        if plan.dst_array != 0 || plan.src_array != 0 {
            let command = CopyArray {
                kind,
                stream: self.stream.id,
                dst_array: plan.dst_array,
                src_array: plan.src_array,
                dst: dst.clone(),
                src: src.clone(),
                extent: plan.extent.clone(),
            };
            return self.stream.post(self.session, &command, &[]).map(drop);
        }
        let command = Copy {
            kind,
            stream: self.stream.id,
            dst: dst.clone(),
            src: src.clone(),
            extent: plan.extent.clone(),
        };
        self.stream.post(self.session, &command, &[]).map(drop)
    }

    fn copy(&self, plan: &Plan, bounce: &Bounce) -> Result<()> {
        let Plan {
            dst,
            src,
            extent,
            to,
            from,
            ..
        } = plan;
        if extent.width == 0 || extent.height == 0 || extent.depth == 0 {
            return Ok(());
        }
        let made = || bounce.get(|| Err(error::ERROR_INVALID_VALUE));
        match (to, from) {
            (Is::Device, Is::Device) => self.copy_kind(COPY_ON_DEVICE, dst, src, plan),
            (Is::Device, Is::Pinned) | (Is::Pinned, Is::Device) if self.for_device => {
                let used: Vec<_> = pinned_side(plan).into_iter().collect();
                mapped::before(self.session, self.stream, &used, false)?;
                let kind = match to {
                    Is::Device => COPY_FROM_SHADOW,
                    _ => COPY_TO_SHADOW,
                };
                self.copy_kind(kind, dst, src, plan)
            }
            (Is::Device, Is::Shared) => self.copy_kind(COPY_FROM_SHADOW, dst, src, plan),
            (Is::Device, Is::Pinned) => self.copy_kind(COPY_FROM_PULL, dst, src, plan),
            (Is::Shared | Is::Pinned, Is::Device) => self.copy_kind(COPY_TO_SHADOW, dst, src, plan),
            (Is::Device, Is::Pageable) => {
                let (address, id) = made()?;
                self.call(id)?;
                let kind = if shared(address) {
                    COPY_FROM_SHADOW
                } else {
                    COPY_FROM_PULL
                };
                self.copy_kind(kind, dst, &packed(address, extent), plan)
            }
            (Is::Pageable, Is::Device) => {
                let (address, id) = made()?;
                self.copy_kind(COPY_TO_SHADOW, &packed(address, extent), src, plan)?;
                self.call(id)
            }
            _ => self.call(made()?.1),
        }
    }

    fn fill(&self, fill: &Fill, id: &std::sync::OnceLock<u64>) -> Result<()> {
        if fill.width == 0 || fill.height == 0 {
            return Ok(());
        }
        let on_host = ledger::find(fill.address).is_none_or(|entry| !entry.is_device());
        if on_host {
            let fill = *fill;
            let id = *id.get_or_init(|| {
                let body = move |_: CUresult| fill_here(&fill);
                self.session.callbacks.register(Box::new(body), true)
            });
            return self.call(id);
        }
        let command = Memset {
            stream: self.stream.id,
            dst: Plane {
                address: fill.address,
                pitch: fill.pitch as u64,
                slice: 0,
            },
            element: fill.element as u8,
            value: fill.value,
            width: fill.width as u64,
            height: fill.height as u64,
        };
        self.stream.post(self.session, &command, &[]).map(drop)
    }
}

/// Whether the worker has the same memory.
fn shared(address: u64) -> bool {
    ledger::find(address).is_some_and(|entry| !entry.is_device() && !entry.has_shadow())
}

/// Fills pinned memory of the program.
fn fill_here(fill: &Fill) {
    let pattern = &fill.value.to_le_bytes()[..(fill.element as usize).min(4)];
    for row in 0..fill.height {
        let start = fill.address as usize + row * fill.pitch;
        for at in 0..fill.width {
            let to = (start + at * pattern.len()) as *mut u8;
            // SAFETY: memory that the program gave to be filled when the graph gets here.
            unsafe { std::ptr::copy_nonoverlapping(pattern.as_ptr(), to, pattern.len()) };
        }
    }
}
