#!/usr/bin/env python3
"""Every function of a compute library on the same random inputs, natively (twice) and through GVirtuS: status and every byte of every operand must be the same.

    python3 library_functions.py cublas|cublaslt|cufft|curand --native DIR --home HOME [--device cuda] [--out FILE]

DIR holds NVIDIA's libraries for CUDA 13 (libcublas.so.13, libcublasLt.so.13, libcufft.so.12, libcurand.so.10, libcudart.so.13), several directories with colons between; HOME is an installation of GVirtuS. The functions' parameters of cuBLAS come from the table that our
library is made of (wire/src/api/cublas.rs). Functions whose native runs differ from one another are counted apart.
"""
import argparse
import ctypes
import datetime
import hashlib
import json
import os
import pathlib
import re
import struct
import subprocess
import sys
import tempfile
import time

ORDER, LEADING, BATCH = 24, 32, 3
ELEMENTS = LEADING * LEADING * (BATCH + 1)
SIZES = {0: 4, 1: 8, 2: 2, 4: 8, 5: 16, 14: 2}
LETTERS = {"S": 0, "D": 1, "H": 2, "C": 4, "Z": 5}


def table(path):
    """Class, name and parameters (name, mode, argument) of every declaration."""
    row = re.compile(r"^\s+(\w+) \[([\d ]*)\] fn (\w+)\((.*)\);$")
    parameter = re.compile(r"(\w+): (\w+)(?:\(([^)]*)\))?")
    for line in pathlib.Path(path).read_text().splitlines():
        found = row.match(line)
        if found:
            yield found[1], found[3], parameter.findall(found[4])


class Numbers:
    """The same sequence on every machine."""

    def __init__(self, text):
        self.state = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") | 1

    def next(self):
        x = self.state
        x ^= (x << 13) & (1 << 64) - 1
        x ^= x >> 7
        x ^= (x << 17) & (1 << 64) - 1
        self.state = x
        return x

    def real(self):
        return (self.next() % 2001 - 1000) / 1000


def pack(data_type, values):
    if data_type in (1, 5):
        return struct.pack(f"<{len(values)}d", *values)
    if data_type == 2:
        return struct.pack(f"<{len(values)}e", *values)
    if data_type == 14:
        words = struct.unpack(f"<{len(values)}I", struct.pack(f"<{len(values)}f", *values))
        return struct.pack(f"<{len(values)}H", *(w >> 16 for w in words))
    return struct.pack(f"<{len(values)}f", *values)


def matrix(data_type, numbers):
    """Columns of LEADING elements; the diagonal is large, so that solutions are tame."""
    per = 2 if data_type in (4, 5) else 1
    values = []
    for at in range(ELEMENTS):
        i, j = at % LEADING, at // LEADING % LEADING
        for part in range(per):
            values.append(numbers.real() + (8.0 if i == j and part == 0 else 0.0))
    return pack(data_type, values)


class Device:
    def __init__(self):
        self.runtime = ctypes.CDLL("libcudart.so.13")

    def cuda(self, name, *arguments):
        status = getattr(self.runtime, name)(*arguments)
        if status:
            sys.exit(f"{name}: CUDA error {status}")

    def put(self, data):
        at = ctypes.c_void_p()
        self.cuda("cudaMalloc", ctypes.byref(at), ctypes.c_size_t(max(len(data), 16)))
        self.cuda("cudaMemcpy", at, data, ctypes.c_size_t(len(data)), 1)
        return at.value

    def get(self, at, size):
        data = ctypes.create_string_buffer(size)
        self.cuda("cudaMemcpy", data, ctypes.c_void_p(at), ctypes.c_size_t(size), 2)
        return data.raw

    def free(self, at):
        self.cuda("cudaFree", ctypes.c_void_p(at))


def element_type(name):
    """The type of a function's matrices, by its name."""
    for start, data_type in (("cublasScnrm2", 4), ("cublasScasum", 4), ("cublasDznrm2", 5), ("cublasDzasum", 5), ("cublasHSH", 2), ("cublasHSS", 2), ("cublasTST", 14), ("cublasTSS", 14)):
        if name.startswith(start):
            return data_type
    found = re.match(r"cublasI?([sdczSDCZH])", name)
    return LETTERS[found[1].upper()] if found else 0


def variants(name, parameters):
    """What the functions with types are called with: type of operands, of results, compute type."""
    if any(mode == "kind" for _, mode, _ in parameters):
        if any(p == "computeType" for p, _, _ in parameters):
            return [(0, 0, 68), (2, 2, 68), (2, 0, 68), (14, 14, 68), (14, 0, 68), (1, 1, 70), (4, 4, 68), (5, 5, 70), (0, 0, 77), (2, 2, 64)]
        own = element_type(name) if re.match(r"cublas[SDCZ][a-z]", name) and "Ex" in name and not re.match(r"cublas(Scal|Dot|Swap|Copy|Asum|Axpy|Rot)", name) else None
        return [(own, own, 0)] if own is not None else [(0, 0, 0), (1, 1, 1), (4, 4, 4), (5, 5, 5), (2, 2, 0)]
    return [(element_type(name), element_type(name), 0)]


