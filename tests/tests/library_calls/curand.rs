//! cuRAND's generators: made on the device and on the host, each of the type that it was made with, each with a sequence of its own, and ended.

use crate::machine::{Machine, Place, at_mut, word};

const NOT_INITIALIZED: i32 = 101;
const TYPE_ERROR: i32 = 103;
const OUT_OF_RANGE: i32 = 104;
const ARCH_MISMATCH: i32 = 204;

/// `curandRngType_t` with the type that a default stands for: those whose numbers need no table of NVIDIA's.
const HERE: [(i64, i64); 7] = [
    (100, 101),
    (101, 101),
    (121, 121),
    (161, 161),
    (200, 201),
    (201, 201),
    (203, 203),
];
/// Those that the CPU device lacks.
const ELSEWHERE: [i64; 5] = [0, 141, 142, 202, 204];
const WIDE: i64 = 203;

pub(crate) fn round(machine: &Machine) {
    versions(machine);
    refusals(machine);
    sequences(machine);
}

fn versions(machine: &Machine) {
    let told = |which: i64| {
        let mut out = -1i32;
        let status = machine.call("curandGetProperty", &[word(which), at_mut(&mut out)]);
        (status, out)
    };
    let [major, minor, patch] = [0, 1, 2].map(|which| {
        let (status, value) = told(which);
        assert_eq!(status, 0);
        value
    });
    for which in [-1, 3, machine.between(4, 1000)] {
        assert_eq!(told(which), (OUT_OF_RANGE, -1), "property {which}");
    }
    let mut version = 0i32;
    assert_eq!(machine.call("curandGetVersion", &[at_mut(&mut version)]), 0);
    assert!(major >= 10);
    assert_eq!(version, major * 1000 + minor * 100 + patch);
    machine.holds(&["curandGetVersion", "curandGetProperty"]);
}

const CREATE: [&str; 2] = ["curandCreateGenerator", "curandCreateGeneratorHost"];

/// What is no type, or one that the box lacks, makes no generator.
fn refusals(machine: &Machine) {
    for create in CREATE {
        let types = (0..12).map(|_| machine.between(-5, 300));
        for kind in types.chain(ELSEWHERE) {
            if HERE.iter().any(|(here, _)| *here == kind) {
                continue;
            }
            let status = if ELSEWHERE.contains(&kind) {
                ARCH_MISMATCH
            } else {
                TYPE_ERROR
            };
            let mut out = 77u64;
            let told = machine.call(create, &[at_mut(&mut out), word(kind)]);
            assert_eq!((told, out), (status, 77), "{create} of type {kind}");
            assert_eq!(machine.call(create, &[0, word(kind)]), NOT_INITIALIZED);
        }
    }
    for nobody in [0, 1, machine.next()] {
        let told = machine.call("curandDestroyGenerator", &[nobody]);
        assert_eq!(told, NOT_INITIALIZED);
    }
}

/// A generator, and what it has been made and set to.
struct Generator {
    handle: u64,
    host: bool,
    kind: i64,
    seed: u64,
    /// What it has made so far.
    numbers: Vec<u64>,
}

impl Generator {
    fn random(machine: &Machine) -> Self {
        let host = machine.once_in(2);
        let (asked, kind) = machine.one_of(&HERE);
        let mut handle = 0;
        let create = CREATE[usize::from(host)];
        let status = machine.call(create, &[at_mut(&mut handle), word(asked)]);
        assert_eq!(status, 0, "{create} of type {asked}");
        let seed = machine.between(0, 2).unsigned_abs();
        let told = machine.call("curandSetPseudoRandomGeneratorSeed", &[handle, seed]);
        // Only what is pseudorandom has a seed, and only what is quasirandom dimensions.
        assert_eq!(
            told,
            if kind < 200 { 0 } else { TYPE_ERROR },
            "type {asked}"
        );
        let dimensions = machine.call("curandSetQuasiRandomGeneratorDimensions", &[handle, 1]);
        assert_eq!(
            dimensions,
            if kind < 200 { TYPE_ERROR } else { 0 },
            "type {asked}"
        );
        Self {
            handle,
            host,
            kind,
            seed,
            numbers: Vec::new(),
        }
    }

