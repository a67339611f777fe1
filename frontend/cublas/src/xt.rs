//! cuBLASXt: products of matrices in host memory. They are copied to the first of the selected devices, multiplied there by cuBLAS, and the result is copied back; a matrix has to fit.
//! See <https://docs.nvidia.com/cuda/cublas/#using-the-cublasxt-api>.
//!
//! What an operation is made of decides its last bits, and is as cuBLASXt has it: products of rank 2 are two of `syrkx` or `herkx`, the second with A and B in each other's place, and
//! `spmm` is a product of general matrices (found by comparing bits on an H100, for 24 and 300 rows, all types, both triangles and both sides).
//!
//! Several devices share no work, and nothing is done on the program's CPUs: what is said about that is kept, as is the size of tiles, since results do not depend on it.

use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use gvirtus_frontend_link::driver;
use gvirtus_wire::api::library::{CUBLAS, Function};
use gvirtus_wire::api::types::{CUDA_MEMCPY2D, error};

use crate::status::{
    ALLOC_FAILED, EXECUTION_FAILED, INTERNAL_ERROR, INVALID_VALUE, NOT_INITIALIZED, NOT_SUPPORTED,
    SUCCESS, of_driver,
};
use crate::{Status, compute, handle};

/// What a handle stands for.
#[derive(Debug, Clone)]
struct State {
    /// The selected devices; none before they are.
    devices: Vec<i32>,
    /// cuBLAS's handle and the context of the first device.
    blas: Option<(u64, usize)>,
    block: i32,
    pinning: i32,
}

static HANDLES: LazyLock<Mutex<HashMap<u64, State>>> = LazyLock::new(Mutex::default);
static NUMBERS: AtomicU64 = AtomicU64::new(1);
/// Handles look like no address of a program.
const TAG: u64 = 0x4358_0000_0000_0000;
/// The tiles' edge unless it is said.
const BLOCK: i32 = 1024;
/// What cuBLAS says of the most devices.
const MOST_BOARDS: i32 = 1024;
/// `cublasXtBlasOp_t`: products of general matrices are the first of twelve; `cublasXtOpType_t`: four types.
const OPERATIONS: i32 = 12;
const TYPES: i32 = 4;
/// `CU_MEMORYTYPE_DEVICE`, `CU_MEMORYTYPE_UNIFIED`.
const DEVICE: u32 = 2;
const UNIFIED: u32 = 4;

fn handles() -> MutexGuard<'static, HashMap<u64, State>> {
    HANDLES.lock().unwrap_or_else(PoisonError::into_inner)
}

fn with(
    handle: *mut c_void,
    missing: Status,
    f: impl FnOnce(&mut State) -> Result<(), Status>,
) -> Status {
    let mut handles = handles();
    let found = handles.get_mut(&(handle as u64)).ok_or(missing);
    found.and_then(f).err().unwrap_or(SUCCESS)
}

/// # Safety
/// `out` is null or writable.
unsafe fn put(out: *mut c_void, value: i32) -> Result<(), Status> {
    if out.is_null() {
        return Err(INVALID_VALUE);
    }
    // SAFETY: not null; by this function's contract.
    unsafe { out.cast::<i32>().write_unaligned(value) };
    Ok(())
}

/// <https://docs.nvidia.com/cuda/cublas/#cublasxtcreate>
///
/// # Safety
/// `out` is null or writable.
pub unsafe fn cublasXtCreate(out: *mut c_void) -> Status {
    if out.is_null() {
        return INVALID_VALUE;
    }
    let number = TAG | NUMBERS.fetch_add(1, Ordering::Relaxed);
    let state = State {
        devices: Vec::new(),
        blas: None,
        block: BLOCK,
        pinning: 0,
    };
    handles().insert(number, state);
    // SAFETY: not null; by this function's contract.
    unsafe { out.cast::<u64>().write_unaligned(number) };
    SUCCESS
}

