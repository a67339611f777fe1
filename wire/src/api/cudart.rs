//! Every function of the CUDA runtime API that `libcudart.so.12` or `libcudart.so.13` exports, declared once.
//!
//! A row is `class [majors] fn name | per_thread_name(parameters) -> result;`:
//!
//! * `class` says what a call costs (`local`, `async`, `sync`, `implicit_sync`, see [`Class`](super::Class)) or `unsupported`: the symbol exists and
//!   returns `cudaErrorNotSupported`. Rows of symbols whose parameters NVIDIA's runtime headers do not declare have none here.
//! * `majors` lists the libraries that export the function with these parameters; a function whose parameters changed has a row for each.
//! * `per_thread_name` is the variant that programs built with `--default-stream per-thread` call (`_ptsz`, `_ptds`); absent where there is none.
//! * `-> result` stands where the function returns something other than `cudaError_t`.
//! * the group names NVIDIA's page: `https://docs.nvidia.com/cuda/cuda-runtime-api/group__<group>.html`; `registration` holds what nvcc's generated code calls.
//!
//! Exports of the runtime frontends and the rows of `STATUS.md` derive from it.
//!
//! # Example
//! ```
//! macro_rules! names { ($(group $g:literal { $($class:ident [$($major:literal)*] fn $name:ident $(| $pt:ident)? ($($p:ident: $t:ty),*) $(-> $r:ty)?;)* })*) => {
//!     const NAMES: &[&str] = &[$($(stringify!($name),)*)*];
//! } }
//! gvirtus_wire::cudart_api!(names);
//! assert!(NAMES.contains(&"cudaLaunchKernel"));
//! ```

