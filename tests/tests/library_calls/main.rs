//! What the libraries' functions do that are written by hand on the client: a program that opens our libraries by name calls each of them again and again with random arguments, over a
//! session on the CPU device, and compares what comes of it with a reference of its own.
//!
//! This test is that program, too, when it is started with [`AS_PROGRAM`]. It says which functions have kept what they promise; what they cost, `GVIRTUS_STATS` tells. A function whose class
//! says that nobody waits makes no more round trips in several rounds than in one.

#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "the program's part: its pointers are those of the calls"
)]

mod cublas;
mod cublas_copies;
mod cublas_legacy;
mod cublas_xt;
mod cufft;
mod cufftw;
mod curand;
mod machine;
mod numbers;
#[path = "../../property/record.rs"]
mod property;
mod transform;

use std::collections::{BTreeMap, BTreeSet};

use gvirtus_tests::backend::{Backend, Transport, tail};
use gvirtus_tests::program::{self, Stats};
use libtest_mimic::{Arguments, Trial};

use machine::Machine;

/// The first argument of the program; behind it library, major version and rounds.
const AS_PROGRAM: &str = "--as-program";

/// So many rounds, and one.
const ROUNDS: u64 = 3;

/// A declaration: name, class, majors.
type Row = (&'static str, &'static str, &'static [u32]);

/// Every row of a table.
macro_rules! all_rows { ($(group $group:literal { $($class:ident [$($major:literal)*] fn $name:ident $parameters:tt;)* })*) => {
    const ROWS: &[super::Row] = &[$($((stringify!($name), stringify!($class), &[$($major),*]),)*)*];
} }
mod cublas_rows {
    gvirtus_wire::cublas_api!(all_rows);
    pub(super) const ALL: &[super::Row] = ROWS;
}
mod cufft_rows {
    gvirtus_wire::cufft_api!(all_rows);
    pub(super) const ALL: &[super::Row] = ROWS;
}
mod cufftw_rows {
    gvirtus_wire::cufftw_api!(all_rows);
    pub(super) const ALL: &[super::Row] = ROWS;
}
mod curand_rows {
    gvirtus_wire::curand_api!(all_rows);
    pub(super) const ALL: &[super::Row] = ROWS;
}

/// A library, and the program that calls it.
struct Library {
    name: &'static str,
    majors: &'static [u32],
    rows: &'static [Row],
    round: fn(&Machine),
}

const LIBRARIES: [Library; 4] = [
    Library {
        name: "cublas",
        majors: &[12, 13],
        rows: cublas_rows::ALL,
        round: |machine| {
            cublas::round(machine);
            cublas_copies::round(machine);
            cublas_legacy::round(machine);
            cublas_xt::round(machine);
        },
    },
    Library {
        name: "cufft",
        majors: &[11, 12],
        rows: cufft_rows::ALL,
        round: cufft::round,
    },
    Library {
        name: "cufftw",
        majors: &[11, 12],
        rows: cufftw_rows::ALL,
        round: cufftw::round,
    },
    Library {
        name: "curand",
        majors: &[10],
        rows: curand_rows::ALL,
        round: curand::round,
    },
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [first, name, major, rounds] = arguments.as_slice()
        && first == AS_PROGRAM
    {
        let library = LIBRARIES.iter().find(|library| library.name == *name);
        let rounds = rounds.parse().expect("a number");
        return be_program(library.expect("a library"), major, rounds);
    }
    let trials = LIBRARIES
        .iter()
        .map(|library| {
            Trial::test(library.name, || {
                check(library);
                Ok(())
            })
        })
        .collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

/// The program: so many rounds, each with numbers of its own.
fn be_program(library: &Library, major: &str, rounds: u64) {
    let machine = Machine::open(&format!("lib{}.so.{major}", library.name));
    for _ in 0..rounds {
        (library.round)(&machine);
    }
    for (name, times) in machine.held() {
        println!("held {name} {times}");
    }
}

/// What a function's calls cost that the client's own code answers for; the others are forwarded by their declarations, or refused.
fn class(row: &Row) -> Option<&'static str> {
    match row.1 {
        "local" | "local_void" | "local_plan" => Some("local"),
        "on_host" | "plan" | "void" | "made_sync" => Some("sync"),
        "made_async" => Some("async"),
        "made_implicit_sync" => Some("implicit_sync"),
        _ => None,
    }
}

/// What came of a program: how often each function has kept what it promises, and what calls cost.
fn run(
    backend: &Backend,
    library: &Library,
    major: u32,
    rounds: u64,
) -> (BTreeMap<String, u64>, Stats) {
    let path = std::env::current_exe().expect("this test has a path");
    let (major, rounds) = (major.to_string(), rounds.to_string());
    let outcome = program::run_with(&path, backend, |command| {
        command.args([AS_PROGRAM, library.name, &major, &rounds]);
    });
    let outcome = outcome.expect("the program can be started");
    assert!(
        outcome.succeeded(),
        "{} {major}: {:?}\n-- its output\n{}\n-- its errors\n{}\n-- the backend's log\n{}",
        library.name,
        outcome.status,
        tail(&outcome.stdout),
        tail(&outcome.stderr),
        tail(&backend.log())
    );
    let held = outcome.stdout.lines().filter_map(|line| {
        let (name, times) = line.strip_prefix("held ")?.split_once(' ')?;
        Some((name.to_owned(), times.parse().ok()?))
    });
    let stats = outcome.stats.expect("the program writes statistics");
    (held.collect(), stats)
}

fn check(library: &Library) {
    let backend = Backend::start(Transport::Unix).expect("a backend starts");
    let mut tested = BTreeSet::new();
    for &major in library.majors {
        let (_, once) = run(&backend, library, major, 1);
        let (held, more) = run(&backend, library, major, ROUNDS);
        let rows = library.rows.iter().filter(|row| row.2.contains(&major));
        for (row, class) in rows.filter_map(|row| Some((row, class(row)?))) {
            let (name, what) = (row.0, format!("{} of {} {major}", row.0, library.name));
            let times = held.get(name).copied().unwrap_or(0);
            assert!(times >= ROUNDS, "{what}: looked at {times} times");
            assert!(
                more.calls(name) >= times && more.calls(name) > once.calls(name),
                "{what}: called {} times",
                more.calls(name)
            );
            if matches!(class, "local" | "async") {
                assert_eq!(
                    more.round_trips_of(name),
                    once.round_trips_of(name),
                    "{what} is {class}: its calls wait for nobody"
                );
            }
            tested.insert(name);
        }
    }
    property::record(&format!("{}_by_hand", library.name), tested);
}
