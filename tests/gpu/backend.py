"""What all scripts of the suite share: the machine, a backend on it, and programs that run through it where the GPU cannot be seen."""

import glob
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading

import processes

HERE = os.path.dirname(os.path.abspath(__file__))
# NVIDIA's shared libraries above the driver.
NVIDIA_LIBRARY = r"^lib(cudart|cublas|cudnn|cufft|curand|cusolver|cusparse|nvrtc|nvJitLink|nvblas|nvvm|npp|nvjpeg|cupti|nccl|nvshmem|cufile)\S*\.so"


def describe_machine():
    """Name of the first GPU, version of the driver, and nvcc's name of the architecture; "none" twice and PTX alone without a GPU."""
    def query(field):
        done = subprocess.run(["nvidia-smi", "--query-gpu=" + field, "--format=csv,noheader", "-i", "0"], capture_output=True, text=True)
        return done.stdout.strip() if done.returncode == 0 else "none"

    if not shutil.which("nvidia-smi"):
        return "none", "none", "compute_80"
    return query("name"), query("driver_version"), "sm_" + query("compute_cap").replace(".", "")


def toolkit_of(nvcc):
    """The directory that holds bin/nvcc."""
    return os.path.dirname(os.path.dirname(os.path.realpath(shutil.which(nvcc[0]) or nvcc[0])))


class Vendor:
    """Where NVIDIA's compute libraries are: in the toolkit, in the packages of this Python, or where one is told."""

    def __init__(self, toolkit, extra=None):
        roots = ([extra] if extra else []) + [toolkit, os.path.join(toolkit, "nvvm")]
        packages = importlib.util.find_spec("nvidia")
        self.packages = list(packages.submodule_search_locations) if packages else []
        for path in self.packages:
            roots += [os.path.join(path, "cu13"), os.path.join(path, "cudnn")]
        inside = lambda names: [path for root in roots for name in names for path in glob.glob(os.path.join(root, name)) if os.path.isdir(path)]
        self.libraries, self.includes = inside(["lib64", "lib", "targets/x86_64-linux/lib"]), inside(["include", "targets/x86_64-linux/include"])

    def library(self, name):
        """The file of a library, by the name that programs ask the loader for, or None."""
        for directory in self.libraries:
            shared = sorted(glob.glob(os.path.join(directory, "lib%s.so*" % name)), key=lambda path: (path.endswith(".so"), len(path)))
            if shared:
                return shared[0]
            if os.path.exists(os.path.join(directory, "lib%s.a" % name)):
                return os.path.join(directory, "lib%s.a" % name)
        return None


    def packaged(self):
        """The directories of this Python's packages alone."""
        return [path for path in self.libraries if any(path.startswith(package + "/") for package in self.packages)]

    def hidden(self, which, home):
        """What hidden.py shall hide of NVIDIA's libraries: a pattern of their names, and directories beside the system's; "all", or "ours": those of which there are ours in `home`."""
        if which is None:
            return None
        names = NVIDIA_LIBRARY
        if which == "ours":
            ours = sorted(os.path.basename(path) for path in glob.glob(os.path.join(glob.escape(home), "lib/lib*.so.*")))
            names = r"^(%s)(\.|$)" % "|".join(re.escape(name) for name in ours)
        return {"names": names, "directories": self.libraries + self.packages}


class Backend:
    """A gvirtus-backend on this machine's GPU, or on the CPU device."""

    def __init__(self, options, transport, work, log):
        self.config = os.path.join(work, "client-%s.json" % transport)
        endpoint = {"suite": "tcp/ip", "protocol": "tcp", "server_address": "127.0.0.1", "port": "0"}
        if transport != "tcp":
            endpoint = {"protocol": transport, "path": os.path.join(work, transport + ".sock")}
        plugins = sorted(re.sub(r".*plugin_(\w+)\.so$", r"\1", path) for path in glob.glob(os.path.join(options.home, "lib/plugins/*.so")))
        properties = {"communicator": [{"endpoint": endpoint, "plugins": plugins}], "secure_application": False, "device": options.device}
        if options.device == "cpu" and getattr(options, "devices", 1) > 1:
            properties["cpu"] = {"devices": options.devices}
        if getattr(options, "library_dirs", None):
            properties["library_dirs"] = options.library_dirs
        path = os.path.join(work, "backend-%s.json" % transport)
        with open(path, "w") as file:
            json.dump(properties, file)
        self.log = open(log, "w")
        env = {key: value for key, value in os.environ.items() if not key.startswith("GVIRTUS_")}
        # The CPU device names what faulted, in the backend's log.
        env["GVIRTUS_CPU_FAULTS"] = "1"
        self.process = processes.start([os.path.join(options.home, "bin/gvirtus-backend"), path], stdout=subprocess.PIPE, stderr=self.log, text=True, env=env,
                                       preexec_fn=processes.end_with_parent)
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
            pass
        processes.end(self.process)
        self.log.close()


def driver_level(home, work):
    """A directory with the driver's libraries alone, so that a program's own CUDA libraries are its own."""
    path = os.path.join(work, "driver-level")
    os.makedirs(path, exist_ok=True)
    for name in ["libcuda.so.1", "libnvidia-ml.so.1"]:
        target, link = os.path.join(home, "lib", name), os.path.join(path, name)
        if os.path.exists(target) and not os.path.islink(link):
            os.symlink(target, link)
    return path


def hides(options):
    return options.device == "cuda" or getattr(options, "hide", False)


def namespace(hide):
    """What starts a program where something can be hidden from it."""
    return [] if not hide else ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-Urm"]


def start_hidden(job, options, work, without=None, **popen):
    """Starts one program where the GPU cannot be seen and hands over its process, as `processes.start`."""
    plan = os.path.join(work, "plan-%s.json" % job["id"])
    with open(plan, "w") as file:
        json.dump({"home": options.home, "become": job, "hide": hides(options), "without": without}, file)
    return processes.start(namespace(hides(options)) + [sys.executable, "-B", os.path.join(HERE, "hidden.py"), plan], **popen)


def run_jobs(jobs, options, work, name, hide, without=None):
    """Runs jobs in a process of their own, where the GPU cannot be seen if `hide`, nor the libraries that `without` says (see `Vendor.hidden`); results by the jobs' ids."""
    plan, answer = (os.path.join(work, "%s-%s.json" % (kind, name)) for kind in ["plan", "answer"])
    with open(plan, "w") as file:
        json.dump({"home": options.home, "width": options.width, "jobs": jobs, "hide": hide, "without": without, "until": getattr(options, "until", None)}, file)
    process = processes.start(namespace(hide) + [sys.executable, "-B", os.path.join(HERE, "hidden.py"), plan, answer])
    code = process.wait()
    processes.end(process)
    if code != 0:
        raise SystemExit("the GPU cannot be hidden here; nothing was compared" if hide else "the programs could not be run")
    with open(answer) as file:
        answers = json.load(file)
    if hide:
        print("GPU hidden: %d driver libraries, no device%s" % (answers["hidden_libraries"], "; and %d libraries of NVIDIA's" % answers["hidden_others"] if without else ""))
    return {result["id"]: result for result in answers["results"]}


def run_hidden(jobs, options, work, transport, without=None):
    return run_jobs(jobs, options, work, transport, hide=hides(options), without=without)


def round_trips(stats):
    """The round trips of a program beyond those of its session's start."""
    totals = stats["totals"]
    return totals["round_trips"] - totals.get("setup_round_trips", 0)
