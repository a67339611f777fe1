//! Products of matrices that are spread over the lanes of a warp: registers become whole matrices, these are multiplied, and the result becomes registers.
//!
//! As all arithmetic on whole warps it is compiled twice (see [`alu`](crate::ptx::alu)). Conversions go over the 32 lanes of a register, products over the columns of a row.

use std::cell::RefCell;

use crate::ptx::alu::float::fma64;
use crate::ptx::alu::{get, put};
use crate::ptx::code::{Bases, Loc};
use crate::ptx::matrix::{Elem, Fragment, Product, narrowed, widened};

/// Cells of the largest factor: 16 × 64 numbers of four bits.
const MOST: usize = 1024;

/// A whole matrix, row by row.
pub(super) type Cells<T> = [T; MOST];

/// Where matrices are made, once for each thread.
struct Scratch {
    floats: [Cells<f64>; 3],
    integers: [Cells<i32>; 3],
    bits: Cells<u64>,
}

thread_local! {
    static SCRATCH: RefCell<Box<Scratch>> = RefCell::new(Box::new(Scratch {
        floats: [[0.0; MOST]; 3],
        integers: [[0; MOST]; 3],
        bits: [0; MOST],
    }));
}

/// Lends a matrix of raw bits.
pub(super) fn with_bits<R>(f: impl FnOnce(&mut Cells<u64>) -> R) -> R {
    SCRATCH.with_borrow_mut(|scratch| f(&mut scratch.bits))
}

/// Makes a matrix of registers: `read` gives what element `j` of a register holds.
///
/// # Safety
/// The fragment's registers must be `R` wide and belong to the frame of `bases`.
#[inline(always)]
unsafe fn gather<R: Copy, T: Copy>(
    lists: &[Loc],
    bases: &Bases,
    f: &Fragment,
    out: &mut Cells<T>,
    read: impl Fn(R, u32) -> T,
) {
    let places = &f.places;
    for (first, &register) in places.first.iter().zip(&lists[f.list as usize..]) {
        // SAFETY: the caller's promise.
        let values: [R; 32] = unsafe { get(bases, register) };
        for j in 0..places.elements {
            // A loop over all lanes becomes vector instructions, `map` does not.
            let mut cells = [read(values[0], j); 32];
            for (cell, value) in cells.iter_mut().zip(values) {
                *cell = read(value, j);
            }
            let start = usize::from(*first) + j as usize * places.element;
            for (group, cells) in cells.chunks_exact(4).enumerate() {
                let start = start + group * places.group;
                for (thread, cell) in cells.iter().enumerate() {
                    out[(start + thread * places.thread) % MOST] = *cell;
                }
            }
        }
    }
}

/// Writes a matrix to registers: `join` puts a cell into what a register is to hold, as its element `j`.
///
/// # Safety
/// As for [`gather`].
#[inline(always)]
unsafe fn scatter<R: Copy + Default, T: Copy + Default>(
    lists: &[Loc],
    bases: &Bases,
    f: &Fragment,
    matrix: &Cells<T>,
    mask: u32,
    join: impl Fn(R, T, u32) -> R,
) {
    let places = &f.places;
    let registers = &lists[f.list as usize..][..f.count as usize];
    for (first, &register) in places.first.iter().cycle().zip(registers) {
        let mut values = [R::default(); 32];
        for j in 0..places.elements {
            let start = usize::from(*first) + j as usize * places.element;
            let mut cells = [T::default(); 32];
            for (group, cells) in cells.chunks_exact_mut(4).enumerate() {
                let start = start + group * places.group;
                for (thread, cell) in cells.iter_mut().enumerate() {
                    *cell = matrix[(start + thread * places.thread) % MOST];
                }
            }
            for (value, cell) in values.iter_mut().zip(cells) {
                *value = join(*value, cell, j);
            }
        }
        // SAFETY: the caller's promise.
        unsafe { put(bases, register, &values, mask) };
    }
}

/// Registers as raw bits of each cell.
///
/// # Safety
/// The fragment's registers must belong to the frame of `bases`.
pub(super) unsafe fn gather_bits(lists: &[Loc], bases: &Bases, f: &Fragment, out: &mut Cells<u64>) {
    let width = cell_bits(f.elem);
    let mask = u64::MAX >> (64 - width);
    // SAFETY: the caller's promise; registers of doubles are 64 bits wide, all others 32.
    unsafe {
        if width == 64 {
            gather(lists, bases, f, out, |v: u64, _| v);
        } else {
            gather(lists, bases, f, out, |v: u32, j| {
                u64::from(v) >> (j * width) & mask
            });
        }
    }
}

