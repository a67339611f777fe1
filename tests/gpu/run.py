#!/usr/bin/env python3
"""The GPU suite: builds CUDA programs with this machine's nvcc, runs each natively and through GVirtuS with the GPU hidden, and compares.

    python3 run.py --home dist --samples dist/gpu-suite/samples --out results

Needs python3, nvcc and g++, the right to unshare(2), and a GPU. Prints a table; writes results.json, table.txt, failures.txt and the backends' logs to --out.
Programs built with nvcc 12 elsewhere (`cargo xtask dist --cuda12`) lie in cuda12/ beside this file and run as well.
With --torch the programs are those of torch/: PyTorch, Triton and CuPy as they come from PyPI, with NVIDIA's libraries on our driver.
"""

import argparse
import datetime
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import compare
import hidden

HERE = os.path.dirname(os.path.abspath(__file__))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--home", default=os.path.dirname(HERE), help="the installation: bin, lib (default: the directory above this file)")
    parser.add_argument("--samples", default=os.path.join(HERE, "samples"), help="directories of NVIDIA/cuda-samples, and Common")
    parser.add_argument("--fixtures", default=os.path.join(HERE, "fixtures"))
    parser.add_argument("--out", default="gpu-results")
    parser.add_argument("--only", default="", help="names of cases, separated by commas")
    parser.add_argument("--transports", default="tcp,unix,shm")
    parser.add_argument("--timeout", type=float, default=60, help="seconds per program")
    parser.add_argument("--width", type=int, default=6, help="programs that run at once")
    parser.add_argument("--device", default="cuda", help="the backend's device; cpu tries the suite out without a GPU")
    parser.add_argument("--nvcc", help="the compiler and fixed arguments, in one string")
    parser.add_argument("--cudart", choices=["shared", "static"], default="shared", help="how programs are linked to the runtime; static is nvcc's default")
    parser.add_argument("--torch", action="store_true", help="the Python programs of torch/ in place of the CUDA programs; they run at driver level")
    parser.add_argument("--cuda-major", type=int, default=13)
    parser.add_argument("--build-only", metavar="DIR", help="build the programs into DIR and stop")
    return parser.parse_args()


class Case:
    """A program: where it comes from, how it is built, and what the comparison must know."""

    def __init__(self, kind, name, directory, description):
        self.kind, self.name, self.directory = kind, name, directory
        self.description = description
        self.hide = description.get("hide", [])
        self.unordered = description.get("unordered", False)
        self.arguments = description.get("arguments", [])
        self.round_trips = description.get("round_trips")
        self.expected = None
        if kind == "fixture":
            head = []
            with open(os.path.join(directory, name + ".cu")) as file:
                for line in file:
                    if not line.startswith("//"):
                        break
                    head.append(line[2:].strip())
            self.driver = "link: libcuda" in head
            self.interactive = "interactive" in head
            for line in head:
                if line.startswith("round-trips:"):
                    self.round_trips = int(line.split(":")[1])
        else:
            self.driver = description.get("driver", False)
            self.interactive = False

    def sources(self):
        if self.kind == "fixture":
            return [os.path.join(self.directory, self.name + ".cu")]
        excluded = self.description.get("exclude", [])
        found = sorted(glob.glob(self.directory + "/*.cu") + glob.glob(self.directory + "/*.cpp"))
        shared = [os.path.join(self.directory, "../Common", name) for name in self.description.get("common", [])]
        return [path for path in found if os.path.basename(path) not in excluded] + shared

    def expected_output(self, cuda):
        if self.kind != "fixture" or self.description.get("own_output"):
            return None
        for suffix in [".expected%d" % cuda, ".expected"]:
            path = os.path.join(self.directory, self.name + suffix)
            if os.path.exists(path):
                with open(path) as file:
                    return file.read()
        return None


