//! Kernel launches.
//!
//! See <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__EXEC.html>.

use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use gvirtus_wire::api::types::{CUfunction, CUlaunchConfig, CUstream};

use super::context::{self, Context};
use super::device::figures;
use super::error::{
    ERROR_ASSERT, ERROR_COOPERATIVE_LAUNCH_TOO_LARGE, ERROR_ILLEGAL_ADDRESS,
    ERROR_ILLEGAL_INSTRUCTION, ERROR_INVALID_ADDRESS_SPACE, ERROR_INVALID_CLUSTER_SIZE,
    ERROR_INVALID_HANDLE, ERROR_INVALID_VALUE, ERROR_LAUNCH_FAILED, ERROR_LAUNCH_TIMEOUT,
    ERROR_MISALIGNED_ADDRESS, ERROR_NOT_SUPPORTED, Result,
};
use super::function::{self, Function};
use super::memory::suballocator::Suballocator;
use super::memory::{GridMemory, Kind, memory};
use super::print::print_error;
use super::stream::{self, Stream};
use super::texture::LaunchImages;
use super::texture_reference::{self, Bound};
use super::work::Work;
use super::{
    event, ffi, graph_conditional, graph_device, graph_updatable, handles, occupancy, state,
};
use crate::engine::{Fault, FaultKind, LaunchConfig, LaunchEnvironment};

/// A launch whose arguments have been checked.
#[derive(Clone)]
pub(super) struct Launch {
    function: Arc<Function>,
    config: LaunchConfig,
    parameters: Vec<u8>,
    /// What references of the module read.
    bound: Option<Arc<Bound>>,
}

/// Kernels running now: they share the host's threads.
static RUNNING: AtomicUsize = AtomicUsize::new(0);

struct Count;

