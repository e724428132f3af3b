"""Processes: started and joined under every method; what importing the module costs."""

import subprocess
import sys
import time

from harness import Missing, Seconds, expect, repeat, row

PAIRS = 5


def nothing():
    pass


def start_and_join(context):
    def loop(n):
        for _ in repeat(None, n):
            process = context.Process(target=nothing)
            process.start()
            process.join()
            expect(process.exitcode == 0, f"exit code {process.exitcode} == 0")

    return loop


@row("process/start + join", "ms", needs="Process", floor="process.fork", quick=True)
def method_in_force(mp, crew):
    yield start_and_join(mp)


def under(method):
    @row(f"process/start + join, {method}", "ms", needs="Process get_context", floor="process.fork")
    def make(mp, crew):
        try:
            context = mp.get_context(method)
        except ValueError:
            raise Missing(f"no start method {method}") from None
        yield start_and_join(context)


under("forkserver")
under("spawn")


def launch(source):
    """Seconds that a fresh interpreter takes for the source."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", source], check=True, stdin=subprocess.DEVNULL)
    return time.perf_counter() - start


@row("import/fresh interpreter, whole", "ms")
def import_whole(mp, crew):
    yield lambda n: Seconds(sum(launch(f"import {mp.__name__}") for _ in range(n)))


@row("import/beyond python -c pass", "ms")
def import_alone(mp, crew):
    def loop(n):
        pairs = [(launch(f"import {mp.__name__}"), launch("pass")) for _ in range(PAIRS * n)]
        whole, bare = map(min, zip(*pairs, strict=True))  # the least: a difference doubles the noise
        return Seconds(n * (whole - bare))

    yield loop