/// <https://docs.nvidia.com/cuda/cublas/#cublasxtdestroy>
#[must_use]
pub fn cublasXtDestroy(handle: *mut c_void) -> Status {
    let Some(state) = handles().remove(&(handle as u64)) else {
        return INVALID_VALUE;
    };
    let ended = state
        .blas
        .map(|(blas, context)| in_context(context, || handle::destroy(blas as *mut c_void)));
    ended.and_then(Result::err).unwrap_or(SUCCESS)
}

/// <https://docs.nvidia.com/cuda/cublas/#cublasxtdeviceselect>: once for each handle.
///
/// # Safety
/// `devices` is null or has as many elements as are said.
pub unsafe fn cublasXtDeviceSelect(
    handle: *mut c_void,
    count: i32,
    devices: *mut c_void,
) -> Status {
    let Ok(number @ 1..) = usize::try_from(count) else {
        return INVALID_VALUE;
    };
    if devices.is_null() {
        return INVALID_VALUE;
    }
    // SAFETY: by this function's contract.
    let devices = unsafe { std::slice::from_raw_parts(devices.cast::<i32>(), number) };
    with(handle, INVALID_VALUE, |state| {
        if !state.devices.is_empty() {
            return Err(INVALID_VALUE);
        }
        let context = context_of(devices[0])?;
        let mut there = 0;
        // SAFETY: the address is that of a local.
        unsafe { (driver().ok_or(NOT_INITIALIZED)?.cuDeviceGetCount)(&raw mut there) };
        if devices.iter().any(|device| !(0..there).contains(device)) {
            return Err(INTERNAL_ERROR);
        }
        let mut blas = 0u64;
        // SAFETY: the address is that of a local.
        in_context(context, || unsafe {
            handle::create((&raw mut blas).cast())
        })?;
        state.devices = devices.to_vec();
        state.blas = Some((blas, context));
        Ok(())
    })
}

/// The primary context of a device.
fn context_of(device: i32) -> Result<usize, Status> {
    let driver = driver().ok_or(NOT_INITIALIZED)?;
    let mut context = std::ptr::null_mut();
    // SAFETY: the address is that of a local.
    let status = unsafe {
        match (driver.cuInit)(0) {
            error::SUCCESS => (driver.cuDevicePrimaryCtxRetain)(&raw mut context, device),
            failed => failed,
        }
    };
    match status {
        error::SUCCESS => Ok(context as usize),
        _ => Err(INTERNAL_ERROR),
    }
}

/// Does something while a context is the thread's current one.
fn in_context<T>(context: usize, f: impl FnOnce() -> Result<T, Status>) -> Result<T, Status> {
    let driver = driver().ok_or(NOT_INITIALIZED)?;
    // SAFETY: the context is one that the driver gave.
    match unsafe { (driver.cuCtxPushCurrent_v2)(context as *mut c_void) } {
        error::SUCCESS => {}
        failed => return Err(of_driver(failed)),
    }
    let result = f();
    let mut popped = std::ptr::null_mut();
    // SAFETY: the address is that of a local.
    unsafe { (driver.cuCtxPopCurrent_v2)(&raw mut popped) };
    result
}

/// How many boards devices are on: one for each, added to what is there. <https://docs.nvidia.com/cuda/cublas/#cublasxtdeviceselect>
///
/// # Safety
/// `devices` is null or has as many elements as are said, `out` is null or writable.
pub unsafe fn cublasXtGetNumBoards(count: i32, devices: *mut c_void, out: *mut c_void) -> Status {
    let Some(driver) = driver() else {
        return NOT_INITIALIZED;
    };
    if devices.is_null() || out.is_null() {
        return INVALID_VALUE;
    }
    let count = usize::try_from(count).unwrap_or(0);
    let mut there = 0;
    // SAFETY: the address is that of a local; the others by this function's contract.
    unsafe {
        if (driver.cuInit)(0) != error::SUCCESS {
            return NOT_INITIALIZED;
        }
        (driver.cuDeviceGetCount)(&raw mut there);
        let devices = std::slice::from_raw_parts(devices.cast::<i32>(), count);
        if devices.iter().any(|device| !(0..there).contains(device)) {
            return INVALID_VALUE;
        }
        let out = out.cast::<i32>();
        let before = out.read_unaligned();
        out.write_unaligned(before.wrapping_add(i32::try_from(count).unwrap_or(0)));
    }
    SUCCESS
}

