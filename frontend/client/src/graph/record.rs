//! What is captured, recorded as the nodes of a graph, by the rules by which the driver makes nodes of captured work.

use gvirtus_wire::api::types::CUstream;

use super::work::Work;
use crate::capture;
use crate::driver::context::Context;
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
