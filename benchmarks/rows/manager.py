"""Manager: what a call through a proxy costs."""

from harness import statement

for name, thing, do, check in (
    ("dict set", "dict()", "thing['key'] = 7", "thing['key'] == 7"),
    ("dict get", "dict(key=7)", "thing['key']", "thing['key'] == 7"),
    ("list append", "list()", "thing.append(1)", "len(thing) == total"),
    ("Namespace set + get", "Namespace()", "thing.x = 7; found = thing.x", "thing.x == 7"),
):
    statement(
        f"manager/{name}", "us", f"manager = mp.Manager()\nthing = manager.{thing}", do, check,
        end="manager.shutdown()", needs="Manager", unroll=1, floor="pingpong.spin.cross",
    )  # fmt: skip
