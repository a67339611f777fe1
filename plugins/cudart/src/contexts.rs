//! Contexts: the primary ones of the devices, those that clients create, and which one is current on a thread of the worker.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};

use gvirtus_wire::api::core::{
    ContextCreate, ContextDestroy, ContextReset, ContextSetLimit, ContextSynchronize,
    FIRST_CREATED_CONTEXT, ResetPersistingL2,
};
use gvirtus_wire::api::types::CUctxCreateParams;
use gvirtus_wire::command::{Answer, Handle as Handler};
use gvirtus_wire::frame::Header;
use parking_lot::{Mutex, RwLock};
use smallvec::SmallVec;

use crate::driver::{Driver, Handle, cu};
use crate::errors::{
    ERROR_CONTEXT_IS_DESTROYED, ERROR_INVALID_CONTEXT, ERROR_INVALID_DEVICE, ERROR_INVALID_VALUE,
    ERROR_NOT_SUPPORTED, ERROR_UNSUPPORTED_LIMIT, Result, SUCCESS, Status,
};
use crate::host;
use crate::progress::Lane;
use crate::session::Session;
use crate::staging::Staging;
use crate::streams::Stream;
use crate::words::Words;

/// `CU_STREAM_NON_BLOCKING`.
const NON_BLOCKING: u32 = 1;
/// `CU_EVENT_DISABLE_TIMING`.
const DISABLE_TIMING: u32 = 2;
/// `CU_STREAM_CAPTURE_MODE_RELAXED`.
const CAPTURE_RELAXED: u32 = 2;
/// `CU_CTX_SCHED_*`, `_MAP_HOST`, `_LMEM_RESIZE_TO_MAX`, `_SYNC_MEMOPS`; core dumps would be written on the server.
const CONTEXT_FLAGS: u32 = 0x9f;
/// The last `CU_LIMIT_*`.
const LAST_LIMIT: u32 = 9;
/// So many streams are asked one by one whether they are complete.
const FEW_STREAMS: usize = 4;
/// The most contexts that a client may create.
const MOST_CREATED: usize = 256;

/// One CUDA context of the session.
pub(crate) struct Context {
    /// The client's number.
    pub(crate) id: u32,
    /// Device ordinal.
    pub(crate) device: u32,
    /// The driver's handle.
    pub(crate) raw: Handle,
    /// The driver's handle of a green context, 0 for others.
    pub(crate) green: Handle,
    pub(crate) driver: &'static Driver,
    /// False once the context is destroyed or reset: its handles are void then.
    pub(crate) alive: AtomicBool,
    /// The sticky error, 0 for none.
    pub(crate) poisoned: AtomicI32,
    /// Words that streams write their progress to.
    pub(crate) words: Words,
    /// Pinned memory for copies.
    pub(crate) staging: Staging,
    /// A non-blocking stream with never any work on it: asking it shows whether the context is poisoned.
    pub(crate) probe: Handle,
    /// A non-blocking stream for the later pieces of large copies to the client.
    pub(crate) transfer: Handle,
    /// Events of our own that are not in use.
    pub(crate) marker_events: Mutex<Vec<Handle>>,
    /// Whether the legacy stream has work after its last marker.
    pub(crate) legacy_dirty: AtomicBool,
    /// Whether a blocking stream has work after its last marker.
    pub(crate) blocking_dirty: AtomicBool,
    /// Launches on the legacy stream that other threads are to issue.
    pub(crate) legacy_handed_out: AtomicUsize,
    /// The same of blocking streams.
    pub(crate) blocking_handed_out: AtomicUsize,
    legacy: RwLock<Option<Arc<Stream>>>,
}

impl Context {
    /// The default stream.
    pub(crate) fn legacy(&self) -> Result<Arc<Stream>> {
        self.legacy.read().clone().ok_or(ERROR_CONTEXT_IS_DESTROYED)
    }

