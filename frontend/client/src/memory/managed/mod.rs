//! Managed memory: one address for processor and GPU. The GPU's side is ordinary device memory of the box, at addresses that both ends have reserved; the program's side is
//! memory here, protected page by page.
//!
//! Before a launch what the program has changed travels, and then all of it is the GPU's: the program's next touch of a page faults, and brings that page and some after it
//! (the `fault` handler). So values are right wherever CUDA asks the program to have synchronized, and only what is touched travels. A touch while work is running waits for
//! that; if it cannot (the work waits for the program, as in a host function), the page stands for that moment, see [`pages`].
//!
//! # Layout
//! * [`pages`]: who has which page. `window`: the memory and its protection. `fault`: the signal, `touch`: what it is answered with. `lane`: the way to the GPU.
//! * `variables`: those of modules. `advice`: what the program has advised. This file: the pieces, and what the rest of the client calls.
//!
//! Order of locks: [`STATE`], then those of streams and events. Nobody touches the program's managed memory while holding any of them.

pub(crate) mod advice;
mod fault;
mod lane;
mod pages;
mod touch;
mod variables;
mod window;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use gvirtus_wire::api::core::MemAccess;
use gvirtus_wire::api::types::{CUresult, error};
use parking_lot::Mutex;

use self::advice::Advice;
use self::lane::Lane;
use self::pages::{Access, PAGE, Pages};
pub(crate) use self::variables::{
    add_variable, keep_variable, remove_variable, renew_variable, share_variable,
};
use self::window::Window;
use super::blocks::Blocks;
use super::device;
use super::ledger::{self, Entry, Kind};
use crate::capture;
use crate::driver::context::Context;
use crate::session::Session;
use crate::streams::{self, Stream};

/// Larger pieces have device memory of their own; smaller ones share pieces of this size.
const ARENA: u64 = 2 << 20;
const SMALL: u64 = 1 << 20;
/// `CU_MEM_ATTACH_HOST`.
const ATTACH_HOST: u32 = 2;

/// Which work may use a piece, by the program's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attached {
    /// All.
    Global,
    /// None.
    Host,
    /// That of the stream with this number.
    Single(u64),
}

struct Piece {
    /// Start, page-aligned.
    address: u64,
    /// Bytes, a multiple of the page size.
    len: usize,
    device: u32,
    pages: Pages,
    window: Window,
    /// The bytes that are managed memory, by offset: all that the program asked for; of pages with variables, those.
    spans: Vec<Range<usize>>,
    attached: Attached,
    /// Work was seen to use it that by the program's word does not.
    named: bool,
    /// Variables of libraries whose context was reset: all of it is here, and the GPU has none until they are loaded again.
    kept: bool,
    /// What was running when busy pages were fetched: of each stream the first such command. None: nobody knows.
    since: Vec<(Arc<Stream>, u64)>,
    advice: Advice,
}

#[derive(Default)]
struct State {
    pieces: BTreeMap<u64, Piece>,
    /// Pieces with pages that the program may touch.
    here: BTreeSet<u64>,
    lanes: BTreeMap<u32, Lane>,
    /// Commands whose pages are sent already and which are not issued yet.
    underway: usize,
}

static STATE: Mutex<Option<State>> = Mutex::new(None);
/// Free parts of what small pieces share, by device.
static ARENAS: Mutex<BTreeMap<u32, Blocks>> = Mutex::new(BTreeMap::new());
/// How many pieces there are: most programs have none.
static COUNT: AtomicUsize = AtomicUsize::new(0);
/// How many have busy pages.
static BUSY: AtomicUsize = AtomicUsize::new(0);
/// Where pieces have ever been.
static LOW: AtomicU64 = AtomicU64::new(u64::MAX);
static HIGH: AtomicU64 = AtomicU64::new(0);

/// Why pages could not be brought to where they are needed.
struct Failure(CUresult);

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        log!(Error, "managed memory: {error}");
        Self(error::ERROR_OUT_OF_MEMORY)
    }
}

impl From<CUresult> for Failure {
    fn from(status: CUresult) -> Self {
        Self(status)
    }
}

/// Whether the program has managed memory.
#[inline]
pub(crate) fn any() -> bool {
    COUNT.load(Ordering::Acquire) > 0
}

