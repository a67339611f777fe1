//! Device memory: the ledger that says what an address is, and the ranges that kernels and copies may touch.
//!
//! Device memory is host memory, and a device address is an address in this process. Every device address that a caller hands in is checked here first.
//!
//! # Layout
//! * this file: [`Memory`], the ledger.
//! * [`physical`]: a device's memory, in granules. [`quiescence`]: when it is safe to unmap. [`suballocator`]: small pieces.
//! * [`alloc`] (`cuMemAlloc` …), [`vmm`] (`cuMemCreate`, `cuMemMap` …), [`host`] (`cuMemHostAlloc` …), [`mod@pointer`] (`cuPointerGetAttribute` …): the functions.
//! * [`transfer`]: how copies and fills run. [`copy`], [`fill`]: the functions that issue them.

pub(super) mod alloc;
pub(super) mod copy;
pub(super) mod fill;
pub(super) mod host;
pub(super) mod physical;
pub(super) mod pointer;
pub(super) mod quiescence;
pub(super) mod suballocator;
pub(super) mod transfer;
pub(super) mod vmm;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};

use self::physical::{Block, Physical};
use self::quiescence::{Deferred, Quiescence};
use self::suballocator::Suballocator;
use super::error::{ERROR_INVALID_VALUE, ERROR_OUT_OF_MEMORY, Result};
use crate::engine::{AddressRange, AddressSpace};

/// Allocation granularity: 2 MiB, as on GPUs.
pub(super) const GRANULE: u64 = 2 << 20;
/// Alignment of small allocations; CUDA promises 256.
const SMALL_UNIT: u64 = 512;
/// Allocations up to this size share slabs.
const SMALL_LIMIT: u64 = 1 << 20;
/// Where variables and small pieces lie, and how many places there are: far from where the system puts what a process maps, since the program's process must have nothing where a managed variable lies here.
const PLACES: u64 = 0x6a00_0000_0000;
const MOST_PLACES: u64 = 1024;

/// What an address belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `cuMemAlloc`.
    Device,
    /// A module's variable, or a context's heap: freed with its owner only.
    Internal,
    /// A module's variable that the source calls managed. Here it is memory like any other: to whom it is managed sees to that.
    Managed,
    /// A mapping of `cuMemMap`.
    Mapped,
    /// `cuMemHostAlloc`, with its flags.
    Host { flags: u32 },
    /// `cuMemHostRegister`, with its flags.
    Registered { flags: u32 },
}

impl Kind {
    /// Whether the memory is the host's.
    pub(super) fn is_host(self) -> bool {
        matches!(self, Self::Host { .. } | Self::Registered { .. })
    }
}

/// One entry of the ledger.
#[derive(Clone)]
pub(super) struct Allocation {
    pub(super) start: u64,
    /// Bytes asked for.
    pub(super) size: u64,
    pub(super) kind: Kind,
    pub(super) device: usize,
    /// [`Context::id`](super::context::Context) of the owner; 0 for mappings, which belong to the device.
    pub(super) context: u64,
    /// Unique for the life of the process.
    pub(super) buffer: u64,
    /// The physical memory behind it, for what has its own.
    block: Option<Arc<Block>>,
    /// `CUmemGenericAllocationHandle` of a mapping.
    pub(super) handle: u64,
}

impl Allocation {
    pub(super) fn end(&self) -> u64 {
        self.start + self.size
    }
}

/// What kernels and copies may touch.
#[derive(Debug, Clone, Copy)]
struct Access {
    end: u64,
    /// Devices that reach it, and that may write, a bit each.
    readers: u32,
    writers: u32,
    /// Whose memory it is, where that device's peers reach it, too: memory of `cuMemAlloc`.
    owner: Option<usize>,
}

/// 2 MiB that small allocations of one context share.
struct Slab {
    start: u64,
    device: usize,
    context: u64,
    pieces: Suballocator,
    /// Keeps the memory.
    _block: Block,
}

#[derive(Default)]
struct Ledger {
    allocations: BTreeMap<u64, Allocation>,
    access: BTreeMap<u64, Access>,
    /// `cuMemAddressReserve`: start to end.
    reservations: BTreeMap<u64, u64>,
    slabs: Vec<Slab>,
    /// `cuCtxEnablePeerAccess`: who, and whose memory.
    peers: BTreeSet<(usize, usize)>,
    /// Per device, the access ranges in order, neighbours joined; emptied by every change.
    snapshots: Vec<Option<Arc<[AddressRange]>>>,
}

