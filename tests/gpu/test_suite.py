"""Tests of the GPU suite itself, without a GPU: the comparison hides timings and notices everything else."""

import contextlib
import glob
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import types
import unittest

import cases
import compare
import goals
import library_bench
import library_functions
import processes
import programs
import results
import run

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


class Speed(unittest.TestCase):
    """A quarter of a megabyte of anything is compared and checked within seconds of processor time, by the patterns of all cases together."""

    def test_large_outputs(self):
        patterns = {pattern for case in cases.described()["samples"].values() for pattern in case.get("hide", [])}
        texts = ["7" * (1 << 18), " " * (1 << 18), "x" * (1 << 18), "1.5 " * (1 << 16), "error at 12: 0.5 instead of 0.25\n" * 8000,
                 "\n".join("element %d of %d is %d" % (i, i * i, i + 5) for i in range(8000)), "a.1" * 80000, "time time = " * 20000]
        for text in texts:
            began = time.process_time()
            compare.undetected(text, sorted(patterns))
            compare.difference(text, text + "8", sorted(patterns))
            compare.digest(text, sorted(patterns))
            compare.bad_verdict(text)
            self.assertLess(time.process_time() - began, 10, text[:40])


class LibraryBench(unittest.TestCase):
    """A workload of compute libraries misses its goals by time, by round trips, or by what it computes."""

    def row(self, seconds=1.0, trips=5 + 30, first=1, result="a"):
        once = {"trips": 6, "by_libraries": first}
        return library_bench.row_of("sgemm", "shm", {"seconds": [1.0] * 3, "result": "a"}, dict(once, seconds=[seconds] * 3, trips=trips, result=result), once, 30)

    def test_goals(self):
        row = self.row()
        self.assertEqual((row["missed"], row["more_trips"], row["equal"], row["ratio"]), ([], 0, True, 1.0))
        for worse in [{"seconds": 1.03}, {"trips": 5 + 31}, {"result": "b"}]:
            self.assertEqual(len(self.row(**worse)["missed"]), 1, worse)
        self.assertTrue(library_bench.row_of("sgemm", "shm", False, None, None, 30)["missed"])
        self.assertTrue(library_bench.row_of("sgemm", "shm", None, {"seconds": [1.0], "result": "a", "trips": 6}, {"trips": 6, "by_libraries": 1}, 1 + 30)["missed"])
        self.assertIn("reached", library_bench.table([row]))


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
        described = cases.described()
        for name, case in list(described["samples"].items()) + list(described["fixtures"].items()):
            for pattern in case.get("hide", []):
                self.assertEqual(re.compile(pattern).groups, 1, name)
        self.assertGreaterEqual(sum(bool(case.get("cuda12")) for case in described["samples"].values()), 20)

    def test_a_sample_is_a_case_or_left_out_for_one_reason(self):
        described = cases.described()
        left_out = [name for entry in described["left_out"] for name in entry["samples"]]
        self.assertEqual(len(left_out), len(set(left_out)))
        self.assertEqual(set(left_out) & set(described["samples"]), set())
        self.assertTrue(all(entry["reason"] for entry in described["left_out"]))

    def test_a_new_sample_is_noticed(self):
        with tempfile.TemporaryDirectory() as checkout:
            for name in ["vectorAdd", "simpleGL", "somethingNew"]:
                os.makedirs(os.path.join(checkout, "Samples/0_Introduction", name))
                open(os.path.join(checkout, "Samples/0_Introduction", name, "CMakeLists.txt"), "w").close()
            self.assertEqual(cases.unknown_samples(checkout, cases.described()), ["somethingNew"])


