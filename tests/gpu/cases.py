"""The suite's programs: which there are (cases.json), how each is built, and at which level it can run.

The description of a sample:

    sources, exclude    patterns of its sources (default *.cu and *.cpp), and names that are not compiled with them
    common              sources of the samples' Common directory
    include, flags      further include directories, and arguments of nvcc ({cudadevrt}: where the device runtime's archive is)
    headers             it includes headers of compute libraries, but is not linked with them
    directories, files  what it reads where it runs
    toolkit             the same, of the CUDA toolkit
    fatbin, ptx         files that are compiled for it to load: {made: source}
    rdc, driver         compiled as relocatable device code; linked with libcuda
    libraries           NVIDIA's compute libraries that it is linked with
    arguments, env      for running it (a fixture says its environment itself)
    cpu_arguments       for running it on the CPU device: fewer elements or repetitions
    devices             how many GPUs it is about: run by --devices
    timeout, alone      more seconds than others get; not beside others
    hide, unordered     what the comparison leaves out: one group per pattern; whether lines come in any order
    cuda12              also built with nvcc 12
    round_trips         the most that it may cost after the session's start
"""

import glob
import json
import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import processes
from backend import HERE, toolkit_of

LEVELS = ["driver", "library"]
# They compile for the GPU and need none, so a program may have them at both levels.
COMPILERS = ["nvrtc", "nvJitLink", "nvvm"]
# What a library needs beside itself.
COMPANIONS = {"cublas": ["cublasLt"], "cusolver": ["cublas", "cublasLt", "cusparse", "nvJitLink"], "cusparse": ["nvJitLink"], "cufft": [], "nvrtc": ["nvrtc-builtins"]}


class Case:
    """A program: where it comes from, how it is built, and what the comparison must know."""

    def __init__(self, kind, name, directory, description):
        self.kind, self.name, self.directory = kind, name, directory
        self.description = description
        self.hide = description.get("hide", [])
        self.unordered = description.get("unordered", False)
        self.arguments = description.get("arguments", [])
        self.cpu_arguments = description.get("cpu_arguments", self.arguments)
        self.round_trips = description.get("round_trips")
        self.libraries = description.get("libraries", [])
        self.devices = description.get("devices", 1)
        self.driver = description.get("driver", False)
        self.interactive = False
        self.opens_libraries = False
        self.library_level = False
        self.flags = description.get("flags", [])
        self.environment = dict(description.get("env", {}))
        if kind == "fixture":
            head = []
            with open(os.path.join(directory, name + ".cu")) as file:
                for line in file:
                    if not line.startswith("//"):
                        break
                    head.append(line[2:].strip())
            self.driver = "link: libcuda" in head
            self.interactive = "interactive" in head
            self.opens_libraries = "opens libraries" in head
            self.library_level = "library level" in head
            for line in head:
                if line.startswith("round-trips:"):
                    self.round_trips = int(line.split(":")[1])
                if line.startswith("compile:"):
                    self.flags = self.flags + line.split(":")[1].split()
                if line.startswith("environment:"):
                    self.environment.update(setting.split("=", 1) for setting in line.split(":", 1)[1].split())

    def at(self, level):
        """Whether it is run at a level."""
        return level == "library" or not self.library_level

    def sources(self):
        if self.kind == "fixture":
            return [os.path.join(self.directory, self.name + ".cu")]
        excluded = self.description.get("exclude", [])
        patterns = self.description.get("sources", ["*.cu", "*.cpp"])
        found = sorted(path for pattern in patterns for path in glob.glob(os.path.join(self.directory, pattern)))
        return [path for path in found if os.path.basename(path) not in excluded]

    def expected_output(self, cuda):
        if self.kind != "fixture" or self.description.get("own_output"):
            return None
        for suffix in [".expected%d" % cuda, ".expected"]:
            path = os.path.join(self.directory, self.name + suffix)
            if os.path.exists(path):
                with open(path) as file:
                    return file.read()
        return None

    def missing_library(self, level, vendor, home):
        """A library without which the case cannot be built or cannot run at that level: its name, or None."""
        for name in self.libraries:
            if not vendor.library(name):
                return name
            if level == "library" and name not in COMPILERS and not glob.glob(os.path.join(home, "lib/lib%s.so.*" % name)):
                return name
        return None


def sample_directory(samples, name):
    """Where a sample lies: directly below (a packed suite), or in a checkout of NVIDIA/cuda-samples; None where there is none of that name."""
    found = [path for path in [os.path.join(samples, name)] + glob.glob(os.path.join(glob.escape(samples), "Samples/*/" + name)) if os.path.isdir(path)]
    return found[0] if found else None


def described():
    with open(os.path.join(HERE, "cases.json")) as file:
        return json.load(file)


def unknown_samples(samples, descriptions):
    """Names of a checkout's samples that are neither cases nor left out for a reason."""
    known = set(descriptions["samples"]).union(*[entry["samples"] for entry in descriptions["left_out"]])
    present = {os.path.basename(os.path.dirname(path)) for path in glob.glob(os.path.join(glob.escape(samples), "Samples/*/*/CMakeLists.txt"))}
    return sorted(present - known)


