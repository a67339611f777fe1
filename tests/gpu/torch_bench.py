#!/usr/bin/env python3
"""PyTorch's speed natively and through GVirtuS: every subject is one process that stays, and they take turns.

    python3 torch_bench.py --home dist --out results [--level both] [--turns 12] [--transports unix,tcp] [--trips] [--against another/dist …]

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
    """One row: a workload through an installation, over one transport at one level."""
    transport, level, home = subject.over
    row = {"workload": name, "over": transport, "level": level, "home": home, "turns": len(ours)}
    if subject.failed or None in native:
        return dict(row, fails=True)
    row["equal"] = all(mine["result"] == theirs["result"] for mine, theirs in zip(ours, native))
    # What came of the first turn counts, but not its time: it makes what the others work on.
    native, ours = native[1:], ours[1:]
    if name == "copies":
        middle = lambda runs, rate: statistics.median(run["rates"][rate] for run in runs)
        return dict(row, rates={rate: {"native": middle(native, rate), "ours": middle(ours, rate)} for rate in native[0]["rates"]})
    seconds = lambda runs: [run["seconds"] for run in runs]
    return dict(row, **turns.compared(seconds(native), seconds(ours)))


def told(row):
    """A row of the table."""
    start = "%-10s %-7s %-8s " % (row["workload"], row["level"], row["over"] + ("" if row["home"] == 0 else ", %d" % row["home"]))
    if row.get("fails"):
        return start + "fails"
    if "ratio" in row:
        return start + "%6s %12.4f %12.4f %7.3f %6.3f..%.3f %8.3f" % (row["equal"], row["native"] * 1e3, row["ours"] * 1e3, row["ratio"], *row["middle_half"], row.get("trips", float("nan")))
    return start + "%6s %s" % (row["equal"], "; ".join("%s %.2f/%.2f GB/s" % (key, value["ours"], value["native"]) for key, value in row["rates"].items()))


class Starter:
    """Starts programs natively and through installations, each with backends of its own."""

    def __init__(self, options, work):
        self.options, self.work = options, work
        self.script = os.path.join(suite.HERE, "torch_workload.py")
        self.vendor = suite.Vendor(suite.toolkit_of([shutil.which("nvcc") or "/usr/local/cuda/bin/nvcc"]))
        self.backends = {}

    def _backend(self, transport, home):
        if (transport, home) not in self.backends:
            place = os.path.join(self.work, str(home))
            os.makedirs(place, exist_ok=True)
            # The box's libraries must be the ones that PyTorch brings: results are compared bit for bit.
            options = argparse.Namespace(home=self.options.homes[home], device="cuda", library_dirs=self.vendor.packaged() or self.vendor.libraries)
            self.backends[transport, home] = suite.Backend(options, transport, place, os.path.join(self.options.out, "torch-bench-%s-%d.log" % (transport, home)))
        return self.backends[transport, home]

    def _described(self, over, arguments, stats=None):
        """A program of ours as hidden.py takes it, the installation that it uses, and what has to be hidden from it."""
        transport, level, home = over
        directory = self.options.homes[home]
        env = {key: value for key, value in os.environ.items() if not key.startswith("GVIRTUS_")}
        env["GVIRTUS_CONFIG"] = self._backend(transport, home).config
        if stats:
            env["GVIRTUS_STATS"] = "json:" + stats
        if self.options.rtt:
            env["GVIRTUS_EMULATE"] = "rtt=" + self.options.rtt
        command = [sys.executable, self.script] + arguments
        if level == "library":
            command = [os.path.join(directory, "bin/gvirtus"), "run", "--level", "library", "--"] + command
        else:
            env["LD_LIBRARY_PATH"] = suite.driver_level(directory, os.path.join(self.work, str(home)))
        job = {"id": "%s-%s-%d" % over, "command": command, "cwd": self.work, "env": env, "timeout": PATIENCE}
        return job, argparse.Namespace(home=directory, device="cuda", width=1), self.vendor.hidden("ours" if level == "library" else None, directory)

    def native(self):
        return self._subject("native", lambda **popen: processes.start([sys.executable, self.script], **popen))

    def subject(self, over):
        job, options, without = self._described(over, [])
        subject = self._subject(job["id"], lambda **popen: suite.start_hidden(job, options, self.work, without, **popen))
        subject.over = over
        return subject

    def _subject(self, name, start):
        errors = os.path.join(self.options.out, "torch-%s.err" % name)
        with open(errors, "w") as file:
            return turns.Subject(name, start(stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file, text=True), errors, PATIENCE)

    def round_trips(self, over, name, count):
        """Those of a program that makes `count` steps; None if it fails."""
        stats = os.path.join(self.work, "stats-%s-%d.json" % (name, count))
        job, options, without = self._described(over, [name, str(count)], stats)
        suite.run_hidden([job], options, self.work, over[0], without=without)
        try:
            with open(stats) as file:
                return suite.round_trips(json.load(file))
        except (OSError, ValueError):
            return None

    def trips_per_step(self, over, name, long, short):
        trips = [self.round_trips(over, name, count) for count in (long, short)]
        # Each generation is run once before it is timed.
        return None if None in trips else (trips[0] - trips[1]) / (long - short) / (2 if name == "generate" else 1)

    def stop(self):
        for backend in self.backends.values():
            backend.stop()


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--home", default=os.path.dirname(suite.HERE))
    parser.add_argument("--against", action="append", default=[], help="another installation, which takes its turns beside the first one")
    parser.add_argument("--out", default="gpu-results")
    parser.add_argument("--level", choices=["driver", "library", "both"], default="driver")
    parser.add_argument("--turns", type=int, default=12)
    parser.add_argument("--steps", type=int, help="steps of a turn, in place of what each workload has: with few of them and many turns, two installations that differ by a percent can be told apart")
    parser.add_argument("--transports", default="shm,tcp")
    parser.add_argument("--only", default="")
    parser.add_argument("--rtt", help="a distance to the backend that is emulated: 100us, 1ms")
    parser.add_argument("--trips", action="store_true", help="also the round trips of a step, by two more processes for each row")
    options = parser.parse_args()
    options.homes = [os.path.abspath(home) for home in [options.home] + options.against]
    options.out = os.path.abspath(options.out)
    return options


def main():
    processes.end_with_us()
    options = arguments()
    os.makedirs(options.out, exist_ok=True)
    work = tempfile.mkdtemp(prefix="gvirtus-torch-")
    processes.scratch.append(work)
    levels = ["driver", "library"] if options.level == "both" else [options.level]
    gpu, driver, _ = suite.describe_machine()
    starter, rows, everybody = Starter(options, work), [], []
    print("%-10s %-7s %-8s %6s %12s %12s %7s %14s %8s" % ("workload", "level", "over", "equal", "native ms", "ours ms", "ratio", "middle half", "trips"), flush=True)
    try:
        native = starter.native()
        everybody.append(native)
        for transport in options.transports.split(","):
            everybody += [starter.subject((transport, level, home)) for level in levels for home in range(len(options.homes))]
        for name, count, long, short in WORKLOADS:
            if options.only and name not in options.only.split(","):
                continue
            said = {subject: [] for subject in everybody}
            for steps in [short] + [options.steps or count] * options.turns:
                for subject in everybody:
                    said[subject].append(subject.turn("%s %d" % (name, steps)))
            for subject in everybody[1:]:
                row = compared(name, subject, said[native], said[subject])
                trips = starter.trips_per_step(subject.over, name, long, short) if options.trips and "ratio" in row else None
                rows.append(row if trips is None else dict(row, trips=trips))
                print(told(rows[-1]), flush=True)
            # Whoever stops this has what is done.
            with open(os.path.join(options.out, "torch-bench.json"), "w") as file:
                json.dump({"gpu": gpu, "driver": driver, "rtt": options.rtt, "homes": len(options.homes), "rows": rows}, file, indent=1)
    finally:
        for subject in everybody:
            subject.end()
        starter.stop()
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
