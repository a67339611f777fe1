//! Contexts: what a thread's calls refer to.
//!
//! # Layout
//! * this file: [`Context`], the current context of a thread, created contexts.
//! * [`super::primary`]: primary contexts. [`super::limits`]: limits and flags.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use gvirtus_wire::api::types::{CUcontext, CUctxCreateParams, CUdevice};
use parking_lot::Mutex;

use super::error::{
    ERROR_CONTEXT_IS_DESTROYED, ERROR_INVALID_CONTEXT, ERROR_INVALID_VALUE, ERROR_NOT_SUPPORTED,
    ERROR_UNSUPPORTED_EXEC_AFFINITY, Result, SUCCESS,
};
use super::handles::{self, Table};
use super::limits::Limits;
use super::memory::memory;
use super::print::Output;
use super::stream::{Sort, Stream};
use super::{capture, device, ffi, module, scheduler, state};
use crate::driver::memory::suballocator::Suballocator;

/// A device's state for one user of it.
pub(super) struct Context {
    /// `CUcontext`.
    pub(super) handle: usize,
    /// Never used again for another context, unlike a primary context's handle.
    pub(super) id: u64,
    pub(super) device: usize,
    pub(super) flags: AtomicU32,
    pub(super) primary: bool,
    /// A green context's primary context, which has the modules, the heap and the objects that its work uses.
    home: Option<Arc<Self>>,
    /// The error of the fault that ended this context's use.
    sticky: AtomicI32,
    /// Makes running kernels stop.
    pub(super) cancelled: AtomicBool,
    pub(super) limits: Mutex<Limits>,
    pub(super) output: Output,
    /// The heap of kernels' `malloc`: its address and what is used of it.
    pub(super) heap: Mutex<Option<(u64, Suballocator)>>,
    pub(super) legacy: Arc<Stream>,
    /// All streams whose work may not have ended, the legacy stream among them.
    pub(super) streams: Mutex<Vec<Arc<Stream>>>,
}

pub(super) static CONTEXTS: Table<Context> = Table::new();

thread_local! {
    /// Handles of the thread's contexts; the current one last.
    static STACK: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
    /// This thread's per-thread default streams, by context id.
    static PER_THREAD: RefCell<HashMap<u64, Arc<Stream>>> = RefCell::new(HashMap::new());
}

impl Context {
    /// Makes a context and enters it in the table. A primary context has a fixed handle.
    pub(super) fn create(device: usize, flags: u32, primary_handle: Option<usize>) -> Arc<Self> {
        Self::make(device, flags, primary_handle, None)
    }

    /// Makes a green context of a primary one.
    pub(super) fn create_green(home: &Arc<Self>) -> Arc<Self> {
        let flags = home.flags.load(Ordering::Relaxed);
        Self::make(home.device, flags, None, Some(Arc::clone(home)))
    }

    /// The context whose modules, heap and objects work in this one uses.
    pub(super) fn home(&self) -> &Self {
        self.home.as_deref().unwrap_or(self)
    }

    fn make(
        device: usize,
        flags: u32,
        primary_handle: Option<usize>,
        home: Option<Arc<Self>>,
    ) -> Arc<Self> {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        let handle = primary_handle.unwrap_or_else(handles::mint);
        let context = Arc::new_cyclic(|weak: &Weak<Self>| {
            let legacy = Stream::new(Weak::clone(weak), handle, Sort::Legacy, 0, 0);
            Self {
                handle,
                id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
                device,
                flags: AtomicU32::new(flags),
                primary: primary_handle.is_some(),
                home,
                sticky: AtomicI32::new(SUCCESS),
                cancelled: AtomicBool::new(false),
                limits: Mutex::new(Limits::default()),
                output: Output::default(),
                heap: Mutex::new(None),
                legacy: Arc::clone(&legacy),
                streams: Mutex::new(vec![legacy]),
            }
        });
        CONTEXTS.insert(handle, Arc::clone(&context));
        context
    }

    /// # Errors
    /// The sticky error, if a fault has ended this context's use.
    pub(super) fn check(&self) -> Result {
        match self.sticky.load(Ordering::Acquire) {
            SUCCESS => Ok(()),
            code => Err(code),
        }
    }

