//! Contexts: <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__CTX.html>, and access between them
//! (<https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__PEER__ACCESS.html>). `primary`: those of devices. `limits`: limits and preferences.
//!
//! Which context is current is the client's business alone. The worker has made the primary contexts before the session began; made ones cost a round trip, as
//! they cost time natively.
#![allow(non_snake_case, reason = "CUDA's names")]

mod limits;
mod primary;

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use gvirtus_wire::api::core::{
    ContextCreate, ContextDestroy, ContextSynchronize, FIRST_CREATED_CONTEXT, GreenContextCreate,
    PeerAccess,
};
use gvirtus_wire::api::types::{CUcontext, CUctxCreateParams, CUdevice, error};
use parking_lot::Mutex;
use smallvec::SmallVec;

pub(crate) use limits::*;
pub(crate) use primary::*;

pub(crate) use crate::driver::device::compute_capability;
use crate::driver::device::{self, by_handle as device_by_handle};
use crate::driver::export_table::context_storage;
use crate::driver::{Result, kernel, module, put, put_if, session};
use crate::handles::{Kind, Table};
use crate::session::Session;
use crate::streams;

/// `CU_CTX_SCHED_MASK` and the other flags that `cuCtxCreate` takes.
const FLAGS_MASK: u32 = 0xff;
const SCHEDULE_MASK: u32 = 0x07;
/// `CU_CTX_MAP_HOST`: primary contexts always report it.
const MAP_HOST: u32 = 0x08;
/// `cuCtxGetApiVersion` of every context made by the entry points of CUDA 3.2 and later.
const API_VERSION: u32 = 3020;

/// A context.
#[derive(Debug)]
pub(crate) struct Context {
    /// Its number on the wire: the device's ordinal for a primary context, at least [`FIRST_CREATED_CONTEXT`] for others.
    pub(crate) id: u32,
    /// The number that its streams have for it: its own, except that a green context's is the primary context's for all else.
    pub(crate) stream_context: u32,
    /// Device ordinal.
    pub(crate) device: u32,
    /// What the program holds.
    handle: usize,
    /// `cuCtxGetId`.
    unique: AtomicU64,
    /// `CU_CTX_*`.
    flags: AtomicU32,
    /// `CUfunc_cache` preferred; a hint that changes no result.
    cache_config: AtomicU32,
    /// False once destroyed or released: a thread may still have it current.
    alive: AtomicBool,
    /// `cuCtxAttach` and creation, less `cuCtxDetach`.
    usage: AtomicU32,
    /// Limits as set or last heard of, by `CUlimit`.
    limits: Mutex<HashMap<u32, u64>>,
    /// Contexts (by wire id) whose memory this one has been given access to.
    peers: Mutex<HashSet<u32>>,
}

impl Context {
    fn new(id: u32, device: u32, flags: u32, alive: bool, handle: *mut c_void) -> Self {
        Self {
            id,
            stream_context: id,
            device,
            handle: handle as usize,
            unique: AtomicU64::new(next_unique()),
            flags: AtomicU32::new(flags),
            cache_config: AtomicU32::new(0),
            alive: AtomicBool::new(alive),
            usage: AtomicU32::new(1),
            limits: Mutex::new(HashMap::new()),
            peers: Mutex::new(HashSet::new()),
        }
    }

    /// A green context of a device.
    fn green(number: u32, device: u32, handle: *mut c_void) -> Self {
        Self {
            stream_context: number,
            ..Self::new(device, device, MAP_HOST, true, handle)
        }
    }

    /// Whether it has some of the device's multiprocessors only.
    pub(crate) fn is_green(&self) -> bool {
        self.stream_context != self.id
    }

    /// Whether it is a device's primary context, or a green one, which is that with fewer multiprocessors.
    pub(crate) fn is_primary(&self) -> bool {
        self.id < FIRST_CREATED_CONTEXT
    }

    fn alive(&self) -> bool {
        self.alive.load(Ordering::Acquire)
    }
}

fn next_unique() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

static CONTEXTS: Table<Context> = Table::new(Kind::Context);
/// Whether there has ever been a green context.
static GREEN: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// The calling thread's contexts; the last is current.
    static STACK: RefCell<Vec<Arc<Context>>> = const { RefCell::new(Vec::new()) };
}

