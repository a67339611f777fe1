//! Launches: <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__EXEC.html>.
//!
//! What the driver refuses at once is refused here: geometry, shared memory, parameters, attributes. Then the parameters are packed by the kernel's layout and the
//! command is on its way; nothing is waited for.
#![allow(non_snake_case, reason = "CUDA's names")]
#![allow(clippy::too_many_arguments, reason = "parameters are CUDA's")]

use std::ffi::c_void;
use std::sync::Arc;

use gvirtus_wire::api::core::LaunchParts;
use gvirtus_wire::api::types::{CUevent, CUfunction, CUlaunchConfig, CUstream, error};
use gvirtus_wire::codec::Params;

use crate::capture;
use crate::driver::context::Context;
use crate::driver::device::{attr as device_attr, attribute as device_attribute};
use crate::driver::function::{Function, attr};
use crate::driver::{Result, context, kernel, occupancy, session};
use crate::graph::work::Kernel;
use crate::graph::{KernelEvent, record, updatable};
use crate::memory::ledger;
use crate::memory::managed::Uses;
use crate::{streams, taken};

mod last;

use last::Last;

/// `CUlaunchAttributeID`.
mod id {
    pub(super) const IGNORE: u32 = 0;
    pub(super) const COOPERATIVE: u32 = 2;
    pub(super) const SYNCHRONIZATION_POLICY: u32 = 3;
    pub(super) const CLUSTER_DIMENSION: u32 = 4;
    pub(super) const PROGRAMMATIC_STREAM_SERIALIZATION: u32 = 6;
    pub(super) const PROGRAMMATIC_EVENT: u32 = 7;
    pub(super) const PREFERRED_CLUSTER_DIMENSION: u32 = 11;
    pub(super) const LAUNCH_COMPLETION_EVENT: u32 = 12;
    /// Numbers that CUDA 13 does not know for launches.
    pub(super) const HOLE: u32 = 15;
    pub(super) const NVLINK_CENTRIC: u32 = 16;
    pub(super) const LAST: u32 = NVLINK_CENTRIC;
}

/// Keys of the `extra` array.
const EXTRA_END: usize = 0;
const EXTRA_BUFFER_POINTER: usize = 1;
const EXTRA_BUFFER_SIZE: usize = 2;

/// The largest cluster that every device with clusters runs.
const PORTABLE_CLUSTER: u64 = 8;
/// Registers are given to warps in steps of this many.
const REGISTER_STEP: u32 = 256;
const WARP: u32 = 32;
/// Bytes of parameters that need no allocation.
const FEW_PARAMS: usize = 128;

/// A launch's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Geometry {
    /// Blocks.
    pub(crate) grid: [u32; 3],
    /// Threads per block.
    pub(crate) block: [u32; 3],
    /// Dynamic shared memory per block, bytes.
    pub(crate) shared: u32,
}

fn within(size: [u32; 3], most: [u32; 3]) -> bool {
    size.iter()
        .zip(most)
        .all(|(size, most)| (1..=most).contains(size))
}

impl Geometry {
    /// Checks against the device and the function.
    ///
    /// # Errors
    /// `CUDA_ERROR_INVALID_VALUE`, and `CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES` where the registers do not suffice.
    #[inline]
    fn check(&self, function: &Function) -> Result<()> {
        let limits = &function.limits;
        if !within(self.grid, limits.grid) || !within(self.block, limits.block) {
            return Err(error::ERROR_INVALID_VALUE);
        }
        let threads = self.threads();
        if threads > u64::from(limits.threads) {
            return Err(error::ERROR_INVALID_VALUE);
        }
        let most = function.attribute(attr::MAX_THREADS_PER_BLOCK);
        if most
            .and_then(|v| u64::try_from(v).ok())
            .is_some_and(|most| threads > most)
        {
            return Err(too_many_threads(function, threads));
        }
        let most = function.attribute(attr::MAX_DYNAMIC_SHARED_SIZE_BYTES);
        if most
            .and_then(|v| u32::try_from(v).ok())
            .is_some_and(|most| self.shared > most)
        {
            return Err(error::ERROR_INVALID_VALUE);
        }
        Ok(())
    }

