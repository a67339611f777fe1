//! The CPU device, for providers of libraries on it: what memory is there, and work on a stream.

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use gvirtus_wire::api::types::error::{ERROR_ILLEGAL_ADDRESS, ERROR_LAUNCH_FAILED, SUCCESS};

use crate::host::Host;

/// The functions of the CPU device that are needed here.
struct Driver {
    accessible: unsafe extern "C" fn(i32, u64, u64) -> bool,
    current_device: unsafe extern "C" fn(*mut i32) -> i32,
    launch:
        unsafe extern "C" fn(usize, unsafe extern "C" fn(*mut c_void) -> i32, *mut c_void) -> i32,
    capturing: unsafe extern "C" fn(usize, *mut i32) -> i32,
}

static DRIVER: OnceLock<Option<Driver>> = OnceLock::new();

/// Finds the driver's functions.
pub fn start(host: &Host) {
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
                launch: std::mem::transmute::<
                    *const c_void,
                    unsafe extern "C" fn(
                        usize,
                        unsafe extern "C" fn(*mut c_void) -> i32,
                        *mut c_void,
                    ) -> i32,
                >(symbol(c"gvirtus_cpu_launch")?),
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

/// Work on device memory; false if an operand that only the work knows of is not there.
pub type Work = Box<dyn Fn(&Memory) -> bool + Send>;

/// What work asks whether memory is there.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    device: i32,
}

impl Memory {
    /// Whether `bytes` at `address` are device memory.
    pub fn has(self, address: u64, bytes: u64) -> bool {
        // SAFETY: the function takes any numbers.
        bytes == 0
            || driver().is_some_and(|d| unsafe { (d.accessible)(self.device, address, bytes) })
    }
}

struct Boxed {
    library: &'static str,
    work: Work,
    memory: Memory,
    operands: Vec<(u64, u64)>,
}

impl Boxed {
    /// A `CUresult`: what a kernel that touches such an operand, or that fails, does to its context.
    fn run(&self) -> i32 {
        let there = self
            .operands
            .iter()
            .all(|&(at, bytes)| self.memory.has(at, bytes));
        let done = catch_unwind(AssertUnwindSafe(|| there && (self.work)(&self.memory)));
        let (what, fault) = match done {
            Ok(true) => return SUCCESS,
            Ok(false) => ("an operand is not in device memory", ERROR_ILLEGAL_ADDRESS),
            Err(_) => ("a bug: it panicked", ERROR_LAUNCH_FAILED),
        };
        eprintln!("gvirtus-cpu: a call of {}: {what}", self.library);
        fault
    }
}

unsafe extern "C" fn run_once(work: *mut c_void) -> i32 {
    // SAFETY: `submit` hands over a box, once.
    unsafe { Box::from_raw(work.cast::<Boxed>()) }.run()
}

unsafe extern "C" fn run_again(work: *mut c_void) -> i32 {
    // SAFETY: `submit` hands over a box that is never freed: a graph may run it any number of times.
    unsafe { &*work.cast::<Boxed>() }.run()
}

/// The device of the calling thread's context.
#[must_use]
pub fn current_device() -> Option<i32> {
    let mut device = 0;
    // SAFETY: the address is that of a local.
    let status = unsafe { (driver()?.current_device)(&raw mut device) };
    (status == 0).then_some(device)
}

/// Sends work to a stream, if its operands (addresses and bytes) are there.
///
/// # Errors
/// Operands that are not there, or a stream that takes no work.
#[allow(
    clippy::result_unit_err,
    reason = "each library has its own status for it"
)]
pub fn submit(
    library: &'static str,
    device: i32,
    stream: usize,
    operands: Vec<(u64, u64)>,
    work: Work,
) -> Result<(), ()> {
    let driver = driver().ok_or(())?;
    let memory = Memory { device };
    if !operands.iter().all(|&(at, bytes)| memory.has(at, bytes)) {
        return Err(());
    }
    let mut capturing = 0;
    // SAFETY: the stream is the core's; the address that of a local.
    unsafe { (driver.capturing)(stream, &raw mut capturing) };
    let boxed = Box::into_raw(Box::new(Boxed {
        library,
        work,
        memory,
        operands,
    }));
    let run = if capturing == 0 { run_once } else { run_again };
    // SAFETY: the function gets the box that it takes.
    match unsafe { (driver.launch)(stream, run, boxed.cast()) } {
        0 => Ok(()),
        _ => Err(()),
    }
}
