//! FFTW's interface over cuFFT: every way to make a plan, by its parameters' names, executed on its own data and on others, wherever they lie; and the rest.

use crate::machine::{Machine, Place, at, at_mut, word};
use crate::transform::{Spread, Transform, Way};

pub(crate) fn round(machine: &Machine) {
    for precision in ["fftw", "fftwf"] {
        for suffix in ["", "_r2c", "_c2r"] {
            for interface in INTERFACES {
                for _ in 0..3 {
                    let maker = Maker {
                        precision,
                        interface,
                        suffix,
                    };
                    maker.plan(machine);
                }
            }
        }
        helpers(machine, precision);
        memory(machine, precision);
    }
}

/// How plans are made: what stands between `plan` and the suffix and behind it, dimensions in the name, and parameters.
type Interface = (&'static str, &'static str, usize, &'static [&'static str]);

const GURU: &[&str] = &["rank", "dims", "batch_rank", "batch_dims", "in", "out"];
const INTERFACES: [Interface; 7] = [
    ("_dft", "_1d", 1, &["n0", "in", "out"]),
    ("_dft", "_2d", 2, &["n0", "n1", "in", "out"]),
    ("_dft", "_3d", 3, &["n0", "n1", "n2", "in", "out"]),
    ("_dft", "", 0, &["rank", "n", "in", "out"]),
    (
        "_many_dft",
        "",
        0,
        &[
            "rank", "n", "batch", "in", "inembed", "istride", "idist", "out", "onembed", "ostride",
            "odist",
        ],
    ),
    ("_guru_dft", "", 0, GURU),
    ("_guru64_dft", "", 0, GURU),
];

/// A function that makes plans.
#[derive(Clone, Copy)]
struct Maker {
    precision: &'static str,
    interface: Interface,
    suffix: &'static str,
}

/// What its parameters are.
struct Arguments {
    n: Vec<i32>,
    embeds: [Vec<i32>; 2],
    /// Dimensions of the guru interface, and those of the batch, in both widths.
    narrow: [Vec<[i32; 3]>; 2],
    wide: [Vec<[i64; 3]>; 2],
    /// The many interface says how the data lie.
    said: bool,
}

/// Strides of each dimension of an array in an array.
fn strides(spread: &Spread) -> Vec<usize> {
    let rank = spread.embed.len();
    let inner = |at: usize| spread.embed[at + 1..].iter().product::<usize>();
    (0..rank).map(|at| inner(at) * spread.stride).collect()
}

fn ints(numbers: &[usize]) -> Vec<i32> {
    numbers.iter().map(|n| *n as i32).collect()
}

impl Arguments {
    fn of(transform: &Transform, said: bool) -> Self {
        let (input, output) = (strides(&transform.input), strides(&transform.output));
        let sides = input.iter().zip(&output);
        let dimension = |(n, (input, output)): (&usize, (&usize, &usize))| [*n, *input, *output];
        let own = transform.n.iter().zip(sides).map(dimension).collect();
        let (input, output) = (transform.input.distance, transform.output.distance);
        let both: [Vec<[usize; 3]>; 2] = [own, vec![[transform.batch, input, output]]];
        let narrow = |all: &Vec<[usize; 3]>| all.iter().map(|d| d.map(|n| n as i32)).collect();
        let wide = |all: &Vec<[usize; 3]>| all.iter().map(|d| d.map(|n| n as i64)).collect();
        Self {
            n: ints(&transform.n),
            embeds: [ints(&transform.input.embed), ints(&transform.output.embed)],
            narrow: both.each_ref().map(narrow),
            wide: both.each_ref().map(wide),
            said,
        }
    }
}

impl Maker {
    fn name(&self) -> String {
        let (between, behind, ..) = self.interface;
        format!("{}_plan{between}{}{behind}", self.precision, self.suffix)
    }

