//! The devices and their figures.
//!
//! The figures are those of a GPU of compute capability 8.0 where PTX can see or depend on them (warp, block, grid and shared memory sizes), the host's where they
//! say how fast something is (multiprocessors are host threads), and "no" for what this device does not do.
//!
//! See <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__DEVICE.html>.

use std::ffi::{c_char, c_void};

use gvirtus_wire::api::types::{CUcontext, CUdevice, CUdevprop, CUuuid};
use parking_lot::Mutex;

use super::config::Config;
use super::error::{
    ERROR_INVALID_CONTEXT, ERROR_INVALID_DEVICE, ERROR_INVALID_VALUE, ERROR_NOT_FOUND,
    ERROR_PEER_ACCESS_ALREADY_ENABLED, ERROR_PEER_ACCESS_NOT_ENABLED, Result,
};
use super::memory::memory;
use super::primary::Primary;
use super::{context, ffi, state};

/// `cuDriverGetVersion`: CUDA 13.0.
const DRIVER_VERSION: i32 = 13000;
const NAME: &str = "GVirtuS CPU device";

/// Figures that launches and occupancy refer to.
pub(super) mod figures {
    pub(crate) const COMPUTE_MAJOR: i32 = 8;
    pub(crate) const COMPUTE_MINOR: i32 = 0;
    pub(crate) const WARP: u32 = 32;
    pub(crate) const MAX_THREADS_PER_BLOCK: u32 = 1024;
    /// Blocks of a cluster that every device of this kind takes.
    pub(crate) const MAX_CLUSTER: u32 = 8;
    pub(crate) const MAX_BLOCK: [u32; 3] = [1024, 1024, 64];
    pub(crate) const MAX_GRID: [u32; 3] = [0x7fff_ffff, 65535, 65535];
    /// Shared memory per block without asking for more.
    pub(crate) const SHARED_PER_BLOCK: u32 = 48 << 10;
    /// Shared memory per block that `cuFuncSetAttribute` may allow.
    pub(crate) const SHARED_PER_BLOCK_OPTIN: u32 = 163 << 10;
    pub(crate) const SHARED_PER_MULTIPROCESSOR: u32 = 164 << 10;
    /// Shared memory that the system takes of each block.
    pub(crate) const SHARED_RESERVED: u32 = 1 << 10;
    pub(crate) const REGISTERS: u32 = 65536;
    pub(crate) const THREADS_PER_MULTIPROCESSOR: u32 = 2048;
    pub(crate) const BLOCKS_PER_MULTIPROCESSOR: u32 = 32;
    pub(crate) const CONSTANT_BYTES: u32 = 64 << 10;
    pub(crate) const MAX_PITCH: u64 = 0x7fff_ffff;

    /// Largest textures and surfaces: width, height, and depth or layers.
    pub(crate) mod images {
        pub(crate) const ONE: [usize; 3] = [131_072, 0, 0];
        pub(crate) const ONE_MIPMAPPED: [usize; 3] = [32768, 0, 0];
        pub(crate) const ONE_LAYERED: [usize; 3] = [32768, 0, 2048];
        pub(crate) const TWO: [usize; 3] = [131_072, 65536, 0];
        pub(crate) const TWO_MIPMAPPED: [usize; 3] = [32768, 32768, 0];
        pub(crate) const TWO_LAYERED: [usize; 3] = [32768, 32768, 2048];
        pub(crate) const THREE: [usize; 3] = [16384, 16384, 16384];
        pub(crate) const CUBE: [usize; 3] = [32768, 32768, 6];
        pub(crate) const CUBE_LAYERED: [usize; 3] = [32768, 32768, 2046];
        /// Elements of linear memory.
        pub(crate) const ONE_LINEAR: usize = 1 << 28;
        /// Width, height and pitch (bytes) of pitched memory.
        pub(crate) const TWO_LINEAR: [usize; 3] = [131_072, 65000, 2_097_120];
    }
}

/// One device.
pub(super) struct Device {
    pub(super) ordinal: usize,
    pub(super) multiprocessors: u32,
    memory: u64,
    uuid: [u8; 16],
    pub(super) primary: Mutex<Primary>,
}

impl Device {
    pub(super) fn new(ordinal: usize, config: &Config) -> Self {
        let mut uuid = *b"GVirtuS-CPU\0\0\0\0\0";
        uuid[15] = ordinal as u8;
        Self {
            ordinal,
            multiprocessors: config.threads as u32,
            memory: config.memory,
            uuid,
            primary: Mutex::default(),
        }
    }

