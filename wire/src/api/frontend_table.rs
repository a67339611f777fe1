//! What a frontend library and the client core (`libgvirtus.so`) agree on inside one process: a small C ABI.
//!
//! `libgvirtus.so` exports two functions:
//!
//! * `void *gvirtus_driver_proc(const char *name)`: the address of a driver API function by its exact exported name in
//!   [`cuda_api!`](crate::cuda_api) (`cuMemAlloc_v2`), or null if there is none ([`DriverProc`]).
//! * `const FrontendTable *gvirtus_frontend_table(uint32_t version)`: the [`FrontendTable`] of that version, or null ([`FrontendTableProc`]).
//!
//! Neither connects. The table lives as long as the process, and so do the counters handed to it: frontend libraries are never unloaded.

use std::ffi::{c_char, c_void};
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64};

/// The version of the layouts in this file.
pub const FRONTEND_TABLE_VERSION: u32 = 1;

/// Bit of [`FrontendTable::enabled`]: count calls (`GVIRTUS_STATS`).
pub const ENABLED_STATS: u32 = 1;
/// Bit of [`FrontendTable::enabled`]: write calls to the trace (`GVIRTUS_TRACE`).
pub const ENABLED_TRACE: u32 = 2;

/// What one function has cost so far. One static per exported function of a frontend library.
#[repr(C)]
#[derive(Debug)]
pub struct Counter {
    /// The function's exported name, NUL-terminated.
    pub name: AtomicPtr<c_char>,
    /// The library's name as users know it (`libcudart`), NUL-terminated.
    pub library: AtomicPtr<c_char>,
    /// [`Class`](super::Class) as a number, in its declaration's order (0 is `Local`).
    pub class: u32,
    /// How many times the program called it. [`FrontendTable::enter`] counts.
    pub calls: AtomicU64,
    /// Replies that its calls waited for.
    pub round_trips: AtomicU64,
    /// Nanoseconds that its calls were blocked.
    pub blocked_ns: AtomicU64,
    /// Bytes sent on its behalf.
    pub bytes_out: AtomicU64,
    /// Bytes received on its behalf.
    pub bytes_in: AtomicU64,
}

impl Counter {
    /// A counter at zero for a function of a library.
    #[must_use]
    pub const fn new(
        library: &'static std::ffi::CStr,
        name: &'static std::ffi::CStr,
        class: super::Class,
    ) -> Self {
        Self {
            name: AtomicPtr::new(name.as_ptr().cast_mut()),
            library: AtomicPtr::new(library.as_ptr().cast_mut()),
            class: class as u32,
            calls: AtomicU64::new(0),
            round_trips: AtomicU64::new(0),
            blocked_ns: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            bytes_in: AtomicU64::new(0),
        }
    }
}

/// The client core's hooks for frontend libraries.
#[repr(C)]
#[derive(Debug)]
pub struct FrontendTable {
    /// [`FRONTEND_TABLE_VERSION`].
    pub version: u32,
    /// `sizeof(FrontendTable)`: fields may be added at the end.
    pub size: u32,
    /// [`ENABLED_STATS`] and [`ENABLED_TRACE`], never null. At zero a frontend calls none of the hooks below.
    pub enabled: *const AtomicU32,
    /// Counts a call and makes the counter the one that the calling thread's waits and bytes are booked on; returns the one before (null: none).
    /// Registers the counter for the report at its first call.
    pub enter: unsafe extern "C" fn(counter: *const Counter) -> *const Counter,
    /// Ends what `enter` began.
    pub leave: unsafe extern "C" fn(previous: *const Counter),
    /// Appends a line (NUL-terminated, without newline) to the trace.
    pub trace: unsafe extern "C" fn(text: *const c_char),
    /// Sends a command of a library's own table (an opcode above the core's) through the session, opening it if need be, and waits for the reply, which it gives to
    /// `sink(sink_arg, bytes, len)` during the call. Returns a CUDA status: `CUDA_ERROR_NOT_SUPPORTED` if the backend does not have the command. Independent of
    /// contexts and of their errors. Present if `size` says so ([`library_call`]).
    pub call: LibraryCall,
    /// Sends a command of a library's own table on a stream of the current context (or none). Present if `size` says so ([`library_submit`]).
    pub submit: LibrarySubmit,
}

/// A command for [`FrontendTable::submit`].
#[repr(C)]
#[derive(Debug)]
pub struct Submission {
    /// Above the core's.
    pub opcode: u16,
    /// The caller waits for the reply, which `sink` gets; otherwise what goes wrong later is reported by a later call.
    pub wait: bool,
    /// On a stream; otherwise on none, in order with everything that the calling thread sends.
    pub on_stream: bool,
    /// About how many operations the driver will have pending for it.
    pub weight: u32,
    /// The program's stream.
    pub stream: super::types::CUstream,
    /// The encoded command. Its first four bytes are replaced by the stream's number.
    pub payload: *const u8,
    /// Bytes of the command.
    pub len: usize,
    /// Where in the command words begin that may be addresses of memory that the work uses.
    pub words: usize,
    /// How many words.
    pub words_len: usize,
}

/// The type of [`FrontendTable::submit`]. Returns a CUDA status.
pub type LibrarySubmit = unsafe extern "C" fn(
    submission: *const Submission,
    sink: unsafe extern "C" fn(*mut c_void, *const u8, usize),
    sink_arg: *mut c_void,
) -> super::types::CUresult;

/// [`FrontendTable::submit`], if the table is of a core that has it.
#[must_use]
pub fn library_submit(table: &FrontendTable) -> Option<LibrarySubmit> {
    let end = std::mem::offset_of!(FrontendTable, submit) + size_of::<LibrarySubmit>();
    (table.size as usize >= end).then_some(table.submit)
}

/// The type of [`FrontendTable::call`].
pub type LibraryCall = unsafe extern "C" fn(
    opcode: u16,
    payload: *const u8,
    len: usize,
    sink: unsafe extern "C" fn(*mut c_void, *const u8, usize),
    sink_arg: *mut c_void,
) -> super::types::CUresult;

/// [`FrontendTable::call`], if the table is of a core that has it.
#[must_use]
pub fn library_call(table: &FrontendTable) -> Option<LibraryCall> {
    let end = std::mem::offset_of!(FrontendTable, call) + size_of::<LibraryCall>();
    (table.size as usize >= end).then_some(table.call)
}

/// The type of `gvirtus_driver_proc`.
pub type DriverProc = unsafe extern "C" fn(name: *const c_char) -> *mut c_void;
/// The type of `gvirtus_frontend_table`.
pub type FrontendTableProc = unsafe extern "C" fn(version: u32) -> *const FrontendTable;
