//! Values of operands: the same on every machine, since the recorded results belong to them.

/// What a register holds: its size, and which values are worth trying.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    name: &'static str,
    /// Bits of the register: 1 (a predicate), 16, 32 or 64.
    pub bits: u32,
    values: Values,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Values {
    /// Integers of so many bits.
    Int(u32),
    /// Floats: bits of exponent and mantissa.
    Float(u32, u32),
    /// Two halves of 16 bits: bits of exponent and mantissa.
    Halves(u32, u32),
    /// Amounts of shifts and positions of bits.
    Position,
    /// Small integers as floats (so that sums of products are exact); how many pieces of how many bits.
    Small(u32, u32),
    /// Four of them of eight bits each.
    SmallBytes(u32, u32),
    /// Floats (in pairs if narrow) with exponents near that of 1.
    Near(u32, u32),
    /// Bytes.
    Bytes,
    /// Single-precision numbers that are neither huge nor tiny.
    Moderate,
    /// Single-precision angles.
    Angle,
    /// Number of the thread.
    Index,
    /// Equal in most lanes: for votes and matches.
    Few,
}

const KINDS: &[Kind] = &[
    kind("pred", 1, Values::Int(1)),
    kind("u8", 16, Values::Int(8)),
    kind("s8", 16, Values::Int(8)),
    kind("u16", 16, Values::Int(16)),
    kind("s16", 16, Values::Int(16)),
    kind("b16", 16, Values::Int(16)),
    kind("u32", 32, Values::Int(32)),
    kind("s32", 32, Values::Int(32)),
    kind("b32", 32, Values::Int(32)),
    kind("u64", 64, Values::Int(64)),
    kind("s64", 64, Values::Int(64)),
    kind("b64", 64, Values::Int(64)),
    kind("f16", 16, Values::Float(5, 10)),
    kind("bf16", 16, Values::Float(8, 7)),
    kind("f32", 32, Values::Float(8, 23)),
    kind("f64", 64, Values::Float(11, 52)),
    kind("f16x2", 32, Values::Halves(5, 10)),
    kind("bf16x2", 32, Values::Halves(8, 7)),
    kind("position", 32, Values::Position),
    kind("bytes", 32, Values::Bytes),
    kind("moderate", 32, Values::Moderate),
    kind("angle", 32, Values::Angle),
    kind("index", 32, Values::Index),
    kind("few32", 32, Values::Few),
    kind("few64", 64, Values::Few),
    kind("small_f16x2", 32, Values::Small(5, 10)),
    kind("small_bf16x2", 32, Values::Small(8, 7)),
    kind("small_e4m3x4", 32, Values::SmallBytes(4, 3)),
    kind("small_e5m2x4", 32, Values::SmallBytes(5, 2)),
    kind("near_f16x2", 32, Values::Near(5, 10)),
    kind("near_bf16x2", 32, Values::Near(8, 7)),
    kind("near_f32", 32, Values::Near(8, 23)),
    kind("small_f32", 32, Values::Small(8, 23)),
    kind("small_f64", 64, Values::Small(11, 52)),
];

const fn kind(name: &'static str, bits: u32, values: Values) -> Kind {
    Kind { name, bits, values }
}

