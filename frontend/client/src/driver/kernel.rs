//! Kernels of libraries: <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__LIBRARY.html>.
//!
//! A kernel belongs to no context; it becomes a function in each context where it is used. Launches take either.
#![allow(non_snake_case, reason = "CUDA's names")]

use std::ffi::{CString, c_char};
use std::sync::{Arc, Weak};

use gvirtus_wire::api::types::{CUdevice, CUfunction, CUkernel, CUlibrary, error};
use parking_lot::{Mutex, RwLock};

use crate::driver::context::{self, Context};
use crate::driver::function::{self, Function};
use crate::driver::library::{self, Library};
use crate::driver::{Result, device, put, session};
use crate::handles::{self, Kind, Table, kind_of};

/// A kernel of a library.
pub(crate) struct Kernel {
    handle: usize,
    /// Its library's handle.
    library_handle: usize,
    /// Dangling once the library is unloaded.
    library: Weak<Library>,
    name: CString,
    /// Functions by context. Few, so a list.
    functions: RwLock<Vec<Arc<Function>>>,
    /// What was set for a device: attributes (device, number, value), also for functions that come later.
    settings: Mutex<Vec<(u32, u32, i32)>>,
}

static KERNELS: Table<Kernel> = Table::new(Kind::Kernel);

/// The kernel behind a handle.
pub(crate) fn by_handle(handle: CUkernel) -> Result<Arc<Kernel>> {
    KERNELS.get(handle).ok_or(error::ERROR_INVALID_HANDLE)
}

/// What the program holds for a kernel.
pub(crate) fn handle(kernel: &Kernel) -> CUkernel {
    std::ptr::without_provenance_mut(kernel.handle)
}

/// What the program holds for the kernel of which a function is the form in its context; null if it is a module's function.
pub(crate) fn of_function(function: &Arc<Function>) -> CUkernel {
    let is = |kernel: &Kernel| {
        let functions = kernel.functions.read();
        functions.iter().any(|known| Arc::ptr_eq(known, function))
    };
    KERNELS
        .find(is)
        .map_or(std::ptr::null_mut(), |k| handle(&k))
}

/// A new kernel of a library.
pub(crate) fn insert(
    library: Weak<Library>,
    library_handle: usize,
    name: CString,
) -> Result<Arc<Kernel>> {
    KERNELS
        .insert(|handle| Kernel {
            handle: handle as usize,
            library_handle,
            library,
            name,
            functions: RwLock::default(),
            settings: Mutex::default(),
        })
        .ok_or(error::ERROR_OUT_OF_MEMORY)
}

/// A library is unloaded.
pub(crate) fn forget_library(library: usize) {
    KERNELS.remove_if(|kernel| kernel.library_handle == library);
}

/// A context is gone, and what kernels were there.
pub(crate) fn forget_context(context: u32) {
    KERNELS.for_each(|kernel| {
        // Rarely anything to do: do not take what launches need.
        let affected = kernel.functions.read().iter().any(|f| f.context == context);
        if affected {
            kernel.functions.write().retain(|f| f.context != context);
            handles::changed();
        }
    });
    library::forget_context(context);
}

impl Kernel {
    /// The mangled name.
    pub(crate) fn name(&self) -> &CString {
        &self.name
    }

    /// The kernel in a context; loads the library there at first use.
    #[inline]
    pub(crate) fn function(&self, context: &Arc<Context>) -> Result<Arc<Function>> {
        let known = self
            .functions
            .read()
            .iter()
            .find(|f| f.context == context.id)
            .cloned();
        match known {
            Some(known) => Ok(known),
            None => self.load(context),
        }
    }

    #[cold]
    fn load(&self, context: &Arc<Context>) -> Result<Arc<Function>> {
        let library = self.library.upgrade().ok_or(error::ERROR_INVALID_HANDLE)?;
        let name = self.name.to_str().map_err(|_| error::ERROR_NOT_FOUND)?;
        let function = library.module(context)?.function(name)?;
        let settings = self.settings.lock().clone();
        for (_, attribute, value) in settings.into_iter().filter(|s| s.0 == context.device) {
            function.set_attribute(attribute, value)?;
        }
        let mut functions = self.functions.write();
        if !functions.iter().any(|f| f.context == context.id) {
            functions.push(Arc::clone(&function));
        }
        Ok(function)
    }

    /// The kernel on a device: in the current context if that is the device's, else in its primary one.
    fn on_device(&self, dev: CUdevice) -> Result<Arc<Function>> {
        let (ordinal, _) = device::by_handle(dev)?;
        match context::current() {
            Ok(current) if current.device == ordinal => self.function(&current),
            _ => self.function(&context::primary_of(ordinal)?),
        }
    }
}