/// Runs `f` on the thread's stack. A thread that is ending has none any more.
fn stack<R>(f: impl FnOnce(&mut Vec<Arc<Context>>) -> R) -> Result<R> {
    STACK
        .try_with(|stack| f(&mut stack.borrow_mut()))
        .map_err(|_| error::ERROR_DEINITIALIZED)
}

/// The calling thread's current context.
///
/// # Errors
/// `CUDA_ERROR_INVALID_CONTEXT` if there is none, `CUDA_ERROR_CONTEXT_IS_DESTROYED` if another thread has destroyed it, `CUDA_ERROR_NOT_INITIALIZED` before `cuInit`.
#[inline]
pub(crate) fn current() -> Result<Arc<Context>> {
    session()?;
    match stack(|stack| stack.last().cloned())? {
        Some(context) if context.alive() => Ok(context),
        Some(_) => Err(error::ERROR_CONTEXT_IS_DESTROYED),
        None => Err(error::ERROR_INVALID_CONTEXT),
    }
}

/// The context behind a handle.
///
/// # Errors
/// `CUDA_ERROR_INVALID_CONTEXT` for anything that is not one.
pub(crate) fn by_handle(handle: CUcontext) -> Result<Arc<Context>> {
    CONTEXTS.get(handle).ok_or(error::ERROR_INVALID_CONTEXT)
}

/// As [`by_handle`], but null means the current context.
pub(crate) fn by_handle_or_current(handle: CUcontext) -> Result<Arc<Context>> {
    if handle.is_null() {
        current()
    } else {
        session()?;
        by_handle(handle)
    }
}

/// What programs hold for a context.
pub(crate) fn handle(context: &Context) -> CUcontext {
    std::ptr::without_provenance_mut(context.handle)
}

/// What the client keeps of a context's modules and kernels is gone.
fn forget(context: u32) {
    module::forget_context(context);
    kernel::forget_context(context);
    crate::driver::tensor_map::forget_context(context);
    crate::driver::array::forget_context(context);
    crate::driver::texture::forget_context(context);
    crate::driver::texture_reference::forget_context(context);
    crate::memory::staging::forget_context(context);
    streams::forget_context(context);
}

fn check_flags(flags: u32) -> Result<()> {
    // Spin, yield, blocking sync and automatic are 1, 2, 4 and 0: at most one of them.
    if flags & !FLAGS_MASK != 0 || (flags & SCHEDULE_MASK).count_ones() > 1 {
        return Err(error::ERROR_INVALID_VALUE);
    }
    Ok(())
}

/// A number for a context that is made.
fn next_number() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(FIRST_CREATED_CONTEXT);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Makes a device's green context of these pieces of it. The primary context is retained as long as it exists.
pub(crate) fn make_green(dev: CUdevice, resources: Vec<u32>, flags: u32) -> Result<Arc<Context>> {
    let (device, _) = device_by_handle(dev)?;
    let session = session()?;
    let mut primary = std::ptr::null_mut();
    // SAFETY: a variable of ours.
    unsafe { cuDevicePrimaryCtxRetain(&raw mut primary, dev)? };
    let number = next_number();
    GREEN.store(true, Ordering::Release);
    let command = GreenContextCreate {
        context: number,
        device,
        flags,
        resources,
    };
    let made = session.call(device, &command).and_then(|()| {
        let made = CONTEXTS.insert(|handle| Context::green(number, device, handle));
        made.ok_or(error::ERROR_OUT_OF_MEMORY)
    });
    made.inspect_err(|_| {
        let _ = cuDevicePrimaryCtxRelease(dev);
    })
}

/// Destroys a green context and releases the primary context. Streams that the program left in it are void.
pub(crate) fn destroy_green(context: &Context) -> Result<()> {
    let session = session()?;
    CONTEXTS
        .remove(handle(context))
        .ok_or(error::ERROR_INVALID_CONTEXT)?;
    context.alive.store(false, Ordering::Release);
    let number = context.stream_context;
    let result = session.call(context.device, &ContextDestroy { context: number });
    session.heal(number);
    streams::forget_context(number);
    crate::memory::staging::forget_context(number);
    // The ordinal is the handle.
    result.and(cuDevicePrimaryCtxRelease(context.device as CUdevice))
}

