//! Products and solutions of many matrices at once: by arrays of pointers on the device, or at a stride.

#![allow(clippy::too_many_arguments, reason = "cuBLAS's")]

use std::ffi::c_void;

use num_complex::Complex;

use super::device::{Handle, Matrix, Memory, Operands, bytes};
use super::product::{multiply, operand, solve};
use super::scalar::Scalar;
use super::{INVALID_VALUE, SUCCESS, Table};

/// The most matrices of one call.
pub(super) const MOST: i64 = 1 << 24;

/// Adds an array of `count` pointers to what a call uses.
pub(super) fn pointers(operands: &mut Operands, array: *mut usize, count: i64) -> usize {
    operands.wrong |= count > MOST;
    operands.add(array as u64, 8 * count.max(0).unsigned_abs());
    array as usize
}

/// The matrix that entry `i` of an array points to, if it is there.
pub(super) fn entry<T: Scalar>(
    memory: Memory,
    array: usize,
    i: usize,
    rows: i64,
    columns: i64,
    leading: i64,
) -> Option<Matrix<T>> {
    // SAFETY: inside an operand that is there.
    let at = unsafe { (array as *const usize).wrapping_add(i).read_unaligned() };
    if leading < rows.max(1) {
        return None;
    }
    let length = if rows > 0 && columns > 0 {
        bytes::<T>(columns, leading.unsigned_abs(), rows)
    } else {
        0
    };
    memory
        .has(at as u64, length)
        .then(|| Matrix::new(at, leading))
}

/// Rows and columns before `op`.
fn before(operation: i64, rows: i64, columns: i64) -> (i64, i64) {
    if operation == 0 || operation == 3 {
        (rows, columns)
    } else {
        (columns, rows)
    }
}

extern "C" fn gemm<T: Scalar>(
    h: &Handle,
    ta: i64,
    tb: i64,
    m: i64,
    n: i64,
    k: i64,
    alpha: *const T,
    a: *mut usize,
    lda: i64,
    b: *mut usize,
    ldb: i64,
    beta: *const T,
    c: *mut usize,
    ldc: i64,
    count: i64,
) -> i32 {
    let mut operands = Operands::default();
    let (alpha, beta) = (
        h.scalar(alpha, &mut operands),
        h.scalar(beta, &mut operands),
    );
    let (a, b, c) = (
        pointers(&mut operands, a, count),
        pointers(&mut operands, b, count),
        pointers(&mut operands, c, count),
    );
    operands.wrong |= m < 0 || n < 0 || k < 0;
    let shape = (m as usize, n as usize, k as usize);
    let ((ar, ac), (br, bc)) = (before(ta, m, k), before(tb, k, n));
    h.submit(
        operands,
        Box::new(move |memory| {
            (0..count.max(0) as usize).all(|i| {
                let (Some(a), Some(b), Some(c)) = (
                    entry(*memory, a, i, ar, ac, lda),
                    entry(*memory, b, i, br, bc, ldb),
                    entry(*memory, c, i, m, n, ldc),
                ) else {
                    return false;
                };
                multiply((ta, tb), shape, alpha.get(), &a, &b, beta.get(), &c);
                true
            })
        }),
    )
}

extern "C" fn gemm_strided<T: Scalar>(
    h: &Handle,
    ta: i64,
    tb: i64,
    m: i64,
    n: i64,
    k: i64,
    alpha: *const T,
    a: *mut T,
    lda: i64,
    sa: i64,
    b: *mut T,
    ldb: i64,
    sb: i64,
    beta: *const T,
    c: *mut T,
    ldc: i64,
    sc: i64,
    count: i64,
) -> i32 {
    let shape = (m as usize, n as usize, k as usize);
    let mut operands = Operands::default();
    let (alpha, beta) = (
        h.scalar(alpha, &mut operands),
        h.scalar(beta, &mut operands),
    );
    if count > MOST {
        return INVALID_VALUE;
    }
    let mut matrices = Vec::new();
    for i in 0..count.max(0) as isize {
        let at = |base: *mut T, stride: i64| base.wrapping_offset(i.wrapping_mul(stride as isize));
        matrices.push((
            operand(&mut operands, ta, at(a, sa), m, k, lda),
            operand(&mut operands, tb, at(b, sb), k, n, ldb),
            operands.matrix(at(c, sc), m, n, ldc),
        ));
    }
    h.submit(
        operands,
        Box::new(move |_| {
            for (a, b, c) in &matrices {
                multiply((ta, tb), shape, alpha.get(), a, b, beta.get(), c);
            }
            true
        }),
    )
}

extern "C" fn trsm<T: Scalar>(
    h: &Handle,
    side: i64,
    uplo: i64,
    trans: i64,
    diag: i64,
    m: i64,
    n: i64,
    alpha: *const T,
    a: *mut usize,
    lda: i64,
    b: *mut usize,
    ldb: i64,
    count: i64,
) -> i32 {
    if count <= 0 {
        return SUCCESS;
    }
    let mut operands = Operands::default();
    let alpha = h.scalar(alpha, &mut operands);
    let (a, b) = (
        pointers(&mut operands, a, count),
        pointers(&mut operands, b, count),
    );
    operands.wrong |= m < 0 || n < 0;
    let order = if side == 0 { m } else { n };
    h.submit(
        operands,
        Box::new(move |memory| {
            (0..count as usize).all(|i| {
                let (Some(a), Some(b)) = (
                    entry::<T>(*memory, a, i, order, order, lda),
                    entry(*memory, b, i, m, n, ldb),
                ) else {
                    return false;
                };
                let element = |lower: bool, unit: bool, i: usize, j: usize| match i == j {
                    true if unit => T::ONE,
                    _ if if lower { i >= j } else { i <= j } => a.get(i, j),
                    _ => T::ZERO,
                };
                solve(
                    (side, uplo, trans, diag),
                    (m as usize, n as usize),
                    alpha.get(),
                    element,
                    &b,
                );
                true
            })
        }),
    )
}

fn all<T: Scalar>(table: &mut Table, p: &str) {
    table.add(&format!("cublas{p}gemmBatched"), gemm::<T> as *const c_void);
    table.add(
        &format!("cublas{p}gemmStridedBatched"),
        gemm_strided::<T> as *const c_void,
    );
    table.add(&format!("cublas{p}trsmBatched"), trsm::<T> as *const c_void);
}

pub(super) fn register(table: &mut Table) {
    all::<f32>(table, "S");
    all::<f64>(table, "D");
    all::<Complex<f32>>(table, "C");
    all::<Complex<f64>>(table, "Z");
}
