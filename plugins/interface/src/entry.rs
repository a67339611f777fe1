//! The C functions that a worker calls, for any [`Plugin`].

use std::ffi::{CStr, c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};

use gvirtus_wire::frame::Header;
use gvirtus_wire::plugin::{HostTable, Issue, PLUGIN_ABI, PluginTable};

use crate::Plugin;
use crate::host::{self, Host};

/// `CUDA_ERROR_INVALID_VALUE`.
const INVALID_VALUE: i32 = 1;

/// A plugin's table; the name is a pointer to a constant.
#[derive(Debug)]
pub struct Table(pub PluginTable);

// SAFETY: the table is never written and its pointer is to a constant.
unsafe impl Sync for Table {}

/// The table of a plugin, which [`plugin!`](crate::plugin) exports.
#[must_use]
pub const fn table<P: Plugin>(name: &'static CStr, opcodes: (u16, u16)) -> Table {
    Table(PluginTable {
        abi: PLUGIN_ABI,
        first_opcode: opcodes.0,
        last_opcode: opcodes.1,
        name: name.as_ptr(),
        create: create::<P>,
        snapshot: snapshot::<P>,
        dispatch: dispatch::<P>,
        idle: idle::<P>,
        on_stream: if P::IS_CORE {
            Some(on_stream::<P>)
        } else {
            None
        },
        driver_symbol: if P::IS_CORE {
            Some(driver_symbol::<P>)
        } else {
            None
        },
        close: close::<P>,
    })
}

unsafe extern "C" fn create<P: Plugin>(
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
    let level = if P::IS_CORE { host::ERROR } else { host::WARN };
    match catch_unwind(AssertUnwindSafe(|| P::create(host, config))) {
        Ok(Ok(plugin)) => return std::ptr::from_ref(plugin).cast_mut().cast(),
        Ok(Err(reason)) => host.log(level, &reason),
        Err(_) => host.log(host::ERROR, "the plugin panicked while starting"),
    }
    std::ptr::null_mut()
}

/// The plugin behind the worker's pointer.
///
/// # Safety
/// `state` must be null or what [`create`] returned.
unsafe fn plugin<P: Plugin>(state: *mut c_void) -> Option<&'static P> {
    // SAFETY: plugins are never freed.
    unsafe { state.cast::<P>().as_ref() }
}

unsafe extern "C" fn snapshot<P: Plugin>(
    state: *mut c_void,
    sink: unsafe extern "C" fn(*mut c_void, *const u8, usize),
    sink_arg: *mut c_void,
) {
    // SAFETY: the worker passes what `create` returned.
    let Some(plugin) = (unsafe { plugin::<P>(state) }) else {
        return;
    };
    match catch_unwind(AssertUnwindSafe(|| plugin.snapshot())) {
        // SAFETY: the worker's function takes any bytes.
        Ok(Ok(Some(bytes))) => unsafe { sink(sink_arg, bytes.as_ptr(), bytes.len()) },
        Ok(Ok(None)) => {}
        Ok(Err(reason)) => plugin.host().fail(&reason),
        Err(_) => plugin.host().fail("describing the devices panicked"),
    }
}

unsafe extern "C" fn dispatch<P: Plugin>(
    state: *mut c_void,
    header: *const Header,
    payload: *const u8,
    payload_len: usize,
) {
    // SAFETY: the worker passes what `create` returned, and a header that is valid until this call returns.
    let (Some(plugin), Some(header)) = (unsafe { (plugin::<P>(state), header.as_ref()) }) else {
        return;
    };
    let payload = if payload_len == 0 {
        &[]
    } else {
        // SAFETY: the worker passes `payload_len` bytes that are valid until this call returns.
        unsafe { std::slice::from_raw_parts(payload, payload_len) }
    };
    plugin.dispatch(header, payload);
}

unsafe extern "C" fn idle<P: Plugin>(state: *mut c_void, last: bool) -> bool {
    // SAFETY: the worker passes what `create` returned.
    let Some(plugin) = (unsafe { plugin::<P>(state) }) else {
        return false;
    };
    catch_unwind(AssertUnwindSafe(|| plugin.idle(last))).unwrap_or_else(|_| {
        plugin.host().fail("what is done in idle moments panicked");
        false
    })
}

unsafe extern "C" fn on_stream<P: Plugin>(
    state: *mut c_void,
    header: *const Header,
    stream: u32,
    wait: bool,
    calls: u32,
    issue: Issue,
    argument: *mut c_void,
) -> i32 {
    // SAFETY: the worker passes what `create` returned, and the header of the frame that is being dispatched.
    let (Some(plugin), Some(header)) = (unsafe { (plugin::<P>(state), header.as_ref()) }) else {
        return INVALID_VALUE;
    };
    let run = AssertUnwindSafe(|| {
        // SAFETY: the plugin that asks passes its own function with its argument.
        plugin.lend_stream(header, stream, wait, calls, |raw| unsafe {
            issue(argument, raw)
        })
    });
    match catch_unwind(run) {
        Ok(Ok(())) => 0,
        Ok(Err(status)) => status,
        Err(_) => {
            plugin.host().fail("issuing another plugin's work panicked");
            INVALID_VALUE
        }
    }
}

unsafe extern "C" fn driver_symbol<P: Plugin>(
    state: *mut c_void,
    name: *const c_char,
) -> *const c_void {
    if name.is_null() {
        return std::ptr::null();
    }
    // SAFETY: the worker passes what `create` returned, and a plugin's NUL-terminated text.
    unsafe {
        plugin::<P>(state).map_or(std::ptr::null(), |plugin| {
            plugin.driver_symbol(CStr::from_ptr(name))
        })
    }
}

unsafe extern "C" fn close<P: Plugin>(state: *mut c_void) {
    // SAFETY: the worker passes what `create` returned.
    if let Some(plugin) = unsafe { plugin::<P>(state) } {
        let _ = catch_unwind(AssertUnwindSafe(|| plugin.close()));
    }
}
