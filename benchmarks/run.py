#!/usr/bin/env python3
"""Compare modules that have multiprocessing's API: the same loops, interleaved, each in a fresh process.

The first module is the baseline.  A ratio above 1x means faster than the baseline, whatever the unit.
"""

import argparse
import datetime
import fnmatch
import itertools
import json
import os
import pathlib
import platform
import subprocess
import sys

import chart
import harness
import measure
import table

HERE = pathlib.Path(__file__).resolve().parent
GIVE_UP = 2  # a cell that failed so often is not tried again


def parse(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    names = "a module to compare, the first is the baseline; repeat (default: multiprocessing, cmp)"
    add("--module", action="append", metavar="NAME", help=names)
    add("--only", action="append", metavar="PATTERN", help="rows whose name contains or matches this; repeat")
    add("--rounds", type=int, metavar="N", help="measurements of each cell (default: 7; with --quick: 3)")
    add("--seconds", type=float, metavar="S", help="least length of a measurement (default: 0.2; with --quick: 0.05)")
    add("--limit", type=float, default=20, metavar="S", help="a measurement that takes longer has failed (default: 20)")
    add("--quick", action="store_true", help="some rows, short; under 40 seconds")
    add("--method", default="fork", choices=("fork", "spawn", "forkserver"), help="start method (default: fork)")
    add("--busy", action="store_true", help="measure beside one burning process per core")
    add("--floor", action="store_true", help="also measure the limit of the machine with floor/ (needs a C compiler)")
    add("--json", metavar="FILE", help="write every sample")
    add("--chart", metavar="FILE.svg", help="write a bar chart of the ratios")
    add("--list", action="store_true", help="list the rows and stop")
    add("--rows", default=HERE / "rows", metavar="DIR", help="another folder of rows (default: rows/)")
    options = parser.parse_args(arguments)
    options.module = labels(options.module or ["multiprocessing", "cmp"])
    options.rounds = options.rounds or (3 if options.quick else 7)
    options.seconds = options.seconds or (0.05 if options.quick else 0.2)
    return options


def labels(modules):
    """Names for columns: a module given twice, to see the noise, gets a number behind it."""
    seen = [modules[:index].count(module) for index, module in enumerate(modules)]
    return [f"{module} {count + 1}" if count else module for module, count in zip(modules, seen, strict=True)]


def module_of(label):
    return label.partition(" ")[0]


def choose(rows, options):
    """The rows to run: those that --only names, or else those of --quick, or else all."""
    if options.only:
        return [r for r in rows if any(p in r.name or fnmatch.fnmatch(r.name, p) for p in options.only)]
    return [r for r in rows if r.quick or not options.quick]


def version_of(module):
    """The module's version as the measured processes see it; None, with the reason on stderr, if it has no import."""
    code = f"import {module} as m; print(getattr(m, '__version__', 'of this Python'))"
    done = subprocess.run([sys.executable, "-c", code], env=measure.environment(), capture_output=True, text=True)
    if done.returncode == 0:
        return done.stdout.strip()
    print(f"{module} cannot be imported: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)


def cpu_name():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith(("model name", "Model")):
            return line.partition(":")[2].strip()
    return platform.machine()


def circumstances(options, versions):
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "python": f"{platform.python_implementation()} {platform.python_version()}, {platform.python_compiler()}",
        "kernel": platform.release(),
        "cpu": cpu_name(),
        "cores": len(os.sched_getaffinity(0)),
        "load": os.getloadavg()[0],
        "versions": versions,
        "arguments": {k: v for k, v in vars(options).items() if k not in ("json", "chart", "rows", "list")},
    }


def measure_row(row, options, burners):
    """All rounds of one row: {module: [sample, ...]}.  The order of the modules changes from round to round."""
    samples = {module: [] for module in options.module}
    turns = dict.fromkeys(options.module, 1)
    orders = itertools.cycle(itertools.permutations(options.module))
    for number, order in enumerate(itertools.islice(orders, options.rounds)):
        for module in order:
            table.progress(f"{row.name}: round {number + 1} of {options.rounds}, {module}")
            bad = [s for s in samples[module] if s["status"] != "ok"]
            if len(bad) >= GIVE_UP or (bad and bad[0]["status"] == "n/a"):
                samples[module].append(bad[0] | {"skipped": True})
                continue
            sample = measure.measure(
                row.name, module_of(module), options.method, rows=options.rows, seconds=options.seconds,
                turns=turns[module], limit=options.limit, keep=burners,
            )  # fmt: skip
            samples[module].append(sample)
            turns[module] = max(1, sample.get("turns", 1) // 4)  # doubling goes on from there, which also warms up
    return samples


def burn(options):
    """One endless loop per core; the processes."""
    count = len(os.sched_getaffinity(0)) if options.busy else 0
    return [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]


def floors(options):
    """{name: seconds, or bytes per second for memory} of the C programs."""
    if not options.floor:
        return {}
    table.progress("the limit of the machine")
    made = subprocess.run(["make", "-s", "-C", HERE / "floor", "raw"], capture_output=True, text=True)
    if made.returncode:
        sys.exit(f"floor/ failed:\n{made.stdout}{made.stderr}")
    found = {}
    for line in made.stdout.splitlines():
        name, value, unit = line.split()[:3]
        found[name] = {"value": float(value), "unit": unit}
    return found


def run(rows, options, facts):
    """Measure and print row by row; (the results so far, whether all rows are there)."""
    results = []
    burners = burn(options)
    table.start(options.module, bool(facts["floor"]))
    try:
        for row in rows:
            samples = measure_row(row, options, {b.pid for b in burners})
            results.append(table.summary(row, samples, facts["floor"]) | {"load": os.getloadavg()[0]})
            table.line(results[-1])
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()
    table.notes(results)
    return results, len(results) == len(rows)


def write(options, facts, results):
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(facts | {"rows": results}, indent=1) + "\n")
    if options.chart:
        pathlib.Path(options.chart).write_text(chart.svg(results, facts))


def main(arguments=None):
    options = parse(arguments)
    rows = choose(harness.load(options.rows).values(), options)
    if options.list:
        print("\n".join(f"{row.name:42} {row.unit:>5}  {'quick' if row.quick else ''}".rstrip() for row in rows))
        return 0
    versions = {module: version_of(module_of(module)) for module in options.module}
    if None in versions.values() or not rows:
        print("nothing measured" if rows else "no such row (see --list)", file=sys.stderr)
        return 2
    measure.adopt_orphans()
    facts = circumstances(options, versions) | {"floor": floors(options)}
    table.head(facts)
    results, complete = run(rows, options, facts)
    write(options, facts, results)
    return not complete or any(cell["status"] == "failed" for result in results for cell in result["cells"].values())


if __name__ == "__main__":
    sys.exit(main())
