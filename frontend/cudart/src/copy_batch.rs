//! Several copies by one call: <https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__MEMORY.html>.

use crate::forward::forward;
use gvirtus_wire::api::cudart_types::cudaStream_t;
use std::ffi::c_void;

forward! {
    /// Copies ranges.
    fn cudaMemcpyBatchAsync[default](
        dsts: *const *mut c_void, srcs: *const *const c_void, sizes: *const usize, count: usize, attrs: *mut c_void, attrsIdxs: *mut usize, numAttrs: usize,
        stream: cudaStream_t,
    ) => cuMemcpyBatchAsync_v2(dsts.cast_mut().cast(), srcs.cast_mut().cast(), sizes.cast_mut(), count, attrs, attrsIdxs, numAttrs, default.resolve(stream));
    /// Copies boxes.
    fn cudaMemcpy3DBatchAsync[default](numOps: usize, opList: *mut c_void, flags: u64, stream: cudaStream_t)
        => cuMemcpy3DBatchAsync_v2(numOps, opList, flags, default.resolve(stream));
}

/// As CUDA 12 has them.
pub(crate) mod cuda12 {
    use super::{c_void, cudaStream_t, forward};

    forward! {
        /// Copies ranges, and says which could not be copied.
        fn cudaMemcpyBatchAsync[default](
            dsts: *mut *mut c_void, srcs: *mut *mut c_void, sizes: *mut usize, count: usize, attrs: *mut c_void, attrsIdxs: *mut usize, numAttrs: usize,
            failIdx: *mut usize, stream: cudaStream_t,
        ) => cuMemcpyBatchAsync(dsts.cast(), srcs.cast(), sizes, count, attrs, attrsIdxs, numAttrs, failIdx, default.resolve(stream));
        /// Copies boxes, and says which could not be copied.
        fn cudaMemcpy3DBatchAsync[default](numOps: usize, opList: *mut c_void, failIdx: *mut usize, flags: u64, stream: cudaStream_t)
            => cuMemcpy3DBatchAsync(numOps, opList, failIdx, flags, default.resolve(stream));
    }
}
