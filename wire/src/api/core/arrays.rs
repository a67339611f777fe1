//! Arrays and mipmapped arrays, copies to and from them, textures and surfaces.

use super::copies::{Extent, Plane};
use crate::api::types::CUDA_TEXTURE_DESC;

/// Bytes of an array are named by number: byte `x` of row `y` of slice `z` is `z << ARRAY_SLICE | y << ARRAY_ROW | x`, so that a box in it is a [`Plane`] like any other.
pub const ARRAY_ROW: u32 = 32;
/// As [`ARRAY_ROW`]: no array has 2¹⁶ rows or slices, or 2³² bytes in a row.
pub const ARRAY_SLICE: u32 = 48;

crate::records! {
    /// `CUDA_ARRAY3D_DESCRIPTOR`.
    ArrayShape {
        /// Elements per row.
        width: u64,
        /// Rows, 0 for one dimension.
        height: u64,
        /// Slices or layers, 0 for fewer than three dimensions.
        depth: u64,
        /// `CUarray_format`.
        format: u32,
        /// Channels per element.
        channels: u32,
        /// `CUDA_ARRAY3D_*`.
        flags: u32,
    }
    /// `CUDA_ARRAY_SPARSE_PROPERTIES`.
    SparseProperties {
        /// Elements of a tile in each dimension.
        tile: [u32; 3],
        /// Where the mip tail begins.
        first_tail_level: u32,
        /// Bytes of the mip tail.
        tail_size: u64,
        /// `CU_ARRAY_SPARSE_PROPERTIES_*`.
        flags: u32,
    }
    /// `CUarrayMapInfo`.
    ArrayMapping {
        /// Sparse array or mipmapped array.
        array: u32,
        /// Which of the two.
        mipmapped: bool,
        /// `CUarraySparseSubresourceType`: part of a level, or of the mip tail.
        part: u32,
        /// Level, 0 for the tail.
        level: u32,
        /// Layer.
        layer: u32,
        /// Where a part of a level begins, elements.
        start: [u32; 3],
        /// Its size, elements.
        extent: [u32; 3],
        /// Offset and size within the tail, bytes.
        tail: (u64, u64),
        /// Physical memory, 0 to unmap.
        piece: u32,
        /// Offset in it, bytes.
        offset: u64,
        /// Devices, by bits.
        devices: u32,
    }
    /// `CUDA_RESOURCE_DESC`; what does not belong to the kind is 0.
    Resource {
        /// `CUresourcetype`.
        kind: u32,
        /// Array or mipmapped array.
        array: u32,
        /// Device address of linear or pitched memory.
        address: u64,
        /// `CUarray_format` of memory.
        format: u32,
        /// Channels per element of memory.
        channels: u32,
        /// Bytes of linear memory, elements per row of pitched memory.
        width: u64,
        /// Rows of pitched memory.
        height: u64,
        /// Bytes from row to row of pitched memory.
        pitch: u64,
        /// As given.
        flags: u32,
    }
    /// `CUDA_TEXTURE_DESC`; numbers with a fraction by their bits.
    TextureSettings {
        /// `CUaddress_mode` in each dimension.
        address_modes: [u32; 3],
        /// `CUfilter_mode`.
        filter: u32,
        /// `CU_TRSF_*`.
        flags: u32,
        /// Limit of anisotropy.
        anisotropy: u32,
        /// `CUfilter_mode` between mip levels.
        mipmap_filter: u32,
        /// Offset of the mip level.
        bias: u32,
        /// Lowest mip level.
        lowest: u32,
        /// Highest mip level.
        highest: u32,
        /// What lies beyond the border: four numbers.
        border: [u8; 16],
    }
    /// `CUDA_RESOURCE_VIEW_DESC`.
    ResourceView {
        /// `CUresourceViewFormat`.
        format: u32,
        /// Elements per row.
        width: u64,
        /// Rows.
        height: u64,
        /// Slices.
        depth: u64,
        /// First and last mip level.
        levels: (u32, u32),
        /// First and last layer.
        layers: (u32, u32),
    }
}

impl From<&CUDA_TEXTURE_DESC> for TextureSettings {
    fn from(given: &CUDA_TEXTURE_DESC) -> Self {
        let mut border = [0; 16];
        for (bytes, value) in border.chunks_exact_mut(4).zip(given.borderColor) {
            bytes.copy_from_slice(&value.to_le_bytes());
        }
        Self {
            address_modes: given.addressMode,
            filter: given.filterMode,
            flags: given.flags,
            anisotropy: given.maxAnisotropy,
            mipmap_filter: given.mipmapFilterMode,
            bias: given.mipmapLevelBias.to_bits(),
            lowest: given.minMipmapLevelClamp.to_bits(),
            highest: given.maxMipmapLevelClamp.to_bits(),
            border,
        }
    }
}

