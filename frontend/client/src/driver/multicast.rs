//! Multicast objects: <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__MULTICAST.html>.
//!
//! They need several GPUs behind an NVSwitch. Whether there are, and whether sizes and offsets are right, the box's driver says.
#![allow(non_snake_case, reason = "CUDA's names")]

use gvirtus_wire::api::core::{
    MulticastAddDevice, MulticastBind, MulticastCreate, MulticastGranularity, MulticastProperties,
    MulticastUnbind,
};
use gvirtus_wire::api::types::{
    CUdevice, CUdeviceptr, CUmemAllocationProp, CUmemGenericAllocationHandle, CUmemLocation,
    CUmulticastObjectProp, error,
};

use crate::driver::device::by_handle as device_by_handle;
use crate::driver::{Result, context, put, session, vmm};
use crate::log;

/// `CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR`: the only kind of handle that other programs may have.
const POSIX_FD: u64 = 1;

/// # Safety
/// `prop` is null or valid.
unsafe fn properties(prop: *const CUmulticastObjectProp) -> Result<MulticastProperties> {
    if prop.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    // SAFETY: not null, and the caller's.
    let prop = unsafe { prop.read_unaligned() };
    if prop.handleTypes & !POSIX_FD != 0 {
        log::unsupported("a multicast object with handles of this kind (cuMulticastCreate)");
        return Err(error::ERROR_NOT_SUPPORTED);
    }
    Ok(MulticastProperties {
        devices: prop.numDevices,
        size: prop.size as u64,
        handle_types: prop.handleTypes,
        flags: prop.flags,
    })
}

/// The device whose context asks, or the first.
fn ordinal() -> u32 {
    context::current().map_or(0, |context| context.device)
}

/// Makes an object for so many devices. It is mapped and released like physical memory.
pub(crate) unsafe fn cuMulticastCreate(
    mcHandle: *mut CUmemGenericAllocationHandle,
    prop: *const CUmulticastObjectProp,
) -> Result<()> {
    let session = session()?;
    if mcHandle.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    // SAFETY: the caller's pointer.
    let properties = unsafe { properties(prop)? };
    let (device, object) = (ordinal(), vmm::mint(1)?);
    let (size, handle_types) = (properties.size, properties.handle_types as u32);
    let command = MulticastCreate {
        object,
        device,
        properties,
    };
    session.call(device, &command)?;
    let as_memory = CUmemAllocationProp {
        type_: 0,
        requestedHandleTypes: handle_types,
        location: CUmemLocation { type_: 0, id: 0 },
        win32HandleMetaData: std::ptr::null_mut(),
        compressionType: 0,
        gpuDirectRDMACapable: 0,
        usage: 0,
        reserved: [0; 4],
    };
    let made = vmm::insert(object, size, device, as_memory);
    // SAFETY: not null, and the caller's.
    unsafe { put(mcHandle, made) }
}

/// Lets a device take part.
pub(crate) fn cuMulticastAddDevice(
    mcHandle: CUmemGenericAllocationHandle,
    dev: CUdevice,
) -> Result<()> {
    let session = session()?;
    let (device, _) = device_by_handle(dev)?;
    let object = vmm::piece(mcHandle)?;
    session.call(device, &MulticastAddDevice { object, device })
}

/// Puts physical memory of a device behind a part of the object.
pub(crate) fn cuMulticastBindMem(
    mcHandle: CUmemGenericAllocationHandle,
    mcOffset: usize,
    memHandle: CUmemGenericAllocationHandle,
    memOffset: usize,
    size: usize,
    flags: u64,
) -> Result<()> {
    let session = session()?;
    let command = MulticastBind {
        object: vmm::piece(mcHandle)?,
        offset: mcOffset as u64,
        piece: vmm::piece(memHandle)?,
        memory: memOffset as u64,
        size: size as u64,
        flags,
    };
    session.call(ordinal(), &command)
}

/// Puts the memory that is mapped at an address behind a part of the object.
pub(crate) fn cuMulticastBindAddr(
    mcHandle: CUmemGenericAllocationHandle,
    mcOffset: usize,
    memptr: CUdeviceptr,
    size: usize,
    flags: u64,
) -> Result<()> {
    let session = session()?;
    let command = MulticastBind {
        object: vmm::piece(mcHandle)?,
        offset: mcOffset as u64,
        piece: 0,
        memory: memptr,
        size: size as u64,
        flags,
    };
    session.call(ordinal(), &command)
}

/// Takes a device's memory away from a part of the object.
pub(crate) fn cuMulticastUnbind(
    mcHandle: CUmemGenericAllocationHandle,
    dev: CUdevice,
    mcOffset: usize,
    size: usize,
) -> Result<()> {
    let session = session()?;
    let (device, _) = device_by_handle(dev)?;
    let command = MulticastUnbind {
        object: vmm::piece(mcHandle)?,
        device,
        offset: mcOffset as u64,
        size: size as u64,
    };
    session.call(device, &command)
}

/// What sizes and offsets must be multiples of.
pub(crate) unsafe fn cuMulticastGetGranularity(
    granularity: *mut usize,
    prop: *const CUmulticastObjectProp,
    option: u32,
) -> Result<()> {
    let session = session()?;
    if granularity.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let command = MulticastGranularity {
        // SAFETY: the caller's pointer.
        properties: unsafe { properties(prop)? },
        option,
    };
    let step = session.call(ordinal(), &command)?;
    // SAFETY: not null, and the caller's.
    unsafe { put(granularity, step as usize) }
}
