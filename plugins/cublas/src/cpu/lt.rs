//! cuBLASLt on the CPU device: descriptors, `cublasLtMatmul` in single and double precision (operands of half precision are computed with in single), with transposition, both
//! orders, strided batches, and the epilogues bias, ReLU and GELU; `cublasLtMatrixTransform` of the same types.

#![allow(clippy::too_many_arguments, reason = "cuBLASLt's")]

use std::ffi::c_void;

use gvirtus_plugin_library::cpu;
use gvirtus_wire::api::opaque::{KINDS, LAYOUT, MATMUL, TRANSFORM, Values};
use half::{bf16, f16};

use super::scalar::Scalar;
use super::{EXECUTION_FAILED, INVALID_VALUE, NOT_SUPPORTED, SUCCESS, Table};

/// `cudaDataType`.
const R_32F: i64 = 0;
const R_64F: i64 = 1;
const R_16F: i64 = 2;
const R_16BF: i64 = 14;
/// `cublasLtEpilogue_t`: the bits of what is supported, and the one that is always there.
const RELU: i64 = 2;
const BIAS: i64 = 4;
const GELU: i64 = 32;
/// `CUBLAS_FILL_MODE_FULL`.
const FULL: i64 = 2;
/// The most matrices of a batch.
const MOST: i64 = 1 << 20;
/// Bytes of a `cublasLtMatmulHeuristicResult_t` and of the algorithm in it.
const RESULT: usize = 96;
const ALGORITHM: usize = 64;

/// A handle. Its address is what the plugin keeps; no client names it.
struct Handle {
    device: i32,
}

extern "C" fn create(out: *mut *mut Handle) -> i32 {
    let Some(device) = cpu::current_device() else {
        return 1;
    };
    // SAFETY: the plugin passes the address of a local.
    unsafe { out.write(Box::into_raw(Box::new(Handle { device }))) };
    SUCCESS
}

extern "C" fn destroy(handle: *mut Handle) -> i32 {
    // SAFETY: the plugin gives back what it got from `create`, once.
    drop(unsafe { Box::from_raw(handle) });
    SUCCESS
}

/// A descriptor of the kind of this number, with what its create function takes.
extern "C" fn describe<const KIND: usize>(
    out: *mut *mut Values,
    a: i64,
    b: i64,
    c: i64,
    d: i64,
) -> i32 {
    let kind = KINDS[KIND];
    let mut values = Values::new(kind);
    for (id, value) in kind.created_with.iter().zip([a, b, c, d]) {
        let size = values.get(kind, *id).map_or(0, <[u8]>::len);
        let _ = values.set(kind, *id, &value.to_le_bytes()[..size]);
    }
    // SAFETY: the plugin passes the address of a local.
    unsafe { out.write(Box::into_raw(Box::new(values))) };
    SUCCESS
}

extern "C" fn set<const KIND: usize>(
    values: &mut Values,
    id: i32,
    value: *const u8,
    size: usize,
) -> i32 {
    // SAFETY: the plugin passes so many bytes.
    let value = unsafe { std::slice::from_raw_parts(value, size) };
    if values.set(KINDS[KIND], id, value) {
        SUCCESS
    } else {
        INVALID_VALUE
    }
}

extern "C" fn forget(values: *mut Values) -> i32 {
    // SAFETY: the plugin gives back what it got from `describe`, once.
    drop(unsafe { Box::from_raw(values) });
    SUCCESS
}

/// A matrix in device memory, or a batch of them.
#[derive(Debug, Clone, Copy)]
struct Side {
    at: u64,
    data_type: i64,
    rows: i64,
    columns: i64,
    leading: i64,
    row_order: bool,
    count: i64,
    stride: i64,
}

fn element(data_type: i64) -> Option<u64> {
    match data_type {
        R_32F => Some(4),
        R_64F => Some(8),
        R_16F | R_16BF => Some(2),
        _ => None,
    }
}

/// Reads an element.
///
/// # Safety
/// It is there.
unsafe fn load<T: Real>(at: u64, data_type: i64, index: i64) -> T {
    // SAFETY: by this function's contract.
    unsafe {
        let of = |size: i64| at.wrapping_add_signed(index * size);
        match data_type {
            R_64F => T::of(std::ptr::read_unaligned(of(8) as *const f64)),
            R_16F => T::of(std::ptr::read_unaligned(of(2) as *const f16).to_f64()),
            R_16BF => T::of(std::ptr::read_unaligned(of(2) as *const bf16).to_f64()),
            _ => T::of(f64::from(std::ptr::read_unaligned(of(4) as *const f32))),
        }
    }
}

