//! Handles and operands in device memory.

use std::ffi::c_void;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

use gvirtus_plugin_library::cpu;
pub(super) use gvirtus_plugin_library::cpu::{Memory, Work};

use super::scalar::Scalar;
use super::{EXECUTION_FAILED, INVALID_VALUE, SUCCESS, Table};

/// A handle. Its address is what the plugin keeps; no client names it.
pub(super) struct Handle {
    stream: AtomicUsize,
    pointer_mode: AtomicI32,
    device: i32,
}

impl Handle {
    /// Whether scalars are on the host.
    pub(super) fn scalars_on_host(&self) -> bool {
        self.pointer_mode.load(Ordering::Relaxed) == 0
    }

    /// A scalar as work takes it: read now on the host, then on the device.
    pub(super) fn scalar<T: Scalar>(&self, at: *const T, operands: &mut Operands) -> Value<T> {
        if at.is_null() {
            operands.wrong = true;
            return Value::Now(T::ZERO);
        }
        if self.scalars_on_host() {
            // SAFETY: the plugin passes what the declaration says.
            Value::Now(unsafe { at.read_unaligned() })
        } else {
            operands.add(at as u64, size_of::<T>() as u64);
            Value::Later(at as usize, std::marker::PhantomData)
        }
    }

    /// Sends work to the handle's stream, if its operands are there.
    pub(super) fn submit(&self, operands: Operands, work: Work) -> i32 {
        if operands.wrong {
            return INVALID_VALUE;
        }
        let stream = self.stream.load(Ordering::Relaxed);
        match cpu::submit("cuBLAS", self.device, stream, operands.list, work) {
            Ok(()) => SUCCESS,
            Err(()) => EXECUTION_FAILED,
        }
    }
}

/// A scalar.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value<T> {
    Now(T),
    Later(usize, std::marker::PhantomData<T>),
}

impl<T: Scalar> Value<T> {
    /// Its value when the work runs.
    pub(super) fn get(self) -> T {
        match self {
            Self::Now(value) => value,
            // SAFETY: an operand of the work, which is there when it runs.
            Self::Later(at, _) => unsafe { (at as *const T).read_unaligned() },
        }
    }
}

/// What a call uses of device memory.
#[derive(Debug, Default)]
pub(super) struct Operands {
    list: Vec<(u64, u64)>,
    pub(super) wrong: bool,
}

impl Operands {
    pub(super) fn add(&mut self, address: u64, bytes: u64) {
        self.list.push((address, bytes));
    }

    /// A vector of `n` elements, `step` apart.
    pub(super) fn vector<T: Scalar>(&mut self, at: *mut T, n: i64, step: i64) -> Vector<T> {
        if n > 0 {
            self.add(at as u64, bytes::<T>(n, step.unsigned_abs(), 1));
        }
        Vector {
            at: at as usize,
            n: n.max(0) as usize,
            step: step as isize,
            of: std::marker::PhantomData,
        }
    }

    /// A matrix in columns, `leading` elements apart.
    pub(super) fn matrix<T: Scalar>(
        &mut self,
        at: *mut T,
        rows: i64,
        columns: i64,
        leading: i64,
    ) -> Matrix<T> {
        self.wrong |= rows < 0 || columns < 0 || leading < rows.max(1);
        if rows > 0 && columns > 0 {
            self.add(at as u64, bytes::<T>(columns, leading.unsigned_abs(), rows));
        }
        Matrix::new(at as usize, leading)
    }
}

/// Bytes of `count` runs of `run` elements that begin `step` elements apart.
pub(super) fn bytes<T>(count: i64, step: u64, run: i64) -> u64 {
    let elements = u128::from(count.saturating_sub(1).unsigned_abs()) * u128::from(step)
        + u128::from(run.unsigned_abs());
    u64::try_from(elements * size_of::<T>() as u128).unwrap_or(u64::MAX)
}

/// A vector. What is read and written lies inside the operand that it was made with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Vector<T> {
    at: usize,
    pub(super) n: usize,
    step: isize,
    of: std::marker::PhantomData<T>,
}

impl<T: Scalar> Vector<T> {
    fn pointer(&self, i: usize) -> *mut T {
        // A negative step begins at the end.
        let first = if self.step < 0 {
            (1 - self.n as isize) * self.step
        } else {
            0
        };
        (self.at as *mut T).wrapping_offset(first + i as isize * self.step)
    }

