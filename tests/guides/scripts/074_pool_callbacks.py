"""Callbacks: run in the parent as each task ends, with its result or with its exception."""
import os
import threading
from multiprocessing import Pool


def halve(n):
    if n % 2:
        raise ArithmeticError(f"{n} is odd")
    return n // 2, os.getpid()


if __name__ == "__main__":
    halves, complaints, workers, threads = [], [], set(), set()

    def keep(result):
        half, worker = result
        halves.append(half)
        workers.add(worker)
        threads.add(threading.current_thread() is threading.main_thread())

    def complain(error):
        complaints.append(str(error))

    pool = Pool(2)
    for n in range(20):
        pool.apply_async(halve, (n,), callback=keep, error_callback=complain)
    pool.close()
    pool.join()
    assert sorted(halves) == list(range(10)) and len(complaints) == 10
    assert os.getpid() not in workers and 1 <= len(workers) <= 2 and threads == {False}
    print(sorted(halves))
    print(sorted(complaints)[:3])
