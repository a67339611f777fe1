//! Plans: one of cuFFT each, and device memory for its data.

use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, RwLock};

use gvirtus_cufft_core::exports::{compute, cufftCreate, cufftDestroy};
use gvirtus_frontend_link::start::ensure_context;
use gvirtus_frontend_link::{Driver, driver};
use gvirtus_wire::api::library::{CUFFT, Function};

use crate::layout::Spread;

pub use gvirtus_cufft_core::plan::set_major as set_major_of_cufft;

/// cuFFT's plans of this library are numbered from here on: those of `libcufft`, in the same process, from 1.
const FIRST: u32 = 1 << 24;

/// Says which major version the exports are of.
pub fn set_major(major: u32) {
    set_major_of_cufft(major);
    gvirtus_cufft_core::plan::number_from(FIRST);
}

/// What a plan transforms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Complex to complex, with FFTW's sign.
    Complex(i32),
    /// Real to complex.
    Forward,
    /// Complex to real.
    Backward,
}

/// What a plan is made of.
#[derive(Debug)]
pub struct Request {
    /// What it transforms.
    pub kind: Kind,
    /// In double precision.
    pub double: bool,
    /// Extents of a transform.
    pub n: Vec<i64>,
    /// How many there are.
    pub batch: i64,
    /// How the input is spread; without it, as FFTW does by itself.
    pub input: Option<Spread>,
    /// How the output is spread.
    pub output: Option<Spread>,
    /// Where the data are.
    pub data: (u64, u64),
}

/// A plan.
#[derive(Debug)]
struct Plan {
    number: u64,
    kind: Kind,
    double: bool,
    data: (u64, u64),
    bytes: (usize, usize),
    /// The output's memory holds more than the output.
    gaps: bool,
    /// Device memory, once it is needed: one piece for both in place.
    memory: Mutex<Option<(u64, u64)>>,
}

static PLANS: LazyLock<RwLock<HashMap<u64, Arc<Plan>>>> = LazyLock::new(RwLock::default);
static NUMBERS: AtomicU64 = AtomicU64::new(1);
/// Plans look like no address of a program.
const TAG: u64 = 0x4657_0000_0000_0000;

fn function(name: &str) -> Option<&'static Function> {
    CUFFT.iter().find(|function| function.name == name)
}

impl Kind {
    /// `cufftType`, and the function that executes it.
    fn of_cufft(self, double: bool) -> (i32, &'static str) {
        match (self, double) {
            (Self::Complex(_), false) => (0x29, "cufftExecC2C"),
            (Self::Forward, false) => (0x2a, "cufftExecR2C"),
            (Self::Backward, false) => (0x2c, "cufftExecC2R"),
            (Self::Complex(_), true) => (0x69, "cufftExecZ2Z"),
            (Self::Forward, true) => (0x6a, "cufftExecD2Z"),
            (Self::Backward, true) => (0x6c, "cufftExecZ2D"),
        }
    }
}

/// Extents of the real and of the complex side.
fn extents(n: &[i64], kind: Kind) -> (Vec<i64>, Vec<i64>) {
    let mut half = n.to_vec();
    if let (Some(last), Kind::Forward | Kind::Backward) = (half.last_mut(), kind) {
        *last = *last / 2 + 1;
    }
    (n.to_vec(), half)
}

/// Makes a plan; null if cuFFT does not.
#[must_use]
pub fn make(request: &Request) -> *mut c_void {
    try_make(request).map_or(std::ptr::null_mut(), |plan| plan as *mut c_void)
}

