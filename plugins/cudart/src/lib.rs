//! The core plugin: memory, streams, events, modules and launches over the CUDA driver API.
//!
//! # Layout
//! * `session`: what a session keeps; how a frame becomes a handler's call. `host`: the worker's functions. `table`: ids of the client. `errors`.
//! * `choose`, `driver`: which driver library, and its function table.
//! * `contexts`, `memory`, `host_memory`, `streams`, `events`, `modules`, `link`, `launch`, `graph`, `host_function`: the handlers, by topic.
//! * `copy`, `shape`, `staging`, `pinned`: copies, how they are cut, the pinned memory that they pass through.
//! * `progress`, `words`, `poller`: how far each stream has come, and who tells the client.
//! * `launch_threads`: launches of several threads of the program, issued by several here.
//! * `physical`: memory that the program maps itself. `ipc`: memory and events that sessions share. `stream_memory`: words that streams write and wait for. `tensor_map`: descriptors of tensors.
//! * `arrays`, `textures`: arrays, and the objects that kernels reach them by.
//! * `jit`: options and logs of the compiler; `compiler`: its thread. `output`: what the device prints. `snapshot`: what programs see of the devices.
//!
//! # Threads
//! One thread of the worker at a time reads frames and calls `dispatch`; it issues work in the order of the frames and places progress markers. A handler that may wait
//! calls `may_block` first, and another thread goes on. The poller collects what has completed. The driver's own threads run host functions.
//!
//! Order of locks: `Progress::settling`, the list of outstanding lanes, a lane's state, the list of dirty lanes. Tables' locks are held for look-ups only.

mod arrays;
mod choose;
mod compiler;
mod conditional;
mod contexts;
mod copy;
mod driver;
mod errors;
mod events;
mod graph;
mod host;
mod host_function;
mod host_memory;
mod image_cache;
mod ipc;
mod jit;
mod launch;
mod launch_threads;
mod link;
mod mapped;
mod memory;
mod modules;
mod output;
mod physical;
mod pinned;
mod poller;
mod progress;
mod session;
mod shape;
mod snapshot;
mod staging;
mod stream_memory;
mod streams;
mod table;
mod tensor_map;
mod textures;
mod words;

#[cfg(test)]
#[allow(
    clippy::undocumented_unsafe_blocks,
    reason = "the tests play the worker: their pointers are those of the call"
)]
mod tests;

use std::ffi::{CStr, c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};

use gvirtus_wire::api::core::OPCODES;
use gvirtus_wire::frame::Header;
use gvirtus_wire::plugin::{HostTable, Issue, PLUGIN_ABI, PluginTable};

use crate::host::Host;
use crate::session::Session;

/// The plugin's table; the name is a pointer to a constant.
struct Table(PluginTable);

// SAFETY: the table is never written and its pointer is to a constant.
unsafe impl Sync for Table {}

static TABLE: Table = Table(PluginTable {
    abi: PLUGIN_ABI,
    first_opcode: OPCODES.0,
    last_opcode: OPCODES.1,
    name: c"cudart".as_ptr(),
    create,
    snapshot,
    dispatch,
    idle,
    on_stream: Some(on_stream),
    driver_symbol: Some(driver_symbol),
    close,
});

/// The entry that a worker looks up, see [`gvirtus_wire::plugin`].
#[unsafe(no_mangle)]
pub extern "C" fn gvirtus_plugin_entry() -> *const PluginTable {
    &raw const TABLE.0
}

unsafe extern "C" fn create(
    host: *const HostTable,
    config: *const u8,
    config_len: usize,
) -> *mut c_void {
    // SAFETY: the worker hands over a table that is valid for the call.
    let Some(table) = (unsafe { host.as_ref() }) else {
        return std::ptr::null_mut();
    };
    if table.abi != PLUGIN_ABI {
        return std::ptr::null_mut();
    }
    let host: &'static Host = Box::leak(Box::new(Host::new(table)));
    let config = if config.is_null() {
        b"{}"
    } else {
        // SAFETY: the worker hands over `config_len` bytes.
        unsafe { std::slice::from_raw_parts(config, config_len) }
    };
    match catch_unwind(AssertUnwindSafe(|| Session::create(host, config))) {
        Ok(Ok(session)) => std::ptr::from_ref(session).cast_mut().cast(),
        Ok(Err(reason)) => {
            host.log(
                host::ERROR,
                &format!("the core plugin cannot start: {reason}"),
            );
            std::ptr::null_mut()
        }
        Err(_) => {
            host.log(host::ERROR, "the core plugin panicked while starting");
            std::ptr::null_mut()
        }
    }
}