/// The context whose memory, modules and events a stream's work uses, by the number that its streams have for it.
pub(crate) fn home(stream_context: u32) -> u32 {
    if stream_context < FIRST_CREATED_CONTEXT {
        return stream_context;
    }
    CONTEXTS
        .find(|c| c.stream_context == stream_context)
        .map_or(stream_context, |c| c.id)
}

/// Makes a context and pushes it on the calling thread's stack.
pub(crate) unsafe fn cuCtxCreate_v2(pctx: *mut CUcontext, flags: u32, dev: CUdevice) -> Result<()> {
    let (device, _) = device_by_handle(dev)?;
    if pctx.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    check_flags(flags)?;
    let session = session()?;
    let id = next_number();
    session.call(
        device,
        &ContextCreate {
            context: id,
            device,
            flags,
        },
    )?;
    let Some(context) = CONTEXTS.insert(|handle| Context::new(id, device, flags, true, handle))
    else {
        session.call(id, &ContextDestroy { context: id })?;
        return Err(error::ERROR_OUT_OF_MEMORY);
    };
    let made = handle(&context);
    stack(|stack| stack.push(context))?;
    // SAFETY: not null, and the caller's.
    unsafe { put(pctx, made) }
}

/// Execution affinity needs MPS partitions: without parameters it is [`cuCtxCreate_v2`], with them `CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY`.
pub(crate) unsafe fn cuCtxCreate_v3(
    pctx: *mut CUcontext,
    paramsArray: *mut c_void,
    numParams: i32,
    flags: u32,
    dev: CUdevice,
) -> Result<()> {
    if numParams != 0 || !paramsArray.is_null() {
        return Err(error::ERROR_UNSUPPORTED_EXEC_AFFINITY);
    }
    // SAFETY: the caller's pointer.
    unsafe { cuCtxCreate_v2(pctx, flags, dev) }
}

/// As [`cuCtxCreate_v3`]; contexts for graphics (CIG) are not supported.
pub(crate) unsafe fn cuCtxCreate_v4(
    pctx: *mut CUcontext,
    ctxCreateParams: *mut CUctxCreateParams,
    flags: u32,
    dev: CUdevice,
) -> Result<()> {
    if !ctxCreateParams.is_null() {
        // SAFETY: not null, and the caller's by CUDA's contract.
        let params = unsafe { ctxCreateParams.read_unaligned() };
        if params.numExecAffinityParams != 0 {
            return Err(error::ERROR_UNSUPPORTED_EXEC_AFFINITY);
        }
        if !params.cigParams.is_null() {
            return Err(error::ERROR_NOT_SUPPORTED);
        }
    }
    // SAFETY: the caller's pointer.
    unsafe { cuCtxCreate_v2(pctx, flags, dev) }
}

/// Destroys a made context and pops it if it is the calling thread's current one. Primary contexts are released, not destroyed.
pub(crate) fn cuCtxDestroy_v2(ctx: CUcontext) -> Result<()> {
    let session = session()?;
    let context = by_handle(ctx)?;
    if context.is_primary() {
        return Err(error::ERROR_INVALID_CONTEXT);
    }
    // Two threads may try: one of them finds it.
    let context = CONTEXTS.remove(ctx).ok_or(error::ERROR_INVALID_CONTEXT)?;
    context.alive.store(false, Ordering::Release);
    let _ = stack(|stack| stack.pop_if(|top| top.id == context.id));
    context_storage::forget_context(ctx);
    // In the device's primary context: a poisoned one can be destroyed.
    let result = session.call(
        context.device,
        &ContextDestroy {
            context: context.id,
        },
    );
    session.heal(context.id);
    forget(context.id);
    crate::memory::forget_context(context.id, context.device);
    result
}

/// Pushes a context on the calling thread's stack.
pub(crate) fn cuCtxPushCurrent_v2(ctx: CUcontext) -> Result<()> {
    session()?;
    let context = by_handle(ctx)?;
    stack(|stack| stack.push(context))
}

/// Pops the calling thread's current context.
pub(crate) unsafe fn cuCtxPopCurrent_v2(pctx: *mut CUcontext) -> Result<()> {
    session()?;
    let context = stack(Vec::pop)?.ok_or(error::ERROR_INVALID_CONTEXT)?;
    // SAFETY: the caller's pointer, which may be null.
    unsafe { put_if(pctx, handle(&context)) };
    Ok(())
}

