#!/usr/bin/env python3
"""Judges what programs did, holds it against expectations.json, and keeps the record.

A record (results/*.json) is of one kind of machine. It keeps the latest outcome of each case, each with its commit and date:

    python3 results.py keep RESULTS...              puts newer results into their machine's record
    python3 results.py merge RECORD RESULTS...      puts them into one that is named
    python3 results.py table RECORD                 prints it
"""

import glob
import json
import os
import re
import sys

import compare

HERE = os.path.dirname(os.path.abspath(__file__))
# What makes two rows outcomes of the same case.
KEY = ["kind", "case", "cuda", "level", "devices", "transport"]
# An outcome is one of these; the first two are as they should be.
EQUAL, EXPECTED, DIFFERENT, UNEXPECTED = "equal", "expected", "DIFFERS", "PASSES"
# What a group of expectations says beside which rows it is about.
ABOUT = ["cases", "reason", "slow", "timeout"]
# The exit code of a sample that finds its machine lacking.
WAIVED = 2


def judge(case, cuda, first, second, ours, stats):
    """Compares with two native runs, of which the second may be None where ours is like the first; returns (ok, notes)."""
    if first["code"] is None:
        return False, ["hangs natively"]
    if second and first["code"] != second["code"]:
        return False, ["native runs end with %s and %s" % (first["code"], second["code"])]
    if case.kind == "sample" and first["code"] not in [0, WAIVED] or first["code"] < 0:
        return False, ["fails natively with %s" % first["code"]]
    for name in ["out", "err"]:
        unordered = case.unordered or name == "err"
        unstable = second and compare.difference(first[name], second[name], case.hide, unordered)
        if unstable:
            return False, ["native runs differ (%s): %s" % (name, unstable)]
        missed = compare.undetected(first[name], case.hide, unordered)
        if missed:
            return False, ["the comparison would not notice that %s" % missed[0]]
    problems, notes = troubles(ours), []
    if not problems:
        problems = unlike(case, first, ours) + too_many_round_trips(case, stats)
    expected = case.expected_output(cuda)
    if expected is not None and expected != first["out"]:
        notes.append("the expected file is wrong: " + compare.difference(first["out"], expected))
    return not problems, problems + notes


def unlike(case, first, ours):
    """How a run of ours that ended differs from a native one; of one that did not end nothing more is asked."""
    if troubles(ours):
        return []
    problems = []
    if ours["code"] != first["code"]:
        problems.append("ends with %s, natively %s" % (ours["code"], first["code"]))
    for name, text in [("out", ours["out"]), ("err", without_our_log(ours["err"]))]:
        wrong = compare.difference(first[name], text, case.hide, case.unordered or name == "err")
        if wrong:
            problems.append("%s: %s" % (name, wrong))
    return problems


def without_directories(text):
    """A text in which paths have lost their directories: a record does not tell of the machine that it was made on."""
    return re.sub(r"(?<![\w:/.])(?:/[\w.+-]+)+/(?=[\w.+-])", "", text)


def judge_alone(case, cuda, ours, stats, native_codes):
    """Judges where nothing runs natively: by the expected output, or by the exit codes that are right and the program's own verdict."""
    problems = troubles(ours)
    if not problems:
        expected = case.expected_output(cuda)
        if expected is not None and compare.difference(expected, ours["out"]):
            problems.append("out: " + compare.difference(expected, ours["out"]).replace("natively", "expected", 1))
        if ours["code"] not in native_codes:
            problems.append("ends with %s instead of %s" % (ours["code"], " or ".join(map(str, native_codes))))
        verdict = case.kind == "sample" and compare.bad_verdict(ours["out"] + "\n" + without_our_log(ours["err"]))
        if verdict:
            problems.append("says %r" % verdict)
        problems += too_many_round_trips(case, stats)
    return not problems, problems


def troubles(ours):
    if ours["code"] is None:
        return ["hangs (over %s s)" % round(ours["seconds"])]
    return ["loads %s" % ours["stranger"]] if ours.get("stranger") else []


def too_many_round_trips(case, stats):
    if not stats or case.round_trips is None:
        return []
    trips = stats["totals"]["round_trips"] - stats["totals"].get("setup_round_trips", 0)
    return ["%d round trips, at most %d allowed" % (trips, case.round_trips)] if trips > case.round_trips else []


def without_our_log(text):
    return "\n".join(line for line in text.splitlines() if not re.match(r"\[?gvirtus", line))


def expectations(device):
    """Differences that are known, by case.

    The file groups cases that differ for the same reason; a group may be limited to values of a row's fields. One that is "slow" is about programs that do not end within the time
    that they are given: whether they do depends on the machine, so that they do is no surprise. "timeout" is how long one that is known to hang is waited for.
    """
    with open(os.path.join(HERE, "expectations.json")) as file:
        groups = json.load(file)[device]
    known = {}
    for group in groups:
        for name in group["cases"]:
            known.setdefault(name, []).append(group)
    return known


def matching(row, known):
    """The entry that this row falls under, or None."""
    for entry in known.get(row["case"], []):
        if all(row.get(field) == value for field, value in entry.items() if field not in ABOUT):
            return entry
    return None


def outcome(row, known, timed_out=False):
    """Completes a row that has `ok`: its outcome, and the reason where it was expected to differ."""
    entry = matching(row, known)
    if entry and entry.get("slow") and not timed_out:
        entry = None
    row["outcome"] = (UNEXPECTED if entry else EQUAL) if row["ok"] else (EXPECTED if entry else DIFFERENT)
    if entry:
        row["reason"] = entry["reason"]
    return row


