//! Level 1: <https://docs.nvidia.com/cuda/cublas/#cublas-level-1-function-reference>.

use std::ffi::c_void;

use num_complex::Complex;

use super::device::{Handle, Operands};
use super::scalar::{Real, Scalar};
use super::{SUCCESS, Table};

/// Where a result of type `R` goes.
fn store<R: Copy>(at: usize, value: R) -> bool {
    // SAFETY: an operand of the work, which is there.
    unsafe { (at as *mut R).write_unaligned(value) };
    true
}

/// A reduction of one vector; `empty` for nothing to reduce.
fn reduce<T: Scalar, R: Copy + Send + 'static>(
    h: &Handle,
    (n, x, step): (i64, *mut T, i64),
    result: *mut R,
    empty: R,
    what: fn(&[T]) -> R,
) -> i32 {
    let mut operands = Operands::default();
    let nothing = n <= 0 || step <= 0;
    let x = operands.vector(x, if nothing { 0 } else { n }, step);
    if h.scalars_on_host() {
        // The plugin has results written by the stream; a host address is not its way.
        return super::INVALID_VALUE;
    }
    operands.add(result as u64, size_of::<R>() as u64);
    let result = result as usize;
    h.submit(
        operands,
        Box::new(move |_| store(result, if nothing { empty } else { what(&x.values()) })),
    )
}

extern "C" fn nrm2<T: Scalar>(
    h: &Handle,
    n: i64,
    x: *mut T,
    incx: i64,
    result: *mut T::Real,
) -> i32 {
    reduce(h, (n, x, incx), result, T::Real::ZERO, |x| {
        T::Real::of_f64(x.iter().map(|v| v.norm_squared()).sum::<f64>().sqrt())
    })
}

extern "C" fn asum<T: Scalar>(
    h: &Handle,
    n: i64,
    x: *mut T,
    incx: i64,
    result: *mut T::Real,
) -> i32 {
    reduce(h, (n, x, incx), result, T::Real::ZERO, |x| {
        T::Real::of_f64(x.iter().map(|v| v.size().to_f64()).sum())
    })
}

/// First position, from 1, of what is greatest (or least).
fn position<T: Scalar, const LEAST: bool>(x: &[T]) -> i64 {
    let mut best = 0;
    for i in 1..x.len() {
        let (new, old) = (x[i].size(), x[best].size());
        if if LEAST { new < old } else { new > old } {
            best = i;
        }
    }
    best as i64 + 1
}

extern "C" fn extreme<T: Scalar, const LEAST: bool>(
    h: &Handle,
    n: i64,
    x: *mut T,
    incx: i64,
    result: *mut i32,
) -> i32 {
    reduce(h, (n, x, incx), result, 0, |x| {
        position::<T, LEAST>(x) as i32
    })
}

extern "C" fn extreme_64<T: Scalar, const LEAST: bool>(
    h: &Handle,
    n: i64,
    x: *mut T,
    incx: i64,
    result: *mut i64,
) -> i32 {
    reduce(h, (n, x, incx), result, 0, position::<T, LEAST>)
}

extern "C" fn dot<T: Scalar, const CONJUGATE: bool>(
    h: &Handle,
    n: i64,
    x: *mut T,
    incx: i64,
    y: *mut T,
    incy: i64,
    result: *mut T,
) -> i32 {
    if h.scalars_on_host() {
        return super::INVALID_VALUE;
    }
    let mut operands = Operands::default();
    let (x, y) = (operands.vector(x, n, incx), operands.vector(y, n, incy));
    operands.add(result as u64, size_of::<T>() as u64);
    let result = result as usize;
    h.submit(
        operands,
        Box::new(move |_| {
            let product = |i| {
                let x: T = x.get(i);
                (if CONJUGATE { x.conj() } else { x }) * y.get(i)
            };
            store(result, (0..x.n).fold(T::ZERO, |sum, i| sum + product(i)))
        }),
    )
}

extern "C" fn scal<T: Scalar>(h: &Handle, n: i64, alpha: *const T, x: *mut T, incx: i64) -> i32 {
    scale(h, n, alpha, x, incx, |a, x| a * x)
}

extern "C" fn scal_real<T: Scalar>(
    h: &Handle,
    n: i64,
    alpha: *const T::Real,
    x: *mut T,
    incx: i64,
) -> i32 {
    scale(h, n, alpha, x, incx, |a, x| T::of_real(a) * x)
}

fn scale<A: Scalar, T: Scalar>(
    h: &Handle,
    n: i64,
    alpha: *const A,
    x: *mut T,
    incx: i64,
    by: fn(A, T) -> T,
) -> i32 {
    if n <= 0 || incx <= 0 {
        return SUCCESS;
    }
    let mut operands = Operands::default();
    let alpha = h.scalar(alpha, &mut operands);
    let x = operands.vector(x, n, incx);
    h.submit(
        operands,
        Box::new(move |_| {
            let alpha = alpha.get();
            (0..x.n).for_each(|i| x.set(i, by(alpha, x.get(i))));
            true
        }),
    )
}

extern "C" fn axpy<T: Scalar>(
    h: &Handle,
    n: i64,
    alpha: *const T,
    x: *mut T,
    incx: i64,
    y: *mut T,
    incy: i64,
) -> i32 {
    let mut operands = Operands::default();
    let alpha = h.scalar(alpha, &mut operands);
    let (x, y) = (operands.vector(x, n, incx), operands.vector(y, n, incy));
    h.submit(
        operands,
        Box::new(move |_| {
            let alpha = alpha.get();
            (0..x.n).for_each(|i| y.set(i, alpha * x.get(i) + y.get(i)));
            true
        }),
    )
}

