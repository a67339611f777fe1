//! What a texture gives for coordinates, as the programming guide's chapter on texture fetching defines it.
//!
//! Fractions of blended reads have 8 bits, as in the hardware. How the hardware rounds the blend itself is not documented; here it is rounded once.

use super::state::Trouble;
use crate::image::{AddressMode, Channel, Level, Texture};
use crate::ptx::alu::half::{f16_to_f64, round_to_f16};
use crate::ptx::alu::rounding::Round;

/// Steps of a fraction.
const STEPS: f64 = 256.0;
/// Coordinates are brought into this range: far beyond any texture, and exact as integers.
const FARTHEST: f64 = (1u64 << 40) as f64;

/// The next whole number below. (The library's function is a call where the CPU's baseline has no instruction for it.)
#[inline(always)]
fn floor(c: f64) -> i64 {
    let cut = c as i64;
    cut - i64::from(cut as f64 > c)
}

/// Reads so many bytes at an address; the rest is zero.
pub(super) trait Read: FnMut(u64, u32) -> Result<[u8; 16], Trouble> {}
impl<F: FnMut(u64, u32) -> Result<[u8; 16], Trouble>> Read for F {}

/// Four channels: bits of single-precision numbers, or integers where integers are read.
pub(super) type Texel = [u32; 4];

/// Where a sample lies.
#[derive(Clone, Copy, Default)]
pub(super) struct Place {
    /// As given by the program; those beyond the dimensions are 0.
    pub(super) at: [f32; 3],
    pub(super) dimensions: usize,
    /// Layer or face.
    pub(super) layer: Option<u32>,
}

/// One dimension of a sample: two neighbours, and the second one's share in [`STEPS`].
#[derive(Clone, Copy)]
struct Neighbours {
    first: i64,
    share: i64,
}

/// A texture and a way to its memory.
pub(super) struct Sampler<'t, R> {
    pub(super) texture: &'t Texture,
    pub(super) read: R,
}

/// The index that an address mode makes of one; `None` for the border.
fn index(mode: AddressMode, i: i64, size: u32) -> Option<u64> {
    let n = i64::from(size);
    let i = match mode {
        AddressMode::Wrap => i.rem_euclid(n),
        AddressMode::Clamp => i.clamp(0, n - 1),
        AddressMode::Mirror => {
            let i = i.rem_euclid(2 * n);
            i.min(2 * n - 1 - i)
        }
        AddressMode::Border if (0..n).contains(&i) => i,
        AddressMode::Border => return None,
    };
    Some(i.cast_unsigned())
}

fn linear_of_srgb(v: f32) -> f32 {
    if v <= 0.040_45 {
        v / 12.92
    } else {
        ((v + 0.055) / 1.055).powf(2.4)
    }
}

