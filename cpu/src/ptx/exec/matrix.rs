//! Runs matrix instructions: the warp's registers become whole matrices and back.

use super::state::{Grid, Shared, Trouble, Warp};
use crate::engine::FaultKind;
use crate::ptx::alu::float::fma64;
use crate::ptx::alu::{get, put};
use crate::ptx::code::{Bases, Ins};
use crate::ptx::matrix::{Elem, Fragment, Layout, MatrixOp};

/// A whole matrix, row by row.
struct Dense {
    columns: usize,
    bits: Vec<u64>,
}

/// # Safety
/// The registers must belong to the frame of `bases`.
unsafe fn gather(grid: &Grid<'_>, bases: &Bases, f: &Fragment) -> Dense {
    let (rows, columns) = f.size();
    let mut bits = vec![0u64; (rows * columns) as usize];
    let (width, e) = (f.elem.bits(), f.elem.per_register());
    let mask = if width == 64 {
        u64::MAX
    } else {
        (1 << width) - 1
    };
    for r in 0..f.registers() {
        let register = grid.program.lists[(f.list + r) as usize];
        // SAFETY: the caller's promise; registers of doubles are 64 bits wide, all others 32.
        let values: [u64; 32] = unsafe {
            if width == 64 {
                get(bases, register)
            } else {
                get::<u32>(bases, register).map(u64::from)
            }
        };
        for lane in 0..32 {
            for j in 0..e {
                let (row, column) = f.place(lane, r, j);
                bits[(row * columns + column) as usize] =
                    values[lane as usize] >> (j * width) & mask;
            }
        }
    }
    Dense {
        columns: columns as usize,
        bits,
    }
}

/// # Safety
/// As for [`gather`].
unsafe fn scatter(grid: &Grid<'_>, bases: &Bases, f: &Fragment, dense: &Dense, mask: u32) {
    let (width, e) = (f.elem.bits(), f.elem.per_register());
    let real = f.registers();
    for number in 0..f.count {
        let r = number % real;
        let register = grid.program.lists[(f.list + number) as usize];
        let mut values = [0u64; 32];
        for lane in 0..32 {
            for j in 0..e {
                let (row, column) = f.place(lane, r, j);
                values[lane as usize] |=
                    dense.bits[row as usize * dense.columns + column as usize] << (j * width);
            }
        }
        // SAFETY: the caller's promise.
        unsafe {
            if width == 64 {
                put(bases, register, &values, mask);
            } else {
                put(bases, register, &values.map(|v| v as u32), mask);
            }
        }
    }
}

/// `a * b + c` of integers.
fn multiply_integers(
    [a, b, c]: [(&Dense, Elem); 3],
    [m, n, k]: [usize; 3],
    saturate: bool,
    and: bool,
) -> Vec<u64> {
    let bits = a.1 == Elem::B1;
    let left: Vec<i64> = a.0.bits.iter().map(|&v| a.1.integer(v)).collect();
    let right: Vec<i64> = b.0.bits.iter().map(|&v| b.1.integer(v)).collect();
    let mut out = Vec::with_capacity(m * n);
    for row in 0..m {
        for column in 0..n {
            let mut sum = c.1.integer(c.0.bits[row * n + column]);
            for i in 0..k {
                let (x, y) = (left[row * k + i], right[i * n + column]);
                sum += match (bits, and) {
                    (false, _) => x * y,
                    (true, false) => x ^ y,
                    (true, true) => x & y,
                };
            }
            if saturate {
                sum = sum.clamp(i64::from(i32::MIN), i64::from(i32::MAX));
            }
            out.push(u64::from(sum as u32));
        }
    }
    out
}

