"""Semaphore and BoundedSemaphore: uncontended, ping-pong between two processes, created."""

from harness import expect, repeat, row, statement

for kind in ("Semaphore", "BoundedSemaphore"):
    statement(
        f"{kind.lower()}/with", "ns", f"semaphore = mp.{kind}(1)", "with semaphore: pass",
        "semaphore.acquire(False) and not semaphore.acquire(False)",
        needs=kind, floor="lock.cas",
    )  # fmt: skip

statement(
    "semaphore/create", "us", "", "semaphore = mp.Semaphore(1)", "semaphore.acquire(False)",
    needs="Semaphore", kept="semaphore", unroll=1, floor="cell.take",
)  # fmt: skip


def answer(rounds, ping, pong):
    for n in rounds:
        for _ in repeat(None, n):
            ping.acquire()
            pong.release()


@row("semaphore/ping-pong", "us", needs="Semaphore", floor="pingpong.spin.cross", quick=True)
def ping_pong(mp, crew):
    ping, pong = mp.Semaphore(0), mp.Semaphore(0)
    crew.hire(answer, ping, pong)

    def loop(n):
        for _ in repeat(None, n):
            ping.release()
            pong.acquire()

    yield loop
    expect(not ping.acquire(False) and not pong.acquire(False), "both semaphores are 0")