def all_cases(options):
    """The cases that were asked for."""
    descriptions = described()
    only = [name for name in options.only.split(",") if name]
    if options.torch:
        names = sorted(os.path.basename(path)[:-3] for path in glob.glob(os.path.join(HERE, "torch/*.py")))
        return [Case("python", name, os.path.join(HERE, "torch"), descriptions["torch"].get(name, {})) for name in names if name in only or not only and name != "common"]
    cases = []
    for name, description in descriptions["samples"].items():
        directory = sample_directory(options.samples, name)
        if directory:
            cases.append(Case("sample", name, directory, description))
    for path in sorted(glob.glob(options.fixtures + "/*.cu")):
        name = os.path.basename(path)[:-3]
        case = Case("fixture", name, options.fixtures, descriptions["fixtures"].get(name, {}))
        if not case.interactive:
            cases.append(case)
    wanted = [case for case in cases if case.name in only or not only and case.kind in options.kinds]
    return [case for case in wanted if case.devices == options.devices or options.devices == 1]


def device_runtime(toolkit):
    """The archive that programs which launch from the device are linked with."""
    return next((path for place in ["lib64", "lib", "targets/*/lib"] for path in glob.glob(os.path.join(toolkit, place, "libcudadevrt.a"))), "libcudadevrt.a")


def build(case, level, nvcc, arch, out, vendor, options):
    """Compiles a case into out/<name>/<name>; returns an error text or None."""
    target = os.path.join(out, case.name)
    os.makedirs(target, exist_ok=True)
    toolkit = toolkit_of(nvcc)
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
    read = [os.path.join(case.directory, name) for name in case.description.get("directories", []) + case.description.get("files", [])]
    for path in read + [os.path.join(toolkit, name) for name in case.description.get("toolkit", [])]:
        link = os.path.join(target, os.path.basename(path))
        if not os.path.lexists(link):
            os.symlink(path, link)
    common = nvcc + ["--cudart=" + ("static" if level == "driver" else "shared"), "-std=c++17", "-Wno-deprecated-gpu-targets", "-w", "-arch=" + arch] + include
    commands = []
    for kind in ["fatbin", "ptx"]:
        for made, source in case.description.get(kind, {}).items():
            commands.append(common + ["-" + kind, "-o", os.path.join(target, made), os.path.join(case.directory, source)])
    link = ["-rdc=true", "-lcudadevrt"] if case.description.get("rdc") else []
    link += [flag.replace("{cudadevrt}", device_runtime(toolkit)) for flag in case.flags]
    for name in case.libraries:
        path = vendor.library(name)
        link += ["-L", os.path.dirname(path), "-l:" + os.path.basename(path)]
    if case.driver:
        stubs = [path for path in glob.glob(toolkit + "/lib64/stubs") + glob.glob(toolkit + "/targets/*/lib/stubs") if os.path.exists(path + "/libcuda.so")]
        link += ["-L", stubs[0], "-lcuda"] if stubs else ["-L", os.path.join(options.home, "lib"), "-l:libcuda.so.1"]
    if case.driver or case.libraries:
        # What these libraries need themselves is found where the program runs.
        link += ["-Xlinker=--allow-shlib-undefined"]
    sources = case.sources() + [os.path.join(shared, name) for name in case.description.get("common", [])]
    commands.append(common + sources + link + ["-o", os.path.join(target, case.name)])
    for command in commands:
        patience = min(300, options.until - time.monotonic()) if getattr(options, "until", None) else 300
        if patience < 1:
            return "no time left"
        code, text, errors = processes.run(command, timeout=patience, cwd=target)
        if code != 0:
            return (text + errors)[-3000:] if code is not None else "the compiler takes more than %d s" % patience
    return None


def build_all(jobs, nvcc, arch, out, vendor, options):
    """Builds (case, level) pairs in parallel, each into out/<level>; returns the errors by pair."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        errors = list(pool.map(lambda job: build(job[0], job[1], nvcc, arch, os.path.join(out, job[1]), vendor, options), jobs))
    return {(case.name, level): error for (case, level), error in zip(jobs, errors) if error}


def build_only(cases, options, nvcc, vendor):
    """Builds what nvcc 12 can, for machines that lack it, into DIR/<level>."""
    wanted = [case for case in cases if case.kind == "fixture" or options.cuda_major != 12 or case.description.get("cuda12")]
    out = os.path.abspath(options.build_only)
    errors = build_all([(case, level) for case in wanted for level in options.levels if case.at(level)], nvcc, "sm_90", out, vendor, options)
    for (name, level), error in errors.items():
        print("%s (%s level): %s" % (name, level, error))
        # A program that is not whole must not be taken for one.
        program = os.path.join(out, level, name, name)
        if os.path.exists(program):
            os.unlink(program)
    for case in wanted:
        for level in options.levels:
            if case.at(level) and (case.name, level) not in errors:
                subprocess.run(["strip", os.path.join(out, level, case.name, case.name)])
    print("%d of %d programs built" % (len(wanted) * len(options.levels) - len(errors), len(wanted) * len(options.levels)))
    return 1 if errors else 0
