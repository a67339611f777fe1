//! Device memory: addresses are handed out here, from physical memory that the worker has granted and mapped.
//!
//! A grant is one run of mapped memory. Requests are served from free parts of grants without asking anybody; when none fits, one round trip asks for another grant, and
//! that is where `CUDA_ERROR_OUT_OF_MEMORY` comes from. Small allocations share 2 MiB slabs, as natively. A grant that is free as a whole goes back once more
//! than [`keep`] bytes lie idle.

use std::collections::BTreeMap;

use gvirtus_wire::api::core::{MemGrant, MemInfo, MemRelease, ReserveRange};
use gvirtus_wire::api::types::{CUresult, error};
use parking_lot::Mutex;

use super::blocks::Blocks;
use super::ledger::{self, Entry, Kind};
use super::ranges::{self, Range};
use crate::session::Session;

/// Natively, allocations of up to this size share a 2 MiB page.
const SMALL: u64 = 1 << 20;
/// Alignment of small allocations: what `cudaMalloc` is seen to give.
const SMALL_ALIGN: u64 = 512;
/// The first grant, asked for together with the address range.
const FIRST_GRANT: u64 = 32 << 20;
/// Grants double with what is in use, up to this.
const LARGEST_GRANT: u64 = 512 << 20;

struct Device {
    range: Range,
    granularity: u64,
    /// Addresses of the range without memory behind them.
    unmapped: Blocks,
    /// Mapped and free, in units of the granularity.
    free: Blocks,
    /// Free parts of the slabs of small allocations.
    small: Blocks,
    /// What was granted: start and size.
    grants: BTreeMap<u64, u64>,
    granted: u64,
}

static DEVICES: Mutex<BTreeMap<u32, Device>> = Mutex::new(BTreeMap::new());
/// Held while asking for a grant, so that two threads do not ask for the same shortage twice. Never held together with a wait for anything but the worker.
static ASKING: Mutex<()> = Mutex::new(());

/// Allocates `size` bytes (not 0) of a device's memory for a context.
pub(crate) fn allocate(
    session: &Session,
    device: u32,
    context: u32,
    size: u64,
) -> Result<u64, CUresult> {
    let address = take(session, device, context, size)?;
    ledger::insert(Entry {
        address,
        size,
        kind: Kind::Device,
        device,
        context,
        flags: 0,
    });
    Ok(address)
}

/// Takes `size` bytes (not 0) of a device's memory without an entry in the ledger: for what hands out parts of it.
pub(crate) fn take(
    session: &Session,
    device: u32,
    context: u32,
    size: u64,
) -> Result<u64, CUresult> {
    if size > 1 << 46 {
        return Err(error::ERROR_OUT_OF_MEMORY);
    }
    loop {
        if let Some(address) = DEVICES.lock().get_mut(&device).and_then(|d| d.take(size)) {
            return Ok(address);
        }
        let _asking = ASKING.lock();
        // Another thread may have brought what we need while we waited.
        if let Some(address) = DEVICES.lock().get_mut(&device).and_then(|d| d.take(size)) {
            return Ok(address);
        }
        grow(session, device, context, size)?;
    }
}

/// Frees an allocation whose ledger entry the caller has taken out, once the work that used it is complete.
pub(crate) fn free(session: &Session, entry: &Entry) {
    give_back(
        session,
        entry.device,
        entry.context,
        entry.address,
        entry.size,
    );
}

/// Counterpart of [`take`], once the work that used the memory is complete.
pub(crate) fn give_back(session: &Session, device: u32, context: u32, address: u64, size: u64) {
    let release = {
        let mut devices = DEVICES.lock();
        let Some(device) = devices.get_mut(&device) else {
            return;
        };
        device.give(address, size)
    };
    for address in release {
        let _ = session.post(context, &MemRelease { device, address });
    }
}

/// Bytes free (what the driver says and what lies granted and unused here) and in all.
pub(crate) fn info(session: &Session, device: u32, context: u32) -> Result<(u64, u64), CUresult> {
    let reply = session.call(context, &MemInfo { device })?;
    let unused = DEVICES.lock().get(&device).map_or(0, |d| d.free.total());
    Ok(((reply.free + unused).min(reply.total), reply.total))
}

/// Takes addresses without memory behind them, for a program that maps its own there.
pub(crate) fn reserve(
    session: &Session,
    device: u32,
    size: u64,
    align: u64,
) -> Result<u64, CUresult> {
    let take = || {
        DEVICES
            .lock()
            .get_mut(&device)
            .map(|d| d.unmapped.take(size, align))
    };
    let taken = match take() {
        Some(taken) => taken,
        None => {
            let _asking = ASKING.lock();
            if !DEVICES.lock().contains_key(&device) {
                // The device's primary context always exists on the worker.
                open(session, device, device)?;
            }
            take().flatten()
        }
    };
    taken.ok_or(error::ERROR_OUT_OF_MEMORY)
}

/// Counterpart of [`reserve`].
pub(crate) fn unreserve(device: u32, address: u64, size: u64) {
    if let Some(device) = DEVICES.lock().get_mut(&device) {
        device.unmapped.give(address, size);
    }
}

/// A device was reset: its grants are gone; the address range stays ours.
pub(crate) fn reset(device: u32) {
    if let Some(device) = DEVICES.lock().get_mut(&device) {
        let range = device.range;
        device.unmapped = Blocks::default();
        device.unmapped.give(range.base, range.size);
        device.free = Blocks::default();
        device.small = Blocks::default();
        device.grants.clear();
        device.granted = 0;
    }
}

/// How much may lie idle before grants go back: programs that allocate steadily keep what they need.
fn keep(granted: u64) -> u64 {
    (granted / 4).max(FIRST_GRANT)
}

