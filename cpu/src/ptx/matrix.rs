//! Matrices that are spread over the lanes of a warp: which lane holds which element.
//!
//! NVIDIA's documentation shows a picture for each shape and type; all of them follow from a few rules. A register holds `e` neighbouring elements. Lane `l` belongs to group
//! `g = l / 4` and is number `t = l % 4` in it. In A, groups are rows and a group's lanes stand side by side along k; in B, groups are columns; in C and D, groups are rows and each
//! lane holds two neighbouring columns. Registers go on along k (every second one being 8 rows further down where there are 16 rows). Matrices that are larger than that
//! (those of `wmma`) are several such tiles.

use super::alu::half::{NAN_HALF, bf16_to_f64};

/// Type of an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Elem {
    F16,
    Bf16,
    Tf32,
    F32,
    F64,
    E4m3,
    E5m2,
    U8,
    S8,
    U4,
    S4,
    B1,
    S32,
}

impl Elem {
    /// The type that a qualifier names.
    pub(crate) fn parse(word: &str) -> Option<Elem> {
        Some(match word {
            "f16" => Elem::F16,
            "bf16" => Elem::Bf16,
            "tf32" => Elem::Tf32,
            "f32" => Elem::F32,
            "f64" => Elem::F64,
            "e4m3" => Elem::E4m3,
            "e5m2" => Elem::E5m2,
            "u8" => Elem::U8,
            "s8" => Elem::S8,
            "u4" => Elem::U4,
            "s4" => Elem::S4,
            "b1" => Elem::B1,
            "s32" => Elem::S32,
            _ => return None,
        })
    }

    /// Bits of an element.
    pub(crate) fn bits(self) -> u32 {
        match self {
            Elem::B1 => 1,
            Elem::U4 | Elem::S4 => 4,
            Elem::U8 | Elem::S8 | Elem::E4m3 | Elem::E5m2 => 8,
            Elem::F16 | Elem::Bf16 => 16,
            Elem::Tf32 | Elem::F32 | Elem::S32 => 32,
            Elem::F64 => 64,
        }
    }

    /// Elements that share a register.
    pub(crate) fn per_register(self) -> u32 {
        (32 / self.bits()).max(1)
    }

    /// Whether sums of products are those of integers.
    pub(crate) fn integral(self) -> bool {
        matches!(
            self,
            Elem::U8 | Elem::S8 | Elem::U4 | Elem::S4 | Elem::B1 | Elem::S32
        )
    }

    /// The integer that bits stand for.
    #[inline(always)]
    pub(crate) fn integer(self, bits: u64) -> i64 {
        match self {
            Elem::S8 => i64::from(bits as i8),
            Elem::S4 => i64::from((bits << 4) as i8 >> 4),
            Elem::S32 => i64::from(bits as i32),
            _ => bits as i64,
        }
    }

    /// The number that bits stand for.
    #[inline(always)]
    pub(crate) fn number(self, bits: u64) -> f64 {
        match self {
            Elem::F16 => widened(bits as u32),
            Elem::Bf16 => bf16_to_f64(bits as u16),
            // The lower bits are ignored.
            Elem::Tf32 => f64::from(f32::from_bits(bits as u32 & !0x1fff)),
            Elem::F32 => f64::from(f32::from_bits(bits as u32)),
            Elem::F64 => f64::from_bits(bits),
            Elem::E4m3 => widened(u32::from(e4m3_to_f16(bits as u8))),
            // The upper half of a half-precision number.
            Elem::E5m2 => widened((bits as u32) << 8),
            _ => self.integer(bits) as f64,
        }
    }
}

/// A half-precision number's value: `f16_to_f64` without branches, for NaN some NaN.
#[inline(always)]
pub(crate) fn widened(bits: u32) -> f64 {
    let magnitude = bits & 0x7fff;
    // The exponent's bias differs by 112; that of infinity and NaN is the largest there is.
    let more = if magnitude >= 0x7c00 { 224 } else { 112 };
    let normal = (magnitude << 13) + (more << 23);
    // A multiplication of the smallest numbers themselves would be slow.
    let small = (magnitude as i32 as f32) * f32::from_bits((127 - 24) << 23);
    let value = if magnitude < 0x400 {
        small.to_bits()
    } else {
        normal
    };
    f64::from(f32::from_bits(value | (bits & 0x8000) << 16))
}

