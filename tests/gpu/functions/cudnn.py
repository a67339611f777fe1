"""cuDNN: descriptors with what they take and refuse, and every operation of the legacy interface with its modes, algorithms and types. (Its graphs have programs of their own: `cudnn_graph.cu`.)

Calls are made by the declarations: a call is given what these cannot know. Handles, and memory on the host for what is told, are put in; every byte of the device memory that a call was given is compared.
"""

import ctypes
import itertools
import math
import struct

from .common import Library, Numbers, digest, pack, say, table

FLOAT, DOUBLE, HALF = 0, 1, 2
SIZES = {FLOAT: 4, DOUBLE: 8, HALF: 2, 3: 1, 4: 4, 6: 1, 9: 2, 12: 8}
VOID = ctypes.c_void_p
# Told addresses: what matters is whether there is one.
ADDRESSES = {"dropoutDesc", "attnDropoutDesc", "postDropoutDesc", "states"}
# Algorithms that add in whatever order: <https://docs.nvidia.com/deeplearning/cudnn/backend/latest/api/cudnn-cnn-library.html>, cudnnConvolutionBwdDataAlgo_t and cudnnConvolutionBwdFilterAlgo_t.
NOT_DETERMINISTIC = {"cudnnConvolutionBackwardData": ("0",), "cudnnConvolutionBackwardFilter": ("0", "3")}
# Differences that nobody has explained yet: a run goes on to fail for them, and the record says what was seen.
UNEXPLAINED = {
    ("cudnnFusedOpsExecute", None): "natively it returns 5003 (a runtime call of cuDNN's failed) in this row of calls, having written what it writes through GVirtuS, where it succeeds; why is not known",
    ("cudnnReorderFilterAndBias", None): "natively a call returns 5003 (a runtime call of cuDNN's failed) in this row of calls, and succeeds through GVirtuS; why is not known",
}


def varies(key):
    """Whether the results of a call need not be the same each time."""
    return key[1].rsplit("/", 1)[-1] in NOT_DETERMINISTIC.get(key[0], ())


class Block:
    """Memory on the device, of numbers by its name."""

    def __init__(self, cudnn, count, data_type=FLOAT, name="x", data=None):
        numbers = Numbers(f"{name} {data_type}")
        if data is None:
            integers = data_type in (3, 4, 6, 12)
            data = bytes(numbers.next() & 127 for _ in range(count * SIZES[data_type])) if integers else pack(14 if data_type == 9 else data_type, [numbers.real() for _ in range(count)])
        self.size = len(data)
        self.address = cudnn.device.put(data)
        cudnn.blocks.append(self)