    /// The value of a `CUdevice_attribute`; `None` for a number that CUDA 13.0 does not define.
    fn attribute(&self, attribute: u32) -> Option<i32> {
        use figures::*;
        Some(match attribute {
            // Blocks, grids, registers, shared and constant memory.
            1 => MAX_THREADS_PER_BLOCK as i32,
            2..=4 => MAX_BLOCK[attribute as usize - 2] as i32,
            5..=7 => MAX_GRID[attribute as usize - 5] as i32,
            8 => SHARED_PER_BLOCK as i32,
            9 => CONSTANT_BYTES as i32,
            10 => WARP as i32,
            11 => MAX_PITCH as i32,
            12 | 82 => REGISTERS as i32,
            39 => THREADS_PER_MULTIPROCESSOR as i32,
            81 => SHARED_PER_MULTIPROCESSOR as i32,
            97 => SHARED_PER_BLOCK_OPTIN as i32,
            106 => BLOCKS_PER_MULTIPROCESSOR as i32,
            111 => SHARED_RESERVED as i32,
            75 => COMPUTE_MAJOR,
            76 => COMPUTE_MINOR,
            // The host's speed, in kHz and bits: nominal, nothing computes with them here.
            13 => 1_000_000,
            36 => 1_000_000,
            37 => 64,
            38 => 4 << 20,
            87 => 2,
            16 => self.multiprocessors as i32,
            // Identity: a well-formed PCI address, one "device" number per ordinal.
            33 => 0,
            34 => self.ordinal as i32,
            50 => 0,
            // The first interface of stream memory operations, which CUDA 13 has no more.
            92..=94 => 0,
            139 | 140 => 0,
            // What it can do: overlap, mapped host memory, concurrent kernels, unified addressing, stream priorities, caches that do not matter, stream memory
            // operations (second interface, 64 bits, NOR), cooperative launches, host registration (also read-only), virtual memory management with file descriptors to share it, events for several
            // processes, pools (which the client builds on it).
            15 | 19 | 31 | 40 | 41 | 78 | 79 | 80 | 90 | 91 | 95 | 99 | 102 | 103 | 113 | 115
            | 119 | 122 | 123 | 125 => 1,
            // Alignment of textures and surfaces.
            14 | 30 => 512,
            51 => 32,
            // Largest textures: of one, two and three dimensions, layered, gathered, cubes, of linear memory, mipmapped. Then the largest surfaces.
            21 | 22 | 56 | 70 => images::TWO[0] as i32,
            23 | 57 => images::TWO[1] as i32,
            24..=26 | 58..=60 => images::THREE[0] as i32,
            27 | 28 | 42 | 45 | 46 | 52 | 53 | 55 | 61 | 63 | 64 | 66 | 67 | 73 | 74 | 77 => {
                images::TWO_LAYERED[0] as i32
            }
            29 | 43 | 62 | 65 => images::TWO_LAYERED[2] as i32,
            47 | 48 => 8192,
            49 => 32768,
            54 | 68 => images::CUBE_LAYERED[2] as i32,
            69 => images::ONE_LINEAR as i32,
            71 => images::TWO_LINEAR[1] as i32,
            72 => images::TWO_LINEAR[2] as i32,
            // What it has not: managed memory, peers, clusters, tensor maps, multicast, export of memory …
            17
            | 18
            | 20
            | 32
            | 35
            | 44
            | 83..=86
            | 88
            | 89
            | 96
            | 98
            | 100
            | 101
            | 104
            | 105
            | 107..=110 => 0,
            112
            | 114
            | 116..=118
            | 120
            | 121
            | 124
            | 127..=130
            | 132
            | 133
            | 135..=138
            | 141..=147 => 0,
            126 => 1,
            // No NUMA node of its own.
            131 | 134 => -1,
            _ => return None,
        })
    }
}

/// # Errors
/// `CUDA_ERROR_INVALID_DEVICE` for an ordinal out of range.
pub(super) fn resolve(device: CUdevice) -> Result<&'static Device> {
    let state = state::require()?;
    usize::try_from(device)
        .ok()
        .and_then(|ordinal| state.devices.get(ordinal))
        .ok_or(ERROR_INVALID_DEVICE)
}

pub(super) fn cuDriverGetVersion(driverVersion: *mut i32) -> Result {
    ffi::put(driverVersion, DRIVER_VERSION)
}

pub(super) fn cuDeviceGet(device: *mut CUdevice, ordinal: i32) -> Result {
    resolve(ordinal)?;
    ffi::put(device, ordinal)
}

pub(super) fn cuDeviceGetCount(count: *mut i32) -> Result {
    ffi::put(count, state::require()?.devices.len() as i32)
}

pub(super) fn cuDeviceGetName(name: *mut c_char, len: i32, dev: CUdevice) -> Result {
    resolve(dev)?;
    ffi::put_string(name, usize::try_from(len).unwrap_or(0), NAME)
}

pub(super) fn cuDeviceGetUuid(uuid: *mut CUuuid, dev: CUdevice) -> Result {
    let device = resolve(dev)?;
    ffi::put(uuid, CUuuid { bytes: device.uuid })
}

pub(super) fn cuDeviceGetUuid_v2(uuid: *mut CUuuid, dev: CUdevice) -> Result {
    cuDeviceGetUuid(uuid, dev)
}

pub(super) fn cuDeviceTotalMem_v2(bytes: *mut usize, dev: CUdevice) -> Result {
    ffi::put(bytes, resolve(dev)?.memory as usize)
}

pub(super) fn cuDeviceGetAttribute(pi: *mut i32, attrib: u32, dev: CUdevice) -> Result {
    ffi::put(
        pi,
        resolve(dev)?.attribute(attrib).ok_or(ERROR_INVALID_VALUE)?,
    )
}

