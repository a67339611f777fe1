"""The suite's programs: which there are (cases.json), and at which level each can run. programs.py builds them.

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
    timeout, alone      other seconds than others get; not beside others
    long                takes long natively too: begun first
    hide, unordered     what the comparison leaves out: one group per pattern; whether lines come in any order
    cuda12              also built with nvcc 12
    round_trips         the most that it may cost after the session's start
"""

import glob
import json
import os

from backend import HERE

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
        self.long = description.get("long", False)
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