/// # Safety
/// `out` is null or writable.
pub unsafe fn cublasXtMaxBoards(out: *mut c_void) -> Status {
    // SAFETY: by this function's contract.
    unsafe { put(out, MOST_BOARDS) }.err().unwrap_or(SUCCESS)
}

/// <https://docs.nvidia.com/cuda/cublas/#cublasxtsetblockdim>
#[must_use]
pub fn cublasXtSetBlockDim(handle: *mut c_void, block: i32) -> Status {
    with(handle, INVALID_VALUE, |state| {
        if block < 1 {
            return Err(INVALID_VALUE);
        }
        state.block = block;
        Ok(())
    })
}

/// <https://docs.nvidia.com/cuda/cublas/#cublasxtgetblockdim>
///
/// # Safety
/// `out` is null or writable.
pub unsafe fn cublasXtGetBlockDim(handle: *mut c_void, out: *mut c_void) -> Status {
    // SAFETY: by this function's contract.
    with(handle, INVALID_VALUE, |state| unsafe {
        put(out, state.block)
    })
}

/// <https://docs.nvidia.com/cuda/cublas/#cublasxtsetpinningmemmode>
#[must_use]
pub fn cublasXtSetPinningMemMode(handle: *mut c_void, mode: i32) -> Status {
    with(handle, INVALID_VALUE, |state| {
        if !(0..=1).contains(&mode) {
            return Err(INVALID_VALUE);
        }
        state.pinning = mode;
        Ok(())
    })
}

/// <https://docs.nvidia.com/cuda/cublas/#cublasxtgetpinningmemmode>
///
/// # Safety
/// `out` is null or writable.
pub unsafe fn cublasXtGetPinningMemMode(handle: *mut c_void, out: *mut c_void) -> Status {
    // SAFETY: by this function's contract.
    with(handle, INVALID_VALUE, |state| unsafe {
        put(out, state.pinning)
    })
}

/// Whether cuBLAS takes a wish about the CPU's part: of products of general matrices.
fn of_cpu(handle: *mut c_void, operation: i32, kind: i32) -> Status {
    with(handle, INVALID_VALUE, |_| match (operation, kind) {
        (0, 0..TYPES) => Ok(()),
        (1..OPERATIONS, 0..TYPES) => Err(NOT_SUPPORTED),
        _ => Err(INVALID_VALUE),
    })
}

/// Accepted; the device does all. <https://docs.nvidia.com/cuda/cublas/#cublasxtsetcpuratio>
#[must_use]
pub fn cublasXtSetCpuRatio(handle: *mut c_void, operation: i32, kind: i32, _ratio: f32) -> Status {
    of_cpu(handle, operation, kind)
}

/// Accepted, and never called. <https://docs.nvidia.com/cuda/cublas/#cublasxtsetcpuroutine>
#[must_use]
pub fn cublasXtSetCpuRoutine(
    handle: *mut c_void,
    operation: i32,
    kind: i32,
    _routine: *mut c_void,
) -> Status {
    of_cpu(handle, operation, kind)
}

/// A matrix on the host, and where its copy is.
#[derive(Debug)]
struct Matrix {
    host: u64,
    rows: u64,
    columns: u64,
    leading: u64,
    element: u64,
    copy: u64,
}

impl Matrix {
    fn bytes(&self) -> Option<usize> {
        let elements = self.rows.checked_mul(self.columns)?;
        usize::try_from(elements.checked_mul(self.element)?).ok()
    }

