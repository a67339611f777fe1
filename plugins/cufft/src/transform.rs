//! Transforms of any rank, laid out as a plan says; `rustfft` does those of one row. As cuFFT's they are not normalised.

use rustfft::num_complex::Complex;
use rustfft::{FftDirection, FftNum, FftPlanner};

/// What is transformed into what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Complex numbers.
    Complex,
    /// Real numbers into the half of the spectrum that is not redundant.
    Forward,
    /// The half of a spectrum into real numbers.
    Backward,
}

/// Where the elements of one side are: `batch * distance + (… (x0 * embed[1] + x1) * embed[2] + …) * stride`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) embed: Vec<u64>,
    pub(crate) stride: u64,
    pub(crate) distance: u64,
}

impl Layout {
    /// Elements without gaps.
    pub(crate) fn packed(extents: &[u64]) -> Option<Self> {
        Some(Self {
            embed: extents.to_vec(),
            stride: 1,
            distance: elements(extents)?,
        })
    }

    /// How many elements there must be, for so many transforms of these extents; `None` if it cannot be told.
    pub(crate) fn span(&self, extents: &[u64], batch: u64) -> Option<u64> {
        let last: Vec<u64> = extents.iter().map(|n| n - 1).collect();
        let within = self.offset(&last)?;
        let before = batch.checked_sub(1)?.checked_mul(self.distance)?;
        before.checked_add(within)?.checked_add(1)
    }

    fn offset(&self, at: &[u64]) -> Option<u64> {
        let mut offset = 0u64;
        for (x, embed) in at.iter().zip(&self.embed) {
            offset = offset.checked_mul(*embed)?.checked_add(*x)?;
        }
        offset.checked_mul(self.stride)
    }
}

/// The product of extents.
pub(crate) fn elements(extents: &[u64]) -> Option<u64> {
    extents.iter().try_fold(1u64, |all, n| all.checked_mul(*n))
}

/// Calls `what` with every position inside extents, in order, and its offset in a layout.
fn each(extents: &[u64], layout: &Layout, first: u64, mut what: impl FnMut(usize, u64)) {
    let all = elements(extents).unwrap_or(0);
    let mut at = vec![0; extents.len()];
    for index in 0..all {
        what(index as usize, first + layout.offset(&at).unwrap_or(0));
        for (x, n) in at.iter_mut().zip(extents).rev() {
            *x += 1;
            if *x < *n {
                break;
            }
            *x = 0;
        }
    }
}

/// Transforms along every dimension, in place, without gaps.
fn complex<T: FftNum>(values: &mut [Complex<T>], extents: &[u64], direction: FftDirection) {
    let mut planner = FftPlanner::new();
    let mut inner = 1;
    for &n in extents.iter().rev() {
        let n = n as usize;
        let row = planner.plan_fft(n, direction);
        if inner == 1 {
            row.process(values);
        } else {
            let mut line = vec![Complex::new(T::zero(), T::zero()); n];
            for block in values.chunks_exact_mut(n * inner) {
                for at in 0..inner {
                    for (i, value) in line.iter_mut().enumerate() {
                        *value = block[at + i * inner];
                    }
                    row.process(&mut line);
                    for (i, value) in line.iter().enumerate() {
                        block[at + i * inner] = *value;
                    }
                }
            }
        }
        inner *= n;
    }
}

/// The extents of the half of a spectrum.
pub(crate) fn half(extents: &[u64]) -> Vec<u64> {
    let mut half = extents.to_vec();
    if let Some(last) = half.last_mut() {
        *last = *last / 2 + 1;
    }
    half
}

/// Transforms a batch. `read` and `write` are given offsets in the layouts, in elements of the side; of real numbers the real part counts.
#[allow(clippy::too_many_arguments, reason = "what a plan says, and two ends")]
pub(crate) fn transform<T: FftNum>(
    kind: Kind,
    extents: &[u64],
    batch: u64,
    (input, output): (&Layout, &Layout),
    direction: FftDirection,
    in_place: bool,
    read: impl Fn(u64) -> Complex<T>,
    write: impl Fn(u64, Complex<T>),
) {
    let all = elements(extents).unwrap_or(0) as usize;
    let zero = Complex::new(T::zero(), T::zero());
    let stored = half(extents);
    let load = |i: u64| {
        let mut values = vec![zero; all];
        let first = i * input.distance;
        match kind {
            Kind::Complex => each(extents, input, first, |at, from| values[at] = read(from)),
            Kind::Forward => each(extents, input, first, |at, from| {
                values[at] = Complex::new(read(from).re, T::zero());
            }),
            Kind::Backward => {
                let mut spectrum = vec![zero; elements(&stored).unwrap_or(0) as usize];
                each(&stored, input, first, |at, from| spectrum[at] = read(from));
                complete(&spectrum, &stored, extents, &mut values);
            }
        }
        values
    };
    let store = |i: u64, mut values: Vec<Complex<T>>| {
        let first = i * output.distance;
        match kind {
            Kind::Complex => {
                complex(&mut values, extents, direction);
                each(extents, output, first, |at, to| write(to, values[at]));
            }
            Kind::Forward => {
                complex(&mut values, extents, FftDirection::Forward);
                let (last, kept) = (last(extents), last(&stored));
                each(&stored, output, first, |at, to| {
                    write(to, values[at / kept * last + at % kept]);
                });
            }
            Kind::Backward => {
                complex(&mut values, extents, FftDirection::Inverse);
                each(extents, output, first, |at, to| write(to, values[at]));
            }
        }
    };
    if in_place {
        // Outputs of one transform may lie where inputs of another are: all are read before any is written.
        let inputs: Vec<_> = (0..batch).map(load).collect();
        for (i, values) in (0..).zip(inputs) {
            store(i, values);
        }
    } else {
        (0..batch).for_each(|i| store(i, load(i)));
    }
}