/// Writes an element.
///
/// # Safety
/// It is there.
unsafe fn store<T: Real>(at: u64, data_type: i64, index: i64, value: T) {
    let value = value.wide();
    // SAFETY: by this function's contract.
    unsafe {
        let of = |size: i64| at.wrapping_add_signed(index * size);
        match data_type {
            R_64F => std::ptr::write_unaligned(of(8) as *mut f64, value),
            R_16F => std::ptr::write_unaligned(of(2) as *mut f16, f16::from_f64(value)),
            R_16BF => std::ptr::write_unaligned(of(2) as *mut bf16, bf16::from_f64(value)),
            _ => std::ptr::write_unaligned(of(4) as *mut f32, value as f32),
        }
    }
}

/// What is computed with.
trait Real: Scalar {
    fn of(value: f64) -> Self;
    fn wide(self) -> f64;
    const DATA_TYPE: i64;
}

impl Real for f32 {
    fn of(value: f64) -> Self {
        value as f32
    }
    fn wide(self) -> f64 {
        f64::from(self)
    }
    const DATA_TYPE: i64 = R_32F;
}

impl Real for f64 {
    fn of(value: f64) -> Self {
        value
    }
    fn wide(self) -> f64 {
        self
    }
    const DATA_TYPE: i64 = R_64F;
}

impl Side {
    fn of(at: u64, layout: &Values) -> Result<Self, i32> {
        let get = |id| layout.number(&LAYOUT, id);
        let side = Self {
            at,
            data_type: get(0),
            rows: get(2),
            columns: get(3),
            leading: get(4),
            row_order: get(1) == 1,
            count: get(5),
            stride: get(6),
        };
        if !(0..=1).contains(&get(1)) || get(7) != 0 || get(8) != 0 || element(get(0)).is_none() {
            return Err(NOT_SUPPORTED);
        }
        let (inner, outer) = side.extents();
        let most = 1 << 31;
        if !(0..most).contains(&inner)
            || !(0..most).contains(&outer)
            || !(inner..most).contains(&side.leading)
            || !(0..=MOST).contains(&side.count)
            || side.stride < 0
        {
            return Err(INVALID_VALUE);
        }
        Ok(side)
    }

    /// How many elements lie side by side, and how many such runs there are.
    fn extents(&self) -> (i64, i64) {
        if self.row_order {
            (self.columns, self.rows)
        } else {
            (self.rows, self.columns)
        }
    }

    /// Where a matrix of the batch begins, and its bytes.
    fn matrix(&self, number: i64) -> (u64, u64) {
        let size = element(self.data_type).unwrap_or(1);
        let (inner, outer) = self.extents();
        let elements = if inner == 0 || outer == 0 {
            0
        } else {
            (outer - 1).unsigned_abs() * self.leading.unsigned_abs() + inner.unsigned_abs()
        };
        let number = if self.count > 1 { number } else { 0 };
        let offset = number
            .unsigned_abs()
            .wrapping_mul(self.stride.unsigned_abs());
        (
            self.at.wrapping_add(offset.wrapping_mul(size)),
            elements * size,
        )
    }

    fn index(&self, i: i64, j: i64) -> i64 {
        if self.row_order {
            i * self.leading + j
        } else {
            i + j * self.leading
        }
    }

    /// The operand after an operation, in columns.
    ///
    /// # Safety
    /// The matrix is there.
    unsafe fn dense<T: Real>(&self, number: i64, turned: bool) -> Vec<T> {
        let (at, _) = self.matrix(number);
        let (rows, columns) = self.shape(turned);
        let mut dense = Vec::with_capacity((rows * columns) as usize);
        for j in 0..columns {
            for i in 0..rows {
                let (i, j) = if turned { (j, i) } else { (i, j) };
                // SAFETY: by this function's contract.
                dense.push(unsafe { load(at, self.data_type, self.index(i, j)) });
            }
        }
        dense
    }

    fn shape(&self, turned: bool) -> (i64, i64) {
        if turned {
            (self.columns, self.rows)
        } else {
            (self.rows, self.columns)
        }
    }
}

/// A scalar: its value, or where it lies on the device.
#[derive(Clone, Copy)]
enum Factor<T> {
    Now(T),
    Later(u64),
}

