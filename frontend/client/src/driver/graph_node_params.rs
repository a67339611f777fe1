//! The structures by which programs describe nodes. <https://docs.nvidia.com/cuda/cuda-driver-api/structCUgraphNodeParams.html>
#![allow(non_snake_case, reason = "CUDA's names")]

use std::ffi::c_void;
use std::sync::Arc;

use gvirtus_wire::api::types::{
    CUDA_CONDITIONAL_NODE_PARAMS, CUDA_MEMCPY3D, CUcontext, CUdeviceptr, CUevent, CUfunction,
    CUgraph, CUhostFn, CUkernel, CUmemAccessDesc, error,
};

use crate::driver::launch::{self, Geometry};
use crate::driver::stream_memory::{MOST, check, read_operations};
use crate::driver::{Result, context, graph_memory, memcpy_box};
use crate::events;
use crate::graph::conditional::Conditional;
use crate::graph::work::{Fill, Host, Kernel, Operations, Work};
use crate::graph::{self, Edge, Graph};

/// `CUDA_KERNEL_NODE_PARAMS_v1`, with which all later versions begin.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct KernelParams {
    pub(crate) function: CUfunction,
    pub(crate) grid: [u32; 3],
    pub(crate) block: [u32; 3],
    pub(crate) shared: u32,
    pub(crate) params: *mut *mut c_void,
    pub(crate) extra: *mut *mut c_void,
}

/// `CUDA_KERNEL_NODE_PARAMS_v2` and `_v3`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct KernelParams2 {
    pub(crate) first: KernelParams,
    pub(crate) kernel: CUkernel,
    pub(crate) context: CUcontext,
}

/// `CUDA_MEMSET_NODE_PARAMS_v1`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct FillParams {
    pub(crate) address: CUdeviceptr,
    pub(crate) pitch: usize,
    pub(crate) value: u32,
    pub(crate) element: u32,
    pub(crate) width: usize,
    pub(crate) height: usize,
}

/// `CUDA_HOST_NODE_PARAMS`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct HostParams {
    pub(crate) function: CUhostFn,
    pub(crate) data: *mut c_void,
}

/// `CUDA_MEM_ALLOC_NODE_PARAMS`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct AllocateParams {
    /// `CUmemPoolProps`: type, handle types; location; and what must be 0.
    pub(crate) properties: [u64; 11],
    pub(crate) access: *const CUmemAccessDesc,
    pub(crate) access_count: usize,
    pub(crate) size: usize,
    pub(crate) address: CUdeviceptr,
}

/// `CUDA_BATCH_MEM_OP_NODE_PARAMS`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct OperationsParams {
    pub(crate) context: CUcontext,
    pub(crate) count: u32,
    pub(crate) list: *mut c_void,
    pub(crate) flags: u32,
}

/// What stands before the memory copy in `CUDA_MEMCPY_NODE_PARAMS`.
#[repr(C)]
#[derive(Clone, Copy)]
struct CopyParams {
    flags: i32,
    reserved: i32,
    context: CUcontext,
    copy: CUDA_MEMCPY3D,
}

/// Reads a structure that the program gave.
///
/// # Safety
/// Null or valid.
unsafe fn read<T: Copy>(from: *const c_void) -> Result<T> {
    if from.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    // SAFETY: not null, and valid by this function's contract.
    Ok(unsafe { from.cast::<T>().read_unaligned() })
}

/// A kernel node's parameters; `kernels` also takes those of libraries.
///
/// # Safety
/// The caller's structure.
pub(crate) unsafe fn kernel(
    given: *const c_void,
    kernels: bool,
    attributes: &[(u32, [u8; 64])],
) -> Result<Arc<Kernel>> {
    // SAFETY: this function's contract; what follows the first version is read only if it is there.
    let (p, other, named) = unsafe {
        if kernels {
            let p: KernelParams2 = read(given)?;
            (p.first, p.kernel, p.context)
        } else {
            let none = std::ptr::null_mut();
            (read::<KernelParams>(given)?, none, none)
        }
    };
    let function = if p.function.is_null() {
        other
    } else {
        p.function
    };
    let context = if p.function.is_null() && !named.is_null() {
        context::by_handle(named)?
    } else {
        context::current()?
    };
    let geometry = Geometry {
        grid: p.grid,
        block: p.block,
        shared: p.shared,
    };
    // SAFETY: the caller's parameters.
    unsafe {
        launch::node(
            function,
            &context,
            geometry,
            p.params,
            p.extra,
            attributes.to_vec(),
        )
    }
}

/// A copy node's parameters.
///
/// # Safety
/// The caller's structure.
pub(crate) unsafe fn copy(given: *const CUDA_MEMCPY3D, context: CUcontext) -> Result<Work> {
    // SAFETY: this function's contract.
    let params: CUDA_MEMCPY3D = unsafe { read(given.cast())? };
    context::by_handle_or_current(context)?;
    memcpy_box::plan(&params)?;
    Ok(Work::copy(params, context as usize))
}

