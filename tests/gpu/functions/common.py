"""What the programs of this directory share: the tables of functions, numbers that are the same on every machine, memory on the device, and lines of output."""

import ctypes
import hashlib
import mmap
import os
import pathlib
import re
import struct
import sys

ORDER, LEADING, BATCH = 24, 32, 3
ELEMENTS = LEADING * LEADING * (BATCH + 1)


def table(path):
    """Class, name and parameters (name, mode, argument) of every declaration."""
    row = re.compile(r"^\s+(\w+) (?:\[([\d ]*)\] )?fn (\w+)\((.*)\);$")
    parameter = re.compile(r"(\w+): (\w+)(?:\(([^)]*)\))?")
    for line in pathlib.Path(path).read_text().splitlines():
        found = row.match(line)
        if found:
            yield found[1], found[3], parameter.findall(found[4])


class Numbers:
    """The same sequence on every machine."""

    def __init__(self, text):
        self.state = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") | 1

    def next(self):
        x = self.state
        x ^= (x << 13) & (1 << 64) - 1
        x ^= x >> 7
        x ^= (x << 17) & (1 << 64) - 1
        self.state = x
        return x

    def real(self):
        return (self.next() % 2001 - 1000) / 1000


def pack(data_type, values):
    if data_type in (1, 5):
        return struct.pack(f"<{len(values)}d", *values)
    if data_type == 2:
        return struct.pack(f"<{len(values)}e", *values)
    if data_type == 14:
        words = struct.unpack(f"<{len(values)}I", struct.pack(f"<{len(values)}f", *values))
        return struct.pack(f"<{len(values)}H", *(w >> 16 for w in words))
    return struct.pack(f"<{len(values)}f", *values)


def matrix(data_type, numbers):
    """Columns of LEADING elements; the diagonal is large, so that solutions are tame."""
    per = 2 if data_type in (4, 5) else 1
    values = []
    for at in range(ELEMENTS):
        i, j = at % LEADING, at // LEADING % LEADING
        for part in range(per):
            values.append(numbers.real() + (8.0 if i == j and part == 0 else 0.0))
    return pack(data_type, values)


class Notes:
    """Which call is being made, in a file that outlives the process. Whoever starts the program again says which call ended it, and that one is not made again."""

    SIZE, FAULTED = 4096, 97

    def __init__(self):
        self.made, self.avoided, self.memory = {}, set(), None

    def keep(self, path, avoided):
        self.avoided = set(avoided)
        with open(path, "r+b") as file:
            self.memory = mmap.mmap(file.fileno(), self.SIZE)

    def begin(self, name):
        """Notes the call; whether it may be made."""
        number = self.made[name] = self.made.get(name, 0) + 1
        call = f"{name}:{number}"
        if self.memory:
            self.memory[:128] = f"+{call}".encode().ljust(128, b"\0")
        return call not in self.avoided

    def end(self):
        if self.memory:
            self.memory[:1] = b"-"

    @staticmethod
    def read(path, inside):
        """The call that the process ended in; the last that it made, unless `inside`."""
        text = pathlib.Path(path).read_bytes()[:128].rstrip(b"\0").decode()
        return text[1:] if text[:1] == "+" or text and not inside else None


NOTES = Notes()


class Runtime:
    """The CUDA runtime. After a fault nothing that a process does shows anything any more: then it ends."""

    FAULTS = (700, 715, 716, 717, 718, 719, 720)

    def __init__(self):
        self.library = ctypes.CDLL("libcudart.so.13")

    def __getattr__(self, name):
        return getattr(self.library, name)

    def cudaDeviceSynchronize(self):
        status = self.library.cudaDeviceSynchronize()
        if status in self.FAULTS:
            print(f"the device has faulted: CUDA error {status}", file=sys.stderr, flush=True)
            sys.stdout.flush()
            # Libraries' own last acts would find the device as it is.
            os._exit(Notes.FAULTED)
        return status


class Device:
    """Memory on the device; with `blank`, addresses that nothing is at: then only what needs no GPU can be compared."""

    def __init__(self, blank=False):
        self.runtime = Runtime()
        self.blank = 0x7000_0000_0000 if blank else 0

    def cuda(self, name, *arguments):
        """A call that has to succeed; what an earlier call ran into may be told by it, and then it is made again."""
        if self.blank and name == "cudaMemset":
            return
        for last in (False, True):
            status = getattr(self.runtime, name)(*arguments)
            if not status:
                return
            if last:
                sys.exit(f"{name}: CUDA error {status}")

    def put(self, data):
        if self.blank:
            self.blank += len(data) + 512 & ~511
            return self.blank
        at = ctypes.c_void_p()
        self.cuda("cudaMalloc", ctypes.byref(at), ctypes.c_size_t(max(len(data), 16)))
        self.cuda("cudaMemcpy", at, data, ctypes.c_size_t(len(data)), 1)
        return at.value

    def get(self, at, size):
        if self.blank:
            return b""
        data = ctypes.create_string_buffer(size)
        self.cuda("cudaMemcpy", data, ctypes.c_void_p(at), ctypes.c_size_t(size), 2)
        return data.raw

    def free(self, at):
        if self.blank:
            return
        self.cuda("cudaFree", ctypes.c_void_p(at))


def say(name, where, kind, detail, *results, data="-"):
    """A line of output: the function, three words that tell this call from its others, its statuses, and what came of it."""
    print(name, where, kind, detail, "/".join(map(str, results)) if any(results) else 0, data, flush=True)


def digest(data):
    return hashlib.sha256(data).hexdigest()[:24]


class Library:
    """A library of NVIDIA's, of which some version may lack a function, or end the process in a call: that is said in place of a status."""

    LACKING, ENDED = "lacking", "ended"

    def __init__(self, name, returns=()):
        self.library = ctypes.CDLL(name)
        self.returns = dict(returns)

    def has(self, name):
        return hasattr(self.library, name)

    def __call__(self, name, *arguments):
        if not self.has(name):
            return self.LACKING
        function = getattr(self.library, name)
        if name in self.returns:
            function.restype = self.returns[name]
        if not NOTES.begin(name):
            return self.ENDED
        status = function(*arguments)
        NOTES.end()
        return status
