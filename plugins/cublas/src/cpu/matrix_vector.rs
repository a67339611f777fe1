//! Level 2: <https://docs.nvidia.com/cuda/cublas/#cublas-level-2-function-reference>. What differs between the functions is how the matrix is stored.

#![allow(clippy::too_many_arguments, reason = "cuBLAS's")]

use std::ffi::c_void;

use num_complex::Complex;

use super::Table;
use super::device::{Handle, Operands, Value, Vector};
use super::scalar::Scalar;
use super::storage::{LOWER, Stored, turned};

/// `y = alpha M x + beta y`, `M` by its elements.
fn multiply<T: Scalar>(
    alpha: T,
    element: impl Fn(usize, usize) -> T,
    x: &Vector<T>,
    beta: T,
    y: &Vector<T>,
) -> bool {
    let x = x.values();
    for i in 0..y.n {
        let sum = x
            .iter()
            .enumerate()
            .fold(T::ZERO, |sum, (j, x)| sum + element(i, j) * *x);
        let old = if beta == T::ZERO {
            T::ZERO
        } else {
            beta * y.get(i)
        };
        y.set(i, alpha * sum + old);
    }
    true
}

fn general<T: Scalar>(
    h: &Handle,
    (trans, m, n): (i64, i64, i64),
    (alpha, beta): (*const T, *const T),
    a: impl FnOnce(&mut Operands) -> Stored<T>,
    (x, incx): (*mut T, i64),
    (y, incy): (*mut T, i64),
) -> i32 {
    let mut operands = Operands::default();
    let (alpha, beta) = (
        h.scalar(alpha, &mut operands),
        h.scalar(beta, &mut operands),
    );
    let a = a(&mut operands);
    let (rows, columns) = if trans == 0 { (m, n) } else { (n, m) };
    if m == 0 || n == 0 {
        return super::SUCCESS;
    }
    let (x, y) = (
        operands.vector(x, columns, incx),
        operands.vector(y, rows, incy),
    );
    h.submit(
        operands,
        Box::new(move |_| {
            let element = |i, j| turned(trans, |i, j| a.get(i, j), i, j);
            multiply(alpha.get(), element, &x, beta.get(), &y)
        }),
    )
}

extern "C" fn gemv<T: Scalar>(
    h: &Handle,
    trans: i64,
    m: i64,
    n: i64,
    alpha: *const T,
    a: *mut T,
    lda: i64,
    x: *mut T,
    incx: i64,
    beta: *const T,
    y: *mut T,
    incy: i64,
) -> i32 {
    general(
        h,
        (trans, m, n),
        (alpha, beta),
        |o| Stored::full(o, a, m, n, lda),
        (x, incx),
        (y, incy),
    )
}

extern "C" fn gbmv<T: Scalar>(
    h: &Handle,
    trans: i64,
    m: i64,
    n: i64,
    kl: i64,
    ku: i64,
    alpha: *const T,
    a: *mut T,
    lda: i64,
    x: *mut T,
    incx: i64,
    beta: *const T,
    y: *mut T,
    incy: i64,
) -> i32 {
    general(
        h,
        (trans, m, n),
        (alpha, beta),
        |o| Stored::band(o, a, n, (kl, ku), lda),
        (x, incx),
        (y, incy),
    )
}

fn symmetric<T: Scalar, const HERMITIAN: bool>(
    h: &Handle,
    (uplo, n): (i64, i64),
    (alpha, beta): (*const T, *const T),
    a: impl FnOnce(&mut Operands) -> Stored<T>,
    (x, incx): (*mut T, i64),
    (y, incy): (*mut T, i64),
) -> i32 {
    let mut operands = Operands::default();
    let (alpha, beta) = (
        h.scalar(alpha, &mut operands),
        h.scalar(beta, &mut operands),
    );
    let a = a(&mut operands);
    let (x, y) = (operands.vector(x, n, incx), operands.vector(y, n, incy));
    h.submit(
        operands,
        Box::new(move |_| {
            let element = |i, j| a.symmetric(uplo == LOWER, HERMITIAN, i, j);
            multiply(alpha.get(), element, &x, beta.get(), &y)
        }),
    )
}

