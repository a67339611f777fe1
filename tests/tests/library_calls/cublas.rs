//! cuBLAS's handles: what a setter set is told back, of each handle its own; versions, names of statuses, loggers.

use std::collections::BTreeMap;

use crate::machine::{Machine, Stream, at_mut, text, word};

const NOT_INITIALIZED: i32 = 1;
const INVALID_VALUE: i32 = 7;

pub(crate) fn round(machine: &Machine) {
    handles(machine);
    versions(machine);
    statuses(machine);
    logger(machine);
}

/// A setting: its name, what it is at first, and the values that are taken.
struct Setting {
    name: &'static str,
    first: i64,
    taken: std::ops::RangeInclusive<i64>,
    /// The library's `_v2`.
    version: &'static str,
}

const fn setting(name: &'static str, first: i64, taken: std::ops::RangeInclusive<i64>) -> Setting {
    Setting {
        name,
        first,
        taken,
        version: "",
    }
}

/// Enumerations by their declarations in `cublas_api.h`.
const SETTINGS: [Setting; 10] = [
    Setting {
        version: "_v2",
        ..setting("PointerMode", 0, 0..=1)
    },
    setting("AtomicsMode", 0, 0..=1),
    setting("MathMode", 0, 0..=31),
    setting("EnvironmentMode", 0, 0..=1),
    setting("EmulationStrategy", 0, 0..=2),
    setting("EmulationSpecialValuesSupport", 0xffff, 0..=0xffff),
    setting("FixedPointEmulationMantissaControl", 0, 0..=1),
    setting(
        "FixedPointEmulationMaxMantissaBitCount",
        0,
        0..=i32::MAX as i64,
    ),
    setting(
        "FixedPointEmulationMantissaBitOffset",
        0,
        i32::MIN as i64..=i32::MAX as i64,
    ),
    setting("SmCountTarget", 0, 0..=i32::MAX as i64),
];
/// Of a handle that are addresses.
const ADDRESSES: [&str; 2] = ["Stream_v2", "FixedPointEmulationMantissaBitCountPointer"];

pub(crate) fn create(machine: &Machine) -> u64 {
    let mut handle = 0;
    assert_eq!(machine.call("cublasCreate_v2", &[at_mut(&mut handle)]), 0);
    handle
}

