//! Modules: <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__MODULE.html>.
//!
//! The client picks the image that fits the device and sends that alone; the reply tells all about the kernels of a small module, so that looking one up costs nothing.
#![allow(non_snake_case, reason = "CUDA's names")]

use std::borrow::Cow;
use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_void};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Instant;

use gvirtus_wire::api::core::{
    FunctionInfo, GetFunction, GlobalInfo, IMAGE_THERE, IMAGES_NOT_KEPT, JitReport, ModuleInfo,
    ModuleLoad, ModuleUnload,
};
use gvirtus_wire::api::types::{CUdeviceptr, CUfunction, CUmodule, error};
use gvirtus_wire::image::{SMALLEST_CACHED, prints};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use crate::driver::context::{self, Context};
use crate::driver::function::{self, Function};
use crate::driver::jit::Options;
use crate::driver::{Result, link, put, put_if, session, texture_reference};
use crate::fatbin::{self, ImageError, Source};
use crate::handles::{Kind, Table};
use crate::session::Session;
use crate::{memory, streams};

/// A loaded module.
pub(crate) struct Module {
    /// Its number on the wire.
    pub(crate) id: u32,
    /// What the program holds.
    handle: usize,
    /// Where it is loaded.
    pub(crate) context: Arc<Context>,
    /// Whether a library owns it: then the program may not unload it.
    of_library: bool,
    /// Number of kernels.
    count: u32,
    /// Names of the kernels in the image, for programs that enumerate them where the reply did not.
    names: Vec<String>,
    contents: Mutex<Contents>,
}

/// What is known of a module's insides.
#[derive(Default)]
struct Contents {
    functions: HashMap<String, Arc<Function>>,
    /// Whether there are no functions but those.
    complete: bool,
    /// Address and size of variables.
    globals: HashMap<String, (CUdeviceptr, u64)>,
}

static MODULES: Table<Module> = Table::new(Kind::Module);

/// The module behind a handle.
pub(crate) fn by_handle(handle: CUmodule) -> Result<Arc<Module>> {
    MODULES.get(handle).ok_or(error::ERROR_INVALID_HANDLE)
}

/// What the program holds for a module.
pub(crate) fn handle(module: &Module) -> CUmodule {
    std::ptr::without_provenance_mut(module.handle)
}

/// A context is gone, and its modules with it.
pub(crate) fn forget_context(context: u32) {
    MODULES.remove_if(|module| module.context.id == context);
    function::forget(|function| function.context == context);
}

/// A module, or why the compiler gave none, and what it logged in either case.
pub(crate) type Loaded = (Result<Arc<Module>>, JitReport);

/// Loads an image (a cubin, or PTX with its NUL) into a context; gives what the JIT compiler logged, too.
pub(crate) fn load(
    context: &Arc<Context>,
    image: &[u8],
    options: &[(u32, u64)],
    of_library: bool,
) -> Result<Loaded> {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let session = session()?;
    let id = NEXT.fetch_add(1, Ordering::Relaxed);
    // Then results of synchronization wait for output.
    if prints(image) {
        session.set_prints();
    }
    let info = send(session, context, id, image, options)?;
    let ModuleInfo {
        functions,
        complete,
        count,
        report,
        ..
    } = info;
    if report.status != 0 {
        return Ok((Err(report.status), report));
    }
    let names = if complete {
        Vec::new()
    } else {
        fatbin::kernel_names(image)
    };
    let made = MODULES.insert(|handle| Module {
        id,
        handle: handle as usize,
        context: Arc::clone(context),
        of_library,
        count,
        names,
        contents: Mutex::default(),
    });
    let Some(module) = made else {
        session.post(context.id, &ModuleUnload { module: id })?;
        return Err(error::ERROR_OUT_OF_MEMORY);
    };
    for info in functions {
        module.add(info)?;
    }
    module.contents.lock().complete = complete;
    Ok((Ok(module), report))
}

