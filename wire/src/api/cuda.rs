//! Every function of the CUDA driver API, declared once.
//!
//! A row is `class since fn name(parameters);` and always returns [`CUresult`](super::types::CUresult):
//!
//! * `class` says what a call costs (`local`, `async`, `sync`, `implicit_sync`, see [`Class`](super::Class)) or `unsupported`: the symbol exists and
//!   returns `CUDA_ERROR_NOT_SUPPORTED`.
//! * `since` is the CUDA version (12030 is 12.3) from which `cuGetProcAddress` hands out this ABI under the base name (the name without `_v2`, `_v3`).
//! * the group names NVIDIA's page: `https://docs.nvidia.com/cuda/cuda-driver-api/group__<group>.html`.
//!
//! Exports of `libcuda.so.1`, the function tables of the runtime frontend and of the backend plugin, and the rows of `STATUS.md` derive from it.
//!
//! # Example
//! ```
//! macro_rules! names { ($(group $g:literal { $($class:ident $since:literal fn $name:ident($($p:ident: $t:ty),*);)* })*) => {
//!     const NAMES: &[&str] = &[$($(stringify!($name),)*)*];
//! } }
//! gvirtus_wire::cuda_api!(names);
//! assert!(NAMES.contains(&"cuLaunchKernel"));
//! ```

