"""NVML: every function that asks, with what the declarations say of its parameters; every function that would change the machine through GVirtuS alone, where it has to be refused.

What is asked about: the first device with each value of an index, type or scope, too little room, and no room; a device that there is not, a version that there is not.
"""

import ctypes
import hashlib
import itertools
import os
import re
import struct

from .common import Library, say, table

VOID, SUCCESS = ctypes.c_void_p, 0
# Values of a parameter that is a number, by its name; those of others are the first few.
VALUES = {
    "link": (0, 1, 17, 18, 99), "memoryClockMHz": (0, 1, 2619, 1593), "pid": (0, 1), "flags": (0, 1), "lastSeenTimeStamp": (0,), "fan": (0, 1), "size": (), "eventTypes": (0, 1, 24), "timeoutms": (0,),
    "clockId": (0, 1, 2, 3, 4), "capability": tuple(range(12)), "index": (0, 1, 99), "sensorIndex": (0, 15), "locationType": tuple(range(10)),
}
FEW = tuple(range(6)) + (99,)
# Fields of nvmlDeviceGetFieldValues: by number, all that there are.
FIELDS = range(0, 280)
# Functions that take a device that there is not.
WITHOUT_DEVICE = ("nvmlDeviceGetName", "nvmlDeviceGetUUID", "nvmlDeviceGetIndex")
# What is another thing each time: no more than the status is compared.
PASSING = re.compile(r"DynamicPstates|PowerUsage|TotalEnergy|UtilizationRates|MemoryInfo|BBXFlushTime|PcieThroughput|ViolationStatus")
# What differs for a reason: a function, or one kind of its calls.
KNOWN = {
    ("nvmlDeviceGetSupportedEventTypes", None): "events of the box are not forwarded: none is supported",
    ("nvmlDeviceRegisterEvents", None): "events of the box are not forwarded: none is supported",
    ("nvmlDeviceGetDramEncryptionMode", "version/9"): "where the GPU has none, NVIDIA's says so before it looks at the version",
}
# Bytes for an array, and for what stands behind it.
ROOM = 1 << 18


class Nvml:
    def __init__(self):
        self.library = Library("libnvidia-ml.so.1", {"nvmlErrorString": ctypes.c_char_p})
        self.device, self.unit = VOID(), VOID()

    def start(self):
        say("nvmlInit_v2", "-", "-", "-", self.library("nvmlInit_v2"))
        say("nvmlDeviceGetHandleByIndex_v2", 0, "first", "-", self.library("nvmlDeviceGetHandleByIndex_v2", 0, ctypes.byref(self.device)))
        # Where there are no units, one that there is not.
        self.library("nvmlUnitGetHandleByIndex", 0, ctypes.byref(self.unit))

    def names(self):
        """What devices can be found by."""
        found = {}
        for key, name, room in (("uuid", "nvmlDeviceGetUUID", 96), ("serial", "nvmlDeviceGetSerial", 30)):
            text = ctypes.create_string_buffer(room)
            found[key] = text.value if not self.library(name, self.device, text, room) else b"none"
        bus = ctypes.create_string_buffer(68)
        found["pciBusId"] = bus.raw[36:].split(b"\0")[0] if not self.library("nvmlDeviceGetPciInfo_v3", self.device, bus) else b"none"
        return found

    def call(self, name, parameters, choice, handle, room, label, version=None):
        """One call: `choice` has the numbers, `room` how much the arrays may hold, none for no array at all."""
        arguments, kept, numbers = [], [], iter(choice)
        for parameter, mode, argument in parameters:
            if mode == "device":
                arguments.append(handle)
            elif mode == "unit":
                arguments.append(self.unit)
            elif mode in ("gpu_instance", "compute_instance"):
                arguments.append(VOID(0))
            elif mode == "u32":
                arguments.append(ctypes.c_uint(next(numbers)))
            elif mode == "u64":
                arguments.append(ctypes.c_uint64(next(numbers)))
            elif mode == "size":
                arguments.append(ctypes.c_uint(room))
            elif mode == "name":
                arguments.append(ctypes.c_char_p(next(numbers)))
            elif mode == "count":
                memory = ctypes.create_string_buffer(struct.pack("<I", room), 8)
                kept.append((mode, memory))
                arguments.append(memory)
            else:
                size = 8 if mode.startswith("out_") else None
                if mode in ("out", "optional", "inout"):
                    size = int(argument, 0)
                if mode == "versioned":
                    word = version if version is not None else int(argument.split()[-1].replace("_", ""), 0)
                    size = word & 0xFFFFFF
                    memory = ctypes.create_string_buffer(struct.pack("<I", word), max(size, 4) + 64)
                elif mode == "values":
                    memory = ctypes.create_string_buffer(b"".join(struct.pack("<II", field, 0).ljust(40, b"\0") for field in (FIELDS if room else ())) or b"\0" * 40)
                    arguments[-1] = ctypes.c_uint(len(FIELDS) if room else 0)
                else:
                    # A library that writes more than is declared is found out.
                    memory = ctypes.create_string_buffer(size + 256 if size else ROOM)
                if mode in ("array", "devices", "processes", "gpu_instances", "compute_instances") and not room:
                    arguments.append(None)
                    continue
                kept.append((mode, memory))
                arguments.append(memory)
        status = self.library(name, *arguments)
        told = hashlib.sha256()
        shown = []
        for mode, memory in kept if status in (SUCCESS, 7) else []:
            data = memory.raw
            if mode.startswith("out_") or mode == "devices":
                # Addresses of another process mean nothing: what matters is whether there is one.
                data = bytes(any(data[at:at + 8]) for at in range(0, 512, 8)) if mode == "devices" else bytes([any(data)])
            elif mode == "text":
                # What stands behind a text means nothing.
                data = data.split(b"\0")[0]
            elif mode == "values":
                self.fields(name, label, data)
                data = b""
            elif mode == "processes" or mode == "array" and status == 7:
                # Where there is too little room, what is written counts for nothing.
                data = b""
            told.update(data)
            if mode in ("out", "count", "optional") and len(data) <= 8:
                shown.append(str(int.from_bytes(data[:8], "little")))
        told = ",".join(shown + [told.hexdigest()[:12]]) if status in (SUCCESS, 7) else "-"
        if status == SUCCESS and (PASSING.search(name) or any(mode == "processes" for mode, _ in kept)):
            # Another thing in each process; and of processes, through GVirtuS, its own tenants' alone.
            told = f"passing/{os.getpid()}"
        say(name, label, "/".join(map(shorter, choice)) or "-", room if room is not None else "null", status, data=told)
        return status

    def fields(self, name, label, data):
        """Each field is a thing of its own: its number, type and status, and its value; not when it was read."""
        for number, at in enumerate(range(0, len(data) - 39, 40)):
            field, scope, _, _, kind, status, value = struct.unpack_from("<IIqqIiQ", data, at)
            say(name, label, f"field/{field}", scope, 0, data=f"status/{status}" if status else f"{kind}/{value}")


