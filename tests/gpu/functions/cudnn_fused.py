"""cuDNN 7's fused operations: packs of parameters with every label, and plans of those that a GPU may have."""

import ctypes

from .common import digest, say
from .cudnn import FLOAT, HALF, VOID, Block

CONST, VARIANT, PLAN = "FusedOpsConstParamPack", "FusedOpsVariantParamPack", "FusedOpsPlan"
DESCRIPTORS = {0: "Tensor", 3: "Tensor", 6: "Activation", 7: "Convolution", 8: "Filter", 10: "Filter", 12: "Tensor", 14: "Tensor", 16: "Tensor", 19: "Tensor", 26: "Tensor", 28: "Tensor", 31: "Tensor", 33: "Tensor", 35: "Tensor"}
WORKSPACE, WORKSPACE_SIZE, COUNT, FACTOR, EPSILON = 9, 100, 101, 102, 103


class Fused:
    def __init__(self, cudnn, operation):
        self.cudnn, self.library, self.operation = cudnn, cudnn.library, operation
        self.constants, self.variants, self.plan = (self.make(kind) for kind in (CONST, VARIANT, PLAN))

    def make(self, kind):
        made = VOID()
        say(f"cudnnCreate{kind}", self.operation, "-", "-", self.library(f"cudnnCreate{kind}", ctypes.byref(made), self.operation))
        return made

    def end(self):
        for kind, made in ((CONST, self.constants), (VARIANT, self.variants), (PLAN, self.plan)):
            say(f"cudnnDestroy{kind}", self.operation, "-", "-", self.library(f"cudnnDestroy{kind}", made))

    def constant(self, label, value, which="-"):
        given = ctypes.byref(ctypes.c_int(value)) if isinstance(value, int) else value
        say(f"cudnnSet{CONST}Attribute", self.operation, label, which, self.library(f"cudnnSet{CONST}Attribute", self.constants, label, given))

    def variant(self, label, value, which="-"):
        say(f"cudnnSet{VARIANT}Attribute", self.operation, label, which, self.library(f"cudnnSet{VARIANT}Attribute", self.variants, label, value))

    def run(self, outs):
        """Makes the plan and executes it."""
        size = ctypes.c_size_t(7)
        status = self.library(f"cudnnMake{PLAN}", self.cudnn.handle, self.plan, self.constants, ctypes.byref(size))
        say(f"cudnnMake{PLAN}", self.operation, "-", "-", status, data=size.value if not status else "-")
        # Where no GPU is, there is no end to it.
        if status or size.value > 1 << 32:
            return
        self.variant(WORKSPACE, VOID(self.cudnn.space(size.value).address), "run")
        self.variant(WORKSPACE_SIZE, ctypes.byref(size), "run")
        for turn in (0, 1):
            status = self.library("cudnnFusedOpsExecute", self.cudnn.handle, self.plan, self.variants)
            later = self.cudnn.device.runtime.cudaDeviceSynchronize()
            say("cudnnFusedOpsExecute", self.operation, turn, "-", f"{status}/cuda{later}" if later else status, data=digest(b"".join(self.cudnn.device.get(out.address, out.size) for out in outs)))


def packs(cudnn):
    """What every label takes and tells, of every operation; and of operations that there are not."""
    library = cudnn.library
    tensor = cudnn.tensor([2, 8, 4, 4])
    described = {"Tensor": tensor, "Filter": cudnn.filter([8, 8, 3, 3]), "Convolution": cudnn.make("Convolution"), "Activation": cudnn.make("Activation")}
    cudnn.call("cudnnSetConvolution2dDescriptor", "fused", described["Convolution"], 1, 1, 1, 1, 1, 1, 1, FLOAT)
    cudnn.call("cudnnSetActivationDescriptor", "fused", described["Activation"], 1, 0, 0.0)
    for operation in (-1, 7):
        for kind in (CONST, VARIANT, PLAN):
            say(f"cudnnCreate{kind}", operation, "-", "-", library(f"cudnnCreate{kind}", ctypes.byref(VOID()), operation))
    for kind in (CONST, VARIANT, PLAN):
        say(f"cudnnCreate{kind}", "nowhere", "-", "-", library(f"cudnnCreate{kind}", None, 0))
        say(f"cudnnDestroy{kind}", "nobody", "-", "-", library(f"cudnnDestroy{kind}", None))
    for operation in range(7):
        fused = Fused(cudnn, operation)
        for label in range(-1, 41):
            def tell(which):
                nothing, value = ctypes.c_int(-7), ctypes.c_int(-7)
                target = ctypes.byref(value)
                if label in DESCRIPTORS:
                    target = VOID()
                    library(f"cudnnCreate{DESCRIPTORS[label]}Descriptor", ctypes.byref(target))
                status = library(f"cudnnGet{CONST}Attribute", fused.constants, label, target, ctypes.byref(nothing))
                say(f"cudnnGet{CONST}Attribute", operation, label, which, status, data=f"{nothing.value}/{value.value}" if not status else "-")
                if not status and not nothing.value and DESCRIPTORS.get(label) == "Tensor":
                    cudnn.call("cudnnGetTensorNdDescriptor", f"fused/{operation}/{label}/{which}", target, 4)

            tell("new")
            if label in DESCRIPTORS:
                fused.constant(label, described[DESCRIPTORS[label]], "given")
            else:
                fused.constant(label, 2, "given")
            tell("given")
            fused.constant(label, None, "null")
            tell("null")
        for label in (-1, *range(25), 99, 100, 101, 102, 103, 104):
            for which, value in (("new", None), ("given", VOID(0x7000) if label < 100 else ctypes.byref(ctypes.c_int64(5))), ("null", VOID(0))):
                if which != "new":
                    fused.variant(label, value, which)
                told = ctypes.c_uint64(7)
                status = library(f"cudnnGet{VARIANT}Attribute", fused.variants, label, ctypes.byref(told))
                say(f"cudnnGet{VARIANT}Attribute", operation, label, which, status, data=told.value if not status else "-")
        # Of the others it depends on what was in memory before.
        if operation == 0:
            say("cudnnFusedOpsExecute", operation, "unmade", "-", library("cudnnFusedOpsExecute", cudnn.handle, fused.plan, fused.variants))
        fused.end()
    cudnn.done()


