"""cuBLAS."""

import ctypes
import hashlib
import re
import struct

from .common import BATCH, LEADING, ORDER, Library, Numbers, digest, matrix, pack, say, table

SIZES = {0: 4, 1: 8, 2: 2, 4: 8, 5: 16, 14: 2}
LETTERS = {"S": 0, "D": 1, "H": 2, "C": 4, "Z": 5}


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
        "transc": 0, "A_bias": 3, "B_bias": 5, "C_bias": 7, "C_mult": 2, "C_shift": 4, "trans": 0 if not turn else (2 if hermitian else 1), "transa": turn, "transb": 1 - turn,
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
    device.blas("cublasSetPointerMode_v2", ctypes.c_void_p(handle), 0 if host_scalars else 1)
    status = device.blas(name, *arguments)
    # What an asynchronous call ran into.
    if later := device.runtime.cudaDeviceSynchronize():
        status = f"{status}/cuda{later}"
    everything = hashlib.sha256()
    addresses = {struct.pack("<Q", at) for at, _ in blocks}
    for at, size in blocks:
        data = device.get(at, size)
        # Arrays of pointers differ from run to run.
        if data[:8] not in addresses:
            everything.update(data)
    for memory in outs:
        everything.update(memory.raw)
    for at, _ in blocks:
        device.free(at)
    return status, everything.hexdigest()[:24]


def run(device, arguments):
    device.blas = Library("libcublas.so.13", {name: ctypes.c_char_p for name in ("cublasGetStatusName", "cublasGetStatusString")} | {"cublasGetCudartVersion": ctypes.c_size_t})
    handle = ctypes.c_void_p()
    say("cublasCreate_v2", "-", "-", "-", device.blas("cublasCreate_v2", ctypes.byref(handle)))
    handle = handle.value
    if not arguments.only:
        # First what may end the process, which then does little again; and before there is a failed copy that cuBLASXt would take for its own.
        on_host(device, table(arguments.tables / "cublas.rs"))
        settings(device)
        copies(device)
    legacy(device, table(arguments.tables / "cublas.rs"), arguments.only)
    for kind, name, parameters in table(arguments.tables / "cublas.rs"):
        if kind not in ("async", "sync") or arguments.only and not re.search(arguments.only, name):
            continue
        if name.startswith("cublasSet"):
            continue
        for types in variants(name, parameters):
            label = "/".join(map(str, types))
            if not device.blas.has(name):
                say(name, label, "-", "-", device.blas.LACKING)
                break
            for host_scalars in (True, False):
                # Grouped products read their scalars on the host alone.
                for turn in (0, 1):
                    status, made = one(device, handle, name, parameters, types, host_scalars, turn)
                    say(name, label, "host" if host_scalars else "device", turn, status, data=made)
    # The error that it leaves behind is cuBLAS's own affair, but others find it.
    boards(device, (("unknown", 1, 99),))
    say("cublasDestroy_v2", "-", "-", "-", device.blas("cublasDestroy_v2", ctypes.c_void_p(handle)))
    say("cublasDestroy_v2", "null", "-", "-", device.blas("cublasDestroy_v2", None))


