"""cuFFTW, FFTW's interface over cuFFT: plans of every kind in both precisions, on memory of the host."""

import ctypes
import itertools
import math
import struct

from .common import Library, Numbers, digest, pack, say

VOID, FORWARD, BACKWARD, ESTIMATE = ctypes.c_void_p, -1, 1, 64
COUNT = 8192


class Fftw:
    def __init__(self, prefix):
        returning = {f"{prefix}_{name}": VOID for name in ("malloc",)}
        self.prefix, self.library = prefix, Library("libcufftw.so.12")
        self.library.returns = {**returning, f"{prefix}_cost": ctypes.c_double}
        self.double = prefix == "fftw"

    def __call__(self, name, *arguments):
        if name.startswith("plan_"):
            self.library.returns[f"{self.prefix}_{name}"] = VOID
        elif name not in ("malloc", "cost"):
            self.library.returns[f"{self.prefix}_{name}"] = None
        return self.library(f"{self.prefix}_{name}", *arguments)

    def data(self, name):
        numbers = Numbers(name)
        memory = ctypes.create_string_buffer(pack(1 if self.double else 0, [numbers.real() for _ in range(2 * COUNT)]))
        return memory

    def try_plan(self, name, label, given, execute, kind, in_place=False):
        """Makes a plan, executes it as it is and on other memory, and ends it."""
        source = self.data(name + label)
        target = source if in_place else self.data("target")
        fill = {"in": source, "out": target}
        plan = self(name, *[fill.get(value, value) if isinstance(value, str) else value for value in given])
        full = f"{self.prefix}_{name}"
        if plan in (Library.LACKING, Library.ENDED):
            return say(full, label, "-", "-", plan)
        if not plan:
            return say(full, label, "-", "-", 0, data="no-plan")
        say(full, label, "-", "-", 0, data="plan")
        self("execute", VOID(plan))
        say(f"{self.prefix}_execute", name, label, "-", 0, data=digest(target.raw))
        # What the plan does says that it is the right one.
        say(full, label, "executed", "-", 0, data=digest(target.raw))
        if execute:
            source = self.data("other" + label)
            target = source if in_place else self.data("target")
            self(f"execute_dft{kind}", VOID(plan), source, target)
            say(f"{self.prefix}_execute_dft{kind}", name, label, "-", 0, data=digest(target.raw))
        self("destroy_plan", VOID(plan))
        say(f"{self.prefix}_destroy_plan", name, label, "-", 0)


def dims(entries, wide):
    return struct.pack(f"<{3 * len(entries)}{'q' if wide else 'i'}", *itertools.chain(*entries))


