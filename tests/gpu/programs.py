"""The suite's programs: each case is compiled once, and linked for each level.

A case's objects, and what else is compiled for it to load, may have been made on another machine (`cargo xtask dist --programs`, `run.py --build-only`): they lie in cuda<major>/<name>/ beside this file, with
made.json, which tells what they were made of. They are used where the very same would be compiled; where the sources or the GPU are others, they are not. Linking is always done here, so that a program has the
runtime of this machine's toolkit wherever it was compiled; what was compiled with nvcc 12 has the runtimes in cuda12/lib.

What needs NVIDIA's compute libraries is not carried: their headers are the business of the machine that has them.
"""

import glob
import hashlib
import json
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor

import processes
from backend import HERE, toolkit_of

SOURCES = (".c", ".cc", ".cpp", ".cu", ".cuh", ".h", ".hpp", ".inl", ".ipp")
MADE = "made.json"
# The compiler gets this long for a command.
PATIENCE = 300


def words(case, arch):
    """What the compiler is told, apart from where things are on this machine."""
    return ["-std=c++17", "-Wno-deprecated-gpu-targets", "-w", "-arch=" + arch] + (["-rdc=true"] if case.description.get("rdc") else []) + case.flags


def relocatable(case):
    return "-rdc=true" in words(case, "")


def digest(case, arch, samples):
    """A name for what would be compiled: the words, and every file of the case's that a compiler may read."""
    described = {name: case.description.get(name) for name in ["sources", "exclude", "common", "include", "fatbin", "ptx"]}
    found = hashlib.sha256(json.dumps([words(case, arch), described], sort_keys=True).encode())
    if case.kind == "fixture":
        files = case.sources() + glob.glob(glob.escape(case.directory) + "/*.h")
    else:
        files = [os.path.join(path, name) for path, _, names in os.walk(case.directory) for name in names] + glob.glob(glob.escape(samples) + "/Common/*")
    for path in sorted(path for path in files if path.endswith(SOURCES)):
        with open(path, "rb") as file:
            text = file.read()
        # A checkout and a packed suite have a case's directory in different places.
        inside = path.startswith(case.directory + "/")
        found.update(("\n%s %d\n" % (os.path.relpath(path, case.directory if inside else samples), len(text))).encode() + text)
    return found.hexdigest()


def carries(case, cuda):
    """Whether a case can be compiled where there is nothing but a compiler of that major version."""
    return not case.libraries and not case.description.get("headers") and (case.kind == "fixture" or cuda != 12 or bool(case.description.get("cuda12")))


def made(directory):
    """What stands in made.json, or None."""
    try:
        with open(os.path.join(directory, MADE)) as file:
            return json.load(file)
    except (OSError, ValueError):
        return None


def is_current(directory, case, arch, samples):
    """Whether a directory holds what would be compiled of these sources."""
    told = made(directory)
    return told is not None and told["digest"] == digest(case, arch, samples)


def perform(commands, directory, options):
    """Runs compilers one after the other; returns an error text or None."""
    for command in commands:
        patience = min(PATIENCE, options.until - time.monotonic()) if getattr(options, "until", None) else PATIENCE
        if patience < 1:
            return "no time left"
        code, text, errors = processes.run(command, timeout=patience, cwd=directory)
        if code != 0:
            return (text + errors)[-3000:] if code is not None else "the compiler takes more than %d s" % patience
    return None


def device_runtime(toolkit):
    """The archive that programs which launch from the device are linked with."""
    return next((path for place in ["lib64", "lib", "targets/*/lib"] for path in glob.glob(os.path.join(toolkit, place, "libcudadevrt.a"))), "libcudadevrt.a")