    /// Copies all of it there or back.
    fn transfer(&self, back: bool) -> Result<(), Status> {
        let size = |n: u64| usize::try_from(n).map_err(|_| INVALID_VALUE);
        let width = size(self.rows * self.element)?;
        let pitch = size(
            self.leading
                .checked_mul(self.element)
                .ok_or(INVALID_VALUE)?,
        )?;
        let mut plan = CUDA_MEMCPY2D {
            srcMemoryType: UNIFIED,
            srcPitch: pitch,
            srcDevice: self.host,
            dstMemoryType: DEVICE,
            dstPitch: width,
            dstDevice: self.copy,
            WidthInBytes: width,
            Height: size(self.columns)?,
            srcXInBytes: 0,
            srcY: 0,
            srcHost: std::ptr::null_mut(),
            srcArray: std::ptr::null_mut(),
            dstXInBytes: 0,
            dstY: 0,
            dstHost: std::ptr::null_mut(),
            dstArray: std::ptr::null_mut(),
        };
        if back {
            std::mem::swap(&mut plan.srcMemoryType, &mut plan.dstMemoryType);
            std::mem::swap(&mut plan.srcPitch, &mut plan.dstPitch);
            std::mem::swap(&mut plan.srcDevice, &mut plan.dstDevice);
        }
        let driver = driver().ok_or(NOT_INITIALIZED)?;
        // SAFETY: the plan is live, and the program's matrix as large as it says.
        match unsafe { (driver.cuMemcpy2DUnaligned_v2)(&raw const plan) } {
            error::SUCCESS => Ok(()),
            _ => Err(EXECUTION_FAILED),
        }
    }
}

/// One call: what is asked of cuBLAS, with the places of matrices in its arguments.
struct Product {
    function: &'static Function,
    arguments: Vec<u64>,
    /// Place of the matrix among the arguments; its leading dimension is behind it.
    matrices: Vec<(usize, Matrix)>,
    /// The factors of the second of two products.
    second: Option<Factors>,
}

/// Factors of a product, of a type of at most 16 bytes.
struct Factors {
    alpha: [u8; 16],
    beta: [u8; 16],
}

/// Places of arguments of products of rank 2, behind which are the leading dimensions of matrices.
const ALPHA: usize = 5;
const A: usize = 6;
const B: usize = 8;
const BETA: usize = 10;

impl Factors {
    /// Those of a product of rank 2's second half: alpha, which is conjugate for Hermitian matrices, and one.
    ///
    /// # Safety
    /// `alpha` leads to a number of the type.
    unsafe fn second(letter: &str, operation: &str, alpha: u64) -> Result<Self, Status> {
        if alpha == 0 {
            return Err(INVALID_VALUE);
        }
        let (size, real) = match letter {
            "S" => (4, 4),
            "D" => (8, 8),
            "C" => (8, 4),
            _ => (16, 8),
        };
        let mut factors = Self {
            alpha: [0; 16],
            beta: [0; 16],
        };
        // SAFETY: by this function's contract.
        unsafe {
            std::ptr::copy_nonoverlapping(alpha as *const u8, factors.alpha.as_mut_ptr(), size);
        }
        if operation == "her2k" {
            // The sign of the imaginary part is the highest bit of its last byte.
            factors.alpha[size - 1] ^= 0x80;
        }
        match real {
            4 => factors.beta[..4].copy_from_slice(&1f32.to_ne_bytes()),
            _ => factors.beta[..8].copy_from_slice(&1f64.to_ne_bytes()),
        }
        Ok(factors)
    }
}

fn declared(name: &str) -> Option<&'static Function> {
    CUBLAS.iter().find(|function| function.name == name)
}

/// Executes `cublasXt…` of a type.
///
/// # Safety
/// The arguments are those of the function's declaration, and its pointers lead to what cuBLAS documents.
pub unsafe fn on_host(function: &Function, arguments: &[u64]) -> Status {
    // SAFETY: by this function's contract.
    unsafe { try_on_host(function, arguments) }
        .err()
        .unwrap_or(SUCCESS)
}