impl<T: Real> Factor<T> {
    fn of(at: u64, on_device: bool, operands: &mut Vec<(u64, u64)>) -> Self {
        if on_device {
            operands.push((at, size_of::<T>() as u64));
            Self::Later(at)
        } else if at == 0 {
            Self::Now(T::ZERO)
        } else {
            // SAFETY: the plugin passes 16 bytes.
            Self::Now(unsafe { load(at, T::DATA_TYPE, 0) })
        }
    }

    fn get(self) -> T {
        match self {
            Self::Now(value) => value,
            // SAFETY: an operand of the work, which is there when it runs.
            Self::Later(at) => unsafe { load(at, T::DATA_TYPE, 0) },
        }
    }
}

/// A product, as the descriptors say.
struct Product {
    turned: (bool, bool),
    a: Side,
    b: Side,
    c: Side,
    d: Side,
    epilogue: i64,
    bias: (u64, i64, i64),
    on_device: bool,
}

impl Product {
    fn of(
        operation: &Values,
        a: (u64, &Values),
        b: (u64, &Values),
        c: (u64, &Values),
        d: (u64, &Values),
    ) -> Result<Self, i32> {
        let get = |id| operation.number(&MATMUL, id);
        let side = |(at, layout): (u64, &Values)| Side::of(at, layout);
        let (a, b, c, d) = (side(a)?, side(b)?, side(c)?, side(d)?);
        let epilogue = get(7);
        let bias_type = if get(26) < 0 { d.data_type } else { get(26) };
        // Scales, amaxima, auxiliary outputs, planes: not here.
        let plain = [11, 17, 18, 19, 20, 21, 23, 24, 36, 29, 30]
            .into_iter()
            .all(|id| get(id) == 0);
        if !plain
            || ![R_32F, R_64F].contains(&get(1))
            || get(6) != FULL
            || get(5) != 0
            || !(0..=2).contains(&get(3))
            || !(0..=2).contains(&get(4))
            || !(0..=1).contains(&get(2))
            || epilogue & !(1 | RELU | BIAS | GELU) != 0
            || epilogue & RELU != 0 && epilogue & GELU != 0
            || element(bias_type).is_none()
        {
            return Err(NOT_SUPPORTED);
        }
        let turned = (get(3) != 0, get(4) != 0);
        let ((m, k), (inner, n)) = (a.shape(turned.0), b.shape(turned.1));
        let fits = k == inner
            && (d.rows, d.columns) == (m, n)
            && (c.rows, c.columns) == (m, n)
            && [a.count, b.count, c.count]
                .iter()
                .all(|count| *count == d.count);
        if !fits || epilogue & BIAS != 0 && get(8) == 0 {
            return Err(INVALID_VALUE);
        }
        Ok(Self {
            turned,
            a,
            b,
            c,
            d,
            epilogue,
            bias: (get(8).cast_unsigned(), bias_type, get(10)),
            on_device: get(2) == 1,
        })
    }

    fn submit<T: Real>(self, device: i32, stream: usize, alpha: u64, beta: u64) -> i32 {
        let mut operands = Vec::new();
        let alpha = Factor::<T>::of(alpha, self.on_device, &mut operands);
        let beta = Factor::<T>::of(beta, self.on_device, &mut operands);
        // Without it C need not be there.
        let reads_c = !matches!(beta, Factor::Now(value) if value == T::ZERO);
        for number in 0..self.d.count {
            operands.extend([self.a, self.b, self.d].map(|side| side.matrix(number)));
            if reads_c {
                operands.push(self.c.matrix(number));
            }
            if self.epilogue & BIAS != 0 {
                let size = element(self.bias.1).unwrap_or(1);
                operands.push((self.bias_of(number), self.d.rows.unsigned_abs() * size));
            }
        }
        let work = move |_: &cpu::Memory| {
            for number in 0..self.d.count {
                // SAFETY: the operands are there.
                unsafe { self.run(number, alpha.get(), beta.get()) };
            }
            true
        };
        match cpu::submit("cuBLASLt", device, stream, operands, Box::new(work)) {
            Ok(()) => SUCCESS,
            Err(()) => EXECUTION_FAILED,
        }
    }

    /// Where the bias of a matrix of the batch begins.
    fn bias_of(&self, number: i64) -> u64 {
        let (at, data_type, stride) = self.bias;
        let size = element(data_type).unwrap_or(1) as i64;
        at.wrapping_add_signed(number.wrapping_mul(stride).wrapping_mul(size))
    }

