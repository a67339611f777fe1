//! Runs the work of streams: a graph of tasks, each started when those that it depends on have ended.
//!
//! A stream is a chain of tasks, and waiting for an event is an edge in the graph: nothing that waits occupies a thread. Three sorts of threads run tasks:
//!
//! * workers, as many as the host has cores, and more when all of them have been busy for a while (a kernel that spins until another one writes a flag
//!   must not starve it),
//! * threads for host functions, one for each that runs,
//! * the caller itself, for synchronous calls ([`Runner::Caller`]): they keep their place in the stream's order without a change of thread.
//!
//! A monitor thread looks after `cuStreamWaitValue` and starts additional workers. It exists while there is something to look after.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::context::Context;
use super::error::{ERROR_LAUNCH_FAILED, Result, SUCCESS};
use super::state;
use super::work::Work;

/// Largest number of workers, and so of kernels that run at a time: 128 on GPUs of this compute capability.
const MAX_WORKERS: usize = 128;
/// How long all workers may be busy with work waiting before another one is started.
const STALL: Duration = Duration::from_millis(2);
/// How often wait-value conditions are looked at.
const POLL: Duration = Duration::from_micros(40);
/// How long an additional worker waits for work before it ends.
const LINGER: Duration = Duration::from_secs(5);
/// Stream priorities: 0 (least) to -5 (greatest).
pub(super) const GREATEST_PRIORITY: i32 = -5;
const LEVELS: usize = 6;

/// Who runs a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Runner {
    /// A worker, or nobody if there is nothing to run.
    Pool,
    /// The thread that submitted it, by [`run_here`].
    Caller,
}

/// A unit of work in a context.
pub(super) struct Task {
    pub(super) context: Arc<Context>,
    priority: i32,
    runner: Runner,
    done: AtomicBool,
    /// Nanoseconds since the epoch at which the task ended.
    finished: AtomicU64,
    links: Mutex<Links>,
}

struct Links {
    /// Tasks that must end first.
    pending: usize,
    /// Tasks that wait for this one.
    dependents: Vec<Arc<Task>>,
    work: Option<Work>,
}

impl Task {
    pub(super) fn is_done(&self) -> bool {
        self.done.load(Ordering::Acquire)
    }

    /// When it ended, in nanoseconds; meaningful once done.
    pub(super) fn finished(&self) -> u64 {
        self.finished.load(Ordering::Acquire)
    }
}

#[derive(Default)]
struct Queues {
    /// Ready tasks by priority, greatest first.
    ready: [VecDeque<Arc<Task>>; LEVELS],
    /// Tasks whose wait-value condition does not hold yet.
    polled: Vec<Arc<Task>>,
    /// Ready host functions.
    host: VecDeque<Arc<Task>>,
    workers: usize,
    idle: usize,
    host_idle: usize,
    /// Threads in [`wait`] or [`run_here`].
    waiters: usize,
    monitor: bool,
    last_start: Option<Instant>,
}

impl Queues {
    fn backlog(&self) -> bool {
        self.ready.iter().any(|queue| !queue.is_empty())
    }

    fn pop(&mut self) -> Option<Arc<Task>> {
        self.ready.iter_mut().find_map(VecDeque::pop_front)
    }
}

/// All tasks of the process. One lock: edges between tasks of any two streams are made under it.
pub(super) struct Scheduler {
    queues: Mutex<Queues>,
    work: Condvar,
    host_work: Condvar,
    completed: Condvar,
    attention: Condvar,
}

static SCHEDULER: Scheduler = Scheduler {
    queues: Mutex::new(Queues {
        ready: [const { VecDeque::new() }; LEVELS],
        polled: Vec::new(),
        host: VecDeque::new(),
        workers: 0,
        idle: 0,
        host_idle: 0,
        waiters: 0,
        monitor: false,
        last_start: None,
    }),
    work: Condvar::new(),
    host_work: Condvar::new(),
    completed: Condvar::new(),
    attention: Condvar::new(),
};