extern "C" fn symv<T: Scalar, const H: bool>(
    h: &Handle,
    uplo: i64,
    n: i64,
    alpha: *const T,
    a: *mut T,
    lda: i64,
    x: *mut T,
    incx: i64,
    beta: *const T,
    y: *mut T,
    incy: i64,
) -> i32 {
    symmetric::<T, H>(
        h,
        (uplo, n),
        (alpha, beta),
        |o| Stored::full(o, a, n, n, lda),
        (x, incx),
        (y, incy),
    )
}

extern "C" fn sbmv<T: Scalar, const H: bool>(
    h: &Handle,
    uplo: i64,
    n: i64,
    k: i64,
    alpha: *const T,
    a: *mut T,
    lda: i64,
    x: *mut T,
    incx: i64,
    beta: *const T,
    y: *mut T,
    incy: i64,
) -> i32 {
    let band = one_sided(uplo, k);
    symmetric::<T, H>(
        h,
        (uplo, n),
        (alpha, beta),
        |o| Stored::band(o, a, n, band, lda),
        (x, incx),
        (y, incy),
    )
}

extern "C" fn spmv<T: Scalar, const H: bool>(
    h: &Handle,
    uplo: i64,
    n: i64,
    alpha: *const T,
    a: *mut T,
    x: *mut T,
    incx: i64,
    beta: *const T,
    y: *mut T,
    incy: i64,
) -> i32 {
    symmetric::<T, H>(
        h,
        (uplo, n),
        (alpha, beta),
        |o| Stored::packed(o, a, n, uplo),
        (x, incx),
        (y, incy),
    )
}

/// Diagonals below and above of a triangle's band.
fn one_sided(uplo: i64, k: i64) -> (i64, i64) {
    if uplo == LOWER { (k, 0) } else { (0, k) }
}

/// `x = op(A) x`, or with `SOLVE` the `x` for which `op(A) x` is the one given.
fn triangle<T: Scalar, const SOLVE: bool>(
    h: &Handle,
    (uplo, trans, diag, n): (i64, i64, i64, i64),
    a: impl FnOnce(&mut Operands) -> Stored<T>,
    (x, incx): (*mut T, i64),
) -> i32 {
    let mut operands = Operands::default();
    let a = a(&mut operands);
    let x = operands.vector(x, n, incx);
    h.submit(
        operands,
        Box::new(move |_| {
            let stored = |i, j| a.triangular(uplo == LOWER, diag == 1, i, j);
            let element = |i, j| turned(trans, stored, i, j);
            // Of `op(A)`.
            let lower = (uplo == LOWER) == (trans == 0 || trans == 3);
            let old = x.values();
            let mut new = old.clone();
            for step in 0..x.n {
                let i = if lower { step } else { x.n - 1 - step };
                let others = if lower { 0..i } else { i + 1..x.n };
                let from = if SOLVE { &new } else { &old };
                let sum = others.fold(T::ZERO, |sum, j| sum + element(i, j) * from[j]);
                new[i] = if SOLVE {
                    (old[i] - sum) / element(i, i)
                } else {
                    sum + element(i, i) * old[i]
                };
            }
            new.iter()
                .enumerate()
                .for_each(|(i, value)| x.set(i, *value));
            true
        }),
    )
}

extern "C" fn trmv<T: Scalar, const S: bool>(
    h: &Handle,
    uplo: i64,
    trans: i64,
    diag: i64,
    n: i64,
    a: *mut T,
    lda: i64,
    x: *mut T,
    incx: i64,
) -> i32 {
    triangle::<T, S>(
        h,
        (uplo, trans, diag, n),
        |o| Stored::full(o, a, n, n, lda),
        (x, incx),
    )
}

extern "C" fn tbmv<T: Scalar, const S: bool>(
    h: &Handle,
    uplo: i64,
    trans: i64,
    diag: i64,
    n: i64,
    k: i64,
    a: *mut T,
    lda: i64,
    x: *mut T,
    incx: i64,
) -> i32 {
    let band = one_sided(uplo, k);
    triangle::<T, S>(
        h,
        (uplo, trans, diag, n),
        |o| Stored::band(o, a, n, band, lda),
        (x, incx),
    )
}

