#!/usr/bin/env python3
"""The GPU suite: builds CUDA programs with this machine's nvcc, runs each natively and through GVirtuS with the GPU hidden, and compares.

    python3 run.py --home dist --samples dist/gpu-suite/samples --out results

Needs python3, nvcc and g++, the right to unshare(2), and a GPU. With --device cpu it needs none of the latter: then programs are held to their expected output,
or to the exit code recorded from a GPU and their own verdict. Prints a table; writes results.json, table.txt, failures.txt and the backends' logs to --out.
Known differences stand in expectations.json, each with its reason; one that is gone fails the run like a new one.

What was compiled elsewhere (`cargo xtask dist --programs 12,13`) lies in cuda12/ and cuda13/ beside this file: programs.py says when it is used. Those of nvcc 12 run only if they were brought.
With --torch the programs are those of torch/: PyTorch, Triton and CuPy as they come from PyPI. At driver level, which is the default for them, NVIDIA's libraries run on our driver; at library
level cuBLAS, cuDNN, cuFFT, cuRAND and the runtime are ours (`gvirtus run --level library`), and NVIDIA's files of these are hidden like the driver's.
"""

import argparse
import datetime
import json
import os
import shutil
import sys
import tempfile
import time

import compare
import processes
import results
from backend import HERE, Backend, Vendor, describe_machine, driver_level, round_trips, run_jobs, toolkit_of
from cases import COMPANIONS, COMPILERS, LEVELS, all_cases, described, unknown_samples
from programs import Built, brought, build_all, build_only


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--home", default=os.path.dirname(HERE), help="the installation: bin, lib (default: the directory above this file)")
    parser.add_argument("--samples", default=os.path.join(HERE, "samples"), help="a checkout of NVIDIA/cuda-samples, or a packed suite's directories of them")
    parser.add_argument("--fixtures", default=next(path for path in [os.path.join(HERE, "fixtures"), os.path.join(HERE, "../fixtures"), HERE] if os.path.isdir(path)))
    parser.add_argument("--out", default="gpu-results")
    parser.add_argument("--records", help="a directory: the results are merged into the file of this machine there, so that cases accumulate over runs")
    parser.add_argument("--commit", help="what is being run (default: what the file COMMIT says)")
    parser.add_argument("--only", default="", help="names of cases, separated by commas")
    parser.add_argument("--kinds", default="sample,fixture", help="sample, fixture")
    parser.add_argument("--level", choices=LEVELS + ["both"],
                        help="library (default): programs with the shared runtime, and no file of NVIDIA's; driver (default with --torch): with the static runtime (nvcc's default) and NVIDIA's libraries, on our driver")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--devices", type=int, default=1, help="2: the programs that are about two GPUs, and no others")
    parser.add_argument("--transports", default="tcp,unix,shm")
    parser.add_argument("--timeout", type=float, default=60, help="seconds per program")
    parser.add_argument("--limit", type=float, help="seconds for all: what is not done by then is not run")
    parser.add_argument("--width", type=int, default=6, help="programs that run at once")
    parser.add_argument("--nvcc", help="the compiler and fixed arguments, in one string")
    parser.add_argument("--vendor", help="a directory whose lib and include hold NVIDIA's compute libraries (default: the toolkit's, and those of this Python's packages)")
    parser.add_argument("--torch", action="store_true", help="the Python programs of torch/ in place of the CUDA programs")
    parser.add_argument("--hide", action="store_true", help="hide NVIDIA's files from programs on the CPU device too; on a GPU they always are")
    parser.add_argument("--cuda-major", type=int, default=13)
    parser.add_argument("--build-only", metavar="DIR", help="compile for other machines what needs no library of NVIDIA's, into DIR, and stop")
    parser.add_argument("--arch", default="sm_90", help="for which GPU --build-only compiles (the CPU device: compute_80)")
    parser.add_argument("--carried", default=HERE, help="where what was compiled elsewhere lies (default: beside this file)")
    parser.add_argument("--skip-done", metavar="RESULTS", action="append", default=[], help="what such a results.json has of this commit is not run again, so that a run goes on where another's limit stopped it")
    options = parser.parse_args()
    for name in ["home", "samples", "fixtures", "out", "carried"]:
        setattr(options, name, os.path.abspath(getattr(options, name)))
    options.levels = LEVELS if options.level == "both" else [options.level or ("driver" if options.torch else "library")]
    options.kinds = options.kinds.split(",")
    return options


