//! From random bits to distributions, by the constants that cuRAND documents: numbers in (0, 1], pairs by Box and Muller, and single normal numbers by the inverse of their
//! distribution.

use std::f64::consts::PI;

/// 2^-32 and 2^-53.
const INVERSE_32: f64 = 1.0 / 4_294_967_296.0;
const INVERSE_53: f64 = 1.0 / 9_007_199_254_740_992.0;

/// 32 bits as a number in (0, 1].
pub(crate) fn uniform(bits: u32) -> f32 {
    let inverse = INVERSE_32 as f32;
    bits as f32 * inverse + inverse / 2.0
}

/// 53 of two draws' 64 bits.
fn mantissa(first: u32, second: u32) -> u64 {
    u64::from(first) ^ u64::from(second) << 21
}

/// Two draws as a number in (0, 1].
pub(crate) fn uniform_double(first: u32, second: u32) -> f64 {
    mantissa(first, second) as f64 * INVERSE_53 + INVERSE_53 / 2.0
}

/// Two normal numbers of two draws.
pub(crate) fn pair(first: u32, second: u32) -> [f32; 2] {
    let full = (INVERSE_32 * 2.0 * PI) as f32;
    let angle = second as f32 * full + full / 2.0;
    of_radius(uniform(first), angle)
}

/// Two normal numbers of a number in (0, 1] and an angle.
pub(crate) fn of_radius(uniform: f32, angle: f32) -> [f32; 2] {
    let radius = (-2.0 * uniform.ln()).sqrt();
    let (sine, cosine) = angle.sin_cos();
    [radius * sine, radius * cosine]
}

/// Two normal numbers of four draws.
pub(crate) fn pair_double(draws: [u32; 4]) -> [f64; 2] {
    let [a, b, c, d] = draws;
    let half_turns = mantissa(c, d) as f64 * (INVERSE_53 * 2.0) + INVERSE_53;
    of_radius_double(uniform_double(a, b), half_turns * PI)
}

/// Two normal numbers of a number in (0, 1] and an angle.
pub(crate) fn of_radius_double(uniform: f64, angle: f64) -> [f64; 2] {
    let radius = (-2.0 * uniform.ln()).sqrt();
    let (sine, cosine) = angle.sin_cos();
    [radius * sine, radius * cosine]
}

/// The normal number below which lies a share `p` of all: Winitzki's approximation of the inverse error function, and Halley's steps from there.
pub(crate) fn inverse_normal(p: f64) -> f64 {
    if p > 0.5 {
        return -inverse_normal(1.0 - p);
    }
    if p == 0.5 {
        return 0.0;
    }
    let a = 0.147;
    let log = (4.0 * p * (1.0 - p)).ln();
    let b = 2.0 / (PI * a) + log / 2.0;
    let mut x = -((b * b - log / a).sqrt() - b).sqrt() * std::f64::consts::SQRT_2;
    for _ in 0..4 {
        let error = libm::erfc(-x / std::f64::consts::SQRT_2) / 2.0 - p;
        let step = error * (2.0 * PI).sqrt() * (x * x / 2.0).exp();
        x -= step / (1.0 + x * step / 2.0);
    }
    x
}

/// The upper 32 bits of a quasirandom point as a normal number.
pub(crate) fn normal_of(bits: u32) -> f32 {
    // From the nearer end, so that no digits are lost.
    let (bits, sign) = if bits > 0x8000_0000 {
        (u32::MAX - bits, -1.0)
    } else {
        (bits, 1.0)
    };
    (sign * inverse_normal(f64::from(uniform(bits)).min(0.5))) as f32
}

/// Numbers of Poisson's distribution, by the inverse of the distribution; the same distribution as cuRAND's, not the same numbers.
#[derive(Debug)]
pub(crate) struct Poisson {
    first: u32,
    cumulative: Vec<f64>,
}

impl Poisson {
    /// For a mean.
    pub(crate) fn new(lambda: f64) -> Self {
        let spread = 12.0 * lambda.sqrt() + 40.0;
        let first = (lambda - spread).max(0.0) as u32;
        let last = (lambda + spread) as u32;
        let mut sum = 0.0;
        let cumulative = (first..=last)
            .map(|k| {
                let k = f64::from(k);
                sum += (k * lambda.ln() - lambda - libm::lgamma(k + 1.0)).exp();
                sum
            })
            .collect();
        Self { first, cumulative }
    }

    /// The number below which lies a share of all.
    pub(crate) fn of(&self, uniform: f64) -> u32 {
        self.first + self.cumulative.partition_point(|sum| *sum < uniform) as u32
    }
}
