//! Kernels as nvcc compiles them (`tests/ptx/kernels.cu`), against what the host computes.

#![allow(missing_docs, reason = "a test")]

mod ptx_common;
use std::sync::atomic::Ordering;

use gvirtus_cpu::engine::FaultKind;
use ptx_common::{Device, Params};

fn device() -> Device {
    Device::new(include_str!("ptx/kernels.ptx"))
}

#[test]
fn matrix_product() {
    let d = device();
    let n = 96usize;
    let a: Vec<f32> = (0..n * n).map(|i| (i % 7) as f32).collect();
    let b: Vec<f32> = (0..n * n).map(|i| (i % 11) as f32 - 5.0).collect();
    let (da, db, dc) = (d.upload(&a), d.upload(&b), d.upload(&vec![0f32; n * n]));
    let params = Params::new().u64(dc).u64(da).u64(db).u32(n as u32);
    d.try_launch(
        "matrixProduct",
        [n as u32 / 16, n as u32 / 16, 1],
        [16, 16, 1],
        0,
        &params,
        false,
    )
    .unwrap();
    let c: Vec<f32> = d.download(dc, n * n);
    for r in 0..n {
        for k in 0..n {
            let sum: f32 = (0..n).map(|j| a[r * n + j] * b[j * n + k]).sum();
            assert_eq!(c[r * n + k], sum, "{r} {k}");
        }
    }
}

#[test]
fn sum_of_doubles() {
    let d = device();
    let n = 10_000;
    let v: Vec<f64> = (0..n).map(f64::from).collect();
    let (input, out) = (d.upload(&v), d.upload(&[0f64]));
    d.try_launch(
        "sumDouble",
        [4, 1, 1],
        [128, 1, 1],
        32 * 8,
        &Params::new().u64(out).u64(input).u32(n as u32),
        false,
    )
    .unwrap();
    assert_eq!(
        d.download::<f64>(out, 1)[0],
        f64::from(n) * f64::from(n - 1) / 2.0
    );
}

