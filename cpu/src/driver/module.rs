//! Modules: PTX compiled and in memory.
//!
//! # Layout
//! * this file: [`Module`], loading and unloading. [`super::function`]: kernels. [`super::library`]: context-independent loading. [`super::link`]: `cuLink*`.
//! * [`super::fatbin`]: image formats. [`super::jit`]: options.
//!
//! See <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__MODULE.html>.

use std::collections::HashMap;
use std::ffi::{c_char, c_void};
use std::sync::Arc;

use gvirtus_wire::api::types::{CUdeviceptr, CUfunction, CUmodule};
use parking_lot::Mutex;

use super::context::{self, Context};
use super::error::{
    ERROR_FILE_NOT_FOUND, ERROR_INVALID_HANDLE, ERROR_INVALID_PTX, ERROR_INVALID_VALUE,
    ERROR_NOT_FOUND, Result,
};
use super::function::{self, Function};
use super::handles::{self, Table};
use super::jit::Options;
use super::memory::{Allocation, Kind, memory};
use super::{capture, fatbin, ffi, jit, texture_reference};
use crate::engine::{self, CompiledModule, LoadedModule, Reference};

/// A module in a context.
pub(super) struct Module {
    pub(super) handle: usize,
    pub(super) context: u64,
    pub(super) functions: Vec<Arc<Function>>,
    /// Address and size of each variable.
    variables: HashMap<String, (u64, u64)>,
    /// Texture and surface references: address of the variable, and which of the two.
    pub(super) references: HashMap<String, (u64, Reference)>,
}

pub(super) static MODULES: Table<Module> = Table::new();

/// Compiles PTX; a failure goes to the caller's log and to standard error.
///
/// # Errors
/// `CUDA_ERROR_INVALID_PTX`.
pub(super) fn compile(source: &str, options: &Options) -> Result<Arc<dyn CompiledModule>> {
    match engine::compile(source) {
        Ok(compiled) => {
            options.report(None);
            Ok(compiled)
        }
        Err(failure) => {
            options.report(Some(&failure));
            report_once(&jit::describe(&failure));
            Err(ERROR_INVALID_PTX)
        }
    }
}

/// Programs try several images; each reason is said once.
fn report_once(text: &str) {
    static SAID: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let mut said = SAID.lock();
    if !said.iter().any(|other| other == text) {
        eprint!("gvirtus-cpu: {text}");
        said.push(text.to_owned());
    }
}

/// Frees a module's variables.
fn free_variables(context: u64, addresses: impl IntoIterator<Item = u64>) {
    // The context may have taken them already, and another one's variables may lie there since.
    let is_own = |allocation: &Allocation| {
        matches!(allocation.kind, Kind::Internal | Kind::Managed) && allocation.context == context
    };
    for address in addresses {
        let _ = memory().free(address, is_own);
    }
}

impl Module {
    /// Gives a compiled module its memory in a context.
    ///
    /// # Errors
    /// `CUDA_ERROR_OUT_OF_MEMORY`, `CUDA_ERROR_INVALID_PTX` for initialisers that name nothing.
    pub(super) fn create(
        context: &Context,
        compiled: Arc<dyn CompiledModule>,
    ) -> Result<Arc<Self>> {
        let mut addresses = Vec::new();
        let place = |addresses: &mut Vec<u64>| -> Result<Arc<dyn LoadedModule>> {
            for variable in compiled.variables() {
                let address = memory().allocate(
                    context.device,
                    context.id,
                    variable.size.max(1),
                    if variable.managed {
                        Kind::Managed
                    } else {
                        Kind::Internal
                    },
                )?;
                addresses.push(address);
                if !address.is_multiple_of(variable.align.max(1)) {
                    return Err(ERROR_INVALID_PTX);
                }
                // SAFETY: just allocated with this size. PTX has uninitialised variables start as zero.
                unsafe {
                    std::ptr::write_bytes(
                        std::ptr::with_exposed_provenance_mut::<u8>(address as usize),
                        0,
                        variable.size as usize,
                    )
                };
            }
            Arc::clone(&compiled)
                .instantiate(addresses)
                .map_err(|failure| {
                    report_once(&jit::describe(&failure));
                    ERROR_INVALID_PTX
                })
        };
        let loaded = match place(&mut addresses) {
            Ok(loaded) => loaded,
            Err(code) => {
                free_variables(context.id, addresses);
                return Err(code);
            }
        };
        let (mut variables, mut references) = (HashMap::new(), HashMap::new());
        for (variable, &address) in compiled.variables().iter().zip(&addresses) {
            let name = variable.name.clone();
            match variable.reference {
                Some(kind) => drop(references.insert(name, (address, kind))),
                None => drop(variables.insert(name, (address, variable.size))),
            }
        }
        let handle = handles::mint();
        let functions = compiled
            .kernels()
            .iter()
            .enumerate()
            .map(|(index, info)| Function::new(index, info.clone(), handle, context.id, &loaded))
            .collect();
        let module = Arc::new(Self {
            handle,
            context: context.id,
            functions,
            variables,
            references,
        });
        MODULES.insert(handle, Arc::clone(&module));
        for function in &module.functions {
            function::FUNCTIONS.insert(function.handle, Arc::clone(function));
        }
        Ok(module)
    }

