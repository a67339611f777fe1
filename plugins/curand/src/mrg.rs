//! MRG32k3a: L'Ecuyer's combined multiple recursive generator ("Good parameters and implementations for combined multiple recursive random number generators", 1999), split into
//! subsequences of 2^76 numbers as cuRAND documents.

const M1: u64 = 4_294_967_087;
const M2: u64 = 4_294_944_443;

type Matrix = [[u64; 3]; 3];

/// One step of each half.
const STEP1: Matrix = [[0, 1, 0], [0, 0, 1], [M1 - 810_728, 1_403_580, 0]];
const STEP2: Matrix = [[0, 1, 0], [0, 0, 1], [M2 - 1_370_589, 0, 527_612]];

fn times(a: &Matrix, b: &Matrix, modulus: u64) -> Matrix {
    let mut product = [[0; 3]; 3];
    for (i, row) in product.iter_mut().enumerate() {
        for (j, cell) in row.iter_mut().enumerate() {
            *cell = (0..3).fold(0, |sum, k| (sum + a[i][k] * b[k][j] % modulus) % modulus);
        }
    }
    product
}

fn apply(a: &Matrix, v: [u64; 3], modulus: u64) -> [u64; 3] {
    a.map(|row| (0..3).fold(0, |sum, k| (sum + row[k] * v[k] % modulus) % modulus))
}

fn power(a: &Matrix, count: u128, modulus: u64) -> Matrix {
    let mut result = [[1, 0, 0], [0, 1, 0], [0, 0, 1]];
    let mut square = *a;
    let mut count = count;
    while count != 0 {
        if count & 1 == 1 {
            result = times(&result, &square, modulus);
        }
        square = times(&square, &square, modulus);
        count >>= 1;
    }
    result
}

/// One subsequence.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mrg {
    first: [u64; 3],
    second: [u64; 3],
}

impl Mrg {
    /// The first subsequences of a seed, each advanced by so many numbers.
    pub(crate) fn subsequences(seed: u64, count: usize, advanced: u64) -> Vec<Self> {
        let mut this = Self {
            first: [12_345; 3],
            second: [12_345; 3],
        };
        if seed != 0 {
            let low = u64::from(seed as u32 ^ 0x5555_5555);
            let high = u64::from((seed >> 32) as u32 ^ 0xaaaa_aaaa);
            for i in 0..3 {
                let (a, b) = if i == 1 { (high, low) } else { (low, high) };
                this.first[i] = a * this.first[i] % M1;
                this.second[i] = b * this.second[i] % M2;
            }
        }
        let advance = u128::from(advanced);
        this.first = apply(&power(&STEP1, advance, M1), this.first, M1);
        this.second = apply(&power(&STEP2, advance, M2), this.second, M2);
        let (jump1, jump2) = (power(&STEP1, 1 << 76, M1), power(&STEP2, 1 << 76, M2));
        (0..count)
            .map(|_| {
                let now = this;
                this.first = apply(&jump1, this.first, M1);
                this.second = apply(&jump2, this.second, M2);
                now
            })
            .collect()
    }

    /// The next number: 1 to `M1`.
    pub(crate) fn next(&mut self) -> u64 {
        let first = apply(&STEP1, self.first, M1);
        let second = apply(&STEP2, self.second, M2);
        (self.first, self.second) = (first, second);
        if first[2] > second[2] {
            first[2] - second[2]
        } else {
            first[2] + M1 - second[2]
        }
    }
}