    fn words(&self, transform: &Transform, arguments: &Arguments, data: [u64; 2]) -> Vec<u64> {
        let (between, _, _, parameters) = self.interface;
        let narrow = between == "_guru_dft";
        let dimensions = |which: usize| {
            if narrow {
                at(&arguments.narrow[which][0])
            } else {
                at(&arguments.wide[which][0])
            }
        };
        let embed = |side: usize| {
            if arguments.said {
                at(&arguments.embeds[side][0])
            } else {
                0
            }
        };
        let word_of = |name: &&str| match *name {
            "n0" => transform.n[0] as u64,
            "n1" => transform.n[1] as u64,
            "n2" => transform.n[2] as u64,
            "rank" => transform.n.len() as u64,
            "n" => at(&arguments.n[0]),
            "batch" => transform.batch as u64,
            "in" => data[0],
            "out" => data[1],
            "inembed" => embed(0),
            "onembed" => embed(1),
            "istride" => transform.input.stride as u64,
            "ostride" => transform.output.stride as u64,
            "idist" => transform.input.distance as u64,
            "odist" => transform.output.distance as u64,
            "dims" => dimensions(0),
            "batch_rank" => 1,
            _ => dimensions(1),
        };
        let mut words: Vec<u64> = parameters.iter().map(word_of).collect();
        if let Way::Complex(sign) = transform.way {
            words.push(word(sign));
        }
        // FFTW_ESTIMATE.
        words.push(64);
        words
    }

    /// A random transform that the interface can say.
    fn random(&self, machine: &Machine) -> (Transform, bool) {
        let way = match self.suffix {
            "_r2c" => Way::Forward,
            "_c2r" => Way::Backward,
            _ => Way::Complex(machine.one_of(&[-1, 1])),
        };
        let (between, _, rank, _) = self.interface;
        let rank = if rank == 0 {
            machine.between(1, 3) as usize
        } else {
            rank
        };
        let double = self.precision == "fftw";
        let mut transform = Transform::random(machine, rank, way, double);
        let said = between != "_dft" && machine.once_in(2);
        if between != "_dft" {
            transform.batch = machine.between(1, 4) as usize;
        }
        if said {
            transform.spread(machine);
        }
        (transform, said)
    }

    /// Makes a plan, executes it on its own data and on others, and ends it.
    fn plan(&self, machine: &Machine) {
        let name = self.name();
        let (transform, said) = self.random(machine);
        let arguments = Arguments::of(&transform, said);
        let anywhere = || [(); 2].map(|()| machine.one_of(&Place::ALL));
        let data = transform.data(machine, anywhere());
        let words = self.words(&transform, &arguments, data.addresses());
        let what = format!("{name} {transform:?}");
        let plan = machine.words(&name, &words);
        assert_ne!(plan, 0, "{what}: no plan");

        let execute = format!("{}_execute", self.precision);
        machine.words(&execute, &[plan]);
        transform.check(&data, &what);
        let other = transform.data(machine, anywhere());
        let [from, to] = other.addresses();
        let execute_dft = format!("{execute}_dft{}", self.suffix);
        machine.words(&execute_dft, &[plan, from, to]);
        transform.check(&other, &format!("{what}, other data"));

        self.refusals(machine, &transform, &words, &what);
        let destroy = format!("{}_destroy_plan", self.precision);
        machine.words(&destroy, &[plan]);
        // What is no plan does nothing: FFTW has no way of saying so.
        let third = transform.data(machine, anywhere());
        let [from, to] = third.addresses();
        machine.words(&execute_dft, &[plan, from, to]);
        machine.words(&execute, &[0]);
        machine.words(&destroy, &[plan]);
        third.is_untouched(&what);
        machine.holds(&[&name, &execute, &execute_dft, &destroy]);
    }

    /// What is no transform makes no plan.
    fn refusals(&self, machine: &Machine, transform: &Transform, words: &[u64], what: &str) {
        let parameters = self.interface.3;
        let none = [[0i64; 3]; 3];
        for (at_word, parameter) in parameters.iter().enumerate() {
            let wrong = match *parameter {
                "n0" | "n1" | "n2" | "batch" => machine.one_of(&[0, word(-1)]),
                "rank" => machine.one_of(&[0, 4, word(-1)]),
                "n" => 0,
                "dims" => at(&none),
                "batch_rank" => machine.one_of(&[0, 2]),
                _ => continue,
            };
            let mut words = words.to_vec();
            words[at_word] = wrong;
            if *parameter == "batch_rank" && wrong == 2 {
                // Of which there have to be two.
                words[at_word + 1] = at(&none);
            }
            assert_eq!(
                machine.words(&self.name(), &words),
                0,
                "{what}: {parameter} is {wrong:#x}"
            );
        }
        if let Way::Complex(_) = transform.way {
            let mut words = words.to_vec();
            words[parameters.len()] = machine.one_of(&[0, 2, word(-2)]);
            assert_eq!(machine.words(&self.name(), &words), 0, "{what}: a sign");
        }
    }
}

