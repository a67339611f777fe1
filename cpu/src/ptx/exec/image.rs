//! Instructions on textures and surfaces: lane by lane, every texel's address checked like any other.

use super::sample::{self, Place, Sampler, Texel};
use super::state::{Grid, Shared, Trouble, Warp};
use crate::engine::FaultKind;
use crate::image::{Channel, Element, Level, Surface, Texture};
use crate::ptx::alu::{get, put};
use crate::ptx::code::{
    Bases, Geometry, ImageAction, ImageOp, Ins, Loc, Lod, Outside, Question, Where,
};

/// Faces of a cube.
const FACES: u32 = 6;

/// Calls `f` for each lane of the mask.
fn each(mask: u32, mut f: impl FnMut(usize) -> Result<(), Trouble>) -> Result<(), Trouble> {
    let mut left = mask;
    while left != 0 {
        f(left.trailing_zeros() as usize)?;
        left &= left - 1;
    }
    Ok(())
}

fn fault(kind: FaultKind, lane: usize, address: u64) -> Trouble {
    Trouble {
        kind,
        lane: lane as u32,
        address,
    }
}

/// The operands of an image instruction.
struct Operands<'a> {
    op: &'a ImageOp,
    handles: [u64; 32],
    values: &'a [Loc],
    /// All lanes of each coordinate, as bits.
    coordinates: [[u32; 32]; 4],
    /// Level, or derivatives.
    more: [[u32; 32]; 6],
}

impl Operands<'_> {
    /// The coordinate `k` behind the layer.
    fn coordinate(&self, k: usize, lane: usize) -> u32 {
        self.coordinates[k + usize::from(self.op.geometry.layered)][lane]
    }

    fn number(&self, k: usize, lane: usize) -> f32 {
        f32::from_bits(self.coordinate(k, lane))
    }

    /// The vector of derivatives that begins at operand `from`.
    fn derivative(&self, from: usize, lane: usize) -> [f32; 3] {
        let dimensions = usize::from(self.op.geometry.dimensions);
        std::array::from_fn(|k| {
            if k < dimensions {
                f32::from_bits(self.more[from + k][lane])
            } else {
                0.0
            }
        })
    }
}

/// Whether an instruction is of the kind that [`sample::nearest_floats`] knows: a plain read of two dimensions.
fn nearest(op: &ImageOp) -> bool {
    let geometry = op.geometry;
    matches!(op.action, ImageAction::Sample(_))
        && !op.integers
        && geometry.dimensions == 2
        && !geometry.layered
        && !geometry.cube
}

impl Warp {
    /// Executes an instruction on a texture or a surface.
    ///
    /// # Safety
    /// The instruction must belong to the frame of `bases`.
    pub(crate) unsafe fn image(
        &mut self,
        grid: &Grid<'_>,
        shared: &Shared,
        bases: &Bases,
        ins: &Ins,
        mask: u32,
    ) -> Result<(), Trouble> {
        let op = &grid.program.images[ins.imm as usize];
        let list = &grid.program.lists[op.list as usize..];
        let (values, rest) = list.split_at(usize::from(op.values));
        let (coordinates, rest) = rest.split_at(usize::from(op.coordinates));
        let more = match op.action {
            ImageAction::Sample(Lod::Given) => 1,
            ImageAction::Sample(Lod::Derivatives) => 2 * usize::from(op.geometry.dimensions),
            // A question's level: `dimensions` says whether there is one.
            ImageAction::AskTexture(_) | ImageAction::AskSurface(_) => {
                usize::from(op.geometry.dimensions)
            }
            _ => 0,
        };
        let mut operands = Operands {
            op,
            // SAFETY: the caller's promise: the handle is a register of 64 bits, checked when it was lowered.
            handles: unsafe { get(bases, ins.a) },
            values,
            coordinates: [[0; 32]; 4],
            more: [[0; 32]; 6],
        };
        for (to, loc) in operands.coordinates.iter_mut().zip(coordinates) {
            // SAFETY: as above, of 32 bits.
            *to = unsafe { get(bases, *loc) };
        }
        for (to, loc) in operands.more.iter_mut().zip(&rest[..more]) {
            // SAFETY: as above, of 32 bits.
            *to = unsafe { get(bases, *loc) };
        }
        // SAFETY: the caller's promise.
        unsafe {
            match op.action {
                ImageAction::Sample(_) | ImageAction::Gather(_) => {
                    self.sample(grid, shared, bases, &operands, mask)
                }
                ImageAction::Load => self.load_surface(grid, shared, bases, &operands, mask),
                ImageAction::Store | ImageAction::StoreFormatted => {
                    self.store_surface(grid, shared, bases, &operands, mask)
                }
                ImageAction::AskTexture(question) => {
                    ask_texture(grid, bases, &operands, question, mask)
                }
                ImageAction::AskSurface(question) => {
                    ask_surface(grid, bases, &operands, question, mask)
                }
            }
        }
    }

