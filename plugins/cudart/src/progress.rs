//! How far each stream has come: markers behind its work, and what is told to the client when they complete.
//!
//! Every stream has a [`Lane`]. Commands are noted in its open batch; a marker closes the batch under a ticket, and the driver writes that ticket to the lane's word
//! (or an event completes) when the stream gets there. Completed batches free staging memory, send the bytes that the GPU wrote to pinned memory, and become
//! progress messages, in that order.
//!
//! Batches are filled and closed on the thread that is reading frames, or for launches that it handed out on the stream's launching thread while the former leaves the lane alone; so tickets rise in the order of the frames.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use gvirtus_wire::api::core::{self, Progress as ProgressMessage};
use parking_lot::{Condvar, Mutex};

use crate::contexts::Context;
use crate::driver::{Handle, cu};
use crate::errors::{ERROR_NOT_READY, Result, is_sticky};
use crate::graph::Keep;
use crate::host::{self, Host, Sending};
use crate::host_memory::HostWrite;
use crate::mapped::Mapped;
use crate::session::Session;
use crate::staging::Lease;
use crate::words::Word;

/// A marker is placed at the latest after so many commands, or as many operations of a library: well before the client's credit for a stream (900) is spent, so that it has some again while the stream works.
const MARK_EVERY: u32 = 256;
/// And behind so many bytes of staging memory.
const MARK_BYTES: usize = 1 << 20;
/// `CU_STREAM_CAPTURE_STATUS_NONE`.
const NOT_CAPTURING: u32 = 0;

/// What is due when a batch completes.
pub(crate) enum Item {
    /// Staging memory that the batch's copies use.
    Lease(Lease),
    /// What a launched graph uses.
    Keep(#[allow(dead_code, reason = "held until the batch completes")] Arc<Keep>),
    /// Bytes that the client must get.
    Write(HostWrite),
}

#[derive(Default)]
struct Batch {
    /// The last command, 0 for none.
    sequence: u64,
    commands: u32,
    items: Vec<Item>,
    /// Bytes of staging memory that it holds.
    bytes: usize,
    /// It holds a write to the client's memory: its marker must stand before anything that could tell of the write's completion.
    urgent: bool,
}

struct Mark {
    ticket: u64,
    sequence: u64,
    event: Option<Handle>,
    items: Vec<Item>,
}

struct State {
    next_ticket: u64,
    open: Batch,
    queue: VecDeque<Mark>,
    /// In the list of lanes with open batches.
    dirty: bool,
    /// In the list of lanes with queued marks.
    listed: bool,
}

/// The progress of one stream.
pub(crate) struct Lane {
    pub(crate) context: Arc<Context>,
    /// The client's number of the stream.
    pub(crate) stream: u32,
    pub(crate) raw: Handle,
    /// Whether the stream waits for the legacy stream and is waited for by it.
    blocking: bool,
    word: Option<Word>,
    /// Some marks are events.
    by_events: AtomicBool,
    /// Tickets up to here are known to be complete because somebody synchronised.
    synchronized: AtomicU64,
    /// The last ticket that was dealt with.
    settled: AtomicU64,
    /// The context is poisoned or gone: nothing more will come.
    abandoned: AtomicBool,
    /// The stream is destroyed: no marker can be placed any more.
    retired: AtomicBool,
    state: Mutex<State>,
}

impl Lane {
    /// A lane for a new stream. The context must be current.
    pub(crate) fn new(context: &Arc<Context>, stream: u32, raw: Handle, blocking: bool) -> Self {
        let word = if context.words.usable() {
            context.words.take().ok()
        } else {
            None
        };
        let start = word.as_ref().map_or(0, Word::value);
        Self {
            context: Arc::clone(context),
            stream,
            raw,
            blocking,
            by_events: AtomicBool::new(word.is_none()),
            word,
            synchronized: AtomicU64::new(start),
            settled: AtomicU64::new(start),
            abandoned: AtomicBool::new(false),
            retired: AtomicBool::new(false),
            state: Mutex::new(State {
                next_ticket: start + 1,
                open: Batch::default(),
                queue: VecDeque::new(),
                dirty: false,
                listed: false,
            }),
        }
    }

    /// The ticket that the open batch will get; what is noted on the lane by now is complete behind it.
    pub(crate) fn next_ticket(&self) -> u64 {
        self.state.lock().next_ticket
    }

