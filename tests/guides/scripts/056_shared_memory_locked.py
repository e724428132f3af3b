"""Shared memory has no lock of its own: a Lock, a Barrier and an Event keep its writers apart."""
from multiprocessing import Barrier, Event, Lock, Process
from multiprocessing.shared_memory import SharedMemory

import numpy as np


def histogram(values, name, lock):
    block = SharedMemory(name=name)
    counts = np.ndarray(8, dtype=np.int64, buffer=block.buf)
    for value in values:
        with lock:
            counts[value % 8] += 1
    del counts
    block.close()


def prefix(name, index, barrier, begin):
    """One doubling step of a running sum after another, all processes in step."""
    block = SharedMemory(name=name)
    sums = np.ndarray(8, dtype=np.int64, buffer=block.buf)
    begin.wait()
    step = 1
    while step < 8:
        left = sums[index - step] if index >= step else 0
        barrier.wait()
        sums[index] += left
        barrier.wait()
        step *= 2
    del sums
    block.close()


def start(target, *rows):
    processes = [Process(target=target, args=row) for row in rows]
    for process in processes:
        process.start()
    return processes


def join(processes):
    for process in processes:
        process.join()
        assert process.exitcode == 0


if __name__ == "__main__":
    lock, barrier, begin = Lock(), Barrier(8), Event()
    block = SharedMemory(create=True, size=64)
    try:
        counts = np.ndarray(8, dtype=np.int64, buffer=block.buf)
        values = [n * n for n in range(400)]
        join(start(histogram, *((values[i::4], block.name, lock) for i in range(4))))
        assert counts.tolist() == [sum(value % 8 == i for value in values) for i in range(8)]
        print("squares modulo 8:", counts.tolist())

        before = counts.copy()
        crew = start(prefix, *((block.name, i, barrier, begin) for i in range(8)))
        begin.set()
        join(crew)
        assert (counts == np.cumsum(before)).all()
        print("running sum:", counts.tolist())
        del counts
    finally:
        block.close()
        block.unlink()