    /// # Safety
    /// As [`image`](Self::image).
    unsafe fn sample(
        &mut self,
        grid: &Grid<'_>,
        shared: &Shared,
        bases: &Bases,
        operands: &Operands<'_>,
        mask: u32,
    ) -> Result<(), Trouble> {
        let mut results = [[0u32; 32]; 4];
        let mut known: Option<(u64, std::sync::Arc<Texture>)> = None;
        let first = operands.handles[mask.trailing_zeros() as usize & 31];
        let together = (0..32).all(|l| mask >> l & 1 == 0 || operands.handles[l] == first);
        if together
            && nearest(operands.op)
            && let Some(texture) = grid.env.images.texture(first)
            && let Some(level) = sample::plain(&texture)
            && self.reaches(grid, level)
        {
            let [x, y, ..] = &operands.coordinates;
            // SAFETY: all of the level lies in memory that the kernel may read.
            results[0] = unsafe { sample::nearest_floats(&texture, level, x, y) };
            results[3] = [1.0f32.to_bits(); 32];
            for (loc, result) in operands.values.iter().zip(&results) {
                // SAFETY: the caller's promise: four registers of 32 bits.
                unsafe { put(bases, *loc, result, mask) };
            }
            return Ok(());
        }
        // Whether all of the texture was found to be readable, so that its texels need not be checked one by one.
        let mut direct = false;
        each(mask, |lane| {
            let handle = operands.handles[lane];
            if known.as_ref().is_none_or(|(of, _)| *of != handle) {
                let texture = grid.env.images.texture(handle);
                let texture = texture.ok_or(fault(FaultKind::IllegalAddress, lane, handle))?;
                direct = texture.levels.iter().all(|level| self.reaches(grid, level));
                known = Some((handle, texture));
            }
            let Some((_, texture)) = &known else {
                return Ok(());
            };
            let texel = if direct {
                // SAFETY: all of the texture's levels lie in memory that the kernel may read, and the sampler reads whole elements inside of them.
                let read = |address: u64, size: u32| Ok(unsafe { element(address, size) });
                take(&mut Sampler { texture, read }, operands, lane)?
            } else {
                let read = |address: u64, size: u32| {
                    let (bytes, lane) = (u64::from(size), lane as u32);
                    let at =
                        self.resolve_one(grid, shared, Where::Global, address, bytes, lane, false)?;
                    // SAFETY: `resolve_one` has checked so many bytes.
                    Ok(unsafe { element(at, size) })
                };
                take(&mut Sampler { texture, read }, operands, lane)?
            };
            for (result, value) in results.iter_mut().zip(texel) {
                result[lane] = value;
            }
            Ok(())
        })?;
        for (loc, result) in operands.values.iter().zip(&results) {
            // SAFETY: the caller's promise: four registers of 32 bits.
            unsafe { put(bases, *loc, result, mask) };
        }
        Ok(())
    }

