//! Kernels of a module in a context.
//!
//! See <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__EXEC.html>.

use std::ffi::{CString, c_char};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use gvirtus_wire::api::types::{CUfunction, CUmodule};

use super::device::figures;
use super::error::{ERROR_INVALID_HANDLE, ERROR_INVALID_VALUE, ERROR_NOT_SUPPORTED, Result};
use super::handles::{self, Table};
use super::{context, ffi, library, state};
use crate::engine::{KernelInfo, LoadedModule};

/// A kernel that can be launched.
pub(super) struct Function {
    pub(super) handle: usize,
    pub(super) index: usize,
    pub(super) info: KernelInfo,
    name: CString,
    pub(super) module: usize,
    pub(super) context: u64,
    pub(super) loaded: Arc<dyn LoadedModule>,
    settings: Settings,
}

/// What `cuFuncSetAttribute` changes.
pub(super) struct Settings {
    dynamic_shared: AtomicI32,
    carveout: AtomicI32,
    non_portable_cluster: AtomicI32,
    cluster_policy: AtomicI32,
}

impl Settings {
    pub(super) fn new(info: &KernelInfo) -> Self {
        let default = figures::SHARED_PER_BLOCK.saturating_sub(info.shared_bytes) as i32;
        Self {
            dynamic_shared: AtomicI32::new(default),
            carveout: AtomicI32::new(-1),
            non_portable_cluster: AtomicI32::new(0),
            cluster_policy: AtomicI32::new(0),
        }
    }

    /// Largest dynamic shared memory of a launch, bytes.
    pub(super) fn dynamic_shared(&self) -> u32 {
        self.dynamic_shared.load(Ordering::Acquire).max(0) as u32
    }

    /// Takes over another kernel's settings.
    pub(super) fn copy_from(&self, other: &Self) {
        let copy = |to: &AtomicI32, from: &AtomicI32| {
            to.store(from.load(Ordering::Acquire), Ordering::Release)
        };
        copy(&self.dynamic_shared, &other.dynamic_shared);
        copy(&self.carveout, &other.carveout);
        copy(&self.non_portable_cluster, &other.non_portable_cluster);
        copy(&self.cluster_policy, &other.cluster_policy);
    }

    /// `cuFuncSetAttribute`.
    ///
    /// # Errors
    /// `CUDA_ERROR_INVALID_VALUE` for values out of range and attributes that cannot be set.
    pub(super) fn set(&self, info: &KernelInfo, attribute: u32, value: i32) -> Result {
        match attribute {
            attribute::MAX_DYNAMIC_SHARED => {
                let most = figures::SHARED_PER_BLOCK_OPTIN.saturating_sub(info.shared_bytes) as i32;
                if !(0..=most).contains(&value) {
                    return Err(ERROR_INVALID_VALUE);
                }
                self.dynamic_shared.store(value, Ordering::Release);
            }
            attribute::CARVEOUT => {
                if !(-1..=100).contains(&value) {
                    return Err(ERROR_INVALID_VALUE);
                }
                self.carveout.store(value, Ordering::Release);
            }
            attribute::NON_PORTABLE_CLUSTER => self
                .non_portable_cluster
                .store(i32::from(value != 0), Ordering::Release),
            attribute::CLUSTER_POLICY => {
                if !(0..=2).contains(&value) {
                    return Err(ERROR_INVALID_VALUE);
                }
                self.cluster_policy.store(value, Ordering::Release);
            }
            attribute::CLUSTER_WIDTH..=attribute::CLUSTER_DEPTH if value > 1 => {
                return Err(ERROR_NOT_SUPPORTED);
            }
            attribute::CLUSTER_WIDTH..=attribute::CLUSTER_DEPTH => {}
            _ => return Err(ERROR_INVALID_VALUE),
        }
        Ok(())
    }

    /// `cuFuncGetAttribute`.
    ///
    /// # Errors
    /// `CUDA_ERROR_INVALID_VALUE` for an unknown attribute.
    pub(super) fn get(&self, info: &KernelInfo, attribute: u32) -> Result<i32> {
        Ok(match attribute {
            0 => info.max_threads_per_block as i32,
            1 => info.shared_bytes as i32,
            2 => info.const_bytes as i32,
            3 => info.local_bytes as i32,
            4 => info.registers as i32,
            // The architecture that the PTX was made for, and the one that runs it.
            5 => info.target as i32,
            6 => figures::COMPUTE_MAJOR * 10 + figures::COMPUTE_MINOR,
            7 => 0,
            attribute::MAX_DYNAMIC_SHARED => self.dynamic_shared.load(Ordering::Acquire),
            attribute::CARVEOUT => self.carveout.load(Ordering::Acquire),
            10..=attribute::CLUSTER_DEPTH => 0,
            attribute::NON_PORTABLE_CLUSTER => self.non_portable_cluster.load(Ordering::Acquire),
            attribute::CLUSTER_POLICY => self.cluster_policy.load(Ordering::Acquire),
            _ => return Err(ERROR_INVALID_VALUE),
        })
    }
}

