"""Every call of a Queue: put, get and their impatient forms, full, empty, qsize, and the first in, first out."""
import queue
import time
from multiprocessing import Process, Queue


def fill(q, numbers):
    for n in numbers:
        q.put(n)


if __name__ == "__main__":
    q = Queue(maxsize=4)
    assert q.empty() and not q.full() and q.qsize() == 0
    q.put(True)
    q.put([0, None, object])
    q.put("three", block=False)
    q.put_nowait({"four": 4})
    assert q.full() and q.qsize() == 4
    print("filled:", q.qsize(), q.full())
    for impatient in (lambda: q.put_nowait(5), lambda: q.put(5, True, 0.05), lambda: q.put(5, timeout=0.05)):
        try:
            impatient()
        except queue.Full as error:
            print("refused:", type(error).__name__)

    first, second = q.get(), q.get(block=True, timeout=30)
    assert second[2] is object
    print(first, second[:2], q.get(True, 30), q.get())
    begin = time.monotonic()
    for impatient in (q.get_nowait, lambda: q.get(False), lambda: q.get(timeout=0.1)):
        try:
            impatient()
        except queue.Empty as error:
            print("nothing there:", type(error).__name__)
    assert time.monotonic() - begin >= 0.09
    assert q.empty() and q.qsize() == 0

    process = Process(target=fill, args=(q, range(100)))  # twenty-five times what fits
    process.start()
    assert [q.get() for _ in range(100)] == list(range(100))
    process.join()
    q.close()
    q.join_thread()
    try:
        q.put(1)
    except ValueError as error:
        print("closed:", type(error).__name__)