    /// Whether all bytes of a level may be read.
    fn reaches(&mut self, grid: &Grid<'_>, level: &Level) -> bool {
        let bytes = u64::from(level.depth) * level.slice;
        self.readable(grid, level.address, bytes)
    }

    /// The address of the bytes that a lane accesses; `None` outside where nothing is to be done.
    fn on_surface(
        &mut self,
        surface: &Surface,
        operands: &Operands<'_>,
        lane: usize,
        bytes: u64,
    ) -> Result<Option<u64>, Trouble> {
        let op = operands.op;
        let Level {
            address,
            width,
            height,
            depth,
            row,
            slice,
        } = surface.level;
        let element = u64::from(surface.element.bytes());
        let length = u64::from(width) * element;
        let signed = |k: usize| i64::from(operands.coordinate(k, lane).cast_signed());
        let dimensions = usize::from(op.geometry.dimensions);
        let mut x = signed(0);
        if op.action == ImageAction::StoreFormatted {
            x *= element as i64;
        }
        let y = if dimensions > 1 { signed(1) } else { 0 };
        let z = if dimensions > 2 {
            signed(2)
        } else if op.geometry.layered {
            i64::from(operands.coordinates[0][lane].cast_signed())
        } else {
            0
        };
        let last = [
            length as i64 - bytes as i64,
            i64::from(height) - 1,
            i64::from(depth) - 1,
        ];
        let mut at = [x, y, z];
        let inside = at
            .iter()
            .zip(last)
            .all(|(at, last)| (0..=last).contains(at));
        if !inside {
            match op.outside {
                Outside::Zero => return Ok(None),
                Outside::Clamp if last[0] >= 0 => {
                    for (at, last) in at.iter_mut().zip(last) {
                        *at = (*at).clamp(0, last);
                    }
                }
                _ => return Err(fault(FaultKind::LaunchFailed, lane, address)),
            }
        }
        let [x, y, z] = at.map(i64::cast_unsigned);
        Ok(Some(address + z * slice + y * row + x))
    }

    /// # Safety
    /// As [`image`](Self::image).
    unsafe fn load_surface(
        &mut self,
        grid: &Grid<'_>,
        shared: &Shared,
        bases: &Bases,
        operands: &Operands<'_>,
        mask: u32,
    ) -> Result<(), Trouble> {
        let size = u64::from(operands.op.size);
        let bytes = size * operands.values.len() as u64;
        let mut results = [[0u64; 32]; 4];
        each(mask, |lane| {
            let surface = surface_of(grid, operands, lane)?;
            let Some(at) = self.on_surface(&surface, operands, lane, bytes)? else {
                return Ok(());
            };
            let at =
                self.resolve_one(grid, shared, Where::Global, at, bytes, lane as u32, false)?;
            for (k, result) in results[..operands.values.len()].iter_mut().enumerate() {
                let mut word = [0; 8];
                // SAFETY: `resolve_one` has checked all of the values' bytes; each has 8 at most.
                unsafe {
                    let from = (at + k as u64 * size) as *const u8;
                    std::ptr::copy_nonoverlapping(from, word.as_mut_ptr(), size as usize);
                }
                result[lane] = u64::from_le_bytes(word);
            }
            Ok(())
        })?;
        for (loc, result) in operands.values.iter().zip(&results) {
            // SAFETY: the caller's promise: the registers have the size of the type.
            unsafe {
                match size {
                    1 | 2 => put(bases, *loc, &result.map(|v| v as u16), mask),
                    4 => put(bases, *loc, &result.map(|v| v as u32), mask),
                    _ => put(bases, *loc, result, mask),
                }
            }
        }
        Ok(())
    }