fn with<R>(f: impl FnOnce(&mut State) -> R) -> R {
    f(STATE.lock().get_or_insert_default())
}

impl State {
    fn insert(&mut self, piece: Piece) {
        LOW.fetch_min(piece.address, Ordering::AcqRel);
        HIGH.fetch_max(piece.address + piece.len as u64, Ordering::AcqRel);
        if piece.pages.any_here() {
            self.here.insert(piece.address);
        }
        touch::refresh_busy_pages();
        self.pieces.insert(piece.address, piece);
        COUNT.fetch_add(1, Ordering::AcqRel);
    }

    fn remove(&mut self, address: u64) -> Option<Piece> {
        let piece = self.pieces.remove(&address)?;
        self.here.remove(&address);
        COUNT.fetch_sub(1, Ordering::AcqRel);
        self.count_busy();
        Some(piece)
    }

    fn count_busy(&self) {
        let busy = self.here.iter().filter_map(|a| self.pieces.get(a));
        BUSY.store(
            busy.filter(|p| p.pages.any_busy()).count(),
            Ordering::Release,
        );
    }

    fn lane(&mut self, session: &Session, device: u32) -> Result<&mut Lane, CUresult> {
        use std::collections::btree_map::Entry;
        match self.lanes.entry(device) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => Ok(entry.insert(Lane::new(session, device)?)),
        }
    }

    /// The piece that an address lies in.
    fn find(&mut self, address: u64) -> Option<&mut Piece> {
        let (_, piece) = self.pieces.range_mut(..=address).next_back()?;
        (address - piece.address < piece.len as u64).then_some(piece)
    }

    /// Sends the program's changes of some pages of a piece; `keep`: it may go on reading them.
    fn flush(
        &mut self,
        session: &Session,
        address: u64,
        range: Option<Range<usize>>,
        keep: bool,
    ) -> Result<(), CUresult> {
        let Some(piece) = self.pieces.get_mut(&address).filter(|p| !p.kept) else {
            return Ok(());
        };
        if !piece.pages.any_here() {
            self.here.remove(&address);
            return Ok(());
        }
        fault::install();
        let device = piece.device;
        self.lane(session, device)?;
        let (Some(piece), Some(lane)) =
            (self.pieces.get_mut(&address), self.lanes.get_mut(&device))
        else {
            return Ok(());
        };
        let range = range.unwrap_or(0..piece.len / PAGE);
        let flushed = piece.pages.flush::<Failure>(
            &mut piece.window,
            &piece.spans,
            range,
            keep,
            &mut |at, bytes| Ok(lane.send(session, address + at as u64, bytes)?),
        );
        if !piece.pages.any_here() {
            self.here.remove(&address);
        }
        if BUSY.load(Ordering::Acquire) > 0 {
            self.count_busy();
        }
        flushed.map(drop).map_err(|failure| failure.0)
    }

    /// What comes next on a stream waits for what was sent.
    fn order(&mut self, session: &Session, stream: &Arc<Stream>) -> Result<(), CUresult> {
        for lane in self.lanes.values_mut() {
            lane.mark(session)?;
            lane.order(session, stream)?;
        }
        Ok(())
    }

    /// Sends and takes away what was touched while work was running. `all`, or only what that work is known to have left.
    fn revoke(&mut self, session: &Session, all: bool) -> Result<(), CUresult> {
        let State {
            pieces,
            here,
            lanes,
            ..
        } = self;
        let mut result = Ok(());
        for address in here.iter() {
            let Some(piece) = pieces.get_mut(address).filter(|p| p.pages.any_busy()) else {
                continue;
            };
            let over = piece.since.is_empty() || piece.since.iter().any(|(s, n)| s.has_passed(*n));
            let Some(lane) = lanes.get_mut(&piece.device).filter(|_| all || over) else {
                continue;
            };
            let revoked =
                piece
                    .pages
                    .revoke::<Failure>(&mut piece.window, &piece.spans, &mut |at, bytes| {
                        Ok(lane.send(session, address + at as u64, bytes)?)
                    });
            result = result.and(revoked.map(drop).map_err(|failure| failure.0));
        }
        here.retain(|address| pieces.get(address).is_some_and(|p| p.pages.any_here()));
        for lane in lanes.values_mut() {
            result = result.and(lane.mark(session));
        }
        self.count_busy();
        result
    }
}

