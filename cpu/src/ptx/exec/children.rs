//! Dynamic parallelism: what kernels launch, and the device runtime's functions for it.
//!
//! What a grid launches runs when its own blocks have ended, in the order of the launches, and what is launched to the tail behind that; the grid is complete when all of it is. CUDA promises
//! no more: a child may begin before its parent has ended, and nobody can wait for it on the device. Streams and events of the device order launches, which have an order anyway.
//!
//! See <https://docs.nvidia.com/cuda/cuda-c-programming-guide/index.html#cuda-dynamic-parallelism>.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::engine::{AddressRange, LaunchConfig};
use crate::ptx::code::{Builtin, FUNCTION_STRIDE, FUNCTION_WINDOW};

/// Bytes for the parameters of what one grid launches; pages that are not touched cost nothing.
const ARENA: usize = 64 << 20;
/// Alignment of a parameter buffer.
const ALIGN: usize = 64;
/// How deep launches may nest.
pub(crate) const MAX_DEPTH: u32 = 64;

/// `cudaErrorInvalidValue`, `cudaErrorInvalidConfiguration`, `cudaErrorLaunchMaxDepthExceeded`, `cudaErrorLaunchPendingCountExceeded`, `cudaErrorInvalidDeviceFunction`.
pub(super) const INVALID_VALUE: i32 = 1;
const INVALID_CONFIGURATION: i32 = 9;
const MAX_DEPTH_EXCEEDED: i32 = 65;
const PENDING_EXCEEDED: i32 = 69;
const INVALID_DEVICE_FUNCTION: i32 = 98;
/// `cudaStreamTailLaunch`.
const TAIL: u64 = 3;

/// What is to be done behind a grid.
#[derive(Debug, Clone)]
pub(crate) enum Child {
    Grid {
        /// Index of the function.
        function: u32,
        config: LaunchConfig,
        params: Vec<u8>,
    },
    Copy {
        to: u64,
        from: u64,
        bytes: u64,
    },
    Fill {
        to: u64,
        value: u8,
        bytes: u64,
    },
}

/// A parameter buffer that was handed out.
#[derive(Debug, Clone, Copy)]
struct Buffer {
    function: u32,
    config: LaunchConfig,
    bytes: usize,
}

#[derive(Default)]
struct State {
    buffers: HashMap<u64, Buffer>,
    children: Vec<Child>,
    tail: Vec<Child>,
    /// The last error of each thread, by block and thread.
    errors: HashMap<([u32; 3], [u32; 3]), i32>,
}

/// What a running grid has launched.
pub(crate) struct Children {
    start: *mut u8,
    used: AtomicUsize,
    state: Mutex<State>,
    /// Bytes of the parameters of each kernel, by function.
    sizes: HashMap<u32, usize>,
    depth: u32,
}

// SAFETY: the memory is this value's; kernels touch it as they touch device memory.
unsafe impl Send for Children {}
// SAFETY: as above.
unsafe impl Sync for Children {}

/// Of the arena. A stricter alignment than `calloc`'s would have all of it written at once.
fn layout() -> Layout {
    Layout::from_size_align(ARENA, 16).unwrap_or(Layout::new::<u64>())
}