    /// Threads per block. Each direction is within the device's limits, so this does not overflow.
    fn threads(&self) -> u64 {
        self.block
            .iter()
            .map(|n| u64::from(*n))
            .fold(1, u64::saturating_mul)
    }

    fn blocks(&self) -> u64 {
        self.grid
            .iter()
            .map(|n| u64::from(*n))
            .fold(1, u64::saturating_mul)
    }
}

/// More threads than the function allows: for want of registers, or because it was compiled with launch bounds.
#[cold]
fn too_many_threads(function: &Function, threads: u64) -> i32 {
    let registers = function.attribute(attr::NUM_REGS).unwrap_or(0);
    let per_warp = registers
        .cast_unsigned()
        .saturating_mul(WARP)
        .next_multiple_of(REGISTER_STEP);
    let needed = threads.div_ceil(u64::from(WARP)) * u64::from(per_warp);
    if needed > u64::from(function.limits.registers) {
        error::ERROR_LAUNCH_OUT_OF_RESOURCES
    } else {
        error::ERROR_INVALID_VALUE
    }
}

/// Packs the parameters as the kernel's layout says.
///
/// # Safety
/// As [`pack_into`].
unsafe fn pack(
    function: &Function,
    params: *mut *mut c_void,
    extra: *mut *mut c_void,
) -> Result<Params> {
    let mut packed = Params::from_elem(0, function.params_size as usize);
    // SAFETY: by this function's contract.
    unsafe { pack_into(function, params, extra, &mut packed)? };
    Ok(packed)
}

/// Copies so many bytes; most parameters are words.
///
/// # Safety
/// `from` has as many readable bytes as `to` is long.
#[inline]
unsafe fn copy_parameter(from: *const u8, to: &mut [u8]) {
    // SAFETY: by this function's contract.
    unsafe {
        if let Ok(to) = <&mut [u8; 8]>::try_from(&mut *to) {
            *to = from.cast::<[u8; 8]>().read();
        } else if let Ok(to) = <&mut [u8; 4]>::try_from(&mut *to) {
            *to = from.cast::<[u8; 4]>().read();
        } else {
            std::ptr::copy_nonoverlapping(from, to.as_mut_ptr(), to.len());
        }
    }
}

/// Packs the parameters as the kernel's layout says into so many zeros.
///
/// # Safety
/// `params` is null or has a pointer for every parameter, each to that many bytes; `extra` is null or as CUDA documents it.
#[inline]
unsafe fn pack_into(
    function: &Function,
    params: *mut *mut c_void,
    extra: *mut *mut c_void,
    packed: &mut [u8],
) -> Result<()> {
    if !extra.is_null() {
        // SAFETY: by this function's contract.
        return unsafe { pack_extra(params, extra, packed) };
    }
    if function.params.is_empty() {
        return Ok(());
    }
    if params.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    for (i, &(offset, size)) in function.params.iter().enumerate() {
        // SAFETY: the program gives a pointer for every parameter.
        let from = unsafe { params.add(i).read() };
        if from.is_null() {
            return Err(error::ERROR_INVALID_VALUE);
        }
        // Layouts are checked when a function is made: `offset + size <= params_size`.
        let to = &mut packed[offset as usize..(offset + size) as usize];
        // SAFETY: the program's pointer is valid for the parameter's size, and `to` is that long.
        unsafe { copy_parameter(from.cast(), to) };
    }
    Ok(())
}