/// Allocates `size` bytes (not 0) on a context's device: zeros, the program's to touch.
pub(crate) fn allocate(
    session: &Session,
    context: &Context,
    size: u64,
    flags: u32,
) -> Result<u64, CUresult> {
    let len = size
        .checked_next_multiple_of(PAGE as u64)
        .filter(|len| *len <= 1 << 40)
        .ok_or(error::ERROR_OUT_OF_MEMORY)?;
    let address = take(session, context, len)?;
    share(session, context, address, len);
    let made = Window::new(address, len as usize, true, Access::All)
        .map_err(|failure| Failure::from(failure).0)
        .and_then(|window| {
            with(|state| {
                let lane = state.lane(session, context.device)?;
                lane.clear(session, address, len)?;
                lane.mark(session)?;
                state.insert(Piece {
                    address,
                    len: len as usize,
                    device: context.device,
                    pages: Pages::zeros(len as usize / PAGE),
                    window,
                    spans: std::iter::once(0..size as usize).collect(),
                    attached: if flags == ATTACH_HOST && !session.concurrent_managed_access {
                        Attached::Host
                    } else {
                        Attached::Global
                    },
                    named: false,
                    kept: false,
                    since: Vec::new(),
                    advice: Advice::default(),
                });
                Ok(())
            })
        });
    if let Err(status) = made {
        give_back(session, context.device, context.id, address, len);
        return Err(status);
    }
    ledger::insert(Entry {
        address,
        size,
        kind: Kind::Managed,
        device: context.device,
        context: context.id,
        flags,
    });
    Ok(address)
}

/// Managed memory is every device's.
fn share(session: &Session, context: &Context, address: u64, size: u64) {
    for (device, _) in (0u32..).zip(&session.snapshot.devices) {
        if device == context.device {
            continue;
        }
        let command = MemAccess {
            address,
            size,
            device,
        };
        if let Err(status) = session.call(context.id, &command)
            && crate::log::first_time("managed memory of several devices")
        {
            log!(
                Warn,
                "device {device} cannot use the managed memory of device {} (CUDA error {status})",
                context.device
            );
        }
    }
}

/// Device memory for a piece.
fn take(session: &Session, context: &Context, len: u64) -> Result<u64, CUresult> {
    if len > SMALL {
        return device::take(session, context.device, context.id, len);
    }
    let mut arenas = ARENAS.lock();
    let arena = arenas.entry(context.device).or_default();
    if let Some(address) = arena.take(len, PAGE as u64) {
        return Ok(address);
    }
    let more = device::take(session, context.device, context.id, ARENA)?;
    arena.give(more, ARENA);
    arena
        .take(len, PAGE as u64)
        .ok_or(error::ERROR_OUT_OF_MEMORY)
}

fn give_back(session: &Session, device: u32, context: u32, address: u64, len: u64) {
    if len > SMALL {
        device::give_back(session, device, context, address, len);
        return;
    }
    let mut arenas = ARENAS.lock();
    let arena = arenas.entry(device).or_default();
    arena.give(address, len);
    let start = address & !(ARENA - 1);
    if arena.carve(start, ARENA) {
        device::give_back(session, device, context, start, ARENA);
    }
}

/// Frees a piece whose ledger entry the caller has taken out, once the work that used it is complete.
pub(crate) fn free(session: &Session, entry: &Entry) {
    with(|state| {
        // What was sent there and is not written yet must not meet the next owner's bytes.
        if let Some(lane) = state.lanes.get_mut(&entry.device) {
            lane.wait(session);
        }
        state.remove(entry.address);
    });
    let len = entry.size.next_multiple_of(PAGE as u64);
    give_back(session, entry.device, entry.context, entry.address, len);
}

impl Piece {
    fn add_span(&mut self, span: Range<usize>) {
        if !span.is_empty() && !self.spans.contains(&span) {
            self.spans.push(span);
            self.spans.sort_unstable_by_key(|s| s.start);
        }
    }