impl Children {
    /// None when the host has no memory.
    pub(crate) fn new(sizes: HashMap<u32, usize>, depth: u32) -> Option<Children> {
        // SAFETY: the size is not zero.
        let start = unsafe { alloc_zeroed(layout()) };
        (!start.is_null()).then(|| Children {
            start,
            used: AtomicUsize::new(start.addr().next_multiple_of(ALIGN) - start.addr()),
            state: Mutex::default(),
            sizes,
            depth,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The addresses of the parameter buffers.
    pub(crate) fn range(&self) -> AddressRange {
        AddressRange {
            start: self.start as u64,
            end: self.start as u64 + ARENA as u64,
            writable: true,
        }
    }

    /// What was launched, in the order in which it is to run.
    pub(crate) fn take(&self) -> Vec<Child> {
        let mut state = self.state();
        let mut all = std::mem::take(&mut state.children);
        all.append(&mut state.tail);
        all
    }

    /// Notes a thread's error, if it is one, and gives it back.
    pub(super) fn note(&self, place: ([u32; 3], [u32; 3]), code: i32) -> i32 {
        if code != 0 {
            self.state().errors.insert(place, code);
        }
        code
    }

    /// `cudaGetLastError`, `cudaPeekAtLastError`.
    pub(super) fn last_error(&self, place: ([u32; 3], [u32; 3]), keep: bool) -> i32 {
        let mut state = self.state();
        let code = state.errors.get(&place).copied().unwrap_or(0);
        if !keep {
            state.errors.remove(&place);
        }
        code
    }

    /// `cudaGetParameterBufferV2`.
    pub(super) fn buffer(
        &self,
        function: u64,
        grid: [u32; 3],
        block: [u32; 3],
        shared_bytes: u32,
    ) -> Result<u64, i32> {
        let number = function.wrapping_sub(FUNCTION_WINDOW);
        let function = u32::try_from(number / FUNCTION_STRIDE).unwrap_or(u32::MAX);
        let bytes = *self
            .sizes
            .get(&function)
            .filter(|_| number.is_multiple_of(FUNCTION_STRIDE))
            .ok_or(INVALID_DEVICE_FUNCTION)?;
        let threads = block.iter().map(|&n| u64::from(n)).product::<u64>();
        let fits = |size: [u32; 3], most: [u32; 3]| {
            size.iter()
                .zip(most)
                .all(|(&n, most)| (1..=most).contains(&n))
        };
        if !fits(grid, [0x7fff_ffff, 65_535, 65_535])
            || !fits(block, [1024, 1024, 64])
            || threads > 1024
        {
            return Err(INVALID_CONFIGURATION);
        }
        if self.depth >= MAX_DEPTH {
            return Err(MAX_DEPTH_EXCEEDED);
        }
        let address = self.room(bytes).ok_or(PENDING_EXCEEDED)?;
        let config = LaunchConfig {
            grid,
            block,
            shared_bytes,
            cooperative: false,
            cluster: [0; 3],
        };
        let buffer = Buffer {
            function,
            config,
            bytes,
        };
        self.state().buffers.insert(address, buffer);
        Ok(address)
    }

    /// So many bytes of the arena.
    fn room(&self, bytes: usize) -> Option<u64> {
        let room = bytes.max(1).next_multiple_of(ALIGN);
        let at = self
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                (used + room <= ARENA).then_some(used + room)
            })
            .ok()?;
        Some(self.start as u64 + at as u64)
    }

    /// The address of a text that kernels may read, ended by a zero; 0 when there is no room.
    pub(super) fn text(&self, text: &str) -> u64 {
        let Some(address) = self.room(text.len() + 1) else {
            return 0;
        };
        // SAFETY: the room was just made, is as long, and zero.
        unsafe { std::ptr::copy_nonoverlapping(text.as_ptr(), address as *mut u8, text.len()) };
        address
    }

    /// `cudaLaunchDeviceV2`: the status.
    pub(super) fn launch(&self, address: u64, stream: u64) -> i32 {
        let mut state = self.state();
        let Some(buffer) = state.buffers.remove(&address) else {
            return INVALID_VALUE;
        };
        let mut params = vec![0; buffer.bytes];
        // SAFETY: the buffer lies in the arena, which is this value's.
        unsafe {
            std::ptr::copy_nonoverlapping(
                self.start.add((address - self.start as u64) as usize),
                params.as_mut_ptr(),
                buffer.bytes,
            );
        }
        let child = Child::Grid {
            function: buffer.function,
            config: buffer.config,
            params,
        };
        state.add(child, stream);
        0
    }

    /// Copies and fills of the device.
    pub(super) fn enqueue(&self, child: Child, stream: u64) -> i32 {
        self.state().add(child, stream);
        0
    }
}

impl State {
    fn add(&mut self, child: Child, stream: u64) {
        if stream == TAIL {
            self.tail.push(child);
        } else {
            self.children.push(child);
        }
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout.
        unsafe { dealloc(self.start, layout()) }
    }
}

/// A stream or an event of the device: a number that nobody else has.
pub(super) fn mint() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0x1000);
    NEXT.fetch_add(0x10, Ordering::Relaxed)
}

/// Name and text of an error that the device runtime's functions return.
pub(super) fn error(code: i32) -> (&'static str, &'static str) {
    match code {
        0 => ("cudaSuccess", "no error"),
        INVALID_VALUE => ("cudaErrorInvalidValue", "invalid argument"),
        2 => ("cudaErrorMemoryAllocation", "out of memory"),
        INVALID_CONFIGURATION => (
            "cudaErrorInvalidConfiguration",
            "invalid configuration argument",
        ),
        MAX_DEPTH_EXCEEDED => (
            "cudaErrorLaunchMaxDepthExceeded",
            "launch would exceed maximum depth of nested launches",
        ),
        PENDING_EXCEEDED => (
            "cudaErrorLaunchPendingCountExceeded",
            "launch failed because launch would exceed cudaLimitDevRuntimePendingLaunchCount",
        ),
        INVALID_DEVICE_FUNCTION => ("cudaErrorInvalidDeviceFunction", "invalid device function"),
        _ => ("unrecognized error code", "unrecognized error code"),
    }
}

/// Whether a grid that calls it needs [`Children`].
pub(crate) fn needed_by(builtin: Builtin) -> bool {
    !matches!(
        builtin,
        Builtin::Vprintf
            | Builtin::AssertFail
            | Builtin::Malloc
            | Builtin::Free
            | Builtin::SetConditional
            | Builtin::NodeSetParam
            | Builtin::NodeSetEnabled
            | Builtin::NodeSetGridDim
            | Builtin::NodeUpdatesApply
    )
}