/// Replaces the calling thread's current context; null pops it.
pub(crate) fn cuCtxSetCurrent(ctx: CUcontext) -> Result<()> {
    session()?;
    if ctx.is_null() {
        return stack(|stack| drop(stack.pop()));
    }
    // Setting what is current already is what the runtime does all the time.
    if stack(|stack| stack.last().is_some_and(|top| top.handle == ctx as usize))? {
        return Ok(());
    }
    let context = by_handle(ctx)?;
    stack(|stack| {
        stack.pop();
        stack.push(context);
    })
}

/// Null, and success, if there is none.
pub(crate) unsafe fn cuCtxGetCurrent(pctx: *mut CUcontext) -> Result<()> {
    session()?;
    let current = stack(|stack| stack.last().map(|top| handle(top)))?;
    // SAFETY: the caller's pointer.
    unsafe { put(pctx, current.unwrap_or(std::ptr::null_mut())) }
}

/// The current context's device, even if the context has been destroyed since, as natively.
pub(crate) unsafe fn cuCtxGetDevice(device: *mut CUdevice) -> Result<()> {
    // SAFETY: the caller's pointer.
    unsafe { cuCtxGetDevice_v2(device, std::ptr::null_mut()) }
}

/// A context's device, null for the current one's.
pub(crate) unsafe fn cuCtxGetDevice_v2(device: *mut CUdevice, ctx: CUcontext) -> Result<()> {
    session()?;
    let ordinal = if ctx.is_null() {
        stack(|stack| stack.last().map(|top| top.device))?.ok_or(error::ERROR_INVALID_CONTEXT)?
    } else {
        by_handle(ctx)?.device
    };
    // SAFETY: the caller's pointer.
    unsafe { put(device, ordinal.cast_signed()) }
}

/// As they were given; a primary context's with `CU_CTX_MAP_HOST`, as natively.
pub(crate) unsafe fn cuCtxGetFlags(flags: *mut u32) -> Result<()> {
    let context = current()?;
    let mapped = if context.is_primary() { MAP_HOST } else { 0 };
    // SAFETY: the caller's pointer.
    unsafe { put(flags, context.flags.load(Ordering::Relaxed) | mapped) }
}

/// Changes the current context's flags. What `cuDevicePrimaryCtxGetState` reports stays as it was set there, as natively.
pub(crate) fn cuCtxSetFlags(flags: u32) -> Result<()> {
    let context = current()?;
    check_flags(flags)?;
    context.flags.store(flags, Ordering::Relaxed);
    Ok(())
}

/// A number that no other context of the process ever has.
pub(crate) unsafe fn cuCtxGetId(ctx: CUcontext, ctxId: *mut u64) -> Result<()> {
    let context = by_handle_or_current(ctx)?;
    // SAFETY: the caller's pointer.
    unsafe { put(ctxId, context.unique.load(Ordering::Relaxed)) }
}

/// Waits for everything in the current context. No round trip if the client knows that nothing is outstanding.
pub(crate) fn cuCtxSynchronize() -> Result<()> {
    cuCtxSynchronize_v2(std::ptr::null_mut())
}

/// As [`cuCtxSynchronize`], for any context.
pub(crate) fn cuCtxSynchronize_v2(ctx: CUcontext) -> Result<()> {
    let context = by_handle_or_current(ctx)?;
    let session = session()?;
    session.check(context.stream_context)?;
    crate::capture::forbid()?;
    let of_primary = |c: &Context| c.id == context.id && c.stream_context != c.id && c.alive();
    let mut numbers = vec![context.stream_context];
    if context.stream_context == context.id && GREEN.load(Ordering::Acquire) {
        // Green contexts are parts of the primary one.
        let all = CONTEXTS.all();
        numbers.extend(
            all.iter()
                .filter(|c| of_primary(c))
                .map(|c| c.stream_context),
        );
    }
    for number in numbers {
        if streams::outstanding(number) || session.prints() {
            synchronize(session, number)?;
        }
    }
    crate::memory::pool::synchronized(session);
    Ok(())
}

/// One round trip that waits for everything in a context.
pub(crate) fn synchronize(session: &Session, context: u32) -> Result<()> {
    let mut sequence = 0;
    session.call_bulk(context, &ContextSynchronize {}, &[], |s| sequence = s)?;
    streams::context_synchronized(context, sequence);
    Ok(())
}

