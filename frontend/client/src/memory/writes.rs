//! Writes of the GPU to pinned host memory that are still in flight. While one is, the worker's shadow is what counts; afterwards the program's memory is.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::streams::Stream;

struct Write {
    start: u64,
    end: u64,
    stream: Arc<Stream>,
    sequence: u64,
}

static WRITES: Mutex<Vec<Write>> = Mutex::new(Vec::new());

/// A copy to pinned memory was issued.
pub(crate) fn add(start: u64, size: u64, stream: &Arc<Stream>, sequence: u64) {
    let mut writes = WRITES.lock();
    writes.retain(|w| !w.stream.has_passed(w.sequence));
    writes.push(Write {
        start,
        end: start + size,
        stream: Arc::clone(stream),
        sequence,
    });
}

/// Whether a write to any part of a range is in flight.
pub(crate) fn in_flight(start: u64, size: u64) -> bool {
    let mut writes = WRITES.lock();
    if writes.is_empty() {
        return false;
    }
    writes.retain(|w| !w.stream.has_passed(w.sequence));
    writes
        .iter()
        .any(|w| w.start < start + size && start < w.end)
}
