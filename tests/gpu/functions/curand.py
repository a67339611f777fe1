"""cuRAND."""

import ctypes

from .common import Library, digest, say


def run(device, arguments):
    """Every generator's numbers of every kind, on the device and on the host, from the beginning, behind an offset, and going on."""
    rand = Library("libcurand.so.10")
    void, size, u64, f32, f64 = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_ulonglong, ctypes.c_float, ctypes.c_double
    kinds = {"XORWOW": 101, "MRG32K3A": 121, "MTGP32": 141, "MT19937": 142, "PHILOX": 161, "SOBOL32": 201, "SCRAMBLED32": 202, "SOBOL64": 203, "SCRAMBLED64": 204}
    made = {
        "curandGenerate": (4, ()), "curandGenerateLongLong": (8, ()), "curandGenerateUniform": (4, ()), "curandGenerateUniformDouble": (8, ()),
        "curandGenerateNormal": (4, (f32(1.5), f32(2.0))), "curandGenerateNormalDouble": (8, (f64(1.5), f64(2.0))),
        "curandGenerateLogNormal": (4, (f32(0.5), f32(0.25))), "curandGenerateLogNormalDouble": (8, (f64(0.5), f64(0.25))), "curandGeneratePoisson": (4, (f64(4.5),)),
        "curandGeneratePoissonMethod": (4, (f64(4.5), ctypes.c_int(0))),
    }

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
                    say(where, "-", kind, which, rand(where, ctypes.byref(generator), number))
                    for setter, value in calls:
                        say(setter, where, kind, which, rand(setter, generator, value))
                    say("curandSetStream", where, kind, which, rand("curandSetStream", generator, void(0)))
                    if setting == "seed":
                        say("curandGenerateSeeds", where, kind, which, rand("curandGenerateSeeds", generator))
                    # An even count that is many times each generator's threads, and then an odd one.
                    for count in (300000, 4999, 500):
                        if host:
                            memory = ctypes.create_string_buffer(count * width)
                            results = [rand(name, generator, memory, size(count), *extra)]
                            result = memory.raw
                        else:
                            at = device.put(b"\0" * (count * width))
                            results = [rand(name, generator, void(at), size(count), *extra), device.runtime.cudaDeviceSynchronize()]
                            result = device.get(at, count * width)
                            device.free(at)
                        say(name, where, kind, f"{setting}/{count}", *results, data=digest(result))
                    say("curandDestroyGenerator", where, kind, which, rand("curandDestroyGenerator", generator))
    for name, chosen, length in (("curandGetDirectionVectors32", (101, 102, 103), 2560000), ("curandGetDirectionVectors64", (103, 104, 101), 10240000), ("curandGetScrambleConstants32", (), 80000), ("curandGetScrambleConstants64", (), 160000)):
        for which in chosen or (None,):
            table = void()
            status = rand(name, ctypes.byref(table), *([] if which is None else [ctypes.c_int(which)]))
            say(name, which, "-", "-", status, data=digest(ctypes.string_at(table, length)) if not status else "-")
    for mean in (0.5, 100.0, 3000.0, 0.0):
        distribution = void()
        status = rand("curandCreatePoissonDistribution", f64(mean), ctypes.byref(distribution))
        say("curandCreatePoissonDistribution", mean, "-", "-", status)
        if not status:
            say("curandDestroyDistribution", mean, "-", "-", rand("curandDestroyDistribution", distribution))
    version, value = ctypes.c_int(), ctypes.c_int()
    say("curandGetVersion", "-", "-", "-", rand("curandGetVersion", ctypes.byref(version)), data=version.value)
    for which in range(4):
        say("curandGetProperty", which, "-", "-", rand("curandGetProperty", which, ctypes.byref(value)), data=value.value)