    /// Nothing that was issued is waited for any more.
    pub(crate) fn is_idle(&self) -> bool {
        let state = self.state.lock();
        state.queue.is_empty() && state.open.sequence == 0
    }

    fn legacy(&self) -> bool {
        self.stream == 0
    }

    /// The count of launches that other threads are to issue, on the lane's side of the order between the legacy stream and blocking ones; `None` of a stream that is on neither.
    pub(crate) fn handed_out(&self) -> Option<&AtomicUsize> {
        if self.legacy() {
            Some(&self.context.legacy_handed_out)
        } else if self.blocking {
            Some(&self.context.blocking_handed_out)
        } else {
            None
        }
    }

    /// Whether there are such launches on the other side.
    pub(crate) fn other_side_handed_out(&self) -> bool {
        let other = if self.legacy() {
            &self.context.blocking_handed_out
        } else {
            &self.context.legacy_handed_out
        };
        (self.legacy() || self.blocking) && other.load(Ordering::Acquire) > 0
    }

    /// How many markers the GPU has not come to.
    pub(crate) fn ahead(&self) -> u64 {
        let placed = self.state.lock().next_ticket - 1;
        placed.saturating_sub(self.completed(false))
    }

    /// Everything up to this ticket is complete, as a synchronising call has shown.
    pub(crate) fn synchronized(&self, ticket: u64) {
        self.synchronized.fetch_max(ticket, Ordering::AcqRel);
    }

    /// No more markers: the stream is about to be destroyed.
    pub(crate) fn retire(&self) {
        self.retired.store(true, Ordering::Release);
    }

    /// The last ticket that is complete. `ask` allows driver calls (not inside a host function).
    fn completed(&self, ask: bool) -> u64 {
        let mut done = self.synchronized.load(Ordering::Acquire);
        if self.abandoned.load(Ordering::Acquire) {
            return u64::MAX;
        }
        if let Some(word) = &self.word {
            done = done.max(word.value());
        }
        if ask && self.by_events.load(Ordering::Acquire) {
            done = done.max(self.completed_events());
        }
        done
    }

    /// The last ticket whose event has completed, for drivers that cannot write words.
    fn completed_events(&self) -> u64 {
        let mut done = 0;
        let state = self.state.lock();
        if state.queue.iter().all(|mark| mark.event.is_none())
            || self.context.make_current().is_err()
        {
            return done;
        }
        for mark in &state.queue {
            let Some(event) = mark.event else { continue };
            match cu!(self.context.driver, cuEventQuery(event.ptr())) {
                Ok(()) => done = mark.ticket,
                Err(_) => break,
            }
        }
        done
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        let idle = self.state.get_mut().queue.is_empty() && !*self.abandoned.get_mut();
        if let Some(word) = self.word.take()
            && idle
        {
            self.context.words.give_back(word);
        }
    }
}

/// What a round of telling needs.
#[derive(Default)]
struct Settling {
    /// Lanes that are looked at, and how far each has come. Kept for its memory.
    lanes: Vec<(Arc<Lane>, u64)>,
    /// Host writes of the round before that may still be on their way.
    sending: Vec<Sending>,
}

/// The session's lanes.
pub(crate) struct Progress {
    /// Lanes with queued marks.
    outstanding: Mutex<Vec<Arc<Lane>>>,
    /// Lanes with open batches.
    dirty: Mutex<Vec<Arc<Lane>>>,
    /// Held while completed batches are collected and told: nothing that implies their completion is sent meanwhile by another thread.
    settling: Mutex<Settling>,
    /// Host writes that were queued and not yet sent.
    writes: AtomicUsize,
    /// Memory that kernels use in place.
    pub(crate) mapped: Mapped,
    /// Captures in progress in the session.
    pub(crate) captures: AtomicUsize,
    pub(crate) closed: AtomicBool,
    pub(crate) poller: crate::poller::Sleeper,
    /// Rounds of the poller, for host functions that cannot ask the driver themselves.
    round: Mutex<u64>,
    rounded: Condvar,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self {
            outstanding: Mutex::new(Vec::new()),
            dirty: Mutex::new(Vec::new()),
            settling: Mutex::default(),
            writes: AtomicUsize::new(0),
            mapped: Mapped::default(),
            captures: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            poller: crate::poller::Sleeper::new(),
            round: Mutex::new(0),
            rounded: Condvar::new(),
        }
    }

