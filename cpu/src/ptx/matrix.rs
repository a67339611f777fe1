//! Matrices that are spread over the lanes of a warp: which lane holds which element.
//!
//! NVIDIA's documentation shows a picture for each shape and type; all of them follow from a few rules. A register holds `e` neighbouring elements. Lane `l` belongs to group
//! `g = l / 4` and is number `t = l % 4` in it. In A, groups are rows and a group's lanes stand side by side along k; in B, groups are columns; in C and D, groups are rows and each
//! lane holds two neighbouring columns. Registers go on along k (every second one being 8 rows further down where there are 16 rows). Matrices that are larger than that
//! (those of `wmma`) are several such tiles.

use super::alu::half::{bf16_to_f64, f16_to_f64, round_to_bf16, round_to_f16};
use super::alu::rounding::Round;

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
            Elem::F16 => f16_to_f64(bits as u16),
            Elem::Bf16 => bf16_to_f64(bits as u16),
            // The lower bits are ignored.
            Elem::Tf32 => f64::from(f32::from_bits(bits as u32 & !0x1fff)),
            Elem::F32 => f64::from(f32::from_bits(bits as u32)),
            Elem::F64 => f64::from_bits(bits),
            Elem::E4m3 => f16_to_f64(e4m3_to_f16(bits as u8)),
            // The upper half of a half-precision number.
            Elem::E5m2 => f16_to_f64((bits as u16) << 8),
            _ => self.integer(bits) as f64,
        }
    }

    /// The bits of a number, rounded.
    pub(crate) fn rounded(self, value: f64) -> u64 {
        match self {
            Elem::F16 => u64::from(round_to_f16(value, 0.0, Round::Nearest)),
            Elem::Bf16 => u64::from(round_to_bf16(value, 0.0, Round::Nearest)),
            Elem::F64 => value.to_bits(),
            _ if value.is_nan() => 0x7fff_ffff,
            _ => u64::from((value as f32).to_bits()),
        }
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

/// A matrix that is spread over lanes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fragment {
    pub(crate) role: Role,
    pub(crate) elem: Elem,
    /// Rows, columns and inner dimension of the product.
    pub(crate) shape: [u32; 3],
    /// First register in `Program::lists`, and how many there are.
    pub(crate) list: u32,
    pub(crate) count: u32,
}

impl Fragment {
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
    #[inline(always)]
    pub(crate) fn place(&self, lane: u32, r: u32, j: u32) -> (u32, u32) {
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

/// What a matrix instruction does.
#[derive(Debug, Clone, Copy)]
pub(crate) enum MatrixOp {
    /// `d = a * b + c`.
    Multiply {
        d: Fragment,
        a: Fragment,
        b: Fragment,
        c: Fragment,
        /// Sums of integers stay at the limits of 32 bits.
        saturate: bool,
        /// Single bits are combined by and, not by exclusive or.
        and: bool,
    },
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

    fn fragment(role: Role, elem: Elem, shape: [u32; 3]) -> Fragment {
        Fragment {
            role,
            elem,
            shape,
            list: 0,
            count: 0,
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
            for f in [
                fragment(Role::A, elem, shape),
                fragment(Role::B, elem, shape),
                fragment(Role::Sum, sum, shape),
                fragment(Role::Sum, Elem::F16, shape),
            ] {
                let (rows, columns) = f.size();
                let mut seen = vec![false; (rows * columns) as usize];
                for lane in 0..32 {
                    for r in 0..f.registers() {
                        for j in 0..f.elem.per_register() {
                            let (row, column) = f.place(lane, r, j);
                            let seen = &mut seen[(row * columns + column) as usize];
                            assert!(!*seen, "{f:?}: {row}, {column} twice");
                            *seen = true;
                        }
                    }
                }
                assert!(seen.iter().all(|s| *s), "{f:?}");
            }
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