class Cudnn:
    def __init__(self, device, arguments):
        self.device, self.blocks, self.scale = device, [], FLOAT
        self.library = Library("libcudnn.so.9", {name: ctypes.c_size_t for name in ("cudnnGetVersion", "cudnnGetCudartVersion", "cudnnGetMaxDeviceVersion")} | {"cudnnGetErrorString": ctypes.c_char_p, "cudnnGetLastErrorString": None})
        self.functions = {name: (kind, parameters) for kind, name, parameters in table(arguments.tables / "cudnn.rs")}
        self.handle = VOID()

    def make(self, kind):
        made = VOID()
        name = f"cudnnCreate{kind}Descriptor"
        say(name, "-", "-", "-", self.library(name, ctypes.byref(made)))
        return made

    def space(self, size):
        return Block(self, 0, data=b"\0" * max(size, 256))

    def done(self):
        """What the case had is given back."""
        for block in self.blocks:
            self.device.free(block.address)
        self.blocks = []

    def call(self, name, label, *given):
        """A call, its line of output, and what it told by the parameters' names."""
        if not self.library.has(name):
            say(name, label, "-", "-", Library.LACKING)
            return {}
        values, arguments, told, kept, numbers = iter(given), [], {}, [], {}
        for parameter, mode, argument in self.functions[name][1]:
            if mode == "handle":
                arguments.append(self.handle)
                continue
            if mode in ("host_out", "host_io"):
                parts = argument.split(";")
                size = numbers.get(parts[0].strip(), 0) * int(parts[1]) if mode == "host_io" else int(argument)
                # Of this it depends on the type how much is written.
                memory = ctypes.create_string_buffer((b"\x55" if parameter == "paddingFill" else b"\0") * (max(size, 8) + 32))
                told[parameter] = memory, size
                arguments.append(memory)
                continue
            if mode == "stream":
                arguments.append(VOID(0))
                continue
            value = next(values)
            if mode == "i32":
                numbers[parameter] = value
                arguments.append(ctypes.c_int(value))
            elif mode == "i64":
                numbers[parameter] = value
                arguments.append(ctypes.c_int64(value.address if isinstance(value, Block) else value))
            elif mode in ("f32", "f64"):
                arguments.append((ctypes.c_float if mode == "f32" else ctypes.c_double)(value))
            elif mode == "dev":
                arguments.append(VOID(value.address if isinstance(value, Block) else value))
            elif mode in ("object", "fill", "new"):
                arguments.append(value)
            elif value is None:
                arguments.append(None)
            elif mode == "scale" or mode == "blob" and isinstance(value, float):
                memory = ctypes.create_string_buffer(pack(self.scale, [value]).ljust(16, b"\0"))
                kept.append(memory)
                arguments.append(memory)
            else:
                memory = (ctypes.c_int * max(len(value), 1))(*value)
                kept.append(memory)
                arguments.append(memory)
        status = self.library(name, *arguments)
        later = self.device.runtime.cudaDeviceSynchronize()
        answer = {"status": status}
        shown = []
        for parameter, (memory, size) in told.items():
            value = int.from_bytes(memory.raw[:8 if size > 4 else 4], "little")
            answer[parameter] = value
            if status:
                continue
            if parameter == "perfResults":
                rows = [struct.unpack_from("<iifxxxxQii", memory.raw, at) for at in range(0, size, 48)]
                answer[parameter] = rows[: answer.get("returnedAlgoCount", 0)]
            elif size > 8:
                shown.append(memory.raw[:size].hex())
            else:
                shown.append(str(bool(value) if parameter in ADDRESSES else value))
        if status == 0 and "perfResults" in answer and "Find" not in name:
            # Not how long each takes; nor what lies behind.
            shown = ["%d:%d:%d:%d:%d" % (row[0], row[1], row[3], row[4], row[5]) for row in answer["perfResults"]]
        elif "Find" in name:
            # They are measured, and which is the quickest is another one each time.
            shown = ["some" if answer["returnedAlgoCount"] else "none"]
        if any(parameter.endswith("Addr") for parameter in told):
            base = next(value.address for value in given if isinstance(value, Block))
            shown = [str(answer[parameter] - base if answer[parameter] else "null") for parameter in told]
        blocks = [value for value in given if isinstance(value, Block)]
        if blocks and self.functions[name][0] in ("async", "hand_async"):
            shown.append(digest(b"".join(self.device.get(block.address, block.size) for block in blocks)))
        say(name, label, "-", "-", status if not later else f"{status}/cuda{later}", data=",".join(shown) or "-")
        return answer

    def set_and_get(self, kind, label, descriptor, given, asked=(), setter=None, getter=None):
        """A setting, and if it is taken what is told of it: what a refused one leaves behind is nobody's business."""
        answer = self.call(setter or f"cudnnSet{kind}Descriptor", label, descriptor, *given)
        if answer.get("status") == 0:
            self.call(getter or f"cudnnGet{kind}Descriptor", label, descriptor, *asked)
        return answer.get("status") == 0

    def size(self, name, label, *given):
        """What a function tells of sizes, 0 if it refuses."""
        answer = self.call(name, label, *given)
        sizes = [value for key, value in answer.items() if key.lower().endswith(("size", "sizeinbytes"))]
        return 0 if answer.get("status") or not sizes else sizes[0]

    def tensor(self, dimensions, data_type=FLOAT, strides=None, label=None):
        made = self.make("Tensor")
        if strides is None:
            strides = [1] * len(dimensions)
            for at in range(len(dimensions) - 2, -1, -1):
                strides[at] = strides[at + 1] * dimensions[at + 1]
        self.call("cudnnSetTensorNdDescriptor", label or "x".join(map(str, dimensions)), made, data_type, len(dimensions), dimensions, strides)
        return made

    def filter(self, dimensions, data_type=FLOAT, layout=0):
        made = self.make("Filter")
        self.call("cudnnSetFilterNdDescriptor", "x".join(map(str, dimensions)), made, data_type, layout, len(dimensions), dimensions)
        return made


def run(device, arguments):
    from . import cudnn_fused, cudnn_graphs, cudnn_networks

    cudnn = Cudnn(device, arguments)
    say("cudnnCreate", "-", "-", "-", cudnn.library("cudnnCreate", ctypes.byref(cudnn.handle)))
    text = ctypes.create_string_buffer(b"?" * 64, 64)
    cudnn.library("cudnnGetLastErrorString", text, ctypes.c_size_t(64))
    say("cudnnGetLastErrorString", "no-error", "-", "-", 0, data=text.raw.split(b"\0")[0].hex() or "empty")
    say("cudnnCreate", "nowhere", "-", "-", cudnn.library("cudnnCreate", None))
    for part in (the_library, settings, elementwise, pooling, convolutions, normalisations, transforms, cudnn_networks.recurrent, cudnn_networks.attention, cudnn_networks.losses, backend, cudnn_networks.causal, cudnn_graphs.networks, cudnn_fused.packs, cudnn_fused.plans):
        part(cudnn)
        cudnn.done()
    say("cudnnDestroy", "-", "-", "-", cudnn.library("cudnnDestroy", cudnn.handle))