    /// Before a command goes to `lane`: places the markers that would otherwise wait for it.
    ///
    /// A marker on the legacy stream waits for all blocking streams and the reverse, so an open batch is closed before work goes to the other side.
    #[inline]
    pub(crate) fn before(&self, session: &Session, lane: &Lane) {
        let context = &lane.context;
        if lane.legacy() {
            if context.blocking_dirty.load(Ordering::Relaxed) {
                self.mark_dirty(session, |other| {
                    other.blocking && !other.legacy() && Arc::ptr_eq(&other.context, context)
                });
                context.blocking_dirty.store(false, Ordering::Relaxed);
            }
        } else if lane.blocking && context.legacy_dirty.load(Ordering::Relaxed) {
            self.mark_dirty(session, |other| {
                other.legacy() && Arc::ptr_eq(&other.context, context)
            });
        }
    }

    /// After a command was issued (or failed to be): it counts as complete when the stream gets here.
    #[inline]
    pub(crate) fn note(&self, session: &Session, lane: &Arc<Lane>, sequence: u64, weight: u32) {
        let full = {
            let mut state = lane.state.lock();
            state.open.sequence = sequence;
            state.open.commands += weight;
            self.dirtied(lane, &mut state);
            state.open.urgent || state.open.commands >= MARK_EVERY || state.open.bytes >= MARK_BYTES
        };
        if full {
            self.mark(session, lane);
        }
    }

    /// Something is due when what was issued so far on the lane completes.
    pub(crate) fn attach(&self, lane: &Arc<Lane>, item: Item) {
        let write = matches!(item, Item::Write(_));
        if write {
            self.writes.fetch_add(1, Ordering::AcqRel);
        }
        let mut state = lane.state.lock();
        state.open.urgent |= write;
        if let Item::Lease(lease) = &item {
            state.open.bytes += lease.len;
        }
        state.open.items.push(item);
        self.dirtied(lane, &mut state);
    }

    /// The command in hand moves so many bytes: behind large ones somebody waits for the memory that they use.
    pub(crate) fn large(&self, lane: &Arc<Lane>, bytes: u64) {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        let mut state = lane.state.lock();
        state.open.bytes = state.open.bytes.saturating_add(bytes);
    }

    fn dirtied(&self, lane: &Arc<Lane>, state: &mut State) {
        if state.dirty {
            return;
        }
        state.dirty = true;
        self.dirty.lock().push(Arc::clone(lane));
        if lane.legacy() {
            lane.context.legacy_dirty.store(true, Ordering::Relaxed);
        } else if lane.blocking {
            lane.context.blocking_dirty.store(true, Ordering::Relaxed);
        }
    }

    /// Closes the open batch without a marker, for a caller that is about to synchronise. Its ticket.
    pub(crate) fn close(&self, lane: &Arc<Lane>) -> u64 {
        let mut state = lane.state.lock();
        let ticket = Self::close_batch(&mut state, None);
        let listed = std::mem::replace(&mut state.listed, true);
        drop(state);
        if !listed {
            self.outstanding.lock().push(Arc::clone(lane));
        }
        self.clean(lane);
        ticket
    }

    /// [`close`](Self::close) for every lane of a context that is not capturing.
    pub(crate) fn close_all(&self, context: &Context) -> Vec<(Arc<Lane>, u64)> {
        let mut lanes: Vec<_> = self.outstanding.lock().clone();
        lanes.extend(self.dirty.lock().iter().cloned());
        lanes.retain(|lane| std::ptr::eq(&raw const *lane.context, context));
        lanes.sort_by_key(Arc::as_ptr);
        lanes.dedup_by_key(|lane| Arc::as_ptr(lane));
        lanes
            .into_iter()
            .filter(|lane| !self.capturing(lane))
            .map(|lane| {
                let ticket = self.close(&lane);
                (lane, ticket)
            })
            .collect()
    }

    fn close_batch(state: &mut State, event: Option<Handle>) -> u64 {
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        let batch = std::mem::take(&mut state.open);
        state.queue.push_back(Mark {
            ticket,
            sequence: batch.sequence,
            event,
            items: batch.items,
        });
        ticket
    }