class Verdicts(unittest.TestCase):
    RIGHT = ["Test passed", "0 errors", "Device assert failed as expected, CUDA error message is: device-side assert triggered", "result = PASS", "no failures"]
    WRONG = ["Test failed!", "test results... FAILED", "CUDA error at x.cu:12 code=700", "simpleStreams test FAILED", "CUBLAS initialization failed!"]

    def test_a_program_s_own_verdict_is_understood(self):
        for text in self.RIGHT:
            self.assertIsNone(compare.bad_verdict("one line\n%s\nanother" % text), text)
        for text in self.WRONG:
            self.assertEqual(compare.bad_verdict("one line\n%s\nanother" % text), text)

    def test_a_digest_tells_results_apart_and_no_timings(self):
        text = 'GPU Device 0: "Hopper" with compute capability 9.0\nsum 12\ntook 3.5 ms'
        self.assertEqual(compare.digest(text), compare.digest(text.replace("Hopper", "CPU").replace("3.5", "70.25")))
        self.assertNotEqual(compare.digest(text), compare.digest(text.replace("12", "13")))


class Outcomes(unittest.TestCase):
    KNOWN = {"broken": [{"level": "driver", "reason": "because"}]}

    def row(self, name, ok, level="driver"):
        return results.outcome({"case": name, "level": level, "ok": ok}, self.KNOWN)

    def test_only_what_is_expected_may_differ(self):
        self.assertEqual(self.row("fine", True)["outcome"], results.EQUAL)
        self.assertEqual(self.row("fine", False)["outcome"], results.DIFFERENT)
        self.assertEqual(self.row("broken", False)["outcome"], results.EXPECTED)
        self.assertEqual(self.row("broken", False)["reason"], "because")
        self.assertEqual(self.row("broken", False, level="library")["outcome"], results.DIFFERENT)

    def test_an_expected_failure_that_passes_is_no_success(self):
        self.assertEqual(self.row("broken", True)["outcome"], results.UNEXPECTED)

    def test_a_slow_one_may_be_fast_but_not_wrong(self):
        known = {"slow": [{"slow": True, "reason": "so much to do"}]}
        judged = lambda ok, late: results.outcome({"case": "slow", "ok": ok}, known, timed_out=late)["outcome"]
        self.assertEqual([judged(False, True), judged(True, False), judged(False, False)], [results.EXPECTED, results.EQUAL, results.DIFFERENT])

    def test_every_expectation_has_a_reason_and_names_a_case(self):
        described = cases.described()
        fixtures = {os.path.basename(path)[:-3] for path in glob.glob(FIXTURES + "/*.cu")}
        for device in ["cuda", "cpu"]:
            for name, entries in results.expectations(device).items():
                self.assertTrue(name in described["samples"] or name in fixtures, name)
                for entry in entries:
                    self.assertGreater(len(entry["reason"]), 10, name)
                    self.assertLessEqual(set(entry), {*results.ABOUT, *results.KEY}, name)

    def test_cases_accumulate(self):
        def record(date, name, ok):
            row = {"kind": "sample", "case": name, "cuda": 13, "level": "driver", "devices": 1, "transport": "tcp", "ok": ok}
            return {"format": 2, "gpu": "G", "cases": [row], "functions": {"cuInit": {"date": date, "cases": [name]}}}
        both = results.merge(results.merge(record("1", "a", False), record("2", "b", True)), record("3", "a", True))
        self.assertEqual([(row["case"], row["ok"]) for row in both["cases"]], [("a", True), ("b", True)])
        self.assertEqual(both["functions"]["cuInit"]["date"], "3")
        with self.assertRaises(SystemExit):
            results.merge(both, dict(record("4", "a", True), gpu="another"))


