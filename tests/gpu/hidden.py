"""Runs programs, on request where the GPU cannot be seen: then backend.py starts it in a mount namespace of its own, as `unshare -m python3 hidden.py jobs.json results.json`,
or `unshare -m python3 hidden.py job.json` for one program that it becomes.

There /dev holds no NVIDIA device, every library of the driver (and of what else it is told) is an empty file, and before anything runs it is made sure that none can be reached.
"""

import ctypes
import glob
import json
import os
import re
import stat
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

import processes

MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
DRIVER_LIBRARY = r"^lib(cuda\.so|cudadebugger\.so|nvidia-|nvcuvid\.so|nvoptix\.so)"
LIBC = ctypes.CDLL(None, use_errno=True)


def mount(source, target, kind=None, flags=0):
    encode = lambda text: text.encode() if text else None
    if LIBC.mount(encode(source), encode(target), encode(kind), ctypes.c_ulong(flags), None) != 0:
        error = ctypes.get_errno()
        raise OSError(error, "mount %s on %s: %s" % (source, target, os.strerror(error)))


def libraries_called(pattern, home, more=()):
    """Every file of such a name that the loader could find, or that lies below directories that are named."""
    directories = {"/usr", "/lib", "/lib64", "/opt/nvidia", "/run/nvidia"}
    pattern = re.compile(pattern)
    directories.update(d for d in os.environ.get("LD_LIBRARY_PATH", "").split(":") if d)
    cache = subprocess.run(["ldconfig", "-p"], capture_output=True, text=True).stdout
    directories.update(os.path.dirname(line.split("=>")[-1].strip()) for line in cache.splitlines() if "=>" in line)
    home = os.path.realpath(home)
    found = set()
    for top in {os.path.realpath(d) for d in directories.union(more)}:
        for path, subdirectories, names in os.walk(top):
            subdirectories[:] = [d for d in subdirectories if d not in ("site-packages", "share", "doc", "src")]
            for name in names:
                if pattern.match(name) and "/stubs" not in path:
                    real = os.path.realpath(os.path.join(path, name))
                    if os.path.isfile(real) and not real.startswith(home + "/"):
                        found.add(real)
    return sorted(found)


def hide(home, without=None):
    """Hides the driver and what else is told; returns the files, the driver's and the others."""
    mount(None, "/", flags=MS_REC | MS_PRIVATE)
    scratch = tempfile.mkdtemp(prefix="gvirtus-hidden-")
    empty = os.path.join(scratch, "empty")
    open(empty, "w").close()
    libraries = libraries_called(DRIVER_LIBRARY, home)
    others = libraries_called(without["names"], home, without["directories"]) if without else []
    for library in libraries + others:
        mount(empty, library, flags=MS_BIND)

    # Programs that ask the loader's cache where the driver is (Triton) must not be led to the empty files.
    cache = os.path.join(scratch, "ld.so.cache")
    subprocess.run(["ldconfig", "-X", "-C", cache], capture_output=True)
    if os.path.exists(cache) and os.path.exists("/etc/ld.so.cache"):
        mount(cache, "/etc/ld.so.cache", flags=MS_BIND)

    dev = os.path.join(scratch, "dev")
    os.mkdir(dev)
    mount("tmpfs", dev, "tmpfs")
    for name in ["null", "zero", "full", "random", "urandom", "tty"]:
        if os.path.exists("/dev/" + name):
            open(os.path.join(dev, name), "w").close()
            mount("/dev/" + name, os.path.join(dev, name), flags=MS_BIND)
    for name in ["shm", "pts", "infiniband"]:
        if os.path.isdir("/dev/" + name):
            os.mkdir(os.path.join(dev, name))
            mount("/dev/" + name, os.path.join(dev, name), flags=MS_BIND | MS_REC)
    for name, target in [("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0"), ("stdout", "/proc/self/fd/1"), ("stderr", "/proc/self/fd/2")]:
        os.symlink(target, os.path.join(dev, name))
    mount(dev, "/dev", flags=MS_BIND | MS_REC)
    if os.path.isdir("/proc/driver/nvidia"):
        mount("tmpfs", "/proc/driver/nvidia", "tmpfs")
    return libraries, others


