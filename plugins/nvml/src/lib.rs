//! The plugin that answers NVML.
//!
//! # Layout
//! * this file: the worker's interface. `host`: the worker's functions.
//! * `session`: frames to calls. `call`: inputs to arguments, results to outputs, for every function alike. `invoke`: typed calls by name. `handles`: handles' numbers.
//! * `library`: the box's `libnvidia-ml.so.1`. `cpu_model`: what is known of the CPU device.

mod call;
mod cpu_model;
mod handles;
mod host;
mod invoke;
mod library;
mod session;

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};

use gvirtus_wire::api::nvml_call::OPCODES;
use gvirtus_wire::frame::Header;
use gvirtus_wire::plugin::{HostTable, PLUGIN_ABI, PluginTable};

use crate::host::Host;
use crate::library::{Config, Library};
use crate::session::Session;

/// The plugin's table; the name is a pointer to a constant.
struct Table(PluginTable);

// SAFETY: the table is never written and its pointer is to a constant.
unsafe impl Sync for Table {}

static TABLE: Table = Table(PluginTable {
    abi: PLUGIN_ABI,
    first_opcode: OPCODES.0,
    last_opcode: OPCODES.1,
    name: c"nvml".as_ptr(),
    create,
    snapshot,
    dispatch,
    idle,
    on_stream: None,
    driver_symbol: None,
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
    let made = catch_unwind(AssertUnwindSafe(|| {
        let config: Config =
            serde_json::from_slice(config).map_err(|e| format!("the configuration: {e}"))?;
        Ok(Box::new(Session::new(host, Library::find(&config)?)))
    }));
    match made {
        Ok(Ok(session)) => std::ptr::from_mut(Box::leak(session)).cast(),
        Ok(Err(reason)) => {
            let reason: String = reason;
            host.log(host::WARN, &format!("NVML is not there: {reason}"));
            std::ptr::null_mut()
        }
        Err(_) => {
            host.log(host::ERROR, "the plugin nvml panicked while starting");
            std::ptr::null_mut()
        }
    }
}

unsafe extern "C" fn snapshot(
    _state: *mut c_void,
    _sink: unsafe extern "C" fn(*mut c_void, *const u8, usize),
    _sink_arg: *mut c_void,
) {
}

unsafe extern "C" fn dispatch(
    state: *mut c_void,
    header: *const Header,
    payload: *const u8,
    payload_len: usize,
) {
    // SAFETY: the worker passes what `create` returned, and a header that is valid until this call returns.
    let (Some(session), Some(header)) =
        (unsafe { (state.cast::<Session>().as_ref(), header.as_ref()) })
    else {
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

unsafe extern "C" fn idle(_state: *mut c_void) {}

/// The process ends soon after, and NVML's state with it.
unsafe extern "C" fn close(_state: *mut c_void) {}
