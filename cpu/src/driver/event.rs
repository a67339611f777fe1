//! Events: points in a stream.
//!
//! See <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__EVENT.html>.

use std::sync::Arc;
use std::time::Duration;

use gvirtus_wire::api::types::{CUevent, CUstream};
use parking_lot::Mutex;

use super::error::{
    ERROR_CAPTURED_EVENT, ERROR_INVALID_HANDLE, ERROR_INVALID_VALUE, ERROR_NOT_READY, Result,
};
use super::handles::{self, Table};
use super::scheduler::{self, Runner, Task};
use super::shared_event::Shared;
use super::work::Work;
use super::{capture, context, ffi, state, stream};

/// `CU_EVENT_BLOCKING_SYNC | DISABLE_TIMING | INTERPROCESS`.
const FLAGS: u32 = 7;
const DISABLE_TIMING: u32 = 2;
const INTERPROCESS: u32 = 4;
/// `CU_EVENT_RECORD_EXTERNAL`.
pub(super) const RECORD_EXTERNAL: u32 = 1;

/// A point in a stream, recorded any number of times.
pub(super) struct Event {
    flags: u32,
    pub(super) context: u64,
    /// For events that other processes may use.
    pub(super) shared: Option<Shared>,
    recorded: Mutex<Recorded>,
}

#[derive(Clone, Default)]
enum Recorded {
    #[default]
    Never,
    /// The task that stands for it.
    InStream(Arc<Task>),
    /// In a stream that captures: the capture and the nodes that it stands for.
    Captured(capture::Point),
}

pub(super) static EVENTS: Table<Event> = Table::new();

impl Event {
    /// The task to wait for, if there is one that has not ended.
    pub(super) fn task(&self) -> Option<Arc<Task>> {
        match &*self.recorded.lock() {
            Recorded::InStream(task) if !task.is_done() => Some(Arc::clone(task)),
            _ => None,
        }
    }

    /// Where in a capture it was last recorded.
    pub(super) fn captured(&self) -> Option<capture::Point> {
        match &*self.recorded.lock() {
            Recorded::Captured(point) => Some(point.clone()),
            _ => None,
        }
    }

    pub(super) fn set_task(&self, task: &Arc<Task>) {
        *self.recorded.lock() = Recorded::InStream(Arc::clone(task));
    }

    pub(super) fn set_captured(&self, point: capture::Point) {
        *self.recorded.lock() = Recorded::Captured(point);
    }

    /// Whether it was ever recorded in a stream.
    pub(super) fn is_recorded(&self) -> bool {
        matches!(*self.recorded.lock(), Recorded::InStream(_))
    }

    fn recorded(&self) -> Recorded {
        self.recorded.lock().clone()
    }

    /// # Errors
    /// `CUDA_ERROR_CAPTURED_EVENT` when it was last recorded in a capture.
    fn forbid_captured(&self) -> Result {
        match self.captured() {
            Some(point) => {
                point.invalidate();
                Err(ERROR_CAPTURED_EVENT)
            }
            None => Ok(()),
        }
    }
}

/// # Errors
/// `CUDA_ERROR_INVALID_HANDLE` for anything but a live event; the sticky error of its context.
pub(super) fn resolve(handle: CUevent) -> Result<Arc<Event>> {
    state::require()?;
    let event = EVENTS.get(handle).ok_or(ERROR_INVALID_HANDLE)?;
    if let Some(context) = context::by_id(event.context) {
        context.check()?;
    }
    Ok(event)
}

/// Forgets the events of a context that is destroyed.
pub(super) fn forget_context(context: u64) {
    EVENTS.remove_where(|event| event.context == context);
}

pub(super) fn cuEventCreate(phEvent: *mut CUevent, Flags: u32) -> Result {
    let context = context::current()?;
    if phEvent.is_null()
        || Flags & !FLAGS != 0
        || (Flags & INTERPROCESS != 0 && Flags & DISABLE_TIMING == 0)
    {
        return Err(ERROR_INVALID_VALUE);
    }
    let shared = if Flags & INTERPROCESS != 0 {
        Some(Shared::new()?)
    } else {
        None
    };
    insert(phEvent, Flags, context.home().id, shared)
}