def settings(device):
    """What is set, and what is told of it: on a handle as it comes, after each setting, and with what cannot be."""
    # On handles of its own: what is left set would be in the way.
    blas, handle, word = device.blas, ctypes.c_void_p(), ctypes.c_int
    blas("cublasCreate_v2", ctypes.byref(handle))
    plain = ["PointerMode_v2", "AtomicsMode", "MathMode", "EmulationStrategy", "EnvironmentMode", "SmCountTarget"]
    emulation = ["EmulationSpecialValuesSupport", "FixedPointEmulationMantissaControl", "FixedPointEmulationMaxMantissaBitCount", "FixedPointEmulationMantissaBitOffset"]

    def told(name, label):
        value = word(-77)
        status = blas("cublasGet" + name, handle, ctypes.byref(value))
        say("cublasGet" + name, label, "-", "-", status, data=value.value)

    for name in plain + emulation:
        told(name, "new")
        for value in (1, 0, 2, 3, 4, 9, 16, 100, 1000, -1):
            say("cublasSet" + name, value, "-", "-", blas("cublasSet" + name, handle, word(value)))
            told(name, f"after/{value}")
        say("cublasSet" + name, "without", "-", "-", blas("cublasSet" + name, None, word(0)))
        say("cublasGet" + name, "without", "-", "-", blas("cublasGet" + name, None, ctypes.byref(word())))
        say("cublasGet" + name, "nowhere", "-", "-", blas("cublasGet" + name, handle, None))
        for value in (0, 1):
            say("cublasSet" + name, f"back/{value}", "-", "-", blas("cublasSet" + name, handle, word(0)))
    say("cublasDestroy_v2", "settings", "-", "-", blas("cublasDestroy_v2", handle))
    handle = ctypes.c_void_p()
    blas("cublasCreate_v2", ctypes.byref(handle))
    pointer = ctypes.c_void_p(7)
    status = blas("cublasGetFixedPointEmulationMantissaBitCountPointer", handle, ctypes.byref(pointer))
    say("cublasGetFixedPointEmulationMantissaBitCountPointer", "new", "-", "-", status, data=pointer.value)
    count = device.put(b"\0" * 16)
    say("cublasSetFixedPointEmulationMantissaBitCountPointer", "given", "-", "-", blas("cublasSetFixedPointEmulationMantissaBitCountPointer", handle, ctypes.c_void_p(count)))
    status = blas("cublasGetFixedPointEmulationMantissaBitCountPointer", handle, ctypes.byref(pointer))
    say("cublasGetFixedPointEmulationMantissaBitCountPointer", "given", "-", "-", status, data=pointer.value == count)
    for data in (None, count):
        say("cublasSetFixedPointEmulationMantissaBitCountPointer", "none", "-", data is None, blas("cublasSetFixedPointEmulationMantissaBitCountPointer", handle, None))

    stream, seen = ctypes.c_void_p(), ctypes.c_void_p(7)
    device.cuda("cudaStreamCreate", ctypes.byref(stream))
    for label, value in (("new", None), ("own", stream), ("legacy", ctypes.c_void_p(1)), ("default", ctypes.c_void_p(0))):
        if value is not None:
            say("cublasSetStream_v2", label, "-", "-", blas("cublasSetStream_v2", handle, value))
        status = blas("cublasGetStream_v2", handle, ctypes.byref(seen))
        say("cublasGetStream_v2", label, "-", "-", status, data=seen.value == (value.value if value is not None else None))
    # A workspace of the program's, none, and one that is not aligned, with a product behind each.
    space = device.put(b"\0" * (8 << 20))
    for at, size in ((space, 8 << 20), (space, 0), (0, 0), (space + 8, 1 << 20), (0, 1 << 20), (space, 1 << 16)):
        label = f"{at - space if at else 'null'}/{size}"
        say("cublasSetWorkspace_v2", label, "-", "-", blas("cublasSetWorkspace_v2", handle, ctypes.c_void_p(at), ctypes.c_size_t(size)))
        say("cublasSetWorkspace_v2", label, "product", "-", *product(device, handle)[:1], data=product(device, handle)[1])
    say("cublasSetStream_v2", "again", "-", "-", blas("cublasSetStream_v2", handle, stream))
    say("cublasSetWorkspace_v2", "stream", "product", "-", *product(device, handle)[:1], data=product(device, handle)[1])
    say("cublasSetWorkspace_v2", "without", "-", "-", blas("cublasSetWorkspace_v2", None, ctypes.c_void_p(space), ctypes.c_size_t(1 << 20)))

    for which in range(-1, 5):
        value = word(-77)
        say("cublasGetProperty", which, "-", "-", blas("cublasGetProperty", word(which), ctypes.byref(value)), data=value.value)
    for name, given in (("cublasGetVersion_v2", (handle,)), ("cublasGetVersion_v2", (None,)), ("cublasGetVersion", ())):
        value = word(-77)
        say(name, len(given), bool(given and given[0]), "-", blas(name, *given, ctypes.byref(value)), data=value.value)
    say("cublasGetVersion_v2", "nowhere", "-", "-", blas("cublasGetVersion_v2", handle, None))
    say("cublasGetCudartVersion", "-", "-", "-", 0, data=blas("cublasGetCudartVersion"))
    say("cublasGetError", "-", "-", "-", blas("cublasGetError"))
    for code in range(-1, 24):
        for name in ("cublasGetStatusName", "cublasGetStatusString"):
            text = blas(name, word(code))
            say(name, code, "-", "-", 0, data=text.decode().replace(" ", "_") if text else "null")

    kept = ctypes.CFUNCTYPE(None, ctypes.c_char_p)(lambda text: None)
    seen = ctypes.c_void_p(7)
    say("cublasGetLoggerCallback", "new", "-", "-", blas("cublasGetLoggerCallback", ctypes.byref(seen)), data=seen.value)
    say("cublasSetLoggerCallback", "given", "-", "-", blas("cublasSetLoggerCallback", kept))
    status = blas("cublasGetLoggerCallback", ctypes.byref(seen))
    say("cublasGetLoggerCallback", "given", "-", "-", status, data=seen.value == ctypes.cast(kept, ctypes.c_void_p).value)
    say("cublasSetLoggerCallback", "none", "-", "-", blas("cublasSetLoggerCallback", None))
    say("cublasGetLoggerCallback", "nowhere", "-", "-", blas("cublasGetLoggerCallback", None))
    for given in ((0, 0, 0), (0, 1, 0), (0, 0, 1)):
        say("cublasLoggerConfigure", "/".join(map(str, given)), "-", "-", blas("cublasLoggerConfigure", *map(word, given), None))