    /// Takes a lane off the dirty list.
    fn clean(&self, lane: &Arc<Lane>) {
        let mut dirty = self.dirty.lock();
        if let Some(at) = dirty.iter().position(|other| Arc::ptr_eq(other, lane)) {
            dirty.swap_remove(at);
        }
        drop(dirty);
        if lane.legacy() {
            lane.context.legacy_dirty.store(false, Ordering::Relaxed);
        }
        lane.state.lock().dirty = false;
    }

    /// Whether a marker on this lane would become part of a capture or break one.
    pub(crate) fn capturing(&self, lane: &Lane) -> bool {
        if self.captures.load(Ordering::Relaxed) == 0 {
            return false;
        }
        let mut status = NOT_CAPTURING;
        lane.context
            .make_current()
            .and_then(|()| {
                cu!(
                    lane.context.driver,
                    cuStreamIsCapturing(lane.raw.ptr(), &raw mut status)
                )
            })
            .is_err()
            || status != NOT_CAPTURING
    }

    /// Places a marker behind the open batch. Only on the thread that reads frames, or that has been handed the lane's launches.
    pub(crate) fn mark(&self, session: &Session, lane: &Arc<Lane>) {
        {
            let state = lane.state.lock();
            if state.open.sequence == 0 && state.open.items.is_empty() {
                return;
            }
        }
        if self.capturing(lane) {
            return;
        }
        self.clean(lane);
        let placed =
            if lane.abandoned.load(Ordering::Acquire) || lane.retired.load(Ordering::Acquire) {
                Self::close_batch(&mut lane.state.lock(), None);
                Ok(())
            } else {
                lane.context.make_current().and_then(|()| Self::place(lane))
            };
        if let Err(status) = placed {
            if is_sticky(status) {
                session.poison(&lane.context, status);
            } else {
                session.host.log(
                    host::WARN,
                    &format!(
                        "no progress marker on stream {}: {}",
                        lane.stream,
                        crate::errors::name(status)
                    ),
                );
            }
        }
        let listed = std::mem::replace(&mut lane.state.lock().listed, true);
        if !listed {
            self.outstanding.lock().push(Arc::clone(lane));
        }
        // Looked at when the lane is in the list: whoever poisons the context sets the error first and goes through the list then.
        if lane.context.healthy().is_err() {
            lane.abandoned.store(true, Ordering::Release);
        }
        self.poller.wake();
    }

    fn place(lane: &Arc<Lane>) -> Result<()> {
        let context = &lane.context;
        if let Some(word) = &lane.word {
            // Queued before the driver is called, and no lock is held meanwhile: the driver may wait if the stream is full.
            let ticket = Self::close_batch(&mut lane.state.lock(), None);
            let written = context.words.write(lane.raw, word, ticket);
            if let Err(status) = written
                && !is_sticky(status)
                && let Ok(event) = Self::record(lane)
            {
                let mut state = lane.state.lock();
                if let Some(mark) = state.queue.iter_mut().find(|mark| mark.ticket == ticket) {
                    mark.event = Some(event);
                    lane.by_events.store(true, Ordering::Release);
                }
                return Ok(());
            }
            return written;
        }
        let event = Self::record(lane);
        Self::close_batch(&mut lane.state.lock(), event.as_ref().ok().copied());
        event.map(|_| ())
    }

    fn record(lane: &Lane) -> Result<Handle> {
        let context = &lane.context;
        let event = context.marker_event()?;
        cu!(context.driver, cuEventRecord(event.ptr(), lane.raw.ptr()))?;
        Ok(event)
    }

    /// Places markers behind all open batches that `which` is true of.
    pub(crate) fn mark_dirty(&self, session: &Session, which: impl Fn(&Lane) -> bool) -> bool {
        let (lanes, others): (Vec<_>, Vec<_>) = {
            let dirty = self.dirty.lock();
            if dirty.is_empty() {
                return false;
            }
            dirty.iter().cloned().partition(|lane| which(lane))
        };
        for lane in lanes {
            self.mark(session, &lane);
        }
        !others.is_empty()
    }

