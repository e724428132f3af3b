"""get_context(): each start method with processes, a queue, a lock and a pool of its own."""
import multiprocessing
import os


def cube(n, lock, queue):
    with lock:
        queue.put(n ** 3)


def negate(n):
    return -n


def through(method):
    context = multiprocessing.get_context(method)
    assert context.get_start_method() == method
    lock, queue = context.Lock(), context.Queue()
    processes = [context.Process(target=cube, args=(n, lock, queue)) for n in range(3)]
    for process in processes:
        process.start()
    cubes = sorted(queue.get() for _ in processes)
    for process in processes:
        process.join()
    with context.Pool(2) as pool:
        return cubes, pool.map(negate, range(4)), [type(process).__name__ for process in processes[:1]]


if __name__ == "__main__":
    methods = multiprocessing.get_all_start_methods()
    assert sorted(methods) == ["fork", "forkserver", "spawn"]
    for method in sorted(methods):
        cubes, negatives, kinds = through(method)
        assert cubes == [0, 1, 8] and negatives == [0, -1, -2, -3]
        print(method, cubes, negatives, kinds)
    assert multiprocessing.get_context().cpu_count() == os.cpu_count()
    try:
        multiprocessing.get_context("teleport")
    except ValueError as error:
        print(error)