/// Takes the parameters from a buffer that the program has packed. Fewer bytes than the kernel has are zeros; more are
/// `CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES`, as natively.
///
/// # Safety
/// As [`pack_into`].
unsafe fn pack_extra(
    params: *mut *mut c_void,
    extra: *mut *mut c_void,
    packed: &mut [u8],
) -> Result<()> {
    if !params.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let mut buffer: *const u8 = std::ptr::null();
    let mut given = 0;
    let mut at = extra;
    loop {
        // SAFETY: the array goes on until its end mark.
        match unsafe { at.read() } as usize {
            EXTRA_END => break,
            // SAFETY: a key is followed by its value.
            EXTRA_BUFFER_POINTER => buffer = unsafe { at.add(1).read() }.cast(),
            EXTRA_BUFFER_SIZE => {
                // SAFETY: the value is the address of a size.
                let size = unsafe { at.add(1).read() }.cast::<usize>();
                if size.is_null() {
                    return Err(error::ERROR_INVALID_VALUE);
                }
                // SAFETY: not null, and the program's.
                given = unsafe { size.read_unaligned() };
            }
            _ => return Err(error::ERROR_INVALID_VALUE),
        }
        // SAFETY: past a key and its value the array goes on.
        at = unsafe { at.add(2) };
    }
    let total = packed.len();
    if total > 0 && (given == 0 || buffer.is_null()) {
        return Err(error::ERROR_INVALID_VALUE);
    }
    if given > total {
        return Err(error::ERROR_LAUNCH_OUT_OF_RESOURCES);
    }
    if given > 0 {
        // SAFETY: the program's buffer has `given` bytes, and so many fit.
        unsafe { std::ptr::copy_nonoverlapping(buffer, packed.as_mut_ptr(), given) };
    }
    Ok(())
}

/// Launch attributes as they travel, and what the client itself must know of them.
#[derive(Debug, Default)]
pub(crate) struct Attributes {
    /// Id and value; handles are ids.
    pub(crate) list: Vec<(u32, [u8; 64])>,
    cooperative: bool,
    cluster: Option<[u32; 3]>,
    /// `programmaticStreamSerializationAllowed`.
    serialized: bool,
    /// What it records while it runs.
    events: Vec<Told>,
    /// Whether kernels change the node that the launch becomes, and where the program learns by which handle.
    updatable: Option<(bool, *mut u64)>,
}

/// An event that a kernel records while it runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Told {
    pub(crate) event: CUevent,
    pub(crate) of: KernelEvent,
}

impl Attributes {
    /// Those that a node has: how it depends on others stands in edges.
    fn of_node(&self) -> Vec<(u32, [u8; 64])> {
        let edges = [
            id::PROGRAMMATIC_STREAM_SERIALIZATION,
            id::PROGRAMMATIC_EVENT,
            id::LAUNCH_COMPLETION_EVENT,
        ];
        let all = self.list.iter();
        all.filter(|(id, _)| !edges.contains(id)).copied().collect()
    }

    const fn none() -> Self {
        Self {
            list: Vec::new(),
            cooperative: false,
            cluster: None,
            serialized: false,
            events: Vec::new(),
            updatable: None,
        }
    }

    fn cooperative() -> Self {
        let mut value = [0; 64];
        value[0] = 1;
        Self {
            list: vec![(id::COOPERATIVE, value)],
            cooperative: true,
            ..Self::default()
        }
    }

    /// Reads and checks a configuration's attributes.
    ///
    /// # Safety
    /// The configuration's array has as many elements as it says.
    pub(crate) unsafe fn read(config: &CUlaunchConfig) -> Result<Self> {
        let mut all = Self::default();
        if config.numAttrs == 0 {
            return Ok(all);
        }
        if config.attrs.is_null() {
            return Err(error::ERROR_INVALID_VALUE);
        }
        for i in 0..config.numAttrs as usize {
            // SAFETY: inside the array.
            let attribute = unsafe { config.attrs.add(i).read() };
            let mut words = attribute.value.words;
            let low = words[0] as u32;
            match attribute.id {
                id::IGNORE => continue,
                id::COOPERATIVE => all.cooperative = low != 0,
                id::SYNCHRONIZATION_POLICY if !(1..=4).contains(&low) => {
                    return Err(error::ERROR_INVALID_VALUE);
                }
                id::CLUSTER_DIMENSION => {
                    let size = [low, (words[0] >> 32) as u32, words[1] as u32];
                    if size.contains(&0) {
                        // No cluster, natively too.
                        continue;
                    }
                    all.cluster = Some(size);
                }
                id::PROGRAMMATIC_EVENT | id::LAUNCH_COMPLETION_EVENT => {
                    let event: CUevent = std::ptr::without_provenance_mut(words[0] as usize);
                    words[0] = u64::from(streams::event_id(event)?);
                    let of = match attribute.id {
                        id::LAUNCH_COMPLETION_EVENT => KernelEvent::Launched,
                        // `flags` and `triggerAtBlockStart` follow the event.
                        _ if words[1] >> 32 != 0 => KernelEvent::AtBlockStart,
                        _ => KernelEvent::Programmatic,
                    };
                    all.events.push(Told { event, of });
                }
                updatable::ATTRIBUTE => {
                    if low > 1 || low == 1 && words[1] != 0 {
                        return Err(error::ERROR_INVALID_VALUE);
                    }
                    // SAFETY: as above; the value begins with a flag, and a handle follows.
                    let told = unsafe { &raw mut (*config.attrs.add(i)).value.words[1] };
                    all.updatable = Some((low == 1, told));
                    continue;
                }
                // Switched off, which is what a launch without them is: devices that lack them need not be asked.
                id::PROGRAMMATIC_STREAM_SERIALIZATION
                | id::PREFERRED_CLUSTER_DIMENSION
                | id::NVLINK_CENTRIC
                    if low == 0 =>
                {
                    continue;
                }
                id::PROGRAMMATIC_STREAM_SERIALIZATION => all.serialized = true,
                id::HOLE => return Err(error::ERROR_INVALID_VALUE),
                known if known <= id::LAST => {}
                _ => return Err(error::ERROR_INVALID_VALUE),
            }
            let mut value = [0; 64];
            for (bytes, word) in value.chunks_exact_mut(8).zip(words) {
                bytes.copy_from_slice(&word.to_le_bytes());
            }
            all.list.push((attribute.id, value));
        }
        Ok(all)
    }

