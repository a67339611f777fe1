//! Libraries: modules that belong to no context; each context that uses one gets its own module.
//!
//! See <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__LIBRARY.html>.

use std::collections::HashMap;
use std::ffi::{CString, c_char, c_void};
use std::sync::Arc;

use gvirtus_wire::api::types::{CUdevice, CUdeviceptr, CUfunction, CUkernel, CUlibrary, CUmodule};
use parking_lot::Mutex;

use super::context::{self, Context};
use super::error::{
    ERROR_FILE_NOT_FOUND, ERROR_INVALID_HANDLE, ERROR_INVALID_VALUE, ERROR_NOT_FOUND, Result,
};
use super::function::{self, Function, Settings};
use super::handles::{self, Table};
use super::jit::Options;
use super::module::{self, Module};
use super::{capture, device, fatbin, ffi, state};
use crate::engine::{CompiledModule, KernelInfo};

/// A compiled library.
struct Library {
    handle: usize,
    compiled: Arc<dyn CompiledModule>,
    kernels: Vec<Arc<Kernel>>,
    /// The module of each context that has asked for one, by context id.
    modules: Mutex<HashMap<u64, Arc<Module>>>,
}

/// A kernel of a library.
struct Kernel {
    handle: usize,
    library: usize,
    index: usize,
    info: KernelInfo,
    name: CString,
    /// What was set on the kernel; each context's function starts from it.
    settings: Settings,
}

static LIBRARIES: Table<Library> = Table::new();
static KERNELS: Table<Kernel> = Table::new();

impl Library {
    /// Its module in a context, loaded when first asked for.
    fn module(&self, context: &Context) -> Result<Arc<Module>> {
        let mut modules = self.modules.lock();
        if let Some(module) = modules.get(&context.id) {
            return Ok(Arc::clone(module));
        }
        let module = Module::create(context, Arc::clone(&self.compiled))?;
        for kernel in &self.kernels {
            module.functions[kernel.index]
                .settings()
                .copy_from(&kernel.settings);
        }
        modules.insert(context.id, Arc::clone(&module));
        Ok(module)
    }
}

fn resolve(handle: CUlibrary) -> Result<Arc<Library>> {
    state::require()?;
    LIBRARIES.get(handle).ok_or(ERROR_INVALID_HANDLE)
}

fn resolve_kernel(handle: CUkernel) -> Result<Arc<Kernel>> {
    state::require()?;
    KERNELS.get(handle).ok_or(ERROR_INVALID_HANDLE)
}

/// The function that a kernel is in the current context.
///
/// # Errors
/// `CUDA_ERROR_NOT_FOUND` when the handle is no kernel; no current context; out of memory.
pub(super) fn function_of_kernel(handle: CUkernel) -> Result<Arc<Function>> {
    let kernel = KERNELS.get(handle).ok_or(ERROR_NOT_FOUND)?;
    let library = LIBRARIES
        .get(handles::pointer(kernel.library))
        .ok_or(ERROR_NOT_FOUND)?;
    let module = library.module(&*context::current()?)?;
    Ok(Arc::clone(&module.functions[kernel.index]))
}

fn load(out: *mut CUlibrary, source: &str, options: &Options) -> Result {
    let compiled = module::compile(source, options)?;
    let handle = handles::mint();
    let kernel = |(index, info): (usize, &KernelInfo)| {
        let name = CString::new(info.name.clone()).unwrap_or_default();
        Arc::new(Kernel {
            handle: handles::mint(),
            library: handle,
            index,
            info: info.clone(),
            name,
            settings: Settings::new(info),
        })
    };
    let kernels: Vec<_> = compiled.kernels().iter().enumerate().map(kernel).collect();
    for kernel in &kernels {
        KERNELS.insert(kernel.handle, Arc::clone(kernel));
    }
    LIBRARIES.insert(
        handle,
        Arc::new(Library {
            handle,
            compiled,
            kernels,
            modules: Mutex::default(),
        }),
    );
    ffi::put(out, handles::pointer(handle))
}

#[allow(clippy::too_many_arguments, reason = "CUDA's parameters")]
pub(super) fn cuLibraryLoadData(
    library: *mut CUlibrary,
    code: *const c_void,
    jitOptions: *mut u32,
    jitOptionsValues: *mut *mut c_void,
    numJitOptions: u32,
    _libraryOptions: *mut u32,
    _libraryOptionValues: *mut *mut c_void,
    _numLibraryOptions: u32,
) -> Result {
    state::require()?;
    if library.is_null() {
        return Err(ERROR_INVALID_VALUE);
    }
    let options = Options::read(numJitOptions, jitOptions, jitOptionsValues)?;
    load(library, &fatbin::source_of_image(code)?, &options)
}

#[allow(clippy::too_many_arguments, reason = "CUDA's parameters")]
pub(super) fn cuLibraryLoadFromFile(
    library: *mut CUlibrary,
    fileName: *const c_char,
    jitOptions: *mut u32,
    jitOptionsValues: *mut *mut c_void,
    numJitOptions: u32,
    _libraryOptions: *mut u32,
    _libraryOptionValues: *mut *mut c_void,
    _numLibraryOptions: u32,
) -> Result {
    state::require()?;
    if library.is_null() {
        return Err(ERROR_INVALID_VALUE);
    }
    let options = Options::read(numJitOptions, jitOptions, jitOptionsValues)?;
    let bytes = std::fs::read(ffi::get_string(fileName)?).map_err(|_| ERROR_FILE_NOT_FOUND)?;
    load(library, &fatbin::source_of_bytes(&bytes)?, &options)
}

