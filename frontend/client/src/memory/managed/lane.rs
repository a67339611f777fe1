//! The way of managed memory to the GPU and back: a stream of ours per device, which waits for nobody, and an event behind what was sent on it.

use std::collections::HashMap;
use std::io::IoSlice;
use std::sync::Arc;

use gvirtus_wire::api::core::{
    COPY_FROM_BULK, COPY_TO_REPLY, Copy, EventRecord, Extent, Memset, Plane, StreamSynchronize,
    StreamWaitEvent,
};
use gvirtus_wire::api::types::CUresult;

use crate::driver::context;
use crate::events;
use crate::session::Session;
use crate::streams::{self, Stream};

pub(super) struct Lane {
    stream: Arc<Stream>,
    /// The worker's number of the event.
    event: u32,
    /// Something was sent behind the event.
    unmarked: bool,
    /// How often the event was recorded, and the command that did it last.
    marks: u64,
    last: u64,
    /// Streams by number, and the mark that they wait for.
    seen: HashMap<u64, u64>,
}

fn linear(address: u64) -> Plane {
    Plane {
        address,
        pitch: 0,
        slice: 0,
    }
}

fn line(len: usize) -> Extent {
    Extent {
        width: len as u64,
        height: 1,
        depth: 1,
    }
}

impl Lane {
    pub(super) fn new(session: &Session, device: u32) -> Result<Self, CUresult> {
        let context = context::primary_anyhow(device)?;
        let stream = streams::create(session, &context, streams::NON_BLOCKING, 0)?;
        streams::keep_private(&stream);
        let event = events::create(session, &context, events::DISABLE_TIMING)?;
        Ok(Self {
            stream,
            event: events::event_id(event)?,
            unmarked: false,
            marks: 0,
            last: 0,
            seen: HashMap::new(),
        })
    }

    /// Sends bytes to device memory.
    pub(super) fn send(
        &mut self,
        session: &Session,
        address: u64,
        bytes: &[u8],
    ) -> Result<(), CUresult> {
        let command = Copy {
            kind: COPY_FROM_BULK,
            stream: self.stream.id,
            dst: linear(address),
            src: Plane::default(),
            extent: line(bytes.len()),
        };
        self.unmarked = true;
        self.stream
            .post(session, &command, &[IoSlice::new(bytes)])
            .map(drop)
    }

    /// Sets device memory to zeros.
    pub(super) fn clear(
        &mut self,
        session: &Session,
        address: u64,
        len: u64,
    ) -> Result<(), CUresult> {
        let command = Memset {
            stream: self.stream.id,
            dst: linear(address),
            element: 4,
            value: 0,
            width: len / 4,
            height: 1,
        };
        self.unmarked = true;
        self.stream.post(session, &command, &[]).map(drop)
    }

    /// Brings device memory here, behind what was sent.
    pub(super) fn fetch(
        &mut self,
        session: &Session,
        address: u64,
        into: &mut [u8],
    ) -> Result<(), CUresult> {
        let command = Copy {
            kind: COPY_TO_REPLY,
            stream: self.stream.id,
            dst: Plane::default(),
            src: linear(address),
            extent: line(into.len()),
        };
        let mut sequence = 0;
        // SAFETY: the slice is writable until the call returns.
        unsafe {
            session.call_into(
                self.stream.context,
                &command,
                linear(into.as_mut_ptr() as u64),
                line(into.len()),
                |s| sequence = s,
            )?
        };
        streams::synchronized(&self.stream, sequence);
        Ok(())
    }

    /// Records the event behind what was sent.
    pub(super) fn mark(&mut self, session: &Session) -> Result<(), CUresult> {
        if !self.unmarked {
            return Ok(());
        }
        let command = EventRecord {
            event: self.event,
            stream: self.stream.id,
            flags: 0,
        };
        self.last = self.stream.post(session, &command, &[])?;
        self.marks += 1;
        self.unmarked = false;
        Ok(())
    }

    /// Later work on a stream waits for what was sent before the last mark.
    pub(super) fn order(
        &mut self,
        session: &Session,
        stream: &Arc<Stream>,
    ) -> Result<(), CUresult> {
        if self.marks == 0
            || self.seen.get(&stream.number) == Some(&self.marks)
            || self.stream.has_passed(self.last)
        {
            return Ok(());
        }
        let command = StreamWaitEvent {
            stream: stream.id,
            event: self.event,
            flags: 0,
        };
        stream.post_wait(session, &command, Arc::clone(&self.stream), self.last)?;
        self.seen.insert(stream.number, self.marks);
        Ok(())
    }

    /// Waits until all that was sent is there.
    pub(super) fn wait(&mut self, session: &Session) {
        if self.stream.is_idle() {
            return;
        }
        let mut sequence = 0;
        let command = StreamSynchronize {
            stream: self.stream.id,
        };
        // A failure of the session or context shows at the program's next call.
        let waited = session.call_bulk(self.stream.context, &command, &[], |s| sequence = s);
        if waited.is_ok() {
            streams::synchronized(&self.stream, sequence);
        }
    }
}