impl From<&TextureSettings> for CUDA_TEXTURE_DESC {
    fn from(given: &TextureSettings) -> Self {
        let mut border = [0.0; 4];
        for (value, bytes) in border.iter_mut().zip(given.border.chunks_exact(4)) {
            *value = f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        }
        Self {
            addressMode: given.address_modes,
            filterMode: given.filter,
            flags: given.flags,
            maxAnisotropy: given.anisotropy,
            mipmapFilterMode: given.mipmap_filter,
            mipmapLevelBias: f32::from_bits(given.bias),
            minMipmapLevelClamp: f32::from_bits(given.lowest),
            maxMipmapLevelClamp: f32::from_bits(given.highest),
            borderColor: border,
            reserved: [0; 12],
        }
    }
}

crate::commands! {
    /// The commands.
    pub(super) table COMMANDS, dispatch dispatch, handler ArraysHandler;

    /// `cuArray3DCreate`.
    0x01e0 r 1 sync ArrayCreate {
        /// Minted by the client.
        array: u32,
        /// What it is to be.
        shape: ArrayShape,
    } -> ();
    /// `cuMipmappedArrayCreate`.
    0x01e1 r 1 sync MipmapCreate {
        /// Minted by the client, apart from the ids of arrays.
        mipmap: u32,
        /// Level 0.
        shape: ArrayShape,
        /// Levels.
        levels: u32,
    } -> ();
    /// `cuMipmappedArrayGetLevel`.
    0x01e2 r 1 async MipmapLevel {
        /// Mipmapped array.
        mipmap: u32,
        /// Which level.
        level: u32,
        /// Minted by the client: the id of the level's array.
        array: u32,
    } -> ();
    /// `cuArrayGetPlane`; the reply is what the plane is.
    0x01e3 r 1 sync ArrayPlane {
        /// Array of a planar format.
        array: u32,
        /// Which plane.
        plane: u32,
        /// Minted by the client: the id of the plane's array.
        made: u32,
    } -> ArrayShape;
    /// `cuArrayDestroy`. The client sends it only when the work that may use it is complete. For levels and planes it forgets the id alone.
    0x01e4 r 1 async ArrayDestroy {
        /// Array.
        array: u32,
    } -> ();
    /// `cuMipmappedArrayDestroy`, after [`ArrayDestroy`] of its levels.
    0x01e5 r 1 async MipmapDestroy {
        /// Mipmapped array.
        mipmap: u32,
    } -> ();
    /// `cuArrayGetMemoryRequirements`, `cuMipmappedArrayGetMemoryRequirements`; the reply is size and alignment, bytes.
    0x01e6 r 1 sync ArrayRequirements {
        /// Array or mipmapped array.
        array: u32,
        /// Which of the two.
        mipmapped: bool,
        /// Device ordinal.
        device: u32,
    } -> (u64, u64);
    /// `cuArrayGetSparseProperties`, `cuMipmappedArrayGetSparseProperties`.
    0x01e7 r 1 sync ArraySparse {
        /// Array or mipmapped array.
        array: u32,
        /// Which of the two.
        mipmapped: bool,
    } -> SparseProperties;
    /// `cuTexObjectCreate`; the reply is the box's own handle, which kernels receive as a parameter.
    0x01e8 r 1 sync TextureCreate {
        /// What is read.
        resource: Resource,
        /// How.
        texture: TextureSettings,
        /// As which format and which part of it.
        view: Option<ResourceView>,
    } -> u64;
    /// `cuTexObjectDestroy`.
    0x01e9 r 1 async TextureDestroy {
        /// As created.
        texture: u64,
    } -> ();
    /// `cuSurfObjectCreate`; the reply is the box's own handle.
    0x01ea r 1 sync SurfaceCreate {
        /// Array.
        array: u32,
    } -> u64;
    /// `cuSurfObjectDestroy`.
    0x01eb r 1 async SurfaceDestroy {
        /// As created.
        surface: u64,
    } -> ();
    /// As [`Copy`](struct@super::Copy), with an array on one side or on both: there the address is a number as [`ARRAY_ROW`] says.
    0x01ec r 1 async CopyArray {
        /// `COPY_*`; arrays count as memory of the device.
        kind: u8,
        /// Stream.
        stream: u32,
        /// Array that is written, 0 for memory.
        dst_array: u32,
        /// Array that is read, 0 for memory.
        src_array: u32,
        /// Destination.
        dst: Plane,
        /// Source.
        src: Plane,
        /// Size.
        extent: Extent,
    } -> ();
    /// `cuMemMapArrayAsync`.
    0x01ee r 1 sync ArrayMap {
        /// Stream.
        stream: u32,
        /// What is mapped and unmapped.
        mappings: Vec<ArrayMapping>,
    } -> ();
    /// `cuDeviceGetTexture1DLinearMaxWidth`.
    0x01ed r 1 sync TextureLinearWidth {
        /// Device ordinal.
        device: u32,
        /// `CUarray_format`.
        format: u32,
        /// Channels per element.
        channels: u32,
    } -> u64;
}
