//! The one session of a process: connect at first use, send commands in order, wait for replies, hear what the worker says unasked.
//!
//! # Layout
//! * this file: finding, opening and losing the session; `call` and `post`.
//! * `outbox`: the sending side and its numbering; `bell` wakes its flusher. `inbox`: the receiving side; `desk`: who reads from it. `pending`: calls that wait.
//! * `lanes`: large payloads, beside both.
//! * `callbacks`: host functions and pulls. `errors`: what later calls must report. `output`: device `printf`.

mod bell;
mod callbacks;
mod connect;
mod desk;
mod errors;
pub(crate) mod inbox;
mod lanes;
mod outbox;
mod output;
mod pending;

use std::cell::Cell;
use std::io::IoSlice;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use gvirtus_wire::api::core::{AsyncError, Extent, Plane, Snapshot};
use gvirtus_wire::api::types::{CUresult, error};
use gvirtus_wire::codec::decode_all;
use gvirtus_wire::command::{Command, Outgoing};
use gvirtus_wire::communicator::Closer;
use gvirtus_wire::communicator::shm::Descriptors;
use gvirtus_wire::frame::FLAG_WANTS_REPLY;
use gvirtus_wire::lanes::SMALLEST;

use self::callbacks::Callbacks;
pub(crate) use self::callbacks::HostFunction;
use self::desk::Desk;
use self::errors::Errors;
use self::lanes::Lanes;
use self::outbox::{Envelope, Outbox};
use self::pending::{Destination, Pending, Slot};

/// The session of this process.
pub(crate) struct Session {
    /// What the worker told at the start.
    pub(crate) snapshot: Snapshot,
    pub(crate) callbacks: Callbacks,
    /// Some module prints or asserts: then only the worker's synchronization brings its output.
    prints: AtomicBool,
    /// `CUDA_LAUNCH_BLOCKING=1`: every call waits.
    blocking: bool,
    /// The program is told that processor and GPU may use managed memory at the same time.
    pub(crate) concurrent_managed_access: bool,
    errors: Errors,
    outbox: Outbox,
    pending: Pending,
    /// Where callers may read for themselves.
    desk: Option<Desk>,
    closer: Closer,
    lanes: Lanes,
    /// Where the transport can share memory: how.
    pub(crate) descriptors: Option<Descriptors>,
    /// Endpoint as configured, for messages.
    endpoint: String,
}

static SESSION: OnceLock<Session> = OnceLock::new();
/// Set in a child of a process that had a session: there CUDA cannot be used, as natively.
static FORKED: AtomicBool = AtomicBool::new(false);

static THREADS: AtomicU32 = AtomicU32::new(1);
thread_local! {
    static THREAD: Cell<u32> = const { Cell::new(0) };
}

/// The client's number for the calling thread, from 1.
#[inline]
pub(crate) fn thread_number() -> u32 {
    THREAD.with(|cell| {
        if cell.get() == 0 {
            cell.set(THREADS.fetch_add(1, Ordering::Relaxed));
        }
        cell.get()
    })
}

/// Starts a thread of ours: no signal of the program is delivered to it.
pub(crate) fn thread(name: &str, body: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    // SAFETY: both sets are initialised by the calls that fill them; the mask of the calling thread is restored before returning.
    unsafe {
        let mut all = std::mem::zeroed();
        let mut before = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        // What a thread does to itself: host functions of the program run here, too, and may touch managed memory.
        for fault in [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL] {
            libc::sigdelset(&raw mut all, fault);
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
        let spawned = std::thread::Builder::new()
            .name(name.to_owned())
            .stack_size(1 << 20)
            .spawn(body);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, std::ptr::null_mut());
        spawned.map(drop)
    }
}

extern "C" fn in_forked_child() {
    FORKED.store(true, Ordering::Release);
    if let Some(session) = SESSION.get() {
        // The child's copies must go, or the worker would outlive the parent. No shutdown: the parent goes on using the connection.
        let own = session.closer.fds().iter().copied();
        for fd in own.chain(session.lanes.fds()) {
            // SAFETY: the descriptors belong to the session, whose threads do not exist in the child and whose halves are never used there again.
            unsafe { libc::close(fd) };
        }
    }
}

