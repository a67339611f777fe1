//! The four types of cuBLAS.

use std::ops::{Add, Div, Mul, Neg, Sub};

use matrixmultiply::CGemmOption::Standard;
use num_complex::Complex;

/// A real type.
pub(super) trait Real: Scalar<Real = Self> + PartialOrd {
    fn to_f64(self) -> f64;
    fn of_f64(value: f64) -> Self;
}

/// What vectors and matrices are made of.
pub(super) trait Scalar:
    Copy
    + Send
    + Sync
    + PartialEq
    + 'static
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
{
    type Real: Real;
    const ZERO: Self;
    const ONE: Self;
    fn conj(self) -> Self;
    fn of_real(value: Self::Real) -> Self;
    fn real(self) -> Self::Real;
    /// `|re| + |im|`, by which cuBLAS compares.
    fn size(self) -> Self::Real;
    fn norm_squared(self) -> f64;
    /// `C = alpha A B + beta C`; strides of rows and columns, elements.
    ///
    /// # Safety
    /// The matrices are there.
    #[allow(clippy::too_many_arguments, reason = "a product's")]
    unsafe fn gemm(
        shape: (usize, usize, usize),
        alpha: Self,
        a: (*const Self, isize, isize),
        b: (*const Self, isize, isize),
        beta: Self,
        c: (*mut Self, isize, isize),
    );
}

macro_rules! real {
    ($t:ty, $gemm:path, $complex:path) => {
        impl Real for $t {
            fn to_f64(self) -> f64 {
                self.into()
            }
            fn of_f64(value: f64) -> Self {
                value as $t
            }
        }
        impl Scalar for $t {
            type Real = $t;
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            fn conj(self) -> Self {
                self
            }
            fn of_real(value: $t) -> Self {
                value
            }
            fn real(self) -> $t {
                self
            }
            fn size(self) -> $t {
                self.abs()
            }
            fn norm_squared(self) -> f64 {
                f64::from(self) * f64::from(self)
            }
            unsafe fn gemm(
                (m, n, k): (usize, usize, usize),
                alpha: Self,
                a: (*const Self, isize, isize),
                b: (*const Self, isize, isize),
                beta: Self,
                c: (*mut Self, isize, isize),
            ) {
                // SAFETY: by this function's contract.
                unsafe {
                    $gemm(
                        m, k, n, alpha, a.0, a.1, a.2, b.0, b.1, b.2, beta, c.0, c.1, c.2,
                    )
                }
            }
        }
        impl Scalar for Complex<$t> {
            type Real = $t;
            const ZERO: Self = Complex { re: 0.0, im: 0.0 };
            const ONE: Self = Complex { re: 1.0, im: 0.0 };
            fn conj(self) -> Self {
                Complex::conj(&self)
            }
            fn of_real(value: $t) -> Self {
                Complex { re: value, im: 0.0 }
            }
            fn real(self) -> $t {
                self.re
            }
            fn size(self) -> $t {
                self.re.abs() + self.im.abs()
            }
            fn norm_squared(self) -> f64 {
                f64::from(self.re) * f64::from(self.re) + f64::from(self.im) * f64::from(self.im)
            }
            unsafe fn gemm(
                (m, n, k): (usize, usize, usize),
                alpha: Self,
                a: (*const Self, isize, isize),
                b: (*const Self, isize, isize),
                beta: Self,
                c: (*mut Self, isize, isize),
            ) {
                // SAFETY: by this function's contract; a complex number is laid out as an array of two.
                unsafe {
                    $complex(
                        Standard,
                        Standard,
                        m,
                        k,
                        n,
                        [alpha.re, alpha.im],
                        a.0.cast(),
                        a.1,
                        a.2,
                        b.0.cast(),
                        b.1,
                        b.2,
                        [beta.re, beta.im],
                        c.0.cast(),
                        c.1,
                        c.2,
                    )
                }
            }
        }
    };
}
real!(f32, matrixmultiply::sgemm, matrixmultiply::cgemm);
real!(f64, matrixmultiply::dgemm, matrixmultiply::zgemm);