def all_cases(options):
    with open(os.path.join(HERE, "cases.json")) as file:
        described = json.load(file)
    only = [name for name in options.only.split(",") if name]
    if options.torch:
        names = sorted(os.path.basename(path)[:-3] for path in glob.glob(os.path.join(HERE, "torch/*.py")))
        return [Case("python", name, os.path.join(HERE, "torch"), described["torch"].get(name, {})) for name in names if name in only or not only and name != "common"]
    cases = []
    for name, description in described["samples"].items():
        directory = os.path.join(options.samples, name)
        if os.path.isdir(directory):
            cases.append(Case("sample", name, directory, description))
    for path in sorted(glob.glob(options.fixtures + "/*.cu")):
        name = os.path.basename(path)[:-3]
        case = Case("fixture", name, options.fixtures, described["fixtures"].get(name, {}))
        if not case.interactive:
            cases.append(case)
    return [case for case in cases if not only or case.name in only]


def build(case, nvcc, cuda_root, arch, out, options):
    """Compiles a case into out/<name>/<name>; returns an error text or None."""
    target = os.path.join(out, case.name)
    os.makedirs(target, exist_ok=True)
    include = ["-I", case.directory, "-I", os.path.join(options.samples, "Common")]
    if not any(os.path.exists(path + "/cuda_profiler_api.h") for path in [cuda_root + "/include"] + glob.glob(cuda_root + "/targets/*/include")):
        # The packages of a compiler alone lack this header, which samples include and hardly use.
        include += ["-I", os.path.join(HERE, "compat")]
    for name in case.description.get("directories", []):
        if not os.path.exists(os.path.join(target, name)):
            os.symlink(os.path.join(case.directory, name), os.path.join(target, name))
    common = nvcc + ["--cudart=" + options.cudart, "-std=c++17", "-Wno-deprecated-gpu-targets", "-w", "-arch=" + arch] + include
    commands = []
    for kind in ["fatbin", "ptx"]:
        for made, source in case.description.get(kind, {}).items():
            commands.append(common + ["-" + kind, "-o", os.path.join(target, made), os.path.join(case.directory, source)])
    link = ["-rdc=true", "-lcudadevrt"] if case.description.get("rdc") else []
    if case.driver:
        stubs = [path for path in glob.glob(cuda_root + "/lib64/stubs") + glob.glob(cuda_root + "/targets/*/lib/stubs") if os.path.exists(path + "/libcuda.so")]
        if stubs:
            link += ["-L", stubs[0], "-lcuda"]
        else:
            link += ["-L", os.path.join(options.home, "lib"), "-l:libcuda.so.1", "-Xlinker=--allow-shlib-undefined"]
    commands.append(common + case.sources() + link + ["-o", os.path.join(target, case.name)])
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, cwd=target)
        if done.returncode != 0:
            return (done.stdout + done.stderr)[-3000:]
    return None


def build_all(cases, nvcc, arch, out, options):
    """Builds in parallel; returns the errors by name."""
    cuda_root = os.path.dirname(os.path.dirname(os.path.realpath(shutil.which(nvcc[0]) or nvcc[0])))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        errors = list(pool.map(lambda case: build(case, nvcc, cuda_root, arch, out, options), cases))
    return {case.name: error for case, error in zip(cases, errors) if error}


class Backend:
    """A gvirtus-backend on this machine's GPU."""

    def __init__(self, options, transport, work, log):
        self.config = os.path.join(work, "client-%s.json" % transport)
        endpoint = {"suite": "tcp/ip", "protocol": "tcp", "server_address": "127.0.0.1", "port": "0"}
        if transport != "tcp":
            endpoint = {"protocol": transport, "path": os.path.join(work, transport + ".sock")}
        properties = {"communicator": [{"endpoint": endpoint, "plugins": ["cudart", "nvml", "cublas", "cufft"]}], "secure_application": False, "device": options.device}
        path = os.path.join(work, "backend-%s.json" % transport)
        with open(path, "w") as file:
            json.dump(properties, file)
        self.log = open(log, "w")
        env = {key: value for key, value in os.environ.items() if not key.startswith("GVIRTUS_")}
        self.process = subprocess.Popen([os.path.join(options.home, "bin/gvirtus-backend"), path], stdout=subprocess.PIPE, stderr=self.log, text=True, env=env)
        watchdog = threading.Timer(60, self.process.kill)
        watchdog.start()
        address = None
        for line in self.process.stdout:
            match = re.match(r"gvirtus-backend listening on (\w+) (\S+)", line)
            if match:
                address = match.group(2)
                break
        watchdog.cancel()
        if not address:
            raise SystemExit("the backend did not start; see %s" % log)
        threading.Thread(target=lambda: [None for _ in self.process.stdout], daemon=True).start()
        if transport == "tcp":
            properties["communicator"][0]["endpoint"]["port"] = address.rsplit(":", 1)[1]
        with open(self.config, "w") as file:
            json.dump(properties, file)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


