//! The thread that the driver's compiler runs on.
//!
//! NVIDIA's compiler keeps state by thread: a compilation that has failed on one thread makes a later one on another end in a fault (seen with driver 580, PTX that
//! does not parse). It also expects a stack like that of a program's first thread. So everything that compiles runs on one thread of the worker, one after the other;
//! the driver itself would let few compilations run at once.

use std::sync::LazyLock;

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::contexts::Context;
use crate::errors::{ERROR_OUT_OF_MEMORY, Result};

/// Bytes of stack.
const STACK: usize = 64 << 20;

static COMPILER: LazyLock<Option<ThreadPool>> = LazyLock::new(|| {
    ThreadPoolBuilder::new()
        .num_threads(1)
        .stack_size(STACK)
        .thread_name(|_| "compiler".into())
        .build()
        .ok()
});

/// Runs what compiles, in a context.
///
/// # Errors
/// Its own, and `CUDA_ERROR_OUT_OF_MEMORY` where there is no thread to be had.
pub(crate) fn compile<T: Send>(
    context: &Context,
    what: impl FnOnce() -> Result<T> + Send,
) -> Result<T> {
    let compiler = COMPILER.as_ref().ok_or(ERROR_OUT_OF_MEMORY)?;
    compiler.install(|| {
        context.make_current()?;
        what()
    })
}
