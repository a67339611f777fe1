//! Order of work: streams, events, the legacy stream, host functions.
#![allow(
    missing_docs,
    clippy::macro_metavars_in_unsafe,
    reason = "a test, whose calls go to C functions"
)]

mod driver_common;

use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use driver_common::*;

const LEGACY: CUstream = null_mut();

fn per_thread() -> CUstream {
    std::ptr::without_provenance_mut(2)
}

#[test]
fn a_stream_keeps_order_and_runs_by_itself() {
    let _context = OwnContext::new();
    let stream = stream(1);
    let memory = alloc(4096);
    let gate = Gate::close(stream);
    for value in 0..100 {
        ok!(cuMemsetD32Async(memory, value, 1024, stream));
    }
    assert_eq!(cu!(cuStreamQuery(stream)), ERROR_NOT_READY);
    gate.open();
    ok!(cuStreamSynchronize(stream));
    ok!(cuStreamQuery(stream));
    assert_eq!(download::<u32>(memory, 2), [99, 99]);
}

#[test]
fn waiting_streams_hold_no_threads() {
    let _context = OwnContext::new();
    let gates: Vec<_> = (0..300)
        .map(|_| {
            let stream = stream(1);
            (stream, Gate::close(stream))
        })
        .collect();
    let free = stream(1);
    let memory = alloc(64);
    ok!(cuMemsetD32Async(memory, 3, 16, free));
    ok!(cuStreamSynchronize(free));
    for (stream, gate) in gates {
        gate.open();
        ok!(cuStreamSynchronize(stream));
        ok!(cuStreamDestroy_v2(stream));
    }
}

#[test]
fn the_legacy_stream_waits_for_blocking_streams_and_they_for_it() {
    let _context = OwnContext::new();
    let (blocking, other, free) = (stream(0), stream(0), stream(1));
    let gate = Gate::close(blocking);
    let memory = alloc(64);
    ok!(cuMemsetD32Async(memory, 1, 16, LEGACY));
    ok!(cuMemsetD32Async(memory, 2, 16, other));
    assert_eq!(
        cu!(cuStreamQuery(other)),
        ERROR_NOT_READY,
        "waits for the legacy stream, which waits for the first"
    );
    assert_eq!(cu!(cuStreamQuery(LEGACY)), ERROR_NOT_READY);
    ok!(cuStreamQuery(free));
    ok!(cuMemsetD32Async(memory, 0, 16, free));
    ok!(cuStreamSynchronize(free));
    gate.open();
    assert_eq!(download::<u32>(memory, 1), [2]);
    ok!(cuStreamSynchronize(other));
    // The per-thread stream blocks too.
    let gate = Gate::close(per_thread());
    ok!(cuMemsetD32Async(memory, 5, 16, LEGACY));
    assert_eq!(cu!(cuStreamQuery(LEGACY)), ERROR_NOT_READY);
    gate.open();
    ok!(cuCtxSynchronize());
    assert_eq!(download::<u32>(memory, 1), [5]);
}

#[test]
fn events_order_streams() {
    let _context = OwnContext::new();
    let (first, second) = (stream(1), stream(1));
    let event = event(2);
    let memory = alloc(64);
    ok!(cuEventQuery(event));
    let gate = Gate::close(first);
    ok!(cuMemsetD32Async(memory, 1, 16, first));
    ok!(cuEventRecord(event, first));
    ok!(cuStreamWaitEvent(second, event, 0));
    ok!(cuMemsetD32Async(memory, 2, 16, second));
    assert_eq!(cu!(cuEventQuery(event)), ERROR_NOT_READY);
    assert_eq!(cu!(cuStreamQuery(second)), ERROR_NOT_READY);
    gate.open();
    ok!(cuEventSynchronize(event));
    ok!(cuStreamSynchronize(second));
    assert_eq!(download::<u32>(memory, 1), [2]);
    // A record that comes after a wait does not concern it.
    let gate = Gate::close(first);
    ok!(cuStreamWaitEvent(second, event, 0));
    ok!(cuEventRecord(event, first));
    ok!(cuStreamSynchronize(second));
    gate.open();
    ok!(cuEventDestroy_v2(event));
    assert_eq!(cu!(cuEventDestroy_v2(event)), ERROR_INVALID_HANDLE);
}

