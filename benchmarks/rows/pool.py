"""Pool(2): every way to hand out work, small tasks and large arrays; created and ended."""

import importlib

from harness import arrive, expect, matcher, repeat, row, same

WORKERS = 2
BATCH = 100


def square(x):
    return x * x


def add(x, y):
    return x + y


def increment(array):
    return array + 1


def open_pool(mp, crew):
    pool = mp.Pool(WORKERS, initializer=arrive, initargs=(crew.folder,))
    crew.await_guests(WORKERS)
    return pool


def apply_one_by_one(pool, n):
    return [pool.apply(square, (x,)) for x in range(n)]


def apply_in_batches(pool, n):
    found = []
    for start in range(0, n * BATCH, BATCH):
        tasks = [pool.apply_async(square, (x,)) for x in range(start, start + BATCH)]
        found += [task.get() for task in tasks]
    return found


def squares(n):
    return [x * x for x in range(n)]


def tasks(name, unit, call, wanted=squares, found=list, **options):
    """Register a row whose loop is call(pool, n), a list that must equal wanted(n) afterwards."""

    @row(f"pool/{name}", unit, needs="Pool", **options)
    def make(mp, crew):
        pool = open_pool(mp, crew)
        yield (
            lambda n: call(pool, n),
            lambda n, result, told: expect(found(result) == wanted(n), "the results are the squares"),
        )
        pool.close()
        pool.join()


tasks("map, chunksize 1", "k/s", lambda pool, n: pool.map(square, range(n), 1), quick=True)
tasks("map, default chunksize", "k/s", lambda pool, n: pool.map(square, range(n)))
tasks("imap", "k/s", lambda pool, n: list(pool.imap(square, range(n))))
tasks("imap_unordered", "k/s", lambda pool, n: list(pool.imap_unordered(square, range(n))), found=sorted)
tasks(
    "starmap, chunksize 1", "k/s", lambda pool, n: pool.starmap(add, ((x, x) for x in range(n)), 1),
    lambda n: [2 * x for x in range(n)],
)  # fmt: skip
tasks("apply", "us", apply_one_by_one, quick=True)
tasks(f"apply_async, batches of {BATCH}", "k/s", apply_in_batches, lambda n: squares(n * BATCH), per=BATCH)


@row("pool/apply, 8 MB array in and out", "ms", needs="Pool", imports="numpy", size=4 << 23, floor="memcpy.warm.256M")
def arrays(mp, crew):
    pool = open_pool(mp, crew)
    array = importlib.import_module("numpy").arange(1 << 20, dtype="int64")
    wanted = array + 1
    matches = matcher(wanted)

    def loop(n):
        for _ in repeat(None, n):
            found = pool.apply(increment, (array,))
            expect(matches(found), "the result is the array + 1")
        return found

    yield loop, lambda n, found, told: expect(same(found, wanted), "the result is the array + 1")
    pool.close()
    pool.join()


@row("pool/create, close, join", "ms", needs="Pool", floor="process.fork")
def create(mp, crew):
    def loop(n):
        for _ in repeat(None, n):
            pool = mp.Pool(WORKERS)
            pool.close()
            pool.join()

    yield loop