def plans(cudnn):
    """Statistics of batch normalization, for inference and training; a convolution with what goes before and behind it."""
    channels, spatial = 32, 4
    row = cudnn.tensor([1, channels, 1, 1])
    half_row = cudnn.tensor([1, channels, 1, 1], HALF)
    new = lambda name, of=FLOAT, count=channels: Block(cudnn, count, of, name)
    # Inference: equivalent scale and bias out of running means.
    fused, outs = Fused(cudnn, 3), [new("s", HALF), new("b", HALF)]
    for label, value in ((2, 1), (3, half_row), (4, 2), (5, 2), (19, row), (20, 2), (21, 2), (24, 2), (25, 2)):
        fused.constant(label, value, "plan")
    for label, block in ((1, outs[0]), (2, outs[1]), (10, new("scale")), (11, new("bias")), (14, new("mean")), (15, Block(cudnn, 0, data=b"\0\0\x80\x3f" * channels))):
        fused.variant(label, VOID(block.address), "plan")
    fused.variant(EPSILON, ctypes.byref(ctypes.c_double(1e-3)), "plan")
    fused.run(outs)
    fused.end()
    # Training: out of sums, with the running means renewed.
    fused = Fused(cudnn, 2)
    outs = [new("s", HALF), new("b", HALF), *(new(name) for name in ("saved", "inverse", "mean", "variance"))]
    for label, value in ((2, 1), (3, half_row), (4, 2), (5, 2), (16, row), (17, 2), (18, 2), (19, row), (20, 2), (21, 2), (22, 2), (23, 2), (24, 2), (25, 2)):
        fused.constant(label, value, "plan")
    squares = Block(cudnn, 0, data=b"\0\0\x80\x44" * channels)
    for label, block in ((1, outs[0]), (2, outs[1]), (7, new("sum")), (8, squares), (10, new("scale")), (11, new("bias")), (12, outs[2]), (13, outs[3]), (14, outs[4]), (15, outs[5])):
        fused.variant(label, VOID(block.address), "plan")
    for label, value in ((COUNT, ctypes.c_int64(64)), (FACTOR, ctypes.c_double(0.1)), (EPSILON, ctypes.c_double(1e-3))):
        fused.variant(label, ctypes.byref(value), "plan")
    fused.run(outs)
    fused.end()
    # A convolution of half precision in NHWC, whose input is scaled and whose output is summed.
    shape = [2, channels, spatial, spatial]
    strides = [channels * spatial * spatial, 1, spatial * channels, channels]
    x, y = cudnn.tensor(shape, HALF, strides, "fused-x"), cudnn.tensor(shape, HALF, strides, "fused-y")
    weights, convolution, activation = cudnn.filter([channels, channels, 3, 3], HALF, 1), cudnn.make("Convolution"), cudnn.make("Activation")
    cudnn.call("cudnnSetConvolution2dDescriptor", "fused-plan", convolution, 1, 1, 1, 1, 1, 1, 1, FLOAT)
    cudnn.call("cudnnSetConvolutionMathType", "fused-plan", convolution, 1)
    cudnn.call("cudnnSetActivationDescriptor", "fused-plan", activation, 1, 0, 0.0)
    fused = Fused(cudnn, 0)
    count = 2 * channels * spatial * spatial
    outs = [new("y", HALF, count), new("sum"), new("squares")]
    for label, value in ((0, x), (1, 2), (2, 1), (3, half_row), (4, 2), (5, 2), (6, activation), (7, convolution), (8, weights), (9, 2), (12, y), (13, 2), (16, row), (17, 2), (18, 2)):
        fused.constant(label, value, "plan")
    for label, block in ((0, new("x", HALF, count)), (1, new("s", HALF)), (2, new("b", HALF)), (3, new("w", HALF, channels * channels * 9)), (5, outs[0]), (7, outs[1]), (8, outs[2])):
        fused.variant(label, VOID(block.address), "plan")
    fused.run(outs)
    fused.end()
    cudnn.done()