def shorter(value):
    return value.decode().replace(" ", "_")[:40] if isinstance(value, bytes) else str(value)


def choices(parameters, names):
    """The numbers and names that a function is called with: each that is worth it, beside the first of the others."""
    several = []
    for parameter, mode, _ in parameters:
        if mode in ("u32", "u64"):
            several.append(VALUES.get(parameter) or FEW)
        elif mode == "name":
            several.append((names.get(parameter, b"none"), b"there is none", b""))
    if len(several) > 1 and len(list(itertools.product(*several))) > 300:
        first = tuple(values[0] for values in several)
        return [first] + [first[:i] + (value,) + first[i + 1:] for i, values in enumerate(several) for value in values[1:]]
    return list(itertools.product(*several))


def run(device, arguments):
    nvml = Nvml()
    rows = list(table(arguments.tables / "nvml.rs"))
    # What comes before anything else: no function works before the start.
    count = ctypes.c_uint(77)
    say("nvmlDeviceGetCount_v2", "before", "-", "-", nvml.library("nvmlDeviceGetCount_v2", ctypes.byref(count)))
    for name in ("nvmlInit", "nvmlInitWithFlags", "nvmlInit_v2"):
        given = [ctypes.c_uint(0)] if name == "nvmlInitWithFlags" else []
        say(name, "-", "-", "-", nvml.library(name, *given))
        say("nvmlDeviceGetCount_v2", name, "-", "-", nvml.library("nvmlDeviceGetCount_v2", ctypes.byref(count)), data=count.value)
        say("nvmlShutdown", name, "-", "-", nvml.library("nvmlShutdown"))
    say("nvmlShutdown", "again", "-", "-", nvml.library("nvmlShutdown"))
    nvml.start()
    names = nvml.names()
    for code in list(range(0, 32)) + [99, 999]:
        text = nvml.library("nvmlErrorString", code)
        say("nvmlErrorString", code, "-", "-", 0, data=text.decode().replace(" ", "_") if isinstance(text, bytes) else "-")
    for kind, name, parameters in rows:
        if arguments.only and not re.search(arguments.only, name):
            continue
        if kind == "refused":
            # Natively it would change the machine, or what others see of it.
            if arguments.ours:
                say(name, "refused", "-", "-", nvml.library(name, *[VOID(0)] * 6))
            continue
        if kind != "sync":
            continue
        if not nvml.library.has(name):
            say(name, "-", "-", "-", Library.LACKING)
            continue
        sized = any(mode in ("size", "count") for _, mode, _ in parameters)
        texts = any(mode == "text" for _, mode, _ in parameters)
        # How many processes the box has is nobody's business: there is room for all.
        rooms = (4096,) if any(mode == "processes" for _, mode, _ in parameters) else (96, 1, 0) if texts else (512, 1, 0) if sized else (None,)
        for choice in choices(parameters, names):
            for room in rooms:
                nvml.call(name, parameters, choice, nvml.device, room, "device")
    by_uuid(nvml, names)
    events(nvml)
    processes(nvml)
    # What may end the process comes last.
    for kind, name, parameters in rows:
        if kind == "sync" and nvml.library.has(name) and not (arguments.only and not re.search(arguments.only, name)):
            refusals(nvml, name, parameters, choices(parameters, names)[0])
    say("nvmlShutdown", "last", "-", "-", nvml.library("nvmlShutdown"))
    say("nvmlDeviceGetCount_v2", "after", "-", "-", nvml.library("nvmlDeviceGetCount_v2", ctypes.byref(count)))


