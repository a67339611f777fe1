//! Synchronous copies from pageable memory that have returned to the program when their bytes were taken, as natively:
//! <https://docs.nvidia.com/cuda/cuda-driver-api/api-sync-behavior.html>.
//!
//! Natively the GPU then has them within microseconds, before any work that the program can issue. Here that may come sooner. So whoever goes on with a stream that does not wait for
//! the copy's by CUDA's rules waits for the copy first.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gvirtus_wire::api::types::CUresult;
use parking_lot::Mutex;

use crate::session::Session;
use crate::streams::Stream;

/// The numbers of their commands by stream, rising.
static COPIES: Mutex<Vec<(Arc<Stream>, VecDeque<u64>)>> = Mutex::new(Vec::new());
/// There may be some that are not complete.
static ANY: AtomicBool = AtomicBool::new(false);

/// A copy's command was issued whose completion the program does not wait for.
pub(crate) fn add(stream: &Arc<Stream>, sequence: u64) {
    let mut copies = COPIES.lock();
    match copies.iter_mut().find(|(s, _)| Arc::ptr_eq(s, stream)) {
        Some((_, numbers)) => {
            while numbers.front().is_some_and(|n| stream.has_passed(*n)) {
                numbers.pop_front();
            }
            // Another thread may have been quicker.
            let at = numbers.partition_point(|n| *n < sequence);
            numbers.insert(at, sequence);
        }
        None => copies.push((Arc::clone(stream), VecDeque::from([sequence]))),
    }
    ANY.store(true, Ordering::Release);
}

/// Whether nothing else is in flight on a stream.
pub(crate) fn are_all(stream: &Arc<Stream>) -> bool {
    let copies = COPIES.lock();
    let known = copies.iter().find(|(s, _)| Arc::ptr_eq(s, stream));
    known.is_some_and(|(_, numbers)| stream.in_flight_are(|n| numbers.binary_search(&n).is_ok()))
}

/// Before a stream is used: waits for copies that the stream does not wait for by itself.
///
/// # Errors
/// The session's.
#[inline]
pub(crate) fn settle(session: &Session, stream: &Arc<Stream>) -> Result<(), CUresult> {
    if ANY.load(Ordering::Acquire) {
        settle_slowly(session, stream)?;
    }
    Ok(())
}

#[cold]
fn settle_slowly(session: &Session, stream: &Arc<Stream>) -> Result<(), CUresult> {
    let apart: Vec<_> = {
        let mut copies = COPIES.lock();
        copies.retain(|(s, numbers)| numbers.back().is_some_and(|n| !s.has_passed(*n)));
        ANY.store(!copies.is_empty(), Ordering::Release);
        let apart = copies.iter().filter(|(s, _)| !follows(stream, s));
        apart
            .filter_map(|(s, numbers)| Some((Arc::clone(s), *numbers.back()?)))
            .collect()
    };
    for (other, sequence) in apart {
        other.wait_until_passed(session, sequence)?;
    }
    Ok(())
}

/// Whether work on a stream begins after what is on the other, by CUDA's rules.
fn follows(stream: &Arc<Stream>, other: &Arc<Stream>) -> bool {
    Arc::ptr_eq(stream, other)
        || stream.context == other.context
            && (other.id == 0 && stream.is_blocking() || stream.id == 0 && other.is_blocking())
}
