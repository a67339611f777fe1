//! Graphs that kernels launch.
//!
//! While there are such graphs, a graph that the host launches runs in one piece: node after node in an order that its edges allow, and behind each kernel what that has launched. CUDA promises
//! no more of what is launched to run beside the graph; what is launched to its tail comes when it is complete.
//!
//! See <https://docs.nvidia.com/cuda/cuda-c-programming-guide/index.html#device-graph-launch>.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::context::Context;
use super::error::Result;
use super::graph::{EXECUTABLES, Executable, Shape};
use super::handles;
use super::work::Work;

/// `cudaStreamGraphTailLaunch`, `cudaStreamGraphFireAndForget`, `cudaStreamGraphFireAndForgetAsSibling`.
const TAIL: u64 = 1 << 56;
const FIRE_AND_FORGET: u64 = 2 << 56;
const SIBLING: u64 = 3 << 56;

/// `cudaErrorInvalidValue`, `cudaErrorLaunchPendingCountExceeded`.
const INVALID_VALUE: i32 = 1;
const PENDING_EXCEEDED: i32 = 69;
/// How many graphs one may launch to its tail, and beside itself.
const MOST_TAIL: usize = 255;
const MOST_BESIDE: usize = 120;
/// How often memory is looked at that a node waits for.
const LOOK: Duration = Duration::from_micros(50);

/// How many executable graphs there are that kernels may launch.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Whether there are any.
pub(super) fn any() -> bool {
    COUNT.load(Ordering::Acquire) > 0
}

/// What an executable graph has that kernels may launch.
pub(super) struct ForDevice {
    handle: u64,
    /// What they launch: the graph as it was when it was uploaded.
    uploaded: Mutex<Option<Arc<Shape>>>,
    /// A kernel has launched it, and it has not begun.
    pending: AtomicBool,
    running: AtomicBool,
}

impl ForDevice {
    pub(super) fn new(handle: usize) -> Self {
        COUNT.fetch_add(1, Ordering::AcqRel);
        Self {
            handle: handle as u64,
            uploaded: Mutex::default(),
            pending: AtomicBool::new(false),
            running: AtomicBool::new(false),
        }
    }

    pub(super) fn upload(&self, shape: &Arc<Shape>) {
        *self.uploaded.lock() = Some(Arc::clone(shape));
    }
}

impl Drop for ForDevice {
    fn drop(&mut self) {
        COUNT.fetch_sub(1, Ordering::AcqRel);
    }
}

/// `cudaGraphLaunch` of a kernel that is part of no graph.
pub(super) fn outside(_: u64, _: u64) -> i32 {
    INVALID_VALUE
}

/// A launch of an executable graph.
#[derive(Clone)]
pub(super) struct GraphRun {
    executable: Arc<Executable>,
    shape: Arc<Shape>,
}

/// What the kernels of a running graph have launched.
#[derive(Default)]
struct Launched {
    beside: Vec<GraphRun>,
    /// How many so far, those that are done among them.
    beside_ever: usize,
    siblings: Vec<GraphRun>,
    tail: Vec<GraphRun>,
}

impl Launched {
    fn launch(&mut self, from: &Executable, handle: u64, how: u64) -> std::result::Result<(), i32> {
        let named = usize::try_from(handle).map(handles::pointer);
        let executable = named.ok().and_then(|handle| EXECUTABLES.get(handle));
        let executable = executable.ok_or(INVALID_VALUE)?;
        let device = executable.device.as_ref().ok_or(INVALID_VALUE)?;
        let shape = device.uploaded.lock().clone().ok_or(INVALID_VALUE)?;
        let itself = std::ptr::eq(&raw const *executable, from);
        let busy = device.running.load(Ordering::Acquire) && !(how == TAIL && itself);
        let list = match how {
            TAIL if self.tail.len() < MOST_TAIL => &mut self.tail,
            FIRE_AND_FORGET if self.beside_ever < MOST_BESIDE => {
                self.beside_ever += 1;
                &mut self.beside
            }
            SIBLING => &mut self.siblings,
            TAIL | FIRE_AND_FORGET => return Err(PENDING_EXCEEDED),
            _ => return Err(INVALID_VALUE),
        };
        if busy || device.pending.swap(true, Ordering::AcqRel) {
            return Err(INVALID_VALUE);
        }
        list.push(GraphRun { executable, shape });
        Ok(())
    }
}

impl GraphRun {
    pub(super) fn new(executable: &Arc<Executable>, shape: Arc<Shape>) -> Self {
        let executable = Arc::clone(executable);
        Self { executable, shape }
    }

    /// The work in an order in which it may run.
    pub(super) fn works(&self) -> impl Iterator<Item = &Work> {
        self.shape.works()
    }

    /// Runs the graph and all that is launched by it.
    ///
    /// # Errors
    /// The first fault.
    pub(super) fn run(self, context: &Arc<Context>) -> Result {
        let mut open = vec![self];
        let mut siblings = Vec::new();
        while let Some(graph) = open.pop().or_else(|| siblings.pop()) {
            let launched = graph.run_nodes(context)?;
            siblings.extend(launched.siblings);
            // The first of the tail is the next.
            open.extend(launched.tail.into_iter().rev());
        }
        Ok(())
    }

    fn run_nodes(self, context: &Arc<Context>) -> Result<Launched> {
        let device = self.executable.device.as_ref();
        if let Some(device) = device {
            device.running.store(true, Ordering::Release);
            device.pending.store(false, Ordering::Release);
        }
        let launched = Mutex::new(Launched::default());
        let outcome = self.works().try_for_each(|work| {
            run_node(
                work,
                context,
                device.map_or(0, |d| d.handle),
                &|handle, how| {
                    let mut launched = launched.lock();
                    launched
                        .launch(&self.executable, handle, how)
                        .err()
                        .unwrap_or(0)
                },
            )?;
            let beside = std::mem::take(&mut launched.lock().beside);
            beside.into_iter().try_for_each(|graph| graph.run(context))
        });
        if let Some(device) = device {
            device.running.store(false, Ordering::Release);
        }
        outcome.map(|()| launched.into_inner())
    }
}

fn run_node(
    work: &Work,
    context: &Arc<Context>,
    graph: u64,
    launch_graph: &(dyn Fn(u64, u64) -> i32 + Sync),
) -> Result {
    if context.is_dead() {
        return Ok(());
    }
    match work {
        Work::Kernel(launch) => launch.run_in(context, graph, launch_graph),
        Work::Updatable(node) => node
            .launch()
            .map_or(Ok(()), |launch| launch.run_in(context, graph, launch_graph)),
        Work::WaitValue(wait) => {
            while !wait.holds() && !context.is_dead() {
                std::thread::sleep(LOOK);
            }
            Ok(())
        }
        work => work.clone().run(context),
    }
}
