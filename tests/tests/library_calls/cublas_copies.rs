//! `cublasSetVector`, `cublasGetMatrix` and the like: exactly the elements that are meant arrive, whatever their size and distance.

use crate::machine::{Machine, Memory, Place, word};

const INVALID_VALUE: i32 = 7;
const MAPPING_ERROR: i32 = 11;

/// Copies of each function in a round.
const CASES: usize = 12;

pub(crate) fn round(machine: &Machine) {
    let mut failed = false;
    for wide in ["", "_64"] {
        for stream in ["", "Async"] {
            for what in ["Vector", "Matrix"] {
                for way in ["Set", "Get"] {
                    let name = format!("cublas{way}{what}{stream}{wide}");
                    for _ in 0..CASES {
                        one(machine, &name, &mut failed);
                    }
                    machine.holds(&[&name]);
                }
            }
        }
    }
}

/// One copy. `failed`: a copy has failed since the last that tells of it, which is `cublasSetMatrixAsync`.
fn one(machine: &Machine, name: &str, failed: &mut bool) {
    let (set, matrix, on_stream) = (
        name.contains("Set"),
        name.contains("Matrix"),
        name.contains("Async"),
    );
    // Of vectors, elements one by one.
    let (run, count) = match matrix {
        true => (machine.between(0, 9), machine.between(0, 6)),
        false => (1, machine.between(0, 30)),
    };
    let element = machine.one_of(&[1, 2, 3, 4, 8, 16, 24]);
    let least = if matrix { run.max(1) } else { 1 };
    let mut steps = [(); 2].map(|()| least + machine.one_of(&[0, 0, 1, 5]));
    let bytes = |step: i64| ((count - 1).max(0) * step + run.max(1)) * element;
    let [from, to] = steps.map(|step| machine.bytes(bytes(step) as usize));
    let mut expected = to.clone();
    for i in 0..count {
        let at = |step: i64| (i * step * element) as usize;
        let bytes = (run * element) as usize;
        expected[at(steps[1])..][..bytes].copy_from_slice(&from[at(steps[0])..][..bytes]);
    }

    let (mut shape, mut size) = ([run, count], element);
    let mut status = 0;
    let elements = run > 0 && count > 0;
    if machine.once_in(4) {
        let which = machine.between(0, 3);
        status = match which {
            0 => {
                size = machine.between(-2, 0);
                INVALID_VALUE
            }
            1 => {
                steps[machine.next() as usize % 2] = machine.between(-3, 0);
                INVALID_VALUE
            }
            2 if matrix => {
                shape[machine.next() as usize % 2] = -1;
                INVALID_VALUE
            }
            // A negative number of elements, and rows that overlap, are left to the copy, which fails.
            2 => {
                shape[1] = -1;
                MAPPING_ERROR
            }
            _ if matrix && elements && run > 1 => {
                steps[machine.next() as usize % 2] = run - 1;
                MAPPING_ERROR
            }
            _ => 0,
        };
        if status != 0 {
            expected.clone_from(&to);
        }
    }
    // Copies that tell of an earlier failure, and which themselves have something to do.
    let tells = on_stream && matrix && set && status != INVALID_VALUE && elements;
    *failed |= status == MAPPING_ERROR;
    if tells && std::mem::take(failed) {
        status = MAPPING_ERROR;
    }

    // A copy on a stream to pageable memory would have to be waited for.
    let host = if on_stream && !set {
        Place::Pinned
    } else {
        machine.one_of(&[Place::Host, Place::Pinned])
    };
    let places = if set {
        [host, Place::Device]
    } else {
        [Place::Device, host]
    };
    let [source, target]: [Memory<'_>; 2] = [
        machine.memory(places[0], &from),
        machine.memory(places[1], &to),
    ];
    let stream = on_stream.then(|| machine.stream());
    let mut words = match matrix {
        true => vec![word(shape[0]), word(shape[1]), word(size)],
        false => vec![word(shape[1]), word(size)],
    };
    words.extend([
        source.address,
        word(steps[0]),
        target.address,
        word(steps[1]),
    ]);
    words.extend(stream.as_ref().map(|stream| stream.address));
    let what = format!("{name} {shape:?} of {size} at {steps:?}, {places:?}");
    assert_eq!(machine.call(name, &words), status, "{what}");
    if let Some(stream) = stream {
        stream.wait();
    }
    assert!(target.read() == expected, "{what}: what arrives");
    assert!(source.read() == from, "{what}: the source stays");
}
