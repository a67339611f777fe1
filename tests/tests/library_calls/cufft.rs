//! cuFFT's plans: made at once in any shape, ended, given a work area; and what is said of several GPUs and callbacks.

use crate::machine::{Machine, Place, at, at_mut, word};
use crate::transform::{Transform, Way};

const INVALID_PLAN: i32 = 1;
const INVALID_TYPE: i32 = 3;
const INVALID_VALUE: i32 = 4;
const INVALID_SIZE: i32 = 8;
const INVALID_DEVICE: i32 = 11;
const NOT_IMPLEMENTED: i32 = 14;
const NOT_SUPPORTED: i32 = 16;

const ON_DEVICE: [Place; 2] = [Place::Device; 2];

pub(crate) fn round(machine: &Machine) {
    versions(machine);
    for rank in [1, 2, 3] {
        for double in [false, true] {
            for way in [
                Way::Complex(-1),
                Way::Complex(1),
                Way::Forward,
                Way::Backward,
            ] {
                simple(machine, rank, way, double);
                many(machine, rank, way, double);
            }
        }
    }
    handles(machine);
    extensions(machine);
}

/// `cufftType`, and the function that executes it.
fn kind(transform: &Transform) -> (u64, &'static str) {
    match (transform.way, transform.double) {
        (Way::Forward, false) => (0x2a, "cufftExecR2C"),
        (Way::Backward, false) => (0x2c, "cufftExecC2R"),
        (Way::Complex(_), false) => (0x29, "cufftExecC2C"),
        (Way::Forward, true) => (0x6a, "cufftExecD2Z"),
        (Way::Backward, true) => (0x6c, "cufftExecZ2D"),
        (Way::Complex(_), true) => (0x69, "cufftExecZ2Z"),
    }
}

fn execute(machine: &Machine, transform: &Transform, plan: i32, [from, to]: [u64; 2]) -> i32 {
    let mut words = vec![word(plan), from, to];
    if let Way::Complex(sign) = transform.way {
        words.push(word(sign));
    }
    machine.call(kind(transform).1, &words)
}

/// Executes a plan twice, and ends it.
fn check(machine: &Machine, transform: &Transform, plan: i32, what: &str) {
    for _ in 0..2 {
        let data = transform.data(machine, ON_DEVICE);
        assert_eq!(
            execute(machine, transform, plan, data.addresses()),
            0,
            "{what}"
        );
        transform.check(&data, what);
    }
    assert_eq!(machine.call("cufftDestroy", &[word(plan)]), 0, "{what}");
    let data = transform.data(machine, ON_DEVICE);
    let told = execute(machine, transform, plan, data.addresses());
    assert_eq!(told, INVALID_PLAN, "{what}: it is no more");
    assert_eq!(machine.call("cufftDestroy", &[word(plan)]), INVALID_PLAN);
}

/// `cufftPlan1d`, `2d`, `3d`.
fn simple(machine: &Machine, rank: usize, way: Way, double: bool) {
    let mut transform = Transform::random(machine, rank, way, double);
    if rank == 1 {
        transform.batch = machine.between(1, 4) as usize;
    }
    let name = format!("cufftPlan{rank}d");
    let mut plan = -1i32;
    let mut words = vec![at_mut(&mut plan)];
    words.extend(transform.n.iter().map(|n| *n as u64));
    words.push(kind(&transform).0);
    if rank == 1 {
        words.push(transform.batch as u64);
    }
    let what = format!("{name} {transform:?}");

    // Any extent may be none, and the type one that there is not.
    let wrong = 1 + machine.next() as usize % (rank + 1);
    let mut refused = words.clone();
    let (value, status) = if wrong == rank + 1 {
        (machine.one_of(&[0, 0x2b, 0x70]), INVALID_TYPE)
    } else {
        (machine.one_of(&[0, word(-1), word(-40)]), INVALID_SIZE)
    };
    refused[wrong] = value;
    assert_eq!(
        machine.call(&name, &refused),
        status,
        "{what}: {wrong} is {value}"
    );
    assert_eq!(plan, -1, "{what}: no plan");
    refused.clone_from(&words);
    refused[0] = 0;
    assert_eq!(
        machine.call(&name, &refused),
        INVALID_VALUE,
        "{what}: nowhere"
    );

    assert_eq!(machine.call(&name, &words), 0, "{what}");
    check(machine, &transform, plan, &what);
    machine.holds(&[&name]);
}

