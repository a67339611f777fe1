//! What the plugins of compute libraries have in common. Such a plugin is a [`Description`] and, for the CPU device, a provider.
//!
//! # Layout
//! * this file: the description, and the worker's interface. [`host`]: the worker's functions.
//! * `session`: frames to calls. `objects`, `define`: descriptors. `execute`: plans of cuDNN's graph API. `opaque`: cuBLASLt's descriptors. `invoke`: a call with any parameters. `results`: where the GPU writes results that the client waits for.
//! * [`cpu`]: for providers on the CPU device.
//! * `vendor`: which library answers.

pub mod cpu;
mod define;
mod execute;
pub mod host;
mod invoke;
mod objects;
mod opaque;
mod results;
mod session;
mod vendor;

use std::ffi::{CStr, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};

use gvirtus_wire::api::library::Function;
use gvirtus_wire::frame::Header;
use gvirtus_wire::plugin::{HostTable, PLUGIN_ABI};

use crate::host::Host;
pub use crate::invoke::invoke;
use crate::session::Session;

/// What a plugin is about.
#[derive(Debug)]
pub struct Description {
    /// The plugin's name.
    pub name: &'static str,
    /// Its functions.
    pub functions: &'static [Function],
    /// First opcode.
    pub first_opcode: u16,
    /// The library's file without its major version: `libcublas.so.`.
    pub file: &'static str,
    /// Libraries that it needs and that lie beside it or where others are, to be loaded first; after a dot at the end comes its major version, a star there stands for any.
    pub needs: &'static [&'static str],
    /// Major versions, best first.
    pub majors: &'static [u32],
    /// Makes a handle: `(handle *)`, or `(handle *, int)`.
    pub create: &'static CStr,
    /// Other functions that make handles, by the ids of their declarations.
    pub creators: &'static [&'static CStr],
    /// Ends a handle.
    pub destroy: &'static CStr,
    /// Sets a handle's stream, if handles have one.
    pub set_stream: Option<&'static CStr>,
    /// Sets a handle's pointer mode (0 host, 1 device), if handles have one.
    pub set_pointer_mode: Option<&'static CStr>,
    /// `(libraryPropertyType, int *)`: the version.
    pub get_property: &'static CStr,
    /// The library's "not initialized" and "not supported".
    pub not_initialized: i32,
    /// The library's "not supported".
    pub not_supported: i32,
    /// The CUDA status that stands for a status of the library in a later call.
    pub cuda_status: fn(i32) -> i32,
    /// The CPU device's functions by name; [`host::Host`] leads to the device's driver.
    pub provider: fn(&'static Host, &CStr) -> Option<*const c_void>,
}

/// Makes the plugin's entry of a slice of [`Description`]s called `DESCRIPTIONS`, in the order of their opcodes.
#[macro_export]
macro_rules! library_plugin {
    ($name:literal, $opcodes:expr) => {
        struct Table(gvirtus_wire::plugin::PluginTable);

        // SAFETY: the table is never written and its pointer is to a constant.
        unsafe impl Sync for Table {}

        static TABLE: Table = Table(gvirtus_wire::plugin::PluginTable {
            abi: gvirtus_wire::plugin::PLUGIN_ABI,
            first_opcode: $opcodes.0,
            last_opcode: $opcodes.1,
            name: $name.as_ptr(),
            create,
            snapshot: $crate::snapshot,
            dispatch: $crate::dispatch,
            idle: $crate::nothing,
            on_stream: None,
            driver_symbol: None,
            close: $crate::nothing,
        });

        /// The entry that a worker looks up, see [`gvirtus_wire::plugin`].
        #[unsafe(no_mangle)]
        pub extern "C" fn gvirtus_plugin_entry() -> *const gvirtus_wire::plugin::PluginTable {
            &raw const TABLE.0
        }

        unsafe extern "C" fn create(
            host: *const gvirtus_wire::plugin::HostTable,
            config: *const u8,
            config_len: usize,
        ) -> *mut std::ffi::c_void {
            // SAFETY: the worker hands over a valid table and `config_len` bytes.
            unsafe { $crate::create(DESCRIPTIONS, host, config, config_len) }
        }
    };
}

/// The sessions of a plugin's libraries.
struct Sessions(Vec<Session>);

impl Sessions {
    /// The one whose opcodes begin nearest before this one.
    fn of(&self, opcode: u16) -> Option<&Session> {
        self.0
            .iter()
            .rfind(|session| session.first_opcode() <= opcode)
    }
}

fn name(descriptions: &[&Description]) -> &'static str {
    descriptions.first().map_or("", |first| first.name)
}

/// [`PluginTable::create`](gvirtus_wire::plugin::PluginTable::create).
///
/// # Safety
/// As the worker calls it.
pub unsafe fn create(
    descriptions: &'static [&'static Description],
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
        let sessions = descriptions
            .iter()
            .map(|description| Session::new(description, host, config));
        sessions
            .collect::<Result<Vec<_>, _>>()
            .map(|sessions| Box::new(Sessions(sessions)))
    }));
    match made {
        Ok(Ok(session)) => std::ptr::from_mut(Box::leak(session)).cast(),
        Ok(Err(reason)) => {
            host.log(host::WARN, &format!("{}: {reason}", name(descriptions)));
            std::ptr::null_mut()
        }
        Err(_) => {
            let text = format!("the plugin {} panicked while starting", name(descriptions));
            host.log(host::ERROR, &text);
            std::ptr::null_mut()
        }
    }
}

/// [`PluginTable::snapshot`](gvirtus_wire::plugin::PluginTable::snapshot): nothing.
///
/// # Safety
/// Does nothing.
pub unsafe extern "C" fn snapshot(
    _state: *mut c_void,
    _sink: unsafe extern "C" fn(*mut c_void, *const u8, usize),
    _sink_arg: *mut c_void,
) {
}

/// [`PluginTable::dispatch`](gvirtus_wire::plugin::PluginTable::dispatch).
///
/// # Safety
/// As the worker calls it.
pub unsafe extern "C" fn dispatch(
    state: *mut c_void,
    header: *const Header,
    payload: *const u8,
    payload_len: usize,
) {
    // SAFETY: the worker passes what `create` returned, and a header that is valid until this call returns.
    let (Some(sessions), Some(header)) =
        (unsafe { (state.cast::<Sessions>().as_ref(), header.as_ref()) })
    else {
        return;
    };
    let Some(session) = sessions.of(header.opcode) else {
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

/// For hooks without a need: the process ends soon after `close`, and the library's state with it.
///
/// # Safety
/// Does nothing.
pub unsafe extern "C" fn nothing(_state: *mut c_void) {}
