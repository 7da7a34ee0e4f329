"""The arithmetic and the tables of scripts/compare, on numbers that are known."""

import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "scripts", "compare"))

import measures
import report
import run
import scenarios


class Measures(unittest.TestCase):
    def test_a_file_gets_what_the_loss_and_the_headers_leave(self):
        self.assertAlmostEqual(measures.deliverable(100_000_000, 0.05), 91.2)

    def test_steady_leaves_out_the_start_and_the_end(self):
        growth = [[0, 0], [5, 0], [6, 100], [7, 500], [8, 900], [20, 1000]]
        self.assertAlmostEqual(measures.steady(growth, 1000), measures.mbit(800, 2))

    def test_there_is_no_steady_rate_of_what_stopped_early(self):
        self.assertIsNone(measures.steady([[0, 0], [1, 200], [2, 400]], 1000))
        self.assertIsNone(measures.steady([[0, 0], [1, 1000]], 1000))

    def test_a_rate_within_a_window_is_read_between_the_samples(self):
        growth = [[0, 0], [10, 1_000_000]]
        self.assertAlmostEqual(measures.rate_within(growth, 2, 4), measures.mbit(200_000, 2))

    def test_jain_is_one_for_equals_and_a_share_for_a_single_winner(self):
        self.assertAlmostEqual(measures.jain([5, 5, 5, 5]), 1)
        self.assertAlmostEqual(measures.jain([5, 0, 0, 0]), 0.25)
        self.assertEqual(measures.jain([0, 0]), 0)

    def test_a_spread_is_of_what_is_there(self):
        self.assertEqual(measures.spread([3, None, 1, 2]), (2, 1, 3))
        self.assertIsNone(measures.spread([None]))


class Links(unittest.TestCase):
    def test_a_link_becomes_the_words_of_the_command_line(self):
        link = scenarios.Link(100_000_000, 0.1, loss=0.001, queue=65536)
        words = "--rate 100000000bit --delay 50000us --loss 0.1% --queue 65536"
        self.assertEqual(" ".join(link.arguments()), words)
        burst = scenarios.Link(20_000_000, 0.3, burst=(0.005, 0.2), jitter=0.05, duplicates=0.01)
        words = "--rate 20000000bit --delay 150000us --burst 0.5%,20% --jitter 50000us --dup 1%"
        self.assertEqual(" ".join(burst.arguments()), words)
        self.assertEqual(burst.clean(), scenarios.Link(20_000_000, 0.3))


def result(variant, rate, whole=True):
    flow = {"tool": variant, "whole": whole, "cut_off": not whole, "code": 0, "seconds": 1.0, "arrived": 5_000_000}
    flow |= {"mbit": rate, "arrived_mbit": 1.5, "steady_mbit": rate, "repeated_bytes": 50_000}
    costs = {"client_cpu_seconds": 0.5, "server_cpu_seconds": 0.25, "bytes_on_link": 11_000_000}
    return {"variant": variant, "round": 1, "load": 0.5, "flows": [flow], "emulator": {}} | costs


class Tables(unittest.TestCase):
    def section(self, runs):
        return {"kind": "alone", "size": 10_000_000, "deliverable": 96.0, "ceiling": None, "runs": runs}

    def test_a_row_has_the_median_and_the_range(self):
        rows = report.alone(self.section([result("a", 48.0), result("a", 24.0), result("a", 96.0)]))
        self.assertEqual(rows[2], "| a | 48.0 (24.0-96.0) | 50.0 | 50.0 (25.0-100.0) | 1.0 | 110.0 | 0.75 | 3 |")

    def test_what_is_not_whole_is_shown_as_such(self):
        rows = report.alone(self.section([result("a", 48.0), result("a", 0.0, whole=False)]))
        self.assertIn("48.0; 1 of 2: **cut off at 5.0 MB**, 1.5 Mbit/s until then", rows[2])

    def test_why_something_is_not_whole_stands_below_the_table(self):
        broken = result("a", 0.0, whole=False)
        broken["flows"][0] |= {"cut_off": False, "words": "connection closed"}
        self.assertIn("a, round 1: connection closed.", report.remarks(self.section([broken]))[0])

    def test_shares_are_of_the_time_in_which_all_run(self):
        shared = {
            "flows": [
                {"began": 0, "ended": 10, "growth": [[0, 0], [10, 1000]]},
                {"began": 5, "ended": 12, "growth": [[0, 0], [5, 1500], [7, 1500]]},
            ]
        }
        run.judge_shares(shared)
        self.assertAlmostEqual(shared["window_seconds"], 5)
        self.assertAlmostEqual(shared["flows"][0]["share"], 0.25)
        self.assertAlmostEqual(shared["jain"], 0.8)


unittest.main()
