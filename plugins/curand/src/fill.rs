//! Arrays of numbers in cuRAND's order. A pseudorandom generator is many subsequences of one sequence: neighbouring results are of neighbouring subsequences, and each call goes on
//! behind the last one's. Box and Muller's pairs take two places that lie side by side, and one subsequence.

use crate::distribution::{
    Poisson, inverse_normal, normal_of, of_radius, of_radius_double, pair, pair_double, uniform,
    uniform_double,
};
use crate::mrg::Mrg;
use crate::philox;
use crate::sobol_numbers::{directions, point};
use crate::xorwow::Xorwow;

/// Subsequences of XORWOW, and of MRG32k3a in the legacy order.
const SUBSEQUENCES: usize = 4096;
/// Subsequences of MRG32k3a in the default order.
const MRG_SUBSEQUENCES: usize = 81_920;
/// Subsequences of Philox, each in groups of four.
const PHILOX_SUBSEQUENCES: u64 = 65_536;

/// What numbers are wanted.
#[derive(Debug)]
pub(crate) enum Want {
    /// 32 bits.
    Bits,
    /// 64 bits.
    LongBits,
    /// `float` in (0, 1].
    Uniform,
    /// `double` in (0, 1].
    UniformDouble,
    /// Normal `float`: mean, deviation, and whether of their logarithm.
    Normal(f32, f32, bool),
    /// Normal `double`.
    NormalDouble(f64, f64, bool),
    /// Poisson's distribution.
    Poisson(Poisson),
}

impl Want {
    /// Bytes of a number.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::LongBits | Self::UniformDouble | Self::NormalDouble(..) => 8,
            _ => 4,
        }
    }

    fn is_normal(&self) -> bool {
        matches!(self, Self::Normal(..) | Self::NormalDouble(..))
    }

    /// A normal number with mean and deviation.
    fn scaled(&self, standard: f64) -> Number {
        match *self {
            Self::Normal(mean, deviation, logarithm) => {
                let number = mean + deviation * standard as f32;
                Number::Float(if logarithm { number.exp() } else { number })
            }
            Self::NormalDouble(mean, deviation, logarithm) => {
                let number = mean + deviation * standard;
                Number::Double(if logarithm { number.exp() } else { number })
            }
            _ => Number::Double(standard),
        }
    }
}

/// A result.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Number {
    Bits(u32),
    LongBits(u64),
    Float(f32),
    Double(f64),
}

/// What makes a generator's sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Xorwow,
    Mrg {
        legacy: bool,
    },
    Philox,
    /// Of 32 or 64 bits.
    Sobol {
        wide: bool,
        dimensions: u32,
    },
}

/// A generator's sequence, from its beginning.
#[derive(Debug)]
pub(crate) struct Sequence {
    kind: Kind,
    seed: u64,
    /// Numbers before the next one.
    position: u64,
    states: States,
}

#[derive(Debug)]
enum States {
    /// Made when the first number is wanted.
    Unmade,
    Xorwow(Vec<Xorwow>),
    Mrg(Vec<Mrg>),
    /// The next block of each subsequence.
    Philox(Vec<u64>),
    Sobol,
}

/// A subsequence of single draws.
trait Draws {
    /// 32 bits.
    fn bits(&mut self) -> u32;
    /// In (0, 1].
    fn uniform(&mut self) -> f32;
    /// In (0, 1].
    fn uniform_double(&mut self) -> f64;
    /// Two normal numbers.
    fn pair(&mut self) -> [f32; 2];
    /// Two normal numbers.
    fn pair_double(&mut self) -> [f64; 2];
}

impl Draws for Xorwow {
    fn bits(&mut self) -> u32 {
        self.next()
    }
    fn uniform(&mut self) -> f32 {
        uniform(self.next())
    }
    fn uniform_double(&mut self) -> f64 {
        let first = self.next();
        uniform_double(first, self.next())
    }
    fn pair(&mut self) -> [f32; 2] {
        let first = self.next();
        pair(first, self.next())
    }
    fn pair_double(&mut self) -> [f64; 2] {
        pair_double(std::array::from_fn(|_| self.next()))
    }
}

/// 1 / M1, so that the largest number is 1, and what stretches a number to 32 bits.
const MRG_NORM: f64 = 1.0 / 4_294_967_087.0;
const MRG_STRETCH: f64 = 1.000_000_048_662;

impl Draws for Mrg {
    fn bits(&mut self) -> u32 {
        (self.next() as f64 * MRG_STRETCH) as u32
    }
    fn uniform(&mut self) -> f32 {
        (self.next() as f64 * MRG_NORM) as f32
    }
    fn uniform_double(&mut self) -> f64 {
        self.next() as f64 * MRG_NORM
    }
    fn pair(&mut self) -> [f32; 2] {
        let first = self.uniform();
        of_radius(first, self.uniform() * std::f32::consts::TAU)
    }
    fn pair_double(&mut self) -> [f64; 2] {
        let first = self.uniform_double();
        of_radius_double(first, self.uniform_double() * std::f64::consts::TAU)
    }
}