/// Has the worker load an image. A large one is named first: the box may have it from an earlier session.
fn send(
    session: &'static Session,
    context: &Context,
    id: u32,
    image: &[u8],
    options: &[(u32, u64)],
) -> Result<ModuleInfo> {
    /// The backend keeps images, as far as is known.
    static KEPT: AtomicBool = AtomicBool::new(true);
    let mut command = ModuleLoad {
        module: id,
        hash: Sha256::digest(image).into(),
        options: options.to_vec(),
        known: image.len() as u64,
    };
    if command.known >= SMALLEST_CACHED && KEPT.load(Ordering::Relaxed) {
        let info = session.call_setup(context.id, &command, &[])?;
        match info.image {
            IMAGE_THERE => return Ok(info),
            IMAGES_NOT_KEPT => KEPT.store(false, Ordering::Relaxed),
            _ => {}
        }
    }
    command.known = 0;
    session.call_setup(context.id, &command, image)
}

/// Unloads a module. Natively it waits for running kernels: one round trip if there may be any, none otherwise.
pub(crate) fn unload(module: &Module) -> Result<()> {
    if MODULES.remove(handle(module)).is_none() {
        return Err(error::ERROR_INVALID_HANDLE);
    }
    function::forget(|function| function.module == module.handle);
    texture_reference::forget_module(handle(module));
    for (address, _) in std::mem::take(&mut module.contents.lock().globals).into_values() {
        memory::remove_global(address);
    }
    let session = session()?;
    let command = ModuleUnload { module: module.id };
    if streams::outstanding(module.context.id) {
        session.call(module.context.id, &command)
    } else {
        session.post(module.context.id, &command)
    }
}

impl Module {
    /// Puts a kernel that the worker told of into the tables; the first of two that found it at the same time wins.
    fn add(&self, info: FunctionInfo) -> Result<Arc<Function>> {
        let mut contents = self.contents.lock();
        if let Some(known) = contents.functions.get(&info.name) {
            return Ok(Arc::clone(known));
        }
        let name = info.name.clone();
        let function = function::insert(info, &self.context, self.handle)?;
        contents.functions.insert(name, Arc::clone(&function));
        Ok(function)
    }

    /// The kernel of that name.
    ///
    /// # Errors
    /// `CUDA_ERROR_NOT_FOUND` if there is none.
    pub(crate) fn function(&self, name: &str) -> Result<Arc<Function>> {
        {
            let contents = self.contents.lock();
            if let Some(known) = contents.functions.get(name) {
                return Ok(Arc::clone(known));
            }
            if contents.complete {
                return Err(error::ERROR_NOT_FOUND);
            }
        }
        let command = GetFunction {
            module: self.id,
            name: name.to_owned(),
        };
        let info = session()?.call_setup(self.context.id, &command, &[])?;
        self.add(FunctionInfo {
            name: name.to_owned(),
            ..info
        })
    }

    /// Address and size of a module variable.
    ///
    /// # Errors
    /// `CUDA_ERROR_NOT_FOUND` if there is none of that name.
    pub(crate) fn global(&self, name: &str) -> Result<(CUdeviceptr, u64)> {
        if let Some(known) = self.contents.lock().globals.get(name) {
            return Ok(*known);
        }
        let command = GlobalInfo {
            module: self.id,
            name: name.to_owned(),
        };
        let reply = session()?.call_setup(self.context.id, &command, &[])?;
        let found = (reply.address, reply.size);
        let new = self
            .contents
            .lock()
            .globals
            .insert(name.to_owned(), found)
            .is_none();
        if new {
            memory::add_global(
                reply.address,
                reply.size,
                self.context.device,
                self.context.id,
                reply.managed,
            )?;
        }
        Ok(found)
    }

    /// Name, address and size of the variables that were asked for.
    pub(crate) fn known_globals(&self) -> Vec<(String, CUdeviceptr, u64)> {
        let contents = self.contents.lock();
        let globals = contents.globals.iter();
        globals
            .map(|(name, (address, size))| (name.clone(), *address, *size))
            .collect()
    }

    /// At most `most` of its kernels, in the order of their names.
    ///
    /// # Errors
    /// Those of looking a kernel up.
    pub(crate) fn functions(&self, most: usize) -> Result<Vec<Arc<Function>>> {
        let names = self.names();
        names
            .iter()
            .take(most)
            .map(|name| self.function(name))
            .collect()
    }

    /// Every kernel's name.
    fn names(&self) -> Vec<String> {
        let contents = self.contents.lock();
        if contents.complete {
            let mut names: Vec<String> = contents.functions.keys().cloned().collect();
            names.sort_unstable();
            names
        } else {
            self.names.clone()
        }
    }
}

