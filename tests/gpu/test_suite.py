"""Tests of the GPU suite itself, without a GPU: the comparison hides timings and notices everything else."""

import glob
import json
import os
import re
import unittest

import compare

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


if __name__ == "__main__":
    unittest.main()
