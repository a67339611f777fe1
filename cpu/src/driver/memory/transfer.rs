//! How copies and fills run.

use std::sync::Arc;

use super::{Place, memory};
use crate::driver::error::{ERROR_ILLEGAL_ADDRESS, Result};

/// One side of a copy.
#[derive(Debug, Clone)]
pub(in crate::driver) enum End {
    /// Device or pinned memory: checked again when the copy runs.
    Known(u64),
    /// The program's own memory.
    Pageable(u64),
    /// Bytes taken when the call was made.
    Staged(Arc<Vec<u8>>),
}

/// Distances between rows and between slices, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::driver) struct Pitch {
    pub(in crate::driver) row: u64,
    pub(in crate::driver) slice: u64,
}

/// A copy of `depth` slices of `height` rows of `width` bytes.
#[derive(Debug, Clone)]
pub(in crate::driver) struct Copy {
    pub(in crate::driver) source: End,
    pub(in crate::driver) destination: End,
    pub(in crate::driver) width: u64,
    pub(in crate::driver) height: u64,
    pub(in crate::driver) depth: u64,
    pub(in crate::driver) source_pitch: Pitch,
    pub(in crate::driver) destination_pitch: Pitch,
}

/// Bytes from the first to the last that a shape touches; `None` on overflow.
pub(in crate::driver) fn span(width: u64, height: u64, depth: u64, pitch: Pitch) -> Option<u64> {
    if width == 0 || height == 0 || depth == 0 {
        return Some(0);
    }
    (depth - 1)
        .checked_mul(pitch.slice)?
        .checked_add((height - 1).checked_mul(pitch.row)?)?
        .checked_add(width)
}

impl End {
    /// Its address, if it may still be accessed.
    fn check(&self, bytes: u64) -> Result<u64> {
        match self {
            Self::Known(address) => match memory().classify(*address, bytes) {
                Ok(Place::Device | Place::Pinned) => Ok(*address),
                _ => Err(ERROR_ILLEGAL_ADDRESS),
            },
            Self::Pageable(address) => Ok(*address),
            Self::Staged(bytes) => Ok(bytes.as_ptr().expose_provenance() as u64),
        }
    }
}

impl Copy {
    /// Whether there is nothing to copy.
    pub(in crate::driver) fn is_empty(&self) -> bool {
        self.width == 0 || self.height == 0 || self.depth == 0
    }

    /// # Errors
    /// `CUDA_ERROR_ILLEGAL_ADDRESS` when memory has gone since the call.
    pub(in crate::driver) fn run(&self) -> Result {
        let Self {
            width,
            height,
            depth,
            source_pitch,
            destination_pitch,
            ..
        } = *self;
        if self.is_empty() {
            return Ok(());
        }
        let _running = memory().quiescence.enter();
        let source = self
            .source
            .check(span(width, height, depth, source_pitch).ok_or(ERROR_ILLEGAL_ADDRESS)?)?;
        let destination = self
            .destination
            .check(span(width, height, depth, destination_pitch).ok_or(ERROR_ILLEGAL_ADDRESS)?)?;
        let packed = |pitch: Pitch| {
            (height == 1 || pitch.row == width) && (depth == 1 || pitch.slice == width * height)
        };
        if packed(source_pitch) && packed(destination_pitch) {
            move_bytes(destination, source, width * height * depth);
            return Ok(());
        }
        for z in 0..depth {
            for y in 0..height {
                let from = source + z * source_pitch.slice + y * source_pitch.row;
                let to = destination + z * destination_pitch.slice + y * destination_pitch.row;
                move_bytes(to, from, width);
            }
        }
        Ok(())
    }
}

fn move_bytes(to: u64, from: u64, length: u64) {
    // SAFETY: `Copy::run` has checked both ranges, and its running operation keeps device memory mapped; pageable memory is the caller's under CUDA's contract.
    unsafe {
        std::ptr::copy(
            std::ptr::with_exposed_provenance::<u8>(from as usize),
            std::ptr::with_exposed_provenance_mut::<u8>(to as usize),
            length as usize,
        );
    }
}

/// A fill of `height` rows of `width` elements.
#[derive(Debug, Clone, Copy)]
pub(in crate::driver) struct Fill {
    pub(in crate::driver) address: u64,
    pub(in crate::driver) value: u32,
    /// Bytes per element: 1, 2 or 4.
    pub(in crate::driver) element: u64,
    pub(in crate::driver) width: u64,
    pub(in crate::driver) height: u64,
    /// Bytes from row to row.
    pub(in crate::driver) pitch: u64,
}

impl Fill {
    /// Bytes from the first to the last that it touches; `None` on overflow.
    pub(in crate::driver) fn span(&self) -> Option<u64> {
        span(
            self.width.checked_mul(self.element)?,
            self.height,
            1,
            Pitch {
                row: self.pitch,
                slice: 0,
            },
        )
    }

    /// # Errors
    /// `CUDA_ERROR_ILLEGAL_ADDRESS` when memory has gone since the call.
    pub(in crate::driver) fn run(&self) -> Result {
        if self.width == 0 || self.height == 0 {
            return Ok(());
        }
        let _running = memory().quiescence.enter();
        let bytes = self.span().ok_or(ERROR_ILLEGAL_ADDRESS)?;
        let start = End::Known(self.address).check(bytes)?;
        for y in 0..self.height {
            let row =
                std::ptr::with_exposed_provenance_mut::<u8>((start + y * self.pitch) as usize);
            let width = self.width as usize;
            // SAFETY: the range was checked just now, the address is a multiple of the element's size (checked at the call), and the running operation keeps
            // it mapped.
            unsafe {
                match self.element {
                    1 => std::ptr::write_bytes(row, self.value as u8, width),
                    2 => std::slice::from_raw_parts_mut(row.cast::<u16>(), width)
                        .fill(self.value as u16),
                    _ => std::slice::from_raw_parts_mut(row.cast::<u32>(), width).fill(self.value),
                }
            }
        }
        Ok(())
    }
}
