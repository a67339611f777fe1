//! `cublasGemmEx` and its strided form: <https://docs.nvidia.com/cuda/cublas/#cublasgemmex>, for single and double precision, real and complex, and for half-precision
//! operands that are computed with in single precision.

#![allow(clippy::too_many_arguments, reason = "cuBLAS's")]

use std::ffi::c_void;

use half::{bf16, f16};
use num_complex::Complex;

use super::batched::MOST;
use super::device::{Handle, Operands, bytes};
use super::product::{multiply, operand};
use super::scalar::Scalar;
use super::storage::turned;
use super::{INVALID_VALUE, NOT_SUPPORTED, Table};

/// `cudaDataType`.
const R_32F: i64 = 0;
const R_64F: i64 = 1;
const R_16F: i64 = 2;
const C_32F: i64 = 4;
const C_64F: i64 = 5;
const R_16BF: i64 = 14;
/// `cublasComputeType_t`: 32F and its variants with less precise products, which are not taken up here; 64F.
const COMPUTE_32F: [i64; 5] = [68, 69, 74, 75, 77];
const COMPUTE_64F: [i64; 2] = [70, 71];

struct Side {
    at: usize,
    data_type: i64,
    leading: i64,
    stride: i64,
}

struct Product {
    operations: (i64, i64),
    shape: (i64, i64, i64),
    alpha: *const c_void,
    beta: *const c_void,
    a: Side,
    b: Side,
    c: Side,
    count: i64,
}

fn uniform<T: Scalar>(h: &Handle, p: &Product) -> i32 {
    let mut operands = Operands::default();
    let (alpha, beta) = (
        h.scalar::<T>(p.alpha.cast(), &mut operands),
        h.scalar::<T>(p.beta.cast(), &mut operands),
    );
    let ((ta, tb), (m, n, k)) = (p.operations, p.shape);
    let mut matrices = Vec::new();
    for i in 0..p.count.max(0) as isize {
        let at =
            |side: &Side| (side.at as *mut T).wrapping_offset(i.wrapping_mul(side.stride as isize));
        matrices.push((
            operand(&mut operands, ta, at(&p.a), m, k, p.a.leading),
            operand(&mut operands, tb, at(&p.b), k, n, p.b.leading),
            operands.matrix(at(&p.c), m, n, p.c.leading),
        ));
    }
    h.submit(
        operands,
        Box::new(move |_| {
            for (a, b, c) in &matrices {
                multiply(
                    (ta, tb),
                    (m as usize, n as usize, k as usize),
                    alpha.get(),
                    a,
                    b,
                    beta.get(),
                    c,
                );
            }
            true
        }),
    )
}

/// A type that is computed with in single precision.
trait Narrow: Copy + Send + 'static {
    fn widen(self) -> f32;
    fn narrow(value: f32) -> Self;
}

macro_rules! narrow { ($($t:ty: $widen:expr, $narrow:expr;)*) => { $(
    impl Narrow for $t {
        fn widen(self) -> f32 { $widen(self) }
        fn narrow(value: f32) -> Self { $narrow(value) }
    }
)* } }
narrow! {
    f32: |v| v, |v| v;
    f16: f16::to_f32, f16::from_f32;
    bf16: bf16::to_f32, bf16::from_f32;
}