/// The memory of all devices.
pub(super) struct Memory {
    devices: Vec<Physical>,
    ledger: RwLock<Ledger>,
    pub(super) quiescence: Quiescence,
    next_buffer: AtomicU64,
    pub(super) handles: Mutex<BTreeMap<u64, vmm::Handle>>,
}

/// What an address is to a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Memory of a device.
    Device,
    /// Pinned host memory.
    Pinned,
    /// Host memory that CUDA knows nothing of.
    Pageable,
}

/// The process's memory.
///
/// # Panics
/// Before `cuInit`; every entry point checks that first.
pub(super) fn memory() -> &'static Memory {
    &super::state::initialized().memory
}

/// Memory that can be shared takes a descriptor for each piece: as many as the system lets this process have.
fn allow_many_files() {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the calls read and write the structure; failure leaves the limit as it is.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
        }
    }
}

impl Memory {
    pub(super) fn new(devices: usize, bytes: u64) -> Result<Self> {
        allow_many_files();
        Ok(Self {
            devices: (0..devices)
                .map(|_| Physical::new(bytes))
                .collect::<Result<_>>()?,
            ledger: RwLock::new(Ledger {
                snapshots: vec![None; devices],
                ..Ledger::default()
            }),
            quiescence: Quiescence::default(),
            next_buffer: AtomicU64::new(1),
            handles: Mutex::default(),
        })
    }

    pub(super) fn physical(&self, device: usize) -> &Physical {
        &self.devices[device]
    }

    /// Allocates device memory for a context: small sizes from its slabs, others from granules of their own.
    ///
    /// # Errors
    /// `CUDA_ERROR_OUT_OF_MEMORY`.
    pub(super) fn allocate(
        &self,
        device: usize,
        context: u64,
        size: u64,
        kind: Kind,
    ) -> Result<u64> {
        let mut ledger = self.ledger.write();
        let (start, block) = if size <= SMALL_LIMIT {
            (
                self.allocate_small(&mut ledger, device, context, size)?,
                None,
            )
        } else {
            let rounded = size
                .checked_next_multiple_of(GRANULE)
                .ok_or(ERROR_OUT_OF_MEMORY)?;
            let block = Block::new(device, rounded)?;
            let start = if kind == Kind::Managed {
                reserve_apart(rounded)?
            } else {
                reserve_addresses(rounded, GRANULE, 0)?
            };
            if let Err(code) = block.map(start, rounded) {
                release_addresses(start, rounded);
                return Err(code);
            }
            ledger.grant(start, rounded, Some(device), true);
            (start, Some(Arc::new(block)))
        };
        let buffer = self.next_buffer.fetch_add(1, Ordering::Relaxed);
        ledger.allocations.insert(
            start,
            Allocation {
                start,
                size,
                kind,
                device,
                context,
                buffer,
                block,
                handle: 0,
            },
        );
        Ok(start)
    }

    fn allocate_small(
        &self,
        ledger: &mut Ledger,
        device: usize,
        context: u64,
        size: u64,
    ) -> Result<u64> {
        let own = ledger
            .slabs
            .iter_mut()
            .filter(|slab| slab.context == context && slab.device == device);
        for slab in own {
            if let Some(offset) = slab.pieces.allocate(size) {
                return Ok(slab.start + offset);
            }
        }
        let block = Block::new(device, GRANULE)?;
        let start = reserve_apart(GRANULE)?;
        if let Err(code) = block.map(start, GRANULE) {
            release_addresses(start, GRANULE);
            return Err(code);
        }
        let mut pieces = Suballocator::new(GRANULE, SMALL_UNIT);
        let offset = pieces.allocate(size).ok_or(ERROR_OUT_OF_MEMORY)?;
        ledger.slabs.push(Slab {
            start,
            device,
            context,
            pieces,
            _block: block,
        });
        ledger.grant(start, GRANULE, Some(device), true);
        Ok(start + offset)
    }

    /// Frees what [`allocate`](Self::allocate) made, or host memory, if `matches` holds for it.
    ///
    /// # Errors
    /// `CUDA_ERROR_INVALID_VALUE` for any other address.
    pub(super) fn free(&self, start: u64, matches: impl Fn(&Allocation) -> bool) -> Result {
        let mut ledger = self.ledger.write();
        if !ledger.allocations.get(&start).is_some_and(matches) {
            return Err(ERROR_INVALID_VALUE);
        }
        let Some(allocation) = ledger.allocations.remove(&start) else {
            return Err(ERROR_INVALID_VALUE);
        };
        self.dispose(&mut ledger, allocation);
        Ok(())
    }

