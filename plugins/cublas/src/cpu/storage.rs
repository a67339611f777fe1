//! How a matrix of level 2 is stored: in full, as a band, packed; all of it or one triangle.

use super::device::{Matrix, Operands};
use super::scalar::Scalar;

/// `CUBLAS_FILL_MODE_LOWER`.
pub(super) const LOWER: i64 = 0;

/// Where elements are.
#[derive(Debug, Clone, Copy)]
pub(super) enum Form {
    Full,
    /// Diagonals below and above.
    Band(usize, usize),
    /// One triangle, column by column.
    Packed {
        lower: bool,
        n: usize,
    },
}

/// A stored matrix.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stored<T> {
    matrix: Matrix<T>,
    form: Form,
}

impl<T: Scalar> Stored<T> {
    /// All of an `m` by `n` matrix.
    pub(super) fn full(operands: &mut Operands, at: *mut T, m: i64, n: i64, leading: i64) -> Self {
        Self {
            matrix: operands.matrix(at, m, n, leading),
            form: Form::Full,
        }
    }

    /// A band of `below` and `above` diagonals of `n` columns.
    pub(super) fn band(
        operands: &mut Operands,
        at: *mut T,
        n: i64,
        (below, above): (i64, i64),
        leading: i64,
    ) -> Self {
        operands.wrong |= below < 0 || above < 0;
        Self {
            matrix: operands.matrix(
                at,
                below.saturating_add(above).saturating_add(1),
                n,
                leading,
            ),
            form: Form::Band(below as usize, above as usize),
        }
    }

    /// A triangle of an `n` by `n` matrix.
    pub(super) fn packed(operands: &mut Operands, at: *mut T, n: i64, uplo: i64) -> Self {
        operands.wrong |= n < 0;
        let length = n.saturating_mul(n.saturating_add(1)) / 2;
        Self {
            matrix: operands.matrix(at, length, 1, length.max(1)),
            form: Form::Packed {
                lower: uplo == LOWER,
                n: n as usize,
            },
        }
    }

    /// Row and column in memory of an element; `None` if it is not stored.
    fn place(&self, i: usize, j: usize) -> Option<(usize, usize)> {
        match self.form {
            Form::Full => Some((i, j)),
            Form::Band(below, above) => {
                (i <= j + below && j <= i + above).then(|| (above + i - j, j))
            }
            Form::Packed { lower: true, n } => (i >= j).then(|| (i + j * (2 * n - j - 1) / 2, 0)),
            Form::Packed { lower: false, .. } => (i <= j).then(|| (i + j * (j + 1) / 2, 0)),
        }
    }

    /// An element, 0 if it is not stored.
    pub(super) fn get(&self, i: usize, j: usize) -> T {
        self.place(i, j)
            .map_or(T::ZERO, |(i, j)| self.matrix.get(i, j))
    }

    /// Writes a stored element.
    pub(super) fn set(&self, i: usize, j: usize, value: T) {
        if let Some((i, j)) = self.place(i, j) {
            self.matrix.set(i, j, value);
        }
    }

    /// An element of a symmetric (or Hermitian) matrix of which one triangle counts.
    pub(super) fn symmetric(&self, lower: bool, hermitian: bool, i: usize, j: usize) -> T {
        let stored = if lower { i >= j } else { i <= j };
        match (stored, hermitian) {
            (true, true) if i == j => T::of_real(self.get(i, j).real()),
            (true, _) => self.get(i, j),
            (false, false) => self.get(j, i),
            (false, true) => self.get(j, i).conj(),
        }
    }

    /// An element of a triangular matrix.
    pub(super) fn triangular(&self, lower: bool, unit: bool, i: usize, j: usize) -> T {
        if i == j && unit {
            T::ONE
        } else if if lower { i >= j } else { i <= j } {
            self.get(i, j)
        } else {
            T::ZERO
        }
    }
}

/// An element of a matrix after `cublasOperation_t`: 0 as it is, 1 transposed, 2 its conjugate transposed, 3 its conjugate.
pub(super) fn turned<T: Scalar>(
    operation: i64,
    get: impl Fn(usize, usize) -> T,
    i: usize,
    j: usize,
) -> T {
    match operation {
        1 => get(j, i),
        2 => get(j, i).conj(),
        3 => get(i, j).conj(),
        _ => get(i, j),
    }
}