/// # Safety
/// As [`on_host`].
unsafe fn try_on_host(function: &Function, arguments: &[u64]) -> Result<(), Status> {
    let blas = {
        let handles = handles();
        let found = arguments.first().and_then(|handle| handles.get(handle));
        found.ok_or(NOT_INITIALIZED)?.blas
    };
    let name = function.name.strip_prefix("cublasXt").unwrap_or_default();
    let (letter, operation) = name.split_at_checked(1).ok_or(INTERNAL_ERROR)?;
    let element = match letter {
        "S" => 4,
        "D" | "C" => 8,
        _ => 16,
    };
    let value = |name: &str| {
        let at = function.parameters.iter().position(|p| p.name == name);
        at.and_then(|at| arguments.get(at)).copied()
    };
    // Enumerations of which a value is not there are refused, and so is what cannot be a size.
    for (name, most) in [
        ("transa", 2),
        ("transb", 2),
        ("trans", 2),
        ("side", 1),
        ("uplo", 1),
        ("diag", 1),
    ] {
        if value(name).is_some_and(|value| value as u32 > most) {
            return Err(INVALID_VALUE);
        }
    }
    let extent = |name: &str| value(name).unwrap_or(0);
    if ["m", "n", "k"]
        .iter()
        .any(|name| extent(name) > i64::MAX.unsigned_abs())
    {
        return Err(INVALID_VALUE);
    }
    let (m, n, k) = (extent("m"), extent("n"), extent("k"));
    if operation == "spmm" {
        // SAFETY: by this function's contract.
        return unsafe { packed(letter, element, arguments) };
    }
    let turned = |name: &str, (rows, columns)| {
        if value(name).unwrap_or(0) == 0 {
            (rows, columns)
        } else {
            (columns, rows)
        }
    };
    let square = if extent("side") == 0 { m } else { n };
    let shape = |matrix: &str| match (operation, matrix) {
        ("gemm", "A") => turned("transa", (m, k)),
        ("gemm", "B") => turned("transb", (k, n)),
        ("symm" | "hemm" | "trsm" | "trmm", "A") => (square, square),
        ("symm" | "hemm" | "trsm" | "trmm" | "gemm", _) => (m, n),
        (_, "C") => (n, n),
        _ => turned("trans", (n, k)),
    };
    let mut product = Product {
        function: product_of(letter, operation).ok_or(NOT_SUPPORTED)?,
        arguments: arguments.to_vec(),
        matrices: Vec::new(),
        second: None,
    };
    for (at, parameter) in function.parameters.iter().enumerate() {
        if !matches!(parameter.name, "A" | "B" | "C") {
            continue;
        }
        let (rows, columns) = shape(parameter.name);
        let leading = *arguments.get(at + 1).ok_or(INTERNAL_ERROR)?;
        if leading < rows.max(1) {
            return Err(INVALID_VALUE);
        }
        let host = arguments[at];
        product.matrices.push((
            at,
            Matrix {
                host,
                rows,
                columns,
                leading,
                element,
                copy: 0,
            },
        ));
    }
    if m == 0 && value("m").is_some() || n == 0 {
        return Ok(());
    }
    let (blas, context) = blas.ok_or(NOT_INITIALIZED)?;
    product.arguments[0] = blas;
    if operation.ends_with("r2k") {
        // SAFETY: by this function's contract.
        product.second =
            Some(unsafe { Factors::second(letter, operation, product.arguments[ALPHA]) }?);
    }
    in_context(context, || {
        // SAFETY: by this function's contract.
        let result = unsafe { product.run() };
        product.release();
        result
    })
}

