//! Streams, events, host functions and stream capture.

use crate::context::{DefaultStream, cu, current, devices, major, put};
use crate::error::{INVALID_VALUE, NOT_SUPPORTED, Result};
use crate::forward::forward;
use gvirtus_wire::api::cudart_types::{
    cudaEvent_t, cudaGraph_t, cudaGraphNode_t, cudaHostFn_t, cudaLaunchAttributeValue,
    cudaStream_t, cudaStreamCallback_t,
};
use std::ffi::c_void;
use std::ptr::null_mut;

/// The number of the device that a stream belongs to.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__STREAM.html>
pub unsafe fn cudaStreamGetDevice(
    default: DefaultStream,
    hStream: cudaStream_t,
    device: *mut i32,
) -> Result {
    current()?;
    let mut handle = 0;
    cu!(cuStreamGetDevice(default.resolve(hStream), &mut handle))?;
    let at = devices()?
        .iter()
        .position(|known| known.handle == handle)
        .unwrap_or(0);
    put!(device, i32::try_from(at).unwrap_or(0))
}

/// Lets the host run a function when a stream has done what is before it, with the stream's state as the function's argument.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__STREAM.html>
pub unsafe fn cudaStreamAddCallback(
    default: DefaultStream,
    stream: cudaStream_t,
    callback: cudaStreamCallback_t,
    userData: *mut c_void,
    flags: u32,
) -> Result {
    current()?;
    // The driver's result that the function is given has the runtime's number.
    cu!(cuStreamAddCallback(
        default.resolve(stream),
        callback,
        userData,
        flags
    ))
}

/// The time between two events in milliseconds.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__EVENT.html>
pub unsafe fn cudaEventElapsedTime(ms: *mut f32, start: cudaEvent_t, end: cudaEvent_t) -> Result {
    current()?;
    if ms.is_null() {
        return Err(INVALID_VALUE);
    }
    if major() < 13 {
        return cu!(cuEventElapsedTime(ms, start, end));
    }
    match cu!(cuEventElapsedTime_v2(ms, start, end)) {
        // A driver older than CUDA 12.8.
        Err(NOT_SUPPORTED) => cu!(cuEventElapsedTime(ms, start, end)),
        other => other,
    }
}

/// Exchanges how the thread's calls and captures get on with each other.
/// <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__STREAM.html>
pub unsafe fn cudaThreadExchangeStreamCaptureMode(mode: *mut u32) -> Result {
    if mode.is_null() {
        return Err(INVALID_VALUE);
    }
    current()?;
    cu!(cuThreadExchangeStreamCaptureMode(mode))
}

/// CUDA 12's `cudaStreamGetCaptureInfo`.
pub(crate) fn capture_info_12(
    default: DefaultStream,
    stream: cudaStream_t,
    captureStatus_out: *mut u32,
    id_out: *mut u64,
) -> Result {
    current()?;
    cu!(cuStreamGetCaptureInfo_v2(
        default.resolve(stream),
        captureStatus_out,
        id_out,
        null_mut(),
        null_mut(),
        null_mut()
    ))
}