pub(super) fn cuLibraryUnload(library: CUlibrary) -> Result {
    let library = resolve(library)?;
    capture::forbid_unsafe_call()?;
    LIBRARIES.remove(handles::pointer(library.handle));
    for kernel in &library.kernels {
        KERNELS.remove(handles::pointer(kernel.handle));
    }
    for (_, module) in library.modules.lock().drain() {
        module.unload();
    }
    Ok(())
}

pub(super) fn cuLibraryGetKernel(
    pKernel: *mut CUkernel,
    library: CUlibrary,
    name: *const c_char,
) -> Result {
    let library = resolve(library)?;
    let name = ffi::get_string(name)?;
    let kernel = library
        .kernels
        .iter()
        .find(|kernel| kernel.info.name == name)
        .ok_or(ERROR_NOT_FOUND)?;
    ffi::put(pKernel, handles::pointer(kernel.handle))
}

pub(super) fn cuLibraryGetKernelCount(count: *mut u32, lib: CUlibrary) -> Result {
    ffi::put(count, resolve(lib)?.kernels.len() as u32)
}

pub(super) fn cuLibraryEnumerateKernels(
    kernels: *mut CUkernel,
    numKernels: u32,
    lib: CUlibrary,
) -> Result {
    let library = resolve(lib)?;
    let handles: Vec<CUkernel> = library
        .kernels
        .iter()
        .take(numKernels as usize)
        .map(|kernel| handles::pointer(kernel.handle))
        .collect();
    ffi::put_slice(kernels, &handles)
}

pub(super) fn cuLibraryGetModule(pMod: *mut CUmodule, library: CUlibrary) -> Result {
    let library = resolve(library)?;
    let module = library.module(&*context::current()?)?;
    ffi::put(pMod, handles::pointer(module.handle))
}

pub(super) fn cuLibraryGetGlobal(
    dptr: *mut CUdeviceptr,
    bytes: *mut usize,
    library: CUlibrary,
    name: *const c_char,
) -> Result {
    let library = resolve(library)?;
    let name = ffi::get_string(name)?;
    let module = library.module(&*context::current()?)?;
    let (address, size) = module.variable(&name).ok_or(ERROR_NOT_FOUND)?;
    ffi::put_optional(dptr, address);
    ffi::put_optional(bytes, size as usize);
    Ok(())
}

pub(super) fn cuLibraryGetManaged(
    _dptr: *mut CUdeviceptr,
    _bytes: *mut usize,
    library: CUlibrary,
    name: *const c_char,
) -> Result {
    // There are no managed variables without managed memory.
    resolve(library)?;
    ffi::get_string(name)?;
    Err(ERROR_NOT_FOUND)
}

pub(super) fn cuKernelGetFunction(pFunc: *mut CUfunction, kernel: CUkernel) -> Result {
    resolve_kernel(kernel)?;
    ffi::put(pFunc, handles::pointer(function_of_kernel(kernel)?.handle))
}

pub(super) fn cuKernelGetLibrary(pLib: *mut CUlibrary, kernel: CUkernel) -> Result {
    ffi::put(pLib, handles::pointer(resolve_kernel(kernel)?.library))
}

pub(super) fn cuKernelGetName(name: *mut *const c_char, hfunc: CUkernel) -> Result {
    ffi::put(name, resolve_kernel(hfunc)?.name.as_ptr())
}

pub(super) fn cuKernelGetParamInfo(
    kernel: CUkernel,
    paramIndex: usize,
    paramOffset: *mut usize,
    paramSize: *mut usize,
) -> Result {
    function::parameter(
        &resolve_kernel(kernel)?.info,
        paramIndex,
        paramOffset,
        paramSize,
    )
}

pub(super) fn cuKernelGetAttribute(
    pi: *mut i32,
    attrib: u32,
    kernel: CUkernel,
    dev: CUdevice,
) -> Result {
    device::resolve(dev)?;
    let kernel = resolve_kernel(kernel)?;
    ffi::put(pi, kernel.settings.get(&kernel.info, attrib)?)
}

pub(super) fn cuKernelSetAttribute(
    attrib: u32,
    val: i32,
    kernel: CUkernel,
    dev: CUdevice,
) -> Result {
    let device = device::resolve(dev)?;
    let kernel = resolve_kernel(kernel)?;
    kernel.settings.set(&kernel.info, attrib, val)?;
    // Contexts of the device that have the kernel already take the value too.
    let Some(library) = LIBRARIES.get(handles::pointer(kernel.library)) else {
        return Ok(());
    };
    for (context, module) in &*library.modules.lock() {
        if context::by_id(*context).is_some_and(|context| context.device == device.ordinal) {
            module.functions[kernel.index]
                .settings()
                .set(&kernel.info, attrib, val)?;
        }
    }
    Ok(())
}

pub(super) fn cuKernelSetCacheConfig(kernel: CUkernel, config: u32, dev: CUdevice) -> Result {
    device::resolve(dev)?;
    resolve_kernel(kernel)?;
    if config > 3 {
        Err(ERROR_INVALID_VALUE)
    } else {
        Ok(())
    }
}