fn last(extents: &[u64]) -> usize {
    extents.last().map_or(1, |n| *n as usize)
}

/// The whole spectrum of real numbers from its half: `X(-k) = conj X(k)`. As cuFFT does, what must be real is taken as real along the last dimension alone.
fn complete<T: FftNum>(
    spectrum: &[Complex<T>],
    stored: &[u64],
    extents: &[u64],
    values: &mut [Complex<T>],
) {
    let (n, kept) = (last(extents), last(stored));
    for (at, value) in values.iter_mut().enumerate() {
        let (row, column) = (at / n, at % n);
        if column < kept {
            *value = spectrum[row * kept + column];
            continue;
        }
        // The row at the negative position in every other dimension.
        let mut rest = row;
        let mut mirrored = 0;
        let mut step = 1;
        for extent in extents.iter().rev().skip(1) {
            let extent = *extent as usize;
            let x = rest % extent;
            rest /= extent;
            mirrored += (extent - x) % extent * step;
            step *= extent;
        }
        *value = spectrum[mirrored * kept + (n - column)].conj();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sum that a transform is, in two dimensions.
    fn slowly(
        values: &[Complex<f64>],
        (rows, columns): (usize, usize),
        sign: f64,
    ) -> Vec<Complex<f64>> {
        let turn = |k: usize, x: usize, n: usize| {
            sign * std::f64::consts::TAU * (k * x % n) as f64 / n as f64
        };
        let mut out = Vec::new();
        for k in 0..rows {
            for l in 0..columns {
                let mut sum = Complex::new(0.0, 0.0);
                for i in 0..rows {
                    for j in 0..columns {
                        let angle = turn(k, i, rows) + turn(l, j, columns);
                        sum += values[i * columns + j] * Complex::from_polar(1.0, angle);
                    }
                }
                out.push(sum);
            }
        }
        out
    }

    fn numbers(n: usize) -> Vec<Complex<f64>> {
        (0..n)
            .map(|i| Complex::new((i * 7 % 11) as f64 - 5.0, (i * 5 % 13) as f64 - 6.0))
            .collect()
    }

    fn run(
        kind: Kind,
        extents: &[u64],
        layouts: (&Layout, &Layout),
        direction: FftDirection,
        input: &[Complex<f64>],
        room: usize,
    ) -> Vec<Complex<f64>> {
        let out = std::cell::RefCell::new(vec![Complex::new(0.0, 0.0); room]);
        transform(
            kind,
            extents,
            1,
            layouts,
            direction,
            false,
            |at| input[at as usize],
            |at, value| out.borrow_mut()[at as usize] = value,
        );
        out.into_inner()
    }

    fn close(a: &[Complex<f64>], b: &[Complex<f64>]) {
        assert_eq!(a.len(), b.len());
        for (a, b) in a.iter().zip(b) {
            assert!((a - b).norm() < 1e-9, "{a} {b}");
        }
    }

    #[test]
    fn complex_numbers_both_ways() {
        let (rows, columns) = (6, 5);
        let extents = [rows as u64, columns as u64];
        let packed = Layout::packed(&extents).unwrap();
        let input = numbers(rows * columns);
        for (direction, sign) in [(FftDirection::Forward, -1.0), (FftDirection::Inverse, 1.0)] {
            let got = run(
                Kind::Complex,
                &extents,
                (&packed, &packed),
                direction,
                &input,
                30,
            );
            close(&got, &slowly(&input, (rows, columns), sign));
        }
    }

    #[test]
    fn real_numbers_there_and_back() {
        for columns in [4, 5] {
            let rows = 3;
            let extents = [rows as u64, columns as u64];
            let kept = half(&extents);
            let (packed, spectrum) = (
                Layout::packed(&extents).unwrap(),
                Layout::packed(&kept).unwrap(),
            );
            let input: Vec<_> = numbers(rows * columns)
                .iter()
                .map(|v| Complex::new(v.re, 0.0))
                .collect();
            let room = elements(&kept).unwrap() as usize;
            let got = run(
                Kind::Forward,
                &extents,
                (&packed, &spectrum),
                FftDirection::Forward,
                &input,
                room,
            );
            let want = slowly(&input, (rows, columns), -1.0);
            let k = kept[1] as usize;
            let want: Vec<_> = (0..room)
                .map(|at| want[at / k * columns + at % k])
                .collect();
            close(&got, &want);
            let back = run(
                Kind::Backward,
                &extents,
                (&spectrum, &packed),
                FftDirection::Inverse,
                &got,
                rows * columns,
            );
            let scaled: Vec<_> = input.iter().map(|v| v * (rows * columns) as f64).collect();
            close(&back, &scaled);
        }
    }

    #[test]
    fn layouts_leave_gaps() {
        let extents = [2, 3];
        let spread = Layout {
            embed: vec![2, 5],
            stride: 2,
            distance: 40,
        };
        assert_eq!(spread.span(&extents, 2), Some(40 + (5 + 2) * 2 + 1));
        let packed = Layout::packed(&extents).unwrap();
        let input = numbers(40);
        let dense: Vec<_> = [0, 2, 4, 10, 12, 14].iter().map(|at| input[*at]).collect();
        let got = run(
            Kind::Complex,
            &extents,
            (&spread, &packed),
            FftDirection::Forward,
            &input,
            6,
        );
        close(&got, &slowly(&dense, (2, 3), -1.0));
    }
}
