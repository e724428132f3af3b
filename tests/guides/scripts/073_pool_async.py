"""map_async and starmap_async: the whole job in the background, its callback with the whole list."""
from multiprocessing import Manager, Pool


def step(n, gate):
    gate.wait()
    return n + 1


def invert(n):
    return 1 / n


if __name__ == "__main__":
    with Manager() as manager:
        pool, gate, lists, errors = Pool(3), manager.Event(), [], []
        job = pool.starmap_async(step, [(n, gate) for n in range(8)], callback=lists.append)
        nothing = pool.map_async(abs, [])
        job.wait(0.05)
        print("before:", job.ready(), lists)
        gate.set()
        job.wait()
        print("after:", job.ready(), job.successful(), job.get())

        broken = pool.map_async(invert, [2, 1, 0, 4], chunksize=1, error_callback=errors.append)
        try:
            broken.get()
        except ZeroDivisionError as error:
            print("one of four:", error)
        fine = pool.map_async(invert, [2, 4], callback=lists.extend)
        assert nothing.get() == []
        pool.close()
        pool.join()
        assert fine.get() == [0.5, 0.25]
        print(lists, [type(error).__name__ for error in errors])
