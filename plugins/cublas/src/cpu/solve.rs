//! LU factorisation with partial pivoting, and solutions by it: <https://docs.nvidia.com/cuda/cublas/#cublas-t-getrfbatched>.

#![allow(clippy::too_many_arguments, reason = "cuBLAS's")]

use std::ffi::c_void;

use num_complex::Complex;

use super::batched::{entry, pointers};
use super::device::{Handle, Matrix, Operands};
use super::product::solve;
use super::scalar::Scalar;
use super::{SUCCESS, Table};

fn swap_rows<T: Scalar>(a: &Matrix<T>, columns: usize, i: usize, j: usize) {
    for column in 0..columns {
        let (one, other) = (a.get(i, column), a.get(j, column));
        a.set(i, column, other);
        a.set(j, column, one);
    }
}

/// Factorises in place; rows are numbered from 1. The result is the first column without a pivot, from 1, or 0.
fn factorise<T: Scalar>(
    a: &Matrix<T>,
    n: usize,
    mut pivot: impl FnMut(usize, i32),
    pivoting: bool,
) -> i32 {
    let mut info = 0;
    for k in 0..n {
        let mut best = k;
        if pivoting {
            for i in k + 1..n {
                if a.get(i, k).size() > a.get(best, k).size() {
                    best = i;
                }
            }
            pivot(k, best as i32 + 1);
            if best != k {
                swap_rows(a, n, k, best);
            }
        }
        let diagonal = a.get(k, k);
        if diagonal == T::ZERO {
            if info == 0 {
                info = k as i32 + 1;
            }
            continue;
        }
        for i in k + 1..n {
            let factor = a.get(i, k) / diagonal;
            a.set(i, k, factor);
            for j in k + 1..n {
                a.set(i, j, a.get(i, j) - factor * a.get(k, j));
            }
        }
    }
    info
}

extern "C" fn getrf<T: Scalar>(
    h: &Handle,
    n: i64,
    a: *mut usize,
    lda: i64,
    pivots: *mut i32,
    info: *mut i32,
    count: i64,
) -> i32 {
    if n <= 0 || count <= 0 {
        return SUCCESS;
    }
    let mut operands = Operands::default();
    let a = pointers(&mut operands, a, count);
    let words = |operands: &mut Operands, at: *mut i32, n: i64| {
        operands.add(at as u64, 4 * n.unsigned_abs())
    };
    words(&mut operands, info, count);
    if !pivots.is_null() {
        words(&mut operands, pivots, n.saturating_mul(count));
    }
    let (pivots, info, order) = (pivots as usize, info as usize, n as usize);
    h.submit(
        operands,
        Box::new(move |memory| {
            (0..count as usize).all(|i| {
                let Some(a) = entry::<T>(*memory, a, i, n, n, lda) else {
                    return false;
                };
                // SAFETY: inside operands that are there.
                let pivot = |k: usize, row: i32| unsafe {
                    (pivots as *mut i32).add(i * order + k).write_unaligned(row)
                };
                let found = factorise(&a, order, pivot, pivots != 0);
                // SAFETY: as above.
                unsafe { (info as *mut i32).add(i).write_unaligned(found) };
                true
            })
        }),
    )
}

extern "C" fn getrs<T: Scalar>(
    h: &Handle,
    trans: i64,
    n: i64,
    columns: i64,
    a: *mut usize,
    lda: i64,
    pivots: *mut i32,
    b: *mut usize,
    ldb: i64,
    info: *mut i32,
    count: i64,
) -> i32 {
    if !info.is_null() {
        // SAFETY: the plugin passes what the declaration says.
        unsafe { info.write_unaligned(0) };
    }
    if n <= 0 || columns <= 0 || count <= 0 {
        return SUCCESS;
    }
    let mut operands = Operands::default();
    let (a, b) = (
        pointers(&mut operands, a, count),
        pointers(&mut operands, b, count),
    );
    if !pivots.is_null() {
        operands.add(pivots as u64, 4 * n.saturating_mul(count).unsigned_abs());
    }
    let (pivots, order) = (pivots as usize, n as usize);
    h.submit(
        operands,
        Box::new(move |memory| {
            (0..count as usize).all(|i| {
                let (Some(a), Some(b)) = (
                    entry::<T>(*memory, a, i, n, n, lda),
                    entry::<T>(*memory, b, i, n, columns, ldb),
                ) else {
                    return false;
                };
                let swap = |k: usize| {
                    // SAFETY: inside an operand that is there.
                    let row = unsafe { (pivots as *const i32).add(i * order + k).read_unaligned() };
                    let row = (row - 1).clamp(0, order as i32 - 1) as usize;
                    if row != k {
                        swap_rows(&b, columns as usize, k, row);
                    }
                };
                let half = |lower: bool, unit: bool, i: usize, j: usize| match i == j {
                    true if unit => T::ONE,
                    _ if if lower { i >= j } else { i <= j } => a.get(i, j),
                    _ => T::ZERO,
                };
                let shape = (order, columns as usize);
                if trans == 0 {
                    if pivots != 0 {
                        (0..order).for_each(swap);
                    }
                    solve((0, 0, 0, 1), shape, T::ONE, half, &b);
                    solve((0, 1, 0, 0), shape, T::ONE, half, &b);
                } else {
                    solve((0, 1, trans, 0), shape, T::ONE, half, &b);
                    solve((0, 0, trans, 1), shape, T::ONE, half, &b);
                    if pivots != 0 {
                        (0..order).rev().for_each(swap);
                    }
                }
                true
            })
        }),
    )
}

fn all<T: Scalar>(table: &mut Table, p: &str) {
    table.add_only(
        &format!("cublas{p}getrfBatched"),
        getrf::<T> as *const c_void,
    );
    table.add_only(
        &format!("cublas{p}getrsBatched"),
        getrs::<T> as *const c_void,
    );
}

pub(super) fn register(table: &mut Table) {
    all::<f32>(table, "S");
    all::<f64>(table, "D");
    all::<Complex<f32>>(table, "C");
    all::<Complex<f64>>(table, "Z");
}
