//! Pinned host memory: the worker's shadows of memory that the client has pinned or registered.
//!
//! A shadow lies at the client's own address where it can (always for [`HostAlloc`], inside a range reserved for it), so that zero-copy kernels find it. Client addresses
//! are looked up here before they become pointers. Where client and worker share memory, the shadow of [`HostShare`] *is* the client's memory, and nothing has to be sent.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use gvirtus_wire::api::core::{
    self, Extent, HostAlloc, HostData, HostFree, HostRegister, HostRegisterReply, HostShare,
    HostUnregister, Plane, ReserveHostRange,
};
use gvirtus_wire::command::{Answer, Handle as Handler};
use gvirtus_wire::frame::Header;
use parking_lot::RwLock;
use rustix::fs::{SealFlags, fcntl_get_seals, fstat};
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, mmap_anonymous, munmap};

use crate::contexts::Context;
use crate::driver::cu;
use crate::errors::{
    ERROR_HOST_MEMORY_ALREADY_REGISTERED, ERROR_HOST_MEMORY_NOT_REGISTERED, ERROR_INVALID_VALUE,
    ERROR_NOT_SUPPORTED, ERROR_OUT_OF_MEMORY, Result,
};
use crate::host::{self, Host, Sending};
use crate::mapped::Mapped;
use crate::pinned::PORTABLE_MAPPED;
use crate::session::Session;
use crate::shape::{Box3, packed};

/// The longest range of addresses that a client may reserve for pinned memory, and how many.
const LONGEST_RANGE: u64 = 1 << 46;
const MOST_RANGES: usize = 64;
/// The most allocations and registrations at a time.
const MOST_SHADOWS: usize = 1 << 20;
/// `CU_MEMHOSTREGISTER_IOMEMORY`.
const IO_MEMORY: u32 = 4;
const PAGE: u64 = 4096;

/// Bytes that the GPU writes to a shadow and the client must get.
#[derive(Clone, Debug)]
pub(crate) struct HostWrite {
    /// Where they belong in the client.
    pub(crate) plane: Plane,
    pub(crate) extent: Extent,
    /// Where they lie in the worker.
    pub(crate) shadow: u64,
}

impl HostWrite {
    /// Sends the bytes. The shadow is mapped: writes are dropped before it goes away, under the lock that the caller holds until what is returned is dropped.
    pub(crate) fn send(&self, host: &'static Host, mapped: &Mapped) -> Option<Sending> {
        let shape = Box3::new(&self.plane, &self.extent).ok()?;
        let message = HostData {
            plane: self.plane.clone(),
            extent: self.extent.clone(),
        };
        if let Some(len) = shape.linear() {
            // SAFETY: the range was inside a shadow when the write was queued, and still is (see above).
            let bytes =
                unsafe { std::slice::from_raw_parts(self.shadow as *const u8, len as usize) };
            // SAFETY: the shadow stays mapped (see above). That the GPU may write to it meanwhile is the program's own doing.
            let sending = unsafe { host.push_later(core::HOST_DATA, &message, bytes) };
            mapped.exchanged(self.plane.address, bytes);
            sending
        } else {
            let mut bytes = Vec::with_capacity(shape.total() as usize);
            for (row, len) in shape.rows() {
                // SAFETY: as above; rows lie inside the span that was checked.
                let part = unsafe {
                    std::slice::from_raw_parts((self.shadow + row) as *const u8, len as usize)
                };
                bytes.extend_from_slice(part);
                mapped.exchanged(self.plane.address + row, part);
            }
            host.push(core::HOST_DATA, 0, &message, &bytes);
            None
        }
    }
}

#[derive(Clone, Copy)]
struct Shadow {
    size: u64,
    /// Where it lies in the worker.
    at: u64,
    /// Whether it lies in a reserved range: then the addresses stay reserved when it goes.
    allocated: bool,
    /// The context that it was registered in.
    context: u32,
    /// It is the client's memory itself.
    shared: bool,
    /// It is being freed: not found any more, but its addresses are still taken.
    leaving: bool,
}