/// The nearest half-precision number: `round_to_f16` without branches.
#[inline(always)]
pub(crate) fn narrowed(value: f64) -> u32 {
    let bits = value.to_bits();
    let (sign, magnitude) = ((bits >> 48) as u32 & 0x8000, bits & (i64::MAX as u64));
    let even = magnitude >> 42 & 1;
    let normal = ((magnitude + ((1 << 41) - 1) + even) >> 42).wrapping_sub((1023 - 15) << 10);
    // The sum's last place is that of subnormal results.
    let large = f64::from_bits((1023 + 28) << 52);
    let small = (f64::from_bits(magnitude) + large).to_bits() & 0x7ff;
    let result = if magnitude < (1023 - 14) << 52 {
        small
    } else {
        normal.min(0x7c00)
    };
    if magnitude > 0x7ff << 52 {
        u32::from(NAN_HALF)
    } else {
        sign | result as u32
    }
}

/// The half-precision number of the same value: every number of four bits of exponent and three of mantissa is one.
pub(crate) fn e4m3_to_f16(bits: u8) -> u16 {
    let sign = u16::from(bits & 0x80) << 8;
    let (exponent, mantissa) = (u16::from(bits >> 3 & 15), u16::from(bits & 7));
    let magnitude = match (exponent, mantissa) {
        (15, 7) => return 0x7fff,
        (0, 0) => 0,
        // Subnormal: units of 2^-9.
        (0, m) => {
            let top = 15 - m.leading_zeros() as u16;
            (top + 15 - 9) << 10 | (m << (10 - top)) & 0x3ff
        }
        (e, m) => (e + 15 - 7) << 10 | m << 7,
    };
    sign | magnitude
}

/// Which of the matrices of `d = a * b + c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    A,
    B,
    /// C or D.
    Sum,
}

/// Where the elements of a fragment lie in the matrix, whose cells are counted row by row. A cell is an element; of single bits it is a word of them.
///
/// The rules above make the cell of a lane's element a sum: of what its register adds, its place in the register, the lane's group and the lane's number in it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Places {
    /// The cell of the first element of each register in lane 0.
    pub(crate) first: Box<[u16]>,
    /// Cells from one element of a register to the next, and how many there are.
    pub(crate) element: usize,
    pub(crate) elements: u32,
    /// Cells from one group of lanes to the next.
    pub(crate) group: usize,
    /// Cells from one lane of a group to the next.
    pub(crate) thread: usize,
    /// Rows and columns in cells.
    pub(crate) rows: usize,
    pub(crate) columns: usize,
}

/// A matrix that is spread over lanes.
#[derive(Debug, Clone)]
pub(crate) struct Fragment {
    pub(crate) role: Role,
    pub(crate) elem: Elem,
    /// Rows, columns and inner dimension of the product.
    pub(crate) shape: [u32; 3],
    /// First register in `Program::lists`, and how many there are.
    pub(crate) list: u32,
    pub(crate) count: u32,
    /// Made by [`Fragment::places`].
    pub(crate) places: Places,
}

impl Fragment {
    /// Where the elements lie.
    pub(crate) fn places(&self) -> Places {
        let (rows, columns) = self.size();
        // Words of single bits go along the inner dimension.
        let unit = if self.elem == Elem::B1 { 32 } else { 1 };
        let (row_unit, column_unit) = match self.role {
            Role::B => (unit, 1),
            _ => (1, unit),
        };
        let (rows, columns) = (rows / row_unit, columns / column_unit);
        let cell = |lane, r, j| {
            let (row, column) = self.place(lane, r, j);
            row / row_unit * columns + column / column_unit
        };
        let elements = self.elem.per_register() / unit;
        let start = cell(0, 0, 0);
        Places {
            first: (0..self.registers())
                .map(|r| cell(0, r, 0) as u16)
                .collect(),
            element: if elements > 1 {
                cell(0, 0, 1) - start
            } else {
                0
            } as usize,
            elements,
            group: (cell(4, 0, 0) - start) as usize,
            thread: (cell(1, 0, 0) - start) as usize,
            rows: rows as usize,
            columns: columns as usize,
        }
    }