/// A pseudorandom number for a position (splitmix64).
fn random(seed: u64) -> u64 {
    let mut z = seed
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .wrapping_add(0x1234_5678_9abc_def1);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn mask(bits: u32) -> u64 {
    if bits == 64 {
        u64::MAX
    } else {
        (1 << bits) - 1
    }
}

fn int_edges(bits: u32) -> Vec<u64> {
    let m = mask(bits);
    let top = 1u64 << (bits - 1);
    let mut edges = vec![
        0,
        1,
        2,
        3,
        m,
        m - 1,
        top,
        top - 1,
        top + 1,
        7,
        31,
        32,
        33,
        0x55,
        m / 3,
        m / 5,
        m >> (bits / 2),
        (m >> (bits / 2)) + 1,
        100,
        10,
        63,
        64,
    ];
    for edge in &mut edges {
        *edge &= m;
    }
    edges
}

fn float_edges(exponent: u32, mantissa: u32) -> Vec<u64> {
    let sign = 1u64 << (exponent + mantissa);
    let bias = (1u64 << (exponent - 1)) - 1;
    let at = |e: u64, m: u64| e << mantissa | m;
    let all = mask(mantissa);
    let infinity = at(mask(exponent), 0);
    let positive = [
        0,
        1,
        2,
        all,
        at(1, 0),
        at(1, 1),
        at(bias, 0),
        at(bias, 1),
        at(bias - 1, 0),
        at(bias - 1, all),
        at(bias, all),
        at(bias + 1, 0),
        at(bias, 1 << (mantissa - 1)),
        at(bias + 1, 1 << (mantissa - 2)),
        at(bias + mantissa as u64, 1),
        at(bias + mantissa as u64 - 1, 1),
        infinity - 1,
        infinity - 1 - all,
        infinity,
        infinity | 1 << (mantissa - 1),
        infinity | all,
        infinity | 1,
    ];
    positive.iter().flat_map(|&v| [v, v | sign]).collect()
}

/// A small integer (and sometimes a half) as a float.
fn small(exponent: u32, mantissa: u32, r: u64) -> u64 {
    // Not all can be written with two bits of mantissa.
    let magnitude = if mantissa == 2 { r % 5 } else { r % 9 };
    let sign = (r >> 8 & 1) << (exponent + mantissa);
    if magnitude == 0 {
        return 0;
    }
    let bias = (1u64 << (exponent - 1)) - 1;
    let top = 63 - u64::from(magnitude.leading_zeros());
    sign | (bias + top) << mantissa | (magnitude << (u64::from(mantissa) - top)) & mask(mantissa)
}

/// A float with an exponent near that of 1.
fn near_one(exponent: u32, mantissa: u32, r: u64, reach: u64) -> u64 {
    let bias = (1u64 << (exponent - 1)) - 1;
    let reach = reach.min(bias - 1);
    let e = bias - reach + (r >> 52) % (2 * reach + 1);
    (r >> 51 & 1) << (exponent + mantissa) | e << mantissa | r & mask(mantissa)
}

impl Kind {
    /// The kind of this name.
    pub fn parse(word: &str) -> Option<Kind> {
        KINDS.iter().copied().find(|k| k.name == word)
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Value of the operand in place `slot` of tuple number `tuple`. Tuples take turns: edge values, then random ones, in blocks of 32.
    pub fn value(&self, slot: usize, tuple: usize) -> u64 {
        let r = random((tuple as u64) << 8 | slot as u64);
        let edgy = (tuple / 32).is_multiple_of(2);
        // The first operand goes through the edges in order, the others meet them in mixed order.
        let pick = |edges: &[u64]| {
            let n = tuple / 64 * 32 + tuple % 32;
            let k = if slot == 0 {
                n % edges.len()
            } else {
                (r >> 7) as usize % edges.len()
            };
            edges[k]
        };
        match self.values {
            Values::Int(1) => r >> 5 & 1,
            Values::Int(bits) if edgy => pick(&int_edges(bits)),
            // Numbers of all magnitudes.
            Values::Int(bits) => {
                (r & mask(bits))
                    >> (if tuple.is_multiple_of(3) {
                        (r >> 40) % u64::from(bits)
                    } else {
                        0
                    })
            }
            Values::Float(e, m) if edgy => pick(&float_edges(e, m)),
            Values::Float(e, m) => match tuple % 3 {
                0 => r & mask(1 + e + m),
                1 => near_one(e, m, r, 3),
                _ => near_one(e, m, r, 24),
            },
            Values::Halves(e, m) => {
                let half =
                    |part: usize| kind("", 16, Values::Float(e, m)).value(slot + 16 * part, tuple);
                half(0) | half(1) << 16
            }
            Values::Position => {
                let edges = [
                    0,
                    1,
                    4,
                    8,
                    15,
                    16,
                    17,
                    24,
                    31,
                    32,
                    33,
                    47,
                    63,
                    64,
                    65,
                    255,
                    256,
                    0x8000_0000,
                    0xffff_ffff,
                ];
                if edgy { pick(&edges) } else { r % 40 }
            }
            Values::Small(e, m) if m == 10 || m == 7 => small(e, m, r) | small(e, m, r >> 20) << 16,
            Values::Small(e, m) => small(e, m, r),
            Values::SmallBytes(e, m) => {
                (0..4).fold(0, |all, k| all | small(e, m, r >> (k * 10)) << (8 * k))
            }
            Values::Near(e, 23) => near_one(e, 23, r, 2),
            Values::Near(e, m) => near_one(e, m, r, 2) | near_one(e, m, random(r), 2) << 16,
            Values::Bytes => r & 0xffff_ffff,
            Values::Moderate => near_one(8, 23, r, 20),
            Values::Angle => near_one(8, 23, r, if tuple.is_multiple_of(4) { 8 } else { 2 }),
            Values::Index => tuple as u64,
            Values::Few => {
                (r >> 9) % 3
                    + if tuple / 32 % 4 == 1 {
                        0
                    } else {
                        (1 << 31) * ((tuple as u64 / 32) % 2)
                    }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_fit_their_kinds() {
        for kind in KINDS {
            for tuple in 0..crate::TUPLES {
                for slot in 0..12 {
                    assert_eq!(
                        kind.value(slot, tuple) & !mask(kind.bits.max(1)),
                        0,
                        "{}",
                        kind.name
                    );
                }
            }
        }
    }

    #[test]
    fn small_numbers_are_integers() {
        for r in 0..512 {
            let v = f32::from_bits(small(8, 23, r) as u32);
            assert!(v.fract() == 0.0 && v.abs() <= 8.0, "{v}");
        }
    }
}
