//! What the tests of the PTX engine share: an address space over vectors, and a device that launches kernels.

#![allow(dead_code, missing_docs, unreachable_pub)]

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use gvirtus_cpu::engine::{AddressRange, AddressSpace, CompiledModule, Fault, LaunchConfig, LaunchEnvironment, LoadedModule, compile};

/// Memory that kernels may touch.
#[derive(Default)]
pub struct Memory {
    ranges: Mutex<Vec<(AddressRange, Box<[u128]>)>>,
}

impl AddressSpace for Memory {
    fn find(&self, address: u64) -> Option<AddressRange> {
        self.ranges.lock().unwrap().iter().map(|r| r.0).find(|r| r.start <= address && address < r.end)
    }
}

impl Memory {
    pub fn allocate(&self, bytes: usize) -> u64 {
        let mut block = vec![0u128; bytes.div_ceil(16).max(1) + 16].into_boxed_slice();
        let start = (block.as_mut_ptr() as u64).next_multiple_of(256);
        let range = AddressRange { start, end: start + bytes as u64, writable: true };
        self.ranges.lock().unwrap().push((range, block));
        start
    }
}

/// A loaded module with its memory.
pub struct Device {
    pub memory: Memory,
    pub compiled: Arc<dyn CompiledModule>,
    pub loaded: Arc<dyn LoadedModule>,
    pub addresses: Vec<u64>,
    pub printed: Mutex<Vec<u8>>,
    pub errors: Mutex<Vec<u8>>,
    pub cancelled: AtomicBool,
    pub threads: usize,
}

impl Device {
    pub fn new(source: &str) -> Device {
        let compiled = compile(source).unwrap_or_else(|e| panic!("{e:?}"));
        let memory = Memory::default();
        let addresses: Vec<u64> = compiled.variables().iter().map(|v| memory.allocate(v.size as usize)).collect();
        let loaded = Arc::clone(&compiled).instantiate(&addresses).unwrap();
        Device { memory, compiled, loaded, addresses, printed: Mutex::default(), errors: Mutex::default(), cancelled: AtomicBool::new(false), threads: 3 }
    }

    /// Device memory filled with `values`.
    pub fn upload<T: Copy>(&self, values: &[T]) -> u64 {
        let address = self.memory.allocate(size_of_val(values));
        // SAFETY: just allocated with this size.
        unsafe { std::ptr::copy_nonoverlapping(values.as_ptr(), address as *mut T, values.len()) }
        address
    }

    pub fn download<T: Copy>(&self, address: u64, count: usize) -> Vec<T> {
        // SAFETY: the tests ask for what they allocated.
        unsafe { std::slice::from_raw_parts(address as *const T, count).to_vec() }
    }

    pub fn try_launch(&self, kernel: &str, grid: [u32; 3], block: [u32; 3], shared: u32, params: &Params, cooperative: bool) -> Result<(), Fault> {
        let index = self.compiled.kernels().iter().position(|k| k.name == kernel || k.name.contains(kernel)).expect("kernel");
        let print = |bytes: &[u8]| self.printed.lock().unwrap().extend_from_slice(bytes);
        let print_error = |bytes: &[u8]| self.errors.lock().unwrap().extend_from_slice(bytes);
        let malloc = |bytes: u64| self.memory.allocate(bytes as usize);
        let free = |_: u64| {};
        let env = LaunchEnvironment {
            memory: &self.memory,
            threads: self.threads,
            print: &print,
            print_error: &print_error,
            cancelled: &self.cancelled,
            device_malloc: &malloc,
            device_free: &free,
        };
        let config = LaunchConfig { grid, block, shared_bytes: shared, cooperative };
        self.loaded.launch(index, &config, &params.pack(&self.compiled.kernels()[index].params.iter().map(|p| (p.offset, p.size)).collect::<Vec<_>>()), &env)
    }

    pub fn launch(&self, kernel: &str, grid: u32, block: u32, params: &Params) {
        self.try_launch(kernel, [grid, 1, 1], [block, 1, 1], 0, params, false).unwrap();
    }
}

/// Kernel parameters.
#[derive(Default)]
pub struct Params(Vec<Vec<u8>>);

impl Params {
    pub fn new() -> Params {
        Params::default()
    }

    pub fn bytes(mut self, bytes: &[u8]) -> Params {
        self.0.push(bytes.to_vec());
        self
    }

    pub fn u64(self, v: u64) -> Params {
        self.bytes(&v.to_le_bytes())
    }

    pub fn u32(self, v: u32) -> Params {
        self.bytes(&v.to_le_bytes())
    }

    pub fn f32(self, v: f32) -> Params {
        self.bytes(&v.to_le_bytes())
    }

    fn pack(&self, places: &[(u32, u32)]) -> Vec<u8> {
        assert_eq!(places.len(), self.0.len(), "number of parameters");
        let mut out = vec![0; places.last().map_or(0, |p| (p.0 + p.1) as usize)];
        for (bytes, &(at, size)) in self.0.iter().zip(places) {
            assert_eq!(bytes.len(), size as usize, "size of a parameter");
            out[at as usize..(at + size) as usize].copy_from_slice(bytes);
        }
        out
    }
}