    /// Makes some more numbers. The host's lie with the program, the others on the device.
    fn go_on(&mut self, machine: &Machine) {
        let count = 8 * machine.between(1, 20) as usize;
        let (size, right, wrong) = match self.kind {
            WIDE => (8, "curandGenerateLongLong", "curandGenerate"),
            _ => (4, "curandGenerate", "curandGenerateLongLong"),
        };
        let place = if self.host {
            Place::Host
        } else {
            Place::Device
        };
        let zeros = vec![0; count * size];
        let memory = machine.memory(place, &zeros);
        let words = [self.handle, memory.address, count as u64];
        assert_eq!(
            machine.call(wrong, &words),
            TYPE_ERROR,
            "type {}",
            self.kind
        );
        assert!(memory.read() == zeros);
        assert_eq!(machine.call(right, &words), 0, "type {}", self.kind);
        machine.driver("cuCtxSynchronize", &[]);
        let number = |bytes: &[u8]| {
            let mut number = [0; 8];
            number[..size].copy_from_slice(bytes);
            u64::from_le_bytes(number)
        };
        self.numbers
            .extend(memory.read().chunks_exact(size).map(number));
    }

    /// Sobol's sequence of one dimension: the bits of the number's Gray code, mirrored.
    fn sobol(&self) -> Option<Vec<u64>> {
        let bits = match self.kind {
            201 => 32,
            WIDE => 64,
            _ => return None,
        };
        let gray = |i: u64| i ^ (i >> 1);
        let number = |i: u64| gray(i).reverse_bits() >> (64 - bits);
        Some((0..self.numbers.len() as u64).map(number).collect())
    }
}

/// Generators side by side: each goes on where it was, like every other of its type and seed, on the host and on the device, and like none of another.
fn sequences(machine: &Machine) {
    let mut generators: Vec<Generator> = Vec::new();
    let mut ended: Vec<Generator> = Vec::new();
    for _ in 0..60 {
        if generators.len() < 4 || machine.once_in(4) {
            let new = Generator::random(machine);
            assert!(generators.iter().all(|other| other.handle != new.handle));
            generators.push(new);
        }
        let which = machine.next() as usize % generators.len();
        generators[which].go_on(machine);
        if machine.once_in(4) {
            let gone = generators.swap_remove(which);
            let end = || machine.call("curandDestroyGenerator", &[gone.handle]);
            assert_eq!((end(), end()), (0, NOT_INITIALIZED));
            let words = [gone.handle, 8, 8];
            assert_eq!(machine.call("curandGenerate", &words), NOT_INITIALIZED);
            ended.push(gone);
        }
    }
    for generator in &generators {
        let told = machine.call("curandDestroyGenerator", &[generator.handle]);
        assert_eq!(told, 0);
    }
    generators.extend(ended);
    for one in &generators {
        if let Some(sobol) = one.sobol() {
            assert_eq!(one.numbers, sobol, "type {}", one.kind);
        }
        for other in &generators {
            let both = one.numbers.iter().zip(&other.numbers);
            let (length, equal) = (both.len(), both.filter(|(a, b)| a == b).count());
            let like = one.kind == other.kind && (one.kind >= 200 || one.seed == other.seed);
            let what = format!(
                "types {} and {}, seeds {} and {}, {equal} of {length}",
                one.kind, other.kind, one.seed, other.seed
            );
            assert!(
                if like {
                    equal == length
                } else {
                    equal <= length / 8
                },
                "{what}"
            );
        }
    }
    machine.holds(&[CREATE[0], CREATE[1], "curandDestroyGenerator"]);
}
