//! How fast kernels run; numbers only with `--nocapture`.

#![allow(missing_docs, reason = "a test")]

mod ptx_common;
use std::time::Instant;

use ptx_common::{Device, Params};

/// A matrix of ones times one of halves.
struct Product {
    device: Device,
    n: u32,
    /// The factors and the result.
    matrices: [u64; 3],
}

impl Product {
    fn new(n: u32) -> Product {
        let device = Device::new(include_str!("ptx/kernels.ptx"));
        let matrices = [1f32, 0.5, 0.0].map(|v| device.upload(&vec![v; (n * n) as usize]));
        Product {
            device,
            n,
            matrices,
        }
    }

    fn run(&self) {
        let [a, b, c] = self.matrices;
        let blocks = self.n / 16;
        let params = Params::new().u64(c).u64(a).u64(b).u32(self.n);
        self.device
            .try_launch(
                "matrixProduct",
                [blocks, blocks, 1],
                [16, 16, 1],
                0,
                &params,
                false,
            )
            .unwrap();
    }

    fn check(&self) {
        let first = self.device.download::<f32>(self.matrices[2], 1)[0];
        assert_eq!(first, self.n as f32 * 0.5);
    }
}

#[test]
fn matrix_product_takes_no_more_than_seconds() {
    let product = Product::new(320);
    let n = product.n;
    let start = Instant::now();
    product.run();
    let time = start.elapsed();
    println!(
        "matrix product of {n}: {time:?}, {:.2} Gflop/s",
        2.0 * f64::from(n).powi(3) / time.as_secs_f64() / 1e9
    );
    product.check();
    let d = product.device;
    let bytes = vec![7u8; 4 << 20];
    let (bins, data) = (d.upload(&[0u32; 256]), d.upload(&bytes));
    let start = Instant::now();
    d.launch(
        "histogram",
        64,
        256,
        &Params::new().u64(bins).u64(data).u32(bytes.len() as u32),
    );
    println!("histogram of {} bytes: {:?}", bytes.len(), start.elapsed());
    let start = Instant::now();
    for _ in 0..1000 {
        d.launch("choose", 1, 32, &Params::new().u64(bins));
    }
    println!("1000 small launches: {:?}", start.elapsed());
    let v = d.upload(&vec![1f64; 1 << 21]);
    let out = d.upload(&[0f64]);
    let start = Instant::now();
    d.try_launch(
        "sumDouble",
        [64, 1, 1],
        [256, 1, 1],
        64,
        &Params::new().u64(out).u64(v).u32(1 << 21),
        false,
    )
    .unwrap();
    println!("sum of {} doubles: {:?}", 1 << 21, start.elapsed());
    assert!(time.as_secs() < 20);
}

/// A figure of docs/PERFORMANCE.md.
#[test]
#[ignore = "for measurements"]
fn product_of_1024() {
    let product = Product::new(1024);
    for _ in 0..5 {
        let start = processor_time();
        product.run();
        println!("product: {:.3} s", processor_time() - start);
    }
    product.check();
}

/// A figure of docs/PERFORMANCE.md; takes a gigabyte.
#[test]
#[ignore = "for measurements"]
fn sum_of_vectors() {
    let d = Device::new(include_str!("ptx/speed.ptx"));
    let count = 1u32 << 26;
    let (x, y, z) = (
        d.upload(&vec![1f32; count as usize]),
        d.upload(&vec![2f32; count as usize]),
        d.upload(&vec![0f32; count as usize]),
    );
    for _ in 0..5 {
        let start = processor_time();
        d.launch(
            "vectorAdd",
            count / 256,
            256,
            &Params::new().u64(x).u64(y).u64(z).u32(count),
        );
        println!("sum: {:.3} s", processor_time() - start);
    }
    assert_eq!(d.download::<f32>(z, count as usize)[12_345], 3.0);
}

/// Processor time of this process so far, seconds: other work on the machine counts less than in time that passes.
fn processor_time() -> f64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the place is valid.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    assert_eq!(failed, 0);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
