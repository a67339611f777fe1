//! What a node does.

use std::ffi::c_void;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use gvirtus_wire::api::core::MemoryOperation;
use gvirtus_wire::api::types::{CUDA_MEMCPY3D, CUhostFn, CUresult};
use gvirtus_wire::codec::Params;

use super::Graph;
use super::conditional::Conditional;
use super::memory::Memory;
use crate::driver::Result;
use crate::driver::function::Function;
use crate::driver::launch::Geometry;
use crate::driver::stream_memory::{BARRIER, FLUSH};
use crate::library_call::Recorded;
use crate::session::{HostFunction, Session};

/// A kernel with its parameters.
pub(crate) struct Kernel {
    pub(crate) function: Arc<Function>,
    pub(crate) geometry: Geometry,
    /// As packed by the kernel's layout.
    pub(crate) block: Box<[u8]>,
    /// Where each parameter lies in `block`: what a program gets that asks for them.
    pointers: Box<[usize]>,
    /// Launch attributes: number and value, handles as ids.
    pub(crate) attributes: Vec<(u32, [u8; 64])>,
}

impl Kernel {
    pub(crate) fn new(
        function: Arc<Function>,
        geometry: Geometry,
        params: &[u8],
        attributes: Vec<(u32, [u8; 64])>,
    ) -> Arc<Self> {
        let block: Box<[u8]> = params.into();
        let base = block.as_ptr() as usize;
        let pointers = function
            .params
            .iter()
            .map(|&(offset, _)| base + offset as usize)
            .collect();
        Arc::new(Self {
            function,
            geometry,
            block,
            pointers,
            attributes,
        })
    }

    /// The same with other attributes.
    pub(crate) fn with_attributes(&self, attributes: Vec<(u32, [u8; 64])>) -> Arc<Self> {
        Self::new(
            Arc::clone(&self.function),
            self.geometry,
            &self.block,
            attributes,
        )
    }

    pub(crate) fn params(&self) -> Params {
        Params::from_slice(&self.block)
    }

    /// For a program that reads them; valid as long as the node stays as it is.
    pub(crate) fn pointers(&self) -> *mut *mut c_void {
        if self.pointers.is_empty() {
            std::ptr::null_mut()
        } else {
            self.pointers.as_ptr().cast_mut().cast()
        }
    }
}

/// A copy, as the program describes it.
#[derive(Clone, Copy)]
pub(crate) struct Copy {
    pub(crate) params: CUDA_MEMCPY3D,
    /// Handle of the context that the program named.
    pub(crate) context: usize,
}
// SAFETY: addresses of the program that are used as CUDA allows it, on any thread.
unsafe impl Send for Copy {}
// SAFETY: as above; nothing is ever written through a shared `Copy`.
unsafe impl Sync for Copy {}

/// A fill, as the program describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fill {
    pub(crate) address: u64,
    pub(crate) pitch: usize,
    pub(crate) value: u32,
    pub(crate) element: u32,
    pub(crate) width: usize,
    pub(crate) height: usize,
    /// Handle of the context that the program named.
    pub(crate) context: usize,
}

/// A pointer of the program that only its own function looks behind.
#[derive(Clone, Copy)]
pub(crate) struct UserData(pub(crate) *mut c_void);
// SAFETY: CUDA calls host functions on threads of its own; the program expects it.
unsafe impl Send for UserData {}
// SAFETY: as above; it is only copied.
unsafe impl Sync for UserData {}

/// A function of the program, or of ours on its behalf.
pub(crate) struct Host {
    /// The program's own.
    pub(crate) function: CUhostFn,
    pub(crate) data: UserData,
    /// The number by which the worker calls it.
    id: OnceLock<u64>,
}

impl Host {
    pub(crate) fn new(function: CUhostFn, data: *mut c_void) -> Arc<Self> {
        Arc::new(Self {
            function,
            data: UserData(data),
            id: OnceLock::new(),
        })
    }

    /// One that was registered while it was captured.
    pub(crate) fn registered(function: CUhostFn, data: *mut c_void, id: u64) -> Arc<Self> {
        Arc::new(Self {
            function,
            data: UserData(data),
            id: OnceLock::from(id),
        })
    }

