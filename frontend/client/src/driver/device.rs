//! Devices: <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__DEVICE.html>, and what `group__CUDA__PEER__ACCESS` asks about pairs of them.
//!
//! Everything is answered from the snapshot that the worker sent when the session began.
#![allow(non_snake_case, reason = "CUDA's names")]

use std::ffi::{CStr, c_char};
use std::sync::OnceLock;

use gvirtus_wire::api::core::Device;
use gvirtus_wire::api::types::{CUdevice, CUdevprop, CUuuid, error};

use crate::driver::{Result, put, put_if, session};

/// `CUdevice_attribute` numbers that the client itself reads.
pub(crate) mod attr {
    pub(crate) const MAX_THREADS_PER_BLOCK: u32 = 1;
    pub(crate) const MAX_BLOCK_DIM_X: u32 = 2;
    pub(crate) const MAX_GRID_DIM_X: u32 = 5;
    pub(crate) const MAX_SHARED_MEMORY_PER_BLOCK: u32 = 8;
    pub(crate) const TOTAL_CONSTANT_MEMORY: u32 = 9;
    pub(crate) const WARP_SIZE: u32 = 10;
    pub(crate) const MAX_PITCH: u32 = 11;
    pub(crate) const MAX_REGISTERS_PER_BLOCK: u32 = 12;
    pub(crate) const CLOCK_RATE: u32 = 13;
    pub(crate) const TEXTURE_ALIGNMENT: u32 = 14;
    pub(crate) const MULTIPROCESSOR_COUNT: u32 = 16;
    pub(crate) const PCI_BUS_ID: u32 = 33;
    pub(crate) const PCI_DEVICE_ID: u32 = 34;
    pub(crate) const MAX_THREADS_PER_MULTIPROCESSOR: u32 = 39;
    pub(crate) const PCI_DOMAIN_ID: u32 = 50;
    pub(crate) const COMPUTE_CAPABILITY_MAJOR: u32 = 75;
    pub(crate) const COMPUTE_CAPABILITY_MINOR: u32 = 76;
    pub(crate) const CONCURRENT_MANAGED_ACCESS: u32 = 89;
    pub(crate) const COOPERATIVE_LAUNCH: u32 = 95;
    pub(crate) const MAX_SHARED_MEMORY_PER_BLOCK_OPTIN: u32 = 97;
    pub(crate) const CLUSTER_LAUNCH: u32 = 120;
}

/// What is not the device's to say. Managed memory there is, whatever the box has; processor and GPU do not reach it at the same time, unless the user asks for what comes close to it; and the GPU reaches no memory that the
/// program has not got from CUDA: unmanaged memory, with the host's page tables or without; and the host does not reach the GPU's. There are no fabric handles, no functions
/// that both call, and no decompression engine, which would need memory made for it.
const OURS: [(u32, i32); 9] = [
    (83, 1),
    (88, 0),
    (attr::CONCURRENT_MANAGED_ACCESS, 0),
    (100, 0),
    (101, 0),
    (128, 0),
    (129, 0),
    (136, 0),
    (137, 0),
];

/// Attribute numbers run from 1 to about 150; what lies beyond this is not looked up by index.
const INDEXED: usize = 256;

/// Attributes of every device by number, for answers in a few nanoseconds.
fn indexed() -> Option<&'static Vec<Vec<Option<i32>>>> {
    static INDEX: OnceLock<Vec<Vec<Option<i32>>>> = OnceLock::new();
    if let Some(index) = INDEX.get() {
        return Some(index);
    }
    let session = crate::session::Session::get().ok()?;
    Some(INDEX.get_or_init(|| {
        let index = |device: &Device| {
            let mut values = vec![None; INDEXED];
            for &(attribute, value) in &device.attributes {
                if let Some(slot) = values.get_mut(attribute as usize) {
                    *slot = Some(value);
                }
            }
            for (attribute, value) in OURS {
                values[attribute as usize] = values[attribute as usize].and(Some(value));
            }
            if session.concurrent_managed_access {
                values[attr::CONCURRENT_MANAGED_ACCESS as usize] = Some(1);
            }
            // Pools and physical memory are shared by file descriptors, where the box can, and by nothing else.
            values[119] = values[119].and(values[103]);
            values
        };
        session.snapshot.devices.iter().map(index).collect()
    }))
}

