//! Kernels in a context: <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__EXEC.html>, all but the launches.
//!
//! Attributes came with the module's reply; setting the common ones is checked here and sent without waiting.
#![allow(non_snake_case, reason = "CUDA's names")]

use std::collections::HashMap;
use std::ffi::{CString, c_char};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};

use gvirtus_wire::api::core::{FunctionInfo, FunctionSetAttribute, FunctionSetCacheConfig};
use gvirtus_wire::api::types::{CUfunction, CUmodule, error};
use parking_lot::Mutex;

use crate::driver::context::Context;
use crate::driver::device::{attr as device_attr, attribute as device_attribute};
use crate::driver::occupancy::Question;
use crate::driver::{Result, put, put_if, session};
use crate::handles::{Kind, Table};

/// `CUfunction_attribute` numbers.
pub(crate) mod attr {
    pub(crate) const MAX_THREADS_PER_BLOCK: u32 = 0;
    pub(crate) const SHARED_SIZE_BYTES: u32 = 1;
    pub(crate) const NUM_REGS: u32 = 4;
    pub(crate) const MAX_DYNAMIC_SHARED_SIZE_BYTES: u32 = 8;
    pub(crate) const PREFERRED_SHARED_MEMORY_CARVEOUT: u32 = 9;
    pub(crate) const REQUIRED_CLUSTER_WIDTH: u32 = 11;
    pub(crate) const REQUIRED_CLUSTER_DEPTH: u32 = 13;
    pub(crate) const NON_PORTABLE_CLUSTER_SIZE_ALLOWED: u32 = 14;
    pub(crate) const CLUSTER_SCHEDULING_POLICY_PREFERENCE: u32 = 15;
    /// One past the last.
    pub(crate) const COUNT: usize = 16;
}

/// No kernel has more bytes of parameters (32,764 since CUDA 12.1); a layout that claims more is not believed.
const MAX_PARAMS: u32 = 64 << 10;

/// A kernel in a context.
pub(crate) struct Function {
    /// The worker's number.
    pub(crate) id: u32,
    /// Where it can run.
    pub(crate) context: u32,
    /// That context's device.
    pub(crate) device: u32,
    /// Its module's handle.
    pub(crate) module: usize,
    handle: usize,
    pub(crate) name: CString,
    /// Offset and size of each parameter.
    pub(crate) params: Vec<(u32, u32)>,
    /// Bytes of all parameters.
    pub(crate) params_size: u32,
    attributes: [AtomicI32; attr::COUNT],
    /// Bit per attribute that the worker told of.
    known: u32,
    /// What a launch must keep within.
    pub(crate) limits: Limits,
    /// Answers about occupancy.
    pub(crate) occupancy: Mutex<HashMap<Question, u64>>,
}

/// A device's limits, copied to where launches look.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Blocks in each direction.
    pub(crate) grid: [u32; 3],
    /// Threads in each direction.
    pub(crate) block: [u32; 3],
    /// Threads per block.
    pub(crate) threads: u32,
    /// Registers per block.
    pub(crate) registers: u32,
}

impl Limits {
    fn of(device: u32) -> Self {
        let value = |a| {
            let value = device_attribute(device, a).and_then(|v| u32::try_from(v).ok());
            // What the box does not say is the box's to check.
            value.unwrap_or(u32::MAX)
        };
        let three = |first| [value(first), value(first + 1), value(first + 2)];
        Self {
            grid: three(device_attr::MAX_GRID_DIM_X),
            block: three(device_attr::MAX_BLOCK_DIM_X),
            threads: value(device_attr::MAX_THREADS_PER_BLOCK),
            registers: value(device_attr::MAX_REGISTERS_PER_BLOCK),
        }
    }
}

static FUNCTIONS: Table<Function> = Table::new(Kind::Function);

/// The function behind a handle.
#[inline]
pub(crate) fn by_handle(handle: CUfunction) -> Result<Arc<Function>> {
    FUNCTIONS.get(handle).ok_or(error::ERROR_INVALID_HANDLE)
}

/// What the program holds for a function.
pub(crate) fn handle(function: &Function) -> CUfunction {
    std::ptr::without_provenance_mut(function.handle)
}

/// Functions that are gone.
pub(crate) fn forget(gone: impl Fn(&Function) -> bool) {
    FUNCTIONS.remove_if(gone);
}