    /// Rows and columns of this matrix.
    pub(crate) fn size(&self) -> (u32, u32) {
        let [m, n, k] = self.shape;
        match self.role {
            Role::A => (m, k),
            Role::B => (k, n),
            Role::Sum => (m, n),
        }
    }

    /// Registers that the elements fill; `wmma` has more in some shapes, which hold the same once more.
    pub(crate) fn registers(&self) -> u32 {
        let (rows, columns) = self.size();
        rows * columns / 32 / self.elem.per_register()
    }

    /// Row and column of element `j` of register `r` of a lane.
    fn place(&self, lane: u32, r: u32, j: u32) -> (u32, u32) {
        let [m, _, k] = self.shape;
        let (g, t) = (lane / 4, lane % 4);
        let e = self.elem.per_register();
        match self.role {
            Role::A => {
                let along = k / (4 * e);
                if m == 8 {
                    (g, r * 4 * e + t * e + j)
                } else {
                    let (tile, r) = (r / (2 * along), r % (2 * along));
                    (tile * 16 + g + 8 * (r & 1), (r >> 1) * 4 * e + t * e + j)
                }
            }
            Role::B => {
                let along = k / (4 * e);
                let (tile, r) = (r / along, r % along);
                (r * 4 * e + t * e + j, tile * 8 + g)
            }
            Role::Sum => {
                let i = r * e + j;
                let column = t * 2 + (i & 1);
                match self.shape {
                    [8, ..] => (g, i / 2 * 8 + column),
                    [32, ..] => (i / 4 * 16 + g + 8 * (i >> 1 & 1), column),
                    _ => (g + 8 * (i >> 1 & 1), i / 4 * 8 + column),
                }
            }
        }
    }
}

/// Where the elements of a matrix in memory lie.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout {
    pub(crate) columns_first: bool,
    /// What is added to the address.
    pub(crate) offset: i64,
    pub(crate) place: super::code::Where,
    /// Whether the address has 64 bits.
    pub(crate) wide: bool,
}

/// `d = a * b + c`.
#[derive(Debug, Clone)]
pub(crate) struct Product {
    pub(crate) d: Fragment,
    pub(crate) a: Fragment,
    pub(crate) b: Fragment,
    pub(crate) c: Fragment,
    /// Sums of integers stay at the limits of 32 bits.
    pub(crate) saturate: bool,
    /// Single bits are combined by and, not by exclusive or.
    pub(crate) and: bool,
}

/// What a matrix instruction does.
#[derive(Debug, Clone)]
pub(crate) enum MatrixOp {
    Multiply(Box<Product>),
    /// `wmma.load`: the address is in `a`, the distance of rows or columns in `b`.
    Load(Fragment, Layout),
    /// `wmma.store`.
    Store(Fragment, Layout),
    /// `ldmatrix` and `stmatrix` of 8 × 8 elements of 16 bits; the address is in `a`.
    Rows {
        list: u32,
        count: u32,
        transposed: bool,
        store: bool,
        layout: Layout,
    },
    /// `movmatrix`: `d` is the transpose of `a`.
    Transpose,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ptx::alu::half::{f16_to_f64, round_to_f16};
    use crate::ptx::alu::rounding::Round;

    fn fragment(role: Role, elem: Elem, shape: [u32; 3]) -> Fragment {
        Fragment {
            role,
            elem,
            shape,
            list: 0,
            count: 0,
            places: Places::default(),
        }
    }

