//! Pinned memory that kernels use in place (zero-copy), over a transport that does not share memory: kept equal with the worker's shadow by the changes of each end.
//!
//! Memory counts as used in place by a launch if one of the launch's parameters is an address in it; if the program has asked for its device address
//! (`cuMemHostGetDevicePointer`), by every launch, since the address may lie anywhere. Before such a launch goes what the program has changed; what the GPU has changed
//! comes before anything that says that the work is complete. A kernel and a processor that talk to each other while the kernel runs need memory that is truly shared.

use std::collections::BTreeMap;
use std::io::IoSlice;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use gvirtus_wire::api::core::{Extent, HostMap, HostTouch, Plane};
use gvirtus_wire::api::types::{CUresult, error};
use gvirtus_wire::codec::DecodeError;
use gvirtus_wire::delta;
use parking_lot::{Mutex, RwLock};
use smallvec::SmallVec;

use super::ledger::Entry;
use super::writes;
use crate::capture;
use crate::session::Session;
use crate::session::inbox::rows;
use crate::streams::{self, Stream};

const PAGE: u64 = 4096;
/// The most bytes of changes in one command, about.
const COMMAND: usize = 4 << 20;

/// A piece of memory that both ends keep equal.
pub(crate) struct Piece {
    /// Start, page-aligned.
    address: u64,
    /// Bytes, a multiple of the page size.
    size: usize,
    /// Every launch may use it.
    always: bool,
    /// A captured launch uses it: launches of graphs do.
    captured: AtomicBool,
    /// Held while changes are found and sent, so that they are sent in the order in which they were found.
    sending: Mutex<()>,
    /// The bytes as last exchanged. Whoever writes to the memory for the worker does it under this lock.
    twin: Mutex<Vec<u8>>,
}

/// The pieces that a command uses.
pub(crate) type Used = SmallVec<[Arc<Piece>; 2]>;

static PIECES: RwLock<BTreeMap<u64, Arc<Piece>>> = RwLock::new(BTreeMap::new());
/// How many there are: most programs have none.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Whether there are any.
#[inline]
pub(crate) fn any() -> bool {
    COUNT.load(Ordering::Acquire) > 0
}

/// The piece that an address lies in.
fn find(address: u64) -> Option<Arc<Piece>> {
    if !any() {
        return None;
    }
    let pieces = PIECES.read();
    let (start, piece) = pieces.range(..=address).next_back()?;
    (address - start < piece.size as u64).then(|| Arc::clone(piece))
}

/// Keeps pinned memory equal on both ends from now on.
///
/// # Errors
/// `CUDA_ERROR_NOT_SUPPORTED` if that begins inside a capture while work is outstanding; what the worker says.
pub(crate) fn map(session: &Session, entry: &Entry, always: bool) -> Result<Arc<Piece>, CUresult> {
    static MAPPING: Mutex<()> = Mutex::new(());
    let _mapping = MAPPING.lock();
    let address = entry.address & !(PAGE - 1);
    if let Some(piece) = find(address) {
        return Ok(piece);
    }
    let size = (entry.end().next_multiple_of(PAGE) - address) as usize;
    for context in crate::driver::context::on_device(entry.device) {
        if streams::outstanding(context) {
            if capture::any() {
                crate::log::unsupported(
                    "the first use of pinned host memory by a kernel (zero-copy) inside a capture, while work is outstanding",
                );
                return Err(error::ERROR_NOT_SUPPORTED);
            }
            crate::driver::context::synchronize(session, context)?;
        }
    }
    session.call(entry.context, &HostMap { address, always })?;
    let piece = Arc::new(Piece {
        address,
        size,
        always,
        captured: AtomicBool::new(false),
        sending: Mutex::new(()),
        twin: Mutex::new(vec![0; size]),
    });
    PIECES.write().insert(address, Arc::clone(&piece));
    COUNT.fetch_add(1, Ordering::AcqRel);
    log!(
        Debug,
        "{size} bytes of pinned memory at {address:#x} are kept equal for kernels that use them in place"
    );
    Ok(piece)
}

/// The memory is not pinned any more.
pub(crate) fn forget(entry: &Entry) {
    if !any() {
        return;
    }
    let gone = PIECES.write().remove(&(entry.address & !(PAGE - 1)));
    if let Some(piece) = gone {
        COUNT.fetch_sub(1, Ordering::AcqRel);
        // Whoever still has the piece finds it empty, and nobody is writing to the memory now.
        *piece.twin.lock() = Vec::new();
    }
}

