//! Green contexts: contexts with streams of their own, and the primary context's for all else. All work has the processors of the host, whatever share of the
//! "multiprocessors" its context has.

use std::ffi::c_void;
use std::sync::Arc;

use gvirtus_wire::api::types::{CUcontext, CUdevResourceDesc, CUdevice, CUgreenCtx, CUstream};

use super::context::{self, Context};
use super::error::{
    ERROR_INVALID_CONTEXT, ERROR_INVALID_RESOURCE_CONFIGURATION, ERROR_INVALID_RESOURCE_TYPE,
    ERROR_INVALID_VALUE, Result,
};
use super::handles::{self, Table};
use super::{device, ffi, primary, stream, stream_api};

/// `CU_DEV_RESOURCE_TYPE_SM`.
const MULTIPROCESSORS: u32 = 1;
/// `CU_GREEN_CTX_DEFAULT_STREAM`.
const DEFAULT_STREAM: u32 = 1;

/// `CUdevResource`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Resource {
    kind: u32,
    device: u32,
    padding: [u32; 22],
    count: u32,
    least: u32,
    alignment: u32,
    rest: [u32; 9],
}
const _: () = assert!(size_of::<Resource>() == 144);

impl Resource {
    fn new(device: usize, count: u32) -> Self {
        Self {
            kind: if count == 0 { 0 } else { MULTIPROCESSORS },
            device: device as u32,
            padding: [0; 22],
            count,
            // Each host thread by itself.
            least: 1,
            alignment: 1,
            rest: [0; 9],
        }
    }
}

struct Descriptor {
    device: u32,
    count: u32,
}

struct Green {
    context: Arc<Context>,
    device: CUdevice,
    count: u32,
}

static DESCRIPTORS: Table<Descriptor> = Table::new();
static GREEN: Table<Green> = Table::new();

fn put_resource(to: *mut c_void, kind: u32, device: usize, count: u32) -> Result {
    if kind != MULTIPROCESSORS {
        return Err(ERROR_INVALID_RESOURCE_TYPE);
    }
    ffi::put(to.cast(), Resource::new(device, count))
}

fn given(from: *const c_void) -> Result<Resource> {
    let given: Resource = ffi::get(from.cast())?;
    if given.kind != MULTIPROCESSORS {
        return Err(ERROR_INVALID_RESOURCE_TYPE);
    }
    Ok(given)
}

pub(super) fn cuDeviceGetDevResource(
    device: CUdevice,
    resource: *mut c_void,
    type_: u32,
) -> Result {
    let device = device::resolve(device)?;
    put_resource(resource, type_, device.ordinal, device.multiprocessors)
}

pub(super) fn cuCtxGetDevResource(hCtx: CUcontext, resource: *mut c_void, type_: u32) -> Result {
    let context = context::resolve(hCtx)?;
    let part = GREEN.find(|green| Arc::ptr_eq(&green.context, &context));
    let all = device::resolve(context.device as CUdevice)?.multiprocessors;
    let count = part.map_or(all, |green| green.count);
    put_resource(resource, type_, context.device, count)
}

pub(super) fn cuGreenCtxGetDevResource(
    hCtx: CUgreenCtx,
    resource: *mut c_void,
    type_: u32,
) -> Result {
    let green = GREEN.get(hCtx).ok_or(ERROR_INVALID_CONTEXT)?;
    put_resource(resource, type_, green.context.device, green.count)
}

pub(super) fn cuDevSmResourceSplitByCount(
    result: *mut c_void,
    nbGroups: *mut u32,
    input: *const c_void,
    remaining: *mut c_void,
    _useFlags: u32,
    minCount: u32,
) -> Result {
    let from = given(input)?;
    if minCount > from.count {
        return Err(ERROR_INVALID_RESOURCE_CONFIGURATION);
    }
    if nbGroups.is_null() {
        return Err(ERROR_INVALID_VALUE);
    }
    let size = minCount.max(1);
    let most = from.count / size;
    if result.is_null() {
        return ffi::put(nbGroups, most);
    }
    let count = most.min(ffi::get(nbGroups)?);
    let device = from.device as usize;
    for i in 0..count as usize {
        let to = result.cast::<Resource>().wrapping_add(i);
        ffi::put(to, Resource::new(device, size))?;
    }
    if !remaining.is_null() {
        let rest = from.count - count * size;
        ffi::put(remaining.cast(), Resource::new(device, rest))?;
    }
    ffi::put(nbGroups, count)
}

pub(super) fn cuDevResourceGenerateDesc(
    phDesc: *mut CUdevResourceDesc,
    resources: *mut c_void,
    nbResources: u32,
) -> Result {
    if phDesc.is_null() || nbResources == 0 {
        return Err(ERROR_INVALID_VALUE);
    }
    let mut all = Descriptor {
        device: given(resources)?.device,
        count: 0,
    };
    for i in 0..nbResources as usize {
        let part = given(resources.cast::<Resource>().wrapping_add(i).cast())?;
        if part.device != all.device {
            return Err(ERROR_INVALID_VALUE);
        }
        all.count = all.count.saturating_add(part.count);
    }
    let handle = handles::mint();
    DESCRIPTORS.insert(handle, Arc::new(all));
    ffi::put(phDesc, handles::pointer(handle))
}

pub(super) fn cuGreenCtxCreate(
    phCtx: *mut CUgreenCtx,
    desc: CUdevResourceDesc,
    dev: CUdevice,
    flags: u32,
) -> Result {
    let device = device::resolve(dev)?;
    let descriptor = DESCRIPTORS.get(desc).ok_or(ERROR_INVALID_VALUE)?;
    if phCtx.is_null() || flags != DEFAULT_STREAM || descriptor.device as usize != device.ordinal {
        return Err(ERROR_INVALID_VALUE);
    }
    let mut raw = std::ptr::null_mut();
    primary::cuDevicePrimaryCtxRetain(&raw mut raw, dev)?;
    let context = Context::create_green(&context::resolve(raw)?);
    let handle = handles::mint();
    let green = Green {
        context,
        device: dev,
        count: descriptor.count,
    };
    GREEN.insert(handle, Arc::new(green));
    ffi::put(phCtx, handles::pointer(handle))
}

pub(super) fn cuGreenCtxDestroy(hCtx: CUgreenCtx) -> Result {
    let green = GREEN.remove(hCtx).ok_or(ERROR_INVALID_CONTEXT)?;
    green.context.destroy();
    primary::cuDevicePrimaryCtxRelease_v2(green.device)
}

pub(super) fn cuCtxFromGreenCtx(pContext: *mut CUcontext, hCtx: CUgreenCtx) -> Result {
    let green = GREEN.get(hCtx).ok_or(ERROR_INVALID_CONTEXT)?;
    ffi::put(pContext, handles::pointer(green.context.handle))
}

pub(super) fn cuGreenCtxStreamCreate(
    phStream: *mut CUstream,
    greenCtx: CUgreenCtx,
    flags: u32,
    priority: i32,
) -> Result {
    let green = GREEN.get(greenCtx).ok_or(ERROR_INVALID_CONTEXT)?;
    if phStream.is_null() || flags != stream::NON_BLOCKING {
        return Err(ERROR_INVALID_VALUE);
    }
    stream_api::create_in(&green.context, phStream, flags, priority)
}
