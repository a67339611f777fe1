//! CUDA's C types as the runtime API passes them, where they differ from the driver's ([`types`](super::types)).
//!
//! Layouts are those of CUDA 12 and 13 on 64-bit Linux; what differs between the two stays opaque here. Enumerations are their underlying integers.
#![allow(
    non_camel_case_types,
    non_snake_case,
    missing_docs,
    reason = "CUDA's types, which NVIDIA documents"
)]

use super::types::{CUhostFn, CUlaunchAttribute, CUstreamAttrValue, CUuuid};
use std::ffi::{c_int, c_void};

/// `cudaSuccess` or an error; the numbers are those of [`CUresult`](super::types::CUresult) where both have the error.
pub type cudaError_t = c_int;
/// `cudaDeviceProp` has another layout in each major version.
pub type cudaDeviceProp = c_void;
/// Longer in CUDA 13 than in 12.
pub type cudaResourceDesc = c_void;
pub type cudaUUID_t = CUuuid;
pub type cudaTextureObject_t = u64;
pub type cudaSurfaceObject_t = u64;
pub type cudaGraphConditionalHandle = u64;
pub type cudaHostFn_t = CUhostFn;
/// `void (*)(cudaStream_t, cudaError_t status, void *userData)`.
pub type cudaStreamCallback_t =
    Option<unsafe extern "C" fn(cudaStream_t, cudaError_t, *mut c_void)>;
pub type cudaLaunchAttribute = CUlaunchAttribute;
pub type cudaLaunchAttributeValue = CUstreamAttrValue;

macro_rules! opaque { ($($name:ident)*) => { $(
    /// An opaque handle.
    pub type $name = *mut c_void;
)* } }
opaque! {
    cudaStream_t cudaEvent_t cudaArray_t cudaArray_const_t cudaMipmappedArray_t cudaMipmappedArray_const_t cudaGraph_t cudaGraphNode_t
    cudaGraphExec_t cudaKernel_t cudaLibrary_t cudaFunction_t cudaMemPool_t cudaExternalMemory_t cudaExternalSemaphore_t cudaGraphicsResource_t
    cudaUserObject_t cudaAsyncCallbackHandle_t cudaLogsCallbackHandle
}

pub use super::types::{
    CUDA_ARRAY_MEMORY_REQUIREMENTS as cudaArrayMemoryRequirements,
    CUDA_ARRAY_SPARSE_PROPERTIES as cudaArraySparseProperties,
    CUipcEventHandle as cudaIpcEventHandle_t, CUipcMemHandle as cudaIpcMemHandle_t,
    CUmemLocation as cudaMemLocation,
};

macro_rules! c_struct { ($($(#[$doc:meta])* struct $name:ident { $($field:ident: $t:ty),* $(,)? })*) => { $(
    $(#[$doc])*
    #[repr(C)]
    #[derive(Debug, Clone, Copy)]
    pub struct $name { $(pub $field: $t),* }
)* } }

c_struct! {
    struct dim3 { x: u32, y: u32, z: u32 }
    struct cudaExtent { width: usize, height: usize, depth: usize }
    struct cudaPos { x: usize, y: usize, z: usize }
    struct cudaPitchedPtr { ptr: *mut c_void, pitch: usize, xsize: usize, ysize: usize }
    struct cudaChannelFormatDesc { x: i32, y: i32, z: i32, w: i32, f: u32 }
    struct cudaMemcpy3DParms {
        srcArray: cudaArray_t, srcPos: cudaPos, srcPtr: cudaPitchedPtr, dstArray: cudaArray_t, dstPos: cudaPos, dstPtr: cudaPitchedPtr,
        extent: cudaExtent, kind: u32,
    }
    struct cudaMemcpy3DPeerParms {
        srcArray: cudaArray_t, srcPos: cudaPos, srcPtr: cudaPitchedPtr, srcDevice: i32, dstArray: cudaArray_t, dstPos: cudaPos,
        dstPtr: cudaPitchedPtr, dstDevice: i32, extent: cudaExtent,
    }
    /// CUDA 13 has reserved words behind these.
    struct cudaResourceViewDesc {
        format: u32, width: usize, height: usize, depth: usize, firstMipmapLevel: u32, lastMipmapLevel: u32, firstLayer: u32, lastLayer: u32,
    }
    struct cudaTextureDesc {
        addressMode: [u32; 3], filterMode: u32, readMode: u32, sRGB: i32, borderColor: [f32; 4], normalizedCoords: i32, maxAnisotropy: u32,
        mipmapFilterMode: u32, mipmapLevelBias: f32, minMipmapLevelClamp: f32, maxMipmapLevelClamp: f32, disableTrilinearOptimization: i32,
        seamlessCubemap: i32,
    }
    /// CUDA 13 has reserved words behind these, which it leaves as they are.
    struct cudaPointerAttributes { type_: u32, device: i32, devicePointer: *mut c_void, hostPointer: *mut c_void }
    /// Followed by reserved words, which stay as they are.
    struct cudaFuncAttributes {
        sharedSizeBytes: usize, constSizeBytes: usize, localSizeBytes: usize, maxThreadsPerBlock: i32, numRegs: i32, ptxVersion: i32,
        binaryVersion: i32, cacheModeCA: i32, maxDynamicSharedSizeBytes: i32, preferredShmemCarveout: i32, clusterDimMustBeSet: i32,
        requiredClusterWidth: i32, requiredClusterHeight: i32, requiredClusterDepth: i32, clusterSchedulingPolicyPreference: i32,
        nonPortableClusterSizeAllowed: i32,
    }
    struct cudaLaunchConfig_t {
        gridDim: dim3, blockDim: dim3, dynamicSmemBytes: usize, stream: cudaStream_t, attrs: *mut cudaLaunchAttribute, numAttrs: u32,
    }
    struct cudaGraphInstantiateParams { flags: u64, uploadStream: cudaStream_t, errNode_out: cudaGraphNode_t, result_out: u32 }
}
