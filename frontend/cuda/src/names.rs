//! Names beside the declared functions: variants for the per-thread default stream, older names of the same ABI, and what is not supported.
//!
//! The lists follow what NVIDIA's library exports (`symbols/libcuda.so.1.txt`); a test holds them against it.

/// Functions with a `_ptsz` variant, which takes a null stream for the calling thread's own.
macro_rules! with_per_thread_stream {
    (cuEventRecordWithFlags $($rest:tt)*) => { export_per_thread! { cuEventRecordWithFlags cuEventRecordWithFlags_ptsz $($rest)* } };
    (cuEventRecord $($rest:tt)*) => { export_per_thread! { cuEventRecord cuEventRecord_ptsz $($rest)* } };
    (cuGraphLaunch $($rest:tt)*) => { export_per_thread! { cuGraphLaunch cuGraphLaunch_ptsz $($rest)* } };
    (cuGraphUpload $($rest:tt)*) => { export_per_thread! { cuGraphUpload cuGraphUpload_ptsz $($rest)* } };
    (cuGraphicsMapResources $($rest:tt)*) => { export_per_thread! { cuGraphicsMapResources cuGraphicsMapResources_ptsz $($rest)* } };
    (cuGraphicsUnmapResources $($rest:tt)*) => { export_per_thread! { cuGraphicsUnmapResources cuGraphicsUnmapResources_ptsz $($rest)* } };
    (cuLaunchCooperativeKernel $($rest:tt)*) => { export_per_thread! { cuLaunchCooperativeKernel cuLaunchCooperativeKernel_ptsz $($rest)* } };
    (cuLaunchHostFunc $($rest:tt)*) => { export_per_thread! { cuLaunchHostFunc cuLaunchHostFunc_ptsz $($rest)* } };
    (cuLaunchKernel $($rest:tt)*) => { export_per_thread! { cuLaunchKernel cuLaunchKernel_ptsz $($rest)* } };
    (cuMemAllocAsync $($rest:tt)*) => { export_per_thread! { cuMemAllocAsync cuMemAllocAsync_ptsz $($rest)* } };
    (cuMemAllocFromPoolAsync $($rest:tt)*) => { export_per_thread! { cuMemAllocFromPoolAsync cuMemAllocFromPoolAsync_ptsz $($rest)* } };
    (cuMemBatchDecompressAsync $($rest:tt)*) => { export_per_thread! { cuMemBatchDecompressAsync cuMemBatchDecompressAsync_ptsz $($rest)* } };
    (cuMemDiscardAndPrefetchBatchAsync $($rest:tt)*) => { export_per_thread! { cuMemDiscardAndPrefetchBatchAsync cuMemDiscardAndPrefetchBatchAsync_ptsz $($rest)* } };
    (cuMemDiscardBatchAsync $($rest:tt)*) => { export_per_thread! { cuMemDiscardBatchAsync cuMemDiscardBatchAsync_ptsz $($rest)* } };
    (cuMemFreeAsync $($rest:tt)*) => { export_per_thread! { cuMemFreeAsync cuMemFreeAsync_ptsz $($rest)* } };
    (cuMemMapArrayAsync $($rest:tt)*) => { export_per_thread! { cuMemMapArrayAsync cuMemMapArrayAsync_ptsz $($rest)* } };
    (cuMemPrefetchAsync $($rest:tt)*) => { export_per_thread! { cuMemPrefetchAsync cuMemPrefetchAsync_ptsz $($rest)* } };
    (cuMemPrefetchAsync_v2 $($rest:tt)*) => { export_per_thread! { cuMemPrefetchAsync_v2 cuMemPrefetchAsync_v2_ptsz $($rest)* } };
    (cuMemPrefetchBatchAsync $($rest:tt)*) => { export_per_thread! { cuMemPrefetchBatchAsync cuMemPrefetchBatchAsync_ptsz $($rest)* } };
    (cuMemcpy2DAsync_v2 $($rest:tt)*) => { export_per_thread! { cuMemcpy2DAsync_v2 cuMemcpy2DAsync_v2_ptsz $($rest)* } };
    (cuMemcpy3DAsync_v2 $($rest:tt)*) => { export_per_thread! { cuMemcpy3DAsync_v2 cuMemcpy3DAsync_v2_ptsz $($rest)* } };
    (cuMemcpy3DBatchAsync $($rest:tt)*) => { export_per_thread! { cuMemcpy3DBatchAsync cuMemcpy3DBatchAsync_ptsz $($rest)* } };
    (cuMemcpy3DBatchAsync_v2 $($rest:tt)*) => { export_per_thread! { cuMemcpy3DBatchAsync_v2 cuMemcpy3DBatchAsync_v2_ptsz $($rest)* } };
    (cuMemcpy3DPeerAsync $($rest:tt)*) => { export_per_thread! { cuMemcpy3DPeerAsync cuMemcpy3DPeerAsync_ptsz $($rest)* } };
    (cuMemcpyAsync $($rest:tt)*) => { export_per_thread! { cuMemcpyAsync cuMemcpyAsync_ptsz $($rest)* } };
    (cuMemcpyAtoHAsync_v2 $($rest:tt)*) => { export_per_thread! { cuMemcpyAtoHAsync_v2 cuMemcpyAtoHAsync_v2_ptsz $($rest)* } };
    (cuMemcpyBatchAsync $($rest:tt)*) => { export_per_thread! { cuMemcpyBatchAsync cuMemcpyBatchAsync_ptsz $($rest)* } };
    (cuMemcpyBatchAsync_v2 $($rest:tt)*) => { export_per_thread! { cuMemcpyBatchAsync_v2 cuMemcpyBatchAsync_v2_ptsz $($rest)* } };
    (cuMemcpyDtoDAsync_v2 $($rest:tt)*) => { export_per_thread! { cuMemcpyDtoDAsync_v2 cuMemcpyDtoDAsync_v2_ptsz $($rest)* } };
    (cuMemcpyDtoHAsync_v2 $($rest:tt)*) => { export_per_thread! { cuMemcpyDtoHAsync_v2 cuMemcpyDtoHAsync_v2_ptsz $($rest)* } };
    (cuMemcpyHtoAAsync_v2 $($rest:tt)*) => { export_per_thread! { cuMemcpyHtoAAsync_v2 cuMemcpyHtoAAsync_v2_ptsz $($rest)* } };
    (cuMemcpyHtoDAsync_v2 $($rest:tt)*) => { export_per_thread! { cuMemcpyHtoDAsync_v2 cuMemcpyHtoDAsync_v2_ptsz $($rest)* } };
    (cuMemcpyPeerAsync $($rest:tt)*) => { export_per_thread! { cuMemcpyPeerAsync cuMemcpyPeerAsync_ptsz $($rest)* } };
    (cuMemsetD16Async $($rest:tt)*) => { export_per_thread! { cuMemsetD16Async cuMemsetD16Async_ptsz $($rest)* } };
    (cuMemsetD2D16Async $($rest:tt)*) => { export_per_thread! { cuMemsetD2D16Async cuMemsetD2D16Async_ptsz $($rest)* } };
    (cuMemsetD2D32Async $($rest:tt)*) => { export_per_thread! { cuMemsetD2D32Async cuMemsetD2D32Async_ptsz $($rest)* } };
    (cuMemsetD2D8Async $($rest:tt)*) => { export_per_thread! { cuMemsetD2D8Async cuMemsetD2D8Async_ptsz $($rest)* } };
    (cuMemsetD32Async $($rest:tt)*) => { export_per_thread! { cuMemsetD32Async cuMemsetD32Async_ptsz $($rest)* } };
    (cuMemsetD8Async $($rest:tt)*) => { export_per_thread! { cuMemsetD8Async cuMemsetD8Async_ptsz $($rest)* } };
    (cuSignalExternalSemaphoresAsync $($rest:tt)*) => { export_per_thread! { cuSignalExternalSemaphoresAsync cuSignalExternalSemaphoresAsync_ptsz $($rest)* } };
    (cuStreamAddCallback $($rest:tt)*) => { export_per_thread! { cuStreamAddCallback cuStreamAddCallback_ptsz $($rest)* } };
    (cuStreamAttachMemAsync $($rest:tt)*) => { export_per_thread! { cuStreamAttachMemAsync cuStreamAttachMemAsync_ptsz $($rest)* } };
    (cuStreamBatchMemOp $($rest:tt)*) => { export_per_thread! { cuStreamBatchMemOp cuStreamBatchMemOp_ptsz $($rest)* } };
    (cuStreamBatchMemOp_v2 $($rest:tt)*) => { export_per_thread! { cuStreamBatchMemOp_v2 cuStreamBatchMemOp_v2_ptsz $($rest)* } };
    (cuStreamBeginCaptureToGraph $($rest:tt)*) => { export_per_thread! { cuStreamBeginCaptureToGraph cuStreamBeginCaptureToGraph_ptsz $($rest)* } };
    (cuStreamBeginCapture $($rest:tt)*) => { export_per_thread! { cuStreamBeginCapture cuStreamBeginCapture_ptsz $($rest)* } };
    (cuStreamBeginCapture_v2 $($rest:tt)*) => { export_per_thread! { cuStreamBeginCapture_v2 cuStreamBeginCapture_v2_ptsz $($rest)* } };
    (cuStreamEndCapture $($rest:tt)*) => { export_per_thread! { cuStreamEndCapture cuStreamEndCapture_ptsz $($rest)* } };
    (cuStreamGetAttribute $($rest:tt)*) => { export_per_thread! { cuStreamGetAttribute cuStreamGetAttribute_ptsz $($rest)* } };
    (cuStreamGetCaptureInfo_v2 $($rest:tt)*) => { export_per_thread! { cuStreamGetCaptureInfo_v2 cuStreamGetCaptureInfo_v2_ptsz $($rest)* } };
    (cuStreamGetCaptureInfo_v3 $($rest:tt)*) => { export_per_thread! { cuStreamGetCaptureInfo_v3 cuStreamGetCaptureInfo_v3_ptsz $($rest)* } };
    (cuStreamGetCtx $($rest:tt)*) => { export_per_thread! { cuStreamGetCtx cuStreamGetCtx_ptsz $($rest)* } };
    (cuStreamGetCtx_v2 $($rest:tt)*) => { export_per_thread! { cuStreamGetCtx_v2 cuStreamGetCtx_v2_ptsz $($rest)* } };
    (cuStreamGetDevice $($rest:tt)*) => { export_per_thread! { cuStreamGetDevice cuStreamGetDevice_ptsz $($rest)* } };
    (cuStreamGetFlags $($rest:tt)*) => { export_per_thread! { cuStreamGetFlags cuStreamGetFlags_ptsz $($rest)* } };
    (cuStreamGetId $($rest:tt)*) => { export_per_thread! { cuStreamGetId cuStreamGetId_ptsz $($rest)* } };
    (cuStreamGetPriority $($rest:tt)*) => { export_per_thread! { cuStreamGetPriority cuStreamGetPriority_ptsz $($rest)* } };
    (cuStreamIsCapturing $($rest:tt)*) => { export_per_thread! { cuStreamIsCapturing cuStreamIsCapturing_ptsz $($rest)* } };
    (cuStreamQuery $($rest:tt)*) => { export_per_thread! { cuStreamQuery cuStreamQuery_ptsz $($rest)* } };
    (cuStreamSetAttribute $($rest:tt)*) => { export_per_thread! { cuStreamSetAttribute cuStreamSetAttribute_ptsz $($rest)* } };
    (cuStreamSynchronize $($rest:tt)*) => { export_per_thread! { cuStreamSynchronize cuStreamSynchronize_ptsz $($rest)* } };
    (cuStreamUpdateCaptureDependencies $($rest:tt)*) => { export_per_thread! { cuStreamUpdateCaptureDependencies cuStreamUpdateCaptureDependencies_ptsz $($rest)* } };
    (cuStreamUpdateCaptureDependencies_v2 $($rest:tt)*) => { export_per_thread! { cuStreamUpdateCaptureDependencies_v2 cuStreamUpdateCaptureDependencies_v2_ptsz $($rest)* } };
    (cuStreamWaitEvent $($rest:tt)*) => { export_per_thread! { cuStreamWaitEvent cuStreamWaitEvent_ptsz $($rest)* } };
    (cuStreamWaitValue32 $($rest:tt)*) => { export_per_thread! { cuStreamWaitValue32 cuStreamWaitValue32_ptsz $($rest)* } };
    (cuStreamWaitValue32_v2 $($rest:tt)*) => { export_per_thread! { cuStreamWaitValue32_v2 cuStreamWaitValue32_v2_ptsz $($rest)* } };
    (cuStreamWaitValue64 $($rest:tt)*) => { export_per_thread! { cuStreamWaitValue64 cuStreamWaitValue64_ptsz $($rest)* } };
    (cuStreamWaitValue64_v2 $($rest:tt)*) => { export_per_thread! { cuStreamWaitValue64_v2 cuStreamWaitValue64_v2_ptsz $($rest)* } };
    (cuStreamWriteValue32 $($rest:tt)*) => { export_per_thread! { cuStreamWriteValue32 cuStreamWriteValue32_ptsz $($rest)* } };
    (cuStreamWriteValue32_v2 $($rest:tt)*) => { export_per_thread! { cuStreamWriteValue32_v2 cuStreamWriteValue32_v2_ptsz $($rest)* } };
    (cuStreamWriteValue64 $($rest:tt)*) => { export_per_thread! { cuStreamWriteValue64 cuStreamWriteValue64_ptsz $($rest)* } };
    (cuStreamWriteValue64_v2 $($rest:tt)*) => { export_per_thread! { cuStreamWriteValue64_v2 cuStreamWriteValue64_v2_ptsz $($rest)* } };
    (cuWaitExternalSemaphoresAsync $($rest:tt)*) => { export_per_thread! { cuWaitExternalSemaphoresAsync cuWaitExternalSemaphoresAsync_ptsz $($rest)* } };
    ($($other:tt)*) => {};
}