/// The session behind the worker's pointer.
///
/// # Safety
/// `state` must be null or what [`create`] returned.
unsafe fn session(state: *mut c_void) -> Option<&'static Session> {
    // SAFETY: sessions are never freed.
    unsafe { state.cast::<Session>().as_ref() }
}

unsafe extern "C" fn snapshot(
    state: *mut c_void,
    sink: unsafe extern "C" fn(*mut c_void, *const u8, usize),
    sink_arg: *mut c_void,
) {
    // SAFETY: the worker passes what `create` returned.
    let Some(session) = (unsafe { session(state) }) else {
        return;
    };
    match catch_unwind(AssertUnwindSafe(|| session.encoded_snapshot())) {
        // SAFETY: the worker's function takes any bytes.
        Ok(Ok(bytes)) => unsafe { sink(sink_arg, bytes.as_ptr(), bytes.len()) },
        Ok(Err(status)) => session.host.fail(&format!(
            "the devices cannot be described: {}",
            errors::name(status)
        )),
        Err(_) => session.host.fail("describing the devices panicked"),
    }
}

unsafe extern "C" fn dispatch(
    state: *mut c_void,
    header: *const Header,
    payload: *const u8,
    payload_len: usize,
) {
    // SAFETY: the worker passes what `create` returned, and a header that is valid until this call returns.
    let (Some(session), Some(header)) = (unsafe { (session(state), header.as_ref()) }) else {
        return;
    };
    let payload = if payload_len == 0 {
        &[]
    } else {
        // SAFETY: the worker passes `payload_len` bytes that are valid until this call returns.
        unsafe { std::slice::from_raw_parts(payload, payload_len) }
    };
    session.dispatch(header, payload);
}

unsafe extern "C" fn on_stream(
    state: *mut c_void,
    header: *const Header,
    stream: u32,
    wait: bool,
    issue: Issue,
    argument: *mut c_void,
) -> i32 {
    // SAFETY: the worker passes what `create` returned, and the header of the frame that is being dispatched.
    let (Some(session), Some(header)) = (unsafe { (session(state), header.as_ref()) }) else {
        return errors::ERROR_INVALID_VALUE;
    };
    let run = AssertUnwindSafe(|| {
        // SAFETY: the plugin that asks passes its own function with its argument.
        session.lend_stream(header, stream, wait, |raw| unsafe { issue(argument, raw) })
    });
    match catch_unwind(run) {
        Ok(Ok(())) => errors::SUCCESS,
        Ok(Err(status)) => status,
        Err(_) => {
            session.host.fail("issuing another plugin's work panicked");
            errors::ERROR_INVALID_VALUE
        }
    }
}

unsafe extern "C" fn driver_symbol(state: *mut c_void, name: *const c_char) -> *const c_void {
    if name.is_null() {
        return std::ptr::null();
    }
    // SAFETY: the worker passes what `create` returned, and a plugin's NUL-terminated text.
    unsafe {
        session(state).map_or(std::ptr::null(), |session| {
            session.driver.address(CStr::from_ptr(name))
        })
    }
}

unsafe extern "C" fn idle(state: *mut c_void) {
    // SAFETY: the worker passes what `create` returned.
    let Some(session) = (unsafe { session(state) }) else {
        return;
    };
    if catch_unwind(AssertUnwindSafe(|| session.idle())).is_err() {
        session.host.fail("placing progress markers panicked");
    }
}

unsafe extern "C" fn close(state: *mut c_void) {
    // SAFETY: the worker passes what `create` returned.
    if let Some(session) = unsafe { session(state) } {
        let _ = catch_unwind(AssertUnwindSafe(|| session.close()));
    }
}
