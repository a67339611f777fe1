"""cuDNN's operations of networks: recurrent ones, attention, losses over sequences, causal convolutions."""

import ctypes
import itertools
import struct

from .common import pack
from .cudnn import DOUBLE, FLOAT, HALF, VOID, Block


def numbers(cudnn, values):
    return Block(cudnn, 0, data=struct.pack(f"<{len(values)}i", *values))


def recurrent(cudnn):
    """Networks of every cell and direction by every algorithm; inference, training, and both gradients."""
    call, time, batch, wide, hidden, layers = cudnn.call, 5, 3, 8, 8, 2
    drop = cudnn.make("Dropout")
    states = cudnn.size("cudnnDropoutGetStatesSize", "rnn")
    random = cudnn.space(states)
    call("cudnnSetDropoutDescriptor", "rnn", drop, 0.0, random, states, 7)
    lengths = [5, 4, 2]
    told = cudnn.make("RNN")
    for label, given in (("cell", (0, 9, 2, 0, 0, 0, 0, 0, 8, 8, 8, 1)), ("algorithm", (9, 0, 2, 0, 0, 0, 0, 0, 8, 8, 8, 1)), ("layers", (0, 0, 2, 0, 0, 0, 0, 0, 8, 8, 8, 0)), ("skip", (0, 0, 2, 0, 1, 0, 0, 0, 8, 4, 4, 1)), ("projection", (0, 2, 2, 0, 0, 0, 0, 0, 8, 8, 4, 1)), ("none", (0, 3, 0, 1, 0, 2, 0, 1, 8, 8, 8, 2))):
        call("cudnnSetRNNDescriptor_v8", label, told, *given, drop, 0)
        call("cudnnGetRNNDescriptor_v8", label, told)
    for mode, left, right in ((0, 0.0, 0.0), (1, -1.0, 1.0), (1, 1.0, -1.0), (7, -1.0, 1.0)):
        call("cudnnRNNSetClip_v8", f"{mode}/{left}", told, mode, 0, left, right)
        call("cudnnRNNGetClip_v8", f"{mode}/{left}", told)
        call("cudnnRNNSetClip_v9", f"{mode}/{left}", told, mode, left, right)
        call("cudnnRNNGetClip_v9", f"{mode}/{left}", told)
    for layout, data_type in itertools.product(range(4), (FLOAT, HALF, 99)):
        xs = cudnn.make("RNNData")
        cudnn.scale = FLOAT
        call("cudnnSetRNNDataDescriptor", f"{layout}/{data_type}", xs, data_type, layout, time, batch, wide, lengths, 0.5 if data_type == FLOAT else None)
        call("cudnnGetRNNDataDescriptor", f"{layout}/{data_type}", xs, 3)
        call("cudnnDestroyRNNDataDescriptor", f"{layout}/{data_type}", xs)
    for algorithm, cell, direction, data_type in itertools.product(range(4), range(4), range(2), (FLOAT, HALF, DOUBLE)):
        if data_type != FLOAT and (algorithm or direction):
            continue
        label = f"{algorithm}/{cell}/{direction}/{data_type}"
        precision = DOUBLE if data_type == DOUBLE else FLOAT
        rnn, xs, ys, ways = cudnn.make("RNN"), cudnn.make("RNNData"), cudnn.make("RNNData"), 1 + direction
        # With padded data: sequences are of different lengths.
        if call("cudnnSetRNNDescriptor_v8", label, rnn, algorithm, cell, 2, direction, 0, data_type, precision, 0, wide, hidden, hidden, layers, drop, 1).get("status"):
            continue
        if algorithm == 2:
            call("cudnnBuildRNNDynamic", label, rnn, batch)
        call("cudnnSetRNNDataDescriptor", label, xs, data_type, 0, time, batch, wide, lengths, None)
        call("cudnnSetRNNDataDescriptor", label + "/y", ys, data_type, 0, time, batch, hidden * ways, lengths, None)
        weights = cudnn.size("cudnnGetRNNWeightSpaceSize", label, rnn)
        if not weights:
            continue
        unit = {FLOAT: 4, HALF: 2, DOUBLE: 8}[data_type]
        new = lambda name, count: Block(cudnn, count, data_type, name)
        w, dw = new("w", weights // unit), new("dw", weights // unit)
        for linear in range({0: 2, 1: 2, 2: 8, 3: 6}[cell]):
            m, b = cudnn.make("Tensor"), cudnn.make("Tensor")
            call("cudnnGetRNNWeightParams", f"{label}/{linear}", rnn, 0, weights, w, linear, m, b)
            call("cudnnGetTensorNdDescriptor", f"weights/{label}/{linear}", m, 3)
        h = cudnn.tensor([layers * ways, batch, hidden], data_type)
        state = lambda name: new(name, layers * ways * batch * hidden)
        on_device = numbers(cudnn, lengths)
        x, y = new("x", time * batch * wide), new("y", time * batch * hidden * ways)
        for training in (0, 1):
            answer = call("cudnnGetRNNTempSpaceSizes", f"{label}/{training}", rnn, training, xs)
            work, reserve = answer.get("workSpaceSize", 0), answer.get("reserveSpaceSize", 0)
            if answer.get("status"):
                work = reserve = 0
            room, kept = cudnn.space(work), cudnn.space(reserve)
            hx, cx = state("hx"), state("cx")
            call("cudnnRNNForward", f"{label}/{training}", rnn, training, on_device, xs, x, ys, y, h, hx, state("hy"), h, cx, state("cy"), weights, w, work, room.address, reserve, kept.address if reserve else None)
        call("cudnnRNNBackwardData_v8", label, rnn, on_device, ys, y, new("dy", time * batch * hidden * ways), xs, new("dx", time * batch * wide), h, hx, state("dhy"), state("dhx"), h, cx, state("dcy"), state("dcx"), weights, w, work, room.address, reserve, kept.address)
        call("cudnnRNNBackwardWeights_v8", label, rnn, 0, on_device, xs, x, h, hx, ys, y, weights, dw, work, room.address, reserve, kept.address)
        call("cudnnDestroyRNNDescriptor", label, rnn)
        cudnn.blocks, gone = [random], [block for block in cudnn.blocks if block is not random]
        for block in gone:
            cudnn.device.free(block.address)


def attention(cudnn):
    call, time, batch, wide = cudnn.call, 6, 2, 8
    for heads, mode, data_type in itertools.product((1, 2, 4), (0, 1, 2), (FLOAT, HALF)):
        label = f"{heads}/{mode}/{data_type}"
        attn, data = cudnn.make("Attn"), cudnn.make("SeqData")
        call("cudnnSetAttnDescriptor", label, attn, mode, heads, 0.5, data_type, FLOAT, 0, None, None, wide, wide, wide, 4, 4, 4, wide, time, time, batch, 1)
        call("cudnnGetAttnDescriptor", label, attn)
        call("cudnnSetSeqDataDescriptor", label, data, data_type, 4, [time, batch, 1, wide], [0, 1, 2, 3], batch, [6, 5], None)
        call("cudnnGetSeqDataDescriptor", label, data, 4, batch)
        answer = call("cudnnGetMultiHeadAttnBuffers", label, attn)
        if answer.get("status"):
            continue
        weights, work, reserve = (answer[name] for name in ("weightSizeInBytes", "workSpaceSizeInBytes", "reserveSpaceSizeInBytes"))
        unit, count = (4 if data_type == FLOAT else 2), time * batch * wide
        new = lambda name, extent=count: Block(cudnn, extent, data_type, name)
        w = new("w", weights // unit)
        for kind in range(9):
            call("cudnnGetMultiHeadAttnWeights", f"{label}/{kind}", attn, kind, weights, w, cudnn.make("Tensor"))
        on_device, low, high = numbers(cudnn, [6, 5]), [0] * time, [time] * time
        room, kept = cudnn.space(work).address, cudnn.space(reserve).address
        q, k, v, o = new("q"), new("k"), new("v"), new("o")
        call("cudnnMultiHeadAttnForward", label + "/inference", attn, -1, low, high, on_device, on_device, data, q, None, data, k, data, v, data, new("o"), weights, w, work, room, 0, None)
        call("cudnnMultiHeadAttnForward", label, attn, -1, low, high, on_device, on_device, data, q, None, data, k, data, v, data, o, weights, w, work, room, reserve, kept)
        call("cudnnMultiHeadAttnBackwardData", label, attn, low, high, on_device, on_device, data, new("do"), data, new("dq"), q, data, new("dk"), k, data, new("dv"), v, weights, w, work, room, reserve, kept)
        call("cudnnMultiHeadAttnBackwardWeights", label, attn, 1, data, q, data, k, data, v, data, new("do"), weights, w, new("dw", weights // unit), work, room, reserve, kept)
        call("cudnnDestroySeqDataDescriptor", label, data)
        call("cudnnDestroyAttnDescriptor", label, attn)
        cudnn.done()


def losses(cudnn):
    call, steps, batch, labels = cudnn.call, 20, 2, 6
    p = cudnn.tensor([steps, batch, labels])
    label, lengths, inputs = [1, 2, 3, 4, 5], [3, 2], [20, 18]
    for algorithm, kind in itertools.product((0, 1), (0, 1)):
        which, ctc = f"{algorithm}/{kind}", cudnn.make("CTCLoss")
        call("cudnnSetCTCLossDescriptorEx", f"in-use/{which}", ctc, FLOAT, kind, 0)
        size = cudnn.size("cudnnGetCTCLossWorkspaceSize", which, p, p, label, lengths, inputs, algorithm, ctc)
        new = lambda name, count: Block(cudnn, count, name=name)
        every = steps * batch * labels
        call("cudnnCTCLoss", which, p, new("p", every), label, lengths, inputs, new("c", batch), p, new("g", every), algorithm, ctc, cudnn.space(size).address, size)
        for suffix, more in (("_v8", (kind, 0, 8)), ("_v9", (kind, 1, 8))):
            ctc = cudnn.make("CTCLoss")
            call("cudnnSetCTCLossDescriptor" + suffix, f"in-use/{which}", ctc, FLOAT, *more)
            size = cudnn.size("cudnnGetCTCLossWorkspaceSize_v8", which + suffix, algorithm, ctc, p, p)
            padded = numbers(cudnn, label + [0] * 11)
            call("cudnnCTCLoss_v8", which + suffix, algorithm, ctc, p, new("p", every), padded, numbers(cudnn, lengths), numbers(cudnn, inputs), new("c", batch), p, new("g", every), size, cudnn.space(size).address)
        cudnn.done()


def causal(cudnn):
    """Causal convolutions in one dimension: on a stream, without a handle. Shapes of which some are taken, and some refused."""
    call = cudnn.call
    for (batch, dim, length, kernel), data_type in itertools.product(((2, 8, 32, 4), (1, 64, 128, 3), (2, 16, 1024, 128), (1, 8, 32, 64)), (FLOAT, HALF, 9)):
        label = f"{batch}x{dim}x{length}x{kernel}/{data_type}"
        new = lambda name, count=batch * dim * length: Block(cudnn, count, data_type, name)
        shape = (batch, dim, length, kernel, data_type)
        for activation in (0, 1):
            for form in ("", "Nwh"):
                which = f"{label}/{activation}"
                call(f"cudnnCausalConv1d{form}Forward", which, new("x"), new("w", dim * kernel), new("b", dim), new("y"), *shape, activation)
                gradient = lambda name, count: Block(cudnn, count, FLOAT, name)
                call(f"cudnnCausalConv1d{form}Backward", which, new("x"), new("w", dim * kernel), new("b", dim), new("dy"), new("dx"), gradient("dw", dim * kernel), gradient("db", dim), *shape, FLOAT, activation)
        call("cudnnFFTCausalConv1dForward", label, new("x"), new("w", dim * kernel), new("y"), *shape)
        call("cudnnFFTCausalConv1dBackward", label, new("x"), new("w", dim * kernel), new("dy"), new("dx"), new("dw", dim * kernel), *shape)
        call("cudnnB2BCausalConv1dForward", label, new("x", 3 * batch * dim * length), new("p", 3 * dim * 4), new("w", dim * kernel), new("b", dim), new("y"), new("g"), batch, dim, length, 4, kernel, data_type)
        call("cudnnB2BCausalConv1dBackward", label, new("x", 3 * batch * dim * length), new("p", 3 * dim * 4), new("w", dim * kernel), new("b", dim), new("y"), new("dy"), new("dx", 3 * batch * dim * length), new("dp", 3 * dim * 8), new("dw", 2 * dim * kernel), new("db", 2 * dim), batch, dim, length, 4, kernel, data_type, FLOAT)
        answer = call("cudnnLongFFTCausalConv1dGetBufferSizes", label, *shape)
        work, reserve = (0, 0) if answer.get("status", 1) else (answer["workspaceSizeInBytes"], answer["reserveSpaceSizeInBytes"])
        room, kept = cudnn.space(work).address, cudnn.space(reserve).address
        call("cudnnLongFFTCausalConv1dForward", label, new("x"), new("w", dim * kernel), new("y"), *shape, room, work, kept, reserve)
        call("cudnnLongFFTCausalConv1dBackward", label, new("dy"), new("dx"), new("dw", 2 * dim * kernel), *shape, room, work, kept, reserve)
        cudnn.done()
