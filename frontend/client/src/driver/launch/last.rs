//! What a thread's last launch used. The next is often of the same kernel on the same stream, and looking both up costs locks and counts that other threads share.

use std::cell::Cell;
use std::sync::Arc;

use gvirtus_wire::api::types::{CUfunction, CUstream};

use crate::driver::context::Context;
use crate::driver::function::Function;
use crate::driver::{Result, kernel};
use crate::handles;
use crate::session::Session;
use crate::streams::{self, Stream};

/// Function and stream, each with the handle that stood for it in that context as long as no handle has gone.
pub(super) struct Last {
    epoch: u64,
    context: (u32, u32),
    pub(super) function: Option<(CUfunction, Arc<Function>)>,
    pub(super) stream: Option<(CUstream, Arc<Stream>)>,
}

thread_local! {
    static LAST: Cell<Option<Last>> = const { Cell::new(None) };
}

impl Last {
    /// The thread's, in a context; it has none until it is [kept](Self::keep) again.
    #[inline]
    pub(super) fn take(context: &Context) -> Self {
        // Before anything is looked up: what goes meanwhile makes it void.
        let epoch = handles::epoch();
        let context = (context.id, context.stream_context);
        // A thread that is ending has none any more.
        match LAST.try_with(Cell::take) {
            Ok(Some(last)) if last.epoch == epoch && last.context == context => last,
            _ => Self {
                epoch,
                context,
                function: None,
                stream: None,
            },
        }
    }

    /// For the thread's next launch.
    #[inline]
    pub(super) fn keep(self) {
        let _ = LAST.try_with(|last| last.set(Some(self)));
    }
}

/// The function behind a handle, which takes the last one's place if it is another.
#[inline]
pub(super) fn function<'a>(
    last: &'a mut Option<(CUfunction, Arc<Function>)>,
    handle: CUfunction,
    context: &Arc<Context>,
) -> Result<&'a Arc<Function>> {
    if last.as_ref().is_none_or(|(known, _)| *known != handle) {
        *last = None;
    }
    Ok(match last {
        Some((_, function)) => function,
        none => &none.insert((handle, kernel::resolve(handle, context)?)).1,
    })
}

/// The stream behind a handle, likewise. What its use has to wait for is the caller's to see to.
#[inline]
pub(super) fn stream<'a>(
    last: &'a mut Option<(CUstream, Arc<Stream>)>,
    handle: CUstream,
    session: &Session,
    context: &Context,
) -> Result<&'a Arc<Stream>> {
    if last.as_ref().is_none_or(|(known, _)| *known != handle) {
        *last = None;
    }
    Ok(match last {
        Some((_, stream)) => stream,
        none => {
            &none
                .insert((handle, streams::look_up(session, context, handle)?))
                .1
        }
    })
}
