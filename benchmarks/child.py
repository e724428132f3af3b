"""One measurement, in a process of its own: `run.py` starts this and watches it.

It imports the module under test by name, makes the row, waits until every worker is up, doubles the number of
turns until the loop lasts long enough, checks the answer, cleans up, and reports.
"""

import argparse
import importlib
import json
import os
import time
import traceback

import harness


def parse():
    parser = argparse.ArgumentParser()
    for name in ("rows", "row", "module", "method", "folder"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--turns", type=int, required=True)
    parser.add_argument("--report", type=int, required=True)
    return parser.parse_args()


def import_under_test(name, method, row):
    """The module, with the start method in force; Missing if it cannot do the row."""
    mp = importlib.import_module(name)
    try:
        mp.set_start_method(method)
    except ValueError:
        raise harness.Missing(f"no start method {method}") from None
    for dotted in row.needs:
        harness.look_up(mp, dotted)
    for other in row.imports:
        try:
            importlib.import_module(other)
        except ImportError:
            raise harness.Missing(f"{other} is not installed") from None
    return mp


def once(loop, check, crew, n):
    """Run n turns; (seconds on the clock, seconds to report)."""
    start = time.perf_counter()
    crew.go(n)
    result = loop(n)
    told = crew.finish()
    elapsed = time.perf_counter() - start
    if check:
        check(n, result, told)
    return elapsed, result if isinstance(result, harness.Seconds) else elapsed


def calibrate(loop, check, crew, n, seconds):
    """Double n until a measurement lasts long enough; the very first one is warm-up and never counts."""
    elapsed, reported = once(loop, check, crew, n)
    while True:
        if elapsed < seconds:
            n *= 2
        elapsed, reported = once(loop, check, crew, n)
        if elapsed >= seconds:
            return n, elapsed, reported


def measure(args, say):
    row = harness.load(args.rows)[args.row]
    mp = import_under_test(args.module, args.method, row)
    crew = harness.Crew(mp, args.folder, lambda pid: say(worker=pid))
    stages = row.make(mp, crew)
    made = next(stages)
    loop, check = made if isinstance(made, tuple) else (made, None)
    crew.ready()
    n, elapsed, reported = calibrate(loop, check, crew, args.turns, args.seconds)
    crew.dismiss()
    for _ in stages:
        raise harness.Wrong("a row yields once")
    harness.expect(reported > 0, "time > 0")
    return {"turns": n, "elapsed": elapsed, "seconds": reported / (n * row.per)}


def main():
    args = parse()
    os.set_inheritable(args.report, False)

    def say(**message):
        os.write(args.report, json.dumps(message).encode() + b"\n")

    try:
        say(status="ok", **measure(args, say))
    except harness.Missing as missing:
        say(status="n/a", reason=str(missing))
    except Exception as error:
        traceback.print_exc()
        say(status="failed", reason=f"{type(error).__name__}: {error}"[:500])
        os._exit(1)  # hung workers must not keep us; the runner sweeps up


if __name__ == "__main__":
    main()