class Judgements(unittest.TestCase):
    """One native run shows that ours is like it; whether a program is like itself is asked where it is not."""

    CASE = types.SimpleNamespace(kind="fixture", hide=[], unordered=False, round_trips=None, expected_output=lambda cuda: None)

    def result(self, out, code=0):
        return {"code": code, "out": out, "err": "", "seconds": 1}

    def judge(self, first, second, ours):
        return results.judge(self.CASE, 13, first, second, ours, None)

    def test_a_second_native_run_decides_where_ours_differs(self):
        a, b = self.result("sum 1\n"), self.result("sum 2\n")
        self.assertEqual(self.judge(a, None, a), (True, []))
        self.assertEqual(self.judge(a, a, b)[1], ["out: line 1: natively 'sum 1', ours 'sum 2'"])
        self.assertIn("native runs differ", self.judge(a, b, b)[1][0])
        self.assertFalse(self.judge(a, None, self.result("sum 1\n", 1))[0])

    def test_only_those_that_differ_run_again(self):
        a, b, hanging = self.result("1"), self.result("2"), dict(self.result(""), code=None)
        native = run.Native(None, None, None)
        native.first = {"equal": a, "differs": a, "hangs": a, "left": a, "known": a}
        native.second = {"known": a}
        again = []
        native.run = lambda entries, turn, done: again.extend(entry["id"] for entry in entries)
        entries = [{"id": name, "case": self.CASE} for name in native.first]
        self.assertEqual(native.again(entries, {"equal": a, "differs": b, "hangs": hanging, "left": dict(b, not_run=True), "known": b}), 1)
        self.assertEqual(again, ["differs"])


