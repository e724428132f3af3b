"""A subclass of Process: what __init__ stores reaches run(); what run() stores stays in the child."""
import os
from multiprocessing import Process, Queue


class Summer(Process):
    def __init__(self, start, stop, results):
        super().__init__(name=f"summer-{start}")
        self.start_at, self.stop_at, self.results = start, stop, results
        self.total = None

    def run(self):
        self.total = sum(range(self.start_at, self.stop_at))
        self.results.put((self.name, self.total, self.pid == os.getpid()))


class Echo(Process):
    def __init__(self, words, results):
        Process.__init__(self)
        self.words, self.results = words, results

    def run(self):
        for word in self.words:
            self.results.put(word[::-1])


if __name__ == "__main__":
    results = Queue()
    summers = [Summer(start, start + 1000, results) for start in range(0, 4000, 1000)]
    for summer in summers:
        summer.start()
    rows = sorted(results.get() for _ in summers)
    for summer in summers:
        summer.join()
    assert sum(total for _, total, _ in rows) == sum(range(4000))
    assert all(right_pid for _, _, right_pid in rows)
    assert all(summer.total is None for summer in summers)
    for name, total, _ in rows:
        print(name, total)

    echo = Echo(["stressed", "drawer", "loop"], results)
    echo.start()
    print([results.get() for _ in echo.words])
    echo.join()
