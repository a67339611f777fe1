//! Texture and surface references: variables of modules that kernels read and write arrays and memory by, whatever is bound to them at the launch.

use super::arrays::{Resource, TextureSettings};

/// What [`TextureReferenceSet`] sets: the format.
pub const REFERENCE_FORMAT: u32 = 1 << 0;
/// The address modes.
pub const REFERENCE_ADDRESS_MODES: u32 = 1 << 1;
/// The filter.
pub const REFERENCE_FILTER: u32 = 1 << 2;
/// The filter between mip levels.
pub const REFERENCE_MIPMAP_FILTER: u32 = 1 << 3;
/// The offset of the mip level.
pub const REFERENCE_BIAS: u32 = 1 << 4;
/// Lowest and highest mip level.
pub const REFERENCE_CLAMP: u32 = 1 << 5;
/// The limit of anisotropy.
pub const REFERENCE_ANISOTROPY: u32 = 1 << 6;
/// What lies beyond the border.
pub const REFERENCE_BORDER: u32 = 1 << 7;
/// The flags.
pub const REFERENCE_FLAGS: u32 = 1 << 8;

crate::records! {
    /// How a texture reference reads what is bound to it.
    ReferenceState {
        /// `CUarray_format`.
        format: u32,
        /// Channels per element.
        channels: u32,
        /// As of an object.
        settings: TextureSettings,
    }
}

crate::commands! {
    /// The commands.
    pub(super) table COMMANDS, dispatch dispatch, handler TextureReferencesHandler;

    /// `cuModuleGetTexRef`; the reply is how the reference reads as yet.
    0x01f0 r 1 sync TextureReferenceFind {
        /// Module.
        module: u32,
        /// The variable.
        name: String,
        /// Minted by the client.
        reference: u32,
    } -> ReferenceState;
    /// `cuTexRefSetArray`, `cuTexRefSetMipmappedArray`, `cuTexRefSetAddress`, `cuTexRefSetAddress2D`: launches from here on read it.
    0x01f1 r 1 async TextureReferenceBind {
        /// Reference.
        reference: u32,
        /// What is read. Linear memory has the reference's format.
        resource: Resource,
    } -> ();
    /// The other `cuTexRefSet…`.
    0x01f2 r 1 async TextureReferenceSet {
        /// Reference.
        reference: u32,
        /// `REFERENCE_*`: what of the state is set.
        what: u32,
        /// The values.
        state: ReferenceState,
    } -> ();
    /// `cuModuleGetSurfRef`.
    0x01f3 r 1 sync SurfaceReferenceFind {
        /// Module.
        module: u32,
        /// The variable.
        name: String,
        /// Minted by the client.
        reference: u32,
    } -> ();
    /// `cuSurfRefSetArray`.
    0x01f4 r 1 async SurfaceReferenceBind {
        /// Reference.
        reference: u32,
        /// Array.
        array: u32,
    } -> ();
}