/// Synchronous functions with a `_ptds` variant, which is the asynchronous function on the calling thread's own stream; copies are waited for.
macro_rules! done_on_per_thread_stream {
    (cuMemcpy2DUnaligned_v2 $($rest:tt)*) => { export_done_on_per_thread! { cuMemcpy2DUnaligned_v2 cuMemcpy2DUnaligned_v2_ptds cuMemcpy2DAsync_v2 copy $($rest)* } };
    (cuMemcpy2D_v2 $($rest:tt)*) => { export_done_on_per_thread! { cuMemcpy2D_v2 cuMemcpy2D_v2_ptds cuMemcpy2DAsync_v2 copy $($rest)* } };
    (cuMemcpy3DPeer $($rest:tt)*) => { export_done_on_per_thread! { cuMemcpy3DPeer cuMemcpy3DPeer_ptds cuMemcpy3DPeerAsync copy $($rest)* } };
    (cuMemcpy3D_v2 $($rest:tt)*) => { export_done_on_per_thread! { cuMemcpy3D_v2 cuMemcpy3D_v2_ptds cuMemcpy3DAsync_v2 copy $($rest)* } };
    (cuMemcpyDtoD_v2 $($rest:tt)*) => { export_done_on_per_thread! { cuMemcpyDtoD_v2 cuMemcpyDtoD_v2_ptds cuMemcpyDtoDAsync_v2 copy $($rest)* } };
    (cuMemcpyDtoH_v2 $($rest:tt)*) => { export_done_on_per_thread! { cuMemcpyDtoH_v2 cuMemcpyDtoH_v2_ptds cuMemcpyDtoHAsync_v2 copy $($rest)* } };
    (cuMemcpyHtoD_v2 $($rest:tt)*) => { export_done_on_per_thread! { cuMemcpyHtoD_v2 cuMemcpyHtoD_v2_ptds cuMemcpyHtoDAsync_v2 copy $($rest)* } };
    (cuMemcpyPeer $($rest:tt)*) => { export_done_on_per_thread! { cuMemcpyPeer cuMemcpyPeer_ptds cuMemcpyPeerAsync copy $($rest)* } };
    (cuMemcpy $($rest:tt)*) => { export_done_on_per_thread! { cuMemcpy cuMemcpy_ptds cuMemcpyAsync copy $($rest)* } };
    (cuMemsetD16_v2 $($rest:tt)*) => { export_done_on_per_thread! { cuMemsetD16_v2 cuMemsetD16_v2_ptds cuMemsetD16Async fill $($rest)* } };
    (cuMemsetD2D16_v2 $($rest:tt)*) => { export_done_on_per_thread! { cuMemsetD2D16_v2 cuMemsetD2D16_v2_ptds cuMemsetD2D16Async fill $($rest)* } };
    (cuMemsetD2D32_v2 $($rest:tt)*) => { export_done_on_per_thread! { cuMemsetD2D32_v2 cuMemsetD2D32_v2_ptds cuMemsetD2D32Async fill $($rest)* } };
    (cuMemsetD2D8_v2 $($rest:tt)*) => { export_done_on_per_thread! { cuMemsetD2D8_v2 cuMemsetD2D8_v2_ptds cuMemsetD2D8Async fill $($rest)* } };
    (cuMemsetD32_v2 $($rest:tt)*) => { export_done_on_per_thread! { cuMemsetD32_v2 cuMemsetD32_v2_ptds cuMemsetD32Async fill $($rest)* } };
    (cuMemsetD8_v2 $($rest:tt)*) => { export_done_on_per_thread! { cuMemsetD8_v2 cuMemsetD8_v2_ptds cuMemsetD8Async fill $($rest)* } };
    ($($other:tt)*) => {};
}

