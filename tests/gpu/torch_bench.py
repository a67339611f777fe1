#!/usr/bin/env python3
"""PyTorch's speed natively and through GVirtuS, by turns in one run, with the round trips of a step.

    python3 torch_bench.py --home dist --out results [--level both] [--rounds 3] [--transports unix,tcp]

At driver level NVIDIA's libraries run on our driver; at library level cuBLAS, cuDNN, cuFFT, cuRAND and the runtime are ours, and NVIDIA's files of these are hidden.
Prints a table of medians and ratios, and writes torch-bench.json. Results must be equal to native, or the row says so.
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

import backend as suite
import processes

# Name, steps of a timed run, steps of a short run (the difference gives the round trips of a step).
WORKLOADS = [("matmul", 2000, 1000), ("train", 60, 20), ("infer", 200, 60), ("generate", 64, 24), ("replay", 500, 200), ("copies", 3, 0)]


def parse(text):
    found = {"result": re.findall(r"^result (.*)$", text, re.M), "rates": dict((name, float(rate)) for name, rate in re.findall(r"^rate (.+) (\S+)$", text, re.M))}
    seconds = re.search(r"^seconds (\S+)$", text, re.M)
    found["seconds"] = float(seconds.group(1)) if seconds else None
    return found


def compared(name, subject, native, ours, count, short, brief_run):
    """One row: a workload over one transport at one level."""
    row = {"workload": name, "over": subject[0], "level": subject[1]}
    if None in ours:
        return dict(row, fails=True)
    row["equal"] = all(run["result"] == native[0]["result"] for run in ours)
    if name == "copies":
        for rate in native[0]["rates"]:
            middle = lambda runs: statistics.median(run["rates"][rate] for run in runs)
            row[rate] = {"native": middle(native), "ours": middle(ours)}
        return row
    middle = lambda runs: statistics.median(run["seconds"] for run in runs)
    row.update(native=middle(native), ours=middle(ours), ratio=middle(ours) / middle(native))
    brief = brief_run()
    if brief and brief["trips"] is not None and ours[0]["trips"] is not None:
        # A generation is run twice.
        row["trips"] = (ours[0]["trips"] - brief["trips"]) / (count - short) / (2 if name == "generate" else 1)
    return row


def told(row):
    """A row of the table."""
    start = "%-10s %-7s %-5s " % (row["workload"], row["level"], row["over"])
    if row.get("fails"):
        return start + "fails"
    if "ratio" in row:
        return start + "%6s %12.4f %12.4f %7.3f %8.3f" % (row["equal"], row["native"] * 1e3, row["ours"] * 1e3, row["ratio"], row.get("trips", float("nan")))
    rates = "; ".join("%s %.2f/%.2f GB/s" % (key, value["ours"], value["native"]) for key, value in row.items() if isinstance(value, dict))
    return start + "%6s %s" % (row["equal"], rates)


def main():
    processes.end_with_us()
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--home", default=os.path.dirname(suite.HERE))
    parser.add_argument("--out", default="gpu-results")
    parser.add_argument("--level", choices=["driver", "library", "both"], default="driver")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--transports", default="shm,tcp")
    parser.add_argument("--only", default="")
    parser.add_argument("--rtt", help="a distance to the backend that is emulated: 100us, 1ms")
    options = parser.parse_args()
    options.home, options.out, options.device, options.width = os.path.abspath(options.home), os.path.abspath(options.out), "cuda", 1
    os.makedirs(options.out, exist_ok=True)
    work = tempfile.mkdtemp(prefix="gvirtus-torch-")
    script = os.path.join(suite.HERE, "torch_workload.py")
    workloads = [w for w in WORKLOADS if not options.only or w[0] in options.only.split(",")]
    transports = options.transports.split(",")
    levels = ["driver", "library"] if options.level == "both" else [options.level]
    subjects = [(transport, level) for transport in transports for level in levels]
    toolkit = suite.toolkit_of([shutil.which("nvcc") or "/usr/local/cuda/bin/nvcc"])
    vendor = suite.Vendor(toolkit)
    # The box's libraries must be the ones that PyTorch brings: results are compared bit for bit.
    options.library_dirs = vendor.packaged() or vendor.libraries
    backends = {name: suite.Backend(options, name, work, os.path.join(options.out, "torch-bench-%s.log" % name)) for name in transports}

    def ours(subject, name, count):
        transport, level = subject
        env = {key: value for key, value in os.environ.items() if not key.startswith("GVIRTUS_")}
        stats = os.path.join(work, "stats.json")
        env.update(GVIRTUS_CONFIG=backends[transport].config, GVIRTUS_STATS="json:" + stats)
        if options.rtt:
            env["GVIRTUS_EMULATE"] = "rtt=" + options.rtt
        command = [sys.executable, script, name, str(count)]
        if level == "library":
            command = [os.path.join(options.home, "bin/gvirtus"), "run", "--level", "library", "--"] + command
        else:
            env["LD_LIBRARY_PATH"] = suite.driver_level(options.home, work)
        job = {"id": "x", "command": command, "cwd": work, "env": env, "timeout": 120}
        result = suite.run_hidden([job], options, work, transport, without=vendor.hidden("ours" if level == "library" else None, options.home))["x"]
        if result["code"] != 0:
            print("%s over %s at %s level fails:\n%s" % (name, transport, level, result["err"][-1500:]))
            return None
        found = parse(result["out"])
        try:
            with open(stats) as file:
                found["trips"] = suite.round_trips(json.load(file))
        except (OSError, ValueError):
            found["trips"] = None
        return found

    def native(name, count):
        done = subprocess.run([sys.executable, script, name, str(count)], capture_output=True, text=True)
        return parse(done.stdout)

    gpu, driver, _ = suite.describe_machine()
    print("%-10s %-7s %-5s %6s %12s %12s %7s %8s" % ("workload", "level", "over", "equal", "native ms", "ours ms", "ratio", "trips"), flush=True)
    rows = []
    try:
        for name, count, short in workloads:
            runs = {key: [] for key in ["native"] + subjects}
            for _ in range(options.rounds):
                runs["native"].append(native(name, count))
                for subject in subjects:
                    runs[subject].append(ours(subject, name, count))
            for subject in subjects:
                rows.append(compared(name, subject, runs["native"], runs[subject], count, short, lambda: ours(subject, name, short)))
                print(told(rows[-1]), flush=True)
            # Whoever stops this has what is done.
            with open(os.path.join(options.out, "torch-bench.json"), "w") as file:
                json.dump({"gpu": gpu, "driver": driver, "rtt": options.rtt, "rows": rows}, file, indent=1)
    finally:
        for backend in backends.values():
            backend.stop()


if __name__ == "__main__":
    sys.exit(main())
