"""concurrent.futures.ProcessPoolExecutor(2) over the context of the module under test."""

import time
from concurrent.futures import ProcessPoolExecutor

from harness import arrive, expect, row

WORKERS = 2


def square(x):
    return x * x


def tasks(name, unit, call):
    @row(f"executor/{name}", unit, needs="get_context")
    def make(mp, crew):
        context = mp.get_context()
        with ProcessPoolExecutor(WORKERS, mp_context=context, initializer=arrive, initargs=(crew.folder,)) as executor:
            for _ in range(WORKERS):
                executor.submit(time.sleep, 0.1)  # an executor may start a worker only when none is idle
            crew.await_guests(WORKERS)
            yield (
                lambda n: call(executor, n),
                lambda n, found, told: expect(found == [x * x for x in range(n)], "the results are the squares"),
            )


tasks("submit + result", "us", lambda executor, n: [executor.submit(square, x).result() for x in range(n)])
tasks("map, chunksize 1", "k/s", lambda executor, n: list(executor.map(square, range(n))))
