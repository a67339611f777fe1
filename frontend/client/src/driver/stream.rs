//! Streams: <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__STREAM.html>.
#![allow(non_snake_case, reason = "CUDA's names")]

use std::sync::Arc;
use std::sync::atomic::Ordering;

use gvirtus_wire::api::core::{
    StreamCopyAttributes, StreamDestroy, StreamGetAttribute, StreamSetAttribute, StreamSynchronize,
    StreamWaitEvent,
};
use gvirtus_wire::api::types::{CUcontext, CUevent, CUstream, CUstreamAttrValue, error};

use crate::driver::{Result, context, context_event, green_context, put, put_if, session};
use crate::events::{self, Recorded};
use crate::graph::work::Work;
use crate::memory::pool;
use crate::session::Session;
use crate::streams::Stream;
use crate::{capture, streams};

/// `CU_EVENT_WAIT_EXTERNAL`.
const EXTERNAL: u32 = 1;
/// `CU_STREAM_ATTRIBUTE_PRIORITY`.
const PRIORITY: u32 = 8;

/// `CU_STREAM_NON_BLOCKING` is the only flag.
pub(crate) unsafe fn cuStreamCreate(stream: *mut CUstream, flags: u32) -> Result<()> {
    // SAFETY: the caller's pointer.
    unsafe { cuStreamCreateWithPriority(stream, flags, 0) }
}

/// Priorities outside the device's range are taken as the nearest inside.
pub(crate) unsafe fn cuStreamCreateWithPriority(
    stream: *mut CUstream,
    flags: u32,
    priority: i32,
) -> Result<()> {
    let session = session()?;
    let context = context::current()?;
    if stream.is_null() || flags & !streams::NON_BLOCKING != 0 {
        return Err(error::ERROR_INVALID_VALUE);
    }
    if context.is_green() && flags != streams::NON_BLOCKING {
        // Nothing of a green context takes part in what the legacy default stream waits for.
        return Err(error::ERROR_NOT_SUPPORTED);
    }
    let priority = in_range(session, context.device, priority);
    let created = streams::create(session, &context, flags, priority)?;
    context_event::for_new_stream(streams::handle(&created), context.stream_context)?;
    // SAFETY: the caller's pointer.
    unsafe { put(stream, streams::handle(&created)) }
}

/// The nearest priority that the device has.
fn in_range(session: &Session, device: u32, priority: i32) -> i32 {
    let device = session.snapshot.devices.get(device as usize);
    let (least, greatest) = device.map_or((0, 0), |d| d.stream_priorities);
    priority.clamp(greatest.min(least), least.max(greatest))
}

/// Work on the stream goes on; the handle is invalid from now on.
pub(crate) fn cuStreamDestroy_v2(stream: CUstream) -> Result<()> {
    let session = session()?;
    let stream = streams::by_handle(stream as u64)?;
    if let Some(capture) = capture::of(&stream) {
        if capture.origin == stream.id {
            capture.invalidate();
            return Err(error::ERROR_STREAM_CAPTURE_UNSUPPORTED);
        }
        // What it captured stays; the worker must not lose a stream that takes part.
        let mut leaving = capture.leaving.lock();
        if leaving.iter().any(|known| Arc::ptr_eq(known, &stream)) {
            return Err(error::ERROR_INVALID_HANDLE);
        }
        leaving.push(stream);
        return Ok(());
    }
    destroy(session, &stream)
}

/// Tells the worker that a stream is gone.
///
/// # Errors
/// Those of sending.
pub(crate) fn destroy(session: &Session, stream: &Arc<Stream>) -> Result<()> {
    session.post(stream.context, &StreamDestroy { stream: stream.id })?;
    streams::remove(stream);
    Ok(())
}

/// Waits for a stream: one round trip, none if everything is known to be complete and nothing is to be printed.
pub(crate) fn cuStreamSynchronize(stream: CUstream) -> Result<()> {
    let session = session()?;
    let context = context::current()?;
    let stream = streams::resolve(session, &context, stream)?;
    session.check(stream.context)?;
    refuse_while_capturing(&stream)?;
    let idle = if stream.id == 0 {
        !streams::blocking_outstanding(stream.context)
    } else {
        stream.is_idle()
    };
    if idle && !session.prints() {
        pool::synchronized(session);
        return Ok(());
    }
    let mut sequence = 0;
    session.call_bulk(
        stream.context,
        &StreamSynchronize { stream: stream.id },
        &[],
        |s| sequence = s,
    )?;
    streams::synchronized(&stream, sequence);
    pool::synchronized(session);
    Ok(())
}

