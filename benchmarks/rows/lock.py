"""Lock and RLock: uncontended, contended, created."""

from harness import expect, repeat, row, statement

statement(
    "lock/acquire + release", "ns", "lock = mp.Lock()", "lock.acquire(); lock.release()", "lock.acquire(False)",
    needs="Lock", floor="lock.cas", quick=True,
)  # fmt: skip

for kind in ("Lock", "RLock"):
    statement(
        f"{kind.lower()}/with", "ns", f"lock = mp.{kind}()", "with lock: pass", "lock.acquire(False)",
        needs=kind, floor="lock.cas", quick=kind == "Lock",
    )  # fmt: skip
    statement(
        f"{kind.lower()}/create", "us", "", f"lock = mp.{kind}()", "lock.acquire(False)",
        needs=kind, kept="lock", unroll=1, floor="cell.take",
    )  # fmt: skip


def increment(rounds, lock, counter):
    for n in rounds:
        add(lock, counter, n)


def add(lock, counter, n):
    for _ in repeat(None, n):
        with lock:
            counter.value += 1


def incremented_by(parties, name, **options):
    """A counter that so many processes raise under one lock; with more of them than cores the machine is overloaded."""

    @row(f"lock/{name} processes increment", "ns", needs="Lock RawValue", per=parties, **options)
    def make(mp, crew):
        lock, counter = mp.Lock(), mp.RawValue("q", 0)
        for _ in range(parties):
            crew.hire(increment, lock, counter)
        total = 0

        def check(n, result, told):
            nonlocal total
            total += parties * n
            expect(counter.value == total, f"counter {counter.value} == {total}")

        yield (lambda n: None), check


incremented_by(2, "two", floor="lock.two", quick=True)
incremented_by(4, "four", floor="lock.two")
incremented_by(8, "eight", floor="lock.two")
