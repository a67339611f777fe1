#!/usr/bin/env python3
"""What compute libraries cost through GVirtuS at library level, against native: times, round trips, and whether the results are equal. Everybody is one process that stays, and they take turns.

    python3 library_bench.py --home dist --out results [--starts 3] [--turns 6] [--transports shm,tcp] [--only sgemm,cufft]

The program is fixtures/library_costs.cu. Through us it runs where no library of NVIDIA's can be seen. Prints a table and writes library-bench.json; ends with 1 if a goal is missed.
On the CPU device (--device cpu) there are small sizes, no native side and no cuDNN: it is round trips that are held against the goals.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile

import backend as suite
import processes
import turns

FIXTURES = next(path for path in [os.path.join(suite.HERE, "fixtures"), os.path.join(suite.HERE, "../fixtures")] if os.path.isdir(path))
# Repetitions of a turn, and what is asked for: a repetition's round trips beyond its synchronization, those of the libraries in a first repetition, and how many times native's time it may take over a transport.
GOALS = {
    "sgemm": {"repetitions": 10, "more": 0, "ratio": {"shm": 1.02, "tcp": 1.05}},
    "cublaslt": {"repetitions": 10, "more": 0, "first": 3, "ratio": {}},
    "cudnn": {"repetitions": 20, "more": 0, "ratio": {}},
    "cufft": {"repetitions": 10, "more": 0, "ratio": {"shm": 1.02, "tcp": 1.02}},
    "curand": {"repetitions": 20, "more": 0, "ratio": {"shm": 1.02, "tcp": 1.02}},
}
LIBRARIES = ("cublas", "cudnn", "cufft", "curand")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--home", default=os.path.dirname(suite.HERE))
    parser.add_argument("--out", default="gpu-results")
    parser.add_argument("--starts", type=int, default=3, help="how often the processes are started anew: how fast one is can depend on where it came to run")
    parser.add_argument("--turns", type=int, default=6, help="turns of each start")
    parser.add_argument("--transports", default="shm,tcp")
    parser.add_argument("--only", default="")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--hide", action="store_true", help="hide NVIDIA's files on the CPU device too")
    parser.add_argument("--nvcc", help="the compiler and fixed arguments, in one string")
    parser.add_argument("--vendor", help="a directory whose lib holds NVIDIA's compute libraries (default: the toolkit's, and those of this Python's packages)")
    options = parser.parse_args()
    options.home, options.out, options.width = os.path.abspath(options.home), os.path.abspath(options.out), 1
    return options


def build(options, nvcc, work):
    _, _, arch = suite.describe_machine()
    program = os.path.join(work, "library_costs")
    arch = "compute_80" if options.device == "cpu" else arch
    code, out, errors = processes.run(nvcc + ["--cudart=shared", "-std=c++17", "-O2", "-w", "-arch=" + arch, os.path.join(FIXTURES, "library_costs.cu"), "-o", program], timeout=300, cwd=work)
    if code != 0:
        raise SystemExit("the program does not build:\n" + (out + errors)[-3000:])
    return program


class Runner:
    def __init__(self, options, program, vendor, work):
        self.options, self.program, self.vendor, self.work = options, program, vendor, work
        self.large = ["large"] if options.device == "cuda" else []

    def natively(self, name):
        path = ":".join(self.vendor.libraries + [os.environ.get("LD_LIBRARY_PATH", "")])
        return self._subject(name, "native", dict(os.environ, LD_LIBRARY_PATH=path), processes.start)

    def through_us(self, name, transport, config):
        env = {key: value for key, value in os.environ.items() if not key.startswith("GVIRTUS_")}
        env.update(LD_LIBRARY_PATH=os.path.join(self.options.home, "lib"), GVIRTUS_CONFIG=config, GVIRTUS_STATS="json:" + self._stats(transport))
        job = {"id": transport, "cwd": self.work, "env": env}
        without = self.vendor.hidden("all", self.options.home)
        return self._subject(name, transport, env, lambda command, env, **popen: suite.start_hidden(dict(job, command=command), self.options, self.work, without, **popen))

    def _subject(self, name, who, env, start):
        errors = os.path.join(self.options.out, "library-%s.err" % who)
        with open(errors, "w") as file:
            process = start([self.program, name, str(GOALS[name]["repetitions"])] + self.large + ["turns"], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file, text=True)
        return turns.Subject("%s, %s" % (name, who), process, errors)

    def _stats(self, transport):
        return os.path.join(self.work, "stats-%s.json" % transport)

    def once(self, name, transport, config):
        """The round trips of a single repetition."""
        env = {key: value for key, value in os.environ.items() if not key.startswith("GVIRTUS_")}
        env.update(LD_LIBRARY_PATH=os.path.join(self.options.home, "lib"), GVIRTUS_CONFIG=config, GVIRTUS_STATS="json:" + self._stats(transport))
        job = {"id": "once", "command": [self.program, name, "1"] + self.large, "cwd": self.work, "env": env, "timeout": 300}
        result = suite.run_hidden([job], self.options, self.work, transport, without=self.vendor.hidden("all", self.options.home))["once"]
        if result["code"] != 0:
            print("%s over %s fails: %s" % (name, transport, (result["out"] + result["err"])[-500:]))
            return None
        return self.counted(transport)

    def counted(self, transport):
        """The round trips of a program that has ended."""
        try:
            with open(self._stats(transport)) as file:
                counted = json.load(file)
        except (OSError, ValueError):
            return None
        return {"trips": suite.round_trips(counted), "by_libraries": sum(called["round_trips"] for called in counted["functions"] if called["name"].startswith(LIBRARIES))}

    def measure(self, name, configs):
        """What each did in all starts: seconds of its turns, what came of it, and a process's round trips."""
        starts = [self._start(name, configs) for _ in range(self.options.starts)]
        found = {}
        for who, last in starts[-1].items():
            mine = [start[who] for start in starts]
            if None in mine or len({one["result"] for one in mine}) > 1:
                found[who] = None
            else:
                found[who] = dict(last, seconds=[turn for one in mine for turn in one["seconds"]])
        return found

    def _start(self, name, configs):
        subjects = {} if self.options.device == "cpu" else {"native": self.natively(name)}
        subjects.update({transport: self.through_us(name, transport, config) for transport, config in configs.items()})
        seconds = {who: [] for who in subjects}
        # The first turn makes what the others need.
        for turn in range(self.options.turns + 1):
            for who, subject in subjects.items():
                said = subject.turn("")
                if said and turn > 0:
                    seconds[who].append(said["seconds"])
        found = {}
        for who, subject in subjects.items():
            result = subject.end()
            found[who] = None if subject.failed or result is None else dict((who != "native" and self.counted(who)) or {}, seconds=seconds[who], result=result)
        return found


