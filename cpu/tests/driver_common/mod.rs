//! What the tests of the driver share: a context of their own and shorter calls.

#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    clippy::missing_safety_doc,
    clippy::macro_metavars_in_unsafe,
    reason = "each test uses a part; calls go to C functions"
)]

use std::ffi::{CString, c_void};
use std::ptr::null_mut;

#[allow(unused_imports, reason = "each test uses a part")]
pub use gvirtus_cpu::driver::exports::{EXPORTS, IMPLEMENTED, cuMemAlloc_v2};
pub use gvirtus_wire::api::types::error::*;
pub use gvirtus_wire::api::types::*;

/// Calls an export and says what it answered.
#[macro_export]
macro_rules! cu {
    ($name:ident($($argument:expr),* $(,)?)) => {
        // SAFETY: the test passes pointers to live variables, or bad handles and addresses, which the driver checks.
        unsafe { gvirtus_cpu::driver::exports::$name($($argument),*) }
    };
}

/// Calls an export that must succeed.
#[macro_export]
macro_rules! ok {
    ($name:ident($($argument:expr),* $(,)?)) => {
        assert_eq!($crate::cu!($name($($argument),*)), 0, stringify!($name))
    };
}

/// A context of the test's own, current on its thread until dropped.
pub struct OwnContext(pub CUcontext);

impl OwnContext {
    pub fn new() -> Self {
        // Small, so that running out of memory is quick; equal for all tests of the process.
        // SAFETY: all tests set the same value, before the driver reads it once.
        unsafe { std::env::set_var("GVIRTUS_CPU_MEMORY", "256M") };
        ok!(cuInit(0));
        let mut context = null_mut();
        ok!(cuCtxCreate_v2(&mut context, 0, 0));
        Self(context)
    }
}

impl Drop for OwnContext {
    fn drop(&mut self) {
        cu!(cuCtxDestroy_v2(self.0));
    }
}

pub fn stream(flags: u32) -> CUstream {
    let mut stream = null_mut();
    ok!(cuStreamCreate(&mut stream, flags));
    stream
}

pub fn event(flags: u32) -> CUevent {
    let mut event = null_mut();
    ok!(cuEventCreate(&mut event, flags));
    event
}

pub fn alloc(bytes: usize) -> u64 {
    let mut address = 0;
    ok!(cuMemAlloc_v2(&mut address, bytes));
    address
}

/// Pinned host memory.
pub fn pinned<T>(count: usize) -> &'static mut [T] {
    let mut at = null_mut();
    ok!(cuMemHostAlloc(&mut at, count * size_of::<T>(), 0));
    // SAFETY: just allocated, zeroed, and never freed by the tests that use this.
    unsafe { std::slice::from_raw_parts_mut(at.cast(), count) }
}

pub fn upload<T: Copy>(to: u64, data: &[T]) {
    ok!(cuMemcpyHtoD_v2(to, data.as_ptr().cast(), size_of_val(data)));
}

pub fn download<T: Copy + Default>(from: u64, count: usize) -> Vec<T> {
    let mut data = vec![T::default(); count];
    ok!(cuMemcpyDtoH_v2(
        data.as_mut_ptr().cast(),
        from,
        count * size_of::<T>()
    ));
    data
}

/// A gate in a stream: what comes after it waits until it is opened from the host.
pub struct Gate(&'static mut [u32]);

impl Gate {
    pub fn close(stream: CUstream) -> Self {
        let word = pinned::<u32>(1);
        ok!(cuStreamWaitValue32_v2(stream, word.as_ptr() as u64, 1, 1));
        Self(word)
    }

    pub fn open(self) {
        // SAFETY: an aligned word that lives on.
        unsafe { std::sync::atomic::AtomicU32::from_ptr(self.0.as_mut_ptr()) }
            .store(1, std::sync::atomic::Ordering::SeqCst);
    }
}

pub fn load(ptx: &str) -> CUmodule {
    let text = CString::new(ptx).unwrap();
    let mut module = null_mut();
    ok!(cuModuleLoadData(&mut module, text.as_ptr().cast()));
    module
}

pub fn function(module: CUmodule, name: &str) -> CUfunction {
    let name = CString::new(name).unwrap();
    let mut function = null_mut();
    ok!(cuModuleGetFunction(&mut function, module, name.as_ptr()));
    function
}

/// Pointers to arguments, as `cuLaunchKernel` takes them.
#[macro_export]
macro_rules! arguments {
    ($($argument:expr),*) => { [$((&raw const $argument).cast_mut().cast::<std::ffi::c_void>()),*] };
}

pub fn launch(
    function: CUfunction,
    grid: u32,
    block: u32,
    stream: CUstream,
    arguments: &mut [*mut c_void],
) -> i32 {
    cu!(cuLaunchKernel(
        function,
        grid,
        1,
        1,
        block,
        1,
        1,
        0,
        stream,
        arguments.as_mut_ptr(),
        null_mut()
    ))
}
