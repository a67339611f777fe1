//! Memory of sparse arrays: `cuMemMapArrayAsync`, <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__VA.html>.
//!
//! Whether tiles and offsets are right the box's driver says, at the call, as natively; so the call waits for its word, though not for the stream.
#![allow(non_snake_case, reason = "CUDA's names")]

use gvirtus_wire::api::core::{ArrayMap, ArrayMapping};
use gvirtus_wire::api::types::{CUarrayMapInfo, CUstream, error};

use crate::driver::texture::{ARRAY, MIPMAPPED_ARRAY};
use crate::driver::{Result, array, context, session, vmm};
use crate::streams::{self, Work};

/// The most mappings that travel together.
const MOST: usize = 4096;
/// `CUarraySparseSubresourceType`.
const LEVEL: u32 = 0;
const TAIL: u32 = 1;
/// `CUmemOperationType`.
const MAP: u32 = 1;
const UNMAP: u32 = 2;
/// `CU_MEM_HANDLE_TYPE_GENERIC`.
const GENERIC: u32 = 0;

fn mapping(given: &CUarrayMapInfo) -> Result<ArrayMapping> {
    if given.flags != 0 || given.reserved != [0; 2] {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let handle = std::ptr::without_provenance_mut(given.resource as usize);
    let (array, mipmapped) = match given.resourceType {
        ARRAY => (array::resolve(handle)?.id, false),
        MIPMAPPED_ARRAY => (array::resolve_mipmap(handle)?.id, true),
        _ => return Err(error::ERROR_INVALID_VALUE),
    };
    let piece = match given.memOperationType {
        MAP if given.memHandleType == GENERIC => vmm::piece(given.memHandle)?,
        UNMAP => 0,
        _ => return Err(error::ERROR_INVALID_VALUE),
    };
    let at = &given.subresource;
    let mut mapping = ArrayMapping {
        array,
        mipmapped,
        part: given.subresourceType,
        piece,
        offset: given.offset,
        devices: given.deviceBitMask,
        ..ArrayMapping::default()
    };
    match given.subresourceType {
        LEVEL => {
            (mapping.level, mapping.layer) = (at[0], at[1]);
            mapping.start = [at[2], at[3], at[4]];
            mapping.extent = [at[5], at[6], at[7]];
        }
        TAIL => {
            let word = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
            mapping.layer = at[0];
            mapping.tail = (word(at[2], at[3]), word(at[4], at[5]));
        }
        _ => return Err(error::ERROR_INVALID_VALUE),
    }
    Ok(mapping)
}

/// Maps physical memory into parts of sparse arrays, or unmaps it, in the order of the stream.
pub(crate) unsafe fn cuMemMapArrayAsync(
    mapInfoList: *mut CUarrayMapInfo,
    count: u32,
    hStream: CUstream,
) -> Result<()> {
    let session = session()?;
    let context = context::current()?;
    if mapInfoList.is_null() || count == 0 {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let mappings = (0..count as usize)
        // SAFETY: not null; the caller's array has `count` elements.
        .map(|i| mapping(&unsafe { mapInfoList.add(i).read_unaligned() }))
        .collect::<Result<Vec<_>>>()?;
    for some in mappings.chunks(MOST) {
        let work = Work {
            stream: hStream,
            words: &[],
            weight: 1,
            wait: true,
        };
        streams::submit_library(session, &context, &work, |stream| ArrayMap {
            stream,
            mappings: some.to_vec(),
        })?;
    }
    Ok(())
}