extern "C" fn tpmv<T: Scalar, const S: bool>(
    h: &Handle,
    uplo: i64,
    trans: i64,
    diag: i64,
    n: i64,
    a: *mut T,
    x: *mut T,
    incx: i64,
) -> i32 {
    triangle::<T, S>(
        h,
        (uplo, trans, diag, n),
        |o| Stored::packed(o, a, n, uplo),
        (x, incx),
    )
}

extern "C" fn ger<T: Scalar, const CONJUGATE: bool>(
    h: &Handle,
    m: i64,
    n: i64,
    alpha: *const T,
    x: *mut T,
    incx: i64,
    y: *mut T,
    incy: i64,
    a: *mut T,
    lda: i64,
) -> i32 {
    let mut operands = Operands::default();
    let alpha = h.scalar(alpha, &mut operands);
    let (x, y) = (operands.vector(x, m, incx), operands.vector(y, n, incy));
    let a = Stored::full(&mut operands, a, m, n, lda);
    h.submit(
        operands,
        Box::new(move |_| {
            for j in 0..y.n {
                let y: T = y.get(j);
                let factor = alpha.get() * if CONJUGATE { y.conj() } else { y };
                (0..x.n).for_each(|i| a.set(i, j, a.get(i, j) + x.get(i) * factor));
            }
            true
        }),
    )
}