#[derive(Default)]
struct Ledger {
    ranges: BTreeMap<u64, u64>,
    /// By client address.
    shadows: BTreeMap<u64, Shadow>,
    bytes: u64,
}

/// The session's pinned memory.
pub(crate) struct HostMemory {
    ledger: RwLock<Ledger>,
    limit: u64,
}

impl HostMemory {
    /// `limit` bounds the bytes of all shadows; 0 means three quarters of the machine's memory.
    pub(crate) fn new(limit: u64) -> Self {
        let limit = if limit == 0 {
            let info = rustix::system::sysinfo();
            (u128::from(info.totalram as u64) * u128::from(info.mem_unit) * 3 / 4)
                .try_into()
                .unwrap_or(u64::MAX)
        } else {
            limit
        };
        Self {
            ledger: RwLock::new(Ledger::default()),
            limit,
        }
    }

    /// The worker's address of `size` bytes at a client address, if a shadow holds all of them.
    pub(crate) fn shadow(&self, address: u64, size: u64) -> Option<u64> {
        find(&self.ledger.read(), address, size)
    }

    /// Whether `size` bytes at an address of the worker are all in shadows: such device addresses are the session's too.
    pub(crate) fn holds_shadow(&self, at: u64, size: u64) -> bool {
        let ledger = self.ledger.read();
        // Nearly always the same address on both sides.
        find(&ledger, at, size) == Some(at)
            || ledger.shadows.values().any(|s| {
                !s.leaving
                    && at >= s.at
                    && at.checked_add(size).is_some_and(|end| end <= s.at + s.size)
            })
    }

    /// Whether `size` bytes at a client address are memory that both ends share.
    pub(crate) fn is_shared(&self, address: u64, size: u64) -> bool {
        holding(&self.ledger.read(), address, size).is_some_and(|(_, shadow)| shadow.shared)
    }

    /// Where the shadow of the allocation or registration that begins at a client address lies, and its size.
    pub(crate) fn piece(&self, address: u64) -> Option<(u64, u64)> {
        let ledger = self.ledger.read();
        let shadow = ledger.shadows.get(&address).filter(|s| !s.leaving)?;
        Some((shadow.at, shadow.size))
    }

    /// Runs `fill` with the worker's address of a client range, while the shadow cannot go away.
    pub(crate) fn with_shadow<T>(
        &self,
        address: u64,
        size: u64,
        fill: impl FnOnce(u64) -> T,
    ) -> Option<T> {
        let ledger = self.ledger.read();
        find(&ledger, address, size).map(fill)
    }

    fn admit(&self, ledger: &Ledger, size: u64) -> Result<()> {
        if ledger.shadows.len() >= MOST_SHADOWS || size > self.limit.saturating_sub(ledger.bytes) {
            return Err(ERROR_OUT_OF_MEMORY);
        }
        Ok(())
    }
}

/// The shadow that holds all of a client range, and where it begins in the client.
fn holding(ledger: &Ledger, address: u64, size: u64) -> Option<(u64, &Shadow)> {
    let end = address.checked_add(size)?;
    let (start, shadow) = ledger.shadows.range(..=address).next_back()?;
    (!shadow.leaving && end <= start + shadow.size).then_some((*start, shadow))
}

fn find(ledger: &Ledger, address: u64, size: u64) -> Option<u64> {
    let (start, shadow) = holding(ledger, address, size)?;
    Some(shadow.at + (address - start))
}

fn overlaps(ledger: &Ledger, address: u64, end: u64) -> bool {
    ledger
        .shadows
        .range(..end)
        .next_back()
        .is_some_and(|(start, s)| start + s.size > address)
}

fn page_range(address: u64, size: u64) -> Result<u64> {
    if address == 0
        || size == 0
        || !address.is_multiple_of(PAGE)
        || !size.is_multiple_of(PAGE)
        || address >> 47 != 0
    {
        return Err(ERROR_INVALID_VALUE);
    }
    address
        .checked_add(size)
        .filter(|end| end >> 47 == 0)
        .ok_or(ERROR_INVALID_VALUE)
}

