//! Device memory: address ranges, grants of physical memory behind them, peer access, and the ledger that says which device addresses are the session's.

use std::collections::{BTreeMap, BTreeSet};

use gvirtus_wire::api::core::{
    MemAccess, MemGrant, MemInfo, MemInfoReply, MemRelease, PeerAccess, ReserveRange,
};
use gvirtus_wire::api::types::{CUmemAccessDesc, CUmemAllocationProp, CUmemLocation};
use gvirtus_wire::command::{Answer, Handle as Handler};
use gvirtus_wire::frame::Header;
use parking_lot::RwLock;

use crate::driver::{Driver, cu};
use crate::errors::{
    ERROR_INVALID_VALUE, ERROR_NOT_SUPPORTED, ERROR_OUT_OF_MEMORY,
    ERROR_PEER_ACCESS_ALREADY_ENABLED, ERROR_PEER_ACCESS_NOT_ENABLED, Result,
};
use crate::host;
use crate::session::Session;

/// Physical memory comes in multiples of this on every GPU that CUDA 12 and 13 support.
pub(crate) const GRANULARITY: u64 = 2 << 20;
/// The longest address range that a client may reserve.
const LONGEST_RANGE: u64 = 1 << 46;
/// The most ranges.
const MOST_RANGES: usize = 256;
/// `CU_MEM_ALLOCATION_TYPE_PINNED`.
const PINNED: u32 = 1;
/// `CU_MEM_LOCATION_TYPE_DEVICE`.
const ON_DEVICE: u32 = 1;
/// `CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR`.
const POSIX_FD: u32 = 1;
/// `CU_MEM_ACCESS_FLAGS_PROT_READWRITE`.
const READ_WRITE: u32 = 3;
/// `CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR_SUPPORTED`.
const POSIX_FD_SUPPORTED: u32 = 103;
/// `CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_WITH_CUDA_VMM_SUPPORTED`.
const RDMA_SUPPORTED: u32 = 110;

/// An address range reserved for a client.
struct Range {
    size: u64,
    device: u32,
}

/// Memory that a session's commands may name by device address.
#[derive(Clone, Copy)]
struct Owned {
    size: u64,
    device: u32,
    /// The grant's physical memory; `None` for a module's global and for what the program has mapped.
    handle: Option<u64>,
    /// Mapped by the program.
    mapping: bool,
}

/// Grants, one behind the other, that a range lies in.
pub(crate) struct Grants {
    pub(crate) device: u32,
    /// Where in the first one the range begins.
    pub(crate) offset: u64,
    /// The driver's handle and the size of each.
    pub(crate) grants: Vec<(u64, u64)>,
}

#[derive(Default)]
struct Ledger {
    ranges: BTreeMap<u64, Range>,
    owned: BTreeMap<u64, Owned>,
    /// `(accessor, owner)`: devices that may access all memory of another.
    peers: BTreeSet<(u32, u32)>,
}

/// The session's device memory.
pub(crate) struct Memory {
    ledger: RwLock<Ledger>,
}

impl Memory {
    pub(crate) fn new() -> Self {
        Self {
            ledger: RwLock::new(Ledger::default()),
        }
    }

    /// The device that owns `size` bytes from `address`, if all of them are the session's. Adjacent grants count as one.
    pub(crate) fn owner(&self, address: u64, size: u64) -> Option<u32> {
        let end = address.checked_add(size)?;
        let ledger = self.ledger.read();
        let (start, first) = ledger.owned.range(..=address).next_back()?;
        let mut reached = start.checked_add(first.size)?;
        if reached <= address {
            return None;
        }
        while reached < end {
            let next = ledger.owned.get(&reached)?;
            reached = reached.checked_add(next.size)?;
        }
        Some(first.device)
    }

    /// The grants that a range lies in.
    pub(crate) fn grants_of(&self, address: u64, size: u64) -> Option<Grants> {
        let end = address.checked_add(size)?;
        let ledger = self.ledger.read();
        let (start, first) = ledger.owned.range(..=address).next_back()?;
        let (mut at, mut grants) = (*start, Vec::new());
        while at < end {
            let grant = ledger.owned.get(&at)?;
            grants.push((grant.handle?, grant.size));
            at += grant.size;
        }
        (*start + first.size > address).then_some(Grants {
            device: first.device,
            offset: address - start,
            grants,
        })
    }

    /// Notes a module's global.
    pub(crate) fn add_global(&self, address: u64, size: u64, device: u32) {
        if address != 0 && size != 0 {
            self.ledger.write().owned.entry(address).or_insert(Owned {
                size,
                device,
                handle: None,
                mapping: false,
            });
        }
    }

