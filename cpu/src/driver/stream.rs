//! Streams: ordered queues of work.
//!
//! # Layout
//! * this file: [`Stream`], and how work is placed in the order (legacy stream, capture).
//! * [`super::stream_api`]: the functions. [`super::scheduler`]: when the work runs. [`super::capture`]: where it goes while a stream captures.

use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use gvirtus_wire::api::types::CUstream;
use parking_lot::Mutex;

use super::capture;
use super::context::{self, Context};
use super::error::{ERROR_CONTEXT_IS_DESTROYED, ERROR_INVALID_HANDLE, Result};
use super::handles::{self, Table};
use super::scheduler::{self, Runner, Task};
use super::stream_attributes::Attributes;
use super::work::Work;

/// `CU_STREAM_LEGACY` and `CU_STREAM_PER_THREAD`.
const LEGACY: usize = 1;
const PER_THREAD: usize = 2;
/// `CU_STREAM_NON_BLOCKING`.
pub(super) const NON_BLOCKING: u32 = 1;

/// Which stream it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    /// The default stream that all blocking streams of the context wait for, and that waits for them.
    Legacy,
    /// A thread's own default stream.
    PerThread,
    /// Made by `cuStreamCreate`.
    Created,
}

/// An ordered queue of work in a context.
pub(super) struct Stream {
    pub(super) handle: usize,
    pub(super) id: u64,
    pub(super) sort: Sort,
    pub(super) flags: u32,
    pub(super) priority: AtomicI32,
    pub(super) attributes: Mutex<Attributes>,
    context: Weak<Context>,
    pub(super) context_handle: usize,
    /// The last task; read and changed while a [`scheduler::Submission`] is held.
    last: Mutex<Option<Arc<Task>>>,
    pub(super) capture: Mutex<Option<capture::Part>>,
}

pub(super) static STREAMS: Table<Stream> = Table::new();

impl Stream {
    pub(super) fn new(
        context: Weak<Context>,
        context_handle: usize,
        sort: Sort,
        flags: u32,
        priority: i32,
    ) -> Arc<Self> {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        let handle = match sort {
            Sort::Legacy => LEGACY,
            Sort::PerThread => PER_THREAD,
            Sort::Created => handles::mint(),
        };
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        Arc::new(Self {
            handle,
            id,
            sort,
            flags,
            priority: AtomicI32::new(priority),
            attributes: Mutex::default(),
            context,
            context_handle,
            last: Mutex::new(None),
            capture: Mutex::new(None),
        })
    }

    /// # Errors
    /// `CUDA_ERROR_CONTEXT_IS_DESTROYED`.
    pub(super) fn context(&self) -> Result<Arc<Context>> {
        self.context.upgrade().ok_or(ERROR_CONTEXT_IS_DESTROYED)
    }

    /// Whether it takes part in the legacy stream's synchronization.
    pub(super) fn is_blocking(&self) -> bool {
        self.flags & NON_BLOCKING == 0
    }

    /// The last task that has not ended.
    pub(super) fn tail(&self) -> Option<Arc<Task>> {
        self.last.lock().clone().filter(|task| !task.is_done())
    }

    /// Lets go of the last task, which refers back to the context.
    pub(super) fn forget(&self) {
        *self.last.lock() = None;
    }

    /// Whether nothing keeps it in its context's list: destroyed, and its work done.
    pub(super) fn is_finished(&self) -> bool {
        self.sort == Sort::Created
            && STREAMS.get(handles::pointer(self.handle)).is_none()
            && self.tail().is_none()
    }

    /// What must have ended before new work of this stream starts. Called while a submission is held.
    fn predecessors(&self, context: &Context) -> Vec<Arc<Task>> {
        let mut tasks: Vec<Arc<Task>> = self.tail().into_iter().collect();
        if self.sort == Sort::Legacy {
            let streams = context.streams.lock();
            tasks.extend(
                streams
                    .iter()
                    .filter(|other| other.sort != Sort::Legacy && other.is_blocking())
                    .filter_map(|other| other.tail()),
            );
        } else if self.is_blocking() {
            tasks.extend(context.legacy.tail());
        }
        tasks
    }

    /// Appends work to the queue, outside any capture; it also waits for the tasks in `after`.
    ///
    /// # Errors
    /// The context is destroyed.
    pub(super) fn append(
        &self,
        work: Work,
        runner: Runner,
        after: &[Arc<Task>],
    ) -> Result<Arc<Task>> {
        let context = self.context()?;
        let mut submission = scheduler::submit();
        let before = self.predecessors(&context);
        let task = submission.add(
            &context,
            self.priority.load(Ordering::Relaxed),
            runner,
            work,
            before.iter().chain(after),
        );
        *self.last.lock() = Some(Arc::clone(&task));
        Ok(task)
    }