/// `CUfunction_attribute`.
mod attribute {
    pub(super) const MAX_DYNAMIC_SHARED: u32 = 8;
    pub(super) const CARVEOUT: u32 = 9;
    pub(super) const CLUSTER_WIDTH: u32 = 11;
    pub(super) const CLUSTER_DEPTH: u32 = 13;
    pub(super) const NON_PORTABLE_CLUSTER: u32 = 14;
    pub(super) const CLUSTER_POLICY: u32 = 15;
}

pub(super) static FUNCTIONS: Table<Function> = Table::new();

impl Function {
    pub(super) fn new(
        index: usize,
        info: KernelInfo,
        module: usize,
        context: u64,
        loaded: &Arc<dyn LoadedModule>,
    ) -> Arc<Self> {
        let name = CString::new(info.name.clone()).unwrap_or_default();
        let settings = Settings::new(&info);
        Arc::new(Self {
            handle: handles::mint(),
            index,
            info,
            name,
            module,
            context,
            loaded: Arc::clone(loaded),
            settings,
        })
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }
}

/// Looks a function up; a `CUkernel` stands for its function in the current context.
///
/// # Errors
/// `CUDA_ERROR_INVALID_HANDLE`.
pub(super) fn resolve(handle: CUfunction) -> Result<Arc<Function>> {
    state::require()?;
    match FUNCTIONS.get(handle) {
        Some(function) => Ok(function),
        None => library::function_of_kernel(handle).map_err(|code| {
            if code == super::error::ERROR_NOT_FOUND {
                ERROR_INVALID_HANDLE
            } else {
                code
            }
        }),
    }
}

pub(super) fn cuFuncGetAttribute(pi: *mut i32, attrib: u32, hfunc: CUfunction) -> Result {
    let function = resolve(hfunc)?;
    ffi::put(pi, function.settings.get(&function.info, attrib)?)
}

pub(super) fn cuFuncSetAttribute(hfunc: CUfunction, attrib: u32, value: i32) -> Result {
    let function = resolve(hfunc)?;
    function.settings.set(&function.info, attrib, value)
}

pub(super) fn cuFuncSetCacheConfig(hfunc: CUfunction, config: u32) -> Result {
    resolve(hfunc)?;
    if config > 3 {
        Err(ERROR_INVALID_VALUE)
    } else {
        Ok(())
    }
}

pub(super) fn cuFuncSetSharedMemConfig(hfunc: CUfunction, config: u32) -> Result {
    resolve(hfunc)?;
    if config > 2 {
        Err(ERROR_INVALID_VALUE)
    } else {
        Ok(())
    }
}

pub(super) fn cuFuncGetModule(hmod: *mut CUmodule, hfunc: CUfunction) -> Result {
    ffi::put(hmod, handles::pointer(resolve(hfunc)?.module))
}

pub(super) fn cuFuncGetName(name: *mut *const c_char, hfunc: CUfunction) -> Result {
    // Valid as long as the module: the table keeps the function.
    ffi::put(name, resolve(hfunc)?.name.as_ptr())
}

/// Offset and size of a parameter.
pub(super) fn parameter(
    info: &KernelInfo,
    index: usize,
    offset: *mut usize,
    size: *mut usize,
) -> Result {
    let parameter = info.params.get(index).ok_or(ERROR_INVALID_VALUE)?;
    ffi::put(offset, parameter.offset as usize)?;
    ffi::put_optional(size, parameter.size as usize);
    Ok(())
}

pub(super) fn cuFuncGetParamInfo(
    func: CUfunction,
    paramIndex: usize,
    paramOffset: *mut usize,
    paramSize: *mut usize,
) -> Result {
    parameter(&resolve(func)?.info, paramIndex, paramOffset, paramSize)
}

pub(super) fn cuFuncIsLoaded(state: *mut u32, function: CUfunction) -> Result {
    /// `CU_FUNCTION_LOADING_STATE_LOADED`.
    const LOADED: u32 = 1;
    resolve(function)?;
    ffi::put(state, LOADED)
}

pub(super) fn cuFuncLoad(function: CUfunction) -> Result {
    context::current()?;
    resolve(function).map(|_| ())
}
