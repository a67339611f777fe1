"""cuFFT."""

import ctypes
import hashlib

from .common import Numbers, matrix, pack, say


def run(device, arguments):
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