fn handles(machine: &Machine) {
    assert_eq!(machine.call("cublasCreate_v2", &[0]), INVALID_VALUE);
    let mut multiprocessors = 0i32;
    machine.driver(
        "cuDeviceGetAttribute",
        &[at_mut(&mut multiprocessors), 16, 0],
    );
    let streams: Vec<Stream<'_>> = (0..3).map(|_| machine.stream()).collect();
    let getter = |name: &str| format!("cublasGet{name}");
    let there: Vec<&Setting> = SETTINGS
        .iter()
        .filter(|setting| machine.has(&getter(&format!("{}{}", setting.name, setting.version))))
        .collect();
    let addresses: Vec<&str> = ADDRESSES
        .into_iter()
        .filter(|name| machine.has(&getter(name)))
        .collect();
    // What each handle has been told.
    let mut handles: Vec<(u64, BTreeMap<&str, i64>)> = Vec::new();
    let mut gone = vec![0, 99, 1 << 60];
    for step in 0..250 {
        if handles.is_empty() || step % 40 == 0 {
            let new = create(machine);
            assert!(handles.iter().all(|(handle, _)| *handle != new));
            gone.retain(|old| *old != new);
            handles.push((new, BTreeMap::new()));
        }
        let which = machine.next() as usize % handles.len();
        let (handle, told) = &mut handles[which];
        let nobody = machine.once_in(8).then(|| machine.one_of(&gone));
        let handle = nobody.unwrap_or(*handle);
        let known = |status: i32| {
            if nobody.is_some() {
                NOT_INITIALIZED
            } else {
                status
            }
        };
        if machine.once_in(3) {
            let name = machine.one_of(&addresses);
            let value = match name {
                "Stream_v2" => machine.one_of(&[
                    0,
                    streams[0].address,
                    streams[1].address,
                    streams[2].address,
                ]),
                _ => machine.next() & !7,
            };
            let status = machine.call(&format!("cublasSet{name}"), &[handle, value]);
            assert_eq!(status, known(0), "{name} {value:#x}");
            if status == 0 {
                told.insert(name, value.cast_signed());
            }
            let mut out = 1u64;
            let status = machine.call(&getter(name), &[handle, at_mut(&mut out)]);
            let expected = told.get(name).copied().unwrap_or(0).cast_unsigned();
            assert_eq!(
                (status, out),
                if nobody.is_some() {
                    (NOT_INITIALIZED, 1)
                } else {
                    (0, expected)
                },
                "{name}"
            );
            assert_eq!(
                machine.call(&getter(name), &[handle, 0]),
                known(INVALID_VALUE),
                "{name}"
            );
            continue;
        }
        let setting = machine.one_of(&there);
        let name = format!("{}{}", setting.name, setting.version);
        let mut taken = setting.taken.clone();
        if setting.name == "SmCountTarget" {
            taken = 0..=multiprocessors.into();
        }
        let int = i64::from(i32::MIN)..=i64::from(i32::MAX);
        let near = machine.between(-2, 2);
        let value = machine.one_of(&[
            taken.start() + near,
            taken.end() + near,
            machine.between(*taken.start(), *taken.end()),
        ]);
        let value = value.clamp(*int.start(), *int.end());
        let status = machine.call(&format!("cublasSet{name}"), &[handle, word(value)]);
        let expected = if taken.contains(&value) {
            0
        } else {
            INVALID_VALUE
        };
        assert_eq!(status, known(expected), "{name} {value}");
        if status == 0 {
            told.insert(setting.name, value);
        }
        for setting in &there {
            let name = getter(&format!("{}{}", setting.name, setting.version));
            let mut out = 0x5a5a_5a5ai32;
            let status = machine.call(&name, &[handle, at_mut(&mut out)]);
            let value = told.get(setting.name).copied().unwrap_or(setting.first) as i32;
            let expected = if nobody.is_some() {
                (NOT_INITIALIZED, 0x5a5a_5a5a)
            } else {
                (0, value)
            };
            assert_eq!((status, out), expected, "{name}");
            assert_eq!(
                machine.call(&name, &[handle, 0]),
                known(INVALID_VALUE),
                "{name}"
            );
        }
        if nobody.is_none() && machine.once_in(40) {
            assert_eq!(machine.call("cublasDestroy_v2", &[handle]), 0);
            gone.push(handle);
            handles.swap_remove(which);
        }
        let nobody = machine.one_of(&gone);
        assert_eq!(machine.call("cublasDestroy_v2", &[nobody]), NOT_INITIALIZED);
    }
    for (handle, _) in handles {
        assert_eq!(machine.call("cublasDestroy_v2", &[handle]), 0);
    }
    for setting in there {
        machine.holds(&[&getter(&format!("{}{}", setting.name, setting.version))]);
    }
    for name in addresses {
        machine.holds(&[&getter(name)]);
    }
    machine.holds(&["cublasCreate_v2", "cublasDestroy_v2"]);
}

