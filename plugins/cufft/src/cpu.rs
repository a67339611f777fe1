//! cuFFT on the CPU device: transforms of rank 1 to 3 in single and double precision, batched and in any layout. A call checks that its operands are device memory, and goes
//! to the stream as a host function. Every integer arrives as a 64-bit word.

#![allow(clippy::too_many_arguments, reason = "cuFFT's")]

use std::collections::HashMap;
use std::ffi::{CStr, c_void};
use std::sync::{Arc, OnceLock};

use gvirtus_plugin_library::cpu;
use gvirtus_plugin_library::host::Host;
use parking_lot::Mutex;
use rustfft::num_complex::Complex;
use rustfft::{FftDirection, FftNum};

use crate::transform::{Kind, Layout, elements, half, transform};

const SUCCESS: i32 = 0;
const INVALID_PLAN: i32 = 1;
const INVALID_TYPE: i32 = 3;
const INVALID_VALUE: i32 = 4;
const EXEC_FAILED: i32 = 6;
const INVALID_SIZE: i32 = 8;

/// `cufftType`.
const R2C: i64 = 0x2a;
const C2R: i64 = 0x2c;
const C2C: i64 = 0x29;
const D2Z: i64 = 0x6a;
const Z2D: i64 = 0x6c;
const Z2Z: i64 = 0x69;

/// The most transforms of one plan.
const MOST: u64 = 1 << 24;

/// What a plan is made for.
struct Made {
    kind: i64,
    extents: Vec<u64>,
    batch: u64,
    /// Those that the program gave; otherwise there are no gaps, but in place where the real side has room for the other.
    layouts: Option<(Layout, Layout)>,
}

#[derive(Default)]
struct Plan {
    stream: usize,
    device: i32,
    made: Option<Arc<Made>>,
}

/// Plans by the library's numbers.
static PLANS: Mutex<Vec<Option<Plan>>> = Mutex::new(Vec::new());

fn with<R>(plan: i64, absent: R, what: impl FnOnce(&mut Plan) -> R) -> R {
    let mut plans = PLANS.lock();
    let at = usize::try_from(plan as i32)
        .ok()
        .and_then(|at| at.checked_sub(1));
    match at.and_then(|at| plans.get_mut(at)?.as_mut()) {
        Some(plan) => what(plan),
        None => absent,
    }
}

extern "C" fn create(out: *mut i32) -> i32 {
    let Some(device) = cpu::current_device() else {
        return 7;
    };
    let mut plans = PLANS.lock();
    plans.push(Some(Plan {
        device,
        ..Plan::default()
    }));
    // SAFETY: the plugin passes the address of a local.
    unsafe { out.write(plans.len() as i32) };
    SUCCESS
}

extern "C" fn destroy(plan: i64) -> i32 {
    let mut plans = PLANS.lock();
    if let Some(slot) = usize::try_from(plan as i32 - 1)
        .ok()
        .and_then(|at| plans.get_mut(at))
    {
        *slot = None;
    }
    SUCCESS
}

extern "C" fn set_stream(plan: i64, stream: usize) -> i32 {
    with(plan, INVALID_PLAN, |plan| {
        plan.stream = stream;
        SUCCESS
    })
}

/// The provider answers as the version whose declarations it was written for.
extern "C" fn get_property(which: i32, out: *mut i32) -> i32 {
    let Some(value) = usize::try_from(which)
        .ok()
        .and_then(|i| [12, 0, 0].get(i).copied())
    else {
        return INVALID_VALUE;
    };
    // SAFETY: the plugin passes the address of a local.
    unsafe { out.write(value) };
    SUCCESS
}

/// What is known of a plan before it is made; layouts are checked when they are used.
fn describe(
    kind: i64,
    extents: &[i64],
    batch: i64,
    layouts: Option<(Layout, Layout)>,
) -> Result<Made, i32> {
    if ![R2C, C2R, C2C, D2Z, Z2D, Z2Z].contains(&kind) {
        return Err(INVALID_TYPE);
    }
    let sizes: Option<Vec<u64>> = extents
        .iter()
        .map(|n| u64::try_from(*n).ok().filter(|n| *n > 0))
        .collect();
    let sizes = sizes.ok_or(INVALID_SIZE)?;
    let batch = u64::try_from(batch)
        .ok()
        .filter(|n| (1..=MOST).contains(n))
        .ok_or(INVALID_SIZE)?;
    elements(&sizes)
        .and_then(|n| n.checked_mul(batch))
        .filter(|n| *n < 1 << 40)
        .ok_or(INVALID_SIZE)?;
    Ok(Made {
        kind,
        extents: sizes,
        batch,
        layouts,
    })
}

