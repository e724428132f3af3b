"""NumPy arrays in SharedMemory: name, shape and dtype are all that another process needs."""
from multiprocessing import Pool, Process
from multiprocessing.shared_memory import SharedMemory

import numpy as np


def attach(name, shape, dtype):
    block = SharedMemory(name=name)
    return block, np.ndarray(shape, dtype=dtype, buffer=block.buf)


def shift(name, shape, dtype, by):
    block, array = attach(name, shape, dtype)
    array[:] = array + by
    del array
    block.close()


def square_rows(task):
    (name, shape, dtype), rows = task
    block, matrix = attach(name, shape, dtype)
    matrix[rows] **= 2
    total = int(matrix[rows].sum())
    del matrix
    block.close()
    return total


if __name__ == "__main__":
    data = np.arange(10, dtype=np.int64)
    block = SharedMemory(create=True, size=data.nbytes)
    try:
        array = np.ndarray(data.shape, dtype=data.dtype, buffer=block.buf)
        np.copyto(array, data)
        process = Process(target=shift, args=(block.name, data.shape, data.dtype, 100))
        process.start()
        process.join()
        assert (array == data + 100).all() and (data == np.arange(10)).all()
        print(array.tolist())
        del array
    finally:
        block.close()
        block.unlink()

    original = np.random.default_rng(3).integers(-50, 50, (64, 32))
    block = SharedMemory(create=True, size=original.nbytes)
    try:
        matrix = np.ndarray(original.shape, original.dtype, buffer=block.buf)
        matrix[:] = original
        where = block.name, original.shape, original.dtype
        with Pool(3) as pool:
            totals = pool.map(square_rows, [(where, slice(i, i + 8)) for i in range(0, 64, 8)])
        assert (matrix == original ** 2).all() and sum(totals) == (original ** 2).sum()
        print(sum(totals), matrix[0, :4].tolist())
        del matrix
    finally:
        block.close()
        block.unlink()