    fn dispose(&self, ledger: &mut Ledger, allocation: Allocation) {
        let Allocation {
            start,
            size,
            kind,
            ref block,
            ..
        } = allocation;
        match kind {
            Kind::Device | Kind::Internal | Kind::Managed => {
                if let Some(block) = block {
                    let rounded = block.size;
                    ledger.revoke(start, start + rounded);
                    self.quiescence.run_or_defer(Deferred::Release {
                        start,
                        end: start + rounded,
                    });
                } else if let Some(index) = ledger
                    .slabs
                    .iter()
                    .position(|slab| slab.start <= start && start < slab.start + slab.pieces.size())
                {
                    let slab = &mut ledger.slabs[index];
                    slab.pieces.free(start - slab.start);
                    if slab.pieces.is_empty() {
                        let slab = ledger.slabs.swap_remove(index);
                        ledger.revoke(slab.start, slab.start + GRANULE);
                        self.quiescence.run_or_defer(Deferred::Release {
                            start: slab.start,
                            end: slab.start + GRANULE,
                        });
                    }
                }
            }
            Kind::Host { .. } => {
                let (from, to) = page_bounds(start, size);
                ledger.revoke(from, to);
                self.quiescence.run_or_defer(Deferred::Release {
                    start: from,
                    end: to,
                });
            }
            Kind::Registered { .. } => {
                let (from, to) = page_bounds(start, size);
                ledger.revoke(from, to);
            }
            Kind::Mapped => {
                ledger.revoke(start, start + size);
                self.quiescence.run_or_defer(Deferred::Unmap {
                    start,
                    end: start + size,
                });
            }
        }
    }

    /// Frees everything that a context owns.
    pub(super) fn free_context(&self, context: u64) {
        let mut ledger = self.ledger.write();
        let own: Vec<u64> = ledger
            .allocations
            .values()
            .filter(|a| a.context == context && context != 0)
            .map(|a| a.start)
            .collect();
        for start in own {
            if let Some(allocation) = ledger.allocations.remove(&start) {
                self.dispose(&mut ledger, allocation);
            }
        }
    }

    /// Enters host memory that is mapped already.
    ///
    /// # Errors
    /// The code that `occupied` asks for when a part of the range is known already.
    pub(super) fn enter_host(
        &self,
        start: u64,
        size: u64,
        kind: Kind,
        device: usize,
        context: u64,
        occupied: i32,
    ) -> Result {
        let (from, to) = page_bounds(start, size);
        let mut ledger = self.ledger.write();
        let known = ledger
            .allocations
            .range(..to)
            .next_back()
            .is_some_and(|(_, other)| other.end() > from);
        if known {
            return Err(occupied);
        }
        let writable =
            !matches!(kind, Kind::Registered { flags } if flags & host::REGISTER_READ_ONLY != 0);
        ledger.grant(from, to - from, None, writable);
        let buffer = self.next_buffer.fetch_add(1, Ordering::Relaxed);
        ledger.allocations.insert(
            start,
            Allocation {
                start,
                size,
                kind,
                device,
                context,
                buffer,
                block: None,
                handle: 0,
            },
        );
        Ok(())
    }

    /// The entry that holds an address.
    pub(super) fn allocation(&self, address: u64) -> Option<Allocation> {
        let ledger = self.ledger.read();
        ledger
            .allocations
            .range(..=address)
            .next_back()
            .map(|(_, a)| a)
            .filter(|a| address < a.end().max(a.start + 1))
            .cloned()
    }

    /// Says what `[address, address + length)` is, and checks that it is all of one sort and accessible.
    ///
    /// # Errors
    /// `CUDA_ERROR_INVALID_VALUE` when the range leaves its allocation, is reserved without memory, or may not be accessed.
    pub(super) fn classify(&self, address: u64, length: u64) -> Result<Place> {
        let end = address.checked_add(length).ok_or(ERROR_INVALID_VALUE)?;
        let ledger = self.ledger.read();
        let Some((_, first)) = ledger
            .allocations
            .range(..=address)
            .next_back()
            .filter(|(_, a)| address < a.end())
        else {
            let reserved = ledger
                .reservations
                .range(..end.max(address.saturating_add(1)))
                .next_back()
                .is_some_and(|(_, &until)| until > address);
            // A range that begins outside and runs into device memory is no host memory either.
            let runs_into = ledger
                .allocations
                .range(address..end)
                .next()
                .is_some_and(|(_, a)| !a.kind.is_host());
            return if reserved || runs_into || address == 0 {
                Err(ERROR_INVALID_VALUE)
            } else {
                Ok(Place::Pageable)
            };
        };
        if first.kind.is_host() {
            return Ok(if end <= first.end() {
                Place::Pinned
            } else {
                Place::Pageable
            });
        }
        let mut reached = first.end();
        while reached < end && first.kind == Kind::Mapped {
            match ledger.allocations.get(&reached) {
                Some(next) if next.kind == Kind::Mapped => reached = next.end(),
                _ => break,
            }
        }
        if reached < end || !ledger.covered(address, end, None) {
            return Err(ERROR_INVALID_VALUE);
        }
        Ok(Place::Device)
    }