    #[test]
    fn every_element_has_one_place() {
        let shapes = [
            (Elem::F16, [16, 8, 16]),
            (Elem::F16, [16, 8, 8]),
            (Elem::Tf32, [16, 8, 4]),
            (Elem::Tf32, [16, 8, 8]),
            (Elem::F64, [8, 8, 4]),
            (Elem::F64, [16, 8, 16]),
            (Elem::S8, [8, 8, 16]),
            (Elem::S8, [16, 8, 32]),
            (Elem::S4, [16, 8, 64]),
            (Elem::B1, [16, 8, 256]),
            (Elem::F16, [16, 16, 16]),
            (Elem::F16, [32, 8, 16]),
            (Elem::F16, [8, 32, 16]),
            (Elem::S8, [32, 8, 16]),
            (Elem::S8, [8, 32, 16]),
            (Elem::Tf32, [16, 16, 8]),
        ];
        for (elem, shape) in shapes {
            let sum = if elem == Elem::F64 {
                Elem::F64
            } else {
                Elem::F32
            };
            for (role, f) in [Role::A, Role::B, Role::Sum, Role::Sum].into_iter().zip([
                fragment(Role::A, elem, shape),
                fragment(Role::B, elem, shape),
                fragment(Role::Sum, sum, shape),
                fragment(Role::Sum, Elem::F16, shape),
            ]) {
                let elem = f.elem;
                let (rows, columns) = f.size();
                let places = f.places();
                let mut seen = vec![false; (rows * columns) as usize];
                for lane in 0..32 {
                    for r in 0..f.registers() {
                        for j in 0..f.elem.per_register() {
                            let (row, column) = f.place(lane, r, j);
                            let seen = &mut seen[(row * columns + column) as usize];
                            assert!(!*seen, "{f:?}: {row}, {column} twice");
                            *seen = true;
                            let (g, t) = (lane as usize / 4, lane as usize % 4);
                            let cell = usize::from(places.first[r as usize])
                                + (j % places.elements) as usize * places.element
                                + g * places.group
                                + t * places.thread;
                            let (row, column) = match (elem, role) {
                                (Elem::B1, Role::A) => (row, column / 32),
                                (Elem::B1, Role::B) => (row / 32, column),
                                _ => (row, column),
                            };
                            assert_eq!(cell, row as usize * places.columns + column as usize);
                        }
                    }
                }
                assert!(seen.iter().all(|s| *s), "{f:?}");
            }
        }
    }

    #[test]
    fn halves_are_widened_and_rounded_as_elsewhere() {
        for h in 0..=u16::MAX {
            let value = f16_to_f64(h);
            let quick = widened(u32::from(h));
            assert!(quick.to_bits() == value.to_bits() || (quick.is_nan() && value.is_nan()));
            // Around each number, and half way to its neighbours.
            let step = f64::from_bits(value.to_bits() & (0x7ff << 52)) / 2048.0;
            for by in [
                0.0,
                0.25,
                0.5,
                0.75,
                0.999,
                1.0,
                1.001,
                1.5,
                2.0,
                1e-9,
                1.0 - 1e-12,
            ] {
                for value in [
                    value,
                    value + by * step,
                    value - by * step,
                    value * (1.0 + by),
                ] {
                    let rounded = round_to_f16(value, 0.0, Round::Nearest);
                    assert_eq!(narrowed(value), u32::from(rounded), "{value:e}");
                }
            }
        }
        for value in [
            f64::MAX,
            -1e5,
            65519.9,
            65520.0,
            5e-324,
            -1e-300,
            2.98e-8,
            2.99e-8,
        ] {
            let rounded = round_to_f16(value, 0.0, Round::Nearest);
            assert_eq!(narrowed(value), u32::from(rounded), "{value:e}");
        }
    }

    #[test]
    fn small_floats_widen_exactly() {
        assert_eq!(e4m3_to_f16(0x38), 0x3c00);
        assert_eq!(f16_to_f64(e4m3_to_f16(0x7e)), 448.0);
        assert_eq!(f16_to_f64(e4m3_to_f16(0x01)), 2f64.powi(-9));
        assert_eq!(f16_to_f64(e4m3_to_f16(0x83)), -3.0 * 2f64.powi(-9));
        assert!(f16_to_f64(e4m3_to_f16(0xff)).is_nan());
    }
}