/// `a * b + c` of floats: products are exact, sums those of double precision, rounded at the end.
fn multiply_floats([a, b, c]: [(&Dense, Elem); 3], d: Elem, [m, n, k]: [usize; 3]) -> Vec<u64> {
    let left: Vec<f64> = a.0.bits.iter().map(|&v| a.1.number(v)).collect();
    let right: Vec<f64> = b.0.bits.iter().map(|&v| b.1.number(v)).collect();
    let mut sums: Vec<f64> = c.0.bits.iter().map(|&v| c.1.number(v)).collect();
    let double = d == Elem::F64;
    for row in 0..m {
        for i in 0..k {
            let x = left[row * k + i];
            let (right, sums) = (&right[i * n..][..n], &mut sums[row * n..][..n]);
            for (sum, &y) in sums.iter_mut().zip(right) {
                *sum = if double {
                    fma64(x, y, *sum)
                } else {
                    *sum + x * y
                };
            }
        }
    }
    sums.into_iter().map(|v| d.rounded(v)).collect()
}

impl Warp {
    /// Executes a matrix instruction.
    ///
    /// # Safety
    /// The instruction must belong to the frame of `bases`.
    pub(super) unsafe fn matrix(
        &mut self,
        grid: &Grid<'_>,
        shared: &Shared,
        bases: &Bases,
        ins: &Ins,
        mask: u32,
    ) -> Result<(), Trouble> {
        // Such an instruction is one of the whole warp: part of it is no defined behaviour on a GPU either.
        if mask != self.alive {
            return Err(Trouble {
                kind: FaultKind::IllegalInstruction,
                lane: mask.trailing_zeros(),
                address: 0,
            });
        }
        // SAFETY: the caller's promise.
        unsafe {
            match &grid.program.matrices[ins.imm as usize] {
                MatrixOp::Multiply {
                    d,
                    a,
                    b,
                    c,
                    saturate,
                    and,
                } => {
                    let shape = d.shape.map(|n| n as usize);
                    let (x, y, z) = (
                        gather(grid, bases, a),
                        gather(grid, bases, b),
                        gather(grid, bases, c),
                    );
                    let factors = [(&x, a.elem), (&y, b.elem), (&z, c.elem)];
                    let bits = if a.elem.integral() {
                        multiply_integers(factors, shape, *saturate, *and)
                    } else {
                        multiply_floats(factors, d.elem, shape)
                    };
                    let result = Dense {
                        columns: shape[1],
                        bits,
                    };
                    scatter(grid, bases, d, &result, mask);
                    Ok(())
                }
                MatrixOp::Load(f, layout) => {
                    self.matrix_memory(grid, shared, bases, ins, f, layout, false, mask)
                }
                MatrixOp::Store(f, layout) => {
                    self.matrix_memory(grid, shared, bases, ins, f, layout, true, mask)
                }
                MatrixOp::Rows {
                    list,
                    count,
                    transposed,
                    store,
                    layout,
                } => {
                    let registers = &grid.program.lists[*list as usize..(*list + *count) as usize];
                    self.matrix_rows(
                        grid,
                        shared,
                        bases,
                        ins,
                        registers,
                        *transposed,
                        *store,
                        layout,
                        mask,
                    )
                }
                MatrixOp::Transpose => {
                    let from: [u32; 32] = get(bases, ins.a);
                    let element = |row: usize, column: usize| {
                        from[row * 4 + column / 2] >> (16 * (column % 2)) & 0xffff
                    };
                    let to: [u32; 32] = std::array::from_fn(|lane| {
                        let (row, column) = (lane / 4, lane % 4 * 2);
                        element(column, row) | element(column + 1, row) << 16
                    });
                    put(bases, ins.d, &to, mask);
                    Ok(())
                }
            }
        }
    }

    /// Addresses of the lanes.
    ///
    /// # Safety
    /// As for [`Warp::matrix`].
    unsafe fn matrix_addresses(bases: &Bases, ins: &Ins, layout: &Layout) -> [u64; 32] {
        // SAFETY: the caller's promise.
        unsafe {
            if layout.wide {
                get::<u64>(bases, ins.a).map(|a| a.wrapping_add(layout.offset as u64))
            } else {
                get::<u32>(bases, ins.a).map(|a| u64::from(a.wrapping_add(layout.offset as u32)))
            }
        }
    }

