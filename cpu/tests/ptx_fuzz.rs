//! Damaged PTX must be refused (or compile), never panic; and what compiles must run without harm.

#![allow(missing_docs, reason = "a test")]

mod ptx_common;
use std::sync::atomic::Ordering;

use gvirtus_cpu::engine::compile;
use ptx_common::{Device, Params};

/// A small generator, so that failures can be repeated by their seed.
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % below.max(1)
    }
}

/// The parts into which a function's text is cut, so that each case is small.
fn pieces() -> Vec<String> {
    let source = include_str!("ptx/kernels.ptx");
    let head = ".version 8.0\n.target sm_80\n.address_size 64\n";
    let mut out = Vec::new();
    for part in source.split(".visible .entry").skip(1).take(14) {
        out.push(format!("{head}.visible .entry{part}"));
    }
    out.push(source.lines().take(120).collect::<Vec<_>>().join("\n"));
    out
}

fn mutate(text: &str, random: &mut Random) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..=random.next(4) {
        let lines: Vec<&[u8]> = bytes.split(|&b| b == b'\n').collect();
        let at = random.next(bytes.len());
        match random.next(9) {
            0 => bytes[at] = b" .,;{}[]()@%+-<>0129abxr_$\"/:|!"[random.next(31)],
            1 => {
                bytes.remove(at);
            }
            2 => {
                // One line takes the place of another.
                let (from, to) = (random.next(lines.len()), random.next(lines.len()));
                let mut copy = lines.clone();
                copy[to] = lines[from];
                bytes = copy.join(&b'\n');
            }
            3 => {
                let mut copy = lines.clone();
                copy.remove(random.next(lines.len()));
                bytes = copy.join(&b'\n');
            }
            4 => bytes.truncate(at),
            5 => {
                // A number becomes an extreme one.
                if let Some(digit) = (at..bytes.len()).find(|&k| bytes[k].is_ascii_digit()) {
                    let huge: &[&[u8]] = &[
                        b"18446744073709551615",
                        b"4294967296",
                        b"2147483648",
                        b"0",
                        b"999999999999999999999999",
                        b"0x8000000000000000",
                    ];
                    let huge = huge[random.next(huge.len())];
                    bytes.splice(digit..=digit, huge.iter().copied());
                }
            }
            6 => {
                // A qualifier is exchanged.
                let words = [
                    ".u8", ".s16", ".u32", ".s64", ".f16", ".f32", ".f64", ".pred", ".b128", ".v4",
                    ".shared", ".local", ".param", ".global", ".cc", ".hi", ".wide", ".sat",
                    ".ftz", ".rz",
                ];
                if let Some(dot) = (at..bytes.len()).find(|&k| bytes[k] == b'.') {
                    let end = (dot + 1..bytes.len())
                        .find(|&k| !bytes[k].is_ascii_alphanumeric())
                        .unwrap_or(bytes.len());
                    bytes.splice(dot..end, words[random.next(words.len())].bytes());
                }
            }
            7 => {
                let copy = bytes[at..(at + random.next(60)).min(bytes.len())].to_vec();
                let to = random.next(bytes.len());
                bytes.splice(to..to, copy);
            }
            _ => bytes.insert(at, random.next(256) as u8),
        }
        if bytes.is_empty() {
            bytes.push(b' ');
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn damaged_text_never_panics() {
    let pieces = pieces();
    let rounds: usize = std::env::var("GVIRTUS_FUZZ_ROUNDS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(6000);
    let mut compiled = 0;
    for seed in 1..=rounds as u64 {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let text = mutate(&pieces[random.next(pieces.len())], &mut random);
        let outcome = std::panic::catch_unwind(|| compile(&text).is_ok());
        match outcome {
            Ok(good) => compiled += usize::from(good),
            Err(_) => panic!("seed {seed} panics:\n{text}"),
        }
    }
    assert!(compiled > 0, "some mutations are harmless");
}

#[test]
fn nested_text_is_refused() {
    let head = ".version 8.0\n.target sm_80\n.address_size 64\n";
    for body in [
        "{".repeat(100_000),
        "[".repeat(100_000),
        "mov.b32 a, {".repeat(5000),
        "@".repeat(1000),
        "/*".to_owned(),
        "\"".to_owned(),
    ] {
        assert!(compile(&format!("{head}.entry k() {{ {body}")).is_err());
        assert!(compile(&format!("{head}.global .b8 x[4] = {body}")).is_err());
    }
    assert!(compile("").is_err());
    assert!(compile(&format!("{head}.global .b8 x[99999999999999999999];")).is_err());
    assert!(
        compile(&format!(
            "{head}.global .b8 x[1099511627776][1099511627776];"
        ))
        .is_err()
    );
}

#[test]
fn damaged_kernels_run_without_harm() {
    let source = include_str!("ptx/kernels.ptx");
    let head = ".version 8.0\n.target sm_80\n.address_size 64\n";
    let whole: Vec<String> = source
        .split(".visible .entry")
        .skip(1)
        .filter(|p| {
            [
                "localArray",
                "choose",
                "matrixProduct",
                "histogram",
                "collatz",
            ]
            .iter()
            .any(|n| p.trim_start().starts_with(n))
        })
        .map(|p| format!("{head}.visible .entry{p}"))
        .collect();
    assert!(whole.len() >= 4);
    let mut ran = 0;
    for seed in 1..=400u64 {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let text = mutate(&whole[random.next(whole.len())], &mut random);
        let Ok(compiled) = compile(&text) else {
            continue;
        };
        let Some(kernel) = compiled.kernels().first() else {
            continue;
        };
        if kernel.params.iter().any(|p| p.size != 8 && p.size != 4) {
            continue;
        }
        let (name, sizes) = (
            kernel.name.clone(),
            kernel.params.iter().map(|p| p.size).collect::<Vec<_>>(),
        );
        let device = Device::new(&text);
        let mut params = Params::new();
        for size in sizes {
            params = if size == 8 {
                params.u64(device.upload(&[0u32; 4096]))
            } else {
                params.u32(64)
            };
        }
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            let (device, done) = (&device, &done);
            scope.spawn(move || {
                for _ in 0..200 {
                    if done.load(Ordering::Relaxed) {
                        return;
                    }
                    std::thread::sleep(std::time::Duration::from_millis(5));
                }
                device.cancelled.store(true, Ordering::Relaxed);
            });
            let _ = device.try_launch(&name, [2, 1, 1], [48, 1, 1], 64, &params, false);
            done.store(true, Ordering::Relaxed);
        });
        ran += 1;
    }
    assert!(ran > 20);
}