def native_jobs(programs, options, suffix):
    jobs = []
    for program in programs:
        env = dict(os.environ, CUDA_CACHE_DISABLE="1")
        env["LD_LIBRARY_PATH"] = ":".join(program["native_libraries"] + [env.get("LD_LIBRARY_PATH", "")])
        env.update(program["case"].description.get("env", {}))
        env.update(caches(program, options.work, "native" + suffix))
        jobs.append({"id": program["id"] + suffix, "command": program["command"], "cwd": program["cwd"], "env": env, "timeout": options.timeout,
                     "alone": program["case"].description.get("alone", False)})
    return jobs


def caches(program, work, run):
    """What compilers of kernels remember between runs lies in a place of the run's own."""
    if program["case"].kind != "python":
        return {}
    return {name + "_CACHE_DIR": os.path.join(work, "caches", name, program["id"], run) for name in ["TRITON", "TORCHINDUCTOR", "CUPY"]}


def driver_level(home, work):
    """A directory with the driver's libraries alone, so that a program's own CUDA libraries are its own."""
    path = os.path.join(work, "driver-level")
    os.makedirs(path, exist_ok=True)
    for name in ["libcuda.so.1", "libnvidia-ml.so.1"]:
        target, link = os.path.join(home, "lib", name), os.path.join(path, name)
        if os.path.exists(target) and not os.path.islink(link):
            os.symlink(target, link)
    return path


def our_jobs(programs, options, transport, config, work):
    jobs = []
    for program in programs:
        env = {key: value for key, value in os.environ.items() if not key.startswith(("GVIRTUS_", "CUDA_VISIBLE"))}
        env["LD_LIBRARY_PATH"] = driver_level(options.home, work) if program["case"].kind == "python" else os.path.join(options.home, "lib")
        env["GVIRTUS_CONFIG"] = config
        # What the compiler of PTX prints depends on whether it has seen the program before.
        env["CUDA_CACHE_DISABLE"] = "1"
        env["GVIRTUS_STATS"] = "json:" + os.path.join(work, "stats-%s-%s.json" % (transport, program["id"]))
        env.update(program["case"].description.get("env", {}))
        env.update(caches(program, work, transport))
        jobs.append({"id": program["id"], "alone": program["case"].description.get("alone", False), "command": program["command"], "cwd": program["cwd"], "env": env, "timeout": options.timeout,
                     "library_home": options.home})
    return jobs


def run_hidden(jobs, options, work, transport):
    plan, answer = (os.path.join(work, "%s-%s.json" % (name, transport)) for name in ["plan", "answer"])
    with open(plan, "w") as file:
        json.dump({"home": options.home, "width": options.width, "jobs": jobs}, file)
    namespace = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-Urm"]
    done = subprocess.run(namespace + [sys.executable, "-B", os.path.join(HERE, "hidden.py"), plan, answer])
    if done.returncode != 0:
        raise SystemExit("the GPU cannot be hidden here; nothing was compared")
    with open(answer) as file:
        answers = json.load(file)
    print("GPU hidden: %d driver libraries, no device" % answers["hidden_libraries"])
    return {result["id"]: result for result in answers["results"]}


def read_stats(work, transport, identity):
    try:
        with open(os.path.join(work, "stats-%s-%s.json" % (transport, identity))) as file:
            return json.load(file)
    except (OSError, ValueError):
        return None


def without_our_log(text):
    return "\n".join(line for line in text.splitlines() if not re.match(r"\[?gvirtus", line))