/// Whether a stream has finished: known from the worker's progress reports.
pub(crate) fn cuStreamQuery(stream: CUstream) -> Result<()> {
    let session = session()?;
    let context = context::current()?;
    let stream = streams::resolve(session, &context, stream)?;
    session.check(stream.context)?;
    refuse_while_capturing(&stream)?;
    session.kick();
    let idle = if stream.id == 0 {
        !streams::blocking_outstanding(stream.context)
    } else {
        stream.is_idle()
    };
    if idle {
        Ok(())
    } else {
        Err(error::ERROR_NOT_READY)
    }
}

fn refuse_while_capturing(stream: &streams::Stream) -> Result<()> {
    if let Some(capture) = capture::of(stream) {
        capture.invalidate();
        return Err(error::ERROR_STREAM_CAPTURE_UNSUPPORTED);
    }
    capture::enqueue_allowed(stream)
}

/// Later work on the stream waits for the event. A captured event draws the stream into its capture.
pub(crate) fn cuStreamWaitEvent(stream: CUstream, event_handle: CUevent, flags: u32) -> Result<()> {
    let session = session()?;
    let context = context::current()?;
    let stream = streams::resolve(session, &context, stream)?;
    let event = events::resolve(event_handle)?;
    if flags & !EXTERNAL != 0 {
        return Err(error::ERROR_INVALID_VALUE);
    }
    if flags == EXTERNAL {
        // A node that waits for whatever the event stands for when the graph runs.
        let capture = capture::of(&stream).ok_or(error::ERROR_ILLEGAL_STATE)?;
        capture::enqueue_allowed(&stream)?;
        let command = StreamWaitEvent {
            stream: stream.id,
            event: event.id,
            flags,
        };
        stream.post(session, &command, &[])?;
        capture.record(&stream, Work::Wait(event_handle as usize));
        return Ok(());
    }
    let shared = event.shared.load(Ordering::Acquire);
    let recorded = if shared {
        // Other programs record it, too: the box knows.
        Recorded::Never
    } else {
        event.recorded.lock().clone()
    };
    let mut waits_for = None;
    match recorded {
        Recorded::Never if shared => {
            if let Some(capture) = capture::of(&stream) {
                capture.invalidate();
                return Err(error::ERROR_STREAM_CAPTURE_ISOLATION);
            }
        }
        Recorded::Never => return session.check(stream.context),
        Recorded::Captured(capture, edges) => {
            if capture.status() == capture::CaptureStatus::Invalidated {
                return Err(error::ERROR_STREAM_CAPTURE_INVALIDATED);
            }
            match capture::of(&stream) {
                None if stream.id == 0 => return Err(error::ERROR_STREAM_CAPTURE_IMPLICIT),
                None => capture.join(&stream),
                Some(other) if other.id == capture.id => {}
                Some(other) => {
                    other.invalidate();
                    capture.invalidate();
                    return Err(error::ERROR_STREAM_CAPTURE_MERGE);
                }
            }
            capture.extend_front(&stream, &edges);
        }
        Recorded::On(on, sequence) => {
            if let Some(capture) = capture::of(&stream) {
                capture.invalidate();
                return Err(error::ERROR_STREAM_CAPTURE_ISOLATION);
            }
            // Already complete, by what is known: nothing to wait for.
            if on.has_passed(sequence) {
                return session.check(stream.context);
            }
            waits_for = Some((on, sequence));
        }
    }
    capture::enqueue_allowed(&stream)?;
    let command = StreamWaitEvent {
        stream: stream.id,
        event: event.id,
        flags,
    };
    match waits_for {
        Some((on, sequence)) => stream.post_wait(session, &command, on, sequence),
        None => stream.post(session, &command, &[]).map(drop),
    }
}

/// The priority that the stream was given.
pub(crate) unsafe fn cuStreamGetPriority(stream: CUstream, priority: *mut i32) -> Result<()> {
    let session = session()?;
    let stream = streams::resolve(session, &*context::current()?, stream)?;
    // SAFETY: the caller's pointer.
    unsafe { put(priority, stream.priority.load(Ordering::Relaxed)) }
}

/// The flags that the stream was created with.
pub(crate) unsafe fn cuStreamGetFlags(stream: CUstream, flags: *mut u32) -> Result<()> {
    let session = session()?;
    let stream = streams::resolve(session, &*context::current()?, stream)?;
    // SAFETY: the caller's pointer.
    unsafe { put(flags, stream.flags) }
}

