//! Large copies between pageable memory and the device, over a transport that shares memory: through slots of memory that the worker has, too.
//!
//! The program's bytes are copied into slots by several threads while slots that are full are on their way to the GPU, and the other way round; nothing goes through the
//! connection but the commands. Natively the driver does the same, with one thread.

use std::collections::VecDeque;
use std::sync::{Arc, LazyLock};

use gvirtus_wire::api::types::CUresult;
use parking_lot::Mutex;
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::pinned;
use crate::driver::context::Context;
use crate::session::Session;
use crate::streams::Stream;

/// Smaller copies travel with their command.
pub(crate) const SMALLEST: usize = 512 << 10;
/// The same of synchronous copies to the device, which do not wait behind anything and so leave their slot soon.
pub(crate) const SMALLEST_SYNCHRONOUS: usize = (64 << 10) + 1;
/// Smaller ones than [`SMALLEST`] go in parts of so many bytes: one is on its way to the GPU while the next is copied by the calling thread, which is done with that before others would have woken up.
pub(crate) const PART: usize = 128 << 10;
/// Bytes of a slot.
pub(crate) const SLOT: usize = 2 << 20;
const SLOTS: usize = 8;
/// What one thread copies at a time.
const PIECE: usize = 256 << 10;
/// A host's memory is busy with about so many threads.
const MOST_THREADS: usize = 6;

/// The threads that copy; `None` on a host where there is none to spare.
static POOL: LazyLock<Option<ThreadPool>> = LazyLock::new(|| {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    if processors < 4 {
        return None;
    }
    ThreadPoolBuilder::new()
        .num_threads((processors / 2).min(MOST_THREADS))
        .spawn_handler(|thread| crate::session::thread("gvirtus-copy", || thread.run()))
        .build()
        .ok()
});

/// The slots of one context.
struct Staging {
    context: u32,
    base: u64,
    slots: Mutex<[Slot; SLOTS]>,
}

#[derive(Default, Clone)]
struct Slot {
    taken: bool,
    /// The command that uses it last.
    used: Option<(Arc<Stream>, u64)>,
}

static STAGINGS: Mutex<Vec<Arc<Staging>>> = Mutex::new(Vec::new());

/// The slots of a context, made at the first need; `None` where memory cannot be shared.
fn of_context(session: &Session, context: &Context) -> Option<Arc<Staging>> {
    session.descriptors.as_ref()?;
    let mut stagings = STAGINGS.lock();
    if let Some(staging) = stagings.iter().find(|s| s.context == context.id) {
        return Some(Arc::clone(staging));
    }
    let base = pinned::share_unlisted(session, context, (SLOT * SLOTS) as u64).ok()?;
    let staging = Arc::new(Staging {
        context: context.id,
        base,
        slots: Mutex::default(),
    });
    stagings.push(Arc::clone(&staging));
    Some(staging)
}

/// The context is gone, and what the worker had mapped for it.
pub(crate) fn forget_context(context: u32) {
    STAGINGS.lock().retain(|staging| {
        if staging.context == context {
            pinned::release_unlisted(staging.base, (SLOT * SLOTS) as u64);
        }
        staging.context != context
    });
}

/// A slot in use. When dropped it can be had again, as soon as its last command is complete.
struct Lease {
    staging: Arc<Staging>,
    index: usize,
}

impl Lease {
    fn address(&self) -> u64 {
        self.staging.base + (self.index * SLOT) as u64
    }

    fn used(&self, stream: &Arc<Stream>, sequence: u64) {
        self.staging.slots.lock()[self.index].used = Some((Arc::clone(stream), sequence));
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.staging.slots.lock()[self.index].taken = false;
    }
}