/// What a name argument says; a name that is not UTF-8 cannot be that of a symbol.
///
/// # Safety
/// `name` is null or a C string.
pub(crate) unsafe fn name_of<'a>(name: *const c_char) -> Result<&'a str> {
    if name.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    // SAFETY: not null, a C string by this function's contract.
    unsafe { CStr::from_ptr(name) }
        .to_str()
        .map_err(|_| error::ERROR_NOT_FOUND)
}

/// Says, once for each such image, why there is none for a device; `contents` is what there is.
pub(crate) fn tell_missing(contents: &str, device: u32) {
    let (major, minor) = context::compute_capability(device);
    let only = match session() {
        Ok(session) if session.snapshot.ptx_only => ", which takes PTX alone",
        _ => "",
    };
    let text = format!(
        "no image for a device of compute capability {major}.{minor}{only}: the program has {contents}"
    );
    if crate::log::first_time(&text) {
        log!(Warn, "{text}");
    }
}

/// Links what a program consists of where none of its images fits.
///
/// # Errors
/// `CUDA_ERROR_NO_BINARY_FOR_GPU` if there is nothing to link, otherwise what the linker says.
pub(crate) fn link_parts(
    context: &Context,
    parts: &[&[u8]],
    options: &[(u32, u64)],
) -> Result<Vec<u8>> {
    if parts.is_empty() {
        return Err(error::ERROR_NO_BINARY_FOR_GPU);
    }
    link::fat_binaries(context.id, parts, options)
}

/// Chooses, decompresses and loads for the current context.
///
/// # Safety
/// The options' outputs are the program's, see [`Options::read`].
unsafe fn load_source(source: Source<'_>, options: &Options) -> Result<Arc<Module>> {
    let context = context::current()?;
    let capability = context::compute_capability(context.device);
    let ptx_only = session()?.snapshot.ptx_only;
    let began = Instant::now();
    let image = match source.choose(capability, ptx_only) {
        Err(ImageError::NoBinary) => {
            let parts = source.parts().map_err(ImageError::status)?;
            if parts.is_empty() {
                tell_missing(&source.contents(), context.device);
            }
            Cow::Owned(link_parts(&context, &parts, &options.forwarded)?)
        }
        choice => choice
            .and_then(|choice| choice.extract())
            .map_err(ImageError::status)?,
    };
    let (module, report) = load(&context, &image, &options.forwarded, false)?;
    // SAFETY: by this function's contract.
    unsafe { options.answer(&report.info_log, &report.error_log, began.elapsed()) };
    module
}

/// Reads a file as the driver does: the program's file system, `CUDA_ERROR_FILE_NOT_FOUND` if that fails.
///
/// # Safety
/// `path` is null or a C string.
pub(crate) unsafe fn read_file(path: *const c_char) -> Result<Vec<u8>> {
    use std::os::unix::ffi::OsStrExt;
    if path.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    // SAFETY: not null, a C string by this function's contract.
    let path = unsafe { CStr::from_ptr(path) };
    let path = std::path::Path::new(std::ffi::OsStr::from_bytes(path.to_bytes()));
    std::fs::read(path).map_err(|why| {
        log!(Info, "cannot read {}: {why}", path.display());
        error::ERROR_FILE_NOT_FOUND
    })
}

/// Loads a file (fat binary, cubin or PTX) of the program's file system.
pub(crate) unsafe fn cuModuleLoad(module: *mut CUmodule, fname: *const c_char) -> Result<()> {
    context::current()?;
    if module.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    // SAFETY: the caller's string.
    let file = unsafe { read_file(fname)? };
    let source = Source::of(&file).map_err(ImageError::status)?;
    // SAFETY: no outputs.
    let loaded = unsafe { load_source(source, &Options::default())? };
    // SAFETY: not null.
    unsafe { put(module, handle(&loaded)) }
}

/// Loads a fat binary, cubin or NUL-terminated PTX out of memory.
pub(crate) unsafe fn cuModuleLoadData(module: *mut CUmodule, image: *const c_void) -> Result<()> {
    let nothing = std::ptr::null_mut();
    // SAFETY: the caller's pointers.
    unsafe { cuModuleLoadDataEx(module, image, 0, nothing, nothing.cast()) }
}

