//! The C interface between a worker process and the plugins that it loads.
//!
//! A plugin is a `cdylib` with one entry, [`ENTRY`], of type [`PluginEntry`], that returns a [`PluginTable`]. The worker reads frames, hands each to the plugin whose
//! opcode range it falls in, and sends what the plugin answers. Tables begin with their version, and a plugin of another version is refused by name.

use std::ffi::{c_char, c_void};

use crate::frame::Header;

/// Version of [`PluginTable`] and [`HostTable`]; both sides must have the same.
pub const PLUGIN_ABI: u32 = 9;
/// Name of the one symbol that a plugin exports.
pub const ENTRY: &str = "gvirtus_plugin_entry";
/// Type of [`ENTRY`].
pub type PluginEntry = unsafe extern "C" fn() -> *const PluginTable;

crate::records! {
    /// A session of the daemon, as others of the same tenant may know it.
    SessionInfo {
        /// Process id of its worker.
        worker: u32,
        /// Process id of its client, on the client's host.
        pid: u32,
        /// The client's host, by its own word.
        host: String,
        /// The client's program, by its own word.
        program: String,
    }
}

/// Issues work on a stream, given by the driver's handle; a failure is a CUDA status.
pub type Issue = unsafe extern "C" fn(argument: *mut c_void, stream: *mut c_void) -> i32;
/// Looks at a frame, and says whether it takes it. Header and payload are valid until it returns; it calls nothing of the [`HostTable`].
pub type Take = unsafe extern "C" fn(
    argument: *mut c_void,
    header: *const Header,
    payload: *const u8,
    payload_len: usize,
) -> bool;

/// [`HostTable::send_bulk_later`]: the session is over.
pub const NO_TICKET: u64 = u64::MAX;
/// [`HostTable::read_bulk_later`]: nothing was read.
pub const NOT_READ: u32 = 0;
/// [`HostTable::read_bulk_later`]: the bytes are there.
pub const READ: u32 = 1;
/// [`HostTable::read_bulk_later`]: the bytes are on their way.
pub const READING: u32 = 2;

/// What a plugin offers.
#[repr(C)]
#[derive(Debug)]
pub struct PluginTable {
    /// [`PLUGIN_ABI`].
    pub abi: u32,
    /// First opcode that it serves.
    pub first_opcode: u16,
    /// Last opcode that it serves.
    pub last_opcode: u16,
    /// NUL-terminated name, as in `properties.json`.
    pub name: *const c_char,
    /// Loads the vendor's library and makes the plugin ready (the core plugin also makes contexts: this is what a warm worker has done already). `config` is a JSON
    /// object (UTF-8, not NUL-terminated): `{"device":"auto|cuda|cpu|/path/of/libcuda.so.1","cpu_library":"/path"}`. On failure returns null after calling
    /// [`HostTable::log`] with the reason.
    pub create: unsafe extern "C" fn(
        host: *const HostTable,
        config: *const u8,
        config_len: usize,
    ) -> *mut c_void,
    /// Gives the encoded [`Snapshot`](crate::api::core::Snapshot) (core plugin) or nothing to `sink(sink_arg, bytes, len)`. Called once per session, before the first frame.
    pub snapshot: unsafe extern "C" fn(
        state: *mut c_void,
        sink: unsafe extern "C" fn(*mut c_void, *const u8, usize),
        sink_arg: *mut c_void,
    ),
    /// Executes one frame on the calling thread, in the order of the frames. If the frame wants a reply the plugin sends exactly one, from this call or later.
    pub dispatch: unsafe extern "C" fn(
        state: *mut c_void,
        header: *const Header,
        payload: *const u8,
        payload_len: usize,
    ),
    /// The input is drained for the moment: the time for housekeeping that was put off (progress markers). True if some of it can wait longer: then it is called again while no frame comes,
    /// and at the end with `last`, when nothing may wait any more.
    pub idle: unsafe extern "C" fn(state: *mut c_void, last: bool) -> bool,
    /// What [`HostTable::on_stream`] does (core plugin, null in others).
    pub on_stream: Option<
        unsafe extern "C" fn(
            state: *mut c_void,
            header: *const Header,
            stream: u32,
            wait: bool,
            calls: u32,
            issue: Issue,
            argument: *mut c_void,
        ) -> i32,
    >,
    /// What [`HostTable::driver_symbol`] does (core plugin, null in others).
    pub driver_symbol:
        Option<unsafe extern "C" fn(state: *mut c_void, name: *const c_char) -> *const c_void>,
    /// The session is over. The process exits soon after; nothing has to be freed.
    pub close: unsafe extern "C" fn(state: *mut c_void),
}