    /// # Safety
    /// All operands are there.
    unsafe fn run<T: Real>(&self, number: i64, alpha: T, beta: T) {
        let (m, n) = (self.d.rows, self.d.columns);
        let (_, k) = self.a.shape(self.turned.0);
        // SAFETY: by this function's contract; the shapes are those of the three.
        unsafe {
            let a = self.a.dense::<T>(number, self.turned.0);
            let b = self.b.dense::<T>(number, self.turned.1);
            let mut sum = vec![T::ZERO; (m * n) as usize];
            T::gemm(
                (m as usize, n as usize, k as usize),
                alpha,
                (a.as_ptr(), 1, m as isize),
                (b.as_ptr(), 1, k as isize),
                T::ZERO,
                (sum.as_mut_ptr(), 1, m as isize),
            );
            let (from, _) = self.c.matrix(number);
            let (to, _) = self.d.matrix(number);
            let bias = self.bias_of(number);
            for j in 0..n {
                for i in 0..m {
                    let mut value = sum[(i + j * m) as usize];
                    if beta != T::ZERO {
                        let old: T = load(from, self.c.data_type, self.c.index(i, j));
                        value = value + beta * old;
                    }
                    if self.epilogue & BIAS != 0 {
                        value = value + load(bias, self.bias.1, i);
                    }
                    store(to, self.d.data_type, self.d.index(i, j), self.shaped(value));
                }
            }
        }
    }

    /// What the epilogue makes of a value.
    fn shaped<T: Real>(&self, value: T) -> T {
        let x = value.wide();
        if self.epilogue & RELU != 0 && x < 0.0 {
            T::ZERO
        } else if self.epilogue & GELU != 0 {
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x * x * x);
            T::of(0.5 * x * (1.0 + inner.tanh()))
        } else {
            value
        }
    }
}

extern "C" fn matmul(
    handle: &Handle,
    operation: &Values,
    alpha: u64,
    a: u64,
    a_layout: &Values,
    b: u64,
    b_layout: &Values,
    beta: u64,
    c: u64,
    c_layout: &Values,
    d: u64,
    d_layout: &Values,
    _algorithm: *const u8,
    _workspace: u64,
    _workspace_bytes: u64,
    stream: usize,
) -> i32 {
    let product = match Product::of(
        operation,
        (a, a_layout),
        (b, b_layout),
        (c, c_layout),
        (d, d_layout),
    ) {
        Ok(product) => product,
        Err(status) => return status,
    };
    match operation.number(&MATMUL, 1) {
        R_32F => product.submit::<f32>(handle.device, stream, alpha, beta),
        R_64F => product.submit::<f64>(handle.device, stream, alpha, beta),
        _ => NOT_SUPPORTED,
    }
}

/// The one algorithm that there is.
extern "C" fn heuristic(
    _handle: &Handle,
    operation: &Values,
    a: &Values,
    b: &Values,
    c: &Values,
    d: &Values,
    _preference: *const Values,
    _requested: i64,
    results: *mut u8,
    returned: *mut i32,
) -> i32 {
    if let Err(status) = Product::of(operation, (0, a), (0, b), (0, c), (0, d)) {
        return status;
    }
    // SAFETY: the plugin passes room for at least one result, and for the count.
    unsafe {
        results.copy_from_nonoverlapping(result().as_ptr(), RESULT);
        returned.write_unaligned(1);
    }
    SUCCESS
}

/// A result: an algorithm that needs no workspace and fills the device.
fn result() -> [u8; RESULT] {
    let mut result = [0; RESULT];
    result[..4].copy_from_slice(&1i32.to_le_bytes());
    result[76..80].copy_from_slice(&1f32.to_le_bytes());
    result
}

extern "C" fn check(
    _handle: &Handle,
    operation: &Values,
    a: &Values,
    b: &Values,
    c: &Values,
    d: &Values,
    _algorithm: *const u8,
    out: *mut u8,
) -> i32 {
    if let Err(status) = Product::of(operation, (0, a), (0, b), (0, c), (0, d)) {
        return status;
    }
    // SAFETY: the plugin passes room for a result.
    unsafe { out.copy_from_nonoverlapping(result().as_ptr(), RESULT) };
    SUCCESS
}

extern "C" fn ids(
    _handle: &Handle,
    _compute: i64,
    _scale: i64,
    _a: i64,
    _b: i64,
    _c: i64,
    _d: i64,
    _requested: i64,
    out: *mut i32,
    returned: *mut i32,
) -> i32 {
    // SAFETY: the plugin passes room for at least one, and for the count.
    unsafe {
        out.write_unaligned(1);
        returned.write_unaligned(1);
    }
    SUCCESS
}