    /// # Safety
    /// As [`image`](Self::image).
    unsafe fn store_surface(
        &mut self,
        grid: &Grid<'_>,
        shared: &Shared,
        bases: &Bases,
        operands: &Operands<'_>,
        mask: u32,
    ) -> Result<(), Trouble> {
        let size = u64::from(operands.op.size);
        let mut values = [[0u64; 32]; 4];
        for (value, loc) in values.iter_mut().zip(operands.values) {
            // SAFETY: the caller's promise: the registers have the size of the type.
            *value = unsafe {
                match size {
                    1 | 2 => get::<u16>(bases, *loc).map(u64::from),
                    4 => get::<u32>(bases, *loc).map(u64::from),
                    _ => get(bases, *loc),
                }
            };
        }
        let formatted = operands.op.action == ImageAction::StoreFormatted;
        each(mask, |lane| {
            let surface = surface_of(grid, operands, lane)?;
            let Element { channel, channels } = surface.element;
            let (size, count) = if formatted {
                (u64::from(channel.bytes()), channels as usize)
            } else {
                (size, operands.values.len())
            };
            let bytes = size * count as u64;
            let Some(at) = self.on_surface(&surface, operands, lane, bytes)? else {
                return Ok(());
            };
            let at = self.resolve_one(grid, shared, Where::Global, at, bytes, lane as u32, true)?;
            for (k, value) in values[..count].iter().enumerate() {
                let value = if formatted {
                    u64::from(sample::encode(channel, value[lane] as u32))
                } else {
                    value[lane]
                };
                // SAFETY: `resolve_one` has checked all of the values' bytes; each has 8 at most.
                unsafe {
                    let to = (at + k as u64 * size) as *mut u8;
                    std::ptr::copy_nonoverlapping(value.to_le_bytes().as_ptr(), to, size as usize);
                }
            }
            Ok(())
        })
    }
}

/// An element's bytes; the rest is zero.
///
/// # Safety
/// So many bytes must be readable.
#[inline(always)]
unsafe fn element(address: u64, size: u32) -> [u8; 16] {
    // SAFETY: the caller's promise; other threads may write, as kernels do: what is read is plain bits.
    let bits = unsafe {
        match size {
            1 => u128::from((address as *const u8).read()),
            2 => u128::from((address as *const u16).read_unaligned()),
            4 => u128::from((address as *const u32).read_unaligned()),
            8 => u128::from((address as *const u64).read_unaligned()),
            _ => (address as *const u128).read_unaligned(),
        }
    };
    bits.to_le_bytes()
}

/// What one lane reads.
#[inline(always)]
fn take<R: sample::Read>(
    sampler: &mut Sampler<'_, R>,
    operands: &Operands<'_>,
    lane: usize,
) -> Result<Texel, Trouble> {
    let op = operands.op;
    let Geometry {
        dimensions,
        layered,
        cube,
    } = op.geometry;
    let depth = sampler.texture.levels[0].depth;
    let mut place = Place {
        dimensions: usize::from(dimensions),
        ..Place::default()
    };
    // Layers beyond the last are the last; they are signed, and below the first is the first.
    let layer = layered.then(|| {
        operands.coordinates[0][lane]
            .cast_signed()
            .max(0)
            .cast_unsigned()
    });
    place.layer = layer;
    if op.integers {
        let mut at = [0; 3];
        for (k, at) in at[..place.dimensions].iter_mut().enumerate() {
            *at = i64::from(operands.coordinate(k, lane).cast_signed());
        }
        let level = match op.action {
            ImageAction::Sample(Lod::Given) => operands.more[0][lane],
            _ => 0,
        };
        return sampler.at(at, &place, level);
    }
    if cube {
        let (face, at) = sample::face(std::array::from_fn(|k| operands.number(k, lane)));
        place.at = [at[0], at[1], 0.0];
        let cubes = (depth / FACES).max(1);
        place.layer = Some(layer.unwrap_or(0).min(cubes - 1) * FACES + face);
    } else {
        for (k, at) in place.at[..place.dimensions].iter_mut().enumerate() {
            *at = operands.number(k, lane);
        }
    }
    match op.action {
        ImageAction::Gather(channel) => sampler.gather(&place, usize::from(channel)),
        ImageAction::Sample(Lod::Given) => {
            sampler.sample(&place, f32::from_bits(operands.more[0][lane]))
        }
        ImageAction::Sample(Lod::Derivatives) => {
            let (dx, dy) = (
                operands.derivative(0, lane),
                operands.derivative(place.dimensions, lane),
            );
            let lod = sampler.lod(dx, dy);
            sampler.sample(&place, lod)
        }
        _ => sampler.sample(&place, 0.0),
    }
}