def run(device, arguments):
    del device, arguments
    for prefix in ("fftw", "fftwf"):
        fftw = Fftw(prefix)
        shapes = [(64,), (60,), (17,), (12, 10), (16, 8), (6, 5, 4), (8, 8, 8)]
        for shape in shapes:
            name, label = f"{len(shape)}d", "x".join(map(str, shape))
            extents = (ctypes.c_int * len(shape))(*shape)
            for sign, in_place in itertools.product((FORWARD, BACKWARD), (False, True)):
                which = f"{label}/{sign}/{in_place}"
                fftw.try_plan(f"plan_dft_{name}", which, [*shape, "in", "out", sign, ESTIMATE], True, "", in_place)
                fftw.try_plan("plan_dft", which, [len(shape), extents, "in", "out", sign, ESTIMATE], True, "", in_place)
                fftw.try_plan("plan_many_dft", which, [len(shape), extents, 3, "in", None, 1, math.prod(shape), "out", None, 1, math.prod(shape), sign, ESTIMATE], True, "", in_place)
            for kind in ("r2c", "c2r"):
                last = shape[-1] // 2 + 1
                complex_size = math.prod(shape[:-1]) * last
                distances = (math.prod(shape), complex_size) if kind == "r2c" else (complex_size, math.prod(shape))
                fftw.try_plan(f"plan_dft_{kind}_{name}", label, [*shape, "in", "out", ESTIMATE], True, "_" + kind)
                fftw.try_plan(f"plan_dft_{kind}", label, [len(shape), extents, "in", "out", ESTIMATE], True, "_" + kind)
                fftw.try_plan(f"plan_many_dft_{kind}", label, [len(shape), extents, 2, "in", None, 1, distances[0], "out", None, 1, distances[1], ESTIMATE], True, "_" + kind)
        # Columns, with distances between their elements.
        sixteen = (ctypes.c_int * 1)(16)
        fftw.try_plan("plan_many_dft", "columns", [1, sixteen, 5, "in", sixteen, 5, 1, "out", sixteen, 5, 1, FORWARD, ESTIMATE], True, "")
        for wide in (False, True):
            guru = "guru64" if wide else "guru"
            for label, given, batch in (("1", [(32, 1, 1)], []), ("batched", [(32, 1, 1)], [(4, 32, 32)]), ("strided", [(16, 4, 4)], [(4, 1, 1)]), ("2", [(8, 10, 10), (10, 1, 1)], [])):
                if wide and not batch:
                    # It reads a dimension of batches whether there is one or not.
                    continue
                parameters = [len(given), dims(given, wide), len(batch), dims(batch, wide) or None]
                for sign in (FORWARD, BACKWARD):
                    fftw.try_plan(f"plan_{guru}_dft", f"{label}/{sign}", [*parameters, "in", "out", sign, ESTIMATE], False, "")
            real = [1, dims([(32, 1, 1)], wide), 1, dims([(2, 32, 17)], wide)]
            fftw.try_plan(f"plan_{guru}_dft_r2c", "batched", [*real, "in", "out", ESTIMATE], False, "_r2c")
            real = [1, dims([(32, 1, 1)], wide), 1, dims([(2, 17, 32)], wide)]
            fftw.try_plan(f"plan_{guru}_dft_c2r", "batched", [*real, "in", "out", ESTIMATE], False, "_c2r")
        # What cannot be planned.
        nothing = (ctypes.c_int * 1)(0)
        fftw.try_plan("plan_dft", "empty", [1, nothing, "in", "out", FORWARD, ESTIMATE], False, "")
        fftw.try_plan("plan_dft_1d", "negative", [-4, "in", "out", FORWARD, ESTIMATE], False, "")
        for size in (1, 1000, 1 << 20):
            at = fftw("malloc", ctypes.c_size_t(size))
            say(f"{prefix}_malloc", size, "-", "-", 0, data="memory" if at else "none")
            if at:
                ctypes.memset(at, 1, size)
                fftw("free", VOID(at))
                say(f"{prefix}_free", size, "-", "-", 0)
        source = fftw.data("x")
        plan = VOID(fftw("plan_dft_1d", 32, source, source, FORWARD, ESTIMATE))
        counts = [ctypes.c_double(-1) for _ in range(3)]
        fftw("flops", plan, *map(ctypes.byref, counts))
        say(f"{prefix}_flops", "-", "-", "-", 0, data="/".join(str(count.value) for count in counts))
        say(f"{prefix}_cost", "-", "-", "-", 0, data=fftw("cost", plan))
        fftw("set_timelimit", ctypes.c_double(1.5))
        say(f"{prefix}_set_timelimit", "-", "-", "-", 0)
        fftw("print_plan", plan)
        say(f"{prefix}_print_plan", "-", "-", "-", 0)
        libc = ctypes.CDLL(None)
        libc.fopen.restype = VOID
        file = VOID(libc.fopen(b"/dev/null", b"r+"))
        fftw("export_wisdom_to_file", file)
        say(f"{prefix}_export_wisdom_to_file", "-", "-", "-", 0)
        fftw.library.returns[f"{prefix}_import_wisdom_from_file"] = ctypes.c_int
        say(f"{prefix}_import_wisdom_from_file", "-", "-", "-", 0, data=fftw.library(f"{prefix}_import_wisdom_from_file", file))
        libc.fclose(file)
        fftw("destroy_plan", plan)
        fftw("cleanup")
        say(f"{prefix}_cleanup", "-", "-", "-", 0)
