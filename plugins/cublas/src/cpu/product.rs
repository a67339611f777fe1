//! Level 3: <https://docs.nvidia.com/cuda/cublas/#cublas-level-3-function-reference>, and `geam` and `dgmm`. Everything but `trsm` comes down to a product of dense matrices.

#![allow(clippy::too_many_arguments, reason = "cuBLAS's")]

use std::ffi::c_void;

use num_complex::Complex;

use super::Table;
use super::device::{Handle, Matrix, Operands, Value};
use super::scalar::Scalar;
use super::storage::{LOWER, Stored, turned};

/// A matrix of our own, in columns.
pub(super) struct Dense<T> {
    values: Vec<T>,
    rows: usize,
    columns: usize,
}

impl<T: Scalar> Dense<T> {
    /// By its elements.
    pub(super) fn of(rows: usize, columns: usize, element: impl Fn(usize, usize) -> T) -> Self {
        let mut values = Vec::with_capacity(rows * columns);
        for j in 0..columns {
            values.extend((0..rows).map(|i| element(i, j)));
        }
        Self {
            values,
            rows,
            columns,
        }
    }

    fn get(&self, i: usize, j: usize) -> T {
        self.values[i + j * self.rows]
    }
}

/// `C = alpha op(A) op(B) + beta C`; the operands are there.
pub(super) fn multiply<T: Scalar>(
    (ta, tb): (i64, i64),
    (m, n, k): (usize, usize, usize),
    alpha: T,
    a: &Matrix<T>,
    b: &Matrix<T>,
    beta: T,
    c: &Matrix<T>,
) {
    // Transposition is a matter of strides; conjugates are made.
    let conjugate = |operation: i64, matrix: &Matrix<T>, rows, columns| {
        (operation >= 2).then(|| {
            Dense::of(rows, columns, |i, j| {
                turned(operation, |i, j| matrix.get(i, j), i, j)
            })
        })
    };
    let (own_a, own_b) = (conjugate(ta, a, m, k), conjugate(tb, b, k, n));
    let strides = |own: &Option<Dense<T>>, operation: i64, matrix: &Matrix<T>| match own {
        Some(own) => (own.values.as_ptr(), 1, own.rows as isize),
        None if operation == 1 => (matrix.at as *const T, matrix.leading, 1),
        None => (matrix.at as *const T, 1, matrix.leading),
    };
    // SAFETY: the shapes are those of operands that are there, or of matrices of our own.
    unsafe {
        T::gemm(
            (m, n, k),
            alpha,
            strides(&own_a, ta, a),
            strides(&own_b, tb, b),
            beta,
            (c.at as *mut T, 1, c.leading),
        );
    }
}

/// The product of two matrices of our own, into a third.
fn product<T: Scalar>(alpha: T, a: &Dense<T>, b: &Dense<T>, k: usize) -> Dense<T> {
    let (m, n) = (a.rows, b.columns);
    let mut c = Dense {
        values: vec![T::ZERO; m * n],
        rows: m,
        columns: n,
    };
    // SAFETY: the shapes are those of the three.
    unsafe {
        T::gemm(
            (m, n, k),
            alpha,
            (a.values.as_ptr(), 1, m as isize),
            (b.values.as_ptr(), 1, k as isize),
            T::ZERO,
            (c.values.as_mut_ptr(), 1, m as isize),
        );
    }
    c
}

fn scaled<T: Scalar>(beta: T, get: impl FnOnce() -> T) -> T {
    if beta == T::ZERO {
        T::ZERO
    } else {
        beta * get()
    }
}

