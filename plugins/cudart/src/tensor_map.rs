//! Tensor maps, encoded by the box's driver.
//!
//! See <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__TENSOR__MEMORY.html>.

use gvirtus_wire::api::core::{TensorMapEncode, TensorMapReplaceAddress};
use gvirtus_wire::command::{Answer, Handle as Handler};
use gvirtus_wire::frame::Header;

use crate::driver::cu;
use crate::errors::{ERROR_INVALID_VALUE, Result};
use crate::session::Session;

/// [`TensorMapEncode::form`].
const TILED: u8 = 0;
const IM2COL: u8 = 1;
const IM2COL_WIDE: u8 = 2;

/// `CUtensorMap`.
#[repr(C, align(64))]
struct Map([u8; 128]);

impl Handler<TensorMapEncode> for Session {
    fn handle(&self, header: &Header, c: TensorMapEncode) -> Result<Answer<Vec<u8>>> {
        self.enter(header)?;
        // The driver reads as many elements of each array as the rank says.
        let rank = c.dimensions.len();
        let (ranks, corners, tile) = match c.form {
            TILED => (1..=5, 0, rank),
            IM2COL => (3..=5, rank.saturating_sub(2), 0),
            IM2COL_WIDE => (3..=5, 1, 0),
            _ => return Err(ERROR_INVALID_VALUE),
        };
        if !ranks.contains(&rank)
            || c.strides.len() != rank - 1
            || c.element_strides.len() != rank
            || c.tile.len() != tile
            || c.corners.len() != corners
        {
            return Err(ERROR_INVALID_VALUE);
        }
        let (lower, upper): (Vec<i32>, Vec<i32>) = c.corners.iter().copied().unzip();
        let address = c.address as *mut _;
        let mut map = Map([0; 128]);
        let to = (&raw mut map).cast();
        match c.form {
            TILED => cu!(
                self.driver,
                cuTensorMapEncodeTiled(
                    to,
                    c.data_type,
                    rank as u32,
                    address,
                    c.dimensions.as_ptr(),
                    c.strides.as_ptr(),
                    c.tile.as_ptr(),
                    c.element_strides.as_ptr(),
                    c.interleave,
                    c.swizzle,
                    c.promotion,
                    c.fill
                )
            ),
            IM2COL => cu!(
                self.driver,
                cuTensorMapEncodeIm2col(
                    to,
                    c.data_type,
                    rank as u32,
                    address,
                    c.dimensions.as_ptr(),
                    c.strides.as_ptr(),
                    lower.as_ptr(),
                    upper.as_ptr(),
                    c.channels,
                    c.pixels,
                    c.element_strides.as_ptr(),
                    c.interleave,
                    c.swizzle,
                    c.promotion,
                    c.fill
                )
            ),
            _ => cu!(
                self.driver,
                cuTensorMapEncodeIm2colWide(
                    to,
                    c.data_type,
                    rank as u32,
                    address,
                    c.dimensions.as_ptr(),
                    c.strides.as_ptr(),
                    lower[0],
                    upper[0],
                    c.channels,
                    c.pixels,
                    c.element_strides.as_ptr(),
                    c.interleave,
                    c.mode,
                    c.swizzle,
                    c.promotion,
                    c.fill
                )
            ),
        }?;
        Ok(Answer::Now(map.0.to_vec()))
    }
}

impl Handler<TensorMapReplaceAddress> for Session {
    fn handle(&self, header: &Header, command: TensorMapReplaceAddress) -> Result<Answer<Vec<u8>>> {
        self.enter(header)?;
        let mut map = Map(command.map.try_into().map_err(|_| ERROR_INVALID_VALUE)?);
        cu!(
            self.driver,
            cuTensorMapReplaceAddress((&raw mut map).cast(), command.address as *mut _)
        )?;
        Ok(Answer::Now(map.0.to_vec()))
    }
}