    /// Forgets a module's global.
    pub(crate) fn remove_global(&self, address: u64) {
        let mut ledger = self.ledger.write();
        if ledger
            .owned
            .get(&address)
            .is_some_and(|o| o.handle.is_none() && !o.mapping)
        {
            ledger.owned.remove(&address);
        }
    }

    /// Whether a range lies in one that the client has reserved, and nothing is mapped there.
    pub(crate) fn check_free(&self, address: u64, size: u64) -> Result<()> {
        let end = address.checked_add(size).ok_or(ERROR_INVALID_VALUE)?;
        if size == 0 || !size.is_multiple_of(GRANULARITY) || !address.is_multiple_of(GRANULARITY) {
            return Err(ERROR_INVALID_VALUE);
        }
        let ledger = self.ledger.read();
        let inside = ledger
            .ranges
            .range(..=address)
            .next_back()
            .is_some_and(|(base, r)| end <= base + r.size);
        let before = ledger.owned.range(..end).next_back();
        if !inside || before.is_some_and(|(start, o)| start + o.size > address) {
            return Err(ERROR_INVALID_VALUE);
        }
        Ok(())
    }

    /// The device whose range an address lies in.
    fn range_device(&self, address: u64) -> Option<u32> {
        let ledger = self.ledger.read();
        let (base, range) = ledger.ranges.range(..=address).next_back()?;
        (address - base < range.size).then_some(range.device)
    }

    /// Notes what the program has mapped.
    pub(crate) fn add_mapping(&self, address: u64, size: u64, device: u32) {
        self.ledger.write().owned.insert(
            address,
            Owned {
                size,
                device,
                handle: None,
                mapping: true,
            },
        );
    }

    /// Whether the program has mapped exactly that.
    pub(crate) fn is_mapping(&self, address: u64, size: u64) -> bool {
        let ledger = self.ledger.read();
        ledger
            .owned
            .get(&address)
            .is_some_and(|o| o.mapping && o.size == size)
    }

    /// The program has unmapped it.
    pub(crate) fn remove_mapping(&self, address: u64) {
        self.ledger.write().owned.remove(&address);
    }

    fn accessors(&self, owner: u32) -> Vec<u32> {
        let ledger = self.ledger.read();
        std::iter::once(owner)
            .chain(
                ledger
                    .peers
                    .iter()
                    .filter(|(_, o)| *o == owner)
                    .map(|(a, _)| *a),
            )
            .collect()
    }
}

fn location(device: i32) -> CUmemLocation {
    CUmemLocation {
        type_: ON_DEVICE,
        id: device,
    }
}

fn supports(driver: &Driver, attribute: u32, device: i32) -> bool {
    let mut value = 0;
    cu!(
        driver,
        cuDeviceGetAttribute(&raw mut value, attribute, device)
    )
    .is_ok()
        && value != 0
}

impl Session {
    /// Reserves exactly the addresses that are asked for.
    fn reserve(&self, base: u64, size: u64) -> Result<()> {
        let bytes = usize::try_from(size).map_err(|_| ERROR_INVALID_VALUE)?;
        let mut got = 0;
        cu!(
            self.driver,
            cuMemAddressReserve(&raw mut got, bytes, 0, base, 0)
        )?;
        if got == base {
            return Ok(());
        }
        let _ = cu!(self.driver, cuMemAddressFree(got, bytes));
        self.host.log(
            host::WARN,
            &format!("the driver cannot reserve {size:#x} bytes at {base:#x}: it offered {got:#x}"),
        );
        Err(ERROR_INVALID_VALUE)
    }

    /// Creates physical memory and maps it at an address inside one of the client's ranges.
    fn grant(&self, device: u32, address: u64, size: u64) -> Result<()> {
        let raw = self.raw_device(device)?;
        if self.memory.range_device(address) != Some(device) {
            return Err(ERROR_INVALID_VALUE);
        }
        self.memory.check_free(address, size)?;
        let bytes = usize::try_from(size).map_err(|_| ERROR_INVALID_VALUE)?;
        let handle = self.create_physical(raw, bytes, 0)?;
        let mapped = cu!(self.driver, cuMemMap(address, bytes, 0, handle, 0)).and_then(|()| {
            self.set_access(&self.memory.accessors(device), address, bytes)
                .inspect_err(|_| {
                    let _ = cu!(self.driver, cuMemUnmap(address, bytes));
                })
        });
        if let Err(status) = mapped {
            let _ = cu!(self.driver, cuMemRelease(handle));
            return Err(status);
        }
        self.memory.ledger.write().owned.insert(
            address,
            Owned {
                size,
                device,
                handle: Some(handle),
                mapping: false,
            },
        );
        Ok(())
    }

