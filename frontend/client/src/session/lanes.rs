//! The session's lanes: further connections that carry large payloads, opened when the first one comes up.
//!
//! Until they are open, and where there are none, payloads go behind their commands as small ones do. From then on a lane that ends is the session's end.

use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use gvirtus_wire::api::core::{
    Extent, HOST_CHANGES, HOST_DATA, HostChanges, HostData, OUTPUT, Output, Plane, REPLY,
};
use gvirtus_wire::api::types::error;
use gvirtus_wire::communicator::{Closer, Connection};
use gvirtus_wire::config;
use gvirtus_wire::frame::Header;
use gvirtus_wire::handshake::{self, Admitted};
use gvirtus_wire::lanes::{Incoming, Outgoing, Payload, SMALLEST, Ticket};

use parking_lot::{Condvar, Mutex};

use super::Session;
use super::inbox::{self, packed, parse, protocol, rows};

/// The most bytes of output or changes that are taken over lanes.
const MOST_BUFFERED: u64 = 64 << 20;

/// Rows of a box that get a place each.
const MOST_ROWS: usize = 2048;
/// A copy of so many bytes waits for the lanes to be opened, but not for long.
const WORTH_WAITING: u64 = 16 << 20;
const PATIENCE: Duration = Duration::from_secs(2);

/// Lanes of one session.
pub(crate) struct Lanes {
    settings: config::Client,
    admitted: Admitted,
    /// How many there are to be.
    count: u8,
    /// Whether memory that stays may be lent to the connections.
    lends: bool,
    asked: AtomicBool,
    open: AtomicBool,
    /// Whether they are still being opened.
    opening: Mutex<bool>,
    opened: Condvar,
    closers: OnceLock<Vec<Closer>>,
    outgoing: Outgoing,
    /// Pinned memory that is being sent behind the program's back.
    leaving: Mutex<Vec<(Range<u64>, Ticket)>>,
    incoming: Incoming,
    /// What the backend sends to pinned memory and has not come yet. Only the receiver's thread looks here.
    arriving: Mutex<Vec<(Arc<Payload>, HostData, Placed)>>,
    /// Whether there is something in it.
    arrivals: AtomicBool,
}

impl Lanes {
    pub(super) fn new(settings: config::Client, admitted: Admitted) -> Self {
        let count = admitted.lanes.min(settings.lanes);
        // A wire of a given rate is no faster for several connections, and each would be given the rate.
        let pointless = settings.emulation.is_some_and(|e| e.rate.is_some());
        let lends = config::lends().unwrap_or_else(|e| {
            log!(Warn, "{e}");
            false
        });
        Self {
            count: if pointless { 0 } else { count },
            settings,
            admitted,
            lends,
            asked: AtomicBool::new(false),
            open: AtomicBool::new(false),
            opening: Mutex::new(false),
            opened: Condvar::new(),
            closers: OnceLock::new(),
            outgoing: Outgoing::default(),
            leaving: Mutex::default(),
            incoming: Incoming::default(),
            arriving: Mutex::default(),
            arrivals: AtomicBool::new(false),
        }
    }