/// A device's attribute; `None` if the device or the attribute does not exist.
#[inline]
pub(crate) fn attribute(device: u32, attribute: u32) -> Option<i32> {
    *indexed()?.get(device as usize)?.get(attribute as usize)?
}

/// Compute capability, major and minor.
#[inline]
pub(crate) fn compute_capability(device: u32) -> (u32, u32) {
    let part = |a| attribute(device, a).and_then(|v| u32::try_from(v).ok());
    (
        part(attr::COMPUTE_CAPABILITY_MAJOR).unwrap_or(0),
        part(attr::COMPUTE_CAPABILITY_MINOR).unwrap_or(0),
    )
}

/// The ordinal behind a `CUdevice`, and what is known of it.
pub(crate) fn by_handle(device: CUdevice) -> Result<(u32, &'static Device)> {
    let session = session()?;
    let ordinal = u32::try_from(device).map_err(|_| error::ERROR_INVALID_DEVICE)?;
    match session.snapshot.devices.get(ordinal as usize) {
        Some(known) => Ok((ordinal, known)),
        None => Err(error::ERROR_INVALID_DEVICE),
    }
}

/// The ordinal is the handle.
pub(crate) unsafe fn cuDeviceGet(device: *mut CUdevice, ordinal: i32) -> Result<()> {
    session()?;
    if device.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    by_handle(ordinal)?;
    // SAFETY: the caller's pointer.
    unsafe { put(device, ordinal) }
}

/// Devices that the backend gave to this session.
pub(crate) unsafe fn cuDeviceGetCount(count: *mut i32) -> Result<()> {
    let devices = session()?.snapshot.devices.len();
    // SAFETY: the caller's pointer.
    unsafe { put(count, i32::try_from(devices).unwrap_or(i32::MAX)) }
}

/// Copies text and its NUL, cut to the caller's length.
///
/// # Safety
/// `to` is null or valid for `len` bytes.
unsafe fn put_text(to: *mut c_char, len: i32, text: &str) -> Result<()> {
    let Some(room) = usize::try_from(len).ok().and_then(|len| len.checked_sub(1)) else {
        return Err(error::ERROR_INVALID_VALUE);
    };
    if to.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let n = text.len().min(room);
    // SAFETY: `n + 1 <= len` bytes, valid by this function's contract.
    unsafe {
        std::ptr::copy_nonoverlapping(text.as_ptr(), to.cast::<u8>(), n);
        to.add(n).write(0);
    }
    Ok(())
}

/// The name, cut to `len - 1` bytes.
pub(crate) unsafe fn cuDeviceGetName(name: *mut c_char, len: i32, dev: CUdevice) -> Result<()> {
    let (_, device) = by_handle(dev)?;
    // SAFETY: the caller's buffer.
    unsafe { put_text(name, len, &device.name) }
}

/// As [`cuDeviceGetUuid_v2`]: without MIG both are the same.
pub(crate) unsafe fn cuDeviceGetUuid(uuid: *mut CUuuid, dev: CUdevice) -> Result<()> {
    // SAFETY: the caller's pointer.
    unsafe { cuDeviceGetUuid_v2(uuid, dev) }
}

/// The device's 16 bytes.
pub(crate) unsafe fn cuDeviceGetUuid_v2(uuid: *mut CUuuid, dev: CUdevice) -> Result<()> {
    let (_, device) = by_handle(dev)?;
    let value = CUuuid { bytes: device.uuid };
    // SAFETY: the caller's pointer.
    unsafe { put(uuid, value) }
}

/// LUIDs are Windows': not supported on Linux, natively too.
pub(crate) fn cuDeviceGetLuid(
    luid: *mut c_char,
    deviceNodeMask: *mut u32,
    dev: CUdevice,
) -> Result<()> {
    by_handle(dev)?;
    if luid.is_null() || deviceNodeMask.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    Err(error::ERROR_NOT_SUPPORTED)
}

/// Bytes of device memory in all.
pub(crate) unsafe fn cuDeviceTotalMem_v2(bytes: *mut usize, dev: CUdevice) -> Result<()> {
    let (_, device) = by_handle(dev)?;
    // SAFETY: the caller's pointer.
    unsafe {
        put(
            bytes,
            usize::try_from(device.total_memory).unwrap_or(usize::MAX),
        )
    }
}

