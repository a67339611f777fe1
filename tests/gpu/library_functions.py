#!/usr/bin/env python3
"""Every function of NVIDIA's libraries on the same inputs, natively (twice) and through GVirtuS: status, results and every byte of every operand must be the same.

    python3 library_functions.py [LIBRARY,…] [--out DIR]        on a machine with a GPU, in a packed suite: all libraries
    python3 library_functions.py cublas --device cpu --native ''   without one: what of it succeeds on the CPU device

What is called, and with what, stands in functions/<library>.py; the parameters of cuBLAS and NVML come from the tables that ours are made of. A call whose two native runs differ is held to its status alone. A call that ends the process is not made again: the process is started once more without it, and natively that call then says nothing.
Prints a table, the differences, and a line for each library; writes DIR/<library>-<gpu>.json, which belongs into tests/gpu/results: with a verdict for each function, from which STATUS.md has its "verified" and its reasons.
"""
import argparse
import ctypes
import datetime
import importlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

from functions.common import Library, Notes

HERE = pathlib.Path(__file__).resolve().parent
# In the order of how long they take; NVML's by itself, since it watches the others.
LIBRARIES = ["cudnn", "cublas", "cublaslt", "curand", "cufft", "cufftw", "nvml"]
# Verdicts, from best to worst.
EQUAL, STATUS, REFUSED, LACKING, NO_PERMISSION, ENDS, DIFFERS = "equal", "status equal, results vary natively", "refused natively", "not in this version", "not permitted", "ends the program natively", "DIFFERS"
# How many calls of one library may end the process before it is given up.
ENDS_MOST = 40


def child(arguments):
    """One run of one library's functions, in a process of its own."""
    from functions.common import NOTES, Device

    if arguments.notes:
        NOTES.keep(arguments.notes, filter(None, arguments.avoid.split(",")))
    module = importlib.import_module("functions." + arguments.libraries)
    arguments.tables = next(path for path in (HERE / "tables", HERE.parent.parent / "wire/src/api") if path.is_dir())
    module.run(None if arguments.libraries == "nvml" else Device(arguments.blank), arguments)
    print("complete", flush=True)


class Run:
    """What a process of one library's functions printed."""

    def __init__(self, library, which, libraries, extra, options):
        self.library, self.which = library, which
        command = [sys.executable, "-B", str(HERE / "library_functions.py"), library, "--child"] + (["--ours"] if which == "ours" else []) + (["--blank"] if options.over else [])
        if options.only:
            command += ["--only", options.only]
        environment = {**{key: value for key, value in os.environ.items() if not key.startswith("GVIRTUS_")}, **extra}
        environment["LD_LIBRARY_PATH"] = ":".join(part for part in [libraries, os.environ.get("LD_LIBRARY_PATH", "") if which != "ours" else ""] if part)
        self.ended, self.calls, self.last, self.complete = [], {}, "nothing", False
        began = time.monotonic()
        with tempfile.NamedTemporaryFile() as notes:
            notes.write(bytes(Notes.SIZE))
            notes.flush()
            while self.attempt(command + ["--notes", notes.name, "--avoid", ",".join(self.ended)], environment, options) and len(self.ended) < ENDS_MOST:
                call = Notes.read(notes.name, self.code != Notes.FAULTED)
                if not call or call in self.ended:
                    break
                self.ended.append(call)
        self.seconds = time.monotonic() - began

    def attempt(self, command, environment, options):
        """Runs the functions, but for those calls that ended it before; whether another one has."""
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
            process = subprocess.Popen(command, env=environment, stdout=out, stderr=errors, start_new_session=True)
            try:
                self.code = process.wait(max(1, options.until - time.monotonic()))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                self.code = "no time left"
            out.seek(0)
            errors.seek(0)
            lines, self.errors = out.read().splitlines(), errors.read()
        # Libraries write to standard output as well: cuBLAS what it thinks of arguments, cuFFTW its plans.
        words = [line.split() for line in lines if re.match(r"(cu|fftw|nvml)\w+ ", line)]
        # Where a later attempt has no time left, what an earlier one saw stands.
        self.calls.update({tuple(line[:4]): line[4:] for line in words if len(line) > 4})
        self.last = " ".join(words[-1]) if words else "nothing"
        self.complete = "complete" in lines
        return not self.complete and isinstance(self.code, int) and (self.code < 0 or self.code == Notes.FAULTED)

    def trouble(self):
        return None if self.complete else "%s, %s: ended with %s after %d calls, the last of them %s\n%s" % (self.library, self.which, self.code, len(self.calls), self.last, self.errors[-1500:])