impl Session {
    /// The session, opened at the first call. The error is what `cuInit` returns.
    #[inline]
    pub(crate) fn get() -> Result<&'static Self, CUresult> {
        if FORKED.load(Ordering::Relaxed) {
            return Err(error::ERROR_NOT_INITIALIZED);
        }
        match SESSION.get() {
            Some(session) => Ok(session),
            None => connect::open(),
        }
    }

    /// The session if there is one already: for what only makes sense then (flushing at exit, thread ends).
    pub(crate) fn existing() -> Option<&'static Self> {
        if FORKED.load(Ordering::Relaxed) {
            None
        } else {
            SESSION.get()
        }
    }

    /// Publishes an opened session and starts its threads.
    fn install(session: Self, inbox: Option<inbox::Inbox>) -> std::io::Result<&'static Self> {
        let session = SESSION.get_or_init(|| session);
        // SAFETY: the handler only stores an atomic and closes descriptors, both allowed in a child between fork and exec.
        unsafe { libc::pthread_atfork(None, None, Some(in_forked_child)) };
        thread("gvirtus-receiver", move || {
            let error = match (&session.desk, inbox) {
                (Some(desk), _) => desk.attend(session),
                (None, Some(inbox)) => inbox::run(session, inbox),
                (None, None) => return,
            };
            session.lose(&error.to_string());
        })?;
        thread("gvirtus-flusher", move || {
            let error = session.outbox.run_flusher();
            session.lose(&error.to_string());
        })?;
        session.callbacks.start(session)?;
        Ok(session)
    }

    /// The error that a call for `context` must return because of something earlier.
    #[inline]
    pub(crate) fn check(&self, context: u32) -> Result<(), CUresult> {
        self.errors.check(context, thread_number)
    }

    /// Whether the session is gone.
    pub(crate) fn lost(&self) -> Result<(), CUresult> {
        self.errors.lost()
    }

    /// Sends a command without waiting. What goes wrong later is reported by a later call, as CUDA does it.
    pub(crate) fn post<C: Command>(&self, context: u32, command: &C) -> Result<(), CUresult> {
        self.post_bulk(context, command, &[], false, |_| ())
            .map(drop)
    }

    /// [`post`](Self::post) that only queues: for callers who hold a lock that the receiving side needs.
    pub(crate) fn queue<C: Command>(&self, context: u32, command: &C) -> Result<(), CUresult> {
        self.check(context)?;
        let envelope = Envelope {
            context,
            thread: thread_number(),
            flags: 0,
            bulk: &[],
            lanes: None,
            stays: false,
            lent: false,
            queue_only: true,
        };
        self.sent(self.outbox.send(command, &envelope, |_| ()))?;
        self.outbox.ring();
        Ok(())
    }

    /// [`post_bulk`](Self::post_bulk) of a command with little bulk, or none, if `admit` agrees, which is told the number in the order of the numbers; it must be quick. `None` where more is to be done.
    #[inline]
    pub(crate) fn post_if<C: Outgoing>(
        &self,
        context: u32,
        command: &C,
        bulk: &[IoSlice<'_>],
        admit: impl FnOnce(u64) -> bool,
    ) -> Result<Option<u64>, CUresult> {
        self.check(context)?;
        if self.blocking {
            return Ok(None);
        }
        let envelope = Envelope {
            context,
            thread: thread_number(),
            flags: 0,
            bulk,
            lanes: None,
            stays: false,
            lent: false,
            queue_only: false,
        };
        let Some(sequence) = self.sent(self.outbox.send_if(command, &envelope, admit))? else {
            return Ok(None);
        };
        self.sent(self.outbox.kick())?;
        if crate::stats::enabled() {
            crate::stats::sent(bulk.iter().map(|b| b.len() as u64).sum());
        }
        Ok(Some(sequence))
    }

    /// [`post`](Self::post) with bulk, which is the program's again when this returns, unless it says that it `stays` as it is until the command is complete. `numbered` learns the command's number, in the order of the numbers over all
    /// threads; it must be quick. The number is also returned.
    pub(crate) fn post_bulk<C: Outgoing>(
        &self,
        context: u32,
        command: &C,
        bulk: &[IoSlice<'_>],
        stays: bool,
        numbered: impl FnOnce(u64),
    ) -> Result<u64, CUresult> {
        self.check(context)?;
        if self.blocking {
            let mut number = 0;
            self.exchange(context, command, bulk, None, false, |sequence| {
                number = sequence
            })?;
            return Ok(number);
        }
        let envelope = Envelope {
            context,
            thread: thread_number(),
            flags: 0,
            bulk,
            lanes: self.lanes_for(bulk),
            stays,
            lent: stays,
            queue_only: false,
        };
        let sequence = self.sent(self.outbox.send(command, &envelope, numbered))?;
        self.sent(self.outbox.kick())?;
        if crate::stats::enabled() {
            crate::stats::sent(bulk.iter().map(|b| b.len() as u64).sum());
        }
        Ok(sequence)
    }

    /// Sends what the worker waits for, at once and whatever state a context is in.
    fn answer<C: Command>(&self, command: &C, bulk: &[IoSlice<'_>]) {
        let envelope = Envelope {
            context: 0,
            thread: 0,
            flags: 0,
            bulk,
            lanes: self.lanes_for(bulk),
            stays: false,
            lent: false,
            queue_only: false,
        };
        if self
            .sent(self.outbox.send(command, &envelope, |_| ()))
            .is_ok()
        {
            self.flush();
        }
    }

    /// Sends a command and waits for its reply.
    pub(crate) fn call<C: Command>(&self, context: u32, command: &C) -> Result<C::Reply, CUresult> {
        self.check(context)?;
        self.exchange(context, command, &[], None, false, |_| ())
    }

    /// [`call`](Self::call) with bulk; `numbered` learns the command's number.
    pub(crate) fn call_bulk<C: Command>(
        &self,
        context: u32,
        command: &C,
        bulk: &[IoSlice<'_>],
        numbered: impl FnOnce(u64),
    ) -> Result<C::Reply, CUresult> {
        self.check(context)?;
        self.exchange(context, command, bulk, None, false, numbered)
    }

    /// [`call`](Self::call) whose reply's bulk is written to the program's memory at `plane`; `numbered` learns the command's number.
    ///
    /// # Safety
    /// The rows of the box must be writable memory of the program until this returns.
    pub(crate) unsafe fn call_into<C: Command>(
        &self,
        context: u32,
        command: &C,
        plane: Plane,
        extent: Extent,
        numbered: impl FnOnce(u64),
    ) -> Result<C::Reply, CUresult> {
        self.check(context)?;
        self.exchange(
            context,
            command,
            &[],
            Some(Destination { plane, extent }),
            false,
            numbered,
        )
    }

    /// [`call`](Self::call) with bulk for what a program's start is made of (ranges, modules, functions): counted apart.
    pub(crate) fn call_setup<C: Command>(
        &self,
        context: u32,
        command: &C,
        bulk: &[u8],
    ) -> Result<C::Reply, CUresult> {
        self.check(context)?;
        self.exchange(context, command, &[IoSlice::new(bulk)], None, true, |_| ())
    }

    /// Sends a command whatever state a context is in, and waits for its reply.
    pub(crate) fn call_unchecked<C: Command>(&self, command: &C) -> Result<C::Reply, CUresult> {
        self.lost()?;
        self.exchange(0, command, &[], None, false, |_| ())
    }

    fn exchange<C: Outgoing>(
        &self,
        context: u32,
        command: &C,
        bulk: &[IoSlice<'_>],
        destination: Option<Destination>,
        setup: bool,
        numbered: impl FnOnce(u64),
    ) -> Result<C::Reply, CUresult> {
        let start = crate::stats::enabled().then(Instant::now);
        let bytes_in = destination.as_ref().map_or(0, |d| inbox::packed(&d.extent));
        if bytes_in >= SMALLEST
            && let Some(session) = Self::existing()
        {
            session.want_lanes(bytes_in);
        }
        let slot = Slot::new(destination);
        let envelope = Envelope {
            context,
            thread: thread_number(),
            flags: FLAG_WANTS_REPLY,
            bulk,
            lanes: self.lanes_for(bulk),
            stays: false,
            // When the reply is there, the backend has read the bulk or wants none of it.
            lent: true,
            queue_only: false,
        };
        let sent = self.outbox.send(command, &envelope, |sequence| {
            self.pending.insert(sequence, Arc::clone(&slot));
            numbered(sequence);
        });
        self.sent(sent)?;
        self.sent(self.outbox.flush_and_wait())?;
        if self.errors.lost().is_err() {
            // The receiver may have gone before this call was registered.
            self.pending.fail_all(error::ERROR_DEVICE_UNAVAILABLE);
        }
        let at_desk =
            Self::existing().and_then(|session| Some(session.desk.as_ref()?.turn(session)));
        let reply = slot.wait(at_desk);
        if let Some(start) = start {
            let out = bulk.iter().map(|b| b.len() as u64).sum();
            crate::stats::round_trip(start.elapsed(), out, bytes_in, setup);
        }
        if let Err(status) = reply
            && error::is_sticky(status)
        {
            self.errors.poison(context, status);
        }
        let payload = reply?;
        decode_all(&payload).map_err(|error| {
            self.lose(&format!(
                "the reply to {} could not be read: {error}",
                C::NAME
            ));
            error::ERROR_DEVICE_UNAVAILABLE
        })
    }

    /// The lanes, for bulk that is worth it.
    #[inline]
    fn lanes_for(&self, bulk: &[IoSlice<'_>]) -> Option<&Lanes> {
        let bytes: usize = bulk.iter().map(|b| b.len()).sum();
        if (bytes as u64) < SMALLEST {
            return None;
        }
        Self::existing()?.want_lanes(bytes as u64);
        self.lanes.are_open().then_some(&self.lanes)
    }

    /// Waits until nothing of a range is on its way any more: it is about to go. Without a failure it is long out.
    pub(crate) fn wait_until_left(&self, address: u64, size: u64) {
        self.lanes.wait_until_left(address, size);
    }

    #[inline]
    fn sent<T>(&self, result: std::io::Result<T>) -> Result<T, CUresult> {
        result.map_err(|error| {
            self.lose(&error.to_string());
            error::ERROR_DEVICE_UNAVAILABLE
        })
    }

    /// Sends what is queued.
    pub(crate) fn flush(&self) {
        let _ = self.sent(self.outbox.flush());
    }

    /// Sees to it that what is queued leaves soon, without waiting for it.
    pub(crate) fn kick(&self) {
        let _ = self.sent(self.outbox.kick());
    }

    /// A module that prints or asserts was loaded.
    pub(crate) fn set_prints(&self) {
        self.prints.store(true, Ordering::Release);
    }

    /// Whether only a round trip brings all output of finished kernels.
    pub(crate) fn prints(&self) -> bool {
        self.prints.load(Ordering::Acquire)
    }

    /// Poison of a context is gone with its reset.
    pub(crate) fn heal(&self, context: u32) {
        self.errors.heal(context);
    }

    /// Ends the session: everything that waits or comes later gets an error, and the log says why.
    fn lose(&self, why: &str) {
        if !self.errors.lose() {
            return;
        }
        log!(
            Error,
            "the session with {} is lost: {why}; CUDA calls now return CUDA_ERROR_DEVICE_UNAVAILABLE",
            self.endpoint
        );
        self.closer.shutdown();
        self.lanes.fail();
        self.pending.fail_all(error::ERROR_DEVICE_UNAVAILABLE);
        crate::streams::wake_all();
    }

    /// The worker reports a failed async command or a poisoned context.
    fn failed(&self, failure: &AsyncError) {
        if failure.sticky {
            log!(
                Warn,
                "context {} failed with CUDA error {}",
                failure.context,
                failure.status
            );
            self.errors.poison(failure.context, failure.status);
            crate::streams::wake_all();
        } else {
            log!(
                Info,
                "command {} (opcode {:#06x}) failed with CUDA error {}",
                failure.sequence,
                failure.opcode,
                failure.status
            );
            self.errors.keep(failure.thread, failure.status);
        }
    }
}