def refusals(nvml, name, parameters, first):
    """A device that there is not, versions that there are not, and nowhere to write."""
    modes = [mode for _, mode, _ in parameters]
    room = 96 if "text" in modes else 512 if "size" in modes or "count" in modes else None
    for argument in [argument for _, mode, argument in parameters if mode == "versioned"]:
        for word in argument.split():
            nvml.call(name, parameters, first, nvml.device, room, "version/" + word.replace("_", ""), int(word.replace("_", ""), 0))
        nvml.call(name, parameters, first, nvml.device, room, "version/9", 0x09000000 | int(argument.split()[0].replace("_", ""), 0) & 0xFFFFFF)
    if set(modes) <= {"device", "out", "optional", "u32"} and {"out", "optional"} & set(modes):
        given = [nvml.device if mode == "device" else ctypes.c_uint(0) if mode == "u32" else None for mode in modes]
        say(name, "nowhere", "-", "-", nvml.library(name, *given))
    # Most functions of NVML end the program.
    if name in WITHOUT_DEVICE:
        nvml.call(name, parameters, first, VOID(0), room, "no-device")


def by_uuid(nvml, names):
    """Devices by what they are called, as text and as bytes."""
    text = names["uuid"]
    binary = bytes.fromhex(text.decode().replace("GPU-", "").replace("-", "")) if text.startswith(b"GPU-") else b"?" * 16
    for label, kind, value in (("text", 1, text), ("bytes", 2, binary), ("none", 1, b"GPU-none"), ("kind", 0, text), ("empty", 1, b"")):
        given, found, index = ctypes.create_string_buffer(struct.pack("<II", 0x01000034, kind) + value, 60), VOID(), ctypes.c_uint(99)
        status = nvml.library("nvmlDeviceGetHandleByUUIDV", given, ctypes.byref(found))
        say("nvmlDeviceGetHandleByUUIDV", label, "-", "-", status)
        if not status:
            say("nvmlDeviceGetHandleByUUIDV", label, "index", "-", nvml.library("nvmlDeviceGetIndex", found, ctypes.byref(index)), data=index.value)


def events(nvml):
    """Sets of events: nothing happens to a device that nobody breaks."""
    library, kinds = nvml.library, ctypes.c_uint64(77)
    say("nvmlDeviceGetSupportedEventTypes", "-", "-", "-", library("nvmlDeviceGetSupportedEventTypes", nvml.device, ctypes.byref(kinds)), data=kinds.value)
    events = VOID()
    say("nvmlEventSetCreate", "-", "-", "-", library("nvmlEventSetCreate", ctypes.byref(events)))
    say("nvmlEventSetCreate", "nowhere", "-", "-", library("nvmlEventSetCreate", None))
    for wanted in (0, 8, kinds.value):
        say("nvmlDeviceRegisterEvents", wanted, "-", "-", library("nvmlDeviceRegisterEvents", nvml.device, ctypes.c_uint64(wanted), events))
    data = ctypes.create_string_buffer(64)
    for name in ("nvmlEventSetWait_v2", "nvmlEventSetWait"):
        say(name, "-", "-", "-", library(name, events, data, 1))
        say(name, "nowhere", "-", "-", library(name, events, None, 1))
    say("nvmlEventSetFree", "-", "-", "-", library("nvmlEventSetFree", events))


def processes(nvml):
    """The process that asks is no process of the GPU's; the name of one that there is not."""
    text = ctypes.create_string_buffer(256)
    say("nvmlSystemGetProcessName", "none", "-", "-", nvml.library("nvmlSystemGetProcessName", 4194305, text, 256))
    say("nvmlSystemGetProcessName", "nowhere", "-", "-", nvml.library("nvmlSystemGetProcessName", 1, None, 256))
    status = nvml.library("nvmlSystemGetProcessName", os.getpid(), text, 256)
    say("nvmlSystemGetProcessName", "own", "-", "-", status, data=b"python" in text.value)
