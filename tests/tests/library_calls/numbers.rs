//! Complex numbers of all four types, in double precision for the references.

use std::f64::consts::TAU;
use std::ops::{Add, AddAssign, Div, Mul};

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Number {
    pub(crate) re: f64,
    pub(crate) im: f64,
}

pub(crate) const ZERO: Number = real(0.0);
pub(crate) const ONE: Number = real(1.0);

pub(crate) const fn real(re: f64) -> Number {
    Number { re, im: 0.0 }
}

impl Number {
    pub(crate) fn conj(self) -> Self {
        Self {
            im: -self.im,
            ..self
        }
    }

    /// On the unit circle, by a part of a full turn.
    pub(crate) fn turn(part: f64) -> Self {
        let (im, re) = (part * TAU).sin_cos();
        Self { re, im }
    }

    /// The same, where nothing is like nothing.
    pub(crate) fn same(self, other: Self) -> bool {
        let same = |a: f64, b: f64| a == b || a.is_nan() && b.is_nan();
        same(self.re, other.re) && same(self.im, other.im)
    }

    pub(crate) fn distance(self, other: Self) -> f64 {
        (self.re - other.re).hypot(self.im - other.im)
    }
}

impl Add for Number {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            re: self.re + other.re,
            im: self.im + other.im,
        }
    }
}

impl AddAssign for Number {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Mul for Number {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        Self {
            re: self.re * other.re - self.im * other.im,
            im: self.re * other.im + self.im * other.re,
        }
    }
}

impl Div for Number {
    type Output = Self;
    fn div(self, other: Self) -> Self {
        let norm = other.re * other.re + other.im * other.im;
        let product = self * other.conj();
        Self {
            re: product.re / norm,
            im: product.im / norm,
        }
    }
}

/// How numbers lie in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) double: bool,
    pub(crate) complex: bool,
}

impl Kind {
    /// By cuBLAS's letter.
    pub(crate) fn of_letter(letter: &str) -> Self {
        Self {
            double: matches!(letter, "D" | "Z"),
            complex: matches!(letter, "C" | "Z"),
        }
    }

    pub(crate) fn real(self) -> Self {
        Self {
            complex: false,
            ..self
        }
    }

    pub(crate) fn size(self) -> usize {
        (4 << usize::from(self.double)) << usize::from(self.complex)
    }

    /// Numbers as bytes.
    pub(crate) fn bytes(self, numbers: &[Number]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for number in numbers {
            let parts = [number.re, number.im];
            for part in &parts[..1 + usize::from(self.complex)] {
                if self.double {
                    bytes.extend(part.to_ne_bytes());
                } else {
                    bytes.extend((*part as f32).to_ne_bytes());
                }
            }
        }
        bytes
    }

    /// Bytes as numbers.
    pub(crate) fn numbers(self, bytes: &[u8]) -> Vec<Number> {
        let part = |bytes: &[u8]| match bytes {
            [a, b, c, d] => f64::from(f32::from_ne_bytes([*a, *b, *c, *d])),
            _ => f64::from_ne_bytes(bytes.try_into().expect("eight bytes")),
        };
        let parts = bytes.chunks_exact(self.real().size()).map(part);
        let parts: Vec<f64> = parts.collect();
        let number = |parts: &[f64]| Number {
            re: parts[0],
            im: parts.get(1).copied().unwrap_or(0.0),
        };
        parts
            .chunks_exact(1 + usize::from(self.complex))
            .map(number)
            .collect()
    }
}