    /// Makes the context the calling thread's current one.
    pub(crate) fn make_current(&self) -> Result<()> {
        CURRENT.with_borrow_mut(|current| {
            if current.raw == self.raw && self.raw != Handle(0) {
                return Ok(());
            }
            if !current.relaxed {
                // The worker's housekeeping must not disturb captures of the client's streams.
                let mut mode = CAPTURE_RELAXED;
                cu!(
                    self.driver,
                    cuThreadExchangeStreamCaptureMode(&raw mut mode)
                )
                .or_else(|status| {
                    if status == ERROR_NOT_SUPPORTED {
                        Ok(())
                    } else {
                        Err(status)
                    }
                })?;
                current.relaxed = true;
            }
            cu!(self.driver, cuCtxSetCurrent(self.raw.ptr()))?;
            current.raw = self.raw;
            Ok(())
        })
    }

    /// An event without timing from the pool. The context must be current.
    pub(crate) fn marker_event(&self) -> Result<Handle> {
        if let Some(event) = self.marker_events.lock().pop() {
            return Ok(event);
        }
        let mut event = std::ptr::null_mut();
        cu!(self.driver, cuEventCreate(&raw mut event, DISABLE_TIMING))?;
        Ok(Handle::of(event))
    }

    /// The sticky error as a result.
    pub(crate) fn healthy(&self) -> Result<()> {
        match self.poisoned.load(Ordering::Relaxed) {
            SUCCESS => Ok(()),
            status => Err(status),
        }
    }
}

/// What a thread of the worker has told the driver.
struct Current {
    raw: Handle,
    relaxed: bool,
    cached: Option<(usize, Arc<Context>)>,
}

thread_local! {
    static CURRENT: RefCell<Current> = const { RefCell::new(Current { raw: Handle(0), relaxed: false, cached: None }) };
}

/// Forgets what is current on this thread: after a driver call that changed it.
fn forget_current() {
    CURRENT.with_borrow_mut(|current| current.raw = Handle(0));
}

impl Session {
    /// A device's primary context by the driver's handle. Making it, if need be, leaves the thread's current context as it was.
    pub(crate) fn primary(&self, device: u32) -> Result<Handle> {
        let before = CURRENT.with_borrow(|current| current.raw);
        let primary = self.context(device)?.raw;
        let now = CURRENT.with_borrow(|current| current.raw);
        if now != before && before != Handle(0) {
            cu!(self.driver, cuCtxSetCurrent(before.ptr()))?;
            CURRENT.with_borrow_mut(|current| current.raw = before);
        }
        Ok(primary)
    }

    /// The context of a frame, current on this thread.
    pub(crate) fn enter(&self, header: &Header) -> Result<Arc<Context>> {
        let context = self.context(header.context)?;
        context.make_current()?;
        Ok(context)
    }

    /// A context by the client's number; a device's primary context is made when first needed.
    pub(crate) fn context(&self, id: u32) -> Result<Arc<Context>> {
        let me = std::ptr::from_ref(self) as usize;
        let cached = CURRENT.with_borrow(|current| {
            current
                .cached
                .as_ref()
                .filter(|(session, context)| {
                    *session == me && context.id == id && context.alive.load(Ordering::Relaxed)
                })
                .map(|(_, context)| Arc::clone(context))
        });
        if let Some(context) = cached {
            return Ok(context);
        }
        let known = self.contexts.read().get(&id).cloned();
        let context = match known {
            Some(context) => context,
            None if id < FIRST_CREATED_CONTEXT => {
                let _one_at_a_time = self.retaining.lock();
                let known = self.contexts.read().get(&id).cloned();
                match known {
                    Some(context) => context,
                    None => self.retain_primary(id)?,
                }
            }
            None => return Err(ERROR_INVALID_CONTEXT),
        };
        CURRENT.with_borrow_mut(|current| current.cached = Some((me, Arc::clone(&context))));
        Ok(context)
    }

