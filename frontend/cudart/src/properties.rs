//! `cudaDeviceProp`: filled from the driver's attributes, in the layout of each major version.

use crate::context::{Device, cu, device_at, devices, fill, major, put};
use crate::error::{INVALID_VALUE, Result};
use gvirtus_wire::api::cudart_types::cudaDeviceProp;
use gvirtus_wire::api::types::CUuuid;

/// Which layouts have a field.
#[derive(Clone, Copy, PartialEq, Eq)]
enum In {
    Both,
    Only12,
    Only13,
}
use In::{Both, Only12, Only13};

/// What a field is filled with; the numbers are CUdevice_attribute's.
#[derive(Clone, Copy)]
enum Field {
    /// `int`: attributes, one after another.
    Int(&'static [u32]),
    /// `size_t` from an attribute.
    Size(u32),
    /// `size_t totalGlobalMem`.
    TotalMemory,
    /// `char name[256]`.
    Name,
    /// `cudaUUID_t uuid`.
    Uuid,
    /// `char luid[8]; unsigned luidDeviceNodeMask`: Windows alone has them.
    Luid,
}
use Field::{Int, Luid, Name, Size, TotalMemory, Uuid};

/// The fields in order. Between the majors fields were taken out and added at the end, never moved.
#[rustfmt::skip]
const FIELDS: &[(Field, In)] = &[
    (Name, Both), (Uuid, Both), (Luid, Both), (TotalMemory, Both),
    (Size(8), Both),                                // sharedMemPerBlock
    (Int(&[12, 10]), Both),                         // regsPerBlock, warpSize
    (Size(11), Both),                               // memPitch
    (Int(&[1, 2, 3, 4, 5, 6, 7]), Both),            // maxThreadsPerBlock, maxThreadsDim, maxGridSize
    (Int(&[13]), Only12),                           // clockRate
    (Size(9), Both),                                // totalConstMem
    (Int(&[75, 76]), Both),                         // major, minor
    (Size(14), Both), (Size(51), Both),             // textureAlignment, texturePitchAlignment
    (Int(&[15]), Only12),                           // deviceOverlap
    (Int(&[16]), Both),                             // multiProcessorCount
    (Int(&[17]), Only12),                           // kernelExecTimeoutEnabled
    (Int(&[18, 19]), Both),                         // integrated, canMapHostMemory
    (Int(&[20]), Only12),                           // computeMode
    (Int(&[21, 77]), Both),                         // maxTexture1D, maxTexture1DMipmap
    (Int(&[69]), Only12),                           // maxTexture1DLinear
    (Int(&[22, 23, 73, 74, 70, 71, 72]), Both),     // maxTexture2D, maxTexture2DMipmap, maxTexture2DLinear
    (Int(&[45, 46, 24, 25, 26, 47, 48, 49]), Both), // maxTexture2DGather, maxTexture3D, maxTexture3DAlt
    (Int(&[52, 42, 43, 27, 28, 29, 53, 54]), Both), // maxTextureCubemap, 1DLayered, 2DLayered, CubemapLayered
    (Int(&[55, 56, 57, 58, 59, 60]), Both),         // maxSurface1D, 2D, 3D
    (Int(&[61, 62, 63, 64, 65, 66, 67, 68]), Both), // maxSurface1DLayered, 2DLayered, Cubemap, CubemapLayered
    (Size(30), Both),                               // surfaceAlignment
    (Int(&[31, 32, 33, 34, 50, 35, 40, 41]), Both), // concurrentKernels, ECCEnabled, pciBusID, pciDeviceID, pciDomainID, tccDriver, asyncEngineCount, unifiedAddressing
    (Int(&[36]), Only12),                           // memoryClockRate
    (Int(&[37, 38, 108, 39, 78, 79, 80]), Both),    // memoryBusWidth, l2CacheSize, persistingL2CacheMaxSize, maxThreadsPerMultiProcessor, streamPriorities, global and local L1
    (Size(81), Both),                               // sharedMemPerMultiprocessor
    (Int(&[82, 83, 84, 85, 86]), Both),             // regsPerMultiprocessor, managedMemory, isMultiGpuBoard, multiGpuBoardGroupID, hostNativeAtomicSupported
    (Int(&[87]), Only12),                           // singleToDoublePrecisionPerfRatio
    (Int(&[88, 89, 90, 91, 95]), Both),             // pageableMemoryAccess, concurrentManagedAccess, computePreemption, canUseHostPointer, cooperativeLaunch
    (Int(&[96]), Only12),                           // cooperativeMultiDeviceLaunch
    (Size(97), Both),                               // sharedMemPerBlockOptin
    (Int(&[100, 101, 106, 109]), Both),             // pageableUsesHostPageTables, directManagedMemAccessFromHost, maxBlocksPerMultiProcessor, accessPolicyMaxWindowSize
    (Size(111), Both),                              // reservedSharedMemPerBlock: the last field of CUDA 11's layout
    (Int(&[99, 112, 113, 114, 115, 116]), Both),    // hostRegister, sparseCudaArray, hostRegisterReadOnly, timelineSemaphoreInterop, memoryPools, gpuDirectRDMA
    (Int(&[117, 118, 119, 121, 122, 120, 129]), Both), // gpuDirectRDMAFlushWritesOptions, WritesOrdering, memoryPoolSupportedHandleTypes, deferredMapping, ipcEvent, clusterLaunch, unifiedFunctionPointers
    (Int(&[130, 131, 133, 134, 139, 140, 143]), Only13), // deviceNumaConfig, deviceNumaId, mpsEnabled, hostNumaId, gpuPciDeviceID, gpuPciSubsystemID, hostNumaMultinodeIpcSupported
];

/// The layouts that programs know.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// `cudaGetDeviceProperties` of `libcudart.so.12` before CUDA 12's header renames it: CUDA 11's structure.
    Eleven,
    Twelve,
    Thirteen,
}

