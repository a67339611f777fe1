//! Copies between the client, pinned memory and devices, and memsets.

use std::collections::VecDeque;
use std::sync::Arc;

use gvirtus_wire::api::core::{
    self, COPY_FROM_BULK, COPY_FROM_PULL, COPY_FROM_SHADOW, COPY_ON_DEVICE, COPY_TO_REPLY,
    COPY_TO_SHADOW, Copy, CopyArray, Extent, Memset, Plane,
};
use gvirtus_wire::command::{Answer, Handle as Handler};
use gvirtus_wire::frame::Header;

use crate::copy_enqueue::End;
use crate::driver::{Handle, cu};
use crate::errors::{
    ERROR_INVALID_VALUE, ERROR_STREAM_CAPTURE_UNSUPPORTED, ERROR_UNKNOWN, Result, SUCCESS,
};
use crate::host::{Host, Reading, Sending};
use crate::host_memory::HostWrite;
use crate::progress::{Item, Lane};
use crate::session::Session;
use crate::shape::{Box3, Piece, packed};
use crate::staging::{BLOCK, Lease};
use crate::streams::Stream;

/// So many pieces of a copy to the client are on their way at a time. The first alone is waited for: meanwhile nothing leaves.
const AHEAD: usize = 6;
/// So many of them may be with the lanes.
const LEAVING: usize = 3;
/// So many pieces of a copy from the client have a place before their bytes come.
const ARRIVING: usize = 4;
/// Copies to pinned memory are told in pieces of so many bytes: the first soon, since nothing leaves before it is there.
const SHADOW_PIECES: std::ops::RangeInclusive<u64> = 1 << 20..=8 << 20;

/// The most bytes of the piece that begins at `at`: as many as there are before it.
fn shadow_piece(at: u64) -> u64 {
    at.clamp(*SHADOW_PIECES.start(), *SHADOW_PIECES.end())
}

/// Staging memory that pieces of the frame's bulk are read into. It is not let go of while somebody writes there.
struct Arriving {
    host: &'static Host,
    pieces: VecDeque<(Piece, Lease)>,
    /// What the bulk's bytes up to the first of `pieces` are, and up to the end of the last.
    read: u64,
    asked: u64,
    under_way: bool,
}

impl Arriving {
    fn new(host: &'static Host) -> Self {
        Self {
            host,
            pieces: VecDeque::with_capacity(ARRIVING),
            read: 0,
            asked: 0,
            under_way: false,
        }
    }

    /// Whether more pieces should be given a place: where bytes come on their own.
    fn has_room(&self) -> bool {
        self.pieces.is_empty() || (self.under_way && self.pieces.len() < ARRIVING)
    }

    fn expect(&mut self, piece: Piece, lease: Lease) -> Result<()> {
        // SAFETY: the lease is ours alone and kept until the bytes are there or will not be; handlers run on the dispatching thread and have not called `may_block` yet.
        let reading = unsafe { self.host.read_bulk_later(lease.start as *mut u8, lease.len) };
        if reading == Reading::Failed {
            return Err(ERROR_UNKNOWN);
        }
        self.under_way = reading == Reading::UnderWay;
        self.asked += lease.len as u64;
        self.pieces.push_back((piece, lease));
        Ok(())
    }

    /// The next piece, with its bytes.
    fn next(&mut self) -> Result<Option<(Piece, Lease)>> {
        let Some((_, lease)) = self.pieces.front() else {
            return Ok(None);
        };
        let end = self.read + lease.len as u64;
        if self.under_way && !self.host.read_wait(end) {
            return Err(ERROR_UNKNOWN);
        }
        self.read = end;
        Ok(self.pieces.pop_front())
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        if !self.pieces.is_empty() && self.under_way {
            // Whatever comes of it: nobody writes there afterwards.
            let _ = self.host.read_wait(self.asked);
        }
    }
}

impl Session {
    /// The bulk goes through staging memory, piece by piece: one is read while those before are copied.
    fn copy_from_bulk(&self, header: &Header, stream: &Arc<Stream>, c: &CopyArray) -> Result<()> {
        let shape = Box3::new(&c.dst, &c.extent)?;
        if shape.total() != header.bulk {
            return Err(ERROR_INVALID_VALUE);
        }
        if shape.total() == 0 {
            return Ok(());
        }
        let dst = self.device_end(&c.dst, &shape, c.dst_array)?;
        if let Some(capture) = self.capture_of(stream) {
            return self.capture_bulk(stream, &capture, dst, &shape);
        }
        let context = stream.context();
        let mut pieces = shape.pieces(BLOCK as u64);
        let mut arriving = Arriving::new(self.host);
        loop {
            while arriving.has_room()
                && let Some(piece) = pieces.next()
            {
                let lease = context.staging.lease(piece.bytes() as usize)?;
                arriving.expect(piece, lease)?;
            }
            let Some((piece, lease)) = arriving.next()? else {
                return Ok(());
            };
            let enqueued = self.enqueue_piece(stream.raw, dst, &piece, lease.start as u64, true);
            // Held even if the driver refused: it may have taken a part.
            self.progress.attach(&stream.lane, Item::Lease(lease));
            enqueued?;
            if shape.total() > BLOCK as u64 {
                // The staging memory of the first pieces comes back while the last are still being read.
                self.progress.mark(self, &stream.lane);
            }
        }
    }