    /// Retains a device's primary context and makes it ready.
    pub(crate) fn retain_primary(&self, device: u32) -> Result<Arc<Context>> {
        if device >= self.devices {
            return Err(ERROR_INVALID_CONTEXT);
        }
        let mut raw = std::ptr::null_mut();
        cu!(
            self.driver,
            cuDevicePrimaryCtxRetain(&raw mut raw, self.raw_device(device)?)
        )?;
        self.adopt(device, device, Handle::of(raw), Handle(0))
    }

    /// The driver's number of a device.
    pub(crate) fn raw_device(&self, device: u32) -> Result<i32> {
        let ordinal = i32::try_from(device).map_err(|_| ERROR_INVALID_DEVICE)?;
        if device >= self.devices {
            return Err(ERROR_INVALID_DEVICE);
        }
        let mut raw = 0;
        cu!(self.driver, cuDeviceGet(&raw mut raw, ordinal))?;
        Ok(raw)
    }

    /// Makes a driver's context usable for the session.
    pub(crate) fn adopt(
        &self,
        id: u32,
        device: u32,
        raw: Handle,
        green: Handle,
    ) -> Result<Arc<Context>> {
        let driver = self.driver;
        forget_current();
        let mut context = Context {
            id,
            device,
            raw,
            green,
            driver,
            alive: AtomicBool::new(true),
            poisoned: AtomicI32::new(SUCCESS),
            words: Words::new(driver),
            staging: Staging::new(driver),
            probe: Handle(0),
            transfer: Handle(0),
            marker_events: Mutex::new(Vec::new()),
            legacy_dirty: AtomicBool::new(false),
            blocking_dirty: AtomicBool::new(false),
            legacy_handed_out: AtomicUsize::new(0),
            blocking_handed_out: AtomicUsize::new(0),
            legacy: RwLock::new(None),
        };
        context.make_current()?;
        for slot in [&mut context.probe, &mut context.transfer] {
            let mut stream = std::ptr::null_mut();
            cu!(driver, cuStreamCreate(&raw mut stream, NON_BLOCKING))?;
            *slot = Handle::of(stream);
        }
        if self.config.progress_words
            && let Err(status) = context.words.try_out(context.probe)
        {
            self.host.log(
                host::INFO,
                &format!(
                    "context {id}: the driver cannot write progress words ({}), events serve instead",
                    crate::errors::name(status)
                ),
            );
        }
        // The first blocks are pinned now, not in the program's first copy.
        drop(context.staging.lease(1));
        let context = Arc::new(context);
        let default = match green {
            Handle(0) => Stream::legacy(&context),
            _ => Stream::of_green(&context)?,
        };
        *context.legacy.write() = Some(Arc::new(default));
        self.contexts.write().insert(id, Arc::clone(&context));
        Ok(context)
    }

    /// Notes a sticky error: the client is told once, and nothing waits for the context's streams any more.
    pub(crate) fn poison(&self, context: &Context, status: Status) {
        if context
            .poisoned
            .compare_exchange(SUCCESS, status, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
        {
            self.output.forward_fault(self.host);
            self.push_error(&Header::default(), context.id, status, true);
            self.progress.abandon(context);
        }
    }

    /// Takes everything of a context out of the session's tables.
    fn forget_objects(&self, context: &Arc<Context>) {
        let of = |other: &Arc<Context>| Arc::ptr_eq(other, context);
        self.forget_modules(context);
        self.forget_links(context);
        drop(self.graphs.drain(|g| of(&g.context)));
        drop(self.execs.drain(|e| of(&e.context)));
        drop(self.events.drain(|e| of(&e.context)));
        drop(self.arrays.drain(|a| of(&a.context)));
        drop(self.mipmaps.drain(|m| of(&m.context)));
        self.objects.forget_context(context.id);
        drop(self.streams.drain(|s| of(s.context())));
        self.progress.abandon(context);
        *context.legacy.write() = None;
        if context.make_current().is_ok() {
            context.staging.release_all();
        }
    }
}

impl Session {
    /// # Errors
    /// `CUDA_ERROR_INVALID_VALUE` for a number that no new context may have, or if there are too many.
    pub(crate) fn may_create_context(&self, number: u32) -> Result<()> {
        let contexts = self.contexts.read();
        let most = MOST_CREATED + self.devices as usize;
        if number < FIRST_CREATED_CONTEXT
            || contexts.contains_key(&number)
            || contexts.len() >= most
        {
            return Err(ERROR_INVALID_VALUE);
        }
        Ok(())
    }