/// Makes a plan, or only tells its work size: none is needed.
fn make(plan: i64, keep: bool, made: Result<Made, i32>, size: *mut u64) -> i32 {
    let made = match made {
        Ok(made) => made,
        Err(status) => return status,
    };
    let status = with(plan, if keep { INVALID_PLAN } else { SUCCESS }, |plan| {
        if keep {
            if plan.made.is_some() {
                // A plan is made once.
                return INVALID_PLAN;
            }
            plan.made = Some(Arc::new(made));
        }
        SUCCESS
    });
    if status == SUCCESS && !size.is_null() {
        // SAFETY: the plugin passes what the declaration says.
        unsafe { size.write_unaligned(0) };
    }
    status
}

extern "C" fn make_1d<const KEEP: bool>(
    plan: i64,
    nx: i64,
    kind: i64,
    batch: i64,
    size: *mut u64,
) -> i32 {
    make(plan, KEEP, describe(kind, &[nx], batch, None), size)
}

extern "C" fn make_2d<const KEEP: bool>(
    plan: i64,
    nx: i64,
    ny: i64,
    kind: i64,
    size: *mut u64,
) -> i32 {
    make(plan, KEEP, describe(kind, &[nx, ny], 1, None), size)
}

extern "C" fn make_3d<const KEEP: bool>(
    plan: i64,
    nx: i64,
    ny: i64,
    nz: i64,
    kind: i64,
    size: *mut u64,
) -> i32 {
    make(plan, KEEP, describe(kind, &[nx, ny, nz], 1, None), size)
}

extern "C" fn estimate_1d(nx: i64, kind: i64, batch: i64, size: *mut u64) -> i32 {
    make(0, false, describe(kind, &[nx], batch, None), size)
}

extern "C" fn estimate_2d(nx: i64, ny: i64, kind: i64, size: *mut u64) -> i32 {
    make(0, false, describe(kind, &[nx, ny], 1, None), size)
}

extern "C" fn estimate_3d(nx: i64, ny: i64, nz: i64, kind: i64, size: *mut u64) -> i32 {
    make(0, false, describe(kind, &[nx, ny, nz], 1, None), size)
}

/// An array of 32-bit numbers, or of 64-bit ones.
///
/// # Safety
/// It has `rank` of them, or is null.
unsafe fn numbers<const WIDE: bool>(at: *const c_void, rank: usize) -> Option<Vec<i64>> {
    if at.is_null() {
        return None;
    }
    let number = |i: usize| {
        // SAFETY: by this function's contract.
        unsafe {
            if WIDE {
                at.cast::<i64>().add(i).read_unaligned()
            } else {
                i64::from(at.cast::<i32>().add(i).read_unaligned())
            }
        }
    };
    Some((0..rank).map(number).collect())
}

fn layout(embed: &[i64], stride: i64, distance: i64) -> Option<Layout> {
    Some(Layout {
        embed: embed
            .iter()
            .map(|n| u64::try_from(*n).ok())
            .collect::<Option<_>>()?,
        stride: u64::try_from(stride).ok()?,
        distance: u64::try_from(distance).ok()?,
    })
}

/// # Safety
/// The arrays have `rank` elements, or are null.
unsafe fn many<const WIDE: bool>(
    rank: i64,
    n: *const c_void,
    (inembed, istride, idist): (*const c_void, i64, i64),
    (onembed, ostride, odist): (*const c_void, i64, i64),
    kind: i64,
    batch: i64,
) -> Result<Made, i32> {
    if !(1..=3).contains(&rank) {
        return Err(INVALID_VALUE);
    }
    let rank = rank as usize;
    // SAFETY: by this function's contract.
    let (n, inembed, onembed) = unsafe {
        (
            numbers::<WIDE>(n, rank),
            numbers::<WIDE>(inembed, rank),
            numbers::<WIDE>(onembed, rank),
        )
    };
    let n = n.ok_or(INVALID_VALUE)?;
    let layouts = match (inembed, onembed) {
        (Some(input), Some(output)) => {
            let input = layout(&input, istride, idist).ok_or(INVALID_VALUE)?;
            let output = layout(&output, ostride, odist).ok_or(INVALID_VALUE)?;
            Some((input, output))
        }
        _ => None,
    };
    describe(kind, &n, batch, layouts)
}

extern "C" fn make_many<const WIDE: bool, const KEEP: bool>(
    plan: i64,
    rank: i64,
    n: *const c_void,
    inembed: *const c_void,
    istride: i64,
    idist: i64,
    onembed: *const c_void,
    ostride: i64,
    odist: i64,
    kind: i64,
    batch: i64,
    size: *mut u64,
) -> i32 {
    // SAFETY: the plugin passes what the declaration says.
    let made = unsafe {
        many::<WIDE>(
            rank,
            n,
            (inembed, istride, idist),
            (onembed, ostride, odist),
            kind,
            batch,
        )
    };
    make(plan, KEEP, made, size)
}

