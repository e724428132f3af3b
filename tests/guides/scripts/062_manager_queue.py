"""A Manager's Queue may be an argument of a Pool's tasks."""
import queue
from multiprocessing import Manager, Pool, Process


def sieve(bounds, found):
    for n in range(*bounds):
        if n > 1 and all(n % d for d in range(2, int(n ** 0.5) + 1)):
            found.put(n)
    return bounds[1] - bounds[0]


def drain(tasks, results):
    while (task := tasks.get()) is not None:
        results.put(task * 2)
        tasks.task_done()
    tasks.task_done()


if __name__ == "__main__":
    with Manager() as manager:
        found = manager.Queue()
        with Pool(3) as pool:
            looked = pool.starmap(sieve, [((low, low + 20), found) for low in range(0, 100, 20)])
        primes = sorted(found.get() for _ in range(found.qsize()))
        assert sum(looked) == 100 and len(primes) == 25 and primes[-1] == 97
        print(primes)
        try:
            found.get_nowait()
        except queue.Empty:
            print("empty:", found.empty(), found.full())

        tasks, results = manager.JoinableQueue(), manager.Queue(maxsize=50)
        process = Process(target=drain, args=(tasks, results))
        process.start()
        for task in [1, 2, 3, None]:
            tasks.put(task)
        tasks.join()
        process.join()
        print([results.get(timeout=30) for _ in range(3)])
