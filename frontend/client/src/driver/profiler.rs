//! Profiler control: <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__PROFILER.html>. No profiler is attached to the program, and then
//! both do nothing, as natively.
#![allow(non_snake_case, reason = "CUDA's names")]

use crate::driver::{Result, context};

/// Nothing to start.
pub(crate) fn cuProfilerStart() -> Result<()> {
    context::current().map(drop)
}

/// Nothing to stop.
pub(crate) fn cuProfilerStop() -> Result<()> {
    context::current().map(drop)
}