fn insert(phEvent: *mut CUevent, flags: u32, context: u64, shared: Option<Shared>) -> Result {
    let handle = handles::mint();
    EVENTS.insert(
        handle,
        Arc::new(Event {
            flags,
            context,
            shared,
            recorded: Mutex::default(),
        }),
    );
    ffi::put(phEvent, handles::pointer(handle))
}

/// An event of another process.
pub(super) fn insert_shared(phEvent: *mut CUevent, context: u64, shared: Shared) -> Result {
    insert(
        phEvent,
        INTERPROCESS | DISABLE_TIMING,
        context,
        Some(shared),
    )
}

pub(super) fn cuEventRecord(hEvent: CUevent, hStream: CUstream) -> Result {
    cuEventRecordWithFlags(hEvent, hStream, 0)
}

pub(super) fn cuEventRecordWithFlags(hEvent: CUevent, hStream: CUstream, flags: u32) -> Result {
    let event = resolve(hEvent)?;
    let stream = stream::resolve(hStream)?;
    if flags & !RECORD_EXTERNAL != 0 {
        return Err(ERROR_INVALID_VALUE);
    }
    if stream.context()?.home().id != event.context {
        return Err(ERROR_INVALID_HANDLE);
    }
    if capture::record(&stream, &event, flags == RECORD_EXTERNAL)? {
        return Ok(());
    }
    let work = event.shared.as_ref().map_or(Work::Nothing, Shared::record);
    let task = stream.append(work, Runner::Pool, &[])?;
    event.set_task(&task);
    Ok(())
}

pub(super) fn cuEventQuery(hEvent: CUevent) -> Result {
    let event = resolve(hEvent)?;
    event.forbid_captured()?;
    capture::forbid_unsafe_call()?;
    if event.shared.as_ref().is_some_and(|s| !s.is_complete()) {
        return Err(ERROR_NOT_READY);
    }
    match event.task() {
        Some(_) => Err(ERROR_NOT_READY),
        // A fault may have ended the task.
        None => resolve(hEvent).map(|_| ()),
    }
}

pub(super) fn cuEventSynchronize(hEvent: CUevent) -> Result {
    let event = resolve(hEvent)?;
    event.forbid_captured()?;
    capture::forbid_unsafe_call()?;
    if let Some(task) = event.task() {
        scheduler::wait(&task);
    }
    while event.shared.as_ref().is_some_and(|s| !s.is_complete()) {
        // Another process will say so, and cannot wake us.
        resolve(hEvent)?;
        std::thread::sleep(Duration::from_micros(100));
    }
    let Some(context) = context::by_id(event.context) else {
        return Ok(());
    };
    context.output.flush();
    context.check()
}

pub(super) fn cuEventDestroy_v2(hEvent: CUevent) -> Result {
    state::require()?;
    let event = EVENTS.remove(hEvent).ok_or(ERROR_INVALID_HANDLE)?;
    context::by_id(event.context).map_or(Ok(()), |context| context.check())
}

pub(super) fn cuEventElapsedTime(
    pMilliseconds: *mut f32,
    hStart: CUevent,
    hEnd: CUevent,
) -> Result {
    let (start, end) = (resolve(hStart)?, resolve(hEnd)?);
    if pMilliseconds.is_null() {
        return Err(ERROR_INVALID_VALUE);
    }
    if (start.flags | end.flags) & DISABLE_TIMING != 0 || start.context != end.context {
        return Err(ERROR_INVALID_HANDLE);
    }
    start.forbid_captured()?;
    end.forbid_captured()?;
    let (Recorded::InStream(from), Recorded::InStream(to)) = (start.recorded(), end.recorded())
    else {
        return Err(ERROR_INVALID_HANDLE);
    };
    if !from.is_done() || !to.is_done() {
        return Err(ERROR_NOT_READY);
    }
    let nanoseconds = to.finished() as i64 - from.finished() as i64;
    ffi::put(pMilliseconds, (nanoseconds as f64 / 1e6) as f32)
}

pub(super) fn cuEventElapsedTime_v2(
    pMilliseconds: *mut f32,
    hStart: CUevent,
    hEnd: CUevent,
) -> Result {
    cuEventElapsedTime(pMilliseconds, hStart, hEnd)
}