/// Adds `change(i, j)` to a triangle; the diagonal of a Hermitian matrix stays real.
fn update<T: Scalar>(
    a: &Stored<T>,
    lower: bool,
    hermitian: bool,
    n: usize,
    change: impl Fn(usize, usize) -> T,
) -> bool {
    for j in 0..n {
        for i in if lower { j..n } else { 0..j + 1 } {
            let value = a.get(i, j) + change(i, j);
            let real = hermitian && i == j;
            a.set(
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

fn rank_one<T: Scalar, A: Scalar, const H: bool>(
    h: &Handle,
    (uplo, n): (i64, i64),
    alpha: *const A,
    to: fn(A) -> T,
    (x, incx): (*mut T, i64),
    a: impl FnOnce(&mut Operands) -> Stored<T>,
) -> i32 {
    let mut operands = Operands::default();
    let alpha: Value<A> = h.scalar(alpha, &mut operands);
    let x = operands.vector(x, n, incx);
    let a = a(&mut operands);
    h.submit(
        operands,
        Box::new(move |_| {
            let alpha = to(alpha.get());
            update(&a, uplo == LOWER, H, x.n, |i, j| {
                let y: T = x.get(j);
                alpha * x.get(i) * if H { y.conj() } else { y }
            })
        }),
    )
}

extern "C" fn syr<T: Scalar>(
    h: &Handle,
    uplo: i64,
    n: i64,
    alpha: *const T,
    x: *mut T,
    incx: i64,
    a: *mut T,
    lda: i64,
) -> i32 {
    rank_one::<T, T, false>(
        h,
        (uplo, n),
        alpha,
        |a| a,
        (x, incx),
        |o| Stored::full(o, a, n, n, lda),
    )
}

extern "C" fn spr<T: Scalar>(
    h: &Handle,
    uplo: i64,
    n: i64,
    alpha: *const T,
    x: *mut T,
    incx: i64,
    a: *mut T,
) -> i32 {
    rank_one::<T, T, false>(
        h,
        (uplo, n),
        alpha,
        |a| a,
        (x, incx),
        |o| Stored::packed(o, a, n, uplo),
    )
}

extern "C" fn her<T: Scalar>(
    h: &Handle,
    uplo: i64,
    n: i64,
    alpha: *const T::Real,
    x: *mut T,
    incx: i64,
    a: *mut T,
    lda: i64,
) -> i32 {
    rank_one::<T, T::Real, true>(h, (uplo, n), alpha, T::of_real, (x, incx), |o| {
        Stored::full(o, a, n, n, lda)
    })
}

extern "C" fn hpr<T: Scalar>(
    h: &Handle,
    uplo: i64,
    n: i64,
    alpha: *const T::Real,
    x: *mut T,
    incx: i64,
    a: *mut T,
) -> i32 {
    rank_one::<T, T::Real, true>(h, (uplo, n), alpha, T::of_real, (x, incx), |o| {
        Stored::packed(o, a, n, uplo)
    })
}

fn rank_two<T: Scalar, const H: bool>(
    h: &Handle,
    (uplo, n): (i64, i64),
    alpha: *const T,
    (x, incx): (*mut T, i64),
    (y, incy): (*mut T, i64),
    a: impl FnOnce(&mut Operands) -> Stored<T>,
) -> i32 {
    let mut operands = Operands::default();
    let alpha = h.scalar(alpha, &mut operands);
    let (x, y) = (operands.vector(x, n, incx), operands.vector(y, n, incy));
    let a = a(&mut operands);
    h.submit(
        operands,
        Box::new(move |_| {
            let alpha = alpha.get();
            let turn = |value: T| if H { value.conj() } else { value };
            update(&a, uplo == LOWER, H, x.n, |i, j| {
                alpha * x.get(i) * turn(y.get(j)) + turn(alpha) * y.get(i) * turn(x.get(j))
            })
        }),
    )
}

extern "C" fn syr2<T: Scalar, const H: bool>(
    h: &Handle,
    uplo: i64,
    n: i64,
    alpha: *const T,
    x: *mut T,
    incx: i64,
    y: *mut T,
    incy: i64,
    a: *mut T,
    lda: i64,
) -> i32 {
    rank_two::<T, H>(h, (uplo, n), alpha, (x, incx), (y, incy), |o| {
        Stored::full(o, a, n, n, lda)
    })
}

extern "C" fn spr2<T: Scalar, const H: bool>(
    h: &Handle,
    uplo: i64,
    n: i64,
    alpha: *const T,
    x: *mut T,
    incx: i64,
    y: *mut T,
    incy: i64,
    a: *mut T,
) -> i32 {
    rank_two::<T, H>(h, (uplo, n), alpha, (x, incx), (y, incy), |o| {
        Stored::packed(o, a, n, uplo)
    })
}

fn common<T: Scalar>(table: &mut Table, p: &str) {
    for (name, function) in [
        ("gemv", gemv::<T> as *const c_void),
        ("gbmv", gbmv::<T> as *const c_void),
        ("symv", symv::<T, false> as *const c_void),
        ("trmv", trmv::<T, false> as *const c_void),
        ("tbmv", tbmv::<T, false> as *const c_void),
        ("tpmv", tpmv::<T, false> as *const c_void),
        ("trsv", trmv::<T, true> as *const c_void),
        ("tbsv", tbmv::<T, true> as *const c_void),
        ("tpsv", tpmv::<T, true> as *const c_void),
        ("syr", syr::<T> as *const c_void),
        ("syr2", syr2::<T, false> as *const c_void),
    ] {
        table.add(&format!("cublas{p}{name}_v2"), function);
    }
}

fn real<T: Scalar>(table: &mut Table, p: &str) {
    for (name, function) in [
        ("sbmv", sbmv::<T, false> as *const c_void),
        ("spmv", spmv::<T, false> as *const c_void),
        ("ger", ger::<T, false> as *const c_void),
        ("spr", spr::<T> as *const c_void),
        ("spr2", spr2::<T, false> as *const c_void),
    ] {
        table.add(&format!("cublas{p}{name}_v2"), function);
    }
}

fn complex<T: Scalar>(table: &mut Table, p: &str) {
    for (name, function) in [
        ("hemv", symv::<T, true> as *const c_void),
        ("hbmv", sbmv::<T, true> as *const c_void),
        ("hpmv", spmv::<T, true> as *const c_void),
        ("geru", ger::<T, false> as *const c_void),
        ("gerc", ger::<T, true> as *const c_void),
        ("her", her::<T> as *const c_void),
        ("hpr", hpr::<T> as *const c_void),
        ("her2", syr2::<T, true> as *const c_void),
        ("hpr2", spr2::<T, true> as *const c_void),
    ] {
        table.add(&format!("cublas{p}{name}_v2"), function);
    }
}

pub(super) fn register(table: &mut Table) {
    common::<f32>(table, "S");
    common::<f64>(table, "D");
    common::<Complex<f32>>(table, "C");
    common::<Complex<f64>>(table, "Z");
    real::<f32>(table, "S");
    real::<f64>(table, "D");
    complex::<Complex<f32>>(table, "C");
    complex::<Complex<f64>>(table, "Z");
}
