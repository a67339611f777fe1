//! `mma`, `wmma`, `ldmatrix`, `stmatrix`, `movmatrix`.

use super::quals::{Quals, arity};
use super::{Emit, Step};
use crate::ptx::ast::Operand;
use crate::ptx::code::{Ins, Loc, Op, Order};
use crate::ptx::matrix::{Elem, Fragment, Layout, MatrixOp, Places, Product, Role};
use crate::ptx::types::{Space, Ty, Width};

/// `m16n8k16`.
fn shape(word: &str) -> Option<[u32; 3]> {
    let (m, rest) = word.strip_prefix('m')?.split_once('n')?;
    let (n, k) = rest.split_once('k')?;
    Some([m.parse().ok()?, n.parse().ok()?, k.parse().ok()?])
}

/// The shapes of `mma` by the type of A.
fn mma_shape(elem: Elem, shape: [u32; 3]) -> bool {
    let [m, n, k] = shape;
    n == 8
        && match elem {
            Elem::F16 | Elem::Bf16 => m == 16 && matches!(k, 8 | 16),
            Elem::Tf32 => m == 16 && matches!(k, 4 | 8),
            Elem::F64 => (m == 8 && k == 4) || (m == 16 && matches!(k, 4 | 8 | 16)),
            Elem::E4m3 | Elem::E5m2 => m == 16 && matches!(k, 16 | 32),
            Elem::U8 | Elem::S8 => (m == 8 && k == 16) || (m == 16 && matches!(k, 16 | 32)),
            Elem::U4 | Elem::S4 => (m == 8 && k == 32) || (m == 16 && matches!(k, 32 | 64)),
            Elem::B1 => (m == 8 && k == 128) || (m == 16 && matches!(k, 128 | 256)),
            _ => false,
        }
}

/// The shapes of `wmma` by the type of A.
fn wmma_shape(elem: Elem, shape: [u32; 3]) -> bool {
    match elem {
        Elem::F16 | Elem::Bf16 | Elem::U8 | Elem::S8 => {
            matches!(shape, [16, 16, 16] | [32, 8, 16] | [8, 32, 16])
        }
        Elem::Tf32 => shape == [16, 16, 8],
        Elem::F64 => shape == [8, 8, 4],
        Elem::U4 | Elem::S4 => shape == [8, 8, 32],
        Elem::B1 => shape == [8, 8, 128],
        _ => false,
    }
}

/// Whether sums of this type belong to factors of that one.
fn sum_fits(factor: Elem, sum: Elem) -> bool {
    match factor {
        Elem::F16 | Elem::E4m3 | Elem::E5m2 => matches!(sum, Elem::F16 | Elem::F32),
        Elem::Bf16 | Elem::Tf32 => sum == Elem::F32,
        Elem::F64 => sum == Elem::F64,
        _ => sum == Elem::S32,
    }
}

