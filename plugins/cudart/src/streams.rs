//! Streams: created, destroyed, synchronised, made to wait for events.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use gvirtus_wire::api::core::{
    StreamCopyAttributes, StreamCreate, StreamDestroy, StreamGetAttribute, StreamSetAttribute,
    StreamSynchronize, StreamWaitEvent,
};
use gvirtus_wire::api::library::{NO_STREAM, weight};
use gvirtus_wire::api::types::CUstreamAttrValue;
use gvirtus_wire::command::{Answer, Handle as Handler};
use gvirtus_wire::communicator::watch;
use gvirtus_wire::frame::Header;
use parking_lot::Mutex;

use crate::contexts::Context;
use crate::driver::{Handle, cu};
use crate::errors::{ERROR_INVALID_VALUE, ERROR_NOT_READY, ERROR_NOT_SUPPORTED, Result, SUCCESS};
use crate::green;
use crate::launch_chain::Chains;
use crate::progress::Lane;
use crate::session::Session;

/// `CU_STREAM_NON_BLOCKING`.
const NON_BLOCKING: u32 = 1;
/// `CU_EVENT_WAIT_EXTERNAL`.
const WAIT_EXTERNAL: u32 = 1;
/// `CUstreamAttrID`: access policy window, synchronization policy, priority, memory synchronization domains and their map.
const ATTRIBUTES: [u32; 5] = [1, 3, 8, 9, 10];
/// How long a stream is watched at least before others go on reading frames.
const PATIENCE: Duration = Duration::from_micros(15);

/// A stream of the client. The driver's stream is destroyed when nobody uses it any more.
pub(crate) struct Stream {
    /// The driver's handle, null for the legacy stream.
    pub(crate) raw: Handle,
    pub(crate) lane: Arc<Lane>,
    /// What launches on it are issued with where many come.
    pub(crate) chains: Mutex<Chains>,
}

impl Stream {
    /// The default stream of a context.
    pub(crate) fn legacy(context: &Arc<Context>) -> Self {
        Self {
            raw: Handle(0),
            lane: Arc::new(Lane::new(context, 0, Handle(0), true)),
            chains: Mutex::default(),
        }
    }

    /// The default stream of a green context.
    pub(crate) fn of_green(context: &Arc<Context>) -> Result<Self> {
        let raw = green::stream(context.driver, context.green, 0)?;
        let lane = Arc::new(Lane::new(context, 0, raw, false));
        Ok(Self {
            raw,
            lane,
            chains: Mutex::default(),
        })
    }

    pub(crate) fn context(&self) -> &Arc<Context> {
        &self.lane.context
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.chains.get_mut().forget();
        self.lane.retire();
        if self.raw != Handle(0) && self.context().alive.load(Ordering::Acquire) {
            let _ = cu!(self.context().driver, cuStreamDestroy_v2(self.raw.ptr()));
        }
    }
}

impl Session {
    /// A stream by the client's number; 0 is the legacy stream of the frame's context, which is made current.
    #[inline]
    pub(crate) fn stream(&self, header: &Header, id: u32) -> Result<Arc<Stream>> {
        let context = self.enter(header)?;
        if id == 0 {
            context.legacy()
        } else {
            self.streams.get(id)
        }
    }

    /// Runs `issue` for a command on a stream: markers that must not come later are placed before, and the command is noted after, whatever became of it.
    #[inline]
    pub(crate) fn on_stream<T>(
        &self,
        header: &Header,
        id: u32,
        issue: impl FnOnce(&Arc<Stream>) -> Result<T>,
    ) -> Result<T> {
        self.on(header, &self.stream(header, id)?, 1, issue)
    }

    /// [`on_stream`](Self::on_stream) where the stream is known, of a command that makes the driver do about `weight` things.
    #[inline]
    pub(crate) fn on<T>(
        &self,
        header: &Header,
        stream: &Arc<Stream>,
        weight: u32,
        issue: impl FnOnce(&Arc<Stream>) -> Result<T>,
    ) -> Result<T> {
        self.progress.before(self, &stream.lane);
        stream.context().make_current()?;
        let done = issue(stream);
        self.progress
            .note(self, &stream.lane, header.sequence, weight);
        self.progress.mapped.launched(header.thread, &stream.lane);
        done
    }

    /// Waits for a stream on this thread while others go on reading frames, and tells what has completed.
    pub(crate) fn wait_for(&self, stream: &Stream) -> Result<()> {
        let done = self.wait(stream);
        self.settle();
        done
    }

