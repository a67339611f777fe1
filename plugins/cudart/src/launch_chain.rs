//! Launches that come faster than the driver takes them, issued together.
//!
//! The driver takes 2.5 to 4 µs of a processor for a launch, whoever makes it. A node of an executable graph is told a new kernel, shape and arguments in 0.3, and the GPU goes from node to node
//! in less time than from launch to launch. So a stream on which launches come one behind the other has chains: executable graphs of [`LONG`] and [`SHORT`] nodes in a row. While more launches are waiting to be read,
//! those that were read are held until they fill a chain, whose nodes are told them and which is launched as a whole. A program sees the same order, arguments and errors; whatever a chain does not take is launched
//! by itself, and so is everything as soon as no more is waiting.
//!
//! <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__GRAPH.html>

use std::sync::Arc;
use std::sync::atomic::Ordering;

use gvirtus_wire::api::core::Launch;
use gvirtus_wire::frame::Header;

use crate::contexts::Context;
use crate::driver::{Driver, Handle, cu};
use crate::errors::Result;
use crate::graph_kernel::NodeParams;
use crate::launch::with_params;
use crate::modules::Function;
use crate::session::Session;
use crate::streams::Stream;

/// Nodes of the two chains of a stream.
pub(crate) const LONG: usize = 32;
pub(crate) const SHORT: usize = 8;
/// A stream's launches are held back after so many without another command between.
pub(crate) const IN_A_ROW: u32 = 16;
/// A stream gets its chains, which take 0.2 ms to make, after so many that chains could have taken.
const WORTH_IT: u32 = 256;

/// A launch that waits for others.
pub(crate) struct Held {
    header: Header,
    launch: Launch,
    function: Arc<Function>,
}

impl Held {
    pub(crate) fn new(header: Header, launch: Launch, function: Arc<Function>) -> Self {
        Self {
            header,
            launch,
            function,
        }
    }

    /// It has to be launched by itself.
    fn is_alone(&self) -> bool {
        self.function.unchainable.load(Ordering::Relaxed)
    }

    fn params(&self, issue: impl FnOnce(&NodeParams) -> Result<()>) -> Result<()> {
        with_params(&self.launch.params, &self.function, |params, extra| {
            issue(&NodeParams {
                function: self.function.raw.ptr(),
                grid: self.launch.grid,
                block: self.launch.block,
                shared: self.launch.shared,
                params,
                extra,
                kernel: std::ptr::null_mut(),
                context: std::ptr::null_mut(),
            })
        })
    }
}

/// An executable graph of kernels in a row, and the graph that names its nodes.
struct Chain {
    context: Arc<Context>,
    graph: Handle,
    exec: Handle,
    nodes: Vec<Handle>,
}

impl Drop for Chain {
    fn drop(&mut self) {
        if !self.context.alive.load(Ordering::Acquire) {
            return;
        }
        let driver = self.context.driver;
        if self.exec != Handle(0) {
            // One that still runs is freed when it has ended.
            let _ = cu!(driver, cuGraphExecDestroy(self.exec.ptr()));
        }
        let _ = cu!(driver, cuGraphDestroy(self.graph.ptr()));
    }
}

impl Chain {
    /// A chain that begins with these launches. The context must be current.
    fn new(context: &Arc<Context>, held: &[Held]) -> Result<Self> {
        let driver = context.driver;
        let mut graph = std::ptr::null_mut();
        cu!(driver, cuGraphCreate(&raw mut graph, 0))?;
        let mut chain = Self {
            context: Arc::clone(context),
            graph: Handle::of(graph),
            exec: Handle(0),
            nodes: Vec::with_capacity(held.len()),
        };
        for held in held {
            let mut node = std::ptr::null_mut();
            let before = chain.nodes.last().map(|node| node.ptr());
            let (before, count) = (before.as_slice().as_ptr(), before.as_slice().len());
            held.params(|params| {
                let params = std::ptr::from_ref(params).cast();
                cu!(
                    driver,
                    cuGraphAddKernelNode_v2(&raw mut node, graph, before, count, params)
                )
            })
            .inspect_err(|_| held.function.unchainable.store(true, Ordering::Relaxed))?;
            chain.nodes.push(Handle::of(node));
        }
        let mut exec = std::ptr::null_mut();
        cu!(driver, cuGraphInstantiateWithFlags(&raw mut exec, graph, 0))?;
        chain.exec = Handle::of(exec);
        Ok(chain)
    }

