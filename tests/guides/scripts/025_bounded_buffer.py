"""The bounded buffer by hand: two semaphores that count free and used places, a lock and a Queue."""
from multiprocessing import Lock, Process, Queue, Semaphore, Value


class Producer(Process):
    def __init__(self, shelf, items):
        Process.__init__(self, daemon=True)
        self.shelf, self.items = shelf, items

    def run(self):
        buffer, empty, full, lock, used = self.shelf
        for item in self.items:
            empty.acquire()
            with lock:
                buffer.put(item)
                used.value += 1
                assert used.value <= 2
            full.release()


class Consumer(Process):
    def __init__(self, shelf, count, results):
        Process.__init__(self, daemon=True)
        self.shelf, self.count, self.results = shelf, count, results

    def run(self):
        buffer, empty, full, lock, used = self.shelf
        taken = []
        for _ in range(self.count):
            full.acquire()
            lock.acquire()
            taken.append(buffer.get())
            used.value -= 1
            lock.release()
            empty.release()
        self.results.put(taken)


if __name__ == "__main__":
    shelf = Queue(10), Semaphore(2), Semaphore(0), Lock(), Value("i", 0)
    results = Queue()
    crew = [Producer(shelf, range(100, 140)), Producer(shelf, range(200, 240)),
            Consumer(shelf, 50, results), Consumer(shelf, 30, results)]
    for process in crew:
        process.start()
    taken = results.get() + results.get()
    for process in crew:
        process.join()
    assert [process.exitcode for process in crew] == [0, 0, 0, 0]
    assert sorted(taken) == [*range(100, 140), *range(200, 240)]
    print("through two places:", len(taken), "left:", shelf[0].qsize(), shelf[4].value)