    /// Whether large payloads go over lanes.
    #[inline]
    pub(super) fn are_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// Queues the payload of the frame that is being numbered: the caller holds the lock that numbers frames. What is `lent` stays as it is until the backend has read it.
    pub(super) fn queue(&self, parts: &[&'static [u8]], lent: bool) -> Ticket {
        let number = self.outgoing.announce();
        if lent && self.lends {
            self.outgoing.queue_lent(number, 0, parts)
        } else {
            self.outgoing.queue(number, 0, parts)
        }
    }

    /// Keeps the ticket of bytes that stay where they are until they have left.
    pub(super) fn leave(&self, parts: &[&'static [u8]], ticket: &Ticket) {
        let mut leaving = self.leaving.lock();
        leaving.retain(|(_, ticket)| !ticket.is_done());
        let range = |part: &&[u8]| (part.as_ptr() as u64, part.len() as u64);
        let ranges = parts.iter().map(range);
        let start = ranges.clone().map(|(at, _)| at).min().unwrap_or(0);
        let end = ranges.map(|(at, len)| at + len).max().unwrap_or(0);
        leaving.push((start..end, ticket.clone()));
    }

    pub(super) fn wait_until_left(&self, address: u64, size: u64) {
        let end = address.saturating_add(size);
        let tickets: Vec<Ticket> = self
            .leaving
            .lock()
            .iter()
            .filter(|(range, _)| range.start < end && address < range.end)
            .map(|(_, ticket)| ticket.clone())
            .collect();
        for ticket in tickets {
            // Sent or not, nobody reads there afterwards.
            let _ = ticket.wait();
        }
    }

    /// The descriptors, for a forked child to close.
    pub(super) fn fds(&self) -> impl Iterator<Item = i32> {
        let closers = self.closers.get().into_iter().flatten();
        closers.flat_map(|closer| closer.fds().iter().copied())
    }

    /// The session is lost: nobody waits for a payload any more.
    pub(super) fn fail(&self) {
        self.closers
            .get()
            .into_iter()
            .flatten()
            .for_each(Closer::shutdown);
        self.outgoing.fail();
        self.incoming.fail();
    }
}

impl Session {
    /// A copy of so many bytes is coming up: if that is large, lanes are opened beside it, the first time.
    #[inline]
    pub(crate) fn want_lanes(&'static self, bytes: u64) {
        let lanes = &self.lanes;
        if bytes >= SMALLEST && lanes.count > 0 && !lanes.open.load(Ordering::Relaxed) {
            self.open_lanes(bytes);
        }
    }

    #[cold]
    fn open_lanes(&'static self, bytes: u64) {
        let lanes = &self.lanes;
        if !lanes.asked.swap(true, Ordering::Relaxed) {
            *lanes.opening.lock() = true;
            let started = super::thread("gvirtus-lanes", || {
                if let Err(why) = self.connect_lanes() {
                    log!(
                        Warn,
                        "no lanes to {}: {why}; large copies share the connection with commands",
                        self.endpoint
                    );
                }
                *lanes.opening.lock() = false;
                lanes.opened.notify_all();
            });
            if let Err(error) = started {
                *lanes.opening.lock() = false;
                log!(Warn, "no lanes: {error}");
            }
        }
        if bytes >= WORTH_WAITING {
            let mut opening = lanes.opening.lock();
            while *opening {
                if lanes.opened.wait_for(&mut opening, PATIENCE).timed_out() {
                    return;
                }
            }
        }
    }

    fn connect_lanes(&'static self) -> Result<(), String> {
        let lanes = &self.lanes;
        let connect = |number| {
            handshake::lane(&lanes.settings, &lanes.admitted, number, lanes.count)
                .map_err(|e| e.to_string())
        };
        let connections = std::thread::scope(|scope| {
            let others: Vec<_> = (1..lanes.count)
                .map(|number| scope.spawn(move || connect(number)))
                .collect();
            let mut all = vec![connect(0)];
            for other in others {
                let joined = other.join();
                all.push(joined.unwrap_or_else(|_| Err("a thread panicked".into())));
            }
            all.into_iter().collect::<Result<Vec<Connection>, _>>()
        })?;
        let closers = connections.iter().map(|c| c.closer.clone()).collect();
        let _ = lanes.closers.set(closers);
        for (number, connection) in connections.into_iter().enumerate() {
            let (mut receiver, mut sender) = connection.split();
            let over = move |error: &io::Error| self.lose(&format!("lane {number}: {error}"));
            super::thread("gvirtus-lane-in", move || {
                over(&lanes.incoming.run(receiver.as_mut()));
            })
            .and_then(|()| {
                super::thread("gvirtus-lane-out", move || {
                    over(&lanes.outgoing.run(sender.as_mut()));
                })
            })
            .map_err(|e| {
                // The backend counts on all of them.
                self.lose(&format!("no thread for a lane: {e}"));
                e.to_string()
            })?;
        }
        log!(Debug, "{} lanes to {}", lanes.count, self.endpoint);
        lanes.open.store(true, Ordering::Release);
        if self.lost().is_err() {
            lanes.fail();
        }
        Ok(())
    }

    /// Waits for what is on its way to pinned memory: the message in hand may say that it is there.
    #[inline]
    pub(super) fn arrived(&self) -> io::Result<()> {
        if !self.lanes.arrivals.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.all_arrived()
    }

    fn all_arrived(&self) -> io::Result<()> {
        self.lanes.arrivals.store(false, Ordering::Relaxed);
        let mut arriving = self.lanes.arriving.lock();
        let mut whole = true;
        for (payload, data, placed) in arriving.drain(..) {
            if payload.wait(payload.total()) {
                placed.settle();
                crate::memory::mapped::exchanged(&data.plane, &data.extent);
            } else {
                payload.abandon();
                whole = false;
            }
        }
        match whole {
            true => Ok(()),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// A frame whose bulk comes over the lanes.
    pub(super) fn take_from_lanes(&'static self, header: &Header, body: Vec<u8>) -> io::Result<()> {
        if header.opcode != HOST_DATA {
            self.arrived()?;
        }
        let payload = self.lanes.incoming.announce(header.bulk);
        match header.opcode {
            REPLY => self.reply_over_lanes(header, body, &payload),
            HOST_DATA => {
                let data: HostData = parse(&body)?;
                inbox::check_host_data(&data, header.bulk)?;
                // SAFETY: pinned memory of the program, which stays mapped while a copy to it is in flight.
                let placed = unsafe { Placed::new(&payload, &data.plane, &data.extent) };
                self.lanes.arriving.lock().push((payload, data, placed));
                self.lanes.arrivals.store(true, Ordering::Relaxed);
                Ok(())
            }
            OUTPUT => {
                let output: Output = parse(&body)?;
                super::output::write(output.stream, &buffered(&payload)?);
                Ok(())
            }
            HOST_CHANGES => {
                let message: HostChanges = parse(&body)?;
                crate::memory::mapped::apply(message.address, &buffered(&payload)?)
                    .map_err(protocol)
            }
            other => Err(protocol(format_args!(
                "the backend sent bytes over lanes with a message of kind {other:#06x}"
            ))),
        }
    }

    /// The receiver goes on: the call ends when its bytes have come.
    fn reply_over_lanes(
        &'static self,
        header: &Header,
        body: Vec<u8>,
        payload: &Payload,
    ) -> io::Result<()> {
        let Some(slot) = self.pending.take(header.sequence) else {
            return Err(protocol(format_args!(
                "the backend answered call {}, which nobody made",
                header.sequence
            )));
        };
        let status = header.context as i32;
        let to = match slot.destination() {
            Some(to) if status == 0 => to.clone(),
            _ => {
                payload.abandon();
                slot.complete(if status == 0 { Ok(body) } else { Err(status) });
                return Ok(());
            }
        };
        if header.bulk != packed(&to.extent) {
            self.pending.insert(header.sequence, slot);
            return Err(protocol(
                "a reply carries another number of bytes than was asked for",
            ));
        }
        // SAFETY: memory of a call that waits until its slot is completed, which happens when no lane writes any more.
        let placed = unsafe { Placed::new(payload, &to.plane, &to.extent) };
        payload.when_done(move |whole| {
            if whole {
                placed.settle();
            }
            slot.complete(match whole {
                true => Ok(body),
                false => Err(error::ERROR_DEVICE_UNAVAILABLE),
            });
        });
        Ok(())
    }
}

/// A payload's place in the program's memory.
enum Placed {
    /// Lanes write there.
    There,
    /// More rows than are worth it: lanes write to a buffer of ours.
    Aside(Vec<u8>, Plane, Extent),
}

impl Placed {
    /// Gives a payload its place. If that fails because the session is over, so does the payload.
    ///
    /// # Safety
    /// The rows are writable, and stay so until the payload is complete or given up, and [`settle`](Self::settle) has returned.
    unsafe fn new(payload: &Payload, plane: &Plane, extent: &Extent) -> Self {
        if rows(plane, extent).nth(MOST_ROWS).is_none() {
            for (at, len) in rows(plane, extent) {
                // SAFETY: this function's contract.
                if !payload.place(unsafe { memory(at, len) }) {
                    break;
                }
            }
            return Self::There;
        }
        let mut bytes = vec![0; payload.total() as usize];
        // SAFETY: the vector is kept until the payload is complete or given up; moving it does not move its bytes.
        let _ = payload.place(unsafe { memory(bytes.as_mut_ptr() as u64, bytes.len()) });
        Self::Aside(bytes, plane.clone(), extent.clone())
    }

    /// The payload is complete: its bytes go where they belong.
    fn settle(&self) {
        let Self::Aside(bytes, plane, extent) = self else {
            return;
        };
        let mut rest = bytes.as_slice();
        for (at, len) in rows(plane, extent) {
            let (row, later) = rest.split_at(len.min(rest.len()));
            // SAFETY: the contract of `new`.
            unsafe { memory(at, row.len()) }.copy_from_slice(row);
            rest = later;
        }
    }
}

/// # Safety
/// `len` bytes at `at` are writable, and stay so until the payload that they are given to says that it does not need them.
unsafe fn memory(at: u64, len: usize) -> &'static mut [u8] {
    // SAFETY: this function's contract. They are only written to.
    unsafe { std::slice::from_raw_parts_mut(at as *mut u8, len) }
}

/// A payload in memory of our own.
fn buffered(payload: &Payload) -> io::Result<Vec<u8>> {
    if payload.total() > MOST_BUFFERED {
        return Err(protocol("the backend sent too much at once"));
    }
    let mut bytes = vec![0; payload.total() as usize];
    // SAFETY: the vector outlives the wait.
    let placed = payload.place(unsafe { memory(bytes.as_mut_ptr() as u64, bytes.len()) });
    if placed && payload.wait(payload.total()) {
        Ok(bytes)
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}