impl Sequence {
    /// The sequence from an offset on.
    pub(crate) fn new(kind: Kind, seed: u64, offset: u64) -> Self {
        Self {
            kind,
            seed,
            position: offset,
            states: States::Unmade,
        }
    }

    fn make(&mut self) {
        let position = self.position;
        // Subsequences before the offset have given a number more.
        fn split<S: Copy>(
            count: usize,
            position: u64,
            make: impl Fn(u64) -> Vec<S>,
            mut step: impl FnMut(&mut S),
        ) -> Vec<S> {
            let mut states = make(position / count as u64);
            let ahead = (position % count as u64) as usize;
            states.iter_mut().take(ahead).for_each(&mut step);
            states
        }
        self.states = match self.kind {
            Kind::Xorwow => States::Xorwow(split(
                SUBSEQUENCES,
                position,
                |advanced| Xorwow::subsequences(self.seed, SUBSEQUENCES, advanced),
                |state| {
                    state.next();
                },
            )),
            Kind::Mrg { legacy } => {
                let count = if legacy {
                    SUBSEQUENCES
                } else {
                    MRG_SUBSEQUENCES
                };
                States::Mrg(split(
                    count,
                    position,
                    |advanced| Mrg::subsequences(self.seed, count, advanced),
                    |state| {
                        state.next();
                    },
                ))
            }
            Kind::Philox => {
                let groups = position / 4;
                let (blocks, ahead) = (groups / PHILOX_SUBSEQUENCES, groups % PHILOX_SUBSEQUENCES);
                States::Philox(
                    (0..PHILOX_SUBSEQUENCES)
                        .map(|at| blocks + u64::from(at < ahead))
                        .collect(),
                )
            }
            Kind::Sobol { .. } => States::Sobol,
        };
    }

    /// Makes the next numbers and puts each at its index.
    pub(crate) fn fill(&mut self, want: &Want, count: u64, mut put: impl FnMut(u64, Number)) {
        if matches!(self.states, States::Unmade) {
            self.make();
        }
        let (seed, position) = (self.seed, self.position);
        self.position = match (&mut self.states, self.kind) {
            (States::Xorwow(states), _) => singles(states, position, want, count, put),
            (States::Mrg(states), _) => singles(states, position, want, count, put),
            (States::Philox(blocks), _) => groups(seed, blocks, position, want, count, put),
            (_, Kind::Sobol { wide, dimensions }) => {
                let each = count / u64::from(dimensions);
                for (dimension, vectors) in (0..dimensions).zip(directions()) {
                    for index in 0..each {
                        let bits = point(vectors, position + index);
                        let number = quasi(wide, want, bits);
                        put(u64::from(dimension) * each + index, number);
                    }
                }
                position + each
            }
            (States::Unmade | States::Sobol, _) => position,
        };
    }
}

/// Numbers of subsequences that give one at a time; returns the position behind.
fn singles<D: Draws>(
    states: &mut [D],
    mut position: u64,
    want: &Want,
    count: u64,
    mut put: impl FnMut(u64, Number),
) -> u64 {
    let subsequences = states.len() as u64;
    let mut index = 0;
    while index < count {
        let state = &mut states[(position % subsequences) as usize];
        position += 1;
        let number = match want {
            Want::Bits | Want::LongBits => Number::Bits(state.bits()),
            Want::Uniform => Number::Float(state.uniform()),
            Want::UniformDouble => Number::Double(state.uniform_double()),
            Want::Poisson(poisson) => Number::Bits(poisson.of(f64::from(state.uniform()))),
            Want::Normal(..) | Want::NormalDouble(..) => {
                let [first, second] = if matches!(want, Want::Normal(..)) {
                    state.pair().map(f64::from)
                } else {
                    state.pair_double()
                };
                put(index, want.scaled(first));
                index += 1;
                want.scaled(second)
            }
        };
        if index < count {
            put(index, number);
        }
        index += 1;
    }
    position
}

