//! What profilers and libraries ask about contexts, and where they hook in. No tool is ever attached here, so that there is nobody to tell anything.

use std::cell::UnsafeCell;
use std::ffi::{CStr, c_char, c_void};

use gvirtus_wire::api::types::{
    CUcontext, CUdevice, CUfunction, CUmodule, CUresult, CUstream, error,
};

use super::slot;
use crate::driver::{context, function, module, put, put_if, session};
use crate::streams;

/// Words that the runtime reads to learn which of its calls a tool subscribed to. All zero for ever; the runtime may write there.
struct Flags<const N: usize>(UnsafeCell<[u32; N]>);

// SAFETY: this library does not touch the words, it only hands out their address.
unsafe impl<const N: usize> Sync for Flags<N> {}

static CALLBACKS: Flags<1024> = Flags(UnsafeCell::new([0; 1024]));
static RESOURCES: Flags<14> = Flags(UnsafeCell::new([0; 14]));

/// Address and number of the words about calls.
pub(super) unsafe extern "C" fn callback_flags(address: *mut *mut c_void, count: *mut usize) {
    // SAFETY: the caller's pointers.
    unsafe {
        put_if(address, CALLBACKS.0.get().cast());
        put_if(count, 1024);
    }
}

/// Address and number of the words about resources.
pub(super) unsafe extern "C" fn resource_flags(address: *mut *mut c_void, count: *mut usize) {
    // SAFETY: the caller's pointers.
    unsafe {
        put_if(address, RESOURCES.0.get().cast());
        put_if(count, 14);
    }
}

/// The calling thread's current context, as `cuCtxGetCurrent`.
pub(super) unsafe extern "C" fn current_context(pctx: *mut CUcontext) -> CUresult {
    // SAFETY: the caller's pointer.
    slot("current_context", || unsafe {
        context::cuCtxGetCurrent(pctx)
    })
}

/// The context behind a wrapped one: no context is.
pub(super) unsafe extern "C" fn unwrap_context(
    _: CUcontext,
    wrapped: *mut u32,
    _: *mut *const c_void,
) -> CUresult {
    // SAFETY: the caller's pointer.
    slot("unwrap_context", || unsafe { put(wrapped, 0) })
}

/// How many contexts are wrapped.
pub(super) unsafe extern "C" fn wrapped_contexts() -> u32 {
    0
}

/// A context's device.
pub(super) unsafe extern "C" fn context_device(
    handle: CUcontext,
    device: *mut CUdevice,
) -> CUresult {
    // SAFETY: the caller's pointer.
    slot("context_device", || unsafe {
        context::cuCtxGetDevice_v2(device, handle)
    })
}

/// A context's number, as `cuCtxGetId`.
pub(super) unsafe extern "C" fn context_id(handle: CUcontext, id: *mut u64) -> CUresult {
    // SAFETY: the caller's pointer.
    slot("context_id", || unsafe { context::cuCtxGetId(handle, id) })
}

/// The stream that a handle stands for in a context, which may be one of the special handles; `per_thread` says that the null handle is the calling thread's stream. cuBLAS
/// asks before [`stream_id`].
pub(super) unsafe extern "C" fn resolve_stream(
    handle: CUcontext,
    stream: CUstream,
    resolved: *mut CUstream,
    per_thread: i32,
) -> CUresult {
    slot("resolve_stream", || {
        let context = context::by_handle_or_current(handle)?;
        let named = if stream.is_null() && per_thread != 0 {
            std::ptr::without_provenance_mut(streams::PER_THREAD as usize)
        } else {
            stream
        };
        let stream = streams::resolve(session()?, &context, named)?;
        // SAFETY: the caller's pointer.
        unsafe { put(resolved, streams::handle(&stream)) }
    })
}

/// A stream's number, as `cuStreamGetId`. cuBLAS keeps a workspace for each.
pub(super) unsafe extern "C" fn stream_id(
    handle: CUcontext,
    stream: CUstream,
    id: *mut u64,
) -> CUresult {
    slot("stream_id", || {
        let context = context::by_handle_or_current(handle)?;
        let stream = streams::resolve(session()?, &context, stream)?;
        // SAFETY: the caller's pointer.
        unsafe { put(id, stream.number) }
    })
}

/// What a library does with a function of a module: its own argument, the function, and its name, which lives as long as the module.
type Visit = unsafe extern "C" fn(*mut c_void, CUfunction, *const c_char);

/// Calls `visit` for each function of a module, in the order of `cuModuleEnumerateFunctions`, and returns how many there are. cuFFT finds the kernels of what it has
/// compiled by this. Nothing is visited if the module is none.
pub(super) unsafe extern "C" fn for_each_function(
    _: CUcontext,
    module: CUmodule,
    visit: Option<Visit>,
    argument: *mut c_void,
) -> u64 {
    let mut functions = Vec::new();
    let status = slot("for_each_function", || {
        functions = module::by_handle(module)?.functions(usize::MAX)?;
        Ok(())
    });
    let (error::SUCCESS, Some(visit)) = (status, visit) else {
        return 0;
    };
    for function in &functions {
        // SAFETY: the caller's function, with what it is documented above to take.
        unsafe { visit(argument, function::handle(function), function.name.as_ptr()) };
    }
    functions.len() as u64
}

/// NVRTC asks whether the driver remembers what it is about to compile. There is no such cache on the client: it compiles.
pub(super) unsafe extern "C" fn open_compile_cache() -> CUresult {
    slot("open_compile_cache", || Err(error::ERROR_NOT_SUPPORTED))
}

unsafe extern "C" {
    /// C's. A `va_list` parameter is passed as a pointer in the ABIs of x86-64 and aarch64.
    fn vsnprintf(
        to: *mut c_char,
        size: usize,
        format: *const c_char,
        arguments: *mut c_void,
    ) -> i32;
}

/// A message for the log that `cuLogs…` reads, which is ours: a library says why a call of its own failed.
pub(super) unsafe extern "C" fn log_message(
    domain: *const c_char,
    severity: i32,
    format: *const c_char,
    arguments: *mut c_void,
) -> CUresult {
    slot("log_message", || {
        if format.is_null() {
            return Err(error::ERROR_INVALID_VALUE);
        }
        let mut text = [0; 1024];
        // SAFETY: the caller's format and its arguments; the text is cut to the buffer and ends in NUL.
        let written = unsafe { vsnprintf(text.as_mut_ptr(), text.len(), format, arguments) };
        if written < 0 {
            return Err(error::ERROR_INVALID_VALUE);
        }
        let domain = if domain.is_null() {
            c"CUDA"
        } else {
            // SAFETY: the caller's string.
            unsafe { CStr::from_ptr(domain) }
        };
        // SAFETY: `vsnprintf` ended it with NUL.
        let text = unsafe { CStr::from_ptr(text.as_ptr()) };
        log!(
            Info,
            "{} (severity {severity}): {}",
            domain.to_string_lossy(),
            text.to_string_lossy().trim_end()
        );
        Ok(())
    })
}