    /// A copy that becomes a node of a graph keeps its bytes for as long as the graph lives.
    fn capture_bulk(
        &self,
        stream: &Arc<Stream>,
        capture: &crate::graph::Capture,
        dst: End,
        shape: &Box3,
    ) -> Result<()> {
        let lease = stream.context().staging.dedicated(shape.total() as usize)?;
        self.read(&lease)?;
        let mut at = lease.start as u64;
        capture.hold(lease);
        for piece in shape.pieces(u64::MAX >> 1) {
            self.enqueue_piece(stream.raw, dst, &piece, at, true)?;
            at += piece.bytes();
        }
        Ok(())
    }

    fn read(&self, lease: &Lease) -> Result<()> {
        // SAFETY: the lease is ours alone until it is attached; handlers run on the dispatching thread and have not called `may_block` yet.
        if unsafe { self.host.read_bulk(lease.start as *mut u8, lease.len) } {
            Ok(())
        } else {
            Err(ERROR_UNKNOWN)
        }
    }

    /// The first piece is copied on the stream and the stream is waited for, so that the status is known; the rest follows behind what is being sent.
    fn copy_to_reply(&self, header: &Header, c: &CopyArray) -> Result<Answer<()>> {
        let shape = Box3::new(&c.src, &c.extent)?;
        if !header.wants_reply() {
            return Err(ERROR_INVALID_VALUE);
        }
        let mut first = None;
        let mut pieces = shape.pieces(BLOCK as u64);
        let (stream, src) = self.on_stream(header, c.stream, |stream| {
            if self.progress.capturing(&stream.lane) {
                return Err(ERROR_STREAM_CAPTURE_UNSUPPORTED);
            }
            if shape.total() == 0 {
                return Ok((Arc::clone(stream), None));
            }
            let src = self.device_end(&c.src, &shape, c.src_array)?;
            if let Some(piece) = pieces.next() {
                let lease = stream.context().staging.lease(piece.bytes() as usize)?;
                let start = lease.start as u64;
                let enqueued = self.enqueue_piece(stream.raw, src, &piece, start, false);
                // Also attached: should the wait below fail, the copy may still be under way. Even if the driver refused, it may have taken a part.
                self.progress
                    .attach(&stream.lane, Item::Lease(lease.clone()));
                enqueued?;
                first = Some((piece.bytes() as usize, lease));
            }
            Ok((Arc::clone(stream), Some(src)))
        })?;
        let (Some(src), Some((bytes, lease))) = (src, first) else {
            self.wait_for(&stream)?;
            return Ok(Answer::Now(()));
        };
        if let Err(status) = self.wait(&stream) {
            self.settle();
            return Err(status);
        }
        let reply = Header {
            opcode: core::REPLY,
            sequence: header.sequence,
            thread: header.thread,
            context: SUCCESS as u32,
            bulk: shape.total(),
            ..Header::default()
        };
        if bytes as u64 == shape.total() {
            let replied = |lane: &Arc<Lane>| {
                if Arc::ptr_eq(lane, &stream.lane) {
                    header.sequence
                } else {
                    0
                }
            };
            self.reply_first(replied, || {
                self.host.send(reply, &[], lease.bytes());
            });
            return Ok(Answer::Sent);
        }
        self.settle();
        self.host.may_block();
        if let Err(status) = self.send_pieces(&stream, src, reply, (bytes, lease), pieces) {
            // The header is out and says success: there is no way to take it back.
            self.host.fail(&format!(
                "a copy to the client failed half way: {}",
                crate::errors::name(status)
            ));
        }
        Ok(Answer::Sent)
    }