    /// Checks what attributes ask of the geometry.
    fn check(&self, function: &Function, geometry: &Geometry) -> Result<()> {
        if let Some(size) = self.cluster {
            let divides = geometry
                .grid
                .iter()
                .zip(size)
                .all(|(grid, size)| grid % size == 0);
            let blocks = size
                .iter()
                .map(|n| u64::from(*n))
                .fold(1, u64::saturating_mul);
            let large = function.attribute(attr::NON_PORTABLE_CLUSTER_SIZE_ALLOWED) == Some(1);
            if !divides || (blocks > PORTABLE_CLUSTER && !large) {
                return Err(error::ERROR_INVALID_CLUSTER_SIZE);
            }
            let clusters = device_attribute(function.device, device_attr::CLUSTER_LAUNCH);
            if blocks > 1 && clusters != Some(1) {
                return Err(error::ERROR_NOT_SUPPORTED);
            }
        }
        if self.cooperative {
            if device_attribute(function.device, device_attr::COOPERATIVE_LAUNCH) != Some(1) {
                return Err(error::ERROR_NOT_SUPPORTED);
            }
            let threads = u32::try_from(geometry.threads()).unwrap_or(u32::MAX);
            let most = occupancy::resident_blocks(function, threads, u64::from(geometry.shared))?;
            if geometry.blocks() > most {
                return Err(error::ERROR_COOPERATIVE_LAUNCH_TOO_LARGE);
            }
        }
        Ok(())
    }
}

/// Checks, packs and sends.
///
/// # Safety
/// The parameters are as in [`pack_into`].
#[inline]
unsafe fn launch(
    f: CUfunction,
    geometry: Geometry,
    stream: CUstream,
    params: *mut *mut c_void,
    extra: *mut *mut c_void,
    attributes: &Attributes,
) -> Result<()> {
    let session = session()?;
    let context = context::current()?;
    session.check(context.id)?;
    let mut last = Last::take(&context);
    let function = last::function(&mut last.function, f, &context)?;
    geometry.check(function)?;
    if !attributes.list.is_empty() {
        attributes.check(function, &geometry)?;
    }
    let (mut few, mut many) = ([0; FEW_PARAMS], Vec::new());
    let size = function.params_size as usize;
    let block = match few.get_mut(..size) {
        Some(few) => few,
        None => {
            many.resize(size, 0);
            many.as_mut_slice()
        }
    };
    // SAFETY: by this function's contract.
    unsafe { pack_into(function, params, extra, block)? };
    let in_place = ledger::host_among(block);
    let recorded = capture::any().then(|| {
        let attributes = attributes.of_node();
        Kernel::new(Arc::clone(function), geometry, block, attributes)
    });
    let stream = last::stream(&mut last.stream, stream, session, &context)?;
    if let Some((wanted, told)) = attributes.updatable {
        taken::settle(session, stream)?;
        capture::enqueue_allowed(stream)?;
        let capture = capture::of(stream).ok_or(error::ERROR_NOT_SUPPORTED)?;
        if wanted {
            record::launch(
                stream,
                0,
                recorded,
                attributes.serialized,
                &attributes.events,
            )?;
            let handle = capture.make_updatable(session, stream)?;
            // SAFETY: the program's attribute.
            unsafe { told.write_unaligned(handle) };
            return Ok(());
        }
    }
    let command = LaunchParts {
        function: function.id,
        stream: stream.id,
        grid: geometry.grid,
        block: geometry.block,
        shared: geometry.shared,
        params: block,
        attributes: &attributes.list,
    };
    let uses = Uses::Kernel(block);
    let sequence = streams::submit_on(session, &context, stream, &in_place, uses, &command)?;
    if recorded.is_some() || !attributes.events.is_empty() {
        let Attributes {
            serialized, events, ..
        } = attributes;
        record::launch(stream, sequence, recorded, *serialized, events)?;
    }
    last.keep();
    Ok(())
}

