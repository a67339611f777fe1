//! Runs matrix instructions; products are in `matrix_product.rs`.

use super::matrix_product::{cell_bits, gather_bits, product, scatter_bits, with_bits};
use super::state::{Grid, Shared, Trouble, Warp};
use crate::engine::FaultKind;
use crate::ptx::alu::{get, put};
use crate::ptx::code::{Bases, Ins};
use crate::ptx::matrix::{Fragment, Layout, MatrixOp};

/// Words of the longest run of a matrix in memory (32 numbers of four bytes), and one more, since cells are read as whole words.
const RUN: usize = 17;

/// Elements that lie side by side in memory.
struct Run {
    address: u64,
    bytes: usize,
    /// Bytes of one element.
    element: usize,
}

/// Copies elements of one size; either end may be in use by others.
///
/// # Safety
/// There must be so many at both ends, aligned.
unsafe fn copy<T>(from: *const u8, to: *mut u8, count: usize) {
    let (from, to) = (from.cast::<T>(), to.cast::<T>());
    for i in 0..count {
        // SAFETY: the caller's promise.
        unsafe { to.add(i).write_volatile(from.add(i).read_volatile()) };
    }
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
                MatrixOp::Multiply(all) => {
                    product(&grid.program.lists, bases, all, mask);
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
        let places = &f.places;
        let (width, element) = (cell_bits(f.elem), f.elem.bits());
        let mask_of_cell = u64::MAX >> (64 - width);
        let width = width as usize;
        let (majors, minors) = if layout.columns_first {
            (places.columns, places.rows)
        } else {
            (places.rows, places.columns)
        };
        let lane = mask.trailing_zeros();
        // SAFETY: the caller's promise.
        let (start, stride) = unsafe {
            (
                Self::matrix_addresses(bases, ins, layout)[lane as usize],
                get::<u32>(bases, ins.b)[lane as usize],
            )
        };
        let lists = &grid.program.lists;
        with_bits(|cells| {
            if store {
                // SAFETY: the caller's promise.
                unsafe { gather_bits(lists, bases, f, cells) };
            }
            for major in 0..majors {
                let bit = (major as u64 * u64::from(stride)).wrapping_mul(u64::from(element));
                let skew = (bit % 8) as usize;
                let cell = |minor| {
                    if layout.columns_first {
                        minor * places.columns + major
                    } else {
                        major * places.columns + minor
                    }
                };
                let mut run = [0u64; RUN];
                let at = run.as_mut_ptr().cast::<u8>();
                if store {
                    for minor in 0..minors {
                        let value = cells[cell(minor)].to_le_bytes();
                        // SAFETY: sums have whole bytes, and the run has room for all cells and one word more.
                        unsafe {
                            at.add(minor * width / 8)
                                .cast::<[u8; 8]>()
                                .write_unaligned(value);
                        }
                    }
                }
                let piece = Run {
                    address: start.wrapping_add(bit / 8),
                    bytes: (skew + minors * width).div_ceil(8),
                    element: element.div_ceil(8) as usize,
                };
                // SAFETY: the run is large enough.
                unsafe { self.matrix_run(grid, shared, layout, &piece, lane, store, at)? };
                if !store {
                    for minor in 0..minors {
                        let bit = skew + minor * width;
                        // SAFETY: as above.
                        let word = unsafe { at.add(bit / 8).cast::<[u8; 8]>().read_unaligned() };
                        cells[cell(minor)] = u64::from_le_bytes(word) >> (bit % 8) & mask_of_cell;
                    }
                }
            }
            if !store {
                // SAFETY: the caller's promise.
                unsafe { scatter_bits(lists, bases, f, cells, mask) };
            }
            Ok(())
        })
    }

    /// Moves what lies side by side in memory to or from `at`.
    ///
    /// # Safety
    /// `at` must have room for it and be aligned for words.
    unsafe fn matrix_run(
        &mut self,
        grid: &Grid<'_>,
        shared: &Shared,
        layout: &Layout,
        run: &Run,
        lane: u32,
        store: bool,
        at: *mut u8,
    ) -> Result<(), Trouble> {
        let (address, bytes) = (run.address, run.bytes);
        let ends = |memory: u64, at: *mut u8| {
            let memory = memory as *mut u8;
            if store {
                (at.cast_const(), memory)
            } else {
                (memory.cast_const(), at)
            }
        };
        let place = layout.place;
        if address.is_multiple_of(run.element as u64)
            && let Ok(memory) =
                self.resolve_run(grid, shared, place, address, bytes as u64, lane, store)
        {
            let (from, to) = ends(memory, at);
            // SAFETY: the caller's promise; the run may be touched, and both ends are aligned for pieces of that size.
            unsafe {
                match (memory | bytes as u64).trailing_zeros() {
                    0 => copy::<u8>(from, to, bytes),
                    1 => copy::<u16>(from, to, bytes / 2),
                    2 => copy::<u32>(from, to, bytes / 4),
                    _ => copy::<u64>(from, to, bytes / 8),
                }
            }
            return Ok(());
        }
        // Element by element, up to the one that cannot be touched.
        for k in (0..bytes).step_by(run.element) {
            let address = address.wrapping_add(k as u64);
            let size = run.element as u64;
            let memory = self.resolve_one(grid, shared, place, address, size, lane, store)?;
            // SAFETY: the caller's promise; the element may be touched.
            unsafe {
                let (from, to) = ends(memory, at.add(k));
                match run.element {
                    1 => copy::<u8>(from, to, 1),
                    2 => copy::<u16>(from, to, 1),
                    4 => copy::<u32>(from, to, 1),
                    _ => copy::<u64>(from, to, 1),
                }
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
            if !store && !transposed {
                // A lane's two elements lie side by side.
                for (loaded, rows) in loaded.iter_mut().zip(rows.chunks_exact(8)) {
                    for (row, lanes) in rows.iter().zip(loaded.chunks_exact_mut(4)) {
                        if !row.is_null() {
                            copy::<u32>(row.cast::<u8>(), lanes.as_mut_ptr().cast(), 4);
                        }
                    }
                }
            }
            for (number, &register) in registers.iter().enumerate() {
                if !store && !transposed {
                    break;
                }
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
