#!/usr/bin/env python3
"""Timings on a GPU: natively and through us, by turns in the same run, with medians and ratios; round trips by the clock; memory over many launches.

    python3 bench.py --home dist --out results
"""

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import backend as suite
import processes

HERE = os.path.dirname(os.path.abspath(__file__))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--home", default=os.path.dirname(HERE))
    parser.add_argument("--fixtures", default=os.path.join(HERE, "fixtures"))
    parser.add_argument("--out", default="gpu-bench")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--megabytes", default="128")
    parser.add_argument("--transports", default="tcp,unix,shm")
    parser.add_argument("--launches", default="1000000", help="how many launches the memory is watched over; 0 for none")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--nvcc", help="the compiler and fixed arguments, in one string")
    return parser.parse_args()


def environment(options, config=None, native=()):
    env = {key: value for key, value in os.environ.items() if not key.startswith("GVIRTUS_")}
    if config:
        env["LD_LIBRARY_PATH"] = os.path.join(options.home, "lib")
        env["GVIRTUS_CONFIG"] = config
    else:
        env["LD_LIBRARY_PATH"] = ":".join(list(native) + [env.get("LD_LIBRARY_PATH", "")])
    return env


def figures(program, options, env):
    done = subprocess.run([program, options.megabytes], env=env, capture_output=True, text=True, timeout=180)
    if done.returncode != 0:
        print("bench ended with %s: %s" % (done.returncode, done.stderr[-500:]))
    found = {}
    for line in done.stdout.splitlines():
        name, value = line.split()
        found[name] = float(value)
    return found


def wall(command, env):
    began = time.monotonic()
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=180)
    return time.monotonic() - began, done


def slope(program, env, work):
    """Round trips as the clock sees them: how much longer the program takes for each second of emulated round-trip time."""
    report = os.path.join(work, "slope.json")
    times = []
    for rtt in [1, 51]:
        samples = []
        for _ in range(3):
            seconds, done = wall([program], dict(env, GVIRTUS_EMULATE="rtt=%dms" % rtt, GVIRTUS_STATS="json:" + report))
            if done.returncode != 0:
                return {"error": (done.stdout + done.stderr)[-300:]}
            samples.append(seconds)
        times.append(min(samples))
    with open(report) as file:
        totals = json.load(file)["totals"]
    return {"by_clock": round((times[1] - times[0]) / 0.050, 2), "counted": totals["round_trips"], "of_them_setup": totals.get("setup_round_trips", 0)}


def resident_kib(pid):
    try:
        with open("/proc/%d/status" % pid) as file:
            return int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1))
    except (OSError, AttributeError):
        return 0


def children(pid):
    found = []
    for path in os.listdir("/proc"):
        if path.isdigit():
            try:
                with open("/proc/%s/stat" % path) as file:
                    if int(file.read().rsplit(")", 1)[1].split()[1]) == pid:
                        found.append(int(path))
                        found += children(int(path))
            except (OSError, IndexError, ValueError):
                pass
    return found


def watch_memory(program, launches, env, backend):
    """Resident memory of client and workers while a program launches: at a tenth of the way, and at the end."""
    client = subprocess.Popen([program, launches], env=env, stdout=subprocess.PIPE, text=True)
    samples = []

    def sample():
        while client.poll() is None:
            samples.append((resident_kib(client.pid), max([resident_kib(pid) for pid in children(backend.process.pid)] or [0])))
            time.sleep(0.05)

    thread = threading.Thread(target=sample)
    began = time.monotonic()
    thread.start()
    output = client.communicate(timeout=300)[0]
    thread.join()
    early = samples[len(samples) // 3] if samples else (0, 0)
    late = samples[-2] if len(samples) > 2 else (0, 0)
    return {"launches": int(launches), "seconds": round(time.monotonic() - began, 2), "ok": client.returncode == 0, "output": output.strip(),
            "client_kib": [early[0], late[0]], "worker_kib": [early[1], late[1]]}


def main():
    processes.end_with_us()
    options = arguments()
    for key in ["home", "fixtures", "out"]:
        setattr(options, key, os.path.abspath(getattr(options, key)))
    os.makedirs(options.out, exist_ok=True)
    work = tempfile.mkdtemp(prefix="gvirtus-bench-")
    gpu, driver, arch = suite.describe_machine()
    nvcc = (options.nvcc or shutil.which("nvcc") or "/usr/local/cuda/bin/nvcc").split()
    root = os.path.dirname(os.path.dirname(os.path.realpath(shutil.which(nvcc[0]) or nvcc[0])))
    native_libraries = [root + "/lib64", root + "/lib"]
    sources = {"bench": os.path.join(HERE, "bench.cu")}
    sources.update({name: os.path.join(options.fixtures, name + ".cu") for name in ["vector_add", "launch_burst", "local_calls", "launch_many"]})
    programs = {name: os.path.join(work, name) for name in sources}
    builds = [subprocess.Popen(nvcc + ["--cudart=shared", "-std=c++17", "-O2", "-arch=" + arch, source, "-o", programs[name]]) for name, source in sources.items()]
    if any(build.wait() for build in builds):
        return 1

    transports = options.transports.split(",")
    backends = {transport: suite.Backend(options, transport, work, os.path.join(options.out, "bench-backend-%s.log" % transport)) for transport in transports}
    measured = {name: [] for name in ["native"] + transports}
    slopes, memory = {}, {}
    try:
        for _ in range(options.rounds):
            if options.device == "cuda":
                measured["native"].append(figures(programs["bench"], options, environment(options, native=native_libraries)))
            for transport, backend in backends.items():
                measured[transport].append(figures(programs["bench"], options, environment(options, backend.config)))
        for transport, backend in backends.items():
            env = environment(options, backend.config)
            slopes[transport] = {name: slope(programs[name], env, work) for name in ["vector_add", "launch_burst", "local_calls"]}
            if options.launches != "0":
                memory[transport] = watch_memory(programs["launch_many"], options.launches, env, backend)
    finally:
        for backend in backends.values():
            backend.stop()

    medians = {who: {name: statistics.median(found[name] for found in runs if name in found) for name in (runs[0] if runs else {})} for who, runs in measured.items()}
    print("%s, driver %s; medians of %d runs" % (gpu, driver, options.rounds))
    print("%-32s" % "figure" + "".join("%14s" % who for who in medians) + "".join("%14s" % (who + "/native") for who in transports))
    names = list(medians["native"] or medians[transports[0]])
    for name in names:
        values = [medians[who].get(name) for who in medians]
        line = "%-32s" % name + "".join("%14s" % ("-" if value is None else "%.1f" % value) for value in values)
        base = medians["native"].get(name)
        for transport in transports:
            value = medians[transport].get(name)
            line += "%14s" % ("-" if not base or value is None else "%.2f" % (value / base))
        print(line)
    print("round trips:", json.dumps(slopes))
    print("memory:", json.dumps(memory))
    with open(os.path.join(options.out, "bench.json"), "w") as file:
        json.dump({"gpu": gpu, "driver": driver, "rounds": options.rounds, "runs": measured, "medians": medians, "round_trips": slopes, "memory": memory}, file, indent=1)
    shutil.rmtree(work, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