extern "C" fn algorithm(
    _handle: &Handle,
    _compute: i64,
    _scale: i64,
    _a: i64,
    _b: i64,
    _c: i64,
    _d: i64,
    id: i64,
    out: *mut u8,
) -> i32 {
    if id != 1 {
        return INVALID_VALUE;
    }
    // SAFETY: the plugin passes room for an algorithm.
    unsafe { out.copy_from_nonoverlapping(result().as_ptr(), ALGORITHM) };
    SUCCESS
}

extern "C" fn transform(
    handle: &Handle,
    operation: &Values,
    alpha: u64,
    a: u64,
    a_layout: &Values,
    beta: u64,
    b: u64,
    b_layout: Option<&Values>,
    c: u64,
    c_layout: &Values,
    stream: usize,
) -> i32 {
    let get = |id| operation.number(&TRANSFORM, id);
    if get(0) != R_32F || !(0..=1).contains(&get(1)) {
        return NOT_SUPPORTED;
    }
    let turned = (get(2) != 0, get(3) != 0);
    let sides = (|| {
        let b = b_layout.map(|layout| Side::of(b, layout)).transpose()?;
        Ok((Side::of(a, a_layout)?, b, Side::of(c, c_layout)?))
    })();
    let (a, b, c) = match sides {
        Ok(sides) => sides,
        Err(status) => return status,
    };
    let shape = (c.rows, c.columns);
    if a.shape(turned.0) != shape
        || a.count != c.count
        || b.is_some_and(|b| b.shape(turned.1) != shape || b.count != c.count)
    {
        return INVALID_VALUE;
    }
    let mut operands = Vec::new();
    let alpha = Factor::<f32>::of(alpha, get(1) == 1, &mut operands);
    let beta = Factor::<f32>::of(beta, get(1) == 1, &mut operands);
    for number in 0..c.count {
        operands.extend([a.matrix(number), c.matrix(number)]);
        operands.extend(b.map(|b| b.matrix(number)));
    }
    let work = move |_: &cpu::Memory| {
        for number in 0..c.count {
            let (alpha, beta) = (alpha.get(), beta.get());
            // SAFETY: the operands are there.
            unsafe {
                let first = a.dense::<f32>(number, turned.0);
                let second = b.map(|b| b.dense::<f32>(number, turned.1));
                let (to, _) = c.matrix(number);
                for (at, value) in first.into_iter().enumerate() {
                    let (i, j) = (at as i64 % c.rows, at as i64 / c.rows);
                    let further = second.as_ref().map_or(0.0, |second| beta * second[at]);
                    store(to, c.data_type, c.index(i, j), alpha * value + further);
                }
            }
        }
        true
    };
    match cpu::submit("cuBLASLt", handle.device, stream, operands, Box::new(work)) {
        Ok(()) => SUCCESS,
        Err(()) => EXECUTION_FAILED,
    }
}

fn descriptor<const KIND: usize>(table: &mut Table) {
    let name = format!("cublasLt{}", KINDS[KIND].name);
    table.add_only(&format!("{name}Create"), describe::<KIND> as *const c_void);
    table.add_only(&format!("{name}SetAttribute"), set::<KIND> as *const c_void);
    table.add_only(&format!("{name}Destroy"), forget as *const c_void);
}

pub(super) fn register(table: &mut Table) {
    table.add_only("cublasLtCreate", create as *const c_void);
    table.add_only("cublasLtDestroy", destroy as *const c_void);
    table.add_only(
        "cublasLtGetProperty",
        super::device::get_property as *const c_void,
    );
    descriptor::<0>(table);
    descriptor::<1>(table);
    descriptor::<2>(table);
    descriptor::<3>(table);
    table.add_only("cublasLtMatmul", matmul as *const c_void);
    table.add_only("cublasLtMatrixTransform", transform as *const c_void);
    for stream in ["", "ForStream"] {
        table.add_only(
            &format!("cublasLtMatmulAlgoGetHeuristic{stream}"),
            heuristic as *const c_void,
        );
        table.add_only(
            &format!("cublasLtMatmulAlgoCheck{stream}"),
            check as *const c_void,
        );
    }
    table.add_only("cublasLtMatmulAlgoGetIds", ids as *const c_void);
    table.add_only("cublasLtMatmulAlgoInit", algorithm as *const c_void);
}