/// Raw bits of each cell to registers.
///
/// # Safety
/// As for [`gather_bits`].
pub(super) unsafe fn scatter_bits(
    lists: &[Loc],
    bases: &Bases,
    f: &Fragment,
    matrix: &Cells<u64>,
    mask: u32,
) {
    let width = cell_bits(f.elem);
    // SAFETY: the caller's promise; registers of doubles are 64 bits wide, all others 32.
    unsafe {
        if width == 64 {
            scatter(lists, bases, f, matrix, mask, |_: u64, cell, _| cell);
        } else {
            scatter(lists, bases, f, matrix, mask, |v: u32, cell: u64, j| {
                v | (cell as u32) << (j * width)
            });
        }
    }
}

/// Bits of a cell: of an element, or of a word of single bits.
pub(super) fn cell_bits(elem: Elem) -> u32 {
    if elem == Elem::B1 { 32 } else { elem.bits() }
}

/// Registers as numbers.
///
/// # Safety
/// As for [`gather_bits`].
#[inline(always)]
unsafe fn numbers(lists: &[Loc], bases: &Bases, f: &Fragment, out: &mut Cells<f64>) {
    // SAFETY: the caller's promise; registers of doubles are 64 bits wide, all others 32.
    unsafe {
        match f.elem {
            Elem::F64 => gather(lists, bases, f, out, |v: u64, _| f64::from_bits(v)),
            Elem::F32 => gather(lists, bases, f, out, |v: u32, _| {
                f64::from(f32::from_bits(v))
            }),
            Elem::F16 => gather(lists, bases, f, out, |v: u32, j| widened(v >> (16 * j))),
            Elem::Bf16 => gather(lists, bases, f, out, |v: u32, j| {
                f64::from(f32::from_bits(v >> (16 * j) << 16))
            }),
            // The lower bits are ignored.
            Elem::Tf32 => gather(lists, bases, f, out, |v: u32, _| {
                f64::from(f32::from_bits(v & !0x1fff))
            }),
            // The upper half of a half-precision number.
            Elem::E5m2 => gather(lists, bases, f, out, |v: u32, j| widened(v >> (8 * j) << 8)),
            elem => gather(lists, bases, f, out, |v: u32, j| {
                elem.number(u64::from(v >> (j * elem.bits()) & 0xff))
            }),
        }
    }
}

/// Registers as integers; words of single bits as they are.
///
/// # Safety
/// As for [`gather_bits`].
#[inline(always)]
unsafe fn integers(lists: &[Loc], bases: &Bases, f: &Fragment, out: &mut Cells<i32>) {
    // SAFETY: the caller's promise.
    unsafe {
        match f.elem {
            Elem::S8 => gather(lists, bases, f, out, |v: u32, j| {
                i32::from((v >> (8 * j)) as i8)
            }),
            Elem::U8 => gather(lists, bases, f, out, |v: u32, j| {
                (v >> (8 * j) & 0xff) as i32
            }),
            Elem::S4 => gather(lists, bases, f, out, |v: u32, j| {
                (v << (28 - 4 * j)) as i32 >> 28
            }),
            Elem::U4 => gather(lists, bases, f, out, |v: u32, j| (v >> (4 * j) & 15) as i32),
            _ => gather(lists, bases, f, out, |v: u32, _| v as i32),
        }
    }
}

/// `sums += left * right`, where `step` makes a sum of two factors and a sum. `ROWS` rows of `N` sums are in registers at a time.
#[inline(always)]
fn accumulate<T: Copy, const N: usize, const ROWS: usize>(
    left: &Cells<T>,
    right: &Cells<T>,
    sums: &mut Cells<T>,
    inner: usize,
    rows: usize,
    step: impl Fn(T, T, T) -> T,
) {
    for top in (0..rows).step_by(ROWS) {
        let rows: [&[T]; ROWS] = std::array::from_fn(|r| &left[(top + r) * inner..][..inner]);
        let mut all: [[T; N]; ROWS] =
            std::array::from_fn(|r| std::array::from_fn(|c| sums[((top + r) * N + c) % MOST]));
        for (i, right) in right.chunks_exact(N).take(inner).enumerate() {
            for r in 0..ROWS {
                let x = rows[r][i];
                for c in 0..N {
                    all[r][c] = step(x, right[c], all[r][c]);
                }
            }
        }
        for r in 0..ROWS {
            sums[(top + r) * N..][..N].copy_from_slice(&all[r]);
        }
    }
}

/// [`accumulate`] for the widths that there are.
#[inline(always)]
fn multiply<T: Copy>(
    [left, right, sums]: &mut [Cells<T>; 3],
    [a, d]: [&Fragment; 2],
    step: impl Fn(T, T, T) -> T,
) {
    let (inner, rows) = (a.places.columns, d.places.rows);
    match d.places.columns {
        8 => accumulate::<T, 8, 4>(left, right, sums, inner, rows, step),
        16 => accumulate::<T, 16, 2>(left, right, sums, inner, rows, step),
        _ => accumulate::<T, 32, 1>(left, right, sums, inner, rows, step),
    }
}

