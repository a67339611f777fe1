#!/usr/bin/env python3
"""PyTorch's speed natively and through GVirtuS: every subject is one process that stays, and they take turns.

    python3 torch_bench.py --home dist --out results [--level both] [--turns 12] [--transports unix,tcp] [--trips]

At driver level NVIDIA's libraries run on our driver; at library level cuBLAS, cuDNN, cuFFT, cuRAND and the runtime are ours, and NVIDIA's files of these are hidden.
Prints a table of medians and ratios (of the medians; and the middle half of the turns' own ratios, each to native's turn beside it), and writes torch-bench.json. Results must be equal to native in
every turn, or the row says so. Turns of a second, since a virtual processor's speed changes within minutes by more than what is looked for.
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

# Name, steps of a turn, steps of the two runs whose difference gives the round trips of a step.
WORKLOADS = [("matmul", 1000, 1000, 500), ("train", 40, 40, 20), ("infer", 100, 100, 50), ("generate", 64, 64, 24), ("replay", 2000, 400, 200), ("copies", 3, 3, 1)]
# For a model to be made and cuDNN to choose its kernels, too.
PATIENCE = 120


def compared(name, subject, native, ours):
    """One row: a workload over one transport at one level."""
    row = {"workload": name, "over": subject.over[0], "level": subject.over[1], "turns": len(ours)}
    if subject.failed or None in native:
        return dict(row, fails=True)
    row["equal"] = all(mine["result"] == theirs["result"] for mine, theirs in zip(ours, native))
    if name == "copies":
        middle = lambda runs, rate: statistics.median(run["rates"][rate] for run in runs)
        return dict(row, rates={rate: {"native": middle(native, rate), "ours": middle(ours, rate)} for rate in native[0]["rates"]})
    seconds = lambda runs: [run["seconds"] for run in runs]
    return dict(row, **turns.compared(seconds(native), seconds(ours)))



def told(row):
    """A row of the table."""
    start = "%-10s %-7s %-5s " % (row["workload"], row["level"], row["over"])
    if row.get("fails"):
        return start + "fails"
    if "ratio" in row:
        return start + "%6s %12.4f %12.4f %7.3f %6.3f..%.3f %8.3f" % (row["equal"], row["native"] * 1e3, row["ours"] * 1e3, row["ratio"], *row["middle_half"], row.get("trips", float("nan")))
    return start + "%6s %s" % (row["equal"], "; ".join("%s %.2f/%.2f GB/s" % (key, value["ours"], value["native"]) for key, value in row["rates"].items()))


def main():
    processes.end_with_us()
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--home", default=os.path.dirname(suite.HERE))
    parser.add_argument("--out", default="gpu-results")
    parser.add_argument("--level", choices=["driver", "library", "both"], default="driver")
    parser.add_argument("--turns", type=int, default=12)
    parser.add_argument("--transports", default="shm,tcp")
    parser.add_argument("--only", default="")
    parser.add_argument("--rtt", help="a distance to the backend that is emulated: 100us, 1ms")
    parser.add_argument("--trips", action="store_true", help="also the round trips of a step, by two more processes for each row")
    options = parser.parse_args()
    options.home, options.out, options.device, options.width = os.path.abspath(options.home), os.path.abspath(options.out), "cuda", 1
    os.makedirs(options.out, exist_ok=True)
    work = tempfile.mkdtemp(prefix="gvirtus-torch-")
    processes.scratch.append(work)
    script = os.path.join(suite.HERE, "torch_workload.py")
    workloads = [w for w in WORKLOADS if not options.only or w[0] in options.only.split(",")]
    transports = options.transports.split(",")
    levels = ["driver", "library"] if options.level == "both" else [options.level]
    toolkit = suite.toolkit_of([shutil.which("nvcc") or "/usr/local/cuda/bin/nvcc"])
    vendor = suite.Vendor(toolkit)
    # The box's libraries must be the ones that PyTorch brings: results are compared bit for bit.
    options.library_dirs = vendor.packaged() or vendor.libraries
    backends = {name: suite.Backend(options, name, work, os.path.join(options.out, "torch-bench-%s.log" % name)) for name in transports}

    def described(transport, level, arguments, stats=None):
        """A program of ours as hidden.py takes it, and what has to be hidden from it."""
        env = {key: value for key, value in os.environ.items() if not key.startswith("GVIRTUS_")}
        env["GVIRTUS_CONFIG"] = backends[transport].config
        if stats:
            env["GVIRTUS_STATS"] = "json:" + stats
        if options.rtt:
            env["GVIRTUS_EMULATE"] = "rtt=" + options.rtt
        command = [sys.executable, script] + arguments
        if level == "library":
            command = [os.path.join(options.home, "bin/gvirtus"), "run", "--level", "library", "--"] + command
        else:
            env["LD_LIBRARY_PATH"] = suite.driver_level(options.home, work)
        job = {"id": "%s-%s" % (transport, level), "command": command, "cwd": work, "env": env, "timeout": PATIENCE}
        return job, vendor.hidden("ours" if level == "library" else None, options.home)

    def start(transport, level):
        errors = os.path.join(options.out, "torch-%s-%s.err" % (transport, level))
        with open(errors, "w") as file:
            popen = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": file, "text": True}
            if transport == "native":
                process = processes.start([sys.executable, script], **popen)
            else:
                job, without = described(transport, level, [])
                process = suite.start_hidden(job, options, work, without, **popen)
        subject = turns.Subject("%s at %s level" % (transport, level), process, errors, PATIENCE)
        subject.over = (transport, level)
        return subject

    def round_trips(subject, name, count):
        stats = os.path.join(work, "stats-%s-%d.json" % (name, count))
        job, without = described(*subject.over, [name, str(count)], stats)
        suite.run_hidden([job], options, work, subject.over[0], without=without)
        try:
            with open(stats) as file:
                return suite.round_trips(json.load(file))
        except (OSError, ValueError):
            return None

    gpu, driver, _ = suite.describe_machine()
    rows = []
    native = start("native", "driver")
    subjects = [start(transport, level) for transport in transports for level in levels]
    print("%-10s %-7s %-5s %6s %12s %12s %7s %14s %8s" % ("workload", "level", "over", "equal", "native ms", "ours ms", "ratio", "middle half", "trips"), flush=True)
    try:
        for name, count, long, short in workloads:
            everybody = [native] + subjects
            # The first turn makes what the others work on.
            first = [subject.turn("%s %d" % (name, short)) for subject in everybody]
            runs = [[subject.turn("%s %d" % (name, count)) for subject in everybody] for _ in range(options.turns)]
            for place, subject in enumerate(subjects, 1):
                row = compared(name, subject, [turn[0] for turn in runs], [turn[place] for turn in runs])
                if not row.get("fails"):
                    row["equal"] = row["equal"] and first[place]["result"] == first[0]["result"]
                    if options.trips:
                        # Each generation is run once before it is timed.
                        trips = [round_trips(subject, name, steps) for steps in (long, short)]
                        if None not in trips:
                            row["trips"] = (trips[0] - trips[1]) / (long - short) / (2 if name == "generate" else 1)
                rows.append(row)
                print(told(row), flush=True)
            # Whoever stops this has what is done.
            with open(os.path.join(options.out, "torch-bench.json"), "w") as file:
                json.dump({"gpu": gpu, "driver": driver, "rtt": options.rtt, "rows": rows}, file, indent=1)
    finally:
        for subject in [native] + subjects:
            subject.end()
        for backend in backends.values():
            backend.stop()
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
