//! Events.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use gvirtus_wire::api::core::{
    EventCreate, EventDestroy, EventElapsedTime, EventQuery, EventRecord, EventSynchronize,
};
use gvirtus_wire::command::{Answer, Handle as Handler};
use gvirtus_wire::frame::Header;

use crate::contexts::Context;
use crate::driver::{Handle, cu};
use crate::errors::{ERROR_INVALID_VALUE, Result};
use crate::session::Session;

/// `CU_EVENT_BLOCKING_SYNC`, `_DISABLE_TIMING`, `_INTERPROCESS`.
const FLAGS: u32 = 7;
/// `CU_EVENT_RECORD_EXTERNAL`.
const RECORD_EXTERNAL: u32 = 1;

/// An event of the client. The driver's event is destroyed when nobody uses it any more.
pub(crate) struct Event {
    pub(crate) raw: Handle,
    pub(crate) context: Arc<Context>,
}

impl Drop for Event {
    fn drop(&mut self) {
        if self.context.alive.load(Ordering::Acquire) {
            let _ = cu!(self.context.driver, cuEventDestroy_v2(self.raw.ptr()));
        }
    }
}

impl Handler<EventCreate> for Session {
    fn handle(&self, header: &Header, command: EventCreate) -> Result<Answer<()>> {
        self.events.vacant(command.event)?;
        let made = self.enter(header).and_then(|context| {
            if command.flags & !FLAGS != 0 {
                return Err(ERROR_INVALID_VALUE);
            }
            let mut raw = std::ptr::null_mut();
            cu!(self.driver, cuEventCreate(&raw mut raw, command.flags))?;
            Ok(Arc::new(Event {
                raw: Handle::of(raw),
                context,
            }))
        });
        self.events.store(command.event, made).map(Answer::Now)
    }
}

impl Handler<EventDestroy> for Session {
    fn handle(&self, header: &Header, command: EventDestroy) -> Result<Answer<()>> {
        self.enter(header)?;
        drop(self.events.remove(command.event)?);
        Ok(Answer::Now(()))
    }
}

impl Handler<EventRecord> for Session {
    fn handle(&self, header: &Header, command: EventRecord) -> Result<Answer<()>> {
        self.on_stream(header, command.stream, |stream| {
            let event = self.events.get(command.event)?;
            if command.flags & !RECORD_EXTERNAL != 0 {
                return Err(ERROR_INVALID_VALUE);
            }
            if command.flags == 0 {
                cu!(
                    self.driver,
                    cuEventRecord(event.raw.ptr(), stream.raw.ptr())
                )
            } else {
                cu!(
                    self.driver,
                    cuEventRecordWithFlags(event.raw.ptr(), stream.raw.ptr(), command.flags)
                )
            }
        })
        .map(Answer::Now)
    }
}

impl Handler<EventSynchronize> for Session {
    fn handle(&self, header: &Header, command: EventSynchronize) -> Result<Answer<()>> {
        let event = self.events.get(command.event)?;
        let context = self.enter(header)?;
        let done = if self.done_soon(&context, || cu!(self.driver, cuEventQuery(event.raw.ptr()))) {
            Ok(())
        } else {
            self.host.may_block();
            cu!(self.driver, cuEventSynchronize(event.raw.ptr()))
        };
        self.settle();
        done.map(Answer::Now)
    }
}

impl Handler<EventQuery> for Session {
    fn handle(&self, header: &Header, command: EventQuery) -> Result<Answer<()>> {
        let event = self.events.get(command.event)?;
        self.enter(header)?;
        let done = cu!(self.driver, cuEventQuery(event.raw.ptr()));
        self.settle();
        done.map(Answer::Now)
    }
}

impl Handler<EventElapsedTime> for Session {
    fn handle(&self, header: &Header, command: EventElapsedTime) -> Result<Answer<f32>> {
        let start = self.events.get(command.start)?;
        let end = self.events.get(command.end)?;
        self.enter(header)?;
        let mut milliseconds = 0.0;
        if self.driver.cuEventElapsedTime_v2.is_some() {
            cu!(
                self.driver,
                cuEventElapsedTime_v2(&raw mut milliseconds, start.raw.ptr(), end.raw.ptr())
            )?;
        } else {
            cu!(
                self.driver,
                cuEventElapsedTime(&raw mut milliseconds, start.raw.ptr(), end.raw.ptr())
            )?;
        }
        Ok(Answer::Now(milliseconds))
    }
}