forward! {
    /// Makes a stream.
    fn cudaStreamCreate(pStream: *mut cudaStream_t) => cuStreamCreate(pStream, 0);
    /// Makes a stream with flags.
    fn cudaStreamCreateWithFlags(pStream: *mut cudaStream_t, flags: u32) => cuStreamCreate(pStream, flags);
    /// Makes a stream with flags and a priority.
    fn cudaStreamCreateWithPriority(pStream: *mut cudaStream_t, flags: u32, priority: i32) => cuStreamCreateWithPriority(pStream, flags, priority);
    /// Destroys a stream once its work is done.
    fn cudaStreamDestroy(stream: cudaStream_t) => cuStreamDestroy_v2(stream);
    /// Whether a stream's work is done.
    fn cudaStreamQuery[default](stream: cudaStream_t) => cuStreamQuery(default.resolve(stream));
    /// Waits until a stream's work is done.
    fn cudaStreamSynchronize[default](stream: cudaStream_t) => cuStreamSynchronize(default.resolve(stream));
    /// The flags of a stream.
    fn cudaStreamGetFlags[default](hStream: cudaStream_t, flags: *mut u32) => cuStreamGetFlags(default.resolve(hStream), flags);
    /// The number of a stream, unique in the process.
    fn cudaStreamGetId[default](hStream: cudaStream_t, streamId: *mut u64) => cuStreamGetId(default.resolve(hStream), streamId);
    /// The priority of a stream.
    fn cudaStreamGetPriority[default](hStream: cudaStream_t, priority: *mut i32) => cuStreamGetPriority(default.resolve(hStream), priority);
    /// Makes a stream's further work wait for an event.
    fn cudaStreamWaitEvent[default](stream: cudaStream_t, event: cudaEvent_t, flags: u32) => cuStreamWaitEvent(default.resolve(stream), event, flags);
    /// Lets the host run a function when a stream has done what is before it.
    fn cudaLaunchHostFunc[default](stream: cudaStream_t, fn_: cudaHostFn_t, userData: *mut c_void) => cuLaunchHostFunc(default.resolve(stream), fn_, userData);
    /// Copies the attributes of a stream to another.
    fn cudaStreamCopyAttributes[default](dstStream: cudaStream_t, srcStream: cudaStream_t) => cuStreamCopyAttributes(default.resolve(dstStream), default.resolve(srcStream));
    /// An attribute of a stream.
    fn cudaStreamGetAttribute[default](hStream: cudaStream_t, attr: u32, value_out: *mut cudaLaunchAttributeValue) => cuStreamGetAttribute(default.resolve(hStream), attr, value_out);
    /// Sets an attribute of a stream.
    fn cudaStreamSetAttribute[default](hStream: cudaStream_t, attr: u32, value: *const cudaLaunchAttributeValue) => cuStreamSetAttribute(default.resolve(hStream), attr, value);
    /// Begins to record a stream's work instead of doing it.
    fn cudaStreamBeginCapture[default](stream: cudaStream_t, mode: u32) => cuStreamBeginCapture_v2(default.resolve(stream), mode);
    /// Ends what `cudaStreamBeginCapture` began; the recorded work is a graph.
    fn cudaStreamEndCapture[default](stream: cudaStream_t, pGraph: *mut cudaGraph_t) => cuStreamEndCapture(default.resolve(stream), pGraph);
    /// Whether a stream's work is being recorded.
    fn cudaStreamIsCapturing[default](stream: cudaStream_t, pCaptureStatus: *mut u32) => cuStreamIsCapturing(default.resolve(stream), pCaptureStatus);
    /// What a stream is recording (CUDA 12).
    fn cudaStreamGetCaptureInfo_v2[default](
        stream: cudaStream_t, captureStatus_out: *mut u32, id_out: *mut u64, graph_out: *mut cudaGraph_t, dependencies_out: *mut *const cudaGraphNode_t,
        numDependencies_out: *mut usize,
    ) => cuStreamGetCaptureInfo_v2(default.resolve(stream), captureStatus_out, id_out, graph_out, dependencies_out, numDependencies_out);
    /// What a stream is recording, with the kinds of its edges.
    fn cudaStreamGetCaptureInfo_v3[default](
        stream: cudaStream_t, captureStatus_out: *mut u32, id_out: *mut u64, graph_out: *mut cudaGraph_t, dependencies_out: *mut *const cudaGraphNode_t,
        edgeData_out: *mut *const c_void, numDependencies_out: *mut usize,
    ) => cuStreamGetCaptureInfo_v3(default.resolve(stream), captureStatus_out, id_out, graph_out, dependencies_out, edgeData_out, numDependencies_out);

    /// Makes an event.
    fn cudaEventCreate(event: *mut cudaEvent_t) => cuEventCreate(event, 0);
    /// Makes an event with flags.
    fn cudaEventCreateWithFlags(event: *mut cudaEvent_t, flags: u32) => cuEventCreate(event, flags);
    /// Destroys an event.
    fn cudaEventDestroy(event: cudaEvent_t) => cuEventDestroy_v2(event);
    /// Whether what was before an event is done.
    fn cudaEventQuery(event: cudaEvent_t) => cuEventQuery(event);
    /// Waits until what was before an event is done.
    fn cudaEventSynchronize(event: cudaEvent_t) => cuEventSynchronize(event);
    /// Notes in a stream's order what was before.
    fn cudaEventRecord[default](event: cudaEvent_t, stream: cudaStream_t) => cuEventRecord(event, default.resolve(stream));
    /// Notes in a stream's order what was before, with flags.
    fn cudaEventRecordWithFlags[default](event: cudaEvent_t, stream: cudaStream_t, flags: u32) => cuEventRecordWithFlags(event, default.resolve(stream), flags);
    /// The time between two events in milliseconds (CUDA 12's later form).
    fn cudaEventElapsedTime_v2(ms: *mut f32, start: cudaEvent_t, end: cudaEvent_t) => cuEventElapsedTime_v2(ms, start, end);
}
