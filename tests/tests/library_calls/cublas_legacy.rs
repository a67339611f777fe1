//! cuBLAS before handles: what is not a routine on vectors or matrices.

use std::ffi::CString;

use crate::machine::{Machine, Place, at_mut, word};

const ALLOC_FAILED: i32 = 3;
const INVALID_VALUE: i32 = 7;
const INTERNAL_ERROR: i32 = 14;

pub(crate) fn round(machine: &Machine) {
    for _ in 0..3 {
        assert_eq!(machine.call("cublasInit", &[]), 0);
        assert_eq!(machine.call("cublasGetError", &[]), 0);
        memory(machine);
        errors(machine);
        stream(machine);
        assert_eq!(machine.call("cublasShutdown", &[]), 0);
        machine.holds(&["cublasInit", "cublasShutdown"]);
    }
}

/// Memory is as large as is said, and each piece the program's alone.
fn memory(machine: &Machine) {
    let alloc = |n: i64, size: i64| {
        let mut address = 1u64;
        let status = machine.call("cublasAlloc", &[word(n), word(size), at_mut(&mut address)]);
        (status, address)
    };
    for _ in 0..6 {
        let pieces: Vec<(u64, Vec<u8>)> = (0..4)
            .map(|_| {
                let (n, size) = (machine.between(1, 300), machine.one_of(&[1, 4, 8, 16]));
                let (status, address) = alloc(n, size);
                assert!(status == 0 && address != 0, "{n} of {size}: {status}");
                let bytes = machine.bytes((n * size) as usize);
                let words = [address, bytes.as_ptr() as u64, bytes.len() as u64];
                machine.driver("cuMemcpyHtoD_v2", &words);
                (address, bytes)
            })
            .collect();
        for (address, bytes) in pieces {
            let mut there = vec![0u8; bytes.len()];
            let words = [there.as_mut_ptr() as u64, address, bytes.len() as u64];
            machine.driver("cuMemcpyDtoH_v2", &words);
            assert!(there == bytes, "{} bytes stay", bytes.len());
            assert_eq!(machine.call("cublasFree", &[address]), 0);
            assert_eq!(machine.call("cublasFree", &[address]), INTERNAL_ERROR);
        }
        let (n, size) = machine.one_of(&[(0, 4), (-3, 4), (5, 0), (5, -1), (-1, -1)]);
        assert_eq!(alloc(n, size), (INVALID_VALUE, 0), "{n} of {size}");
        assert_eq!(machine.call("cublasAlloc", &[4, 4, 0]), INVALID_VALUE);
    }
    let most = i64::from(i32::MAX);
    assert_eq!(alloc(most, most), (ALLOC_FAILED, 0));
    assert_eq!(machine.call("cublasFree", &[0]), 0);
    machine.holds(&["cublasAlloc", "cublasFree"]);
}

/// A wrong argument is told on standard output and kept for whoever asks, once.
fn errors(machine: &Machine) {
    type Scal = unsafe extern "C" fn(i32, f32, u64, i32);
    type Gemm = unsafe extern "C" fn(u8, u8, i32, i32, i32, f32, u64, i32, u64, i32, f32, u64, i32);
    let scal: Scal = machine.function("cublasSscal");
    let gemm: Gemm = machine.function("cublasSgemm");
    let line = |routine: &str, parameter: i64| {
        format!(" ** On entry to {routine} parameter number {parameter} had an illegal value\n")
    };
    for _ in 0..6 {
        let routine: String = (0..machine.between(0, 12))
            .map(|_| char::from(machine.between(32, 126) as u8))
            .collect();
        let parameter = machine.between(-9, 99);
        let name = CString::new(routine.clone()).expect("no NUL");
        let xerbla = |name: u64| {
            machine.printed(|| {
                machine.words("cublasXerbla", &[name, word(parameter)]);
            })
        };
        assert_eq!(xerbla(name.as_ptr() as u64), line(&routine, parameter));
        assert_eq!(xerbla(0), "");

        let wrong = machine.between(0, 2);
        let letters = [[b'x', b'n'], [b'N', b'?'], [b't', b'C']][wrong as usize];
        let printed = machine.printed(|| unsafe {
            gemm(letters[0], letters[1], 0, 0, 0, 1.0, 0, 1, 0, 1, 0.0, 0, 1);
        });
        let expected = if wrong == 2 {
            String::new()
        } else {
            line("SGEMM ", wrong + 1)
        };
        assert_eq!(printed, expected, "{letters:?}");
        let status = if wrong == 2 { 0 } else { INVALID_VALUE };
        assert_eq!(machine.call("cublasGetError", &[]), status, "{letters:?}");
        assert_eq!(machine.call("cublasGetError", &[]), 0, "told once");
        let (n, by) = (
            machine.between(1, 40) as usize,
            machine.between(-5, 5) as f32,
        );
        let numbers: Vec<f32> = (0..n).map(|_| machine.between(-99, 99) as f32).collect();
        let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_ne_bytes()).collect();
        let vector = machine.memory(Place::Device, &bytes);
        unsafe { scal(n as i32, by, vector.address, 1) };
        assert_eq!(machine.call("cublasGetError", &[]), 0);
        let scaled: Vec<u8> = numbers
            .iter()
            .flat_map(|x| (x * by).to_ne_bytes())
            .collect();
        assert!(vector.read() == scaled, "{numbers:?} times {by}");
    }
    machine.holds(&["cublasXerbla", "cublasGetError"]);
}

/// Routines are on the stream that was set: where another is captured, nothing is.
fn stream(machine: &Machine) {
    type Scal = unsafe extern "C" fn(i32, f32, u64, i32);
    let scal: Scal = machine.function("cublasSscal");
    let streams = [machine.stream(), machine.stream()];
    let vector = machine.memory(Place::Device, &[0; 64]);
    for _ in 0..4 {
        let [set, captured] = [(); 2].map(|()| machine.next() as usize % 2);
        let status = machine.call("cublasSetKernelStream", &[streams[set].address]);
        assert_eq!(status, 0);
        // The calls before, and the making of their handle, are over.
        machine.driver("cuCtxSynchronize", &[]);
        const RELAXED: u64 = 2;
        let (mut graph, mut nodes) = (0u64, 0u64);
        let on = streams[captured].address;
        machine.driver("cuStreamBeginCapture_v2", &[on, RELAXED]);
        unsafe { scal(16, 2.0, vector.address, 1) };
        machine.driver("cuStreamEndCapture", &[on, at_mut(&mut graph)]);
        machine.driver("cuGraphGetNodes", &[graph, 0, at_mut(&mut nodes)]);
        machine.driver("cuGraphDestroy", &[graph]);
        assert_eq!(nodes > 0, set == captured, "{nodes} nodes");
    }
    assert_eq!(machine.call("cublasSetKernelStream", &[0]), 0);
    machine.driver("cuCtxSynchronize", &[]);
    machine.holds(&["cublasSetKernelStream"]);
}
