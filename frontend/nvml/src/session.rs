//! The way to the backend: commands through `libgvirtus.so`.

use std::ffi::c_void;

use gvirtus_frontend_link::session::hooks;
use gvirtus_wire::api::frontend_table::library_call;
use gvirtus_wire::api::nvml_call::{
    ERROR_DRIVER_NOT_LOADED, ERROR_LIBRARY_NOT_FOUND, ERROR_UNKNOWN, NvmlCall, NvmlInit,
    NvmlProcessName, NvmlReply,
};
use gvirtus_wire::api::types::error;
use gvirtus_wire::codec::decode_all;
use gvirtus_wire::command::Command;

use crate::Return;

/// `nvmlInit` on the box.
pub(crate) fn init() -> Return {
    match send(&NvmlInit {}) {
        Ok(result) | Err(result) => result,
    }
}

/// One call on the box.
///
/// # Errors
/// The NVML error of a session that does not work.
pub(crate) fn call(command: &NvmlCall) -> Result<NvmlReply, Return> {
    send(command)
}

/// What a process is that belongs to a session from another host; `None` if there is no such process.
pub(crate) fn process_name(pid: u32) -> Option<String> {
    let name = send(&NvmlProcessName { pid }).ok()?;
    (!name.is_empty()).then_some(name)
}

fn send<C: Command>(command: &C) -> Result<C::Reply, Return> {
    let Some(call) = hooks().and_then(library_call) else {
        return Err(ERROR_DRIVER_NOT_LOADED);
    };
    let mut payload = Vec::new();
    command.encode(&mut payload);
    let mut reply: Vec<u8> = Vec::new();
    // SAFETY: payload and reply outlive the call; `collect` takes the reply's address.
    let status = unsafe {
        call(
            C::OPCODE,
            payload.as_ptr(),
            payload.len(),
            collect,
            (&raw mut reply).cast(),
        )
    };
    match status {
        error::SUCCESS => decode_all(&reply).map_err(|_| ERROR_UNKNOWN),
        // The worker has no plugin for NVML, or it could not start.
        error::ERROR_NOT_SUPPORTED => Err(ERROR_LIBRARY_NOT_FOUND),
        error::ERROR_DEVICE_UNAVAILABLE => Err(ERROR_UNKNOWN),
        _ => Err(ERROR_DRIVER_NOT_LOADED),
    }
}

/// Appends bytes to the vector at `into`.
unsafe extern "C" fn collect(into: *mut c_void, bytes: *const u8, len: usize) {
    if bytes.is_null() || len == 0 {
        return;
    }
    // SAFETY: `send` passes its vector's address, and the client core readable bytes.
    unsafe { (*into.cast::<Vec<u8>>()).extend_from_slice(std::slice::from_raw_parts(bytes, len)) };
}