/// A plan of a few numbers works.
fn works(machine: &Machine, precision: &'static str, what: &str) {
    let maker = Maker {
        precision,
        interface: INTERFACES[0],
        suffix: "",
    };
    let (transform, said) = maker.random(machine);
    let data = transform.data(machine, [Place::Host; 2]);
    let words = maker.words(
        &transform,
        &Arguments::of(&transform, said),
        data.addresses(),
    );
    let plan = machine.words(&maker.name(), &words);
    machine.words(&format!("{precision}_execute"), &[plan]);
    transform.check(&data, what);
    machine.words(&format!("{precision}_destroy_plan"), &[plan]);
}

/// What FFTW has besides: it does what its name says, or nothing, and plans are made all the same.
fn helpers(machine: &Machine, precision: &'static str) {
    let name = |name: &str| format!("{precision}_{name}");
    let printed = machine.printed(|| {
        for _ in 0..4 {
            let plan = machine.one_of(&[0, machine.next()]);
            machine.words(&name("print_plan"), &[plan]);
            let cost: unsafe extern "C" fn(u64) -> f64 = machine.function(&name("cost"));
            assert_eq!(unsafe { cost(plan) }, 1.0, "one cost for all plans");

            let before = [3.5, -2.0, 7.25f64];
            let mut out = before;
            let mut words = vec![plan];
            words.extend(out.iter_mut().map(at_mut));
            machine.words(&name("flops"), &words);
            assert_eq!(out, [1.0; 3]);
            out = before;
            words[1 + machine.next() as usize % 3] = 0;
            machine.words(&name("flops"), &words);
            assert_eq!(out, before, "not all of them can be told");

            let limit: unsafe extern "C" fn(f64) = machine.function(&name("set_timelimit"));
            let seconds = machine.one_of(&[-1.0, 0.0, 1e-9, machine.between(1, 99) as f64]);
            unsafe { limit(seconds) };
            works(machine, precision, &format!("with {seconds} seconds"));

            wisdom(machine, precision);
            machine.words(&name("cleanup"), &[]);
            works(machine, precision, "after all was cleaned up");
        }
    });
    assert_eq!(printed, "");
    for helper in [
        "print_plan",
        "cost",
        "flops",
        "set_timelimit",
        "cleanup",
        "export_wisdom_to_file",
        "import_wisdom_from_file",
    ] {
        machine.holds(&[&name(helper)]);
    }
}

/// There is none: nothing is written, and what is read is not taken for any.
fn wisdom(machine: &Machine, precision: &str) {
    let file = unsafe { libc::tmpfile() };
    assert!(!file.is_null());
    let written = || unsafe {
        libc::fflush(file);
        libc::fseek(file, 0, libc::SEEK_END);
        libc::ftell(file)
    };
    machine.words(
        &format!("{precision}_export_wisdom_to_file"),
        &[file as u64],
    );
    assert_eq!(written(), 0);
    unsafe { libc::fputs(c"(fftw-3.3.10 fftw_wisdom #x0)\n".as_ptr(), file) };
    let length = written();
    unsafe { libc::rewind(file) };
    let import = format!("{precision}_import_wisdom_from_file");
    assert_eq!(machine.call(&import, &[file as u64]), 0);
    assert_eq!(written(), length);
    unsafe { libc::fclose(file) };
}

/// Memory is the program's, aligned for a complex number, each piece apart.
fn memory(machine: &Machine, precision: &str) {
    let (malloc, free) = (format!("{precision}_malloc"), format!("{precision}_free"));
    let align = if precision == "fftw" { 16 } else { 8 };
    for _ in 0..5 {
        let pieces: Vec<(u64, Vec<u8>)> = (0..5)
            .map(|_| {
                let bytes = machine.bytes(machine.between(1, 5000) as usize);
                let address = machine.words(&malloc, &[bytes.len() as u64]);
                assert!(
                    address != 0 && address.is_multiple_of(align),
                    "{address:#x}"
                );
                unsafe {
                    let to = address as *mut u8;
                    std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len());
                }
                (address, bytes)
            })
            .collect();
        for (address, bytes) in pieces {
            let there = unsafe { std::slice::from_raw_parts(address as *const u8, bytes.len()) };
            assert!(there == bytes, "{} bytes stay", bytes.len());
            machine.words(&free, &[address]);
        }
        let most = machine.one_of(&[word(-1), u64::MAX >> 1]);
        assert_eq!(machine.words(&malloc, &[most]), 0);
        machine.words(&free, &[0]);
    }
    machine.holds(&[&malloc, &free]);
}