def compile_case(case, nvcc, arch, out, vendor, options):
    """Compiles a case's sources, and what else it loads, into a directory of its own; for device code that is linked, that too. Returns an error text or None."""
    toolkit = toolkit_of(nvcc)
    os.makedirs(out, exist_ok=True)
    shared = os.path.join(options.samples, "Common")
    include = ["-I", case.directory, "-I", shared]
    for name in case.description.get("include", []):
        include += ["-I", os.path.join(case.directory, name)]
    if not any(os.path.exists(path + "/cuda_profiler_api.h") for path in [toolkit + "/include"] + glob.glob(toolkit + "/targets/*/include")):
        # The packages of a compiler alone lack this header, which samples include and hardly use.
        include += ["-I", os.path.join(HERE, "compat")]
    if case.libraries or case.description.get("headers"):
        # Behind the toolkit's own headers, of which these directories may hold other versions.
        include += [word for path in vendor.includes for word in ["-isystem", path]]
    told = [word.replace("{cudadevrt}", device_runtime(toolkit)) for word in words(case, arch)]
    commands = []
    for kind in ["fatbin", "ptx"]:
        for name, source in case.description.get(kind, {}).items():
            commands.append(nvcc + told + include + ["-" + kind, "-o", os.path.join(out, name), os.path.join(case.directory, source)])
    objects = []
    for source in case.sources() + [os.path.join(shared, name) for name in case.description.get("common", [])]:
        objects.append(os.path.join(out, os.path.basename(source) + ".o"))
        commands.append(nvcc + told + include + ["-c", source, "-o", objects[-1]])
    if relocatable(case):
        commands.append(nvcc + told + ["-dlink"] + objects + ["-o", os.path.join(out, "device-link.o")])
    return perform(commands, out, options)


def link_case(case, cuda, level, nvcc, objects, out, vendor, options):
    """Links a case's objects into out/<name>/<name>, beside what it reads; returns an error text or None."""
    target, toolkit = os.path.join(out, case.name), toolkit_of(nvcc)
    os.makedirs(target, exist_ok=True)
    read = [os.path.join(case.directory, name) for name in case.description.get("directories", []) + case.description.get("files", [])]
    for path in read + [os.path.join(toolkit, name) for name in case.description.get("toolkit", [])]:
        link = os.path.join(target, os.path.basename(path))
        if not os.path.lexists(link):
            os.symlink(path, link)
    parts = []
    for path in sorted(glob.glob(glob.escape(objects) + "/*")):
        if path.endswith(".o"):
            parts.append(path)
        elif os.path.basename(path) != MADE:
            shutil.copy(path, target)
    # Device code that had to be linked has been.
    command = nvcc + ["-nodlink"] + [flag for flag in case.flags if flag.startswith(("-X", "-l"))] + parts
    if cuda == 12:
        runtime = os.path.join(options.carried, "cuda12/lib")
        # The archive by its path: this toolkit's own has the same name.
        command += ["--cudart=none"] + ([runtime + "/libcudart_static.a", "-lrt", "-lpthread", "-ldl"] if level == "driver" else ["-L", runtime, "-l:libcudart.so.12"])
    else:
        command += ["--cudart=" + ("static" if level == "driver" else "shared")]
    for name in case.libraries:
        path = vendor.library(name)
        command += ["-L", os.path.dirname(path), "-l:" + os.path.basename(path)]
    if case.driver:
        stubs = [path for path in glob.glob(toolkit + "/lib64/stubs") + glob.glob(toolkit + "/targets/*/lib/stubs") if os.path.exists(path + "/libcuda.so")]
        command += ["-L", stubs[0], "-lcuda"] if stubs else ["-L", os.path.join(options.home, "lib"), "-l:libcuda.so.1"]
    if case.driver or case.libraries:
        # What these libraries need themselves is found where the program runs.
        command += ["-Xlinker=--allow-shlib-undefined"]
    return perform([command + ["-o", os.path.join(target, case.name)]], target, options)


def brought(case, cuda, options):
    """Where a case's objects of that CUDA lie if they were brought along, of use or not; or None."""
    directory = os.path.join(options.carried, "cuda%d" % cuda, case.name)
    return directory if made(directory) else None


def carried(case, cuda, arch, options):
    """Where objects lie that are of use here, or None; whether there are any that are not."""
    directory = brought(case, cuda, options)
    if not directory:
        return None, False
    return (directory, False) if is_current(directory, case, arch, options.samples) else (None, True)