class Pair:
    """Two numbers by value, as `cuComplex` and `cuDoubleComplex` are."""

    class Floats(ctypes.Structure):
        _fields_ = [("x", ctypes.c_float), ("y", ctypes.c_float)]

    class Doubles(ctypes.Structure):
        _fields_ = [("x", ctypes.c_double), ("y", ctypes.c_double)]


def legacy(device, rows, only):
    """The interface before handles: letters, scalars by value, results returned, and the error that is asked for; then what each function refuses."""
    blas, rows = device.blas, [row for row in rows if row[0].startswith("legacy") and (not only or re.search(only, row[1]))]
    returns = {"legacy_f32": ctypes.c_float, "legacy_f64": ctypes.c_double, "legacy_c32": Pair.Floats, "legacy_c64": Pair.Doubles, "legacy": None, "legacy_host": None}
    blas.returns.update({name: returns[kind] for kind, name, _ in rows if kind in returns}, cublasXerbla=None)
    if not rows:
        return
    say("cublasInit", "-", "-", "-", blas("cublasInit"))
    # What it is before the first call is not written down, and differs.
    blas("cublasGetError")
    if not only:
        memory = ctypes.c_void_p(7)
        for n, each in ((16, 4), (0, 4), (-1, 4), (4, 0), (4, -1), (1 << 30, 1 << 30)):
            status = blas("cublasAlloc", n, each, ctypes.byref(memory))
            say("cublasAlloc", n, each, "-", status, blas("cublasGetError"), data=memory.value is not None)
            if not status:
                say("cublasFree", n, each, "-", blas("cublasFree", memory), blas("cublasGetError"))
        say("cublasFree", "nothing", "-", "-", blas("cublasFree", None))
        stream = ctypes.c_void_p()
        device.cuda("cudaStreamCreate", ctypes.byref(stream))
        for label, value in (("own", stream), ("legacy", ctypes.c_void_p(1)), ("none", None)):
            say("cublasSetKernelStream", label, "-", "-", blas("cublasSetKernelStream", value), blas("cublasGetError"))
        blas("cublasXerbla", b"SGEMM ", 3)
        say("cublasXerbla", "-", "-", "-", 0)
    for _, name, parameters in rows:
        for turn in (0, 1):
            status, made = before_handles(device, name, parameters, turn, {})
            say(name, "letters", "-", turn, status, data=made)
        # Each letter wrong, each size and distance too small, in turn.
        for parameter, mode, _ in parameters:
            # What gemv makes of other letters is not written down.
            letters = [] if name.endswith("gemv") else [b"x", b"\0"]
            values = {"letter": letters, "i32": [-1] if parameter in "mnk" else [0]}.get(mode, [])
            for value in values:
                status, _ = before_handles(device, name, parameters, 0, {parameter: value})
                say(name, parameter, value.hex() if isinstance(value, bytes) else value, "-", status)
    say("cublasShutdown", "-", "-", "-", blas("cublasShutdown"))
    say("cublasShutdown", "again", "-", "-", blas("cublasShutdown"))