/// `A` and `B` of type `I`, `C` of type `O`.
fn narrow<I: Narrow, O: Narrow>(h: &Handle, p: &Product) -> i32 {
    let mut operands = Operands::default();
    let (alpha, beta) = (
        h.scalar::<f32>(p.alpha.cast(), &mut operands),
        h.scalar::<f32>(p.beta.cast(), &mut operands),
    );
    let ((ta, tb), (m, n, k)) = (p.operations, p.shape);
    let mut batch = Vec::new();
    for i in 0..p.count.max(0) as isize {
        fn one<T>(
            operands: &mut Operands,
            side: &Side,
            i: isize,
            rows: i64,
            columns: i64,
        ) -> usize {
            let at = (side.at as *mut T).wrapping_offset(i.wrapping_mul(side.stride as isize));
            operands.wrong |= side.leading < rows.max(1);
            if rows > 0 && columns > 0 {
                operands.add(
                    at as u64,
                    bytes::<T>(columns, side.leading.unsigned_abs(), rows),
                );
            }
            at as usize
        }
        let (ar, ac) = if ta == 0 { (m, k) } else { (k, m) };
        let (br, bc) = if tb == 0 { (k, n) } else { (n, k) };
        batch.push((
            one::<I>(&mut operands, &p.a, i, ar, ac),
            one::<I>(&mut operands, &p.b, i, br, bc),
            one::<O>(&mut operands, &p.c, i, m, n),
        ));
    }
    let (lda, ldb, ldc) = (
        p.a.leading as usize,
        p.b.leading as usize,
        p.c.leading as usize,
    );
    h.submit(
        operands,
        Box::new(move |_| {
            let (m, n, k) = (m as usize, n as usize, k as usize);
            for &(a, b, c) in &batch {
                let get = |at: usize, leading: usize, i: usize, j: usize| {
                    // SAFETY: an element of an operand that is there.
                    let value = unsafe { (at as *const I).add(i + j * leading).read_unaligned() };
                    value.widen()
                };
                let wide = |at, leading, operation, rows: usize, columns: usize| -> Vec<f32> {
                    let element = |i, j| turned(operation, |i, j| get(at, leading, i, j), i, j);
                    (0..columns)
                        .flat_map(|j| (0..rows).map(move |i| element(i, j)))
                        .collect()
                };
                let (a, b) = (wide(a, lda, ta, m, k), wide(b, ldb, tb, k, n));
                let mut sum = vec![0.0f32; m * n];
                // SAFETY: the shapes are those of the three.
                unsafe {
                    f32::gemm(
                        (m, n, k),
                        alpha.get(),
                        (a.as_ptr(), 1, m as isize),
                        (b.as_ptr(), 1, k as isize),
                        0.0,
                        (sum.as_mut_ptr(), 1, m as isize),
                    );
                }
                let beta = beta.get();
                for (at, value) in sum.iter().enumerate() {
                    // SAFETY: as above.
                    unsafe {
                        let to = (c as *mut O).add(at % m + at / m * ldc);
                        let old = if beta == 0.0 {
                            0.0
                        } else {
                            beta * to.read_unaligned().widen()
                        };
                        to.write_unaligned(O::narrow(value + old));
                    }
                }
            }
            true
        }),
    )
}

fn run(h: &Handle, p: &Product, compute: i64) -> i32 {
    let (m, n, k) = p.shape;
    if m < 0 || n < 0 || k < 0 || p.count > MOST {
        return INVALID_VALUE;
    }
    let single = COMPUTE_32F.contains(&compute);
    let double = COMPUTE_64F.contains(&compute);
    match (p.a.data_type, p.b.data_type, p.c.data_type) {
        (R_32F, R_32F, R_32F) if single => uniform::<f32>(h, p),
        (C_32F, C_32F, C_32F) if single => uniform::<Complex<f32>>(h, p),
        (R_64F, R_64F, R_64F) if double => uniform::<f64>(h, p),
        (C_64F, C_64F, C_64F) if double => uniform::<Complex<f64>>(h, p),
        (R_16F, R_16F, R_16F) if single => narrow::<f16, f16>(h, p),
        (R_16F, R_16F, R_32F) if single => narrow::<f16, f32>(h, p),
        (R_16BF, R_16BF, R_16BF) if single => narrow::<bf16, bf16>(h, p),
        (R_16BF, R_16BF, R_32F) if single => narrow::<bf16, f32>(h, p),
        _ => NOT_SUPPORTED,
    }
}

extern "C" fn gemm(
    h: &Handle,
    ta: i64,
    tb: i64,
    m: i64,
    n: i64,
    k: i64,
    alpha: *const c_void,
    a: usize,
    at: i64,
    lda: i64,
    b: usize,
    bt: i64,
    ldb: i64,
    beta: *const c_void,
    c: usize,
    ct: i64,
    ldc: i64,
    compute: i64,
    _algorithm: i64,
) -> i32 {
    let side = |at, data_type, leading| Side {
        at,
        data_type,
        leading,
        stride: 0,
    };
    let product = Product {
        operations: (ta, tb),
        shape: (m, n, k),
        alpha,
        beta,
        a: side(a, at, lda),
        b: side(b, bt, ldb),
        c: side(c, ct, ldc),
        count: 1,
    };
    run(h, &product, compute)
}

extern "C" fn gemm_strided(
    h: &Handle,
    ta: i64,
    tb: i64,
    m: i64,
    n: i64,
    k: i64,
    alpha: *const c_void,
    a: usize,
    at: i64,
    lda: i64,
    sa: i64,
    b: usize,
    bt: i64,
    ldb: i64,
    sb: i64,
    beta: *const c_void,
    c: usize,
    ct: i64,
    ldc: i64,
    sc: i64,
    count: i64,
    compute: i64,
    _algorithm: i64,
) -> i32 {
    let side = |at, data_type, leading, stride| Side {
        at,
        data_type,
        leading,
        stride,
    };
    let product = Product {
        operations: (ta, tb),
        shape: (m, n, k),
        alpha,
        beta,
        a: side(a, at, lda, sa),
        b: side(b, bt, ldb, sb),
        c: side(c, ct, ldc, sc),
        count,
    };
    run(h, &product, compute)
}

pub(super) fn register(table: &mut Table) {
    table.add("cublasGemmEx", gemm as *const c_void);
    table.add("cublasGemmStridedBatchedEx", gemm_strided as *const c_void);
}
