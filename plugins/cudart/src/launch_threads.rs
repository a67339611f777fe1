//! Launches of several threads of the program, given to the driver by several threads here.
//!
//! The driver takes about 2.5 µs for a launch, on whichever thread calls it. Natively each thread of a program pays that for its own launches; the thread that reads frames would pay it for
//! all of them. So where threads launch by turns on streams of their own, it only hands their launches out: each stream has one of the threads here, which issues its launches in order.
//!
//! Every other command waits until all launches that were handed out are issued ([`LaunchThreads::drain`]), so nothing else sees a difference. Among launches, those of different streams may change places, which no
//! program can tell, except between the legacy stream of a context and its blocking streams, which wait for one another: at most one side has launches handed out.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use gvirtus_wire::api::core::Launch;
use gvirtus_wire::codec::decode_all;
use gvirtus_wire::command::Command;
use gvirtus_wire::communicator::watch;
use gvirtus_wire::frame::Header;
use parking_lot::{Condvar, Mutex};

use crate::launch_chain::{Held, SHORT};
use crate::progress::Lane;
use crate::session::Session;

/// Launches change hands when the issuing thread and the stream changed so often …
const CHANGES: usize = 4;
/// … within so many frames, and no longer when so many came without a change.
const WINDOW: u64 = 4096;
/// The most launches that wait for one thread: a client that keeps to its credits stays below.
const MOST_WAITING: usize = 4096;
/// How long a thread looks for its next launch before it sleeps.
const BETWEEN_LAUNCHES: Duration = Duration::from_micros(100);
/// The most threads unless the configuration says otherwise, and how many processors there must be for each.
const MOST_THREADS: usize = 8;
const PROCESSORS_PER_THREAD: usize = 4;

/// A launch, as it came.
struct Job {
    header: Header,
    launch: Launch,
    lane: Arc<Lane>,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    asleep: bool,
}

/// One thread, and what it is to issue.
#[derive(Default)]
struct Launcher {
    queue: Mutex<Queue>,
    /// Length of the queue, for looking at without the lock.
    waiting: AtomicUsize,
    wake: Condvar,
}

/// What the launches of late were like. Only the thread that reads frames writes it.
#[derive(Default)]
struct Habit {
    /// The last launch's thread and stream.
    last: AtomicU64,
    /// Numbers of the last frames where both changed, in a ring.
    changes: Mutex<([u64; CHANGES], usize)>,
    /// The newest of them.
    changed: AtomicU64,
    by_turns: AtomicBool,
}

impl Habit {
    /// Whether several threads launch by turns, this launch counted in.
    #[inline]
    fn by_turns(&self, header: &Header, stream: u64) -> bool {
        let this = u64::from(header.thread) << 32 | stream;
        let last = self.last.load(Ordering::Relaxed);
        if this == last {
            let by_turns = self.by_turns.load(Ordering::Relaxed);
            if by_turns
                && header
                    .sequence
                    .wrapping_sub(self.changed.load(Ordering::Relaxed))
                    > WINDOW
            {
                self.by_turns.store(false, Ordering::Relaxed);
                return false;
            }
            return by_turns;
        }
        self.last.store(this, Ordering::Relaxed);
        if this >> 32 != last >> 32 && this as u32 != last as u32 {
            self.change(header.sequence);
        }
        self.by_turns.load(Ordering::Relaxed)
    }

    #[cold]
    fn change(&self, sequence: u64) {
        let mut changes = self.changes.lock();
        let (ring, at) = &mut *changes;
        let oldest = std::mem::replace(&mut ring[*at], sequence);
        *at = (*at + 1) % CHANGES;
        self.changed.store(sequence, Ordering::Relaxed);
        let by_turns = oldest != 0 && sequence.wrapping_sub(oldest) <= WINDOW;
        self.by_turns.store(by_turns, Ordering::Relaxed);
    }
}

/// The threads of a session that launch. They are started when first needed.
pub(crate) struct LaunchThreads {
    launchers: Box<[Launcher]>,
    started: AtomicBool,
    /// Launches that were handed out and are not issued.
    pending: AtomicUsize,
    habit: Habit,
}

impl LaunchThreads {
    /// `threads` of them, or as many as suit the machine. Fewer than two are none.
    pub(crate) fn new(threads: Option<usize>) -> Self {
        let suitable = || {
            let processors = std::thread::available_parallelism().map_or(1, usize::from);
            processors / PROCESSORS_PER_THREAD
        };
        let threads = threads.unwrap_or_else(|| suitable().min(MOST_THREADS));
        let threads = if threads < 2 { 0 } else { threads };
        Self {
            launchers: (0..threads).map(|_| Launcher::default()).collect(),
            started: AtomicBool::new(false),
            pending: AtomicUsize::new(0),
            habit: Habit::default(),
        }
    }

    /// Returns when everything that was handed out is issued. Called before any other command, on the thread that reads frames.
    #[inline]
    pub(crate) fn drain(&self) {
        if self.pending.load(Ordering::Acquire) != 0 {
            self.wait();
        }
    }

    #[cold]
    fn wait(&self) {
        let done = || self.pending.load(Ordering::Acquire) == 0;
        // Each launch takes microseconds, unless the driver's queue of the stream is full.
        for round in 0u32.. {
            if done() {
                return;
            }
            match round {
                ..2_000 => std::hint::spin_loop(),
                2_000..4_000 => std::thread::yield_now(),
                _ => std::thread::sleep(Duration::from_micros(50)),
            }
        }
    }

    /// Whether launches were ever handed out.
    #[cfg(test)]
    pub(crate) fn in_use(&self) -> bool {
        self.started.load(Ordering::Relaxed)
    }