/// Numbers of Philox, whose subsequences give four at a time; returns the position behind.
fn groups(
    seed: u64,
    blocks: &mut [u64],
    position: u64,
    want: &Want,
    count: u64,
    mut put: impl FnMut(u64, Number),
) -> u64 {
    let end = position + count;
    let mut at = position;
    while at < end {
        let subsequence = at / 4 % PHILOX_SUBSEQUENCES;
        let next = &mut blocks[subsequence as usize];
        let draws = philox::block(seed, subsequence, *next);
        let four: [Number; 4] = if want.size() == 8 {
            let more = philox::block(seed, subsequence, *next + 1);
            let eight = [draws, more];
            std::array::from_fn(|i| {
                let [a, b, c, d] = eight[i / 2];
                if want.is_normal() {
                    want.scaled(pair_double([a, b, c, d])[i % 2])
                } else if i % 2 == 0 {
                    Number::Double(uniform_double(a, b))
                } else {
                    Number::Double(uniform_double(c, d))
                }
            })
        } else {
            std::array::from_fn(|i| match want {
                Want::Uniform => Number::Float(uniform(draws[i])),
                Want::Poisson(poisson) => Number::Bits(poisson.of(f64::from(uniform(draws[i])))),
                Want::Normal(..) => {
                    let both = pair(draws[i / 2 * 2], draws[i / 2 * 2 + 1]);
                    want.scaled(f64::from(both[i % 2]))
                }
                _ => Number::Bits(draws[i]),
            })
        };
        let group_end = (at / 4 + 1) * 4;
        for place in at..group_end.min(end) {
            put(place - position, four[(place % 4) as usize]);
        }
        // A group of which some are left is made again for them.
        if end >= group_end {
            *next += want.size() as u64 / 4;
        }
        at = group_end;
    }
    end
}

/// A number of a quasirandom point.
fn quasi(wide: bool, want: &Want, bits: u64) -> Number {
    let upper = (bits >> 32) as u32;
    let share = if wide {
        (bits >> 11) as f64 * 2f64.powi(-53) + 2f64.powi(-54)
    } else {
        f64::from(upper) * 2f64.powi(-32)
    };
    match want {
        Want::Bits => Number::Bits(upper),
        Want::LongBits => Number::LongBits(bits),
        Want::Uniform => Number::Float(uniform(upper)),
        Want::UniformDouble => Number::Double(if wide { share } else { share + 2f64.powi(-32) }),
        Want::Normal(..) => want.scaled(f64::from(normal_of(upper))),
        Want::NormalDouble(..) => {
            let share = if wide { share } else { share + 2f64.powi(-33) };
            want.scaled(inverse_normal(share))
        }
        Want::Poisson(poisson) => Number::Bits(poisson.of(f64::from(uniform(upper)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bits(kind: Kind, seed: u64, offset: u64, count: u64) -> Vec<u32> {
        let mut all = vec![0; count as usize];
        Sequence::new(kind, seed, offset).fill(&Want::Bits, count, |at, number| {
            if let Number::Bits(number) = number {
                all[at as usize] = number;
            }
        });
        all
    }

    /// The first numbers of NVIDIA's host generators.
    #[test]
    fn the_sequences_are_nvidias() {
        let start = |kind| bits(kind, 0, 0, 4);
        let legacy = Kind::Mrg { legacy: true };
        assert_eq!(
            start(Kind::Xorwow),
            [3179217846, 3955638199, 167591721, 4161663997]
        );
        assert_eq!(
            start(legacy),
            [545508615, 341016064, 1125210161, 2161280324]
        );
        assert_eq!(
            start(Kind::Philox),
            [1713891541, 3781805453, 3159862348, 2600524760]
        );
        assert_eq!(bits(Kind::Philox, (5 << 32) | 7, 0, 1), [3146388447]);
        assert_eq!(bits(legacy, (5 << 32) | 77, 0, 1), [2300996205]);
    }

    #[test]
    fn an_offset_leaves_out_the_beginning() {
        for kind in [
            Kind::Xorwow,
            Kind::Mrg { legacy: true },
            Kind::Mrg { legacy: false },
            Kind::Philox,
        ] {
            let all = bits(kind, 9, 0, 12_000);
            for offset in [1, 4095, 4098, 9000] {
                let behind = bits(kind, 9, offset, 2000);
                let at = offset as usize;
                assert_eq!(behind, all[at..at + 2000], "{kind:?} {offset}");
            }
        }
    }

    #[test]
    fn calls_go_on_behind_one_another() {
        for kind in [Kind::Xorwow, Kind::Mrg { legacy: true }, Kind::Philox] {
            let all = bits(kind, 3, 0, 10_000);
            let mut sequence = Sequence::new(kind, 3, 0);
            let mut got = Vec::new();
            for count in [1, 2, 5000, 7, 4990] {
                sequence.fill(&Want::Bits, count, |_, number| {
                    if let Number::Bits(number) = number {
                        got.push(number);
                    }
                });
            }
            assert_eq!(got, all, "{kind:?}");
        }
    }

    #[test]
    fn normal_numbers_are_the_inverse_of_their_distribution() {
        for p in [1e-300f64, 1e-17, 0.001, 0.3, 0.5, 0.9, 0.999_999] {
            let x = inverse_normal(p);
            let back = libm::erfc(-x / std::f64::consts::SQRT_2) / 2.0;
            assert!((back / p - 1.0).abs() < 1e-12, "{p} {x} {back}");
        }
        let poisson = Poisson::new(2.0);
        let shares: Vec<u32> = [0.1, 0.2, 0.5, 0.7, 0.99]
            .into_iter()
            .map(|p| poisson.of(p))
            .collect();
        assert_eq!(shares, [0, 1, 2, 3, 6]);
    }
}
