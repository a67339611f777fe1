//! Synchronous copies from pageable memory that have returned to the program when their bytes were taken, as natively:
//! <https://docs.nvidia.com/cuda/cuda-driver-api/api-sync-behavior.html>.
//!
//! Natively the GPU then has them within microseconds, before any work that the program can issue. Here that may come sooner. So whoever goes on with a stream that does not wait for
//! the copy's by CUDA's rules waits for the copy first.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gvirtus_wire::api::types::CUresult;
use parking_lot::Mutex;

use crate::session::Session;
use crate::streams::Stream;

/// The last such copy of each stream: the command's number.
static COPIES: Mutex<Vec<(Arc<Stream>, u64)>> = Mutex::new(Vec::new());
/// There may be some that are not complete.
static ANY: AtomicBool = AtomicBool::new(false);

/// A copy has returned before it is complete.
pub(crate) fn add(stream: &Arc<Stream>, sequence: u64) {
    let mut copies = COPIES.lock();
    copies.retain(|(s, n)| !Arc::ptr_eq(s, stream) && !s.has_passed(*n));
    copies.push((Arc::clone(stream), sequence));
    ANY.store(true, Ordering::Release);
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
        copies.retain(|(s, n)| !s.has_passed(*n));
        ANY.store(!copies.is_empty(), Ordering::Release);
        let apart = copies.iter().filter(|(s, _)| !follows(stream, s));
        apart.cloned().collect()
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