    pub(super) fn get(&self, i: usize) -> T {
        // SAFETY: element `i` of an operand that is there.
        unsafe { self.pointer(i).read_unaligned() }
    }

    pub(super) fn set(&self, i: usize, value: T) {
        // SAFETY: as above.
        unsafe { self.pointer(i).write_unaligned(value) }
    }

    pub(super) fn values(&self) -> Vec<T> {
        (0..self.n).map(|i| self.get(i)).collect()
    }
}

/// A matrix in columns.
#[derive(Debug, Clone, Copy)]
pub(super) struct Matrix<T> {
    pub(super) at: usize,
    pub(super) leading: isize,
    of: std::marker::PhantomData<T>,
}

impl<T: Scalar> Matrix<T> {
    /// A matrix whose memory has been checked.
    pub(super) fn new(at: usize, leading: i64) -> Self {
        Self {
            at,
            leading: leading as isize,
            of: std::marker::PhantomData,
        }
    }

    fn pointer(&self, i: usize, j: usize) -> *mut T {
        (self.at as *mut T).wrapping_offset(i as isize + j as isize * self.leading)
    }

    pub(super) fn get(&self, i: usize, j: usize) -> T {
        // SAFETY: inside an operand that is there.
        unsafe { self.pointer(i, j).read_unaligned() }
    }

    pub(super) fn set(&self, i: usize, j: usize, value: T) {
        // SAFETY: as above.
        unsafe { self.pointer(i, j).write_unaligned(value) }
    }
}

extern "C" fn create(out: *mut *mut Handle) -> i32 {
    let Some(device) = cpu::current_device() else {
        return 1;
    };
    let handle = Box::new(Handle {
        stream: AtomicUsize::new(0),
        pointer_mode: AtomicI32::new(0),
        device,
    });
    // SAFETY: the plugin passes the address of a local.
    unsafe { out.write(Box::into_raw(handle)) };
    SUCCESS
}

extern "C" fn destroy(handle: *mut Handle) -> i32 {
    // SAFETY: the plugin gives back what it got from `create`, once. Work does not refer to it.
    drop(unsafe { Box::from_raw(handle) });
    SUCCESS
}

extern "C" fn set_stream(handle: &Handle, stream: usize) -> i32 {
    handle.stream.store(stream, Ordering::Relaxed);
    SUCCESS
}

extern "C" fn set_pointer_mode(handle: &Handle, mode: i32) -> i32 {
    handle.pointer_mode.store(mode, Ordering::Relaxed);
    SUCCESS
}

/// The provider answers as the version whose declarations it was written for.
pub(super) extern "C" fn get_property(which: i32, out: *mut i32) -> i32 {
    let Some(value) = usize::try_from(which)
        .ok()
        .and_then(|i| [13, 1, 0].get(i).copied())
    else {
        return INVALID_VALUE;
    };
    // SAFETY: the plugin passes the address of a local.
    unsafe { out.write(value) };
    SUCCESS
}

/// Settings that make no difference here.
extern "C" fn accept(_: &Handle, _: u64) -> i32 {
    SUCCESS
}

pub(super) fn register(table: &mut Table) {
    table.add_only("cublasCreate_v2", create as *const c_void);
    table.add_only("cublasDestroy_v2", destroy as *const c_void);
    table.add_only("cublasSetStream_v2", set_stream as *const c_void);
    table.add_only("cublasSetPointerMode_v2", set_pointer_mode as *const c_void);
    table.add_only("cublasGetProperty", get_property as *const c_void);
    for name in [
        "AtomicsMode",
        "MathMode",
        "Workspace_v2",
        "SmCountTarget",
        "EnvironmentMode",
        // Products are exact to the last bits of their type.
        "EmulationStrategy",
        "EmulationSpecialValuesSupport",
        "FixedPointEmulationMantissaControl",
        "FixedPointEmulationMaxMantissaBitCount",
        "FixedPointEmulationMantissaBitOffset",
        "FixedPointEmulationMantissaBitCountPointer",
    ] {
        table.add_only(&format!("cublasSet{name}"), accept as *const c_void);
    }
}
