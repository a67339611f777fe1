//! cuRAND on the CPU device: XORWOW, MRG32k3a, Philox and Sobol's sequences. A call checks its output and goes to the stream as a host function; what a host generator makes is
//! made at once. Every integer arrives as a 64-bit word.

use std::ffi::{CStr, c_void};
use std::sync::{Arc, OnceLock};

use gvirtus_plugin_library::cpu;
use gvirtus_plugin_library::host::Host;
use parking_lot::Mutex;

use crate::distribution::Poisson;
use crate::fill::{Kind, Number, Sequence, Want};
use crate::sobol_numbers::directions;

const SUCCESS: i32 = 0;
const NOT_INITIALIZED: i32 = 101;
const OUT_OF_RANGE: i32 = 104;
const LENGTH_NOT_MULTIPLE: i32 = 105;
const LAUNCH_FAILURE: i32 = 201;
const INITIALIZATION_FAILED: i32 = 203;
const ARCH_MISMATCH: i32 = 204;

struct Generator {
    kind: Kind,
    on_host: bool,
    stream: usize,
    device: i32,
    seed: u64,
    offset: u64,
    /// Replaced by a setting: work that was sent before has the old one.
    sequence: Arc<Mutex<Sequence>>,
}

impl Generator {
    fn start_over(&mut self) {
        self.sequence = Arc::new(Mutex::new(Sequence::new(self.kind, self.seed, self.offset)));
    }
}

/// Generators by the library's numbers.
static GENERATORS: Mutex<Vec<Option<Generator>>> = Mutex::new(Vec::new());

fn with(generator: u64, what: impl FnOnce(&mut Generator) -> i32) -> i32 {
    let mut generators = GENERATORS.lock();
    let at = usize::try_from(generator)
        .ok()
        .and_then(|at| at.checked_sub(1));
    match at.and_then(|at| generators.get_mut(at)?.as_mut()) {
        Some(generator) => what(generator),
        None => NOT_INITIALIZED,
    }
}

extern "C" fn create<const ON_HOST: bool>(out: *mut u64, rng_type: i32) -> i32 {
    let kind = match rng_type {
        100 | 101 => Kind::Xorwow,
        121 => Kind::Mrg { legacy: false },
        161 => Kind::Philox,
        200 | 201 | 203 => Kind::Sobol {
            wide: rng_type == 203,
            dimensions: 1,
        },
        // The Mersenne twisters' parameters and the scrambled sequences' constants are NVIDIA's tables.
        _ => return ARCH_MISMATCH,
    };
    let Some(device) = cpu::current_device() else {
        return INITIALIZATION_FAILED;
    };
    let mut generators = GENERATORS.lock();
    generators.push(Some(Generator {
        kind,
        on_host: ON_HOST,
        stream: 0,
        device,
        seed: 0,
        offset: 0,
        sequence: Arc::new(Mutex::new(Sequence::new(kind, 0, 0))),
    }));
    // SAFETY: the plugin passes the address of a local.
    unsafe { out.write(generators.len() as u64) };
    SUCCESS
}

extern "C" fn destroy(generator: u64) -> i32 {
    let mut generators = GENERATORS.lock();
    if let Some(slot) = usize::try_from(generator)
        .ok()
        .and_then(|at| generators.get_mut(at.checked_sub(1)?))
    {
        *slot = None;
    }
    SUCCESS
}

extern "C" fn set_stream(generator: u64, stream: usize) -> i32 {
    with(generator, |generator| {
        generator.stream = stream;
        SUCCESS
    })
}

extern "C" fn set_seed(generator: u64, seed: u64) -> i32 {
    with(generator, |generator| {
        generator.seed = seed;
        generator.start_over();
        SUCCESS
    })
}

extern "C" fn set_offset(generator: u64, offset: u64) -> i32 {
    // Positions are counted from it.
    if offset > u64::MAX / 2 {
        return OUT_OF_RANGE;
    }
    with(generator, |generator| {
        generator.offset = offset;
        generator.start_over();
        SUCCESS
    })
}

extern "C" fn set_ordering(generator: u64, ordering: i64) -> i32 {
    with(generator, |generator| {
        match (&mut generator.kind, ordering) {
            (Kind::Mrg { legacy }, 100 | 101 | 103) => *legacy = ordering == 103,
            (Kind::Xorwow | Kind::Philox, 100 | 101 | 103) | (Kind::Sobol { .. }, 201) => {}
            _ => return OUT_OF_RANGE,
        }
        generator.start_over();
        SUCCESS
    })
}

extern "C" fn set_dimensions(generator: u64, number: u64) -> i32 {
    with(generator, |generator| {
        if let Kind::Sobol { dimensions, .. } = &mut generator.kind {
            if !(1..=20_000).contains(&number) {
                return OUT_OF_RANGE;
            }
            *dimensions = number as u32;
        }
        generator.start_over();
        SUCCESS
    })
}

/// The provider answers as the version whose declarations it was written for.
extern "C" fn get_property(which: i32, out: *mut i32) -> i32 {
    let Some(value) = usize::try_from(which)
        .ok()
        .and_then(|i| [10, 4, 0].get(i).copied())
    else {
        return OUT_OF_RANGE;
    };
    // SAFETY: the plugin passes the address of a local.
    unsafe { out.write(value) };
    SUCCESS
}

/// Puts a number at its place.
///
/// # Safety
/// `out` has room for it there.
unsafe fn put(out: u64, index: u64, number: Number) {
    let at = index as usize;
    // SAFETY: by this function's contract.
    unsafe {
        match number {
            Number::Bits(n) => (out as *mut u32).add(at).write_unaligned(n),
            Number::LongBits(n) => (out as *mut u64).add(at).write_unaligned(n),
            Number::Float(n) => (out as *mut f32).add(at).write_unaligned(n),
            Number::Double(n) => (out as *mut f64).add(at).write_unaligned(n),
        }
    }
}

