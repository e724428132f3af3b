"""Semaphores: never more than so many at once; the bounded one also counts what comes back."""
import time
from multiprocessing import BoundedSemaphore, Lock, Process, RawArray, Semaphore


def visit(room, lock, inside):
    with room:
        with lock:
            inside[0] += 1
            inside[1] = max(inside[:2])
        time.sleep(0.02)
        with lock:
            inside[0] -= 1
            inside[2] += 1


if __name__ == "__main__":
    for places, room in ((2, Semaphore(2)), (3, BoundedSemaphore(3))):
        inside = RawArray("i", 3)  # now, most so far, visits
        lock = Lock()
        visitors = [Process(target=visit, args=(room, lock, inside)) for _ in range(8)]
        for visitor in visitors:
            visitor.start()
        for visitor in visitors:
            visitor.join()
        assert inside[0] == 0 and 1 <= inside[1] <= places and inside[2] == 8
        print("places:", places, "kept:", inside[1] <= places, "visits:", inside[2])

    semaphore = Semaphore(1)
    assert semaphore.acquire() and not semaphore.acquire(block=False) and not semaphore.acquire(timeout=0.05)
    semaphore.release()
    semaphore.release()
    print("grown to:", semaphore.get_value())
    bounded = BoundedSemaphore(2)
    try:
        bounded.release()
    except ValueError as error:
        print(error)
