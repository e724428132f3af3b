"""An initializer prepares each worker; maxtasksperchild replaces it after so many tasks."""
import os
import time
from multiprocessing import Manager, Pool, current_process


def prepare(offset, log):
    global base
    base = offset
    log.append(os.getpid())


def add(n):
    return base + n


def who(_):
    time.sleep(0.001)
    return os.getpid(), current_process().daemon, "PoolWorker-" in current_process().name


if __name__ == "__main__":
    with Manager() as manager:
        log = manager.list()
        with Pool(3, initializer=prepare, initargs=(1000, log)) as pool:
            assert pool.map(add, range(50)) == list(range(1000, 1050))
            while len(log) < 3:
                time.sleep(0.005)
        print("prepared:", len(log), len(set(log)))

    with Pool(2, maxtasksperchild=5) as pool:
        rows = pool.map(who, range(40), chunksize=1)
    tasks = {}
    for pid, daemon, name in rows:
        assert daemon and name and pid != os.getpid()
        tasks[pid] = tasks.get(pid, 0) + 1
    assert max(tasks.values()) <= 5 and len(tasks) >= 8
    print("tasks:", len(rows), "at most five each:", max(tasks.values()) <= 5)