def the_library(cudnn):
    library = cudnn.library
    for name in ("Adv", "Cnn", "Graph", "Ops", "SubquadraticOps"):
        say(f"cudnn{name}VersionCheck", "-", "-", "-", library(f"cudnn{name}VersionCheck"))
    for name in ("cudnnGetVersion", "cudnnGetCudartVersion", "cudnnGetMaxDeviceVersion"):
        say(name, "-", "-", "-", 0, data=library(name))
    for which in range(-1, 5):
        value = ctypes.c_int(-7)
        say("cudnnGetProperty", which, "-", "-", library("cudnnGetProperty", which, ctypes.byref(value)), data=value.value)
    for code in list(range(-1, 20)) + [*range(1000, 1010), *range(2000, 2020), *range(3000, 3020), *range(4000, 4012), *range(5000, 5012), 9999]:
        text = library("cudnnGetErrorString", code)
        say("cudnnGetErrorString", code, "-", "-", 0, data=(text or b"null").decode().replace(" ", "_"))
    for mode in (0, 1, 2, 7):
        value = ctypes.c_int(-7)
        say("cudnnQueryRuntimeError", mode, "-", "-", library("cudnnQueryRuntimeError", cudnn.handle, ctypes.byref(value), mode, None), data=value.value)
    mask, data, function = ctypes.c_uint(7), VOID(7), VOID(7)
    told = lambda: library("cudnnGetCallback", ctypes.byref(mask), ctypes.byref(data), ctypes.byref(function))
    say("cudnnGetCallback", "new", "-", "-", told(), data=f"{mask.value}/{data.value}")
    kept = ctypes.CFUNCTYPE(None, ctypes.c_int, VOID, VOID, ctypes.c_char_p)(lambda *_: None)
    for wanted in range(8):
        say("cudnnSetCallback", wanted, "-", "-", library("cudnnSetCallback", wanted, VOID(16), kept))
        status = told()
        say("cudnnGetCallback", wanted, "-", "-", status, data=f"{mask.value}/{data.value}/{function.value == ctypes.cast(kept, VOID).value}")
    say("cudnnSetCallback", "none", "-", "-", library("cudnnSetCallback", 0, None, None))
    stream, seen = VOID(), VOID(7)
    cudnn.device.cuda("cudaStreamCreate", ctypes.byref(stream))
    for label, value in (("own", stream), ("default", None)):
        say("cudnnSetStream", label, "-", "-", library("cudnnSetStream", cudnn.handle, value))
        status = library("cudnnGetStream", cudnn.handle, ctypes.byref(seen))
        say("cudnnGetStream", label, "-", "-", status, data=seen.value == (stream.value if value else None))
    say("cudnnSetStream", "without", "-", "-", library("cudnnSetStream", None, None))


def settings(cudnn):
    """Descriptors: told back as they were set; values at the edges of what is taken, and beyond."""
    call, both = cudnn.call, cudnn.set_and_get
    t, f, c, p = (cudnn.make(kind) for kind in ("Tensor", "Filter", "Convolution", "Pooling"))
    for label, given in (("plain", (0, 0, 2, 3, 4, 5)), ("nhwc", (1, 2, 2, 3, 4, 5)), ("vector", (2, 5, 1, 8, 4, 4)), ("zero", (0, 0, 0, 3, 4, 5)), ("less", (0, 0, -1, 3, 4, 5)), ("type", (0, 99, 2, 3, 4, 5)), ("format", (9, 0, 2, 3, 4, 5))):
        if both("Tensor4d", label, t, given):
            call("cudnnGetTensorSizeInBytes", label, t)
    for label, given in (("plain", (0, 2, 3, 4, 5, 60, 20, 5, 1)), ("wide", (1, 2, 3, 4, 5, 600, 1, 50, 3)), ("overlap", (0, 2, 3, 4, 5, 1, 1, 1, 1)), ("zero", (0, 2, 3, 4, 5, 0, 20, 5, 1)), ("less", (0, 2, 3, 4, 5, 60, -20, 5, 1))):
        both("Tensor4d", "ex/" + label, t, given, setter="cudnnSetTensor4dDescriptorEx")
    for label, d, s in (("3", [2, 3, 4], [12, 4, 1]), ("5", [1, 2, 3, 4, 5], [120, 60, 20, 5, 1]), ("8", [1] * 8, [1] * 8), ("9", [1] * 9, [1] * 9), ("2", [3, 4], [4, 1])):
        for asked in (1, 3, 8):
            both("TensorNd", f"{label}/{asked}", t, (FLOAT, len(d), d, s), (min(asked, len(d)),))
    for label, given in (("nchw", (0, 0, 4, [2, 3, 4, 5])), ("nhwc", (1, 2, 5, [2, 3, 4, 5, 6])), ("few", (0, 0, 2, [2, 3]))):
        both("TensorNd", "ex/" + label, t, given, (given[2],), setter="cudnnSetTensorNdDescriptorEx")
    for label, given in (("plain", (0, 0, 8, 3, 5, 5)), ("nhwc", (2, 1, 8, 4, 3, 3)), ("bytes", (3, 0, 8, 4, 3, 3)), ("zero", (0, 0, 0, 3, 5, 5)), ("type", (99, 0, 8, 3, 5, 5))):
        if both("Filter4d", label, f, given):
            call("cudnnGetFilterSizeInBytes", label, f)
    for label, given in (("4", (0, 0, 4, [8, 3, 5, 5])), ("5", (2, 1, 5, [8, 4, 3, 3, 3])), ("3", (0, 0, 3, [8, 3, 5])), ("9", (0, 0, 9, [1] * 9))):
        both("FilterNd", label, f, given, (given[2],))
    for label, given in (("plain", (1, 2, 1, 2, 1, 1, 1, 0)), ("flipped", (0, 0, 3, 3, 2, 2, 0, 2)), ("stride", (0, 0, 0, 1, 1, 1, 1, 0)), ("pad", (-1, 0, 1, 1, 1, 1, 1, 0)), ("mode", (0, 0, 1, 1, 1, 1, 7, 0)), ("type", (0, 0, 1, 1, 1, 1, 1, 99))):
        both("Convolution2d", label, c, given)
    for count in (1, 2, 3, 6, 7):
        both("ConvolutionNd", count, c, (count, [1] * count, [2] * count, [1] * count, 1, FLOAT), (count,))
    for value in (1, 2, 8, 0, -1):
        both("", value, c, (value,), setter="cudnnSetConvolutionGroupCount", getter="cudnnGetConvolutionGroupCount")
    for value in range(-1, 5):
        for setting in ("MathType", "ReorderType"):
            both("", value, c, (value,), setter="cudnnSetConvolution" + setting, getter="cudnnGetConvolution" + setting)
    for label, given in [(str(mode), (mode, 0, 3, 2, 1, 0, 2, 1)) for mode in range(-1, 5)] + [("nan", (0, 1, 3, 3, 1, 1, 1, 1)), ("window", (0, 0, 0, 3, 1, 1, 1, 1)), ("stride", (0, 0, 3, 3, 1, 1, 0, 1))]:
        both("Pooling2d", label, p, given)
    for count in (1, 2, 3, 5, 7):
        both("PoolingNd", count, p, (0, 0, count, [3] * count, [1] * count, [2] * count), (count,))
    a, o, r, l, loss = (cudnn.make(kind) for kind in ("Activation", "OpTensor", "ReduceTensor", "LRN", "CTCLoss"))
    for mode in range(-1, 9):
        both("Activation", mode, a, (mode, 0, 1.5))
    for value in (1.0, 2.5, -1.0):
        both("", value, a, (value,), setter="cudnnSetActivationDescriptorSwishBeta", getter="cudnnGetActivationDescriptorSwishBeta")
    for value in range(-1, 7):
        both("OpTensor", value, o, (value, FLOAT, value & 1))
    for value in range(-1, 10):
        both("ReduceTensor", value, r, (value, FLOAT, value & 1, value & 1, 0))
    for label, given in (("plain", (5, 1e-4, 0.75, 2.0)), ("widest", (16, 1e-4, 0.75, 2.0)), ("wide", (17, 1e-4, 0.75, 2.0)), ("none", (0, 1e-4, 0.75, 2.0)), ("beta", (5, 1e-4, 0.001, 2.0)), ("k", (5, 1e-4, 0.75, 0.0))):
        both("LRN", label, l, given)
    for value in (0, 1, 2, 99):
        for suffix, more in (("", ()), ("Ex", (1, 0)), ("_v8", (1, 0, 50)), ("_v9", (1, 1, 50))):
            both("", f"{value}", loss, (value, *more), setter=f"cudnnSetCTCLossDescriptor{suffix}", getter=f"cudnnGetCTCLossDescriptor{suffix}")
    st = cudnn.make("SpatialTransformer")
    for label, given in (("plain", (0, FLOAT, 4, [2, 3, 8, 8])), ("half", (0, HALF, 4, [2, 3, 8, 8])), ("five", (0, FLOAT, 5, [2, 3, 8, 8, 8])), ("kind", (3, FLOAT, 4, [2, 3, 8, 8]))):
        call("cudnnSetSpatialTransformerNdDescriptor", label, st, *given)
    for kind, descriptor in (("Tensor", t), ("Filter", f), ("Convolution", c), ("Pooling", p), ("Activation", a), ("OpTensor", o), ("ReduceTensor", r), ("LRN", l), ("CTCLoss", loss), ("SpatialTransformer", st)):
        call(f"cudnnDestroy{kind}Descriptor", "-", descriptor)
        call(f"cudnnDestroy{kind}Descriptor", "null", None)


