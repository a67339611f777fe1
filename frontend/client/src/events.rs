//! Events as the client knows them: where each was recorded last, so that queries need no answer from the worker.

use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use gvirtus_wire::api::core::EventCreate;
use gvirtus_wire::api::types::{CUevent, CUresult, error};
use parking_lot::{Mutex, RwLock};

use crate::driver::context::Context;
use crate::graph::Edge;
use crate::session::Session;
use crate::streams::{Capture, Stream};

/// `CU_EVENT_DISABLE_TIMING`.
pub(crate) const DISABLE_TIMING: u32 = 2;
/// `CU_EVENT_INTERPROCESS`.
pub(crate) const INTERPROCESS: u32 = 4;

const TAG: u64 = 0x4556_0000_0000_0000;

/// One event.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) id: u32,
    pub(crate) context: u32,
    pub(crate) flags: u32,
    handle: u64,
    /// Other programs record it, too: what is known here says nothing.
    pub(crate) shared: AtomicBool,
    pub(crate) recorded: Mutex<Recorded>,
}

/// Where an event was last recorded.
#[derive(Debug, Clone, Default)]
pub(crate) enum Recorded {
    /// Nowhere yet: complete, by CUDA's rules.
    #[default]
    Never,
    /// On a stream, as the command of that number.
    On(Arc<Stream>, u64),
    /// In a capture: it stands for edges from nodes, not for a moment.
    Captured(Arc<Capture>, Vec<Edge>),
}

#[derive(Default)]
struct Table {
    slots: Vec<Option<Arc<Event>>>,
    free: Vec<u32>,
    generation: u64,
}

static TABLE: RwLock<Table> = RwLock::new(Table {
    slots: Vec::new(),
    free: Vec::new(),
    generation: 0,
});

/// Creates an event; the worker is told, nothing is waited for.
pub(crate) fn create(
    session: &Session,
    context: &Context,
    flags: u32,
) -> Result<CUevent, CUresult> {
    insert(context, flags, false, |event| {
        session.post(context.id, &EventCreate { event, flags })
    })
}

/// An event of another program; `told` tells the worker.
pub(crate) fn import(
    context: &Context,
    told: impl FnOnce(u32) -> Result<(), CUresult>,
) -> Result<CUevent, CUresult> {
    insert(context, DISABLE_TIMING | INTERPROCESS, true, told)
}

fn insert(
    context: &Context,
    flags: u32,
    shared: bool,
    told: impl FnOnce(u32) -> Result<(), CUresult>,
) -> Result<CUevent, CUresult> {
    let mut table = TABLE.write();
    if table.slots.is_empty() {
        table.slots.push(None);
    }
    let id = table.free.pop().unwrap_or(table.slots.len() as u32);
    if id as usize == table.slots.len() {
        table.slots.push(None);
    }
    table.generation = (table.generation + 1) & 0xffff;
    let handle = TAG | table.generation << 32 | u64::from(id);
    // Posted under the lock: whoever finds the event finds it created.
    if let Err(status) = told(id) {
        table.free.push(id);
        return Err(status);
    }
    table.slots[id as usize] = Some(Arc::new(Event {
        id,
        context: context.id,
        flags,
        handle,
        shared: AtomicBool::new(shared),
        recorded: Mutex::default(),
    }));
    Ok(handle as *mut c_void)
}

/// The event with that handle.
pub(crate) fn resolve(handle: CUevent) -> Result<Arc<Event>, CUresult> {
    let handle = handle as u64;
    let table = TABLE.read();
    match table
        .slots
        .get((handle & 0xffff_ffff) as usize)
        .and_then(Option::as_ref)
    {
        Some(event) if event.handle == handle => Ok(Arc::clone(event)),
        _ => Err(error::ERROR_INVALID_HANDLE),
    }
}

/// The event that a graph's function was given: none at all is a wrong value there.
///
/// # Errors
/// `CUDA_ERROR_INVALID_VALUE` for null, `CUDA_ERROR_INVALID_HANDLE` for anything else that is no event.
pub(crate) fn given(handle: CUevent) -> Result<Arc<Event>, CUresult> {
    if handle.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    resolve(handle)
}

/// The worker's id of the event with that handle.
pub(crate) fn event_id(handle: CUevent) -> Result<u32, CUresult> {
    resolve(handle).map(|e| e.id)
}

/// Takes an event from the table; `told` tells the worker before the id can be used again.
pub(crate) fn remove(
    event: &Event,
    told: impl FnOnce() -> Result<(), CUresult>,
) -> Result<(), CUresult> {
    let mut table = TABLE.write();
    if let Some(slot) = table.slots.get_mut(event.id as usize) {
        *slot = None;
    }
    told()?;
    table.free.push(event.id);
    Ok(())
}

/// A context is gone, and its events with it.
pub(crate) fn forget_context(context: u32) {
    let mut table = TABLE.write();
    for id in 0..table.slots.len() {
        if table.slots[id]
            .as_ref()
            .is_some_and(|e| e.context == context)
        {
            table.slots[id] = None;
            table.free.push(id as u32);
        }
    }
}

impl Event {
    /// Whether the work before its last record is known to be complete.
    pub(crate) fn is_complete(&self) -> Result<bool, CUresult> {
        match &*self.recorded.lock() {
            Recorded::Never => Ok(true),
            Recorded::On(stream, sequence) => Ok(stream.has_passed(*sequence)),
            // It stands for a node: asking for it spoils the capture, and afterwards it stands for nothing.
            Recorded::Captured(capture, _) if capture.ended() => Err(error::ERROR_INVALID_VALUE),
            Recorded::Captured(capture, _) => {
                capture.invalidate();
                Err(error::ERROR_CAPTURED_EVENT)
            }
        }
    }
}
