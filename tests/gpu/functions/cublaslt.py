"""cuBLASLt."""

import ctypes
import hashlib

from .common import Library, Numbers, pack, say


def algorithm_of(told):
    """An algorithm's bytes; two that are nobody's hold what lay there before, another thing in each process."""
    return told[:34] + b"\0\0" + told[36:]


def run(device, arguments):
    """Descriptors of every kind with every attribute, algorithms and heuristics, products of many types with epilogues, batches and algorithms, transforms."""
    lt = Library("libcublasLt.so.13", {"cublasLtGetVersion": ctypes.c_size_t, "cublasLtGetCudartVersion": ctypes.c_size_t, "cublasLtGetStatusName": ctypes.c_char_p, "cublasLtGetStatusString": ctypes.c_char_p})
    void, size, i32, i64, u64 = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int64, ctypes.c_uint64

    def call(name, *arguments):
        return lt(name, *arguments)

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

    grouped = "cublasLtGroupedMatrixLayout"
    arrays = [void(at) for at in (0x10000, 0x20000, 0x30000)]
    for label, given in (("three", (i32(0), i32(3), *arrays)), ("none", (i32(2), i32(0), *arrays)), ("nowhere", (i32(0), i32(2), None, None, None))):
        status, descriptor = make(grouped + "Create", *given)
        told = []
        for attribute in range(16) if status == 0 else ():
            for width in (4, 8):
                memory = ctypes.create_string_buffer(8)
                if not call("cublasLtMatrixLayoutGetAttribute", descriptor, attribute, memory, size(width), None):
                    told.append(f"{attribute}:{memory.raw[:width].hex()}")
        say(grouped + "Create", label, "-", "-", status, data="/".join(told) or "-")
        if status == 0:
            call("cublasLtMatrixLayoutDestroy", descriptor)
        for width in (8, 64, 104, 112, 128):
            room = ctypes.create_string_buffer(256)
            say(grouped + "Init_internal", label, width, "-", call(grouped + "Init_internal", room, size(width), *given))

    for code in range(20):
        say("cublasLtGetStatusName", code, "-", "-", 0, data=lt("cublasLtGetStatusName", code).decode().replace(" ", "_"))
        say("cublasLtGetStatusString", code, "-", "-", 0, data=lt("cublasLtGetStatusString", code).decode().replace(" ", "_"))
    say("cublasLtGetVersion", "-", "-", "-", 0, data=lt("cublasLtGetVersion"))
    say("cublasLtGetCudartVersion", "-", "-", "-", 0, data=lt("cublasLtGetCudartVersion"))
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
                told = b"".join(algorithm_of(found.raw[96 * i : 96 * i + 80]) for i in range(used))
                say(name, label, "-", detail, status, data=f"{used}/{hashlib.sha256(told).hexdigest()[:24]}")
                results[name] = [found.raw[96 * i : 96 * i + 64] for i in range(used)]
            for number, algorithm in enumerate([None] + results["cublasLtMatmulAlgoGetHeuristic"][:3]):
                if algorithm:
                    for name, extra in (("cublasLtMatmulAlgoCheck", ()), ("cublasLtMatmulAlgoCheckForStream", (void(0),))):
                        checked = ctypes.create_string_buffer(96)
                        status = call(name, handle, operation, *layouts, algorithm, checked, *extra)
                        say(name, label, number, detail, status, data=algorithm_of(checked.raw[:80]).hex() if not status else "-")
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
    say("cublasLtLoggerOpenFile", "-", "-", "-", call("cublasLtLoggerOpenFile", b"/dev/null"))
    say("cublasLtDestroy", "-", "-", "-", call("cublasLtDestroy", handle))