def elementwise(cudnn):
    """Operations on the elements of tensors, their sums and their like."""
    call, shape = cudnn.call, [2, 3, 5, 7]
    count = math.prod(shape)
    for data_type in (FLOAT, DOUBLE, HALF):
        cudnn.scale = DOUBLE if data_type == DOUBLE else FLOAT
        x, row, strided = cudnn.tensor(shape, data_type), cudnn.tensor([1, 3, 1, 1], data_type), cudnn.tensor(shape, data_type, [210, 70, 14, 2])
        new = lambda name, extent=count: Block(cudnn, extent, data_type, name)
        for alpha, beta in ((1.0, 0.0), (0.5, 2.0)):
            label = f"{data_type}/{alpha}/{beta}"
            call("cudnnTransformTensor", label, alpha, x, new("a"), beta, strided, new("b", 2 * count))
            call("cudnnTransformTensor", label + "/back", alpha, strided, new("a", 2 * count), beta, x, new("b"))
            call("cudnnAddTensor", label, alpha, row, new("a", 3), beta, x, new("b"))
            call("cudnnAddTensor", label + "/same", alpha, x, new("a"), beta, x, new("b"))
            call("cudnnScaleTensor", label, x, new("a"), alpha)
            call("cudnnSetTensor", label, x, new("a"), alpha) if data_type != HALF else None
            for algorithm, mode in itertools.product(range(3), range(2)):
                call("cudnnSoftmaxForward", f"{label}/{algorithm}/{mode}", algorithm, mode, alpha, x, new("a"), beta, x, new("b"))
                call("cudnnSoftmaxBackward", f"{label}/{algorithm}/{mode}", algorithm, mode, alpha, x, new("a"), x, new("b"), beta, x, new("c"))
            for mode in range(8):
                activation = cudnn.make("Activation")
                if call("cudnnSetActivationDescriptor", f"{label}/{mode}", activation, mode, 0, 0.5).get("status"):
                    continue
                call("cudnnActivationForward", f"{label}/{mode}", activation, alpha, x, new("a"), beta, x, new("b"))
                call("cudnnActivationBackward", f"{label}/{mode}", activation, alpha, x, new("a"), x, new("b"), x, new("c"), beta, x, new("d"))
            for operation in range(6):
                op = cudnn.make("OpTensor")
                call("cudnnSetOpTensorDescriptor", f"{operation}/{data_type}", op, operation, cudnn.scale, 0)
                call("cudnnOpTensor", f"{label}/{operation}", op, alpha, x, new("a"), 0.25, row, new("b", 3), beta, x, new("c"))
            for operation, indices in itertools.product(range(9), range(2)):
                reduce = cudnn.make("ReduceTensor")
                call("cudnnSetReduceTensorDescriptor", f"{operation}/{data_type}/{indices}", reduce, operation, cudnn.scale, 0, indices, 0)
                work = cudnn.size("cudnnGetReductionWorkspaceSize", f"{operation}/{data_type}/{indices}", reduce, x, row)
                places = cudnn.size("cudnnGetReductionIndicesSize", f"{operation}/{data_type}/{indices}", reduce, x, row)
                call("cudnnReduceTensor", f"{label}/{operation}/{indices}", reduce, cudnn.space(places), places, VOID(cudnn.space(work).address).value, work, alpha, x, new("a"), beta, row, new("b", 3))
            cudnn.done()
    cudnn.scale = FLOAT
    x = cudnn.tensor(shape)
    dropout = cudnn.make("Dropout")
    states = cudnn.size("cudnnDropoutGetStatesSize", "-")
    reserve = cudnn.size("cudnnDropoutGetReserveSpaceSize", "-", x)
    random = cudnn.space(states)
    for rate in (0.0, 0.5, 1.0, 1.5):
        if call("cudnnSetDropoutDescriptor", rate, dropout, rate, random, states, 1234).get("status"):
            continue
        call("cudnnGetDropoutDescriptor", rate, dropout)
        kept = cudnn.space(reserve)
        call("cudnnDropoutForward", rate, dropout, x, Block(cudnn, count, name="a"), x, Block(cudnn, count, name="b"), kept, reserve)
        call("cudnnDropoutBackward", rate, dropout, x, Block(cudnn, count, name="c"), x, Block(cudnn, count, name="d"), kept, reserve)
    for rate in (0.0, 0.25, 1.5):
        cudnn.set_and_get("Dropout", f"restored/{rate}", dropout, (rate, random, states, 1234), setter="cudnnRestoreDropoutDescriptor")
    call("cudnnDestroyDropoutDescriptor", "-", dropout)


