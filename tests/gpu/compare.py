"""Compares what a program printed natively with what it printed through us. Timings are hidden, nothing else is.

`normalise` replaces durations and rates by a word, and says which texts it replaced. `corruptions` makes wrong results out of a right one; the
suite asserts that each of them is noticed, so that a pattern that hides too much shows itself.
"""

import hashlib
import re

NUMBER = r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?"
TIME_UNIT = r"(?:ns|us|usecs?|ms|msecs?|s|secs?|seconds|milliseconds|microseconds)"
RATE_UNIT = (
    r"(?:[KMGT]i?B/s(?:ec)?|[KMG]B/ms|[KMGT]?[Ff][Ll][Oo][Pp]s?/s(?:ec)?|[KMGT]?FLOPS|(?:[KMG]|Mega|Giga)?[Ee]lements/s(?:ec)?"
    r"|[KMG]?[Pp]ixels/s(?:ec)?|[KMG]?[Oo]ptions/s(?:ec)?|GOPS?/s(?:ec)?)"
)

# Each pattern's first group is what is hidden.
TIMINGS = [
    re.compile(r"(?<![\w.])(" + NUMBER + r")\s*\(?" + TIME_UNIT + r"\b"),
    re.compile(r"(?<![\w.])(" + NUMBER + r")\s*\(?" + RATE_UNIT),
    # The unit stands before the number: "Time (ms): 0.07", "GOP/s: 12.5".
    re.compile(r"(?:\(" + TIME_UNIT + r"\)|" + RATE_UNIT + r")\s*[:=]\s*(" + NUMBER + r")"),
    # No unit at all, but called a time: "Processing time: 0.07".
    re.compile(r"\b[Tt]ime\b[^\d\n:=]{0,40}[:=]\s*(" + NUMBER + r")"),
]

HIDDEN = "<timing>"


# Beyond this, the rest of a line counts as it is: patterns take time that grows with the square of a line's length.
LONGEST_LINE = 2000


def normalise_line(line, patterns):
    """The line with timings replaced by a word, and the list of what was replaced."""
    line, rest = line[:LONGEST_LINE], line[LONGEST_LINE:]
    spans = []
    for pattern in patterns:
        for match in pattern.finditer(line):
            start, end = match.span(1)
            if all(end <= other[0] or start >= other[1] for other in spans):
                spans.append((start, end))
    hidden = []
    for start, end in sorted(spans, reverse=True):
        hidden.append(line[start:end])
        line = line[:start] + HIDDEN + line[end:]
    if hidden:
        # The length of a number decides how much space pads it.
        line = re.sub(r"[ \t]*" + HIDDEN + r"[ \t]*", HIDDEN, line)
    return (line + rest).rstrip(), hidden


def all_patterns(hide):
    return TIMINGS + [re.compile(pattern) for pattern in hide]


def normalise(text, hide=()):
    """The text's lines with timings replaced by a word, and the list of what was replaced."""
    patterns = all_patterns(hide)
    lines, hidden, known = [], [], {}
    for line in text.splitlines():
        # Programs repeat themselves.
        if line not in known:
            known[line] = normalise_line(line, patterns)
        lines.append(known[line][0])
        hidden += known[line][1]
    return lines, hidden


def difference(native, ours, hide=(), unordered=False):
    """What distinguishes two outputs, as a short text; empty if nothing does."""
    left, _ = normalise(native, hide)
    right, _ = normalise(ours, hide)
    if unordered:
        left, right = sorted(left), sorted(right)
    if left == right:
        return ""
    for index in range(max(len(left), len(right))):
        a = left[index] if index < len(left) else "(nothing)"
        b = right[index] if index < len(right) else "(nothing)"
        if a != b:
            return "line %d: natively %r, ours %r" % (index + 1, a[:120], b[:120])
    return "the outputs differ"


# How the samples say that they failed, where their exit code does not.
BAD_VERDICT = re.compile(r"(?i:\btest(?: \w+)? failed|\bcuda error(?: at|:)|\bcuda failure)|\bFAILED\b|\bFAILURE\b|\bINCORRECT\b|= FAIL\b|initialization failed!")


def bad_verdict(text):
    """The first line in which a program says that its results are wrong, or None."""
    return next((line.strip()[:120] for line in text.splitlines() if BAD_VERDICT.search(line)), None)


def digest(text, hide=(), unordered=False):
    """A short name for an output without its timings and without the lines that name the GPU, so that records can tell whether another device gave the same."""
    lines = [line for line in normalise(text, hide)[0] if not re.search(r"(?i)\bGPU Device \d+:|compute capability|multi-?processors", line)]
    return hashlib.sha256("\n".join(sorted(lines) if unordered else lines).encode()).hexdigest()[:16]


RESULT_WORDS = [("PASS", "FAIL"), ("pass", "fail"), ("success", "failure"), ("SUCCESS", "FAILURE"), ("right", "wrong"), ("OK", "KO")]


# As many different lines, and numbers on each, are tried; outputs of megabytes repeat one form.
MOST_LINES, MOST_NUMBERS = 3000, 40


def corruptions(line):
    """Wrong versions of a line of a right output, each with what was done to it."""
    for good, bad in RESULT_WORDS:
        if good in line:
            yield "%s turned into %s" % (good, bad), line.replace(good, bad, 1)
    # A whole number that is no timing by its looks: no unit of time or rate after it and no "time" before it on its line.
    for count, match in enumerate(re.finditer(r"(?<![\w.])\d{1,30}(?![\w.]*\d)", line[:LONGEST_LINE])):
        if count == MOST_NUMBERS:
            return
        start, end = match.span()
        if re.match(r"\.?\d*\s*\(?(?:" + TIME_UNIT + r"\b|" + RATE_UNIT + ")", line[end : end + 24]):
            continue
        if re.search(r"(?i)\btime\b|/s(?:ec)?\b|\(ms\)", line[:start]):
            continue
        number = match.group()
        wrong = str(int(number) + 1)
        yield "%s turned into %s" % (number, wrong), line[:start] + wrong + line[end:]


def undetected(text, hide=(), unordered=False):
    """The corruptions of this output that the comparison would not notice. Numbers that the case itself declares to be timings do not count."""
    missed = []
    whole = [("the last line is lost", "\n".join(text.splitlines()[:-1])), ("a line appears", text + "\nunexpected")]
    for what, wrong in whole if text else whole[1:]:
        if not difference(text, wrong, hide, unordered):
            missed.append(what)
    # What is done to one line is noticed exactly if that line's normal form changes, whatever the order.
    patterns = all_patterns(hide)
    for line in list(dict.fromkeys(text.splitlines()))[:MOST_LINES]:
        normal, declared = normalise_line(line, patterns)
        for what, wrong in corruptions(line):
            if normalise_line(wrong, patterns)[0] == normal and not (hide and what.split(" ")[0] in declared):
                missed.append(what)
    return missed
