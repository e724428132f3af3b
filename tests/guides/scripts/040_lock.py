"""A Lock: one process at a time adds to a file and to a counter."""
from multiprocessing import Lock, Process
from multiprocessing.sharedctypes import RawValue


def write_lines(lock, path, writer):
    for line in range(20):
        with lock:
            with open(path, "a") as file:
                file.write(f"{writer} ")
                file.flush()
                file.write(f"{line}\n")


def add(lock, counter, times):
    for _ in range(times):
        lock.acquire()
        try:
            counter.value += 1
        finally:
            lock.release()


if __name__ == "__main__":
    lock, counter = Lock(), RawValue("q", 0)
    processes = [Process(target=write_lines, args=(lock, "lines.txt", writer)) for writer in range(4)]
    processes += [Process(target=add, args=(lock, counter, 500)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    with open("lines.txt") as file:
        rows = [tuple(map(int, row.split())) for row in file]
    assert sorted(rows) == [(writer, line) for writer in range(4) for line in range(20)]
    assert counter.value == 2000
    print("lines:", len(rows), "count:", counter.value)

    assert lock.acquire(block=False) is True
    assert lock.acquire(False) is False and lock.acquire(timeout=0.05) is False
    lock.release()
    with lock as entered:
        print("entered:", entered)
    try:
        lock.release()
    except ValueError as error:
        print(error)