def pooling(cudnn):
    call = cudnn.call
    for data_type, mode, dimensions in itertools.product((FLOAT, DOUBLE, HALF), range(4), (2, 3)):
        cudnn.scale = DOUBLE if data_type == DOUBLE else FLOAT
        label = f"{data_type}/{mode}/{dimensions}"
        pool, shape = cudnn.make("Pooling"), [2, 3] + [9] * dimensions
        x = cudnn.tensor(shape, data_type)
        call("cudnnSetPoolingNdDescriptor", label, pool, mode, 0, dimensions, [3] * dimensions, [1] * dimensions, [2] * dimensions)
        call("cudnnGetPoolingNdForwardOutputDim", label, pool, x, dimensions + 2)
        if dimensions == 2:
            call("cudnnGetPooling2dForwardOutputDim", label, pool, x)
        out = [2, 3] + [5] * dimensions
        y = cudnn.tensor(out, data_type)
        new = lambda name, extent: Block(cudnn, math.prod(extent), data_type, name)
        for alpha, beta in ((1.0, 0.0), (2.0, 0.5)):
            source, target = new("a", shape), new("b", out)
            call("cudnnPoolingForward", f"{label}/{alpha}", pool, alpha, x, source, beta, y, target)
            call("cudnnPoolingBackward", f"{label}/{alpha}", pool, alpha, y, target, y, new("c", out), x, source, beta, x, new("d", shape))
        cudnn.done()
    cudnn.scale = FLOAT


