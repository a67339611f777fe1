//! Pinned host memory: the program's own pages here, at the same address on the worker a shadow of them, or the same pages where the transport can share memory; and memory
//! that the program registers.

use std::sync::atomic::{AtomicU64, Ordering};

use gvirtus_wire::api::core::{
    HostAlloc, HostFree, HostRegister, HostShare, HostUnregister, ReserveHostRange,
};
use gvirtus_wire::api::types::{CUresult, error};
use parking_lot::Mutex;

use super::blocks::Blocks;
use super::ledger::{self, Entry, Kind};
use super::{mapped, ranges};
use crate::driver::context::Context;
use crate::session::Session;

const PAGE: u64 = 4096;

static FREE: Mutex<Option<Blocks>> = Mutex::new(None);

/// Allocates `size` bytes (not 0).
pub(crate) fn allocate(
    session: &Session,
    context: &Context,
    size: u64,
    flags: u32,
) -> Result<u64, CUresult> {
    let bytes = size
        .checked_next_multiple_of(PAGE)
        .filter(|&b| b <= 1 << 40)
        .ok_or(error::ERROR_OUT_OF_MEMORY)?;
    let address = place(session, context.id, bytes)?;
    let give_back = |code| {
        release_unlisted(address, bytes);
        code
    };
    let kind = match share(session, context.id, address, bytes) {
        Err(error::ERROR_NOT_SUPPORTED) => {
            ranges::commit(address, bytes).map_err(|_| give_back(error::ERROR_OUT_OF_MEMORY))?;
            let command = HostAlloc {
                address,
                size: bytes,
                flags,
            };
            session.call(context.id, &command).map_err(give_back)?;
            Kind::Pinned
        }
        shared => shared.map(|()| Kind::Shared).map_err(give_back)?,
    };
    ledger::insert(Entry {
        address,
        size,
        kind,
        device: context.device,
        context: context.id,
        flags,
    });
    Ok(address)
}

/// Addresses for `bytes`, a multiple of the page size.
fn place(session: &Session, context: u32, bytes: u64) -> Result<u64, CUresult> {
    open(session, context)?;
    let alignment = if bytes < ranges::LARGE_PAGE {
        PAGE
    } else {
        ranges::LARGE_PAGE
    };
    FREE.lock()
        .as_mut()
        .and_then(|f| f.take(bytes, alignment))
        .ok_or(error::ERROR_OUT_OF_MEMORY)
}

/// Memory of our own that the worker has, too: `bytes` (a multiple of the page size) that the program does not know of.
pub(crate) fn share_unlisted(
    session: &Session,
    context: &Context,
    bytes: u64,
) -> Result<u64, CUresult> {
    let address = place(session, context.id, bytes)?;
    share(session, context.id, address, bytes).inspect_err(|_| release_unlisted(address, bytes))?;
    Ok(address)
}

/// Gives memory back of which the worker knows nothing any more.
pub(crate) fn release_unlisted(address: u64, bytes: u64) {
    ranges::decommit(address, bytes);
    if let Some(free) = FREE.lock().as_mut() {
        free.give(address, bytes);
    }
}

/// Puts memory behind the range that the worker maps, too. `CUDA_ERROR_NOT_SUPPORTED` where that cannot be: then a shadow does.
fn share(session: &Session, context: u32, address: u64, bytes: u64) -> Result<(), CUresult> {
    static TAGS: AtomicU64 = AtomicU64::new(1);
    let Some(descriptors) = &session.descriptors else {
        return Err(error::ERROR_NOT_SUPPORTED);
    };
    let tag = TAGS.fetch_add(1, Ordering::Relaxed);
    let passed = ranges::commit_shared(address, bytes).and_then(|fd| descriptors.send(tag, &fd));
    if let Err(e) = passed {
        log!(
            Debug,
            "{bytes} bytes of pinned memory cannot be shared: {e}"
        );
        return Err(error::ERROR_NOT_SUPPORTED);
    }
    let command = HostShare {
        address,
        size: bytes,
        tag,
    };
    session.call(context, &command)
}

/// Frees pinned memory. The work that used it must be complete.
pub(crate) fn free(session: &Session, entry: &Entry) -> Result<(), CUresult> {
    session.call(
        entry.context,
        &HostFree {
            address: entry.address,
        },
    )?;
    session.wait_until_left(entry.address, entry.size);
    ledger::remove(entry.address);
    mapped::forget(entry);
    release(entry);
    Ok(())
}

/// Registers memory of the program.
pub(crate) fn register(
    session: &Session,
    context: &Context,
    address: u64,
    size: u64,
    flags: u32,
) -> Result<(), CUresult> {
    let start = address & !(PAGE - 1);
    let end = address
        .checked_add(size)
        .and_then(|e| e.checked_next_multiple_of(PAGE))
        .ok_or(error::ERROR_INVALID_VALUE)?;
    if ledger::overlaps(address, size) {
        return Err(error::ERROR_HOST_MEMORY_ALREADY_REGISTERED);
    }
    let reply = session.call(
        context.id,
        &HostRegister {
            address: start,
            size: end - start,
            flags,
        },
    )?;
    let kind = Kind::Registered {
        device_pointer: reply.device_pointer + (address - start),
    };
    ledger::insert(Entry {
        address,
        size,
        kind,
        device: context.device,
        context: context.id,
        flags,
    });
    Ok(())
}

/// Undoes [`register`]. The work that used it must be complete.
pub(crate) fn unregister(session: &Session, entry: &Entry) -> Result<(), CUresult> {
    let unregistered = session.call(
        entry.context,
        &HostUnregister {
            address: entry.address & !(PAGE - 1),
        },
    );
    // In any case: the program may give the memory back even if that has failed.
    session.wait_until_left(entry.address, entry.size);
    unregistered?;
    ledger::remove(entry.address);
    mapped::forget(entry);
    Ok(())
}

/// A device was reset: its pinned memory goes with it, as natively.
pub(crate) fn reset_device(device: u32) {
    for entry in ledger::of_device(device) {
        if let Some(session) = Session::existing() {
            session.wait_until_left(entry.address, entry.size);
        }
        ledger::remove(entry.address);
        mapped::forget(&entry);
        if matches!(entry.kind, Kind::Pinned | Kind::Shared) {
            release(&entry);
        }
    }
}

fn release(entry: &Entry) {
    release_unlisted(entry.address, entry.size.next_multiple_of(PAGE));
}

fn open(session: &Session, context: u32) -> Result<(), CUresult> {
    static OPENING: Mutex<()> = Mutex::new(());
    let _opening = OPENING.lock();
    if FREE.lock().is_some() {
        return Ok(());
    }
    for range in ranges::candidates(ranges::SLOTS - 1) {
        if ranges::reserve(range).is_err() {
            continue;
        }
        match session.call_setup(
            context,
            &ReserveHostRange {
                base: range.base,
                size: range.size,
            },
            &[],
        ) {
            Ok(()) => {
                let mut free = Blocks::default();
                free.give(range.base, range.size);
                *FREE.lock() = Some(free);
                return Ok(());
            }
            Err(_) => ranges::release(range),
        }
        session.lost()?;
    }
    log!(
        Error,
        "no address range for pinned memory is free both here and on the backend"
    );
    Err(error::ERROR_OUT_OF_MEMORY)
}