/// A fill node's parameters.
///
/// # Safety
/// The caller's structure.
pub(crate) unsafe fn fill(given: *const c_void, context: CUcontext) -> Result<Work> {
    // SAFETY: this function's contract.
    let p: FillParams = unsafe { read(given)? };
    context::by_handle_or_current(context)?;
    let aligned = matches!(p.element, 1 | 2 | 4)
        && p.address.is_multiple_of(u64::from(p.element))
        && (p.height <= 1 || p.pitch.is_multiple_of(p.element as usize));
    let bytes = p.width.checked_mul(p.element as usize);
    if !aligned || p.address == 0 || bytes.is_none_or(|row| p.height > 1 && row > p.pitch) {
        return Err(error::ERROR_INVALID_VALUE);
    }
    Ok(Work::fill(Fill {
        address: p.address,
        pitch: p.pitch,
        value: p.value,
        element: p.element,
        width: p.width,
        height: p.height,
        context: context as usize,
    }))
}

/// A host node's parameters.
///
/// # Safety
/// The caller's structure.
pub(crate) unsafe fn host(given: *const c_void) -> Result<(CUhostFn, *mut c_void)> {
    // SAFETY: this function's contract.
    let p: HostParams = unsafe { read(given)? };
    if p.function.is_none() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    Ok((p.function, p.data))
}

/// The parameters of a node of stream memory operations.
///
/// # Safety
/// The caller's structure and its array.
pub(crate) unsafe fn operations(given: *const c_void) -> Result<Work> {
    // SAFETY: this function's contract.
    let p: OperationsParams = unsafe { read(given)? };
    context::by_handle_or_current(p.context)?;
    if p.count == 0 || p.count > MOST || p.list.is_null() || p.flags != 0 {
        return Err(error::ERROR_INVALID_VALUE);
    }
    // SAFETY: the caller's array has so many elements.
    let list = unsafe { read_operations(p.list, p.count) };
    for operation in &list {
        check(operation)?;
    }
    let context = p.context as usize;
    Ok(Work::Operations(Operations::new(list, context)))
}

/// The offset of the parameters in `CUgraphNodeParams`, behind the node's type.
const BODY: usize = 16;
/// `CU_GRAPH_NODE_TYPE_CONDITIONAL`.
const CONDITIONAL: u32 = 13;

/// The parameters of a node of any type; of a `new` one the graph is given, and what it comes after. Those of an allocation are written back.
///
/// # Safety
/// The caller's structure.
pub(crate) unsafe fn any(given: *mut c_void, new: Option<(&Graph, &[Edge])>) -> Result<Work> {
    // SAFETY: this function's contract; the structure is 256 bytes long, whatever the type is.
    unsafe {
        let kind: u32 = read(given)?;
        let body = given.byte_add(BODY);
        Ok(match kind {
            0 => Work::Kernel(kernel(body, true, &[])?),
            1 => {
                let p: CopyParams = read(body)?;
                copy(&raw const p.copy, p.context)?
            }
            2 => {
                let context: CUcontext = read(body.byte_add(size_of::<FillParams>()))?;
                fill(body, context)?
            }
            3 => {
                let (function, data) = host(body)?;
                Work::Host(Host::new(function, data))
            }
            4 => {
                let child: CUgraph = read(body)?;
                Work::Child(graph::resolve(child)?)
            }
            5 => Work::Empty,
            6 | 7 => {
                let event: CUevent = read(body)?;
                events::resolve(event)?;
                if kind == 6 {
                    Work::Wait(event as usize)
                } else {
                    Work::Record(event as usize)
                }
            }
            10 => {
                // Natively allocations cannot be changed.
                let (graph, after) = new.ok_or(error::ERROR_NOT_SUPPORTED)?;
                Work::Allocate(graph_memory::new(body.cast(), graph, after)?)
            }
            11 => graph_memory::free(read(body)?)?,
            12 => operations(body)?,
            8 | 9 => {
                crate::log::unsupported("cuGraphAddNode (external semaphores)");
                return Err(error::ERROR_NOT_SUPPORTED);
            }
            CONDITIONAL => {
                // Natively conditional nodes cannot be changed.
                let (graph, _) = new.ok_or(error::ERROR_NOT_SUPPORTED)?;
                let p: CUDA_CONDITIONAL_NODE_PARAMS = read(body)?;
                let made = Conditional::new(graph, p.handle, p.type_, p.size)?;
                let told = body.byte_add(std::mem::offset_of!(
                    CUDA_CONDITIONAL_NODE_PARAMS,
                    phGraph_out
                ));
                told.cast::<u64>().write_unaligned(made.pointers());
                Work::Conditional(made)
            }
            _ => return Err(error::ERROR_INVALID_VALUE),
        })
    }
}
