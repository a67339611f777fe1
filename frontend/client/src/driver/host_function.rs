//! Host functions in streams: <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__EXEC.html> (`cuLaunchHostFunc`),
//! <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__STREAM.html> (`cuStreamAddCallback`).
#![allow(non_snake_case, reason = "CUDA's names")]

use std::ffi::c_void;
use std::sync::Arc;

use gvirtus_wire::api::core::HostFunction as HostFunctionCommand;
use gvirtus_wire::api::types::{CUhostFn, CUresult, CUstream, CUstreamCallback, error};

use crate::driver::{Result, context, session};
use crate::graph::record;
use crate::graph::work::{Host, Work};
use crate::session::HostFunction;
use crate::{capture, streams};

/// A pointer of the program that only its own function looks behind.
#[derive(Clone, Copy)]
struct UserData(*mut c_void);
// SAFETY: CUDA calls host functions on threads of its own; the program expects it.
unsafe impl Send for UserData {}

impl UserData {
    fn get(self) -> *mut c_void {
        self.0
    }
}

/// Calls a function of the program when the stream reaches it.
pub(crate) fn cuLaunchHostFunc(
    stream: CUstream,
    function: CUhostFn,
    data: *mut c_void,
) -> Result<()> {
    let function = function.ok_or(error::ERROR_INVALID_VALUE)?;
    let data = UserData(data);
    // SAFETY: the program gave the function to be called with this argument.
    enqueue(
        stream,
        Box::new(move |_: CUresult| unsafe { function(data.get()) }),
        |id| Host::registered(Some(function), data.get(), id),
    )
}

/// As `cuLaunchHostFunc`, with the stream and its status. Flags must be 0.
pub(crate) fn cuStreamAddCallback(
    stream: CUstream,
    callback: CUstreamCallback,
    data: *mut c_void,
    flags: u32,
) -> Result<()> {
    let callback = callback.ok_or(error::ERROR_INVALID_VALUE)?;
    if flags != 0 {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let (handle, data) = (UserData(stream), UserData(data));
    // SAFETY: the program gave the function to be called with these arguments.
    enqueue(
        stream,
        Box::new(move |status: CUresult| unsafe { callback(handle.get(), status, data.get()) }),
        // The function is not one that the program could be shown.
        |id| Host::registered(None, data.get(), id),
    )
}

fn enqueue(
    stream: CUstream,
    function: HostFunction,
    node: impl FnOnce(u64) -> Arc<Host>,
) -> Result<()> {
    let session = session()?;
    let context = context::current()?;
    let stream = streams::resolve(session, &context, stream)?;
    session.check(stream.context)?;
    capture::enqueue_allowed(&stream)?;
    let repeats = capture::of(&stream).is_some();
    let id = session.callbacks.register(function, repeats);
    let posted = stream.post(
        session,
        &HostFunctionCommand {
            stream: stream.id,
            id,
        },
        &[],
    );
    match &posted {
        Ok(_) => record::on(&stream, || Work::Host(node(id))),
        Err(_) => session.callbacks.forget(id),
    }
    posted.map(drop)
}
