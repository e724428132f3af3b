#!/usr/bin/env python3
"""The runner against rows that hang, die and lie: each must end as the right kind of cell, and leave nothing."""

import contextlib
import io
import json
import pathlib
import tempfile
import time
import unittest
import xml.etree.ElementTree

import chart
import measure
import run
import table

HERE = pathlib.Path(__file__).resolve().parent
LIMIT = 2.0
measure.GRACE = 1.0
measure.adopt_orphans()


def cell(name, method="fork"):
    return measure.measure(
        f"broken/{name}", "multiprocessing", method,
        rows=HERE / "broken", seconds=0.05, turns=1, limit=LIMIT,
    )  # fmt: skip


class Cells(unittest.TestCase):
    def check(self, name, status, reason="", method="fork", within=LIMIT + 3):
        start = time.monotonic()
        sample = cell(name, method)
        self.assertEqual(sample["status"], status, sample)
        self.assertIn(reason, sample.get("reason", ""))
        self.assertLess(time.monotonic() - start, within)
        children = pathlib.Path("/proc/thread-self/children")
        self.assertEqual(children.read_text(), "", "nothing is left")
        return sample

    def test_killed_worker_while_the_row_waits(self):
        self.check("worker killed, row waits", "failed", "was killed by signal 9")

    def test_killed_worker_under_every_method(self):
        for method in ("spawn", "forkserver"):
            self.check("worker killed, row waits", "failed", "worker", method)

    def test_killed_worker_while_the_runner_waits(self):
        self.check("worker killed, row ends", "failed", "was killed by signal 9")

    def test_raising_worker(self):
        self.check("worker raises", "failed", "on purpose")

    def test_endless_row_ends_at_its_limit(self):
        self.check("never returns", "failed", "no end within 2 s")

    def test_crash(self):
        self.check("measuring process killed", "failed", "was killed by signal 11")

    def test_hang_after_the_measurement(self):
        self.check("hangs after the measurement", "failed", "no end within 2 s")

    def test_killed_group(self):
        self.check("pool worker killed", "failed", "was killed by signal 9")

    def test_wrong_answer(self):
        self.check("wrong answer", "failed", "x == total")

    def test_missing_name(self):
        self.check("no such thing", "n/a", "no Telepathy")
        self.check("no such submodule", "n/a", "no telepathy.Mind")

    def test_stray_process_is_killed_and_reported(self):
        self.assertTrue(self.check("leaves a stray process", "ok")["left_processes"])

    def test_fine(self):
        sample = self.check("fine", "ok")
        self.assertGreater(sample["seconds"], 0.001)
        self.assertGreaterEqual(sample["elapsed"], 0.05)
        self.assertFalse(sample["left_processes"])


class Whole(unittest.TestCase):
    def test_failed_cells_are_in_the_table_the_json_and_the_chart(self):
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder)
            arguments = ["--module", "multiprocessing", "--module", "multiprocessing", "--rows", str(HERE / "broken")]
            arguments += ["--only", "fine", "--only", "wrong", "--only", "no such thing", "--rounds", "3", "--seconds"]
            arguments += ["0.02", "--json", str(out / "r.json"), "--chart", str(out / "r.svg")]
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                self.assertEqual(run.main(arguments), 1)
            rows = {row["name"]: row for row in json.loads((out / "r.json").read_text())["rows"]}
            xml.etree.ElementTree.parse(out / "r.svg")
        self.assertEqual(len(rows), 3)
        self.assertIn("FAILED 3 of 3", printed.getvalue())
        self.assertIn("n/a: broken/no such thing, multiprocessing: no Telepathy", printed.getvalue())
        self.assertAlmostEqual(rows["broken/fine"]["cells"]["multiprocessing 2"]["ratio"]["median"], 1, delta=0.3)


class Numbers(unittest.TestCase):
    def row(self, unit):
        return run.harness.Row("x", unit, None, (), (), 1, 0, "", False)

    def samples(self, *seconds):
        return [{"status": "ok", "seconds": s} for s in seconds]

    def test_above_one_is_faster_for_times_and_for_rates(self):
        for unit in ("ns", "k/s"):
            result = table.summary(self.row(unit), {"a": self.samples(2e-3, 4e-3), "b": self.samples(1e-3, 1e-3)}, {})
            self.assertEqual(result["cells"]["b"]["ratio"], {"median": 3.0, "min": 2.0, "max": 4.0})
        self.assertEqual(result["cells"]["a"]["max"], 0.5)

    def test_one_failed_round_fails_the_cell(self):
        samples = [*self.samples(1e-3), {"status": "failed", "reason": "r"}]
        result = table.summary(self.row("ns"), {"a": self.samples(1e-3, 1e-3), "b": samples}, {})
        self.assertEqual(result["cells"]["b"]["status"], "failed")
        self.assertNotIn("ratio", result["cells"]["b"])

    def test_axis_holds_every_ratio(self):
        axis = chart.Axis([0.01, 300.0])
        self.assertLess(chart.LEFT, axis.x(0.01))
        self.assertLess(axis.x(300.0), chart.LEFT + chart.WIDTH)


if __name__ == "__main__":
    unittest.main()