    /// `cuMemCreate` for a usage (`CU_MEM_CREATE_USAGE_*`), exportable and fit for RDMA where the device offers it.
    pub(crate) fn create_physical(&self, device: i32, bytes: usize, usage: u16) -> Result<u64> {
        let mut prop = CUmemAllocationProp {
            type_: PINNED,
            requestedHandleTypes: if supports(self.driver, POSIX_FD_SUPPORTED, device) {
                POSIX_FD
            } else {
                0
            },
            location: location(device),
            win32HandleMetaData: std::ptr::null_mut(),
            compressionType: 0,
            gpuDirectRDMACapable: u8::from(supports(self.driver, RDMA_SUPPORTED, device)),
            usage,
            reserved: [0; 4],
        };
        loop {
            let mut handle = 0;
            let made = cu!(
                self.driver,
                cuMemCreate(&raw mut handle, bytes, &raw const prop, 0)
            );
            match made {
                Ok(()) => return Ok(handle),
                // Some systems claim the features and refuse them (containers, virtual machines).
                Err(status)
                    if status != ERROR_OUT_OF_MEMORY
                        && (prop.gpuDirectRDMACapable != 0 || prop.requestedHandleTypes != 0) =>
                {
                    self.host.log(
                        host::DEBUG,
                        &format!(
                            "memory cannot be exportable here ({})",
                            crate::errors::name(status)
                        ),
                    );
                    if prop.gpuDirectRDMACapable != 0 {
                        prop.gpuDirectRDMACapable = 0;
                    } else {
                        prop.requestedHandleTypes = 0;
                    }
                }
                Err(status) => return Err(status),
            }
        }
    }

    fn set_access(&self, devices: &[u32], address: u64, bytes: usize) -> Result<()> {
        self.set_access_as(devices, address, bytes, READ_WRITE)
    }

    /// `cuMemSetAccess` for devices by their ordinals.
    pub(crate) fn set_access_as(
        &self,
        devices: &[u32],
        address: u64,
        bytes: usize,
        flags: u32,
    ) -> Result<()> {
        let mut access = Vec::with_capacity(devices.len());
        for device in devices {
            access.push(CUmemAccessDesc {
                location: location(self.raw_device(*device)?),
                flags,
            });
        }
        cu!(
            self.driver,
            cuMemSetAccess(address, bytes, access.as_ptr(), access.len())
        )
    }

    /// Gives all grants and reservations of a device back to the driver: its context is about to be reset.
    pub(crate) fn release_device(&self, device: u32) {
        let (owned, ranges) = {
            let mut ledger = self.memory.ledger.write();
            let owned: Vec<_> = ledger
                .owned
                .iter()
                .filter(|(_, o)| o.device == device)
                .map(|(a, o)| (*a, *o))
                .collect();
            ledger.owned.retain(|_, o| o.device != device);
            ledger.peers.retain(|(a, o)| *a != device && *o != device);
            let ranges: Vec<_> = ledger
                .ranges
                .iter()
                .filter(|(_, r)| r.device == device)
                .map(|(base, r)| (*base, r.size))
                .collect();
            (owned, ranges)
        };
        for (address, memory) in owned {
            if memory.handle.is_some() || memory.mapping {
                let _ = cu!(self.driver, cuMemUnmap(address, memory.size as usize));
            }
            if let Some(handle) = memory.handle {
                let _ = cu!(self.driver, cuMemRelease(handle));
            }
        }
        self.release_physical(device);
        for (base, size) in ranges {
            let _ = cu!(self.driver, cuMemAddressFree(base, size as usize));
        }
    }

    /// Reserves a device's ranges anew after its context was reset.
    pub(crate) fn reserve_again(&self, device: u32) -> Result<()> {
        let ranges: Vec<_> = self
            .memory
            .ledger
            .read()
            .ranges
            .iter()
            .filter(|(_, r)| r.device == device)
            .map(|(base, r)| (*base, r.size))
            .collect();
        for (base, size) in ranges {
            if let Err(status) = self.reserve(base, size) {
                self.memory.ledger.write().ranges.remove(&base);
                return Err(status);
            }
        }
        Ok(())
    }
}

