//! Events: <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__EVENT.html>.
#![allow(non_snake_case, reason = "CUDA's names")]

use std::sync::atomic::Ordering;

use gvirtus_wire::api::core::{
    EventDestroy, EventElapsedTime, EventQuery, EventRecord, EventSynchronize, Ping,
};
use gvirtus_wire::api::types::{CUevent, CUstream, error};

use crate::driver::{Result, context, put, session};
use crate::events::{self, DISABLE_TIMING, Event, INTERPROCESS, Recorded};
use crate::graph::work::Work;
use crate::memory::pool;
use crate::{capture, streams};

/// `CU_EVENT_BLOCKING_SYNC | DISABLE_TIMING | INTERPROCESS`.
const FLAGS: u32 = 7;
/// `CU_EVENT_RECORD_EXTERNAL`.
const EXTERNAL: u32 = 1;

/// Whether other programs record the event, too.
fn is_shared(event: &Event) -> bool {
    event.shared.load(Ordering::Acquire)
}

/// Creates an event.
pub(crate) unsafe fn cuEventCreate(event: *mut CUevent, flags: u32) -> Result<()> {
    let session = session()?;
    let context = context::current()?;
    if event.is_null()
        || flags & !FLAGS != 0
        || (flags & INTERPROCESS != 0 && flags & DISABLE_TIMING == 0)
    {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let created = events::create(session, &context, flags)?;
    // SAFETY: the caller's pointer.
    unsafe { put(event, created) }
}

/// Destroys an event; work that waits for it is not disturbed.
pub(crate) fn cuEventDestroy_v2(event: CUevent) -> Result<()> {
    let session = session()?;
    let event = events::resolve(event)?;
    events::remove(&event, || {
        session.post(event.context, &EventDestroy { event: event.id })
    })
}

/// Records what has been issued on the stream so far.
pub(crate) fn cuEventRecord(event: CUevent, stream: CUstream) -> Result<()> {
    cuEventRecordWithFlags(event, stream, 0)
}

/// As `cuEventRecord`; `CU_EVENT_RECORD_EXTERNAL` (1) only in captures.
pub(crate) fn cuEventRecordWithFlags(
    event_handle: CUevent,
    stream: CUstream,
    flags: u32,
) -> Result<()> {
    let session = session()?;
    let event = events::resolve(event_handle)?;
    let context = context::current()?;
    let stream = streams::resolve(session, &context, stream)?;
    if flags & !1 != 0 {
        return Err(error::ERROR_INVALID_VALUE);
    }
    streams::check_home(&stream, event.context)?;
    capture::enqueue_allowed(&stream)?;
    if flags == EXTERNAL && capture::of(&stream).is_none() {
        return Err(error::ERROR_ILLEGAL_STATE);
    }
    let mut recorded = event.recorded.lock();
    let sequence = stream.post(
        session,
        &EventRecord {
            event: event.id,
            stream: stream.id,
            flags,
        },
        &[],
    )?;
    match capture::of(&stream) {
        // A node; the event is recorded when the graph runs.
        Some(capture) if flags == EXTERNAL => {
            capture.record(&stream, Work::Record(event_handle as usize));
        }
        Some(capture) => {
            let front = capture.front(&stream);
            *recorded = Recorded::Captured(capture, front);
        }
        None => *recorded = Recorded::On(stream, sequence),
    }
    drop(recorded);
    if is_shared(&event) {
        // Whom the program tells of the record must find it made.
        session.call(event.context, &Ping {})?;
    }
    Ok(())
}

/// Whether the recorded work is complete: known from the worker's progress reports.
pub(crate) fn cuEventQuery(event: CUevent) -> Result<()> {
    let session = session()?;
    let event = events::resolve(event)?;
    session.check(event.context)?;
    capture::forbid()?;
    if is_shared(&event) {
        return session.call(event.context, &EventQuery { event: event.id });
    }
    if event.is_complete()? {
        return Ok(());
    }
    session.kick();
    Err(error::ERROR_NOT_READY)
}

/// Waits for the recorded work: one round trip, none if it is known to be complete.
pub(crate) fn cuEventSynchronize(event: CUevent) -> Result<()> {
    let session = session()?;
    let event = events::resolve(event)?;
    session.check(event.context)?;
    capture::forbid()?;
    if !is_shared(&event) && event.is_complete()? && !session.prints() {
        pool::synchronized(session);
        return Ok(());
    }
    let recorded = event.recorded.lock().clone();
    session.call(event.context, &EventSynchronize { event: event.id })?;
    if let Recorded::On(stream, sequence) = recorded {
        stream.complete(sequence);
    }
    pool::synchronized(session);
    Ok(())
}

/// Milliseconds between two recorded events.
pub(crate) unsafe fn cuEventElapsedTime(
    milliseconds: *mut f32,
    start: CUevent,
    end: CUevent,
) -> Result<()> {
    let session = session()?;
    if milliseconds.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let (start, end) = (events::resolve(start)?, events::resolve(end)?);
    for event in [&start, &end] {
        if event.flags & DISABLE_TIMING != 0 || matches!(*event.recorded.lock(), Recorded::Never) {
            return Err(error::ERROR_INVALID_HANDLE);
        }
    }
    let time = session.call(
        start.context,
        &EventElapsedTime {
            start: start.id,
            end: end.id,
        },
    )?;
    // SAFETY: the caller's pointer.
    unsafe { put(milliseconds, time) }
}

/// As `cuEventElapsedTime`, under the name that CUDA 12.8 gave it.
pub(crate) unsafe fn cuEventElapsedTime_v2(
    milliseconds: *mut f32,
    start: CUevent,
    end: CUevent,
) -> Result<()> {
    // SAFETY: the caller's pointer.
    unsafe { cuEventElapsedTime(milliseconds, start, end) }
}