fn try_make(request: &Request) -> Option<u64> {
    let Request {
        kind,
        double,
        n,
        batch,
        ..
    } = request;
    if n.is_empty()
        || n.iter().any(|extent| *extent <= 0)
        || matches!(kind, Kind::Complex(sign) if sign.abs() != 1)
    {
        return None;
    }
    let (real, complex) = extents(n, *kind);
    let in_place = request.data.0 == request.data.1;
    // In place a row of real numbers has room for its half of the spectrum.
    let mut padded = complex.clone();
    if let (Some(last), true) = (padded.last_mut(), in_place) {
        *last *= 2;
    } else {
        padded.clone_from(&real);
    }
    let (inner, outer) = match kind {
        Kind::Complex(_) => ((&complex, &complex), (&complex, &complex)),
        Kind::Forward => ((&real, &padded), (&complex, &complex)),
        Kind::Backward => ((&complex, &complex), (&real, &padded)),
    };
    let spread = |given: &Option<Spread>, embed: &[i64]| {
        let mut spread = given.clone().unwrap_or_else(|| Spread::packed(embed));
        if spread.embed.is_empty() {
            spread.embed = embed.to_vec();
        }
        spread
    };
    let (input, output) = (
        spread(&request.input, inner.1),
        spread(&request.output, outer.1),
    );
    let element = if *double { 8 } else { 4 };
    let sizes = match kind {
        Kind::Complex(_) => (2 * element, 2 * element),
        Kind::Forward => (element, 2 * element),
        Kind::Backward => (2 * element, element),
    };
    let bytes = |spread: &Spread, extents: &[i64], size: i64| {
        let bytes = spread.span(extents, *batch)?.checked_mul(size)?;
        usize::try_from(bytes).ok()
    };
    let bytes = (
        bytes(&input, inner.0, sizes.0)?,
        bytes(&output, outer.0, sizes.1)?,
    );
    let full = outer
        .0
        .iter()
        .product::<i64>()
        .checked_mul(*batch)?
        .checked_mul(sizes.1)?;
    let mut number = 0i32;
    // SAFETY: the address is that of a local.
    if unsafe { cufftCreate((&raw mut number).cast()) } != 0 {
        return None;
    }
    let mut work = 0u64;
    let word = |value: i64| value.cast_unsigned();
    let made = function("cufftMakePlanMany64").map(|make| {
        let arguments = [
            u64::from(number.cast_unsigned()),
            n.len() as u64,
            n.as_ptr() as u64,
            input.embed.as_ptr() as u64,
            word(input.stride),
            word(input.distance),
            output.embed.as_ptr() as u64,
            word(output.stride),
            word(output.distance),
            word(i64::from(kind.of_cufft(*double).0)),
            word(*batch),
            (&raw mut work) as u64,
        ];
        // SAFETY: the arrays have as many elements as there are dimensions, and live.
        unsafe { compute(make, &arguments) }
    });
    if made != Some(0) {
        cufftDestroy(number as usize as *mut c_void);
        return None;
    }
    let plan = Plan {
        number: u64::from(number.cast_unsigned()),
        kind: *kind,
        double: *double,
        data: request.data,
        bytes,
        gaps: usize::try_from(full) != Ok(bytes.1),
        memory: Mutex::new(None),
    };
    let handle = TAG | NUMBERS.fetch_add(1, Ordering::Relaxed);
    PLANS
        .write()
        .unwrap_or_else(PoisonError::into_inner)
        .insert(handle, Arc::new(plan));
    Some(handle)
}

fn find(plan: *mut c_void) -> Option<Arc<Plan>> {
    let plans = PLANS.read().unwrap_or_else(PoisonError::into_inner);
    plans.get(&(plan as u64)).cloned()
}

/// Device memory of so many bytes.
fn allocate(driver: &Driver, bytes: usize) -> Option<u64> {
    let mut at = 0;
    // SAFETY: the address is that of a local.
    let status = unsafe { (driver.cuMemAlloc_v2)((&raw mut at).cast(), bytes) };
    (status == 0).then_some(at)
}

impl Plan {
    /// Its device memory.
    fn memory(&self, driver: &Driver, in_place: bool) -> Option<(u64, u64)> {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(memory) = *memory {
            return Some(memory);
        }
        let made = if in_place {
            let at = allocate(driver, self.bytes.0.max(self.bytes.1))?;
            (at, at)
        } else {
            (
                allocate(driver, self.bytes.0)?,
                allocate(driver, self.bytes.1)?,
            )
        };
        *memory = Some(made);
        Some(made)
    }

    fn run(&self, input: u64, output: u64) -> Option<()> {
        ensure_context().ok()?;
        let driver = driver()?;
        let (from, to) = self.memory(driver, self.data.0 == self.data.1)?;
        let copy = |to: u64, from: u64, bytes: usize| {
            // SAFETY: both have so many bytes: ours by their size, the program's by FFTW's contract.
            let status = unsafe { (driver.cuMemcpy)(to as _, from as _, bytes) };
            (status == 0).then_some(())
        };
        if self.gaps && from != to {
            // What lies between the results stays.
            copy(to, output, self.bytes.1)?;
        }
        copy(from, input, self.bytes.0)?;
        let execute = function(self.kind.of_cufft(self.double).1)?;
        let mut arguments = vec![self.number, from, to];
        if let Kind::Complex(sign) = self.kind {
            arguments.push(i64::from(sign).cast_unsigned());
        }
        // SAFETY: the plan is cuFFT's, and its data are in device memory of ours.
        (unsafe { compute(execute, &arguments) } == 0).then_some(())?;
        copy(output, to, self.bytes.1)
    }
}

/// Executes a plan on its own data, or on others.
pub fn execute(plan: *mut c_void, data: Option<(*mut c_void, *mut c_void)>) {
    let done = find(plan).and_then(|plan| {
        let (input, output) =
            data.map_or(plan.data, |(input, output)| (input as u64, output as u64));
        plan.run(input, output)
    });
    if done.is_none() {
        // FFTW has no way of saying so.
        eprintln!("GVirtuS: a plan of cuFFTW could not be executed");
    }
}

/// Ends a plan.
pub fn destroy(plan: *mut c_void) {
    let gone = PLANS
        .write()
        .unwrap_or_else(PoisonError::into_inner)
        .remove(&(plan as u64));
    let Some(gone) = gone else { return };
    cufftDestroy(gone.number as usize as *mut c_void);
    let memory = gone.memory.lock().unwrap_or_else(PoisonError::into_inner);
    if let (Some((from, to)), Some(driver)) = (*memory, driver()) {
        // SAFETY: memory of ours that no work uses any more: the copy back has been waited for.
        unsafe {
            (driver.cuMemFree_v2)(from as _);
            if to != from {
                (driver.cuMemFree_v2)(to as _);
            }
        }
    }
}