/// `spmm`: the triangle of a symmetric matrix, column behind column, becomes a whole one, and the product is `gemm`'s.
///
/// # Safety
/// As [`on_host`].
unsafe fn packed(letter: &str, element: u64, arguments: &[u64]) -> Result<(), Status> {
    let gemm = declared(&format!("cublasXt{letter}gemm")).ok_or(NOT_SUPPORTED)?;
    let &[
        handle,
        side,
        uplo,
        m,
        n,
        alpha,
        triangle,
        b,
        ldb,
        beta,
        c,
        ldc,
    ] = arguments
    else {
        return Err(INTERNAL_ERROR);
    };
    let edge = usize::try_from(if side == 0 { m } else { n }).map_err(|_| INVALID_VALUE)?;
    let element = usize::try_from(element).map_err(|_| INTERNAL_ERROR)?;
    let bytes = edge
        .checked_mul(edge)
        .and_then(|elements| elements.checked_mul(element))
        .ok_or(ALLOC_FAILED)?;
    let mut whole: Vec<u8> = Vec::new();
    if m > 0 && n > 0 {
        if triangle == 0 {
            return Err(INVALID_VALUE);
        }
        whole.try_reserve_exact(bytes).map_err(|_| ALLOC_FAILED)?;
        whole.resize(bytes, 0);
        let mut from = triangle as *const u8;
        for column in 0..edge {
            // Lower: from the diagonal on. Upper: to the diagonal.
            let (first, count) = match uplo {
                0 => (column, edge - column),
                _ => (0, column + 1),
            };
            let at = (column * edge + first) * element;
            // SAFETY: the program's triangle has `edge * (edge + 1) / 2` elements.
            unsafe {
                whole[at..at + count * element]
                    .copy_from_slice(std::slice::from_raw_parts(from, count * element));
                from = from.add(count * element);
            }
            for row in first..first + count {
                let (here, there) = (column * edge + row, row * edge + column);
                whole.copy_within(here * element..(here + 1) * element, there * element);
            }
        }
    }
    let whole = [whole.as_ptr() as u64, edge.max(1) as u64];
    let ([first, first_leading], [second, second_leading]) = match side {
        0 => (whole, [b, ldb]),
        _ => ([b, ldb], whole),
    };
    let arguments = [
        handle,
        0,
        0,
        m,
        n,
        edge as u64,
        alpha,
        first,
        first_leading,
        second,
        second_leading,
        beta,
        c,
        ldc,
    ];
    // SAFETY: by this function's contract; the matrix is there until the call is over.
    unsafe { try_on_host(gemm, &arguments) }
}

/// cuBLAS's function for an operation of a type.
fn product_of(letter: &str, operation: &str) -> Option<&'static Function> {
    let operation = match operation {
        "syr2k" => "syrkx",
        "her2k" => "herkx",
        other => other,
    };
    let version = if operation.ends_with("kx") { "" } else { "_v2" };
    declared(&format!("cublas{letter}{operation}{version}_64"))
}

impl Product {
    /// # Safety
    /// As [`on_host`].
    unsafe fn run(&mut self) -> Result<(), Status> {
        let driver = driver().ok_or(NOT_INITIALIZED)?;
        for (at, matrix) in &mut self.matrices {
            let bytes = matrix.bytes().ok_or(ALLOC_FAILED)?;
            if bytes == 0 {
                continue;
            }
            // SAFETY: the address is that of a field.
            match unsafe { (driver.cuMemAlloc_v2)(&raw mut matrix.copy, bytes) } {
                error::SUCCESS => {}
                _ => return Err(ALLOC_FAILED),
            }
            matrix.transfer(false)?;
            self.arguments[*at] = matrix.copy;
            self.arguments[*at + 1] = matrix.rows;
        }
        // SAFETY: the arguments are those of the function, its scalars on the host are the program's.
        match unsafe { compute::compute(self.function, &self.arguments) } {
            SUCCESS => {}
            failed => return Err(failed),
        }
        if let Some(factors) = &self.second {
            let mut arguments = self.arguments.clone();
            arguments[ALPHA] = factors.alpha.as_ptr() as u64;
            arguments[BETA] = factors.beta.as_ptr() as u64;
            for word in 0..2 {
                arguments.swap(A + word, B + word);
            }
            // SAFETY: as above; the factors are live.
            match unsafe { compute::compute(self.function, &arguments) } {
                SUCCESS => {}
                failed => return Err(failed),
            }
        }
        // The last matrix is the result.
        self.matrices
            .last()
            .map_or(Ok(()), |(_, result)| result.transfer(true))
    }

    fn release(&self) {
        let Some(driver) = driver() else { return };
        for (_, matrix) in self.matrices.iter().filter(|(_, matrix)| matrix.copy != 0) {
            // SAFETY: allocated by `run`.
            unsafe { (driver.cuMemFree_v2)(matrix.copy) };
        }
    }
}