    /// [`wait_for`](Self::wait_for) that tells nothing.
    pub(crate) fn wait(&self, stream: &Stream) -> Result<()> {
        let ticket = self.progress.close(&stream.lane);
        stream.context().make_current()?;
        let soon = !self.output.expected()
            && self.done_soon(stream.context(), || {
                cu!(self.driver, cuStreamQuery(stream.raw.ptr()))
            });
        let done = if soon {
            Ok(())
        } else {
            self.host.may_block();
            cu!(self.driver, cuStreamSynchronize(stream.raw.ptr()))
        };
        if done.is_ok() {
            stream.lane.synchronized(ticket);
        }
        done
    }

    /// [`on_stream`](Self::on_stream) for commands without an answer of their own: a client that wants a reply (`CUDA_LAUNCH_BLOCKING`) gets it when the stream is done.
    #[inline]
    pub(crate) fn on_stream_then_reply(
        &self,
        header: &Header,
        id: u32,
        issue: impl FnOnce(&Arc<Stream>) -> Result<()>,
    ) -> Result<Answer<()>> {
        let mut used = None;
        self.on_stream(header, id, |stream| {
            if header.wants_reply() {
                used = Some(Arc::clone(stream));
            }
            issue(stream)
        })?;
        if let Some(stream) = used
            && !self.progress.capturing(&stream.lane)
        {
            self.wait_for(&stream)?;
        }
        Ok(Answer::Now(()))
    }
}

impl Session {
    /// Lends a stream to another plugin: see `on_stream` in [`gvirtus_wire::plugin`].
    pub(crate) fn lend_stream(
        &self,
        header: &Header,
        id: u32,
        wait: bool,
        calls: u32,
        issue: impl FnOnce(*mut std::ffi::c_void) -> i32,
    ) -> Result<()> {
        self.launch_threads.drain();
        let checked = |raw| match issue(raw) {
            SUCCESS => Ok(()),
            status => Err(status),
        };
        if id == NO_STREAM {
            // While a stream is lent nothing is held.
            let last = self.last.try_lock().and_then(|mut last| last.take());
            self.forget(last);
            self.enter(header)?;
            return checked(std::ptr::null_mut());
        }
        let weight = weight(header.opcode).saturating_mul(calls);
        let used = match self.last.try_lock() {
            Some(mut last) => {
                let last = self.last_stream(&mut last, header, id)?;
                self.issue_held_of(last);
                let stream = &last.stream;
                self.on(header, stream, weight, |stream| checked(stream.raw.ptr()))?;
                if !(wait || header.wants_reply()) {
                    return Ok(());
                }
                Arc::clone(stream)
            }
            // The plugin asks for a stream while it has one.
            None => {
                let stream = self.stream(header, id)?;
                self.on(header, &stream, weight, |stream| checked(stream.raw.ptr()))?;
                stream
            }
        };
        if (wait || header.wants_reply()) && !self.progress.capturing(&used.lane) {
            return self.wait_for(&used);
        }
        Ok(())
    }
}

impl Session {
    /// Asks again and again: handing the reading of frames to another thread costs more than a short wait, and one thread that looks for two things disturbs a longer one less
    /// than two threads. Gives up when a frame has come, or after what [`watch`] thinks reasonable on this machine. `context` is current, and stays so.
    pub(crate) fn done_soon(&self, context: &Context, query: impl Fn() -> Result<()>) -> bool {
        let began = Instant::now();
        for asked in 1u32.. {
            match query() {
                Ok(()) => return true,
                Err(ERROR_NOT_READY) => {}
                Err(_) => return false,
            }
            // The clock takes a part of what a query does.
            if asked.is_multiple_of(4) && began.elapsed() >= PATIENCE {
                break;
            }
        }
        // Others may want to know of other streams meanwhile.
        self.idle(true);
        // Their markers may stand in other contexts, and the legacy stream is that of the current one.
        if context.make_current().is_err() {
            return false;
        }
        let (mut done, mut asked) = (false, 0u32);
        let over = || {
            let state = query();
            done = state.is_ok();
            asked = asked.wrapping_add(1);
            state != Err(ERROR_NOT_READY) || (asked.is_multiple_of(8) && self.host.frame_waits())
        };
        watch(PATIENCE, over, || true);
        done
    }
}

