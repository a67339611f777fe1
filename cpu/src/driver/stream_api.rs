//! The functions of streams.
//!
//! See <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__STREAM.html> and
//! <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__MEMOP.html>.

use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use gvirtus_wire::api::types::{
    CUcontext, CUdevice, CUevent, CUgreenCtx, CUhostFn, CUstream, CUstreamCallback,
};

use super::error::{
    ERROR_INVALID_HANDLE, ERROR_INVALID_VALUE, ERROR_NOT_READY, ERROR_NOT_SUPPORTED,
    ERROR_STREAM_CAPTURE_UNSUPPORTED, Result,
};
use super::memory::memory;
use super::scheduler::{GREATEST_PRIORITY, Runner};
use super::stream::{self, NON_BLOCKING, STREAMS, Sort, Stream};
use super::work::{Callback, Comparison, HostFunction, UserData, WaitValue, Work, WriteValue};
use super::{capture, context, event, ffi, handles};

/// `CU_EVENT_WAIT_EXTERNAL`.
const WAIT_EXTERNAL: u32 = 1;

pub(super) fn cuStreamCreate(phStream: *mut CUstream, Flags: u32) -> Result {
    cuStreamCreateWithPriority(phStream, Flags, 0)
}

pub(super) fn cuStreamCreateWithPriority(
    phStream: *mut CUstream,
    flags: u32,
    priority: i32,
) -> Result {
    let context = context::current()?;
    if phStream.is_null() || flags & !NON_BLOCKING != 0 {
        return Err(ERROR_INVALID_VALUE);
    }
    create_in(&context, phStream, flags, priority)
}

/// Makes a stream of a context.
pub(super) fn create_in(
    context: &Arc<context::Context>,
    phStream: *mut CUstream,
    flags: u32,
    priority: i32,
) -> Result {
    // Numbers outside the range become its nearest end.
    let priority = priority.clamp(GREATEST_PRIORITY, 0);
    let stream = Stream::new(
        Arc::downgrade(context),
        context.handle,
        Sort::Created,
        flags,
        priority,
    );
    STREAMS.insert(stream.handle, Arc::clone(&stream));
    context.streams.lock().push(Arc::clone(&stream));
    ffi::put(phStream, handles::pointer(stream.handle))
}

pub(super) fn cuStreamDestroy_v2(hStream: CUstream) -> Result {
    super::state::require()?;
    let stream = STREAMS.remove(hStream).ok_or(ERROR_INVALID_HANDLE)?;
    // A capture cannot go on without its stream.
    capture::abandon_part(&stream);
    let context = stream.context()?;
    // Its work goes on; the context's list keeps it until then.
    if stream.tail().is_none() {
        context
            .streams
            .lock()
            .retain(|other| !Arc::ptr_eq(other, &stream));
    }
    context.check()
}

pub(super) fn cuStreamGetPriority(hStream: CUstream, priority: *mut i32) -> Result {
    let stream = stream::resolve(hStream)?;
    ffi::put(priority, stream.priority.load(Ordering::Relaxed))
}

pub(super) fn cuStreamGetFlags(hStream: CUstream, flags: *mut u32) -> Result {
    ffi::put(flags, stream::resolve(hStream)?.flags)
}

pub(super) fn cuStreamGetId(hStream: CUstream, streamId: *mut u64) -> Result {
    ffi::put(streamId, stream::resolve(hStream)?.id)
}

pub(super) fn cuStreamGetDevice(hStream: CUstream, device: *mut CUdevice) -> Result {
    ffi::put(
        device,
        stream::resolve(hStream)?.context()?.device as CUdevice,
    )
}

pub(super) fn cuStreamGetCtx(hStream: CUstream, pctx: *mut CUcontext) -> Result {
    ffi::put(
        pctx,
        handles::pointer(stream::resolve(hStream)?.context_handle),
    )
}