def judge(program, first, second, ours, stats):
    """Compares; returns (ok, notes)."""
    case, notes = program["case"], []
    if first["code"] is None:
        return False, ["hangs natively"]
    if first["code"] != second["code"]:
        return False, ["native runs end with %s and %s" % (first["code"], second["code"])]
    for name in ["out", "err"]:
        unordered = case.unordered or name == "err"
        unstable = compare.difference(first[name], second[name], case.hide, unordered)
        if unstable:
            return False, ["native runs differ (%s): %s" % (name, unstable)]
        missed = compare.undetected(first[name], case.hide, unordered)
        if missed:
            return False, ["the comparison would not notice that %s" % missed[0]]
    if ours["code"] is None:
        return False, ["hangs (over %s s)" % round(ours["seconds"])]
    if ours.get("stranger"):
        return False, ["loads %s" % ours["stranger"]]
    problems = []
    if ours["code"] != first["code"]:
        problems.append("ends with %s, natively %s" % (ours["code"], first["code"]))
    for name, text in [("out", ours["out"]), ("err", without_our_log(ours["err"]))]:
        wrong = compare.difference(first[name], text, case.hide, case.unordered or name == "err")
        if wrong:
            problems.append("%s: %s" % (name, wrong))
    expected = case.expected_output(program["cuda"])
    if expected is not None and expected != first["out"]:
        notes.append("the expected file is wrong: " + compare.difference(first["out"], expected))
    if stats and case.round_trips is not None:
        trips = round_trips(stats)
        if trips > case.round_trips:
            problems.append("%d round trips, at most %d allowed" % (trips, case.round_trips))
    return not problems, problems + notes


def round_trips(stats):
    totals = stats["totals"]
    return totals["round_trips"] - totals.get("setup_round_trips", 0)


def describe_machine():
    def query(field):
        done = subprocess.run(["nvidia-smi", "--query-gpu=" + field, "--format=csv,noheader", "-i", "0"], capture_output=True, text=True)
        return done.stdout.strip() if done.returncode == 0 else "none"

    if not shutil.which("nvidia-smi"):
        return "none", "none", "sm_75"
    return query("name"), query("driver_version"), "sm_" + query("compute_cap").replace(".", "")


