"""A stop event ends a loop in good order; terminate() is kept for those that do not listen."""
import time
from multiprocessing import Event, Process, Queue


def collatz(first, stop, report):
    """Chain lengths of first, first + 1, ... until told to stop."""
    n = first
    while not stop.is_set():
        length, m = 1, n
        while m != 1:
            m, length = m // 2 if m % 2 == 0 else 3 * m + 1, length + 1
        report.put((n, length))
        n += 1
        stop.wait(timeout=0.001)
    report.put(None)


def deaf(ready):
    ready.set()
    while True:
        time.sleep(1)


def stopped(process, patience):
    process.join(timeout=patience)
    if not process.is_alive():
        return "by itself"
    process.terminate()
    process.join()
    return "terminated"


if __name__ == "__main__":
    stop, report = Event(), Queue()
    worker = Process(target=collatz, args=(1, stop, report))
    worker.start()
    lengths = dict(report.get() for _ in range(30))
    stop.set()
    while report.get() is not None:
        pass
    assert lengths[27] == 112
    print("longest chain below 31:", max(lengths, key=lengths.get))
    print("listener:", stopped(worker, 30), worker.exitcode)

    ready = Event()
    worker = Process(target=deaf, args=(ready,))
    worker.start()
    ready.wait()
    print("deaf one:", stopped(worker, 0.1), worker.exitcode)
