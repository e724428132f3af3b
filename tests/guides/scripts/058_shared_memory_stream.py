"""A pipeline over shared blocks: a Queue carries their names, another one says which are free again."""
from multiprocessing import Process, Queue
from multiprocessing.shared_memory import SharedMemory

import numpy as np

COUNT, LENGTH = 12, 1000


def consume(filled, free, results):
    blocks = {}
    while (message := filled.get()) is not None:
        name, number = message
        if name not in blocks:
            blocks[name] = SharedMemory(name=name)
        frame = np.ndarray(LENGTH, dtype=np.float32, buffer=blocks[name].buf)
        results.put((number, float(frame.sum())))
        del frame
        free.put(name)
    for block in blocks.values():
        block.close()


if __name__ == "__main__":
    filled, free, results = Queue(), Queue(), Queue()
    blocks = {}
    try:
        for _ in range(3):
            block = SharedMemory(create=True, size=4 * LENGTH)
            blocks[block.name] = block
            free.put(block.name)
        crew = [Process(target=consume, args=(filled, free, results)) for _ in range(2)]
        for process in crew:
            process.start()
        for number in range(COUNT):
            name = free.get()
            frame = np.ndarray(LENGTH, dtype=np.float32, buffer=blocks[name].buf)
            frame[:] = number
            del frame
            filled.put((name, number))
        for _ in crew:
            filled.put(None)
        sums = dict(results.get() for _ in range(COUNT))
        for process in crew:
            process.join()
        assert sums == {number: float(number * LENGTH) for number in range(COUNT)}
        print("frames:", len(sums), "blocks:", len(blocks), "sum:", sum(sums.values()))
    finally:
        for block in blocks.values():
            block.close()
            block.unlink()