fn pairs<T: Scalar>(
    h: &Handle,
    n: i64,
    (x, incx): (*mut T, i64),
    (y, incy): (*mut T, i64),
    what: impl Fn(T, T) -> (T, T) + Send + 'static,
    mut operands: Operands,
) -> i32 {
    let (x, y) = (operands.vector(x, n, incx), operands.vector(y, n, incy));
    h.submit(
        operands,
        Box::new(move |_| {
            for i in 0..x.n {
                let (a, b) = what(x.get(i), y.get(i));
                x.set(i, a);
                y.set(i, b);
            }
            true
        }),
    )
}

extern "C" fn copy<T: Scalar>(
    h: &Handle,
    n: i64,
    x: *mut T,
    incx: i64,
    y: *mut T,
    incy: i64,
) -> i32 {
    pairs(
        h,
        n,
        (x, incx),
        (y, incy),
        |x, _| (x, x),
        Operands::default(),
    )
}

extern "C" fn swap<T: Scalar>(
    h: &Handle,
    n: i64,
    x: *mut T,
    incx: i64,
    y: *mut T,
    incy: i64,
) -> i32 {
    pairs(
        h,
        n,
        (x, incx),
        (y, incy),
        |x, y| (y, x),
        Operands::default(),
    )
}

/// The sine is of type `S`: real for `csrot` and the real types.
#[allow(clippy::too_many_arguments, reason = "cuBLAS's")]
fn rotate<T: Scalar, S: Scalar>(
    h: &Handle,
    n: i64,
    x: (*mut T, i64),
    y: (*mut T, i64),
    c: *const T::Real,
    s: *const S,
    to: fn(S) -> T,
) -> i32 {
    let mut operands = Operands::default();
    let (c, s) = (h.scalar(c, &mut operands), h.scalar(s, &mut operands));
    pairs(
        h,
        n,
        x,
        y,
        move |x, y| {
            let (c, s) = (T::of_real(c.get()), to(s.get()));
            (c * x + s * y, c * y - s.conj() * x)
        },
        operands,
    )
}

#[allow(clippy::too_many_arguments, reason = "cuBLAS's")]
extern "C" fn rot<T: Scalar>(
    h: &Handle,
    n: i64,
    x: *mut T,
    incx: i64,
    y: *mut T,
    incy: i64,
    c: *const T::Real,
    s: *const T,
) -> i32 {
    rotate(h, n, (x, incx), (y, incy), c, s, |s| s)
}

#[allow(clippy::too_many_arguments, reason = "cuBLAS's")]
extern "C" fn rot_real<T: Scalar>(
    h: &Handle,
    n: i64,
    x: *mut T,
    incx: i64,
    y: *mut T,
    incy: i64,
    c: *const T::Real,
    s: *const T::Real,
) -> i32 {
    rotate(h, n, (x, incx), (y, incy), c, s, T::of_real)
}

fn common<T: Scalar>(table: &mut Table, p: &str, norm: &str, sum: &str) {
    table.add(&format!("cublas{norm}nrm2_v2"), nrm2::<T> as *const c_void);
    table.add(&format!("cublas{sum}asum_v2"), asum::<T> as *const c_void);
    for (name, narrow, wide) in [
        (
            "amax",
            extreme::<T, false> as *const c_void,
            extreme_64::<T, false> as *const c_void,
        ),
        (
            "amin",
            extreme::<T, true> as *const c_void,
            extreme_64::<T, true> as *const c_void,
        ),
    ] {
        let letter = p.to_lowercase();
        table.add_only(&format!("cublasI{letter}{name}_v2"), narrow);
        table.add_only(&format!("cublasI{letter}{name}_v2_64"), wide);
    }
    table.add(&format!("cublas{p}scal_v2"), scal::<T> as *const c_void);
    table.add(&format!("cublas{p}axpy_v2"), axpy::<T> as *const c_void);
    table.add(&format!("cublas{p}copy_v2"), copy::<T> as *const c_void);
    table.add(&format!("cublas{p}swap_v2"), swap::<T> as *const c_void);
    table.add(&format!("cublas{p}rot_v2"), rot::<T> as *const c_void);
}

fn complex<T: Scalar>(table: &mut Table, p: &str, real: &str) {
    table.add(
        &format!("cublas{p}dotu_v2"),
        dot::<T, false> as *const c_void,
    );
    table.add(
        &format!("cublas{p}dotc_v2"),
        dot::<T, true> as *const c_void,
    );
    table.add(
        &format!("cublas{p}{real}scal_v2"),
        scal_real::<T> as *const c_void,
    );
    table.add(
        &format!("cublas{p}{real}rot_v2"),
        rot_real::<T> as *const c_void,
    );
}

pub(super) fn register(table: &mut Table) {
    common::<f32>(table, "S", "S", "S");
    common::<f64>(table, "D", "D", "D");
    common::<Complex<f32>>(table, "C", "Sc", "Sc");
    common::<Complex<f64>>(table, "Z", "Dz", "Dz");
    table.add("cublasSdot_v2", dot::<f32, false> as *const c_void);
    table.add("cublasDdot_v2", dot::<f64, false> as *const c_void);
    complex::<Complex<f32>>(table, "C", "s");
    complex::<Complex<f64>>(table, "Z", "d");
}