/// A new function, as the worker describes it.
pub(crate) fn insert(
    info: FunctionInfo,
    context: &Context,
    module: usize,
) -> Result<Arc<Function>> {
    let ends = info
        .params
        .iter()
        .map(|(offset, size)| offset.checked_add(*size));
    let params_size = ends
        .max()
        .unwrap_or(Some(0))
        .filter(|_| info.params.iter().all(|(o, s)| o.checked_add(*s).is_some()))
        .filter(|size| *size <= MAX_PARAMS)
        .ok_or(error::ERROR_INVALID_IMAGE)?;
    let name = CString::new(info.name).map_err(|_| error::ERROR_INVALID_IMAGE)?;
    let attributes = [const { AtomicI32::new(0) }; attr::COUNT];
    let mut known = 0;
    for (attribute, value) in info.attributes {
        if let Some(slot) = attributes.get(attribute as usize) {
            slot.store(value, Relaxed);
            known |= 1 << attribute;
        }
    }
    FUNCTIONS
        .insert(|handle| Function {
            id: info.function,
            context: context.id,
            device: context.device,
            module,
            handle: handle as usize,
            name,
            params: info.params,
            params_size,
            attributes,
            known,
            limits: Limits::of(context.device),
            occupancy: Mutex::default(),
        })
        .ok_or(error::ERROR_OUT_OF_MEMORY)
}

impl Function {
    /// An attribute's value; `None` if the worker did not tell.
    #[inline]
    pub(crate) fn attribute(&self, attribute: u32) -> Option<i32> {
        let value = self.attributes.get(attribute as usize)?.load(Relaxed);
        (self.known & 1 << attribute != 0).then_some(value)
    }

    /// Checks and sets an attribute; what is set already is not sent.
    pub(crate) fn set_attribute(&self, attribute: u32, value: i32) -> Result<()> {
        let value = self.check_attribute(attribute, value)?;
        let slot = &self.attributes[attribute as usize];
        if slot.load(Relaxed) == value && self.known & 1 << attribute != 0 {
            return Ok(());
        }
        let command = FunctionSetAttribute {
            function: self.id,
            attribute,
            value,
        };
        let session = session()?;
        let became = match attribute {
            // Programs set these before every launch, and what was checked here the device takes.
            attr::MAX_DYNAMIC_SHARED_SIZE_BYTES | attr::PREFERRED_SHARED_MEMORY_CARVEOUT => {
                session.post(self.context, &command)?;
                value
            }
            // Whether a device has clusters at all it must say itself.
            _ => session.call_setup(self.context, &command, &[])?,
        };
        slot.store(became, Relaxed);
        self.occupancy.lock().clear();
        Ok(())
    }

    /// What the attribute becomes, or why it cannot.
    fn check_attribute(&self, attribute: u32, value: i32) -> Result<i32> {
        let valid = match attribute {
            attr::MAX_DYNAMIC_SHARED_SIZE_BYTES => {
                let optin =
                    device_attribute(self.device, device_attr::MAX_SHARED_MEMORY_PER_BLOCK_OPTIN);
                let plain = device_attribute(self.device, device_attr::MAX_SHARED_MEMORY_PER_BLOCK);
                let most = optin.into_iter().chain(plain).max().unwrap_or(i32::MAX);
                let fixed = self.attribute(attr::SHARED_SIZE_BYTES).unwrap_or(0);
                (0..=most.saturating_sub(fixed)).contains(&value)
            }
            attr::PREFERRED_SHARED_MEMORY_CARVEOUT => (-1..=100).contains(&value),
            attr::REQUIRED_CLUSTER_WIDTH..=attr::REQUIRED_CLUSTER_DEPTH => value >= 0,
            // Any truth is 1.
            attr::NON_PORTABLE_CLUSTER_SIZE_ALLOWED => return Ok(i32::from(value != 0)),
            attr::CLUSTER_SCHEDULING_POLICY_PREFERENCE => (0..=2).contains(&value),
            _ => false,
        };
        if valid {
            Ok(value)
        } else {
            Err(error::ERROR_INVALID_VALUE)
        }
    }

    /// Sends a cache preference.
    pub(crate) fn set_cache_config(&self, config: u32) -> Result<()> {
        if config > 3 {
            return Err(error::ERROR_INVALID_VALUE);
        }
        let command = FunctionSetCacheConfig {
            function: self.id,
            config,
        };
        session()?.post(self.context, &command)?;
        // The preference decides how much shared memory there is.
        self.occupancy.lock().clear();
        Ok(())
    }
}