/// Everything that tells the version tells the same.
fn versions(machine: &Machine) {
    let handle = create(machine);
    let told = |name: &str, before: &[u64]| {
        let mut out = 0i32;
        let words = [before, &[at_mut(&mut out)]].concat();
        assert_eq!(machine.call(name, &words), 0, "{name}");
        let nowhere = [before, &[0]].concat();
        assert_eq!(machine.call(name, &nowhere), INVALID_VALUE, "{name}");
        out
    };
    let [major, minor, patch] = [0, 1, 2].map(|which| told("cublasGetProperty", &[which]));
    for which in [3, 99, word(-1)] {
        let mut out = 0i32;
        let status = machine.call("cublasGetProperty", &[which, at_mut(&mut out)]);
        assert_eq!((status, out), (INVALID_VALUE, 0), "property {which}");
    }
    assert!((12..100).contains(&major) && (0..100).contains(&minor) && (0..100).contains(&patch));
    let version = major * 10_000 + minor * 100 + patch;
    assert_eq!(told("cublasGetVersion_v2", &[handle]), version);
    assert_eq!(told("cublasGetVersion", &[]), version);
    // CUDA's and cuBLAS's major versions go together.
    assert_eq!(machine.call("cublasGetCudartVersion", &[]) / 1000, major);
    assert_eq!(machine.call("cublasDestroy_v2", &[handle]), 0);
    machine.holds(&[
        "cublasGetProperty",
        "cublasGetVersion",
        "cublasGetVersion_v2",
        "cublasGetCudartVersion",
    ]);
}

/// `cublasStatus_t` of `cublas_api.h`.
const STATUSES: [(i32, &str); 10] = [
    (0, "SUCCESS"),
    (1, "NOT_INITIALIZED"),
    (3, "ALLOC_FAILED"),
    (7, "INVALID_VALUE"),
    (8, "ARCH_MISMATCH"),
    (11, "MAPPING_ERROR"),
    (13, "EXECUTION_FAILED"),
    (14, "INTERNAL_ERROR"),
    (15, "NOT_SUPPORTED"),
    (16, "LICENSE_ERROR"),
];

/// Each status has its name and a text of its own; the others have one in common.
fn statuses(machine: &Machine) {
    let told = |status: i32| {
        ["cublasGetStatusName", "cublasGetStatusString"]
            .map(|function| text(machine.words(function, &[word(status)])))
    };
    let unknown = told(-1);
    let mut texts = vec![unknown[1].clone()];
    for status in (0..40).chain((0..40).map(|_| machine.next() as i32)) {
        let [name, text] = told(status);
        match STATUSES.iter().find(|(known, _)| *known == status) {
            Some((_, known)) => {
                assert_eq!(name, format!("CUBLAS_STATUS_{known}"));
                assert!(!text.is_empty() && !texts.contains(&text), "{name}: {text}");
                texts.push(text);
            }
            None => assert_eq!([name, text], unknown, "{status}"),
        }
    }
    machine.holds(&["cublasGetStatusName", "cublasGetStatusString"]);
}

/// A logger is kept and never called, and no log is written.
fn logger(machine: &Machine) {
    let file = tempfile::tempdir().expect("a directory");
    let path = file.path().join("log");
    let name = std::ffi::CString::new(path.to_str().expect("UTF-8")).expect("a path");
    for _ in 0..10 {
        let callback = machine.one_of(&[0, never as *const () as u64, machine.next() | 1]);
        let on = [(); 3].map(|()| word(machine.between(0, 1)));
        let printed = machine.printed(|| {
            let words = [on[0], on[1], on[2], name.as_ptr() as u64];
            assert_eq!(machine.call("cublasLoggerConfigure", &words), 0);
            assert_eq!(machine.call("cublasSetLoggerCallback", &[callback]), 0);
            // Something to log.
            assert_eq!(machine.call("cublasSetMathMode", &[0, 0]), NOT_INITIALIZED);
            let handle = create(machine);
            assert_eq!(machine.call("cublasDestroy_v2", &[handle]), 0);
        });
        assert_eq!(printed, "");
        assert!(!path.exists(), "no log");
        let mut out = 1u64;
        assert_eq!(
            machine.call("cublasGetLoggerCallback", &[at_mut(&mut out)]),
            0
        );
        assert_eq!(out, callback);
        assert_eq!(machine.call("cublasGetLoggerCallback", &[0]), INVALID_VALUE);
    }
    assert_eq!(machine.call("cublasSetLoggerCallback", &[0]), 0);
    machine.holds(&[
        "cublasLoggerConfigure",
        "cublasSetLoggerCallback",
        "cublasGetLoggerCallback",
    ]);
}

extern "C" fn never() {
    panic!("the logger is called");
}