def verify(libraries, others, home):
    """Fails unless the GPU is out of reach: by device file, by library name on any search path, by full path. Of other libraries there must be nothing to load."""
    for path in others:
        if os.path.getsize(path) != 0:
            raise SystemExit("%s is still there" % path)
    for path in glob.glob("/dev/**", recursive=True):
        if "nvidia" in path:
            raise SystemExit("%s is still there" % path)
        try:
            mode = os.stat(path)
        except OSError:
            continue
        if stat.S_ISCHR(mode.st_mode) and os.major(mode.st_rdev) == 195:
            raise SystemExit("%s is an NVIDIA device" % path)
    probe = "import ctypes, sys\ntry:\n    ctypes.CDLL(sys.argv[1])\nexcept OSError:\n    sys.exit(0)\nsys.exit(1)\n"
    names = ["libcuda.so.1", "libcuda.so", "libnvidia-ml.so.1"] + [path for path in libraries if "libcuda.so" in path]
    search = [d for d in os.environ.get("LD_LIBRARY_PATH", "").split(":") if d and not os.path.realpath(d).startswith(os.path.realpath(home))]
    env = dict(os.environ, LD_LIBRARY_PATH=":".join(search))
    for name in names:
        if subprocess.run([sys.executable, "-c", probe, name], env=env).returncode != 0:
            raise SystemExit("%s can still be loaded" % name)


def loaded_libraries(job):
    """Which of the libraries that must be ours the program would get, by full path."""
    program = os.path.join(job["cwd"], job["command"][0])
    listing = subprocess.run(["/lib64/ld-linux-x86-64.so.2", "--list", program], env=job["env"], capture_output=True, text=True).stdout
    found = re.findall(r"lib(\w+)\.so\S* => (\S+)", listing)
    return [path for name, path in found if name in job.get("ours", ["cuda", "cudart"])]


# A program that reports each wrong element must not keep the comparison busy for minutes.
LONGEST = 1 << 20


def shortened(text):
    return text if len(text) <= LONGEST else text[:LONGEST] + "\n(%d more characters)\n" % (len(text) - LONGEST)


def run(job, until=None):
    """Runs a job; `until` is the moment (of time.monotonic) by which all must have ended: what cannot begin before is not run."""
    began = time.monotonic()
    result = {"id": job["id"]}
    limit = job["timeout"]
    if until is not None:
        # A program that is cut short by the common limit has shown nothing.
        if began + min(limit, 5) > until:
            return dict(result, not_run=True, code=None, out="", err="", seconds=0)
        limit = min(limit, until - began)
    result["code"], out, err = processes.run(job["command"], timeout=limit, cwd=job["cwd"], env=job["env"])
    result["out"], result["err"] = shortened(out), shortened(err)
    result["seconds"] = round(time.monotonic() - began, 3)
    if result["code"] is None and limit < job["timeout"]:
        result["not_run"] = True
    if job.get("library_home"):
        strangers = [path for path in loaded_libraries(job) if not os.path.realpath(path).startswith(os.path.realpath(job["library_home"]) + "/")]
        if strangers:
            result["stranger"] = ", ".join(strangers)
    return result


def run_all(jobs, width, until=None):
    """Runs jobs side by side, and after them, one by one, those that want the GPU for themselves."""
    with ThreadPoolExecutor(width) as pool:
        results = list(pool.map(lambda job: run(job, until), [job for job in jobs if not job.get("alone")]))
    return results + [run(job, until) for job in jobs if job.get("alone")]


def main():
    processes.end_with_us()
    processes.end_with_parent()
    with open(sys.argv[1]) as file:
        plan = json.load(file)
    libraries, others = [], []
    if plan["hide"]:
        libraries, others = hide(plan["home"], plan.get("without"))
        verify(libraries, others, plan["home"])
    if "become" in plan:
        # Whoever started this holds the standard input and output of the program that it becomes.
        job = plan["become"]
        os.chdir(job["cwd"])
        os.execvpe(job["command"][0], job["command"], job["env"])
    results = run_all(plan["jobs"], plan["width"], plan.get("until"))
    with open(sys.argv[2], "w") as file:
        json.dump({"hidden_libraries": len(libraries), "hidden_others": len(others), "results": results}, file)


if __name__ == "__main__":
    main()
