//! Green contexts, which have some of a device's multiprocessors: <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__GREEN__CONTEXTS.html>.
//!
//! A green context is the primary context with fewer multiprocessors: memory, modules and events are that one's, streams are its own. Which multiprocessors go together only the GPU's driver
//! knows, so it splits; what a program holds are numbers of the worker's pieces, with what they are.
#![allow(non_snake_case, reason = "CUDA's names")]

use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::Arc;

use gvirtus_wire::api::core::{ResourceGet, ResourceSplit};
use gvirtus_wire::api::types::{
    CUcontext, CUdevResourceDesc, CUdevice, CUevent, CUgreenCtx, CUstream, error,
};

use crate::driver::context::{self, Context, cuCtxPopCurrent_v2, cuCtxPushCurrent_v2};
use crate::driver::device::by_handle as device_by_handle;
use crate::driver::{Result, context_event, put, session, stream};
use crate::handles::{Kind, Table};
use crate::streams::{self, Stream};

/// `CU_DEV_RESOURCE_TYPE_SM`.
const MULTIPROCESSORS: u32 = 1;
/// `CU_DEV_SM_RESOURCE_SPLIT_*`.
const SPLIT_FLAGS: u32 = 3;
/// `CU_GREEN_CTX_DEFAULT_STREAM`: the only flag, and required.
const DEFAULT_STREAM: u32 = 1;
/// The most groups that a split is asked for: more than any GPU has multiprocessors.
const MOST_GROUPS: u32 = 1024;
/// What says in a resource that it is one of ours.
const OURS: u32 = 0x4752_5301;

/// `CUdevResource`: its padding is whose it is, so it holds the piece's number.
#[repr(C)]
#[derive(Clone, Copy)]
struct Resource {
    kind: u32,
    ours: u32,
    number: u32,
    padding: [u32; 21],
    /// How many multiprocessors, the least of a group, and what a group is a multiple of.
    figures: [u32; 3],
    rest: [u32; 9],
}
const _: () = assert!(size_of::<Resource>() == 144);

impl Resource {
    fn new((number, figures): (u32, [u32; 3])) -> Self {
        Self {
            kind: MULTIPROCESSORS,
            ours: OURS,
            number,
            padding: [0; 21],
            figures,
            rest: [0; 9],
        }
    }

    /// One that a program gives.
    ///
    /// # Safety
    /// `from` is null or the caller's.
    unsafe fn given(from: *const Self) -> Result<Self> {
        if from.is_null() {
            return Err(error::ERROR_INVALID_VALUE);
        }
        // SAFETY: not null; this function's contract.
        let given = unsafe { from.read_unaligned() };
        if given.kind != MULTIPROCESSORS || given.ours != OURS {
            return Err(error::ERROR_INVALID_RESOURCE_TYPE);
        }
        Ok(given)
    }
}

/// What a green context is to have.
struct Descriptor {
    handle: usize,
    resources: Vec<u32>,
}

/// A green context of the program.
struct Green {
    handle: usize,
    context: Arc<Context>,
}

static DESCRIPTORS: Table<Descriptor> = Table::new(Kind::ResourceDescriptor);
static GREEN: Table<Green> = Table::new(Kind::GreenContext);

fn resolve(green: CUgreenCtx) -> Result<Arc<Green>> {
    session()?;
    GREEN.get(green).ok_or(error::ERROR_INVALID_CONTEXT)
}

/// The green context that a stream belongs to, or null.
pub(crate) fn of_stream(stream: &Stream) -> CUgreenCtx {
    GREEN
        .find(|green| green.context.stream_context == stream.context)
        .map_or(null_mut(), |green| {
            std::ptr::without_provenance_mut(green.handle)
        })
}

/// The multiprocessors of the context of that number.
///
/// # Safety
/// `to` is null or the caller's.
unsafe fn resource_of(context: u32, to: *mut c_void, kind: u32) -> Result<()> {
    if to.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    if kind != MULTIPROCESSORS {
        return Err(error::ERROR_INVALID_RESOURCE_TYPE);
    }
    let found = session()?.call(context, &ResourceGet {})?;
    // SAFETY: not null, and the caller's.
    unsafe { put(to.cast(), Resource::new(found)) }
}