impl<'a> Emit<'_, 'a> {
    /// Lowers an instruction on matrices; false if it is none.
    pub(super) fn matrices(&mut self, q: &mut Quals<'a>, operands: &[Operand<'a>]) -> Step<bool> {
        match q.base {
            "mma" => self.mma(q, operands)?,
            "wmma" => self.wmma(q, operands)?,
            "ldmatrix" | "stmatrix" => self.rows(q, operands)?,
            "movmatrix" => {
                q.take("sync");
                q.take("aligned");
                if !q.take("m8n8") || !q.take("trans") {
                    return Err("only `.m8n8.trans` is supported".into());
                }
                q.ty()?;
                arity(operands, 2..=2)?;
                let mut ins = self.blank(Op::Matrix);
                ins.d = self.dest(&operands[0], Width::W32)?;
                ins.a = self.source(&operands[1], Ty::B32)?;
                self.matrix(ins, MatrixOp::Transpose);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn matrix(&mut self, mut ins: Ins, op: MatrixOp) {
        ins.imm = self.module.program.matrices.len() as u64;
        self.module.program.matrices.push(op);
        self.push(ins);
    }

    /// The registers of a fragment.
    fn fragment(
        &mut self,
        role: Role,
        elem: Elem,
        shape: [u32; 3],
        operand: &Operand<'a>,
        written: bool,
        spare: bool,
    ) -> Step<Fragment> {
        let items = match operand {
            Operand::Vector(items) => &items[..],
            single => std::slice::from_ref(single),
        };
        let mut fragment = Fragment {
            role,
            elem,
            shape,
            list: self.module.program.lists.len() as u32,
            count: items.len() as u32,
            places: Places::default(),
        };
        fragment.places = fragment.places();
        let needed = fragment.registers();
        // The fragments of half-precision factors have eight registers in all shapes of `wmma`.
        if fragment.count != needed && !(spare && elem == Elem::F16 && fragment.count == 8) {
            return Err(format!("{} registers instead of {needed}", fragment.count));
        }
        fragment.count = fragment.count.max(needed);
        let ty = match elem {
            Elem::F64 => Ty::B64,
            Elem::F32 => Ty::F32,
            _ => Ty::B32,
        };
        let registers: Vec<Loc> = items
            .iter()
            .map(|item| {
                if written {
                    self.dest(item, ty.width())
                } else {
                    self.source(item, ty)
                }
            })
            .collect::<Step<_>>()?;
        // Sources that need temporaries may have added nothing to the lists: they are constants or registers.
        fragment.list = self.module.program.lists.len() as u32;
        self.module.program.lists.extend(registers);
        Ok(fragment)
    }

    fn mma(&mut self, q: &mut Quals<'a>, operands: &[Operand<'a>]) -> Step<()> {
        if q.has("sp") || q.has("sp::ordered_metadata") || q.has("block_scale") {
            return Err("products of sparse or scaled matrices are not supported".into());
        }
        q.take("sync");
        q.take("aligned");
        let shape = q.find(shape).ok_or("expected a shape")?;
        if !q.take("row") || !q.take("col") {
            return Err("expected `.row.col`".into());
        }
        let saturate = q.take("satfinite");
        let bits = q.one_of(&["xor", "and"]);
        q.take("popc");
        let mut types = [Elem::F32; 4];
        for ty in &mut types {
            *ty = q.find(Elem::parse).ok_or("expected four types")?;
        }
        let [d, a, b, c] = types;
        let related = a == b
            || matches!((a, b), (Elem::U8 | Elem::S8, Elem::U8 | Elem::S8))
            || matches!((a, b), (Elem::U4 | Elem::S4, Elem::U4 | Elem::S4))
            || matches!((a, b), (Elem::E4m3 | Elem::E5m2, Elem::E4m3 | Elem::E5m2));
        if !mma_shape(a, shape) || !related || !sum_fits(a, c) || !sum_fits(a, d) {
            return Err("this shape is not supported with these types".into());
        }
        arity(operands, 4..=4)?;
        self.multiply_add(shape, types, operands, saturate, bits == Some(1), false)
    }

    fn multiply_add(
        &mut self,
        shape: [u32; 3],
        [d, a, b, c]: [Elem; 4],
        operands: &[Operand<'a>],
        saturate: bool,
        and: bool,
        spare: bool,
    ) -> Step<()> {
        let product = Product {
            a: self.fragment(Role::A, a, shape, &operands[1], false, spare)?,
            b: self.fragment(Role::B, b, shape, &operands[2], false, spare)?,
            c: self.fragment(Role::Sum, c, shape, &operands[3], false, false)?,
            d: self.fragment(Role::Sum, d, shape, &operands[0], true, false)?,
            saturate,
            and,
        };
        let ins = self.blank(Op::Matrix);
        self.matrix(ins, MatrixOp::Multiply(Box::new(product)));
        Ok(())
    }

    /// Address and layout of a matrix in memory.
    fn matrix_address(
        &mut self,
        q: &mut Quals<'a>,
        ins: &mut Ins,
        operand: &Operand<'a>,
        columns_first: bool,
    ) -> Step<Layout> {
        let space = q.find(Space::parse).unwrap_or(Space::Generic);
        let mut access = Self::access(Ty::B32, Order::Weak);
        self.address(ins, &mut access, space, operand)?;
        if access.direct {
            return Err("the address must be in a register".into());
        }
        Ok(Layout {
            columns_first,
            offset: access.offset,
            place: access.place,
            wide: access.wide_address,
        })
    }

    fn wmma(&mut self, q: &mut Quals<'a>, operands: &[Operand<'a>]) -> Step<()> {
        let what = q
            .one_of(&["load", "store", "mma"])
            .ok_or("expected `.load`, `.store` or `.mma`")?;
        let bits = if what == 2 {
            let bits = q.one_of(&["xor", "and"]);
            q.take("popc");
            bits
        } else {
            None
        };
        q.take("sync");
        q.take("aligned");
        if what == 2 {
            for _ in 0..2 {
                q.one_of(&["row", "col"]).ok_or("expected the layouts")?;
            }
            let shape = q.find(shape).ok_or("expected a shape")?;
            q.take("rn");
            let saturate = q.take("satfinite");
            let mut types = Vec::new();
            while let Some(ty) = q.find(Elem::parse) {
                types.push(ty);
            }
            // Half-precision factors are not named.
            let types = match types[..] {
                [d, c] => [d, Elem::F16, Elem::F16, c],
                [d, a, b, c] => [d, a, b, c],
                _ => return Err("expected two or four types".into()),
            };
            if !wmma_shape(types[1], shape)
                || types[1] != types[2]
                || !sum_fits(types[1], types[0])
                || !sum_fits(types[1], types[3])
            {
                return Err("this shape is not supported with these types".into());
            }
            arity(operands, 4..=4)?;
            return self.multiply_add(shape, types, operands, saturate, bits == Some(1), true);
        }
        let role = match q.one_of(&["a", "b", "c", "d"]) {
            Some(0) if what == 0 => Role::A,
            Some(1) if what == 0 => Role::B,
            Some(2) if what == 0 => Role::Sum,
            Some(3) if what == 1 => Role::Sum,
            _ => return Err("expected which matrix".into()),
        };
        let columns_first = q.one_of(&["row", "col"]).ok_or("expected the layout")? == 1;
        let shape = q.find(shape).ok_or("expected a shape")?;
        let elem = q.find(Elem::parse).ok_or("expected a type")?;
        let factor_of = |sum| match (sum, shape) {
            (Elem::F64, _) => Elem::F64,
            (Elem::F16, _) => Elem::F16,
            (_, [16, 16, 8]) => Elem::Tf32,
            (Elem::S32, [8, 8, 32]) => Elem::S4,
            (Elem::S32, [8, 8, 128]) => Elem::B1,
            (Elem::S32, _) => Elem::S8,
            _ => Elem::F16,
        };
        let factor = if role == Role::Sum {
            factor_of(elem)
        } else {
            elem
        };
        if !wmma_shape(factor, shape) || (role == Role::Sum && !sum_fits(factor, elem)) {
            return Err("this shape is not supported with this type".into());
        }
        arity(operands, 2..=3)?;
        let (address, registers) = if what == 0 {
            (&operands[1], &operands[0])
        } else {
            (&operands[0], &operands[1])
        };
        let mut ins = self.blank(Op::Matrix);
        let layout = self.matrix_address(q, &mut ins, address, columns_first)?;
        let fragment = self.fragment(role, elem, shape, registers, what == 0, true)?;
        if elem.bits() < 8 && (columns_first == (role == Role::A)) {
            return Err("this layout is not supported with this type".into());
        }
        let (rows, columns) = fragment.size();
        ins.b = match operands.get(2) {
            Some(stride) => self.source(stride, Ty::U32)?,
            None => {
                let stride = if columns_first { rows } else { columns };
                self.module.constant(u64::from(stride), Width::W32)
            }
        };
        let op = if what == 0 {
            MatrixOp::Load(fragment, layout)
        } else {
            MatrixOp::Store(fragment, layout)
        };
        self.matrix(ins, op);
        Ok(())
    }

    fn rows(&mut self, q: &mut Quals<'a>, operands: &[Operand<'a>]) -> Step<()> {
        q.take("sync");
        q.take("aligned");
        if !q.take("m8n8") {
            return Err("only `.m8n8` is supported".into());
        }
        let count = [1, 2, 4][q
            .one_of(&["x1", "x2", "x4"])
            .ok_or("expected how many matrices")?];
        let transposed = q.take("trans");
        let store = q.base == "stmatrix";
        arity(operands, 2..=2)?;
        let (address, registers) = if store {
            (&operands[0], &operands[1])
        } else {
            (&operands[1], &operands[0])
        };
        let mut ins = self.blank(Op::Matrix);
        let layout = self.matrix_address(q, &mut ins, address, false)?;
        if q.ty()? != Ty::B16 {
            return Err("only `.b16` is supported".into());
        }
        let items = match registers {
            Operand::Vector(items) => &items[..],
            single => std::slice::from_ref(single),
        };
        if items.len() != count as usize {
            return Err("the number of registers does not fit".into());
        }
        let registers: Vec<Loc> = items
            .iter()
            .map(|item| {
                if store {
                    self.source(item, Ty::B32)
                } else {
                    self.dest(item, Width::W32)
                }
            })
            .collect::<Step<_>>()?;
        let list = self.module.program.lists.len() as u32;
        self.module.program.lists.extend(registers);
        self.matrix(
            ins,
            MatrixOp::Rows {
                list,
                count,
                transposed,
                store,
                layout,
            },
        );
        Ok(())
    }
}