/// Functions that NVIDIA's library also exports under an older name, with the same ABI on 64-bit systems.
macro_rules! with_older_name {
    (cuCtxDestroy_v2 $($rest:tt)*) => { export_as! { cuCtxDestroy_v2 cuCtxDestroy $($rest)* } };
    (cuCtxPopCurrent_v2 $($rest:tt)*) => { export_as! { cuCtxPopCurrent_v2 cuCtxPopCurrent $($rest)* } };
    (cuCtxPushCurrent_v2 $($rest:tt)*) => { export_as! { cuCtxPushCurrent_v2 cuCtxPushCurrent $($rest)* } };
    (cuEventDestroy_v2 $($rest:tt)*) => { export_as! { cuEventDestroy_v2 cuEventDestroy $($rest)* } };
    (cuStreamDestroy_v2 $($rest:tt)*) => { export_as! { cuStreamDestroy_v2 cuStreamDestroy $($rest)* } };
    (cuCtxCreate_v2 $($rest:tt)*) => { export_as! { cuCtxCreate_v2 cuCtxCreate $($rest)* } };
    (cuLinkCreate_v2 $($rest:tt)*) => { export_as! { cuLinkCreate_v2 cuLinkCreate $($rest)* } };
    (cuLinkAddData_v2 $($rest:tt)*) => { export_as! { cuLinkAddData_v2 cuLinkAddData $($rest)* } };
    (cuLinkAddFile_v2 $($rest:tt)*) => { export_as! { cuLinkAddFile_v2 cuLinkAddFile $($rest)* } };
    (cuMemHostRegister_v2 $($rest:tt)*) => { export_as! { cuMemHostRegister_v2 cuMemHostRegister $($rest)* } };
    (cuIpcOpenMemHandle_v2 $($rest:tt)*) => { export_as! { cuIpcOpenMemHandle_v2 cuIpcOpenMemHandle $($rest)* } };
    ($($other:tt)*) => {};
}

