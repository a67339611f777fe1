//! CUDA's C types as the driver API passes them, with the layouts of CUDA 12 and 13 on 64-bit Linux.
//!
//! Enumerations are their underlying integers: what a program passes is checked, never transmuted.
#![allow(
    non_camel_case_types,
    non_snake_case,
    missing_docs,
    reason = "CUDA's types, which NVIDIA documents"
)]

use std::ffi::c_void;

pub type CUresult = i32;
pub type CUdevice = i32;
pub type CUdeviceptr = u64;
pub type CUmemGenericAllocationHandle = u64;
pub type CUgraphConditionalHandle = u64;
pub type CUtexObject = u64;
pub type CUsurfObject = u64;

macro_rules! opaque { ($($name:ident)*) => { $(
    /// An opaque handle.
    pub type $name = *mut c_void;
)* } }
opaque! {
    CUcontext CUmodule CUfunction CUlibrary CUkernel CUarray CUmipmappedArray CUtexref CUsurfref CUevent CUstream
    CUgraphicsResource CUexternalMemory CUexternalSemaphore CUgraph CUgraphNode CUgraphExec CUmemoryPool CUuserObject
    CUgreenCtx CUlinkState CUdevResourceDesc CUasyncCallbackHandle CUlogsCallbackHandle
}

/// `void (*)(void *userData)`.
pub type CUhostFn = Option<unsafe extern "C" fn(*mut c_void)>;
/// `void (*)(CUstream, CUresult status, void *userData)`.
pub type CUstreamCallback = Option<unsafe extern "C" fn(CUstream, CUresult, *mut c_void)>;
/// `size_t (*)(int blockSize)`.
pub type CUoccupancyB2DSize = Option<unsafe extern "C" fn(i32) -> usize>;

/// Two `float`s, passed by value as C does: both in one register.
#[repr(C, align(8))]
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct cuComplex {
    pub x: f32,
    pub y: f32,
}

/// Two `double`s, passed by value in two registers.
#[repr(C, align(16))]
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct cuDoubleComplex {
    pub x: f64,
    pub y: f64,
}