/// A device's multiprocessors.
pub(crate) unsafe fn cuDeviceGetDevResource(
    device: CUdevice,
    resource: *mut c_void,
    type_: u32,
) -> Result<()> {
    let (ordinal, _) = device_by_handle(device)?;
    // SAFETY: the caller's pointer.
    unsafe { resource_of(ordinal, resource, type_) }
}

/// The multiprocessors that a context may use.
pub(crate) unsafe fn cuCtxGetDevResource(
    hCtx: CUcontext,
    resource: *mut c_void,
    type_: u32,
) -> Result<()> {
    session()?;
    let context = context::by_handle(hCtx)?;
    // SAFETY: the caller's pointer.
    unsafe { resource_of(context.stream_context, resource, type_) }
}

/// The multiprocessors that a green context has.
pub(crate) unsafe fn cuGreenCtxGetDevResource(
    hCtx: CUgreenCtx,
    resource: *mut c_void,
    type_: u32,
) -> Result<()> {
    let number = resolve(hCtx)?.context.stream_context;
    // SAFETY: the caller's pointer.
    unsafe { resource_of(number, resource, type_) }
}

/// Splits multiprocessors into groups of one size, or tells how many there would be.
pub(crate) unsafe fn cuDevSmResourceSplitByCount(
    result: *mut c_void,
    nbGroups: *mut u32,
    input: *const c_void,
    remaining: *mut c_void,
    useFlags: u32,
    minCount: u32,
) -> Result<()> {
    let session = session()?;
    // SAFETY: the caller's pointer.
    let given = unsafe { Resource::given(input.cast())? };
    if nbGroups.is_null() || useFlags & !SPLIT_FLAGS != 0 {
        return Err(error::ERROR_INVALID_VALUE);
    }
    if minCount > given.figures[0] {
        return Err(error::ERROR_INVALID_RESOURCE_CONFIGURATION);
    }
    let wanted = match result.is_null() {
        true => 0,
        // SAFETY: not null; the caller says how many elements there are.
        false => unsafe { nbGroups.read_unaligned() }.min(MOST_GROUPS),
    };
    if !result.is_null() && wanted == 0 {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let command = ResourceSplit {
        resource: given.number,
        groups: wanted,
        flags: useFlags,
        least: minCount,
    };
    let (count, groups) = session.call_unchecked(&command)?;
    if !result.is_null() {
        let Some((rest, groups)) = groups.split_last() else {
            return Err(error::ERROR_UNKNOWN);
        };
        if groups.len() != count as usize || count > wanted {
            return Err(error::ERROR_UNKNOWN);
        }
        for (i, group) in groups.iter().enumerate() {
            // SAFETY: at most as many as the caller's array has elements.
            unsafe { put(result.cast::<Resource>().add(i), Resource::new(*group))? };
        }
        if !remaining.is_null() {
            let mut rest = Resource::new(*rest);
            if rest.figures[0] == 0 {
                rest.kind = 0;
            }
            // SAFETY: not null, and the caller's.
            unsafe { put(remaining.cast(), rest)? };
        }
    }
    // SAFETY: not null, and the caller's.
    unsafe { put(nbGroups, count) }
}

/// Makes a descriptor out of resources.
pub(crate) unsafe fn cuDevResourceGenerateDesc(
    phDesc: *mut CUdevResourceDesc,
    resources: *mut c_void,
    nbResources: u32,
) -> Result<()> {
    session()?;
    if phDesc.is_null() || resources.is_null() || nbResources == 0 || nbResources > MOST_GROUPS {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let given: Result<Vec<u32>> = (0..nbResources as usize)
        // SAFETY: the caller's array has that many elements.
        .map(|i| unsafe { Resource::given(resources.cast::<Resource>().add(i)) })
        .map(|given| given.map(|given| given.number))
        .collect();
    let resources = given?;
    let made = DESCRIPTORS.insert(|handle| Descriptor {
        handle: handle.addr(),
        resources,
    });
    let handle = made.ok_or(error::ERROR_OUT_OF_MEMORY)?.handle;
    // SAFETY: not null, and the caller's.
    unsafe { put(phDesc, std::ptr::without_provenance_mut(handle)) }
}

/// Makes a green context. It does not become current.
pub(crate) unsafe fn cuGreenCtxCreate(
    phCtx: *mut CUgreenCtx,
    desc: CUdevResourceDesc,
    dev: CUdevice,
    flags: u32,
) -> Result<()> {
    session()?;
    if phCtx.is_null() || flags != DEFAULT_STREAM {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let descriptor = DESCRIPTORS.get(desc).ok_or(error::ERROR_INVALID_VALUE)?;
    let context = context::make_green(dev, descriptor.resources.clone(), flags)?;
    let made = GREEN.insert(|handle| Green {
        handle: handle.addr(),
        context: Arc::clone(&context),
    });
    let Some(green) = made else {
        context::destroy_green(&context)?;
        return Err(error::ERROR_OUT_OF_MEMORY);
    };
    // SAFETY: not null, and the caller's.
    unsafe { put(phCtx, std::ptr::without_provenance_mut(green.handle)) }
}

/// Destroys a green context.
pub(crate) fn cuGreenCtxDestroy(hCtx: CUgreenCtx) -> Result<()> {
    session()?;
    let green = GREEN.remove(hCtx).ok_or(error::ERROR_INVALID_CONTEXT)?;
    context::destroy_green(&green.context)
}

/// The green context as other functions take it.
pub(crate) unsafe fn cuCtxFromGreenCtx(pContext: *mut CUcontext, hCtx: CUgreenCtx) -> Result<()> {
    let green = resolve(hCtx)?;
    // SAFETY: the caller's pointer.
    unsafe { put(pContext, context::handle(&green.context)) }
}

/// A number that no other context of the process ever has.
pub(crate) unsafe fn cuGreenCtxGetId(greenCtx: CUgreenCtx, greenCtxId: *mut u64) -> Result<()> {
    session()?;
    let handle = match greenCtx.is_null() {
        true => null_mut(),
        false => context::handle(&resolve(greenCtx)?.context),
    };
    // SAFETY: the caller's pointer.
    unsafe { context::cuCtxGetId(handle, greenCtxId) }
}

/// Records all that has been issued in a green context so far.
pub(crate) fn cuGreenCtxRecordEvent(hCtx: CUgreenCtx, hEvent: CUevent) -> Result<()> {
    let green = resolve(hCtx)?;
    context_event::cuCtxRecordEvent(context::handle(&green.context), hEvent)
}

/// Makes all that is issued in a green context from now on wait for an event.
pub(crate) fn cuGreenCtxWaitEvent(hCtx: CUgreenCtx, hEvent: CUevent) -> Result<()> {
    let green = resolve(hCtx)?;
    context_event::cuCtxWaitEvent(context::handle(&green.context), hEvent)
}

/// Makes a stream of a green context, whatever is current. It has to be one that does not block.
pub(crate) unsafe fn cuGreenCtxStreamCreate(
    phStream: *mut CUstream,
    greenCtx: CUgreenCtx,
    flags: u32,
    priority: i32,
) -> Result<()> {
    let green = resolve(greenCtx)?;
    if phStream.is_null() || flags != streams::NON_BLOCKING {
        return Err(error::ERROR_INVALID_VALUE);
    }
    cuCtxPushCurrent_v2(context::handle(&green.context))?;
    // SAFETY: the caller's pointer.
    let made = unsafe { stream::cuStreamCreateWithPriority(phStream, flags, priority) };
    let mut popped = null_mut();
    // SAFETY: a variable of ours.
    unsafe { cuCtxPopCurrent_v2(&raw mut popped)? };
    made
}
