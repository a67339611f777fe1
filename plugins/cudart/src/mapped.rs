//! Pinned memory that kernels use in place (zero-copy): kept equal with the client's by the changes of each end.
//!
//! The client announces such memory once ([`HostMap`]) and says before a launch what it has changed ([`HostTouch`]). While launches that may use the memory are not known
//! to be complete, every round of settling looks for what the GPU has changed and sends it before it tells of anything's completion.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use gvirtus_wire::api::core::{self, HostChanges, HostMap, HostTouch};
use gvirtus_wire::command::{Answer, Handle as Handler};
use gvirtus_wire::delta;
use gvirtus_wire::frame::Header;
use parking_lot::{Mutex, RwLock};

use crate::errors::{ERROR_INVALID_VALUE, ERROR_OUT_OF_MEMORY, ERROR_UNKNOWN, Result};
use crate::host::{self, Host};
use crate::progress::Lane;
use crate::session::Session;

/// The most bytes of changes in one message, about.
const MESSAGE: usize = 1 << 20;
/// The most pieces of mapped memory.
const MOST: usize = 1 << 16;

/// A piece of mapped memory.
struct Piece {
    /// The client's address.
    address: u64,
    /// Where the shadow lies.
    at: u64,
    len: usize,
    always: bool,
    inner: Mutex<Inner>,
}

struct Inner {
    /// The bytes as last exchanged with the client.
    twin: Vec<u8>,
    /// Launches that may use it, by lane and the ticket behind which they are complete.
    uses: Vec<(Arc<Lane>, u64)>,
    /// The memory is gone.
    freed: bool,
}

impl Piece {
    /// Sends what the GPU has changed, and forgets the uses that `complete` is true of (which must have been found before).
    fn send(&self, host: &Host, inner: &mut Inner) {
        if inner.freed {
            return;
        }
        let len = inner.twin.len();
        // SAFETY: the shadow is mapped until `freed` is set, under the lock that is held.
        let now = unsafe { std::slice::from_raw_parts(self.at as *const u8, len) };
        let mut from = 0;
        while from < len {
            let mut changes = Vec::new();
            from = delta::collect(now, &mut inner.twin, from, MESSAGE, &mut changes);
            if !changes.is_empty() {
                let message = HostChanges {
                    address: self.address,
                };
                host.push(core::HOST_CHANGES, 0, &message, &changes);
            }
        }
    }
}

/// The session's mapped memory.
#[derive(Default)]
pub(crate) struct Mapped {
    /// By client address.
    pieces: RwLock<BTreeMap<u64, Arc<Piece>>>,
    /// How many pieces there are: launches without any cost one load.
    count: AtomicUsize,
    /// Pieces with uses.
    busy: Mutex<Vec<Arc<Piece>>>,
    /// What the next command of a thread on a stream uses.
    touched: Mutex<HashMap<u32, Vec<Arc<Piece>>>>,
}

impl Mapped {
    /// Whether kernels use any memory of the client in place.
    pub(crate) fn any(&self) -> bool {
        self.count.load(Ordering::Acquire) > 0
    }

    /// After a command of `thread` on `lane` was issued and noted.
    #[inline]
    pub(crate) fn launched(&self, thread: u32, lane: &Arc<Lane>) {
        if self.any() {
            self.launched_slowly(thread, lane);
        }
    }

    fn launched_slowly(&self, thread: u32, lane: &Arc<Lane>) {
        let mut used = self.touched.lock().remove(&thread).unwrap_or_default();
        used.extend(self.pieces.read().values().filter(|p| p.always).cloned());
        if used.is_empty() {
            return;
        }
        let ticket = lane.next_ticket();
        for piece in used {
            {
                let mut inner = piece.inner.lock();
                let known = inner
                    .uses
                    .iter_mut()
                    .find(|(known, _)| Arc::ptr_eq(known, lane));
                match known {
                    Some(known) => known.1 = ticket,
                    None => inner.uses.push((Arc::clone(lane), ticket)),
                }
            }
            let mut busy = self.busy.lock();
            if !busy.iter().any(|other| Arc::ptr_eq(other, &piece)) {
                busy.push(piece);
            }
        }
    }

    /// Before completion is told: what launches have changed. `done` gives how far a lane is known to have come.
    pub(crate) fn settle(&self, host: &Host, done: impl Fn(&Arc<Lane>) -> u64) {
        if self.count.load(Ordering::Acquire) == 0 {
            return;
        }
        let busy = self.busy.lock().clone();
        for piece in &busy {
            let mut inner = piece.inner.lock();
            // Found before the memory is looked at.
            let complete: Vec<bool> = inner
                .uses
                .iter()
                .map(|(lane, ticket)| done(lane) >= *ticket || lane.is_idle())
                .collect();
            piece.send(host, &mut inner);
            let mut complete = complete.into_iter();
            inner.uses.retain(|_| !complete.next().unwrap_or(true));
        }
        self.busy
            .lock()
            .retain(|piece| !piece.inner.lock().uses.is_empty());
    }