def programs_of(pairs, built, options):
    """Everything that can be run."""
    found = []
    for case, level in pairs:
        if case.kind == "python":
            found.append({"id": "%s-%s" % (case.name, level), "case": case, "cuda": 13, "level": level, "cwd": case.directory,
                          "command": [sys.executable, "-B", os.path.join(case.directory, case.name + ".py")]})
        for cuda in [13, 12]:
            if built.exists(case, cuda, level):
                # Samples print the name by which they were started; it must not depend on the level.
                found.append({"id": "%s-cuda%d-%s" % (case.name, cuda, level), "case": case, "cuda": cuda, "level": level,
                              "cwd": os.path.join(options.work, "bin", "cuda%d" % cuda, level, case.name),
                              "command": ["./" + case.name] + (case.cpu_arguments if options.device == "cpu" else case.arguments)})
    # What takes long even natively comes first, since all else runs beside it; what is too long for its time comes last, so that a limit leaves out few.
    slow = {name for name, groups in results.expectations(options.device).items() if any(group.get("slow") for group in groups)}
    return sorted(found, key=lambda entry: (entry["case"].name in slow, not entry["case"].long))


def row_of(entry, transport, options):
    """What distinguishes a case's row from all others."""
    return {"kind": entry["case"].kind, "case": entry["case"].name, "cuda": entry["cuda"], "level": entry["level"], "devices": options.devices, "transport": transport}


def undone(programs, transport, options):
    """Those that no earlier results of this commit have over that transport."""
    return [entry for entry in programs if results.key(row_of(entry, transport, options)) not in options.done]


def job(entry, options, identity, env, run):
    case = entry["case"]
    env["CUDA_CACHE_DISABLE"] = "1"
    env.update(case.environment)
    if case.kind == "python":
        # What compilers of kernels remember between runs lies in a place of the run's own.
        env.update({name + "_CACHE_DIR": os.path.join(options.work, "caches", name, entry["id"], run) for name in ["TRITON", "TORCHINDUCTOR", "CUPY"]})
    return {"id": identity, "command": entry["command"], "cwd": entry["cwd"], "env": env, "timeout": case.description.get("timeout", options.timeout), "alone": case.description.get("alone", False)}


class Native:
    """What programs do natively: one run of each, and of those that ours is unlike a second, which shows whether a program is like itself."""

    def __init__(self, options, toolkit, vendor):
        self.options, self.toolkit, self.vendor = options, toolkit, vendor
        self.first, self.second = {}, {}

    def run(self, programs, turn, done):
        jobs = []
        for entry in programs:
            # The same files that the backend loads: a program that opens a library must not find one of another version.
            libraries = [os.path.join(self.options.carried, "cuda12/lib")] if entry["cuda"] == 12 else [self.toolkit + "/lib64", self.toolkit + "/lib"]
            libraries += self.vendor.libraries
            if entry["case"].kind == "python":
                libraries = []
            env = dict(os.environ, LD_LIBRARY_PATH=":".join(libraries + [os.environ.get("LD_LIBRARY_PATH", "")]))
            jobs.append(job(entry, self.options, entry["id"], env, turn))
        done.update(run_jobs(jobs, self.options, self.options.work, turn, hide=False))
        keep_outputs(done, self.options, turn)

    def once(self, programs):
        self.run(programs, "native", self.first)

    def again(self, programs, ours):
        """The second run of those that need one to be judged; how many there were."""
        unlike = [entry for entry in programs if entry["id"] not in self.second and not ours[entry["id"]].get("not_run")
                  and results.unlike(entry["case"], self.first[entry["id"]], ours[entry["id"]])]
        if unlike:
            self.run(unlike, "native-again", self.second)
        return len(unlike)

    def of(self, entry):
        """Both runs of a program, as far as there are; None where nothing runs natively."""
        return (self.first[entry["id"]], self.second.get(entry["id"])) if self.first else None