/// A number that no other stream of the process has had.
pub(crate) unsafe fn cuStreamGetId(stream: CUstream, id: *mut u64) -> Result<()> {
    let session = session()?;
    let stream = streams::resolve(session, &*context::current()?, stream)?;
    // SAFETY: the caller's pointer.
    unsafe { put(id, stream.number) }
}

/// The device of the stream's context.
pub(crate) unsafe fn cuStreamGetDevice(stream: CUstream, device: *mut i32) -> Result<()> {
    let session = session()?;
    let stream = streams::resolve(session, &*context::current()?, stream)?;
    // SAFETY: the caller's pointer.
    unsafe { put(device, context::device_of(stream.context)? as i32) }
}

/// The stream's context.
pub(crate) unsafe fn cuStreamGetCtx(stream: CUstream, pctx: *mut CUcontext) -> Result<()> {
    let session = session()?;
    let stream = streams::resolve(session, &*context::current()?, stream)?;
    // SAFETY: the caller's pointer.
    unsafe { put(pctx, context::handle_of(stream.context)) }
}

/// As `cuStreamGetCtx`, but of a stream of a green context it tells that, and the primary context.
pub(crate) unsafe fn cuStreamGetCtx_v2(
    stream: CUstream,
    pctx: *mut CUcontext,
    green: *mut *mut std::ffi::c_void,
) -> Result<()> {
    let stream = streams::resolve(session()?, &*context::current()?, stream)?;
    let found = green_context::of_stream(&stream);
    let home = match found.is_null() {
        true => context::handle_of(stream.context),
        false => context::handle_of(context::home(stream.context)),
    };
    // SAFETY: the caller's pointers.
    unsafe {
        put_if(green, found);
        put(pctx, home)
    }
}

/// The green context that a stream belongs to, null if there is none; cuDNN asks.
pub(crate) unsafe fn cuStreamGetGreenCtx(
    stream: CUstream,
    green: *mut *mut std::ffi::c_void,
) -> Result<()> {
    let stream = streams::resolve(session()?, &*context::current()?, stream)?;
    // SAFETY: the caller's pointer.
    unsafe { put(green, green_context::of_stream(&stream)) }
}

/// Sets an attribute for later work on the stream.
pub(crate) unsafe fn cuStreamSetAttribute(
    hStream: CUstream,
    attr: u32,
    value: *const CUstreamAttrValue,
) -> Result<()> {
    let session = session()?;
    let context = context::current()?;
    if value.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let stream = streams::resolve(session, &context, hStream)?;
    // SAFETY: not null, and the caller's.
    let words = unsafe { value.read_unaligned() }.words;
    let (first, second) = words.split_at(4);
    let half = |words: &[u64]| {
        let mut bytes = [0; 32];
        for (to, word) in bytes.chunks_exact_mut(8).zip(words) {
            to.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    };
    let command = StreamSetAttribute {
        stream: stream.id,
        attribute: attr,
        value: (half(first), half(second)),
    };
    session.call(stream.context, &command)?;
    if attr == PRIORITY {
        let priority = in_range(session, context.device, words[0] as i32);
        stream.priority.store(priority, Ordering::Relaxed);
    }
    Ok(())
}

/// What the stream has for an attribute.
pub(crate) unsafe fn cuStreamGetAttribute(
    hStream: CUstream,
    attr: u32,
    value_out: *mut CUstreamAttrValue,
) -> Result<()> {
    let session = session()?;
    let context = context::current()?;
    if value_out.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let stream = streams::resolve(session, &context, hStream)?;
    let command = StreamGetAttribute {
        stream: stream.id,
        attribute: attr,
    };
    let (first, second) = session.call(stream.context, &command)?;
    let mut words = [0; 8];
    let bytes = first.as_chunks::<8>().0.iter().chain(second.as_chunks().0);
    for (word, bytes) in words.iter_mut().zip(bytes) {
        *word = u64::from_le_bytes(*bytes);
    }
    // SAFETY: not null.
    unsafe { put(value_out, CUstreamAttrValue { words }) }
}

/// Gives a stream the attributes of another one of the same context.
pub(crate) fn cuStreamCopyAttributes(dst: CUstream, src: CUstream) -> Result<()> {
    let session = session()?;
    let context = context::current()?;
    let to = streams::resolve(session, &context, dst)?;
    let from = streams::resolve(session, &context, src)?;
    if to.context != from.context {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let command = StreamCopyAttributes {
        to: to.id,
        from: from.id,
    };
    session.call(to.context, &command)?;
    let priority = from.priority.load(Ordering::Relaxed);
    to.priority.store(priority, Ordering::Relaxed);
    Ok(())
}