/// A free slot. Waits for one that is used by `stream` itself if need be; never for another stream, which may wait for what this thread has yet to do.
fn take(
    session: &Session,
    staging: &Arc<Staging>,
    stream: &Arc<Stream>,
    wait: bool,
) -> Result<Option<Lease>, CUresult> {
    loop {
        let mut oldest = None;
        {
            let mut slots = staging.slots.lock();
            for (index, slot) in slots.iter_mut().enumerate().filter(|(_, s)| !s.taken) {
                match &slot.used {
                    Some((user, sequence)) if !user.has_passed(*sequence) => {
                        if Arc::ptr_eq(user, stream) && oldest.is_none_or(|o| *sequence < o) {
                            oldest = Some(*sequence);
                        }
                    }
                    _ => {
                        slot.taken = true;
                        slot.used = None;
                        let staging = Arc::clone(staging);
                        return Ok(Some(Lease { staging, index }));
                    }
                }
            }
        }
        match oldest {
            // Natively, too, such a copy waits for the stream.
            Some(sequence) if wait => stream.wait_until_passed(session, sequence)?,
            _ => return Ok(None),
        }
    }
}

/// Copies `from` into slots and has `post(offset, slot's address, length)` send each on its way, or each part of `part` bytes. Returns how many bytes it has done: the rest is for other means.
///
/// # Safety
/// `len` bytes at `from` are readable.
pub(crate) unsafe fn to_device(
    session: &Session,
    context: &Context,
    stream: &Arc<Stream>,
    from: u64,
    len: usize,
    part: usize,
    mut post: impl FnMut(u64, u64, u64) -> Result<u64, CUresult>,
) -> Result<usize, CUresult> {
    let Some(staging) = of_context(session, context) else {
        return Ok(0);
    };
    let mut done = 0;
    while done < len {
        let Some(lease) = take(session, &staging, stream, true)? else {
            break;
        };
        let end = len.min(done + SLOT);
        let mut at = lease.address();
        while done < end {
            let n = (end - done).min(part);
            // SAFETY: readable by the contract; the slot is the lease's.
            unsafe { copy(at, from + done as u64, n) };
            let sequence = post(done as u64, at, n as u64)?;
            lease.used(stream, sequence);
            at += n as u64;
            done += n;
        }
    }
    Ok(done)
}

/// Has `post(offset, slot's address, length)` fill slots and copies each to `to`. Returns how many bytes it has done: the rest is for other means.
///
/// # Safety
/// `len` bytes at `to` are writable.
pub(crate) unsafe fn to_host(
    session: &Session,
    context: &Context,
    stream: &Arc<Stream>,
    to: u64,
    len: usize,
    mut post: impl FnMut(u64, u64, u64) -> Result<u64, CUresult>,
) -> Result<usize, CUresult> {
    let Some(staging) = of_context(session, context) else {
        return Ok(0);
    };
    let mut under_way: VecDeque<(Lease, usize, usize, u64)> = VecDeque::new();
    let mut next = 0;
    loop {
        while next < len {
            let Some(lease) = take(session, &staging, stream, under_way.is_empty())? else {
                break;
            };
            let n = (len - next).min(SLOT);
            let sequence = post(next as u64, lease.address(), n as u64)?;
            lease.used(stream, sequence);
            under_way.push_back((lease, next, n, sequence));
            next += n;
        }
        let Some((lease, offset, n, sequence)) = under_way.pop_front() else {
            return Ok(next);
        };
        stream.wait_until_passed(session, sequence)?;
        // SAFETY: writable by the contract; the GPU has filled the lease's slot.
        unsafe { copy(to + offset as u64, lease.address(), n) };
    }
}

/// Copies with as many threads as are worth it.
///
/// # Safety
/// `from` is readable, `to` writable, and they do not overlap.
unsafe fn copy(to: u64, from: u64, len: usize) {
    let piece = |at: usize| {
        let n = (len - at).min(PIECE);
        // SAFETY: a part of what the caller vouches for.
        unsafe {
            std::ptr::copy_nonoverlapping(
                (from + at as u64) as *const u8,
                (to + at as u64) as *mut u8,
                n,
            );
        }
    };
    match &*POOL {
        Some(pool) if len >= 2 * PIECE => pool.in_place_scope(|scope| {
            for at in (PIECE..len).step_by(PIECE) {
                scope.spawn(move |_| piece(at));
            }
            piece(0);
        }),
        _ => (0..len).step_by(PIECE).for_each(piece),
    }
}
