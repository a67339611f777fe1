//! XORWOW: Marsaglia's xorshift of five words with a Weyl sequence ("Xorshift RNGs", 2003), seeded and split into subsequences of 2^67 numbers as cuRAND documents.

use std::sync::OnceLock;

/// What the Weyl sequence advances by.
const WEYL: u32 = 362_437;
/// Bits of the words that are linear.
const BITS: usize = 160;
/// Numbers between subsequences, as a power of two.
const SUBSEQUENCE: u32 = 67;

type Words = [u32; 5];

/// One subsequence.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Xorwow {
    words: Words,
    weyl: u32,
}

fn step(words: Words) -> Words {
    let [a, b, c, d, e] = words;
    let t = a ^ (a >> 2);
    [b, c, d, e, (e ^ (e << 4)) ^ (t ^ (t << 1))]
}

/// A linear map of the words: what becomes of each bit.
#[derive(Clone)]
pub(crate) struct Map(Box<[Words; BITS]>);

impl Map {
    fn identity() -> Self {
        let mut columns = Box::new([[0; 5]; BITS]);
        for (bit, column) in columns.iter_mut().enumerate() {
            column[bit / 32] = 1 << (bit % 32);
        }
        Self(columns)
    }

    fn apply(&self, words: Words) -> Words {
        let mut result = [0; 5];
        for (at, mut word) in words.into_iter().enumerate() {
            while word != 0 {
                let bit = at * 32 + word.trailing_zeros() as usize;
                word &= word - 1;
                for (result, column) in result.iter_mut().zip(self.0[bit]) {
                    *result ^= column;
                }
            }
        }
        result
    }

    /// The map, and then the other.
    fn then(&self, other: &Self) -> Self {
        let mut columns = self.0.clone();
        for column in columns.iter_mut() {
            *column = other.apply(*column);
        }
        Self(columns)
    }

    /// The maps of 2^0, 2^1, … steps up to a subsequence.
    fn powers() -> &'static [Self] {
        static POWERS: OnceLock<Vec<Map>> = OnceLock::new();
        POWERS.get_or_init(|| {
            let mut one = Self::identity();
            for column in one.0.iter_mut() {
                *column = step(*column);
            }
            let mut powers = vec![one];
            for _ in 0..SUBSEQUENCE {
                let last = &powers[powers.len() - 1];
                powers.push(last.then(last));
            }
            powers
        })
    }

    /// So many steps.
    fn steps(count: u64) -> Self {
        Self::powers()
            .iter()
            .take(64)
            .enumerate()
            .filter(|(bit, _)| count >> bit & 1 == 1)
            .fold(Self::identity(), |map, (_, power)| map.then(power))
    }
}

impl Xorwow {
    /// The first subsequences of a seed, each advanced by so many numbers.
    pub(crate) fn subsequences(seed: u64, count: usize, advanced: u64) -> Vec<Self> {
        let low = (seed as u32 ^ 0xaad2_6b49).wrapping_mul(1_099_087_573);
        let high = ((seed >> 32) as u32 ^ 0xf7dc_efdd).wrapping_mul(2_591_861_531);
        let mut words = Map::steps(advanced).apply([
            123_456_789u32.wrapping_add(low),
            362_436_069 ^ low,
            521_288_629u32.wrapping_add(high),
            88_675_123 ^ high,
            5_783_321u32.wrapping_add(low),
        ]);
        // 2^67 steps of the Weyl sequence are none.
        let weyl = 6_615_241u32
            .wrapping_add(high)
            .wrapping_add(low)
            .wrapping_add(WEYL.wrapping_mul(advanced as u32));
        let next = &Map::powers()[SUBSEQUENCE as usize];
        (0..count)
            .map(|_| {
                let this = Self { words, weyl };
                words = next.apply(words);
                this
            })
            .collect()
    }

    /// The next 32 bits.
    pub(crate) fn next(&mut self) -> u32 {
        self.words = step(self.words);
        self.weyl = self.weyl.wrapping_add(WEYL);
        self.words[4].wrapping_add(self.weyl)
    }
}
