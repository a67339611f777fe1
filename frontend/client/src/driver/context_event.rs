//! Events of whole contexts: <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__CTX.html>.
//!
//! A stream of ours, which waits for every stream of the context, stands for the context's work.
#![allow(non_snake_case, reason = "CUDA's names")]

use std::ptr::null_mut;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gvirtus_wire::api::types::{CUcontext, CUevent, CUstream, error};
use parking_lot::Mutex;

use crate::driver::context::{self, Context, cuCtxPopCurrent_v2, cuCtxPushCurrent_v2};
use crate::driver::event::{cuEventCreate, cuEventDestroy_v2, cuEventQuery, cuEventRecord};
use crate::driver::stream::{cuStreamCreate, cuStreamDestroy_v2, cuStreamWaitEvent};
use crate::driver::{Result, session};
use crate::events::{self, DISABLE_TIMING};
use crate::{capture, streams};

/// What streams that a context gets later wait for: the context's id, and an event of ours.
static WAITS: Mutex<Vec<(u32, usize)>> = Mutex::new(Vec::new());
/// Whether there is anything in [`WAITS`].
static ANY: AtomicBool = AtomicBool::new(false);

/// Runs something with a context current.
fn within(handle: CUcontext, work: impl FnOnce() -> Result<()>) -> Result<()> {
    cuCtxPushCurrent_v2(handle)?;
    let done = work();
    let mut popped = null_mut();
    // SAFETY: a variable of ours.
    unsafe { cuCtxPopCurrent_v2(&raw mut popped)? };
    done
}

/// Gives a stream of ours to some work, and lets it go.
fn with_stream(work: impl FnOnce(CUstream) -> Result<()>) -> Result<()> {
    let mut stream = null_mut();
    // SAFETY: a variable of ours.
    unsafe { cuStreamCreate(&raw mut stream, streams::NON_BLOCKING)? };
    let done = work(stream);
    cuStreamDestroy_v2(stream)?;
    done
}

/// A new event behind what is on a stream.
fn event_on(stream: CUstream) -> Result<CUevent> {
    let mut event = null_mut();
    // SAFETY: a variable of ours.
    unsafe { cuEventCreate(&raw mut event, DISABLE_TIMING)? };
    cuEventRecord(event, stream).inspect_err(|_| {
        let _ = cuEventDestroy_v2(event);
    })?;
    Ok(event)
}

/// Checks handles, and that nothing is captured in the context.
fn checked(handle: CUcontext, event: CUevent) -> Result<(CUcontext, Arc<Context>)> {
    session()?;
    let context = context::by_handle_or_current(handle)?;
    events::resolve(event)?;
    let streams = streams::of_context(context.stream_context);
    if streams.iter().any(|stream| capture::of(stream).is_some()) {
        return Err(error::ERROR_STREAM_CAPTURE_UNSUPPORTED);
    }
    Ok((context::handle(&context), context))
}

/// Records all that has been issued in a context so far.
pub(crate) fn cuCtxRecordEvent(hCtx: CUcontext, hEvent: CUevent) -> Result<()> {
    let (handle, context) = checked(hCtx, hEvent)?;
    if events::resolve(hEvent)?.context != context.id {
        return Err(error::ERROR_INVALID_HANDLE);
    }
    within(handle, || {
        with_stream(|ours| {
            for stream in streams::of_context(context.stream_context) {
                let theirs = streams::handle(&stream);
                if theirs == ours || stream.is_idle() {
                    continue;
                }
                if stream.id != 0 && streams::by_handle(stream.handle).is_err() {
                    // Destroyed while it works: nothing can be put behind that any more.
                    context::synchronize(session()?, context.stream_context)?;
                    continue;
                }
                let event = event_on(theirs)?;
                let waits = cuStreamWaitEvent(ours, event, 0);
                cuEventDestroy_v2(event)?;
                waits?;
            }
            cuEventRecord(hEvent, ours)
        })
    })
}

/// Makes all that is issued in a context from now on wait for an event.
pub(crate) fn cuCtxWaitEvent(hCtx: CUcontext, hEvent: CUevent) -> Result<()> {
    let (handle, context) = checked(hCtx, hEvent)?;
    within(handle, || {
        for stream in streams::of_context(context.stream_context) {
            let known = stream.id == 0 || streams::by_handle(stream.handle).is_ok();
            if known {
                cuStreamWaitEvent(streams::handle(&stream), hEvent, 0)?;
            }
        }
        with_stream(|ours| {
            cuStreamWaitEvent(ours, hEvent, 0)?;
            let event = event_on(ours)?;
            let mut waits = WAITS.lock();
            waits.push((context.stream_context, event.addr()));
            ANY.store(true, Ordering::Release);
            Ok(())
        })
    })
}

/// Makes a new stream wait for what its context waits for.
pub(crate) fn for_new_stream(stream: CUstream, context: u32) -> Result<()> {
    if !ANY.load(Ordering::Acquire) {
        return Ok(());
    }
    let all = std::mem::take(&mut *WAITS.lock());
    let mut kept = Vec::new();
    for (of, event) in all {
        let handle = std::ptr::without_provenance_mut(event);
        if cuEventQuery(handle) != Err(error::ERROR_NOT_READY) {
            let _ = cuEventDestroy_v2(handle);
            continue;
        }
        if of == context {
            cuStreamWaitEvent(stream, handle, 0)?;
        }
        kept.push((of, event));
    }
    let mut waits = WAITS.lock();
    waits.extend(kept);
    ANY.store(!waits.is_empty(), Ordering::Release);
    Ok(())
}