#[test]
fn elapsed_time() {
    let _context = OwnContext::new();
    let stream = stream(1);
    let (start, end, untimed) = (event(0), event(0), event(2));
    let mut milliseconds = 0.0;
    assert_eq!(
        cu!(cuEventElapsedTime(&mut milliseconds, start, end)),
        ERROR_INVALID_HANDLE,
        "never recorded"
    );
    ok!(cuEventRecord(start, stream));
    let gate = Gate::close(stream);
    ok!(cuEventRecord(end, stream));
    assert_eq!(
        cu!(cuEventElapsedTime(&mut milliseconds, start, end)),
        ERROR_NOT_READY
    );
    std::thread::sleep(Duration::from_millis(20));
    gate.open();
    ok!(cuEventSynchronize(end));
    ok!(cuEventElapsedTime_v2(&mut milliseconds, start, end));
    assert!((19.0..2000.0).contains(&milliseconds), "{milliseconds}");
    ok!(cuEventElapsedTime(&mut milliseconds, end, end));
    assert_eq!(milliseconds, 0.0);
    ok!(cuEventRecord(untimed, stream));
    assert_eq!(
        cu!(cuEventElapsedTime(&mut milliseconds, start, untimed)),
        ERROR_INVALID_HANDLE
    );
    let mut event = null_mut();
    assert_eq!(
        cu!(cuEventCreate(&mut event, 4)),
        ERROR_INVALID_VALUE,
        "interprocess without disable-timing"
    );
    assert_eq!(cu!(cuEventCreate(&mut event, 64)), ERROR_INVALID_VALUE);
}

unsafe extern "C" fn rendezvous(data: *mut c_void) {
    // SAFETY: the test passes a counter that outlives the stream's work.
    let arrived = unsafe { &*data.cast::<AtomicU32>() };
    arrived.fetch_add(1, Ordering::SeqCst);
    let start = Instant::now();
    while arrived.load(Ordering::SeqCst) < 2 && start.elapsed() < Duration::from_secs(20) {
        std::thread::yield_now();
    }
    // A host function may not call CUDA.
    let mut address = 0;
    assert_eq!(cu!(cuMemAlloc_v2(&mut address, 16)), ERROR_NOT_PERMITTED);
}

#[test]
fn host_functions_run_in_order_and_side_by_side() {
    let _context = OwnContext::new();
    let arrived = AtomicU32::new(0);
    let data = (&raw const arrived).cast_mut().cast();
    let (a, b) = (stream(1), stream(1));
    let memory = alloc(64);
    ok!(cuLaunchHostFunc(a, Some(rendezvous), data));
    ok!(cuMemsetD32Async(memory, 8, 16, a));
    ok!(cuLaunchHostFunc(b, Some(rendezvous), data));
    ok!(cuStreamSynchronize(b));
    ok!(cuStreamSynchronize(a));
    assert_eq!(arrived.load(Ordering::SeqCst), 2);
    assert_eq!(download::<u32>(memory, 1), [8]);
    assert_eq!(
        cu!(cuLaunchHostFunc(a, None, null_mut())),
        ERROR_INVALID_VALUE
    );
}

unsafe extern "C" fn callback(stream: CUstream, status: i32, data: *mut c_void) {
    // SAFETY: the test passes a sender that outlives the stream's work.
    let sender = unsafe { &*data.cast::<mpsc::Sender<(usize, i32)>>() };
    let _ = sender.send((stream.addr(), status));
}

#[test]
fn stream_callbacks() {
    let _context = OwnContext::new();
    let stream = stream(0);
    let (sender, receiver) = mpsc::channel::<(usize, i32)>();
    ok!(cuStreamAddCallback(
        stream,
        Some(callback),
        (&raw const sender).cast_mut().cast(),
        0
    ));
    ok!(cuStreamSynchronize(stream));
    assert_eq!(receiver.recv().unwrap(), (stream.addr(), 0));
}

#[test]
fn values_in_memory_order_streams() {
    let _context = OwnContext::new();
    let (producer, consumer) = (stream(1), stream(1));
    let flag = alloc(64);
    let memory = alloc(64);
    ok!(cuMemsetD8_v2(flag, 0, 64));
    ok!(cuCtxSynchronize());
    ok!(cuStreamWaitValue64_v2(consumer, flag, 3, 0));
    ok!(cuMemsetD32Async(memory, 2, 16, consumer));
    ok!(cuMemsetD32Async(memory, 1, 16, producer));
    ok!(cuStreamWriteValue64_v2(producer, flag, 4, 0));
    ok!(cuStreamSynchronize(consumer));
    assert_eq!(download::<u32>(memory, 1), [2]);
    assert_eq!(download::<u64>(flag, 1), [4]);
    assert_eq!(
        cu!(cuStreamWaitValue32_v2(consumer, flag + 2, 0, 0)),
        ERROR_INVALID_VALUE
    );
    assert_eq!(
        cu!(cuStreamWriteValue32_v2(consumer, 0x1000, 0, 0)),
        ERROR_INVALID_VALUE
    );
}

