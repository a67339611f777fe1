//! The runtime over the CPU device, in one process and without a network: what NVIDIA's runtime returned on an H100 for each call of
//! `frontend/cudart/tests/native/behaviour.cu`, ours returns too.

use std::path::{Path, PathBuf};
use std::process::Command;
use xtask::toolchain::Toolkit;

use super::MAJOR;

/// Calls whose answer is the device's, and the CPU device is another one; and those that it does not answer as a GPU does.
const DEVICES_OWN: &[&str] = &[
    // The driver is initialised when a call first needs it; NVIDIA's runtime does so at `cudaGetLastError` too.
    "ctx ",
    "cudaSetDeviceFlags(3)",
    "cudaDeviceGetPCIBusId(id, 5, 0)",
    "cudaDeviceGetByPCIBusId(&v, \"9999",
    "cudaDeviceEnablePeerAccess(0, 0)",
    "cudaDeviceFlushGPUDirectRDMAWrites",
    // The CPU device reuses nothing at once: a freed address is known for a while.
    "pointer freed",
    "cudaHostUnregister(r + 8)",
    "cudaEventRecordWithFlags(e, s, 1)",
    "cudaEventQuery(e)",
    // An unknown launch attribute is refused either way.
    "cudaLaunchKernelExC(&c, (void *)add, args)",
    // Registers, local memory and what follows from them.
    "0 32 0 128 8 90 90 ",
    "264 1024",
    "65536",
    "cudaFuncGetAttributes(&a, (void *)add)",
    // After a fault and a reset a GPU stays unusable for the process.
    "cudaMalloc(&d, 64)                                         = 46",
    "nothing<<<1, 1>>>()                                        = 0  last 46",
    "cudaDeviceSynchronize()                                    = 46",
];

/// A library that was built with this test: beside its executable.
fn library(name: &str) -> PathBuf {
    let file = std::env::current_exe()
        .expect("the test's path")
        .with_file_name(name);
    assert!(file.exists(), "{} was not built", file.display());
    file
}

/// The lines that do not describe the device.
fn comparable(output: &str) -> Vec<&str> {
    let mut bytes_of_properties = false;
    output
        .lines()
        .filter(|line| {
            match *line {
                "# device properties" => bytes_of_properties = true,
                "# errors" => bytes_of_properties = false,
                _ => {}
            }
            !(bytes_of_properties || line.starts_with("attr ") || line.starts_with("limit "))
        })
        .collect()
}

#[test]
fn answers_as_nvidias_runtime_did() {
    let toolkit = Toolkit::find(MAJOR).expect("a CUDA toolkit is installed or can be fetched");
    let dir = tempfile::tempdir().expect("a directory");
    let native = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cudart/tests/native");
    let program = dir.path().join("behaviour");
    let built = toolkit
        .nvcc()
        .args(["-std=c++17", "-arch=compute_75", "-w", "-ldl", "-o"])
        .arg(&program)
        .arg(native.join("behaviour.cu"))
        .status()
        .expect("nvcc runs");
    assert!(built.success(), "the program compiles");

    std::fs::copy(
        library(&format!("libcudart{MAJOR}.so")),
        dir.path().join(format!("libcudart.so.{MAJOR}")),
    )
    .expect("the library is copied");
    let device = library("libgvirtus_cpu.so");
    let run = Command::new(&program)
        .env("LD_LIBRARY_PATH", dir.path())
        .env("GVIRTUS_LIB", &device)
        .env("PROBE_DRIVER", &device)
        .output()
        .expect("the program starts");
    let told = String::from_utf8_lossy(&run.stdout);
    assert!(
        run.status.success(),
        "{}\n{told}\n{}",
        run.status,
        String::from_utf8_lossy(&run.stderr)
    );

    let expected = std::fs::read_to_string(native.join(format!("behaviour.cuda{MAJOR}.txt")))
        .expect("the recording");
    let (ours, theirs) = (comparable(&told), comparable(&expected));
    assert_eq!(ours.len(), theirs.len(), "{told}");
    let wrong: Vec<_> = theirs
        .iter()
        .zip(&ours)
        .filter(|(theirs, ours)| {
            theirs != ours && !DEVICES_OWN.iter().any(|own| theirs.starts_with(own))
        })
        .map(|(theirs, ours)| format!("natively {theirs}\nours     {ours}\n"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.concat());
}