    /// Nothing more will come from a context: its lanes count as complete, and what its copies would have brought is dropped.
    pub(crate) fn abandon(&self, context: &Context) {
        let of = |lane: &&Arc<Lane>| std::ptr::eq(&raw const *lane.context, context);
        let mut lanes: Vec<_> = self.outstanding.lock().iter().filter(of).cloned().collect();
        lanes.extend(self.dirty.lock().iter().filter(of).cloned());
        for lane in lanes {
            lane.abandoned.store(true, Ordering::Release);
        }
        self.poller.wake();
    }

    /// Whether there may be bytes that the client must have before it is told of a completion.
    pub(crate) fn owes_bytes(&self) -> bool {
        self.writes.load(Ordering::Acquire) > 0 || self.mapped.any()
    }

    /// Whether the poller has something to watch.
    pub(crate) fn watching(&self) -> bool {
        !self.outstanding.lock().is_empty()
    }

    /// Whether something has completed that was not told yet.
    pub(crate) fn ready(&self) -> bool {
        self.outstanding
            .lock()
            .iter()
            .any(|lane| lane.completed(true) > lane.settled.load(Ordering::Relaxed))
    }

    /// Contexts with work that may not be complete.
    pub(crate) fn contexts(&self) -> Vec<Arc<Context>> {
        let of = |lane: &Arc<Lane>| Arc::clone(&lane.context);
        let mut contexts: Vec<_> = self.outstanding.lock().iter().map(of).collect();
        contexts.extend(self.dirty.lock().iter().map(of));
        contexts.sort_by_key(Arc::as_ptr);
        contexts.dedup_by_key(|context| Arc::as_ptr(context));
        contexts
    }

    /// Sends what has completed: first the bytes that the GPU wrote to the client's pinned memory, then progress, but of no lane up to the command that `replied` gives for it (0: none), whose reply tells. True if
    /// something was told.
    pub(crate) fn settle(&self, host: &'static Host, replied: impl Fn(&Arc<Lane>) -> u64) -> bool {
        let mut settling = self.settling.lock();
        let Settling { lanes, sending } = &mut *settling;
        lanes.clear();
        // What is reported below was complete before the host writes of any lane are looked at: a lane that waited for another's copy cannot overtake its bytes.
        lanes.extend(self.outstanding.lock().iter().map(|lane| {
            let done = lane.completed(true);
            (Arc::clone(lane), done)
        }));
        // What is told below travels beside these bytes, and the client waits for them before it hears of it. Here the bytes of the round before are waited for: while those are on their way, the next ones
        // are behind them already.
        let before = std::mem::replace(sending, self.send_writes(host, lanes, true));
        self.mapped.settle(host, |lane| known(lanes, lane));
        let mut told = false;
        for (lane, done) in lanes.iter() {
            told |= self.settle_lane(host, lane, *done, replied(lane));
        }
        lanes.clear();
        drop(before);
        told
    }

    fn settle_lane(&self, host: &Host, lane: &Arc<Lane>, done: u64, replied: u64) -> bool {
        let mut sequence = 0;
        let mut finished = Vec::new();
        {
            let mut state = lane.state.lock();
            while state.queue.front().is_some_and(|mark| mark.ticket <= done) {
                let Some(mark) = state.queue.pop_front() else {
                    break;
                };
                lane.settled.store(mark.ticket, Ordering::Relaxed);
                sequence = sequence.max(mark.sequence);
                if let Some(event) = mark.event {
                    lane.context.marker_events.lock().push(event);
                }
                finished.push(mark.items);
            }
        }
        {
            // Always in this order: the list, then the lane.
            let mut outstanding = self.outstanding.lock();
            let mut state = lane.state.lock();
            if state.queue.is_empty() {
                state.listed = false;
                outstanding.retain(|other| !Arc::ptr_eq(other, lane));
            }
        }
        for item in finished.iter().flatten() {
            if matches!(item, Item::Write(_)) {
                // Of an abandoned lane: its bytes are never sent.
                self.writes.fetch_sub(1, Ordering::AcqRel);
            }
        }
        drop(finished);
        // What came after the command that was replied to, the reply did not tell of.
        if sequence <= replied {
            return false;
        }
        host.push(
            core::PROGRESS,
            sequence,
            &ProgressMessage {
                context: lane.context.id,
                stream: lane.stream,
                sequence,
            },
            &[],
        );
        true
    }