/// `cufftPlanMany`: batches, in any layout or, where one side's is not said, without gaps.
fn many(machine: &Machine, rank: usize, way: Way, double: bool) {
    let mut transform = Transform::random(machine, rank, way, double);
    transform.batch = machine.between(1, 4) as usize;
    let said = machine.between(0, 3);
    if said == 3 {
        transform.spread(machine);
    }
    let ints = |numbers: &[usize]| numbers.iter().map(|n| *n as i32).collect::<Vec<i32>>();
    let extents = ints(&transform.n);
    let embeds = [ints(&transform.input.embed), ints(&transform.output.embed)];
    let embed = |side: usize| {
        if said >> side & 1 == 1 {
            at(&embeds[side][0])
        } else {
            0
        }
    };
    let mut plan = -1i32;
    let words = [
        at_mut(&mut plan),
        rank as u64,
        at(&extents[0]),
        embed(0),
        transform.input.stride as u64,
        transform.input.distance as u64,
        embed(1),
        transform.output.stride as u64,
        transform.output.distance as u64,
        kind(&transform).0,
        transform.batch as u64,
    ];
    let what = format!("cufftPlanMany {transform:?}");
    let mut refused = words;
    refused[0] = 0;
    assert_eq!(
        machine.call("cufftPlanMany", &refused),
        INVALID_VALUE,
        "{what}: nowhere"
    );
    refused = words;
    refused[10] = machine.one_of(&[0, word(-1)]);
    assert_eq!(
        machine.call("cufftPlanMany", &refused),
        INVALID_SIZE,
        "{what}: none"
    );
    assert_eq!(plan, -1, "{what}: no plan");

    assert_eq!(machine.call("cufftPlanMany", &words), 0, "{what}");
    check(machine, &transform, plan, &what);
    machine.holds(&["cufftPlanMany"]);
}

fn create(machine: &Machine) -> i32 {
    let mut plan = -1;
    assert_eq!(machine.call("cufftCreate", &[at_mut(&mut plan)]), 0);
    plan
}

/// Makes a plan of its own number; transforms of one dimension.
fn make(machine: &Machine, plan: i32) -> Transform {
    let way = machine.one_of(&[Way::Complex(1), Way::Forward, Way::Backward]);
    let transform = Transform::random(machine, 1, way, machine.once_in(2));
    let mut size = 0u64;
    let (n, kind) = (transform.n[0] as u64, kind(&transform).0);
    let words = [word(plan), n, kind, 1, at_mut(&mut size)];
    assert_eq!(machine.call("cufftMakePlan1d", &words), 0, "{transform:?}");
    transform
}

/// Plans have numbers of their own, and ending one leaves the others.
fn handles(machine: &Machine) {
    assert_eq!(machine.call("cufftCreate", &[0]), INVALID_VALUE);
    let plans: Vec<i32> = (0..6).map(|_| create(machine)).collect();
    let made: Vec<Transform> = plans.iter().map(|plan| make(machine, *plan)).collect();
    let mut there = vec![true; plans.len()];
    for _ in 0..20 {
        let which = machine.next() as usize % plans.len();
        let (plan, transform) = (plans[which], &made[which]);
        assert!(plans.iter().filter(|other| **other == plan).count() == 1);
        let status = if there[which] { 0 } else { INVALID_PLAN };
        let data = transform.data(machine, ON_DEVICE);
        let told = execute(machine, transform, plan, data.addresses());
        assert_eq!(told, status, "{transform:?}");
        if told == 0 {
            transform.check(&data, &format!("{transform:?}"));
        }
        if machine.once_in(4) {
            assert_eq!(machine.call("cufftDestroy", &[word(plan)]), status);
            there[which] = false;
        }
    }
    for (plan, there) in plans.iter().zip(there) {
        let status = if there { 0 } else { INVALID_PLAN };
        assert_eq!(machine.call("cufftDestroy", &[word(*plan)]), status);
    }
    for nobody in [0, -1, i32::MAX] {
        assert_eq!(machine.call("cufftDestroy", &[word(nobody)]), INVALID_PLAN);
    }
    machine.holds(&["cufftCreate", "cufftDestroy"]);
}

