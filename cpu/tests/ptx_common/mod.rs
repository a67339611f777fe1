//! What the tests of the PTX engine share: an address space over vectors, and a device that launches kernels.

#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "each test uses a part"
)]

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use gvirtus_cpu::engine::{
    AddressRange, AddressSpace, CompiledModule, Fault, LaunchConfig, LaunchEnvironment,
    LoadedModule, compile,
};

/// Memory that kernels may touch.
#[derive(Default)]
pub struct Memory {
    ranges: Mutex<Vec<(AddressRange, Box<[u128]>)>>,
}

impl AddressSpace for Memory {
    fn find(&self, address: u64) -> Option<AddressRange> {
        self.ranges
            .lock()
            .unwrap()
            .iter()
            .map(|r| r.0)
            .find(|r| r.start <= address && address < r.end)
    }
}

impl Memory {
    /// Makes what is allocated in another one valid here, too: it must live as long.
    pub fn adopt(&self, other: &Memory) {
        let theirs = other.ranges.lock().unwrap();
        let mut mine = self.ranges.lock().unwrap();
        mine.extend(theirs.iter().map(|r| (r.0, Box::default())));
    }

    pub fn allocate(&self, bytes: usize) -> u64 {
        let mut block = vec![0u128; bytes.div_ceil(16).max(1) + 16].into_boxed_slice();
        let start = (block.as_mut_ptr() as u64).next_multiple_of(256);
        let range = AddressRange {
            start,
            end: start + bytes as u64,
            writable: true,
        };
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
    pub deadline: Option<std::time::Instant>,
    pub threads: usize,
    /// Blocks of a cluster; none if the kernel is to say.
    pub cluster: [u32; 3],
}

impl Device {
    pub fn new(source: &str) -> Device {
        let compiled = compile(source).unwrap_or_else(|e| panic!("{e:?}"));
        let memory = Memory::default();
        let addresses: Vec<u64> = compiled
            .variables()
            .iter()
            .map(|v| memory.allocate(v.size as usize))
            .collect();
        let loaded = Arc::clone(&compiled).instantiate(&addresses).unwrap();
        Device {
            memory,
            compiled,
            loaded,
            addresses,
            printed: Mutex::default(),
            errors: Mutex::default(),
            cancelled: AtomicBool::new(false),
            deadline: None,
            threads: 3,
            cluster: [0; 3],
        }
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

    pub fn try_launch(
        &self,
        kernel: &str,
        grid: [u32; 3],
        block: [u32; 3],
        shared: u32,
        params: &Params,
        cooperative: bool,
    ) -> Result<(), Fault> {
        let index = self
            .compiled
            .kernels()
            .iter()
            .position(|k| k.name == kernel || k.name.contains(kernel))
            .expect("kernel");
        let print = |bytes: &[u8]| self.printed.lock().unwrap().extend_from_slice(bytes);
        let print_error = |bytes: &[u8]| self.errors.lock().unwrap().extend_from_slice(bytes);
        let malloc = |bytes: u64| self.memory.allocate(bytes as usize);
        let free = |_: u64| {};
        let env = LaunchEnvironment {
            images: &gvirtus_cpu::image::NoImages,
            memory: &self.memory,
            threads: self.threads,
            print: &print,
            print_error: &print_error,
            cancelled: &self.cancelled,
            deadline: self.deadline,
            set_condition: &|_, _| false,
            launch_graph: &|_, _| 1,
            update_node: &|_, _| 1,
            graph: 0,
            device_malloc: &malloc,
            device_free: &free,
        };
        let config = LaunchConfig {
            grid,
            block,
            shared_bytes: shared,
            cooperative,
            cluster: self.cluster,
        };
        self.loaded.launch(
            index,
            &config,
            &params.pack(
                &self.compiled.kernels()[index]
                    .params
                    .iter()
                    .map(|p| (p.offset, p.size))
                    .collect::<Vec<_>>(),
            ),
            &env,
        )
    }

    pub fn launch(&self, kernel: &str, grid: u32, block: u32, params: &Params) {
        self.try_launch(kernel, [grid, 1, 1], [block, 1, 1], 0, params, false)
            .unwrap();
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

/// Runs one piece of PTX for each row of inputs: `%a`, `%b`, `%c` of the given types hold the inputs, `%d` the result (bits).
pub fn apply(text: &str, types: [&str; 4], rows: &[[u64; 3]]) -> Vec<u64> {
    let register = |ty: &str| match ty {
        "pred" => "pred".to_owned(),
        ty => format!("b{}", bits(ty)),
    };
    fn bits(ty: &str) -> u32 {
        match ty {
            "f16x2" | "bf16x2" => 32,
            "bf16" => 16,
            ty => ty[1..].parse::<u32>().unwrap().max(16),
        }
    }
    let mut source = String::from(
        ".version 8.5\n.target sm_90\n.address_size 64\n.entry k(.param .u64 in, .param .u64 out)\n{\n.reg .b64 %i, %o, %t;\n.reg .b32 %n, %m;\n.reg .pred %p, %q;\n",
    );
    for (name, ty) in ["d", "a", "b", "c"].iter().zip(types) {
        source += &format!(".reg .{} %{name};\n", register(ty));
    }
    source += "ld.param.u64 %i, [in];\nld.param.u64 %o, [out];\nmov.u32 %n, %ctaid.x;\nmov.u32 %m, %tid.x;\nmad.lo.u32 %n, %n, 32, %m;\nmad.wide.u32 %i, %n, 24, %i;\nmad.wide.u32 %o, %n, 8, %o;\n";
    for (k, (name, ty)) in ["a", "b", "c"].iter().zip(&types[1..]).enumerate() {
        source += &format!("ld.global.b{} %{name}, [%i+{}];\n", bits(ty), 8 * k);
    }
    source += text;
    source += &format!("\nst.global.b{} [%o], %d;\nret;\n}}\n", bits(types[0]));
    let device = Device::new(&source);
    let count = rows.len().next_multiple_of(32);
    let mut padded = rows.to_vec();
    padded.resize(count, rows[0]);
    let (input, output) = (device.upload(&padded), device.upload(&vec![0u64; count]));
    device.launch(
        "k",
        count as u32 / 32,
        32,
        &Params::new().u64(input).u64(output),
    );
    device.download(output, rows.len())
}

/// Numbers that tend to show mistakes, then pseudorandom ones.
pub fn samples(seed: u64, count: usize) -> Vec<u64> {
    let mut state = seed | 1;
    let mut out = vec![
        0,
        1,
        2,
        31,
        32,
        33,
        63,
        64,
        0x7f,
        0x80,
        0xff,
        0x7fff,
        0x8000,
        0xffff,
        0x7fff_ffff,
        0x8000_0000,
        0xffff_ffff,
        i64::MAX as u64,
        i64::MIN as u64,
        u64::MAX,
    ];
    while out.len() < count {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.push(state.wrapping_mul(0x2545_f491_4f6c_dd1d));
    }
    out
}

/// Rows of three numbers each.
pub fn rows(count: usize) -> Vec<[u64; 3]> {
    let (a, b, c) = (samples(1, count), samples(77, count), samples(991, count));
    (0..count)
        .map(|k| [a[k], b[(k * 7 + 3) % count], c[(k * 13 + 5) % count]])
        .collect()
}