/// A device's attribute. One that the driver does not know yet belongs to something that it does not have: 0.
fn attribute(device: &Device, attribute: u32) -> Result<i32> {
    let value = fill(|driver, value| {
        // SAFETY: `value` is a live variable of `fill`.
        unsafe { (driver.cuDeviceGetAttribute)(value, attribute, device.handle) }
    });
    match value {
        Err(INVALID_VALUE) => Ok(0),
        other => other,
    }
}

/// The structure's bytes, up to the reserved words, which stay as they are in the program's memory.
fn properties(device: &Device, layout: Layout) -> Result<Vec<u8>> {
    let mut bytes: Vec<u8> = Vec::with_capacity(1024);
    let align = |bytes: &mut Vec<u8>, to: usize| bytes.resize(bytes.len().next_multiple_of(to), 0);
    for &(field, within) in FIELDS {
        if within
            == (if layout == Layout::Thirteen {
                Only12
            } else {
                Only13
            })
        {
            continue;
        }
        match field {
            Int(attributes) => {
                for &number in attributes {
                    bytes.extend_from_slice(&attribute(device, number)?.to_ne_bytes());
                }
            }
            Size(number) => {
                align(&mut bytes, 8);
                bytes.extend_from_slice(
                    &u64::try_from(attribute(device, number)?)
                        .unwrap_or(0)
                        .to_ne_bytes(),
                );
                if number == 111 && layout == Layout::Eleven {
                    break;
                }
            }
            TotalMemory => {
                align(&mut bytes, 8);
                let mut total = 0usize;
                cu!(cuDeviceTotalMem_v2(&mut total, device.handle))?;
                bytes.extend_from_slice(&total.to_ne_bytes());
            }
            Name => {
                let mut name = [0u8; 256];
                cu!(cuDeviceGetName(
                    name.as_mut_ptr().cast(),
                    256,
                    device.handle
                ))?;
                bytes.extend_from_slice(&name);
            }
            Uuid => {
                let mut uuid = CUuuid { bytes: [0; 16] };
                cu!(cuDeviceGetUuid_v2(&mut uuid, device.handle))?;
                bytes.extend_from_slice(&uuid.bytes);
            }
            Luid => bytes.extend_from_slice(&[0; 12]),
        }
    }
    Ok(bytes)
}

fn write(prop: *mut cudaDeviceProp, device: i32, layout: Layout) -> Result {
    if prop.is_null() {
        return Err(INVALID_VALUE);
    }
    let bytes = properties(device_at(device)?, layout)?;
    // SAFETY: not null; the program's structure of this layout is larger than what is written, by its reserved words.
    unsafe {
        prop.cast::<u8>()
            .copy_from_nonoverlapping(bytes.as_ptr(), bytes.len())
    };
    Ok(())
}

/// All properties of a device.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__DEVICE.html>
pub unsafe fn cudaGetDeviceProperties(prop: *mut cudaDeviceProp, device: i32) -> Result {
    write(
        prop,
        device,
        if major() >= 13 {
            Layout::Thirteen
        } else {
            Layout::Eleven
        },
    )
}

/// All properties of a device, for programs built with CUDA 12's headers.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__DEVICE.html>
pub unsafe fn cudaGetDeviceProperties_v2(prop: *mut cudaDeviceProp, device: i32) -> Result {
    write(prop, device, Layout::Twelve)
}

/// The first device that has at least the compute capability and memory that the program asks for, else the first.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__DEVICE.html>
pub unsafe fn cudaChooseDevice(device: *mut i32, prop: *const cudaDeviceProp) -> Result {
    if device.is_null() || prop.is_null() {
        return Err(INVALID_VALUE);
    }
    let layout = if major() >= 13 {
        Layout::Thirteen
    } else {
        Layout::Twelve
    };
    let (memory, capability) = wanted(layout);
    // SAFETY: the program's structure of this layout has these fields.
    let (memory, capability) = unsafe {
        (
            prop.cast::<u8>().add(memory).cast::<u64>().read_unaligned(),
            prop.cast::<u8>()
                .add(capability)
                .cast::<[i32; 2]>()
                .read_unaligned(),
        )
    };
    let mut chosen = 0;
    for (at, candidate) in devices()?.iter().enumerate() {
        let mut total = 0;
        cu!(cuDeviceTotalMem_v2(&mut total, candidate.handle))?;
        if [attribute(candidate, 75)?, attribute(candidate, 76)?] >= capability
            && total as u64 >= memory
        {
            chosen = at;
            break;
        }
    }
    put!(device, i32::try_from(chosen).unwrap_or(0))
}

/// Where `totalGlobalMem` and `major` lie.
fn wanted(layout: Layout) -> (usize, usize) {
    let (mut offset, mut memory) = (0usize, 0);
    for &(field, within) in FIELDS {
        if within
            == (if layout == Layout::Thirteen {
                Only12
            } else {
                Only13
            })
        {
            continue;
        }
        match field {
            Int(&[75, 76]) => break,
            Int(attributes) => offset += 4 * attributes.len(),
            Size(_) => offset = offset.next_multiple_of(8) + 8,
            TotalMemory => {
                memory = offset.next_multiple_of(8);
                offset = memory + 8;
            }
            Name => offset += 256,
            Uuid => offset += 16,
            Luid => offset += 12,
        }
    }
    (memory, offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_lie_where_nvidias_headers_put_them() {
        assert_eq!(wanted(Layout::Twelve), (288, 360));
        assert_eq!(wanted(Layout::Thirteen), (288, 360));
    }
}