    /// Appends a whole graph of work: `nodes` in topological order, each with the indices of the nodes that it depends on. Returns the task that ends last, and
    /// calls `seen` with each node's task.
    ///
    /// # Errors
    /// The context is destroyed.
    pub(super) fn append_graph(
        &self,
        nodes: Vec<(Work, Vec<usize>)>,
        extra: Option<Arc<Task>>,
        mut seen: impl FnMut(usize, &Arc<Task>),
        mut waits: impl FnMut(usize) -> Option<Arc<Task>>,
    ) -> Result<Arc<Task>> {
        let context = self.context()?;
        let mut submission = scheduler::submit();
        let mut before = self.predecessors(&context);
        before.extend(extra);
        let priority = self.priority.load(Ordering::Relaxed);
        // One task stands for "everything before the graph".
        let start = submission.add(
            &context,
            self.priority.load(Ordering::Relaxed),
            Runner::Pool,
            Work::Nothing,
            before.iter(),
        );
        let mut tasks: Vec<Arc<Task>> = Vec::with_capacity(nodes.len());
        for (index, (work, dependencies)) in nodes.into_iter().enumerate() {
            let waited = waits(index);
            let after = dependencies
                .iter()
                .map(|&node| &tasks[node])
                .chain(std::iter::once(&start))
                .chain(waited.as_ref());
            let task = submission.add(&context, priority, Runner::Pool, work, after);
            seen(index, &task);
            tasks.push(task);
        }
        let end = submission.add(
            &context,
            self.priority.load(Ordering::Relaxed),
            Runner::Pool,
            Work::Nothing,
            tasks.iter().chain(std::iter::once(&start)),
        );
        *self.last.lock() = Some(Arc::clone(&end));
        Ok(end)
    }

    /// Puts work where it belongs: into the capture if the stream captures, else in the queue.
    ///
    /// # Errors
    /// A capture that forbids it; the context is destroyed.
    pub(super) fn enqueue(self: &Arc<Self>, work: Work) -> Result {
        if capture::add(self, &work)? {
            return Ok(());
        }
        self.append(work, Runner::Pool, &[]).map(|_| ())
    }

    /// Runs work in its place in the order and waits for it; for calls that synchronize with the host.
    ///
    /// # Errors
    /// The stream captures; what the work answers.
    pub(super) fn run(self: &Arc<Self>, work: Work) -> Result {
        capture::forbid_wait_on(self)?;
        let task = self.append(work, Runner::Caller, &[])?;
        scheduler::run_here(&task)
    }

    /// Whether everything in the queue so far has ended.
    ///
    /// # Errors
    /// The context is destroyed.
    pub(super) fn is_idle(&self) -> Result<bool> {
        let context = self.context()?;
        let _submission = scheduler::submit();
        Ok(match self.sort {
            Sort::Legacy => self.predecessors(&context).is_empty(),
            _ => self.tail().is_none(),
        })
    }

    /// Waits for everything in the queue so far.
    ///
    /// # Errors
    /// The context's sticky error.
    pub(super) fn synchronize(&self) -> Result {
        let context = self.context()?;
        let tasks = {
            let _submission = scheduler::submit();
            match self.sort {
                Sort::Legacy => self.predecessors(&context),
                _ => self.tail().into_iter().collect(),
            }
        };
        for task in tasks {
            scheduler::wait(&task);
        }
        context.output.flush();
        context.check()
    }
}

/// Looks a stream up; the special handles refer to the current context.
///
/// # Errors
/// `CUDA_ERROR_INVALID_HANDLE` for anything but a live stream, the context's sticky error.
pub(super) fn resolve(handle: CUstream) -> Result<Arc<Stream>> {
    match handle.addr() {
        0 | LEGACY => Ok(Arc::clone(&context::current()?.legacy)),
        PER_THREAD => Ok(context::current()?.per_thread_stream()),
        _ => {
            super::state::require()?;
            let stream = STREAMS.get(handle).ok_or(ERROR_INVALID_HANDLE)?;
            stream.context()?.check()?;
            Ok(stream)
        }
    }
}

/// Forgets the streams of a context that is destroyed.
pub(super) fn forget_context(context: u64) {
    STREAMS.remove_where(|stream| stream.context().is_ok_and(|owner| owner.id == context));
}
