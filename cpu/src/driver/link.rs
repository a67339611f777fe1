//! `cuLink*`: the device links PTX texts to one, which is then its image.

use std::ffi::{c_char, c_void};
use std::sync::Arc;

use gvirtus_wire::api::types::CUlinkState;
use parking_lot::Mutex;

use super::error::{
    ERROR_FILE_NOT_FOUND, ERROR_INVALID_HANDLE, ERROR_INVALID_PTX, ERROR_INVALID_VALUE,
    ERROR_NO_BINARY_FOR_GPU, ERROR_NOT_SUPPORTED, Result,
};
use super::handles::{self, Table};
use super::jit::Options;
use super::{context, fatbin, ffi, module, state};
use crate::engine;

/// `CUjitInputType`.
const INPUT_CUBIN: u32 = 0;
const INPUT_PTX: u32 = 1;
const INPUT_FATBINARY: u32 = 2;
const INPUT_LAST: u32 = 5;

/// A linker's state.
struct Linker {
    /// Where the caller wants logs of all that it adds.
    options: Options,
    /// The PTX texts that were added.
    sources: Mutex<Vec<String>>,
    /// What came out, terminated.
    image: Mutex<Vec<u8>>,
}

static LINKERS: Table<Linker> = Table::new();

fn resolve(state: CUlinkState) -> Result<Arc<Linker>> {
    state::require()?;
    LINKERS.get(state).ok_or(ERROR_INVALID_HANDLE)
}

pub(super) fn cuLinkCreate_v2(
    numOptions: u32,
    options: *mut u32,
    optionValues: *mut *mut c_void,
    stateOut: *mut CUlinkState,
) -> Result {
    context::current()?;
    let options = Options::read(numOptions, options, optionValues)?;
    options.report(None);
    if stateOut.is_null() {
        return Err(ERROR_INVALID_VALUE);
    }
    let handle = handles::mint();
    let linker = Linker {
        options,
        sources: Mutex::default(),
        image: Mutex::default(),
    };
    LINKERS.insert(handle, Arc::new(linker));
    ffi::put(stateOut, handles::pointer(handle))
}

fn add(linker: &Linker, sort: u32, bytes: &[u8]) -> Result {
    let refuse = |status, text| {
        linker.options.say(text);
        eprint!("gvirtus-cpu: cuLinkAddData: {text}");
        Err(status)
    };
    let source = match sort {
        INPUT_PTX | INPUT_FATBINARY => fatbin::source_of_bytes(bytes)?,
        INPUT_CUBIN => {
            let text = "the CPU device runs PTX, not machine code for GPUs\n";
            return refuse(ERROR_NO_BINARY_FOR_GPU, text);
        }
        3..=INPUT_LAST => {
            let text = "the CPU device links PTX, not objects and libraries\n";
            return refuse(ERROR_NOT_SUPPORTED, text);
        }
        _ => return Err(ERROR_INVALID_VALUE),
    };
    // What is external here may be defined by a text that is still to come: only then must the text not be complete.
    if source.contains(".extern") && engine::is_ptx(&source) {
        linker.options.report(None);
    } else {
        module::compile(&source, &linker.options)?;
    }
    linker.sources.lock().push(source);
    Ok(())
}

#[allow(clippy::too_many_arguments, reason = "CUDA's parameters")]
pub(super) fn cuLinkAddData_v2(
    state: CUlinkState,
    type_: u32,
    data: *mut c_void,
    size: usize,
    _name: *const c_char,
    numOptions: u32,
    options: *mut u32,
    optionValues: *mut *mut c_void,
) -> Result {
    let linker = resolve(state)?;
    Options::read(numOptions, options, optionValues)?;
    add(&linker, type_, &ffi::get_bytes(data.cast(), size)?)
}

pub(super) fn cuLinkAddFile_v2(
    state: CUlinkState,
    type_: u32,
    path: *const c_char,
    numOptions: u32,
    options: *mut u32,
    optionValues: *mut *mut c_void,
) -> Result {
    let linker = resolve(state)?;
    Options::read(numOptions, options, optionValues)?;
    let bytes = std::fs::read(ffi::get_string(path)?).map_err(|_| ERROR_FILE_NOT_FOUND)?;
    add(&linker, type_, &bytes)
}

pub(super) fn cuLinkComplete(
    state: CUlinkState,
    cubinOut: *mut *mut c_void,
    sizeOut: *mut usize,
) -> Result {
    let linker = resolve(state)?;
    let sources = linker.sources.lock();
    if sources.is_empty() {
        return Err(ERROR_INVALID_VALUE);
    }
    let linked = engine::link(&sources).map_err(|message| {
        let text = format!("{message}\n");
        linker.options.say(&text);
        eprint!("gvirtus-cpu: cuLinkComplete: {text}");
        ERROR_INVALID_PTX
    })?;
    module::compile(&linked, &linker.options)?;
    let mut text = linker.image.lock();
    *text = linked.into_bytes();
    text.push(0);
    // The image belongs to the state and lives as long.
    ffi::put(cubinOut, text.as_mut_ptr().cast())?;
    ffi::put_optional(sizeOut, text.len());
    Ok(())
}

pub(super) fn cuLinkDestroy(state: CUlinkState) -> Result {
    state::require()?;
    LINKERS
        .remove(state)
        .map(|_| ())
        .ok_or(ERROR_INVALID_HANDLE)
}