/// Puts a range of a reservation back to inaccessible.
fn conceal(address: u64, size: u64) -> Result<()> {
    // SAFETY: the range lies inside a reservation of ours, and no shadow in it is in use.
    unsafe {
        mmap_anonymous(
            address as *mut _,
            size as usize,
            ProtFlags::empty(),
            MapFlags::PRIVATE | MapFlags::NORESERVE | MapFlags::FIXED,
        )
    }
    .map(|_| ())
    .map_err(|_| ERROR_OUT_OF_MEMORY)
}

impl Session {
    /// Unregisters a shadow and unmaps it. May wait for the GPU.
    fn free_shadow(&self, address: u64, allocated: bool) -> Result<()> {
        let shadow = {
            let mut ledger = self.host_memory.ledger.write();
            let shadow = ledger
                .shadows
                .get_mut(&address)
                .filter(|s| s.allocated == allocated && !s.leaving)
                .ok_or(if allocated {
                    ERROR_INVALID_VALUE
                } else {
                    ERROR_HOST_MEMORY_NOT_REGISTERED
                })?;
            shadow.leaving = true;
            *shadow
        };
        let contexts = self.progress.contexts();
        if !contexts.is_empty() && self.progress.captures.load(Ordering::Relaxed) == 0 {
            // Work that may still write there is waited for, as natively, and what it wrote is sent.
            self.host.may_block();
            for context in contexts {
                if context.make_current().is_ok() {
                    let _ = cu!(self.driver, cuCtxSynchronize());
                }
            }
            self.settle();
        }
        if let Ok(context) = self.context(shadow.context) {
            let _ = context.make_current();
        }
        self.progress
            .forget_writes(shadow.at, shadow.at + shadow.size);
        self.progress.mapped.remove(address);
        self.host.may_block();
        let unregistered = self
            .host_functions
            .quietly(|| cu!(self.driver, cuMemHostUnregister(shadow.at as *mut _)));
        self.unmap_shadow(&shadow);
        let mut ledger = self.host_memory.ledger.write();
        if ledger.shadows.remove(&address).is_some() {
            ledger.bytes -= shadow.size;
        }
        unregistered
    }

    fn unmap_shadow(&self, shadow: &Shadow) {
        if shadow.allocated {
            if conceal(shadow.at, shadow.size).is_err() {
                self.host
                    .log(host::WARN, "freed pinned memory could not be unmapped");
            }
        } else {
            // SAFETY: mapped by HostRegister, out of the ledger, and no write to it is pending.
            let _ = unsafe { munmap(shadow.at as *mut _, shadow.size as usize) };
        }
    }

    /// Frees the shadows that were registered in a context which is about to go.
    pub(crate) fn free_host_of(&self, context: &Context) {
        let gone: Vec<_> = {
            let mut ledger = self.host_memory.ledger.write();
            let gone: Vec<_> = ledger
                .shadows
                .iter()
                .filter(|(_, s)| s.context == context.id && !s.leaving)
                .map(|(a, s)| (*a, *s))
                .collect();
            for (address, shadow) in &gone {
                ledger.shadows.remove(address);
                ledger.bytes -= shadow.size;
            }
            gone
        };
        for (address, shadow) in gone {
            self.progress
                .forget_writes(shadow.at, shadow.at + shadow.size);
            self.progress.mapped.remove(address);
            let _ = cu!(self.driver, cuMemHostUnregister(shadow.at as *mut _));
            self.unmap_shadow(&shadow);
        }
    }

    /// Registers a fresh mapping with the driver: the device pointer of its first byte.
    fn register_shadow(&self, at: u64, size: u64) -> Result<u64> {
        cu!(
            self.driver,
            cuMemHostRegister_v2(at as *mut _, size as usize, PORTABLE_MAPPED)
        )?;
        let mut device = 0;
        cu!(
            self.driver,
            cuMemHostGetDevicePointer_v2(&raw mut device, at as *mut _, 0)
        )
        .inspect_err(|_| {
            let _ = cu!(self.driver, cuMemHostUnregister(at as *mut _));
        })?;
        Ok(device)
    }

