//! What a pointer is: every piece of memory that CUDA knows of in this process.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use gvirtus_wire::api::core::{Extent, Plane};
use parking_lot::RwLock;
use smallvec::SmallVec;

/// Kinds of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `cuMemAlloc`.
    Device,
    /// A reserved range of addresses in which the program has mapped physical memory.
    Mapped,
    /// A module's variable.
    Global,
    /// `cuMemAllocAsync`.
    Pooled {
        /// Handle of the pool.
        pool: u64,
    },
    /// Memory of another program: `cuIpcOpenMemHandle`, or of a pool that it shares.
    Imported {
        /// Handle of the imported pool, 0 for none.
        pool: u64,
    },
    /// `cuMemAllocManaged`.
    Managed,
    /// A module's managed variable.
    ManagedVariable,
    /// `cuMemHostAlloc`: same address on both sides.
    Pinned,
    /// `cuMemHostAlloc` over a transport that shares memory: the same memory on both sides.
    Shared,
    /// `cuMemHostRegister`: the worker's shadow may lie elsewhere.
    Registered {
        /// Device address of the first byte.
        device_pointer: u64,
    },
}

/// One piece of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) address: u64,
    pub(crate) size: u64,
    pub(crate) kind: Kind,
    pub(crate) device: u32,
    pub(crate) context: u32,
    /// The flags that the program allocated or registered it with.
    pub(crate) flags: u32,
}

impl Entry {
    pub(crate) fn end(&self) -> u64 {
        self.address + self.size
    }

    /// Whether the GPU owns it, rather than the host.
    pub(crate) fn is_device(&self) -> bool {
        matches!(
            self.kind,
            Kind::Device
                | Kind::Mapped
                | Kind::Global
                | Kind::Pooled { .. }
                | Kind::Imported { .. }
                | Kind::Managed
                | Kind::ManagedVariable
        )
    }

    /// Whether it is host memory of which the worker has a copy, its shadow.
    pub(crate) fn has_shadow(&self) -> bool {
        !self.is_device() && self.kind != Kind::Shared
    }
}

impl Entry {
    /// Whether it is managed memory, which the program touches by itself.
    pub(crate) fn is_managed(&self) -> bool {
        matches!(self.kind, Kind::Managed | Kind::ManagedVariable)
    }
}

static ENTRIES: RwLock<BTreeMap<u64, Entry>> = RwLock::new(BTreeMap::new());
/// Where host memory that has a shadow lies, as the host and as the device sees it, by start: few pieces, looked up at launches.
/// Each with its end and the start of its entry.
static HOST: RwLock<BTreeMap<u64, (u64, u64)>> = RwLock::new(BTreeMap::new());
/// Where host memory has ever been: nearly everything else is told from it by these.
static HOST_LOW: AtomicU64 = AtomicU64::new(u64::MAX);
static HOST_HIGH: AtomicU64 = AtomicU64::new(0);
/// How many there are: launches look at their parameters only if there are any.
static HOST_PIECES: AtomicUsize = AtomicUsize::new(0);

fn host_ranges(entry: &Entry) -> impl Iterator<Item = (u64, (u64, u64))> {
    let own = (!entry.is_device()).then_some(entry.address);
    let seen = match entry.kind {
        Kind::Registered { device_pointer } if device_pointer != entry.address => {
            Some(device_pointer)
        }
        _ => None,
    };
    let (size, address) = (entry.size, entry.address);
    own.into_iter()
        .chain(seen)
        .map(move |start| (start, (start + size, address)))
}

pub(crate) fn insert(entry: Entry) {
    if entry.has_shadow() {
        for (start, (end, _)) in host_ranges(&entry) {
            HOST_LOW.fetch_min(start, Ordering::AcqRel);
            HOST_HIGH.fetch_max(end, Ordering::AcqRel);
        }
        HOST.write().extend(host_ranges(&entry));
        HOST_PIECES.fetch_add(1, Ordering::AcqRel);
    }
    ENTRIES.write().insert(entry.address, entry);
}

pub(crate) fn remove(address: u64) -> Option<Entry> {
    let entry = ENTRIES.write().remove(&address)?;
    if ANY_SYNCHRONOUS.load(Ordering::Acquire) {
        set_synchronous(address, false);
    }
    if entry.has_shadow() {
        HOST_PIECES.fetch_sub(1, Ordering::AcqRel);
        let mut host = HOST.write();
        for (start, _) in host_ranges(&entry) {
            host.remove(&start);
        }
    }
    Some(entry)
}

/// `CU_POINTER_ATTRIBUTE_SYNC_MEMOPS`: where the memory begins of which copies and sets that are not asynchronous always wait. Few programs ask for that.
static SYNCHRONOUS: RwLock<BTreeSet<u64>> = RwLock::new(BTreeSet::new());
static ANY_SYNCHRONOUS: AtomicBool = AtomicBool::new(false);