macro_rules! c_struct { ($($(#[$doc:meta])* struct $name:ident { $($field:ident: $t:ty),* $(,)? })*) => { $(
    $(#[$doc])*
    #[repr(C)]
    #[derive(Debug, Clone, Copy)]
    pub struct $name { $(pub $field: $t),* }
)* } }

c_struct! {
    struct CUuuid { bytes: [u8; 16] }
    struct CUipcMemHandle { reserved: [u8; 64] }
    struct CUipcEventHandle { reserved: [u8; 64] }
    struct CUDA_MEMCPY2D {
        srcXInBytes: usize, srcY: usize, srcMemoryType: u32, srcHost: *const c_void, srcDevice: CUdeviceptr, srcArray: CUarray, srcPitch: usize,
        dstXInBytes: usize, dstY: usize, dstMemoryType: u32, dstHost: *mut c_void, dstDevice: CUdeviceptr, dstArray: CUarray, dstPitch: usize,
        WidthInBytes: usize, Height: usize,
    }
    struct CUDA_MEMCPY3D {
        srcXInBytes: usize, srcY: usize, srcZ: usize, srcLOD: usize, srcMemoryType: u32, srcHost: *const c_void, srcDevice: CUdeviceptr,
        srcArray: CUarray, reserved0: *mut c_void, srcPitch: usize, srcHeight: usize,
        dstXInBytes: usize, dstY: usize, dstZ: usize, dstLOD: usize, dstMemoryType: u32, dstHost: *mut c_void, dstDevice: CUdeviceptr,
        dstArray: CUarray, reserved1: *mut c_void, dstPitch: usize, dstHeight: usize,
        WidthInBytes: usize, Height: usize, Depth: usize,
    }
    struct CUDA_MEMCPY3D_PEER {
        srcXInBytes: usize, srcY: usize, srcZ: usize, srcLOD: usize, srcMemoryType: u32, srcHost: *const c_void, srcDevice: CUdeviceptr,
        srcArray: CUarray, srcContext: CUcontext, srcPitch: usize, srcHeight: usize,
        dstXInBytes: usize, dstY: usize, dstZ: usize, dstLOD: usize, dstMemoryType: u32, dstHost: *mut c_void, dstDevice: CUdeviceptr,
        dstArray: CUarray, dstContext: CUcontext, dstPitch: usize, dstHeight: usize,
        WidthInBytes: usize, Height: usize, Depth: usize,
    }
    struct CUDA_ARRAY_DESCRIPTOR { Width: usize, Height: usize, Format: u32, NumChannels: u32 }
    struct CUDA_ARRAY3D_DESCRIPTOR { Width: usize, Height: usize, Depth: usize, Format: u32, NumChannels: u32, Flags: u32 }
    struct CUDA_ARRAY_SPARSE_PROPERTIES {
        tileExtent: [u32; 3], miptailFirstLevel: u32, miptailSize: u64, flags: u32, reserved: [u32; 4],
    }
    struct CUDA_ARRAY_MEMORY_REQUIREMENTS { size: usize, alignment: usize, reserved: [u32; 4] }
    /// `res` is a union; read it by `resType`. An array or a mipmapped array: its handle. Linear memory: address, format and channels in one word, bytes. Pitched memory:
    /// address, format and channels in one word, width, height, pitch.
    #[derive(Default)]
    struct CUDA_RESOURCE_DESC { resType: u32, res: [u64; 16], flags: u32 }
    #[derive(Default)]
    struct CUDA_TEXTURE_DESC {
        addressMode: [u32; 3], filterMode: u32, flags: u32, maxAnisotropy: u32, mipmapFilterMode: u32, mipmapLevelBias: f32,
        minMipmapLevelClamp: f32, maxMipmapLevelClamp: f32, borderColor: [f32; 4], reserved: [i32; 12],
    }
    struct CUDA_RESOURCE_VIEW_DESC {
        format: u32, width: usize, height: usize, depth: usize, firstMipmapLevel: u32, lastMipmapLevel: u32, firstLayer: u32, lastLayer: u32,
        reserved: [u32; 16],
    }
    struct CUlaunchConfig {
        gridDimX: u32, gridDimY: u32, gridDimZ: u32, blockDimX: u32, blockDimY: u32, blockDimZ: u32, sharedMemBytes: u32,
        hStream: CUstream, attrs: *mut CUlaunchAttribute, numAttrs: u32,
    }
    /// The value is a union of at most 64 bytes; read it by `id`.
    struct CUlaunchAttribute { id: u32, pad: [u8; 4], value: CUstreamAttrValue }
    /// `CUlaunchAttributeValue`, also used for stream and kernel-node attributes.
    struct CUstreamAttrValue { words: [u64; 8] }
    /// `phGraph_out` is the driver's to fill: an array of `size` graphs that lives as long as the node.
    struct CUDA_CONDITIONAL_NODE_PARAMS { handle: CUgraphConditionalHandle, type_: u32, size: u32, phGraph_out: *mut CUgraph, ctx: CUcontext }
    struct CUmemLocation { type_: u32, id: i32 }
    struct CUmemAccessDesc { location: CUmemLocation, flags: u32 }
    struct CUmemAllocationProp {
        type_: u32, requestedHandleTypes: u32, location: CUmemLocation, win32HandleMetaData: *mut c_void,
        compressionType: u8, gpuDirectRDMACapable: u8, usage: u16, reserved: [u8; 4],
    }
    /// `subresource` is a union: layer, then at 8 offset and size (64 bits each) for the mip tail; level, layer, offset and extent in each dimension otherwise.
    struct CUarrayMapInfo {
        resourceType: u32, resource: u64, subresourceType: u32, pad: u32, subresource: [u32; 8], memOperationType: u32, memHandleType: u32,
        memHandle: CUmemGenericAllocationHandle, offset: u64, deviceBitMask: u32, flags: u32, reserved: [u32; 2],
    }
    struct CUmulticastObjectProp { numDevices: u32, size: usize, handleTypes: u64, flags: u64 }
    struct CUdevprop {
        maxThreadsPerBlock: i32, maxThreadsDim: [i32; 3], maxGridSize: [i32; 3], sharedMemPerBlock: i32, totalConstantMemory: i32,
        SIMDWidth: i32, memPitch: i32, regsPerBlock: i32, clockRate: i32, textureAlign: i32,
    }
    struct CUctxCreateParams { execAffinityParams: *mut c_void, numExecAffinityParams: i32, cigParams: *mut c_void }
}

impl CUDA_RESOURCE_DESC {
    /// A resource of a type with the first words of `res`.
    #[must_use]
    pub fn new(kind: u32, words: &[u64]) -> Self {
        let mut desc = Self {
            resType: kind,
            ..Self::default()
        };
        desc.res[..words.len()].copy_from_slice(words);
        desc
    }
}

/// `CUDA_SUCCESS` and the error codes that this project itself returns.
/// See <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__TYPES.html>.
pub mod error {
    macro_rules! codes { ($($name:ident = $value:literal;)*) => {
        $(pub const $name: i32 = $value;)*
        /// Every code with the name that `cuGetErrorName` gives it.
        pub const NAMES: &[(i32, &str)] = &[$(($value, concat!("CUDA_", stringify!($name)))),*];
    } }
    codes! {
        SUCCESS = 0; ERROR_INVALID_VALUE = 1; ERROR_OUT_OF_MEMORY = 2; ERROR_NOT_INITIALIZED = 3; ERROR_DEINITIALIZED = 4;
        ERROR_PROFILER_DISABLED = 5; ERROR_PROFILER_NOT_INITIALIZED = 6; ERROR_PROFILER_ALREADY_STARTED = 7; ERROR_PROFILER_ALREADY_STOPPED = 8;
        ERROR_STUB_LIBRARY = 34; ERROR_DEVICE_UNAVAILABLE = 46; ERROR_NO_DEVICE = 100; ERROR_INVALID_DEVICE = 101; ERROR_DEVICE_NOT_LICENSED = 102;
        ERROR_INVALID_IMAGE = 200; ERROR_INVALID_CONTEXT = 201; ERROR_CONTEXT_ALREADY_CURRENT = 202; ERROR_MAP_FAILED = 205; ERROR_UNMAP_FAILED = 206;
        ERROR_ARRAY_IS_MAPPED = 207; ERROR_ALREADY_MAPPED = 208; ERROR_NO_BINARY_FOR_GPU = 209; ERROR_ALREADY_ACQUIRED = 210; ERROR_NOT_MAPPED = 211;
        ERROR_NOT_MAPPED_AS_ARRAY = 212; ERROR_NOT_MAPPED_AS_POINTER = 213; ERROR_ECC_UNCORRECTABLE = 214; ERROR_UNSUPPORTED_LIMIT = 215;
        ERROR_CONTEXT_ALREADY_IN_USE = 216; ERROR_PEER_ACCESS_UNSUPPORTED = 217; ERROR_INVALID_PTX = 218; ERROR_INVALID_GRAPHICS_CONTEXT = 219;
        ERROR_NVLINK_UNCORRECTABLE = 220; ERROR_JIT_COMPILER_NOT_FOUND = 221; ERROR_UNSUPPORTED_PTX_VERSION = 222; ERROR_JIT_COMPILATION_DISABLED = 223;
        ERROR_UNSUPPORTED_EXEC_AFFINITY = 224; ERROR_UNSUPPORTED_DEVSIDE_SYNC = 225; ERROR_CONTAINED = 226; ERROR_INVALID_SOURCE = 300;
        ERROR_FILE_NOT_FOUND = 301; ERROR_SHARED_OBJECT_SYMBOL_NOT_FOUND = 302; ERROR_SHARED_OBJECT_INIT_FAILED = 303; ERROR_OPERATING_SYSTEM = 304;
        ERROR_INVALID_HANDLE = 400; ERROR_ILLEGAL_STATE = 401; ERROR_LOSSY_QUERY = 402; ERROR_NOT_FOUND = 500; ERROR_NOT_READY = 600;
        ERROR_ILLEGAL_ADDRESS = 700; ERROR_LAUNCH_OUT_OF_RESOURCES = 701; ERROR_LAUNCH_TIMEOUT = 702; ERROR_LAUNCH_INCOMPATIBLE_TEXTURING = 703;
        ERROR_PEER_ACCESS_ALREADY_ENABLED = 704; ERROR_PEER_ACCESS_NOT_ENABLED = 705; ERROR_PRIMARY_CONTEXT_ACTIVE = 708; ERROR_CONTEXT_IS_DESTROYED = 709;
        ERROR_ASSERT = 710; ERROR_TOO_MANY_PEERS = 711; ERROR_HOST_MEMORY_ALREADY_REGISTERED = 712; ERROR_HOST_MEMORY_NOT_REGISTERED = 713;
        ERROR_HARDWARE_STACK_ERROR = 714; ERROR_ILLEGAL_INSTRUCTION = 715; ERROR_MISALIGNED_ADDRESS = 716; ERROR_INVALID_ADDRESS_SPACE = 717;
        ERROR_INVALID_PC = 718; ERROR_LAUNCH_FAILED = 719; ERROR_COOPERATIVE_LAUNCH_TOO_LARGE = 720; ERROR_TENSOR_MEMORY_LEAK = 721;
        ERROR_NOT_PERMITTED = 800; ERROR_NOT_SUPPORTED = 801; ERROR_SYSTEM_NOT_READY = 802; ERROR_SYSTEM_DRIVER_MISMATCH = 803;
        ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE = 804; ERROR_MPS_CONNECTION_FAILED = 805; ERROR_MPS_RPC_FAILURE = 806; ERROR_MPS_SERVER_NOT_READY = 807;
        ERROR_MPS_MAX_CLIENTS_REACHED = 808; ERROR_MPS_MAX_CONNECTIONS_REACHED = 809; ERROR_MPS_CLIENT_TERMINATED = 810; ERROR_CDP_NOT_SUPPORTED = 811;
        ERROR_CDP_VERSION_MISMATCH = 812; ERROR_STREAM_CAPTURE_UNSUPPORTED = 900; ERROR_STREAM_CAPTURE_INVALIDATED = 901; ERROR_STREAM_CAPTURE_MERGE = 902;
        ERROR_STREAM_CAPTURE_UNMATCHED = 903; ERROR_STREAM_CAPTURE_UNJOINED = 904; ERROR_STREAM_CAPTURE_ISOLATION = 905; ERROR_STREAM_CAPTURE_IMPLICIT = 906;
        ERROR_CAPTURED_EVENT = 907; ERROR_STREAM_CAPTURE_WRONG_THREAD = 908; ERROR_TIMEOUT = 909; ERROR_GRAPH_EXEC_UPDATE_FAILURE = 910;
        ERROR_EXTERNAL_DEVICE = 911; ERROR_INVALID_CLUSTER_SIZE = 912; ERROR_FUNCTION_NOT_LOADED = 913; ERROR_INVALID_RESOURCE_TYPE = 914;
        ERROR_INVALID_RESOURCE_CONFIGURATION = 915; ERROR_KEY_ROTATION = 916; ERROR_STREAM_DETACHED = 917; ERROR_UNKNOWN = 999;
    }

    /// Whether a code poisons the context: every later call returns it too.
    #[must_use]
    pub const fn is_sticky(code: i32) -> bool {
        matches!(
            code,
            ERROR_ECC_UNCORRECTABLE
                | ERROR_NVLINK_UNCORRECTABLE
                | ERROR_CONTAINED
                | ERROR_ILLEGAL_ADDRESS
                | ERROR_LAUNCH_TIMEOUT
                | ERROR_ASSERT
                | ERROR_HARDWARE_STACK_ERROR
                | ERROR_ILLEGAL_INSTRUCTION
                | ERROR_MISALIGNED_ADDRESS
                | ERROR_INVALID_ADDRESS_SPACE
                | ERROR_INVALID_PC
                | ERROR_LAUNCH_FAILED
                | ERROR_TENSOR_MEMORY_LEAK
                | ERROR_EXTERNAL_DEVICE
        )
    }
}