/// [`cuModuleLoadData`] with JIT options. Log buffers get what the compiler says, whether it succeeds or not.
pub(crate) unsafe fn cuModuleLoadDataEx(
    module: *mut CUmodule,
    image: *const c_void,
    numOptions: u32,
    options: *mut u32,
    optionValues: *mut *mut c_void,
) -> Result<()> {
    context::current()?;
    if module.is_null() || image.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    // SAFETY: the caller's arrays.
    let options = unsafe { Options::read(numOptions, options, optionValues)? };
    // SAFETY: an image, by CUDA's contract.
    let source = unsafe { Source::at(image) }.map_err(ImageError::status)?;
    // SAFETY: the caller's arrays.
    let loaded = unsafe { load_source(source, &options)? };
    // SAFETY: not null.
    unsafe { put(module, handle(&loaded)) }
}

/// As [`cuModuleLoadData`].
pub(crate) unsafe fn cuModuleLoadFatBinary(
    module: *mut CUmodule,
    fatCubin: *const c_void,
) -> Result<()> {
    // SAFETY: the caller's pointers.
    unsafe { cuModuleLoadData(module, fatCubin) }
}

/// `CUDA_ERROR_NOT_PERMITTED` for a library's module, as natively.
pub(crate) fn cuModuleUnload(hmod: CUmodule) -> Result<()> {
    session()?;
    let module = by_handle(hmod)?;
    if module.of_library {
        return Err(error::ERROR_NOT_PERMITTED);
    }
    crate::capture::forbid()?;
    unload(&module)
}

/// The box's: 1 eager, 2 lazy.
pub(crate) unsafe fn cuModuleGetLoadingMode(mode: *mut u32) -> Result<()> {
    let loading_mode = session()?.snapshot.loading_mode;
    // SAFETY: the caller's pointer.
    unsafe { put(mode, loading_mode.cast_unsigned()) }
}

/// A kernel by its mangled name. No round trip in a module whose kernels came with the reply.
pub(crate) unsafe fn cuModuleGetFunction(
    hfunc: *mut CUfunction,
    hmod: CUmodule,
    name: *const c_char,
) -> Result<()> {
    session()?;
    if hfunc.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let module = by_handle(hmod)?;
    // SAFETY: the caller's string.
    let name = unsafe { name_of(name)? };
    if name.is_empty() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let function = module.function(name)?;
    // SAFETY: not null.
    unsafe { put(hfunc, function::handle(&function)) }
}

/// Number of kernels.
pub(crate) unsafe fn cuModuleGetFunctionCount(count: *mut u32, mod_: CUmodule) -> Result<()> {
    session()?;
    let module = by_handle(mod_)?;
    // SAFETY: the caller's pointer.
    unsafe { put(count, module.count) }
}

/// At most `numFunctions` kernels, in the order of their names.
pub(crate) unsafe fn cuModuleEnumerateFunctions(
    functions: *mut CUfunction,
    numFunctions: u32,
    mod_: CUmodule,
) -> Result<()> {
    session()?;
    let module = by_handle(mod_)?;
    if functions.is_null() || numFunctions == 0 {
        return Err(error::ERROR_INVALID_VALUE);
    }
    for (i, function) in module.functions(numFunctions as usize)?.iter().enumerate() {
        // SAFETY: `i` is below the array's length.
        unsafe { put(functions.add(i), function::handle(function))? };
    }
    Ok(())
}

/// Address and size of a variable; either pointer may be null, not both.
pub(crate) unsafe fn cuModuleGetGlobal_v2(
    dptr: *mut CUdeviceptr,
    bytes: *mut usize,
    hmod: CUmodule,
    name: *const c_char,
) -> Result<()> {
    session()?;
    let module = by_handle(hmod)?;
    if dptr.is_null() && bytes.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    // SAFETY: the caller's string.
    let (address, size) = module.global(unsafe { name_of(name)? })?;
    // SAFETY: the caller's pointers, which may be null.
    unsafe {
        put_if(dptr, address);
        put_if(bytes, usize::try_from(size).unwrap_or(usize::MAX));
    }
    Ok(())
}