/// A matrix before `op`.
pub(super) fn operand<T: Scalar>(
    operands: &mut Operands,
    operation: i64,
    at: *mut T,
    rows: i64,
    columns: i64,
    leading: i64,
) -> Matrix<T> {
    if operation == 0 || operation == 3 {
        operands.matrix(at, rows, columns, leading)
    } else {
        operands.matrix(at, columns, rows, leading)
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
    a: *mut T,
    lda: i64,
    b: *mut T,
    ldb: i64,
    beta: *const T,
    c: *mut T,
    ldc: i64,
) -> i32 {
    let mut operands = Operands::default();
    let (alpha, beta) = (
        h.scalar(alpha, &mut operands),
        h.scalar(beta, &mut operands),
    );
    let a = operand(&mut operands, ta, a, m, k, lda);
    let b = operand(&mut operands, tb, b, k, n, ldb);
    let c = operands.matrix(c, m, n, ldc);
    let shape = (m as usize, n as usize, k as usize);
    h.submit(
        operands,
        Box::new(move |_| {
            multiply((ta, tb), shape, alpha.get(), &a, &b, beta.get(), &c);
            true
        }),
    )
}

/// `C = alpha A B + beta C` (`side` 0) or `alpha B A + beta C`, `A` symmetric or Hermitian.
extern "C" fn symm<T: Scalar, const H: bool>(
    h: &Handle,
    side: i64,
    uplo: i64,
    m: i64,
    n: i64,
    alpha: *const T,
    a: *mut T,
    lda: i64,
    b: *mut T,
    ldb: i64,
    beta: *const T,
    c: *mut T,
    ldc: i64,
) -> i32 {
    let mut operands = Operands::default();
    let (alpha, beta) = (
        h.scalar(alpha, &mut operands),
        h.scalar(beta, &mut operands),
    );
    let order = if side == 0 { m } else { n };
    let a = Stored::full(&mut operands, a, order, order, lda);
    let (b, c) = (operands.matrix(b, m, n, ldb), operands.matrix(c, m, n, ldc));
    let (m, n, order) = (m as usize, n as usize, order as usize);
    h.submit(
        operands,
        Box::new(move |_| {
            let a = Dense::of(order, order, |i, j| a.symmetric(uplo == LOWER, H, i, j));
            let b = Dense::of(m, n, |i, j| b.get(i, j));
            let sum = if side == 0 {
                product(alpha.get(), &a, &b, order)
            } else {
                product(alpha.get(), &b, &a, order)
            };
            store(&c, (m, n), beta.get(), |i, j| sum.get(i, j))
        }),
    )
}

fn store<T: Scalar>(
    c: &Matrix<T>,
    (m, n): (usize, usize),
    beta: T,
    value: impl Fn(usize, usize) -> T,
) -> bool {
    for j in 0..n {
        for i in 0..m {
            c.set(i, j, value(i, j) + scaled(beta, || c.get(i, j)));
        }
    }
    true
}

/// Writes the triangle of `beta C + change`.
fn store_triangle<T: Scalar>(
    c: &Matrix<T>,
    n: usize,
    lower: bool,
    hermitian: bool,
    beta: T,
    change: impl Fn(usize, usize) -> T,
) -> bool {
    for j in 0..n {
        for i in if lower { j..n } else { 0..j + 1 } {
            let value = change(i, j) + scaled(beta, || c.get(i, j));
            let real = hermitian && i == j;
            c.set(
                i,
                j,
                if real {
                    T::of_real(value.real())
                } else {
                    value
                },
            );
        }
    }
    true
}

/// `C = alpha op(A) op(B)' + …`: the functions of rank `k`. `second` is `B`, or `A` again; with `both`, its counterpart is added.
fn rank_k<T: Scalar, A: Scalar, B: Scalar, const H: bool>(
    h: &Handle,
    (uplo, trans, n, k): (i64, i64, i64, i64),
    (alpha, to_alpha): (*const A, fn(A) -> T),
    (a, lda): (*mut T, i64),
    second: Option<(*mut T, i64)>,
    both: bool,
    (beta, to_beta): (*const B, fn(B) -> T),
    (c, ldc): (*mut T, i64),
) -> i32 {
    let mut operands = Operands::default();
    let alpha: Value<A> = h.scalar(alpha, &mut operands);
    let beta: Value<B> = h.scalar(beta, &mut operands);
    let a = operand(&mut operands, trans, a, n, k, lda);
    let b = second.map(|(b, ldb)| operand(&mut operands, trans, b, n, k, ldb));
    let c = operands.matrix(c, n, n, ldc);
    let (n, k) = (n as usize, k as usize);
    h.submit(
        operands,
        Box::new(move |_| {
            let b = b.unwrap_or(a);
            let turn = |value: T| if H { value.conj() } else { value };
            // Both as `n` by `k`.
            let plain = |matrix: Matrix<T>| {
                Dense::of(n, k, move |i, j| {
                    turned(trans, |i, j| matrix.get(i, j), i, j)
                })
            };
            let back = |matrix: &Dense<T>| Dense::of(k, n, |i, j| turn(matrix.get(j, i)));
            let (a, b) = (plain(a), plain(b));
            let alpha = to_alpha(alpha.get());
            let first = product(alpha, &a, &back(&b), k);
            let other = both.then(|| product(turn(alpha), &b, &back(&a), k));
            store_triangle(
                &c,
                n,
                uplo == LOWER,
                H,
                to_beta(beta.get()),
                |i, j| match &other {
                    Some(other) => first.get(i, j) + other.get(i, j),
                    None => first.get(i, j),
                },
            )
        }),
    )
}

extern "C" fn syrk<T: Scalar>(
    h: &Handle,
    uplo: i64,
    trans: i64,
    n: i64,
    k: i64,
    alpha: *const T,
    a: *mut T,
    lda: i64,
    beta: *const T,
    c: *mut T,
    ldc: i64,
) -> i32 {
    rank_k::<T, T, T, false>(
        h,
        (uplo, trans, n, k),
        (alpha, |v| v),
        (a, lda),
        None,
        false,
        (beta, |v| v),
        (c, ldc),
    )
}

extern "C" fn herk<T: Scalar>(
    h: &Handle,
    uplo: i64,
    trans: i64,
    n: i64,
    k: i64,
    alpha: *const T::Real,
    a: *mut T,
    lda: i64,
    beta: *const T::Real,
    c: *mut T,
    ldc: i64,
) -> i32 {
    rank_k::<T, T::Real, T::Real, true>(
        h,
        (uplo, trans, n, k),
        (alpha, T::of_real),
        (a, lda),
        None,
        false,
        (beta, T::of_real),
        (c, ldc),
    )
}

extern "C" fn syr2k<T: Scalar, const BOTH: bool>(
    h: &Handle,
    uplo: i64,
    trans: i64,
    n: i64,
    k: i64,
    alpha: *const T,
    a: *mut T,
    lda: i64,
    b: *mut T,
    ldb: i64,
    beta: *const T,
    c: *mut T,
    ldc: i64,
) -> i32 {
    rank_k::<T, T, T, false>(
        h,
        (uplo, trans, n, k),
        (alpha, |v| v),
        (a, lda),
        Some((b, ldb)),
        BOTH,
        (beta, |v| v),
        (c, ldc),
    )
}

extern "C" fn her2k<T: Scalar, const BOTH: bool>(
    h: &Handle,
    uplo: i64,
    trans: i64,
    n: i64,
    k: i64,
    alpha: *const T,
    a: *mut T,
    lda: i64,
    b: *mut T,
    ldb: i64,
    beta: *const T::Real,
    c: *mut T,
    ldc: i64,
) -> i32 {
    rank_k::<T, T, T::Real, true>(
        h,
        (uplo, trans, n, k),
        (alpha, |v| v),
        (a, lda),
        Some((b, ldb)),
        BOTH,
        (beta, T::of_real),
        (c, ldc),
    )
}

extern "C" fn trmm<T: Scalar>(
    h: &Handle,
    side: i64,
    uplo: i64,
    trans: i64,
    diag: i64,
    m: i64,
    n: i64,
    alpha: *const T,
    a: *mut T,
    lda: i64,
    b: *mut T,
    ldb: i64,
    c: *mut T,
    ldc: i64,
) -> i32 {
    let mut operands = Operands::default();
    let alpha = h.scalar(alpha, &mut operands);
    let order = if side == 0 { m } else { n };
    let a = Stored::full(&mut operands, a, order, order, lda);
    let (b, c) = (operands.matrix(b, m, n, ldb), operands.matrix(c, m, n, ldc));
    let (m, n, order) = (m as usize, n as usize, order as usize);
    h.submit(
        operands,
        Box::new(move |_| {
            let stored = |i, j| a.triangular(uplo == LOWER, diag == 1, i, j);
            let a = Dense::of(order, order, |i, j| turned(trans, stored, i, j));
            // C may be B.
            let b = Dense::of(m, n, |i, j| b.get(i, j));
            let sum = if side == 0 {
                product(alpha.get(), &a, &b, order)
            } else {
                product(alpha.get(), &b, &a, order)
            };
            store(&c, (m, n), T::ZERO, |i, j| sum.get(i, j))
        }),
    )
}

/// Solves `op(A) X = alpha B` (`side` 0) or `X op(A) = alpha B` in place of `B`; the operands are there.
pub(super) fn solve<T: Scalar>(
    (side, uplo, trans, diag): (i64, i64, i64, i64),
    (m, n): (usize, usize),
    alpha: T,
    get: impl Fn(bool, bool, usize, usize) -> T,
    b: &Matrix<T>,
) {
    let stored = |i, j| get(uplo == LOWER, diag == 1, i, j);
    // `X op(A) = B` is `op(A)' X' = B'`.
    let element = |i, j| {
        if side == 0 {
            turned(trans, stored, i, j)
        } else {
            turned(trans, stored, j, i)
        }
    };
    let lower = ((uplo == LOWER) == (trans == 0 || trans == 3)) == (side == 0);
    let (order, others) = if side == 0 { (m, n) } else { (n, m) };
    let at = |i: usize, j: usize| if side == 0 { (i, j) } else { (j, i) };
    for j in 0..others {
        for step in 0..order {
            let i = if lower { step } else { order - 1 - step };
            let before = if lower { 0..i } else { i + 1..order };
            let (row, column) = at(i, j);
            let sum = before.fold(alpha * b.get(row, column), |sum, l| {
                let (row, column) = at(l, j);
                sum - element(i, l) * b.get(row, column)
            });
            b.set(
                row,
                column,
                if diag == 1 { sum } else { sum / element(i, i) },
            );
        }
    }
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
    a: *mut T,
    lda: i64,
    b: *mut T,
    ldb: i64,
) -> i32 {
    let mut operands = Operands::default();
    let alpha = h.scalar(alpha, &mut operands);
    let order = if side == 0 { m } else { n };
    let a = Stored::full(&mut operands, a, order, order, lda);
    let b = operands.matrix(b, m, n, ldb);
    let shape = (m as usize, n as usize);
    h.submit(
        operands,
        Box::new(move |_| {
            solve(
                (side, uplo, trans, diag),
                shape,
                alpha.get(),
                |lower, unit, i, j| a.triangular(lower, unit, i, j),
                &b,
            );
            true
        }),
    )
}

extern "C" fn geam<T: Scalar>(
    h: &Handle,
    ta: i64,
    tb: i64,
    m: i64,
    n: i64,
    alpha: *const T,
    a: *mut T,
    lda: i64,
    beta: *const T,
    b: *mut T,
    ldb: i64,
    c: *mut T,
    ldc: i64,
) -> i32 {
    let mut operands = Operands::default();
    let (alpha, beta) = (
        h.scalar(alpha, &mut operands),
        h.scalar(beta, &mut operands),
    );
    // A matrix whose factor is 0 need not be there.
    let a = match alpha {
        Value::Now(alpha) if alpha == T::ZERO => None,
        _ => Some(operand(&mut operands, ta, a, m, n, lda)),
    };
    let b = match beta {
        Value::Now(beta) if beta == T::ZERO => None,
        _ => Some(operand(&mut operands, tb, b, m, n, ldb)),
    };
    let c = operands.matrix(c, m, n, ldc);
    let (m, n) = (m as usize, n as usize);
    h.submit(
        operands,
        Box::new(move |_| {
            let part = |factor: T, operation, matrix: Option<Matrix<T>>, i, j| {
                matrix.map_or(T::ZERO, |matrix| {
                    scaled(factor, || turned(operation, |i, j| matrix.get(i, j), i, j))
                })
            };
            let (alpha, beta) = (alpha.get(), beta.get());
            // C may be A or B.
            let sum = Dense::of(m, n, |i, j| {
                part(alpha, ta, a, i, j) + part(beta, tb, b, i, j)
            });
            store(&c, (m, n), T::ZERO, |i, j| sum.get(i, j))
        }),
    )
}

extern "C" fn dgmm<T: Scalar>(
    h: &Handle,
    side: i64,
    m: i64,
    n: i64,
    a: *mut T,
    lda: i64,
    x: *mut T,
    incx: i64,
    c: *mut T,
    ldc: i64,
) -> i32 {
    let mut operands = Operands::default();
    let a = operands.matrix(a, m, n, lda);
    let x = operands.vector(x, if side == 0 { m } else { n }, incx);
    let c = operands.matrix(c, m, n, ldc);
    let (m, n) = (m as usize, n as usize);
    h.submit(
        operands,
        Box::new(move |_| {
            store(&c, (m, n), T::ZERO, |i, j| {
                a.get(i, j) * x.get(if side == 0 { i } else { j })
            })
        }),
    )
}

fn common<T: Scalar>(table: &mut Table, p: &str) {
    for (name, function) in [
        ("gemm_v2", gemm::<T> as *const c_void),
        ("symm_v2", symm::<T, false> as *const c_void),
        ("syrk_v2", syrk::<T> as *const c_void),
        ("syr2k_v2", syr2k::<T, true> as *const c_void),
        ("syrkx", syr2k::<T, false> as *const c_void),
        ("trmm_v2", trmm::<T> as *const c_void),
        ("trsm_v2", trsm::<T> as *const c_void),
        ("geam", geam::<T> as *const c_void),
        ("dgmm", dgmm::<T> as *const c_void),
    ] {
        table.add(&format!("cublas{p}{name}"), function);
    }
}

fn complex<T: Scalar>(table: &mut Table, p: &str) {
    for (name, function) in [
        ("hemm_v2", symm::<T, true> as *const c_void),
        ("herk_v2", herk::<T> as *const c_void),
        ("her2k_v2", her2k::<T, true> as *const c_void),
        ("herkx", her2k::<T, false> as *const c_void),
        ("gemm3m", gemm::<T> as *const c_void),
    ] {
        table.add(&format!("cublas{p}{name}"), function);
    }
}

pub(super) fn register(table: &mut Table) {
    common::<f32>(table, "S");
    common::<f64>(table, "D");
    common::<Complex<f32>>(table, "C");
    common::<Complex<f64>>(table, "Z");
    complex::<Complex<f32>>(table, "C");
    complex::<Complex<f64>>(table, "Z");
}