    /// The pages that a range of addresses lies in.
    fn pages_of(&self, address: u64, size: u64) -> Range<usize> {
        let end = self.address + self.len as u64;
        let from = address.clamp(self.address, end) - self.address;
        let to = address.saturating_add(size).clamp(self.address, end) - self.address;
        from as usize / PAGE..(to as usize).div_ceil(PAGE)
    }

    /// The work that is running and may change it.
    fn running(&self) -> Vec<(Arc<Stream>, u64)> {
        match self.attached {
            Attached::Host if !self.named => Vec::new(),
            Attached::Single(number) if !self.named => streams::running()
                .into_iter()
                .filter(|(stream, _)| stream.number == number)
                .collect(),
            _ => streams::running(),
        }
    }

    /// Pages were fetched while this was running, or (`None`) what was not issued yet; `before`: others were busy already. They are out of date as soon as any of the work that they were
    /// fetched beside is complete.
    fn fetched_beside(&mut self, work: Option<Vec<(Arc<Stream>, u64)>>, before: bool) {
        let Some(work) = work else {
            self.since.clear();
            return;
        };
        if !before {
            self.since = work;
        } else if !self.since.is_empty() {
            for (stream, number) in work {
                if !self.since.iter().any(|(s, _)| Arc::ptr_eq(s, &stream)) {
                    self.since.push((stream, number));
                }
            }
        }
    }

    fn holds(&self, address: u64) -> bool {
        address >= self.address && address - self.address < self.len as u64
    }
}

/// What a command on a stream may use.
#[derive(Clone, Copy)]
pub(crate) enum Uses<'a> {
    /// A kernel with these parameters: what is attached to all or its stream, and what a parameter is an address in.
    Kernel(&'a [u8]),
    /// What was captured: anything.
    Graph,
}

/// Held until a command is issued: what is touched meanwhile is touched while it runs.
pub(crate) struct Underway(());

impl Drop for Underway {
    fn drop(&mut self) {
        with(|state| state.underway -= 1);
    }
}

/// Before a command on a stream that may use managed memory: what the program has changed is sent, and the memory is the GPU's.
///
/// # Errors
/// Those of sending.
#[inline]
pub(crate) fn before(
    session: &Session,
    stream: &Arc<Stream>,
    uses: Uses<'_>,
) -> Result<Option<Underway>, CUresult> {
    // What is captured is used when the graph is launched.
    if !any() || capture::of(stream).is_some() {
        return Ok(None);
    }
    before_slowly(session, stream, uses).map(Some)
}

#[cold]
fn before_slowly(
    session: &Session,
    stream: &Arc<Stream>,
    uses: Uses<'_>,
) -> Result<Underway, CUresult> {
    // The program may have installed a handler of its own meanwhile.
    fault::install();
    with(|state| {
        let here: Vec<u64> = state.here.iter().copied().collect();
        for address in here {
            let Some(piece) = state.pieces.get_mut(&address) else {
                continue;
            };
            let attached = match piece.attached {
                Attached::Global => true,
                Attached::Host => false,
                Attached::Single(number) => number == stream.number,
            };
            let named = match uses {
                Uses::Graph => true,
                Uses::Kernel(params) => params.chunks_exact(8).any(|word| {
                    word.try_into()
                        .is_ok_and(|word| piece.holds(u64::from_ne_bytes(word)))
                }),
            };
            piece.named |= named && !attached;
            if attached || named {
                state.flush(session, address, None, false)?;
            }
        }
        state.order(session, stream)?;
        state.underway += 1;
        Ok(Underway(()))
    })
}

/// Before a command on a stream that reads or writes a range by its address.
///
/// # Errors
/// Those of sending.
#[inline]
pub(crate) fn before_range(
    session: &Session,
    stream: &Arc<Stream>,
    address: u64,
    size: u64,
    write: bool,
) -> Result<Option<Underway>, CUresult> {
    if !touches(address, size) || capture::of(stream).is_some() {
        return Ok(None);
    }
    with(|state| {
        let end = address.saturating_add(size);
        let found: Vec<(u64, Range<usize>)> = state
            .pieces
            .range(..end)
            .rev()
            .take_while(|(_, p)| p.address + p.len as u64 > address)
            .map(|(a, p)| (*a, p.pages_of(address, size)))
            .collect();
        for (at, pages) in found {
            if let Some(piece) = state.pieces.get_mut(&at) {
                piece.named |= write && piece.attached != Attached::Global;
            }
            state.flush(session, at, Some(pages), !write)?;
        }
        state.order(session, stream)?;
        state.underway += 1;
        Ok(Some(Underway(())))
    })
}