/// Hands every declaration to the macro named in the argument.
#[macro_export]
#[rustfmt::skip]
macro_rules! cudart_api { ($($callback:ident)::+) => { $($callback)::+! {
    group "CUDART__DEVICE" {
        sync [12 13] fn cudaDeviceReset();
        sync [12 13] fn cudaDeviceSynchronize();
        sync [12 13] fn cudaDeviceSetLimit(limit: u32, value: usize);
        local [12 13] fn cudaDeviceGetLimit(pValue: *mut usize, limit: u32);
        sync [12 13] fn cudaDeviceGetTexture1DLinearMaxWidth(maxWidthInElements: *mut usize, fmtDesc: *const cudaChannelFormatDesc, device: i32);
        local [12 13] fn cudaDeviceGetCacheConfig(pCacheConfig: *mut u32);
        local [12 13] fn cudaDeviceGetStreamPriorityRange(leastPriority: *mut i32, greatestPriority: *mut i32);
        local [12 13] fn cudaDeviceSetCacheConfig(cacheConfig: u32);
        local [12 13] fn cudaDeviceGetByPCIBusId(device: *mut i32, pciBusId: *const c_char);
        local [12 13] fn cudaDeviceGetPCIBusId(pciBusId: *mut c_char, len: i32, device: i32);
        sync [12 13] fn cudaIpcGetEventHandle(handle: *mut cudaIpcEventHandle_t, event: cudaEvent_t);
        sync [12 13] fn cudaIpcOpenEventHandle(event: *mut cudaEvent_t, handle: cudaIpcEventHandle_t);
        sync [12 13] fn cudaIpcGetMemHandle(handle: *mut cudaIpcMemHandle_t, devPtr: *mut c_void);
        sync [12 13] fn cudaIpcOpenMemHandle(devPtr: *mut *mut c_void, handle: cudaIpcMemHandle_t, flags: u32);
        sync [12 13] fn cudaIpcCloseMemHandle(devPtr: *mut c_void);
        local [12 13] fn cudaDeviceFlushGPUDirectRDMAWrites(target: u32, scope: u32);
        local [12 13] fn cudaDeviceRegisterAsyncNotification(device: i32, callbackFunc: *mut c_void, userData: *mut c_void, callback: *mut cudaAsyncCallbackHandle_t);
        local [12 13] fn cudaDeviceUnregisterAsyncNotification(device: i32, callback: cudaAsyncCallbackHandle_t);
        local [12] fn cudaGetDeviceProperties_v2(prop: *mut cudaDeviceProp, device: i32);
    }
    group "CUDART__DEVICE__DEPRECATED" {
        local [12 13] fn cudaDeviceGetSharedMemConfig(pConfig: *mut u32);
        local [12 13] fn cudaDeviceSetSharedMemConfig(config: u32);
    }
    group "CUDART__ERROR" {
        local [12 13] fn cudaGetLastError();
        local [12 13] fn cudaPeekAtLastError();
        local [12 13] fn cudaGetErrorName(error: cudaError_t) -> *const c_char;
        local [12 13] fn cudaGetErrorString(error: cudaError_t) -> *const c_char;
        local [12 13] fn cudaGetDeviceCount(count: *mut i32);
        local [12 13] fn cudaGetDeviceProperties(prop: *mut cudaDeviceProp, device: i32);
        local [12 13] fn cudaDeviceGetAttribute(value: *mut i32, attr: u32, device: i32);
        local [13] fn cudaDeviceGetHostAtomicCapabilities(capabilities: *mut u32, operations: *const u32, count: u32, device: i32);
        local [12 13] fn cudaDeviceGetDefaultMemPool(memPool: *mut cudaMemPool_t, device: i32);
        local [12 13] fn cudaDeviceSetMemPool(device: i32, memPool: cudaMemPool_t);
        local [12 13] fn cudaDeviceGetMemPool(memPool: *mut cudaMemPool_t, device: i32);
        unsupported [12 13] fn cudaDeviceGetNvSciSyncAttributes(nvSciSyncAttrList: *mut c_void, device: i32, flags: i32);
        local [12 13] fn cudaDeviceGetP2PAttribute(value: *mut i32, attr: u32, srcDevice: i32, dstDevice: i32);
        local [13] fn cudaDeviceGetP2PAtomicCapabilities(capabilities: *mut u32, operations: *const u32, count: u32, srcDevice: i32, dstDevice: i32);
        local [12 13] fn cudaChooseDevice(device: *mut i32, prop: *const cudaDeviceProp);
        local [12 13] fn cudaInitDevice(device: i32, deviceFlags: u32, flags: u32);
        local [12 13] fn cudaSetDevice(device: i32);
        local [12 13] fn cudaGetDevice(device: *mut i32);
        local [12 13] fn cudaSetValidDevices(device_arr: *mut i32, len: i32);
        local [12 13] fn cudaSetDeviceFlags(flags: u32);
        local [12 13] fn cudaGetDeviceFlags(flags: *mut u32);
    }
    group "CUDART__STREAM" {
        async [12 13] fn cudaStreamCreate(pStream: *mut cudaStream_t);
        async [12 13] fn cudaStreamCreateWithFlags(pStream: *mut cudaStream_t, flags: u32);
        async [12 13] fn cudaStreamCreateWithPriority(pStream: *mut cudaStream_t, flags: u32, priority: i32);
        sync [12 13] fn cudaCtxResetPersistingL2Cache();
        async [12 13] fn cudaStreamDestroy(stream: cudaStream_t);
        local [12 13] fn cudaThreadExchangeStreamCaptureMode(mode: *mut u32);
        local [12 13] fn cudaStreamQuery | cudaStreamQuery_ptsz(stream: cudaStream_t);
        local [12 13] fn cudaStreamGetDevice | cudaStreamGetDevice_ptsz(hStream: cudaStream_t, device: *mut i32);
        local [12 13] fn cudaStreamGetFlags | cudaStreamGetFlags_ptsz(hStream: cudaStream_t, flags: *mut u32);
        local [12 13] fn cudaStreamGetId | cudaStreamGetId_ptsz(hStream: cudaStream_t, streamId: *mut u64);
        local [12 13] fn cudaStreamGetPriority | cudaStreamGetPriority_ptsz(hStream: cudaStream_t, priority: *mut i32);
        async [12 13] fn cudaStreamWaitEvent | cudaStreamWaitEvent_ptsz(stream: cudaStream_t, event: cudaEvent_t, flags: u32);
        async [12 13] fn cudaStreamAddCallback | cudaStreamAddCallback_ptsz(stream: cudaStream_t, callback: cudaStreamCallback_t, userData: *mut c_void, flags: u32);
        local [12 13] fn cudaStreamAttachMemAsync | cudaStreamAttachMemAsync_ptsz(stream: cudaStream_t, devPtr: *mut c_void, length: usize, flags: u32);
        sync [12 13] fn cudaStreamSynchronize | cudaStreamSynchronize_ptsz(stream: cudaStream_t);
        sync [12 13] fn cudaStreamBeginCapture | cudaStreamBeginCapture_ptsz(stream: cudaStream_t, mode: u32);
        sync [12 13] fn cudaStreamBeginCaptureToGraph | cudaStreamBeginCaptureToGraph_ptsz(stream: cudaStream_t, graph: cudaGraph_t, dependencies: *const cudaGraphNode_t, dependencyData: *const c_void, numDependencies: usize, mode: u32);
        sync [12 13] fn cudaStreamEndCapture | cudaStreamEndCapture_ptsz(stream: cudaStream_t, pGraph: *mut cudaGraph_t);
        local [12 13] fn cudaStreamIsCapturing | cudaStreamIsCapturing_ptsz(stream: cudaStream_t, pCaptureStatus: *mut u32);
        local [12] fn cudaStreamGetCaptureInfo | cudaStreamGetCaptureInfo_ptsz(stream: cudaStream_t, captureStatus_out: *mut u32, id_out: *mut u64);
        local [13] fn cudaStreamGetCaptureInfo | cudaStreamGetCaptureInfo_ptsz(stream: cudaStream_t, captureStatus_out: *mut u32, id_out: *mut u64, graph_out: *mut cudaGraph_t, dependencies_out: *mut *const cudaGraphNode_t, edgeData_out: *mut *const c_void, numDependencies_out: *mut usize);
        local [12] fn cudaStreamGetCaptureInfo_v3 | cudaStreamGetCaptureInfo_v3_ptsz(stream: cudaStream_t, captureStatus_out: *mut u32, id_out: *mut u64, graph_out: *mut cudaGraph_t, dependencies_out: *mut *const cudaGraphNode_t, edgeData_out: *mut *const c_void, numDependencies_out: *mut usize);
        local [12] fn cudaStreamUpdateCaptureDependencies | cudaStreamUpdateCaptureDependencies_ptsz(stream: cudaStream_t, dependencies: *mut cudaGraphNode_t, numDependencies: usize, flags: u32);
        local [13] fn cudaStreamUpdateCaptureDependencies | cudaStreamUpdateCaptureDependencies_ptsz(stream: cudaStream_t, dependencies: *mut cudaGraphNode_t, dependencyData: *const c_void, numDependencies: usize, flags: u32);
        local [12] fn cudaStreamUpdateCaptureDependencies_v2 | cudaStreamUpdateCaptureDependencies_v2_ptsz(stream: cudaStream_t, dependencies: *mut cudaGraphNode_t, dependencyData: *const c_void, numDependencies: usize, flags: u32);
        sync [12 13] fn cudaStreamCopyAttributes | cudaStreamCopyAttributes_ptsz(dstStream: cudaStream_t, srcStream: cudaStream_t);
        sync [12 13] fn cudaStreamGetAttribute | cudaStreamGetAttribute_ptsz(stream: cudaStream_t, attr: u32, value: *mut cudaLaunchAttributeValue);
        sync [12 13] fn cudaStreamSetAttribute | cudaStreamSetAttribute_ptsz(stream: cudaStream_t, attr: u32, param: *const cudaLaunchAttributeValue);
    }
    group "CUDART__EVENT" {
        async [12 13] fn cudaEventCreate(event: *mut cudaEvent_t);
        async [12 13] fn cudaEventCreateWithFlags(event: *mut cudaEvent_t, flags: u32);
        local [12 13] fn cudaEventQuery(event: cudaEvent_t);
        sync [12 13] fn cudaEventSynchronize(event: cudaEvent_t);
        async [12 13] fn cudaEventDestroy(event: cudaEvent_t);
        sync [12 13] fn cudaEventElapsedTime(ms: *mut f32, start: cudaEvent_t, end: cudaEvent_t);
        sync [12] fn cudaEventElapsedTime_v2(ms: *mut f32, start: cudaEvent_t, end: cudaEvent_t);
        async [12 13] fn cudaEventRecord | cudaEventRecord_ptsz(event: cudaEvent_t, stream: cudaStream_t);
        async [12 13] fn cudaEventRecordWithFlags | cudaEventRecordWithFlags_ptsz(event: cudaEvent_t, stream: cudaStream_t, flags: u32);
    }
    group "CUDART__EXTRES__INTEROP" {
        unsupported [12 13] fn cudaImportExternalMemory(extMem_out: *mut cudaExternalMemory_t, memHandleDesc: *const c_void);
        unsupported [12 13] fn cudaExternalMemoryGetMappedBuffer(devPtr: *mut *mut c_void, extMem: cudaExternalMemory_t, bufferDesc: *const c_void);
        unsupported [12 13] fn cudaExternalMemoryGetMappedMipmappedArray(mipmap: *mut cudaMipmappedArray_t, extMem: cudaExternalMemory_t, mipmapDesc: *const c_void);
        unsupported [12 13] fn cudaDestroyExternalMemory(extMem: cudaExternalMemory_t);
        unsupported [12 13] fn cudaImportExternalSemaphore(extSem_out: *mut cudaExternalSemaphore_t, semHandleDesc: *const c_void);
        unsupported [12 13] fn cudaDestroyExternalSemaphore(extSem: cudaExternalSemaphore_t);
        unsupported [12 13] fn cudaSignalExternalSemaphoresAsync | cudaSignalExternalSemaphoresAsync_ptsz(extSemArray: *const cudaExternalSemaphore_t, paramsArray: *const c_void, numExtSems: u32, stream: cudaStream_t);
        unsupported [12 13] fn cudaWaitExternalSemaphoresAsync | cudaWaitExternalSemaphoresAsync_ptsz(extSemArray: *const cudaExternalSemaphore_t, paramsArray: *const c_void, numExtSems: u32, stream: cudaStream_t);
    }
    group "CUDART__EXECUTION" {
        local [12 13] fn cudaFuncSetCacheConfig(func: *const c_void, cacheConfig: u32);
        local [12 13] fn cudaFuncGetAttributes(attr: *mut cudaFuncAttributes, func: *const c_void);
        local [12 13] fn cudaFuncSetAttribute(func: *const c_void, attr: u32, value: i32);
        local [12 13] fn cudaFuncGetName(name: *mut *const c_char, func: *const c_void);
        local [12 13] fn cudaFuncGetParamInfo(func: *const c_void, paramIndex: usize, paramOffset: *mut usize, paramSize: *mut usize);
        async [12 13] fn cudaLaunchKernel | cudaLaunchKernel_ptsz(func: *const c_void, gridDim: dim3, blockDim: dim3, args: *mut *mut c_void, sharedMem: usize, stream: cudaStream_t);
        async [12 13] fn cudaLaunchKernelExC | cudaLaunchKernelExC_ptsz(config: *const cudaLaunchConfig_t, func: *const c_void, args: *mut *mut c_void);
        async [12 13] fn cudaLaunchCooperativeKernel | cudaLaunchCooperativeKernel_ptsz(func: *const c_void, gridDim: dim3, blockDim: dim3, args: *mut *mut c_void, sharedMem: usize, stream: cudaStream_t);
        async [12 13] fn cudaLaunchHostFunc | cudaLaunchHostFunc_ptsz(stream: cudaStream_t, fn_: cudaHostFn_t, userData: *mut c_void);
        async [12] fn cudaLaunchCooperativeKernelMultiDevice(launchParamsList: *mut c_void, numDevices: u32, flags: u32);
        local [12] fn cudaSetDoubleForDevice(d: *mut f64);
        local [12] fn cudaSetDoubleForHost(d: *mut f64);
    }
    group "CUDART__EXECUTION__DEPRECATED" {
        local [12 13] fn cudaFuncSetSharedMemConfig(func: *const c_void, config: u32);
    }
    group "CUDART__OCCUPANCY" {
        local [12 13] fn cudaOccupancyMaxActiveBlocksPerMultiprocessor(numBlocks: *mut i32, func: *const c_void, blockSize: i32, dynamicSMemSize: usize);
        local [12 13] fn cudaOccupancyAvailableDynamicSMemPerBlock(dynamicSmemSize: *mut usize, func: *const c_void, numBlocks: i32, blockSize: i32);
        local [12 13] fn cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(numBlocks: *mut i32, func: *const c_void, blockSize: i32, dynamicSMemSize: usize, flags: u32);
        sync [12 13] fn cudaOccupancyMaxPotentialClusterSize(clusterSize: *mut i32, func: *const c_void, launchConfig: *const cudaLaunchConfig_t);
        sync [12 13] fn cudaOccupancyMaxActiveClusters(numClusters: *mut i32, func: *const c_void, launchConfig: *const cudaLaunchConfig_t);
    }
    group "CUDART__MEMORY" {
        async [12 13] fn cudaMallocManaged(devPtr: *mut *mut c_void, size: usize, flags: u32);
        local [12 13] fn cudaMalloc(devPtr: *mut *mut c_void, size: usize);
        sync [12 13] fn cudaMallocHost(ptr: *mut *mut c_void, size: usize);
        local [12 13] fn cudaMallocPitch(devPtr: *mut *mut c_void, pitch: *mut usize, width: usize, height: usize);
        sync [12 13] fn cudaMallocArray(array: *mut cudaArray_t, desc: *const cudaChannelFormatDesc, width: usize, height: usize, flags: u32);
        implicit_sync [12 13] fn cudaFree(devPtr: *mut c_void);
        implicit_sync [12 13] fn cudaFreeHost(ptr: *mut c_void);
        implicit_sync [12 13] fn cudaFreeArray(array: cudaArray_t);
        implicit_sync [12 13] fn cudaFreeMipmappedArray(mipmappedArray: cudaMipmappedArray_t);
        sync [12 13] fn cudaHostAlloc(pHost: *mut *mut c_void, size: usize, flags: u32);
        sync [12 13] fn cudaHostRegister(ptr: *mut c_void, size: usize, flags: u32);
        implicit_sync [12 13] fn cudaHostUnregister(ptr: *mut c_void);
        local [12 13] fn cudaHostGetDevicePointer(pDevice: *mut *mut c_void, pHost: *mut c_void, flags: u32);
        local [12 13] fn cudaHostGetFlags(pFlags: *mut u32, pHost: *mut c_void);
        local [12 13] fn cudaMalloc3D(pitchedDevPtr: *mut cudaPitchedPtr, extent: cudaExtent);
        sync [12 13] fn cudaMalloc3DArray(array: *mut cudaArray_t, desc: *const cudaChannelFormatDesc, extent: cudaExtent, flags: u32);
        sync [12 13] fn cudaMallocMipmappedArray(mipmappedArray: *mut cudaMipmappedArray_t, desc: *const cudaChannelFormatDesc, extent: cudaExtent, numLevels: u32, flags: u32);
        async [12 13] fn cudaGetMipmappedArrayLevel(levelArray: *mut cudaArray_t, mipmappedArray: cudaMipmappedArray_const_t, level: u32);
        sync [12 13] fn cudaMemGetInfo(free: *mut usize, total: *mut usize);
        local [12 13] fn cudaArrayGetInfo(desc: *mut cudaChannelFormatDesc, extent: *mut cudaExtent, flags: *mut u32, array: cudaArray_t);
        sync [12 13] fn cudaArrayGetPlane(pPlaneArray: *mut cudaArray_t, hArray: cudaArray_t, planeIdx: u32);
        sync [12 13] fn cudaArrayGetMemoryRequirements(memoryRequirements: *mut cudaArrayMemoryRequirements, array: cudaArray_t, device: i32);
        sync [12 13] fn cudaMipmappedArrayGetMemoryRequirements(memoryRequirements: *mut cudaArrayMemoryRequirements, mipmap: cudaMipmappedArray_t, device: i32);
        sync [12 13] fn cudaArrayGetSparseProperties(sparseProperties: *mut cudaArraySparseProperties, array: cudaArray_t);
        sync [12 13] fn cudaMipmappedArrayGetSparseProperties(sparseProperties: *mut cudaArraySparseProperties, mipmap: cudaMipmappedArray_t);
        sync [12 13] fn cudaMemcpyPeer(dst: *mut c_void, dstDevice: i32, src: *const c_void, srcDevice: i32, count: usize);
        async [12 13] fn cudaMemcpyPeerAsync(dst: *mut c_void, dstDevice: i32, src: *const c_void, srcDevice: i32, count: usize, stream: cudaStream_t);
        sync [12 13] fn cudaGetSymbolAddress(devPtr: *mut *mut c_void, symbol: *const c_void);
        local [12 13] fn cudaGetSymbolSize(size: *mut usize, symbol: *const c_void);
        local [12] fn cudaMemAdvise(devPtr: *const c_void, count: usize, advice: u32, device: i32);
        local [13] fn cudaMemAdvise(devPtr: *const c_void, count: usize, advice: u32, location: cudaMemLocation);
        local [12] fn cudaMemAdvise_v2(devPtr: *const c_void, count: usize, advice: u32, location: cudaMemLocation);
        local [12 13] fn cudaMemRangeGetAttribute(data: *mut c_void, dataSize: usize, attribute: u32, devPtr: *const c_void, count: usize);
        local [12 13] fn cudaMemRangeGetAttributes(data: *mut *mut c_void, dataSizes: *mut usize, attributes: *mut u32, numAttributes: usize, devPtr: *const c_void, count: usize);
        sync [12 13] fn cudaMemcpy | cudaMemcpy_ptds(dst: *mut c_void, src: *const c_void, count: usize, kind: u32);
        sync [12 13] fn cudaMemcpyToSymbol | cudaMemcpyToSymbol_ptds(symbol: *const c_void, src: *const c_void, count: usize, offset: usize, kind: u32);
        sync [12 13] fn cudaMemcpyFromSymbol | cudaMemcpyFromSymbol_ptds(dst: *mut c_void, symbol: *const c_void, count: usize, offset: usize, kind: u32);
        sync [12 13] fn cudaMemcpy2D | cudaMemcpy2D_ptds(dst: *mut c_void, dpitch: usize, src: *const c_void, spitch: usize, width: usize, height: usize, kind: u32);
        sync [12 13] fn cudaMemcpy2DToArray | cudaMemcpy2DToArray_ptds(dst: cudaArray_t, wOffset: usize, hOffset: usize, src: *const c_void, spitch: usize, width: usize, height: usize, kind: u32);
        sync [12 13] fn cudaMemcpy2DFromArray | cudaMemcpy2DFromArray_ptds(dst: *mut c_void, dpitch: usize, src: cudaArray_const_t, wOffset: usize, hOffset: usize, width: usize, height: usize, kind: u32);
        async [12 13] fn cudaMemcpy2DArrayToArray | cudaMemcpy2DArrayToArray_ptds(dst: cudaArray_t, wOffsetDst: usize, hOffsetDst: usize, src: cudaArray_const_t, wOffsetSrc: usize, hOffsetSrc: usize, width: usize, height: usize, kind: u32);
        sync [12 13] fn cudaMemcpy3D | cudaMemcpy3D_ptds(p: *const cudaMemcpy3DParms);
        sync [12 13] fn cudaMemcpy3DPeer | cudaMemcpy3DPeer_ptds(p: *const cudaMemcpy3DPeerParms);
        async [12] fn cudaMemcpyBatchAsync | cudaMemcpyBatchAsync_ptsz(dsts: *mut *mut c_void, srcs: *mut *mut c_void, sizes: *mut usize, count: usize, attrs: *mut c_void, attrsIdxs: *mut usize, numAttrs: usize, failIdx: *mut usize, stream: cudaStream_t);
        async [13] fn cudaMemcpyBatchAsync | cudaMemcpyBatchAsync_ptsz(dsts: *const *mut c_void, srcs: *const *const c_void, sizes: *const usize, count: usize, attrs: *mut c_void, attrsIdxs: *mut usize, numAttrs: usize, stream: cudaStream_t);
        async [12] fn cudaMemcpy3DBatchAsync | cudaMemcpy3DBatchAsync_ptsz(numOps: usize, opList: *mut c_void, failIdx: *mut usize, flags: u64, stream: cudaStream_t);
        async [13] fn cudaMemcpy3DBatchAsync | cudaMemcpy3DBatchAsync_ptsz(numOps: usize, opList: *mut c_void, flags: u64, stream: cudaStream_t);
        sync [12 13] fn cudaMemset | cudaMemset_ptds(devPtr: *mut c_void, value: i32, count: usize);
        sync [12 13] fn cudaMemset2D | cudaMemset2D_ptds(devPtr: *mut c_void, pitch: usize, value: i32, width: usize, height: usize);
        sync [12 13] fn cudaMemset3D | cudaMemset3D_ptds(pitchedDevPtr: cudaPitchedPtr, value: i32, extent: cudaExtent);
        async [12 13] fn cudaMemcpyAsync | cudaMemcpyAsync_ptsz(dst: *mut c_void, src: *const c_void, count: usize, kind: u32, stream: cudaStream_t);
        async [12 13] fn cudaMemcpyToSymbolAsync | cudaMemcpyToSymbolAsync_ptsz(symbol: *const c_void, src: *const c_void, count: usize, offset: usize, kind: u32, stream: cudaStream_t);
        async [12 13] fn cudaMemcpyFromSymbolAsync | cudaMemcpyFromSymbolAsync_ptsz(dst: *mut c_void, symbol: *const c_void, count: usize, offset: usize, kind: u32, stream: cudaStream_t);
        async [12 13] fn cudaMemcpy2DAsync | cudaMemcpy2DAsync_ptsz(dst: *mut c_void, dpitch: usize, src: *const c_void, spitch: usize, width: usize, height: usize, kind: u32, stream: cudaStream_t);
        async [12 13] fn cudaMemcpy2DToArrayAsync | cudaMemcpy2DToArrayAsync_ptsz(dst: cudaArray_t, wOffset: usize, hOffset: usize, src: *const c_void, spitch: usize, width: usize, height: usize, kind: u32, stream: cudaStream_t);
        async [12 13] fn cudaMemcpy2DFromArrayAsync | cudaMemcpy2DFromArrayAsync_ptsz(dst: *mut c_void, dpitch: usize, src: cudaArray_const_t, wOffset: usize, hOffset: usize, width: usize, height: usize, kind: u32, stream: cudaStream_t);
        async [12 13] fn cudaMemcpy3DAsync | cudaMemcpy3DAsync_ptsz(p: *const cudaMemcpy3DParms, stream: cudaStream_t);
        async [12 13] fn cudaMemcpy3DPeerAsync | cudaMemcpy3DPeerAsync_ptsz(p: *const cudaMemcpy3DPeerParms, stream: cudaStream_t);
        async [12 13] fn cudaMemsetAsync | cudaMemsetAsync_ptsz(devPtr: *mut c_void, value: i32, count: usize, stream: cudaStream_t);
        async [12 13] fn cudaMemset2DAsync | cudaMemset2DAsync_ptsz(devPtr: *mut c_void, pitch: usize, value: i32, width: usize, height: usize, stream: cudaStream_t);
        async [12 13] fn cudaMemset3DAsync | cudaMemset3DAsync_ptsz(pitchedDevPtr: cudaPitchedPtr, value: i32, extent: cudaExtent, stream: cudaStream_t);
        async [12] fn cudaMemPrefetchAsync | cudaMemPrefetchAsync_ptsz(devPtr: *const c_void, count: usize, dstDevice: i32, stream: cudaStream_t);
        async [13] fn cudaMemPrefetchAsync | cudaMemPrefetchAsync_ptsz(devPtr: *const c_void, count: usize, location: cudaMemLocation, flags: u32, stream: cudaStream_t);
        async [12] fn cudaMemPrefetchAsync_v2 | cudaMemPrefetchAsync_v2_ptsz(devPtr: *const c_void, count: usize, location: cudaMemLocation, flags: u32, stream: cudaStream_t);
        async [13] fn cudaMemPrefetchBatchAsync | cudaMemPrefetchBatchAsync_ptsz(dptrs: *mut *mut c_void, sizes: *mut usize, count: usize, prefetchLocs: *mut cudaMemLocation, prefetchLocIdxs: *mut usize, numPrefetchLocs: usize, flags: u64, stream: cudaStream_t);
        async [13] fn cudaMemDiscardBatchAsync | cudaMemDiscardBatchAsync_ptsz(dptrs: *mut *mut c_void, sizes: *mut usize, count: usize, flags: u64, stream: cudaStream_t);
        async [13] fn cudaMemDiscardAndPrefetchBatchAsync | cudaMemDiscardAndPrefetchBatchAsync_ptsz(dptrs: *mut *mut c_void, sizes: *mut usize, count: usize, prefetchLocs: *mut cudaMemLocation, prefetchLocIdxs: *mut usize, numPrefetchLocs: usize, flags: u64, stream: cudaStream_t);
    }
    group "CUDART__MEMORY__POOLS" {
        sync [12 13] fn cudaMemPoolTrimTo(memPool: cudaMemPool_t, minBytesToKeep: usize);
        sync [12 13] fn cudaMemPoolSetAttribute(memPool: cudaMemPool_t, attr: u32, value: *mut c_void);
        sync [12 13] fn cudaMemPoolGetAttribute(memPool: cudaMemPool_t, attr: u32, value: *mut c_void);
        sync [12 13] fn cudaMemPoolSetAccess(memPool: cudaMemPool_t, descList: *const c_void, count: usize);
        sync [12 13] fn cudaMemPoolGetAccess(flags: *mut u32, memPool: cudaMemPool_t, location: *mut cudaMemLocation);
        sync [12 13] fn cudaMemPoolCreate(memPool: *mut cudaMemPool_t, poolProps: *const c_void);
        sync [12 13] fn cudaMemPoolDestroy(memPool: cudaMemPool_t);
        local [13] fn cudaMemGetDefaultMemPool(memPool: *mut cudaMemPool_t, location: *mut cudaMemLocation, type_: u32);
        local [13] fn cudaMemGetMemPool(memPool: *mut cudaMemPool_t, location: *mut cudaMemLocation, type_: u32);
        local [13] fn cudaMemSetMemPool(location: *mut cudaMemLocation, type_: u32, memPool: cudaMemPool_t);
        sync [12 13] fn cudaMemPoolExportToShareableHandle(shareableHandle: *mut c_void, memPool: cudaMemPool_t, handleType: u32, flags: u32);
        sync [12 13] fn cudaMemPoolImportFromShareableHandle(memPool: *mut cudaMemPool_t, shareableHandle: *mut c_void, handleType: u32, flags: u32);
        sync [12 13] fn cudaMemPoolExportPointer(exportData: *mut c_void, ptr: *mut c_void);
        sync [12 13] fn cudaMemPoolImportPointer(ptr: *mut *mut c_void, memPool: cudaMemPool_t, exportData: *mut c_void);
        async [12 13] fn cudaMallocAsync | cudaMallocAsync_ptsz(devPtr: *mut *mut c_void, size: usize, hStream: cudaStream_t);
        async [12 13] fn cudaFreeAsync | cudaFreeAsync_ptsz(devPtr: *mut c_void, hStream: cudaStream_t);
        async [12 13] fn cudaMallocFromPoolAsync | cudaMallocFromPoolAsync_ptsz(ptr: *mut *mut c_void, size: usize, memPool: cudaMemPool_t, stream: cudaStream_t);
    }
    group "CUDART__UNIFIED" {
        local [12 13] fn cudaPointerGetAttributes(attributes: *mut cudaPointerAttributes, ptr: *const c_void);
    }
    group "CUDART__PEER" {
        local [12 13] fn cudaDeviceCanAccessPeer(canAccessPeer: *mut i32, device: i32, peerDevice: i32);
        local [12 13] fn cudaDeviceEnablePeerAccess(peerDevice: i32, flags: u32);
        local [12 13] fn cudaDeviceDisablePeerAccess(peerDevice: i32);
    }
    group "CUDART__INTEROP" {
        unsupported [12 13] fn cudaGraphicsUnregisterResource(resource: cudaGraphicsResource_t);
        unsupported [12 13] fn cudaGraphicsResourceSetMapFlags(resource: cudaGraphicsResource_t, flags: u32);
        unsupported [12 13] fn cudaGraphicsMapResources(count: i32, resources: *mut cudaGraphicsResource_t, stream: cudaStream_t);
        unsupported [12 13] fn cudaGraphicsUnmapResources(count: i32, resources: *mut cudaGraphicsResource_t, stream: cudaStream_t);
        unsupported [12 13] fn cudaGraphicsResourceGetMappedPointer(devPtr: *mut *mut c_void, size: *mut usize, resource: cudaGraphicsResource_t);
        unsupported [12 13] fn cudaGraphicsSubResourceGetMappedArray(array: *mut cudaArray_t, resource: cudaGraphicsResource_t, arrayIndex: u32, mipLevel: u32);
        unsupported [12 13] fn cudaGraphicsResourceGetMappedMipmappedArray(mipmappedArray: *mut cudaMipmappedArray_t, resource: cudaGraphicsResource_t);
    }
    group "CUDART__TEXTURE__OBJECT" {
        local [12 13] fn cudaGetChannelDesc(desc: *mut cudaChannelFormatDesc, array: cudaArray_const_t);
        local [12 13] fn cudaCreateChannelDesc(x: i32, y: i32, z: i32, w: i32, f: u32) -> cudaChannelFormatDesc;
        sync [12 13] fn cudaCreateTextureObject(pTexObject: *mut cudaTextureObject_t, pResDesc: *const cudaResourceDesc, pTexDesc: *const cudaTextureDesc, pResViewDesc: *const cudaResourceViewDesc);
        async [12 13] fn cudaDestroyTextureObject(texObject: cudaTextureObject_t);
        local [12 13] fn cudaGetTextureObjectResourceDesc(pResDesc: *mut cudaResourceDesc, texObject: cudaTextureObject_t);
        local [12 13] fn cudaGetTextureObjectTextureDesc(pTexDesc: *mut cudaTextureDesc, texObject: cudaTextureObject_t);
        local [12 13] fn cudaGetTextureObjectResourceViewDesc(pResViewDesc: *mut cudaResourceViewDesc, texObject: cudaTextureObject_t);
    }
    group "CUDART__SURFACE__OBJECT" {
        sync [12 13] fn cudaCreateSurfaceObject(pSurfObject: *mut cudaSurfaceObject_t, pResDesc: *const cudaResourceDesc);
        async [12 13] fn cudaDestroySurfaceObject(surfObject: cudaSurfaceObject_t);
        local [12 13] fn cudaGetSurfaceObjectResourceDesc(pResDesc: *mut cudaResourceDesc, surfObject: cudaSurfaceObject_t);
    }
    group "CUDART__VERSION" {
        local [12 13] fn cudaDriverGetVersion(driverVersion: *mut i32);
        local [12 13] fn cudaRuntimeGetVersion(runtimeVersion: *mut i32);
    }
    group "CUDART__LOGS" {
        local [13] fn cudaLogsRegisterCallback(callbackFunc: *mut c_void, userData: *mut c_void, callback_out: *mut cudaLogsCallbackHandle);
        local [13] fn cudaLogsUnregisterCallback(callback: cudaLogsCallbackHandle);
        local [13] fn cudaLogsCurrent(iterator_out: *mut u32, flags: u32);
        local [13] fn cudaLogsDumpToFile(iterator: *mut u32, pathToFile: *const c_char, flags: u32);
        local [13] fn cudaLogsDumpToMemory(iterator: *mut u32, buffer: *mut c_char, size: *mut usize, flags: u32);
    }
    group "CUDART__GRAPH" {
        local [12 13] fn cudaGraphCreate(pGraph: *mut cudaGraph_t, flags: u32);
        local [12 13] fn cudaGraphAddKernelNode(pGraphNode: *mut cudaGraphNode_t, graph: cudaGraph_t, pDependencies: *const cudaGraphNode_t, numDependencies: usize, pNodeParams: *const c_void);
        local [12 13] fn cudaGraphKernelNodeGetParams(node: cudaGraphNode_t, pNodeParams: *mut c_void);
        local [12 13] fn cudaGraphKernelNodeSetParams(node: cudaGraphNode_t, pNodeParams: *const c_void);
        local [12] fn cudaGraphKernelNodeCopyAttributes(hSrc: cudaGraphNode_t, hDst: cudaGraphNode_t);
        local [13] fn cudaGraphKernelNodeCopyAttributes(hDst: cudaGraphNode_t, hSrc: cudaGraphNode_t);
        local [12 13] fn cudaGraphKernelNodeGetAttribute(hNode: cudaGraphNode_t, attr: u32, value_out: *mut cudaLaunchAttributeValue);
        sync [12 13] fn cudaGraphKernelNodeSetAttribute(hNode: cudaGraphNode_t, attr: u32, value: *const cudaLaunchAttributeValue);
        local [12 13] fn cudaGraphAddMemcpyNode(pGraphNode: *mut cudaGraphNode_t, graph: cudaGraph_t, pDependencies: *const cudaGraphNode_t, numDependencies: usize, pCopyParams: *const cudaMemcpy3DParms);
        local [12 13] fn cudaGraphAddMemcpyNodeToSymbol(pGraphNode: *mut cudaGraphNode_t, graph: cudaGraph_t, pDependencies: *const cudaGraphNode_t, numDependencies: usize, symbol: *const c_void, src: *const c_void, count: usize, offset: usize, kind: u32);
        local [12 13] fn cudaGraphAddMemcpyNodeFromSymbol(pGraphNode: *mut cudaGraphNode_t, graph: cudaGraph_t, pDependencies: *const cudaGraphNode_t, numDependencies: usize, dst: *mut c_void, symbol: *const c_void, count: usize, offset: usize, kind: u32);
        local [12 13] fn cudaGraphAddMemcpyNode1D(pGraphNode: *mut cudaGraphNode_t, graph: cudaGraph_t, pDependencies: *const cudaGraphNode_t, numDependencies: usize, dst: *mut c_void, src: *const c_void, count: usize, kind: u32);
        local [12 13] fn cudaGraphMemcpyNodeGetParams(node: cudaGraphNode_t, pNodeParams: *mut cudaMemcpy3DParms);
        local [12 13] fn cudaGraphMemcpyNodeSetParams(node: cudaGraphNode_t, pNodeParams: *const cudaMemcpy3DParms);
        local [12 13] fn cudaGraphMemcpyNodeSetParamsToSymbol(node: cudaGraphNode_t, symbol: *const c_void, src: *const c_void, count: usize, offset: usize, kind: u32);
        local [12 13] fn cudaGraphMemcpyNodeSetParamsFromSymbol(node: cudaGraphNode_t, dst: *mut c_void, symbol: *const c_void, count: usize, offset: usize, kind: u32);
        local [12 13] fn cudaGraphMemcpyNodeSetParams1D(node: cudaGraphNode_t, dst: *mut c_void, src: *const c_void, count: usize, kind: u32);
        local [12 13] fn cudaGraphAddMemsetNode(pGraphNode: *mut cudaGraphNode_t, graph: cudaGraph_t, pDependencies: *const cudaGraphNode_t, numDependencies: usize, pMemsetParams: *const c_void);
        local [12 13] fn cudaGraphMemsetNodeGetParams(node: cudaGraphNode_t, pNodeParams: *mut c_void);
        local [12 13] fn cudaGraphMemsetNodeSetParams(node: cudaGraphNode_t, pNodeParams: *const c_void);
        local [12 13] fn cudaGraphAddHostNode(pGraphNode: *mut cudaGraphNode_t, graph: cudaGraph_t, pDependencies: *const cudaGraphNode_t, numDependencies: usize, pNodeParams: *const c_void);
        local [12 13] fn cudaGraphHostNodeGetParams(node: cudaGraphNode_t, pNodeParams: *mut c_void);
        local [12 13] fn cudaGraphHostNodeSetParams(node: cudaGraphNode_t, pNodeParams: *const c_void);
        local [12 13] fn cudaGraphAddChildGraphNode(pGraphNode: *mut cudaGraphNode_t, graph: cudaGraph_t, pDependencies: *const cudaGraphNode_t, numDependencies: usize, childGraph: cudaGraph_t);
        local [12 13] fn cudaGraphChildGraphNodeGetGraph(node: cudaGraphNode_t, pGraph: *mut cudaGraph_t);
        local [12 13] fn cudaGraphAddEmptyNode(pGraphNode: *mut cudaGraphNode_t, graph: cudaGraph_t, pDependencies: *const cudaGraphNode_t, numDependencies: usize);
        local [12 13] fn cudaGraphAddEventRecordNode(pGraphNode: *mut cudaGraphNode_t, graph: cudaGraph_t, pDependencies: *const cudaGraphNode_t, numDependencies: usize, event: cudaEvent_t);
        local [12 13] fn cudaGraphEventRecordNodeGetEvent(node: cudaGraphNode_t, event_out: *mut cudaEvent_t);
        local [12 13] fn cudaGraphEventRecordNodeSetEvent(node: cudaGraphNode_t, event: cudaEvent_t);
        local [12 13] fn cudaGraphAddEventWaitNode(pGraphNode: *mut cudaGraphNode_t, graph: cudaGraph_t, pDependencies: *const cudaGraphNode_t, numDependencies: usize, event: cudaEvent_t);
        local [12 13] fn cudaGraphEventWaitNodeGetEvent(node: cudaGraphNode_t, event_out: *mut cudaEvent_t);
        local [12 13] fn cudaGraphEventWaitNodeSetEvent(node: cudaGraphNode_t, event: cudaEvent_t);
        unsupported [12 13] fn cudaGraphAddExternalSemaphoresSignalNode(pGraphNode: *mut cudaGraphNode_t, graph: cudaGraph_t, pDependencies: *const cudaGraphNode_t, numDependencies: usize, nodeParams: *const c_void);
        unsupported [12 13] fn cudaGraphExternalSemaphoresSignalNodeGetParams(hNode: cudaGraphNode_t, params_out: *mut c_void);
        unsupported [12 13] fn cudaGraphExternalSemaphoresSignalNodeSetParams(hNode: cudaGraphNode_t, nodeParams: *const c_void);
        unsupported [12 13] fn cudaGraphAddExternalSemaphoresWaitNode(pGraphNode: *mut cudaGraphNode_t, graph: cudaGraph_t, pDependencies: *const cudaGraphNode_t, numDependencies: usize, nodeParams: *const c_void);
        unsupported [12 13] fn cudaGraphExternalSemaphoresWaitNodeGetParams(hNode: cudaGraphNode_t, params_out: *mut c_void);
        unsupported [12 13] fn cudaGraphExternalSemaphoresWaitNodeSetParams(hNode: cudaGraphNode_t, nodeParams: *const c_void);
        local [12 13] fn cudaGraphAddMemAllocNode(pGraphNode: *mut cudaGraphNode_t, graph: cudaGraph_t, pDependencies: *const cudaGraphNode_t, numDependencies: usize, nodeParams: *mut c_void);
        local [12 13] fn cudaGraphMemAllocNodeGetParams(node: cudaGraphNode_t, params_out: *mut c_void);
        local [12 13] fn cudaGraphAddMemFreeNode(pGraphNode: *mut cudaGraphNode_t, graph: cudaGraph_t, pDependencies: *const cudaGraphNode_t, numDependencies: usize, dptr: *mut c_void);
        local [12 13] fn cudaGraphMemFreeNodeGetParams(node: cudaGraphNode_t, dptr_out: *mut c_void);
        local [12 13] fn cudaDeviceGraphMemTrim(device: i32);
        local [12 13] fn cudaDeviceGetGraphMemAttribute(device: i32, attr: u32, value: *mut c_void);
        local [12 13] fn cudaDeviceSetGraphMemAttribute(device: i32, attr: u32, value: *mut c_void);
        local [12 13] fn cudaGraphClone(pGraphClone: *mut cudaGraph_t, originalGraph: cudaGraph_t);
        local [12 13] fn cudaGraphNodeFindInClone(pNode: *mut cudaGraphNode_t, originalNode: cudaGraphNode_t, clonedGraph: cudaGraph_t);
        local [12 13] fn cudaGraphNodeGetType(node: cudaGraphNode_t, pType: *mut u32);
        local [12 13] fn cudaGraphGetNodes(graph: cudaGraph_t, nodes: *mut cudaGraphNode_t, numNodes: *mut usize);
        local [12 13] fn cudaGraphGetRootNodes(graph: cudaGraph_t, pRootNodes: *mut cudaGraphNode_t, pNumRootNodes: *mut usize);
        local [12] fn cudaGraphGetEdges(graph: cudaGraph_t, from: *mut cudaGraphNode_t, to: *mut cudaGraphNode_t, numEdges: *mut usize);
        local [13] fn cudaGraphGetEdges(graph: cudaGraph_t, from: *mut cudaGraphNode_t, to: *mut cudaGraphNode_t, edgeData: *mut c_void, numEdges: *mut usize);
        local [12] fn cudaGraphGetEdges_v2(graph: cudaGraph_t, from: *mut cudaGraphNode_t, to: *mut cudaGraphNode_t, edgeData: *mut c_void, numEdges: *mut usize);
        local [12] fn cudaGraphNodeGetDependencies(node: cudaGraphNode_t, pDependencies: *mut cudaGraphNode_t, pNumDependencies: *mut usize);
        local [13] fn cudaGraphNodeGetDependencies(node: cudaGraphNode_t, pDependencies: *mut cudaGraphNode_t, edgeData: *mut c_void, pNumDependencies: *mut usize);
        local [12] fn cudaGraphNodeGetDependencies_v2(node: cudaGraphNode_t, pDependencies: *mut cudaGraphNode_t, edgeData: *mut c_void, pNumDependencies: *mut usize);
        local [12] fn cudaGraphNodeGetDependentNodes(node: cudaGraphNode_t, pDependentNodes: *mut cudaGraphNode_t, pNumDependentNodes: *mut usize);
        local [13] fn cudaGraphNodeGetDependentNodes(node: cudaGraphNode_t, pDependentNodes: *mut cudaGraphNode_t, edgeData: *mut c_void, pNumDependentNodes: *mut usize);
        local [12] fn cudaGraphNodeGetDependentNodes_v2(node: cudaGraphNode_t, pDependentNodes: *mut cudaGraphNode_t, edgeData: *mut c_void, pNumDependentNodes: *mut usize);
        local [12] fn cudaGraphAddDependencies(graph: cudaGraph_t, from: *const cudaGraphNode_t, to: *const cudaGraphNode_t, numDependencies: usize);
        local [13] fn cudaGraphAddDependencies(graph: cudaGraph_t, from: *const cudaGraphNode_t, to: *const cudaGraphNode_t, edgeData: *const c_void, numDependencies: usize);
        local [12] fn cudaGraphAddDependencies_v2(graph: cudaGraph_t, from: *const cudaGraphNode_t, to: *const cudaGraphNode_t, edgeData: *const c_void, numDependencies: usize);
        local [12] fn cudaGraphRemoveDependencies(graph: cudaGraph_t, from: *const cudaGraphNode_t, to: *const cudaGraphNode_t, numDependencies: usize);
        local [13] fn cudaGraphRemoveDependencies(graph: cudaGraph_t, from: *const cudaGraphNode_t, to: *const cudaGraphNode_t, edgeData: *const c_void, numDependencies: usize);
        local [12] fn cudaGraphRemoveDependencies_v2(graph: cudaGraph_t, from: *const cudaGraphNode_t, to: *const cudaGraphNode_t, edgeData: *const c_void, numDependencies: usize);
        local [12 13] fn cudaGraphDestroyNode(node: cudaGraphNode_t);
        sync [12 13] fn cudaGraphInstantiate(pGraphExec: *mut cudaGraphExec_t, graph: cudaGraph_t, flags: u64);
        sync [12 13] fn cudaGraphInstantiateWithFlags(pGraphExec: *mut cudaGraphExec_t, graph: cudaGraph_t, flags: u64);
        local [12 13] fn cudaGraphExecGetFlags(graphExec: cudaGraphExec_t, flags: *mut u64);
        local [12 13] fn cudaGraphExecKernelNodeSetParams(hGraphExec: cudaGraphExec_t, node: cudaGraphNode_t, pNodeParams: *const c_void);
        local [12 13] fn cudaGraphExecMemcpyNodeSetParams(hGraphExec: cudaGraphExec_t, node: cudaGraphNode_t, pNodeParams: *const cudaMemcpy3DParms);
        local [12 13] fn cudaGraphExecMemcpyNodeSetParamsToSymbol(hGraphExec: cudaGraphExec_t, node: cudaGraphNode_t, symbol: *const c_void, src: *const c_void, count: usize, offset: usize, kind: u32);
        local [12 13] fn cudaGraphExecMemcpyNodeSetParamsFromSymbol(hGraphExec: cudaGraphExec_t, node: cudaGraphNode_t, dst: *mut c_void, symbol: *const c_void, count: usize, offset: usize, kind: u32);
        local [12 13] fn cudaGraphExecMemcpyNodeSetParams1D(hGraphExec: cudaGraphExec_t, node: cudaGraphNode_t, dst: *mut c_void, src: *const c_void, count: usize, kind: u32);
        local [12 13] fn cudaGraphExecMemsetNodeSetParams(hGraphExec: cudaGraphExec_t, node: cudaGraphNode_t, pNodeParams: *const c_void);
        local [12 13] fn cudaGraphExecHostNodeSetParams(hGraphExec: cudaGraphExec_t, node: cudaGraphNode_t, pNodeParams: *const c_void);
        local [12 13] fn cudaGraphExecChildGraphNodeSetParams(hGraphExec: cudaGraphExec_t, node: cudaGraphNode_t, childGraph: cudaGraph_t);
        local [12 13] fn cudaGraphExecEventRecordNodeSetEvent(hGraphExec: cudaGraphExec_t, hNode: cudaGraphNode_t, event: cudaEvent_t);
        local [12 13] fn cudaGraphExecEventWaitNodeSetEvent(hGraphExec: cudaGraphExec_t, hNode: cudaGraphNode_t, event: cudaEvent_t);
        unsupported [12 13] fn cudaGraphExecExternalSemaphoresSignalNodeSetParams(hGraphExec: cudaGraphExec_t, hNode: cudaGraphNode_t, nodeParams: *const c_void);
        unsupported [12 13] fn cudaGraphExecExternalSemaphoresWaitNodeSetParams(hGraphExec: cudaGraphExec_t, hNode: cudaGraphNode_t, nodeParams: *const c_void);
        async [12 13] fn cudaGraphNodeSetEnabled(hGraphExec: cudaGraphExec_t, hNode: cudaGraphNode_t, isEnabled: u32);
        local [12 13] fn cudaGraphNodeGetEnabled(hGraphExec: cudaGraphExec_t, hNode: cudaGraphNode_t, isEnabled: *mut u32);
        local [12 13] fn cudaGraphExecUpdate(hGraphExec: cudaGraphExec_t, hGraph: cudaGraph_t, resultInfo: *mut c_void);
        async [12 13] fn cudaGraphExecDestroy(graphExec: cudaGraphExec_t);
        async [12 13] fn cudaGraphDestroy(graph: cudaGraph_t);
        local [12 13] fn cudaGraphDebugDotPrint(graph: cudaGraph_t, path: *const c_char, flags: u32);
        local [12 13] fn cudaUserObjectCreate(object_out: *mut cudaUserObject_t, ptr: *mut c_void, destroy: cudaHostFn_t, initialRefcount: u32, flags: u32);
        local [12 13] fn cudaUserObjectRetain(object: cudaUserObject_t, count: u32);
        local [12 13] fn cudaUserObjectRelease(object: cudaUserObject_t, count: u32);
        local [12 13] fn cudaGraphRetainUserObject(graph: cudaGraph_t, object: cudaUserObject_t, count: u32, flags: u32);
        local [12 13] fn cudaGraphReleaseUserObject(graph: cudaGraph_t, object: cudaUserObject_t, count: u32);
        local [12] fn cudaGraphAddNode(pGraphNode: *mut cudaGraphNode_t, graph: cudaGraph_t, pDependencies: *const cudaGraphNode_t, numDependencies: usize, nodeParams: *mut c_void);
        local [13] fn cudaGraphAddNode(pGraphNode: *mut cudaGraphNode_t, graph: cudaGraph_t, pDependencies: *const cudaGraphNode_t, dependencyData: *const c_void, numDependencies: usize, nodeParams: *mut c_void);
        local [12] fn cudaGraphAddNode_v2(pGraphNode: *mut cudaGraphNode_t, graph: cudaGraph_t, pDependencies: *const cudaGraphNode_t, dependencyData: *const c_void, numDependencies: usize, nodeParams: *mut c_void);
        local [12 13] fn cudaGraphNodeSetParams(node: cudaGraphNode_t, nodeParams: *mut c_void);
        local [12 13] fn cudaGraphExecNodeSetParams(graphExec: cudaGraphExec_t, node: cudaGraphNode_t, nodeParams: *mut c_void);
        local [12 13] fn cudaGraphConditionalHandleCreate(pHandle_out: *mut cudaGraphConditionalHandle, graph: cudaGraph_t, defaultLaunchValue: u32, flags: u32);
        sync [12 13] fn cudaGraphInstantiateWithParams | cudaGraphInstantiateWithParams_ptsz(pGraphExec: *mut cudaGraphExec_t, graph: cudaGraph_t, instantiateParams: *mut cudaGraphInstantiateParams);
        async [12 13] fn cudaGraphUpload | cudaGraphUpload_ptsz(graphExec: cudaGraphExec_t, stream: cudaStream_t);
        async [12 13] fn cudaGraphLaunch | cudaGraphLaunch_ptsz(graphExec: cudaGraphExec_t, stream: cudaStream_t);
    }
    group "CUDART__LIBRARY" {
        sync [12 13] fn cudaLibraryLoadData(library: *mut cudaLibrary_t, code: *const c_void, jitOptions: *mut u32, jitOptionsValues: *mut *mut c_void, numJitOptions: u32, libraryOptions: *mut u32, libraryOptionValues: *mut *mut c_void, numLibraryOptions: u32);
        sync [12 13] fn cudaLibraryLoadFromFile(library: *mut cudaLibrary_t, fileName: *const c_char, jitOptions: *mut u32, jitOptionsValues: *mut *mut c_void, numJitOptions: u32, libraryOptions: *mut u32, libraryOptionValues: *mut *mut c_void, numLibraryOptions: u32);
        implicit_sync [12 13] fn cudaLibraryUnload(library: cudaLibrary_t);
        local [12 13] fn cudaLibraryGetKernel(pKernel: *mut cudaKernel_t, library: cudaLibrary_t, name: *const c_char);
        sync [12 13] fn cudaLibraryGetGlobal(dptr: *mut *mut c_void, bytes: *mut usize, library: cudaLibrary_t, name: *const c_char);
        sync [12 13] fn cudaLibraryGetManaged(dptr: *mut *mut c_void, bytes: *mut usize, library: cudaLibrary_t, name: *const c_char);
        local [12 13] fn cudaLibraryGetUnifiedFunction(fptr: *mut *mut c_void, library: cudaLibrary_t, symbol: *const c_char);
        local [12 13] fn cudaLibraryGetKernelCount(count: *mut u32, lib: cudaLibrary_t);
        local [12 13] fn cudaLibraryEnumerateKernels(kernels: *mut cudaKernel_t, numKernels: u32, lib: cudaLibrary_t);
        local [12 13] fn cudaKernelSetAttributeForDevice(kernel: cudaKernel_t, attr: u32, value: i32, device: i32);
        unsupported [12 13] fn cudaGetExportTable(ppExportTable: *mut *const c_void, pExportTableId: *const cudaUUID_t);
    }
    group "CUDART__DRIVER" {
        local [12 13] fn cudaGetFuncBySymbol(functionPtr: *mut cudaFunction_t, symbolPtr: *const c_void);
        local [12 13] fn cudaGetKernel(kernelPtr: *mut cudaKernel_t, entryFuncAddr: *const c_void);
        unsupported [12] fn cudaSignalExternalSemaphoresAsync_v2 | cudaSignalExternalSemaphoresAsync_v2_ptsz(extSemArray: *const cudaExternalSemaphore_t, paramsArray: *const c_void, numExtSems: u32, stream: cudaStream_t);
        unsupported [12] fn cudaWaitExternalSemaphoresAsync_v2 | cudaWaitExternalSemaphoresAsync_v2_ptsz(extSemArray: *const cudaExternalSemaphore_t, paramsArray: *const c_void, numExtSems: u32, stream: cudaStream_t);
        local [12] fn cudaStreamGetCaptureInfo_v2 | cudaStreamGetCaptureInfo_v2_ptsz(stream: cudaStream_t, captureStatus_out: *mut u32, id_out: *mut u64, graph_out: *mut cudaGraph_t, dependencies_out: *mut *const cudaGraphNode_t, numDependencies_out: *mut usize);
    }
    group "CUDART__MEMORY__DEPRECATED" {
        sync [12 13] fn cudaMemcpyToArray | cudaMemcpyToArray_ptds(dst: cudaArray_t, wOffset: usize, hOffset: usize, src: *const c_void, count: usize, kind: u32);
        sync [12 13] fn cudaMemcpyFromArray | cudaMemcpyFromArray_ptds(dst: *mut c_void, src: cudaArray_const_t, wOffset: usize, hOffset: usize, count: usize, kind: u32);
        async [12 13] fn cudaMemcpyArrayToArray | cudaMemcpyArrayToArray_ptds(dst: cudaArray_t, wOffsetDst: usize, hOffsetDst: usize, src: cudaArray_const_t, wOffsetSrc: usize, hOffsetSrc: usize, count: usize, kind: u32);
        async [12 13] fn cudaMemcpyToArrayAsync | cudaMemcpyToArrayAsync_ptsz(dst: cudaArray_t, wOffset: usize, hOffset: usize, src: *const c_void, count: usize, kind: u32, stream: cudaStream_t);
        async [12 13] fn cudaMemcpyFromArrayAsync | cudaMemcpyFromArrayAsync_ptsz(dst: *mut c_void, src: cudaArray_const_t, wOffset: usize, hOffset: usize, count: usize, kind: u32, stream: cudaStream_t);
    }
    group "CUDART__DRIVER__ENTRY__POINT" {
        local [12 13] fn cudaGetDriverEntryPoint | cudaGetDriverEntryPoint_ptsz(symbol: *const c_char, funcPtr: *mut *mut c_void, flags: u64, driverStatus: *mut u32);
        local [12 13] fn cudaGetDriverEntryPointByVersion | cudaGetDriverEntryPointByVersion_ptsz(symbol: *const c_char, funcPtr: *mut *mut c_void, cudaVersion: u32, flags: u64, driverStatus: *mut u32);
    }
    group "CUDART__THREAD__DEPRECATED" {
        sync [12] fn cudaThreadExit();
        sync [12] fn cudaThreadSynchronize();
        sync [12] fn cudaThreadSetLimit(limit: u32, value: usize);
        local [12] fn cudaThreadGetLimit(pValue: *mut usize, limit: u32);
        local [12] fn cudaThreadGetCacheConfig(pCacheConfig: *mut u32);
        local [12] fn cudaThreadSetCacheConfig(cacheConfig: u32);
    }
    group "registration" {
        local [12 13] fn __cudaGetKernel(kernelPtr: *mut cudaKernel_t, entryFuncAddr: *const c_void);
        unsupported [13] fn __cudaGetProcAddress();
        local [12 13] fn __cudaInitModule(fatCubinHandle: *mut *mut c_void) -> c_char;
        async [12 13] fn __cudaLaunchKernel | __cudaLaunchKernel_ptsz(kernel: cudaKernel_t, gridDim: dim3, blockDim: dim3, args: *mut *mut c_void, sharedMem: usize, stream: cudaStream_t);
        local [12 13] fn __cudaPopCallConfiguration(gridDim: *mut dim3, blockDim: *mut dim3, sharedMem: *mut usize, stream: *mut c_void);
        local [12 13] fn __cudaPushCallConfiguration(gridDim: dim3, blockDim: dim3, sharedMem: usize, stream: cudaStream_t) -> u32;
        local [12 13] fn __cudaRegisterFatBinary(fatCubin: *mut c_void) -> *mut *mut c_void;
        local [12 13] fn __cudaRegisterFatBinaryEnd(fatCubinHandle: *mut *mut c_void) -> ();
        local [12 13] fn __cudaRegisterFunction(fatCubinHandle: *mut *mut c_void, hostFun: *const c_char, deviceFun: *mut c_char, deviceName: *const c_char, thread_limit: i32, tid: *mut c_void, bid: *mut c_void, bDim: *mut c_void, gDim: *mut c_void, wSize: *mut i32) -> ();
        unsupported [12 13] fn __cudaRegisterHostVar();
        local [12 13] fn __cudaRegisterManagedVar(fatCubinHandle: *mut *mut c_void, hostVarPtrAddress: *mut *mut c_void, deviceAddress: *mut c_char, deviceName: *const c_char, ext: i32, size: usize, constant: i32, global: i32) -> ();
        unsupported [12 13] fn __cudaRegisterUnifiedTable();
        local [12 13] fn __cudaRegisterVar(fatCubinHandle: *mut *mut c_void, hostVar: *mut c_char, deviceAddress: *mut c_char, deviceName: *const c_char, ext: i32, size: usize, constant: i32, global: i32) -> ();
        local [12 13] fn __cudaUnregisterFatBinary(fatCubinHandle: *mut *mut c_void) -> ();
    }
    group "CUDART__EGL" {
        unsupported [12 13] fn cudaGraphicsResourceGetMappedEglFrame();
        unsupported [12 13] fn cudaEGLStreamConsumerAcquireFrame();
        unsupported [12 13] fn cudaEGLStreamConsumerConnect();
        unsupported [12 13] fn cudaEGLStreamConsumerConnectWithFlags();
        unsupported [12 13] fn cudaEGLStreamConsumerDisconnect();
        unsupported [12 13] fn cudaEGLStreamConsumerReleaseFrame();
        unsupported [12 13] fn cudaEGLStreamProducerConnect();
        unsupported [12 13] fn cudaEGLStreamProducerDisconnect();
        unsupported [12 13] fn cudaEGLStreamProducerPresentFrame();
        unsupported [12 13] fn cudaEGLStreamProducerReturnFrame();
        unsupported [12 13] fn cudaEventCreateFromEGLSync();
        unsupported [12 13] fn cudaGraphicsEGLRegisterImage();
    }
    group "CUDART__OPENGL" {
        unsupported [12 13] fn cudaGLGetDevices();
        unsupported [12 13] fn cudaGLMapBufferObject();
        unsupported [12 13] fn cudaGLMapBufferObjectAsync();
        unsupported [12 13] fn cudaGLRegisterBufferObject();
        unsupported [12 13] fn cudaGLSetBufferObjectMapFlags();
        unsupported [12 13] fn cudaGLSetGLDevice();
        unsupported [12 13] fn cudaGLUnmapBufferObject();
        unsupported [12 13] fn cudaGLUnmapBufferObjectAsync();
        unsupported [12 13] fn cudaGLUnregisterBufferObject();
        unsupported [12 13] fn cudaGraphicsGLRegisterBuffer();
        unsupported [12 13] fn cudaGraphicsGLRegisterImage();
    }
    group "CUDART__VDPAU" {
        unsupported [12 13] fn cudaGraphicsVDPAURegisterOutputSurface();
        unsupported [12 13] fn cudaGraphicsVDPAURegisterVideoSurface();
        unsupported [12 13] fn cudaVDPAUGetDevice();
        unsupported [12 13] fn cudaVDPAUSetVDPAUDevice();
    }
    group "CUDART__PROFILER" {
        local [12 13] fn cudaProfilerStart();
        local [12 13] fn cudaProfilerStop();
    }
} } }