/// Hands every declaration to the macro named in the argument.
#[macro_export]
#[rustfmt::skip]
macro_rules! cuda_api { ($callback:ident) => { $callback! {
    group "CUDA__ERROR" {
        local 6000 fn cuGetErrorString(error: CUresult, pStr: *mut *const c_char);
        local 6000 fn cuGetErrorName(error: CUresult, pStr: *mut *const c_char);
    }
    group "CUDA__INITIALIZE" {
        local 2000 fn cuInit(Flags: u32);
    }
    group "CUDA__VERSION" {
        local 2020 fn cuDriverGetVersion(driverVersion: *mut i32);
    }
    group "CUDA__DEVICE" {
        local 2000 fn cuDeviceGet(device: *mut CUdevice, ordinal: i32);
        local 2000 fn cuDeviceGetCount(count: *mut i32);
        local 2000 fn cuDeviceGetName(name: *mut c_char, len: i32, dev: CUdevice);
        local 9020 fn cuDeviceGetUuid(uuid: *mut CUuuid, dev: CUdevice);
        local 11040 fn cuDeviceGetUuid_v2(uuid: *mut CUuuid, dev: CUdevice);
        local 10000 fn cuDeviceGetLuid(luid: *mut c_char, deviceNodeMask: *mut u32, dev: CUdevice);
        local 3020 fn cuDeviceTotalMem_v2(bytes: *mut usize, dev: CUdevice);
        sync 11010 fn cuDeviceGetTexture1DLinearMaxWidth(maxWidthInElements: *mut usize, format: u32, numChannels: u32, dev: CUdevice);
        local 2000 fn cuDeviceGetAttribute(pi: *mut i32, attrib: u32, dev: CUdevice);
        local 13000 fn cuDeviceGetHostAtomicCapabilities(capabilities: *mut u32, operations: *const u32, count: u32, dev: CUdevice);
        unsupported 10020 fn cuDeviceGetNvSciSyncAttributes(nvSciSyncAttrList: *mut c_void, dev: CUdevice, flags: i32);
        local 11020 fn cuDeviceSetMemPool(dev: CUdevice, pool: CUmemoryPool);
        local 11020 fn cuDeviceGetMemPool(pool: *mut CUmemoryPool, dev: CUdevice);
        local 11020 fn cuDeviceGetDefaultMemPool(pool_out: *mut CUmemoryPool, dev: CUdevice);
        local 11040 fn cuDeviceGetExecAffinitySupport(pi: *mut i32, type_: u32, dev: CUdevice);
        local 11030 fn cuFlushGPUDirectRDMAWrites(target: u32, scope: u32);
    }
    group "CUDA__DEVICE__DEPRECATED" {
        local 2000 fn cuDeviceGetProperties(prop: *mut CUdevprop, dev: CUdevice);
        local 2000 fn cuDeviceComputeCapability(major: *mut i32, minor: *mut i32, dev: CUdevice);
    }
    group "CUDA__PRIMARY__CTX" {
        local 7000 fn cuDevicePrimaryCtxRetain(pctx: *mut CUcontext, dev: CUdevice);
        sync 7000 fn cuDevicePrimaryCtxRelease(dev: CUdevice);
        sync 11000 fn cuDevicePrimaryCtxRelease_v2(dev: CUdevice);
        local 7000 fn cuDevicePrimaryCtxSetFlags(dev: CUdevice, flags: u32);
        local 11000 fn cuDevicePrimaryCtxSetFlags_v2(dev: CUdevice, flags: u32);
        local 7000 fn cuDevicePrimaryCtxGetState(dev: CUdevice, flags: *mut u32, active: *mut i32);
        sync 7000 fn cuDevicePrimaryCtxReset(dev: CUdevice);
        sync 11000 fn cuDevicePrimaryCtxReset_v2(dev: CUdevice);
    }
    group "CUDA__CTX" {
        sync 3020 fn cuCtxCreate_v2(pctx: *mut CUcontext, flags: u32, dev: CUdevice);
        sync 11040 fn cuCtxCreate_v3(pctx: *mut CUcontext, paramsArray: *mut c_void, numParams: i32, flags: u32, dev: CUdevice);
        sync 12050 fn cuCtxCreate_v4(pctx: *mut CUcontext, ctxCreateParams: *mut CUctxCreateParams, flags: u32, dev: CUdevice);
        sync 4000 fn cuCtxDestroy_v2(ctx: CUcontext);
        local 4000 fn cuCtxPushCurrent_v2(ctx: CUcontext);
        local 4000 fn cuCtxPopCurrent_v2(pctx: *mut CUcontext);
        local 4000 fn cuCtxSetCurrent(ctx: CUcontext);
        local 4000 fn cuCtxGetCurrent(pctx: *mut CUcontext);
        local 2000 fn cuCtxGetDevice(device: *mut CUdevice);
        local 13000 fn cuCtxGetDevice_v2(device: *mut CUdevice, ctx: CUcontext);
        local 7000 fn cuCtxGetFlags(flags: *mut u32);
        local 12010 fn cuCtxSetFlags(flags: u32);
        local 12000 fn cuCtxGetId(ctx: CUcontext, ctxId: *mut u64);
        sync 2000 fn cuCtxSynchronize();
        sync 13000 fn cuCtxSynchronize_v2(ctx: CUcontext);
        sync 3010 fn cuCtxSetLimit(limit: u32, value: usize);
        local 3010 fn cuCtxGetLimit(pvalue: *mut usize, limit: u32);
        local 3020 fn cuCtxGetCacheConfig(pconfig: *mut u32);
        local 3020 fn cuCtxSetCacheConfig(config: u32);
        local 3020 fn cuCtxGetApiVersion(ctx: CUcontext, version: *mut u32);
        local 5050 fn cuCtxGetStreamPriorityRange(leastPriority: *mut i32, greatestPriority: *mut i32);
        sync 11000 fn cuCtxResetPersistingL2Cache();
        local 11040 fn cuCtxGetExecAffinity(pExecAffinity: *mut c_void, type_: u32);
        async 12050 fn cuCtxRecordEvent(hCtx: CUcontext, hEvent: CUevent);
        async 12050 fn cuCtxWaitEvent(hCtx: CUcontext, hEvent: CUevent);
    }
    group "CUDA__CTX__DEPRECATED" {
        local 2000 fn cuCtxAttach(pctx: *mut CUcontext, flags: u32);
        local 2000 fn cuCtxDetach(ctx: CUcontext);
        local 4020 fn cuCtxGetSharedMemConfig(pConfig: *mut u32);
        local 4020 fn cuCtxSetSharedMemConfig(config: u32);
    }
    group "CUDA__MODULE" {
        sync 2000 fn cuModuleLoad(module: *mut CUmodule, fname: *const c_char);
        sync 2000 fn cuModuleLoadData(module: *mut CUmodule, image: *const c_void);
        sync 2010 fn cuModuleLoadDataEx(module: *mut CUmodule, image: *const c_void, numOptions: u32, options: *mut u32, optionValues: *mut *mut c_void);
        sync 2000 fn cuModuleLoadFatBinary(module: *mut CUmodule, fatCubin: *const c_void);
        implicit_sync 2000 fn cuModuleUnload(hmod: CUmodule);
        local 11070 fn cuModuleGetLoadingMode(mode: *mut u32);
        local 2000 fn cuModuleGetFunction(hfunc: *mut CUfunction, hmod: CUmodule, name: *const c_char);
        local 12040 fn cuModuleGetFunctionCount(count: *mut u32, mod_: CUmodule);
        local 12040 fn cuModuleEnumerateFunctions(functions: *mut CUfunction, numFunctions: u32, mod_: CUmodule);
        sync 3020 fn cuModuleGetGlobal_v2(dptr: *mut CUdeviceptr, bytes: *mut usize, hmod: CUmodule, name: *const c_char);
        sync 6050 fn cuLinkCreate_v2(numOptions: u32, options: *mut u32, optionValues: *mut *mut c_void, stateOut: *mut CUlinkState);
        sync 6050 fn cuLinkAddData_v2(state: CUlinkState, type_: u32, data: *mut c_void, size: usize, name: *const c_char, numOptions: u32, options: *mut u32, optionValues: *mut *mut c_void);
        sync 6050 fn cuLinkAddFile_v2(state: CUlinkState, type_: u32, path: *const c_char, numOptions: u32, options: *mut u32, optionValues: *mut *mut c_void);
        sync 5050 fn cuLinkComplete(state: CUlinkState, cubinOut: *mut *mut c_void, sizeOut: *mut usize);
        sync 5050 fn cuLinkDestroy(state: CUlinkState);
    }
    group "CUDA__MODULE__DEPRECATED" {
        sync 2000 fn cuModuleGetTexRef(pTexRef: *mut CUtexref, hmod: CUmodule, name: *const c_char);
        sync 3000 fn cuModuleGetSurfRef(pSurfRef: *mut CUsurfref, hmod: CUmodule, name: *const c_char);
    }
    group "CUDA__LIBRARY" {
        sync 12000 fn cuLibraryLoadData(library: *mut CUlibrary, code: *const c_void, jitOptions: *mut u32, jitOptionsValues: *mut *mut c_void, numJitOptions: u32, libraryOptions: *mut u32, libraryOptionValues: *mut *mut c_void, numLibraryOptions: u32);
        sync 12000 fn cuLibraryLoadFromFile(library: *mut CUlibrary, fileName: *const c_char, jitOptions: *mut u32, jitOptionsValues: *mut *mut c_void, numJitOptions: u32, libraryOptions: *mut u32, libraryOptionValues: *mut *mut c_void, numLibraryOptions: u32);
        implicit_sync 12000 fn cuLibraryUnload(library: CUlibrary);
        local 12000 fn cuLibraryGetKernel(pKernel: *mut CUkernel, library: CUlibrary, name: *const c_char);
        local 12040 fn cuLibraryGetKernelCount(count: *mut u32, lib: CUlibrary);
        local 12040 fn cuLibraryEnumerateKernels(kernels: *mut CUkernel, numKernels: u32, lib: CUlibrary);
        local 12000 fn cuLibraryGetModule(pMod: *mut CUmodule, library: CUlibrary);
        local 12000 fn cuKernelGetFunction(pFunc: *mut CUfunction, kernel: CUkernel);
        local 12050 fn cuKernelGetLibrary(pLib: *mut CUlibrary, kernel: CUkernel);
        sync 12000 fn cuLibraryGetGlobal(dptr: *mut CUdeviceptr, bytes: *mut usize, library: CUlibrary, name: *const c_char);
        sync 12000 fn cuLibraryGetManaged(dptr: *mut CUdeviceptr, bytes: *mut usize, library: CUlibrary, name: *const c_char);
        local 12000 fn cuLibraryGetUnifiedFunction(fptr: *mut *mut c_void, library: CUlibrary, symbol: *const c_char);
        local 12000 fn cuKernelGetAttribute(pi: *mut i32, attrib: u32, kernel: CUkernel, dev: CUdevice);
        local 12000 fn cuKernelSetAttribute(attrib: u32, val: i32, kernel: CUkernel, dev: CUdevice);
        local 12000 fn cuKernelSetCacheConfig(kernel: CUkernel, config: u32, dev: CUdevice);
        local 12030 fn cuKernelGetName(name: *mut *const c_char, hfunc: CUkernel);
        local 12040 fn cuKernelGetParamInfo(kernel: CUkernel, paramIndex: usize, paramOffset: *mut usize, paramSize: *mut usize);
    }
    group "CUDA__MEM" {
        sync 3020 fn cuMemGetInfo_v2(free: *mut usize, total: *mut usize);
        local 3020 fn cuMemAlloc_v2(dptr: *mut CUdeviceptr, bytesize: usize);
        local 3020 fn cuMemAllocPitch_v2(dptr: *mut CUdeviceptr, pPitch: *mut usize, WidthInBytes: usize, Height: usize, ElementSizeBytes: u32);
        implicit_sync 3020 fn cuMemFree_v2(dptr: CUdeviceptr);
        local 3020 fn cuMemGetAddressRange_v2(pbase: *mut CUdeviceptr, psize: *mut usize, dptr: CUdeviceptr);
        sync 3020 fn cuMemAllocHost_v2(pp: *mut *mut c_void, bytesize: usize);
        implicit_sync 2000 fn cuMemFreeHost(p: *mut c_void);
        sync 2020 fn cuMemHostAlloc(pp: *mut *mut c_void, bytesize: usize, Flags: u32);
        local 3020 fn cuMemHostGetDevicePointer_v2(pdptr: *mut CUdeviceptr, p: *mut c_void, Flags: u32);
        local 2030 fn cuMemHostGetFlags(pFlags: *mut u32, p: *mut c_void);
        async 6000 fn cuMemAllocManaged(dptr: *mut CUdeviceptr, bytesize: usize, flags: u32);
        local 12040 fn cuDeviceRegisterAsyncNotification(device: CUdevice, callbackFunc: *mut c_void, userData: *mut c_void, callback: *mut CUasyncCallbackHandle);
        local 12040 fn cuDeviceUnregisterAsyncNotification(device: CUdevice, callback: CUasyncCallbackHandle);
        local 4010 fn cuDeviceGetByPCIBusId(dev: *mut CUdevice, pciBusId: *const c_char);
        local 4010 fn cuDeviceGetPCIBusId(pciBusId: *mut c_char, len: i32, dev: CUdevice);
        sync 4010 fn cuIpcGetEventHandle(pHandle: *mut CUipcEventHandle, event: CUevent);
        sync 4010 fn cuIpcOpenEventHandle(phEvent: *mut CUevent, handle: CUipcEventHandle);
        sync 4010 fn cuIpcGetMemHandle(pHandle: *mut CUipcMemHandle, dptr: CUdeviceptr);
        sync 11000 fn cuIpcOpenMemHandle_v2(pdptr: *mut CUdeviceptr, handle: CUipcMemHandle, Flags: u32);
        implicit_sync 4010 fn cuIpcCloseMemHandle(dptr: CUdeviceptr);
        sync 6050 fn cuMemHostRegister_v2(p: *mut c_void, bytesize: usize, Flags: u32);
        implicit_sync 4000 fn cuMemHostUnregister(p: *mut c_void);
        sync 4000 fn cuMemcpy(dst: CUdeviceptr, src: CUdeviceptr, ByteCount: usize);
        sync 4000 fn cuMemcpyPeer(dstDevice: CUdeviceptr, dstContext: CUcontext, srcDevice: CUdeviceptr, srcContext: CUcontext, ByteCount: usize);
        sync 3020 fn cuMemcpyHtoD_v2(dstDevice: CUdeviceptr, srcHost: *const c_void, ByteCount: usize);
        sync 3020 fn cuMemcpyDtoH_v2(dstHost: *mut c_void, srcDevice: CUdeviceptr, ByteCount: usize);
        sync 3020 fn cuMemcpyDtoD_v2(dstDevice: CUdeviceptr, srcDevice: CUdeviceptr, ByteCount: usize);
        sync 3020 fn cuMemcpyDtoA_v2(dstArray: CUarray, dstOffset: usize, srcDevice: CUdeviceptr, ByteCount: usize);
        sync 3020 fn cuMemcpyAtoD_v2(dstDevice: CUdeviceptr, srcArray: CUarray, srcOffset: usize, ByteCount: usize);
        sync 3020 fn cuMemcpyHtoA_v2(dstArray: CUarray, dstOffset: usize, srcHost: *const c_void, ByteCount: usize);
        sync 3020 fn cuMemcpyAtoH_v2(dstHost: *mut c_void, srcArray: CUarray, srcOffset: usize, ByteCount: usize);
        sync 3020 fn cuMemcpyAtoA_v2(dstArray: CUarray, dstOffset: usize, srcArray: CUarray, srcOffset: usize, ByteCount: usize);
        sync 3020 fn cuMemcpy2D_v2(pCopy: *const CUDA_MEMCPY2D);
        sync 3020 fn cuMemcpy2DUnaligned_v2(pCopy: *const CUDA_MEMCPY2D);
        sync 3020 fn cuMemcpy3D_v2(pCopy: *const CUDA_MEMCPY3D);
        sync 4000 fn cuMemcpy3DPeer(pCopy: *const CUDA_MEMCPY3D_PEER);
        async 4000 fn cuMemcpyAsync(dst: CUdeviceptr, src: CUdeviceptr, ByteCount: usize, hStream: CUstream);
        async 4000 fn cuMemcpyPeerAsync(dstDevice: CUdeviceptr, dstContext: CUcontext, srcDevice: CUdeviceptr, srcContext: CUcontext, ByteCount: usize, hStream: CUstream);
        async 3020 fn cuMemcpyHtoDAsync_v2(dstDevice: CUdeviceptr, srcHost: *const c_void, ByteCount: usize, hStream: CUstream);
        async 3020 fn cuMemcpyDtoHAsync_v2(dstHost: *mut c_void, srcDevice: CUdeviceptr, ByteCount: usize, hStream: CUstream);
        async 3020 fn cuMemcpyDtoDAsync_v2(dstDevice: CUdeviceptr, srcDevice: CUdeviceptr, ByteCount: usize, hStream: CUstream);
        async 3020 fn cuMemcpyHtoAAsync_v2(dstArray: CUarray, dstOffset: usize, srcHost: *const c_void, ByteCount: usize, hStream: CUstream);
        async 3020 fn cuMemcpyAtoHAsync_v2(dstHost: *mut c_void, srcArray: CUarray, srcOffset: usize, ByteCount: usize, hStream: CUstream);
        async 3020 fn cuMemcpy2DAsync_v2(pCopy: *const CUDA_MEMCPY2D, hStream: CUstream);
        async 3020 fn cuMemcpy3DAsync_v2(pCopy: *const CUDA_MEMCPY3D, hStream: CUstream);
        async 4000 fn cuMemcpy3DPeerAsync(pCopy: *const CUDA_MEMCPY3D_PEER, hStream: CUstream);
        async 12080 fn cuMemcpyBatchAsync(dsts: *mut CUdeviceptr, srcs: *mut CUdeviceptr, sizes: *mut usize, count: usize, attrs: *mut c_void, attrsIdxs: *mut usize, numAttrs: usize, failIdx: *mut usize, hStream: CUstream);
        async 13000 fn cuMemcpyBatchAsync_v2(dsts: *mut CUdeviceptr, srcs: *mut CUdeviceptr, sizes: *mut usize, count: usize, attrs: *mut c_void, attrsIdxs: *mut usize, numAttrs: usize, hStream: CUstream);
        async 12080 fn cuMemcpy3DBatchAsync(numOps: usize, opList: *mut c_void, failIdx: *mut usize, flags: u64, hStream: CUstream);
        async 13000 fn cuMemcpy3DBatchAsync_v2(numOps: usize, opList: *mut c_void, flags: u64, hStream: CUstream);
        sync 3020 fn cuMemsetD8_v2(dstDevice: CUdeviceptr, uc: u8, N: usize);
        sync 3020 fn cuMemsetD16_v2(dstDevice: CUdeviceptr, us: u16, N: usize);
        sync 3020 fn cuMemsetD32_v2(dstDevice: CUdeviceptr, ui: u32, N: usize);
        sync 3020 fn cuMemsetD2D8_v2(dstDevice: CUdeviceptr, dstPitch: usize, uc: u8, Width: usize, Height: usize);
        sync 3020 fn cuMemsetD2D16_v2(dstDevice: CUdeviceptr, dstPitch: usize, us: u16, Width: usize, Height: usize);
        sync 3020 fn cuMemsetD2D32_v2(dstDevice: CUdeviceptr, dstPitch: usize, ui: u32, Width: usize, Height: usize);
        async 3020 fn cuMemsetD8Async(dstDevice: CUdeviceptr, uc: u8, N: usize, hStream: CUstream);
        async 3020 fn cuMemsetD16Async(dstDevice: CUdeviceptr, us: u16, N: usize, hStream: CUstream);
        async 3020 fn cuMemsetD32Async(dstDevice: CUdeviceptr, ui: u32, N: usize, hStream: CUstream);
        async 3020 fn cuMemsetD2D8Async(dstDevice: CUdeviceptr, dstPitch: usize, uc: u8, Width: usize, Height: usize, hStream: CUstream);
        async 3020 fn cuMemsetD2D16Async(dstDevice: CUdeviceptr, dstPitch: usize, us: u16, Width: usize, Height: usize, hStream: CUstream);
        async 3020 fn cuMemsetD2D32Async(dstDevice: CUdeviceptr, dstPitch: usize, ui: u32, Width: usize, Height: usize, hStream: CUstream);
        sync 3020 fn cuArrayCreate_v2(pHandle: *mut CUarray, pAllocateArray: *const CUDA_ARRAY_DESCRIPTOR);
        local 3020 fn cuArrayGetDescriptor_v2(pArrayDescriptor: *mut CUDA_ARRAY_DESCRIPTOR, hArray: CUarray);
        sync 11010 fn cuArrayGetSparseProperties(sparseProperties: *mut CUDA_ARRAY_SPARSE_PROPERTIES, array: CUarray);
        sync 11010 fn cuMipmappedArrayGetSparseProperties(sparseProperties: *mut CUDA_ARRAY_SPARSE_PROPERTIES, mipmap: CUmipmappedArray);
        sync 11060 fn cuArrayGetMemoryRequirements(memoryRequirements: *mut CUDA_ARRAY_MEMORY_REQUIREMENTS, array: CUarray, device: CUdevice);
        sync 11060 fn cuMipmappedArrayGetMemoryRequirements(memoryRequirements: *mut CUDA_ARRAY_MEMORY_REQUIREMENTS, mipmap: CUmipmappedArray, device: CUdevice);
        sync 11020 fn cuArrayGetPlane(pPlaneArray: *mut CUarray, hArray: CUarray, planeIdx: u32);
        implicit_sync 2000 fn cuArrayDestroy(hArray: CUarray);
        sync 3020 fn cuArray3DCreate_v2(pHandle: *mut CUarray, pAllocateArray: *const CUDA_ARRAY3D_DESCRIPTOR);
        local 3020 fn cuArray3DGetDescriptor_v2(pArrayDescriptor: *mut CUDA_ARRAY3D_DESCRIPTOR, hArray: CUarray);
        sync 5000 fn cuMipmappedArrayCreate(pHandle: *mut CUmipmappedArray, pMipmappedArrayDesc: *const CUDA_ARRAY3D_DESCRIPTOR, numMipmapLevels: u32);
        async 5000 fn cuMipmappedArrayGetLevel(pLevelArray: *mut CUarray, hMipmappedArray: CUmipmappedArray, level: u32);
        implicit_sync 5000 fn cuMipmappedArrayDestroy(hMipmappedArray: CUmipmappedArray);
        unsupported 11070 fn cuMemGetHandleForAddressRange(handle: *mut c_void, dptr: CUdeviceptr, size: usize, handleType: u32, flags: u64);
        unsupported 12060 fn cuMemBatchDecompressAsync(paramsArray: *mut c_void, count: usize, flags: u32, errorIndex: *mut usize, stream: CUstream);
    }
    group "CUDA__VA" {
        local 10020 fn cuMemAddressReserve(ptr: *mut CUdeviceptr, size: usize, alignment: usize, addr: CUdeviceptr, flags: u64);
        local 10020 fn cuMemAddressFree(ptr: CUdeviceptr, size: usize);
        sync 10020 fn cuMemCreate(handle: *mut CUmemGenericAllocationHandle, size: usize, prop: *const CUmemAllocationProp, flags: u64);
        async 10020 fn cuMemRelease(handle: CUmemGenericAllocationHandle);
        sync 10020 fn cuMemMap(ptr: CUdeviceptr, size: usize, offset: usize, handle: CUmemGenericAllocationHandle, flags: u64);
        sync 11010 fn cuMemMapArrayAsync(mapInfoList: *mut CUarrayMapInfo, count: u32, hStream: CUstream);
        async 10020 fn cuMemUnmap(ptr: CUdeviceptr, size: usize);
        sync 10020 fn cuMemSetAccess(ptr: CUdeviceptr, size: usize, desc: *const CUmemAccessDesc, count: usize);
        local 10020 fn cuMemGetAccess(flags: *mut u64, location: *const CUmemLocation, ptr: CUdeviceptr);
        sync 10020 fn cuMemExportToShareableHandle(shareableHandle: *mut c_void, handle: CUmemGenericAllocationHandle, handleType: u32, flags: u64);
        sync 10020 fn cuMemImportFromShareableHandle(handle: *mut CUmemGenericAllocationHandle, osHandle: *mut c_void, shHandleType: u32);
        local 10020 fn cuMemGetAllocationGranularity(granularity: *mut usize, prop: *const CUmemAllocationProp, option: u32);
        local 10020 fn cuMemGetAllocationPropertiesFromHandle(prop: *mut CUmemAllocationProp, handle: CUmemGenericAllocationHandle);
        local 11000 fn cuMemRetainAllocationHandle(handle: *mut CUmemGenericAllocationHandle, addr: *mut c_void);
    }
    group "CUDA__MALLOC__ASYNC" {
        local 11020 fn cuMemFreeAsync(dptr: CUdeviceptr, hStream: CUstream);
        local 11020 fn cuMemAllocAsync(dptr: *mut CUdeviceptr, bytesize: usize, hStream: CUstream);
        local 11020 fn cuMemPoolTrimTo(pool: CUmemoryPool, minBytesToKeep: usize);
        local 11020 fn cuMemPoolSetAttribute(pool: CUmemoryPool, attr: u32, value: *mut c_void);
        local 11020 fn cuMemPoolGetAttribute(pool: CUmemoryPool, attr: u32, value: *mut c_void);
        local 11020 fn cuMemPoolSetAccess(pool: CUmemoryPool, map: *const CUmemAccessDesc, count: usize);
        local 11020 fn cuMemPoolGetAccess(flags: *mut u32, memPool: CUmemoryPool, location: *mut CUmemLocation);
        local 11020 fn cuMemPoolCreate(pool: *mut CUmemoryPool, poolProps: *const c_void);
        local 11020 fn cuMemPoolDestroy(pool: CUmemoryPool);
        local 13000 fn cuMemGetDefaultMemPool(pool_out: *mut CUmemoryPool, location: *mut CUmemLocation, type_: u32);
        local 13000 fn cuMemGetMemPool(pool: *mut CUmemoryPool, location: *mut CUmemLocation, type_: u32);
        local 13000 fn cuMemSetMemPool(location: *mut CUmemLocation, type_: u32, pool: CUmemoryPool);
        local 11020 fn cuMemAllocFromPoolAsync(dptr: *mut CUdeviceptr, bytesize: usize, pool: CUmemoryPool, hStream: CUstream);
        sync 11020 fn cuMemPoolExportToShareableHandle(handle_out: *mut c_void, pool: CUmemoryPool, handleType: u32, flags: u64);
        sync 11020 fn cuMemPoolImportFromShareableHandle(pool_out: *mut CUmemoryPool, handle: *mut c_void, handleType: u32, flags: u64);
        sync 11020 fn cuMemPoolExportPointer(shareData_out: *mut c_void, ptr: CUdeviceptr);
        sync 11020 fn cuMemPoolImportPointer(ptr_out: *mut CUdeviceptr, pool: CUmemoryPool, shareData: *mut c_void);
    }
    group "CUDA__MULTICAST" {
        sync 12010 fn cuMulticastCreate(mcHandle: *mut CUmemGenericAllocationHandle, prop: *const CUmulticastObjectProp);
        sync 12010 fn cuMulticastAddDevice(mcHandle: CUmemGenericAllocationHandle, dev: CUdevice);
        sync 12010 fn cuMulticastBindMem(mcHandle: CUmemGenericAllocationHandle, mcOffset: usize, memHandle: CUmemGenericAllocationHandle, memOffset: usize, size: usize, flags: u64);
        sync 12010 fn cuMulticastBindAddr(mcHandle: CUmemGenericAllocationHandle, mcOffset: usize, memptr: CUdeviceptr, size: usize, flags: u64);
        sync 12010 fn cuMulticastUnbind(mcHandle: CUmemGenericAllocationHandle, dev: CUdevice, mcOffset: usize, size: usize);
        sync 12010 fn cuMulticastGetGranularity(granularity: *mut usize, prop: *const CUmulticastObjectProp, option: u32);
    }
    group "CUDA__UNIFIED" {
        local 4000 fn cuPointerGetAttribute(data: *mut c_void, attribute: u32, ptr: CUdeviceptr);
        async 8000 fn cuMemPrefetchAsync(devPtr: CUdeviceptr, count: usize, dstDevice: CUdevice, hStream: CUstream);
        async 12020 fn cuMemPrefetchAsync_v2(devPtr: CUdeviceptr, count: usize, location: CUmemLocation, flags: u32, hStream: CUstream);
        local 8000 fn cuMemAdvise(devPtr: CUdeviceptr, count: usize, advice: u32, device: CUdevice);
        local 12020 fn cuMemAdvise_v2(devPtr: CUdeviceptr, count: usize, advice: u32, location: CUmemLocation);
        async 13000 fn cuMemPrefetchBatchAsync(dptrs: *mut CUdeviceptr, sizes: *mut usize, count: usize, prefetchLocs: *mut CUmemLocation, prefetchLocIdxs: *mut usize, numPrefetchLocs: usize, flags: u64, hStream: CUstream);
        async 13000 fn cuMemDiscardBatchAsync(dptrs: *mut CUdeviceptr, sizes: *mut usize, count: usize, flags: u64, hStream: CUstream);
        async 13000 fn cuMemDiscardAndPrefetchBatchAsync(dptrs: *mut CUdeviceptr, sizes: *mut usize, count: usize, prefetchLocs: *mut CUmemLocation, prefetchLocIdxs: *mut usize, numPrefetchLocs: usize, flags: u64, hStream: CUstream);
        local 8000 fn cuMemRangeGetAttribute(data: *mut c_void, dataSize: usize, attribute: u32, devPtr: CUdeviceptr, count: usize);
        local 8000 fn cuMemRangeGetAttributes(data: *mut *mut c_void, dataSizes: *mut usize, attributes: *mut u32, numAttributes: usize, devPtr: CUdeviceptr, count: usize);
        local 6000 fn cuPointerSetAttribute(value: *const c_void, attribute: u32, ptr: CUdeviceptr);
        local 7000 fn cuPointerGetAttributes(numAttributes: u32, attributes: *mut u32, data: *mut *mut c_void, ptr: CUdeviceptr);
    }
    group "CUDA__STREAM" {
        async 2000 fn cuStreamCreate(phStream: *mut CUstream, Flags: u32);
        async 5050 fn cuStreamCreateWithPriority(phStream: *mut CUstream, flags: u32, priority: i32);
        local 5050 fn cuStreamGetPriority(hStream: CUstream, priority: *mut i32);
        local 12080 fn cuStreamGetDevice(hStream: CUstream, device: *mut CUdevice);
        local 5050 fn cuStreamGetFlags(hStream: CUstream, flags: *mut u32);
        local 12000 fn cuStreamGetId(hStream: CUstream, streamId: *mut u64);
        local 9020 fn cuStreamGetCtx(hStream: CUstream, pctx: *mut CUcontext);
        local 12050 fn cuStreamGetCtx_v2(hStream: CUstream, pCtx: *mut CUcontext, pGreenCtx: *mut CUgreenCtx);
        async 3020 fn cuStreamWaitEvent(hStream: CUstream, hEvent: CUevent, Flags: u32);
        async 5000 fn cuStreamAddCallback(hStream: CUstream, callback: CUstreamCallback, userData: *mut c_void, flags: u32);
        sync 10000 fn cuStreamBeginCapture(hStream: CUstream);
        sync 10010 fn cuStreamBeginCapture_v2(hStream: CUstream, mode: u32);
        sync 12030 fn cuStreamBeginCaptureToGraph(hStream: CUstream, hGraph: CUgraph, dependencies: *const CUgraphNode, dependencyData: *const c_void, numDependencies: usize, mode: u32);
        local 10010 fn cuThreadExchangeStreamCaptureMode(mode: *mut u32);
        sync 10000 fn cuStreamEndCapture(hStream: CUstream, phGraph: *mut CUgraph);
        local 10000 fn cuStreamIsCapturing(hStream: CUstream, captureStatus: *mut u32);
        local 11030 fn cuStreamGetCaptureInfo_v2(hStream: CUstream, captureStatus_out: *mut u32, id_out: *mut u64, graph_out: *mut CUgraph, dependencies_out: *mut *const CUgraphNode, numDependencies_out: *mut usize);
        local 12030 fn cuStreamGetCaptureInfo_v3(hStream: CUstream, captureStatus_out: *mut u32, id_out: *mut u64, graph_out: *mut CUgraph, dependencies_out: *mut *const CUgraphNode, edgeData_out: *mut *const c_void, numDependencies_out: *mut usize);
        local 11030 fn cuStreamUpdateCaptureDependencies(hStream: CUstream, dependencies: *mut CUgraphNode, numDependencies: usize, flags: u32);
        local 12030 fn cuStreamUpdateCaptureDependencies_v2(hStream: CUstream, dependencies: *mut CUgraphNode, dependencyData: *const c_void, numDependencies: usize, flags: u32);
        local 6000 fn cuStreamAttachMemAsync(hStream: CUstream, dptr: CUdeviceptr, length: usize, flags: u32);
        local 2000 fn cuStreamQuery(hStream: CUstream);
        sync 2000 fn cuStreamSynchronize(hStream: CUstream);
        async 4000 fn cuStreamDestroy_v2(hStream: CUstream);
        sync 11000 fn cuStreamCopyAttributes(dst: CUstream, src: CUstream);
        sync 11000 fn cuStreamGetAttribute(hStream: CUstream, attr: u32, value_out: *mut CUstreamAttrValue);
        sync 11000 fn cuStreamSetAttribute(hStream: CUstream, attr: u32, value: *const CUstreamAttrValue);
    }
    group "CUDA__EVENT" {
        async 2000 fn cuEventCreate(phEvent: *mut CUevent, Flags: u32);
        async 2000 fn cuEventRecord(hEvent: CUevent, hStream: CUstream);
        async 11010 fn cuEventRecordWithFlags(hEvent: CUevent, hStream: CUstream, flags: u32);
        local 2000 fn cuEventQuery(hEvent: CUevent);
        sync 2000 fn cuEventSynchronize(hEvent: CUevent);
        async 4000 fn cuEventDestroy_v2(hEvent: CUevent);
        sync 2000 fn cuEventElapsedTime(pMilliseconds: *mut f32, hStart: CUevent, hEnd: CUevent);
        sync 12080 fn cuEventElapsedTime_v2(pMilliseconds: *mut f32, hStart: CUevent, hEnd: CUevent);
    }
    group "CUDA__EXTRES__INTEROP" {
        unsupported 10000 fn cuImportExternalMemory(extMem_out: *mut CUexternalMemory, memHandleDesc: *const c_void);
        unsupported 10000 fn cuExternalMemoryGetMappedBuffer(devPtr: *mut CUdeviceptr, extMem: CUexternalMemory, bufferDesc: *const c_void);
        unsupported 10000 fn cuExternalMemoryGetMappedMipmappedArray(mipmap: *mut CUmipmappedArray, extMem: CUexternalMemory, mipmapDesc: *const c_void);
        unsupported 10000 fn cuDestroyExternalMemory(extMem: CUexternalMemory);
        unsupported 10000 fn cuImportExternalSemaphore(extSem_out: *mut CUexternalSemaphore, semHandleDesc: *const c_void);
        unsupported 10000 fn cuSignalExternalSemaphoresAsync(extSemArray: *const CUexternalSemaphore, paramsArray: *const c_void, numExtSems: u32, stream: CUstream);
        unsupported 10000 fn cuWaitExternalSemaphoresAsync(extSemArray: *const CUexternalSemaphore, paramsArray: *const c_void, numExtSems: u32, stream: CUstream);
        unsupported 10000 fn cuDestroyExternalSemaphore(extSem: CUexternalSemaphore);
    }
    group "CUDA__MEMOP" {
        async 8000 fn cuStreamWaitValue32(stream: CUstream, addr: CUdeviceptr, value: u32, flags: u32);
        async 11070 fn cuStreamWaitValue32_v2(stream: CUstream, addr: CUdeviceptr, value: u32, flags: u32);
        async 9000 fn cuStreamWaitValue64(stream: CUstream, addr: CUdeviceptr, value: u64, flags: u32);
        async 11070 fn cuStreamWaitValue64_v2(stream: CUstream, addr: CUdeviceptr, value: u64, flags: u32);
        async 8000 fn cuStreamWriteValue32(stream: CUstream, addr: CUdeviceptr, value: u32, flags: u32);
        async 11070 fn cuStreamWriteValue32_v2(stream: CUstream, addr: CUdeviceptr, value: u32, flags: u32);
        async 9000 fn cuStreamWriteValue64(stream: CUstream, addr: CUdeviceptr, value: u64, flags: u32);
        async 11070 fn cuStreamWriteValue64_v2(stream: CUstream, addr: CUdeviceptr, value: u64, flags: u32);
        async 8000 fn cuStreamBatchMemOp(stream: CUstream, count: u32, paramArray: *mut c_void, flags: u32);
        async 11070 fn cuStreamBatchMemOp_v2(stream: CUstream, count: u32, paramArray: *mut c_void, flags: u32);
    }
    group "CUDA__EXEC" {
        local 2020 fn cuFuncGetAttribute(pi: *mut i32, attrib: u32, hfunc: CUfunction);
        local 9000 fn cuFuncSetAttribute(hfunc: CUfunction, attrib: u32, value: i32);
        local 3000 fn cuFuncSetCacheConfig(hfunc: CUfunction, config: u32);
        local 11000 fn cuFuncGetModule(hmod: *mut CUmodule, hfunc: CUfunction);
        local 12030 fn cuFuncGetName(name: *mut *const c_char, hfunc: CUfunction);
        local 12040 fn cuFuncGetParamInfo(func: CUfunction, paramIndex: usize, paramOffset: *mut usize, paramSize: *mut usize);
        local 12040 fn cuFuncIsLoaded(state: *mut u32, function: CUfunction);
        local 12040 fn cuFuncLoad(function: CUfunction);
        async 4000 fn cuLaunchKernel(f: CUfunction, gridDimX: u32, gridDimY: u32, gridDimZ: u32, blockDimX: u32, blockDimY: u32, blockDimZ: u32, sharedMemBytes: u32, hStream: CUstream, kernelParams: *mut *mut c_void, extra: *mut *mut c_void);
        async 11060 fn cuLaunchKernelEx(config: *const CUlaunchConfig, f: CUfunction, kernelParams: *mut *mut c_void, extra: *mut *mut c_void);
        async 9000 fn cuLaunchCooperativeKernel(f: CUfunction, gridDimX: u32, gridDimY: u32, gridDimZ: u32, blockDimX: u32, blockDimY: u32, blockDimZ: u32, sharedMemBytes: u32, hStream: CUstream, kernelParams: *mut *mut c_void);
        async 9000 fn cuLaunchCooperativeKernelMultiDevice(launchParamsList: *mut c_void, numDevices: u32, flags: u32);
        async 10000 fn cuLaunchHostFunc(hStream: CUstream, fn_: CUhostFn, userData: *mut c_void);
    }
    group "CUDA__EXEC__DEPRECATED" {
        local 2000 fn cuFuncSetBlockShape(hfunc: CUfunction, x: i32, y: i32, z: i32);
        local 2000 fn cuFuncSetSharedSize(hfunc: CUfunction, bytes: u32);
        local 2000 fn cuParamSetSize(hfunc: CUfunction, numbytes: u32);
        local 2000 fn cuParamSeti(hfunc: CUfunction, offset: i32, value: u32);
        local 2000 fn cuParamSetf(hfunc: CUfunction, offset: i32, value: f32);
        local 2000 fn cuParamSetv(hfunc: CUfunction, offset: i32, ptr: *mut c_void, numbytes: u32);
        async 2000 fn cuLaunch(f: CUfunction);
        async 2000 fn cuLaunchGrid(f: CUfunction, grid_width: i32, grid_height: i32);
        async 2000 fn cuLaunchGridAsync(f: CUfunction, grid_width: i32, grid_height: i32, hStream: CUstream);
        local 2000 fn cuParamSetTexRef(hfunc: CUfunction, texunit: i32, hTexRef: CUtexref);
        local 4020 fn cuFuncSetSharedMemConfig(hfunc: CUfunction, config: u32);
    }
    group "CUDA__GRAPH" {
        local 10000 fn cuGraphCreate(phGraph: *mut CUgraph, flags: u32);
        local 10000 fn cuGraphAddKernelNode(phGraphNode: *mut CUgraphNode, hGraph: CUgraph, dependencies: *const CUgraphNode, numDependencies: usize, nodeParams: *const c_void);
        local 12000 fn cuGraphAddKernelNode_v2(phGraphNode: *mut CUgraphNode, hGraph: CUgraph, dependencies: *const CUgraphNode, numDependencies: usize, nodeParams: *const c_void);
        local 12000 fn cuGraphKernelNodeGetParams_v2(hNode: CUgraphNode, nodeParams: *mut c_void);
        local 12000 fn cuGraphKernelNodeSetParams_v2(hNode: CUgraphNode, nodeParams: *const c_void);
        local 10000 fn cuGraphAddMemcpyNode(phGraphNode: *mut CUgraphNode, hGraph: CUgraph, dependencies: *const CUgraphNode, numDependencies: usize, copyParams: *const CUDA_MEMCPY3D, ctx: CUcontext);
        local 10000 fn cuGraphMemcpyNodeGetParams(hNode: CUgraphNode, nodeParams: *mut CUDA_MEMCPY3D);
        local 10000 fn cuGraphMemcpyNodeSetParams(hNode: CUgraphNode, nodeParams: *const CUDA_MEMCPY3D);
        local 10000 fn cuGraphAddMemsetNode(phGraphNode: *mut CUgraphNode, hGraph: CUgraph, dependencies: *const CUgraphNode, numDependencies: usize, memsetParams: *const c_void, ctx: CUcontext);
        local 10000 fn cuGraphMemsetNodeGetParams(hNode: CUgraphNode, nodeParams: *mut c_void);
        local 10000 fn cuGraphMemsetNodeSetParams(hNode: CUgraphNode, nodeParams: *const c_void);
        local 10000 fn cuGraphAddHostNode(phGraphNode: *mut CUgraphNode, hGraph: CUgraph, dependencies: *const CUgraphNode, numDependencies: usize, nodeParams: *const c_void);
        local 10000 fn cuGraphHostNodeGetParams(hNode: CUgraphNode, nodeParams: *mut c_void);
        local 10000 fn cuGraphHostNodeSetParams(hNode: CUgraphNode, nodeParams: *const c_void);
        local 10000 fn cuGraphAddChildGraphNode(phGraphNode: *mut CUgraphNode, hGraph: CUgraph, dependencies: *const CUgraphNode, numDependencies: usize, childGraph: CUgraph);
        local 10000 fn cuGraphChildGraphNodeGetGraph(hNode: CUgraphNode, phGraph: *mut CUgraph);
        local 10000 fn cuGraphAddEmptyNode(phGraphNode: *mut CUgraphNode, hGraph: CUgraph, dependencies: *const CUgraphNode, numDependencies: usize);
        local 11010 fn cuGraphAddEventRecordNode(phGraphNode: *mut CUgraphNode, hGraph: CUgraph, dependencies: *const CUgraphNode, numDependencies: usize, event: CUevent);
        local 11010 fn cuGraphEventRecordNodeGetEvent(hNode: CUgraphNode, event_out: *mut CUevent);
        local 11010 fn cuGraphEventRecordNodeSetEvent(hNode: CUgraphNode, event: CUevent);
        local 11010 fn cuGraphAddEventWaitNode(phGraphNode: *mut CUgraphNode, hGraph: CUgraph, dependencies: *const CUgraphNode, numDependencies: usize, event: CUevent);
        local 11010 fn cuGraphEventWaitNodeGetEvent(hNode: CUgraphNode, event_out: *mut CUevent);
        local 11010 fn cuGraphEventWaitNodeSetEvent(hNode: CUgraphNode, event: CUevent);
        unsupported 11020 fn cuGraphAddExternalSemaphoresSignalNode(phGraphNode: *mut CUgraphNode, hGraph: CUgraph, dependencies: *const CUgraphNode, numDependencies: usize, nodeParams: *const c_void);
        unsupported 11020 fn cuGraphExternalSemaphoresSignalNodeGetParams(hNode: CUgraphNode, params_out: *mut c_void);
        unsupported 11020 fn cuGraphExternalSemaphoresSignalNodeSetParams(hNode: CUgraphNode, nodeParams: *const c_void);
        unsupported 11020 fn cuGraphAddExternalSemaphoresWaitNode(phGraphNode: *mut CUgraphNode, hGraph: CUgraph, dependencies: *const CUgraphNode, numDependencies: usize, nodeParams: *const c_void);
        unsupported 11020 fn cuGraphExternalSemaphoresWaitNodeGetParams(hNode: CUgraphNode, params_out: *mut c_void);
        unsupported 11020 fn cuGraphExternalSemaphoresWaitNodeSetParams(hNode: CUgraphNode, nodeParams: *const c_void);
        local 11070 fn cuGraphAddBatchMemOpNode(phGraphNode: *mut CUgraphNode, hGraph: CUgraph, dependencies: *const CUgraphNode, numDependencies: usize, nodeParams: *const c_void);
        local 11070 fn cuGraphBatchMemOpNodeGetParams(hNode: CUgraphNode, nodeParams_out: *mut c_void);
        local 11070 fn cuGraphBatchMemOpNodeSetParams(hNode: CUgraphNode, nodeParams: *const c_void);
        local 11070 fn cuGraphExecBatchMemOpNodeSetParams(hGraphExec: CUgraphExec, hNode: CUgraphNode, nodeParams: *const c_void);
        local 11040 fn cuGraphAddMemAllocNode(phGraphNode: *mut CUgraphNode, hGraph: CUgraph, dependencies: *const CUgraphNode, numDependencies: usize, nodeParams: *mut c_void);
        local 11040 fn cuGraphMemAllocNodeGetParams(hNode: CUgraphNode, params_out: *mut c_void);
        local 11040 fn cuGraphAddMemFreeNode(phGraphNode: *mut CUgraphNode, hGraph: CUgraph, dependencies: *const CUgraphNode, numDependencies: usize, dptr: CUdeviceptr);
        local 11040 fn cuGraphMemFreeNodeGetParams(hNode: CUgraphNode, dptr_out: *mut CUdeviceptr);
        local 11040 fn cuDeviceGraphMemTrim(device: CUdevice);
        local 11040 fn cuDeviceGetGraphMemAttribute(device: CUdevice, attr: u32, value: *mut c_void);
        local 11040 fn cuDeviceSetGraphMemAttribute(device: CUdevice, attr: u32, value: *mut c_void);
        local 10000 fn cuGraphClone(phGraphClone: *mut CUgraph, originalGraph: CUgraph);
        local 10000 fn cuGraphNodeFindInClone(phNode: *mut CUgraphNode, hOriginalNode: CUgraphNode, hClonedGraph: CUgraph);
        local 10000 fn cuGraphNodeGetType(hNode: CUgraphNode, type_: *mut u32);
        local 10000 fn cuGraphGetNodes(hGraph: CUgraph, nodes: *mut CUgraphNode, numNodes: *mut usize);
        local 10000 fn cuGraphGetRootNodes(hGraph: CUgraph, rootNodes: *mut CUgraphNode, numRootNodes: *mut usize);
        local 12030 fn cuGraphGetEdges_v2(hGraph: CUgraph, from: *mut CUgraphNode, to: *mut CUgraphNode, edgeData: *mut c_void, numEdges: *mut usize);
        local 12030 fn cuGraphNodeGetDependencies_v2(hNode: CUgraphNode, dependencies: *mut CUgraphNode, edgeData: *mut c_void, numDependencies: *mut usize);
        local 12030 fn cuGraphNodeGetDependentNodes_v2(hNode: CUgraphNode, dependentNodes: *mut CUgraphNode, edgeData: *mut c_void, numDependentNodes: *mut usize);
        local 12030 fn cuGraphAddDependencies_v2(hGraph: CUgraph, from: *const CUgraphNode, to: *const CUgraphNode, edgeData: *const c_void, numDependencies: usize);
        local 12030 fn cuGraphRemoveDependencies_v2(hGraph: CUgraph, from: *const CUgraphNode, to: *const CUgraphNode, edgeData: *const c_void, numDependencies: usize);
        local 10000 fn cuGraphDestroyNode(hNode: CUgraphNode);
        sync 12000 fn cuGraphInstantiateWithParams(phGraphExec: *mut CUgraphExec, hGraph: CUgraph, instantiateParams: *mut c_void);
        local 12000 fn cuGraphExecGetFlags(hGraphExec: CUgraphExec, flags: *mut u64);
        local 12000 fn cuGraphExecKernelNodeSetParams_v2(hGraphExec: CUgraphExec, hNode: CUgraphNode, nodeParams: *const c_void);
        local 10020 fn cuGraphExecMemcpyNodeSetParams(hGraphExec: CUgraphExec, hNode: CUgraphNode, copyParams: *const CUDA_MEMCPY3D, ctx: CUcontext);
        local 10020 fn cuGraphExecMemsetNodeSetParams(hGraphExec: CUgraphExec, hNode: CUgraphNode, memsetParams: *const c_void, ctx: CUcontext);
        local 10020 fn cuGraphExecHostNodeSetParams(hGraphExec: CUgraphExec, hNode: CUgraphNode, nodeParams: *const c_void);
        local 11010 fn cuGraphExecChildGraphNodeSetParams(hGraphExec: CUgraphExec, hNode: CUgraphNode, childGraph: CUgraph);
        local 11010 fn cuGraphExecEventRecordNodeSetEvent(hGraphExec: CUgraphExec, hNode: CUgraphNode, event: CUevent);
        local 11010 fn cuGraphExecEventWaitNodeSetEvent(hGraphExec: CUgraphExec, hNode: CUgraphNode, event: CUevent);
        unsupported 11020 fn cuGraphExecExternalSemaphoresSignalNodeSetParams(hGraphExec: CUgraphExec, hNode: CUgraphNode, nodeParams: *const c_void);
        unsupported 11020 fn cuGraphExecExternalSemaphoresWaitNodeSetParams(hGraphExec: CUgraphExec, hNode: CUgraphNode, nodeParams: *const c_void);
        async 11060 fn cuGraphNodeSetEnabled(hGraphExec: CUgraphExec, hNode: CUgraphNode, isEnabled: u32);
        local 11060 fn cuGraphNodeGetEnabled(hGraphExec: CUgraphExec, hNode: CUgraphNode, isEnabled: *mut u32);
        async 11010 fn cuGraphUpload(hGraphExec: CUgraphExec, hStream: CUstream);
        async 10000 fn cuGraphLaunch(hGraphExec: CUgraphExec, hStream: CUstream);
        async 10000 fn cuGraphExecDestroy(hGraphExec: CUgraphExec);
        async 10000 fn cuGraphDestroy(hGraph: CUgraph);
        local 12000 fn cuGraphExecUpdate_v2(hGraphExec: CUgraphExec, hGraph: CUgraph, resultInfo: *mut c_void);
        local 10000 fn cuGraphKernelNodeGetParams(hNode: CUgraphNode, nodeParams: *mut c_void);
        local 10000 fn cuGraphKernelNodeSetParams(hNode: CUgraphNode, nodeParams: *const c_void);
        local 10010 fn cuGraphExecKernelNodeSetParams(hGraphExec: CUgraphExec, hNode: CUgraphNode, nodeParams: *const c_void);
        local 10000 fn cuGraphGetEdges(hGraph: CUgraph, from: *mut CUgraphNode, to: *mut CUgraphNode, numEdges: *mut usize);
        local 10000 fn cuGraphNodeGetDependencies(hNode: CUgraphNode, dependencies: *mut CUgraphNode, numDependencies: *mut usize);
        local 10000 fn cuGraphNodeGetDependentNodes(hNode: CUgraphNode, dependentNodes: *mut CUgraphNode, numDependentNodes: *mut usize);
        local 10000 fn cuGraphAddDependencies(hGraph: CUgraph, from: *const CUgraphNode, to: *const CUgraphNode, numDependencies: usize);
        local 10000 fn cuGraphRemoveDependencies(hGraph: CUgraph, from: *const CUgraphNode, to: *const CUgraphNode, numDependencies: usize);
        local 12020 fn cuGraphAddNode(phGraphNode: *mut CUgraphNode, hGraph: CUgraph, dependencies: *const CUgraphNode, numDependencies: usize, nodeParams: *mut c_void);
        local 10020 fn cuGraphExecUpdate(hGraphExec: CUgraphExec, hGraph: CUgraph, hErrorNode_out: *mut CUgraphNode, updateResult_out: *mut u32);
        local 11000 fn cuGraphKernelNodeCopyAttributes(dst: CUgraphNode, src: CUgraphNode);
        local 11000 fn cuGraphKernelNodeGetAttribute(hNode: CUgraphNode, attr: u32, value_out: *mut CUstreamAttrValue);
        sync 11000 fn cuGraphKernelNodeSetAttribute(hNode: CUgraphNode, attr: u32, value: *const CUstreamAttrValue);
        local 11030 fn cuGraphDebugDotPrint(hGraph: CUgraph, path: *const c_char, flags: u32);
        local 11030 fn cuUserObjectCreate(object_out: *mut CUuserObject, ptr: *mut c_void, destroy: CUhostFn, initialRefcount: u32, flags: u32);
        local 11030 fn cuUserObjectRetain(object: CUuserObject, count: u32);
        local 11030 fn cuUserObjectRelease(object: CUuserObject, count: u32);
        local 11030 fn cuGraphRetainUserObject(graph: CUgraph, object: CUuserObject, count: u32, flags: u32);
        local 11030 fn cuGraphReleaseUserObject(graph: CUgraph, object: CUuserObject, count: u32);
        local 12030 fn cuGraphAddNode_v2(phGraphNode: *mut CUgraphNode, hGraph: CUgraph, dependencies: *const CUgraphNode, dependencyData: *const c_void, numDependencies: usize, nodeParams: *mut c_void);
        local 12020 fn cuGraphNodeSetParams(hNode: CUgraphNode, nodeParams: *mut c_void);
        local 12020 fn cuGraphExecNodeSetParams(hGraphExec: CUgraphExec, hNode: CUgraphNode, nodeParams: *mut c_void);
        local 12030 fn cuGraphConditionalHandleCreate(pHandle_out: *mut CUgraphConditionalHandle, hGraph: CUgraph, ctx: CUcontext, defaultLaunchValue: u32, flags: u32);
        sync 10000 fn cuGraphInstantiate(phGraphExec: *mut CUgraphExec, hGraph: CUgraph, phErrorNode: *mut CUgraphNode, logBuffer: *mut c_char, bufferSize: usize);
        sync 11000 fn cuGraphInstantiate_v2(phGraphExec: *mut CUgraphExec, hGraph: CUgraph, phErrorNode: *mut CUgraphNode, logBuffer: *mut c_char, bufferSize: usize);
    }
    group "CUDA__DRIVER__ENTRY__POINT" {
        sync 11040 fn cuGraphInstantiateWithFlags(phGraphExec: *mut CUgraphExec, hGraph: CUgraph, flags: u64);
        local 11030 fn cuGetProcAddress(symbol: *const c_char, pfn: *mut *mut c_void, cudaVersion: i32, flags: u64);
        local 12000 fn cuGetProcAddress_v2(symbol: *const c_char, pfn: *mut *mut c_void, cudaVersion: i32, flags: u64, symbolStatus: *mut u32);
    }
    group "CUDA__OCCUPANCY" {
        local 6050 fn cuOccupancyMaxActiveBlocksPerMultiprocessor(numBlocks: *mut i32, func: CUfunction, blockSize: i32, dynamicSMemSize: usize);
        local 7000 fn cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(numBlocks: *mut i32, func: CUfunction, blockSize: i32, dynamicSMemSize: usize, flags: u32);
        local 6050 fn cuOccupancyMaxPotentialBlockSize(minGridSize: *mut i32, blockSize: *mut i32, func: CUfunction, blockSizeToDynamicSMemSize: CUoccupancyB2DSize, dynamicSMemSize: usize, blockSizeLimit: i32);
        local 7000 fn cuOccupancyMaxPotentialBlockSizeWithFlags(minGridSize: *mut i32, blockSize: *mut i32, func: CUfunction, blockSizeToDynamicSMemSize: CUoccupancyB2DSize, dynamicSMemSize: usize, blockSizeLimit: i32, flags: u32);
        local 10020 fn cuOccupancyAvailableDynamicSMemPerBlock(dynamicSmemSize: *mut usize, func: CUfunction, numBlocks: i32, blockSize: i32);
        sync 11070 fn cuOccupancyMaxPotentialClusterSize(clusterSize: *mut i32, func: CUfunction, config: *const CUlaunchConfig);
        sync 11070 fn cuOccupancyMaxActiveClusters(numClusters: *mut i32, func: CUfunction, config: *const CUlaunchConfig);
    }
    group "CUDA__TEXREF__DEPRECATED" {
        async 2000 fn cuTexRefSetArray(hTexRef: CUtexref, hArray: CUarray, Flags: u32);
        async 5000 fn cuTexRefSetMipmappedArray(hTexRef: CUtexref, hMipmappedArray: CUmipmappedArray, Flags: u32);
        async 3020 fn cuTexRefSetAddress_v2(ByteOffset: *mut usize, hTexRef: CUtexref, dptr: CUdeviceptr, bytes: usize);
        async 4010 fn cuTexRefSetAddress2D_v3(hTexRef: CUtexref, desc: *const c_void, dptr: CUdeviceptr, Pitch: usize);
        async 2000 fn cuTexRefSetFormat(hTexRef: CUtexref, fmt: u32, NumPackedComponents: i32);
        async 2000 fn cuTexRefSetAddressMode(hTexRef: CUtexref, dim: i32, am: u32);
        async 2000 fn cuTexRefSetFilterMode(hTexRef: CUtexref, fm: u32);
        async 5000 fn cuTexRefSetMipmapFilterMode(hTexRef: CUtexref, fm: u32);
        async 5000 fn cuTexRefSetMipmapLevelBias(hTexRef: CUtexref, bias: f32);
        async 5000 fn cuTexRefSetMipmapLevelClamp(hTexRef: CUtexref, minMipmapLevelClamp: f32, maxMipmapLevelClamp: f32);
        async 5000 fn cuTexRefSetMaxAnisotropy(hTexRef: CUtexref, maxAniso: u32);
        async 8000 fn cuTexRefSetBorderColor(hTexRef: CUtexref, pBorderColor: *mut f32);
        async 2000 fn cuTexRefSetFlags(hTexRef: CUtexref, Flags: u32);
        local 3020 fn cuTexRefGetAddress_v2(pdptr: *mut CUdeviceptr, hTexRef: CUtexref);
        local 2000 fn cuTexRefGetArray(phArray: *mut CUarray, hTexRef: CUtexref);
        local 5000 fn cuTexRefGetMipmappedArray(phMipmappedArray: *mut CUmipmappedArray, hTexRef: CUtexref);
        local 2000 fn cuTexRefGetAddressMode(pam: *mut u32, hTexRef: CUtexref, dim: i32);
        local 2000 fn cuTexRefGetFilterMode(pfm: *mut u32, hTexRef: CUtexref);
        local 2000 fn cuTexRefGetFormat(pFormat: *mut u32, pNumChannels: *mut i32, hTexRef: CUtexref);
        local 5000 fn cuTexRefGetMipmapFilterMode(pfm: *mut u32, hTexRef: CUtexref);
        local 5000 fn cuTexRefGetMipmapLevelBias(pbias: *mut f32, hTexRef: CUtexref);
        local 5000 fn cuTexRefGetMipmapLevelClamp(pminMipmapLevelClamp: *mut f32, pmaxMipmapLevelClamp: *mut f32, hTexRef: CUtexref);
        local 5000 fn cuTexRefGetMaxAnisotropy(pmaxAniso: *mut i32, hTexRef: CUtexref);
        local 8000 fn cuTexRefGetBorderColor(pBorderColor: *mut f32, hTexRef: CUtexref);
        local 2000 fn cuTexRefGetFlags(pFlags: *mut u32, hTexRef: CUtexref);
        local 2000 fn cuTexRefCreate(pTexRef: *mut CUtexref);
        local 2000 fn cuTexRefDestroy(hTexRef: CUtexref);
    }
    group "CUDA__SURFREF__DEPRECATED" {
        async 3000 fn cuSurfRefSetArray(hSurfRef: CUsurfref, hArray: CUarray, Flags: u32);
        local 3000 fn cuSurfRefGetArray(phArray: *mut CUarray, hSurfRef: CUsurfref);
    }
    group "CUDA__TEXOBJECT" {
        sync 5000 fn cuTexObjectCreate(pTexObject: *mut CUtexObject, pResDesc: *const CUDA_RESOURCE_DESC, pTexDesc: *const CUDA_TEXTURE_DESC, pResViewDesc: *const CUDA_RESOURCE_VIEW_DESC);
        async 5000 fn cuTexObjectDestroy(texObject: CUtexObject);
        local 5000 fn cuTexObjectGetResourceDesc(pResDesc: *mut CUDA_RESOURCE_DESC, texObject: CUtexObject);
        local 5000 fn cuTexObjectGetTextureDesc(pTexDesc: *mut CUDA_TEXTURE_DESC, texObject: CUtexObject);
        local 5000 fn cuTexObjectGetResourceViewDesc(pResViewDesc: *mut CUDA_RESOURCE_VIEW_DESC, texObject: CUtexObject);
    }
    group "CUDA__SURFOBJECT" {
        sync 5000 fn cuSurfObjectCreate(pSurfObject: *mut CUsurfObject, pResDesc: *const CUDA_RESOURCE_DESC);
        async 5000 fn cuSurfObjectDestroy(surfObject: CUsurfObject);
        local 5000 fn cuSurfObjectGetResourceDesc(pResDesc: *mut CUDA_RESOURCE_DESC, surfObject: CUsurfObject);
    }
    group "CUDA__TENSOR__MEMORY" {
        sync 12000 fn cuTensorMapEncodeTiled(tensorMap: *mut c_void, tensorDataType: u32, tensorRank: u32, globalAddress: *mut c_void, globalDim: *const u64, globalStrides: *const u64, boxDim: *const u32, elementStrides: *const u32, interleave: u32, swizzle: u32, l2Promotion: u32, oobFill: u32);
        sync 12000 fn cuTensorMapEncodeIm2col(tensorMap: *mut c_void, tensorDataType: u32, tensorRank: u32, globalAddress: *mut c_void, globalDim: *const u64, globalStrides: *const u64, pixelBoxLowerCorner: *const i32, pixelBoxUpperCorner: *const i32, channelsPerPixel: u32, pixelsPerColumn: u32, elementStrides: *const u32, interleave: u32, swizzle: u32, l2Promotion: u32, oobFill: u32);
        sync 12080 fn cuTensorMapEncodeIm2colWide(tensorMap: *mut c_void, tensorDataType: u32, tensorRank: u32, globalAddress: *mut c_void, globalDim: *const u64, globalStrides: *const u64, pixelBoxLowerCornerWidth: i32, pixelBoxUpperCornerWidth: i32, channelsPerPixel: u32, pixelsPerColumn: u32, elementStrides: *const u32, interleave: u32, mode: u32, swizzle: u32, l2Promotion: u32, oobFill: u32);
        sync 12000 fn cuTensorMapReplaceAddress(tensorMap: *mut c_void, globalAddress: *mut c_void);
    }
    group "CUDA__PEER__ACCESS" {
        local 4000 fn cuDeviceCanAccessPeer(canAccessPeer: *mut i32, dev: CUdevice, peerDev: CUdevice);
        local 4000 fn cuCtxEnablePeerAccess(peerContext: CUcontext, Flags: u32);
        local 4000 fn cuCtxDisablePeerAccess(peerContext: CUcontext);
        local 8000 fn cuDeviceGetP2PAttribute(value: *mut i32, attrib: u32, srcDevice: CUdevice, dstDevice: CUdevice);
        local 13000 fn cuDeviceGetP2PAtomicCapabilities(capabilities: *mut u32, operations: *const u32, count: u32, srcDevice: CUdevice, dstDevice: CUdevice);
    }
    group "CUDA__GRAPHICS" {
        unsupported 3000 fn cuGraphicsUnregisterResource(resource: CUgraphicsResource);
        unsupported 3000 fn cuGraphicsSubResourceGetMappedArray(pArray: *mut CUarray, resource: CUgraphicsResource, arrayIndex: u32, mipLevel: u32);
        unsupported 5000 fn cuGraphicsResourceGetMappedMipmappedArray(pMipmappedArray: *mut CUmipmappedArray, resource: CUgraphicsResource);
        unsupported 3020 fn cuGraphicsResourceGetMappedPointer_v2(pDevPtr: *mut CUdeviceptr, pSize: *mut usize, resource: CUgraphicsResource);
        unsupported 6050 fn cuGraphicsResourceSetMapFlags_v2(resource: CUgraphicsResource, flags: u32);
        unsupported 3000 fn cuGraphicsMapResources(count: u32, resources: *mut CUgraphicsResource, hStream: CUstream);
        unsupported 3000 fn cuGraphicsUnmapResources(count: u32, resources: *mut CUgraphicsResource, hStream: CUstream);
    }
    group "CUDA__COREDUMP" {
        unsupported 12010 fn cuCoredumpGetAttribute(attrib: u32, value: *mut c_void, size: *mut usize);
        unsupported 12010 fn cuCoredumpGetAttributeGlobal(attrib: u32, value: *mut c_void, size: *mut usize);
        unsupported 12010 fn cuCoredumpSetAttribute(attrib: u32, value: *mut c_void, size: *mut usize);
        unsupported 12010 fn cuCoredumpSetAttributeGlobal(attrib: u32, value: *mut c_void, size: *mut usize);
        local 3000 fn cuGetExportTable(ppExportTable: *mut *const c_void, pExportTableId: *const CUuuid);
    }
    group "CUDA__GREEN__CONTEXTS" {
        sync 12040 fn cuGreenCtxCreate(phCtx: *mut CUgreenCtx, desc: CUdevResourceDesc, dev: CUdevice, flags: u32);
        sync 12040 fn cuGreenCtxDestroy(hCtx: CUgreenCtx);
        local 12040 fn cuCtxFromGreenCtx(pContext: *mut CUcontext, hCtx: CUgreenCtx);
        sync 12040 fn cuDeviceGetDevResource(device: CUdevice, resource: *mut c_void, type_: u32);
        sync 12040 fn cuCtxGetDevResource(hCtx: CUcontext, resource: *mut c_void, type_: u32);
        sync 12040 fn cuGreenCtxGetDevResource(hCtx: CUgreenCtx, resource: *mut c_void, type_: u32);
        sync 12040 fn cuDevSmResourceSplitByCount(result: *mut c_void, nbGroups: *mut u32, input: *const c_void, remaining: *mut c_void, useFlags: u32, minCount: u32);
        local 12040 fn cuDevResourceGenerateDesc(phDesc: *mut CUdevResourceDesc, resources: *mut c_void, nbResources: u32);
        async 12040 fn cuGreenCtxRecordEvent(hCtx: CUgreenCtx, hEvent: CUevent);
        async 12040 fn cuGreenCtxWaitEvent(hCtx: CUgreenCtx, hEvent: CUevent);
        local 12040 fn cuStreamGetGreenCtx(hStream: CUstream, phCtx: *mut CUgreenCtx);
        async 12050 fn cuGreenCtxStreamCreate(phStream: *mut CUstream, greenCtx: CUgreenCtx, flags: u32, priority: i32);
        local 12090 fn cuGreenCtxGetId(greenCtx: CUgreenCtx, greenCtxId: *mut u64);
    }
    group "CUDA__LOGS" {
        local 12090 fn cuLogsRegisterCallback(callbackFunc: *mut c_void, userData: *mut c_void, callback_out: *mut CUlogsCallbackHandle);
        local 12090 fn cuLogsUnregisterCallback(callback: CUlogsCallbackHandle);
        local 12090 fn cuLogsCurrent(iterator_out: *mut u32, flags: u32);
        local 12090 fn cuLogsDumpToFile(iterator: *mut u32, pathToFile: *const c_char, flags: u32);
        local 12090 fn cuLogsDumpToMemory(iterator: *mut u32, buffer: *mut c_char, size: *mut usize, flags: u32);
    }
    group "CUDA__CHECKPOINT" {
        unsupported 12080 fn cuCheckpointProcessGetRestoreThreadId(pid: i32, tid: *mut i32);
        unsupported 12080 fn cuCheckpointProcessGetState(pid: i32, state: *mut u32);
        unsupported 12080 fn cuCheckpointProcessLock(pid: i32, args: *mut c_void);
        unsupported 12080 fn cuCheckpointProcessCheckpoint(pid: i32, args: *mut c_void);
        unsupported 12080 fn cuCheckpointProcessRestore(pid: i32, args: *mut c_void);
        unsupported 12080 fn cuCheckpointProcessUnlock(pid: i32, args: *mut c_void);
    }
    group "CUDA__PROFILER" {
        local 4000 fn cuProfilerStart();
        local 4000 fn cuProfilerStop();
    }
} } }