fn versions(machine: &Machine) {
    let told = |which: i64| {
        let mut out = -1i32;
        let status = machine.call("cufftGetProperty", &[word(which), at_mut(&mut out)]);
        (status, out)
    };
    let [major, minor, patch] = [0, 1, 2].map(|which| {
        let (status, value) = told(which);
        assert_eq!(status, 0);
        assert_eq!(
            machine.call("cufftGetProperty", &[word(which), 0]),
            INVALID_VALUE
        );
        value
    });
    for which in [-1, 3, machine.between(4, 1000)] {
        assert_eq!(told(which), (INVALID_TYPE, -1), "property {which}");
    }
    let mut version = 0i32;
    assert_eq!(machine.call("cufftGetVersion", &[at_mut(&mut version)]), 0);
    assert_eq!(machine.call("cufftGetVersion", &[0]), INVALID_VALUE);
    assert!(major >= 11);
    assert_eq!(version, major * 1000 + minor * 100 + patch);
    machine.holds(&["cufftGetVersion", "cufftGetProperty"]);
}

/// What `cufftXt.h` adds: a work area serves; one GPU is not several; callbacks are the static library's. Whatever was refused, the plan is as it was.
fn extensions(machine: &Machine) {
    for _ in 0..12 {
        let plan = create(machine);
        let nobody = machine.one_of(&[0, -1, plan + 100_000]);
        let count = machine.between(-1, 18);
        let mut devices = [0i32; 20];
        let there = machine.once_in(2);
        if !there {
            let first = count.clamp(1, 20).unsigned_abs() as usize;
            devices[machine.next() as usize % first] = machine.one_of(&[-1, 1, 64]);
        }
        let gpus = |plan: i32, devices: u64| {
            machine.call("cufftXtSetGPUs", &[word(plan), word(count), devices])
        };
        let status = match (2..=16).contains(&count) {
            false => INVALID_VALUE,
            true if there => NOT_SUPPORTED,
            true => INVALID_DEVICE,
        };
        assert_eq!(gpus(plan, at(&devices)), status, "{count} of {devices:?}");
        assert_eq!(gpus(plan, 0), INVALID_VALUE);
        assert_eq!(gpus(nobody, at(&devices)), INVALID_PLAN);
        let transform = make(machine, plan);
        assert_eq!(gpus(plan, at(&devices)), INVALID_PLAN, "it is made");

        let (mut out, which) = (77u64, machine.between(-2, 2));
        let query =
            |plan: i32, out: u64| machine.call("cufftXtQueryPlan", &[word(plan), out, word(which)]);
        let status = if which == 0 {
            INVALID_PLAN
        } else {
            INVALID_VALUE
        };
        assert_eq!(query(plan, at_mut(&mut out)), status, "query {which}");
        assert_eq!(query(nobody, at_mut(&mut out)), INVALID_PLAN);
        assert_eq!(out, 77, "nothing is told");

        let (routine, kind) = (machine.next(), word(machine.between(-1, 9)));
        let told = machine.call("cufftXtSetCallback", &[word(plan), routine, kind, 0]);
        assert_eq!(told, NOT_IMPLEMENTED);
        let told = machine.call("cufftXtClearCallback", &[word(plan), kind]);
        assert_eq!(told, NOT_IMPLEMENTED);

        let mut size = 0u64;
        let words = [word(plan), at_mut(&mut size)];
        assert_eq!(machine.call("cufftGetSize", &words), 0);
        let area = machine.memory(Place::Device, &vec![0; size.max(64) as usize]);
        let areas = [area.address];
        let set = |plan: i32, areas: u64| machine.call("cufftXtSetWorkArea", &[word(plan), areas]);
        assert_eq!(set(plan, 0), INVALID_VALUE);
        assert_eq!(set(nobody, at(&areas)), INVALID_PLAN);
        assert_eq!(set(plan, at(&areas)), 0);
        check(
            machine,
            &transform,
            plan,
            &format!("with an area: {transform:?}"),
        );
    }
    machine.holds(&[
        "cufftXtSetGPUs",
        "cufftXtQueryPlan",
        "cufftXtSetCallback",
        "cufftXtClearCallback",
        "cufftXtSetWorkArea",
    ]);
}