    /// Records a fault; the first one stays.
    pub(super) fn poison(&self, code: i32) {
        let _ = self
            .sticky
            .compare_exchange(SUCCESS, code, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Whether work in this context is dropped rather than run.
    pub(super) fn is_dead(&self) -> bool {
        self.sticky.load(Ordering::Acquire) != SUCCESS || self.cancelled.load(Ordering::Acquire)
    }

    /// Whether all work submitted so far has ended.
    pub(super) fn is_idle(&self) -> bool {
        let streams: Vec<Arc<Stream>> = self.streams.lock().clone();
        let _submission = scheduler::submit();
        streams.iter().all(|stream| stream.tail().is_none())
    }

    /// Waits for all work submitted so far and prints what kernels have printed.
    ///
    /// # Errors
    /// The sticky error.
    pub(super) fn synchronize(&self) -> Result {
        let streams: Vec<Arc<Stream>> = self.streams.lock().clone();
        let tails: Vec<_> = {
            let _submission = scheduler::submit();
            streams.iter().filter_map(|stream| stream.tail()).collect()
        };
        for task in tails {
            scheduler::wait(&task);
        }
        self.streams.lock().retain(|stream| !stream.is_finished());
        self.output.flush();
        self.check()
    }

    /// Ends the context: running kernels stop, work that waits is dropped, memory and modules go.
    pub(super) fn destroy(&self) {
        capture::abandon_context(self.id);
        self.cancelled.store(true, Ordering::Release);
        let _ = self.synchronize();
        if CONTEXTS
            .get(handles::pointer(self.handle))
            .is_some_and(|live| live.id == self.id)
        {
            CONTEXTS.remove(handles::pointer(self.handle));
        }
        module::forget_context(self.id);
        super::stream::forget_context(self.id);
        super::event::forget_context(self.id);
        super::texture::forget_context(self.id);
        super::array::forget_context(self.id);
        memory().free_context(self.id);
        for stream in std::mem::take(&mut *self.streams.lock()) {
            stream.forget();
        }
    }

    /// This thread's default stream in this context.
    pub(super) fn per_thread_stream(self: &Arc<Self>) -> Arc<Stream> {
        PER_THREAD.with_borrow_mut(|streams| {
            let stream = streams.entry(self.id).or_insert_with(|| {
                let stream = Stream::new(Arc::downgrade(self), self.handle, Sort::PerThread, 0, 0);
                self.streams.lock().push(Arc::clone(&stream));
                stream
            });
            Arc::clone(stream)
        })
    }
}

/// The context with an id, if it lives.
pub(super) fn by_id(id: u64) -> Option<Arc<Context>> {
    if id == 0 {
        None
    } else {
        CONTEXTS.find(|context| context.id == id)
    }
}

/// The current context's handle; 0 if there is none.
fn top() -> usize {
    STACK.with_borrow(|stack| stack.last().copied().unwrap_or(0))
}

/// The current context, whether or not it has faulted.
///
/// # Errors
/// `CUDA_ERROR_INVALID_CONTEXT` without one; `CUDA_ERROR_CONTEXT_IS_DESTROYED`.
pub(super) fn current_even_if_faulted() -> Result<Arc<Context>> {
    state::require()?;
    match top() {
        0 => Err(ERROR_INVALID_CONTEXT),
        handle => CONTEXTS
            .get(handles::pointer(handle))
            .ok_or(ERROR_CONTEXT_IS_DESTROYED),
    }
}

/// The current context.
///
/// # Errors
/// As [`current_even_if_faulted`], and the context's sticky error.
pub(super) fn current() -> Result<Arc<Context>> {
    let context = current_even_if_faulted()?;
    context.check()?;
    Ok(context)
}

/// Looks a handle up.
///
/// # Errors
/// `CUDA_ERROR_INVALID_CONTEXT` for anything but a live context.
pub(super) fn resolve(handle: CUcontext) -> Result<Arc<Context>> {
    state::require()?;
    CONTEXTS.get(handle).ok_or(ERROR_INVALID_CONTEXT)
}

fn push(handle: usize) {
    STACK.with_borrow_mut(|stack| stack.push(handle));
}

fn create(pctx: *mut CUcontext, flags: u32, dev: CUdevice, push_it: bool) -> Result {
    let device = device::resolve(dev)?;
    if pctx.is_null() || flags & !super::limits::CONTEXT_FLAGS != 0 {
        return Err(ERROR_INVALID_VALUE);
    }
    let context = Context::create(device.ordinal, flags, None);
    if push_it {
        push(context.handle);
    }
    ffi::put(pctx, handles::pointer(context.handle))
}

pub(super) fn cuCtxCreate_v2(pctx: *mut CUcontext, flags: u32, dev: CUdevice) -> Result {
    create(pctx, flags, dev, true)
}

pub(super) fn cuCtxCreate_v3(
    pctx: *mut CUcontext,
    _paramsArray: *mut c_void,
    numParams: i32,
    flags: u32,
    dev: CUdevice,
) -> Result {
    if numParams != 0 {
        return Err(ERROR_UNSUPPORTED_EXEC_AFFINITY);
    }
    create(pctx, flags, dev, true)
}

pub(super) fn cuCtxCreate_v4(
    pctx: *mut CUcontext,
    ctxCreateParams: *mut CUctxCreateParams,
    flags: u32,
    dev: CUdevice,
) -> Result {
    if !ctxCreateParams.is_null() {
        let params = ffi::get(ctxCreateParams)?;
        if params.numExecAffinityParams != 0 {
            return Err(ERROR_UNSUPPORTED_EXEC_AFFINITY);
        }
        if !params.cigParams.is_null() {
            return Err(ERROR_NOT_SUPPORTED);
        }
    }
    create(pctx, flags, dev, true)
}

pub(super) fn cuCtxDestroy_v2(ctx: CUcontext) -> Result {
    let context = resolve(ctx)?;
    if context.primary {
        return Err(ERROR_INVALID_CONTEXT);
    }
    context.destroy();
    STACK.with_borrow_mut(|stack| {
        if stack.last() == Some(&context.handle) {
            stack.pop();
        }
    });
    Ok(())
}

pub(super) fn cuCtxAttach(pctx: *mut CUcontext, flags: u32) -> Result {
    let context = current()?;
    if flags != 0 {
        return Err(ERROR_INVALID_VALUE);
    }
    ffi::put(pctx, handles::pointer(context.handle))
}

pub(super) fn cuCtxDetach(ctx: CUcontext) -> Result {
    resolve(ctx).map(|_| ())
}

pub(super) fn cuCtxPushCurrent_v2(ctx: CUcontext) -> Result {
    let context = resolve(ctx)?;
    push(context.handle);
    Ok(())
}

pub(super) fn cuCtxPopCurrent_v2(pctx: *mut CUcontext) -> Result {
    state::require()?;
    let popped = STACK
        .with_borrow_mut(Vec::pop)
        .ok_or(ERROR_INVALID_CONTEXT)?;
    ffi::put_optional(pctx, handles::pointer(popped));
    Ok(())
}

pub(super) fn cuCtxSetCurrent(ctx: CUcontext) -> Result {
    state::require()?;
    let handle = if ctx.is_null() {
        None
    } else {
        Some(resolve(ctx)?.handle)
    };
    STACK.with_borrow_mut(|stack| {
        stack.pop();
        stack.extend(handle);
    });
    Ok(())
}

pub(super) fn cuCtxGetCurrent(pctx: *mut CUcontext) -> Result {
    state::require()?;
    ffi::put(pctx, handles::pointer(top()))
}

pub(super) fn cuCtxGetDevice(device: *mut CUdevice) -> Result {
    ffi::put(device, current_even_if_faulted()?.device as CUdevice)
}

pub(super) fn cuCtxGetDevice_v2(device: *mut CUdevice, ctx: CUcontext) -> Result {
    ffi::put(device, resolve_or_current(ctx)?.device as CUdevice)
}

pub(super) fn cuCtxGetId(ctx: CUcontext, ctxId: *mut u64) -> Result {
    ffi::put(ctxId, resolve_or_current(ctx)?.id)
}

pub(super) fn cuCtxGetApiVersion(ctx: CUcontext, version: *mut u32) -> Result {
    resolve_or_current(ctx)?;
    ffi::put(version, 3020)
}

pub(super) fn cuCtxSynchronize() -> Result {
    let context = current()?;
    capture::forbid_synchronization(&context)?;
    context.synchronize()
}

pub(super) fn cuCtxSynchronize_v2(ctx: CUcontext) -> Result {
    let context = resolve_or_current(ctx)?;
    context.check()?;
    capture::forbid_synchronization(&context)?;
    context.synchronize()
}

/// A null handle means the current context.
fn resolve_or_current(ctx: CUcontext) -> Result<Arc<Context>> {
    if ctx.is_null() {
        current_even_if_faulted()
    } else {
        resolve(ctx)
    }
}