    /// Registers it once, for all replays.
    pub(crate) fn id(&self, session: &Session) -> u64 {
        *self.id.get_or_init(|| {
            let (function, data) = (self.function, self.data);
            session.callbacks.register(call(function, data), true)
        })
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Some(id) = self.id.take() {
            super::replay::retire(0, id);
        }
    }
}

fn call(function: CUhostFn, data: UserData) -> HostFunction {
    Box::new(move |_: CUresult| {
        let data = data;
        if let Some(function) = function {
            // SAFETY: the program gave the function to be called with this argument.
            unsafe { function(data.0) };
        }
    })
}

/// Pinned memory of ours through which a copy node reaches pageable memory, and the function that moves the bytes between the two; made at the first replay.
#[derive(Default)]
pub(crate) struct Bounce {
    /// Address of the pinned memory and number of the function.
    made: OnceLock<(u64, u64)>,
    address: AtomicU64,
}

impl Bounce {
    /// What `make` made the first time.
    ///
    /// # Errors
    /// What `make` returns.
    pub(crate) fn get(&self, make: impl FnOnce() -> Result<(u64, u64)>) -> Result<(u64, u64)> {
        if let Some(&made) = self.made.get() {
            return Ok(made);
        }
        let new = make()?;
        self.address.store(new.0, Ordering::Release);
        Ok(*self.made.get_or_init(|| new))
    }
}

impl Drop for Bounce {
    fn drop(&mut self) {
        if let Some((address, id)) = self.made.take() {
            super::replay::retire(address, id);
        }
    }
}

/// Stream memory operations.
pub(crate) struct Operations {
    pub(crate) list: Vec<MemoryOperation>,
    /// The same as `CUstreamBatchMemOpParams`: what a program gets that asks for them.
    described: Box<[[u64; 6]]>,
    /// Handle of the context that the program named.
    pub(crate) context: usize,
}

impl Operations {
    pub(crate) fn new(list: Vec<MemoryOperation>, context: usize) -> Arc<Self> {
        let described = list.iter().map(|operation| {
            let (kind, flags) = (u64::from(operation.operation), u64::from(operation.flags));
            match operation.operation {
                // Flags follow the operation.
                FLUSH | BARRIER => [kind | flags << 32, 0, 0, 0, 0, 0],
                _ => [kind, operation.address, operation.value, flags, 0, 0],
            }
        });
        Arc::new(Self {
            described: described.collect(),
            list,
            context,
        })
    }

    /// For a program that reads them; valid as long as the node stays as it is.
    pub(crate) fn described(&self) -> *mut c_void {
        self.described.as_ptr().cast_mut().cast()
    }
}

/// What a node does.
#[derive(Clone)]
pub(crate) enum Work {
    Kernel(Arc<Kernel>),
    Copy(Copy, Arc<Bounce>),
    Fill(Fill, Arc<OnceLock<u64>>),
    Host(Arc<Host>),
    Child(Arc<Graph>),
    Empty,
    /// An event's handle.
    Wait(usize),
    /// An event's handle.
    Record(usize),
    Allocate(Arc<Memory>),
    /// The address that is free from here on.
    Free(u64),
    Operations(Arc<Operations>),
    /// Runs graphs of its own, as a condition says.
    Conditional(Arc<Conditional>),
    /// Work of a library, captured; natively these are kernels of its own.
    Library(Arc<Recorded>),
}

impl Work {
    /// `CUgraphNodeType`.
    pub(crate) fn kind(&self) -> u32 {
        match self {
            Self::Kernel(_) | Self::Library(_) => 0,
            Self::Copy(..) => 1,
            Self::Fill(..) => 2,
            Self::Host(_) => 3,
            Self::Child(_) => 4,
            Self::Empty => 5,
            Self::Wait(_) => 6,
            Self::Record(_) => 7,
            Self::Allocate(_) => 10,
            Self::Free(_) => 11,
            Self::Operations(_) => 12,
            Self::Conditional(_) => 13,
        }
    }

    /// A copy node.
    pub(crate) fn copy(params: CUDA_MEMCPY3D, context: usize) -> Self {
        Self::Copy(Copy { params, context }, Arc::default())
    }

    /// A fill node.
    pub(crate) fn fill(fill: Fill) -> Self {
        Self::Fill(fill, Arc::default())
    }
}