    /// Issues as many launches as it has nodes. If that fails none of them has been issued.
    fn launch(&self, held: &[Held], stream: Handle) -> Result<()> {
        let driver = self.context.driver;
        for (node, held) in self.nodes.iter().zip(held) {
            held.params(|params| {
                let params = std::ptr::from_ref(params).cast();
                cu!(
                    driver,
                    cuGraphExecKernelNodeSetParams_v2(self.exec.ptr(), node.ptr(), params)
                )
            })
            .inspect_err(|_| held.function.unchainable.store(true, Ordering::Relaxed))?;
        }
        cu!(driver, cuGraphLaunch(self.exec.ptr(), stream.ptr()))
    }
}

/// The chains of a stream. Each is used on this stream alone: launches of one executable graph wait for each other.
#[derive(Default)]
pub(crate) struct Chains {
    long: Option<Chain>,
    short: Option<Chain>,
    /// Launches that chains could have taken.
    seen: u32,
    refused: bool,
}

impl Chains {
    /// The stream has attributes that kernels of a graph do not take over, or chains cannot be made.
    pub(crate) fn refuse(&mut self) {
        self.refused = true;
        self.forget();
    }

    /// A function that a node was told may be about to go, or the stream is.
    pub(crate) fn forget(&mut self) {
        (self.long, self.short) = (None, None);
    }

    /// Whether a chain was launched.
    #[cfg(test)]
    pub(crate) fn in_use(&self) -> bool {
        self.long.is_some() || self.short.is_some()
    }

    /// Issues the first launches as a chain; how many.
    fn launch(&mut self, stream: &Stream, held: &[Held]) -> usize {
        let length = match held.len() {
            LONG.. => LONG,
            SHORT.. => SHORT,
            _ => return 0,
        };
        let held = &held[..length];
        if self.refused || held.iter().any(Held::is_alone) {
            return 0;
        }
        if self.seen < WORTH_IT {
            self.seen += 1;
            return 0;
        }
        let chain = if length == LONG {
            &mut self.long
        } else {
            &mut self.short
        };
        if chain.is_none() {
            *chain = Chain::new(stream.context(), held).ok();
        }
        // If not, then because of a function, which is left out from now on, or for good.
        let launched = chain
            .as_ref()
            .is_some_and(|chain| chain.launch(held, stream.raw).is_ok());
        if launched {
            return length;
        }
        self.refused |= !held.iter().any(Held::is_alone);
        0
    }
}

/// Whether the driver has what chains are made with.
fn supported(driver: &Driver) -> bool {
    driver.cuGraphAddKernelNode_v2.is_some()
        && driver.cuGraphInstantiateWithFlags.is_some()
        && driver.cuGraphExecKernelNodeSetParams_v2.is_some()
}

impl Session {
    /// Whether a launch may be held until there are enough for a chain.
    #[inline]
    pub(crate) fn chainable(&self, launch: &Launch, stream: &Stream) -> bool {
        self.config.launch_chains
            && launch.attributes.is_empty()
            // A green context's streams have a part of the GPU, which nodes would not keep to.
            && stream.context().green == Handle(0)
            // What is captured is not launched.
            && self.progress.captures.load(Ordering::Relaxed) == 0
            && supported(self.driver)
    }

    /// Issues launches on a stream in their order, together where that can be, tells of those that fail, and leaves none.
    #[inline]
    pub(crate) fn issue(&self, stream: &Arc<Stream>, held: &mut Vec<Held>) {
        if !held.is_empty() {
            self.issue_held(stream, held);
            held.clear();
        }
    }

    fn issue_held(&self, stream: &Arc<Stream>, mut held: &[Held]) {
        let chainable = held.len() >= SHORT
            && held.iter().all(|held| self.chainable(&held.launch, stream))
            && stream.context().make_current().is_ok();
        while let Some(first) = held.first() {
            let together = if chainable {
                self.progress.before(self, &stream.lane);
                stream.chains.lock().launch(stream, held)
            } else {
                0
            };
            for held in &held[..together] {
                self.progress
                    .note(self, &stream.lane, held.header.sequence, 1);
                self.progress
                    .mapped
                    .launched(held.header.thread, &stream.lane);
            }
            if together > 0 {
                held = &held[together..];
                continue;
            }
            let launched = self.on(&first.header, stream, 1, |stream| {
                self.launch(&first.launch, &first.function, stream.raw)
            });
            if let Err(status) = launched {
                self.failed(&first.header, status);
            }
            held = &held[1..];
        }
    }

    /// Before functions of a context go, or what its kernels may use changes: nodes may have been told the old.
    pub(crate) fn forget_chains(&self, context: &Arc<Context>) {
        let streams = self.streams.all();
        let legacy = context.legacy().ok();
        for stream in streams.iter().chain(&legacy) {
            if Arc::ptr_eq(stream.context(), context) {
                stream.chains.lock().forget();
            }
        }
    }
}