#[test]
fn pageable_sources_are_read_before_the_call_returns() {
    let _context = OwnContext::new();
    let stream = stream(1);
    let memory = alloc(1 << 16);
    let gate = Gate::close(stream);
    let mut source = vec![1_u8; 1 << 16];
    ok!(cuMemcpyHtoDAsync_v2(
        memory,
        source.as_ptr().cast(),
        source.len(),
        stream
    ));
    source.fill(2);
    gate.open();
    ok!(cuStreamSynchronize(stream));
    assert!(
        download::<u8>(memory, 1 << 16)
            .iter()
            .all(|&byte| byte == 1)
    );
    // Pinned memory is read when the copy runs.
    let pinned = pinned::<u8>(64);
    pinned.fill(1);
    let gate = Gate::close(stream);
    ok!(cuMemcpyHtoDAsync_v2(
        memory,
        pinned.as_ptr().cast(),
        64,
        stream
    ));
    pinned.fill(3);
    gate.open();
    ok!(cuStreamSynchronize(stream));
    assert_eq!(download::<u8>(memory, 1), [3]);
}

#[test]
fn destroying_a_stream_lets_its_work_finish() {
    let _context = OwnContext::new();
    let stream = stream(1);
    let memory = alloc(64);
    let gate = Gate::close(stream);
    ok!(cuMemsetD32Async(memory, 6, 16, stream));
    ok!(cuStreamDestroy_v2(stream));
    assert_eq!(cu!(cuStreamQuery(stream)), ERROR_INVALID_HANDLE);
    gate.open();
    ok!(cuCtxSynchronize());
    assert_eq!(download::<u32>(memory, 1), [6]);
}

#[test]
fn garbage_handles() {
    let context = OwnContext::new();
    let garbage = 0x7777_0000 as *mut c_void;
    let event = event(0);
    assert_eq!(cu!(cuStreamSynchronize(garbage)), ERROR_INVALID_HANDLE);
    assert_eq!(
        cu!(cuStreamSynchronize(event)),
        ERROR_INVALID_HANDLE,
        "an event is no stream"
    );
    assert_eq!(
        cu!(cuEventRecord(garbage, null_mut())),
        ERROR_INVALID_HANDLE
    );
    assert_eq!(cu!(cuModuleUnload(garbage)), ERROR_INVALID_HANDLE);
    assert_eq!(
        cu!(cuFuncGetAttribute(&mut 0, 0, garbage)),
        ERROR_INVALID_HANDLE
    );
    assert_eq!(cu!(cuCtxDestroy_v2(garbage)), ERROR_INVALID_CONTEXT);
    assert_eq!(cu!(cuGraphLaunch(garbage, null_mut())), ERROR_INVALID_VALUE);
    // An event of another context cannot be recorded here.
    let other = OwnContext::new();
    assert_eq!(cu!(cuEventRecord(event, null_mut())), ERROR_INVALID_HANDLE);
    drop(other);
    drop(context);
}

#[test]
fn attributes() {
    let _context = OwnContext::new();
    let (first, second) = (stream(1), stream(0));
    let value = |words: [u64; 8]| CUstreamAttrValue { words };
    let mut got = value([9; 8]);
    ok!(cuStreamGetAttribute(first, 3, &mut got));
    assert_eq!(got.words, [u64::from(u32::MAX), 0, 0, 0, 0, 0, 0, 0]);
    let spin = value([2, 0, 0, 0, 0, 0, 0, 0]);
    ok!(cuStreamSetAttribute(first, 3, &spin));
    let high = value([u64::from((-100_i32).cast_unsigned()), 0, 0, 0, 0, 0, 0, 0]);
    ok!(cuStreamSetAttribute(first, 8, &high));
    ok!(cuStreamCopyAttributes(second, first));
    ok!(cuStreamGetAttribute(second, 3, &mut got));
    assert_eq!(got.words[0], 2);
    let (mut least, mut greatest, mut priority) = (0, 0, 1);
    ok!(cuCtxGetStreamPriorityRange(&mut least, &mut greatest));
    ok!(cuStreamGetPriority(second, &mut priority));
    assert_eq!(priority, greatest);
    // An empty window is a window; one that covers something is more than the device has.
    ok!(cuStreamSetAttribute(first, 1, &value([0; 8])));
    let wide = value([4096, 4096, 0, 0, 0, 0, 0, 0]);
    for (attribute, wrong) in [
        (1, &wide),
        (3, &value([0; 8])),
        (3, &value([5; 8])),
        (2, &spin),
        (99, &spin),
    ] {
        let status = cu!(cuStreamSetAttribute(first, attribute, wrong));
        assert_eq!(status, ERROR_INVALID_VALUE, "{attribute} {wrong:?}");
    }
    assert_eq!(
        cu!(cuStreamGetAttribute(first, 2, &mut got)),
        ERROR_INVALID_VALUE
    );
}