#[cfg(test)]
impl Function {
    /// A function of a device like an H100, in no table.
    pub(crate) fn for_test(params: &[(u32, u32)], attributes: &[(u32, i32)]) -> Self {
        let values = [const { AtomicI32::new(0) }; attr::COUNT];
        let mut known = 0;
        for (attribute, value) in attributes {
            values[*attribute as usize].store(*value, Relaxed);
            known |= 1 << attribute;
        }
        Self {
            id: 1,
            context: 0,
            device: 0,
            module: 0,
            handle: 0,
            name: CString::default(),
            params: params.to_vec(),
            params_size: params.iter().map(|(o, s)| o + s).max().unwrap_or(0),
            attributes: values,
            known,
            limits: Limits {
                grid: [2_147_483_647, 65535, 65535],
                block: [1024, 1024, 64],
                threads: 1024,
                registers: 65536,
            },
            occupancy: Mutex::default(),
        }
    }
}

/// `CUDA_ERROR_INVALID_VALUE` for an attribute that the box's driver does not know.
pub(crate) unsafe fn cuFuncGetAttribute(
    pi: *mut i32,
    attrib: u32,
    hfunc: CUfunction,
) -> Result<()> {
    let session = session()?;
    if let Ok(context) = crate::driver::context::current() {
        session.check(context.id)?;
    }
    if pi.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let function = by_handle(hfunc)?;
    let value = function
        .attribute(attrib)
        .ok_or(error::ERROR_INVALID_VALUE)?;
    // SAFETY: not null, and the caller's.
    unsafe { put(pi, value) }
}

/// Attributes 8, 9 and 11 to 15 can be set.
pub(crate) fn cuFuncSetAttribute(hfunc: CUfunction, attrib: u32, value: i32) -> Result<()> {
    session()?;
    by_handle(hfunc)?.set_attribute(attrib, value)
}

/// 0 no preference, 1 shared memory, 2 L1, 3 equal.
pub(crate) fn cuFuncSetCacheConfig(hfunc: CUfunction, config: u32) -> Result<()> {
    session()?;
    by_handle(hfunc)?.set_cache_config(config)
}

/// Without effect on devices that CUDA 12 supports, natively too.
pub(crate) fn cuFuncSetSharedMemConfig(hfunc: CUfunction, config: u32) -> Result<()> {
    session()?;
    by_handle(hfunc)?;
    if config > 2 {
        return Err(error::ERROR_INVALID_VALUE);
    }
    Ok(())
}

/// The module that the function was looked up in.
pub(crate) unsafe fn cuFuncGetModule(hmod: *mut CUmodule, hfunc: CUfunction) -> Result<()> {
    session()?;
    let function = by_handle(hfunc)?;
    // SAFETY: the caller's pointer.
    unsafe { put(hmod, std::ptr::without_provenance_mut(function.module)) }
}

/// The mangled name; valid as long as the module is loaded. A bad function is `CUDA_ERROR_INVALID_VALUE`, as natively.
pub(crate) unsafe fn cuFuncGetName(name: *mut *const c_char, hfunc: CUfunction) -> Result<()> {
    session()?;
    let function = by_handle(hfunc).map_err(|_| error::ERROR_INVALID_VALUE)?;
    // SAFETY: the caller's pointer.
    unsafe { put(name, function.name.as_ptr()) }
}

/// Writes offset and size of one parameter.
///
/// # Safety
/// The pointers are null or valid.
pub(crate) unsafe fn param_info(
    function: &Function,
    index: usize,
    offset: *mut usize,
    size: *mut usize,
) -> Result<()> {
    let (its_offset, its_size) = *function
        .params
        .get(index)
        .ok_or(error::ERROR_INVALID_VALUE)?;
    if offset.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    // SAFETY: by this function's contract; the size may be null.
    unsafe {
        put_if(offset, its_offset as usize);
        put_if(size, its_size as usize);
    }
    Ok(())
}

/// Offset and size of one parameter; the size's pointer may be null. `CUDA_ERROR_INVALID_VALUE` past the last.
pub(crate) unsafe fn cuFuncGetParamInfo(
    func: CUfunction,
    paramIndex: usize,
    paramOffset: *mut usize,
    paramSize: *mut usize,
) -> Result<()> {
    session()?;
    let function = by_handle(func)?;
    // SAFETY: the caller's pointers.
    unsafe { param_info(&function, paramIndex, paramOffset, paramSize) }
}

/// Functions that the client knows are loaded: 1.
pub(crate) unsafe fn cuFuncIsLoaded(state: *mut u32, function: CUfunction) -> Result<()> {
    const LOADED: u32 = 1;
    session()?;
    by_handle(function)?;
    // SAFETY: the caller's pointer.
    unsafe { put(state, LOADED) }
}

/// Nothing to do: see [`cuFuncIsLoaded`].
pub(crate) fn cuFuncLoad(function: CUfunction) -> Result<()> {
    session()?;
    by_handle(function).map(drop)
}