/// Nanoseconds on the process's clock.
fn now() -> u64 {
    static EPOCH: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    u64::try_from(EPOCH.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// The right to change the graph of tasks.
pub(super) struct Submission {
    queues: MutexGuard<'static, Queues>,
    /// Whether the thread looks for work itself once it is done here: it takes the first ready task without waking another thread.
    takes_one: bool,
}

/// Starts a change of the graph; other threads' submissions and completions wait until it is dropped.
pub(super) fn submit() -> Submission {
    Submission {
        queues: SCHEDULER.queues.lock(),
        takes_one: false,
    }
}

impl Submission {
    /// Adds a task that starts when all of `after` have ended.
    pub(super) fn add<'t>(
        &mut self,
        context: &Arc<Context>,
        priority: i32,
        runner: Runner,
        work: Work,
        after: impl IntoIterator<Item = &'t Arc<Task>>,
    ) -> Arc<Task> {
        let task = Arc::new(Task {
            context: Arc::clone(context),
            priority,
            runner,
            done: AtomicBool::new(false),
            finished: AtomicU64::new(0),
            links: Mutex::new(Links {
                pending: 0,
                dependents: Vec::new(),
                work: Some(work),
            }),
        });
        let mut pending = 0;
        for other in after {
            let mut links = other.links.lock();
            if !other.is_done() {
                links.dependents.push(Arc::clone(&task));
                pending += 1;
            }
        }
        task.links.lock().pending = pending;
        if pending == 0 {
            self.start(Arc::clone(&task));
        }
        task
    }

    /// Starts a task that nothing holds back any more; tasks without work end at once, and so may start others.
    fn start(&mut self, task: Arc<Task>) {
        let mut startable = vec![task];
        while let Some(task) = startable.pop() {
            if task.runner == Runner::Caller {
                SCHEDULER.completed.notify_all();
                continue;
            }
            let skip = task.context.is_dead();
            let links = task.links.lock();
            match &links.work {
                Some(Work::Nothing) | None => {
                    drop(links);
                    self.finish(&task, &mut startable);
                }
                Some(work) if skip && !work.runs_after_faults() => {
                    drop(links);
                    self.finish(&task, &mut startable);
                }
                Some(Work::WaitValue(wait)) => {
                    let holds = wait.holds();
                    drop(links);
                    if holds {
                        self.finish(&task, &mut startable);
                    } else {
                        self.queues.polled.push(task);
                        self.wake_monitor();
                    }
                }
                Some(work) if work.is_host_function() => {
                    drop(links);
                    self.queues.host.push_back(task);
                    // One thread for each: a host function may wait for another one.
                    if self.queues.host.len() > self.queues.host_idle {
                        spawn("gvirtus-cpu-host", host_function_thread);
                    } else {
                        SCHEDULER.host_work.notify_one();
                    }
                }
                Some(_) => {
                    drop(links);
                    self.enqueue(task);
                }
            }
        }
    }

    fn enqueue(&mut self, task: Arc<Task>) {
        let level = usize::try_from(task.priority - GREATEST_PRIORITY)
            .unwrap_or(0)
            .min(LEVELS - 1);
        self.queues.ready[level].push_back(task);
        let ready: usize = self.queues.ready.iter().map(VecDeque::len).sum();
        if ready == 1 && self.takes_one {
            return;
        }
        if ready <= self.queues.idle {
            SCHEDULER.work.notify_one();
        } else if self.queues.workers < core_workers() {
            self.add_worker();
        } else {
            self.wake_monitor();
        }
    }

    fn add_worker(&mut self) {
        self.queues.workers += 1;
        self.queues.last_start = Some(Instant::now());
        spawn("gvirtus-cpu", worker_thread);
    }

    fn wake_monitor(&mut self) {
        if self.queues.monitor {
            SCHEDULER.attention.notify_one();
        } else {
            self.queues.monitor = true;
            spawn("gvirtus-cpu-mon", monitor_thread);
        }
    }

    /// Ends a task; tasks that nothing holds back any more go to `startable`.
    fn finish(&mut self, task: &Arc<Task>, startable: &mut Vec<Arc<Task>>) {
        let (dependents, work) = {
            let mut links = task.links.lock();
            task.finished.store(now(), Ordering::Release);
            task.done.store(true, Ordering::Release);
            (std::mem::take(&mut links.dependents), links.work.take())
        };
        drop(work);
        for dependent in dependents {
            let mut links = dependent.links.lock();
            links.pending -= 1;
            if links.pending == 0 {
                drop(links);
                startable.push(dependent);
            }
        }
        if self.queues.waiters > 0 {
            SCHEDULER.completed.notify_all();
        }
    }

    fn complete(&mut self, task: &Arc<Task>) {
        let mut startable = Vec::new();
        self.finish(task, &mut startable);
        for next in startable {
            self.start(next);
        }
    }
}

/// Waits until a task has ended.
pub(super) fn wait(task: &Task) {
    if task.is_done() {
        return;
    }
    let mut queues = SCHEDULER.queues.lock();
    queues.waiters += 1;
    while !task.is_done() {
        SCHEDULER.completed.wait(&mut queues);
    }
    queues.waiters -= 1;
}

/// Waits until it is the turn of a [`Runner::Caller`] task, and runs it on this thread.
///
/// # Errors
/// What the task answers; the context's sticky error when the task was skipped because of it.
pub(super) fn run_here(task: &Arc<Task>) -> Result {
    {
        let mut queues = SCHEDULER.queues.lock();
        queues.waiters += 1;
        while task.links.lock().pending > 0 {
            SCHEDULER.completed.wait(&mut queues);
        }
        queues.waiters -= 1;
    }
    let code = execute(task);
    submit().complete(task);
    match code {
        SUCCESS => task.context.check(),
        code => Err(code),
    }
}

/// Runs a task's work; a fault poisons its context.
fn execute(task: &Arc<Task>) -> i32 {
    let work = task.links.lock().work.take();
    let Some(work) = work else { return SUCCESS };
    if task.context.is_dead() && !work.runs_after_faults() {
        return SUCCESS;
    }
    let outcome = catch_unwind(AssertUnwindSafe(|| work.run(&task.context))).unwrap_or_else(|_| {
        eprintln!("gvirtus-cpu: internal error while work of a stream ran");
        Err(ERROR_LAUNCH_FAILED)
    });
    match outcome {
        Ok(()) => SUCCESS,
        Err(code) => {
            task.context.poison(code);
            code
        }
    }
}

fn core_workers() -> usize {
    state::initialized().config.threads.max(2)
}

fn spawn(name: &str, body: fn()) {
    if thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
        .is_err()
    {
        eprintln!("gvirtus-cpu: the host refuses another thread");
    }
}

fn worker_thread() {
    let mut queues = SCHEDULER.queues.lock();
    loop {
        if let Some(task) = queues.pop() {
            queues.last_start = Some(Instant::now());
            drop(queues);
            execute(&task);
            let mut submission = submit();
            submission.takes_one = true;
            submission.complete(&task);
            queues = submission.queues;
            continue;
        }
        queues.idle += 1;
        let timed_out = SCHEDULER.work.wait_for(&mut queues, LINGER).timed_out();
        queues.idle -= 1;
        if timed_out && !queues.backlog() && queues.workers > core_workers() {
            queues.workers -= 1;
            return;
        }
    }
}

fn host_function_thread() {
    let mut queues = SCHEDULER.queues.lock();
    loop {
        if let Some(task) = queues.host.pop_front() {
            drop(queues);
            execute(&task);
            let mut submission = submit();
            submission.complete(&task);
            queues = submission.queues;
            continue;
        }
        queues.host_idle += 1;
        let timed_out = SCHEDULER
            .host_work
            .wait_for(&mut queues, LINGER)
            .timed_out();
        queues.host_idle -= 1;
        if timed_out && queues.host.is_empty() {
            return;
        }
    }
}

fn monitor_thread() {
    let mut submission = submit();
    loop {
        let polled = std::mem::take(&mut submission.queues.polled);
        for task in polled {
            let over = task.context.is_dead()
                || matches!(&task.links.lock().work, Some(Work::WaitValue(wait)) if wait.holds());
            if over {
                submission.complete(&task);
            } else {
                submission.queues.polled.push(task);
            }
        }
        let queues = &submission.queues;
        let stalled = queues.backlog()
            && queues.idle == 0
            && queues
                .last_start
                .is_none_or(|start| start.elapsed() > STALL);
        if stalled && submission.queues.workers < MAX_WORKERS {
            submission.add_worker();
        }
        let pause = if !submission.queues.polled.is_empty() {
            POLL
        } else if submission.queues.backlog() {
            STALL / 2
        } else {
            LINGER
        };
        let timed_out = SCHEDULER
            .attention
            .wait_for(&mut submission.queues, pause)
            .timed_out();
        let queues = &mut submission.queues;
        if timed_out && pause == LINGER && queues.polled.is_empty() && !queues.backlog() {
            queues.monitor = false;
            return;
        }
    }
}