class Programs(unittest.TestCase):
    """What was compiled elsewhere is used exactly where the same would be compiled."""

    # Writes down what it is told, and what is made.
    NVCC = '#!/bin/sh\necho "$@" >> "${0%/*}/log"\nwhile [ $# -gt 1 ]; do [ "$1" = -o ] && echo made > "$2"; shift; done\n'

    def setUp(self):
        self.root = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.root)
        self.nvcc = [self.write("bin/nvcc", self.NVCC)]
        os.chmod(self.nvcc[0], 0o755)
        self.options = types.SimpleNamespace(samples=self.path("samples"), carried=self.root, home=self.root, arch="sm_90", cuda_major=13, build_only=self.path("cuda13"))
        self.write("fixtures/check.h", "1")
        self.fixture = cases.Case("fixture", "one", os.path.dirname(self.write("fixtures/one.cu", "// compile: -rdc=true\n")), {})
        self.write("samples/two/main.cu", "1")
        self.write("samples/two/inc/two.h", "1")
        self.write("samples/two/data/in.pgm", "1")
        self.write("samples/Common/helper.h", "1")
        description = {"directories": ["data"], "ptx": {"two.ptx": "kernel.cu"}, "flags": ["-Xcompiler=-fopenmp"]}
        self.sample = cases.Case("sample", "two", self.path("samples/two"), description)
        self.linked = cases.Case("fixture", "one", self.path("fixtures"), {"libraries": ["cublas"]})

    def path(self, name):
        return os.path.join(self.root, name)

    def write(self, name, text):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "w") as file:
            file.write(text)
        return self.path(name)

    def told(self):
        """What the compiler was told since the last time."""
        log = self.path("bin/log")
        if not os.path.exists(log):
            return []
        with open(log) as file:
            lines = file.read().splitlines()
        os.unlink(log)
        return [line for line in lines if line != "--version"]

    def bring(self, *brought):
        with contextlib.redirect_stdout(io.StringIO()):
            self.assertEqual(programs.build_only(brought, self.options, self.nvcc, None), 0)
        return self.told()

    def build(self, *pairs, arch="sm_90"):
        built = programs.build_all(pairs, self.nvcc, arch, tempfile.mkdtemp(dir=self.root), None, self.options)
        self.assertEqual(built.errors(), {})
        return built, self.told()

    def test_what_is_brought_is_linked_and_not_compiled(self):
        self.assertEqual(len(self.bring(self.fixture, self.sample)), 4)
        built, told = self.build((self.fixture, "driver"), (self.fixture, "library"), (self.sample, "driver"))
        self.assertEqual((len(told), sorted(built.used[13]), built.stale[13]), (3, ["one", "two"], []))
        self.assertTrue(all("-nodlink" in line and " -c " not in line for line in told))
        self.assertEqual(sum("--cudart=static" in line for line in told), 2)
        self.assertTrue(all("device-link.o" in line for line in told if "one.cu.o" in line))
        place = glob.glob(self.path("*/cuda13/driver/two"))[0]
        self.assertEqual(sorted(os.listdir(place)), ["data", "two", "two.ptx"])
        self.assertTrue(os.path.exists(os.path.join(place, "data/in.pgm")))

    def test_other_sources_flags_or_gpus_are_compiled_here(self):
        self.bring(self.fixture, self.sample)
        for case, change in [(self.fixture, "fixtures/one.cu"), (self.fixture, "fixtures/check.h"), (self.sample, "samples/two/main.cu"), (self.sample, "samples/two/inc/two.h"),
                             (self.sample, "samples/Common/helper.h")]:
            with open(self.path(change)) as file:
                before = file.read()
            self.write(change, before + "2")
            built, told = self.build((case, "library"))
            self.assertEqual((built.used[13], built.stale[13]), ([], [case.name]), change)
            self.assertTrue(any(" -c " in line for line in told), change)
            self.write(change, before)
        self.write("samples/two/data/in.pgm", "2")
        self.write("fixtures/one.expected", "2")
        self.assertEqual(sorted(self.build((self.fixture, "library"), (self.sample, "library"))[0].used[13]), ["one", "two"])
        self.assertEqual(self.build((self.sample, "library"), arch="sm_100")[0].stale[13], ["two"])
        self.sample.flags = ["-DOTHER"]
        self.assertEqual(self.build((self.sample, "library"))[0].stale[13], ["two"])

    def test_only_what_changed_is_compiled_again_to_be_brought(self):
        self.bring(self.fixture, self.sample)
        self.assertEqual(self.bring(self.fixture, self.sample), [])
        self.write("samples/two/main.cu", "2")
        self.assertEqual(len(self.bring(self.fixture, self.sample)), 2)
        self.assertEqual(self.bring(self.linked), [])
        self.assertEqual([programs.carries(case, 12) for case in [self.fixture, self.sample, self.linked]], [True, False, False])

    def test_programs_of_an_earlier_cuda_have_its_runtime(self):
        self.options.build_only, self.options.cuda_major = self.path("cuda12"), 12
        self.bring(self.fixture)
        built, told = self.build((self.fixture, "driver"))
        self.assertEqual((built.used, sorted(built.outcomes)), ({12: ["one"], 13: []}, [("one", 12, "driver"), ("one", 13, "driver")]))
        self.assertIn("--cudart=none " + self.path("cuda12/lib/libcudart_static.a"), told[-1])

    def test_a_case_at_both_levels_is_compiled_once(self):
        _, told = self.build((self.sample, "driver"), (self.sample, "library"))
        self.assertEqual([sum(part in line for line in told) for part in [" -c ", "-ptx", "--cudart=static", "--cudart=shared"]], [1, 1, 1, 1])

    def test_a_run_goes_on_where_another_stopped(self):
        entries = [{"case": self.fixture, "cuda": 13, "level": level} for level in cases.LEVELS]
        options = types.SimpleNamespace(devices=1)
        options.done = {results.key(run.row_of(entries[0], "tcp", options))}
        self.assertEqual([len(run.undone(entries, transport, options)) for transport in ["tcp", "shm"]], [1, 2])


