"""Threads within processes: each process reads its share of files with threads, one Queue takes it all."""
import os
import threading
from multiprocessing import Process, Queue


class Reader(threading.Thread):
    def __init__(self, path, lock, sizes):
        threading.Thread.__init__(self)
        self.path, self.lock, self.sizes = path, lock, sizes

    def run(self):
        with open(self.path, "rb") as file:
            size = len(file.read())
        self.lock.acquire()
        self.sizes[os.path.basename(self.path)] = size
        self.lock.release()


def read_all(paths, results):
    lock, sizes = threading.Lock(), {}
    threads = [Reader(path, lock, sizes) for path in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    results.put(sizes)


def put_from_threads(results):
    threads = [threading.Thread(target=results.put, args=({str(n): n},)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    for n in range(12):
        with open(f"part{n:02}.bin", "wb") as file:
            file.write(os.urandom(1000 * n))
    paths = sorted(os.path.abspath(name) for name in os.listdir() if name.endswith(".bin"))
    results = Queue()
    crew = [Process(target=read_all, args=(paths[i::3], results)) for i in range(3)]
    crew.append(Process(target=put_from_threads, args=(results,)))
    for process in crew:
        process.start()
    sizes = {}
    for _ in range(3 + 8):
        sizes.update(results.get())
    for process in crew:
        process.join()
    assert sizes == {f"part{n:02}.bin": 1000 * n for n in range(12)} | {str(n): n for n in range(8)}
    print("files and numbers:", len(sizes), "bytes:", sum(sizes.values()))
