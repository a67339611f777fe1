//! `cublasSetVector`, `cublasSetMatrix` and their counterparts: strided copies, over the driver's. See <https://docs.nvidia.com/cuda/cublas/#cublassetmatrix>.

use std::cell::Cell;
use std::ffi::c_void;

use gvirtus_frontend_link::driver;
use gvirtus_wire::api::types::{CUDA_MEMCPY2D, error};

use crate::Status;
use crate::getters::ready;
use crate::status::{INVALID_VALUE, MAPPING_ERROR, NOT_INITIALIZED, SUCCESS};

/// `CU_MEMORYTYPE_HOST`, `CU_MEMORYTYPE_DEVICE`.
const HOST: u32 = 1;
const DEVICE: u32 = 2;

thread_local! {
    /// cuBLAS leaves a copy's failure where the next `cublasSetMatrixAsync` of the thread finds it.
    static FAILED: Cell<bool> = const { Cell::new(false) };
}

/// A copy that failed.
fn failed() -> Status {
    FAILED.set(true);
    MAPPING_ERROR
}

/// What a copy comes to that also tells of an earlier one's failure.
fn with_earlier(status: Status) -> Status {
    if FAILED.take() { MAPPING_ERROR } else { status }
}

/// One end of a copy.
struct End {
    address: *mut c_void,
    memory: u32,
    /// Elements from row to row.
    step: i64,
}

/// Copies `rows` rows of `width` elements. On a stream, or complete when this returns.
fn copy(
    from: &End,
    to: &End,
    (width, rows, element): (i64, i64, i64),
    stream: Option<*mut c_void>,
) -> Status {
    if width < 0 || rows < 0 || element <= 0 || from.step <= 0 || to.step <= 0 {
        return INVALID_VALUE;
    }
    if width == 0 || rows == 0 {
        return SUCCESS;
    }
    let bytes =
        |elements: i64| -> Option<usize> { usize::try_from(elements.checked_mul(element)?).ok() };
    let (Some(width), Some(from_pitch), Some(to_pitch), Ok(height)) = (
        bytes(width),
        bytes(from.step),
        bytes(to.step),
        usize::try_from(rows),
    ) else {
        return INVALID_VALUE;
    };
    // The copy itself fails.
    if width > from_pitch || width > to_pitch {
        return failed();
    }
    if let Err(status) = ready() {
        return status;
    }
    let Some(driver) = driver() else {
        return NOT_INITIALIZED;
    };
    let mut plan = CUDA_MEMCPY2D {
        srcMemoryType: from.memory,
        srcPitch: from_pitch,
        dstMemoryType: to.memory,
        dstPitch: to_pitch,
        WidthInBytes: width,
        Height: height,
        srcXInBytes: 0,
        srcY: 0,
        srcHost: std::ptr::null_mut(),
        srcDevice: 0,
        srcArray: std::ptr::null_mut(),
        dstXInBytes: 0,
        dstY: 0,
        dstHost: std::ptr::null_mut(),
        dstDevice: 0,
        dstArray: std::ptr::null_mut(),
    };
    if from.memory == HOST {
        plan.srcHost = from.address;
        plan.dstDevice = to.address as u64;
    } else {
        plan.srcDevice = from.address as u64;
        plan.dstHost = to.address;
    }
    // SAFETY: the plan is live, and its host memory is the program's, as large as it says.
    let status = unsafe {
        match stream {
            None => (driver.cuMemcpy2DUnaligned_v2)(&raw const plan),
            Some(stream) => (driver.cuMemcpy2DAsync_v2)(&raw const plan, stream),
        }
    };
    match status {
        error::SUCCESS => SUCCESS,
        _ => failed(),
    }
}

macro_rules! copies { ($($int:tt: $set_vector:ident $get_vector:ident $set_matrix:ident $get_matrix:ident $set_vector_async:ident $get_vector_async:ident $set_matrix_async:ident $get_matrix_async:ident;)*) => { $(
    copies! { @vector $int HOST DEVICE $set_vector $set_vector_async }
    copies! { @vector $int DEVICE HOST $get_vector $get_vector_async }
    copies! { @matrix $int HOST DEVICE $set_matrix $set_matrix_async }
    copies! { @matrix $int DEVICE HOST $get_matrix $get_matrix_async }
)* };
(@vector $int:tt $from:ident $to:ident $sync:ident $async:ident) => {
    /// Elements of a vector, each `incx` (`incy`) after the one before.
    #[must_use]
    pub fn $sync(n: $int, element: $int, x: *mut c_void, incx: $int, y: *mut c_void, incy: $int) -> Status {
        copies! { @strided $from $to x incx y incy n element None }
    }
    /// The same on a stream.
    #[must_use]
    pub fn $async(n: $int, element: $int, x: *mut c_void, incx: $int, y: *mut c_void, incy: $int, stream: *mut c_void) -> Status {
        copies! { @strided $from $to x incx y incy n element Some(stream) }
    }
};
(@strided $from:ident $to:ident $x:ident $incx:ident $y:ident $incy:ident $n:ident $element:ident $stream:expr) => {{
    let (n, incx, incy, element) = (i64::from($n), i64::from($incx), i64::from($incy), i64::from($element));
    if n < 0 && element > 0 && incx > 0 && incy > 0 {
        // cuBLAS leaves the number to the copy.
        return failed();
    }
    // Contiguous vectors are one row.
    let (shape, incx, incy) = if incx == 1 && incy == 1 { ((n, 1, element), n.max(1), n.max(1)) } else { ((1, n, element), incx, incy) };
    copy(&End { address: $x, memory: $from, step: incx }, &End { address: $y, memory: $to, step: incy }, shape, $stream)
}};
(@matrix $int:tt $from:ident $to:ident $sync:ident $async:ident) => {
    /// Columns of `rows` elements, `lda` (`ldb`) elements apart.
    #[must_use]
    pub fn $sync(rows: $int, cols: $int, element: $int, a: *mut c_void, lda: $int, b: *mut c_void, ldb: $int) -> Status {
        copy(
            &End { address: a, memory: $from, step: i64::from(lda) },
            &End { address: b, memory: $to, step: i64::from(ldb) },
            (i64::from(rows), i64::from(cols), i64::from(element)),
            None,
        )
    }
    /// The same on a stream.
    #[must_use]
    #[allow(clippy::too_many_arguments, reason = "cuBLAS's")]
    pub fn $async(rows: $int, cols: $int, element: $int, a: *mut c_void, lda: $int, b: *mut c_void, ldb: $int, stream: *mut c_void) -> Status {
        let status = copy(
            &End { address: a, memory: $from, step: i64::from(lda) },
            &End { address: b, memory: $to, step: i64::from(ldb) },
            (i64::from(rows), i64::from(cols), i64::from(element)),
            Some(stream),
        );
        // What it does not try to copy tells nothing.
        let tried = status != INVALID_VALUE && rows > 0 && cols > 0;
        if $from == HOST && tried { with_earlier(status) } else { status }
    }
} }
copies! {
    i32: cublasSetVector cublasGetVector cublasSetMatrix cublasGetMatrix cublasSetVectorAsync cublasGetVectorAsync cublasSetMatrixAsync cublasGetMatrixAsync;
    i64: cublasSetVector_64 cublasGetVector_64 cublasSetMatrix_64 cublasGetMatrix_64 cublasSetVectorAsync_64 cublasGetVectorAsync_64 cublasSetMatrixAsync_64 cublasGetMatrixAsync_64;
}
