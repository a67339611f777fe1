//! The only unsafe module of the backend: plugins and their C tables.
//!
//! A plugin is trusted code of this release; what is checked here is that it is one (version, opcodes), and that lengths and pointers are used as
//! `gvirtus_wire::plugin` says.
#![allow(unsafe_code, reason = "the interface to plugins is C's")]

use std::ffi::{CStr, c_char, c_void};
use std::mem::ManuallyDrop;
use std::os::fd::{IntoRawFd, OwnedFd};
use std::path::Path;
use std::ptr;

use gvirtus_wire::codec::Wire;
use gvirtus_wire::frame::Header;
use gvirtus_wire::lanes::Ticket;
use gvirtus_wire::plugin::{
    ENTRY, HostTable, Issue, NO_TICKET, NOT_READ, PLUGIN_ABI, PluginEntry, PluginTable, READ,
    READING, SessionInfo, Take,
};
use libloading::Library;

/// What plugins may ask of the worker: [`HostTable`] without its pointers.
pub(super) trait Host: Sync + 'static {
    /// Does not use the bulk any more when it returns.
    fn send(&'static self, header: &Header, payload: &[u8], bulk: &'static [u8]) -> bool;
    fn send_start(&'static self, header: &Header, payload: &[u8]) -> bool;
    /// Uses the bytes until the ticket is done; `None` when the session is over.
    fn send_bulk(&'static self, bytes: &'static [u8]) -> Option<Sending>;
    /// Uses the memory until `read_wait` has returned for it.
    fn read_bulk(&'static self, into: &'static mut [u8]) -> Reading;
    fn read_wait(&'static self, upto: u64) -> bool;
    fn may_block(&'static self);
    fn frame_waits(&'static self) -> bool;
    /// Offers the next frame if it is there and like this one.
    fn following(&'static self, header: &Header, take: impl FnOnce(&Header, &[u8]) -> bool)
    -> bool;
    fn take_descriptor(&'static self, tag: u64) -> Option<OwnedFd>;
    fn identity(&'static self) -> &'static [u8];
    fn sessions(&'static self) -> Vec<SessionInfo>;
    fn core(&'static self) -> Option<&'static Plugin>;
    fn log(&'static self, level: u32, text: &str);
    fn fail(&'static self, text: &str);
}

/// How far [`Host::send_bulk`] is.
pub(super) enum Sending {
    Sent,
    Later(Ticket),
}

/// How far [`Host::read_bulk`] is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    Failed,
    Done,
    /// The bulk up to here is on its way.
    Upto(u64),
}

/// The table for a host, valid for the life of the process.
pub(super) fn host_table<H: Host>(host: &'static H) -> &'static HostTable {
    Box::leak(Box::new(HostTable {
        abi: PLUGIN_ABI,
        host: ptr::from_ref(host).cast_mut().cast(),
        send: send::<H>,
        send_start: send_start::<H>,
        send_bulk: send_bulk::<H>,
        send_bulk_later: send_bulk_later::<H>,
        send_wait,
        read_bulk: read_bulk::<H>,
        read_bulk_later: read_bulk_later::<H>,
        read_wait: read_wait::<H>,
        may_block: may_block::<H>,
        frame_waits: frame_waits::<H>,
        following: following::<H>,
        take_descriptor: take_descriptor::<H>,
        identity: identity::<H>,
        sessions: sessions::<H>,
        on_stream: on_stream::<H>,
        driver_symbol: driver_symbol::<H>,
        log: log::<H>,
        fail: fail::<H>,
    }))
}

/// # Safety
/// `host` is the one of a table that [`host_table`] made for `H`.
unsafe fn host_of<H: Host>(host: *mut c_void) -> &'static H {
    // SAFETY: by the function's contract it points to an `H` that lives for ever, and only shared references to it exist.
    unsafe { &*host.cast::<H>() }
}

/// # Safety
/// `len` bytes at `bytes` are readable and stay as they are during `'a`; `bytes` may be anything if `len` is 0.
unsafe fn slice<'a>(bytes: *const u8, len: usize) -> &'a [u8] {
    if len == 0 || bytes.is_null() {
        return &[];
    }
    // SAFETY: not null, and readable by the function's contract.
    unsafe { std::slice::from_raw_parts(bytes, len) }
}

unsafe extern "C" fn send<H: Host>(
    host: *mut c_void,
    header: *const Header,
    payload: *const u8,
    bulk: *const u8,
) -> bool {
    // SAFETY: the plugin passes its table's host, a header, and as many bytes as the header says.
    unsafe {
        let header = &*header;
        let Ok(bulk_len) = usize::try_from(header.bulk) else {
            return false;
        };
        host_of::<H>(host).send(
            header,
            slice(payload, header.len as usize),
            slice(bulk, bulk_len),
        )
    }
}

unsafe extern "C" fn send_start<H: Host>(
    host: *mut c_void,
    header: *const Header,
    payload: *const u8,
) -> bool {
    // SAFETY: as for `send`.
    unsafe {
        let header = &*header;
        host_of::<H>(host).send_start(header, slice(payload, header.len as usize))
    }
}

unsafe extern "C" fn send_bulk<H: Host>(host: *mut c_void, bytes: *const u8, len: usize) -> bool {
    // SAFETY: the plugin passes its table's host and `len` readable bytes, which nobody uses after the wait.
    match unsafe { host_of::<H>(host).send_bulk(slice(bytes, len)) } {
        Some(Sending::Sent) => true,
        Some(Sending::Later(ticket)) => ticket.wait(),
        None => false,
    }
}

unsafe extern "C" fn send_bulk_later<H: Host>(
    host: *mut c_void,
    bytes: *const u8,
    len: usize,
) -> u64 {
    // SAFETY: the plugin passes its table's host and `len` readable bytes, which stay so until it has waited for the ticket.
    match unsafe { host_of::<H>(host).send_bulk(slice(bytes, len)) } {
        Some(Sending::Sent) => 0,
        Some(Sending::Later(ticket)) => Box::into_raw(Box::new(ticket)) as u64,
        None => NO_TICKET,
    }
}

unsafe extern "C" fn send_wait(_: *mut c_void, ticket: u64) -> bool {
    match ticket {
        0 => true,
        NO_TICKET => false,
        // SAFETY: the plugin gives each ticket that `send_bulk_later` made back once.
        ticket => unsafe { Box::from_raw(ticket as *mut Ticket) }.wait(),
    }
}

/// # Safety
/// `len` bytes at `into` are writable and nobody else's until the host has said that it is done with them; `len` is not 0 and `into` not null.
unsafe fn place<H: Host>(host: *mut c_void, into: *mut u8, len: usize) -> Reading {
    // SAFETY: by this function's contract. They are only written to.
    unsafe { host_of::<H>(host).read_bulk(std::slice::from_raw_parts_mut(into, len)) }
}

unsafe extern "C" fn read_bulk<H: Host>(host: *mut c_void, into: *mut u8, len: usize) -> bool {
    if len == 0 {
        return true;
    }
    if into.is_null() {
        return false;
    }
    // SAFETY: the plugin passes its table's host and `len` writable bytes that nobody else uses meanwhile.
    match unsafe { place::<H>(host, into, len) } {
        Reading::Failed => false,
        Reading::Done => true,
        // SAFETY: the plugin passes its table's host.
        Reading::Upto(end) => unsafe { host_of::<H>(host) }.read_wait(end),
    }
}

unsafe extern "C" fn read_bulk_later<H: Host>(host: *mut c_void, into: *mut u8, len: usize) -> u32 {
    if len == 0 {
        return READ;
    }
    if into.is_null() {
        return NOT_READ;
    }
    // SAFETY: the plugin passes its table's host and `len` writable bytes that nobody else uses until it has waited for them.
    match unsafe { place::<H>(host, into, len) } {
        Reading::Failed => NOT_READ,
        Reading::Done => READ,
        Reading::Upto(_) => READING,
    }
}

unsafe extern "C" fn read_wait<H: Host>(host: *mut c_void, upto: u64) -> bool {
    // SAFETY: the plugin passes its table's host.
    unsafe { host_of::<H>(host) }.read_wait(upto)
}

unsafe extern "C" fn may_block<H: Host>(host: *mut c_void) {
    // SAFETY: the plugin passes its table's host.
    unsafe { host_of::<H>(host) }.may_block();
}

unsafe extern "C" fn frame_waits<H: Host>(host: *mut c_void) -> bool {
    // SAFETY: the plugin passes its table's host.
    unsafe { host_of::<H>(host) }.frame_waits()
}

unsafe extern "C" fn following<H: Host>(
    host: *mut c_void,
    header: *const Header,
    take: Take,
    argument: *mut c_void,
) -> bool {
    // SAFETY: the plugin passes its table's host, the header of the frame that is being dispatched, and its own function with its argument.
    unsafe {
        host_of::<H>(host).following(&*header, |header, payload| {
            take(argument, header, payload.as_ptr(), payload.len())
        })
    }
}

unsafe extern "C" fn take_descriptor<H: Host>(host: *mut c_void, tag: u64) -> i32 {
    // SAFETY: the plugin passes its table's host.
    let fd = unsafe { host_of::<H>(host) }.take_descriptor(tag);
    fd.map_or(-1, IntoRawFd::into_raw_fd)
}

unsafe extern "C" fn identity<H: Host>(host: *mut c_void, into: *mut u8, len: usize) -> usize {
    // SAFETY: the plugin passes its table's host.
    let identity = unsafe { host_of::<H>(host) }.identity();
    if !into.is_null() {
        // SAFETY: the plugin passes `len` writable bytes.
        unsafe { ptr::copy_nonoverlapping(identity.as_ptr(), into, identity.len().min(len)) };
    }
    identity.len()
}

unsafe extern "C" fn sessions<H: Host>(
    host: *mut c_void,
    sink: unsafe extern "C" fn(*mut c_void, *const u8, usize),
    sink_arg: *mut c_void,
) {
    let mut bytes = Vec::new();
    // SAFETY: the plugin passes its table's host.
    unsafe { host_of::<H>(host) }.sessions().encode(&mut bytes);
    // SAFETY: pointer and length are those of the bytes, the argument the plugin's own.
    unsafe { sink(sink_arg, bytes.as_ptr(), bytes.len()) };
}

unsafe extern "C" fn on_stream<H: Host>(
    host: *mut c_void,
    header: *const Header,
    stream: u32,
    wait: bool,
    calls: u32,
    issue: Issue,
    argument: *mut c_void,
) -> i32 {
    // SAFETY: the plugin passes its table's host.
    let core = unsafe { host_of::<H>(host) }.core();
    match core.and_then(|core| Some((core.state, core.table.on_stream?))) {
        // SAFETY: the state is the core's own; the other arguments are those that the plugin interface asks for.
        Some((state, on_stream)) => unsafe {
            on_stream(state, header, stream, wait, calls, issue, argument)
        },
        None => super::NOT_SUPPORTED,
    }
}

unsafe extern "C" fn driver_symbol<H: Host>(
    host: *mut c_void,
    name: *const c_char,
) -> *const c_void {
    // SAFETY: the plugin passes its table's host.
    let core = unsafe { host_of::<H>(host) }.core();
    match core.and_then(|core| Some((core.state, core.table.driver_symbol?))) {
        // SAFETY: the state is the core's own, the name the plugin's.
        Some((state, symbol)) => unsafe { symbol(state, name) },
        None => ptr::null(),
    }
}

unsafe extern "C" fn log<H: Host>(host: *mut c_void, level: u32, text: *const u8, len: usize) {
    // SAFETY: the plugin passes its table's host and `len` readable bytes.
    let (host, text) = unsafe { (host_of::<H>(host), slice(text, len)) };
    host.log(level, &String::from_utf8_lossy(text));
}

unsafe extern "C" fn fail<H: Host>(host: *mut c_void, text: *const u8, len: usize) {
    // SAFETY: the plugin passes its table's host and `len` readable bytes.
    let (host, text) = unsafe { (host_of::<H>(host), slice(text, len)) };
    host.fail(&String::from_utf8_lossy(text));
}

/// A plugin that is loaded and made ready.
pub(super) struct Plugin {
    table: &'static PluginTable,
    state: *mut c_void,
    name: String,
}

// SAFETY: a plugin's functions may be called from any thread; the table is constant and the state is only handed back to them.
unsafe impl Send for Plugin {}
// SAFETY: as above.
unsafe impl Sync for Plugin {}

impl Plugin {
    /// Loads a plugin and lets it make itself ready.
    pub(super) fn load(
        path: &Path,
        name: &str,
        host: &'static HostTable,
        config: &str,
    ) -> Result<Self, String> {
        // SAFETY: loading runs the library's initialisers; it is a plugin from the directories that the administrator chose.
        let library = unsafe { Library::new(path) }.map_err(|e| e.to_string())?;
        // Never unloaded: its threads may run to the end of the process.
        let library = ManuallyDrop::new(library);
        // SAFETY: a symbol of this name has this type in every version of the interface.
        let table = unsafe {
            let entry = library
                .get::<PluginEntry>(ENTRY.as_bytes())
                .map_err(|e| e.to_string())?;
            entry()
        };
        if table.is_null() {
            return Err("its entry returned no table".into());
        }
        // SAFETY: not null; every table begins with its version, and is looked at no further if that is another.
        let abi = unsafe { *table.cast::<u32>() };
        if abi != PLUGIN_ABI {
            return Err(format!(
                "{} has plugin interface {abi}, this backend {PLUGIN_ABI}; install both from the same release",
                path.display()
            ));
        }
        // SAFETY: of this version, and constant for the life of the process.
        Self::create(unsafe { &*table }, name, host, config)
    }

    /// Makes a plugin of a table ready.
    pub(super) fn create(
        table: &'static PluginTable,
        name: &str,
        host: &'static HostTable,
        config: &str,
    ) -> Result<Self, String> {
        // SAFETY: a table's name is a NUL-terminated constant.
        let own = unsafe { CStr::from_ptr(table.name) }.to_string_lossy();
        if own != name {
            return Err(format!("it calls itself {own:?}"));
        }
        if table.first_opcode > table.last_opcode {
            return Err("its opcodes are in disorder".into());
        }
        // SAFETY: the host's table lives for ever, the configuration during the call.
        let state = unsafe { (table.create)(host, config.as_ptr(), config.len()) };
        if state.is_null() {
            return Err("it could not make itself ready (see its messages above)".into());
        }
        Ok(Self {
            table,
            state,
            name: name.to_owned(),
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn serves(&self, opcode: u16) -> bool {
        (self.table.first_opcode..=self.table.last_opcode).contains(&opcode)
    }

    /// The encoded snapshot of the devices, empty if the plugin has none.
    pub(super) fn snapshot(&self) -> Vec<u8> {
        unsafe extern "C" fn sink(out: *mut c_void, bytes: *const u8, len: usize) {
            // SAFETY: `out` is the vector below, alive during the call; the plugin passes `len` readable bytes.
            unsafe { (*out.cast::<Vec<u8>>()).extend_from_slice(slice(bytes, len)) }
        }
        let mut out: Vec<u8> = Vec::new();
        // SAFETY: the state is the plugin's own; sink and vector outlive the call.
        unsafe { (self.table.snapshot)(self.state, sink, ptr::from_mut(&mut out).cast()) };
        out
    }

    pub(super) fn dispatch(&self, header: &Header, payload: &[u8]) {
        // SAFETY: the state is the plugin's own; header and payload outlive the call.
        unsafe { (self.table.dispatch)(self.state, header, payload.as_ptr(), payload.len()) }
    }

    pub(super) fn idle(&self, last: bool) -> bool {
        // SAFETY: the state is the plugin's own.
        unsafe { (self.table.idle)(self.state, last) }
    }

    pub(super) fn close(&self) {
        // SAFETY: the state is the plugin's own; it is not used for frames any more.
        unsafe { (self.table.close)(self.state) }
    }
}

/// Ends the process at once: no handlers at exit, which may wait for a busy GPU.
pub(super) fn exit_now(code: i32) -> ! {
    // SAFETY: takes an integer and does not return.
    unsafe { libc::_exit(code) }
}
