"""terminate() and the end of a with block stop workers that are still busy."""
import time
from multiprocessing import Manager, Pool, active_children


def busy(started):
    started.release()
    while True:
        time.sleep(60)


if __name__ == "__main__":
    with Manager() as manager:
        others = set(active_children())
        started = manager.Semaphore(0)
        pool = Pool(3)
        results = [pool.apply_async(busy, (started,)) for _ in range(8)]
        for _ in range(3):
            started.acquire()
        workers = set(active_children()) - others
        assert len(workers) == 3
        pool.terminate()
        pool.join()
        print("alive:", sum(worker.is_alive() for worker in workers), "ready:", sum(r.ready() for r in results))
        try:
            pool.apply_async(busy, (started,))
        except ValueError as error:
            print(error)

        with Pool(2) as pool:
            pool.apply_async(busy, (started,))
            started.acquire()
            assert pool.apply(abs, (-4,)) == 4
        pool.join()
        print("children:", len(set(active_children()) - others))