/// Asks for more: a run that fits `size`, larger if the device has it.
fn grow(session: &Session, device: u32, context: u32, size: u64) -> Result<(), CUresult> {
    let known = DEVICES.lock().contains_key(&device);
    if !known {
        return open(session, device, context);
    }
    let (need, generous) = {
        let devices = DEVICES.lock();
        let d = devices.get(&device).ok_or(error::ERROR_INVALID_DEVICE)?;
        let need = if size <= SMALL {
            d.granularity
        } else {
            size.next_multiple_of(d.granularity)
        };
        let generous = d
            .granted
            .next_power_of_two()
            .clamp(FIRST_GRANT, LARGEST_GRANT);
        // A large request stands alone, so that it can go back alone.
        (need, if need >= generous / 2 { need } else { generous })
    };
    match grant(session, device, context, generous) {
        Err(error::ERROR_OUT_OF_MEMORY) => {}
        other => return other,
    }
    for address in DEVICES
        .lock()
        .get_mut(&device)
        .map(|d| d.shrink(0))
        .unwrap_or_default()
    {
        session.post(context, &MemRelease { device, address })?;
    }
    grant(session, device, context, need)
}

fn grant(session: &Session, device: u32, context: u32, size: u64) -> Result<(), CUresult> {
    let address = {
        let mut devices = DEVICES.lock();
        let d = devices
            .get_mut(&device)
            .ok_or(error::ERROR_INVALID_DEVICE)?;
        d.unmapped
            .take(size, d.granularity)
            .ok_or(error::ERROR_OUT_OF_MEMORY)?
    };
    let result = session.call(
        context,
        &MemGrant {
            device,
            address,
            size,
        },
    );
    if let Some(d) = DEVICES.lock().get_mut(&device) {
        match result {
            Ok(()) => d.granted(address, size),
            Err(_) => {
                d.unmapped.give(address, size);
            }
        }
    }
    result
}

/// First use of a device's memory: both ends reserve the address range, and the worker grants the first memory in the same round trip.
fn open(session: &Session, device: u32, context: u32) -> Result<(), CUresult> {
    let granularity = session
        .snapshot
        .devices
        .get(device as usize)
        .map_or(2 << 20, |d| d.granularity.max(4096).next_power_of_two());
    let mut last = error::ERROR_OUT_OF_MEMORY;
    for range in ranges::candidates(u64::from(device) % (ranges::SLOTS - 1)) {
        if ranges::reserve(range).is_err() {
            continue;
        }
        let mut grant = FIRST_GRANT.next_multiple_of(granularity);
        let mut result = ask(session, device, context, range, grant);
        if result == Err(error::ERROR_OUT_OF_MEMORY) {
            grant = 0;
            result = ask(session, device, context, range, grant);
        }
        match result {
            Ok(()) => {
                let mut d = Device {
                    range,
                    granularity,
                    unmapped: Blocks::default(),
                    free: Blocks::default(),
                    small: Blocks::default(),
                    grants: BTreeMap::new(),
                    granted: 0,
                };
                d.unmapped.give(range.base, range.size);
                if grant > 0 && d.unmapped.carve(range.base, grant) {
                    d.granted(range.base, grant);
                }
                DEVICES.lock().insert(device, d);
                return Ok(());
            }
            Err(code) => {
                ranges::release(range);
                last = code;
                session.lost()?;
            }
        }
    }
    log!(
        Error,
        "no address range for device {device} is free both here and on the backend (last error {last})"
    );
    Err(last)
}

fn ask(
    session: &Session,
    device: u32,
    context: u32,
    range: Range,
    grant: u64,
) -> Result<(), CUresult> {
    session.call_setup(
        context,
        &ReserveRange {
            device,
            base: range.base,
            size: range.size,
            grant,
        },
        &[],
    )
}

impl Device {
    fn granted(&mut self, address: u64, size: u64) {
        self.grants.insert(address, size);
        self.free.give(address, size);
        self.granted += size;
    }

    fn take(&mut self, size: u64) -> Option<u64> {
        if size > SMALL {
            return self
                .free
                .take(size.next_multiple_of(self.granularity), self.granularity);
        }
        let size = size.next_multiple_of(SMALL_ALIGN);
        if let Some(address) = self.small.take(size, SMALL_ALIGN) {
            return Some(address);
        }
        let slab = self.free.take(self.granularity, self.granularity)?;
        self.small.give(slab, self.granularity);
        self.small.take(size, SMALL_ALIGN)
    }

    /// Takes memory back; returns the grants that the worker can have again.
    fn give(&mut self, address: u64, size: u64) -> Vec<u64> {
        if size > SMALL {
            self.free
                .give(address, size.next_multiple_of(self.granularity));
        } else {
            self.small.give(address, size.next_multiple_of(SMALL_ALIGN));
            let slab = address & !(self.granularity - 1);
            if self.small.carve(slab, self.granularity) {
                self.free.give(slab, self.granularity);
            }
        }
        if self.free.total() > keep(self.granted) {
            self.shrink(keep(self.granted))
        } else {
            Vec::new()
        }
    }

    /// Gives up whole grants until no more than `keep` bytes lie idle; returns their addresses.
    fn shrink(&mut self, keep: u64) -> Vec<u64> {
        let mut gone = Vec::new();
        let idle: Vec<(u64, u64)> = self
            .grants
            .iter()
            .map(|(&a, &s)| (a, s))
            .filter(|&(a, s)| self.free.is_free(a, s))
            .collect();
        for (address, size) in idle.into_iter().rev() {
            if self.free.total() < keep.saturating_add(size) {
                continue;
            }
            if self.free.carve(address, size) {
                self.grants.remove(&address);
                self.granted -= size;
                self.unmapped.give(address, size);
                gone.push(address);
            }
        }
        gone
    }
}