fn surface_of(
    grid: &Grid<'_>,
    operands: &Operands<'_>,
    lane: usize,
) -> Result<std::sync::Arc<Surface>, Trouble> {
    let handle = operands.handles[lane];
    let surface = grid.env.images.surface(handle);
    surface.ok_or(fault(FaultKind::IllegalAddress, lane, handle))
}

/// # Safety
/// As [`Warp::image`].
unsafe fn answer(
    bases: &Bases,
    operands: &Operands<'_>,
    mask: u32,
    f: impl Fn(usize) -> Result<u32, Trouble>,
) -> Result<(), Trouble> {
    let mut results = [0; 32];
    each(mask, |lane| {
        results[lane] = f(lane)?;
        Ok(())
    })?;
    // SAFETY: the caller's promise: one register of 32 bits.
    unsafe { put(bases, operands.values[0], &results, mask) };
    Ok(())
}

/// # Safety
/// As [`Warp::image`].
unsafe fn ask_texture(
    grid: &Grid<'_>,
    bases: &Bases,
    operands: &Operands<'_>,
    question: Question,
    mask: u32,
) -> Result<(), Trouble> {
    // SAFETY: the caller's promise.
    unsafe {
        answer(bases, operands, mask, |lane| {
            let handle = operands.handles[lane];
            let texture = grid.env.images.texture(handle);
            let texture = texture.ok_or(fault(FaultKind::IllegalAddress, lane, handle))?;
            let level = (operands.more[0][lane] as usize).min(texture.levels.len() - 1);
            Ok(match question {
                Question::Levels => texture.levels.len() as u32,
                Question::NormalizedCoordinates => u32::from(texture.normalized),
                _ => describe(&texture.levels[level], texture.element, question),
            })
        })
    }
}

/// # Safety
/// As [`Warp::image`].
unsafe fn ask_surface(
    grid: &Grid<'_>,
    bases: &Bases,
    operands: &Operands<'_>,
    question: Question,
    mask: u32,
) -> Result<(), Trouble> {
    // SAFETY: the caller's promise.
    unsafe {
        answer(bases, operands, mask, |lane| {
            let surface = surface_of(grid, operands, lane)?;
            Ok(describe(&surface.level, surface.element, question))
        })
    }
}

fn describe(level: &Level, element: Element, question: Question) -> u32 {
    match question {
        Question::Width => level.width,
        Question::Height => level.height,
        Question::Depth | Question::Layers => level.depth,
        Question::DataType => match element.channel {
            Channel::Snorm8 => 0x10d0,
            Channel::Snorm16 => 0x10d1,
            Channel::Unorm8 => 0x10d2,
            Channel::Unorm16 => 0x10d3,
            Channel::S8 => 0x10d7,
            Channel::S16 => 0x10d8,
            Channel::S32 => 0x10d9,
            Channel::U8 => 0x10da,
            Channel::U16 => 0x10db,
            Channel::U32 => 0x10dc,
            Channel::F16 => 0x10dd,
            Channel::F32 => 0x10de,
        },
        Question::Order => match element.channels {
            1 => 0x10b0,
            2 => 0x10b2,
            _ => 0x10b5,
        },
        Question::Levels | Question::NormalizedCoordinates => 0,
    }
}
