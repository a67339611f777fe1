//! Linking at run time (`cuLink*`): <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__MODULE.html>.
//!
//! One PTX input is passed through: what `cuLinkComplete` returns is the PTX itself, which `cuModuleLoadData` takes like any image. Linking several inputs, or objects, is
//! not supported.
#![allow(non_snake_case, reason = "CUDA's names")]
#![allow(clippy::too_many_arguments, reason = "parameters are CUDA's")]

use std::ffi::{c_char, c_void};
use std::time::Duration;

use gvirtus_wire::api::types::{CUlinkState, error};
use parking_lot::Mutex;

use crate::driver::jit::Options;
use crate::driver::module::read_file;
use crate::driver::{Result, context, put, session};
use crate::fatbin::ptx;
use crate::handles::{Kind, Table};

/// `CUjitInputType`: cubin, PTX, fat binary, object, library, NVVM.
const INPUT_PTX: u32 = 1;
const INPUT_TYPES: u32 = 6;

/// A link under way.
struct Link {
    handle: usize,
    /// PTX with its NUL; empty before an input was added.
    image: Vec<u8>,
    complete: bool,
    options: Options,
}

// SAFETY: the options hold addresses in the program's memory, which are used only inside calls that the program makes for this link.
unsafe impl Send for Link {}

static LINKS: Table<Mutex<Link>> = Table::new(Kind::Link);

fn with_link<R>(state: CUlinkState, f: impl FnOnce(&mut Link) -> Result<R>) -> Result<R> {
    session()?;
    let link = LINKS.get(state).ok_or(error::ERROR_INVALID_HANDLE)?;
    f(&mut link.lock())
}

/// Begins a link.
pub(crate) unsafe fn cuLinkCreate_v2(
    numOptions: u32,
    options: *mut u32,
    optionValues: *mut *mut c_void,
    stateOut: *mut CUlinkState,
) -> Result<()> {
    context::current()?;
    if stateOut.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    // SAFETY: the caller's arrays, which CUDA asks to be kept until the link is destroyed.
    let options = unsafe { Options::read(numOptions, options, optionValues)? };
    let link = LINKS.insert(|handle| {
        Mutex::new(Link {
            handle: handle as usize,
            image: Vec::new(),
            complete: false,
            options,
        })
    });
    let handle = link.ok_or(error::ERROR_OUT_OF_MEMORY)?.lock().handle;
    // SAFETY: not null.
    unsafe { put(stateOut, std::ptr::without_provenance_mut(handle)) }
}

impl Link {
    fn add(&mut self, type_: u32, input: &[u8]) -> Result<()> {
        if self.complete || type_ >= INPUT_TYPES {
            return Err(error::ERROR_INVALID_VALUE);
        }
        if type_ != INPUT_PTX || !self.image.is_empty() {
            crate::log::unsupported("cuLinkAddData of anything but one PTX");
            return Err(error::ERROR_NOT_SUPPORTED);
        }
        let text = input.split(|b| *b == 0).next().unwrap_or_default();
        if !ptx::looks_like(text) {
            return Err(error::ERROR_INVALID_PTX);
        }
        self.image = text.to_vec();
        self.image.push(0);
        Ok(())
    }
}

/// Adds PTX. Anything else, and a second input, is `CUDA_ERROR_NOT_SUPPORTED`.
pub(crate) unsafe fn cuLinkAddData_v2(
    state: CUlinkState,
    type_: u32,
    data: *mut c_void,
    size: usize,
    _name: *const c_char,
    numOptions: u32,
    options: *mut u32,
    optionValues: *mut *mut c_void,
) -> Result<()> {
    // SAFETY: the caller's arrays.
    unsafe { Options::read(numOptions, options, optionValues)? };
    with_link(state, |link| {
        if data.is_null() || size == 0 {
            return Err(error::ERROR_INVALID_VALUE);
        }
        // SAFETY: `size` bytes, by CUDA's contract.
        let input = unsafe { std::slice::from_raw_parts(data.cast::<u8>(), size) };
        link.add(type_, input)
    })
}

/// Adds a file of the program's file system, as [`cuLinkAddData_v2`]. A file that cannot be read is `CUDA_ERROR_INVALID_VALUE`, as natively.
pub(crate) unsafe fn cuLinkAddFile_v2(
    state: CUlinkState,
    type_: u32,
    path: *const c_char,
    numOptions: u32,
    options: *mut u32,
    optionValues: *mut *mut c_void,
) -> Result<()> {
    // SAFETY: the caller's arrays.
    unsafe { Options::read(numOptions, options, optionValues)? };
    with_link(state, |link| {
        // SAFETY: the caller's string.
        let file = unsafe { read_file(path) }.map_err(|_| error::ERROR_INVALID_VALUE)?;
        link.add(type_, &file)
    })
}

/// Gives the image, which lives as long as the link.
pub(crate) unsafe fn cuLinkComplete(
    state: CUlinkState,
    cubinOut: *mut *mut c_void,
    sizeOut: *mut usize,
) -> Result<()> {
    with_link(state, |link| {
        if link.complete {
            return Err(error::ERROR_INVALID_HANDLE);
        }
        if link.image.is_empty() {
            return Err(error::ERROR_INVALID_VALUE);
        }
        link.complete = true;
        // SAFETY: the caller's pointers and, in the options, buffers.
        unsafe {
            link.options.answer("", "", Duration::ZERO);
            put(cubinOut, link.image.as_mut_ptr().cast())?;
            put(sizeOut, link.image.len())
        }
    })
}

/// Ends a link and frees its image.
pub(crate) fn cuLinkDestroy(state: CUlinkState) -> Result<()> {
    session()?;
    LINKS
        .remove(state)
        .map(drop)
        .ok_or(error::ERROR_INVALID_HANDLE)
}