impl<R: Read> Sampler<'_, R> {
    /// Whether results are numbers with a fraction.
    fn fractions(&self) -> bool {
        let channel = self.texture.element.channel;
        !(channel.is_integer() && (self.texture.as_integer || channel.bytes() == 4))
    }

    fn border(&self) -> Texel {
        self.texture.border.map(f32::to_bits)
    }

    /// One channel.
    #[inline(always)]
    fn decode(&self, bytes: &[u8], color: bool) -> u32 {
        let channel = self.texture.element.channel;
        let narrow = u16::from_le_bytes([bytes[0], *bytes.get(1).unwrap_or(&0)]);
        let wide = || {
            let mut all = [0; 4];
            all.copy_from_slice(&bytes[..4]);
            u32::from_le_bytes(all)
        };
        let byte = bytes[0];
        let integers = self.texture.as_integer;
        let fraction = match channel {
            Channel::U32 | Channel::S32 | Channel::F32 => return wide(),
            Channel::F16 => f16_to_f64(narrow) as f32,
            Channel::U8 if integers => return u32::from(byte),
            Channel::S8 if integers => return i32::from(byte.cast_signed()).cast_unsigned(),
            Channel::U16 if integers => return u32::from(narrow),
            Channel::S16 if integers => return i32::from(narrow.cast_signed()).cast_unsigned(),
            Channel::U8 | Channel::Unorm8 => {
                let v = f32::from(byte) / 255.0;
                if self.texture.srgb && color {
                    linear_of_srgb(v)
                } else {
                    v
                }
            }
            Channel::S8 | Channel::Snorm8 => (f32::from(byte.cast_signed()) / 127.0).max(-1.0),
            Channel::U16 | Channel::Unorm16 => f32::from(narrow) / 65535.0,
            Channel::S16 | Channel::Snorm16 => {
                (f32::from(narrow.cast_signed()) / 32767.0).max(-1.0)
            }
        };
        fraction.to_bits()
    }

    /// The texel at indices that lie inside.
    #[inline(always)]
    fn fetch(&mut self, level: &Level, [x, y, z]: [u64; 3]) -> Result<Texel, Trouble> {
        let element = self.texture.element;
        let size = element.bytes();
        let address = level.address + z * level.slice + y * level.row + x * u64::from(size);
        let bytes = (self.read)(address, size)?;
        // Channels that are not there read as 0, 0 and 1.
        let one = if self.fractions() {
            1.0f32.to_bits()
        } else {
            1
        };
        let mut texel = [0, 0, 0, one];
        let step = element.channel.bytes() as usize;
        for (k, value) in texel[..element.channels as usize].iter_mut().enumerate() {
            *value = self.decode(&bytes[k * step..], k < 3);
        }
        Ok(texel)
    }

    /// The texel at any indices.
    #[inline(always)]
    fn texel<const D: usize>(
        &mut self,
        level: &Level,
        at: [i64; 3],
        place: &Place,
    ) -> Result<Texel, Trouble> {
        let sizes = [level.width, level.height, level.depth];
        let mut inside = [0; 3];
        for k in 0..D {
            match index(self.texture.address_modes[k], at[k], sizes[k]) {
                Some(i) => inside[k] = i,
                None => return Ok(self.border()),
            }
        }
        if let Some(layer) = place.layer {
            inside[2] = u64::from(layer.min(level.depth - 1));
        }
        self.fetch(level, inside)
    }

    /// Coordinates in texels.
    #[inline(always)]
    fn scaled<const D: usize>(&self, level: &Level, place: &Place) -> [f64; 3] {
        let sizes = [level.width, level.height, level.depth];
        std::array::from_fn(|k| {
            if k >= D {
                return 0.0;
            }
            let c = place.at[k];
            let c = if self.texture.normalized {
                c * sizes[k] as f32
            } else {
                c
            };
            // What is no number counts as 0.
            if c.is_nan() {
                0.0
            } else {
                f64::from(c).clamp(-FARTHEST, FARTHEST)
            }
        })
    }

    fn neighbours(c: f64) -> Neighbours {
        let fixed = floor((c - 0.5) * STEPS + 0.5);
        Neighbours {
            first: fixed >> 8,
            share: fixed & 0xff,
        }
    }

    /// What one level gives.
    fn on_level(&mut self, level: usize, place: &Place) -> Result<Texel, Trouble> {
        let level = self.texture.levels[level];
        let mode = self.texture.address_modes[1];
        match place.dimensions {
            // As an H100 does it: a read of one dimension is at 0 in the second one, which blends with the border where that has one.
            1 if mode == AddressMode::Border && place.layer.is_none() => {
                self.blend::<2>(&level, place)
            }
            1 => self.blend::<1>(&level, place),
            2 => self.blend::<2>(&level, place),
            _ => self.blend::<3>(&level, place),
        }
    }

    fn blend<const D: usize>(&mut self, level: &Level, place: &Place) -> Result<Texel, Trouble> {
        let c = self.scaled::<D>(level, place);
        if !self.texture.linear {
            return self.texel::<D>(level, c.map(floor), place);
        }
        let n = c.map(Self::neighbours);
        let mut sum = [0.0f64; 4];
        for corner in 0..1usize << D {
            let (mut at, mut weight) = ([0; 3], 1.0);
            for k in 0..D {
                let second = corner >> k & 1;
                at[k] = n[k].first + second as i64;
                let share = n[k].share as f64 / STEPS;
                weight *= if second == 1 { share } else { 1.0 - share };
            }
            if weight == 0.0 {
                continue;
            }
            let texel = self.texel::<D>(level, at, place)?;
            for (sum, value) in sum.iter_mut().zip(texel) {
                *sum += weight * f64::from(f32::from_bits(value));
            }
        }
        Ok(sum.map(|sum| (sum as f32).to_bits()))
    }

    /// What the texture gives at a level of detail.
    pub(super) fn sample(&mut self, place: &Place, lod: f32) -> Result<Texel, Trouble> {
        let last = self.texture.levels.len() - 1;
        if last == 0 {
            return self.on_level(0, place);
        }
        let t = self.texture;
        let lod = (lod + t.bias).max(t.lowest).min(t.highest);
        let lod = f64::from(lod).max(0.0).min(last as f64);
        if !t.mip_linear || !self.fractions() {
            return self.on_level(((lod + 0.5).floor() as usize).min(last), place);
        }
        let fixed = (lod * STEPS + 0.5).floor() as usize;
        let (level, share) = (fixed >> 8, (fixed & 0xff) as f64 / STEPS);
        let near = self.on_level(level, place)?;
        if share == 0.0 {
            return Ok(near);
        }
        let far = self.on_level((level + 1).min(last), place)?;
        Ok(std::array::from_fn(|k| {
            let [near, far] = [near[k], far[k]].map(|bits| f64::from(f32::from_bits(bits)));
            ((near * (1.0 - share) + far * share) as f32).to_bits()
        }))
    }

    /// The texel at integer coordinates; linear memory has zeros beyond its ends.
    pub(super) fn at(&mut self, at: [i64; 3], place: &Place, level: u32) -> Result<Texel, Trouble> {
        let level = (level as usize).min(self.texture.levels.len() - 1);
        let level = self.texture.levels[level];
        if self.texture.memory && !(0..i64::from(level.width)).contains(&at[0]) {
            return Ok([0; 4]);
        }
        match place.dimensions {
            1 => self.texel::<1>(&level, at, place),
            2 => self.texel::<2>(&level, at, place),
            _ => self.texel::<3>(&level, at, place),
        }
    }

    /// One channel of the four texels that a blended read would use, counter-clockwise from the lower left.
    pub(super) fn gather(&mut self, place: &Place, channel: usize) -> Result<Texel, Trouble> {
        let level = self.texture.levels[0];
        let [x, y, _] = self
            .scaled::<2>(&level, place)
            .map(|c| Self::neighbours(c).first);
        let mut out = [0; 4];
        let order = [(x, y + 1), (x + 1, y + 1), (x + 1, y), (x, y)];
        for (out, (x, y)) in out.iter_mut().zip(order) {
            *out = self.texel::<2>(&level, [x, y, 0], place)?[channel];
        }
        Ok(out)
    }

    /// The level of detail that derivatives ask for: one texel of it per step.
    pub(super) fn lod(&self, dx: [f32; 3], dy: [f32; 3]) -> f32 {
        let level = &self.texture.levels[0];
        let sizes = [level.width, level.height, level.depth];
        let length = |d: [f32; 3]| {
            let squares = d.iter().zip(sizes).map(|(d, size)| {
                let d = if self.texture.normalized {
                    d * size as f32
                } else {
                    *d
                };
                d * d
            });
            squares.sum::<f32>().sqrt()
        };
        length(dx).max(length(dy)).log2()
    }
}

