"""A NumPy view of an Array: every process works on the same numbers, in place."""
import ctypes
from multiprocessing import Array, Process, RawArray

import numpy as np


def standardise(shared, shape, column):
    table = np.frombuffer(shared.get_obj(), dtype=np.float64).reshape(shape)
    values = table[:, column]
    values -= values.mean()
    values /= values.std()


def mark(raw, row):
    np.frombuffer(raw, dtype=np.int32).reshape(4, 4)[row, row:] = row + 1


if __name__ == "__main__":
    shape = (50, 3)
    data = np.random.default_rng(7).normal(5.0, 2.0, shape)
    shared = Array(ctypes.c_double, data.size)
    table = np.frombuffer(shared.get_obj(), dtype=np.float64).reshape(shape)
    table[:] = data
    crew = [Process(target=standardise, args=(shared, shape, column)) for column in range(3)]
    for process in crew:
        process.start()
    for process in crew:
        process.join()
    assert np.allclose(table, (data - data.mean(axis=0)) / data.std(axis=0))
    print("means:", np.abs(table.mean(axis=0)).max() < 1e-12, "deviations:", table.std(axis=0).round(6).tolist())

    raw = RawArray("i", 16)
    crew = [Process(target=mark, args=(raw, row)) for row in range(4)]
    for process in crew:
        process.start()
    for process in crew:
        process.join()
    print(np.frombuffer(raw, dtype=np.int32).reshape(4, 4).tolist())
