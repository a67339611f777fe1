//! Sobol's sequence with the direction numbers that Joe and Kuo recommend ("Constructing Sobol sequences with better two-dimensional projections", 2008), in 64 bits; the
//! 32-bit sequence is its upper half.

use std::sync::OnceLock;

/// As many as cuRAND has.
pub(crate) const DIMENSIONS: usize = 20_000;

/// The direction vectors of each dimension.
pub(crate) fn directions() -> &'static [[u64; 64]] {
    static DIRECTIONS: OnceLock<Vec<[u64; 64]>> = OnceLock::new();
    DIRECTIONS.get_or_init(|| {
        let mut all = Vec::with_capacity(DIMENSIONS);
        all.push(std::array::from_fn(|bit| 1 << (63 - bit)));
        let parameters = sobol::params::JoeKuoD6::extended();
        for dimension in parameters.dim_params.iter().take(DIMENSIONS - 1) {
            let degree = dimension.m.len();
            let mut vectors = [0u64; 64];
            for bit in 0..64 {
                vectors[bit] = if bit < degree {
                    u64::from(dimension.m[bit]) << (63 - bit)
                } else {
                    // The recurrence of the primitive polynomial.
                    let mut vector = vectors[bit - degree] ^ vectors[bit - degree] >> degree;
                    for k in 1..degree {
                        if dimension.a >> (degree - 1 - k) & 1 == 1 {
                            vector ^= vectors[bit - k];
                        }
                    }
                    vector
                };
            }
            all.push(vectors);
        }
        all
    })
}

/// A point of a dimension, in the order of Gray's code.
pub(crate) fn point(directions: &[u64; 64], index: u64) -> u64 {
    let mut gray = index ^ index >> 1;
    let mut point = 0;
    while gray != 0 {
        point ^= directions[gray.trailing_zeros() as usize];
        gray &= gray - 1;
    }
    point
}