def compare(first, second, ours, complete, known=(), varies=lambda key: False):
    """The verdicts by function, and the calls that differ, but for those that are `known` to. What `varies` by its documentation is held to its status even if two native runs agree.
    Unless all runs are complete, calls that one of them did not come to say nothing."""
    verdicts, unlike = {}, []
    for name in {key[0] for key in list(first) + list(ours)}:
        verdicts[name] = []
    for key, native in first.items():
        got, again = ours.get(key), second.get(key)
        seen = verdicts[key[0]]
        if (key[0], key[1]) in known:
            continue
        if native[0] == Library.LACKING:
            seen.append(LACKING)
        elif Library.ENDED in (native[0], again[0] if again else None):
            # What a program sees that does not end there says nothing.
            seen.append(ENDS)
        elif (got is None or again is None) and not complete:
            continue
        elif got == native == again:
            seen.append(EQUAL if native[0] == "0" else REFUSED)
        elif again is not None and (native != again or varies(key)) and got is not None and (got[0] in (native[0], again[0])):
            # What it tells is another thing each time.
            seen.append(STATUS if native[0] == "0" else REFUSED)
        else:
            seen.append(DIFFERS)
            if (key[0], None) not in known:
                unlike.append((key, native, got))
    for key, got in ours.items():
        if key[1] == "refused":
            # Natively it is not called: it would change the machine.
            verdicts[key[0]].append(NO_PERMISSION if got[0] == "4" else DIFFERS)
            if got[0] != "4":
                unlike.append((key, ["is", "not", "called"], got))
        elif key not in first and complete:
            verdicts[key[0]].append(DIFFERS)
            unlike.append((key, ["nothing"], got))
    order = [DIFFERS, NO_PERMISSION, EQUAL, STATUS, REFUSED, ENDS, LACKING]
    return {name: next(verdict for verdict in order if verdict in seen) for name, seen in verdicts.items() if seen}, unlike


def record(verdicts, natives, gpu, driver, known=None):
    """What is kept: functions that were seen to do what they do natively, and what is to be said of the others."""
    kept = {"date": datetime.date.today().isoformat(), "gpu": gpu, "driver": driver, "functions": {}, "unverified": {}, "incomparable": []}
    for name, verdict in sorted(verdicts.items()):
        if verdict in (EQUAL, STATUS):
            kept["functions"][name] = {"verdict": verdict}
        elif verdict == REFUSED:
            statuses = sorted({value[0] for key, value in natives.items() if key[0] == name})
            kept["unverified"][name] = "returns %s natively on this machine, and through GVirtuS" % ", ".join(statuses)
        elif verdict == ENDS:
            kept["unverified"][name] = "NVIDIA's own ends the program"
        elif verdict == LACKING:
            kept["unverified"][name] = "the library of the machine that was compared with lacks it"
        elif verdict == DIFFERS:
            kept["unverified"][name] = (known or {}).get((name, None), "differs")
        if verdict in (REFUSED, ENDS, LACKING):
            # What it computes cannot be seen on this machine.
            kept["incomparable"].append(name)
    return kept


class Backend:
    def __init__(self, options, directory, environment):
        self.config = pathlib.Path(directory, "properties.json")
        plugins = sorted(re.sub(r".*plugin_(\w+)\.so$", r"\1", str(path)) for path in pathlib.Path(options.home, "lib/plugins").glob("*.so"))
        self.config.write_text(json.dumps({
            "communicator": [{"endpoint": {"suite": "unix", "protocol": "unix", "path": f"{directory}/s"}, "plugins": plugins}],
            "device": options.device,
            "library_dirs": [path for path in options.native.split(":") if path],
        }))
        self.log = open(f"{directory}/log", "w+")
        self.process = subprocess.Popen([f"{options.home}/bin/gvirtus-backend", str(self.config)], stdout=self.log, stderr=self.log, env={**os.environ, **environment})
        for _ in range(300):
            if pathlib.Path(directory, "s").exists():
                break
            time.sleep(0.1)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.seek(0)
        text = self.log.read()
        self.log.close()
        return text