    /// Makes a shadow inside the client's range: `map` puts memory there.
    fn allocate_shadow(
        &self,
        header: &Header,
        address: u64,
        size: u64,
        shared: bool,
        map: impl FnOnce(u64, usize) -> Result<()>,
    ) -> Result<()> {
        let end = page_range(address, size)?;
        let context = self.enter(header)?;
        {
            let ledger = self.host_memory.ledger.read();
            let inside = ledger
                .ranges
                .range(..=address)
                .next_back()
                .is_some_and(|(base, len)| end <= base + len);
            if !inside || overlaps(&ledger, address, end) {
                return Err(ERROR_INVALID_VALUE);
            }
            self.host_memory.admit(&ledger, size)?;
        }
        map(address, size as usize)?;
        if let Err(status) = self.register_shadow(address, size) {
            let _ = conceal(address, size);
            return Err(status);
        }
        self.insert_shadow(
            address,
            Shadow {
                size,
                at: address,
                allocated: true,
                context: context.id,
                shared,
                leaving: false,
            },
        );
        Ok(())
    }

    fn insert_shadow(&self, address: u64, shadow: Shadow) {
        let mut ledger = self.host_memory.ledger.write();
        ledger.bytes += shadow.size;
        ledger.shadows.insert(address, shadow);
    }
}

impl Handler<ReserveHostRange> for Session {
    fn handle(&self, _: &Header, command: ReserveHostRange) -> Result<Answer<()>> {
        let ReserveHostRange { base, size } = command;
        page_range(base, size)?;
        if size > LONGEST_RANGE || self.host_memory.ledger.read().ranges.len() >= MOST_RANGES {
            return Err(ERROR_INVALID_VALUE);
        }
        // SAFETY: NOREPLACE: nothing that exists is touched.
        let mapped = unsafe {
            mmap_anonymous(
                base as *mut _,
                size as usize,
                ProtFlags::empty(),
                MapFlags::PRIVATE | MapFlags::NORESERVE | MapFlags::FIXED_NOREPLACE,
            )
        }
        .map_err(|_| ERROR_INVALID_VALUE)?;
        if mapped as u64 != base {
            // A kernel that does not know NOREPLACE takes the address as a hint.
            // SAFETY: mapped just now.
            let _ = unsafe { munmap(mapped, size as usize) };
            return Err(ERROR_INVALID_VALUE);
        }
        self.host_memory.ledger.write().ranges.insert(base, size);
        Ok(Answer::Now(()))
    }
}

impl Handler<HostAlloc> for Session {
    fn handle(&self, header: &Header, command: HostAlloc) -> Result<Answer<()>> {
        let HostAlloc { address, size, .. } = command;
        self.allocate_shadow(header, address, size, false, |at, size| {
            // SAFETY: inside a reservation of ours, where no shadow lies.
            unsafe {
                mmap_anonymous(
                    at as *mut _,
                    size,
                    ProtFlags::READ | ProtFlags::WRITE,
                    MapFlags::PRIVATE | MapFlags::FIXED,
                )
            }
            .map_err(|_| ERROR_OUT_OF_MEMORY)?;
            // SAFETY: the range was mapped just now. Only advice: fewer, larger pages are registered faster.
            let _ = unsafe { madvise(at as *mut _, size, Advice::LinuxHugepage) };
            Ok(())
        })
        .map(Answer::Now)
    }
}

impl Handler<HostShare> for Session {
    fn handle(&self, header: &Header, command: HostShare) -> Result<Answer<()>> {
        let HostShare { address, size, tag } = command;
        let fd = self.host.take_descriptor(tag).ok_or(ERROR_NOT_SUPPORTED)?;
        // Memory that could shrink under us would take this process with it.
        let sealed = fcntl_get_seals(&fd).is_ok_and(|seals| seals.contains(SealFlags::SHRINK));
        let length = fstat(&fd).map_or(0, |stat| stat.st_size);
        if !sealed || u64::try_from(length).unwrap_or(0) < size {
            return Err(ERROR_INVALID_VALUE);
        }
        self.allocate_shadow(header, address, size, true, |at, size| {
            // SAFETY: inside a reservation of ours, where no shadow lies.
            unsafe {
                mmap(
                    at as *mut _,
                    size,
                    ProtFlags::READ | ProtFlags::WRITE,
                    MapFlags::SHARED | MapFlags::FIXED,
                    &fd,
                    0,
                )
            }
            .map(drop)
            .map_err(|_| ERROR_OUT_OF_MEMORY)
        })
        .map(Answer::Now)
    }
}