fn generate(generator: u64, out: u64, count: u64, want: Want) -> i32 {
    with(generator, |generator| {
        if let Kind::Sobol { dimensions, .. } = generator.kind
            && !count.is_multiple_of(u64::from(dimensions))
        {
            return LENGTH_NOT_MULTIPLE;
        }
        let Some(bytes) = count.checked_mul(want.size() as u64) else {
            return OUT_OF_RANGE;
        };
        let sequence = Arc::clone(&generator.sequence);
        let fill = move || {
            // SAFETY: the output has room for `count` numbers: the plugin's memory, or checked to be there.
            let put = |index, number| unsafe { put(out, index, number) };
            sequence.lock().fill(&want, count, put);
        };
        if generator.on_host {
            fill();
            return SUCCESS;
        }
        let work = move |_: &cpu::Memory| {
            fill();
            true
        };
        let output = vec![(out, bytes)];
        match cpu::submit(
            "cuRAND",
            generator.device,
            generator.stream,
            output,
            Box::new(work),
        ) {
            Ok(()) => SUCCESS,
            Err(()) => LAUNCH_FAILURE,
        }
    })
}

extern "C" fn generate_bits(generator: u64, out: u64, count: u64) -> i32 {
    generate(generator, out, count, Want::Bits)
}

extern "C" fn generate_long(generator: u64, out: u64, count: u64) -> i32 {
    generate(generator, out, count, Want::LongBits)
}

extern "C" fn generate_uniform(generator: u64, out: u64, count: u64) -> i32 {
    generate(generator, out, count, Want::Uniform)
}

extern "C" fn generate_uniform_double(generator: u64, out: u64, count: u64) -> i32 {
    generate(generator, out, count, Want::UniformDouble)
}

extern "C" fn generate_normal<const LOG: bool>(
    generator: u64,
    out: u64,
    count: u64,
    mean: f32,
    deviation: f32,
) -> i32 {
    generate(generator, out, count, Want::Normal(mean, deviation, LOG))
}

extern "C" fn generate_normal_double<const LOG: bool>(
    generator: u64,
    out: u64,
    count: u64,
    mean: f64,
    deviation: f64,
) -> i32 {
    generate(
        generator,
        out,
        count,
        Want::NormalDouble(mean, deviation, LOG),
    )
}

extern "C" fn generate_poisson(generator: u64, out: u64, count: u64, lambda: f64) -> i32 {
    if !(lambda > 0.0 && lambda <= 400_000.0) {
        return OUT_OF_RANGE;
    }
    generate(generator, out, count, Want::Poisson(Poisson::new(lambda)))
}

/// States are made with the first numbers.
extern "C" fn generate_seeds(generator: u64) -> i32 {
    with(generator, |_| SUCCESS)
}

extern "C" fn directions_32(out: *mut *const u32, set: i32) -> i32 {
    static TABLE: OnceLock<Vec<u32>> = OnceLock::new();
    if set != 101 {
        return ARCH_MISMATCH;
    }
    let upper = |vector: &u64| (vector >> 32) as u32;
    let table = TABLE.get_or_init(|| {
        directions()
            .iter()
            .flat_map(|vectors| vectors[..32].iter().map(upper))
            .collect()
    });
    // SAFETY: the plugin passes room for an address.
    unsafe { out.write(table.as_ptr()) };
    SUCCESS
}

extern "C" fn directions_64(out: *mut *const u64, set: i32) -> i32 {
    if set != 103 {
        return ARCH_MISMATCH;
    }
    // SAFETY: the plugin passes room for an address.
    unsafe { out.write(directions().as_flattened().as_ptr()) };
    SUCCESS
}

/// A function of the provider.
pub(crate) fn address(host: &'static Host, name: &CStr) -> Option<*const c_void> {
    cpu::start(host);
    Some(match name.to_bytes() {
        b"curandCreateGenerator" => create::<false> as *const c_void,
        b"curandCreateGeneratorHost" => create::<true> as *const c_void,
        b"curandDestroyGenerator" => destroy as *const c_void,
        b"curandSetStream" => set_stream as *const c_void,
        b"curandGetProperty" => get_property as *const c_void,
        b"curandSetPseudoRandomGeneratorSeed" => set_seed as *const c_void,
        b"curandSetGeneratorOffset" => set_offset as *const c_void,
        b"curandSetGeneratorOrdering" => set_ordering as *const c_void,
        b"curandSetQuasiRandomGeneratorDimensions" => set_dimensions as *const c_void,
        b"curandGenerate" => generate_bits as *const c_void,
        b"curandGenerateLongLong" => generate_long as *const c_void,
        b"curandGenerateUniform" => generate_uniform as *const c_void,
        b"curandGenerateUniformDouble" => generate_uniform_double as *const c_void,
        b"curandGenerateNormal" => generate_normal::<false> as *const c_void,
        b"curandGenerateNormalDouble" => generate_normal_double::<false> as *const c_void,
        b"curandGenerateLogNormal" => generate_normal::<true> as *const c_void,
        b"curandGenerateLogNormalDouble" => generate_normal_double::<true> as *const c_void,
        b"curandGeneratePoisson" => generate_poisson as *const c_void,
        b"curandGenerateSeeds" => generate_seeds as *const c_void,
        b"curandGetDirectionVectors32" => directions_32 as *const c_void,
        b"curandGetDirectionVectors64" => directions_64 as *const c_void,
        _ => return None,
    })
}
