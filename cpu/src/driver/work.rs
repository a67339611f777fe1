//! What a stream or a graph node does.

use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use gvirtus_wire::api::types::{CUhostFn, CUstreamCallback};

use super::context::Context;
use super::error::{ERROR_ILLEGAL_ADDRESS, Result, SUCCESS};
use super::event::Event;
use super::graph::Shape;
use super::graph_conditional::{Conditional, Reset};
use super::graph_device::GraphRun;
use super::graph_updatable::Updatable;
use super::handles;
use super::launch::Launch;
use super::memory::memory;
use super::memory::transfer::{Copy, Fill};
use super::state;

/// One operation; cloned for each launch of a graph.
#[derive(Clone)]
pub(super) enum Work {
    /// Only its place in the order matters: event records, joins, empty nodes.
    Nothing,
    Kernel(Arc<Launch>),
    /// A kernel that kernels change.
    Updatable(Arc<Updatable>),
    Copy(Copy),
    Fill(Fill),
    HostFunction(HostFunction),
    Callback(Callback),
    /// A library's own work.
    Provided(Provided),
    WriteValue(WriteValue),
    WaitValue(WaitValue),
    /// In graphs; a stream records by remembering its task.
    RecordEvent(Arc<Event>),
    /// In graphs; a stream waits by an edge.
    WaitEvent(Arc<Event>),
    /// A graph inside a graph.
    Child(Arc<Shape>),
    /// Graphs of which a condition says whether they run.
    Conditional(Arc<Conditional>),
    /// A whole graph whose kernels may launch others.
    Graph(GraphRun),
    /// The conditions of a graph begin with their defaults.
    ResetConditions(Reset),
}

impl Work {
    /// Whether it is a program's or a library's function and needs a thread of its own.
    pub(super) fn is_host_function(&self) -> bool {
        matches!(
            self,
            Self::HostFunction(_) | Self::Callback(_) | Self::Provided(_)
        )
    }

