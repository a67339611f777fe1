//! Textures and surfaces.

use super::quals::{Quals, arity};
use super::{Emit, Step};
use crate::engine::Reference;
use crate::ptx::ast::Operand;
use crate::ptx::code::{Geometry, ImageAction, ImageOp, Loc, Lod, Op, Outside, Question};
use crate::ptx::types::{Ty, Width};

/// Registers of an instruction in the order in which they are listed.
#[derive(Default)]
struct Registers {
    values: Vec<Loc>,
    coordinates: Vec<Loc>,
    more: Vec<Loc>,
}

impl<'a> Emit<'_, 'a> {
    /// Lowers an instruction on a texture or a surface; false if it is none.
    pub(super) fn images(&mut self, q: &mut Quals<'a>, operands: &[Operand<'a>]) -> Step<bool> {
        match q.base {
            "tex" => self.sample(q, operands)?,
            "tld4" => self.gather(q, operands)?,
            "suld" | "sust" => self.surface(q, operands)?,
            "txq" | "suq" => self.ask(q, operands)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Handle and place of `[image, {…}]`.
    fn image<'o>(
        &mut self,
        operand: &'o Operand<'a>,
        kind: Reference,
    ) -> Step<(Loc, &'o [Operand<'a>])> {
        let Operand::Image(base, place) = operand else {
            return Err("expected an image and a place in brackets".into());
        };
        Ok((self.image_handle(base, kind)?, place))
    }

    /// An object is named by a register, a reference by its variable, whose address stands for it.
    fn image_handle(&mut self, base: &Operand<'a>, kind: Reference) -> Step<Loc> {
        match base {
            Operand::Reg(_) => self.source(base, Ty::U64),
            Operand::Name(name, 0) if self.module.references.get(name) == Some(&kind) => {
                self.source(base, Ty::U64)
            }
            _ => Err("expected an object in a register, or a reference of this kind".into()),
        }
    }

    /// The coordinates of a place: a layer first where there are layers; what fills a vector up is left out.
    fn coordinates(&mut self, place: &[Operand<'a>], geometry: Geometry, ty: Ty) -> Step<Vec<Loc>> {
        let count = if geometry.cube {
            3
        } else {
            usize::from(geometry.dimensions)
        };
        let needed = count + usize::from(geometry.layered);
        if place.len() < needed || place.len() > 4 {
            return Err("the place has not as many coordinates as the geometry".into());
        }
        let mut out = Vec::with_capacity(needed);
        for (k, coordinate) in place[..needed].iter().enumerate() {
            let ty = if geometry.layered && k == 0 {
                Ty::U32
            } else {
                ty
            };
            out.push(self.source(coordinate, ty)?);
        }
        Ok(out)
    }

    fn push_image(&mut self, handle: Loc, mut op: ImageOp, registers: &Registers) {
        let lists = &mut self.module.program.lists;
        op.list = lists.len() as u32;
        op.values = registers.values.len() as u8;
        op.coordinates = registers.coordinates.len() as u8;
        for list in [&registers.values, &registers.coordinates, &registers.more] {
            lists.extend_from_slice(list);
        }
        let mut ins = self.blank(Op::Image);
        ins.a = handle;
        ins.imm = self.module.program.images.len() as u64;
        self.module.program.images.push(op);
        self.push(ins);
    }

    fn targets(&mut self, operand: &Operand<'a>, count: usize) -> Step<Vec<Loc>> {
        let Operand::Vector(items) = operand else {
            return Err("expected a vector of destinations".into());
        };
        arity(items, count..=count)?;
        // Destinations that nobody wants need places of their own: they are written like the others.
        let mut out = Vec::with_capacity(count);
        for item in items {
            out.push(self.dest(item, Width::W32)?);
        }
        Ok(out)
    }

    fn sample(&mut self, q: &mut Quals<'a>, operands: &[Operand<'a>]) -> Step<()> {
        let lod = match q.one_of(&["level", "grad", "base"]) {
            Some(0) => Lod::Given,
            Some(1) => Lod::Derivatives,
            _ => Lod::Base,
        };
        let geometry = geometry(q)?;
        if !q.take("v4") {
            return Err("only `.v4` is supported".into());
        }
        let ty = coordinate_type(q)?;
        let count = match lod {
            Lod::Base => 2,
            Lod::Given => 3,
            Lod::Derivatives => 4,
        };
        arity(operands, count..=count)?;
        let mut registers = Registers {
            values: self.targets(&operands[0], 4)?,
            ..Registers::default()
        };
        let (handle, place) = self.image(&operands[1], Reference::Texture)?;
        registers.coordinates = self.coordinates(place, geometry, ty)?;
        match lod {
            Lod::Base => {}
            Lod::Given => registers.more.push(self.source(&operands[2], ty)?),
            Lod::Derivatives if geometry.cube => {
                return Err("derivatives of directions are not supported".into());
            }
            Lod::Derivatives => {
                for vector in &operands[2..4] {
                    let items = match vector {
                        Operand::Vector(items) => &items[..],
                        single => std::slice::from_ref(single),
                    };
                    let dimensions = usize::from(geometry.dimensions);
                    if items.len() < dimensions {
                        return Err("too few derivatives".into());
                    }
                    for item in &items[..dimensions] {
                        registers.more.push(self.source(item, Ty::F32)?);
                    }
                }
            }
        }
        let op = op(ImageAction::Sample(lod), geometry, ty == Ty::S32);
        self.push_image(handle, op, &registers);
        Ok(())
    }

    fn gather(&mut self, q: &mut Quals<'a>, operands: &[Operand<'a>]) -> Step<()> {
        let channel = q
            .one_of(&["r", "g", "b", "a"])
            .ok_or("expected a channel")? as u8;
        let geometry = geometry(q)?;
        if geometry.dimensions != 2 || geometry.cube {
            return Err("this geometry is not supported here".into());
        }
        if !q.take("v4") {
            return Err("only `.v4` is supported".into());
        }
        let ty = coordinate_type(q)?;
        if ty != Ty::F32 {
            return Err("only coordinates of type `.f32` are supported here".into());
        }
        arity(operands, 2..=2)?;
        let values = self.targets(&operands[0], 4)?;
        let (handle, place) = self.image(&operands[1], Reference::Texture)?;
        let registers = Registers {
            values,
            coordinates: self.coordinates(place, geometry, ty)?,
            more: Vec::new(),
        };
        let op = op(ImageAction::Gather(channel), geometry, false);
        self.push_image(handle, op, &registers);
        Ok(())
    }

    fn surface(&mut self, q: &mut Quals<'a>, operands: &[Operand<'a>]) -> Step<()> {
        let load = q.base == "suld";
        let formatted = match q.one_of(&["b", "p"]) {
            Some(0) => false,
            Some(_) if !load => true,
            _ => return Err("only `.b` is supported".into()),
        };
        let geometry = geometry(q)?;
        if geometry.cube {
            return Err("faces are layers of surfaces".into());
        }
        q.one_of(&["ca", "cg", "cs", "cv", "wb", "wt"]);
        let count = match q.one_of(&["v2", "v4"]) {
            Some(0) => 2,
            Some(_) => 4,
            None => 1,
        };
        let ty = q.ty()?;
        let outside = match q.one_of(&["trap", "clamp", "zero"]) {
            Some(1) => Outside::Clamp,
            Some(2) => Outside::Zero,
            _ => Outside::Trap,
        };
        if formatted && ty.size() != 4 || !matches!(ty.size(), 1 | 2 | 4 | 8) {
            return Err("this type is not supported here".into());
        }
        arity(operands, 2..=2)?;
        let (values, image) = if load {
            (&operands[0], &operands[1])
        } else {
            (&operands[1], &operands[0])
        };
        let items = match values {
            Operand::Vector(items) => &items[..],
            single => std::slice::from_ref(single),
        };
        arity(items, count..=count)?;
        let mut registers = Registers::default();
        for item in items {
            let loc = if load {
                self.dest(item, ty.width())?
            } else {
                self.source(item, ty)?
            };
            registers.values.push(loc);
        }
        let (handle, place) = self.image(image, Reference::Surface)?;
        registers.coordinates = self.coordinates(place, geometry, Ty::S32)?;
        let action = match (load, formatted) {
            (true, _) => ImageAction::Load,
            (false, false) => ImageAction::Store,
            (false, true) => ImageAction::StoreFormatted,
        };
        let op = ImageOp {
            outside,
            size: ty.size() as u8,
            ..op(action, geometry, true)
        };
        self.push_image(handle, op, &registers);
        Ok(())
    }

    fn ask(&mut self, q: &mut Quals<'a>, operands: &[Operand<'a>]) -> Step<()> {
        let texture = q.base == "txq";
        let level = q.take("level");
        let question = match q.one_of(&[
            "width",
            "height",
            "depth",
            "array_size",
            "num_mipmap_levels",
            "normalized_coords",
            "channel_data_type",
            "channel_order",
        ]) {
            Some(0) => Question::Width,
            Some(1) => Question::Height,
            Some(2) => Question::Depth,
            Some(3) => Question::Layers,
            Some(4) if texture => Question::Levels,
            Some(5) if texture => Question::NormalizedCoordinates,
            Some(6) => Question::DataType,
            Some(7) => Question::Order,
            _ => return Err("this question is not supported".into()),
        };
        if q.ty()? != Ty::B32 {
            return Err("expected `.b32`".into());
        }
        let count = if level { 3 } else { 2 };
        arity(operands, count..=count)?;
        let Operand::Address(base, 0) = &operands[1] else {
            return Err("expected an image in brackets".into());
        };
        let kind = if texture {
            Reference::Texture
        } else {
            Reference::Surface
        };
        let handle = self.image_handle(base, kind)?;
        let mut registers = Registers {
            values: vec![self.dest(&operands[0], Width::W32)?],
            ..Registers::default()
        };
        if level {
            registers.more.push(self.source(&operands[2], Ty::U32)?);
        }
        let action = if texture {
            ImageAction::AskTexture(question)
        } else {
            ImageAction::AskSurface(question)
        };
        let none = Geometry {
            dimensions: u8::from(level),
            layered: false,
            cube: false,
        };
        self.push_image(handle, op(action, none, true), &registers);
        Ok(())
    }
}