/// What the worker offers to its plugins. All functions may be called from any thread except where noted.
#[repr(C)]
#[derive(Debug)]
pub struct HostTable {
    /// [`PLUGIN_ABI`].
    pub abi: u32,
    /// First argument of every function below.
    pub host: *mut c_void,
    /// Sends one whole frame to the client. Blocks while the connection takes no more; false when the session is over. `header.len` and `header.bulk` must match.
    pub send: unsafe extern "C" fn(
        host: *mut c_void,
        header: *const Header,
        payload: *const u8,
        bulk: *const u8,
    ) -> bool,
    /// Starts a frame whose bulk follows in pieces by `send_bulk`; holds the connection for the calling thread until `header.bulk` bytes were given.
    pub send_start:
        unsafe extern "C" fn(host: *mut c_void, header: *const Header, payload: *const u8) -> bool,
    /// The next bytes of the frame that this thread started.
    pub send_bulk: unsafe extern "C" fn(host: *mut c_void, bytes: *const u8, len: usize) -> bool,
    /// As `send_bulk`, but the bytes may still be being sent when this returns: they are borrowed until `send_wait` was called with the ticket, which must happen exactly
    /// once. 0 when there is nothing to wait for; [`NO_TICKET`] when the session is over.
    pub send_bulk_later:
        unsafe extern "C" fn(host: *mut c_void, bytes: *const u8, len: usize) -> u64,
    /// Waits for bytes given to `send_bulk_later`; false when not all of them were sent.
    pub send_wait: unsafe extern "C" fn(host: *mut c_void, ticket: u64) -> bool,
    /// Reads the next bytes of the bulk of the frame being dispatched, into memory of the plugin's choosing. Only inside `dispatch`, on its thread and before
    /// `may_block`; what is not read when `dispatch` returns (or `may_block` is called) is skipped.
    pub read_bulk: unsafe extern "C" fn(host: *mut c_void, into: *mut u8, len: usize) -> bool,
    /// As `read_bulk`, but the bytes may still be on their way when this returns [`READING`]: the memory is borrowed until `read_wait` was called for them, on this
    /// thread. [`READ`] when they are there, [`NOT_READ`] if there are not so many or the session is over.
    pub read_bulk_later: unsafe extern "C" fn(host: *mut c_void, into: *mut u8, len: usize) -> u32,
    /// Waits until the first `upto` bytes of the dispatched frame's bulk are where `read_bulk_later` was told; false if they will not be. Nobody writes there then.
    pub read_wait: unsafe extern "C" fn(host: *mut c_void, upto: u64) -> bool,
    /// Says that the rest of this dispatch may wait: another thread goes on reading frames. Only inside `dispatch`; the second call does nothing. The borrowed
    /// `header` and `payload` stay valid until dispatch returns.
    pub may_block: unsafe extern "C" fn(host: *mut c_void),
    /// Whether another frame has come, or nobody keeps it from being read: a dispatch that looks for something without `may_block` should not go on then. Only inside `dispatch`, on its thread.
    pub frame_waits: unsafe extern "C" fn(host: *mut c_void) -> bool,
    /// Offers the next frame to `take(argument, …)` if it has come as a whole and is like the one that is being dispatched: of the same opcode, thread and context, without
    /// bulk, and nobody waits for a reply to either. A frame that is taken is the plugin's to execute, behind the ones before; any other is dispatched later. False if it
    /// was not taken. Only inside `dispatch`, on its thread.
    pub following: unsafe extern "C" fn(
        host: *mut c_void,
        header: *const Header,
        take: Take,
        argument: *mut c_void,
    ) -> bool,
    /// The descriptor that the client passed under `tag`, the caller's own from now on; -1 if there is none. Waits a little: the client passes it before the command that
    /// names it, but beside the connection.
    pub take_descriptor: unsafe extern "C" fn(host: *mut c_void, tag: u64) -> i32,
    /// Writes whose session it is (the tenant; nothing where there are none) to `into`, at most `len` bytes, and returns how many it has. Sessions of one identity may share.
    pub identity: unsafe extern "C" fn(host: *mut c_void, into: *mut u8, len: usize) -> usize,
    /// Gives the encoded list of [`SessionInfo`] of all sessions of this identity, the caller's own among them, to `sink(sink_arg, bytes, len)`; an empty list if the
    /// daemon does not answer. Waits for the daemon.
    pub sessions: unsafe extern "C" fn(
        host: *mut c_void,
        sink: unsafe extern "C" fn(*mut c_void, *const u8, usize),
        sink_arg: *mut c_void,
    ),
    /// Calls `issue(argument, stream)` with the driver's handle of a stream of the frame's context, which is current meanwhile, and notes what was issued for the client's
    /// knowledge of the stream's progress: work of so many `calls`, of which the header is that of the last. With `wait`, or if the frame wants a reply, returns when the
    /// stream has come this far, others reading on meanwhile. On stream [`NO_STREAM`](crate::api::library::NO_STREAM) nothing is noted or waited for. Returns a CUDA status.
    /// Only inside `dispatch`.
    pub on_stream: unsafe extern "C" fn(
        host: *mut c_void,
        header: *const Header,
        stream: u32,
        wait: bool,
        calls: u32,
        issue: Issue,
        argument: *mut c_void,
    ) -> i32,
    /// The address of a function of the driver's library that the core plugin uses, or null.
    pub driver_symbol:
        unsafe extern "C" fn(host: *mut c_void, name: *const c_char) -> *const c_void,
    /// Writes to the worker's log: level 1 error … 5 trace, UTF-8 text.
    pub log: unsafe extern "C" fn(host: *mut c_void, level: u32, text: *const u8, len: usize),
    /// Ends the session (and the process) after a violation of the protocol; `text` goes to the log.
    pub fail: unsafe extern "C" fn(host: *mut c_void, text: *const u8, len: usize),
}
