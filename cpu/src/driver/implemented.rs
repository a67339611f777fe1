//! Which functions of the driver API this device implements, and in which module: the one list.
//!
//! A name that is listed must exist with the signature of `gvirtus_wire::cuda_api!`; a row of that table that is not listed is exported as a stub.

/// Hands the list to the macro named in the argument.
#[rustfmt::skip]
macro_rules! implemented { ($callback:ident) => { $callback! {
    array {
        cuArray3DCreate_v2 cuArray3DGetDescriptor_v2 cuArrayCreate_v2 cuArrayDestroy cuArrayGetDescriptor_v2 cuArrayGetMemoryRequirements cuArrayGetPlane
        cuArrayGetSparseProperties cuMipmappedArrayCreate cuMipmappedArrayDestroy cuMipmappedArrayGetLevel cuMipmappedArrayGetMemoryRequirements
        cuMipmappedArrayGetSparseProperties
    }
    capture {
        cuStreamBeginCapture cuStreamBeginCaptureToGraph cuStreamBeginCapture_v2 cuStreamEndCapture cuStreamGetCaptureInfo_v2 cuStreamGetCaptureInfo_v3 cuStreamIsCapturing
        cuStreamUpdateCaptureDependencies cuStreamUpdateCaptureDependencies_v2 cuThreadExchangeStreamCaptureMode
    }
    context {
        cuCtxAttach cuCtxCreate_v2 cuCtxCreate_v3 cuCtxCreate_v4 cuCtxDestroy_v2 cuCtxDetach cuCtxGetApiVersion cuCtxGetCurrent cuCtxGetDevice
        cuCtxGetDevice_v2 cuCtxGetId cuCtxPopCurrent_v2 cuCtxPushCurrent_v2 cuCtxSetCurrent cuCtxSynchronize cuCtxSynchronize_v2
    }
    device {
        cuCtxDisablePeerAccess cuCtxEnablePeerAccess cuDeviceCanAccessPeer cuDeviceComputeCapability cuDeviceGet cuDeviceGetAttribute
        cuDeviceGetByPCIBusId cuDeviceGetCount cuDeviceGetName cuDeviceGetP2PAttribute cuDeviceGetPCIBusId cuDeviceGetProperties cuDeviceGetUuid
        cuDeviceGetUuid_v2 cuDeviceTotalMem_v2 cuDriverGetVersion cuGetExportTable cuProfilerStart cuProfilerStop
    }
    entry_point {
        cuGetProcAddress cuGetProcAddress_v2
    }
    error {
        cuGetErrorName cuGetErrorString
    }
    shared_event {
        cuIpcGetEventHandle cuIpcOpenEventHandle
    }
    event {
        cuEventCreate cuEventDestroy_v2 cuEventElapsedTime cuEventElapsedTime_v2 cuEventQuery cuEventRecord cuEventRecordWithFlags cuEventSynchronize
    }
    function {
        cuFuncGetAttribute cuFuncGetModule cuFuncGetName cuFuncGetParamInfo cuFuncIsLoaded cuFuncLoad cuFuncSetAttribute cuFuncSetCacheConfig
        cuFuncSetSharedMemConfig
    }
    graph {
        cuGraphCreate cuGraphDestroy cuGraphExecDestroy cuGraphExecGetFlags cuGraphExecUpdate_v2 cuGraphGetNodes cuGraphGetRootNodes cuGraphInstantiate
        cuGraphInstantiateWithFlags cuGraphInstantiateWithParams cuGraphInstantiate_v2 cuGraphLaunch cuGraphNodeGetType cuGraphNodeSetEnabled cuGraphUpload
    }
    graph_conditional {
        cuGraphAddNode cuGraphAddNode_v2 cuGraphConditionalHandleCreate
    }
    graph_nodes {
        cuGraphAddChildGraphNode cuGraphAddEmptyNode cuGraphAddEventRecordNode cuGraphAddEventWaitNode cuGraphAddHostNode cuGraphAddKernelNode
        cuGraphAddKernelNode_v2 cuGraphAddMemcpyNode cuGraphAddMemsetNode cuGraphExecKernelNodeSetParams cuGraphExecKernelNodeSetParams_v2
    }
    graph_updatable {
        cuGraphAddDependencies_v2 cuGraphDestroyNode cuGraphGetEdges_v2 cuGraphKernelNodeGetAttribute cuGraphKernelNodeSetAttribute cuGraphKernelNodeSetParams_v2
        cuGraphRemoveDependencies_v2
    }
    green {
        cuCtxFromGreenCtx cuCtxGetDevResource cuDevResourceGenerateDesc cuDevSmResourceSplitByCount cuDeviceGetDevResource cuGreenCtxCreate cuGreenCtxDestroy
        cuGreenCtxGetDevResource cuGreenCtxStreamCreate
    }
    launch {
        cuLaunchCooperativeKernel cuLaunchKernel cuLaunchKernelEx
    }
    library {
        cuKernelGetAttribute cuKernelGetFunction cuKernelGetLibrary cuKernelGetName cuKernelGetParamInfo cuKernelSetAttribute cuKernelSetCacheConfig
        cuLibraryEnumerateKernels cuLibraryGetGlobal cuLibraryGetKernel cuLibraryGetKernelCount cuLibraryGetManaged cuLibraryGetModule
        cuLibraryLoadData cuLibraryLoadFromFile cuLibraryUnload
    }
    limits {
        cuCtxGetCacheConfig cuCtxGetFlags cuCtxGetLimit cuCtxGetSharedMemConfig cuCtxGetStreamPriorityRange cuCtxSetCacheConfig cuCtxSetFlags
        cuCtxSetLimit cuCtxSetSharedMemConfig
    }
    link {
        cuLinkAddData_v2 cuLinkAddFile_v2 cuLinkComplete cuLinkCreate_v2 cuLinkDestroy
    }
    memory::alloc {
        cuMemAllocPitch_v2 cuMemAlloc_v2 cuMemFree_v2 cuMemGetAddressRange_v2 cuMemGetInfo_v2
    }
    memory::copy {
        cuMemcpy cuMemcpy2DAsync_v2 cuMemcpy2DUnaligned_v2 cuMemcpy2D_v2 cuMemcpy3DAsync_v2 cuMemcpy3DPeer cuMemcpy3DPeerAsync cuMemcpy3D_v2
        cuMemcpyAsync cuMemcpyDtoDAsync_v2 cuMemcpyDtoD_v2 cuMemcpyDtoHAsync_v2 cuMemcpyDtoH_v2 cuMemcpyHtoDAsync_v2 cuMemcpyHtoD_v2 cuMemcpyPeer
        cuMemcpyAtoA_v2 cuMemcpyAtoD_v2 cuMemcpyAtoHAsync_v2 cuMemcpyAtoH_v2 cuMemcpyDtoA_v2 cuMemcpyHtoAAsync_v2 cuMemcpyHtoA_v2 cuMemcpyPeerAsync
    }
    memory::fill {
        cuMemsetD16Async cuMemsetD16_v2 cuMemsetD2D16Async cuMemsetD2D16_v2 cuMemsetD2D32Async cuMemsetD2D32_v2 cuMemsetD2D8Async cuMemsetD2D8_v2
        cuMemsetD32Async cuMemsetD32_v2 cuMemsetD8Async cuMemsetD8_v2
    }
    memory::host {
        cuMemAllocHost_v2 cuMemFreeHost cuMemHostAlloc cuMemHostGetDevicePointer_v2 cuMemHostGetFlags cuMemHostRegister_v2 cuMemHostUnregister
    }
    memory::pointer {
        cuPointerGetAttribute cuPointerGetAttributes
    }
    memory::vmm {
        cuMemAddressFree cuMemAddressReserve cuMemExportToShareableHandle cuMemImportFromShareableHandle cuMemCreate cuMemGetAccess cuMemGetAllocationGranularity cuMemGetAllocationPropertiesFromHandle cuMemMap
        cuMemRelease cuMemRetainAllocationHandle cuMemSetAccess cuMemUnmap
    }
    module {
        cuModuleEnumerateFunctions cuModuleGetFunction cuModuleGetFunctionCount cuModuleGetGlobal_v2 cuModuleGetLoadingMode cuModuleLoad
        cuModuleLoadData cuModuleLoadDataEx cuModuleLoadFatBinary cuModuleUnload
    }
    occupancy {
        cuOccupancyAvailableDynamicSMemPerBlock cuOccupancyMaxActiveBlocksPerMultiprocessor cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags
        cuOccupancyMaxActiveClusters cuOccupancyMaxPotentialBlockSize cuOccupancyMaxPotentialBlockSizeWithFlags cuOccupancyMaxPotentialClusterSize
    }
    primary {
        cuDevicePrimaryCtxGetState cuDevicePrimaryCtxRelease cuDevicePrimaryCtxRelease_v2 cuDevicePrimaryCtxReset cuDevicePrimaryCtxReset_v2
        cuDevicePrimaryCtxRetain cuDevicePrimaryCtxSetFlags cuDevicePrimaryCtxSetFlags_v2
    }
    state {
        cuInit
    }
    stream_api {
        cuLaunchHostFunc cuStreamAddCallback cuStreamBatchMemOp cuStreamBatchMemOp_v2 cuStreamCreate cuStreamCreateWithPriority cuStreamDestroy_v2 cuStreamGetCtx cuStreamGetCtx_v2
        cuStreamGetDevice cuStreamGetFlags cuStreamGetId cuStreamGetPriority cuStreamQuery cuStreamSynchronize cuStreamWaitEvent cuStreamWaitValue32
        cuStreamWaitValue32_v2 cuStreamWaitValue64 cuStreamWaitValue64_v2 cuStreamWriteValue32 cuStreamWriteValue32_v2 cuStreamWriteValue64
        cuStreamWriteValue64_v2
    }
    stream_attributes {
        cuStreamCopyAttributes cuStreamGetAttribute cuStreamSetAttribute
    }
    texture {
        cuDeviceGetTexture1DLinearMaxWidth cuSurfObjectCreate cuSurfObjectDestroy cuSurfObjectGetResourceDesc cuTexObjectCreate cuTexObjectDestroy
        cuTexObjectGetResourceDesc cuTexObjectGetResourceViewDesc cuTexObjectGetTextureDesc
    }
    texture_reference {
        cuModuleGetSurfRef cuModuleGetTexRef cuSurfRefSetArray cuTexRefGetAddressMode cuTexRefGetBorderColor cuTexRefGetFilterMode cuTexRefGetFlags cuTexRefGetFormat
        cuTexRefGetMaxAnisotropy cuTexRefGetMipmapFilterMode cuTexRefGetMipmapLevelBias cuTexRefGetMipmapLevelClamp cuTexRefSetAddress2D_v3 cuTexRefSetAddressMode
        cuTexRefSetAddress_v2 cuTexRefSetArray cuTexRefSetBorderColor cuTexRefSetFilterMode cuTexRefSetFlags cuTexRefSetFormat cuTexRefSetMaxAnisotropy
        cuTexRefSetMipmapFilterMode cuTexRefSetMipmapLevelBias cuTexRefSetMipmapLevelClamp cuTexRefSetMipmappedArray
    }
} } }
