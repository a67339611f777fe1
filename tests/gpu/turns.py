"""Programs that stay and take turns: each does a little for every line of its standard input, so that who is compared meets the same machine."""

import queue
import re
import statistics
import subprocess
import threading

import processes

# What a program of the benchmarks says: `seconds` ends what it has to say to one line.
WORD = re.compile(r"(result|seconds|rate) (.*)$")


class Subject:
    """One such program. From its first failure on it has nothing to say."""

    def __init__(self, name, process, errors, patience=120):
        self.name, self.process, self.errors, self.patience = name, process, errors, patience
        self.failed = False
        self._lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def turn(self, line):
        """What it said to a line: `result`, `seconds` and `rates`; None of a program that has failed."""
        if self.failed:
            return None
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
            return self._heard(until="seconds")
        except (OSError, queue.Empty) as error:
            self._fails("%s: %r" % (line, error))
            return None

    def _heard(self, until):
        found = {"rates": {}}
        while until not in found:
            line = self._lines.get(timeout=self.patience)
            if line is None:
                raise OSError("it has ended")
            match = WORD.match(line)
            if not match:
                continue
            kind, text = match.groups()
            if kind == "rate":
                rate, value = text.rsplit(" ", 1)
                found["rates"][rate] = float(value)
            else:
                found[kind] = float(text) if kind == "seconds" else text
        return found

    def _fails(self, why):
        self.failed = True
        with open(self.errors) as file:
            print("%s: %s\n%s" % (self.name, why, file.read()[-1500:]), flush=True)

    def end(self):
        """Ends it: what it says of all its turns, if it does."""
        last = None
        try:
            self.process.stdin.close()
            last = None if self.failed else self._heard(until="result")["result"]
        except (OSError, queue.Empty):
            pass
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            pass
        processes.end(self.process)
        return last


def compared(native, ours):
    """Seconds of turns side by side: the medians, their ratio, and the middle half of the turns' own ratios."""
    ratios = [mine / theirs for mine, theirs in zip(ours, native)]
    middle_half = statistics.quantiles(ratios, n=4)[::2] if len(ratios) > 1 else ratios * 2
    row = {"native": statistics.median(native), "ours": statistics.median(ours), "middle_half": middle_half, "native_turns": native, "our_turns": ours}
    return dict(row, ratio=row["ours"] / row["native"])
