"""Which modules of the standard library resemble each other? Events and shared memory.

After the guide on Event and SharedMemory: blocks that processes attach to by name and wrap as NumPy arrays without a
copy, an Event as the starting gun, another to say that all may go on, a third to end a loop in good order; a Lock for
what several processes write, and unlink() in a finally.

Each process counts the character triples of its share of the files into one row per file of a shared matrix, then
computes its share of the rows of the matrix that says how much any two have in common, in a second shared block.
"""
import time
from contextlib import contextmanager
from multiprocessing import Event, Lock, Process, Value, cpu_count
from multiprocessing.shared_memory import SharedMemory

import numpy as np

import corpus

FEATURES = 8192


def features(path):
    """How often each triple of characters occurs, hashed, as parts of 1."""
    with open(path, "rb") as file:
        text = np.frombuffer(file.read(), np.uint8).astype(np.int64)
    triples = (text[:-2] * 65599 + text[1:-1] * 257 + text[2:]) * 2654435761 >> 7
    counts = np.bincount(triples % FEATURES, minlength=FEATURES)
    return (counts / max(1, counts.sum())).astype(np.float32)


def overlaps(rows, i):
    """How much of its triples file i has in common with each later one, from 0 to 1."""
    later = rows[i + 1:]
    result = np.empty(len(later), np.float32)
    for j in range(0, len(later), 32):  # as many rows as a cache holds
        result[j:j + 32] = np.minimum(later[j:j + 32], rows[i]).sum(axis=1)
    return result


@contextmanager
def array_in(name, shape, dtype=np.float32):
    """The shared block of that name as an array."""
    block = SharedMemory(name=name)
    try:
        yield np.ndarray(shape, dtype, buffer=block.buf)
    finally:
        block.close()


@contextmanager
def new_block(size):
    """A shared block that ends with the with statement."""
    block = SharedMemory(create=True, size=size)
    try:
        yield block
    finally:
        block.close()
        block.unlink()


def work(paths, share, names, gun, counted, lock, done):
    with array_in(names[0], (len(paths), FEATURES)) as rows, array_in(names[1], (len(paths),) * 2) as like:
        gun.wait()
        for i in share:
            rows[i] = features(paths[i])
            with lock:
                done.value += 1
        counted.wait()
        for i in share:
            like[i, i + 1:] = overlaps(rows, i)
            with lock:
                done.value += 1


def watch(done, total, stop):
    """Say where the others are, until told to stop."""
    while not stop.wait(timeout=0.25):
        print(f"  {done.value:5} of {total} steps", flush=True)


def wait_for(done, count, crew):
    while done.value < count:
        time.sleep(0.005)
        if not all(process.is_alive() or process.exitcode == 0 for process in crew):
            raise SystemExit("a process failed")


def compute(paths, names, workers):
    gun, counted, stop, lock = Event(), Event(), Event(), Lock()
    done = Value("i", 0, lock=False)
    crew = [Process(target=work, args=(paths, share, names, gun, counted, lock, done))
            for share in corpus.shares(range(len(paths)), workers)]
    watcher = Process(target=watch, args=(done, 2 * len(paths), stop))
    for process in [watcher, *crew]:
        process.start()
    gun.set()
    wait_for(done, len(paths), crew)
    counted.set()
    for process in crew:
        process.join()
    stop.set()
    watcher.join()
    assert done.value == 2 * len(paths) and watcher.exitcode == 0


def report(paths, like):
    pairs = np.argwhere(like > 0.8)
    best = sorted(pairs.tolist(), key=lambda pair: -like[tuple(pair)])
    for i, j in best[:5]:
        print(f"  {like[i, j]:.4f}  {corpus.short(paths[i])}  ~  {corpus.short(paths[j])}")
    print(f"{len(best)} pairs of {len(paths)} files have more than 0.8 of their triples in common")


def main():
    paths, workers = corpus.files(), cpu_count()
    count = len(paths)
    print(f"{count} files, {workers} processes, {(FEATURES + count) * count * 4 >> 20} MiB of shared memory")
    begin = time.perf_counter()
    with new_block(count * FEATURES * 4) as rows_block, new_block(count * count * 4) as like_block:
        compute(paths, (rows_block.name, like_block.name), workers)
        parallel = time.perf_counter() - begin
        with array_in(like_block.name, (count, count)) as like:
            like = like.copy()
    begin = time.perf_counter()
    rows = np.stack([features(path) for path in paths])
    assert all(np.array_equal(like[i, i + 1:], overlaps(rows, i)) for i in range(count))
    serial = time.perf_counter() - begin
    report(paths, like)
    print(f"same as the serial computation; {parallel:.2f} s in parallel, {serial:.2f} s serially")


if __name__ == "__main__":
    main()