impl Handler<ReserveRange> for Session {
    fn handle(&self, _: &Header, command: ReserveRange) -> Result<Answer<()>> {
        let ReserveRange {
            device,
            base,
            size,
            grant,
        } = command;
        self.raw_device(device)?;
        let end = base.checked_add(size).ok_or(ERROR_INVALID_VALUE)?;
        if base == 0
            || size == 0
            || size > LONGEST_RANGE
            || grant > size
            || !base.is_multiple_of(GRANULARITY)
            || !size.is_multiple_of(GRANULARITY)
        {
            return Err(ERROR_INVALID_VALUE);
        }
        {
            let ledger = self.memory.ledger.read();
            let overlaps = ledger
                .ranges
                .range(..end)
                .next_back()
                .is_some_and(|(b, r)| b + r.size > base);
            if overlaps || ledger.ranges.len() >= MOST_RANGES {
                return Err(ERROR_INVALID_VALUE);
            }
        }
        self.reserve(base, size)?;
        self.memory
            .ledger
            .write()
            .ranges
            .insert(base, Range { size, device });
        if grant != 0
            && let Err(status) = self.grant(device, base, grant)
        {
            self.memory.ledger.write().ranges.remove(&base);
            let _ = cu!(self.driver, cuMemAddressFree(base, size as usize));
            return Err(status);
        }
        Ok(Answer::Now(()))
    }
}

impl Handler<MemGrant> for Session {
    fn handle(&self, _: &Header, command: MemGrant) -> Result<Answer<()>> {
        self.grant(command.device, command.address, command.size)
            .map(Answer::Now)
    }
}

impl Handler<MemRelease> for Session {
    fn handle(&self, _: &Header, command: MemRelease) -> Result<Answer<()>> {
        let (memory, handle) = {
            let mut ledger = self.memory.ledger.write();
            let memory = *ledger
                .owned
                .get(&command.address)
                .filter(|o| o.device == command.device)
                .ok_or(ERROR_INVALID_VALUE)?;
            let handle = memory.handle.ok_or(ERROR_INVALID_VALUE)?;
            ledger.owned.remove(&command.address);
            (memory, handle)
        };
        self.ipc.released(handle);
        let unmapped = cu!(
            self.driver,
            cuMemUnmap(command.address, memory.size as usize)
        );
        cu!(self.driver, cuMemRelease(handle))?;
        unmapped.map(Answer::Now)
    }
}

impl Handler<MemAccess> for Session {
    fn handle(&self, header: &Header, command: MemAccess) -> Result<Answer<()>> {
        let MemAccess {
            address,
            size,
            device,
        } = command;
        self.enter(header)?;
        let found = self.memory.grants_of(address, size);
        let Grants { offset, grants, .. } = found.ok_or(ERROR_INVALID_VALUE)?;
        let mut at = address - offset;
        for (_, size) in grants {
            self.set_access(&[device], at, size as usize)?;
            at += size;
        }
        Ok(Answer::Now(()))
    }
}

impl Handler<MemInfo> for Session {
    fn handle(&self, _: &Header, command: MemInfo) -> Result<Answer<MemInfoReply>> {
        self.raw_device(command.device)?;
        self.context(command.device)?.make_current()?;
        let (mut free, mut total) = (0, 0);
        cu!(self.driver, cuMemGetInfo_v2(&raw mut free, &raw mut total))?;
        Ok(Answer::Now(MemInfoReply {
            free: free as u64,
            total: total as u64,
        }))
    }
}

impl Handler<PeerAccess> for Session {
    fn handle(&self, header: &Header, command: PeerAccess) -> Result<Answer<()>> {
        self.raw_device(command.device)?;
        let context = self.enter(header)?;
        let peer = self.context(command.device)?;
        let pair = (context.device, command.device);
        if pair.0 == pair.1 {
            return Err(ERROR_INVALID_VALUE);
        }
        // Touching the peer's context may have made it current.
        context.make_current()?;
        let known = self.memory.ledger.read().peers.contains(&pair);
        if !command.enable {
            if !known {
                return Err(ERROR_PEER_ACCESS_NOT_ENABLED);
            }
            self.memory.ledger.write().peers.remove(&pair);
            return cu!(self.driver, cuCtxDisablePeerAccess(peer.raw.ptr())).map(Answer::Now);
        }
        if known {
            return Err(ERROR_PEER_ACCESS_ALREADY_ENABLED);
        }
        // For globals and whatever else the driver allocates; grants need the access below.
        match cu!(self.driver, cuCtxEnablePeerAccess(peer.raw.ptr(), 0)) {
            Ok(()) | Err(ERROR_PEER_ACCESS_ALREADY_ENABLED) => {}
            Err(status) => return Err(status),
        }
        self.memory.ledger.write().peers.insert(pair);
        let grants: Vec<_> = self
            .memory
            .ledger
            .read()
            .owned
            .iter()
            .filter(|(_, o)| o.device == command.device && o.handle.is_some())
            .map(|(address, o)| (*address, o.size))
            .collect();
        for (address, size) in grants {
            match self.set_access(&[pair.0], address, size as usize) {
                Ok(()) | Err(ERROR_NOT_SUPPORTED) => {}
                Err(status) => return Err(status),
            }
        }
        Ok(Answer::Now(()))
    }
}