    pub(super) fn function(&self, name: &str) -> Option<&Arc<Function>> {
        self.functions
            .iter()
            .find(|function| function.info.name == name)
    }

    pub(super) fn variable(&self, name: &str) -> Option<(u64, u64)> {
        self.variables.get(name).copied()
    }

    /// Takes it and its functions out of the tables.
    pub(super) fn remove(&self) {
        MODULES.remove(handles::pointer(self.handle));
        texture_reference::forget_module(self.handle);
        for function in &self.functions {
            function::FUNCTIONS.remove(handles::pointer(function.handle));
        }
    }

    /// Unloads it: waits for running work, then frees its memory.
    pub(super) fn unload(&self) {
        if let Some(context) = context::by_id(self.context) {
            let _ = context.synchronize();
        }
        self.remove();
        let variables = self.variables.values().map(|(address, _)| *address);
        let references = self.references.values().map(|(address, _)| *address);
        free_variables(self.context, variables.chain(references));
    }
}

/// Forgets the modules of a context that is destroyed; their memory goes with the context's.
pub(super) fn forget_context(context: u64) {
    for module in MODULES.remove_where(|module| module.context == context) {
        module.remove();
    }
}

/// # Errors
/// `CUDA_ERROR_INVALID_HANDLE` for anything but a live module.
pub(super) fn resolve(handle: CUmodule) -> Result<Arc<Module>> {
    super::state::require()?;
    MODULES.get(handle).ok_or(ERROR_INVALID_HANDLE)
}

fn load(out: *mut CUmodule, source: &str, options: &Options) -> Result {
    let context = context::current()?;
    let module = Module::create(&context, compile(source, options)?)?;
    ffi::put(out, handles::pointer(module.handle))
}

/// The checks before anything is read.
fn prepare(out: *mut CUmodule) -> Result {
    context::current()?;
    if out.is_null() {
        return Err(ERROR_INVALID_VALUE);
    }
    capture::forbid_unsafe_call()
}

pub(super) fn cuModuleLoad(module: *mut CUmodule, fname: *const c_char) -> Result {
    prepare(module)?;
    let bytes = std::fs::read(ffi::get_string(fname)?).map_err(|_| ERROR_FILE_NOT_FOUND)?;
    load(
        module,
        &fatbin::source_of_bytes(&bytes)?,
        &Options::default(),
    )
}

pub(super) fn cuModuleLoadData(module: *mut CUmodule, image: *const c_void) -> Result {
    prepare(module)?;
    load(
        module,
        &fatbin::source_of_image(image)?,
        &Options::default(),
    )
}

pub(super) fn cuModuleLoadDataEx(
    module: *mut CUmodule,
    image: *const c_void,
    numOptions: u32,
    options: *mut u32,
    optionValues: *mut *mut c_void,
) -> Result {
    prepare(module)?;
    let options = Options::read(numOptions, options, optionValues)?;
    load(module, &fatbin::source_of_image(image)?, &options)
}

pub(super) fn cuModuleLoadFatBinary(module: *mut CUmodule, fatCubin: *const c_void) -> Result {
    cuModuleLoadData(module, fatCubin)
}

pub(super) fn cuModuleUnload(hmod: CUmodule) -> Result {
    context::current()?;
    let module = resolve(hmod)?;
    capture::forbid_unsafe_call()?;
    module.unload();
    Ok(())
}

pub(super) fn cuModuleGetLoadingMode(mode: *mut u32) -> Result {
    /// `CU_MODULE_EAGER_LOADING`.
    const EAGER: u32 = 1;
    super::state::require()?;
    ffi::put(mode, EAGER)
}

pub(super) fn cuModuleGetFunction(
    hfunc: *mut CUfunction,
    hmod: CUmodule,
    name: *const c_char,
) -> Result {
    let module = resolve(hmod)?;
    let name = ffi::get_string(name)?;
    let function = module.function(&name).ok_or(ERROR_NOT_FOUND)?;
    ffi::put(hfunc, handles::pointer(function.handle))
}

pub(super) fn cuModuleGetFunctionCount(count: *mut u32, mod_: CUmodule) -> Result {
    ffi::put(count, resolve(mod_)?.functions.len() as u32)
}

pub(super) fn cuModuleEnumerateFunctions(
    functions: *mut CUfunction,
    numFunctions: u32,
    mod_: CUmodule,
) -> Result {
    let module = resolve(mod_)?;
    let handles: Vec<CUfunction> = module
        .functions
        .iter()
        .take(numFunctions as usize)
        .map(|f| handles::pointer(f.handle))
        .collect();
    ffi::put_slice(functions, &handles)
}

pub(super) fn cuModuleGetGlobal_v2(
    dptr: *mut CUdeviceptr,
    bytes: *mut usize,
    hmod: CUmodule,
    name: *const c_char,
) -> Result {
    let module = resolve(hmod)?;
    let name = ffi::get_string(name)?;
    // Texture and surface references are variables without an address.
    if module.references.contains_key(&name) {
        return Err(ERROR_INVALID_VALUE);
    }
    let (address, size) = module.variable(&name).ok_or(ERROR_NOT_FOUND)?;
    ffi::put_optional(dptr, address);
    ffi::put_optional(bytes, size as usize);
    Ok(())
}
