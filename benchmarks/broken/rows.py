"""Rows that must end as failed or n/a cells: what `selftest.py` runs."""

import os
import signal
import subprocess
import sys
import time

from harness import expect, repeat, row, statement


def die(rounds, queue, number):
    for _ in rounds:
        os.kill(os.getpid(), number)


def raise_it(rounds, queue):
    for _ in rounds:
        raise RuntimeError("on purpose")


@row("broken/worker killed, row waits", "us", needs="Queue")
def killed(mp, crew):
    queue = mp.Queue()
    crew.hire(die, queue, signal.SIGKILL)
    yield lambda n: queue.get()


@row("broken/worker killed, row ends", "us", needs="Queue")
def killed_quietly(mp, crew):
    crew.hire(die, mp.Queue(), signal.SIGKILL)
    yield lambda n: None


@row("broken/worker raises", "us", needs="Queue")
def raises(mp, crew):
    crew.hire(raise_it, mp.Queue())
    yield lambda n: None


@row("broken/never returns", "us")
def never(mp, crew):
    yield lambda n: time.sleep(1000)


@row("broken/measuring process killed", "us")
def suicide(mp, crew):
    yield lambda n: os.kill(os.getpid(), signal.SIGSEGV)


@row("broken/hangs after the measurement", "us")
def late(mp, crew):
    yield lambda n: time.sleep(n / 100)
    time.sleep(1000)


@row("broken/pool worker killed", "us", needs="Pool")
def pool_worker(mp, crew):
    with mp.Pool(1) as pool:
        yield lambda n: pool.apply(os.kill, (0, signal.SIGKILL)) if n > 1 else time.sleep(0.001)


@row("broken/leaves a stray process", "us")
def stray(mp, crew):
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"], start_new_session=True)
    yield lambda n: time.sleep(n / 100)


@row("broken/no such thing", "us", needs="Telepathy")
def missing(mp, crew):
    yield lambda n: None


@row("broken/no such submodule", "us", needs="telepathy.Mind")
def missing_submodule(mp, crew):
    yield lambda n: None


statement("broken/wrong answer", "ns", "x = 0", "x", "x == total")


@row("broken/fine", "us")
def fine(mp, crew):
    def loop(n):
        for _ in repeat(None, n):
            time.sleep(0.001)

    yield loop, lambda n, result, told: expect(result is None, "a loop without a result")