impl Handler<StreamCreate> for Session {
    fn handle(&self, header: &Header, command: StreamCreate) -> Result<Answer<()>> {
        self.streams.vacant(command.stream)?;
        let made = self.enter(header).and_then(|context| {
            if command.flags & !NON_BLOCKING != 0 {
                return Err(ERROR_INVALID_VALUE);
            }
            let mut raw = std::ptr::null_mut();
            if context.green != Handle(0) {
                if command.flags != NON_BLOCKING {
                    return Err(ERROR_NOT_SUPPORTED);
                }
                raw = green::stream(self.driver, context.green, command.priority)?.ptr();
            } else if command.priority == 0 || self.driver.cuStreamCreateWithPriority.is_none() {
                cu!(self.driver, cuStreamCreate(&raw mut raw, command.flags))?;
            } else {
                cu!(
                    self.driver,
                    cuStreamCreateWithPriority(&raw mut raw, command.flags, command.priority)
                )?;
            }
            let raw = Handle::of(raw);
            Ok(Arc::new(Stream {
                raw,
                lane: Arc::new(Lane::new(
                    &context,
                    command.stream,
                    raw,
                    command.flags & NON_BLOCKING == 0,
                )),
                chains: Mutex::default(),
            }))
        });
        self.streams.store(command.stream, made).map(Answer::Now)
    }
}

impl Handler<StreamDestroy> for Session {
    fn handle(&self, header: &Header, command: StreamDestroy) -> Result<Answer<()>> {
        self.enter(header)?;
        let stream = self.streams.remove(command.stream)?;
        // The last marker has to be placed while there is a stream to place it on.
        self.progress.mark(self, &stream.lane);
        drop(stream);
        Ok(Answer::Now(()))
    }
}

impl Handler<StreamSynchronize> for Session {
    fn handle(&self, header: &Header, command: StreamSynchronize) -> Result<Answer<()>> {
        let stream = self.stream(header, command.stream)?;
        if let Err(status) = self.wait(&stream) {
            self.settle();
            return Err(status);
        }
        Ok(self.synchronized(header, |lane| Arc::ptr_eq(lane, &stream.lane)))
    }
}

impl Handler<StreamWaitEvent> for Session {
    fn handle(&self, header: &Header, command: StreamWaitEvent) -> Result<Answer<()>> {
        self.on_stream(header, command.stream, |stream| {
            let event = self.events.get(command.event)?;
            if command.flags & !WAIT_EXTERNAL != 0 {
                return Err(ERROR_INVALID_VALUE);
            }
            cu!(
                self.driver,
                cuStreamWaitEvent(stream.raw.ptr(), event.raw.ptr(), command.flags)
            )
        })
        .map(Answer::Now)
    }
}

/// An attribute that the driver may be asked about.
fn known(attribute: u32) -> Result<u32> {
    if ATTRIBUTES.contains(&attribute) {
        Ok(attribute)
    } else {
        Err(ERROR_INVALID_VALUE)
    }
}

impl Handler<StreamSetAttribute> for Session {
    fn handle(&self, header: &Header, command: StreamSetAttribute) -> Result<Answer<()>> {
        let stream = self.stream(header, command.stream)?;
        let attribute = known(command.attribute)?;
        let value = CUstreamAttrValue {
            words: words(&command.value),
        };
        stream.chains.lock().refuse();
        cu!(
            self.driver,
            cuStreamSetAttribute(stream.raw.ptr(), attribute, &raw const value)
        )
        .map(Answer::Now)
    }
}

impl Handler<StreamGetAttribute> for Session {
    fn handle(
        &self,
        header: &Header,
        command: StreamGetAttribute,
    ) -> Result<Answer<([u8; 32], [u8; 32])>> {
        let stream = self.stream(header, command.stream)?;
        let attribute = known(command.attribute)?;
        let mut value = CUstreamAttrValue { words: [0; 8] };
        cu!(
            self.driver,
            cuStreamGetAttribute(stream.raw.ptr(), attribute, &raw mut value)
        )?;
        let (first, second) = value.words.split_at(4);
        Ok(Answer::Now((bytes(first), bytes(second))))
    }
}

impl Handler<StreamCopyAttributes> for Session {
    fn handle(&self, header: &Header, command: StreamCopyAttributes) -> Result<Answer<()>> {
        let to = self.stream(header, command.to)?;
        let from = self.stream(header, command.from)?;
        to.chains.lock().refuse();
        cu!(
            self.driver,
            cuStreamCopyAttributes(to.raw.ptr(), from.raw.ptr())
        )
        .map(Answer::Now)
    }
}

/// The words of a value as it came.
fn words((first, second): &([u8; 32], [u8; 32])) -> [u64; 8] {
    let mut words = [0; 8];
    let bytes = first.as_chunks::<8>().0.iter().chain(second.as_chunks().0);
    for (word, bytes) in words.iter_mut().zip(bytes) {
        *word = u64::from_le_bytes(*bytes);
    }
    words
}

/// Half of a value as it travels.
fn bytes(words: &[u64]) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (to, word) in bytes.chunks_exact_mut(8).zip(words) {
        to.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}