    /// Whether kernels of `device` may access the whole range.
    pub(super) fn accessible(&self, device: usize, start: u64, length: u64) -> bool {
        start
            .checked_add(length)
            .is_some_and(|end| self.ledger.read().covered(start, end, Some(device)))
    }

    /// The ranges that kernels of a device may touch, as of now.
    pub(super) fn snapshot(&self, device: usize) -> Arc<[AddressRange]> {
        if let Some(ranges) = &self.ledger.read().snapshots[device] {
            return Arc::clone(ranges);
        }
        let mut ledger = self.ledger.write();
        let mut ranges: Vec<AddressRange> = Vec::new();
        for (&start, access) in &ledger.access {
            let Some(writable) = ledger.writable(access, device) else {
                continue;
            };
            match ranges.last_mut() {
                Some(last) if last.end == start && last.writable == writable => {
                    last.end = access.end
                }
                _ => ranges.push(AddressRange {
                    start,
                    end: access.end,
                    writable,
                }),
            }
        }
        let ranges: Arc<[AddressRange]> = ranges.into();
        ledger.snapshots[device] = Some(Arc::clone(&ranges));
        ranges
    }

    fn find(&self, device: usize, address: u64) -> Option<AddressRange> {
        let ledger = self.ledger.read();
        let (&start, access) = ledger.access.range(..=address).next_back()?;
        let writable = ledger.writable(access, device)?;
        (address < access.end).then_some(AddressRange {
            start,
            end: access.end,
            writable,
        })
    }

    /// Lets a device reach what another has allocated, or not any more. False if that changes nothing.
    pub(super) fn set_peer(&self, accessor: usize, owner: usize, reaches: bool) -> bool {
        let mut ledger = self.ledger.write();
        ledger.snapshots.fill(None);
        if reaches {
            ledger.peers.insert((accessor, owner))
        } else {
            ledger.peers.remove(&(accessor, owner))
        }
    }
}

impl Ledger {
    /// Lets kernels touch a range, those of its device (and of that one's peers) or, of host memory, all; replaces what was granted there.
    fn grant(&mut self, start: u64, length: u64, device: Option<usize>, writable: bool) {
        let devices = device.map_or(u32::MAX, |device| 1 << device);
        self.revoke(start, start + length);
        self.access.insert(
            start,
            Access {
                end: start + length,
                readers: devices,
                writers: if writable { devices } else { 0 },
                owner: device,
            },
        );
    }

    /// Sets what one device may do with a mapping: nothing, read, or write, too.
    fn set_access(&mut self, start: u64, end: u64, device: usize, allowed: Option<bool>) {
        let bit = 1 << device;
        let old = self.access.get(&start).filter(|old| old.end == end);
        let (mut readers, mut writers) = old.map_or((0, 0), |old| (old.readers, old.writers));
        readers &= !bit;
        writers &= !bit;
        if let Some(writable) = allowed {
            readers |= bit;
            writers |= if writable { bit } else { 0 };
        }
        self.revoke(start, end);
        if readers != 0 {
            let access = Access {
                end,
                readers,
                writers,
                owner: None,
            };
            self.access.insert(start, access);
        }
    }

    /// Whether a device may write to what it reaches; `None` if it does not reach it.
    fn writable(&self, access: &Access, device: usize) -> Option<bool> {
        let peer = access
            .owner
            .is_some_and(|owner| self.peers.contains(&(device, owner)));
        let bit = 1 << device;
        (peer || access.readers & bit != 0).then_some(peer || access.writers & bit != 0)
    }

    /// Takes a range from kernels.
    fn revoke(&mut self, start: u64, end: u64) {
        self.snapshots.fill(None);
        let touched: Vec<u64> = self
            .access
            .range(..end)
            .rev()
            .take_while(|(_, a)| a.end > start)
            .map(|(&from, _)| from)
            .collect();
        for from in touched {
            let Some(old) = self.access.remove(&from) else {
                continue;
            };
            if from < start {
                self.access.insert(from, Access { end: start, ..old });
            }
            if end < old.end {
                self.access.insert(end, old);
            }
        }
    }