def linked(entry, vendor, options):
    """A directory with those of NVIDIA's libraries that a program may have through us: at library level the compilers alone."""
    names = [name for name in entry["case"].libraries if entry["level"] == "driver" or name in COMPILERS]
    if not names:
        return []
    path = os.path.join(options.work, "vendor", entry["id"])
    os.makedirs(path, exist_ok=True)
    for name in names + [companion for name in names for companion in COMPANIONS.get(name, [])]:
        library = vendor.library(name)
        link = os.path.join(path, os.path.basename(library)) if library else None
        if link and not os.path.islink(link):
            os.symlink(library, link)
    return [path]


def without(entry):
    """Which of NVIDIA's files a program must do without, beside the driver's: at library level all of which we have our own, and every one if it needs none that we have not."""
    if entry["level"] != "library":
        return None
    if entry["case"].kind != "python" and not any(name in COMPILERS for name in entry["case"].libraries):
        return "all"
    return "ours"


def run_through_us(programs, options, transport, vendor, log):
    """One run of each program over a backend; with the GPU hidden, if there is one, and NVIDIA's libraries."""
    known = results.expectations(options.device)
    backend = Backend(options, transport, options.work, log)
    try:
        jobs = {}
        for entry in programs:
            env = {key: value for key, value in os.environ.items() if not key.startswith(("GVIRTUS_", "CUDA_VISIBLE"))}
            # Programs of the first levels: a runtime of their own, on our driver.
            own_runtime = entry["level"] == "driver" and not entry["case"].opens_libraries
            ours = driver_level(options.home, options.work) if own_runtime else os.path.join(options.home, "lib")
            env["LD_LIBRARY_PATH"] = ":".join([ours] + linked(entry, vendor, options))
            env["GVIRTUS_CONFIG"] = backend.config
            env["GVIRTUS_STATS"] = "json:" + stats_file(options, transport, entry)
            described_job = job(entry, options, entry["id"], env, transport)
            expected = results.matching(row_of(entry, transport, options), known) or {}
            described_job["timeout"] = expected.get("timeout", described_job["timeout"])
            described_job["library_home"] = options.home
            described_job["ours"] = ["cuda", "cudart"] + ([] if own_runtime else ["cublas", "cublasLt", "cufft", "curand", "cusolver", "cusparse", "cudnn"])
            if entry["case"].kind == "python" and entry["level"] == "library":
                # As a user would; what else is on this path may well be NVIDIA's.
                env["LD_LIBRARY_PATH"] = os.environ.get("LD_LIBRARY_PATH", "")
                described_job["command"] = [os.path.join(options.home, "bin/gvirtus"), "run", "--level", "library", "--"] + described_job["command"]
            jobs.setdefault(without(entry), []).append(described_job)
        done = {}
        for kept_out, group in jobs.items():
            done.update(run_jobs(group, options, options.work, transport, hide=options.device == "cuda" or options.hide, without=vendor.hidden(kept_out, options.home)))
        keep_outputs(done, options, transport)
        return done
    finally:
        backend.stop()


def keep_outputs(done, options, name):
    """Writes down what programs did before anything is made of it, and says what took long."""
    cut = lambda text: text[: 64 << 10]
    with open(os.path.join(options.out, "outputs-%s.json" % name), "w") as file:
        json.dump({identity: dict(result, out=cut(result["out"]), err=cut(result["err"])) for identity, result in sorted(done.items())}, file, indent=1)
    late = sorted(identity for identity, result in done.items() if result["code"] is None and not result.get("not_run"))
    slow = sorted(done.values(), key=lambda result: -result["seconds"])[:6]
    print("          slowest: %s" % ", ".join("%s %.1f s" % (result["id"], result["seconds"]) for result in slow), flush=True)
    if late:
        print("          ended at their time limit: %s" % ", ".join(late), flush=True)