    /// Sends the host writes of every completed batch. What is returned has to be dropped while the list of lanes is locked.
    fn send_writes(
        &self,
        host: &'static Host,
        lanes: &[(Arc<Lane>, u64)],
        ask: bool,
    ) -> Vec<Sending> {
        let mut sending = Vec::new();
        if self.writes.load(Ordering::Acquire) == 0 {
            return sending;
        }
        for (lane, _) in lanes {
            if lane.abandoned.load(Ordering::Acquire) {
                continue;
            }
            let done = lane.completed(ask);
            let mut due = Vec::new();
            for mark in lane
                .state
                .lock()
                .queue
                .iter_mut()
                .take_while(|mark| mark.ticket <= done)
            {
                let items = std::mem::take(&mut mark.items);
                for item in items {
                    match item {
                        Item::Write(write) => due.push(write),
                        other => mark.items.push(other),
                    }
                }
            }
            for write in due {
                sending.extend(write.send(host, &self.mapped));
                self.writes.fetch_sub(1, Ordering::AcqRel);
            }
        }
        sending
    }

    /// Sends the host writes that are complete, before a host function of the client runs. Makes no driver call: it is called from within one.
    pub(crate) fn writes_before_host_call(&self, host: &'static Host) {
        {
            let _settling = self.settling.lock();
            // Nothing counts as complete here: it is told elsewhere.
            self.mapped.settle(host, |_| 0);
        }
        if self.writes.load(Ordering::Acquire) == 0 {
            return;
        }
        let by_events = {
            let mut settling = self.settling.lock();
            let lanes = &mut settling.lanes;
            lanes.clear();
            lanes.extend(
                self.outstanding
                    .lock()
                    .iter()
                    .map(|lane| (Arc::clone(lane), 0)),
            );
            drop(self.send_writes(host, lanes, false));
            let by_events = lanes.iter().any(|(lane, _)| lane.word.is_none());
            lanes.clear();
            by_events
        };
        if by_events {
            // Only the poller may ask for events. The round that runs now may have begun too early, the one after it has not.
            let mut round = self.round.lock();
            let enough = *round + 2;
            while *round < enough && !self.closed.load(Ordering::Acquire) {
                self.poller.wake();
                self.rounded
                    .wait_for(&mut round, std::time::Duration::from_millis(5));
            }
        }
    }

    /// The poller has gone through all lanes once.
    pub(crate) fn rounded(&self) {
        *self.round.lock() += 1;
        self.rounded.notify_all();
    }

    /// Drops the host writes into memory that is about to go away. Returns when none of them is being sent.
    pub(crate) fn forget_writes(&self, start: u64, end: u64) {
        // Writes that were told are taken from their lanes while this is locked, and may still be on their way.
        let mut settling = self.settling.lock();
        settling.sending.clear();
        let lanes: Vec<_> = self
            .outstanding
            .lock()
            .iter()
            .chain(self.dirty.lock().iter())
            .cloned()
            .collect();
        for lane in lanes {
            let mut state = lane.state.lock();
            let State { open, queue, .. } = &mut *state;
            for items in
                std::iter::once(&mut open.items).chain(queue.iter_mut().map(|m| &mut m.items))
            {
                items.retain(|item| {
                    let gone = matches!(item, Item::Write(write) if write.shadow >= start && write.shadow < end);
                    if gone {
                        self.writes.fetch_sub(1, Ordering::AcqRel);
                    }
                    !gone
                });
            }
        }
    }

    /// Asks the driver whether contexts with outstanding work are poisoned.
    pub(crate) fn probe(&self, session: &Session) {
        for context in self.contexts() {
            if !context.alive.load(Ordering::Acquire) || context.healthy().is_err() {
                continue;
            }
            let state = context
                .make_current()
                .and_then(|()| cu!(context.driver, cuStreamQuery(context.probe.ptr())));
            if let Err(status) = state
                && status != ERROR_NOT_READY
                && is_sticky(status)
            {
                session.poison(&context, status);
            }
        }
    }
}

/// How far a lane is known to have come, by a list that was made at one moment.
fn known(lanes: &[(Arc<Lane>, u64)], lane: &Arc<Lane>) -> u64 {
    lanes
        .iter()
        .find(|(other, _)| Arc::ptr_eq(other, lane))
        .map_or(0, |(_, done)| *done)
}
