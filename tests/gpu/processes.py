"""Runs programs so that none outlives its run: each is the head of a process group of its own, and the whole group ends with it, at its time limit, or when this process is told to end."""

import ctypes
import os
import shutil
import signal
import subprocess
import threading
import time

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)

_lock = threading.Lock()
_groups = set()
_ending = False
# Directories that are removed when a signal ends this process.
scratch = []


def start(command, **options):
    """As subprocess.Popen, in a process group that `end_all` knows."""
    with _lock:
        if _ending:
            raise SystemExit(143)
        process = subprocess.Popen(command, start_new_session=True, **options)
        _groups.add(process.pid)
    return process


def end(process, signal_number=signal.SIGKILL):
    """Ends what is left of a program's group, and forgets it."""
    with _lock:
        _groups.discard(process.pid)
    try:
        os.killpg(process.pid, signal_number)
    except ProcessLookupError:
        pass
    process.wait()


def end_all(signal_number=signal.SIGTERM):
    """Ends every group, politely first, since some of them have groups of their own to end."""
    global _ending
    _ending = True
    # Taken without the lock: the signal may have come while it was held.
    groups = list(_groups)
    for number, patience in [(signal_number, 2.0), (signal.SIGKILL, 0)]:
        alive = []
        for group in groups:
            try:
                os.killpg(group, number)
                alive.append(group)
            except ProcessLookupError:
                pass
        until = time.monotonic() + patience
        while alive and time.monotonic() < until:
            alive = [group for group in alive if _exists(group)]
            time.sleep(0.05)
        groups = alive


def _exists(group):
    try:
        # Collects the head if it is a child of ours that has ended.
        os.waitpid(group, os.WNOHANG)
    except ChildProcessError:
        pass
    try:
        os.killpg(group, 0)
        return True
    except ProcessLookupError:
        return False


def end_with_us():
    """From now on a signal that ends this process ends its programs too; and the end of the process that started this one counts as such a signal."""

    def stop(number, _):
        end_all()
        for path in scratch:
            shutil.rmtree(path, ignore_errors=True)
        # Threads wait for programs that are no more; nothing that they would still say counts.
        os._exit(128 + number)

    for number in [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]:
        signal.signal(number, stop)


def end_with_parent():
    """The end of the process that started this one, however it comes, is SIGTERM for this one."""
    parent = os.getppid()
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)


def run(command, timeout=None, **options):
    """The program's exit code (None: it ran past its time and was ended) and what it wrote; nothing of its group is left."""
    process = start(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
    try:
        out, err = process.communicate(timeout=timeout)
        code = process.returncode
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        try:
            out, err = process.communicate(timeout=5)
        except subprocess.TimeoutExpired as late:
            # Something that left the group holds the pipes.
            out, err = late.stdout or b"", late.stderr or b""
        code = None
    finally:
        end(process)
    return code, out.decode(errors="replace"), err.decode(errors="replace")