/// Floats: products are exact, sums those of double precision, rounded at the end.
///
/// # Safety
/// The registers must belong to the frame of `bases`.
#[inline(always)]
unsafe fn floats<const FUSED: bool>(
    lists: &[Loc],
    bases: &Bases,
    p: &Product,
    m: &mut [Cells<f64>; 3],
    mask: u32,
) {
    // SAFETY: the caller's promise; registers of doubles are 64 bits wide, all others 32.
    unsafe {
        numbers(lists, bases, &p.a, &mut m[0]);
        numbers(lists, bases, &p.b, &mut m[1]);
        numbers(lists, bases, &p.c, &mut m[2]);
        match p.d.elem {
            Elem::F64 => {
                multiply(m, [&p.a, &p.d], fma64);
                scatter(lists, bases, &p.d, &m[2], mask, |_, v: f64, _| v.to_bits());
            }
            elem => {
                if FUSED {
                    // A product that is exact makes no difference between one rounding and two.
                    multiply(m, [&p.a, &p.d], |x: f64, y, sum| x.mul_add(y, sum));
                } else {
                    multiply(m, [&p.a, &p.d], |x: f64, y, sum| sum + x * y);
                }
                if elem == Elem::F16 {
                    scatter(lists, bases, &p.d, &m[2], mask, |all: u32, v: f64, j| {
                        all | narrowed(v) << (16 * j)
                    });
                } else {
                    scatter(lists, bases, &p.d, &m[2], mask, |_, v: f64, _| {
                        let bits = (v as f32).to_bits();
                        if v.is_nan() { 0x7fff_ffff } else { bits }
                    });
                }
            }
        }
    }
}

/// Integers: sums are those of 32 bits or, where they are to stay at their limits, of 64.
///
/// # Safety
/// The registers must belong to the frame of `bases`.
#[inline(always)]
unsafe fn whole_numbers(
    lists: &[Loc],
    bases: &Bases,
    p: &Product,
    m: &mut [Cells<i32>; 3],
    mask: u32,
) {
    // SAFETY: the caller's promise.
    unsafe {
        integers(lists, bases, &p.a, &mut m[0]);
        integers(lists, bases, &p.b, &mut m[1]);
        if p.saturate {
            // The sum of products alone is far from the limits.
            m[2].fill(0);
            multiply(m, [&p.a, &p.d], |x: i32, y, sum| sum + x * y);
            let [added, _, sums] = m;
            integers(lists, bases, &p.c, added);
            for (sum, c) in sums.iter_mut().zip(added) {
                *sum = sum.saturating_add(*c);
            }
        } else {
            integers(lists, bases, &p.c, &mut m[2]);
            let ones = |word: i32| word.count_ones() as i32;
            match (p.a.elem == Elem::B1, p.and) {
                (false, _) => multiply(m, [&p.a, &p.d], |x: i32, y, sum| {
                    sum.wrapping_add(x.wrapping_mul(y))
                }),
                (true, false) => {
                    multiply(m, [&p.a, &p.d], |x, y, sum: i32| {
                        sum.wrapping_add(ones(x ^ y))
                    });
                }
                (true, true) => {
                    multiply(m, [&p.a, &p.d], |x, y, sum: i32| {
                        sum.wrapping_add(ones(x & y))
                    });
                }
            }
        }
        scatter(lists, bases, &p.d, &m[2], mask, |_, v: i32, _| v as u32);
    }
}

/// # Safety
/// The registers must belong to the frame of `bases`.
#[inline(always)]
unsafe fn any<const FUSED: bool>(
    lists: &[Loc],
    bases: &Bases,
    p: &Product,
    scratch: &mut Scratch,
    mask: u32,
) {
    // SAFETY: the caller's promise.
    unsafe {
        if p.a.elem.integral() {
            whole_numbers(lists, bases, p, &mut scratch.integers, mask);
        } else {
            floats::<FUSED>(lists, bases, p, &mut scratch.floats, mask);
        }
    }
}

/// # Safety
/// The registers must belong to the frame of `bases`; the CPU must have the features.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,bmi1,bmi2,lzcnt,popcnt,f16c")]
unsafe fn wide(lists: &[Loc], bases: &Bases, p: &Product, scratch: &mut Scratch, mask: u32) {
    // SAFETY: the caller's promise.
    unsafe { any::<true>(lists, bases, p, scratch, mask) }
}

/// Executes `d = a * b + c`; `lists` are the program's.
///
/// # Safety
/// The registers must belong to the frame of `bases`.
pub(super) unsafe fn product(lists: &[Loc], bases: &Bases, p: &Product, mask: u32) {
    SCRATCH.with_borrow_mut(|scratch| {
        #[cfg(target_arch = "x86_64")]
        if crate::ptx::alu::wide() {
            // SAFETY: the caller's promise; the features are there.
            return unsafe { wide(lists, bases, p, scratch, mask) };
        }
        // SAFETY: the caller's promise.
        unsafe { any::<false>(lists, bases, p, scratch, mask) }
    });
}