/// What NVIDIA's library exports and we do not support: ABIs from before CUDA 4 (32-bit device addresses), EGL, OpenGL, VDPAU, debugger entry points.
macro_rules! unsupported_names { ($callback:ident) => { $callback! {
    cuArray3DCreate cuArray3DGetDescriptor cuArrayCreate cuArrayGetDescriptor cuDeviceTotalMem cuEGLApiInit cuEGLStreamConsumerAcquireFrame
    cuEGLStreamConsumerConnect cuEGLStreamConsumerConnectWithFlags cuEGLStreamConsumerDisconnect cuEGLStreamConsumerReleaseFrame
    cuEGLStreamProducerConnect cuEGLStreamProducerDisconnect cuEGLStreamProducerPresentFrame cuEGLStreamProducerReturnFrame cuGLCtxCreate
    cuGLCtxCreate_v2 cuGLGetDevices cuGLGetDevices_v2 cuGLInit cuGLMapBufferObject cuGLMapBufferObjectAsync cuGLMapBufferObjectAsync_v2
    cuGLMapBufferObjectAsync_v2_ptsz cuGLMapBufferObject_v2 cuGLMapBufferObject_v2_ptds cuGLRegisterBufferObject cuGLSetBufferObjectMapFlags
    cuGLUnmapBufferObject cuGLUnmapBufferObjectAsync cuGLUnregisterBufferObject

    cuGraphicsEGLRegisterImage cuGraphicsGLRegisterBuffer cuGraphicsGLRegisterImage cuGraphicsResourceGetMappedEglFrame
    cuGraphicsResourceGetMappedPointer cuGraphicsResourceSetMapFlags cuGraphicsVDPAURegisterOutputSurface cuGraphicsVDPAURegisterVideoSurface
    cuMemAlloc cuMemAllocHost cuMemAllocPitch cuMemFree cuMemGetAddressRange cuMemGetAttribute cuMemGetAttribute_v2 cuMemGetInfo
    cuMemHostGetDevicePointer cuMemcpy2D cuMemcpy2DAsync cuMemcpy2DUnaligned cuMemcpy3D cuMemcpy3DAsync
    cuMemcpyAtoA cuMemcpyAtoA_v2_ptds cuMemcpyAtoD cuMemcpyAtoD_v2_ptds cuMemcpyAtoH cuMemcpyAtoHAsync cuMemcpyAtoH_v2_ptds
    cuMemcpyDtoA cuMemcpyDtoA_v2_ptds cuMemcpyDtoD cuMemcpyDtoDAsync cuMemcpyDtoH cuMemcpyDtoHAsync cuMemcpyHtoA
    cuMemcpyHtoAAsync cuMemcpyHtoA_v2_ptds cuMemcpyHtoD cuMemcpyHtoDAsync cuMemsetD16 cuMemsetD2D16 cuMemsetD2D32 cuMemsetD2D8 cuMemsetD32 cuMemsetD8
    cuModuleGetGlobal cuProfilerInitialize
    cuTexRefGetAddress cuTexRefSetAddress cuTexRefSetAddress2D cuTexRefSetAddress2D_v2 cuVDPAUCtxCreate
    cuVDPAUCtxCreate_v2 cuVDPAUGetDevice cudbgApiAttach cudbgApiDetach cudbgApiInit cudbgGetAPI cudbgGetAPIVersion cudbgMain cudbgReportDriverApiError
    cudbgReportDriverInternalError
} } }
