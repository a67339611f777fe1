//! Descriptors of tensors for the tensor memory accelerator.

crate::commands! {
    /// The commands.
    pub(super) table COMMANDS, dispatch dispatch, handler TensorMapsHandler;

    /// `cuTensorMapEncodeTiled` and its siblings: a descriptor in the format that the box's driver alone knows.
    0x01c0 r 1 sync TensorMapEncode {
        /// 0 tiled, 1 im2col, 2 im2col wide.
        form: u8,
        /// `CUtensorMapDataType`.
        data_type: u32,
        /// Device address, the same at both ends.
        address: u64,
        /// Size of each dimension, elements; as many as the tensor's rank.
        dimensions: Vec<u64>,
        /// Bytes between elements of each dimension but the first.
        strides: Vec<u64>,
        /// Tiled: size of the box in each dimension.
        tile: Vec<u32>,
        /// Im2col: lower and upper corner of the pixel box in each spatial dimension; wide: of the width.
        corners: Vec<(i32, i32)>,
        /// Im2col: channels per pixel.
        channels: u32,
        /// Im2col: pixels per column.
        pixels: u32,
        /// Step in each dimension.
        element_strides: Vec<u32>,
        /// `CUtensorMapInterleave`.
        interleave: u32,
        /// Wide: `CUtensorMapIm2ColWideMode`.
        mode: u32,
        /// `CUtensorMapSwizzle`.
        swizzle: u32,
        /// `CUtensorMapL2promotion`.
        promotion: u32,
        /// `CUtensorMapFloatOOBfill`.
        fill: u32,
    } -> Vec<u8>;
    /// `cuTensorMapReplaceAddress`; the reply is the changed descriptor.
    0x01c1 r 1 sync TensorMapReplaceAddress {
        /// The descriptor, 128 bytes.
        map: Vec<u8>,
        /// Device address.
        address: u64,
    } -> Vec<u8>;
}
