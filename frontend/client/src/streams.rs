//! Streams and events as the client knows them: who is valid, what is in flight, what is complete, what is being captured.
//!
//! Every command on a stream is remembered by its number until the worker reports that the stream has passed it. That answers queries without asking, tells implicit
//! synchronization whether anything is outstanding, and is the credit that keeps the worker's driver from blocking.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ffi::c_void;
use std::io::IoSlice;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::time::Duration;

use gvirtus_shm::spin::Spin;
use gvirtus_wire::api::core::StreamCreate;
use gvirtus_wire::api::types::{CUresult, CUstream, error};
use gvirtus_wire::command::{Command, Outgoing};
use parking_lot::{Condvar, Mutex, MutexGuard, RwLock};
use smallvec::SmallVec;

pub(crate) use crate::capture::Capture;
use crate::driver::context::Context;
pub(crate) use crate::events::event_id;
use crate::handles;
use crate::memory::ledger::Entry;
use crate::memory::{managed, mapped};
use crate::session::Session;
use crate::taken;

/// Commands in flight per stream. The driver blocks at about 1,020, and the worker must never be caught in that.
const CREDIT: usize = 900;

/// So many streams are gone through without an allocation.
const FEW: usize = 4;

/// The most that one command counts for.
pub(crate) const MOST_WEIGHT: usize = 64;

/// `CU_STREAM_LEGACY`.
const LEGACY: u64 = 1;
/// `CU_STREAM_PER_THREAD`.
pub(crate) const PER_THREAD: u64 = 2;
/// `CU_STREAM_NON_BLOCKING`.
pub(crate) const NON_BLOCKING: u32 = 1;

/// Upper half of a stream handle: no address of a program looks like it.
const TAG: u64 = 0x5354_0000_0000_0000;

/// One stream.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) id: u32,
    pub(crate) context: u32,
    pub(crate) flags: u32,
    pub(crate) priority: AtomicI32,
    /// What the program holds.
    pub(crate) handle: u64,
    /// Never used twice in a process.
    pub(crate) number: u64,
    /// Ours: the program knows nothing of it.
    private: AtomicBool,
    /// Its work may be that of any context.
    spans: AtomicBool,
    state: Mutex<State>,
    room: Condvar,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    /// Numbers of commands that are not known to be complete, rising.
    in_flight: VecDeque<u64>,
    /// What the stream waits for on other streams: once it has passed the first number, the other stream has passed the second.
    waits: VecDeque<(u64, Arc<Stream>, u64)>,
    pub(crate) capture: Option<Arc<Capture>>,
    /// Threads that wait for commands to complete.
    watchers: u32,
}

#[derive(Default)]
struct Table {
    /// By id; id 0 is never used.
    slots: Vec<Option<Arc<Stream>>>,
    /// Destroyed, but still working: they keep their id until they are done.
    leaving: Vec<Arc<Stream>>,
    generation: u64,
}

static TABLE: RwLock<Table> = RwLock::new(Table {
    slots: Vec::new(),
    leaving: Vec::new(),
    generation: 0,
});
/// The legacy default streams, one per context.
static DEFAULTS: RwLock<Vec<Arc<Stream>>> = RwLock::new(Vec::new());

thread_local! {
    /// The per-thread default streams of this thread, one per context.
    static OWN: RefCell<Vec<Arc<Stream>>> = const { RefCell::new(Vec::new()) };
}

impl Stream {
    fn new(id: u32, context: u32, flags: u32, priority: i32, handle: u64) -> Arc<Self> {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Arc::new(Self {
            id,
            context,
            flags,
            priority: AtomicI32::new(priority),
            handle,
            number,
            private: AtomicBool::new(false),
            spans: AtomicBool::new(false),
            state: Mutex::default(),
            room: Condvar::new(),
        })
    }

    /// A stream of no session; a blocking one would want its context's others.
    #[cfg(test)]
    pub(crate) fn for_test() -> Arc<Self> {
        Self::new(1, 0, NON_BLOCKING, 0, 0)
    }

