//! Memory of sparse arrays.

use gvirtus_wire::api::core::{ArrayMap, ArrayMapping};
use gvirtus_wire::api::types::CUarrayMapInfo;
use gvirtus_wire::command::{Answer, Handle as Handler};
use gvirtus_wire::frame::Header;

use crate::driver::cu;
use crate::errors::{ERROR_INVALID_VALUE, Result};
use crate::session::Session;
use crate::textures::{ARRAY, MIPMAPPED_ARRAY};

/// The most mappings of one command.
const MOST: usize = 4096;
/// `CU_ARRAY_SPARSE_SUBRESOURCE_TYPE_MIPTAIL`.
const TAIL: u32 = 1;
/// `CUmemOperationType`.
const MAP: u32 = 1;
const UNMAP: u32 = 2;

impl Session {
    /// A mapping as the driver takes it, which says whether tiles and offsets are right.
    fn array_mapping(&self, given: &ArrayMapping) -> Result<CUarrayMapInfo> {
        let (kind, resource) = if given.mipmapped {
            (MIPMAPPED_ARRAY, self.mipmaps.get(given.array)?.raw)
        } else {
            (ARRAY, self.arrays.get(given.array)?.raw)
        };
        let (operation, memory) = if given.piece == 0 {
            (UNMAP, 0)
        } else {
            let piece = self.physical.find(given.piece);
            (MAP, piece.ok_or(ERROR_INVALID_VALUE)?.0)
        };
        let subresource = if given.part == TAIL {
            let (offset, size) = given.tail;
            let halves = |word: u64| [word as u32, (word >> 32) as u32];
            let ([a, b], [c, d]) = (halves(offset), halves(size));
            [given.layer, 0, a, b, c, d, 0, 0]
        } else {
            let ([x, y, z], [width, height, depth]) = (given.start, given.extent);
            [given.level, given.layer, x, y, z, width, height, depth]
        };
        Ok(CUarrayMapInfo {
            resourceType: kind,
            resource: resource.0 as u64,
            subresourceType: given.part,
            pad: 0,
            subresource,
            memOperationType: operation,
            memHandleType: 0,
            memHandle: memory,
            offset: given.offset,
            deviceBitMask: given.devices,
            flags: 0,
            reserved: [0; 2],
        })
    }
}

impl Handler<ArrayMap> for Session {
    fn handle(&self, header: &Header, command: ArrayMap) -> Result<Answer<()>> {
        // The reply does not wait for the stream.
        self.on_stream(header, command.stream, |stream| {
            let mappings = &command.mappings;
            if mappings.is_empty() || mappings.len() > MOST {
                return Err(ERROR_INVALID_VALUE);
            }
            let mut raw = mappings
                .iter()
                .map(|mapping| self.array_mapping(mapping))
                .collect::<Result<Vec<_>>>()?;
            let count = raw.len() as u32;
            cu!(
                self.driver,
                cuMemMapArrayAsync(raw.as_mut_ptr(), count, stream.raw.ptr())
            )
        })
        .map(Answer::Now)
    }
}