/// What a kernel node does, checked and packed as a launch is.
///
/// # Safety
/// The parameters are as in [`pack`].
pub(crate) unsafe fn node(
    f: CUfunction,
    context: &Arc<Context>,
    geometry: Geometry,
    params: *mut *mut c_void,
    extra: *mut *mut c_void,
    attributes: Vec<(u32, [u8; 64])>,
) -> Result<Arc<Kernel>> {
    let function = kernel::of_node(f, context)?;
    geometry.check(&function)?;
    // SAFETY: by this function's contract.
    let params = unsafe { pack(&function, params, extra)? };
    Ok(Kernel::new(function, geometry, &params, attributes))
}

/// Launches a kernel, its parameters by pointer each (`kernelParams`) or packed (`extra`).
pub(crate) unsafe fn cuLaunchKernel(
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
) -> Result<()> {
    let geometry = Geometry {
        grid: [gridDimX, gridDimY, gridDimZ],
        block: [blockDimX, blockDimY, blockDimZ],
        shared: sharedMemBytes,
    };
    // SAFETY: the caller's parameters.
    unsafe {
        launch(
            f,
            geometry,
            hStream,
            kernelParams,
            extra,
            &const { Attributes::none() },
        )
    }
}

/// A configuration that the program gave.
///
/// # Safety
/// `config` is null or valid.
pub(crate) unsafe fn read_config(config: *const CUlaunchConfig) -> Result<CUlaunchConfig> {
    if config.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    // SAFETY: not null, and the caller's.
    Ok(unsafe { config.read_unaligned() })
}

/// Launches with attributes.
pub(crate) unsafe fn cuLaunchKernelEx(
    config: *const CUlaunchConfig,
    f: CUfunction,
    kernelParams: *mut *mut c_void,
    extra: *mut *mut c_void,
) -> Result<()> {
    session()?;
    // SAFETY: the caller's configuration.
    let config = unsafe { read_config(config)? };
    // SAFETY: the configuration's array.
    let attributes = unsafe { Attributes::read(&config)? };
    let geometry = Geometry {
        grid: [config.gridDimX, config.gridDimY, config.gridDimZ],
        block: [config.blockDimX, config.blockDimY, config.blockDimZ],
        shared: config.sharedMemBytes,
    };
    // SAFETY: the caller's parameters.
    unsafe {
        launch(
            f,
            geometry,
            config.hStream,
            kernelParams,
            extra,
            &attributes,
        )
    }
}

/// A launch whose blocks may wait for each other: all of them must fit the device at once.
pub(crate) unsafe fn cuLaunchCooperativeKernel(
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
) -> Result<()> {
    let geometry = Geometry {
        grid: [gridDimX, gridDimY, gridDimZ],
        block: [blockDimX, blockDimY, blockDimZ],
        shared: sharedMemBytes,
    };
    let none = std::ptr::null_mut();
    // SAFETY: the caller's parameters.
    unsafe {
        launch(
            f,
            geometry,
            hStream,
            kernelParams,
            none,
            &Attributes::cooperative(),
        )
    }
}

#[cfg(test)]
mod tests;