def stats_file(options, transport, entry):
    return os.path.join(options.work, "stats-%s-%s.json" % (transport, entry["id"]))


def read_stats(options, transport, entry):
    try:
        with open(stats_file(options, transport, entry)) as file:
            return json.load(file)
    except (OSError, ValueError):
        return None


def report(entry, transport, notes, native, ours):
    parts = ["==== %s over %s: %s" % (entry["id"], transport, "; ".join(notes))]
    for title, result in [("natively", native), ("ours", ours)]:
        if result is None:
            continue
        parts.append("-- %s: code %s after %s s" % (title, result["code"], result["seconds"]))
        parts.append(result["out"][-3000:])
        if result["err"].strip():
            parts.append("-- standard error\n" + result["err"][-2000:])
    return "\n".join(parts) + "\n"


class Verdicts:
    """What is known of the programs so far: rows, the functions that they called, and what there is to read about failures."""

    def __init__(self, options, stamp):
        self.options, self.stamp = options, stamp
        self.known = results.expectations(options.device)
        self.recorded_codes = results.native_codes(os.path.join(HERE, "results"))
        self.rows, self.failures, self.functions, self.not_run = [], [], {}, []

    def native_codes(self, case):
        """Exit codes that are right where nothing runs natively: the one that a GPU gave, or success. On one device, a sample about several may say that it needs them."""
        recorded = self.recorded_codes.get((case.kind, case.name))
        if self.options.devices == 1 and recorded is not None:
            return [recorded]
        return [0, results.WAIVED] if case.devices > self.options.devices else [0]

    def add(self, entry, transport, native, ours):
        case, stats = entry["case"], read_stats(self.options, transport, entry)
        if ours.get("not_run") or native and any(result and result.get("not_run") for result in native):
            self.not_run.append("%s over %s (no time left)" % (entry["id"], transport))
            return
        row = dict(row_of(entry, transport, self.options), seconds=ours["seconds"], native_seconds=None, round_trips=round_trips(stats) if stats else None)
        if native:
            first, second = native
            row["ok"], row["notes"] = results.judge(case, entry["cuda"], first, second, ours, stats)
            row.update(native_seconds=min(result["seconds"] for result in native if result), native_code=first["code"], native_digest=compare.digest(first["out"], case.hide, case.unordered),
                       hidden=len(compare.normalise(first["out"], case.hide)[1]))
        else:
            row["ok"], row["notes"] = results.judge_alone(case, entry["cuda"], ours, stats, self.native_codes(case))
            row["digest"] = compare.digest(ours["out"], case.hide, case.unordered)
        row.update(self.stamp)
        self.rows.append(results.outcome(row, self.known, timed_out=ours["code"] is None))
        if row["ok"] and stats:
            for called in stats["functions"]:
                if not called["name"].startswith("("):
                    self.functions.setdefault(called["name"], set()).add(case.name)
        if not row["ok"]:
            self.failures.append(report(entry, transport, row["notes"], native and native[0], ours))

    def record(self, gpu):
        functions = {name: dict(self.stamp, cases=sorted(names)[:3]) for name, names in sorted(self.functions.items())}
        rows = [dict(row, notes=[results.without_directories(note) for note in row["notes"]]) for row in self.rows]
        return {"format": 2, "gpu": gpu, "cases": rows, "functions": functions}


def commit():
    if not os.path.exists(os.path.join(HERE, "COMMIT")):
        return "unknown"
    with open(os.path.join(HERE, "COMMIT")) as file:
        return file.read().strip()