/// What a program means by a function: a function of the current context, or a kernel in it.
///
/// # Errors
/// `CUDA_ERROR_INVALID_HANDLE` for anything else, a function of another context among it.
#[inline]
pub(crate) fn resolve(handle: CUfunction, context: &Arc<Context>) -> Result<Arc<Function>> {
    if kind_of(handle) == Kind::Kernel as u8 {
        return by_handle(handle)?.function(context);
    }
    let function = function::by_handle(handle)?;
    if function.context != context.id {
        return Err(error::ERROR_INVALID_HANDLE);
    }
    Ok(function)
}

/// What a node of a graph runs: a function, in the context that it is of, or a kernel in the context that is given.
///
/// # Errors
/// `CUDA_ERROR_INVALID_HANDLE` for anything else.
pub(crate) fn of_node(handle: CUfunction, context: &Arc<Context>) -> Result<Arc<Function>> {
    if kind_of(handle) == Kind::Kernel as u8 {
        return by_handle(handle)?.function(context);
    }
    function::by_handle(handle)
}

/// As [`resolve`], but a function of any context will do.
pub(crate) fn resolve_anywhere(handle: CUfunction) -> Result<Arc<Function>> {
    if kind_of(handle) == Kind::Kernel as u8 {
        return by_handle(handle)?.function(&context::current()?);
    }
    session()?;
    function::by_handle(handle)
}

/// The kernel's function in the current context.
pub(crate) unsafe fn cuKernelGetFunction(pFunc: *mut CUfunction, kernel: CUkernel) -> Result<()> {
    let context = context::current()?;
    if pFunc.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let function = by_handle(kernel)?.function(&context)?;
    // SAFETY: not null.
    unsafe { put(pFunc, function::handle(&function)) }
}

/// The kernel's library.
pub(crate) unsafe fn cuKernelGetLibrary(pLib: *mut CUlibrary, kernel: CUkernel) -> Result<()> {
    session()?;
    let kernel = by_handle(kernel)?;
    let library = kernel
        .library
        .upgrade()
        .ok_or(error::ERROR_INVALID_HANDLE)?;
    // SAFETY: the caller's pointer.
    unsafe { put(pLib, library::handle(&library)) }
}

/// An attribute of the kernel on a device; no context has to be current.
pub(crate) unsafe fn cuKernelGetAttribute(
    pi: *mut i32,
    attrib: u32,
    kernel: CUkernel,
    dev: CUdevice,
) -> Result<()> {
    session()?;
    if pi.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let function = by_handle(kernel)?.on_device(dev)?;
    let value = function
        .attribute(attrib)
        .ok_or(error::ERROR_INVALID_VALUE)?;
    // SAFETY: not null.
    unsafe { put(pi, value) }
}

/// Sets an attribute for every context of a device, those to come included.
pub(crate) fn cuKernelSetAttribute(
    attrib: u32,
    val: i32,
    kernel: CUkernel,
    dev: CUdevice,
) -> Result<()> {
    session()?;
    let kernel = by_handle(kernel)?;
    let (ordinal, _) = device::by_handle(dev)?;
    kernel.on_device(dev)?.set_attribute(attrib, val)?;
    let others: Vec<_> = kernel
        .functions
        .read()
        .iter()
        .filter(|f| f.device == ordinal)
        .cloned()
        .collect();
    for function in others {
        function.set_attribute(attrib, val)?;
    }
    let mut settings = kernel.settings.lock();
    settings.retain(|(device, attribute, _)| (*device, *attribute) != (ordinal, attrib));
    settings.push((ordinal, attrib, val));
    Ok(())
}

/// A cache preference for a device.
pub(crate) fn cuKernelSetCacheConfig(kernel: CUkernel, config: u32, dev: CUdevice) -> Result<()> {
    session()?;
    by_handle(kernel)?.on_device(dev)?.set_cache_config(config)
}

/// The mangled name; valid as long as the library is loaded.
pub(crate) unsafe fn cuKernelGetName(name: *mut *const c_char, hfunc: CUkernel) -> Result<()> {
    session()?;
    let kernel = by_handle(hfunc).map_err(|_| error::ERROR_INVALID_VALUE)?;
    // SAFETY: the caller's pointer.
    unsafe { put(name, kernel.name.as_ptr()) }
}

/// Offset and size of one parameter; the size's pointer may be null. `CUDA_ERROR_INVALID_VALUE` past the last.
pub(crate) unsafe fn cuKernelGetParamInfo(
    kernel: CUkernel,
    paramIndex: usize,
    paramOffset: *mut usize,
    paramSize: *mut usize,
) -> Result<()> {
    session()?;
    let kernel = by_handle(kernel)?;
    let known = kernel.functions.read().first().cloned();
    let function = match known {
        Some(function) => function,
        None => match context::current() {
            Ok(context) => kernel.function(&context)?,
            // Any device will do: parameters are the same everywhere.
            Err(_) => kernel.on_device(0)?,
        },
    };
    // SAFETY: the caller's pointers.
    unsafe { function::param_info(&function, paramIndex, paramOffset, paramSize) }
}