/// `CUDA_ERROR_INVALID_VALUE` for an attribute that the box's driver does not know.
pub(crate) unsafe fn cuDeviceGetAttribute(pi: *mut i32, attrib: u32, dev: CUdevice) -> Result<()> {
    session()?;
    if pi.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let (ordinal, _) = by_handle(dev)?;
    let value = attribute(ordinal, attrib).ok_or(error::ERROR_INVALID_VALUE)?;
    // SAFETY: the caller's pointer.
    unsafe { put(pi, value) }
}

/// The old way to ask for some attributes at once.
pub(crate) unsafe fn cuDeviceGetProperties(prop: *mut CUdevprop, dev: CUdevice) -> Result<()> {
    let (ordinal, _) = by_handle(dev)?;
    let value = |a| attribute(ordinal, a).unwrap_or(0);
    let three = |first| [value(first), value(first + 1), value(first + 2)];
    let properties = CUdevprop {
        maxThreadsPerBlock: value(attr::MAX_THREADS_PER_BLOCK),
        maxThreadsDim: three(attr::MAX_BLOCK_DIM_X),
        maxGridSize: three(attr::MAX_GRID_DIM_X),
        sharedMemPerBlock: value(attr::MAX_SHARED_MEMORY_PER_BLOCK),
        totalConstantMemory: value(attr::TOTAL_CONSTANT_MEMORY),
        SIMDWidth: value(attr::WARP_SIZE),
        memPitch: value(attr::MAX_PITCH),
        regsPerBlock: value(attr::MAX_REGISTERS_PER_BLOCK),
        clockRate: value(attr::CLOCK_RATE),
        textureAlign: value(attr::TEXTURE_ALIGNMENT),
    };
    // SAFETY: the caller's pointer.
    unsafe { put(prop, properties) }
}

/// Major and minor.
pub(crate) unsafe fn cuDeviceComputeCapability(
    major: *mut i32,
    minor: *mut i32,
    dev: CUdevice,
) -> Result<()> {
    let (ordinal, _) = by_handle(dev)?;
    if major.is_null() || minor.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let value = |a| attribute(ordinal, a).unwrap_or(0);
    // SAFETY: not null, and the caller's.
    unsafe {
        put_if(major, value(attr::COMPUTE_CAPABILITY_MAJOR));
        put_if(minor, value(attr::COMPUTE_CAPABILITY_MINOR));
    }
    Ok(())
}

/// Domain, bus and device number.
fn pci(ordinal: u32) -> (i32, i32, i32) {
    let value = |a| attribute(ordinal, a).unwrap_or(0);
    (
        value(attr::PCI_DOMAIN_ID),
        value(attr::PCI_BUS_ID),
        value(attr::PCI_DEVICE_ID),
    )
}

/// `0000:07:00.0`.
pub(crate) unsafe fn cuDeviceGetPCIBusId(
    pciBusId: *mut c_char,
    len: i32,
    dev: CUdevice,
) -> Result<()> {
    let (ordinal, _) = by_handle(dev)?;
    let (domain, bus, device) = pci(ordinal);
    let text = format!("{domain:04X}:{bus:02X}:{device:02X}.0");
    // SAFETY: the caller's buffer.
    unsafe { put_text(pciBusId, len, &text)? };
    // The text is cut and the call fails, as natively.
    match usize::try_from(len) {
        Ok(len) if len > text.len() => Ok(()),
        _ => Err(error::ERROR_INVALID_VALUE),
    }
}

/// Reads `[domain]:[bus]:[device].[function]`, `[domain]:[bus]:[device]` and `[bus]:[device].[function]`, hexadecimal.
fn parse_pci(text: &str) -> Option<(i32, i32, i32)> {
    let (place, function) = match text.split_once('.') {
        Some((place, function)) => (place, Some(function)),
        None => (text, None),
    };
    if function.is_some_and(|f| u8::from_str_radix(f, 16).is_err()) {
        return None;
    }
    let parts: Vec<i32> = place
        .split(':')
        .map(|part| i32::from_str_radix(part, 16).ok().filter(|v| *v >= 0))
        .collect::<Option<_>>()?;
    match (parts.as_slice(), function) {
        ([domain, bus, device], _) => Some((*domain, *bus, *device)),
        ([bus, device], Some(_)) => Some((0, *bus, *device)),
        _ => None,
    }
}

