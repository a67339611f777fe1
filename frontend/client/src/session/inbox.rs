//! The receiving side: one thread that reads what the worker sends and gives it to whom it concerns.
//!
//! Nothing here trusts the other end: lengths are bounded by the frame layer, and bytes are written to the program's memory only where a waiting call or the ledger
//! of pinned memory says that they belong.

use std::io::{self, IoSlice};
use std::time::Duration;

use gvirtus_shm::Lookout;
use gvirtus_wire::api::core::{
    ASYNC_ERROR, AsyncError, Extent, HOST_CALL, HOST_CHANGES, HOST_DATA, HostCall, HostChanges,
    HostData, OUTPUT, Output, PROGRESS, PULL_REQUEST, Plane, Progress, PullRequest, REPLY,
};
use gvirtus_wire::codec::{Wire, decode_all};
use gvirtus_wire::communicator::{Receiver, watch};
use gvirtus_wire::frame::{HEADER_LEN, Header};

use super::Session;

const BUFFER: usize = 64 << 10;
/// How long the receiver looks on while no call waits: another often comes at once.
const BETWEEN_CALLS: Duration = Duration::from_micros(50);
/// The most bytes of changes in one message.
const MOST_CHANGES: u64 = 4 << 20;

/// Buffered reading: small frames cost one system call for many, bulk goes straight to its place.
pub(crate) struct Inbox {
    link: Box<dyn Receiver>,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Inbox {
    pub(crate) fn new(link: Box<dyn Receiver>) -> Self {
        Self {
            link,
            buffer: vec![0; BUFFER].into(),
            start: 0,
            end: 0,
        }
    }

    /// Bounds how long one read waits.
    pub(crate) fn set_timeout(&mut self, timeout: Option<std::time::Duration>) -> io::Result<()> {
        self.link.set_timeout(timeout)
    }

    /// Looks for the next frame without sleeping: while a call waits, and for a little after.
    ///
    /// # Errors
    /// The connection's.
    fn look(&mut self, session: &Session) -> io::Result<()> {
        let mut came = Ok(false);
        let ready = || {
            came = self.has_frame();
            !matches!(came, Ok(false))
        };
        watch(BETWEEN_CALLS, ready, || session.pending.any());
        came.map(drop)
    }

    /// Whether the next frame has begun to arrive; does not wait.
    ///
    /// # Errors
    /// The connection's.
    pub(super) fn has_frame(&mut self) -> io::Result<bool> {
        if self.start < self.end {
            return Ok(true);
        }
        match self.link.try_read(&mut self.buffer)? {
            Some(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Some(n) => {
                (self.start, self.end) = (0, n);
                Ok(true)
            }
            None => Ok(false),
        }
    }

    /// Where other threads may read than the one that waits for bytes: what that one waits by.
    pub(super) fn lookout(&self) -> Option<Lookout> {
        self.link.lookout()
    }

    /// Fills all of `into`.
    fn read(&mut self, mut into: &mut [u8]) -> io::Result<()> {
        while !into.is_empty() {
            if self.start == self.end {
                if into.len() >= BUFFER {
                    return self.link.read_exact(into);
                }
                self.start = 0;
                self.end = 0;
                self.end = self.link.read(&mut self.buffer)?;
                if self.end == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            let n = into.len().min(self.end - self.start);
            into[..n].copy_from_slice(&self.buffer[self.start..self.start + n]);
            self.start += n;
            into = &mut into[n..];
        }
        Ok(())
    }

    fn skip(&mut self, mut n: u64) -> io::Result<()> {
        let mut scrap = [0; 4096];
        while n > 0 {
            let now = n.min(scrap.len() as u64) as usize;
            self.read(&mut scrap[..now])?;
            n -= now as u64;
        }
        Ok(())
    }

    /// The next frame's header and payload.
    pub(crate) fn next(&mut self) -> io::Result<(Header, Vec<u8>)> {
        let mut bytes = [0; HEADER_LEN];
        self.read(&mut bytes)?;
        let header = Header::from_bytes(&bytes).map_err(protocol)?;
        let mut payload = vec![0; header.len as usize];
        self.read(&mut payload)?;
        Ok((header, payload))
    }

    /// Reads packed rows into the program's memory.
    fn scatter(&mut self, plane: &Plane, extent: &Extent) -> io::Result<()> {
        for row in rows(plane, extent) {
            // SAFETY: the caller has checked that the rows lie in memory of the program that is the library's to write to until the call or copy
            // is complete.
            let row = unsafe { std::slice::from_raw_parts_mut(row.0 as *mut u8, row.1) };
            self.read(row)?;
        }
        Ok(())
    }
}

/// The rows of a box as (address, length): one where the box is contiguous.
pub(crate) fn rows(plane: &Plane, extent: &Extent) -> impl Iterator<Item = (u64, usize)> {
    let contiguous = (extent.height <= 1 || plane.pitch == extent.width)
        && (extent.depth <= 1 || plane.slice == extent.width * extent.height);
    let (width, height, depth) = if contiguous {
        (extent.width * extent.height * extent.depth, 1, 1)
    } else {
        (extent.width, extent.height, extent.depth)
    };
    let plane = plane.clone();
    (0..depth).flat_map(move |z| {
        let base = plane.address + z * plane.slice;
        let pitch = plane.pitch;
        (0..height).map(move |y| (base + y * pitch, width as usize))
    })
}

/// The rows of a box as parts to send.
///
/// # Safety
/// The rows must be readable memory of the program, and stay so while the parts are in use.
pub(crate) unsafe fn gather<'a>(plane: &Plane, extent: &Extent) -> Vec<IoSlice<'a>> {
    let part = |(address, len)| {
        // SAFETY: this function's contract.
        IoSlice::new(unsafe { std::slice::from_raw_parts(address as *const u8, len) })
    };
    rows(plane, extent).map(part).collect()
}

/// Bytes of a box without its gaps.
pub(crate) fn packed(extent: &Extent) -> u64 {
    extent
        .width
        .saturating_mul(extent.height)
        .saturating_mul(extent.depth)
}

pub(super) fn protocol(error: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error.to_string())
}

pub(super) fn parse<T: Wire>(payload: &[u8]) -> io::Result<T> {
    decode_all(payload).map_err(protocol)
}

/// The receiver thread's life; returns what ended it.
pub(super) fn run(session: &'static Session, mut inbox: Inbox) -> io::Error {
    loop {
        let handled = inbox
            .look(session)
            .and_then(|()| handle(session, &mut inbox));
        if let Err(error) = handled {
            return error;
        }
    }
}

/// Waits for the next frame and gives it to whom it concerns.
pub(super) fn handle(session: &'static Session, inbox: &mut Inbox) -> io::Result<()> {
    let (header, payload) = inbox.next()?;
    if header.over_lanes() {
        return session.take_from_lanes(&header, payload);
    }
    session.arrived()?;
    match header.opcode {
        REPLY => reply(session, inbox, &header, payload),
        PROGRESS => {
            let progress: Progress = parse(&payload)?;
            crate::streams::progress(progress.context, progress.stream, progress.sequence);
            inbox.skip(header.bulk)
        }
        ASYNC_ERROR => {
            let error: AsyncError = parse(&payload)?;
            session.failed(&error);
            inbox.skip(header.bulk)
        }
        HOST_CALL => {
            let call: HostCall = parse(&payload)?;
            session.callbacks.call(call.id, call.status);
            inbox.skip(header.bulk)
        }
        OUTPUT => {
            let output: Output = parse(&payload)?;
            let mut text = vec![0; header.bulk.min(64 << 20) as usize];
            inbox.read(&mut text)?;
            inbox.skip(header.bulk - text.len() as u64)?;
            super::output::write(output.stream, &text);
            Ok(())
        }
        HOST_DATA => {
            let data: HostData = parse(&payload)?;
            check_host_data(&data, header.bulk)?;
            inbox.scatter(&data.plane, &data.extent)?;
            crate::memory::mapped::exchanged(&data.plane, &data.extent);
            Ok(())
        }
        HOST_CHANGES => {
            let message: HostChanges = parse(&payload)?;
            if header.bulk > MOST_CHANGES {
                return Err(protocol("the backend sent too many changes of memory"));
            }
            let mut changes = vec![0; header.bulk as usize];
            inbox.read(&mut changes)?;
            crate::memory::mapped::apply(message.address, &changes).map_err(protocol)
        }
        PULL_REQUEST => {
            let pull: PullRequest = parse(&payload)?;
            if !crate::memory::ledger::is_pinned(&pull.plane, &pull.extent) {
                return Err(protocol("the backend asked for memory that is not pinned"));
            }
            session.callbacks.pull(pull);
            inbox.skip(header.bulk)
        }
        other => {
            log!(
                Warn,
                "the backend sent a message of unknown kind {other:#06x}; skipped"
            );
            inbox.skip(header.bulk)
        }
    }
}

/// Bytes that the backend sends unasked belong in pinned memory.
pub(super) fn check_host_data(data: &HostData, bulk: u64) -> io::Result<()> {
    if packed(&data.extent) == bulk && crate::memory::ledger::is_pinned(&data.plane, &data.extent) {
        Ok(())
    } else {
        Err(protocol(
            "the backend sent bytes for memory that is not pinned",
        ))
    }
}

fn reply(
    session: &'static Session,
    inbox: &mut Inbox,
    header: &Header,
    payload: Vec<u8>,
) -> io::Result<()> {
    let Some(slot) = session.pending.take(header.sequence) else {
        return Err(protocol(format_args!(
            "the backend answered call {}, which nobody made",
            header.sequence
        )));
    };
    let status = header.context as i32;
    if status != 0 {
        inbox.skip(header.bulk)?;
        slot.complete(Err(status));
        return Ok(());
    }
    let read = match slot.destination() {
        Some(destination) if header.bulk == packed(&destination.extent) => {
            inbox.scatter(&destination.plane, &destination.extent)
        }
        Some(_) => Err(protocol(
            "a reply carries another number of bytes than was asked for",
        )),
        None => inbox.skip(header.bulk),
    };
    match read {
        Ok(()) => {
            slot.complete(Ok(payload));
            Ok(())
        }
        Err(error) => {
            session.pending.insert(header.sequence, slot);
            Err(error)
        }
    }
}