impl Piece {
    /// Sends what the program has changed. `announce` also where nothing has.
    fn send(
        &self,
        announce: bool,
        mut post: impl FnMut(&HostTouch, &[IoSlice<'_>]) -> Result<(), CUresult>,
    ) -> Result<(), CUresult> {
        let _sending = self.sending.lock();
        let command = HostTouch {
            address: self.address,
        };
        let (mut from, mut announce) = (0, announce);
        while from < self.size {
            let mut changes = Vec::new();
            {
                let mut twin = self.twin.lock();
                if twin.is_empty() {
                    return Ok(());
                }
                // SAFETY: pinned memory of the program, which stays mapped until the program frees it; it may write there meanwhile, as it may natively.
                let now =
                    unsafe { std::slice::from_raw_parts(self.address as *const u8, self.size) };
                from = delta::collect(now, &mut twin, from, COMMAND, &mut changes);
            }
            if !changes.is_empty() || (announce && from == self.size) {
                announce = false;
                post(&command, &[IoSlice::new(&changes)])?;
            }
        }
        Ok(())
    }
}

/// What a command on a stream uses, sent ahead of it. `used` are the addresses that it is known to use; the graph of a graph launch uses what was captured.
///
/// # Errors
/// Those of sending.
pub(crate) fn before(
    session: &Session,
    stream: &Stream,
    used: &[Entry],
    graph: bool,
) -> Result<Used, CUresult> {
    let mut pieces = Used::new();
    for entry in used {
        pieces.push(map(session, entry, false)?);
    }
    if any() {
        let more = |p: &&Arc<Piece>| p.always || (graph && p.captured.load(Ordering::Acquire));
        pieces.extend(PIECES.read().values().filter(more).cloned());
        pieces.sort_unstable_by_key(|piece| piece.address);
        pieces.dedup_by_key(|piece| piece.address);
    }
    if capture::of(stream).is_some() {
        for piece in pieces.drain(..) {
            piece.captured.store(true, Ordering::Release);
        }
    }
    for piece in &pieces {
        piece.send(!piece.always, |touch, bulk| {
            session
                .post_bulk(stream.context, touch, bulk, false, |_| ())
                .map(drop)
        })?;
    }
    Ok(pieces)
}

/// The command was issued: until it is complete, the worker's bytes are what counts.
pub(crate) fn after(pieces: &[Arc<Piece>], stream: &Arc<Stream>, sequence: u64) {
    for piece in pieces {
        writes::add(piece.address, piece.size as u64, stream, sequence);
    }
}

/// The worker's shadow is about to be read: it learns what the program has changed.
pub(crate) fn refresh(session: &Session, stream: &Stream, address: u64) -> Result<(), CUresult> {
    find(address).map_or(Ok(()), |piece| {
        piece.send(false, |touch, bulk| {
            session
                .post_bulk(stream.context, touch, bulk, false, |_| ())
                .map(drop)
        })
    })
}

/// A host function of the program has run, and may have changed what work that is queued behind it uses.
pub(crate) fn refresh_all(mut send: impl FnMut(&HostTouch, &[IoSlice<'_>])) {
    if !any() {
        return;
    }
    let pieces: Vec<_> = PIECES.read().values().cloned().collect();
    for piece in pieces {
        let _ = piece.send(false, |touch, bulk| {
            send(touch, bulk);
            Ok(())
        });
    }
}

/// What the GPU has changed.
///
/// # Errors
/// Changes that do not fit the piece. No piece at the address is no error: it may have been freed meanwhile.
pub(crate) fn apply(address: u64, changes: &[u8]) -> Result<(), DecodeError> {
    let Some(piece) = find(address).filter(|piece| piece.address == address) else {
        return Ok(());
    };
    let mut twin = piece.twin.lock();
    if twin.is_empty() {
        return Ok(());
    }
    delta::runs(changes, piece.size as u64, |offset, bytes| {
        let from = offset as usize;
        twin[from..from + bytes.len()].copy_from_slice(bytes);
        // SAFETY: inside the piece, which is pinned memory of the program while it is listed.
        unsafe {
            std::ptr::copy_nonoverlapping(
                bytes.as_ptr(),
                (address + offset) as *mut u8,
                bytes.len(),
            )
        };
    })
}

/// Bytes of pinned memory were exchanged by a copy: they are no changes of the program's.
pub(crate) fn exchanged(plane: &Plane, extent: &Extent) {
    if !any() {
        return;
    }
    for (row, len) in rows(plane, extent) {
        let Some(piece) = find(row) else { continue };
        let mut twin = piece.twin.lock();
        let from = (row - piece.address) as usize;
        let to = (from + len).min(twin.len());
        if from >= to {
            continue;
        }
        // SAFETY: inside the piece.
        let now = unsafe { std::slice::from_raw_parts(row as *const u8, to - from) };
        twin[from..to].copy_from_slice(now);
    }
}
