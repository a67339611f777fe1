//! What a program works with: the library and the driver, opened by name, memory of all kinds, and random numbers.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ffi::{CStr, c_char};
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::AsRawFd;

/// Where memory lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The program's own.
    Host,
    /// `cuMemAllocHost`.
    Pinned,
    /// `cuMemAlloc`.
    Device,
}

impl Place {
    pub(crate) const ALL: [Self; 3] = [Self::Host, Self::Pinned, Self::Device];
}

/// The library, the driver, and random numbers.
pub(crate) struct Machine {
    library: libloading::Library,
    driver: libloading::Library,
    random: Cell<u64>,
    held: RefCell<BTreeMap<String, u64>>,
}

/// Any function of integers and pointers: what it does not take does not matter to it.
type Words = unsafe extern "C" fn(
    u64,
    u64,
    u64,
    u64,
    u64,
    u64,
    u64,
    u64,
    u64,
    u64,
    u64,
    u64,
    u64,
    u64,
    u64,
    u64,
) -> u64;

fn call(library: &libloading::Library, name: &str, words: &[u64]) -> u64 {
    let mut all = [0; 16];
    all[..words.len()].copy_from_slice(words);
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = all;
    unsafe {
        let function = library.get::<Words>(name.as_bytes());
        function.unwrap_or_else(|error| panic!("{name}: {error}"))(
            a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p,
        )
    }
}

/// A program's first round is always the same.
const SEED: u64 = 6;

impl Machine {
    /// With the first device's primary context.
    pub(crate) fn open(library: &str) -> Self {
        let open = |name: &str| {
            unsafe { libloading::Library::new(name) }.unwrap_or_else(|error| panic!("{error}"))
        };
        let machine = Self {
            library: open(library),
            driver: open("libcuda.so.1"),
            random: Cell::new(SEED),
            held: RefCell::default(),
        };
        let mut context = 0u64;
        machine.driver("cuInit", &[0]);
        machine.driver("cuDevicePrimaryCtxRetain", &[at_mut(&mut context), 0]);
        machine.driver("cuCtxSetCurrent", &[context]);
        machine
    }

    /// Calls the library; what it returns is a status, mostly.
    pub(crate) fn call(&self, name: &str, words: &[u64]) -> i32 {
        self.words(name, words) as i32
    }

    /// As [`Machine::call`], of a function that returns an address.
    pub(crate) fn words(&self, name: &str, words: &[u64]) -> u64 {
        call(&self.library, name, words)
    }

    /// A function whose arguments or result are not integers.
    pub(crate) fn function<T: Copy>(&self, name: &str) -> T {
        *unsafe { self.library.get::<T>(name.as_bytes()) }.unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    /// Whether the library's version has a function.
    pub(crate) fn has(&self, name: &str) -> bool {
        unsafe { self.library.get::<Words>(name.as_bytes()) }.is_ok()
    }

    /// Calls the driver, which must succeed.
    pub(crate) fn driver(&self, name: &str, words: &[u64]) {
        let status = call(&self.driver, name, words) as u32;
        assert_eq!(status, 0, "{name}");
    }

    /// What these functions promise has held.
    pub(crate) fn holds(&self, names: &[&str]) {
        let mut held = self.held.borrow_mut();
        for name in names {
            *held.entry((*name).to_owned()).or_default() += 1;
        }
    }

    /// How often what each function promises has held.
    pub(crate) fn held(&self) -> BTreeMap<String, u64> {
        self.held.borrow().clone()
    }

    /// The next random number (splitmix64).
    pub(crate) fn next(&self) -> u64 {
        let state = self.random.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.random.set(state);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from `low` to `high`.
    pub(crate) fn between(&self, low: i64, high: i64) -> i64 {
        low + (self.next() % (high - low + 1).unsigned_abs()).cast_signed()
    }

    /// One of these.
    pub(crate) fn one_of<T: Copy>(&self, of: &[T]) -> T {
        of[self.next() as usize % of.len()]
    }

    /// True once in so many times.
    pub(crate) fn once_in(&self, times: u64) -> bool {
        self.next().is_multiple_of(times)
    }

    pub(crate) fn bytes(&self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }

    /// Memory with these bytes.
    pub(crate) fn memory(&self, place: Place, bytes: &[u8]) -> Memory<'_> {
        let mut memory = Memory {
            machine: self,
            place,
            address: 0,
            own: Vec::new(),
            bytes: bytes.len(),
        };
        let (out, size) = (at_mut(&mut memory.address), bytes.len().max(1) as u64);
        match place {
            Place::Host => {
                // Aligned for every type.
                memory.own = vec![0u128; bytes.len() / 16 + 1];
                memory.address = memory.own.as_mut_ptr() as u64;
            }
            Place::Pinned => self.driver("cuMemAllocHost_v2", &[out, size]),
            Place::Device => self.driver("cuMemAlloc_v2", &[out, size]),
        }
        memory.write(bytes);
        memory
    }

    pub(crate) fn stream(&self) -> Stream<'_> {
        let mut address = 0u64;
        self.driver("cuStreamCreate", &[at_mut(&mut address), 1]);
        Stream {
            machine: self,
            address,
        }
    }

