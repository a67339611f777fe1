"""cuFFT: every way to make a plan and to ask how large its work area is, executions of every kind, work areas of the program's, properties."""

import ctypes
import itertools
import math
import pathlib
import shutil
import struct
import subprocess
import tempfile

from .common import Library, Numbers, digest, matrix, say

TYPES = {"C2C": 0x29, "R2C": 0x2A, "C2R": 0x2C, "Z2Z": 0x69, "D2Z": 0x6A, "Z2D": 0x6C}
# cudaDataType of what goes in, comes out, and is computed with.
DATA = {"C2C": (4, 4, 4), "R2C": (0, 4, 4), "C2R": (4, 0, 4), "Z2Z": (5, 5, 5), "D2Z": (1, 5, 5), "Z2D": (5, 1, 5), "half": (6, 6, 6)}
SHAPES = [(4096,), (1000,), (17,), (64, 48), (31, 50), (16, 12, 20), (7, 9, 10)]
size_t = ctypes.c_size_t


class Cufft:
    def __init__(self, device):
        self.device, self.library = device, Library("libcufft.so.12")

    def sized(self, name, label, kind, batch, *arguments):
        """A call that tells a size at its end."""
        work = size_t(77)
        status = self.library(name, *arguments, ctypes.byref(work))
        say(name, label, kind, batch, status, data=work.value if not status else "-")
        return status

    def plan(self):
        plan = ctypes.c_int(-1)
        say("cufftCreate", "-", "-", "-", self.library("cufftCreate", ctypes.byref(plan)))
        return plan

    def destroy(self, plan, label="-", kind="-", batch="-"):
        say("cufftDestroy", label, kind, batch, self.library("cufftDestroy", plan))

    def execute(self, plan, name, label, kind, batch, count, more=(), in_place=False):
        """One execution on numbers of its own; `name` says by which function. Without memory, none."""
        if self.device.blank:
            return "-"
        room = count * batch * 16 * 2 + 65536
        numbers = Numbers(f"{label} {kind} {batch}")
        data = matrix(1 if kind[0] in "ZD" else 0, numbers)
        data = (data * (room // len(data) + 1))[:room]
        source = self.device.put(data)
        target = source if in_place else self.device.put(b"\0" * room)
        status = self.library(name, plan, ctypes.c_void_p(source), ctypes.c_void_p(target), *more)
        later = self.device.runtime.cudaDeviceSynchronize()
        made = digest(self.device.get(target, room))
        self.device.free(source)
        if not in_place:
            self.device.free(target)
        say(name, label, kind + ("/in-place" if in_place else ""), batch, f"{status}/{later}" if later else status, data=made)
        return made


def run(device, arguments):
    del arguments
    fft = Cufft(device)
    for shape, (kind, number), batch in itertools.product(SHAPES, TYPES.items(), (1, 3)):
        simple(fft, shape, kind, number, batch)
        made(fft, shape, kind, number, batch)
    generic(fft)
    work_areas(fft)
    refusals(fft)
    several_gpus(fft)
    callbacks(fft)
    inside_kernels(fft)
    for which in range(-1, 5):
        value = ctypes.c_int(-7)
        say("cufftGetProperty", which, "-", "-", fft.library("cufftGetProperty", which, ctypes.byref(value)), data=value.value)
    version = ctypes.c_int(-7)
    say("cufftGetVersion", "-", "-", "-", fft.library("cufftGetVersion", ctypes.byref(version)), data=version.value)


def simple(fft, shape, kind, number, batch):
    """cufftPlan…, and executions in place and not, both ways."""
    label, plan = "x".join(map(str, shape)), ctypes.c_int()
    many = (ctypes.c_int * len(shape))(*shape)
    name = "cufftPlanMany" if batch > 1 else f"cufftPlan{len(shape)}d"
    if batch > 1:
        status = fft.library(name, ctypes.byref(plan), len(shape), many, None, 1, 0, None, 1, 0, number, batch)
    else:
        status = fft.library(name, ctypes.byref(plan), *shape, number, *([1] if len(shape) == 1 else []))
    say(name, label, kind, batch, status)
    if status:
        return
    fft.sized("cufftGetSize", label, kind, batch, plan)
    for direction, in_place in itertools.product((-1, 1) if kind in ("C2C", "Z2Z") else (0,), (False, True)):
        fft.execute(plan, f"cufftExec{kind}", f"{label}/{direction}", kind, batch, math.prod(shape), [direction] if direction else [], in_place)
    fft.destroy(plan, label, kind, batch)


def made(fft, shape, kind, number, batch):
    """cufftCreate and cufftMakePlan…; the questions for sizes with a plan and without one. What a plan computes says that it is the right one."""
    label, rank = "x".join(map(str, shape)), len(shape)
    narrow, wide = (ctypes.c_int * rank)(*shape), (ctypes.c_longlong * rank)(*shape)
    i64 = ctypes.c_longlong
    more = [number] + ([batch] if rank == 1 else [])
    dense = [None, 1, 0, None, 1, 0]
    dense64 = [None, i64(1), i64(0), None, i64(1), i64(0)]
    in_type, out_type, execution = DATA[kind]
    typed = [None, i64(1), i64(0), in_type, None, i64(1), i64(0), out_type, i64(batch)]
    fft.sized(f"cufftEstimate{rank}d", label, kind, batch, *shape, *more)
    fft.sized("cufftEstimateMany", label, kind, batch, rank, narrow, *dense, number, batch)
    plan = fft.plan()
    fft.sized(f"cufftGetSize{rank}d", label, kind, batch, plan, *shape, *more)
    fft.sized("cufftGetSizeMany", label, kind, batch, plan, rank, narrow, *dense, number, batch)
    fft.sized("cufftGetSizeMany64", label, kind, batch, plan, rank, wide, *dense64, number, i64(batch))
    for name in ("cufftXtGetSizeMany",):
        work = size_t(77)
        status = fft.library(name, plan, rank, wide, *typed, ctypes.byref(work), execution)
        say(name, label, kind, batch, status, data=work.value if not status else "-")
    fft.destroy(plan, label, kind, f"{batch}/sizes")
    ways = {
        "cufftMakePlanMany": lambda plan, work: fft.library("cufftMakePlanMany", plan, rank, narrow, *dense, number, batch, work),
        "cufftMakePlanMany64": lambda plan, work: fft.library("cufftMakePlanMany64", plan, rank, wide, *dense64, number, i64(batch), work),
        "cufftXtMakePlanMany": lambda plan, work: fft.library("cufftXtMakePlanMany", plan, rank, wide, *typed, work, execution),
    }
    if batch == 1 or rank == 1:
        ways[f"cufftMakePlan{rank}d"] = lambda plan, work: fft.library(f"cufftMakePlan{rank}d", plan, *shape, *more, work)
    for name, make in ways.items():
        plan, work = fft.plan(), size_t(77)
        status = make(plan, ctypes.byref(work))
        say(name, label, kind, batch, status, data=work.value if not status else "-")
        if not status:
            direction = -1 if kind in ("C2C", "Z2Z") else 0
            computed = fft.execute(plan, f"cufftExec{kind}", f"{label}/{name}", kind, batch, math.prod(shape), [direction] if direction else [])
            say(name, label, kind, f"{batch}/executed", 0, data=computed)
            fft.execute(plan, "cufftXtExec", f"{label}/{name}", kind, batch, math.prod(shape), [-1 if kind[0] in "RDCZ" and kind[-1] in "CZ" else 1])
            fft.sized("cufftGetSize", f"{label}/{name}", kind, batch, plan)
        fft.destroy(plan, label, kind, f"{batch}/{name}")


def generic(fft):
    """Plans with distances between elements, and of half precision."""
    i64 = ctypes.c_longlong
    for name, wide in (("cufftMakePlanMany", False), ("cufftMakePlanMany64", True)):
        make = i64 if wide else ctypes.c_int
        extents, embed = (make * 2)(16, 12), (make * 2)(18, 14)
        for kind in ("C2C", "R2C", "Z2Z"):
            plan, work = fft.plan(), size_t(77)
            status = fft.library(name, plan, 2, extents, embed, make(2), make(600), embed, make(1), make(300), TYPES[kind], make(2), ctypes.byref(work))
            say(name, "strided", kind, 2, status, data=work.value if not status else "-")
            if not status:
                say(name, "strided", kind, "executed", 0, data=fft.execute(plan, f"cufftExec{kind}", f"strided/{name}", kind, 2, 2000, [-1] if kind != "R2C" else []))
            fft.destroy(plan, "strided", kind, name)
    for extent in (64, 60):
        plan, work, n = fft.plan(), size_t(77), (i64 * 1)(extent)
        in_type, out_type, execution = DATA["half"]
        status = fft.library("cufftXtMakePlanMany", plan, 1, n, None, i64(1), i64(0), in_type, None, i64(1), i64(0), out_type, i64(4), ctypes.byref(work), execution)
        say("cufftXtMakePlanMany", extent, "half", 4, status, data=work.value if not status else "-")
        if not status:
            for direction in (-1, 1):
                fft.execute(plan, "cufftXtExec", f"{extent}/{direction}", "half", 4, extent, [direction])
        fft.destroy(plan, extent, "half", 4)


def work_areas(fft):
    """Work areas of the program's, streams, policies and properties."""
    library = fft.library
    for automatic in (0, 1):
        plan, work = fft.plan(), size_t(77)
        say("cufftSetAutoAllocation", automatic, "-", "-", library("cufftSetAutoAllocation", plan, automatic))
        status = library("cufftMakePlan1d", plan, 100003, TYPES["C2C"], 2, ctypes.byref(work))
        say("cufftMakePlan1d", "own-area", automatic, "-", status, data=work.value if not status else "-")
        area = fft.device.put(b"\0" * max(work.value if not status else 0, 256))
        say("cufftSetWorkArea", automatic, "-", "-", library("cufftSetWorkArea", plan, ctypes.c_void_p(area)))
        fft.execute(plan, "cufftExecC2C", f"own-area/{automatic}", "C2C", 2, 100003, [-1])
        stream = ctypes.c_void_p()
        fft.device.cuda("cudaStreamCreate", ctypes.byref(stream))
        say("cufftSetStream", automatic, "-", "-", library("cufftSetStream", plan, stream))
        fft.execute(plan, "cufftExecC2C", f"stream/{automatic}", "C2C", 2, 100003, [1])
        fft.destroy(plan, "own-area", automatic)
        fft.device.free(area)
    for policy in range(-1, 4):
        plan, work, given = fft.plan(), size_t(77), size_t(1 << 20)
        say("cufftXtSetWorkAreaPolicy", policy, "-", "-", library("cufftXtSetWorkAreaPolicy", plan, policy, ctypes.byref(given)), data=given.value)
        status = library("cufftMakePlan2d", plan, 512, 500, TYPES["C2C"], ctypes.byref(work))
        say("cufftMakePlan2d", "policy", policy, "-", status, data=work.value if not status else "-")
        if not status:
            fft.execute(plan, "cufftExecC2C", f"policy/{policy}", "C2C", 1, 256000, [-1])
        fft.destroy(plan, "policy", policy)
    # Of a plan that is made: the area may be smaller, or the program's.
    for policy in range(-1, 4):
        plan, work, given = fft.plan(), size_t(77), size_t(1 << 20)
        library("cufftMakePlan2d", plan, 512, 500, TYPES["C2C"], ctypes.byref(work))
        status = library("cufftXtSetWorkAreaPolicy", plan, policy, ctypes.byref(given))
        say("cufftXtSetWorkAreaPolicy", policy, "made", "-", status, data=given.value)
        fft.sized("cufftGetSize", "policy", policy, "made", plan)
        area = fft.device.put(b"\0" * max(work.value, given.value, 1 << 20))
        say("cufftSetWorkArea", "policy", policy, "made", library("cufftSetWorkArea", plan, ctypes.c_void_p(area)))
        fft.execute(plan, "cufftExecC2C", f"policy/{policy}/made", "C2C", 1, 256000, [-1])
        fft.destroy(plan, "policy", policy, "made")
        fft.device.free(area)
    for which in range(-1, 5):
        plan, value = fft.plan(), ctypes.c_longlong(-7)
        say("cufftGetPlanPropertyInt64", which, "new", "-", library("cufftGetPlanPropertyInt64", plan, which, ctypes.byref(value)), data=value.value)
        for given in (0, 1, 7):
            say("cufftSetPlanPropertyInt64", which, given, "-", library("cufftSetPlanPropertyInt64", plan, which, ctypes.c_longlong(given)))
            status = library("cufftGetPlanPropertyInt64", plan, which, ctypes.byref(value))
            say("cufftGetPlanPropertyInt64", which, given, "-", status, data=value.value)
        say("cufftResetPlanProperty", which, "-", "-", library("cufftResetPlanProperty", plan, which))
        status = library("cufftGetPlanPropertyInt64", plan, which, ctypes.byref(value))
        say("cufftGetPlanPropertyInt64", which, "reset", "-", status, data=value.value)
        fft.destroy(plan, "property", which)


def refusals(fft):
    """What no plan can be made of, and plans that there are not."""
    library, plan, work = fft.library, ctypes.c_int(-1), size_t(77)
    for label, given in (("none", (0, 0x29, 1)), ("less", (-4, 0x29, 1)), ("type", (16, 0x99, 1)), ("batch", (16, 0x29, 0)), ("batches", (16, 0x29, -1))):
        say("cufftPlan1d", label, "-", "-", library("cufftPlan1d", ctypes.byref(plan), *given))
        fft.sized("cufftEstimate1d", label, "-", "-", *given)
    say("cufftPlan2d", "none", "-", "-", library("cufftPlan2d", ctypes.byref(plan), 0, 4, 0x29))
    say("cufftPlan3d", "none", "-", "-", library("cufftPlan3d", ctypes.byref(plan), 4, 0, 4, 0x29))
    four = (ctypes.c_int * 4)(4, 4, 4, 4)
    for rank in (0, 4, -1):
        say("cufftPlanMany", f"rank/{rank}", "-", "-", library("cufftPlanMany", ctypes.byref(plan), rank, four, None, 1, 0, None, 1, 0, 0x29, 1))
    say("cufftCreate", "nowhere", "-", "-", library("cufftCreate", None))
    nobody = ctypes.c_int(12345)
    say("cufftDestroy", "nobody", "-", "-", library("cufftDestroy", nobody))
    say("cufftSetStream", "nobody", "-", "-", library("cufftSetStream", nobody, None))
    say("cufftExecC2C", "nobody", "-", "-", library("cufftExecC2C", nobody, None, None, -1))
    say("cufftGetSize", "nobody", "-", "-", library("cufftGetSize", nobody, ctypes.byref(work)))
    empty = fft.plan()
    say("cufftExecC2C", "empty", "-", "-", library("cufftExecC2C", empty, None, None, -1))
    fft.sized("cufftGetSize", "empty", "-", "-", empty)
    fft.destroy(empty, "empty")


def several_gpus(fft):
    """What is asked of plans of several GPUs, where there is one."""
    library, nobody = fft.library, ctypes.c_int(12345)
    devices = (ctypes.c_int * 17)(*range(17))
    area = fft.device.put(b"\0" * 65536)
    for made in (False, True):
        plan, work = fft.plan(), size_t(77)
        if made:
            library("cufftMakePlan1d", plan, 64, TYPES["C2C"], 1, ctypes.byref(work))
        for which in (plan, nobody):
            label = "nobody" if which is nobody else f"made/{made}"
            for count in (-1, 0, 1, 17):
                say("cufftXtSetGPUs", label, count, "-", library("cufftXtSetGPUs", which, count, devices))
            say("cufftXtSetGPUs", label, "nowhere", "-", library("cufftXtSetGPUs", which, 2, None))
            say("cufftXtSetGPUs", label, "unknown", "-", library("cufftXtSetGPUs", which, 2, (ctypes.c_int * 2)(0, 99)))
            for query in (0, 1, 2):
                say("cufftXtQueryPlan", label, query, "-", library("cufftXtQueryPlan", which, ctypes.create_string_buffer(256), query))
            areas = (ctypes.c_void_p * 1)(area)
            say("cufftXtSetWorkArea", label, "-", "-", library("cufftXtSetWorkArea", which, areas))
            say("cufftXtSetWorkArea", label, "nowhere", "-", library("cufftXtSetWorkArea", which, None))
        if made:
            fft.execute(plan, "cufftExecC2C", "several-gpus", "C2C", 1, 64, [-1])
        fft.destroy(plan, "several-gpus", made)
    fft.device.free(area)


CALLBACK = r"""
#include <cuda_runtime.h>
extern "C" __device__ float2 half_of(void *data, unsigned long long at, void *info, void *shared) {
    float2 value = ((float2 *)data)[at];
    float factor = info ? *(float *)info : 0.5f;
    return make_float2(value.x * factor, value.y * factor);
}
"""


def lto_ir(device):
    """The load callback above as LTO-IR for the GPU, by the machine's nvcc; nothing where there is none."""
    generation = []
    # cudaDevAttrComputeCapabilityMajor and Minor.
    for attribute in (75, 76):
        value = ctypes.c_int()
        device.cuda("cudaDeviceGetAttribute", ctypes.byref(value), attribute, 0)
        generation.append(value.value)
    compiler = shutil.which("nvcc") or "/usr/local/cuda/bin/nvcc"
    with tempfile.TemporaryDirectory() as directory:
        source, made = pathlib.Path(directory, "callback.cu"), pathlib.Path(directory, "callback.fatbin")
        source.write_text(CALLBACK)
        try:
            done = subprocess.run([compiler, "-std=c++17", "-arch=lto_%d%d" % tuple(generation), "-dc", "-fatbin", "-o", str(made), str(source)], capture_output=True, timeout=60)
        except OSError:
            return b""
        return made.read_bytes() if done.returncode == 0 and made.exists() else b""


def callbacks(fft):
    """Callbacks: addresses, which the shared library refuses, and LTO-IR, with and without what it is given."""
    library, nobody = fft.library, ctypes.c_int(12345)
    image = lto_ir(fft.device)
    factor = fft.device.put(struct.pack("<f", 0.25).ljust(16, b"\0"))
    info = (ctypes.c_void_p * 1)(factor)
    junk = ctypes.create_string_buffer(64)
    # CUDA 12 has another name for it.
    jit = "cufftXtSetJITCallback"
    for label, plan in (("new", fft.plan()), ("nobody", nobody)):
        for kind in (-1, 0, 4, 7, 8, 9):
            say("cufftXtSetCallback", label, kind, "-", library("cufftXtSetCallback", plan, (ctypes.c_void_p * 1)(64), kind, info))
            say("cufftXtClearCallback", label, kind, "-", library("cufftXtClearCallback", plan, kind))
            say("cufftXtSetCallbackSharedSize", label, kind, "-", library("cufftXtSetCallbackSharedSize", plan, kind, size_t(64)))
        # Of a type that has none, where another has one, cuFFT cannot be asked.
        for kind in (-1, 0, 4, 7, 8, 9):
            say(jit, label, kind, "junk", library(jit, plan, b"half_of", junk, size_t(64), kind, info))
        for what, given in (("empty", (b"f", junk, size_t(0), 0, info)), ("nowhere", (b"f", None, size_t(64), 0, info)), ("nameless", (None, junk, size_t(64), 0, info))):
            say(jit, label, what, "-", library(jit, plan, *given))
    for what, given, name in (("given", info, b"half_of"), ("none", None, b"half_of"), ("unknown", None, b"nothing")):
        for size, batch in ((64, 3), (100, 1)) if image else ():
            plan, work = fft.plan(), size_t(77)
            # cuFFT reads it when the plan is made.
            kept = ctypes.create_string_buffer(image, len(image))
            say(jit, what, size, batch, library(jit, plan, name, kept, size_t(len(image)), 0, given))
            status = library("cufftMakePlan1d", plan, size, TYPES["C2C"], batch, ctypes.byref(work))
            say(jit, what, size, f"{batch}/made", status, data=work.value if not status else "-")
            # Before, cuFFT does not come back from it.
            say("cufftXtSetCallbackSharedSize", what, size, batch, library("cufftXtSetCallbackSharedSize", plan, 0, size_t(1024)))
            if not status:
                computed = fft.execute(plan, "cufftExecC2C", f"callback/{what}", "C2C", batch, size, [-1])
                say(jit, what, size, f"{batch}/executed", 0, data=computed)
            say(jit, what, size, f"{batch}/late", library(jit, plan, name, kept, size_t(len(image)), 0, given))
            fft.destroy(plan, f"callback/{what}", size, batch)
    fft.device.free(factor)


def inside_kernels(fft):
    """Transforms inside of kernels: what the library's database tells of them."""
    library, number = fft.library, ctypes.c_int
    version = [number(-7) for _ in range(3)]
    say("cufftDeviceGetVersion", "-", "-", "-", library("cufftDeviceGetVersion", ctypes.byref(version[0])), data=version[0].value)
    status = library("cufftDeviceGetSemanticVersion", *map(ctypes.byref, version))
    say("cufftDeviceGetSemanticVersion", "-", "-", "-", status, data="/".join(str(part.value) for part in version))
    described = []
    for label, traits in (("C2C", (64, 0, 0, 0, 900)), ("R2C", (128, 0, 0, 2, 900)), ("odd", (4099, 1, 1, 0, 900)), ("wrong", (-3, 7, 9, 9, 1))):
        description = number(-7)
        say("cufftDescriptionCreate", label, "-", "-", library("cufftDescriptionCreate", ctypes.byref(description)))
        for trait, value in enumerate(traits):
            told = ctypes.c_longlong(-7)
            say("cufftDescriptionSetTraitInt64", label, trait, "-", library("cufftDescriptionSetTraitInt64", description, trait, ctypes.c_longlong(value)))
            say("cufftDescriptionGetTraitInt64", label, trait, "-", library("cufftDescriptionGetTraitInt64", description, trait, ctypes.byref(told)), data=told.value)
        described.append((label, description))
        one, handle, answer = (number * 1)(description.value), number(-7), ctypes.c_bool(False)
        status = library("cufftDeviceCreate", ctypes.byref(handle), size_t(1), one)
        say("cufftDeviceCreate", label, "-", "-", status)
        say("cufftDeviceIsSupported", label, "-", "-", library("cufftDeviceIsSupported", handle, description, ctypes.byref(answer)), data=answer.value)
        count = size_t(0)
        say("cufftDeviceGetNumDeviceFunctions", label, "-", "-", library("cufftDeviceGetNumDeviceFunctions", handle, description, ctypes.byref(count)), data=count.value)
        found = (number * max(count.value, 1))()
        status = library("cufftDeviceGetDeviceFunctions", handle, description, count, found)
        say("cufftDeviceGetDeviceFunctions", label, "-", "-", status, data=len(found) if not status else "-")
        for trait in range(7):
            told = ctypes.c_longlong(-7)
            status = library("cufftDeviceGetDeviceFunctionTraitInt64", handle, found[0], trait, ctypes.byref(told))
            say("cufftDeviceGetDeviceFunctionTraitInt64", label, trait, "-", status, data=told.value)
        for which, function in (("all", number(-1)), ("first", number(found[0]))):
            length = size_t(0)
            say("cufftDeviceGetDatabaseStrSize", label, which, "-", library("cufftDeviceGetDatabaseStrSize", handle, ctypes.byref(length), function), data=length.value)
            text = ctypes.create_string_buffer(max(length.value, 1))
            status = library("cufftDeviceGetDatabaseStr", handle, length, text, function)
            say("cufftDeviceGetDatabaseStr", label, which, "-", status, data=digest(text.raw))
            say("cufftDeviceGetNumLTOIRs", label, which, "-", library("cufftDeviceGetNumLTOIRs", handle, ctypes.byref(count), function), data=count.value)
            sizes = (size_t * max(count.value, 1))()
            status = library("cufftDeviceGetLTOIRSizes", handle, count, sizes, function)
            say("cufftDeviceGetLTOIRSizes", label, which, "-", status, data="/".join(map(str, sizes)))
        say("cufftDeviceDestroy", label, "-", "-", library("cufftDeviceDestroy", handle))
    for label, description in described:
        say("cufftDescriptionDestroy", label, "-", "-", library("cufftDescriptionDestroy", description))
    say("cufftDescriptionDestroy", "nobody", "-", "-", library("cufftDescriptionDestroy", number(9999)))