/// The level of a texture that [`nearest_floats`] can read: one channel of single precision, neither blended nor wrapped around.
pub(super) fn plain(texture: &Texture) -> Option<&Level> {
    let [level] = &texture.levels[..] else {
        return None;
    };
    let element = texture.element;
    let good = !texture.linear
        && element.channel == Channel::F32
        && element.channels == 1
        && texture.address_modes[..2] == [AddressMode::Clamp; 2]
        // Indices are exact in single precision.
        && level.width.max(level.height) < 1 << 24;
    good.then_some(level)
}

/// The nearest texels of all lanes, whatever their coordinates are.
///
/// # Safety
/// All bytes of the level must be readable, and the texture must be [`plain`].
pub(super) unsafe fn nearest_floats(
    texture: &Texture,
    level: &Level,
    x: &[u32; 32],
    y: &[u32; 32],
) -> [u32; 32] {
    let sides = [level.width as f32, level.height as f32];
    let scale = if texture.normalized { sides } else { [1.0; 2] };
    let (mut columns, mut rows) = ([0u32; 32], [0u32; 32]);
    for lane in 0..32 {
        // What is no number counts as 0: it loses against it.
        let inside = |bits: u32, k: usize| {
            (f32::from_bits(bits) * scale[k])
                .max(0.0)
                .min(sides[k] - 1.0) as u32
        };
        (columns[lane], rows[lane]) = (inside(x[lane], 0), inside(y[lane], 1));
    }
    std::array::from_fn(|lane| {
        let at = level.address + u64::from(rows[lane]) * level.row + u64::from(columns[lane]) * 4;
        // SAFETY: the caller's promise; rows and columns lie inside.
        unsafe { (at as *const u32).read_volatile() }
    })
}

