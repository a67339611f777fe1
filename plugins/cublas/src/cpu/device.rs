//! Handles, operands in device memory, and the way to the stream.

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

use gvirtus_plugin_library::host::Host;

use super::scalar::Scalar;
use super::{EXECUTION_FAILED, INVALID_VALUE, NOT_SUPPORTED, SUCCESS, Table};

/// The functions of the CPU device that are needed here.
struct Driver {
    accessible: unsafe extern "C" fn(i32, u64, u64) -> bool,
    current_device: unsafe extern "C" fn(*mut i32) -> i32,
    launch_host: unsafe extern "C" fn(usize, unsafe extern "C" fn(*mut c_void), *mut c_void) -> i32,
    capturing: unsafe extern "C" fn(usize, *mut i32) -> i32,
}

static DRIVER: OnceLock<Option<Driver>> = OnceLock::new();

/// Finds the driver's functions.
pub(super) fn start(host: &Host) {
    DRIVER.get_or_init(|| {
        let symbol = |name| {
            let address = host.driver_symbol(name);
            (!address.is_null()).then_some(address)
        };
        // SAFETY: the CPU device's functions have these signatures.
        unsafe {
            Some(Driver {
                accessible: std::mem::transmute::<
                    *const c_void,
                    unsafe extern "C" fn(i32, u64, u64) -> bool,
                >(symbol(c"gvirtus_cpu_accessible")?),
                current_device: std::mem::transmute::<
                    *const c_void,
                    unsafe extern "C" fn(*mut i32) -> i32,
                >(symbol(c"cuCtxGetDevice")?),
                launch_host: std::mem::transmute::<
                    *const c_void,
                    unsafe extern "C" fn(
                        usize,
                        unsafe extern "C" fn(*mut c_void),
                        *mut c_void,
                    ) -> i32,
                >(symbol(c"cuLaunchHostFunc")?),
                capturing: std::mem::transmute::<
                    *const c_void,
                    unsafe extern "C" fn(usize, *mut i32) -> i32,
                >(symbol(c"cuStreamIsCapturing")?),
            })
        }
    });
}

fn driver() -> Option<&'static Driver> {
    DRIVER.get()?.as_ref()
}

/// A handle. Its address is what the plugin keeps; no client names it.
pub(super) struct Handle {
    stream: AtomicUsize,
    pointer_mode: AtomicI32,
    device: i32,
}

/// Work on device memory; false if an operand that only the work knows of is not there.
pub(super) type Work = Box<dyn Fn(&Memory) -> bool + Send>;

/// What work asks whether memory is there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Memory {
    device: i32,
}

impl Memory {
    /// Whether `bytes` at `address` are device memory.
    pub(super) fn has(self, address: u64, bytes: u64) -> bool {
        // SAFETY: the function takes any numbers.
        bytes == 0
            || driver().is_some_and(|d| unsafe { (d.accessible)(self.device, address, bytes) })
    }
}

struct Boxed {
    work: Work,
    memory: Memory,
    operands: Vec<(u64, u64)>,
}

impl Boxed {
    fn run(&self) {
        let there = self
            .operands
            .iter()
            .all(|&(at, bytes)| self.memory.has(at, bytes));
        let done = catch_unwind(AssertUnwindSafe(|| there && (self.work)(&self.memory)));
        if !matches!(done, Ok(true)) {
            eprintln!(
                "gvirtus-cpu: a cuBLAS call's operand is not in device memory: the call did nothing"
            );
        }
    }
}

unsafe extern "C" fn run_once(work: *mut c_void) {
    // SAFETY: `submit` hands over a box, once.
    unsafe { Box::from_raw(work.cast::<Boxed>()) }.run();
}

unsafe extern "C" fn run_again(work: *mut c_void) {
    // SAFETY: `submit` hands over a box that is never freed: a graph may run it any number of times.
    unsafe { &*work.cast::<Boxed>() }.run();
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
        let Some(driver) = driver() else {
            return EXECUTION_FAILED;
        };
        let memory = Memory {
            device: self.device,
        };
        if operands.wrong {
            return INVALID_VALUE;
        }
        if !operands
            .list
            .iter()
            .all(|&(at, bytes)| memory.has(at, bytes))
        {
            return EXECUTION_FAILED;
        }
        let stream = self.stream.load(Ordering::Relaxed);
        let mut capturing = 0;
        // SAFETY: the stream is the core's; the address that of a local.
        unsafe { (driver.capturing)(stream, &raw mut capturing) };
        let boxed = Box::into_raw(Box::new(Boxed {
            work,
            memory,
            operands: operands.list,
        }));
        let run = if capturing == 0 { run_once } else { run_again };
        // SAFETY: the function gets the box that it takes.
        match unsafe { (driver.launch_host)(stream, run, boxed.cast()) } {
            0 => SUCCESS,
            _ => EXECUTION_FAILED,
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
    let mut device = 0;
    // SAFETY: the address is that of a local.
    let found = driver().is_some_and(|d| unsafe { (d.current_device)(&raw mut device) } == 0);
    if !found {
        return 1;
    }
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
extern "C" fn get_property(which: i32, out: *mut i32) -> i32 {
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

extern "C" fn refuse() -> i32 {
    NOT_SUPPORTED
}

pub(super) fn register(table: &mut Table) {
    table.add_only("cublasCreate_v2", create as *const c_void);
    table.add_only("cublasDestroy_v2", destroy as *const c_void);
    table.add_only("cublasSetStream_v2", set_stream as *const c_void);
    table.add_only("cublasSetPointerMode_v2", set_pointer_mode as *const c_void);
    table.add_only("cublasGetProperty", get_property as *const c_void);
    for name in ["AtomicsMode", "MathMode", "Workspace_v2", "SmCountTarget"] {
        table.add_only(&format!("cublasSet{name}"), accept as *const c_void);
    }
    table.add_only("cublasSetEmulationStrategy", refuse as *const c_void);
}