    /// Destroys a context that was made.
    fn destroy(&self, context: &Arc<Context>) -> Result<()> {
        // As natively, work that was issued before is waited for.
        let closed = self.progress.close_all(context);
        let _ = context
            .make_current()
            .and_then(|()| self.wait_for_all(context, &closed));
        self.settle();
        self.free_host_of(context);
        self.forget_objects(context);
        context.alive.store(false, Ordering::Release);
        forget_current();
        if context.green == Handle(0) {
            return cu!(self.driver, cuCtxDestroy_v2(context.raw.ptr()));
        }
        for stream in [context.probe, context.transfer] {
            cu!(self.driver, cuStreamDestroy_v2(stream.ptr()))?;
        }
        cu!(self.driver, cuGreenCtxDestroy(context.green.ptr()))
    }
}

impl Handler<ContextCreate> for Session {
    fn handle(&self, _: &Header, command: ContextCreate) -> Result<Answer<()>> {
        let device = self.raw_device(command.device)?;
        self.may_create_context(command.context)?;
        if command.flags & !CONTEXT_FLAGS != 0 {
            return Err(ERROR_INVALID_VALUE);
        }
        let mut raw = std::ptr::null_mut();
        let made = if self.driver.cuCtxCreate_v2.is_some() {
            cu!(
                self.driver,
                cuCtxCreate_v2(&raw mut raw, command.flags, device)
            )
        } else {
            let mut params = CUctxCreateParams {
                execAffinityParams: std::ptr::null_mut(),
                numExecAffinityParams: 0,
                cigParams: std::ptr::null_mut(),
            };
            cu!(
                self.driver,
                cuCtxCreate_v4(&raw mut raw, &raw mut params, command.flags, device)
            )
        };
        // Creating pushes the context on the thread's stack: whatever was current is no longer.
        forget_current();
        made?;
        self.adopt(command.context, command.device, Handle::of(raw), Handle(0))?;
        Ok(Answer::Now(()))
    }
}

impl Handler<ContextDestroy> for Session {
    fn handle(&self, _: &Header, command: ContextDestroy) -> Result<Answer<()>> {
        if command.context < FIRST_CREATED_CONTEXT {
            return Err(ERROR_INVALID_CONTEXT);
        }
        let context = self
            .contexts
            .write()
            .remove(&command.context)
            .ok_or(ERROR_INVALID_CONTEXT)?;
        self.host.may_block();
        self.destroy(&context).map(Answer::Now)
    }
}

impl Session {
    /// The streams of lanes that were closed: a synchronization of their context waits for all of them. `None` if asking them will not do: there are none (the context
    /// may be poisoned) or many, one is destroyed, a capture may forbid the call, or the driver would not bring out what was printed.
    fn streams_to_ask(
        &self,
        context: &Context,
        closed: &[(Arc<Lane>, u64)],
    ) -> Option<SmallVec<[Arc<Stream>; FEW_STREAMS]>> {
        if closed.is_empty()
            || closed.len() > FEW_STREAMS
            || self.progress.captures.load(Ordering::Relaxed) > 0
            || self.output.expected()
        {
            return None;
        }
        closed
            .iter()
            .map(|(lane, _)| {
                let stream = match lane.stream {
                    0 => context.legacy(),
                    id => self.streams.get(id),
                };
                stream.ok().filter(|s| Arc::ptr_eq(&s.lane, lane))
            })
            .collect()
    }
}

impl Session {
    /// Waits for a context's work, which is on these lanes. The context is current; instead of a green one its primary context is, which would be too much.
    fn wait_for_all(&self, context: &Context, closed: &[(Arc<Lane>, u64)]) -> Result<()> {
        if context.green == Handle(0) {
            return cu!(self.driver, cuCtxSynchronize());
        }
        for (lane, _) in closed {
            let stream = match lane.stream {
                0 => context.legacy(),
                id => self.streams.get(id),
            };
            match stream.ok().filter(|s| Arc::ptr_eq(&s.lane, lane)) {
                Some(stream) => cu!(self.driver, cuStreamSynchronize(stream.raw.ptr()))?,
                // Destroyed while it works.
                None => return cu!(self.driver, cuCtxSynchronize()),
            }
        }
        Ok(())
    }
}

impl Handler<ContextSynchronize> for Session {
    fn handle(&self, header: &Header, _: ContextSynchronize) -> Result<Answer<()>> {
        let context = self.enter(header)?;
        let closed = self.progress.close_all(&context);
        let done = self
            .streams_to_ask(&context, &closed)
            .is_some_and(|streams| {
                self.done_soon(&context, || {
                    streams
                        .iter()
                        .try_for_each(|stream| cu!(self.driver, cuStreamQuery(stream.raw.ptr())))
                })
            });
        if !done {
            self.host.may_block();
            if let Err(status) = self.wait_for_all(&context, &closed) {
                self.settle();
                return Err(status);
            }
        }
        for (lane, ticket) in &closed {
            lane.synchronized(*ticket);
        }
        Ok(self.synchronized(header, |lane| {
            closed.iter().any(|(other, _)| Arc::ptr_eq(lane, other))
        }))
    }
}

impl Handler<ContextReset> for Session {
    fn handle(&self, _: &Header, command: ContextReset) -> Result<Answer<()>> {
        let device = self.raw_device(command.device)?;
        let (old, green) = {
            let mut contexts = self.contexts.write();
            let of = |c: &Context| c.green != Handle(0) && c.device == command.device;
            let green: Vec<_> = contexts.extract_if(|_, c| of(c)).collect();
            (contexts.remove(&command.device), green)
        };
        self.host.may_block();
        for (_, green) in &green {
            self.destroy(green)?;
        }
        if let Some(context) = &old {
            let _ = context
                .make_current()
                .and_then(|()| cu!(self.driver, cuCtxSynchronize()));
            self.settle();
            self.free_host_of(context);
            self.forget_objects(context);
            context.alive.store(false, Ordering::Release);
        }
        self.release_device(command.device);
        forget_current();
        if self.driver.cuDevicePrimaryCtxReset_v2.is_some() {
            cu!(self.driver, cuDevicePrimaryCtxReset_v2(device))?;
        } else {
            cu!(self.driver, cuDevicePrimaryCtxReset(device))?;
        }
        self.reserve_again(command.device)?;
        if old.is_some() {
            // Our own reference is still counted by the driver or not, depending on its version: retaining again is right in both cases.
            self.retain_primary(command.device)?;
        }
        Ok(Answer::Now(()))
    }
}

impl Handler<ResetPersistingL2> for Session {
    fn handle(&self, header: &Header, _: ResetPersistingL2) -> Result<Answer<()>> {
        self.enter(header)?;
        cu!(self.driver, cuCtxResetPersistingL2Cache()).map(Answer::Now)
    }
}

impl Handler<ContextSetLimit> for Session {
    fn handle(&self, header: &Header, command: ContextSetLimit) -> Result<Answer<u64>> {
        let context = self.enter(header)?;
        let value = usize::try_from(command.value).map_err(|_| ERROR_INVALID_VALUE)?;
        if command.limit > LAST_LIMIT {
            return Err(ERROR_UNSUPPORTED_LIMIT);
        }
        // Their kernels were given stacks and heaps of the old size.
        self.forget_chains(&context);
        self.host.may_block();
        cu!(self.driver, cuCtxSetLimit(command.limit, value))?;
        let mut now = 0;
        cu!(self.driver, cuCtxGetLimit(&raw mut now, command.limit))?;
        Ok(Answer::Now(now as u64))
    }
}