def native_codes(records):
    """Exit codes of samples as GPUs gave them, from the records in a directory."""
    codes = {}
    for path in sorted(glob.glob(os.path.join(records, "*.json"))):
        with open(path) as file:
            for row in upgraded(json.load(file)).get("cases", []):
                if row["kind"] == "sample" and row.get("native_code") in [0, WAIVED] and row.get("devices", 1) == 1:
                    codes[row["kind"], row["case"]] = row["native_code"]
    return codes


def key(row):
    return tuple(row.get(field) for field in KEY)


def upgraded(record):
    """A record of today's form: earlier ones had one commit, driver and date for all."""
    if record.get("format") != 1:
        return record
    stamp = {name: record[name] for name in ["commit", "date", "driver"]}
    cases = []
    for row in record["cases"]:
        row = dict(row, **stamp, devices=1)
        row["level"] = "library" if row.pop("cudart") == "shared" else "driver"
        row["outcome"] = EQUAL if row["ok"] else DIFFERENT
        cases.append(row)
    functions = {name: dict(stamp, cases=names) for name, names in record["functions"].items()}
    return {"format": 2, "gpu": record["gpu"], "cases": cases, "functions": functions}


def merge(record, newer):
    """Puts newer results into a record: the latest outcome of each case, the latest run of each function."""
    record, newer = upgraded(record), upgraded(newer)
    if record["gpu"] != newer["gpu"]:
        raise SystemExit("the results are of %s, the record is of %s" % (newer["gpu"], record["gpu"]))
    rows = {key(row): row for row in record["cases"]}
    rows.update({key(row): row for row in newer["cases"]})
    ordered = sorted(rows.values(), key=lambda row: [str(part) for part in key(row)])
    functions = dict(record["functions"])
    for name, seen in newer["functions"].items():
        if name not in functions or seen["date"] >= functions[name]["date"]:
            functions[name] = seen
    return dict(record, cases=ordered, functions=dict(sorted(functions.items())))


def keep(record, directory):
    """Merges results into their machine's record, whose name is that of the GPU."""
    short = re.sub(r"[^a-z0-9]+", "-", re.sub(r"NVIDIA |\d+GB|HBM\w*|device", "", record["gpu"]).strip().lower())
    path = os.path.join(directory, short + ".json")
    write(merge(load(path), record) if os.path.exists(path) else record, path)


def write(record, path):
    """One line per case, so that a new run shows as a readable difference."""
    line = lambda value: json.dumps(value, sort_keys=True)
    parts = ['"%s": %s' % (name, line(value)) for name, value in record.items() if name not in ["cases", "functions"]]
    parts.append('"cases": [\n  %s\n ]' % ",\n  ".join(line(row) for row in record["cases"]))
    parts.append('"functions": {\n  %s\n }' % ",\n  ".join("%s: %s" % (line(name), line(seen)) for name, seen in record["functions"].items()))
    with open(path, "w") as file:
        file.write("{\n %s\n}\n" % ",\n ".join(parts))


def table(rows, not_built=None, not_run=()):
    """The rows as text, what went wrong first."""
    order = {DIFFERENT: 0, UNEXPECTED: 1, EXPECTED: 2, EQUAL: 3}
    lines = ["%-28s %-4s %-7s %-4s %-5s %-8s %8s %8s %6s  %s" % ("case", "cuda", "level", "gpus", "over", "outcome", "native s", "ours s", "trips", "notes")]
    number = lambda value, form: "" if value is None else form % value
    for row in sorted(rows, key=lambda row: [order[row["outcome"]]] + [str(part) for part in key(row)]):
        notes = [row["reason"]] if "reason" in row else []
        lines.append("%-28s %-4d %-7s %-4d %-5s %-8s %8s %8s %6s  %s" % (
            row["case"], row["cuda"], row["level"], row["devices"], row["transport"], row["outcome"], number(row["native_seconds"], "%.2f"), number(row["seconds"], "%.2f"),
            number(row["round_trips"], "%d"), "; ".join(notes + row["notes"])[:200]))
    for (name, level), error in sorted((not_built or {}).items()):
        lines.append("%-28s does not build at %s level: %s" % (name, level, (error.strip().splitlines() or [""])[-1][:160]))
    for what in not_run:
        lines.append("not run: %s" % what)
    count = lambda *outcomes: sum(row["outcome"] in outcomes for row in rows)
    lines.append("%d of %d as they should be: %d pass, %d differ for a known reason; %d differ, %d pass though expected to differ" % (
        count(EQUAL, EXPECTED), len(rows), count(EQUAL), count(EXPECTED), count(DIFFERENT), count(UNEXPECTED)))
    return "\n".join(lines) + "\n"


def load(path):
    with open(path) as file:
        return upgraded(json.load(file))


def main():
    if len(sys.argv) == 3 and sys.argv[1] == "table":
        print(table(load(sys.argv[2])["cases"]), end="")
        return 0
    if len(sys.argv) >= 3 and sys.argv[1] == "keep":
        for path in sys.argv[2:]:
            keep(load(path), os.path.join(HERE, "results"))
        return 0
    if len(sys.argv) < 4 or sys.argv[1] != "merge":
        print(__doc__)
        return 2
    record = load(sys.argv[2]) if os.path.exists(sys.argv[2]) else None
    for path in sys.argv[3:]:
        record = merge(record, load(path)) if record else load(path)
    write(record, sys.argv[2])
    return 0


if __name__ == "__main__":
    sys.exit(main())
