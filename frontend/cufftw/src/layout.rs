//! How the data of a plan are spread.

/// One side of a plan: the embedding array, the distance of neighbours and that of the transforms of a batch, in elements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spread {
    /// Extents of the array that the data lie in.
    pub embed: Vec<i64>,
    /// Between neighbours in the last dimension.
    pub stride: i64,
    /// Between transforms.
    pub distance: i64,
}

/// A dimension of FFTW's guru interface: extent, and strides of input and output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dimension {
    /// Extent.
    pub n: i64,
    /// Stride of the input.
    pub input: i64,
    /// Stride of the output.
    pub output: i64,
}

impl Spread {
    /// Without gaps.
    #[must_use]
    pub fn packed(extents: &[i64]) -> Self {
        Self {
            embed: extents.to_vec(),
            stride: 1,
            distance: extents.iter().product(),
        }
    }

    /// Of strides: `None` if they are not those of an array in an array.
    #[must_use]
    pub fn of_strides(extents: &[i64], strides: &[i64], distance: i64) -> Option<Self> {
        let stride = *strides.last()?;
        let mut embed = vec![*extents.first()?];
        for pair in strides.windows(2) {
            let &[outer, inner] = pair else { return None };
            if inner <= 0 || outer % inner != 0 {
                return None;
            }
            embed.push(outer / inner);
        }
        Some(Self {
            embed,
            stride,
            distance,
        })
    }

    /// Elements from the first to the last of `batch` transforms of these extents; `None` if there are none, or more than there can be.
    #[must_use]
    pub fn span(&self, extents: &[i64], batch: i64) -> Option<i64> {
        let mut last = 0i64;
        for (extent, embed) in extents.iter().zip(&self.embed) {
            let extent = extent.checked_sub(1).filter(|extent| *extent >= 0)?;
            last = last.checked_mul(*embed)?.checked_add(extent)?;
        }
        let in_batch = batch.checked_sub(1)?.checked_mul(self.distance)?;
        let span = last.checked_mul(self.stride)?.checked_add(in_batch)?;
        span.checked_add(1).filter(|span| *span > 0 && batch > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans() {
        assert_eq!(Spread::packed(&[4, 5]).span(&[4, 5], 3), Some(60));
        let columns = Spread {
            embed: vec![6],
            stride: 10,
            distance: 1,
        };
        assert_eq!(columns.span(&[6], 10), Some(60));
        assert_eq!(columns.span(&[6], 0), None);
        assert_eq!(Spread::packed(&[0]).span(&[0], 1), None);
    }

    #[test]
    fn strides() {
        let spread = Spread::of_strides(&[3, 4], &[10, 2], 7);
        let expected = Spread {
            embed: vec![3, 5],
            stride: 2,
            distance: 7,
        };
        assert_eq!(spread, Some(expected));
        assert_eq!(Spread::of_strides(&[3, 4], &[5, 2], 7), None);
    }
}