def main():
    options = arguments()
    for key in ["home", "samples", "fixtures", "out"]:
        setattr(options, key, os.path.abspath(getattr(options, key)))
    cases = all_cases(options)
    nvcc = (options.nvcc or shutil.which("nvcc") or "/usr/local/cuda/bin/nvcc").split()

    if options.build_only:
        out = os.path.abspath(options.build_only)
        wanted = [case for case in cases if case.kind == "fixture" or (options.cuda_major != 12 or case.description.get("cuda12"))]
        errors = build_all(wanted, nvcc, "sm_90", out, options)
        for name, error in errors.items():
            print("%s: %s" % (name, error))
            shutil.rmtree(os.path.join(out, name))
        for case in wanted:
            if case.name not in errors:
                subprocess.run(["strip", os.path.join(out, case.name, case.name)])
        print("%d of %d programs built" % (len(wanted) - len(errors), len(wanted)))
        return 1 if errors else 0

    began = time.monotonic()
    stage = lambda text: print("[%5.1f s] %s" % (time.monotonic() - began, text), flush=True)
    gpu, driver, arch = describe_machine()
    os.makedirs(options.out, exist_ok=True)
    work = options.work = tempfile.mkdtemp(prefix="gvirtus-suite-")
    stage("%s, driver %s, %d programs" % (gpu, driver, len(cases)))
    errors = {} if options.torch else build_all(cases, nvcc, arch, os.path.join(work, "bin"), options)
    stage("built, %d failures" % len(errors))

    cuda_root = os.path.dirname(os.path.dirname(os.path.realpath(shutil.which(nvcc[0]) or nvcc[0])))
    programs = []
    for case in cases:
        if case.kind == "python":
            programs.append({"id": case.name, "case": case, "cuda": 13, "cwd": case.directory, "command": [sys.executable, "-B", os.path.join(case.directory, case.name + ".py")],
                             "native_libraries": []})
            continue
        if case.name not in errors:
            programs.append(program(case, 13, os.path.join(work, "bin"), [cuda_root + "/lib64", cuda_root + "/lib"]))
        carried = os.path.join(HERE, "cuda12/bin" if options.cudart == "shared" else "cuda12/static")
        if os.path.exists(os.path.join(carried, case.name, case.name)):
            programs.append(program(case, 12, carried, [os.path.join(HERE, "cuda12/lib")]))

    native = {result["id"]: result for result in hidden.run_all(native_jobs(programs, options, "#1") + native_jobs(programs, options, "#2"), options.width)}
    stage("ran natively, twice")

    rows, failures, functions = [], [], {}
    for transport in options.transports.split(","):
        backend = Backend(options, transport, work, os.path.join(options.out, "backend-%s.log" % transport))
        try:
            ours = run_hidden(our_jobs(programs, options, transport, backend.config, work), options, work, transport)
        finally:
            backend.stop()
        stage("ran over %s" % transport)
        for entry in programs:
            identity = entry["id"]
            stats = read_stats(work, transport, identity)
            first, second, result = native[identity + "#1"], native[identity + "#2"], ours[identity]
            ok, notes = judge(entry, first, second, result, stats)
            rows.append({"case": entry["case"].name, "kind": entry["case"].kind, "cuda": entry["cuda"], "cudart": "torch" if options.torch else options.cudart, "transport": transport, "ok": ok,
                         "native_seconds": min(first["seconds"], second["seconds"]), "seconds": result["seconds"],
                         "round_trips": round_trips(stats) if stats else None,
                         "hidden": len(compare.normalise(first["out"], entry["case"].hide)[1]), "notes": notes})
            if ok and stats:
                for row in stats["functions"]:
                    if not row["name"].startswith("("):
                        functions.setdefault(row["name"], set()).add(entry["case"].name)
            if not ok:
                failures.append(report(entry, transport, notes, first, result))
    for name, error in errors.items():
        failures.append("==== %s does not build\n%s\n" % (name, error))

    commit = "unknown"
    if os.path.exists(os.path.join(HERE, "COMMIT")):
        with open(os.path.join(HERE, "COMMIT")) as file:
            commit = file.read().strip()
    results = {"format": 1, "commit": commit, "gpu": gpu, "driver": driver, "date": datetime.date.today().isoformat(),
               "not_built": sorted(errors), "cases": rows,
               "functions": {name: sorted(names)[:3] for name, names in sorted(functions.items())}}
    with open(os.path.join(options.out, "results.json"), "w") as file:
        json.dump(results, file, indent=1)
        file.write("\n")
    text = table(rows, errors)
    with open(os.path.join(options.out, "table.txt"), "w") as file:
        file.write(text)
    with open(os.path.join(options.out, "failures.txt"), "w") as file:
        file.write("\n".join(failures)[:2000000])
    print(text)
    stage("done")
    shutil.rmtree(work, ignore_errors=True)
    return 0 if rows and all(row["ok"] for row in rows) and not errors else 1


def program(case, cuda, directory, native_libraries):
    path = os.path.join(directory, case.name)
    return {"id": "%s-cuda%d" % (case.name, cuda), "case": case, "cuda": cuda, "cwd": path,
            "command": [os.path.join(path, case.name)] + case.arguments, "native_libraries": native_libraries}


def report(entry, transport, notes, native, ours):
    parts = ["==== %s over %s: %s" % (entry["id"], transport, "; ".join(notes))]
    for title, result in [("natively", native), ("ours", ours)]:
        parts.append("-- %s: code %s after %s s" % (title, result["code"], result["seconds"]))
        parts.append(result["out"][-3000:])
        if result["err"].strip():
            parts.append("-- standard error\n" + result["err"][-2000:])
    return "\n".join(parts) + "\n"


def table(rows, errors):
    lines = ["%-28s %-5s %-5s %-4s %8s %8s %6s  %s" % ("case", "cuda", "over", "ok", "native s", "ours s", "trips", "notes")]
    for row in sorted(rows, key=lambda row: (row["ok"], row["kind"], row["case"], row["cuda"], row["transport"])):
        trips = "" if row["round_trips"] is None else row["round_trips"]
        lines.append("%-28s %-5d %-5s %-4s %8.2f %8.2f %6s  %s" % (row["case"], row["cuda"], row["transport"], "yes" if row["ok"] else "NO",
                     row["native_seconds"], row["seconds"], trips, "; ".join(row["notes"])[:160]))
    for name in errors:
        lines.append("%-28s does not build" % name)
    lines.append("%d of %d equal to native" % (sum(row["ok"] for row in rows), len(rows)))
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