fn op(action: ImageAction, geometry: Geometry, integers: bool) -> ImageOp {
    ImageOp {
        action,
        geometry,
        integers,
        outside: Outside::Trap,
        size: 4,
        list: 0,
        values: 0,
        coordinates: 0,
    }
}

fn geometry(q: &mut Quals<'_>) -> Step<Geometry> {
    let (dimensions, layered, cube) =
        match q.one_of(&["1d", "2d", "3d", "a1d", "a2d", "cube", "acube"]) {
            Some(0) => (1, false, false),
            Some(1) => (2, false, false),
            Some(2) => (3, false, false),
            Some(3) => (1, true, false),
            Some(4) => (2, true, false),
            Some(5) => (2, false, true),
            Some(_) => (2, true, true),
            None => return Err("this geometry is not supported".into()),
        };
    Ok(Geometry {
        dimensions,
        layered,
        cube,
    })
}

/// The type of results, which must be one of 32 bits, is taken, and that of coordinates given.
fn coordinate_type(q: &mut Quals<'_>) -> Step<Ty> {
    let (values, coordinates) = (q.ty()?, q.ty()?);
    if !matches!(values, Ty::U32 | Ty::S32 | Ty::F32 | Ty::B32) {
        return Err("results of this type are not supported".into());
    }
    if !matches!(coordinates, Ty::S32 | Ty::F32) {
        return Err("coordinates of this type are not supported".into());
    }
    Ok(coordinates)
}