    /// Bytes were exchanged by other means: the twin learns of them. `address` is the client's.
    pub(crate) fn exchanged(&self, address: u64, bytes: &[u8]) {
        if self.count.load(Ordering::Acquire) == 0 {
            return;
        }
        let pieces = self.pieces.read();
        let Some((start, piece)) = pieces.range(..=address).next_back() else {
            return;
        };
        let mut inner = piece.inner.lock();
        let at = (address - start) as usize;
        if let Some(part) = inner
            .twin
            .get_mut(at..)
            .and_then(|rest| rest.get_mut(..bytes.len()))
        {
            part.copy_from_slice(bytes);
        }
    }

    /// The memory is about to go away. Its last changes have been sent.
    pub(crate) fn remove(&self, address: u64) {
        let Some(piece) = self.pieces.write().remove(&address) else {
            return;
        };
        self.count.fetch_sub(1, Ordering::AcqRel);
        let mut inner = piece.inner.lock();
        inner.freed = true;
        inner.uses.clear();
        drop(inner);
        self.busy.lock().retain(|other| !Arc::ptr_eq(other, &piece));
    }
}

impl Handler<HostMap> for Session {
    fn handle(&self, _: &Header, command: HostMap) -> Result<Answer<()>> {
        let HostMap { address, always } = command;
        let (at, size) = self.host_memory.piece(address).ok_or(ERROR_INVALID_VALUE)?;
        let len = usize::try_from(size).map_err(|_| ERROR_OUT_OF_MEMORY)?;
        let mapped = &self.progress.mapped;
        if size > delta::LONGEST || mapped.count.load(Ordering::Acquire) >= MOST {
            return Err(ERROR_OUT_OF_MEMORY);
        }
        let mut twin = Vec::new();
        twin.try_reserve_exact(len)
            .map_err(|_| ERROR_OUT_OF_MEMORY)?;
        twin.resize(len, 0);
        let piece = Arc::new(Piece {
            address,
            at,
            len,
            always,
            inner: Mutex::new(Inner {
                twin,
                uses: Vec::new(),
                freed: false,
            }),
        });
        let mut pieces = mapped.pieces.write();
        if pieces.contains_key(&address) {
            return Err(ERROR_INVALID_VALUE);
        }
        // SAFETY: the shadow is mapped: commands that free it are executed by this thread, later.
        unsafe { std::ptr::write_bytes(at as *mut u8, 0, len) };
        pieces.insert(address, piece);
        mapped.count.fetch_add(1, Ordering::AcqRel);
        Ok(Answer::Now(()))
    }
}

impl Handler<HostTouch> for Session {
    fn handle(&self, header: &Header, command: HostTouch) -> Result<Answer<()>> {
        let mapped = &self.progress.mapped;
        let piece = mapped
            .pieces
            .read()
            .get(&command.address)
            .cloned()
            .ok_or(ERROR_INVALID_VALUE)?;
        if header.bulk > 0 {
            self.take_changes(&piece, header.bulk)?;
        }
        let mut touched = mapped.touched.lock();
        let next = touched.entry(header.thread).or_default();
        if !next.iter().any(|other| Arc::ptr_eq(other, &piece)) {
            next.push(piece);
        }
        Ok(Answer::Now(()))
    }
}

impl Session {
    /// Reads the dispatched frame's changes into a piece's shadow.
    fn take_changes(&self, piece: &Piece, bulk: u64) -> Result<()> {
        // Every line of the piece at most, each with its head.
        let most = piece.len.div_ceil(delta::LINE) * (delta::LINE + delta::HEAD);
        let len = usize::try_from(bulk)
            .ok()
            .filter(|len| *len <= most)
            .ok_or(ERROR_INVALID_VALUE)?;
        let mut changes = Vec::new();
        changes
            .try_reserve_exact(len)
            .map_err(|_| ERROR_OUT_OF_MEMORY)?;
        changes.resize(len, 0);
        // SAFETY: the buffer is that long, and this is the frame's handler.
        if !unsafe { self.host.read_bulk(changes.as_mut_ptr(), len) } {
            return Err(ERROR_UNKNOWN);
        }
        let mut inner = piece.inner.lock();
        if inner.freed {
            return Err(ERROR_INVALID_VALUE);
        }
        delta::runs(&changes, piece.len as u64, |offset, bytes| {
            let from = offset as usize;
            inner.twin[from..from + bytes.len()].copy_from_slice(bytes);
            // SAFETY: the run lies within the piece, whose shadow is mapped while the lock is held and it is not freed.
            unsafe {
                std::ptr::copy_nonoverlapping(
                    bytes.as_ptr(),
                    (piece.at + offset) as *mut u8,
                    bytes.len(),
                )
            };
        })
        .map_err(|error| {
            self.host
                .log(host::WARN, &format!("changes of mapped memory: {error}"));
            ERROR_INVALID_VALUE
        })
    }
}