/// What programs hold for the context of that number; null if it is gone.
pub(crate) fn handle_of(id: u32) -> CUcontext {
    CONTEXTS
        .find(|c| c.stream_context == id)
        .map_or(std::ptr::null_mut(), |c| handle(&c))
}

/// The device of the context of that number.
pub(crate) fn device_of(id: u32) -> Result<u32> {
    CONTEXTS
        .find(|c| c.stream_context == id)
        .map(|c| c.device)
        .ok_or(error::ERROR_INVALID_CONTEXT)
}

/// Numbers of the live contexts of a device.
pub(crate) fn on_device(device: u32) -> SmallVec<[u32; 4]> {
    let mut numbers = SmallVec::new();
    CONTEXTS.for_each(|c| {
        if c.device == device && c.alive() {
            numbers.push(c.stream_context);
        }
    });
    numbers
}

/// The entry points' version, not the driver's.
pub(crate) unsafe fn cuCtxGetApiVersion(ctx: CUcontext, version: *mut u32) -> Result<()> {
    by_handle_or_current(ctx)?;
    // SAFETY: the caller's pointer.
    unsafe { put(version, API_VERSION) }
}

/// Lowest and greatest priority of streams on the current context's device. Either pointer may be null.
pub(crate) unsafe fn cuCtxGetStreamPriorityRange(
    leastPriority: *mut i32,
    greatestPriority: *mut i32,
) -> Result<()> {
    let context = current()?;
    let devices = &session()?.snapshot.devices;
    let device = devices.get(context.device as usize);
    let (least, greatest) = device.map_or((0, 0), |d| d.stream_priorities);
    // SAFETY: the caller's pointers, which may be null.
    unsafe {
        put_if(leastPriority, least);
        put_if(greatestPriority, greatest);
    }
    Ok(())
}

/// Deprecated: counts one more user of the current context. Flags must be 0.
pub(crate) unsafe fn cuCtxAttach(pctx: *mut CUcontext, flags: u32) -> Result<()> {
    let context = current()?;
    if pctx.is_null() || flags != 0 {
        return Err(error::ERROR_INVALID_VALUE);
    }
    context.usage.fetch_add(1, Ordering::Relaxed);
    // SAFETY: not null, and the caller's.
    unsafe { put(pctx, handle(&context)) }
}

/// Deprecated: counts one user less, and destroys the context after the last. It must be current.
pub(crate) fn cuCtxDetach(ctx: CUcontext) -> Result<()> {
    let context = current()?;
    if handle(&context) != ctx {
        return Err(error::ERROR_INVALID_CONTEXT);
    }
    let last = context
        .usage
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1))
        .map_err(|_| error::ERROR_INVALID_CONTEXT)?
        == 1;
    if last && !context.is_primary() {
        return cuCtxDestroy_v2(ctx);
    }
    Ok(())
}

/// Gives the current context access to another's memory, present and future.
pub(crate) fn cuCtxEnablePeerAccess(peerContext: CUcontext, flags: u32) -> Result<()> {
    let context = current()?;
    if flags != 0 {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let peer = by_handle(peerContext)?;
    if !device::can_access(context.device, peer.device) {
        return Err(error::ERROR_PEER_ACCESS_UNSUPPORTED);
    }
    if !context.peers.lock().insert(peer.id) {
        return Err(error::ERROR_PEER_ACCESS_ALREADY_ENABLED);
    }
    let request = PeerAccess {
        device: peer.device,
        enable: true,
    };
    let result = session()?.call_setup(context.id, &request, &[]);
    if result.is_err() {
        context.peers.lock().remove(&peer.id);
    }
    result
}

/// Takes back what [`cuCtxEnablePeerAccess`] gave.
pub(crate) fn cuCtxDisablePeerAccess(peerContext: CUcontext) -> Result<()> {
    let context = current()?;
    let peer = by_handle(peerContext)?;
    if !context.peers.lock().remove(&peer.id) {
        return Err(error::ERROR_PEER_ACCESS_NOT_ENABLED);
    }
    let request = PeerAccess {
        device: peer.device,
        enable: false,
    };
    session()?.call_setup(context.id, &request, &[])
}
