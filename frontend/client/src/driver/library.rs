//! Libraries: <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__LIBRARY.html>.
//!
//! A library belongs to no context: its image is kept (compressed, as it came) and loaded as a module where a kernel or variable is first used. Names of kernels are read
//! from the image here, so that looking kernels up costs no round trip and needs no context.
#![allow(non_snake_case, reason = "CUDA's names")]
#![allow(clippy::too_many_arguments, reason = "parameters are CUDA's")]

use std::borrow::Cow;
use std::collections::HashMap;
use std::ffi::{CString, c_char, c_void};
use std::sync::Arc;
use std::time::Instant;

use gvirtus_wire::api::core::ContextSynchronize;
use gvirtus_wire::api::types::{CUdeviceptr, CUkernel, CUlibrary, CUmodule, error};
use parking_lot::Mutex;

use crate::driver::context::{self, Context};
use crate::driver::jit::Options;
use crate::driver::kernel::{self, Kernel};
use crate::driver::module::{self, Loaded, Module, name_of, read_file};
use crate::driver::{Result, put, put_if, session};
use crate::fatbin::container::{Choice, Owned};
use crate::fatbin::{self, ImageError, Source};
use crate::handles::{Kind, Table};
use crate::memory::{ledger, managed};
use crate::session::Session;

/// `CUlibraryOption`: a table that only the runtime uses, and the program's promise to keep the bytes.
const HOST_UNIVERSAL_FUNCTION_AND_DATA_TABLE: u32 = 0;
const BINARY_IS_PRESERVED: u32 = 1;

/// A library.
pub(crate) struct Library {
    handle: usize,
    /// For each compute capability among the devices, the image or why there is none.
    images: Vec<((u32, u32), Image)>,
    /// JIT options for every load.
    options: Vec<(u32, u64)>,
    state: Mutex<State>,
    /// Held by the thread that loads a module.
    loading: Mutex<()>,
}

#[derive(Default)]
struct State {
    /// Kernels by name; `None` before the image was looked into.
    kernels: Option<HashMap<String, Arc<Kernel>>>,
    /// Modules by context.
    modules: HashMap<u32, Arc<Module>>,
    /// Managed variables whose context was reset.
    kept: Vec<Kept>,
}

/// A managed variable that outlives the context in which it lay.
struct Kept {
    context: u32,
    name: String,
    address: CUdeviceptr,
    size: u64,
}

