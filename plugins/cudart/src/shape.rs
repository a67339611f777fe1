//! Boxes of bytes: checked sizes, and how they are cut into pieces.

use gvirtus_wire::api::core::{Extent, Plane};

use crate::errors::{ERROR_INVALID_VALUE, Result};

/// A box in one address space, its sizes checked against overflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Box3 {
    width: u64,
    height: u64,
    depth: u64,
    pitch: u64,
    slice: u64,
    span: u64,
    total: u64,
}

/// A part of a box that one copy moves: `rows` rows of `width` bytes, `pitch` bytes apart, beginning `offset` bytes after the box.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) offset: u64,
    pub(crate) width: u64,
    pub(crate) rows: u64,
    pub(crate) pitch: u64,
}

impl Piece {
    /// Bytes without the gaps between rows.
    pub(crate) fn bytes(&self) -> u64 {
        self.width * self.rows
    }
}

/// Bytes of a box without gaps.
pub(crate) fn packed(extent: &Extent) -> Result<u64> {
    extent
        .width
        .checked_mul(extent.height)
        .and_then(|n| n.checked_mul(extent.depth))
        .ok_or(ERROR_INVALID_VALUE)
}

impl Box3 {
    /// Checks a box: rows do not overlap, slices do not overlap, nothing wraps around.
    pub(crate) fn new(plane: &Plane, extent: &Extent) -> Result<Self> {
        let total = packed(extent)?;
        if total == 0 {
            return Ok(Self {
                width: 0,
                height: 0,
                depth: 0,
                pitch: 0,
                slice: 0,
                span: 0,
                total,
            });
        }
        let Extent {
            width,
            mut height,
            mut depth,
        } = *extent;
        let mut pitch = if height == 1 { width } else { plane.pitch };
        let mut slice = plane.slice;
        if pitch < width {
            return Err(ERROR_INVALID_VALUE);
        }
        let one = (height - 1)
            .checked_mul(pitch)
            .and_then(|n| n.checked_add(width))
            .ok_or(ERROR_INVALID_VALUE)?;
        if depth == 1 {
            slice = one;
        } else if slice < one {
            return Err(ERROR_INVALID_VALUE);
        } else if height == 1 {
            // Slices of one row are rows.
            (height, depth, pitch) = (depth, 1, slice);
        } else if pitch.checked_mul(height) == Some(slice) {
            // Slices without a gap are one slice.
            (height, depth) = (height.checked_mul(depth).ok_or(ERROR_INVALID_VALUE)?, 1);
        }
        let span = (depth - 1)
            .checked_mul(slice)
            .and_then(|n| n.checked_add((height - 1).checked_mul(pitch)?))
            .and_then(|n| n.checked_add(width))
            .filter(|span| plane.address.checked_add(*span).is_some())
            .ok_or(ERROR_INVALID_VALUE)?;
        if depth == 1 && height > 1 && pitch == width {
            return Ok(Self {
                width: total,
                height: 1,
                depth: 1,
                pitch: total,
                slice: total,
                span,
                total,
            });
        }
        Ok(Self {
            width,
            height,
            depth,
            pitch,
            slice,
            span,
            total,
        })
    }

    /// Bytes from the first to the last, gaps included.
    pub(crate) fn span(&self) -> u64 {
        self.span
    }

    /// Bytes without gaps.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// The length, if there are no gaps.
    pub(crate) fn linear(&self) -> Option<u64> {
        (self.span == self.total).then_some(self.total)
    }

    /// Offsets and length of the rows, in packed order.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (u64, u64)> + use<> {
        let Self {
            width,
            height,
            depth,
            pitch,
            slice,
            ..
        } = *self;
        (0..depth).flat_map(move |z| (0..height).map(move |y| (z * slice + y * pitch, width)))
    }

    /// Cuts the box, in packed order, into pieces of at most `most` bytes.
    pub(crate) fn pieces(&self, most: u64) -> impl Iterator<Item = Piece> + use<> {
        let Self {
            width,
            height,
            depth,
            pitch,
            slice,
            ..
        } = *self;
        // Long rows are cut, short ones are taken together.
        let part = width.min(most).max(1);
        let together = if width <= most && width > 0 {
            (most / width).max(1)
        } else {
            1
        };
        (0..depth).flat_map(move |z| {
            (0..height.div_ceil(together)).flat_map(move |group| {
                let first = group * together;
                let rows = together.min(height - first);
                (0..width.div_ceil(part)).map(move |n| Piece {
                    offset: z * slice + first * pitch + n * part,
                    width: part.min(width - n * part),
                    rows,
                    pitch,
                })
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape((pitch, slice): (u64, u64), (width, height, depth): (u64, u64, u64)) -> Result<Box3> {
        Box3::new(
            &Plane {
                address: 0x1000,
                pitch,
                slice,
            },
            &Extent {
                width,
                height,
                depth,
            },
        )
    }

    #[test]
    fn pieces_cover_every_byte_once() {
        for (strides, extent) in [
            ((0, 0), (1000, 1, 1)),
            ((16, 0), (10, 7, 1)),
            ((16, 160), (10, 7, 3)),
            ((16, 117), (10, 7, 3)),
            ((10, 70), (10, 7, 3)),
            ((0, 50), (33, 1, 4)),
        ] {
            let shape = shape(strides, extent).unwrap();
            let expected: Vec<u64> = (0..extent.2)
                .flat_map(|z| (0..extent.1).map(move |y| z * strides.1 + y * strides.0))
                .flat_map(|row| row..row + extent.0)
                .collect();
            for most in [1, 7, 10, 25, 64, 5000] {
                let mut bytes = Vec::new();
                for piece in shape.pieces(most) {
                    assert!(piece.bytes() <= most);
                    for row in 0..piece.rows {
                        let start = piece.offset + row * piece.pitch;
                        bytes.extend(start..start + piece.width);
                    }
                }
                assert_eq!(bytes, expected, "{strides:?} {extent:?} {most}");
            }
            let rows: Vec<u64> = shape.rows().flat_map(|(at, n)| at..at + n).collect();
            assert_eq!(rows, expected);
        }
    }

    #[test]
    fn impossible_boxes_are_refused() {
        assert!(shape((5, 0), (10, 2, 1)).is_err());
        assert!(shape((10, 5), (10, 2, 2)).is_err());
        assert!(shape((u64::MAX, 0), (10, 3, 1)).is_err());
        assert!(shape((0, 0), (u64::MAX, 2, 1)).is_err());
        assert!(shape((0, 0), (u64::MAX, 1, 1)).is_err());
        assert_eq!(shape((0, 0), (0, 5, 5)).unwrap().total(), 0);
    }
}