    /// What is printed meanwhile on standard output.
    pub(crate) fn printed(&self, f: impl FnOnce()) -> String {
        let mut file = tempfile::tempfile().expect("a file");
        unsafe {
            libc::fflush(std::ptr::null_mut());
            let before = libc::dup(1);
            libc::dup2(file.as_raw_fd(), 1);
            f();
            libc::fflush(std::ptr::null_mut());
            libc::dup2(before, 1);
            libc::close(before);
        }
        let mut text = String::new();
        file.seek(SeekFrom::Start(0)).expect("the file's beginning");
        file.read_to_string(&mut text).expect("text");
        text
    }
}

/// A stream of the driver's.
pub(crate) struct Stream<'a> {
    machine: &'a Machine,
    pub(crate) address: u64,
}

impl Stream<'_> {
    pub(crate) fn wait(&self) {
        self.machine.driver("cuStreamSynchronize", &[self.address]);
    }
}

impl Drop for Stream<'_> {
    fn drop(&mut self) {
        self.wait();
        self.machine.driver("cuStreamDestroy_v2", &[self.address]);
    }
}

/// Memory somewhere.
pub(crate) struct Memory<'a> {
    machine: &'a Machine,
    pub(crate) place: Place,
    pub(crate) address: u64,
    own: Vec<u128>,
    bytes: usize,
}

impl Memory<'_> {
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        assert_eq!(bytes.len(), self.bytes);
        let from = bytes.as_ptr();
        match self.place {
            _ if bytes.is_empty() => {}
            Place::Device => {
                let words = [self.address, from as u64, bytes.len() as u64];
                self.machine.driver("cuMemcpyHtoD_v2", &words);
            }
            _ => unsafe {
                std::ptr::copy_nonoverlapping(from, self.address as *mut u8, bytes.len());
            },
        }
    }

    pub(crate) fn read(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.bytes];
        let to = bytes.as_mut_ptr();
        match self.place {
            _ if bytes.is_empty() => {}
            Place::Device => {
                let words = [to as u64, self.address, self.bytes as u64];
                self.machine.driver("cuMemcpyDtoH_v2", &words);
            }
            _ => unsafe {
                std::ptr::copy_nonoverlapping(self.address as *const u8, to, self.bytes);
            },
        }
        bytes
    }
}

impl Drop for Memory<'_> {
    fn drop(&mut self) {
        match self.place {
            Place::Host => {}
            Place::Pinned => self.machine.driver("cuMemFreeHost", &[self.address]),
            Place::Device => self.machine.driver("cuMemFree_v2", &[self.address]),
        }
    }
}

/// An address as a word: what it leads to is read.
pub(crate) fn at<T>(value: &T) -> u64 {
    std::ptr::from_ref(value) as u64
}

/// An address as a word: what it leads to is written.
pub(crate) fn at_mut<T>(value: &mut T) -> u64 {
    std::ptr::from_mut(value) as u64
}

/// An `int`, `long long`, … as a word.
pub(crate) fn word(number: impl Into<i64>) -> u64 {
    number.into().cast_unsigned()
}

/// The text that a function told.
pub(crate) fn text(at: u64) -> String {
    let text = unsafe { CStr::from_ptr(at as *const c_char) };
    text.to_string_lossy().into_owned()
}
