//! Textures and surfaces as kernels reach them: what the driver makes of descriptors, and what the engine reads and writes by.
//!
//! Arrays lie in device memory, row after row; so do the levels of mipmapped arrays. The engine checks every texel's address like any other.

use std::sync::Arc;

/// What a channel of an element is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// Integers, read as such or as fractions.
    U8,
    /// As above.
    U16,
    /// Integers.
    U32,
    /// Integers, read as such or as fractions.
    S8,
    /// As above.
    S16,
    /// Integers.
    S32,
    /// Floating point.
    F16,
    /// Floating point.
    F32,
    /// Fractions, never read as integers.
    Unorm8,
    /// As above.
    Unorm16,
    /// As above.
    Snorm8,
    /// As above.
    Snorm16,
}

impl Channel {
    /// The channel of a `CUarray_format`, and how many of them the format itself says there are (0: any number).
    #[must_use]
    pub fn of_format(format: u32) -> Option<(Self, u32)> {
        Some(match format {
            0x01 => (Self::U8, 0),
            0x02 => (Self::U16, 0),
            0x03 => (Self::U32, 0),
            0x08 => (Self::S8, 0),
            0x09 => (Self::S16, 0),
            0x0a => (Self::S32, 0),
            0x10 => (Self::F16, 0),
            0x20 => (Self::F32, 0),
            0xc0..=0xc2 => (Self::Unorm8, 1 << (format - 0xc0)),
            0xc3..=0xc5 => (Self::Unorm16, 1 << (format - 0xc3)),
            0xc6..=0xc8 => (Self::Snorm8, 1 << (format - 0xc6)),
            0xc9..=0xcb => (Self::Snorm16, 1 << (format - 0xc9)),
            _ => return None,
        })
    }

    /// Bytes.
    #[must_use]
    pub fn bytes(self) -> u32 {
        match self {
            Self::U8 | Self::S8 | Self::Unorm8 | Self::Snorm8 => 1,
            Self::U16 | Self::S16 | Self::F16 | Self::Unorm16 | Self::Snorm16 => 2,
            Self::U32 | Self::S32 | Self::F32 => 4,
        }
    }

    /// Whether it holds integers that may be read as such.
    #[must_use]
    pub fn is_integer(self) -> bool {
        matches!(
            self,
            Self::U8 | Self::U16 | Self::U32 | Self::S8 | Self::S16 | Self::S32
        )
    }
}

/// What an element is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Element {
    /// Each of its channels.
    pub channel: Channel,
    /// How many: 1, 2 or 4.
    pub channels: u32,
}

impl Element {
    /// Bytes.
    #[must_use]
    pub fn bytes(self) -> u32 {
        self.channel.bytes() * self.channels
    }
}

/// A box of elements in device memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    /// Of the first element.
    pub address: u64,
    /// Elements per row.
    pub width: u32,
    /// Rows, 1 at least.
    pub height: u32,
    /// Slices, layers or faces, 1 at least.
    pub depth: u32,
    /// Bytes from row to row.
    pub row: u64,
    /// Bytes from slice to slice.
    pub slice: u64,
}

/// `CUaddress_mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressMode {
    /// From the beginning again.
    Wrap,
    /// The outermost texel.
    Clamp,
    /// Back and forth.
    Mirror,
    /// The border's colour.
    Border,
}

/// A texture object.
#[derive(Debug, Clone, PartialEq)]
pub struct Texture {
    /// One at least.
    pub levels: Vec<Level>,
    /// What is read.
    pub element: Element,
    /// Whether it is linear memory, which has zeros beyond its ends.
    pub memory: bool,
    /// In each dimension.
    pub address_modes: [AddressMode; 3],
    /// Whether texels are blended.
    pub linear: bool,
    /// Whether coordinates go from 0 to 1.
    pub normalized: bool,
    /// Whether integers stay integers.
    pub as_integer: bool,
    /// Whether the first three channels are decoded from sRGB.
    pub srgb: bool,
    /// Whether levels are blended.
    pub mip_linear: bool,
    /// Added to the level.
    pub bias: f32,
    /// Lowest level.
    pub lowest: f32,
    /// Highest level.
    pub highest: f32,
    /// The border's colour.
    pub border: [f32; 4],
}

/// A surface object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Surface {
    /// What is read and written.
    pub level: Level,
    /// What it holds.
    pub element: Element,
}

/// Where kernels' handles are looked up.
pub trait Images: Sync {
    /// The texture object with a handle, if there is one.
    fn texture(&self, handle: u64) -> Option<Arc<Texture>>;
    /// The surface object with a handle, if there is one.
    fn surface(&self, handle: u64) -> Option<Arc<Surface>>;
}

/// For grids that have no textures and no surfaces.
#[derive(Debug, Clone, Copy)]
pub struct NoImages;

impl Images for NoImages {
    fn texture(&self, _: u64) -> Option<Arc<Texture>> {
        None
    }

    fn surface(&self, _: u64) -> Option<Arc<Surface>> {
        None
    }
}