def before_handles(device, name, parameters, turn, given):
    """One call of a function before handles: its error and the runtime's, and every byte of its operands and its result."""
    numbers, data_type = Numbers(f"{name} {turn}"), element_type(name)
    per = {0: ctypes.c_float, 4: ctypes.c_float}.get(data_type, ctypes.c_double)
    hermitian = re.search(r"her|hem", name) is not None
    letters = {"uplo": b"Ul", "side": b"lR", "diag": b"nU", "transa": b"Nt", "transb": b"tn", "trans": b"nC" if hermitian else b"Nt"}
    narrow = re.search(r"gbmv|sbmv|hbmv|tb[ms]v", name)
    integers = {"m": ORDER, "n": ORDER, "k": 3 if narrow else ORDER, "kl": 3, "ku": 2, "incx": 1 + turn, "incy": 1 + turn}
    blocks, outs, arguments = [], [], []
    for parameter, mode, argument in parameters:
        if mode == "letter":
            arguments.append(ctypes.c_char(given.get(parameter, letters[parameter][turn : turn + 1])))
        elif mode == "i32":
            arguments.append(ctypes.c_int(given.get(parameter, integers.get(parameter, LEADING))))
        elif mode in ("f32", "f64"):
            arguments.append((ctypes.c_float if mode == "f32" else ctypes.c_double)(numbers.real()))
        elif mode in ("c32", "c64"):
            arguments.append((Pair.Floats if mode == "c32" else Pair.Doubles)(numbers.real(), numbers.real()))
        elif mode == "dev":
            data = matrix(data_type, numbers)[: LEADING * LEADING * SIZES[data_type]]
            blocks.append((device.put(data), len(data)))
            arguments.append(ctypes.c_void_p(blocks[-1][0]))
        else:
            size = int(argument)
            data = pack(0 if per is ctypes.c_float else 1, [numbers.real() for _ in range(size // ctypes.sizeof(per))])
            if parameter.endswith("param"):
                # A flag: full, or with an implicit diagonal.
                data = pack(0 if per is ctypes.c_float else 1, [float(turn) - 1]) + data[size // 5 :]
            outs.append(ctypes.create_string_buffer(data, size))
            arguments.append(outs[-1])
    told = device.blas(name, *arguments)
    status = device.blas("cublasGetError")
    if later := device.runtime.cudaDeviceSynchronize():
        status = f"{status}/cuda{later}"
    everything = hashlib.sha256()
    for at, size in blocks:
        everything.update(device.get(at, size))
        device.free(at)
    for memory in outs:
        everything.update(memory.raw)
    # Of a call that fails, nothing is told.
    if told is not None and not given:
        everything.update(bytes(told) if isinstance(told, ctypes.Structure) else struct.pack("<d", told))
    return status, everything.hexdigest()[:24]


def product(device, handle):
    """A product of two matrices of 96 x 96, and what came of it."""
    numbers = Numbers("workspace")
    data = pack(0, [numbers.real() for _ in range(96 * 96)])
    blocks = [device.put(data) for _ in range(3)]
    one = ctypes.c_float(1)
    edge, plain = ctypes.c_int(96), ctypes.c_int(0)
    status = device.blas("cublasSgemm_v2", handle, plain, plain, edge, edge, edge, ctypes.byref(one), ctypes.c_void_p(blocks[0]), edge, ctypes.c_void_p(blocks[1]), edge, ctypes.byref(one), ctypes.c_void_p(blocks[2]), edge)
    later = device.runtime.cudaDeviceSynchronize()
    made = digest(device.get(blocks[2], len(data)))
    for block in blocks:
        device.free(block)
    return f"{status}/{later}" if later else status, made


def copies(device):
    """Vectors and matrices to the device and back, with distances between their elements; what cannot be."""
    blas, size = device.blas, 1 << 14
    numbers = Numbers("copies")
    data = bytes(numbers.next() & 255 for _ in range(size))
    stream = ctypes.c_void_p()
    device.cuda("cudaStreamCreate", ctypes.byref(stream))
    for suffix, word in (("", ctypes.c_int), ("_64", ctypes.c_int64)):
        for asynchronous in ("", "Async"):
            more = [stream] if asynchronous else []
            # Elements, their size, distance here and there; and such as there are not.
            for n, each, here, there in ((100, 4, 1, 1), (100, 8, 3, 2), (50, 16, 2, 5), (33, 3, 1, 4), (0, 4, 1, 1), (-1, 4, 1, 1), (10, 0, 1, 1), (10, 4, 0, 1), (10, 4, 1, -1)):
                label = f"{n}/{each}/{here}/{there}"
                vector(device, f"cublasSetVector{asynchronous}{suffix}", f"cublasGetVector{asynchronous}{suffix}", label, data, more, [word(v) for v in (n, each)], word(here), word(there))
            for rows, columns, each, here, there in ((20, 10, 4, 20, 24), (16, 16, 8, 32, 16), (7, 5, 16, 9, 7), (0, 5, 4, 5, 5), (5, 5, 0, 5, 5), (5, 5, 4, 4, 5), (5, 5, 4, 5, 4), (-1, 5, 4, 5, 5)):
                label = f"{rows}/{columns}/{each}/{here}/{there}"
                vector(device, f"cublasSetMatrix{asynchronous}{suffix}", f"cublasGetMatrix{asynchronous}{suffix}", label, data, more, [word(v) for v in (rows, columns, each)], word(here), word(there))
            # cuBLAS leaves a copy's failure where this call finds it, and cuBLASXt after it.
            for turn in ("failed", "well") if asynchronous else ():
                at, memory = device.put(b"\x55" * 4096), ctypes.create_string_buffer(data[:4096], 4096)
                status = blas(f"cublasSetMatrixAsync{suffix}", word(8), word(8), word(4), memory, word(8), ctypes.c_void_p(at), word(8), stream)
                device.cuda("cudaDeviceSynchronize")
                say(f"cublasSetMatrixAsync{suffix}", "after", turn, "-", status, data=digest(device.get(at, 4096)))
                device.free(at)


def vector(device, put, get, label, data, more, extent, here, there):
    at = device.put(b"\x55" * len(data))
    memory = ctypes.create_string_buffer(data, len(data))
    status = device.blas(put, *extent, memory, here, ctypes.c_void_p(at), there, *more)
    device.cuda("cudaDeviceSynchronize")
    say(put, label, "-", "-", status, data=digest(device.get(at, len(data))))
    memory = ctypes.create_string_buffer(b"\x33" * len(data), len(data))
    status = device.blas(get, *extent, ctypes.c_void_p(at), there, memory, here, *more)
    device.cuda("cudaDeviceSynchronize")
    say(get, label, "-", "-", status, data=digest(memory.raw))
    device.free(at)


def boards(device, asked):
    """How many boards devices are on."""
    for label, count, number in asked:
        value = ctypes.c_int(0)
        status = device.blas("cublasXtGetNumBoards", count, (ctypes.c_int * 1)(number), ctypes.byref(value))
        say("cublasXtGetNumBoards", label, "-", "-", status, data=value.value)


def on_host(device, rows):
    """cuBLASXt: products of matrices on the host. Tiles are larger than the matrices, so that natively one product is one, too."""
    xt, blas = ctypes.c_void_p(), device.blas
    say("cublasXtCreate", "-", "-", "-", blas("cublasXtCreate", ctypes.byref(xt)))
    say("cublasXtCreate", "nowhere", "-", "-", blas("cublasXtCreate", None))
    value, many = ctypes.c_int(-7), (ctypes.c_int * 1)(0)
    say("cublasXtMaxBoards", "-", "-", "-", blas("cublasXtMaxBoards", ctypes.byref(value)), data=value.value)
    boards(device, (("one", 1, 0), ("none", 0, 0)))
    for name, values in (("BlockDim", (64, 1, 0, -1, 4096, 1024)), ("PinningMemMode", (1, 2, -1, 0))):
        for wanted in (None, *values):
            if wanted is not None:
                say("cublasXtSet" + name, wanted, "-", "-", blas("cublasXtSet" + name, xt, wanted))
            status = blas("cublasXtGet" + name, xt, ctypes.byref(value))
            say("cublasXtGet" + name, wanted, "-", "-", status, data=value.value)
    for operation, kind in ((0, 0), (0, 3), (0, 4), (1, 0), (11, 3), (12, 0), (-1, 0)):
        say("cublasXtSetCpuRatio", operation, kind, "-", blas("cublasXtSetCpuRatio", xt, operation, kind, ctypes.c_float(0.0)))
        say("cublasXtSetCpuRoutine", operation, kind, "-", blas("cublasXtSetCpuRoutine", xt, operation, kind, None))
    for label, count, devices in (("none", 0, many), ("less", -1, many), ("nowhere", 1, None), ("right", 1, many), ("again", 1, many)):
        say("cublasXtDeviceSelect", label, "-", "-", blas("cublasXtDeviceSelect", xt, count, devices))
    for kind, name, parameters in rows:
        if kind != "on_host":
            continue
        data_type = LETTERS[name[8]]
        for turn, edge in ((0, 1), (0, ORDER), (1, ORDER)):
            numbers, keep, arguments = Numbers(f"{name} {turn}"), [], []
            for parameter, mode, argument in parameters:
                if mode == "handle":
                    arguments.append(xt)
                elif mode == "i32":
                    arguments.append(ctypes.c_int({"transa": turn, "transb": 1 - turn, "trans": 0 if not turn else 2 if "her" in name else 1}.get(parameter, turn)))
                elif mode == "i64":
                    arguments.append(ctypes.c_size_t(edge if parameter in "mnk" else LEADING))
                else:
                    scalar = mode != "dev"
                    size = int(argument) if scalar else 0
                    own = {4: 0, 8: 4 if data_type == 4 else 1, 16: 5}[size] if scalar else data_type
                    memory = ctypes.create_string_buffer(pack(own, [numbers.real() for _ in range(2 if own in (4, 5) else 1)]) if scalar else matrix(data_type, numbers)[: LEADING * LEADING * SIZES[data_type]])
                    keep.append(memory)
                    arguments.append(memory)
            status = blas(name, *arguments)
            later = device.runtime.cudaDeviceSynchronize()
            say(name, turn, edge, "-", f"{status}/{later}" if later else status, data=digest(b"".join(memory.raw for memory in keep)))
        names = [parameter for parameter, _, _ in parameters]
        arguments[names.index("lda" if "lda" in names else "ldb")] = ctypes.c_size_t(3)
        say(name, "narrow", "-", "-", blas(name, *arguments))
        arguments[0] = None
        say(name, "nobody", "-", "-", blas(name, *arguments))
    say("cublasXtDestroy", "-", "-", "-", blas("cublasXtDestroy", xt))
    say("cublasXtDestroy", "null", "-", "-", blas("cublasXtDestroy", None))