    /// A command is in flight.
    #[cfg(test)]
    pub(crate) fn pretend(&self, sequence: u64) {
        let mut state = self.state.lock();
        if state.in_flight.back().is_none_or(|&last| last < sequence) {
            state.in_flight.push_back(sequence);
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Whether it takes part in the legacy default stream's implicit synchronization.
    pub(crate) fn is_blocking(&self) -> bool {
        self.flags & NON_BLOCKING == 0
    }

    /// Queues a command of this stream, waiting for credit if too many are in flight. Captured commands take none: they do not run.
    ///
    /// The state is not locked while bytes are written: the receiving side needs it, and must never wait for the network.
    #[inline]
    pub(crate) fn post<C: Outgoing>(
        &self,
        session: &Session,
        command: &C,
        bulk: &[IoSlice<'_>],
    ) -> Result<u64, CUresult> {
        self.post_weighing(session, command, bulk, 1, false)
    }

    /// [`post`](Self::post) with bulk that stays as it is until the command is complete: it may still be on its way when this returns.
    pub(crate) fn post_staying<C: Outgoing>(
        &self,
        session: &Session,
        command: &C,
        bulk: &[IoSlice<'_>],
    ) -> Result<u64, CUresult> {
        self.post_weighing(session, command, bulk, 1, true)
    }

    /// [`post`](Self::post) for a command that makes the driver do several things.
    #[inline]
    fn post_weighing<C: Outgoing>(
        &self,
        session: &Session,
        command: &C,
        bulk: &[IoSlice<'_>],
        weight: usize,
        stays: bool,
    ) -> Result<u64, CUresult> {
        let admit = |sequence| {
            let mut state = self.state.lock();
            let admitted = state.capture.is_none() && state.in_flight.len() + weight <= CREDIT;
            if admitted {
                (0..weight).for_each(|_| state.in_flight.push_back(sequence));
            }
            admitted
        };
        match session.post_if(self.context, command, bulk, admit)? {
            Some(sequence) => Ok(sequence),
            None => self.post_slowly(session, command, bulk, weight, stays),
        }
    }

    /// A captured command, one that has to wait for credit, or with bulk that does not go through the queue.
    #[cold]
    fn post_slowly<C: Outgoing>(
        &self,
        session: &Session,
        command: &C,
        bulk: &[IoSlice<'_>],
        weight: usize,
        stays: bool,
    ) -> Result<u64, CUresult> {
        let mut state = self.state.lock();
        if state.capture.is_some() {
            drop(state);
            return session.post_bulk(self.context, command, bulk, stays, |_| ());
        }
        while state.in_flight.len() + weight > CREDIT {
            drop(state);
            session.flush();
            session.check(self.context)?;
            state = self.state.lock();
            if state.in_flight.len() + weight > CREDIT {
                self.room.wait_for(&mut state, Duration::from_millis(100));
            }
        }
        drop(state);
        session.post_bulk(self.context, command, bulk, stays, |sequence| {
            let mut state = self.state.lock();
            (0..weight).for_each(|_| state.in_flight.push_back(sequence));
        })
    }

    /// [`post`](Self::post) for a command that makes this stream wait for command `until` of another.
    pub(crate) fn post_wait<C: Command>(
        &self,
        session: &Session,
        command: &C,
        other: Arc<Self>,
        until: u64,
    ) -> Result<(), CUresult> {
        let sequence = self.post(session, command, &[])?;
        let mut state = self.state.lock();
        // Passed already? Then the other has, too.
        if state.in_flight.front().is_some_and(|&s| s <= sequence) {
            state.waits.push_back((sequence, other, until));
        } else {
            drop(state);
            other.complete(until);
        }
        Ok(())
    }

    /// Everything up to `sequence` is complete, and so is what this stream has waited for until then: events of other streams, and by the rules of the legacy default
    /// stream, the work before it of the streams that it synchronizes with. A program that has seen this stream complete must see those complete, too.
    pub(crate) fn complete(&self, sequence: u64) {
        let mut waited = SmallVec::<[_; FEW]>::new();
        {
            let mut state = self.state.lock();
            let Some(&first) = state.in_flight.front() else {
                return;
            };
            if first > sequence {
                return;
            }
            let awaited = state.in_flight.len() + MOST_WEIGHT > CREDIT || state.watchers > 0;
            let mut last = first;
            while let Some(&next) = state.in_flight.front().filter(|&&s| s <= sequence) {
                state.in_flight.pop_front();
                last = next;
            }
            while state.waits.front().is_some_and(|w| w.0 <= last) {
                waited.extend(
                    state
                        .waits
                        .pop_front()
                        .map(|(_, other, until)| (other, until)),
                );
            }
            drop(state);
            if awaited {
                self.room.notify_all();
            }
            if self.id == 0 {
                waited.extend(
                    of_context(self.context)
                        .into_iter()
                        .filter(|s| s.id != 0 && s.is_blocking())
                        .map(|s| (s, last)),
                );
            } else if self.is_blocking() {
                waited.push((legacy(self.context), last));
            }
        }
        for (other, until) in waited {
            other.complete(until);
        }
    }

    /// Whether the command with that number is known to be complete.
    pub(crate) fn has_passed(&self, sequence: u64) -> bool {
        self.state
            .lock()
            .in_flight
            .front()
            .is_none_or(|&s| s > sequence)
    }

    /// Waits until the command with that number is complete.
    pub(crate) fn wait_until_passed(
        &self,
        session: &Session,
        sequence: u64,
    ) -> Result<(), CUresult> {
        session.flush();
        if Spin::default().look(|| self.has_passed(sequence)) {
            return session.check(self.context);
        }
        let mut state = self.state.lock();
        state.watchers += 1;
        let done = loop {
            if state.in_flight.front().is_none_or(|&s| s > sequence) {
                break session.check(self.context);
            }
            // Errors wake nobody who looks at the wrong moment, so look now and then.
            self.room.wait_for(&mut state, Duration::from_millis(100));
            if let Err(status) = session.check(self.context) {
                break Err(status);
            }
        };
        state.watchers -= 1;
        done
    }

    /// Number of the last command that is not known to be complete.
    pub(crate) fn last_in_flight(&self) -> Option<u64> {
        self.state.lock().in_flight.back().copied()
    }

    /// Whether all that is in flight is so.
    pub(crate) fn in_flight_are(&self, so: impl Fn(u64) -> bool) -> bool {
        self.state.lock().in_flight.iter().all(|number| so(*number))
    }

    /// Whether nothing is known to be in flight.
    pub(crate) fn is_idle(&self) -> bool {
        self.state.lock().in_flight.is_empty()
    }
}

/// The stream that a program means by a handle, in the current context.
pub(crate) fn resolve(
    session: &Session,
    context: &Context,
    handle: CUstream,
) -> Result<Arc<Stream>, CUresult> {
    let stream = look_up(session, context, handle)?;
    taken::settle(session, &stream)?;
    Ok(stream)
}

/// [`resolve`] for a caller that sees to what its use of the stream has to wait for.
pub(crate) fn look_up(
    session: &Session,
    context: &Context,
    handle: CUstream,
) -> Result<Arc<Stream>, CUresult> {
    match handle as u64 {
        0 | LEGACY => Ok(legacy(context.stream_context)),
        // Green contexts have no such streams.
        PER_THREAD if context.is_green() => Err(error::ERROR_INVALID_HANDLE),
        PER_THREAD => own(session, context),
        handle => by_handle(handle),
    }
}

/// A stream's work uses what is of the context with that number: it is a stream of it, or of a green context that is a part of it.
///
/// # Errors
/// `CUDA_ERROR_INVALID_HANDLE` otherwise.
pub(crate) fn check_home(stream: &Stream, context: u32) -> Result<(), CUresult> {
    if stream.context == context || crate::driver::context::home(stream.context) == context {
        Ok(())
    } else {
        Err(error::ERROR_INVALID_HANDLE)
    }
}

/// The stream with that handle, among those that the program created.
pub(crate) fn by_handle(handle: u64) -> Result<Arc<Stream>, CUresult> {
    let table = TABLE.read();
    let stream = table
        .slots
        .get((handle & 0xffff_ffff) as usize)
        .and_then(Option::as_ref);
    match stream {
        Some(stream) if stream.handle == handle => Ok(Arc::clone(stream)),
        _ => Err(error::ERROR_INVALID_HANDLE),
    }
}

/// The legacy default stream of a context.
pub(crate) fn legacy(context: u32) -> Arc<Stream> {
    if let Some(stream) = DEFAULTS.read().iter().find(|s| s.context == context) {
        return Arc::clone(stream);
    }
    let mut defaults = DEFAULTS.write();
    if let Some(stream) = defaults.iter().find(|s| s.context == context) {
        return Arc::clone(stream);
    }
    let stream = Stream::new(0, context, 0, 0, LEGACY);
    defaults.push(Arc::clone(&stream));
    stream
}

/// The calling thread's default stream in a context.
fn own(session: &Session, context: &Context) -> Result<Arc<Stream>, CUresult> {
    let known = OWN.with_borrow(|own| {
        own.iter()
            .find(|s| s.context == context.stream_context)
            .cloned()
    });
    if let Some(stream) = known.filter(|s| by_handle(s.handle).is_ok()) {
        return Ok(stream);
    }
    let stream = create(session, context, 0, 0)?;
    OWN.with_borrow_mut(|own| {
        own.retain(|s| s.context != context.stream_context);
        own.push(Arc::clone(&stream));
    });
    Ok(stream)
}

/// Creates a stream; the worker is told, nothing is waited for.
pub(crate) fn create(
    session: &Session,
    context: &Context,
    flags: u32,
    priority: i32,
) -> Result<Arc<Stream>, CUresult> {
    let stream = {
        let mut table = TABLE.write();
        if table.slots.is_empty() {
            table.slots.push(None);
        }
        let done: Vec<u32> = table
            .leaving
            .iter()
            .filter(|s| s.is_idle())
            .map(|s| s.id)
            .collect();
        table.leaving.retain(|s| !done.contains(&s.id));
        let free = (1..table.slots.len()).find(|&i| {
            table.slots[i].is_none() && !table.leaving.iter().any(|s| s.id as usize == i)
        });
        let id = free.unwrap_or(table.slots.len());
        if id == table.slots.len() {
            table.slots.push(None);
        }
        table.generation = (table.generation + 1) & 0xffff;
        let handle = TAG | table.generation << 32 | id as u64;
        let stream = Stream::new(id as u32, context.stream_context, flags, priority, handle);
        table.slots[id] = Some(Arc::clone(&stream));
        // Queued under the lock: whoever finds the stream finds it created.
        session.queue(
            context.stream_context,
            &StreamCreate {
                stream: id as u32,
                flags,
                priority,
            },
        )?;
        stream
    };
    Ok(stream)
}

/// Takes a stream from the table. Its work goes on.
pub(crate) fn remove(stream: &Arc<Stream>) {
    let mut table = TABLE.write();
    if let Some(slot) = table.slots.get_mut(stream.id as usize) {
        *slot = None;
    }
    handles::changed();
    if !stream.is_idle() {
        table.leaving.push(Arc::clone(stream));
    }
}

/// Every live stream of a context, the default one included.
pub(crate) fn of_context(context: u32) -> SmallVec<[Arc<Stream>; FEW]> {
    let mut all: SmallVec<_> = DEFAULTS
        .read()
        .iter()
        .filter(|s| s.context == context)
        .cloned()
        .collect();
    let table = TABLE.read();
    all.extend(
        table
            .slots
            .iter()
            .flatten()
            .chain(&table.leaving)
            .filter(|s| s.context == context)
            .cloned(),
    );
    all
}

/// Whether that is so of any live stream of a context, the default one included. It is asked while no stream can come or go.
fn any_of_context(context: u32, is: impl Fn(&Stream) -> bool) -> bool {
    let is = |stream: &&Arc<Stream>| stream.context == context && is(stream);
    if DEFAULTS.read().iter().any(|s| is(&s)) {
        return true;
    }
    let table = TABLE.read();
    let live = table.slots.iter().flatten();
    live.chain(&table.leaving).any(|s| is(&s))
}

/// Sends a launch on the stream that the program means, after the checks that CUDA makes at once. It may use pinned memory in place: that in `in_place`, and what was
/// captured with it if it is a graph; and managed memory. The result is its number.
pub(crate) fn submit<C: Command>(
    session: &Session,
    context: &Context,
    stream: CUstream,
    in_place: &[Entry],
    managed: managed::Uses<'_>,
    make: impl FnOnce(u32) -> C,
) -> Result<u64, CUresult> {
    let stream = look_up(session, context, stream)?;
    let command = make(stream.id);
    submit_on(session, context, &stream, in_place, managed, &command)
}

/// [`submit`] where the stream is known.
#[inline]
pub(crate) fn submit_on<C: Outgoing>(
    session: &Session,
    context: &Context,
    stream: &Arc<Stream>,
    in_place: &[Entry],
    managed: managed::Uses<'_>,
    command: &C,
) -> Result<u64, CUresult> {
    taken::settle(session, stream)?;
    check_home(stream, context.id)?;
    crate::capture::enqueue_allowed(stream)?;
    let graph = matches!(managed, managed::Uses::Graph);
    let _underway = managed::before(session, stream, managed)?;
    if in_place.is_empty() && !mapped::any() {
        return stream.post(session, command, &[]);
    }
    let used = mapped::before(session, stream, in_place, graph)?;
    let sequence = stream.post(session, command, &[])?;
    mapped::after(&used, stream, sequence);
    Ok(sequence)
}

/// A library's work, as its frontend gives it.
pub(crate) struct Work<'a> {
    pub(crate) stream: CUstream,
    /// May be addresses of memory that the work uses.
    pub(crate) words: &'a [u8],
    /// About how many operations the driver will have pending for it.
    pub(crate) weight: usize,
    pub(crate) wait: bool,
}

/// [`submit`] for a library's work, which counts as `weight` commands; with `wait`, its reply.
pub(crate) fn submit_library<C: Command>(
    session: &Session,
    context: &Context,
    work: &Work<'_>,
    make: impl FnOnce(u32) -> C,
) -> Result<Option<C::Reply>, CUresult> {
    let stream = resolve(session, context, work.stream)?;
    check_home(&stream, context.id)?;
    crate::capture::enqueue_allowed(&stream)?;
    if work.wait && stream.state.lock().capture.is_some() {
        // The answer would be that of work which does not run.
        return Err(error::ERROR_STREAM_CAPTURE_UNSUPPORTED);
    }
    let in_place = crate::memory::ledger::host_among(work.words);
    let _underway = managed::before(session, &stream, managed::Uses::Kernel(work.words))?;
    let used = mapped::before(session, &stream, &in_place, false)?;
    if work.wait {
        let mut number = 0;
        let reply = session.call_bulk(stream.context, &make(stream.id), &[], |sequence| {
            number = sequence;
        })?;
        synchronized(&stream, number);
        return Ok(Some(reply));
    }
    let sequence = stream.post_weighing(session, &make(stream.id), &[], work.weight, false)?;
    mapped::after(&used, &stream, sequence);
    Ok(None)
}

/// What has to be complete before what comes next on a stream may begin: each stream with the number of its last command, by the rules of the legacy default stream.
pub(crate) fn work_before(stream: &Arc<Stream>) -> Vec<(Arc<Stream>, u64)> {
    let mut streams = vec![Arc::clone(stream)];
    if stream.id == 0 {
        streams.extend(
            of_context(stream.context)
                .into_iter()
                .filter(|s| s.id != 0 && s.is_blocking()),
        );
    } else if stream.is_blocking() {
        streams.push(legacy(stream.context));
    }
    streams
        .into_iter()
        .filter_map(|s| s.last_in_flight().map(|last| (s, last)))
        .collect()
}

/// Whether work of a context may still be running, by the client's knowledge.
pub(crate) fn outstanding(context: u32) -> bool {
    let own = |s: &Stream| !s.private.load(Ordering::Relaxed) && !s.is_idle();
    any_of_context(context, own)
        || SPANNING.load(Ordering::Relaxed)
            && running()
                .iter()
                .any(|(s, _)| s.spans.load(Ordering::Relaxed))
}

/// Whether any graph was launched whose kernels are of several contexts.
static SPANNING: AtomicBool = AtomicBool::new(false);

/// From here on work of a stream may be that of any context.
pub(crate) fn span(stream: &Stream) {
    stream.spans.store(true, Ordering::Relaxed);
    SPANNING.store(true, Ordering::Relaxed);
}

/// The program's streams with work that is not known to be complete, and the number of its last command.
pub(crate) fn running() -> Vec<(Arc<Stream>, u64)> {
    let mut all = DEFAULTS.read().clone();
    {
        let table = TABLE.read();
        all.extend(table.slots.iter().flatten().chain(&table.leaving).cloned());
    }
    all.into_iter()
        .filter(|s| !s.private.load(Ordering::Relaxed))
        .filter_map(|s| s.last_in_flight().map(|last| (s, last)))
        .collect()
}

/// A stream of ours: its work is not the program's.
pub(crate) fn keep_private(stream: &Stream) {
    stream.private.store(true, Ordering::Relaxed);
}

/// Whether work that the legacy default stream waits for may still be running.
pub(crate) fn blocking_outstanding(context: u32) -> bool {
    any_of_context(context, |s| s.is_blocking() && !s.is_idle())
}

/// The worker says that a stream has passed a command.
pub(crate) fn progress(context: u32, stream: u32, sequence: u64) {
    if stream == 0 {
        legacy(context).complete(sequence);
        return;
    }
    let known: Vec<_> = {
        let table = TABLE.read();
        let live = table.slots.get(stream as usize).and_then(Option::as_ref);
        live.into_iter()
            .chain(table.leaving.iter().filter(|s| s.id == stream))
            .cloned()
            .collect()
    };
    known.iter().for_each(|s| s.complete(sequence));
}

/// A synchronization of one stream came back: everything before command `sequence` is complete. The legacy stream waits for all blocking streams.
pub(crate) fn synchronized(stream: &Stream, sequence: u64) {
    stream.complete(sequence);
    if stream.id == 0 {
        of_context(stream.context)
            .iter()
            .filter(|s| s.is_blocking())
            .for_each(|s| s.complete(sequence));
    }
}

/// A synchronization of a context came back.
pub(crate) fn context_synchronized(context: u32, sequence: u64) {
    of_context(context)
        .iter()
        .for_each(|s| s.complete(sequence));
}

/// A context is gone, and its streams and events with it.
pub(crate) fn forget_context(context: u32) {
    DEFAULTS.write().retain(|s| s.context != context);
    let mut table = TABLE.write();
    table.leaving.retain(|s| s.context != context);
    for slot in &mut table.slots {
        if slot.as_ref().is_some_and(|s| s.context == context) {
            *slot = None;
        }
    }
    handles::changed();
    drop(table);
    crate::events::forget_context(context);
}

/// Threads that wait for credit look again: the session or a context has failed.
pub(crate) fn wake_all() {
    let table = TABLE.read();
    for stream in table.slots.iter().flatten() {
        stream.room.notify_all();
    }
    for stream in DEFAULTS.read().iter() {
        stream.room.notify_all();
    }
}

/// A stream's handle as C sees it.
pub(crate) fn handle(stream: &Stream) -> CUstream {
    stream.handle as *mut c_void
}
