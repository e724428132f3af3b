"""The table: one line per row, as soon as the row is measured."""

import statistics
import sys

from harness import in_unit

NAME, UNIT, CELL, RATIO = 42, 4, 24, 22


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def cell_of(row, samples, baseline):
    """One module's part of a row.  A cell with any failed measurement is a failed cell."""
    bad = [s for s in samples if s["status"] != "ok"]
    if bad:
        cell = {"status": bad[0]["status"], "reason": bad[0]["reason"], "bad": len(bad)}
    else:
        cell = {"status": "ok"} | spread([in_unit(row.unit, s["seconds"]) for s in samples])
        if baseline and all(s["status"] == "ok" for s in baseline):
            cell["ratio"] = spread([b["seconds"] / s["seconds"] for b, s in zip(baseline, samples, strict=True)])
    return cell | {"samples": samples}


def floor_of(row, floors):
    """What the machine itself needs for the row, in the row's unit; None if that is not known."""
    if row.floor not in floors:
        return None
    value, unit = floors[row.floor]["value"], floors[row.floor]["unit"]
    if unit == "GB/s":
        return in_unit(row.unit, row.size / (value * 1e9))
    return in_unit(row.unit, {"ns": 1e-9, "us": 1e-6}[unit] * value)


def summary(row, samples, floors):
    """Everything about a measured row, ready for JSON, the table and the chart."""
    names = list(samples)
    cells = {name: cell_of(row, samples[name], samples[names[0]] if name != names[0] else None) for name in names}
    return {"name": row.name, "unit": row.unit, "floor": floor_of(row, floors), "floor_name": row.floor, "cells": cells}


def number(value):
    """Three digits that count."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def value_text(cell):
    if cell["status"] == "n/a":
        return "n/a"
    if cell["status"] == "failed":
        return f"FAILED {cell['bad']} of {len(cell['samples'])}"
    return f"{number(cell['median'])} ({number(cell['min'])}..{number(cell['max'])})"


def ratio_text(cell):
    if "ratio" not in cell:
        return "-"
    return "{median:.2f}x ({min:.2f}..{max:.2f})".format(**cell["ratio"])


def head(facts):
    print(f"{facts['cpu']}, {facts['cores']} cores, Linux {facts['kernel']}, {facts['python']}, {facts['date']}")
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    arguments = facts["arguments"]
    print(f"{versions}; method {arguments['method']}, {arguments['rounds']} rounds; median (min..max)")
    print("ratio: of each round to the baseline's, above 1x is faster")
    if facts["load"] > facts["cores"] / 4 and not arguments["busy"]:
        print(f"load average {facts['load']:.1f} on {facts['cores']} cores: something else is running, expect noise")
    print(flush=True)


def start(modules, with_floor):
    columns = [f"{'row':{NAME}} {'unit':>{UNIT}}"]
    columns += [f"{'limit':>8}"] * with_floor
    columns += [f"{modules[0]:>{CELL}}"]
    for module in modules[1:]:
        columns += [f"{module:>{CELL}}", f"{'ratio':>{RATIO}}"]
    text = " ".join(columns)
    print(text + "\n" + "-" * len(text), flush=True)
    line.with_floor = with_floor


def line(result):
    floor = number(result["floor"]) if result["floor"] else "-"
    columns = [f"{result['name']:{NAME}} {result['unit']:>{UNIT}}"]
    columns += [f"{floor:>8}"] * line.with_floor
    for index, cell in enumerate(result["cells"].values()):
        columns += [f"{value_text(cell):>{CELL}}"]
        columns += [f"{ratio_text(cell):>{RATIO}}"] if index else []
    progress("")
    print(" ".join(columns), flush=True)


line.with_floor = False


def notes(results):
    """Why cells are n/a or failed, and what else there is to know about them."""
    for result in results:
        for module, cell in result["cells"].items():
            if cell["status"] != "ok":
                print(f"{cell['status']}: {result['name']}, {module}: {cell['reason']}")
            if any(sample.get("left_processes") for sample in cell["samples"]):
                print(f"note: {result['name']}, {module}: left processes behind, which were killed")


def progress(text):
    """What is under way, on a terminal."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