def convolutions(cudnn):
    """Every algorithm forwards and backwards, on shapes that some of them take."""
    call = cudnn.call
    # Input, filter, pad, stride, dilation, groups.
    shapes = [([2, 4, 9, 9], [8, 4, 3, 3], 1, 1, 1, 1), ([2, 8, 12, 12], [8, 4, 3, 3], 0, 2, 1, 2), ([1, 4, 16, 16], [4, 4, 5, 5], 2, 1, 1, 1), ([2, 4, 11, 11], [4, 4, 3, 3], 2, 1, 2, 1), ([1, 4, 6, 6, 6], [4, 4, 3, 3, 3], 1, 1, 1, 1)]
    for (number, (shape, kernel, pad, stride, dilation, groups)), data_type in itertools.product(enumerate(shapes), (FLOAT, DOUBLE, HALF)):
        cudnn.scale = DOUBLE if data_type == DOUBLE else FLOAT
        label, n = f"{number}/{data_type}", len(shape) - 2
        extent = [(shape[2] + 2 * pad - dilation * (kernel[2] - 1) - 1) // stride + 1] * n
        out = [shape[0], kernel[0]] + extent
        x, y, w, conv = cudnn.tensor(shape, data_type), cudnn.tensor(out, data_type), cudnn.filter(kernel, data_type), cudnn.make("Convolution")
        compute = DOUBLE if data_type == DOUBLE else FLOAT
        call("cudnnSetConvolutionNdDescriptor", label, conv, n, [pad] * n, [stride] * n, [dilation] * n, 1, compute)
        call("cudnnSetConvolutionGroupCount", label, conv, groups)
        call("cudnnSetConvolutionMathType", label, conv, 0)
        call("cudnnGetConvolutionNdForwardOutputDim", label, conv, x, w, n + 2)
        if n == 2:
            call("cudnnGetConvolution2dForwardOutputDim", label, conv, x, w)
        new = lambda name, dimensions: Block(cudnn, math.prod(dimensions), data_type, name)
        call("cudnnGetConvolutionForwardAlgorithm_v7", label, x, w, conv, y, 8)
        call("cudnnGetConvolutionBackwardDataAlgorithm_v7", label, w, y, conv, x, 8)
        call("cudnnGetConvolutionBackwardFilterAlgorithm_v7", label, x, y, conv, w, 8)
        for algorithm in range(8):
            which = f"{label}/{algorithm}"
            work = cudnn.size("cudnnGetConvolutionForwardWorkspaceSize", which, x, w, conv, y, algorithm)
            work = min(work, 1 << 26)
            room = cudnn.space(work).address
            call("cudnnConvolutionForward", which, 1.0, x, new("x", shape), w, new("w", kernel), conv, algorithm, room, work, 0.0, y, new("y", out))
            work = cudnn.size("cudnnGetConvolutionBackwardDataWorkspaceSize", which, w, y, conv, x, algorithm)
            work = min(work, 1 << 26)
            room = cudnn.space(work).address
            call("cudnnConvolutionBackwardData", which, 1.0, w, new("w", kernel), y, new("y", out), conv, algorithm, room, work, 0.0, x, new("x", shape))
            work = cudnn.size("cudnnGetConvolutionBackwardFilterWorkspaceSize", which, x, y, conv, w, algorithm)
            work = min(work, 1 << 26)
            room = cudnn.space(work).address
            call("cudnnConvolutionBackwardFilter", which, 1.0, x, new("x", shape), y, new("y", out), conv, algorithm, room, work, 0.0, w, new("w", kernel))
            cudnn.done()
        bias = cudnn.tensor([1, kernel[0]] + [1] * n, data_type)
        call("cudnnConvolutionBackwardBias", label, 1.0, y, new("y", out), 0.0, bias, new("b", [kernel[0]]))
        for mode, algorithm in ((1, 0), (1, 1), (5, 1)):
            activation = cudnn.make("Activation")
            call("cudnnSetActivationDescriptor", mode, activation, mode, 0, 0.0)
            room = cudnn.space(1 << 22).address
            call("cudnnConvolutionBiasActivationForward", f"{label}/{mode}/{algorithm}", 1.0, x, new("x", shape), w, new("w", kernel), conv, algorithm, room, 1 << 22, 0.5, y, new("z", out), bias, new("b", [kernel[0]]), activation, y, new("y", out))
        cudnn.done()
        if number == 0:
            room = cudnn.space(1 << 24).address
            call("cudnnFindConvolutionForwardAlgorithm", label, x, w, conv, y, 8)
            call("cudnnFindConvolutionForwardAlgorithmEx", label, x, new("x", shape), w, new("w", kernel), conv, y, new("y", out), 8, room, 1 << 24)
            call("cudnnFindConvolutionBackwardDataAlgorithm", label, w, y, conv, x, 8)
            call("cudnnFindConvolutionBackwardDataAlgorithmEx", label, w, new("w", kernel), y, new("y", out), conv, x, new("x", shape), 8, room, 1 << 24)
            call("cudnnFindConvolutionBackwardFilterAlgorithm", label, x, y, conv, w, 8)
            call("cudnnFindConvolutionBackwardFilterAlgorithmEx", label, x, new("x", shape), y, new("y", out), conv, w, new("w", kernel), 8, room, 1 << 24)
            call("cudnnIm2Col", label, x, new("x", shape), w, conv, new("columns", [4 * 9 * 81 * 2]))
        cudnn.done()
    cudnn.scale = FLOAT
    for name in ("Forward", "BackwardData", "BackwardFilter"):
        call(f"cudnnGetConvolution{name}AlgorithmMaxCount", "-")


def normalisations(cudnn):
    call = cudnn.call
    shape = [4, 8, 6, 6]
    count = math.prod(shape)
    for data_type, mode, nhwc in itertools.product((FLOAT, HALF), range(3), (False, True)):
        label = f"{data_type}/{mode}/{'nhwc' if nhwc else 'nchw'}"
        x = cudnn.tensor(shape, data_type, [288, 1, 48, 8] if nhwc else None)
        per, other = cudnn.make("Tensor"), cudnn.make("Tensor")
        call("cudnnDeriveBNTensorDescriptor", label, per, x, mode)
        call("cudnnGetTensorNdDescriptor", "bn/" + label, per, 5)
        new = lambda name, kind=data_type: Block(cudnn, count, kind, name)
        small = lambda name: Block(cudnn, count, FLOAT, name)
        call("cudnnBatchNormalizationForwardInference", label, mode, 1.0, 0.0, x, new("x"), x, new("y"), per, small("s"), small("b"), small("m"), Block(cudnn, 0, data=pack(FLOAT, [1.5] * count)), 1e-5)
        mean, inverse = small("mean"), small("inverse")
        call("cudnnBatchNormalizationForwardTraining", label, mode, 1.0, 0.0, x, new("x"), x, new("y"), per, small("s"), small("b"), 0.1, small("m"), small("v"), 1e-5, mean, inverse)
        call("cudnnBatchNormalizationBackward", label, mode, 1.0, 0.0, 1.0, 0.0, x, new("x"), x, new("dy"), x, new("dx"), per, small("s"), small("ds"), small("db"), 1e-5, mean, inverse)
        relu = cudnn.make("Activation")
        call("cudnnSetActivationDescriptor", "relu", relu, 1, 0, 0.0)
        for ops in range(3):
            which, activation, z = f"{label}/{ops}", relu if ops else None, x if ops == 2 else None
            extra = new("z") if ops == 2 else None
            work = cudnn.size("cudnnGetBatchNormalizationForwardTrainingExWorkspaceSize", which, mode, ops, x, z, x, per, activation)
            reserve = cudnn.size("cudnnGetBatchNormalizationTrainingExReserveSpaceSize", which, mode, ops, activation, x)
            kept, y = cudnn.space(reserve), new("y")
            call("cudnnBatchNormalizationForwardTrainingEx", which, mode, ops, 1.0, 0.0, x, new("x"), z, extra, x, y, per, small("s"), small("b"), 0.1, small("m"), small("v"), 1e-5, mean, inverse, activation, cudnn.space(work).address, work, kept, reserve)
            work = cudnn.size("cudnnGetBatchNormalizationBackwardExWorkspaceSize", which, mode, ops, x, x if ops else None, x, z, x, per, activation)
            call("cudnnBatchNormalizationBackwardEx", which, mode, ops, 1.0, 0.0, 1.0, 0.0, x, new("x"), x if ops else None, y if ops else None, x, new("dy"), z, new("dz") if ops == 2 else None, x, new("dx"), per, small("s"), small("b") if ops else None, small("ds"), small("db"), 1e-5, mean, inverse, activation, cudnn.space(work).address, work, kept, reserve)
        if mode < 2:
            for algorithm in range(2):
                which = f"{label}/{algorithm}"
                call("cudnnDeriveNormTensorDescriptor", which, per, other, x, mode, 1)
                work = cudnn.size("cudnnGetNormalizationForwardTrainingWorkspaceSize", which, mode, 0, algorithm, x, None, x, per, None, other, 1)
                reserve = cudnn.size("cudnnGetNormalizationTrainingReserveSpaceSize", which, mode, 0, algorithm, None, x, 1)
                kept = cudnn.space(reserve)
                call("cudnnNormalizationForwardTraining", which, mode, 0, algorithm, 1.0, 0.0, x, new("x"), per, small("s"), small("b"), 0.1, other, small("m"), small("v"), 1e-5, mean, inverse, None, None, None, x, new("y"), cudnn.space(work).address, work, kept, reserve, 1)
                work = cudnn.size("cudnnGetNormalizationBackwardWorkspaceSize", which, mode, 0, algorithm, x, None, x, None, x, per, None, other, 1)
                call("cudnnNormalizationBackward", which, mode, 0, algorithm, 1.0, 0.0, 1.0, 0.0, x, new("x"), None, None, x, new("dy"), None, None, x, new("dx"), per, small("s"), None, small("ds"), small("db"), 1e-5, other, mean, inverse, None, cudnn.space(work).address, work, kept, reserve, 1)
                call("cudnnNormalizationForwardInference", which, mode, 0, algorithm, 1.0, 0.0, x, new("x"), per, small("s"), small("b"), other, small("m"), Block(cudnn, 0, data=pack(FLOAT, [1.5] * count)), None, None, None, x, new("y"), 1e-5, 1)
        cudnn.done()
    for data_type in (FLOAT, HALF):
        x, lrn = cudnn.tensor(shape, data_type), cudnn.make("LRN")
        call("cudnnSetLRNDescriptor", "in-use", lrn, 5, 1e-4, 0.75, 2.0)
        new = lambda name: Block(cudnn, count, data_type, name)
        call("cudnnLRNCrossChannelForward", data_type, lrn, 0, 1.0, x, new("x"), 0.0, x, new("y"))
        call("cudnnLRNCrossChannelBackward", data_type, lrn, 0, 1.0, x, new("y"), x, new("dy"), x, new("x"), 0.0, x, new("dx"))
        call("cudnnDivisiveNormalizationForward", data_type, lrn, 0, 1.0, x, new("x"), new("m"), new("t"), new("t2"), 0.0, x, new("y"))
        call("cudnnDivisiveNormalizationBackward", data_type, lrn, 0, 1.0, x, new("x"), new("m"), new("dy"), new("t"), new("t2"), 0.0, x, new("dx"), new("dm"))
        cudnn.done()


def transforms(cudnn):
    call = cudnn.call
    shape = [2, 3, 8, 8]
    x, y = cudnn.tensor(shape), cudnn.make("Tensor")
    for label, given in (("pad", (0, [0, 1, 0, 0], [0, 0, 0, 0], [1, 1], 0)), ("nhwc", (1, [0] * 4, [0] * 4, [1, 1], 0)), ("fold", (0, [0] * 4, [0] * 4, [2, 2], 0)), ("format", (9, [0] * 4, [0] * 4, [1, 1], 0)), ("less", (0, [-1, 0, 0, 0], [0] * 4, [1, 1], 0))):
        how = cudnn.make("TensorTransform")
        call("cudnnSetTensorTransformDescriptor", label, how, 4, *given)
        call("cudnnGetTensorTransformDescriptor", label, how, 4)
        size = cudnn.size("cudnnInitTransformDest", label, how, x, y)
        call("cudnnGetTensorNdDescriptor", "transform/" + label, y, 5)
        call("cudnnTransformTensorEx", label, how, 1.0, x, Block(cudnn, math.prod(shape), name="x"), 0.0, y, cudnn.space(max(size, 1 << 12)))
        w, v = cudnn.filter([4, 3, 2, 2]), cudnn.filter([4, 3, 2, 2], FLOAT, 1)
        call("cudnnTransformFilter", label, how, 1.0, w, Block(cudnn, 48, name="w"), 0.0, v, Block(cudnn, 48, name="v"))
        call("cudnnDestroyTensorTransformDescriptor", label, how)
        cudnn.done()
    w8 = cudnn.filter([32, 32, 1, 1], 3, 0)
    made = cudnn.make("Filter")
    call("cudnnSetFilter4dDescriptor", "vectors", made, 8, 2, 32, 32, 1, 1)
    for label, descriptor in (("plain", w8), ("vectors", made)):
        for kind in (0, 1):
            # Where nothing is reordered, 32 bytes for each of the extents are copied.
            call("cudnnReorderFilterAndBias", f"{label}/{kind}", descriptor, kind, Block(cudnn, 1 << 15, 3, "f"), Block(cudnn, 1 << 15, 3, "g"), kind, Block(cudnn, 32, FLOAT, "b"), Block(cudnn, 32, FLOAT, "c"))
    w, conv, grad, diff = cudnn.filter([8, 4, 3, 3]), cudnn.make("Convolution"), cudnn.tensor([2, 4, 9, 9]), cudnn.tensor([2, 8, 5, 5])
    call("cudnnSetConvolution2dDescriptor", "folded", conv, 1, 1, 2, 2, 1, 1, 1, 0)
    for layout in (0, 1):
        made = [cudnn.make(kind) for kind in ("Filter", "Tensor", "Convolution", "Tensor", "TensorTransform", "TensorTransform", "TensorTransform", "TensorTransform")]
        call("cudnnGetFoldedConvBackwardDataDescriptors", layout, w, diff, conv, grad, layout, *made)
        call("cudnnGetFilterNdDescriptor", f"folded/{layout}", made[0], 4)
        call("cudnnGetTensorNdDescriptor", f"folded/{layout}", made[1], 4)
    st = cudnn.make("SpatialTransformer")
    call("cudnnSetSpatialTransformerNdDescriptor", "in-use", st, 0, FLOAT, 4, shape)
    new = lambda name, extent: Block(cudnn, extent, name=name)
    call("cudnnSpatialTfGridGeneratorForward", "-", st, new("theta", 12), new("grid", 256))
    call("cudnnSpatialTfSamplerForward", "-", st, 1.0, x, new("x", 384), new("grid", 256), 0.0, x, new("y", 384))
    call("cudnnSpatialTfSamplerBackward", "-", st, 1.0, x, new("x", 384), 0.0, x, new("dx", 384), 1.0, x, new("dy", 384), new("grid", 256), 0.0, new("dgrid", 256))
    call("cudnnSpatialTfGridGeneratorBackward", "-", st, new("dgrid", 256), new("dtheta", 12))


def backend(cudnn):
    """Descriptors of graphs of every kind that there may be, and attributes that are not theirs; graphs themselves have a program of their own."""
    library, size = cudnn.library, ctypes.c_int64
    for kind in range(-1, 48):
        made = VOID()
        status = library("cudnnBackendCreateDescriptor", kind, ctypes.byref(made))
        say("cudnnBackendCreateDescriptor", kind, "-", "-", status)
        if status:
            continue
        word = size(1)
        say("cudnnBackendSetAttribute", kind, "none", "-", library("cudnnBackendSetAttribute", made, 999999, 3, size(1), ctypes.byref(word)))
        say("cudnnBackendInitialize", kind, "-", "-", library("cudnnBackendInitialize", made))
        say("cudnnBackendDestroyDescriptor", kind, "-", "-", library("cudnnBackendDestroyDescriptor", made))
    say("cudnnBackendInitialize", "nobody", "-", "-", library("cudnnBackendInitialize", None))
    # A tensor that is made ready, and then anew: what was set is gone.
    for finished in (False, True):
        made, asked, count = VOID(), size(0), size(0)
        library("cudnnBackendCreateDescriptor", 17, ctypes.byref(made))
        for name, kind, values in ((900, 3, [16]), (901, 1, [0]), (902, 3, [1, 2, 3, 4]), (903, 3, [24, 12, 4, 1]), (906, 3, [5])):
            of = size if kind == 3 else ctypes.c_int
            library("cudnnBackendSetAttribute", made, name, kind, size(len(values)), (of * len(values))(*values))
        label = f"finished/{finished}"
        if finished:
            say("cudnnBackendFinalize", label, "-", "-", library("cudnnBackendFinalize", made))
            # Alignment, type, extents, strides, number, and whether it is virtual; with room, with too little, and of another type.
            for name, kind in itertools.product((900, 901, 902, 903, 906, 907, 999999), (1, 2, 3)):
                for room in (0, 1, 2, 8):
                    count, told = size(-7), ctypes.create_string_buffer(b"\x11" * 64, 64)
                    status = library("cudnnBackendGetAttribute", made, name, kind, size(room), ctypes.byref(count), told)
                    say("cudnnBackendGetAttribute", label, name, f"{kind}/{room}", status, data=f"{count.value}/{told.raw.hex()}" if not status else "-")
        say("cudnnBackendInitialize", label, "-", "-", library("cudnnBackendInitialize", made))
        say("cudnnBackendFinalize", label, "again", "-", library("cudnnBackendFinalize", made))
        say("cudnnBackendGetAttribute", label, "-", "-", library("cudnnBackendGetAttribute", made, 906, 3, size(1), ctypes.byref(count), ctypes.byref(asked)))
        say("cudnnBackendSetAttribute", label, "-", "-", library("cudnnBackendSetAttribute", made, 906, 3, size(1), ctypes.byref(size(7))))
        library("cudnnBackendDestroyDescriptor", made)