def row_of(name, transport, native, ours, once, repetitions):
    """What was measured of a workload over a transport, and which of its goals are missed. `native` is False where there is none; `repetitions` are those of all turns."""
    goal = GOALS[name]
    row = {"workload": name, "over": transport, "missed": []}
    if not ours or "trips" not in ours or not once:
        return dict(row, missed=["fails"])
    # Each repetition ends with a synchronization.
    row["more_trips"] = (ours["trips"] - once["trips"]) / (repetitions - 1) - 1
    row["first_trips"] = once["by_libraries"]
    row["ours"] = statistics.median(ours["seconds"])
    if row["more_trips"] > goal["more"]:
        row["missed"].append("%.2f round trips beyond the synchronization" % row["more_trips"])
    if row["first_trips"] > goal.get("first", row["first_trips"]):
        row["missed"].append("%d round trips of the libraries at first, at most %d asked for" % (row["first_trips"], goal["first"]))
    if native is None:
        return dict(row, missed=["fails natively"])
    if native:
        row.update(turns.compared(native["seconds"], ours["seconds"]))
        row["equal"] = native["result"] == ours["result"]
        if not row["equal"]:
            row["missed"].append("results differ")
        if row["ratio"] > goal["ratio"].get(transport, row["ratio"]):
            row["missed"].append("%.3f times native, at most %.2f asked for" % (row["ratio"], goal["ratio"][transport]))
    return row


def table(rows):
    lines = ["%-10s %-5s %12s %12s %7s %14s %6s %11s %12s  %s" % ("workload", "over", "native ms", "ours ms", "ratio", "middle half", "equal", "more trips", "first trips", "goals")]
    number = lambda row, key, form, times=1: form % (row[key] * times) if key in row else "-"
    for row in rows:
        lines.append("%-10s %-5s %12s %12s %7s %14s %6s %11s %12s  %s" % (
            row["workload"], row["over"], number(row, "native", "%.4f", 1e3), number(row, "ours", "%.4f", 1e3), number(row, "ratio", "%.3f"),
            "%.3f..%.3f" % tuple(row["middle_half"]) if "middle_half" in row else "-", row.get("equal", "-"),
            number(row, "more_trips", "%.2f"), number(row, "first_trips", "%d"), "; ".join(row["missed"]) or "reached"))
    return "\n".join(lines)


def main():
    processes.end_with_us()
    options = arguments()
    os.makedirs(options.out, exist_ok=True)
    work = tempfile.mkdtemp(prefix="gvirtus-library-bench-")
    processes.scratch.append(work)
    nvcc = (options.nvcc or shutil.which("nvcc") or "/usr/local/cuda/bin/nvcc").split()
    vendor = suite.Vendor(suite.toolkit_of(nvcc), options.vendor)
    options.library_dirs = vendor.libraries if options.device == "cuda" else None
    runner = Runner(options, build(options, nvcc, work), vendor, work)
    transports = options.transports.split(",")
    names = [name for name in GOALS if (not options.only or name in options.only.split(",")) and (options.device == "cuda" or name != "cudnn")]
    backends = {name: suite.Backend(options, name, work, os.path.join(options.out, "library-bench-%s.log" % name)) for name in transports}
    rows = []
    try:
        for name in names:
            configs = {transport: backend.config for transport, backend in backends.items()}
            found = runner.measure(name, configs)
            for transport in transports:
                once = runner.once(name, transport, configs[transport])
                native = found.get("native", False)
                rows.append(row_of(name, transport, native, found[transport], once, GOALS[name]["repetitions"] * (options.turns + 1)))
    finally:
        for started in backends.values():
            started.stop()
        shutil.rmtree(work, ignore_errors=True)
    print(table(rows))
    gpu, driver, _ = suite.describe_machine()
    with open(os.path.join(options.out, "library-bench.json"), "w") as file:
        json.dump({"gpu": gpu, "driver": driver, "starts": options.starts, "turns": options.turns, "rows": rows}, file, indent=1)
    return 1 if any(row["missed"] for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