/// Whether any part of a range is managed memory.
#[inline]
pub(crate) fn touches(address: u64, size: u64) -> bool {
    if !any()
        || address >= HIGH.load(Ordering::Acquire)
        || address.saturating_add(size) <= LOW.load(Ordering::Acquire)
    {
        return false;
    }
    with(|state| {
        let before = state
            .pieces
            .range(..address.saturating_add(size))
            .next_back();
        before.is_some_and(|(_, p)| p.address + p.len as u64 > address)
    })
}

/// After every call of the program: if it may have learnt of the end of work, what it touched while that ran is out of date.
#[inline]
pub(crate) fn observed() {
    if BUSY.load(Ordering::Acquire) > 0 {
        observed_slowly(false);
    }
}

#[cold]
fn observed_slowly(all: bool) {
    if let Some(session) = Session::existing() {
        // A failure of the session shows at the next call.
        let _ = with(|state| state.revoke(session, all));
    }
}

/// A host function is about to run on this thread: the work before it is done.
pub(crate) fn before_host_function() {
    touch::in_host_function();
    if BUSY.load(Ordering::Acquire) > 0 {
        observed_slowly(true);
    }
}

/// A host function has run, and the work behind it is waiting: it sees what the program has changed.
pub(crate) fn after_host_function(session: &Session) {
    if !any() {
        return;
    }
    with(|state| {
        let here: Vec<u64> = state.here.iter().copied().collect();
        for address in here {
            let _ = state.flush(session, address, None, false);
        }
        for lane in state.lanes.values_mut() {
            lane.wait(session);
        }
    });
}

/// Says which work uses a piece from now on. To a program that may use all of it at any time that is no promise, as natively.
pub(crate) fn attach(session: &Session, address: u64, attached: Attached) {
    if session.concurrent_managed_access {
        return;
    }
    with(|state| {
        if let Some(piece) = state.find(address) {
            // It is attached behind what is on the stream, which may still use it as before.
            piece.named |= !piece.running().is_empty();
            piece.attached = attached;
        }
    });
}

/// The program means to use a range here (`to_host`) or on a device soon.
///
/// # Errors
/// Those of sending.
pub(crate) fn prefetch(
    session: &Session,
    stream: &Arc<Stream>,
    address: u64,
    size: u64,
    to_host: bool,
) -> Result<(), CUresult> {
    if capture::of(stream).is_some() {
        return Ok(());
    }
    with(|state| {
        let Some(piece) = state.find(address) else {
            return Ok(());
        };
        let (start, pages) = (piece.address, piece.pages_of(address, size));
        if to_host {
            piece.pages.expect(pages.start);
            return Ok(());
        }
        state.flush(session, start, Some(pages), true)?;
        state.order(session, stream)
    })
}

/// Runs `f` on start and length of the piece that holds an address, and what the program has advised for it.
pub(crate) fn with_advice<R>(
    address: u64,
    f: impl FnOnce(u64, u64, &mut Advice) -> R,
) -> Option<R> {
    with(|state| {
        state
            .find(address)
            .map(|p| f(p.address, p.len as u64, &mut p.advice))
    })
}

/// Whether an address may lie in managed memory: asked by the fault handler before anything else.
fn may_hold(address: u64) -> bool {
    any() && address >= LOW.load(Ordering::Acquire) && address < HIGH.load(Ordering::Acquire)
}

/// A device was reset: its memory is gone, but for variables that are kept.
pub(crate) fn reset_device(device: u32) {
    ARENAS.lock().remove(&device);
    with(|state| {
        let gone: Vec<u64> = state
            .pieces
            .values()
            .filter(|p| p.device == device && !p.kept)
            .map(|p| p.address)
            .collect();
        for address in gone {
            state.remove(address);
        }
        state.lanes.remove(&device);
    });
}