def machine():
    if not shutil.which("nvidia-smi"):
        return "CPU device", "none"
    query = subprocess.run(["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader", "-i", "0"], capture_output=True, text=True)
    gpu, _, driver = query.stdout.strip().partition(", ")
    return gpu, driver


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("libraries", nargs="?", default=",".join(LIBRARIES))
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--ours", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--blank", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--notes", help=argparse.SUPPRESS)
    parser.add_argument("--avoid", default="", help=argparse.SUPPRESS)
    parser.add_argument("--native", help="directories of NVIDIA's libraries, with colons between (default: the toolkit's, and those of this Python's packages); empty: only ours runs")
    parser.add_argument("--over", help="where there is no GPU: a configuration of GVirtuS, by which NVIDIA's libraries run on our driver in place of natively; --device is our libcuda.so.1 then")
    parser.add_argument("--home", default=str(HERE.parent))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--only", help="functions whose names match, of those that have a table")
    parser.add_argument("--limit", type=float, default=170, help="seconds for all")
    parser.add_argument("--width", type=int, default=max(1, min(9, (os.cpu_count() or 1) - 2)), help="processes at once")
    parser.add_argument("--out", default=os.environ.get("OUT", "gpu-results"))
    options = parser.parse_args()
    if options.child:
        return child(options)
    options.until = time.monotonic() + options.limit
    wanted = options.libraries.split(",")
    if options.native is None:
        from backend import Vendor, toolkit_of

        options.native = ":".join(Vendor(toolkit_of([shutil.which("nvcc") or "/usr/local/cuda/bin/nvcc"])).libraries)
    runs = {}
    with tempfile.TemporaryDirectory() as directory:
        over = {"GVIRTUS_CONFIG": options.over, "GVIRTUS_LIB": f"{options.home}/lib/libgvirtus.so"} if options.over else {}
        backend = Backend(options, directory, over)
        try:
            natively = [("native 1", options.native, over), ("native 2", options.native, over)] if options.native else []
            three = natively + [("ours", f"{options.home}/lib", {"GVIRTUS_CONFIG": str(backend.config)})]
            for group in [[library for library in wanted if library == "nvml"], [library for library in LIBRARIES if library in wanted and library != "nvml"]]:
                with ThreadPoolExecutor(options.width) as pool:
                    jobs = [(library, *run) for library in group for run in three]
                    for run in pool.map(lambda job: Run(*job, options), jobs):
                        runs[run.library, run.which] = run
        finally:
            log = backend.stop()
    out = pathlib.Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    (out / "library-functions.log").write_text(log)
    gpu, driver = machine()
    if options.device == "cpu":
        gpu, driver = "CPU device", "none"
    return conclude(wanted, runs, gpu, driver, out, bool(natively))


def conclude(wanted, runs, gpu, driver, out, natively):
    bad, table, problems = False, [], []
    for library in wanted:
        mine = [run for (name, _), run in runs.items() if name == library]
        problems += ["%s, %s: the program ends in %s" % (library, run.which, ", ".join(run.ended)) for run in mine if run.ended]
        bad |= any(set(run.ended) - {call for other in mine if other is not run for call in other.ended} for run in mine if run.which == "ours")
        problems += [run.trouble() for run in mine if run.trouble()]
        bad |= any(run.trouble() for run in mine)
        ours = runs[library, "ours"]
        if not natively:
            good = {key[0] for key, value in ours.calls.items() if value[0] == "0"}
            table.append("%-10s %6d calls; %d of %d functions succeed in %.0f s" % (library, len(ours.calls), len(good), len({key[0] for key in ours.calls}), ours.seconds))
            continue
        first, second = runs[library, "native 1"], runs[library, "native 2"]
        module = importlib.import_module("functions." + library)
        known, varies = getattr(module, "KNOWN", {}), getattr(module, "varies", lambda key: False)
        reasons = {**known, **getattr(module, "UNEXPLAINED", {})}
        verdicts, unlike = compare(first.calls, second.calls, ours.calls, all(run.complete for run in mine), known, varies)
        bad |= bool(unlike)
        (out / ("%s-%s.json" % (library, slug(gpu)))).write_text(json.dumps(record(verdicts, first.calls, gpu, driver, reasons), indent=1) + "\n")
        counts = ", ".join("%d %s" % (list(verdicts.values()).count(verdict), verdict) for verdict in (EQUAL, STATUS, REFUSED, ENDS, LACKING, NO_PERMISSION, DIFFERS) if verdict in verdicts.values())
        table.append("%-10s %6d calls of %d functions: %s (%.0f s natively, %.0f s ours)" % (library, len(first.calls), len(verdicts), counts, first.seconds, ours.seconds))
        (out / f"{library}-functions.txt").write_text("".join("%-60s %s\n" % pair for pair in sorted(verdicts.items())))
        shown = 0
        for key, native, got in unlike:
            line = "%s: natively %s, ours %s" % (" ".join(key), " ".join(native), " ".join(got or ["nothing"]))
            problems += [line] if shown < 200 else []
            shown += 1
    text = "\n".join(problems + table) + "\n"
    (out / "library-functions.txt").write_text(text)
    print(text[-60000:])
    return int(bad)


def slug(gpu):
    """`NVIDIA H100 80GB HBM3` is h100, as other records of it are."""
    words = [word for word in gpu.lower().split() if any(c.isdigit() for c in word)]
    return words[0] if words else "cpu"


if __name__ == "__main__":
    sys.exit(main())