def build_case(case, levels, nvcc, arch, out, vendor, options):
    """Makes a case's programs, out/cuda<major>/<level>/<name>/<name>: returns what became of each (cuda, level), an error text or None, and of which CUDA its objects were brought, and of which in vain."""
    done, used, stale = {}, [], []
    for cuda in [13, 12]:
        link = lambda objects, level: link_case(case, cuda, level, nvcc, objects, os.path.join(out, "cuda%d" % cuda, level), vendor, options)
        objects, refused = carried(case, cuda, arch, options)
        stale += [cuda] * refused
        if objects:
            outcome = {(cuda, level): link(objects, level) for level in levels}
            if cuda == 12 or not any(outcome.values()):
                done.update(outcome)
                used.append(cuda)
                continue
            # This toolkit cannot link what another compiled.
            stale.append(cuda)
        if cuda == 13:
            objects = os.path.join(out, "objects", case.name)
            error = compile_case(case, nvcc, arch, objects, vendor, options)
            done.update({(cuda, level): error or link(objects, level) for level in levels})
    return done, used, stale


class Built:
    """What became of the programs: errors by (case, CUDA, level), of those that there are; names of cases whose objects were brought along, by CUDA, and of those that were brought in vain."""

    def __init__(self):
        self.outcomes, self.used, self.stale = {}, {12: [], 13: []}, {12: [], 13: []}

    def errors(self):
        """For the table, by (case, level)."""
        return {(name if cuda == 13 else "%s (CUDA %d)" % (name, cuda), level): error for (name, cuda, level), error in self.outcomes.items() if error}

    def exists(self, case, cuda, level):
        return self.outcomes.get((case.name, cuda, level), "none") is None

    def summary(self):
        failed = len(self.errors())
        text = "%d programs built, %d failures; compiled elsewhere: %d cases with CUDA 13, %d with 12" % (len(self.outcomes) - failed, failed, len(self.used[13]), len(self.used[12]))
        stale = ["%s (CUDA %d)" % (name, cuda) for cuda, names in self.stale.items() for name in names]
        return text + ("; not of these sources, for another GPU or not to be linked here: " + ", ".join(stale) if stale else "")


def build_all(pairs, nvcc, arch, out, vendor, options):
    """Builds (case, level) pairs, cases side by side."""
    levels, built = {}, Built()
    for case, level in pairs:
        levels.setdefault(case, []).append(level)
    # What has libraries is compiled here, and takes longest.
    cases = sorted(levels, key=lambda case: carries(case, 13))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for case, (done, used, stale) in zip(cases, pool.map(lambda case: build_case(case, levels[case], nvcc, arch, out, vendor, options), cases)):
            built.outcomes.update({(case.name, cuda, level): error for (cuda, level), error in done.items()})
            for cuda in used:
                built.used[cuda].append(case.name)
            for cuda in stale:
                built.stale[cuda].append(case.name)
    return built


def build_only(cases, options, nvcc, vendor):
    """Compiles what machines with a GPU shall not have to, or cannot, into DIR/<name>; what is there of the same sources and the same compiler stays."""
    wanted = [case for case in cases if carries(case, options.cuda_major)]
    compiler = processes.run(nvcc + ["--version"])[1].strip().splitlines()[-1:]

    def make(case):
        directory = os.path.join(os.path.abspath(options.build_only), case.name)
        if is_current(directory, case, options.arch, options.samples) and made(directory)["compiler"] == compiler:
            return None
        shutil.rmtree(directory, ignore_errors=True)
        error = compile_case(case, nvcc, options.arch, directory, vendor, options)
        # What is not whole must not be taken for it: this is written last.
        if not error:
            with open(os.path.join(directory, MADE), "w") as file:
                json.dump({"digest": digest(case, options.arch, options.samples), "compiler": compiler}, file)
        return error

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        errors = {case.name: error for case, error in zip(wanted, pool.map(make, wanted)) if error}
    for name, error in errors.items():
        print("%s: %s" % (name, error))
    print("%d of %d cases compiled, %d left to machines that have libraries" % (len(wanted) - len(errors), len(wanted), len(cases) - len(wanted)))
    return 1 if errors else 0