    fn send_pieces(
        &self,
        stream: &Stream,
        src: End,
        reply: Header,
        (bytes, lease): (usize, Lease),
        mut rest: impl Iterator<Item = Piece>,
    ) -> Result<()> {
        let context = stream.context();
        context.make_current()?;
        // The connection is this thread's until the last byte: what is still to be copied must not stand behind work that waits for the client, so it goes to a
        // stream of our own.
        let transfer = context.transfer;
        let mut copy = |lease: Option<Lease>| -> Result<Option<(usize, Lease, Option<Handle>)>> {
            let Some(piece) = rest.next() else {
                return Ok(None);
            };
            let bytes = piece.bytes() as usize;
            let lease = match lease {
                Some(lease) if bytes <= lease.len => lease,
                _ => context.staging.lease(bytes)?,
            };
            self.enqueue_piece(transfer, src, &piece, lease.start as u64, false)?;
            let event = context.marker_event()?;
            cu!(self.driver, cuEventRecord(event.ptr(), transfer.ptr()))?;
            Ok(Some((bytes, lease, Some(event))))
        };
        let mut ring = VecDeque::from([(bytes, lease, None::<Handle>)]);
        if !self.host.send_start(reply, &[]) {
            return Ok(());
        }
        let mut leaving: VecDeque<(Sending, Lease)> = VecDeque::new();
        while let Some((bytes, lease, event)) = ring.pop_front() {
            if let Some(event) = event {
                let waited = cu!(self.driver, cuEventSynchronize(event.ptr()));
                context.marker_events.lock().push(event);
                waited?;
            }
            // SAFETY: the lease stays beside its ticket, and nothing is copied to it until that is done.
            let Some(sending) = (unsafe { self.host.send_bulk_later(&lease.bytes()[..bytes]) })
            else {
                return Ok(());
            };
            let at_once = sending.at_once();
            leaving.push_back((sending, lease));
            while ring.len() + leaving.len() < AHEAD
                && let Some(piece) = copy(None)?
            {
                ring.push_back(piece);
            }
            if !at_once && leaving.len() <= LEAVING {
                continue;
            }
            let Some((sent, lease)) = leaving.pop_front() else {
                continue;
            };
            if !sent.wait() {
                return Ok(());
            }
            ring.extend(copy(Some(lease))?);
        }
        Ok(())
    }

    /// Long copies are cut, so that the first bytes travel to the client while the last are still being copied.
    fn copy_to_shadow(&self, stream: &Arc<Stream>, c: &CopyArray) -> Result<()> {
        let to = Box3::new(&c.dst, &c.extent)?;
        let from = Box3::new(&c.src, &c.extent)?;
        if to.total() == 0 {
            return Ok(());
        }
        let src = self.device_end(&c.src, &from, c.src_array)?;
        if self.host_memory.is_shared(c.dst.address, to.span()) {
            // What the GPU writes there is with the client at once.
            let write = self.enqueue_to_shadow(stream, c.dst.clone(), src, c.extent.clone())?;
            if let Some(capture) = self.capture_of(stream) {
                capture.uses_shadow(c.dst.address, to.span(), write.shadow);
            }
            self.progress.large(&stream.lane, to.total());
            return Ok(());
        }
        if let Some(capture) = self.capture_of(stream) {
            let write = self.enqueue_to_shadow(stream, c.dst.clone(), src, c.extent.clone())?;
            capture.uses_shadow(c.dst.address, to.span(), write.shadow);
            capture.writes_host(write);
            return Ok(());
        }
        let (Some(bytes), Some(_)) = (to.linear(), from.linear()) else {
            let write = self.enqueue_to_shadow(stream, c.dst.clone(), src, c.extent.clone())?;
            self.progress.attach(&stream.lane, Item::Write(write));
            return Ok(());
        };
        let mut at = 0;
        while at < bytes {
            let width = (bytes - at).min(shadow_piece(at));
            let plane = |address| Plane {
                address: address + at,
                ..Plane::default()
            };
            let extent = Extent {
                width,
                height: 1,
                depth: 1,
            };
            let src = End {
                address: src.address + at,
                ..src
            };
            let write = self.enqueue_to_shadow(stream, plane(c.dst.address), src, extent)?;
            self.progress.attach(&stream.lane, Item::Write(write));
            at += width;
            if at < bytes {
                self.progress.mark(self, &stream.lane);
            }
        }
        Ok(())
    }

    fn enqueue_to_shadow(
        &self,
        stream: &Stream,
        plane: Plane,
        src: End,
        extent: Extent,
    ) -> Result<HostWrite> {
        let span = Box3::new(&plane, &extent)?.span();
        self.host_memory
            .with_shadow(plane.address, span, |shadow| {
                let dst = End {
                    address: shadow,
                    pitch: plane.pitch,
                    slice: plane.slice,
                    device: None,
                    array: Handle(0),
                };
                self.enqueue(stream.raw, dst, src, &extent)?;
                Ok(HostWrite {
                    plane: plane.clone(),
                    extent: extent.clone(),
                    shadow,
                })
            })
            .ok_or(ERROR_INVALID_VALUE)?
    }