    /// `wmma.load` and `wmma.store`.
    ///
    /// # Safety
    /// As for [`Warp::matrix`].
    unsafe fn matrix_memory(
        &mut self,
        grid: &Grid<'_>,
        shared: &Shared,
        bases: &Bases,
        ins: &Ins,
        f: &Fragment,
        layout: &Layout,
        store: bool,
        mask: u32,
    ) -> Result<(), Trouble> {
        let (rows, columns) = f.size();
        let width = f.elem.bits();
        let lane = mask.trailing_zeros();
        // SAFETY: the caller's promise; every address is checked by `resolve_one` for the bytes that are touched.
        unsafe {
            let start = Self::matrix_addresses(bases, ins, layout)[lane as usize];
            let stride = get::<u32>(bases, ins.b)[lane as usize];
            let mut dense = if store {
                gather(grid, bases, f)
            } else {
                Dense {
                    columns: columns as usize,
                    bits: vec![0; (rows * columns) as usize],
                }
            };
            for row in 0..rows {
                for column in 0..columns {
                    let (major, minor) = if layout.columns_first {
                        (column, row)
                    } else {
                        (row, column)
                    };
                    let number = u64::from(major) * u64::from(stride) + u64::from(minor);
                    let bit = number.wrapping_mul(u64::from(width));
                    let bytes = u64::from(width.div_ceil(8));
                    let address = start.wrapping_add(bit / 8);
                    let at =
                        self.resolve_one(grid, shared, layout.place, address, bytes, lane, store)?;
                    let value = &mut dense.bits[(row * columns + column) as usize];
                    match (width, store) {
                        (64, false) => *value = (at as *const u64).read_volatile(),
                        (64, true) => (at as *mut u64).write_volatile(*value),
                        (32, false) => *value = u64::from((at as *const u32).read_volatile()),
                        (32, true) => (at as *mut u32).write_volatile(*value as u32),
                        (16, false) => *value = u64::from((at as *const u16).read_volatile()),
                        (16, true) => (at as *mut u16).write_volatile(*value as u16),
                        (_, true) => (at as *mut u8).write_volatile(*value as u8),
                        _ => {
                            let byte = u64::from((at as *const u8).read_volatile());
                            *value = byte >> (bit % 8) & ((1 << width) - 1);
                        }
                    }
                }
            }
            if !store {
                scatter(grid, bases, f, &dense, mask);
            }
        }
        Ok(())
    }

    /// `ldmatrix` and `stmatrix`.
    ///
    /// # Safety
    /// As for [`Warp::matrix`].
    unsafe fn matrix_rows(
        &mut self,
        grid: &Grid<'_>,
        shared: &Shared,
        bases: &Bases,
        ins: &Ins,
        registers: &[u32],
        transposed: bool,
        store: bool,
        layout: &Layout,
        mask: u32,
    ) -> Result<(), Trouble> {
        // SAFETY: the caller's promise; addresses are checked for 16 bytes each.
        unsafe {
            let addresses = Self::matrix_addresses(bases, ins, layout);
            let mut rows = [std::ptr::null_mut::<[u16; 8]>(); 32];
            for lane in 0..8 * registers.len() {
                let address = addresses[lane];
                rows[lane] =
                    self.resolve_one(grid, shared, layout.place, address, 16, lane as u32, store)?
                        as *mut [u16; 8];
            }
            let mut loaded = [[0u32; 32]; 4];
            for (number, &register) in registers.iter().enumerate() {
                let rows = &rows[8 * number..];
                let from: [u32; 32] = if store { get(bases, register) } else { [0; 32] };
                for lane in 0..32 {
                    for part in 0..2 {
                        let (mut row, mut column) = (lane / 4, lane % 4 * 2 + part);
                        if transposed {
                            std::mem::swap(&mut row, &mut column);
                        }
                        let at = (rows[row] as *mut u16).add(column);
                        if store {
                            at.write_volatile((from[lane] >> (16 * part)) as u16);
                        } else {
                            loaded[number][lane] |= u32::from(at.read_volatile()) << (16 * part);
                        }
                    }
                }
            }
            // Registers may hold addresses: they are written when all has been read.
            if !store {
                for (number, &register) in registers.iter().enumerate() {
                    put(bases, register, &loaded[number], mask);
                }
            }
        }
        Ok(())
    }
}