impl Handler<HostFree> for Session {
    fn handle(&self, header: &Header, command: HostFree) -> Result<Answer<()>> {
        self.enter(header)?;
        self.free_shadow(command.address, true).map(Answer::Now)
    }
}

impl Handler<HostRegister> for Session {
    fn handle(&self, header: &Header, command: HostRegister) -> Result<Answer<HostRegisterReply>> {
        let HostRegister {
            address,
            size,
            flags,
        } = command;
        let end = page_range(address, size)?;
        if flags & IO_MEMORY != 0 {
            return Err(ERROR_NOT_SUPPORTED);
        }
        let context = self.enter(header)?;
        {
            let ledger = self.host_memory.ledger.read();
            if overlaps(&ledger, address, end) {
                return Err(ERROR_HOST_MEMORY_ALREADY_REGISTERED);
            }
            self.host_memory.admit(&ledger, size)?;
        }
        let map = |at: u64, fixed: MapFlags| {
            // SAFETY: NOREPLACE or an address of the kernel's choosing: nothing that exists is touched.
            unsafe {
                mmap_anonymous(
                    at as *mut _,
                    size as usize,
                    ProtFlags::READ | ProtFlags::WRITE,
                    MapFlags::PRIVATE | fixed,
                )
            }
        };
        let shadow = map(address, MapFlags::FIXED_NOREPLACE)
            .or_else(|_| map(0, MapFlags::empty()))
            .map_err(|_| ERROR_OUT_OF_MEMORY)? as u64;
        let device_pointer = self.register_shadow(shadow, size).inspect_err(|_| {
            // SAFETY: mapped just now and known to nobody.
            let _ = unsafe { munmap(shadow as *mut _, size as usize) };
        })?;
        self.insert_shadow(
            address,
            Shadow {
                size,
                at: shadow,
                allocated: false,
                context: context.id,
                shared: false,
                leaving: false,
            },
        );
        Ok(Answer::Now(HostRegisterReply {
            shadow,
            device_pointer,
        }))
    }
}

impl Handler<HostUnregister> for Session {
    fn handle(&self, header: &Header, command: HostUnregister) -> Result<Answer<()>> {
        self.enter(header)?;
        self.free_shadow(command.address, false).map(Answer::Now)
    }
}

/// Reads packed rows of the dispatched frame's bulk into a shadow.
pub(crate) fn read_into_shadow(
    session: &Session,
    plane: &Plane,
    extent: &Extent,
    bulk: u64,
) -> Result<()> {
    let shape = Box3::new(plane, extent)?;
    if packed(extent)? != bulk {
        return Err(ERROR_INVALID_VALUE);
    }
    if bulk == 0 {
        return Ok(());
    }
    let exchanged = |offset: u64, at: u64, len: u64| {
        // SAFETY: the caller is inside `with_shadow`, and the range in the shadow.
        let bytes = unsafe { std::slice::from_raw_parts(at as *const u8, len as usize) };
        session
            .progress
            .mapped
            .exchanged(plane.address + offset, bytes);
    };
    let read = session
        .host_memory
        .with_shadow(plane.address, shape.span(), |shadow| {
            shape.rows().all(|(row, len)| {
                let at = shadow + row;
                // SAFETY: the span lies in a shadow, which the ledger's lock keeps mapped.
                let done = unsafe { session.host.read_bulk(at as *mut u8, len as usize) };
                exchanged(row, at, len);
                done
            })
        });
    match read {
        Some(true) => Ok(()),
        Some(false) => Err(crate::errors::ERROR_UNKNOWN),
        None => Err(ERROR_INVALID_VALUE),
    }
}