class Processes(unittest.TestCase):
    # A child that outlives its parent unless somebody ends it.
    PROGRAM = "sleep 3217 & echo $!; %s"

    def gone(self, pid):
        for _ in range(100):
            try:
                with open("/proc/%d/stat" % pid) as file:
                    if file.read().rsplit(")", 1)[1].split()[0] == "Z":
                        return True
            except OSError:
                return True
            time.sleep(0.05)
        return False

    def test_nothing_is_left_of_a_program_that_ends(self):
        code, out, _ = processes.run(["sh", "-c", "sleep 3217 >&- 2>&- & echo $!"], timeout=20)
        self.assertEqual(code, 0)
        self.assertTrue(self.gone(int(out)))

    def test_nothing_is_left_of_one_that_hangs(self):
        code, out, _ = processes.run(["sh", "-c", self.PROGRAM % "wait"], timeout=0.5)
        self.assertIsNone(code)
        self.assertTrue(self.gone(int(out)))

    def test_nothing_is_left_when_the_runner_is_ended_or_killed(self):
        inner = "import processes; processes.end_with_us(); processes.end_with_parent(); print('ready', flush=True); processes.run(['sh', '-c', 'echo $$ > %s; sleep 3217 & wait'])"
        outer = "import processes, sys; processes.end_with_us(); child = processes.start([sys.executable, '-B', '-c', sys.argv[1]]); child.wait()"
        for number in [signal.SIGTERM, signal.SIGKILL]:
            with tempfile.TemporaryDirectory() as work:
                told = os.path.join(work, "pid")
                runner = subprocess.Popen([sys.executable, "-B", "-c", outer, inner % told], cwd=HERE, stdout=subprocess.PIPE)
                self.assertEqual(runner.stdout.readline(), b"ready\n")
                for _ in range(200):
                    if os.path.exists(told) and os.path.getsize(told):
                        break
                    time.sleep(0.05)
                with open(told) as file:
                    program = int(file.read())
                runner.send_signal(number)
                runner.wait(20)
                runner.stdout.close()
                self.assertTrue(self.gone(program), number)


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