def one(device, handle, name, parameters, types, host_scalars, turn):
    operand, result, execution = types
    numbers = Numbers(f"{name} {types} {turn}")
    wide = name.endswith("_64")
    base = name[:-3] if wide else name
    hermitian = re.search(r"her|hem", base) is not None
    batched = "Batched" in base and "Strided" not in base
    blocks, outs, keep, arguments = [], [], [], []
    integers = {
        "m": ORDER, "n": ORDER, "k": ORDER if "gb" not in base and "sb" not in base and "hb" not in base and "tb" not in base else 3,
        "kl": 3, "ku": 2, "nrhs": ORDER, "batchCount": BATCH, "batchSize": BATCH, "group_count": 2,
        "incx": 1 + turn, "incy": 1 + turn, "uplo": turn, "side": turn, "diag": turn, "mode": turn,
        "trans": 0 if not turn else (2 if hermitian else 1), "transa": turn, "transb": 1 - turn,
    }
    if "gels" in base:
        integers["trans"] = 0
    if "getr" in base and not turn:
        integers["n"] = 8

    def block(data):
        at = device.put(data)
        blocks.append((at, len(data)))
        return at

    def pointers(make):
        parts = [block(make()) for _ in range(BATCH + 1)]
        return block(struct.pack(f"<{len(parts)}Q", *parts)), parts

    def scalar_type(argument):
        if argument.isdigit():
            return {2: 2, 4: 0, 8: 1 if element_type(name) in (1, 5) else 4, 16: 5, 20: 0, 40: 1}[int(argument)], int(argument)
        words = argument.split()
        if len(words) == 2 and words[0] == "computeType":
            compute_type = {64: 2, 68: 0, 77: 0, 70: 1}[execution]
            data_type = {0: 4, 1: 5}.get(compute_type, compute_type) if result in (4, 5) else compute_type
            return data_type, SIZES[data_type]
        times = int(words[0]) if words[0].isdigit() else 1
        which = {"csType": operand if operand not in (4, 5) else operand - 4, "alphaType": execution if operand == 2 else operand}
        data_type = which.get(words[-1], result if operand != 2 else 2)
        if words[-1] == "resultType" and re.search(r"Nrm2|Asum", name) and operand in (4, 5):
            data_type = operand - 4
        return data_type, times * SIZES[data_type]

    types_given = {}
    for parameter, mode, argument in parameters:
        if mode in ("scalar", "result", "inout") and not argument.isdigit() and "omputeType" not in argument:
            types_given[argument.split()[-1]] = scalar_type(argument)[0]
    for parameter, mode, argument in parameters:
        if mode == "handle":
            arguments.append(ctypes.c_void_p(handle))
        elif mode == "kind":
            lower = parameter.lower()
            if parameter in types_given:
                value = types_given[parameter]
            elif lower == "computetype":
                value = execution
            elif lower == "executiontype":
                value = execution
            elif lower == "algo":
                value = -1
            else:
                value = result if parameter in ("Ctype", "resultType") else operand
            arguments.append(ctypes.c_int(value))
        elif mode in ("i32", "i64"):
            value = integers.get(parameter)
            if value is None:
                value = LEADING * LEADING if parameter.lower().startswith("stride") else LEADING
            if parameter in ("lda",) and base.endswith("getrfBatched"):
                value = LEADING
            arguments.append((ctypes.c_int64 if mode == "i64" else ctypes.c_int)(value))
        elif mode == "dev":
            data_type = result if parameter.lower().startswith("c") else operand
            integer = parameter in ("info", "P", "devIpiv", "devInfoArray")
            if integer:
                arguments.append(ctypes.c_void_p(block(struct.pack(f"<{ORDER * (BATCH + 1)}i", *(i % integers["n"] + 1 for i in range(ORDER * (BATCH + 1)))))))
            elif batched:
                at, _ = pointers(lambda: matrix(data_type, numbers)[: LEADING * LEADING * SIZES[data_type]])
                arguments.append(ctypes.c_void_p(at))
            else:
                arguments.append(ctypes.c_void_p(block(matrix(data_type, numbers))))
        elif mode in ("scalar", "result", "inout"):
            data_type, size = scalar_type(argument)
            count = size // {0: 4, 1: 8, 2: 2, 4: 4, 5: 8, 14: 2}[data_type]
            data = pack(data_type, [numbers.real() for _ in range(count)]).ljust(size, b"\0")
            if parameter == "param":
                # A flag: full, or (for turns) with an implicit diagonal.
                data = pack(data_type, [-1.0 if not turn else 0.0]) + data[size // 5 :]
            if host_scalars:
                memory = ctypes.create_string_buffer(data, size)
                keep.append(memory)
                if mode != "scalar":
                    outs.append(memory)
                arguments.append(memory)
            else:
                arguments.append(ctypes.c_void_p(block(data)))
        elif mode == "host_in":
            _, size = argument.split(";")
            size = size.strip()
            if parameter.startswith(("alpha", "beta")):
                data_type, each = scalar_type(size)
                data = pack(data_type, [numbers.real() for _ in range(2 * each // {0: 4, 1: 8, 2: 2, 4: 4, 5: 8, 14: 2}[data_type])])
            else:
                value = {"group_size": 2, "transa_array": 0, "transb_array": 1}.get(parameter, ORDER if parameter[0] in "mnk" else LEADING)
                data = struct.pack("<2q" if size == "8" else "<2i", value, value)
            memory = ctypes.create_string_buffer(data, len(data))
            keep.append(memory)
            arguments.append(memory)
        elif mode == "host_out":
            memory = ctypes.create_string_buffer(4)
            outs.append(memory)
            arguments.append(memory)
        else:
            arguments.append(ctypes.c_void_p(0))
    device.blas.cublasSetPointerMode_v2(ctypes.c_void_p(handle), 0 if host_scalars else 1)
    status = getattr(device.blas, name)(*arguments)
    # What an asynchronous call ran into.
    if later := device.runtime.cudaDeviceSynchronize():
        status = f"{status}/cuda{later}"
    digest = hashlib.sha256()
    addresses = {struct.pack("<Q", at) for at, _ in blocks}
    for at, size in blocks:
        data = device.get(at, size)
        # Arrays of pointers differ from run to run.
        if data[:8] not in addresses:
            digest.update(data)
    for memory in outs:
        digest.update(memory.raw)
    for at, _ in blocks:
        device.free(at)
    return status, digest.hexdigest()[:24]


def cufft(device):
    """Plans of rank 1 to 3, complex and real, both precisions, both ways, in place and not."""
    fft = ctypes.CDLL("libcufft.so.12")
    types = {"C2C": 0x29, "R2C": 0x2A, "C2R": 0x2C, "Z2Z": 0x69, "D2Z": 0x6A, "Z2D": 0x6C}
    for shape in ((4096,), (1000,), (17,), (64, 48), (31, 50), (16, 12, 20), (7, 9, 10)):
        for kind, number in types.items():
            for batch in (1, 3):
                many = (ctypes.c_int * len(shape))(*shape)
                plan, work = ctypes.c_int(), ctypes.c_size_t()
                name = "cufftPlanMany" if batch > 1 else f"cufftPlan{len(shape)}d"
                if batch > 1:
                    status = fft.cufftPlanMany(ctypes.byref(plan), len(shape), many, None, 1, 0, None, 1, 0, number, batch)
                else:
                    status = getattr(fft, name)(ctypes.byref(plan), *shape, number, *([1] if len(shape) == 1 else []))
                size = fft.cufftGetSize(plan, ctypes.byref(work))
                print(name, "x".join(map(str, shape)), kind, batch, status, f"{size}/{work.value}", flush=True)
                if status:
                    continue
                total = batch
                for extent in shape:
                    total *= extent
                numbers = Numbers(f"{shape} {kind} {batch}")
                data = matrix(1 if kind[0] in "ZD" else 0, numbers)
                room = total * 16 * 2 + 65536
                data = (data * (room // len(data) + 1))[:room]
                for direction in (-1, 1) if kind in ("C2C", "Z2Z") else (0,):
                    for in_place in (False, True):
                        source, target = device.put(data), device.put(b"\0" * room)
                        if in_place:
                            device.free(target)
                            target = source
                        call = getattr(fft, f"cufftExec{kind}")
                        extra = [direction] if direction else []
                        status = call(plan, ctypes.c_void_p(source), ctypes.c_void_p(target), *extra)
                        later = device.runtime.cudaDeviceSynchronize()
                        digest = hashlib.sha256(device.get(target, room)).hexdigest()[:24]
                        print(f"cufftExec{kind}", "x".join(map(str, shape)), f"{direction}/{in_place}", batch, f"{status}/{later}" if later else status, digest, flush=True)
                        device.free(source)
                        if not in_place:
                            device.free(target)
                print("cufftDestroy", "x".join(map(str, shape)), kind, batch, fft.cufftDestroy(plan), "-", flush=True)


def curand(device):
    """Every generator's numbers of every kind, on the device and on the host, from the beginning, behind an offset, and going on."""
    rand = ctypes.CDLL("libcurand.so.10")
    void, size, u64, f32, f64 = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_ulonglong, ctypes.c_float, ctypes.c_double
    kinds = {"XORWOW": 101, "MRG32K3A": 121, "MTGP32": 141, "MT19937": 142, "PHILOX": 161, "SOBOL32": 201, "SCRAMBLED32": 202, "SOBOL64": 203, "SCRAMBLED64": 204}
    made = {
        "curandGenerate": (4, ()), "curandGenerateLongLong": (8, ()), "curandGenerateUniform": (4, ()), "curandGenerateUniformDouble": (8, ()),
        "curandGenerateNormal": (4, (f32(1.5), f32(2.0))), "curandGenerateNormalDouble": (8, (f64(1.5), f64(2.0))),
        "curandGenerateLogNormal": (4, (f32(0.5), f32(0.25))), "curandGenerateLogNormalDouble": (8, (f64(0.5), f64(0.25))), "curandGeneratePoisson": (4, (f64(4.5),)),
    }

    def digest(data):
        return hashlib.sha256(data).hexdigest()[:24]

    def say(name, where, kind, detail, *results, data="-"):
        print(name, where, kind, detail, "/".join(map(str, results)) if any(results) else 0, data, flush=True)

    for kind, number in kinds.items():
        for where in ("curandCreateGenerator", "curandCreateGeneratorHost"):
            host = where.endswith("Host")
            if host and kind == "MT19937":
                # Its host generator takes minutes to start.
                continue
            settings = [("plain", [])]
            if number < 200:
                settings += [("seed", [("curandSetPseudoRandomGeneratorSeed", u64(123456789012345))])]
                settings += [(f"order{order}", [("curandSetGeneratorOrdering", ctypes.c_int(order))]) for order in (100, 102, 103, 104, 201)]
            else:
                settings += [("dimensions", [("curandSetQuasiRandomGeneratorDimensions", ctypes.c_uint(500))]), ("order101", [("curandSetGeneratorOrdering", ctypes.c_int(101))])]
            if host:
                settings = settings[:1]
            settings += [("offset", [("curandSetGeneratorOffset", u64(100003))])]
            for setting, calls in settings:
                for name, (width, extra) in made.items():
                    if setting not in ("plain", "offset") and name not in ("curandGenerate", "curandGenerateLongLong", "curandGenerateNormalDouble"):
                        continue
                    generator, which = void(), f"{setting}/{name}"
                    say(where, "-", kind, which, getattr(rand, where)(ctypes.byref(generator), number))
                    for setter, value in calls:
                        say(setter, where, kind, which, getattr(rand, setter)(generator, value))
                    say("curandSetStream", where, kind, which, rand.curandSetStream(generator, void(0)))
                    if setting == "seed":
                        say("curandGenerateSeeds", where, kind, which, rand.curandGenerateSeeds(generator))
                    # An even count that is many times each generator's threads, and then an odd one.
                    for count in (300000, 4999, 500):
                        if host:
                            memory = ctypes.create_string_buffer(count * width)
                            results = [getattr(rand, name)(generator, memory, size(count), *extra)]
                            result = memory.raw
                        else:
                            at = device.put(b"\0" * (count * width))
                            results = [getattr(rand, name)(generator, void(at), size(count), *extra), device.runtime.cudaDeviceSynchronize()]
                            result = device.get(at, count * width)
                            device.free(at)
                        say(name, where, kind, f"{setting}/{count}", *results, data=digest(result))
                    say("curandDestroyGenerator", where, kind, which, rand.curandDestroyGenerator(generator))
    for name, chosen, length in (("curandGetDirectionVectors32", (101, 102, 103), 2560000), ("curandGetDirectionVectors64", (103, 104, 101), 10240000), ("curandGetScrambleConstants32", (), 80000), ("curandGetScrambleConstants64", (), 160000)):
        for which in chosen or (None,):
            table = void()
            status = getattr(rand, name)(ctypes.byref(table), *([] if which is None else [ctypes.c_int(which)]))
            say(name, which, "-", "-", status, data=digest(ctypes.string_at(table, length)) if not status else "-")
    for mean in (0.5, 100.0, 3000.0, 0.0):
        distribution = void()
        status = rand.curandCreatePoissonDistribution(f64(mean), ctypes.byref(distribution))
        say("curandCreatePoissonDistribution", mean, "-", "-", status)
        if not status:
            say("curandDestroyDistribution", mean, "-", "-", rand.curandDestroyDistribution(distribution))
    version, value = ctypes.c_int(), ctypes.c_int()
    say("curandGetVersion", "-", "-", "-", rand.curandGetVersion(ctypes.byref(version)), data=version.value)
    for which in range(4):
        say("curandGetProperty", which, "-", "-", rand.curandGetProperty(which, ctypes.byref(value)), data=value.value)


def cublaslt(device):
    """Descriptors of every kind with every attribute, algorithms and heuristics, products of many types with epilogues, batches and algorithms, transforms."""
    lt = ctypes.CDLL("libcublasLt.so.13")
    void, size, i32, i64, u64 = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int64, ctypes.c_uint64
    lt.cublasLtGetVersion.restype = lt.cublasLtGetCudartVersion.restype = size
    lt.cublasLtGetStatusName.restype = lt.cublasLtGetStatusString.restype = ctypes.c_char_p

    def say(name, where, kind, detail, *results, data="-"):
        print(name, where, kind, detail, "/".join(map(str, results)) if any(results) else 0, data, flush=True)

    def call(name, *arguments):
        return getattr(lt, name)(*arguments)

    def make(name, *arguments):
        made = void()
        return call(name, ctypes.byref(made), *arguments), made

    def put(kind, descriptor, attribute, value):
        return call(f"cublasLt{kind}SetAttribute", descriptor, attribute, ctypes.byref(value), size(ctypes.sizeof(value)))

    kinds = {"MatrixLayout": (i32(0), u64(30), u64(20), i64(32)), "MatmulDesc": (i32(68), i32(0)), "MatrixTransformDesc": (i32(0),), "MatmulPreference": (), "EmulationDesc": ()}
    for kind, given in kinds.items():
        status, descriptor = make(f"cublasLt{kind}Create", *given)
        say(f"cublasLt{kind}Create", "-", "-", "-", status)
        for attribute in range(-1, 48):
            for width in (0, 1, 2, 4, 8):
                memory, written = ctypes.create_string_buffer(b"\x11" * 16, 16), size(99)
                status = call(f"cublasLt{kind}GetAttribute", descriptor, attribute, memory, size(width), ctypes.byref(written))
                say(f"cublasLt{kind}GetAttribute", attribute, width, "-", status, data=f"{memory.raw.hex()}/{written.value}")
                if width:
                    status = call(f"cublasLt{kind}SetAttribute", descriptor, attribute, ctypes.create_string_buffer(b"\x01\0\0\0\0\0\0\0", 8), size(width))
                    say(f"cublasLt{kind}SetAttribute", attribute, width, "-", status)
                    status = call(f"cublasLt{kind}GetAttribute", descriptor, attribute, memory, size(width), ctypes.byref(written))
                    say(f"cublasLt{kind}GetAttribute", attribute, width, "set", status, data=memory.raw.hex())
        say(f"cublasLt{kind}Destroy", "-", "-", "-", call(f"cublasLt{kind}Destroy", descriptor))
        # In the program's memory, and through it.
        room = ctypes.create_string_buffer(256)
        for width in (8, 256):
            status = call(f"cublasLt{kind}Init_internal", room, size(width), *given)
            value = ctypes.create_string_buffer(8)
            status2 = call(f"cublasLt{kind}GetAttribute", room, 0, value, size(4), None) if not status else 0
            say(f"cublasLt{kind}Init_internal", width, "-", "-", status, status2, data=value.raw.hex() if not status else "-")

    for code in range(20):
        say("cublasLtGetStatusName", code, "-", "-", 0, data=lt.cublasLtGetStatusName(code).decode().replace(" ", "_"))
        say("cublasLtGetStatusString", code, "-", "-", 0, data=lt.cublasLtGetStatusString(code).decode().replace(" ", "_"))
    say("cublasLtGetVersion", "-", "-", "-", 0, data=lt.cublasLtGetVersion())
    say("cublasLtGetCudartVersion", "-", "-", "-", 0, data=lt.cublasLtGetCudartVersion())
    for which in range(4):
        value = i32(-1)
        say("cublasLtGetProperty", which, "-", "-", call("cublasLtGetProperty", which, ctypes.byref(value)), data=value.value)
    for name, given in (("Level", i32(0)), ("Level", i32(-1)), ("Mask", i32(0)), ("Callback", void(0)), ("File", void(0))):
        say(f"cublasLtLoggerSet{name}", given.value, "-", "-", call(f"cublasLtLoggerSet{name}", given))
    say("cublasLtLoggerForceDisable", "-", "-", "-", call("cublasLtLoggerForceDisable"))

    status, handle = make("cublasLtCreate")
    say("cublasLtCreate", "-", "-", "-", status)
    capacity = size()
    for wanted in (None, 100, 5000):
        if wanted is not None:
            say("cublasLtHeuristicsCacheSetCapacity", wanted, "-", "-", call("cublasLtHeuristicsCacheSetCapacity", size(wanted)))
        say("cublasLtHeuristicsCacheGetCapacity", wanted, "-", "-", call("cublasLtHeuristicsCacheGetCapacity", ctypes.byref(capacity)), data=capacity.value)

    # Compute type, scale type, A, B, C and D.
    combinations = [(68, 0, 0, 0, 0, 0), (77, 0, 0, 0, 0, 0), (70, 1, 1, 1, 1, 1), (68, 0, 2, 2, 2, 2), (68, 0, 2, 2, 0, 0), (68, 0, 14, 14, 14, 14), (68, 0, 14, 14, 0, 0), (64, 2, 2, 2, 2, 2), (68, 4, 4, 4, 4, 4), (70, 5, 5, 5, 5, 5), (68, 0, 28, 28, 14, 14)]
    for compute, scale, *types in combinations:
        label = "/".join(map(str, (compute, scale, *types)))
        numbers, count = (i32 * 64)(), i32(-1)
        status = call("cublasLtMatmulAlgoGetIds", handle, compute, scale, *types, 64, numbers, ctypes.byref(count))
        found = list(numbers[: max(count.value, 0)])
        say("cublasLtMatmulAlgoGetIds", label, "-", "-", status, data=hashlib.sha256(bytes(str(found), "ascii")).hexdigest()[:24])
        for number in found[:3]:
            algorithm, written = ctypes.create_string_buffer(64), size()
            status = call("cublasLtMatmulAlgoInit", handle, compute, scale, *types, number, algorithm)
            say("cublasLtMatmulAlgoInit", label, number, "-", status, data=algorithm.raw.hex())
            for attribute in range(24):
                memory = ctypes.create_string_buffer(4096)
                for width in (0, 4, 8, 4096):
                    written = size(77)
                    status = call("cublasLtMatmulAlgoCapGetAttribute", algorithm, attribute, memory, size(width), ctypes.byref(written))
                    say("cublasLtMatmulAlgoCapGetAttribute", label, number, f"{attribute}/{width}", status, data=f"{hashlib.sha256(memory.raw).hexdigest()[:16]}/{written.value if not status else '-'}")
            for attribute, width in ((1, 4), (2, 4), (3, 4), (4, 4), (5, 4), (6, 4), (7, 2), (8, 2), (0, 4), (9, 4)):
                status = call("cublasLtMatmulAlgoConfigSetAttribute", algorithm, attribute, ctypes.create_string_buffer(b"\x01\0\0\0", 4), size(width))
                say("cublasLtMatmulAlgoConfigSetAttribute", label, number, attribute, status, data=algorithm.raw.hex())
                memory = ctypes.create_string_buffer(8)
                status = call("cublasLtMatmulAlgoConfigGetAttribute", algorithm, attribute, memory, size(width), ctypes.byref(written))
                say("cublasLtMatmulAlgoConfigGetAttribute", label, number, attribute, status, data=memory.raw.hex())

    workspace = device.put(b"\0" * (4 << 20))
    elements = {0: 4, 1: 8, 2: 2, 4: 8, 5: 16, 14: 2, 28: 1}
    for compute, scale, *types in combinations:
        label = "/".join(map(str, (compute, scale, *types)))
        # Orders of A and B, epilogue, batch, pointer mode, shape.
        variants = [(0, 0, 1, 1, 0, (64, 48, 32)), (1, 0, 1, 1, 0, (128, 64, 96)), (1, 1, 1, 3, 0, (33, 17, 25)), (0, 1, 4, 1, 0, (64, 64, 64)), (1, 0, 6, 1, 0, (64, 128, 256)), (1, 0, 36, 1, 0, (64, 64, 64)), (1, 0, 1, 1, 1, (512, 256, 128))]
        for ta, tb, epilogue, batch, mode, (m, n, k) in variants:
            detail = f"{ta}{tb}/{epilogue}/{batch}/{mode}/{m}x{n}x{k}"
            numbers = Numbers(label + detail)

            def operand(data_type, count):
                per = 2 if data_type in (4, 5) else 1
                if data_type == 28:
                    return bytes((numbers.next() % 64) for _ in range(count))
                return pack(data_type, [numbers.real() for _ in range(count * per)])

            _, operation = make("cublasLtMatmulDescCreate", compute, scale)
            for attribute, value in ((3, i32(ta)), (4, i32(tb)), (7, ctypes.c_uint(epilogue)), (2, i32(mode))):
                put("MatmulDesc", operation, attribute, value)
            shapes = [(k, m) if ta else (m, k), (n, k) if tb else (k, n), (m, n), (m, n)]
            blocks, layouts = [], []
            for data_type, (rows, columns) in zip(types, shapes):
                data = operand(data_type, rows * columns * batch)
                blocks.append((device.put(data), len(data)))
                _, layout = make("cublasLtMatrixLayoutCreate", data_type, u64(rows), u64(columns), i64(rows))
                put("MatrixLayout", layout, 5, i32(batch))
                put("MatrixLayout", layout, 6, i64(rows * columns))
                layouts.append(layout)
            bias = device.put(operand(types[3], m))
            if epilogue & 4:
                put("MatmulDesc", operation, 8, u64(bias))
            scalar = 1 if compute == 70 else 2 if compute == 64 else 0
            width = {4: 2, 5: 2}.get(scale, 1)
            factors = [pack(scalar, [numbers.real() for _ in range(width)]) for _ in range(2)]
            alpha, beta = (void(device.put(f)) for f in factors) if mode else (ctypes.create_string_buffer(f) for f in factors)
            _, preference = make("cublasLtMatmulPreferenceCreate")
            put("MatmulPreference", preference, 1, u64(4 << 20))
            results = {}
            for name, extra in (("cublasLtMatmulAlgoGetHeuristic", ()), ("cublasLtMatmulAlgoGetHeuristicForStream", (void(0),))):
                found, count = ctypes.create_string_buffer(96 * 4), i32(-1)
                status = call(name, handle, operation, *layouts, preference, 4, found, ctypes.byref(count), *extra)
                used = max(count.value, 0) if not status else 0
                # What is reserved at the end of a result means nothing.
                told = b"".join(found.raw[96 * i : 96 * i + 80] for i in range(used))
                say(name, label, "-", detail, status, data=f"{used}/{hashlib.sha256(told).hexdigest()[:24]}")
                results[name] = [found.raw[96 * i : 96 * i + 64] for i in range(used)]
            for number, algorithm in enumerate([None] + results["cublasLtMatmulAlgoGetHeuristic"][:3]):
                if algorithm:
                    for name, extra in (("cublasLtMatmulAlgoCheck", ()), ("cublasLtMatmulAlgoCheckForStream", (void(0),))):
                        checked = ctypes.create_string_buffer(96)
                        status = call(name, handle, operation, *layouts, algorithm, checked, *extra)
                        say(name, label, number, detail, status, data=checked.raw[:80].hex() if not status else "-")
                for again in range(2):
                    device.cuda("cudaMemset", void(blocks[3][0]), 0, size(blocks[3][1]))
                    status = call("cublasLtMatmul", handle, operation, alpha, void(blocks[0][0]), layouts[0], void(blocks[1][0]), layouts[1], beta, void(blocks[2][0]), layouts[2], void(blocks[3][0]), layouts[3], algorithm, void(workspace), size(4 << 20), void(0))
                    later = device.runtime.cudaDeviceSynchronize()
                    say("cublasLtMatmul", label, f"{number}/{again}", detail, status, later, data=hashlib.sha256(device.get(*blocks[3])).hexdigest()[:24])
            for at, _ in blocks:
                device.free(at)
            device.free(bias)
            for layout in layouts:
                call("cublasLtMatrixLayoutDestroy", layout)
            call("cublasLtMatmulDescDestroy", operation)
            call("cublasLtMatmulPreferenceDestroy", preference)

    for data_type in (0, 2, 14):
        for ta, tb, second in ((0, 0, True), (1, 0, True), (1, 1, True), (1, 0, False)):
            numbers = Numbers(f"transform {data_type} {ta} {tb}")
            rows, columns = 40, 24
            make_block = lambda count: device.put(pack(data_type, [numbers.real() for _ in range(count)]))
            blocks = [make_block(rows * columns) for _ in range(3)]
            _, turn = make("cublasLtMatrixTransformDescCreate", 0)
            put("MatrixTransformDesc", turn, 2, i32(ta))
            put("MatrixTransformDesc", turn, 3, i32(tb))
            layouts = [make("cublasLtMatrixLayoutCreate", data_type, u64(columns if t else rows), u64(rows if t else columns), i64(columns if t else rows))[1] for t in (ta, tb, 0)]
            alpha, beta = (ctypes.create_string_buffer(pack(0, [v])) for v in (1.5, -0.5 if second else 0.0))
            status = call("cublasLtMatrixTransform", handle, turn, alpha, void(blocks[0]), layouts[0], beta, void(blocks[1] if second else 0), layouts[1] if second else void(0), void(blocks[2]), layouts[2], void(0))
            later = device.runtime.cudaDeviceSynchronize()
            say("cublasLtMatrixTransform", data_type, f"{ta}{tb}", second, status, later, data=hashlib.sha256(device.get(blocks[2], rows * columns * elements[data_type])).hexdigest()[:24])
            for at in blocks:
                device.free(at)
    say("cublasLtDestroy", "-", "-", "-", call("cublasLtDestroy", handle))


def child(arguments):
    device = Device()
    if arguments.library == "curand":
        return curand(device)
    if arguments.library == "cublaslt":
        return cublaslt(device)
    if arguments.library == "cufft":
        return cufft(device)
    device.blas = ctypes.CDLL("libcublas.so.13")
    handle = ctypes.c_void_p()
    if status := device.blas.cublasCreate_v2(ctypes.byref(handle)):
        sys.exit(f"cublasCreate: {status}")
    for kind, name, parameters in table(arguments.table):
        if kind not in ("async", "sync") or (arguments.only and not re.search(arguments.only, name)):
            continue
        if not hasattr(device.blas, name):
            continue
        for types in variants(name, parameters):
            for host_scalars in (True, False):
                # Grouped products read their scalars on the host alone.
                for turn in (0, 1):
                    status, digest = one(device, handle.value, name, parameters, types, host_scalars, turn)
                    print(name, "/".join(map(str, types)), "host" if host_scalars else "device", turn, status, digest, flush=True)


def run(arguments, libraries, extra):
    command = [sys.executable, __file__, arguments.library, "--child", "--table", arguments.table]
    if arguments.only:
        command += ["--only", arguments.only]
    environment = {**os.environ, **extra, "LD_LIBRARY_PATH": libraries}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=arguments.timeout)
    if done.returncode:
        print(done.stderr[-3000:], file=sys.stderr)
        print(f"the run with {libraries} ended with {done.returncode} after {len(done.stdout.splitlines())} calls: {done.stdout.splitlines()[-1:]}", file=sys.stderr)
    return {tuple(line.split()[:4]): line.split()[4:] for line in done.stdout.splitlines()}


def main():
    here = pathlib.Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("library", choices=["cublas", "cublaslt", "cufft", "curand"])
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--table", default=str(here.parent.parent / "wire/src/api/cublas.rs"))
    parser.add_argument("--native", help="directory of NVIDIA's libraries, or several with colons; without it, only ours runs")
    parser.add_argument("--home")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--only", help="functions whose names match")
    parser.add_argument("--timeout", type=float, default=500)
    parser.add_argument("--out")
    arguments = parser.parse_args()
    if arguments.child:
        return child(arguments)
    native = []
    if arguments.native:
        native = [run(arguments, arguments.native, {}) for _ in range(2)]
    with tempfile.TemporaryDirectory() as directory:
        config = pathlib.Path(directory, "properties.json")
        config.write_text(json.dumps({
            "communicator": [{"endpoint": {"suite": "unix", "protocol": "unix", "path": f"{directory}/s"}, "plugins": ["cudart", "cublas", "cufft", "curand"]}],
            "device": arguments.device,
            "library_dirs": (arguments.native or "").split(":") if arguments.native else [],
        }))
        with open(f"{directory}/log", "w") as log:
            backend = subprocess.Popen([f"{arguments.home}/bin/gvirtus-backend", str(config)], stdout=log, stderr=log)
        time.sleep(2)
        try:
            ours = run(arguments, f"{arguments.home}/lib", {"GVIRTUS_CONFIG": str(config)})
        finally:
            backend.terminate()
            backend.wait()
        print(pathlib.Path(directory, "log").read_text()[-1500:], file=sys.stderr)
    if not native:
        supported = {key[0] for key, (status, _) in ours.items() if status == "0"}
        print(f"{len(ours)} calls; {len(supported)} of {len({key[0] for key in ours})} functions succeed")
        return None
    equal, unlike, unsteady = set(), {}, set()
    for key, first in native[0].items():
        if native[1].get(key) != first:
            unsteady.add(key)
        elif ours.get(key) == first:
            equal.add(key)
        else:
            unlike[key] = (first, ours.get(key))
    for key, (first, got) in list(unlike.items())[:80]:
        print(*key, "native", *first, "ours", *(got or ["nothing"]))
    names = {key[0] for key in native[0]}
    bad = {key[0] for key in unlike} | {key[0] for key in unsteady}
    executed = {key[0] for key in equal if native[0][key][0] == "0"}
    verified = sorted(executed - bad)
    print(f"{len(native[0])} calls of {len(names)} functions: {len(equal)} equal, {len(unlike)} not, {len(unsteady)} differ natively; {len(verified)} functions verified")
    print("never successful natively:", " ".join(sorted(names - {k[0] for k, v in native[0].items() if v[0] == "0"})))
    if arguments.out:
        query = subprocess.run(["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"], capture_output=True, text=True)
        gpu, _, driver = query.stdout.strip().partition(", ")
        record = {"date": datetime.date.today().isoformat(), "gpu": gpu, "driver": driver, "functions": {name: 1 for name in verified}}
        pathlib.Path(arguments.out).write_text(json.dumps(record, indent=1) + "\n")
    return int(bool(unlike))


if __name__ == "__main__":
    sys.exit(main())