/// Face of a cube and the place on it, from 0 to 1, that a direction points to.
pub(super) fn face([x, y, z]: [f32; 3]) -> (u32, [f32; 2]) {
    let (ax, ay, az) = (x.abs(), y.abs(), z.abs());
    let (face, m, s, t) = if az >= ax && az >= ay {
        if z >= 0.0 {
            (4, az, x, -y)
        } else {
            (5, az, -x, -y)
        }
    } else if ay >= ax {
        if y >= 0.0 {
            (2, ay, x, z)
        } else {
            (3, ay, x, -z)
        }
    } else if x >= 0.0 {
        (0, ax, -z, -y)
    } else {
        (1, ax, z, -y)
    };
    (face, [s, t].map(|c| (c / m + 1.0) / 2.0))
}

/// One channel as a surface keeps it, from the 32 bits that a formatted store gives.
pub(super) fn encode(channel: Channel, bits: u32) -> u32 {
    let fraction = f32::from_bits(bits);
    let signed = bits.cast_signed();
    let scaled =
        |most: f32, least: f32| (fraction.clamp(least, 1.0) * most).round_ties_even() as i32;
    match channel {
        Channel::U32 | Channel::S32 | Channel::F32 => bits,
        Channel::U8 => bits.min(0xff),
        Channel::U16 => bits.min(0xffff),
        Channel::S8 => signed.clamp(-128, 127).cast_unsigned() & 0xff,
        Channel::S16 => signed.clamp(-32768, 32767).cast_unsigned() & 0xffff,
        Channel::F16 => u32::from(round_to_f16(f64::from(fraction), 0.0, Round::Nearest)),
        Channel::Unorm8 => scaled(255.0, 0.0).cast_unsigned(),
        Channel::Unorm16 => scaled(65535.0, 0.0).cast_unsigned(),
        Channel::Snorm8 => scaled(127.0, -1.0).cast_unsigned() & 0xff,
        Channel::Snorm16 => scaled(32767.0, -1.0).cast_unsigned() & 0xffff,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_modes() {
        let all = |mode| -> Vec<Option<u64>> { (-4..7).map(|i| index(mode, i, 3)).collect() };
        let some = |v: [u64; 11]| v.map(Some).to_vec();
        assert_eq!(
            all(AddressMode::Wrap),
            some([2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0])
        );
        assert_eq!(
            all(AddressMode::Clamp),
            some([0, 0, 0, 0, 0, 1, 2, 2, 2, 2, 2])
        );
        assert_eq!(
            all(AddressMode::Mirror),
            some([2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0])
        );
        let inside: Vec<Option<u64>> = all(AddressMode::Border);
        assert_eq!(inside[4..7], [Some(0), Some(1), Some(2)]);
        assert!(inside[..4].iter().chain(&inside[7..]).all(Option::is_none));
    }

    #[test]
    fn faces_of_a_cube() {
        assert_eq!(face([1.0, 0.0, 0.0]), (0, [0.5, 0.5]));
        assert_eq!(face([-1.0, 0.5, 0.0]), (1, [0.5, 0.25]));
        assert_eq!(face([0.5, 1.0, 0.0]), (2, [0.75, 0.5]));
        assert_eq!(face([0.5, -1.0, 0.5]), (3, [0.75, 0.25]));
        assert_eq!(face([0.5, 0.0, 1.0]), (4, [0.75, 0.5]));
        assert_eq!(face([0.5, 0.0, -1.0]), (5, [0.25, 0.5]));
    }
}