/// Sets whether copies and sets of the memory at `start`, where an entry begins, always wait.
pub(crate) fn set_synchronous(start: u64, on: bool) {
    let mut all = SYNCHRONOUS.write();
    if on {
        all.insert(start);
    } else {
        all.remove(&start);
    }
    ANY_SYNCHRONOUS.store(!all.is_empty(), Ordering::Release);
}

/// Whether copies and sets of the memory that an address lies in always wait.
#[inline]
pub(crate) fn is_synchronous(address: u64) -> bool {
    ANY_SYNCHRONOUS.load(Ordering::Acquire)
        && find(address).is_some_and(|entry| SYNCHRONOUS.read().contains(&entry.address))
}

/// How many pieces of pinned and registered host memory with a shadow there are.
#[inline]
pub(crate) fn host_pieces() -> usize {
    HOST_PIECES.load(Ordering::Acquire)
}

/// The pinned or registered host memory with a shadow that an address lies in, as the host or as the device sees it.
#[inline]
pub(crate) fn host(address: u64) -> Option<Entry> {
    if address < HOST_LOW.load(Ordering::Acquire) || address >= HOST_HIGH.load(Ordering::Acquire) {
        return None;
    }
    let own = {
        let host = HOST.read();
        let (_, &(end, own)) = host.range(..=address).next_back()?;
        (address < end).then_some(own)?
    };
    at(own)
}

/// The pieces of host memory that 8-byte words are addresses in.
#[inline]
pub(crate) fn host_among(words: &[u8]) -> SmallVec<[Entry; 2]> {
    if host_pieces() == 0 {
        return SmallVec::new();
    }
    let words = words.chunks_exact(8);
    words
        .filter_map(|word| host(word.try_into().map_or(0, u64::from_ne_bytes)))
        .collect()
}

/// The piece that begins at an address.
pub(crate) fn at(address: u64) -> Option<Entry> {
    ENTRIES.read().get(&address).copied()
}

/// The piece that an address lies in.
pub(crate) fn find(address: u64) -> Option<Entry> {
    let entries = ENTRIES.read();
    let (_, entry) = entries.range(..=address).next_back()?;
    (address < entry.end()).then_some(*entry)
}

/// The piece that holds all of `size` bytes at an address.
pub(crate) fn holds(address: u64, size: u64) -> Option<Entry> {
    let entry = find(address)?;
    address
        .checked_add(size)
        .is_some_and(|end| end <= entry.end())
        .then_some(entry)
}

/// Whether a piece overlaps a range.
pub(crate) fn overlaps(address: u64, size: u64) -> bool {
    let end = address.saturating_add(size);
    ENTRIES
        .read()
        .range(..end)
        .next_back()
        .is_some_and(|(_, e)| e.end() > address)
}

/// Bytes from the first to the last of a box; `None` if that overflows.
pub(crate) fn span(plane: &Plane, extent: &Extent) -> Option<u64> {
    if extent.width == 0 || extent.height == 0 || extent.depth == 0 {
        return Some(0);
    }
    let rows = plane.pitch.checked_mul(extent.height - 1)?;
    let slices = plane.slice.checked_mul(extent.depth - 1)?;
    rows.checked_add(slices)?.checked_add(extent.width)
}

/// Whether a box lies in one piece of pinned or registered memory.
pub(crate) fn is_pinned(plane: &Plane, extent: &Extent) -> bool {
    span(plane, extent)
        .and_then(|size| holds(plane.address, size))
        .is_some_and(|e| !e.is_device())
}

/// Everything that belongs to a device.
pub(crate) fn of_device(device: u32) -> Vec<Entry> {
    ENTRIES
        .read()
        .values()
        .filter(|e| e.device == device)
        .copied()
        .collect()
}

pub(crate) fn forget_device(device: u32) {
    ENTRIES
        .write()
        .retain(|_, e| !(e.device == device && e.is_device()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_by_any_address_inside_and_not_outside() {
        let base = 0x7777_0000_0000;
        insert(Entry {
            address: base,
            size: 100,
            kind: Kind::Pinned,
            device: 0,
            context: 0,
            flags: 0,
        });
        assert!(find(base + 99).is_some());
        assert!(find(base + 100).is_none());
        assert!(holds(base + 50, 50).is_some());
        assert!(holds(base + 50, 51).is_none());
        assert!(holds(base + 50, u64::MAX).is_none());
        assert!(overlaps(base - 10, 11));
        assert!(!overlaps(base - 10, 10));
        assert!(is_pinned(
            &Plane {
                address: base,
                pitch: 50,
                slice: 0
            },
            &Extent {
                width: 50,
                height: 2,
                depth: 1
            }
        ));
        assert!(!is_pinned(
            &Plane {
                address: base,
                pitch: 60,
                slice: 0
            },
            &Extent {
                width: 50,
                height: 2,
                depth: 1
            }
        ));
        remove(base);
    }
}
