#!/usr/bin/env python3
"""Deaths on a GPU: a killed client's memory is free within a second, a killed worker gives its client a CUDA error, and the daemon survives both, many times in a row.

    python3 faults.py --home dist --out results
"""

import argparse
import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import bench
import backend as suite
import processes

HERE = os.path.dirname(os.path.abspath(__file__))
MEBIBYTES = 4096


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--home", default=os.path.dirname(HERE))
    parser.add_argument("--fixtures", default=os.path.join(HERE, "fixtures"))
    parser.add_argument("--out", default="gpu-faults")
    parser.add_argument("--deaths", type=int, default=100)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--nvcc", help="the compiler and fixed arguments, in one string")
    return parser.parse_args()


class Memory:
    """Bytes in use on GPU 0, by NVML: a call takes microseconds."""

    class Info(ctypes.Structure):
        _fields_ = [("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong)]

    def __init__(self):
        self.nvml = ctypes.CDLL("libnvidia-ml.so.1")
        self.device = ctypes.c_void_p()
        if self.nvml.nvmlInit_v2() or self.nvml.nvmlDeviceGetHandleByIndex_v2(0, ctypes.byref(self.device)):
            raise SystemExit("NVML does not answer")

    def used(self):
        info = self.Info()
        self.nvml.nvmlDeviceGetMemoryInfo(self.device, ctypes.byref(info))
        return info.used


def start(program, env, mebibytes):
    client = subprocess.Popen([program, str(mebibytes)], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return client, client.stdout.readline().strip() == "ready"


def ask(client):
    client.stdin.write("\n")
    client.stdin.flush()
    return client.stdout.readline().strip()


def workers(backend):
    return set(bench.children(backend.process.pid))


def freed_after_kill(program, env, memory):
    """Seconds from the kill of a client that holds gigabytes until most of them are free."""
    client, ready = start(program, env, MEBIBYTES)
    if not ready:
        client.kill()
        return None
    time.sleep(1.0)
    goal = memory.used() - (MEBIBYTES << 20) * 9 // 10
    began = time.monotonic()
    client.kill()
    client.wait()
    while memory.used() > goal:
        if time.monotonic() - began > 10:
            return None
        time.sleep(0.005)
    return round(time.monotonic() - began, 3)


def error_after_worker_death(program, env, backend):
    """What a client says after its worker is killed."""
    before = workers(backend)
    client, ready = start(program, env, 64)
    if not ready:
        client.kill()
        return "did not start"
    # A warm worker took the session: it is the one whose descriptor table holds the client's connection; killing all of them is the same to this client.
    for pid in before | workers(backend):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    began = time.monotonic()
    answer = ask(client)
    seconds = time.monotonic() - began
    try:
        client.wait(10)
    except subprocess.TimeoutExpired:
        client.kill()
        return "hangs"
    return "%s" % answer if seconds < 5 else "%s after %.1f s" % (answer, seconds)


def main():
    processes.end_with_us()
    options = arguments()
    for key in ["home", "fixtures", "out"]:
        setattr(options, key, os.path.abspath(getattr(options, key)))
    os.makedirs(options.out, exist_ok=True)
    work = tempfile.mkdtemp(prefix="gvirtus-faults-")
    gpu, driver, arch = suite.describe_machine()
    nvcc = (options.nvcc or shutil.which("nvcc") or "/usr/local/cuda/bin/nvcc").split()
    programs = {}
    for name in ["long_lived", "sticky_fault", "vector_add"]:
        programs[name] = os.path.join(work, name)
        source = os.path.join(options.fixtures, name + ".cu")
        subprocess.run(nvcc + ["--cudart=shared", "-std=c++17", "-arch=" + arch, source, "-o", programs[name]], check=True)
    backend = suite.Backend(options, "tcp", work, os.path.join(options.out, "faults-backend.log"))
    env = bench.environment(options, backend.config)
    result = {"gpu": gpu, "driver": driver}
    healthy = lambda: subprocess.run([programs["vector_add"]], env=env, capture_output=True, timeout=60).returncode == 0
    try:
        memory = Memory()
        result["freed_after_seconds"] = [freed_after_kill(programs["long_lived"], env, memory) for _ in range(5)]
        result["after_worker_death"] = sorted({error_after_worker_death(programs["long_lived"], env, backend) for _ in range(3)})

        # A fault in one program while another is at work.
        neighbour, ready = start(programs["long_lived"], env, 64)
        before = ask(neighbour)
        faulting = subprocess.run([programs["sticky_fault"]], env=env, capture_output=True, timeout=60).returncode
        result["neighbour_of_a_fault"] = [ready, before, faulting, ask(neighbour)]
        neighbour.stdin.close()
        neighbour.wait(10)

        deaths = 0
        began = time.monotonic()
        for i in range(options.deaths):
            client, ready = start(programs["long_lived"], env, 16)
            if i % 2:
                for pid in workers(backend):
                    try:
                        os.kill(pid, signal.SIGKILL)
                    except ProcessLookupError:
                        pass
                ask(client)
            client.kill()
            client.wait()
            deaths += ready and backend.process.poll() is None
        result["deaths_survived"] = [deaths, options.deaths, round(time.monotonic() - began, 1)]
        result["healthy_afterwards"] = healthy()
    finally:
        backend.stop()
        shutil.rmtree(work, ignore_errors=True)
    print(json.dumps(result, indent=1))
    with open(os.path.join(options.out, "faults.json"), "w") as file:
        json.dump(result, file, indent=1)
    times = result["freed_after_seconds"]
    good = all(t is not None and t < 1 for t in times) and result["healthy_afterwards"] and result["deaths_survived"][0] == options.deaths
    return 0 if good and result["neighbour_of_a_fault"][3] == "2" else 1


if __name__ == "__main__":
    sys.exit(main())