/// Where an image is until it is loaded.
enum Image {
    /// The program keeps it.
    Program(Choice<'static>),
    /// Our copy.
    Copy(Owned),
    /// None fits, but there are the parts to link one of, once for each context.
    Parts(Vec<Cow<'static, [u8]>>),
    /// There is none, but what the text says. Natively, too, a library without one loads, and its use fails.
    Missing(ImageError, String),
}

impl Image {
    /// What a module is made of.
    fn extract(&self, context: &Context, options: &[(u32, u64)]) -> Result<Vec<u8>> {
        let choice = match self {
            Self::Program(choice) => *choice,
            Self::Copy(owned) => owned.borrow(),
            Self::Parts(parts) => {
                let parts: Vec<&[u8]> = parts.iter().map(|part| &**part).collect();
                return module::link_parts(context, &parts, options);
            }
            Self::Missing(why, contents) => {
                if *why == ImageError::NoBinary {
                    module::tell_missing(contents, context.device);
                }
                return Err(why.status());
            }
        };
        choice
            .extract()
            .map(Cow::into_owned)
            .map_err(ImageError::status)
    }

    /// Names of its kernels.
    fn kernel_names(&self, capability: (u32, u32)) -> Result<Vec<String>> {
        let names = |choice: Choice<'_>| Ok(fatbin::kernel_names(&choice.extract()?));
        let found = match self {
            Self::Program(choice) => names(*choice),
            Self::Copy(owned) => names(owned.borrow()),
            Self::Parts(parts) => {
                let ptx_only = session()?.snapshot.ptx_only;
                let mut all = Vec::new();
                for part in parts {
                    // A part may be for other devices: then linking says so, if others need it.
                    if let Ok(choice) = Source::Container(part).choose(capability, ptx_only) {
                        all.extend(names(choice).map_err(ImageError::status)?);
                    }
                }
                Ok(all)
            }
            Self::Missing(why, _) => Err(*why),
        };
        found.map_err(ImageError::status)
    }
}

static LIBRARIES: Table<Library> = Table::new(Kind::Library);

/// The library behind a handle.
pub(crate) fn by_handle(handle: CUlibrary) -> Result<Arc<Library>> {
    LIBRARIES.get(handle).ok_or(error::ERROR_INVALID_HANDLE)
}

/// A context is gone: what was loaded there is, too.
pub(crate) fn forget_context(context: u32) {
    LIBRARIES.for_each(|library| {
        library.state.lock().modules.remove(&context);
    });
}

/// What the program holds for a library.
pub(crate) fn handle(library: &Library) -> CUlibrary {
    std::ptr::without_provenance_mut(library.handle)
}

impl Library {
    /// The image for a device, and the device's compute capability.
    fn image(&self, device: u32) -> Result<((u32, u32), &Image)> {
        let wanted = context::compute_capability(device);
        let found = self
            .images
            .iter()
            .find(|(capability, _)| *capability == wanted);
        let (capability, image) = found.ok_or(error::ERROR_NO_BINARY_FOR_GPU)?;
        Ok((*capability, image))
    }

    /// The library's module in a context, loaded at first use.
    pub(crate) fn module(&self, context: &Arc<Context>) -> Result<Arc<Module>> {
        let known = || self.state.lock().modules.get(&context.id).cloned();
        if let Some(known) = known() {
            return Ok(known);
        }
        // Of threads that launch at the same time one loads, and the others find what it loaded.
        let _loading = self.loading.lock();
        match known() {
            Some(known) => Ok(known),
            None => self.compile(context)?.0,
        }
    }

    /// Loads the library's module into a context that has none; gives what the compiler logged, too.
    fn compile(&self, context: &Arc<Context>) -> Result<Loaded> {
        let image = self
            .image(context.device)?
            .1
            .extract(context, &self.options)?;
        let (loaded, report) = module::load(context, &image, &self.options, true)?;
        if let Ok(module) = &loaded {
            let mut state = self.state.lock();
            state.modules.insert(context.id, Arc::clone(module));
        }
        Ok((loaded, report))
    }

    /// Runs `f` on the kernels, after reading their names from the image at first use.
    fn with_kernels<R>(
        self: &Arc<Self>,
        f: impl FnOnce(&HashMap<String, Arc<Kernel>>) -> R,
    ) -> Result<R> {
        if let Some(known) = &self.state.lock().kernels {
            return Ok(f(known));
        }
        let device = context::current().map_or(0, |context| context.device);
        let (capability, image) = self.image(device)?;
        if let Image::Missing(ImageError::NoBinary, contents) = image {
            module::tell_missing(contents, device);
        }
        let names = image.kernel_names(capability)?;
        let mut state = self.state.lock();
        if state.kernels.is_none() {
            let mut kernels = HashMap::with_capacity(names.len());
            for name in names {
                let text = CString::new(name.as_str()).map_err(|_| error::ERROR_INVALID_IMAGE)?;
                kernels.insert(
                    name,
                    kernel::insert(Arc::downgrade(self), self.handle, text)?,
                );
            }
            state.kernels = Some(kernels);
        }
        state.kernels.as_ref().map(f).ok_or(error::ERROR_UNKNOWN)
    }
}

/// Loads the library's images for the devices of this session. Where the program asks for the compiler's logs and there is a context, the library is compiled for that at
/// once: the buffers need not be there any more when a kernel is first used.
///
/// # Safety
/// If `preserved`, the bytes behind `source` stay as long as the library; the options' outputs are the program's, see [`Options::read`].
unsafe fn load(source: Source<'_>, options: Options, preserved: bool) -> Result<CUlibrary> {
    let session = session()?;
    let keep = |part: &[u8]| {
        if preserved {
            // SAFETY: by this function's contract the bytes outlive the library.
            Cow::Borrowed(unsafe { std::mem::transmute::<&[u8], &'static [u8]>(part) })
        } else {
            Cow::Owned(part.to_vec())
        }
    };
    let mut images: Vec<((u32, u32), Image)> = Vec::new();
    for (device, _) in (0u32..).zip(&session.snapshot.devices) {
        let capability = context::compute_capability(device);
        if images.iter().any(|(known, _)| *known == capability) {
            continue;
        }
        let image = match source.choose(capability, session.snapshot.ptx_only) {
            Ok(choice) if preserved => {
                // SAFETY: by this function's contract the bytes outlive the library.
                Image::Program(unsafe {
                    std::mem::transmute::<Choice<'_>, Choice<'static>>(choice)
                })
            }
            Ok(choice) => Image::Copy(choice.to_owned()),
            Err(ImageError::NoBinary) => match source.parts() {
                Ok(parts) if parts.is_empty() => {
                    Image::Missing(ImageError::NoBinary, source.contents())
                }
                Ok(parts) => Image::Parts(parts.into_iter().map(keep).collect()),
                Err(why) => Image::Missing(why, String::new()),
            },
            Err(why) => Image::Missing(why, String::new()),
        };
        images.push((capability, image));
    }
    let loaded = insert(images, &options)?;
    if options.has_outputs()
        && let Ok(context) = context::current()
    {
        let began = Instant::now();
        let library = by_handle(loaded)?;
        let compiled = library.compile(&context).and_then(|(module, report)| {
            // SAFETY: by this function's contract.
            unsafe { options.answer(&report.info_log, &report.error_log, began.elapsed()) };
            module
        });
        // A library without an image for this device loads, as it does without logs.
        if let Err(status) = compiled
            && !matches!(
                library.image(context.device),
                Err(_) | Ok((_, Image::Missing(..)))
            )
        {
            LIBRARIES.remove(loaded);
            return Err(status);
        }
    }
    Ok(loaded)
}

fn insert(images: Vec<((u32, u32), Image)>, options: &Options) -> Result<CUlibrary> {
    let library = LIBRARIES.insert(|handle| Library {
        handle: handle as usize,
        images,
        options: options.forwarded.clone(),
        state: Mutex::default(),
        loading: Mutex::default(),
    });
    library
        .map(|l| handle(&l))
        .ok_or(error::ERROR_OUT_OF_MEMORY)
}

/// Reads the library options: whether the program keeps the bytes.
///
/// # Safety
/// The array has `count` elements if it is not null.
unsafe fn preserved(count: u32, numbers: *const u32) -> Result<bool> {
    if count > 0 && numbers.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let mut preserved = false;
    for i in 0..count as usize {
        // SAFETY: inside the array.
        match unsafe { numbers.add(i).read_unaligned() } {
            HOST_UNIVERSAL_FUNCTION_AND_DATA_TABLE => {}
            BINARY_IS_PRESERVED => preserved = true,
            _ => return Err(error::ERROR_INVALID_VALUE),
        }
    }
    Ok(preserved)
}

/// Keeps the image; whether it is any good shows at first use, as natively.
pub(crate) unsafe fn cuLibraryLoadData(
    library: *mut CUlibrary,
    code: *const c_void,
    jitOptions: *mut u32,
    jitOptionsValues: *mut *mut c_void,
    numJitOptions: u32,
    libraryOptions: *mut u32,
    _libraryOptionValues: *mut *mut c_void,
    numLibraryOptions: u32,
) -> Result<()> {
    session()?;
    if library.is_null() || code.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    // SAFETY: the caller's arrays.
    let options = unsafe { Options::read(numJitOptions, jitOptions, jitOptionsValues)? };
    // SAFETY: the caller's array.
    let preserved = unsafe { preserved(numLibraryOptions, libraryOptions)? };
    // SAFETY: an image, by CUDA's contract.
    let loaded = match unsafe { Source::at(code) } {
        // SAFETY: the caller promised to keep the bytes if `preserved`.
        Ok(source) => unsafe { load(source, options, preserved)? },
        Err(why) => {
            let devices = session()?.snapshot.devices.len();
            let all = (0u32..).take(devices).map(context::compute_capability);
            let missing = |c| (c, Image::Missing(why, String::new()));
            insert(all.map(missing).collect(), &options)?
        }
    };
    // SAFETY: not null.
    unsafe { put(library, loaded) }
}

/// As [`cuLibraryLoadData`], out of a file of the program's file system.
pub(crate) unsafe fn cuLibraryLoadFromFile(
    library: *mut CUlibrary,
    fileName: *const c_char,
    jitOptions: *mut u32,
    jitOptionsValues: *mut *mut c_void,
    numJitOptions: u32,
    libraryOptions: *mut u32,
    _libraryOptionValues: *mut *mut c_void,
    numLibraryOptions: u32,
) -> Result<()> {
    session()?;
    if library.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    // SAFETY: the caller's string and arrays.
    let (file, options) = unsafe {
        preserved(numLibraryOptions, libraryOptions)?;
        (
            read_file(fileName)?,
            Options::read(numJitOptions, jitOptions, jitOptionsValues)?,
        )
    };
    let source = Source::of(&file).map_err(ImageError::status)?;
    // SAFETY: not preserved, so copied.
    let loaded = unsafe { load(source, options, false)? };
    // SAFETY: not null.
    unsafe { put(library, loaded) }
}

/// Unloads the library's modules in every context.
pub(crate) fn cuLibraryUnload(library: CUlibrary) -> Result<()> {
    session()?;
    let library = LIBRARIES
        .remove(library)
        .ok_or(error::ERROR_INVALID_HANDLE)?;
    kernel::forget_library(library.handle);
    let modules = std::mem::take(&mut library.state.lock().modules);
    let mut result = Ok(());
    for module in modules.into_values() {
        result = result.and(module::unload(&module));
    }
    // What outlived its context has no module to go with.
    for variable in &library.state.lock().kept {
        managed::remove_variable(variable.address, variable.size);
    }
    result
}

/// A kernel by its mangled name: always the same handle for the same name.
pub(crate) unsafe fn cuLibraryGetKernel(
    pKernel: *mut CUkernel,
    library: CUlibrary,
    name: *const c_char,
) -> Result<()> {
    session()?;
    if pKernel.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let library = by_handle(library)?;
    // SAFETY: the caller's string.
    let name = unsafe { name_of(name)? };
    let found = library.with_kernels(|kernels| kernels.get(name).map(|k| kernel::handle(k)))?;
    // SAFETY: not null.
    unsafe { put(pKernel, found.ok_or(error::ERROR_NOT_FOUND)?) }
}

/// Number of kernels.
pub(crate) unsafe fn cuLibraryGetKernelCount(count: *mut u32, lib: CUlibrary) -> Result<()> {
    session()?;
    let kernels = by_handle(lib)?.with_kernels(HashMap::len)?;
    // SAFETY: the caller's pointer.
    unsafe { put(count, u32::try_from(kernels).unwrap_or(u32::MAX)) }
}

/// At most `numKernels` kernels, in the order of their names.
pub(crate) unsafe fn cuLibraryEnumerateKernels(
    kernels: *mut CUkernel,
    numKernels: u32,
    lib: CUlibrary,
) -> Result<()> {
    session()?;
    let library = by_handle(lib)?;
    if kernels.is_null() || numKernels == 0 {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let mut all = library.with_kernels(|kernels| kernels.values().cloned().collect::<Vec<_>>())?;
    all.sort_unstable_by(|a, b| a.name().cmp(b.name()));
    for (i, kernel) in all.iter().take(numKernels as usize).enumerate() {
        // SAFETY: `i` is below the array's length.
        unsafe { put(kernels.add(i), kernel::handle(kernel))? };
    }
    Ok(())
}

/// The library's module in the current context, which only the library unloads.
pub(crate) unsafe fn cuLibraryGetModule(pMod: *mut CUmodule, library: CUlibrary) -> Result<()> {
    let context = context::current()?;
    if pMod.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let module = by_handle(library)?.module(&context)?;
    // SAFETY: not null.
    unsafe { put(pMod, module::handle(&module)) }
}

/// Address and size of a variable in the current context; either pointer may be null, not both.
pub(crate) unsafe fn cuLibraryGetGlobal(
    dptr: *mut CUdeviceptr,
    bytes: *mut usize,
    library: CUlibrary,
    name: *const c_char,
) -> Result<()> {
    let context = context::current()?;
    let library = by_handle(library)?;
    if dptr.is_null() && bytes.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    // SAFETY: the caller's string.
    let (address, size) = library
        .module(&context)?
        .global(unsafe { name_of(name)? })?;
    // SAFETY: the caller's pointers, which may be null.
    unsafe {
        put_if(dptr, address);
        put_if(bytes, usize::try_from(size).unwrap_or(usize::MAX));
    }
    Ok(())
}

/// Address and size of a managed variable: `CUDA_ERROR_NOT_FOUND` for one that is not managed.
pub(crate) unsafe fn cuLibraryGetManaged(
    dptr: *mut CUdeviceptr,
    bytes: *mut usize,
    library: CUlibrary,
    name: *const c_char,
) -> Result<()> {
    session()?;
    let library = by_handle(library)?;
    if dptr.is_null() && bytes.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    // SAFETY: the caller's string.
    let name = unsafe { name_of(name)? };
    // Natively the variable has one address in all contexts; here it is that of the current context's module, or of the first device's where none is current.
    let context = context::current().or_else(|_| context::primary_anyhow(0))?;
    let (address, size) = library.module(&context)?.global(name)?;
    if !ledger::at(address).is_some_and(|entry| entry.is_managed()) {
        return Err(error::ERROR_NOT_FOUND);
    }
    // SAFETY: the caller's pointers, which may be null.
    unsafe {
        put_if(dptr, address);
        put_if(bytes, usize::try_from(size).unwrap_or(usize::MAX));
    }
    Ok(())
}

/// A function that processor and GPU both call: no device of ours has the attribute for it, and natively every name is an invalid value then.
pub(crate) fn cuLibraryGetUnifiedFunction(
    _fptr: *mut *mut c_void,
    library: CUlibrary,
    _symbol: *const c_char,
) -> Result<()> {
    session()?;
    by_handle(library)?;
    Err(error::ERROR_INVALID_VALUE)
}

/// A context is about to be reset: managed variables of libraries keep what they hold, as natively, where they are the libraries' and not the context's.
pub(crate) fn keep_managed(session: &Session, context: &Arc<Context>) {
    let mut waited = None;
    LIBRARIES.for_each(|library| {
        let mut state = library.state.lock();
        let Some(module) = state.modules.get(&context.id) else {
            return;
        };
        let kept: Vec<Kept> = module
            .known_globals()
            .into_iter()
            .filter(|(_, address, _)| ledger::at(*address).is_some_and(|entry| entry.is_managed()))
            .map(|(name, address, size)| Kept {
                context: context.id,
                name,
                address,
                size,
            })
            .collect();
        if kept.is_empty() {
            return;
        }
        let waited = *waited.get_or_insert_with(|| {
            let wait = ContextSynchronize {};
            session.call(context.id, &wait).is_ok()
        });
        // What a fault has left in a context is nobody's to see.
        if waited {
            for variable in &kept {
                managed::keep_variable(session, variable.address, variable.size);
            }
        }
        state.kept.retain(|known| known.context != context.id);
        state.kept.extend(kept);
    });
}

/// A context that was reset is used again. Programs touch managed variables of libraries without a call, so the libraries that have some are loaded at once. They are expected at the addresses that they
/// had; where the box gives others, what they hold goes there, and NVIDIA's runtime, which does not ask again, uses what is left here.
pub(crate) fn renew_managed(session: &Session, context: &Arc<Context>) {
    let mut stale = Vec::new();
    LIBRARIES.for_each(|library| {
        let mut state = library.state.lock();
        let (mut kept, others) = std::mem::take(&mut state.kept)
            .into_iter()
            .partition::<Vec<_>, _>(|known| known.context == context.id);
        state.kept = others;
        if !kept.is_empty() {
            kept.sort_unstable_by_key(|known| known.address);
            stale.push((library.handle, kept));
        }
    });
    // In the order in which they were loaded before, for the sake of the addresses.
    stale.sort_unstable_by_key(|(library, _)| *library);
    let mut renewed = Vec::new();
    for (library, kept) in stale {
        let Some(library) = LIBRARIES.get(std::ptr::without_provenance_mut(library)) else {
            continue;
        };
        for Kept {
            name,
            address: before,
            size,
            ..
        } in kept
        {
            let now = library
                .module(context)
                .and_then(|module| module.global(&name));
            match now {
                Ok((now, _)) => {
                    if now != before {
                        log!(
                            Warn,
                            "after a reset the managed variable {name} lies at {now:#x}; a program that still uses {before:#x} does not share it with the GPU"
                        );
                    }
                    managed::renew_variable(session, before, now, size);
                    renewed.push((before, size, now == before));
                }
                Err(status) => log!(
                    Error,
                    "after a reset the managed variable {name} is not there: CUDA error {status}"
                ),
            }
        }
    }
    // Variables share pages, so all of them are sent first.
    for (address, size, same) in renewed {
        managed::share_variable(address, size, same);
    }
}
