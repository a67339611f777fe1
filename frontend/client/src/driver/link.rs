//! Linking at run time (`cuLink*`): <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__MODULE.html>.
//!
//! The worker's driver links: inputs go there as they are added, errors and logs come back with each call, and the image with `cuLinkComplete`.
#![allow(non_snake_case, reason = "CUDA's names")]
#![allow(clippy::too_many_arguments, reason = "parameters are CUDA's")]

use std::ffi::{CStr, c_char, c_void};
use std::sync::Arc;
use std::time::Instant;

use gvirtus_wire::api::core::{
    JitReport, LinkAdd, LinkComplete, LinkCreate, LinkDestroy, LinkImage, LinkRead,
};
use gvirtus_wire::api::types::{CUlinkState, error};
use parking_lot::Mutex;

use crate::driver::jit::Options;
use crate::driver::module::read_file;
use crate::driver::{Result, context, put, session};
use crate::handles::{Kind, Table};

/// `CUjitInputType`: cubin, PTX, fat binary, object, library, NVVM.
const INPUT_TYPES: u32 = 6;
const INPUT_PTX: u32 = 1;
/// A larger image is not believed.
const MAX_IMAGE: u64 = 1 << 30;

/// A link under way.
struct Link {
    /// The worker's number.
    id: u32,
    context: u32,
    handle: usize,
    /// What `cuLinkComplete` gave.
    image: Vec<u8>,
    complete: bool,
    options: Options,
    began: Instant,
}

// SAFETY: the options hold addresses in the program's memory, which are used only inside calls that the program makes for this link.
unsafe impl Send for Link {}

static LINKS: Table<Mutex<Link>> = Table::new(Kind::Link);

fn with_link<R>(state: CUlinkState, f: impl FnOnce(&mut Link) -> Result<R>) -> Result<R> {
    session()?;
    let link = LINKS.get(state).ok_or(error::ERROR_INVALID_HANDLE)?;
    f(&mut link.lock())
}

fn create(context: u32, options: Options) -> Result<Arc<Mutex<Link>>> {
    let session = session()?;
    LINKS.try_insert(|handle, id| {
        let forwarded = options.forwarded.clone();
        session.call_setup(
            context,
            &LinkCreate {
                link: id,
                options: forwarded,
            },
            &[],
        )?;
        Ok(Mutex::new(Link {
            id,
            context,
            handle: handle as usize,
            image: Vec::new(),
            complete: false,
            options,
            began: Instant::now(),
        }))
    })
}

/// Links fat binaries of relocatable code for a context's device: the image, PTX with its NUL. Natively the driver does so when it loads a program that was linked for other devices.
///
/// # Errors
/// What the linker says; its log is written to ours.
pub(crate) fn fat_binaries(
    context: u32,
    parts: &[&[u8]],
    options: &[(u32, u64)],
) -> Result<Vec<u8>> {
    const INPUT_FATBINARY: u32 = 2;
    let mut changing = Options::default();
    changing.forwarded.extend_from_slice(options);
    let link = create(context, changing)?;
    let handle = link.lock().handle;
    let made = (|| {
        let mut link = link.lock();
        for (number, part) in parts.iter().enumerate() {
            // SAFETY: the options have no outputs.
            unsafe { link.add(INPUT_FATBINARY, part, format!("part {number}"), Vec::new())? };
        }
        // SAFETY: as above.
        unsafe { link.make() }
    })();
    cuLinkDestroy(std::ptr::without_provenance_mut(handle))?;
    let mut image = made?;
    let binary = image.starts_with(&crate::fatbin::elf::MAGIC.to_le_bytes());
    if !binary && image.last() != Some(&0) {
        image.push(0);
    }
    Ok(image)
}

/// Begins a link.
pub(crate) unsafe fn cuLinkCreate_v2(
    numOptions: u32,
    options: *mut u32,
    optionValues: *mut *mut c_void,
    stateOut: *mut CUlinkState,
) -> Result<()> {
    session()?;
    let context = context::current()?.id;
    if stateOut.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    // SAFETY: the caller's arrays, which CUDA asks to be kept until the link is destroyed.
    let options = unsafe { Options::read(numOptions, options, optionValues)? };
    let link = create(context, options)?;
    let handle = link.lock().handle;
    // SAFETY: not null.
    unsafe { put(stateOut, std::ptr::without_provenance_mut(handle)) }
}