    fn start(&self, session: &'static Session) -> bool {
        if self.started.swap(true, Ordering::Relaxed) {
            return true;
        }
        for number in 0..self.launchers.len() {
            let started = std::thread::Builder::new()
                .name(format!("launch-{number}"))
                .spawn(move || session.launch_threads.serve(session, number));
            if let Err(e) = started {
                session.host.fail(&format!("no thread for launches: {e}"));
                return false;
            }
        }
        true
    }

    fn serve(&self, session: &'static Session, number: usize) {
        let launcher = &self.launchers[number];
        let mut jobs = VecDeque::new();
        loop {
            watch(
                BETWEEN_LAUNCHES,
                || launcher.waiting.load(Ordering::Acquire) > 0,
                || false,
            );
            {
                let mut queue = launcher.queue.lock();
                while queue.jobs.is_empty() {
                    queue.asleep = true;
                    launcher.wake.wait(&mut queue);
                    queue.asleep = false;
                }
                std::mem::swap(&mut queue.jobs, &mut jobs);
                launcher.waiting.store(0, Ordering::Release);
            }
            if jobs.len() >= SHORT {
                // Streams by turns become one stream after the other, in the order that each has.
                let jobs = jobs.make_contiguous();
                jobs.sort_by_key(|job| (job.lane.context.id, job.lane.stream));
            }
            while let Some(first) = jobs.front() {
                let (of, lane) = (first.header, Arc::clone(&first.lane));
                let run = jobs
                    .iter()
                    .take_while(|job| Arc::ptr_eq(&job.lane, &lane))
                    .count();
                let launches = jobs.drain(..run).map(|job| (job.header, job.launch));
                session.finish_launches(&of, lane.stream, launches);
                if let Some(count) = lane.handed_out() {
                    count.fetch_sub(run, Ordering::Release);
                }
                drop(lane);
                self.pending.fetch_sub(run, Ordering::Release);
            }
        }
    }

    fn hand_out(&self, job: Job) {
        let number = job.lane.stream as usize ^ job.lane.context.id as usize;
        let launcher = &self.launchers[number % self.launchers.len()];
        while launcher.waiting.load(Ordering::Acquire) >= MOST_WAITING {
            std::thread::sleep(Duration::from_micros(50));
        }
        self.pending.fetch_add(1, Ordering::Relaxed);
        if let Some(count) = job.lane.handed_out() {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let mut queue = launcher.queue.lock();
        queue.jobs.push_back(job);
        launcher.waiting.store(queue.jobs.len(), Ordering::Release);
        if queue.asleep {
            launcher.wake.notify_one();
        }
    }
}

impl Session {
    /// Hands a launch to another thread if that pays; false if it has to be executed like any other command.
    #[inline]
    pub(crate) fn hand_out(&self, header: &Header, payload: &[u8]) -> bool {
        if header.opcode != Launch::OPCODE || self.launch_threads.launchers.is_empty() {
            return false;
        }
        // Which stream it is stands behind the function.
        let Some(stream) = payload.get(4..8).and_then(|b| <[u8; 4]>::try_from(b).ok()) else {
            return false;
        };
        let stream = u32::from_le_bytes(stream);
        // Streams of different contexts may have one number.
        let key = stream ^ header.context.rotate_left(20);
        self.launch_threads.habit.by_turns(header, u64::from(key))
            && !header.wants_reply()
            && self.hand_out_slowly(header, payload)
    }

    fn hand_out_slowly(&self, header: &Header, payload: &[u8]) -> bool {
        self.forget_last_launch();
        // Captures go by the order of all streams, and memory that kernels use in place by that of threads.
        if self.progress.captures.load(Ordering::Relaxed) > 0 || self.progress.mapped.any() {
            return false;
        }
        let Ok(launch) = decode_all::<Launch>(payload) else {
            return false;
        };
        let Ok(stream) = self.stream(header, launch.stream) else {
            return false;
        };
        let lane = &stream.lane;
        if lane.other_side_handed_out() {
            self.launch_threads.drain();
        }
        // The other side's markers are placed here: with launches on neither side, no other thread does.
        self.progress.before(self, lane);
        if !self.launch_threads.start(self.forever()) {
            return false;
        }
        self.launch_threads.hand_out(Job {
            header: *header,
            launch,
            lane: Arc::clone(lane),
        });
        true
    }

    /// Issues launches that were handed out, all on the stream with that number of the frame's context, and tells of those that fail.
    fn finish_launches(
        &self,
        of: &Header,
        id: u32,
        launches: impl ExactSizeIterator<Item = (Header, Launch)>,
    ) {
        let mut at = of.sequence;
        let run = AssertUnwindSafe(|| {
            let stream = self.stream(of, id);
            let mut held = Vec::with_capacity(launches.len());
            for (header, launch) in launches {
                at = header.sequence;
                let ready = stream.as_ref().map_err(|status| *status);
                let ready = ready.and_then(|stream| {
                    let function = self.functions.get(launch.function);
                    // One that fails counts as issued.
                    function.inspect_err(|_| {
                        self.progress.note(self, &stream.lane, header.sequence, 1);
                    })
                });
                match ready {
                    Ok(function) => held.push(Held::new(header, launch, function)),
                    Err(status) => self.failed(&header, status),
                }
            }
            if let Ok(stream) = stream {
                self.issue(&stream, &mut held);
            }
        });
        if catch_unwind(run).is_err() {
            self.host.fail(&format!(
                "frame {at} (Launch) or one handed out with it: the handler panicked"
            ));
        }
    }
}