pub(super) fn cuDeviceComputeCapability(major: *mut i32, minor: *mut i32, dev: CUdevice) -> Result {
    resolve(dev)?;
    ffi::put(major, figures::COMPUTE_MAJOR)?;
    ffi::put(minor, figures::COMPUTE_MINOR)
}

pub(super) fn cuDeviceGetProperties(prop: *mut CUdevprop, dev: CUdevice) -> Result {
    use figures::*;
    let device = resolve(dev)?;
    let properties = CUdevprop {
        maxThreadsPerBlock: MAX_THREADS_PER_BLOCK as i32,
        maxThreadsDim: MAX_BLOCK.map(|size| size as i32),
        maxGridSize: MAX_GRID.map(|size| size as i32),
        sharedMemPerBlock: SHARED_PER_BLOCK as i32,
        totalConstantMemory: CONSTANT_BYTES as i32,
        SIMDWidth: WARP as i32,
        memPitch: MAX_PITCH as i32,
        regsPerBlock: REGISTERS as i32,
        clockRate: device.attribute(13).unwrap_or(0),
        textureAlign: device.attribute(14).unwrap_or(0),
    };
    ffi::put(prop, properties)
}

pub(super) fn cuDeviceGetPCIBusId(pciBusId: *mut c_char, len: i32, dev: CUdevice) -> Result {
    let device = resolve(dev)?;
    ffi::put_string(
        pciBusId,
        usize::try_from(len).unwrap_or(0),
        &format!("0000:00:{:02X}.0", device.ordinal),
    )
}

pub(super) fn cuDeviceGetByPCIBusId(dev: *mut CUdevice, pciBusId: *const c_char) -> Result {
    let text = ffi::get_string(pciBusId)?;
    let parts = || -> Option<u32> {
        // [domain:]bus:device[.function]
        let head = text.split('.').next()?;
        let mut fields = head
            .rsplit(':')
            .map(|field| u32::from_str_radix(field, 16).ok());
        let device = fields.next()??;
        fields.all(|field| field == Some(0)).then_some(device)
    };
    let ordinal = parts().ok_or(ERROR_INVALID_VALUE)?;
    if (ordinal as usize) < state::require()?.devices.len() {
        ffi::put(dev, ordinal as CUdevice)
    } else {
        Err(ERROR_INVALID_DEVICE)
    }
}

pub(super) fn cuDeviceCanAccessPeer(
    canAccessPeer: *mut i32,
    dev: CUdevice,
    peerDev: CUdevice,
) -> Result {
    // All are the host's memory.
    let (device, peer) = (resolve(dev)?, resolve(peerDev)?);
    ffi::put(canAccessPeer, i32::from(device.ordinal != peer.ordinal))
}

pub(super) fn cuDeviceGetP2PAttribute(
    value: *mut i32,
    attrib: u32,
    srcDevice: CUdevice,
    dstDevice: CUdevice,
) -> Result {
    let (source, destination) = (resolve(srcDevice)?, resolve(dstDevice)?);
    if !(1..=5).contains(&attrib) {
        return Err(ERROR_INVALID_VALUE);
    }
    if source.ordinal == destination.ordinal {
        return Err(ERROR_INVALID_DEVICE);
    }
    // Access, and atomic operations; neither rank nor arrays.
    ffi::put(value, i32::from(matches!(attrib, 2 | 3)))
}

pub(super) fn cuCtxEnablePeerAccess(peerContext: CUcontext, Flags: u32) -> Result {
    let own = context::current()?;
    let peer = context::resolve(peerContext)?;
    if Flags != 0 {
        return Err(ERROR_INVALID_VALUE);
    }
    if own.device == peer.device {
        Err(ERROR_INVALID_DEVICE)
    } else if memory().set_peer(own.device, peer.device, true) {
        Ok(())
    } else {
        Err(ERROR_PEER_ACCESS_ALREADY_ENABLED)
    }
}

pub(super) fn cuCtxDisablePeerAccess(peerContext: CUcontext) -> Result {
    let own = context::current()?;
    let peer = context::resolve(peerContext).map_err(|_| ERROR_INVALID_CONTEXT)?;
    if memory().set_peer(own.device, peer.device, false) {
        Ok(())
    } else {
        Err(ERROR_PEER_ACCESS_NOT_ENABLED)
    }
}

pub(super) fn cuGetExportTable(
    ppExportTable: *mut *const c_void,
    pExportTableId: *const CUuuid,
) -> Result {
    let id = ffi::get(pExportTableId)?;
    if ppExportTable.is_null() {
        return Err(ERROR_INVALID_VALUE);
    }
    let words: String = id.bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    eprintln!("gvirtus-cpu: cuGetExportTable: the CPU device has no private table {words}");
    Err(ERROR_NOT_FOUND)
}

pub(super) fn cuProfilerStart() -> Result {
    // Nothing profiles this device; CUDA accepts the call without a profiler too.
    context::current().map(|_| ())
}

pub(super) fn cuProfilerStop() -> Result {
    context::current().map(|_| ())
}