impl Link {
    /// # Safety
    /// The program's option arrays and buffers are still there, as CUDA asks.
    unsafe fn add(
        &mut self,
        kind: u32,
        input: &[u8],
        name: String,
        options: Vec<(u32, u64)>,
    ) -> Result<()> {
        if self.complete || kind >= INPUT_TYPES || input.is_empty() {
            return Err(error::ERROR_INVALID_VALUE);
        }
        // PTX is text: what lies behind its NUL is none of the compiler's business.
        let input = match kind {
            INPUT_PTX => input.split(|b| *b == 0).next().unwrap_or_default(),
            _ => input,
        };
        let command = LinkAdd {
            link: self.id,
            kind,
            name,
            options,
        };
        let report = session()?.call_setup(self.context, &command, input)?;
        // SAFETY: this function's contract.
        unsafe { self.tell(&report) }
    }

    /// Has the worker link what was added.
    ///
    /// # Safety
    /// As [`add`](Self::add).
    unsafe fn make(&self) -> Result<Vec<u8>> {
        let made = session()?.call_setup(self.context, &LinkComplete { link: self.id }, &[])?;
        let image = self.whole(&made)?;
        // SAFETY: this function's contract.
        unsafe { self.tell(&made.report)? };
        Ok(image)
    }

    /// The image, of which the reply has the beginning and, if it is not large, all.
    fn whole(&self, made: &LinkImage) -> Result<Vec<u8>> {
        if made.size > MAX_IMAGE {
            return Err(error::ERROR_OUT_OF_MEMORY);
        }
        let size = made.size as usize;
        let mut image = made.image.clone();
        while image.len() < size {
            let command = LinkRead {
                link: self.id,
                offset: image.len() as u64,
            };
            let piece = session()?.call_setup(self.context, &command, &[])?;
            if piece.is_empty() {
                return Err(error::ERROR_UNKNOWN);
            }
            image.extend_from_slice(&piece);
        }
        if image.len() == size {
            Ok(image)
        } else {
            Err(error::ERROR_UNKNOWN)
        }
    }

    /// Gives the program the logs and the status.
    ///
    /// # Safety
    /// As [`add`](Self::add).
    unsafe fn tell(&self, report: &JitReport) -> Result<()> {
        // SAFETY: this function's contract.
        unsafe {
            self.options
                .answer(&report.info_log, &report.error_log, self.began.elapsed())
        };
        match report.status {
            0 => Ok(()),
            status => {
                log!(
                    Info,
                    "linking gives {status}: {}",
                    report.error_log.trim_end()
                );
                Err(status)
            }
        }
    }
}

/// A C string of the program, or an empty one.
unsafe fn text(name: *const c_char) -> String {
    if name.is_null() {
        return String::new();
    }
    // SAFETY: not null, and the caller's C string.
    unsafe { CStr::from_ptr(name) }
        .to_string_lossy()
        .into_owned()
}

/// Adds an input. What the compiler finds wrong with it is this call's error.
pub(crate) unsafe fn cuLinkAddData_v2(
    state: CUlinkState,
    type_: u32,
    data: *mut c_void,
    size: usize,
    name: *const c_char,
    numOptions: u32,
    options: *mut u32,
    optionValues: *mut *mut c_void,
) -> Result<()> {
    // SAFETY: the caller's arrays and string.
    let (options, name) = unsafe {
        (
            Options::read(numOptions, options, optionValues)?,
            text(name),
        )
    };
    with_link(state, |link| {
        if data.is_null() || size == 0 {
            return Err(error::ERROR_INVALID_VALUE);
        }
        // SAFETY: `size` bytes, by CUDA's contract, and the arrays given to `cuLinkCreate`.
        unsafe {
            let input = std::slice::from_raw_parts(data.cast::<u8>(), size);
            link.add(type_, input, name, options.forwarded)
        }
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
    let options = unsafe { Options::read(numOptions, options, optionValues)? };
    with_link(state, |link| {
        // SAFETY: the caller's string, and the arrays given to `cuLinkCreate`.
        unsafe {
            let file = read_file(path).map_err(|_| error::ERROR_INVALID_VALUE)?;
            link.add(type_, &file, text(path), options.forwarded)
        }
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
        if cubinOut.is_null() || sizeOut.is_null() {
            return Err(error::ERROR_INVALID_VALUE);
        }
        // SAFETY: the caller's pointers and, in the options, buffers.
        unsafe {
            let image = link.make()?;
            link.complete = true;
            let size = image.len();
            link.image = image;
            // PTX that a device took as it is ends in a NUL, as its user expects.
            link.image.push(0);
            put(cubinOut, link.image.as_mut_ptr().cast())?;
            put(sizeOut, size)
        }
    })
}

/// Ends a link and frees its image.
pub(crate) fn cuLinkDestroy(state: CUlinkState) -> Result<()> {
    let session = session()?;
    let link = LINKS.get(state).ok_or(error::ERROR_INVALID_HANDLE)?;
    let (id, context) = {
        let link = link.lock();
        (link.id, link.context)
    };
    LINKS
        .remove_with(state, || session.post(context, &LinkDestroy { link: id }))
        .map_err(|_| error::ERROR_INVALID_HANDLE)
}