    fn copy_from_shadow(&self, stream: &Arc<Stream>, c: &CopyArray) -> Result<()> {
        let to = Box3::new(&c.dst, &c.extent)?;
        let from = Box3::new(&c.src, &c.extent)?;
        if to.total() == 0 {
            return Ok(());
        }
        let dst = self.device_end(&c.dst, &to, c.dst_array)?;
        let capture = self.capture_of(stream);
        if c.kind == COPY_FROM_PULL {
            self.host_memory
                .shadow(c.src.address, from.span())
                .ok_or(ERROR_INVALID_VALUE)?;
            self.enqueue_pull(stream, &c.src, &c.extent)?;
        }
        self.host_memory
            .with_shadow(c.src.address, from.span(), |shadow| {
                let src = End {
                    address: shadow,
                    pitch: c.src.pitch,
                    slice: c.src.slice,
                    device: None,
                    array: Handle(0),
                };
                if let Some(capture) = &capture {
                    capture.uses_shadow(c.src.address, from.span(), shadow);
                }
                self.enqueue(stream.raw, dst, src, &c.extent)
            })
            .ok_or(ERROR_INVALID_VALUE)??;
        self.progress.large(&stream.lane, to.total());
        Ok(())
    }

    fn copy_on_device(&self, stream: &Arc<Stream>, c: &CopyArray) -> Result<()> {
        let to = Box3::new(&c.dst, &c.extent)?;
        let from = Box3::new(&c.src, &c.extent)?;
        if to.total() == 0 {
            return Ok(());
        }
        let dst = self.device_end(&c.dst, &to, c.dst_array)?;
        let src = self.device_end(&c.src, &from, c.src_array)?;
        self.enqueue(stream.raw, dst, src, &c.extent)
    }
}

impl Handler<Copy> for Session {
    fn handle(&self, header: &Header, command: Copy) -> Result<Answer<()>> {
        let Copy {
            kind,
            stream,
            dst,
            src,
            extent,
        } = command;
        let command = CopyArray {
            kind,
            stream,
            dst_array: 0,
            src_array: 0,
            dst,
            src,
            extent,
        };
        self.handle(header, command)
    }
}

impl Handler<CopyArray> for Session {
    fn handle(&self, header: &Header, command: CopyArray) -> Result<Answer<()>> {
        if command.kind != COPY_FROM_BULK && header.bulk != 0 {
            return Err(ERROR_INVALID_VALUE);
        }
        packed(&command.extent)?;
        if command.kind == COPY_TO_REPLY {
            return self.copy_to_reply(header, &command);
        }
        self.on_stream_then_reply(header, command.stream, |stream| match command.kind {
            COPY_FROM_BULK => self.copy_from_bulk(header, stream, &command),
            COPY_FROM_SHADOW | COPY_FROM_PULL => self.copy_from_shadow(stream, &command),
            COPY_TO_SHADOW => self.copy_to_shadow(stream, &command),
            COPY_ON_DEVICE => self.copy_on_device(stream, &command),
            _ => Err(ERROR_INVALID_VALUE),
        })
    }
}

impl Handler<Memset> for Session {
    fn handle(&self, header: &Header, command: Memset) -> Result<Answer<()>> {
        let Memset {
            stream,
            dst,
            element,
            value,
            width,
            height,
        } = command;
        let extent = Extent {
            width: width
                .checked_mul(u64::from(element))
                .ok_or(ERROR_INVALID_VALUE)?,
            height,
            depth: 1,
        };
        let shape = Box3::new(&dst, &extent)?;
        self.on_stream_then_reply(header, stream, |stream| {
            if shape.total() == 0 {
                return Ok(());
            }
            self.device_end(&dst, &shape, 0)?;
            let (at, stream) = (dst.address, stream.raw.ptr());
            let (pitch, w, h) = (dst.pitch as usize, width as usize, height as usize);
            match (element, height) {
                (1, 1) => cu!(self.driver, cuMemsetD8Async(at, value as u8, w, stream)),
                (2, 1) => cu!(self.driver, cuMemsetD16Async(at, value as u16, w, stream)),
                (4, 1) => cu!(self.driver, cuMemsetD32Async(at, value, w, stream)),
                (1, _) => cu!(
                    self.driver,
                    cuMemsetD2D8Async(at, pitch, value as u8, w, h, stream)
                ),
                (2, _) => cu!(
                    self.driver,
                    cuMemsetD2D16Async(at, pitch, value as u16, w, h, stream)
                ),
                (4, _) => cu!(
                    self.driver,
                    cuMemsetD2D32Async(at, pitch, value, w, h, stream)
                ),
                _ => Err(ERROR_INVALID_VALUE),
            }
        })
    }
}