class Functions(unittest.TestCase):
    """What the calls of a library's functions show: two native runs, and ours."""

    def verdicts(self, first, second, ours, complete=True, known=(), varies=lambda key: False):
        calls = lambda lines: {tuple(line.split()[:4]): line.split()[4:] for line in lines}
        return library_functions.compare(calls(first), calls(second), calls(ours), complete, known, varies)

    def test_what_is_equal_is_verified_and_nothing_else(self):
        native = ["f a - - 0 1234", "g a - - 15 -", "h a - - 0 55", "h b - - 7 -"]
        self.assertEqual(self.verdicts(native, native, native), ({"f": library_functions.EQUAL, "g": library_functions.REFUSED, "h": library_functions.EQUAL}, []))
        for wrong in ["f a - - 0 1235", "f a - - 7 1234", "h b - - 0 -"]:
            ours = [line for line in native if line.split()[:4] != wrong.split()[:4]] + [wrong]
            verdicts, unlike = self.verdicts(native, native, ours)
            self.assertEqual((verdicts[wrong[0]], len(unlike)), (library_functions.DIFFERS, 1), wrong)

    def test_what_varies_natively_is_held_to_its_status(self):
        first, second = ["f a - - 0 1"], ["f a - - 0 2"]
        self.assertEqual(self.verdicts(first, second, ["f a - - 0 3"])[0], {"f": library_functions.STATUS})
        self.assertEqual(self.verdicts(first, second, ["f a - - 1 3"])[0], {"f": library_functions.DIFFERS})

    def test_what_need_not_be_the_same_is_held_to_its_status(self):
        native, varies = ["f a/0 - - 0 1", "f a/1 - - 0 1"], lambda key: key[1] == "a/0"
        verdicts = lambda ours: self.verdicts(native, native, ours, varies=varies)[0]["f"]
        self.assertEqual(verdicts(["f a/0 - - 0 2", "f a/1 - - 0 1"]), library_functions.EQUAL)
        for wrong in (["f a/0 - - 7 1", "f a/1 - - 0 1"], ["f a/0 - - 0 1", "f a/1 - - 0 2"]):
            self.assertEqual(verdicts(wrong), library_functions.DIFFERS)

    def test_what_did_not_run_shows_nothing_unless_all_else_ran(self):
        native = ["f a - - 0 1", "g a - - 0 1"]
        self.assertEqual(self.verdicts(native, native, native[:1], complete=False)[0], {"f": library_functions.EQUAL})
        self.assertEqual(self.verdicts(native, native, native[:1])[0]["g"], library_functions.DIFFERS)
        self.assertEqual(self.verdicts(native[:1], native[:1], native)[0]["g"], library_functions.DIFFERS)

    def test_what_would_change_the_machine_has_to_be_refused(self):
        self.assertEqual(self.verdicts([], [], ["f refused - - 4 -"])[0], {"f": library_functions.NO_PERMISSION})
        self.assertEqual(self.verdicts([], [], ["f refused - - 0 -"])[0], {"f": library_functions.DIFFERS})

    def test_the_record_says_why_something_is_not_verified(self):
        kept = library_functions.record({"f": library_functions.EQUAL, "g": library_functions.REFUSED, "h": library_functions.DIFFERS}, {("g", "a", "-", "-"): ["15", "-"]}, "GPU", "1")
        self.assertEqual(list(kept["functions"]), ["f"])
        self.assertIn("15", kept["unverified"]["g"])
        self.assertIn("h", kept["unverified"])
        self.assertEqual(library_functions.slug("NVIDIA H100 80GB HBM3"), "h100")

        self.assertEqual(kept["incomparable"], ["g"])

    def test_what_ends_the_program_natively_shows_nothing(self):
        native, ours = ["f a - - ended -", "g a - - ended -", "g b - - 0 1"], ["f a - - 0 1", "g a - - 0 1", "g b - - 0 1"]
        self.assertEqual(self.verdicts(native, native, ours), ({"f": library_functions.ENDS, "g": library_functions.EQUAL}, []))
        self.assertEqual(self.verdicts(ours, ours, native)[0], {"f": library_functions.DIFFERS, "g": library_functions.DIFFERS})
        kept = library_functions.record({"f": library_functions.ENDS}, {}, "GPU", "1")
        self.assertEqual((kept["incomparable"], list(kept["unverified"])), (["f"], ["f"]))

    def test_what_differs_for_a_reason_is_not_verified_by_it(self):
        native, ours = ["f a - - 0 1", "g a - - 0 1", "g b - - 0 1"], ["f a - - 3 -", "g a - - 3 -", "g b - - 0 1"]
        known = {("f", None): "why", ("g", "a"): "why"}
        verdicts, unlike = self.verdicts(native, native, ours, known=known)
        self.assertEqual((verdicts, unlike), ({"f": library_functions.DIFFERS, "g": library_functions.EQUAL}, []))
        self.assertEqual(library_functions.record(verdicts, {}, "GPU", "1", known)["unverified"], {"f": "why"})

    def test_a_process_that_ends_in_a_call_goes_on_without_it(self):
        code = "import sys; sys.path.insert(0, %r); from functions.common import NOTES, Library; NOTES.keep(sys.argv[1], sys.argv[2:]); c = Library('libc.so.6'); print(c('abs', -1), c('abort'), c('abs', -2))" % HERE
        with tempfile.NamedTemporaryFile() as notes:
            notes.write(bytes(library_functions.Notes.SIZE))
            notes.flush()
            run = lambda *avoided: subprocess.run([sys.executable, "-B", "-c", code, notes.name, *avoided], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            self.assertLess(run().returncode, 0)
            self.assertEqual(library_functions.Notes.read(notes.name, True), "abort:1")
            self.assertEqual(run("abort:1").stdout, b"1 ended 2\n")
            self.assertIsNone(library_functions.Notes.read(notes.name, True))

    def test_a_record_has_no_directories_of_a_machine(self):
        note = "says 'CUDA error at /home/somebody/samples/x-1/main.cpp:138 code=3', 1/2 of a/b"
        self.assertEqual(results.without_directories(note), "says 'CUDA error at main.cpp:138 code=3', 1/2 of a/b")


if __name__ == "__main__":
    unittest.main()