extern "C" fn estimate_many(
    rank: i64,
    n: *const c_void,
    inembed: *const c_void,
    istride: i64,
    idist: i64,
    onembed: *const c_void,
    ostride: i64,
    odist: i64,
    kind: i64,
    batch: i64,
    size: *mut u64,
) -> i32 {
    // SAFETY: the plugin passes what the declaration says.
    let made = unsafe {
        many::<false>(
            rank,
            n,
            (inembed, istride, idist),
            (onembed, ostride, odist),
            kind,
            batch,
        )
    };
    make(0, false, made, size)
}

/// A plan by `cudaDataType`s: those that a `cufftType` stands for.
extern "C" fn make_by_types<const KEEP: bool>(
    plan: i64,
    rank: i64,
    n: *const c_void,
    inembed: *const c_void,
    istride: i64,
    idist: i64,
    input: i64,
    onembed: *const c_void,
    ostride: i64,
    odist: i64,
    output: i64,
    batch: i64,
    size: *mut u64,
    execution: i64,
) -> i32 {
    // R_32F, R_64F, C_32F, C_64F.
    let kind = match (input, output, execution) {
        (4, 4, 4) => C2C,
        (0, 4, 4) => R2C,
        (4, 0, 4) => C2R,
        (5, 5, 5) => Z2Z,
        (1, 5, 5) => D2Z,
        (5, 1, 5) => Z2D,
        _ => return INVALID_TYPE,
    };
    make_many::<true, KEEP>(
        plan, rank, n, inembed, istride, idist, onembed, ostride, odist, kind, batch, size,
    )
}

/// Executes a plan as what it is.
extern "C" fn exec_any(plan: i64, input: usize, output: usize, direction: i64) -> i32 {
    let kind = with(plan, None, |plan| plan.made.as_ref().map(|made| made.kind));
    match kind {
        Some(kind) if [C2C, R2C, C2R].contains(&kind) => {
            execute::<f32>(plan, kind, input, output, direction)
        }
        Some(kind) => execute::<f64>(plan, kind, input, output, direction),
        None => INVALID_PLAN,
    }
}

extern "C" fn get_size(plan: i64, size: *mut u64) -> i32 {
    with(plan, INVALID_PLAN, |plan| {
        if plan.made.is_none() {
            return INVALID_PLAN;
        }
        // SAFETY: the plugin passes what the declaration says.
        unsafe { size.write_unaligned(0) };
        SUCCESS
    })
}

/// Settings that make no difference here.
extern "C" fn accept(plan: i64, _: u64) -> i32 {
    with(plan, INVALID_PLAN, |_| SUCCESS)
}

/// How many elements a side is spread over, and its layout.
fn side(made: &Made, real: bool, given: Option<&Layout>, in_place: bool) -> Option<(Layout, u64)> {
    let extents = if real || [C2C, Z2Z].contains(&made.kind) {
        made.extents.clone()
    } else {
        half(&made.extents)
    };
    let layout = match given {
        Some(layout) => {
            let wide = layout.embed.iter().zip(&extents).skip(1);
            if layout.stride == 0 || wide.clone().any(|(embed, extent)| embed < extent) {
                return None;
            }
            layout.clone()
        }
        None if real && in_place => {
            // Each row has room for its half of the spectrum.
            let mut padded = half(&made.extents);
            *padded.last_mut()? *= 2;
            Layout::packed(&padded)?
        }
        None => Layout::packed(&extents)?,
    };
    let span = layout.span(&extents, made.batch)?;
    Some((layout, span))
}