#[test]
fn histogram() {
    let d = device();
    let data: Vec<u8> = (0..20_000u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let (bins, input) = (d.upload(&[0u32; 256]), d.upload(&data));
    d.launch(
        "histogram",
        6,
        192,
        &Params::new().u64(bins).u64(input).u32(data.len() as u32),
    );
    let mut expected = [0u32; 256];
    data.iter().for_each(|&b| expected[usize::from(b)] += 1);
    assert_eq!(d.download::<u32>(bins, 256), expected);
}

#[test]
fn divergent_loop_meets_again() {
    let d = device();
    let n = 200usize;
    let (steps, together) = (d.upload(&vec![0i32; 256]), d.upload(&vec![0i32; 256]));
    d.launch(
        "collatz",
        2,
        128,
        &Params::new().u64(steps).u64(together).u32(n as u32),
    );
    let found = d.download::<i32>(steps, 256);
    for (i, &count) in found.iter().take(n).enumerate() {
        let (mut value, mut expected) = (i as u64 + 1, 0);
        while value != 1 && expected <= 1000 {
            value = if value & 1 != 0 {
                3 * value + 1
            } else {
                value / 2
            };
            expected += 1;
        }
        assert_eq!(count, expected, "{i}");
    }
    assert_eq!(d.download::<i32>(together, 256), vec![32; 256]);
}

#[test]
fn recursion() {
    let d = device();
    let out = d.upload(&[0i32; 64]);
    d.launch("recursion", 1, 64, &Params::new().u64(out));
    let mut fib = vec![0, 1];
    (2..12).for_each(|k| fib.push(fib[k - 1] + fib[k - 2]));
    assert_eq!(
        d.download::<i32>(out, 64),
        (0..64).map(|i| fib[i % 12]).collect::<Vec<i32>>()
    );
}

#[test]
fn function_pointers_and_initialisers() {
    let d = device();
    let out = d.upload(&[0i32; 96]);
    d.launch("functionPointers", 1, 96, &Params::new().u64(out));
    let c = [3, 1, 4, 1, 5, 9, 2, 6];
    let expected: Vec<i32> = (0..96)
        .map(|i| {
            let k = c[i as usize % 8];
            7 + match i % 3 {
                0 => i + k,
                1 => i * k,
                _ => i - k,
            }
        })
        .collect();
    assert_eq!(d.download::<i32>(out, 96), expected);
}

#[repr(C)]
#[derive(Clone, Copy, PartialEq, Debug)]
struct Record {
    id: i32,
    weight: f64,
    parts: [f32; 3],
    tag: u8,
}

#[test]
fn structures_in_calls() {
    let d = device();
    let record = Record {
        id: 5,
        weight: 1.25,
        parts: [1.0, 2.0, 3.0],
        tag: b'x',
    };
    let out = d.upload(&[record; 40]);
    let mut bytes = [0u8; 32];
    bytes[..4].copy_from_slice(&5i32.to_le_bytes());
    bytes[8..16].copy_from_slice(&1.25f64.to_le_bytes());
    for k in 0..3 {
        bytes[16 + 4 * k..20 + 4 * k].copy_from_slice(&(k as f32 + 1.0).to_le_bytes());
    }
    bytes[28] = b'x';
    d.launch("structures", 1, 40, &Params::new().u64(out).bytes(&bytes));
    for (i, r) in d.download::<Record>(out, 40).into_iter().enumerate() {
        let mut expected = Record {
            id: 5 + i as i32,
            weight: 2.5,
            ..record
        };
        expected.parts[i % 3] = i as f32;
        assert_eq!(r, expected);
    }
}

#[test]
fn printf() {
    let d = device();
    d.launch("speak", 1, 4, &Params::new().u32(3));
    let text = String::from_utf8(d.printed.lock().unwrap().clone()).unwrap();
    let expected = "[0]  0.00|zero|a|0000beef|0|0     |%|1.234568e+04|4000000000|0x1234\n\
                    [1]  0.50|one|b|0000bef0|1234567890123|1     |%|1.234568e+04|4000000000|0x1234\n\
                    [2]  1.00|two|c|0000bef1|2469135780246|2     |%|1.234568e+04|4000000000|0x1234\n\
                    plain\n";
    assert_eq!(text, expected);
}

#[test]
fn assertion() {
    let d = device();
    let fault = d
        .try_launch(
            "check",
            [1, 1, 1],
            [32, 1, 1],
            0,
            &Params::new().u32(30),
            false,
        )
        .unwrap_err();
    assert_eq!((fault.kind, fault.thread), (FaultKind::Assert, [30, 0, 0]));
    let text = String::from_utf8(d.errors.lock().unwrap().clone()).unwrap();
    assert_eq!(
        text,
        "kernels.cu:145: void check(int): block: [0,0,0], thread: [30,0,0] Assertion `threadIdx.x < limit` failed.\n\
         kernels.cu:145: void check(int): block: [0,0,0], thread: [31,0,0] Assertion `threadIdx.x < limit` failed.\n"
    );
}

#[test]
fn grid_barrier() {
    let d = device();
    let (blocks, threads, rounds) = (12u32, 64u32, 10);
    let n = (blocks * threads) as usize;
    let data = d.upload(&(0..n as i32).collect::<Vec<_>>());
    let params = Params::new().u64(data).u32(rounds);
    d.try_launch(
        "gridBarrier",
        [blocks, 1, 1],
        [threads, 1, 1],
        0,
        &params,
        true,
    )
    .unwrap();
    let expected: Vec<i32> = (0..n)
        .map(|i| ((i + rounds as usize) % n) as i32 + rounds as i32)
        .collect();
    assert_eq!(d.download::<i32>(data, n), expected);
    // Without a cooperative launch the barrier is a trap, as on a GPU.
    let fault = d
        .try_launch(
            "gridBarrier",
            [1, 1, 1],
            [32, 1, 1],
            0,
            &Params::new().u64(data).u32(1),
            false,
        )
        .unwrap_err();
    assert_eq!(fault.kind, FaultKind::Trap);
}

#[test]
fn tiles_and_coalesced_groups() {
    let d = device();
    let out = d.upload(&[0i32; 64]);
    d.launch("tiles", 1, 64, &Params::new().u64(out));
    let expected: Vec<i32> = (0..64)
        .map(|i| {
            let tile = i / 8 * 8;
            let sum: i32 = (tile..tile + 8).sum();
            let most = (i / 32 * 32..i / 32 * 32 + 32)
                .map(|k| k * 7 % 64)
                .max()
                .unwrap();
            let even = if i % 2 == 0 { 1600 + i % 32 / 2 } else { 0 };
            sum + 1000 * even + 1_000_000 * (most % 100)
        })
        .collect();
    assert_eq!(d.download::<i32>(out, 64), expected);
}

#[test]
fn lanes_make_progress_against_one_another() {
    let d = device();
    let value = d.upload(&[0i32]);
    d.launch("spinLock", 3, 64, &Params::new().u64(value));
    assert_eq!(d.download::<i32>(value, 1)[0], 192);
    let (flag, out) = (d.upload(&[0i32]), d.upload(&[0i32; 2]));
    d.launch("handshake", 1, 32, &Params::new().u64(flag).u64(out));
    assert_eq!(d.download::<i32>(out, 2), [1, 1]);
    let flags = d.upload(&[0i32; 10]);
    d.launch("chain", 10, 32, &Params::new().u64(flags).u32(10));
    assert_eq!(d.download::<i32>(flags, 10), [1; 10]);
}

#[test]
fn half_precision() {
    let d = device();
    let (h, b, out) = (
        d.upload(&[0u32; 16]),
        d.upload(&[0u32; 16]),
        d.upload(&[0f32; 16]),
    );
    d.launch("halves", 1, 16, &Params::new().u64(h).u64(b).u64(out));
    let bf16 =
        |x: f32| f32::from_bits((x.to_bits() + 0x7fff + (x.to_bits() >> 16 & 1)) & 0xffff_0000);
    for (i, v) in d.download::<f32>(out, 16).into_iter().enumerate() {
        let x = i as f32 * 0.25;
        // These small numbers are exact in half precision.
        assert_eq!(v, x * x + x + 0.25 + bf16(i as f32 * i as f32), "{i}");
    }
}

#[test]
fn device_heap() {
    let d = device();
    let (keep, out) = (d.upload(&[0u64; 64]), d.upload(&[0i32; 64]));
    d.launch("heap", 1, 64, &Params::new().u64(keep).u64(out));
    assert_eq!(
        d.download::<i32>(out, 64),
        (0..64).map(|i| (i + 1) % 64 * 120).collect::<Vec<i32>>()
    );
}

#[test]
fn faults_and_cancellation() {
    let d = device();
    let data = d.upload(&[0i32; 64]);
    let bad = |offset: i64| {
        d.try_launch(
            "outOfBounds",
            [1, 1, 1],
            [32, 1, 1],
            0,
            &Params::new().u64(data).u64(offset as u64),
            false,
        )
        .unwrap_err()
    };
    let fault = bad(48);
    assert_eq!(
        (fault.kind, fault.thread, fault.address),
        (FaultKind::IllegalAddress, [16, 0, 0], data + 256)
    );
    assert_eq!(bad(1 << 40).kind, FaultKind::IllegalAddress);
    let fault = d
        .try_launch(
            "outOfBounds",
            [1, 1, 1],
            [32, 1, 1],
            0,
            &Params::new().u64(data + 2).u64(0),
            false,
        )
        .unwrap_err();
    assert_eq!(fault.kind, FaultKind::MisalignedAddress);
    let stop = d.upload(&[0i32]);
    std::thread::scope(|scope| {
        let run = scope.spawn(|| {
            d.try_launch(
                "endless",
                [2, 1, 1],
                [64, 1, 1],
                0,
                &Params::new().u64(stop),
                false,
            )
        });
        std::thread::sleep(std::time::Duration::from_millis(50));
        d.cancelled.store(true, Ordering::Relaxed);
        assert_eq!(run.join().unwrap().unwrap_err().kind, FaultKind::Cancelled);
    });
}

#[test]
fn local_arrays_and_switch() {
    let d = device();
    let out = d.upload(&[0i32; 64]);
    d.launch("localArray", 1, 64, &Params::new().u64(out).u32(25));
    let expected: Vec<i32> = (0..64)
        .map(|t| (0..25).map(|k| (k * 7 + t) % 40 * t).sum())
        .collect();
    assert_eq!(d.download::<i32>(out, 64), expected);
    d.launch("choose", 1, 64, &Params::new().u64(out));
    let expected: Vec<i32> = (0..64)
        .map(|i: i32| match i % 9 {
            0 => i * 3,
            1 => i + 100,
            2 => i ^ 0x55,
            3 => -i,
            4 => i * i,
            5 => i << 3,
            6 => 77 - i,
            7 => i % 5,
            _ => !i,
        })
        .collect();
    assert_eq!(d.download::<i32>(out, 64), expected);
}

#[test]
fn mathematics() {
    let d = device();
    let (wide, single) = (d.upload(&[0f64; 64]), d.upload(&[0f32; 64]));
    d.launch("mathematics", 1, 64, &Params::new().u64(wide).u64(single));
    // Without the functions that Rust's library lacks the sums are compared by parts of known size: erf and gamma are checked at the ends of their ranges.
    let wide = d.download::<f64>(wide, 64);
    let single = d.download::<f32>(single, 64);
    for i in 0..64 {
        let x = 0.1 * f64::from(i) + 0.01;
        let rest = x.sin() + (-x).exp() + x.ln() + x.powf(1.5) + x.cbrt();
        let (erf, gamma) = (wide[i as usize] - rest, x + 1.0);
        // SAFETY: functions of the C library without side effects.
        let expected = unsafe { libc_erf(x) + libc_tgamma(gamma) };
        assert!(
            (erf - expected).abs() <= 1e-12 * expected.abs().max(1.0),
            "{i}: {erf} {expected}"
        );
        let y = 0.1f32 * i as f32 + 0.01;
        let expected =
            y.sin() + (-y).exp() + y.ln() + y.powf(1.5) + 1.0 / y.sqrt() + y % 0.3 + y.sin();
        assert!(
            (single[i as usize] - expected).abs() <= 1e-5 * expected.abs().max(1.0),
            "{i}: {} {expected}",
            single[i as usize]
        );
    }
}

unsafe extern "C" {
    #[link_name = "erf"]
    fn libc_erf(x: f64) -> f64;
    #[link_name = "tgamma"]
    fn libc_tgamma(x: f64) -> f64;
}

#[test]
fn votes() {
    let d = device();
    let out = d.upload(&[0u32; 96]);
    d.launch("votes", 1, 96, &Params::new().u64(out));
    let n = (0..96).filter(|i| i % 3 == 0).count() as u32;
    let expected: Vec<u32> = (0..96u32)
        .map(|i| {
            let warp = i / 32 * 32..i / 32 * 32 + 32;
            let bits = |f: &dyn Fn(u32) -> bool| {
                warp.clone()
                    .fold(0u32, |b, k| b | u32::from(f(k)) << (k % 32))
            };
            let odd = bits(&|k| k % 2 == 1);
            let matched = bits(&|k| k % 5 == i % 5);
            let sum: u32 = warp.clone().sum();
            let any = u32::from(warp.contains(&5));
            odd ^ matched
                ^ 0u32.wrapping_sub(1).wrapping_add(1)
                ^ (sum * 3)
                ^ (5 + any * 7)
                ^ (n * 11 + 13 + 17)
        })
        .collect();
    assert_eq!(d.download::<u32>(out, 96), expected);
}
