//! What is captured, recorded as the nodes of a graph, by the rules by which the driver makes nodes of captured work.

use std::sync::Arc;

use gvirtus_wire::api::types::CUstream;

use super::Edge;
use super::work::{Kernel, Work};
use crate::capture;
use crate::driver::Result;
use crate::driver::context::Context;
use crate::driver::launch::Told;
use crate::events::{self, Recorded};
use crate::session::Session;
use crate::streams::{self, Stream};

/// Work was issued on a stream: if it captures, it is a node now.
#[inline]
pub(crate) fn on(stream: &Stream, work: impl FnOnce() -> Work) {
    if capture::any()
        && let Some(capture) = capture::of(stream)
    {
        capture.record(stream, work());
    }
}

/// As [`on`], for a stream as the program names it.
#[inline]
pub(crate) fn on_handle(
    session: &Session,
    context: &Context,
    stream: CUstream,
    work: impl FnOnce() -> Work,
) {
    if capture::any()
        && let Ok(stream) = streams::resolve(session, context, stream)
    {
        on(&stream, work);
    }
}

/// A kernel was launched on a stream by the command of that number, and records events while it runs. It is a node if the stream captures; then they stand for edges from it.
///
/// # Errors
/// `CUDA_ERROR_INVALID_HANDLE` for an event that is gone.
pub(crate) fn launch(
    stream: &Arc<Stream>,
    sequence: u64,
    kernel: Option<Arc<Kernel>>,
    serialized: bool,
    told: &[Told],
) -> Result<()> {
    let captured = capture::of(stream).zip(kernel);
    let node = captured.and_then(|(capture, kernel)| {
        let node = capture.record_kernel(stream, kernel, serialized)?;
        Some((capture, node))
    });
    for told in told {
        let event = events::resolve(told.event)?;
        *event.recorded.lock() = match &node {
            Some((capture, node)) => {
                Recorded::Captured(Arc::clone(capture), vec![Edge::by_event(*node, told.of)])
            }
            None => Recorded::On(Arc::clone(stream), sequence),
        };
    }
    Ok(())
}