fn execute<T: FftNum>(
    plan: i64,
    expected: i64,
    input: usize,
    output: usize,
    direction: i64,
) -> i32 {
    let (stream, device, made) = match with(plan, None, |plan| {
        Some((plan.stream, plan.device, plan.made.clone()))
    }) {
        Some((stream, device, Some(made))) => (stream, device, made),
        _ => return INVALID_PLAN,
    };
    if made.kind != expected {
        return INVALID_TYPE;
    }
    let kind = match expected {
        C2C | Z2Z => Kind::Complex,
        R2C | D2Z => Kind::Forward,
        _ => Kind::Backward,
    };
    let given = made.layouts.as_ref();
    let in_place = input == output;
    let (Some((from, from_span)), Some((to, to_span))) = (
        side(&made, kind == Kind::Forward, given.map(|l| &l.0), in_place),
        side(&made, kind == Kind::Backward, given.map(|l| &l.1), in_place),
    ) else {
        return INVALID_SIZE;
    };
    let total = elements(&made.extents).map_or(u64::MAX, |n| n.saturating_mul(made.batch));
    if in_place && total > from_span.max(to_span).saturating_mul(4) {
        // Transforms that overlap cannot be in place.
        return INVALID_SIZE;
    }
    let bytes = |span: u64, real: bool| {
        let element = if real {
            size_of::<T>()
        } else {
            size_of::<Complex<T>>()
        };
        span.saturating_mul(element as u64)
    };
    let operands = vec![
        (input as u64, bytes(from_span, kind == Kind::Forward)),
        (output as u64, bytes(to_span, kind == Kind::Backward)),
    ];
    let direction = if direction == 1 {
        FftDirection::Inverse
    } else {
        FftDirection::Forward
    };
    let work = move |_: &cpu::Memory| {
        // SAFETY: offsets inside the operands, which are there.
        let read = |at: u64| unsafe {
            if kind == Kind::Forward {
                Complex::new(
                    (input as *const T).add(at as usize).read_unaligned(),
                    T::zero(),
                )
            } else {
                (input as *const Complex<T>)
                    .add(at as usize)
                    .read_unaligned()
            }
        };
        // SAFETY: as above.
        let write = |at: u64, value: Complex<T>| unsafe {
            if kind == Kind::Backward {
                (output as *mut T)
                    .add(at as usize)
                    .write_unaligned(value.re);
            } else {
                (output as *mut Complex<T>)
                    .add(at as usize)
                    .write_unaligned(value);
            }
        };
        transform(
            kind,
            &made.extents,
            made.batch,
            (&from, &to),
            direction,
            in_place,
            read,
            write,
        );
        true
    };
    match cpu::submit("cuFFT", device, stream, operands, Box::new(work)) {
        Ok(()) => SUCCESS,
        Err(()) => EXEC_FAILED,
    }
}

extern "C" fn exec<T: FftNum, const KIND: i64>(
    plan: i64,
    input: usize,
    output: usize,
    direction: i64,
) -> i32 {
    execute::<T>(plan, KIND, input, output, direction)
}

/// The address of a function, if it is provided.
pub(crate) fn address(host: &'static Host, name: &CStr) -> Option<*const c_void> {
    static TABLE: OnceLock<HashMap<&'static str, usize>> = OnceLock::new();
    let table = TABLE.get_or_init(|| {
        cpu::start(host);
        let functions: &[(&str, *const c_void)] = &[
            ("cufftCreate", create as *const c_void),
            ("cufftDestroy", destroy as *const c_void),
            ("cufftSetStream", set_stream as *const c_void),
            ("cufftGetProperty", get_property as *const c_void),
            ("cufftSetWorkArea", accept as *const c_void),
            ("cufftSetAutoAllocation", accept as *const c_void),
            ("cufftMakePlan1d", make_1d::<true> as *const c_void),
            ("cufftMakePlan2d", make_2d::<true> as *const c_void),
            ("cufftMakePlan3d", make_3d::<true> as *const c_void),
            (
                "cufftMakePlanMany",
                make_many::<false, true> as *const c_void,
            ),
            (
                "cufftMakePlanMany64",
                make_many::<true, true> as *const c_void,
            ),
            ("cufftGetSize1d", make_1d::<false> as *const c_void),
            ("cufftGetSize2d", make_2d::<false> as *const c_void),
            ("cufftGetSize3d", make_3d::<false> as *const c_void),
            (
                "cufftGetSizeMany",
                make_many::<false, false> as *const c_void,
            ),
            (
                "cufftGetSizeMany64",
                make_many::<true, false> as *const c_void,
            ),
            (
                "cufftXtMakePlanMany",
                make_by_types::<true> as *const c_void,
            ),
            (
                "cufftXtGetSizeMany",
                make_by_types::<false> as *const c_void,
            ),
            ("cufftXtExec", exec_any as *const c_void),
            ("cufftGetSize", get_size as *const c_void),
            ("cufftEstimate1d", estimate_1d as *const c_void),
            ("cufftEstimate2d", estimate_2d as *const c_void),
            ("cufftEstimate3d", estimate_3d as *const c_void),
            ("cufftEstimateMany", estimate_many as *const c_void),
            ("cufftExecC2C", exec::<f32, C2C> as *const c_void),
            ("cufftExecR2C", exec::<f32, R2C> as *const c_void),
            ("cufftExecC2R", exec::<f32, C2R> as *const c_void),
            ("cufftExecZ2Z", exec::<f64, Z2Z> as *const c_void),
            ("cufftExecD2Z", exec::<f64, D2Z> as *const c_void),
            ("cufftExecZ2D", exec::<f64, Z2D> as *const c_void),
        ];
        functions
            .iter()
            .map(|(name, address)| (*name, *address as usize))
            .collect()
    });
    let address = *table.get(name.to_str().ok()?)?;
    Some(address as *const c_void)
}
