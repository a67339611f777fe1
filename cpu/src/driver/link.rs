//! `cuLink*`: the device links PTX texts to one, which is then its image. They come as texts, in fat binaries, or in what nvcc leaves in objects and libraries.

use std::ffi::{c_char, c_void};
use std::sync::Arc;

use gvirtus_wire::api::types::CUlinkState;
use parking_lot::Mutex;

use super::error::{
    ERROR_FILE_NOT_FOUND, ERROR_INVALID_HANDLE, ERROR_INVALID_IMAGE, ERROR_INVALID_PTX,
    ERROR_INVALID_VALUE, ERROR_NO_BINARY_FOR_GPU, ERROR_NOT_SUPPORTED, Result,
};
use super::handles::{self, Table};
use super::jit::Options;
use super::{archive, context, fatbin, ffi, module, state};
use crate::engine;

/// `CUjitInputType`.
const INPUT_CUBIN: u32 = 0;
const INPUT_PTX: u32 = 1;
const INPUT_FATBINARY: u32 = 2;
const INPUT_OBJECT: u32 = 3;
const INPUT_LIBRARY: u32 = 4;
const INPUT_NVVM: u32 = 5;

/// A linker's state.
struct Linker {
    /// Where the caller wants logs of all that it adds.
    options: Options,
    /// The PTX texts that were added.
    sources: Mutex<Vec<String>>,
    /// Inputs without PTX for this device: they may define what others need, or nothing that is needed.
    left_out: Mutex<Vec<String>>,
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
        left_out: Mutex::default(),
        image: Mutex::default(),
    };
    LINKERS.insert(handle, Arc::new(linker));
    ffi::put(stateOut, handles::pointer(handle))
}

fn add(linker: &Linker, sort: u32, name: &str, bytes: &[u8]) -> Result {
    match sort {
        INPUT_PTX => add_source(linker, fatbin::source_of_bytes(bytes)?),
        INPUT_FATBINARY => add_fatbin(linker, name, bytes),
        INPUT_OBJECT | INPUT_LIBRARY => {
            let found = archive::fat_binaries(bytes);
            if found.is_empty() {
                let text = format!("{name}: no fat binary in this object or library\n");
                return refuse(linker, ERROR_INVALID_IMAGE, &text);
            }
            for (member, binary) in found {
                add_fatbin(linker, &format!("{name}:{member}"), &binary)?;
            }
            Ok(())
        }
        INPUT_CUBIN => {
            let text = "the CPU device runs PTX, not machine code for GPUs\n";
            refuse(linker, ERROR_NO_BINARY_FOR_GPU, text)
        }
        INPUT_NVVM => {
            let text = "the CPU device links PTX, not intermediate code\n";
            refuse(linker, ERROR_NOT_SUPPORTED, text)
        }
        _ => Err(ERROR_INVALID_VALUE),
    }
}

fn refuse(linker: &Linker, status: i32, text: &str) -> Result {
    linker.options.say(text);
    eprint!("gvirtus-cpu: cuLinkAddData: {text}");
    Err(status)
}

/// Adds the PTX of a fat binary. One that has none for this device is left out: the device runtime's archive is such a one, and its functions are this device's own.
fn add_fatbin(linker: &Linker, name: &str, bytes: &[u8]) -> Result {
    match fatbin::source_of_bytes(bytes) {
        Err(ERROR_NO_BINARY_FOR_GPU) => {
            linker.left_out.lock().push(name.to_owned());
            Ok(())
        }
        source => add_source(linker, source?),
    }
}

fn add_source(linker: &Linker, source: String) -> Result {
    // What is external here may be defined by a text that is still to come: only then must the text not be complete.
    if source.contains(".extern") && engine::is_ptx(&source) {
        linker.options.report(None);
    } else {
        module::compile(&source, &linker.options)?;
    }
    linker.sources.lock().push(source);
    Ok(())
}

/// The name that the caller gave an input.
fn name_of(name: *const c_char) -> String {
    if name.is_null() {
        return "input".to_owned();
    }
    let name = ffi::get_string(name).unwrap_or_default();
    if name.is_empty() {
        "input".to_owned()
    } else {
        name
    }
}

#[allow(clippy::too_many_arguments, reason = "CUDA's parameters")]
pub(super) fn cuLinkAddData_v2(
    state: CUlinkState,
    type_: u32,
    data: *mut c_void,
    size: usize,
    name: *const c_char,
    numOptions: u32,
    options: *mut u32,
    optionValues: *mut *mut c_void,
) -> Result {
    let linker = resolve(state)?;
    Options::read(numOptions, options, optionValues)?;
    add(
        &linker,
        type_,
        &name_of(name),
        &ffi::get_bytes(data.cast(), size)?,
    )
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
    add(&linker, type_, &name_of(path), &bytes)
}

pub(super) fn cuLinkComplete(
    state: CUlinkState,
    cubinOut: *mut *mut c_void,
    sizeOut: *mut usize,
) -> Result {
    let linker = resolve(state)?;
    let sources = linker.sources.lock();
    let left_out = linker.left_out.lock().join(", ");
    if sources.is_empty() {
        if left_out.is_empty() {
            return Err(ERROR_INVALID_VALUE);
        }
        let text = format!("no PTX for this device in {left_out}\n");
        return refuse(&linker, ERROR_NO_BINARY_FOR_GPU, &text);
    }
    let linked = engine::link(&sources).map_err(|message| {
        let text = format!("{message}\n");
        linker.options.say(&text);
        eprint!("gvirtus-cpu: cuLinkComplete: {text}");
        ERROR_INVALID_PTX
    })?;
    module::compile(&linked, &linker.options).inspect_err(|_| {
        if !left_out.is_empty() {
            eprintln!(
                "gvirtus-cpu: cuLinkComplete: without {left_out}, which have no PTX for this device"
            );
        }
    })?;
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