def main():
    processes.end_with_us()
    options = arguments()
    cases = all_cases(options)
    nvcc = (options.nvcc or shutil.which("nvcc") or "/usr/local/cuda/bin/nvcc").split()
    toolkit = toolkit_of(nvcc)
    vendor = Vendor(toolkit, options.vendor)
    if options.build_only:
        return build_only(cases, options, nvcc, vendor)

    began = time.monotonic()
    options.until = began + options.limit if options.limit else None
    stage = lambda text: print("[%5.1f s] %s" % (time.monotonic() - began, text), flush=True)
    options.commit = options.commit or commit()
    options.done = {results.key(row) for path in options.skip_done for row in results.load(path)["cases"] if row["commit"] == options.commit}
    gpu, driver, arch = describe_machine()
    if options.device == "cpu":
        gpu, driver, arch = "CPU device", "none", "compute_80"
    elif gpu == "none":
        raise SystemExit("there is no GPU here; --device cpu needs none")
    # PyTorch's results are compared bit for bit: the box's libraries must be those that it brings.
    options.library_dirs = ((options.torch and vendor.packaged()) or vendor.libraries) if options.device == "cuda" else None
    os.makedirs(options.out, exist_ok=True)
    work = options.work = tempfile.mkdtemp(prefix="gvirtus-suite-")
    processes.scratch.append(work)
    try:
        wanted = [(case, level) for case in cases for level in options.levels if case.at(level)]
        lacking = {(case.name, level): case.missing_library(level, vendor, options.home) for case, level in wanted}
        lacking = {pair: library for pair, library in lacking.items() if library}
        wanted = [(case, level) for case, level in wanted if (case.name, level) not in lacking]
        transports = options.transports.split(",")
        if options.done:
            maybe = lambda case, level: [{"case": case, "cuda": cuda, "level": level} for cuda in [13, 12] if cuda == 13 or brought(case, cuda, options)]
            wanted = [(case, level) for case, level in wanted if any(undone(maybe(case, level), transport, options) for transport in transports)]
        stage("%s, driver %s, %d programs" % (gpu, driver, len(wanted)))
        built = Built() if options.torch else build_all(wanted, nvcc, arch, os.path.join(work, "bin"), vendor, options)
        stage(built.summary())
        programs = programs_of(wanted, built, options)
        programs = [entry for entry in programs if any(undone([entry], transport, options) for transport in transports)]

        native = Native(options, toolkit, vendor)
        if options.device == "cuda":
            native.once(programs)
            stage("ran natively")
        verdicts = Verdicts(options, {"commit": options.commit, "date": datetime.date.today().isoformat(), "driver": driver})
        verdicts.not_run += ["%s at %s level: there is no lib%s" % (name, level, library) for (name, level), library in sorted(lacking.items())]
        good = False
        for transport in transports:
            left = undone(programs, transport, options)
            ours = run_through_us(left, options, transport, vendor, os.path.join(options.out, "backend-%s.log" % transport))
            stage("ran over %s" % transport)
            if options.device == "cuda":
                stage("ran %d natively again" % native.again(left, ours))
            for entry in left:
                began_judging = time.monotonic()
                verdicts.add(entry, transport, native.of(entry), ours[entry["id"]])
                if time.monotonic() - began_judging > 2:
                    stage("judging %s took %.1f s" % (entry["id"], time.monotonic() - began_judging))
            # What is known so far is on disk before the next transport begins.
            good = conclude(verdicts, built.errors(), options, gpu)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    stage("done")
    return 0 if good else 1


def conclude(verdicts, errors, options, gpu):
    """Writes and prints what came of it; whether all is as it should be."""
    failures = verdicts.failures + ["==== %s does not build at %s level\n%s\n" % (name, level, error) for (name, level), error in errors.items()]
    unlisted = unknown_samples(options.samples, described())
    record = verdicts.record(gpu)
    results.write(record, os.path.join(options.out, "results.json"))
    text = results.table(verdicts.rows, errors, verdicts.not_run + ["%s: neither a case nor left out in cases.json" % name for name in unlisted])
    with open(os.path.join(options.out, "table.txt"), "w") as file:
        file.write(text)
    with open(os.path.join(options.out, "failures.txt"), "w") as file:
        file.write("\n".join(failures)[:2000000])
    if options.records:
        results.keep(record, options.records)
    print(text)
    fine = [results.EQUAL, results.EXPECTED]
    return bool(verdicts.rows or options.done) and all(row["outcome"] in fine for row in verdicts.rows) and not errors and not unlisted


if __name__ == "__main__":
    sys.exit(main())