/// `CUDA_ERROR_INVALID_DEVICE` if no device of ours is there.
pub(crate) unsafe fn cuDeviceGetByPCIBusId(
    dev: *mut CUdevice,
    pciBusId: *const c_char,
) -> Result<()> {
    let session = session()?;
    if dev.is_null() || pciBusId.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    // SAFETY: not null, and a C string by CUDA's contract.
    let text = unsafe { CStr::from_ptr(pciBusId) };
    let wanted = text
        .to_str()
        .ok()
        .and_then(parse_pci)
        .ok_or(error::ERROR_INVALID_VALUE)?;
    let found = (0u32..)
        .zip(&session.snapshot.devices)
        .find(|(ordinal, _)| pci(*ordinal) == wanted)
        .ok_or(error::ERROR_INVALID_DEVICE)?;
    let ordinal = CUdevice::try_from(found.0).map_err(|_| error::ERROR_INVALID_DEVICE)?;
    // SAFETY: not null.
    unsafe { put(dev, ordinal) }
}

/// `CUdevice_P2PAttribute`: 1 performance rank, 2 access supported, 3 native atomics, 4 access to arrays. The numbers are one more than their places in the snapshot.
const P2P_ACCESS_SUPPORTED: u32 = 2;

/// What one device can do with another's memory.
pub(crate) fn p2p(from: u32, to: u32, attribute: u32) -> Option<i32> {
    let session = crate::session::Session::get().ok()?;
    let row = session
        .snapshot
        .devices
        .get(from as usize)?
        .peers
        .get(to as usize)?;
    row.get((attribute as usize).checked_sub(1)?)
        .map(|v| i32::from(*v))
}

/// Nothing is due: no third device writes to memory of a session.
pub(crate) fn cuFlushGPUDirectRDMAWrites(target: u32, scope: u32) -> Result<()> {
    session()?;
    // `CU_FLUSH_GPU_DIRECT_RDMA_WRITES_TARGET_CURRENT_CTX`; `..._TO_OWNER`, `..._TO_ALL_DEVICES`.
    if target != 0 || !matches!(scope, 100 | 200) {
        return Err(error::ERROR_INVALID_VALUE);
    }
    crate::driver::context::current().map(drop)
}

/// Whether kernels on `from` may read and write memory of `to`.
pub(crate) fn can_access(from: u32, to: u32) -> bool {
    from != to && p2p(from, to, P2P_ACCESS_SUPPORTED) == Some(1)
}

/// 0 for a device and itself, as natively.
pub(crate) unsafe fn cuDeviceCanAccessPeer(
    canAccessPeer: *mut i32,
    dev: CUdevice,
    peerDev: CUdevice,
) -> Result<()> {
    let (from, _) = by_handle(dev)?;
    let (to, _) = by_handle(peerDev)?;
    // SAFETY: the caller's pointer.
    unsafe { put(canAccessPeer, i32::from(can_access(from, to))) }
}

/// `CUDA_ERROR_INVALID_DEVICE` for a device and itself.
pub(crate) unsafe fn cuDeviceGetP2PAttribute(
    value: *mut i32,
    attrib: u32,
    srcDevice: CUdevice,
    dstDevice: CUdevice,
) -> Result<()> {
    let (from, _) = by_handle(srcDevice)?;
    let (to, _) = by_handle(dstDevice)?;
    if value.is_null() || !(1..=4).contains(&attrib) {
        return Err(error::ERROR_INVALID_VALUE);
    }
    if from == to {
        return Err(error::ERROR_INVALID_DEVICE);
    }
    // SAFETY: not null.
    unsafe { put(value, p2p(from, to, attrib).unwrap_or(0)) }
}

#[cfg(test)]
mod tests {
    use super::parse_pci;

    #[test]
    fn pci_addresses() {
        assert_eq!(parse_pci("0000:0a:00.0"), Some((0, 10, 0)));
        assert_eq!(parse_pci("0001:0A:1f"), Some((1, 10, 31)));
        assert_eq!(parse_pci("0a:00.0"), Some((0, 10, 0)));
        assert_eq!(parse_pci("0a:00"), None);
        assert_eq!(parse_pci("x"), None);
        assert_eq!(parse_pci(""), None);
        assert_eq!(parse_pci("0000:0a:00.z"), None);
        assert_eq!(parse_pci("-1:0a:00.0"), None);
    }
}