impl Drop for Count {
    fn drop(&mut self) {
        RUNNING.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Launch {
    /// The same with so many blocks.
    ///
    /// # Errors
    /// `CUDA_ERROR_INVALID_VALUE` if there can be no such grid.
    pub(super) fn with_grid(&self, grid: [u32; 3]) -> Result<Self> {
        let sizes = grid.iter().zip(figures::MAX_GRID);
        if !sizes
            .into_iter()
            .all(|(size, most)| (1..=most).contains(size))
        {
            return Err(ERROR_INVALID_VALUE);
        }
        let mut new = self.clone();
        new.config.grid = grid;
        Ok(new)
    }

    /// The same with other bytes among the parameters.
    ///
    /// # Errors
    /// `CUDA_ERROR_INVALID_VALUE` beyond them.
    pub(super) fn with_parameter(&self, offset: u64, value: &[u8]) -> Result<Self> {
        let mut new = self.clone();
        let from = usize::try_from(offset).map_err(|_| ERROR_INVALID_VALUE)?;
        let to = from.checked_add(value.len()).ok_or(ERROR_INVALID_VALUE)?;
        let there = new.parameters.get_mut(from..to);
        there.ok_or(ERROR_INVALID_VALUE)?.copy_from_slice(value);
        Ok(new)
    }

    /// The same as a cooperative launch or not.
    pub(super) fn with_cooperative(&self, cooperative: bool) -> Self {
        let mut new = self.clone();
        new.config.cooperative = cooperative;
        new
    }

    /// The same in clusters of that size.
    pub(super) fn with_cluster(&self, cluster: [u32; 3]) -> Self {
        let mut new = self.clone();
        new.config.cluster = cluster;
        new
    }

    /// The same with the attributes of another.
    pub(super) fn with_attributes_of(&self, other: &Self) -> Self {
        let of = &other.config;
        self.with_cluster(of.cluster)
            .with_cooperative(of.cooperative)
    }

    /// Runs the grid to its end.
    ///
    /// # Errors
    /// CUDA's code for the fault.
    pub(super) fn run(&self, context: &Context) -> Result {
        self.run_in(context, 0, &graph_device::outside)
    }

    /// As [`run`](Self::run), as part of an executable graph that kernels may launch (or 0); `launch_graph` is what `cudaGraphLaunch` of the kernel does.
    ///
    /// # Errors
    /// As `run`.
    pub(super) fn run_in(
        &self,
        context: &Context,
        graph: u64,
        launch_graph: &(dyn Fn(u64, u64) -> i32 + Sync),
    ) -> Result {
        // A graph has kernels of other contexts, too, maybe on other devices.
        let other = (self.function.context != context.home().id)
            .then(|| context::by_id(self.function.context))
            .flatten();
        let context = other.as_deref().unwrap_or(context);
        let running = RUNNING.fetch_add(1, Ordering::AcqRel) + 1;
        let _count = Count;
        let _operation = memory().quiescence.enter();
        let config = &state::initialized().config;
        let environment = LaunchEnvironment {
            memory: &GridMemory::new(context.device),
            images: &LaunchImages {
                context: context.home().id,
                bound: self.bound.as_deref(),
            },
            threads: (config.threads / running).max(1),
            print: &|piece| context.output.print(piece),
            print_error: &print_error,
            cancelled: &context.cancelled,
            deadline: config.limit.map(|limit| Instant::now() + limit),
            set_condition: &graph_conditional::set,
            launch_graph,
            update_node: &graph_updatable::update,
            graph,
            device_malloc: &|size| heap_allocate(context.home(), size),
            device_free: &|address| heap_free(context.home(), address),
        };
        match self.function.loaded.launch(
            self.function.index,
            &self.config,
            &self.parameters,
            &environment,
        ) {
            Ok(()) => Ok(()),
            Err(Fault {
                kind: FaultKind::Cancelled,
                ..
            }) => Ok(()),
            Err(fault) => {
                if config.report_faults {
                    eprintln!("gvirtus-cpu: {}", described(&fault));
                }
                Err(code_of(fault.kind))
            }
        }
    }
}

/// What is said of a fault: what compute-sanitizer says on a GPU.
fn described(fault: &Fault) -> String {
    let Fault {
        kind,
        kernel,
        line,
        block,
        thread,
        address,
        source,
        note,
    } = fault;
    let mut text = format!("{kind:?} in {kernel} (PTX line {line}");
    for (level, (file, line)) in source.iter().enumerate() {
        let how = if level == 0 { "," } else { " inlined at" };
        text += &format!("{how} {file}:{line}");
    }
    text += &format!("), block {block:?}, thread {thread:?}");
    if *address != 0 || matches!(kind, FaultKind::IllegalAddress) {
        text += &format!(", address {address:#x}");
    }
    if !note.is_empty() {
        text += &format!(": {note}");
    }
    text
}

fn code_of(kind: FaultKind) -> i32 {
    match kind {
        FaultKind::IllegalAddress => ERROR_ILLEGAL_ADDRESS,
        FaultKind::MisalignedAddress => ERROR_MISALIGNED_ADDRESS,
        FaultKind::InvalidAddressSpace => ERROR_INVALID_ADDRESS_SPACE,
        FaultKind::IllegalInstruction => ERROR_ILLEGAL_INSTRUCTION,
        FaultKind::Assert => ERROR_ASSERT,
        FaultKind::Timeout => ERROR_LAUNCH_TIMEOUT,
        FaultKind::Trap | FaultKind::LaunchFailed | FaultKind::Cancelled => ERROR_LAUNCH_FAILED,
    }
}

/// Kernels' `malloc`: from a heap that is made at the first call. 0 when it is used up.
fn heap_allocate(context: &Context, size: u64) -> u64 {
    /// CUDA aligns to 16 bytes.
    const UNIT: u64 = 16;
    let mut heap = context.heap.lock();
    if heap.is_none() {
        let size = (context.limits.lock().malloc_heap as u64).next_multiple_of(UNIT);
        let Ok(start) = memory().allocate(context.device, context.id, size, Kind::Internal) else {
            return 0;
        };
        *heap = Some((start, Suballocator::new(size, UNIT)));
    }
    match heap.as_mut() {
        Some((start, pieces)) if size > 0 => {
            pieces.allocate(size).map_or(0, |offset| *start + offset)
        }
        _ => 0,
    }
}

fn heap_free(context: &Context, address: u64) {
    if let Some((start, pieces)) = context.heap.lock().as_mut()
        && let Some(offset) = address.checked_sub(*start)
    {
        pieces.free(offset);
    }
}

/// Copies the kernel's arguments: an array with a pointer to each, or `extra` with the packed block.
fn parameters(
    function: &Function,
    kernel_params: *mut *mut c_void,
    extra: *mut *mut c_void,
) -> Result<Vec<u8>> {
    let declared = &function.info.params;
    let size = declared
        .iter()
        .map(|p| (p.offset + p.size) as usize)
        .max()
        .unwrap_or(0);
    if !kernel_params.is_null() && !extra.is_null() {
        return Err(ERROR_INVALID_VALUE);
    }
    if !extra.is_null() {
        let block = packed(extra)?;
        if block.len() < size {
            return Err(ERROR_INVALID_VALUE);
        }
        return Ok(block);
    }
    if declared.is_empty() {
        return Ok(Vec::new());
    }
    let mut block = vec![0; size];
    for (parameter, pointer) in declared
        .iter()
        .zip(ffi::get_slice(kernel_params, declared.len())?)
    {
        let (offset, length) = (parameter.offset as usize, parameter.size as usize);
        block[offset..offset + length].copy_from_slice(&ffi::get_bytes(pointer.cast(), length)?);
    }
    Ok(block)
}

/// Reads `extra`: `CU_LAUNCH_PARAM_BUFFER_POINTER`, the block, `CU_LAUNCH_PARAM_BUFFER_SIZE`, a pointer to its size, `CU_LAUNCH_PARAM_END`.
fn packed(extra: *mut *mut c_void) -> Result<Vec<u8>> {
    const END: usize = 0;
    const POINTER: usize = 1;
    const SIZE: usize = 2;
    /// No kernel has more parameter space.
    const MOST: usize = 1 << 16;
    let (mut buffer, mut size) = (std::ptr::null_mut(), None);
    let mut at = extra;
    // Each key may stand once.
    for _ in 0..2 {
        let key = ffi::get(at)?.addr();
        if key == END {
            break;
        }
        let value = ffi::get(at.wrapping_add(1))?;
        match key {
            POINTER => buffer = value,
            SIZE => size = Some(ffi::get(value.cast::<usize>())?),
            _ => return Err(ERROR_INVALID_VALUE),
        }
        at = at.wrapping_add(2);
    }
    let size = size
        .filter(|size| *size <= MOST)
        .ok_or(ERROR_INVALID_VALUE)?;
    ffi::get_bytes(buffer.cast(), size)
}

/// Checks the geometry as CUDA does before anything is queued.
fn check(function: &Function, config: &LaunchConfig, multiprocessors: u32) -> Result {
    let LaunchConfig {
        grid,
        block,
        shared_bytes,
        cooperative,
        cluster,
    } = *config;
    let within = |size: [u32; 3], most: [u32; 3]| {
        size.iter()
            .zip(most)
            .all(|(&size, most)| size >= 1 && size <= most)
    };
    if !within(grid, figures::MAX_GRID) || !within(block, figures::MAX_BLOCK) {
        return Err(ERROR_INVALID_VALUE);
    }
    let threads = block.iter().map(|&size| u64::from(size)).product::<u64>();
    if threads > u64::from(figures::MAX_THREADS_PER_BLOCK.min(function.info.max_threads_per_block))
    {
        return Err(ERROR_INVALID_VALUE);
    }
    if function
        .info
        .required_block
        .is_some_and(|required| required != block)
        || shared_bytes > function.settings().dynamic_shared()
    {
        return Err(ERROR_INVALID_VALUE);
    }
    let required = function.info.required_cluster;
    if cluster[0] != 0 && required.is_some_and(|r| r != cluster) {
        return Err(ERROR_INVALID_CLUSTER_SIZE);
    }
    let cluster = config.blocks_of_cluster(&function.info);
    if cluster.contains(&0) || cluster.iter().product::<u32>() > figures::MAX_CLUSTER {
        return Err(ERROR_INVALID_CLUSTER_SIZE);
    }
    if grid
        .iter()
        .zip(cluster)
        .any(|(&blocks, size)| blocks % size != 0)
    {
        return Err(ERROR_INVALID_VALUE);
    }
    if cooperative {
        let resident = u64::from(occupancy::blocks_per_multiprocessor(
            &function.info,
            threads as u32,
            shared_bytes,
        )) * u64::from(multiprocessors);
        if grid.iter().map(|&size| u64::from(size)).product::<u64>() > resident {
            return Err(ERROR_COOPERATIVE_LAUNCH_TOO_LARGE);
        }
    }
    Ok(())
}

fn launch(
    f: CUfunction,
    config: LaunchConfig,
    stream: CUstream,
    kernel_params: *mut *mut c_void,
    extra: *mut *mut c_void,
) -> Result {
    let stream: Arc<Stream> = stream::resolve(stream)?;
    let work = prepare(f, config, &*stream.context()?, kernel_params, extra)?;
    stream.enqueue(work)
}

/// Checks a launch and copies its arguments.
///
/// # Errors
/// What `cuLaunchKernel` answers at once.
pub(super) fn prepare(
    f: CUfunction,
    config: LaunchConfig,
    context: &Context,
    kernel_params: *mut *mut c_void,
    extra: *mut *mut c_void,
) -> Result<Work> {
    let function = function::resolve(f)?;
    if function.context != context.home().id {
        return Err(ERROR_INVALID_HANDLE);
    }
    check(
        &function,
        &config,
        state::require()?.devices[context.device].multiprocessors,
    )?;
    let parameters = parameters(&function, kernel_params, extra)?;
    let bound = texture_reference::bound(function.module, context.device)?;
    Ok(Work::Kernel(Arc::new(Launch {
        function,
        config,
        parameters,
        bound,
    })))
}

#[allow(clippy::too_many_arguments, reason = "CUDA's parameters")]
pub(super) fn cuLaunchKernel(
    f: CUfunction,
    gridDimX: u32,
    gridDimY: u32,
    gridDimZ: u32,
    blockDimX: u32,
    blockDimY: u32,
    blockDimZ: u32,
    sharedMemBytes: u32,
    hStream: CUstream,
    kernelParams: *mut *mut c_void,
    extra: *mut *mut c_void,
) -> Result {
    let config = LaunchConfig {
        grid: [gridDimX, gridDimY, gridDimZ],
        block: [blockDimX, blockDimY, blockDimZ],
        shared_bytes: sharedMemBytes,
        cooperative: false,
        cluster: [0; 3],
    };
    launch(f, config, hStream, kernelParams, extra)
}

#[allow(clippy::too_many_arguments, reason = "CUDA's parameters")]
pub(super) fn cuLaunchCooperativeKernel(
    f: CUfunction,
    gridDimX: u32,
    gridDimY: u32,
    gridDimZ: u32,
    blockDimX: u32,
    blockDimY: u32,
    blockDimZ: u32,
    sharedMemBytes: u32,
    hStream: CUstream,
    kernelParams: *mut *mut c_void,
) -> Result {
    let config = LaunchConfig {
        grid: [gridDimX, gridDimY, gridDimZ],
        block: [blockDimX, blockDimY, blockDimZ],
        shared_bytes: sharedMemBytes,
        cooperative: true,
        cluster: [0; 3],
    };
    launch(f, config, hStream, kernelParams, std::ptr::null_mut())
}

/// `CUlaunchAttributeID`.
mod attribute {
    pub(super) const IGNORE: u32 = 0;
    pub(super) const ACCESS_POLICY_WINDOW: u32 = 1;
    pub(super) const COOPERATIVE: u32 = 2;
    pub(super) const SYNCHRONIZATION_POLICY: u32 = 3;
    pub(super) const CLUSTER_DIMENSION: u32 = 4;
    pub(super) const CLUSTER_POLICY: u32 = 5;
    pub(super) const PROGRAMMATIC_SERIALIZATION: u32 = 6;
    pub(super) const PROGRAMMATIC_EVENT: u32 = 7;
    pub(super) const PRIORITY: u32 = 8;
    pub(super) const SYNC_DOMAIN_MAP: u32 = 9;
    pub(super) const SYNC_DOMAIN: u32 = 10;
    pub(super) const LAUNCH_COMPLETION_EVENT: u32 = 12;
    pub(super) const CARVEOUT: u32 = 14;
}

pub(super) fn cuLaunchKernelEx(
    config: *const CUlaunchConfig,
    f: CUfunction,
    kernelParams: *mut *mut c_void,
    extra: *mut *mut c_void,
) -> Result {
    let given = ffi::get(config)?;
    let mut config = LaunchConfig {
        grid: [given.gridDimX, given.gridDimY, given.gridDimZ],
        block: [given.blockDimX, given.blockDimY, given.blockDimZ],
        shared_bytes: given.sharedMemBytes,
        cooperative: false,
        cluster: [0; 3],
    };
    // Events that may tell of the kernel before it ends; here they do when it has.
    let mut events = Vec::new();
    for attribute in ffi::get_slice(given.attrs, given.numAttrs as usize)? {
        let word = attribute.value.words[0];
        match attribute.id {
            attribute::COOPERATIVE => config.cooperative = word as u32 != 0,
            attribute::CLUSTER_DIMENSION => {
                let depth = attribute.value.words[1] as u32;
                config.cluster = [word as u32, (word >> 32) as u32, depth];
            }
            attribute::PROGRAMMATIC_EVENT | attribute::LAUNCH_COMPLETION_EVENT => {
                events.push(handles::pointer(word as usize));
            }
            // Hints: about caches, scheduling, the scope of fences, and permission (not duty) to overlap with the previous kernel.
            attribute::IGNORE
            | attribute::ACCESS_POLICY_WINDOW
            | attribute::SYNCHRONIZATION_POLICY
            | attribute::CLUSTER_POLICY
            | attribute::PROGRAMMATIC_SERIALIZATION
            | attribute::PRIORITY
            | attribute::SYNC_DOMAIN_MAP
            | attribute::SYNC_DOMAIN
            | attribute::CARVEOUT => {}
            _ => return Err(ERROR_NOT_SUPPORTED),
        }
    }
    launch(f, config, given.hStream, kernelParams, extra)?;
    events
        .into_iter()
        .try_for_each(|event| event::cuEventRecord(event, given.hStream))
}
