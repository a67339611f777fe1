#!/usr/bin/env python3
"""Holds the figures of `gvirtus bench --json` against goals.json: which are reached, and by how much the others are missed.

    gvirtus bench --transports tcp,shm --json figures.json
    python3 goals.py figures.json
"""

import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


def limit(goal, transport, median):
    """The value that a goal asks for, and whether it is a floor. None where a figure that it refers to is missing."""
    def times(value, factor):
        return None if value is None else value * factor

    size = goal.get("size")
    if "at_most" in goal:
        return goal["at_most"], False
    if "at_least_raw" in goal:
        return times(median(goal["raw"], None, transport), goal["at_least_raw"]), True
    if "at_least_native" in goal:
        return times(median(goal.get("at_least_native_of", goal["id"]), size, "native"), goal["at_least_native"]), True
    value = times(median(goal["id"], size, "native"), goal["at_most_native"])
    if value is not None and "plus_raw_pings" in goal:
        more = times(median("raw_ping", None, transport), goal["plus_raw_pings"])
        value = None if more is None else value + more
    return None if value is None else value + goal.get("plus", 0), False


def judge(report, goals):
    """One row per goal and transport: name, transport, value, what is asked, and True, False or None where it cannot be said."""
    figures = {(figure["id"], figure.get("size")): figure for figure in report["figures"]}

    def median(name, size, who):
        return figures.get((name, size), {}).get("median", {}).get(who)

    rows = []
    for goal in goals:
        for transport in goal["on"]:
            value = median(goal["id"], goal.get("size"), transport)
            asked, floor = limit(goal, transport, median)
            reached = None
            if value is not None and asked is not None:
                reached = value >= asked if floor else value <= asked
            name = goal["id"] + (" %d MiB" % (goal["size"] >> 20) if "size" in goal else "")
            rows.append((name, transport, value, (">= " if floor else "<= ") + ("?" if asked is None else "%.3f" % asked), reached))
    return rows


def main():
    if len(sys.argv) != 2:
        print(__doc__)
        return 2
    with open(sys.argv[1]) as file:
        report = json.load(file)
    with open(os.path.join(HERE, "goals.json")) as file:
        goals = json.load(file)["goals"]
    rows = judge(report, goals)
    words = {True: "reached", False: "MISSED", None: "not measured"}
    for name, transport, value, asked, reached in rows:
        print("%-24s %-6s %12s %14s  %s" % (name, transport, "-" if value is None else "%.3f" % value, asked, words[reached]))
    return 0 if all(row[4] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
