"""Tests of the GPU suite itself, without a GPU: the comparison hides timings and notices everything else."""

import glob
import json
import os
import re
import unittest

import compare
import goals

HERE = os.path.dirname(os.path.abspath(__file__))
FIXTURES = next(path for path in [os.path.join(HERE, "fixtures"), os.path.join(HERE, "../fixtures")] if os.path.isdir(path))


class Timings(unittest.TestCase):
    """Outputs as programs print them: (one run, another run that only took longer, results that are wrong)."""

    CASES = [
        ("Time (ms): 0.071 for 65536 elements", "Time (ms): 12.9 for 65536 elements", ["Time (ms): 0.071 for 65535 elements"]),
        ("rate = 812.25 GFlop/s, took 0.161 msec, 131072000 operations", "rate = 9.5 GFlop/s, took 14.2 msec, 131072000 operations",
         ["rate = 812.25 GFlop/s, took 0.161 msec, 131072001 operations"]),
        ("bandwidth 1203.4 GB/s\nPASSED", "bandwidth 98 GB/s\nPASSED", ["bandwidth 1203.4 GB/s\nFAILED", "bandwidth 1203.4 GB/s"]),
        ("processing time: 33.1 (ms)\nerror 0", "processing time: 1.0e+2 (ms)\nerror 0", ["processing time: 33.1 (ms)\nerror 1"]),
        ("12 streams in 0.004s", "12 streams in 1.5s", ["13 streams in 0.004s"]),
        ("sum 1.5, 3 steps", "sum 1.5, 3 steps", ["sum 1.6, 3 steps", "sum 1.5, 4 steps", "sum -1.5, 3 steps"]),
        ("elapsed time = 4.25\nvalue = 4.25", "elapsed time = 5\nvalue = 4.25", ["elapsed time = 4.25\nvalue = 5"]),
    ]

    def test_only_timings_are_hidden(self):
        for right, slower, wrong in self.CASES:
            self.assertEqual(compare.difference(right, slower), "", right)
            for text in wrong:
                self.assertNotEqual(compare.difference(right, text), "", text)

    def test_corruptions_are_noticed(self):
        for right, slower, _ in self.CASES:
            for text in [right, slower]:
                self.assertEqual(compare.undetected(text), [], text)

    def test_a_pattern_that_hides_results_is_found_out(self):
        missed = compare.undetected("found 12 errors in 5 blocks", [r"(\d+ errors in \d+)"])
        self.assertTrue(missed)

    def test_order_counts_unless_said_otherwise(self):
        self.assertNotEqual(compare.difference("a\nb", "b\na"), "")
        self.assertEqual(compare.difference("a\nb", "b\na", unordered=True), "")
        self.assertNotEqual(compare.difference("a\nb", "b\nb", unordered=True), "")


class Fixtures(unittest.TestCase):
    def test_every_corruption_of_every_fixture_is_noticed(self):
        paths = glob.glob(FIXTURES + "/*.expected*")
        self.assertGreater(len(paths), 20)
        for path in paths:
            with open(path) as file:
                text = file.read()
            self.assertEqual(compare.undetected(text), [], path)
            self.assertEqual(compare.normalise(text)[1], [], path + " has no timings")


class Cases(unittest.TestCase):
    def test_patterns_hide_one_group_each(self):
        with open(os.path.join(HERE, "cases.json")) as file:
            described = json.load(file)
        for name, case in list(described["samples"].items()) + list(described["fixtures"].items()):
            for pattern in case.get("hide", []):
                self.assertEqual(re.compile(pattern).groups, 1, name)
        self.assertGreaterEqual(sum(bool(case.get("cuda12")) for case in described["samples"].values()), 10)


class Goals(unittest.TestCase):
    FIGURES = {"figures": [
        {"id": "launch_sync", "median": {"native": 10, "tcp": 25, "shm": 12}},
        {"id": "copy", "size": 1 << 20, "median": {"native": 50, "tcp": 7, "shm": 40}},
        {"id": "raw_ping", "median": {"tcp": 14}}, {"id": "raw_up", "median": {"tcp": 8}},
    ]}

    def verdicts(self, *described):
        return [row[4] for row in goals.judge(self.FIGURES, described)]

    def test_both_sides_of_every_kind_of_limit(self):
        for goal, reached in [
            ({"id": "launch_sync", "on": ["shm"], "at_most": 12}, True), ({"id": "launch_sync", "on": ["shm"], "at_most": 11}, False),
            ({"id": "launch_sync", "on": ["shm"], "at_most_native": 1, "plus": 3}, True), ({"id": "launch_sync", "on": ["shm"], "at_most_native": 1.1}, False),
            ({"id": "launch_sync", "on": ["tcp"], "at_most_native": 1, "plus_raw_pings": 1.2}, True), ({"id": "launch_sync", "on": ["tcp"], "at_most_native": 1, "plus_raw_pings": 1}, False),
            ({"id": "copy", "size": 1 << 20, "on": ["shm"], "at_least_native": 0.8}, True), ({"id": "copy", "size": 1 << 20, "on": ["shm"], "at_least_native": 0.9}, False),
            ({"id": "copy", "size": 1 << 20, "on": ["tcp"], "at_least_raw": 0.8, "raw": "raw_up"}, True), ({"id": "copy", "size": 1 << 20, "on": ["tcp"], "at_least_raw": 0.9, "raw": "raw_up"}, False),
        ]:
            self.assertEqual(self.verdicts(goal), [reached], goal)

    def test_what_is_missing_is_not_reached(self):
        self.assertEqual(self.verdicts({"id": "copy", "size": 5, "on": ["shm", "tcp"], "at_most": 3}), [None, None])
        self.assertEqual(self.verdicts({"id": "copy", "size": 1 << 20, "on": ["shm"], "at_least_raw": 1, "raw": "raw_up"}), [None])

    def test_the_goals_can_be_judged(self):
        with open(os.path.join(HERE, "goals.json")) as file:
            described = json.load(file)["goals"]
        for row in goals.judge(self.FIGURES, described):
            self.assertIn(row[4], [True, False, None])


if __name__ == "__main__":
    unittest.main()