pub(super) fn cuStreamGetCtx_v2(
    hStream: CUstream,
    pCtx: *mut CUcontext,
    pGreenCtx: *mut CUgreenCtx,
) -> Result {
    ffi::put_optional(pGreenCtx, std::ptr::null_mut());
    cuStreamGetCtx(hStream, pCtx)
}

pub(super) fn cuStreamWaitEvent(hStream: CUstream, hEvent: CUevent, Flags: u32) -> Result {
    let stream = stream::resolve(hStream)?;
    let event = event::resolve(hEvent)?;
    if Flags & !WAIT_EXTERNAL != 0 {
        return Err(ERROR_INVALID_VALUE);
    }
    if capture::wait_event(&stream, &event, Flags == WAIT_EXTERNAL)? {
        return Ok(());
    }
    if let Some(shared) = &event.shared {
        return match shared.wait() {
            Some(work) => stream.append(work, Runner::Pool, &[]).map(|_| ()),
            None => Ok(()),
        };
    }
    match event.task() {
        Some(task) => stream
            .append(Work::Nothing, Runner::Pool, &[task])
            .map(|_| ()),
        None => Ok(()),
    }
}

pub(super) fn cuStreamQuery(hStream: CUstream) -> Result {
    let stream = stream::resolve(hStream)?;
    capture::forbid_on(&stream)?;
    if stream.is_idle()? {
        stream.context()?.check()
    } else {
        Err(ERROR_NOT_READY)
    }
}

pub(super) fn cuStreamSynchronize(hStream: CUstream) -> Result {
    let stream = stream::resolve(hStream)?;
    capture::forbid_on(&stream)?;
    stream.synchronize()
}

pub(super) fn cuStreamAddCallback(
    hStream: CUstream,
    callback: CUstreamCallback,
    userData: *mut c_void,
    flags: u32,
) -> Result {
    let stream = stream::resolve(hStream)?;
    if callback.is_none() || flags != 0 {
        return Err(ERROR_INVALID_VALUE);
    }
    if stream.capture.lock().is_some() {
        // Callbacks, unlike host functions, cannot be captured.
        let _ = capture::forbid_on(&stream);
        return Err(ERROR_STREAM_CAPTURE_UNSUPPORTED);
    }
    stream.enqueue(Work::Callback(Callback {
        function: callback,
        stream: hStream.addr(),
        data: UserData(userData),
    }))
}

pub(super) fn cuLaunchHostFunc(hStream: CUstream, fn_: CUhostFn, userData: *mut c_void) -> Result {
    let stream = stream::resolve(hStream)?;
    if fn_.is_none() {
        return Err(ERROR_INVALID_VALUE);
    }
    stream.enqueue(Work::HostFunction(HostFunction {
        function: fn_,
        data: UserData(userData),
    }))
}

fn check_word(address: u64, wide: bool) -> Result {
    let size = if wide { 8 } else { 4 };
    if !address.is_multiple_of(size) {
        return Err(ERROR_INVALID_VALUE);
    }
    match memory().classify(address, size)? {
        super::memory::Place::Pageable => Err(ERROR_INVALID_VALUE),
        _ => Ok(()),
    }
}

fn write_value(stream: CUstream, address: u64, value: u64, wide: bool, flags: u32) -> Result {
    /// `CU_STREAM_WRITE_VALUE_NO_MEMORY_BARRIER`.
    const NO_BARRIER: u32 = 1;
    let stream = stream::resolve(stream)?;
    if flags & !NO_BARRIER != 0 {
        return Err(ERROR_INVALID_VALUE);
    }
    check_word(address, wide)?;
    stream.enqueue(Work::WriteValue(WriteValue {
        address,
        value,
        wide,
    }))
}