    /// Stream callbacks are told of the error; everything else is dropped once the context is dead.
    pub(super) fn runs_after_faults(&self) -> bool {
        matches!(self, Self::Callback(_))
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// The fault, which poisons the context.
    pub(super) fn run(self, context: &Arc<Context>) -> Result {
        match self {
            Self::Kernel(launch) => launch.run(context),
            Self::Updatable(node) => node.launch().map_or(Ok(()), |launch| launch.run(context)),
            Self::Copy(copy) => copy.run(),
            Self::Fill(fill) => fill.run(),
            Self::HostFunction(call) => {
                call.run();
                Ok(())
            }
            Self::Callback(call) => {
                call.run(context);
                Ok(())
            }
            Self::Provided(work) => work.run(),
            Self::WriteValue(write) => write.run(),
            Self::Graph(graph) => graph.run(context),
            Self::Conditional(node) => node.run(context),
            Self::ResetConditions(reset) => {
                reset.run();
                Ok(())
            }
            // Ordering alone; the scheduler and the graph have seen to it.
            Self::Nothing
            | Self::WaitValue(_)
            | Self::RecordEvent(_)
            | Self::WaitEvent(_)
            | Self::Child(_) => Ok(()),
        }
    }
}

/// A pointer of the program's that is handed back to it and never read.
#[derive(Clone, Copy)]
pub(super) struct UserData(pub(super) *mut c_void);

// SAFETY: CUDA's contract: the program expects its pointer on another thread.
unsafe impl Send for UserData {}
// SAFETY: as above; it is only copied.
unsafe impl Sync for UserData {}

/// `cuLaunchHostFunc`.
#[derive(Clone, Copy)]
pub(super) struct HostFunction {
    pub(super) function: CUhostFn,
    pub(super) data: UserData,
}

impl HostFunction {
    fn run(self) {
        if let Some(function) = self.function {
            // SAFETY: the program's function, called with the program's argument, as `cuLaunchHostFunc` asks.
            state::as_host_function(|| unsafe { function(self.data.0) });
        }
    }
}

/// `cuStreamAddCallback`.
#[derive(Clone, Copy)]
pub(super) struct Callback {
    pub(super) function: CUstreamCallback,
    pub(super) stream: usize,
    pub(super) data: UserData,
}

impl Callback {
    fn run(self, context: &Context) {
        if let Some(function) = self.function {
            let status = context.check().err().unwrap_or(0);
            // SAFETY: the program's function, called with the program's argument, as `cuStreamAddCallback` asks.
            state::as_host_function(|| unsafe {
                function(handles::pointer(self.stream), status, self.data.0)
            });
        }
    }
}

/// Work of a library's provider, as if it were the library's kernel.
#[derive(Clone, Copy)]
pub(super) struct Provided {
    /// Answers a `CUresult`.
    pub(super) function: unsafe extern "C" fn(*mut c_void) -> i32,
    pub(super) data: UserData,
}

impl Provided {
    /// # Errors
    /// The fault that it answers.
    fn run(self) -> Result {
        // What it finds to be there stays until it ends.
        let _running = memory().quiescence.enter();
        // SAFETY: the provider's function, called with the provider's argument, as `gvirtus_cpu_launch` asks.
        match unsafe { (self.function)(self.data.0) } {
            SUCCESS => Ok(()),
            fault => Err(fault),
        }
    }
}

/// `cuStreamWriteValue32`, `…64`.
#[derive(Debug, Clone, Copy)]
pub(super) struct WriteValue {
    pub(super) address: u64,
    pub(super) value: u64,
    pub(super) wide: bool,
}

impl WriteValue {
    fn run(self) -> Result {
        let _running = memory().quiescence.enter();
        if memory()
            .classify(self.address, if self.wide { 8 } else { 4 })
            .is_err()
        {
            return Err(ERROR_ILLEGAL_ADDRESS);
        }
        let at = std::ptr::with_exposed_provenance_mut::<u8>(self.address as usize);
        // SAFETY: checked just now, aligned (at issue), and kept mapped by the running operation.
        unsafe {
            if self.wide {
                AtomicU64::from_ptr(at.cast()).store(self.value, Ordering::SeqCst);
            } else {
                AtomicU32::from_ptr(at.cast()).store(self.value as u32, Ordering::SeqCst);
            }
        }
        Ok(())
    }
}

/// `CU_STREAM_WAIT_VALUE_GEQ`, `EQ`, `AND`, `NOR`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    GreaterOrEqual,
    Equal,
    And,
    Nor,
}

/// `cuStreamWaitValue32`, `…64`.
#[derive(Debug, Clone, Copy)]
pub(super) struct WaitValue {
    pub(super) address: u64,
    pub(super) value: u64,
    pub(super) wide: bool,
    pub(super) comparison: Comparison,
}

impl WaitValue {
    /// Whether the condition holds now. Memory that is gone holds nothing up.
    pub(super) fn holds(&self) -> bool {
        let _running = memory().quiescence.enter();
        if memory()
            .classify(self.address, if self.wide { 8 } else { 4 })
            .is_err()
        {
            return true;
        }
        let at = std::ptr::with_exposed_provenance_mut::<u8>(self.address as usize);
        // SAFETY: checked just now, aligned (at issue), and kept mapped by the running operation.
        unsafe {
            if self.wide {
                let found = AtomicU64::from_ptr(at.cast()).load(Ordering::SeqCst);
                match self.comparison {
                    Comparison::GreaterOrEqual => (found.wrapping_sub(self.value) as i64) >= 0,
                    Comparison::Equal => found == self.value,
                    Comparison::And => found & self.value != 0,
                    Comparison::Nor => !(found | self.value) != 0,
                }
            } else {
                let (found, value) = (
                    AtomicU32::from_ptr(at.cast()).load(Ordering::SeqCst),
                    self.value as u32,
                );
                match self.comparison {
                    Comparison::GreaterOrEqual => (found.wrapping_sub(value) as i32) >= 0,
                    Comparison::Equal => found == value,
                    Comparison::And => found & value != 0,
                    Comparison::Nor => !(found | value) != 0,
                }
            }
        }
    }
}
