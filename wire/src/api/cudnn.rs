//! cudnn's functions, one declaration each. Made by `cargo xtask import-headers`; what it goes by stands in `xtask/data/cudnn.rules`.

/// Calls `$then` with every declaration: `class [majors] fn name(parameter: mode, …);`, in groups. The modes are those of [`library`](crate::api::library).
#[macro_export]
#[rustfmt::skip]
macro_rules! cudnn_api {
    ($($then:tt)+) => { $($then)+! {
        group "Attention" {
            sync [9] fn cudnnGetMultiHeadAttnBuffers(handle: handle, attnDesc: object(Attn), weightSizeInBytes: host_out(8), workSpaceSizeInBytes: host_out(8), reserveSpaceSizeInBytes: host_out(8));
            hand_sync [9] fn cudnnGetMultiHeadAttnWeights(handle: handle, attnDesc: object(Attn), wKind: i32, weightSizeInBytes: i64, weights: i64, wDesc: fill(Tensor), wAddr: host_out(8));
            async [9] fn cudnnMultiHeadAttnBackwardData(handle: handle, attnDesc: object(Attn), loWinIdx: blob, hiWinIdx: blob, devSeqLengthsDQDO: dev, devSeqLengthsDKDV: dev, doDesc: object(SeqData), dout: dev, dqDesc: object(SeqData), dqueries: dev, queries: dev, dkDesc: object(SeqData), dkeys: dev, keys: dev, dvDesc: object(SeqData), dvalues: dev, values: dev, weightSizeInBytes: i64, weights: dev, workSpaceSizeInBytes: i64, workSpace: dev, reserveSpaceSizeInBytes: i64, reserveSpace: dev);
            async [9] fn cudnnMultiHeadAttnBackwardWeights(handle: handle, attnDesc: object(Attn), addGrad: i32, qDesc: object(SeqData), queries: dev, kDesc: object(SeqData), keys: dev, vDesc: object(SeqData), values: dev, doDesc: object(SeqData), dout: dev, weightSizeInBytes: i64, weights: dev, dweights: dev, workSpaceSizeInBytes: i64, workSpace: dev, reserveSpaceSizeInBytes: i64, reserveSpace: dev);
            async [9] fn cudnnMultiHeadAttnForward(handle: handle, attnDesc: object(Attn), currIdx: i32, loWinIdx: blob, hiWinIdx: blob, devSeqLengthsQO: dev, devSeqLengthsKV: dev, qDesc: object(SeqData), queries: dev, residuals: dev, kDesc: object(SeqData), keys: dev, vDesc: object(SeqData), values: dev, oDesc: object(SeqData), out: dev, weightSizeInBytes: i64, weights: dev, workSpaceSizeInBytes: i64, workSpace: dev, reserveSpaceSizeInBytes: i64, reserveSpace: dev);
        }
        group "Causal convolutions" {
            async [9] fn cudnnB2BCausalConv1dBackward(stream: stream, x: dev, weightsProj: dev, weightsMixer: dev, skipBias: dev, y: dev, dy: dev, dx: dev, dweightsProj: dev, dweightsMixer: dev, dskipBias: dev, batch: i32, dim: i32, seqLen: i32, kernelSizeProj: i32, kernelSizeMixer: i32, dataType: i32, dwDataType: i32);
            async [9] fn cudnnB2BCausalConv1dForward(stream: stream, x: dev, weightsProj: dev, weightsMixer: dev, skipBias: dev, y: dev, yGated: dev, batch: i32, dim: i32, seqLen: i32, kernelSizeProj: i32, kernelSizeMixer: i32, dataType: i32);
            async [9] fn cudnnCausalConv1dBackward(stream: stream, x: dev, weight: dev, bias: dev, dy: dev, dx: dev, dweight: dev, dbias: dev, batch: i32, dim: i32, seqLen: i32, kernelSize: i32, dataType: i32, dwDataType: i32, activation: i32);
            async [9] fn cudnnCausalConv1dForward(stream: stream, x: dev, weight: dev, bias: dev, y: dev, batch: i32, dim: i32, seqLen: i32, kernelSize: i32, dataType: i32, activation: i32);
            async [9] fn cudnnCausalConv1dNwhBackward(stream: stream, x: dev, weight: dev, bias: dev, dy: dev, dx: dev, dweight: dev, dbias: dev, batch: i32, dim: i32, seqLen: i32, kernelSize: i32, dataType: i32, dwDataType: i32, activation: i32);
            async [9] fn cudnnCausalConv1dNwhForward(stream: stream, x: dev, weight: dev, bias: dev, y: dev, batch: i32, dim: i32, seqLen: i32, kernelSize: i32, dataType: i32, activation: i32);
            async [9] fn cudnnFFTCausalConv1dBackward(stream: stream, x: dev, weight: dev, dy: dev, dx: dev, dweight: dev, batch: i32, dim: i32, seqLen: i32, kernelSize: i32, dataType: i32);
            async [9] fn cudnnFFTCausalConv1dForward(stream: stream, x: dev, weight: dev, y: dev, batch: i32, dim: i32, seqLen: i32, kernelSize: i32, dataType: i32);
            async [9] fn cudnnLongFFTCausalConv1dBackward(stream: stream, dy: dev, dx: dev, dweight: dev, batch: i32, dim: i32, seqLen: i32, kernelSize: i32, dataType: i32, workspace: dev, workspaceSizeInBytes: i64, reserveSpace: dev, reserveSpaceSizeInBytes: i64);
            async [9] fn cudnnLongFFTCausalConv1dForward(stream: stream, x: dev, weight: dev, y: dev, batch: i32, dim: i32, seqLen: i32, kernelSize: i32, dataType: i32, workspace: dev, workspaceSizeInBytes: i64, reserveSpace: dev, reserveSpaceSizeInBytes: i64);
            sync [9] fn cudnnLongFFTCausalConv1dGetBufferSizes(batch: i32, dim: i32, seqLen: i32, kernelSize: i32, dataType: i32, workspaceSizeInBytes: host_out(8), reserveSpaceSizeInBytes: host_out(8));
        }
        group "Convolutions" {
            async [9] fn cudnnConvolutionBackwardBias(handle: handle, alpha: scale, dyDesc: object(Tensor), dy: dev, beta: scale, dbDesc: object(Tensor), db: dev);
            async [9] fn cudnnConvolutionBackwardData(handle: handle, alpha: scale, wDesc: object(Filter), w: dev, dyDesc: object(Tensor), dy: dev, convDesc: object(Convolution), algo: i32, workSpace: dev, workSpaceSizeInBytes: i64, beta: scale, dxDesc: object(Tensor), dx: dev);
            async [9] fn cudnnConvolutionBackwardFilter(handle: handle, alpha: scale, xDesc: object(Tensor), x: dev, dyDesc: object(Tensor), dy: dev, convDesc: object(Convolution), algo: i32, workSpace: dev, workSpaceSizeInBytes: i64, beta: scale, dwDesc: object(Filter), dw: dev);
            async [9] fn cudnnConvolutionBiasActivationForward(handle: handle, alpha1: scale, xDesc: object(Tensor), x: dev, wDesc: object(Filter), w: dev, convDesc: object(Convolution), algo: i32, workSpace: dev, workSpaceSizeInBytes: i64, alpha2: scale, zDesc: object(Tensor), z: dev, biasDesc: object(Tensor), bias: dev, activationDesc: object(Activation), yDesc: object(Tensor), y: dev);
            async [9] fn cudnnConvolutionForward(handle: handle, alpha: scale, xDesc: object(Tensor), x: dev, wDesc: object(Filter), w: dev, convDesc: object(Convolution), algo: i32, workSpace: dev, workSpaceSizeInBytes: i64, beta: scale, yDesc: object(Tensor), y: dev);
            sync [9] fn cudnnFindConvolutionBackwardDataAlgorithm(handle: handle, wDesc: object(Filter), dyDesc: object(Tensor), convDesc: object(Convolution), dxDesc: object(Tensor), requestedAlgoCount: i32, returnedAlgoCount: host_out(4), perfResults: host_io(requestedAlgoCount; 48));
            sync [9] fn cudnnFindConvolutionBackwardDataAlgorithmEx(handle: handle, wDesc: object(Filter), w: dev, dyDesc: object(Tensor), dy: dev, convDesc: object(Convolution), dxDesc: object(Tensor), dx: dev, requestedAlgoCount: i32, returnedAlgoCount: host_out(4), perfResults: host_io(requestedAlgoCount; 48), workSpace: dev, workSpaceSizeInBytes: i64);
            sync [9] fn cudnnFindConvolutionBackwardFilterAlgorithm(handle: handle, xDesc: object(Tensor), dyDesc: object(Tensor), convDesc: object(Convolution), dwDesc: object(Filter), requestedAlgoCount: i32, returnedAlgoCount: host_out(4), perfResults: host_io(requestedAlgoCount; 48));
            sync [9] fn cudnnFindConvolutionBackwardFilterAlgorithmEx(handle: handle, xDesc: object(Tensor), x: dev, dyDesc: object(Tensor), y: dev, convDesc: object(Convolution), dwDesc: object(Filter), dw: dev, requestedAlgoCount: i32, returnedAlgoCount: host_out(4), perfResults: host_io(requestedAlgoCount; 48), workSpace: dev, workSpaceSizeInBytes: i64);
            sync [9] fn cudnnFindConvolutionForwardAlgorithm(handle: handle, xDesc: object(Tensor), wDesc: object(Filter), convDesc: object(Convolution), yDesc: object(Tensor), requestedAlgoCount: i32, returnedAlgoCount: host_out(4), perfResults: host_io(requestedAlgoCount; 48));
            sync [9] fn cudnnFindConvolutionForwardAlgorithmEx(handle: handle, xDesc: object(Tensor), x: dev, wDesc: object(Filter), w: dev, convDesc: object(Convolution), yDesc: object(Tensor), y: dev, requestedAlgoCount: i32, returnedAlgoCount: host_out(4), perfResults: host_io(requestedAlgoCount; 48), workSpace: dev, workSpaceSizeInBytes: i64);
            sync [9] fn cudnnGetConvolution2dForwardOutputDim(convDesc: object(Convolution), inputTensorDesc: object(Tensor), filterDesc: object(Filter), n: host_out(4), c: host_out(4), h: host_out(4), w: host_out(4));
            sync [9] fn cudnnGetConvolutionBackwardDataAlgorithmMaxCount(handle: handle, count: host_out(4));
            sync [9] fn cudnnGetConvolutionBackwardDataAlgorithm_v7(handle: handle, filterDesc: object(Filter), diffDesc: object(Tensor), convDesc: object(Convolution), gradDesc: object(Tensor), requestedAlgoCount: i32, returnedAlgoCount: host_out(4), perfResults: host_io(requestedAlgoCount; 48));
            sync [9] fn cudnnGetConvolutionBackwardDataWorkspaceSize(handle: handle, wDesc: object(Filter), dyDesc: object(Tensor), convDesc: object(Convolution), dxDesc: object(Tensor), algo: i32, sizeInBytes: host_out(8));
            sync [9] fn cudnnGetConvolutionBackwardFilterAlgorithmMaxCount(handle: handle, count: host_out(4));
            sync [9] fn cudnnGetConvolutionBackwardFilterAlgorithm_v7(handle: handle, srcDesc: object(Tensor), diffDesc: object(Tensor), convDesc: object(Convolution), gradDesc: object(Filter), requestedAlgoCount: i32, returnedAlgoCount: host_out(4), perfResults: host_io(requestedAlgoCount; 48));
            sync [9] fn cudnnGetConvolutionBackwardFilterWorkspaceSize(handle: handle, xDesc: object(Tensor), dyDesc: object(Tensor), convDesc: object(Convolution), gradDesc: object(Filter), algo: i32, sizeInBytes: host_out(8));
            sync [9] fn cudnnGetConvolutionForwardAlgorithmMaxCount(handle: handle, count: host_out(4));
            sync [9] fn cudnnGetConvolutionForwardAlgorithm_v7(handle: handle, srcDesc: object(Tensor), filterDesc: object(Filter), convDesc: object(Convolution), destDesc: object(Tensor), requestedAlgoCount: i32, returnedAlgoCount: host_out(4), perfResults: host_io(requestedAlgoCount; 48));
            sync [9] fn cudnnGetConvolutionForwardWorkspaceSize(handle: handle, xDesc: object(Tensor), wDesc: object(Filter), convDesc: object(Convolution), yDesc: object(Tensor), algo: i32, sizeInBytes: host_out(8));
            sync [9] fn cudnnGetConvolutionGroupCount(convDesc: object(Convolution), groupCount: host_out(4));
            sync [9] fn cudnnGetConvolutionMathType(convDesc: object(Convolution), mathType: host_out(4));
            sync [9] fn cudnnGetConvolutionNdForwardOutputDim(convDesc: object(Convolution), inputTensorDesc: object(Tensor), filterDesc: object(Filter), nbDims: i32, tensorOuputDimA: host_io(nbDims; 4));
            sync [9] fn cudnnGetConvolutionReorderType(convDesc: object(Convolution), reorderType: host_out(4));
            state [9] fn cudnnSetConvolutionGroupCount(convDesc: object(Convolution), groupCount: i32);
            state [9] fn cudnnSetConvolutionMathType(convDesc: object(Convolution), mathType: i32);
            state [9] fn cudnnSetConvolutionReorderType(convDesc: object(Convolution), reorderType: i32);
        }
        group "Descriptors" {
            make [9] fn cudnnCreateActivationDescriptor(activationDesc: new(Activation));
            make [9] fn cudnnCreateAttnDescriptor(attnDesc: new(Attn));
            make [9] fn cudnnCreateCTCLossDescriptor(ctcLossDesc: new(CTCLoss));
            make [9] fn cudnnCreateConvolutionDescriptor(convDesc: new(Convolution));
            make [9] fn cudnnCreateDropoutDescriptor(dropoutDesc: new(Dropout));
            make [9] fn cudnnCreateFilterDescriptor(filterDesc: new(Filter));
            make [9] fn cudnnCreateLRNDescriptor(normDesc: new(LRN));
            make [9] fn cudnnCreateOpTensorDescriptor(opTensorDesc: new(OpTensor));
            make [9] fn cudnnCreatePoolingDescriptor(poolingDesc: new(Pooling));
            make [9] fn cudnnCreateRNNDataDescriptor(rnnDataDesc: new(RNNData));
            make [9] fn cudnnCreateRNNDescriptor(rnnDesc: new(RNN));
            make [9] fn cudnnCreateReduceTensorDescriptor(reduceTensorDesc: new(ReduceTensor));
            make [9] fn cudnnCreateSeqDataDescriptor(seqDataDesc: new(SeqData));
            make [9] fn cudnnCreateSpatialTransformerDescriptor(stDesc: new(SpatialTransformer));
            make [9] fn cudnnCreateTensorDescriptor(tensorDesc: new(Tensor));
            make [9] fn cudnnCreateTensorTransformDescriptor(transformDesc: new(TensorTransform));
            drop [9] fn cudnnDestroyActivationDescriptor(activationDesc: object(Activation));
            drop [9] fn cudnnDestroyAttnDescriptor(attnDesc: object(Attn));
            drop [9] fn cudnnDestroyCTCLossDescriptor(ctcLossDesc: object(CTCLoss));
            drop [9] fn cudnnDestroyConvolutionDescriptor(convDesc: object(Convolution));
            drop [9] fn cudnnDestroyDropoutDescriptor(dropoutDesc: object(Dropout));
            drop [9] fn cudnnDestroyFilterDescriptor(filterDesc: object(Filter));
            drop [9] fn cudnnDestroyLRNDescriptor(lrnDesc: object(LRN));
            drop [9] fn cudnnDestroyOpTensorDescriptor(opTensorDesc: object(OpTensor));
            drop [9] fn cudnnDestroyPoolingDescriptor(poolingDesc: object(Pooling));
            drop [9] fn cudnnDestroyRNNDataDescriptor(rnnDataDesc: object(RNNData));
            drop [9] fn cudnnDestroyRNNDescriptor(rnnDesc: object(RNN));
            drop [9] fn cudnnDestroyReduceTensorDescriptor(reduceTensorDesc: object(ReduceTensor));
            drop [9] fn cudnnDestroySeqDataDescriptor(seqDataDesc: object(SeqData));
            drop [9] fn cudnnDestroySpatialTransformerDescriptor(stDesc: object(SpatialTransformer));
            drop [9] fn cudnnDestroyTensorDescriptor(tensorDesc: object(Tensor));
            drop [9] fn cudnnDestroyTensorTransformDescriptor(transformDesc: object(TensorTransform));
            sync [9] fn cudnnGetActivationDescriptor(activationDesc: object(Activation), mode: host_out(4), reluNanOpt: host_out(4), coef: host_out(8));
            sync [9] fn cudnnGetActivationDescriptorSwishBeta(activationDesc: object(Activation), swish_beta: host_out(8));
            sync [9] fn cudnnGetAttnDescriptor(attnDesc: object(Attn), attnMode: host_out(4), nHeads: host_out(4), smScaler: host_out(8), dataType: host_out(4), computePrec: host_out(4), mathType: host_out(4), attnDropoutDesc: host_out(8), postDropoutDesc: host_out(8), qSize: host_out(4), kSize: host_out(4), vSize: host_out(4), qProjSize: host_out(4), kProjSize: host_out(4), vProjSize: host_out(4), oProjSize: host_out(4), qoMaxSeqLength: host_out(4), kvMaxSeqLength: host_out(4), maxBatchSize: host_out(4), maxBeamSize: host_out(4));
            sync [9] fn cudnnGetCTCLossDescriptor(ctcLossDesc: object(CTCLoss), compType: host_out(4));
            sync [9] fn cudnnGetCTCLossDescriptorEx(ctcLossDesc: object(CTCLoss), compType: host_out(4), normMode: host_out(4), gradMode: host_out(4));
            sync [9] fn cudnnGetCTCLossDescriptor_v8(ctcLossDesc: object(CTCLoss), compType: host_out(4), normMode: host_out(4), gradMode: host_out(4), maxLabelLength: host_out(4));
            sync [9] fn cudnnGetCTCLossDescriptor_v9(ctcLossDesc: object(CTCLoss), compType: host_out(4), normMode: host_out(4), ctcGradMode: host_out(4), maxLabelLength: host_out(4));
            sync [9] fn cudnnGetConvolution2dDescriptor(convDesc: object(Convolution), pad_h: host_out(4), pad_w: host_out(4), u: host_out(4), v: host_out(4), dilation_h: host_out(4), dilation_w: host_out(4), mode: host_out(4), computeType: host_out(4));
            sync [9] fn cudnnGetConvolutionNdDescriptor(convDesc: object(Convolution), arrayLengthRequested: i32, arrayLength: host_out(4), padA: host_io(arrayLengthRequested; 4), strideA: host_io(arrayLengthRequested; 4), dilationA: host_io(arrayLengthRequested; 4), mode: host_out(4), computeType: host_out(4));
            sync [9] fn cudnnGetDropoutDescriptor(dropoutDesc: object(Dropout), handle: handle, dropout: host_out(4), states: host_out(8), seed: host_out(8));
            sync [9] fn cudnnGetFilter4dDescriptor(filterDesc: object(Filter), dataType: host_out(4), format: host_out(4), k: host_out(4), c: host_out(4), h: host_out(4), w: host_out(4));
            sync [9] fn cudnnGetFilterNdDescriptor(filterDesc: object(Filter), nbDimsRequested: i32, dataType: host_out(4), format: host_out(4), nbDims: host_out(4), filterDimA: host_io(nbDimsRequested; 4));
            sync [9] fn cudnnGetFoldedConvBackwardDataDescriptors(handle: handle, filterDesc: object(Filter), diffDesc: object(Tensor), convDesc: object(Convolution), gradDesc: object(Tensor), transformFormat: i32, foldedFilterDesc: fill(Filter), paddedDiffDesc: fill(Tensor), foldedConvDesc: fill(Convolution), foldedGradDesc: fill(Tensor), filterFoldTransDesc: fill(TensorTransform), diffPadTransDesc: fill(TensorTransform), gradFoldTransDesc: fill(TensorTransform), gradUnfoldTransDesc: fill(TensorTransform));
            sync [9] fn cudnnGetLRNDescriptor(normDesc: object(LRN), lrnN: host_out(4), lrnAlpha: host_out(8), lrnBeta: host_out(8), lrnK: host_out(8));
            sync [9] fn cudnnGetOpTensorDescriptor(opTensorDesc: object(OpTensor), opTensorOp: host_out(4), opTensorCompType: host_out(4), opTensorNanOpt: host_out(4));
            sync [9] fn cudnnGetPooling2dDescriptor(poolingDesc: object(Pooling), mode: host_out(4), maxpoolingNanOpt: host_out(4), windowHeight: host_out(4), windowWidth: host_out(4), verticalPadding: host_out(4), horizontalPadding: host_out(4), verticalStride: host_out(4), horizontalStride: host_out(4));
            sync [9] fn cudnnGetPoolingNdDescriptor(poolingDesc: object(Pooling), nbDimsRequested: i32, mode: host_out(4), maxpoolingNanOpt: host_out(4), nbDims: host_out(4), windowDimA: host_io(nbDimsRequested; 4), paddingA: host_io(nbDimsRequested; 4), strideA: host_io(nbDimsRequested; 4));
            sync [9] fn cudnnGetRNNDataDescriptor(rnnDataDesc: object(RNNData), dataType: host_out(4), layout: host_out(4), maxSeqLength: host_out(4), batchSize: host_out(4), vectorSize: host_out(4), arrayLengthRequested: i32, seqLengthArray: host_io(arrayLengthRequested; 4), paddingFill: host_out(8));
            sync [9] fn cudnnGetRNNDescriptor_v8(rnnDesc: object(RNN), algo: host_out(4), cellMode: host_out(4), biasMode: host_out(4), dirMode: host_out(4), inputMode: host_out(4), dataType: host_out(4), mathPrec: host_out(4), mathType: host_out(4), inputSize: host_out(4), hiddenSize: host_out(4), projSize: host_out(4), numLayers: host_out(4), dropoutDesc: host_out(8), auxFlags: host_out(4));
            sync [9] fn cudnnGetReduceTensorDescriptor(reduceTensorDesc: object(ReduceTensor), reduceTensorOp: host_out(4), reduceTensorCompType: host_out(4), reduceTensorNanOpt: host_out(4), reduceTensorIndices: host_out(4), reduceTensorIndicesType: host_out(4));
            sync [9] fn cudnnGetSeqDataDescriptor(seqDataDesc: object(SeqData), dataType: host_out(4), nbDims: host_out(4), nbDimsRequested: i32, dimA: host_io(nbDimsRequested; 4), axes: host_io(nbDimsRequested; 4), seqLengthArraySize: host_out(8), seqLengthSizeRequested: i64, seqLengthArray: host_io(seqLengthSizeRequested; 4), paddingFill: host_out(8));
            sync [9] fn cudnnGetTensor4dDescriptor(tensorDesc: object(Tensor), dataType: host_out(4), n: host_out(4), c: host_out(4), h: host_out(4), w: host_out(4), nStride: host_out(4), cStride: host_out(4), hStride: host_out(4), wStride: host_out(4));
            sync [9] fn cudnnGetTensorNdDescriptor(tensorDesc: object(Tensor), nbDimsRequested: i32, dataType: host_out(4), nbDims: host_out(4), dimA: host_io(nbDimsRequested; 4), strideA: host_io(nbDimsRequested; 4));
            sync [9] fn cudnnGetTensorTransformDescriptor(transformDesc: object(TensorTransform), nbDimsRequested: i32, destFormat: host_out(4), padBeforeA: host_io(nbDimsRequested; 4), padAfterA: host_io(nbDimsRequested; 4), foldA: host_io(nbDimsRequested; 4), direction: host_out(4));
            state [9] fn cudnnSetActivationDescriptor(activationDesc: object(Activation), mode: i32, reluNanOpt: i32, coef: f64);
            state [9] fn cudnnSetActivationDescriptorSwishBeta(activationDesc: object(Activation), swish_beta: f64);
            state [9] fn cudnnSetAttnDescriptor(attnDesc: object(Attn), attnMode: i32, nHeads: i32, smScaler: f64, dataType: i32, computePrec: i32, mathType: i32, attnDropoutDesc: object(Dropout), postDropoutDesc: object(Dropout), qSize: i32, kSize: i32, vSize: i32, qProjSize: i32, kProjSize: i32, vProjSize: i32, oProjSize: i32, qoMaxSeqLength: i32, kvMaxSeqLength: i32, maxBatchSize: i32, maxBeamSize: i32);
            state [9] fn cudnnSetCTCLossDescriptor(ctcLossDesc: object(CTCLoss), compType: i32);
            state [9] fn cudnnSetCTCLossDescriptorEx(ctcLossDesc: object(CTCLoss), compType: i32, normMode: i32, gradMode: i32);
            state [9] fn cudnnSetCTCLossDescriptor_v8(ctcLossDesc: object(CTCLoss), compType: i32, normMode: i32, gradMode: i32, maxLabelLength: i32);
            state [9] fn cudnnSetCTCLossDescriptor_v9(ctcLossDesc: object(CTCLoss), compType: i32, normMode: i32, ctcGradMode: i32, maxLabelLength: i32);
            state [9] fn cudnnSetConvolution2dDescriptor(convDesc: object(Convolution), pad_h: i32, pad_w: i32, u: i32, v: i32, dilation_h: i32, dilation_w: i32, mode: i32, computeType: i32);
            state [9] fn cudnnSetConvolutionNdDescriptor(convDesc: object(Convolution), arrayLength: i32, padA: host_in(arrayLength; 4), filterStrideA: host_in(arrayLength; 4), dilationA: host_in(arrayLength; 4), mode: i32, computeType: i32);
            hand_async [9] fn cudnnSetDropoutDescriptor(dropoutDesc: object(Dropout), handle: handle, dropout: f32, states: dev, stateSizeInBytes: i64, seed: i64);
            state [9] fn cudnnSetFilter4dDescriptor(filterDesc: object(Filter), dataType: i32, format: i32, k: i32, c: i32, h: i32, w: i32);
            state [9] fn cudnnSetFilterNdDescriptor(filterDesc: object(Filter), dataType: i32, format: i32, nbDims: i32, filterDimA: host_in(nbDims; 4));
            state [9] fn cudnnSetLRNDescriptor(normDesc: object(LRN), lrnN: i32, lrnAlpha: f64, lrnBeta: f64, lrnK: f64);
            state [9] fn cudnnSetOpTensorDescriptor(opTensorDesc: object(OpTensor), opTensorOp: i32, opTensorCompType: i32, opTensorNanOpt: i32);
            state [9] fn cudnnSetPooling2dDescriptor(poolingDesc: object(Pooling), mode: i32, maxpoolingNanOpt: i32, windowHeight: i32, windowWidth: i32, verticalPadding: i32, horizontalPadding: i32, verticalStride: i32, horizontalStride: i32);
            state [9] fn cudnnSetPoolingNdDescriptor(poolingDesc: object(Pooling), mode: i32, maxpoolingNanOpt: i32, nbDims: i32, windowDimA: host_in(nbDims; 4), paddingA: host_in(nbDims; 4), strideA: host_in(nbDims; 4));
            state [9] fn cudnnSetRNNDataDescriptor(rnnDataDesc: object(RNNData), dataType: i32, layout: i32, maxSeqLength: i32, batchSize: i32, vectorSize: i32, seqLengthArray: host_in(batchSize; 4), paddingFill: scale);
            state [9] fn cudnnSetRNNDescriptor_v8(rnnDesc: object(RNN), algo: i32, cellMode: i32, biasMode: i32, dirMode: i32, inputMode: i32, dataType: i32, mathPrec: i32, mathType: i32, inputSize: i32, hiddenSize: i32, projSize: i32, numLayers: i32, dropoutDesc: object(Dropout), auxFlags: i32);
            state [9] fn cudnnSetReduceTensorDescriptor(reduceTensorDesc: object(ReduceTensor), reduceTensorOp: i32, reduceTensorCompType: i32, reduceTensorNanOpt: i32, reduceTensorIndices: i32, reduceTensorIndicesType: i32);
            state [9] fn cudnnSetSeqDataDescriptor(seqDataDesc: object(SeqData), dataType: i32, nbDims: i32, dimA: host_in(nbDims; 4), axes: host_in(nbDims; 4), seqLengthArraySize: i64, seqLengthArray: host_in(seqLengthArraySize; 4), paddingFill: scale);
            state [9] fn cudnnSetSpatialTransformerNdDescriptor(stDesc: object(SpatialTransformer), samplerType: i32, dataType: i32, nbDims: i32, dimA: host_in(nbDims; 4));
            state [9] fn cudnnSetTensor4dDescriptor(tensorDesc: object(Tensor), format: i32, dataType: i32, n: i32, c: i32, h: i32, w: i32);
            state [9] fn cudnnSetTensor4dDescriptorEx(tensorDesc: object(Tensor), dataType: i32, n: i32, c: i32, h: i32, w: i32, nStride: i32, cStride: i32, hStride: i32, wStride: i32);
            state [9] fn cudnnSetTensorNdDescriptor(tensorDesc: object(Tensor), dataType: i32, nbDims: i32, dimA: host_in(nbDims; 4), strideA: host_in(nbDims; 4));
            state [9] fn cudnnSetTensorNdDescriptorEx(tensorDesc: object(Tensor), format: i32, dataType: i32, nbDims: i32, dimA: host_in(nbDims; 4));
            state [9] fn cudnnSetTensorTransformDescriptor(transformDesc: object(TensorTransform), nbDims: i32, destFormat: i32, padBeforeA: host_in(nbDims; 4), padAfterA: host_in(nbDims; 4), foldA: host_in(nbDims; 4), direction: i32);
        }
        group "Fused operations" {
            make [9] fn cudnnCreateFusedOpsConstParamPack(constPack: new(FusedConst), ops: i32);
            make [9] fn cudnnCreateFusedOpsPlan(plan: new(FusedPlan), ops: i32);
            make [9] fn cudnnCreateFusedOpsVariantParamPack(varPack: new(FusedVariant), ops: i32);
            drop [9] fn cudnnDestroyFusedOpsConstParamPack(constPack: object(FusedConst));
            drop [9] fn cudnnDestroyFusedOpsPlan(plan: object(FusedPlan));
            drop [9] fn cudnnDestroyFusedOpsVariantParamPack(varPack: object(FusedVariant));
            async [9] fn cudnnFusedOpsExecute(handle: handle, plan: object(FusedPlan), varPack: object(FusedVariant));
            local [9] fn cudnnGetFusedOpsConstParamPackAttribute(constPack: object(FusedConst), paramLabel: i32, param: dev, isNULL: dev);
            local [9] fn cudnnGetFusedOpsVariantParamPackAttribute(varPack: object(FusedVariant), paramLabel: i32, ptr: dev);
            hand_sync [9] fn cudnnMakeFusedOpsPlan(handle: handle, plan: object(FusedPlan), constPack: object(FusedConst), workspaceSizeInBytes: host_out(8));
            state [] fn cudnnSetFusedOpsConstParamPackAttribute(constPack: object(FusedConst), paramLabel: i32, param: object(Tensor));
            state [] fn cudnnSetFusedOpsConstParamPackAttribute(constPack: object(FusedConst), paramLabel: i32, param: object(Filter));
            state [] fn cudnnSetFusedOpsConstParamPackAttribute(constPack: object(FusedConst), paramLabel: i32, param: object(Convolution));
            state [] fn cudnnSetFusedOpsConstParamPackAttribute(constPack: object(FusedConst), paramLabel: i32, param: object(Activation));
            state [] fn cudnnSetFusedOpsConstParamPackAttribute(constPack: object(FusedConst), paramLabel: i32, param: host_const(4));
            local [9] fn cudnnSetFusedOpsConstParamPackAttribute(constPack: object(FusedConst), paramLabel: i32, param: dev);
            state [] fn cudnnSetFusedOpsVariantParamPackAttribute(varPack: object(FusedVariant), paramLabel: i32, ptr: dev);
            state [] fn cudnnSetFusedOpsVariantParamPackAttribute(varPack: object(FusedVariant), paramLabel: i32, ptr: host_const(8));
            local [9] fn cudnnSetFusedOpsVariantParamPackAttribute(varPack: object(FusedVariant), paramLabel: i32, ptr: dev);
        }
        group "Graph neural networks" {
            async [9] fn cudnnGnnAggSimpleBackward(stream: stream, graph: host_const(72), gradOutput: dev, outPositions: dev, gradNodeFeatures: dev, gradEdgeFeatures: dev, gradConcatFeatures: dev, nodeFeatDim: i32, edgeFeatDim: i32, concatFeatDim: i32, dataType: i32, aggOp: i32);
            async [9] fn cudnnGnnAggSimpleForward(stream: stream, graph: host_const(72), nodeFeatures: dev, edgeFeatures: dev, concatFeatures: dev, output: dev, outPositions: dev, nodeFeatDim: i32, edgeFeatDim: i32, concatFeatDim: i32, dataType: i32, aggOp: i32);
            async [9] fn cudnnGnnMhaGatBackward(stream: stream, graph: host_const(72), gradOut: dev, srcFeatures: dev, dstFeatures: dev, edgeFeatures: dev, attnWeights: dev, smScores: dev, dropoutMask: dev, gradAttention: dev, gradSrcFeatures: dev, gradDstFeatures: dev, gradEdgeFeatures: dev, gradWeights: dev, gradSmScores: dev, gradWspaceFeat: dev, gradWspaceWeights: dev, dimNode: i32, dimEdge: i32, params: host_const(16), dataType: i32, gradDataType: i32, gradWeightType: i32);
            async [9] fn cudnnGnnMhaGatForward(stream: stream, graph: host_const(72), srcFeatures: dev, dstFeatures: dev, edgeFeatures: dev, attnWeights: dev, dropoutMask: dev, output: dev, smScores: dev, dimNode: i32, dimEdge: i32, params: host_const(16), dataType: i32);
            async [9] fn cudnnGnnMhaGatV2Backward(stream: stream, graph: host_const(72), gradOut: dev, srcFeatures: dev, dstFeatures: dev, edgeFeatures: dev, attnWeights: dev, smScores: dev, actScores: dev, dropoutMask: dev, gradAttention: dev, gradSrcFeatures: dev, gradDstFeatures: dev, gradEdgeFeatures: dev, gradWeights: dev, gradSmScores: dev, gradWspaceFeat: dev, gradWspaceWeights: dev, dimNode: i32, params: host_const(16), dataType: i32, gradType: i32);
            async [9] fn cudnnGnnMhaGatV2Forward(stream: stream, graph: host_const(72), srcFeatures: dev, dstFeatures: dev, edgeFeatures: dev, attnWeights: dev, dropoutMask: dev, output: dev, smScores: dev, actScores: dev, dimNode: i32, params: host_const(16), dataType: i32);
        }
        group "Graphs" {
            hand_local [9] fn cudnnBackendCreateDescriptor(descriptorType: i32, descriptor: new(Backend));
            hand_local [9] fn cudnnBackendDestroyDescriptor(descriptor: object(Backend));
            hand_async [9] fn cudnnBackendExecute(handle: handle, executionPlan: object(Backend), variantPack: object(Backend));
            hand_sync [9] fn cudnnBackendFinalize(descriptor: object(Backend));
            hand_sync [9] fn cudnnBackendGetAttribute(descriptor: object(Backend), attributeName: i32, attributeType: i32, requestedElementCount: i64, elementCount: host_out(8), arrayOfElements: attributes_out(attributeType requestedElementCount));
            hand_local [9] fn cudnnBackendInitialize(descriptor: object(Backend));
            unsupported [9] fn cudnnBackendPopulateCudaGraph();
            hand_local [9] fn cudnnBackendSetAttribute(descriptor: object(Backend), attributeName: i32, attributeType: i32, elementCount: i64, arrayOfElements: attributes(attributeType elementCount));
            unsupported [9] fn cudnnBackendUpdateCudaGraph();
            unsupported [9] fn cudnnGetExecutionPlanWorkspaceSize();
        }
        group "Library" {
            local [9] fn cudnnAdvVersionCheck();
            local [9] fn cudnnCnnVersionCheck();
            local [9] fn cudnnCreate(handle: dev);
            local [9] fn cudnnDestroy(handle: handle);
            undeclared [9] fn cudnnGetBackdoor();
            local [9] fn cudnnGetCallback(mask: dev, udata: dev, fptr: dev);
            value [9] fn cudnnGetCudartVersion();
            local [9] fn cudnnGetErrorString(status: i32);
            local [9] fn cudnnGetLastErrorString(message: dev, max_size: i64);
            value [9] fn cudnnGetMaxDeviceVersion();
            local [9] fn cudnnGetProperty(type_: i32, value: host_out(4));
            local [9] fn cudnnGetStream(handle: handle, streamId: dev);
            local [9] fn cudnnGetVersion();
            local [9] fn cudnnGraphVersionCheck();
            local [9] fn cudnnOpsVersionCheck();
            sync [9] fn cudnnQueryRuntimeError(handle: handle, rstatus: host_out(4), mode: i32, tag: i64);
            undeclared [9] fn cudnnSetBackdoor();
            undeclared [9] fn cudnnSetBackdoorEx();
            local [9] fn cudnnSetCallback(mask: i32, udata: dev, fptr: dev);
            local [9] fn cudnnSetStream(handle: handle, streamId: stream);
            local [9] fn cudnnSubquadraticOpsVersionCheck();
        }
        group "Losses" {
            async [9] fn cudnnCTCLoss(handle: handle, probsDesc: object(Tensor), probs: dev, hostLabels: blob, hostLabelLengths: blob, hostInputLengths: blob, costs: dev, gradientsDesc: object(Tensor), gradients: dev, algo: i32, ctcLossDesc: object(CTCLoss), workspace: dev, workSpaceSizeInBytes: i64);
            async [9] fn cudnnCTCLoss_v8(handle: handle, algo: i32, ctcLossDesc: object(CTCLoss), probsDesc: object(Tensor), probs: dev, labels: dev, labelLengths: dev, inputLengths: dev, costs: dev, gradientsDesc: object(Tensor), gradients: dev, workSpaceSizeInBytes: i64, workspace: dev);
            sync [9] fn cudnnGetCTCLossWorkspaceSize(handle: handle, probsDesc: object(Tensor), gradientsDesc: object(Tensor), labels: blob, labelLengths: blob, inputLengths: blob, algo: i32, ctcLossDesc: object(CTCLoss), sizeInBytes: host_out(8));
            sync [9] fn cudnnGetCTCLossWorkspaceSize_v8(handle: handle, algo: i32, ctcLossDesc: object(CTCLoss), probsDesc: object(Tensor), gradientsDesc: object(Tensor), sizeInBytes: host_out(8));
        }
        group "Normalisation" {
            async [9] fn cudnnBatchNormalizationBackward(handle: handle, mode: i32, alphaDataDiff: scale, betaDataDiff: scale, alphaParamDiff: scale, betaParamDiff: scale, xDesc: object(Tensor), x: dev, dyDesc: object(Tensor), dy: dev, dxDesc: object(Tensor), dx: dev, dBnScaleBiasDesc: object(Tensor), bnScale: dev, dBnScaleResult: dev, dBnBiasResult: dev, epsilon: f64, savedMean: dev, savedInvVariance: dev);
            async [9] fn cudnnBatchNormalizationBackwardEx(handle: handle, mode: i32, bnOps: i32, alphaDataDiff: scale, betaDataDiff: scale, alphaParamDiff: scale, betaParamDiff: scale, xDesc: object(Tensor), xData: dev, yDesc: object(Tensor), yData: dev, dyDesc: object(Tensor), dyData: dev, dzDesc: object(Tensor), dzData: dev, dxDesc: object(Tensor), dxData: dev, dBnScaleBiasDesc: object(Tensor), bnScaleData: dev, bnBiasData: dev, dBnScaleData: dev, dBnBiasData: dev, epsilon: f64, savedMean: dev, savedInvVariance: dev, activationDesc: object(Activation), workSpace: dev, workSpaceSizeInBytes: i64, reserveSpace: dev, reserveSpaceSizeInBytes: i64);
            async [9] fn cudnnBatchNormalizationForwardInference(handle: handle, mode: i32, alpha: scale, beta: scale, xDesc: object(Tensor), x: dev, yDesc: object(Tensor), y: dev, bnScaleBiasMeanVarDesc: object(Tensor), bnScale: dev, bnBias: dev, estimatedMean: dev, estimatedVariance: dev, epsilon: f64);
            async [9] fn cudnnBatchNormalizationForwardTraining(handle: handle, mode: i32, alpha: scale, beta: scale, xDesc: object(Tensor), x: dev, yDesc: object(Tensor), y: dev, bnScaleBiasMeanVarDesc: object(Tensor), bnScale: dev, bnBias: dev, exponentialAverageFactor: f64, resultRunningMean: dev, resultRunningVariance: dev, epsilon: f64, resultSaveMean: dev, resultSaveInvVariance: dev);
            async [9] fn cudnnBatchNormalizationForwardTrainingEx(handle: handle, mode: i32, bnOps: i32, alpha: scale, beta: scale, xDesc: object(Tensor), xData: dev, zDesc: object(Tensor), zData: dev, yDesc: object(Tensor), yData: dev, bnScaleBiasMeanVarDesc: object(Tensor), bnScale: dev, bnBias: dev, exponentialAverageFactor: f64, resultRunningMean: dev, resultRunningVariance: dev, epsilon: f64, resultSaveMean: dev, resultSaveInvVariance: dev, activationDesc: object(Activation), workspace: dev, workSpaceSizeInBytes: i64, reserveSpace: dev, reserveSpaceSizeInBytes: i64);
            sync [9] fn cudnnDeriveNormTensorDescriptor(derivedNormScaleBiasDesc: fill(Tensor), derivedNormMeanVarDesc: fill(Tensor), xDesc: object(Tensor), mode: i32, groupCnt: i32);
            async [9] fn cudnnDivisiveNormalizationBackward(handle: handle, normDesc: object(LRN), mode: i32, alpha: scale, xDesc: object(Tensor), x: dev, means: dev, dy: dev, temp: dev, temp2: dev, beta: scale, dXdMeansDesc: object(Tensor), dx: dev, dMeans: dev);
            async [9] fn cudnnDivisiveNormalizationForward(handle: handle, normDesc: object(LRN), mode: i32, alpha: scale, xDesc: object(Tensor), x: dev, means: dev, temp: dev, temp2: dev, beta: scale, yDesc: object(Tensor), y: dev);
            sync [9] fn cudnnGetBatchNormalizationBackwardExWorkspaceSize(handle: handle, mode: i32, bnOps: i32, xDesc: object(Tensor), yDesc: object(Tensor), dyDesc: object(Tensor), dzDesc: object(Tensor), dxDesc: object(Tensor), dBnScaleBiasDesc: object(Tensor), activationDesc: object(Activation), sizeInBytes: host_out(8));
            sync [9] fn cudnnGetBatchNormalizationForwardTrainingExWorkspaceSize(handle: handle, mode: i32, bnOps: i32, xDesc: object(Tensor), zDesc: object(Tensor), yDesc: object(Tensor), bnScaleBiasMeanVarDesc: object(Tensor), activationDesc: object(Activation), sizeInBytes: host_out(8));
            sync [9] fn cudnnGetBatchNormalizationTrainingExReserveSpaceSize(handle: handle, mode: i32, bnOps: i32, activationDesc: object(Activation), xDesc: object(Tensor), sizeInBytes: host_out(8));
            sync [9] fn cudnnGetNormalizationBackwardWorkspaceSize(handle: handle, mode: i32, normOps: i32, algo: i32, xDesc: object(Tensor), yDesc: object(Tensor), dyDesc: object(Tensor), dzDesc: object(Tensor), dxDesc: object(Tensor), dNormScaleBiasDesc: object(Tensor), activationDesc: object(Activation), normMeanVarDesc: object(Tensor), sizeInBytes: host_out(8), groupCnt: i32);
            sync [9] fn cudnnGetNormalizationForwardTrainingWorkspaceSize(handle: handle, mode: i32, normOps: i32, algo: i32, xDesc: object(Tensor), zDesc: object(Tensor), yDesc: object(Tensor), normScaleBiasDesc: object(Tensor), activationDesc: object(Activation), normMeanVarDesc: object(Tensor), sizeInBytes: host_out(8), groupCnt: i32);
            sync [9] fn cudnnGetNormalizationTrainingReserveSpaceSize(handle: handle, mode: i32, normOps: i32, algo: i32, activationDesc: object(Activation), xDesc: object(Tensor), sizeInBytes: host_out(8), groupCnt: i32);
            async [9] fn cudnnNormalizationBackward(handle: handle, mode: i32, normOps: i32, algo: i32, alphaDataDiff: scale, betaDataDiff: scale, alphaParamDiff: scale, betaParamDiff: scale, xDesc: object(Tensor), xData: dev, yDesc: object(Tensor), yData: dev, dyDesc: object(Tensor), dyData: dev, dzDesc: object(Tensor), dzData: dev, dxDesc: object(Tensor), dxData: dev, dNormScaleBiasDesc: object(Tensor), normScaleData: dev, normBiasData: dev, dNormScaleData: dev, dNormBiasData: dev, epsilon: f64, normMeanVarDesc: object(Tensor), savedMean: dev, savedInvVariance: dev, activationDesc: object(Activation), workSpace: dev, workSpaceSizeInBytes: i64, reserveSpace: dev, reserveSpaceSizeInBytes: i64, groupCnt: i32);
            async [9] fn cudnnNormalizationForwardInference(handle: handle, mode: i32, normOps: i32, algo: i32, alpha: scale, beta: scale, xDesc: object(Tensor), x: dev, normScaleBiasDesc: object(Tensor), normScale: dev, normBias: dev, normMeanVarDesc: object(Tensor), estimatedMean: dev, estimatedVariance: dev, zDesc: object(Tensor), z: dev, activationDesc: object(Activation), yDesc: object(Tensor), y: dev, epsilon: f64, groupCnt: i32);
            async [9] fn cudnnNormalizationForwardTraining(handle: handle, mode: i32, normOps: i32, algo: i32, alpha: scale, beta: scale, xDesc: object(Tensor), xData: dev, normScaleBiasDesc: object(Tensor), normScale: dev, normBias: dev, exponentialAverageFactor: f64, normMeanVarDesc: object(Tensor), resultRunningMean: dev, resultRunningVariance: dev, epsilon: f64, resultSaveMean: dev, resultSaveInvVariance: dev, activationDesc: object(Activation), zDesc: object(Tensor), zData: dev, yDesc: object(Tensor), yData: dev, workspace: dev, workSpaceSizeInBytes: i64, reserveSpace: dev, reserveSpaceSizeInBytes: i64, groupCnt: i32);
        }
        group "Operations" {
            async [9] fn cudnnActivationBackward(handle: handle, activationDesc: object(Activation), alpha: scale, yDesc: object(Tensor), y: dev, dyDesc: object(Tensor), dy: dev, xDesc: object(Tensor), x: dev, beta: scale, dxDesc: object(Tensor), dx: dev);
            async [9] fn cudnnActivationForward(handle: handle, activationDesc: object(Activation), alpha: scale, xDesc: object(Tensor), x: dev, beta: scale, yDesc: object(Tensor), y: dev);
            async [9] fn cudnnAddTensor(handle: handle, alpha: scale, aDesc: object(Tensor), A: dev, beta: scale, cDesc: object(Tensor), C: dev);
            sync [9] fn cudnnDeriveBNTensorDescriptor(derivedBnDesc: fill(Tensor), xDesc: object(Tensor), mode: i32);
            async [9] fn cudnnDropoutBackward(handle: handle, dropoutDesc: object(Dropout), dydesc: object(Tensor), dy: dev, dxdesc: object(Tensor), dx: dev, reserveSpace: dev, reserveSpaceSizeInBytes: i64);
            async [9] fn cudnnDropoutForward(handle: handle, dropoutDesc: object(Dropout), xdesc: object(Tensor), x: dev, ydesc: object(Tensor), y: dev, reserveSpace: dev, reserveSpaceSizeInBytes: i64);
            sync [9] fn cudnnDropoutGetReserveSpaceSize(xdesc: object(Tensor), sizeInBytes: host_out(8));
            sync [9] fn cudnnDropoutGetStatesSize(handle: handle, sizeInBytes: host_out(8));
            sync [9] fn cudnnGetFilterSizeInBytes(filterDesc: object(Filter), size: host_out(8));
            sync [9] fn cudnnGetPooling2dForwardOutputDim(poolingDesc: object(Pooling), inputTensorDesc: object(Tensor), n: host_out(4), c: host_out(4), h: host_out(4), w: host_out(4));
            sync [9] fn cudnnGetPoolingNdForwardOutputDim(poolingDesc: object(Pooling), inputTensorDesc: object(Tensor), nbDims: i32, outputTensorDimA: host_io(nbDims; 4));
            sync [9] fn cudnnGetReductionIndicesSize(handle: handle, reduceTensorDesc: object(ReduceTensor), aDesc: object(Tensor), cDesc: object(Tensor), sizeInBytes: host_out(8));
            sync [9] fn cudnnGetReductionWorkspaceSize(handle: handle, reduceTensorDesc: object(ReduceTensor), aDesc: object(Tensor), cDesc: object(Tensor), sizeInBytes: host_out(8));
            sync [9] fn cudnnGetTensorSizeInBytes(tensorDesc: object(Tensor), size: host_out(8));
            async [9] fn cudnnIm2Col(handle: handle, xDesc: object(Tensor), x: dev, wDesc: object(Filter), convDesc: object(Convolution), colBuffer: dev);
            sync [9] fn cudnnInitTransformDest(transformDesc: object(TensorTransform), srcDesc: object(Tensor), destDesc: fill(Tensor), destSizeInBytes: host_out(8));
            async [9] fn cudnnLRNCrossChannelBackward(handle: handle, normDesc: object(LRN), lrnMode: i32, alpha: scale, yDesc: object(Tensor), y: dev, dyDesc: object(Tensor), dy: dev, xDesc: object(Tensor), x: dev, beta: scale, dxDesc: object(Tensor), dx: dev);
            async [9] fn cudnnLRNCrossChannelForward(handle: handle, normDesc: object(LRN), lrnMode: i32, alpha: scale, xDesc: object(Tensor), x: dev, beta: scale, yDesc: object(Tensor), y: dev);
            async [9] fn cudnnOpTensor(handle: handle, opTensorDesc: object(OpTensor), alpha1: scale, aDesc: object(Tensor), A: dev, alpha2: scale, bDesc: object(Tensor), B: dev, beta: scale, cDesc: object(Tensor), C: dev);
            async [9] fn cudnnPoolingBackward(handle: handle, poolingDesc: object(Pooling), alpha: scale, yDesc: object(Tensor), y: dev, dyDesc: object(Tensor), dy: dev, xDesc: object(Tensor), x: dev, beta: scale, dxDesc: object(Tensor), dx: dev);
            async [9] fn cudnnPoolingForward(handle: handle, poolingDesc: object(Pooling), alpha: scale, xDesc: object(Tensor), x: dev, beta: scale, yDesc: object(Tensor), y: dev);
            async [9] fn cudnnReduceTensor(handle: handle, reduceTensorDesc: object(ReduceTensor), indices: dev, indicesSizeInBytes: i64, workspace: dev, workspaceSizeInBytes: i64, alpha: scale, aDesc: object(Tensor), A: dev, beta: scale, cDesc: object(Tensor), C: dev);
            async [9] fn cudnnReorderFilterAndBias(handle: handle, filterDesc: object(Filter), reorderType: i32, filterData: dev, reorderedFilterData: dev, reorderBias: i32, biasData: dev, reorderedBiasData: dev);
            state [9] fn cudnnRestoreDropoutDescriptor(dropoutDesc: object(Dropout), handle: handle, dropout: f32, states: dev, stateSizeInBytes: i64, seed: i64);
            async [9] fn cudnnScaleTensor(handle: handle, yDesc: object(Tensor), y: dev, alpha: scale);
            async [9] fn cudnnSetTensor(handle: handle, yDesc: object(Tensor), y: dev, valuePtr: blob);
            async [9] fn cudnnSoftmaxBackward(handle: handle, algo: i32, mode: i32, alpha: scale, yDesc: object(Tensor), y: dev, dyDesc: object(Tensor), dy: dev, beta: scale, dxDesc: object(Tensor), dx: dev);
            async [9] fn cudnnSoftmaxForward(handle: handle, algo: i32, mode: i32, alpha: scale, xDesc: object(Tensor), x: dev, beta: scale, yDesc: object(Tensor), y: dev);
            async [9] fn cudnnSpatialTfGridGeneratorBackward(handle: handle, stDesc: object(SpatialTransformer), dgrid: dev, dtheta: dev);
            async [9] fn cudnnSpatialTfGridGeneratorForward(handle: handle, stDesc: object(SpatialTransformer), theta: dev, grid: dev);
            async [9] fn cudnnSpatialTfSamplerBackward(handle: handle, stDesc: object(SpatialTransformer), alpha: scale, xDesc: object(Tensor), x: dev, beta: scale, dxDesc: object(Tensor), dx: dev, alphaDgrid: scale, dyDesc: object(Tensor), dy: dev, grid: dev, betaDgrid: scale, dgrid: dev);
            async [9] fn cudnnSpatialTfSamplerForward(handle: handle, stDesc: object(SpatialTransformer), alpha: scale, xDesc: object(Tensor), x: dev, grid: dev, beta: scale, yDesc: object(Tensor), y: dev);
            async [9] fn cudnnTransformFilter(handle: handle, transDesc: object(TensorTransform), alpha: scale, srcDesc: object(Filter), srcData: dev, beta: scale, destDesc: object(Filter), destData: dev);
            async [9] fn cudnnTransformTensor(handle: handle, alpha: scale, xDesc: object(Tensor), x: dev, beta: scale, yDesc: object(Tensor), y: dev);
            async [9] fn cudnnTransformTensorEx(handle: handle, transDesc: object(TensorTransform), alpha: scale, srcDesc: object(Tensor), srcData: dev, beta: scale, destDesc: object(Tensor), destData: dev);
        }
        group "Recurrent networks" {
            state [9] fn cudnnBuildRNNDynamic(handle: handle, rnnDesc: object(RNN), miniBatch: i32);
            undeclared [9] fn cudnnGetRNNDropoutLocationsInternal();
            sync [9] fn cudnnGetRNNTempSpaceSizes(handle: handle, rnnDesc: object(RNN), fwdMode: i32, xDesc: object(RNNData), workSpaceSize: host_out(8), reserveSpaceSize: host_out(8));
            hand_sync [9] fn cudnnGetRNNWeightParams(handle: handle, rnnDesc: object(RNN), pseudoLayer: i32, weightSpaceSize: i64, weightSpace: i64, linLayerID: i32, mDesc: fill(Tensor), mAddr: host_out(8), bDesc: fill(Tensor), bAddr: host_out(8));
            sync [9] fn cudnnGetRNNWeightSpaceSize(handle: handle, rnnDesc: object(RNN), weightSpaceSize: host_out(8));
            async [9] fn cudnnRNNBackwardData_v8(handle: handle, rnnDesc: object(RNN), devSeqLengths: dev, yDesc: object(RNNData), y: dev, dy: dev, xDesc: object(RNNData), dx: dev, hDesc: object(Tensor), hx: dev, dhy: dev, dhx: dev, cDesc: object(Tensor), cx: dev, dcy: dev, dcx: dev, weightSpaceSize: i64, weightSpace: dev, workSpaceSize: i64, workSpace: dev, reserveSpaceSize: i64, reserveSpace: dev);
            async [9] fn cudnnRNNBackwardWeights_v8(handle: handle, rnnDesc: object(RNN), addGrad: i32, devSeqLengths: dev, xDesc: object(RNNData), x: dev, hDesc: object(Tensor), hx: dev, yDesc: object(RNNData), y: dev, weightSpaceSize: i64, dweightSpace: dev, workSpaceSize: i64, workSpace: dev, reserveSpaceSize: i64, reserveSpace: dev);
            async [9] fn cudnnRNNForward(handle: handle, rnnDesc: object(RNN), fwdMode: i32, devSeqLengths: dev, xDesc: object(RNNData), x: dev, yDesc: object(RNNData), y: dev, hDesc: object(Tensor), hx: dev, hy: dev, cDesc: object(Tensor), cx: dev, cy: dev, weightSpaceSize: i64, weightSpace: dev, workSpaceSize: i64, workSpace: dev, reserveSpaceSize: i64, reserveSpace: dev);
            sync [9] fn cudnnRNNGetClip_v8(rnnDesc: object(RNN), clipMode: host_out(4), clipNanOpt: host_out(4), lclip: host_out(8), rclip: host_out(8));
            sync [9] fn cudnnRNNGetClip_v9(rnnDesc: object(RNN), clipMode: host_out(4), lclip: host_out(8), rclip: host_out(8));
            state [9] fn cudnnRNNSetClip_v8(rnnDesc: object(RNN), clipMode: i32, clipNanOpt: i32, lclip: f64, rclip: f64);
            state [9] fn cudnnRNNSetClip_v9(rnnDesc: object(RNN), clipMode: i32, lclip: f64, rclip: f64);
        }
    } };
}