fn wait_value(stream: CUstream, address: u64, value: u64, wide: bool, flags: u32) -> Result {
    /// `CU_STREAM_WAIT_VALUE_FLUSH`: for remote writes, which do not exist here.
    const FLUSH: u32 = 1 << 30;
    let stream = stream::resolve(stream)?;
    if flags & FLUSH != 0 {
        return Err(ERROR_NOT_SUPPORTED);
    }
    let comparison = match flags {
        0 => Comparison::GreaterOrEqual,
        1 => Comparison::Equal,
        2 => Comparison::And,
        3 => Comparison::Nor,
        _ => return Err(ERROR_INVALID_VALUE),
    };
    check_word(address, wide)?;
    stream.enqueue(Work::WaitValue(WaitValue {
        address,
        value,
        wide,
        comparison,
    }))
}

pub(super) fn cuStreamWriteValue32(stream: CUstream, addr: u64, value: u32, flags: u32) -> Result {
    write_value(stream, addr, u64::from(value), false, flags)
}

pub(super) fn cuStreamWriteValue32_v2(
    stream: CUstream,
    addr: u64,
    value: u32,
    flags: u32,
) -> Result {
    write_value(stream, addr, u64::from(value), false, flags)
}

pub(super) fn cuStreamWriteValue64(stream: CUstream, addr: u64, value: u64, flags: u32) -> Result {
    write_value(stream, addr, value, true, flags)
}

pub(super) fn cuStreamWriteValue64_v2(
    stream: CUstream,
    addr: u64,
    value: u64,
    flags: u32,
) -> Result {
    write_value(stream, addr, value, true, flags)
}

pub(super) fn cuStreamWaitValue32(stream: CUstream, addr: u64, value: u32, flags: u32) -> Result {
    wait_value(stream, addr, u64::from(value), false, flags)
}

pub(super) fn cuStreamWaitValue32_v2(
    stream: CUstream,
    addr: u64,
    value: u32,
    flags: u32,
) -> Result {
    wait_value(stream, addr, u64::from(value), false, flags)
}

pub(super) fn cuStreamWaitValue64(stream: CUstream, addr: u64, value: u64, flags: u32) -> Result {
    wait_value(stream, addr, value, true, flags)
}

pub(super) fn cuStreamWaitValue64_v2(
    stream: CUstream,
    addr: u64,
    value: u64,
    flags: u32,
) -> Result {
    wait_value(stream, addr, value, true, flags)
}

/// Operations in order. All are checked before the first is enqueued.
pub(super) fn cuStreamBatchMemOp_v2(
    stream: CUstream,
    count: u32,
    paramArray: *mut c_void,
    flags: u32,
) -> Result {
    /// `CUstreamBatchMemOpType`.
    const WAIT_32: u32 = 1;
    const WRITE_32: u32 = 2;
    const WAIT_64: u32 = 4;
    const WRITE_64: u32 = 5;
    const BARRIER: u32 = 6;
    const MOST: u32 = 256;
    stream::resolve(stream)?;
    if count == 0 || count > MOST || flags != 0 {
        return Err(ERROR_INVALID_VALUE);
    }
    let operations = ffi::get_slice(paramArray.cast::<[u64; 6]>().cast_const(), count as usize)?;
    for [word, address, ..] in &operations {
        match *word as u32 {
            WAIT_32 | WRITE_32 => check_word(*address, false)?,
            WAIT_64 | WRITE_64 => check_word(*address, true)?,
            BARRIER => {}
            _ => return Err(ERROR_NOT_SUPPORTED),
        }
    }
    for [word, address, value, flags, ..] in operations {
        let (narrow, flags) = (value & 0xffff_ffff, flags as u32);
        match word as u32 {
            WAIT_32 => wait_value(stream, address, narrow, false, flags)?,
            WRITE_32 => write_value(stream, address, narrow, false, flags)?,
            WAIT_64 => wait_value(stream, address, value, true, flags)?,
            WRITE_64 => write_value(stream, address, value, true, flags)?,
            // What a stream does is in order here anyway.
            _ => {}
        }
    }
    Ok(())
}

pub(super) fn cuStreamBatchMemOp(
    stream: CUstream,
    count: u32,
    paramArray: *mut c_void,
    flags: u32,
) -> Result {
    cuStreamBatchMemOp_v2(stream, count, paramArray, flags)
}