    /// Whether `[start, end)` is granted without a gap, to `device` if given.
    fn covered(&self, start: u64, end: u64, device: Option<usize>) -> bool {
        let mut reached = start;
        while reached < end || reached == start {
            match self.access.range(..=reached).next_back() {
                Some((_, access))
                    if access.end > reached
                        && device.is_none_or(|device| self.writable(access, device).is_some()) =>
                {
                    reached = access.end;
                }
                _ => return false,
            }
        }
        true
    }
}

/// The view of one grid: a snapshot from its start, and the ledger for what has come since.
pub(super) struct GridMemory {
    device: usize,
    ranges: Arc<[AddressRange]>,
}

impl GridMemory {
    pub(super) fn new(device: usize) -> Self {
        Self {
            device,
            ranges: memory().snapshot(device),
        }
    }
}

impl AddressSpace for GridMemory {
    fn find(&self, address: u64) -> Option<AddressRange> {
        let next = self.ranges.partition_point(|range| range.start <= address);
        match next.checked_sub(1).map(|index| self.ranges[index]) {
            Some(range) if address < range.end => Some(range),
            _ => memory().find(self.device, address),
        }
    }
}

/// The whole pages that hold a range.
fn page_bounds(start: u64, size: u64) -> (u64, u64) {
    const PAGE: u64 = 4096;
    (
        start / PAGE * PAGE,
        (start + size.max(1)).next_multiple_of(PAGE),
    )
}

/// Reserves addresses without memory; `wanted` (0: anywhere) is honoured when free.
///
/// # Errors
/// `CUDA_ERROR_OUT_OF_MEMORY`.
fn reserve_addresses(size: u64, alignment: u64, wanted: u64) -> Result<u64> {
    if wanted != 0 && reserve_exactly(wanted, size) {
        return Ok(wanted);
    }
    let padded = size.checked_add(alignment).ok_or(ERROR_OUT_OF_MEMORY)?;
    let at = map_nothing(0, padded, 0).ok_or(ERROR_OUT_OF_MEMORY)?;
    let start = at.next_multiple_of(alignment);
    if start > at {
        release_addresses(at, start - at);
    }
    if at + padded > start + size {
        release_addresses(start + size, at + padded - start - size);
    }
    Ok(start)
}

/// The first free one of the places of variables, or addresses anywhere if there is none.
fn reserve_apart(size: u64) -> Result<u64> {
    let mut places = (0..MOST_PLACES).map(|at| PLACES + at * GRANULE);
    match places.find(|&place| reserve_exactly(place, size)) {
        Some(place) => Ok(place),
        None => reserve_addresses(size, GRANULE, 0),
    }
}

/// Whether these addresses were free, and are reserved now.
fn reserve_exactly(wanted: u64, size: u64) -> bool {
    match map_nothing(wanted, size, libc::MAP_FIXED_NOREPLACE) {
        Some(at) if at == wanted => true,
        // A kernel older than the flag takes the address as a hint.
        Some(at) => {
            release_addresses(at, size);
            false
        }
        None => false,
    }
}

/// Maps addresses that nothing may be done with.
fn map_nothing(hint: u64, length: u64, flags: i32) -> Option<u64> {
    let length = usize::try_from(length).ok()?;
    let flags = flags | libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: without MAP_FIXED, or with MAP_FIXED_NOREPLACE, no existing mapping is touched.
    let at = unsafe {
        libc::mmap(
            std::ptr::with_exposed_provenance_mut(hint as usize),
            length,
            libc::PROT_NONE,
            flags,
            -1,
            0,
        )
    };
    (at != libc::MAP_FAILED).then(|| at.expose_provenance() as u64)
}

/// Gives addresses back to the host.
fn release_addresses(start: u64, size: u64) {
    // SAFETY: called for ranges that this module has mapped and that nothing uses any more.
    unsafe {
        libc::munmap(
            std::ptr::with_exposed_provenance_mut(start as usize),
            size as usize,
        )
    };
}

/// Makes reserved addresses inaccessible again.
fn hide(start: u64, size: u64) {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED;
    // SAFETY: the range is reserved by this module, so its mapping may be replaced.
    unsafe {
        libc::mmap(
            std::ptr::with_exposed_provenance_mut(start as usize),
            size as usize,
            libc::PROT_NONE,
            flags,
            -1,
            0,
        )
    };
}
