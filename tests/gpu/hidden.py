"""Runs programs where the GPU cannot be seen. Started by run.py in a mount namespace of its own: `unshare -m python3 hidden.py jobs.json results.json`.

/dev holds no NVIDIA device, every library of the driver is an empty file, and before anything runs it is made sure that neither can be reached.
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

MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
DRIVER_LIBRARY = re.compile(r"^lib(cuda\.so|cudadebugger\.so|nvidia-|nvcuvid\.so|nvoptix\.so)")
LIBC = ctypes.CDLL(None, use_errno=True)


def mount(source, target, kind=None, flags=0):
    encode = lambda text: text.encode() if text else None
    if LIBC.mount(encode(source), encode(target), encode(kind), ctypes.c_ulong(flags), None) != 0:
        error = ctypes.get_errno()
        raise OSError(error, "mount %s on %s: %s" % (source, target, os.strerror(error)))


def driver_libraries(home):
    """Every file that the loader could take for NVIDIA's driver."""
    directories = {"/usr", "/lib", "/lib64", "/opt/nvidia", "/run/nvidia"}
    directories.update(d for d in os.environ.get("LD_LIBRARY_PATH", "").split(":") if d)
    cache = subprocess.run(["ldconfig", "-p"], capture_output=True, text=True).stdout
    directories.update(os.path.dirname(line.split("=>")[-1].strip()) for line in cache.splitlines() if "=>" in line)
    home = os.path.realpath(home)
    found = set()
    for top in {os.path.realpath(d) for d in directories}:
        for path, subdirectories, names in os.walk(top):
            subdirectories[:] = [d for d in subdirectories if d not in ("site-packages", "share", "doc", "src")]
            for name in names:
                if DRIVER_LIBRARY.match(name) and "/stubs" not in path:
                    real = os.path.realpath(os.path.join(path, name))
                    if os.path.isfile(real) and not real.startswith(home + "/"):
                        found.add(real)
    return sorted(found)


def hide(home):
    mount(None, "/", flags=MS_REC | MS_PRIVATE)
    scratch = tempfile.mkdtemp(prefix="gvirtus-hidden-")
    empty = os.path.join(scratch, "empty")
    open(empty, "w").close()
    libraries = driver_libraries(home)
    for library in libraries:
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
    return libraries


def verify(libraries, home):
    """Fails unless the GPU is out of reach: by device file, by library name on any search path, by full path."""
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


def loaded_runtime(job):
    """Which libcudart or libcuda the program would get."""
    listing = subprocess.run(["/lib64/ld-linux-x86-64.so.2", "--list", job["command"][0]], env=job["env"], capture_output=True, text=True).stdout
    return [line.split("=>")[1].split("(")[0].strip() for line in listing.splitlines() if re.search(r"lib(cudart|cuda)\.so\S* =>", line)]


def run(job):
    began = time.monotonic()
    result = {"id": job["id"]}
    try:
        done = subprocess.run(job["command"], cwd=job["cwd"], env=job["env"], stdin=subprocess.DEVNULL, capture_output=True, timeout=job["timeout"])
        result.update(code=done.returncode, out=done.stdout.decode(errors="replace"), err=done.stderr.decode(errors="replace"))
    except subprocess.TimeoutExpired as late:
        text = lambda data: (data or b"").decode(errors="replace")
        result.update(code=None, out=text(late.stdout), err=text(late.stderr))
    result["seconds"] = round(time.monotonic() - began, 3)
    if job.get("library_home"):
        strangers = [path for path in loaded_runtime(job) if not os.path.realpath(path).startswith(os.path.realpath(job["library_home"]) + "/")]
        if strangers:
            result["stranger"] = ", ".join(strangers)
    return result


def run_all(jobs, width):
    """Runs jobs side by side, and after them, one by one, those that want the GPU for themselves."""
    with ThreadPoolExecutor(width) as pool:
        results = list(pool.map(run, [job for job in jobs if not job.get("alone")]))
    return results + [run(job) for job in jobs if job.get("alone")]


def main():
    with open(sys.argv[1]) as file:
        plan = json.load(file)
    libraries = hide(plan["home"])
    verify(libraries, plan["home"])
    results = run_all(plan["jobs"], plan["width"])
    with open(sys.argv[2], "w") as file:
        json.dump({"hidden_libraries": len(libraries), "results": results}, file)


if __name__ == "__main__":
    main()
